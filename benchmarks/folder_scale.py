"""Memory, threads, open files and listing pages of a folder of many files.

Each function takes the address of the stand-in server, a folder to work in, and the number of
files. It returns seconds of wall time, MiB of peak memory above the imported library, the highest
numbers of threads and of open files and sockets, and the number of listing pages.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from time import perf_counter
from typing import Any
from urllib.request import urlopen

from folder_peers import transfer_of
from upload import restart_peak, status_of

SIZE = 100
_EACH = 1000


def upload(url: str, folder: str, files: str) -> dict[str, float]:
    """Upload files of which half are in one folder, and the others in folders of 1,000."""
    source = os.path.join(folder, "source")
    if not os.path.isdir(source):
        _fill(source, int(files))
    return _watched(
        lambda transfer: transfer.upload_directory(source, "hashed", "main", "up"), url, int(files)
    )


def download(url: str, folder: str, files: str) -> dict[str, float]:
    """Download a folder, or compare its files if they are there already."""
    target, repository = os.path.join(folder, "target"), f"folder-{files}-{SIZE}"
    return _watched(
        lambda transfer: transfer.download_directory(repository, "main", "down", target),
        url,
        int(files),
    )


def compare(url: str, folder: str, files: str) -> dict[str, float]:
    """Upload the folder that `download` made; the server has all its files already."""
    target, repository = os.path.join(folder, "target"), f"folder-{files}-{SIZE}"
    return _watched(
        lambda transfer: transfer.upload_directory(target, repository, "main", "down"),
        url,
        int(files),
    )


def _fill(source: str, files: int) -> None:
    for number in range(files):
        name = "all" if number < files // 2 else f"{number // _EACH:04d}"
        folder = os.path.join(source, name)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, f"{number:06d}.bin"), "wb") as file:
            file.write(bytes(SIZE))


def _watched(work: Callable[[Any], Any], url: str, files: int) -> dict[str, float]:
    from lakefs_client import rest  # noqa: F401 (imported for its memory)

    transfer = transfer_of(url)
    pages, over, highest = _listings(url), threading.Event(), [0, 0]

    def watch() -> None:
        while not over.wait(0.01):
            highest[0] = max(highest[0], threading.active_count() - 1)
            highest[1] = max(highest[1], len(os.listdir("/proc/self/fd")) - 1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    before, start = restart_peak(), perf_counter()
    try:
        report = work(transfer)
        seconds, memory = perf_counter() - start, (status_of("VmHWM") - before) / 1024
    finally:
        over.set()
        watcher.join()
    assert report.transferred + report.skipped == files, report
    return {
        "seconds": seconds,
        "memory": memory,
        "threads": highest[0],
        "open files": highest[1],
        "pages": _listings(url) - pages - 1,
    }


def _listings(url: str) -> int:
    """Return the number of requests for a page, or for this number, that the server had."""
    with urlopen(f"{url}/api/v1/repositories/listings") as answer:
        return int(answer.read())
