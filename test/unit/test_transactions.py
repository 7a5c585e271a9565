"""Transactions: atomic changes, and rollback after failures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.fake_time import FakeTime

import lakefs_client
from lakefs_client import (
    ApiClient,
    ApiConnectionError,
    ApiException,
    ApiTypeError,
    ApiValueError,
    HookRefusedError,
    MergeConflictError,
    NothingToCommitError,
    transaction,
)
from lakefs_client.apis import BranchesApi, CommitsApi, ObjectsApi, RefsApi, RepositoriesApi
from lakefs_client.exceptions import ForbiddenException, NotFoundException
from lakefs_client.models import CommitCreation, RepositoryCreation
from lakefs_client.sandbox import Sandbox
from lakefs_client.transactions import Transaction, TransactionResult

REPO = "repo"


@pytest.fixture
def lake(client: ApiClient, sandbox: Sandbox) -> ApiClient:
    """Provide a client of a sandbox with a repository, on a fake clock."""
    namespace = f"{sandbox.storage_namespace}repo"
    RepositoriesApi(client).create_repository(RepositoryCreation(REPO, namespace))
    write(client, "main", "base")
    CommitsApi(client).commit(REPO, "main", CommitCreation("base"))
    client.rest_client.timing = FakeTime().timing
    return client


def write(client: ApiClient, branch: str, path: str, content: str = "x") -> None:
    ObjectsApi(client).upload_object(REPO, branch, path, content=content.encode())


def paths(client: ApiClient, ref: str = "main") -> list[str]:
    return [item.path for item in ObjectsApi(client).list_objects(REPO, ref).results]


def branches(client: ApiClient) -> list[str]:
    api = BranchesApi(client)
    return [branch.id for branch in api.list_branches(REPO, show_hidden=True).results]


def log(client: ApiClient, ref: str = "main") -> list[Any]:
    return RefsApi(client).log_commits(REPO, ref).results


def calls(sandbox: Sandbox, operation: str) -> int:
    return sum(request.operation == operation for request in sandbox.requests)


def start(client: ApiClient, **options: Any) -> Transaction:
    return transaction(client, REPO, "main", message="nightly", **options)


def test_changes_are_merged_when_the_block_ends(lake: ApiClient) -> None:
    with transaction(lake, REPO, "main", message="nightly", metadata={"run": "7"}) as tx:
        write(lake, tx.branch, "a")
        write(lake, tx.branch, "b")
        assert tx.result is None
        assert paths(lake) == ["base"]
        names = [branch.id for branch in BranchesApi(lake).list_branches(REPO).results]
        assert names == ["main"]  # the transaction's branch is hidden
        assert tx.branch in branches(lake)
    assert paths(lake) == ["a", "b", "base"]
    assert branches(lake) == ["main"]
    merge, commit = log(lake)[:2]
    assert tx.result == TransactionResult(commit.id, merge.id)
    assert merge.parents[1] == commit.id
    assert [c.message for c in (merge, commit)] == ["nightly", "nightly"]
    assert merge.metadata["run"] == commit.metadata["run"] == "7"


def test_module_import_does_not_shadow_the_function() -> None:
    assert lakefs_client.transactions.transaction is lakefs_client.transaction


def test_empty_transaction_is_skipped_by_default(lake: ApiClient) -> None:
    before = log(lake)
    with start(lake) as tx:
        pass
    assert tx.result == TransactionResult(None, None)
    assert log(lake) == before
    assert branches(lake) == ["main"]


def test_empty_transaction_is_an_error_on_request(lake: ApiClient) -> None:
    with (
        pytest.raises(NothingToCommitError, match="main is unchanged"),
        start(lake, if_empty="error"),
    ):
        pass
    assert branches(lake) == ["main"]


def test_commits_within_the_block_are_merged(lake: ApiClient) -> None:
    with start(lake, if_empty="error") as tx:
        write(lake, tx.branch, "a")
        mine = CommitsApi(lake).commit(REPO, tx.branch, CommitCreation("mine"))
    assert tx.result is not None
    assert tx.result.commit_id == mine.id
    assert paths(lake) == ["a", "base"]


def test_base_with_new_commits_is_merged_into(lake: ApiClient) -> None:
    with start(lake) as tx:
        write(lake, tx.branch, "a")
        write(lake, "main", "theirs")
        CommitsApi(lake).commit(REPO, "main", CommitCreation("theirs"))
    assert paths(lake) == ["a", "base", "theirs"]


def test_commits_without_net_change_are_not_merged(lake: ApiClient) -> None:
    with start(lake) as tx:
        write(lake, tx.branch, "a")
        CommitsApi(lake).commit(REPO, tx.branch, CommitCreation("there"))
        ObjectsApi(lake).delete_object(REPO, tx.branch, "a")
    assert tx.result is not None
    assert tx.result.commit_id is not None
    assert tx.result.merge_commit_id is None
    assert paths(lake) == ["base"]


# Failed blocks


def test_exception_keeps_base_and_deletes_branch(
    lake: ApiClient, caplog: pytest.LogCaptureFixture
) -> None:
    before = log(lake)
    with pytest.raises(RuntimeError, match="mine") as caught, start(lake) as tx:
        write(lake, tx.branch, "a")
        raise RuntimeError("mine")
    assert log(lake) == before
    assert branches(lake) == ["main"]
    note = f"transaction {tx.branch} on repo/main failed: main is unchanged. The branch {tx.branch}"
    assert note in caplog.text
    if sys.version_info >= (3, 11):
        assert note in caught.value.__notes__[0]
    assert tx.result is None


def test_client_error_names_the_branch(lake: ApiClient) -> None:
    with pytest.raises(NotFoundException) as caught, start(lake, on_error="keep") as tx:
        write(lake, tx.branch, "a")
        ObjectsApi(lake).stat_object(REPO, tx.branch, "missing")
    assert f"kept on the branch {tx.branch}, uncommitted" in str(caught.value)
    assert str(caught.value).startswith("(404)")
    assert branches(lake) == ["main", tx.branch]
    assert paths(lake, tx.branch) == ["a", "base"]
    assert paths(lake) == ["base"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_interrupt_rolls_back(lake: ApiClient, error: type[BaseException]) -> None:
    with pytest.raises(error), start(lake) as tx:
        write(lake, tx.branch, "a")
        raise error
    assert branches(lake) == ["main"]
    assert paths(lake) == ["base"]


# Failed commits and merges


def test_conflict_paths_survive_branch_deletion(lake: ApiClient, sandbox: Sandbox) -> None:
    with pytest.raises(MergeConflictError, match="main is unchanged") as caught, start(lake) as tx:
        write(lake, tx.branch, "base", "mine")
        write(lake, "main", "base", "theirs")
        theirs = CommitsApi(lake).commit(REPO, "main", CommitCreation("theirs"))
    assert branches(lake) == ["main"]
    assert log(lake)[0].id == theirs.id
    seen = len(sandbox.requests)
    assert caught.value.paths == ["base"]
    assert len(sandbox.requests) == seen


def test_failed_lookup_of_paths_does_not_hide_the_conflict(
    lake: ApiClient, sandbox: Sandbox
) -> None:
    sandbox.faults.add("diff_refs", "status", status=403)
    with pytest.raises(MergeConflictError, match="main is unchanged"), start(lake) as tx:
        write(lake, tx.branch, "base", "mine")
        write(lake, "main", "base", "theirs")
        CommitsApi(lake).commit(REPO, "main", CommitCreation("theirs"))
    assert branches(lake) == ["main"]


def test_on_error_keep_keeps_the_conflicting_branch(lake: ApiClient) -> None:
    with pytest.raises(MergeConflictError) as caught, start(lake, on_error="keep") as tx:
        write(lake, tx.branch, "base", "mine")
        write(lake, "main", "base", "theirs")
        CommitsApi(lake).commit(REPO, "main", CommitCreation("theirs"))
    head = BranchesApi(lake).get_branch(REPO, tx.branch).commit_id
    assert f"kept on the branch {tx.branch}, committed as {head}" in str(caught.value)


REFUSAL = {
    "message": "pre-merge hook aborted, run id 'r1': 1 error occurred:\n\t* hook run id '0_0' "
    "failed on action 'a' hook 'no_csv': action failed: no CSV\n\n"
}


@pytest.mark.parametrize("operation", ["commit", "merge_into_branch"])
def test_hook_error_keeps_the_base(lake: ApiClient, sandbox: Sandbox, operation: str) -> None:
    sandbox.faults.add(operation, "status", status=412, body=REFUSAL)
    with pytest.raises(HookRefusedError, match="main is unchanged") as caught, start(lake) as tx:
        write(lake, tx.branch, "a")
    assert (caught.value.hook_id, caught.value.message) == ("no_csv", "no CSV")
    assert branches(lake) == ["main"]
    assert paths(lake) == ["base"]


def test_uncommitted_base_changes_prevent_the_merge(lake: ApiClient) -> None:
    write(lake, "main", "dirt")
    with pytest.raises(ApiException, match="dirty branch"), start(lake) as tx:
        assert paths(lake, tx.branch) == ["base"]
        write(lake, tx.branch, "a")
    assert branches(lake) == ["main"]


# Concurrent changes of the base

MOVED = [
    {"status": 500, "body": {"message": "update branch main: update branch: predicate failed"}},
    {"status": 500, "body": {"message": "branch is currently locked, try again later"}},
    {"status": 429},
    {"status": 503},
]


@pytest.mark.parametrize("fault", MOVED, ids=lambda fault: str(fault["status"]))
def test_merge_is_retried_after_concurrent_change(
    lake: ApiClient, sandbox: Sandbox, fault: dict[str, Any]
) -> None:
    sandbox.faults.add("merge_into_branch", "status", times=2, **fault)
    with start(lake) as tx:
        write(lake, tx.branch, "a")
    assert paths(lake) == ["a", "base"]
    assert calls(sandbox, "merge_into_branch") == 3
    assert branches(lake) == ["main"]


def test_merge_retries_are_limited(lake: ApiClient, sandbox: Sandbox) -> None:
    sandbox.faults.add("merge_into_branch", "status", times=100, **MOVED[0])
    with pytest.raises(ApiException, match="main is unchanged"), start(lake) as tx:
        write(lake, tx.branch, "a")
    assert calls(sandbox, "merge_into_branch") == 5
    assert branches(lake) == ["main"]


# Lost responses


@pytest.mark.parametrize("operation", ["create_branch", "commit", "merge_into_branch"])
@pytest.mark.parametrize("kind", ["lost_answer", "late_error"])
def test_lost_response_does_not_repeat_the_effect(
    lake: ApiClient, sandbox: Sandbox, operation: str, kind: Any
) -> None:
    status = {"status": 502} if kind == "late_error" else {}
    sandbox.faults.add(operation, kind, **status)
    before = len(log(lake))
    with start(lake) as tx:
        write(lake, tx.branch, "a")
    assert paths(lake) == ["a", "base"]
    assert len(log(lake)) == before + 2
    merge, commit = log(lake)[:2]
    assert tx.result == TransactionResult(commit.id, merge.id)
    assert branches(lake) == ["main"]


@pytest.mark.parametrize("operation", ["commit", "merge_into_branch"])
def test_undelivered_request_is_retried(lake: ApiClient, sandbox: Sandbox, operation: str) -> None:
    sandbox.faults.add(operation, "reset_before", times=2)
    with start(lake) as tx:
        write(lake, tx.branch, "a")
    assert paths(lake) == ["a", "base"]
    assert tx.result == TransactionResult(*(c.id for c in reversed(log(lake)[:2])))


def test_merge_of_unknown_outcome_keeps_the_branch(lake: ApiClient, sandbox: Sandbox) -> None:
    sandbox.faults.add("merge_into_branch", "reset_after", times=100)
    with pytest.raises(ApiConnectionError) as caught, start(lake, on_error="delete") as tx:
        write(lake, tx.branch, "a")
    head = BranchesApi(lake).get_branch(REPO, tx.branch).commit_id
    text = str(caught.value)
    assert f"The branch {tx.branch} is kept, committed as {head}" in text
    assert "the merge may still take place" in text
    sandbox.faults.clear()
    RefsApi(lake).merge_into_branch(REPO, tx.branch, "main")  # as the error says
    assert paths(lake) == ["a", "base"]


def test_unreachable_server_error_names_remaining_branch(lake: ApiClient, sandbox: Sandbox) -> None:
    lake.configuration.retries = False
    with pytest.raises(ApiConnectionError) as caught, start(lake) as tx:
        write(lake, tx.branch, "a")
        sandbox.faults.add("*", "reset_before", times=1000)
    assert f"Deleting the branch {tx.branch} failed" in str(caught.value)
    assert "main is unchanged" in str(caught.value)


def test_failed_branch_deletion_is_a_warning(
    lake: ApiClient, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.faults.add("delete_branch", "status", status=403)
    with start(lake) as tx:
        write(lake, tx.branch, "a")
    assert tx.result is not None
    assert f"{tx.branch} on repo/main is done, but deleting its branch failed" in caplog.text


def test_interrupt_during_merge_reports_the_outcome(
    lake: ApiClient, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    tx = start(lake)
    with pytest.raises(KeyboardInterrupt), tx:
        write(lake, tx.branch, "a")
        sandbox.faults.add("merge_into_branch", "lost_answer")
        lake.rest_client.timing = lake.rest_client.timing._replace(sleep=interrupt)
        # The lookup after the lost response fails, so the loop sleeps and is interrupted.
        sandbox.faults.add("log_commits", "status", status=400)
    assert tx.result is not None
    assert f"is done: main has it as commit {tx.result.merge_commit_id}" in caplog.text
    assert paths(lake) == ["a", "base"]
    assert branches(lake) == ["main"]


# Failed starts


def test_base_other_than_branch_is_rejected(lake: ApiClient) -> None:
    commit = log(lake)[0].id
    for base in (commit, "missing"):
        with pytest.raises(NotFoundException), transaction(lake, REPO, base, message="m"):
            pytest.fail("the block must not run")
    assert branches(lake) == ["main"]


def test_branch_creation_of_unknown_outcome_is_undone(lake: ApiClient, sandbox: Sandbox) -> None:
    sandbox.faults.add("create_branch", "lost_answer")
    sandbox.faults.add("get_branch", "reset_after", after=1, times=5)
    with pytest.raises(ApiConnectionError), start(lake):
        pytest.fail("the block must not run")
    assert branches(lake) == ["main"]


def test_undelivered_branch_creation_skips_the_block(lake: ApiClient, sandbox: Sandbox) -> None:
    sandbox.faults.add("create_branch", "reset_before", times=10)
    with pytest.raises(ApiConnectionError), start(lake):
        pytest.fail("the block must not run")
    assert branches(lake) == ["main"]


def test_rejected_branch_creation_skips_the_block(lake: ApiClient, sandbox: Sandbox) -> None:
    sandbox.faults.add("create_branch", "status", status=403)
    with pytest.raises(ForbiddenException), start(lake):
        pytest.fail("the block must not run")
    assert branches(lake) == ["main"]


def test_server_without_hidden_branches_gets_visible_branch(
    lake: ApiClient, sandbox: Sandbox
) -> None:
    sandbox.faults.add("create_branch", "status", status=400)
    with start(lake) as tx:
        assert tx.branch in [b.id for b in BranchesApi(lake).list_branches(REPO).results]
        write(lake, tx.branch, "a")
    assert paths(lake) == ["a", "base"]
    assert branches(lake) == ["main"]


@pytest.mark.parametrize(
    ("options", "error", "named"),
    [
        ({"if_empty": "fail"}, ApiValueError, "if_empty"),
        ({"on_error": None}, ApiValueError, "on_error"),
        ({"metadata": {"a": 1}}, ApiTypeError, "metadata"),
        ({"message": None}, ApiTypeError, "message"),
    ],
)
def test_invalid_argument_is_named_before_sending(
    lake: ApiClient, sandbox: Sandbox, options: Any, error: type[Exception], named: str
) -> None:
    sandbox.requests.clear()
    with pytest.raises(error, match=named):
        transaction(lake, REPO, "main", **{"message": "m", **options}).__enter__()
    assert not sandbox.requests


def test_configuration_as_client_is_rejected(sandbox: Sandbox) -> None:
    with pytest.raises(ApiTypeError, match="must be an ApiClient, not Configuration"):
        transaction(sandbox.configuration(), REPO, "main", message="m")  # type: ignore[arg-type]


def test_transaction_cannot_be_entered_twice(lake: ApiClient) -> None:
    with start(lake) as tx:
        pass
    with pytest.raises(ApiValueError, match="twice"), tx:
        pytest.fail("the block must not run")


# Processes and signals


def test_transactions_nest_and_run_in_threads(lake: ApiClient) -> None:
    def run(path: str) -> None:
        with start(lake) as tx:
            write(lake, tx.branch, path)

    with start(lake) as outer:
        write(lake, outer.branch, "outer")
        threads = [threading.Thread(target=run, args=(f"t{i}",)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        run("inner")
    assert paths(lake) == ["base", "inner", "outer", "t0", "t1", "t2", "t3"]


def test_signal_handlers_are_restored(lake: ApiClient) -> None:
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    with start(lake):
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    def mine(*_: object) -> None:
        pass

    signal.signal(signal.SIGTERM, mine)
    try:
        with start(lake):
            assert signal.getsignal(signal.SIGTERM) is mine
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork of POSIX")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_forked_child_does_not_end_the_transaction(lake: ApiClient) -> None:
    with start(lake) as tx:
        write(lake, tx.branch, "a")
        child = os.fork()
        if child == 0:
            try:
                tx.__exit__(None, None, None)
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert tx.branch in branches(lake)
        assert paths(lake) == ["base"]
    assert paths(lake) == ["a", "base"]


PROGRAM = """\
    import sys, time
    import lakefs_client
    from lakefs_client.apis import ObjectsApi
    client = lakefs_client.ApiClient(lakefs_client.Configuration(*sys.argv[1:2],
        username=sys.argv[2], password=sys.argv[3]))
    with lakefs_client.transaction(client, "repo", "main", message="m") as tx:
        ObjectsApi(client).upload_object("repo", tx.branch, "a", content=b"a")
        print(tx.branch, flush=True)
        time.sleep(60)
"""


@pytest.fixture
def program(sandbox: Sandbox, lake: ApiClient, tmp_path: Path) -> Iterator[Callable[[], Any]]:
    """Provide a function that starts a program within a transaction, after its write."""
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(PROGRAM))
    running = []

    def run() -> subprocess.Popen[str]:
        arguments = (sandbox.endpoint, sandbox.access_key_id, sandbox.secret_access_key)
        process = subprocess.Popen(
            [sys.executable, str(path), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("tx-")
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 128 + signal.SIGTERM)]
)
def test_signal_rolls_back_and_exits(
    lake: ApiClient, program: Callable[[], Any], number: signal.Signals, code: int
) -> None:
    process = program()
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert "main is unchanged" in errors
    assert branches(lake) == ["main"]
    assert paths(lake) == ["base"]
