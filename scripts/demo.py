"""Upload a real file in parts over presigned URLs, read it back, and compare."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import re
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import lakefs_client
from lakefs_client.apis import ObjectsApi, RepositoriesApi
from lakefs_client.models import RepositoryCreation
from lakefs_client.sandbox import Sandbox
from lakefs_client.transfer import Transfer, TransferConfig

MIB = 1 << 20
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def size(text: str) -> int:
    """Bytes of a size such as 64M or 1.5G."""
    match = re.fullmatch(r"([0-9.]+)([KMG]?)(i?B)?", text, re.IGNORECASE)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size: use a size such as 64M or 1.5G")
    return int(float(match[1]) * UNITS[match[2].upper()])


@contextlib.contextmanager
def server(arguments: argparse.Namespace) -> Iterator[tuple[lakefs_client.Configuration, str]]:
    """Return a real server's configuration, or a sandbox's; and where repositories may be made."""
    if arguments.endpoint:
        configuration = lakefs_client.Configuration(
            host=arguments.endpoint,
            username=arguments.access_key_id,
            password=arguments.secret_access_key,
        )
        print(f"Using the server at {configuration.host}")
        yield configuration, arguments.storage_namespace
    else:
        with Sandbox() as sandbox:
            print(f"Started a sandbox server at {sandbox.endpoint}")
            yield sandbox.configuration(), sandbox.storage_namespace


def make_file(path: Path, count: int) -> str:
    """Write random bytes, and return their SHA-256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        left = count
        while left:
            block = os.urandom(min(MIB, left))
            digest.update(block)
            file.write(block)
            left -= len(block)
    return digest.hexdigest()


def read_back(objects: ObjectsApi, repository: str, path: str) -> str:
    """Read the object through the server, and return its SHA-256."""
    digest = hashlib.sha256()
    with objects.get_object(repository, "main", path) as file:
        while block := file.read(MIB):
            digest.update(block)
    return digest.hexdigest()


def demo(arguments: argparse.Namespace) -> int:
    with (
        server(arguments) as (configuration, namespace),
        tempfile.TemporaryDirectory() as folder,
        lakefs_client.ApiClient(configuration) as client,
    ):
        repository = f"demo-{uuid.uuid4().hex[:12]}"
        source = Path(folder, "model.bin")
        path = "models/model.bin"
        RepositoriesApi(client).create_repository(
            RepositoryCreation(repository, f"{namespace.rstrip('/')}/{repository}")
        )
        try:
            print(f"Writing {arguments.size / MIB:.1f} MiB of random bytes to {source.name}")
            expected = make_file(source, arguments.size)

            print(f"Uploading it in parts to lakefs://{repository}/main/{path}")
            transfer = Transfer(client, TransferConfig(part_size=5 * MIB, max_concurrency=4))
            started = time.monotonic()
            stats = transfer.upload_file(
                source, repository, "main", path, user_metadata={"run": "demo"}, progress=True
            )
            seconds = time.monotonic() - started

            print("Reading it back and comparing")
            if read_back(ObjectsApi(client), repository, path) != expected:
                print("The bytes differ!")
                return 1
            print(f"The same bytes. The object:\n{stats}")
            print(f"{arguments.size / MIB / seconds:.0f} MiB/s, {seconds:.2f} s")
        finally:
            RepositoriesApi(client).delete_repository(repository)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="./scripts/demo", description=__doc__)
    parser.add_argument("--size", type=size, default=size("64M"), help="default 64M")
    parser.add_argument("--endpoint", help="a real server, in place of the sandbox")
    parser.add_argument(
        "--access-key-id",
        default=os.environ.get("LAKECTL_CREDENTIALS_ACCESS_KEY_ID"),
        help="default: LAKECTL_CREDENTIALS_ACCESS_KEY_ID",
    )
    parser.add_argument(
        "--secret-access-key",
        default=os.environ.get("LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY"),
        help="default: LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY",
    )
    parser.add_argument(
        "--storage-namespace", help="where the demo's repository may be made: s3://bucket/prefix"
    )
    arguments = parser.parse_args()
    if arguments.endpoint and not (
        arguments.access_key_id and arguments.secret_access_key and arguments.storage_namespace
    ):
        parser.error(
            "--endpoint needs --access-key-id, --secret-access-key and --storage-namespace"
        )
    try:
        return demo(arguments)
    except lakefs_client.ApiException as error:
        print(f"It failed: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
