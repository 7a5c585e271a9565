"""Writing past the server: staging addresses, presigned multipart uploads."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, TypeVar

from ..backend import Backend, Call, no_content, reply, store_key
from ..blocks import StoreError
from ..errors import ApiError, bad_request
from ..ids import made_at
from ..repository import Repository
from ..versions import Entry
from ..wire import Response, parse_range
from .objects import DEFAULT_TYPE, check_preconditions, stats
from .registry import operation

MAX_PARTS = 10_000
_ADDRESS_SECONDS = 24 * 3600
_HOST_ID = secrets.token_hex(32)

T = TypeVar("T")


def _new_address(backend: Backend, call: Call, repository: Repository) -> str:
    return backend.addresses.sign(
        repository.new_address(), repository.id, call["branch"], call["path"]
    )


def _check_address(
    backend: Backend, call: Call, repository: Repository, uri: str, invalid: str
) -> str:
    """Return the relative address of a URI that we signed for the path of the call."""
    address = repository.relative(uri)
    if address == uri:
        raise bad_request("physical address must be relative to the storage namespace")
    if "," not in address:
        raise bad_request(f"address is not signed: {invalid}")
    if not backend.addresses.is_signed(address, repository.id, call["branch"], call["path"]):
        raise bad_request(f"invalid address signature: {invalid}")
    identifier = address.partition(",")[0].rpartition("/")[2]
    if backend.clock() > made_at(identifier) + _ADDRESS_SECONDS:
        raise bad_request("link address expired")
    return address


def _presign_put(backend: Backend, call: Call, uri: str, query: dict[str, str]) -> str:
    return backend.urls.sign(
        "PUT",
        call.store_host,
        store_key(uri),
        now=backend.clock(),
        expires=backend.options.url_lifetime,
        query=query,
    )


def _in_store(name: str, action: Callable[[], T]) -> T:
    """Do something in the blockstore; wrap its refusals as the server's S3 library words them."""
    try:
        return action()
    except StoreError as error:
        raise ApiError(
            500,
            f"operation error S3: {name}, https response error StatusCode: {error.status}, "
            f"RequestID: {secrets.token_hex(8).upper()}, HostID: {_HOST_ID}, "
            f"api error {error.code}: {error.message}",
        ) from None


@operation
def get_physical_address(backend: Backend, call: Call) -> Response:
    repository = backend.repository(call)
    repository.branch(call["branch"])
    uri = repository.uri(_new_address(backend, call, repository))
    location: dict[str, Any] = {"physical_address": uri, "presigned_url": None}
    if call["presign"] and backend.options.presign:
        location["presigned_url"] = _presign_put(backend, call, uri, {"x-id": "PutObject"})
        location["presigned_url_expiry"] = backend.url_expiry()
    return reply(location)


@operation
def link_physical_address(backend: Backend, call: Call) -> Response:
    repository, branch, path = backend.repository(call), call["branch"], call["path"]
    body = call.body
    repository.branch(branch)
    uri = body["staging"].get("physical_address", "")
    address = _check_address(backend, call, repository, uri, "link address invalid")
    check_preconditions(call, repository, branch, path)
    entry = Entry(
        address=address,
        size=body["size_bytes"],
        checksum=body["checksum"],
        mtime=body.get("mtime", int(backend.clock())),
        content_type=body.get("content_type") or DEFAULT_TYPE,
        metadata=body.get("user_metadata", {}),
    )
    repository.stage(branch, path, entry, force=body.get("force", False))
    return reply(stats(repository, path, entry))


@operation
def create_presign_multipart_upload(backend: Backend, call: Call) -> Response:
    _check_multipart(backend)
    repository, branch = backend.repository(call), call["branch"]
    if branch not in repository.branches:
        raise ApiError(404, f"branch '{branch}' not found")
    parts = call["parts"] or 0
    if not 0 <= parts <= MAX_PARTS:
        raise bad_request(f"parts can be between 0 and {MAX_PARTS}")
    uri = repository.uri(_new_address(backend, call, repository))
    upload_id = backend.store.create_upload(store_key(uri))
    upload: dict[str, Any] = {"physical_address": uri, "upload_id": upload_id}
    if parts:
        upload["presigned_urls"] = [
            _presign_part(backend, call, uri, upload_id, number) for number in range(1, parts + 1)
        ]
    return reply(upload, 201)


