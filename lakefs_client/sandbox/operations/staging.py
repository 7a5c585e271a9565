"""Operations on staging addresses and presigned multipart uploads."""

from __future__ import annotations

import base64
import contextlib

from lakefs_client.sandbox.blocks import MAX_PARTS
from lakefs_client.sandbox.clock import creation_time
from lakefs_client.sandbox.errors import ApiError, StoreError, bad_request
from lakefs_client.sandbox.http_server import Response
from lakefs_client.sandbox.operations.call import Json
from lakefs_client.sandbox.operations.entries import (
    DEFAULT_TYPE,
    EntryCall,
    entry_of,
    store_errors,
)
from lakefs_client.sandbox.ranges import parse_range
from lakefs_client.sandbox.repository import Repository

_ADDRESS_SECONDS = 24 * 3600


class Staging(EntryCall):
    """The group `staging`, and presigned multipart uploads."""

    def get_physical_address(self) -> Json:
        # The server checks branch and path later, in `link_physical_address`.
        repository = self.repository
        address = self._new_address()
        location: Json = {"physical_address": repository.uri(address), "presigned_url": None}
        if self["presign"]:
            key = repository.key(address)
            url = self.presign("PUT", key, {"x-id": "PutObject"}, unsupported=500)
            location["presigned_url"] = url
            location["presigned_url_expiry"] = self.backend.urls.expiry()
        return location

    def link_physical_address(self) -> Json:
        repository = self.repository
        uri = self.body["staging"].get("physical_address", "")
        address = repository.relative(uri)
        if address != uri:
            self._verify_address(address)
        self.body["checksum"] = self.body["checksum"].strip('" ')
        if not self.body["checksum"]:
            raise bad_request("checksum is required")
        must_not_exist = self.check_precondition()
        entry = self.entry_from_body(address, "user_metadata")
        stats = self.stage(self["path"], entry, must_not_exist=must_not_exist)
        return {**stats, "physical_address": uri}

    def create_presign_multipart_upload(self) -> Json:
        repository = self._multipart_repository
        self.existing_branch(self["branch"])
        parts = self["parts"] or 0
        if not self["path"]:
            raise bad_request("path is required")
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
        with store_errors("UploadPartCopy"):
            if stored is None:
                raise StoreError("NoSuchKey")
            try:
                selection = parse_range(source.get("range"), stored.size)
            except ValueError:
                raise StoreError("InvalidRange") from None
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
        with store_errors("CompleteMultipartUpload"):
            stored = self.backend.store.complete(repository.key(address), self["uploadId"], parts)
        content_type = body.get("content_type") or DEFAULT_TYPE
        entry = entry_of(stored, address, content_type, body.get("user_metadata"))
        # The store assembles the object before the server rejects branch or path.
        return {**self.stage(self["path"], entry), "physical_address": address}

    def abort_presign_multipart_upload(self) -> None:
        repository = self._multipart_repository
        address = self._signed_address(self._required_address)
        # Aborting twice succeeds.
        with contextlib.suppress(StoreError):
            self.backend.store.abort(repository.key(address), self["uploadId"])

    # Addresses

    @property
    def _multipart_repository(self) -> Repository:
        """The repository. Raises a 501 error without presigned multipart uploads."""
        repository = self.repository
        if not self.backend.presigned_multipart:
            raise ApiError(501, "presign multipart upload API is not supported")
        return repository

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

    def _signed_address(self, uri: str) -> str:
        """Return the relative address of a URI that we signed for the call's branch and path."""
        address = self.repository.relative(uri)
        if address == uri:
            raise bad_request("physical address must be relative to the storage namespace")
        self._verify_address(address)
        return address

    def _verify_address(self, address: str) -> None:
        """Raise a 400 error unless we signed the address for the call's branch and path."""
        unsigned, comma, signature = address.rpartition(",")
        if not comma:
            raise bad_request("address is not signed: link address invalid")
        try:
            base64.b64decode(f"{signature}{'=' * (-len(signature) % 4)}", b"-_", validate=True)
        except ValueError:
            raise bad_request("malformed address signature: link address invalid") from None
        if not self.backend.identity.is_signed(self._signed_text(unsigned), signature):
            raise bad_request("invalid address signature: invalid address")
        if self.backend.clock() > creation_time(unsigned.rpartition("/")[2]) + _ADDRESS_SECONDS:
            raise bad_request("link address expired")

    def _signed_text(self, address: str) -> str:
        """Return the text to sign: the address and its destination."""
        return "\0".join((address, self["repository"], self["branch"], self["path"]))

    def _presign_part(
        self, repository: Repository, address: str, upload_id: str, number: int
    ) -> str:
        query = {"partNumber": str(number), "uploadId": upload_id, "x-id": "UploadPart"}
        return self.presign("PUT", repository.key(address), query)
