"""The progress bar of ``progress=True``: tqdm on a terminal or in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakefs_client.exceptions import ApiValueError

if TYPE_CHECKING:
    from collections.abc import Callable


class ProgressBar:
    """A bar of tqdm, which appears with the first report.

    Raises:
        ApiValueError: tqdm is not installed.
    """

    def __init__(self) -> None:
        try:
            from tqdm.auto import tqdm  # type: ignore[import-untyped]
        except ImportError:
            raise ApiValueError(
                "progress=True requires tqdm. Install lakefs_client[progress], or pass a callback"
            ) from None
        self._make: Callable[..., Any] = tqdm
        self._bar: Any = None
        self._files = 0

    def set_size(self, size: int) -> None:
        """Set the number of bytes in total."""
        bar = self._shown()
        bar.total = size
        bar.refresh()

    def relative_update(self, count: int) -> None:
        """Add `count` bytes."""
        bar = self._shown()
        if self._files:
            bar.set_postfix_str(f"{self._files} files", refresh=False)
        bar.update(count)

    def count_file(self) -> None:
        """Count a file of a directory, which the next update shows."""
        self._files += 1

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            if self._files:
                self._bar.set_postfix_str(f"{self._files} files")
            self._bar.close()

    def _shown(self) -> Any:
        if self._bar is None:
            self._bar = self._make(unit="B", unit_scale=True)
        return self._bar
