"""Branches, tags, and what moves a branch without a commit of its own."""

from __future__ import annotations

import re

from ..errors import ApiError, bad_request, conflict, not_found
from ..repository import Branch
from ..wire import Response
from .call import Call, Json, reply

_BRANCH_NAME = re.compile(r"\w[-\w]*", re.ASCII)
_TAG_NAME = re.compile(r"[^\s~^:?*\[\\]+")


class Branches(Call):
    def list_branches(self) -> Json:
        branches = {
            name: branch.commit_id
            for name, branch in self.repository.branches.items()
            if self["show_hidden"] or not branch.hidden
        }
        return self.listing(sorted(branches.items()), _show)

    def create_branch(self) -> Response:
        repository = self.writable_repository
        name, source = self.body["name"], self.body["source"]
        if not _BRANCH_NAME.fullmatch(name):
            raise bad_request(
                "argument branch: branch id: invalid value: validation error: branch id must "
                "consist of letters, digits, underscores and dashes, and cannot start with a dash"
            )
        if name in repository.branches:
            raise conflict("branch already exists: not unique")
        if name in repository.tags:
            raise conflict(f"tag ID {name} already exists: conflict found")
        commit = repository.commit(source, f"source reference '{source}': not found")
        repository.branches[name] = Branch(commit.id, hidden=self.body.get("hidden", False))
        return Response(201, commit.id.encode(), {"Content-Type": "text/plain; charset=utf-8"})

    def get_branch(self) -> Json:
        return _show(self["branch"], self.repository.branch(self["branch"]).commit_id)

    def delete_branch(self) -> None:
        repository, name = self.writable_repository, self["branch"]
        if name == repository.default_branch:
            raise ApiError(403, "cannot delete repository default branch")
        repository.branch(name)
        del repository.branches[name]

    def reset_branch(self) -> None:
        repository, name = self.repository, self["branch"]
        branch = repository.branch(name)
        repository.check_writable(name, force=self.force)
        kind, path = self.body["type"], self.body.get("path", "")
        if kind == "object" and path not in branch.staging:
            raise not_found()
        for staged in list(branch.staging):
            if kind == "reset" or staged == path or (kind != "object" and staged.startswith(path)):
                del branch.staging[staged]
        branch.view = None

    def hard_reset_branch(self) -> None:
        repository, name, ref = self.writable_repository, self["branch"], self["ref"]
        branch = repository.branch(name)
        branch.move_to(repository.commit(ref, f"hard-reset {name} to {ref}: not found"))

    def list_tags(self) -> Json:
        return self.listing(sorted(self.repository.tags.items()), _show)

    def create_tag(self) -> Response:
        repository, name = self.writable_repository, self.body["id"]
        if not _TAG_NAME.fullmatch(name):
            raise bad_request("argument tag: tag id: invalid value: validation error")
        if name in repository.branches:
            raise conflict(f"branch name {name} already exists: conflict found")
        if name in repository.tags:
            raise conflict("tag already exists: not unique")
        repository.tags[name] = repository.commit(self.body["ref"]).id
        return reply(_show(name, repository.tags[name]), 201)

    def get_tag(self) -> Json:
        return _show(self["tag"], self.repository.tag(self["tag"]))

    def delete_tag(self) -> None:
        repository, name = self.writable_repository, self["tag"]
        repository.tag(name)
        del repository.tags[name]


def _show(name: str, commit_id: str) -> Json:
    return {"commit_id": commit_id, "id": name}
