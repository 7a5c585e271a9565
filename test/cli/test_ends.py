"""Signals, closed pipes, terminals, locales, and missing or read-only home directories."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from integration.support import MIB, Repo

from cli.support import PATIENCE, PROGRAM, Cli
from lakefs_client.sandbox import Sandbox

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and terminals of POSIX")


@pytest.fixture
def stalled_upload(sandbox_cli: Cli, sandbox: Sandbox) -> tuple[str, ...]:
    """Provide the arguments of a multipart upload whose second part stalls."""
    sandbox_cli("repo", "create", "lakefs://repo-1", f"{sandbox.storage_namespace}repo-1")
    with sandbox_cli.file("large.bin", b"").open("wb") as file:
        file.truncate(12 * MIB)
    sandbox.faults.add("store_put_part", "slow", bytes_per_second=1000, part_number=2, times=9)
    return ("cp", "large.bin", "lakefs://repo-1/main/large.bin", "--part-size", "5MiB", "-p", "2")


def wait_for_a_part(sandbox: Sandbox) -> None:
    """Wait until the store has a part."""
    end = time.monotonic() + PATIENCE
    while not any(upload.parts for upload in sandbox.blockstore.uploads().values()):
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_aborts_an_upload(
    sandbox_cli: Cli, sandbox: Sandbox, stalled_upload: tuple[str, ...], number: int
) -> None:
    with sandbox_cli.start(*stalled_upload) as process:
        wait_for_a_part(sandbox)
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert err == b"interrupted\n"
    assert sandbox.blockstore.uploads() == {}
    assert sandbox_cli("ls", "lakefs://repo-1/main/").out == b""


def test_second_signal_does_not_interrupt_the_abort(
    sandbox_cli: Cli, sandbox: Sandbox, stalled_upload: tuple[str, ...]
) -> None:
    sandbox.faults.add("abort_presign_multipart_upload", "stall", seconds=1)
    with sandbox_cli.start(*stalled_upload) as process:
        wait_for_a_part(sandbox)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert sandbox.blockstore.uploads() == {}


def test_interrupted_upload_is_listed_and_resumed(
    sandbox_cli: Cli, sandbox: Sandbox, stalled_upload: tuple[str, ...]
) -> None:
    with sandbox_cli.start(*stalled_upload, "--resume") as process:
        wait_for_a_part(sandbox)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert err.startswith(b"interrupted\nhint: the same command continues")
    (upload_id,) = sandbox.blockstore.uploads()
    sandbox.faults.clear()
    (pending,) = sandbox_cli("transfers", "list", "--json").items
    assert pending["upload_id"] == upload_id
    assert pending["target"] == "lakefs://repo-1/main/large.bin"
    assert upload_id[:16] in sandbox_cli("transfers", "list").text
    sandbox_cli("transfers", "resume", "no-such-id", code=3)
    sandbox_cli("transfers", "resume", code=2)
    sandbox_cli("transfers", "resume", upload_id[:16])
    stats = sandbox_cli("stat", "lakefs://repo-1/main/large.bin", "--json").json
    assert stats["size_bytes"] == 12 * MIB
    assert sandbox_cli("transfers", "list").out == b""


def test_interrupted_upload_is_discarded(
    sandbox_cli: Cli, sandbox: Sandbox, stalled_upload: tuple[str, ...]
) -> None:
    with sandbox_cli.start(*stalled_upload, "--resume") as process:
        wait_for_a_part(sandbox)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
    assert len(sandbox.blockstore.uploads()) == 1
    sandbox_cli("transfers", "discard", "--all")
    assert sandbox.blockstore.uploads() == {}
    assert sandbox_cli("transfers", "list").out == b""


def test_closed_stdout_is_not_an_error(cli: Cli, repo: Repo, uri: str) -> None:
    repo.upload("large", b"x" * 4 * MIB)
    for arguments in (("cat", f"{uri}/main/large"), ("api", "repositories")):
        with cli.start(*arguments) as process:
            assert process.stdout is not None
            process.stdout.close()
            assert process.stderr is not None
            assert process.stderr.read() == b""
            assert process.wait(PATIENCE) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_is_an_error(cli: Cli, repo: Repo, uri: str) -> None:
    repo.upload("a")
    with open("/dev/full", "wb") as full:
        for arguments in (("ls", f"{uri}/main/"), ("--version",), ("--help",), ("api",)):
            with cli.start(*arguments, stdout=full) as process:
                _, err = process.communicate(timeout=PATIENCE)
            assert process.returncode == 1
            assert b"No space left on device" in err
            assert b"Traceback" not in err


def close_and_run(*descriptors: int) -> list[str]:
    """Return a command that closes descriptors, then executes its arguments."""
    code = "import os, sys; [os.close(int(n)) for n in sys.argv[1].split()]; "
    code += "os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
    return [sys.executable, "-c", code, " ".join(map(str, descriptors))]


@pytest.mark.parametrize("descriptors", [(0,), (1,), (2,), (0, 2), (0, 1, 2)])
def test_closed_streams_are_supported(
    cli: Cli, repo: Repo, uri: str, descriptors: tuple[int, ...]
) -> None:
    repo.upload("a")
    for arguments, code in (
        (("ls", f"{uri}/main/"), 0),
        (("cat", f"{uri}/main/a"), 0),
        (("rm", f"{uri}/main/nothing"), 3),
        (("branch", "delete", f"{uri}/main"), 2),
        (("cp", "-", f"{uri}/main/b"), 2 if 0 in descriptors else 0),
    ):
        done = subprocess.run(
            [*close_and_run(*descriptors), *PROGRAM[1:], *arguments], stdin=subprocess.DEVNULL,
            capture_output=True, env=cli.environment, cwd=cli.folder, timeout=PATIENCE,
        )  # fmt: skip
        assert done.returncode == code, done
        assert b"Traceback" not in done.stderr


def in_terminal(
    cli: Cli, *arguments: str, typed: bytes = b"", **environment: str
) -> tuple[int, str]:
    """Run a command on a new terminal; return its exit code and output."""
    import fcntl
    import pty
    import struct
    import termios

    pid, terminal = pty.fork()
    if not pid:
        os.chdir(cli.folder)
        variables = {"TERM": "xterm", "COLUMNS": "80"} | environment
        os.execve(PROGRAM[0], [*PROGRAM, *arguments], cli.variables({**variables}))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    shown = b""
    if typed:
        os.write(terminal, typed)
    while True:
        try:
            read = os.read(terminal, 65536)
        except OSError:  # on Linux, the other end is closed
            break
        if not read:
            break
        shown += read
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), shown.decode().replace("\r\n", "\n")


def test_deletion_asks_for_confirmation_on_a_terminal(cli: Cli, repo: Repo, uri: str) -> None:
    repo.branch("dev")
    code, shown = in_terminal(cli, "branch", "delete", f"{uri}/dev", typed=b"n\n")
    assert code == 1
    assert f"Delete the branch {uri}/dev? [y/N]" in shown
    assert repo.head("dev")
    code, shown = in_terminal(cli, "branch", "delete", f"{uri}/dev", typed=b"y\n")
    assert code == 0
    cli("branch", "show", f"{uri}/dev", code=3)


def test_colors_are_limited_to_terminals(cli: Cli, repo: Repo, uri: str) -> None:
    repo.upload("a")
    diff = ("diff", f"{uri}/main")
    assert in_terminal(cli, *diff)[1] == "\x1b[32m+ added a\x1b[0m\n"
    assert in_terminal(cli, *diff, NO_COLOR="1")[1] == "+ added a\n"
    assert in_terminal(cli, *diff, "--no-color")[1] == "+ added a\n"
    assert cli(*diff).text == "+ added a\n"
    columns = in_terminal(cli, "ls", f"{uri}/main/")[1]
    assert columns.startswith("object  2")
    assert "\t" not in columns


def test_progress_bar_is_shown_on_a_terminal(sandbox_cli: Cli, sandbox: Sandbox) -> None:
    pytest.importorskip("tqdm")
    sandbox_cli("repo", "create", "lakefs://repo-1", f"{sandbox.storage_namespace}repo-1")
    sandbox_cli.file("a.bin", b"x" * MIB)
    upload = ("cp", "a.bin", "lakefs://repo-1/main/a.bin")
    sandbox.faults.add("store_put_object", "slow", bytes_per_second=MIB // 2)
    code, shown = in_terminal(sandbox_cli, *upload)
    assert code == 0
    assert "100%|" in shown
    assert "1.05M/1.05M" in shown
    assert "%|" not in in_terminal(sandbox_cli, *upload, "--no-progress")[1]


@pytest.mark.parametrize("home", [None, "/nonexistent", "read-only"])
def test_commands_work_without_home(cli: Cli, repo: Repo, uri: str, home: str | None) -> None:
    if home == "read-only":
        folder = cli.folder / "read-only"
        folder.mkdir(mode=0o500)
        home = str(folder)
    cli.file("a.txt", b"a")
    cli("cp", "a.txt", f"{uri}/main/a.txt", HOME=home)
    cli("cp", f"{uri}/main/a.txt", "b.txt", HOME=home)
    cli("config", HOME=home)
    cli("transfers", "list", HOME=home)
    assert (cli.folder / "b.txt").read_bytes() == b"a"


def test_names_outside_the_locale_are_printed(cli: Cli, repo: Repo, uri: str) -> None:
    repo.upload("ünï☃")
    for locale in ({"LC_ALL": "C"}, {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"},
                   {"PYTHONIOENCODING": "ascii"}):  # fmt: skip
        assert cli("ls", f"{uri}/main/", **locale).lines
        assert cli("ls", f"{uri}/main/", "--json", **locale).json["path"] == "ünï☃"


def test_undecodable_file_name_is_a_failure(cli: Cli, repo: Repo, uri: str) -> None:
    folder = os.fsencode(cli.folder / "set")
    os.mkdir(folder)
    for name in (b"good", b"bad\xff"):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(b"x")
    report = cli("cp", "-r", "set", f"{uri}/main/set", "--json", code=6).json
    assert (report["transferred"], report["failed"]) == (1, 1)
    assert repo.paths() == ["set/good"]
    bad = os.fsdecode(os.path.join(folder, b"bad\xff"))
    with cli.start("cp", bad, f"{uri}/main/") as done:
        _, err = done.communicate(timeout=PATIENCE)
    assert done.returncode == 2
    assert b"Traceback" not in err
