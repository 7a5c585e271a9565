"""The download of a file: parallel ranges into a private file, which is verified and renamed."""

from __future__ import annotations

import hashlib
import logging
import threading
from concurrent.futures import Future, wait
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING

from lakefs_client._body import WINDOW
from lakefs_client.exceptions import ApiException
from lakefs_client.transfer.checksum import (
    MAX_GUESSES,
    checksum_matches,
    is_md5_or_composite,
    md5_of,
    part_sizes,
)
from lakefs_client.transfer.download.partial import PartialFile, Target
from lakefs_client.transfer.download.remote import ChangedError, RemoteObject
from lakefs_client.transfer.errors import (
    Cancelled,
    DamagedError,
    SourceError,
    describe,
    failure,
)
from lakefs_client.transfer.journal import Journal, JournalInUseError
from lakefs_client.transfer.plan import Part, PartPlan
from lakefs_client.transfer.pool import CANCEL_WAIT, WorkerPool, first_failure
from lakefs_client.transfer.store import etag_is_md5

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from lakefs_client.model.object_stats import ObjectStats
    from lakefs_client.rest import Cancellation
    from lakefs_client.transfer.context import TransferContext
    from lakefs_client.transfer.download.remote import ListedObject
    from lakefs_client.transfer.progress import Progress
    from lakefs_client.uri import ObjectRef

logger = logging.getLogger("lakefs_client.transfer")

MAX_RESTARTS = 2
"""Number of times that a download restarts because the object changed."""


def download(
    context: TransferContext,
    ref: ObjectRef,
    target: Target,
    progress: Progress,
    *,
    resume: bool,
    cancellation: Cancellation | None = None,
    listed: ListedObject | None = None,
) -> ObjectStats:
    """Download an object into a file. Restart if the object changes during the download.

    With `resume`, keep a journal, and continue from the journal of an earlier call. `listed` is the
    object in a listing, which saves a request for its stats.

    Raises:
        OSError: The file cannot be written: FileNotFoundError, IsADirectoryError …
        TransferError: The download failed.
        ApiException: lakeFS has no such object: NotFoundException, UnauthorizedException …
    """
    with _journal(context, ref, str(target)) if resume else nullcontext() as journal:
        remote = RemoteObject(context, ref, cancellation, listed)
        progress.set_size(remote.size)
        restarts = 0
        while True:
            attempt = _Download(context, remote, target, progress, journal)
            try:
                return attempt.run()
            except ChangedError as error:
                change = error
            restarts += 1
            try:
                if restarts > MAX_RESTARTS:
                    raise change
                remote = RemoteObject(context, ref, cancellation)
            except ApiException as error:
                problem = f"changed during the download (attempt {restarts}): {describe(error)}"
                raise failure(remote, problem, "aborted", error) from error
            logger.warning("%s: %s; restarting the download", remote, describe(change))
            progress.add(-sum(attempt.received))


def _journal(context: TransferContext, ref: ObjectRef, file: str) -> Journal:
    host = context.client.configuration.host
    key = {
        "host": host, "repository": ref.repository, "ref": ref.ref, "path": ref.path,
        "target": file,
    }  # fmt: skip
    try:
        return Journal(context.config.journals, "download", key)
    except JournalInUseError as error:
        raise failure(
            ref,
            f"another download to {file} is in progress and holds the journal {error}",
            "aborted",
        ) from None


