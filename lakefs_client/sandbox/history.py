"""The JSON format of commits and trees, for data directories and dumps of refs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from lakefs_client.sandbox.repository import Repository
from lakefs_client.sandbox.versions import Commit, Entry, Tree


def as_json(value: Any) -> object:
    """Return a JSON value for a path or a dataclass. A `default` for `json.dumps`."""
    if isinstance(value, Path):
        return str(value)
    return {field.name: getattr(value, field.name) for field in fields(value)}


def dump_history(repository: Repository) -> dict[str, Any]:
    """Return commits and trees for `as_json`. Trees refer to shared entries by number."""
    trees = repository.trees
    entries = {id(entry): entry for tree in trees.values() for entry in tree.entries.values()}
    numbers = {identity: number for number, identity in enumerate(entries)}
    return {
        "commits": list(repository.commits.values()),
        "entries": list(entries.values()),
        "trees": {
            tree_id: {path: numbers[id(entry)] for path, entry in tree.entries.items()}
            for tree_id, tree in trees.items()
        },
    }


def load_history(repository: Repository, history: Mapping[str, Any]) -> None:
    """Load the commits and trees that `dump_history` returned."""
    entries = [Entry(**entry) for entry in history["entries"]]
    repository.trees = {
        tree_id: Tree({path: entries[number] for path, number in tree.items()}, tree_id)
        for tree_id, tree in history["trees"].items()
    }
    commits = [Commit(**commit) for commit in history["commits"]]
    repository.commits = {commit.id: commit for commit in commits}
