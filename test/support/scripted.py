"""An HTTP server on a raw socket that follows a script of steps, one step per request.

    with ScriptedServer(Reset(), Answer(json={"id": "x"})) as server:
        ...  # the first request is reset after its body was read, the second is answered
    assert [r.method for r in server.requests] == ["GET", "GET"]

Each request runs the next step, on any connection. Leaving the `with` block fails the test if a
step remains, or if a request arrived after the last step.
"""

from __future__ import annotations

import json as json_module
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Any, Literal, NamedTuple

PATIENCE = 60.0
"""Seconds after which a wait of the server or of a test fails."""

Then = Literal["keep", "close", "reset"]
"""Action after an answer. "keep" waits for the next request on the connection."""


class Received(NamedTuple):
    """A request as it arrived.

    Attributes:
        method: The HTTP method.
        target: The request target: path and query, or a whole URL at a proxy.
        headers: Values by lower-case name. Repeated values are joined with a comma.
        body: The bytes of the body that were read, without the chunked framing.
        connection: Number of the connection, from 0.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The query without its question mark."""
        return self.target.partition("?")[2]


class Step:
    """A reaction to one request, after its head and before its body is read."""

    def run(self, exchange: Exchange) -> Then:
        """Run the step, and return the action on the connection."""
        raise NotImplementedError


