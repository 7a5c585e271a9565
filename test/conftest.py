"""Fixtures that all groups of tests may use."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import hypothesis
import pytest
from support.scripted import ScriptedServer

import lakefs_client
from lakefs_client.sandbox import Sandbox

# A shell ignores these signals in programs that it starts in the background, and their children
# inherit that. A child does not inherit a handler.
for _name in ("SIGINT", "SIGHUP"):
    _number = getattr(signal, _name, None)
    if _number is not None and signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(
            _number, signal.default_int_handler if _name == "SIGINT" else lambda *ignored: None
        )

# How long an example takes says nothing on a busy machine.
hypothesis.settings.register_profile(
    "suite",
    deadline=None,
    max_examples=50,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("suite")


@pytest.fixture(scope="session", autouse=True)
def _no_proxy_of_this_machine() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
            patch.delenv(name, raising=False)
            patch.delenv(name.upper(), raising=False)
        yield


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Provide an empty lakeFS server."""
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[lakefs_client.ApiClient]:
    """Provide a client of the sandbox, with its credentials."""
    with lakefs_client.ApiClient(sandbox.configuration()) as client:
        yield client


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """Provide a server that runs `server.script(...)`. All of it must happen in the test."""
    with ScriptedServer() as server:
        yield server
