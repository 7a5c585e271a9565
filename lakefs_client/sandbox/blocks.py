"""The blockstore on disk: objects and multipart uploads, in files that are never joined."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from .errors import StoreError

WINDOW = 1024 * 1024
MAX_PUT = 5 * 1024**3
MIN_PART = 5 * 1024**2
_ZEROS = bytes(WINDOW)


class Segment(NamedTuple):
    """A piece of a file."""

    path: Path
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class StoredObject:
    """The bytes at a key. What was assembled from parts is the list of its parts' segments."""

    segments: tuple[Segment, ...]
    size: int
    etag: str
    modified: float
    content_type: str = "application/octet-stream"

    def slice(self, start: int, stop: int) -> tuple[Segment, ...]:
        """The pieces that hold the bytes from `start` to before `stop`."""
        pieces: list[Segment] = []
        position = 0
        for path, offset, size in self.segments:
            first, last = max(start - position, 0), min(stop - position, size)
            if first < last:
                pieces.append(Segment(path, offset + first, last - first))
            position += size
        return tuple(pieces)

    def windows(self) -> Iterator[bytes]:
        """The object's bytes, at most 1 MiB at a time."""
        for path, offset, size in self.segments:
            with path.open("rb") as file:
                file.seek(offset)
                while size:
                    data = file.read(min(WINDOW, size))
                    if not data:
                        raise OSError(f"{path} is shorter than it was written")
                    size -= len(data)
                    yield data

    def read(self) -> bytes:
        """All of the object's bytes."""
        return b"".join(self.windows())


@dataclass(slots=True)
class Upload:
    """A multipart upload that was neither completed nor aborted."""

    key: str
    upload_id: str
    parts: dict[int, StoredObject] = field(default_factory=dict)


def _md5(windows: Iterable[bytes]) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for window in windows:
        digest.update(window)
    return digest.hexdigest()


def opaque_etag(etag: str) -> str:
    """The ETag of an object under SSE-KMS: 32 hexadecimal digits that are not its MD5."""
    return hashlib.sha256(etag.encode()).hexdigest()[:32]


class Blockstore:
    """Objects and pending uploads below one directory. Safe to use from many threads.

    Keys are `bucket/path`. Bytes are immutable: a file is written under a name of its own, then
    announced, and removed once nothing refers to it. A copy refers to the files of its source.
    """

    def __init__(self, directory: Path, clock: Callable[[], float]) -> None:
        self._directory = directory
        self._clock = clock
        # Reentrant: what completes an upload puts an object and ends the upload.
        self._lock = threading.RLock()
        self._objects: dict[str, StoredObject] = {}
        self._uploads: dict[str, Upload] = {}
        self._references: Counter[Path] = Counter()
        directory.mkdir(parents=True, exist_ok=True)

    def objects(self) -> Mapping[str, StoredObject]:
        """What is stored, by key."""
        with self._lock:
            return dict(self._objects)

    def uploads(self) -> Mapping[str, Upload]:
        """Multipart uploads that are neither completed nor aborted, by upload id."""
        with self._lock:
            return dict(self._uploads)

    def get(self, key: str) -> StoredObject | None:
        """The object at `key`, if there is one."""
        return self._objects.get(key)

    def write(
        self, windows: Iterable[bytes | memoryview], content_type: str = "application/octet-stream"
    ) -> StoredObject:
        """Write bytes to disk and return them as an object that is at no key yet.

        Nothing is left behind when `windows` raises. Windows of nothing but zeros become holes.
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
                    # The quick way to ask whether it is all zeros: comparing a view is slow.
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
        """Make `stored` the object at `key`."""
        with self._lock:
            self._retain(stored)
            if replaced := self._objects.get(key):
                self._release(replaced)
            self._objects[key] = stored

    def delete(self, key: str) -> None:
        with self._lock:
            if stored := self._objects.pop(key, None):
                self._release(stored)

    def create_upload(self, key: str) -> str:
        """Begin a multipart upload to `key` and return its id."""
        upload_id = secrets.token_urlsafe(96)
        with self._lock:
            self._uploads[upload_id] = Upload(key, upload_id)
        return upload_id

    def upload(self, key: str, upload_id: str) -> Upload:
        """The pending upload of this id, or NoSuchUpload."""
        upload = self._uploads.get(upload_id)
        if upload is None or upload.key != key:
            raise StoreError("NoSuchUpload")
        return upload

    def put_part(self, key: str, upload_id: str, number: int, part: StoredObject) -> None:
        """Make `part` a part of the upload, in the place of an earlier one of this number."""
        with self._lock:
            self._retain(part)
            try:
                parts = self.upload(key, upload_id).parts
            except StoreError:
                # Nobody refers to the part's file now, which removes it.
                self._release(part)
                raise
            if replaced := parts.get(number):
                self._release(replaced)
            parts[number] = part

    def copy_part(
        self, key: str, upload_id: str, number: int, source: StoredObject, start: int, stop: int
    ) -> StoredObject:
        """Make the bytes from `start` to before `stop` of `source` a part of the upload."""
        part = StoredObject(source.slice(start, stop), stop - start, "", self._clock())
        part = replace(part, etag=_md5(part.windows()))
        self.put_part(key, upload_id, number, part)
        return part

    def complete(self, key: str, upload_id: str, parts: list[tuple[int, str]]) -> StoredObject:
        """Assemble the upload from `parts`, pairs of number and ETag, and end it."""
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
        """Forget the upload and its parts."""
        with self._lock:
            for part in self.upload(key, upload_id).parts.values():
                self._release(part)
            del self._uploads[upload_id]

    def dump(self) -> dict[str, Any]:
        """The state, without the bytes, as values that do not change."""
        with self._lock:
            uploads = [asdict(upload) for upload in self._uploads.values()]
            return {"objects": dict(self._objects), "uploads": uploads}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over what `dump` returned, and remove files that it does not know."""
        with self._lock:
            for key, stored in state["objects"].items():
                self.put(key, self._load(stored))
            for item in state["uploads"]:
                upload = self._uploads[item["upload_id"]] = Upload(item["key"], item["upload_id"])
                for number, part in item["parts"].items():
                    self.put_part(upload.key, upload.upload_id, int(number), self._load(part))
            for path in self._directory.glob("*/*"):
                if path not in self._references:
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

    def _load(self, state: Mapping[str, Any]) -> StoredObject:
        # Files are where the directory is now, which may have been moved.
        segments = tuple(
            Segment(self._directory.joinpath(*Path(path).parts[-2:]), offset, size)
            for path, offset, size in state["segments"]
        )
        return StoredObject(**{**state, "segments": segments})
