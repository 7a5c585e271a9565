"""Faults of requests to the store, and the outcomes of the uploads.

Each fault is injected into a part of a multipart upload and into a single PUT. The policy `NO_WAIT`
allows two attempts.
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


class Method(NamedTuple):
    """One of the two methods to upload bytes: parts, or one PUT."""

    size: int
    operation: str
    part_number: int | None


METHODS = pytest.mark.parametrize(
    "method",
    [Method(PART + MIB + 17, "store_put_part", 2), Method(MIB + 17, "store_put_object", None)],
    ids=["part", "one PUT"],
)


TRANSIENT = [
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


def add_fault(bench: Bench, method: Method, row: Row, times: int) -> None:
    bench.sandbox.faults.add(
        method.operation, row.kind, part_number=method.part_number, times=times, **row.details
    )


def assert_aborted(bench: Bench, method: Method, error: TransferError, row: Row) -> None:
    """Check that the upload is aborted, and that the error describes the fault."""
    assert bench.sandbox.faults.pending == []
    assert (error.outcome, error.status) == ("aborted", row.status)
    cause = error.__cause__
    assert type(cause) is row.error or (row.error is ApiException and isinstance(cause, row.error))
    assert (cause.status, cause.body) == (error.status, error.body)
    assert error.part_number == method.part_number
    assert f"lakefs://repo/main/{PATH}" in str(error)
    if method.part_number is None:
        assert error.upload_id is None
    else:
        assert f"part {method.part_number}: " in str(error)
        assert error.upload_id is not None
        assert error.upload_id in str(error)
        assert error.physical_address is not None
        assert error.physical_address.startswith("s3://sandbox/repo/data/")
        assert error.physical_address in str(error)
        assert bench.operations[ABORT] == 1
    assert bench.operations[COMPLETE] == bench.operations["link_physical_address"] == 0
    bench.assert_nothing_left()


@METHODS
@rows(TRANSIENT)
def test_transient_fault_is_retried(bench: Bench, method: Method, row: Row) -> None:
    add_fault(bench, method, row, 1)
    counts: list[int] = []
    stats = bench.upload(method.size, progress=counts.append)
    assert bench.sandbox.faults.pending == []
    bench.assert_whole(content(method.size))
    assert stats.size_bytes == sum(counts) == method.size
    assert bench.operations[ABORT] == 0


@METHODS
@rows(TRANSIENT)
def test_fault_in_every_attempt_aborts_upload(bench: Bench, method: Method, row: Row) -> None:
    add_fault(bench, method, row, 2)
    with pytest.raises(TransferError) as caught:
        bench.upload(method.size)
    assert_aborted(bench, method, caught.value, row)


@METHODS
@rows(FATAL)
def test_fatal_status_is_not_retried(bench: Bench, method: Method, row: Row) -> None:
    add_fault(bench, method, row, 1)
    with pytest.raises(TransferError) as caught:
        bench.upload(method.size, retry=RetryPolicy(min_wait=0))
    assert_aborted(bench, method, caught.value, row)


@METHODS
def test_stalled_request_is_retried(bench: Bench, method: Method) -> None:
    bench.client.configuration.read_timeout = 2
    row = Row("stall", {"seconds": 600}, ApiTimeoutError)
    add_fault(bench, method, row, 1)
    bench.upload(method.size)
    assert bench.sandbox.faults.pending == []
    bench.assert_whole(content(method.size))


def test_stall_in_every_attempt_aborts_upload(bench: Bench) -> None:
    method = Method(9, "store_put_object", None)
    bench.client.configuration.read_timeout = 2
    row = Row("stall", {"seconds": 600}, ApiTimeoutError)
    add_fault(bench, method, row, 1)
    with pytest.raises(TransferError, match="no progress within 2 s") as caught:
        bench.upload(method.size, retry=RetryPolicy(attempts=1))
    assert_aborted(bench, method, caught.value, row)


@METHODS
def test_retry_policy_sets_attempts(bench: Bench, method: Method) -> None:
    add_fault(bench, method, status(503), 6)
    bench.upload(method.size, retry=RetryPolicy(attempts=7, min_wait=0))
    assert bench.sandbox.faults.pending == []
    bench.assert_whole(content(method.size))


@METHODS
@pytest.mark.parametrize("kind", ["corrupt", "wrong_etag"])
def test_consecutive_checksum_mismatches_abort_upload(
    bench: Bench, method: Method, kind: FaultKind
) -> None:
    add_fault(bench, method, Row(kind, {}), 2)
    with pytest.raises(TransferError, match=r"checksum mismatch.*verify=False") as caught:
        bench.upload(method.size, retry=RetryPolicy(attempts=9, min_wait=0))
    assert_aborted(bench, method, caught.value, Row(kind, {}, DamagedError, 200))


@METHODS
def test_nonconsecutive_checksum_mismatches_are_retried(bench: Bench, method: Method) -> None:
    for kind in ("corrupt", "reset_during", "corrupt"):
        add_fault(bench, method, Row(kind, {"at": 9} if kind == "reset_during" else {}), 1)
    bench.upload(method.size, retry=RetryPolicy(attempts=9, min_wait=0))
    assert bench.sandbox.faults.pending == []
    bench.assert_whole(content(method.size))


@METHODS
@pytest.mark.parametrize("verify", [True, False])
def test_opaque_etag_is_not_verified(bench: Bench, method: Method, verify: bool) -> None:
    add_fault(bench, method, Row("opaque_etag", {}), 1)
    bench.upload(method.size, verify=verify)
    assert bench.sandbox.faults.pending == []
    assert bench.operations[method.operation] == (2 if method.part_number else 1)
    bench.assert_whole(content(method.size))


@pytest.mark.parametrize(("verify", "attempts"), [(True, 2), (False, 1)])
def test_verify_setting_decides_on_wrong_etag(bench: Bench, verify: bool, attempts: int) -> None:
    """The store's ETags look like MD5s of other bytes."""
    etag = opaque_etag(hashlib.md5(content(PART)).hexdigest())
    bench.sandbox.faults.add("store_put_part", "wrong_etag", etag=etag, times=attempts)
    if verify:
        with pytest.raises(TransferError, match="verify=False"):
            bench.upload(PART, verify=True)
        bench.assert_nothing_left()
    else:
        bench.upload(PART, verify=False)
        bench.assert_whole(content(PART))
    assert bench.sandbox.faults.pending == []
    assert bench.operations["store_put_part"] == attempts


