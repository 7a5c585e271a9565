"""Fixtures of the tests of directory transfers."""

from __future__ import annotations

import pytest
from support.bench import Bench
from support.folders import Folders


@pytest.fixture
def folders(bench: Bench) -> Folders:
    return Folders(bench)
