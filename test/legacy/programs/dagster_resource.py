"""A resource and an I/O manager like those of a Dagster library."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from typing import Any

from lakefs_client import Configuration
from lakefs_client.client import LakeFSClient
from lakefs_client.exceptions import ApiException


@contextlib.contextmanager
def lakefs_resource(context: dict[str, Any]) -> Iterator[LakeFSClient]:
    """Return a client for the steps of a job."""
    config = context["resource_config"]
    configuration = Configuration(
        host=config["endpoint"],
        username=config["access_key_id"],
        password=config["secret_access_key"],
    )
    configuration.ssl_ca_cert = config.get("ca_bundle")
    yield LakeFSClient(configuration)


class JsonIOManager:
    """An I/O manager that stores step outputs as objects on a branch."""

    def __init__(self, client: LakeFSClient, repository: str, branch: str) -> None:
        self.client = client
        self.repository = repository
        self.branch = branch

    def ensure_branch(self) -> bool:
        try:
            self.client.branches_api.get_branch(self.repository, self.branch)
        except ApiException as error:
            if error.status != 404:
                raise
            self.client.branches_api.create_branch(
                self.repository, {"name": self.branch, "source": "main"}
            )
            return True
        return False

    def handle_output(self, name: str, value: object) -> int:
        content = io.BytesIO(json.dumps(value).encode())
        stats = self.client.objects_api.upload_object(
            self.repository, self.branch, path=f"outputs/{name}.json", content=content
        )
        return stats.size_bytes

    def load_input(self, name: str) -> Any:
        file = self.client.objects_api.get_object(
            self.repository, self.branch, f"outputs/{name}.json"
        )
        return json.load(file)


def main(endpoint: str, key: str, secret: str) -> dict[str, Any]:
    context = {
        "resource_config": {
            "endpoint": endpoint,
            "access_key_id": key,
            "secret_access_key": secret,
        }
    }
    with lakefs_resource(context) as client:
        client.repositories_api.create_repository(
            {"name": "dagster", "storage_namespace": "s3://sandbox/dagster"}
        )
        manager = JsonIOManager(client, "dagster", "run-1")
        created = [manager.ensure_branch(), manager.ensure_branch()]
        sizes = [
            manager.handle_output("numbers", [1, 2, 3]),
            manager.handle_output("one", {"a": 1}),
        ]
        loaded = [manager.load_input("numbers"), manager.load_input("one")]
        commit = client.commits_api.commit(
            "dagster", "run-1", {"message": "run 1", "metadata": {"dagster/run_id": "1"}}
        )
        log = client.refs_api.log_commits("dagster", "run-1", amount=1)
    return {
        "created": created,
        "sizes": sizes,
        "loaded": loaded,
        "metadata": commit.metadata,
        "last": log.results[0].id == commit.id,
    }
