"""fsspec's own suite for file systems."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator

import pytest
from fsspec.tests import abstract

from lakefs_client.fs import LakeFSFileSystem
from lakefs_client.sandbox import Sandbox

from .conftest import arguments, create_repository


class Fixtures(abstract.AbstractFixtures):
    @pytest.fixture(scope="class")
    @classmethod
    def fs(cls) -> Iterator[LakeFSFileSystem]:
        with Sandbox() as sandbox:
            create_repository(sandbox, "abstract")
            yield LakeFSFileSystem(**arguments(sandbox), skip_instance_cache=True)

    @pytest.fixture
    def fs_path(self) -> str:
        return "abstract/main"

    @pytest.fixture
    def fs_join(self) -> Callable[..., str]:
        return posixpath.join

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        return False


class TestCopy(abstract.AbstractCopyTests, Fixtures):
    pass


class TestGet(abstract.AbstractGetTests, Fixtures):
    pass


class TestPut(abstract.AbstractPutTests, Fixtures):
    pass


class TestOpen(abstract.AbstractOpenTests, Fixtures):
    pass


class TestPipe(abstract.AbstractPipeTests, Fixtures):
    pass
