"""Fault injection: the kinds of faults, the pending faults, and how to apply one."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from lakefs_client.sandbox.blocks import opaque_etag
from lakefs_client.sandbox.http_server import Disconnected, Request, Reset, Response

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
"""The kinds of faults.

The sandbox does not execute the request:

- `status`, `status_late`: send an error status before the sandbox reads the body, or after
  (`status=`; `code=`, `body=`, `headers=`);
- `expired`, `expired_token`: send the blockstore's 403 for an expired URL, or its 400 for expired
  credentials;
- `reset_before`, `reset_during`, `reset_after`: reset the connection before the sandbox reads the
  body, after `at=` bytes, or after the whole body.

The sandbox executes the request:

- `late_error`: send an error status, as above;
- `lost_answer`: reset the connection instead of sending the response;
- `truncate`: send half of the response;
- `stall`: wait `seconds=` before executing the request;
- `slow`: read the body at `bytes_per_second=`;
- `corrupt`: flip a byte of the object that the blockstore stores;
- `wrong_etag`, `missing_etag`: send a different ETag (`etag=`), or none;
- `opaque_etag`: send an ETag that is not the MD5, with the SSE-KMS header, as S3 does.
"""

STORE_OPERATIONS = ("store_put_part", "store_put_object", "store_get_object", "store_head_object")

_STATUS_KINDS = ("status", "status_late", "late_error")
_RESET_KINDS = ("reset_before", "reset_during", "reset_after", "lost_answer")
_STORE_KINDS = ("corrupt", "wrong_etag", "missing_etag", "opaque_etag", "expired", "expired_token")
# The argument that each kind requires.
_REQUIRED = {
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

ErrorResponse = Callable[[int, str, str], Response]
"""A function that formats an error for one of the two servers: status, S3 code, message."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of one kind: `after` calls to `operation` pass, then `times` calls fail."""

    operation: str
    kind: FaultKind
    times: int = 1
    after: int = 0
    part_number: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


class Faults:
    """The pending faults. Threads may share it."""

    def __init__(self, operations: Iterable[str]) -> None:
        self._operations = {"*", *operations, *STORE_OPERATIONS}
        self._lock = threading.Lock()
        self._pending: list[Fault] = []

    @property
    def pending(self) -> list[Fault]:
        """The faults that have not happened yet, in the order of `add`."""
        with self._lock:
            return list(self._pending)

    def clear(self) -> None:
        """Remove all pending faults."""
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
        """Add a fault. If several faults match one call, the oldest applies.

        A fault that still lets calls pass counts the call and leaves it to the next fault.

        Args:
            operation: An operation's id (`create_presign_multipart_upload`), a blockstore request
                (`store_put_part`, `store_put_object`, `store_get_object`, `store_head_object`), or
                `*` for any request.
            kind: See `FaultKind`.
            times: The number of matching calls that fail.
            after: The number of matching calls that pass first.
            part_number: Match only calls for this part.
            status: The status to send, 400 to 599.
            headers: Additional headers to send.
            code: S3's error code, for the blockstore's XML.
            body: The body to send instead of the usual error. A mapping is sent as JSON.
            at, seconds, bytes_per_second: See `FaultKind`.
            etag: The wrong ETag, without quotes.

        Raises:
            ValueError: The arguments do not describe a fault.
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
        details = {name: value for name, value in details.items() if value is not None}
        self._check(operation, kind, details)
        if times < 1:
            raise ValueError(f"times must be at least 1: got {times}")
        if after < 0:
            raise ValueError(f"after must be at least 0: got {after}")
        with self._lock:
            self._pending.append(Fault(operation, kind, times, after, part_number, details))

    def take(self, operation: str, part_number: int | None = None) -> Fault | None:
        """Return the fault for this call, or None, and update its counts."""
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

    def _check(self, operation: str, kind: str, details: Mapping[str, Any]) -> None:
        if operation not in self._operations:
            raise ValueError(f"unknown operation: {operation!r}")
        if kind not in get_args(FaultKind):
            kinds = ", ".join(get_args(FaultKind))
            raise ValueError(f"unknown kind of fault: got {kind!r}, expected one of {kinds}")
        if kind in _STORE_KINDS and operation not in STORE_OPERATIONS:
            raise ValueError(f"{kind} applies to blockstore requests only, not to {operation}")
        if kind == "corrupt" and not operation.startswith("store_put"):
            raise ValueError(f"corrupt applies to uploads only, not to {operation}")
        required = _REQUIRED.get(kind)
        if required and required not in details:
            raise ValueError(f"{kind} requires {required}=")
        if surplus := details.keys() - {required, *_OPTIONAL.get(kind, ())}:
            raise ValueError(f"{kind} does not take {', '.join(sorted(surplus))}")
        status = details.get("status", 400)
        if not 400 <= status <= 599:
            raise ValueError(f"status must be from 400 to 599: got {status}")
        for name in ("at", "seconds"):
            if details.get(name, 0) < 0:
                raise ValueError(f"{name} must not be negative: got {details[name]}")
        if details.get("bytes_per_second", 1) <= 0:
            raise ValueError("bytes_per_second must be positive")


def apply(
    fault: Fault, request: Request, handle: Callable[[], Response], error_response: ErrorResponse
) -> Response:
    """Answer `request` with `handle`, altered by `fault`."""
    body, details = request.body, fault.details
    match fault.kind:
        case "status_late" | "reset_during" | "reset_after":
            body.drain(details.get("at"))
        case "late_error" | "lost_answer":
            handle()
        case "expired":
            return error_response(403, "AccessDenied", "Request has expired")
        case "expired_token":
            return error_response(400, "ExpiredToken", "The provided token has expired.")
        case "stall":
            if body.stopping.wait(details["seconds"]):
                raise Disconnected
        case "slow":
            body.bytes_per_second = details["bytes_per_second"]
        case "corrupt":
            body.corrupt = True
    if fault.kind in _STATUS_KINDS:
        return _status_response(fault, error_response)
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


def _status_response(fault: Fault, error_response: ErrorResponse) -> Response:
    status: int = fault.details["status"]
    code: str = fault.details.get("code") or _DEFAULT_CODES.get(status, "InternalError")
    response = error_response(status, code, f"{code} injected into {fault.operation}")
    body = fault.details.get("body")
    if isinstance(body, str):
        response.body = body.encode()
    elif body is not None:
        response.body = json.dumps(body).encode()
        response.headers["Content-Type"] = "application/json"
    response.headers.update(fault.details.get("headers", {}))
    return response
