"""A threaded HTTP/1.1 server for handlers that stream bodies and may cut the connection."""

from __future__ import annotations

import contextlib
import email.utils
import http
import logging
import os
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from .blocks import WINDOW, Segment
from .clock import Clock

_HEAD_LIMIT = 256 * 1024
# What is left of a body is read to keep the connection up to this size, as Go's server does it.
_DRAIN_LIMIT = 256 * 1024
# How long an early answer may be read before unread bytes make the kernel reset the connection.
_LINGER_SECONDS = 0.2
_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)
_REASONS = {status.value: status.phrase for status in http.HTTPStatus}

_log = logging.getLogger(__name__)


class Disconnected(Exception):
    """The client went away before its request was complete, or the server is closing."""


class Reset(Exception):
    """Raised by a handler: cut the connection with a TCP reset, without an answer."""


class BadRequest(Exception):
    """What came over the connection is no HTTP request."""


@contextlib.contextmanager
def _disconnecting() -> Iterator[None]:
    """Tell errors of the connection from those of the disk."""
    try:
        yield
    except OSError as error:
        raise Disconnected from error


class _Connection:
    """A socket with the bytes that were received ahead of need."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._ahead = b""

    def read_until(self, end: bytes) -> bytes:
        """Return what comes before the next `end`."""
        received = self._ahead
        while (index := received.find(end)) < 0:
            if len(received) > _HEAD_LIMIT:
                raise BadRequest
            with _disconnecting():
                data = self._socket.recv(65536)
            if not data:
                raise Disconnected
            received += data
        self._ahead = received[index + len(end) :]
        return received[:index]

    def read_into(self, view: memoryview) -> int:
        """Fill a part of `view` and return its size, at least 1."""
        if self._ahead:
            size = min(len(view), len(self._ahead))
            view[:size] = self._ahead[:size]
            self._ahead = self._ahead[size:]
            return size
        with _disconnecting():
            size = self._socket.recv_into(view)
        if not size:
            raise Disconnected
        return size

    def send(self, data: bytes) -> None:
        with _disconnecting():
            self._socket.sendall(data)

    def send_file(self, segment: Segment) -> None:
        with segment.path.open("rb") as file:
            self._socket.sendfile(file, segment.offset, segment.size)

    def reset(self) -> None:
        """Close so that the client sees a reset, not an orderly end."""
        linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._socket.close()

    def close(self) -> None:
        self._socket.close()

    def cut(self) -> None:
        """Wake whoever waits on the connection; may be called from any thread."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def end_sending(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)


class Body:
    """The body of one request, read from the connection as it is asked for.

    Attributes:
        length: Content-Length, or None for a body in chunks.
        bytes_per_second: Reads are slowed down to this rate when it is set.
        corrupt: When set, the first byte read comes out flipped.
    """

    def __init__(
        self,
        connection: _Connection,
        stopping: threading.Event,
        *,
        length: int | None,
        expects_continue: bool,
    ) -> None:
        self.length = length
        self.bytes_per_second: float | None = None
        self.corrupt = False
        self._connection = connection
        self._stopping = stopping
        self._expects_continue = expects_continue
        # What is left of the body, or of the current chunk.
        self._left = length or 0
        self._more_chunks = length is None

    @property
    def unread(self) -> int:
        """Bytes not read yet; for chunks more than any limit until the last one was read."""
        return self._left if not self._more_chunks else 1 << 62

    @property
    def drainable(self) -> bool:
        """Whether the rest is small enough, and sure to come, to be read for keep-alive."""
        return not self.unread or (self.unread <= _DRAIN_LIMIT and not self._expects_continue)

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
        size = WINDOW
        while limit is None or limit > 0:
            if limit is not None:
                size = min(limit, WINDOW)
                limit -= size
            if next(self.windows(size), None) is None:
                return

    def _fill(self, buffer: memoryview) -> int:
        filled = 0
        while filled < len(buffer):
            size = self._read_into(buffer[filled:])
            if not size:
                break
            filled += size
        return filled

    def _read_into(self, view: memoryview) -> int:
        if self._expects_continue:
            self._expects_continue = False
            self._connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._more_chunks and not self._left:
            self._next_chunk()
        if not self._left:
            return 0
        if self.bytes_per_second:
            # Ten reads a second: slow, yet steady, so that no timeout of one read strikes.
            view = view[: max(1, int(self.bytes_per_second / 10))]
        size = self._connection.read_into(view[: self._left])
        if self.bytes_per_second and self._stopping.wait(size / self.bytes_per_second):
            raise Disconnected
        self._left -= size
        if self.corrupt:
            view[0] ^= 0xFF
            self.corrupt = False
        if self._more_chunks and not self._left:
            self._connection.read_until(b"\r\n")
        return size

    def _next_chunk(self) -> None:
        try:
            self._left = int(self._connection.read_until(b"\r\n").split(b";")[0], 16)
        except ValueError:
            raise BadRequest from None
        if not self._left:
            self._more_chunks = False
            while self._connection.read_until(b"\r\n"):
                pass


@dataclass(slots=True)
class Request:
    """One request: `path` and `query` as they came, header names in lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Body
    stopping: threading.Event


@dataclass(slots=True)
class Response:
    """One answer: `body`, or pieces of files where there is `content`."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    content: tuple[Segment, ...] = ()
    # For HEAD: the Content-Length that GET would have.
    head_length: int | None = None
    # A fault: the answer ends in its middle.
    truncated: bool = False

    @property
    def length(self) -> int:
        if self.head_length is not None:
            return self.head_length
        return len(self.body) + sum(segment.size for segment in self.content)


