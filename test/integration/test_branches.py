"""Branches: create, list, delete, reset, hard reset."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lakefs_client import ApiValueError
from lakefs_client.client import LakeFSClient
from lakefs_client.models import BranchCreation, ResetCreation, TagCreation

from .support import Repo, expect_error, walk


def test_create_branch_returns_commit_id(lakefs: LakeFSClient, repo: Repo) -> None:
    head = repo.change("a.txt")
    created = lakefs.branches_api.create_branch(repo.name, BranchCreation("dev", source="main"))
    assert type(created) is str
    assert created == head
    branch = lakefs.branches_api.get_branch(repo.name, "dev")
    assert (branch.id, branch.commit_id) == ("dev", head)


def test_new_branch_excludes_uncommitted_changes(repo: Repo) -> None:
    repo.change("committed.txt")
    repo.upload("uncommitted.txt")
    repo.branch("dev")
    assert repo.paths("dev") == ["committed.txt"]


@pytest.mark.parametrize("source", ["{id}", "main", "main~1", "v1"])
def test_branch_source_may_be_any_reference(lakefs: LakeFSClient, repo: Repo, source: str) -> None:
    first = repo.change("first.txt")
    lakefs.tags_api.create_tag(repo.name, TagCreation("v1", first))
    second = repo.change("second.txt")
    expected = second if source == "main" else first
    assert repo.branch("dev", source.format(id=first)) == expected


@pytest.mark.parametrize(
    ("name", "source", "status", "message"),
    [
        ("main", "main", 409, "branch already exists: not unique"),
        ("dev", "nope", 404, "source reference 'nope': not found"),
        ("a b", "main", 400, "argument branch: branch id: invalid value"),
    ],
)
def test_create_branch_rejects_invalid_name_or_source(
    repo: Repo, name: str, source: str, status: int, message: str
) -> None:
    with expect_error(status, message):
        repo.branch(name, source)


def test_branches_are_listed_in_pages_by_name(lakefs: LakeFSClient, repo: Repo) -> None:
    for name in ("delta", "alpha", "zeta", "gamma"):
        repo.branch(name)
    listed = walk(lakefs.branches_api.list_branches, repo.name, amount=2)
    assert [branch.id for branch in listed] == ["alpha", "delta", "gamma", "main", "zeta"]
    assert {branch.commit_id for branch in listed} == {repo.head()}


def test_branches_are_listed_by_prefix(lakefs: LakeFSClient, repo: Repo) -> None:
    for name in ("feature-1", "feature-2", "fix"):
        repo.branch(name)
    listed = lakefs.branches_api.list_branches(repo.name, prefix="feature-").results
    assert [branch.id for branch in listed] == ["feature-1", "feature-2"]


def test_missing_branch_is_not_found(lakefs: LakeFSClient, repo: Repo) -> None:
    with expect_error(404, "branch not found"):
        lakefs.branches_api.get_branch(repo.name, "nope")


def test_deleted_branch_is_not_found(lakefs: LakeFSClient, repo: Repo) -> None:
    repo.branch("dev")
    assert lakefs.branches_api.delete_branch(repo.name, "dev") is None
    with expect_error(404, "branch not found"):
        lakefs.branches_api.get_branch(repo.name, "dev")


def test_default_branch_cannot_be_deleted(lakefs: LakeFSClient, repo: Repo) -> None:
    with expect_error(403, "cannot delete repository default branch"):
        lakefs.branches_api.delete_branch(repo.name, "main")


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_dot_segment_branch_is_not_sent(lakefs: LakeFSClient, repo: Repo, name: str) -> None:
    with pytest.raises(ApiValueError):
        lakefs.branches_api.get_branch(repo.name, name)


# Reset


@pytest.mark.parametrize(
    ("reset", "remaining"),
    [
        (ResetCreation("reset"), []),
        (ResetCreation("object", path="a/new.txt"), ["a/old.txt", "b/new.txt"]),
        (ResetCreation("common_prefix", path="a/"), ["b/new.txt"]),
    ],
    ids=["all", "object", "prefix"],
)
def test_reset_discards_uncommitted_changes(
    lakefs: LakeFSClient, repo: Repo, reset: ResetCreation, remaining: list[str]
) -> None:
    repo.change("a/old.txt", b"old")
    repo.upload("a/old.txt", b"changed")
    repo.upload("a/new.txt")
    repo.upload("b/new.txt")
    assert lakefs.branches_api.reset_branch(repo.name, "main", reset) is None
    assert [path for _, path in repo.uncommitted()] == remaining
    if "a/old.txt" not in remaining:
        assert repo.read("a/old.txt") == b"old"


def test_unknown_reset_type_is_rejected(lakefs: LakeFSClient, repo: Repo) -> None:
    with pytest.raises(ApiValueError):
        ResetCreation("bogus")
    with expect_error(400, "value is not one of the allowed values"):
        lakefs.branches_api.reset_branch(
            repo.name, "main", {"type": "bogus"}, _check_input_type=False
        )


# Hard reset


@pytest.mark.parametrize(
    "ref",
    [
        lambda commit_id: commit_id,
        lambda commit_id: commit_id[:16],
        lambda _: "main~1",
        lambda _: "main^",
        lambda _: "v1",
    ],
    ids=["commit", "prefix", "main~1", "main^", "tag"],
)
def test_hard_reset_moves_branch_to_any_reference(
    lakefs: LakeFSClient, repo: Repo, ref: Callable[[str], str]
) -> None:
    first = repo.change("first.txt")
    lakefs.tags_api.create_tag(repo.name, TagCreation("v1", first))
    repo.change("second.txt")
    repo.branch("moving")
    answer = lakefs.experimental_api.hard_reset_branch(repo.name, "moving", ref(first))
    assert answer is None
    assert repo.head("moving") == first
    assert repo.paths("moving") == ["first.txt"]


def test_hard_reset_moves_default_branch(lakefs: LakeFSClient, repo: Repo) -> None:
    first = repo.change("first.txt")
    repo.change("second.txt")
    lakefs.experimental_api.hard_reset_branch(repo.name, "main", "main~1")
    assert repo.head() == first


@pytest.mark.parametrize("force", [{}, {"force": True}], ids=["without force", "with force"])
def test_hard_reset_ignores_uncommitted_changes(
    lakefs: LakeFSClient, repo: Repo, force: dict[str, bool]
) -> None:
    head = repo.change("first.txt")
    repo.branch("dirty")
    repo.upload("uncommitted.txt", branch="dirty")
    lakefs.experimental_api.hard_reset_branch(repo.name, "dirty", f"{head}~1", **force)
    assert repo.head("dirty") != head


def test_hard_reset_to_missing_reference_is_rejected(lakefs: LakeFSClient, repo: Repo) -> None:
    head = repo.change("first.txt")
    repo.branch("still")
    with expect_error(404, "hard-reset still to nope: not found"):
        lakefs.experimental_api.hard_reset_branch(repo.name, "still", "nope")
    assert repo.head("still") == head
