"""A file out of a form (`multipart/form-data`), read as a stream."""

from __future__ import annotations

import email
from collections.abc import Iterable, Iterator
from email.message import Message

from .errors import bad_request


def find_file(
    windows: Iterable[memoryview], content_type: str, name: str
) -> tuple[str, Iterator[bytes]]:
    """The media type of the part called `name`, and its content, to be read once; 400 if none."""
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_param("boundary")
    if not isinstance(boundary, str):
        raise bad_request("no multipart boundary param in Content-Type")
    reader = _Reader(windows, b"\r\n--" + boundary.encode())
    for part in reader.parts():
        if part.get_param("name", header="Content-Disposition") == name:
            return part.get("Content-Type", "application/octet-stream"), reader.content()
    raise bad_request(f"multipart upload missing key '{name}'")


class _Reader:
    """Walks the parts of a form, keeping no more than two windows."""

    def __init__(self, windows: Iterable[memoryview], delimiter: bytes) -> None:
        self._windows = iter(windows)
        self._delimiter = delimiter
        # The first boundary may come without the line end that goes with the others.
        self._buffer = bytearray(b"\r\n")

    def parts(self) -> Iterator[Message]:
        """Yield the headers of each part, passing over the contents; reading one ends the walk."""
        while True:
            for _ in self.content():
                pass
            if self._take(b"\r\n").startswith(b"--"):
                return
            head = bytearray()
            while line := self._take(b"\r\n"):
                head += line + b"\r\n"
            # So that an empty part's boundary is found, too.
            self._buffer[:0] = b"\r\n"
            yield email.message_from_bytes(head)

    def content(self) -> Iterator[bytes]:
        """Yield what comes before the next boundary."""
        # A part's content begins behind the line end that `parts` has put back.
        start = 2 if self._buffer.startswith(b"\r\n") else 0
        while (end := self._buffer.find(self._delimiter)) < 0:
            safe = len(self._buffer) - len(self._delimiter)
            if safe > start:
                yield bytes(self._buffer[start:safe])
                del self._buffer[:safe]
                start = 0
            self._read()
        yield bytes(self._buffer[start:end])
        del self._buffer[: end + len(self._delimiter)]

    def _take(self, end: bytes) -> bytes:
        while (index := self._buffer.find(end)) < 0:
            self._read()
        taken = bytes(self._buffer[:index])
        del self._buffer[: index + len(end)]
        return taken

    def _read(self) -> None:
        window = next(self._windows, None)
        if window is None:
            raise bad_request("multipart: NextPart: EOF")
        self._buffer += window
