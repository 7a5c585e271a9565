"""The upload of a source that can be read at any offset: in parts, or in one request."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakefs_client.transfer.journal import path_of
from lakefs_client.transfer.plan import PartPlan, plan_parts
from lakefs_client.transfer.source import FileSource
from lakefs_client.transfer.upload.multipart import MultipartUpload
from lakefs_client.transfer.upload.resume import KIND, UploadJournal, upload_key
from lakefs_client.transfer.upload.single import NoMultipartError, upload_single

if TYPE_CHECKING:
    from lakefs_client.model.object_stats import ObjectStats
    from lakefs_client.rest import Cancellation
    from lakefs_client.transfer.context import TransferContext
    from lakefs_client.transfer.progress import Progress
    from lakefs_client.transfer.source import Source
    from lakefs_client.transfer.upload.destination import Destination
    from lakefs_client.transfer.upload.resume import ResumeState

logger = logging.getLogger("lakefs_client.transfer")

MAX_RESTARTS = 2
"""Number of new uploads that may replace one that cannot succeed."""


@dataclass
class FileUpload:
    """An upload of a file or of bytes, in the way that suits the size and the store.

    Attributes:
        context: Client, settings and limits.
        source: The bytes.
        destination: The object's place.
        progress: Receives the bytes sent.
        cancellation: Cancels the upload from outside.
        part_size: Part size of an interrupted upload to resume; by default the settings'.
    """

    context: TransferContext
    source: Source
    destination: Destination
    progress: Progress
    cancellation: Cancellation
    part_size: int | None = None

    def run(self, *, resume: bool) -> ObjectStats:
        """Upload. With `resume`, an upload of a file in parts keeps a journal.

        Raises:
            ObjectExistsError: The destination must not be overwritten, and there is an object.
            TransferError: The upload failed; `outcome` says what is left of it.
            ApiException: lakeFS refused to begin.
        """
        config, limits, size = self.context.config, self.context.limits, self.source.size
        self.progress.set_size(size)
        self.destination.check_vacant()
        plan = plan_parts(size, self.part_size or config.part_size, limits)
        threshold = config.threshold if self.part_size is None else 0
        only_single = config.is_for_server(size) or not self.destination.overwrite
        small = only_single or (size < threshold and size <= limits.max_single_put)
        journal = state = None
        if resume and not only_single:
            host = self.context.client.configuration.host
            key = upload_key(host, self.destination, self._file, plan)
            # A small file needs no journal, but may have one from when it was larger.
            if not small or path_of(config.journals, KIND, key).exists():
                journal = UploadJournal(config.journals, key, self.destination)
        try:
            with journal or nullcontext():
                if journal is not None:
                    state = journal.resume_state(self._file, plan, config.max_concurrency)
                if small and state is None:
                    return self._upload_single()
                return self._upload_parts(plan, journal, state)
        except NoMultipartError as error:
            return self._upload_single(error)

    @property
    def _file(self) -> FileSource:
        """The source; only a file has a journal."""
        assert isinstance(self.source, FileSource)
        return self.source

    def _upload_single(self, instead: NoMultipartError | None = None) -> ObjectStats:
        return upload_single(
            self.context,
            self.source,
            self.destination,
            self.progress,
            cancellation=self.cancellation,
            instead=instead,
        )

    def _upload_parts(
        self, plan: PartPlan, journal: UploadJournal | None, state: ResumeState | None
    ) -> ObjectStats:
        """Upload in parts, or resume from an earlier process's state.

        Raises:
            NoMultipartError: The store does not support it. Nothing was sent.
        """
        restarts = 0
        while True:
            upload = MultipartUpload(
                self.context,
                self.destination,
                self.progress,
                size=plan.size,
                journal=journal,
                cancellation=self.cancellation,
            )
            try:
                return self._send(upload, plan, journal, state)
            except NoMultipartError:
                raise
            except BaseException as error:
                reason = upload.restart_reason(error)
                if reason is None or restarts == MAX_RESTARTS:
                    raise upload.fail(error)
                logger.warning(
                    "%s: the upload cannot succeed, starting a new one: %s",
                    self.destination, reason,
                )  # fmt: skip
            upload.abort()
            self.progress.add(-self.progress.total)
            self.progress.flush()
            restarts, state = restarts + 1, None

    def _send(
        self,
        upload: MultipartUpload,
        plan: PartPlan,
        journal: UploadJournal | None,
        state: ResumeState | None,
    ) -> ObjectStats:
        """Send the parts that the store lacks, and complete the upload."""
        if state is not None:
            upload.resume(state)
        else:
            upload.begin(plan.count)
            if journal is not None:
                journal.begin(upload.identity, self._file)
        for part in plan:
            if part.number in upload.stored:
                self.progress.add(part.length)
            else:
                upload.submit(part, self.source)
        return upload.complete(plan.size, self.source.check_unchanged)
