"""A file system over a sandbox with the repository `repo`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lakefs_client import ApiClient
from lakefs_client.api.repositories_api import RepositoriesApi
from lakefs_client.fs import LakeFSFileSystem
from lakefs_client.models import RepositoryCreation
from lakefs_client.sandbox import Sandbox

Make = Callable[..., LakeFSFileSystem]


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    """A sandbox for the tests of a module."""
    with Sandbox() as sandbox:
        yield sandbox


def arguments(sandbox: Sandbox) -> dict[str, Any]:
    """The arguments of a file system of the sandbox."""
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


@pytest.fixture
def make_fs(sandbox: Sandbox) -> Make:
    """Makes a file system over a fresh sandbox with the repository `repo`."""
    create_repository(sandbox, "repo")
    sandbox.requests.clear()
    return lambda **options: LakeFSFileSystem(
        **{**arguments(sandbox), "skip_instance_cache": True, **options}
    )


@pytest.fixture
def fs(make_fs: Make) -> LakeFSFileSystem:
    """A file system over a fresh sandbox with the repository `repo`."""
    return make_fs()
