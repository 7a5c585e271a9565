"""The part of the file system that reads bytes: whole objects and ranges of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from lakefs_client.fs import bulk
from lakefs_client.fs.errors import os_errors
from lakefs_client.fs.location import expand, parse
from lakefs_client.fs.parallel import in_parallel
from lakefs_client.fs.ranges import bounds, read_range, read_ranges
from lakefs_client.fs.tree import Tree
from lakefs_client.transfer.download.remote import RemoteObject
from lakefs_client.uri import ObjectRef

if TYPE_CHECKING:
    from lakefs_client.transfer.context import TransferContext

    Path = str | os.PathLike[str]


class ReadMethods(Tree):
    """The methods that return bytes.

    Attributes:
        reads: Client, settings and limits of reads.
    """

    reads: TransferContext

    def _remote(self, name: str) -> RemoteObject:
        """Return the object, whose ranges many threads may read."""
        with os_errors(name):
            return RemoteObject(self.reads, ObjectRef(*parse(name)))

    def cat_file(
        self, path: Path, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        """Return the bytes of an object, or of a range; negative offsets count from its end."""
        remote = self._remote(self._strip_protocol(path))
        return read_range(remote, *bounds(start, end, remote.size))

    def cat(self, path: Any, recursive: bool = False, on_error: str = "raise", **_: Any) -> Any:
        """Return the bytes of an object; of several, a dict of them by name, read in parallel.

        Args:
            path: A path, a pattern, or a list of them.
            recursive: Read all objects in folders.
            on_error: ``"raise"``, ``"omit"`` the object, or ``"return"`` the exception.
        """
        found = expand(self, path, recursive=recursive, maxdepth=None)
        names = [name for name, info in found.items() if not bulk.is_folder(info)]
        if isinstance(path, (str, os.PathLike)) and names == [self._strip_protocol(path)]:
            return self.cat_file(names[0])
        results = in_parallel(
            self.cat_file, [(name,) for name in names], keep_errors=on_error != "raise"
        )
        return {
            name: result
            for name, result in zip(names, results)
            if on_error != "omit" or not isinstance(result, Exception)
        }

    def cat_ranges(
        self,
        paths: list[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        on_error: str = "return",
        **_: Any,
    ) -> list[Any]:
        """Return ranges of objects, read in parallel.

        Args:
            paths: The object of each range.
            starts: Its first byte; one number for all, or a list.
            ends: The byte behind it.
            max_gap: Read ranges of one object together that are at most this far apart.
            on_error: ``"return"`` the exception in place of the bytes, or ``"raise"`` it.
        """
        if not isinstance(paths, list):
            raise TypeError("paths must be a list")
        starts = starts if isinstance(starts, list) else [starts] * len(paths)
        ends = ends if isinstance(ends, list) else [ends] * len(paths)
        if not len(paths) == len(starts) == len(ends):
            raise ValueError("paths, starts and ends must have one length")
        names = self._strip_protocol(paths)
        return read_ranges(
            self._remote,
            list(zip(names, starts, ends)),
            max_gap=max_gap,
            keep_errors=on_error == "return",
        )
