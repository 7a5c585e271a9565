"""A minimal stand-in for lakeFS and its store, which discards uploads and generates downloads.

The server runs in a separate process, whose CPU time is not counted. ``python server.py [PEM]``
prints the address of the plain and, with a certificate, of the TLS server. It exits when its stdin
closes.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import socket
import ssl
import sys
import threading
import time
from email.utils import formatdate
from typing import Any, BinaryIO
from urllib.parse import parse_qsl

import documents

# The store computes MD5s for this repository only; other ETags are not MD5s.
HASHED = "hashed"
# The name of a repository with a listing of many files: `folder-COUNT-SIZE`.
FOLDER = "folder-"

_STATUS = {200: b"OK", 201: b"Created", 404: b"Not Found"}
_WINDOW = 1 << 20

_page = documents.compact(documents.page(0, 1000))
_empty_page = documents.compact(documents.listing([], has_more=False))
_repository = documents.compact(documents.REPOSITORY)
_numbers = itertools.count()
_listings = itertools.count()
_sizes: dict[str, int] = {}
_sizes_lock = threading.Lock()


def serve(listener: socket.socket, context: ssl.SSLContext | None) -> None:
    """Accept connections forever, with a thread per connection."""
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=_handle, args=(sock, context), daemon=True).start()


def _handle(sock: socket.socket, context: ssl.SSLContext | None) -> None:
    scheme = "http" if context is None else "https"
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    window = memoryview(bytearray(_WINDOW))
    try:
        if context is not None:
            sock = context.wrap_socket(sock, server_side=True)
        with sock, sock.makefile("rb") as incoming:
            while line := incoming.readline():
                method, target, _ = line.decode().split(" ")
                length, byte_range, host = _read_head(incoming)
                if target.startswith("/store/") and method == "GET":
                    _send_object(sock, target, byte_range, window)
                    continue
                if target.startswith("/store/"):
                    status, etag = 200, _receive_object(incoming, target, length, window)
                    headers, body = f"ETag: {etag}\r\n", b""
                else:
                    # Presigned URLs contain the address that the client used, even a proxy's.
                    origin = f"{scheme}://{host}"
                    status, body = _answer(origin, method, target, incoming.read(length))
                    headers = "Content-Type: application/json\r\n"
                head = (
                    f"Date: {formatdate(usegmt=True)}\r\n{headers}"
                    f"Content-Length: {len(body)}\r\n\r\n"
                )
                sock.sendall(
                    b"HTTP/1.1 %d %s\r\n%s" % (status, _STATUS[status], head.encode() + body)
                )
    except OSError:
        pass  # the client has disconnected


def _read_head(incoming: BinaryIO) -> tuple[int, str, str]:
    """Return Content-Length, Range and Host of a request."""
    length, byte_range, host = 0, "", ""
    while (line := incoming.readline()) not in (b"\r\n", b""):
        name = line[:15].lower()
        if name == b"content-length:":
            length = int(line[15:])
        elif name.startswith(b"range:"):
            byte_range = line[6:].decode().strip()
        elif name.startswith(b"host:"):
            host = line[5:].decode().strip()
    return length, byte_range, host


def _send_object(sock: socket.socket, target: str, byte_range: str, window: memoryview) -> None:
    """Send an object whose name is its size, or a range of it."""
    size = int(target.partition("?")[0].rpartition("/")[2])
    if byte_range:
        first, last = map(int, byte_range.removeprefix("bytes=").split("-"))
        left = last + 1 - first
        sock.sendall(
            b"HTTP/1.1 206 Partial Content\r\nContent-Length: %d\r\n"
            b"Content-Range: bytes %d-%d/%d\r\n\r\n" % (left, first, last, size)
        )
    else:
        left = size
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % left)
    while left:
        count = min(left, len(window))
        sock.sendall(window[:count])
        left -= count


def _receive_object(incoming: Any, target: str, length: int, window: memoryview) -> str:
    path = target.partition("?")[0].removeprefix("/store/")
    hashed = path.startswith(f"{HASHED}/")
    digest = hashlib.md5(usedforsecurity=False)
    left = length
    while left:
        count = incoming.readinto(window[: min(left, len(window))])
        if not count:
            raise ConnectionError("the client stopped in the middle of a body")
        if hashed:
            digest.update(window[:count])
        left -= count
    with _sizes_lock:
        _sizes[path] = _sizes.get(path, 0) + length
    return f'"{digest.hexdigest()}"' if hashed else f'"opaque-{length}"'


def _answer(origin: str, method: str, target: str, body: bytes) -> tuple[int, bytes]:
    path, _, query = target.removeprefix("/api/v1/repositories/").partition("?")
    repository = path.partition("/")[0]
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    if path == "listings":
        return 200, b"%d" % next(_listings)
    if path.endswith("/objects/ls"):
        next(_listings)
        return 200, _listing(origin, repository, query, now)
    if path.endswith("/staging/pmpu"):
        count = int(re.search(r"\bparts=(\d+)", query)[1])  # type: ignore[index]
        place = f"{repository}/{next(_numbers)}"
        return 201, documents.compact(documents.upload(origin, place, now, count))
    if "/staging/pmpu/" in path:
        given = json.loads(body)
        address = given["physical_address"]
        return 200, _stats(address, _composite(given["parts"]), _received(address))
    if path.endswith("/staging/backing") and method == "GET":
        place = f"{repository}/{next(_numbers)}"
        location = {
            "physical_address": f"s3://lake/{place}",
            "presigned_url": documents.presigned(origin, place, now, 1),
            "presigned_url_expiry": int(time.time()) + 900,
        }
        return 200, documents.compact(location)
    if path.endswith("/staging/backing"):
        given = json.loads(body)
        address = given["staging"]["physical_address"]
        return 200, _stats(address, given["checksum"], _received(address))
    if path.endswith("/objects") and method == "POST":
        checksum = hashlib.md5(body, usedforsecurity=False).hexdigest()
        return 201, _stats("s3://lake/posted", checksum, len(body))
    if path.endswith("/objects/stat"):
        if repository.startswith(FOLDER):
            arguments = dict(parse_qsl(query))
            origin = origin if arguments.get("presign") == "true" else ""
            entry = documents.file(origin, repository, arguments["path"], now)
            return 200, documents.compact(entry)
        size = re.search(r"\bpath=(\d+)", query)[1]  # type: ignore[index]
        url = documents.presigned(origin, f"{repository}/{size}", now, 1)
        return 200, _stats(url, "opaque", int(size))
    if path == repository:
        return 200, _repository
    return 404, b'{"message":"not found"}'


def _listing(origin: str, repository: str, query: str, now: str) -> bytes:
    """Return a page of a folder's files, of constant objects, or an empty page."""
    if repository.startswith(FOLDER):
        arguments = dict(parse_qsl(query))
        origin = origin if arguments.get("presign") == "true" else ""
        page = documents.folder(
            origin, repository, arguments.get("prefix", ""), arguments.get("after", ""),
            int(arguments.get("amount", 100)), now,
        )  # fmt: skip
        return documents.compact(page)
    return _empty_page if repository == HASHED else _page


def _received(physical_address: str) -> int:
    with _sizes_lock:
        return _sizes.pop(physical_address.removeprefix("s3://lake/"), 0)


def _stats(physical_address: str, checksum: str, size: int) -> bytes:
    return documents.compact(
        {
            "path": "object",
            "path_type": "object",
            "physical_address": physical_address,
            "checksum": checksum,
            "mtime": int(time.time()),
            "size_bytes": size,
            "content_type": documents.MEDIA_TYPE,
        }
    )


def _composite(parts: list[dict[str, str]]) -> str:
    try:
        md5s = b"".join(bytes.fromhex(part["etag"].strip('"')) for part in parts)
    except ValueError:
        return "opaque"
    return f"{hashlib.md5(md5s, usedforsecurity=False).hexdigest()}-{len(parts)}"


def main() -> None:
    """Serve until stdin ends."""
    contexts: list[ssl.SSLContext | None] = [None]
    if len(sys.argv) > 1:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[1])
        contexts.append(context)
    origins = []
    for context in contexts:
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        scheme = "http" if context is None else "https"
        origins.append(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}")
        threading.Thread(target=serve, args=(listener, context), daemon=True).start()
    print(*origins, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
