"""The network: requests, their timeouts and limits, redirects and the one retry loop.

With `_connection`, `_pools`, `_answer` and `_network_error` below it, the part that knows urllib3.
"""

from __future__ import annotations

import logging
import random
import re
import threading
import time
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import urllib3
from urllib3._collections import RecentlyUsedContainer
from urllib3.exceptions import ClosedPoolError, HTTPError, LocationValueError, ProxyError
from urllib3.util import Retry, Timeout

from lakefs_client import _process
from lakefs_client._answer import read_error, read_stored, read_within, skip_redirect
from lakefs_client._connection import Cancellation as Cancellation
from lakefs_client._connection import Deadline, current
from lakefs_client._connection import Message as Message
from lakefs_client._network_error import network_error, target_of
from lakefs_client._pools import close_pools, pools
from lakefs_client._proxy import proxy_for, without_credentials
from lakefs_client._redact import printable, redact, secrets_of
from lakefs_client._redirect import keeps_credentials, redirected
from lakefs_client.exceptions import (
    ApiConnectionError,
    ApiException,
    ApiTypeError,
    ApiValueError,
    InvalidAnswerError,
    error_for,
    store_error_for,
)
from lakefs_client.observe import observed_exchange
from lakefs_client.retry import may_repeat

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lakefs_client.configuration import Configuration
    from lakefs_client.retry import RetryPolicy, Safety

logger = logging.getLogger("lakefs_client")

MAX_REDIRECTS = 5

RequestTimeout = float | tuple[float, float] | None
"""Seconds for connecting and the wait for the answer together, or a pair of the two.

They count for one attempt. The second covers each time without a byte, in either direction.
"""

# Scheme, host and port of a URL.
_ORIGIN = re.compile("[^/?#]*//[^/?#]*")

_TIMEOUTS = "timeouts (_request_timeout, Configuration.connect_timeout and read_timeout)"

_NO_RETRIES = Retry(total=False, redirect=False)

# urllib3 takes a copy for each request.
_limit = lru_cache(maxsize=64)(Timeout)

# Of a caller's headers those that mean something to whoever a redirect leads to.
_HEADERS_FOR_ANYONE = ("Range", "If-None-Match", "User-Agent")


