"""Repositories and their settings."""

from __future__ import annotations

import hashlib
import json

from ..clock import new_id
from ..errors import ApiError, bad_request, conflict, not_found
from ..repository import Branch, Repository
from ..state import NAMESPACE
from ..versions import EMPTY
from ..wire import Response
from .call import Call, Json, reply


class Repositories(Call):
    def list_repositories(self) -> Json:
        search = self["search"] or ""
        items = sorted(self.backend.repositories.items())
        found = (item for item in items if search in item[0])
        return self.listing(found, lambda _, repository: _show(repository))

    def create_repository(self) -> Response:
        backend, body, name = self.backend, self.body, self.body["name"]
        if body.get("sample_data"):
            raise ApiError(501, "sample_data is not implemented by the sandbox")
        if name in backend.repositories:
            raise conflict("error creating repository: not unique")
        now = backend.clock()
        repository = Repository(
            id=name,
            storage_namespace=body["storage_namespace"],
            default_branch=body.get("default_branch") or "main",
            creation_date=int(now),
            read_only=body.get("read_only", False),
            clock=backend.clock,
            partition=new_id(now),
        )
        if not repository.prefix.startswith(NAMESPACE):
            raise bad_request("failed to create repository: failed to access storage")
        prefix, others = repository.prefix, [item.prefix for item in backend.repositories.values()]
        if any(prefix.startswith(other) or other.startswith(prefix) for other in others):
            raise bad_request(
                "failed to create repository: found lakeFS objects in the storage namespace"
                f"({prefix[:-1]}): storage namespace already in use"
            )
        if not self["bare"]:
            first = repository.add_commit(EMPTY, (), "Repository created", committer="")
            repository.branches[repository.default_branch] = Branch(first.id)
        backend.repositories[name] = repository
        return reply(_show(repository), 201)

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
        response = reply([{"pattern": pattern} for pattern in protection])
        response.headers["Etag"] = _etag(protection)
        return response

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
        # Who may see the repository may set them, too.
        self.backend.repository(self["repository"])

    create_branch_protection_rule_preflight = set_garbage_collection_rules_preflight


def _show(repository: Repository) -> Json:
    names = ("creation_date", "default_branch", "id", "read_only", "storage_namespace")
    return {"storage_id": "", **{name: getattr(repository, name) for name in names}}


def _etag(protection: list[str]) -> str:
    return hashlib.sha256(json.dumps(protection).encode()).hexdigest() if protection else ""
