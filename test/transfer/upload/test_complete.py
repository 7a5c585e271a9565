"""The end of an upload: complete or link, and the reconciliation of their errors."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from support.bench import NO_WAIT, PART, PATH, Bench, content, interrupt_once

from lakefs_client.api.branches_api import BranchesApi
from lakefs_client.api.experimental_api import ExperimentalApi
from lakefs_client.api.repositories_api import RepositoriesApi
from lakefs_client.api.staging_api import StagingApi
from lakefs_client.exceptions import (
    ApiConnectionError,
    ApiException,
    ConflictException,
    ForbiddenException,
    ServiceException,
    TransferError,
)
from lakefs_client.models import (
    BranchCreation,
    BranchProtectionRule,
    CompletePresignMultipartUpload,
    StagingLocation,
    StagingMetadata,
    UploadPart,
)
from lakefs_client.rest import Message, Timing
from lakefs_client.sandbox import FaultKind
from lakefs_client.transfer.checksum import composite_md5
from lakefs_client.transfer.store import same_address
from lakefs_client.transfer.upload.complete import Completion
from lakefs_client.transfer.upload.destination import Destination
from lakefs_client.transfer.upload.part import StoredPart
from lakefs_client.uri import ObjectRef

ABORT = "abort_presign_multipart_upload"
COMPLETE = "complete_presign_multipart_upload"
CREATE = "create_presign_multipart_upload"
LINK = "link_physical_address"
STAT = "stat_object"
SIZE = PART + 17

Fault = tuple[str, FaultKind, dict[str, Any]]


def add_faults(bench: Bench, *faults: Fault) -> None:
    for operation, kind, details in faults:
        bench.sandbox.faults.add(operation, kind, **details)


def store_error(code: str) -> dict[str, Any]:
    """Return the fault in which lakeFS quotes the store's error code."""
    message = (
        "operation error S3: CompleteMultipartUpload, https response error StatusCode: 400, "
        f"RequestID: 0, HostID: 0, api error {code}: The store's words."
    )
    return {"status": 500, "body": {"message": message}}


def link(bench: Bench, error: TransferError, size: int) -> None:
    """Link the bytes, as the error advises."""
    assert error.physical_address is not None
    assert "link_physical_address" in str(error)
    StagingApi(bench.client).link_physical_address(
        "repo",
        "main",
        PATH,
        StagingMetadata(
            staging=StagingLocation(physical_address=error.physical_address),
            checksum="checksum",
            size_bytes=size,
        ),
    )


@pytest.mark.parametrize(
    ("kind", "details"),
    [
        ("lost_answer", {}),
        ("truncate", {}),
        *(("late_error", {"status": code}) for code in (401, 403, 404, 409, 412, 420, 429)),
        *(("late_error", {"status": code}) for code in (500, 502, 503, 504)),
        ("late_error", store_error("NoSuchUpload")),
    ],
    ids=str,
)
def test_late_error_of_complete_is_reconciled(
    bench: Bench, kind: FaultKind, details: dict[str, Any]
) -> None:
    add_faults(bench, (COMPLETE, kind, details))
    stats = bench.upload(SIZE, user_metadata={"run": "42"})
    assert bench.sandbox.faults.pending == []
    assert (bench.operations[COMPLETE], bench.operations[STAT]) == (1, 1)
    assert bench.operations[ABORT] == 0
    assert (stats.size_bytes, stats.metadata.to_dict()) == (SIZE, {"run": "42"})
    bench.assert_whole(content(SIZE))


@pytest.mark.parametrize("before", [None, 77], ids=["a new path", "an existing object"])
@pytest.mark.parametrize(
    ("kind", "details"),
    [
        *(("status", {"status": code}) for code in (409, 420, 429, 500, 502, 503, 504)),
        ("reset_before", {}),
        ("reset_after", {}),
    ],
    ids=str,
)
def test_early_error_of_complete_is_retried(
    bench: Bench, kind: FaultKind, details: dict[str, Any], before: int | None
) -> None:
    if before is not None:
        bench.upload(before)
        bench.sandbox.requests.clear()
    add_faults(bench, (COMPLETE, kind, details))
    bench.upload(SIZE)
    assert bench.sandbox.faults.pending == []
    assert (bench.operations[COMPLETE], bench.operations[STAT]) == (2, 1)
    bench.assert_whole(content(SIZE))


