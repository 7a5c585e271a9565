"""Parts that the workers of a Dask cluster send. Needs `distributed`: ``tox -e dask``."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from support.bench import PART, Bench, content

from lakefs_client.exceptions import TransferError
from lakefs_client.transfer.upload import multipart
from lakefs_client.transfer.upload.part import StoredPart
from lakefs_client.transfer.upload.workers import Expired, PartTask, send_part

distributed = pytest.importorskip("distributed")


SIZE = 5 * PART + 9


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=2, processes=True, dashboard_address=":0"
    ) as cluster:
        yield cluster


@pytest.fixture
def client(cluster: Any) -> Iterator[Any]:
    with distributed.Client(cluster) as client:
        yield client


def send_and_record_pid(task: PartTask) -> StoredPart | Expired:
    """Send a part, and write the process id to a file next to the source."""
    Path(f"{task.path}.{task.part.number}").write_text(str(os.getpid()))
    return send_part(task)


class RecordingExecutor(Executor):
    """Records the submitted tasks, and runs them as `send_and_record_pid` on Dask's executor."""

    def __init__(self, client: Any) -> None:
        self._executor = client.get_executor()
        self.tasks: list[PartTask] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        assert fn is send_part
        self.tasks += args
        future: Future[Any] = self._executor.submit(send_and_record_pid, *args, **kwargs)
        return future


def pids(folder: Path) -> set[int]:
    return {int(path.read_text()) for path in folder.glob("source.dat.*")}


def secrets(tasks: list[PartTask]) -> Iterator[str]:
    for task in tasks:
        query = parse_qs(urlsplit(task.url).query)
        yield query["X-Amz-Signature"][0]
        yield query["X-Amz-Credential"][0]


def test_workers_send_parts_of_one_object(bench: Bench, client: Any) -> None:
    counts: list[int] = []
    recording = RecordingExecutor(client)
    source = bench.file(SIZE)
    bench.upload(source, executor=recording, progress=counts.append)
    bench.assert_whole(content(SIZE))
    assert sorted(counts) == [9, *[PART] * 5]
    assert os.getpid() not in pids(bench.folder)
    assert len(pids(bench.folder)) == 2


def test_client_executor_stays_open(bench: Bench, client: Any) -> None:
    executor = client.get_executor()
    bench.upload(SIZE, executor=executor)
    bench.assert_whole(content(SIZE))
    assert executor.submit(len, "left open").result(60) == 9


def test_parts_of_killed_worker_are_sent_by_another(bench: Bench, client: Any) -> None:
    bench.sandbox.faults.add("store_put_part", "stall", seconds=600, part_number=1)
    recording = RecordingExecutor(client)
    source = bench.file(SIZE)
    first = Path(f"{source}.1")
    killed: list[int] = []

    def kill() -> None:
        # The store has the request for part 1, and does not answer.
        while bench.sandbox.faults.pending or not first.exists() or not first.read_text():
            time.sleep(0.01)
        killed.append(int(first.read_text()))
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    counts: list[int] = []
    bench.upload(source, executor=recording, progress=counts.append)
    killer.join()
    bench.assert_whole(content(SIZE))
    assert int(first.read_text()) != killed[0]
    assert sum(counts) == SIZE


def test_keys_logs_and_errors_have_no_signature(
    bench: Bench, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    recording = RecordingExecutor(client)
    keys: list[str] = []
    submit = client.submit

    def record_key(*args: Any, **kwargs: Any) -> Any:
        future = submit(*args, **kwargs)
        keys.append(f"{future.key} {future!r}")
        return future

    client.submit = record_key
    bench.sandbox.faults.add("store_put_part", "status", status=403, part_number=2)
    with caplog.at_level(logging.DEBUG), pytest.raises(TransferError, match="part 2: 403") as error:
        bench.upload(bench.file(SIZE), executor=recording)
    bench.assert_nothing_left()
    assert len(keys) == len(recording.tasks) > 1
    logs = io.StringIO()
    # The logs of all workers, which report the failed task, and of the scheduler.
    json.dump({**client.get_worker_logs(), "scheduler": client.get_scheduler_logs()}, logs)
    assert "Compute Failed" in logs.getvalue()
    chain: list[str] = []
    cause: BaseException | None = error.value
    while cause is not None:
        chain += [str(cause), repr(cause)]
        cause = cause.__cause__ or cause.__context__
    for text in (*keys, logs.getvalue(), caplog.text, *chain):
        for secret in secrets(recording.tasks):
            assert secret not in unquote(text)


def test_expired_url_is_renewed(bench: Bench, client: Any) -> None:
    bench.sandbox.faults.add("store_put_part", "expired", part_number=2, times=2)
    bench.upload(SIZE, executor=client.get_executor())
    assert bench.sandbox.faults.pending == []
    assert bench.operations["upload_part"] == 2
    bench.assert_whole(content(SIZE))


def test_throttled_part_is_retried(bench: Bench, client: Any) -> None:
    bench.sandbox.faults.add("store_put_part", "status", status=503, part_number=1)
    bench.upload(SIZE, executor=client.get_executor())
    assert bench.sandbox.faults.pending == []
    bench.assert_whole(content(SIZE))


def test_closed_client_aborts_upload(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "CANCEL_WAIT", 0.5)
    bench.sandbox.faults.add("store_put_part", "stall", seconds=600, part_number=3)
    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=True, dashboard_address=":0"
    )
    with cluster, distributed.Client(cluster) as client:
        closers: list[threading.Thread] = []

        def close(count: int) -> None:
            if not closers:
                closers.append(threading.Thread(target=client.close))
                closers[0].start()

        with pytest.raises(TransferError) as caught:
            bench.upload(SIZE, executor=client.get_executor(), progress=close)
        closers[0].join()
    assert caught.value.outcome == "aborted"
    bench.sandbox.faults.clear()
    bench.assert_nothing_left()
