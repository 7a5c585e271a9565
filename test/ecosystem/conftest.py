"""Fixtures: a branch on a sandbox or on the server of the environment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import fsspec
import pytest
from support.file_systems import any_server

from lakefs_client.fs import LakeFSFileSystem, register


class Branch(NamedTuple):
    """A branch for the tests' data.

    Attributes:
        options: The storage options.
        repository: The repository.
        root: ``lakefs://repository/main``.
        fs: The file system with these options.
    """

    options: dict[str, Any]
    repository: str
    root: str
    fs: LakeFSFileSystem


@pytest.fixture
def branch() -> Iterator[Branch]:
    """Provide a branch in a new repository."""
    register()
    with any_server() as (options, repository):
        fs = fsspec.filesystem("lakefs", **options)
        yield Branch(options, repository, f"lakefs://{repository}/main", fs)
        LakeFSFileSystem.clear_instance_cache()


@pytest.fixture
def environment_branch(branch: Branch, monkeypatch: pytest.MonkeyPatch) -> Branch:
    """Provide the branch, with server and credentials in the environment."""
    monkeypatch.setenv("LAKECTL_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("LAKECTL_SERVER_ENDPOINT_URL", branch.options["host"])
    monkeypatch.setenv("LAKECTL_CREDENTIALS_ACCESS_KEY_ID", branch.options["username"])
    monkeypatch.setenv("LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY", branch.options["password"])
    return branch
