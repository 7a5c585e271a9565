"""Libraries that people use, over a sandbox or the server that the environment names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import fsspec
import pytest
from support.file_systems import any_server

from lakefs_client.fs import LakeFSFileSystem, register


class Place(NamedTuple):
    """A branch to write to.

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
def place() -> Iterator[Place]:
    """Return a branch in a fresh repository."""
    register()
    with any_server() as (options, repository):
        fs = fsspec.filesystem("lakefs", **options)
        yield Place(options, repository, f"lakefs://{repository}/main", fs)
        LakeFSFileSystem.clear_instance_cache()


@pytest.fixture
def in_environment(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Put server and credentials into the environment, and return the branch."""
    monkeypatch.setenv("LAKECTL_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("LAKECTL_SERVER_ENDPOINT_URL", place.options["host"])
    monkeypatch.setenv("LAKECTL_CREDENTIALS_ACCESS_KEY_ID", place.options["username"])
    monkeypatch.setenv("LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY", place.options["password"])
    return place
