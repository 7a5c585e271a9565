"""The transfer of many files: one pool of threads, one limit, one report."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from lakefs_client.exceptions import ApiException, BranchProtectedError
from lakefs_client.transfer.call import Call
from lakefs_client.transfer.directory.report import DirectoryEntry, DirectoryReport, EntryLog
from lakefs_client.transfer.errors import CallbackError, Cancelled, describe
from lakefs_client.transfer.pool import CANCEL_WAIT, WorkerPool
from lakefs_client.transfer.upload.outcome import WriteRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lakefs_client.transfer.context import TransferContext
    from lakefs_client.transfer.progress import Progress, ProgressCallback

    FileTask = Callable[[], Iterable[DirectoryEntry]]
    """Transfers one file, or deletes several. Returns what became of them."""

logger = logging.getLogger("lakefs_client.transfer")

MAX_DELETIONS = 1000
"""Number of objects in a request that deletes: the most that servers allow."""
SMALL_FILE = 1 << 20
"""Largest size in bytes of a file of which `TransferConfig.file_concurrency` are sent at a time."""
_WINDOW = 1 << 18  # bytes that each of the many threads holds in memory
MAX_MULTIPART_FILES = 2
"""Number of files that are sent in parts at a time: each fills the connections by itself."""


class DirectoryJob:
    """The transfer of one directory's files.

    Args:
        context: Client, settings and limits.
        progress: The caller's callback.
        stop_on_error: End with the first failure.
        dry_run: Report what would be done, and change nothing.

    Attributes:
        call: The call of the `Transfer`.
        report: The result so far.
        progress: Receives the bytes of all files.
        cancellation: Set when the job ends early.
    """

    def __init__(
        self,
        context: TransferContext,
        progress: ProgressCallback | None,
        *,
        stop_on_error: bool = False,
        dry_run: bool = False,
    ) -> None:
        self.context = context
        self._medium = replace(context, limits=replace(context.limits, window=_WINDOW))
        self._small = replace(self._medium, throttle=context.throttle.light)
        self.dry_run = dry_run
        self.report = DirectoryReport()
        self.call = Call(progress)
        self.cancellation = self.call.cancellation
        self.progress = self.call.progress
        self._stop_on_error = stop_on_error
        self._large = threading.BoundedSemaphore(MAX_MULTIPART_FILES)
        self._changed = threading.Condition()
        self._active = 0
        self._awaited = 0  # the number of files below which the main thread continues
        self._total = 0
        self._fatal: BaseException | None = None

    def file_progress(self) -> Progress:
        """Return the progress of one file, which adds to that of the job."""
        return self.progress.part()

    def found(self, size: int) -> None:
        """Add a file's size to the total of the progress."""
        with self._changed:  # so that no thread reports an older total after a newer one
            self._total += size
            self.progress.set_size(self._total)

    def skipped(self, path: str, size: int, reason: str = "unchanged") -> tuple[DirectoryEntry]:
        """Return the entry of a file that was skipped, and report its bytes as progress."""
        self.progress.add(size)
        return (DirectoryEntry(path, "skipped", size, reason),)

    @contextmanager
    def slot(self, size: int) -> Iterator[TransferContext]:
        """Wait until a file of `size` bytes may start, and yield the context for it.

        Raises:
            Cancelled: The job ended early.
        """
        large = size >= self.context.config.threshold
        with self._large if large else nullcontext():
            if self.cancellation.is_set():
                raise Cancelled
            if large:
                yield self.context
            else:
                yield self._small if size <= SMALL_FILE else self._medium

    def run(self, tasks: Iterable[tuple[str, FileTask | Exception]]) -> DirectoryReport:
        """Run every task, by its file's path. An exception in place of a task is a failure.

        Raises:
            Exception: The first failure, with `stop_on_error`; a failure that every other file
                would share; or an exception of the iterator or of the progress callback.
        """
        limit = self.context.config.file_concurrency
        pool = WorkerPool(limit, "lakefs-client-directory")
        try:
            for path, task in tasks:
                if self._active >= 2 * limit or self._fatal is not None:
                    # Not for every single file, since each wake costs a switch of threads.
                    self._wait_until_below(limit + limit // 2)
                if isinstance(task, Exception):
                    self.fail(path, task)
                else:
                    with self._changed:
                        self._active += 1
                    pool.submit(task).add_done_callback(partial(self._finished, path))
            self._wait_until_below(1)
        except BaseException as error:
            self.end(error)
            pool.close()
            with self._changed:
                # A request to lakeFS itself cannot be interrupted, so the wait has a limit.
                self._changed.wait_for(lambda: not self._active, CANCEL_WAIT)
            raise
        pool.finish()
        return self.report

    def delete(
        self, surplus: EntryLog, delete: Callable[[list[DirectoryEntry]], Iterable[DirectoryEntry]]
    ) -> DirectoryReport:
        """Delete files or objects, 1,000 at a time, unless a file has failed before.

        `delete` deletes some of them, reports failures to `fail`, and returns the others.

        Raises:
            Exception: As `run`.
        """
        self.progress.flush()  # an exception in the callback prevents the deletions
        if self.report.failed:
            self.report.kept = len(surplus)
            logger.warning("%d not deleted, since others failed", len(surplus))
            return self.report
        return self.run(
            (batch[0].path, partial(delete, batch)) for batch in _batches(surplus, MAX_DELETIONS)
        )

    def fail(self, path: str, error: Exception) -> None:
        """Report a failure. With `stop_on_error`, end the job.

        A failure that every other file would share ends the job too.
        """
        if isinstance(error, Cancelled) or self.cancellation.is_set():
            return  # the job is ending, and this file is not to blame
        logger.warning("%r failed: %s", path, describe(error))
        with self._changed:
            self.report._add_failure(path, error)
        if self._stop_on_error or is_shared(error):
            self.end(error)

    def _wait_until_below(self, limit: int) -> None:
        """Wait until fewer than `limit` files are in progress. Raises the fatal error, if any."""
        with self._changed:
            self._awaited = limit
            self._changed.wait_for(lambda: self._fatal is not None or self._active < limit)
            self._awaited = 0
            if self._fatal is not None:
                raise self._fatal
        if self.cancellation.is_set():
            raise Cancelled

    def _finished(self, path: str, future: Future[Iterable[DirectoryEntry]]) -> None:
        entries: Iterable[DirectoryEntry] = ()
        try:
            entries = future.result()
            if self.dry_run:
                self.progress.add(sum(e.size for e in entries if e.action == "transferred"))
            if self.call.bar is not None:
                self.call.bar.count_file()
        except CancelledError:
            pass
        except CallbackError as error:
            self.end(error)
        except Exception as error:
            self.fail(path, error)
        except BaseException as error:
            self.end(error)
        with self._changed:
            for entry in entries:
                self.report._add(entry)
            self._active -= 1
            if self._active < self._awaited or not self._active:
                self._changed.notify_all()

    def end(self, error: BaseException) -> None:
        """End the job, whose `run` raises the first of such errors."""
        with self._changed:
            if self._fatal is None:
                self._fatal = error
            self._changed.notify_all()
        self.cancellation.set()
        self.context.throttle.wake()


def is_shared(error: BaseException | None) -> bool:
    """Return True if the branch or the repository causes a failure: every file would share it."""
    while error is not None:
        if isinstance(error, (BranchProtectedError, WriteRefusedError)):
            return True
        if isinstance(error, ApiException) and "read-only repository" in (error.body or ""):
            return True
        error = error.__cause__
    return False


def _batches(entries: Iterable[DirectoryEntry], size: int) -> Iterator[list[DirectoryEntry]]:
    iterator = iter(entries)
    while batch := [*islice(iterator, size)]:
        yield batch
