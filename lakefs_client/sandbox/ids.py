"""Identifiers of lakeFS's shape: 20 characters that begin with the second they were made in."""

from __future__ import annotations

import base64
import itertools
import os

_PROCESS = os.urandom(5)
_counter = itertools.count(int.from_bytes(os.urandom(2), "big"))


def new_id(now: float) -> str:
    """Return an id that sorts after those made before, in this process or in earlier seconds."""
    count = next(_counter) & 0xFFFFFF
    data = int(now).to_bytes(4, "big") + _PROCESS + count.to_bytes(3, "big")
    return base64.b32hexencode(data).decode().lower()[:20]


def made_at(identifier: str) -> int:
    """Return the Unix time at which `new_id` was called.

    Raises:
        ValueError: It is none of our ids.
    """
    if len(identifier) != 20:
        raise ValueError(identifier)
    return int.from_bytes(base64.b32hexdecode(identifier.upper() + "====")[:4], "big")
