"""A threaded HTTP/1.1 server for handlers that stream bodies and may cut the connection."""

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

from .blocks import WINDOW, Segment
from .clock import Clock

_HEAD_LIMIT = 256 * 1024
# What is left of a body is read to keep the connection up to this size, as Go's server does it.
_DRAIN_LIMIT = 256 * 1024
# How long an early answer may be read before unread bytes make the kernel reset the connection.
_LINGER_SECONDS = 0.2
_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)

_log = logging.getLogger(__name__)


class Disconnected(ConnectionError):
    """The client went away before its request was complete, or the server is closing."""


class Reset(Exception):
    """Raised by a handler: cut the connection with a TCP reset, without an answer."""


class BadRequest(Exception):
    """What came over the connection is no HTTP request."""


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
    """The body of one request, read from the connection as it is asked for."""

    reader: io.BufferedReader
    stopping: threading.Event
    # None for a body in chunks.
    length: int | None
    # Sends what the client waits for before it sends the body.
    send_continue: Callable[[], object] | None
    # Faults: the rate that reads are slowed down to, and whether to flip the first byte read.
    bytes_per_second: float | None = None
    corrupt: bool = False

    def __post_init__(self) -> None:
        # What is left of the body, or of the current chunk.
        self._left = self.length or 0
        self._more_chunks = self.length is None

    @property
    def unread(self) -> int:
        """Bytes not read yet; for chunks more than any limit until the last one was read."""
        return self._left if not self._more_chunks else 1 << 62

    @property
    def drainable(self) -> bool:
        """Whether the rest is small enough, and sure to come, to be read for keep-alive."""
        return not self.unread or (self.unread <= _DRAIN_LIMIT and self.send_continue is None)

    def windows(self, size: int = WINDOW) -> Iterator[memoryview]:
        """Yield what is left in windows of one reused buffer, all but the last one full."""
        buffer = memoryview(bytearray(min(size, max(self.unread, 1))))
        while filled := self._fill(buffer):
            yield buffer[:filled]

    def read(self) -> bytes:
        """Return what is left."""
        return b"".join(bytes(window) for window in self.windows())

    def drain(self, limit: int | None = None) -> None:
        """Read what is left, or its first `limit` bytes, and forget it."""
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
            # Ten reads a second: slow, yet steady, so that no timeout of one read strikes.
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
        try:
            self._left = int(_read_line(self.reader).split(b";")[0], 16)
        except ValueError:
            raise BadRequest from None
        if not self._left:
            self._more_chunks = False
            while _read_line(self.reader):
                pass


@dataclass(slots=True)
class Request:
    """One request: `path` and `query` as they came, header names in lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Body


@dataclass(slots=True)
class Response:
    """One answer: `body`, or pieces of files where there is `content`."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    content: tuple[Segment, ...] = ()
    # A fault: the answer ends in its middle.
    truncated: bool = False

    @property
    def length(self) -> int:
        return len(self.body) + sum(segment.size for segment in self.content)

    def select_range(self, text: str | None, size: int) -> tuple[int, int] | None:
        """As `parse_range`, and say in the answer which part it is."""
        wanted = parse_range(text, size)
        if text is not None and wanted is not None:
            self.status = 206
            self.headers["Content-Range"] = f"bytes {wanted[0]}-{wanted[1] - 1}/{size}"
        return wanted


