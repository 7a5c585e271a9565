"""Commits, what is between them, and merges."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from itertools import dropwhile, islice, takewhile

from .. import versions
from ..clock import new_id
from ..errors import ApiError, bad_request, conflict, not_found
from ..repository import Repository
from ..versions import Commit, Difference
from ..wire import Response
from .call import Call, Json, reply


class Commits(Call):
    def commit(self) -> Response:
        repository, branch = self.repository, self["branch"]
        if branch not in repository.branches:
            run_id = new_id(self.backend.clock())
            raise ApiError(
                404,
                f"prepare-commit hook aborted, run id '{run_id}': list actions from commit: "
                "listing actions: not found",
            )
        repository.check_writable(force=self.force)
        source = self["source_metarange"]
        if source is not None and source not in repository.trees:
            raise not_found("metarange")
        tree = None if source is None else repository.trees[source]
        return reply(asdict(repository.commit_staged(branch, self.body, tree)), 201)

    def create_commit_record(self) -> None:
        repository, body = self.writable_repository, self.body
        if body["commit_id"] in repository.commits:
            raise conflict("commit already exists: not unique")
        if body["metarange_id"] not in repository.trees:
            raise not_found("metarange")
        if unknown := [parent for parent in body["parents"] if parent not in repository.commits]:
            raise ApiError(404, f"parent commit {unknown[0]} not found")
        repository.commits[body["commit_id"]] = Commit(
            id=body["commit_id"],
            parents=tuple(body["parents"]),
            committer=body["committer"],
            message=body["message"],
            creation_date=body["creation_date"],
            meta_range_id=body["metarange_id"],
            metadata=body.get("metadata", {}),
            generation=body["generation"],
            version=body["version"],
        )

    def get_commit(self) -> Json:
        return asdict(self.repository.commit(self["commitId"], "commit not found"))

    def log_commits(self) -> Json:
        repository = self.repository
        commits: Iterable[Commit] = repository.ancestors(
            repository.commit(self["ref"]), first_parent=self["first_parent"]
        )
        if after := self["after"]:
            commits = islice(dropwhile(lambda item: item.id != after, commits), 1, None)
        if self["stop_at"]:
            commits = _up_to(commits, repository.commit(self["stop_at"]))
        if self["since"]:
            since = _parse_time(self["since"])
            commits = takewhile(lambda item: item.creation_date >= since, commits)
        objects: set[str] = set(self["objects"] or ())
        prefixes = tuple(self["prefixes"] or ())
        if objects or prefixes:
            commits = (item for item in commits if _touches(repository, item, objects, prefixes))
        if self["limit"]:
            # Looks no further than the page, so that there is no next one to tell of.
            commits = islice(commits, self.page_size)
        return self.page((item.id, asdict(item)) for item in commits)

    def diff_branch(self) -> Json:
        return self._differences(self.repository.uncommitted(self["branch"]))

    def diff_refs(self) -> Json:
        repository = self.repository
        left, right = repository.commit(self["leftRef"]), repository.commit(self["rightRef"])
        if self["type"] == "three_dot":
            left = repository.merge_base(left, right)
        differences = versions.diff(repository.tree_of(left), repository.tree_of(right))
        return self._differences(differences, right_stats=self["include_right_stats"])

    def find_merge_base(self) -> Json:
        repository = self.repository
        source = repository.commit(self["sourceRef"])
        destination = repository.commit(self["destinationBranch"])
        return {
            "base_commit_id": repository.merge_base(source, destination).id,
            # The wrong way round, as servers of 1.84 have it.
            "destination_commit_id": source.id,
            "source_commit_id": destination.id,
        }

    def merge_into_branch(self) -> Json:
        repository = self.writable_repository
        return merge(repository, self["sourceRef"], self["destinationBranch"], self.body)

    def revert_branch(self) -> None:
        self.writable_repository.revert(self["branch"], self.body)

    def cherry_pick(self) -> Response:
        picked = self.writable_repository.cherry_pick(self["branch"], self.body)
        return reply(asdict(picked), 201)

    def _differences(self, differences: list[Difference], *, right_stats: bool = False) -> Json:
        def show(path: str, item: Difference) -> Json:
            entry = item.right or item.left
            shown: Json = {
                "path": path,
                "path_type": "object",
                "size_bytes": entry.size if entry else 0,
                "type": item.type,
            }
            if right_stats and item.right is not None:
                names = ("checksum", "content_type", "metadata", "mtime")
                shown["right"] = {name: getattr(item.right, name) for name in names}
            return shown

        items = ((item.path, item) for item in differences)
        return self.listing(items, show, type="prefix_changed")


def merge(repository: Repository, source: str, destination: str, details: Json) -> Json:
    """Merge as a `Merge` of the API says; a conflict is told without a message."""
    try:
        return {"reference": repository.merge(source, destination, details).id}
    except ApiError as error:
        if error.status == 409:
            raise ApiError(409, error.message, {"reference": ""}) from None
        raise


def _up_to(commits: Iterable[Commit], last: Commit) -> Iterable[Commit]:
    for item in commits:
        yield item
        if item.id == last.id:
            return


def _parse_time(text: str) -> float:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        raise bad_request(f"since: {text} is no date-time") from None


def _touches(
    repository: Repository, item: Commit, objects: set[str], prefixes: tuple[str, ...]
) -> bool:
    before = versions.EMPTY
    if item.parents:
        before = repository.tree_of(repository.commits[item.parents[0]])
    changed = versions.diff(before, repository.tree_of(item))
    return any(one.path in objects or one.path.startswith(prefixes) for one in changed)
