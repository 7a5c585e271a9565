"""The sandbox's clock, and the timestamps and ids that derive from it."""

from __future__ import annotations

import base64
import itertools
import os
import time
from datetime import datetime, timezone

_PROCESS = os.urandom(5)
_counter = itertools.count(int.from_bytes(os.urandom(2), "big"))


class Clock:
    """A clock that tests can move. Calling the clock returns Unix time in seconds.

    URLs, addresses and tokens expire by this clock, and the `Date` header of responses follows it.
    A client that relies on the server's time therefore sees consistent times.
    """

    def __init__(self) -> None:
        self._offset = 0.0

    def __call__(self) -> float:
        return time.time() + self._offset

    def advance(self, seconds: float) -> None:
        """Move the clock forward by `seconds`."""
        self._offset += seconds


def timestamp(seconds: float) -> str:
    """Return a Unix time in the API's format."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat().replace("+00:00", "Z")


def new_id(now: float) -> str:
    """Return an id in lakeFS's format. Within a process, ids sort by creation."""
    count = next(_counter) & 0xFFFFFF
    data = int(now).to_bytes(4, "big") + _PROCESS + count.to_bytes(3, "big")
    return base64.b32hexencode(data).decode().lower()[:20]


def creation_time(identifier: str) -> int:
    """Return the Unix time at which `new_id` made the id. Raise ValueError for other ids."""
    if len(identifier) != 20:
        raise ValueError(identifier)
    return int.from_bytes(base64.b32hexdecode(identifier.upper() + "====")[:4], "big")
