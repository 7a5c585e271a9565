"""Connections of urllib3 that keep the client's rules: one final answer for each request, the read
timeout while sending, a deadline, cancellation, and no use across a fork."""

from __future__ import annotations

import errno
import http.client
import io
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

from urllib3 import exceptions

from lakefs_client import _process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MAX_INTERIM_ANSWERS = 10
_MAX_TRAILERS = 100  # as many as http.client accepts headers
_MAX_LINE = 65536
# A small answer arrives in one read, and a small body goes out with its headers: each call of the
# system costs a change of threads.
_BUFFER = 1 << 15


class Message(NamedTuple):
    """A request as it goes out.

    Attributes:
        body: Bytes, or windows of bytes with their length in the headers.
        secrets: Returns the secrets in the body, which a server may quote in an error.
    """

    method: str
    url: str
    headers: dict[str, str]
    body: bytes | Iterable[Any] | None = None
    secrets: Callable[[], Iterable[str]] = tuple

    def __repr__(self) -> str:
        # Without the headers and the query, which authenticate.
        return f"<{self.method} {self.url.partition('?')[0]}>"


class Cancellation(threading.Event):
    """A switch that ends the exchanges of other threads and lets no new one start.

    Args:
        parent: Setting `parent` sets this cancellation as well.
    """

    def __init__(self, parent: Cancellation | None = None) -> None:
        super().__init__()
        self._children: WeakSet[Cancellation] = WeakSet()
        self._lock = threading.Lock()
        self._sockets: dict[int, socket.socket] = {}  # a thread is in one exchange at a time
        _process.register(self)
        if parent is not None:
            with parent._lock:
                parent._children.add(self)
            if parent.is_set():
                self.set()

    def set(self) -> None:
        """Shut every socket in use."""
        with self._lock:
            super().set()
            for sock in self._sockets.values():
                _shut(sock)
            children = [*self._children]
        for child in children:
            child.set()

    def attach(self, sock: socket.socket) -> None:
        """Register the socket of this thread's exchange."""
        with self._lock:
            self._sockets[threading.get_ident()] = sock
            if self.is_set():
                _shut(sock)

    def detach(self) -> None:
        """Forget the socket of this thread's exchange, which has ended."""
        with self._lock:
            self._sockets.pop(threading.get_ident(), None)

    def abandon(self) -> object:
        """Leave the sockets to the parent process."""
        was_set, old = self.is_set(), dict(self.__dict__)
        super().__init__()
        self._lock, self._sockets = threading.Lock(), {}
        if was_set:
            super().set()
        return old


def _shut(sock: socket.socket) -> None:
    try:
        # An SSLSocket's own shutdown drops its TLS state under the thread that uses it.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except (OSError, TypeError):
        pass  # closed already, or a double in a test


class Deadline:
    """The end of an exchange, on the monotonic clock.

    Args:
        seconds: Time from now.
        setting: Name of the setting that the time comes from, for messages.
    """

    def __init__(self, seconds: float, setting: str) -> None:
        self.seconds = seconds
        self.setting = setting
        self._end: float | None = time.monotonic() + seconds

    def cut(self, timeout: float | None) -> float:
        """Return the timeout, or the time that is left if it is less.

        Raises:
            TimeoutError: No time is left.
        """
        left = float("inf") if self._end is None else self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"not finished within {self.seconds:g} s ({self.setting})")
        return left if timeout is None else min(timeout, left)

    def passed(self) -> bool:
        """Return True if no time is left."""
        return self._end is not None and self._end <= time.monotonic()

    def lift(self) -> None:
        """Remove the limit: the caller reads the rest of the answer at their own pace."""
        self._end = None


class Exchange(threading.local):
    """The state of this thread's exchange, for its connection.

    urllib3 sends a body under the connect timeout and offers no way to change that.
    """

    write_timeout: float | None = None
    connecting: bool = False
    cancellation: Cancellation | None = None
    deadline: Deadline | None = None
    # For hooks and logs.
    operation: str = ""
    attempt: int = 1


current = Exchange()


