"""The download of a directory, skipping unchanged files."""

from __future__ import annotations

import errno
import os
import stat
import sys
import unicodedata
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from lakefs_client.exceptions import ApiValueError
from lakefs_client.transfer.checksum import file_has_checksum
from lakefs_client.transfer.directory.delete import Surplus
from lakefs_client.transfer.directory.listing import list_objects
from lakefs_client.transfer.directory.report import DirectoryEntry
from lakefs_client.transfer.directory.walk import FoundFile, walk
from lakefs_client.transfer.download.file import download
from lakefs_client.transfer.download.partial import Target, is_partial
from lakefs_client.transfer.local import LocalTree
from lakefs_client.transfer.source import FileSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakefs_client.transfer.directory.job import DirectoryJob, FileTask
    from lakefs_client.transfer.directory.paths import Filter
    from lakefs_client.transfer.directory.report import DirectoryReport
    from lakefs_client.transfer.download.remote import ListedObject
    from lakefs_client.uri import ObjectRef

_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)


@dataclass
class DirectoryDownload:
    """The download of the objects below a prefix that differ from the files at their places.

    Attributes:
        job: The job.
        source: Repository and ref, and as the path the prefix with its slash.
        folder: Path of the folder, which is made if it does not exist.
        wanted: The paths to transfer.
        resume: Keep journals of files that are received in several ranges.
        delete: Delete the files that lakeFS lacks.
    """

    job: DirectoryJob
    source: ObjectRef
    folder: str
    wanted: Filter
    resume: bool
    delete: bool

    def run(self) -> DirectoryReport:
        """Download, and then delete.

        Raises:
            OSError: The folder cannot be made.
            ApiException: lakeFS has no such ref.
            Exception: As for `DirectoryJob.run`.
        """
        job, self._tree = self.job, None
        with ExitStack() as stack:
            if not job.dry_run:
                os.makedirs(self.folder, exist_ok=True)
            if not job.dry_run or os.path.isdir(self.folder):
                self._tree = stack.enter_context(LocalTree(self.folder))
            self._empty = self._tree is None or not os.listdir(self._tree.root)
            local = None
            if self.delete and self._tree is not None:
                local = _LocalListing(self._tree, self.wanted)
            report = job.run(self._tasks(local))
            if local is not None:
                job.delete(local.surplus.entries, partial(self._delete, local))
                if not job.dry_run:
                    local.remove_empty_folders()
            return report

    def _tasks(self, local: _LocalListing | None) -> Iterator[tuple[str, FileTask | Exception]]:
        job, prefix = self.job, len(self.source.path)
        for listed in list_objects(job.context, self.source, self._needs_urls):
            path = listed.stats.path[prefix:]
            if local is not None:
                yield from local.find(path)
            if path and self.wanted.includes(path) and not self.wanted.excludes(path):
                job.found(listed.stats.get("size_bytes", 0))
                yield path, partial(self._transfer, listed, path)
        if local is not None:
            yield from local.finish()

    def _needs_urls(self) -> bool:
        """Return True if the next page shall have URLs: most files will be transferred."""
        report = self.job.report
        if self.job.dry_run:
            return False
        return report.transferred > report.skipped or (self._empty and not report.skipped)

    def _transfer(self, listed: ListedObject, path: str) -> tuple[DirectoryEntry]:
        job, size = self.job, listed.stats.get("size_bytes", 0)
        if path.endswith("/"):
            return self._make_folder(path, size)
        if self._tree is None:
            return (DirectoryEntry(path, "transferred", size, "new"),)
        with ExitStack() as stack:
            try:
                parent = self._tree.parent(path, create=not job.dry_run)
                target = Target(*stack.enter_context(parent))
            except FileNotFoundError:
                if not job.dry_run:
                    raise
                return (DirectoryEntry(path, "transferred", size, "new"),)
            reason = self._difference(target, listed)
            if reason is None:
                return job.skipped(path, size)
            if not job.dry_run:
                with job.slot(size) as context:
                    download(
                        context,
                        replace(self.source, path=listed.stats.path),
                        target,
                        job.file_progress(),
                        resume=self.resume and size > context.config.part_size,
                        cancellation=job.cancellation,
                        listed=listed,
                    )
            return (DirectoryEntry(path, "transferred", size, reason),)

    def _make_folder(self, path: str, size: int) -> tuple[DirectoryEntry]:
        """Create the folder of an object whose path ends with a slash."""
        if size:
            raise ApiValueError(f"{path!r} has bytes, and the name of a folder")
        exists = False
        if self._tree is not None:
            self._tree.check(path[:-1])
            exists = os.path.isdir(os.path.join(self._tree.root, path))
            if not self.job.dry_run:
                with self._tree.folder(path[:-1], create=True):
                    pass
        if exists:
            return self.job.skipped(path, 0)
        return (DirectoryEntry(path, "transferred", 0, "new"),)

    def _difference(self, target: Target, listed: ListedObject) -> str | None:
        """Return the reason to download an object, or None if the file is the same."""
        folder, name, status = target
        if status is None:
            return "new"
        location = str(target)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), location)
        if not stat.S_ISREG(status.st_mode):
            raise ApiValueError(f"{location!r} is not a regular file")
        if status.st_size != listed.stats.get("size_bytes", 0):
            return "other size"
        checksum = listed.stats.checksum.strip('"')
        job = self.job
        with FileSource.opened(folder.open(name, _READ), location) as file:
            part_size = job.context.config.part_size
            if file_has_checksum(file, checksum, part_size, job.cancellation.is_set):
                return None
        return "other checksum"

    def _delete(self, local: _LocalListing, batch: list[DirectoryEntry]) -> list[DirectoryEntry]:
        deleted = []
        for entry in batch:
            try:
                if not self.job.dry_run:
                    local.delete(entry.path)
                deleted.append(entry)
            except OSError as error:
                self.job.fail(entry.path, error)
        return deleted


