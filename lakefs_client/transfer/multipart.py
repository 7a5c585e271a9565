"""One multipart upload: parts go out while others are being made. And giving up cleanly."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from lakefs_client.exceptions import ApiException, TransferError
from lakefs_client.rest import Interrupt
from lakefs_client.transfer.complete import (
    NothingAssembledError,
    UploadGoneError,
    complete,
    reason,
)
from lakefs_client.transfer.part import (
    RENEWALS,
    CallbackError,
    PartSender,
    Progress,
    Stored,
    is_gone,
)
from lakefs_client.transfer.resume import abort_quietly
from lakefs_client.transfer.source import SourceChangedError, SourceError
from lakefs_client.transfer.target import ADDRESS_LIFE, is_over
from lakefs_client.transfer.url import ExpiringUrl, RenewalUnsupportedError
from lakefs_client.transfer.workers import ExecutorWorkers, Expired, Threads

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from lakefs_client.model.object_stats import ObjectStats
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


class PartError(Exception):
    """Carries which part failed to where the upload is given up."""

    def __init__(self, number: int, cause: BaseException) -> None:
        self.number = number
        self.cause = cause
        super().__init__(number)


class RefusedError(ApiException):
    """The branch cannot be written to, as the server will say when the last part is there."""


@dataclass
class _Sending:
    """A part on its way.

    Attributes:
        part: The part.
        source: Where its bytes come from.
        done: Called when the source is no longer needed for it.
        url: Where it goes.
        renewals: How often in a row a worker found the URL expired.
        ticket: Its place at the gate, where it has one here.
    """

    part: Part
    source: Source
    done: Callable[[], object]
    url: ExpiringUrl
    renewals: int = 0
    ticket: int | None = None


class MultipartUpload:
    """An upload in parts: `begin` or `go_on`, `submit` each part, `finish`; `give_up` at any time.

    Args:
        transfer: Whose settings and connections it has.
        target: The object.
        progress: Is told of what went out.
        size: Bytes in all; None where that is not known.
        journal: Where what a later process needs is written; None where none will go on.
        within: Ends it from outside.

    Attributes:
        stored: What the store said of the parts that it has, by number.
    """

    def __init__(
        self,
        transfer: Transfer,
        target: Target,
        progress: Progress,
        size: int | None = None,
        journal: UploadJournal | None = None,
        within: Interrupt | None = None,
    ) -> None:
        self._transfer = transfer
        self._target = target
        self._progress = progress
        self._size = size
        self._journal = journal
        self._timing = transfer.api_client.store_client.timing
        self._interrupt = Interrupt(within)
        self._workers = self._make_workers()
        self._upload: Multipart | None = None
        self._urls: list[SignedUrl] = []
        self._received = self._begun = self._timing.clock()
        self._resumed = self._asked = self._warned = False
        self._changed = threading.Condition()
        self._failure: BaseException | None = None
        self._pending = 0
        self._expired: list[_Sending] = []
        self.stored: dict[int, Stored] = {}

    def _make_workers(self) -> Workers:
        transfer, client, config = self._transfer, self._transfer.api_client, self._transfer.config
        options: dict[str, Any] = {
            "policy": transfer.policy,
            "user_agent": client.user_agent,
            "verify": config.verify,
            "digest": config.verify or self._journal is not None,
        }
        if config.executor is not None:
            return ExecutorWorkers(config.executor, client.configuration, **options)
        sender = PartSender(
            client.store_client, progress=self._progress, interrupt=self._interrupt,
            gate=transfer.gate, **options,
        )  # fmt: skip
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
            ApiException: lakeFS refused, with 501 where the store cannot do such uploads.
            OSError: The journal cannot be written.
        """
        self._received = self._begun = self._timing.clock()
        self._upload, self._urls = self._target.create(parts)
        logger.debug("%s: upload id %s, %d parts", self._target, self._upload.upload_id, parts)
        if self._journal is not None:
            self._journal.begin(self._upload)
        self._ask_permission()

    def go_on(self, earlier: Earlier) -> None:
        """Go on with what an earlier process began."""
        self._upload, self.stored = earlier.upload, dict(earlier.stored)
        self._resumed, self._asked = True, earlier.asked
        self._begun -= earlier.age
        self._ask_permission()

    def submit(self, part: Part, source: Source, done: Callable[[], object] = bool) -> None:
        """Have a part sent, once fewer than `TransferConfig.max_concurrency` are on their way.

        Args:
            part: The part.
            source: Where its bytes come from.
            done: Called when the source is no longer needed for this part.

        Raises:
            PartError: Another part failed.
            RefusedError: The branch cannot be written to.
        """
        self._wait_until_below(self._transfer.config.max_concurrency)
        index = part.number - 1
        first = self._urls[index] if index < len(self._urls) else None
        fresh = partial(self._fresh_url, part.number)
        url = ExpiringUrl(fresh, self._timing.clock, first, self._received)
        self._start(_Sending(part, source, done, url))

    def finish(self, size: int, check: Callable[[], object] = bool) -> ObjectStats:
        """Wait for every part, and have them put together.

        Args:
            size: Bytes in all.
            check: Called before; what it raises is a failure of the upload.

        Raises:
            PartError: A part failed.
            NothingAssembledError: The store has no object.
            TransferError: What happened is not known, or the object is not what was sent.
        """
        self._wait_until_below(1)
        check()
        self._workers.close()
        if self._journal is not None:
            self._journal.completing()
        stored = [self.stored[number] for number in sorted(self.stored)]
        stats = complete(
            self._target, self.identity, stored, size, self._transfer.policy, self._timing.sleep,
            asked=self._asked,
        )  # fmt: skip
        if self._journal is not None:
            self._journal.clear()
        return stats

    def give_up(self, error: BaseException) -> BaseException:
        """Stop, abort what was begun unless a later process can go on with it, and return what
        to raise: the first error, never the abort's."""
        self._stop()
        cause, number = _cause(error)
        if isinstance(error, TransferError) or self._upload is None:
            return cause  # after the store may have assembled it, nothing is aborted
        kept = self._journal is not None and self._can_go_on(error)
        if kept:
            outcome = "resumable"
        else:
            outcome = "aborted" if abort_quietly(self._target, self._upload) else "abort failed"
            if self._journal is not None:
                self._journal.clear()
        failed = number is not None or isinstance(cause, (ApiException, SourceError))
        if isinstance(cause, CallbackError) or not failed:
            return cause  # the caller's own, or an interrupt
        part = "" if number is None else f"part {number}: "
        return TransferError(
            f"{self._target}: {part}{reason(cause)}{_GO_ON if kept else ''}",
            outcome=outcome,
            cause=cause,
            part_number=number,
            upload_id=self._upload.upload_id,
            physical_address=self._upload.physical_address,
        )

    def abandon(self) -> None:
        """Stop and abort, for another upload to take its place."""
        self._stop()
        abort_quietly(self._target, self.identity)

    def is_gone(self, error: BaseException) -> bool:
        """Whether only another upload can succeed where this one failed."""
        cause, _ = _cause(error)
        return (
            isinstance(error, UploadGoneError)
            or is_gone(cause)
            or (isinstance(cause, RenewalUnsupportedError) and not self.stored)
            or (self._resumed and is_over(cause))
        )

    def _can_go_on(self, error: BaseException) -> bool:
        """Whether there is a use in keeping the parts after this failure."""
        hopeless = (NothingAssembledError, SourceChangedError, RefusedError)
        cause, _ = _cause(error)
        return not (isinstance(error, hopeless) or isinstance(cause, hopeless) or is_gone(cause))

    def _stop(self) -> None:
        self._interrupt.set()
        self._transfer.gate.wake()
        self._workers.close()
        with self._changed:
            self._changed.wait_for(lambda: not self._pending, ABORT_WAIT)

    def _ask_permission(self) -> None:
        self._transfer.permissions.ask(*self._target.place).add_done_callback(self._permitted)

    def _permitted(self, answer: Future[str | None]) -> None:
        if answer.result() is not None:
            self._fail(RefusedError(403, answer.result()))

    def _fresh_url(self, number: int) -> SignedUrl:
        return self._target.fresh_url(self.identity, number)

    def _wait_until_below(self, limit: int) -> None:
        """Wait until fewer parts than that are on their way."""
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._failure or self._expired or self._pending < limit
                )
                if self._failure is not None:
                    raise self._failure
                if not self._expired:
                    return
                sending = self._expired.pop()
            sending.url.renew()
            self._start(sending)

    def _start(self, sending: _Sending) -> None:
        if not self._workers.counts_windows:
            # Workers elsewhere cannot wait at the gate: their tasks take a place here.
            sending.ticket = self._transfer.gate.enter(self._interrupt.is_set)
        with self._changed:
            self._pending += 1
        try:
            future = self._workers.submit(sending.part, sending.source, sending.url)
        except Exception as error:
            self._end(sending, PartError(sending.part.number, error))
        else:
            future.add_done_callback(partial(self._sent, sending))

    def _sent(self, sending: _Sending, future: Future[Stored | Expired]) -> None:
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
                self.stored[part.number] = answer
                if not self._workers.counts_windows:
                    self._progress.add(part.length)
                if self._journal is not None:
                    self._journal.add(part.number, answer)
                self._foretell(part)
        except BaseException as error:
            failure = PartError(part.number, error)
        if sending.ticket is not None:
            self._transfer.gate.leave(sending.ticket, slow_down=slowed)
        self._end(sending, failure, again=failure is None and part.number not in self.stored)

    def _end(self, sending: _Sending, failure: PartError | None, *, again: bool = False) -> None:
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
            if self._failure is None:
                self._failure = failure
            self._changed.notify_all()
        self._interrupt.set()
        self._transfer.gate.wake()

    def _foretell(self, part: Part) -> None:
        """Warn in time where the upload will outlive its address."""
        elapsed = self._timing.clock() - self._begun
        sent = part.offset + part.length
        total = elapsed if self._size is None else elapsed * self._size / max(sent, 1)
        late = ADDRESS_LIFE * (0.8 if self._size is None else 1)
        if total > late and elapsed > 60 and not self._warned:
            self._warned = True
            logger.warning(
                "%s: at this pace the upload takes %.0f hours, and lakeFS accepts its address for "
                "24 (6 before 1.80) after the beginning: larger parts or a higher max_concurrency "
                "may help", self._target, total / 3600,
            )  # fmt: skip


_GO_ON = (
    ". The parts that arrived are kept: the same call with resume=True goes on, and "
    "Transfer.discard_upload throws them away"
)


def _cause(error: BaseException) -> tuple[BaseException, int | None]:
    """What failed, and the number of the part where it was one."""
    if isinstance(error, PartError):
        return error.cause, error.number
    return (error.cause if isinstance(error, NothingAssembledError) else error), None
