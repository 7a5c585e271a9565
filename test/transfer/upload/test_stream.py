"""Uploads of open files and streams, and their spool files."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import os
import socket
import stat
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.bench import MIB, PART, PATH, Bench, bench_of, content, interrupt_once, make_transfer

from lakefs_client._body import WINDOW
from lakefs_client.exceptions import (
    ApiException,
    ApiTypeError,
    ApiValueError,
    NotFoundException,
    TransferError,
)
from lakefs_client.model.object_stats import ObjectStats
from lakefs_client.sandbox import Sandbox, blocks
from lakefs_client.transfer import Transfer
from lakefs_client.transfer.plan import StoreLimits
from lakefs_client.transfer.progress import Progress
from lakefs_client.transfer.upload import stream

KIB = 1 << 10
SMALL = StoreLimits(min_part=KIB, window=2 * KIB, unit=KIB)
CREATE = "create_presign_multipart_upload"
COMPLETE = "complete_presign_multipart_upload"


def upload(
    bench: Bench, fileobj: Any, path: str = PATH, *, progress: Any = None, **settings: Any
) -> ObjectStats:
    """Upload a stream in parts of 5 MiB, unless `settings` have another size."""
    transfer = make_transfer(bench.client, **settings)
    return transfer.upload_fileobj(fileobj, "repo", "main", path, progress=progress)


class Chunks:
    """A stream whose `read` returns one chunk per call, whatever size is requested."""

    def __init__(self, chunks: Iterable[Any]) -> None:
        self._chunks = iter(chunks)

    def read(self, size: int) -> Any:
        assert 0 < size <= WINDOW
        chunk = next(self._chunks, b"")
        if isinstance(chunk, BaseException):
            raise chunk
        return chunk


def windows(data: bytes, size: int = WINDOW) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


@pytest.fixture
def spools(bench: Bench) -> Path:
    """Provide a separate folder for temporary files."""
    folder = bench.folder / "spools"
    folder.mkdir()
    bench.client.configuration.temp_folder_path = str(folder)
    return folder


def open_files(folder: Path) -> dict[int, int]:
    """Return the modes of the unnamed files in a folder that this process has open, by inode.

    Files with a name fail the test.
    """
    assert list(folder.iterdir()) == []
    found = {}
    for link in Path("/proc/self/fd").iterdir():
        try:
            name, status = os.readlink(link), os.stat(link)
            same = os.readlink(link) == name
        except FileNotFoundError:
            continue  # closed in between
        if same and name.startswith(f"{folder}/"):
            assert name.endswith(" (deleted)")
            found[status.st_ino] = stat.S_IMODE(status.st_mode)
    return found


linux = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks into Linux's /proc")


# Objects


@pytest.mark.parametrize("kind", ["stream", "bytes", "file"])
@pytest.mark.parametrize(
    ("size", "settings", "parts"),
    [
        (0, {}, 0),
        (1, {}, 0),
        (WINDOW + 1, {}, 0),
        (PART - 1, {}, 0),
        (PART, {}, 1),
        (PART + 1, {}, 2),
        (3 * PART, {}, 3),
        (0, {"multipart_threshold": 0}, 1),
        (1, {"multipart_threshold": 0}, 1),
        (PART + 9, {"multipart_threshold": PART + 10}, 0),
        (PART, {"part_size": 64 * MIB, "multipart_threshold": PART}, 1),
        (PART, {"part_size": 64 * MIB}, 0),
        (6 * PART + 5, {"max_concurrency": 2}, 7),
        (3 * PART, {"max_concurrency": 1, "verify": False}, 3),
    ],
)
def test_object_has_bytes_of_source(
    bench: Bench, size: int, settings: dict[str, Any], parts: int, kind: str
) -> None:
    data = content(size)
    counts: list[int] = []
    fileobj: Any = io.BytesIO(data)
    if kind == "stream":
        fileobj = Chunks(windows(data))
    if kind == "file":
        fileobj = bench.file(size).open("rb")
    stats = upload(bench, fileobj, progress=counts.append, **settings)
    if kind != "stream":
        assert fileobj.read() == b""
        fileobj.close()
    operations = bench.operations
    assert sum(counts) == size == stats.size_bytes
    assert all(count > 0 for count in counts)
    bench.assert_whole(data)
    if parts:
        assert operations == {CREATE: 1, "store_put_part": parts, COMPLETE: 1}
    else:
        assert set(operations) == {
            "get_physical_address", "store_put_object", "link_physical_address"
        }  # fmt: skip


@pytest.mark.parametrize(("size", "parts"), [(4 * PART, 1), (4 * PART + 1, 2), (5 * PART + 1, 3)])
def test_first_part_has_size_of_threshold(bench: Bench, size: int, parts: int) -> None:
    upload(bench, Chunks(windows(content(size))), multipart_threshold=4 * PART)
    assert bench.operations["store_put_part"] == parts
    bench.assert_whole(content(size))


@st.composite
def chunkings(draw: st.DrawFn) -> list[int]:
    """Return the sizes of a stream's chunks."""
    total = draw(st.sampled_from([0, 1, KIB, 4 * KIB, 8 * KIB, 100 * KIB]))
    total = max(0, total + draw(st.integers(-2, 2)))
    sizes = []
    while total:
        sizes.append(draw(st.integers(1, total)) if len(sizes) < 20 else total)
        total -= sizes[-1]
    return sizes


