"""The files of a folder in the order in which a server lists their paths, whatever their number."""

from __future__ import annotations

import heapq
import os
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import IO, NamedTuple

RUN = 50_000
"""How many names of one folder are sorted in memory at a time."""


class Entry(NamedTuple):
    """What was found: a file, or what is of no use because of an error.

    Its path is relative to the folder, and has slashes between its steps.
    """

    path: str
    location: str
    error: OSError | None = None


class _Folder:
    """A folder, and what of it is still to come."""

    def __init__(self, entry: Entry, follow: bool) -> None:
        status = os.stat(entry.location)
        self.entry = entry
        self.identity = (status.st_dev, status.st_ino)
        self.names = sorted_in_runs(_names(entry.location, follow))


def walk(folder: str, *, follow_symlinks: bool) -> Iterator[Entry]:
    """Every file below a folder, in the order of its path's bytes. Links are passed over unless
    they are to be followed.

    Raises:
        OSError: The folder itself cannot be read.
    """
    # No recursion: paths may have more steps than Python has frames.
    above = [_Folder(Entry("", folder), follow_symlinks)]
    while above:
        here = above[-1].entry
        try:
            name = next(above[-1].names, None)
        except OSError as error:
            if len(above) == 1:
                raise
            yield here._replace(error=error)
            name = None
        if name is None:
            above.pop()
            continue
        step = os.fsdecode(name.rstrip(b"/"))
        path = f"{here.path}/{step}" if here.path else step
        entry = Entry(path, os.path.join(here.location, step))
        if not name.endswith(b"/"):
            yield entry
            continue
        try:
            below = _Folder(entry, follow_symlinks)
            if any(below.identity == one.identity for one in above):
                raise OSError("a symbolic link leads back to a folder that it is in")
        except OSError as error:
            yield entry._replace(error=error)
        else:
            above.append(below)


def _names(folder: str, follow: bool) -> Iterator[bytes]:
    """The names in a folder; those of folders end with a slash, as on the server's side."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if follow or not entry.is_symlink():
                slash = b"/" if _is_folder(entry, follow) else b""
                yield os.fsencode(entry.name) + slash


def _is_folder(entry: os.DirEntry[str], follow: bool) -> bool:
    try:
        return entry.is_dir(follow_symlinks=follow)
    except OSError:
        return False  # a link to itself, or to where one may not look: opening it tells


def sorted_in_runs(names: Iterable[bytes]) -> Iterator[bytes]:
    """Sort names of which memory may not hold all: runs of them wait in temporary files."""
    names = iter(names)
    runs: list[IO[bytes]] = []
    try:
        while run := sorted(islice(names, RUN)):
            if len(run) < RUN and not runs:
                yield from run
                return
            file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed below)
            runs.append(file)
            # No name holds a NUL, but newlines are possible.
            file.writelines(name + b"\0" for name in run)
            file.seek(0)
        yield from heapq.merge(*map(_split, runs))
    finally:
        for file in runs:
            file.close()


def _split(file: IO[bytes]) -> Iterator[bytes]:
    rest = b""
    while block := file.read(1 << 12):
        *names, rest = (rest + block).split(b"\0")
        yield from names