def test_proxy_page_is_reconciled(bench: Bench) -> None:
    """A proxy answers 502 to a complete that succeeded, then to one that did not."""
    page = {"status": 502, "body": "<html>", "headers": {"Content-Type": "text/html"}}
    add_faults(bench, (COMPLETE, "late_error", page))
    bench.upload(SIZE)
    add_faults(bench, (COMPLETE, "status", page))
    bench.upload(SIZE)
    assert bench.sandbox.faults.pending == []
    bench.assert_whole(content(SIZE))


@pytest.mark.parametrize(
    "details",
    [
        {"status": 400},
        store_error("InvalidPart"),
        store_error("InvalidPartOrder"),
        store_error("EntityTooSmall"),
    ],
    ids=["400", "InvalidPart", "InvalidPartOrder", "EntityTooSmall"],
)
def test_rejected_parts_abort_upload(bench: Bench, details: dict[str, Any]) -> None:
    add_faults(bench, (COMPLETE, "status", details))
    with pytest.raises(TransferError, match=f"{details['status']} ") as caught:
        bench.upload(SIZE)
    assert bench.sandbox.faults.pending == []
    error = caught.value
    assert (error.outcome, error.status, error.part_number) == ("aborted", details["status"], None)
    assert isinstance(error.__cause__, ApiException)
    assert error.upload_id is not None
    assert error.body is not None
    assert error.body.strip() in str(error)
    assert (bench.operations[COMPLETE], bench.operations[ABORT]) == (1, 1)
    bench.assert_nothing_left()


def test_wrong_etag_aborts_upload(bench: Bench) -> None:
    add_faults(bench, ("store_put_part", "wrong_etag", {}))
    with pytest.raises(TransferError, match="InvalidPart") as caught:
        bench.upload(SIZE, verify=False)
    assert caught.value.outcome == "aborted"
    bench.assert_nothing_left()


