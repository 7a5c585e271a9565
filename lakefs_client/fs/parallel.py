"""Many requests at a time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any

from lakefs_client.fs._fsspec import DEFAULT_CALLBACK

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CONCURRENCY = 32
"""Requests or files in flight at a time."""


def in_parallel(
    work: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], *, keep_errors: bool = False
) -> list[Any]:
    """Call `work` with each tuple of arguments, and return the results in their order.

    With `keep_errors`, an exception is the result of its call. Otherwise the first one ends the
    calls that have not begun, and is raised.
    """

    def call(one: tuple[Any, ...]) -> Any:
        try:
            return work(*one)
        except Exception as error:
            if not keep_errors:
                raise
            return error

    if len(arguments) < 2:
        return [call(one) for one in arguments]
    with ThreadPoolExecutor(min(CONCURRENCY, len(arguments)), "lakefs-client-fs") as pool:
        futures = [pool.submit(call, one) for one in arguments]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in futures]


class _Child:
    """The callback of one file, which ends its transfer once another file has failed."""

    def __init__(self, callback: Any, stopped: threading.Event) -> None:
        self._callback = callback
        self._stopped = stopped

    def set_size(self, size: int) -> None:
        self._callback.set_size(size)

    def relative_update(self, count: int) -> None:
        if self._stopped.is_set():
            raise InterruptedError("another file failed")
        self._callback.relative_update(count)


def transfer_each(
    transfer: Callable[[str, str, Any], Any], pairs: Sequence[tuple[str, str]], callback: Any
) -> None:
    """Call `transfer` with each source, target and callback.

    fsspec's callback counts files, and its children count the bytes of one. It is called by this
    thread alone. The first exception ends the transfers under way, and is raised.
    """
    callback = DEFAULT_CALLBACK if callback is None else callback
    callback.set_size(len(pairs))
    stopped = threading.Event()
    children = [callback.branched(source, target) for source, target in pairs]
    with ThreadPoolExecutor(min(CONCURRENCY, len(pairs) or 1), "lakefs-client-fs") as pool:
        futures = [
            pool.submit(transfer, source, target, _Child(child, stopped))
            for (source, target), child in zip(pairs, children)
        ]
        try:
            for future in as_completed(futures):
                future.result()
                callback.relative_update(1)
        except BaseException:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    for child in children:
        child.close()
