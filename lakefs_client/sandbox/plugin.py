"""The pytest plugin: the fixture `lakefs_sandbox`. Modules are imported on first use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lakefs_client.sandbox import Sandbox


@pytest.fixture
def lakefs_sandbox() -> Iterator[Sandbox]:
    """Provide an empty lakeFS server for one test.

    Each test has its own server, so tests share no repositories, faults or clock. A server starts
    in a few milliseconds. For other options or a wider scope, write a fixture that uses
    `lakefs_client.sandbox.Sandbox`.
    """
    from lakefs_client.sandbox import Sandbox

    with Sandbox() as sandbox:
        yield sandbox
