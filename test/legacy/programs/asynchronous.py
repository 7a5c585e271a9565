"""Asynchronous calls with `async_req` and `get`."""

from __future__ import annotations

import io
from typing import Any

import lakefs_client
from lakefs_client.client import LakeFSClient
from lakefs_client.exceptions import NotFoundException
from lakefs_client.models import RepositoryCreation

TIMEOUT = 60


def main(endpoint: str, key: str, secret: str) -> dict[str, Any]:
    configuration = lakefs_client.Configuration(host=endpoint, username=key, password=secret)
    client = LakeFSClient(configuration, pool_threads=4)
    repositories: Any = client.repositories_api
    objects: Any = client.objects_api
    thread = repositories.create_repository(
        RepositoryCreation("parallel", "s3://sandbox/parallel"), async_req=True
    )
    repository = thread.get(TIMEOUT)

    uploads = [
        objects.upload_object(
            "parallel", "main", f"{n:02}", content=io.BytesIO(b"%d" % n), async_req=True
        )
        for n in range(20)
    ]
    for thread in uploads:
        thread.wait(TIMEOUT)
    sizes = [thread.get().size_bytes for thread in uploads if thread.ready()]

    downloads = [
        objects.get_object("parallel", "main", f"{n:02}", async_req=True) for n in range(20)
    ]
    contents = [int(thread.get(timeout=TIMEOUT).read()) for thread in downloads]

    missing = objects.stat_object("parallel", "main", "missing", async_req=True)
    try:
        missing.get(TIMEOUT)
        failure = None
    except NotFoundException as error:
        failure = error.status
    status = objects.stat_object(
        "parallel", "main", "00", async_req=True, _return_http_data_only=False
    ).get(TIMEOUT)[1]
    client._api.close()
    return {
        "repository": repository.id,
        "sizes": sizes,
        "contents": contents,
        "failure": failure,
        "status": status,
    }
