"""Journals: damaged files, locks, full disks and secrets."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bench import MIB, PART, PATH, Bench

from lakefs_client.exceptions import TransferError
from lakefs_client.transfer import journal as journal_module
from lakefs_client.transfer.journal import Journal, JournalInUseError, default_folder, read_all

KEY = {"path": "a/b", "part_size": 5, "user_metadata": {"z": "1", "a": "ü"}}
RECORDS: list[dict[str, Any]] = [
    {"path": "a/b", "upload_id": "x\n y", "size": 17},
    {"part": 2, "stored": ["0123456789abcdef" * 2, None, None, "f" * 32]},
    {"part": 1, "stored": ["ü\u2028", "0", "1", None]},
    {"completing": True},
]

posix = pytest.mark.skipif(os.name == "nt", reason="modes, signals and limits of POSIX")


def write_journal(folder: Path) -> Path:
    """Write a journal with `RECORDS`, and return its path."""
    with Journal(folder, "kind", KEY) as journal:
        journal.start(RECORDS[0])
        for record in RECORDS[1:]:
            journal.add(record)
    return journal.path


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """Provide the path and the bytes of a journal."""
    path = write_journal(tmp_path_factory.mktemp("example"))
    return path, path.read_bytes()


def read_records(folder: Path) -> list[dict[str, Any]]:
    """Return the records that other processes read."""
    records = list(read_all(folder, "kind"))
    return records[0] if records else []


def test_records_survive_reopening(tmp_path: Path) -> None:
    write_journal(tmp_path)
    assert read_records(tmp_path) == RECORDS
    with Journal(tmp_path, "kind", KEY) as journal:
        assert journal.records == RECORDS


def test_line_is_checksum_and_record(tmp_path: Path) -> None:
    lines = write_journal(tmp_path).read_bytes().split(b"\n")
    assert len(lines) == len(RECORDS) + 1
    for line, record in zip(lines, RECORDS):
        checksum, _, text = line.partition(b" ")
        assert len(checksum) == 8
        assert json.loads(text) == record


def test_records_are_appended(tmp_path: Path) -> None:
    with Journal(tmp_path, "kind", KEY) as journal:
        before = b""
        journal.start(RECORDS[0])
        for record in RECORDS[1:]:
            journal.add(record)
            now = journal.path.read_bytes()
            assert now.startswith(before)
            assert len(now) > len(before)
            before = now


@given(data=st.data())
def test_damaged_line_keeps_earlier_records(
    example: tuple[Path, bytes], data: st.DataObject
) -> None:
    path, whole = example
    folder = path.parent
    at = data.draw(st.integers(0, len(whole) - 1), "at")
    count = whole[:at].count(b"\n")
    if data.draw(st.booleans(), "cut"):
        path.write_bytes(whole[:at])
    else:
        other = data.draw(st.integers(1, 255), "xor")
        path.write_bytes(whole[:at] + bytes([whole[at] ^ other]) + whole[at + 1 :])
    assert read_records(folder) == RECORDS[:count]
    with Journal(folder, "kind", KEY) as journal:
        assert journal.records == RECORDS[:count]
        # A record added now is read despite the damage before it.
        journal.add({"part": 9})
    if count:
        assert read_records(folder) == [*RECORDS[:count], {"part": 9}]


def test_truncation_keeps_whole_lines(tmp_path: Path) -> None:
    path = write_journal(tmp_path)
    whole = path.read_bytes()
    for at in range(len(whole) + 1):
        path.write_bytes(whole[:at])
        assert read_records(tmp_path) == RECORDS[: whole[:at].count(b"\n")]


@given(rest=st.binary(max_size=200))
def test_lines_after_damage_are_ignored(example: tuple[Path, bytes], rest: bytes) -> None:
    path, whole = example
    lines = whole.splitlines(keepends=True)
    path.write_bytes(lines[0] + b"torn\n" + rest + b"\n" + lines[1])
    assert read_records(path.parent) == RECORDS[:1]


def test_journal_is_identified_by_key(tmp_path: Path) -> None:
    with (
        Journal(tmp_path, "kind", KEY) as one,
        Journal(tmp_path, "kind", {**KEY, "path": "c"}) as two,
    ):
        assert one.path != two.path
        again = {"user_metadata": {"a": "ü", "z": "1"}, "part_size": 5, "path": "a/b"}
        with pytest.raises(JournalInUseError, match=one.path.name):
            Journal(tmp_path, "kind", again)


@posix
@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_journal_is_private_to_owner(tmp_path: Path, mask: int) -> None:
    folder = tmp_path / "state" / "journals"
    previous = os.umask(mask)
    try:
        path = write_journal(folder)
    finally:
        os.umask(previous)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@posix
def test_symlink_as_journal_raises(tmp_path: Path) -> None:
    path = write_journal(tmp_path)
    path.unlink()
    precious = tmp_path / "precious"
    precious.write_text("precious")
    path.symlink_to(precious)
    with pytest.raises(OSError, match="symbolic links"):
        Journal(tmp_path, "kind", KEY)
    assert precious.read_text() == "precious"


def test_journal_without_records_leaves_no_file(tmp_path: Path) -> None:
    with Journal(tmp_path, "kind", KEY):
        pass
    with Journal(tmp_path, "kind", KEY) as journal:
        journal.start(RECORDS[0])
        journal.clear()
    assert not list(tmp_path.iterdir())


def test_start_discards_previous_records(tmp_path: Path) -> None:
    write_journal(tmp_path)
    with Journal(tmp_path, "kind", KEY) as journal:
        journal.start({"upload_id": "y"})
        journal.add({"part": 1})
    assert read_records(tmp_path) == [{"upload_id": "y"}, {"part": 1}]


def test_read_all_ignores_other_kinds(tmp_path: Path) -> None:
    write_journal(tmp_path)
    assert not list(read_all(tmp_path, "other"))
    assert not list(read_all(tmp_path / "missing", "kind"))


# Locks


def test_second_open_in_process_raises(tmp_path: Path) -> None:
    with Journal(tmp_path, "kind", KEY), pytest.raises(JournalInUseError):
        Journal(tmp_path, "kind", KEY)
    with Journal(tmp_path, "kind", KEY):
        pass


HOLD = """
import json, os, sys, time
from pathlib import Path
from lakefs_client.transfer.journal import Journal
journal = Journal(Path(sys.argv[1]), "kind", json.loads(sys.argv[2]))
journal.start({"upload_id": "of the other process"})
if sys.argv[3] == "no fork":
    print(0, flush=True)
