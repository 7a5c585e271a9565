"""The transfer of many files: one pool of threads, one limit, one report."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from lakefs_client.rest import Cancellation
from lakefs_client.transfer.directory.report import MAX_FAILURES, DirectoryReport, Failure
from lakefs_client.transfer.errors import CallbackError, Cancelled, describe
from lakefs_client.transfer.pool import CANCEL_WAIT, WorkerPool
from lakefs_client.transfer.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lakefs_client.transfer.context import TransferContext
    from lakefs_client.transfer.progress import ProgressCallback

    FileTask = Callable[[], "tuple[bool, int]"]
    """Transfers one file. Returns False if the file was skipped, and the file's size."""

logger = logging.getLogger("lakefs_client.transfer")

MAX_MULTIPART_FILES = 2
"""Number of files that are sent in parts at a time: each fills the connections by itself."""


class DirectoryJob:
    """The transfer of one directory's files.

    Attributes:
        context: Client, settings and limits.
        report: The result so far.
        cancellation: Set when the job ends early.
    """

    def __init__(
        self,
        context: TransferContext,
        progress: ProgressCallback | None,
        stop_on_error: bool,
    ) -> None:
        self.context = context
        self.report = DirectoryReport()
        self.cancellation = Cancellation()
        self._progress = Progress(progress)
        self._stop_on_error = stop_on_error
        self._large = threading.BoundedSemaphore(MAX_MULTIPART_FILES)
        self._changed = threading.Condition()
        self._active = 0
        self._fatal: BaseException | None = None

    def file_progress(self) -> Progress:
        """Return the progress of one file, which adds to that of the job."""
        return Progress(self._progress.add)

    @contextmanager
    def slot(self, size: int) -> Iterator[None]:
        """Wait until a file of `size` bytes may start.

        Raises:
            Cancelled: The job ended early.
        """
        large = size >= self.context.config.threshold
        with self._large if large else nullcontext():
            if self.cancellation.is_set():
                raise Cancelled
            yield

    def run(self, tasks: Iterable[tuple[str, FileTask | Exception]]) -> DirectoryReport:
        """Run every task, by its file's path. An exception in place of a task is a failure.

        Raises:
            Exception: The first failure, with `stop_on_error`; or an exception of the iterator
                or of the progress callback.
        """
        limit = self.context.config.max_concurrency
        pool = WorkerPool(limit, "lakefs-client-directory")
        try:
            for path, task in tasks:
                self._wait_until_below(2 * limit)
                if isinstance(task, Exception):
                    self._add_failure(path, task)
                else:
                    with self._changed:
                        self._active += 1
                    pool.submit(task).add_done_callback(partial(self._finished, path))
            self._wait_until_below(1)
        except BaseException as error:
            self._end(error)
            pool.close()
            with self._changed:
                # A request to lakeFS itself cannot be interrupted, so the wait has a limit.
                self._changed.wait_for(lambda: not self._active, CANCEL_WAIT)
            raise
        pool.finish()
        return self.report

    def _wait_until_below(self, limit: int) -> None:
        """Wait until fewer than `limit` files are in progress. Raises the fatal error, if any."""
        with self._changed:
            self._changed.wait_for(lambda: self._fatal is not None or self._active < limit)
            if self._fatal is not None:
                raise self._fatal

    def _finished(self, path: str, future: Future[tuple[bool, int]]) -> None:
        report = self.report
        try:
            transferred, size = future.result()
            with self._changed:
                if transferred:
                    report.transferred += 1
                    report.transferred_bytes += size
                else:
                    report.skipped += 1
                    report.skipped_bytes += size
        except CancelledError:
            pass
        except CallbackError as error:
            self._end(error)
        except Exception as error:
            self._add_failure(path, error)
        except BaseException as error:
            self._end(error)
        with self._changed:
            self._active -= 1
            self._changed.notify_all()

    def _add_failure(self, path: str, error: Exception) -> None:
        if isinstance(error, Cancelled) or self.cancellation.is_set():
            return  # the job is ending, and this file is not to blame
        logger.warning("%r was not transferred: %s", path, describe(error))
        with self._changed:
            self.report.failed += 1
            if len(self.report.failures) < MAX_FAILURES:
                self.report.failures.append(Failure(path, error))
        if self._stop_on_error:
            self._end(error)

    def _end(self, error: BaseException) -> None:
        with self._changed:
            if self._fatal is None:
                self._fatal = error
            self._changed.notify_all()
        self.cancellation.set()
        self.context.throttle.wake()
