"""The sandbox's time, which tests may move, and what is made from it."""

from __future__ import annotations

import base64
import itertools
import os
import time
from datetime import datetime, timezone

_PROCESS = os.urandom(5)
_counter = itertools.count(int.from_bytes(os.urandom(2), "big"))


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


def new_id(now: float) -> str:
    """An id of lakeFS's shape: it sorts after those made before, by process and second."""
    count = next(_counter) & 0xFFFFFF
    data = int(now).to_bytes(4, "big") + _PROCESS + count.to_bytes(3, "big")
    return base64.b32hexencode(data).decode().lower()[:20]


def made_at(identifier: str) -> int:
    """The Unix time at which `new_id` made an id; ValueError where it is none of ours."""
    if len(identifier) != 20:
        raise ValueError(identifier)
    return int.from_bytes(base64.b32hexdecode(identifier.upper() + "====")[:4], "big")
