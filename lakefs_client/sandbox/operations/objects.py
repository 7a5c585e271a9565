"""Operations on objects, through the server."""

from __future__ import annotations

from dataclasses import replace

from lakefs_client.sandbox.blocks import StoredObject
from lakefs_client.sandbox.errors import ApiError, bad_request, not_found
from lakefs_client.sandbox.forms import find_file
from lakefs_client.sandbox.http_server import Response
from lakefs_client.sandbox.media_type import media_type_error
from lakefs_client.sandbox.names import check_path, check_prefix
from lakefs_client.sandbox.operations.call import Json, reply
from lakefs_client.sandbox.operations.entries import (
    DEFAULT_TYPE,
    EntryCall,
    entry_headers,
    entry_of,
)
from lakefs_client.sandbox.ranges import UnsatisfiableRange, parse_range
from lakefs_client.sandbox.versions import Entry

MAX_DELETED_PATHS = 1000
_METADATA_HEADER = "x-lakefs-meta-"
# Content types that a browser may display.
_INLINE_TYPES = {
    *("image/jpeg", "image/jpg", "image/png", "image/gif", "image/webp", "image/svg+xml"),
    *("application/pdf", "application/javascript", "application/json", "application/xml"),
    *("text/plain", "text/markdown", "text/x-markdown", "text/html", "text/css"),
    *("text/javascript", "text/xml", "video/mp4", "video/webm"),
    *("audio/mpeg", "audio/wav", "audio/webm"),
}


