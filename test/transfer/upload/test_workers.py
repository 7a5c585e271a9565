"""Parts that the caller's executor sends: threads, processes and failing executors."""

from __future__ import annotations

import base64
import dataclasses
import logging
import multiprocessing
import os
import pickle
import signal
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest
from support.bench import PART, PATH, Bench, content, interrupt_once

from lakefs_client.api.auth_api import AuthApi
from lakefs_client.exceptions import ApiTypeError, ApiValueError, ForbiddenException, TransferError
from lakefs_client.models import LoginInformation
from lakefs_client.transfer import Transfer, TransferConfig
from lakefs_client.transfer.checksum import never
from lakefs_client.transfer.errors import DamagedError, SourceChangedError
from lakefs_client.transfer.upload import multipart
from lakefs_client.transfer.upload.part import StoredPart
from lakefs_client.transfer.upload.workers import Expired, PartTask, send_part

SIZE = 3 * PART + 9
CREATE = "create_presign_multipart_upload"
COMPLETE = "complete_presign_multipart_upload"


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    # A fork with running threads may hang, and Python warns of it.
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.fixture(scope="module")
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture(params=["threads", "processes"])
def executor(request: pytest.FixtureRequest) -> Executor:
    pool: Executor = request.getfixturevalue(request.param)
    return pool


class RecordingExecutor(Executor):
    """Passes tasks on to another executor, and records them.

    Attributes:
        tasks: The submitted tasks.
        max_unfinished: Maximum number of unfinished tasks.
    """

    def __init__(self, pool: Executor, alter: Callable[[PartTask], PartTask] | None = None) -> None:
        self._pool = pool
        self._alter = alter
        self._lock = threading.Lock()
        self._unfinished = 0
        self.max_unfinished = 0
        self.tasks: list[PartTask] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        assert fn is send_part
        assert not kwargs
        (task,) = args
        with self._lock:
            self.tasks.append(task)
            self._unfinished += 1
            self.max_unfinished = max(self.max_unfinished, self._unfinished)
        future = self._pool.submit(fn, self._alter(task) if self._alter else task)
        future.add_done_callback(self._finished)
        return future

    def _finished(self, future: Future[Any]) -> None:
        with self._lock:
            self._unfinished -= 1


@pytest.mark.parametrize("size", [0, 9, PART, SIZE])
def test_object_has_bytes_of_source(bench: Bench, executor: Executor, size: int) -> None:
    counts: list[int] = []
    stats = bench.upload(size, executor=executor, progress=counts.append, multipart_threshold=0)
    bench.assert_whole(content(size))
    assert stats.checksum.endswith(f"-{max(1, -(-size // PART))}")
    # One count per part.
    assert sorted(counts) == sorted(
        count for count in [size % PART] + size // PART * [PART] if count
    )


def test_small_file_does_not_use_executor(bench: Bench, threads: Executor) -> None:
    recording = RecordingExecutor(threads)
    bench.upload(9, executor=recording)
    assert recording.tasks == []
    bench.assert_whole(content(9))


def send_and_record_pid(task: PartTask) -> StoredPart | Expired:
    """Send a part, and write the process id to a file next to the source."""
    Path(f"{task.path}.{task.part.number}").write_text(str(os.getpid()))
    return send_part(task)


class PidRecordingExecutor(Executor):
    """Submits `send_and_record_pid` instead of `send_part`."""

    def __init__(self, pool: Executor) -> None:
        self._pool = pool

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        return self._pool.submit(send_and_record_pid, *args, **kwargs)


def test_processes_send_parts_of_one_object(bench: Bench, processes: Executor) -> None:
    source = bench.file(6 * PART)
    bench.upload(source, executor=PidRecordingExecutor(processes))
    bench.assert_whole(content(6 * PART))
    pids = {int(path.read_text()) for path in bench.folder.glob("source.dat.*")}
    assert os.getpid() not in pids
    assert len(pids) == 2


