"""Import: objects that lie in the blockstore, taken into a branch without a copy."""

from __future__ import annotations

import mimetypes
from typing import Any

from ..backend import BUCKET, Backend, Call, reply, store_key
from ..errors import ApiError, bad_request, not_found
from ..ids import new_id
from ..repository import Repository
from ..versions import Entry
from ..wire import Response
from .commits import show_commit
from .pulls import timestamp
from .registry import operation


@operation
def import_start(backend: Backend, call: Call) -> Response:
    repository, branch, body = backend.repository(call), call["branch"], call.body
    repository.branch(branch)
    repository.check_writable(branch, force=body.get("force", False))
    if repository.uncommitted(branch):
        raise bad_request("uncommitted changes (dirty branch)")
    entries: dict[str, Entry] = {}
    for location in body["paths"]:
        entries.update(_entries(backend, repository, location))
    # It is done at once; who asks for the status sees a finished import.
    identifier = new_id(backend.clock())
    status: dict[str, Any] = {"branch": branch, "repository": repository.id}
    try:
        status["commit"] = _commit(repository, branch, entries, call)
    except ApiError as error:
        status["error"] = {"message": error.message}
    status["update_time"] = timestamp(backend.clock())
    status["ingested_objects"] = len(entries)
    backend.imports[identifier] = status
    return reply({"id": identifier}, 202)


def _entries(
    backend: Backend, repository: Repository, location: dict[str, str]
) -> dict[str, Entry]:
    """The objects at one source, by the paths they are to have."""
    uri, destination = location["path"], location["destination"]
    if uri.startswith(repository.prefix):
        raise bad_request(
            f"import path ({uri}) in repository namespace "
            f"({repository.storage_namespace}) is prohibited: invalid import source"
        )
    if not uri.startswith(f"s3://{BUCKET}/"):
        raise bad_request(f"import path ({uri}) is not in the sandbox: invalid import source")
    source = store_key(uri)
    whole = location["type"] == "object"
    found = {}
    for key, stored in backend.store.objects().items():
        if key != source if whole else not key.startswith(source):
            continue
        found[destination + key[len(source) :]] = Entry(
            address=f"s3://{key}",
            size=stored.size,
            checksum=stored.etag,
            mtime=int(stored.modified),
            content_type=mimetypes.guess_type(key)[0] or "application/octet-stream",
        )
    return found


def _commit(
    repository: Repository, branch: str, entries: dict[str, Entry], call: Call
) -> dict[str, Any]:
    creation = call.body["commit"]
    for path, entry in entries.items():
        repository.stage(branch, path, entry, force=True)
    made = repository.commit_staged(
        branch,
        creation["message"],
        call.user,
        metadata=creation.get("metadata"),
        date=creation.get("date"),
        allow_empty=creation.get("allow_empty", False),
    )
    return show_commit(made)


@operation
def import_status(backend: Backend, call: Call) -> Response:
    status = _find(backend, call)
    shown: dict[str, Any] = {"completed": True}
    for name in ("update_time", "ingested_objects", "commit", "error"):
        if name in status:
            shown[name] = status[name]
    if "commit" in status:
        shown["metarange_id"] = status["commit"]["meta_range_id"]
    return reply(shown)


@operation
def import_cancel(backend: Backend, call: Call) -> Response:
    _find(backend, call)
    raise ApiError(409, "import already completed")


def _find(backend: Backend, call: Call) -> dict[str, Any]:
    repository = backend.repository(call)
    status = backend.imports.get(call["id"])
    place = {"repository": repository.id, "branch": call["branch"]}
    if status is None or not place.items() <= status.items():
        raise not_found()
    return status
