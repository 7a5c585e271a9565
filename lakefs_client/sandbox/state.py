"""The sandbox's metadata as JSON: what survives a restart, and what a dump of refs holds."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from .backend import Backend
from .repository import Branch, Repository
from .versions import Commit, Entry, Tree

_FORMAT = 2
# What of a repository is not JSON as it is.
_CONVERTED = ("clock", "branches", "commits", "trees")


def save(path: Path, backend: Backend) -> None:
    """Write the state so that a crash leaves the old one or the new one."""
    with backend.lock:
        state = {
            "format": _FORMAT,
            "identity": backend.identity.dump(),
            "blocks": backend.store.dump(),
            "repositories": [_dump_repository(item) for item in backend.repositories.values()],
        }
        draft = path.with_suffix(".tmp")
        draft.write_text(json.dumps(state), encoding="utf-8")
        os.replace(draft, path)


def read(path: Path) -> dict[str, Any]:
    """Read what `save` wrote; nothing is as good as an empty state.

    Raises:
        ValueError: The file is of another version of the sandbox.
    """
    if not path.exists():
        return {}
    state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if state.get("format") != _FORMAT:
        raise ValueError(f"{path} is not of this version of the sandbox")
    return state


def load_repository(state: Mapping[str, Any], clock: Callable[[], float]) -> Repository:
    plain = {name: value for name, value in state.items() if name not in ("branches", "history")}
    repository = Repository(**plain, clock=clock)
    load_history(repository, state["history"])
    for name, branch in state["branches"].items():
        staging = {path: entry and Entry(**entry) for path, entry in branch["staging"].items()}
        repository.branches[name] = Branch(branch["commit_id"], staging, branch["hidden"])
    return repository


def _dump_repository(repository: Repository) -> dict[str, Any]:
    plain = [field.name for field in fields(repository) if field.name not in _CONVERTED]
    return {
        **{name: getattr(repository, name) for name in plain},
        "history": dump_history(repository),
        "branches": {
            name: {
                "commit_id": branch.commit_id,
                "hidden": branch.hidden,
                "staging": {
                    path: entry and asdict(entry) for path, entry in branch.staging.items()
                },
            }
            for name, branch in repository.branches.items()
        },
    }


def dump_history(repository: Repository) -> dict[str, Any]:
    """Commits and trees; an entry that several trees share is written once."""
    entries = {
        id(entry): entry for tree in repository.trees.values() for entry in tree.entries.values()
    }
    numbers = {identity: number for number, identity in enumerate(entries)}
    return {
        "commits": [asdict(commit) for commit in repository.commits.values()],
        "entries": [asdict(entry) for entry in entries.values()],
        "trees": {
            tree_id: {path: numbers[id(entry)] for path, entry in tree.entries.items()}
            for tree_id, tree in repository.trees.items()
        },
    }


def load_history(repository: Repository, history: Mapping[str, Any]) -> None:
    entries = [Entry(**entry) for entry in history["entries"]]
    repository.trees = {
        tree_id: Tree({path: entries[number] for path, number in tree.items()})
        for tree_id, tree in history["trees"].items()
    }
    commits = [
        Commit(**{**commit, "parents": tuple(commit["parents"])}) for commit in history["commits"]
    ]
    repository.commits = {commit.id: commit for commit in commits}
