"""Differences, merges, tags, reverts and cherry-picks."""

from __future__ import annotations

import pytest

from lakefs_client import ApiValueError, MergeConflictError, NothingToCommitError
from lakefs_client.client import LakeFSClient
from lakefs_client.models import CherryPickCreation, Merge, RevertCreation, TagCreation

from .support import Repo, expect_error, walk


def merge(repo: Repo, source: str, destination: str = "main", **options: str) -> str:
    """Merge a branch; return the id of the merge commit."""
    return repo.lakefs.refs_api.merge_into_branch(
        repo.name, source, destination, merge=Merge(**options)
    ).reference


@pytest.fixture
def forked(repo: Repo) -> Repo:
    """Provide a repository whose branch `dev` is a commit ahead of `main`."""
    repo.change("base.txt", b"base")
    repo.branch("dev")
    repo.change("dev.txt", b"dev", "dev")
    return repo


@pytest.fixture
def conflicting(repo: Repo) -> Repo:
    """Provide a repository with a conflict between `dev` and `main`, and a new object on `dev`."""
    repo.branch("dev")
    repo.change("conflict.txt", b"main")
    repo.upload("dev.txt", b"dev", "dev")
    repo.change("conflict.txt", b"dev", "dev")
    return repo


# Differences


def test_diff_branch_lists_uncommitted_changes(lakefs: LakeFSClient, repo: Repo) -> None:
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


def test_diff_branch_is_paginated(lakefs: LakeFSClient, repo: Repo) -> None:
    for path in ("c", "a", "b"):
        repo.upload(path)
    changes = walk(lakefs.branches_api.diff_branch, repo.name, "main", amount=2)
    assert [change.path for change in changes] == ["a", "b", "c"]


def test_three_dot_diff_lists_changes_of_a_merge(lakefs: LakeFSClient, forked: Repo) -> None:
    forked.change("main.txt")
    diff = lakefs.refs_api.diff_refs
    changes = [(c.type, c.path) for c in diff(forked.name, "main", "dev").results]
    assert changes == [("added", "dev.txt")]
    both = [(c.type, c.path) for c in diff(forked.name, "main", "dev", type="two_dot").results]
    assert both == [("added", "dev.txt"), ("removed", "main.txt")]


def test_diff_refs_excludes_uncommitted_changes(lakefs: LakeFSClient, forked: Repo) -> None:
    forked.upload("uncommitted.txt", branch="dev")
    changes = lakefs.refs_api.diff_refs(forked.name, "main", "dev").results
    assert [change.path for change in changes] == ["dev.txt"]


def test_diff_of_missing_reference_is_not_found(lakefs: LakeFSClient, repo: Repo) -> None:
    with expect_error(404):
        lakefs.refs_api.diff_refs(repo.name, "main", "nope")


# Merges


def test_merge_commit_has_both_parents(lakefs: LakeFSClient, forked: Repo) -> None:
    main, dev = forked.head(), forked.head("dev")
    created = merge(forked, "dev", message="a merge")
    assert forked.head() == created
    commit = lakefs.commits_api.get_commit(forked.name, created)
    assert commit.message == "a merge"
    assert commit.parents == [main, dev]
    assert forked.read("dev.txt") == b"dev"


def test_merge_body_is_optional(lakefs: LakeFSClient, forked: Repo) -> None:
    created = lakefs.refs_api.merge_into_branch(forked.name, "dev", "main").reference
    assert forked.head() == created


def test_merge_without_changes_is_rejected(forked: Repo) -> None:
    merge(forked, "dev")
    with expect_error(400, "update branch main: no changes", NothingToCommitError):
        merge(forked, "dev")


def test_merge_of_missing_reference_is_not_found(forked: Repo) -> None:
    with expect_error(404):
        merge(forked, "nope")


def test_conflicting_merge_changes_nothing(conflicting: Repo) -> None:
    head = conflicting.head()
    with expect_error(409, cls=MergeConflictError):
        merge(conflicting, "dev")
    assert conflicting.head() == head
    assert conflicting.paths() == ["conflict.txt"]


@pytest.mark.parametrize(("strategy", "content"), [("source-wins", b"dev"), ("dest-wins", b"main")])
def test_merge_strategy_resolves_conflicts(
    lakefs: LakeFSClient, conflicting: Repo, strategy: str, content: bytes
) -> None:
    created = merge(conflicting, "dev", strategy=strategy)
    assert conflicting.read("conflict.txt") == content
    assert conflicting.read("dev.txt") == b"dev"
    commit = lakefs.commits_api.get_commit(conflicting.name, created)
    assert commit.metadata[".lakefs.merge.strategy"] == strategy


