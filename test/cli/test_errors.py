"""Exit codes and messages of failures."""

from __future__ import annotations

import json
import socket

import pytest
from integration.support import Repo

from cli.support import Cli
from lakefs_client.cli import _commands
from lakefs_client.cli._errors import CODES
from lakefs_client.sandbox import Sandbox

MISSING = "lakefs://cli-test-missing"


def make_repository(cli: Cli, sandbox: Sandbox, name: str = "repo-1") -> str:
    cli("repo", "create", f"lakefs://{name}", f"{sandbox.storage_namespace}{name}")
    return f"lakefs://{name}/main"


@pytest.mark.parametrize(
    "arguments",
    [
        ("ls", f"{MISSING}/main/"),
        ("cat", f"{MISSING}/main/a"),
        ("stat", f"{MISSING}/main/a"),
        ("rm", f"{MISSING}/main/a"),
        ("presign", f"{MISSING}/main/a"),
        ("cp", f"{MISSING}/main/a", "a"),
        ("cp", "nothing.txt", f"{MISSING}/main/a"),
        ("cp", "-r", "nothing", f"{MISSING}/main/a"),
        ("repo", "show", MISSING),
        ("branch", "list", MISSING),
        ("tag", "list", MISSING),
        ("log", f"{MISSING}/main"),
        ("diff", f"{MISSING}/main"),
        ("commit", f"{MISSING}/main", "-m", "x"),
        ("merge", f"{MISSING}/a", f"{MISSING}/b"),
    ],
    ids=" ".join,
)
def test_missing_resource_is_named(cli: Cli, arguments: tuple[str, ...]) -> None:
    failed = cli(*arguments, code=3)
    assert failed.out == b""
    assert "missing" in failed.err or "nothing" in failed.err
    assert failed.err.startswith(f"lakefs-client {arguments[0]}: error: ")
    assert len(failed.err.splitlines()) <= 2


def test_wrong_credentials_exit_with_5(cli: Cli, uri: str) -> None:
    failed = cli("ls", f"{uri}/main/", code=5, LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY="wrong-one")
    assert "401" in failed.err
    assert "hint: " in failed.err
    assert "wrong-one" not in failed.err


def test_missing_server_setting_is_named(cli: Cli) -> None:
    failed = cli("repo", "list", code=2, LAKECTL_SERVER_ENDPOINT_URL=None)
    assert "LAKECTL_SERVER_ENDPOINT_URL" in failed.err


def test_config_file_option_selects_credentials(cli: Cli) -> None:
    import yaml

    content = {
        "server": {"endpoint_url": cli.environment["LAKECTL_SERVER_ENDPOINT_URL"]},
        "credentials": {
            name: cli.environment[f"LAKECTL_CREDENTIALS_{name.upper()}"]
            for name in ("access_key_id", "secret_access_key")
        },
    }
    path = cli.file("settings.yaml", yaml.safe_dump(content).encode())
    path.chmod(0o600)
    for name in [name for name in cli.environment if name.startswith("LAKECTL")]:
        del cli.environment[name]
    cli("repo", "list", "-c", "settings.yaml")
    cli("repo", "list", LAKECTL_CONFIG_FILE="settings.yaml")
    assert "settings.yaml" not in cli("repo", "list", code=2).err
    assert "missing.yaml" in cli("repo", "list", "-c", "missing.yaml", code=3).err
    path.chmod(0o644)
    for command in (("repo", "list"), ("config",)):
        exposed = cli(*command, "-c", "settings.yaml")
        assert exposed.err.startswith(f"lakefs-client {command[0]}: warning: ")
        assert len(exposed.err.splitlines()) == 1


def test_unreachable_server_exits_with_8(cli: Cli) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
        failed = cli("repo", "list", code=8, LAKECTL_SERVER_ENDPOINT_URL=endpoint)
    assert endpoint in failed.err
    assert "doctor" in failed.err


def test_unavailable_server_exits_with_8(sandbox_cli: Cli, sandbox: Sandbox) -> None:
    sandbox.faults.add("list_repositories", "status", status=503, times=99)
    sandbox_cli("repo", "list", code=8)


def test_server_error_exits_with_1(sandbox_cli: Cli, sandbox: Sandbox) -> None:
    sandbox.faults.add("list_repositories", "status", status=500)
    sandbox_cli("repo", "list", code=1)


def test_partial_failure_exits_with_6(sandbox_cli: Cli, sandbox: Sandbox) -> None:
    main = make_repository(sandbox_cli, sandbox)
    for name in ("a", "b", "c"):
        sandbox_cli.file(f"set/{name}", name.encode())
    sandbox.faults.add("get_physical_address", "status", status=403)
    report = sandbox_cli("cp", "-r", "set", f"{main}/set", "--json", "-p", 1, code=6).json
    assert (report["transferred"], report["failed"]) == (2, 1)
    (failure,) = report["failures"]
    assert failure["path"] in "abc"
    sandbox.faults.add("get_physical_address", "status", status=403)
    sandbox_cli.file("set/d", b"d")
    shown = sandbox_cli("cp", "-r", "set", f"{main}/set", code=6)
    assert "failed: " in shown.err
    assert "1 failed" in shown.err


