"""Versions as values: entries, trees of them, commits, and what lies between two trees."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Literal, NamedTuple

from .errors import ApiError


@dataclass(frozen=True)
class Entry:
    """What a path stands for.

    `address` is relative to the repository's namespace, or a whole URI for imported objects.
    """

    address: str
    size: int
    checksum: str
    mtime: int
    content_type: str
    metadata: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def identity(self) -> str:
        """Equal for entries of the same content, wherever and whenever they were written."""
        return _digest([self.size, self.checksum, self.content_type, dict(self.metadata)])


class Tree:
    """All entries of a version, by path; never changed once made."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self.entries = entries

    @cached_property
    def paths(self) -> list[str]:
        """The paths in the order of listings."""
        return sorted(self.entries)

    @cached_property
    def id(self) -> str:
        """The metarange id, made from the content; empty for the empty tree."""
        if not self.entries:
            return ""
        return _digest([[path, self.entries[path].identity] for path in self.paths])

    def overlaid(self, staging: Mapping[str, Entry | None]) -> Tree:
        """The tree with `staging` over it, in which None stands for a deletion."""
        merged = {**self.entries, **staging}
        return Tree({path: entry for path, entry in merged.items() if entry is not None})

    def listing(
        self, prefix: str, after: str, delimiter: str
    ) -> Iterator[tuple[str, Entry | None]]:
        """Paths that begin with `prefix`, with their entries, in order.

        What has a delimiter behind the prefix is one common prefix, and None for its entry.
        """
        paths = self.paths
        index = max(bisect_left(paths, prefix), bisect_right(paths, after))
        while index < len(paths) and paths[index].startswith(prefix):
            path = paths[index]
            end = path.find(delimiter, len(prefix)) if delimiter else -1
            if end < 0:
                yield path, self.entries[path]
                index += 1
                continue
            common = path[: end + len(delimiter)]
            if common > after:
                yield common, None
            # Past everything that begins with the common prefix.
            index = bisect_left(paths, common[:-1] + chr(ord(common[-1]) + 1))


EMPTY = Tree({})


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit; its id is made from its content."""

    id: str
    parents: Sequence[str]
    committer: str
    message: str
    creation_date: int
    meta_range_id: str
    metadata: Mapping[str, str]
    generation: int
    version: int = 1


def make_commit(
    tree: Tree,
    parents: Sequence[Commit],
    *,
    committer: str,
    message: str,
    date: int,
    metadata: Mapping[str, str] | None = None,
) -> Commit:
    """Make the commit of a tree, with the id that follows from all of it."""
    draft = Commit(
        id="",
        parents=tuple(parent.id for parent in parents),
        committer=committer,
        message=message,
        creation_date=date,
        meta_range_id=tree.id,
        metadata=metadata or {},
        generation=1 + max((parent.generation for parent in parents), default=0),
    )
    return replace(draft, id=_digest(asdict(draft)))


DiffType = Literal["added", "removed", "changed", "conflict", "prefix_changed"]


class Difference(NamedTuple):
    """A path at which two trees differ, or a common prefix of such paths."""

    path: str
    type: DiffType
    left: Entry | None = None
    right: Entry | None = None


def diff(left: Tree, right: Tree) -> list[Difference]:
    """What leads from `left` to `right`, in the order of paths."""
    differences = []
    for path in left.entries.keys() | right.entries.keys():
        old, new = left.entries.get(path), right.entries.get(path)
        if not _same(old, new):
            kind: DiffType = "added" if old is None else "removed" if new is None else "changed"
            differences.append(Difference(path, kind, old, new))
    return sorted(differences)


def fold(differences: Iterable[Difference], prefix: str, delimiter: str) -> dict[str, Difference]:
    """By path, what begins with `prefix`, and one common prefix for what shares it."""
    folded: dict[str, Difference] = {}
    for difference in differences:
        path = difference.path
        if not path.startswith(prefix):
            continue
        end = path.find(delimiter, len(prefix)) if delimiter else -1
        if end >= 0:
            path = path[: end + len(delimiter)]
            difference = Difference(path, "prefix_changed")
        folded[path] = difference
    return folded


STRATEGIES = ("", "source-wins", "dest-wins")


def merge(base: Tree, source: Tree, destination: Tree, strategy: str = "") -> Tree:
    """Bring to `destination` what changed from `base` to `source`.

    Raises:
        ApiError: 409 where both changed a path in different ways and no strategy decides.
    """
    entries = dict(destination.entries)
    changed_there = {item.path: item.right for item in diff(base, destination)}
    for path, _, _, entry in diff(base, source):
        if path in changed_there:
            if strategy == "dest-wins" or _same(changed_there[path], entry):
                continue
            if not strategy:
                raise ApiError(409, "conflict found")
        if entry is None:
            entries.pop(path, None)
        else:
            entries[path] = entry
    return Tree(entries)


def _same(one: Entry | None, other: Entry | None) -> bool:
    return one is other or (
        one is not None and other is not None and one.identity == other.identity
    )


def _digest(content: object) -> str:
    text = json.dumps(content, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
