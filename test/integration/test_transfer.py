"""`Transfer`: uploads, downloads, directories, open files and composed objects."""

from __future__ import annotations

import hashlib
import os
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from lakefs_client import ApiClient, ApiException
from lakefs_client.client import LakeFSClient
from lakefs_client.exceptions import NotFoundException, TransferError
from lakefs_client.models import ObjectStageCreation, StorageConfig
from lakefs_client.transfer import ObjectExistsError, ObjectRange, Transfer, TransferConfig

from .support import MIB, Repo, Repositories, expect_error

PART = 5 * MIB
# Files below the part size are sent in one request, others in parts.
SIZES = {"empty": 0, "small": 70_000, "one part": PART, "three parts": 2 * PART + 7}
SMALL_AND_LARGE = [SIZES["small"], SIZES["three parts"]]


@pytest.fixture
def transfer(api_client: ApiClient) -> Transfer:
    return Transfer(api_client, TransferConfig(part_size=PART, max_concurrency=3))


@pytest.fixture
def make_file(tmp_path: Path) -> Callable[[int], Path]:
    """Provide a function that creates a file of random content."""

    def make(size: int) -> Path:
        path = tmp_path / "model.bin"
        path.write_bytes(random.Random(size).randbytes(size))
        return path

    return make


def checksum(content: bytes, storage: StorageConfig) -> str:
    """Return the expected checksum of an uploaded object."""

    def digest(piece: bytes) -> bytes:
        return hashlib.md5(piece, usedforsecurity=False).digest()

    if len(content) < PART or not storage.get("pre_sign_multipart_upload"):
        return digest(content).hex()
    parts = [digest(content[start : start + PART]) for start in range(0, len(content), PART)]
    return f"{digest(b''.join(parts)).hex()}-{len(parts)}"


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_uploaded_file_is_read_back(
    repo: Repo,
    transfer: Transfer,
    storage: StorageConfig,
    make_file: Callable[[int], Path],
    size: int,
) -> None:
    file = make_file(size)
    content = file.read_bytes()
    sent: list[int] = []
    stats = transfer.upload_file(
        file,
        repo.name,
        "main",
        "models/model.bin",
        content_type="application/x-model",
        user_metadata={"run": "42"},
        progress=sent.append,
    )
    assert sum(sent) == size
    assert (stats.path, stats.size_bytes) == ("models/model.bin", size)
    assert stats.checksum == checksum(content, storage)
    assert repo.uncommitted() == [("added", "models/model.bin")]

    later = repo.stat("models/model.bin")
    assert later.size_bytes == size
    assert later.checksum == stats.checksum
    assert later.content_type == "application/x-model"
    assert later.metadata.to_dict() == {"run": "42"}
    assert repo.read("models/model.bin") == content
    assert repo.read("models/model.bin", presign=storage.pre_sign_support) == content


@pytest.mark.parametrize("size", SMALL_AND_LARGE)
def test_upload_replaces_object_and_metadata(
    repo: Repo, transfer: Transfer, make_file: Callable[[int], Path], size: int
) -> None:
    repo.upload("model.bin", b"old", user_metadata={"old": "1"})
    committed = repo.commit("the old one")
    file = make_file(size)
    transfer.upload_file(file, repo.name, "main", "model.bin", user_metadata={"new": "2"})
    assert repo.read("model.bin") == file.read_bytes()
    assert repo.stat("model.bin").metadata.to_dict() == {"new": "2"}
    assert repo.uncommitted() == [("changed", "model.bin")]
    assert repo.read("model.bin", committed) == b"old"


@pytest.mark.parametrize("size", SMALL_AND_LARGE)
def test_upload_guesses_content_type(
    repo: Repo, transfer: Transfer, make_file: Callable[[int], Path], size: int
) -> None:
    transfer.upload_file(make_file(size), repo.name, "main", "table.csv")
    assert repo.stat("table.csv").content_type == "text/csv"


@pytest.mark.parametrize("size", SMALL_AND_LARGE)
def test_upload_preserves_special_characters_in_path(
    repo: Repo, transfer: Transfer, make_file: Callable[[int], Path], size: int
) -> None:
    path = "sp ace/ünïcode+&?#%.bin"
    file = make_file(size)
    assert transfer.upload_file(file, repo.name, "main", path).path == path
    assert repo.paths() == [path]
    assert repo.read(path) == file.read_bytes()


@pytest.mark.parametrize("size", SMALL_AND_LARGE)
def test_upload_to_missing_branch_creates_nothing(
    repo: Repo, transfer: Transfer, make_file: Callable[[int], Path], size: int
) -> None:
    # The class of the error depends on the call that fails: a server may check the branch only
    # when the address is linked.
    with pytest.raises(ApiException) as caught:
        transfer.upload_file(make_file(size), repo.name, "nope", "model.bin")
    assert caught.value.status == 404
    assert repo.paths() == []
    assert repo.uncommitted() == []
    with expect_error(404, "branch not found"):
        repo.head("nope")


