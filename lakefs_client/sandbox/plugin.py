"""The pytest plugin: fixtures that start a sandbox for each test.

Nothing is imported before a test asks for a fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lakefs_client.api_client import ApiClient
    from lakefs_client.models import Repository
    from lakefs_client.sandbox import Sandbox


@pytest.fixture
def lakefs_sandbox() -> Iterator[Sandbox]:
    """Provide an empty lakeFS server for one test.

    Each test has its own server on free ports, so tests share no repositories, faults or clock, and
    may run in parallel. A server starts in a few milliseconds. For other options or a wider scope,
    write a fixture that uses `lakefs_client.sandbox.Sandbox`.
    """
    from lakefs_client.sandbox import Sandbox

    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def lakefs_api_client(lakefs_sandbox: Sandbox) -> Iterator[ApiClient]:
    """Provide a client of `lakefs_sandbox` with its credentials."""
    from lakefs_client.api_client import ApiClient

    with ApiClient(lakefs_sandbox.configuration()) as api_client:
        yield api_client


@pytest.fixture
def lakefs_repository(lakefs_sandbox: Sandbox, lakefs_api_client: ApiClient) -> Repository:
    """Provide a new repository `example-repo` with the branch `main` in `lakefs_sandbox`."""
    from lakefs_client.apis import RepositoriesApi
    from lakefs_client.models import RepositoryCreation

    name = "example-repo"
    creation = RepositoryCreation(name, f"{lakefs_sandbox.storage_namespace}{name}")
    return RepositoriesApi(lakefs_api_client).create_repository(creation)
