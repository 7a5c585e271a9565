"""Every Python block of the README, the guides and the reference runs unchanged."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from docs.conftest import ROOT
from docs.preparations import prepared
from lakefs_client import ApiClient, RetryPolicy
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
REFUSED = {
    **dict.fromkeys(NOT_IN_OPEN_SOURCE, 501),
    "create_commit_record": 404,  # its meta-range belongs to another installation
    "create_credentials": 400,  # a user of the open-source server has one key pair
    "create_repository": 409,  # the repository exists for the other examples
    "import_cancel": 409,  # the sandbox imports at once, so the import has ended
    "get_run": 404,  # no action ever ran
    "get_run_hook_output": 404,
    "create_user": 409,  # the open-source server has one user
    "setup": 409,  # the server is set up
    "setup_comm_prefs": 400,  # the server requires an email address
}
"""Expected status of the examples that cannot succeed."""


HEAVY = ("duckdb", "opentelemetry", "pandas", "polars", "pyarrow")
"""Libraries of examples, which `tox -e ecosystem` installs."""


class Block(NamedTuple):
    """A code block of a page, with the heading above it."""

    page: str
    line: int
    code: str
    heading: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(*patterns: str) -> Iterator[Block]:
    for path in sorted(path for pattern in patterns for path in ROOT.glob(pattern)):
        text = path.read_text("utf-8")
        for match in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, match.start()) + 2
            headings = re.findall(r"^## (.*)$", text[: match.start()], re.MULTILINE)
            yield Block(str(path.relative_to(ROOT)), line, match[1], (headings or [""])[-1])


PROSE = list(blocks("README.md", "docs/guides/*.md"))
OPERATIONS = list(blocks("docs/*Api.md"))
MODELS = list(blocks("docs/models/*.md"))


def run(block: Block, sandbox: Sandbox | None = None) -> str:
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
        if re.search(rf"^import {module}\b", code, re.MULTILINE) or (
            module == "opentelemetry" and "otel.instrument" in code
        ):
            pytest.importorskip(module, reason=f"{module} is in test/ecosystem/requirements.txt")
    source = "\n" * (block.line - 1) + code
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, block.page, "exec"), {"__name__": "__main__"})
    return printed.getvalue()


def files(folder: Path) -> None:
    """Create the files that the guides' examples read."""
    with (folder / "model.bin").open("wb") as file:
        file.truncate(17 * 2**20)  # two parts, in a sparse file
    (folder / "today.csv").write_bytes(b"2,river\n")
    (folder / "events.json.gz").write_bytes(gzip.compress(b"{}\n"))
    (folder / "dataset" / "train").mkdir(parents=True)
    (folder / "dataset" / "labels.csv").write_bytes(b"id,bird\n")
    (folder / "dataset" / "train" / "0001.jpg").write_bytes(b"jpg")


def leave_a_model(sandbox: Sandbox) -> None:
    """Upload the model to the branch."""
    with ApiClient(sandbox.configuration()) as client:
        Transfer(client).upload_file("model.bin", "example-repo", "main", "models/model.bin")


def leave_an_upload(sandbox: Sandbox) -> None:
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


@pytest.mark.parametrize("block", PROSE, ids=str)
def test_guide_example_runs(
    block: Block, furnished: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("LAKECTL_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("LAKECTL_SERVER_ENDPOINT_URL", furnished.endpoint)
    monkeypatch.setenv("LAKECTL_CREDENTIALS_ACCESS_KEY_ID", furnished.access_key_id)
    monkeypatch.setenv("LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY", furnished.secret_access_key)
    register()  # the entry point is lakefs-spec's if that is installed
    for program, prepare in (("pending_uploads", leave_an_upload), ("download", leave_a_model)):
        if program in block.code:
            prepare(furnished)
    assert "failed" not in run(block, furnished)


@pytest.mark.parametrize("block", OPERATIONS, ids=str)
def test_operation_example_runs(block: Block, furnished: Sandbox) -> None:
    with ApiClient(furnished.configuration()) as client:
        code = prepared(block.heading, client, block.code)
    furnished.requests.clear()
    printed = run(block._replace(code=code), furnished)
    (request,) = furnished.requests
    assert request.operation == block.heading
    assert request.status is not None
    expected = REFUSED.get(block.heading)
    assert request.status == expected or (expected is None and request.status < 300), printed
    assert (f"{block.heading} failed: ({expected})" in printed) == (expected is not None)


@pytest.mark.parametrize("page", sorted({block.page for block in MODELS}))
def test_model_example_runs(page: str) -> None:
    for block in MODELS:
        if block.page == page:
            assert run(block) == ""


def test_every_operation_and_most_models_have_an_example() -> None:
    operations = sum(
        path.read_text("utf-8").count("\n### Parameters\n") for path in ROOT.glob("docs/*Api.md")
    )
    assert len(OPERATIONS) == operations == 150
    assert len(MODELS) > 100
