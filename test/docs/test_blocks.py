"""Every Python block of the README, the guides and the reference runs unchanged."""

from __future__ import annotations

import contextlib
import gzip
import io
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from docs.conftest import ROOT
from docs.preparations import prepared_code
from lakefs_client import ApiClient, Configuration, RetryPolicy
from lakefs_client.apis import AuthApi
from lakefs_client.fs import register
from lakefs_client.sandbox import Sandbox
from lakefs_client.transfer import Transfer, TransferConfig, TransferError

NOT_IN_OPEN_SOURCE = (
    "add_group_membership",
    "attach_policy_to_group",
    "attach_policy_to_user",
    "create_group",
    "create_policy",
    "delete_credentials",
    "delete_group",
    "delete_group_membership",
    "delete_policy",
    "delete_user",
    "detach_policy_from_group",
    "detach_policy_from_user",
    "get_group",
    "get_group_acl",
    "get_policy",
    "list_group_members",
    "list_group_policies",
    "list_groups",
    "list_policies",
    "list_user_credentials",
    "list_user_groups",
    "list_user_policies",
    "set_group_acl",
    "update_policy",
)
FAILURES = {
    **dict.fromkeys(NOT_IN_OPEN_SOURCE, 501),
    "create_commit_record": 404,  # the meta-range of another installation
    "create_credentials": 400,  # a user of the open-source server has one key pair
    "create_repository": 409,  # the repository exists for the other examples
    "import_cancel": 409,  # the sandbox imports immediately
    "get_run": 404,  # no action ever ran
    "get_run_hook_output": 404,
    "create_user": 409,  # the open-source server has one user
    "setup": 409,  # the server is set up
    "setup_comm_prefs": 400,  # the server requires an email address
}
"""Expected statuses of examples that fail."""


HEAVY = ("duckdb", "pandas", "polars", "pyarrow")
"""Libraries of examples, which `tox -e ecosystem` installs."""


class Block(NamedTuple):
    """A code block of a page, with the heading above it and the output below it."""

    page: str
    line: int
    code: str
    heading: str
    output: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(*patterns: str) -> Iterator[Block]:
    for path in sorted(path for pattern in patterns for path in ROOT.glob(pattern)):
        text = path.read_text("utf-8")
        pattern = r"^```python\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?"
        for match in re.finditer(pattern, text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, match.start()) + 2
            headings = re.findall(r"^## (.*)$", text[: match.start()], re.MULTILINE)
            yield Block(
                str(path.relative_to(ROOT)), line, match[1], (headings or [""])[-1], match[2]
            )


SESSIONS = (
    "docs/start.md",
    *(f"docs/guides/{name}.md" for name in ("conflicts", "deleting", "everyday", "pandas")),
)
"""Pages whose blocks run one after another, with the same names."""

GUIDES = [
    block for block in blocks("README.md", "docs/*.md", "docs/guides/*.md")
    if not block.page.endswith("Api.md") and block.page not in SESSIONS
]  # fmt: skip
OPERATIONS = list(blocks("docs/*Api.md"))
MODELS = list(blocks("docs/models/*.md"))


def run(
    block: Block, sandbox: Sandbox | None = None, namespace: dict[str, Any] | None = None
) -> str:
    """Execute a block against the sandbox and return its output."""
    code = block.code
    if sandbox is not None:
        code = code.replace("http://localhost:8000", sandbox.endpoint)
        code = code.replace("YOUR_ACCESS_KEY_ID", sandbox.access_key_id)
        code = code.replace("YOUR_SECRET_ACCESS_KEY", sandbox.secret_access_key)
        # The key pair of the login example.
        code = code.replace("AKIAIOSFODNN7EXAMPLE", sandbox.access_key_id)
        code = re.sub(r"wJalr\w+/K7MDENG/\w+EXAMPLEKEY", sandbox.secret_access_key, code)
    for module in HEAVY:
        if re.search(rf"^import {module}\b", code, re.MULTILINE):
            pytest.importorskip(module, reason=f"{module} is in test/ecosystem/requirements.txt")
    source = "\n" * (block.line - 1) + code
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        names = {"__name__": "__main__"} if namespace is None else namespace
        exec(compile(source, block.page, "exec"), names)
    return printed.getvalue()


def files(folder: Path) -> None:
    """Create the files that the guides' examples read."""
    with (folder / "model.bin").open("wb") as file:
        file.truncate(17 * 2**20)  # two parts; the file is sparse
    (folder / "today.csv").write_bytes(b"2,river\n")
    (folder / "events.json.gz").write_bytes(gzip.compress(b"{}\n"))
    (folder / "dataset" / "train").mkdir(parents=True)
    (folder / "dataset" / "labels.csv").write_bytes(b"id,bird\n")
    (folder / "dataset" / "train" / "0001.jpg").write_bytes(b"jpg")


