"""Upload what can be read at any offset: in parts, in one PUT, or through the server."""

from __future__ import annotations

import hashlib
import io
import logging
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from lakefs_client.exceptions import ApiException, TransferError
from lakefs_client.transfer.complete import held_against, link, reason
from lakefs_client.transfer.multipart import MultipartUpload
from lakefs_client.transfer.part import PartSender, Progress, is_md5
from lakefs_client.transfer.plan import MAX_SINGLE_PUT, Part, PartPlan, plan_parts
from lakefs_client.transfer.resume import UploadJournal
from lakefs_client.transfer.source import FileSource, SourceError
from lakefs_client.transfer.url import ExpiringUrl, SignedUrl, is_azure

if TYPE_CHECKING:
    from lakefs_client.model.object_stats import ObjectStats
    from lakefs_client.rest import Interrupt
    from lakefs_client.transfer.config import TransferConfig
    from lakefs_client.transfer.resume import Earlier
    from lakefs_client.transfer.source import Source
    from lakefs_client.transfer.target import Target
    from lakefs_client.transfer.transfer import Transfer

logger = logging.getLogger("lakefs_client.transfer")

FRESH_STARTS = 2
"""How often an upload is begun anew where only that can help."""


def upload(
    transfer: Transfer,
    source: Source,
    target: Target,
    progress: Progress,
    *,
    resume: bool,
    within: Interrupt | None = None,
) -> ObjectStats:
    """Upload a file, or bytes, by the way that suits the size and the store.

    Args:
        transfer: Whose settings and connections it has.
        source: Where the bytes come from.
        target: The object.
        progress: Is told of what went out.
        resume: Whether an upload in parts of a file keeps a journal.
        within: Ends it from outside.

    Raises:
        TransferError: The upload failed; it says what became of it.
        ApiException: lakeFS refused to begin.
    """
    config = transfer.config
    progress.set_size(source.size)
    plan = plan_parts(source.size, config.part_size)
    small = source.size < config.threshold and source.size <= MAX_SINGLE_PUT
    journal = None
    if resume:
        assert isinstance(source, FileSource)
        # What fits into one PUT needs none, but may have one of when the file was larger.
        open_journal = UploadJournal.of_earlier if small else UploadJournal
        host = transfer.api_client.configuration.host
        journal = open_journal(config.journals, host, target, source, plan)
    try:
        with journal or nullcontext():
            earlier = None if journal is None else journal.earlier(config.max_concurrency)
            if small and earlier is None:
                return in_one(transfer, source, target, progress, within=within)
            return in_parts(transfer, source, target, progress, plan, journal, earlier, within)
    except NoMultipartError as error:
        return in_one(transfer, source, target, progress, error, within)


class NoMultipartError(Exception):
    """The store cannot do presigned multipart uploads."""

    def __init__(self, cause: ApiException) -> None:
        self.cause = cause
        super().__init__(cause)


def in_parts(
    transfer: Transfer,
    source: Source,
    target: Target,
    progress: Progress,
    plan: PartPlan,
    journal: UploadJournal | None = None,
    earlier: Earlier | None = None,
    within: Interrupt | None = None,
) -> ObjectStats:
    """Upload in parts, or go on with what an earlier process did of it.

    Raises:
        NoMultipartError: The store knows no parts. Nothing was sent.
        TransferError: The upload failed; it says what became of it.
        ApiException: lakeFS refused to begin.
    """
    starts = 0
    while True:
        upload = MultipartUpload(transfer, target, progress, plan.size, journal, within)
        try:
            if earlier is None:
                begin(upload, plan.count)
            else:
                upload.go_on(earlier)
            for part in plan:
                if part.number in upload.stored:
                    progress.add(part.length)
                else:
                    upload.submit(part, source)
            return upload.finish(plan.size, source.check_unchanged)
        except NoMultipartError:
            raise
        except BaseException as error:
            why = upload.why_gone(error)
            if why is None or starts == FRESH_STARTS:
                failure = upload.give_up(error)
                raise failure from failure.__cause__
            logger.warning("%s: the upload cannot go on, a new one begins: %s", target, why)
        upload.abandon()
        progress.add(-progress.total)
        starts, earlier = starts + 1, None


def begin(upload: MultipartUpload, parts: int) -> None:
    """Begin an upload in parts.

    Raises:
        NoMultipartError: The store knows none.
    """
    try:
        upload.begin(parts)
    except ApiException as error:
        if error.status != 501:
            raise
        raise NoMultipartError(error) from error


