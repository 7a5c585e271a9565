"""Copies of directories within a repository."""

from __future__ import annotations

from typing import Any

import pytest
from support.folders import Folders, counts, failures

from lakefs_client.api.branches_api import BranchesApi
from lakefs_client.api.commits_api import CommitsApi
from lakefs_client.exceptions import ApiValueError, NotFoundException
from lakefs_client.models import BranchCreation, CommitCreation
from lakefs_client.transfer import DirectoryReport

COPY = "copy_object"


def copy(folders: Folders, prefix: str, target: str, **options: Any) -> DirectoryReport:
    folders.bench.sandbox.requests.clear()
    branch = options.pop("branch", "main")
    ref = options.pop("ref", "main")
    return folders.transfer().copy_directory("repo", ref, prefix, branch, target, **options)


def test_copy_within_branch(folders: Folders) -> None:
    folders.put({"p/a": b"a", "p/d/b": b"bb", "p-q": b"x", "q/old": b"old"})
    counts_of_bytes: list[int] = []
    report = copy(folders, "p", "q", progress=counts_of_bytes.append)
    assert folders.bench.operations == {"list_objects": 2, COPY: 2}
    assert report == DirectoryReport(transferred=2, transferred_bytes=3)
    assert folders.remote() == {
        "p/a": b"a", "p/d/b": b"bb", "p-q": b"x", "q/a": b"a", "q/d/b": b"bb", "q/old": b"old",
    }  # fmt: skip
    assert sum(counts_of_bytes) == 3


def test_copy_keeps_metadata_and_skips_unchanged(folders: Folders) -> None:
    folders.write({"a.csv": b"a", "b": b"b"})
    folders.upload("p", user_metadata={"k": "v"})
    assert counts(copy(folders, "p", "q")) == (2, 0, 0)
    stats = folders.bench.stat("q/a.csv")
    assert stats is not None
    assert (stats.content_type, stats.metadata.to_dict()) == ("text/csv", {"k": "v"})
    assert counts(copy(folders, "p", "q")) == (0, 2, 0)
    assert folders.bench.operations[COPY] == 0
    folders.put({"q/b": b"c"})
    assert counts(copy(folders, "p", "q")) == (1, 1, 0)


def test_copy_from_commit_and_other_branch(folders: Folders) -> None:
    folders.put({"p/a": b"committed"})
    commit = CommitsApi(folders.bench.client).commit("repo", "main", CommitCreation("message"))
    branches = BranchesApi(folders.bench.client)
    branches.create_branch("repo", BranchCreation(name="other", source="main"))
    folders.put({"p/a": b"changed"})
    copy(folders, "p", "p/q", ref=commit.id)
    assert folders.remote()["p/q/a"] == b"committed"
    copy(folders, "p", "p", branch="other")
    assert folders.bench.stored_bytes("p/a", "other") == b"changed"


def test_copy_with_delete_makes_target_equal(folders: Folders) -> None:
    folders.put({"p/a": b"a", "q/a": b"old", "q/b": b"b", "q-/c": b"c"})
    report = copy(folders, "p", "q", delete=True, dry_run=True)
    assert (report.transferred, report.deleted) == (1, 1)
    assert len(folders.remote()) == 4
    assert copy(folders, "p", "q", delete=True) == report
    assert folders.remote() == {"p/a": b"a", "q/a": b"a", "q-/c": b"c"}


def test_failed_copy_is_reported_and_prevents_deletions(folders: Folders) -> None:
    folders.put({"p/a": b"a", "p/b": b"b", "q/old": b"old"})
    folders.faults.add(COPY, "status", status=404)
    report = copy(folders, "p", "q", delete=True)
    assert (report.transferred, report.failed, report.kept) == (1, 1, 1)
    assert len(failures(report)) == 1
    assert "q/old" in folders.remote()


@pytest.mark.parametrize(
    ("source", "target"), [("p", "p"), ("p", "p/q"), ("p/q", "p"), ("", "q"), ("p", "")]
)
def test_nested_prefixes_raise(folders: Folders, source: str, target: str) -> None:
    with pytest.raises(ApiValueError, match="within each other"):
        copy(folders, source, target)
    assert not folders.bench.sandbox.requests


def test_copy_with_patterns(folders: Folders) -> None:
    folders.put({"p/a.csv": b"a", "p/b.txt": b"b"})
    assert counts(copy(folders, "p", "q", include="*.csv")) == (1, 0, 0)
    assert sorted(folders.remote()) == ["p/a.csv", "p/b.txt", "q/a.csv"]


def test_copy_to_missing_branch_raises(folders: Folders) -> None:
    folders.put({"p/a": b"a"})
    with pytest.raises(NotFoundException):
        copy(folders, "p", "q", branch="nope")