@pytest.fixture(scope="class")
def small_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with (
        pytest.MonkeyPatch.context() as patch,
        Sandbox() as sandbox,
        bench_of(sandbox, tmp_path_factory.mktemp("small")) as bench,
    ):
        patch.setattr(blocks, "MIN_PART", KIB)
        yield bench


class TestSmallParts:
    """Parts of a few KiB, which grow in the same way as larger ones."""

    @settings(max_examples=30, suppress_health_check=list(HealthCheck))
    @given(
        chunks=chunkings(),
        offset=st.integers(0, 9),
        part_size=st.sampled_from([KIB, KIB + 1, 4 * KIB]),
        threshold=st.sampled_from([None, 0, 1, 4 * KIB]),
        concurrency=st.integers(1, 4),
    )
    def test_any_chunk_sizes_give_same_object(
        self,
        small_bench: Bench,
        chunks: list[int],
        offset: int,
        part_size: int,
        threshold: int | None,
        concurrency: int,
    ) -> None:
        data = content(sum(chunks))
        options = {
            "part_size": part_size,
            "multipart_threshold": threshold,
            "max_concurrency": concurrency,
        }
        ends = [sum(chunks[: n + 1]) for n in range(len(chunks))]
        small_bench.sandbox.requests.clear()
        stream = Chunks(data[end - size : end] for end, size in zip(ends, chunks))
        upload(small_bench, stream, limits=SMALL, **options)
        small_bench.assert_whole(data)
        parts = small_bench.operations["store_put_part"]
        assert parts == 0 or parts <= max(1, len(data) // part_size + 1)
        # A seekable source is read in place, from its position.
        fileobj = io.BytesIO(bytes(offset) + data)
        fileobj.seek(offset)
        upload(small_bench, fileobj, limits=SMALL, **options)
        assert fileobj.tell() == offset + len(data)
        small_bench.assert_whole(data)

    def test_too_many_parts_raise(self, small_bench: Bench) -> None:
        limits = replace(SMALL, max_parts=3)
        upload(small_bench, Chunks(windows(content(3 * KIB))), part_size=KIB, limits=limits)
        small_bench.assert_whole(content(3 * KIB))
        stream = Chunks(windows(content(3 * KIB + 1)))
        with pytest.raises(ApiValueError, match="more bytes than 3 parts hold"):
            upload(small_bench, stream, "other", part_size=KIB, limits=limits)
        small_bench.assert_nothing_left("other")


# Sources


def write_and_close(descriptor: int, data: bytes) -> None:
    with open(descriptor, "wb") as file:
        file.write(data)


@pytest.mark.parametrize("size", [0, 7, 2 * PART + 7])
def test_pipe_is_uploaded(bench: Bench, size: int) -> None:
    reading, writing = os.pipe()
    with (
        ThreadPoolExecutor(1) as pool,
        open(reading, "rb") as file,
    ):
        pool.submit(write_and_close, writing, content(size))
        upload(bench, file)
    bench.assert_whole(content(size))


def test_unbuffered_pipe_is_uploaded(bench: Bench) -> None:
    reading, writing = os.pipe()
    with (
        ThreadPoolExecutor(1) as pool,
        open(reading, "rb", buffering=0) as file,
    ):
        pool.submit(write_and_close, writing, content(PART + 7))
        upload(bench, file)
    bench.assert_whole(content(PART + 7))


def test_named_pipe_is_uploaded(bench: Bench) -> None:
    path = bench.folder / "fifo"
    os.mkfifo(path)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: path.write_bytes(content(PART + 7)))
        with path.open("rb") as file:
            upload(bench, file)
    bench.assert_whole(content(PART + 7))