class _Download:
    """The download of one version of an object."""

    def __init__(
        self,
        context: TransferContext,
        remote: RemoteObject,
        target: Target,
        progress: Progress,
        journal: Journal | None,
    ) -> None:
        self.context = context
        self.remote = remote
        self.target = target
        self.progress = progress
        self.journal = journal
        config = context.config
        self._verifiable = config.verify and is_md5_or_composite(remote.checksum)
        self._sizes: list[int] = []
        if self._verifiable:
            self._sizes = part_sizes(remote.checksum, remote.size, config.part_size)[:MAX_GUESSES]
        # Ranges that equal the object's parts are hashed as they arrive, not from the file.
        likely = self._sizes[0] if self._sizes else config.part_size
        self._plan = PartPlan(remote.size, min(likely, config.part_size))
        self._known: dict[int, str] = {}
        self._partial = self._opened()
        self._hashed = self.journal is not None or self._plan.part_size in self._sizes
        self.received = [0] * self._plan.count  # bytes of each range that `progress` knows
        self._md5s = [""] * self._plan.count

    def _opened(self) -> PartialFile:
        """Return the file to write to. With a journal, learn which ranges it has."""
        if self.journal is None:
            return PartialFile(self.target)
        start, *ranges = self.journal.records or [{}]
        if start:
            try:
                partial = PartialFile(self.target, start["file"])
                if self.remote.identity.items() <= start.items():
                    self._plan = PartPlan(self.remote.size, start["range_size"])
                    self._known = {record["range"]: record["md5"] for record in ranges}
                    return partial
                logger.warning("%s has changed; restarting the download", self.remote)
                partial.remove()
            except FileNotFoundError:
                logger.warning("%s: the partial file is gone; restarting the download", self.remote)
        partial = PartialFile(self.target)
        size, name = self._plan.part_size, partial.name
        try:
            self.journal.start({**self.remote.identity, "range_size": size, "file": name})
        except BaseException:
            partial.remove()
            raise
        return partial

    def run(self) -> ObjectStats:
        """Receive, verify and publish the file."""
        try:
            self._receive()
            if self._verifiable:
                self._verify()
            self.progress.flush()  # an exception in the callback leaves the target as it is
            self._partial.publish()
        except BaseException as error:
            if self.journal is None or isinstance(error, (ChangedError, DamagedError)):
                self._partial.remove()
                self._forget()
            else:
                self._partial.close()
            if isinstance(error, DamagedError):
                raise failure(self.remote, describe(error), "aborted", error) from error
            raise
        self._forget()
        return self.remote.stats

    def _forget(self) -> None:
        """Clear the journal, so that no later call resumes this download."""
        if self.journal is not None:
            self.journal.clear()

    def _receive(self) -> None:
        """Receive all ranges, `max_concurrency` at a time. A failure cancels the others."""
        ranges, lock = iter(self._plan), threading.Lock()

        def work() -> None:
            while True:
                with lock:
                    part = next(ranges, None)
                if part is None:
                    return
                self._receive_range(part, self._partial.writer())

        count = min(self.context.config.max_concurrency, self._plan.count)
        if count == 1:
            for part in ranges:
                self._receive_range(part, nullcontext(self._partial.write))
            return
        pool = WorkerPool(count, "lakefs-client-download")
        futures: list[Future[None]] = []
        try:
            futures += [pool.submit(work) for _ in range(count)]
            first_failure(futures)
        finally:
            self.remote.cancel()
            pool.close()
            wait(futures, timeout=CANCEL_WAIT)

    def _receive_range(
        self, part: Part, writer: AbstractContextManager[Callable[[bytes, int], None]]
    ) -> None:
        """Receive a range, unless the file has it already."""
        index, known = part.number - 1, self._known.get(part.number)
        if known is not None and self._has(part, known):
            self.received[index], self._md5s[index] = part.length, known
            self.progress.add(part.length)
            return
        digest = hashlib.md5(usedforsecurity=False) if self._hashed else None
        end = part.offset + part.length

        def attempt() -> None:
            """Continue where the last attempt stopped."""
            start = part.offset + self.received[index]
            with closing(self.remote.open(start, end)) as body:
                while window := body.read(WINDOW):
                    if self.remote.cancelled:
                        raise Cancelled
                    write(window, part.offset + self.received[index])
                    if digest is not None:
                        digest.update(window)
                    self.received[index] += len(window)
                    self.progress.add(len(window))

        with writer as write:
            try:
                if part.length:
                    self.remote.repeat(attempt)
            except ChangedError:
                raise
            except ApiException as error:
                kept = self.journal is not None
                advice = "; the same call with resume=True resumes the download" if kept else ""
                raise failure(
                    self.remote,
                    f"range {part.number}: {describe(error)}{advice}",
                    "resumable" if kept else "aborted",
                    error,
                    part_number=part.number,
                ) from error
        if digest is not None:
            self._md5s[index] = digest.hexdigest()
        if self.journal is not None:
            # The bytes need not be on the disk yet: a later process compares them with the MD5.
            self.journal.add({"range": part.number, "md5": self._md5s[index]})

    def _has(self, part: Part, md5: str) -> bool:
        """Return True if the file has the bytes of a range."""
        try:
            with self._partial.read() as file:
                return md5_of(file, part) == md5
        except SourceError:
            return False

    def _verify(self) -> None:
        """Compare the file with the object's checksum. Raises DamagedError if they differ."""
        remote, md5s = self.remote, self._md5s
        for size in self._sizes:
            plan = PartPlan(remote.size, size)
            if plan != self._plan:
                with self._partial.read() as file:
                    md5s = [md5_of(file, part) for part in plan]
            if checksum_matches(remote.checksum, md5s):
                return
        if etag_is_md5(remote.checksum, remote.headers):
            raise DamagedError(
                200,
                f"checksum mismatch: got MD5 {md5s[0]}, expected {remote.checksum}. If the store's "
                "checksums are not MD5s, set TransferConfig(verify=False)",
            )
        logger.warning(
            "%s: not verified: the checksum %s is not an MD5, or of parts of unknown size",
            remote, remote.checksum,
        )  # fmt: skip
