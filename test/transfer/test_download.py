"""Downloads of files: what arrives, what is asked for, what is left."""

from __future__ import annotations

from typing import Any

import pytest

from lakefs_client.transfer import Transfer, TransferConfig
from lakefs_client.transfer.gate import Gate

from .conftest import PART, PATH, Bench, content

SIZE = 2 * PART + 17


class Downloads:
    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.target = bench.folder / "downloads" / "target.bin"
        self.target.parent.mkdir()

    def __call__(
        self, path: str = PATH, ref: str = "main", target: Any = None, **options: Any
    ) -> Any:
        names = ("progress", "resume")
        arguments = {name: options.pop(name) for name in names if name in options}
        config = TransferConfig(**{"part_size": PART, **options})
        transfer = Transfer(self.bench.client, config)
        transfer.gate = Gate(config.max_concurrency)
        return transfer.download_file("repo", ref, path, target or self.target, **arguments)


@pytest.fixture
def downloads(bench: Bench) -> Downloads:
    return Downloads(bench)


@pytest.mark.parametrize("size", [0, 1, 9, PART - 1, PART, PART + 1, SIZE])
@pytest.mark.parametrize("verify", [True, False])
def test_what_arrives_is_the_object(downloads: Downloads, size: int, verify: bool) -> None:
    bench = downloads.bench
    bench.upload(size)
    bench.sandbox.requests.clear()
    counts: list[int] = []
    downloads(verify=verify, progress=counts.append)
    assert downloads.target.read_bytes() == content(size)
    assert [p.name for p in downloads.target.parent.iterdir()] == ["target.bin"]
    assert sum(counts) == size
    assert bench.operations["stat_object"] == 1
    assert bench.operations["store_get_object"] == -(-size // PART)
    assert bench.operations.total() == 1 + -(-size // PART)
