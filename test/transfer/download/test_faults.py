"""Faults of downloads: retries, failures, cancellation and resumption.

The policy `NO_WAIT` allows two attempts per range.
"""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from support.bench import (
    MIB,
    PATH,
    Bench,
    MovableClock,
    OnBytes,
    Row,
    Stall,
    Tamper,
    content,
    interrupt_once,
    set_throttle,
    status,
)

from lakefs_client import RetryPolicy, retry
from lakefs_client.exceptions import (
    ApiConnectionError,
    ApiTimeoutError,
    NotFoundException,
    TransferError,
)
from lakefs_client.rest import Cancellation, Timing
from lakefs_client.sandbox import FaultKind, http_server
from lakefs_client.transfer import context
from lakefs_client.transfer.checksum import never
from lakefs_client.transfer.download import file as download_module
from lakefs_client.transfer.download import remote as remote_module
from lakefs_client.transfer.download.partial import PartialFile
from lakefs_client.transfer.download.remote import ChangedError
from lakefs_client.transfer.throttle import Throttle

GET = "store_get_object"
SIZE = 1000
RANGE = 300


TRANSIENT = [
    *map(status, (408, 420, 429, 500, 502, 504)),
    status(503, "SlowDown"),
    status(400, "RequestTimeout"),
    Row("reset_before", {}, ApiConnectionError),
    Row("lost_answer", {}, ApiConnectionError),
    Row("truncate", {}, ApiConnectionError),
]
FATAL = [
    *map(status, (400, 401, 403, 404, 410, 412, 416, 501)),
    status(403, "SignatureDoesNotMatch"),
]


def rows(table: list[Row]) -> Any:
    return pytest.mark.parametrize("row", table, ids=lambda row: row.id)


def add_fault(bench: Bench, row: Row, times: int, after: int = 0) -> None:
    bench.sandbox.faults.add(GET, row.kind, times=times, after=after, **row.details)


def assert_nothing_left(bench: Bench) -> None:
    assert bench.download_names == ["target.bin"]
    assert bench.target.read_bytes() == b"old"
    assert list(bench.folder.glob("journals/*")) == []


@pytest.fixture
def ready(bench: Bench) -> Bench:
    """Provide a bench with an object, and an existing file at the target."""
    bench.put(content(SIZE))
    bench.target.write_bytes(b"old")
    return bench


