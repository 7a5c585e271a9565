"""Uploads whose place only another one can take: begun anew, a few times, or said to be lost."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from support.bench import PART, PATH, Bench, MovableClock, content

from lakefs_client.exceptions import ApiException, ConflictException, TransferError
from lakefs_client.rest import Timing
from lakefs_client.transfer import Transfer, TransferConfig
from lakefs_client.transfer.upload.file import MAX_RESTARTS

SIZE = 2 * PART + 9
CREATE = "create_presign_multipart_upload"
COMPLETE = "complete_presign_multipart_upload"
ABORT = "abort_presign_multipart_upload"

NO_SUCH_UPLOAD = {
    "message": "operation error S3: CompleteMultipartUpload, https response error StatusCode: 404, "
    "RequestID: X, api error NoSuchUpload: The specified multipart upload does not exist."
}


def conflict(bench: Bench, times: int) -> None:
    bench.sandbox.faults.add(COMPLETE, "status", status=409, times=times)


def spent(bench: Bench, times: int) -> None:
    """Let a lifecycle rule remove the upload before the first complete."""
    bench.sandbox.faults.add(COMPLETE, "status", status=500, body=NO_SUCH_UPLOAD, times=times)


def part_gone(bench: Bench, times: int) -> None:
    bench.sandbox.faults.add(
        "store_put_part", "status", status=404, code="NoSuchUpload", part_number=2, times=times
    )


def last_part_gone(bench: Bench, times: int) -> None:
    """When other parts have arrived."""
    bench.sandbox.faults.add(
        "store_put_part", "status_late", status=404, code="NoSuchUpload", part_number=3,
        times=times,
    )  # fmt: skip


def not_renewable(bench: Bench, times: int) -> None:
    bench.sandbox.faults.add("store_put_part", "expired", part_number=1, times=times)
    bench.sandbox.faults.add(
        "upload_part", "status", status=404, body={"message": "invalid API endpoint"}, times=times
    )


Order = Callable[[Bench, int], None]
WAYS = pytest.mark.parametrize("order", [conflict, spent, part_gone, last_part_gone, not_renewable])


def addresses(bench: Bench) -> set[str]:
    """Return the paths that parts were sent to."""
    return {r.path for r in bench.sandbox.requests if r.operation == "store_put_part"}


@WAYS
@pytest.mark.parametrize("starts", [1, MAX_RESTARTS])
def test_restart_uses_another_address(
    bench: Bench, caplog: pytest.LogCaptureFixture, order: Order, starts: int
) -> None:
    order(bench, starts)
    counts: list[int] = []
    with caplog.at_level(logging.WARNING):
        stats = bench.upload(SIZE, progress=counts.append, max_concurrency=1)
    assert bench.sandbox.faults.pending == []
    operations = bench.operations
    assert operations[CREATE] == starts + 1
    assert operations[ABORT] == starts
    assert len(addresses(bench)) == starts + 1
    assert sum(counts) == SIZE
    sums = [sum(counts[: n + 1]) for n in range(len(counts))]
    assert min(sums) >= 0
    assert max(sums) <= SIZE
    # It says so, and nothing is said to be left.
    assert [record.getMessage().count("starting a new one") for record in caplog.records] == (
        [1] * starts
    )
    assert stats.size_bytes == SIZE
    bench.assert_whole(content(SIZE))


@WAYS
@pytest.mark.parametrize("kind", ["file", "bytes"])
def test_open_file_and_bytes_restart(bench: Bench, order: Order, kind: str) -> None:
    order(bench, 1)
    transfer = Transfer(bench.client, TransferConfig(part_size=PART, max_concurrency=1))
    with bench.file(SIZE + 3).open("rb") as file:
        fileobj: Any = file if kind == "file" else io.BytesIO(content(SIZE + 3))
        fileobj.seek(3)
        transfer.upload_fileobj(fileobj, "repo", "main", PATH)
        assert fileobj.read() == b""
    assert bench.operations[CREATE] == 2
    bench.assert_whole(content(SIZE + 3)[3:])


@pytest.mark.parametrize("order", [conflict, spent, part_gone, last_part_gone])
def test_restart_with_parts_in_flight(bench: Bench, order: Order) -> None:
    order(bench, 1)
    counts: list[int] = []
    bench.upload(5 * PART, progress=counts.append)
    assert bench.operations[CREATE] == 2
    assert sum(counts) == 5 * PART
    bench.assert_whole(content(5 * PART))


@WAYS
def test_restarts_are_limited(bench: Bench, order: Order) -> None:
    order(bench, MAX_RESTARTS + 1)
    with pytest.raises(TransferError) as caught:
        bench.upload(SIZE, max_concurrency=1)
    assert bench.sandbox.faults.pending == []
    assert bench.operations[CREATE] == MAX_RESTARTS + 1
    assert caught.value.outcome == "aborted"
    assert caught.value.status in (404, 409, 500)
    bench.assert_nothing_left()


def test_restarts_for_different_reasons_add_up(bench: Bench) -> None:
    conflict(bench, 1)
    part_gone(bench, 1)
    last_part_gone(bench, 1)
    with pytest.raises(TransferError, match="409"):
        bench.upload(SIZE, max_concurrency=1)
    assert bench.sandbox.faults.pending == []
    assert bench.operations[CREATE] == 3
    bench.assert_nothing_left()


class Stream:
    def __init__(self, size: int) -> None:
        self.read = io.BytesIO(content(size)).read


@WAYS
def test_stream_error_says_that_it_cannot_restart(bench: Bench, order: Order) -> None:
    order(bench, 1)
    transfer = Transfer(bench.client, TransferConfig(part_size=PART, max_concurrency=1))
    with pytest.raises(TransferError, match="a stream cannot be read again") as caught:
        transfer.upload_fileobj(Stream(SIZE), "repo", "main", PATH)
    assert bench.sandbox.faults.pending == []
    assert bench.operations[CREATE] == 1
    assert caught.value.outcome == "aborted"
    assert isinstance(caught.value.__cause__, ApiException)
    bench.assert_nothing_left()


def test_other_stream_errors_do_not_mention_a_restart(bench: Bench) -> None:
    bench.sandbox.faults.add("store_put_part", "status", status=418)
    transfer = Transfer(bench.client, TransferConfig(part_size=PART, max_concurrency=1))
    with pytest.raises(TransferError, match="418") as caught:
        transfer.upload_fileobj(Stream(SIZE), "repo", "main", PATH)
    assert "stream" not in str(caught.value)


def test_upload_restarts_after_a_foreign_abort(bench: Bench) -> None:
    """Not a fault on order: the upload is gone, as after a lifecycle rule."""
    store = bench.sandbox.blockstore
    aborted = 0
    sent = 0

    def progress(count: int) -> None:
        nonlocal aborted, sent
        sent += count
        if sent == PART and not aborted:
            aborted += 1
            (upload,) = store.uploads().values()
            store.abort(upload.key, upload.upload_id)

    bench.upload(SIZE, progress=progress, max_concurrency=1)
    assert aborted == 1
    assert sent == SIZE
    assert bench.operations[CREATE] == 2
    bench.assert_whole(content(SIZE))


def test_what_stands_at_the_path_does_not_pass_for_the_new_object(bench: Bench) -> None:
    bench.upload(9)
    conflict(bench, 1)
    bench.upload(SIZE)
    assert bench.operations[CREATE] == 2
    bench.assert_whole(content(SIZE))


def test_a_conflict_after_which_the_object_is_there_is_none(bench: Bench) -> None:
    bench.sandbox.faults.add(COMPLETE, "late_error", status=409)
    bench.upload(SIZE)
    assert bench.operations[CREATE] == 1
    bench.assert_whole(content(SIZE))


def test_no_start_where_lakefs_refuses_it(bench: Bench) -> None:
    """The error is lakeFS's own, as at the first start; nothing is left of the former upload."""
    part_gone(bench, 1)
    bench.sandbox.faults.add(CREATE, "status", status=401, after=1)
    with pytest.raises(ApiException, match="401") as caught:
        bench.upload(SIZE, max_concurrency=1)
    assert not isinstance(caught.value, TransferError)
    bench.assert_nothing_left()


