"""Operations on branches and tags."""

from __future__ import annotations

from lakefs_client.sandbox.errors import ApiError, bad_request, conflict, error_prefix, find
from lakefs_client.sandbox.http_server import Response
from lakefs_client.sandbox.names import check_path, check_tag_id
from lakefs_client.sandbox.operations.call import Call, Json
from lakefs_client.sandbox.repository import Branch, Repository


class Branches(Call):
    """The groups `branches` and `tags`."""

    def list_branches(self) -> Json:
        branches = {
            name: branch.commit_id
            for name, branch in self.repository.branches.items()
            if self["show_hidden"] or not branch.hidden
        }
        return self.listing(sorted(branches.items()), _show)

    def create_branch(self) -> Response:
        name, source = self.body["name"], self.body["source"]
        try:
            self.check_branch(name)
        except ApiError as error:
            if error.status == 400:
                rule = (
                    "branch id must consist of letters, digits, underscores and dashes, "
                    "and cannot start with a dash"
                )
                raise bad_request(f"{error.message}: {rule}") from None
            raise
        self.check_refs(ref=source)
        repository = self.repository
        _check_commit_id(repository, name)
        if name in repository.tags:
            raise conflict(f"tag ID {name}: conflict found")
        repository.check_writable(force=self.force)
        with error_prefix(f"source reference '{source}': "):
            resolved = repository.resolve(source)
            if resolved.staging:
                raise ApiError(500, "can't create a branch without commit")
        if name in repository.branches:
            raise conflict("branch already exists: not unique")
        commit_id = resolved.commit.id
        repository.branches[name] = Branch(commit_id, hidden=self.body.get("hidden", False))
        return Response(201, commit_id.encode(), {"Content-Type": "text/plain; charset=utf-8"})

    def get_branch(self) -> Json:
        self.check_branch(self["branch"])
        return _show(self["branch"], self.repository.branch(self["branch"]).commit_id)

    def delete_branch(self) -> None:
        name = self["branch"]
        self.check_branch(name, "name")
        repository = self.writable_repository
        if name == repository.default_branch:
            raise ApiError(403, "cannot delete repository default branch")
        repository.branch(name)
        del repository.branches[name]

    def reset_branch(self) -> None:
        name, kind, path = self["branch"], self.body["type"], self.body.get("path", "")
        self.check_branch(name)
        if kind == "object":
            check_path(path)
        repository = self.repository
        repository.check_unprotected(name)
        repository.check_writable(force=self.force)
        with error_prefix("getting branch: " if kind == "object" else ""):
            branch = repository.branch(name)
        for staged in list(branch.staging):
            if kind == "reset" or staged == path or (kind != "object" and staged.startswith(path)):
                del branch.staging[staged]
        branch.view = None

    def hard_reset_branch(self) -> None:
        name, ref = self["branch"], self["ref"]
        self.check_branch(name)
        self.check_refs(ref=ref)
        repository = self.repository
        if repository.is_protected(name):
            raise ApiError(403, "protected branch")
        repository.check_writable(force=self.force)
        branch = repository.branch(name)
        with error_prefix(f"hard-reset {name} to {ref}: "):
            branch.commit_id = repository.dereference(ref).id
        # Uncommitted changes stay.
        branch.view = None

    def list_tags(self) -> Json:
        return self.listing(sorted(self.repository.tags.items()), _show)

    def create_tag(self) -> Json:
        name = self.body["id"]
        check_tag_id(name)
        repository = self.repository
        if name in repository.branches:
            raise conflict(f"branch name {name}: conflict found")
        _check_commit_id(repository, name)
        commit = repository.commit(self.body["ref"])
        repository.check_writable(force=self.force)
        if name in repository.tags:
            raise conflict("tag already exists: not unique")
        repository.tags[name] = commit.id
        return _show(name, commit.id)

    def get_tag(self) -> Json:
        check_tag_id(self["tag"])
        return _show(self["tag"], find(self.repository.tags, self["tag"], "tag"))

    def delete_tag(self) -> None:
        check_tag_id(self["tag"])
        repository, name = self.writable_repository, self["tag"]
        find(repository.tags, name, "tag")
        del repository.tags[name]


def _check_commit_id(repository: Repository, name: str) -> None:
    """Raise a 409 error if the name is a commit id."""
    if name in repository.commits:
        raise conflict(f"commit ID {name}: conflict found")


def _show(name: str, commit_id: str) -> Json:
    return {"commit_id": commit_id, "id": name}
