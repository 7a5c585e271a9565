"""Fixtures: file systems over a sandbox with the repository `repo`."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.file_systems import arguments, create_repository

from lakefs_client.fs import LakeFSFileSystem
from lakefs_client.sandbox import Sandbox

Make = Callable[..., LakeFSFileSystem]


@pytest.fixture
def make_fs(sandbox: Sandbox) -> Make:
    """Provide a function that creates a file system over the sandbox."""
    create_repository(sandbox, "repo")
    sandbox.requests.clear()
    return lambda **options: LakeFSFileSystem(
        **{**arguments(sandbox), "skip_instance_cache": True, **options}
    )


@pytest.fixture
def fs(make_fs: Make) -> LakeFSFileSystem:
    """Provide a file system over a new sandbox with the repository `repo`."""
    return make_fs()
