"""An object's bytes, range by range: asking, checking the answer, repeating, renewing."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from lakefs_client import rest
from lakefs_client._body import WINDOW
from lakefs_client.api.objects_api import ObjectsApi
from lakefs_client.exceptions import ApiConnectionError, ApiException
from lakefs_client.rest import Cancellation, Message
from lakefs_client.retry import RetryPolicy
from lakefs_client.transfer.part import RENEWALS, SLOW_DOWN, Stopped, is_expiry
from lakefs_client.transfer.upload import require_server
from lakefs_client.transfer.url import ExpiringUrl, SignedUrl, lacks_presigning

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lakefs_client.model.object_stats import ObjectStats
    from lakefs_client.transfer.transfer import Transfer

    Result = TypeVar("Result")

_ONCE = RetryPolicy(attempts=1)


class ChangedError(ApiException):
    """What stands at the path is another object than at the start."""


class RemoteObject:
    """An object as it was found at a path, and its bytes. Threads may share it.

    They come from the store, or where that offers no presigned URLs, through the server. `within`
    ends it from outside.

    Attributes:
        place: Repository, ref and path.
        stats: What lakeFS said of it, without what signs its URL.
        identity: What of that tells it from others that stand at its path.
        size: Bytes.
        checksum: As lakeFS has it.
        headers: Of an answer with bytes of it; empty before the first.

    Raises:
        TransferError: They would pass through the server, which is not allowed.
        ApiException: lakeFS knows no such object: NotFoundException …
    """

    def __init__(
        self, transfer: Transfer, place: tuple[str, str, str], within: Cancellation | None = None
    ) -> None:
        client = transfer.api_client
        self.place = place
        self._objects = ObjectsApi(client)
        self._store = client.store_client
        self._user_agent = client.user_agent
        self._gate = transfer.gate
        self._policy = transfer.policy
        self._interrupt = Cancellation(within)
        clock = self._store.timing.clock
        received = clock()
        self.stats, signed = self._stat()
        if signed is None:
            require_server(transfer.config, self)
        self.identity = _identity(self.stats)
        self.size = self.stats.size_bytes
        self.checksum = self.stats.checksum.strip('"')
        self.headers: Mapping[str, str] = {}
        self._url = signed and ExpiringUrl(self._fresh_url, clock, signed, received)
        # The server answers with the checksum of what the ref leads to at that moment.
        self._etags: set[str | None] = set() if signed else {f'"{self.checksum}"'}

    def __str__(self) -> str:
        return "lakefs://{}/{}/{}".format(*self.place)

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._interrupt.is_set()

    def stop(self) -> None:
        """End what other threads ask for, wait for and read."""
        self._interrupt.set()
        self._gate.wake()

    def repeat(self, attempt: Callable[[], Result]) -> Result:
        """Call what reads ranges, in its turn at the gate, as long as it may be repeated.

        Raises:
            ApiException: It failed for good.
            Stopped: `stop` was called.
        """

        def in_turn() -> Result:
            ticket = self._gate.enter(self._interrupt.is_set)
            if ticket is None:
                raise Stopped
            slow_down = False
            try:
                if self.stopped:
                    raise Stopped
                return attempt()
            except ApiException as error:
                slow_down = error.status in SLOW_DOWN
                raise
            finally:
                self._interrupt.detach()
                self._gate.leave(ticket, slow_down=slow_down)

        def may_repeat(error: ApiException) -> bool:
            return not self.stopped and rest.may_repeat(error, "part")

        timing = self._store.timing._replace(sleep=self._interrupt.wait)
        result: Result = rest.repeat(in_turn, may_repeat, self._policy, timing)
        return result

    def read_into(self, window: memoryview, offset: int) -> None:
        """Fill a window with the bytes from an offset on. Raises as `open`, for good."""

        def attempt() -> None:
            done = 0
            with closing(self.open(offset, offset + len(window))) as body:
                while data := body.read(WINDOW):
                    window[done : done + len(data)] = data
                    done += len(data)

        self.repeat(attempt)

    def check_unchanged(self) -> None:
        """Ask whether the same object stands at the path. Raises ChangedError if another does."""
        self._fresh_stat()

    def open(self, start: int, stop: int) -> Body:
        """Ask for the bytes from `start` up to, and without, `stop`.

        Raises:
            ApiException: They are refused, or the answer is another than was asked for.
            ChangedError: They are another object's by now.
        """
        body = Body(self, self._ask(f"bytes={start}-{stop - 1}"), start, stop)
        try:
            self._check(body.response, start, stop)
        except BaseException:
            body.close()
            raise
        return body

    def _ask(self, wanted: str) -> Any:
        if self._url is None:
            return self._objects.get_object(*self.place, range=wanted, _preload_content=False)
        headers = {"Range": wanted, "User-Agent": self._user_agent}
        renewed = 0
        while True:
            url = self._url.get()
            try:
                return self._store.send(
                    partial(Message, "GET", url, headers), safety="never", policy=_ONCE,
                    preload=False, cancellation=self._interrupt,
                )  # fmt: skip
            except ApiException as error:
                if not is_expiry(error) or renewed == RENEWALS:
                    raise
            renewed += 1
            self._url.renew(url)

    def _check(self, response: Any, start: int, stop: int) -> None:
        """Hold an answer's head against what was asked for."""
        status, headers = response.status, response.headers
        self.headers = headers
        self._etags.add(headers.get("ETag"))
        if len(self._etags) > 1:
            raise ChangedError(status, "the bytes are of another object than at the start")
        told, length = headers.get("Content-Range"), headers.get("Content-Length")
        right = (status, told) == (206, f"bytes {start}-{stop - 1}/{self.size}") or (
            status == 200 and (start, stop) == (0, self.size)
        )
        if not right or length not in (None, str(stop - start)):
            raise ApiException(
                status,
                f"asked for bytes {start}-{stop - 1} of {self.size}, the answer is another: "
                f"{status}, {told or 'no range'}, {length} bytes",
            )

    def _stat(self) -> tuple[ObjectStats, SignedUrl | None]:
        """What stands at the path, and its URL; None where the store has no such URLs."""
        try:
            answer: Any = self._objects.stat_object(
                *self.place, presign=True, _return_http_data_only=False
            )
        except ApiException as error:
            if not lacks_presigning(error):
                raise
            return self._objects.stat_object(*self.place), None
        stats, _, headers = answer
        url: str = stats.physical_address
        address, query, _ = url.partition("?")
        if not query or not url.startswith(("http://", "https://")):
            return stats, None
        stats.physical_address = address
        if "physical_address_expiry" in stats:
            del stats.physical_address_expiry
        return stats, SignedUrl(url, headers.get("Date"))

    def _fresh_url(self) -> SignedUrl:
        signed = self._fresh_stat()
        if signed is None:
            raise ApiException(200, "the server no longer gives presigned URLs")
        return signed

    def _fresh_stat(self) -> SignedUrl | None:
        stats, signed = self._stat()
        if _identity(stats) != self.identity:
            raise ChangedError(200, f"{self}: another object stands there by now")
        return signed


