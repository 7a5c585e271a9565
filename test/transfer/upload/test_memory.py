"""Memory of uploads. The client and the sandbox run in separate processes."""

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

# VmHWM counts this program alone. `ru_maxrss` starts with the parent's value.
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
def sandbox_arguments(tmp_path: Path) -> Iterator[list[str]]:
    """Provide the endpoint, credentials and namespace of a sandbox in another process.

    Its data are below `tmp_path`.
    """
    with sandbox_process("--data", str(tmp_path / "sandbox")) as found:
        yield found


@contextmanager
def sandbox_process(*options: str) -> Iterator[list[str]]:
    command = [sys.executable, "-m", "lakefs_client.sandbox", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            output = ""
            while "namespace" not in output:
                line = process.stdout.readline()
                assert line, f"the sandbox ended: {output}"
                output += line
            patterns = (
                r"sandbox at (\S+)",
                r"access key id +(\S+)",
                r"secret access key +(\S+)",
                r"storage namespace +([^\s<]+)",
            )
            found = [re.search(pattern, output) for pattern in patterns]
            assert all(found), output
            yield [match[1] for match in found if match]
        finally:
            process.terminate()
            process.stdout.read()
            process.wait(60)


def run(arguments: list[str], stdin: IO[bytes] | None = None) -> dict[str, Any]:
    """Run the program, and return its report."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, *arguments],
        stdin=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def upload(
    sandbox_arguments: list[str], folder: Path, size: int, **settings: Any
) -> dict[str, Any]:
    """Upload a sparse file of zeros in another process, and return its report."""
    source = folder / "sparse"
    with source.open("wb") as file:
        file.truncate(size)
    report = run([*sandbox_arguments, str(source), json.dumps(settings)])
    blocks = sum(path.stat().st_blocks for path in folder.rglob("*") if path.is_file())
    report["disk"] = blocks * 512
    print(
        {name: value if isinstance(value, str) else round(value) for name, value in report.items()}
    )
    assert report["size"] == size
    return report


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
    """Upload and download tiny files, each twice. Return the growth of the peak."""
    for n in range(count):
        place = folder / "here" / f"{n % 7}" / f"{n}"
        if n < 7:
            place.parent.mkdir(parents=True)
        place.write_bytes(b"%d" % n)
    with sandbox_process() as sandbox_arguments:
        arguments = [*sandbox_arguments, str(folder / "here"), str(folder / "there")]
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", FOLDERS, *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    print([f"{peak / MIB:.1f}" for peak in report["peaks"]])
    assert report["up"] == report["down"] == count
    growth: int = max(report["peaks"]) - report["peaks"][0]
    return growth


# Most of the memory holds a page of a listing, with 1,000 objects.
FOLDER_LIMIT = 12 * MIB


def test_memory_does_not_grow_with_file_count(tmp_path: Path) -> None:
    assert folder_growth(tmp_path, 1200) < FOLDER_LIMIT


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_memory_does_not_grow_with_20000_files(tmp_path: Path) -> None:
    assert folder_growth(tmp_path, 20_000) < FOLDER_LIMIT


@pytest.mark.parametrize(
    "settings",
    [
        {"part_size": 100 * MIB, "max_concurrency": 8},
        {"part_size": 300 * MIB, "multipart_threshold": 301 * MIB},
    ],
    ids=["parts", "one PUT"],
)
def test_memory_does_not_grow_with_file_size(
    sandbox_arguments: list[str], tmp_path: Path, settings: dict[str, int]
) -> None:
    report = upload(sandbox_arguments, tmp_path, 300 * MIB, **settings)
    assert report["growth"] < LIMIT


def test_memory_does_not_grow_with_pipe_size(sandbox_arguments: list[str], tmp_path: Path) -> None:
    size = 1024 * MIB
    zeros = tmp_path / "zeros"
    with zeros.open("wb") as file:
        file.truncate(size)
    with subprocess.Popen(["cat", str(zeros)], stdout=subprocess.PIPE) as cat:
        settings = {"part_size": 64 * MIB, "max_concurrency": 4}
        report = run([*sandbox_arguments, "", json.dumps(settings)], cat.stdout)
    print(report)
    assert report["size"] == size
    assert report["growth"] < LIMIT


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("part_size", [16 * MIB, 1024 * MIB], ids=["16 MiB", "1 GiB"])
def test_five_gib_need_less_than_100_mib(
    sandbox_arguments: list[str], tmp_path: Path, part_size: int
) -> None:
    report = upload(sandbox_arguments, tmp_path, 5 * 1024 * MIB, part_size=part_size)
    assert report["growth"] < LIMIT
    # Neither the file nor the sandbox's parts of zeros use disk blocks.
    assert report["disk"] < 10 * MIB
