"""Memory, threads, open files and listing pages of transfers of many files.

Each function takes the address of the stand-in server, a working folder and the number of files.
It returns seconds of wall time, MiB of peak memory above the imported library, the maximum numbers
of threads and of open files and sockets, and the number of listing pages.
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
_PER_FOLDER = 1000


def upload(url: str, folder: str, files: str) -> dict[str, float]:
    """Upload files: half of them in one folder, the others in folders of 1,000."""
    source = os.path.join(folder, "source")
    if not os.path.isdir(source):
        _fill(source, int(files))
    return _measure(
        lambda transfer: transfer.upload_directory(source, "hashed", "main", "up"), url, int(files)
    )


def download(url: str, folder: str, files: str) -> dict[str, float]:
    """Download a folder, or compare its files if they exist."""
    target, repository = os.path.join(folder, "target"), f"folder-{files}-{SIZE}"
    return _measure(
        lambda transfer: transfer.download_directory(repository, "main", "down", target),
        url,
        int(files),
    )


def compare(url: str, folder: str, files: str) -> dict[str, float]:
    """Upload the folder of `download`; the server has all its files."""
    target, repository = os.path.join(folder, "target"), f"folder-{files}-{SIZE}"
    return _measure(
        lambda transfer: transfer.upload_directory(target, repository, "main", "down"),
        url,
        int(files),
    )


def _fill(source: str, files: int) -> None:
    for number in range(files):
        name = "all" if number < files // 2 else f"{number // _PER_FOLDER:04d}"
        folder = os.path.join(source, name)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, f"{number:06d}.bin"), "wb") as file:
            file.write(bytes(SIZE))


def _measure(work: Callable[[Any], Any], url: str, files: int) -> dict[str, float]:
    from lakefs_client import rest  # noqa: F401 (imported for its memory)

    transfer = transfer_of(url)
    pages, done, maximum = _listings(url), threading.Event(), [0, 0]

    def watch() -> None:
        while not done.wait(0.01):
            maximum[0] = max(maximum[0], threading.active_count() - 1)
            maximum[1] = max(maximum[1], len(os.listdir("/proc/self/fd")) - 1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    before, start = restart_peak(), perf_counter()
    try:
        report = work(transfer)
        seconds, memory = perf_counter() - start, (status_of("VmHWM") - before) / 1024
    finally:
        done.set()
        watcher.join()
    assert report.transferred + report.skipped == files, report
    return {
        "seconds": seconds,
        "memory": memory,
        "threads": maximum[0],
        "open files": maximum[1],
        "pages": _listings(url) - pages - 1,
    }


def _listings(url: str) -> int:
    """Return the server's count of requests for a page or for this count."""
    with urlopen(f"{url}/api/v1/repositories/listings") as answer:
        return int(answer.read())
