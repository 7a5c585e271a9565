"""The wheel and the sdist: reproducible builds, contents, and use in a clean environment."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.package

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import pathlib, sys
import lakefs_client
from lakefs_client.apis import ObjectsApi, RepositoriesApi
from lakefs_client.models import RepositoryCreation
from lakefs_client.sandbox import Sandbox
from lakefs_client.transfer import Transfer, TransferConfig

source = pathlib.Path("file.bin")
source.write_bytes(bytes(range(256)) * (6 << 12))
with Sandbox() as sandbox, lakefs_client.ApiClient(sandbox.configuration()) as client:
    namespace = sandbox.storage_namespace + "example-repo"
    RepositoriesApi(client).create_repository(RepositoryCreation("example-repo", namespace))
    transfer = Transfer(client, TransferConfig(part_size=5 << 20))
    stats = transfer.upload_file(source, "example-repo", "main", "file.bin")
    with ObjectsApi(client).get_object("example-repo", "main", "file.bin") as file:
        assert file.read() == source.read_bytes()
print(lakefs_client.__version__, stats.checksum)
"""


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(folder: Path, umask: int) -> Path:
    """Build wheel and sdist from a copy of the sources; return their folder."""
    source = folder / "source"
    ignored = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, source, ignore=ignored)
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1795000000"}
    command = [sys.executable, "-m", "build", "--outdir", str(folder / "dist"), str(source)]
    done = subprocess.run(
        command, env=environment, umask=umask, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "dist"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Provide the folder of wheel and sdist."""
    return build(tmp_path_factory.mktemp("built"), 0o022)


@pytest.mark.timeout(300)
def test_builds_are_reproducible(built: Path, tmp_path: Path) -> None:
    again = build(tmp_path, 0o077)
    assert [path.name for path in sorted(again.iterdir())] == sorted(os.listdir(built))
    for path in again.iterdir():
        assert path.read_bytes() == (built / path.name).read_bytes(), path.name


def test_wheel_contains_an_sbom(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if ".dist-info/sboms/" in name)
        bill = json.loads(archive.read(name))
    assert bill["specVersion"] == "1.6"
    assert bill["metadata"]["component"]["purl"].startswith("pkg:pypi/lakefs-client@")
    components = [component["name"] for component in bill["components"]]
    assert components == ["urllib3", "python-dateutil", "certifi"]


@pytest.mark.timeout(600)
def test_sdist_passes_selected_tests(built: Path, tmp_path: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path)
    (source,) = tmp_path.iterdir()
    # Only the tests that read files beside the package; others would repeat ./scripts/test.
    tests = [
        "test/unit/test_imports.py",
        "test/unit/test_language.py",
        "test/surface/test_surface_1_44.py",
        "test/sandbox/test_recipes.py",
        "test/fs/test_registration.py",
    ]
    run(sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests, cwd=source)


def test_wheel_contains_only_the_package(
    built: Path,
) -> None:
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"lakefs_client/py.typed", "lakefs_client/sandbox/openapi.json"} <= names
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"lakefs_client", f"{wheel.name.rpartition('-py3')[0]}.dist-info"}


def test_sdist_contains_the_build_inputs(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"setup.py", "requirements.txt", "test-requirements.txt", "README.md"} <= names


@pytest.mark.timeout(600)
def test_wheel_works_in_a_clean_environment(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", wheel, cwd=tmp_path)
    (tmp_path / "program.py").write_text(PROGRAM, "utf-8")
    assert run(python, "-W", "error", "program.py", cwd=tmp_path).startswith("2.0.0 ")
    names = "import importlib.metadata as m; print(*(d.name for d in m.distributions()))"
    installed = set(run(python, "-c", names, cwd=tmp_path).split()) - {"pip", "setuptools"}
    # python-dateutil depends on six before 4.0, and on tzdata since.
    assert installed - {"six", "tzdata"} == {
        "certifi",
        "lakefs_client",
        "python-dateutil",
        "urllib3",
    }
    listing = "import importlib.metadata as m; print(*m.requires('lakefs_client'), sep='\\n')"
    needed = [line for line in run(python, "-c", listing, cwd=tmp_path).split("\n") if line]
    names = [re.split("[^a-z0-9-]", line)[0] for line in needed if "extra ==" not in line]
    assert names == ["urllib3", "python-dateutil", "certifi"]
