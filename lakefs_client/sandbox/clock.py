"""The sandbox's time, which tests may move."""

from __future__ import annotations

import time
from datetime import datetime, timezone


class Clock:
    """Calling it gives Unix time in seconds; `advance` moves it without waiting.

    Everything in the sandbox that expires reads this clock, and so does the `Date` header of its
    answers, so that clients which reckon by the server's time see one consistent world.
    """

    def __init__(self) -> None:
        self._offset = 0.0

    def __call__(self) -> float:
        return time.time() + self._offset

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass at once."""
        self._offset += seconds


def timestamp(seconds: float) -> str:
    """A time as the API shows it."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat().replace("+00:00", "Z")
