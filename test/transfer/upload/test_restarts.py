"""Uploads that cannot continue, and restart at another address."""

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


def complete_conflicts(bench: Bench, times: int) -> None:
    bench.sandbox.faults.add(COMPLETE, "status", status=409, times=times)


def missing_at_complete(bench: Bench, times: int) -> None:
    """Let complete find no upload, as after a lifecycle rule."""
    bench.sandbox.faults.add(COMPLETE, "status", status=500, body=NO_SUCH_UPLOAD, times=times)


def missing_at_part(bench: Bench, times: int) -> None:
    bench.sandbox.faults.add(
        "store_put_part", "status", status=404, code="NoSuchUpload", part_number=2, times=times
    )


def missing_at_last_part(bench: Bench, times: int) -> None:
    """Let the last part find no upload, after the others arrived."""
    bench.sandbox.faults.add(
        "store_put_part", "status_late", status=404, code="NoSuchUpload", part_number=3,
        times=times,
    )  # fmt: skip


def renewal_unsupported(bench: Bench, times: int) -> None:
    bench.sandbox.faults.add("store_put_part", "expired", part_number=1, times=times)
    bench.sandbox.faults.add(
        "upload_part", "status", status=404, body={"message": "invalid API endpoint"}, times=times
    )


FaultAdder = Callable[[Bench, int], None]
REASONS = pytest.mark.parametrize(
    "add_faults",
    [
        complete_conflicts,
        missing_at_complete,
        missing_at_part,
        missing_at_last_part,
        renewal_unsupported,
    ],
)


def addresses(bench: Bench) -> set[str]:
    """Return the paths that parts were sent to."""
    return {r.path for r in bench.sandbox.requests if r.operation == "store_put_part"}


@REASONS
@pytest.mark.parametrize("restarts", [1, MAX_RESTARTS])
def test_restart_uses_another_address(
    bench: Bench, caplog: pytest.LogCaptureFixture, add_faults: FaultAdder, restarts: int
) -> None:
    add_faults(bench, restarts)
    counts: list[int] = []
    with caplog.at_level(logging.WARNING):
        stats = bench.upload(SIZE, progress=counts.append, max_concurrency=1)
    assert bench.sandbox.faults.pending == []
    operations = bench.operations
    assert operations[CREATE] == restarts + 1
    assert operations[ABORT] == restarts
    assert len(addresses(bench)) == restarts + 1
    assert sum(counts) == SIZE
    sums = [sum(counts[: n + 1]) for n in range(len(counts))]
    assert min(sums) >= 0
    assert max(sums) <= SIZE
    # Each restart is logged, and no pending upload is.
    assert [record.getMessage().count("starting a new one") for record in caplog.records] == (
        [1] * restarts
    )
    assert stats.size_bytes == SIZE
    bench.assert_whole(content(SIZE))


@REASONS
@pytest.mark.parametrize("kind", ["file", "bytes"])
def test_open_file_and_bytes_io_restart(bench: Bench, add_faults: FaultAdder, kind: str) -> None:
    add_faults(bench, 1)
    transfer = Transfer(bench.client, TransferConfig(part_size=PART, max_concurrency=1))
    with bench.file(SIZE + 3).open("rb") as file:
        fileobj: Any = file if kind == "file" else io.BytesIO(content(SIZE + 3))
        fileobj.seek(3)
        transfer.upload_fileobj(fileobj, "repo", "main", PATH)
        assert fileobj.read() == b""
    assert bench.operations[CREATE] == 2
    bench.assert_whole(content(SIZE + 3)[3:])


@pytest.mark.parametrize(
    "add_faults",
    [
        complete_conflicts,
        missing_at_complete,
        missing_at_part,
        missing_at_last_part,
    ],
)
def test_restart_with_parts_in_flight(bench: Bench, add_faults: FaultAdder) -> None:
    add_faults(bench, 1)
    counts: list[int] = []
    bench.upload(5 * PART, progress=counts.append)
    assert bench.operations[CREATE] == 2
    assert sum(counts) == 5 * PART
    bench.assert_whole(content(5 * PART))


@REASONS
def test_restarts_are_limited(bench: Bench, add_faults: FaultAdder) -> None:
    add_faults(bench, MAX_RESTARTS + 1)
    with pytest.raises(TransferError) as caught:
        bench.upload(SIZE, max_concurrency=1)
    assert bench.sandbox.faults.pending == []
    assert bench.operations[CREATE] == MAX_RESTARTS + 1
    assert caught.value.outcome == "aborted"
    assert caught.value.status in (404, 409, 500)
    bench.assert_nothing_left()


