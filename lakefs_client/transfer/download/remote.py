"""An object's bytes, range by range: request, check the response, retry, renew the URL."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from lakefs_client import rest, retry
from lakefs_client._body import WINDOW
from lakefs_client.api.objects_api import ObjectsApi
from lakefs_client.exceptions import ApiConnectionError, ApiException
from lakefs_client.rest import Cancellation, Message
from lakefs_client.retry import RetryPolicy
from lakefs_client.transfer.api_call import call
from lakefs_client.transfer.errors import Cancelled
from lakefs_client.transfer.presigned import MAX_RENEWALS, ExpiringUrl, SignedUrl
from lakefs_client.transfer.store import THROTTLED, is_url_expired, lacks_presigning

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lakefs_client.model.object_stats import ObjectStats
    from lakefs_client.transfer.context import TransferContext
    from lakefs_client.uri import ObjectRef

    Result = TypeVar("Result")

ONCE = RetryPolicy(attempts=1)


class ChangedError(ApiException):
    """The object at the path changed during the transfer."""


class ListedObject(NamedTuple):
    """An object in a response of lakeFS.

    Attributes:
        stats: The object's stats, without the signature of its URL.
        signed: The URL of its bytes, or None if the response has none.
        received: The clock's time when the response was requested.
    """

    stats: ObjectStats
    signed: SignedUrl | None
    received: float


def signed_url(stats: ObjectStats, date: str | None) -> SignedUrl | None:
    """Remove the presigned URL from an object's stats and return it, or None without one.

    `date` is the ``Date`` header of the response.
    """
    url: str = stats.physical_address
    address, query, _ = url.partition("?")
    if not query or not url.startswith(("http://", "https://")):
        return None
    stats.physical_address = address
    if "physical_address_expiry" in stats:
        del stats.physical_address_expiry
    return SignedUrl(url, date)


class RemoteObject:
    """The object that is at a path now, and its bytes. Threads may share it.

    The bytes come from the store, or through the server if it has no presigned URLs.

    Attributes:
        ref: Repository, ref and path.
        stats: The object's stats, without the signature of its URL.
        identity: The stats that differ between versions of the object.
        size: Size in bytes.
        checksum: The checksum that lakeFS reports.
        headers: Headers of a response with bytes of the object; empty before the first.

    Raises:
        TransferError: The bytes would pass through the server, which the settings forbid.
        ApiException: lakeFS has no such object: NotFoundException …
    """

    def __init__(
        self,
        context: TransferContext,
        ref: ObjectRef,
        cancellation: Cancellation | None = None,
        listed: ListedObject | None = None,
    ) -> None:
        client = context.client
        self.ref = ref
        self._key = (ref.repository, ref.ref, ref.path)
        self._client = client
        self._store = client.store_client
        self._user_agent = client.user_agent
        self._throttle = context.throttle
        self._presign = context.config.presign
        self._attempts = context.policy.attempts  # before the first bytes of the object
        self._patience = context.patience
        self._cancellation = Cancellation(cancellation)
        clock = self._store.timing.clock
        if listed is None or listed.signed is None:
            began = clock()
            listed = ListedObject(*self._stat(), began)
        self.stats, signed, received = listed
        if signed is None:
            context.require_server(self)
        else:
            context.warn_if_plain(signed.url)
        self.identity = _identity(self.stats)
        self.size = self.stats.size_bytes
        self.checksum = self.stats.checksum.strip('"')
        self.headers: Mapping[str, str] = {}
        self._url = signed and ExpiringUrl(self._fresh_url, clock, signed, received)
        # The server answers with the checksum of the object that the ref names at that moment.
        self._etags: set[str | None] = set() if signed else {f'"{self.checksum}"'}

    def __str__(self) -> str:
        return str(self.ref)

    @property
    def cancelled(self) -> bool:
        """True once `cancel` was called."""
        return self._cancellation.is_set()

    def cancel(self) -> None:
        """End the requests and reads of other threads."""
        self._cancellation.set()
        self._throttle.wake()

    def repeat(self, attempt: Callable[[], Result]) -> Result:
        """Call `attempt`, which reads a range, under the throttle and the retry policy.

        Raises:
            ApiException: Every attempt failed.
            Cancelled: `cancel` was called.
        """

        def throttled() -> Result:
            token = self._throttle.acquire(self._cancellation.is_set)
            if token is None:
                raise Cancelled
            slow_down = False
            try:
                if self.cancelled:
                    raise Cancelled
                return attempt()
            except ApiException as error:
                slow_down = error.status in THROTTLED
                raise
            finally:
                self._cancellation.detach()
                self._throttle.release(token, slow_down=slow_down)

        failures = 0

        def may_repeat(error: ApiException) -> bool:
            nonlocal failures
            failures += 1
            if self.cancelled or not (self.headers or failures < self._attempts):
                return False
            return retry.may_repeat(error, "part")

        timing = self._store.timing._replace(sleep=self._cancellation.wait)
        result: Result = rest.repeat(throttled, may_repeat, self._patience, timing)
        return result

    def read_into(self, window: memoryview, offset: int) -> None:
        """Fill a window with the bytes at an offset. Raises as `repeat`."""

        def attempt() -> None:
            done = 0
            with closing(self.open(offset, offset + len(window))) as body:
                while data := body.read(WINDOW):
                    window[done : done + len(data)] = data
                    done += len(data)

        self.repeat(attempt)

    def check_unchanged(self) -> None:
        """Raise ChangedError if another object is at the path now."""
        self._fresh_stat()

    def open(self, start: int, stop: int) -> RangeBody:
        """Request the bytes from `start` to `stop`, exclusive.

        Raises:
            ApiException: The store refused, or its response does not match the request.
            ChangedError: The bytes are those of another object.
        """
        body = RangeBody(self, self._ask(f"bytes={start}-{stop - 1}"), start, stop)
        try:
            self._check(body.response, start, stop)
        except BaseException:
            body.close()
            raise
        return body

    def _ask(self, wanted: str) -> Any:
        if self._url is None:
            return self._call(
                ObjectsApi.get_object, range=wanted, policy=ONCE, _preload_content=False
            )
        headers = {"Range": wanted, "User-Agent": self._user_agent}
        renewed = 0
        while True:
            url = self._url.get()
            try:
                return self._store.send(
                    partial(Message, "GET", url, headers), safety="never", policy=ONCE,
                    preload=False, cancellation=self._cancellation,
                )  # fmt: skip
            except ApiException as error:
                if not is_url_expired(error) or renewed == MAX_RENEWALS:
                    raise
            renewed += 1
            self._url.renew(url)

    def _check(self, response: Any, start: int, stop: int) -> None:
        """Check that a response's headers match the request."""
        status, headers = response.status, response.headers
        self.headers = headers
        self._etags.add(headers.get("ETag"))
        if len(self._etags) > 1:
            raise ChangedError(status, "the object changed since the transfer began")
        content_range, length = headers.get("Content-Range"), headers.get("Content-Length")
        matches = (status, content_range) == (206, f"bytes {start}-{stop - 1}/{self.size}") or (
            status == 200 and (start, stop) == (0, self.size)
        )
        if not matches or length not in (None, str(stop - start)):
            raise ApiException(
                status,
                f"unexpected response to range {start}-{stop - 1}/{self.size}: status {status}, "
                f"{content_range or 'no Content-Range'}, {length} bytes",
            )

    def _call(self, method: Any, *, policy: RetryPolicy | None = None, **arguments: Any) -> Any:
        """Call a method for the object. `repeat` has the one retry loop, so it passes `ONCE`."""
        return call(self._client, method, self._key, policy, **arguments)

    def _stat(self, policy: RetryPolicy | None = None) -> tuple[ObjectStats, SignedUrl | None]:
        """Return the stats and the URL, or None if the store has no presigned URLs."""
        stat = partial(self._call, ObjectsApi.stat_object, policy=policy)
        if not self._presign:
            return stat(), None
        try:
            stats, _, headers = stat(presign=True, _return_http_data_only=False)
        except ApiException as error:
            if not lacks_presigning(error):
                raise
            return stat(), None
        return stats, signed_url(stats, headers.get("Date"))

    def _fresh_url(self) -> SignedUrl:
        signed = self._fresh_stat(ONCE)
        if signed is None:
            raise ApiException(200, "the server no longer offers presigned URLs")
        return signed

    def _fresh_stat(self, policy: RetryPolicy | None = None) -> SignedUrl | None:
        stats, signed = self._stat(policy)
        if _identity(stats) != self.identity:
            raise ChangedError(200, f"{self}: another object is at the path now")
        return signed


