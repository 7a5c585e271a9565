"""One multipart upload: parts go out while others are being made. And giving up cleanly."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from lakefs_client.exceptions import ApiException, TransferError
from lakefs_client.rest import Cancellation
from lakefs_client.transfer.complete import (
    NothingAssembledError,
    PartsRefusedError,
    UploadGoneError,
    complete,
    reason,
)
from lakefs_client.transfer.part import (
    RENEWALS,
    CallbackError,
    CarrierError,
    PartSender,
    SendOptions,
    Stopped,
    is_gone,
)
from lakefs_client.transfer.resume import abort_quietly
from lakefs_client.transfer.source import SourceChangedError, SourceError
from lakefs_client.transfer.target import ADDRESS_LIFE, OVER, is_over
from lakefs_client.transfer.url import ExpiringUrl, RenewalUnsupportedError
from lakefs_client.transfer.workers import ExecutorWorkers, Expired, Threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakefs_client.model.object_stats import ObjectStats
    from lakefs_client.transfer.part import Progress, Stored
    from lakefs_client.transfer.plan import Part
    from lakefs_client.transfer.resume import Earlier, UploadJournal
    from lakefs_client.transfer.source import Source
    from lakefs_client.transfer.target import Multipart, Target
    from lakefs_client.transfer.transfer import Transfer
    from lakefs_client.transfer.url import SignedUrl

    Workers = Threads | ExecutorWorkers

logger = logging.getLogger("lakefs_client.transfer")

ABORT_WAIT = 10.0
"""Seconds to wait for parts in flight before an abort."""


class PartError(CarrierError):
    """Carries why a part failed to where the upload is given up, and the part's number."""

    def __init__(self, number: int, cause: BaseException) -> None:
        self.number = number
        super().__init__(cause)


class NoMultipartError(CarrierError):
    """The store cannot do presigned multipart uploads."""


class RefusedError(ApiException):
    """The branch cannot be written to, as the server will say when the last part is there."""


_HOPELESS = (
    PartsRefusedError, UploadGoneError, SourceChangedError, RefusedError, RenewalUnsupportedError
)  # fmt: skip


@dataclass
class _Sending:
    """A part on its way. `done` is called when its source is no longer needed for it."""

    part: Part
    source: Source
    done: Callable[[], object]
    url: ExpiringUrl
    renewals: int = 0  # how often in a row a worker found the URL expired