elif os.fork() == 0:
    print(os.getpid(), flush=True)
time.sleep(600)
"""


def open_in_other_process(folder: Path, *, fork: bool) -> tuple[subprocess.Popen[str], int]:
    """Return a process that holds the journal, and the id of its child, if it has one."""
    arguments = [str(folder), json.dumps(KEY), "fork" if fork else "no fork"]
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, *arguments], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


@posix
@pytest.mark.parametrize("fork", [False, True])
def test_open_in_second_process_raises(tmp_path: Path, fork: bool) -> None:
    """A killed process leaves no lock, even if a forked worker survives."""
    process, child = open_in_other_process(tmp_path, fork=fork)
    try:
        with process:
            with pytest.raises(JournalInUseError):
                Journal(tmp_path, "kind", KEY)
            assert read_records(tmp_path) == [{"upload_id": "of the other process"}]
            process.kill()
        with Journal(tmp_path, "kind", KEY) as journal:
            assert journal.records == [{"upload_id": "of the other process"}]
    finally:
        if child:
            os.kill(child, signal.SIGKILL)


@posix
def test_file_removed_before_lock_is_recreated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The previous owner removes the file between the open and the lock."""
    previous = write_journal(tmp_path)
    lock, removed = journal_module._lock, []

    def remove_first(descriptor: int) -> None:
        if not removed:
            previous.unlink()
            removed.append(descriptor)
        lock(descriptor)

    monkeypatch.setattr(journal_module, "_lock", remove_first)
    with Journal(tmp_path, "kind", KEY) as journal:
        assert journal.records == []
        assert os.path.samestat(os.fstat(journal._file.fileno()), previous.stat())
        with pytest.raises(JournalInUseError):
            Journal(tmp_path, "kind", KEY)


