"""Fixtures of a suite that runs against every lakeFS server, by default the sandbox.

By default the suite runs against the sandbox, once in each of its modes. To run the suite against
your own server, set these variables:

    LAKEFS_TEST_ENDPOINT=http://localhost:8000 \\
    LAKEFS_TEST_ACCESS_KEY_ID=AKIA... \\
    LAKEFS_TEST_SECRET_ACCESS_KEY=... \\
    LAKEFS_TEST_STORAGE_NAMESPACE=s3://bucket/some/prefix \\
    python -m pytest test/integration

The user must be an administrator. The server must be able to write to the storage namespace; each
repository gets a new prefix below it. When a test ends, its repositories and external principals
are deleted. The server leaves their bytes in the store. The tests change nothing else, and make no
assumptions about existing repositories.

A test skips a feature that the server lacks (status 501, or by its configuration). No test checks
which server it runs against.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import certifi
import pytest
import urllib3
from support.waiting import PATIENCE

from lakefs_client import ApiClient
from lakefs_client.client import LakeFSClient
from lakefs_client.models import StorageConfig
from lakefs_client.sandbox import Sandbox

from .support import VARIABLES, Repo, Repositories, Server, named_server, sandbox_server

MODES: dict[str, dict[str, Any]] = {
    "plain": {},
    "external-principals": {"external_principals": True},
    "no-presigned-multipart": {"presigned_multipart": False},
    "no-presigned-urls": {"presign": False},
}
NAMED = "named-server"


@pytest.fixture(scope="session", params=[NAMED] if os.environ.get(VARIABLES[0]) else list(MODES))
def lakefs_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Provide the server of the environment variables, or the sandbox in one of its modes."""
    if server := named_server():
        yield server
        return
    with Sandbox(**MODES[request.param]) as sandbox:
        yield sandbox_server(sandbox)


@pytest.fixture(scope="session")
def lakefs(lakefs_server: Server) -> Iterator[LakeFSClient]:
    """Provide a client with all API groups and the server's credentials."""
    with LakeFSClient(lakefs_server.configuration()) as client:
        yield client


@pytest.fixture(scope="session")
def api_client(lakefs_server: Server) -> Iterator[ApiClient]:
    """Provide a client for transfers, with the server's credentials."""
    with ApiClient(lakefs_server.configuration()) as client:
        yield client


@pytest.fixture(scope="session")
def unchecked(lakefs_server: Server) -> Iterator[LakeFSClient]:
    """Provide a client that does not check the limits of arguments."""
    configuration = lakefs_server.configuration()
    configuration.disabled_client_side_validations = "minimum,maximum,pattern"
    with LakeFSClient(configuration) as client:
        yield client


@pytest.fixture(scope="session")
def store() -> Iterator[urllib3.PoolManager]:
    """Provide a plain HTTP client for presigned URLs, without credentials or retries."""
    with urllib3.PoolManager(retries=False, timeout=PATIENCE, ca_certs=certifi.where()) as pool:
        yield pool


@pytest.fixture(scope="session")
def storage(lakefs: LakeFSClient) -> StorageConfig:
    """Provide the server's description of its store."""
    return lakefs.config_api.get_config().storage_config


@pytest.fixture
def presign(storage: StorageConfig) -> None:
    """Skip the test if the server has no presigned URLs."""
    if not storage.pre_sign_support:
        pytest.skip("this server's store has no presigned URLs (pre_sign_support)")


@pytest.fixture
def multipart(storage: StorageConfig) -> None:
    """Skip the test if the server has no presigned multipart uploads."""
    if not storage.get("pre_sign_multipart_upload"):
        pytest.skip("no presigned multipart uploads here (pre_sign_multipart_upload)")


@pytest.fixture
def repositories(lakefs: LakeFSClient, lakefs_server: Server) -> Iterator[Repositories]:
    """Provide a factory of repositories, and delete these after the test."""
    repositories = Repositories(lakefs, lakefs_server)
    yield repositories
    repositories.delete_all()


@pytest.fixture
def repo(repositories: Repositories) -> Repo:
    """Provide a new repository with only the initial commit on the branch `main`."""
    return repositories.create()
