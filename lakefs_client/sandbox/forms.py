"""Streaming parser for one field of a `multipart/form-data` body."""

from __future__ import annotations

import email
from collections.abc import Iterable, Iterator
from email.message import Message
from itertools import chain

from lakefs_client.sandbox.errors import ApiError

# The maximum size of a field's headers.
_MAX_HEAD = 64 * 1024


def find_file(
    windows: Iterable[memoryview], content_type: str, name: str
) -> tuple[str, Iterator[bytes]]:
    """Return the media type and the content of the field `name`. Raise a 500 error if missing.

    The content is an iterator, so the caller can read it once.
    """
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_param("boundary")
    if not isinstance(boundary, str):
        raise _error("no multipart boundary param in Content-Type")
    delimiter = b"\r\n--" + boundary.encode()
    reader = _Reader(windows)
    while True:
        for _ in reader.until(delimiter):
            pass
        if reader.line().startswith(b"--"):
            raise _error(f"multipart upload missing key '{name}': http: no such file")
        part = reader.head()
        if part.get_param("name", header="Content-Disposition") == name:
            content = reader.until(delimiter)
            # Skip the line end that `head` kept.
            first = next(content)[2:]
            return part.get("Content-Type", "application/octet-stream"), chain([first], content)


class _Reader:
    """A reader that buffers at most two windows of the form."""

    def __init__(self, windows: Iterable[memoryview]) -> None:
        self._windows = iter(windows)
        # The first boundary need not follow a line end.
        self._buffer = bytearray(b"\r\n")

    def until(self, end: bytes) -> Iterator[bytes]:
        """Yield the bytes before `end` and skip `end`. The first item has two bytes or more."""
        while (index := self._buffer.find(end)) < 0:
            safe = len(self._buffer) - len(end)
            if safe >= 2:
                yield bytes(self._buffer[:safe])
                del self._buffer[:safe]
            window = next(self._windows, None)
            if window is None:
                raise _error("multipart: NextPart: EOF")
            self._buffer += window
        yield bytes(self._buffer[:index])
        del self._buffer[: index + len(end)]

    def line(self) -> bytes:
        """Return the next line without its end."""
        data = bytearray()
        for piece in self.until(b"\r\n"):
            data += piece
            if len(data) > _MAX_HEAD:
                raise _error("multipart: message too large")
        return bytes(data)

    def head(self) -> Message:
        """Return a field's headers. Keep the last line end for an empty field's boundary."""
        lines = bytearray()
        while line := self.line():
            lines += line + b"\r\n"
            if len(lines) > _MAX_HEAD:
                raise _error("multipart: message too large")
        self._buffer[:0] = b"\r\n"
        return email.message_from_bytes(bytes(lines))


def _error(message: str) -> ApiError:
    # The server has no status for malformed forms.
    return ApiError(500, message)