def test_relative_path_is_resolved_before_submission(
    bench: Bench, processes: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.file(PART + 9, "here.dat")
    monkeypatch.chdir(bench.folder)
    bench.upload("here.dat", executor=processes)
    bench.assert_whole(content(PART + 9))


def test_executor_stays_open(bench: Bench, executor: Executor) -> None:
    for _ in range(2):
        bench.upload(PART, executor=executor)
    assert executor.submit(len, "four").result() == 4


def test_stream_with_executor_raises(bench: Bench, threads: Executor) -> None:
    transfer = Transfer(bench.client, TransferConfig(executor=threads))
    with bench.file(9).open("rb") as file, pytest.raises(ApiValueError, match="executor"):
        transfer.upload_fileobj(file, "repo", "main", PATH)
    assert list(bench.sandbox.requests) == []


@pytest.mark.parametrize("concurrency", [1, 2, 5])
def test_max_concurrency_limits_submitted_tasks(
    bench: Bench, threads: Executor, concurrency: int
) -> None:
    recording = RecordingExecutor(threads)
    bench.upload(6 * PART, executor=recording, max_concurrency=concurrency)
    assert recording.max_unfinished == concurrency
    assert len(recording.tasks) == 6
    bench.assert_whole(content(6 * PART))


def test_throttled_store_receives_fewer_tasks(bench: Bench, executor: Executor) -> None:
    recording = RecordingExecutor(executor)
    transfer = Transfer(bench.client, TransferConfig(part_size=PART, executor=recording))
    throttle = transfer._context.throttle
    throttle.release(throttle.acquire(never) or 0)
    bench.sandbox.faults.add("store_put_part", "status", status=503, part_number=1)
    transfer.upload_file(bench.file(PART), "repo", "main", PATH)
    assert throttle.epoch == 1
    assert throttle.limit == 4
    transfer.upload_file(bench.file(6 * PART), "repo", "main", PATH)
    assert recording.max_unfinished <= 5
    bench.assert_whole(content(6 * PART))


def test_concurrent_uploads_share_executor(bench: Bench, threads: Executor) -> None:
    transfer = Transfer(
        bench.client, TransferConfig(part_size=PART, max_concurrency=2, executor=threads)
    )
    source = bench.file(SIZE)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda path: transfer.upload_file(source, "repo", "main", path), "ab"))
    for path in "ab":
        bench.assert_whole(content(SIZE), path)


@pytest.mark.parametrize("kind", ["reset_after", "lost_answer", "corrupt"])
def test_workers_retry_transient_failures(bench: Bench, executor: Executor, kind: Any) -> None:
    counts: list[int] = []
    bench.sandbox.faults.add("store_put_part", kind, part_number=2)
    bench.upload(SIZE, executor=executor, progress=counts.append)
    assert bench.sandbox.faults.pending == []
    assert sum(counts) == SIZE
    bench.assert_whole(content(SIZE))


@pytest.mark.parametrize(
    ("kind", "details", "error", "status"),
    [
        ("status", {"status": 403}, ForbiddenException, 403),
        ("corrupt", {"times": 2}, DamagedError, 200),
    ],
)
def test_worker_error_names_part(
    bench: Bench, executor: Executor, kind: Any, details: Any, error: Any, status: int
) -> None:
    bench.sandbox.faults.add("store_put_part", kind, part_number=2, **details)
    with pytest.raises(TransferError, match="part 2: ") as caught:
        bench.upload(SIZE, executor=executor)
    assert bench.sandbox.faults.pending == []
    assert (caught.value.outcome, caught.value.part_number) == ("aborted", 2)
    assert type(caught.value.__cause__) is error
    assert (caught.value.status, caught.value.__cause__.status) == (status, status)
    bench.assert_nothing_left()


def test_missing_file_on_worker_aborts_upload(bench: Bench, executor: Executor) -> None:
    altering = RecordingExecutor(
        executor, lambda task: dataclasses.replace(task, path=f"{task.path}.not")
    )
    with pytest.raises(TransferError, match=r"part \d: .*No such file") as caught:
        bench.upload(SIZE, executor=altering)
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    bench.assert_nothing_left()


@pytest.mark.parametrize("stamp", [(SIZE + 1, 0), (SIZE, 0)])
def test_different_file_on_worker_aborts_upload(
    bench: Bench, executor: Executor, stamp: tuple[int, int]
) -> None:
    altering = RecordingExecutor(executor, lambda task: dataclasses.replace(task, stamp=stamp))
    with pytest.raises(TransferError, match="not the same file on this worker") as caught:
        bench.upload(SIZE, executor=altering)
    assert isinstance(caught.value.__cause__, SourceChangedError)
    bench.assert_nothing_left()