@pytest.mark.parametrize("size", SMALL_AND_LARGE)
def test_upload_to_missing_repository_creates_nothing(
    lakefs: LakeFSClient,
    repositories: Repositories,
    transfer: Transfer,
    make_file: Callable[[int], Path],
    size: int,
) -> None:
    name = repositories.new_name()
    sent: list[int] = []
    with pytest.raises(NotFoundException):
        transfer.upload_file(make_file(size), name, "main", "model.bin", progress=sent.append)
    assert sum(sent) == 0
    with expect_error(404, "repository not found"):
        lakefs.repositories_api.get_repository(name)


@pytest.mark.parametrize("size", SMALL_AND_LARGE)
def test_pipe_is_uploaded(repo: Repo, transfer: Transfer, size: int) -> None:
    content = random.Random(size).randbytes(size)
    reading, writing = os.pipe()

    def write() -> None:
        with open(writing, "wb") as pipe:
            pipe.write(content)

    thread = threading.Thread(target=write)
    thread.start()
    sent: list[int] = []
    with open(reading, "rb") as pipe:
        stats = transfer.upload_fileobj(
            pipe, repo.name, "main", "piped.csv", user_metadata={"k": "v"}, progress=sent.append
        )
    thread.join()
    assert sum(sent) == stats.size_bytes == size
    assert repo.read("piped.csv") == content
    later = repo.stat("piped.csv")
    assert (later.checksum, later.content_type) == (stats.checksum, "text/csv")
    assert later.metadata.to_dict() == {"k": "v"}


class Interruption(Exception):
    """An exception that interrupts an upload."""


@pytest.mark.usefixtures("multipart")
def test_interrupted_upload_resumes(
    repo: Repo, api_client: ApiClient, make_file: Callable[[int], Path], tmp_path: Path
) -> None:
    file = make_file(4 * PART + 7)
    config = TransferConfig(part_size=PART, max_concurrency=1, journal_dir=tmp_path / "journals")
    sent = 0

    def interrupt(count: int) -> None:
        nonlocal sent
        sent += count
        if sent > 2 * PART:
            raise Interruption

    arguments = (file, repo.name, "main", "model.bin")
    with pytest.raises(Interruption):
        Transfer(api_client, config).upload_file(*arguments, progress=interrupt, resume=True)
    assert repo.paths() == []
    (pending,) = Transfer(api_client, config).pending_uploads()
    assert (pending.repository, pending.path) == (repo.name, "model.bin")

    later: list[int] = []
    stats = Transfer(api_client, config).upload_file(*arguments, progress=later.append, resume=True)
    # Parts that exist are reported first, one by one.
    assert later[:2] == [PART, PART]
    assert sum(later) == stats.size_bytes == 4 * PART + 7
    assert repo.read("model.bin") == file.read_bytes()
    assert Transfer(api_client, config).pending_uploads() == []


