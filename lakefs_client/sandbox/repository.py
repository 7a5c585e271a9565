"""A repository: branches with staging areas, tags and commits, and the operations on them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from lakefs_client.sandbox import versions
from lakefs_client.sandbox.clock import new_id
from lakefs_client.sandbox.errors import ApiError, bad_request, conflict, find, not_found
from lakefs_client.sandbox.identity import USER
from lakefs_client.sandbox.versions import EMPTY, Commit, Entry, Tree

_NO_PARENT = "given commit does not have the given parent number"

_REF = re.compile(r"([^~^@$]+)((?:[~^]\d*|@|\$)*)")
_MODIFIER = re.compile(r"([~^@$])(\d*)")


@dataclass
class Branch:
    """A branch: its head and its uncommitted changes. None in `staging` is a deletion."""

    commit_id: str
    staging: dict[str, Entry | None] = field(default_factory=dict)
    hidden: bool = False
    # The cached tree of head and staging; None after a change.
    view: Tree | None = None

    def move_to(self, commit: Commit) -> None:
        """Make `commit` the head and discard staged changes."""
        self.commit_id = commit.id
        self.staging = {}
        self.view = None


@dataclass
class Repository:
    """A repository and its contents."""

    id: str
    storage_namespace: str
    default_branch: str
    creation_date: int
    read_only: bool
    # The directory below data/ for this repository's objects.
    partition: str
    clock: Callable[[], float]
    metadata: dict[str, str] = field(default_factory=dict)
    branches: dict[str, Branch] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)
    trees: dict[str, Tree] = field(default_factory=lambda: {"": EMPTY})
    protection: list[str] = field(default_factory=list)
    gc_rules: dict[str, Any] | None = None
    # In the API's format, by id. An import's key is branch and id.
    pulls: dict[str, dict[str, Any]] = field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)

    # Addresses

    @property
    def prefix(self) -> str:
        """The storage namespace, with a trailing slash."""
        return self.storage_namespace.rstrip("/") + "/"

    def new_address(self) -> str:
        """Return an unused address, relative to the storage namespace."""
        return f"data/{self.partition}/{new_id(self.clock())}"

    def uri(self, address: str) -> str:
        """Return the URI of an entry's address."""
        return address if "://" in address else self.prefix + address

    def relative(self, uri: str) -> str:
        """Return a URI relative to the storage namespace, or unchanged if it is elsewhere."""
        return uri.removeprefix(self.prefix)

    def key(self, address: str) -> str:
        """Return the blockstore key of an entry's address."""
        return self.uri(address).partition("://")[2]

    # Reading

    def branch(self, name: str) -> Branch:
        """Return the branch called `name`. Raise a 404 error if there is none."""
        return find(self.branches, name, "branch")

    def commit(self, ref: str, missing: str = "not found") -> Commit:
        """Return the commit of a ref. Raise a 404 error with the message `missing`."""
        try:
            return self._resolve(ref)[0]
        except ApiError:
            raise ApiError(404, missing) from None

    def tree_of(self, commit: Commit) -> Tree:
        """Return the tree of a commit."""
        return self.trees[commit.meta_range_id]

    def tree(self, ref: str) -> Tree:
        """Return the tree of a ref. A branch's tree includes uncommitted changes."""
        commit, branch = self._resolve(ref)
        if branch is None or not branch.staging:
            return self.tree_of(commit)
        if branch.view is None:
            branch.view = self.tree_of(commit).overlay(branch.staging)
        return branch.view

    def entry(self, ref: str, path: str, missing: str = "not found") -> Entry:
        """Return the entry at a path. Raise a 404 error with the message `missing`."""
        commit, branch = self._resolve(ref)
        # Not from `view`, which every write discards.
        entry = self.tree_of(commit).entries.get(path)
        if branch is not None:
            entry = branch.staging.get(path, entry)
        if entry is None:
            raise ApiError(404, missing)
        return entry

    def uncommitted(self, name: str) -> list[versions.Difference]:
        """Return the uncommitted changes of a branch."""
        branch = self.branch(name)
        committed = self._head_tree(branch).entries
        # Only staged paths can differ.
        left = Tree({path: committed[path] for path in branch.staging if path in committed})
        return versions.diff(left, EMPTY.overlay(branch.staging))

    def ancestors(self, start: Commit, *, first_parent: bool = False) -> Iterator[Commit]:
        """Yield `start` and its ancestors, latest first."""
        queue = {start.id: start}
        while queue:
            commit = max(queue.values(), key=lambda c: (c.generation, c.creation_date, c.id))
            del queue[commit.id]
            yield commit
            for parent in commit.parents[:1] if first_parent else commit.parents:
                queue[parent] = self.commits[parent]

    def merge_base(self, left: Commit, right: Commit) -> Commit:
        """Return the latest common ancestor."""
        left_ancestors = {commit.id for commit in self.ancestors(left)}
        for commit in self.ancestors(right):
            if commit.id in left_ancestors:
                return commit
        raise bad_request("no merge base")

    # Writing

    def check_writable(self, *, force: bool = False) -> None:
        """Raise a 403 error if the repository is read-only, unless `force` is set."""
        if self.read_only and not force:
            raise ApiError(403, "read-only repository")

    def writable_branch(self, name: str, *, force: bool = False) -> Branch:
        """Return a branch. Raise a 403 error if it is protected or the repository read-only."""
        branch = self.branch(name)
        self.check_writable(force=force)
        if self._is_protected(name):
            raise ApiError(403, "cannot write to protected branch")
        return branch

    def clean_branch(self, name: str) -> Branch:
        """Return a branch. Raise a 400 error if it has uncommitted changes."""
        if self.uncommitted(name):
            raise bad_request("uncommitted changes (dirty branch)")
        return self.branch(name)

    def stage(self, branch: str, path: str, entry: Entry | None, *, force: bool = False) -> None:
        """Stage an entry on a branch. None stages a deletion."""
        target = self.writable_branch(branch, force=force)
        if entry is None and path not in self._head_tree(target).entries:
            target.staging.pop(path, None)
        else:
            target.staging[path] = entry
        target.view = None

    def advance(
        self,
        branch: Branch,
        tree: Tree,
        message: str,
        metadata: Mapping[str, str] | None = None,
        *,
        merged: Sequence[Commit] = (),
        committer: str = USER,
        date: int | None = None,
    ) -> Commit:
        """Commit a tree on a branch. `merged` are additional parents."""
        parents = [self.commits[branch.commit_id], *merged] if branch.commit_id else []
        commit = Commit(
            parents=[parent.id for parent in parents],
            committer=committer,
            message=message,
            creation_date=int(self.clock()) if date is None else date,
            meta_range_id=tree.id,
            metadata=metadata or {},
            generation=1 + max((parent.generation for parent in parents), default=0),
        )
        commit = replace(commit, id=versions.digest(asdict(commit)))
        self.commits[commit.id] = commit
        self.trees.setdefault(tree.id, tree)
        branch.move_to(commit)
        return commit

    # The methods below take request bodies, as the API document describes them.

    def commit_staged(
        self, name: str, creation: Mapping[str, Any], tree: Tree | None = None
    ) -> Commit:
        """Commit the staged changes of a branch, or `tree` if there are none."""
        branch = self.branch(name)
        if self._is_protected(name):
            raise ApiError(403, "cannot commit to protected branch")
        head = self._head_tree(branch)
        if self.uncommitted(name):
            if tree is not None:
                raise bad_request(
                    "cannot use source MetaRange on a branch with uncommitted changes"
                )
            tree = head.overlay(branch.staging)
        elif tree is None and not creation.get("allow_empty"):
            raise bad_request("commit: no changes")
        metadata, date = creation.get("metadata"), creation.get("date")
        return self.advance(branch, tree or head, creation["message"], metadata, date=date)

    def merge(self, source_ref: str, destination: str, merge: Mapping[str, Any]) -> Commit:
        """Merge a ref into a branch."""
        strategy = merge.get("strategy", "")
        if strategy not in versions.STRATEGIES:
            raise bad_request("invalid merge strategy")
        source = self.commit(source_ref)
        branch = self.clean_branch(destination)
        base = self.merge_base(source, self.commits[branch.commit_id])
        allow_empty = merge.get("allow_empty", False)
        try:
            tree = self._merged(destination, base, source, strategy, allow_empty=allow_empty)
        except ApiError as error:
            if error.status == 409:
                # The server's body for a conflict has no message.
                error.body = {"reference": ""}
            raise
        message = merge.get("message") or f"Merge '{source_ref}' into '{destination}'"
        metadata = {**merge.get("metadata", {}), ".lakefs.merge.strategy": strategy or "default"}
        merged = () if merge.get("squash_merge") else (source,)
        return self.advance(branch, tree, message, metadata, merged=merged)

    def revert(self, name: str, revert: Mapping[str, Any]) -> Commit:
        """Commit the inverse of a commit's changes."""
        branch = self.clean_branch(name)
        commit = self.commit(revert["ref"])
        if len(commit.parents) > 1 and revert["parent_number"] <= 0:
            raise conflict("must specify 1-based parent number for reverting merge commit")
        number = max(revert["parent_number"], 1)
        parent = self._parent(commit, number, bad_request(_NO_PARENT))
        allow_empty = revert.get("allow_empty", False)
        tree = self._merged(name, commit, parent, allow_empty=allow_empty)
        overrides = revert.get("commit_overrides") or {}
        message = overrides.get("message") or f"Revert {revert['ref']}"
        return self.advance(branch, tree, message, overrides.get("metadata"))

    def cherry_pick(self, name: str, pick: Mapping[str, Any]) -> Commit:
        """Commit a commit's changes on another branch."""
        branch = self.clean_branch(name)
        commit = self.commit(pick["ref"])
        number = pick.get("parent_number")
        if len(commit.parents) > 1 and number is None:
            raise bad_request("must specify 1-based parent number for cherry-picking merge commit")
        parent = self._parent(commit, max(number or 0, 1), bad_request(_NO_PARENT))
        tree = self._merged(name, parent, commit, allow_empty=True)
        overrides = pick.get("commit_overrides") or {}
        message = overrides.get("message") or commit.message
        origin = {"cherry-pick-origin": commit.id, "cherry-pick-committer": commit.committer}
        metadata = {**overrides.get("metadata", commit.metadata), **origin}
        return self.advance(branch, tree, message, metadata)

    def _is_protected(self, branch: str) -> bool:
        return any(fnmatchcase(branch, pattern) for pattern in self.protection)

    def _head_tree(self, branch: Branch) -> Tree:
        return self.tree_of(self.commits[branch.commit_id])

    def _parent(self, commit: Commit, number: int, missing: ApiError) -> Commit:
        """Return a parent by its number, counted from 1. Raise `missing` if there is none."""
        if number > len(commit.parents):
            raise missing
        return self.commits[commit.parents[number - 1]]

    def _merged(
        self, name: str, base: Commit, source: Commit, strategy: str = "", *, allow_empty: bool
    ) -> Tree:
        """Return the branch's tree with the changes from `base` to `source`."""
        head = self._head_tree(self.branch(name))
        tree = versions.merge(self.tree_of(base), self.tree_of(source), head, strategy)
        if tree.id == head.id and not allow_empty:
            raise bad_request(f"update branch {name}: no changes")
        return tree

    def _resolve(self, ref: str) -> tuple[Commit, Branch | None]:
        """Return a ref's commit, and its branch if uncommitted changes count."""
        match = _REF.fullmatch(ref)
        if match is None:
            raise not_found()
        base, modifiers = match.groups()
        branch = self.branches.get(base)
        commit = self.commits[branch.commit_id] if branch else self._commit_or_tag(base)
        for kind, digits in _MODIFIER.findall(modifiers):
            number = int(digits or 1)
            if kind != "$":
                branch = None
            if kind == "~":
                for _ in range(number):
                    commit = self._parent(commit, 1, not_found())
            elif kind == "^" and number:
                commit = self._parent(commit, number, not_found())
        return commit, branch

    def _commit_or_tag(self, name: str) -> Commit:
        commit_id = self.tags.get(name, name)
        if commit := self.commits.get(commit_id):
            return commit
        matching = [commit for id_, commit in self.commits.items() if id_.startswith(name)]
        if len(matching) != 1:
            raise not_found()
        return matching[0]
