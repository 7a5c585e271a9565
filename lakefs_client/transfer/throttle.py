"""A limit of concurrent requests that follows the store's capacity."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Throttle:
    """Limit concurrent requests (AIMD): halve the limit when the store throttles, then grow it
    by one per successful round, up to `maximum`.

    Attributes:
        epoch: Number of times the limit was halved. Requests that started in one epoch can
            halve the limit only once.
    """

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._limit = float(maximum)
        self._active = 0
        self.epoch = 0
        self._changed = threading.Condition()

    @property
    def limit(self) -> int:
        """The number of requests that may run now."""
        return int(self._limit)

    def acquire(self, cancelled: Callable[[], bool]) -> int | None:
        """Acquire a slot. Return a token for `release`, or None if cancelled while waiting.

        `cancelled` is checked again after `wake`.
        """
        with self._changed:
            while self._active >= self.limit:
                if cancelled():
                    return None
                self._changed.wait()
            self._active += 1
            return self.epoch

    def release(self, token: int, *, slow_down: bool = False) -> None:
        """Release a slot. `slow_down` says that the store asked for fewer requests."""
        with self._changed:
            self._active -= 1
            if not slow_down:
                self._limit = min(self._maximum, self._limit + 1 / self._limit)
            elif token == self.epoch:
                self.epoch += 1
                self._limit = max(1.0, self._limit / 2)
            self._changed.notify(2)  # the released slot, and one that the limit may have gained

    def wake(self) -> None:
        """Let every waiting `acquire` check its `cancelled` again."""
        with self._changed:
            self._changed.notify_all()
