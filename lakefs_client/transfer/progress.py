"""Progress reports to the caller."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from lakefs_client import _process
from lakefs_client.exceptions import ApiTypeError
from lakefs_client.transfer.errors import CallbackError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class SizedCallback(Protocol):
        """The methods of an fsspec callback that transfers call."""

        def set_size(self, size: int, /) -> object: ...
        def relative_update(self, inc: int, /) -> object: ...

    class UpdatedBar(Protocol):
        """The method of a progress bar, of tqdm for example, that transfers call."""

        def update(self, count: int, /) -> object: ...

    ProgressCallback = Callable[[int], object] | SizedCallback | UpdatedBar | bool

MAX_BACKLOG = 64
"""Number of undelivered reports; further ones are added to the last."""


class Progress:
    """A count of transferred bytes, which is reported to the caller's callback.

    Attributes:
        total: Bytes counted so far.
    """

    def __init__(self, reporter: Reporter | None, *, whole: bool = True) -> None:
        self._reporter = reporter
        self._whole = whole
        self._lock = threading.Lock()
        self.total = 0
        _process.register(self)

    @classmethod
    def to(cls, callback: ProgressCallback | None) -> Progress:
        """Return a progress that reports to a callback, or to nobody if it is None.

        Raises:
            ApiTypeError: It is not a callback.
        """
        return cls(None if callback is None else Reporter(callback))

    def part(self) -> Progress:
        """Return a count of its own, for one file of many, that reports to the same callback."""
        return Progress(self._reporter, whole=False)

    def set_size(self, size: int) -> None:
        """Report the total number of bytes, unless this is one file of many. Raises as `add`."""
        if self._reporter is not None and self._whole:
            self._reporter.post_size(size)

    def add(self, count: int) -> None:
        """Report `count` more bytes; a negative count takes back bytes of a failed attempt.

        Raises:
            CallbackError: The callback raised an exception.
        """
        if self._reporter is None or not count:
            return
        with self._lock:
            self.total += count
            self._reporter.post(count)
        if count < 0:
            self._reporter.flush()  # a callback that raises stops the next attempt

    def flush(self) -> None:
        """Wait until every report is delivered. Raises as `add`.

        One file of many does not wait for the reports of the others.
        """
        if self._reporter is not None and self._whole:
            self._reporter.flush()

    def close(self) -> None:
        """Drop the reports that are not delivered."""
        if self._reporter is not None:
            self._reporter.close()

    def abandon(self) -> object:
        """Let go of the lock and the callback, which belong to the parent process."""
        former = (self._reporter, self._lock)
        self._reporter, self._lock = None, threading.Lock()
        return former


class Reporter:
    """A thread that calls the caller's callback, one report at a time.

    The callback runs in no thread that the transfer waits for, and without its locks, so it may
    use the same `Transfer`. It is not called again after it raised.

    Raises:
        ApiTypeError: The callback is not callable, and has no `relative_update` or `update`.
    """

    def __init__(self, callback: ProgressCallback) -> None:
        self._set_size: Any = getattr(callback, "set_size", None) or _total_of(callback)
        self._update: Any = next(
            (
                method
                for method in (
                    getattr(callback, "relative_update", None),
                    callback,
                    getattr(callback, "update", None),
                )
                if callable(method)
            ),
            None,
        )
        if self._update is None:
            raise ApiTypeError(
                "progress must be callable, or have relative_update or update: "
                f"got {type(callback).__name__}"
            )
        self._changed = threading.Condition()
        self._reports: deque[tuple[Any, int]] = deque()
        self._delivering = self._closed = False
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def post_size(self, size: int) -> None:
        """Queue a report of the total size, if the callback takes it. Raises CallbackError."""
        if self._set_size is not None:
            self._post(self._set_size, size)

    def post(self, count: int) -> None:
        """Queue a report of more bytes. Raises CallbackError."""
        self._post(self._update, count)

    def flush(self) -> None:
        """Wait until every report is delivered. Raises CallbackError."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._reports or self._delivering))
            self._raise_error()

    def close(self) -> None:
        """Drop the queued reports, and end the thread."""
        with self._changed:
            self._closed = True
            self._reports.clear()
            self._changed.notify_all()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise CallbackError(self._error) from self._error

    def _post(self, method: Any, number: int) -> None:
        with self._changed:
            self._raise_error()
            if self._closed:
                return
            if len(self._reports) >= MAX_BACKLOG and self._reports[-1][0] is method is self._update:
                number += self._reports.pop()[1]
            self._reports.append((method, number))
            self._changed.notify_all()
            if self._thread is not None:
                return
            self._thread = threading.Thread(
                target=self._run, name="lakefs-client-progress", daemon=True
            )
            try:
                self._thread.start()
                return
            except RuntimeError:  # the interpreter is exiting
                self._thread = None
        while self._deliver():
            pass
        self.flush()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._reports or self._closed)
                if not self._reports:
                    return
            self._deliver()

    def _deliver(self) -> bool:
        """Deliver the oldest report. Return False if there is none."""
        with self._changed:
            if not self._reports:
                return False
            method, number = self._reports.popleft()
            self._delivering = True
        error: BaseException | None = None
        try:
            method(number)
        except BaseException as raised:
            error = raised
        with self._changed:
            self._delivering = False
            if error is not None:
                self._error, self._closed = error, True
                self._reports.clear()
            self._changed.notify_all()
        return True


def _total_of(bar: Any) -> Callable[[int], object] | None:
    """Return a function that sets the total of a bar of tqdm, or None if the caller has set it."""
    if not hasattr(bar, "update") or getattr(bar, "total", 0) is not None:
        return None

    def set_total(size: int) -> None:
        bar.total = size
        if hasattr(bar, "refresh"):
            bar.refresh()

    return set_total
