"""Forks, daemon threads, and the exit of the interpreter."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable

import pytest
from support.bench import PART, PATH, Bench, content

from lakefs_client.transfer import Transfer, TransferConfig

ABORT = "abort_presign_multipart_upload"
posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="fork of POSIX")
# Python 3.12 and newer warn of a fork with running threads, which is under test here.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")


def run_in_child(work: Callable[[], object]) -> int:
    """Fork, run `work` in the child, and return its exit code: 0 if `work` returns."""
    child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    deadline = threading.Event()
    for _ in range(600):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        deadline.wait(0.1)
    os.kill(child, 9)
    os.waitpid(child, 0)
    raise AssertionError("the child hangs")


@posix
def test_child_transfers_while_parent_uses_every_slot(bench: Bench) -> None:
    bench.put(b"small", "small")
    transfer = bench.transfer(max_concurrency=2)
    throttle = transfer._context.throttle
    bench.sandbox.faults.add("store_put_part", "slow", bytes_per_second=4 * PART, times=4)
    upload = threading.Thread(
        target=transfer.upload_file, args=(bench.file(4 * PART), "repo", "main", PATH)
    )
    upload.start()
    while throttle.active < 2:
        threading.Event().wait(0.01)

    def download() -> None:
        transfer.download_file("repo", "main", "small", bench.folder / "small")
        assert (bench.folder / "small").read_bytes() == b"small"

    assert run_in_child(download) == 0
    upload.join()
    bench.assert_whole(content(4 * PART))


@posix
def test_child_cannot_use_writer_of_parent(bench: Bench) -> None:
    writer = bench.transfer().open("repo", "main", PATH, "wb")
    writer.write(content(2 * PART))

    def use() -> None:
        with pytest.raises(ValueError, match="of a parent process"):
            writer.write(b"more")
        writer.abort()
        writer.close()

    assert run_in_child(use) == 0
    writer.write(b"end")
    writer.close()
    assert bench.operations[ABORT] == 0
    bench.assert_whole(content(2 * PART) + b"end")


@posix
def test_child_continues_reading_with_own_requests(bench: Bench) -> None:
    data = content(3 * PART)
    bench.put(data)
    with bench.open() as reader:
        assert reader.read(9) == data[:9]

        def read() -> None:
            assert reader.read() == data[9:]

        assert run_in_child(read) == 0
        assert reader.read() == data[9:]


@posix
def test_child_reads_while_thread_of_parent_reads(bench: Bench) -> None:
    data = content(3 * PART)
    bench.put(data)
    with bench.open() as reader:
        bench.sandbox.faults.add("store_get_object", "stall", seconds=1)
        thread = threading.Thread(target=reader.read, args=(PART,))
        thread.start()
        while reader._ranges.thread is None:
            threading.Event().wait(0.01)

        def read() -> None:
            reader.seek(9)
            assert reader.read(9) == data[9:18]

        assert run_in_child(read) == 0
        thread.join()


@posix
def test_child_exit_in_stream_keeps_upload_of_parent(bench: Bench) -> None:
    """A stream may fork, and the child's exit unwinds through the parent's upload."""
    exits = []

    class Stream:
        """Forks before its third part."""

        def __init__(self) -> None:
            self.left = 3 * PART

        def read(self, size: int) -> bytes:
            if self.left == PART and not exits:
                child = os.fork()
                if not child:
                    raise SystemExit
                exits.append(os.waitpid(child, 0)[1])
            count = min(size, self.left)
            self.left -= count
            return bytes(count)

    parent = os.getpid()
    try:
        bench.transfer().upload_fileobj(Stream(), "repo", "main", PATH)
    except BaseException:
        if os.getpid() != parent:
            os._exit(0)
        raise
    assert exits == [0]
    assert bench.operations[ABORT] == 0
    bench.assert_whole(bytes(3 * PART))


def test_transfer_can_be_pickled(bench: Bench) -> None:
    transfer = Transfer(bench.client, TransferConfig(part_size=PART, max_concurrency=3))
    copy = pickle.loads(pickle.dumps(transfer))
    assert copy.config == transfer.config
    copy.upload_file(bench.file(9), "repo", "main", PATH)
    bench.assert_whole(content(9))


def run_script(bench: Bench, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a new process, with a `transfer` to the bench's sandbox."""
    prelude = f"""
        import atexit, io, sys, threading, time
        from lakefs_client import ApiClient, Configuration
        from lakefs_client.transfer import Transfer, TransferConfig

        configuration = Configuration(
            {bench.sandbox.endpoint!r}, username={bench.sandbox.access_key_id!r},
            password={bench.sandbox.secret_access_key!r},
        )
        transfer = Transfer(ApiClient(configuration), TransferConfig(part_size={PART}))
        source, target = {str(bench.file(3 * PART))!r}, {str(bench.target)!r}
    """
    code = textwrap.dedent(prelude) + textwrap.dedent(script)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)