def test_merge_base_is_the_common_ancestor(lakefs: LakeFSClient, forked: Repo) -> None:
    base = forked.head()
    on_main = forked.change("main.txt")
    found = lakefs.refs_api.find_merge_base(forked.name, "dev", "main")
    assert found.base_commit_id == base
    # Servers of 1.84 swap the two.
    tips = {found.source_commit_id, found.destination_commit_id}
    assert tips == {forked.head("dev"), on_main}


# Tags


def test_tag_refers_to_its_commit(lakefs: LakeFSClient, repo: Repo) -> None:
    first = repo.change("a.txt", b"one")
    created = lakefs.tags_api.create_tag(repo.name, TagCreation("v1", "main"))
    assert (created.id, created.commit_id) == ("v1", first)
    repo.change("a.txt", b"two")
    assert lakefs.tags_api.get_tag(repo.name, "v1") == created
    assert repo.read("a.txt", "v1") == b"one"


def test_existing_tag_is_a_conflict(lakefs: LakeFSClient, repo: Repo) -> None:
    first = repo.head()
    lakefs.tags_api.create_tag(repo.name, TagCreation("v1", "main"))
    repo.change("a.txt")
    with expect_error(409, "tag already exists: not unique"):
        lakefs.tags_api.create_tag(repo.name, TagCreation("v1", "main"))
    assert lakefs.tags_api.get_tag(repo.name, "v1").commit_id == first


def test_tags_are_listed_in_pages(lakefs: LakeFSClient, repo: Repo) -> None:
    for name in ("v1", "v2", "v3"):
        lakefs.tags_api.create_tag(repo.name, TagCreation(name, "main"))
    listed = walk(lakefs.tags_api.list_tags, repo.name, amount=2)
    assert sorted(tag.id for tag in listed) == ["v1", "v2", "v3"]
    assert {tag.commit_id for tag in listed} == {repo.head()}


def test_deleted_tag_is_not_found(lakefs: LakeFSClient, repo: Repo) -> None:
    lakefs.tags_api.create_tag(repo.name, TagCreation("v1", "main"))
    assert lakefs.tags_api.delete_tag(repo.name, "v1") is None
    with expect_error(404, "tag not found"):
        lakefs.tags_api.get_tag(repo.name, "v1")


def test_tag_of_missing_reference_is_not_found(lakefs: LakeFSClient, repo: Repo) -> None:
    with expect_error(404):
        lakefs.tags_api.create_tag(repo.name, TagCreation("v1", "nope"))


# Reverts and cherry-picks


def test_revert_undoes_a_commit(lakefs: LakeFSClient, repo: Repo) -> None:
    repo.change("kept.txt")
    undone = repo.change("undone.txt")
    later = repo.change("later.txt")
    answer = lakefs.branches_api.revert_branch(repo.name, "main", RevertCreation(undone, 1))
    assert answer is None
    assert repo.paths() == ["kept.txt", "later.txt"]
    (created,) = lakefs.refs_api.log_commits(repo.name, "main", amount=1).results
    assert created.parents == [later]


def test_revert_of_merge_restores_the_given_parent(lakefs: LakeFSClient, forked: Repo) -> None:
    created = merge(forked, "dev")
    lakefs.branches_api.revert_branch(forked.name, "main", RevertCreation(created, 1))
    assert forked.paths() == ["base.txt"]


def test_cherry_pick_copies_one_commit(lakefs: LakeFSClient, forked: Repo) -> None:
    head = forked.head()
    forked.upload("picked.txt", b"picked", "dev")
    picked = forked.commit("pick me", "dev", metadata={"m": "1"})
    forked.change("left.txt", branch="dev")
    created = lakefs.branches_api.cherry_pick(forked.name, "main", CherryPickCreation(picked))
    assert created.message == "pick me"
    assert created.parents == [head]
    assert created.metadata["m"] == "1"
    assert created.metadata["cherry-pick-origin"] == picked
    assert forked.head() == created.id
    assert forked.paths() == ["base.txt", "picked.txt"]


def test_page_size_is_validated_by_client_and_server(
    lakefs: LakeFSClient, unchecked: LakeFSClient, repo: Repo
) -> None:
    for amount in (-2, 1001):
        with pytest.raises(ApiValueError):
            lakefs.tags_api.list_tags(repo.name, amount=amount)
    with expect_error(400, "number must be at least -1"):
        unchecked.tags_api.list_tags(repo.name, amount=-2)
