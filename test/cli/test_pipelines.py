"""Commands for pipelines, setup and diagnosis."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys

import pytest
import yaml
from integration.support import Repo

from cli.support import PATIENCE, Cli
from lakefs_client.cli import _parser, api, wait
from lakefs_client.cli._app import App
from lakefs_client.cli._errors import CommandError
from lakefs_client.sandbox import Sandbox


def test_revert_undoes_commits(cli: Cli, repo: Repo, uri: str) -> None:
    repo.change("a")
    repo.change("b")
    reverted = cli("revert", f"{uri}/main", "main", "main~1", "--json").json
    assert repo.paths() == []
    assert reverted["id"] == repo.head()
    assert len(reverted["reverted"]) == 2


def test_revert_of_merge_needs_the_parent(cli: Cli, repo: Repo, uri: str) -> None:
    repo.branch("dev")
    repo.change("a", branch="dev")
    cli("merge", f"{uri}/dev", f"{uri}/main")
    assert "parent" in cli("revert", f"{uri}/main", "main", code=4).err
    cli("revert", f"{uri}/main", "main", "-m", 1)
    assert repo.paths() == []


def test_cherry_pick_copies_a_commit(cli: Cli, repo: Repo, uri: str) -> None:
    repo.branch("dev")
    commit = repo.change("a", branch="dev")
    repo.change("b", branch="dev")
    picked = cli("cherry-pick", f"{uri}/{commit}", f"{uri}/main")
    assert repo.paths() == ["a"]
    assert picked.lines == [repo.head()]


def test_hard_reset_moves_a_branch(cli: Cli, repo: Repo, uri: str) -> None:
    first = repo.change("a")
    repo.change("b")
    assert "no terminal" in cli("hard-reset", f"{uri}/main", "main~1", code=2).err
    assert (
        "expected a commit of" in cli("hard-reset", f"{uri}/main", "lakefs://other/v1", code=2).err
    )
    moved = cli("hard-reset", f"{uri}/main", f"{uri}/main~1", "--yes", "--json").json
    assert moved["commit_id"] == repo.head() == first


def test_wait_returns_the_status_of_a_dump(cli: Cli, repo: Repo, uri: str) -> None:
    task = cli("api", "repositories", "dump_submit", "--repository", repo.name).json["id"]
    status = cli("wait", "dump", uri, task, "--json").json
    assert status["done"] is True
    assert status["refs"]
    cli("wait", "dump", uri, "no-such-task", code=3)


def test_wait_polls_until_the_task_completes(capsys: pytest.CaptureFixture[str]) -> None:
    options = _parser.parse(["wait", "import", "lakefs://repo-1/main", "i-1", "--json"])
    statuses = iter([{"completed": False}, {"completed": False}, {"completed": True}])
    wait.until_done(App(options), options, lambda: next(statuses))
    assert json.loads(capsys.readouterr().out) == {"completed": True}


@pytest.mark.parametrize("error", ["no such bucket", {"message": "no such bucket"}])
def test_wait_raises_the_error_of_the_task(error: object) -> None:
    options = _parser.parse(["wait", "import", "lakefs://repo-1/main", "i-1"])
    with pytest.raises(CommandError, match="import i-1 failed: no such bucket"):
        wait.until_done(App(options), options, lambda: {"completed": False, "error": error})


def test_wait_times_out() -> None:
    options = _parser.parse(["wait", "dump", "lakefs://repo-1", "d-1", "--timeout", "1"])
    with pytest.raises(CommandError, match="dump d-1 is still running"):
        wait.until_done(App(options), options, lambda: {"done": False})


def test_config_shows_origin_of_settings(cli: Cli) -> None:
    shown = cli("config")
    secret = cli.environment["LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY"]
    assert secret not in shown.text + shown.err
    settings = {item["name"]: item["origin"] for item in cli("config", "--json").items}
    assert settings["host"] == "LAKECTL_SERVER_ENDPOINT_URL"
    assert settings["password"] == "LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY"


def test_login_writes_lakectl_file(cli: Cli) -> None:
    environment = cli.environment
    endpoint = environment.pop("LAKECTL_SERVER_ENDPOINT_URL")
    key_id = environment.pop("LAKECTL_CREDENTIALS_ACCESS_KEY_ID")
    secret = environment.pop("LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY")
    login = ("login", "--endpoint-url", endpoint, "--access-key-id", key_id)
    cli("repo", "list", code=2)
    assert "Check the access key id" in cli(*login, stdin=b"wrong\n", code=5).err
    cli(*login, code=2)
    path = cli.folder / "home" / ".lakectl.yaml"
    assert not path.exists()
    done = cli(*login, stdin=f"{secret}\n".encode())
    assert "logged in as" in done.err
    assert secret not in done.err
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    cli("repo", "list")

    # Other settings are kept; lakectl rejects unknown keys.
    content = yaml.safe_load(path.read_text())
    content["server"]["retries"] = {"enabled": True, "max_attempts": 3}
    path.write_text(yaml.safe_dump(content))
    assert "no terminal" in cli(*login, stdin=f"{secret}\n".encode(), code=2).err
    cli(*login, "--yes", stdin=f"{secret}\n".encode())
    assert yaml.safe_load(path.read_text()) == {
        "server": {"endpoint_url": endpoint, "retries": {"enabled": True, "max_attempts": 3}},
        "credentials": {"access_key_id": key_id, "secret_access_key": secret},
    }


def test_doctor_passes_all_checks(cli: Cli, repo: Repo, uri: str) -> None:
    assert cli("doctor").text.count("\nfailed") == 0
    findings = cli("doctor", f"{uri}/main", "--json").items
    assert [finding["check"] for finding in findings] == [
        "settings", "proxy", "tls", "server", "clock", "credentials", "permissions", "upload",
        "download",
    ]  # fmt: skip
    assert repo.uncommitted() == []


def test_doctor_suggests_a_fix(cli: Cli) -> None:
    wrong = cli("doctor", code=5, LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY="wrong")
    assert "failed   credentials" in wrong.text
    assert "lakefs-client config" in wrong.text
    nobody = cli("doctor", code=8, LAKECTL_SERVER_ENDPOINT_URL="http://127.0.0.1:1")
    assert "failed   server" in nobody.text
    proxy = cli("doctor", code=8, HTTP_PROXY="http://user:pass@127.0.0.1:1", NO_PROXY="example.com")
    assert "NO_PROXY" in proxy.text
    assert "pass@" not in proxy.text
    other = f"{cli.environment['LAKECTL_SERVER_ENDPOINT_URL']}/other"
    page = cli.run("doctor", LAKECTL_SERVER_ENDPOINT_URL=other)
    assert page.code in (1, 3)
    assert "not the API of lakeFS" in page.text
    cli("doctor", code=2, LAKECTL_SERVER_ENDPOINT_URL=None)
    cli("doctor", "lakefs://cli-test-missing/main", code=3)


def test_doctor_detects_wrong_clock(sandbox_cli: Cli, sandbox: Sandbox) -> None:
    sandbox.clock.advance(3600)
    findings = {item["check"]: item for item in sandbox_cli("doctor", "--json", code=1).items}
    assert findings["clock"]["status"] == "failed"
    assert "3600 s behind" in findings["clock"]["detail"]
    assert findings["credentials"]["status"] == "ok"


def test_sandbox_prints_its_settings(cli: Cli) -> None:
    with cli.start("sandbox", "--port", 0, "--store-port", 0, "--json") as process:
        assert process.stdout is not None
        settings = json.loads(process.stdout.readline())
        cli(
            "repo", "create", "lakefs://repo-1", f"{settings['storage_namespace']}repo-1",
            LAKECTL_SERVER_ENDPOINT_URL=settings["endpoint"],
            LAKECTL_CREDENTIALS_ACCESS_KEY_ID=settings["access_key_id"],
            LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY=settings["secret_access_key"],
        )  # fmt: skip
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_sandbox_runs_a_command(cli: Cli) -> None:
    script = shell(
        'lakefs-client repo create lakefs://repo-1 "${LAKEFS_CLIENT_NAMESPACE}x"; exit 3'
    )
    done = cli("sandbox", *script, code=3)
    assert done.lines[0].startswith("repo-1\t")
    cli("sandbox", "--", "no-such-command", code=3)


def test_sandbox_command_gets_no_other_credentials(cli: Cli) -> None:
    # The package lakefs rejects an empty file, and sends even an empty token.
    script = shell('echo "${LAKECTL_CREDENTIALS_SESSION_TOKEN-none}"; cat "$LAKECTL_CONFIG_FILE"')
    done = cli("sandbox", *script, LAKECTL_CREDENTIALS_SESSION_TOKEN="secret-token")
    assert done.lines == ["none", "{}"]


def test_api_lists_groups_and_methods(cli: Cli) -> None:
    assert "repositories" in cli("api").lines
    methods = cli("api", "tags", "--json").items
    assert "create_tag" in [item["method"] for item in methods]
    assert "no such group" in cli("api", "nothing", code=2).err
    assert "no such method" in cli("api", "tags", "nothing", code=2).err


def test_api_calls_any_operation(cli: Cli, repo: Repo, uri: str) -> None:
    creation = {"name": "dev", "source": "main"}
    create = ("api", "branches", "create_branch", "--repository", repo.name, "--branch-creation")
    assert cli(*create, json.dumps(creation)).lines == [repo.head()]
    cli(*create, json.dumps(creation), code=4)
    cli(*create, "{", code=2)
    cli(*create[:-1], code=2)
    cli.file("creation.json", json.dumps({**creation, "name": "dev2"}).encode())
    cli(*create, "@creation.json")
    cli(*create, "-", stdin=json.dumps({**creation, "name": "dev3"}).encode())
    listed = cli("api", "branches", "list_branches", "--repository", repo.name, "--amount", 2).json
    assert listed["pagination"]["has_more"] is True

    place = ("--repository", repo.name, "--branch", "dev", "--path", "a")
    cli("api", "objects", "upload_object", *place, "--content", "-", stdin=b"\x00\xff")
    get = ("api", "objects", "get_object", "--repository", repo.name, "--ref", "dev", "--path")
    assert cli(*get, "a").out == b"\x00\xff"
    cli(*get, "b", code=3)
    assert cli("api", "objects", "delete_object", *place, "--force", "false").out == b""


@pytest.mark.parametrize("group", api.groups())
def test_operation_has_a_parser(group: str) -> None:
    for method in api.methods(group):
        assert "options of every command" in api.method_parser(group, method).format_help()


def shell(script: str) -> tuple[str, ...]:
    return ("--", "sh", "-c", script.replace("lakefs-client", f"{sys.executable} -m lakefs_client"))


UPLOAD = 'echo new | lakefs-client -q cp - "$LAKEFS_CLIENT_URI/a"'


def test_transact_merges_changes_of_the_command(cli: Cli, repo: Repo, uri: str) -> None:
    transact = ("transact", f"{uri}/main", "-m", "nightly", "--meta", "run=1", "--json")
    done = cli(*transact, *shell(f'{UPLOAD} && test -n "$LAKEFS_CLIENT_BRANCH"'))
    assert done.json["merge_commit_id"] == repo.head()
    assert repo.read("a") == b"new\n"
    commit = repo.lakefs.commits_api.get_commit(repo.name, repo.head())
    assert (commit.message, commit.metadata["run"]) == ("nightly", "1")
    assert branches(repo) == ["main"]
    head = repo.head()
    assert cli(*transact, *shell("exit 0")).json == {"commit_id": None, "merge_commit_id": None}
    assert repo.head() == head


def test_transact_rolls_back_failed_command(cli: Cli, repo: Repo, uri: str) -> None:
    transact = ("transact", f"{uri}/main", "-m", "nightly")
    head = repo.head()
    failed = cli(*transact, *shell(f"{UPLOAD}; exit 17"), code=17)
    assert "sh exited with 17" in failed.err
    cli(*transact, *shell(f"{UPLOAD}; kill -9 $$"), code=137)
    assert branches(repo) == ["main"]
    kept = cli(*transact, "--on-error", "keep", *shell(f"{UPLOAD}; exit 1"), code=1)
    (branch,) = set(branches(repo)) - {"main"}
    assert branch in kept.err
    assert repo.read("a", branch) == b"new\n"
    assert repo.head() == head
    assert repo.paths() == []


def test_transact_conflict_exits_with_4(cli: Cli, repo: Repo, uri: str) -> None:
    other = f"echo other | lakefs-client -q cp - {uri}/main/a; lakefs-client commit {uri}/main -m o"
    failed = cli("transact", f"{uri}/main", "-m", "x", *shell(f"{UPLOAD}; {other}"), code=4)
    assert "is unchanged" in failed.err
    assert "conflict: a\n" in failed.err
    assert "--strategy" not in failed.err  # an option of merge
    assert repo.read("a") == b"other\n"
    assert branches(repo) == ["main"]


def test_transact_validates_command_and_branch(cli: Cli, repo: Repo, uri: str) -> None:
    assert "not found" in cli("transact", f"{uri}/main", "-m", "x", "--", "no-such", code=3).err
    cli("transact", f"{uri}/nothing", "-m", "x", "--", "true", code=3)
    assert "after --" in cli("transact", f"{uri}/main", "-m", "x", code=2).err
    cli("transact", f"{uri}/main", "--", "true", code=2)
    assert branches(repo) == ["main"]


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_transacted_command(cli: Cli, repo: Repo, uri: str, number: int) -> None:
    script = f"{UPLOAD}; echo ready; exec sleep 60"
    with cli.start("transact", f"{uri}/main", "-m", "x", *shell(script)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert b"interrupted" in err
    assert branches(repo) == ["main"]
    assert repo.paths() == []


def branches(repo: Repo) -> list[str]:
    """Return the names of all branches, hidden ones included."""
    listed = repo.lakefs.branches_api.list_branches(repo.name, show_hidden=True)
    return [branch.id for branch in listed.results]
