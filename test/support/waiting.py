"""Waiting for what happens soon, on a server or in another thread."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 60.0
"""Seconds until a test fails that waits."""


def eventually(happens: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + PATIENCE
    pause = 0.001
    while not happens():
        assert time.monotonic() < end, f"not within {PATIENCE:.0f} s"
        time.sleep(pause)
        pause = min(2 * pause, 0.2)
