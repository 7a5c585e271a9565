"""Presigned URLs that expire during an upload."""

from __future__ import annotations

import io
import re
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from support.bench import PART, PATH, Bench, MovableClock, OnBytes, content

from lakefs_client import RetryPolicy
from lakefs_client.exceptions import ApiException, TransferError
from lakefs_client.rest import Timing
from lakefs_client.sandbox import FaultKind
from lakefs_client.transfer import Transfer, TransferConfig
from lakefs_client.transfer.presigned import ExpiringUrl, RenewalUnsupportedError, SignedUrl
from lakefs_client.transfer.progress import Progress
from lakefs_client.transfer.store import is_url_expired
from lakefs_client.transfer.upload import resume

SIZE = 2 * PART + 9
EXPIRIES: list[FaultKind] = ["expired", "expired_token"]


def pass_time(bench: Bench, seconds: float, *, local: bool = True) -> Callable[[int], None]:
    """Return a callback for `on_bytes` that advances the server's clock after part 1.

    The client's clock advances too, if `local` is true.
    """
    clock = MovableClock()
    bench.client.store_client.timing = Timing(clock=clock)
    sent = 0

    def progress(count: int) -> None:
        nonlocal sent
        sent += count
        if sent == PART:
            bench.sandbox.clock.advance(seconds)
            clock.now += seconds if local else 0

    return progress


def count_rejections(bench: Bench) -> int:
    """Return the number of parts that the store rejected."""
    return sum(r.operation == "store_put_part" and r.status != 200 for r in bench.sandbox.requests)


def test_urls_are_renewed_before_expiry(bench: Bench, on_bytes: OnBytes) -> None:
    on_bytes(pass_time(bench, 890))
    bench.upload(SIZE, max_concurrency=1)
    assert bench.operations["upload_part"] == 2
    assert count_rejections(bench) == 0
    bench.assert_whole(content(SIZE))


def test_urls_far_from_expiry_are_not_renewed(bench: Bench, on_bytes: OnBytes) -> None:
    on_bytes(pass_time(bench, 870))
    bench.upload(SIZE, max_concurrency=1)
    assert bench.operations["upload_part"] == 0
    bench.assert_whole(content(SIZE))


def test_urls_are_renewed_after_rejection_by_store(bench: Bench, on_bytes: OnBytes) -> None:
    # The monotonic clock of a suspended machine stops.
    on_bytes(pass_time(bench, 1000, local=False))
    bench.upload(SIZE, max_concurrency=1)
    assert bench.operations["upload_part"] == 2
    assert count_rejections(bench) == 2
    bench.assert_whole(content(SIZE))


@pytest.mark.parametrize("skew", [-5 * 365 * 86400, -3600, 3600, 5 * 365 * 86400])
def test_local_clock_may_be_wrong(bench: Bench, skew: float) -> None:
    bench.sandbox.clock.advance(skew)
    bench.upload(SIZE)
    assert bench.operations["upload_part"] == 0
    assert count_rejections(bench) == 0
    bench.assert_whole(content(SIZE))


def test_lifetime_below_margin_renews_url_of_each_part(
    make_bench: Callable[..., Bench],
) -> None:
    bench = make_bench(url_lifetime=10)
    bench.client.store_client.timing = Timing(clock=MovableClock())
    bench.upload(SIZE)
    assert bench.operations["upload_part"] == 3
    bench.assert_whole(content(SIZE))


@pytest.mark.parametrize("kind", EXPIRIES)
@pytest.mark.parametrize("times", [1, 2])
def test_url_is_renewed_up_to_twice_in_a_row(bench: Bench, kind: FaultKind, times: int) -> None:
    bench.sandbox.faults.add("store_put_part", kind, part_number=2, times=times)
    bench.upload(SIZE)
    assert not bench.sandbox.faults.pending
    assert bench.operations["upload_part"] == times
    bench.assert_whole(content(SIZE))


@pytest.mark.parametrize("kind", EXPIRIES)
def test_third_expired_url_fails_part(bench: Bench, kind: FaultKind) -> None:
    bench.sandbox.faults.add("store_put_part", kind, part_number=2, times=3)
    with pytest.raises(TransferError, match="part 2") as caught:
        bench.upload(SIZE)
    assert not bench.sandbox.faults.pending
    assert bench.operations["upload_part"] == 2
    assert (caught.value.outcome, caught.value.part_number) == ("aborted", 2)
    assert caught.value.status == {"expired": 403, "expired_token": 400}[kind]
    assert "xpired" in str(caught.value)
    bench.assert_nothing_left()


