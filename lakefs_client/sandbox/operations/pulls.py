"""Operations on pull requests, which are stored in the API's format."""

from __future__ import annotations

from lakefs_client.sandbox.clock import creation_time, new_id, timestamp
from lakefs_client.sandbox.errors import bad_request, find
from lakefs_client.sandbox.identity import USER
from lakefs_client.sandbox.operations.call import Call, Json


class Pulls(Call):
    """The group `pulls`."""

    def list_pull_requests(self) -> Json:
        status = self["status"]
        pulls = {
            name: pull
            for name, pull in self.repository.pulls.items()
            # A merged pull request counts as closed.
            if status == "all" or (pull["status"] == "open") == (status == "open")
        }

        def show(_: str, pull: Json) -> Json:
            hidden = ("description", "merged_commit_id")
            return {key: value for key, value in pull.items() if key not in hidden}

        return self.listing(sorted(pulls.items()), show)

    def create_pull_request(self) -> Json:
        body = self.body
        self.check_branch(body["destination_branch"], "dest")
        self.check_branch(body["source_branch"], "src")
        if body["source_branch"] == body["destination_branch"]:
            raise bad_request(
                "source and destination branches are the same: same branch validation error"
            )
        repository = self.repository
        repository.branch(body["source_branch"])
        repository.branch(body["destination_branch"])
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
        names = ("title", "description", "status")
        pull.update({name: body[name] for name in names if name in body})
        if body.get("status") in ("closed", "merged"):
            pull["closed_date"] = timestamp(self.backend.clock())

    def merge_pull_request(self) -> Json:
        pull = self._pull()
        if pull["status"] != "open":
            raise bad_request("bad pull request status")
        repository = self.repository
        merged = repository.merge(pull["source_branch"], pull["destination_branch"], {}).id
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
        return find(self.repository.pulls, self["pull_request"], "pull request")
