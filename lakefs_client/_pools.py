"""Pools of connections: the TLS, the proxy and the size that a configuration asks for."""

from __future__ import annotations

import logging
import os
import ssl
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import certifi
import urllib3
from urllib3 import exceptions
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.ssl_ import create_urllib3_context

from lakefs_client import auth
from lakefs_client._connection import client_connection, original
from lakefs_client._redact import printable, redact
from lakefs_client.exceptions import ApiValueError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakefs_client.configuration import Configuration

# What other tools read for certificates to trust: requests, then OpenSSL.
_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


class _Redacting(logging.Filter):
    """A filter that hides the signatures of URLs, which urllib3 logs whole."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                printable(redact(arg)) if isinstance(arg, str) else arg for arg in record.args
            )
        return True


for _name in ("urllib3.connectionpool", "urllib3.connection"):
    logging.getLogger(_name).addFilter(_Redacting())


class _Pool:
    """The parts of a pool that are the same for HTTP, HTTPS and SOCKS."""

    scheme: str
    _urllib3_pool: Any
    _urllib3_connection: Any
    _connection: Any

    def __init__(self, *args: Any, **options: Any) -> None:
        if self.scheme == "http":
            # Managers of urllib3 2.2 hand this option of TLS to plain pools too.
            options.pop("assert_hostname", None)
        super().__init__(*args, **options)

    @property
    def ConnectionCls(self) -> Any:
        # A tool that records answers replaces the class on urllib3's pool.
        cls = self._urllib3_pool.ConnectionCls
        return self._connection if cls is self._urllib3_connection else cls

    def _put_conn(self, conn: Any) -> None:
        try:
            super()._put_conn(conn)  # type: ignore[misc]
        except AttributeError:
            # urllib3 logs the size of a pool that another thread has just closed.
            if conn is not None:
                conn.close()


def _client_pool(pool: type, connection: type) -> Any:
    """Return the subclass of a pool class of urllib3 that opens the client's connections."""
    names = {
        "_urllib3_pool": pool,
        "_urllib3_connection": original(connection),
        "_connection": client_connection(connection),
    }
    return type(pool.__name__, (_Pool, pool), names)


_POOLS = {
    "http": _client_pool(urllib3.HTTPConnectionPool, HTTPConnection),
    "https": _client_pool(urllib3.HTTPSConnectionPool, HTTPSConnection),
}


class _Manager:
    """The parts of a manager that are the same with and without a proxy.

    Certificates are loaded for the first address with TLS, since that takes longer than a request.
    """

    connection_pool_kw: dict[str, Any]
    load_tls: Callable[[], ssl.SSLContext]

    def use_tls(self) -> None:
        """Load the certificates, unless there are some. Raises ApiValueError."""
        if "ssl_context" not in self.connection_pool_kw:
            self.connection_pool_kw.setdefault("ssl_context", self.load_tls())

    def connection_from_context(self, request_context: dict[str, Any]) -> Any:
        if request_context["scheme"].lower() == "https":
            self.use_tls()
            request_context.setdefault("ssl_context", self.connection_pool_kw["ssl_context"])
        else:
            request_context.pop("ssl_context", None)  # it would be another pool than before
        return super().connection_from_context(request_context)  # type: ignore[misc]


def _client_manager(cls: type) -> Any:
    """Return the subclass of a manager class of urllib3 that loads certificates on demand."""
    return type(cls.__name__, (_Manager, cls), {})


_PoolManager = _client_manager(urllib3.PoolManager)
_ProxyManager = _client_manager(urllib3.ProxyManager)


def pools(
    configuration: Configuration, proxy: str | None, *, for_store: bool
) -> urllib3.PoolManager:
    """Return pools of connections, direct or through a proxy.

    Raises:
        ApiValueError: The proxy's address or an option of TLS cannot be used.
    """
    manager = _manager(configuration, proxy, _options(configuration, for_store))
    manager.load_tls = partial(_tls, configuration, for_store)
    return manager  # type: ignore[no-any-return]


