"""Comparison of the sandbox with the server that LAKEFS_TEST_ENDPOINT names.

    LAKEFS_TEST_ENDPOINT=… LAKEFS_TEST_SEEDS=200 python -m pytest test/differential

Without a server the tests are skipped. `test/sandbox` has tests of the differences found so far.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lakefs_client import ApiClient, Configuration
from lakefs_client.sandbox import Sandbox

from .calls import Call, Generator
from .target import Outcome, Target

VARIABLES = (
    "LAKEFS_TEST_ENDPOINT",
    "LAKEFS_TEST_ACCESS_KEY_ID",
    "LAKEFS_TEST_SECRET_ACCESS_KEY",
    "LAKEFS_TEST_STORAGE_NAMESPACE",
)
LENGTH = 60
"""Calls per sequence."""
SETTINGS_SECONDS = 6.5
"""The time until a server applies new branch protection rules."""
SEEDS = int(os.environ.get("LAKEFS_TEST_SEEDS", "20"))
"""Number of sequences."""

pytestmark = pytest.mark.skipif(
    not all(os.environ.get(name) for name in VARIABLES),
    reason="compares with a real server: set " + ", ".join(VARIABLES),
)


@contextmanager
def open_target(client: ApiClient, namespace: str, settings_seconds: float = 0) -> Iterator[Target]:
    name = f"differential-{uuid.uuid4().hex[:12]}"
    target = Target(client, name, f"{namespace.rstrip('/')}/{name}", settings_seconds)
    try:
        yield target
    finally:
        target.close()


@pytest.fixture(scope="module")
def server() -> Iterator[ApiClient]:
    endpoint, key, secret, _ = (os.environ[name] for name in VARIABLES)
    configuration = Configuration(endpoint, username=key, password=secret)
    with ApiClient(configuration) as client:
        yield client


@pytest.mark.parametrize("seed", range(SEEDS))
def test_random_calls_have_equal_outcomes(server: ApiClient, seed: int) -> None:
    calls = Generator(seed).sequence(LENGTH)
    with (
        Sandbox() as sandbox,
        ApiClient(sandbox.configuration()) as client,
        open_target(client, sandbox.storage_namespace) as sandbox_target,
        open_target(server, os.environ[VARIABLES[3]], SETTINGS_SECONDS) as server_target,
    ):
        for index, call in enumerate(calls):
            actual, expected = sandbox_target.run(call), server_target.run(call)
            assert actual == expected, report(index, call, actual, expected)


def report(index: int, call: Call, actual: Outcome, expected: Outcome) -> str:
    return f"call {index}: {call}\nsandbox: {actual}\nserver:  {expected}"
