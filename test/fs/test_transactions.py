"""Transactions: changes of the base branch, and the lifetime of the temporary branch."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from typing import Any

import pytest

from lakefs_client.api.branches_api import BranchesApi
from lakefs_client.api.commits_api import CommitsApi
from lakefs_client.api.refs_api import RefsApi
from lakefs_client.exceptions import (
    ApiAttributeError,
    ApiException,
    ApiTypeError,
    ConflictException,
    MergeConflictError,
    NotFoundException,
)
from lakefs_client.fs import LakeFSFileSystem
from lakefs_client.models import CommitCreation
from lakefs_client.sandbox import Sandbox

from .conftest import Make


def branches(fs: LakeFSFileSystem) -> set[str]:
    """Return the branches except the default branch."""
    listed = BranchesApi(fs.client).list_branches("repo").results
    return {branch.id for branch in listed} - {"main"}


def head(fs: LakeFSFileSystem, ref: str = "main") -> Any:
    return RefsApi(fs.client).log_commits("repo", ref, amount=1).results[0]


def commit(fs: LakeFSFileSystem, path: str, data: bytes, branch: str = "main") -> Any:
    """Write and commit an object outside a transaction."""
    fs.pipe_file(f"repo/{branch}/{path}", data)
    return CommitsApi(fs.client).commit("repo", branch, CommitCreation(message=f"Add {path}"))


class TestSuccess:
    def test_commits_are_merged_and_branch_is_deleted(self, fs: LakeFSFileSystem) -> None:
        with fs.transaction("repo", "main") as tx:
            assert branches(fs) == {tx.branch}
            with fs.open(f"repo/{tx.branch}/a", "wb") as file:
                file.write(b"1")
            assert not fs.exists("repo/main/a")
            created = tx.commit("Add a", {"run": "7"})
            assert not fs.exists("repo/main/a")
        assert fs.cat_file("repo/main/a") == b"1"
        assert branches(fs) == set()
        assert (created.message, created.metadata) == ("Add a", {"run": "7"})
        assert created.id in head(fs).parents

    def test_several_commits_are_merged_together(self, fs: LakeFSFileSystem) -> None:
        with fs.transaction("repo", "main") as tx:
            for name in "ab":
                fs.pipe_file(f"repo/{tx.branch}/{name}", b"1")
                tx.commit(f"Add {name}")
            assert fs.find("repo/main") == []
        assert fs.find("repo/main") == ["repo/main/a", "repo/main/b"]

    def test_block_without_changes_creates_no_commit(self, fs: LakeFSFileSystem) -> None:
        before = head(fs).id
        with fs.transaction("repo", "main") as tx:
            assert tx.commit("Nothing").id == before
            assert tx.merge(tx.branch, "main").id == before
        assert head(fs).id == before
        assert branches(fs) == set()

    def test_merge_kwargs_set_message_and_metadata(self, fs: LakeFSFileSystem) -> None:
        options = {"message": "Nightly", "metadata": {"k": "v"}, "squash_merge": True}
        with fs.transaction("repo", "main", merge_kwargs=options) as tx:
            fs.pipe_file(f"repo/{tx.branch}/a", b"1")
            created = tx.commit("Add a")
        merged = head(fs)
        assert (merged.message, merged.metadata["k"]) == ("Nightly", "v")
        assert created.id not in merged.parents

    def test_branch_name_is_given_or_generated(self, fs: LakeFSFileSystem) -> None:
        with fs.transaction("repo", "main", "work") as tx:
            assert tx.branch == tx.branch.id == "work"
            assert branches(fs) == {"work"}
        names = {fs.transaction("repo").branch for _ in range(20)}
        assert len(names) == 20
        assert all(name.startswith("transaction-") for name in names)

    def test_repository_and_branch_may_be_models(self, fs: LakeFSFileSystem) -> None:
        class Resource:
            def __init__(self, name: str) -> None:
                self.id = name

        with fs.transaction(Resource("repo"), Resource("main")) as tx:
            fs.pipe_file(f"repo/{tx.branch.id}/a", b"1")
            tx.commit("Add a")
        assert fs.exists("repo/main/a")

    def test_commit_and_merge_invalidate_listings(self, fs: LakeFSFileSystem) -> None:
        commit(fs, "a", b"1")
        assert fs.ls("repo/main", detail=False) == ["repo/main/a"]
        with fs.transaction("repo", "main") as tx:
            fs.pipe_file(f"repo/{tx.branch}/b", b"1")
            committed = f"repo/{tx.branch}@"
            assert fs.ls(committed, detail=False) == [f"{committed}/a"]
            tx.commit("Add b")
            assert fs.ls(committed, detail=False) == [f"{committed}/a", f"{committed}/b"]
        assert fs.ls("repo/main", detail=False) == ["repo/main/a", "repo/main/b"]


class TestAutomergeOff:
    def test_branch_is_deleted_without_merge(self, fs: LakeFSFileSystem) -> None:
        with fs.transaction("repo", "main", automerge=False) as tx:
            fs.pipe_file(f"repo/{tx.branch}/a", b"1")
            tx.commit("Add a")
        assert not fs.exists("repo/main/a")
        assert branches(fs) == set()

    def test_delete_never_keeps_the_branch(self, fs: LakeFSFileSystem) -> None:
        with fs.transaction("repo", "main", "work", automerge=False, delete="never") as tx:
            fs.pipe_file("repo/work/a", b"1")
            tx.commit("Add a")
        assert fs.cat_file("repo/work@/a") == b"1"
        assert not fs.exists("repo/main/a")

    def test_block_may_merge_explicitly(self, fs: LakeFSFileSystem) -> None:
        BranchesApi(fs.client).create_branch("repo", {"name": "other", "source": "main"})
        fs.ls("repo/other")
        with fs.transaction("repo", "main", automerge=False) as tx:
            fs.pipe_file(f"repo/{tx.branch}/a", b"1")
            created = tx.commit("Add a")
            merged = tx.merge(tx.branch, "other", message="Take a")
            assert (merged.message, merged.id) == ("Take a", head(fs, "other").id)
            assert created.id in merged.parents
            assert fs.ls("repo/other", detail=False) == ["repo/other/a"]
        assert not fs.exists("repo/main/a")


class TestHistory:
    def test_revert_undoes_a_commit(self, fs: LakeFSFileSystem) -> None:
        commit(fs, "a", b"1")
        with fs.transaction("repo", "main") as tx:
            fs.pipe_file(f"repo/{tx.branch}/b", b"1")
            created = tx.commit("Add b")
            assert fs.ls(f"repo/{tx.branch}")
            reverted = tx.revert(tx.branch, created)
            assert reverted.message.startswith("Revert")
            assert fs.ls(f"repo/{tx.branch}", detail=False) == [f"repo/{tx.branch}/a"]
        assert fs.find("repo/main") == ["repo/main/a"]

    def test_rev_parse_resolves_refs(self, fs: LakeFSFileSystem) -> None:
        first, second = commit(fs, "a", b"1"), commit(fs, "b", b"1")
        with fs.transaction("repo") as tx:
            assert tx.rev_parse("main").id == second.id
            assert tx.rev_parse("main~1").id == tx.rev_parse(first).id == first.id
            assert tx.rev_parse(tx.branch) == tx.rev_parse(second.id[:12])
            with pytest.raises(NotFoundException):
                tx.rev_parse("nothing")

    def test_tag_names_a_commit(self, fs: LakeFSFileSystem) -> None:
        commit(fs, "a", b"1")
        with fs.transaction("repo") as tx:
            tag = tx.tag(tx.rev_parse("main"), "v1")
            assert (tag.id, tag.commit_id) == ("v1", head(fs).id)
            with pytest.raises(ConflictException):
                tx.tag("main", "v1")
        assert fs.cat_file("repo/v1/a") == b"1"


class TestUncommittedChanges:
    def test_uncommitted_changes_are_lost_with_a_warning(self, fs: LakeFSFileSystem) -> None:
        with (
            pytest.warns(UserWarning, match=r"uncommitted changes, which are lost\. Call"),
            fs.transaction("repo", "main") as tx,
        ):
            fs.pipe_file(f"repo/{tx.branch}/a", b"1")
            tx.commit("Add a")
            fs.pipe_file(f"repo/{tx.branch}/b", b"1")
        assert fs.find("repo/main") == ["repo/main/a"]
        assert branches(fs) == set()

    def test_warning_names_the_line_of_the_block(self, fs: LakeFSFileSystem) -> None:
        with (
            pytest.warns(UserWarning, match="uncommitted changes") as caught,
            fs.transaction("repo") as tx,
        ):
            fs.pipe_file(f"repo/{tx.branch}/a", b"1")
        assert caught[0].filename == __file__

    def test_delete_never_keeps_uncommitted_changes(self, fs: LakeFSFileSystem) -> None:
        with (
            pytest.warns(UserWarning, match=r"'work' has uncommitted changes$"),
            fs.transaction("repo", "main", "work", delete="never"),
        ):
            fs.pipe_file("repo/work/a", b"1")
        assert fs.cat_file("repo/work/a") == b"1"
        assert not fs.exists("repo/main/a")

    def test_failed_block_keeps_uncommitted_changes(self, fs: LakeFSFileSystem) -> None:
        with (
            pytest.warns(UserWarning, match=r"uncommitted changes$"),
            pytest.raises(RuntimeError),
            fs.transaction("repo", "main", "work"),
        ):
            fs.pipe_file("repo/work/a", b"1")
            raise RuntimeError
        assert fs.cat_file("repo/work/a") == b"1"

    def test_warning_as_error_is_raised_after_the_merge(self, fs: LakeFSFileSystem) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(UserWarning), fs.transaction("repo", "main") as tx:
                fs.pipe_file(f"repo/{tx.branch}/a", b"1")
                tx.commit("Add a")
                fs.pipe_file(f"repo/{tx.branch}/b", b"1")
        assert fs.find("repo/main") == ["repo/main/a"]
        assert branches(fs) == set()


class TestFailure:
    @pytest.mark.parametrize("delete", ["onsuccess", "never", "always"])
    def test_failed_block_merges_nothing(self, fs: LakeFSFileSystem, delete: Any) -> None:
        with (
            pytest.raises(RuntimeError) as caught,
            fs.transaction("repo", "main", "work", delete=delete) as tx,
        ):
            fs.pipe_file("repo/work/a", b"1")
            tx.commit("Add a")
            raise RuntimeError("mine")
        assert not fs.exists("repo/main/a")
        assert branches(fs) == (set() if delete == "always" else {"work"})
        if sys.version_info >= (3, 11):
            state = "was deleted" if delete == "always" else "is kept"
            assert caught.value.__notes__ == [f"The branch work {state}."]

    @pytest.mark.parametrize("delete", ["onsuccess", "always"])
    def test_merge_conflict_names_the_kept_branch(self, fs: LakeFSFileSystem, delete: Any) -> None:
        with (
            pytest.raises(MergeConflictError) as caught,
            fs.transaction("repo", "main", "work", delete=delete) as tx,
        ):
            fs.pipe_file("repo/work/a", b"1")
            tx.commit("Add a")
            commit(fs, "a", b"2")
        assert fs.cat_file("repo/main/a") == b"2"
        assert branches(fs) == (set() if delete == "always" else {"work"})
        assert ("is kept" in str(caught.value)) == (delete == "onsuccess")

    def test_cleanup_errors_do_not_replace_block_exception(
        self, fs: LakeFSFileSystem, sandbox: Sandbox
    ) -> None:
        with pytest.raises(RuntimeError), fs.transaction("repo", "main", delete="always"):
            sandbox.faults.add("diff_branch", "status", status=403)
            sandbox.faults.add("delete_branch", "status", status=403)
            raise RuntimeError
        assert len(branches(fs)) == 1

    def test_failed_deletion_is_logged(
        self, fs: LakeFSFileSystem, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
    ) -> None:
        with fs.transaction("repo", "main", "work") as tx:
            fs.pipe_file("repo/work/a", b"1")
            tx.commit("Add a")
            sandbox.faults.add("delete_branch", "status", status=403)
        assert fs.exists("repo/main/a")
        assert "deleting the branch repo/work of a transaction failed" in caplog.text

    def test_existing_branch_is_a_conflict(self, fs: LakeFSFileSystem) -> None:
        with pytest.raises(ConflictException), fs.transaction("repo", "main", "main"):
            pytest.fail("the block ran")
        assert fs.transactions == []

    @pytest.mark.parametrize("name", ["nowhere", "NOWHERE"])
    def test_missing_repository_is_named(self, fs: LakeFSFileSystem, name: str) -> None:
        with pytest.raises(ValueError, match=f"repository '{name}' does not exist"):
            fs.transaction(name)

    def test_invalid_credentials_raise_unauthorized(self, make_fs: Make) -> None:
        with pytest.raises(ApiException) as caught:
            make_fs(password="wrong").transaction("repo")
        assert caught.value.status == 401

    def test_invalid_arguments_raise_before_the_block(self, fs: LakeFSFileSystem) -> None:
        invalid: Any = "sometimes"
        with pytest.raises(ValueError, match="delete must be"):
            fs.transaction("repo", delete=invalid)
        with pytest.raises((ApiTypeError, ApiAttributeError)):
            fs.transaction("repo", merge_kwargs={"message": 7})
        with pytest.raises(ValueError, match="name the repository"), fs.transaction:
            pytest.fail("the block ran")
        with pytest.raises(ValueError, match="name the repository"):
            fs.start_transaction()
        assert branches(fs) == set()


class TestOpenFiles:
    @pytest.mark.parametrize("mode", ["wb", "w"])
    def test_unclosed_file_creates_no_object(self, fs: LakeFSFileSystem, mode: str) -> None:
        with (
            pytest.warns(UserWarning, match="left 'repo/work/a' open: no object"),
            fs.transaction("repo", "main", "work", delete="never") as tx,
        ):
            file = fs.open("repo/work/a", mode)
            file.write(b"1" if "b" in mode else "1")
            assert len(tx.files) == 1
        del file
        assert not fs.exists("repo/work/a")

    def test_failed_block_aborts_unclosed_files(
        self, fs: LakeFSFileSystem, sandbox: Sandbox
    ) -> None:
        with pytest.raises(RuntimeError), fs.transaction("repo", "main", "work") as tx:
            file = fs.open("repo/work/a", "wb")
            file.write(bytes(20 << 20))
            with fs.open("repo/work/b", "wb") as closed:
                closed.write(b"1")
            tx.commit("Add b")
            raise RuntimeError
        assert file.closed
        assert not sandbox.blockstore.uploads()
        assert fs.find("repo/work") == ["repo/work/b"]

    def test_other_files_are_not_part_of_the_transaction(self, fs: LakeFSFileSystem) -> None:
        with pytest.raises(RuntimeError), fs.transaction("repo", "main", "work") as tx:
            other = fs.open("repo/main/a", "wb")
            own = fs.open("repo/work/a", "wb", autocommit=True)
            assert not tx.files
            raise RuntimeError
        for file in (own, other):
            file.write(b"1")
            file.close()
        assert fs.exists("repo/main/a")
        assert fs.exists("repo/work/a")

    def test_file_opened_after_block_is_not_part(self, fs: LakeFSFileSystem) -> None:
        with fs.transaction("repo", "main", "work", delete="never") as tx:
            pass
        with fs.open("repo/work/a", "wb") as file:
            file.write(b"1")
        assert not tx.files
        assert fs.exists("repo/work/a")


class TestConcurrency:
    def test_nested_transactions_use_separate_branches(self, fs: LakeFSFileSystem) -> None:
        with fs.transaction("repo", "main") as outer:
            fs.pipe_file(f"repo/{outer.branch}/a", b"1")
            outer.commit("Add a")
            with fs.transaction("repo", outer.branch) as inner:
                assert inner.branch != outer.branch
                fs.pipe_file(f"repo/{inner.branch}/b", b"1")
                inner.commit("Add b")
            assert fs.exists(f"repo/{outer.branch}/b")
            assert not fs.exists("repo/main/b")
        assert fs.find("repo/main") == ["repo/main/a", "repo/main/b"]
        assert branches(fs) == set()

    def test_failure_in_one_thread_keeps_files_of_another(self, fs: LakeFSFileSystem) -> None:
        opened, failed = threading.Event(), threading.Event()

        def write() -> None:
            with fs.transaction("repo", "main") as tx:
                with fs.open(f"repo/{tx.branch}/a", "wb") as file:
                    opened.set()
                    assert failed.wait(30)
                    file.write(b"1")
                tx.commit("Add a")

        thread = threading.Thread(target=write)
        thread.start()
        assert opened.wait(30)
        with pytest.raises(RuntimeError), fs.transaction("repo", "main", delete="always"):
            raise RuntimeError
        failed.set()
        thread.join()
        assert fs.cat_file("repo/main/a") == b"1"

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_forked_child_does_not_merge(self, fs: LakeFSFileSystem, sandbox: Sandbox) -> None:
        with fs.transaction("repo", "main", "work") as tx:
            fs.pipe_file("repo/work/a", b"1")
            tx.commit("Add a")
            sandbox.requests.clear()
            child = os.fork()
            if not child:
                tx.__exit__(None, None, None)
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            assert not sandbox.requests
        assert fs.exists("repo/main/a")