@dataclass(frozen=True)
class Answer(Step):
    """Read the body and answer.

    Attributes:
        status: The status code. It determines the reason phrase, unless `reason` is given.
        body: The body.
        headers: More headers. They replace the server's own Content-Length and Connection; None
            removes a header.
        json: The body as a value, instead of `body`.
        early: Answer before the body of the request is read, and never read it.
        cut: Number of body bytes to send. The Content-Length still counts the whole body.
        then: The action on the connection.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str | None] = field(default_factory=dict)
    json: Any = ...
    reason: str | None = None
    early: bool = False
    cut: int | None = None
    then: Then = "keep"

    def run(self, exchange: Exchange) -> Then:
        if not self.early:
            exchange.read_body()
        body = self.body
        headers: dict[str, str | None] = {}
        if self.json is not ...:
            body = json_module.dumps(self.json).encode()
            headers["Content-Type"] = "application/json"
        headers["Content-Length"] = str(len(body))
        if self.then != "keep":
            headers["Connection"] = "close"
        headers |= self.headers
        known = self.status in HTTPStatus.__members__.values()
        reason = self.reason or (HTTPStatus(self.status).phrase if known else "Whatever")
        lines = [f"HTTP/1.1 {self.status} {reason}"]
        lines += [f"{name}: {value}" for name, value in headers.items() if value is not None]
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        exchange.send(head + (b"" if exchange.method == "HEAD" else body[: self.cut]))
        if self.early and self.then == "close":
            # Closing with unread bytes would reset the connection under the answer.
            exchange.end_sending()
            exchange.read_body()
        return self.then


@dataclass(frozen=True)
class Raw(Step):
    """Read the body and send the given bytes unchanged."""

    data: bytes
    then: Then = "close"

    def run(self, exchange: Exchange) -> Then:
        exchange.read_body()
        exchange.send(self.data)
        return self.then


@dataclass(frozen=True)
class Endless(Step):
    """Read the body, send a head, and repeat data until the client closes the connection.

    Attributes:
        head: Bytes that are sent once.
        data: Bytes that are repeated.
        pause: Seconds between two repetitions.
    """

    head: bytes
    data: bytes = b"x" * (1 << 16)
    pause: float = 0

    def run(self, exchange: Exchange) -> Then:
        exchange.read_body()
        exchange.send(self.head)
        try:
            while not exchange.stopping(self.pause):
                exchange.sock.sendall(self.data)
        except OSError:
            pass  # the client closed the connection, as expected
        return "close"


@dataclass(frozen=True)
class Close(Step):
    """Close the connection without an answer, after a number of bytes of the body (None: all)."""

    after: int | None = None

    def run(self, exchange: Exchange) -> Then:
        exchange.read_body(self.after)
        return "close"


@dataclass(frozen=True)
class Reset(Step):
    """Reset the connection, after a number of bytes of the body (None: all)."""

    after: int | None = None

    def run(self, exchange: Exchange) -> Then:
        exchange.read_body(self.after)
        return "reset"


@dataclass(frozen=True)
class Stall(Step):
    """Read a part of the body, wait for the release or the end of the server, then run a step.

    Attributes:
        after: Bytes of the body that are read before the wait; None for all.
        then: The step after `release.set()`; by default the connection is closed.
        release: Ends the wait.
        reached: Set when the wait begins.
    """

    then: Step = field(default_factory=lambda: Close(after=0))
    after: int | None = None
    release: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)

    def run(self, exchange: Exchange) -> Then:
        exchange.read_body(self.after)
        exchange.record()
        self.reached.set()
        if not exchange.wait(self.release):
            return "close"
        return self.then.run(exchange)


@dataclass(frozen=True)
class SlowRead(Step):
    """Read the body in small pieces, then run a step."""

    then: Step = field(default_factory=lambda: Answer())
    size: int = 1 << 16
    pause: float = 0.01

    def run(self, exchange: Exchange) -> Then:
        exchange.read_body(window=self.size, pause=self.pause)
        return self.then.run(exchange)


@dataclass(frozen=True)
class Tunnel(Step):
    """Answer a CONNECT with 200 and pass bytes on to this address until either side ends."""

    address: tuple[str, int]

    def run(self, exchange: Exchange) -> Then:
        exchange.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return _join(exchange, self.address)


@dataclass(frozen=True)
class Relay(Step):
    """Pass the request, and everything after it on the connection, on to this address."""

    address: tuple[str, int]

    def run(self, exchange: Exchange) -> Then:
        fields = "".join(f"{name}: {value}\r\n" for name, value in exchange.headers.items())
        head = f"{exchange.method} {exchange.target} HTTP/1.1\r\n{fields}\r\n"
        exchange.record()
        return _join(exchange, self.address, head.encode("latin-1") + exchange.rest)


def _join(exchange: Exchange, address: tuple[str, int], first: bytes = b"") -> Then:
    with socket.create_connection(address, timeout=PATIENCE) as upstream:
        upstream.sendall(first)
        back = threading.Thread(target=_pump, args=(upstream, exchange.sock), daemon=True)
        back.start()
        _pump(exchange.sock, upstream)
        back.join(PATIENCE)
    return "close"


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
    except OSError:
        pass  # the other side is notified below
    for sock in (source, sink):
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class Exchange:
    """One request on a connection, as its step sees it."""

    def __init__(
        self, server: ScriptedServer, sock: socket.socket, head: bytes, rest: bytes, number: int
    ) -> None:
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = lines[0].split(" ", 2)
        self.headers: dict[str, str] = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            known = self.headers.get(name.lower())
            self.headers[name.lower()] = value.strip() if known is None else f"{known},{value}"
        self.sock = sock
        self.rest = rest
        self.body = b""
        self.number = number
        self._server = server
        self._recorded = False
        self._length = int(self.headers.get("content-length", 0))
        self._chunked = self.headers.get("transfer-encoding") == "chunked"

    def received(self) -> Received:
        """Return the request, with the bytes of the body that were read."""
        return Received(self.method, self.target, self.headers, self.body, self.number)

    def record(self) -> None:
        """Add the request to the server's list, once."""
        if not self._recorded:
            self._recorded = True
            self._server.record(self.received())

    def send(self, data: bytes) -> None:
        """Send bytes, and ignore a client that has closed the connection."""
        self.record()  # before the client sees the answer
        try:
            self.sock.sendall(data)
        except OSError:
            pass  # the client closed first, which the test checks

    def end_sending(self) -> None:
        """Shut down the sending side of the connection."""
        self.sock.shutdown(socket.SHUT_WR)

    def wait(self, event: threading.Event) -> bool:
        """Wait for an event. Return False if the server stops first."""
        for _ in range(int(PATIENCE / 0.02)):
            if event.wait(0.02):
                return True
            if self._server.stopping.is_set():
                break
        return False

    def stopping(self, pause: float) -> bool:
        """Wait `pause` seconds. Return True if the server is stopping."""
        return self._server.stopping.wait(pause) if pause else self._server.stopping.is_set()

    def read_body(self, limit: int | None = None, window: int = 1 << 16, pause: float = 0) -> None:
        """Read the body, or a number of its bytes."""
        if self._chunked:
            self._read_chunks()
            return
        wanted = self._length if limit is None else min(limit, self._length)
        parts = [self.body, self.rest]
        have = len(self.body) + len(self.rest)
        while have < wanted:
            if pause and self._server.stopping.wait(pause):
                break
            data = self.sock.recv(min(window, wanted - have))
            if not data:
                break
            parts.append(data)
            have += len(data)
        whole = b"".join(parts)
        self.body, self.rest = whole[:wanted], whole[wanted:]

    def _read_chunks(self) -> None:
        while True:
            size = int(self._line().partition(b";")[0], 16)
            while len(self.rest) < size + 2:
                self.rest += self._more()
            self.body, self.rest = self.body + self.rest[:size], self.rest[size + 2 :]
            if not size:
                return

    def _line(self) -> bytes:
        while b"\r\n" not in self.rest:
            self.rest += self._more()
        line, _, self.rest = self.rest.partition(b"\r\n")
        return line

    def _more(self) -> bytes:
        data = self.sock.recv(1 << 16)
        if not data:
            raise ConnectionError("the client closed the connection within a chunk")
        return data