def test_other_failure_resets_count_of_renewals(bench: Bench) -> None:
    add_fault = bench.sandbox.faults.add
    for kind in ("expired", "reset_after", "expired", "expired"):
        add_fault("store_put_part", kind, part_number=1)
    bench.upload(SIZE)
    assert not bench.sandbox.faults.pending
    assert bench.operations["upload_part"] == 3
    bench.assert_whole(content(SIZE))


@pytest.mark.parametrize("kind", EXPIRIES)
def test_expired_url_of_single_put_requests_new_address(bench: Bench, kind: FaultKind) -> None:
    bench.sandbox.faults.add("store_put_object", kind, times=2)
    stats = bench.upload(99)
    assert not bench.sandbox.faults.pending
    assert bench.operations["get_physical_address"] == 3
    assert bench.bytes_at(stats.physical_address) == content(99)
    bench.assert_whole(content(99))


def test_third_expired_url_fails_single_put(bench: Bench) -> None:
    bench.sandbox.faults.add("store_put_object", "expired", times=3)
    with pytest.raises(TransferError, match="403") as caught:
        bench.upload(99)
    assert caught.value.outcome == "aborted"
    assert bench.operations["get_physical_address"] == 3
    bench.assert_nothing_left()


def test_single_put_renews_url_below_margin_once(
    make_bench: Callable[..., Bench],
) -> None:
    bench = make_bench(url_lifetime=10)
    bench.client.store_client.timing = Timing(clock=time.monotonic)
    bench.upload(99)
    # Both URLs expire within the margin, but a new URL is used anyway.
    assert bench.operations["get_physical_address"] == 2
    bench.assert_whole(content(99))


@pytest.mark.parametrize("status", [404, 500])
def test_unsupported_renewal_of_first_part_restarts_upload(bench: Bench, status: int) -> None:
    bench.sandbox.faults.add("store_put_part", "expired", part_number=1)
    bench.sandbox.faults.add(
        "upload_part", "status", status=status, body={"message": "invalid API endpoint"}
    )
    counts: list[int] = []
    bench.upload(SIZE, max_concurrency=1, progress=counts.append)
    assert not bench.sandbox.faults.pending
    assert bench.operations["create_presign_multipart_upload"] == 2
    assert sum(counts) == SIZE
    bench.assert_whole(content(SIZE))


@pytest.mark.parametrize("status", [404, 500])
def test_unsupported_renewal_names_required_version(bench: Bench, status: int) -> None:
    bench.sandbox.faults.add("store_put_part", "expired", part_number=2)
    bench.sandbox.faults.add(
        "upload_part", "status", status=status, body={"message": "invalid API endpoint"}
    )
    with pytest.raises(TransferError, match=r"part 2.*expired.*upload_part.*1\.55") as caught:
        bench.upload(SIZE, max_concurrency=1)
    assert not bench.sandbox.faults.pending
    assert caught.value.outcome == "aborted"
    assert caught.value.status == 404
    bench.assert_nothing_left()


@pytest.mark.parametrize(
    ("status", "times", "text"),
    [(404, 1, "404 Not Found"), (401, 1, "401"), (500, 2, "500"), (503, 4, "503")],
)
def test_failed_renewal_aborts_upload(bench: Bench, status: int, times: int, text: str) -> None:
    # The call retries the renewal, and so does the part.
    bench.sandbox.faults.add("store_put_part", "expired", part_number=1, times=min(times, 2))
    bench.sandbox.faults.add("upload_part", "status", status=status, times=times)
    with pytest.raises(TransferError, match=f"part 1: {text}") as caught:
        bench.upload(SIZE)
    assert not bench.sandbox.faults.pending
    assert caught.value.outcome == "aborted"
    assert isinstance(caught.value.__cause__, ApiException)
    bench.assert_nothing_left()


def test_renewal_is_retried(bench: Bench) -> None:
    bench.sandbox.faults.add("store_put_part", "expired", part_number=1)
    bench.sandbox.faults.add("upload_part", "lost_answer")
    bench.upload(SIZE)
    assert not bench.sandbox.faults.pending
    bench.assert_whole(content(SIZE))


