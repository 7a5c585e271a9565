"""Time that passes only when the client sleeps."""

from __future__ import annotations

from lakefs_client.rest import Timing


class FakeTime:
    """Clock, sleep and random for `RESTClientObject.timing`.

    Attributes:
        now: The time of the clock, in seconds.
        chance: The value that `random` returns, from 0 to below 1.
        sleeps: The seconds of each sleep.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.chance = 0.5
        self.sleeps: list[float] = []

    @property
    def timing(self) -> Timing:
        """The value for `rest_client.timing`."""
        return Timing(lambda: self.now, self.sleep, lambda: self.chance)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.sleeps.append(seconds)
        self.now += seconds
