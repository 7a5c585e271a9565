"""Faults of the bytes on their way to the store, and the outcome of the upload.

Each row happens to a part of a multipart upload and to a single PUT. With `NO_WAIT` each is sent
twice at most.
"""

from __future__ import annotations

import hashlib
import logging
import time
from typing import Any, NamedTuple

import pytest
from support.bench import MIB, PART, PATH, Bench, Row, content, status

from lakefs_client import RetryPolicy
from lakefs_client.exceptions import (
    ApiConnectionError,
    ApiException,
    ApiTimeoutError,
    TransferError,
)
from lakefs_client.sandbox import FaultKind
from lakefs_client.sandbox.blocks import opaque_etag
from lakefs_client.transfer.errors import DamagedError
from lakefs_client.transfer.upload import multipart

ABORT = "abort_presign_multipart_upload"
COMPLETE = "complete_presign_multipart_upload"


class Way(NamedTuple):
    """One of the two ways in which bytes go up."""

    size: int
    operation: str
    part_number: int | None


WAYS = pytest.mark.parametrize(
    "way",
    [Way(PART + MIB + 17, "store_put_part", 2), Way(MIB + 17, "store_put_object", None)],
    ids=["part", "one PUT"],
)


REPEATED = [
    status(408),
    status(420),
    status(429),
    status(500),
    status(502),
    status(503, "SlowDown"),
    status(504),
    status(400, "RequestTimeout"),
    Row("status_late", {"status": 503}, status=503),
    Row("late_error", {"status": 500}, status=500),
    Row("reset_before", {}, ApiConnectionError),
    Row("reset_during", {"at": MIB // 2}, ApiConnectionError),
    Row("reset_after", {}, ApiConnectionError),
    Row("lost_answer", {}, ApiConnectionError),
    Row("truncate", {}, ApiConnectionError),
    Row("corrupt", {}, DamagedError, 200),
    Row("wrong_etag", {}, DamagedError, 200),
]
FATAL = [
    status(400, "EntityTooLarge"),
    status(401, "Unauthorized"),
    status(403),
    status(403, "SignatureDoesNotMatch"),
    status(404, "NoSuchBucket"),
    status(405, "MethodNotAllowed"),
    status(411, "MissingContentLength"),
    status(412, "PreconditionFailed"),
    status(501, "NotImplemented"),
    status(505),
    Row("missing_etag", {}, status=200),
]


def rows(table: list[Row]) -> Any:
    return pytest.mark.parametrize("row", table, ids=lambda row: row.id)


def order(bench: Bench, way: Way, row: Row, times: int) -> None:
    bench.sandbox.faults.add(
        way.operation, row.kind, part_number=way.part_number, times=times, **row.details
    )


def assert_given_up(bench: Bench, way: Way, error: TransferError, row: Row) -> None:
    """Everything was tried, nothing is left, and the error says so."""
    assert bench.sandbox.faults.pending == []
    assert (error.outcome, error.status) == ("aborted", row.status)
    cause = error.__cause__
    assert type(cause) is row.error or (row.error is ApiException and isinstance(cause, row.error))
    assert (cause.status, cause.body) == (error.status, error.body)
    assert error.part_number == way.part_number
    assert f"lakefs://repo/main/{PATH}" in str(error)
    if way.part_number is None:
        assert error.upload_id is None
    else:
        assert f"part {way.part_number}: " in str(error)
        assert error.upload_id is not None
        assert error.upload_id in str(error)
        assert error.physical_address is not None
        assert error.physical_address.startswith("s3://sandbox/repo/data/")
        assert error.physical_address in str(error)
        assert bench.operations[ABORT] == 1
    assert bench.operations[COMPLETE] == bench.operations["link_physical_address"] == 0
    bench.assert_nothing_left()


@WAYS
@rows(REPEATED)
def test_once_is_mended(bench: Bench, way: Way, row: Row) -> None:
    order(bench, way, row, 1)
    counts: list[int] = []
    stats = bench.upload(way.size, progress=counts.append)
    assert bench.sandbox.faults.pending == []
    bench.assert_whole(content(way.size))
    assert stats.size_bytes == sum(counts) == way.size
    assert bench.operations[ABORT] == 0


@WAYS
@rows(REPEATED)
def test_as_often_as_it_is_tried_ends_the_upload(bench: Bench, way: Way, row: Row) -> None:
    order(bench, way, row, 2)
    with pytest.raises(TransferError) as caught:
        bench.upload(way.size)
    assert_given_up(bench, way, caught.value, row)


@WAYS
@rows(FATAL)
def test_a_refusal_ends_the_upload_at_once(bench: Bench, way: Way, row: Row) -> None:
    order(bench, way, row, 1)
    with pytest.raises(TransferError) as caught:
        bench.upload(way.size, retry=RetryPolicy(min_wait=0))
    assert_given_up(bench, way, caught.value, row)


@WAYS
def test_a_store_that_stalls(bench: Bench, way: Way) -> None:
    bench.client.configuration.read_timeout = 2
    row = Row("stall", {"seconds": 600}, ApiTimeoutError)
    order(bench, way, row, 1)
    bench.upload(way.size)
    assert bench.sandbox.faults.pending == []
    bench.assert_whole(content(way.size))


def test_a_store_that_stalls_too_often(bench: Bench) -> None:
    way = Way(9, "store_put_object", None)
    bench.client.configuration.read_timeout = 2
    row = Row("stall", {"seconds": 600}, ApiTimeoutError)
    order(bench, way, row, 1)
    with pytest.raises(TransferError, match="no progress within 2 s") as caught:
        bench.upload(way.size, retry=RetryPolicy(attempts=1))
    assert_given_up(bench, way, caught.value, row)


@WAYS
def test_the_callers_own_policy_counts(bench: Bench, way: Way) -> None:
    order(bench, way, status(503), 6)
    bench.upload(way.size, retry=RetryPolicy(attempts=7, min_wait=0))
    assert bench.sandbox.faults.pending == []
    bench.assert_whole(content(way.size))


@WAYS
@pytest.mark.parametrize("kind", ["corrupt", "wrong_etag"])
def test_damage_twice_in_a_row_is_no_accident(bench: Bench, way: Way, kind: FaultKind) -> None:
    order(bench, way, Row(kind, {}), 2)
    with pytest.raises(TransferError, match=r"checksum mismatch.*verify=False") as caught:
        bench.upload(way.size, retry=RetryPolicy(attempts=9, min_wait=0))
    assert_given_up(bench, way, caught.value, Row(kind, {}, DamagedError, 200))


@WAYS
def test_damage_twice_but_not_in_a_row_is_mended(bench: Bench, way: Way) -> None:
    for kind in ("corrupt", "reset_during", "corrupt"):
        order(bench, way, Row(kind, {"at": 9} if kind == "reset_during" else {}), 1)
    bench.upload(way.size, retry=RetryPolicy(attempts=9, min_wait=0))
    assert bench.sandbox.faults.pending == []
    bench.assert_whole(content(way.size))


@WAYS
@pytest.mark.parametrize("verify", [True, False])
def test_an_opaque_etag_is_held_against_nothing(bench: Bench, way: Way, verify: bool) -> None:
    order(bench, way, Row("opaque_etag", {}), 1)
    bench.upload(way.size, verify=verify)
    assert bench.sandbox.faults.pending == []
    assert bench.operations[way.operation] == (2 if way.part_number else 1)
    bench.assert_whole(content(way.size))


@pytest.mark.parametrize(("verify", "tries"), [(True, 2), (False, 1)])
def test_without_verification_etags_are_taken_as_they_come(
    bench: Bench, verify: bool, tries: int
) -> None:
    """A store whose ETags look like MD5s, are none, and which does not say so."""
    etag = opaque_etag(hashlib.md5(content(PART)).hexdigest())
    bench.sandbox.faults.add("store_put_part", "wrong_etag", etag=etag, times=tries)
    if verify:
        with pytest.raises(TransferError, match="verify=False"):
            bench.upload(PART, verify=True)
        bench.assert_nothing_left()
    else:
        bench.upload(PART, verify=False)
        bench.assert_whole(content(PART))
    assert bench.sandbox.faults.pending == []
    assert bench.operations["store_put_part"] == tries


@pytest.mark.parametrize("etag", ["0x8DC5A0B1C2D3E4F", "d41d8cd98f00b204e9800998ecf8427e-1"])
def test_an_etag_that_does_not_look_like_an_md5_is_not_held_against_one(
    bench: Bench, etag: str
) -> None:
    bench.sandbox.faults.add("store_put_object", "wrong_etag", etag=etag)
    stats = bench.upload(9)
    assert stats.checksum == etag
    bench.assert_whole(content(9))


def test_an_early_refusal_of_a_large_part_is_read(bench: Bench) -> None:
    # More than sockets hold: the store answers, and closes, while the client still sends.
    bench.sandbox.faults.add("store_put_part", "status", status=403, part_number=1)
    with pytest.raises(TransferError, match="part 1: 403") as caught:
        bench.upload(24 * MIB, part_size=16 * MIB, max_concurrency=1)
    assert bench.sandbox.faults.pending == []
    assert caught.value.outcome == "aborted"
    bench.assert_nothing_left()


def test_the_first_failure_stops_the_rest(bench: Bench) -> None:
    bench.sandbox.faults.add("store_put_part", "status", status=403, part_number=2)
    with pytest.raises(TransferError, match="part 2"):
        bench.upload(5 * PART, max_concurrency=1)
    assert bench.operations["store_put_part"] == 2
    bench.assert_nothing_left()


def test_the_first_failure_stops_parts_that_are_on_their_way(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    # They would last ten minutes, and so would the wait for them.
    monkeypatch.setattr(multipart, "CANCEL_WAIT", 600)
    for number in (1, 3):
        bench.sandbox.faults.add(
            "store_put_part", "slow", bytes_per_second=PART / 600, part_number=number
        )
    bench.sandbox.faults.add("store_put_part", "status", status=403, part_number=2)
    with pytest.raises(TransferError) as caught:
        bench.upload(3 * PART, max_concurrency=3)
    # Not the cut of the other two, which came later.
    assert (caught.value.part_number, caught.value.status) == (2, 403)
    assert caught.value.outcome == "aborted"
    assert 200 not in {r.status for r in bench.sandbox.requests if r.operation == "store_put_part"}
    bench.assert_nothing_left()


def test_the_first_failure_stops_those_that_wait_for_another_try(bench: Bench) -> None:
    # Part 1 would be tried again in an hour.
    bench.sandbox.faults.add("store_put_part", "status", status=503, part_number=1)
    bench.sandbox.faults.add("store_put_part", "status_late", status=403, part_number=2)
    patient = RetryPolicy(min_wait=3600, max_wait=3600)
    with pytest.raises(TransferError) as caught:
        bench.upload(2 * PART, max_concurrency=2, retry=patient)
    assert (caught.value.part_number, caught.value.status) == (2, 403)
    bench.assert_nothing_left()


def test_a_wait_that_the_store_asks_for_is_kept_within_limits(bench: Bench) -> None:
    bench.sandbox.faults.add(
        "store_put_part", "status", status=503, headers={"Retry-After": "61"}, part_number=1
    )
    with pytest.raises(TransferError, match="part 1: 503"):
        bench.upload(2 * PART)
    assert bench.sandbox.faults.pending == []
    bench.assert_nothing_left()


@pytest.mark.parametrize(
    ("kind", "details"),
    [("status", {"status": 500}), ("status", {"status": 403}), ("reset_before", {"times": 2})],
)
def test_a_failing_abort_does_not_hide_the_first_error(
    bench: Bench, caplog: pytest.LogCaptureFixture, kind: FaultKind, details: dict[str, Any]
) -> None:
    bench.sandbox.faults.add("store_put_part", "status", status=418, part_number=2)
    bench.sandbox.faults.add(ABORT, kind, **details)
    with (
        caplog.at_level(logging.WARNING, "lakefs_client.transfer"),
        pytest.raises(TransferError, match=r"part 2: 418") as caught,
    ):
        bench.upload(2 * PART)
    assert bench.sandbox.faults.pending == []
    error = caught.value
    assert (error.outcome, error.status, error.part_number) == ("abort failed", 418, 2)
    assert isinstance(error.__cause__, ApiException)
    assert error.__cause__.status == 418
    # What is left can be found by what the error and the log say.
    ((upload_id, upload),) = bench.sandbox.blockstore.uploads().items()
    assert error.upload_id == upload_id
    assert upload_id in str(error)
    assert "abort failed" in str(error)
    assert error.physical_address == f"s3://{upload.key}"
    (record,) = caplog.records
    assert upload_id in record.getMessage()
    assert bench.stat() is None


def test_a_lost_answer_to_the_abort_is_asked_for_again(bench: Bench) -> None:
    bench.sandbox.faults.add("store_put_part", "status", status=403)
    bench.sandbox.faults.add(ABORT, "lost_answer")
    with pytest.raises(TransferError) as caught:
        bench.upload(2 * PART, max_concurrency=1)
    assert bench.sandbox.faults.pending == []
    assert caught.value.outcome == "aborted"
    bench.assert_nothing_left()


def test_what_stood_at_the_path_stays_when_an_upload_fails(bench: Bench) -> None:
    bench.upload(77)
    for size, operation in ((3, "store_put_object"), (PART + 1, "store_put_part")):
        bench.sandbox.faults.add(operation, "status", status=403)
        with pytest.raises(TransferError):
            bench.upload(size)
    bench.assert_whole(content(77))


def test_the_last_parts_failure_is_known_before_it_counts_as_done(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the object is made of the parts that did arrive."""
    fail = multipart.MultipartUpload._set_failure

    def late(upload: Any, failure: BaseException) -> None:
        time.sleep(0.2)  # whoever does not wait for it, completes in between
        fail(upload, failure)

    monkeypatch.setattr(multipart.MultipartUpload, "_set_failure", late)
    bench.sandbox.faults.add("store_put_part", "status", status=418, part_number=2)
    with pytest.raises(TransferError, match="part 2: 418"):
        bench.upload(PART + 9)
    assert bench.operations[COMPLETE] == 0
    bench.assert_nothing_left()
