"""Server that records requests and sends prepared answers, with a client."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, unquote

from support.scripted import Answer, Received, ScriptedServer

import lakefs_client
from lakefs_client import apis
from surface.document import BY_NAME, Operation, class_of

API = "/api/v1"


class Recorder:
    """A recording server and its client.

    Attributes:
        client: Client with a token, a password and every cookie. It retries once, without a wait.
    """

    def __init__(self) -> None:
        self._answers: deque[Answer] = deque()
        self._server = ScriptedServer(otherwise=self._next)
        configuration = lakefs_client.Configuration(
            host=self._server.url,
            username="user",
            password="password",
            access_token="token",
            api_key={name: name for name in ("cookie_auth", "oidc_auth", "saml_auth")},
        )
        configuration.retries = lakefs_client.RetryPolicy(attempts=2, min_wait=0, max_wait=0)
        configuration.connect_timeout = configuration.read_timeout = 60
        self.client = lakefs_client.ApiClient(configuration)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.client.close()
        self._server.close()

    def _next(self, request: Received) -> Answer:
        # An unexpected request fails in `taken`.
        return self._answers.popleft() if self._answers else Answer(500, b"not expected")

    def answer(self, *answers: Answer) -> None:
        """Set the answers to the next requests."""
        self._answers = deque(answers)

    def taken(self) -> list[Received]:
        """Return the requests since the last call. All answers must be used."""
        requests, self._server.requests = self._server.requests, []
        answers, self._answers = self._answers, deque()
        assert not answers, f"no request came for {list(answers)}"
        return requests

    def method(self, operation: Operation | str, group: str = "") -> Any:
        """Return the method of an operation, by default of its first group."""
        found = BY_NAME[operation] if isinstance(operation, str) else operation
        api = getattr(apis, class_of(group or found.groups[0]))(self.client)
        return getattr(api, found.name)


def path_arguments(operation: Operation, request: Received) -> dict[str, str] | None:
    """Return a request's path arguments by wire name, or None for another path."""
    template = f"{API}{operation.path}".split("/")
    steps = request.path.split("/")
    if len(steps) != len(template):
        return None
    values = {}
    for step, part in zip(steps, template):
        if part.startswith("{"):
            values[part[1:-1]] = unquote(step, errors="strict")
        elif step != part:
            return None
    return values


def query_arguments(request: Received) -> list[tuple[str, str]]:
    """Return the names and values of a request's query, in order."""
    return parse_qsl(
        request.query, keep_blank_values=True, strict_parsing=bool(request.query), errors="strict"
    )