WORK = """
    def work():
        transfer.upload_file(source, "repo", "main", "up")
        transfer.download_file("repo", "main", "up", target)
        transfer.upload_directory(".", "repo", "main", "folder", include="pyproject.toml")
"""


@pytest.mark.parametrize(
    "start",
    [
        "threading.Timer(0.3, work).start()",
        "atexit.register(work)",
        "atexit.register(lambda: [t.start() or t.join() for t in [threading.Thread(target=work)]])",
    ],
    ids=["thread that outlives main", "exit handler", "thread of an exit handler"],
)
def test_transfers_finish_during_interpreter_exit(bench: Bench, start: str) -> None:
    if "Thread(" in start and sys.version_info >= (3, 12):
        pytest.skip("Python starts no threads during exit")
    done = run_script(bench, WORK + "\n" + textwrap.indent(start, "    "))
    assert done.stderr == ""
    bench.assert_whole(content(3 * PART), "up")
    assert bench.target.read_bytes() == content(3 * PART)


@pytest.mark.parametrize("journal", [False, True])
def test_program_exit_ends_upload_of_daemon_thread(bench: Bench, journal: bool) -> None:
    """The upload is aborted or remains in its journal. The exit does not wait for the store."""
    bench.sandbox.faults.add("store_put_part", "stall", seconds=600, part_number=2)
    journals = bench.folder / "journals"
    script = f"""
    config = TransferConfig(part_size={PART}, journal_dir={str(journals)!r})
    transfer = Transfer(transfer.api_client, config)
    upload = lambda: transfer.upload_file(source, "repo", "main", "up", resume={journal})
    threading.Thread(target=upload, daemon=True).start()
    time.sleep(2)
    """
    done = run_script(bench, script)
    assert done.returncode == 0
    assert bench.operations[ABORT] == (not journal)
    assert len(list(journals.glob("*"))) == journal
    assert bench.stat("up") is None


def test_open_writer_is_aborted_at_exit(bench: Bench) -> None:
    script = """
    writer = transfer.open("repo", "main", "up", "wb")
    writer.write(open(source, "rb").read())
    raise SystemExit("something went wrong")
    """
    done = run_script(bench, script)
    assert done.returncode == 1
    assert "lakefs://repo/main/up was not closed: its upload is aborted" in done.stderr
    bench.assert_nothing_left("up")


def test_open_writer_of_an_exit_handler_is_named(bench: Bench) -> None:
    """Import, open and write within the handler: hooks that it registers never run."""
    address = bench.sandbox.endpoint, bench.sandbox.access_key_id, bench.sandbox.secret_access_key
    script = f"""
    import atexit

    def handler():
        from lakefs_client import ApiClient, Configuration
        from lakefs_client.transfer import Transfer, TransferConfig

        host, username, password = {address!r}
        client = ApiClient(Configuration(host, username=username, password=password))
        transfer = Transfer(client, TransferConfig(part_size={PART}))
        globals()["writer"] = transfer.open("repo", "main", "up", "wb")
        writer.write(bytes({2 * PART + 1}))

    atexit.register(handler)
    """
    code = textwrap.dedent(script)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stderr == "lakefs://repo/main/up was not closed: parts of it may be left\n"
    assert bench.stat("up") is None
