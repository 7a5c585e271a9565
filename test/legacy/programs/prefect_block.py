"""A credentials block and tasks like those of a Prefect collection."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from typing import Any

import lakefs_client
from lakefs_client import apis
from lakefs_client.models import BranchCreation, CommitCreation, RepositoryCreation

CLIENTS = {
    "branches": apis.BranchesApi,
    "commits": apis.CommitsApi,
    "objects": apis.ObjectsApi,
    "refs": apis.RefsApi,
    "repositories": apis.RepositoriesApi,
}


@dataclass
class LakeFSCredentials:
    """The server's address and credentials."""

    endpoint: str
    access_key_id: str
    secret_access_key: str
    api_base_path: str = "/api/v1"

    def get_client(self, kind: str) -> Any:
        if kind not in CLIENTS:
            raise ValueError(f"no client of kind {kind!r}")
        configuration = lakefs_client.Configuration(
            host=self.endpoint + self.api_base_path,
            username=self.access_key_id,
            password=self.secret_access_key,
        )
        return CLIENTS[kind](lakefs_client.ApiClient(configuration=configuration))


def create_repository(credentials: LakeFSCredentials, name: str, **kwargs: Any) -> Any:
    return credentials.get_client("repositories").create_repository(
        repository_creation=RepositoryCreation(name, f"s3://sandbox/{name}", **kwargs)
    )


def create_branch(credentials: LakeFSCredentials, repository: str, name: str) -> Any:
    return credentials.get_client("branches").create_branch(
        repository=repository, branch_creation=BranchCreation(name=name, source="main")
    )


def upload(credentials: LakeFSCredentials, repository: str, branch: str, **kwargs: Any) -> Any:
    return credentials.get_client("objects").upload_object(
        repository=repository, branch=branch, **kwargs
    )


def commit(credentials: LakeFSCredentials, repository: str, branch: str, message: str) -> Any:
    return credentials.get_client("commits").commit(
        repository=repository,
        branch=branch,
        commit_creation=CommitCreation(message=message),
        _request_timeout=30,
    )


def delete_branch(credentials: LakeFSCredentials, repository: str, branch: str) -> Any:
    return credentials.get_client("branches").delete_branch(repository=repository, branch=branch)


def main(endpoint: str, key: str, secret: str) -> dict[str, Any]:
    credentials = LakeFSCredentials(endpoint, key, secret)
    repository = create_repository(credentials, "prefect", default_branch="main")
    create_branch(credentials, repository.id, "flow")
    for n in range(3):
        with tempfile.NamedTemporaryFile(suffix=".txt") as file:
            file.write(b"x" * n)
            file.flush()
            with open(file.name, "rb") as content:
                upload(credentials, "prefect", "flow", path=f"p/{n}.txt", content=content)
    committed = commit(credentials, "prefect", "flow", "flow run")
    changes = credentials.get_client("refs").diff_refs("prefect", "main", "flow")
    delete_branch(credentials, "prefect", "flow")
    branches = credentials.get_client("branches").list_branches("prefect")
    return {
        "repository": repository.to_dict(),
        "message": committed.message,
        "changes": [(change.type, change.path, change.size_bytes) for change in changes.results],
        "branches": [branch.id for branch in branches.results],
    }
