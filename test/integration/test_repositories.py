"""Repositories, their metadata and settings; actions, imports and dumps."""

from __future__ import annotations

import uuid

import pytest
from support.waiting import eventually

from lakefs_client import ApiException, ApiValueError
from lakefs_client.apis import RepositoriesApi
from lakefs_client.client import LakeFSClient
from lakefs_client.exceptions import NotFoundException
from lakefs_client.models import (
    BranchProtectionRule,
    CommitCreation,
    GarbageCollectionRule,
    GarbageCollectionRules,
    ImportCreation,
    ImportLocation,
    RepositoryCreation,
    RepositoryMetadataKeys,
    RepositoryMetadataSet,
)

from .support import Repo, Repositories, Server, expect_error, walk


def test_new_repository_has_the_given_properties(
    lakefs: LakeFSClient, lakefs_server: Server, repositories: Repositories
) -> None:
    name = repositories.new_name()
    namespace = lakefs_server.namespace(name)
    created = lakefs.repositories_api.create_repository(
        RepositoryCreation(name, namespace, default_branch="trunk")
    )
    assert (created.id, created.storage_namespace, created.default_branch) == (
        name,
        namespace,
        "trunk",
    )
    assert not created.get("read_only")
    assert created.creation_date > 0
    assert lakefs.repositories_api.get_repository(name) == created
    assert [b.id for b in lakefs.branches_api.list_branches(name).results] == ["trunk"]


def test_new_repository_has_initial_commit_only(lakefs: LakeFSClient, repo: Repo) -> None:
    (first,) = lakefs.refs_api.log_commits(repo.name, "main").results
    assert first.parents == []
    assert first.id == repo.head()
    assert repo.paths() == []
    assert repo.uncommitted() == []


def test_repository_creation_may_be_a_dict(
    lakefs: LakeFSClient, lakefs_server: Server, repositories: Repositories
) -> None:
    name = repositories.new_name()
    creation = {"name": name, "storage_namespace": lakefs_server.namespace(name)}
    assert lakefs.repositories_api.create_repository(creation)["default_branch"] == "main"


def test_existing_name_is_a_conflict(
    lakefs: LakeFSClient, lakefs_server: Server, repositories: Repositories, repo: Repo
) -> None:
    elsewhere = lakefs_server.namespace(repositories.new_name())
    with expect_error(409, "error creating repository: not unique"):
        lakefs.repositories_api.create_repository(RepositoryCreation(repo.name, elsewhere))


def test_used_storage_namespace_is_rejected(
    lakefs: LakeFSClient, repositories: Repositories, repo: Repo
) -> None:
    creation = RepositoryCreation(repositories.new_name(), repo.storage_namespace)
    with pytest.raises(ApiException) as caught:
        lakefs.repositories_api.create_repository(creation)
    assert 400 <= caught.value.status < 500


@pytest.mark.parametrize("name", ["UP", "ab", "-abc", "a_b_c", "a" * 64])
def test_invalid_name_is_rejected_by_client(lakefs_server: Server, name: str) -> None:
    with pytest.raises(ApiValueError, match="Invalid value for `name`"):
        RepositoryCreation(name, lakefs_server.namespace(name))


def test_invalid_name_is_rejected_by_server(lakefs: LakeFSClient, lakefs_server: Server) -> None:
    creation = {"name": "UP", "storage_namespace": lakefs_server.namespace("never-created")}
    with expect_error(400, "string doesn't match the regular expression"):
        lakefs.repositories_api.create_repository(creation, _check_input_type=False)


def test_missing_property_is_rejected_by_server(lakefs: LakeFSClient) -> None:
    with expect_error(400, 'property "storage_namespace" is missing'):
        lakefs.repositories_api.create_repository({"name": "abc"}, _check_input_type=False)


def test_repositories_are_listed_in_pages(lakefs: LakeFSClient, repositories: Repositories) -> None:
    prefix = f"paged-{uuid.uuid4().hex[:12]}-"
    created = {repositories.create(prefix).name for _ in range(3)}
    listed = walk(lakefs.repositories_api.list_repositories, prefix=prefix, amount=2)
    assert len(listed) == len(created)
    assert {item.id for item in listed} == created


def test_listed_repository_equals_fetched_repository(lakefs: LakeFSClient, repo: Repo) -> None:
    (listed,) = lakefs.repositories_api.list_repositories(prefix=repo.name).results
    assert listed == lakefs.repositories_api.get_repository(repo.name)


