"""Progress reports to the caller."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from lakefs_client.exceptions import ApiTypeError
from lakefs_client.transfer.errors import CallbackError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class SizedCallback(Protocol):
        """The methods of an fsspec callback that transfers call."""

        def set_size(self, size: int, /) -> object: ...
        def relative_update(self, inc: int, /) -> object: ...

    ProgressCallback = Callable[[int], object] | SizedCallback


class Progress:
    """A count of transferred bytes that is passed on to the caller's callback.

    The callback is a callable that takes a number of bytes, or an fsspec callback with `set_size`
    and `relative_update`. It is not called again after it raised.

    Attributes:
        total: Bytes reported so far.

    Raises:
        ApiTypeError: The callback is neither.
    """

    def __init__(self, callback: ProgressCallback | None) -> None:
        self._set_size = getattr(callback, "set_size", None)
        self._callback: Any = getattr(callback, "relative_update", callback)
        if callback is not None and not callable(self._callback):
            raise ApiTypeError("progress must be callable, or have set_size and relative_update")
        self._lock = threading.Lock()
        self.total = 0

    def set_size(self, size: int) -> None:
        """Report the total number of bytes. Raises as `add`."""
        if self._set_size is not None:
            with self._lock:
                self._report(self._set_size, size)

    def add(self, count: int) -> None:
        """Report `count` more bytes; a negative count takes back bytes of a failed attempt.

        Raises:
            CallbackError: The callback raised an exception.
        """
        if self._callback is None or not count:
            return
        with self._lock:
            self.total += count
            self._report(self._callback, count)

    def _report(self, callback: Callable[[int], object], number: int) -> None:
        if self._callback is None:
            return  # the callback raised in another thread
        try:
            callback(number)
        except BaseException as error:
            self._callback = None
            raise CallbackError(error) from error
