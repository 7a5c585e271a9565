"""Progress on stderr: a bar on a terminal, elsewhere a line every ten seconds."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import nullcontext
from importlib.util import find_spec

from lakefs_client.cli._output import as_size, is_terminal, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import Any

    from typing_extensions import Self

    from lakefs_client.cli._app import App

INTERVAL = 10.0
"""Seconds between two lines. CI systems end jobs that are silent for long."""


def progress(app: App, what: str) -> AbstractContextManager[Any]:
    """Return a context whose value a transfer takes as its `progress` argument.

    Args:
        app: The run of the program.
        what: The beginning of each line.
    """
    if app.options.quiet or app.options.no_progress:
        return nullcontext()
    # The bar of the library needs tqdm, of the extra [cli].
    if is_terminal(sys.stderr) and find_spec("tqdm") is not None:
        return nullcontext(True)
    return Lines(what)


class Lines:
    """A line from time to time, for the log of a job.

    Args:
        what: The beginning of each line.
        interval: Seconds between two lines.
    """

    def __init__(self, what: str, interval: float = INTERVAL) -> None:
        self._what = what
        self._interval = interval
        self._size: int | None = None
        self._done = 0
        self._ended = threading.Event()
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        threading.Thread(target=self._run, name="lakefs-client-progress", daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ended.set()

    def set_size(self, size: int) -> None:
        """Set the number of bytes in all."""
        self._size = size

    def relative_update(self, count: int) -> None:
        """Add bytes to those that are transferred."""
        self._done += count

    def _run(self) -> None:
        while not self._ended.wait(self._interval):
            say(self.line())

    def line(self) -> str:
        """Return the line for this moment."""
        rate = self._done / max(time.monotonic() - self._began, 1e-9)
        of = f" of {as_size(self._size)}" if self._size else ""
        return f"{self._what}: {as_size(self._done)}{of}, {as_size(rate)}/s"
