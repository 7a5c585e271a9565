"""The files of a folder, in the order in which a server lists their paths."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple


class FoundFile(NamedTuple):
    """A file that was found, a symbolic link that is left out, or a folder that cannot be read.

    Attributes:
        path: Path relative to the folder, with slashes.
        location: Path in the file system.
        error: The reason why a folder cannot be read, or None.
        link: True for a symbolic link that is left out.
    """

    path: str
    location: str
    error: OSError | None = None
    link: bool = False


class _Folder:
    """A folder, and the names in it that are still to come."""

    def __init__(self, entry: FoundFile, follow: bool, links: bool) -> None:
        status = os.stat(entry.location)
        self.entry = entry
        self.identity = (status.st_dev, status.st_ino)
        # The last one first, so that each can be dropped.
        self.names = sorted(_names(entry.location, follow, links), reverse=True)


def walk(folder: str, *, follow_symlinks: bool = False, links: bool = False) -> Iterator[FoundFile]:
    """Yield every file below a folder, in the order of its path's bytes.

    The names of one folder at a time are sorted in memory. `links` yields the symbolic links too
    that are not followed.

    Raises:
        OSError: The folder itself cannot be read.
    """
    # No recursion: a path may have more steps than Python has frames.
    above = [_Folder(FoundFile("", folder), follow_symlinks, links)]
    while above:
        if not above[-1].names:
            above.pop()
            continue
        name = above[-1].names.pop()
        parent, step = above[-1].entry, os.fsdecode(name.rstrip(b"/\0"))
        path = f"{parent.path}/{step}" if parent.path else step
        entry = FoundFile(path, os.path.join(parent.location, step), None, name.endswith(b"\0"))
        if not name.endswith(b"/"):
            yield entry
            continue
        try:
            below = _Folder(entry, follow_symlinks, links)
            if any(below.identity == folder.identity for folder in above):
                raise OSError("symbolic link loop")
        except OSError as error:
            yield entry._replace(error=error)
        else:
            above.append(below)


def _names(folder: str, follow: bool, links: bool) -> Iterator[bytes]:
    """Yield the names in a folder. A folder's name ends with a slash, as on the server, and that of
    a symbolic link that is left out with a zero."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if follow or not entry.is_symlink():
                yield os.fsencode(entry.name) + (b"/" if _is_folder(entry, follow) else b"")
            elif links:
                yield os.fsencode(entry.name) + b"\0"


def _is_folder(entry: os.DirEntry[str], follow: bool) -> bool:
    try:
        return entry.is_dir(follow_symlinks=follow)
    except OSError:
        return False  # a link to itself, or to a forbidden place; opening it reports the error
