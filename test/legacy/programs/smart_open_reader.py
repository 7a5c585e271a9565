"""A seekable reader of objects like smart_open's transports."""

from __future__ import annotations

import functools
import io
from typing import Any

from lakefs_client import apis, client, models
from lakefs_client.exceptions import NotFoundException


class RawReader(io.RawIOBase):
    """A reader that requests ranges of an object."""

    def __init__(self, lakefs: client.LakeFSClient, repo: str, ref: str, path: str) -> None:
        self._client = lakefs
        self._repo = repo
        self._ref = ref
        self._path = path
        self._position = 0

    @functools.cached_property
    def content_length(self) -> int:
        objects: apis.ObjectsApi = self._client.objects_api
        stats: models.ObjectStats = objects.stat_object(self._repo, self._ref, self._path)
        return stats.size_bytes

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.content_length}
        self._position = min(max(0, start[whence] + offset), self.content_length)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        if self._position >= self.content_length or not len(buffer):
            return 0
        last = min(self._position + len(buffer), self.content_length) - 1
        binary = self._client.objects_api.get_object(
            self._repo, self._ref, self._path, range=f"bytes={self._position}-{last}"
        ).read()
        buffer[: len(binary)] = binary
        self._position += len(binary)
        return len(binary)


def open_reader(lakefs: client.LakeFSClient, uri: str, buffer_size: int = 16) -> io.BufferedReader:
    repo, ref, path = uri[len("lakefs://") :].split("/", 2)
    return io.BufferedReader(RawReader(lakefs, repo, ref, path), buffer_size)


def main(endpoint: str, key: str, secret: str) -> dict[str, Any]:
    from lakefs_client import Configuration

    lakefs = client.LakeFSClient(Configuration(host=endpoint, username=key, password=secret))
    lakefs.repositories_api.create_repository(
        models.RepositoryCreation("smart", "s3://sandbox/smart")
    )
    text = b"".join(b"line %d\n" % n for n in range(20))
    lakefs.objects_api.upload_object("smart", "main", "a/b.txt", content=io.BytesIO(text))
    lakefs.objects_api.upload_object("smart", "main", "empty", content=io.BytesIO())

    with open_reader(lakefs, "lakefs://smart/main/a/b.txt") as reader:
        lines = [line.decode().strip() for line in reader]
        reader.seek(-8, io.SEEK_END)
        tail = reader.read()
        reader.seek(7)
        middle = reader.read(6)
    with open_reader(lakefs, "lakefs://smart/main/empty") as reader:
        empty = reader.read()
    missing = None
    try:
        open_reader(lakefs, "lakefs://smart/main/missing").read()
    except NotFoundException as error:
        missing = error.status
    # The whole object, by iteration over the file that get_object returns.
    whole = b"".join(lakefs.objects_api.get_object("smart", "main", "a/b.txt"))
    return {
        "lines": lines,
        "tail": tail,
        "middle": middle,
        "empty": empty,
        "missing": missing,
        "same": whole == text,
    }