@pytest.mark.parametrize(
    ("faults", "status", "completes", "stats"),
    [
        # Complete fails in every attempt.
        ([(COMPLETE, "status", {"status": 500, "times": 2})], 500, 2, 2),
        ([(COMPLETE, "reset_after", {"times": 2})], 0, 2, 2),
        # The status is not retried.
        ([(COMPLETE, "status", {"status": 404})], 404, 1, 1),
        ([(COMPLETE, "status", {"status": 401})], 401, 1, 1),
        # A fatal status ends the retries.
        (
            [(COMPLETE, "status", {"status": 503}), (COMPLETE, "status", {"status": 400})],
            400, 2, 2,
        ),
        # The stat that would settle the outcome fails.
        (
            [(COMPLETE, "late_error", {"status": 500}), (STAT, "status", {"status": 500})],
            500, 1, 1,
        ),
        (
            [(COMPLETE, "lost_answer", {}), (STAT, "status", {"status": 403})],
            0, 1, 1,
        ),
        (
            [(COMPLETE, "status", {"status": 429}), (STAT, "reset_before", {"times": 2})],
            429, 1, 2,
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", [None, 77], ids=["a new path", "an existing object"])
def test_unknown_outcome_names_settling_call(
    bench: Bench,
    faults: list[Fault],
    status: int,
    completes: int,
    stats: int,
    before: int | None,
) -> None:
    if before is not None:
        bench.upload(before)
        bench.sandbox.requests.clear()
    add_faults(bench, *faults)
    with pytest.raises(TransferError, match="complete failed") as caught:
        bench.upload(SIZE)
    assert bench.sandbox.faults.pending == []
    error = caught.value
    assert (error.outcome, error.status) == ("unknown", status)
    assert error.__cause__ is not None
    assert error.upload_id is not None
    assert error.upload_id in str(error)
    assert error.physical_address is not None
    assert error.physical_address in str(error)
    assert (bench.operations[COMPLETE], bench.operations[STAT]) == (completes, stats)
    # The store may have assembled the object: nothing is aborted.
    assert bench.operations[ABORT] == 0
    settle(bench, error)
    assert bench.stored_bytes() == content(SIZE)


def settle(bench: Bench, error: TransferError) -> None:
    """Stat the object, then link or complete it if needed, as the error advises."""
    assert error.upload_id is not None
    assert error.physical_address is not None
    found = bench.stat()
    if found is not None and found.physical_address == error.physical_address:
        return
    upload = bench.sandbox.blockstore.uploads().get(error.upload_id)
    if upload is None:
        link(bench, error, SIZE)
        return
    ExperimentalApi(bench.client).complete_presign_multipart_upload(
        "repo",
        "main",
        error.upload_id,
        PATH,
        complete_presign_multipart_upload=CompletePresignMultipartUpload(
            physical_address=error.physical_address,
            parts=[
                UploadPart(part_number=number, etag=part.etag)
                for number, part in sorted(upload.parts.items())
            ],
        ),
    )


# The store assembled the object, and lakeFS did not record it. The stat fails for that reason.
ASSEMBLED_ONLY: list[Fault] = [
    (COMPLETE, "late_error", {"status": 500}),
    (STAT, "status", {"status": 404, "times": 2}),
]


@pytest.mark.parametrize("before", [None, 77], ids=["a new path", "an existing object"])
@pytest.mark.parametrize("verify", [True, False])
def test_unrecorded_object_is_unknown_outcome(
    bench: Bench, before: int | None, verify: bool
) -> None:
    """The path keeps its object until the caller settles the outcome."""
    if before is not None:
        bench.upload(before)
        bench.sandbox.requests.clear()
    add_faults(bench, *ASSEMBLED_ONLY)
    with pytest.raises(TransferError, match="complete failed") as caught:
        bench.upload(SIZE, verify=verify)
    assert bench.sandbox.faults.pending == []
    assert (caught.value.outcome, caught.value.status) == ("unknown", 500)
    assert (bench.operations[LINK], bench.operations[ABORT]) == (0, 0)
    assert bench.operations["store_get_object"] == 0
    settle(bench, caught.value)
    assert bench.stored_bytes() == content(SIZE)


@pytest.mark.parametrize("before", [None, 77], ids=["a new path", "an existing object"])
def test_foreign_abort_keeps_existing_object(bench: Bench, before: int | None) -> None:
    store = bench.sandbox.blockstore

    def abort_all(seconds: float) -> None:
        for upload in store.uploads().values():
            store.abort(upload.key, upload.upload_id)

    previous = None
    if before is not None:
        bench.upload(before, user_metadata={"run": "41"}, content_type="text/former")
        previous = bench.stat()
    bench.client.store_client.timing = Timing(sleep=abort_all)
    add_faults(bench, (COMPLETE, "status", {"status": 503}))
    with pytest.raises(TransferError, match="no object refers to the upload") as caught:
        bench.upload(SIZE)
    assert bench.sandbox.faults.pending == []
    assert caught.value.outcome == "unknown"
    assert not bench.sandbox.blockstore.uploads()
    assert bench.stat() == previous


@pytest.mark.parametrize("size", [SIZE, 17], ids=["parts", "one PUT"])
def test_protected_branch_keeps_bytes_for_link(bench: Bench, size: int) -> None:
    protect = RepositoriesApi(bench.client).set_branch_protection_rules
    protect("repo", [BranchProtectionRule(pattern="main")])
    # Only a user who may not read the rules gets there.
    add_faults(bench, ("get_branch_protection_rules", "status", {"status": 403}))
    with pytest.raises(TransferError, match="403 Forbidden") as caught:
        bench.upload(size)
    error = caught.value
    assert (error.outcome, error.status) == ("not linked", 403)
    assert isinstance(error.__cause__, ForbiddenException)
    assert bench.operations[ABORT] == 0
    assert bench.stat() is None
    protect("repo", [])
    link(bench, error, size)
    bench.assert_whole(content(size))


@pytest.mark.parametrize(
    ("size", "outcome"), [(SIZE, "unknown"), (17, "not linked")], ids=["parts", "one PUT"]
)
def test_deleted_branch_reports_outcome(bench: Bench, size: int, outcome: str) -> None:
    branches = BranchesApi(bench.client)
    branches.create_branch("repo", BranchCreation(name="short-lived", source="main"))
    deleted = threading.Lock()

    def delete_once(count: int) -> None:
        if deleted.acquire(blocking=False):
            branches.delete_branch("repo", "short-lived")

    with pytest.raises(TransferError, match="404 Not Found") as caught:
        bench.upload(size, branch="short-lived", progress=delete_once)
    error = caught.value
    assert (error.outcome, error.status) == (outcome, 404)
    branches.create_branch("repo", BranchCreation(name="short-lived", source="main"))
    assert error.physical_address is not None
    StagingApi(bench.client).link_physical_address(
        "repo",
        "short-lived",
        PATH,
        StagingMetadata(
            staging=StagingLocation(physical_address=error.physical_address),
            checksum="checksum",
            size_bytes=size,
        ),
    )
    assert bench.stored_bytes(branch="short-lived") == content(size)


def one_part(bench: Bench) -> tuple[Any, list[StoredPart]]:
    """Return an upload whose only part is in the store."""
    target = Destination(bench.client, ObjectRef("repo", "main", PATH), "application/x", {})
    upload, (signed,) = target.create(1)
    headers = {"Content-Length": "9"}
    response = bench.client.store_client.exchange(Message("PUT", signed.url, headers, content(9)))
    return (target, upload), [StoredPart(response.headers["ETag"].strip('"'), None, None)]


def test_concurrent_completes_create_one_object(bench: Bench) -> None:
    (target, upload), stored = one_part(bench)
    barrier = threading.Barrier(4)

    def run(_: int) -> str:
        barrier.wait(60)
        completion = Completion(target, upload, stored, 9, requested=False)
        return completion.run(NO_WAIT, time.sleep).checksum

    with ThreadPoolExecutor(4) as pool:
        checksums = set(pool.map(run, range(4)))
    assert len(checksums) == 1
    statuses = sorted(r.status or 0 for r in bench.sandbox.requests if r.operation == COMPLETE)
    assert statuses == [200, 500, 500, 500]
    bench.assert_whole(content(9))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"size": SIZE - 1}, rf"got {SIZE - 1} bytes, expected {SIZE}"),
        ({"etag": "0123456789abcdef" * 2 + "-2"}, r"got checksum 0123.*-2, expected"),
    ],
    ids=["size", "checksum"],
)
@pytest.mark.parametrize("lost", [False, True])
def test_different_object_is_mismatch(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], text: str, lost: bool
) -> None:
    store = bench.sandbox.blockstore
    assemble = store.complete
    monkeypatch.setattr(
        store, "complete", lambda *arguments: replace(assemble(*arguments), **changes)
    )
    if lost:
        add_faults(bench, (COMPLETE, "lost_answer", {}))
    with pytest.raises(TransferError, match=text) as caught:
        bench.upload(SIZE)
    error = caught.value
    assert error.outcome == "mismatch"
    assert error.upload_id is not None
    assert error.physical_address is not None
    assert bench.operations[ABORT] == 0