def test_threads_add_records_concurrently(tmp_path: Path) -> None:
    with Journal(tmp_path, "kind", KEY) as journal:
        journal.start(RECORDS[0])

        def add(first: int) -> None:
            for number in range(first, first + 20):
                journal.add({"part": number})

        threads = [threading.Thread(target=add, args=(20 * index,)) for index in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    first, *rest = read_records(tmp_path)
    assert first == RECORDS[0]
    assert sorted(record["part"] for record in rest) == list(range(80))


# Full disks

FILL = """
import json, logging, resource, signal, sys
from pathlib import Path
from lakefs_client.transfer.journal import Journal
logging.basicConfig(format="%(message)s")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
with Journal(Path(sys.argv[1]), "kind", json.loads(sys.argv[2])) as journal:
    try:
        journal.start({"upload_id": "x"})
    except OSError as error:
        print("start:", error.strerror)
    else:
        for number in range(10):
            journal.add({"part": number})
        print("done")
"""


def fill(folder: Path, limit: int) -> tuple[str, str]:
    """Return the output of a process that writes a journal under a file size limit."""
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(folder), json.dumps(KEY), str(limit)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout, done.stderr


@posix
def test_full_disk_logs_once_and_transfer_continues(tmp_path: Path) -> None:
    output, log = fill(tmp_path, 80)
    assert output == "done\n"
    assert log.count("cannot be written") == 1
    assert "File too large" in log
    assert "will repeat the steps" in log
    first, *rest = read_records(tmp_path)
    assert first == {"upload_id": "x"}
    assert rest == [{"part": number} for number in range(len(rest))]
    assert 1 <= len(rest) < 5


@posix
@pytest.mark.parametrize("limit", [0, 9])
def test_full_disk_at_first_record_raises(tmp_path: Path, limit: int) -> None:
    output, _ = fill(tmp_path, limit)
    assert output == "start: File too large\n"
    assert not list(tmp_path.iterdir())


def test_folder_that_cannot_be_created_raises(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Journal(tmp_path / "file" / "folder", "kind", KEY)


def test_upload_without_journal_folder_sends_no_request(bench: Bench) -> None:
    (bench.folder / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        bench.upload(PART, journal_dir=bench.folder / "file" / "folder", resume=True)
    assert not bench.sandbox.requests


@pytest.mark.skipif(
    sys.platform in ("win32", "darwin"), reason="the default folder has another name there"
)
def test_default_folder_follows_xdg_state_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "lakefs-client" / "transfers"
    monkeypatch.delenv("XDG_STATE_HOME")
    assert default_folder() == Path.home() / ".local" / "state" / "lakefs-client" / "transfers"


# Secrets

FIRST = {
    "host", "repository", "branch", "path", "source", "part_size", "content_type",
    "user_metadata", "size", "changed", "began", "upload_id", "physical_address",
}  # fmt: skip


def test_journal_has_no_urls_headers_or_credentials(bench: Bench) -> None:
    bench.client.configuration.proxy_headers = {"X-Proxy": "SECRET"}
    bench.client.set_default_header("X-Secret", "SECRET")
    bench.client.cookie = "session=SECRET"
    folder = bench.folder / "journals"
    seen: list[bytes] = []

    def read_journals(count: int) -> None:
        seen.extend(path.read_bytes() for path in folder.iterdir())

    bench.sandbox.faults.add("store_put_part", "expired", part_number=2)
    bench.sandbox.faults.add("store_put_part", "status", status=403, part_number=3)
    with pytest.raises(TransferError, match="part 3"):
        bench.upload(
            2 * PART + MIB, journal_dir=folder, resume=True, max_concurrency=1,
            progress=read_journals, user_metadata={"run": "42"},
        )  # fmt: skip
    read_journals(0)
    ((first, *rest),) = read_all(folder, "upload")
    assert first.keys() == FIRST
    assert (first["path"], first["user_metadata"]) == (PATH, {"run": "42"})
    assert [record.keys() for record in rest] == [{"part", "stored"}] * 2
    store = next(r.headers["host"] for r in bench.sandbox.requests if "store" in r.operation)
    secrets = (
        "SECRET", bench.sandbox.access_key_id, bench.sandbox.secret_access_key, store,
        "Signature", "Credential", "X-Amz", "Authorization", "Basic",
    )  # fmt: skip
    for data in seen:
        for secret in secrets:
            assert secret.encode() not in data, secret
