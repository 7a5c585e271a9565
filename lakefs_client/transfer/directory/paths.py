"""Paths of a directory transfer: filters and prefixes."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from lakefs_client.exceptions import ApiTypeError

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
