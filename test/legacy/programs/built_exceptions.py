"""A library and its tests, which construct the client's exceptions."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import lakefs_client
from lakefs_client import ApiException, models
from lakefs_client.client import LakeFSClient
from lakefs_client.exceptions import (
    ForbiddenException,
    NotFoundException,
    ServiceException,
    UnauthorizedException,
)


def branch_exists(api: Any, repository: str, branch: str) -> bool:
    """Run a function of the library."""
    try:
        api.get_branch(repository, branch)
    except NotFoundException:
        return False
    except ApiException as error:
        if error.status == 404:
            return False
        raise RuntimeError(f"lakeFS said {error.status} {error.reason}") from error
    return True


class StubBranches:
    """A stub in the library's tests."""

    def __init__(self, outcome: Exception | models.Ref) -> None:
        self.outcome = outcome

    def get_branch(self, repository: str, branch: str, **kwargs: Any) -> models.Ref:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def outcome(stub: Exception | models.Ref) -> str:
    try:
        return str(branch_exists(StubBranches(stub), "repo", "main"))
    except RuntimeError as error:
        return str(error)


def main(endpoint: str, key: str, secret: str) -> dict[str, Any]:
    answer = SimpleNamespace(
        status=403,
        reason="Forbidden",
        data='{"message": "no"}',
        headers={"X-Request-Id": "1"},
        getheaders=lambda: {"X-Request-Id": "1"},
    )
    from_answer = ForbiddenException(http_resp=answer)
    stubs: list[Exception | models.Ref] = [
        models.Ref(id="main", commit_id="c1"),
        ApiException(status=404, reason="Not Found"),
        NotFoundException(status=404, reason="branch not found"),
        ApiException(status=500, reason="Internal Server Error"),
        ServiceException(503, "Unavailable"),
    ]
    # The same function against a server.
    api = LakeFSClient(
        lakefs_client.Configuration(host=endpoint, username=key, password=secret)
    ).branches_api
    wrong = LakeFSClient(
        lakefs_client.Configuration(host=endpoint, username=key, password="wrong")
    ).branches_api
    try:
        wrong.get_branch("repo", "main")
        unauthorized = None
    except UnauthorizedException as error:
        unauthorized = json.loads(error.body or "{}").get("message")
    return {
        "outcomes": [outcome(stub) for stub in stubs],
        "text": str(ApiException(status=404, reason="Not Found")),
        "forbidden": (from_answer.status, from_answer.reason, json.loads(str(from_answer.body))),
        "real": branch_exists(api, "nothing", "main"),
        "unauthorized": unauthorized,
    }
