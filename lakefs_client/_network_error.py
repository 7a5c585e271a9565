"""The client's errors for those of urllib3: what failed, and if the server may have acted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from urllib3 import exceptions

from lakefs_client.exceptions import ApiConnectionError, ApiTimeoutError

if TYPE_CHECKING:
    from lakefs_client._connection import Deadline, Message


def target_of(request: Message) -> str:
    """Return method and address for a message, without the query, which may be signed."""
    return f"{request.method} {request.url.partition('?')[0]}"


def network_error(
    error: Exception,
    request: Message,
    timeouts: tuple[float, float],
    *,
    connected: bool = True,
    deadline: Deadline | None = None,
    proxy: str = "",
) -> ApiConnectionError:
    """Return the client's error for an error of urllib3.

    Args:
        error: The error.
        request: The request.
        timeouts: Seconds for a connection, and without a byte.
        connected: False if there was no connection yet, so that nothing was sent.
        deadline: The end of the exchange, if it has one.
        proxy: Address of the proxy, without credentials.
    """
    target = target_of(request)
    cause: BaseException = error
    if isinstance(error, exceptions.ProxyError):
        cause = error.original_error
        target += f" through the proxy {proxy}".rstrip()
    harmless = request.method in ("GET", "HEAD")
    doubt = "; the operation may have happened" if connected and not harmless else ""
    if deadline is not None and deadline.passed() and _timed_out(cause):
        limit = f"{deadline.seconds:g} s ({deadline.setting})"
        return ApiTimeoutError(f"{target}: not finished within {limit}{doubt}", sent=connected)
    # NewConnectionError is a ConnectTimeoutError by descent, though nothing timed out.
    if isinstance(cause, exceptions.NewConnectionError):
        return ApiConnectionError(f"{target}: no connection: {_short(cause)}", sent=False)
    if isinstance(cause, exceptions.ConnectTimeoutError) or (not connected and _timed_out(cause)):
        limit = f"{timeouts[0]:g} s (Configuration.connect_timeout)"
        return ApiTimeoutError(f"{target}: no connection within {limit}", sent=False)
    # What comes after the request is called ProxyError too, where the connection was closed.
    if isinstance(error, exceptions.ProxyError) and not connected:
        return ApiConnectionError(f"{target}: {_short(cause)}", sent=False)
    if isinstance(cause, exceptions.SSLError):
        reason = cause.args[0] if cause.args else cause
        # With TLS 1.3 a server says only after the request that it wants another certificate.
        sent = connected and "certificate" not in str(reason)
        return ApiConnectionError(f"{target}: TLS failed: {reason}", sent=sent)
    if _timed_out(cause):
        limit = f"{timeouts[1]:g} s (Configuration.read_timeout or _request_timeout)"
        return ApiTimeoutError(f"{target}: no progress within {limit}{doubt}")
    reason = f"{target}: the connection broke: {_short(cause)}{doubt}"
    return ApiConnectionError(reason, sent=connected)


def _timed_out(error: BaseException) -> bool:
    if isinstance(error, (exceptions.TimeoutError, TimeoutError)):
        return True
    # A write that times out arrives as ProtocolError('Connection aborted.', TimeoutError()).
    aborted = isinstance(error, exceptions.ProtocolError)
    return aborted and any(isinstance(arg, TimeoutError) for arg in error.args)


def _short(error: BaseException) -> str:
    """Return the innermost reason; urllib3's own texts repeat pools and whole URLs."""
    for arg in error.args:
        if isinstance(arg, BaseException):
            return _short(arg)
    if isinstance(error, exceptions.NewConnectionError) and error.__cause__ is not None:
        return _short(error.__cause__)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
