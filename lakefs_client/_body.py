"""Request bodies: JSON, or the bytes of files and streams in windows."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any, BinaryIO

from lakefs_client._encode import to_json
from lakefs_client.exceptions import ApiTypeError, ApiValueError
from lakefs_client.rest import BodyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

WINDOW = 1 << 20
"""Size of a window in bytes. The write timeout applies to one window."""

_SMALL = 1 << 16
OCTETS = "application/octet-stream"


class RequestBody:
    """A request's body, which may be sent several times.

    Attributes:
        content_type: Default for the header.
        length: Number of bytes, or None if unknown.
        repeatable: True if the body can be sent again.
    """

    content_type = OCTETS
    length: int | None = None
    repeatable = True

    def open(self) -> bytes | Iterator[Any]:
        """Return the bytes from the start: as bytes if they are few, otherwise in windows."""
        return b"" if self.length == 0 else self._windows()

    def _windows(self) -> Iterator[Any]:
        raise NotImplementedError


class BytesBody(RequestBody):
    """Bytes in memory, sent without a copy."""

    def __init__(self, data: Any, content_type: str = OCTETS) -> None:
        self._view = memoryview(data).cast("B")
        self.length = len(self._view)
        self.content_type = content_type

    def open(self) -> bytes | Iterator[Any]:
        if len(self._view) <= _SMALL:
            return bytes(self._view)
        return (self._view[i : i + WINDOW] for i in range(0, len(self._view), WINDOW))


class StreamBody(RequestBody):
    """An open binary file, sent from its current position. It is left open, at its end.

    A retry rewinds the file, if it can be rewound.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._read = False
        try:
            self._start = stream.tell()
            self.length = max(0, stream.seek(0, os.SEEK_END) - self._start)
            stream.seek(self._start)
        except (OSError, AttributeError):
            self.repeatable = False

    def _windows(self) -> Iterator[bytes]:
        left = self.length
        try:
            if self._read:
                self._stream.seek(self._start)
            self._read = True
            while left is None or left > 0:
                data = self._stream.read(WINDOW if left is None else min(WINDOW, left))
                if isinstance(data, str):
                    raise ApiTypeError("content must be opened in binary mode ('rb')")
                if not data:
                    break
                if left is not None:
                    left -= len(data)
                yield data
            if left:
                raise ApiValueError(
                    f"content ended {left} bytes early: it was truncated during the upload"
                )
        except Exception as error:
            raise BodyError from error


class FileBody(RequestBody):
    """A file by its path, opened for each attempt."""

    def __init__(self, path: str) -> None:
        self._path = path
        with open(path, "rb") as file:
            self.length = os.fstat(file.fileno()).st_size

    def _windows(self) -> Iterator[bytes]:
        with open(self._path, "rb") as file:
            yield from StreamBody(file)._windows()


def of_json(value: Any) -> RequestBody:
    """Return a body of JSON."""
    return BytesBody(to_json(value), "application/json")


def of_upload(content: Any, name: str) -> RequestBody:
    """Return a body of uploaded content: a file or stream, bytes, or the path of a file."""
    if isinstance(content, str):  # which could be a path or the content itself
        raise ApiTypeError(
            f"{name} must not be a str: give pathlib.Path({name}) for a file of that name, "
            f"{name}.encode() to upload the text itself, or a file opened with mode 'rb'"
        )
    if isinstance(content, (bytes, bytearray, memoryview)):
        return BytesBody(content)
    if isinstance(content, os.PathLike):
        return FileBody(os.fsdecode(content))
    if isinstance(content, io.TextIOBase):
        raise ApiTypeError(f"{name} must be opened in binary mode ('rb')")
    if not hasattr(content, "read"):
        raise ApiTypeError(
            f"{name} must be an open binary file, bytes or a pathlib.Path, "
            f"not {type(content).__name__}",
            [name],
            (io.IOBase,),
            False,
        )
    if getattr(content, "closed", False):
        raise ApiValueError(f"{name} is closed")
    return StreamBody(content)


def of_form(fields: Iterable[tuple[str, Any]], files: Mapping[str, Any]) -> RequestBody:
    """Return a form with fields and files, in memory."""
    from urllib3 import encode_multipart_formdata

    parts: list[tuple[str, Any]] = [(name, str(value)) for name, value in fields]
    for name, given in files.items():
        for file in given if isinstance(given, (list, tuple)) else (given,):
            filename = os.path.basename(str(getattr(file, "name", name)))
            parts.append((name, (filename, file.read() if hasattr(file, "read") else file)))
    data, content_type = encode_multipart_formdata(parts)
    return BytesBody(data, content_type)
