"""Transactions, idempotent creation, and errors classified by the server's message."""

from __future__ import annotations

from typing import Any

import pytest
from support.waiting import eventually

from lakefs_client import (
    ApiClient,
    BranchProtectedError,
    HookRefusedError,
    MergeConflictError,
    NothingToCommitError,
    transaction,
)
from lakefs_client.ensure import ensure_branch, ensure_repository, ensure_tag
from lakefs_client.exceptions import ConflictException
from lakefs_client.models import BranchCreation, Merge, RepositoryCreation, TagCreation
from lakefs_client.transactions import TransactionResult

from .support import Repo

ACTION = """\
name: Only Parquet
on:
  pre-merge:
    branches: [main]
hooks:
  - id: only_parquet
    type: lua
    properties:
      script: error("no CSV on main")
"""


def branches(repo: Repo) -> list[str]:
    found = repo.lakefs.branches_api.list_branches(repo.name, show_hidden=True)
    return [branch.id for branch in found.results]


def start(api_client: ApiClient, repo: Repo, **options: Any) -> Any:
    return transaction(api_client, repo.name, "main", message="nightly", **options)


def test_transaction_merges_all_changes(api_client: ApiClient, repo: Repo) -> None:
    with start(api_client, repo, metadata={"run": "7"}) as tx:
        repo.upload("a", b"one", tx.branch)
        repo.upload("b", b"two", tx.branch)
        shown = repo.lakefs.branches_api.list_branches(repo.name).results
        assert [branch.id for branch in shown] == ["main"]
        repo.change("theirs", b"three")
        assert repo.paths() == ["theirs"]
    assert repo.paths() == ["a", "b", "theirs"]
    assert branches(repo) == ["main"]
    merge, commit = (repo.lakefs.commits_api.get_commit(repo.name, c) for c in reversed(tx.result))
    assert tx.result == TransactionResult(commit.id, repo.head())
    assert merge.parents[1] == commit.id
    assert merge.metadata["run"] == commit.metadata["run"] == "7"


def test_transaction_without_changes_is_skipped(api_client: ApiClient, repo: Repo) -> None:
    head = repo.head()
    with start(api_client, repo) as tx:
        pass
    assert tx.result == TransactionResult(None, None)
    with pytest.raises(NothingToCommitError), start(api_client, repo, if_empty="error"):
        pass
    assert repo.head() == head
    assert branches(repo) == ["main"]


def test_transaction_conflict_names_its_paths(api_client: ApiClient, repo: Repo) -> None:
    with pytest.raises(MergeConflictError) as caught, start(api_client, repo) as tx:
        repo.upload("both", b"mine", tx.branch)
        repo.upload("mine", b"mine too", tx.branch)
        head = repo.change("both", b"theirs")
    assert caught.value.paths == ["both"]
    assert repo.head() == head
    assert branches(repo) == ["main"]


def test_merge_conflict_names_its_paths(repo: Repo) -> None:
    repo.branch("dev")
    repo.change("both", b"theirs")
    repo.change("both", b"mine", "dev")
    repo.change("mine", b"mine too", "dev")
    with pytest.raises(MergeConflictError) as caught:
        repo.lakefs.refs_api.merge_into_branch(repo.name, "dev", "main", merge=Merge())
    assert caught.value.paths == ["both"]


def test_hook_failure_rolls_back_the_transaction(api_client: ApiClient, repo: Repo) -> None:
    head = repo.change("_lakefs_actions/parquet.yaml", ACTION.encode())
    tx = start(api_client, repo)
    failure = None
    try:
        with tx:
            repo.upload("a.csv", b"1,2", tx.branch)
    except HookRefusedError as error:
        failure = error
    if failure is None:
        pytest.skip("this server runs no hooks")
    assert (failure.hook_id, failure.message) == ("only_parquet", "no CSV on main")
    assert repo.lakefs.actions_api.get_run(repo.name, failure.run_id or "").status == "failed"
    assert "main is unchanged" in str(failure)
    assert repo.head() == head
    assert branches(repo) == ["main"]


def test_protected_branch_accepts_transactions_only(api_client: ApiClient, repo: Repo) -> None:
    rules = [{"pattern": "main"}]
    repo.lakefs.repositories_api.set_branch_protection_rules(repo.name, rules)

    def is_protected() -> bool:
        try:
            repo.upload("direct", b"direct")
        except BranchProtectedError:
            return True
        return False

    eventually(is_protected)
    repo.lakefs.repositories_api.set_branch_protection_rules(repo.name, [])
    eventually(lambda: not is_protected())
    repo.lakefs.branches_api.reset_branch(repo.name, "main", {"type": "reset"})
    repo.lakefs.repositories_api.set_branch_protection_rules(repo.name, rules)
    with start(api_client, repo) as tx:
        repo.upload("a", b"one", tx.branch)
    assert repo.paths() == ["a"]


def test_ensure_accepts_existing_resources(api_client: ApiClient, repo: Repo) -> None:
    creation = RepositoryCreation(repo.name, repo.storage_namespace)
    assert ensure_repository(api_client, creation).id == repo.name
    creation = RepositoryCreation(repo.name, f"{repo.storage_namespace}-other")
    with pytest.raises(ConflictException):
        ensure_repository(api_client, creation)
    for _ in range(2):
        branch = ensure_branch(api_client, repo.name, BranchCreation("dev", "main"))
        assert (branch.id, branch.commit_id) == ("dev", repo.head())
        tag = ensure_tag(api_client, repo.name, TagCreation("v1", "main"))
        assert (tag.id, tag.commit_id) == ("v1", repo.head())
    repo.change("a")
    with pytest.raises(ConflictException):
        ensure_tag(api_client, repo.name, TagCreation("v1", "main"))
