"""The sandbox's metadata as JSON: what survives a restart, and what a dump of refs holds."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .repository import Branch, PullRequest, Repository
from .versions import Commit, Entry, Tree

_FORMAT = 1
_PLAIN = (
    "id",
    "storage_namespace",
    "default_branch",
    "creation_date",
    "read_only",
    "partition",
    "metadata",
    "tags",
    "protection",
    "gc_rules",
)


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Write the state so that a crash leaves the old one or the new one."""
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps({"format": _FORMAT, **state}), encoding="utf-8")
    os.replace(draft, path)


def load(path: Path) -> dict[str, Any] | None:
    """Read what `save` wrote, or None if there is nothing.

    Raises:
        ValueError: The file is of another version of the sandbox.
    """
    if not path.exists():
        return None
    state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if state.get("format") != _FORMAT:
        raise ValueError(f"{path} is not of this version of the sandbox")
    return state


def dump_repository(repository: Repository) -> dict[str, Any]:
    return {
        **{name: getattr(repository, name) for name in _PLAIN},
        "history": dump_history(repository),
        "branches": {
            name: {
                "commit_id": branch.commit_id,
                "hidden": branch.hidden,
                "staging": {
                    path: None if entry is None else dataclasses.asdict(entry)
                    for path, entry in branch.staging.items()
                },
            }
            for name, branch in repository.branches.items()
        },
        "pulls": [dataclasses.asdict(pull) for pull in repository.pulls.values()],
    }


def load_repository(state: Mapping[str, Any], clock: Callable[[], float]) -> Repository:
    repository = Repository(**{name: state[name] for name in _PLAIN}, clock=clock)
    load_history(repository, state["history"])
    repository.branches = {
        name: Branch(
            branch["commit_id"],
            {
                path: None if entry is None else Entry(**entry)
                for path, entry in branch["staging"].items()
            },
            branch["hidden"],
        )
        for name, branch in state["branches"].items()
    }
    repository.pulls = {pull["id"]: PullRequest(**pull) for pull in state["pulls"]}
    return repository


def dump_history(repository: Repository) -> dict[str, Any]:
    """Commits and trees; an entry that several trees share is written once."""
    numbers: dict[int, int] = {}
    entries: list[dict[str, Any]] = []

    def number(entry: Entry) -> int:
        if id(entry) not in numbers:
            numbers[id(entry)] = len(entries)
            entries.append(dataclasses.asdict(entry))
        return numbers[id(entry)]

    trees = {
        tree_id: {path: number(entry) for path, entry in tree.entries.items()}
        for tree_id, tree in repository.trees.items()
    }
    commits = [dataclasses.asdict(commit) for commit in repository.commits.values()]
    return {"commits": commits, "entries": entries, "trees": trees}


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
