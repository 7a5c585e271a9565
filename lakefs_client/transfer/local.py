"""Files below a folder, opened by descriptors that no exchanged symbolic link can redirect."""

from __future__ import annotations

import os
import stat
import threading
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from lakefs_client.exceptions import ApiValueError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

MAX_OPEN = 32
"""Number of folders below a root that stay open for the next file."""
_DESCRIPTORS = {os.open, os.mkdir, os.stat, os.unlink, os.rename, os.rmdir} <= os.supports_dir_fd
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_FILE = _NOFOLLOW | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)


class Folder(NamedTuple):
    """A folder. Its files are opened by their names in it.

    Attributes:
        path: Absolute path.
        descriptor: Descriptor of the open folder; None to use the path instead.
    """

    path: str
    descriptor: int | None = None

    def location(self, name: str) -> str:
        """Return the path of a file, for messages."""
        return os.path.join(self.path, name)

    def open(self, name: str, flags: int, mode: int = 0o600) -> int:
        """Open a file that is not a symbolic link, and return its descriptor."""
        return os.open(self._at(name), flags | _FILE, mode, dir_fd=self.descriptor)

    def status(self, name: str) -> os.stat_result | None:
        """Return the status of a file or symbolic link, or None if there is none."""
        try:
            return os.stat(self._at(name), dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def replace(self, source: str, target: str) -> None:
        """Rename a file, in place of an existing one."""
        at, descriptor = self._at, self.descriptor
        os.replace(at(source), at(target), src_dir_fd=descriptor, dst_dir_fd=descriptor)

    def unlink(self, name: str) -> None:
        """Delete a file."""
        os.unlink(self._at(name), dir_fd=self.descriptor)

    def rmdir(self, name: str) -> None:
        """Delete an empty folder."""
        os.rmdir(self._at(name), dir_fd=self.descriptor)

    def mkdir(self, name: str) -> bool:
        """Make a folder. Return False if it exists."""
        try:
            os.mkdir(self._at(name), dir_fd=self.descriptor)
        except FileExistsError:
            return False
        return True

    def _at(self, name: str) -> str:
        return os.path.join(self.path, name) if self.descriptor is None else name


class _Open:
    """An open folder that several threads may use."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.users = 1

    def close(self) -> None:
        if self.folder.descriptor is not None:
            os.close(self.folder.descriptor)


class LocalTree:
    """The folders below a root. Nothing outside the root is opened.

    Each step of a path is opened by itself, and not if it is a symbolic link. A link that leads to
    a place below the root is resolved first. Threads may share the tree.

    Args:
        root: Path of the root, which exists.

    Raises:
        OSError: The root is not a folder, or cannot be read.
    """

    def __init__(self, root: str) -> None:
        self.root = os.path.realpath(root)
        self._name_max, self._path_max = _limits(self.root)
        self._lock = threading.Lock()
        descriptor = os.open(self.root, _FOLDER) if _DESCRIPTORS else None
        self._cache = OrderedDict({"": _Open(Folder(self.root, descriptor))})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the folders that no thread uses. The others close after their use."""
        with self._lock:
            folders, self._cache = [*self._cache.values()], OrderedDict()
            folders[0].users -= 1  # the root counts the tree itself
            for folder in folders:
                if not folder.users:
                    folder.close()

    def check(self, path: str) -> None:
        """Check that a file of this file system may have a path below the root.

        Raises:
            ApiValueError: It may not.
        """
        steps = path.split("/")
        foreign = {"\0", os.sep, os.altsep or os.sep} - {"/"}
        foreign |= {":"} if os.name == "nt" else set()
        if any(step in ("", ".", "..") or foreign & {*step} for step in steps):
            raise ApiValueError(f"the path {path!r} is not possible in this file system")
        longest = max(len(os.fsencode(step)) for step in steps)
        total = len(os.fsencode(self.root)) + 1 + len(os.fsencode(path))
        if longest > self._name_max or total >= self._path_max:
            raise ApiValueError(
                f"the path {path[:100]!r}… is too long for this file system: a name may have "
                f"{self._name_max} bytes, and a path {self._path_max - 1}"
            )

    @contextmanager
    def parent(
        self, path: str, *, create: bool = False
    ) -> Iterator[tuple[Folder, str, os.stat_result | None]]:
        """Yield the folder of a file below the root, the file's name in it, and its status.

        `create` makes missing folders.

        Raises:
            ApiValueError: The path is not possible, or a symbolic link leads out of the root.
            OSError: A folder cannot be opened or made.
        """
        self.check(path)
        head, _, name = path.rpartition("/")
        with self.folder(head, create=create) as folder:
            status = folder.status(name)
            if status is None or not stat.S_ISLNK(status.st_mode):
                yield folder, name, status
                return
        head, _, name = self._resolved(path).rpartition("/")
        with self.folder(head, create=create) as folder:
            yield folder, name, folder.status(name)

    @contextmanager
    def folder(self, path: str, *, create: bool = False, links: bool = True) -> Iterator[Folder]:
        """Yield an open folder below the root. Raises as `parent`.

        `links` resolves symbolic links; without it, they are errors.
        """
        try:
            entry = self._acquire(path, create)
        except OSError:
            if not links:
                raise
            resolved = self._resolved(path)
            if resolved == path:
                raise
            entry = self._acquire(resolved, create)
        try:
            yield entry.folder
        finally:
            with self._lock:
                self._release(entry)

    def _resolved(self, path: str) -> str:
        """Return the path below the root that a path with symbolic links leads to."""
        real = os.path.realpath(os.path.join(self.root, path))
        if os.path.commonpath([self.root, real]) != self.root:
            raise ApiValueError(f"the path {path!r} would leave the folder by a symbolic link")
        below = os.path.relpath(real, self.root)
        return "" if below == os.curdir else below.replace(os.sep, "/")

    def _acquire(self, path: str, create: bool) -> _Open:
        with self._lock:
            known = self._cache.get(path)
            if known is not None:
                known.users += 1
                self._cache.move_to_end(path)
                return known
            head, steps = path, list[str]()
            while head not in self._cache:
                head, _, step = head.rpartition("/")
                steps.append(step)
            start = self._cache[head]
            start.users += 1
        try:
            opened = _Open(_descend(start.folder, steps[::-1], create))
        finally:
            with self._lock:
                self._release(start)
        with self._lock:
            known = self._cache.setdefault(path, opened)
            if known is not opened:
                opened.close()
                known.users += 1
            self._evict()
            return known

    def _release(self, entry: _Open) -> None:
        entry.users -= 1
        if not entry.users and entry not in self._cache.values():
            entry.close()

    def _evict(self) -> None:
        """Close the folders that were not used for the longest time."""
        unused = [path for path, entry in self._cache.items() if not entry.users]
        for path in unused[: max(0, len(self._cache) - MAX_OPEN)]:
            self._cache.pop(path).close()


def _descend(start: Folder, steps: list[str], create: bool) -> Folder:
    """Open a folder below another, step by step. Delete what was made if a step fails."""
    made: list[str] = []
    folder = start
    try:
        for step in steps:
            if create and folder.mkdir(step):
                made.append(folder.location(step))
            below = _step(folder, step)
            if folder is not start:
                _close(folder)
            folder = below
    except BaseException:
        if folder is not start:
            _close(folder)
        for path in reversed(made):
            _remove(path)
        raise
    return folder


def _step(folder: Folder, name: str) -> Folder:
    path = folder.location(name)
    if folder.descriptor is not None:
        return Folder(path, os.open(name, _FOLDER | _NOFOLLOW, dir_fd=folder.descriptor))
    if os.path.islink(path) or not os.path.isdir(path):
        raise NotADirectoryError(f"not a folder: {path!r}")
    return Folder(path)


def _close(folder: Folder) -> None:
    if folder.descriptor is not None:
        os.close(folder.descriptor)


def _remove(path: str) -> None:
    try:
        os.rmdir(path)
    except OSError:
        pass  # another thread has put a file there


def _limits(root: str) -> tuple[int, int]:
    """Return the number of bytes that a name, and a path with its final zero, may have."""
    try:
        return os.pathconf(root, "PC_NAME_MAX"), os.pathconf(root, "PC_PATH_MAX")
    except (AttributeError, OSError, ValueError):
        return 255, 4096
