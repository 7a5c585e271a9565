"""The base class of operations that read or write entries: preconditions and responses."""

from __future__ import annotations

import contextlib
import email.utils
import secrets
from collections.abc import Iterator

from lakefs_client.sandbox.blocks import StoredObject
from lakefs_client.sandbox.errors import ApiError, StoreError, not_implemented
from lakefs_client.sandbox.names import check_branch_id, check_path, check_repository_id
from lakefs_client.sandbox.operations.call import Call, Json
from lakefs_client.sandbox.versions import Entry

DEFAULT_TYPE = "application/octet-stream"
_HOST_ID = secrets.token_hex(32)


class EntryCall(Call):
    """A call that reads or writes entries of a repository."""

    def find_entry(self, ref: str, path: str) -> Entry:
        """Return the entry at a path of a ref. Raise the server's error if there is none."""
        self.check_refs(ref=ref)
        check_path(path)
        return self.repository.entry(ref, path)

    def check_precondition(self) -> bool:
        """Return True if the path must not exist. Raise a 501 error for other conditions."""
        if self["If-Match"] is not None or self["If-None-Match"] not in (None, "*"):
            raise not_implemented()
        return self["If-None-Match"] is not None

    def stage(self, path: str, entry: Entry, *, must_not_exist: bool = False) -> Json:
        """Stage an entry on the call's branch and return its ObjectStats."""
        check_repository_id(self["repository"])
        check_branch_id(self["branch"])
        check_path(path)
        repository, branch = self.repository, self["branch"]
        repository.writable_branch(branch, force=self.force)
        if must_not_exist:
            try:
                repository.entry(branch, path)
            except ApiError:
                pass
            else:
                raise ApiError(412, "Precondition failed")
        repository.stage(branch, path, entry, force=self.force)
        return self.stats(path, entry)

    def stats(self, path: str, entry: Entry) -> Json:
        """Return the ObjectStats of an entry."""
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

    def presign_get(self, path: str, entry: Entry) -> str:
        """Return a presigned URL for the object of an entry."""
        disposition = f"attachment; filename={path.rpartition('/')[2]}"
        query = {"response-content-disposition": disposition, "x-id": "GetObject"}
        return self.presign("GET", self.repository.key(entry.address), query)

    def stored_object(self, entry: Entry) -> StoredObject:
        """Return the object of an entry. Raise a 410 error if the store has lost it."""
        key = self.repository.key(entry.address)
        if stored := self.backend.store.get(key):
            return stored
        if not f"s3://{key}".startswith(self.backend.namespace):
            with store_errors("GetObject"):
                raise StoreError("NoSuchBucket")
        raise ApiError(410, "No data")

    def entry_from_body(self, address: str, metadata: str) -> Entry:
        """Return the entry that the body describes. `metadata` names its metadata property."""
        mtime = self.body.get("mtime", int(self.backend.clock()))
        content_type = self.body.get("content_type") or DEFAULT_TYPE
        return Entry(
            address,
            self.body["size_bytes"],
            self.body["checksum"],
            mtime,
            content_type,
            self.body.get(metadata, {}),
        )


def entry_of(
    stored: StoredObject, address: str, content_type: str, metadata: dict[str, str] | None = None
) -> Entry:
    """Return an entry for a stored object."""
    mtime = int(stored.modified)
    return Entry(address, stored.size, stored.etag, mtime, content_type, metadata or {})


def entry_headers(entry: Entry) -> dict[str, str]:
    """Return the response headers that describe an entry."""
    return {
        "Cache-Control": "no-store, must-revalidate",
        "Content-Type": entry.content_type,
        "Etag": f'"{entry.checksum}"',
        "Last-Modified": email.utils.formatdate(entry.mtime, usegmt=True),
    }


@contextlib.contextmanager
def store_errors(operation: str) -> Iterator[None]:
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
