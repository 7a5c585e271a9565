"""Idempotent creation of repositories, branches and tags."""

from __future__ import annotations

import pytest

from lakefs_client import ApiClient, ApiConnectionError
from lakefs_client.apis import BranchesApi, CommitsApi, ObjectsApi, TagsApi
from lakefs_client.ensure import ensure_branch, ensure_repository, ensure_tag
from lakefs_client.exceptions import ConflictException, NotFoundException
from lakefs_client.models import BranchCreation, CommitCreation, RepositoryCreation, TagCreation
from lakefs_client.sandbox import Sandbox


@pytest.fixture
def namespace(sandbox: Sandbox) -> str:
    return f"{sandbox.storage_namespace}repo"


@pytest.fixture
def repository(client: ApiClient, namespace: str) -> str:
    return ensure_repository(client, RepositoryCreation("repo", namespace)).id


def commit(client: ApiClient, path: str) -> str:
    ObjectsApi(client).upload_object("repo", "main", path, content=b"x")
    return CommitsApi(client).commit("repo", "main", CommitCreation("change")).id


def test_repository_is_created_once(client: ApiClient, sandbox: Sandbox, namespace: str) -> None:
    created = ensure_repository(
        client, RepositoryCreation("repo", namespace, default_branch="trunk")
    )
    assert (created.id, created.default_branch) == ("repo", "trunk")
    again = ensure_repository(client, {"name": "repo", "storage_namespace": f"{namespace}/"})
    assert again == created
    creations = [r for r in sandbox.requests if r.operation == "create_repository"]
    assert len(creations) == 1


def test_repository_with_another_storage_namespace_is_a_conflict(
    client: ApiClient, repository: str, sandbox: Sandbox
) -> None:
    with pytest.raises(ConflictException):
        ensure_repository(
            client, RepositoryCreation(repository, f"{sandbox.storage_namespace}elsewhere")
        )


def test_branch_is_created_once_and_keeps_new_commits(client: ApiClient, repository: str) -> None:
    created = ensure_branch(client, repository, BranchCreation("dev", "main"))
    assert created.id == "dev"
    commit(client, "a")
    assert ensure_branch(client, repository, {"name": "dev", "source": "main"}) == created


def test_branch_named_like_a_tag_is_a_conflict(client: ApiClient, repository: str) -> None:
    TagsApi(client).create_tag(repository, TagCreation("dev", "main"))
    with pytest.raises(ConflictException, match="tag ID dev"):
        ensure_branch(client, repository, BranchCreation("dev", "main"))


def test_missing_repository_or_source_is_not_found(client: ApiClient, repository: str) -> None:
    with pytest.raises(NotFoundException):
        ensure_branch(client, "missing", BranchCreation("dev", "main"))
    with pytest.raises(NotFoundException):
        ensure_branch(client, repository, BranchCreation("dev", "missing"))
    with pytest.raises(NotFoundException):
        ensure_tag(client, repository, TagCreation("v1", "missing"))


def test_tag_is_created_once(client: ApiClient, repository: str) -> None:
    head = commit(client, "a")
    created = ensure_tag(client, repository, TagCreation("v1", "main"))
    assert created.commit_id == head
    assert ensure_tag(client, repository, TagCreation("v1", head)) == created


def test_tag_at_another_commit_is_a_conflict(client: ApiClient, repository: str) -> None:
    ensure_tag(client, repository, TagCreation("v1", "main"))
    commit(client, "a")
    with pytest.raises(ConflictException):
        ensure_tag(client, repository, TagCreation("v1", "main"))


@pytest.mark.parametrize("fault", ["lost_answer", "reset_after"])
def test_lost_creation_response_is_resolved_by_lookup(
    client: ApiClient, sandbox: Sandbox, repository: str, fault: str
) -> None:
    sandbox.faults.add("create_branch", fault)  # type: ignore[arg-type]
    if fault == "lost_answer":
        assert ensure_branch(client, repository, BranchCreation("dev", "main")).id == "dev"
    else:
        with pytest.raises(ApiConnectionError):
            ensure_branch(client, repository, BranchCreation("dev", "main"))


def test_concurrent_creation_is_not_an_error(
    client: ApiClient, sandbox: Sandbox, repository: str
) -> None:
    BranchesApi(client).create_branch(repository, BranchCreation("dev", "main"))
    sandbox.faults.add("get_branch", "status", status=404)
    assert ensure_branch(client, repository, BranchCreation("dev", "main")).id == "dev"
