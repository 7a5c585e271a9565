"""The pytest plugin: the fixture `lakefs_sandbox`. Nothing is imported before it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lakefs_client.sandbox import Sandbox


@pytest.fixture
def lakefs_sandbox() -> Iterator[Sandbox]:
    """An empty lakeFS server, for one test.

    Each test has its own, so that no test sees what another left behind: repositories, faults that
    did not happen, a moved clock. Starting one takes a few milliseconds. For a server of another
    kind, or a longer life, write a fixture around `lakefs_client.sandbox.Sandbox`.
    """
    from lakefs_client.sandbox import Sandbox

    with Sandbox() as sandbox:
        yield sandbox
