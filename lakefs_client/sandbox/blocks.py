"""The blockstore: objects and multipart uploads in files, which are never concatenated."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from lakefs_client.sandbox.errors import StoreError

WINDOW = 1024 * 1024
MAX_PUT = 5 * 1024**3
MIN_PART = 5 * 1024**2
MAX_PARTS = 10_000
_ZEROS = bytes(WINDOW)


class Segment(NamedTuple):
    """A range of a file."""

    path: Path
    offset: int
    size: int

    def windows(self) -> Iterator[bytes]:
        """Yield the bytes, at most 1 MiB at a time."""
        size = self.size
        with self.path.open("rb") as file:
            file.seek(self.offset)
            while size:
                data = file.read(min(WINDOW, size))
                if not data:
                    raise OSError(f"{self.path} was truncated by another program")
                size -= len(data)
                yield data

    def send(self, sock: socket.socket, size: int) -> None:
        """Send the first `size` bytes to a socket."""
        with self.path.open("rb") as file:
            sock.sendfile(file, self.offset, size)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """The bytes at a key. A multipart object consists of its parts' segments."""

    segments: tuple[Segment, ...]
    size: int
    etag: str
    modified: float
    content_type: str = "application/octet-stream"
    # Further headers of a response, such as Content-Encoding, by name in lower case.
    headers: Mapping[str, str] = field(default_factory=dict)

    def slice(self, start: int, stop: int) -> tuple[Segment, ...]:
        """Return the segments of the bytes from `start` up to `stop`, exclusive."""
        segments: list[Segment] = []
        position = 0
        for path, offset, size in self.segments:
            first, last = max(start - position, 0), min(stop - position, size)
            if first < last:
                segments.append(Segment(path, offset + first, last - first))
            position += size
        return tuple(segments)

    def windows(self) -> Iterator[bytes]:
        """Yield the object's bytes, at most 1 MiB at a time."""
        for segment in self.segments:
            yield from segment.windows()

    def read(self) -> bytes:
        """Return the object's bytes."""
        return b"".join(self.windows())


@dataclass(slots=True)
class Upload:
    """A multipart upload that is neither complete nor aborted."""

    key: str
    upload_id: str
    parts: dict[int, StoredObject] = field(default_factory=dict)


def _md5(windows: Iterable[bytes]) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for window in windows:
        digest.update(window)
    return digest.hexdigest()


def opaque_etag(etag: str) -> str:
    """Return an ETag as under SSE-KMS: 32 hexadecimal digits that are not the MD5."""
    return hashlib.sha256(etag.encode()).hexdigest()[:32]