class Timing(NamedTuple):
    """Clock, sleep and random source of the retry loop. Tests inject their own."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    random: Callable[[], float] = random.random


class BodyError(Exception):
    """Wraps an exception of a body that is being sent, as its ``__cause__``.

    urllib3 would take an OSError of the body for one of the connection, and wait for a response
    that cannot come.
    """


class RESTResponse:
    """A response, read to its end. Header names are case-insensitive. `data` is the body."""

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
    """Sender of requests through pools of connections.

    Args:
        configuration: Settings, read at every request. A change of a connection option creates new
            pools.
        for_store: True for requests to an object store, without lakeFS's client certificate and
            host name check.
    """

    def __init__(self, configuration: Configuration, *, for_store: bool = False) -> None:
        self.configuration = configuration
        self.timing = Timing()
        self.for_store = for_store
        self._lock = threading.RLock()
        self._options: tuple[Any, ...] | None = None
        self._pools: dict[str, urllib3.HTTPConnectionPool | urllib3.PoolManager] = {}
        self._managers: dict[str | None, Any] = {}  # by their proxy
        self._own: urllib3.PoolManager | None = None  # the user's, in place of ours
        _process.register(self)

    @property
    def pool_manager(self) -> urllib3.PoolManager:
        """urllib3's pools. Assign a pool manager to replace them."""
        with self._lock:
            self._refresh()
            if self._own is not None:
                return self._own
            manager = self._manager(None)
            manager.use_tls()
            return manager  # type: ignore[no-any-return]

    @pool_manager.setter
    def pool_manager(self, manager: urllib3.PoolManager) -> None:
        with self._lock:
            self._refresh()
            self._managers[None] = self._own = manager
            self._pools = {}

    def __getstate__(self) -> dict[str, Any]:
        if self._own is not None:
            raise ApiTypeError("a client with a pool_manager of its own cannot be pickled")
        return {"configuration": self.configuration, "for_store": self.for_store}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def abandon(self) -> object:
        """Leave the connections to the parent process."""
        old = self._lock, self._pools, self._managers, self._options
        self._lock = threading.RLock()
        self._options, self._pools, self._managers = None, {}, {}
        if self._own is not None:
            old = (*old, self._own.pools)  # type: ignore[assignment]
            self._own.pools = RecentlyUsedContainer(10)
            self._managers[None] = self._own
        return old

    def close(self) -> None:
        """Close every connection. The next request opens new ones."""
        with self._lock:
            managers = self._managers
            self._options, self._pools, self._managers, self._own = None, {}, {}, None
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
            safety: Safety of a retry, as for `retry.may_repeat`.
            policy: Limits of retries.
            timeout: Overrides the configuration's timeouts.
            preload: True to read the body.
            cancellation: As for `exchange`.
            elsewhere: The client for redirects to another host; if given, GET and
                HEAD follow redirects.
            receive: Reads a 2xx answer that is not preloaded, and makes the result.

        Raises:
            ApiException: The answer is not 2xx, or there is none.
        """

        if timeout is not None:
            self._timeouts(timeout)
        timed = bool(policy.deadline) or timeout is not None
        started = self.timing.clock() if timed else 0.0

        def attempt() -> Any:
            request = message()
            deadline = None
            if timed:
                deadline = _deadline(timeout, policy, self.timing.clock() - started)
            response = self.exchange(
                request, timeout=timeout, preload=preload, cancellation=cancellation,
                deadline=deadline,
            )  # fmt: skip
            at_store = False
            if elsewhere is not None and 300 <= response.status <= 399:
                response, at_store = self._follow(
                    request, response, timeout, preload, elsewhere, deadline
                )
            if not 200 <= response.status <= 299:
                raise store_error_for(response) if at_store else error_for(response)
            if receive is None:
                if deadline is not None:
                    deadline.lift()
                return response
            try:
                return receive(response)
            except HTTPError as error:
                raise self._network_error(error, request, timeout, deadline) from error

        return repeat(attempt, lambda error: may_repeat(error, safety), policy, self.timing)

    @observed_exchange
    def exchange(
        self,
        request: Message,
        *,
        timeout: RequestTimeout = None,
        preload: bool = True,
        cancellation: Cancellation | None = None,
        deadline: Deadline | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request once and return the answer, whatever its status.

        The body of an error is read in any case, and the secrets of the request in it are hidden.
        Another thread ends the exchange through `cancellation`. If the body is not read here,
        `cancellation` ends the reading as well, until its `detach` is called.

        Raises:
            ApiConnectionError: There is no answer.
            ApiValueError: The request cannot be written.
            InvalidAnswerError: The body is larger than `Configuration.max_answer_size`.
            Exception: Whatever the request's body raised.
        """
        connect, read = self._timeouts(timeout)
        if deadline is not None:
            connect, read = deadline.cut(connect), deadline.cut(read)
        current.write_timeout, current.cancellation, current.deadline = read, cancellation, deadline
        failure: BaseException
        attached = cancellation
        try:
            response = self._urlopen(request, _limit(None, connect, read))
            self._read_body(request, response, preload)
            if not preload:
                attached = None
            return response
        except BodyError as error:
            failure = error.__cause__ or error
        except LocationValueError as error:
            raise ApiValueError(f"{target_of(request)}: not an address to send to") from error
        except (HTTPError, OSError) as error:
            connected = not current.connecting
            raise self._network_error(error, request, timeout, deadline, connected) from error
        except ApiValueError:
            raise  # an option that no connection can be made with
        except ValueError as error:
            # http.client refuses control characters in methods, targets and headers.
            raise ApiValueError(f"{target_of(request)}: the request cannot be written") from error
        finally:
            if attached is not None:
                attached.detach()
            current.cancellation, current.deadline, current.connecting = None, None, False
        raise failure  # out here it keeps the cause that it has

    def _read_body(
        self, request: Message, response: urllib3.BaseHTTPResponse, preload: bool
    ) -> None:
        """Read up to the given number of bytes of the body, within its limit."""
        if response.status >= 400:
            limit = self.configuration.max_error_size
            secrets = secrets_of(request.url, request.headers)
            read_error(response, limit, [*secrets, *request.secrets()])
        elif response.status >= 300:
            skip_redirect(response)
        elif preload:
            limit = self.configuration.max_answer_size
            if not read_within(response, limit):
                text = f"it is larger than {limit} bytes (Configuration.max_answer_size)"
                raise InvalidAnswerError(response, target_of(request), ApiTypeError(text))

    def _network_error(
        self,
        error: Exception,
        request: Message,
        timeout: RequestTimeout,
        deadline: Deadline | None = None,
        connected: bool = True,
    ) -> ApiConnectionError:
        proxy = ""
        if isinstance(error, ProxyError):
            proxy = without_credentials(proxy_for(urlsplit(request.url), self.configuration))
        return network_error(
            error, request, self._timeouts(timeout),
            connected=connected, deadline=deadline, proxy=proxy,
        )  # fmt: skip

    def read(self, response: urllib3.BaseHTTPResponse, request: Message, amount: int) -> bytes:
        """Read on in an answer that was not preloaded, as it was sent: compressed if it was.

        Raises:
            ApiConnectionError: The answer breaks off, or is not framed as HTTP asks for.
        """
        try:
            return read_stored(response, amount)
        except HTTPError as error:
            raise self._network_error(error, request, None) from error

    def _urlopen(self, request: Message, timeout: Timeout) -> urllib3.BaseHTTPResponse:
        while True:
            sender, target = self._sender(request.url)
            try:
                response: urllib3.BaseHTTPResponse = sender.urlopen(
                    request.method,
                    target,
                    body=request.body,
                    headers=_in_utf8(request.headers),
                    retries=_NO_RETRIES,
                    redirect=False,
                    timeout=timeout,
                    preload_content=False,
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
        deadline: Deadline | None,
    ) -> tuple[urllib3.BaseHTTPResponse, bool]:
        """Follow the redirects of a GET or HEAD; credentials stay with the server they are for.

        Return the last answer, and True if it came from another server.
        """
        client = self
        for _ in range(MAX_REDIRECTS):
            location = response.headers.get("Location")
            moved = response.status in (301, 302, 303, 307, 308)
            if not moved or not location or request.method not in ("GET", "HEAD"):
                break
            url = redirected(request.url, location)
            if url is None:
                raise ApiException(response.status, "redirect to an address that cannot be used")
            here, there = urlsplit(request.url), urlsplit(url)
            if here.scheme == "https" and there.scheme != "https":
                raise ApiException(response.status, "redirect from https to http not followed")
            if client is self and not keeps_credentials(here, there):
                client = elsewhere
                headers = {k: v for k, v in request.headers.items() if k in _HEADERS_FOR_ANYONE}
                request = request._replace(headers=headers)
            request = request._replace(url=url)
            response = client.exchange(request, timeout=timeout, preload=preload, deadline=deadline)
        else:
            if 300 <= response.status <= 399 and response.status != 304:
                raise ApiException(response.status, f"more than {MAX_REDIRECTS} redirects")
        return response, client is elsewhere

    def _sender(self, url: str) -> tuple[Any, str]:
        """Return the sender for a URL, and the target to give to it."""
        self._refresh()
        start = _ORIGIN.match(url)
        origin = start[0] if start else ""
        try:
            sender = self._pools[origin]
        except KeyError:
            with self._lock:
                self._refresh()  # another thread may have closed the pools
                parts = urlsplit(url)
                sender = self._manager(None)
                if not isinstance(sender, urllib3.ProxyManager):  # which its owner put here
                    sender = self._manager(proxy_for(parts, self.configuration))
                if not isinstance(sender, urllib3.ProxyManager):
                    # The origin's own pool is quicker, and leaves the path as it is. Which of
                    # a proxy's depends on the scheme: the manager knows.
                    sender = sender.connection_from_host(parts.hostname, parts.port, parts.scheme)
                self._pools[origin] = sender
        if isinstance(sender, urllib3.ProxyManager):
            return sender, url
        target = url[len(origin) :]
        return sender, target if target.startswith("/") else f"/{target}"

    def _manager(self, proxy: str | None) -> Any:
        if proxy not in self._managers:
            self._managers[proxy] = pools(self.configuration, proxy, for_store=self.for_store)
        return self._managers[proxy]

    def _refresh(self) -> None:
        """Drop the pools if an option of the connections changed."""
        c = self.configuration
        options = (
            c.verify_ssl, c.ssl_ca_cert, c.cert_file, c.key_file, c.assert_hostname,
            c.connection_pool_maxsize, c.proxy, c.no_proxy, c.proxy_headers, c.socket_options,
        )  # fmt: skip
        if options == self._options:
            return
        with self._lock:
            if options == self._options:
                return
            if self._options is not None:
                self.close()
            # Copies, so that a change within is seen.
            headers = c.proxy_headers and dict(c.proxy_headers)
            sockets = c.socket_options and list(c.socket_options)
            self._options = (*options[:-2], headers, sockets)


