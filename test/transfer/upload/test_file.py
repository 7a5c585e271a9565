"""Uploads of files without faults."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.bench import MIB, PART, PATH, Bench, content

from lakefs_client.api.branches_api import BranchesApi
from lakefs_client.models import BranchCreation
from lakefs_client.transfer import Transfer, TransferConfig
from lakefs_client.transfer.upload import part as part_module

CREATE = "create_presign_multipart_upload"
COMPLETE = "complete_presign_multipart_upload"


@pytest.mark.parametrize(
    ("size", "settings", "parts"),
    [
        (0, {}, 0),
        (1, {}, 0),
        (MIB, {}, 0),
        (MIB + 1, {}, 0),
        (PART - 1, {}, 0),
        (PART, {}, 1),
        (PART + 1, {}, 2),
        (2 * PART, {}, 2),
        (2 * PART + 1, {}, 3),
        (0, {"multipart_threshold": 0}, 1),
        (1, {"multipart_threshold": 0}, 1),
        (PART - 1, {"multipart_threshold": PART - 1}, 1),
        (2 * PART, {"multipart_threshold": 2 * PART + 1}, 0),
        (2 * PART, {"multipart_threshold": 2 * PART}, 2),
        (PART + 1, {"part_size": PART + 1}, 1),
        (2 * PART + 2, {"part_size": PART + 1}, 2),
        (PART + 1, {"part_size": 64 * MIB, "multipart_threshold": 0}, 1),
        (PART + 1, {"part_size": 64 * MIB}, 0),
        # More parts than concurrent requests, one request at a time, more threads than parts.
        (6 * PART + 5, {"max_concurrency": 2}, 7),
        (3 * PART, {"max_concurrency": 1}, 3),
        (2 * PART, {"max_concurrency": 256}, 2),
        (2 * PART, {"verify": False}, 2),
        (MIB, {"verify": False}, 0),
    ],
)
def test_object_has_bytes_of_file(
    bench: Bench, size: int, settings: dict[str, int], parts: int
) -> None:
    counts: list[int] = []
    stats = bench.upload(size, progress=counts.append, **settings)
    operations = bench.operations
    data = content(size)
    bench.assert_whole(data)
    assert sum(counts) == size
    assert all(count > 0 for count in counts)
    assert (stats.path, stats.size_bytes, stats.path_type) == (PATH, size, "object")
    if parts:
        assert operations == {CREATE: 1, "store_put_part": parts, COMPLETE: 1}
        part_size = settings.get("part_size", PART)
        md5s = [
            hashlib.md5(data[i * part_size : (i + 1) * part_size]).digest() for i in range(parts)
        ]
        assert stats.checksum == f"{hashlib.md5(b''.join(md5s)).hexdigest()}-{parts}"
    else:
        assert operations == {
            "get_physical_address": 1,
            "store_put_object": 1,
            "link_physical_address": 1,
        }
        assert stats.checksum == hashlib.md5(data).hexdigest()


SIZES = pytest.mark.parametrize("size", [7, PART + 7], ids=["one PUT", "parts"])


@SIZES
def test_upload_returns_same_stats_as_stat(bench: Bench, size: int) -> None:
    stats = bench.upload(size)
    found = bench.stat()
    assert found is not None
    assert stats.to_dict().keys() == found.to_dict().keys()
    for name in ("path", "checksum", "size_bytes", "mtime", "content_type", "metadata"):
        assert stats[name] == found[name], name


@SIZES
@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"run": "42"},
        {"Mixed-Case": "kept", "spaces in": " and around ", "empty": ""},
        {"ключ": "значение", "emoji": "\N{PARTY POPPER}", "quotes": "\"'\\"},
    ],
)
def test_user_metadata_is_kept(bench: Bench, size: int, metadata: dict[str, str]) -> None:
    stats = bench.upload(size, user_metadata=metadata)
    assert stats.metadata.to_dict() == metadata
    found = bench.stat()
    assert found is not None
    assert found.metadata.to_dict() == metadata


def test_metadata_of_caller_is_not_modified(bench: Bench) -> None:
    metadata = {"run": "42"}
    bench.upload(1, user_metadata=metadata)
    assert metadata == {"run": "42"}


@SIZES
@pytest.mark.parametrize(
    "path",
    [
        "a",
        "a b/c+d&e=f?g#h%2F%/i;j,k",
        "été/файл/文件.bin",
        "trailing/",
        "/leading",
        "double//slash",
        "..",
        "../up",
        "a/./b",
        "\"quoted\" 'too' <x>",
        "emoji-\N{PARTY POPPER}",
        "x" * 900,
    ],
)
def test_paths_are_used_unchanged(bench: Bench, size: int, path: str) -> None:
    stats = bench.upload(size, path)
    assert stats.path == path
    bench.assert_whole(content(size), path)


@SIZES
def test_upload_to_other_branch(bench: Bench, size: int) -> None:
    branch = "feature_x-1"
    BranchesApi(bench.client).create_branch("repo", BranchCreation(name=branch, source="main"))
    bench.upload(size, branch=branch)
    assert bench.stored_bytes(branch=branch) == content(size)
    assert bench.stat() is None


@pytest.mark.parametrize("before", [3, 2 * PART])
@pytest.mark.parametrize("after", [5, PART + 5])
def test_existing_object_is_replaced(bench: Bench, before: int, after: int) -> None:
    bench.upload(before, user_metadata={"old": "yes"}, content_type="text/old")
    stats = bench.upload(after, user_metadata={"new": "yes"})
    bench.assert_whole(content(after))
    assert stats.metadata.to_dict() == {"new": "yes"}
    assert stats.content_type == "application/octet-stream"


def test_source_accepts_str_path_and_symlink(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    source = bench.file(9, "fïle \N{SNOWMAN}.bin")
    link = bench.folder / "link"
    link.symlink_to(source)
    monkeypatch.chdir(bench.folder)
    for given in (source, str(source), source.name, link, f"./{link.name}"):
        bench.upload(given, "target")
        bench.assert_whole(content(9), "target")


def test_file_name_may_be_invalid_utf_8(bench: Bench) -> None:
    name = os.fsencode(bench.folder) + b"/\xff\xfe.csv"
    with open(name, "wb") as file:
        file.write(b"a,b")
    stats = bench.upload(os.fsdecode(name), "target")
    assert stats.content_type == "text/csv"
    with os.scandir(os.fsencode(bench.folder)) as entries:
        (entry,) = entries
    stats = bench.upload(entry, "other")  # type: ignore[arg-type]
    assert stats.content_type == "text/csv"
    bench.assert_whole(b"a,b", "other")


def test_unlinked_file_is_read_to_end(bench: Bench) -> None:
    source = bench.file(2 * PART)
    bench.upload(source, progress=lambda count: source.unlink(missing_ok=True), max_concurrency=1)
    bench.assert_whole(content(2 * PART))


def test_transfer_can_be_reused(bench: Bench) -> None:
    transfer = Transfer(bench.client, TransferConfig(part_size=PART))
    for number, size in enumerate([0, PART, 7, PART + 1]):
        transfer.upload_file(bench.file(size), "repo", "main", f"{number}")
        bench.assert_whole(content(size), f"{number}")


def test_concurrent_uploads_share_client(bench: Bench) -> None:
    sources = [bench.file(2 * PART + n, f"{n}") for n in range(3)]
    barrier = threading.Barrier(3)
    waited = threading.local()

    def wait_once(count: int) -> None:
        if not hasattr(waited, "done"):
            waited.done = True
            barrier.wait(60)

    def upload(number: int) -> None:
        bench.upload(sources[number], f"{number}", progress=wait_once, max_concurrency=1)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(upload, range(3)))
    for number in range(3):
        bench.assert_whole(content(2 * PART + number), f"{number}")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_upload_works_after_fork(bench: Bench) -> None:
    source = bench.file(2 * PART + 1)
    bench.upload(source, "before")

    # The child exits without pytest's teardown. Its status is the result.
    def upload_in_child() -> None:
        status = 1
        try:
            bench.upload(source, "in the child")
            status = 0
        finally:
            os._exit(status)

    child = multiprocessing.get_context("fork").Process(target=upload_in_child)
    child.start()
    child.join(60)
    assert child.exitcode == 0
    # The parent's connections remain usable.
    connections = bench.client.store_client.pool_manager.pools
    bench.upload(source, "after")
    assert bench.client.store_client.pool_manager.pools is connections
    for path in ("before", "in the child", "after"):
        bench.assert_whole(content(2 * PART + 1), path)


def test_connections_to_store_are_reused(bench: Bench) -> None:
    for _ in range(3):
        bench.upload(2 * PART, max_concurrency=1)
    (pool,) = (
        bench.client.store_client.pool_manager.pools[key]
        for key in bench.client.store_client.pool_manager.pools.keys()  # noqa: SIM118 (no dict)
    )
    assert pool.num_connections == 1  # type: ignore[attr-defined]
    assert pool.num_requests == 6  # type: ignore[attr-defined]


@pytest.mark.parametrize(("verify", "computed"), [(True, 3), (False, 0)])
def test_verify_false_computes_no_md5(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, verify: bool, computed: int
) -> None:
    class Hashes:
        count = 0

        def md5(self, *args: object, **options: object) -> object:
            self.count += 1
            return hashlib.md5(*args, **options)  # type: ignore[arg-type]

    hashes = Hashes()
    monkeypatch.setattr(part_module, "hashlib", hashes)
    bench.upload(2 * PART + 1, verify=verify)
    assert hashes.count == computed
    bench.assert_whole(content(2 * PART + 1))


def test_threads_end_after_upload(bench: Bench) -> None:
    bench.upload(3 * PART)
    for thread in threading.enumerate():
        if thread.name.startswith("lakefs-client-upload"):
            thread.join(60)
            assert not thread.is_alive()


def test_upload_leaves_source_folder_unchanged(bench: Bench, tmp_path: Path) -> None:
    source = bench.file(PART + 1)
    before = source.stat()
    bench.upload(source)
    after = source.stat()
    assert list(tmp_path.iterdir()) == [source]
    assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