def test_file_times_may_lack_fractions_of_seconds(bench: Bench, threads: Executor) -> None:
    def drop_fraction(task: PartTask) -> PartTask:
        size, changed = task.stamp
        return dataclasses.replace(task, stamp=(size, changed // 10**9 * 10**9))

    bench.upload(SIZE, executor=RecordingExecutor(threads, drop_fraction))
    bench.assert_whole(content(SIZE))


@pytest.mark.parametrize("kind", ["expired", "expired_token"])
def test_expired_url_is_renewed_in_this_process(
    bench: Bench, executor: Executor, kind: Any
) -> None:
    recording = RecordingExecutor(executor)
    counts: list[int] = []
    bench.sandbox.faults.add("store_put_part", kind, part_number=2, times=2)
    bench.upload(SIZE, executor=recording, progress=counts.append)
    assert bench.sandbox.faults.pending == []
    assert bench.operations["upload_part"] == 2
    assert sorted(task.part.number for task in recording.tasks) == [1, 2, 2, 2, 3, 4]
    assert sum(counts) == SIZE
    bench.assert_whole(content(SIZE))


def test_third_expired_url_fails_part(bench: Bench, executor: Executor) -> None:
    bench.sandbox.faults.add("store_put_part", "expired", part_number=2, times=3)
    with pytest.raises(TransferError, match=r"part 2: 403 .*expired") as caught:
        bench.upload(SIZE, executor=executor)
    assert bench.sandbox.faults.pending == []
    assert bench.operations["upload_part"] == 2
    assert (caught.value.outcome, caught.value.status) == ("aborted", 403)
    bench.assert_nothing_left()


def test_failed_renewal_fails_part(bench: Bench, threads: Executor) -> None:
    bench.sandbox.faults.add("store_put_part", "expired", part_number=2)
    bench.sandbox.faults.add("upload_part", "status", status=401)
    with pytest.raises(TransferError, match="part 2: 401") as caught:
        bench.upload(SIZE, executor=threads)
    assert (caught.value.outcome, caught.value.part_number) == ("aborted", 2)
    bench.assert_nothing_left()


def test_missing_upload_restarts(bench: Bench, executor: Executor) -> None:
    counts: list[int] = []
    bench.sandbox.faults.add(
        "store_put_part", "status", status=404, code="NoSuchUpload", part_number=2
    )
    bench.upload(SIZE, executor=executor, progress=counts.append)
    assert bench.sandbox.faults.pending == []
    assert bench.operations[CREATE] == 2
    assert sum(counts) == SIZE
    bench.assert_whole(content(SIZE))


def test_callback_exception_is_raised_unchanged(bench: Bench, executor: Executor) -> None:
    error = ValueError("mine")
    calls = 0

    def progress(count: int) -> None:
        nonlocal calls
        calls += 1
        raise error

    with pytest.raises(ValueError, match="mine") as caught:
        bench.upload(SIZE, executor=executor, progress=progress, max_concurrency=1)
    assert caught.value is error
    assert calls == 1
    bench.assert_nothing_left()


def test_killed_worker_process_aborts_upload(bench: Bench) -> None:
    """A pool that lost a process is broken, and the errors name that cause."""
    bench.sandbox.faults.add("store_put_part", "stall", seconds=600, part_number=3)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        # The pool begins its processes with the first tasks.
        pids = {pool.submit(os.getpid).result() for _ in range(2)}

        def kill(count: int) -> None:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            pids.clear()

        with pytest.raises(TransferError, match="terminated abruptly") as caught:
            bench.upload(SIZE, executor=pool, progress=kill)
        assert isinstance(caught.value.__cause__, BrokenProcessPool)
        assert caught.value.outcome == "aborted"
        bench.sandbox.faults.clear()
        bench.assert_nothing_left()
        # A broken pool rejects submissions too.
        with pytest.raises(TransferError, match="part 1: ") as caught:
            bench.upload(SIZE, executor=pool)
    assert isinstance(caught.value.__cause__, BrokenProcessPool)
    bench.assert_nothing_left()
    bench.upload(SIZE)
    bench.assert_whole(content(SIZE))


class RaisingExecutor(Executor):
    """Raises an error once: on submission, or from a task."""

    def __init__(self, pool: Executor, error: BaseException, *, in_task: bool) -> None:
        self._pool = pool
        self._error: BaseException | None = error
        self._in_task = in_task

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        error, self._error = self._error, None
        if error is None:
            return self._pool.submit(fn, *args, **kwargs)
        if not self._in_task:
            raise error
        future: Future[Any] = Future()
        future.set_exception(error)
        return future


@pytest.mark.parametrize("in_task", [False, True], ids=["on submission", "in a task"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), RuntimeError("shut down")])
def test_executor_exception_ends_only_one_upload(
    bench: Bench, threads: Executor, error: BaseException, in_task: bool
) -> None:
    raising = RaisingExecutor(threads, error, in_task=in_task)
    transfer = Transfer(
        bench.client, TransferConfig(part_size=PART, max_concurrency=1, executor=raising)
    )
    source = bench.file(SIZE)
    with pytest.raises((KeyboardInterrupt, SystemExit, TransferError)) as caught:
        transfer.upload_file(source, "repo", "main", PATH)
    if isinstance(error, RuntimeError):
        assert caught.value.__cause__ is error
        assert "part 1: shut down" in str(caught.value)
    else:
        assert caught.value is error
    bench.assert_nothing_left()
    # The slot of the failed part is free again.
    transfer.upload_file(source, "repo", "main", PATH)
    bench.assert_whole(content(SIZE))


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_interrupt_aborts_upload_despite_running_workers(
    bench: Bench, processes: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multipart, "CANCEL_WAIT", 0.1)
    faults = bench.sandbox.faults
    faults.add("store_put_part", "stall", seconds=1, times=4)
    counts: list[int] = []
    recording = RecordingExecutor(processes)
    with (
        interrupt_once(lambda: faults.pending[0].times < 4),
        pytest.raises(KeyboardInterrupt),
    ):
        bench.upload(SIZE, executor=recording, progress=counts.append)
    faults.clear()
    # A running worker finds no upload, and reports no progress.
    processes.submit(len, "").result()
    bench.assert_nothing_left()
    assert counts == []


def test_tasks_have_no_lakefs_credentials(
    bench: Bench, threads: Executor, caplog: pytest.LogCaptureFixture
) -> None:
    configuration = bench.client.configuration
    configuration.api_key["cookie_auth"] = "SECRET-SESSION"
    bench.client.cookie = "session=SECRET-COOKIE"
    bench.client.set_default_header("X-Default", "SECRET-DEFAULT")
    user, password = bench.sandbox.access_key_id, bench.sandbox.secret_access_key
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    recording = RecordingExecutor(threads)
    with caplog.at_level(logging.DEBUG):
        bench.upload(SIZE, executor=recording, user_metadata={"run": "SECRET-METADATA"})
        login = LoginInformation(access_key_id=user, secret_access_key=password)
        token = AuthApi(bench.client).login(login_information=login).token
        configuration.username = configuration.password = None
        configuration.access_token = token
        bench.upload(SIZE, executor=recording)
    assert len(recording.tasks) == 8
    for task in recording.tasks:
        sent = pickle.dumps(task)
        # The store has credentials of its own, and its access key is a part of the URL.
        for secret in ("SECRET", password, pair, token, "uthorization", "Basic ", "Bearer "):
            assert secret.encode() not in sent, secret
        assert user.encode() not in sent
        assert configuration.host.encode() not in sent
        assert pickle.loads(sent) == task
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(task.url).query)
        assert query["X-Amz-Signature"][0].encode() in sent
        for text in (repr(task), str(task), f"{task}", caplog.text):
            assert query["X-Amz-Signature"][0] not in text
            assert query["X-Amz-Credential"][0] not in urllib.parse.unquote(text)


