"""Hooks around requests and transfers, and the log lines of requests.

    from lakefs_client import observe

    def hook(event):
        return lambda event: print(event.method, event.operation, event.status, event.duration)

    remove = observe.add_hook(hook)

Events hold no credentials, and no signatures of presigned URLs.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakefs_client._connection import current
from lakefs_client._redact import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lakefs_client._connection import Message

    Hook = Callable[[Any], Callable[[Any], object] | None]
    Exchange = Callable[..., Any]

_LOGGERS = {
    False: logging.getLogger("lakefs_client.api"),
    True: logging.getLogger("lakefs_client.store"),
}


@dataclass
class RequestEvent:
    """One attempt of a request.

    Attributes:
        method: The HTTP method.
        url: The address, without what signs it.
        operation: The operation's name, such as ``get_object``; ``store`` for the object store.
        attempt: Number of the attempt, from 1.
        sent_bytes: Size of the request's body; None if it is unknown.
        status: The answer's status; None before the answer and without one.
        received_bytes: Size of the answer's body; None if it is unknown.
        request_id: The server's id of the request.
        duration: Seconds until the answer, with its body unless the caller reads that.
        error: The exception that took the answer's place.
    """

    method: str
    url: str
    operation: str
    attempt: int
    sent_bytes: int | None = None
    status: int | None = None
    received_bytes: int | None = None
    request_id: str | None = None
    duration: float | None = None
    error: BaseException | None = None


@dataclass
class TransferEvent:
    """One transfer: an upload, a download, a directory.

    Attributes:
        description: The transfer, its source and its target.
        duration: Seconds that it took.
        error: The exception that ended it.
    """

    description: str
    duration: float | None = None
    error: BaseException | None = None


_lock = threading.Lock()
_hooks: tuple[Hook, ...] = ()


def add_hook(hook: Hook) -> Callable[[], None]:
    """Call `hook` before each request and transfer of this process, and return how to remove it.

    Args:
        hook: Takes a `RequestEvent` or a `TransferEvent`. A function that it returns is called with
            the same event when the request or transfer has ended. Both run in the thread of the
            request. An exception in them is logged and has no other effect.
    """
    global _hooks
    with _lock:
        _hooks = (*_hooks, hook)

    def remove() -> None:
        global _hooks
        with _lock:
            _hooks = tuple(other for other in _hooks if other is not hook)

    return remove


@contextmanager
def observed(event: RequestEvent | TransferEvent) -> Iterator[None]:
    """Call the hooks before and after the block, and note its duration and its exception."""
    after = [_guarded(hook, event) for hook in _hooks]
    started = time.monotonic()
    try:
        yield
    except BaseException as error:
        event.error = error
        raise
    finally:
        event.duration = time.monotonic() - started
        for call in reversed(after):
            if call is not None:
                _guarded(call, event)


def observed_exchange(exchange: Exchange) -> Exchange:
    """Decorate `RESTClientObject.exchange` with hooks and log lines."""

    @functools.wraps(exchange)
    def wrapper(self: Any, request: Message, **options: Any) -> Any:
        logger = _LOGGERS[self.for_store]
        logs = logger.isEnabledFor(logging.DEBUG)
        if not _hooks and not logs:
            return exchange(self, request, **options)
        event = _event_of(request, self.for_store)
        if logs:
            logger.debug("%s %s", event.method, event.url, extra={"lakefs": {**vars(event)}})
        try:
            with observed(event):
                response = exchange(self, request, **options)
                _note(event, response, options.get("preload", True))
                return response
        finally:
            if logs:
                _log(logger, event)

    return wrapper


def _event_of(request: Message, for_store: bool) -> RequestEvent:
    url = request.url.partition("?")[0] if for_store else redact(request.url)
    length = request.headers.get("Content-Length", "")
    size = len(request.body) if isinstance(request.body, bytes) else None
    return RequestEvent(
        method=request.method,
        url=url,
        operation="store" if for_store else current.operation,
        attempt=current.attempt,
        sent_bytes=int(length) if length.isdecimal() else size,
    )


def _note(event: RequestEvent, response: Any, preload: bool) -> None:
    headers = response.headers
    event.status = response.status
    event.request_id = headers.get("X-Request-Id") or headers.get("x-amz-request-id")
    length = headers.get("Content-Length", "")
    if preload:
        event.received_bytes = len(response.data)
    elif length.isdecimal():
        event.received_bytes = int(length)


def _log(logger: logging.Logger, event: RequestEvent) -> None:
    outcome = event.status if event.error is None else type(event.error).__name__
    logger.debug(
        "%s %s: %s in %.3f s, attempt %d, request id %s",
        event.method, event.url, outcome, event.duration, event.attempt, event.request_id,
        extra={"lakefs": {**vars(event), "error": event.error and type(event.error).__name__}},
    )  # fmt: skip


def _guarded(call: Callable[[Any], Any], event: RequestEvent | TransferEvent) -> Any:
    try:
        return call(event)
    except Exception:
        logging.getLogger("lakefs_client").exception("a hook failed")
        return None
