"""The private file that holds a download until it is whole."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lakefs_client.exceptions import ApiTypeError, ApiValueError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_FLAGS = (
    os.O_RDWR
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


class PartialFile:
    """A file beside its target that only its owner can read, and that `publish` renames.

    Args:
        target: Absolute path of the target.
        name: Name of an existing partial file to continue; by default a new file is made.

    Raises:
        OSError: The file cannot be made, or opened.
    """

    def __init__(self, target: str, name: str | None = None) -> None:
        self._target = target
        folder, base = os.path.split(target)
        if name is None:
            # A name has at most 255 bytes, and a character up to four.
            self._descriptor, self.path = tempfile.mkstemp(".part", f".{base[:50]}.", folder)
        else:
            self.path = os.path.join(folder, name)
            self._descriptor = os.open(self.path, _FLAGS)
        self._lock = threading.Lock()

    @contextmanager
    def writer(self) -> Iterator[Callable[[bytes, int], None]]:
        """Yield a function that writes bytes at an offset, with a descriptor of its own.

        With a shared descriptor, a late thread could write into another file that was given the
        number of the closed one.
        """
        descriptor = os.dup(self._descriptor)
        try:
            yield lambda data, offset: self._write(descriptor, memoryview(data), offset)
        finally:
            os.close(descriptor)

    def publish(self) -> None:
        """Rename the file to its target, with the mode of the replaced file or of a new one."""
        self.close()  # first: some file systems report a full disk only now
        os.chmod(self.path, self._mode())
        os.replace(self.path, self._target)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def remove(self) -> None:
        """Close and delete the file."""
        self.close()
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass

    def _write(self, descriptor: int, data: memoryview, offset: int) -> None:
        while data:
            written = self._write_at(descriptor, data, offset)
            data, offset = data[written:], offset + written

    if hasattr(os, "pwrite"):

        def _write_at(self, descriptor: int, data: memoryview, offset: int) -> int:
            return os.pwrite(descriptor, data, offset)

    else:  # Windows has one position for all threads

        def _write_at(self, descriptor: int, data: memoryview, offset: int) -> int:
            with self._lock:
                os.lseek(descriptor, offset, os.SEEK_SET)
                return os.write(descriptor, data)

    def _mode(self) -> int:
        try:
            return os.stat(self._target).st_mode & 0o777
        except FileNotFoundError:
            pass
        # os.umask can be read only by changing it for all threads; a new file shows it.
        probe = f"{self.path}~"
        descriptor = os.open(probe, os.O_CREAT | os.O_EXCL, 0o666)
        try:
            return os.fstat(descriptor).st_mode & 0o777
        finally:
            os.close(descriptor)
            os.unlink(probe)


def resolved(target: str | os.PathLike[str]) -> str:
    """Return the absolute path of the file to write; symbolic links are followed.

    Raises:
        ApiTypeError: The target is not a str or os.PathLike.
        ApiValueError: The target is invalid, or names a pipe, a socket or a device.
        OSError: The target is a directory, or its directory does not exist.
    """
    if not isinstance(target, (str, os.PathLike)):
        raise ApiTypeError(f"target must be a path, not {type(target).__name__}")
    name = os.fsdecode(target)
    try:
        path = os.path.realpath(name)
        if not os.path.basename(name) or os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
        os.stat(os.path.join(os.path.dirname(path), ""))
    except ValueError as error:
        raise ApiValueError(f"target cannot be the path of a file: {error}") from None
    if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):
        raise ApiValueError("target must be a regular file, not a pipe, socket or device")
    return path