def test_worker_error_has_no_signature(
    bench: Bench, processes: Executor, caplog: pytest.LogCaptureFixture
) -> None:
    recording = RecordingExecutor(processes)
    bench.sandbox.faults.add("store_put_part", "reset_after", part_number=2, times=2)
    with caplog.at_level(logging.DEBUG), pytest.raises(TransferError, match="part 2") as caught:
        bench.upload(SIZE, executor=recording)
    chain: list[str] = [caplog.text]
    error: BaseException | None = caught.value
    while error is not None:
        chain += [str(error), repr(error)]
        error = error.__cause__ or error.__context__
    text = "\n".join(chain)
    assert "Traceback" in text  # from the worker
    for task in recording.tasks:
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(task.url).query)
        assert query["X-Amz-Signature"][0] not in text
        assert query["X-Amz-Credential"][0] not in urllib.parse.unquote(text)


def test_workers_use_connection_settings_of_client(bench: Bench, threads: Executor) -> None:
    configuration = bench.client.configuration
    configuration.proxy_headers = {"X-Proxy": "yes"}
    configuration.connect_timeout, configuration.read_timeout = 3, 7
    configuration.socket_options = [(6, 1, 1)]
    recording = RecordingExecutor(threads)
    bench.upload(PART, executor=recording)
    (task,) = recording.tasks
    settings = task.common.settings
    assert settings.proxy_headers == (("X-Proxy", "yes"),)
    assert (settings.connect_timeout, settings.read_timeout) == (3, 7)
    assert settings.socket_options == ((6, 1, 1),)
    assert not settings.verify_ssl
    assert "X-Proxy" not in repr(task)
    agents = {r.headers["user-agent"] for r in bench.sandbox.requests}
    assert agents == {bench.client.user_agent}


@pytest.mark.parametrize("verify", [True, False])
def test_workers_follow_verify_setting(bench: Bench, executor: Executor, verify: bool) -> None:
    bench.sandbox.faults.add("store_put_part", "wrong_etag", part_number=1, times=2)
    if verify:
        with pytest.raises(TransferError, match="checksum mismatch"):
            bench.upload(PART + 9, executor=executor)
        bench.assert_nothing_left()
    else:
        with pytest.raises(TransferError, match="InvalidPart"):  # the store's answer to the ETag
            bench.upload(PART + 9, executor=executor, verify=False)


@pytest.mark.parametrize("executor", [7, "threads", print])
def test_invalid_executor_raises(executor: Any) -> None:
    with pytest.raises(ApiTypeError, match=r"executor must be an executor of concurrent\.futures"):
        TransferConfig(executor=executor)
