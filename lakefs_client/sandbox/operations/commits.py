"""Commits, what is between them, and merges."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import dropwhile, islice, takewhile
from typing import Any

from .. import versions
from ..backend import Backend, Call, no_content, page, page_size, reply
from ..errors import ApiError, bad_request, conflict, not_found
from ..ids import new_id
from ..repository import Repository
from ..versions import Commit
from ..wire import Response
from .branches import show_differences
from .registry import operation


def show_commit(commit: Commit) -> dict[str, Any]:
    """A commit as the API shows it."""
    return {
        "committer": commit.committer,
        "creation_date": commit.creation_date,
        "generation": commit.generation,
        "id": commit.id,
        "message": commit.message,
        "meta_range_id": commit.meta_range_id,
        "metadata": commit.metadata,
        "parents": commit.parents,
        "version": commit.version,
    }


@operation
def commit(backend: Backend, call: Call) -> Response:
    repository, branch, body = backend.repository(call), call["branch"], call.body
    if branch not in repository.branches:
        run_id = new_id(backend.clock())
        raise ApiError(
            404,
            f"prepare-commit hook aborted, run id '{run_id}': list actions from commit: "
            "listing actions: not found",
        )
    repository.check_writable(force=body.get("force", False))
    source = call["source_metarange"]
    if source is not None and source not in repository.trees:
        raise not_found("metarange")
    made = repository.commit_staged(
        branch,
        body["message"],
        call.user,
        metadata=body.get("metadata"),
        date=body.get("date"),
        allow_empty=body.get("allow_empty", False),
        tree=None if source is None else repository.trees[source],
    )
    return reply(show_commit(made), 201)


@operation
def create_commit_record(backend: Backend, call: Call) -> Response:
    repository, body = backend.repository(call), call.body
    repository.check_writable(force=body.get("force", False))
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
    return no_content()


@operation
def get_commit(backend: Backend, call: Call) -> Response:
    repository = backend.repository(call)
    try:
        return reply(show_commit(repository.commit(call["commitId"])))
    except ApiError:
        raise not_found("commit") from None


@operation
def log_commits(backend: Backend, call: Call) -> Response:
    repository = backend.repository(call)
    commits: Iterable[Commit] = repository.ancestors(
        repository.commit(call["ref"]), first_parent=bool(call["first_parent"])
    )
    if after := call["after"]:
        commits = islice(dropwhile(lambda item: item.id != after, commits), 1, None)
    if call["stop_at"]:
        commits = _up_to(commits, repository.commit(call["stop_at"]))
    if call["since"]:
        since = _timestamp(call["since"])
        commits = takewhile(lambda item: item.creation_date >= since, commits)
    objects: frozenset[str] = frozenset(call["objects"] or ())
    prefixes: tuple[str, ...] = tuple(call["prefixes"] or ())
    if objects or prefixes:
        commits = (item for item in commits if _touches(repository, item, objects, prefixes))
    if call["limit"]:
        # Looks no further than the page, so that there is no next one to tell of.
        commits = islice(commits, page_size(call))
    return page(commits, call, lambda item: item.id, show_commit)


def _up_to(commits: Iterable[Commit], last: Commit) -> Iterable[Commit]:
    for item in commits:
        yield item
        if item.id == last.id:
            return


def _timestamp(text: str) -> float:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        raise bad_request(f"since: {text} is no date-time") from None


def _touches(
    repository: Repository, item: Commit, objects: frozenset[str], prefixes: tuple[str, ...]
) -> bool:
    before = versions.EMPTY
    if item.parents:
        before = repository.trees[repository.commits[item.parents[0]].meta_range_id]
    changed = versions.diff(before, repository.trees[item.meta_range_id])
    return any(one.path in objects or one.path.startswith(prefixes) for one in changed)


@operation
def diff_refs(backend: Backend, call: Call) -> Response:
    repository = backend.repository(call)
    left, right = repository.commit(call["leftRef"]), repository.commit(call["rightRef"])
    if call["type"] == "three_dot":
        left = repository.merge_base(left, right)
    differences = versions.diff(
        repository.trees[left.meta_range_id], repository.trees[right.meta_range_id]
    )
    return show_differences(call, differences, right_stats=call["include_right_stats"])


@operation
def find_merge_base(backend: Backend, call: Call) -> Response:
    repository = backend.repository(call)
    source = repository.commit(call["sourceRef"])
    destination = repository.commit(call["destinationBranch"])
    return reply(
        {
            "base_commit_id": repository.merge_base(source, destination).id,
            "destination_commit_id": destination.id,
            "source_commit_id": source.id,
        }
    )


@operation
def merge_into_branch(backend: Backend, call: Call) -> Response:
    repository, body = backend.repository(call), call.body or {}
    repository.check_writable(force=body.get("force", False))
    try:
        made = repository.merge(
            call["sourceRef"],
            call["destinationBranch"],
            call.user,
            message=body.get("message", ""),
            metadata=body.get("metadata"),
            strategy=body.get("strategy", ""),
            squash=body.get("squash_merge", False),
            allow_empty=body.get("allow_empty", False),
        )
    except ApiError as error:
        if error.status == 409:
            raise ApiError(409, error.message, {"reference": ""}) from None
        raise
    return reply({"reference": made.id})


@operation
def revert_branch(backend: Backend, call: Call) -> Response:
    repository, body = backend.repository(call), call.body
    repository.check_writable(force=body.get("force", False))
    overrides = body.get("commit_overrides") or {}
    repository.revert(
        call["branch"],
        body["ref"],
        body["parent_number"],
        call.user,
        message=overrides.get("message"),
        metadata=overrides.get("metadata"),
        allow_empty=body.get("allow_empty", False),
    )
    return no_content()


@operation
def cherry_pick(backend: Backend, call: Call) -> Response:
    repository, body = backend.repository(call), call.body
    repository.check_writable(force=body.get("force", False))
    overrides = body.get("commit_overrides") or {}
    made = repository.cherry_pick(
        call["branch"],
        body["ref"],
        body.get("parent_number"),
        call.user,
        message=overrides.get("message"),
        metadata=overrides.get("metadata"),
    )
    return reply(show_commit(made), 201)
