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
from support.bench import PART, PATH, Bench, MovableClock, content

from lakefs_client import RetryPolicy
from lakefs_client.exceptions import ApiException, TransferError
from lakefs_client.rest import Timing
from lakefs_client.sandbox import FaultKind
from lakefs_client.transfer import Transfer, TransferConfig
from lakefs_client.transfer.presigned import ExpiringUrl, RenewalUnsupportedError, SignedUrl
from lakefs_client.transfer.store import is_url_expired
from lakefs_client.transfer.upload import resume

SIZE = 2 * PART + 9
EXPIRIES: list[FaultKind] = ["expired", "expired_token"]


def pass_time(bench: Bench, seconds: float, *, noticed: bool = True) -> Callable[[int], None]:
    """Return a progress callback that moves the clock after part 1, for client and server see it,
    or the server alone."""
    clock = MovableClock()
    bench.client.store_client.timing = Timing(clock=clock)
    sent = 0

    def progress(count: int) -> None:
        nonlocal sent
        sent += count
        if sent == PART:
            bench.sandbox.clock.advance(seconds)
            clock.now += seconds if noticed else 0

    return progress


def refusals(bench: Bench) -> int:
    """Return the number of rejections by the store."""
    return sum(r.operation == "store_put_part" and r.status != 200 for r in bench.sandbox.requests)


def test_urls_are_renewed_before_they_expire(bench: Bench) -> None:
    bench.upload(SIZE, max_concurrency=1, progress=pass_time(bench, 890))
    assert bench.operations["upload_part"] == 2
    assert refusals(bench) == 0
    bench.assert_whole(content(SIZE))


def test_urls_with_enough_life_are_kept(bench: Bench) -> None:
    bench.upload(SIZE, max_concurrency=1, progress=pass_time(bench, 870))
    assert bench.operations["upload_part"] == 0
    bench.assert_whole(content(SIZE))


def test_expired_urls_are_renewed_upon_the_stores_refusal(bench: Bench) -> None:
    # As after a suspended machine, whose monotonic clock stood still.
    bench.upload(SIZE, max_concurrency=1, progress=pass_time(bench, 1000, noticed=False))
    assert bench.operations["upload_part"] == 2
    assert refusals(bench) == 2
    bench.assert_whole(content(SIZE))


@pytest.mark.parametrize("skew", [-5 * 365 * 86400, -3600, 3600, 5 * 365 * 86400])
def test_this_machines_clock_may_be_wrong(bench: Bench, skew: float) -> None:
    bench.sandbox.clock.advance(skew)
    bench.upload(SIZE)
    assert bench.operations["upload_part"] == 0
    assert refusals(bench) == 0
    bench.assert_whole(content(SIZE))


def test_urls_that_live_shorter_than_the_margin_are_renewed_for_each_part(
    make_bench: Callable[..., Bench],
) -> None:
    bench = make_bench(url_lifetime=10)
    bench.client.store_client.timing = Timing(clock=MovableClock())
    bench.upload(SIZE)
    assert bench.operations["upload_part"] == 3
    bench.assert_whole(content(SIZE))


@pytest.mark.parametrize("kind", EXPIRIES)
@pytest.mark.parametrize("times", [1, 2])
def test_a_url_is_renewed_up_to_twice_in_a_row(bench: Bench, kind: FaultKind, times: int) -> None:
    bench.sandbox.faults.add("store_put_part", kind, part_number=2, times=times)
    bench.upload(SIZE)
    assert not bench.sandbox.faults.pending
    assert bench.operations["upload_part"] == times
    bench.assert_whole(content(SIZE))


@pytest.mark.parametrize("kind", EXPIRIES)
def test_a_third_refusal_in_a_row_is_an_answer(bench: Bench, kind: FaultKind) -> None:
    bench.sandbox.faults.add("store_put_part", kind, part_number=2, times=3)
    with pytest.raises(TransferError, match="part 2") as caught:
        bench.upload(SIZE)
    assert not bench.sandbox.faults.pending
    assert bench.operations["upload_part"] == 2
    assert (caught.value.outcome, caught.value.part_number) == ("aborted", 2)
    assert caught.value.status == {"expired": 403, "expired_token": 400}[kind]
    assert "xpired" in str(caught.value)
    bench.assert_nothing_left()


def test_an_expiry_between_other_failures(bench: Bench) -> None:
    order = bench.sandbox.faults.add
    for kind in ("expired", "reset_after", "expired", "expired"):
        order("store_put_part", kind, part_number=1)
    bench.upload(SIZE)
    assert not bench.sandbox.faults.pending
    assert bench.operations["upload_part"] == 3
    bench.assert_whole(content(SIZE))