def make_error(status: int, body: str | None) -> ApiException:
    error = ApiException(status, "reason")
    error.body = body
    return error


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        # S3 and MinIO, expired credentials, Google, Azure.
        (403, "<Code>AccessDenied</Code><Message>Request has expired</Message>", True),
        (403, "<Code>ExpiredToken</Code>", True),
        (400, "<Code>ExpiredToken</Code>", True),
        (400, "<Code>ExpiredTokenException</Code>", True),
        (
            403,
            "<Details>Signature not valid in the specified time frame: Start [x]</Details>",
            True,
        ),
        (403, "<Code>AccessDenied</Code><Message>Access Denied</Message>", False),
        (403, "<Code>SignatureDoesNotMatch</Code>", False),
        (400, "<Code>RequestTimeout</Code>", False),
        (400, "<Message>Request has expired</Message>", False),
        (404, "<Message>Request has expired</Message>", False),
        (500, "<Code>ExpiredToken</Code>", False),
        (403, "", False),
        (403, None, False),
        (0, None, False),
    ],
)
def test_is_url_expired(status: int, body: str | None, expected: bool) -> None:
    assert is_url_expired(make_error(status, body)) is expected


class Maker:
    """Makes URLs with an unknown lifetime, or one of 900 s.

    Attributes:
        made: Number of URLs made.
    """

    def __init__(self, *, known_lifetime: bool, can_renew: bool = True) -> None:
        self._known_lifetime = known_lifetime
        self._can_renew = can_renew
        self.made = 0

    def __call__(self) -> SignedUrl:
        if not self._can_renew and self.made:
            raise RenewalUnsupportedError(404, "this server cannot")
        self.made += 1
        life = "&X-Amz-Date=20260101T000000Z&X-Amz-Expires=900" if self._known_lifetime else ""
        return SignedUrl(f"http://store/{self.made}?{life}", "Thu, 01 Jan 2026 00:00:00 GMT")


@pytest.mark.parametrize(("known_lifetime", "doubts"), [(False, 1), (True, 2)])
def test_doubted_url_is_renewed(known_lifetime: bool, doubts: int) -> None:
    make = Maker(known_lifetime=known_lifetime)
    url = ExpiringUrl(make, MovableClock())
    for made in (1, 2):
        for _ in range(doubts):
            assert url.get().startswith(f"http://store/{made}?")
            url.doubt()
        assert make.made == made
    assert url.get().startswith("http://store/3?")
    # A new URL is not doubted.
    assert url.get().startswith("http://store/3?")


@pytest.mark.parametrize(("known_lifetime", "doubts"), [(False, 1), (True, 2)])
def test_doubted_url_is_reused_if_renewal_is_unsupported(known_lifetime: bool, doubts: int) -> None:
    clock = MovableClock()
    url = ExpiringUrl(Maker(known_lifetime=known_lifetime, can_renew=False), clock)
    for _ in range(3):
        for _ in range(doubts):
            assert url.get().startswith("http://store/1?")
            url.doubt()
    assert url.get().startswith("http://store/1?")
    if known_lifetime:
        clock.now += 900
        with pytest.raises(RenewalUnsupportedError):
            url.get()


def test_url_is_renewed_before_lifetime_ends() -> None:
    clock = MovableClock()
    url = ExpiringUrl(Maker(known_lifetime=True), clock)
    url.get()
    clock.now += 884
    assert url.get().startswith("http://store/1?")
    clock.now += 1
    assert url.get().startswith("http://store/2?")


@pytest.mark.parametrize(("resets", "renewed"), [(1, 0), (2, 1), (3, 1), (4, 2)])
def test_repeated_resets_renew_url(bench: Bench, resets: int, renewed: int) -> None:
    """A store may close the connection during the body instead of answering 403."""
    bench.sandbox.faults.add("store_put_part", "reset_during", at=9, part_number=2, times=resets)
    bench.upload(SIZE, retry=RetryPolicy(attempts=5, min_wait=0, max_wait=0))
    assert not bench.sandbox.faults.pending
    assert bench.operations["upload_part"] == renewed
    bench.assert_whole(content(SIZE))


def test_failed_connections_do_not_renew_url(bench: Bench) -> None:
    """A refused connection does not mean that the URL has expired."""
    store = bench.sandbox._servers[0]
    source = bench.file(SIZE)
    store.close()
    with pytest.raises(TransferError, match=r"no connection|the connection broke") as caught:
        bench.upload(source, retry=RetryPolicy(attempts=4, min_wait=0, max_wait=0))
    assert caught.value.outcome == "aborted"
    assert bench.operations["upload_part"] == 0