class Server:
    """Answers requests on one port, a thread a connection, until it is closed."""

    def __init__(
        self, host: str, port: int, handle: Callable[[Request], Response], clock: Clock
    ) -> None:
        self._handle = handle
        self._clock = clock
        self._date = (0, "")
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._connections: dict[_Connection, threading.Thread] = {}
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name="sandbox-accept", daemon=True)
        self._acceptor.start()

    def close(self) -> None:
        """Stop listening, cut all connections and wait for their threads."""
        self._stopping.set()
        # Nothing but a connection wakes an accept on every system.
        with contextlib.suppress(OSError):
            socket.create_connection(self._listener.getsockname()[:2], timeout=10).close()
        self._acceptor.join(timeout=10)
        self._listener.close()
        with self._lock:
            open_connections = list(self._connections.items())
        for connection, thread in open_connections:
            connection.cut()
            thread.join(timeout=10)

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                # The client was faster to go than we to accept, or we are out of descriptors.
                self._stopping.wait(0.01)
                continue
            if self._stopping.is_set():
                sock.close()
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = _Connection(sock)
            thread = threading.Thread(
                target=self._serve, args=(connection,), name="sandbox-connection", daemon=True
            )
            with self._lock:
                self._connections[connection] = thread
            thread.start()

    def _serve(self, connection: _Connection) -> None:
        try:
            while not self._stopping.is_set() and self._serve_request(connection):
                pass
        except Reset:
            connection.reset()
        except BadRequest:
            with contextlib.suppress(OSError):
                connection.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        except (Disconnected, OSError):
            pass
        finally:
            with self._lock:
                self._connections.pop(connection, None)
            connection.close()

    def _serve_request(self, connection: _Connection) -> bool:
        """Answer one request; return whether another may follow on the connection."""
        head = connection.read_until(b"\r\n\r\n")
        request, keep_alive = self._parse(head, connection)
        try:
            response = self._handle(request)
        except (Reset, Disconnected, BadRequest):
            raise
        except Exception:
            _log.exception("The sandbox failed at %s %s", request.method, request.path)
            response = Response(500, b'{"message": "the sandbox failed, see its log"}')
        body = request.body
        drain = body.drainable
        if drain:
            body.drain()
        keep_alive = keep_alive and drain and not response.truncated
        self._send(connection, request, response, keep_alive)
        if not drain:
            # The client is still sending. It may see the answer, a broken pipe or a reset.
            connection.end_sending()
            self._stopping.wait(_LINGER_SECONDS)
        return keep_alive

    def _parse(self, head: bytes, connection: _Connection) -> tuple[Request, bool]:
        first, *lines = head.decode("latin-1").split("\r\n")
        try:
            method, target, version = first.split(" ")
        except ValueError:
            raise BadRequest from None
        headers: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon:
                raise BadRequest
            name = name.lower()
            value = value.strip()
            if name in headers:
                value = headers[name] + ("; " if name == "cookie" else ", ") + value
            headers[name] = value
        chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit():
            raise BadRequest
        body = Body(
            connection,
            self._stopping,
            length=None if chunked else int(length),
            expects_continue=headers.get("expect", "").lower() == "100-continue",
        )
        if target.startswith("http://"):
            # The absolute form, as a client sends it that takes this server for its proxy.
            target = "/" + target.split("/", 3)[-1]
        path, _, query = target.partition("?")
        option = headers.get("connection", "").lower()
        keep_alive = option != "close" and (version == "HTTP/1.1" or option == "keep-alive")
        return Request(method, path, query, headers, body, self._stopping), keep_alive

    def _send(
        self, connection: _Connection, request: Request, response: Response, keep_alive: bool
    ) -> None:
        status = response.status
        lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}", f"Date: {self._now()}"]
        lines += [f"{name}: {_one_line(value)}" for name, value in response.headers.items()]
        if status not in (204, 304):
            lines.append(f"Content-Length: {response.length}")
        if not keep_alive:
            lines.append("Connection: close")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
        if response.truncated:
            self._send_truncated(connection, head, response)
        elif request.method == "HEAD":
            connection.send(head)
        else:
            connection.send(head + response.body)
            for segment in response.content:
                connection.send_file(segment)

    def _send_truncated(self, connection: _Connection, head: bytes, response: Response) -> None:
        half = response.length // 2
        if not response.length:
            # Within the status: clients take a head that ends between its lines for whole.
            connection.send(head[:10])
        elif response.body:
            connection.send(head + response.body[:half])
        else:
            connection.send(head)
            first = response.content[0]
            connection.send_file(Segment(first.path, first.offset, min(first.size, half)))

    def _now(self) -> str:
        now = int(self._clock())
        if self._date[0] != now:
            self._date = (now, email.utils.formatdate(now, usegmt=True))
        return self._date[1]


def _one_line(value: str) -> str:
    """A header's value without what would end it: types and names of objects may be anything."""
    return value if value.isprintable() else "".join(filter(str.isprintable, value))


def parse_range(text: str, size: int) -> tuple[int, int] | None:
    """The bytes that a Range header asks for, first and after the last; None if there are none."""
    match = _RANGE.fullmatch(text)
    if match is None or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        start, stop = max(size - int(last), 0), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
    return (start, stop) if start < stop else None
