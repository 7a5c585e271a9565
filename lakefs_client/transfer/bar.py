"""The progress bar of ``progress=True``: tqdm on a terminal or in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakefs_client.exceptions import ApiValueError

if TYPE_CHECKING:
    from collections.abc import Callable

_UNIT = {"unit": "B", "unit_scale": True}


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
        if self._bar is None:
            self._bar = self._make(total=size, **_UNIT)
        self._bar.total = size
        self._update(0)

    def relative_update(self, count: int) -> None:
        """Add `count` bytes."""
        if self._bar is None:
            self._bar = self._make(**_UNIT)
        if self._files:
            self._bar.set_postfix_str(f"{self._files} files", refresh=False)
        self._update(count)

    def count_file(self) -> None:
        """Count a file of a directory, which the next update shows."""
        self._files += 1

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            if self._files:
                self._bar.set_postfix_str(f"{self._files} files", refresh=False)
            self._fit()
            self._bar.refresh()
            self._bar.close()

    def _update(self, count: int) -> None:
        if self._bar.update(count):  # True if tqdm has drawn the bar
            self._fit()

    def _fit(self) -> None:
        """Tell the widget of a notebook the total, which tqdm passes on only when it makes one."""
        widget = getattr(self._bar, "container", None)
        if widget is not None and self._bar.total is not None:
            widget.children[1].max = self._bar.total
