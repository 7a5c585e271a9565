"""One multipart upload: its parts in flight, its end, and its failure."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING

from lakefs_client import _process
from lakefs_client.exceptions import ApiException
from lakefs_client.rest import Cancellation
from lakefs_client.transfer.errors import Cancelled, PartError, describe, failure
from lakefs_client.transfer.pool import CANCEL_WAIT
from lakefs_client.transfer.presigned import ExpiringUrl
from lakefs_client.transfer.store import ADDRESS_LIFE
from lakefs_client.transfer.upload import preflight
from lakefs_client.transfer.upload.complete import Completion
from lakefs_client.transfer.upload.outcome import UploadState, WriteRefusedError, decide
from lakefs_client.transfer.upload.resume import abort_quietly
from lakefs_client.transfer.upload.single import NoMultipartError
from lakefs_client.transfer.upload.workers import make_workers

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakefs_client.exceptions import TransferOutcome
    from lakefs_client.model.object_stats import ObjectStats
    from lakefs_client.transfer.context import TransferContext
    from lakefs_client.transfer.plan import Part
    from lakefs_client.transfer.presigned import SignedUrl
    from lakefs_client.transfer.progress import Progress
    from lakefs_client.transfer.source import Source
    from lakefs_client.transfer.upload.destination import Destination, MultipartId
    from lakefs_client.transfer.upload.part import StoredPart
    from lakefs_client.transfer.upload.resume import ResumeState, UploadJournal
    from lakefs_client.transfer.upload.workers import Workers

logger = logging.getLogger("lakefs_client.transfer")

_RESUME = (
    ". The parts in the store are kept: the same call with resume=True resumes the upload, and "
    "Transfer.discard_upload deletes them"
)
_ABORT_LATER = (
    ". The abort failed too: the same call with resume=True repeats it, as does "
    "Transfer.discard_upload"
)


class MultipartUpload:
    """A multipart upload: `begin` or `resume`, `submit` each part, `complete`; or `fail`.

    Attributes:
        context: Client, settings and limits.
        destination: The object's place.
        progress: Receives the bytes sent.
        stored: The parts that the store has, by number.
    """

    def __init__(
        self,
        context: TransferContext,
        destination: Destination,
        progress: Progress,
        *,
        size: int | None = None,
        journal: UploadJournal | None = None,
        cancellation: Cancellation,
    ) -> None:
        self.context = context
        self.destination = destination
        self.progress = progress
        self.stored: dict[int, StoredPart] = {}
        self._size = size
        self._journal = journal
        self._timing = context.client.store_client.timing
        self._cancellation = Cancellation(cancellation)
        self._workers: Workers | None = None
        self._id: MultipartId | None = None
        self._urls: list[SignedUrl] = []
        self._begun = self._timing.clock()
        self._resumed: ResumeState | None = None
        self._submitted = self._end_of_last = 0
        self._warned = False
        self._changed = threading.Condition()
        self._failure: BaseException | None = None
        self._pending = 0
        self._preflight: Future[str | None] | None = None
        _process.register(self)

    def abandon(self) -> object:
        """Leave the upload to the parent process: nothing here completes or aborts it."""
        former = self.__dict__.copy()
        self._changed = threading.Condition()
        self._id = self._journal = self._workers = None
        self._failure = Cancelled()
        self._pending = 0
        return former

    @property
    def identity(self) -> MultipartId:
        """The upload's id and address. It must have begun."""
        assert self._id is not None
        return self._id

    @property
    def cancelled(self) -> bool:
        """True once the upload failed or was cancelled."""
        return self._cancellation.is_set()

    def begin(self, parts: int) -> None:
        """Create the upload, with URLs for `parts` parts.

        Raises:
            NoMultipartError: The store does not support presigned multipart uploads.
            ApiException: lakeFS refused.
        """
        try:
            self._id, self._urls = self.destination.create(parts)
        except ApiException as error:
            if error.status != 501:
                raise
            raise NoMultipartError(error) from error
        for url in self._urls[:1]:
            self.context.warn_if_plain(url.url)
        self._start_workers()
        logger.debug("%s: upload id %s, %d parts", self.destination, self._id.upload_id, parts)

    def resume(self, state: ResumeState) -> None:
        """Continue an upload that an earlier process began."""
        self._id, self.stored, self._resumed = state.upload, dict(state.stored), state
        self._start_workers()

    def submit(
        self, part: Part, source: Source, release: Callable[[], object] | None = None
    ) -> None:
        """Send a part, once fewer than `TransferConfig.max_concurrency` parts are in flight.

        `release` is called when the part no longer needs its source.

        Raises:
            PartError: A part failed.
            WriteRefusedError: The branch rejects writes.
        """
        self._wait_until_below(self.context.config.max_concurrency)
        assert self._workers is not None
        self._submitted += part.length
        self._end_of_last = part.offset + part.length
        with self._changed:
            self._pending += 1
        future: Future[StoredPart] = Future()
        try:
            future = self._workers.submit(part, source, self._url(part))
        except BaseException as error:
            future.set_exception(error)
            if not isinstance(error, Exception):
                raise
        finally:
            future.add_done_callback(partial(self._finished, part, release))
        if self._preflight is None:
            # After the first part, which does not wait for the answer.
            ref = self.destination.ref
            self._preflight = preflight.refusal(self.context, ref.repository, ref.ref)
            self._preflight.add_done_callback(self._check_preflight)

    def complete(self, size: int, check: Callable[[], object] | None = None) -> ObjectStats:
        """Wait for every part, and assemble them to an object of `size` bytes.

        `check` is called before; an exception in it is a failure of the upload.

        Raises:
            PartError: A part failed.
            NotAssembledError: The store has no object.
            TransferError: The outcome is not known, or the object is not what was sent.
        """
        self._wait_until_below(1)
        self.progress.flush()
        if check is not None:
            check()
        self._close_workers()
        if self._journal is not None:
            self._journal.completing()
        completion = Completion(
            self.destination,
            self.identity,
            [self.stored[number] for number in sorted(self.stored)],
            size,
            self._resumed is not None and self._resumed.completing,
        )
        stats = completion.run(self.context.patience, self._timing.sleep)
        if self._journal is not None:
            self._journal.clear()
        return stats

    def raise_failure(self) -> None:
        """Raise the first worker failure, if any."""
        if self._failure is not None:
            raise self._failure

    def restart_reason(self, error: BaseException) -> str | None:
        """Return the reason why only a new upload can succeed after this error, or None."""
        return decide(error, self._state).restart

    def fail(self, error: BaseException, advice: str = "") -> BaseException:
        """Stop, and abort the upload unless a later process can resume it.

        Return the exception to raise: the first error, never the abort's. `advice` ends its
        message.
        """
        self._stop()
        outcome = decide(error, self._state)
        result: TransferOutcome = "aborted"
        cause = outcome.cause
        if outcome.action == "forget" and self._journal is not None:
            self._journal.clear()
        elif outcome.action == "keep":
            result, advice = "resumable", _RESUME
        elif outcome.action == "abort" and not self._abort():
            result = "abort failed"
            if self._journaled:
                advice = _ABORT_LATER
        if outcome.report:
            part = f"part {outcome.part_number}: " if outcome.part_number else ""
            return failure(
                self.destination,
                f"{part}{describe(cause)}{advice}",
                result,
                cause,
                part_number=outcome.part_number,
                **self.identity._asdict(),
            )
        if outcome.action == "nothing" and self._journaled and isinstance(cause, ApiException):
            cause.reason = f"{cause.reason}{_RESUME}"
        cause.__suppress_context__ = True
        return cause

    def abort(self) -> None:
        """Stop and abort, so that another upload can replace this one."""
        self._stop()
        self._abort()

    @property
    def _journaled(self) -> bool:
        """True if a later process can find the upload in its journal."""
        return self._journal is not None and bool(self._journal.records)

    @property
    def _state(self) -> UploadState:
        return UploadState(
            begun=self._id is not None,
            stored=bool(self.stored),
            journaled=self._journaled,
            resumed=self._resumed is not None,
        )

    def _url(self, part: Part) -> ExpiringUrl:
        first = self._urls[part.number - 1] if part.number <= len(self._urls) else None
        renew = partial(self.destination.fresh_url, self.identity, part.number)
        return ExpiringUrl(renew, self._timing.clock, first, self._begun)

    def _abort(self) -> bool:
        if self._journal is not None:
            return self._journal.abort(self.identity)
        return abort_quietly(self.destination, self.identity)

    def _stop(self) -> None:
        """Cancel the parts in flight, and wait for them."""
        self._cancel()
        self._close_workers()
        with self._changed:
            self._changed.wait_for(lambda: not self._pending, CANCEL_WAIT)

    def _cancel(self) -> None:
        self._cancellation.set()
        self.context.throttle.wake()

    def _start_workers(self) -> None:
        digest = self._journal is not None
        self._workers = make_workers(self.context, self.progress, self._cancellation, digest=digest)

    def _close_workers(self) -> None:
        if self._workers is not None:
            self._workers.close()

    def _check_preflight(self, answer: Future[str | None]) -> None:
        if not answer.cancelled() and (reason := answer.result()) is not None:
            self._set_failure(WriteRefusedError(403, reason))

    def _wait_until_below(self, limit: int) -> None:
        """Wait until fewer than `limit` parts are in flight. Raises as `raise_failure`."""
        with self._changed:
            self._changed.wait_for(lambda: self._failure or self._pending < limit)
            self.raise_failure()

    def _finished(
        self,
        part: Part,
        release: Callable[[], object] | None,
        future: Future[StoredPart],
    ) -> None:
        """Record the end of a part, in the thread that learns of it first."""
        try:
            if release is not None:
                release()
            stored = future.result()
            logger.debug("%s: part %d is in the store", self.destination, part.number)
            self.stored[part.number] = stored
            if self._journal is not None:
                self._journal.add_part(part.number, stored)
            self._warn_if_too_slow()
        except BaseException as error:
            # Before the count drops: otherwise nothing in flight would mean that all arrived.
            self._set_failure(PartError(part.number, error))
        with self._changed:
            self._pending -= 1
            self._changed.notify_all()

    def _set_failure(self, error: BaseException) -> None:
        """Keep the first failure, and cancel the other parts."""
        with self._changed:
            self._failure = self._failure or error
            self._changed.notify_all()
        self._cancel()

    def _warn_if_too_slow(self) -> None:
        """Log a warning if the upload will outlive its address."""
        elapsed = self._timing.clock() - self._begun
        age = self._resumed.age if self._resumed else 0.0
        total, limit = age + elapsed, 0.8 * ADDRESS_LIFE
        if self._size is not None:
            # Parts in flight count as sent: the first to arrive says little about the pace.
            remaining = (self._size - self._end_of_last) / max(self._submitted, 1)
            total, limit = total + elapsed * remaining, ADDRESS_LIFE
        if total > limit and elapsed > 60 and not self._warned:
            self._warned = True
            logger.warning(
                "%s: %s %.0f hours, but lakeFS accepts its address for 24 (6 before 1.80): larger "
                "parts or a higher max_concurrency may help", self.destination,
                "the upload has taken" if self._size is None else "at this pace the upload takes",
                total / 3600,
            )  # fmt: skip
