"""Preparations of the operations' examples.

Examples contain identifiers that the server chooses. A preparation creates the resources and
returns their identifiers by regular expressions for the placeholders.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import urllib3

from lakefs_client import ApiClient
from lakefs_client.apis import (
    BranchesApi,
    CommitsApi,
    ExperimentalApi,
    ImportApi,
    InternalApi,
    ObjectsApi,
    RepositoriesApi,
    StagingApi,
)

Words = Mapping[str, str]
Preparation = Callable[[ApiClient], Words]

REPOSITORY = "example-repo"
PATH = "data/part-0001.csv"
PRINCIPAL = "arn:aws:sts::123456789012:assumed-role/team/session"
ADDRESS = rf"s3://lake/{REPOSITORY}/data/[\w,-]+/[\w,-]+"
HASH = r"\b[0-9a-f]{64}\b"


def uncommitted_object(client: ApiClient) -> Words:
    ObjectsApi(client).upload_object(REPOSITORY, "main", "data/new.csv", content=b"new")
    return {}


def committed_object(branch: str) -> Preparation:
    """Return a preparation that commits a new object on a branch."""

    def prepare(client: ApiClient) -> Words:
        ObjectsApi(client).upload_object(REPOSITORY, branch, "data/new.csv", content=b"new")
        commit = CommitsApi(client).commit(REPOSITORY, branch, {"message": "more"})
        return {HASH: commit.id, "COMMIT_ID": commit.id}

    return prepare


def uploaded_objects(*paths: str) -> Preparation:
    def prepare(client: ApiClient) -> Words:
        for path in paths:
            ObjectsApi(client).upload_object(REPOSITORY, "main", path, content=b"an object")
        return {}

    return prepare


def branch_to_merge(client: ApiClient) -> Words:
    BranchesApi(client).create_branch(REPOSITORY, {"name": "experiment-1", "source": "main"})
    return {}


def pull_request(client: ApiClient) -> Words:
    committed_object("dev")(client)
    created = ExperimentalApi(client).create_pull_request(
        REPOSITORY, {"title": "t", "source_branch": "dev", "destination_branch": "main"}
    )
    return {"PULL_REQUEST_ID": created.id}


def upload(client: ApiClient) -> Words:
    """Upload the two parts whose ETags the examples contain."""
    started = ExperimentalApi(client).create_presign_multipart_upload(
        REPOSITORY, "main", PATH, parts=2
    )
    with urllib3.PoolManager() as store:
        for url, data in zip(started.presigned_urls, (b"x" * 5 * 2**20, b"tail")):
            assert store.request("PUT", url, body=data).status == 200
    return {"UPLOAD_ID": started.upload_id, ADDRESS: started.physical_address}


def upload_with_source(client: ApiClient) -> Words:
    ObjectsApi(client).upload_object(REPOSITORY, "main", "mp.bin", content=bytes(5 * 2**20))
    return upload(client)


def staged_object(client: ApiClient) -> Words:
    location = StagingApi(client).get_physical_address(REPOSITORY, "main", PATH, presign=True)
    with urllib3.PoolManager() as store:
        assert store.request("PUT", location.presigned_url, body=b"data").status == 200
    return {ADDRESS: location.physical_address}


def principal(client: ApiClient) -> Words:
    ExperimentalApi(client).create_user_external_principal("admin", PRINCIPAL)
    return {r"arn:aws:sts::123456789012:assumed-role/loader/job": PRINCIPAL}


def other_repository(client: ApiClient) -> Words:
    """Create an object in another repository of the same store."""
    name = "other-repo"
    repositories = RepositoriesApi(client)
    old = repositories.get_repository(REPOSITORY).storage_namespace
    storage_namespace = old.replace(REPOSITORY, name)
    repositories.create_repository({"name": name, "storage_namespace": storage_namespace})
    ObjectsApi(client).upload_object(name, "main", "a", content=b"imported")
    return {"s3://my-bucket/production/": f"{storage_namespace}/data/"}


def running_import(client: ApiClient) -> Words:
    source = other_repository(client)["s3://my-bucket/production/"]
    started = ImportApi(client).import_start(
        REPOSITORY,
        "main",
        {
            "paths": [{"type": "common_prefix", "path": source, "destination": "production/"}],
            "commit": {"message": "import"},
        },
    )
    return {"IMPORT_ID": started.id}


def gc_rules(client: ApiClient) -> Words:
    RepositoriesApi(client).set_gc_rules(REPOSITORY, {"default_retention_days": 7, "branches": []})
    return {}


def protection_rule(client: ApiClient) -> Words:
    RepositoriesApi(client).set_branch_protection_rules(REPOSITORY, [{"pattern": "release-*"}])
    return {}


def dump_task(client: ApiClient) -> Words:
    return {"TASK_ID": RepositoriesApi(client).dump_submit(REPOSITORY).id}


def backup(client: ApiClient) -> dict[str, str]:
    """Dump a repository and replace it with an empty one."""
    refs = InternalApi(client).dump_refs(REPOSITORY)
    repositories = RepositoriesApi(client)
    storage_namespace = repositories.get_repository(REPOSITORY).storage_namespace
    repositories.delete_repository(REPOSITORY)
    repositories.create_repository(
        {"name": REPOSITORY, "storage_namespace": storage_namespace}, bare=True
    )
    return refs.to_dict()


def refs_to_restore(client: ApiClient) -> Words:
    return {rf'(?<={name}=")\w+': value for name, value in backup(client).items()}


def restore_task(client: ApiClient) -> Words:
    return {"TASK_ID": RepositoriesApi(client).restore_submit(REPOSITORY, backup(client)).id}


def metadata_object(client: ApiClient) -> Words:
    uncommitted_object(client)
    commit = CommitsApi(client).commit(REPOSITORY, "main", {"message": "more"})
    return {"RANGE_ID": commit.meta_range_id}


def prepared_gc_commits(client: ApiClient) -> Words:
    gc_rules(client)
    return {"TASK_ID": InternalApi(client).prepare_garbage_collection_commits_async(REPOSITORY).id}


PREPARATIONS: dict[str, Preparation] = {
    "abort_presign_multipart_upload": upload,
    "cherry_pick": committed_object("dev"),
    "commit": uncommitted_object,
    "complete_presign_multipart_upload": upload,
    "copy_object": uploaded_objects("raw/events.parquet"),
    "create_pull_request": branch_to_merge,
    "delete_user_external_principal": principal,
    "external_principal_login": principal,
    "get_commit": committed_object("main"),
    "get_external_principal": principal,
    "get_gc_rules": gc_rules,
    "get_metadata_object": metadata_object,
    "get_pull_request": pull_request,
    "import_cancel": running_import,
    "import_start": other_repository,
    "import_status": running_import,
    "internal_delete_branch_protection_rule": protection_rule,
    "internal_get_garbage_collection_rules": gc_rules,
    "link_physical_address": staged_object,
    "merge_into_branch": committed_object("dev"),
    "merge_pull_request": pull_request,
    "dump_status": dump_task,
    "prepare_garbage_collection_commits": gc_rules,
    "prepare_garbage_collection_commits_status": prepared_gc_commits,
    "reset_branch": uploaded_objects("raw/new.csv"),
    "restore_refs": refs_to_restore,
    "restore_status": restore_task,
    "restore_submit": refs_to_restore,
    "revert_branch": committed_object("main"),
    "update_pull_request": pull_request,
    "upload_part": upload,
    "upload_part_copy": upload_with_source,
}


def prepared_code(operation: str, client: ApiClient, code: str) -> str:
    """Run an example's preparation and return its code with the identifiers."""
    prepare = PREPARATIONS.get(operation)
    for pattern, value in (prepare(client) if prepare else {}).items():
        code = re.sub(pattern, value.replace("\\", r"\\"), code)
    return code