class _FinalAnswer(http.client.HTTPResponse):
    """The final answer to a request; interim answers (1xx) before it are dropped.

    The connection is shut if more than this answer was read from it.
    """

    fp: Any

    def __init__(
        self, sock: Any, debuglevel: int = 0, method: str | None = None, url: str | None = None
    ) -> None:
        super().__init__(sock, debuglevel, method, url)
        if type(self.fp) is io.BufferedReader:  # and not a recorder's double
            self.fp = io.BufferedReader(self.fp.detach(), _BUFFER)
        deadline = current.deadline
        raw = None if deadline is None else getattr(self.fp, "raw", None)
        if deadline is not None and raw is not None:
            timeout, readinto = sock.gettimeout(), raw.readinto

            def readinto_in_time(buffer: Any) -> Any:
                sock.settimeout(deadline.cut(timeout))
                return readinto(buffer)

            raw.readinto = readinto_in_time

    def _read_status(self) -> tuple[str, int, str]:
        line: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]
        return line if line[1] >= 200 else self._read_final_status(line)

    def _read_final_status(self, line: tuple[str, int, str]) -> tuple[str, int, str]:
        """Skip interim answers, of which the first line is given."""
        for _ in range(MAX_INTERIM_ANSWERS):
            if line[1] == http.client.SWITCHING_PROTOCOLS:
                raise http.client.HTTPException("switches to another protocol")
            self._skip_lines()
            line = super()._read_status()  # type: ignore[misc]
            if line[1] >= 200:
                return line
        raise http.client.HTTPException(f"more than {MAX_INTERIM_ANSWERS} interim answers")

    def _skip_lines(self) -> None:
        """Read header or trailer lines to the empty line after them."""
        for _ in range(_MAX_TRAILERS + 1):
            line = self.fp.readline(_MAX_LINE + 1)
            if len(line) > _MAX_LINE:
                raise http.client.LineTooLong("header line")
            if line in (b"\r\n", b"\n", b""):
                return
        raise http.client.HTTPException(f"more than {_MAX_TRAILERS} header lines")

    _read_and_discard_trailer = _skip_lines

    def _read_next_chunk_size(self) -> int:
        size: int = super()._read_next_chunk_size()  # type: ignore[misc]
        if size < 0:
            raise http.client.HTTPException("a chunk of negative size")
        return size

    def _close_conn(self) -> None:
        fp = self.fp
        if isinstance(fp, io.BufferedReader):
            # Without a raw read `peek` shows what was read beyond the end of this answer.
            raw: Any = fp.raw
            raw.readinto = _read_nothing
            if fp.peek():
                _shut(raw._sock)
        super()._close_conn()  # type: ignore[misc]

    def abandon(self) -> object:
        """Let further reads fail: the bytes are for the parent process."""
        old, self.fp = self.fp, None if self.fp is None else _process.ForeignSocket()
        return old


def _read_nothing(buffer: Any) -> None:
    return None


class _ClientConnection:
    """The parts of a connection that are the same for HTTP, HTTPS and SOCKS."""

    sock: Any
    timeout: float | None
    response_class = _FinalAnswer
    _answer: Any = None  # the last one; a fork concerns it as well
    _joins = False
    _head: bytes | None = None  # the headers of a request, until the body's first bytes

    def connect(self) -> None:
        current.connecting = True
        super().connect()  # type: ignore[misc]
        current.connecting = False  # and not if it failed
        self.sock.settimeout(current.write_timeout)
        self._enter()
        _process.register(self)

    def request(
        self, method: str, url: str, body: Any = None, headers: Any = None, **options: Any
    ) -> None:
        if self.sock is not None:
            self.timeout = current.write_timeout  # which is put on the socket next
            self._enter()
        self._joins = _is_small(body, headers)
        try:
            super().request(method, url, body, headers, **options)  # type: ignore[misc]
            if self._head:
                self.send(b"")  # the body turned out to be empty
        except ssl.SSLEOFError as error:
            # urllib3 still reads the response after a broken pipe, which over TLS has
            # another name.
            raise BrokenPipeError(errno.EPIPE, "the server closed the connection") from error
        finally:
            self._head = None

    def endheaders(self, *args: Any, **options: Any) -> None:
        if self._joins:
            if self.sock is None:
                self.connect()  # before the first bytes of a body that cannot be read again
            self._head = b""
        super().endheaders(*args, **options)  # type: ignore[misc]

    def send(self, data: Any) -> None:
        if self._head == b"":
            self._head = data
            return
        if self._head:
            data, self._head = b"".join((self._head, data)), None
        deadline = current.deadline
        if deadline is not None and self.sock is not None:
            self.sock.settimeout(deadline.cut(current.write_timeout))
        super().send(data)  # type: ignore[misc]

    def getresponse(self) -> Any:
        try:
            response = super().getresponse()  # type: ignore[misc]
            self._answer = response._original_response
            return response
        except (ValueError, OverflowError) as error:
            raise exceptions.ProtocolError(f"invalid answer: {error}") from error

    def abandon(self) -> object:
        """Leave the socket to the parent process."""
        old = self.sock, self._answer and self._answer.abandon()
        self.sock = None if self.sock is None else _process.ForeignSocket()
        return old

    def _enter(self) -> None:
        if current.cancellation is not None:
            current.cancellation.attach(self.sock)


def _is_small(body: Any, headers: Any) -> bool:
    """Return True if a body can go out with its headers."""
    if isinstance(body, bytes):
        return len(body) <= _BUFFER
    length = (headers or {}).get("Content-Length", "")
    return body is not None and length.isdecimal() and int(length) <= _BUFFER


def original(cls: type) -> Any:
    """Return urllib3's own class; a tool that records answers may have replaced it by a subclass
    before this module was imported."""
    return next(base for base in cls.__mro__ if base.__module__.startswith("urllib3."))


def client_connection(cls: type) -> Any:
    """Return the subclass of a connection class of urllib3 that keeps the client's rules."""
    base = original(cls)
    return type(base.__name__, (_ClientConnection, base), {})