def test_restarts_for_different_reasons_add_up(bench: Bench) -> None:
    complete_conflicts(bench, 1)
    missing_at_part(bench, 1)
    missing_at_last_part(bench, 1)
    with pytest.raises(TransferError, match="409"):
        bench.upload(SIZE, max_concurrency=1)
    assert bench.sandbox.faults.pending == []
    assert bench.operations[CREATE] == 3
    bench.assert_nothing_left()


class Stream:
    def __init__(self, size: int) -> None:
        self.read = io.BytesIO(content(size)).read


@REASONS
def test_stream_error_names_missing_restart(bench: Bench, add_faults: FaultAdder) -> None:
    add_faults(bench, 1)
    transfer = Transfer(bench.client, TransferConfig(part_size=PART, max_concurrency=1))
    with pytest.raises(TransferError, match="a stream cannot be read again") as caught:
        transfer.upload_fileobj(Stream(SIZE), "repo", "main", PATH)
    assert bench.sandbox.faults.pending == []
    assert bench.operations[CREATE] == 1
    assert caught.value.outcome == "aborted"
    assert isinstance(caught.value.__cause__, ApiException)
    bench.assert_nothing_left()


def test_other_stream_errors_do_not_mention_restart(bench: Bench) -> None:
    bench.sandbox.faults.add("store_put_part", "status", status=418)
    transfer = Transfer(bench.client, TransferConfig(part_size=PART, max_concurrency=1))
    with pytest.raises(TransferError, match="418") as caught:
        transfer.upload_fileobj(Stream(SIZE), "repo", "main", PATH)
    assert "stream" not in str(caught.value)


def test_upload_restarts_after_foreign_abort(bench: Bench) -> None:
    """Without an injected fault: another client aborts the upload."""
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


def test_existing_object_is_not_taken_for_new_one(bench: Bench) -> None:
    bench.upload(9)
    complete_conflicts(bench, 1)
    bench.upload(SIZE)
    assert bench.operations[CREATE] == 2
    bench.assert_whole(content(SIZE))


def test_conflict_after_completion_is_reconciled(bench: Bench) -> None:
    bench.sandbox.faults.add(COMPLETE, "late_error", status=409)
    bench.upload(SIZE)
    assert bench.operations[CREATE] == 1
    bench.assert_whole(content(SIZE))


def test_failed_create_of_restart_is_raised_unchanged(bench: Bench) -> None:
    missing_at_part(bench, 1)
    bench.sandbox.faults.add(CREATE, "status", status=401, after=1)
    with pytest.raises(ApiException, match="401") as caught:
        bench.upload(SIZE, max_concurrency=1)
    assert not isinstance(caught.value, TransferError)
    bench.assert_nothing_left()


def test_callback_exception_prevents_restart(bench: Bench) -> None:
    class CallbackError(Exception):
        pass

    def progress(count: int) -> None:
        if count < 0:
            raise CallbackError

    complete_conflicts(bench, 1)
    with pytest.raises(CallbackError):
        bench.upload(SIZE, progress=progress)
    assert bench.operations[CREATE] == 1
    bench.assert_nothing_left()


def test_failed_abort_does_not_prevent_restart(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    complete_conflicts(bench, 1)
    bench.sandbox.faults.add(ABORT, "status", status=403)
    bench.upload(SIZE)
    assert "failed (403" in caplog.text
    assert bench.stored_bytes() == content(SIZE)


def test_restart_uses_new_urls(bench: Bench) -> None:
    clock = MovableClock()
    bench.client.store_client.timing = Timing(clock=clock, sleep=time.sleep)
    sent = 0

    def progress(count: int) -> None:
        nonlocal sent
        sent += count
        if sent == SIZE and count > 0:
            clock.now += 890  # the URLs of the first upload expire
            bench.sandbox.clock.advance(890)

    complete_conflicts(bench, 1)
    bench.upload(SIZE, progress=progress, max_concurrency=1)
    assert bench.operations["upload_part"] == 0
    bench.assert_whole(content(SIZE))


def test_part_status_409_does_not_restart(bench: Bench) -> None:
    bench.sandbox.faults.add("store_put_part", "status", status=409, part_number=1)
    with pytest.raises(TransferError, match="part 1: 409") as caught:
        bench.upload(SIZE)
    assert isinstance(caught.value.__cause__, ConflictException)
    assert bench.operations[CREATE] == 1
    bench.assert_nothing_left()
