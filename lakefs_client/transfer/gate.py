"""How many requests to the store are under way at a time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Gate:
    """Lets so many in at a time: half as many once the store asks to slow down, and one more
    for every round without such a wish, up to `most`, as TCP does (AIMD)."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = float(most)
        self._inside = 0
        self.halvings = 0
        self._changed = threading.Condition()

    @property
    def limit(self) -> int:
        """How many are let in now."""
        return int(self._limit)

    def enter(self, given_up: Callable[[], bool] = bool) -> int | None:
        """Wait for a place, and take it. Returns what `leave` wants to have back; None where the
        wait was given up, which is asked anew after `wake`."""
        with self._changed:
            while self._inside >= self.limit:
                if given_up():
                    return None
                self._changed.wait()
            self._inside += 1
            return self.halvings

    def leave(self, ticket: int, *, slow_down: bool = False) -> None:
        """Give a place back, and tell whether the store asked to slow down."""
        with self._changed:
            self._inside -= 1
            if not slow_down:
                self._limit = min(self._most, self._limit + 1 / self._limit)
            elif ticket == self.halvings:
                # Requests that were under way together are one wish, not one each.
                self.halvings += 1
                self._limit = max(1.0, self._limit / 2)
            self._changed.notify(2)  # the place that is free, and one that may have come

    def wake(self) -> None:
        """Have those who wait ask again whether to."""
        with self._changed:
            self._changed.notify_all()
