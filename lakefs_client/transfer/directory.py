"""Folders: what is in them, and what stands on the server's side of each."""

from __future__ import annotations

import os
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING

from lakefs_client._paginate import paginate
from lakefs_client.api.objects_api import ObjectsApi
from lakefs_client.exceptions import ApiTypeError, ApiValueError, NotFoundException
from lakefs_client.transfer.checksum import holds
from lakefs_client.transfer.download import download
from lakefs_client.transfer.source import FileSource, guess_content_type
from lakefs_client.transfer.target import Target
from lakefs_client.transfer.upload import Upload
from lakefs_client.transfer.walk import Entry, walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lakefs_client.api_client import ApiClient
    from lakefs_client.model.object_stats import ObjectStats
    from lakefs_client.transfer.many import DirectoryReport, Job, Run


def upload_directory(
    run: Run,
    folder: str,
    place: tuple[str, str, str],
    wanted: Filter,
    user_metadata: dict[str, str],
    *,
    follow_symlinks: bool,
    resume: bool,
) -> DirectoryReport:
    """Upload the files of a folder that differ from what stands at their paths in `place`: a
    repository, a branch, and a prefix with its slash.

    Raises:
        OSError: The folder cannot be read.
        ApiException: lakeFS knows no such branch.
        Exception: As for `Run.each`.
    """
    with os.scandir(folder):
        pass  # the error, if there is one, comes before anything is asked
    transfer, (repository, branch, prefix) = run.transfer, place
    client = transfer.api_client

    def job(entry: Entry, there: ObjectStats | None) -> tuple[bool, int]:
        with FileSource(entry.location) as file:
            if there is not None and _is_the_same(file, there, run):
                return False, file.size
            path = prefix + entry.path
            content_type = guess_content_type(path)
            target = Target(client, repository, branch, path, content_type, user_metadata)
            with run.turn(file.size):
                told, over = run.progress(), run.interrupt
                Upload(transfer, file, target, told, over).run(resume=resume)
            return True, file.size

    def jobs() -> Iterator[tuple[str, Job | Exception]]:
        standing = Standing(client, repository, branch, prefix)
        for entry in entries:
            # Nobody knows what would be included of a folder that cannot be read.
            if wanted.excludes(entry.path) or not (entry.error or wanted.includes(entry.path)):
                continue
            name = entry.path.encode("utf-8", "backslashreplace").decode()
            if entry.error is not None:
                yield name, entry.error
            elif name != entry.path:
                yield name, ApiValueError(f"the name {name!r} is not UTF-8")
            else:
                there = standing.find(prefix + entry.path)
                yield name, partial(job, entry, there)

    entries = walk(folder, follow_symlinks=follow_symlinks)
    return run.each(jobs())


def download_directory(
    run: Run, place: tuple[str, str, str], folder: str, wanted: Filter, *, resume: bool
) -> DirectoryReport:
    """Download the objects in `place` (a repository, a ref, and a prefix with its slash) that
    differ from the files at their places in a folder, which is made where it is missing.

    Raises:
        OSError: The folder cannot be made.
        ApiException: lakeFS knows no such ref.
        Exception: As for `Run.each`.
    """
    transfer, (repository, ref, prefix) = run.transfer, place
    os.makedirs(folder, exist_ok=True)
    root = os.path.realpath(folder)

    def job(stats: ObjectStats, path: str) -> tuple[bool, int]:
        size = stats.get("size_bytes", 0)
        file = place_below(root, path.removesuffix("/"))
        if path.endswith("/"):
            if size:
                raise ApiValueError(f"{stats.path!r} has bytes, and the name of a folder")
            there = os.path.isdir(file)
            os.makedirs(file, exist_ok=True)
            return not there, 0
        if os.path.isfile(file):
            with FileSource(file) as source:
                if _is_the_same(source, stats, run):
                    return False, size
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with run.turn(size):
            where, told = (repository, ref, stats.path), run.progress()
            download(transfer, where, file, told, resume=resume, within=run.interrupt)
        return True, size

    def jobs() -> Iterator[tuple[str, Job | Exception]]:
        objects = ObjectsApi(transfer.api_client)
        for stats in paginate(objects.list_objects, repository, ref, prefix=prefix, amount=1000):
            path = stats.path.removeprefix(prefix)
            if path and wanted.includes(path) and not wanted.excludes(path):
                yield path, partial(job, stats, path)

    return run.each(jobs())


