"""Registration of ``lakefs://``: this package, or lakefs-spec if it is installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Provide a folder of packages with this package's entry point, like pip's."""
    entry = re.search(r'"fsspec.specs": \["(.+?)"\]', (ROOT / "setup.py").read_text("utf-8"))
    assert entry is not None
    metadata = tmp_path / "lakefs_client-0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Name: lakefs_client\nVersion: 0\n")
    (metadata / "entry_points.txt").write_text(f"[fsspec.specs]\n{entry[1]}\n")
    return tmp_path


def install_lakefs_spec(packages: Path) -> None:
    """Write a stub of lakefs-spec into the folder of packages."""
    (packages / "lakefs_spec.py").write_text(
        "from fsspec import AbstractFileSystem\n"
        "class LakeFSFileSystem(AbstractFileSystem):\n    protocol = 'lakefs'\n"
    )


def run(packages: Path, code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(packages), str(ROOT)])}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=packages, check=False
    )
    assert not done.stderr
    return done.stdout.strip()


SERVED_BY = "import fsspec; print(fsspec.get_filesystem_class('lakefs').__module__)"


def test_scheme_is_registered_without_lakefs_spec(installed: Path) -> None:
    # Hide an installed lakefs-spec.
    (installed / "lakefs_spec.py").write_text("raise ModuleNotFoundError(name='lakefs_spec')")
    assert run(installed, SERVED_BY) == "lakefs_client.fs.filesystem"


def test_lakefs_spec_keeps_the_scheme(installed: Path) -> None:
    install_lakefs_spec(installed)
    assert run(installed, SERVED_BY) == "lakefs_spec"


@pytest.mark.parametrize("first", ["pass", SERVED_BY.replace("print", "str")])
def test_register_overrides_lakefs_spec(installed: Path, first: str) -> None:
    install_lakefs_spec(installed)
    code = f"{first}\nimport lakefs_client.fs; lakefs_client.fs.register(); {SERVED_BY}"
    assert run(installed, code) == "lakefs_client.fs.filesystem"


def test_import_error_of_lakefs_spec_is_raised(installed: Path) -> None:
    (installed / "lakefs_spec.py").write_text("import missing_dependency")
    code = f"""
try:
    {SERVED_BY}
except ImportError as error:
    print(error.__cause__)
"""
    assert "missing_dependency" in run(installed, code)


def test_fsspec_import_does_not_import_this_package(installed: Path) -> None:
    code = "import fsspec, sys; print('lakefs_client' in sys.modules)"
    assert run(installed, code) == "False"


def test_missing_fsspec_names_the_extra(tmp_path: Path) -> None:
    (tmp_path / "fsspec.py").write_text("raise ModuleNotFoundError(name='fsspec')")
    code = """
try:
    import lakefs_client.fs
except ModuleNotFoundError as error:
    print(error)
"""
    assert "pip install 'lakefs_client[fsspec]'" in run(tmp_path, code)
