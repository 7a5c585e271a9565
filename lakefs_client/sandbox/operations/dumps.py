"""Branches, tags and commits as files in the repository's namespace, and back from them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from .. import state
from ..backend import Backend, Call, no_content, reply, store_key
from ..errors import bad_request, not_found
from ..ids import new_id
from ..repository import Branch, Repository
from ..wire import Response
from .pulls import timestamp
from .registry import operation


@operation
def dump_refs(backend: Backend, call: Call) -> Response:
    return reply(_dump(backend, call), 201)


@operation
def restore_refs(backend: Backend, call: Call) -> Response:
    _restore(backend, call)
    return no_content()


@operation
def dump_submit(backend: Backend, call: Call) -> Response:
    return _submit(backend, {"refs": _dump(backend, call)})


@operation
def dump_status(backend: Backend, call: Call) -> Response:
    return _status(backend, call)


@operation
def restore_submit(backend: Backend, call: Call) -> Response:
    _restore(backend, call)
    return _submit(backend, {})


@operation
def restore_status(backend: Backend, call: Call) -> Response:
    return _status(backend, call)


def _submit(backend: Backend, result: dict[str, Any]) -> Response:
    """Answer as for a task to wait for; it is done already."""
    now = backend.clock()
    identifier = new_id(now)
    task = {"id": identifier, "done": True, "update_time": timestamp(now), **result}
    backend.tasks[identifier] = task
    return reply({"id": identifier}, 202)


def _status(backend: Backend, call: Call) -> Response:
    backend.repository(call)
    task = backend.tasks.get(call["task_id"])
    if task is None:
        raise not_found()
    return reply(task)


def _dump(backend: Backend, call: Call) -> dict[str, str]:
    repository = backend.repository(call)
    branches = {name: branch.commit_id for name, branch in repository.branches.items()}
    return {
        "branches_meta_range_id": _keep(backend, repository, branches),
        "commits_meta_range_id": _keep(backend, repository, state.dump_history(repository)),
        "tags_meta_range_id": _keep(backend, repository, repository.tags),
    }


def _restore(backend: Backend, call: Call) -> None:
    repository, body = backend.repository(call), call.body
    repository.check_writable(force=body.get("force", False))
    if repository.commits:
        raise bad_request("cannot restore refs to a repository that is not bare")
    branches = _kept(backend, repository, body["branches_meta_range_id"])
    tags = _kept(backend, repository, body["tags_meta_range_id"])
    state.load_history(repository, _kept(backend, repository, body["commits_meta_range_id"]))
    repository.branches = {name: Branch(commit_id) for name, commit_id in branches.items()}
    repository.tags = tags


def _keep(backend: Backend, repository: Repository, content: dict[str, Any]) -> str:
    """Write what a dump holds where its metarange would be; return the metarange's id."""
    data = json.dumps(content, sort_keys=True).encode()
    identifier = hashlib.sha256(data).hexdigest()
    key = store_key(repository.uri(f"_lakefs/{identifier}"))
    backend.store.put(key, backend.store.write([data]))
    return identifier


def _kept(backend: Backend, repository: Repository, identifier: str) -> dict[str, Any]:
    stored = backend.store.get(store_key(repository.uri(f"_lakefs/{identifier}")))
    if stored is None:
        raise not_found("metarange")
    content: dict[str, Any] = json.loads(stored.read())
    return content
