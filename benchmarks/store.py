"""CPU seconds per GiB of uploads to a real store with this package, boto3 and lakectl.

The variables of the integration suite (``LAKEFS_TEST_ENDPOINT`` …) name the server and its
credentials; those of the AWS tools (``AWS_ENDPOINT_URL``, ``AWS_ACCESS_KEY_ID`` …) name the store
and boto3's credentials.
"""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any
from urllib.parse import urlsplit

from upload import GIB, PART, THREADS


def _cpu(upload: Any, file: str, clock: Any = process_time) -> float:
    start = clock()
    upload(file)
    return (clock() - start) * GIB / os.path.getsize(file)


def upload_boto3(endpoint: str, namespace: str, file: str) -> float:
    """Upload with boto3's `upload_file`, directly to the bucket of the storage namespace."""
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


def upload_client(endpoint: str, namespace: str, file: str, lakectl: str = "") -> float:
    """Upload with `Transfer.upload_file` and default settings."""
    return _client(endpoint, namespace, file, verify=True)


def upload_unverified(endpoint: str, namespace: str, file: str, lakectl: str = "") -> float:
    """Upload with `Transfer.upload_file`, without verification."""
    return _client(endpoint, namespace, file, verify=False)


def upload_lakectl(endpoint: str, namespace: str, file: str, lakectl: str) -> float:
    """Upload with `lakectl fs upload --pre-sign`; the whole command counts."""
    environment = {
        "LAKECTL_SERVER_ENDPOINT_URL": endpoint,
        "LAKECTL_CREDENTIALS_ACCESS_KEY_ID": os.environ["LAKEFS_TEST_ACCESS_KEY_ID"],
        "LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY": os.environ["LAKEFS_TEST_SECRET_ACCESS_KEY"],
    }

    def clock() -> float:
        spent = os.times()
        return spent.children_user + spent.children_system

    with _repository(endpoint, namespace) as (_, name), TemporaryDirectory() as home:
        environment["HOME"] = home  # ignore the user's configuration
        command = [lakectl, "fs", "upload", f"lakefs://{name}/main/object", "--pre-sign"]

        def upload(file: str) -> None:
            subprocess.run(
                [*command, "--no-progress", "--source", file],
                check=True, env=os.environ | environment, stdout=subprocess.DEVNULL,
            )  # fmt: skip

        return _cpu(upload, file, clock)


def _client(endpoint: str, namespace: str, file: str, verify: bool) -> float:
    from lakefs_client.transfer import Transfer, TransferConfig

    config = TransferConfig(part_size=PART, max_concurrency=THREADS, verify=verify)
    with _repository(endpoint, namespace) as (client, name):
        transfer = Transfer(client, config)
        return _cpu(lambda file: transfer.upload_file(file, name, "main", "object"), file)


@contextmanager
def _repository(endpoint: str, namespace: str) -> Iterator[tuple[Any, str]]:
    """Yield a client, and the name of a new repository for one upload."""
    import lakefs_client
    from lakefs_client.apis import RepositoriesApi

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
        try:
            yield client, name
        finally:
            repositories.delete_repository(name)