@pytest.mark.parametrize("kind", EXPIRIES)
def test_one_put_gets_a_new_address(bench: Bench, kind: FaultKind) -> None:
    bench.sandbox.faults.add("store_put_object", kind, times=2)
    stats = bench.upload(99)
    assert not bench.sandbox.faults.pending
    assert bench.operations["get_physical_address"] == 3
    assert bench.bytes_at(stats.physical_address) == content(99)
    bench.assert_whole(content(99))


def test_one_put_is_given_up_after_the_third_refusal(bench: Bench) -> None:
    bench.sandbox.faults.add("store_put_object", "expired", times=3)
    with pytest.raises(TransferError, match="403") as caught:
        bench.upload(99)
    assert caught.value.outcome == "aborted"
    assert bench.operations["get_physical_address"] == 3
    bench.assert_nothing_left()


def test_a_url_for_one_put_that_expired_on_the_way_is_not_used(
    make_bench: Callable[..., Bench],
) -> None:
    bench = make_bench(url_lifetime=10)
    bench.client.store_client.timing = Timing(clock=time.monotonic)
    bench.upload(99)
    # The first has less life left than a request needs; so has the second, but it is fresh.
    assert bench.operations["get_physical_address"] == 2
    bench.assert_whole(content(99))


@pytest.mark.parametrize("status", [404, 500])
def test_an_upload_of_which_nothing_arrived_begins_anew_where_urls_cannot_be_renewed(
    bench: Bench, status: int
) -> None:
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
def test_servers_that_cannot_renew_are_named(bench: Bench, status: int) -> None:
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
def test_a_failing_renewal_ends_the_upload(
    bench: Bench, status: int, times: int, text: str
) -> None:
    # What may be repeated is: by the call and, as a failure of the part, by the part.
    bench.sandbox.faults.add("store_put_part", "expired", part_number=1, times=min(times, 2))
    bench.sandbox.faults.add("upload_part", "status", status=status, times=times)
    with pytest.raises(TransferError, match=f"part 1: {text}") as caught:
        bench.upload(SIZE)
    assert not bench.sandbox.faults.pending
    assert caught.value.outcome == "aborted"
    assert isinstance(caught.value.__cause__, ApiException)
    bench.assert_nothing_left()


def test_a_renewal_is_repeated(bench: Bench) -> None:
    bench.sandbox.faults.add("store_put_part", "expired", part_number=1)
    bench.sandbox.faults.add("upload_part", "lost_answer")
    bench.upload(SIZE)
    assert not bench.sandbox.faults.pending
    bench.assert_whole(content(SIZE))


def answer(status: int, body: str | None) -> ApiException:
    error = ApiException(status, "reason")
    error.body = body
    return error


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        # S3 and MinIO; credentials that have run out; Google; Azure.
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
def test_what_says_that_a_url_has_expired(status: int, body: str | None, expected: bool) -> None:
    assert is_url_expired(answer(status, body)) is expected


class Maker:
    """Makes URLs, of which it is not known how long they are good for, or which live 900 s.

    Attributes:
        made: How many.
    """

    def __init__(self, *, known: bool, able: bool = True) -> None:
        self._known = known
        self._able = able
        self.made = 0

    def __call__(self) -> SignedUrl:
        if not self._able and self.made:
            raise RenewalUnsupportedError(404, "this server cannot")
        self.made += 1
        life = "&X-Amz-Date=20260101T000000Z&X-Amz-Expires=900" if self._known else ""
        return SignedUrl(f"http://store/{self.made}?{life}", "Thu, 01 Jan 2026 00:00:00 GMT")


@pytest.mark.parametrize(("known", "enough"), [(False, 1), (True, 2)])
def test_requests_that_break_off_cast_doubt_on_a_url(known: bool, enough: int) -> None:
    make = Maker(known=known)
    url = ExpiringUrl(make, MovableClock())
    for made in (1, 2):
        for _ in range(enough):
            assert url.get().startswith(f"http://store/{made}?")
            url.doubt()
        assert make.made == made
    assert url.get().startswith("http://store/3?")
    # A fresh one is beyond doubt.
    assert url.get().startswith("http://store/3?")


@pytest.mark.parametrize(("known", "enough"), [(False, 1), (True, 2)])
def test_a_url_in_doubt_that_cannot_be_renewed_may_be_good_all_the_same(
    known: bool, enough: int
) -> None:
    clock = MovableClock()
    url = ExpiringUrl(Maker(known=known, able=False), clock)
    for _ in range(3):
        for _ in range(enough):
            assert url.get().startswith("http://store/1?")
            url.doubt()
    assert url.get().startswith("http://store/1?")
    if known:
        clock.now += 900
        with pytest.raises(RenewalUnsupportedError):
            url.get()