@pytest.mark.parametrize("command", ["commit", "merge"])
def test_hook_failure_exits_with_7(sandbox_cli: Cli, sandbox: Sandbox, command: str) -> None:
    main = make_repository(sandbox_cli, sandbox)
    sandbox_cli("branch", "create", "lakefs://repo-1/dev", "-s", main)
    sandbox_cli("cp", "-", "lakefs://repo-1/dev/a", stdin=b"a")
    operation = "commit" if command == "commit" else "merge_into_branch"
    sandbox.faults.add(
        operation, "status", status=412,
        body={"message": f"pre-{command} hook aborted, run id '5k': schema"},
    )  # fmt: skip
    if command == "commit":
        failed = sandbox_cli("commit", "lakefs://repo-1/dev", "-m", "x", code=7)
    else:
        failed = sandbox_cli("merge", "lakefs://repo-1/dev", main, code=7)
    assert "hook" in failed.err


def test_json_error_has_status_and_exit_code(cli: Cli) -> None:
    failed = cli("--json", "ls", f"{MISSING}/main/", code=3)
    assert failed.out == b""
    record = json.loads(failed.err)
    assert record["exit_code"] == 3
    assert record["status"] == 404
    assert MISSING in record["error"]


def test_debug_shows_the_traceback(cli: Cli) -> None:
    with cli.start("--debug", "ls", f"{MISSING}/main/") as done:
        _, err = done.communicate(timeout=60)
    assert done.returncode == 3
    assert b"Traceback" in err
    assert cli.environment["LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY"].encode() not in err


def test_usage_errors_exit_with_2(cli: Cli) -> None:
    assert "usage:" in cli(code=2).err
    assert "did you mean 'commit'?" in cli("comit", code=2).err
    assert "unrecognized arguments: --nonsense" in cli("repo", "list", "--nonsense", code=2).err
    address = "lakefs://repo-1/main/"
    typed = cli("ls", "--amout", 3, address, code=2).err
    assert "unknown option --amout, did you mean '--amount'?" in typed
    assert "unknown option -x" in cli("ls", "-x", address, code=2).err
    assert "unknown option --nonsense" in cli("--nonsense", code=2).err
    assert "number above 0, got '-1'" in cli("ls", address, "--amount", -1, code=2).err
    assert "got '-x', expected lakefs://" in cli("ls", "--", "-x", code=2).err
    assert "got 'now', expected a time" in cli("log", address[:-1], "--since", "now", code=2).err
    # A new option would make an abbreviation ambiguous.
    cli("commit", "lakefs://repo-1/main", "--mess", "x", code=2)
    assert "VERB" in cli("repo", code=2).err


@pytest.mark.parametrize(
    ("arguments", "form"),
    [
        (("repo", "show", "x"), "lakefs://REPOSITORY"),
        (("log", "x"), "lakefs://REPOSITORY/REF"),
        (("ls", "x"), "lakefs://REPOSITORY/REF[/PATH]"),
        (("stat", "x"), "lakefs://REPOSITORY/REF/PATH"),
    ],
)
def test_address_error_has_the_expected_form(
    cli: Cli, arguments: tuple[str, ...], form: str
) -> None:
    assert cli(*arguments, code=2).err.endswith(f"got 'x', expected {form}\n")


def test_upload_error_has_the_server_message(sandbox_cli: Cli, sandbox: Sandbox) -> None:
    main = make_repository(sandbox_cli, sandbox)
    sandbox.faults.add(
        "link_physical_address", "status", status=403,
        body={"message": "cannot write to protected branch"},
    )  # fmt: skip
    failed = sandbox_cli("cp", "-", f"{main}/a", stdin=b"a", code=5)
    assert "the server says: cannot write to protected branch" in failed.err
    assert "hint: Write to another branch" in failed.err


def test_control_characters_in_errors_are_escaped(sandbox_cli: Cli, sandbox: Sandbox) -> None:
    main = make_repository(sandbox_cli, sandbox)
    sandbox.faults.add(
        "commit", "status", status=412,
        body={"message": "pre-commit hook aborted, run id '5k': one\ntwo \x1b[2J"},
    )  # fmt: skip
    failed = sandbox_cli("commit", main, "-m", "x", code=7)
    assert "one\\ntwo \\x1b[2J (HTTP status 412)\nhint: " in failed.err


def test_quiet_suppresses_messages_but_not_errors(cli: Cli, repo: Repo, uri: str) -> None:
    repo.upload("a")
    assert cli("-q", "rm", f"{uri}/main/a").err == ""
    assert "error" in cli("-q", "rm", f"{uri}/main/a", code=3).err


def test_global_options_precede_or_follow_the_command(cli: Cli, repo: Repo, uri: str) -> None:
    repo.upload("a")
    for arguments in (("--json", "ls", f"{uri}/main/"), ("ls", f"{uri}/main/", "--json")):
        assert cli(*arguments).json["path"] == "a"
    for arguments in (("--json", "branch", "list", uri), ("branch", "list", uri, "--json")):
        assert cli(*arguments).json["id"] == "main"


def test_exit_codes_are_documented() -> None:
    assert list(CODES) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 130]


def test_command_has_a_description() -> None:
    from lakefs_client.cli import _parser

    for name in _commands.names():
        assert _parser.command_parser(name).description
