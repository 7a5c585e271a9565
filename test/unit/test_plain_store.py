"""Warnings about a store without TLS behind a lakeFS server with TLS."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support.scripted import Relay, ScriptedServer

from lakefs_client import ApiClient, Configuration
from lakefs_client.api.repositories_api import RepositoriesApi
from lakefs_client.models import RepositoryCreation
from lakefs_client.sandbox import Sandbox
from lakefs_client.transfer import Transfer, TransferConfig

from .conftest import Certificates

PLACE = ("repo", "main")


@pytest.fixture
def tls_client(sandbox: Sandbox, certificates: Certificates) -> Iterator[ApiClient]:
    """Provide a client of the sandbox over TLS, with presigned URLs over plain HTTP."""
    address = urlsplit(sandbox.endpoint)
    relay = Relay((address.hostname or "", address.port or 0))
    with ScriptedServer(otherwise=relay, tls=certificates.server) as server:
        configuration = Configuration(
            server.url, username=sandbox.access_key_id, password=sandbox.secret_access_key
        )
        configuration.ssl_ca_cert = certificates.authority
        with ApiClient(configuration) as client:
            RepositoriesApi(client).create_repository(
                RepositoryCreation("repo", f"{sandbox.storage_namespace}/repo")
            )
            yield client


def test_transfer_warns_once_about_plain_store(
    tls_client: ApiClient, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "small").write_bytes(b"small")
    (tmp_path / "large").write_bytes(bytes(6 << 20))
    store = urlsplit(sandbox.store_endpoint).netloc
    transfer = Transfer(tls_client, TransferConfig(multipart_threshold=5 << 20))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for name in ("small", "large"):
            transfer.upload_file(tmp_path / name, *PLACE, name)
            transfer.download_file(*PLACE, name, tmp_path / f"{name}.back")
        assert [str(item.message).partition(":")[0] for item in caught] == [
            "lakeFS uses HTTPS, but its presigned URLs for " + store.partition(":")[0]
        ]
        assert store in str(caught[0].message)


@pytest.mark.parametrize("size", [5, 6 << 20])
@pytest.mark.parametrize("way", ["upload", "download"])
def test_warning_as_error_leaves_no_upload_or_file(
    tls_client: ApiClient, sandbox: Sandbox, tmp_path: Path, way: str, size: int
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(bytes(size))
    config = TransferConfig(multipart_threshold=5 << 20)
    if way == "download":
        with pytest.warns(UserWarning, match="presigned URLs"):
            Transfer(tls_client, config).upload_file(source, *PLACE, "data")
    transfer = Transfer(tls_client, config)
    call = (
        partial(transfer.upload_file, source, *PLACE, "data")
        if way == "upload"
        else partial(transfer.download_file, *PLACE, "data", target)
    )
    with pytest.raises(UserWarning, match="presigned URLs"):
        call()
    assert sandbox.blockstore.uploads() == {}
    assert list(tmp_path.iterdir()) == [source]


def test_plain_lakefs_server_does_not_warn(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"small")
    with ApiClient(sandbox.configuration()) as client, warnings.catch_warnings():
        warnings.simplefilter("error")
        RepositoriesApi(client).create_repository(
            RepositoryCreation("repo", f"{sandbox.storage_namespace}/repo")
        )
        Transfer(client).upload_file(tmp_path / "small", *PLACE, "small")
