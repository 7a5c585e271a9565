"""Parts that are sent by an executor of the caller's: threads, processes, and some that break."""

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
    # What forks while threads run may hang, and is warned of.
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


class Watched(Executor):
    """Another executor, with a look at what is handed in.

    Attributes:
        tasks: What was submitted.
        most: How much of it was unfinished at a time.
    """

    def __init__(self, pool: Executor, alter: Callable[[PartTask], PartTask] | None = None) -> None:
        self._pool = pool
        self._alter = alter
        self._lock = threading.Lock()
        self._unfinished = 0
        self.most = 0
        self.tasks: list[PartTask] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        assert fn is send_part
        assert not kwargs
        (task,) = args
        with self._lock:
            self.tasks.append(task)
            self._unfinished += 1
            self.most = max(self.most, self._unfinished)
        future = self._pool.submit(fn, self._alter(task) if self._alter else task)
        future.add_done_callback(self._finished)
        return future

    def _finished(self, future: Future[Any]) -> None:
        with self._lock:
            self._unfinished -= 1


@pytest.mark.parametrize("size", [0, 9, PART, SIZE])
def test_every_byte_arrives(bench: Bench, executor: Executor, size: int) -> None:
    counts: list[int] = []
    stats = bench.upload(size, executor=executor, progress=counts.append, multipart_threshold=0)
    bench.assert_whole(content(size))
    assert stats.checksum.endswith(f"-{max(1, -(-size // PART))}")
    # Each part when it is there.
    assert sorted(counts) == sorted(
        count for count in [size % PART] + size // PART * [PART] if count
    )


def test_small_files_do_not_trouble_the_executor(bench: Bench, threads: Executor) -> None:
    watched = Watched(threads)
    bench.upload(9, executor=watched)
    assert watched.tasks == []
    bench.assert_whole(content(9))


def where(task: PartTask) -> StoredPart | Expired:
    """Send a part, and leave this process's number beside the file."""
    Path(f"{task.path}.{task.part.number}").write_text(str(os.getpid()))
    return send_part(task)


class Elsewhere(Executor):
    """Has `where` done in place of what is submitted."""

    def __init__(self, pool: Executor) -> None:
        self._pool = pool

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        return self._pool.submit(where, *args, **kwargs)


def test_one_object_from_several_processes(bench: Bench, processes: Executor) -> None:
    source = bench.file(6 * PART)
    bench.upload(source, executor=Elsewhere(processes))
    bench.assert_whole(content(6 * PART))
    pids = {int(path.read_text()) for path in bench.folder.glob("source.dat.*")}
    assert os.getpid() not in pids
    assert len(pids) == 2


def test_a_relative_path_is_found_by_workers_with_another_folder(
    bench: Bench, processes: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.file(PART + 9, "here.dat")
    monkeypatch.chdir(bench.folder)
    bench.upload("here.dat", executor=processes)
    bench.assert_whole(content(PART + 9))


def test_the_executor_is_left_open(bench: Bench, executor: Executor) -> None:
    for _ in range(2):
        bench.upload(PART, executor=executor)
    assert executor.submit(len, "four").result() == 4


def test_streams_are_refused(bench: Bench, threads: Executor) -> None:
    transfer = Transfer(bench.client, TransferConfig(executor=threads))
    with bench.file(9).open("rb") as file, pytest.raises(ApiValueError, match="executor"):
        transfer.upload_fileobj(file, "repo", "main", PATH)
    assert list(bench.sandbox.requests) == []


@pytest.mark.parametrize("most", [1, 2, 5])
def test_no_more_is_submitted_than_is_to_be_sent_at_a_time(
    bench: Bench, threads: Executor, most: int
) -> None:
    watched = Watched(threads)
    bench.upload(6 * PART, executor=watched, max_concurrency=most)
    assert watched.most == most
    assert len(watched.tasks) == 6
    bench.assert_whole(content(6 * PART))


def test_throttled_store_receives_fewer_tasks(bench: Bench, executor: Executor) -> None:
    watched = Watched(executor)
    transfer = Transfer(bench.client, TransferConfig(part_size=PART, executor=watched))
    throttle = transfer._context.throttle
    throttle.release(throttle.acquire(never) or 0)
    bench.sandbox.faults.add("store_put_part", "status", status=503, part_number=1)
    transfer.upload_file(bench.file(PART), "repo", "main", PATH)
    assert throttle.epoch == 1
    assert throttle.limit == 4
    transfer.upload_file(bench.file(6 * PART), "repo", "main", PATH)
    assert watched.most <= 5
    bench.assert_whole(content(6 * PART))


def test_two_uploads_at_a_time(bench: Bench, threads: Executor) -> None:
    transfer = Transfer(
        bench.client, TransferConfig(part_size=PART, max_concurrency=2, executor=threads)
    )
    source = bench.file(SIZE)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda path: transfer.upload_file(source, "repo", "main", path), "ab"))
    for path in "ab":
        bench.assert_whole(content(SIZE), path)


