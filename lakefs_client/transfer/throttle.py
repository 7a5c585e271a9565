"""A limit of concurrent requests that follows the store's capacity."""

from __future__ import annotations

import threading
from copy import copy
from math import ceil
from typing import TYPE_CHECKING

from lakefs_client import _process

if TYPE_CHECKING:
    from collections.abc import Callable

_ROUNDING = 1e-6


class Throttle:
    """Limit concurrent requests (AIMD): halve the limit when the store throttles, then grow it
    by one per successful round, up to `maximum`.

    Requests for small files take a smaller share of the limit than parts; see `light`.

    Args:
        maximum: Largest number of concurrent requests.
        light: Largest number of concurrent requests through `light`, at least `maximum`.
    """

    def __init__(self, maximum: int, light: int | None = None) -> None:
        self._maximum = light or maximum
        self._weight = self._maximum / maximum
        self._shared = _Shared(self._maximum)

    @property
    def light(self) -> Throttle:
        """The same throttle for requests of which more may run, since each transfers little."""
        light = copy(self)
        light._weight = 1.0
        return light

    @property
    def limit(self) -> int:
        """The number of requests that may run now."""
        return max(1, int(self._shared.limit / self._weight))

    @property
    def active(self) -> int:
        """The number of requests that run now, light ones included."""
        return self._shared.active

    @property
    def epoch(self) -> int:
        """Number of times the limit was halved. Requests that started in one epoch can halve the
        limit only once."""
        return self._shared.epoch

    def acquire(self, cancelled: Callable[[], bool]) -> int | None:
        """Acquire a slot. Return a token for `release`, or None if cancelled while waiting.

        `cancelled` is checked again after `wake`.
        """
        shared = self._shared
        with shared.changed:
            while shared.active and shared.load + self._weight > shared.limit + _ROUNDING:
                if cancelled():
                    return None
                shared.changed.wait()
            shared.active += 1
            shared.load += self._weight
            return shared.epoch

    def release(self, token: int, *, slow_down: bool = False) -> None:
        """Release a slot. `slow_down` says that the store asked for fewer requests."""
        shared, weight = self._shared, self._weight
        with shared.changed:
            shared.active -= 1
            shared.load = shared.load - weight if shared.active else 0.0
            if not slow_down:
                shared.limit = min(self._maximum, shared.limit + weight * weight / shared.limit)
            elif token == shared.epoch:
                shared.epoch += 1
                shared.limit = max(1.0, shared.limit / 2)
            # The released share, and one request that the limit may have gained.
            shared.changed.notify(1 + ceil(weight))

    def wake(self) -> None:
        """Let every waiting `acquire` check its `cancelled` again."""
        with self._shared.changed:
            self._shared.changed.notify_all()


class _Shared:
    """The state that a throttle shares with its `light`, in units of a light request."""

    def __init__(self, maximum: int) -> None:
        self.limit = float(maximum)
        self.epoch = 0
        self.abandon()
        _process.register(self)

    def abandon(self) -> object:
        """Forget the requests of the parent process, which release no slots here."""
        former = self.__dict__.get("changed")
        self.load = 0.0
        self.active = 0
        self.changed = threading.Condition()
        return former