def test_the_life_of_a_url_ends_before_the_store_says_so() -> None:
    clock = MovableClock()
    url = ExpiringUrl(Maker(known=True), clock)
    url.get()
    clock.now += 884
    assert url.get().startswith("http://store/1?")
    clock.now += 1
    assert url.get().startswith("http://store/2?")


@pytest.mark.parametrize(("resets", "renewed"), [(1, 0), (2, 1), (3, 1), (4, 2)])
def test_an_expiry_that_shows_as_a_reset(bench: Bench, resets: int, renewed: int) -> None:
    """As where the store closes the connection while a large body is on its way."""
    bench.sandbox.faults.add("store_put_part", "reset_during", at=9, part_number=2, times=resets)
    bench.upload(SIZE, retry=RetryPolicy(attempts=5, min_wait=0, max_wait=0))
    assert not bench.sandbox.faults.pending
    assert bench.operations["upload_part"] == renewed
    bench.assert_whole(content(SIZE))


def test_requests_that_were_never_sent_cast_no_doubt(bench: Bench) -> None:
    """Nobody answers at the store's port: its URLs are not to blame."""
    store = bench.sandbox._servers[0]
    source = bench.file(SIZE)
    store.close()
    with pytest.raises(TransferError, match=r"no connection|the connection broke") as caught:
        bench.upload(source, retry=RetryPolicy(attempts=4, min_wait=0, max_wait=0))
    assert caught.value.outcome == "aborted"
    assert bench.operations["upload_part"] == 0


HOUR = 3600.0


def foretold(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the durations that the log estimates."""
    found = (re.search(r"(the upload .*) hours", r.getMessage()) for r in caplog.records)
    return [match[1] for match in found if match]


@pytest.fixture
def clock(bench: Bench) -> MovableClock:
    clock = MovableClock()
    bench.client.store_client.timing = Timing(clock=clock)
    return clock


class Waves:
    """Replacement of the blockstore's write: batches of parts, each hours later."""

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
        # The first part to arrive is not all that was sent by then.
        (2, 11.5, []),
        (2, 13, ["the upload takes 26"]),
        (4, 23, []),
        (4, 25, ["the upload takes 25"]),
    ],
)
def test_an_upload_that_will_outlive_its_address_says_so_once(
    bench: Bench,
    clock: MovableClock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    hours: float,
    expected: list[str],
) -> None:
    monkeypatch.setattr(bench.sandbox.blockstore, "write", Waves(bench, clock, width, hours))
    bench.upload(4 * PART, max_concurrency=width)
    assert foretold(caplog) == expected


def test_it_is_said_after_the_first_part(
    bench: Bench, clock: MovableClock, caplog: pytest.LogCaptureFixture
) -> None:
    said: list[list[str]] = []

    def progress(count: int) -> None:
        said.append(foretold(caplog))
        clock.now += 7 * HOUR / 5  # of five windows

    bench.upload(4 * PART, max_concurrency=1, progress=progress)
    assert said[4] == []
    assert said[5] == ["the upload takes 28"]


@pytest.mark.parametrize(
    ("hours", "expected"), [(6, []), (6.5, ["the upload has taken 20"]), (1 / 60, [])]
)
def test_a_stream_says_when_most_of_the_time_is_over(
    bench: Bench,
    clock: MovableClock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    hours: float,
    expected: list[str],
) -> None:
    monkeypatch.setattr(bench.sandbox.blockstore, "write", Waves(bench, clock, 1, hours))
    transfer = Transfer(bench.client, TransferConfig(part_size=PART, max_concurrency=1))

    class Stream:
        read = io.BytesIO(content(3 * PART)).read

    transfer.upload_fileobj(Stream(), "repo", "main", PATH)
    assert foretold(caplog) == expected


@pytest.mark.parametrize(("hours", "expected"), [(2, []), (3, ["the upload takes 25"])])
def test_an_upload_that_goes_on_is_judged_by_its_own_pace(
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

    with pytest.raises(KeyboardInterrupt):
        transfer.upload_file(source, "repo", "main", PATH, progress=stop, resume=True)
    # It lay there for most of a day.
    later = SimpleNamespace(time=lambda: time.time() + 16 * HOUR)
    monkeypatch.setattr(resume, "time", later)
    monkeypatch.setattr(bench.sandbox.blockstore, "write", Waves(bench, clock, 1, hours))
    transfer.upload_file(source, "repo", "main", PATH, resume=True)
    assert bench.operations["store_put_part"] == 6
    assert foretold(caplog) == expected
    bench.assert_whole(content(5 * PART))
