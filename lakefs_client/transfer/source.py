"""Sources of an upload's bytes."""

from __future__ import annotations

import io
import mmap
import os
import stat
import threading
from typing import TYPE_CHECKING

from lakefs_client._body import WINDOW
from lakefs_client.exceptions import ApiTypeError, ApiValueError
from lakefs_client.transfer.errors import SourceChangedError, SourceError

if TYPE_CHECKING:
    from typing import Any, Protocol

    from typing_extensions import Self

    class Source(Protocol):
        """`size` bytes that any number of threads can read at any offset; messages use `name`."""

        name: str
        size: int

        def read_into(self, window: memoryview, offset: int, /) -> None:
            """Fill a window with the bytes at an offset."""

        def check_unchanged(self) -> None:
            """Raise SourceChangedError if the bytes changed since the source was opened."""


class FileSource:
    """A regular file that any number of threads can read at any offset.

    Attributes:
        name: The path as text, for messages.
        size: Bytes, when it was opened.
        stamp: Size of the whole file in bytes, and its modification time in nanoseconds.

    Raises:
        ApiTypeError: The path is not a str or os.PathLike.
        ApiValueError: The path is invalid, or names a pipe, a socket or a device.
        OSError: The file cannot be opened: FileNotFoundError, IsADirectoryError, PermissionError …
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if not isinstance(path, (str, os.PathLike)):
            raise ApiTypeError(f"source must be a path, not {type(path).__name__}")
        try:
            mode = os.stat(path).st_mode
        except ValueError as error:
            raise ApiValueError(f"source cannot be the path of a file: {error}") from None
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise ApiValueError("source must be a regular file, not a pipe, socket or device")
        self._open(open(path, "rb", buffering=0), os.fsdecode(path), 0)  # noqa: SIM115
        self._require_size()

    @classmethod
    def opened(cls, descriptor: int, name: str) -> FileSource:
        """Return a source for an open file, which closes the descriptor.

        Raises:
            ApiValueError: The file is a pipe, a socket or a device.
        """
        file = open(descriptor, "rb", buffering=0)  # noqa: SIM115
        source = cls.__new__(cls)
        status = source._open(file, name, 0)
        if not stat.S_ISREG(status.st_mode):
            file.close()
            raise ApiValueError("source must be a regular file, not a pipe, socket or device")
        source._require_size()
        return source

    def _require_size(self) -> None:
        """Close and refuse a file that has bytes, but reports size 0, as in Linux's /proc."""
        try:
            if not self.size and self._file.read(1):
                raise ApiValueError(
                    "source must be a regular file with a size: it has bytes, but reports size 0"
                )
        except BaseException:
            self.close()
            raise

    @classmethod
    def of(cls, file: Any) -> FileSource:
        """Return a source for an open regular file, from its position to its end.

        The file itself stays open.
        """
        source = cls.__new__(cls)
        copy = open(os.dup(file.fileno()), "rb", buffering=0)  # noqa: SIM115
        source._open(copy, str(getattr(file, "name", "the file")), file.tell())
        return source

    def _open(self, file: io.FileIO, name: str, start: int) -> os.stat_result:
        self._file = file
        self._start = start
        self._lock = threading.Lock()
        self.name = name
        status = os.fstat(file.fileno())
        self.stamp = (status.st_size, status.st_mtime_ns)
        self._ctime = status.st_ctime_ns  # a program can set the time of modification back
        self.size = max(0, status.st_size - start)
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read_into(self, window: memoryview, offset: int) -> None:
        """Fill a window with the bytes at an offset.

        Raises:
            SourceChangedError: The file ends within the window.
            SourceError: The file cannot be read.
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

    def check_unchanged(self) -> None:
        """Raise SourceChangedError if the file was written to since it was opened.

        Its parts would hold bytes of two versions.
        """
        status = os.fstat(self._file.fileno())
        now = (status.st_size, status.st_mtime_ns)
        # Unlinking the file, or replacing it by another, changes the time too, but not its bytes.
        rewritten = status.st_ctime_ns != self._ctime and status.st_nlink
        if now != self.stamp or rewritten:
            raise SourceChangedError(
                f"{self.name} was changed during the upload: {self.stamp[0]} bytes at the start, "
                f"{status.st_size} at the end"
            )


class BytesSource:
    """The bytes of a BytesIO from its position on. The BytesIO cannot grow until this is closed."""

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
        """Fill a window with the bytes at an offset."""
        window[:] = self._data[offset : offset + len(window)]

    def check_unchanged(self) -> None:
        """Do nothing: the bytes cannot change."""


# A forked child must not write into its parent's buffers.
_PRIVATE = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(os, "fork") else {}


class Buffer(threading.local):
    """One page-aligned buffer per thread, reused for every window."""

    def __init__(self) -> None:
        self.view = memoryview(mmap.mmap(-1, WINDOW, **_PRIVATE))


buffer = Buffer()
