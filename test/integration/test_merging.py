"""Differences, merges, tags, reverts and cherry-picks."""

from __future__ import annotations

import pytest

from lakefs_client import ApiValueError, MergeConflictError, NothingToCommitError
from lakefs_client.client import LakeFSClient
from lakefs_client.models import CherryPickCreation, Merge, RevertCreation, TagCreation

from .support import Repo, refused, walk


def merge(repo: Repo, source: str, destination: str = "main", **how: str) -> str:
    """Merge; return the id of the commit."""
    return repo.lakefs.refs_api.merge_into_branch(
        repo.name, source, destination, merge=Merge(**how)
    ).reference


@pytest.fixture
def forked(repo: Repo) -> Repo:
    """Provide a branch `dev`, which has a commit that `main` has not."""
    repo.change("base.txt", b"base")
    repo.branch("dev")
    repo.change("dev.txt", b"dev", "dev")
    return repo


@pytest.fixture
def conflicting(repo: Repo) -> Repo:
    """Branches that changed one object differently; `dev` has another one besides."""
    repo.branch("dev")
    repo.change("conflict.txt", b"main")
    repo.upload("dev.txt", b"dev", "dev")
    repo.change("conflict.txt", b"dev", "dev")
    return repo


# Differences


def test_uncommitted_changes_are_a_difference(lakefs: LakeFSClient, repo: Repo) -> None:
    repo.upload("changed.txt", b"old")
    repo.change("removed.txt")
    repo.upload("added.txt", b"four")
    repo.upload("changed.txt", b"new")
    lakefs.objects_api.delete_object(repo.name, "main", "removed.txt")
    changes = lakefs.branches_api.diff_branch(repo.name, "main").results
    assert [(change.path, change.type) for change in changes] == [
        ("added.txt", "added"),
        ("changed.txt", "changed"),
        ("removed.txt", "removed"),
    ]
    assert {change.path_type for change in changes} == {"object"}
    assert changes[0].size_bytes == 4


def test_difference_comes_in_pages(lakefs: LakeFSClient, repo: Repo) -> None:
    for path in ("c", "a", "b"):
        repo.upload(path)
    changes = walk(lakefs.branches_api.diff_branch, repo.name, "main", amount=2)
    assert [change.path for change in changes] == ["a", "b", "c"]


def test_difference_of_branches_is_what_a_merge_would_bring(
    lakefs: LakeFSClient, forked: Repo
) -> None:
    forked.change("main.txt")
    diff = lakefs.refs_api.diff_refs
    changes = [(c.type, c.path) for c in diff(forked.name, "main", "dev").results]
    assert changes == [("added", "dev.txt")]
    both = [(c.type, c.path) for c in diff(forked.name, "main", "dev", type="two_dot").results]
    assert both == [("added", "dev.txt"), ("removed", "main.txt")]


def test_difference_leaves_out_what_is_uncommitted(lakefs: LakeFSClient, forked: Repo) -> None:
    forked.upload("uncommitted.txt", branch="dev")
    changes = lakefs.refs_api.diff_refs(forked.name, "main", "dev").results
    assert [change.path for change in changes] == ["dev.txt"]


def test_refuses_the_difference_of_missing_references(lakefs: LakeFSClient, repo: Repo) -> None:
    with refused(404):
        lakefs.refs_api.diff_refs(repo.name, "main", "nope")


# Merges


def test_merge_brings_the_commits_of_a_branch(lakefs: LakeFSClient, forked: Repo) -> None:
    main, dev = forked.head(), forked.head("dev")
    made = merge(forked, "dev", message="bring it")
    assert forked.head() == made
    commit = lakefs.commits_api.get_commit(forked.name, made)
    assert commit.message == "bring it"
    assert commit.parents == [main, dev]
    assert forked.read("dev.txt") == b"dev"


def test_merge_needs_no_body(lakefs: LakeFSClient, forked: Repo) -> None:
    made = lakefs.refs_api.merge_into_branch(forked.name, "dev", "main").reference
    assert forked.head() == made


def test_refuses_to_merge_what_is_there_already(forked: Repo) -> None:
    merge(forked, "dev")
    with refused(400, "update branch main: no changes", NothingToCommitError):
        merge(forked, "dev")


def test_refuses_to_merge_a_missing_reference(forked: Repo) -> None:
    with refused(404):
        merge(forked, "nope")


def test_conflict_stops_a_merge(conflicting: Repo) -> None:
    head = conflicting.head()
    with refused(409, cls=MergeConflictError):
        merge(conflicting, "dev")
    assert conflicting.head() == head
    assert conflicting.paths() == ["conflict.txt"]


