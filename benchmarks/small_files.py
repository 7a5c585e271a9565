"""CPU seconds per file of uploads of many small files: address, PUT, link."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from time import process_time
from typing import Any
from urllib.parse import quote, quote_plus

import documents

_BATCH = 100


def _per_file(upload: Callable[[str, str], Any], folder: str) -> float:
    """Return the seconds per file in the fastest batch, as other processes only add time."""
    entries = [(entry.path, entry.name) for entry in os.scandir(folder)]
    best = float("inf")
    for number in range(0, len(entries), _BATCH):
        start = process_time()
        for path, name in entries[number : number + _BATCH]:
            upload(path, name)
        best = min(best, process_time() - start)
    return best / _BATCH


def upload_floor(url: str, folder: str) -> float:
    """Upload with urllib3 and json, with the checksum for the link."""
    import urllib3

    # A real store is another server than lakeFS, so it has a separate pool.
    pool, store = urllib3.PoolManager(retries=False), urllib3.PoolManager(retries=False)
    staging = f"{url}/api/v1/repositories/hashed/branches/{quote('main')}/staging/backing"
    headers = {
        **urllib3.make_headers(basic_auth="key:secret", user_agent="floor"),
        "Accept": "application/json",
    }
    json_headers = {**headers, "Content-Type": "application/json"}

    def upload(path: str, name: str) -> None:
        place = f"{staging}?path={quote_plus(name)}"
        answer = pool.request("GET", f"{place}&presign=true", headers=headers)
        location = json.loads(answer.data)
        with open(path, "rb") as file:
            data = file.read()
        put = store.request(
            "PUT",
            location["presigned_url"],
            body=data,
            headers={"Content-Type": documents.MEDIA_TYPE, "User-Agent": "floor"},
        )
        checksum = put.headers["ETag"].strip('"')
        assert checksum == hashlib.md5(data, usedforsecurity=False).hexdigest()
        body = documents.link(location["physical_address"], checksum, len(data))
        linked = pool.request("PUT", place, body=json.dumps(body).encode(), headers=json_headers)
        assert json.loads(linked.data)["checksum"] == checksum

    return _per_file(upload, folder)


def upload_client(url: str, folder: str) -> float:
    """Upload with `Transfer.upload_file`, file by file."""
    import lakefs_client
    from lakefs_client.transfer import Transfer

    configuration = lakefs_client.Configuration(
        host=f"{url}/api/v1", username="key", password="secret"
    )
    transfer = Transfer(lakefs_client.ApiClient(configuration))
    return _per_file(lambda path, name: transfer.upload_file(path, "hashed", "main", name), folder)
