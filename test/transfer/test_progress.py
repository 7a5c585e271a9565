"""Progress callbacks: counts, threads and exceptions."""

from __future__ import annotations

import errno
import io
import os
import threading
import time
from typing import Any

import pytest
from support.bench import MIB, PART, PATH, Bench, content, interrupt_once
from tqdm import tqdm

from lakefs_client.exceptions import (
    ApiConnectionError,
    ApiTypeError,
    ServiceException,
    TransferError,
)
from lakefs_client.sandbox import FaultKind
from lakefs_client.transfer import Transfer, TransferConfig
from lakefs_client.transfer.plan import StoreLimits

BOTH = pytest.mark.parametrize(
    ("size", "operation"),
    [(3 * MIB + 5, "store_put_object"), (2 * PART + 5, "store_put_part")],
    ids=["one PUT", "parts"],
)


@BOTH
def test_counts_sum_to_size(bench: Bench, size: int, operation: str) -> None:
    counts: list[int] = []
    bench.upload(size, progress=counts.append)
    assert sum(counts) == size
    assert max(counts) <= MIB


@BOTH
@pytest.mark.parametrize(
    ("kind", "details"),
    [
        ("status_late", {"status": 503}),
        ("reset_during", {"at": MIB + 1}),
        ("lost_answer", {}),
        ("corrupt", {}),
        ("wrong_etag", {}),
    ],
)
def test_retry_reports_negative_count(
    bench: Bench, size: int, operation: str, kind: FaultKind, details: dict[str, Any]
) -> None:
    counts: list[int] = []
    bench.sandbox.faults.add(operation, kind, **details)
    bench.upload(size, progress=counts.append)
    assert not bench.sandbox.faults.pending
    assert sum(counts) == size
    negative = [count for count in counts if count < 0]
    assert len(negative) == 1
    # The running sum stays between 0 and the size.
    sums = [sum(counts[: n + 1]) for n in range(len(counts))]
    assert min(sums) >= 0
    assert max(sums) <= size


def test_callback_runs_in_one_thread(bench: Bench) -> None:
    threads = set()

    def progress(count: int) -> None:
        threads.add(threading.get_ident())
        time.sleep(0.001)  # gives a second thread time to call

    bench.upload(6 * PART, progress=progress, max_concurrency=4)
    assert len(threads) == 1
    assert threading.get_ident() not in threads
    for thread in threading.enumerate():
        if "progress" in thread.name:
            thread.join(60)
            assert not thread.is_alive()


@pytest.mark.parametrize("kind", ["upload_fileobj", "download_file", "open"])
def test_callback_may_use_same_transfer(bench: Bench, kind: str) -> None:
    """A callback works even if every slot of the throttle is taken."""
    bench.put(b"alive", "status")
    transfer = bench.transfer(max_concurrency=1)
    calls = 0

    def progress(count: int) -> None:
        nonlocal calls
        calls += 1
        if kind == "upload_fileobj":
            transfer.upload_fileobj(io.BytesIO(b"alive"), "repo", "main", "status")
        elif kind == "download_file":
            transfer.download_file("repo", "main", "status", bench.folder / "status")
        else:
            with transfer.open("repo", "main", "status") as file:
                assert file.read() == b"alive"

    transfer.upload_file(bench.file(2 * PART), "repo", "main", PATH, progress=progress)
    assert calls > 1
    bench.assert_whole(content(2 * PART))


def test_slow_callback_does_not_delay_transfer(bench: Bench) -> None:
    """Pending counts are merged."""
    counts: list[int] = []
    sent = threading.Event()

    def progress(count: int) -> None:
        counts.append(count)
        if len(counts) == 1:
            assert sent.wait(60)

    transfer = bench.transfer(StoreLimits(window=16 << 10))
    write = bench.sandbox.blockstore.write
    written = 0

    def count_parts(*arguments: Any) -> Any:
        nonlocal written
        result = write(*arguments)
        written += 1
        if written == 2:
            sent.set()
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench.sandbox.blockstore, "write", count_parts)
        transfer.upload_file(bench.file(2 * PART), "repo", "main", PATH, progress=progress)
    assert sum(counts) == 2 * PART
    assert len(counts) < 2 * PART // (16 << 10)


def test_progress_accepts_object_with_update(bench: Bench) -> None:
    with tqdm(total=2 * PART, file=io.StringIO()) as bar:
        bench.upload(2 * PART, progress=bar)
        assert bar.n == 2 * PART


@pytest.mark.parametrize("value", [object(), 7, "bar"])
def test_invalid_progress_raises(bench: Bench, value: Any) -> None:
    with pytest.raises(ApiTypeError, match="progress must be callable"):
        bench.upload(9, progress=value)
    assert not bench.operations


def test_progress_accepts_tqdm_update(bench: Bench) -> None:
    bench.sandbox.faults.add("store_put_part", "reset_after")
    with tqdm(total=2 * PART, file=io.StringIO()) as bar:
        bench.upload(2 * PART, progress=bar.update)
        assert bar.n == 2 * PART


class CallbackError(Exception):
    """An exception of the caller."""