@pytest.mark.parametrize(("strategy", "content"), [("source-wins", b"dev"), ("dest-wins", b"main")])
def test_strategy_decides_conflicts(
    lakefs: LakeFSClient, conflicting: Repo, strategy: str, content: bytes
) -> None:
    made = merge(conflicting, "dev", strategy=strategy)
    assert conflicting.read("conflict.txt") == content
    assert conflicting.read("dev.txt") == b"dev"
    commit = lakefs.commits_api.get_commit(conflicting.name, made)
    assert commit.metadata[".lakefs.merge.strategy"] == strategy


def test_merge_base_is_where_the_branches_parted(lakefs: LakeFSClient, forked: Repo) -> None:
    base = forked.head()
    on_main = forked.change("main.txt")
    found = lakefs.refs_api.find_merge_base(forked.name, "dev", "main")
    assert found.base_commit_id == base
    # Servers of 1.84 tell each as the other.
    tips = {found.source_commit_id, found.destination_commit_id}
    assert tips == {forked.head("dev"), on_main}


# Tags


def test_tag_stays_with_its_commit(lakefs: LakeFSClient, repo: Repo) -> None:
    first = repo.change("a.txt", b"one")
    made = lakefs.tags_api.create_tag(repo.name, TagCreation("v1", "main"))
    assert (made.id, made.commit_id) == ("v1", first)
    repo.change("a.txt", b"two")
    assert lakefs.tags_api.get_tag(repo.name, "v1") == made
    assert repo.read("a.txt", "v1") == b"one"


def test_tag_is_never_moved(lakefs: LakeFSClient, repo: Repo) -> None:
    first = repo.head()
    lakefs.tags_api.create_tag(repo.name, TagCreation("v1", "main"))
    repo.change("a.txt")
    with refused(409, "tag already exists: not unique"):
        lakefs.tags_api.create_tag(repo.name, TagCreation("v1", "main"))
    assert lakefs.tags_api.get_tag(repo.name, "v1").commit_id == first


def test_tags_are_listed_in_pages(lakefs: LakeFSClient, repo: Repo) -> None:
    for name in ("v1", "v2", "v3"):
        lakefs.tags_api.create_tag(repo.name, TagCreation(name, "main"))
    listed = walk(lakefs.tags_api.list_tags, repo.name, amount=2)
    assert sorted(tag.id for tag in listed) == ["v1", "v2", "v3"]
    assert {tag.commit_id for tag in listed} == {repo.head()}


def test_deleted_tag_is_gone(lakefs: LakeFSClient, repo: Repo) -> None:
    lakefs.tags_api.create_tag(repo.name, TagCreation("v1", "main"))
    assert lakefs.tags_api.delete_tag(repo.name, "v1") is None
    with refused(404, "tag not found"):
        lakefs.tags_api.get_tag(repo.name, "v1")


def test_refuses_to_tag_a_missing_reference(lakefs: LakeFSClient, repo: Repo) -> None:
    with refused(404):
        lakefs.tags_api.create_tag(repo.name, TagCreation("v1", "nope"))


# Reverts and cherry-picks


def test_revert_of_a_commit_undoes_it(lakefs: LakeFSClient, repo: Repo) -> None:
    repo.change("kept.txt")
    undone = repo.change("undone.txt")
    later = repo.change("later.txt")
    answer = lakefs.branches_api.revert_branch(repo.name, "main", RevertCreation(undone, 1))
    assert answer is None
    assert repo.paths() == ["kept.txt", "later.txt"]
    (made,) = lakefs.refs_api.log_commits(repo.name, "main", amount=1).results
    assert made.parents == [later]


def test_revert_of_a_merge_goes_back_to_the_given_parent(
    lakefs: LakeFSClient, forked: Repo
) -> None:
    made = merge(forked, "dev")
    lakefs.branches_api.revert_branch(forked.name, "main", RevertCreation(made, 1))
    assert forked.paths() == ["base.txt"]


def test_cherry_pick_brings_one_commit(lakefs: LakeFSClient, forked: Repo) -> None:
    head = forked.head()
    forked.upload("picked.txt", b"picked", "dev")
    picked = forked.commit("pick me", "dev", metadata={"m": "1"})
    forked.change("left.txt", branch="dev")
    made = lakefs.branches_api.cherry_pick(forked.name, "main", CherryPickCreation(picked))
    assert made.message == "pick me"
    assert made.parents == [head]
    assert made.metadata["m"] == "1"
    assert made.metadata["cherry-pick-origin"] == picked
    assert forked.head() == made.id
    assert forked.paths() == ["base.txt", "picked.txt"]


def test_page_size_out_of_bounds_is_not_sent(
    lakefs: LakeFSClient, unchecked: LakeFSClient, repo: Repo
) -> None:
    for amount in (-2, 1001):
        with pytest.raises(ApiValueError):
            lakefs.tags_api.list_tags(repo.name, amount=amount)
    with refused(400, "number must be at least -1"):
        unchecked.tags_api.list_tags(repo.name, amount=-2)
