"""Paths of the file system: parsing, expanding, and pairing sources with targets."""

from __future__ import annotations

import re
from glob import has_magic
from typing import TYPE_CHECKING, Any, NamedTuple

from lakefs_client.fs._fsspec import other_paths, trailing_sep

if TYPE_CHECKING:
    from collections.abc import Sequence

_PARTS = {
    "repository": re.compile(r"[a-z0-9][a-z0-9-]{2,62}"),
    "ref": re.compile(r"\w[\w.-]*([~^]\d*)*@?"),
}


class Location(NamedTuple):
    """Repository, ref and path in the repository; an empty path is the ref itself."""

    repository: str
    ref: str
    path: str

    @property
    def prefix(self) -> str:
        """The beginning of the paths of the objects below this folder."""
        return f"{self.path}/" if self.path else ""

    def name(self, path: str) -> str:
        """Return the file system's name of a path on the same ref."""
        return f"{self.repository}/{self.ref}/{path}".rstrip("/")


def parse(path: str) -> Location:
    """Split a path of the file system, without its scheme.

    Raises:
        ValueError: The path names no repository or no ref.
    """
    repository, _, rest = path.partition("/")
    ref, _, below = rest.partition("/")
    for name, value in (("repository", repository), ("ref", ref)):
        if not _PARTS[name].fullmatch(value):
            raise ValueError(
                f"not a path in lakeFS: {path!r} has the {name} {value!r}. "
                "Use lakefs://repository/ref/path."
            )
    return Location(repository, ref, below)


def ancestors(path: str) -> list[str]:
    """Return the folders above a path, the nearest first, down to the root of its ref."""
    steps = path.split("/")
    return ["/".join(steps[:count]) for count in range(len(steps) - 1, 1, -1)]


def pair(
    source: str | Sequence[str], found: Sequence[str], target: Any, *, target_is_folder: bool
) -> list[tuple[str, str]]:
    """Return each source that was found with its target, by fsspec's rules.

    Raises:
        ValueError: A name that was found leads out of the target.
    """
    if not found:
        return []
    inside = isinstance(source, str) and (
        (has_magic(source) and len(found) == 1)
        or (not has_magic(source) and target_is_folder and not trailing_sep(source))
    )
    targets: list[str] = other_paths(
        list(found), target, exists=inside, flatten=not isinstance(source, str)
    )
    if isinstance(target, str):
        root = target.rstrip("/")
        for path in targets:
            if ".." in path.removeprefix(root).split("/"):
                raise ValueError(f"{path!r} is outside {target!r}")
    return list(zip(found, targets))


def expand(
    fs: Any, given: str | Sequence[str], *, recursive: bool, maxdepth: int | None
) -> dict[str, dict[str, Any] | None]:
    """Return the paths that `given` names, with their `info` if it was listed.

    Raises:
        FileNotFoundError: Nothing was found.
        ValueError: `maxdepth` is less than 1.
    """
    if maxdepth is not None and maxdepth < 1:
        raise ValueError("maxdepth must be at least 1")
    found: dict[str, dict[str, Any] | None] = {}
    for path in fs._strip_protocol([given] if not isinstance(given, (list, tuple)) else [*given]):
        folders = []
        if has_magic(path):
            matches = fs.glob(path, maxdepth=maxdepth, detail=True)
            found.update(matches)
            if recursive and maxdepth != 1:
                folders = [name for name, info in matches.items() if info["type"] == "directory"]
        elif recursive:
            found.update(fs.find(path, maxdepth=maxdepth, withdirs=True, detail=True))
        else:
            found[path] = None
        for folder in folders:
            depth = None if maxdepth is None else maxdepth - 1
            found.update(fs.find(folder, maxdepth=depth, withdirs=True, detail=True))
    if not found:
        raise FileNotFoundError(given)
    return dict(sorted(found.items()))
