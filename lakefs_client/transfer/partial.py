"""The private file that a download goes to until it is whole."""

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
    """A file beside its target, for its owner alone, which takes the target's name in the end:
    one of a name to go on with, or a new one.

    Raises:
        OSError: It cannot be made, or opened.
    """

    def __init__(self, target: str, name: str | None = None) -> None:
        self._target = target
        folder, base = os.path.split(target)
        if name is None:
            # Names have 255 bytes at the most, and characters up to four.
            self._descriptor, self.path = tempfile.mkstemp(".part", f".{base[:50]}.", folder)
        else:
            self.path = os.path.join(folder, name)
            self._descriptor = os.open(self.path, _FLAGS)
        self._lock = threading.Lock()

    @contextmanager
    def writer(self) -> Iterator[Callable[[bytes, int], None]]:
        """What writes bytes at an offset. It has a descriptor of its own: a thread that is late
        would write into whatever file got the number of one that is closed."""
        descriptor = os.dup(self._descriptor)
        try:
            yield lambda data, offset: self._write(descriptor, memoryview(data), offset)
        finally:
            os.close(descriptor)

    def publish(self) -> None:
        """Give it the target's name, and the mode of the file that it replaces or a new one's."""
        self.close()  # before, since some file systems tell only then that they are full
        os.chmod(self.path, self._mode())
        os.replace(self.path, self._target)

    def close(self) -> None:
        """Close it."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def remove(self) -> None:
        """Close it, and remove it."""
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
        # os.umask tells what it is by changing it, for all threads: another file shows it.
        probe = f"{self.path}~"
        descriptor = os.open(probe, os.O_CREAT | os.O_EXCL, 0o666)
        try:
            return os.fstat(descriptor).st_mode & 0o777
        finally:
            os.close(descriptor)
            os.unlink(probe)


def resolved(target: str | os.PathLike[str]) -> str:
    """The absolute path of the file that is to be written; symbolic links are followed.

    Raises:
        ApiTypeError: The target is no str or os.PathLike.
        ApiValueError: It is no path, or leads to a pipe, a socket or a device.
        OSError: It is a directory, or in none: IsADirectoryError, FileNotFoundError …
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
        raise ApiValueError("target must be a regular file; it is a pipe, socket or device")
    return path
