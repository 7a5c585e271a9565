"""One call of a `Transfer`: its log lines, its progress, and its end when the interpreter exits."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from typing import TYPE_CHECKING

from lakefs_client import _process
from lakefs_client._redact import printable
from lakefs_client.observe import TransferEvent, observed
from lakefs_client.rest import Cancellation
from lakefs_client.transfer.bar import ProgressBar
from lakefs_client.transfer.errors import CallbackError, unwrap
from lakefs_client.transfer.pool import CANCEL_WAIT
from lakefs_client.transfer.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from lakefs_client.transfer.progress import ProgressCallback

    T = TypeVar("T")

logger = logging.getLogger("lakefs_client.transfer")


class _ActiveCalls:
    """The calls that run now, with an event that each sets at its end."""

    def __init__(self) -> None:
        self.calls: dict[Cancellation, threading.Event] = {}
        _process.register(self)

    def abandon(self) -> object:
        """Forget the calls of the parent process."""
        former, self.calls = self.calls, {}
        return former

    def cancel(self) -> None:
        """Cancel the calls of daemon threads, which would end halfway, and wait for their end.

        Python has waited for all other threads before.
        """
        calls = [*self.calls.items()]
        for cancellation, _ in calls:
            cancellation.set()
        deadline = time.monotonic() + CANCEL_WAIT
        for _, ended in calls:
            ended.wait(max(0.0, deadline - time.monotonic()))


_active = _ActiveCalls()
atexit.register(_active.cancel)


class Call:
    """One call of a `Transfer`.

    Args:
        callback: The caller's progress callback. True shows a bar.

    Attributes:
        progress: Receives the bytes transferred.
        bar: The bar, or None.
        cancellation: Cancels the call.

    Raises:
        ApiTypeError: `callback` is not a callback.
        ApiValueError: A bar requires tqdm, which is not installed.
    """

    def __init__(self, callback: ProgressCallback | None) -> None:
        self.bar = ProgressBar() if callback is True else None
        self.progress = Progress.to(self.bar if isinstance(callback, bool) else callback)
        self.cancellation = Cancellation()

    def run(self, description: str, work: Callable[[], T]) -> T:
        """Run the transfer. Log its start and its end, and deliver its progress before it ends."""
        started = time.monotonic()
        description = printable(description)
        logger.info("%s", description)
        ended = _active.calls[self.cancellation] = threading.Event()
        try:
            with observed(TransferEvent(description)):
                result = work()
            self.progress.flush()
            logger.info("%s: done in %.1f s", description, time.monotonic() - started)
            return result
        except CallbackError as error:
            raised = unwrap(error)
        except BaseException as error:
            outcome = getattr(error, "outcome", type(error).__name__)
            logger.info("%s: failed, %s", description, outcome)
            raise
        finally:
            self.progress.close()
            if self.bar is not None:
                self.bar.close()
            _active.calls.pop(self.cancellation, None)
            ended.set()
        logger.info("%s: stopped by its progress callback", description)
        raise raised  # outside of the handler, so that it keeps its own context
