"""Memory of uploads, in a process of their own, to a sandbox in another."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

MIB = 1 << 20
LIMIT = 100 * MIB

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="reads the peak from Linux's /proc"
)

# VmHWM is of this program alone; `ru_maxrss` begins with that of the process it was started from.
PROGRAM = """
import json, re, resource, sys, time

import lakefs_client
from lakefs_client.api.repositories_api import RepositoriesApi
from lakefs_client.models import RepositoryCreation
from lakefs_client.transfer import Transfer, TransferConfig

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) << 10

endpoint, user, password, namespace, source, settings = sys.argv[1:]
configuration = lakefs_client.Configuration(host=endpoint, username=user, password=password)
with lakefs_client.ApiClient(configuration) as client:
    RepositoriesApi(client).create_repository(
        RepositoryCreation(name="repo", storage_namespace=namespace + "repo")
    )
    transfer = Transfer(client, TransferConfig(**json.loads(settings)))
    before, started = peak(), time.monotonic()
    if source:
        stats = transfer.upload_file(source, "repo", "main", "path")
    else:
        stats = transfer.upload_fileobj(sys.stdin.buffer, "repo", "main", "path")
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({
        "size": stats.size_bytes,
        "checksum": stats.checksum,
        "before": before,
        "growth": peak() - before,
        "wall": time.monotonic() - started,
        "cpu": usage.ru_utime + usage.ru_stime,
    }))
"""


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[list[str]]:
    """Provide the endpoint, credentials and namespace of a sandbox in another process. What it
    keeps is below `tmp_path`."""
    with sandbox_elsewhere("--data", str(tmp_path / "sandbox")) as found:
        yield found


@contextmanager
def sandbox_elsewhere(*options: str) -> Iterator[list[str]]:
    command = [sys.executable, "-m", "lakefs_client.sandbox", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            told = ""
            while "namespace" not in told:
                line = process.stdout.readline()
                assert line, f"the sandbox ended: {told}"
                told += line
            patterns = (
                r"sandbox at (\S+)",
                r"access key id +(\S+)",
                r"secret access key +(\S+)",
                r"storage namespace +([^\s<]+)",
            )
            found = [re.search(pattern, told) for pattern in patterns]
            assert all(found), told
            yield [match[1] for match in found if match]
        finally:
            process.terminate()
            process.stdout.read()
            process.wait(60)


def run(arguments: list[str], stdin: IO[bytes] | None = None) -> dict[str, Any]:
    """Run the program; what it says of itself."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, *arguments],
        stdin=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def upload(elsewhere: list[str], folder: Path, size: int, **settings: Any) -> dict[str, Any]:
    """Upload a sparse file of zeros; what the process that did it says of itself."""
    source = folder / "sparse"
    with source.open("wb") as file:
        file.truncate(size)
    told = run([*elsewhere, str(source), json.dumps(settings)])
    blocks = sum(path.stat().st_blocks for path in folder.rglob("*") if path.is_file())
    told["disk"] = blocks * 512
    print({name: value if isinstance(value, str) else round(value) for name, value in told.items()})
    assert told["size"] == size
    return told


FOLDERS = """
import json, re, sys

import lakefs_client
from lakefs_client.api.repositories_api import RepositoriesApi
from lakefs_client.models import RepositoryCreation
from lakefs_client.transfer import Transfer, TransferConfig

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) << 10

endpoint, user, password, namespace, source, target = sys.argv[1:]
configuration = lakefs_client.Configuration(host=endpoint, username=user, password=password)
with lakefs_client.ApiClient(configuration) as client:
    RepositoriesApi(client).create_repository(
        RepositoryCreation(name="repo", storage_namespace=namespace + "repo")
    )
    transfer = Transfer(client)
    peaks = [peak()]
    for _ in range(2):
        up = transfer.upload_directory(source, "repo", "main")
        peaks.append(peak())
    for _ in range(2):
        down = transfer.download_directory("repo", "main", "", target)
        peaks.append(peak())
    print(json.dumps({"up": up.skipped, "down": down.skipped, "peaks": peaks}))
"""


def folder_growth(folder: Path, count: int) -> int:
    """Upload tiny files and download them, each twice. Returns what that adds to the peak."""
    for n in range(count):
        place = folder / "here" / f"{n % 7}" / f"{n}"
        if n < 7:
            place.parent.mkdir(parents=True)
        place.write_bytes(b"%d" % n)
    with sandbox_elsewhere() as elsewhere:
        arguments = [*elsewhere, str(folder / "here"), str(folder / "there")]
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", FOLDERS, *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    print([f"{peak / MIB:.1f}" for peak in told["peaks"]])
    assert told["up"] == told["down"] == count
    growth: int = max(told["peaks"]) - told["peaks"][0]
    return growth


# A page of a listing has 1,000 objects, which is what the memory is for.
FOLDER_LIMIT = 12 * MIB


def test_memory_does_not_grow_with_the_files_of_a_folder(tmp_path: Path) -> None:
    assert folder_growth(tmp_path, 1200) < FOLDER_LIMIT


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nor_with_twenty_thousand(tmp_path: Path) -> None:
    assert folder_growth(tmp_path, 20_000) < FOLDER_LIMIT


@pytest.mark.parametrize(
    "settings",
    [
        {"part_size": 100 * MIB, "max_concurrency": 8},
        {"part_size": 300 * MIB, "multipart_threshold": 301 * MIB},
    ],
    ids=["parts", "one PUT"],
)
def test_memory_does_not_grow_with_the_file(
    elsewhere: list[str], tmp_path: Path, settings: dict[str, int]
) -> None:
    told = upload(elsewhere, tmp_path, 300 * MIB, **settings)
    assert told["growth"] < LIMIT


def test_memory_does_not_grow_with_what_comes_from_a_pipe(
    elsewhere: list[str], tmp_path: Path
) -> None:
    size = 1024 * MIB
    zeros = tmp_path / "zeros"
    with zeros.open("wb") as file:
        file.truncate(size)
    with subprocess.Popen(["cat", str(zeros)], stdout=subprocess.PIPE) as cat:
        settings = {"part_size": 64 * MIB, "max_concurrency": 4}
        told = run([*elsewhere, "", json.dumps(settings)], cat.stdout)
    print(told)
    assert told["size"] == size
    assert told["growth"] < LIMIT


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("part_size", [16 * MIB, 1024 * MIB], ids=["16 MiB", "1 GiB"])
def test_five_gibibytes_in_less_than_a_hundred_mebibytes(
    elsewhere: list[str], tmp_path: Path, part_size: int
) -> None:
    told = upload(elsewhere, tmp_path, 5 * 1024 * MIB, part_size=part_size)
    assert told["growth"] < LIMIT
    # The file has no blocks, and neither have the sandbox's parts of zeros.
    assert told["disk"] < 10 * MIB
