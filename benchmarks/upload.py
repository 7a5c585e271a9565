"""CPU seconds per GiB, and peak memory, of uploads to a server that discards them."""

from __future__ import annotations

import hashlib
import mmap
import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import process_time
from typing import Any
from urllib.parse import urlsplit

MIB, GIB = 1 << 20, 1 << 30
PART = 16 * MIB
THREADS = 4
_WARM_UP = 4 * PART
_REPETITIONS = 4


def per_gib(upload: Callable[[int], Any], file: str) -> float:
    """Return the CPU seconds per GiB of the fastest `upload(size)`, after a warm-up."""
    size = os.path.getsize(file)
    upload(min(size, _WARM_UP))
    best = float("inf")
    for _ in range(_REPETITIONS):
        start = process_time()
        upload(size)
        best = min(best, process_time() - start)
    return best * GIB / size


def in_threads(put: Callable[[int, int], Any], size: int) -> None:
    with ThreadPoolExecutor(THREADS) as workers:
        for _ in workers.map(
            lambda offset: put(offset, min(PART, size - offset)), range(0, size, PART)
        ):
            pass


class _Windows(threading.local):
    """A window of page-aligned memory per thread."""

    def __init__(self) -> None:
        self.view = memoryview(mmap.mmap(-1, MIB))

    def of(self, descriptor: int, offset: int, length: int) -> Iterator[memoryview]:
        for done in range(0, length, MIB):
            window = self.view[: min(MIB, length - done)]
            os.preadv(descriptor, [window], offset + done)
            yield window


def pool_of(ca: str) -> Any:
    import urllib3

    trust = {"ca_certs": ca} if ca else {}
    return urllib3.PoolManager(maxsize=THREADS, retries=False, **trust)


def upload_floor(url: str, ca: str, file: str) -> float:
    """Upload with urllib3 and positioned reads into windows."""
    pool, windows = pool_of(ca), _Windows()
    with open(file, "rb", buffering=0) as source:

        def put(offset: int, length: int) -> None:
            response = pool.request(
                "PUT",
                f"{url}/store/bare/{offset}",
                body=windows.of(source.fileno(), offset, length),
                headers={"Content-Length": str(length)},
            )
            assert response.status == 200

        return per_gib(lambda size: in_threads(put, size), file)


def upload_mapped(url: str, ca: str, file: str) -> float:
    """Upload with urllib3 and a memory map per part."""
    pool = pool_of(ca)
    with open(file, "rb", buffering=0) as source:

        def put(offset: int, length: int) -> None:
            with (
                mmap.mmap(source.fileno(), length, offset=offset, access=mmap.ACCESS_READ) as map_,
                memoryview(map_) as view,
            ):
                response = pool.request(
                    "PUT",
                    f"{url}/store/bare/{offset}",
                    body=view,
                    headers={"Content-Length": str(length)},
                )
                assert response.status == 200

        return per_gib(lambda size: in_threads(put, size), file)


def upload_sendfile(url: str, ca: str, file: str) -> float:
    """Upload with sendfile on plain sockets, which excludes TLS and checksums."""
    address = urlsplit(url)
    local = threading.local()
    with open(file, "rb", buffering=0) as source:

        def put(offset: int, length: int) -> None:
            if not hasattr(local, "sock"):
                local.sock = socket.create_connection((address.hostname, address.port))
            sock = local.sock
            sock.sendall(
                f"PUT /store/bare/{offset} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n".encode()
            )
            end = offset + length
            while offset < end:
                offset += os.sendfile(sock.fileno(), source.fileno(), offset, end - offset)
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += sock.recv(4096)

        return per_gib(lambda size: in_threads(put, size), file)


def upload_md5(url: str, ca: str, file: str) -> float:
    """Compute the MD5s of the parts, window by window, in the upload's number of threads."""
    # In memory, so that reads do not count twice; larger than the processor's caches.
    with open(file, "rb", buffering=0) as source:
        content = memoryview(source.read(256 * MIB))

    def hash_(offset: int, length: int) -> None:
        digest = hashlib.md5(usedforsecurity=False)
        for start in range(offset, offset + length, MIB):
            digest.update(content[start % len(content) :][:MIB])

    return per_gib(lambda size: in_threads(hash_, size), file)


def transfer_of(url: str, ca: str, part: int, verify: bool) -> Any:
    import lakefs_client
    from lakefs_client.transfer import Transfer, TransferConfig

    configuration = lakefs_client.Configuration(
        host=f"{url}/api/v1", username="key", password="secret", ssl_ca_cert=ca or None
    )
    return Transfer(
        lakefs_client.ApiClient(configuration),
        TransferConfig(part_size=part, max_concurrency=THREADS, verify=verify),
    )


def _client(url: str, ca: str, file: str, verify: bool) -> float:
    transfer = transfer_of(url, ca, PART, verify)
    with open(f"{file}.warm-up", "wb") as warm_up:
        warm_up.truncate(_WARM_UP)
    whole = os.path.getsize(file)

    def upload(size: int) -> None:
        source = file if size == whole else warm_up.name
        transfer.upload_file(source, "hashed" if verify else "opaque", "main", "object")

    return per_gib(upload, file)


def upload_client(url: str, ca: str, file: str) -> float:
    """Upload with `Transfer.upload_file`, without verification."""
    return _client(url, ca, file, verify=False)


def upload_verified(url: str, ca: str, file: str) -> float:
    """Upload with `Transfer.upload_file` and default settings."""
    return _client(url, ca, file, verify=True)


def peak(url: str, ca: str, size: str, part: str) -> float:
    """Return the MiB that an upload of a sparse file adds to the imported library at its peak."""
    import tempfile

    from lakefs_client import rest  # noqa: F401 (imported for its memory)

    transfer = transfer_of(url, ca, int(part), verify=False)
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(int(size))
        before = restart_peak()
        transfer.upload_file(file.name, "opaque", "main", "object")
        return (status_of("VmHWM") - before) / 1024


def restart_peak() -> int:
    """Reset the peak of resident memory; return the current value in KiB."""
    with open("/proc/self/clear_refs", "w") as control:
        control.write("5")
    return status_of("VmRSS")


def status_of(name: str) -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(f"{name}:"))
