"""A file system over a sandbox with the repository `repo`."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lakefs_client import ApiClient, Configuration
from lakefs_client.api.repositories_api import RepositoriesApi
from lakefs_client.fs import LakeFSFileSystem
from lakefs_client.models import RepositoryCreation
from lakefs_client.sandbox import Sandbox

Make = Callable[..., LakeFSFileSystem]


def arguments(sandbox: Sandbox) -> dict[str, Any]:
    """Return the arguments of a file system of the sandbox."""
    configuration = sandbox.configuration()
    return {
        "host": configuration.host,
        "username": configuration.username,
        "password": configuration.password,
        "verify_ssl": False,  # there is no TLS, and reading the roots of trust takes time
    }


def create_repository(sandbox: Sandbox, name: str) -> None:
    with ApiClient(sandbox.configuration()) as client:
        RepositoriesApi(client).create_repository(
            RepositoryCreation(name=name, storage_namespace=f"{sandbox.storage_namespace}{name}")
        )


@contextmanager
def any_server() -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the arguments of a file system and a fresh repository, which is deleted at the end.

    The server is the one that the environment names, as for test/integration, or a sandbox.
    """
    if not (endpoint := os.environ.get("LAKEFS_TEST_ENDPOINT")):
        with Sandbox() as sandbox:
            create_repository(sandbox, "repo")
            yield arguments(sandbox), "repo"
        return
    given = {
        "host": endpoint,
        "username": os.environ["LAKEFS_TEST_ACCESS_KEY_ID"],
        "password": os.environ["LAKEFS_TEST_SECRET_ACCESS_KEY"],
    }
    name = f"fs-{uuid.uuid4().hex[:12]}"
    namespace = f"{os.environ['LAKEFS_TEST_STORAGE_NAMESPACE'].rstrip('/')}/{name}"
    configuration = Configuration(**given)
    with ApiClient(configuration) as client:
        repositories = RepositoriesApi(client)
        repositories.create_repository(RepositoryCreation(name=name, storage_namespace=namespace))
        try:
            yield given, name
        finally:
            repositories.delete_repository(name)


@pytest.fixture
def make_fs(sandbox: Sandbox) -> Make:
    """Make a file system over a fresh sandbox with the repository `repo`."""
    create_repository(sandbox, "repo")
    sandbox.requests.clear()
    return lambda **options: LakeFSFileSystem(
        **{**arguments(sandbox), "skip_instance_cache": True, **options}
    )


@pytest.fixture
def fs(make_fs: Make) -> LakeFSFileSystem:
    """Provide a file system over a fresh sandbox with the repository `repo`."""
    return make_fs()
