"""One run of bytes to one presigned URL: sending, verifying, repeating, renewing."""

from __future__ import annotations

import hashlib
import logging
import re
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from lakefs_client import rest
from lakefs_client._body import WINDOW
from lakefs_client.exceptions import ApiConnectionError, ApiException, ApiTypeError, error_for
from lakefs_client.rest import BodyError, Cancellation, Message, RESTClientObject
from lakefs_client.transfer.source import buffer

if TYPE_CHECKING:
    from typing import Protocol

    from lakefs_client.retry import RetryPolicy
    from lakefs_client.transfer.gate import Gate
    from lakefs_client.transfer.plan import Part
    from lakefs_client.transfer.source import Source
    from lakefs_client.transfer.transfer import Transfer
    from lakefs_client.transfer.url import ExpiringUrl

    class SizedCallback(Protocol):
        """What callbacks of fsspec can do, as far as it is needed here."""

        def set_size(self, size: int, /) -> object: ...
        def relative_update(self, inc: int, /) -> object: ...

    ProgressCallback = Callable[[int], object] | SizedCallback

logger = logging.getLogger("lakefs_client.transfer")

RENEWALS = 2
"""How often in a row a URL is renewed before the store's refusal is taken for an answer."""
DAMAGES = 2
"""How often in a row a part may arrive damaged."""
SLOW_DOWN = (429, 503)
"""Statuses by which stores ask for fewer requests; S3's 503 is called SlowDown."""


class Stopped(Exception):
    """The upload is being given up: this part is not to blame."""


class DamagedError(ApiException):
    """What the store received is not what was sent."""


class Stored(NamedTuple):
    """What the store said of bytes that it received."""

    etag: str | None  # without quotes
    content_md5: str | None  # in hex, where it gave one
    md5: str | None  # ours in hex, where it is known that the ETag is the MD5
    sent_md5: str | None = None  # ours in hex, where it was computed
    slowed: bool = False  # whether a worker elsewhere was asked to slow down meanwhile


class CarrierError(Exception):
    """Carries an exception past those who handle errors of their own."""

    def __init__(self, cause: BaseException) -> None:
        self.cause = cause
        super().__init__(cause)


class CallbackError(CarrierError):
    """Carries what the caller's callback raised."""


class Progress:
    """Counts what went out in `total`, and tells the caller, who is not called again after an
    exception: a callable that takes numbers of bytes; or an object that is told them as callbacks
    of fsspec are, a size by `set_size`, then numbers by `relative_update`.

    Raises:
        ApiTypeError: It is neither.
    """

    def __init__(self, callback: ProgressCallback | None) -> None:
        self._set_size = getattr(callback, "set_size", None)
        self._callback: Any = getattr(callback, "relative_update", callback)
        if callback is not None and not callable(self._callback):
            raise ApiTypeError("progress must be callable, or have set_size and relative_update")
        self._lock = threading.Lock()
        self.total = 0

    def set_size(self, size: int) -> None:
        """Tell how many bytes there are in all. Raises as `add`."""
        if self._set_size is not None:
            with self._lock:
                self._tell(self._set_size, size)

    def add(self, count: int) -> None:
        """Tell of so many bytes more, or fewer where a part starts again.

        Raises:
            CallbackError: The callback raised something.
        """
        if self._callback is None or not count:
            return
        with self._lock:
            self.total += count
            self._tell(self._callback, count)

    def _tell(self, callback: Callable[[int], object], number: int) -> None:
        if self._callback is None:
            return  # it raised in another thread meanwhile
        try:
            callback(number)
        except BaseException as error:
            self._callback = None
            raise CallbackError(error) from error


class SendOptions(NamedTuple):
    """How parts are sent, by this process or another."""

    policy: RetryPolicy
    user_agent: str
    verify: bool  # whether MD5s are compared
    digest: bool  # whether they are computed, which `verify` does not do without

    @classmethod
    def of(cls, transfer: Transfer, *, digest: bool = False) -> SendOptions:
        """As a transfer is set up, and with MD5s if they are wanted besides."""
        verify = transfer.config.verify
        return cls(transfer.policy, transfer.api_client.user_agent, verify, verify or digest)


