"""fsspec's test suite for file systems, on the sandbox or the server of the environment."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator

import pytest
from fsspec.tests import abstract
from support.file_systems import any_server

from lakefs_client.fs import LakeFSFileSystem


class Fixtures(abstract.AbstractFixtures):
    @pytest.fixture(scope="class")
    @classmethod
    def fs(cls) -> Iterator[LakeFSFileSystem]:
        with any_server() as (arguments, repository):
            fs = LakeFSFileSystem(**arguments, skip_instance_cache=True)
            fs.repository = repository
            yield fs

    @pytest.fixture
    def fs_path(self, fs: LakeFSFileSystem) -> str:
        return f"{fs.repository}/main"

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