@dataclass(eq=False)
class MultipartUpload:
    """An upload in parts: `begin` or `go_on`, `submit` each, `finish`; `give_up` at any time."""

    transfer: Transfer
    target: Target
    progress: Progress
    size: int | None = None  # bytes in all, where that is known
    journal: UploadJournal | None = None  # what a later process needs to go on
    within: Cancellation | None = None  # ends it from outside
    stored: dict[int, Stored] = field(default_factory=dict, init=False)  # by the parts' numbers

    def __post_init__(self) -> None:
        self._timing = self.transfer.api_client.store_client.timing
        self._interrupt = Cancellation(self.within)
        self._workers = self._make_workers()
        self._upload: Multipart | None = None
        self._urls: list[SignedUrl] = []
        self._begun = self._timing.clock()
        self._earlier: Earlier | None = None
        self._handed_out = self._end_of_last = 0
        self._warned = False
        self._changed = threading.Condition()
        self._failure: BaseException | None = None
        self._pending = 0
        self._expired: list[_Sending] = []
        self._permission: Future[str | None] | None = None

    def _make_workers(self) -> Workers:
        client, config = self.transfer.api_client, self.transfer.config
        options = SendOptions.of(self.transfer, digest=self.journal is not None)
        if config.executor is not None:
            return ExecutorWorkers(config.executor, client.configuration, options)
        gate, interrupt = self.transfer.gate, self._interrupt
        sender = PartSender(client.store_client, options, self.progress, gate, interrupt)
        return Threads(sender, config.max_concurrency)

    @property
    def identity(self) -> Multipart:
        """What identifies it, once it was begun."""
        assert self._upload is not None
        return self._upload

    @property
    def stopped(self) -> bool:
        """Whether it is to end without an object."""
        return self._interrupt.is_set()

    def begin(self, parts: int) -> None:
        """Begin, with URLs for so many parts.

        Raises:
            NoMultipartError: Nothing was begun.
            ApiException: lakeFS refused.
        """
        try:
            self._upload, self._urls = self.target.create(parts)
        except ApiException as error:
            if error.status != 501:
                raise
            raise NoMultipartError(error) from error
        logger.debug("%s: upload id %s, %d parts", self.target, self._upload.upload_id, parts)

    def go_on(self, earlier: Earlier) -> None:
        """Go on with what an earlier process began."""
        self._upload, self.stored, self._earlier = earlier.upload, dict(earlier.stored), earlier

    def submit(self, part: Part, source: Source, done: Callable[[], object] = bool) -> None:
        """Have a part sent, once fewer than `TransferConfig.max_concurrency` are on their way.
        `done` is called when the source is no longer needed for it.

        Raises:
            PartError: A part failed.
            RefusedError: The branch cannot be written to.
        """
        self._wait_until_below(self.transfer.config.max_concurrency)
        index = part.number - 1
        first = self._urls[index] if index < len(self._urls) else None
        fresh = partial(self.target.fresh_url, self.identity, part.number)
        url = ExpiringUrl(fresh, self._timing.clock, first, self._begun)
        self._handed_out += part.length
        self._end_of_last = part.offset + part.length
        self._start(_Sending(part, source, done, url))
        if self._permission is None:
            # Not before, so that the first part does not wait for the answer.
            repository, branch = self.target.repository, self.target.branch
            self._permission = self.transfer.permissions.ask(repository, branch)
            self._permission.add_done_callback(self._permitted)

    def finish(self, size: int, check: Callable[[], object] = bool) -> ObjectStats:
        """Wait for every part, and have them put together to an object of `size` bytes. `check`
        is called before; what it raises is a failure of the upload.

        Raises:
            PartError: A part failed.
            NothingAssembledError: The store has no object.
            TransferError: What happened is not known, or the object is not what was sent.
        """
        self._wait_until_below(1)
        check()
        self._workers.close()
        if self.journal is not None:
            self.journal.completing()
        stored = [self.stored[number] for number in sorted(self.stored)]
        stats = complete(
            self.target, self.identity, stored, size, self.transfer.policy, self._timing.sleep,
            asked=self._earlier is not None and self._earlier.asked,
        )  # fmt: skip
        if self.journal is not None:
            self.journal.clear()
        return stats

    def check(self) -> None:
        """Have a failure out before the next part is there. Raises as `submit`."""
        if self._failure is not None:
            raise self._failure

    def give_up(self, error: BaseException, more: str = "") -> BaseException:
        """Stop, abort what was begun unless a later process can go on with it, and return what
        to raise: the first error, never the abort's. `more` goes into its message."""
        self._stop()
        cause, number = _cause(error)
        if self._upload is None:
            return cause
        if isinstance(error, TransferError):
            # The store may have assembled it. Nothing is aborted: a later process finds out what
            # became of it, unless it is known that the object is another.
            if self.journal is not None and error.outcome == "mismatch":
                self.journal.clear()
            if self._kept:
                error.reason = f"{error.reason}{_GO_ON}"
            return error
        if self._kept and self._can_go_on(error):
            outcome, more = "resumable", _GO_ON
        elif self._abort():
            outcome = "aborted"
        else:
            outcome = "abort failed"
            if self._kept:
                more = (
                    ". The abort failed too: the same call with resume=True sees to it, or "
                    "Transfer.discard_upload"
                )
        failed = number is not None or isinstance(cause, (ApiException, SourceError))
        if isinstance(cause, CallbackError) or not isinstance(cause, Exception) or not failed:
            return cause  # the caller's own, or an interrupt, of a worker's process too
        part = "" if number is None else f"part {number}: "
        return TransferError(
            f"{self.target}: {part}{reason(cause)}{more}",
            outcome=outcome,
            cause=cause,
            part_number=number,
            upload_id=self._upload.upload_id,
            physical_address=self._upload.physical_address,
        )

    @property
    def _kept(self) -> bool:
        """Whether a later process will know of the upload."""
        return self.journal is not None and bool(self.journal.records)

    def _abort(self) -> bool:
        if self.journal is not None:
            return self.journal.abort(self.identity)
        return abort_quietly(self.target, self.identity)

    def abandon(self) -> None:
        """Stop and abort, for another upload to take its place."""
        self._stop()
        self._abort()

    def why_gone(self, error: BaseException) -> str | None:
        """Why only another upload can succeed where this one failed; None where it may."""
        cause, _ = _cause(error)
        resumed = self._earlier is not None
        if resumed and is_over(cause):
            return OVER
        gone = (
            isinstance(error, UploadGoneError)
            or is_gone(cause)
            or (isinstance(cause, RenewalUnsupportedError) and (resumed or not self.stored))
        )
        return reason(cause) if gone else None

    def _can_go_on(self, error: BaseException) -> bool:
        """Whether there is a use in keeping the parts after this failure."""
        cause, _ = _cause(error)
        hopeless = isinstance(error, _HOPELESS) or isinstance(cause, _HOPELESS)
        return not (hopeless or is_gone(cause))

    def _stop(self) -> None:
        self._interrupt.set()
        self.transfer.gate.wake()
        self._workers.close()
        with self._changed:
            self._changed.wait_for(lambda: not self._pending, ABORT_WAIT)

    def _permitted(self, answer: Future[str | None]) -> None:
        if answer.result() is not None:
            self._fail(RefusedError(403, answer.result()))

    def _wait_until_below(self, limit: int) -> None:
        """Wait until fewer parts than that are on their way."""
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._failure or self._expired or self._pending < limit
                )
                self.check()
                if not self._expired:
                    return
                sending = self._expired.pop()
            self._start(sending)

    def _start(self, sending: _Sending) -> None:
        """Have a part sent. What goes wrong with that is a failure of the part."""
        with self._changed:
            self._pending += 1
        ticket: int | None = None
        future: Future[Stored | Expired] = Future()
        try:
            if sending.renewals:
                sending.url.renew()
            if not self._workers.counts_windows:
                # Workers elsewhere cannot wait at the gate: their tasks take a place here.
                ticket = self.transfer.gate.enter(self._interrupt.is_set)
                if ticket is None:
                    raise Stopped
            future = self._workers.submit(sending.part, sending.source, sending.url)
        except BaseException as error:
            future.set_exception(error)
            if not isinstance(error, Exception):
                raise
        finally:
            future.add_done_callback(partial(self._sent, sending, ticket))

    def _sent(
        self, sending: _Sending, ticket: int | None, future: Future[Stored | Expired]
    ) -> None:
        """Take note of what became of a part, in the thread that knows it first."""
        part = sending.part
        failure: PartError | None = None
        slowed = False
        try:
            answer = future.result()
            if isinstance(answer, Expired):
                sending.renewals += 1
                if sending.renewals > RENEWALS:
                    raise ApiException(403, "a URL expired that was made a moment before")
            else:
                slowed = answer.slowed
                logger.debug("%s: part %d is in the store", self.target, part.number)
                self.stored[part.number] = answer
                if not self._workers.counts_windows and not self._interrupt.is_set():
                    self.progress.add(part.length)
                if self.journal is not None:
                    self.journal.add_part(part.number, answer)
                self._foretell()
        except BaseException as error:
            failure = PartError(part.number, error)
        if ticket is not None:
            self.transfer.gate.leave(ticket, slow_down=slowed)
        again = failure is None and part.number not in self.stored
        if not again:
            sending.done()
        if failure is not None:
            self._fail(failure)  # first: without it, nothing on its way means that all arrived
        with self._changed:
            self._pending -= 1
            if again:
                self._expired.append(sending)
            self._changed.notify_all()

    def _fail(self, failure: BaseException) -> None:
        """Have the first failure end the rest."""
        with self._changed:
            self._failure = self._failure or failure
            self._changed.notify_all()
        self._interrupt.set()
        self.transfer.gate.wake()

    def _foretell(self) -> None:
        """Warn in time where the upload will outlive its address."""
        elapsed = self._timing.clock() - self._begun
        age = self._earlier.age if self._earlier else 0.0
        total, late = age + elapsed, 0.8 * ADDRESS_LIFE
        if self.size is not None:
            # Parts on their way count as sent: the first to arrive says little about the pace.
            rest = (self.size - self._end_of_last) / max(self._handed_out, 1)
            total, late = total + elapsed * rest, ADDRESS_LIFE
        if total > late and elapsed > 60 and not self._warned:
            self._warned = True
            logger.warning(
                "%s: %s %.0f hours, and lakeFS accepts its address for 24 (6 before 1.80) after "
                "the beginning: larger parts or a higher max_concurrency may help", self.target,
                "the upload has taken" if self.size is None else "at this pace the upload takes",
                total / 3600,
            )  # fmt: skip


_GO_ON = (
    ". What arrived is kept: the same call with resume=True goes on from there, and "
    "Transfer.discard_upload throws it away"
)


def _cause(error: BaseException) -> tuple[BaseException, int | None]:
    """What failed, and the number of the part where it was one."""
    if isinstance(error, PartError):
        return error.cause, error.number
    if isinstance(error, (NothingAssembledError, NoMultipartError)):
        return error.cause, None
    return error, None
