"""One repository: branches with their staging areas, tags, commits, and what moves them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from . import versions
from .errors import ApiError, bad_request, conflict, no_changes, not_found
from .ids import new_id
from .versions import EMPTY, Commit, Entry, Tree

_REF = re.compile(r"([^~^@$]+)((?:[~^]\d*|@|\$)*)")
_MODIFIER = re.compile(r"([~^@$])(\d*)")
_NAME = re.compile(r"\w[-\w]*", re.ASCII)
_DIRTY = "uncommitted changes (dirty branch)"


@dataclass
class Branch:
    """A branch: its head and what was written since. None in `staging` is a deletion."""

    commit_id: str
    staging: dict[str, Entry | None] = field(default_factory=dict)
    hidden: bool = False
    # Head and staging together, until one of them changes.
    view: Tree | None = None


@dataclass
class PullRequest:
    """A request to merge one branch into another."""

    id: str
    title: str
    description: str
    author: str
    source_branch: str
    destination_branch: str
    creation_date: float
    status: str = "open"
    closed_date: float | None = None
    merged_commit_id: str | None = None


@dataclass
class Repository:
    """A repository and everything in it."""

    id: str
    storage_namespace: str
    default_branch: str
    creation_date: int
    read_only: bool
    clock: Callable[[], float]
    # The directory of data/ that this repository's objects are in.
    partition: str
    metadata: dict[str, str] = field(default_factory=dict)
    branches: dict[str, Branch] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)
    trees: dict[str, Tree] = field(default_factory=lambda: {"": EMPTY})
    protection: list[str] = field(default_factory=list)
    gc_rules: dict[str, Any] | None = None
    pulls: dict[str, PullRequest] = field(default_factory=dict)

    # Addresses

    @property
    def prefix(self) -> str:
        """The namespace with a slash at its end."""
        return self.storage_namespace.rstrip("/") + "/"

    def new_address(self) -> str:
        """An address, relative to the namespace, that nothing is at yet."""
        return f"data/{self.partition}/{new_id(self.clock())}"

    def uri(self, address: str) -> str:
        """The whole URI of an entry's address."""
        return address if "://" in address else self.prefix + address

    def relative(self, uri: str) -> str:
        """The address of a URI below the namespace, else the URI itself."""
        return uri.removeprefix(self.prefix)

    # Reading

    def branch(self, name: str) -> Branch:
        """The branch of this name, or 404."""
        if branch := self.branches.get(name):
            return branch
        raise not_found("branch")

    def commit(self, ref: str) -> Commit:
        """The commit that a reference stands for, or 404."""
        return self._resolve(ref)[0]

    def tree(self, ref: str) -> Tree:
        """What a reference stands for; for a branch, what is uncommitted too."""
        commit, branch = self._resolve(ref)
        if branch is None or not branch.staging:
            return self.trees[commit.meta_range_id]
        if branch.view is None:
            branch.view = self.trees[commit.meta_range_id].overlaid(branch.staging)
        return branch.view

    def entry(self, ref: str, path: str) -> Entry:
        """The entry at a path, or 404."""
        commit, branch = self._resolve(ref)
        committed = self.trees[commit.meta_range_id].entries
        if branch is not None and path in branch.staging:
            entry = branch.staging[path]
        else:
            entry = committed.get(path)
        if entry is None:
            raise not_found()
        return entry

    def committed_tree(self, ref: str) -> Tree:
        """What a reference stands for, without what is uncommitted."""
        return self.trees[self.commit(ref).meta_range_id]

    def uncommitted(self, name: str) -> list[versions.Difference]:
        """What a commit of the branch would bring."""
        branch = self.branch(name)
        committed = self.trees[self.commits[branch.commit_id].meta_range_id].entries
        # Only what is staged can differ.
        left = Tree({path: committed[path] for path in branch.staging if path in committed})
        right = Tree({path: entry for path, entry in branch.staging.items() if entry is not None})
        return versions.diff(left, right)

    def ancestors(self, start: Commit, *, first_parent: bool = False) -> Iterator[Commit]:
        """`start` and the commits behind it, later ones first."""
        waiting = {start.id: start}
        while waiting:
            commit = max(waiting.values(), key=lambda c: (c.generation, c.creation_date, c.id))
            del waiting[commit.id]
            yield commit
            for parent in commit.parents[:1] if first_parent else commit.parents:
                waiting[parent] = self.commits[parent]

    def merge_base(self, left: Commit, right: Commit) -> Commit:
        """The last commit that both have behind them."""
        behind = {commit.id for commit in self.ancestors(left)}
        for commit in self.ancestors(right):
            if commit.id in behind:
                return commit
        raise bad_request("no merge base")

    # Writing

    def check_writable(self, branch: str | None = None, *, force: bool = False) -> None:
        """Refuse with 403 what a read-only repository or a protected branch does not take."""
        if self.read_only and not force:
            raise ApiError(403, "read-only repository")
        if branch is not None and self.is_protected(branch):
            raise ApiError(403, "cannot write to protected branch")

    def is_protected(self, branch: str) -> bool:
        return any(fnmatchcase(branch, pattern) for pattern in self.protection)

    def stage(self, branch: str, path: str, entry: Entry | None, *, force: bool = False) -> None:
        """Write an entry to the branch's staging area, or a deletion."""
        target = self.branch(branch)
        self.check_writable(branch, force=force)
        target.staging[path] = entry
        target.view = None

    def delete(self, branch: str, path: str, *, force: bool = False) -> None:
        """Stage the deletion of a path; one that is not there is left alone."""
        target = self.branch(branch)
        self.check_writable(branch, force=force)
        if path in self.committed_tree(branch).entries:
            target.staging[path] = None
        else:
            target.staging.pop(path, None)
        target.view = None

    def create_branch(self, name: str, source: str, *, hidden: bool = False) -> Commit:
        if not _NAME.fullmatch(name):
            raise bad_request(
                "argument branch: branch id: invalid value: validation error: branch id must "
                "consist of letters, digits, underscores and dashes, and cannot start with a dash"
            )
        if name in self.branches:
            raise conflict("branch already exists: not unique")
        if name in self.tags:
            raise conflict(f"tag ID {name} already exists: conflict found")
        try:
            commit = self.commit(source)
        except ApiError:
            raise ApiError(404, f"source reference '{source}': not found") from None
        self.branches[name] = Branch(commit.id, hidden=hidden)
        return commit

    def commit_staged(
        self,
        name: str,
        message: str,
        committer: str,
        *,
        metadata: Mapping[str, str] | None = None,
        date: int | None = None,
        allow_empty: bool = False,
        tree: Tree | None = None,
    ) -> Commit:
        """Commit what is staged on a branch, or `tree` where nothing is."""
        branch = self.branch(name)
        if self.is_protected(name):
            raise ApiError(403, "cannot commit to protected branch")
        head = self.commits[branch.commit_id]
        changes = self.uncommitted(name)
        if tree is not None and changes:
            raise bad_request("cannot use source MetaRange on a branch with uncommitted changes")
        if tree is None:
            tree = self.trees[head.meta_range_id].overlaid(branch.staging) if changes else None
        if tree is None and not allow_empty:
            raise no_changes("commit")
        return self._advance(
            branch,
            tree or self.trees[head.meta_range_id],
            [head],
            committer,
            message,
            metadata,
            date,
        )

    def merge(
        self,
        source_ref: str,
        destination: str,
        committer: str,
        *,
        message: str = "",
        metadata: Mapping[str, str] | None = None,
        strategy: str = "",
        squash: bool = False,
        allow_empty: bool = False,
    ) -> Commit:
        """Merge a reference into a branch."""
        if strategy not in versions.STRATEGIES:
            raise bad_request("invalid merge strategy")
        source = self.commit(source_ref)
        branch = self._clean_branch(destination)
        head = self.commits[branch.commit_id]
        base = self.merge_base(source, head)
        ours = self.trees[head.meta_range_id]
        merged = versions.merge(
            self.trees[base.meta_range_id], self.trees[source.meta_range_id], ours, strategy
        )
        if (base == source or merged.id == ours.id) and not allow_empty:
            raise no_changes(f"update branch {destination}")
        return self._advance(
            branch,
            merged,
            [head] if squash else [head, source],
            committer,
            message or f"Merge '{source_ref}' into '{destination}'",
            {**(metadata or {}), ".lakefs.merge.strategy": strategy or "default"},
        )

    def revert(
        self,
        name: str,
        ref: str,
        parent_number: int,
        committer: str,
        *,
        message: str | None = None,
        metadata: Mapping[str, str] | None = None,
        allow_empty: bool = False,
    ) -> Commit:
        """Commit the opposite of what a commit brought."""
        branch = self._clean_branch(name)
        commit = self.commit(ref)
        if len(commit.parents) > 1 and parent_number <= 0:
            raise conflict("must specify 1-based parent number for reverting merge commit")
        parent = self._parent(commit, parent_number)
        head = self.commits[branch.commit_id]
        ours = self.trees[head.meta_range_id]
        reverted = versions.merge(self.trees[commit.meta_range_id], parent, ours)
        if reverted.id == ours.id and not allow_empty:
            raise no_changes(f"update branch {name}")
        return self._advance(
            branch, reverted, [head], committer, message or f"Revert {ref}", metadata
        )

    def cherry_pick(
        self,
        name: str,
        ref: str,
        parent_number: int | None,
        committer: str,
        *,
        message: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Commit:
        """Commit again what a commit brought."""
        branch = self._clean_branch(name)
        commit = self.commit(ref)
        if len(commit.parents) > 1 and parent_number is None:
            raise bad_request("must specify 1-based parent number for cherry-picking merge commit")
        parent = self._parent(commit, parent_number or 0)
        head = self.commits[branch.commit_id]
        picked = versions.merge(
            parent, self.trees[commit.meta_range_id], self.trees[head.meta_range_id]
        )
        origin = {"cherry-pick-origin": commit.id, "cherry-pick-committer": commit.committer}
        return self._advance(
            branch,
            picked,
            [head],
            committer,
            message or commit.message,
            {**(commit.metadata if metadata is None else metadata), **origin},
        )

    def hard_reset(self, name: str, ref: str) -> None:
        """Point a branch at another commit and drop what is staged on it."""
        branch = self.branch(name)
        try:
            commit = self.commit(ref)
        except ApiError:
            raise ApiError(404, f"hard-reset {name} to {ref}: not found") from None
        self.move(branch, commit.id)

    def move(self, branch: Branch, commit_id: str) -> None:
        """Make a commit the head of a branch, with nothing staged."""
        branch.commit_id = commit_id
        branch.staging = {}
        branch.view = None

    def add_commit(self, commit: Commit, tree: Tree) -> None:
        self.trees.setdefault(tree.id, tree)
        self.commits[commit.id] = commit

    def _advance(
        self,
        branch: Branch,
        tree: Tree,
        parents: list[Commit],
        committer: str,
        message: str,
        metadata: Mapping[str, str] | None,
        date: int | None = None,
    ) -> Commit:
        commit = versions.make_commit(
            tree.id,
            parents,
            committer=committer,
            message=message,
            date=int(self.clock()) if date is None else date,
            metadata=metadata,
        )
        self.add_commit(commit, tree)
        self.move(branch, commit.id)
        return commit

    def _clean_branch(self, name: str) -> Branch:
        branch = self.branch(name)
        if self.uncommitted(name):
            raise bad_request(_DIRTY)
        return branch

    def _parent(self, commit: Commit, number: int) -> Tree:
        """The tree of a parent by its number from 1, of the first for 0."""
        index = max(number, 1) - 1
        if index >= len(commit.parents):
            raise bad_request("given commit does not have the given parent number")
        return self.trees[self.commits[commit.parents[index]].meta_range_id]

    def _resolve(self, ref: str) -> tuple[Commit, Branch | None]:
        """The commit of a reference, and the branch whose staging area belongs to it."""
        # Most references are plain names of branches.
        if branch := self.branches.get(ref):
            return self.commits[branch.commit_id], branch
        match = _REF.fullmatch(ref)
        if match is None:
            raise not_found()
        base, modifiers = match.groups()
        branch = self.branches.get(base)
        commit = self.commits[branch.commit_id] if branch else self._commit_or_tag(base)
        for kind, number in _MODIFIER.findall(modifiers):
            if kind == "$":
                continue
            branch = None
            if kind == "~":
                for _ in range(int(number or 1)):
                    commit = self._nth_parent(commit, 1)
            elif kind == "^" and number != "0":
                commit = self._nth_parent(commit, int(number or 1))
        return commit, branch

    def _commit_or_tag(self, name: str) -> Commit:
        commit_id = self.tags.get(name, name)
        if commit := self.commits.get(commit_id):
            return commit
        matching = [commit for id_, commit in self.commits.items() if id_.startswith(name)]
        if len(matching) != 1:
            raise not_found()
        return matching[0]

    def _nth_parent(self, commit: Commit, number: int) -> Commit:
        if number > len(commit.parents):
            raise not_found()
        return self.commits[commit.parents[number - 1]]
