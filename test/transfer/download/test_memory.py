"""Memory of downloads and readers, each in its own process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.bench import MIB, PATH, Bench

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="reads the peak from Linux's /proc"
)

PROGRAM = f"""
import json, re, sys
from pathlib import Path

import lakefs_client
from lakefs_client.transfer import Transfer, TransferConfig

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) << 10

host, user, password, target, part_size = sys.argv[1:]
configuration = lakefs_client.Configuration(host=host, username=user, password=password)
with lakefs_client.ApiClient(configuration) as client:
    transfer = Transfer(client, TransferConfig(part_size=int(part_size), max_concurrency=4))
    before = peak()
    transfer.download_file("repo", "main", {PATH!r}, target)
    after = peak()
    with transfer.open("repo", "main", {PATH!r}) as file:
        size = sum(map(len, iter(lambda: file.read(1 << 16), b"")))
    print(json.dumps([size, after - before, peak() - after]))
"""


@pytest.mark.parametrize("part_size", [5 * MIB, 100 * MIB])
def test_memory_does_not_grow_with_object_size(bench: Bench, part_size: int) -> None:
    size = 64 * MIB
    bench.upload(bench.sparse(size), part_size=64 * MIB)
    configuration = bench.sandbox.configuration()
    credentials = [bench.sandbox.access_key_id, bench.sandbox.secret_access_key]
    arguments = [configuration.host, *credentials, str(bench.target), str(part_size)]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    read, download, reader = json.loads(done.stdout)
    print(round(download / MIB), round(reader / MIB))
    assert bench.target.stat().st_size == read == size
    assert download < 32 * MIB
    assert reader < 20 * MIB