@rows(TRANSIENT)
@pytest.mark.parametrize("part_size", [RANGE, SIZE])
def test_transient_fault_is_retried(ready: Bench, row: Row, part_size: int) -> None:
    add_fault(ready, row, 1)
    counts: list[int] = []
    ready.download(part_size=part_size, progress=counts.append)
    assert ready.sandbox.faults.pending == []
    assert ready.target.read_bytes() == content(SIZE)
    assert sum(counts) == SIZE
    assert len(ready.ranges) == -(-SIZE // part_size) + 1


@rows(TRANSIENT)
@pytest.mark.parametrize("part_size", [RANGE, SIZE])
def test_fault_in_every_attempt_fails_download(ready: Bench, row: Row, part_size: int) -> None:
    add_fault(ready, row, 2)
    with pytest.raises(TransferError) as caught:
        ready.download(part_size=part_size, max_concurrency=1)
    assert ready.sandbox.faults.pending == []
    assert_reported(caught.value, row)
    assert_nothing_left(ready)


@rows(FATAL)
@pytest.mark.parametrize("part_size", [RANGE, SIZE])
def test_fatal_status_is_not_retried(ready: Bench, row: Row, part_size: int) -> None:
    add_fault(ready, row, 1)
    with pytest.raises(TransferError) as caught:
        ready.download(part_size=part_size, max_concurrency=1, retry=RetryPolicy(min_wait=0))
    assert len(ready.ranges) == 1
    assert_reported(caught.value, row)
    assert_nothing_left(ready)


def assert_reported(error: TransferError, row: Row) -> None:
    assert (error.outcome, error.status, error.part_number) == ("aborted", row.status, 1)
    cause = error.__cause__
    assert isinstance(cause, row.error)
    assert (cause.status, cause.body) == (error.status, error.body)
    assert f"lakefs://repo/main/{PATH}: range 1: " in str(error)


def test_truncated_range_continues_at_offset(bench: Bench) -> None:
    size = 8 * MIB
    bench.put(content(size))
    bench.sandbox.faults.add(GET, "truncate", times=2)
    counts: list[int] = []
    bench.download(part_size=size, progress=counts.append, retry=RetryPolicy(3, 0, 0))
    assert bench.target.read_bytes() == content(size)
    assert bench.ranges == [f"{at * MIB}-{size - 1}" for at in (0, 4, 6)]
    assert sum(counts) == size
    assert min(counts) > 0


def test_stalled_store_times_out(ready: Bench) -> None:
    ready.client.configuration.read_timeout = 2
    ready.sandbox.faults.add(GET, "stall", seconds=600)
    with pytest.raises(TransferError, match="no progress within 2 s") as caught:
        ready.download(retry=RetryPolicy(attempts=1))
    assert isinstance(caught.value.__cause__, ApiTimeoutError)
    assert_nothing_left(ready)


# Unexpected responses


def other_status(response: Any, request: Any) -> None:
    response.status = 200


def no_range(response: Any, request: Any) -> None:
    del response.headers["Content-Range"]


def other_range(response: Any, request: Any) -> None:
    response.headers["Content-Range"] = f"bytes 0-9/{SIZE}"


def other_total(response: Any, request: Any) -> None:
    content_range = response.headers["Content-Range"]
    response.headers["Content-Range"] = content_range.replace(f"/{SIZE}", f"/{SIZE + 1}")


def unknown_total(response: Any, request: Any) -> None:
    content_range = response.headers["Content-Range"]
    response.headers["Content-Range"] = content_range.replace(f"/{SIZE}", "/*")


def too_few_bytes(response: Any, request: Any) -> None:
    (segment,) = response.content
    response.content = (segment._replace(size=segment.size - 1),)


def too_many_bytes(response: Any, request: Any) -> None:
    response.content += response.content


def empty_body(response: Any, request: Any) -> None:
    response.content = ()


def no_content(response: Any, request: Any) -> None:
    response.status = 204
    response.content = ()


DEFECTS = [other_status, no_range, other_range, other_total, unknown_total, too_few_bytes,
           too_many_bytes, empty_body, no_content]  # fmt: skip


@pytest.mark.parametrize("defect", DEFECTS)
@pytest.mark.parametrize("verify", [True, False])
def test_unexpected_response_to_range_raises(
    ready: Bench, tamper: Tamper, defect: Callable[[Any, Any], None], verify: bool
) -> None:
    tamper(defect)
    with pytest.raises(TransferError, match="unexpected response") as caught:
        ready.download(part_size=RANGE, verify=verify)
    assert caught.value.outcome == "aborted"
    assert_nothing_left(ready)


@pytest.mark.parametrize(
    "defect", [other_total, too_few_bytes, too_many_bytes, empty_body, no_content]
)
def test_unexpected_response_to_whole_object_raises(
    ready: Bench, tamper: Tamper, defect: Callable[[Any, Any], None]
) -> None:
    tamper(defect)
    with pytest.raises(TransferError, match="unexpected response"):
        ready.download()
    assert_nothing_left(ready)


@pytest.mark.parametrize(("surplus", "match"), [(-1, "early"), (1, "more bytes")])
def test_missing_content_length_still_checks_size(
    ready: Bench, tamper: Tamper, monkeypatch: pytest.MonkeyPatch, surplus: int, match: str
) -> None:
    """A proxy may omit the Content-Length, and close the connection at the end."""
    send = http_server._Connection._send

    class WithoutLength:
        def __init__(self, sock: Any) -> None:
            self._sock = sock

        def __getattr__(self, name: str) -> Any:
            return getattr(self._sock, name)

        def sendall(self, data: bytes) -> None:
            lines = data.split(b"\r\n")
            if lines[0] == b"HTTP/1.1 206 Partial Content":
                lines = [line for line in lines if not line.startswith(b"Content-Length:")]
            self._sock.sendall(b"\r\n".join(lines))

    def without_length(self: Any, *args: Any, **kwargs: Any) -> None:
        self._socket = WithoutLength(self._socket)
        send(self, *args, **kwargs)

    def change(response: Any, request: Any) -> None:
        (segment,) = response.content
        response.content = (segment._replace(size=2 * (segment.size + surplus)),)
        response.truncated = True  # to half of the size

    monkeypatch.setattr(http_server._Connection, "_send", without_length)
    tamper(change)
    with pytest.raises(TransferError, match=match):
        ready.download(part_size=RANGE, max_concurrency=1, retry=RetryPolicy(attempts=1))
    assert_nothing_left(ready)


# Expiry


@pytest.mark.parametrize("kind", ["expired", "expired_token"])
def test_url_is_renewed_once_for_all_ranges(ready: Bench, kind: FaultKind) -> None:
    """The store rejects every range before the first renewal."""
    add_fault(ready, Row(kind, {}), 4)
    barrier = threading.Barrier(4, timeout=60)
    exchange = ready.client.store_client.exchange

    def exchange_together(request: Any, **options: Any) -> Any:
        response = exchange(request, **options)
        if response.status in (400, 403):
            barrier.wait()
        return response

    ready.client.store_client.exchange = exchange_together  # type: ignore[method-assign]
    ready.download(part_size=RANGE, max_concurrency=4)
    assert ready.sandbox.faults.pending == []
    assert ready.target.read_bytes() == content(SIZE)
    assert ready.operations["stat_object"] == 2
    assert len(ready.ranges) == 8


def test_url_is_renewed_before_expiry(ready: Bench, on_bytes: OnBytes) -> None:
    clock = MovableClock()
    ready.client.store_client.timing = Timing(clock=clock)

    def progress(count: int) -> None:
        ready.sandbox.clock.advance(890)
        clock.now += 890

    on_bytes(progress)
    ready.download(part_size=RANGE, max_concurrency=1)
    assert ready.operations["stat_object"] == 4
    assert len(ready.ranges) == 4
    assert ready.target.read_bytes() == content(SIZE)


@pytest.mark.parametrize(("faults", "requests"), [(1, 2), (2, 2)])
def test_requests_through_server_have_one_retry_loop(
    make_bench: Callable[..., Bench], faults: int, requests: int
) -> None:
    bench = make_bench(presign=False)
    bench.put(content(SIZE))
    bench.sandbox.faults.add("get_object", "status", times=faults, status=503)
    with nullcontext() if faults == 1 else pytest.raises(TransferError, match="503"):
        bench.download()
    assert bench.operations["get_object"] == requests


@pytest.mark.parametrize(("faults", "requests"), [(1, 3), (2, 3)])
def test_renewals_have_one_retry_loop(ready: Bench, faults: int, requests: int) -> None:
    add_fault(ready, Row("expired", {}), 2)
    ready.sandbox.faults.add("stat_object", "status", times=faults, status=503, after=1)
    with nullcontext() if faults == 1 else pytest.raises(TransferError, match="503"):
        ready.download()
    assert ready.operations["stat_object"] == requests


@pytest.mark.parametrize("kind", ["expired", "expired_token"])
def test_third_expired_url_fails_download(ready: Bench, kind: FaultKind) -> None:
    add_fault(ready, Row(kind, {}), 3)
    with pytest.raises(TransferError, match="range 1") as caught:
        ready.download()
    assert ready.sandbox.faults.pending == []
    assert ready.operations["stat_object"] == 3
    assert caught.value.outcome == "aborted"
    assert "xpired" in str(caught.value)
    assert_nothing_left(ready)


def test_failed_renewal_fails_download(ready: Bench) -> None:
    add_fault(ready, Row("expired", {}), 1)
    ready.sandbox.faults.add("stat_object", "status", status=404, after=1)
    with pytest.raises(TransferError, match="range 1: 404") as caught:
        ready.download()
    assert isinstance(caught.value.__cause__, NotFoundException)
    assert_nothing_left(ready)


# Changed objects


def replace_object(bench: Bench, times: int) -> Callable[[int], None]:
    """Return a progress callback that replaces the object `times` times, and expires its URL."""
    remaining = times

    def progress(count: int) -> None:
        nonlocal remaining
        counts.append(count)
        if remaining and count > 0:
            remaining -= 1
            bench.put(content(SIZE + remaining)[::-1])
            bench.sandbox.faults.add(GET, "expired")

    counts: list[int] = []
    progress.counts = counts  # type: ignore[attr-defined]
    return progress


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("times", [1, 2])
def test_changed_object_restarts_download(
    ready: Bench,
    caplog: pytest.LogCaptureFixture,
    on_bytes: OnBytes,
    times: int,
    resume: bool,
) -> None:
    progress = replace_object(ready, times)
    on_bytes(progress)
    stats = ready.download(part_size=RANGE, max_concurrency=1, resume=resume)
    assert ready.target.read_bytes() == content(SIZE)[::-1]
    assert stats.size_bytes == SIZE
    assert sum(progress.counts) == SIZE  # type: ignore[attr-defined]
    assert ready.download_names == ["target.bin"]
    assert list(ready.folder.glob("journals/*")) == []
    warnings = [r for r in caplog.records if "restarting the download" in r.getMessage()]
    assert [r.levelname for r in warnings] == ["WARNING"] * times


@pytest.mark.parametrize("resume", [False, True])
def test_repeatedly_changed_object_fails_download(
    ready: Bench, on_bytes: OnBytes, resume: bool
) -> None:
    on_bytes(replace_object(ready, 9))
    with pytest.raises(TransferError, match=r"changed during the download \(attempt 3\)") as caught:
        ready.download(part_size=RANGE, max_concurrency=1, resume=resume)
    assert caught.value.outcome == "aborted"
    assert isinstance(caught.value.__cause__, ChangedError)
    assert_nothing_left(ready)


def test_object_deleted_after_change_fails_download(ready: Bench) -> None:
    ready.sandbox.faults.add(GET, "wrong_etag", after=1)
    ready.sandbox.faults.add("stat_object", "status", status=404, after=1)
    with pytest.raises(TransferError, match="404") as caught:
        ready.download(part_size=RANGE, max_concurrency=1)
    assert isinstance(caught.value.__cause__, NotFoundException)
    assert_nothing_left(ready)


def test_changed_etag_restarts_download(ready: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """An imported object can change in the store without lakeFS."""
    ready.sandbox.faults.add(GET, "wrong_etag", after=1)
    ready.download(part_size=RANGE, max_concurrency=1)
    assert "restarting the download" in caplog.text
    assert len(ready.ranges) == 2 + 4
    assert ready.target.read_bytes() == content(SIZE)


def test_changed_object_restarts_download_through_server(
    make_bench: Callable[..., Bench], on_bytes: OnBytes
) -> None:
    bench = make_bench(presign=False)
    bench.put(content(SIZE))
    moved = False

    def progress(count: int) -> None:
        nonlocal moved
        if not moved:
            moved = True
            bench.put(content(SIZE)[::-1])

    on_bytes(progress)
    bench.download(part_size=RANGE, max_concurrency=1)
    assert bench.target.read_bytes() == content(SIZE)[::-1]


# Cancellation


def test_first_failure_cancels_stalled_bodies(
    ready: Bench, tamper: Tamper, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without the cancellation, the bodies would end at the read timeout.
    monkeypatch.setattr(download_module, "CANCEL_WAIT", 600)
    stalls: list[Stall] = []
    barrier = threading.Barrier(2, timeout=60)

    def stall(response: Any, request: Any) -> None:
        if request.headers["range"].startswith("bytes=0-"):
            barrier.wait()
            assert stalls[0].started.wait(60)
            response.status = 403
        else:
            (segment,) = response.content
            stalls.append(Stall(segment.size - 10))
            response.content = (segment._replace(size=10), stalls[0])
            barrier.wait()

    tamper(stall)
    ready.client.configuration.read_timeout = 6000
    try:
        with pytest.raises(TransferError, match="range 1: 403"):
            ready.download(part_size=SIZE // 2, max_concurrency=2)
    finally:
        stalls[0].released.set()
    assert_nothing_left(ready)


def test_first_failure_cancels_waiting_retries(ready: Bench) -> None:
    add_fault(ready, status(503), 1)
    add_fault(ready, status(403), 1)
    policy = RetryPolicy(min_wait=3600, max_wait=3600)
    with pytest.raises(TransferError, match="403"):
        ready.download(part_size=SIZE // 2, max_concurrency=2, retry=policy)
    assert_nothing_left(ready)


@pytest.mark.parametrize("part_size", [RANGE, SIZE])
@pytest.mark.parametrize("resume", [False, True])
def test_interrupt_cancels_download(
    ready: Bench, tamper: Tamper, part_size: int, resume: bool
) -> None:
    stall = Stall(10)
    tamper(lambda response, request: setattr(response, "content", stall_at_end(response, stall)))
    try:
        with interrupt_once(stall.started.is_set), pytest.raises(KeyboardInterrupt):
            ready.download(part_size=part_size, resume=resume)
    finally:
        stall.released.set()
    if resume:
        assert len(ready.download_names) == 2
    else:
        assert_nothing_left(ready)
    assert ready.target.read_bytes() == b"old"


def stall_at_end(response: Any, stall: Stall) -> Any:
    """Return the content with a stall at its end."""
    (segment,) = response.content
    return (segment._replace(size=segment.size - stall.size), stall)


@pytest.mark.parametrize("resume", [False, True])
def test_disk_errors_are_raised(
    ready: Bench, monkeypatch: pytest.MonkeyPatch, resume: bool
) -> None:
    def raise_no_space(self: Any, *arguments: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(PartialFile, "_write_at", raise_no_space)
        with pytest.raises(OSError, match="No space") as caught:
            ready.download(part_size=RANGE, resume=resume)
    assert type(caught.value) is OSError
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename.startswith(str(ready.target.with_name(".target.bin.")))
    assert "receives a download" in str(caught.value)
    if not resume:
        assert_nothing_left(ready)
    ready.download(part_size=RANGE, resume=resume)
    assert ready.target.read_bytes() == content(SIZE)
    assert ready.download_names == ["target.bin"]


def test_short_writes_are_completed(ready: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    write_at = PartialFile._write_at
    monkeypatch.setattr(
        PartialFile,
        "_write_at",
        lambda self, to, data, offset: write_at(self, to, data[:7], offset),
    )
    ready.download(part_size=RANGE)
    assert ready.target.read_bytes() == content(SIZE)


# Outages


@pytest.fixture
def _patience(monkeypatch: pytest.MonkeyPatch, ready: Bench) -> None:
    """Use the default numbers of attempts, without waits."""
    ready.client.configuration.retries = None
    monkeypatch.setattr(retry, "_DEFAULT", RetryPolicy(5, 0, 0))
    attempts = context.PATIENCE.attempts
    monkeypatch.setattr(context, "PATIENCE", RetryPolicy(attempts, 0, 0))


def test_patience_lasts_for_60_seconds() -> None:
    """The waits are random. Ten runs in a thousand may be shorter."""
    policy, chance = context.PATIENCE, random.Random(1)
    totals = sorted(
        sum(policy.wait(n, None, chance.random()) or 0 for n in range(1, policy.attempts))
        for _ in range(1000)
    )
    assert totals[10] > 60
    assert totals[-1] < 180


@pytest.mark.usefixtures("_patience")
@pytest.mark.parametrize("fault", [status(503), Row("reset_before", {}), Row("truncate", {})])
def test_download_survives_outage(ready: Bench, fault: Row) -> None:
    add_fault(ready, fault, 20, after=1)
    ready.download(part_size=RANGE, max_concurrency=1)
    assert ready.target.read_bytes() == content(SIZE)
    assert not ready.sandbox.faults.pending


@pytest.mark.usefixtures("_patience")
def test_first_request_has_default_attempts(ready: Bench) -> None:
    add_fault(ready, status(503), 20)
    with pytest.raises(TransferError, match="503"):
        ready.download()
    assert len(ready.ranges) == 5


@pytest.mark.usefixtures("_patience")
def test_retry_policy_limits_patience(ready: Bench) -> None:
    add_fault(ready, status(503), 20, after=1)
    with pytest.raises(TransferError, match="503"):
        ready.download(part_size=RANGE, max_concurrency=1, retry=RetryPolicy(3, 0, 0))
    assert len(ready.ranges) == 4


# Throttle


def test_status_503_slows_throttle_down(ready: Bench) -> None:
    transfer = ready.transfer(part_size=RANGE, max_concurrency=4)
    add_fault(ready, status(503), 1)
    released: list[bool] = []

    class RecordingThrottle(Throttle):
        def release(self, token: int, *, slow_down: bool = False) -> None:
            released.append(slow_down)
            super().release(token, slow_down=slow_down)

    set_throttle(transfer, RecordingThrottle(4))
    transfer.download_file("repo", "main", PATH, ready.target)
    assert sorted(released) == [False] * 4 + [True]


@pytest.mark.parametrize("fails", [False, True])
def test_throttle_slots_are_released(ready: Bench, fails: bool) -> None:
    transfer = ready.transfer(part_size=RANGE, max_concurrency=4)
    throttle = set_throttle(transfer, Throttle(1))
    if fails:
        add_fault(ready, status(403), 1, after=1)
        with pytest.raises(TransferError, match="403"):
            transfer.download_file("repo", "main", PATH, ready.target)
    else:
        transfer.download_file("repo", "main", PATH, ready.target)
    assert throttle.active == 0


@pytest.mark.parametrize("times", [0, 1])
def test_cancellation_releases_sockets(
    ready: Bench, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """A cancellation that kept a socket would break the socket's next request."""
    cancellations: list[Cancellation] = []

    class RecordedCancellation(Cancellation):
        def __init__(self, parent: Cancellation | None = None) -> None:
            super().__init__(parent)
            cancellations.append(self)

    monkeypatch.setattr(remote_module, "Cancellation", RecordedCancellation)
    if times:
        add_fault(ready, status(503), 1, after=3)
    ready.download(part_size=RANGE)
    assert [cancellation._sockets for cancellation in cancellations] == [{}]


def test_interrupt_ends_wait_for_throttle_slot(
    ready: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download_module, "CANCEL_WAIT", 600)
    acquired = 0

    class CountingThrottle(Throttle):
        def acquire(self, cancelled: Callable[[], bool]) -> int | None:
            nonlocal acquired
            acquired += 1
            return super().acquire(cancelled)

    transfer = ready.transfer(part_size=SIZE // 2, max_concurrency=2)
    throttle = set_throttle(transfer, CountingThrottle(1))
    assert throttle.acquire(never) is not None  # a slot of another transfer
    with interrupt_once(lambda: acquired == 3), pytest.raises(KeyboardInterrupt):
        transfer.download_file("repo", "main", PATH, ready.target)
    assert ready.ranges == []
    assert_nothing_left(ready)


# Resumption


def remaining_files(bench: Bench) -> tuple[list[Any], Any]:
    """Return the journal's records and the partial file of an interrupted download."""
    (path,) = bench.folder.glob("journals/*")
    records = [json.loads(line.partition(" ")[2]) for line in path.read_text().splitlines()]
    (hidden,) = bench.target.parent.glob(".target.bin.*.part")
    return records, hidden


def journal_line(record: Any) -> str:
    """Return a line of a journal."""
    text = json.dumps(record)
    return f"{zlib.crc32(text.encode()):08x} {text}\n"


def interrupt_download(bench: Bench, **options: Any) -> TransferError:
    """Download the first two of four ranges, until the network fails."""
    add_fault(bench, status(503), 2, after=2)
    with pytest.raises(TransferError) as caught:
        bench.download(part_size=RANGE, max_concurrency=1, resume=True, **options)
    bench.sandbox.requests.clear()
    return caught.value


def test_resume_requests_missing_ranges_only(ready: Bench) -> None:
    error = interrupt_download(ready)
    assert error.outcome == "resumable"
    assert "resume=True" in str(error)
    assert ready.target.read_bytes() == b"old"
    (first, *ranges), hidden = remaining_files(ready)
    assert first["file"] == hidden.name
    assert "?" not in json.dumps(first)
    assert [record["range"] for record in ranges] == [1, 2]
    counts: list[int] = []
    ready.download(part_size=RANGE, resume=True, progress=counts.append)
    assert sorted(ready.ranges) == ["600-899", "900-999"]
    assert ready.target.read_bytes() == content(SIZE)
    assert sum(counts) == SIZE
    assert ready.download_names == ["target.bin"]
    assert list(ready.folder.glob("journals/*")) == []


def test_resume_keeps_range_size(ready: Bench) -> None:
    interrupt_download(ready)
    ready.download(part_size=450, resume=True)
    assert sorted(ready.ranges) == ["600-899", "900-999"]
    assert ready.target.read_bytes() == content(SIZE)


@pytest.mark.parametrize("damage", [b"", b"x" * 299, b"x" * SIZE])
def test_resume_verifies_partial_file(ready: Bench, damage: bytes) -> None:
    interrupt_download(ready)
    _, hidden = remaining_files(ready)
    hidden.write_bytes(damage)
    ready.download(part_size=RANGE, resume=True)
    assert len(ready.ranges) == 4
    assert ready.target.read_bytes() == content(SIZE)


def test_resume_restarts_without_partial_file(
    ready: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    interrupt_download(ready)
    remaining_files(ready)[1].unlink()
    ready.download(part_size=RANGE, resume=True)
    assert "restarting the download" in caplog.text
    assert len(ready.ranges) == 4
    assert ready.target.read_bytes() == content(SIZE)
    assert ready.download_names == ["target.bin"]


@pytest.mark.parametrize("name", ["../victim", "victim", "/victim", ".target.bin.part", "", "."])
def test_resume_ignores_other_file_in_journal(ready: Bench, name: str) -> None:
    interrupt_download(ready)
    (path,) = ready.folder.glob("journals/*")
    records, hidden = remaining_files(ready)
    victims = [ready.folder / "victim", ready.target.with_name("victim")]
    for victim in victims:
        victim.write_bytes(b"precious")
    records[0]["file"] = name.replace("/victim", str(victims[0])) if name[:1] == "/" else name
    path.write_text("".join(map(journal_line, records)))
    ready.download(part_size=RANGE, resume=True)
    assert ready.target.read_bytes() == content(SIZE)
    assert [victim.read_bytes() for victim in victims] == [b"precious"] * 2
    assert hidden.exists()


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_resume_does_not_open_other_kinds_of_files(ready: Bench, kind: str) -> None:
    interrupt_download(ready)
    _, hidden = remaining_files(ready)
    victim = ready.folder / "victim"
    victim.write_bytes(b"precious")
    hidden.unlink()
    if kind == "link":
        hidden.symlink_to(victim)
    else:
        os.mkfifo(hidden)
    ready.download(part_size=RANGE, resume=True)
    assert ready.target.read_bytes() == content(SIZE)
    assert victim.read_bytes() == b"precious"


def test_resume_restarts_if_object_changed(ready: Bench, caplog: pytest.LogCaptureFixture) -> None:
    interrupt_download(ready)
    ready.put(content(SIZE)[::-1])
    ready.download(part_size=RANGE, resume=True)
    assert "has changed; restarting the download" in caplog.text
    assert len(ready.ranges) == 4
    assert ready.target.read_bytes() == content(SIZE)[::-1]
    assert ready.download_names == ["target.bin"]


def test_call_without_resume_keeps_journal(ready: Bench) -> None:
    interrupt_download(ready)
    ready.download(part_size=RANGE)
    assert len(ready.ranges) == 4
    remaining_files(ready)


def test_missing_object_keeps_journal(ready: Bench) -> None:
    interrupt_download(ready)
    ready.sandbox.faults.add("stat_object", "status", status=404)
    with pytest.raises(NotFoundException):
        ready.download(part_size=RANGE, resume=True)
    ready.download(part_size=RANGE, resume=True)
    assert len(ready.ranges) == 2


def test_concurrent_resume_raises(ready: Bench) -> None:
    errors: list[TransferError] = []

    def progress(count: int) -> None:
        with pytest.raises(TransferError, match="in progress") as caught:
            ready.download(resume=True)
        errors.append(caught.value)

    ready.download(resume=True, progress=progress)
    assert [error.outcome for error in errors] == ["aborted"]
    assert ready.target.read_bytes() == content(SIZE)


PROGRAM = f"""
import os, signal, sys
import lakefs_client
from lakefs_client.transfer import Transfer, TransferConfig
from lakefs_client.transfer.progress import Progress

host, user, password, target, journals, kill_after = sys.argv[1:]
received = 0

def progress(self, count):
    global received
    received += count
    if received >= int(kill_after):
        os.kill(os.getpid(), signal.SIGKILL)

Progress.add = progress  # callbacks run in another thread
configuration = lakefs_client.Configuration(host=host, username=user, password=password)
configuration.verify_ssl = False
with lakefs_client.ApiClient(configuration) as client:
    config = TransferConfig(max_concurrency=1, journal_dir=journals)
    object.__setattr__(config, "part_size", 300)
    Transfer(client, config).download_file(
        "repo", "main", {PATH!r}, target, resume=True
    )
"""


@pytest.mark.parametrize(("kill_after", "ranges"), [(1, 4), (301, 3), (901, 1)])
def test_resume_after_kill(ready: Bench, kill_after: int, ranges: int) -> None:
    configuration = ready.sandbox.configuration()
    arguments = [
        configuration.host,
        ready.sandbox.access_key_id,
        ready.sandbox.secret_access_key,
        str(ready.target),
        str(ready.folder / "journals"),
        str(kill_after),
    ]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert ready.target.read_bytes() == b"old"
    ready.sandbox.requests.clear()
    ready.download(part_size=RANGE, resume=True)
    assert len(ready.ranges) == ranges
    assert ready.target.read_bytes() == content(SIZE)
    assert ready.download_names == ["target.bin"]
    assert list(ready.folder.glob("journals/*")) == []
