"""Copying, moving, deleting, uploading and downloading of many files."""

from __future__ import annotations

import os
import warnings
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any

from lakefs_client.exceptions import ApiException
from lakefs_client.fs._fsspec import LocalFileSystem, make_path_posix, trailing_sep
from lakefs_client.fs.errors import os_error, os_errors
from lakefs_client.fs.folders import get_folder, is_folder_transfer, put_folder
from lakefs_client.fs.location import Location, expand, pair, parse
from lakefs_client.fs.parallel import in_parallel, transfer_each
from lakefs_client.models import PathList

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lakefs_client.fs.tree import Tree

BATCH = 1000
"""Paths that the server deletes in one request."""


def copy(
    fs: Tree,
    source: Any,
    target: Any,
    *,
    recursive: bool,
    maxdepth: int | None,
    ignore_missing: bool,
) -> list[str]:
    """Copy on the server, and return the sources that were copied to another path."""
    pairs, infos = _found(
        fs, source, target, recursive, maxdepth, lambda: trailing_sep(target) or fs.isdir(target)
    )

    def copy_one(path: str, to: str) -> str | None:
        try:
            fs.cp_file(path, to)
            return path
        except FileNotFoundError:
            if ignore_missing or (infos is not None and infos[path] is None and fs.isdir(path)):
                return None
            raise

    files = [
        (path, to)
        for path, to in pairs
        if not is_folder(infos and infos[path])
        and fs._strip_protocol(path) != fs._strip_protocol(to)
    ]
    return [path for path in in_parallel(copy_one, files) if path is not None]


def get(
    fs: Tree,
    source: Any,
    target: Any,
    *,
    recursive: bool,
    maxdepth: int | None,
    callback: Any,
    **options: Any,
) -> None:
    """Download files and folders."""
    if isinstance(target, (str, os.PathLike)):
        target = make_path_posix(os.fspath(target))
    if is_folder_transfer(source, recursive, maxdepth, callback, options):
        source = os.fspath(source)
        if fs.isdir(source) and not fs.isfile(source):
            get_folder(fs, source, target)
            return
    pairs, infos = _found(
        fs, source, target, recursive, maxdepth,
        lambda: trailing_sep(target) or LocalFileSystem().isdir(target),
    )  # fmt: skip

    def get_one(path: str, to: str, child: Any) -> None:
        try:
            fs._download(path, to, child, **options)
        except (FileNotFoundError, IsADirectoryError):
            if infos is None or infos[path] is not None or not fs.isdir(path):
                raise

    files = []
    for path, to in pairs:
        if is_folder(infos and infos[path]):
            os.makedirs(to, exist_ok=True)
        else:
            files.append((path, to))
    transfer_each(get_one, files, callback)


def put(
    fs: Tree,
    source: Any,
    target: Any,
    *,
    recursive: bool,
    maxdepth: int | None,
    callback: Any,
    **options: Any,
) -> None:
    """Upload files and folders."""
    local = LocalFileSystem()
    one = isinstance(source, (str, os.PathLike))
    source = make_path_posix(os.fspath(source)) if one else source
    if is_folder_transfer(source, recursive, maxdepth, callback, options) and local.isdir(source):
        put_folder(fs, source, target, **options)
        return
    if isinstance(source, list) and isinstance(target, list):
        pairs = list(zip(source, target))
    else:
        found = local.expand_path(source, recursive=recursive, maxdepth=maxdepth)
        if one and (not recursive or maxdepth is not None):
            found = [path for path in found if not (trailing_sep(path) or local.isdir(path))]
        inside = (
            isinstance(target, str) and bool(found) and (trailing_sep(target) or fs.isdir(target))
        )
        pairs = pair(source, found, fs._strip_protocol(target), target_is_folder=inside)
    files = [one for one in pairs if not local.isdir(one[0])]
    transfer_each(
        lambda path, to, child: fs.put_file(path, to, callback=child, **options), files, callback
    )


def remove(fs: Tree, given: Any, *, recursive: bool, maxdepth: int | None) -> None:
    """Delete objects, in batches of 1,000.

    Raises:
        FileNotFoundError: There is nothing to delete.
        OSError: The server refused to delete one of the objects.
    """
    if recursive and maxdepth is None:
        places = _below(fs, given)
    else:
        found = expand(fs, given, recursive=recursive, maxdepth=maxdepth)
        if isinstance(given, (str, os.PathLike)) and [*found.values()] == [None]:
            found = {name: fs.info(name) for name in found}
            if any(map(is_folder, found.values())):
                text = f"{given!r} is a folder, nothing was deleted. Give recursive=True."
                warnings.warn(text, stacklevel=3)
        places = (parse(name) for name, info in found.items() if not is_folder(info))
    delete(fs, places)


def delete(fs: Tree, places: Iterable[Location]) -> None:
    """Delete objects, in batches of 1,000. Missing ones are ignored.

    Raises:
        OSError: The server refused to delete one of the objects.
    """
    for (repository, branch), group in groupby(places, key=lambda place: place[:2]):
        try:
            while batch := [place.path for place in islice(group, BATCH)]:
                _delete(fs, repository, branch, batch)
        finally:
            fs.invalidate_cache(f"{repository}/{branch}")


def _delete(fs: Tree, repository: str, branch: str, paths: list[str]) -> None:
    with os_errors(f"{repository}/{branch}"):
        answer = fs.objects.delete_objects(repository, branch, PathList(paths=paths))
    for error in answer.errors:
        path = f"{repository}/{branch}/{error.get('path', '')}"
        raise os_error(ApiException(error.status_code, error.message), path)


def _below(fs: Tree, given: Any) -> Iterator[Location]:
    """Yield the given objects and those in the given folders.

    Raises:
        FileNotFoundError: There are none.
    """
    found = False
    for name in expand(fs, given, recursive=False, maxdepth=None):
        place = parse(name)
        for path in fs.listings.paths(place):
            found = True
            yield place._replace(path=path)
        if fs.isfile(name):
            found = True
            yield place
        found = found or not place.path
    if not found:
        raise FileNotFoundError(given)


def _found(
    fs: Tree,
    source: Any,
    target: Any,
    recursive: bool,
    maxdepth: int | None,
    target_is_folder: Callable[[], bool],
) -> tuple[list[tuple[str, str]], dict[str, dict[str, Any] | None] | None]:
    """Return sources and targets, and what was listed of the sources; None if both are lists."""
    if isinstance(source, list) and isinstance(target, list):
        return list(zip(source, target)), None
    source = os.fspath(source) if isinstance(source, os.PathLike) else source
    infos = expand(fs, source, recursive=recursive, maxdepth=maxdepth)
    names = list(infos)
    if isinstance(source, str) and (not recursive or maxdepth is not None):
        # A pattern does not copy folders unless it is to.
        names = [name for name in names if not is_folder(infos[name])]
    one = isinstance(target, str)
    return pair(source, names, target, target_is_folder=one and target_is_folder()), infos


def is_folder(info: dict[str, Any] | None) -> bool:
    """Return True if a path was listed, and is a folder."""
    return info is not None and info["type"] == "directory"
