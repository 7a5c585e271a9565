"""Bodies of requests: JSON, or the bytes of files and streams, in windows."""

from __future__ import annotations

import io
import os
import stat
from operator import index
from typing import TYPE_CHECKING, Any

from lakefs_client._encode import to_json
from lakefs_client._media_type import OCTETS, guess_content_type
from lakefs_client.exceptions import ApiTypeError, ApiValueError
from lakefs_client.rest import BodyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

WINDOW = 1 << 20
"""Bytes that are sent at a time; the write timeout covers one window."""

_SMALL = 1 << 16


class RequestBody:
    """A request's body, which may be sent several times.

    Attributes:
        content_type: Media type, unless the caller gives another.
        length: Size in bytes, or None if it is not known.
        repeatable: True if the body can be sent again.
    """

    content_type = OCTETS
    length: int | None = None
    repeatable = True

    def open(self) -> bytes | Iterator[Any]:
        """Return the bytes from the start: at once if they are few, else in windows."""
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
    """An open file, from its position to its end. It stays open.

    A second attempt reads it again if it can seek. A text stream is sent as UTF-8.
    """

    def __init__(self, stream: Any, content_type: str = OCTETS) -> None:
        self.content_type = content_type
        self._stream = stream
        # Wrappers such as those of tempfile have the encoding of the file that they wrap.
        self._text = isinstance(stream, io.TextIOBase) or hasattr(stream, "encoding")
        self._read = False
        self._first = b""
        start = None
        try:
            start = index(stream.tell())
            stream.seek(0, os.SEEK_END)
            length = stream.tell() - start  # some return nothing from `seek`
            stream.seek(start)
        except Exception:  # each kind of stream has its own
            if start is not None and stream.tell() != start:
                raise ApiValueError("content cannot seek back to its position") from None
            self.repeatable = False
            return
        self._start = start
        if not self._text:
            self.length = max(0, length)
        if length <= 0:
            # Files of Linux's /proc report size 0, and have bytes all the same.
            self._first = self._window(1)
            if self._first:
                self.length = None

    def _window(self, size: int) -> Any:
        data = self._stream.read(size)
        if data is None:
            raise ApiValueError("content must block until it has bytes: read returned None")
        if isinstance(data, str):
            if self.length is not None:  # in characters, perhaps
                raise ApiTypeError("content must be opened in binary mode ('rb')")
            return data.encode()
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise ApiTypeError(f"content's read must return bytes, not {type(data).__name__}")
        return data

    def _windows(self) -> Iterator[Any]:
        left = self.length
        try:
            if self._read:
                self._stream.seek(self._start)
            elif self._first:
                yield self._first
            self._read = True
            while left is None or left > 0:
                data = self._window(WINDOW if left is None else min(WINDOW, left))
                if not data:
                    break
                if left is not None:
                    left -= len(data)
                yield data
            if left:
                raise ApiValueError(f"content ended {left} bytes early: it was truncated")
        except Exception as error:
            raise BodyError from error


class FileBody(RequestBody):
    """A file by its path, opened anew for each attempt. A pipe is opened once."""

    def __init__(self, path: str, content_type: str = OCTETS) -> None:
        self._path = path
        self.content_type = content_type
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            self.repeatable = False  # closing a pipe drops its bytes
            return
        with open(path, "rb") as file:
            self.length = StreamBody(file).length

    def _windows(self) -> Iterator[bytes]:
        with open(self._path, "rb") as file:
            yield from StreamBody(file)._windows()


def of_json(value: Any) -> RequestBody:
    """Return a body of JSON."""
    return BytesBody(to_json(value), "application/json")


def of_upload(content: Any, name: str, path: str = "") -> RequestBody:
    """Return the body for a file or stream, bytes, or the path of a file.

    The media type is guessed from the file's name, else from the object's `path`.

    Raises:
        ApiTypeError: The content is something else.
        ApiValueError: The stream is closed, or open for writing only.
        OSError: The file cannot be opened.
    """
    if isinstance(content, str):  # a path, or the content itself
        raise ApiTypeError(
            f"{name} must not be a str: give pathlib.Path({name}) for a file of that name, "
            f"{name}.encode() to upload the text itself, or an open file"
        )
    if isinstance(content, (bytes, bytearray)) or type(content) is memoryview:
        return BytesBody(content, guess_content_type(path))
    if isinstance(content, os.PathLike):
        file = os.fsdecode(content)
        return FileBody(file, guess_content_type(file, path))
    if not hasattr(content, "read"):
        raise ApiTypeError(
            f"{name} must be an open file, bytes or a pathlib.Path, not {type(content).__name__}",
            [name],
            (io.IOBase,),
            False,
        )
    require_readable(content, name)
    filename = getattr(content, "name", None)
    names = (filename, path) if isinstance(filename, str) else (path,)
    return StreamBody(content, guess_content_type(*names))


def require_readable(stream: Any, name: str) -> None:
    """Raise ApiValueError if a stream is closed, or open for writing only."""
    if getattr(stream, "closed", False):
        raise ApiValueError(f"{name} is closed")
    readable = getattr(stream, "readable", None)
    if callable(readable) and not readable():
        raise ApiValueError(f"{name} is not open for reading")


def of_form(fields: Iterable[tuple[str, Any]], files: Mapping[str, Any]) -> RequestBody:
    """Return a form with fields and files, held in memory."""
    from urllib3 import encode_multipart_formdata

    parts: list[tuple[str, Any]] = [(name, str(value)) for name, value in fields]
    for name, given in files.items():
        for file in given if isinstance(given, (list, tuple)) else (given,):
            filename = os.path.basename(str(getattr(file, "name", name)))
            parts.append((name, (filename, file.read() if hasattr(file, "read") else file)))
    data, content_type = encode_multipart_formdata(parts)
    return BytesBody(data, content_type)
