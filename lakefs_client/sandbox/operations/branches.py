"""Branches, tags, and what moves a branch without a commit of its own."""

from __future__ import annotations

from typing import Any

from ..backend import Backend, Call, named_page, no_content, page, reply
from ..errors import ApiError, bad_request, conflict, not_found
from ..repository import Repository
from ..versions import Difference, fold
from ..wire import Response
from .registry import operation


def _show(name: str, commit_id: str) -> dict[str, str]:
    return {"commit_id": commit_id, "id": name}


@operation
def list_branches(backend: Backend, call: Call) -> Response:
    branches = {
        name: branch
        for name, branch in backend.repository(call).branches.items()
        if call["show_hidden"] or not branch.hidden
    }
    return named_page(branches, call, lambda name, branch: _show(name, branch.commit_id))


@operation
def create_branch(backend: Backend, call: Call) -> Response:
    repository, body = backend.repository(call), call.body
    repository.check_writable(force=body.get("force", False))
    commit = repository.create_branch(
        body["name"], body["source"], hidden=body.get("hidden", False)
    )
    headers = {"Content-Type": "text/plain; charset=utf-8"}
    return Response(201, commit.id.encode(), headers)


@operation
def get_branch(backend: Backend, call: Call) -> Response:
    name = call["branch"]
    return reply(_show(name, backend.repository(call).branch(name).commit_id))


@operation
def delete_branch(backend: Backend, call: Call) -> Response:
    repository, name = backend.repository(call), call["branch"]
    repository.check_writable(force=call["force"])
    if name == repository.default_branch:
        raise ApiError(403, "cannot delete repository default branch")
    repository.branch(name)
    del repository.branches[name]
    return no_content()


@operation
def reset_branch(backend: Backend, call: Call) -> Response:
    repository, name, body = backend.repository(call), call["branch"], call.body
    branch = repository.branch(name)
    repository.check_writable(name, force=body.get("force", False))
    kind, path = body["type"], body.get("path", "")
    if kind == "object" and path not in branch.staging:
        raise not_found()
    for staged in list(branch.staging):
        if kind == "reset" or staged == path or (kind != "object" and staged.startswith(path)):
            del branch.staging[staged]
    branch.view = None
    return no_content()


@operation
def hard_reset_branch(backend: Backend, call: Call) -> Response:
    repository = backend.repository(call)
    repository.check_writable(force=call["force"])
    repository.hard_reset(call["branch"], call["ref"])
    return no_content()


@operation
def diff_branch(backend: Backend, call: Call) -> Response:
    return show_differences(call, backend.repository(call).uncommitted(call["branch"]))


def show_differences(
    call: Call, differences: list[Difference], *, right_stats: bool = False
) -> Response:
    """A page of differences, folded by the call's prefix and delimiter."""
    after = call["after"] or ""
    folded = fold(differences, call["prefix"] or "", call["delimiter"] or "")

    def show(item: Difference) -> dict[str, Any]:
        if item.type == "prefix_changed":
            return {"path": item.path, "path_type": "common_prefix", "type": item.type}
        entry = item.right or item.left
        size = entry.size if entry else 0
        shown: dict[str, Any] = {
            "path": item.path,
            "path_type": "object",
            "size_bytes": size,
            "type": item.type,
        }
        if right_stats and item.right is not None:
            shown["right"] = {
                "checksum": item.right.checksum,
                "content_type": item.right.content_type,
                "metadata": item.right.metadata,
                "mtime": item.right.mtime,
            }
        return shown

    return page((i for i in folded if i.path > after), call, lambda item: item.path, show)


@operation
def list_tags(backend: Backend, call: Call) -> Response:
    return named_page(backend.repository(call).tags, call, _show)


@operation
def create_tag(backend: Backend, call: Call) -> Response:
    repository, body = backend.repository(call), call.body
    repository.check_writable(force=body.get("force", False))
    name = body["id"]
    _check_tag_name(repository, name)
    commit = repository.commit(body["ref"])
    repository.tags[name] = commit.id
    return reply(_show(name, commit.id), 201)


def _check_tag_name(repository: Repository, name: str) -> None:
    if not name or any(character.isspace() or character in "~^:?*[\\" for character in name):
        raise bad_request("argument tag: tag id: invalid value: validation error")
    if name in repository.branches:
        raise conflict(f"branch name {name} already exists: conflict found")
    if name in repository.tags:
        raise conflict("tag already exists: not unique")


@operation
def get_tag(backend: Backend, call: Call) -> Response:
    return reply(_show(call["tag"], _tag(backend, call)))


@operation
def delete_tag(backend: Backend, call: Call) -> Response:
    repository = backend.repository(call)
    repository.check_writable(force=bool(call["force"]))
    _tag(backend, call)
    del repository.tags[call["tag"]]
    return no_content()


def _tag(backend: Backend, call: Call) -> str:
    commit_id = backend.repository(call).tags.get(call["tag"])
    if commit_id is None:
        raise not_found("tag")
    return commit_id