def test_missing_repository_is_not_found(lakefs: LakeFSClient, repositories: Repositories) -> None:
    with expect_error(404, "repository not found"):
        lakefs.repositories_api.get_repository(repositories.new_name())


def test_deleted_repository_is_not_found(lakefs: LakeFSClient, repo: Repo) -> None:
    assert lakefs.repositories_api.delete_repository(repo.name) is None

    def is_deleted() -> bool:
        try:
            lakefs.repositories_api.get_repository(repo.name)
        except NotFoundException:
            return True
        return False

    eventually(is_deleted)
    assert lakefs.repositories_api.list_repositories(prefix=repo.name).results == []


def test_read_only_flag_is_returned(lakefs: LakeFSClient, repositories: Repositories) -> None:
    repo = repositories.create(read_only=True)
    assert lakefs.repositories_api.get_repository(repo.name).read_only is True


# Metadata


def test_metadata_keys_are_set_and_deleted(lakefs: LakeFSClient, repo: Repo) -> None:
    get = lakefs.repositories_api.get_repository_metadata
    assert get(repo.name).to_dict() == {}
    entries = {"owner": "somebody", "city": "Oslo"}
    lakefs.internal_api.set_repository_metadata(repo.name, RepositoryMetadataSet(entries))
    eventually(lambda: get(repo.name).to_dict() == entries)
    lakefs.internal_api.delete_repository_metadata(repo.name, RepositoryMetadataKeys(["owner"]))
    eventually(lambda: get(repo.name).to_dict() == {"city": "Oslo"})


# Settings


def protected(api: RepositoriesApi, repo: Repo) -> list[str]:
    """Return the patterns of protected branches."""
    return sorted(rule["pattern"] for rule in api.get_branch_protection_rules(repo.name))


def test_branch_protection_rules_are_set(lakefs: LakeFSClient, repo: Repo) -> None:
    api = lakefs.repositories_api
    assert api.get_branch_protection_rules(repo.name) == []
    rules = [BranchProtectionRule("prot*"), BranchProtectionRule("stable-?")]
    assert api.set_branch_protection_rules(repo.name, rules) is None
    eventually(lambda: protected(api, repo) == ["prot*", "stable-?"])


def test_branch_protection_rules_are_replaced(lakefs: LakeFSClient, repo: Repo) -> None:
    api = lakefs.repositories_api
    api.set_branch_protection_rules(repo.name, [BranchProtectionRule("one*")])
    api.set_branch_protection_rules(repo.name, [{"pattern": "two*"}])
    eventually(lambda: protected(api, repo) == ["two*"])


def test_garbage_collection_rules_are_set(lakefs: LakeFSClient, repo: Repo) -> None:
    api = lakefs.repositories_api
    with expect_error(404, "not found"):
        api.get_gc_rules(repo.name)
    rules = GarbageCollectionRules(7, [GarbageCollectionRule("main", 30)])
    assert api.set_gc_rules(repo.name, rules) is None
    assert api.get_gc_rules(repo.name) == rules


# Actions, imports, dumps


def test_repository_without_actions_has_no_runs(lakefs: LakeFSClient, repo: Repo) -> None:
    repo.change("a.txt")
    runs = lakefs.actions_api.list_repository_runs(repo.name)
    assert runs.results == []
    assert not runs.pagination.has_more
    with expect_error(404, "not found"):
        lakefs.actions_api.get_run(repo.name, "none")
    assert lakefs.actions_api.list_run_hooks(repo.name, "none").results == []
    with expect_error(404, "not found"):
        lakefs.actions_api.get_run_hook_output(repo.name, "none", "none")


def test_import_from_own_namespace_is_rejected(lakefs: LakeFSClient, repo: Repo) -> None:
    source = ImportLocation("common_prefix", f"{repo.storage_namespace}/data/", "imported/")
    with expect_error(400, "invalid import source"):
        lakefs.import_api.import_start(
            repo.name, "main", ImportCreation([source], CommitCreation("import"))
        )
    assert repo.paths() == []


def test_status_of_unknown_import_is_not_found(lakefs: LakeFSClient, repo: Repo) -> None:
    with expect_error(404, "not found"):
        lakefs.import_api.import_status(repo.name, "main", "x")


def test_dump_returns_meta_range_ids(lakefs: LakeFSClient, repo: Repo) -> None:
    repo.change("a.txt")
    dump = lakefs.internal_api.dump_refs(repo.name)
    for name in ("branches", "commits", "tags"):
        assert dump[f"{name}_meta_range_id"], name