@pytest.mark.parametrize("buffering", [-1, 0])
def test_socket_is_uploaded(bench: Bench, buffering: int) -> None:
    local, remote = socket.socketpair()
    with ThreadPoolExecutor(1) as pool, local:

        def send() -> None:
            with remote:
                remote.sendall(content(PART + 7))

        pool.submit(send)
        with local.makefile("rb", buffering=buffering) as file:
            upload(bench, file)
    bench.assert_whole(content(PART + 7))


@pytest.mark.parametrize("module", [gzip, bz2, lzma])
@pytest.mark.parametrize("buffered", [False, True])
def test_compressed_file_is_uploaded_decompressed(
    bench: Bench, module: Any, buffered: bool
) -> None:
    """A compressed file has the descriptor of the underlying file, which must not be read."""
    data = content(64 * KIB) + bytes(PART + 7)
    path = bench.folder / "compressed"
    with module.open(path, "wb") as file:
        file.write(data)
    with module.open(path, "rb") as file:
        upload(bench, io.BufferedReader(file) if buffered else file)
    bench.assert_whole(data)


def test_archive_member_is_uploaded(bench: Bench) -> None:
    path = bench.folder / "archive.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("member", content(PART + 7))
    with zipfile.ZipFile(path) as archive, archive.open("member") as member:
        upload(bench, member)
    bench.assert_whole(content(PART + 7))


SIZES = pytest.mark.parametrize("size", [9, 2 * PART + 9])


@SIZES
@pytest.mark.parametrize("buffering", [-1, 0, 16])
@pytest.mark.parametrize("mode", ["rb", "rb+", "ab+"])
def test_file_is_uploaded_from_its_position(
    bench: Bench, size: int, mode: str, buffering: int
) -> None:
    with open(bench.file(size), mode, buffering=buffering) as file:
        file.seek(4)
        assert file.read(1) == content(size)[4:5]  # fills the buffer
        upload(bench, file)
        assert file.tell() == size
        file.seek(0)
        assert file.read() == content(size)
    bench.assert_whole(content(size)[5:])


@pytest.mark.parametrize("position", [0, 5, 9, 12])
def test_small_file_is_uploaded_from_any_position(bench: Bench, position: int) -> None:
    with bench.file(9).open("rb") as file:
        file.seek(position)
        upload(bench, file)
        assert file.tell() == 9
    bench.assert_whole(content(9)[position:])


def test_unflushed_writes_are_uploaded(bench: Bench) -> None:
    with (bench.folder / "new").open("wb+") as file:
        file.write(content(9))
        file.seek(2)
        file.write(b"##")
        file.seek(0)
        upload(bench, file)
    bench.assert_whole(content(2) + b"##" + content(9)[4:])


def test_unlinked_file_is_uploaded(bench: Bench) -> None:
    path = bench.file(PART + 9)
    with path.open("rb") as file:
        path.unlink()
        upload(bench, file)
    bench.assert_whole(content(PART + 9))


def test_changed_file_aborts_upload(bench: Bench) -> None:
    path = bench.file(2 * PART)

    def grow(count: int) -> None:
        with path.open("ab") as more:
            more.write(b"more")

    with path.open("rb") as file, pytest.raises(TransferError, match="changed during the upload"):
        upload(bench, file, progress=grow)
    bench.assert_nothing_left()


@SIZES
def test_temporary_files_are_uploaded_from_their_position(bench: Bench, size: int) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(content(size))
        file.seek(2)
        upload(bench, file, "named")
        assert file.tell() == size
    bench.assert_whole(content(size)[2:], "named")
    for limit in (4, 64 * MIB):
        with tempfile.SpooledTemporaryFile(limit) as spooled:
            spooled.write(content(size))
            spooled.seek(2)
            upload(bench, spooled, f"spooled-{limit}")
        bench.assert_whole(content(size)[2:], f"spooled-{limit}")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")
def test_file_without_size_is_uploaded(bench: Bench) -> None:
    with open("/proc/version", "rb") as file:
        upload(bench, file)
    bench.assert_whole(Path("/proc/version").read_bytes())


