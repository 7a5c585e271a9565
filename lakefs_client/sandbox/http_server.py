"""A threaded HTTP/1.1 server whose handlers stream bodies and may reset the connection."""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import io
import logging
import os
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from lakefs_client.sandbox.blocks import WINDOW, Segment, StoredObject
from lakefs_client.sandbox.clock import Clock
from lakefs_client.sandbox.ranges import parse_range

_HEAD_LIMIT = 256 * 1024
# Go's server reads up to this many unread bytes of a body in order to keep the connection.
_DRAIN_LIMIT = 256 * 1024
# The client's time to read an early response. Closing with unread bytes resets the connection.
_LINGER_SECONDS = 0.2
# Longer numbers are not sizes.
_MAX_DIGITS = 18
_CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,15}")

_log = logging.getLogger(__name__)


class Disconnected(ConnectionError):
    """The client closed the connection during its request, or the server is closing."""


class Reset(Exception):
    """Raised by a handler to reset the connection without a response."""


class BadRequest(Exception):
    """The bytes on the connection are not an HTTP request."""


def _read_line(reader: io.BufferedReader) -> bytes:
    """Return the next line without its end."""
    line = reader.readline(_HEAD_LIMIT)
    if line.endswith(b"\r\n"):
        return line[:-2]
    if line.endswith(b"\n") or len(line) == _HEAD_LIMIT:
        raise BadRequest
    raise Disconnected


@dataclass
class Body:
    """The body of one request, read from the connection on demand."""

    reader: io.BufferedReader
    stopping: threading.Event
    # None if the body is chunked.
    length: int | None
    # Sends "100 Continue" to a client that waits for it before it sends the body.
    send_continue: Callable[[], object] | None
    # Faults: limit the rate of reads, and flip the first byte.
    bytes_per_second: float | None = None
    corrupt: bool = False

    def __post_init__(self) -> None:
        # Unread bytes of the body, or of the current chunk.
        self._left = self.length or 0
        self._more_chunks = self.length is None

    @property
    def unread(self) -> int:
        """The number of unread bytes. It exceeds any limit until the last chunk was read."""
        return self._left if not self._more_chunks else 1 << 62

    @property
    def drainable(self) -> bool:
        """True if draining the body is cheap and the client is certain to send it."""
        return not self.unread or (self.unread <= _DRAIN_LIMIT and self.send_continue is None)

    def windows(self, size: int = WINDOW) -> Iterator[memoryview]:
        """Yield the unread bytes in windows of one reused buffer. Only the last may be short."""
        buffer = memoryview(bytearray(min(size, max(self.unread, 1))))
        while filled := self._fill(buffer):
            yield buffer[:filled]

    def read(self, limit: int) -> bytes | None:
        """Return the unread bytes, or None if there are more than `limit`."""
        data = bytearray()
        for window in self.windows(min(limit + 1, WINDOW)):
            data += window
            if len(data) > limit:
                return None
        return bytes(data)

    def drain(self, limit: int | None = None) -> None:
        """Read and discard the unread bytes, or the first `limit` of them."""
        limit = self.unread if limit is None else limit
        while limit > 0 and (window := next(self.windows(min(limit, WINDOW)), None)) is not None:
            limit -= len(window)

    def _fill(self, buffer: memoryview) -> int:
        if self.send_continue is not None:
            self.send_continue()
            self.send_continue = None
        filled = 0
        while filled < len(buffer):
            if self._more_chunks and not self._left:
                self._next_chunk()
            if not self._left:
                break
            filled += self._read_into(buffer[filled : filled + self._left])
        return filled

    def _read_into(self, view: memoryview) -> int:
        if self.bytes_per_second:
            # Ten reads a second: slow, but steady enough for the client's read timeout.
            view = view[: max(1, int(self.bytes_per_second / 10))]
        size = self.reader.readinto(view)
        if size < len(view):
            raise Disconnected
        if self.bytes_per_second and self.stopping.wait(size / self.bytes_per_second):
            raise Disconnected
        self._left -= size
        if self.corrupt:
            view[0] ^= 0xFF
            self.corrupt = False
        if self._more_chunks and not self._left:
            _read_line(self.reader)
        return size

    def _next_chunk(self) -> None:
        size = _read_line(self.reader).split(b";")[0].strip()
        if not _CHUNK_SIZE.fullmatch(size):
            raise BadRequest
        self._left = int(size, 16)
        if not self._left:
            self._more_chunks = False
            while _read_line(self.reader):
                pass


@dataclass(slots=True)
class Request:
    """One request: `path` and `query` are percent-encoded, header names in lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Body


@dataclass(slots=True)
class Response:
    """One response. `content`, if any, is sent instead of `body`."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    content: tuple[Segment, ...] = ()
    # A fault: send half of the response.
    truncated: bool = False

    @property
    def length(self) -> int:
        """The number of bytes in the body."""
        return len(self.body) + sum(segment.size for segment in self.content)

    def select(self, stored: StoredObject, text: str | None) -> None:
        """Send the range of an object that a Range header selects."""
        start, stop = parse_range(text, stored.size)
        self.content = stored.slice(start, stop)
        self.describe_range(text, start, stop, stored.size)

    def describe_range(self, text: str | None, start: int, stop: int, size: int) -> None:
        """Set status and Content-Range if there is a Range header."""
        if text is not None:
            self.status = 206
            self.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"


