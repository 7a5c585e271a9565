"""Faults on order: what goes wrong, at which call, how often. And the log of what was asked."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from .blocks import opaque_etag
from .wire import Disconnected, Request, Reset, Response

FaultKind = Literal[
    "status",
    "status_late",
    "late_error",
    "reset_before",
    "reset_during",
    "reset_after",
    "lost_answer",
    "truncate",
    "stall",
    "slow",
    "corrupt",
    "wrong_etag",
    "missing_etag",
    "opaque_etag",
    "expired",
    "expired_token",
]
"""What can go wrong.

With nothing done:

- `status`, `status_late`: an error status is answered before the body was read, or after it
  (`status=`; `code=`, `body=`, `headers=`);
- `expired`, `expired_token`: the blockstore's 403 for an expired URL, its 400 for credentials that
  have run out;
- `reset_before`, `reset_during`, `reset_after`: the connection is reset before the body was read,
  once `at=` bytes of it were, or after it.

With the request carried out:

- `late_error`: an error status is answered, as above;
- `lost_answer`: the connection is reset instead of an answer;
- `truncate`: the answer ends in its middle;
- `stall`: nothing for `seconds=` before that;
- `slow`: the body is read at `bytes_per_second=`;
- `corrupt`: the blockstore flips a byte of what it stores;
- `wrong_etag`, `missing_etag`: the blockstore's answer has another ETag (`etag=`), or none;
- `opaque_etag`: as with SSE-KMS: an ETag that looks like an MD5 and is none, and the header that
  says so.
"""

STORE_OPERATIONS = ("store_put_part", "store_put_object", "store_get_object", "store_head_object")

_STATUS_KINDS = ("status", "status_late", "late_error")
_RESET_KINDS = ("reset_before", "reset_during", "reset_after", "lost_answer")
_STORE_KINDS = ("corrupt", "wrong_etag", "missing_etag", "opaque_etag", "expired", "expired_token")
# The detail that each of these kinds cannot do without.
_NEEDED = {
    "reset_during": "at",
    "stall": "seconds",
    "slow": "bytes_per_second",
    **dict.fromkeys(_STATUS_KINDS, "status"),
}
_OPTIONAL = {"wrong_etag": ("etag",), **dict.fromkeys(_STATUS_KINDS, ("code", "body", "headers"))}
_DEFAULT_CODES = {
    400: "InvalidRequest",
    403: "AccessDenied",
    404: "NoSuchKey",
    408: "RequestTimeout",
    429: "TooManyRequests",
    500: "InternalError",
    503: "SlowDown",
}

Refuse = Callable[[int, str, str], Response]
"""Words an error in the manner of one of the two servers: status, S3's code, message."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One order: `kind` at the `times` calls of `operation` that come after `after` others."""

    operation: str
    kind: FaultKind
    times: int = 1
    after: int = 0
    part_number: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


class Faults:
    """The faults that are still to come. Safe to use from many threads."""

    def __init__(self, operations: Iterable[str]) -> None:
        self._operations = {"*", *operations, *STORE_OPERATIONS}
        self._lock = threading.Lock()
        self._pending: list[Fault] = []

    @property
    def pending(self) -> list[Fault]:
        """What was ordered and has not happened yet, in order."""
        with self._lock:
            return list(self._pending)

    def clear(self) -> None:
        """Cancel what has not happened yet."""
        with self._lock:
            self._pending.clear()

    def add(
        self,
        operation: str,
        kind: FaultKind,
        *,
        times: int = 1,
        after: int = 0,
        part_number: int | None = None,
        status: int | None = None,
        code: str | None = None,
        body: str | Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        at: int | None = None,
        seconds: float | None = None,
        bytes_per_second: float | None = None,
        etag: str | None = None,
    ) -> None:
        """Order a fault.

        Args:
            operation: An operation's id as in the API document (`create_presign_multipart_upload`),
                a request to the blockstore (`store_put_part`, `store_put_object`,
                `store_get_object`, `store_head_object`), or `*` for whatever comes.
            kind: See `FaultKind`.
            times, after: How many matching calls get it, and how many pass before that.
            part_number: Only calls that are about this part match.
            status, headers: The status to answer, 400 to 599, and more headers than usual.
            code: S3's error code, for the blockstore's XML.
            body: The body to answer instead of an error in the server's manner; a mapping goes out
                as JSON.
            at, seconds, bytes_per_second: See `FaultKind`.
            etag: The wrong ETag, without its quotes.

        Raises:
            ValueError: The arguments do not make a fault.

        When several orders match one call, the one that was given first is used; orders that are
        still to let calls pass count it and leave it to the next.
        """
        details = {
            "status": status,
            "code": code,
            "body": body,
            "headers": headers,
            "at": at,
            "seconds": seconds,
            "bytes_per_second": bytes_per_second,
            "etag": etag,
        }
        given = {name: value for name, value in details.items() if value is not None}
        self._check(operation, kind, given)
        if times < 1 or after < 0:
            raise ValueError("times must be at least 1, after at least 0")
        with self._lock:
            self._pending.append(Fault(operation, kind, times, after, part_number, given))

    def take(self, operation: str, part_number: int | None = None) -> Fault | None:
        """Return the fault that this call gets, and count it as happened."""
        with self._lock:
            for index, fault in enumerate(self._pending):
                if fault.operation not in ("*", operation):
                    continue
                if fault.part_number not in (None, part_number):
                    continue
                if fault.after:
                    self._pending[index] = replace(fault, after=fault.after - 1)
                elif fault.times > 1:
                    self._pending[index] = replace(fault, times=fault.times - 1)
                    return fault
                else:
                    del self._pending[index]
                    return fault
        return None

    def _check(self, operation: str, kind: str, given: Mapping[str, Any]) -> None:
        if operation not in self._operations:
            raise ValueError(f"unknown operation {operation!r}")
        if kind not in get_args(FaultKind):
            raise ValueError(f"unknown kind {kind!r}, known are {', '.join(get_args(FaultKind))}")
        if kind in _STORE_KINDS and operation not in STORE_OPERATIONS:
            raise ValueError(f"{kind} is for requests to the blockstore, not for {operation}")
        if kind == "corrupt" and not operation.startswith("store_put"):
            raise ValueError("corrupt is for what is stored, not for " + operation)
        needed = _NEEDED.get(kind)
        if needed and needed not in given:
            raise ValueError(f"{kind} needs {needed}=")
        if surplus := given.keys() - {needed, *_OPTIONAL.get(kind, ())}:
            raise ValueError(f"{kind} takes no {', '.join(sorted(surplus))}")
        if not 400 <= given.get("status", 400) <= 599:
            raise ValueError("status must be from 400 to 599")
        if given.get("at", 0) < 0 or given.get("seconds", 0) < 0:
            raise ValueError("at and seconds must not be negative")
        if given.get("bytes_per_second", 1) <= 0:
            raise ValueError("bytes_per_second must be positive")


