"""Errors that are classified by message: no changes, hooks, conflicts, protection."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from support.scripted import Answer, ScriptedServer

import lakefs_client
from lakefs_client import (
    ApiClient,
    ApiException,
    ApiValueError,
    BranchProtectedError,
    HookRefusedError,
    MergeConflictError,
    NothingToCommitError,
)
from lakefs_client.apis import (
    BranchesApi,
    CommitsApi,
    ExperimentalApi,
    ObjectsApi,
    RefsApi,
    RepositoriesApi,
)
from lakefs_client.exceptions import (
    ConflictException,
    ForbiddenException,
    PreconditionFailedException,
    error_for,
)
from lakefs_client.models import (
    BranchCreation,
    BranchProtectionRule,
    CommitCreation,
    RepositoryCreation,
)
from lakefs_client.sandbox import Sandbox


class Response:
    """A response, as the constructors of exceptions take it."""

    def __init__(self, status: int, body: Any) -> None:
        self.status = status
        self.reason = "Reason"
        self.data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers: dict[str, str] = {}


def error_with_message(status: int, message: str) -> ApiException:
    return error_for(Response(status, {"message": message}))


@pytest.mark.parametrize(
    ("status", "message", "cls", "base"),
    [
        (400, "commit: no changes", NothingToCommitError, ApiException),
        (400, "update branch main: no changes", NothingToCommitError, ApiException),
        (400, "update branch a: b: no changes", NothingToCommitError, ApiException),
        (403, "cannot write to protected branch", BranchProtectedError, ForbiddenException),
        (403, "cannot commit to protected branch", BranchProtectedError, ForbiddenException),
        (403, "protected branch", BranchProtectedError, ForbiddenException),
        (409, "update branch main: conflict found", MergeConflictError, ConflictException),
    ],
)
def test_message_selects_the_exception_class(
    status: int, message: str, cls: type[ApiException], base: type[ApiException]
) -> None:
    error = error_with_message(status, message)
    assert type(error) is cls
    assert isinstance(error, base)
    assert getattr(lakefs_client, cls.__name__) is cls


@pytest.mark.parametrize(
    ("status", "body", "cls"),
    [
        (400, b'{"message": "no changes in sight"}', ApiException),
        (500, b'{"message": "commit: no changes"}', lakefs_client.exceptions.ServiceException),
        (403, b'{"message": "read-only repository"}', ForbiddenException),
        (409, b'{"message": "branch already exists: not unique"}', ConflictException),
        (409, b'{"message": "tag ID v already exists: conflict found"}', ConflictException),
        (409, b"", ConflictException),
        (412, b'{"message": "Precondition failed"}', PreconditionFailedException),
        (412, b'{"message": ["hook aborted, run id"]}', PreconditionFailedException),
        (412, b'{"message"', PreconditionFailedException),
        (412, b'{"a":' * 100_000, PreconditionFailedException),
        (412, b"<Error>hook aborted, run id 'x'</Error>", PreconditionFailedException),
    ],
)
def test_unrecognised_body_keeps_class_of_status(
    status: int, body: bytes, cls: type[ApiException]
) -> None:
    assert type(error_for(Response(status, body))) is cls


HOOK = "pre-merge hook aborted, run id '4ontt5pksdufu': "
ONE = (
    HOOK + "1 error occurred:\n\t* hook run id '0000_0000' failed on action 'No CSV' hook 'no_csv'"
)


@pytest.mark.parametrize(
    ("message", "hook_id", "reason"),
    [
        (ONE + ": action failed: files must be Parquet\n\n", "no_csv", "files must be Parquet"),
        (
            ONE
            + ': action failed: runtime error: [string "lua"]:3: a: b\nsecond line\n'
            + "stack traceback:\n\t[Go]: in function 'error'\n\t[string \"lua\"]:3: in main\n\n",
            "no_csv",
            "a: b\nsecond line",
        ),
        (
            ONE + ": action failed: webhook request failed (status code: 500)\n\n",
            "no_csv",
            "webhook request failed (status code: 500)",
        ),
        (
            HOOK
            + "2 errors occurred:\n\t* hook run id '0_0' failed on action 'a' hook 'first': one"
            + "\n\t* hook run id '1_0' failed on action 'b' hook 'second': action failed: two\n\n",
            "first",
            "one; two",
        ),
        (HOOK + "something else", None, "something else"),
        (HOOK, None, HOOK),
    ],
)
def test_hook_error_names_hook_run_and_reason(
    message: str, hook_id: str | None, reason: str
) -> None:
    for prefix in ("", "update branch main: "):
        error = error_with_message(412, prefix + message)
        assert isinstance(error, HookRefusedError)
        assert isinstance(error, PreconditionFailedException)
        assert (error.hook_id, error.run_id) == (hook_id, "4ontt5pksdufu")
        assert error.message.removeprefix(prefix) == reason
        assert pickle.loads(pickle.dumps(error)).message == error.message


def test_manually_built_hook_error_has_no_ids() -> None:
    error = HookRefusedError(412, "Precondition Failed")
    assert (error.hook_id, error.run_id) == (None, None)


# In the sandbox


@pytest.fixture
def repository(client: ApiClient, sandbox: Sandbox) -> str:
    """Provide a repository whose branch `dev` starts at the first commit of `main`."""
    namespace = f"{sandbox.storage_namespace}repo"
    RepositoriesApi(client).create_repository(RepositoryCreation("repo", namespace))
    ObjectsApi(client).upload_object("repo", "main", "base", content=b"base")
    CommitsApi(client).commit("repo", "main", CommitCreation("base"))
    BranchesApi(client).create_branch("repo", BranchCreation("dev", "main"))
    return "repo"


def change(client: ApiClient, branch: str, **contents: str) -> None:
    for path, content in contents.items():
        ObjectsApi(client).upload_object("repo", branch, path, content=content.encode())
    CommitsApi(client).commit("repo", branch, CommitCreation("change"))


def test_commit_without_changes_raises_nothing_to_commit(
    client: ApiClient, repository: str
) -> None:
    with pytest.raises(NothingToCommitError):
        CommitsApi(client).commit(repository, "main", CommitCreation("none"))


def test_merge_without_changes_raises_nothing_to_commit(client: ApiClient, repository: str) -> None:
    with pytest.raises(NothingToCommitError):
        RefsApi(client).merge_into_branch(repository, "dev", "main")


def test_write_to_protected_branch_raises_branch_protected(
    client: ApiClient, repository: str
) -> None:
    rules = [BranchProtectionRule("main")]
    RepositoriesApi(client).set_branch_protection_rules(repository, rules)
    with pytest.raises(BranchProtectedError):
        ObjectsApi(client).upload_object(repository, "main", "a", content=b"a")
    with pytest.raises(BranchProtectedError):
        CommitsApi(client).commit(repository, "main", CommitCreation("none"))


def test_conflicting_branches_raise_merge_conflict(client: ApiClient, repository: str) -> None:
    change(client, "main", base="main", other="main")
    change(client, "dev", base="dev", third="dev")
    with pytest.raises(MergeConflictError):
        RefsApi(client).merge_into_branch(repository, "dev", "main")


def test_conflicting_pull_request_raises_merge_conflict(client: ApiClient, repository: str) -> None:
    change(client, "main", base="main")
    change(client, "dev", base="dev")
    pull = {"title": "t", "source_branch": "dev", "destination_branch": "main"}
    created = ExperimentalApi(client).create_pull_request(repository, pull)
    with pytest.raises(MergeConflictError):
        ExperimentalApi(client).merge_pull_request(repository, created.id)


# Conflicting paths


def page(*items: tuple[str, str], more: str = "") -> Answer:
    results = [
        {"path": path, "path_type": "object", "type": kind, "size_bytes": 1} for path, kind in items
    ]
    pagination = {
        "has_more": bool(more),
        "max_per_page": 1000,
        "next_offset": more,
        "results": len(results),
    }
    return Answer(json={"pagination": pagination, "results": results})


CONFLICT = Answer(409, json={"reference": ""})


def test_conflict_paths_are_fetched_on_first_access(api: ApiClient, server: ScriptedServer) -> None:
    server.script(
        CONFLICT,
        page(("a", "added"), ("b", "conflict"), more="b"),
        page(("c", "removed"), ("d/e", "conflict")),
    )
    with pytest.raises(MergeConflictError) as caught:
        RefsApi(api).merge_into_branch("repo", "dev~1", "main")
    assert len(server.requests) == 1
    assert caught.value.paths == ["b", "d/e"]
    assert caught.value.paths == ["b", "d/e"]
    first, second = server.requests[1:]
    assert first.path == "/api/v1/repositories/repo/refs/main/diff/dev~1"
    assert first.query == "type=three_dot&amount=1000"
    assert second.query == "type=three_dot&amount=1000&after=b"
    assert first.headers["authorization"].startswith("Basic ")


def test_pull_request_conflict_paths_use_its_branches(
    api: ApiClient, server: ScriptedServer
) -> None:
    pull = {
        "id": "p",
        "title": "t",
        "status": "open",
        "author": "me",
        "creation_date": "2026-01-01T00:00:00Z",
        "source_branch": "dev",
        "destination_branch": "main",
    }
    server.script(CONFLICT, Answer(json=pull), page(("b", "conflict")))
    with pytest.raises(MergeConflictError) as caught:
        ExperimentalApi(api).merge_pull_request("repo", "p")
    assert caught.value.paths == ["b"]
    assert server.requests[2].path == "/api/v1/repositories/repo/refs/main/diff/dev"


def test_failed_path_lookup_is_retried_on_next_access(
    api: ApiClient, server: ScriptedServer
) -> None:
    server.script(CONFLICT, Answer(403, json={"message": "no"}), page(("b", "conflict")))
    with pytest.raises(MergeConflictError) as caught:
        RefsApi(api).merge_into_branch("repo", "dev", "main")
    with pytest.raises(ForbiddenException):
        _ = caught.value.paths
    assert caught.value.paths == ["b"]


def test_pickled_conflict_keeps_fetched_paths_only(api: ApiClient, server: ScriptedServer) -> None:
    server.script(CONFLICT, page(("b", "conflict")))
    with pytest.raises(MergeConflictError) as caught:
        RefsApi(api).merge_into_branch("repo", "dev", "main")
    for other in (pickle.loads(pickle.dumps(caught.value)), copy.copy(caught.value)):
        with pytest.raises(ApiValueError, match="diff_refs"):
            _ = other.paths
        assert other.status == 409
    _ = caught.value.paths
    assert pickle.loads(pickle.dumps(caught.value)).paths == ["b"]
