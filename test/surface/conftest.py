"""Fixtures of the surface tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from surface.recorder import Recorder


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    with Recorder() as recorder:
        yield recorder
