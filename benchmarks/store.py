"""CPU seconds a GiB of uploads to a real store, by lakeFS's presigned URLs and by boto3.

What a server is to be asked, and as whom, is in the variables of the integration suite
(``LAKEFS_TEST_ENDPOINT`` and its companions); where the store is, and as whom boto3 asks it, in
those of the AWS tools (``AWS_ENDPOINT_URL``, ``AWS_ACCESS_KEY_ID`` …).
"""

from __future__ import annotations

import os
import secrets
from time import process_time
from typing import Any
from urllib.parse import urlsplit

from upload import GIB, PART, THREADS


def _cpu(upload: Any, file: str) -> float:
    start = process_time()
    upload(file)
    return (process_time() - start) * GIB / os.path.getsize(file)


def upload_boto3(endpoint: str, namespace: str, file: str) -> float:
    """`upload_file` of boto3, straight to the bucket of the storage namespace."""
    import boto3
    from boto3.s3.transfer import TransferConfig

    address = urlsplit(namespace)
    key = f"{address.path.strip('/')}/boto3-{secrets.token_hex(8)}"
    client = boto3.client("s3")
    config = TransferConfig(multipart_chunksize=PART, max_concurrency=THREADS)
    try:
        return _cpu(lambda name: client.upload_file(name, address.netloc, key, Config=config), file)
    finally:
        client.delete_object(Bucket=address.netloc, Key=key)


def upload_client(endpoint: str, namespace: str, file: str) -> float:
    """`Transfer.upload_file`, into a repository of its own."""
    import lakefs_client
    from lakefs_client.apis import RepositoriesApi
    from lakefs_client.transfer import Transfer, TransferConfig

    configuration = lakefs_client.Configuration(
        host=endpoint,
        username=os.environ["LAKEFS_TEST_ACCESS_KEY_ID"],
        password=os.environ["LAKEFS_TEST_SECRET_ACCESS_KEY"],
    )
    name = f"bench-{secrets.token_hex(8)}"
    with lakefs_client.ApiClient(configuration) as client:
        repositories = RepositoriesApi(client)
        repositories.create_repository(
            {"name": name, "storage_namespace": f"{namespace.rstrip('/')}/{name}"}
        )
        transfer = Transfer(client, TransferConfig(part_size=PART, max_concurrency=THREADS))
        try:
            return _cpu(lambda file: transfer.upload_file(file, name, "main", "object"), file)
        finally:
            repositories.delete_repository(name)
