"""Files that change or fail during an upload."""

from __future__ import annotations

import errno
import importlib.util
import os
from collections.abc import Callable

import pytest
from support.bench import MIB, PART, Bench, content

from lakefs_client import RetryPolicy
from lakefs_client.exceptions import TransferError
from lakefs_client.transfer import source as source_module
from lakefs_client.transfer.errors import SourceError
from lakefs_client.transfer.progress import Progress
from lakefs_client.transfer.source import FileSource
from lakefs_client.transfer.upload import file as upload_module

BOTH = pytest.mark.parametrize(
    ("size", "operation"),
    [(3 * MIB + 5, "store_put_object"), (PART + 5, "store_put_part")],
    ids=["one PUT", "parts"],
)


def run_after(count: int, action: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run an action after a number of bytes, in the thread that sends them."""
    sent = 0
    done = False
    add = Progress.add

    def add_and_run(self: Progress, more: int) -> None:
        nonlocal sent, done
        sent += more
        if sent >= count and not done:
            done = True
            action()
        add(self, more)

    monkeypatch.setattr(Progress, "add", add_and_run)


def assert_aborted(bench: Bench, error: TransferError, text: str) -> None:
    assert isinstance(error.__cause__, SourceError)
    assert text in str(error)
    assert (error.outcome, error.status) == ("aborted", 0)
    assert bench.operations["complete_presign_multipart_upload"] == 0
    assert bench.operations["link_physical_address"] == 0
    bench.assert_nothing_left()


@BOTH
def test_truncated_file_error_names_offset(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, size: int, operation: str
) -> None:
    source = bench.file(size)
    run_after(MIB, lambda: os.truncate(source, 2 * MIB + 3), monkeypatch)
    with pytest.raises(TransferError, match="truncated") as caught:
        bench.upload(source, max_concurrency=1)
    assert_aborted(bench, caught.value, f"it ends at offset {2 * MIB + 3} and had {size} bytes")
    assert str(source) in str(caught.value)
    # The part is not retried.
    assert bench.operations[operation] <= 1


@BOTH
@pytest.mark.parametrize("change", ["grown", "rewritten", "touched", "truncated and filled up"])
def test_changed_file_aborts_upload(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, size: int, operation: str, change: str
) -> None:
    source = bench.file(size)

    def change_file() -> None:
        stamp = source.stat().st_mtime_ns
        if change == "grown":
            with source.open("ab") as file:
                file.write(b"more")
        elif change == "rewritten":
            with source.open("r+b") as file:
                file.write(b"other")
        elif change == "truncated and filled up":
            os.truncate(source, 0)
            source.write_bytes(bytes(size))
        # The file system's clock may be too coarse to record the change.
        os.utime(source, ns=(stamp, stamp if change == "grown" else stamp + 1_000_000_000))

    run_after(size, change_file, monkeypatch)
    with pytest.raises(TransferError, match="was changed during the upload") as caught:
        bench.upload(source)
    now = size + 4 if change == "grown" else size
    assert_aborted(bench, caught.value, f"{size} bytes at the start, {now} at the end")


def test_replaced_file_is_read_to_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    source = bench.file(PART + 5)
    other = bench.folder / "other"
    other.write_bytes(b"other")
    run_after(MIB, lambda: os.replace(other, source), monkeypatch)
    bench.upload(source, max_concurrency=1)
    bench.assert_whole(content(PART + 5))


@BOTH
@pytest.mark.parametrize(
    "number",
    [errno.EIO, errno.ESTALE, errno.EPIPE, errno.ECONNRESET, errno.ETIMEDOUT, errno.EAGAIN],
)
def test_read_error_is_not_retried(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, size: int, operation: str, number: int
) -> None:
    read = FileSource._read
    bad_offset = 2 * MIB

    def failing(self: FileSource, window: memoryview, offset: int) -> int:
        if offset >= bad_offset:
            raise OSError(number, os.strerror(number))
        return read(self, window, offset)

    monkeypatch.setattr(FileSource, "_read", failing)
    with pytest.raises(TransferError, match="cannot be read at offset") as caught:
        bench.upload(size, max_concurrency=1, retry=RetryPolicy(min_wait=0))
    assert_aborted(bench, caught.value, f"at offset {bad_offset}: {os.strerror(number)}")
    cause = caught.value.__cause__
    assert cause is not None
    assert isinstance(cause.__cause__, OSError)
    assert cause.__cause__.errno == number
    assert bench.operations[operation] <= 1


@BOTH
def test_short_reads_are_completed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, size: int, operation: str
) -> None:
    read = FileSource._read
    monkeypatch.setattr(
        FileSource, "_read", lambda self, window, offset: read(self, window[:99_991], offset)
    )
    bench.upload(size)
    bench.assert_whole(content(size))


def test_upload_without_positioned_reads(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows, all threads share one file position."""
    with monkeypatch.context() as patch:
        patch.delattr(os, "preadv", raising=False)
        spec = importlib.util.spec_from_file_location("source_of_windows", source_module.__file__)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    monkeypatch.setattr(upload_module, "FileSource", module.FileSource)
    bench.upload(3 * PART + 5, max_concurrency=4)
    bench.assert_whole(content(3 * PART + 5))
