"""Uploads in one request: a presigned PUT that is linked afterwards, or through the server."""

from __future__ import annotations

import hashlib
import io
import logging
from typing import TYPE_CHECKING

from lakefs_client.exceptions import ApiException, ApiValueError
from lakefs_client.transfer.errors import SourceError, WrappedError, describe, failure
from lakefs_client.transfer.plan import Part
from lakefs_client.transfer.presigned import ExpiringUrl, SignedUrl, is_azure
from lakefs_client.transfer.store import is_md5, same_address
from lakefs_client.transfer.upload.complete import verify_stats
from lakefs_client.transfer.upload.part import PartSender, SendOptions

if TYPE_CHECKING:
    from lakefs_client.model.object_stats import ObjectStats
    from lakefs_client.rest import Cancellation
    from lakefs_client.transfer.context import TransferContext
    from lakefs_client.transfer.progress import Progress
    from lakefs_client.transfer.source import Source
    from lakefs_client.transfer.upload.destination import Destination

logger = logging.getLogger("lakefs_client.transfer")


_CALL = "link_physical_address with this address"
_LINK = f"{_CALL} makes the object."
_LINK_HINTS = {
    400: "lakeFS rejects the path or the metadata: upload with others.",
    403: f"Once the branch accepts writes, {_LINK}",
    404: f"Once the repository and the branch exist, {_LINK}",
    412: f"Once no object is at the path, {_LINK}",
}


class NoMultipartError(WrappedError):
    """The store does not support presigned multipart uploads."""


def upload_single(
    context: TransferContext,
    source: Source,
    destination: Destination,
    progress: Progress,
    *,
    cancellation: Cancellation,
    instead: NoMultipartError | None = None,
) -> ObjectStats:
    """Upload by one presigned PUT and link the address, or through the server if it has no
    presigned URLs.

    `instead` is the reason why a large source is not uploaded in parts; None if the destination or
    the size is.

    Raises:
        TransferError: The upload failed, or the settings forbid it.
        ApiException: lakeFS refused to begin.
    """
    if context.config.is_for_server(source.size):
        return _upload_through_server(context, source, destination, progress)
    address, first = destination.stage()
    if first is None:
        context.require_server(destination)
        return _upload_through_server(context, source, destination, progress)
    context.warn_if_plain(first.url)
    require_single_put(context, destination, source.size, instead)
    if instead is not None:
        logger.debug("%s: no presigned multipart upload, sending one PUT", destination)

    def renew() -> SignedUrl:
        # A new address: nothing arrived at the old one, and only get_physical_address signs.
        nonlocal address
        address, signed = destination.stage()
        if signed is None:
            raise ApiException(0, "the server no longer offers presigned URLs")
        return signed

    client = context.client.store_client
    headers = {"Content-Type": destination.content_type}
    if is_azure(first.url):
        headers["x-ms-blob-type"] = "BlockBlob"
    url = ExpiringUrl(renew, client.timing.clock, first, client.timing.clock())
    sender = PartSender(client, SendOptions.of(context), progress, context.throttle, cancellation)
    try:
        stored = sender.send(Part(1, 0, source.size), source, url, headers)
        progress.flush()
        source.check_unchanged()
    except (ApiException, ApiValueError, SourceError) as error:  # a URL that is not an address
        problem = f"{describe(error)}; no object was made"
        raise failure(destination, problem, "aborted", error) from error
    return link(destination, address, stored.content_md5 or stored.etag or "", source.size)


def require_single_put(
    context: TransferContext, destination: Destination, size: int, instead: NoMultipartError | None
) -> None:
    """Check that one PUT of `size` bytes is allowed and possible.

    Raises:
        TransferError: The PUT is not allowed, or the size exceeds its limit.
    """
    limit = context.limits.max_single_put
    if instead is not None and not context.config.fallback:
        problem = "TransferConfig.fallback is False"
    elif size > limit:
        problem = f"one PUT holds at most {limit} bytes: got {size}"
    else:
        return
    reason = "lakeFS completes multipart uploads only if they may replace an object"
    if instead is not None:
        reason = "the store does not support presigned multipart uploads"
    cause = instead and instead.cause
    raise failure(destination, f"{reason}, and {problem}", "aborted", cause) from cause


def link(destination: Destination, physical_address: str, checksum: str, size: int) -> ObjectStats:
    """Link bytes that one PUT stored. After a failure, the object at the path tells if only the
    response was lost.

    Raises:
        TransferError: The bytes are not linked, or it is not known if they are.
    """
    try:
        return destination.link(physical_address, checksum, size)
    except ApiException as error:
        cause = error
    try:
        stats = destination.stat()
    except ApiException:
        unknown, problem = True, "the look at the object failed as well"
    else:
        if stats is not None and same_address(stats.physical_address, physical_address):
            return stats
        unknown, problem = False, "no object refers to them"
    failed = failure(
        destination,
        f"the bytes are in the store, but linking them failed ({describe(cause)}), and {problem}",
        "unknown" if unknown else "not linked",
        cause,
        physical_address=physical_address,
    )
    failed.hint = _LINK_HINTS.get(cause.status or 0, f"To make the object, call {_CALL}.")
    raise failed


def _upload_through_server(
    context: TransferContext, source: Source, destination: Destination, progress: Progress
) -> ObjectStats:
    logger.debug("%s: sending through the server", destination)
    content = _SourceStream(source, progress, digest=context.config.verify)
    try:
        stats = destination.upload(content)
        source.check_unchanged()
    except (ApiException, SourceError) as error:
        unknown = isinstance(error, ApiException) and not 400 <= (error.status or 0) < 500
        problem = "the object may exist; repeating is safe" if unknown else "no object was made"
        raise failure(
            destination,
            f"{describe(error)}; {problem}",
            "unknown" if unknown else "aborted",
            error,
        ) from error
    md5 = content.md5 if is_md5(stats.checksum) else None
    return verify_stats(stats, source.size, md5, destination)


class _SourceStream:
    """A source as a binary stream that counts the bytes read from it, and hashes them if asked."""

    def __init__(self, source: Source, progress: Progress, *, digest: bool) -> None:
        self._source = source
        self._progress = progress
        self._hashes = digest
        self.seek(0)

    @property
    def md5(self) -> str | None:
        """The MD5 of the bytes read, in hex; None if they are not hashed."""
        return None if self._digest is None else self._digest.hexdigest()

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + (self._source.size if whence == io.SEEK_END else 0)
        # The client reads from the start only.
        self._digest = hashlib.md5(usedforsecurity=False) if self._hashes else None
        return self._position

    def read(self, size: int) -> memoryview:
        window = memoryview(bytearray(min(size, self._source.size - self._position)))
        self._source.read_into(window, self._position)
        if self._digest is not None:
            self._digest.update(window)
        self._position += len(window)
        self._progress.add(self._position - self._progress.total)
        return window