@pytest.mark.parametrize(
    ("size", "concurrency"),
    [(3 * MIB, 1), (2 * PART, 1), (2 * PART, 4)],
    ids=["one PUT", "part by part", "parts"],
)
@pytest.mark.parametrize(
    "error",
    [
        CallbackError("mine"),
        OSError(errno.EIO, "of the callback"),
        BrokenPipeError(errno.EPIPE, "of the callback"),
        ConnectionResetError(errno.ECONNRESET, "of the callback"),
        TimeoutError("of the callback"),
        ValueError("of the callback"),
        StopIteration("of the callback"),
        # Not a failure of the part, which would be retried.
        ServiceException(503, "of the callback"),
        ApiConnectionError("of the callback"),
        TransferError("of the callback", outcome="unknown"),
        KeyboardInterrupt("of the callback"),
        SystemExit("of the callback"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_callback_exception_is_raised_unchanged(
    bench: Bench, size: int, concurrency: int, error: BaseException
) -> None:
    calls = 0

    def progress(count: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise error

    with pytest.raises(type(error)) as caught:
        bench.upload(size, progress=progress, max_concurrency=concurrency)
    assert caught.value is error
    assert error.__cause__ is None
    assert error.__context__ is None
    # No call after the exception.
    assert calls == 2
    bench.assert_nothing_left()
    # The client remains usable.
    bench.upload(9)
    bench.assert_whole(content(9))


@BOTH
def test_callback_exception_on_negative_count_stops_upload(
    bench: Bench, size: int, operation: str
) -> None:
    def progress(count: int) -> None:
        if count < 0:
            raise CallbackError

    bench.sandbox.faults.add(operation, "status_late", status=503)
    with pytest.raises(CallbackError):
        bench.upload(size, progress=progress)
    assert bench.operations[operation] <= 3
    bench.assert_nothing_left()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@BOTH
def test_interrupt_aborts_upload(bench: Bench, size: int, operation: str) -> None:
    """The store does not answer, so only the interrupt can end the upload."""
    faults = bench.sandbox.faults
    faults.add(operation, "stall", seconds=600, times=9)
    interrupt = interrupt_once(lambda: faults.pending[0].times < 9)
    with interrupt, pytest.raises(KeyboardInterrupt):
        bench.upload(size)
    faults.clear()
    bench.assert_nothing_left()


class FsspecCallback:
    """The methods of an fsspec callback that the client calls."""

    def __init__(self, error_in: str = "") -> None:
        self.calls: list[tuple[str, Any]] = []
        self._error_in = error_in

    def set_size(self, size: int | None) -> None:
        self._record("size", size)

    def relative_update(self, inc: int = 1) -> None:
        self._record("update", inc)

    def _record(self, method: str, number: int | None) -> None:
        self.calls.append((method, number))
        if method == self._error_in:
            raise CallbackError


def upload_stream(bench: Bench, data: bytes, progress: Any, **settings: Any) -> None:
    class Stream:
        read = io.BytesIO(data).read

    transfer = Transfer(bench.client, TransferConfig(part_size=PART, **settings))
    transfer.upload_fileobj(Stream(), "repo", "main", PATH, progress=progress)


@pytest.mark.parametrize("size", [0, 9, 2 * PART + 5])
@pytest.mark.parametrize("kind", ["path", "file", "bytes"])
def test_fsspec_callback_gets_size_before_bytes(bench: Bench, size: int, kind: str) -> None:
    callback = FsspecCallback()
    bench.sandbox.faults.add("store_put_part", "reset_after")
    if kind == "path":
        bench.upload(size, progress=callback)
    else:
        transfer = Transfer(bench.client, TransferConfig(part_size=PART))
        with bench.file(size).open("rb") as file:
            fileobj: Any = file if kind == "file" and size else io.BytesIO(content(size))
            transfer.upload_fileobj(fileobj, "repo", "main", PATH, progress=callback)
    assert callback.calls[0] == ("size", size)
    assert {method for method, _ in callback.calls[1:]} <= {"update"}
    assert sum(count for _, count in callback.calls[1:]) == size


@pytest.mark.parametrize("size", [0, 9, 2 * PART + 5])
def test_fsspec_callback_gets_stream_size_at_end(bench: Bench, size: int) -> None:
    callback = FsspecCallback()
    upload_stream(bench, content(size), callback, max_concurrency=1)
    assert [call for call in callback.calls if call[0] == "size"] == [("size", size)]
    assert sum(count for method, count in callback.calls if method == "update") == size
    bench.assert_whole(content(size))


@pytest.mark.parametrize("error_in", ["size", "update"])
@pytest.mark.parametrize("size", [9, 2 * PART])
def test_fsspec_callback_exception_stops_upload(bench: Bench, error_in: str, size: int) -> None:
    for upload in (
        lambda callback: bench.upload(size, progress=callback),
        lambda callback: upload_stream(bench, content(size), callback),
    ):
        callback = FsspecCallback(error_in)
        with pytest.raises(CallbackError):
            upload(callback)
        assert callback.calls[-1][0] == error_in
        bench.assert_nothing_left()


def test_fsspec_callbacks_are_accepted(bench: Bench) -> None:
    callbacks = pytest.importorskip("fsspec.callbacks")
    callback = callbacks.Callback()
    bench.upload(2 * PART + 5, progress=callback)
    assert (callback.size, callback.value) == (2 * PART + 5, 2 * PART + 5)
    callback = callbacks.Callback()
    upload_stream(bench, content(PART + 5), callback)
    assert (callback.size, callback.value) == (PART + 5, PART + 5)
    callback = callbacks.TqdmCallback(tqdm_kwargs={"file": io.StringIO()})
    bench.upload(PART + 5, progress=callback)
    assert (callback.tqdm.total, callback.tqdm.n) == (PART + 5, PART + 5)
    callback.close()


def test_stream_progress_accepts_tqdm_update(bench: Bench) -> None:
    bench.sandbox.faults.add("store_put_part", "reset_after")
    with tqdm(file=io.StringIO()) as bar:
        upload_stream(bench, content(2 * PART), bar.update)
        assert bar.n == 2 * PART
