"""One run of bytes to one presigned URL: sending, verifying, repeating, renewing."""

from __future__ import annotations

import hashlib
import logging
import re
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from lakefs_client import rest
from lakefs_client._body import WINDOW
from lakefs_client.exceptions import ApiConnectionError, ApiException, ApiTypeError, error_for
from lakefs_client.rest import BodyError, Interrupt, Message, RESTClientObject, Timing
from lakefs_client.transfer.source import buffer

if TYPE_CHECKING:
    from typing import Protocol

    from lakefs_client.retry import RetryPolicy
    from lakefs_client.transfer.gate import Gate
    from lakefs_client.transfer.plan import Part
    from lakefs_client.transfer.source import Source
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
    """What the store said of bytes that it received.

    Attributes:
        etag: Its ETag, without quotes.
        content_md5: Its Content-MD5 in hex, where it gave one.
        md5: Ours in hex, where it is known that the ETag is the MD5.
        sent_md5: Ours in hex, where it was computed.
        slowed: Whether a worker elsewhere was asked to slow down meanwhile.
    """

    etag: str | None
    content_md5: str | None
    md5: str | None
    sent_md5: str | None = None
    slowed: bool = False


class CallbackError(Exception):
    """Carries what the caller's callback raised past those who handle errors of their own."""

    def __init__(self, raised: BaseException) -> None:
        self.raised = raised
        super().__init__(raised)


class Progress:
    """Counts what went out, and tells the caller, who is not called again after an exception.

    Args:
        callback: Called with numbers of bytes; or an object that is told them as callbacks of
            fsspec are: a size by `set_size`, then numbers by `relative_update`.

    Attributes:
        total: What was counted so far.

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
        """Tell how many bytes there are in all.

        Raises:
            CallbackError: The callback raised something.
        """
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


class PartSender:
    """Sends parts; one object serves all threads of an upload.

    Args:
        client: The client for stores.
        policy: How often a part is sent.
        user_agent: Who sends.
        verify: Whether MD5s are compared.
        digest: Whether MD5s are computed, which `verify` does not do without.
        progress: Is told of every window.
        interrupt: Ends it all; None where nothing does.
        gate: Lets requests to the store in.

    Attributes:
        is_over: Tells whether the upload is being given up.
    """

    def __init__(
        self,
        client: RESTClientObject,
        policy: RetryPolicy,
        *,
        user_agent: str,
        verify: bool,
        digest: bool,
        progress: Progress,
        interrupt: Interrupt | None,
        gate: Gate,
    ) -> None:
        self._client = client
        self._user_agent = user_agent
        self._policy = policy
        self._verify = verify
        self._digest = digest
        self._progress = progress
        self._interrupt = interrupt
        self._gate = gate
        self._timing = client.timing
        self.is_over: Callable[[], bool] = bool
        if interrupt is not None:
            self._timing = Timing(client.timing.clock, interrupt.wait, client.timing.random)
            self.is_over = interrupt.is_set

    def send(self, part: Part, source: Source, url: ExpiringUrl, headers: dict[str, str]) -> Stored:
        """Send a part until the store has it.

        Raises:
            ApiException: The store refused it, or could not be reached often enough.
            SourceError: The source failed.
            Stopped: The upload is being given up.
            CallbackError: The caller's progress callback raised something.
        """
        attempt = _Attempt(self, part, source, url, headers)
        stored: Stored = rest.repeat(attempt, attempt.may_repeat, self._policy, self._timing)
        return stored

    def put(
        self, part: Part, source: Source, url: str, headers: dict[str, str], sent: list[int]
    ) -> Stored:
        """Send a part once."""
        digest = hashlib.md5(usedforsecurity=False) if self._digest else None
        message = Message(
            "PUT",
            url,
            {**headers, "User-Agent": self._user_agent, "Content-Length": str(part.length)},
            self._windows(part, source, digest, sent) if part.length else b"",
        )
        ticket = self._gate.enter(self.is_over)
        if ticket is None:
            raise Stopped
        status = None
        try:
            response = self._client.exchange(message, interrupt=self._interrupt)
            status = response.status
        finally:
            self._gate.leave(ticket, slow_down=status in SLOW_DOWN)
        if not 200 <= response.status <= 299:
            raise error_for(response)
        return _stored(
            response.headers, None if digest is None else digest.hexdigest(), self._verify
        )

    def _windows(
        self, part: Part, source: Source, digest: Any, sent: list[int]
    ) -> Iterator[memoryview]:
        view = buffer.view
        try:
            for done in range(0, part.length, WINDOW):
                if self.is_over():
                    raise Stopped
                window = view[: min(WINDOW, part.length - done)]
                source.read_into(window, part.offset + done)
                if digest is not None:
                    digest.update(window)
                yield window
                sent[0] += len(window)
                self._progress.add(len(window))
        except Exception as error:
            raise BodyError from error

    def take_back(self, count: int) -> None:
        """Tell the caller that bytes which were counted have to go out again."""
        self._progress.add(-count)


class _Attempt:
    """The attempts at one part: what they remember of each other."""

    def __init__(
        self,
        sender: PartSender,
        part: Part,
        source: Source,
        url: ExpiringUrl,
        headers: dict[str, str],
    ) -> None:
        self._sender = sender
        self._part = part
        self._source = source
        self._url = url
        self._headers = headers
        self._damaged = 0

    def __call__(self) -> Stored:
        renewed = 0
        while True:
            if self._sender.is_over():
                raise Stopped
            sent = [0]
            try:
                url = self._url.get()
                stored = self._sender.put(self._part, self._source, url, self._headers, sent)
                self._damaged = 0
                return stored
            except ApiException as error:
                self._sender.take_back(sent[0])
                logger.debug("part %d: %s %s", self._part.number, error.status, error.reason)
                if isinstance(error, ApiConnectionError) and error.sent:
                    self._url.doubt()
                if not is_expiry(error) or renewed == RENEWALS:
                    raise
                renewed += 1
                self._url.renew()

    def may_repeat(self, error: ApiException) -> bool:
        if self._sender.is_over():
            return False
        if isinstance(error, DamagedError):
            self._damaged += 1
            return self._damaged < DAMAGES
        self._damaged = 0
        return rest.may_repeat(error, "part")


def is_expiry(error: ApiException) -> bool:
    """Whether a store refused a URL because its time, or that of its credentials, is over."""
    body = error.body or ""
    if error.status == 403:
        # S3 and MinIO; Google; Azure.
        return bool(
            re.search(r"has expired|<Code>ExpiredToken</Code>|Signature not valid in the", body)
        )
    return error.status == 400 and bool(
        re.search(r"<Code>(ExpiredToken|ExpiredTokenException)</Code>", body)
    )


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
    """Hold the store's word on what it received against ours.

    Raises:
        DamagedError: They differ.
    """
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
