"""A repository: branches with staging areas, tags and commits, and the operations on them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from lakefs_client.sandbox import versions
from lakefs_client.sandbox.clock import new_id
from lakefs_client.sandbox.errors import (
    ApiError,
    bad_request,
    conflict,
    error_prefix,
    find,
    not_found,
)
from lakefs_client.sandbox.identity import USER
from lakefs_client.sandbox.references import invalid_ref, parse_ref
from lakefs_client.sandbox.versions import EMPTY, Commit, Difference, Entry, Tree

_NO_PARENT = "given commit does not have the given parent number"
_COMMIT_ID = re.compile(r"[0-9a-fA-F]{64}")
_COMMIT_PREFIX = re.compile(r"[0-9a-fA-F]{1,64}")


@dataclass
class Branch:
    """A branch: its head and its uncommitted changes. None in `staging` is a deletion."""

    commit_id: str
    staging: dict[str, Entry | None] = field(default_factory=dict)
    hidden: bool = False
    # The cached tree of head and staging; None after a change.
    view: Tree | None = None


class ResolvedRef(NamedTuple):
    """The commit of a ref, and the branch if uncommitted changes count."""

    commit: Commit
    branch: Branch | None = None
    # True for `branch$`.
    staging: bool = False


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
    # In the API's format, by id.
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

    def commit(self, ref: str) -> Commit:
        """Return the commit of a ref for a listing, a tag or get_commit."""
        resolved = self.resolve(ref)
        if resolved.staging:
            raise bad_request("ref: invalid value: validation error: should point to a commit")
        return resolved.commit

    def dereference(self, ref: str) -> Commit:
        """Return the commit of a ref for a diff, a merge or a reset."""
        resolved = self.resolve(ref)
        if resolved.staging:
            raise bad_request(
                f"reference '{ref}': reference to staging area with $ is not a commit"
            )
        return resolved.commit

    def tree_of(self, commit: Commit) -> Tree:
        """Return the tree of a commit."""
        return self.trees[commit.meta_range_id]

    def tree(self, ref: str) -> Tree:
        """Return the tree of a ref. A branch's tree includes uncommitted changes."""
        commit, branch, _ = self.resolve(ref)
        if branch is None or not branch.staging:
            return self.tree_of(commit)
        if branch.view is None:
            branch.view = self.tree_of(commit).overlay(branch.staging)
        return branch.view

    def entry(self, ref: str, path: str) -> Entry:
        """Return the entry at a path. Raise a 404 error if there is none."""
        commit, branch, _ = self.resolve(ref)
        # Not from `view`, which every write discards.
        entry = self.tree_of(commit).entries.get(path)
        if branch is not None:
            entry = branch.staging.get(path, entry)
        if entry is None:
            raise not_found()
        return entry

    def uncommitted(self, name: str) -> list[Difference]:
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

    def merge_base(self, source_ref: str, destination_ref: str) -> tuple[Commit, Commit, Commit]:
        """Return the commits of both refs and their latest common ancestor."""
        with error_prefix(f"get commit by ref {source_ref}: "):
            source = self.dereference(source_ref)
        with error_prefix(f"get commit by branch {destination_ref}: "):
            destination = self.dereference(destination_ref)
        source_ancestors = {commit.id for commit in self.ancestors(source)}
        for commit in self.ancestors(destination):
            if commit.id in source_ancestors:
                return source, destination, commit
        raise ApiError(500, "no merge base")

    # Writing

    def check_writable(self, *, force: bool = False) -> None:
        """Raise a 403 error if the repository is read-only, unless `force` is set."""
        if self.read_only and not force:
            raise ApiError(403, "read-only repository")

    def is_protected(self, branch: str) -> bool:
        """Return True if a rule protects the branch, which need not exist."""
        return any(fnmatchcase(branch, pattern) for pattern in self.protection)

    def check_unprotected(self, branch: str, action: str = "write") -> None:
        """Raise a 403 error if a rule protects the branch."""
        if self.is_protected(branch):
            raise ApiError(403, f"cannot {action} to protected branch")

    def writable_branch(self, name: str, *, force: bool = False) -> Branch:
        """Return a branch. Raise a 403 error if it is protected or the repository read-only."""
        self.check_unprotected(name)
        self.check_writable(force=force)
        return self.branch(name)

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
        merged: Commit | None = None,
        squash: bool = False,
        committer: str = USER,
        date: int | None = None,
    ) -> Commit:
        """Commit a tree on a branch and move the branch. `merged` is the source of a merge."""
        parents = [self.commits[branch.commit_id]] if branch.commit_id else []
        ancestors = [*parents, merged] if merged else parents
        commit = Commit(
            parents=[parent.id for parent in (parents if squash else ancestors)],
            committer=committer,
            message=message,
            creation_date=int(self.clock()) if date is None else date,
            meta_range_id=tree.id,
            metadata=metadata or {},
            generation=1 + max((parent.generation for parent in ancestors), default=0),
        )
        commit = replace(commit, id=versions.digest(asdict(commit)))
        self.commits[commit.id] = commit
        self.trees.setdefault(tree.id, tree)
        branch.commit_id = commit.id
        # Every commit drops the staging area, which differs from the head in a commit only.
        branch.staging = {}
        branch.view = None
        return commit

    # The methods below take request bodies, as the API document describes them.

    def commit_staged(
        self, name: str, creation: Mapping[str, Any], meta_range_id: str | None = None
    ) -> Commit:
        """Commit the staged changes of a branch, or a metarange if there are none."""
        branch = self.branch(name)
        changes = self.uncommitted(name)
        if meta_range_id is not None:
            if changes:
                raise bad_request(
                    "cannot use source MetaRange on a branch with uncommitted changes"
                )
            tree = find(self.trees, meta_range_id, "metarange")
        else:
            if not changes and not creation.get("allow_empty"):
                raise bad_request("commit: no changes")
            tree = self._head_tree(branch).overlay(branch.staging)
        metadata, date = creation.get("metadata"), creation.get("date")
        return self.advance(branch, tree, creation["message"], metadata, date=date)

    def merge(self, source_ref: str, name: str, merge: Mapping[str, Any]) -> Commit:
        """Merge a ref into a branch."""
        self.check_writable(force=merge.get("force", False))
        branch = self.clean_branch(name)
        strategy = merge.get("strategy", "")
        with error_prefix(f"update branch {name}: "):
            source, destination, base = self.merge_base(source_ref, name)
            tree = self._merge_trees(
                self.tree_of(destination),
                self.tree_of(source),
                self.tree_of(base),
                strategy,
                allow_empty=merge.get("allow_empty", False) or merge.get("force", False),
            )
        message = merge.get("message") or f"Merge '{source_ref}' into '{name}'"
        metadata = {**merge.get("metadata", {}), ".lakefs.merge.strategy": strategy or "default"}
        squash = merge.get("squash_merge", False)
        return self.advance(branch, tree, message, metadata, merged=source, squash=squash)

    def revert(self, name: str, revert: Mapping[str, Any]) -> Commit:
        """Commit the inverse of a commit's changes."""
        self.check_writable(force=revert.get("force", False))
        ref, number = revert["ref"], revert["parent_number"]
        with error_prefix(f"get commit from ref {ref}: "):
            commit = self.dereference(ref)
        if len(commit.parents) > 1 and number <= 0:
            raise conflict("must specify 1-based parent number for reverting merge commit")
        if number > len(commit.parents):
            raise bad_request(f"{_NO_PARENT}: parent {number}")
        branch = self.clean_branch(name)
        head = self._head_tree(branch)
        allow_empty = revert.get("allow_empty", False)
        with error_prefix("update branch: "):
            parent = self._parent_tree(commit, max(number, 1))
            tree = self._merge_trees(head, parent, self.tree_of(commit), allow_empty=allow_empty)
            if tree.id == head.id and not allow_empty:
                raise bad_request("no changes")
        overrides = revert.get("commit_overrides") or {}
        message = overrides.get("message") or f"Revert {ref}"
        return self.advance(branch, tree, message, overrides.get("metadata"))

    def cherry_pick(self, name: str, pick: Mapping[str, Any]) -> Commit:
        """Commit a commit's changes on another branch."""
        self.check_writable(force=pick.get("force", False))
        ref, number = pick["ref"], pick.get("parent_number")
        with error_prefix(f"get commit from ref {ref}: "):
            commit = self.dereference(ref)
        if number is None:
            if len(commit.parents) > 1:
                raise bad_request(
                    "must specify 1-based parent number for cherry-picking merge commit"
                )
            number = 1
        if number > len(commit.parents):
            raise bad_request(f"parent {number}: {_NO_PARENT}")
        branch = self.clean_branch(name)
        with error_prefix("update branch: "):
            parent = self._parent_tree(commit, number)
            tree = self._merge_trees(self._head_tree(branch), self.tree_of(commit), parent)
        overrides = pick.get("commit_overrides") or {}
        message = overrides.get("message") or commit.message
        origin = {"cherry-pick-origin": commit.id, "cherry-pick-committer": commit.committer}
        metadata = {**overrides.get("metadata", commit.metadata), **origin}
        return self.advance(branch, tree, message, metadata)

    def import_entries(
        self,
        name: str,
        entries: Mapping[str, Entry],
        destinations: tuple[str, ...],
        body: Mapping[str, Any],
    ) -> Commit:
        """Commit entries on a branch in place of all entries with a prefix in `destinations`."""
        self.check_writable(force=body.get("force", False))
        branch = self.clean_branch(name)
        head = self._head_tree(branch).entries
        remaining = {path: head[path] for path in head if not path.startswith(destinations)}
        metadata = {
            **body["commit"].get("metadata", {}),
            ".lakefs.merge.strategy": "source-wins",
        }
        message = body["commit"]["message"] or "Import objects"
        return self.advance(branch, Tree({**remaining, **entries}), message, metadata)

    def _head_tree(self, branch: Branch) -> Tree:
        return self.tree_of(self.commits[branch.commit_id])

    def _parent_tree(self, commit: Commit, number: int) -> Tree:
        """Return the tree of a parent by its number, counted from 1. A root has an empty one."""
        if not commit.parents:
            return EMPTY
        return self.tree_of(self.commits[commit.parents[number - 1]])

    def _merge_trees(
        self,
        destination: Tree,
        source: Tree,
        base: Tree,
        strategy: str = "",
        *,
        allow_empty: bool = False,
    ) -> Tree:
        """Merge trees. Raise a 400 error if the source has no changes."""
        if source.id == base.id and not allow_empty:
            raise bad_request("no changes")
        return versions.merge(base, source, destination, strategy)

    # Refs

    def resolve(self, ref: str) -> ResolvedRef:
        """Return a ref's commit, and its branch if uncommitted changes count."""
        base, modifiers = parse_ref(ref)
        resolved = self._resolve_base(base)
        if not modifiers:
            return resolved
        commit = resolved.commit
        for kind, number in modifiers:
            if kind in "@$":
                if resolved.branch is None or len(modifiers) > 1:
                    raise invalid_ref()
                return resolved._replace(staging=True) if kind == "$" else ResolvedRef(commit)
            commit = self._ancestor(commit, kind, number)
        return ResolvedRef(commit)

    def _ancestor(self, commit: Commit, kind: str, number: int) -> Commit:
        if kind == "~":
            for _ in range(number):
                if not commit.parents:
                    raise not_found()
                commit = self.commits[commit.parents[0]]
            return commit
        if number == 0:
            return commit
        if not 0 < number <= len(commit.parents):
            raise invalid_ref()
        return self.commits[commit.parents[number - 1]]

    def _resolve_base(self, name: str) -> ResolvedRef:
        """Return the commit of a branch, a tag, a commit id or a unique prefix of one."""
        if _COMMIT_ID.fullmatch(name) and (commit := self.commits.get(name)):
            return ResolvedRef(commit)
        if branch := self.branches.get(name):
            return ResolvedRef(self.commits[branch.commit_id], branch)
        if name in self.tags:
            return ResolvedRef(self.commits[self.tags[name]])
        if _COMMIT_PREFIX.fullmatch(name):
            matching = [commit for id_, commit in self.commits.items() if id_.startswith(name)]
            if len(matching) == 1:
                return ResolvedRef(matching[0])
        raise not_found()