class _Connection(threading.Thread):
    """One client's connection, with its requests one after the other."""

    def __init__(self, sock: socket.socket, server: Server) -> None:
        super().__init__(name="sandbox-connection", daemon=True)
        self._socket = sock
        self._reader = sock.makefile("rb")
        self._server = server

    def cut(self, how: int = socket.SHUT_RDWR) -> None:
        """Wake whoever waits on the connection; may be called from any thread."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(how)

    def run(self) -> None:
        """Answer requests until one of the two sides ends it."""
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while not self._server.stopping.is_set() and self._serve_request():
                pass
        except Reset:
            # So that the client sees a reset, not an orderly end.
            linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        except BadRequest:
            with contextlib.suppress(OSError):
                self._socket.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        except OSError:
            # The client is gone.
            pass
        finally:
            self._reader.close()
            self._socket.close()
            self._server.connections.discard(self)

    def _serve_request(self) -> bool:
        """Answer one request; return whether another may follow on the connection."""
        request, keep_alive = self._read_request()
        try:
            response = self._server.handle(request)
        except (Reset, BadRequest, ConnectionError, TimeoutError):
            raise
        except Exception:
            _log.exception("The sandbox failed at %s %s", request.method, request.path)
            response = Response(500, b'{"message": "the sandbox failed, see its log"}')
        drain = request.body.drainable
        if drain:
            request.body.drain()
        keep_alive = keep_alive and drain and not response.truncated
        self._send(response, with_body=request.method != "HEAD", keep_alive=keep_alive)
        if not drain:
            # The client is still sending. It may see the answer, a broken pipe or a reset.
            self.cut(socket.SHUT_WR)
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
        if not length.isascii() or not length.isdigit():
            raise BadRequest
        send_continue = None
        if headers.get("expect", "").lower() == "100-continue":
            send_continue = partial(self._socket.sendall, b"HTTP/1.1 100 Continue\r\n\r\n")
        size = None if chunked else int(length)
        body = Body(self._reader, self._server.stopping, size, send_continue)
        if target.startswith("http://"):
            # The absolute form, as a client sends it that takes this server for its proxy.
            target = "/" + target.split("/", 3)[-1]
        path, _, query = target.partition("?")
        option = headers.get("connection", "").lower()
        keep_alive = option != "close" and (version == "HTTP/1.1" or option == "keep-alive")
        return Request(method, path, query, headers, body), keep_alive

    def _read_headers(self) -> dict[str, str]:
        # By hand: the parser of `email` takes a lone CR for the end of a line, and a line without a
        # colon for the end of the head.
        headers: dict[str, str] = {}
        size = 0
        while line := _read_line(self._reader).decode("latin-1"):
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
            # Types and names of objects may be anything, and must not end the line.
            lines.append(f"{name}: {''.join(filter(str.isprintable, value))}")
        if status not in (204, 304) and "Content-Length" not in response.headers:
            lines.append(f"Content-Length: {response.length}")
        if not keep_alive:
            lines.append("Connection: close")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
        left = response.length if with_body else 0
        if response.truncated:
            # Without a body, within the status: clients take a head that ends between its lines
            # for whole.
            head = head if left else head[:10]
            left //= 2
        self._socket.sendall(head + response.body[:left])
        for path, offset, size in response.content:
            if size := min(size, left):
                with path.open("rb") as file:
                    self._socket.sendfile(file, offset, size)
            left -= size


class Server:
    """Answers requests on one port, a thread a connection, until it is closed."""

    def __init__(
        self, host: str, port: int, handle: Callable[[Request], Response], clock: Clock
    ) -> None:
        self.handle = handle
        self.clock = clock
        self.stopping = threading.Event()
        # Without a lock: to add, to remove and to copy is one step each.
        self.connections: set[_Connection] = set()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name="sandbox-accept", daemon=True)
        self._acceptor.start()

    def close(self) -> None:
        """Stop listening, cut all connections and wait for their threads."""
        self.stopping.set()
        # Nothing but a connection wakes an accept on every system.
        with contextlib.suppress(OSError):
            socket.create_connection(self._listener.getsockname()[:2], timeout=10).close()
        self._acceptor.join(timeout=10)
        self._listener.close()
        for connection in list(self.connections):
            connection.cut()
            connection.join(timeout=10)

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                # The client was faster to go than we to accept, or we are out of descriptors.
                self.stopping.wait(0.01)
                continue
            connection = _Connection(sock, self)
            self.connections.add(connection)
            connection.start()


def parse_range(text: str | None, size: int) -> tuple[int, int] | None:
    """The bytes that a Range header asks for, first and after the last; None if there are none."""
    if text is None:
        return 0, size
    match = _RANGE.fullmatch(text)
    if match is None or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        start, stop = max(size - int(last), 0), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
    return (start, stop) if start < stop else None
