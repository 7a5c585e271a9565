"""Operations on objects, staging addresses and presigned multipart uploads."""

from __future__ import annotations

import contextlib
import email.utils
import secrets
from collections.abc import Iterator
from dataclasses import replace

from lakefs_client.sandbox.blocks import StoredObject
from lakefs_client.sandbox.clock import creation_time
from lakefs_client.sandbox.errors import ApiError, StoreError, bad_request, find
from lakefs_client.sandbox.forms import find_file
from lakefs_client.sandbox.http_server import Response, parse_range
from lakefs_client.sandbox.operations.call import Call, Json, reply
from lakefs_client.sandbox.repository import Repository
from lakefs_client.sandbox.versions import Entry

DEFAULT_TYPE = "application/octet-stream"
MAX_PARTS = 10_000
_METADATA_HEADER = "x-lakefs-meta-"
_ADDRESS_SECONDS = 24 * 3600
_HOST_ID = secrets.token_hex(32)


class Objects(Call):
    """The groups `objects` and `staging`, and presigned multipart uploads."""

    def upload_object(self) -> Json:
        with self.backend.lock:
            repository = self.repository
            repository.writable_branch(self["branch"], force=self.force)
            self._check_preconditions()
            address = repository.new_address()
        stored = self._receive()
        metadata = {
            name.removeprefix(_METADATA_HEADER): value
            for name, value in self.request.headers.items()
            if name.startswith(_METADATA_HEADER)
        }
        entry = entry_of(stored, address, stored.content_type, metadata)
        with self.backend.lock:
            self.backend.store.put(repository.key(address), stored)
            self._check_preconditions()
            return self._stage(self["path"], entry)

    def upload_object_preflight(self) -> None:
        self.repository.branch(self["branch"])

    def stage_object(self) -> Json:
        repository, uri = self.repository, self.body["physical_address"]
        if "://" not in uri:
            raise bad_request("physical address must be a URI")
        entry = self._entry_from_body(repository.relative(uri), "metadata")
        return self._stage(self["path"], entry)

    def get_object(self) -> Response:
        entry = self.repository.entry(self["ref"], self["path"])
        if self["presign"]:
            return Response(302, headers={"Location": self._presign_get(self["path"], entry)})
        etag = f'"{entry.checksum}"'
        if self["If-None-Match"] in (etag, entry.checksum, "*"):
            return Response(304, headers={"Etag": etag})
        stored = self._stored_object(entry)
        headers = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}
        response = Response(200, headers=_headers(entry) | headers)
        response.content = stored.slice(*self._select_range(stored.size, response))
        return response

    def head_object(self) -> Response:
        try:
            entry = self.repository.entry(self["ref"], self["path"])
        except ApiError as error:
            return Response(error.status)
        response = Response(200, headers=_headers(entry) | {"Accept-Ranges": "bytes"})
        start, stop = self._select_range(entry.size, response)
        # The length of a GET response.
        response.headers["Content-Length"] = str(stop - start)
        return response

    def stat_object(self) -> Json:
        entry = self.repository.entry(self["ref"], self["path"])
        return self._show(self["path"], entry, metadata=self["user_metadata"])

    def list_objects(self) -> Json:
        def show(path: str, entry: Entry) -> Json:
            return self._show(path, entry, metadata=self["user_metadata"] and entry.metadata)

        # Start at `after`, so that paging through a large tree takes linear time.
        items = self.repository.tree(self["ref"]).items(self["after"] or self["prefix"] or "")
        return self.listing(items, show, checksum="", mtime=0, physical_address="")

    def update_object_user_metadata(self) -> None:
        repository, branch, path = self.repository, self["branch"], self["path"]
        repository.branch(branch)
        location = f"{repository.id}/{branch}/{path}"
        entry = repository.entry(branch, path, f"update user metadata on {location}: not found")
        repository.stage(branch, path, replace(entry, metadata=self.body["set"]))

    def get_underlying_properties(self) -> Json:
        self.repository.entry(self["ref"], self["path"])
        return {"storage_class": ""}

    def copy_object(self) -> Json:
        repository, body = self.repository, self.body
        source = repository.entry(body.get("src_ref") or self["branch"], body["src_path"])
        stored = self._stored_object(source)
        address = repository.new_address()
        entry = replace(source, address=address, mtime=int(self.backend.clock()))
        shown = self._stage(self["dest_path"], entry)
        self.backend.store.put(repository.key(address), stored)
        return shown

    def delete_object(self) -> None:
        self.repository.stage(self["branch"], self["path"], None, force=self.force)

    def delete_objects(self) -> Json:
        repository, branch = self.repository, self["branch"]
        repository.writable_branch(branch, force=self.force)
        for path in self.body["paths"]:
            repository.stage(branch, path, None, force=self.force)
        return {"errors": []}

    # Staging and presigned multipart uploads

    def get_physical_address(self) -> Json:
        # The server checks the branch later, in `link_physical_address`.
        repository = self.repository
        address = self._new_address()
        location: Json = {"physical_address": repository.uri(address), "presigned_url": None}
        if self["presign"]:
            url = self.presign(
                "PUT", repository.key(address), {"x-id": "PutObject"}, unsupported=500
            )
            location["presigned_url"] = url
            location["presigned_url_expiry"] = self.backend.urls.expiry()
        return location

    def link_physical_address(self) -> Json:
        self.repository.branch(self["branch"])
        uri = self.body["staging"].get("physical_address", "")
        address = self._signed_address(uri, "link address invalid")
        self._check_preconditions()
        return self._stage(self["path"], self._entry_from_body(address, "user_metadata"))

    def create_presign_multipart_upload(self) -> Json:
        repository, branch = self._multipart_repository, self["branch"]
        find(repository.branches, branch, f"branch '{branch}'")
        parts = self["parts"] or 0
        if not 0 <= parts <= MAX_PARTS:
            raise bad_request(f"parts can be between 0 and {MAX_PARTS}")
        address = self._new_address()
        upload_id = self.backend.store.create_upload(repository.key(address))
        upload: Json = {"physical_address": repository.uri(address), "upload_id": upload_id}
        if parts:
            numbers = range(1, parts + 1)
            urls = [
                self._presign_part(repository, address, upload_id, number) for number in numbers
            ]
            upload["presigned_urls"] = urls
        return upload

    def upload_part(self) -> Json:
        repository = self._multipart_repository
        address = self._signed_address(self.body["physical_address"])
        # The blockstore checks the upload id later.
        url = self._presign_part(repository, address, self["uploadId"], self["partNumber"])
        return {"presigned_url": url}

    def upload_part_copy(self) -> Response:
        repository, source = self._multipart_repository, self.body["copy_source"]
        address = self._signed_address(self.body["physical_address"])
        origin = self.backend.repository(source["repository"])
        entry = origin.entry(source["ref"], source["path"])
        store = self.backend.store
        stored = store.get(origin.key(entry.address))
        with _store_errors("UploadPartCopy"):
            if stored is None:
                raise StoreError("NoSuchKey")
            selection = parse_range(source.get("range"), stored.size)
            if selection is None:
                raise StoreError("InvalidRange")
            key, upload_id, number = repository.key(address), self["uploadId"], self["partNumber"]
            part = store.copy_part(key, upload_id, number, stored, *selection)
        return Response(204, headers={"Etag": part.etag})

    def complete_presign_multipart_upload(self) -> Json:
        repository, body = self._multipart_repository, self.body
        uri = self._required_address
        if not body["parts"]:
            raise bad_request("parts are required")
        address = self._signed_address(uri)
        parts = [(part["part_number"], part["etag"].strip('"')) for part in body["parts"]]
        with _store_errors("CompleteMultipartUpload"):
            stored = self.backend.store.complete(repository.key(address), self["uploadId"], parts)
        content_type = body.get("content_type") or DEFAULT_TYPE
        entry = entry_of(stored, address, content_type, body.get("user_metadata"))
        # The store assembles the object before the branch rejects it.
        repository.stage(self["branch"], self["path"], entry)
        return {**self._stats(self["path"], entry), "physical_address": address}

    def abort_presign_multipart_upload(self) -> None:
        repository = self._multipart_repository
        address = self._signed_address(self._required_address)
        # Aborting twice succeeds.
        with contextlib.suppress(StoreError):
            self.backend.store.abort(repository.key(address), self["uploadId"])

    # Entries

    def _check_preconditions(self) -> None:
        """Raise a 412 error if If-None-Match or If-Match does not allow the write."""
        try:
            checksum = self.repository.entry(self["branch"], self["path"]).checksum
        except ApiError:
            checksum = None
        if_match = self["If-Match"]
        if checksum is not None and self["If-None-Match"] is not None:
            raise ApiError(412, "path already exists")
        if if_match is not None and checksum != if_match.strip('"'):
            raise ApiError(412, "Precondition failed")

    def _entry_from_body(self, address: str, metadata: str) -> Entry:
        """Return the entry that the body describes. `metadata` names its metadata property."""
        size, checksum = self.body["size_bytes"], self.body["checksum"]
        mtime = self.body.get("mtime", int(self.backend.clock()))
        content_type = self.body.get("content_type") or DEFAULT_TYPE
        return Entry(address, size, checksum, mtime, content_type, self.body.get(metadata, {}))

    def _stage(self, path: str, entry: Entry) -> Json:
        """Stage an entry on the call's branch and return its ObjectStats."""
        self.repository.stage(self["branch"], path, entry, force=self.force)
        return self._stats(path, entry)

    def _stats(self, path: str, entry: Entry) -> Json:
        return {
            "checksum": entry.checksum,
            "content_type": entry.content_type,
            "metadata": entry.metadata,
            "mtime": entry.mtime,
            "path": path,
            "path_type": "object",
            "physical_address": self.repository.uri(entry.address),
            "size_bytes": entry.size,
        }

    def _show(self, path: str, entry: Entry, *, metadata: object) -> Json:
        shown = self._stats(path, entry)
        if not metadata:
            del shown["metadata"]
        if self["presign"]:
            shown["physical_address"] = self._presign_get(path, entry)
            shown["physical_address_expiry"] = self.backend.urls.expiry()
        return shown

    def _presign_get(self, path: str, entry: Entry) -> str:
        disposition = f"attachment; filename={path.rpartition('/')[2]}"
        query = {"response-content-disposition": disposition, "x-id": "GetObject"}
        return self.presign("GET", self.repository.key(entry.address), query)

    # Bytes

    def _receive(self) -> StoredObject:
        """Write the body to the blockstore. If it is a form, write the form's file."""
        content_type = self.request.headers.get("content-type", DEFAULT_TYPE)
        windows = self.request.body.windows()
        if not content_type.lower().startswith("multipart/form-data"):
            return self.backend.store.write(windows, content_type)
        content_type, content = find_file(windows, content_type, "content")
        stored = self.backend.store.write(content, content_type)
        self.request.body.drain()
        return stored

    def _stored_object(self, entry: Entry) -> StoredObject:
        if stored := self.backend.store.get(self.repository.key(entry.address)):
            return stored
        raise ApiError(410, "No data")

    def _select_range(self, size: int, response: Response) -> tuple[int, int]:
        """Return the range to send, as start and stop, and set status and headers accordingly."""
        selection = response.select_range(self["Range"], size)
        if selection is not None:
            return selection
        error = reply({"message": "Requested Range Not Satisfiable"})
        response.status = 416
        response.body = error.body
        response.headers.update({**error.headers, "Content-Range": f"bytes */{size}"})
        return 0, 0

    # Addresses

    @property
    def _multipart_repository(self) -> Repository:
        """The repository. Raises a 501 error without presigned multipart uploads."""
        if not self.backend.presigned_multipart:
            raise ApiError(501, "presign multipart upload API is not supported")
        return self.repository

    @property
    def _required_address(self) -> str:
        """The body's address. Servers require it, although the document does not."""
        uri: str = self.body.get("physical_address", "")
        if not uri:
            raise bad_request("physical_address is required")
        return uri

    def _new_address(self) -> str:
        address = self.repository.new_address()
        return f"{address},{self.backend.identity.sign(self._signed_text(address))}"

    def _signed_address(self, uri: str, invalid: str = "invalid address") -> str:
        """Return the relative address of a URI that we signed for the call's branch and path."""
        address = self.repository.relative(uri)
        if address == uri:
            raise bad_request("physical address must be relative to the storage namespace")
        unsigned, comma, signature = address.rpartition(",")
        if not comma:
            raise bad_request(f"address is not signed: {invalid}")
        if not self.backend.identity.is_signed(self._signed_text(unsigned), signature):
            raise bad_request(f"invalid address signature: {invalid}")
        if self.backend.clock() > creation_time(unsigned.rpartition("/")[2]) + _ADDRESS_SECONDS:
            raise bad_request("link address expired")
        return address

    def _signed_text(self, address: str) -> str:
        """Return the text to sign: the address and its destination."""
        return "\0".join((address, self["repository"], self["branch"], self["path"]))

    def _presign_part(
        self, repository: Repository, address: str, upload_id: str, number: int
    ) -> str:
        query = {"partNumber": str(number), "uploadId": upload_id, "x-id": "UploadPart"}
        return self.presign("PUT", repository.key(address), query)


def entry_of(
    stored: StoredObject, address: str, content_type: str, metadata: dict[str, str] | None = None
) -> Entry:
    """Return an entry for a stored object."""
    mtime = int(stored.modified)
    return Entry(address, stored.size, stored.etag, mtime, content_type, metadata or {})


def _headers(entry: Entry) -> dict[str, str]:
    return {
        "Cache-Control": "no-store, must-revalidate",
        "Content-Type": entry.content_type,
        "Etag": f'"{entry.checksum}"',
        "Last-Modified": email.utils.formatdate(entry.mtime, usegmt=True),
    }


@contextlib.contextmanager
def _store_errors(operation: str) -> Iterator[None]:
    """Translate the blockstore's errors to a 500 error with the message of Go's S3 library."""
    try:
        yield
    except StoreError as error:
        raise ApiError(
            500,
            f"operation error S3: {operation}, https response error StatusCode: {error.status}, "
            f"RequestID: {secrets.token_hex(8).upper()}, HostID: {_HOST_ID}, "
            f"api error {error.code}: {error.message}",
        ) from None
