"""Objects: upload, read, list, copy, delete."""

from __future__ import annotations

import email.utils
from dataclasses import replace

from ..blocks import StoredObject
from ..errors import ApiError, bad_request
from ..forms import find_file
from ..versions import Entry
from ..wire import Response
from .call import Call, Json, reply

DEFAULT_TYPE = "application/octet-stream"
_METADATA_HEADER = "x-lakefs-meta-"


class ObjectCall(Call):
    """What is shared by the ways to write an object."""

    def check_preconditions(self) -> None:
        """Raise 412 where If-None-Match or If-Match forbids to write the path."""
        if_none_match, if_match = self["If-None-Match"], self["If-Match"]
        if if_none_match is None and if_match is None:
            return
        try:
            checksum = self.repository.entry(self["branch"], self["path"]).checksum
        except ApiError:
            checksum = None
        if checksum is not None and if_none_match is not None:
            raise ApiError(412, "path already exists")
        if if_match is not None and checksum != if_match.strip('"'):
            raise ApiError(412, "Precondition failed")

    def described_entry(self, address: str, metadata: str) -> Entry:
        """The entry of an object that the body describes, the user's metadata under this name."""
        body = self.body
        return Entry(
            address=address,
            size=body["size_bytes"],
            checksum=body["checksum"],
            mtime=body.get("mtime", int(self.backend.clock())),
            content_type=body.get("content_type") or DEFAULT_TYPE,
            metadata=body.get(metadata, {}),
        )

    def stage(self, path: str, entry: Entry, *, force: bool = False) -> Json:
        """Write an entry to the call's branch; return the object as the API shows it."""
        self.repository.stage(self["branch"], path, entry, force=force)
        return self.stats(path, entry)

    def stats(self, path: str, entry: Entry) -> Json:
        """An object as the API shows it."""
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


def entry_of(
    stored: StoredObject, address: str, content_type: str, metadata: dict[str, str] | None = None
) -> Entry:
    """The entry of what lies in the blockstore."""
    return Entry(
        address=address,
        size=stored.size,
        checksum=stored.etag,
        mtime=int(stored.modified),
        content_type=content_type,
        metadata=metadata or {},
    )


