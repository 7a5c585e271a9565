"""Fixtures: the command line as a process, against the sandbox or a named server.

The variables are those of `test/integration`. Tests that inject faults always use the sandbox.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.support import Repo, Repositories, Server, named_server, sandbox_server

from cli.support import Cli
from lakefs_client.client import LakeFSClient
from lakefs_client.sandbox import Sandbox


@pytest.fixture(scope="session")
def lakefs_server() -> Iterator[Server]:
    """Provide the server of the environment variables, or a sandbox."""
    if server := named_server():
        yield server
        return
    with Sandbox() as sandbox:
        yield sandbox_server(sandbox)


@pytest.fixture(scope="session")
def lakefs(lakefs_server: Server) -> Iterator[LakeFSClient]:
    """Provide a client with all API groups, to check the effects of commands."""
    with LakeFSClient(lakefs_server.configuration()) as client:
        yield client


@pytest.fixture
def repositories(lakefs: LakeFSClient, lakefs_server: Server) -> Iterator[Repositories]:
    """Provide a factory of repositories, and delete these after the test."""
    repositories = Repositories(lakefs, lakefs_server)
    yield repositories
    repositories.delete_all()


@pytest.fixture
def repo(repositories: Repositories) -> Repo:
    """Provide a new repository."""
    return repositories.create()


@pytest.fixture
def uri(repo: Repo) -> str:
    """Provide the address of the new repository."""
    return f"lakefs://{repo.name}"


@pytest.fixture
def cli(lakefs_server: Server, tmp_path: Path) -> Cli:
    """Provide a runner of commands in an empty folder, with the server's credentials."""
    return Cli(lakefs_server, tmp_path)


@pytest.fixture
def sandbox_cli(sandbox: Sandbox, tmp_path: Path) -> Cli:
    """Provide a runner of commands against this test's own sandbox."""
    return Cli(sandbox_server(sandbox), tmp_path)