class _Connection(threading.Thread):
    """The thread of one client's connection. It answers requests in sequence."""

    def __init__(self, sock: socket.socket, server: Server) -> None:
        super().__init__(name="sandbox-connection", daemon=True)
        self._socket = sock
        self._reader = sock.makefile("rb")
        self._server = server

    def shut_down(self, how: int = socket.SHUT_RDWR) -> None:
        """Shut down the socket, which wakes its thread. Any thread may call this."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(how)

    def run(self) -> None:
        """Answer requests until one side closes the connection."""
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while not self._server.stopping.is_set() and self._serve_request():
                pass
        except Reset:
            # Closing with a linger time of 0 sends a reset.
            linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        except BadRequest:
            with contextlib.suppress(OSError):
                self._socket.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        except OSError:
            # The client closed the connection.
            pass
        finally:
            self._reader.close()
            self._socket.close()
            self._server.connections.discard(self)

    def _serve_request(self) -> bool:
        """Answer one request. Return True if the connection stays open."""
        request, keep_alive = self._read_request()
        try:
            response = self._server.handle(request)
        except (Reset, BadRequest, ConnectionError, TimeoutError):
            raise
        except Exception:
            # %a escapes control characters, which could forge log lines.
            _log.exception("The sandbox failed at %a %a", request.method, request.path)
            response = Response(500, b'{"message": "the sandbox failed, see its log"}')
        drain = request.body.drainable
        if drain:
            request.body.drain()
        keep_alive = keep_alive and drain and not response.truncated
        self._send(response, with_body=request.method != "HEAD", keep_alive=keep_alive)
        if not drain:
            # The client is still sending. It may see the response, a broken pipe or a reset.
            self.shut_down(socket.SHUT_WR)
            self._server.stopping.wait(_LINGER_SECONDS)
        return keep_alive

    def _read_request(self) -> tuple[Request, bool]:
        try:
            method, target, version = _read_line(self._reader).decode("latin-1").split(" ")
        except ValueError:
            raise BadRequest from None
        headers = self._read_headers()
        chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or len(length) > _MAX_DIGITS:
            raise BadRequest
        send_continue = None
        if headers.get("expect", "").lower() == "100-continue":
            send_continue = partial(self._socket.sendall, b"HTTP/1.1 100 Continue\r\n\r\n")
        size = None if chunked else int(length)
        body = Body(self._reader, self._server.stopping, size, send_continue)
        if target.startswith("http://"):
            # A client that uses this server as its proxy sends the absolute form.
            target = "/" + target.split("/", 3)[-1]
        path, _, query = target.partition("?")
        option = headers.get("connection", "").lower()
        keep_alive = option != "close" and (version == "HTTP/1.1" or option == "keep-alive")
        return Request(method, path, query, headers, body), keep_alive

    def _read_headers(self) -> dict[str, str]:
        # Not with `email`: it accepts a lone CR as a line end, and its head ends at a line without
        # a colon.
        headers: dict[str, str] = {}
        size = 0
        while line := _read_line(self._reader).decode("utf-8", "surrogateescape"):
            size += len(line) + 2
            name, colon, value = line.partition(":")
            if not colon or size > _HEAD_LIMIT:
                raise BadRequest
            name = name.lower()
            value = value.strip()
            if name in headers:
                value = headers[name] + ("; " if name == "cookie" else ", ") + value
            headers[name] = value
        return headers

    def _send(self, response: Response, *, with_body: bool, keep_alive: bool) -> None:
        status = response.status
        date = email.utils.formatdate(self._server.clock(), usegmt=True)
        reason = http.client.responses.get(status, "Unknown")
        lines = [f"HTTP/1.1 {status} {reason}", f"Date: {date}"]
        for name, value in response.headers.items():
            # Users choose content types and names, which must not end the line.
            lines.append(f"{name}: {''.join(filter(str.isprintable, value))}")
        if status not in (204, 304) and "Content-Length" not in response.headers:
            lines.append(f"Content-Length: {response.length}")
        if not keep_alive:
            lines.append("Connection: close")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "replace")
        remaining = response.length if with_body else 0
        if response.truncated:
            # Without a body, cut the status line: clients accept a head that ends between lines.
            head = head if remaining else head[:10]
            remaining //= 2
        self._socket.sendall(head + response.body[:remaining])
        for segment in response.content:
            if size := min(segment.size, remaining):
                segment.send(self._socket, size)
            remaining -= size


class Server:
    """An HTTP server on one port, with one thread per connection."""

    def __init__(
        self, host: str, port: int, handle: Callable[[Request], Response], clock: Clock
    ) -> None:
        self.handle = handle
        self.clock = clock
        self.stopping = threading.Event()
        # No lock: adding, removing and copying are atomic.
        self.connections: set[_Connection] = set()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name="sandbox-accept", daemon=True)
        self._acceptor.start()

    def close(self) -> None:
        """Stop listening, close all connections and wait for their threads."""
        self.stopping.set()
        # Only a connection wakes `accept` on every operating system.
        with contextlib.suppress(OSError):
            socket.create_connection(self._listener.getsockname()[:2], timeout=10).close()
        self._acceptor.join(timeout=10)
        self._listener.close()
        for connection in list(self.connections):
            connection.shut_down()
            connection.join(timeout=10)

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                # The client closed the connection early, or no file descriptor is free.
                self.stopping.wait(0.01)
                continue
            connection = _Connection(sock, self)
            self.connections.add(connection)
            connection.start()
