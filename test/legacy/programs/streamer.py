"""Objects as streams: the raw response of `_preload_content=False`, copied to disk."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
from typing import Any

import lakefs_client
from lakefs_client.apis import ObjectsApi, RepositoriesApi
from lakefs_client.models import RepositoryCreation


def download(api: Any, path: str, target: str) -> None:
    response = api.get_object("stream", "main", path, _preload_content=False)
    try:
        with open(target, "wb") as file:
            for chunk in response.stream(64 * 1024):
                file.write(chunk)
    finally:
        response.release_conn()


def digest(name: str) -> str:
    with open(name, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def main(endpoint: str, key: str, secret: str) -> dict[str, Any]:
    configuration = lakefs_client.Configuration(
        host=endpoint + "/api/v1", username=key, password=secret
    )
    with lakefs_client.ApiClient(configuration) as client:
        RepositoriesApi(client).create_repository(
            RepositoryCreation("stream", "s3://sandbox/stream")
        )
        api: Any = ObjectsApi(client)
        data = os.urandom(3 << 20)
        buffer: Any = io.BytesIO(data)
        buffer.name = "big.bin"
        api.upload_object("stream", "main", "big.bin", content=buffer)
        with tempfile.TemporaryDirectory() as folder:
            first, second = os.path.join(folder, "1"), os.path.join(folder, "2")
            download(api, "big.bin", first)
            # The response as a file object for shutil.
            response = api.get_object("stream", "main", "big.bin", _preload_content=False)
            with open(second, "wb") as file:
                shutil.copyfileobj(response, file)
            response.release_conn()
            digests = [digest(first), digest(second)]
        listing = api.list_objects("stream", "main", _preload_content=False)
        names = [item["path"] for item in json.loads(listing.data)["results"]]
        part = api.get_object(
            "stream", "main", "big.bin", range="bytes=10-19", _preload_content=False
        )
        return {
            "digests": digests,
            "expected": hashlib.sha256(data).hexdigest(),
            "names": names,
            "part": part.status == 206 and part.read() == data[10:20],
            "content_range": part.headers["Content-Range"],
        }
