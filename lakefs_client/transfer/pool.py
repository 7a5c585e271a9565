"""Worker threads of a transfer."""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from typing import TYPE_CHECKING, Any

from lakefs_client import _process

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    T = TypeVar("T")

    _Submitted = tuple[Future[Any], Callable[[], Any]]

CANCEL_WAIT = 10.0
"""Seconds to wait for work in progress after a cancellation."""


class WorkerPool:
    """Up to `size` daemon threads that run calls in the order in which they are submitted.

    `concurrent.futures` refuses work when the interpreter exits, and then waits for its threads
    without a limit. These threads do neither. If no thread can start, `submit` runs the call.
    """

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._changed = threading.Condition()
        self._calls: deque[_Submitted] = deque()
        self._threads = 0
        self._idle = 0
        self._closed = False
        _process.register(self)

    def submit(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a call on a worker thread, as soon as one is free."""
        future: Future[T] = Future()
        with self._changed:
            if self._closed:
                raise RuntimeError("the pool accepts no more calls")
            # The span of the transfer, for instance, is a context variable.
            context = contextvars.copy_context()
            self._calls.append((future, lambda: context.run(call, *args, **kwargs)))
            if self._idle >= len(self._calls):
                self._changed.notify()
                return future
            started = self._threads < self._size and self._start()
        if not started and not self._threads:
            self._run(self._take(wait=False))
        return future

    def finish(self) -> None:
        """Accept no more calls. The threads end when every submitted call is done."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def close(self) -> None:
        """Cancel the calls that have not started. The threads end with their current call."""
        with self._changed:
            calls = [*self._calls]
            self._calls.clear()
        self.finish()
        for future, _ in calls:
            future.cancel()
            future.set_running_or_notify_cancel()

    def abandon(self) -> object:
        """Leave the calls to the parent process, whose threads this process lacks."""
        former = (self._changed, self._calls)
        self._changed, self._calls = threading.Condition(), deque()
        self._threads = self._idle = 0
        self._closed = True
        return former

    def _start(self) -> bool:
        """Start one more thread. Return False if the interpreter or the system refuses."""
        thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return False
        self._threads += 1
        return True

    def _work(self) -> None:
        while (taken := self._take(wait=True)) is not None:
            self._run(taken)
            del taken  # a thread that waits keeps nothing alive

    def _take(self, *, wait: bool) -> _Submitted | None:
        """Return the next call; None without one or, with `wait`, once the pool is closed."""
        with self._changed:
            if wait and not self._calls:
                self._idle += 1
                self._changed.wait_for(lambda: self._calls or self._closed)
                self._idle -= 1
            return self._calls.popleft() if self._calls else None

    @staticmethod
    def _run(submitted: _Submitted | None) -> None:
        if submitted is None:
            return  # another thread took the call
        future, call = submitted
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)


def first_failure(futures: Collection[Future[Any]]) -> None:
    """Wait until every future is done or one failed, and raise the first failure."""
    for future in wait(futures, return_when=FIRST_EXCEPTION).done:
        future.result()