def upload_model(sandbox: Sandbox) -> None:
    """Upload the model that the example downloads."""
    with ApiClient(sandbox.configuration()) as client:
        Transfer(client).upload_file("model.bin", "example-repo", "main", "models/model.bin")


def interrupt_upload(sandbox: Sandbox) -> None:
    """Interrupt an upload so that it can be resumed."""
    config = TransferConfig(retry=RetryPolicy(attempts=1), max_concurrency=1)
    sandbox.faults.add("store_put_part", "status", status=500, part_number=2)
    with ApiClient(sandbox.configuration()) as client:
        transfer = Transfer(client, config)
        with pytest.raises(TransferError, match="resumable"):
            transfer.upload_file(
                "model.bin", "example-repo", "main", "models/model.bin", resume=True
            )
        (pending,) = transfer.pending_uploads()
    assert pending.parts == 1


@pytest.fixture
def environment(
    example_sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Sandbox]:
    """Provide a sandbox in lakectl's environment variables, and an empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("LAKECTL_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("LAKECTL_SERVER_ENDPOINT_URL", example_sandbox.endpoint)
    monkeypatch.setenv("LAKECTL_CREDENTIALS_ACCESS_KEY_ID", example_sandbox.access_key_id)
    monkeypatch.setenv("LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY", example_sandbox.secret_access_key)
    loggers = [logging.getLogger(), logging.getLogger("lakefs_client")]
    levels = [logger.level for logger in loggers]
    handler = signal.getsignal(signal.SIGTERM)
    yield example_sandbox
    signal.signal(signal.SIGTERM, handler)
    for logger, level in zip(loggers, levels):
        logger.setLevel(level)


@pytest.mark.parametrize("page", SESSIONS)
def test_session_prints_its_output(page: str, environment: Sandbox) -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page):
        printed = run(block, environment, namespace)
        assert block.output is None or printed.strip() == block.output.strip(), block


def test_start_page_credentials_match_its_sandbox() -> None:
    page = (ROOT / "docs/start.md").read_text("utf-8")
    (command,) = re.findall(r"^python -m lakefs_client.sandbox --port 8000 (.*)$", page, re.M)
    program = [
        sys.executable,
        "-m",
        "lakefs_client.sandbox",
        "--port",
        "0",
        "--store-port",
        "0",
        *command.split(),
    ]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            endpoint = process.stdout.readline().split()[-1]
            keys = re.findall(r'^    (?:username|password)="(.*)",$', page, re.M)
            configuration = Configuration(endpoint, username=keys[0], password=keys[1])
            with ApiClient(configuration) as client:
                assert AuthApi(client).get_current_user().user
        finally:
            process.send_signal(signal.SIGINT)


@pytest.mark.parametrize("block", GUIDES, ids=str)
def test_guide_example_runs(block: Block, environment: Sandbox, tmp_path: Path) -> None:
    files(tmp_path)
    register()  # an installed lakefs-spec would serve the scheme
    for program, prepare in (("pending_uploads", interrupt_upload), ("download", upload_model)):
        if program in block.code:
            prepare(environment)
    assert "failed" not in run(block, environment)


def test_pytest_examples_pass(tmp_path: Path) -> None:
    page = (ROOT / "docs/guides/sandbox.md").read_text("utf-8")
    section = page.partition("\n## In pytest\n")[2].partition("\n## ")[0]
    examples = re.findall(r"^```py\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    for number, code in enumerate(examples):
        (tmp_path / f"test_{number}.py").write_text(code, "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("block", OPERATIONS, ids=str)
def test_operation_example_runs(block: Block, example_sandbox: Sandbox) -> None:
    with ApiClient(example_sandbox.configuration()) as client:
        code = prepared_code(block.heading, client, block.code)
    example_sandbox.requests.clear()
    printed = run(block._replace(code=code), example_sandbox)
    (request,) = example_sandbox.requests
    assert request.operation == block.heading
    assert request.status is not None
    expected = FAILURES.get(block.heading)
    assert request.status == expected or (expected is None and request.status < 300), printed
    assert (f"{block.heading} failed: ({expected})" in printed) == (expected is not None)


@pytest.mark.parametrize("page", sorted({block.page for block in MODELS}))
def test_model_example_runs(page: str) -> None:
    for block in MODELS:
        if block.page == page:
            assert run(block) == ""


def test_operations_and_models_have_examples() -> None:
    operations = sum(
        path.read_text("utf-8").count("\n### Parameters\n") for path in ROOT.glob("docs/*Api.md")
    )
    assert len(OPERATIONS) == operations == 150
    assert len(MODELS) > 100