HOUR = 3600.0


def estimates(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the durations that the log estimates."""
    found = (re.search(r"(the upload .*) hours", r.getMessage()) for r in caplog.records)
    return [match[1] for match in found if match]


@pytest.fixture
def clock(bench: Bench) -> MovableClock:
    clock = MovableClock()
    bench.client.store_client.timing = Timing(clock=clock)
    return clock


class TimedWrites:
    """A replacement of the blockstore's write that advances the clock once per batch of parts."""

    def __init__(self, bench: Bench, clock: MovableClock, width: int, hours: float) -> None:
        self._write = bench.sandbox.blockstore.write
        self._together = threading.Barrier(width, lambda: self._pass(clock, hours))

    def _pass(self, clock: MovableClock, hours: float) -> None:
        clock.now += hours * HOUR

    def __call__(self, *args: Any) -> Any:
        self._together.wait(60)
        return self._write(*args)


@pytest.mark.parametrize(
    ("width", "hours", "expected"),
    [
        (1, 5.9, []),
        (1, 6.5, ["the upload takes 26"]),
        (1, 30, ["the upload takes 120"]),
        # The pace counts every part in flight, not only the first that arrives.
        (2, 11.5, []),
        (2, 13, ["the upload takes 26"]),
        (4, 23, []),
        (4, 25, ["the upload takes 25"]),
    ],
)
def test_upload_slower_than_address_lifetime_logs_estimate_once(
    bench: Bench,
    clock: MovableClock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    hours: float,
    expected: list[str],
) -> None:
    monkeypatch.setattr(bench.sandbox.blockstore, "write", TimedWrites(bench, clock, width, hours))
    bench.upload(4 * PART, max_concurrency=width)
    assert estimates(caplog) == expected


def test_estimate_follows_first_part(
    bench: Bench, clock: MovableClock, caplog: pytest.LogCaptureFixture, on_bytes: OnBytes
) -> None:
    logged: list[list[str]] = []

    def pass_window(count: int) -> None:
        logged.append(estimates(caplog))
        clock.now += 7 * HOUR / 5  # a part has five windows

    on_bytes(pass_window)
    bench.upload(4 * PART, max_concurrency=1)
    assert logged[4] == []
    assert logged[5] == ["the upload takes 28"]


@pytest.mark.parametrize(
    ("hours", "expected"), [(6, []), (6.5, ["the upload has taken 20"]), (1 / 60, [])]
)
def test_stream_logs_elapsed_time_near_address_expiry(
    bench: Bench,
    clock: MovableClock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    hours: float,
    expected: list[str],
) -> None:
    monkeypatch.setattr(bench.sandbox.blockstore, "write", TimedWrites(bench, clock, 1, hours))
    transfer = Transfer(bench.client, TransferConfig(part_size=PART, max_concurrency=1))

    class Stream:
        read = io.BytesIO(content(3 * PART)).read

    transfer.upload_fileobj(Stream(), "repo", "main", PATH)
    assert estimates(caplog) == expected


@pytest.mark.parametrize(("hours", "expected"), [(2, []), (3, ["the upload takes 25"])])
def test_resumed_upload_estimates_from_own_pace(
    bench: Bench,
    clock: MovableClock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    hours: float,
    expected: list[str],
) -> None:
    transfer = Transfer(
        bench.client,
        TransferConfig(part_size=PART, max_concurrency=1, journal_dir=bench.folder / "journals"),
    )
    source = bench.file(5 * PART)
    sent = 0

    def stop(count: int) -> None:
        nonlocal sent
        sent += count
        if sent > 2 * PART:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "add", lambda self, count: stop(count))
        with pytest.raises(KeyboardInterrupt):
            transfer.upload_file(source, "repo", "main", PATH, resume=True)
    # The upload was interrupted for most of a day.
    later_clock = SimpleNamespace(time=lambda: time.time() + 16 * HOUR)
    monkeypatch.setattr(resume, "time", later_clock)
    monkeypatch.setattr(bench.sandbox.blockstore, "write", TimedWrites(bench, clock, 1, hours))
    transfer.upload_file(source, "repo", "main", PATH, resume=True)
    assert bench.operations["store_put_part"] == 6
    assert estimates(caplog) == expected
    bench.assert_whole(content(5 * PART))
