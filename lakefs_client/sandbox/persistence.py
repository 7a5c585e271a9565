"""The state as items of a data directory's file, so that only changed items are written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lakefs_client.sandbox.history import as_json
from lakefs_client.sandbox.repository import Branch, Repository
from lakefs_client.sandbox.state import Backend
from lakefs_client.sandbox.state_file import Item, Key, StateFile, damaged
from lakefs_client.sandbox.versions import Commit, Entry, Tree

# Attributes of a repository that are items of their own.
_SEPARATE = ("clock", "branches", "commits", "trees")
_DELETION = "null"


class Persistence:
    """Saves the state of a sandbox in a data directory, and restores it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._entries = _EntryTable()
        self._file = StateFile(directory, self._encode)
        try:
            self._saved = self._file.read()
        except ValueError:
            self._file.close()
            raise

    def identity(self) -> dict[str, Any]:
        """Return the saved identity, or `{}`."""
        identity: dict[str, Any] = self._saved.get(("identity",), {})
        return identity

    def restore(self, backend: Backend) -> None:
        """Load the saved state, except for the identity, and rewrite the file."""
        try:
            _restore(backend, self._saved)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise damaged(self._directory, str(error)) from error
        self._saved = {}
        self._file.compact(self._items(backend))

    def save(self, backend: Backend) -> None:
        """Write what changed since the last call."""
        with backend.lock:
            self._file.write(self._items(backend))

    def close(self) -> None:
        """Release the directory."""
        self._file.close()

    def _encode(self, value: object) -> str:
        if isinstance(value, Tree):
            return json.dumps(self._entries.numbers(value))
        return json.dumps(value, default=as_json)

    def _items(self, backend: Backend) -> Iterator[Item]:
        yield ("identity",), json.dumps(as_json(backend.identity))
        yield ("namespaces",), json.dumps(sorted(backend.namespaces))
        for key, stored in backend.store.saved_objects().items():
            yield ("object", key), stored
        for upload in backend.store.saved_uploads().values():
            yield ("upload", upload.upload_id), json.dumps(asdict(upload), default=str)
        for repository in backend.repositories.values():
            self._entries.add(repository)
            yield from _repository_items(repository)
        yield from self._entries.items()


class _EntryTable:
    """Numbers for the entries of trees, so that trees share them in the file."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        # References keep the ids of entries and trees unique.
        self._entries: list[Entry] = []
        self._trees: dict[int, Tree] = {}

    def add(self, repository: Repository) -> None:
        for tree in repository.trees.values():
            if id(tree) not in self._trees:
                self._trees[id(tree)] = tree
                for entry in tree.entries.values():
                    if id(entry) not in self._numbers:
                        self._numbers[id(entry)] = len(self._entries)
                        self._entries.append(entry)

    def items(self) -> Iterator[Item]:
        for number, entry in enumerate(self._entries):
            yield ("entry", str(number)), entry

    def numbers(self, tree: Tree) -> dict[str, int]:
        return {path: self._numbers[id(entry)] for path, entry in tree.entries.items()}


def _repository_items(repository: Repository) -> Iterator[Item]:
    id_ = repository.id
    plain = {name: value for name, value in vars(repository).items() if name not in _SEPARATE}
    yield ("repository", id_), json.dumps(plain)
    for name, branch in repository.branches.items():
        yield ("branch", id_, name), json.dumps([branch.commit_id, branch.hidden])
        for path, entry in branch.staging.items():
            yield ("staged", id_, name, path), entry or _DELETION
    for commit_id, commit in repository.commits.items():
        yield ("commit", id_, commit_id), commit
    for tree_id, tree in repository.trees.items():
        yield ("tree", id_, tree_id), tree


def _restore(backend: Backend, saved: dict[Key, Any]) -> None:
    groups: dict[str, dict[Key, Any]] = {}
    for (kind, *key), value in saved.items():
        groups.setdefault(kind, {})[tuple(key)] = value
    objects = {key: value for (key,), value in groups.get("object", {}).items()}
    backend.store.restore(objects, groups.get("upload", {}).values())
    backend.namespaces = set(saved.get(("namespaces",), ()))
    for (id_,), plain in groups.get("repository", {}).items():
        backend.repositories[id_] = Repository(**plain, clock=backend.clock)
    repositories = backend.repositories
    entries = {key: Entry(**value) for (key,), value in groups.get("entry", {}).items()}
    for (id_, tree_id), tree in groups.get("tree", {}).items():
        paths = {path: entries[str(number)] for path, number in tree.items()}
        repositories[id_].trees[tree_id] = Tree(paths, tree_id)
    for (id_, commit_id), commit in groups.get("commit", {}).items():
        repositories[id_].commits[commit_id] = Commit(**commit)
    for (id_, name), (commit_id, hidden) in groups.get("branch", {}).items():
        repositories[id_].branches[name] = Branch(commit_id, hidden=hidden)
    for (id_, name, path), entry in groups.get("staged", {}).items():
        repositories[id_].branches[name].staging[path] = entry and Entry(**entry)
