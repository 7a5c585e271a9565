"""The log of requests, and the place where what was ordered goes wrong."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from . import faults
from .faults import Faults
from .wire import Request, Response


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request that the sandbox has seen, and the status of its answer.

    Attributes:
        operation: The operation's id, one of the blockstore's `store_…` names, or "" for a request
            that is for nothing the sandbox has.
        method: The HTTP method.
        path: The path as it came, percent-encoded.
        query: The query as it came, without its question mark.
        status: The status of the answer; None where there was none.
        headers: The request's headers, names in lower case.
    """

    operation: str
    method: str
    path: str
    query: str
    status: int | None
    headers: Mapping[str, str]


class RequestLog(deque[RecordedRequest]):
    """The last requests, the oldest first. It may be read while requests come in."""

    def __iter__(self) -> Iterator[RecordedRequest]:
        # Of a copy: an iterator of the deque itself breaks off when something is added.
        return iter(list(super().__iter__()))


class Recorder:
    """Keeps the last requests, lets what is ordered go wrong, tells that the state has changed."""

    def __init__(self, requests: RequestLog, orders: Faults, changed: Callable[[], None]) -> None:
        self._requests = requests
        self._orders = orders
        self._changed = changed

    def answer(
        self,
        request: Request,
        operation: str,
        handle: Callable[[], Response],
        refuse: faults.Refuse,
        part_number: str = "",
    ) -> Response:
        """Answer a request by `handle`, or by the fault that is due."""
        status = None
        try:
            part = int(part_number) if part_number.isdecimal() else None
            if fault := self._orders.take(operation, part):
                response = faults.carry_out(fault, request, handle, refuse)
            else:
                response = handle()
            status = response.status
            return response
        finally:
            recorded = RecordedRequest(
                operation, request.method, request.path, request.query, status, request.headers
            )
            self._requests.append(recorded)
            if request.method not in ("GET", "HEAD"):
                self._changed()