def _in_utf8(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return headers whose text reaches the server as UTF-8, though HTTP clients send Latin-1.

    The values are plain str: recorders such as vcrpy write down the type of any other.
    """
    if all(map(str.isascii, headers.values())):
        return {str.__str__(name): str.__str__(value) for name, value in headers.items()}
    return {str.__str__(name): value.encode().decode("latin-1") for name, value in headers.items()}


def _deadline(timeout: RequestTimeout, policy: RetryPolicy, elapsed: float) -> Deadline | None:
    """Return the end of an attempt, by `_request_timeout` or by the policy."""
    ends = []
    if timeout is not None and not isinstance(timeout, (tuple, list)):
        ends.append((timeout, "_request_timeout"))
    if policy.deadline:
        ends.append((max(policy.deadline - elapsed, 0.001), "RetryPolicy.deadline"))
    return Deadline(*min(ends)) if ends else None


def repeat(
    attempt: Callable[[], Any],
    repeatable: Callable[[ApiException], bool],
    policy: RetryPolicy,
    timing: Timing,
) -> Any:
    """Call `attempt` until it returns, or raises an error that must not be retried."""
    started = timing.clock()
    failures = 0
    while True:
        current.attempt = failures + 1
        try:
            return attempt()
        except ApiException as error:
            failures += 1
            error.attempts = failures
            if failures >= policy.attempts or not repeatable(error):
                raise
            wait = policy.wait(failures, _retry_after(error), timing.random())
            if wait is None:
                raise
            if policy.deadline is not None and timing.clock() - started + wait >= policy.deadline:
                raise
            logger.info(
                "attempt %d of %d failed (%s %s), the next in %.2f s",
                failures, policy.attempts, error.status, printable(redact(str(error.reason))), wait,
            )  # fmt: skip
            timing.sleep(wait)


def _retry_after(error: ApiException) -> float | None:
    """Seconds that the server asks to wait; None without a valid request to wait."""
    value = (error.headers.get("Retry-After") or "").strip() if error.headers else ""
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", value, re.ASCII):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
        return max(0.0, moment.timestamp() - time.time())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
