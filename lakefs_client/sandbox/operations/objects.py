"""Objects: upload, read, list, copy, delete."""

from __future__ import annotations

import email.utils
from collections.abc import Mapping
from typing import Any

from ..backend import Backend, Call, no_content, page, reply, store_key
from ..blocks import StoredObject
from ..errors import ApiError
from ..forms import find_file
from ..repository import Repository
from ..versions import Entry, Listed
from ..wire import Response, parse_range
from .registry import operation

DEFAULT_TYPE = "application/octet-stream"
_METADATA_HEADER = "x-lakefs-meta-"


def stats(repository: Repository, path: str, entry: Entry) -> dict[str, Any]:
    """An object as the API shows it."""
    return {
        "checksum": entry.checksum,
        "content_type": entry.content_type,
        "metadata": entry.metadata,
        "mtime": entry.mtime,
        "path": path,
        "path_type": "object",
        "physical_address": repository.uri(entry.address),
        "size_bytes": entry.size,
    }


def check_preconditions(call: Call, repository: Repository, branch: str, path: str) -> None:
    """Raise 412 where If-None-Match or If-Match forbids to write the path."""
    if_none_match, if_match = call["If-None-Match"], call["If-Match"]
    if if_none_match is None and if_match is None:
        return
    try:
        checksum = repository.entry(branch, path).checksum
    except ApiError:
        checksum = None
    if checksum is not None and if_none_match is not None:
        raise ApiError(412, "path already exists")
    if if_match is not None and checksum != if_match.strip('"'):
        raise ApiError(412, "Precondition failed")


@operation
def upload_object(backend: Backend, call: Call) -> Response:
    path, force = call["path"], call["force"]
    with backend.lock:
        repository = backend.repository(call)
        branch = call["branch"]
        repository.branch(branch)
        repository.check_writable(branch, force=force)
        check_preconditions(call, repository, branch, path)
        address = repository.new_address()
    stored = _receive(backend, call)
    entry = Entry(
        address=address,
        size=stored.size,
        checksum=stored.etag,
        mtime=int(stored.modified),
        content_type=stored.content_type,
        metadata=_user_metadata(call.request.headers),
    )
    with backend.lock:
        backend.store.put(store_key(repository.uri(address)), stored)
        check_preconditions(call, repository, branch, path)
        repository.stage(branch, path, entry, force=force)
    return reply(stats(repository, path, entry), 201)


def _receive(backend: Backend, call: Call) -> StoredObject:
    content_type = call.request.headers.get("content-type", DEFAULT_TYPE)
    windows = call.request.body.windows()
    if not content_type.lower().startswith("multipart/form-data"):
        return backend.store.write(windows, content_type)
    file = find_file(windows, content_type, "content")
    stored = backend.store.write(file.content, file.content_type)
    call.request.body.drain()
    return stored


def _user_metadata(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name.removeprefix(_METADATA_HEADER): value
        for name, value in headers.items()
        if name.startswith(_METADATA_HEADER)
    }


@operation
def upload_object_preflight(backend: Backend, call: Call) -> Response:
    backend.repository(call).branch(call["branch"])
    return no_content()


@operation
def stage_object(backend: Backend, call: Call) -> Response:
    repository, body = backend.repository(call), call.body
    uri: str = body["physical_address"]
    if "://" not in uri:
        raise ApiError(400, "physical address must be a URI")
    entry = Entry(
        address=repository.relative(uri),
        size=body["size_bytes"],
        checksum=body["checksum"],
        mtime=body.get("mtime", int(backend.clock())),
        content_type=body.get("content_type", DEFAULT_TYPE),
        metadata=body.get("metadata", {}),
    )
    repository.stage(call["branch"], call["path"], entry, force=body.get("force", False))
    return reply(stats(repository, call["path"], entry), 201)


@operation
def get_object(backend: Backend, call: Call) -> Response:
    repository, path = backend.repository(call), call["path"]
    entry = repository.entry(call["ref"], path)
    if call["presign"] and backend.options.presign:
        return Response(302, b"", {"Location": backend.presign_get(call, repository, path, entry)})
    etag = f'"{entry.checksum}"'
    if call["If-None-Match"] in (etag, entry.checksum, "*"):
        return Response(304, b"", {"Etag": etag})
    stored = backend.store.get(store_key(repository.uri(entry.address)))
    if stored is None:
        raise ApiError(410, "No data")
    response = Response(200, headers=_headers(entry))
    response.headers["Content-Disposition"] = "attachment"
    response.headers["X-Content-Type-Options"] = "nosniff"
    start, stop = _requested(call, stored.size, response)
    response.content = stored.slice(start, stop)
    return response


