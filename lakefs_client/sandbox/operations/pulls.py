"""Pull requests."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from ..backend import Backend, Call, no_content, page, reply
from ..errors import ApiError, bad_request, not_found
from ..ids import made_at, new_id
from ..repository import PullRequest
from ..wire import Response
from .registry import operation


def timestamp(seconds: float) -> str:
    """A time as the API shows it."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat().replace("+00:00", "Z")


def _show(pull: PullRequest) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "description": pull.description,
        "status": pull.status,
        "title": pull.title,
        "author": pull.author,
        "creation_date": timestamp(pull.creation_date),
        "destination_branch": pull.destination_branch,
        "id": pull.id,
        "source_branch": pull.source_branch,
    }
    if pull.closed_date is not None:
        shown["closed_date"] = timestamp(pull.closed_date)
    if pull.merged_commit_id is not None:
        shown["merged_commit_id"] = pull.merged_commit_id
    return shown


def _show_listed(pull: PullRequest) -> dict[str, Any]:
    shown = _show(pull)
    del shown["description"]
    return shown


@operation
def list_pull_requests(backend: Backend, call: Call) -> Response:
    prefix, after, status = call["prefix"] or "", call["after"] or "", call["status"]
    pulls = [
        pull
        for name, pull in sorted(backend.repository(call).pulls.items())
        if name.startswith(prefix)
        and name > after
        # What was merged is closed, too.
        and (status == "all" or (pull.status == "open") == (status == "open"))
    ]
    return page(pulls, call, lambda pull: pull.id, _show_listed)


@operation
def create_pull_request(backend: Backend, call: Call) -> Response:
    repository, body = backend.repository(call), call.body
    repository.check_writable()
    source, destination = body["source_branch"], body["destination_branch"]
    repository.branch(source)
    repository.branch(destination)
    if source == destination:
        raise bad_request("source branch and destination branch are the same")
    now = backend.clock()
    pull = PullRequest(
        id=new_id(now),
        title=body["title"],
        description=body.get("description", ""),
        author=call.user,
        source_branch=source,
        destination_branch=destination,
        creation_date=now,
    )
    repository.pulls[pull.id] = pull
    return reply({"id": pull.id}, 201)


@operation
def get_pull_request(backend: Backend, call: Call) -> Response:
    return reply(_show(_pull(backend, call)))


@operation
def update_pull_request(backend: Backend, call: Call) -> Response:
    pull, body = _pull(backend, call), call.body
    status = body.get("status", pull.status)
    if "merged" in (status, pull.status) and status != pull.status:
        raise bad_request("bad pull request status")
    pull.title = body.get("title", pull.title)
    pull.description = body.get("description", pull.description)
    if status != pull.status:
        pull.status = status
        pull.closed_date = backend.clock() if status == "closed" else None
    return no_content()


@operation
def merge_pull_request(backend: Backend, call: Call) -> Response:
    repository, pull = backend.repository(call), _pull(backend, call)
    repository.check_writable()
    if pull.status != "open":
        raise bad_request("bad pull request status")
    try:
        made = repository.merge(
            pull.source_branch,
            pull.destination_branch,
            call.user,
            message=pull.title,
            metadata={".lakefs.pull-request": pull.id},
        )
    except ApiError as error:
        if error.status == 409:
            raise ApiError(409, error.message, {"reference": ""}) from None
        raise
    pull.status = "merged"
    pull.closed_date = backend.clock()
    pull.merged_commit_id = made.id
    return reply({"reference": made.id})


def _pull(backend: Backend, call: Call) -> PullRequest:
    identifier = call["pull_request"]
    try:
        made_at(identifier)
    except ValueError:
        raise bad_request(
            "argument pullRequestID: pull request id: invalid value: validation error"
        ) from None
    if pull := backend.repository(call).pulls.get(identifier):
        return pull
    raise not_found()