def test_the_callback_may_refuse_to_go_back(bench: Bench) -> None:
    class OwnError(Exception):
        pass

    def progress(count: int) -> None:
        if count < 0:
            raise OwnError

    conflict(bench, 1)
    with pytest.raises(OwnError):
        bench.upload(SIZE, progress=progress)
    assert bench.operations[CREATE] == 1
    bench.assert_nothing_left()


def test_a_failing_abort_does_not_hinder_a_fresh_start(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    conflict(bench, 1)
    bench.sandbox.faults.add(ABORT, "status", status=403)
    bench.upload(SIZE)
    assert "failed (403" in caplog.text
    assert bench.stored_bytes() == content(SIZE)


def test_urls_of_the_new_upload_are_as_good_as_new(bench: Bench) -> None:
    clock = MovableClock()
    bench.client.store_client.timing = Timing(clock=clock, sleep=time.sleep)
    sent = 0

    def progress(count: int) -> None:
        nonlocal sent
        sent += count
        if sent == SIZE and count > 0:
            clock.now += 890  # the first upload's URLs are over now
            bench.sandbox.clock.advance(890)

    conflict(bench, 1)
    bench.upload(SIZE, progress=progress, max_concurrency=1)
    assert bench.operations["upload_part"] == 0
    bench.assert_whole(content(SIZE))


def test_a_409_of_a_part_is_no_reason(bench: Bench) -> None:
    bench.sandbox.faults.add("store_put_part", "status", status=409, part_number=1)
    with pytest.raises(TransferError, match="part 1: 409") as caught:
        bench.upload(SIZE)
    assert isinstance(caught.value.__cause__, ConflictException)
    assert bench.operations[CREATE] == 1
    bench.assert_nothing_left()