class _LocalListing:
    """The files of the target folder, which tell those that the listing of objects lacks.

    Attributes:
        surplus: The files to delete.
    """

    def __init__(self, tree: LocalTree, wanted: Filter) -> None:
        self._tree = tree
        self._files = walk(tree.root)
        self._head = next(self._files, None)
        self._emptied: set[str] = set()
        self._folders: set[str] = set()  # of which lakeFS has an object
        self._ignores_case = _ignores_case(tree.root)
        self._names: set[int] = set()
        self.surplus = Surplus(wanted, 0)

    def find(self, path: str) -> Iterator[tuple[str, Exception]]:
        """Note that lakeFS has a path. Paths must come in ascending order.

        Yield the folders that cannot be read.
        """
        key = path.encode()
        if path.endswith("/"):
            self._folders.add(path[:-1])
        if self._ignores_case:
            self._names.add(_folded(path))
        while self._head is not None and os.fsencode(self._head.path) < key:
            yield from self._pass(self._head)
            self._head = next(self._files, None)
        if self._head is not None and os.fsencode(self._head.path) == key:
            self._head = next(self._files, None)

    def finish(self) -> Iterator[tuple[str, Exception]]:
        """Pass the files after the last path."""
        while self._head is not None:
            yield from self._pass(self._head)
            self._head = next(self._files, None)

    def _pass(self, found: FoundFile) -> Iterator[tuple[str, Exception]]:
        if found.error is not None:
            yield os.fsencode(found.path).decode("utf-8", "backslashreplace"), found.error
        elif not is_partial(os.path.basename(found.path)):
            try:
                size = os.lstat(found.location).st_size
            except OSError:
                return  # deleted by others
            self.surplus.add_path(found.path, size)

    def delete(self, path: str) -> None:
        """Delete a file, but never through a symbolic link."""
        if self._ignores_case and _folded(path) in self._names:
            raise OSError(errno.EEXIST, "the file system gives this name to another object", path)
        head, _, name = path.rpartition("/")
        with self._tree.folder(head, links=False) as folder:
            status = folder.status(name)
            if status is None:
                return
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "not a regular file", folder.location(name))
            folder.unlink(name)
        self._emptied.add(head)

    def remove_empty_folders(self) -> None:
        """Remove the folders that the deletions emptied."""
        for path in sorted(self._emptied, reverse=True):
            while path and path not in self._folders:
                head, _, name = path.rpartition("/")
                try:
                    with self._tree.folder(head, links=False) as folder:
                        folder.rmdir(name)
                except OSError:
                    break  # not empty
                path = head


def _folded(path: str) -> int:
    return hash(unicodedata.normalize("NFC", path).casefold())


def _ignores_case(root: str) -> bool:
    """Return True if names that differ in case only may be those of one file."""
    if sys.platform in ("win32", "darwin"):
        return True
    head, name = os.path.split(root)
    other = os.path.join(head, name.swapcase())
    return name != name.swapcase() and os.path.exists(other) and os.path.samefile(root, other)