def _carry_out(
    fault: Fault, request: Request, handle: Callable[[], Response], refuse: Refuse
) -> Response:
    """Answer `request` by `handle`, with `fault`."""
    body, details = request.body, fault.details
    match fault.kind:
        case "status_late" | "reset_during" | "reset_after":
            body.drain(details.get("at"))
        case "late_error" | "lost_answer":
            handle()
        case "expired":
            return refuse(403, "AccessDenied", "Request has expired")
        case "expired_token":
            return refuse(400, "ExpiredToken", "The provided token has expired.")
        case "stall":
            if body.stopping.wait(details["seconds"]):
                raise Disconnected
        case "slow":
            body.bytes_per_second = details["bytes_per_second"]
        case "corrupt":
            body.corrupt = True
    if fault.kind in _STATUS_KINDS:
        return _error(fault, refuse)
    if fault.kind in _RESET_KINDS:
        raise Reset
    response = handle()
    response.truncated = fault.kind == "truncate"
    if fault.kind.endswith("_etag"):
        etag = response.headers.pop("ETag", "").strip('"')
        if fault.kind == "wrong_etag":
            response.headers["ETag"] = f'"{details.get("etag", "0123456789abcdef" * 2)}"'
        elif fault.kind == "opaque_etag":
            response.headers["ETag"] = f'"{opaque_etag(etag)}"'
            response.headers["x-amz-server-side-encryption"] = "aws:kms"
    return response


def _error(fault: Fault, refuse: Refuse) -> Response:
    status: int = fault.details["status"]
    code: str = fault.details.get("code") or _DEFAULT_CODES.get(status, "InternalError")
    response = refuse(status, code, f"{code} ordered for {fault.operation}")
    body = fault.details.get("body")
    if isinstance(body, str):
        response.body = body.encode()
    elif body is not None:
        response.body = json.dumps(body).encode()
        response.headers["Content-Type"] = "application/json"
    response.headers.update(fault.details.get("headers", {}))
    return response


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request that the sandbox has seen, and the status of its answer, None where there was none.

    `operation` is the operation's id, one of the blockstore's `store_…` names, or "" for a request
    that is for nothing the sandbox has. `path` and `query` are as they came, percent-encoded, and
    the names of `headers` in lower case.
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


@dataclass
class Recorder:
    """Keeps the last requests, lets what is ordered go wrong, tells that the state has changed."""

    requests: RequestLog
    orders: Faults
    changed: Callable[[], None]

    def answer(
        self,
        request: Request,
        operation: str,
        handle: Callable[[], Response],
        refuse: Refuse,
        part_number: str,
    ) -> Response:
        """Answer a request by `handle`, or by the fault that is due."""
        status = None
        try:
            part = int(part_number) if part_number.isdecimal() else None
            if fault := self.orders.take(operation, part):
                response = _carry_out(fault, request, handle, refuse)
            else:
                response = handle()
            status = response.status
            return response
        finally:
            recorded = RecordedRequest(
                operation, request.method, request.path, request.query, status, request.headers
            )
            self.requests.append(recorded)
            if request.method not in ("GET", "HEAD"):
                self.changed()