class ScriptedServer:
    """A server on 127.0.0.1, which starts when it is created.

    Args:
        steps: The steps of the first requests.
        otherwise: The step of every later request, or a function that returns it. Without it, a
            later request fails the test.
        tls: The TLS context; None for plain HTTP.
        receive_buffer: Size of the kernel's receive buffer, for tests of slow readers.
        deaf: Refuse connections until `listen` is called.

    Attributes:
        requests: Every request, with the bytes of the body that were read.
        connections: Number of connections that were accepted.
        handshake_errors: Failures of TLS handshakes.
    """

    def __init__(
        self,
        *steps: Step,
        otherwise: Step | Callable[[Received], Step] | None = None,
        tls: ssl.SSLContext | None = None,
        receive_buffer: int | None = None,
        deaf: bool = False,
    ) -> None:
        self.requests: list[Received] = []
        self.connections = 0
        self.handshake_errors: list[Exception] = []
        self.stopping = threading.Event()
        self._steps = deque(steps)
        self._otherwise = otherwise
        self._tls = tls
        self._changed = threading.Condition()
        self._sockets: dict[int, socket.socket] = {}
        self._threads: list[threading.Thread] = []
        self._problems: list[str] = []
        self._listener = socket.socket()
        if receive_buffer is not None:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._listener.bind(("127.0.0.1", 0))
        self.host, self.port = self._listener.getsockname()
        self._acceptor: threading.Thread | None = None
        if not deaf:
            self.listen()

    @property
    def url(self) -> str:
        """The URL of the server: scheme, address and port."""
        return f"{'https' if self._tls else 'http'}://{self.host}:{self.port}"

    @property
    def open_connections(self) -> int:
        """The number of connections that neither side has closed."""
        with self._changed:
            return len(self._sockets)

    def listen(self) -> None:
        """Accept connections. Needed only after `deaf`."""
        self._listener.listen(128)
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def script(self, *steps: Step) -> None:
        """Add steps."""
        with self._changed:
            self._steps.extend(steps)

    def wait_for(self, condition: Callable[[ScriptedServer], bool]) -> None:
        """Wait until a condition of the server is true."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self), PATIENCE), "timed out"

    def record(self, request: Received) -> None:
        """Add a request to the list."""
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()

    def check(self) -> None:
        """Fail if a step remains, or if a request arrived after the last step."""
        with self._changed:
            assert not self._problems, self._problems
            assert not self._steps, f"steps without a request: {list(self._steps)}"

    def close(self) -> None:
        """Close every connection and wait for all threads. May be called again."""
        if self.stopping.is_set():
            return
        self.stopping.set()
        if self._acceptor is not None:
            # A connection wakes up `accept` on every system.
            socket.create_connection((self.host, self.port), timeout=PATIENCE).close()
            self._acceptor.join(PATIENCE)
        self._listener.close()
        with self._changed:
            for sock in self._sockets.values():
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # the client closed first
        for thread in self._threads:
            thread.join(PATIENCE)

    def __enter__(self) -> ScriptedServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:  # an abandoned request may still arrive
            with self._changed:
                self._changed.wait_for(lambda: not self._steps, 1.0)
        self.close()
        if error is None:
            self.check()

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            if self.stopping.is_set():
                sock.close()
                return
            with self._changed:
                number = self.connections
                self.connections += 1
                self._sockets[number] = sock
                self._changed.notify_all()
            thread = threading.Thread(target=self._serve, args=(sock, number), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        then: Then = "close"
        try:
            sock.settimeout(PATIENCE)
            if self._tls is not None:
                sock = self._handshake(self._tls, sock, number)
            then = self._exchanges(sock, number)
        except ssl.SSLError as error:
            self.handshake_errors.append(error)
        except OSError:
            pass  # the client closed the connection
        except Exception as error:
            self._problems.append(repr(error))
        finally:
            if then == "reset":
                no_linger = struct.pack("ii", 1, 0)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)
            sock.close()
            with self._changed:
                del self._sockets[number]
                self._changed.notify_all()

    def _handshake(self, tls: ssl.SSLContext, sock: socket.socket, number: int) -> socket.socket:
        # The handshake comes after the wrapping, so that a failure leaves a socket to close.
        secure = tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        with self._changed:
            self._sockets[number] = secure
        try:
            secure.do_handshake()
        except BaseException:
            secure.close()
            raise
        return secure

    def _exchanges(self, sock: socket.socket, number: int) -> Then:
        buffer = b""
        while True:
            while b"\r\n\r\n" not in buffer:
                data = sock.recv(1 << 16)
                if not data:
                    return "close"
                buffer += data
            head, _, buffer = buffer.partition(b"\r\n\r\n")
            exchange = Exchange(self, sock, head, buffer, number)
            step = self._next(exchange)
            try:
                then = step.run(exchange)
            finally:
                exchange.record()
            if then != "keep":
                return then
            buffer = exchange.rest

    def _next(self, exchange: Exchange) -> Step:
        with self._changed:
            if self._steps:
                self._changed.notify_all()
                return self._steps.popleft()
            otherwise = self._otherwise
            if otherwise is None:
                self._problems.append(f"no step for {exchange.method} {exchange.target}")
                return Answer(500, b"the script has ended", then="close")
        if isinstance(otherwise, Step):
            return otherwise
        exchange.read_body()
        return otherwise(exchange.received())
