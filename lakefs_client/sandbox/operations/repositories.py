"""Operations on repositories and their settings; imports, dumps and restores.

Imports, dumps and restores finish within the request.
"""

from __future__ import annotations

import hashlib
import json
import mimetypes
from dataclasses import asdict

from lakefs_client.sandbox.clock import new_id, timestamp
from lakefs_client.sandbox.errors import (
    ApiError,
    bad_request,
    conflict,
    error_prefix,
    find,
    not_found,
)
from lakefs_client.sandbox.history import as_json, dump_history, load_history
from lakefs_client.sandbox.http_server import Response
from lakefs_client.sandbox.operations.call import Call, Json, reply
from lakefs_client.sandbox.operations.entries import DEFAULT_TYPE, entry_of
from lakefs_client.sandbox.repository import Branch, Repository
from lakefs_client.sandbox.sample_data import sample_files
from lakefs_client.sandbox.versions import EMPTY, Entry, Tree


class Repositories(Call):
    """The groups `repositories` and `import`, and repository operations of `internal`."""

    def list_repositories(self) -> Json:
        search = self["search"] or ""
        items = sorted(self.backend.repositories.items())
        matching = (item for item in items if search in item[0])
        return self.listing(matching, lambda _, repository: _show(repository))

    def create_repository(self) -> Json:
        backend, body, name = self.backend, self.body, self.body["name"]
        if name in backend.repositories:
            raise conflict("error creating repository: not unique")
        namespace, read_only = body["storage_namespace"], body.get("read_only", False)
        if not namespace.startswith("s3://"):
            raise bad_request("failed to match required regex ^s3://: invalid namespace")
        if not (self["bare"] or read_only):
            self._claim_namespace(namespace)
        now = backend.clock()
        repository = Repository(
            id=name,
            storage_namespace=namespace,
            default_branch=body.get("default_branch") or "main",
            creation_date=int(now),
            read_only=read_only,
            clock=backend.clock,
            partition=new_id(now),
        )
        if not self["bare"]:
            branch = repository.branches[repository.default_branch] = Branch("")
            repository.advance(branch, EMPTY, "Repository created", committer="")
            if body.get("sample_data"):
                self._add_sample_data(repository)
        backend.repositories[name] = repository
        return _show(repository)

    def _claim_namespace(self, namespace: str) -> None:
        """Raise a 400 error if the storage namespace cannot be used, or ever was."""
        if not namespace.startswith(self.backend.namespace):
            raise bad_request("failed to create repository: failed to access storage")
        if namespace.rstrip("/") in self.backend.namespaces:
            raise bad_request(
                f"failed to create repository: found lakeFS objects in the storage (:{namespace}) "
                "key(_lakefs/dummy): storage namespace already in use"
            )
        self.backend.namespaces.add(namespace.rstrip("/"))

    def _add_sample_data(self, repository: Repository) -> None:
        """Commit the sample data on the default branch and protect the branch."""
        store, branch = self.backend.store, repository.branches[repository.default_branch]
        entries = {}
        for path, data in sample_files():
            address = repository.new_address()
            stored = store.write([data])
            store.put(repository.key(address), stored)
            entries[path] = entry_of(stored, address, DEFAULT_TYPE)
        repository.advance(branch, Tree(entries), "Add sample data")
        repository.protection = [repository.default_branch]

    def get_repository(self) -> Json:
        return _show(self.repository)

    def delete_repository(self) -> None:
        del self.backend.repositories[self.writable_repository.id]

    def get_repository_metadata(self) -> Json:
        return self.repository.metadata

    def set_repository_metadata(self) -> None:
        repository = self.repository
        repository.check_writable()
        repository.metadata.update(self.body["metadata"])

    def delete_repository_metadata(self) -> None:
        repository = self.repository
        repository.check_writable()
        for key in self.body["keys"]:
            repository.metadata.pop(key, None)

    def get_branch_protection_rules(self) -> Response:
        protection = self.repository.protection
        return reply(
            [{"pattern": item} for item in protection], headers={"Etag": _etag(protection)}
        )

    def set_branch_protection_rules(self) -> None:
        repository, expected = self.repository, self["If-Match"]
        if expected is not None and expected.strip('"') != _etag(repository.protection):
            raise ApiError(412, "Precondition failed")
        repository.protection = [rule["pattern"] for rule in self.body]

    internal_get_branch_protection_rules = get_branch_protection_rules

    def internal_create_branch_protection_rule(self) -> None:
        protection, pattern = self.repository.protection, self.body["pattern"]
        if pattern not in protection:
            protection.append(pattern)

    def internal_delete_branch_protection_rule(self) -> None:
        protection, pattern = self.repository.protection, self.body["pattern"]
        if pattern not in protection:
            raise not_found("rule")
        protection.remove(pattern)

    def get_gc_rules(self) -> Json:
        rules = self.repository.gc_rules
        if rules is None:
            raise not_found()
        return rules

    def set_gc_rules(self) -> None:
        names = ("branches", "default_retention_days")
        self.repository.gc_rules = {name: self.body[name] for name in names}

    def delete_gc_rules(self) -> None:
        self.repository.gc_rules = None

    internal_get_garbage_collection_rules = get_gc_rules
    internal_set_garbage_collection_rules = set_gc_rules
    internal_delete_garbage_collection_rules = delete_gc_rules

    def set_garbage_collection_rules_preflight(self) -> None:
        # The only user may set the rules.
        self.backend.repository(self["repository"])

    create_branch_protection_rule_preflight = set_garbage_collection_rules_preflight

    # Tasks

    def import_start(self) -> Json:
        repository, name, body = self.repository, self["branch"], self.body
        repository.branch(name)
        namespace = repository.storage_namespace
        for location in body["paths"]:
            source = location["path"]
            if source.startswith(namespace):
                raise bad_request(
                    f"import path ({source}) in repository namespace ({namespace}) is prohibited: "
                    "invalid import source"
                )
            if location["type"] == "common_prefix" and namespace.startswith(source):
                raise bad_request(
                    f"prefix ({source}) contains repository namespace: ({namespace}), "
                    "invalid import source"
                )
        status: Json = {"completed": False, "ingested_objects": 0}
        try:
            with error_prefix("import error: "):
                entries: dict[str, Entry] = {}
                for location in body["paths"]:
                    entries.update(self._source_entries(repository, location))
                destinations = tuple(location["destination"] for location in body["paths"])
                with error_prefix("merge import: "):
                    commit = repository.import_entries(name, entries, destinations, body)
            status.update(completed=True, ingested_objects=len(entries), commit=asdict(commit))
            status["metarange_id"] = commit.meta_range_id
        except ApiError as error:
            status["error"] = {"message": error.message}
        status["update_time"] = timestamp(self.backend.clock())
        identifier = new_id(self.backend.clock())
        repository.tasks[identifier] = status
        return {"id": identifier}

    def import_status(self) -> Json:
        return find(self.repository.tasks, self["id"])

    def import_cancel(self) -> None:
        if self.import_status()["completed"]:
            raise conflict("conflict found")

    def dump_refs(self) -> Json:
        """Write branches, tags and commits to files in the storage namespace."""
        repository = self.repository
        branches = {name: branch.commit_id for name, branch in repository.branches.items()}
        return {
            "branches_meta_range_id": self._write_dump(branches),
            "commits_meta_range_id": self._write_dump(dump_history(repository)),
            "tags_meta_range_id": self._write_dump(repository.tags),
        }

    def restore_refs(self) -> None:
        repository, body = self.writable_repository, self.body
        if repository.commits:
            raise bad_request("cannot restore refs to a repository that is not bare")
        branches = self._read_dump(body["branches_meta_range_id"])
        tags = self._read_dump(body["tags_meta_range_id"])
        load_history(repository, self._read_dump(body["commits_meta_range_id"]))
        repository.branches = {name: Branch(commit_id) for name, commit_id in branches.items()}
        repository.tags = tags

    def dump_submit(self) -> Json:
        return self._create_task({"refs": self.dump_refs()})

    def restore_submit(self) -> Json:
        self.restore_refs()
        return self._create_task({})

    def dump_status(self) -> Json:
        return find(self.repository.tasks, self["task_id"])

    restore_status = dump_status

    def _source_entries(self, repository: Repository, location: Json) -> dict[str, Entry]:
        """Return the objects at one location of an import, by destination path."""
        uri, destination = location["path"], location["destination"]
        if not uri.startswith("s3://"):
            raise bad_request(
                f"error on ingest: creating object-store walker on path {uri}: "
                "expected storage type s3: invalid address"
            )
        if not uri.startswith(self.backend.namespace):
            raise ApiError(
                500,
                "error on ingest: operation error S3: ListObjectsV2, https response error "
                "StatusCode: 404, NoSuchBucket: The specified bucket does not exist",
            )
        source = repository.key(uri)
        is_object = location["type"] == "object"
        entries = {}
        for key, stored in self.backend.store.objects().items():
            if key == source if is_object else key.startswith(source):
                content_type = mimetypes.guess_type(key)[0] or DEFAULT_TYPE
                path = destination + key[len(source) :]
                entries[path] = entry_of(stored, f"s3://{key}", content_type)
        return entries

    def _create_task(self, result: Json) -> Json:
        now = self.backend.clock()
        identifier = new_id(now)
        task = {"id": identifier, "done": True, "update_time": timestamp(now), **result}
        self.repository.tasks[identifier] = task
        return {"id": identifier}

    def _write_dump(self, content: Json) -> str:
        """Write a part of a dump in the place of its metarange, and return the metarange id."""
        data = json.dumps(content, sort_keys=True, default=as_json).encode()
        identifier = hashlib.sha256(data).hexdigest()
        key = self.repository.key(f"_lakefs/{identifier}")
        self.backend.store.put(key, self.backend.store.write([data]))
        return identifier

    def _read_dump(self, identifier: str) -> Json:
        stored = self.backend.store.get(self.repository.key(f"_lakefs/{identifier}"))
        if stored is None:
            raise not_found("metarange")
        content: Json = json.loads(stored.read())
        return content


def _show(repository: Repository) -> Json:
    names = ("creation_date", "default_branch", "id", "read_only", "storage_namespace")
    return {"storage_id": "", **{name: getattr(repository, name) for name in names}}


def _etag(protection: list[str]) -> str:
    return hashlib.sha256(json.dumps(protection).encode()).hexdigest() if protection else ""
