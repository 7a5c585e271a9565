"""Versions as values: entries, trees of them, commits, and what lies between two trees."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

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
        return digest([self.size, self.checksum, self.content_type, dict(self.metadata)])


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
        return digest([[path, self.entries[path].identity] for path in self.paths])

    def overlaid(self, staging: Mapping[str, Entry | None]) -> Tree:
        """The tree with `staging` over it, in which None stands for a deletion."""
        merged = {**self.entries, **staging}
        return Tree({path: entry for path, entry in merged.items() if entry is not None})

    def items(self, start: str) -> Iterator[tuple[str, Entry]]:
        """Paths and entries from a path on, in the order of listings."""
        for path in self.paths[bisect_left(self.paths, start) :]:
            yield path, self.entries[path]


EMPTY = Tree({})


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit; its id is made from its content, or given where it comes from elsewhere."""

    parents: Sequence[str]
    committer: str
    message: str
    creation_date: int
    meta_range_id: str
    metadata: Mapping[str, str]
    generation: int
    version: int = 1
    id: str = ""


class Difference(NamedTuple):
    """A path at which two trees differ; None where one has nothing there."""

    path: str
    left: Entry | None
    right: Entry | None


def diff(left: Tree, right: Tree) -> list[Difference]:
    """What leads from `left` to `right`, in the order of paths."""
    differences = []
    for path in left.entries.keys() | right.entries.keys():
        old, new = left.entries.get(path), right.entries.get(path)
        if not _same(old, new):
            differences.append(Difference(path, old, new))
    return sorted(differences)


STRATEGIES = ("", "source-wins", "dest-wins")


def merge(base: Tree, source: Tree, destination: Tree, strategy: str = "") -> Tree:
    """Bring to `destination` what changed from `base` to `source`.

    Where both changed a path in different ways, the strategy decides, or it ends with 409.
    """
    changes: dict[str, Entry | None] = {}
    changed_there = {item.path: item.right for item in diff(base, destination)}
    for path, _, entry in diff(base, source):
        if path in changed_there:
            if strategy == "dest-wins" or _same(changed_there[path], entry):
                continue
            if not strategy:
                raise ApiError(409, "conflict found")
        changes[path] = entry
    return destination.overlaid(changes)


def _same(one: Entry | None, other: Entry | None) -> bool:
    return one is other or (
        one is not None and other is not None and one.identity == other.identity
    )


def digest(content: object) -> str:
    """An id made from JSON values."""
    text = json.dumps(content, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