@dataclass(eq=False)
class PartSender:
    """Sends parts; one object serves all threads of an upload, until an interrupt ends it."""

    client: RESTClientObject
    options: SendOptions
    progress: Progress
    gate: Gate
    interrupt: Cancellation | None

    def __post_init__(self) -> None:
        self._timing = self.client.timing
        self._is_over: Callable[[], bool] = bool
        if self.interrupt is not None:
            self._timing = self._timing._replace(sleep=self.interrupt.wait)
            self._is_over = self.interrupt.is_set

    def send(self, part: Part, source: Source, url: ExpiringUrl, headers: dict[str, str]) -> Stored:
        """Send a part until the store has it.

        Raises:
            ApiException: The store refused it, or could not be reached often enough.
            SourceError: The source failed.
            Stopped: The upload is being given up.
            CallbackError: The caller's progress callback raised something.
        """
        damages = 0

        def attempt() -> Stored:
            renewals = 0
            while True:
                if self._is_over():
                    raise Stopped
                sent = [0]
                try:
                    return self._put(part, source, url.get(), headers, sent)
                except ApiException as error:
                    self.progress.add(-sent[0])
                    logger.debug("part %d: %s %s", part.number, error.status, error.reason)
                    if isinstance(error, ApiConnectionError) and error.sent:
                        url.doubt()
                    if not is_expiry(error) or renewals == RENEWALS:
                        raise
                    renewals += 1
                    url.renew()

        def may_repeat(error: ApiException) -> bool:
            nonlocal damages
            if self._is_over():
                return False
            if isinstance(error, DamagedError):
                damages += 1
                return damages < DAMAGES
            damages = 0
            return rest.may_repeat(error, "part")

        stored: Stored = rest.repeat(attempt, may_repeat, self.options.policy, self._timing)
        return stored

    def _put(
        self, part: Part, source: Source, url: str, headers: dict[str, str], sent: list[int]
    ) -> Stored:
        """Send a part once. What `sent` holds is the number of bytes that were counted."""
        digest = hashlib.md5(usedforsecurity=False) if self.options.digest else None
        message = Message(
            "PUT",
            url,
            {**headers, "User-Agent": self.options.user_agent, "Content-Length": str(part.length)},
            self._windows(part, source, digest, sent) if part.length else b"",
        )
        ticket = self.gate.enter(self._is_over)
        if ticket is None:
            raise Stopped
        status = None
        try:
            response = self.client.exchange(message, cancellation=self.interrupt)
            status = response.status
        finally:
            self.gate.leave(ticket, slow_down=status in SLOW_DOWN)
        if not 200 <= response.status <= 299:
            raise error_for(response)
        md5 = None if digest is None else digest.hexdigest()
        return _stored(response.headers, md5, self.options.verify)

    def _windows(
        self, part: Part, source: Source, digest: Any, sent: list[int]
    ) -> Iterator[memoryview]:
        view = buffer.view
        try:
            for done in range(0, part.length, WINDOW):
                if self._is_over():
                    raise Stopped
                window = view[: min(WINDOW, part.length - done)]
                source.read_into(window, part.offset + done)
                if digest is not None:
                    digest.update(window)
                yield window
                sent[0] += len(window)
                self.progress.add(len(window))
        except Exception as error:
            raise BodyError from error


_EXPIRIES = {
    # S3 and MinIO; Google; Azure.
    403: "has expired|<Code>ExpiredToken</Code>|Signature not valid in the",
    400: "<Code>(ExpiredToken|ExpiredTokenException)</Code>",
}


def is_expiry(error: ApiException) -> bool:
    """Whether a store refused a URL because its time, or that of its credentials, is over."""
    pattern = _EXPIRIES.get(error.status or 0)
    return pattern is not None and re.search(pattern, error.body or "") is not None


def is_md5(checksum: str) -> bool:
    """Whether a checksum has the form of an MD5."""
    return re.fullmatch(r"[0-9a-fA-F]{32}", checksum) is not None


def is_gone(error: BaseException) -> bool:
    """Whether a store says that it knows no such multipart upload (any more)."""
    return (
        isinstance(error, ApiException)
        and error.status == 404
        and "<Code>NoSuchUpload</Code>" in (error.body or "")
    )


def _stored(headers: Any, md5: str | None, verify: bool) -> Stored:
    """Hold the store's word on what it received against ours. Raises DamagedError if it differs."""
    etag = (headers.get("ETag") or "").strip().removeprefix("W/").strip('"') or None
    content_md5 = _hex(headers.get("Content-MD5"))
    if etag is None and content_md5 is None:
        raise ApiException(200, "the store gave neither an ETag nor a Content-MD5")
    known = content_md5 or (etag if tells_md5(etag, headers) else None)
    if md5 is None or known is None:
        return Stored(etag, content_md5, None, md5)
    if verify and known.lower() != md5:
        raise DamagedError(
            200,
            f"the store received other bytes than were sent (MD5 {known}, not {md5}). Where its "
            "ETags are no MD5s, set TransferConfig(verify=False)",
        )
    confirmed = known.lower() == md5 and (etag is None or etag.lower() == md5)
    return Stored(etag, content_md5, md5 if confirmed else None, md5)


def _hex(content_md5: str | None) -> str | None:
    try:
        return b64decode(content_md5 or "", validate=True).hex() or None
    except ValueError:
        return None


def tells_md5(etag: str | None, headers: Any) -> bool:
    """Whether an ETag is the MD5 of the bytes.

    Under SSE-KMS, DSSE and SSE-C it has the same form and is none:
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
    """
    if etag is None or not is_md5(etag):
        return False
    if headers.get("x-amz-server-side-encryption-customer-algorithm"):
        return False
    return (headers.get("x-amz-server-side-encryption") or "AES256") == "AES256"
