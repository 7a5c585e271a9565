"""Pull requests, kept as the API shows them."""

from __future__ import annotations

from ..clock import made_at, new_id, timestamp
from ..errors import bad_request, not_found
from ..identity import USER
from ..wire import Response
from .call import Call, Json, reply
from .commits import merge


class Pulls(Call):
    def list_pull_requests(self) -> Json:
        status = self["status"]
        pulls = {
            name: pull
            for name, pull in self.repository.pulls.items()
            # What was merged is closed, too.
            if status == "all" or (pull["status"] == "open") == (status == "open")
        }

        def show(_: str, pull: Json) -> Json:
            return {key: value for key, value in pull.items() if key != "description"}

        return self.listing(sorted(pulls.items()), show)

    def create_pull_request(self) -> Response:
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
        return reply({"id": identifier}, 201)

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
        merged = merge(repository, pull["source_branch"], pull["destination_branch"], details)
        pull.update(
            status="merged",
            closed_date=timestamp(self.backend.clock()),
            merged_commit_id=merged["reference"],
        )
        return merged

    def _pull(self) -> Json:
        try:
            made_at(self["pull_request"])
        except ValueError:
            raise bad_request(
                "argument pullRequestID: pull request id: invalid value: validation error"
            ) from None
        if pull := self.repository.pulls.get(self["pull_request"]):
            return pull
        raise not_found()
