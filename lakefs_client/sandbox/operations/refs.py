"""Operations on branches, tags, commits, diffs, merges and pull requests."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from itertools import dropwhile, islice, takewhile

from lakefs_client.sandbox import versions
from lakefs_client.sandbox.clock import creation_time, new_id, timestamp
from lakefs_client.sandbox.errors import ApiError, bad_request, conflict, find, not_found
from lakefs_client.sandbox.http_server import Response
from lakefs_client.sandbox.identity import USER
from lakefs_client.sandbox.operations.call import Call, Json
from lakefs_client.sandbox.repository import Branch, Repository
from lakefs_client.sandbox.versions import Commit, Difference

_BRANCH_NAME = re.compile(r"\w[-\w]*", re.ASCII)
_TAG_NAME = re.compile(r"[^\s~^:?*\[\\]+")


class Refs(Call):
    """The groups `branches`, `tags`, `commits`, `refs` and `pulls`."""

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
        branch = repository.writable_branch(name, force=self.force)
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

    def create_tag(self) -> Json:
        repository, name = self.writable_repository, self.body["id"]
        if not _TAG_NAME.fullmatch(name):
            raise bad_request("argument tag: tag id: invalid value: validation error")
        if name in repository.branches:
            raise conflict(f"branch name {name} already exists: conflict found")
        if name in repository.tags:
            raise conflict("tag already exists: not unique")
        repository.tags[name] = repository.commit(self.body["ref"]).id
        return _show(name, repository.tags[name])

    def get_tag(self) -> Json:
        return _show(self["tag"], find(self.repository.tags, self["tag"], "tag"))

    def delete_tag(self) -> None:
        repository, name = self.writable_repository, self["tag"]
        find(repository.tags, name, "tag")
        del repository.tags[name]

    # Commits

    def commit(self) -> Json:
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
        tree = None if source is None else find(repository.trees, source, "metarange")
        return asdict(repository.commit_staged(branch, self.body, tree))

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
            # The server stops at the end of the page and never reports another.
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
            # lakeFS 1.84 swaps the two.
            "destination_commit_id": source.id,
            "source_commit_id": destination.id,
        }

    def merge_into_branch(self) -> Json:
        source, destination = self["sourceRef"], self["destinationBranch"]
        return {"reference": self.writable_repository.merge(source, destination, self.body).id}

    def revert_branch(self) -> None:
        self.writable_repository.revert(self["branch"], self.body)

    def cherry_pick(self) -> Json:
        return asdict(self.writable_repository.cherry_pick(self["branch"], self.body))

    def _differences(self, differences: list[Difference], *, right_stats: bool = False) -> Json:
        def show(path: str, item: Difference) -> Json:
            entry = item.right or item.left
            size = entry.size if entry else 0
            kind = "changed" if item.left and item.right else "added" if item.right else "removed"
            shown: Json = {"path": path, "path_type": "object", "size_bytes": size, "type": kind}
            if right_stats and item.right is not None:
                names = ("checksum", "content_type", "metadata", "mtime")
                shown["right"] = {name: getattr(item.right, name) for name in names}
            return shown

        items = ((item.path, item) for item in differences)
        return self.listing(items, show, type="prefix_changed")

    # Pull requests, stored in the API's format

    def list_pull_requests(self) -> Json:
        status = self["status"]
        pulls = {
            name: pull
            for name, pull in self.repository.pulls.items()
            # A merged pull request counts as closed.
            if status == "all" or (pull["status"] == "open") == (status == "open")
        }

        def show(_: str, pull: Json) -> Json:
            return {key: value for key, value in pull.items() if key != "description"}

        return self.listing(sorted(pulls.items()), show)

    def create_pull_request(self) -> Json:
        repository, body = self.repository, self.body
        repository.check_writable()
        repository.branch(body["source_branch"])
        repository.branch(body["destination_branch"])
        if body["source_branch"] == body["destination_branch"]:
            raise bad_request("source branch and destination branch are the same")
        now = self.backend.clock()
        identifier = new_id(now)
        repository.pulls[identifier] = {
            "id": identifier,
            "title": body["title"],
            "description": body.get("description", ""),
            "author": USER,
            "source_branch": body["source_branch"],
            "destination_branch": body["destination_branch"],
            "creation_date": timestamp(now),
            "status": "open",
        }
        return {"id": identifier}

    def get_pull_request(self) -> Json:
        return self._pull()

    def update_pull_request(self) -> None:
        pull, body = self._pull(), self.body
        status = body.get("status", pull["status"])
        if status != pull["status"]:
            if "merged" in (status, pull["status"]):
                raise bad_request("bad pull request status")
            pull.pop("closed_date", None)
            if status == "closed":
                pull["closed_date"] = timestamp(self.backend.clock())
        names = ("title", "description", "status")
        pull.update({name: body[name] for name in names if name in body})

    def merge_pull_request(self) -> Json:
        repository, pull = self.repository, self._pull()
        repository.check_writable()
        if pull["status"] != "open":
            raise bad_request("bad pull request status")
        details = {"message": pull["title"], "metadata": {".lakefs.pull-request": pull["id"]}}
        merged = repository.merge(pull["source_branch"], pull["destination_branch"], details).id
        closed = timestamp(self.backend.clock())
        pull.update(status="merged", closed_date=closed, merged_commit_id=merged)
        return {"reference": merged}

    def _pull(self) -> Json:
        try:
            creation_time(self["pull_request"])
        except ValueError:
            raise bad_request(
                "argument pullRequestID: pull request id: invalid value: validation error"
            ) from None
        return find(self.repository.pulls, self["pull_request"])


def _show(name: str, commit_id: str) -> Json:
    return {"commit_id": commit_id, "id": name}


def _up_to(commits: Iterable[Commit], last: Commit) -> Iterable[Commit]:
    for commit in commits:
        yield commit
        if commit.id == last.id:
            return


def _parse_time(text: str) -> float:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        raise bad_request(f"since: {text} is not a date-time") from None


def _touches(
    repository: Repository, item: Commit, objects: set[str], prefixes: tuple[str, ...]
) -> bool:
    before = versions.EMPTY
    if item.parents:
        before = repository.tree_of(repository.commits[item.parents[0]])
    paths = [change.path for change in versions.diff(before, repository.tree_of(item))]
    return any(path in objects or path.startswith(prefixes) for path in paths)
