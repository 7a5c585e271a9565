"""Immutable versions: entries, trees and commits; diff and merge of trees."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from lakefs_client.sandbox.errors import ApiError


@dataclass(frozen=True)
class Entry:
    """The object at a path.

    `address` is relative to the repository's namespace, or a URI for an imported object.
    """

    address: str
    size: int
    checksum: str
    mtime: int
    content_type: str
    metadata: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def identity(self) -> str:
        """A digest of the content, without address and time."""
        return digest([self.size, self.checksum, self.content_type, dict(self.metadata)])


class Tree:
    """All entries of a version by path. Trees are immutable."""

    def __init__(self, entries: Mapping[str, Entry], id: str | None = None) -> None:
        self.entries = entries
        if id is not None:
            self.__dict__["id"] = id

    @cached_property
    def paths(self) -> list[str]:
        """The sorted paths."""
        return sorted(self.entries)

    @cached_property
    def id(self) -> str:
        """The metarange id, a digest of the content."""
        return digest([[path, self.entries[path].identity] for path in self.paths])

    def overlay(self, staging: Mapping[str, Entry | None]) -> Tree:
        """Return this tree with the changes in `staging`. None is a deletion."""
        merged = {**self.entries, **staging}
        return Tree({path: entry for path, entry in merged.items() if entry is not None})

    def items(self, start: str) -> Iterator[tuple[str, Entry]]:
        """Yield sorted paths and entries, starting at the path `start`."""
        for path in self.paths[bisect_left(self.paths, start) :]:
            yield path, self.entries[path]


EMPTY = Tree({}, id="")
"""The tree of a new repository, which has no metarange."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit. Its id is a digest of the content, unless the commit was recorded elsewhere."""

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
    """A path at which two trees differ. None means that a tree has no entry there."""

    path: str
    left: Entry | None
    right: Entry | None
    conflict: bool = False

    @property
    def kind(self) -> str:
        """The type of the difference, as the API names it."""
        if self.conflict:
            return "conflict"
        if self.left is None:
            return "added"
        return "removed" if self.right is None else "changed"


def diff(left: Tree, right: Tree) -> list[Difference]:
    """Return the differences from `left` to `right`, sorted by path."""
    differences = []
    for path in left.entries.keys() | right.entries.keys():
        old, new = left.entries.get(path), right.entries.get(path)
        if not _same(old, new):
            differences.append(Difference(path, old, new))
    return sorted(differences, key=lambda difference: difference.path)


def compare(base: Tree, source: Tree, destination: Tree) -> list[Difference]:
    """Return the differences that a merge of `source` into `destination` applies."""
    differences = []
    for difference in diff(destination, source):
        original = base.entries.get(difference.path)
        if _same(original, difference.right):
            continue
        conflict = not _same(original, difference.left)
        differences.append(difference._replace(conflict=conflict))
    return differences


STRATEGIES = ("", "source-wins", "dest-wins")


def merge(base: Tree, source: Tree, destination: Tree, strategy: str = "") -> Tree:
    """Apply the changes from `base` to `source` to `destination`.

    The strategy resolves conflicts. Without a strategy, a conflict raises a 409 error.
    """
    if destination.id == base.id:
        return source
    changes: dict[str, Entry | None] = {}
    for path, _, entry, conflict in compare(base, source, destination):
        if conflict and not strategy:
            raise ApiError(409, "conflict found")
        if not conflict or strategy == "source-wins":
            changes[path] = entry
    return destination.overlay(changes)


def _same(left: Entry | None, right: Entry | None) -> bool:
    return left is right or (
        left is not None and right is not None and left.identity == right.identity
    )


def digest(content: object) -> str:
    """Return the SHA-256 of a JSON value, as hexadecimal digits."""
    text = json.dumps(content, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
