"""Operations that prepare garbage collection, and that read metadata objects."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from lakefs_client.sandbox.clock import new_id, timestamp
from lakefs_client.sandbox.errors import ApiError, bad_request, find, not_found
from lakefs_client.sandbox.http_server import Response
from lakefs_client.sandbox.operations.call import Call, Json
from lakefs_client.sandbox.parquet import Column, write_parquet
from lakefs_client.sandbox.repository import Repository
from lakefs_client.sandbox.versions import Commit

_RETENTION = "_lakefs/retention/gc"
_DAY = 24 * 3600


class Maintenance(Call):
    """Garbage collection and metadata objects, from the group `internal`."""

    def prepare_garbage_collection_commits(self) -> Json:
        repository = self.repository
        repository.check_writable()
        if repository.gc_rules is None:
            raise not_found("get gc rules:")
        run_id = new_id(self.backend.clock())
        address = f"{_RETENTION}/commits/run_id={run_id}/commits.csv"
        lines = ["commit_id,expired,metarange_id"]
        for commit, expired in self._retention(repository, repository.gc_rules):
            lines.append(f"{commit.id},{str(expired).lower()},{commit.meta_range_id}")
        key = repository.key(address)
        self.backend.store.put(key, self.backend.store.write(["\n".join([*lines, ""]).encode()]))
        return {
            "gc_addresses_location": repository.uri(f"{_RETENTION}/addresses/"),
            "gc_commits_location": repository.uri(address),
            "gc_commits_presigned_url": self.presign("GET", key, {"x-id": "GetObject"}),
            "run_id": run_id,
        }

    def prepare_garbage_collection_commits_async(self) -> Json:
        repository = self.repository
        repository.check_writable()
        task_id = f"GCPC{secrets.token_urlsafe(15)}"
        status: Json = {"task_id": task_id, "completed": True}
        try:
            status["result"] = self.prepare_garbage_collection_commits()
        except ApiError as error:
            status["error"] = {"message": error.message}
        status["update_time"] = timestamp(self.backend.clock())
        repository.tasks[task_id] = status
        return {"id": task_id}

    def prepare_garbage_collection_commits_status(self) -> Json:
        return find(self.repository.tasks, self["id"])

    def prepare_garbage_collection_uncommitted(self) -> Json:
        try:
            token = base64.b64decode(self.body.get("continuation_token", ""), validate=True)
            if token:
                json.loads(token)
        except ValueError:
            raise bad_request("invalid continuation token") from None
        repository = self.repository
        repository.check_writable()
        run_id = new_id(self.backend.clock())
        staged = [
            entry
            for branch in repository.branches.values()
            for entry in branch.staging.values()
            if entry is not None and "://" not in entry.address
        ]
        if not staged:
            return {"gc_uncommitted_location": "", "run_id": run_id}
        location = f"{_RETENTION}/uncommitted/{run_id}/uncommitted/"
        columns = [
            Column("physical_address", "string", [entry.address for entry in staged]),
            Column("creation_date", "int64", [entry.mtime for entry in staged]),
        ]
        stored = self.backend.store.write([write_parquet(len(staged), columns)])
        self.backend.store.put(repository.key(f"{location}part-1.parquet"), stored)
        return {"gc_uncommitted_location": repository.uri(location), "run_id": run_id}

    def get_metadata_object(self) -> Response:
        repository, id_ = self.repository, self["object_id"]
        key = repository.key(f"_lakefs/{id_}")
        stored = self.backend.store.get(key)
        if stored is None and id_ in repository.trees:
            # Servers answer with an SSTable, whose format is not documented.
            entries = {path: asdict(entry) for path, entry in repository.trees[id_].entries.items()}
            stored = self.backend.store.write([json.dumps(entries, sort_keys=True).encode()])
            self.backend.store.put(key, stored)
        if self["presign"]:
            location = self.presign("GET", key, {"x-id": "GetObject"})
            return Response(302, headers={"Location": location})
        if stored is None:
            raise ApiError(410, "No data")
        headers = {
            "Content-Type": "application/octet-stream",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "SAMEORIGIN",
            "Content-Security-Policy": "default-src 'none'",
        }
        response = Response(200, headers=headers)
        response.select(stored, None)
        return response

    def _retention(
        self, repository: Repository, rules: dict[str, Any]
    ) -> Iterator[tuple[Commit, bool]]:
        """Yield all commits of branches, and True if no branch retains the commit.

        A branch retains the commits that were its head within its retention period.
        """
        days = {rule["branch_id"]: rule["retention_days"] for rule in rules["branches"]}
        commits: dict[str, Commit] = {}
        retained = set()
        for name, branch in repository.branches.items():
            period = days.get(name, rules["default_retention_days"]) * _DAY
            head = repository.commits[branch.commit_id]
            replaced_at = self.backend.clock()
            for commit in repository.ancestors(head, first_parent=True):
                if replaced_at < self.backend.clock() - period:
                    break
                retained.add(commit.id)
                replaced_at = commit.creation_date
            commits |= {commit.id: commit for commit in repository.ancestors(head)}
        for commit in sorted(commits.values(), key=lambda item: item.id):
            yield commit, commit.id not in retained
