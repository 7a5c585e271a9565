"""A file out of a form (`multipart/form-data`), read as a stream."""

from __future__ import annotations

import email
from collections.abc import Iterable, Iterator
from email.message import Message
from itertools import chain

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
    delimiter = b"\r\n--" + boundary.encode()
    reader = _Reader(windows)
    while True:
        for _ in reader.until(delimiter):
            pass
        if reader.line().startswith(b"--"):
            raise bad_request(f"multipart upload missing key '{name}'")
        part = reader.head()
        if part.get_param("name", header="Content-Disposition") == name:
            content = reader.until(delimiter)
            # Without the line end that `head` left.
            first = next(content)[2:]
            return part.get("Content-Type", "application/octet-stream"), chain([first], content)


class _Reader:
    """Walks through a form, keeping no more than two windows."""

    def __init__(self, windows: Iterable[memoryview]) -> None:
        self._windows = iter(windows)
        # The first boundary may come without the line end that goes with the others.
        self._buffer = bytearray(b"\r\n")

    def until(self, end: bytes) -> Iterator[bytes]:
        """Yield what comes before `end`, the first two bytes at once; pass over `end`."""
        while (index := self._buffer.find(end)) < 0:
            safe = len(self._buffer) - len(end)
            if safe >= 2:
                yield bytes(self._buffer[:safe])
                del self._buffer[:safe]
            window = next(self._windows, None)
            if window is None:
                raise bad_request("multipart: NextPart: EOF")
            self._buffer += window
        yield bytes(self._buffer[:index])
        del self._buffer[: index + len(end)]

    def line(self) -> bytes:
        return b"".join(self.until(b"\r\n"))

    def head(self) -> Message:
        """The headers of a part. The last line end stays: an empty part's boundary needs it."""
        lines = b"\r\n".join(iter(self.line, b""))
        self._buffer[:0] = b"\r\n"
        return email.message_from_bytes(lines)
