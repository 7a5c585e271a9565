"""Reading of response bodies within limits: a server may send more than a client can hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from urllib3.exceptions import ProtocolError

from lakefs_client._redact import hide

if TYPE_CHECKING:
    from collections.abc import Iterable

    from urllib3 import BaseHTTPResponse

_WINDOW = 1 << 16
_REDIRECT_BODY = 1 << 16


def read_within(response: BaseHTTPResponse, limit: int) -> bool:
    """Read a body of at most `limit` decoded bytes into ``response.data``.

    Return False, with the first `limit` bytes, if there are more; the connection is closed then.

    Raises:
        ProtocolError: The body is not framed as HTTP asks for.
    """
    length = _length(response)
    if length is not None and length <= limit and "Content-Encoding" not in response.headers:
        _ = response.data  # which reads and keeps it
        return True
    if "," in response.headers.get("Content-Encoding", ""):
        # Each coding multiplies what a few bytes grow to.
        raise ProtocolError("more than one content coding")
    windows, size = [], 0
    while window := _read(response, _WINDOW, decode=True):
        windows.append(window)
        size += len(window)
        if size > limit:
            break
    response._body = b"".join(windows)[:limit]  # type: ignore[attr-defined]
    if size > limit:
        response.close()
    return size <= limit


def read_error(response: BaseHTTPResponse, limit: int, secrets: Iterable[str]) -> None:
    """Read the body of an error, cut off at its limit, and hide the secrets in it.

    A server may quote the request that it refuses, its credentials included.
    """
    if not read_within(response, limit):
        note = f" (cut off after {limit} bytes: Configuration.max_error_size)"
        response._body = response.data + note.encode()  # type: ignore[attr-defined]
    shown = response.data.decode("utf-8", "surrogateescape")
    hidden = hide(shown, secrets)
    if hidden != shown:
        response._body = hidden.encode("utf-8", "surrogateescape")  # type: ignore[attr-defined]
    for name, value in [*response.headers.items()]:
        if hide(value, secrets) != value:
            response.headers[name] = hide(value, secrets)


def read_stored(response: BaseHTTPResponse, size: int) -> bytes:
    """Read an object's bytes as they are stored: its content coding belongs to the object.

    Return at most `size` bytes, and b"" at the end.

    Raises:
        ProtocolError: The body is not framed as HTTP asks for.
    """
    return _read(response, size, decode=False)


def skip_redirect(response: BaseHTTPResponse) -> None:
    """Keep the connection if the redirect's body is small, and close it unread otherwise."""
    length = _length(response)
    if length is not None and length <= _REDIRECT_BODY:
        _ = response.data
    else:
        response._body = b""  # type: ignore[attr-defined]
        response.close()


def _length(response: BaseHTTPResponse) -> int | None:
    """Return the length of a body; None if the answer does not state it."""
    length = response.length_remaining
    if length is not None or "Transfer-Encoding" in response.headers:
        return length
    stated = response.headers.get("Content-Length")
    if stated is not None:
        raise ProtocolError(f"invalid Content-Length of {len(stated)} characters")
    return None


def _read(response: BaseHTTPResponse, size: int, *, decode: bool) -> bytes:
    try:
        return response.read(size, decode_content=decode)
    except (ValueError, OverflowError) as error:
        raise ProtocolError(f"invalid framing: {error}") from error
