"""Fixtures of the transfer tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.bench import Bench, OnBytes, Tamper, bench_of

from lakefs_client.sandbox import Sandbox
from lakefs_client.sandbox.http_server import Request, Response
from lakefs_client.sandbox.store_server import StoreServer
from lakefs_client.transfer.progress import Progress


@pytest.fixture
def bench(sandbox: Sandbox, tmp_path: Path) -> Iterator[Bench]:
    with bench_of(sandbox, tmp_path) as bench:
        yield bench


@pytest.fixture(scope="module")
def module_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Provide a bench for all tests of a module, and all examples of a property."""
    with Sandbox() as sandbox, bench_of(sandbox, tmp_path_factory.mktemp("module")) as bench:
        yield bench


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """Provide a function that makes a bench. Its arguments go to the sandbox."""
    with ExitStack() as stack:

        def make(**options: Any) -> Bench:
            sandbox = stack.enter_context(Sandbox(**options))
            return stack.enter_context(bench_of(sandbox, tmp_path))

        yield make


@pytest.fixture
def tamper(monkeypatch: pytest.MonkeyPatch) -> Tamper:
    """Provide a function that registers a change of the store's answers to object requests."""

    def tamper(change: Callable[[Response, Request], object]) -> None:
        get = StoreServer._get

        def tampered(self: Any, request: Request, *more: Any) -> Response:
            response = get(self, request, *more)
            change(response, request)
            return response

        monkeypatch.setattr(StoreServer, "_get", tampered)

    return tamper


@pytest.fixture
def on_bytes(monkeypatch: pytest.MonkeyPatch) -> OnBytes:
    """Provide a function that registers a callback for each count of bytes.

    The thread that transferred the bytes runs the callback.
    """

    def use(callback: Callable[[int], object]) -> None:
        add = Progress.add

        def counted(self: Progress, count: int) -> None:
            add(self, count)
            callback(count)

        monkeypatch.setattr(Progress, "add", counted)

    return use