@pytest.mark.parametrize("kind", ["reset_after", "lost_answer", "corrupt"])
def test_workers_repeat_what_can_be_repeated(bench: Bench, executor: Executor, kind: Any) -> None:
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
def test_errors_of_workers_are_those_of_the_part(
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


def test_a_file_that_is_not_there_for_workers(bench: Bench, executor: Executor) -> None:
    elsewhere = Watched(executor, lambda task: dataclasses.replace(task, path=f"{task.path}.not"))
    with pytest.raises(TransferError, match=r"part \d: .*No such file") as caught:
        bench.upload(SIZE, executor=elsewhere)
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    bench.assert_nothing_left()


@pytest.mark.parametrize("stamp", [(SIZE + 1, 0), (SIZE, 0)])
def test_another_file_under_the_same_path_for_workers(
    bench: Bench, executor: Executor, stamp: tuple[int, int]
) -> None:
    elsewhere = Watched(executor, lambda task: dataclasses.replace(task, stamp=stamp))
    with pytest.raises(TransferError, match="not the same file on this worker") as caught:
        bench.upload(SIZE, executor=elsewhere)
    assert isinstance(caught.value.__cause__, SourceChangedError)
    bench.assert_nothing_left()


def test_file_systems_that_know_no_fractions_of_seconds(bench: Bench, threads: Executor) -> None:
    def coarse(task: PartTask) -> PartTask:
        size, changed = task.stamp
        return dataclasses.replace(task, stamp=(size, changed // 10**9 * 10**9))

    bench.upload(SIZE, executor=Watched(threads, coarse))
    bench.assert_whole(content(SIZE))


@pytest.mark.parametrize("kind", ["expired", "expired_token"])
def test_urls_are_renewed_here_upon_the_stores_refusal(
    bench: Bench, executor: Executor, kind: Any
) -> None:
    watched = Watched(executor)
    counts: list[int] = []
    bench.sandbox.faults.add("store_put_part", kind, part_number=2, times=2)
    bench.upload(SIZE, executor=watched, progress=counts.append)
    assert bench.sandbox.faults.pending == []
    assert bench.operations["upload_part"] == 2
    assert sorted(task.part.number for task in watched.tasks) == [1, 2, 2, 2, 3, 4]
    assert sum(counts) == SIZE
    bench.assert_whole(content(SIZE))


def test_a_third_refusal_in_a_row_is_an_answer(bench: Bench, executor: Executor) -> None:
    bench.sandbox.faults.add("store_put_part", "expired", part_number=2, times=3)
    with pytest.raises(TransferError, match=r"part 2: 403 .*expired") as caught:
        bench.upload(SIZE, executor=executor)
    assert bench.sandbox.faults.pending == []
    assert bench.operations["upload_part"] == 2
    assert (caught.value.outcome, caught.value.status) == ("aborted", 403)
    bench.assert_nothing_left()


def test_a_renewal_that_fails_is_a_failure_of_the_part(bench: Bench, threads: Executor) -> None:
    bench.sandbox.faults.add("store_put_part", "expired", part_number=2)
    bench.sandbox.faults.add("upload_part", "status", status=401)
    with pytest.raises(TransferError, match="part 2: 401") as caught:
        bench.upload(SIZE, executor=threads)
    assert (caught.value.outcome, caught.value.part_number) == ("aborted", 2)
    bench.assert_nothing_left()


def test_an_upload_that_is_gone_begins_anew(bench: Bench, executor: Executor) -> None:
    counts: list[int] = []
    bench.sandbox.faults.add(
        "store_put_part", "status", status=404, code="NoSuchUpload", part_number=2
    )
    bench.upload(SIZE, executor=executor, progress=counts.append)
    assert bench.sandbox.faults.pending == []
    assert bench.operations[CREATE] == 2
    assert sum(counts) == SIZE
    bench.assert_whole(content(SIZE))


def test_an_exception_in_the_callback_stops_the_upload(bench: Bench, executor: Executor) -> None:
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


def test_a_process_that_is_killed_ends_the_upload(bench: Bench) -> None:
    """The pool is of no more use, as the standard library has it: the upload says so."""
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
        # It cannot be submitted to either.
        with pytest.raises(TransferError, match="part 1: ") as caught:
            bench.upload(SIZE, executor=pool)
    assert isinstance(caught.value.__cause__, BrokenProcessPool)
    bench.assert_nothing_left()
    bench.upload(SIZE)
    bench.assert_whole(content(SIZE))


class Raising(Executor):
    """Raises on submission, once; or has tasks that raise, once."""

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
def test_what_an_executor_raises_ends_the_upload_and_no_later_one(
    bench: Bench, threads: Executor, error: BaseException, in_task: bool
) -> None:
    raising = Raising(threads, error, in_task=in_task)
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
    # Its place is free again.
    transfer.upload_file(source, "repo", "main", PATH)
    bench.assert_whole(content(SIZE))


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_an_interrupt_aborts_though_workers_go_on(
    bench: Bench, processes: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multipart, "CANCEL_WAIT", 0.1)
    faults = bench.sandbox.faults
    faults.add("store_put_part", "stall", seconds=1, times=4)
    told: list[int] = []
    watched = Watched(processes)
    with (
        interrupt_once(lambda: faults.pending[0].times < 4),
        pytest.raises(KeyboardInterrupt),
    ):
        bench.upload(SIZE, executor=watched, progress=told.append)
    faults.clear()
    # A worker that cannot be stopped finds the upload gone, and reports nothing.
    processes.submit(len, "").result()
    bench.assert_nothing_left()
    assert told == []


def test_nothing_of_lakefs_goes_to_workers(
    bench: Bench, threads: Executor, caplog: pytest.LogCaptureFixture
) -> None:
    configuration = bench.client.configuration
    configuration.api_key["cookie_auth"] = "SECRET-SESSION"
    bench.client.cookie = "session=SECRET-COOKIE"
    bench.client.set_default_header("X-Default", "SECRET-DEFAULT")
    user, password = bench.sandbox.access_key_id, bench.sandbox.secret_access_key
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    watched = Watched(threads)
    with caplog.at_level(logging.DEBUG):
        bench.upload(SIZE, executor=watched, user_metadata={"run": "SECRET-METADATA"})
        login = LoginInformation(access_key_id=user, secret_access_key=password)
        token = AuthApi(bench.client).login(login_information=login).token
        configuration.username = configuration.password = None
        configuration.access_token = token
        bench.upload(SIZE, executor=watched)
    assert len(watched.tasks) == 8
    for task in watched.tasks:
        sent = pickle.dumps(task)
        # The store's own credentials are other ones: their public half is a part of the URL.
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


def test_a_workers_error_does_not_tell_the_signature(
    bench: Bench, processes: Executor, caplog: pytest.LogCaptureFixture
) -> None:
    watched = Watched(processes)
    bench.sandbox.faults.add("store_put_part", "reset_after", part_number=2, times=2)
    with caplog.at_level(logging.DEBUG), pytest.raises(TransferError, match="part 2") as caught:
        bench.upload(SIZE, executor=watched)
    chain: list[str] = [caplog.text]
    error: BaseException | None = caught.value
    while error is not None:
        chain += [str(error), repr(error)]
        error = error.__cause__ or error.__context__
    text = "\n".join(chain)
    assert "Traceback" in text  # of the worker
    for task in watched.tasks:
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(task.url).query)
        assert query["X-Amz-Signature"][0] not in text
        assert query["X-Amz-Credential"][0] not in urllib.parse.unquote(text)


def test_workers_reach_the_store_as_this_process_does(bench: Bench, threads: Executor) -> None:
    configuration = bench.client.configuration
    configuration.proxy_headers = {"X-Proxy": "yes"}
    configuration.connect_timeout, configuration.read_timeout = 3, 7
    configuration.socket_options = [(6, 1, 1)]
    watched = Watched(threads)
    bench.upload(PART, executor=watched)
    (task,) = watched.tasks
    settings = task.common.settings
    assert settings.proxy_headers == (("X-Proxy", "yes"),)
    assert (settings.connect_timeout, settings.read_timeout) == (3, 7)
    assert settings.socket_options == ((6, 1, 1),)
    assert not settings.verify_ssl
    assert "X-Proxy" not in repr(task)
    agents = {r.headers["user-agent"] for r in bench.sandbox.requests}
    assert agents == {bench.client.user_agent}


@pytest.mark.parametrize("verify", [True, False])
def test_verification_is_as_ordered(bench: Bench, executor: Executor, verify: bool) -> None:
    bench.sandbox.faults.add("store_put_part", "wrong_etag", part_number=1, times=2)
    if verify:
        with pytest.raises(TransferError, match="checksum mismatch"):
            bench.upload(PART + 9, executor=executor)
        bench.assert_nothing_left()
    else:
        with pytest.raises(TransferError, match="InvalidPart"):  # what the store makes of it
            bench.upload(PART + 9, executor=executor, verify=False)


@pytest.mark.parametrize("executor", [7, "threads", print])
def test_what_is_no_executor_is_refused(executor: Any) -> None:
    with pytest.raises(ApiTypeError, match=r"executor must be an executor of concurrent\.futures"):
        TransferConfig(executor=executor)