def require_single_put(
    config: TransferConfig, target: Target, size: int, instead: NoMultipartError
) -> None:
    """Refuse to send in one PUT what should go up in parts, where it must not or cannot.

    Raises:
        TransferError: It says why.
    """
    if not config.allow_single_put:
        why = "allow_single_put is off"
    elif size > MAX_SINGLE_PUT:
        why = f"one PUT takes 5 GiB at the most, not {size} bytes"
    else:
        return
    raise TransferError(
        f"{target}: the store cannot do presigned multipart uploads, and {why}",
        outcome="aborted",
        cause=instead.cause,
    ) from instead.cause


def require_server(config: TransferConfig, place: object) -> None:
    """Refuse to have bytes pass through the server, for the object at a place, where they must not.

    Raises:
        TransferError: They must not.
    """
    if not config.allow_server:
        raise TransferError(
            f"{place}: this server's store offers no presigned URLs, and allow_server is off",
            outcome="aborted",
        )


def in_one(
    transfer: Transfer,
    source: Source,
    target: Target,
    progress: Progress,
    instead: NoMultipartError | None = None,
    within: Interrupt | None = None,
) -> ObjectStats:
    """Upload by one presigned PUT, and link the address; through the server where it has no
    presigned URLs.

    Args:
        transfer: Whose settings and connections it has.
        source: Where the bytes come from.
        target: The object.
        progress: Is told of what went out.
        instead: Why it does not go up in parts, though it is large.
        within: Ends it from outside.

    Raises:
        TransferError: The upload failed, or must not be done; it says what became of it.
        ApiException: lakeFS refused to begin.
    """
    address, first = target.stage()
    if first is None:
        return through_server(transfer, source, target, progress)
    if instead is not None:
        require_single_put(transfer.config, target, source.size, instead)
        logger.debug("%s: no presigned multipart upload here, sending one PUT", target)

    def renew() -> SignedUrl:
        # A new address: nothing has arrived at the old one, and only get makes URLs.
        nonlocal address
        address, signed = target.stage()
        if signed is None:
            raise ApiException(0, "the server no longer gives presigned URLs")
        return signed

    client = transfer.api_client.store_client
    headers = {"Content-Type": target.content_type}
    if is_azure(first.url):
        headers["x-ms-blob-type"] = "BlockBlob"
    url = ExpiringUrl(renew, client.timing.clock, first, client.timing.clock())
    sender = PartSender(
        client, transfer.policy, user_agent=transfer.api_client.user_agent,
        verify=transfer.config.verify, digest=transfer.config.verify, progress=progress,
        interrupt=within, gate=transfer.gate,
    )  # fmt: skip
    try:
        stored = sender.send(Part(1, 0, source.size), source, url, headers)
        source.check_unchanged()
    except (ApiException, SourceError) as error:
        raise TransferError(
            f"{target}: {reason(error)}; no object was made", outcome="aborted", cause=error
        ) from error
    return link(target, address, stored.content_md5 or stored.etag or "", source.size)


def through_server(
    transfer: Transfer, source: Source, target: Target, progress: Progress
) -> ObjectStats:
    """Upload through the lakeFS server, in windows.

    Raises:
        TransferError: It must not be done, or failed.
    """
    require_server(transfer.config, target)
    logger.debug("%s: no presigned URLs here, sending through the server", target)
    content = _Content(source, progress)
    try:
        stats = target.upload(content)
        source.check_unchanged()
    except (ApiException, SourceError) as error:
        lost = isinstance(error, ApiException) and not 400 <= (error.status or 0) < 500
        raise TransferError(
            f"{target}: {reason(error)}; "
            + ("the object may be there, repeating does no harm" if lost else "no object was made"),
            outcome="unknown" if lost else "aborted",
            cause=error,
        ) from error
    return held_against(stats, source.size, content.md5 if is_md5(stats.checksum) else None, target)


class _Content(io.RawIOBase):
    """A source as a binary stream, which counts and hashes what is read from it."""

    def __init__(self, source: Source, progress: Progress) -> None:
        self._source = source
        self._progress = progress
        self._at = 0
        self._digest = hashlib.md5(usedforsecurity=False)

    @property
    def md5(self) -> str:
        """Of what was read, in hex."""
        return self._digest.hexdigest()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (self._source.size if whence == io.SEEK_END else 0)
        self._digest = hashlib.md5(usedforsecurity=False)  # it is read from its start alone
        return self._at

    def readinto(self, buffer: Any) -> int:
        with memoryview(buffer) as view, view.cast("B") as window:
            count = min(len(window), self._source.size - self._at)
            self._source.read_into(window[:count], self._at)
            self._digest.update(window[:count])
        self._at += count
        self._progress.add(self._at - self._progress.total)
        return count
