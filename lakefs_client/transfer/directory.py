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
from lakefs_client.transfer.upload import upload
from lakefs_client.transfer.walk import Entry, walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lakefs_client.model.object_stats import ObjectStats
    from lakefs_client.transfer.many import DirectoryReport, Job, Run
    from lakefs_client.transfer.transfer import Transfer


def upload_directory(
    transfer: Transfer,
    run: Run,
    folder: str,
    place: tuple[str, str, str],
    wanted: Filter,
    *,
    user_metadata: dict[str, str],
    follow_symlinks: bool,
    resume: bool,
) -> DirectoryReport:
    """Upload the files of a folder that differ from what stands at their paths.

    Args:
        transfer: Whose settings and connections to use.
        run: Does it.
        folder: Path of the folder.
        place: Repository, branch, and prefix with its slash.
        wanted: Which files.
        user_metadata: Key-value pairs of every object.
        follow_symlinks: Whether links are followed, or passed over.
        resume: Whether uploads in parts keep journals.

    Raises:
        OSError: The folder cannot be read.
        ApiException: lakeFS knows no such branch.
        Exception: As for `Run.each`.
    """
    with os.scandir(folder):
        pass  # the error, if there is one, comes before anything is asked
    repository, branch, prefix = place
    part_size = transfer.config.part_size

    def job(entry: Entry, there: ObjectStats | None) -> tuple[bool, int]:
        with FileSource(entry.location) as file:
            if there is not None and _is_the_same(file, there, run, part_size):
                return False, file.size
            path = prefix + entry.path
            content_type = guess_content_type(path)
            target = Target(
                transfer.api_client, repository, branch, path, content_type, user_metadata
            )
            with run.turn(file.size):
                upload(transfer, file, target, run.progress(), resume=resume, within=run.interrupt)
            return True, file.size

    def jobs() -> Iterator[tuple[str, Job | Exception]]:
        standing = Standing(transfer, repository, branch, prefix)
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
    transfer: Transfer,
    run: Run,
    place: tuple[str, str, str],
    folder: str,
    wanted: Filter,
    *,
    resume: bool,
) -> DirectoryReport:
    """Download the objects below a prefix that differ from the files at their places.

    Args:
        transfer: Whose settings and connections to use.
        run: Does it.
        place: Repository, ref, and prefix with its slash.
        folder: Path of the folder; made where it is missing.
        wanted: Which objects.
        resume: Whether interrupted downloads can go on.

    Raises:
        OSError: The folder cannot be made.
        ApiException: lakeFS knows no such ref.
        Exception: As for `Run.each`.
    """
    repository, ref, prefix = place
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
                if _is_the_same(source, stats, run, transfer.config.part_size):
                    return False, size
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with run.turn(size):
            download(
                transfer, (repository, ref, stats.path), file, run.progress(), resume=resume,
                within=run.interrupt,
            )  # fmt: skip
        return True, size

    def jobs() -> Iterator[tuple[str, Job | Exception]]:
        objects = ObjectsApi(transfer.api_client)
        for stats in paginate(objects.list_objects, repository, ref, prefix=prefix, amount=1000):
            path = stats.path.removeprefix(prefix)
            if path and wanted(path):
                yield path, partial(job, stats, path)

    return run.each(jobs())


class Filter:
    """Which paths to transfer, by patterns in which ``*`` stands for slashes as well.

    Args:
        include: Patterns of which a path must match one, if there are any.
        exclude: Patterns of which it must match none.

    Raises:
        ApiTypeError: A pattern is no str.
    """

    def __init__(self, include: str | Sequence[str], exclude: str | Sequence[str]) -> None:
        self._include = _patterns("include", include)
        self._exclude = _patterns("exclude", exclude)

    def __call__(self, path: str) -> bool:
        return self.includes(path) and not self.excludes(path)

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


def folder_prefix(name: str, prefix: object) -> str:
    """A prefix of paths with a slash at its end, unless it is empty.

    More than one slash is left, since objects may have such paths.

    Raises:
        ApiTypeError: It is no str.
    """
    if not isinstance(prefix, str):
        raise ApiTypeError(f"{name} must be a str, not {type(prefix).__name__}")
    return prefix if not prefix or prefix.endswith("/") else f"{prefix}/"


class Standing:
    """What stands on a branch, looked up in the order in which servers list paths.

    A page of the listing serves as long as it reaches; where it does not reach far enough, one
    object is asked for by itself, so that few files below a long listing cost few requests.

    Raises:
        ApiException: lakeFS knows no such branch, or the caller may not read it.
    """

    def __init__(self, transfer: Transfer, repository: str, branch: str, prefix: str) -> None:
        self._objects = ObjectsApi(transfer.api_client)
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


def _is_the_same(file: FileSource, stats: ObjectStats, run: Run, part_size: int) -> bool:
    """Whether an object has the bytes of a file, as far as its size and checksum tell."""
    checksum, over = stats.checksum.strip('"'), run.interrupt.is_set
    return stats.get("size_bytes") == file.size and holds(file, checksum, part_size, over)


def place_below(folder: str, path: str) -> str:
    """Where the file for an object's path is, which is never outside the folder.

    Args:
        folder: Absolute path, without symbolic links.
        path: Relative to what is downloaded.

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
