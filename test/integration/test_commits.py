"""Commits and the log."""

from __future__ import annotations

import pytest

from lakefs_client import NothingToCommitError
from lakefs_client.client import LakeFSClient
from lakefs_client.models import Commit, CommitCreation, Merge

from .support import Repo, refused, walk


def ids(commits: list[Commit]) -> list[str]:
    return [commit.id for commit in commits]


def test_commit_records_what_was_uncommitted(lakefs: LakeFSClient, repo: Repo) -> None:
    before = repo.head()
    repo.upload("a.txt")
    made = lakefs.commits_api.commit(
        repo.name, "main", CommitCreation("first", metadata={"run": "42"})
    )
    assert made.message == "first"
    assert made.metadata == {"run": "42"}
    assert made.parents == [before]
    assert made.committer
    assert made.creation_date > 0
    assert made.meta_range_id
    assert repo.head() == made.id
    assert repo.uncommitted() == []


def test_commit_is_the_same_when_it_is_read_again(lakefs: LakeFSClient, repo: Repo) -> None:
    repo.upload("a.txt")
    made = lakefs.commits_api.commit(repo.name, "main", CommitCreation("first"))
    assert lakefs.commits_api.get_commit(repo.name, made.id) == made
    assert lakefs.refs_api.log_commits(repo.name, "main", amount=1).results == [made]


def test_generations_count_from_the_first_commit(lakefs: LakeFSClient, repo: Repo) -> None:
    repo.change("a.txt")
    repo.change("b.txt")
    log = lakefs.refs_api.log_commits(repo.name, "main").results
    assert [commit.generation for commit in log] == [3, 2, 1]


def test_refuses_a_commit_without_changes(repo: Repo) -> None:
    with refused(400, "commit: no changes", NothingToCommitError):
        repo.commit("nothing")


def test_refuses_a_commit_to_a_missing_branch(repo: Repo) -> None:
    with refused(404, "not found"):
        repo.commit("nowhere", "nope")


def test_refuses_to_get_a_missing_commit(lakefs: LakeFSClient, repo: Repo) -> None:
    with refused(404, "commit not found"):
        lakefs.commits_api.get_commit(repo.name, "abcdef0123")


def test_committed_objects_stay_as_they_were(repo: Repo) -> None:
    first = repo.change("a.txt", b"one")
    repo.change("a.txt", b"two")
    assert repo.read("a.txt") == b"two"
    assert repo.read("a.txt", first) == b"one"
    assert repo.read("a.txt", "main~1") == b"one"


# The log


def test_log_comes_newest_first_in_pages(lakefs: LakeFSClient, repo: Repo) -> None:
    made = [repo.head(), *(repo.change(f"{n}.txt") for n in range(4))]
    assert ids(walk(lakefs.refs_api.log_commits, repo.name, "main", amount=2)) == made[::-1]


def test_log_begins_at_any_reference(lakefs: LakeFSClient, repo: Repo) -> None:
    first = repo.head()
    second = repo.change("a.txt")
    repo.change("b.txt")
    for ref in (second, "main~1"):
        assert ids(lakefs.refs_api.log_commits(repo.name, ref).results) == [second, first]


def test_limited_log_does_not_look_for_more(lakefs: LakeFSClient, repo: Repo) -> None:
    head = repo.change("a.txt")
    page = lakefs.refs_api.log_commits(repo.name, "main", amount=1, limit=True)
    assert ids(page.results) == [head]
    assert not page.pagination.has_more
    assert lakefs.refs_api.log_commits(repo.name, "main", amount=1).pagination.has_more


def test_log_of_the_first_parents_leaves_out_what_was_merged(
    lakefs: LakeFSClient, repo: Repo
) -> None:
    first = repo.head()
    repo.branch("dev")
    on_dev = repo.change("dev.txt", branch="dev")
    on_main = repo.change("main.txt")
    merge = lakefs.refs_api.merge_into_branch(
        repo.name, "dev", "main", merge=Merge(message="m")
    ).reference
    log = lakefs.refs_api.log_commits
    assert set(ids(log(repo.name, "main").results)) == {merge, on_main, on_dev, first}
    alone = ids(log(repo.name, "main", first_parent=True).results)
    assert alone == [merge, on_main, first]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"objects": ["b/two.txt"]}, [1]),
        ({"objects": ["b/two.txt", "c.txt"]}, [2, 1]),
        ({"objects": ["none"]}, []),
        ({"prefixes": ["a/"]}, [3, 0]),
        ({"prefixes": ["b/"], "objects": ["c.txt"]}, [2, 1]),
    ],
)
def test_log_of_what_changed_some_objects(
    lakefs: LakeFSClient, repo: Repo, wanted: dict[str, list[str]], expected: list[int]
) -> None:
    paths = ["a/one.txt", "b/two.txt", "c.txt", "a/one.txt"]
    made = [repo.change(path, str(n).encode()) for n, path in enumerate(paths)]
    log = lakefs.refs_api.log_commits(repo.name, "main", **wanted)
    assert ids(log.results) == [made[index] for index in expected]


def test_refuses_the_log_of_a_missing_reference(lakefs: LakeFSClient, repo: Repo) -> None:
    with refused(404):
        lakefs.refs_api.log_commits(repo.name, "nope")