class UpperCaseFile(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(size).upper()


def test_overridden_read_is_used(bench: Bench) -> None:
    upload(bench, UpperCaseFile(b"small"))
    bench.assert_whole(b"SMALL")


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_read_may_return_any_bytes_like_object(bench: Bench, kind: Any) -> None:
    upload(bench, Chunks(map(kind, windows(content(PART + 9)))))
    bench.assert_whole(content(PART + 9))


def test_buffer_length_counts_bytes_not_items(bench: Bench) -> None:
    upload(bench, Chunks([memoryview(content(PART + 12)).cast("I")]))
    bench.assert_whole(content(PART + 12))


@pytest.mark.parametrize("buffer", [bytearray(99)])
def test_read_may_reuse_its_buffer(bench: Bench, buffer: bytearray) -> None:
    def read() -> Iterator[memoryview]:
        for chunk in windows(content(999), 99):
            buffer[: len(chunk)] = chunk
            yield memoryview(buffer)[: len(chunk)]

    upload(bench, Chunks(read()))
    bench.assert_whole(content(999))


def test_content_type_follows_path_or_file_name(bench: Bench) -> None:
    with bench.file(9, "table.csv").open("rb") as file:
        assert upload(bench, file, "x").content_type == "text/csv"
    assert upload(bench, Chunks([b"x"]), "x.json").content_type == "application/json"
    assert upload(bench, Chunks([b"x"]), "x").content_type == "application/octet-stream"


# Invalid sources


@pytest.mark.parametrize(
    ("fileobj", "error", "match"),
    [
        (b"bytes", ApiTypeError, "BytesIO wraps bytes"),
        ("path", ApiTypeError, "upload_file takes paths"),
        (Path("path"), ApiTypeError, "upload_file takes paths"),
        (io.StringIO("text"), ApiTypeError, "binary mode"),
        (None, ApiTypeError, "got NoneType"),
        (7, ApiTypeError, "got int"),
    ],
)
def test_invalid_fileobj_raises(
    bench: Bench, fileobj: Any, error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        upload(bench, fileobj)
    assert list(bench.sandbox.requests) == []


def test_text_closed_and_write_only_files_raise(bench: Bench) -> None:
    path = bench.file(9)
    with path.open() as file, pytest.raises(ApiTypeError, match="binary mode"):
        upload(bench, file)
    with path.open("rb") as closed:
        pass
    for fileobj in (closed, io.BytesIO()):
        fileobj.close()
        with pytest.raises(ApiValueError, match="closed"):
            upload(bench, fileobj)
    for buffering in (0, -1):
        file = path.open("wb", buffering)
        with file, pytest.raises(ApiValueError, match="for reading"):
            upload(bench, file)
    assert list(bench.sandbox.requests) == []


@pytest.mark.parametrize("options", [{"path": ""}, {"progress": 7}])
def test_invalid_arguments_keep_file_position(bench: Bench, options: dict[str, Any]) -> None:
    with bench.file(9).open("rb") as file:
        file.seek(3)
        with pytest.raises((ApiValueError, ApiTypeError)):
            upload(bench, file, **options)
        assert file.tell() == 3
    fileobj = io.BytesIO(b"123")
    with pytest.raises((ApiValueError, ApiTypeError)):
        upload(bench, fileobj, **options)
    fileobj.seek(0, io.SEEK_END)
    fileobj.write(b"no exported buffer blocks a resize")


BEFORE = pytest.mark.parametrize("before", [0, 9, 2 * PART + 9])


@BEFORE
@pytest.mark.parametrize(
    ("chunk", "error", "match"),
    [
        (None, ApiValueError, "read returned None"),
        ("text", ApiTypeError, "must return bytes, not str: open it in binary mode"),
        (7, ApiTypeError, "must return bytes, not int"),
        ([1, 2], ApiTypeError, "must return bytes, not list"),
        (ValueError("of the stream"), ValueError, "of the stream"),
        (OSError(errno.EIO, "of the stream"), OSError, "of the stream"),
        (TypeError("of the stream"), TypeError, "of the stream"),
        (KeyboardInterrupt("of the stream"), KeyboardInterrupt, "of the stream"),
        (ApiException(503, "of the stream"), ApiException, "of the stream"),
    ],
    ids=lambda value: str(value) if isinstance(value, (str, int)) else type(value).__name__,
)
@linux
def test_failed_or_invalid_read_aborts_upload(
    bench: Bench, spools: Path, before: int, chunk: Any, error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match) as caught:
        upload(bench, Chunks([*windows(content(before)), chunk]))
    if isinstance(chunk, BaseException) and not isinstance(chunk, ApiException):
        assert caught.value is chunk
    assert open_files(spools) == {}
    bench.assert_nothing_left()


def test_nonblocking_pipe_raises(bench: Bench) -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with (
        open(writing, "wb") as _,
        open(reading, "rb", buffering=0) as file,
        pytest.raises(ApiValueError, match="must block"),
    ):
        upload(bench, file)
    bench.assert_nothing_left()


def test_missing_repository_raises(bench: Bench) -> None:
    for fileobj in (Chunks([content(PART), b"x"]), io.BytesIO(content(PART))):
        with pytest.raises(NotFoundException):
            Transfer(bench.client).upload_fileobj(fileobj, "nope", "main", PATH)


# Stores with fewer features


@pytest.mark.parametrize("size", [9, PART, 3 * PART + 9])
@pytest.mark.parametrize("kind", ["stream", "bytes"])
@pytest.mark.parametrize("presign", [True, False])
def test_upload_falls_back_to_one_request(
    make_bench: Callable[..., Bench], presign: bool, kind: str, size: int
) -> None:
    bench = make_bench(presigned_multipart=False, presign=presign)
    data = content(size)
    counts: list[int] = []
    fileobj = Chunks(windows(data)) if kind == "stream" else io.BytesIO(data)
    upload(bench, fileobj, progress=counts.append)
    assert sum(counts) == size
    bench.assert_whole(data)
    assert bench.operations["store_put_object"] == presign
    assert bench.operations["upload_object"] == (not presign)


@pytest.mark.parametrize("presign", [True, False])
@linux
def test_fallback_false_raises_before_stream_ends(
    make_bench: Callable[..., Bench], presign: bool
) -> None:
    bench = make_bench(presigned_multipart=False, presign=presign)
    bench.client.configuration.temp_folder_path = str(bench.folder)
    chunks = iter([*windows(content(PART)), b"x", b"this is not read"])
    with pytest.raises(TransferError, match=r"TransferConfig\.fallback is False"):
        upload(bench, Chunks(chunks), fallback=False)
    assert next(chunks) == b"this is not read"
    assert open_files(bench.folder) == {}
    bench.assert_nothing_left()


def test_stream_above_limit_of_one_put_raises(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make_bench(presigned_multipart=False)
    limits = StoreLimits(max_single_put=2 * PART)
    upload(bench, Chunks(windows(content(2 * PART))), limits=limits)
    bench.assert_whole(content(2 * PART))
    with pytest.raises(TransferError, match=f"one PUT holds at most {2 * PART} bytes"):
        upload(bench, Chunks(windows(content(2 * PART + 1))), "other", limits=limits)
    bench.assert_nothing_left("other")


# Spool files


@linux
@pytest.mark.parametrize("concurrency", [1, 2])
def test_spool_files_are_limited_private_and_unnamed(
    bench: Bench, spools: Path, monkeypatch: pytest.MonkeyPatch, concurrency: int
) -> None:
    most = 0
    full = threading.Event()
    add = Progress.add

    def check_spools() -> None:
        nonlocal most
        found = open_files(spools)
        most = max(most, len(found))
        assert all(mode == 0o600 for mode in found.values())

    def read() -> Iterator[bytes]:
        sent = 0
        for window in windows(content(6 * PART + 9)):
            check_spools()
            sent += len(window)
            if sent == (concurrency + 1) * PART:
                full.set()
            yield window

    def add_when_full(self: Progress, count: int) -> None:
        # The first part ends only when the maximum of spool files is open.
        assert full.wait(60)
        check_spools()
        add(self, count)

    monkeypatch.setattr(Progress, "add", add_when_full)
    upload(bench, Chunks(read()), max_concurrency=concurrency)
    assert most == concurrency + 1
    assert open_files(spools) == {}
    bench.assert_whole(content(6 * PART + 9))


@linux
@pytest.mark.parametrize("size", [9, 3 * PART + 9])
def test_failure_deletes_spool_files(bench: Bench, spools: Path, size: int) -> None:
    operation = "store_put_part" if size > PART else "store_put_object"
    bench.sandbox.faults.add(operation, "status", status=418)
    with pytest.raises(TransferError, match="418") as caught:
        upload(bench, Chunks(windows(content(size))))
    assert caught.value.outcome == "aborted"
    assert open_files(spools) == {}
    bench.assert_nothing_left()


@pytest.mark.parametrize("size", [0, 9, 2 * PART])
def test_seekable_sources_need_no_spool_file(bench: Bench, size: int) -> None:
    bench.client.configuration.temp_folder_path = str(bench.folder / "not there")
    if size:  # a file of size 0 may have bytes, as in /proc, and is spooled
        with bench.file(size).open("rb") as file:
            upload(bench, file)
    upload(bench, io.BytesIO(content(size)))
    with pytest.raises(FileNotFoundError):
        upload(bench, Chunks(windows(content(size))))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_aborts_upload(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0

    def fill_third_file(**options: Any) -> Any:
        nonlocal count
        count += 1
        return open("/dev/full", "r+b", buffering=0) if count == 3 else make(**options)

    make = tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", fill_third_file)
    with pytest.raises(OSError, match="No space left") as caught:
        upload(bench, Chunks(windows(content(3 * PART))))
    assert caught.value.errno == errno.ENOSPC
    bench.assert_nothing_left()


# Failures


@linux
def test_failed_part_ends_slow_stream(bench: Bench, spools: Path) -> None:
    """The upload fails before the stream has the bytes of another part."""
    bench.sandbox.faults.add("store_put_part", "status", status=418)
    more = 0

    def read() -> Iterator[bytes]:
        nonlocal more
        yield content(PART)
        while more < 6000:
            more += 1
            yield b"x"
            threading.Event().wait(0.01)

    with pytest.raises(TransferError, match="part 1: 418"):
        upload(bench, Chunks(read()))
    assert more < 6000
    assert open_files(spools) == {}
    bench.assert_nothing_left()


@pytest.mark.parametrize(
    ("kind", "details"),
    [
        ("status", {"status": 503}),
        ("reset_during", {"at": MIB + 1}),
        ("corrupt", {}),
        ("expired", {}),
    ],
)
@pytest.mark.parametrize("size", [2 * MIB, 2 * PART + 9])
def test_parts_of_stream_are_retried(
    bench: Bench, kind: Any, details: dict[str, Any], size: int
) -> None:
    operation = "store_put_part" if size > PART else "store_put_object"
    counts: list[int] = []
    bench.sandbox.faults.add(operation, kind, **details)
    upload(bench, Chunks(windows(content(size))), progress=counts.append)
    assert bench.sandbox.faults.pending == []
    assert sum(counts) == size
    bench.assert_whole(content(size))


def test_urls_beyond_first_batch_are_requested(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "FIRST_URLS", 2)
    upload(bench, Chunks(windows(content(4 * PART))))
    assert bench.operations["upload_part"] == 2
    bench.assert_whole(content(4 * PART))


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@linux
@pytest.mark.parametrize("sent", [9, PART + 9])
def test_interrupt_ends_read_of_blocked_pipe(bench: Bench, spools: Path, sent: int) -> None:
    reading, writing = os.pipe()
    read = 0
    waiting = False

    class Counted(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            nonlocal read, waiting
            waiting = read == sent
            data = super().read(size)
            read += len(data)
            return data

    with (
        ThreadPoolExecutor(1) as pool,
        open(writing, "wb") as pipe,
        Counted(reading) as file,
    ):
        pool.submit(pipe.write, content(sent)).add_done_callback(lambda future: pipe.flush())
        with interrupt_once(lambda: waiting), pytest.raises(KeyboardInterrupt):
            upload(bench, file)
    assert open_files(spools) == {}
    bench.assert_nothing_left()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@linux
@pytest.mark.parametrize("size", [9, 3 * PART + 9])
def test_interrupt_cancels_stalled_requests(bench: Bench, spools: Path, size: int) -> None:
    faults = bench.sandbox.faults
    faults.add(
        "store_put_part" if size > PART else "store_put_object", "stall", seconds=600, times=9
    )
    # Interrupt when every part is in flight, because a spool file may be under creation before.
    pending_times = 9 - -(-size // PART)
    with (
        interrupt_once(lambda: faults.pending[0].times == pending_times),
        pytest.raises(KeyboardInterrupt),
    ):
        upload(bench, Chunks(windows(content(size))))
    faults.clear()
    assert open_files(spools) == {}
    bench.assert_nothing_left()