def test_directory_is_uploaded_and_downloaded(
    repo: Repo, transfer: Transfer, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    files = {
        "a": b"",
        "a-b": b"1",
        "d/b c/+&?#%.txt": b"22",
        "d/large.bin": random.Random(1).randbytes(2 * PART + 7),
        "d/é/文件": b"4444",
    }
    for name, content in files.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(content)
    size = sum(map(len, files.values()))
    sent: list[int] = []
    report = transfer.upload_directory(here, repo.name, "main", "data", progress=sent.append)
    assert (report.transferred, report.skipped, report.failed) == (5, 0, 0)
    assert sum(sent) == report.transferred_bytes == size
    assert repo.paths() == sorted((f"data/{name}" for name in files), key=str.encode)

    (here / "a-b").write_bytes(b"2")
    report = transfer.upload_directory(here, repo.name, "main", "data")
    assert (report.transferred, report.skipped, report.failed) == (1, 4, 0)
    files["a-b"] = b"2"

    received: list[int] = []
    report = transfer.download_directory(repo.name, "main", "data", there, progress=received.append)
    assert (report.transferred, report.skipped, report.failed) == (5, 0, 0)
    assert sum(received) == size
    assert {name: (there / name).read_bytes() for name in files} == files
    report = transfer.download_directory(repo.name, "main", "data", there)
    assert (report.transferred, report.skipped, report.failed) == (0, 5, 0)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_file_is_downloaded_and_verified(
    repo: Repo, transfer: Transfer, make_file: Callable[[int], Path], tmp_path: Path, size: int
) -> None:
    content = make_file(size).read_bytes()
    transfer.upload_file(make_file(size), repo.name, "main", "model.bin")
    committed = repo.commit("a model")
    received: list[int] = []
    target = tmp_path / "model.copy"
    stats = transfer.download_file(
        repo.name, committed, "model.bin", target, progress=received.append
    )
    assert target.read_bytes() == content
    assert sum(received) == stats.size_bytes == size
    assert sorted(tmp_path.iterdir()) == [tmp_path / "model.bin", target]


def test_checksum_mismatch_fails_the_download(
    repo: Repo, transfer: Transfer, lakefs: LakeFSClient, tmp_path: Path
) -> None:
    stats = repo.upload("right", b"right")
    wrong = hashlib.md5(b"wrong", usedforsecurity=False).hexdigest()
    lakefs.internal_api.stage_object(
        repo.name,
        "main",
        "wrong",
        ObjectStageCreation(
            physical_address=repo.stat("right").physical_address,
            checksum=wrong,
            size_bytes=stats.size_bytes,
        ),
    )
    with pytest.raises(TransferError, match=wrong):
        transfer.download_file(repo.name, "main", "wrong", tmp_path / "target")
    assert [*tmp_path.iterdir()] == []


def test_open_writes_and_reads_an_object(repo: Repo, transfer: Transfer) -> None:
    content = random.Random(3).randbytes(2 * PART + 7)
    with transfer.open(repo.name, "main", "model.bin", "wb", user_metadata={"k": "v"}) as file:
        for start in range(0, len(content), MIB):
            file.write(content[start : start + MIB])
        assert repo.paths() == []
    assert file.stats is not None
    assert file.stats.checksum == repo.stat("model.bin").checksum
    assert repo.stat("model.bin").metadata.to_dict() == {"k": "v"}
    with transfer.open(repo.name, "main", "model.bin") as reader:
        assert reader.read(10) == content[:10]
        reader.seek(-10, os.SEEK_END)
        assert reader.read() == content[-10:]
        reader.seek(PART)
        assert reader.read() == content[PART:]
    assert repo.read("model.bin") == content

    class Mine(Exception):
        pass

    def fail() -> None:
        with transfer.open(repo.name, "main", "never", "wb") as never:
            never.write(content)
            raise Mine

    with pytest.raises(Mine):
        fail()
    assert repo.paths() == ["model.bin"]


@contextmanager
def skip_without_part_copy() -> Iterator[None]:
    """Skip the test if the server cannot copy parts from objects."""
    try:
        yield
    except ApiException as error:
        if error.status == 501 or "invalid API endpoint" in (error.body or ""):
            pytest.skip("this server cannot copy parts (upload_part_copy)")
        raise


@pytest.mark.parametrize("presign", [True, False])
@pytest.mark.parametrize("size", SMALL_AND_LARGE)
def test_concurrent_exclusive_writers_have_a_single_winner(
    repo: Repo, api_client: ApiClient, size: int, presign: bool
) -> None:
    transfer = Transfer(api_client, TransferConfig(part_size=PART, presign=presign))
    together = threading.Barrier(4)

    def write(number: int) -> bool:
        try:
            with transfer.open(repo.name, "main", "lock", "xb") as file:
                file.write(bytes([number]) * size)
                together.wait(60)
        except ObjectExistsError as error:
            return error.status != 412
        return True

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(write, range(4)))
    assert won.count(True) == 1
    assert repo.read("lock") == bytes([won.index(True)]) * size
    with pytest.raises(ObjectExistsError):
        transfer.open(repo.name, "main", "lock", "xb")


@pytest.mark.parametrize("size", SMALL_AND_LARGE)
def test_transfer_without_presigned_urls(
    repo: Repo,
    api_client: ApiClient,
    make_file: Callable[[int], Path],
    tmp_path: Path,
    size: int,
) -> None:
    transfer = Transfer(api_client, TransferConfig(presign=False))
    file = make_file(size)
    transfer.upload_file(file, repo.name, "main", "model.bin", user_metadata={"k": "v"})
    transfer.download_file(repo.name, "main", "model.bin", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == file.read_bytes()
    assert repo.stat("model.bin").metadata.to_dict() == {"k": "v"}


@pytest.mark.usefixtures("multipart")
def test_compose_concatenates_ranges(repo: Repo, transfer: Transfer) -> None:
    large, small = random.Random(4).randbytes(2 * PART), b"small"
    repo.upload("large", large)
    repo.upload("small", small)
    committed = repo.commit("both")
    repo.upload("large", b"another")
    ranges = [
        ObjectRange("large", ref=committed, start=7),
        ObjectRange("small"),
        ObjectRange("large", ref=committed, end=PART + 9),
        ObjectRange("large"),
    ]
    with skip_without_part_copy():
        stats = transfer.compose(ranges, repo.name, "main", "composed", user_metadata={"k": "v"})
    expected = large[7:] + small + large[: PART + 9] + b"another"
    assert stats.size_bytes == len(expected)
    assert repo.read("composed") == expected
    assert repo.stat("composed").metadata.to_dict() == {"k": "v"}