def test_size_is_verified_without_verify(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    store = bench.sandbox.blockstore
    assemble = store.complete
    monkeypatch.setattr(store, "complete", lambda *a: replace(assemble(*a), size=1))
    with pytest.raises(TransferError, match="got 1 bytes, expected"):
        bench.upload(SIZE, verify=False)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_interrupt_during_complete_is_raised_unchanged(bench: Bench) -> None:
    faults = bench.sandbox.faults
    faults.add(COMPLETE, "stall", seconds=600)
    with interrupt_once(lambda: not faults.pending), pytest.raises(KeyboardInterrupt):
        bench.upload(SIZE)
    bench.assert_nothing_left()


# Create


@pytest.mark.parametrize(
    ("status", "error"),
    [(500, ServiceException), (503, ServiceException), (409, ConflictException)],
)
def test_failed_create_is_raised_unchanged(
    bench: Bench, status: int, error: type[ApiException]
) -> None:
    add_faults(bench, (CREATE, "status", {"status": status}))
    with pytest.raises(error) as caught:
        bench.upload(SIZE)
    assert caught.value.status == status
    assert not isinstance(caught.value, TransferError)
    # The operation is not idempotent.
    assert bench.operations == {CREATE: 1}
    bench.assert_nothing_left()


def test_throttled_create_is_retried(bench: Bench) -> None:
    add_faults(bench, (CREATE, "status", {"status": 429}))
    bench.upload(SIZE)
    assert bench.sandbox.faults.pending == []
    bench.assert_whole(content(SIZE))


@pytest.mark.parametrize("kind", ["lost_answer", "truncate"])
def test_lost_answer_to_create_leaves_empty_upload(bench: Bench, kind: FaultKind) -> None:
    # The lost answer had the id, so the upload cannot be aborted.
    add_faults(bench, (CREATE, kind, {}))
    with pytest.raises(ApiConnectionError):
        bench.upload(SIZE)
    assert bench.operations == {CREATE: 1}
    (pending,) = bench.sandbox.blockstore.uploads().values()
    assert not pending.parts
    assert bench.stat() is None


# Link


@pytest.mark.parametrize("before", [None, 77], ids=["a new path", "an existing object"])
@pytest.mark.parametrize(
    ("kind", "details"),
    [
        ("status", {"status": 429}),
        ("status", {"status": 503}),
        ("reset_before", {}),
        ("lost_answer", {}),
        ("lost_answer", {"times": 2}),
        ("truncate", {"times": 2}),
        ("late_error", {"status": 404}),
        ("late_error", {"status": 500}),
        ("late_error", {"status": 503, "times": 2}),
    ],
    ids=str,
)
def test_lost_answer_to_link_is_reconciled(
    bench: Bench, kind: FaultKind, details: dict[str, Any], before: int | None
) -> None:
    if before is not None:
        bench.upload(before)
    add_faults(bench, (LINK, kind, details))
    stats = bench.upload(9)
    assert bench.sandbox.faults.pending == []
    assert stats.size_bytes == 9
    bench.assert_whole(content(9))


@pytest.mark.parametrize("before", [None, 77], ids=["a new path", "an existing object"])
@pytest.mark.parametrize(
    ("faults", "status", "outcome"),
    [
        ([(LINK, "status", {"status": 400})], 400, "not linked"),
        ([(LINK, "status", {"status": 403})], 403, "not linked"),
        ([(LINK, "status", {"status": 500})], 500, "not linked"),
        ([(LINK, "status", {"status": 503, "times": 2})], 503, "not linked"),
        ([(LINK, "reset_after", {"times": 2})], 0, "not linked"),
        (
            [(LINK, "status", {"status": 500}), (STAT, "status", {"status": 500})],
            500, "unknown",
        ),
        (
            [(LINK, "late_error", {"status": 500}), (STAT, "status", {"status": 403})],
            500, "unknown",
        ),
    ],
)  # fmt: skip
def test_failed_link_names_physical_address(
    bench: Bench, faults: list[Fault], status: int, outcome: str, before: int | None
) -> None:
    if before is not None:
        bench.upload(before)
    add_faults(bench, *faults)
    with pytest.raises(TransferError, match="in the store") as caught:
        bench.upload(9)
    assert bench.sandbox.faults.pending == []
    error = caught.value
    assert (error.outcome, error.status) == (outcome, status)
    assert isinstance(error.__cause__, ApiException)
    if outcome == "not linked":
        found = bench.stat()
        assert (None if found is None else found.size_bytes) == before
    link(bench, error, 9)
    bench.assert_whole(content(9))


# Addresses and checksums


@pytest.mark.parametrize(
    ("address", "other", "same"),
    [
        ("data/a/b,sig", "data/a/b,sig", True),
        ("data/a/b,sig", "s3://bucket/repo/data/a/b,sig", True),
        ("s3://bucket/repo/data/a/b,sig", "data/a/b,sig", True),
        ("data/a/b,sig", "data/a/c,sig", False),
        ("a/b,sig", "data/xa/b,sig", False),
        ("s3://one/data/a/b", "s3://two/data/a/b", False),
    ],
)
def test_addresses_compare_without_namespace(address: str, other: str, same: bool) -> None:
    assert same_address(address, other) is same
    assert same_address(other, address) is same


@pytest.mark.parametrize(
    ("md5s", "expected"),
    [
        # One empty part, and two parts: 5 MiB of zeros and the letter a.
        (["d41d8cd98f00b204e9800998ecf8427e"], "59adb24ef3cdbe0297f05b395827453f-1"),
        (
            ["5f363e0e58a95f06cbe9bbc662c5dfb6", "0cc175b9c0f1b6a831c399e269772661"],
            "c37a4df95f46d5fbd682f9f1aff63bd5-2",
        ),
        (["d41d8cd98f00b204e9800998ecf8427e", None], None),
        ([None], None),
    ],
)
def test_composite_checksum(md5s: list[str | None], expected: str | None) -> None:
    assert composite_md5(md5s) == expected
