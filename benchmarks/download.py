"""CPU seconds per GiB of downloads to a file, from a server that generates the bytes."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from upload import MIB, PART, in_threads, per_gib, pool_of, transfer_of


def _to_new_file(receive: Callable[[str, int], Any], like: str) -> float:
    """Return the seconds per GiB of `receive(target, size)`, each time to a new file."""
    target = f"{like}.download"

    def download(size: int) -> None:
        receive(target, size)
        assert os.path.getsize(target) == size
        os.unlink(target)

    return per_gib(download, like)


def download_floor(url: str, ca: str, file: str) -> float:
    """Download with urllib3 and positioned writes."""
    pool = pool_of(ca)

    def receive(target: str, size: int) -> None:
        with open(target, "wb", buffering=0) as sink:

            def get(offset: int, length: int) -> None:
                response = pool.request(
                    "GET",
                    f"{url}/store/{size}",
                    headers={"Range": f"bytes={offset}-{offset + length - 1}"},
                    preload_content=False,
                )
                assert response.status == 206
                while window := response.read(MIB):
                    os.pwrite(sink.fileno(), window, offset)
                    offset += len(window)
                response.release_conn()

            in_threads(get, size)

    return _to_new_file(receive, file)


def download_client(url: str, ca: str, file: str) -> float:
    """Download with `Transfer.download_file`, without verification."""
    transfer = transfer_of(url, ca, PART, verify=False)
    return _to_new_file(
        lambda target, size: transfer.download_file("opaque", "main", str(size), target), file
    )
