"""The private file that holds a download until it is whole."""

from __future__ import annotations

import errno
import logging
import os
import random
import re
import shutil
import stat
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from lakefs_client._body import WINDOW
from lakefs_client.exceptions import ApiTypeError, ApiValueError
from lakefs_client.transfer.local import Folder
from lakefs_client.transfer.source import FileSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

logger = logging.getLogger("lakefs_client.transfer")

_positions = threading.Lock()
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)
_NAME = re.compile(r"\..{0,50}\.[0-9a-f]{8}\.part", re.DOTALL)
# Errors of file systems that do not support a rename, such as mounts of object stores.
_REFUSED = {
    getattr(errno, name)
    for name in ("EPERM", "EACCES", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EINVAL", "EXDEV")
    if hasattr(errno, name)
}


class Target(NamedTuple):
    """The place for a download.

    Attributes:
        folder: The folder.
        name: Name of the file in it.
        status: Status of the file, or None if there is none.
    """

    folder: Folder
    name: str
    status: os.stat_result | None

    @classmethod
    def of(cls, path: str) -> Target:
        """Return the place of a file with an absolute path."""
        head, name = os.path.split(path)
        folder = Folder(head)
        return cls(folder, name, folder.status(name))

    def __str__(self) -> str:
        return self.folder.location(self.name)


class PartialFile:
    """A file beside its target that `publish` renames.

    If it replaces a file, only its owner can read it until then.

    Args:
        target: The place for the file.
        name: Name of an existing partial file to continue; by default a new file is made.

    Raises:
        OSError: The file cannot be made, or opened.
    """

    def __init__(self, target: Target, name: str | None = None) -> None:
        self._folder, self._target, status = target
        self._mode = None if status is None else status.st_mode & 0o777
        if name is None:
            self.name, self._descriptor = self._made()
        else:
            self.name, self._descriptor = name, self._reopened(name)

    @property
    def path(self) -> str:
        """The path of the file."""
        return self._folder.location(self.name)

    def _made(self) -> tuple[str, int]:
        """Make the file. Return its name and its descriptor."""
        mode = 0o666 if self._mode is None else 0o600
        while True:
            # A name has at most 255 bytes, and a character up to four.
            name = f".{self._target[:50]}.{random.getrandbits(32):08x}.part"
            try:
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
                return name, self._folder.open(name, flags, mode)
            except FileExistsError:
                continue
            except OSError as error:
                raise _described(error, self._folder.location(name)) from error

    def _reopened(self, name: str) -> int:
        """Open a file that a journal names. Raises FileNotFoundError for any other kind of file."""
        if not is_partial(name):
            raise FileNotFoundError(errno.ENOENT, "not the name of a partial file", name)
        try:
            descriptor = self._folder.open(name, os.O_RDWR | _NONBLOCK)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
                raise FileNotFoundError(errno.ENOENT, "not a regular file", name) from error
            raise
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise FileNotFoundError(errno.ENOENT, "not a regular file", self._folder.location(name))
        return descriptor

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

    def write(self, data: bytes, offset: int) -> None:
        """Write bytes at an offset. Only the thread that closes the file may call this."""
        self._write(self._descriptor, memoryview(data), offset)

    def read(self) -> FileSource:
        """Return the file as a source, which the caller closes."""
        return FileSource.opened(os.dup(self._descriptor), self.path)

    def publish(self) -> None:
        """Rename the file to its target, with the mode of the replaced file.

        A file system may refuse the mode, which is logged, or the rename, in whose place the bytes
        are copied.
        """
        try:
            if self._mode is not None:
                _change_mode(self._descriptor, self._mode)
        except OSError as error:
            logger.warning("%s: the mode stays as it is: %s", self.path, error)
        self.close()  # first: some file systems report a full disk only now
        try:
            self._folder.replace(self.name, self._target)
        except OSError as error:
            if error.errno not in _REFUSED:
                raise _described(error, self._folder.location(self._target)) from error
            self._copy(error)

    def _copy(self, refusal: OSError) -> None:
        """Copy the bytes to the target. Raise the refusal of the rename if that fails too."""
        folder = self._folder
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _NONBLOCK
            with (
                open(folder.open(self.name, os.O_RDONLY), "rb") as source,
                open(folder.open(self._target, flags, 0o666), "wb") as target,
            ):
                shutil.copyfileobj(source, target, WINDOW)
        except OSError:
            raise refusal from None
        logger.warning("%s: copied, since the rename failed: %s", self.path, refusal)
        self.remove()

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def remove(self) -> None:
        """Close and delete the file."""
        self.close()
        try:
            self._folder.unlink(self.name)
        except FileNotFoundError:
            pass

    def _write(self, descriptor: int, data: memoryview, offset: int) -> None:
        while data:
            try:
                written = self._write_at(descriptor, data, offset)
            except OSError as error:
                raise _described(error, self.path) from error
            data, offset = data[written:], offset + written

    if hasattr(os, "pwrite"):

        def _write_at(self, descriptor: int, data: memoryview, offset: int) -> int:
            return os.pwrite(descriptor, data, offset)

    else:  # Windows has one position for all threads

        def _write_at(self, descriptor: int, data: memoryview, offset: int) -> int:
            with _positions:
                os.lseek(descriptor, offset, os.SEEK_SET)
                return os.write(descriptor, data)


def is_partial(name: str) -> bool:
    """Return True if a name is that of a partial file."""
    return _NAME.fullmatch(name) is not None and os.path.basename(name) == name


def _described(error: OSError, path: str) -> OSError:
    """Return an error that names the file, and says what it is for."""
    return OSError(error.errno, f"{error.strerror} (the file receives a download)", path)


def _change_mode(descriptor: int, mode: int) -> None:
    if hasattr(os, "fchmod"):
        os.fchmod(descriptor, mode)


def resolved(target: str | os.PathLike[str], path: str) -> str:
    """Return the absolute path of the file to write; symbolic links are followed.

    A target that is a folder takes the name of the object at `path`.

    Raises:
        ApiTypeError: The target is not a str or os.PathLike.
        ApiValueError: The target is invalid, or names a pipe, a socket or a device.
        OSError: The target's folder does not exist, or has a folder in place of the file.
    """
    if not isinstance(target, (str, os.PathLike)):
        raise ApiTypeError(f"target must be a path, not {type(target).__name__}")
    name = os.fsdecode(target)
    try:
        if os.path.isdir(name):
            name = os.path.join(name, _name_of(path))
        real = os.path.realpath(name)
        if not os.path.basename(name) or os.path.isdir(real):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
        os.stat(os.path.join(os.path.dirname(real), ""))
    except ValueError as error:
        raise ApiValueError(f"target cannot be the path of a file: {error}") from None
    if os.path.exists(real) and not stat.S_ISREG(os.stat(real).st_mode):
        raise ApiValueError("target must be a regular file, not a pipe, socket or device")
    return real


def _name_of(path: str) -> str:
    """Return the last step of an object's path, if it can be the name of a file here."""
    name = path.rpartition("/")[2]
    foreign = {"\0", os.sep, os.altsep or os.sep} | ({":"} if os.name == "nt" else set())
    if name in ("", ".", "..") or foreign & {*name}:
        raise ApiValueError(
            f"target is a folder, and the object {path!r} has no name for a file in it. Name a file"
        )
    return name
