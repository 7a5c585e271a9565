"""Progress: its sums, its threads, and what becomes of an upload whose callback raises."""

from __future__ import annotations

import errno
import io
import os
import threading
import time
from typing import Any

import pytest
from tqdm import tqdm

from lakefs_client.exceptions import ApiConnectionError, ServiceException, TransferError
from lakefs_client.sandbox import FaultKind

from .conftest import MIB, PART, Bench, content, interrupt_once

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