@operation
def upload_part(backend: Backend, call: Call) -> Response:
    _check_multipart(backend)
    repository = backend.repository(call)
    uri = call.body["physical_address"]
    _check_address(backend, call, repository, uri, "invalid address")
    # Whether the upload is still there is for the blockstore to say.
    url = _presign_part(backend, call, uri, call["uploadId"], call["partNumber"])
    return reply({"presigned_url": url})


@operation
def upload_part_copy(backend: Backend, call: Call) -> Response:
    _check_multipart(backend)
    repository, body = backend.repository(call), call.body
    uri, source = body["physical_address"], body["copy_source"]
    _check_address(backend, call, repository, uri, "invalid address")
    origin = backend.find_repository(source["repository"])
    entry = origin.entry(source["ref"], source["path"])
    stored = backend.store.get(store_key(origin.uri(entry.address)))

    def copy() -> str:
        if stored is None:
            raise StoreError(404, "NoSuchKey", "The specified key does not exist.")
        wanted = 0, stored.size
        if "range" in source:
            asked = parse_range(source["range"], stored.size)
            if asked is None:
                raise StoreError(416, "InvalidRange", "The requested range is not satisfiable")
            wanted = asked
        key, upload_id, number = store_key(uri), call["uploadId"], call["partNumber"]
        return backend.store.copy_part(key, upload_id, number, stored, *wanted).etag

    return Response(204, headers={"Etag": _in_store("UploadPartCopy", copy)})


@operation
def complete_presign_multipart_upload(backend: Backend, call: Call) -> Response:
    _check_multipart(backend)
    repository, branch, path = backend.repository(call), call["branch"], call["path"]
    body = call.body or {}
    uri = _required_address(body)
    if not body.get("parts"):
        raise bad_request("parts are required")
    address = _check_address(backend, call, repository, uri, "invalid address")
    parts = [(part["part_number"], part["etag"].strip('"')) for part in body["parts"]]
    key = store_key(uri)
    stored = _in_store(
        "CompleteMultipartUpload", lambda: backend.store.complete(key, call["uploadId"], parts)
    )
    entry = Entry(
        address=address,
        size=stored.size,
        checksum=stored.etag,
        mtime=int(stored.modified),
        content_type=body.get("content_type") or DEFAULT_TYPE,
        metadata=body.get("user_metadata", {}),
    )
    # Only now: the object is assembled even where the branch refuses it.
    repository.stage(branch, path, entry)
    return reply({**stats(repository, path, entry), "physical_address": address})


@operation
def abort_presign_multipart_upload(backend: Backend, call: Call) -> Response:
    _check_multipart(backend)
    repository = backend.repository(call)
    uri = _required_address(call.body or {})
    _check_address(backend, call, repository, uri, "invalid address")
    try:
        backend.store.abort(store_key(uri), call["uploadId"])
    except StoreError:
        # There is nothing to abort any more, which is what was asked for.
        pass
    return no_content()


def _check_multipart(backend: Backend) -> None:
    if not (backend.options.presign and backend.options.presigned_multipart):
        raise ApiError(501, "presign multipart upload API is not supported")


def _required_address(body: dict[str, Any]) -> str:
    uri: str = body.get("physical_address", "")
    if not uri:
        raise bad_request("physical_address is required")
    return uri


def _presign_part(backend: Backend, call: Call, uri: str, upload_id: str, number: int) -> str:
    query = {"partNumber": str(number), "uploadId": upload_id, "x-id": "UploadPart"}
    return _presign_put(backend, call, uri, query)
