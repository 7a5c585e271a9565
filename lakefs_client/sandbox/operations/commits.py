"""Operations on commits: logs, diffs, merges, reverts and cherry-picks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from itertools import dropwhile, islice, takewhile

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
from lakefs_client.sandbox.operations.call import Call, Json
from lakefs_client.sandbox.repository import Repository
from lakefs_client.sandbox.versions import Commit, Difference

# Go's zero time, in Unix seconds.
_ZERO_TIME = -62135596800


class Commits(Call):
    """The groups `commits` and `refs`, and the branch operations that commit."""

    def commit(self) -> Json:
        branch = self["branch"]
        self.check_branch(branch)
        repository = self.repository
        repository.check_unprotected(branch, "commit")
        repository.check_writable(force=self.force)
        if branch not in repository.branches:
            run_id = new_id(self.backend.clock())
            raise not_found(
                f"prepare-commit hook aborted, run id '{run_id}': list actions from commit: "
                "listing actions:"
            )
        return asdict(repository.commit_staged(branch, self.body, self["source_metarange"]))

    def create_commit_record(self) -> None:
        repository, body = self.writable_repository, self.body
        if body["commit_id"] in repository.commits:
            raise conflict("commit already exists: not unique")
        find(repository.trees, body["metarange_id"], "metarange")
        for parent in body["parents"]:
            find(repository.commits, parent, f"parent commit {parent}")
        names = ("parents", "committer", "message", "creation_date", "generation", "version")
        repository.commits[body["commit_id"]] = Commit(
            id=body["commit_id"],
            meta_range_id=body["metarange_id"],
            metadata=body.get("metadata", {}),
            **{name: body[name] for name in names},
        )

    def get_commit(self) -> Json:
        repository = self.repository
        try:
            return asdict(repository.commit(self["commitId"]))
        except ApiError as error:
            if error.status == 404:
                raise not_found("commit") from None
            # The server has no status for an invalid ref here.
            raise ApiError(500, error.message) from None

    def log_commits(self) -> Json:
        self.check_refs(ref=self["ref"])
        repository = self.repository
        with error_prefix("ref: "):
            start = repository.commit(self["ref"])
        stop = after = None
        if self["stop_at"]:
            with error_prefix("stop_at: "):
                stop = repository.commit(self["stop_at"]).id
        commits: Iterable[Commit] = repository.ancestors(start, first_parent=self["first_parent"])
        if self["since"]:
            since = _parse_time(self["since"])
            commits = takewhile(lambda commit: commit.creation_date >= since, commits)
        if self["after"]:
            with error_prefix("from ref: "):
                after = repository.commit(self["after"]).id
            commits = islice(dropwhile(lambda commit: commit.id != after, commits), 1, None)
        objects, prefixes = (
            set(filter(None, self[name] or ())) for name in ("objects", "prefixes")
        )
        if objects or prefixes:
            commits = _touching(repository, commits, objects, tuple(prefixes))
        if self["limit"]:
            # The server stops at the end of the page and never reports another.
            commits = islice(commits, self.page_size)
        return self.page((commit.id, asdict(commit)) for commit in _up_to(commits, stop))

    def diff_branch(self) -> Json:
        self.check_branch(self["branch"])
        return self._differences(self.repository.uncommitted(self["branch"]))

    def diff_refs(self) -> Json:
        left, right = self["leftRef"], self["rightRef"]
        self.check_refs(left=left, right=right)
        repository = self.repository
        if self["type"] == "two_dot":
            # The right tree includes uncommitted changes for `branch$` only.
            old = repository.tree_of(repository.dereference(left))
            resolved = repository.resolve(right)
            new = (
                repository.tree(right) if resolved.staging else repository.tree_of(resolved.commit)
            )
            differences = versions.diff(old, new)
        else:
            trees = map(repository.tree_of, repository.merge_base(right, left))
            source, destination, base = trees
            differences = versions.compare(base, source, destination)
        return self._differences(differences, right_stats=self["include_right_stats"])

    def find_merge_base(self) -> Json:
        source, destination = self["sourceRef"], self["destinationBranch"]
        self.check_refs(destination=destination, source=source)
        first, second, base = self.repository.merge_base(destination, source)
        return {
            "base_commit_id": base.id,
            # lakeFS 1.84 swaps the two.
            "destination_commit_id": second.id,
            "source_commit_id": first.id,
        }

    def merge_into_branch(self) -> Json:
        source, destination = self["sourceRef"], self["destinationBranch"]
        self.check_branch(destination, "destination")
        self.check_refs(source=source)
        if self.body.get("strategy", "") not in versions.STRATEGIES:
            raise bad_request("argument strategy: invalid value: validation error")
        try:
            return {"reference": self.repository.merge(source, destination, self.body).id}
        except ApiError as error:
            if error.status == 409:
                # The server's body for a conflict has no message.
                error.body = {"reference": ""}
            raise

    def revert_branch(self) -> None:
        self.check_branch(self["branch"])
        self.check_refs(ref=self.body["ref"])
        if self.body["parent_number"] < 0:
            raise bad_request("argument parentNumber: invalid value: validation error")
        self.repository.revert(self["branch"], self.body)

    def cherry_pick(self) -> Json:
        self.check_branch(self["branch"])
        self.check_refs(ref=self.body["ref"])
        if self.body.get("parent_number", 1) <= 0:
            raise bad_request(
                "argument parentNumber: value should be greater than 0: "
                "invalid value: validation error"
            )
        return asdict(self.repository.cherry_pick(self["branch"], self.body))

    def _differences(self, differences: list[Difference], *, right_stats: bool = False) -> Json:
        def show(path: str, difference: Difference) -> Json:
            entry = difference.right
            shown: Json = {
                "path": path,
                "path_type": "object",
                "size_bytes": entry.size if entry else 0,
                "type": difference.kind,
            }
            if right_stats:
                shown["right"] = {
                    "checksum": entry.checksum if entry else "",
                    "content_type": entry.content_type if entry else "",
                    "metadata": entry.metadata if entry else {},
                    "mtime": entry.mtime if entry else _ZERO_TIME,
                }
            return shown

        items = ((difference.path, difference) for difference in differences)
        return self.listing(items, show, type="prefix_changed")


def _up_to(commits: Iterable[Commit], last: str | None) -> Iterator[Commit]:
    for commit in commits:
        yield commit
        if commit.id == last:
            return


def _parse_time(text: str) -> float:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        raise bad_request(f"since: {text} is not a date-time") from None


def _touching(
    repository: Repository,
    commits: Iterable[Commit],
    objects: set[str],
    prefixes: tuple[str, ...],
) -> Iterator[Commit]:
    """Yield the commits that change an object or a prefix. The server skips merges and roots."""
    for commit in commits:
        if len(commit.parents) != 1:
            continue
        before = repository.tree_of(repository.commits[commit.parents[0]])
        changes = versions.diff(before, repository.tree_of(commit))
        if any(item.path in objects or item.path.startswith(prefixes) for item in changes):
            yield commit
