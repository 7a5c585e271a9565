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
from lakefs_client.exceptions import ApiException, error_for
from lakefs_client.rest import BodyError, Interrupt, Message, RESTClientObject, Timing
from lakefs_client.transfer.source import buffer

if TYPE_CHECKING:
    from lakefs_client.retry import RetryPolicy
    from lakefs_client.transfer.plan import Part
    from lakefs_client.transfer.source import FileSource
    from lakefs_client.transfer.url import ExpiringUrl

logger = logging.getLogger("lakefs_client.transfer")

RENEWALS = 2
"""How often in a row a URL is renewed before the store's refusal is taken for an answer."""
DAMAGES = 2
"""How often in a row a part may arrive damaged."""


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
    """

    etag: str | None
    content_md5: str | None
    md5: str | None


class CallbackError(Exception):
    """Carries what the caller's callback raised past those who handle errors of their own."""

    def __init__(self, raised: BaseException) -> None:
        self.raised = raised
        super().__init__(raised)


class Progress:
    """Counts what went out, and tells the caller, who is not called again after an exception."""

    def __init__(self, callback: Callable[[int], object] | None) -> None:
        self._callback = callback
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """Tell of so many bytes more, or fewer where a part starts again.

        Raises:
            CallbackError: The callback raised something.
        """
        if self._callback is None or not count:
            return
        with self._lock:
            callback = self._callback
            if callback is None:
                return  # it raised in another thread meanwhile
            try:
                callback(count)
            except BaseException as error:
                self._callback = None
                raise CallbackError(error) from error


class PartSender:
    """Sends parts of a source; one object serves all threads of an upload.

    Args:
        client: The client for stores.
        source: Where the bytes come from.
        policy: How often a part is sent.
        user_agent: Who sends.
        verify: Whether MD5s are computed and compared.
        progress: Is told of every window.
        interrupt: Ends it all.
    """

    def __init__(
        self,
        client: RESTClientObject,
        source: FileSource,
        policy: RetryPolicy,
        *,
        user_agent: str,
        verify: bool,
        progress: Progress,
        interrupt: Interrupt,
    ) -> None:
        self._client = client
        self._user_agent = user_agent
        self._source = source
        self._policy = policy
        self._verify = verify
        self._progress = progress
        self._interrupt = interrupt
        self._timing = Timing(client.timing.clock, interrupt.wait, client.timing.random)

    def send(self, part: Part, url: ExpiringUrl, headers: dict[str, str]) -> Stored:
        """Send a part until the store has it.

        Raises:
            ApiException: The store refused it, or could not be reached often enough.
            SourceError: The source failed.
            Stopped: The upload is being given up.
            CallbackError: The caller's progress callback raised something.
        """
        attempt = _Attempt(self, part, url, headers)
        stored: Stored = rest.repeat(attempt, attempt.may_repeat, self._policy, self._timing)
        return stored

    def put(self, part: Part, url: str, headers: dict[str, str], sent: list[int]) -> Stored:
        """Send a part once."""
        digest = hashlib.md5(usedforsecurity=False) if self._verify else None
        message = Message(
            "PUT",
            url,
            {**headers, "User-Agent": self._user_agent, "Content-Length": str(part.length)},
            self._windows(part, digest, sent) if part.length else b"",
        )
        response = self._client.exchange(message, interrupt=self._interrupt)
        if not 200 <= response.status <= 299:
            raise error_for(response)
        return _stored(response.headers, None if digest is None else digest.hexdigest())

    def _windows(self, part: Part, digest: Any, sent: list[int]) -> Iterator[memoryview]:
        view = buffer.view
        try:
            for done in range(0, part.length, WINDOW):
                if self._interrupt.is_set():
                    raise Stopped
                window = view[: min(WINDOW, part.length - done)]
                self._source.read_into(window, part.offset + done)
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

    @property
    def interrupted(self) -> bool:
        """Whether the upload is being given up."""
        return self._interrupt.is_set()


class _Attempt:
    """The attempts at one part: what they remember of each other."""

    def __init__(
        self, sender: PartSender, part: Part, url: ExpiringUrl, headers: dict[str, str]
    ) -> None:
        self._sender = sender
        self._part = part
        self._url = url
        self._headers = headers
        self._damaged = 0

    def __call__(self) -> Stored:
        renewed = 0
        while True:
            if self._sender.interrupted:
                raise Stopped
            sent = [0]
            try:
                stored = self._sender.put(self._part, self._url.get(), self._headers, sent)
                self._damaged = 0
                return stored
            except ApiException as error:
                self._sender.take_back(sent[0])
                logger.debug("part %d: %s %s", self._part.number, error.status, error.reason)
                if not is_expiry(error) or renewed == RENEWALS:
                    raise
                renewed += 1
                self._url.renew()

    def may_repeat(self, error: ApiException) -> bool:
        if self._sender.interrupted:
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


def _stored(headers: Any, md5: str | None) -> Stored:
    """Hold the store's word on what it received against ours.

    Raises:
        DamagedError: They differ.
    """
    etag = (headers.get("ETag") or "").strip().removeprefix("W/").strip('"') or None
    content_md5 = _hex(headers.get("Content-MD5"))
    if etag is None and content_md5 is None:
        raise ApiException(200, "the store gave neither an ETag nor a Content-MD5")
    known = content_md5 or (etag if _is_md5(etag, headers) else None)
    if md5 is None or known is None:
        return Stored(etag, content_md5, None)
    if known.lower() != md5:
        raise DamagedError(
            200,
            f"the store received other bytes than were sent (MD5 {known}, not {md5}). Where its "
            "ETags are no MD5s, set TransferConfig(verify=False)",
        )
    return Stored(etag, content_md5, md5 if etag is None or etag.lower() == md5 else None)


def _hex(content_md5: str | None) -> str | None:
    try:
        return b64decode(content_md5 or "", validate=True).hex() or None
    except ValueError:
        return None


def _is_md5(etag: str | None, headers: Any) -> bool:
    """Whether an ETag is the MD5 of the bytes.

    Under SSE-KMS, DSSE and SSE-C it has the same form and is none:
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
    """
    if etag is None or not re.fullmatch(r"[0-9a-fA-F]{32}", etag):
        return False
    if headers.get("x-amz-server-side-encryption-customer-algorithm"):
        return False
    return (headers.get("x-amz-server-side-encryption") or "AES256") == "AES256"
