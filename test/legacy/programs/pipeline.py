"""A pipeline: create missing resources, upload in several ways, commit, merge, tag."""

from __future__ import annotations

import csv
import io
import os
import tempfile
from typing import Any

import lakefs_client
from lakefs_client import models
from lakefs_client.api import (
    branches_api,
    commits_api,
    objects_api,
    refs_api,
    repositories_api,
    tags_api,
)
from lakefs_client.exceptions import ApiException, NotFoundException
from lakefs_client.model.branch_creation import BranchCreation
from lakefs_client.model.commit_creation import CommitCreation

REPOSITORY = "pipeline"


def ensure_repository(client: lakefs_client.ApiClient) -> bool:
    api = repositories_api.RepositoriesApi(client)
    try:
        api.get_repository(REPOSITORY)
        return False
    except NotFoundException:
        api.create_repository(
            models.RepositoryCreation(name=REPOSITORY, storage_namespace="s3://sandbox/pipeline")
        )
        return True


def ensure_branch(client: lakefs_client.ApiClient, name: str) -> bool:
    api = branches_api.BranchesApi(client)
    try:
        api.create_branch(REPOSITORY, BranchCreation(name=name, source="main"))
        return True
    except ApiException as error:
        if error.status == 409:
            return False
        raise


def upload(client: lakefs_client.ApiClient, branch: str) -> list[int]:
    api = objects_api.ObjectsApi(client)
    stats = []
    with tempfile.TemporaryDirectory() as folder:
        name = os.path.join(folder, "report.csv")
        with open(name, "w", newline="") as file:
            csv.writer(file).writerows([["id", "value"], [1, 10], [2, 20]])
        with open(name, "rb") as content:
            stats.append(api.upload_object(REPOSITORY, branch, "in/report.csv", content=content))
    with tempfile.NamedTemporaryFile(suffix=".bin") as temporary:
        temporary.write(b"0123456789")
        temporary.flush()
        temporary.seek(0)
        stats.append(api.upload_object(REPOSITORY, branch, "in/temp.bin", content=temporary.file))
    for name, data in ("in/memory", b"in memory"), ("in/empty", b""):
        buffer: Any = io.BytesIO(data)
        buffer.name = os.path.basename(name)
        stats.append(api.upload_object(REPOSITORY, branch, name, content=buffer))
    return [item.size_bytes for item in stats]


def publish(client: lakefs_client.ApiClient, branch: str, tag: str) -> dict[str, Any]:
    commit = commits_api.CommitsApi(client).commit(
        REPOSITORY, branch, CommitCreation("nightly run", metadata={"rows": "2"})
    )
    merged = refs_api.RefsApi(client).merge_into_branch(
        REPOSITORY, branch, "main", merge=models.Merge(message="publish", strategy="source-wins")
    )
    ref = tags_api.TagsApi(client).create_tag(
        REPOSITORY, models.TagCreation(id=tag, ref=merged.reference)
    )
    return {"commit": commit, "merged": merged.reference, "tag": ref}


def main(endpoint: str, key: str, secret: str) -> dict[str, Any]:
    configuration = lakefs_client.Configuration(
        host=f"{endpoint}/api/v1", username=key, password=secret
    )
    with lakefs_client.ApiClient(configuration) as client:
        created = [ensure_repository(client), ensure_repository(client)]
        branched = [ensure_branch(client, "nightly"), ensure_branch(client, "nightly")]
        sizes = upload(client, "nightly")
        published = publish(client, "nightly", "v1")
        try:
            commits_api.CommitsApi(client).commit(REPOSITORY, "nightly", CommitCreation("again"))
            nothing = None
        except ApiException as error:
            nothing = error.status
        report = objects_api.ObjectsApi(client).get_object(REPOSITORY, "v1", "in/report.csv")
        rows = list(csv.reader(io.TextIOWrapper(report, "utf-8")))
        log = refs_api.RefsApi(client).log_commits(REPOSITORY, "main", amount=1).results
    return {
        "created": created,
        "branched": branched,
        "sizes": sizes,
        "rows": rows,
        "metadata": published["commit"].metadata,
        "tag": published["tag"].to_dict(),
        "merged": published["merged"],
        "log": [commit.message for commit in log],
        "nothing": nothing,
    }
