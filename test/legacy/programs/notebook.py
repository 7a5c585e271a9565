"""Notebook cells: star imports, items, positional and keyword arguments, top-level code."""

# ruff: noqa: F403, F405

from __future__ import annotations

from io import BytesIO
from typing import Any

import lakefs_client
from lakefs_client import models
from lakefs_client.client import LakeFSClient
from lakefs_client.models import *


def main(endpoint: str, key: str, secret: str) -> dict[str, Any]:
    # In [1]
    configuration = lakefs_client.Configuration()
    configuration.username = key
    configuration.password = secret
    configuration.host = endpoint
    client = LakeFSClient(configuration)
    lakefs = client

    # In [2]
    repo_name = "notebook"
    repo = lakefs.repositories_api.create_repository(
        repository_creation=RepositoryCreation(
            name=repo_name,
            storage_namespace=f"s3://sandbox/{repo_name}",
            default_branch="main",
        )
    )
    print(repo)

    # In [3]
    version = client.internal_api.get_lake_fs_version()
    print(version["version"])
    config = client.config_api.get_config()
    print(config.storage_config.blockstore_type, config["version_config"]["version"])

    # In [4]
    client.branches_api.create_branch(repo_name, BranchCreation(name="experiment", source="main"))
    result = client.objects_api.upload_object(
        repository=repo_name,
        branch="experiment",
        path="raw/numbers.csv",
        content=BytesIO(b"n\n1\n2\n3\n"),
    )
    print(result["path"], result["size_bytes"], "metadata" in result)

    # In [5]
    diff = client.branches_api.diff_branch(repository=repo_name, branch="experiment").results
    rows = [[d["type"], d["path"]] for d in diff]
    print(rows)

    # In [6]
    commit = client.commits_api.commit(
        repo_name,
        "experiment",
        CommitCreation(message="numbers", metadata={"using": "python_api"}),
    )
    print(commit["id"][:8], commit.get("metadata")["using"], commit.get("nothing", "default"))

    # In [7]
    ref = client.branches_api.get_branch(repo_name, "experiment")
    assert ref["commit_id"] == ref.commit_id == commit.id

    # In [8]
    client.refs_api.merge_into_branch(
        repository=repo_name, source_ref="experiment", destination_branch="main"
    )
    data = client.objects_api.get_object(repo_name, "main", path="raw/numbers.csv")
    total = sum(int(line) for line in data.read().decode().split("\n")[1:-1])

    # In [9]
    location = client.repositories_api.get_repository(repo_name)["storage_namespace"]
    tag = client.tags_api.create_tag(repo_name, tag_creation=TagCreation(id="v1", ref="main"))
    assert isinstance(tag, models.Ref)
    return {
        "rows": rows,
        "total": total,
        "location": location,
        "tag": tag.to_dict(),
        "text": str(ref),
    }