@operation
def head_object(backend: Backend, call: Call) -> Response:
    try:
        repository = backend.repository(call)
        entry = repository.entry(call["ref"], call["path"])
    except ApiError as error:
        return Response(error.status)
    response = Response(200, headers={**_headers(entry), "Accept-Ranges": "bytes"})
    start, stop = _requested(call, entry.size, response)
    response.head_length = stop - start
    return response


def _headers(entry: Entry) -> dict[str, str]:
    return {
        "Cache-Control": "no-store, must-revalidate",
        "Content-Type": entry.content_type,
        "Etag": f'"{entry.checksum}"',
        "Last-Modified": email.utils.formatdate(entry.mtime, usegmt=True),
    }


def _requested(call: Call, size: int, response: Response) -> tuple[int, int]:
    """The bytes to answer, first and after the last; puts status and headers accordingly."""
    if call["Range"] is None:
        return 0, size
    wanted = parse_range(call["Range"], size)
    if wanted is None:
        refusal = reply({"message": "Requested Range Not Satisfiable"})
        response.status = 416
        response.body = refusal.body
        response.headers.update(refusal.headers)
        response.headers["Content-Range"] = f"bytes */{size}"
        return 0, 0
    start, stop = wanted
    response.status = 206
    response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return start, stop


@operation
def stat_object(backend: Backend, call: Call) -> Response:
    repository, path = backend.repository(call), call["path"]
    entry = repository.entry(call["ref"], path)
    shown = stats(repository, path, entry)
    if not call["user_metadata"]:
        del shown["metadata"]
    if call["presign"] and backend.options.presign:
        shown.update(_presigned(backend, call, repository, path, entry))
    return reply(shown)


def _presigned(
    backend: Backend, call: Call, repository: Repository, path: str, entry: Entry
) -> dict[str, Any]:
    return {
        "physical_address": backend.presign_get(call, repository, path, entry),
        "physical_address_expiry": backend.url_expiry(),
    }


@operation
def list_objects(backend: Backend, call: Call) -> Response:
    repository = backend.repository(call)
    presign = call["presign"] and backend.options.presign

    def show(item: Listed) -> dict[str, Any]:
        path, entry = item
        if entry is None:
            return {
                "checksum": "",
                "mtime": 0,
                "path": path,
                "path_type": "common_prefix",
                "physical_address": "",
            }
        shown = stats(repository, path, entry)
        if not call["user_metadata"] or not entry.metadata:
            del shown["metadata"]
        if presign:
            shown.update(_presigned(backend, call, repository, path, entry))
        return shown

    items = repository.tree(call["ref"]).listing(
        call["prefix"] or "", call["after"] or "", call["delimiter"] or ""
    )
    return page(items, call, lambda item: item.path, show)


@operation
def update_object_user_metadata(backend: Backend, call: Call) -> Response:
    repository, branch, path = backend.repository(call), call["branch"], call["path"]
    repository.branch(branch)
    try:
        entry = repository.entry(branch, path)
    except ApiError:
        place = f"{repository.id}/{branch}/{path}"
        raise ApiError(404, f"update user metadata on {place}: not found") from None
    repository.stage(branch, path, entry.with_metadata(call.body["set"]))
    return no_content()


@operation
def get_underlying_properties(backend: Backend, call: Call) -> Response:
    backend.repository(call).entry(call["ref"], call["path"])
    return reply({"storage_class": ""})


@operation
def copy_object(backend: Backend, call: Call) -> Response:
    repository, branch, body = backend.repository(call), call["branch"], call.body
    source = repository.entry(body.get("src_ref") or branch, body["src_path"])
    stored = backend.store.get(store_key(repository.uri(source.address)))
    if stored is None:
        raise ApiError(410, "No data")
    address = repository.new_address()
    entry = Entry(
        address=address,
        size=source.size,
        checksum=source.checksum,
        mtime=int(backend.clock()),
        content_type=source.content_type,
        metadata=source.metadata,
    )
    path = call["dest_path"]
    repository.stage(branch, path, entry, force=body.get("force", False))
    backend.store.put(store_key(repository.uri(address)), stored)
    return reply(stats(repository, path, entry), 201)


@operation
def delete_object(backend: Backend, call: Call) -> Response:
    backend.repository(call).delete(call["branch"], call["path"], force=call["force"])
    return no_content()


@operation
def delete_objects(backend: Backend, call: Call) -> Response:
    repository, branch = backend.repository(call), call["branch"]
    repository.branch(branch)
    repository.check_writable(branch, force=call["force"])
    for path in call.body["paths"]:
        repository.delete(branch, path, force=call["force"])
    return reply({"errors": []})