class Objects(EntryCall):
    """The group `objects`."""

    def upload_object(self) -> Json:
        with self.backend.lock:
            repository = self.existing_branch(self["branch"])
            if self["If-None-Match"] == "*":
                self._check_missing()
            must_not_exist = self.check_precondition()
            address = repository.new_address()
        stored = self._receive()
        metadata = self._user_metadata()
        entry = entry_of(stored, address, stored.content_type, metadata)
        with self.backend.lock:
            # The server stores the bytes before it rejects the path or a protected branch.
            self.backend.store.put(repository.key(address), stored)
            try:
                return self.stage(self["path"], entry, must_not_exist=must_not_exist)
            except ApiError as error:
                if error.status == 412:
                    raise ApiError(412, "path already exists") from None
                raise

    def upload_object_preflight(self) -> None:
        # The only user may write anywhere.
        pass

    def stage_object(self) -> Json:
        repository, uri = self.repository, self.body["physical_address"]
        if "://" not in uri:
            raise ApiError(500, f'could not parse URI: parse "{uri}": invalid URI for request')
        if not uri.startswith("s3://"):
            raise bad_request("physical address is not valid for block adapter: s3")
        entry = self.entry_from_body(repository.relative(uri), "metadata")
        stats = self.stage(self["path"], entry)
        del stats["metadata"]
        return {**stats, "physical_address": uri}

    def get_object(self) -> Response:
        entry = self.find_entry(self["ref"], self["path"])
        headers = entry_headers(entry)
        if self["If-None-Match"] == headers["Etag"]:
            return Response(304)
        if self["presign"]:
            location = self.presign_get(self["path"], entry)
            return Response(302, headers={"Location": location})
        disposition = "inline" if entry.content_type in _INLINE_TYPES else "attachment"
        headers |= {"Content-Disposition": disposition, "X-Content-Type-Options": "nosniff"}
        response = Response(200, headers=headers)
        try:
            parse_range(self["Range"], entry.size)
            response.select(self.stored_object(entry), self["Range"])
        except ValueError as error:
            return _range_error(response, entry.size, error)
        return response

    def head_object(self) -> Response:
        try:
            entry = self.find_entry(self["ref"], self["path"])
        except ApiError as error:
            return Response(error.status)
        response = Response(200, headers=entry_headers(entry) | {"Accept-Ranges": "bytes"})
        try:
            start, stop = parse_range(self["Range"], entry.size)
        except ValueError:
            response.status = 416
            return response
        response.describe_range(self["Range"], start, stop, entry.size)
        # The length of a GET response.
        response.headers["Content-Length"] = str(stop - start)
        return response

    def stat_object(self) -> Json:
        entry = self.find_entry(self["ref"], self["path"])
        stats = self._presigned_stats(self["path"], entry)
        return stats if self["user_metadata"] else {**stats, "metadata": {}}

    def list_objects(self) -> Json:
        def show(path: str, entry: Entry) -> Json:
            stats = self._presigned_stats(path, entry)
            if not (self["user_metadata"] and entry.metadata):
                del stats["metadata"]
            return stats

        self.check_refs(ref=self["ref"])
        for name in ("prefix", "delimiter"):
            check_prefix(self[name] or "", name)
        # Start at `after`, so that paging through a large tree takes linear time.
        items = self.repository.tree(self["ref"]).items(self["after"] or self["prefix"] or "")
        return self.listing(items, show, checksum="", mtime=0, physical_address="")

    def update_object_user_metadata(self) -> None:
        branch, path = self["branch"], self["path"]
        self.check_branch(branch)
        check_path(path)
        repository = self.backend.repositories.get(self["repository"])
        if repository is None:
            # The server ignores a missing repository.
            return
        repository.writable_branch(branch)
        try:
            entry = repository.entry(branch, path)
        except ApiError:
            location = f"{repository.id}/{branch}/{path}"
            raise not_found(f"update user metadata on {location}:") from None
        repository.stage(branch, path, replace(entry, metadata=self.body["set"]))

    def get_underlying_properties(self) -> Json:
        self.find_entry(self["ref"], self["path"])
        return {"storage_class": ""}

    def copy_object(self) -> Json:
        body, branch = self.body, self["branch"]
        repository = self.existing_branch(branch)
        source = self.find_entry(body.get("src_ref") or branch, body["src_path"])
        stored = self.stored_object(source)
        address = repository.new_address()
        entry = replace(source, address=address, mtime=int(self.backend.clock()))
        # The server copies the bytes before it rejects the destination.
        self.backend.store.put(repository.key(address), stored)
        return self.stage(self["dest_path"], entry)

    def delete_object(self) -> None:
        self.check_branch(self["branch"])
        check_path(self["path"])
        self.repository.stage(self["branch"], self["path"], None, force=self.force)

    def delete_objects(self) -> Json:
        paths = self.body["paths"]
        if len(paths) > MAX_DELETED_PATHS:
            raise bad_request(f"request size exceeded, max paths is set to {MAX_DELETED_PATHS}")
        try:
            self._delete(paths)
        except ApiError as error:
            # The server ignores missing branches and empty paths, and has no status for others.
            if error.status == 404 or "missing path" in error.message:
                return {"errors": []}
            status = 403 if error.status == 403 else 500
            errors = {"status_code": status, "message": error.message}
            return {"errors": [{"path": path, **errors} for path in paths]}
        return {"errors": []}

    def _delete(self, paths: list[str]) -> None:
        branch = self["branch"]
        self.check_branch(branch)
        for index, path in enumerate(paths):
            check_path(path, f"path[{index}]")
        repository = self.repository
        repository.writable_branch(branch, force=self.force)
        for path in paths:
            repository.stage(branch, path, None, force=self.force)

    # Bytes

    def _check_missing(self) -> None:
        """Raise a 412 error if the path exists."""
        try:
            self.find_entry(self["branch"], self["path"])
        except ApiError as error:
            if error.status != 404:
                # The server has no status for an invalid path here.
                raise ApiError(500, error.message) from None
        else:
            raise ApiError(412, "path already exists")

    def _user_metadata(self) -> dict[str, str]:
        """Return the metadata in the request's headers, which are UTF-8."""
        metadata = {
            name.removeprefix(_METADATA_HEADER): value
            for name, value in self.request.headers.items()
            if name.startswith(_METADATA_HEADER)
        }
        if any(_is_not_utf8(text) for pair in metadata.items() for text in pair):
            raise ApiError(500, "string field contains invalid UTF-8")
        return metadata

    def _presigned_stats(self, path: str, entry: Entry) -> Json:
        stats = self.stats(path, entry)
        if self["presign"]:
            stats["physical_address"] = self.presign_get(path, entry)
            stats["physical_address_expiry"] = self.backend.urls.expiry()
        return stats

    def _receive(self) -> StoredObject:
        """Write the body to the blockstore. If it is a form, write the form's file."""
        content_type = self.request.headers.get("content-type") or DEFAULT_TYPE
        if message := media_type_error(content_type):
            # The server has no status for this error.
            raise ApiError(500, message)
        windows = self.request.body.windows()
        if not content_type.lower().startswith("multipart/form-data"):
            return self.backend.store.write(windows, content_type)
        content_type, content = find_file(windows, content_type, "content")
        stored = self.backend.store.write(content, content_type)
        self.request.body.drain()
        return stored


def _range_error(response: Response, size: int, error: ValueError) -> Response:
    """Turn a response into the server's error for a range."""
    body = reply({"message": "Requested Range Not Satisfiable"})
    response.status, response.body = 416, body.body
    response.headers.update(body.headers)
    if isinstance(error, UnsatisfiableRange):
        response.headers["Content-Range"] = f"bytes */{size}"
    return response


def _is_not_utf8(text: str) -> bool:
    """Return True if the text of a header was not UTF-8."""
    return any("\udc80" <= character <= "\udcff" for character in text)