class Blockstore:
    """Objects and pending uploads in one directory. Threads may share it.

    Keys have the form `bucket/path`. Files are immutable: each has a unique name and is removed
    when no object refers to it. A copy refers to the files of its source.
    """

    def __init__(self, directory: Path, clock: Callable[[], float]) -> None:
        self._directory = directory
        self._clock = clock
        # Reentrant: `complete` calls `put` and `abort`.
        self._lock = threading.RLock()
        self._objects: dict[str, StoredObject] = {}
        self._uploads: dict[str, Upload] = {}
        self._references: Counter[Path] = Counter()
        directory.mkdir(parents=True, exist_ok=True)

    def objects(self) -> Mapping[str, StoredObject]:
        """Return all objects by key."""
        with self._lock:
            return dict(self._objects)

    def uploads(self) -> Mapping[str, Upload]:
        """Return the pending multipart uploads by upload id."""
        with self._lock:
            return dict(self._uploads)

    def saved_objects(self) -> Mapping[str, StoredObject]:
        """Return the objects that a data directory must remember."""
        return self.objects()

    def saved_uploads(self) -> Mapping[str, Upload]:
        """Return the uploads that a data directory must remember."""
        return self.uploads()

    def get(self, key: str) -> StoredObject | None:
        """Return the object at `key`, or None."""
        return self._objects.get(key)

    def write(
        self, windows: Iterable[bytes | memoryview], content_type: str = "application/octet-stream"
    ) -> StoredObject:
        """Write bytes to disk and return them as an object, which has no key yet.

        The file is removed if `windows` raises. A window of zeros becomes a hole in the file.
        """
        path = self._directory / secrets.token_hex(2) / secrets.token_hex(12)
        path.parent.mkdir(exist_ok=True)
        digest = hashlib.md5(usedforsecurity=False)
        size = 0
        try:
            with path.open("wb") as file:
                for window in windows:
                    digest.update(window)
                    size += len(window)
                    # `startswith` is much faster than comparing a memoryview.
                    if _ZEROS.startswith(window):
                        file.seek(len(window), os.SEEK_CUR)
                    else:
                        file.write(window)
                file.truncate(size)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        segments = (Segment(path, 0, size),)
        return StoredObject(segments, size, digest.hexdigest(), self._clock(), content_type)

    def put(self, key: str, stored: StoredObject) -> None:
        """Store `stored` at `key`."""
        with self._lock:
            self._retain(stored)
            if previous := self._objects.get(key):
                self._release(previous)
            self._objects[key] = stored

    def delete(self, key: str) -> None:
        """Delete the object at `key`, if any."""
        with self._lock:
            if stored := self._objects.pop(key, None):
                self._release(stored)

    def create_upload(self, key: str) -> str:
        """Create a multipart upload to `key` and return its id."""
        upload_id = secrets.token_urlsafe(96)
        with self._lock:
            self._uploads[upload_id] = Upload(key, upload_id)
        return upload_id

    def upload(self, key: str, upload_id: str) -> Upload:
        """Return the pending upload. Raise NoSuchUpload if there is none."""
        upload = self._uploads.get(upload_id)
        if upload is None or upload.key != key:
            raise StoreError("NoSuchUpload")
        return upload

    def put_part(self, key: str, upload_id: str, number: int, part: StoredObject) -> None:
        """Add `part` to the upload. It replaces an earlier part of this number."""
        with self._lock:
            self._retain(part)
            try:
                parts = self.upload(key, upload_id).parts
            except StoreError:
                # Release the only reference, so that the part's file is removed.
                self._release(part)
                raise
            if previous := parts.get(number):
                self._release(previous)
            parts[number] = part

    def copy_part(
        self, key: str, upload_id: str, number: int, source: StoredObject, start: int, stop: int
    ) -> StoredObject:
        """Add the bytes of `source` from `start` up to `stop`, exclusive, as a part."""
        part = StoredObject(source.slice(start, stop), stop - start, "", self._clock())
        part = replace(part, etag=_md5(part.windows()))
        self.put_part(key, upload_id, number, part)
        return part

    def complete(self, key: str, upload_id: str, parts: list[tuple[int, str]]) -> StoredObject:
        """Assemble an object from `parts`, pairs of number and ETag, and end the upload."""
        with self._lock:
            uploaded = self.upload(key, upload_id).parts
            numbers = [number for number, _ in parts]
            if numbers != sorted(set(numbers)):
                raise StoreError("InvalidPartOrder")
            chosen = []
            for number, etag in parts:
                part = uploaded.get(number)
                if part is None or etag not in (part.etag, opaque_etag(part.etag)):
                    raise StoreError("InvalidPart")
                chosen.append(part)
            if any(part.size < MIN_PART for part in chosen[:-1]):
                raise StoreError("EntityTooSmall")
            segments = tuple(segment for part in chosen for segment in part.segments)
            etag = f"{_md5(bytes.fromhex(etag) for _, etag in parts)}-{len(parts)}"
            size = sum(part.size for part in chosen)
            stored = StoredObject(segments, size, etag, self._clock())
            self.put(key, stored)
            self.abort(key, upload_id)
            return stored

    def abort(self, key: str, upload_id: str) -> None:
        """Discard the upload and its parts."""
        with self._lock:
            for part in self.upload(key, upload_id).parts.values():
                self._release(part)
            del self._uploads[upload_id]

    def restore(self, objects: Mapping[str, Any], uploads: Iterable[Mapping[str, Any]]) -> None:
        """Load saved objects and uploads, and remove all other files.

        Raise ValueError if a file is missing.
        """
        with self._lock:
            for key, stored in objects.items():
                self.put(key, self._restored(stored))
            for item in uploads:
                upload = self._uploads[item["upload_id"]] = Upload(item["key"], item["upload_id"])
                for number, part in item["parts"].items():
                    self.put_part(upload.key, upload.upload_id, int(number), self._restored(part))
            files = set(self._directory.glob("*/*"))
            if missing := self._references.keys() - files:
                raise ValueError(f"{min(missing)} is missing")
            for path in files - self._references.keys():
                path.unlink()

    def _retain(self, stored: StoredObject) -> None:
        self._references.update(segment.path for segment in stored.segments)

    def _release(self, stored: StoredObject) -> None:
        for path, _, _ in stored.segments:
            self._references[path] -= 1
            if not self._references[path]:
                del self._references[path]
                with contextlib.suppress(OSError):
                    path.unlink()

    def _restored(self, state: Mapping[str, Any]) -> StoredObject:
        # The user may have moved the directory since.
        segments = tuple(
            Segment(self._directory.joinpath(*Path(path).parts[-2:]), offset, size)
            for path, offset, size in state["segments"]
        )
        return StoredObject(**{**state, "segments": segments})
