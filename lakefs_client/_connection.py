"""Connections: how urllib3's send, the pools, TLS and proxies that a configuration asks for, and
what to say when they fail."""

from __future__ import annotations

import errno
import logging
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit
from weakref import WeakSet

import certifi
import urllib3
from urllib3 import exceptions
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.ssl_ import create_urllib3_context

from lakefs_client._redact import redact
from lakefs_client.exceptions import ApiConnectionError, ApiTimeoutError, ApiValueError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lakefs_client.configuration import Configuration


class Message(NamedTuple):
    """A request as it goes out. The body is bytes, or windows of bytes with their length."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes | Iterable[Any] | None = None


class _Redacting(logging.Filter):
    """Hides what signs the URLs that urllib3 logs whole at DEBUG."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(redact(arg) if isinstance(arg, str) else arg for arg in record.args)
        return True


logging.getLogger("urllib3.connectionpool").addFilter(_Redacting())


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
        """Take the socket that this thread's exchange is about to use."""
        with self._lock:
            self._sockets[threading.get_ident()] = sock
            if self.is_set():
                _shut(sock)

    def detach(self) -> None:
        """Let go of the socket: this thread's exchange is over."""
        with self._lock:
            self._sockets.pop(threading.get_ident(), None)


def _shut(sock: socket.socket) -> None:
    try:
        # An SSLSocket's own shutdown drops its TLS state under the thread that uses it.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        pass  # it was closed already


class Exchange(threading.local):
    """What the connection must know of the exchange that this thread is in.

    urllib3 sends a body under the connect timeout and has no place to say otherwise.
    """

    write_timeout: float | None = None
    connecting: bool = False
    cancellation: Cancellation | None = None


current = Exchange()


class _ReadTimeoutSends:
    """Sends under the read timeout, and lets an early answer be read after a broken pipe."""

    sock: Any
    timeout: float | None

    def connect(self) -> None:
        current.connecting = True
        super().connect()  # type: ignore[misc]
        current.connecting = False  # and not where it failed
        self.sock.settimeout(current.write_timeout)
        self._enter()

    def request(self, *args: Any, **options: Any) -> None:
        if self.sock is not None:
            self.timeout = current.write_timeout  # which is put on the socket next
            self._enter()
        try:
            super().request(*args, **options)  # type: ignore[misc]
        except ssl.SSLEOFError as error:
            # urllib3 goes on to read the answer after a broken pipe, which over TLS has
            # another name.
            raise BrokenPipeError(errno.EPIPE, "the server closed the connection") from error

    def _enter(self) -> None:
        if current.cancellation is not None:
            current.cancellation.attach(self.sock)


class _HTTPConnection(_ReadTimeoutSends, HTTPConnection):
    pass


class _HTTPSConnection(_ReadTimeoutSends, HTTPSConnection):
    pass


class _Pool:
    def _put_conn(self, conn: Any) -> None:
        try:
            super()._put_conn(conn)  # type: ignore[misc]
        except AttributeError:
            # urllib3 says how full a pool is that another thread has closed meanwhile.
            if conn is not None:
                conn.close()


