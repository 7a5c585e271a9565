"""Progress: its sums, its threads, and what becomes of an upload whose callback raises."""

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

from lakefs_client.exceptions import ApiConnectionError, ServiceException, TransferError
from lakefs_client.sandbox import FaultKind
from lakefs_client.transfer import Transfer, TransferConfig

BOTH = pytest.mark.parametrize(
    ("size", "operation"),
    [(3 * MIB + 5, "store_put_object"), (2 * PART + 5, "store_put_part")],
    ids=["one PUT", "parts"],
)


@BOTH
def test_the_sum_is_the_size(bench: Bench, size: int, operation: str) -> None:
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
def test_it_goes_back_where_bytes_are_sent_again(
    bench: Bench, size: int, operation: str, kind: FaultKind, details: dict[str, Any]
) -> None:
    counts: list[int] = []
    bench.sandbox.faults.add(operation, kind, **details)
    bench.upload(size, progress=counts.append)
    assert not bench.sandbox.faults.pending
    assert sum(counts) == size
    back = [count for count in counts if count < 0]
    assert len(back) == 1
    # Never below zero, never above the size.
    sums = [sum(counts[: n + 1]) for n in range(len(counts))]
    assert min(sums) >= 0
    assert max(sums) <= size


def test_one_thread_at_a_time_calls(bench: Bench) -> None:
    busy = threading.Lock()
    threads = set()

    def progress(count: int) -> None:
        assert busy.acquire(blocking=False), "two threads at a time"
        threads.add(threading.get_ident())
        time.sleep(0.001)  # an invitation to the others
        busy.release()

    bench.upload(6 * PART, progress=progress, max_concurrency=4)
    assert len(threads) > 1


def test_tqdms_update_fits(bench: Bench) -> None:
    bench.sandbox.faults.add("store_put_part", "reset_after")
    with tqdm(total=2 * PART, file=io.StringIO()) as bar:
        bench.upload(2 * PART, progress=bar.update)
        assert bar.n == 2 * PART


class OwnError(Exception):
    """Of the caller's."""


@pytest.mark.parametrize(
    ("size", "concurrency"),
    [(3 * MIB, 1), (2 * PART, 1), (2 * PART, 4)],
    ids=["one PUT", "part by part", "parts"],
)
@pytest.mark.parametrize(
    "error",
    [
        OwnError("mine"),
        OSError(errno.EIO, "of the callback"),
        BrokenPipeError(errno.EPIPE, "of the callback"),
        ConnectionResetError(errno.ECONNRESET, "of the callback"),
        TimeoutError("of the callback"),
        ValueError("of the callback"),
        StopIteration("of the callback"),
        # Not to be taken for a failure of the part, which would be repeated.
        ServiceException(503, "of the callback"),
        ApiConnectionError("of the callback"),
        TransferError("of the callback", outcome="unknown"),
        KeyboardInterrupt("of the callback"),
        SystemExit("of the callback"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_stops_the_upload_and_comes_out_as_itself(
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
    # It has said that it wants no more.
    assert calls == 2
    bench.assert_nothing_left()
    # The client is as good as before.
    bench.upload(9)
    bench.assert_whole(content(9))


@BOTH
def test_an_exception_while_going_back(bench: Bench, size: int, operation: str) -> None:
    def progress(count: int) -> None:
        if count < 0:
            raise OwnError

    bench.sandbox.faults.add(operation, "status_late", status=503)
    with pytest.raises(OwnError):
        bench.upload(size, progress=progress)
    assert bench.operations[operation] <= 3
    bench.assert_nothing_left()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@BOTH
def test_an_interrupt_is_raised_as_itself_and_aborts(
    bench: Bench, size: int, operation: str
) -> None:
    """While the store does not answer, so that nothing but the interrupt can end the upload."""
    faults = bench.sandbox.faults
    faults.add(operation, "stall", seconds=600, times=9)
    begun = interrupt_once(lambda: faults.pending[0].times < 9)
    with begun, pytest.raises(KeyboardInterrupt):
        bench.upload(size)
    faults.clear()
    bench.assert_nothing_left()


class Sized:
    """What callbacks of fsspec are, as far as it matters."""

    def __init__(self, error_in: str = "") -> None:
        self.told: list[tuple[str, Any]] = []
        self._error_in = error_in

    def set_size(self, size: int | None) -> None:
        self._tell("size", size)

    def relative_update(self, inc: int = 1) -> None:
        self._tell("update", inc)

    def _tell(self, what: str, number: int | None) -> None:
        self.told.append((what, number))
        if what == self._error_in:
            raise OwnError


def upload_stream(bench: Bench, data: bytes, progress: Any, **settings: Any) -> None:
    class Stream:
        read = io.BytesIO(data).read

    transfer = Transfer(bench.client, TransferConfig(part_size=PART, **settings))
    transfer.upload_fileobj(Stream(), "repo", "main", PATH, progress=progress)


@pytest.mark.parametrize("size", [0, 9, 2 * PART + 5])
@pytest.mark.parametrize("kind", ["path", "file", "bytes"])
def test_callbacks_of_fsspec_are_told_the_size_before_the_bytes(
    bench: Bench, size: int, kind: str
) -> None:
    sized = Sized()
    bench.sandbox.faults.add("store_put_part", "reset_after")
    if kind == "path":
        bench.upload(size, progress=sized)
    else:
        transfer = Transfer(bench.client, TransferConfig(part_size=PART))
        with bench.file(size).open("rb") as file:
            held: Any = file if kind == "file" and size else io.BytesIO(content(size))
            transfer.upload_fileobj(held, "repo", "main", PATH, progress=sized)
    assert sized.told[0] == ("size", size)
    assert {what for what, _ in sized.told[1:]} <= {"update"}
    assert sum(count for _, count in sized.told[1:]) == size


@pytest.mark.parametrize("size", [0, 9, 2 * PART + 5])
def test_callbacks_of_fsspec_are_told_the_size_of_a_stream_once_it_is_known(
    bench: Bench, size: int
) -> None:
    sized = Sized()
    upload_stream(bench, content(size), sized, max_concurrency=1)
    assert [told for told in sized.told if told[0] == "size"] == [("size", size)]
    assert sum(count for what, count in sized.told if what == "update") == size
    bench.assert_whole(content(size))


@pytest.mark.parametrize("error_in", ["size", "update"])
@pytest.mark.parametrize("size", [9, 2 * PART])
def test_exceptions_in_callbacks_of_fsspec(bench: Bench, error_in: str, size: int) -> None:
    for upload in (
        lambda sized: bench.upload(size, progress=sized),
        lambda sized: upload_stream(bench, content(size), sized),
    ):
        sized = Sized(error_in)
        with pytest.raises(OwnError):
            upload(sized)
        assert sized.told[-1][0] == error_in
        bench.assert_nothing_left()


def test_the_callbacks_of_fsspec_itself(bench: Bench) -> None:
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


def test_tqdms_update_fits_streams(bench: Bench) -> None:
    bench.sandbox.faults.add("store_put_part", "reset_after")
    with tqdm(file=io.StringIO()) as bar:
        upload_stream(bench, content(2 * PART), bar.update)
        assert bar.n == 2 * PART