def _identity(stats: ObjectStats) -> dict[str, Any]:
    """Return the stats that differ between versions of an object."""
    return {name: stats[name] for name in ("physical_address", "checksum", "size_bytes")}


class RangeBody:
    """The bytes of one response: exactly the requested range, or an error.

    Attributes:
        response: The raw response.
        offset: Offset of the next byte within the object.
        stop: Offset behind the last byte.
    """

    def __init__(self, remote: RemoteObject, response: Any, offset: int, stop: int) -> None:
        self._read = partial(
            remote._store.read, response, Message("GET", remote.stats.physical_address, {})
        )
        self._sized = "Content-Length" in response.headers
        self.response = response
        self.offset = offset
        self.stop = stop

    def read(self, limit: int) -> bytes:
        """Return up to `limit` bytes; none at the end.

        Raises:
            ApiConnectionError: The connection broke, or a read timed out.
            ApiException: The response has more bytes than the range.
        """
        left = self.stop - self.offset
        if not left:
            return b""
        data = self._read(min(limit, left))
        if not data:
            raise ApiConnectionError(f"the response ended {left} bytes early")
        self.offset += len(data)
        # Without a length only the end of the response shows that it has no more bytes.
        if self.offset == self.stop and not self._sized and self._read(1):
            raise ApiException(
                self.response.status, "the response has more bytes than the requested range"
            )
        return data

    def close(self) -> None:
        """Close the response, and its connection too unless every byte was read."""
        self.response.close()
