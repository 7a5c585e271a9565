"""The upload of one part to a presigned URL: send, verify, retry, renew the URL."""

from __future__ import annotations

import hashlib
import logging
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from lakefs_client import rest, retry
from lakefs_client.exceptions import ApiConnectionError, ApiException, error_for
from lakefs_client.rest import BodyError, Cancellation, Message, RESTClientObject
from lakefs_client.transfer.errors import Cancelled, DamagedError, describe
from lakefs_client.transfer.plan import S3_LIMITS
from lakefs_client.transfer.presigned import MAX_RENEWALS
from lakefs_client.transfer.source import buffer
from lakefs_client.transfer.store import THROTTLED, etag_is_md5, is_url_expired

if TYPE_CHECKING:
    from lakefs_client.retry import RetryPolicy
    from lakefs_client.transfer.context import TransferContext
    from lakefs_client.transfer.plan import Part
    from lakefs_client.transfer.presigned import ExpiringUrl
    from lakefs_client.transfer.progress import Progress
    from lakefs_client.transfer.source import Source
    from lakefs_client.transfer.throttle import Throttle

logger = logging.getLogger("lakefs_client.transfer")

MAX_DAMAGED = 2
"""Consecutive attempts at a part that may arrive damaged."""


class StoredPart(NamedTuple):
    """The store's answer to a part.

    Attributes:
        etag: The ETag without quotes.
        content_md5: The Content-MD5 in hex, if the store sent one.
        md5: Our MD5 in hex, if it confirms the ETag.
        sent_md5: Our MD5 in hex, if it was computed.
        throttled: The store asked an executor's worker to slow down.
    """

    etag: str | None
    content_md5: str | None
    md5: str | None
    sent_md5: str | None = None
    throttled: bool = False


class SendOptions(NamedTuple):
    """Settings for sending parts, in this process or another.

    Attributes:
        policy: Retry policy until the store has received a part.
        patience: Retry policy from then on.
        user_agent: Value of the User-Agent header.
        verify: Compare MD5s with the store's.
        digest: Compute MD5s. `verify` requires it; a journal needs it too.
        window: Bytes that are read and sent at a time.
    """

    policy: RetryPolicy
    patience: RetryPolicy
    user_agent: str
    verify: bool
    digest: bool
    window: int = S3_LIMITS.window

    @classmethod
    def of(cls, context: TransferContext, *, digest: bool = False) -> SendOptions:
        """Return the options of a context. `digest` computes MD5s even without `verify`."""
        verify, window = context.config.verify, context.limits.window
        return cls(
            context.policy, context.patience, context.client.user_agent, verify,
            verify or digest, window,
        )  # fmt: skip


@dataclass(eq=False)
class PartSender:
    """Sends the parts of an upload, from any number of threads, until `cancellation` is set."""

    client: RESTClientObject
    options: SendOptions
    progress: Progress
    throttle: Throttle
    cancellation: Cancellation
    reached: bool = False  # the store has received a part

    def send(
        self, part: Part, source: Source, url: ExpiringUrl, headers: dict[str, str]
    ) -> StoredPart:
        """Send a part until the store has it.

        Raises:
            ApiException: The store rejected the part, or every attempt failed.
            SourceError: The source failed.
            Cancelled: The upload was cancelled.
            CallbackError: The caller's progress callback raised an exception.
        """
        damaged = failures = 0

        def attempt() -> StoredPart:
            renewals = 0
            while True:
                sending = _Attempt(self, part, source)
                try:
                    return sending.run(url.get(), headers)
                except ApiException as error:
                    self.progress.add(-sending.sent)
                    logger.debug("part %d: %s", part.number, describe(error))
                    if isinstance(error, ApiConnectionError) and error.sent:
                        url.doubt()
                    if not is_url_expired(error) or renewals == MAX_RENEWALS:
                        raise
                    renewals += 1
                    url.renew()

        def may_repeat(error: ApiException) -> bool:
            nonlocal damaged, failures
            failures += 1
            # A wrong address fails soon; later, everything that was sent is at stake.
            limit = self.options.patience if self.reached else self.options.policy
            if self.cancellation.is_set() or failures >= limit.attempts:
                return False
            if isinstance(error, DamagedError):
                damaged += 1
                return damaged < MAX_DAMAGED
            damaged = failures = 0
            return retry.may_repeat(error, "part")

        timing = self.client.timing._replace(sleep=self.cancellation.wait)
        stored: StoredPart = rest.repeat(attempt, may_repeat, self.options.patience, timing)
        self.reached = True
        return stored


class _Attempt:
    """One request that sends a part. `sent` is the number of bytes reported as progress."""

    def __init__(self, sender: PartSender, part: Part, source: Source) -> None:
        self._sender = sender
        self._part = part
        self._source = source
        self._digest = hashlib.md5(usedforsecurity=False) if sender.options.digest else None
        self.sent = 0

    def run(self, url: str, headers: dict[str, str]) -> StoredPart:
        """Send the part once."""
        sender, length = self._sender, self._part.length
        message = Message(
            "PUT",
            url,
            {**headers, "User-Agent": sender.options.user_agent, "Content-Length": str(length)},
            self._windows() if length else b"",
        )
        token = sender.throttle.acquire(sender.cancellation.is_set)
        if token is None:
            raise Cancelled
        status = None
        try:
            if sender.cancellation.is_set():
                raise Cancelled
            response = sender.client.exchange(message, cancellation=sender.cancellation)
            status = response.status
        finally:
            sender.throttle.release(token, slow_down=status in THROTTLED)
        if not 200 <= response.status <= 299:
            raise error_for(response)
        md5 = None if self._digest is None else self._digest.hexdigest()
        return _verify(response.headers, md5, sender.options.verify)

    def _windows(self) -> Iterator[memoryview]:
        sender, part, size = self._sender, self._part, self._sender.options.window
        try:
            for offset in range(0, part.length, size):
                if sender.cancellation.is_set():
                    raise Cancelled
                window = buffer.view[: min(size, part.length - offset)]
                self._source.read_into(window, part.offset + offset)
                if self._digest is not None:
                    self._digest.update(window)
                yield window
                self.sent += len(window)
                sender.progress.add(len(window))
        except Exception as error:
            raise BodyError from error


def _verify(headers: Any, md5: str | None, verify: bool) -> StoredPart:
    """Compare the store's checksum with ours. Raises DamagedError if they differ."""
    etag = (headers.get("ETag") or "").strip().removeprefix("W/").strip('"') or None
    content_md5 = _hex(headers.get("Content-MD5"))
    if etag is None and content_md5 is None:
        raise ApiException(200, "the store's response has neither an ETag nor a Content-MD5")
    known = content_md5 or (etag if etag_is_md5(etag, headers) else None)
    if md5 is None or known is None:
        return StoredPart(etag, content_md5, None, md5)
    if verify and known.lower() != md5:
        raise DamagedError(
            200,
            f"checksum mismatch: the store received MD5 {known}, expected {md5}. If the store's "
            "ETags are not MD5s, set TransferConfig(verify=False)",
        )
    confirmed = known.lower() == md5 and (etag is None or etag.lower() == md5)
    return StoredPart(etag, content_md5, md5 if confirmed else None, md5)


def _hex(content_md5: str | None) -> str | None:
    try:
        return b64decode(content_md5 or "", validate=True).hex() or None
    except ValueError:
        return None