class _HTTPPool(_Pool, urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection  # pyright: ignore[reportAssignmentType]

    def __init__(self, *args: Any, assert_hostname: object = None, **kwargs: Any) -> None:
        # Managers of urllib3 2.2 hand this option of TLS to plain pools too, which know none.
        super().__init__(*args, **kwargs)


class _HTTPSPool(_Pool, urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection  # pyright: ignore[reportAssignmentType]


POOLS = {"http": _HTTPPool, "https": _HTTPSPool}


def pools(
    configuration: Configuration, proxy: str | None, *, for_store: bool
) -> urllib3.PoolManager:
    """Pools of connections, direct or through a proxy, whose credentials no message repeats."""
    options = _options(configuration, for_store)
    if proxy is None:
        manager = urllib3.PoolManager(**options)
        manager.pool_classes_by_scheme = POOLS
        return manager
    if proxy.startswith("socks"):
        try:
            from urllib3.contrib.socks import SOCKSProxyManager
        except ImportError as error:
            raise ApiValueError("a SOCKS proxy needs the package PySocks") from error
        socks: urllib3.PoolManager = SOCKSProxyManager(proxy, **options)
        return socks
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    headers = dict(configuration.proxy_headers or {})
    try:
        address = urlsplit(proxy)
        if address.hostname is None or address.port == 0:
            raise ValueError
        if address.username is not None:
            pair = f"{unquote(address.username)}:{unquote(address.password or '')}"
            headers = {**urllib3.make_headers(proxy_basic_auth=pair), **headers}
            proxy = address._replace(netloc=address.netloc.rpartition("@")[2]).geturl()
        manager = urllib3.ProxyManager(proxy, proxy_headers=headers, **options)
    except (exceptions.HTTPError, ValueError):
        # Without the cause, which may quote a password.
        raise ApiValueError("the proxy's address cannot be used") from None
    manager.pool_classes_by_scheme = POOLS
    return manager


def close_pools(manager: urllib3.PoolManager) -> None:
    """Close the connections of every pool. urllib3 itself would wait for the last reference."""
    with manager.pools.lock:
        for key in manager.pools.keys():  # noqa: SIM118 (it is no iterable)
            manager.pools[key].close()
        manager.clear()


def _options(c: Configuration, for_store: bool) -> dict[str, Any]:
    options: dict[str, Any] = {
        # Connections are made when they are needed: a high number costs nothing, and keeps
        # those of a wide upload from being made anew for each part.
        "maxsize": 256 if for_store else c.connection_pool_maxsize or 10,
        "retries": False,
        "ssl_context": _tls(c, for_store),
    }
    if c.socket_options is not None:
        options["socket_options"] = HTTPConnection.default_socket_options + list(c.socket_options)
    if not c.verify_ssl:
        options["assert_hostname"] = False
    elif c.assert_hostname is not None and not for_store:
        options["assert_hostname"] = c.assert_hostname
    return options


def _tls(c: Configuration, for_store: bool) -> ssl.SSLContext:
    context = create_urllib3_context()
    if c.verify_ssl:
        context.verify_mode = ssl.CERT_REQUIRED
        if for_store or c.ssl_ca_cert is None:
            context.load_verify_locations(certifi.where())
        if c.ssl_ca_cert is not None:
            _load("ssl_ca_cert", context.load_verify_locations, c.ssl_ca_cert)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if c.cert_file is not None and not for_store:
        option = "cert_file" if c.key_file is None else "cert_file or key_file"
        _load(option, context.load_cert_chain, c.cert_file, c.key_file)
    return context


def _load(option: str, load: Callable[..., object], *paths: str | None) -> None:
    try:
        load(*paths)
    except (OSError, ValueError, TypeError) as error:
        files = ", ".join(map(repr, filter(None, paths)))
        raise ApiValueError(f"Configuration.{option} cannot be used ({files}): {error}") from error


def target_of(request: Message) -> str:
    """Method and address for a message: no query, which may be signed."""
    return f"{request.method} {request.url.partition('?')[0]}"


def network_error(
    error: Exception, request: Message, timeouts: tuple[float, float], connected: bool = True
) -> ApiConnectionError:
    """What to raise for an error of urllib3's. Unless it was `connected`, nothing was sent."""
    target = target_of(request)
    cause: BaseException = error
    if isinstance(error, exceptions.ProxyError):
        cause = error.original_error
        target += " through the proxy"
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
        doubt = "" if request.method in ("GET", "HEAD") else "; the operation may have happened"
        return ApiTimeoutError(f"{target}: no progress within {limit}{doubt}")
    return ApiConnectionError(f"{target}: the connection broke: {_short(cause)}", sent=connected)


def _timed_out(error: BaseException) -> bool:
    if isinstance(error, (exceptions.TimeoutError, TimeoutError)):
        return True
    # A write that times out arrives as ProtocolError('Connection aborted.', TimeoutError()).
    aborted = isinstance(error, exceptions.ProtocolError)
    return aborted and any(isinstance(arg, TimeoutError) for arg in error.args)


def _short(error: BaseException) -> str:
    """The innermost reason; urllib3's own texts repeat pools and whole URLs."""
    for arg in error.args:
        if isinstance(arg, BaseException):
            return _short(arg)
    if isinstance(error, exceptions.NewConnectionError) and error.__cause__ is not None:
        return _short(error.__cause__)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
