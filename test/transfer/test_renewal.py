"""Presigned URLs that expire during an upload."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from lakefs_client.exceptions import ApiException, TransferError
from lakefs_client.rest import Timing
from lakefs_client.sandbox import FaultKind
from lakefs_client.transfer.part import is_expiry

from .conftest import PART, Bench, MovableClock, content

SIZE = 2 * PART + 9
EXPIRIES: list[FaultKind] = ["expired", "expired_token"]


def pass_time(bench: Bench, seconds: float, *, noticed: bool = True) -> Callable[[int], None]:
    """A progress callback with which so much time passes after part 1; client and server see it,
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
    """How often the store said no."""
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
    assert bench.at(stats.physical_address) == content(99)
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


def test_servers_that_cannot_renew_are_named(bench: Bench) -> None:
    bench.sandbox.faults.add("store_put_part", "expired", part_number=2)
    bench.sandbox.faults.add(
        "upload_part", "status", status=404, body={"message": "invalid API endpoint"}
    )
    with pytest.raises(TransferError, match=r"part 2.*expired.*upload_part.*1\.55") as caught:
        bench.upload(SIZE)
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
    assert is_expiry(answer(status, body)) is expected