class Filter:
    """Which paths to transfer: those that match one of the patterns to include, if there are any,
    and none of those to exclude. In them ``*`` stands for slashes as well.

    Raises:
        ApiTypeError: A pattern is no str.
    """

    def __init__(self, include: str | Sequence[str], exclude: str | Sequence[str]) -> None:
        self._include = _patterns("include", include)
        self._exclude = _patterns("exclude", exclude)

    def includes(self, path: str) -> bool:
        """Whether a path matches a pattern of those that are wanted."""
        return not self._include or any(fnmatchcase(path, one) for one in self._include)

    def excludes(self, path: str) -> bool:
        """Whether a path matches a pattern of those that are not wanted."""
        return any(fnmatchcase(path, one) for one in self._exclude)


def _patterns(name: str, value: str | Sequence[str]) -> tuple[str, ...]:
    patterns = (value,) if isinstance(value, str) else value
    if not isinstance(patterns, Iterable) or not all(isinstance(one, str) for one in patterns):
        raise ApiTypeError(f"{name} must be a pattern or a list of patterns")
    return tuple(patterns)


def folder_prefix(prefix: object) -> str:
    """A prefix of paths with a slash at its end, or more, since objects may have such paths;
    unless it is empty.

    Raises:
        ApiTypeError: It is no str.
    """
    if not isinstance(prefix, str):
        raise ApiTypeError(f"prefix must be a str, not {type(prefix).__name__}")
    return prefix if not prefix or prefix.endswith("/") else f"{prefix}/"


class Standing:
    """What stands on a branch, looked up in the order in which servers list paths.

    A page of the listing serves as long as it reaches; where it does not reach far enough, one
    object is asked for by itself, so that few files below a long listing cost few requests.

    Raises:
        ApiException: lakeFS knows no such branch, or the caller may not read it.
    """

    def __init__(self, client: ApiClient, repository: str, branch: str, prefix: str) -> None:
        self._objects = ObjectsApi(client)
        self._place = (repository, branch)
        self._prefix = prefix
        self._last = ""
        self._turn()

    def find(self, path: str) -> ObjectStats | None:
        """The object at a path that comes after those that were asked for before."""
        if not self._reaches(path):
            self._turn()
        self._last = path
        if self._reaches(path):
            return self._page.get(path)
        try:
            return self._objects.stat_object(*self._place, path)
        except NotFoundException:
            return None

    def _reaches(self, path: str) -> bool:
        return self._end is None or path.encode() <= self._end

    def _turn(self) -> None:
        """Have the page that comes after the last path."""
        page = self._objects.list_objects(
            *self._place, prefix=self._prefix, after=self._last, amount=1000
        )
        self._page = {stats.path: stats for stats in page.results}
        more = page.pagination.has_more and page.results
        self._end = page.results[-1].path.encode() if more else None


def _is_the_same(file: FileSource, stats: ObjectStats, run: Run) -> bool:
    """Whether an object has the bytes of a file, as far as its size and checksum tell."""
    checksum, part_size = stats.checksum.strip('"'), run.transfer.config.part_size
    same_size = stats.get("size_bytes") == file.size
    return same_size and holds(file, checksum, part_size, run.interrupt.is_set)


def place_below(folder: str, path: str) -> str:
    """Where the file for an object's path is: never outside the folder, which is an absolute path
    without symbolic links.

    Raises:
        ApiValueError: The path has no place in the folder, or a link in it leads out of it.
    """
    steps = path.split("/")
    foreign = {"\0", os.sep, os.altsep or os.sep} - {"/"} | ({":"} if os.name == "nt" else set())
    if any(step in ("", ".", "..") or foreign & {*step} for step in steps):
        raise ApiValueError(f"the path {path!r} has no place in the file system")
    place = os.path.join(folder, *steps)
    if os.path.commonpath([folder, os.path.realpath(place)]) != folder:
        raise ApiValueError(f"the path {path!r} would leave the folder by a symbolic link")
    return place