@pytest.mark.parametrize("etag", ["0x8DC5A0B1C2D3E4F", "d41d8cd98f00b204e9800998ecf8427e-1"])
def test_etag_of_other_form_is_not_verified(bench: Bench, etag: str) -> None:
    bench.sandbox.faults.add("store_put_object", "wrong_etag", etag=etag)
    stats = bench.upload(9)
    assert stats.checksum == etag
    bench.assert_whole(content(9))


def test_early_rejection_of_large_part_is_read(bench: Bench) -> None:
    # The part exceeds the socket buffers, so the store answers and closes during the request.
    bench.sandbox.faults.add("store_put_part", "status", status=403, part_number=1)
    with pytest.raises(TransferError, match="part 1: 403") as caught:
        bench.upload(24 * MIB, part_size=16 * MIB, max_concurrency=1)
    assert bench.sandbox.faults.pending == []
    assert caught.value.outcome == "aborted"
    bench.assert_nothing_left()


def test_first_failure_cancels_later_parts(bench: Bench) -> None:
    bench.sandbox.faults.add("store_put_part", "status", status=403, part_number=2)
    with pytest.raises(TransferError, match="part 2"):
        bench.upload(5 * PART, max_concurrency=1)
    assert bench.operations["store_put_part"] == 2
    bench.assert_nothing_left()


def test_first_failure_cancels_parts_in_flight(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without cancellation, the parts and the wait for them last ten minutes.
    monkeypatch.setattr(multipart, "CANCEL_WAIT", 600)
    for number in (1, 3):
        bench.sandbox.faults.add(
            "store_put_part", "slow", bytes_per_second=PART / 600, part_number=number
        )
    bench.sandbox.faults.add("store_put_part", "status", status=403, part_number=2)
    with pytest.raises(TransferError) as caught:
        bench.upload(3 * PART, max_concurrency=3)
    # The error is not a cancellation of the other two parts.
    assert (caught.value.part_number, caught.value.status) == (2, 403)
    assert caught.value.outcome == "aborted"
    assert 200 not in {r.status for r in bench.sandbox.requests if r.operation == "store_put_part"}
    bench.assert_nothing_left()


def test_first_failure_cancels_waiting_retries(bench: Bench) -> None:
    # Part 1 waits an hour for its second attempt.
    bench.sandbox.faults.add("store_put_part", "status", status=503, part_number=1)
    bench.sandbox.faults.add("store_put_part", "status_late", status=403, part_number=2)
    policy = RetryPolicy(min_wait=3600, max_wait=3600)
    with pytest.raises(TransferError) as caught:
        bench.upload(2 * PART, max_concurrency=2, retry=policy)
    assert (caught.value.part_number, caught.value.status) == (2, 403)
    bench.assert_nothing_left()


def test_retry_after_above_limit_fails_part(bench: Bench) -> None:
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
def test_failed_abort_keeps_first_error(
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
    # The error and the log identify the pending upload.
    ((upload_id, upload),) = bench.sandbox.blockstore.uploads().items()
    assert error.upload_id == upload_id
    assert upload_id in str(error)
    assert "abort failed" in str(error)
    assert error.physical_address == f"s3://{upload.key}"
    (record,) = caplog.records
    assert upload_id in record.getMessage()
    assert bench.stat() is None


def test_abort_is_retried_after_lost_answer(bench: Bench) -> None:
    bench.sandbox.faults.add("store_put_part", "status", status=403)
    bench.sandbox.faults.add(ABORT, "lost_answer")
    with pytest.raises(TransferError) as caught:
        bench.upload(2 * PART, max_concurrency=1)
    assert bench.sandbox.faults.pending == []
    assert caught.value.outcome == "aborted"
    bench.assert_nothing_left()


def test_failed_upload_keeps_existing_object(bench: Bench) -> None:
    bench.upload(77)
    for size, operation in ((3, "store_put_object"), (PART + 1, "store_put_part")):
        bench.sandbox.faults.add(operation, "status", status=403)
        with pytest.raises(TransferError):
            bench.upload(size)
    bench.assert_whole(content(77))


def test_failure_of_last_part_prevents_completion(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A completion without the last part would create a truncated object."""
    fail = multipart.MultipartUpload._set_failure

    def delay_failure(upload: Any, failure: BaseException) -> None:
        time.sleep(0.2)  # a completion that does not wait would start now
        fail(upload, failure)

    monkeypatch.setattr(multipart.MultipartUpload, "_set_failure", delay_failure)
    bench.sandbox.faults.add("store_put_part", "status", status=418, part_number=2)
    with pytest.raises(TransferError, match="part 2: 418"):
        bench.upload(PART + 9)
    assert bench.operations[COMPLETE] == 0
    bench.assert_nothing_left()
