"""Fixtures: a sandbox and an HTTP client for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lakefs_client.sandbox import Sandbox

from .client import HttpClient


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[HttpClient]:
    """Provide a client of a sandbox that has the repository `repo`."""
    client = HttpClient(sandbox)
    client.create_repository()
    yield client
    client.close()
