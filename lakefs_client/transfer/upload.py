"""Upload what can be read at any offset: in parts, in one PUT, or through the server."""

from __future__ import annotations

import hashlib
import io
import logging
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakefs_client.exceptions import ApiException, TransferError
from lakefs_client.transfer.complete import held_against, link, reason
from lakefs_client.transfer.journal import path_of
from lakefs_client.transfer.multipart import MultipartUpload, NoMultipartError
from lakefs_client.transfer.part import PartSender, SendOptions, is_md5
from lakefs_client.transfer.plan import MAX_SINGLE_PUT, Part, PartPlan, plan_parts
from lakefs_client.transfer.resume import KIND, UploadJournal, upload_key
from lakefs_client.transfer.source import FileSource, SourceError
from lakefs_client.transfer.url import ExpiringUrl, SignedUrl, is_azure

if TYPE_CHECKING:
    from lakefs_client.model.object_stats import ObjectStats
    from lakefs_client.rest import Cancellation
    from lakefs_client.transfer.config import TransferConfig
    from lakefs_client.transfer.part import Progress
    from lakefs_client.transfer.resume import Earlier
    from lakefs_client.transfer.source import Source
    from lakefs_client.transfer.target import Target
    from lakefs_client.transfer.transfer import Transfer

logger = logging.getLogger("lakefs_client.transfer")

FRESH_STARTS = 2
"""How often an upload is begun anew where only that can help."""


@dataclass
class Upload:
    """An upload of a file or bytes, by the way that suits the size and the store."""

    transfer: Transfer
    source: Source
    target: Target
    progress: Progress
    within: Cancellation | None = None  # ends it from outside

    def run(self, *, resume: bool) -> ObjectStats:
        """Upload. With `resume`, an upload of a file in parts keeps a journal.

        Raises:
            TransferError: The upload failed; it says what became of it.
            ApiException: lakeFS refused to begin.
        """
        config, size = self.transfer.config, self.source.size
        self.progress.set_size(size)
        plan = plan_parts(size, config.part_size)
        small = size < config.threshold and size <= MAX_SINGLE_PUT
        journal = earlier = None
        if resume:
            host = self.transfer.api_client.configuration.host
            key = upload_key(host, self.target, self._file, plan)
            # What fits into one PUT needs none, but may have one of when the file was larger.
            if not small or path_of(config.journals, KIND, key).exists():
                journal = UploadJournal(config.journals, key, self.target)
        try:
            with journal or nullcontext():
                if journal is not None:
                    earlier = journal.earlier(self._file, plan, config.max_concurrency)
                if small and earlier is None:
                    return self.in_one()
                return self._in_parts(plan, journal, earlier)
        except NoMultipartError as error:
            return self.in_one(error)

    @property
    def _file(self) -> FileSource:
        """The source, of which only a file has a journal."""
        assert isinstance(self.source, FileSource)
        return self.source

    def _in_parts(
        self, plan: PartPlan, journal: UploadJournal | None, earlier: Earlier | None
    ) -> ObjectStats:
        """Upload in parts, or go on with what an earlier process did of it. Raises NoMultipartError
        where the store knows no parts: nothing was sent."""
        starts = 0
        while True:
            upload = MultipartUpload(
                self.transfer, self.target, self.progress, plan.size, journal, self.within
            )
            try:
                if earlier is not None:
                    upload.go_on(earlier)
                else:
                    upload.begin(plan.count)
                    if journal is not None:
                        journal.begin(upload.identity, self._file)
                for part in plan:
                    if part.number in upload.stored:
                        self.progress.add(part.length)
                    else:
                        upload.submit(part, self.source)
                return upload.finish(plan.size, self.source.check_unchanged)
            except NoMultipartError:
                raise
            except BaseException as error:
                why = upload.why_gone(error)
                if why is None or starts == FRESH_STARTS:
                    failure = upload.give_up(error)
                    raise failure from failure.__cause__
                logger.warning(
                    "%s: the upload cannot go on, a new one begins: %s", self.target, why
                )
            upload.abandon()
            self.progress.add(-self.progress.total)
            starts, earlier = starts + 1, None

    def in_one(self, instead: NoMultipartError | None = None) -> ObjectStats:
        """Upload by one presigned PUT, and link the address; through the server where it has no
        presigned URLs. `instead` is why it does not go up in parts, though it is large.

        Raises:
            TransferError: The upload failed, or must not be done; it says what became of it.
            ApiException: lakeFS refused to begin.
        """
        transfer, source, target = self.transfer, self.source, self.target
        address, first = target.stage()
        if first is None:
            return self._through_server()
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

        client, options = transfer.api_client.store_client, SendOptions.of(transfer)
        headers = {"Content-Type": target.content_type}
        if is_azure(first.url):
            headers["x-ms-blob-type"] = "BlockBlob"
        url = ExpiringUrl(renew, client.timing.clock, first, client.timing.clock())
        sender = PartSender(client, options, self.progress, transfer.gate, self.within)
        try:
            stored = sender.send(Part(1, 0, source.size), source, url, headers)
            source.check_unchanged()
        except (ApiException, SourceError) as error:
            raise TransferError(
                f"{target}: {reason(error)}; no object was made", outcome="aborted", cause=error
            ) from error
        return link(target, address, stored.content_md5 or stored.etag or "", source.size)

    def _through_server(self) -> ObjectStats:
        """Upload through the lakeFS server, in windows, where that may be done."""
        source, target = self.source, self.target
        require_server(self.transfer.config, target)
        logger.debug("%s: no presigned URLs here, sending through the server", target)
        content = _Content(source, self.progress)
        try:
            stats = target.upload(content)
            source.check_unchanged()
        except (ApiException, SourceError) as error:
            lost = isinstance(error, ApiException) and not 400 <= (error.status or 0) < 500
            there = "the object may be there, repeating does no harm"
            raise TransferError(
                f"{target}: {reason(error)}; {there if lost else 'no object was made'}",
                outcome="unknown" if lost else "aborted",
                cause=error,
            ) from error
        md5 = content.digest.hexdigest() if is_md5(stats.checksum) else None
        return held_against(stats, source.size, md5, target)


def require_single_put(
    config: TransferConfig, target: Target, size: int, instead: NoMultipartError
) -> None:
    """Refuse to send in one PUT what should go up in parts, where it must not or cannot. Raises
    TransferError, which says why."""
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
    """Refuse to have bytes of the object at a place pass through the server, where they must not.
    Raises TransferError."""
    if not config.allow_server:
        raise TransferError(
            f"{place}: this server's store offers no presigned URLs, and allow_server is off",
            outcome="aborted",
        )


class _Content:
    """A source as a binary stream, which counts and hashes what is read from it."""

    def __init__(self, source: Source, progress: Progress) -> None:
        self._source = source
        self._progress = progress
        self._at = 0
        self.digest = hashlib.md5(usedforsecurity=False)

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (self._source.size if whence == io.SEEK_END else 0)
        self.digest = hashlib.md5(usedforsecurity=False)  # it is read from its start alone
        return self._at

    def read(self, size: int) -> memoryview:
        window = memoryview(bytearray(min(size, self._source.size - self._at)))
        self._source.read_into(window, self._at)
        self.digest.update(window)
        self._at += len(window)
        self._progress.add(self._at - self._progress.total)
        return window
