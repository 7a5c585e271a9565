"""Generated parts of the guides are current, and the guides' commands work."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from integration.support import Repo, Repositories, Server

from cli.support import PATIENCE, Cli
from lakefs_client.cli.completion import SHELLS

ROOT = Path(__file__).resolve().parents[2]
BASH = shutil.which("bash")


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """Provide the program that writes the guide and the completion scripts."""
    path = ROOT / "tools/command_line.py"
    spec = importlib.util.spec_from_file_location("command_line", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_guide_matches_the_parser(tool: ModuleType) -> None:
    assert tool.GUIDE.read_text("utf-8") == tool.guide(), "run python tools/command_line.py"


@pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="argparse of 3.13 formats options differently"
)
def test_completion_scripts_match_the_parser(tool: ModuleType) -> None:
    pytest.importorskip("shtab")
    for path, text in tool.scripts().items():
        assert path.read_text("utf-8") == text, "run python tools/command_line.py"


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_prints_the_script(cli: Cli, shell: str) -> None:
    script = ROOT / f"lakefs_client/cli/completions/lakefs-client.{shell}"
    assert cli("completion", shell).text == script.read_text("utf-8")


@pytest.mark.skipif(BASH is None, reason="needs bash")
def test_completion_works_in_bash(cli: Cli) -> None:
    script = ROOT / "lakefs_client/cli/completions/lakefs-client.bash"
    lines = (
        f"source {script}",
        "COMP_WORDS=(lakefs-client branch cr) COMP_CWORD=2",
        "$(complete -p lakefs-client | sed 's/.*-F \\([^ ]*\\).*/\\1/') lakefs-client cr branch",
        "echo ${COMPREPLY[@]}",
    )
    done = subprocess.run(
        [str(BASH), "-c", "\n".join(lines)], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.stdout.split() == ["create"], done


@pytest.fixture
def program(cli: Cli) -> str:
    """Provide a PATH with `lakefs-client` and `python` of this environment."""
    folder = cli.folder / "bin"
    folder.mkdir()
    for name, command in (("lakefs-client", "-m lakefs_client"), ("python", "")):
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec {sys.executable} {command} "$@"\n')
        path.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def shell_blocks(page: Path) -> Iterator[str]:
    """Yield the shell code of a page, up to its list of commands."""
    text = page.read_text("utf-8").partition("\n## Commands: ")[0]
    yield from re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def run_in_bash(cli: Cli, program: str, code: str, **variables: str) -> str:
    """Run code like the shell of a CI job; return its output."""
    done = subprocess.run(
        [str(BASH), "-euo", "pipefail", "-c", code],
        cwd=cli.folder,
        env=cli.variables({"PATH": program, **variables}),
        capture_output=True,
        text=True,
        timeout=5 * PATIENCE,
    )
    assert done.returncode == 0, done
    return done.stdout


@pytest.mark.skipif(BASH is None, reason="needs bash")
def test_guide_commands_run(
    cli: Cli, program: str, repositories: Repositories, lakefs_server: Server
) -> None:
    name = repositories.new_name()
    cli.file("dataset/labels.csv", b"id,bird\n")
    cli.file("dataset/train/0001.jpg", b"jpg")
    cli.file("model.bin", b"weights")
    blocks = [*shell_blocks(ROOT / "docs/guides/command-line.md")]
    code = "".join(blocks)
    code = re.sub(r"^(pip|export) .*\n", "", code, flags=re.MULTILINE)
    code = code.replace("s3://my-bucket/my-repo", lakefs_server.namespace(name))
    code = code.replace("my-repo", name)
    shown = run_in_bash(cli, program, code)
    assert "id,bird\n" in shown
    assert (cli.folder / "copy.bin").read_bytes() == b"weights"
    assert (cli.folder / "home/.local/share/bash-completion/completions/lakefs-client").exists()


@pytest.mark.skipif(BASH is None, reason="there is no bash")
def test_readme_commands_run(
    cli: Cli, program: str, repositories: Repositories, lakefs_server: Server
) -> None:
    name = repositories.new_name()
    cli.file("labels.csv", b"id,bird\n")
    install, start, commands = shell_blocks(ROOT / "README.md")
    assert install == 'pip install "lakefs_client[cli]"\n'
    sandbox, create = start.splitlines()
    assert sandbox == "lakefs-client sandbox -- bash"
    namespace = lakefs_server.namespace(name).removesuffix(name)
    code = f"{create}\n{commands}".replace("example-repo", name)
    shown = run_in_bash(cli, program, code, LAKEFS_CLIENT_NAMESPACE=namespace)
    assert shown.endswith("id,bird\n")
    assert "example-repo" in run_in_bash(cli, program, f"{sandbox} -euc '{create}'")


@pytest.mark.skipif(BASH is None, reason="there is no bash")
def test_deleting_guide_commands_run(cli: Cli, program: str, repo: Repo) -> None:
    for path in ("birds/labels.csv", "birds/raw/1.txt"):
        repo.change(path)
    repo.branch("experiment")
    (commands,) = shell_blocks(ROOT / "docs/guides/deleting.md")
    run_in_bash(cli, program, commands.replace("example-repo", repo.name))
    assert repo.paths() == ["birds/texts/1.txt"]


CI = ROOT / "docs/guides/ci.md"


def code_blocks(language: str) -> list[str]:
    """Return the code of a language in the guide for CI."""
    text = CI.read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def jobs() -> list[tuple[str, list[str], dict[str, str]]]:
    """Return the shell commands of each job, and the variables that its CI system sets."""
    github, gitlab = (yaml.safe_load(code) for code in code_blocks("yaml"))
    steps = [step["run"] for step in github["jobs"]["publish"]["steps"] if "run" in step]
    transaction, *others = code_blocks("sh")
    return [
        ("transaction", [transaction], {}),
        ("github", steps, {"GITHUB_SHA": "a1b2c3", "GITHUB_RUN_ID": "17"}),
        ("gitlab", gitlab["publish"]["script"], {"CI_COMMIT_SHA": "a1b2c3", "CI_JOB_ID": "17"}),
        ("own steps", [others[0]], {"RUN": "17"}),
        ("sandbox", [others[1]], {}),
    ]


@pytest.mark.skipif(BASH is None, reason="needs bash")
@pytest.mark.parametrize(("name", "commands", "variables"), jobs(), ids=[job[0] for job in jobs()])
def test_guide_ci_jobs_run(
    cli: Cli,
    program: str,
    repo: Repo,
    name: str,
    commands: list[str],
    variables: dict[str, str],
) -> None:
    (script,) = code_blocks("py")
    cli.file("dataset/labels.csv", b"id,bird\n")
    cli.file("etl.py", script.replace("example-repo", repo.name).encode())
    for command in commands:
        if not command.startswith("pip "):
            run_in_bash(cli, program, command.replace("example-repo", repo.name), **variables)
    if name != "sandbox":
        assert repo.read("dataset/labels.csv") == b"id,bird\n"
    if name == "github":
        assert repo.lakefs.tags_api.get_tag(repo.name, "run-17").commit_id == repo.head()
        commit = repo.lakefs.commits_api.get_commit(repo.name, repo.head())
        assert {"commit": "a1b2c3", "run": "17"}.items() <= commit.metadata.items()


def test_ci_jobs_read_credentials_from_secrets() -> None:
    github, gitlab = (yaml.safe_load(code) for code in code_blocks("yaml"))
    for variables in (github["jobs"]["publish"]["env"], gitlab["publish"]["variables"]):
        assert list(variables) == [
            "LAKECTL_SERVER_ENDPOINT_URL",
            "LAKECTL_CREDENTIALS_ACCESS_KEY_ID",
            "LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY",
        ]
        assert all(value.startswith("$") for value in variables.values())
