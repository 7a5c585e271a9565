"""The check that a branch accepts writes, which runs in parallel to the first part."""

from __future__ import annotations

import io
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support.bench import PART, PATH, PREFLIGHT, Bench, content

from lakefs_client.api.branches_api import BranchesApi
from lakefs_client.api.repositories_api import RepositoriesApi
from lakefs_client.exceptions import TransferError
from lakefs_client.models import BranchCreation, BranchProtectionRule, RepositoryCreation
from lakefs_client.transfer import Transfer, TransferConfig
from lakefs_client.transfer.upload import multipart
from lakefs_client.transfer.upload.outcome import WriteRefusedError
from lakefs_client.transfer.upload.preflight import refusal

SIZE = 3 * PART + 9
CREATE = "create_presign_multipart_upload"
COMPLETE = "complete_presign_multipart_upload"
ABORT = "abort_presign_multipart_upload"


def protect(bench: Bench, *patterns: str) -> None:
    RepositoriesApi(bench.client).set_branch_protection_rules(
        "repo", [BranchProtectionRule(pattern=pattern) for pattern in patterns]
    )
    bench.sandbox.requests.clear()


def make_read_only(bench: Bench) -> None:
    RepositoriesApi(bench.client).create_repository(
        RepositoryCreation(
            name="fixed",
            storage_namespace=f"{bench.sandbox.storage_namespace}fixed",
            read_only=True,
        )
    )
    bench.sandbox.requests.clear()


def wait_for_check(
    transfer: Transfer, repository: str = "repo", branch: str = "main"
) -> str | None:
    """Wait for the check, and return the reason of a rejection."""
    return refusal(transfer._context, repository, branch).result(60)


def preflight_requests(bench: Bench) -> list[str]:
    return [r.operation for r in bench.sandbox.requests if r.operation in PREFLIGHT]


class Stream:
    def __init__(self, size: int) -> None:
        self.read = io.BytesIO(content(size)).read


def upload(
    transfer: Transfer, bench: Bench, kind: str, repository: str = "repo", path: str = PATH
) -> None:
    if kind == "file":
        transfer.upload_file(bench.file(SIZE), repository, "main", path)
    else:
        transfer.upload_fileobj(Stream(SIZE), repository, "main", path)


@pytest.mark.parametrize("kind", ["file", "stream"])
@pytest.mark.parametrize("cause", ["protected", "read-only"])
def test_rejection_stops_stalled_upload(bench: Bench, kind: str, cause: str) -> None:
    repository, reason = "repo", "the branch main is protected"
    if cause == "read-only":
        make_read_only(bench)
        repository, reason = "fixed", "the repository fixed is read-only"
    else:
        protect(bench, "other", "main")
    bench.sandbox.faults.add("store_put_part", "stall", seconds=3600, times=99)
    with pytest.raises(TransferError, match=reason) as caught:
        upload(Transfer(bench.client, TransferConfig(part_size=PART)), bench, kind, repository)
    assert isinstance(caught.value.__cause__, WriteRefusedError)
    assert (caught.value.status, caught.value.outcome) == (403, "aborted")
    assert caught.value.part_number is None
    assert bench.operations[COMPLETE] == 0
    assert bench.operations[ABORT] == 1
    bench.sandbox.faults.clear()
    assert not bench.sandbox.blockstore.uploads()
    assert not bench.sandbox.blockstore.objects()


def test_rejection_stops_executor_upload(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "CANCEL_WAIT", 0.1)
    protect(bench, "main")
    bench.sandbox.faults.add("store_put_part", "stall", seconds=1, times=99)
    with (
        ThreadPoolExecutor(2) as pool,
        pytest.raises(TransferError, match="the branch main is protected") as caught,
    ):
        bench.upload(SIZE, executor=pool)
    assert caught.value.outcome == "aborted"
    bench.sandbox.faults.clear()
    bench.assert_nothing_left()


@pytest.mark.parametrize("pattern", ["main", "ma*", "*"])
def test_unknown_rules_leave_decision_to_server(
    bench: Bench, caplog: pytest.LogCaptureFixture, pattern: str
) -> None:
    """The parts are sent if the rules cannot be read, or a rule is a pattern."""
    protect(bench, pattern)
    if pattern == "main":
        bench.sandbox.faults.add("get_branch_protection_rules", "status", status=401)
    transfer = Transfer(bench.client, TransferConfig(part_size=PART))
    with (
        caplog.at_level(logging.WARNING, "lakefs_client.transfer"),
        pytest.raises(TransferError, match="cannot write to protected branch") as caught,
    ):
        upload(transfer, bench, "file")
    assert wait_for_check(transfer) is None
    assert (caught.value.status, caught.value.outcome) == (403, "not linked")
    assert bench.operations["store_put_part"] == 4
    warnings = [
        r.getMessage() for r in caplog.records if "may protect the branch" in r.getMessage()
    ]
    assert len(warnings) == (pattern != "main")
    assert all(f"'{pattern}'" in warning for warning in warnings)


