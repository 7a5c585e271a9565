"""Paths of a directory transfer: filters, prefixes, and places below a folder."""

from __future__ import annotations

import os
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from lakefs_client.exceptions import ApiTypeError, ApiValueError

if TYPE_CHECKING:
    from collections.abc import Sequence


class Filter:
    """The paths to transfer: those that match an `include` pattern, if there are any, and no
    `exclude` pattern. A ``*`` matches slashes too.

    Raises:
        ApiTypeError: A pattern is not a str.
    """

    def __init__(self, include: str | Sequence[str], exclude: str | Sequence[str]) -> None:
        self._include = _patterns("include", include)
        self._exclude = _patterns("exclude", exclude)

    def includes(self, path: str) -> bool:
        """Return True if a path matches an `include` pattern, or there are none."""
        return not self._include or any(fnmatchcase(path, pattern) for pattern in self._include)

    def excludes(self, path: str) -> bool:
        """Return True if a path matches an `exclude` pattern."""
        return any(fnmatchcase(path, pattern) for pattern in self._exclude)


def _patterns(name: str, value: str | Sequence[str]) -> tuple[str, ...]:
    patterns = (value,) if isinstance(value, str) else value
    if not isinstance(patterns, Iterable) or not all(isinstance(item, str) for item in patterns):
        raise ApiTypeError(f"{name} must be a pattern or a list of patterns")
    return tuple(patterns)


def folder_prefix(prefix: object) -> str:
    """Return a prefix of paths that is empty or ends with a slash.

    It may end with more than one, since objects may have such paths.

    Raises:
        ApiTypeError: The prefix is not a str.
    """
    if not isinstance(prefix, str):
        raise ApiTypeError(f"prefix must be a str, not {type(prefix).__name__}")
    return prefix if not prefix or prefix.endswith("/") else f"{prefix}/"


def path_below(folder: str, path: str) -> str:
    """Return the place of an object's path below a folder, never outside it.

    The folder is an absolute path without symbolic links.

    Raises:
        ApiValueError: The path is not possible here, or a symbolic link leads out of the folder.
    """
    steps = path.split("/")
    foreign = {"\0", os.sep, os.altsep or os.sep} - {"/"} | ({":"} if os.name == "nt" else set())
    if any(step in ("", ".", "..") or foreign & {*step} for step in steps):
        raise ApiValueError(f"the path {path!r} is not possible in this file system")
    place = os.path.join(folder, *steps)
    if os.path.commonpath([folder, os.path.realpath(place)]) != folder:
        raise ApiValueError(f"the path {path!r} would leave the folder by a symbolic link")
    return place
