"""Many files: one pool of threads, one limit, and a report of what became of each."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from lakefs_client.exceptions import TransferError
from lakefs_client.rest import Cancellation
from lakefs_client.transfer.complete import reason
from lakefs_client.transfer.multipart import ABORT_WAIT
from lakefs_client.transfer.part import CallbackError, Progress, Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lakefs_client.transfer.part import ProgressCallback
    from lakefs_client.transfer.transfer import Transfer

    Job = Callable[[], "tuple[bool, int]"]
    """Transfers a file; tells whether it had to, and the file's size."""

logger = logging.getLogger("lakefs_client.transfer")

FAILURES_KEPT = 1000
"""How many failures a report has by name."""
LARGE_AT_A_TIME = 2
"""How many files go in parts at a time: each of them fills the pool's connections by itself."""


class Failure(NamedTuple):
    """A file that was not transferred, by its path relative to the folder, and why."""

    path: str
    error: Exception


@dataclass
class DirectoryReport:
    """What became of the files of a folder.

    Attributes:
        transferred: How many were transferred.
        transferred_bytes: Their bytes.
        skipped: How many were there already, with the same size and checksum.
        skipped_bytes: Their bytes.
        failed: How many were not transferred.
        failures: Which, and why: the first 1,000.
    """

    transferred: int = 0
    transferred_bytes: int = 0
    skipped: int = 0
    skipped_bytes: int = 0
    failed: int = 0
    failures: list[Failure] = field(default_factory=list)

    def raise_for_failures(self) -> None:
        """Raise an error if a file failed.

        Raises:
            TransferError: It names the first of them.
        """
        if self.failed:
            path, error = self.failures[0]
            raise TransferError(
                f"{self.failed} files were not transferred, the first of them {path!r}: "
                f"{reason(error)}",
                outcome="aborted",
                cause=error,
            ) from error


class Run:
    """The transfer of the files of one folder, which the first failure ends if it is to."""

    def __init__(
        self, transfer: Transfer, progress: ProgressCallback | None, stop_on_error: bool
    ) -> None:
        self.transfer = transfer
        self._progress = Progress(progress)
        self._stop_on_error = stop_on_error
        self._large = threading.BoundedSemaphore(LARGE_AT_A_TIME)
        self._changed = threading.Condition()
        self._under_way = 0
        self._fatal: BaseException | None = None
        self.report = DirectoryReport()
        self.interrupt = Cancellation()

    def progress(self) -> Progress:
        """One file's share in what is told."""
        return Progress(self._progress.add)

    @contextmanager
    def turn(self, size: int) -> Iterator[None]:
        """The turn of a file of so many bytes, which it may have to wait for. Raises Stopped when
        it is over for all of them."""
        large = size >= self.transfer.config.threshold
        with self._large if large else nullcontext():
            if self.interrupt.is_set():
                raise Stopped
            yield

    def each(self, jobs: Iterable[tuple[str, Job | Exception]]) -> DirectoryReport:
        """Do every job, by the path of its file; an exception in its place is a failure.

        Raises:
            Exception: The first failure, with `stop_on_error`; what the jobs' iterator or the
                progress callback raised.
        """
        most = self.transfer.config.max_concurrency
        pool = ThreadPoolExecutor(most, "lakefs-client-directory")
        try:
            for path, job in jobs:
                self._wait_until_below(2 * most)
                if isinstance(job, Exception):
                    self._failed(path, job)
                else:
                    future = pool.submit(job)
                    with self._changed:
                        self._under_way += 1
                    future.add_done_callback(partial(self._done, path))
            self._wait_until_below(1)
        except BaseException as error:
            self._end(error)
            pool.shutdown(wait=False, cancel_futures=True)
            with self._changed:
                # Whoever waits for lakeFS itself cannot be ended, and is not waited for for ever.
                self._changed.wait_for(lambda: not self._under_way, ABORT_WAIT)
            raise
        pool.shutdown()
        return self.report

    def _wait_until_below(self, limit: int) -> None:
        """Wait until fewer files than that are under way. Raises what ends it all."""
        with self._changed:
            self._changed.wait_for(lambda: self._fatal is not None or self._under_way < limit)
            if self._fatal is not None:
                raise self._fatal

    def _done(self, path: str, future: Future[tuple[bool, int]]) -> None:
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
            self._failed(path, error)
        except BaseException as error:
            self._end(error)
        with self._changed:
            self._under_way -= 1
            self._changed.notify_all()

    def _failed(self, path: str, error: Exception) -> None:
        if isinstance(error, Stopped) or self.interrupt.is_set():
            return  # it is being ended, and this file is not to blame
        logger.warning("%r was not transferred: %s", path, reason(error))
        with self._changed:
            self.report.failed += 1
            if len(self.report.failures) < FAILURES_KEPT:
                self.report.failures.append(Failure(path, error))
        if self._stop_on_error:
            self._end(error)

    def _end(self, error: BaseException) -> None:
        with self._changed:
            if self._fatal is None:
                self._fatal = error
            self._changed.notify_all()
        self.interrupt.set()
        self.transfer.gate.wake()