class Objects(ObjectCall):
    def upload_object(self) -> Response:
        branch = self["branch"]
        with self.backend.lock:
            repository = self.repository
            repository.branch(branch)
            repository.check_writable(branch, force=self.force)
            self.check_preconditions()
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
            self.check_preconditions()
            return reply(self.stage(self["path"], entry, force=self.force), 201)

    def upload_object_preflight(self) -> None:
        self.repository.branch(self["branch"])

    def stage_object(self) -> Response:
        repository, uri = self.repository, self.body["physical_address"]
        if "://" not in uri:
            raise bad_request("physical address must be a URI")
        entry = self.described_entry(repository.relative(uri), "metadata")
        return reply(self.stage(self["path"], entry, force=self.force), 201)

    def get_object(self) -> Response:
        entry = self.repository.entry(self["ref"], self["path"])
        if self["presign"]:
            return Response(302, headers={"Location": self._presign_get(self["path"], entry)})
        etag = f'"{entry.checksum}"'
        if self["If-None-Match"] in (etag, entry.checksum, "*"):
            return Response(304, headers={"Etag": etag})
        stored = self._stored(entry)
        response = Response(200, headers=_headers(entry))
        response.headers["Content-Disposition"] = "attachment"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.content = stored.slice(*self._requested(stored.size, response))
        return response

    def head_object(self) -> Response:
        try:
            entry = self.repository.entry(self["ref"], self["path"])
        except ApiError as error:
            return Response(error.status)
        response = Response(200, headers={**_headers(entry), "Accept-Ranges": "bytes"})
        start, stop = self._requested(entry.size, response)
        # That of GET.
        response.headers["Content-Length"] = str(stop - start)
        return response

    def stat_object(self) -> Json:
        entry = self.repository.entry(self["ref"], self["path"])
        return self._show(self["path"], entry, metadata=self["user_metadata"])

    def list_objects(self) -> Json:
        def show(path: str, entry: Entry) -> Json:
            return self._show(path, entry, metadata=self["user_metadata"] and entry.metadata)

        # Whoever turns the pages of a large tree does not begin at its beginning.
        items = self.repository.tree(self["ref"]).items(self["after"] or self["prefix"] or "")
        return self.listing(items, show, checksum="", mtime=0, physical_address="")

    def update_object_user_metadata(self) -> None:
        repository, branch, path = self.repository, self["branch"], self["path"]
        repository.branch(branch)
        place = f"{repository.id}/{branch}/{path}"
        entry = repository.entry(branch, path, f"update user metadata on {place}: not found")
        self.stage(path, replace(entry, metadata=self.body["set"]))

    def get_underlying_properties(self) -> Json:
        self.repository.entry(self["ref"], self["path"])
        return {"storage_class": ""}

    def copy_object(self) -> Response:
        repository, body = self.repository, self.body
        source = repository.entry(body.get("src_ref") or self["branch"], body["src_path"])
        stored = self._stored(source)
        address = repository.new_address()
        entry = replace(source, address=address, mtime=int(self.backend.clock()))
        shown = self.stage(self["dest_path"], entry, force=self.force)
        self.backend.store.put(repository.key(address), stored)
        return reply(shown, 201)

    def delete_object(self) -> None:
        self.repository.stage(self["branch"], self["path"], None, force=self.force)

    def delete_objects(self) -> Json:
        repository, branch = self.repository, self["branch"]
        repository.branch(branch)
        repository.check_writable(branch, force=self.force)
        for path in self.body["paths"]:
            repository.stage(branch, path, None, force=self.force)
        return {"errors": []}

    def _receive(self) -> StoredObject:
        """Write the body, or the file in the form that it is, to the blockstore."""
        content_type = self.request.headers.get("content-type", DEFAULT_TYPE)
        windows = self.request.body.windows()
        if not content_type.lower().startswith("multipart/form-data"):
            return self.backend.store.write(windows, content_type)
        content_type, content = find_file(windows, content_type, "content")
        stored = self.backend.store.write(content, content_type)
        self.request.body.drain()
        return stored

    def _stored(self, entry: Entry) -> StoredObject:
        if stored := self.backend.store.get(self.repository.key(entry.address)):
            return stored
        raise ApiError(410, "No data")

    def _presign_get(self, path: str, entry: Entry) -> str:
        disposition = f"attachment; filename={path.rpartition('/')[2]}"
        query = {"response-content-disposition": disposition, "x-id": "GetObject"}
        return self.presign("GET", self.repository.key(entry.address), query)

    def _show(self, path: str, entry: Entry, *, metadata: object) -> Json:
        shown = self.stats(path, entry)
        if not metadata:
            del shown["metadata"]
        if self["presign"]:
            shown["physical_address"] = self._presign_get(path, entry)
            shown["physical_address_expiry"] = self.backend.urls.expiry()
        return shown

    def _requested(self, size: int, response: Response) -> tuple[int, int]:
        """The bytes to answer, first and after the last; puts status and headers accordingly."""
        wanted = response.select_range(self["Range"], size)
        if wanted is not None:
            return wanted
        refusal = reply({"message": "Requested Range Not Satisfiable"})
        response.status = 416
        response.body = refusal.body
        response.headers.update({**refusal.headers, "Content-Range": f"bytes */{size}"})
        return 0, 0


def _headers(entry: Entry) -> dict[str, str]:
    return {
        "Cache-Control": "no-store, must-revalidate",
        "Content-Type": entry.content_type,
        "Etag": f'"{entry.checksum}"',
        "Last-Modified": email.utils.formatdate(entry.mtime, usegmt=True),
    }
