"""`Transfer.upload_file`: what it uploads is what is read back."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from lakefs_client import ApiClient, ApiException
from lakefs_client.client import LakeFSClient
from lakefs_client.exceptions import NotFoundException
from lakefs_client.models import StorageConfig
from lakefs_client.transfer import Transfer, TransferConfig

from .support import MIB, Repo, Repositories, refused

PART = 5 * MIB
# Below the threshold there is one PUT, from it on there are parts.
SIZES = {"empty": 0, "small": 70_000, "one part": PART, "three parts": 2 * PART + 7}
SMALL_AND_LARGE = [SIZES["small"], SIZES["three parts"]]

pytestmark = pytest.mark.usefixtures("presign")


@pytest.fixture
def transfer(api_client: ApiClient) -> Transfer:
    return Transfer(api_client, TransferConfig(part_size=PART, max_concurrency=3))


@pytest.fixture
def make_file(tmp_path: Path) -> Callable[[int], Path]:
    """Makes a file of some size, no two pieces of which are alike."""

    def make(size: int) -> Path:
        path = tmp_path / "model.bin"
        path.write_bytes(random.Random(size).randbytes(size))
        return path

    return make


def checksum(content: bytes, storage: StorageConfig) -> str:
    """The checksum of the object that an upload of `content` makes."""

    def digest(piece: bytes) -> bytes:
        return hashlib.md5(piece, usedforsecurity=False).digest()

    if len(content) < PART or not storage.get("pre_sign_multipart_upload"):
        return digest(content).hex()
    parts = [digest(content[start : start + PART]) for start in range(0, len(content), PART)]
    return f"{digest(b''.join(parts)).hex()}-{len(parts)}"


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_uploaded_file_is_what_is_read(
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
    assert repo.read("models/model.bin", presign=True) == content


@pytest.mark.parametrize("size", SMALL_AND_LARGE)
def test_upload_replaces_an_object(
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
def test_upload_guesses_the_media_type(
    repo: Repo, transfer: Transfer, make_file: Callable[[int], Path], size: int
) -> None:
    transfer.upload_file(make_file(size), repo.name, "main", "table.csv")
    assert repo.stat("table.csv").content_type == "text/csv"


@pytest.mark.parametrize("size", SMALL_AND_LARGE)
def test_upload_goes_to_a_path_with_special_characters(
    repo: Repo, transfer: Transfer, make_file: Callable[[int], Path], size: int
) -> None:
    path = "sp ace/ünïcode+&?#%.bin"
    file = make_file(size)
    assert transfer.upload_file(file, repo.name, "main", path).path == path
    assert repo.paths() == [path]
    assert repo.read(path) == file.read_bytes()


@pytest.mark.parametrize("size", SMALL_AND_LARGE)
def test_upload_to_a_missing_branch_leaves_nothing(
    repo: Repo, transfer: Transfer, make_file: Callable[[int], Path], size: int
) -> None:
    # Which call is refused, and so the class of the error, is for the server to choose: it may
    # look for the branch not before the bytes are linked.
    with pytest.raises(ApiException) as caught:
        transfer.upload_file(make_file(size), repo.name, "nope", "model.bin")
    assert caught.value.status == 404
    assert repo.paths() == []
    assert repo.uncommitted() == []
    with refused(404, "branch not found"):
        repo.head("nope")


@pytest.mark.parametrize("size", SMALL_AND_LARGE)
def test_upload_to_a_missing_repository_leaves_nothing(
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
    with refused(404, "repository not found"):
        lakefs.repositories_api.get_repository(name)
