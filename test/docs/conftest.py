"""Fixtures: a sandbox with the data that the examples use."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from lakefs_client import ApiClient
from lakefs_client.apis import (
    BranchesApi,
    CommitsApi,
    ObjectsApi,
    RepositoriesApi,
    TagsApi,
)
from lakefs_client.models import (
    BranchCreation,
    CommitCreation,
    RepositoryCreation,
    TagCreation,
)
from lakefs_client.sandbox import Sandbox

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def example_sandbox() -> Iterator[Sandbox]:
    """Provide a sandbox whose repository has two branches, an object, a commit and a tag."""
    with Sandbox(external_principals=True) as sandbox:
        with ApiClient(sandbox.configuration()) as client:
            RepositoriesApi(client).create_repository(
                RepositoryCreation("example-repo", f"{sandbox.storage_namespace}example-repo")
            )
            ObjectsApi(client).upload_object(
                "example-repo", "main", "data/part-0001.csv", content=b"id,name\n1,lake\n"
            )
            CommitsApi(client).commit("example-repo", "main", CommitCreation("first"))
            BranchesApi(client).create_branch("example-repo", BranchCreation("dev", "main"))
            TagsApi(client).create_tag("example-repo", TagCreation("v1.0", "main"))
        sandbox.requests.clear()
        yield sandbox


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Provide the directory of the site, built without warnings."""
    if find_spec("zensical") is None:
        pytest.skip("zensical is not installed")
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "docs", folder / "docs")
    for name in ("mkdocs.yml", "CHANGELOG.md"):
        shutil.copy(ROOT / name, folder)
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"
