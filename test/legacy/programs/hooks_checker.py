"""Checks of a pre-merge web hook, with the deprecated names of the API groups."""

from __future__ import annotations

import fnmatch
import io
from collections.abc import Iterator
from typing import Any

import lakefs_client
from lakefs_client import models
from lakefs_client.client import LakeFSClient

PAGE = 2


def get_diff(client: Any, repository: str, ref: str, branch: str) -> Iterator[Any]:
    after = ""
    while True:
        response = client.refs.diff_refs(
            repository=repository, left_ref=branch, right_ref=ref, after=after, amount=PAGE
        )
        yield from response.results
        if not response.pagination.has_more:
            return
        after = response.pagination.next_offset


def list_dirty(client: Any, repository: str, branch: str) -> Iterator[Any]:
    after = ""
    while True:
        response = client.branches.diff_branch(repository, branch, after=after, amount=PAGE)
        yield from response.results
        if not response.pagination.has_more:
            return
        after = response.pagination.next_offset


def check_format(client: Any, event: dict[str, Any], allow: list[str], prefix: str) -> list[str]:
    """Return the paths below a prefix whose format is not allowed."""
    refused = []
    for change in get_diff(client, event["repository_id"], event["source_ref"], event["branch_id"]):
        if change.path_type != "object" or change.type == "removed":
            continue
        allowed = any(fnmatch.fnmatch(change.path, pattern) for pattern in allow)
        if change.path.startswith(prefix) and not allowed:
            refused.append(change.path)
    return refused


def check_header(client: Any, event: dict[str, Any], header: bytes) -> list[str]:
    """Return the changed CSV files that start with another header."""
    refused = []
    for change in get_diff(client, event["repository_id"], event["source_ref"], event["branch_id"]):
        stats = client.objects.stat_object(
            repository=event["repository_id"], ref=event["source_ref"], path=change.path
        )
        if not change.path.endswith(".csv") or stats.size_bytes == 0:
            continue
        response = client.objects.get_object(
            repository=event["repository_id"],
            ref=event["source_ref"],
            path=change.path,
            range=f"bytes=0-{len(header) - 1}",
        )
        if response.read() != header:
            refused.append(change.path)
    return refused


def prepare(client: LakeFSClient) -> None:
    client.repositories_api.create_repository(
        models.RepositoryCreation(name="hooks", storage_namespace="s3://sandbox/hooks")
    )
    client.branches_api.create_branch("hooks", models.BranchCreation("dev", "main"))
    for path, content in {
        "landing/a.tmp": b"temporary",
        "tables/a.csv": b"id,name\n1,x\n",
        "tables/b.csv": b"name,id\nx,1\n",
        "tables/c.parquet": b"PAR1",
        "tables/d.json": b"{}",
        "tables/empty.csv": b"",
    }.items():
        client.objects_api.upload_object("hooks", "dev", path, content=io.BytesIO(content))


def main(endpoint: str, key: str, secret: str) -> dict[str, Any]:
    client = LakeFSClient(lakefs_client.Configuration(username=key, password=secret, host=endpoint))
    prepare(client)
    dirty = [change.path for change in list_dirty(client, "hooks", "dev")]
    client.commits_api.commit("hooks", "dev", models.CommitCreation("files"))
    event = {
        "event_type": "pre-merge",
        "repository_id": "hooks",
        "branch_id": "main",
        "source_ref": "dev",
    }
    return {
        "dirty": dirty,
        "format": check_format(client, event, ["*.csv", "*.parquet"], "tables/"),
        "header": check_header(client, event, b"id,name"),
    }
