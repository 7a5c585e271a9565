"""A hook, operators and a sensor like those of an Airflow provider, and a run of them."""

from __future__ import annotations

import io
import json
from typing import Any

from lakefs_client import Configuration, models
from lakefs_client.client import LakeFSClient
from lakefs_client.exceptions import NotFoundException


class Connection:
    """An Airflow connection."""

    def __init__(self, host: str, login: str, password: str, extra: str = "{}") -> None:
        self.host = host
        self.login = login
        self.password = password
        self.extra_dejson: dict[str, Any] = json.loads(extra)


class LakeFSHook:
    """The operators' client of lakeFS."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._client: LakeFSClient | None = None

    def get_conn(self) -> LakeFSClient:
        if self._client is None:
            configuration = Configuration()
            configuration.host = self.connection.host
            configuration.username = self.connection.login
            configuration.password = self.connection.password
            configuration.verify_ssl = self.connection.extra_dejson.get("verify_ssl", True)
            self._client = LakeFSClient(configuration)
        return self._client

    def create_branch(self, repo: str, name: str, source_branch: str = "main") -> str:
        creation = models.BranchCreation(name=name, source=source_branch)
        return self.get_conn().branches_api.create_branch(repository=repo, branch_creation=creation)

    def upload(self, repo: str, branch: str, path: str, content: io.IOBase) -> str:
        upload: Any = self.get_conn().objects_api.upload_object
        stats = upload(repository=repo, branch=branch, path=path, content=content)
        address: str = stats.physical_address
        return address

    def commit(self, repo: str, branch: str, msg: str, metadata: dict[str, str]) -> str:
        commit = self.get_conn().commits_api.commit(
            repository=repo,
            branch=branch,
            commit_creation=models.CommitCreation(message=msg, metadata=metadata),
        )
        return commit.id

    def merge(self, repo: str, source_ref: str, destination_branch: str, msg: str) -> str:
        result = self.get_conn().refs_api.merge_into_branch(
            repository=repo,
            source_ref=source_ref,
            destination_branch=destination_branch,
            merge=models.Merge(message=msg),
        )
        return result.reference

    def get_commit(self, repo: str, ref: str) -> dict[str, Any]:
        commit = self.get_conn().commits_api.get_commit(repo, ref)
        return {name: commit[name] for name in ("id", "committer", "message", "metadata")}

    def get_branch_commit_id(self, repo: str, branch: str) -> str:
        response = self.get_conn().branches_api.get_branch(repository=repo, branch=branch)
        commit_id: str = response["commit_id"]
        return commit_id

    def test_connection(self) -> tuple[bool, str]:
        try:
            self.get_conn().repositories_api.list_repositories(amount=1)
        except Exception as error:
            return False, str(error)
        return True, "Connection successfully tested"


class CommitSensor:
    """A sensor that waits for a new commit on a branch."""

    def __init__(self, hook: LakeFSHook, repo: str, branch: str) -> None:
        self.hook = hook
        self.repo = repo
        self.branch = branch
        self.last: str | None = None

    def poke(self) -> bool:
        try:
            current = self.hook.get_branch_commit_id(self.repo, self.branch)
        except NotFoundException:
            return False
        if self.last is None:
            self.last = current
            return False
        return self.last != current


def main(endpoint: str, key: str, secret: str) -> dict[str, Any]:
    hook = LakeFSHook(Connection(endpoint, key, secret))
    hook.get_conn().repositories_api.create_repository(
        models.RepositoryCreation(
            name="airflow", storage_namespace="s3://sandbox/airflow", default_branch="main"
        )
    )
    sensor = CommitSensor(hook, "airflow", "transformed")
    poked = [sensor.poke()]
    hook.create_branch("airflow", "transformed")
    poked.append(sensor.poke())
    hook.upload("airflow", "transformed", "a/data.csv", io.BytesIO(b"a,b\n1,2\n"))
    committed = hook.commit("airflow", "transformed", "from a task", {"dag_id": "example"})
    poked.append(sensor.poke())
    merged = hook.merge("airflow", "transformed", "main", "merge of a task")
    bad = LakeFSHook(Connection(endpoint, key, "wrong"))
    return {
        "poked": poked,
        "commit": hook.get_commit("airflow", committed),
        "committed": committed,
        "merged": merged,
        "main": hook.get_branch_commit_id("airflow", "main"),
        "tested": hook.test_connection(),
        "refused": bad.test_connection(),
    }
