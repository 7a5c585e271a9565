"""Writing past the server: staging addresses, presigned multipart uploads."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator

from ..clock import made_at
from ..errors import ApiError, StoreError, bad_request
from ..repository import Repository
from ..wire import Response, parse_range
from .call import Json, reply
from .objects import DEFAULT_TYPE, ObjectCall, entry_of

MAX_PARTS = 10_000
_ADDRESS_SECONDS = 24 * 3600
_HOST_ID = secrets.token_hex(32)


class Staging(ObjectCall):
    def get_physical_address(self) -> Json:
        # Whether there is such a branch is asked when the address is linked.
        repository = self.repository
        address = self._new_address()
        location: Json = {"physical_address": repository.uri(address), "presigned_url": None}
        if self["presign"]:
            url = self.presign("PUT", repository.key(address), {"x-id": "PutObject"}, refusal=500)
            location["presigned_url"] = url
            location["presigned_url_expiry"] = self.backend.urls.expiry()
        return location

    def link_physical_address(self) -> Json:
        self.repository.branch(self["branch"])
        uri = self.body["staging"].get("physical_address", "")
        address = self._signed_address(uri, "link address invalid")
        self.check_preconditions()
        entry = self.described_entry(address, "user_metadata")
        return self.stage(self["path"], entry, force=self.force)

    def create_presign_multipart_upload(self) -> Response:
        repository, branch = self._multipart_repository, self["branch"]
        if branch not in repository.branches:
            raise ApiError(404, f"branch '{branch}' not found")
        parts = self["parts"] or 0
        if not 0 <= parts <= MAX_PARTS:
            raise bad_request(f"parts can be between 0 and {MAX_PARTS}")
        address = self._new_address()
        upload_id = self.backend.store.create_upload(repository.key(address))
        upload: Json = {"physical_address": repository.uri(address), "upload_id": upload_id}
        if parts:
            upload["presigned_urls"] = [
                self._presign_part(repository, address, upload_id, number)
                for number in range(1, parts + 1)
            ]
        return reply(upload, 201)

    def upload_part(self) -> Json:
        repository = self._multipart_repository
        address = self._signed_address(self.body["physical_address"])
        # Whether the upload is still there is for the blockstore to say.
        url = self._presign_part(repository, address, self["uploadId"], self["partNumber"])
        return {"presigned_url": url}

    def upload_part_copy(self) -> Response:
        repository, source = self._multipart_repository, self.body["copy_source"]
        address = self._signed_address(self.body["physical_address"])
        origin = self.backend.repository(source["repository"])
        entry = origin.entry(source["ref"], source["path"])
        store = self.backend.store
        stored = store.get(origin.key(entry.address))
        with _refusals_of_store("UploadPartCopy"):
            if stored is None:
                raise StoreError("NoSuchKey")
            wanted = parse_range(source.get("range"), stored.size)
            if wanted is None:
                raise StoreError("InvalidRange")
            key, upload_id, number = repository.key(address), self["uploadId"], self["partNumber"]
            part = store.copy_part(key, upload_id, number, stored, *wanted)
        return Response(204, headers={"Etag": part.etag})

    def complete_presign_multipart_upload(self) -> Json:
        repository, body = self._multipart_repository, self.body
        uri = self._required_address()
        if not body.get("parts"):
            raise bad_request("parts are required")
        address = self._signed_address(uri)
        parts = [(part["part_number"], part["etag"].strip('"')) for part in body["parts"]]
        with _refusals_of_store("CompleteMultipartUpload"):
            stored = self.backend.store.complete(repository.key(address), self["uploadId"], parts)
        content_type = body.get("content_type") or DEFAULT_TYPE
        entry = entry_of(stored, address, content_type, body.get("user_metadata"))
        # Only now: the object is assembled even where the branch refuses it.
        return {**self.stage(self["path"], entry), "physical_address": address}

    def abort_presign_multipart_upload(self) -> None:
        repository = self._multipart_repository
        address = self._signed_address(self._required_address())
        # Where there is nothing to abort any more, that is what was asked for.
        with contextlib.suppress(StoreError):
            self.backend.store.abort(repository.key(address), self["uploadId"])

    @property
    def _multipart_repository(self) -> Repository:
        """The repository, or 501 where there are no presigned multipart uploads."""
        if not self.backend.presigned_multipart:
            raise ApiError(501, "presign multipart upload API is not supported")
        return self.repository

    def _new_address(self) -> str:
        address = self.repository.new_address()
        return f"{address},{self.backend.identity.sign(self._bound(address))}"

    def _required_address(self) -> str:
        uri: str = self.body.get("physical_address", "")
        if not uri:
            raise bad_request("physical_address is required")
        return uri

    def _signed_address(self, uri: str, invalid: str = "invalid address") -> str:
        """Return the relative address of a URI that we signed for the place of the call."""
        address = self.repository.relative(uri)
        if address == uri:
            raise bad_request("physical address must be relative to the storage namespace")
        if "," not in address:
            raise bad_request(f"address is not signed: {invalid}")
        unsigned, _, signature = address.rpartition(",")
        if not self.backend.identity.is_signed(self._bound(unsigned), signature):
            raise bad_request(f"invalid address signature: {invalid}")
        if self.backend.clock() > made_at(unsigned.rpartition("/")[2]) + _ADDRESS_SECONDS:
            raise bad_request("link address expired")
        return address

    def _bound(self, address: str) -> str:
        """What is signed of an address: where the object may be put in a branch, too."""
        return "\0".join((address, self["repository"], self["branch"], self["path"]))

    def _presign_part(
        self, repository: Repository, address: str, upload_id: str, number: int
    ) -> str:
        query = {"partNumber": str(number), "uploadId": upload_id, "x-id": "UploadPart"}
        return self.presign("PUT", repository.key(address), query)


@contextlib.contextmanager
def _refusals_of_store(operation: str) -> Iterator[None]:
    """Word the blockstore's refusals as the server's S3 library does."""
    try:
        yield
    except StoreError as error:
        raise ApiError(
            500,
            f"operation error S3: {operation}, https response error StatusCode: {error.status}, "
            f"RequestID: {secrets.token_hex(8).upper()}, HostID: {_HOST_ID}, "
            f"api error {error.code}: {error.message}",
        ) from None
