"""Repositories and their settings."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from .. import versions
from ..backend import NAMESPACE, Backend, Call, named_page, no_content, reply
from ..errors import ApiError, bad_request, conflict, not_found
from ..ids import new_id
from ..repository import Branch, Repository
from ..versions import EMPTY
from ..wire import Response
from .registry import operation


def _show(repository: Repository) -> dict[str, Any]:
    return {
        "creation_date": repository.creation_date,
        "default_branch": repository.default_branch,
        "id": repository.id,
        "read_only": repository.read_only,
        "storage_id": "",
        "storage_namespace": repository.storage_namespace,
    }


@operation
def list_repositories(backend: Backend, call: Call) -> Response:
    search = call["search"] or ""
    found = {name: item for name, item in backend.repositories.items() if search in name}
    return named_page(found, call, lambda _, repository: _show(repository))


@operation
def create_repository(backend: Backend, call: Call) -> Response:
    body = call.body
    name, namespace = body["name"], body["storage_namespace"].rstrip("/")
    if body.get("sample_data"):
        raise ApiError(501, "sample_data is not implemented by the sandbox")
    if name in backend.repositories:
        raise conflict("error creating repository: not unique")
    if not (namespace + "/").startswith(NAMESPACE):
        raise bad_request("failed to create repository: failed to access storage")
    if any(_overlap(namespace, other.storage_namespace) for other in _all(backend)):
        raise bad_request(
            f"failed to create repository: found lakeFS objects in the storage namespace"
            f"({namespace}): storage namespace already in use"
        )
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
    if not call["bare"]:
        first = versions.make_commit(
            EMPTY.id, (), committer="", message="Repository created", date=int(now)
        )
        repository.add_commit(first, EMPTY)
        repository.branches[repository.default_branch] = Branch(first.id)
    backend.repositories[name] = repository
    return reply(_show(repository), 201)


def _all(backend: Backend) -> list[Repository]:
    return list(backend.repositories.values())


def _overlap(one: str, other: str) -> bool:
    one, other = one.rstrip("/") + "/", other.rstrip("/") + "/"
    return one.startswith(other) or other.startswith(one)


@operation
def get_repository(backend: Backend, call: Call) -> Response:
    return reply(_show(backend.repository(call)))


@operation
def delete_repository(backend: Backend, call: Call) -> Response:
    repository = backend.repository(call)
    repository.check_writable(force=call["force"])
    del backend.repositories[repository.id]
    return no_content()


@operation
def get_repository_metadata(backend: Backend, call: Call) -> Response:
    return reply(backend.repository(call).metadata)


@operation
def set_repository_metadata(backend: Backend, call: Call) -> Response:
    repository = backend.repository(call)
    repository.check_writable()
    repository.metadata.update(call.body["metadata"])
    return no_content()


@operation
def delete_repository_metadata(backend: Backend, call: Call) -> Response:
    repository = backend.repository(call)
    repository.check_writable()
    for key in call.body["keys"]:
        repository.metadata.pop(key, None)
    return no_content()


@operation
def get_branch_protection_rules(backend: Backend, call: Call) -> Response:
    repository = backend.repository(call)
    response = reply([{"pattern": pattern} for pattern in repository.protection])
    response.headers["Etag"] = _protection_etag(repository)
    return response


@operation
def set_branch_protection_rules(backend: Backend, call: Call) -> Response:
    repository = backend.repository(call)
    expected = call["If-Match"]
    if expected is not None and expected.strip('"') != _protection_etag(repository):
        raise ApiError(412, "Precondition failed")
    repository.protection = [rule["pattern"] for rule in call.body]
    return no_content()


def _protection_etag(repository: Repository) -> str:
    if not repository.protection:
        return ""
    return hashlib.sha256(json.dumps(repository.protection).encode()).hexdigest()


@operation
def internal_get_branch_protection_rules(backend: Backend, call: Call) -> Response:
    return get_branch_protection_rules(backend, call)


@operation
def internal_create_branch_protection_rule(backend: Backend, call: Call) -> Response:
    repository, pattern = backend.repository(call), call.body["pattern"]
    if pattern not in repository.protection:
        repository.protection.append(pattern)
    return no_content()


@operation
def internal_delete_branch_protection_rule(backend: Backend, call: Call) -> Response:
    repository, pattern = backend.repository(call), call.body["pattern"]
    if pattern not in repository.protection:
        raise not_found("rule")
    repository.protection.remove(pattern)
    return no_content()


@operation
def create_branch_protection_rule_preflight(backend: Backend, call: Call) -> Response:
    backend.repository(call)
    return no_content()


@operation
def get_gc_rules(backend: Backend, call: Call) -> Response:
    rules = backend.repository(call).gc_rules
    if rules is None:
        raise not_found()
    return reply(rules)


@operation
def set_gc_rules(backend: Backend, call: Call) -> Response:
    backend.repository(call).gc_rules = {
        "branches": call.body["branches"],
        "default_retention_days": call.body["default_retention_days"],
    }
    return no_content()


@operation
def delete_gc_rules(backend: Backend, call: Call) -> Response:
    backend.repository(call).gc_rules = None
    return no_content()


@operation
def internal_get_garbage_collection_rules(backend: Backend, call: Call) -> Response:
    return get_gc_rules(backend, call)


@operation
def internal_set_garbage_collection_rules(backend: Backend, call: Call) -> Response:
    return set_gc_rules(backend, call)


@operation
def internal_delete_garbage_collection_rules(backend: Backend, call: Call) -> Response:
    return delete_gc_rules(backend, call)


@operation
def set_garbage_collection_rules_preflight(backend: Backend, call: Call) -> Response:
    backend.repository(call)
    return no_content()