def _identity(stats: ObjectStats) -> dict[str, Any]:
    """What tells an object from those that stand at its path before and after it."""
    return {name: stats[name] for name in ("physical_address", "checksum", "size_bytes")}


class Body:
    """The bytes of one answer, from an offset up to a stop: those that were asked for, or an
    error. The offset is that of the next of them."""

    def __init__(self, remote: RemoteObject, response: Any, offset: int, stop: int) -> None:
        self._read = partial(
            remote._store.read, response, Message("GET", remote.stats.physical_address, {})
        )
        self.response = response
        self.offset = offset
        self.stop = stop

    def read(self, most: int) -> bytes:
        """The next bytes, so many at the most; none at the end.

        Raises:
            ApiConnectionError: The connection broke, or nothing came in time.
            ApiException: There are more bytes than were asked for.
        """
        left = self.stop - self.offset
        if not left:
            return b""
        data = self._read(min(most, left))
        if not data:
            raise ApiConnectionError(f"the answer ends {left} bytes early")
        self.offset += len(data)
        # At the end this is a read of nothing, and gives the connection back.
        if self.offset == self.stop and self._read(1):
            raise ApiException(self.response.status, "the answer has more bytes than its range")
        return data

    def close(self) -> None:
        """Let go of the answer. Unless it was read to its end its connection is closed."""
        self.response.close()