def test_rules_of_other_branches_are_ignored(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    protect(bench, "mai", "main2", "Main", "release-*", "mai[m]")
    with caplog.at_level(logging.WARNING, "lakefs_client.transfer"):
        transfer = Transfer(bench.client, TransferConfig(part_size=PART))
        upload(transfer, bench, "file")
        assert wait_for_check(transfer) is None
    assert caplog.text == ""
    bench.assert_whole(content(SIZE))


def test_pattern_rule_is_logged_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    protect(bench, "m*")
    transfer = Transfer(bench.client, TransferConfig(part_size=PART))
    with caplog.at_level(logging.WARNING, "lakefs_client.transfer"):
        for _ in range(2):
            with pytest.raises(TransferError, match="403"):
                upload(transfer, bench, "file")
        assert wait_for_check(transfer) is None
    assert sum("may protect the branch" in r.getMessage() for r in caplog.records) == 1


def test_each_branch_is_checked_once(bench: Bench) -> None:
    BranchesApi(bench.client).create_branch("repo", BranchCreation(name="dev", source="main"))
    bench.sandbox.requests.clear()
    transfer = Transfer(bench.client, TransferConfig(part_size=PART))
    source = bench.file(SIZE)
    for branch in ("main", "dev", "main", "dev"):
        transfer.upload_file(source, "repo", branch, PATH)
        wait_for_check(transfer, "repo", branch)
    assert sorted(preflight_requests(bench)) == sorted(PREFLIGHT * 2)
    other = Transfer(bench.client, TransferConfig(part_size=PART))
    other.upload_file(source, "repo", "main", PATH)
    wait_for_check(other)
    assert len(preflight_requests(bench)) == 6


def test_concurrent_uploads_share_one_check(bench: Bench) -> None:
    bench.sandbox.faults.add("get_repository", "stall", seconds=0.5)
    transfer = Transfer(bench.client, TransferConfig(part_size=PART))
    with ThreadPoolExecutor(3) as pool:
        for n in range(3):
            source = bench.file(PART, f"{n}.dat")
            pool.submit(transfer.upload_file, source, "repo", "main", f"{n}")
    wait_for_check(transfer)
    assert sorted(preflight_requests(bench)) == sorted(PREFLIGHT)


def test_rejection_is_checked_again(bench: Bench) -> None:
    protect(bench, "main")
    transfer = Transfer(bench.client, TransferConfig(part_size=PART))
    bench.sandbox.faults.add("store_put_part", "stall", seconds=3600, times=99)
    for _ in range(2):
        with pytest.raises(TransferError, match="is protected"):
            upload(transfer, bench, "file")
    bench.sandbox.faults.clear()
    protect(bench)
    upload(transfer, bench, "file")
    bench.assert_whole(content(SIZE))


@pytest.mark.parametrize("kind", ["file", "stream"])
def test_first_part_follows_one_request(bench: Bench, kind: str) -> None:
    transfer = Transfer(bench.client, TransferConfig(part_size=PART))
    upload(transfer, bench, kind)
    wait_for_check(transfer)
    operations = [r.operation for r in bench.sandbox.requests]
    before = operations[: operations.index("store_put_part")]
    assert before[0] == CREATE
    # The requests of the check run in parallel, and may end earlier or later.
    assert set(before[1:]) <= set(PREFLIGHT)
    assert bench.operations == {CREATE: 1, "store_put_part": 4, COMPLETE: 1}


@pytest.mark.parametrize("stalled", PREFLIGHT)
@pytest.mark.parametrize("kind", ["file", "stream"])
def test_upload_does_not_wait_for_check(bench: Bench, kind: str, stalled: str) -> None:
    bench.sandbox.faults.add(stalled, "stall", seconds=3600)
    transfer = Transfer(bench.client, TransferConfig(part_size=PART))
    for path in ("one", "two"):
        upload(transfer, bench, kind, path=path)
        bench.assert_whole(content(SIZE), path)
    assert not refusal(transfer._context, "repo", "main").done()


@pytest.mark.parametrize("operation", PREFLIGHT)
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("status", {"status": 401}),
        ("status", {"status": 403}),
        ("status", {"status": 404}),
        ("status", {"status": 500}),
        ("status", {"status": 503, "times": 2}),
        ("reset_before", {"times": 2}),
        ("truncate", {"times": 2}),
    ],
)
def test_failed_check_is_ignored(
    bench: Bench,
    caplog: pytest.LogCaptureFixture,
    operation: str,
    kind: Any,
    options: dict[str, Any],
) -> None:
    bench.sandbox.faults.add(operation, kind, **options)
    transfer = Transfer(bench.client, TransferConfig(part_size=PART))
    with caplog.at_level(logging.WARNING):
        upload(transfer, bench, "file")
        assert wait_for_check(transfer) is None
    assert bench.sandbox.faults.pending == []
    assert caplog.text == ""
    bench.assert_whole(content(SIZE))


@pytest.mark.parametrize("size", [0, 9, PART - 1])
def test_single_put_skips_check(bench: Bench, size: int) -> None:
    transfer = Transfer(bench.client, TransferConfig(part_size=PART))
    transfer.upload_file(bench.file(size), "repo", "main", PATH)
    transfer.upload_fileobj(Stream(size), "repo", "main", PATH)
    # The next check is the first one.
    assert preflight_requests(bench) == []
    assert wait_for_check(transfer) is None
    assert sorted(preflight_requests(bench)) == sorted(PREFLIGHT)
