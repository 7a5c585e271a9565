"""Where the bytes of an upload come from."""

from __future__ import annotations

import mimetypes
import mmap
import os
import stat
import threading
from typing import TYPE_CHECKING

from lakefs_client._body import OCTETS, WINDOW
from lakefs_client.exceptions import ApiTypeError, ApiValueError

if TYPE_CHECKING:
    from typing_extensions import Self

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
    """The file could not be read to its end, or is not what it was at the start."""


class FileSource:
    """A regular file, read at any offset by any number of threads.

    Args:
        path: The file.

    Attributes:
        name: The path as text, for messages.
        size: Bytes, when it was opened.

    Raises:
        ApiTypeError: The path is no str or os.PathLike.
        ApiValueError: It is no path, or leads to a pipe, a socket, a device: what has no size.
        OSError: It cannot be opened: FileNotFoundError, IsADirectoryError, PermissionError …
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if not isinstance(path, (str, os.PathLike)):
            raise ApiTypeError(f"source must be a path, not {type(path).__name__}")
        self.name = os.fsdecode(path)
        try:
            mode = os.stat(path).st_mode
        except ValueError as error:
            raise ApiValueError(f"source cannot be the path of a file: {error}") from None
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise ApiValueError("source must be a regular file; it is a pipe, socket or device")
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 (closed by `close`)
        status = os.fstat(self._file.fileno())
        self.size = status.st_size
        self._stamp = (status.st_size, status.st_mtime_ns)
        self._lock = threading.Lock()
        if not self.size:
            self._require_empty()

    def _require_empty(self) -> None:
        """Refuse what has bytes and tells no size, as the files of Linux's /proc do."""
        try:
            if self._file.read(1):
                raise ApiValueError("source must be a regular file; it has bytes, but no size")
        except BaseException:
            self._file.close()
            raise

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
            SourceError: The file ends within the window, or cannot be read.
        """
        done = 0
        while done < len(window):
            try:
                count = self._read(window[done:], offset + done)
            except OSError as error:
                raise SourceError(
                    f"{self.name} cannot be read at offset {offset + done}: {error.strerror}"
                ) from error
            if not count:
                raise SourceError(
                    f"{self.name} was truncated: it ends at offset {offset + done} and had "
                    f"{self.size} bytes at the start"
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

    def check_unchanged(self) -> None:
        """Refuse a file that was written to since it was opened: its parts are of two ages.

        Raises:
            SourceError: It was.
        """
        status = os.fstat(self._file.fileno())
        if (status.st_size, status.st_mtime_ns) != self._stamp:
            raise SourceError(
                f"{self.name} was changed during the upload: {self._stamp[0]} bytes at the start, "
                f"{status.st_size} at the end"
            )


# A forked process must not write into its parent's windows.
_PRIVATE = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(os, "fork") else {}


class Buffer(threading.local):
    """A window's worth of memory a thread, page-aligned, used again for every window."""

    def __init__(self) -> None:
        self.view = memoryview(mmap.mmap(-1, WINDOW, **_PRIVATE))


buffer = Buffer()


def guess_content_type(*names: str) -> str:
    """The media type that a name's extension stands for.

    The first name that tells counts. A compressed file is of the type of its compression:
    ``.csv.gz`` is gzip, since nobody unpacks it on the way.
    """
    for name in names:
        media_type, compression = _TYPES.guess_type(os.path.basename(name))
        if compression:
            return _OF_COMPRESSION.get(compression, OCTETS)
        if media_type:
            return media_type
    return OCTETS
