"""Where the bytes of an upload come from."""

from __future__ import annotations

import io
import mimetypes
import mmap
import os
import stat
import threading
from copy import copy
from typing import TYPE_CHECKING

from lakefs_client._body import OCTETS, WINDOW
from lakefs_client.exceptions import ApiTypeError, ApiValueError

if TYPE_CHECKING:
    from typing import Any, Protocol

    from typing_extensions import Self

    class Source(Protocol):
        """So many bytes that any number of threads can read at any offset; the name is for
        messages."""

        name: str
        size: int

        def read_into(self, window: memoryview, offset: int, /) -> None:
            """Fill a window with the bytes from an offset on."""

        def check_unchanged(self) -> None:
            """Refuse what is no longer what it was."""


_OF_COMPRESSION = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
    "compress": "application/x-compress",
    "br": "application/x-brotli",
}
# The module's own table alone: what a machine's files add would make the type of an object
# depend on where it was uploaded.
_TYPES = mimetypes.MimeTypes()


class SourceError(OSError):
    """The file could not be read."""


class SourceChangedError(SourceError):
    """The file is not what it was at the start."""


class FileSource:
    """A regular file, read at any offset by any number of threads.

    Attributes:
        name: The path as text, for messages.
        size: Bytes, when it was opened.
        stamp: Size of the whole file, and time of its last change in nanoseconds.

    Raises:
        ApiTypeError: The path is no str or os.PathLike.
        ApiValueError: It is no path, or leads to a pipe, a socket, a device: what has no size.
        OSError: It cannot be opened: FileNotFoundError, IsADirectoryError, PermissionError …
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if not isinstance(path, (str, os.PathLike)):
            raise ApiTypeError(f"source must be a path, not {type(path).__name__}")
        try:
            mode = os.stat(path).st_mode
        except ValueError as error:
            raise ApiValueError(f"source cannot be the path of a file: {error}") from None
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise ApiValueError("source must be a regular file; it is a pipe, socket or device")
        self._open(open(path, "rb", buffering=0), os.fsdecode(path), 0)  # noqa: SIM115
        try:
            # The files of Linux's /proc have bytes, and no size.
            if not self.size and self._file.read(1):
                raise ApiValueError("source must be a regular file; it has bytes, but no size")
        except BaseException:
            self.close()
            raise

    @classmethod
    def of(cls, file: Any) -> FileSource:
        """What is in an open regular file from where it stands on. The file itself is left open."""
        source = cls.__new__(cls)
        copy = open(os.dup(file.fileno()), "rb", buffering=0)  # noqa: SIM115
        source._open(copy, str(getattr(file, "name", "the file")), file.tell())
        return source

    def _open(self, file: io.FileIO, name: str, start: int) -> None:
        self._file = file
        self._start = start
        self._lock = threading.Lock()
        self.name = name
        status = os.fstat(file.fileno())
        self.stamp = (status.st_size, status.st_mtime_ns)
        self.size = max(0, status.st_size - start)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read_into(self, window: memoryview, offset: int) -> None:
        """Fill a window with the bytes from an offset on.

        Raises:
            SourceChangedError: The file ends within the window.
            SourceError: It cannot be read.
        """
        offset += self._start
        done = 0
        while done < len(window):
            try:
                count = self._read(window[done:], offset + done)
            except OSError as error:
                raise SourceError(
                    f"{self.name} cannot be read at offset {offset + done}: {error.strerror}"
                ) from error
            if not count:
                raise SourceChangedError(
                    f"{self.name} was truncated: it ends at offset {offset + done} and had "
                    f"{self.stamp[0]} bytes at the start"
                )
            done += count

    if hasattr(os, "preadv"):

        def _read(self, window: memoryview, offset: int) -> int:
            return os.preadv(self._file.fileno(), [window], offset)

    else:  # Windows has one position for all threads

        def _read(self, window: memoryview, offset: int) -> int:
            with self._lock:
                self._file.seek(offset)
                return self._file.readinto(window)

    def shifted(self, by: int) -> FileSource:
        """The same file as it stands in a whole, every byte so much further on."""
        source = copy(self)
        source._start -= by
        return source

    def check_unchanged(self) -> None:
        """Refuse a file that was written to since it was opened: its parts are of two ages. Raises
        SourceChangedError."""
        status = os.fstat(self._file.fileno())
        if (status.st_size, status.st_mtime_ns) != self.stamp:
            raise SourceChangedError(
                f"{self.name} was changed during the upload: {self.stamp[0]} bytes at the start, "
                f"{status.st_size} at the end"
            )


class BytesSource:
    """What a BytesIO holds, from where it stands. Until it is closed, the BytesIO cannot grow."""

    name = "bytes"

    def __init__(self, stream: io.BytesIO) -> None:
        self._whole = stream.getbuffer()
        self._data = self._whole[stream.tell() :]
        self.size = len(self._data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._data.release()
        self._whole.release()

    def read_into(self, window: memoryview, offset: int) -> None:
        """Fill a window with the bytes from an offset on."""
        window[:] = self._data[offset : offset + len(window)]

    def check_unchanged(self) -> None:
        """Nothing: the bytes are held."""


# A forked process must not write into its parent's windows.
_PRIVATE = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(os, "fork") else {}


class Buffer(threading.local):
    """A window's worth of memory a thread, page-aligned, used again for every window."""

    def __init__(self) -> None:
        self.view = memoryview(mmap.mmap(-1, WINDOW, **_PRIVATE))


buffer = Buffer()


def guess_content_type(*names: str) -> str:
    """The media type that a name's extension stands for, of the first name that tells. That of a
    compressed file is its compression's: ``.csv.gz`` is gzip, since nobody unpacks it on the way.
    """
    for name in names:
        media_type, compression = _TYPES.guess_type(os.path.basename(name))
        if compression:
            return _OF_COMPRESSION.get(compression, OCTETS)
        if media_type:
            return media_type
    return OCTETS
