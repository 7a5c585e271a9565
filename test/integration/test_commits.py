"""Commits and the log."""

from __future__ import annotations

import pytest

from lakefs_client import NothingToCommitError
from lakefs_client.client import LakeFSClient
from lakefs_client.models import Commit, CommitCreation, Merge

from .support import Repo, expect_error, walk


def ids(commits: list[Commit]) -> list[str]:
    return [commit.id for commit in commits]


def test_commit_records_uncommitted_changes(lakefs: LakeFSClient, repo: Repo) -> None:
    before = repo.head()
    repo.upload("a.txt")
    created = lakefs.commits_api.commit(
        repo.name, "main", CommitCreation("first", metadata={"run": "42"})
    )
    assert created.message == "first"
    assert created.metadata == {"run": "42"}
    assert created.parents == [before]
    assert created.committer
    assert created.creation_date > 0
    assert created.meta_range_id
    assert repo.head() == created.id
    assert repo.uncommitted() == []


def test_created_commit_equals_fetched_commit(lakefs: LakeFSClient, repo: Repo) -> None:
    repo.upload("a.txt")
    created = lakefs.commits_api.commit(repo.name, "main", CommitCreation("first"))
    assert lakefs.commits_api.get_commit(repo.name, created.id) == created
    assert lakefs.refs_api.log_commits(repo.name, "main", amount=1).results == [created]


def test_generations_count_from_initial_commit(lakefs: LakeFSClient, repo: Repo) -> None:
    repo.change("a.txt")
    repo.change("b.txt")
    log = lakefs.refs_api.log_commits(repo.name, "main").results
    assert [commit.generation for commit in log] == [3, 2, 1]


def test_commit_without_changes_is_rejected(repo: Repo) -> None:
    with expect_error(400, "commit: no changes", NothingToCommitError):
        repo.commit("nothing")


def test_commit_to_missing_branch_is_not_found(repo: Repo) -> None:
    with expect_error(404, "not found"):
        repo.commit("nowhere", "nope")


def test_missing_commit_is_not_found(lakefs: LakeFSClient, repo: Repo) -> None:
    with expect_error(404, "commit not found"):
        lakefs.commits_api.get_commit(repo.name, "abcdef0123")


def test_committed_objects_are_immutable(repo: Repo) -> None:
    first = repo.change("a.txt", b"one")
    repo.change("a.txt", b"two")
    assert repo.read("a.txt") == b"two"
    assert repo.read("a.txt", first) == b"one"
    assert repo.read("a.txt", "main~1") == b"one"


# Log


def test_log_is_paginated_newest_first(lakefs: LakeFSClient, repo: Repo) -> None:
    created = [repo.head(), *(repo.change(f"{n}.txt") for n in range(4))]
    assert ids(walk(lakefs.refs_api.log_commits, repo.name, "main", amount=2)) == created[::-1]


def test_log_starts_at_any_reference(lakefs: LakeFSClient, repo: Repo) -> None:
    first = repo.head()
    second = repo.change("a.txt")
    repo.change("b.txt")
    for ref in (second, "main~1"):
        assert ids(lakefs.refs_api.log_commits(repo.name, ref).results) == [second, first]


def test_limited_log_reports_no_more_results(lakefs: LakeFSClient, repo: Repo) -> None:
    head = repo.change("a.txt")
    page = lakefs.refs_api.log_commits(repo.name, "main", amount=1, limit=True)
    assert ids(page.results) == [head]
    assert not page.pagination.has_more
    assert lakefs.refs_api.log_commits(repo.name, "main", amount=1).pagination.has_more


def test_first_parent_log_excludes_merged_commits(lakefs: LakeFSClient, repo: Repo) -> None:
    first = repo.head()
    repo.branch("dev")
    on_dev = repo.change("dev.txt", branch="dev")
    on_main = repo.change("main.txt")
    merge = lakefs.refs_api.merge_into_branch(
        repo.name, "dev", "main", merge=Merge(message="m")
    ).reference
    log = lakefs.refs_api.log_commits
    assert set(ids(log(repo.name, "main").results)) == {merge, on_main, on_dev, first}
    first_parents = ids(log(repo.name, "main", first_parent=True).results)
    assert first_parents == [merge, on_main, first]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"objects": ["b/two.txt"]}, [1]),
        ({"objects": ["b/two.txt", "c.txt"]}, [2, 1]),
        ({"objects": ["none"]}, []),
        ({"prefixes": ["a/"]}, [3, 0]),
        ({"prefixes": ["b/"], "objects": ["c.txt"]}, [2, 1]),
    ],
)
def test_log_is_filtered_by_objects_and_prefixes(
    lakefs: LakeFSClient, repo: Repo, filters: dict[str, list[str]], expected: list[int]
) -> None:
    paths = ["a/one.txt", "b/two.txt", "c.txt", "a/one.txt"]
    created = [repo.change(path, str(n).encode()) for n, path in enumerate(paths)]
    log = lakefs.refs_api.log_commits(repo.name, "main", **filters)
    assert ids(log.results) == [created[index] for index in expected]


def test_log_of_missing_reference_is_not_found(lakefs: LakeFSClient, repo: Repo) -> None:
    with expect_error(404):
        lakefs.refs_api.log_commits(repo.name, "nope")
