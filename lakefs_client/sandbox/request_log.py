"""The log of requests, and the recorder that fills it and applies faults."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from lakefs_client._redact import HIDDEN, redact
from lakefs_client.sandbox.faults import ErrorResponse, Faults, apply
from lakefs_client.sandbox.http_server import Request, Response

_PART_NUMBER = re.compile("[0-9]{1,9}")
_SECRET_HEADERS = ("authorization", "cookie", "x-amz-security-token")


class Headers(dict[str, str]):
    """Headers by name in lower case. The repr hides credentials."""

    def __repr__(self) -> str:
        return repr(
            {name: HIDDEN if name in _SECRET_HEADERS else value for name, value in self.items()}
        )


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request that the sandbox received.

    `operation` is the operation's id, one of the blockstore's `store_…` names, or "" for a request
    that matches no operation. `path` and `query` are percent-encoded, as received. `status` is the
    status of the response, or None if the sandbox sent no response. The names of `headers` are in
    lower case.
    """

    operation: str
    method: str
    path: str
    query: str
    status: int | None
    headers: Mapping[str, str]

    def __repr__(self) -> str:
        query = redact(f"?{self.query}")[1:]
        return (
            f"RecordedRequest(operation={self.operation!r}, method={self.method!r}, "
            f"path={self.path!r}, query={query!r}, status={self.status!r}, "
            f"headers={self.headers!r})"
        )


class RequestLog(deque[RecordedRequest]):
    """The last requests, oldest first. Threads may read it while requests arrive."""

    def __iter__(self) -> Iterator[RecordedRequest]:
        # Iterate over a copy: a deque's iterator fails when another thread appends.
        return iter(list(super().__iter__()))


@dataclass
class Recorder:
    """The step around each request: apply a fault, log the request, report a change of state."""

    requests: RequestLog
    faults: Faults
    on_change: Callable[[], None]

    def answer(
        self,
        request: Request,
        operation: str,
        handle: Callable[[], Response],
        error_response: ErrorResponse,
        part_number: str,
    ) -> Response:
        """Answer a request with `handle`, or with the next fault for `operation`."""
        status = None
        try:
            part = int(part_number) if _PART_NUMBER.fullmatch(part_number) else None
            if fault := self.faults.take(operation, part):
                response = apply(fault, request, handle, error_response)
            else:
                response = handle()
            status = response.status
            return response
        finally:
            recorded = RecordedRequest(
                operation,
                request.method,
                request.path,
                request.query,
                status,
                Headers(request.headers),
            )
            self.requests.append(recorded)
            if request.method not in ("GET", "HEAD"):
                self.on_change()
