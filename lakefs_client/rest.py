"""The network: connection pools, timeouts, redirects and the one retry loop.

With `_connection`, below it, the only module that knows urllib3.
"""

from __future__ import annotations

import logging
import os
import random
import re
import threading
import time
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import quote, urljoin, urlsplit

import urllib3
from urllib3.exceptions import ClosedPoolError, HTTPError, LocationValueError, ProxyError, SSLError
from urllib3.util import Retry, Timeout

from lakefs_client._connection import Cancellation as Cancellation
from lakefs_client._connection import Message as Message
from lakefs_client._connection import close_pools, current, network_error, pools, target_of
from lakefs_client.exceptions import (
    ApiConnectionError,
    ApiException,
    ApiTypeError,
    ApiValueError,
    error_for,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from urllib.parse import SplitResult

    from lakefs_client.configuration import Configuration
    from lakefs_client.retry import RetryPolicy

logger = logging.getLogger("lakefs_client")

MAX_REDIRECTS = 5

RequestTimeout = float | tuple[float, float] | None
"""Seconds for connecting and the wait for the answer together, or a pair of the two.

They count for one attempt. The second covers each time without a byte, in either direction.
"""

Safety = Literal["never", "unsent", "idempotent", "part"]
"""How harmless the repetition of a request is; see `may_repeat`."""

# Scheme, host and port of a URL.
_ORIGIN = re.compile("[^/?#]*//[^/?#]*")

_TIMEOUTS = "timeouts (_request_timeout, Configuration.connect_timeout and read_timeout)"

_NO_RETRIES = Retry(total=False, redirect=False)

# urllib3 takes a copy for each request.
_limit = lru_cache(maxsize=64)(Timeout)

# Of a caller's headers those that mean something to whoever a redirect leads to.
_HEADERS_FOR_ANYONE = ("Range", "If-None-Match", "User-Agent")


class Timing(NamedTuple):
    """Where the retry loop has time and chance from."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    random: Callable[[], float] = random.random


class BodyError(Exception):
    """Carries an exception out of a body that is being sent.

    urllib3 takes an OSError of the body's own for one of the connection: it would wait for an
    answer that cannot come. The exception is the ``__cause__``.
    """


class RESTResponse:
    """An answer, read to its end. Its headers are looked up in any case, data is the body."""

    __slots__ = ("data", "headers", "reason", "status", "urllib3_response")

    def __init__(self, response: urllib3.BaseHTTPResponse) -> None:
        self.urllib3_response = response
        self.status = response.status
        self.reason = response.reason
        self.headers = response.headers
        self.data: Any = response.data

    def getheaders(self) -> Mapping[str, str]:
        """All headers."""
        return self.headers

    def getheader(self, name: str, default: str | None = None) -> str | None:
        """One header's value."""
        return self.headers.get(name, default)


class RESTClientObject:
    """Sends requests through pools of connections that follow a configuration.

    Args:
        configuration: Read at every request; a change of an option of the connections makes
            new pools.
        for_store: Whether this is for requests to a blockstore, which carry nothing of
            lakeFS's: no client certificate, no expectation of a host name.
    """

    def __init__(self, configuration: Configuration, *, for_store: bool = False) -> None:
        self.configuration = configuration
        self.timing = Timing()
        self._for_store = for_store
        self._lock = threading.RLock()
        self._options: tuple[Any, ...] | None = None
        self._pools: dict[str, urllib3.HTTPConnectionPool | urllib3.PoolManager] = {}
        self._managers: dict[str | None, urllib3.PoolManager] = {}  # by their proxy

    @property
    def pool_manager(self) -> urllib3.PoolManager:
        """urllib3's pools. One's own may be put in their place."""
        with self._lock:
            self._refresh()
            return self._manager(None)

    @pool_manager.setter
    def pool_manager(self, manager: urllib3.PoolManager) -> None:
        with self._lock:
            self._refresh()
            self._managers[None] = manager
            self._pools = {}

    def close(self) -> None:
        """Close every connection. The next request opens new ones."""
        with self._lock:
            managers = self._managers
            self._options, self._pools, self._managers = None, {}, {}
        for manager in managers.values():
            close_pools(manager)

    def send(
        self,
        message: Callable[[], Message],
        *,
        safety: Safety,
        policy: RetryPolicy,
        timeout: RequestTimeout = None,
        preload: bool = True,
        cancellation: Cancellation | None = None,
        elsewhere: RESTClientObject | None = None,
        receive: Callable[[urllib3.BaseHTTPResponse], Any] | None = None,
    ) -> Any:
        """Send a request until it succeeds or must not be repeated.

        Args:
            message: Called for each attempt: the request, made anew.
            safety: What may be repeated; see `may_repeat`.
            policy: How often, and after what waits.
            timeout: Overrides the configuration's timeouts.
            preload: Whether the body is read.
            cancellation: As for `exchange`.
            elsewhere: The client for redirects to another host; where it is given, GET and
                HEAD follow redirects.
            receive: Reads a 2xx answer that is not preloaded, and makes the result.

        Raises:
            ApiException: The answer is not 2xx, or there is none.
        """

        def attempt() -> Any:
            request = message()
            response = self.exchange(
                request, timeout=timeout, preload=preload, cancellation=cancellation
            )
            if elsewhere is not None and 300 <= response.status <= 399:
                response = self._follow(request, response, timeout, preload, elsewhere)
            try:
                if not 200 <= response.status <= 299:
                    raise error_for(response)  # reads the body
                return response if receive is None else receive(response)
            except HTTPError as error:
                raise network_error(error, request, self._timeouts(timeout)) from error

        return repeat(attempt, lambda error: may_repeat(error, safety), policy, self.timing)

    def exchange(
        self,
        request: Message,
        *,
        timeout: RequestTimeout = None,
        preload: bool = True,
        cancellation: Cancellation | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request once and return the answer, whatever its status.

        Another thread ends the exchange through `cancellation`. If the body is not read here,
        `cancellation` ends the reading as well, until its `detach` is called.

        Raises:
            ApiConnectionError: There is no answer.
            ApiValueError: The request cannot be written.
            Exception: Whatever the body raised.
        """
        connect, read = self._timeouts(timeout)
        together = timeout is not None and not isinstance(timeout, (tuple, list))
        limit = _limit(connect if together else None, connect, read)
        current.write_timeout, current.cancellation = read, cancellation
        failure: BaseException
        attached = cancellation
        try:
            response = self._urlopen(request, limit, preload)
            if not preload:
                attached = None
            return response
        except BodyError as error:
            failure = error.__cause__ or error
        except LocationValueError as error:
            raise ApiValueError(f"{target_of(request)}: not an address to send to") from error
        except (HTTPError, OSError) as error:
            connected = not current.connecting
            raise network_error(error, request, (connect, read), connected) from error
        except ApiValueError:
            raise  # an option that no connection can be made with
        except ValueError as error:
            # http.client refuses control characters in methods, targets and headers.
            raise ApiValueError(f"{target_of(request)}: the request cannot be written") from error
        finally:
            if attached is not None:
                attached.detach()
            current.cancellation, current.connecting = None, False
        raise failure  # out here it keeps the cause that it has

    def read(self, response: urllib3.BaseHTTPResponse, request: Message, amount: int) -> bytes:
        """Read on in an answer that was not preloaded, as it was sent: compressed if it was."""
        try:
            return response.read(amount, decode_content=False)
        except HTTPError as error:
            raise network_error(error, request, self._timeouts(None)) from error

    def _urlopen(
        self, request: Message, timeout: Timeout, preload: bool
    ) -> urllib3.BaseHTTPResponse:
        while True:
            sender, target = self._sender(request.url)
            try:
                response: urllib3.BaseHTTPResponse = sender.urlopen(
                    request.method,
                    target,
                    body=request.body,
                    headers=request.headers,
                    retries=_NO_RETRIES,
                    redirect=False,
                    timeout=timeout,
                    preload_content=preload,
                )
                return response
            except ClosedPoolError:
                # It was closed after it was looked up, by another thread or by its owner:
                # nothing was sent yet. urllib3's managers keep what was closed.
                with self._lock:
                    self._pools = {}
                    for manager in self._managers.values():
                        manager.clear()

    def _timeouts(self, timeout: RequestTimeout) -> tuple[float, float]:
        if timeout is None:
            pair: Any = (self.configuration.connect_timeout, self.configuration.read_timeout)
        else:
            pair = timeout if isinstance(timeout, (tuple, list)) else (timeout, timeout)
        if len(pair) != 2:
            raise ApiValueError("_request_timeout must be a number or a pair (connect, read)")
        for seconds in pair:
            if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
                raise ApiTypeError(f"{_TIMEOUTS} must be numbers of seconds")
            if not 0 < seconds < float("inf"):
                raise ApiValueError(f"{_TIMEOUTS} must be above 0 and finite")
        return pair[0], pair[1]

    def _follow(
        self,
        request: Message,
        response: urllib3.BaseHTTPResponse,
        timeout: RequestTimeout,
        preload: bool,
        elsewhere: RESTClientObject,
    ) -> urllib3.BaseHTTPResponse:
        """Follow the redirects of a GET or HEAD; credentials stay with the server they are for."""
        client = self
        for _ in range(MAX_REDIRECTS):
            location = response.headers.get("Location")
            redirected = response.status in (301, 302, 303, 307, 308)
            if not redirected or not location or request.method not in ("GET", "HEAD"):
                return response
            response.drain_conn()
            url = _redirected(request.url, location)
            if url is None:
                raise ApiException(response.status, "redirect to an address that cannot be used")
            here, there = urlsplit(request.url), urlsplit(url)
            if here.scheme == "https" and there.scheme != "https":
                raise ApiException(response.status, "redirect from https to http not followed")
            if client is self and not _keeps_credentials(here, there):
                client = elsewhere
                headers = {k: v for k, v in request.headers.items() if k in _HEADERS_FOR_ANYONE}
                request = request._replace(headers=headers)
            request = request._replace(url=url)
            response = client.exchange(request, timeout=timeout, preload=preload)
        if 300 <= response.status <= 399 and response.status != 304:
            raise ApiException(response.status, f"more than {MAX_REDIRECTS} redirects")
        return response

    def _sender(self, url: str) -> tuple[Any, str]:
        """Who sends to this URL, and the target to give it."""
        self._refresh()
        start = _ORIGIN.match(url)
        origin = start[0] if start else ""
        try:
            sender = self._pools[origin]
        except KeyError:
            with self._lock:
                self._refresh()  # another thread may have closed the pools meanwhile
                parts = urlsplit(url)
                sender = self._manager(None)
                if not isinstance(sender, urllib3.ProxyManager):  # which its owner put here
                    sender = self._manager(self._proxy(parts))
                if not isinstance(sender, urllib3.ProxyManager):
                    # The origin's own pool is quicker, and leaves the path as it is. Which of
                    # a proxy's depends on the scheme: the manager knows.
                    sender = sender.connection_from_host(parts.hostname, parts.port, parts.scheme)
                self._pools[origin] = sender
        if isinstance(sender, urllib3.ProxyManager):
            return sender, url
        target = url[len(origin) :]
        return sender, target if target.startswith("/") else f"/{target}"

    def _manager(self, proxy: str | None) -> urllib3.PoolManager:
        if proxy not in self._managers:
            self._managers[proxy] = pools(self.configuration, proxy, for_store=self._for_store)
        return self._managers[proxy]

    def _proxy(self, parts: SplitResult) -> str | None:
        from urllib import request

        configuration = self.configuration
        environment = request.getproxies_environment()
        if configuration.no_proxy is not None:
            environment["no"] = configuration.no_proxy
        host = parts.hostname or ""
        for name in (host, f"{host}:{_port(parts)}"):
            if request.proxy_bypass_environment(name, environment):  # type: ignore[attr-defined]
                return None
        if configuration.proxy:
            return configuration.proxy
        return environment.get(parts.scheme) or environment.get("all")

    def _refresh(self) -> None:
        """Drop the pools if an option of the connections changed, or in a forked process."""
        c = self.configuration
        options = (
            os.getpid(), c.verify_ssl, c.ssl_ca_cert, c.cert_file, c.key_file, c.assert_hostname,
            c.connection_pool_maxsize, c.proxy, c.no_proxy, c.proxy_headers, c.socket_options,
        )  # fmt: skip
        if options == self._options:
            return
        forked = self._options is not None and self._options[0] != options[0]
        if forked:
            # In a forked child the lock may be held by a thread that is not there, and the
            # connections are the parent's: a TLS goodbye on one would end it for the parent.
            self._lock = threading.RLock()
        with self._lock:
            if options == self._options:
                return
            if forked:
                self._pools, self._managers = {}, {}
            else:
                self.close()
            # Copies, so that a change within is seen.
            headers = c.proxy_headers and dict(c.proxy_headers)
            sockets = c.socket_options and list(c.socket_options)
            self._options = (*options[:-2], headers, sockets)


def _redirected(url: str, location: str) -> str | None:
    """The URL that a Location means; None where it is not one of HTTP's."""
    try:
        # Headers arrive decoded as Latin-1, and servers forget to escape.
        escaped = quote(location.encode("latin-1"), safe="!#$%&'()*+,/:;=?@[]~")
        target = urljoin(url, escaped)
        parts = urlsplit(target)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return None
    return target if usable else None


def _keeps_credentials(here: Any, there: Any) -> bool:
    same_host = here.hostname == there.hostname
    if here.scheme == there.scheme:
        return bool(same_host and _port(here) == _port(there))
    return bool(same_host and (here.scheme, there.scheme) == ("http", "https"))


def _port(parts: Any) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def repeat(
    attempt: Callable[[], Any],
    repeatable: Callable[[ApiException], bool],
    policy: RetryPolicy,
    timing: Timing,
) -> Any:
    """The retry loop: call `attempt` until it returns, or raises what must not be repeated."""
    started = timing.clock()
    failures = 0
    while True:
        try:
            return attempt()
        except ApiException as error:
            failures += 1
            if failures >= policy.attempts or not repeatable(error):
                raise
            wait = policy.wait(failures, _retry_after(error), timing.random())
            if wait is None:
                raise
            if policy.deadline is not None and timing.clock() - started + wait > policy.deadline:
                raise
            logger.debug(
                "attempt %d of %d failed (%s %s), the next in %.2f s",
                failures, policy.attempts, error.status, error.reason, wait,
            )  # fmt: skip
            timing.sleep(wait)


def may_repeat(error: ApiException, safety: Safety) -> bool:
    """What may be repeated. The one place that decides it.

    A request that never reached the server may always be. Of those that did:

    - ``never``: nothing, whatever the answer.
    - ``unsent``: 429 and 420 only, since the server did not begin.
    - ``idempotent``: also 502, 503, 504, timeouts and resets, since a second time has the same
      effect and the same answer.
    - ``part``: also 408, 500, and S3's 400 RequestTimeout, as stores ask of their clients.
    """
    if isinstance(error, ApiConnectionError):
        if isinstance(error.__cause__, (SSLError, ProxyError)) and not error.sent:
            return False  # a certificate or a proxy's refusal does not mend itself
        return not error.sent or safety in ("idempotent", "part")
    if safety == "never":
        return False
    if error.status in (420, 429):
        return True
    if error.status in (502, 503, 504):
        return safety in ("idempotent", "part")
    if safety == "part":
        stalled = error.status == 400 and "<Code>RequestTimeout</Code>" in (error.body or "")
        return error.status in (408, 500) or stalled
    return False


def is_inconclusive(error: ApiException) -> bool:
    """Return True if the server may have carried out the request, or may still do so."""
    if isinstance(error, ApiConnectionError):
        return error.sent
    return error.status in (502, 503, 504)


def _retry_after(error: ApiException) -> float | None:
    """Seconds that the server asks to wait; None where it does not, or says what it cannot mean."""
    value = (error.headers.get("Retry-After") or "").strip() if error.headers else ""
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", value, re.ASCII):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
        return max(0.0, moment.timestamp() - time.time())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