def _manager(configuration: Configuration, proxy: str | None, options: dict[str, Any]) -> Any:
    if proxy is None:
        manager = _PoolManager(**options)
        manager.pool_classes_by_scheme = _POOLS
        return manager
    if proxy.startswith("socks"):
        return _socks_pools(proxy, options)
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    headers = dict(configuration.proxy_headers or {})
    for name, value in headers.items():
        auth.require_header_safe("Configuration.proxy_headers", name)
        auth.require_header_safe(f"Configuration.proxy_headers[{name!r}]", value)
    try:
        address = urlsplit(proxy)
        if address.hostname is None or address.port == 0:
            raise ValueError
        if address.username is not None:
            pair = f"{unquote(address.username)}:{unquote(address.password or '')}"
            headers = {**urllib3.make_headers(proxy_basic_auth=pair), **headers}
            proxy = address._replace(netloc=address.netloc.rpartition("@")[2]).geturl()
        if address.scheme == "https":
            # A proxy gets no client certificate, and its name is never that of the server.
            options["proxy_ssl_context"] = _tls(configuration, for_store=True)
        manager = _ProxyManager(proxy, proxy_headers=headers, **options)
    except (exceptions.HTTPError, ValueError) as error:
        if isinstance(error, ApiValueError):
            raise
        # Without the cause, which may quote a password.
        raise ApiValueError("the proxy's address cannot be used") from None
    manager.pool_classes_by_scheme = _POOLS
    return manager


def _socks_pools(proxy: str, options: dict[str, Any]) -> Any:
    try:
        from urllib3.contrib import socks
    except ImportError as error:
        raise ApiValueError("a SOCKS proxy needs the package PySocks") from error
    try:
        manager = _client_manager(socks.SOCKSProxyManager)(proxy, **options)
    except (exceptions.HTTPError, ValueError):
        raise ApiValueError("the proxy's address cannot be used") from None
    manager.pool_classes_by_scheme = {
        "http": _client_pool(socks.SOCKSHTTPConnectionPool, socks.SOCKSConnection),
        "https": _client_pool(socks.SOCKSHTTPSConnectionPool, socks.SOCKSHTTPSConnection),
    }
    return manager


def close_pools(manager: urllib3.PoolManager) -> None:
    """Close the connections of every pool. urllib3 itself would wait for the last reference."""
    with manager.pools.lock:
        for key in manager.pools.keys():  # noqa: SIM118 (it is not iterable)
            manager.pools[key].close()
        manager.clear()


def _options(c: Configuration, for_store: bool) -> dict[str, Any]:
    options: dict[str, Any] = {
        # 0 keeps every connection, so that none is closed and opened again.
        "maxsize": 0 if for_store else c.connection_pool_maxsize or 0,
        "retries": False,
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
        _trust(context, c, for_store)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if c.cert_file is not None and not for_store:
        option = "cert_file" if c.key_file is None else "cert_file or key_file"
        _load(f"Configuration.{option}", context.load_cert_chain, c.cert_file, c.key_file)
    return context


def _trust(context: ssl.SSLContext, c: Configuration, for_store: bool) -> None:
    """Trust what the configuration names, else the environment's variables, else certifi.

    A store is trusted by certifi's certificates as well.
    """
    named = {"Configuration.ssl_ca_cert": c.ssl_ca_cert} if c.ssl_ca_cert is not None else {}
    if not named:
        named = {name: os.environ[name] for name in _CA_VARIABLES if os.environ.get(name)}
    # OpenSSL takes a list of folders, and passes over those that are missing.
    folders = filter(os.path.isdir, named.pop("SSL_CERT_DIR", "").split(os.pathsep))
    places = [*named.items(), *(("SSL_CERT_DIR", folder) for folder in folders)]
    if for_store or not places:
        context.load_verify_locations(certifi.where())
    for name, path in places:
        is_folder = isinstance(path, str) and os.path.isdir(path)
        paths = (None, path) if is_folder else (path,)
        _load(name, context.load_verify_locations, *paths)


def _load(option: str, load: Callable[..., object], *paths: str | None) -> None:
    try:
        load(*paths)
    except (OSError, ValueError, TypeError) as error:
        files = ", ".join(map(repr, filter(None, paths)))
        raise ApiValueError(f"{option} cannot be used ({files}): {error}") from error
