"""The sandbox's state, and its JSON format for data directories and dumps of refs."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from lakefs_client.sandbox.blocks import Blockstore
from lakefs_client.sandbox.clock import Clock
from lakefs_client.sandbox.errors import find
from lakefs_client.sandbox.identity import Identity
from lakefs_client.sandbox.repository import Branch, Repository
from lakefs_client.sandbox.signing import UrlSigner
from lakefs_client.sandbox.versions import Commit, Entry, Tree

NAMESPACE = "s3://sandbox/"

_FORMAT = 2
# Attributes of a repository that need conversion to JSON.
_CONVERTED = ("clock", "branches", "commits", "trees")


@dataclass
class Backend:
    """The state that operations work on, guarded by `lock`."""

    clock: Clock
    store: Blockstore
    identity: Identity
    urls: UrlSigner
    external_principals: bool
    presign: bool
    presigned_multipart: bool
    repositories: dict[str, Repository] = field(default_factory=dict)
    store_port: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)

    def repository(self, name: str) -> Repository:
        """Return the repository called `name`. Raise a 404 error if there is none."""
        return find(self.repositories, name, "repository")

    def save(self, path: Path) -> None:
        """Write the state atomically: a crash leaves the old state or the new one."""
        with self.lock:
            state = {
                "format": _FORMAT,
                "identity": self.identity,
                "blocks": self.store.dump(),
                "repositories": [_dump_repository(item) for item in self.repositories.values()],
            }
            draft = path.with_suffix(".tmp")
            draft.write_text(json.dumps(state, default=as_json), encoding="utf-8")
            os.replace(draft, path)

    def load(self, state: Mapping[str, Any]) -> None:
        """Load a saved state, except for the identity."""
        self.store.load(state["blocks"])
        for item in state["repositories"]:
            self.repositories[item["id"]] = _load_repository(item, self.clock)


def read_state(path: Path) -> dict[str, Any]:
    """Return the saved state, or `{}`. Raise ValueError if another version wrote the file."""
    if not path.exists():
        return {}
    state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if state.get("format") != _FORMAT:
        raise ValueError(f"{path} was written by another version of the sandbox")
    return state


def as_json(value: Any) -> object:
    """Return a JSON value for a path or a dataclass. A `default` for `json.dumps`."""
    if isinstance(value, Path):
        return str(value)
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _dump_repository(repository: Repository) -> dict[str, Any]:
    branches = {name: replace(item, view=None) for name, item in repository.branches.items()}
    plain = {name: value for name, value in vars(repository).items() if name not in _CONVERTED}
    return {**plain, "branches": branches, "history": dump_history(repository)}


def _load_repository(state: Mapping[str, Any], clock: Clock) -> Repository:
    plain = {name: value for name, value in state.items() if name not in ("branches", "history")}
    repository = Repository(**plain, clock=clock)
    load_history(repository, state["history"])
    for name, branch in state["branches"].items():
        staging = {path: entry and Entry(**entry) for path, entry in branch["staging"].items()}
        repository.branches[name] = Branch(branch["commit_id"], staging, branch["hidden"])
    return repository


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
