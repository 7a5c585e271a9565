"""Uploads that are interrupted and resumed.

SIGKILL ends the processes: at random, at each request before and after the server executes it, and
before, during and after each write of the journal. Parts have 64 KiB, as in `test_schedules.py`.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import random
import signal
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from support import uploader
from support.bench import Bench, bench_of, content, make_transfer
from support.uploader import LIMITS, PART, PATH, Job, make_job_transfer, start

from lakefs_client import ApiClient, RetryPolicy, retry
from lakefs_client.api.branches_api import BranchesApi
from lakefs_client.api.objects_api import ObjectsApi
from lakefs_client.api.repositories_api import RepositoriesApi
from lakefs_client.exceptions import (
    ApiConnectionError,
    ApiException,
    ConflictException,
    TransferError,
)
from lakefs_client.models import BranchCreation, RepositoryCreation
from lakefs_client.sandbox import RecordedRequest, Sandbox, blocks
from lakefs_client.sandbox.http_server import Reset
from lakefs_client.transfer import PendingUpload, Transfer, context
from lakefs_client.transfer.journal import read_all
from lakefs_client.transfer.upload import resume

CREATE = "create_presign_multipart_upload"
COMPLETE = "complete_presign_multipart_upload"
ABORT = "abort_presign_multipart_upload"
PUT_PART = "store_put_part"
PARTS = 24
SIZE = (PARTS - 1) * PART + 9
KILLS = 10
ALL_KILLS = 60
DAY = 24 * 3600

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with (
        pytest.MonkeyPatch.context() as patch,
        Sandbox() as sandbox,
        bench_of(sandbox, tmp_path_factory.mktemp("resume")) as bench,
    ):
        patch.setattr(blocks, "MIN_PART", PART)
        yield bench


class Scene:
    """A file to upload, and a folder for its journal.

    Attributes:
        bench: The sandbox and a client of it.
        job: The upload.
        kills: Number of processes that were killed.
    """

    def __init__(self, bench: Bench, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.bench = bench
        self.patch = patch
        source = folder / "source.dat"
        source.write_bytes(content(SIZE))
        keys = (bench.sandbox.access_key_id, bench.sandbox.secret_access_key)
        self.job = Job(bench.sandbox.endpoint, keys, source, folder / "journals")
        self.kills = 0
        self.settings: dict[str, Any] = {}

    @property
    def transfer(self) -> Transfer:
        """A transfer in this process, with the scene's settings."""
        return make_job_transfer(self.job, self.bench.client, **self.settings)

    @property
    def uploads(self) -> dict[str, blocks.Upload]:
        """The uploads that are pending in the store."""
        return dict(self.bench.sandbox.blockstore.uploads())

    def journals(self) -> list[list[dict[str, Any]]]:
        """Return the records of each journal."""
        return list(read_all(self.job.journals, "upload"))

    def recorded_parts(self) -> set[int]:
        """Return the numbers of the parts that the journals record."""
        records = [record for journal in self.journals() for record in journal]
        return {record["part"] for record in records if "part" in record}

    def sent_parts(self) -> set[int]:
        """Return the numbers of the parts that the store received."""
        queries = [r.query for r in self.bench.sandbox.requests if r.operation == PUT_PART]
        return {int(dict(parse_qsl(query))["partNumber"]) for query in queries}

    def upload(self, **options: Any) -> Any:
        """Run the upload in this process."""
        return uploader.upload(self.job, self.transfer, **options)

    def interrupt(self, number: int = PARTS // 2, **options: Any) -> TransferError:
        """Let part `number` fail, and return the error. The upload can be resumed."""
        fault = {"status": 403, "part_number": number}
        self.bench.sandbox.faults.add(PUT_PART, "status", **fault)
        with pytest.raises(TransferError) as caught:
            self.upload(**options)
        assert not self.bench.sandbox.faults.pending
        assert caught.value.outcome == "resumable"
        self.bench.sandbox.requests.clear()
        return caught.value

    def kill(self, process: Any) -> bool:
        """Kill a process. Return False if it had already ended."""
        process.kill()
        process.join()
        killed = bool(process.exitcode)
        assert process.exitcode in (0, -signal.SIGKILL)
        process.close()
        self.kills += killed
        return killed

    def kill_at(self, operation: str, after: int, *, carried_out: bool) -> None:
        """Run the upload in a process, and kill the process at a request.

        Args:
            operation: The operation of the request.
            after: Number of earlier requests of the operation.
            carried_out: Kill after the request is executed, and before its answer.
        """
        faults, requests, process = self.bench.sandbox.faults, self.bench.sandbox.requests, None
        take, append = faults.take, requests.append
        lock, remaining = threading.Lock(), [after]
        started, done = threading.Event(), threading.Event()

        def kill_at_operation(current: str) -> None:
            with lock:
                remaining[0] -= current == operation
                if remaining[0] < 0 and not done.is_set():
                    started.wait()
                    assert process is not None
                    self.kill(process)
                    done.set()

        def take_or_kill(current: str, part_number: int | None = None) -> Any:
            if not carried_out:
                kill_at_operation(current)
            if done.is_set():
                raise Reset  # rejects the requests that were in flight
            return take(current, part_number)

        def append_or_kill(request: RecordedRequest) -> None:
            append(request)
            if carried_out:
                kill_at_operation(request.operation)

        with self.patch.context() as patch:
            patch.setattr(faults, "take", take_or_kill)
            patch.setattr(requests, "append", append_or_kill)
            process = start(self.job)
            started.set()
            assert done.wait(60)

    def assert_whole(self) -> None:
        """Check that the object has the file's bytes, without pending parts or a journal.

        An upload without parts may be pending, if the answer to its create call was lost.
        """
        assert self.bench.stored_bytes(PATH) == content(SIZE)
        assert not any(upload.parts for upload in self.uploads.values())
        assert not self.transfer.pending_uploads()
        assert not list(self.job.journals.iterdir())

    def assert_resumes(self) -> None:
        """Check that the same call succeeds without sending a stored part again."""
        recorded_parts = self.recorded_parts()
        self.bench.sandbox.requests.clear()
        counts: list[int] = []
        assert self.upload(progress=counts.append).size_bytes == SIZE == sum(counts)
        assert not recorded_parts & self.sent_parts()
        self.assert_whole()


@pytest.fixture
def scene(shared: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    shared.sandbox.requests.clear()
    yield Scene(shared, tmp_path, monkeypatch)
    sandbox = shared.sandbox
    sandbox.faults.clear()
    for upload in sandbox.blockstore.uploads().values():
        sandbox.blockstore.abort(upload.key, upload.upload_id)
    delete(shared)


def delete(bench: Bench) -> None:
    """Delete the object at the path."""
    if bench.stat(PATH) is not None:
        ObjectsApi(bench.client).delete_object("repo", "main", PATH)


def pending_upload(scene: Scene) -> PendingUpload:
    """Return the only pending upload."""
    (upload,) = scene.transfer.pending_uploads()
    return upload


# Kills


def kill_at_random(scene: Scene, kills: int, seed: int) -> None:
    """Kill one process after another. Each resumes the upload of the previous one."""
    chance, requests = random.Random(seed), scene.bench.sandbox.requests
    while scene.kills < kills:
        recorded_parts, before = scene.recorded_parts(), scene.journals()
        requests.clear()
        process = start(scene.job)
        # Wait for requests first, because their duration varies on a busy machine, then for a time.
        request_count = chance.randrange(2 * PARTS)
        while len(requests) < request_count and process.is_alive():
            process.join(0.001)
        process.join(chance.uniform(0, 0.01))
        killed = scene.kill(process)
        assert not recorded_parts & scene.sent_parts()
        after = scene.journals()
        if not killed:
            # The process finished before the kill.
            scene.assert_whole()
            delete(scene.bench)
        elif before and after:
            assert after[0][: len(before[0])] == before[0]
    scene.assert_resumes()


def test_upload_resumes_after_random_kills(scene: Scene) -> None:
    kill_at_random(scene, KILLS, 1)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(2, 5))
def test_upload_resumes_after_many_random_kills(scene: Scene, seed: int) -> None:
    kill_at_random(scene, ALL_KILLS // 3, seed)


@pytest.mark.parametrize("carried_out", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("operation", "after"),
    [(CREATE, 0), (PUT_PART, 0), (PUT_PART, 1), (PUT_PART, PARTS - 1), (COMPLETE, 0)],
)
def test_upload_resumes_after_kill_at_request(
    scene: Scene, operation: str, after: int, carried_out: bool
) -> None:
    scene.kill_at(operation, after, carried_out=carried_out)
    assert scene.kills == 1
    assert (scene.bench.stat(PATH) is not None) == (operation == COMPLETE and carried_out)
    assert bool(scene.journals()) == (operation != CREATE)
    scene.assert_resumes()
    assert (COMPLETE in scene.bench.operations) == (operation != COMPLETE or not carried_out)


@pytest.mark.parametrize("carried_out", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("operation", ["upload_part", PUT_PART, COMPLETE])
def test_upload_resumes_after_second_kill(scene: Scene, operation: str, carried_out: bool) -> None:
    scene.interrupt()
    scene.kill_at(operation, 0, carried_out=carried_out)
    assert scene.kills == 1
    assert scene.journals()
    scene.assert_resumes()


@pytest.mark.parametrize("written", [0, 0.5, 1], ids=["before", "within", "after"])
@pytest.mark.parametrize("number", [1, 2, PARTS + 1, PARTS + 2])
def test_upload_resumes_after_kill_at_journal_write(
    scene: Scene, number: int, written: float
) -> None:
    """The writes record the start, each part, and the completion."""
    process = start(scene.job._replace(fatal_write=number, written=written))
    process.join()
    scene.kill(process)
    assert scene.kills == 1
    assert len(scene.recorded_parts()) == max(0, min(number - 1 + int(written), PARTS + 1) - 1)
    scene.assert_resumes()


def test_resume_recognizes_completed_upload(scene: Scene) -> None:
    scene.kill_at(COMPLETE, 0, carried_out=True)
    scene.bench.sandbox.requests.clear()
    scene.upload()
    assert scene.bench.operations == {"stat_object": 1}
    scene.assert_whole()


# Resumed uploads


def test_resume_reuses_upload_id(scene: Scene) -> None:
    error = scene.interrupt()
    assert error.upload_id in scene.uploads
    scene.assert_resumes()
    assert CREATE not in scene.bench.operations


def test_call_without_resume_ignores_journal(scene: Scene) -> None:
    scene.interrupt()
    journals = scene.journals()
    scene.transfer.upload_file(scene.job.source, "repo", "main", PATH)
    assert scene.sent_parts() == set(range(1, PARTS + 1))
    assert scene.journals() == journals


def test_resume_without_verify_compares_parts_with_file(scene: Scene) -> None:
    scene.settings = {"verify": False}
    scene.interrupt()
    scene.assert_resumes()
    scene.interrupt()
    change_bytes(scene.job.source, 0)
    scene.upload()
    assert CREATE in scene.bench.operations


def test_executor_upload_resumes(scene: Scene) -> None:
    with ThreadPoolExecutor(2) as executor:
        scene.settings = {"executor": executor}
        scene.interrupt()
        assert scene.recorded_parts()
        scene.assert_resumes()


def test_upload_resumes_after_callback_exception(scene: Scene) -> None:
    class StopUpload(Exception):
        pass

    def progress(count: int) -> None:
        if len(scene.recorded_parts()) > 2:
            raise StopUpload

    with pytest.raises(StopUpload):
        scene.upload(progress=progress)
    assert len(scene.recorded_parts()) > 2
    scene.assert_resumes()


def test_concurrent_resume_or_discard_raises(scene: Scene) -> None:
    errors: list[str] = []

    def progress(count: int) -> None:
        if not errors:
            for attempt in (
                scene.upload,
                lambda: scene.transfer.discard_upload(pending_upload(scene)),
            ):
                with pytest.raises(TransferError, match="in progress") as caught:
                    attempt()
                errors.append(caught.value.outcome)

    scene.upload(progress=progress)
    assert errors == ["aborted", "aborted"]
    scene.assert_whole()


def test_small_file_has_no_journal(scene: Scene) -> None:
    scene.job.source.write_bytes(content(9))
    transfer = make_transfer(
        scene.bench.client, LIMITS, part_size=PART, journal_dir=scene.job.journals
    )
    scene.bench.sandbox.faults.add("store_put_object", "status", status=403)
    with pytest.raises(TransferError) as caught:
        transfer.upload_file(scene.job.source, "repo", "main", PATH, resume=True)
    assert caught.value.outcome == "aborted"
    assert not scene.job.journals.exists()


@pytest.mark.parametrize("size", [PART - 1, 0])
def test_source_below_threshold_starts_new_upload(
    scene: Scene, caplog: pytest.LogCaptureFixture, size: int
) -> None:
    error = scene.interrupt()
    scene.job.source.write_bytes(content(size))
    scene.settings = {"multipart_threshold": None}
    with caplog.at_level(logging.WARNING, "lakefs_client.transfer"):
        scene.upload()
    assert f"cannot resume the upload {error.upload_id}" in caplog.text
    assert scene.bench.operations["store_put_object"] == 1
    assert scene.bench.stored_bytes(PATH) == content(size)
    assert not scene.uploads
    assert not list(scene.job.journals.iterdir())


def test_resume_ignores_new_multipart_threshold(scene: Scene) -> None:
    scene.interrupt()
    scene.settings = {"multipart_threshold": 2 * SIZE}
    scene.upload()
    assert scene.bench.operations[COMPLETE] == 1
    scene.assert_whole()


# Identity of an upload


@pytest.mark.parametrize(
    "change",
    [
        {"host": "localhost"},
        {"repository": "other"},
        {"branch": "dev"},
        {"path": "elsewhere"},
        {"source": "copy.dat"},
        {"part_size": 2 * PART},
        {"content_type": "text/x"},
        {"user_metadata": {"run": "42"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_different_arguments_start_separate_upload(scene: Scene, change: dict[str, Any]) -> None:
    create_other_repository_and_branch(scene.bench)
    scene.interrupt()
    journals = scene.journals()
    call: dict[str, Any] = {
        "source": scene.job.source, "repository": "repo", "branch": "main", "path": PATH,
    }  # fmt: skip
    host, size = change.get("host"), change.get("part_size", PART)
    if "source" in change:
        change = {"source": scene.job.source.rename(scene.job.source.with_name("copy.dat"))}
    call |= {name: value for name, value in change.items() if name not in ("host", "part_size")}
    with ApiClient(scene.bench.sandbox.configuration()) as client:
        if host:
            client.configuration.host = scene.job.endpoint.replace("127.0.0.1", host)
        transfer = make_job_transfer(scene.job, client, part_size=size)
        transfer.upload_file(**call, resume=True)
    assert scene.bench.operations[CREATE] == 1
    assert scene.journals() == journals


def create_other_repository_and_branch(bench: Bench) -> None:
    """Create the repository `other` and the branch `dev`."""
    with contextlib.suppress(ConflictException):
        RepositoriesApi(bench.client).create_repository(
            RepositoryCreation("other", f"{bench.sandbox.storage_namespace}other")
        )
        BranchesApi(bench.client).create_branch("repo", BranchCreation("dev", "main"))


def test_equivalent_arguments_resume_upload(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path, the media type of the name, and metadata in another order are equivalent."""
    scene.interrupt(user_metadata={"a": "1", "b": "2"})
    monkeypatch.chdir(scene.job.source.parent)
    job = scene.job._replace(source=Path(scene.job.source.name))
    uploader.upload(
        job, scene.transfer, user_metadata={"b": "2", "a": "1"},
        content_type="application/octet-stream",
    )  # fmt: skip
    assert CREATE not in scene.bench.operations
    scene.assert_whole()


# Changed sources, expired addresses and old servers


def change_bytes(source: Path, offset: int) -> None:
    """Change a byte, but not the size or the time."""
    status = source.stat()
    with source.open("r+b") as file:
        file.seek(offset)
        (byte,) = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ 1]))
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))


def change_time(source: Path) -> None:
    status = source.stat()
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def grow(source: Path) -> None:
    status = source.stat()
    with source.open("ab") as file:
        file.write(b"more")
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))


def shrink(source: Path) -> None:
    status = source.stat()
    os.truncate(source, SIZE - 1)
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (change_time, "the file changed since"),
        (grow, "the file changed since"),
        (shrink, "the file changed since"),
        (lambda source: change_bytes(source, PART + 1), "the file has different bytes now"),
    ],
    ids=["time", "longer", "shorter", "bytes"],
)
def test_changed_source_starts_new_upload(
    scene: Scene, caplog: pytest.LogCaptureFixture, change: Callable[[Path], None], reason: str
) -> None:
    error = scene.interrupt()
    assert 2 in scene.recorded_parts()
    change(scene.job.source)
    with caplog.at_level(logging.WARNING, "lakefs_client.transfer"):
        scene.upload()
    (record,) = caplog.records
    assert error.upload_id in record.getMessage()
    assert "starting a new one" in record.getMessage()
    assert reason in record.getMessage()
    assert scene.bench.operations[ABORT] == scene.bench.operations[CREATE] == 1
    assert scene.sent_parts() == set(range(1, PARTS + 1))
    assert scene.bench.stored_bytes(PATH) == scene.job.source.read_bytes()
    assert not scene.uploads
    assert not scene.journals()


def test_change_in_missing_part_resumes_upload(scene: Scene) -> None:
    scene.interrupt(1)
    missing = min(set(range(1, PARTS + 1)) - scene.recorded_parts())
    change_bytes(scene.job.source, (missing - 1) * PART)
    scene.upload()
    assert CREATE not in scene.bench.operations
    assert scene.bench.stored_bytes(PATH) == scene.job.source.read_bytes()


def test_unreadable_source_keeps_journal(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.interrupt()
    journals = scene.journals()

    def failing(*arguments: Any) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "preadv", failing)
        with pytest.raises(OSError, match="cannot be read at offset"):
            scene.upload()
    assert scene.journals() == journals
    scene.assert_resumes()


def test_address_expired_by_local_clock_starts_new_upload(
    scene: Scene, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = scene.interrupt()
    scene.bench.sandbox.clock.advance(DAY)
    now = time.time()
    monkeypatch.setattr(resume.time, "time", lambda: now + DAY)
    with caplog.at_level(logging.WARNING, "lakefs_client.transfer"):
        scene.upload()
    assert_expired_upload_is_replaced(scene, caplog.text, error.upload_id)
    assert scene.sent_parts() == set(range(1, PARTS + 1))


@pytest.mark.parametrize("number", [PARTS // 2, None], ids=["at a part", "at complete"])
def test_address_expired_on_server_starts_new_upload(
    scene: Scene, caplog: pytest.LogCaptureFixture, number: int | None
) -> None:
    """Addresses of servers before 1.80 live six hours, and clocks differ."""
    if number is None:
        scene.kill_at(COMPLETE, 0, carried_out=False)
        ((first, *_),) = scene.journals()
        upload_id = first["upload_id"]
    else:
        upload_id = scene.interrupt(number).upload_id
    scene.bench.sandbox.clock.advance(DAY + 60)
    scene.bench.sandbox.requests.clear()
    with caplog.at_level(logging.WARNING, "lakefs_client.transfer"):
        scene.upload()
    assert_expired_upload_is_replaced(scene, caplog.text, upload_id)


def assert_expired_upload_is_replaced(scene: Scene, text: str, upload_id: str | None) -> None:
    """Check that a new upload succeeded. The log says that the expired one's parts remain."""
    assert upload_id is not None
    assert "starting a new one" in text
    assert upload_id in text
    assert "only a lifecycle rule of the bucket (AbortIncompleteMultipartUpload)" in text
    assert scene.bench.operations[CREATE] == 1
    assert scene.bench.stored_bytes(PATH) == content(SIZE)
    assert not list(scene.job.journals.iterdir())
    assert set(scene.uploads) == {upload_id}


def test_aborted_upload_starts_new_upload(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.interrupt()
    for upload in scene.uploads.values():
        scene.bench.sandbox.blockstore.abort(upload.key, upload.upload_id)
    with caplog.at_level(logging.WARNING, "lakefs_client.transfer"):
        scene.upload()
    assert "starting a new one" in caplog.text
    scene.assert_whole()


def test_unsupported_url_renewal_starts_new_upload(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """Servers before 1.55 have no operation that renews URLs."""
    scene.interrupt()
    scene.bench.sandbox.faults.add(
        "upload_part", "status", status=404, body={"message": "invalid API endpoint"}, times=99
    )
    with caplog.at_level(logging.WARNING, "lakefs_client.transfer"):
        scene.upload()
    assert "starting a new one" in caplog.text
    assert "1.55" in caplog.text
    scene.assert_whole()


def test_unsupported_url_renewal_of_new_upload_aborts(scene: Scene) -> None:
    scene.bench.sandbox.faults.add(PUT_PART, "expired", part_number=PARTS)
    scene.bench.sandbox.faults.add(
        "upload_part", "status", status=404, body={"message": "invalid API endpoint"}
    )
    with pytest.raises(TransferError, match=r"1\.55") as caught:
        scene.upload()
    assert caught.value.outcome == "aborted"
    assert "resume=True" not in str(caught.value)
    assert not scene.uploads
    assert not list(scene.job.journals.iterdir())


def test_failed_abort_names_discard_upload(scene: Scene) -> None:
    faults = scene.bench.sandbox.faults
    faults.add(PUT_PART, "expired", part_number=PARTS)
    faults.add("upload_part", "status", status=404, body={"message": "invalid API endpoint"})
    faults.add(ABORT, "status", status=500)
    with pytest.raises(TransferError, match=r"abort failed too.*discard_upload") as caught:
        scene.upload()
    assert caught.value.outcome == "abort failed"
    assert "is kept" not in str(caught.value)
    (pending_upload,) = scene.transfer.pending_uploads()
    scene.transfer.discard_upload(pending_upload)
    assert not scene.uploads
    assert not list(scene.job.journals.iterdir())


# Failures that delete the journal


def test_mismatched_object_deletes_journal(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    store = scene.bench.sandbox.blockstore
    with monkeypatch.context() as patch:
        assemble = store.complete
        patch.setattr(store, "complete", lambda *arguments: replace(assemble(*arguments), size=1))
        with pytest.raises(TransferError, match="got 1 bytes, expected") as caught:
            scene.upload()
    assert caught.value.outcome == "mismatch"
    assert not list(scene.job.journals.iterdir())
    scene.assert_resumes()


def test_failed_restart_deletes_journal(scene: Scene) -> None:
    scene.interrupt()
    faults = scene.bench.sandbox.faults
    faults.add(PUT_PART, "status", status=404, code="NoSuchUpload", times=2)
    faults.add(CREATE, "status", status=500)
    with pytest.raises(ApiException) as caught:
        scene.upload()
    assert caught.value.status == 500
    assert not scene.uploads
    assert not list(scene.job.journals.iterdir())


def test_failed_create_after_source_change_deletes_journal(scene: Scene) -> None:
    scene.interrupt()
    change_time(scene.job.source)
    scene.bench.sandbox.faults.add(CREATE, "status", status=500)
    with pytest.raises(ApiException):
        scene.upload()
    assert not scene.uploads
    assert not list(scene.job.journals.iterdir())


# Pending uploads


def test_pending_uploads_are_listed(scene: Scene) -> None:
    assert scene.transfer.pending_uploads() == []
    error = scene.interrupt(user_metadata={"run": "42"})
    upload = pending_upload(scene)
    ((first, *_),) = scene.journals()
    assert upload == PendingUpload(
        host=scene.bench.client.configuration.host, repository="repo", branch="main", path=PATH,
        source=str(scene.job.source), size=SIZE, part_size=PART,
        content_type="application/octet-stream", user_metadata={"run": "42"},
        upload_id=error.upload_id or "", physical_address=error.physical_address or "",
        began=first["began"], parts=len(scene.recorded_parts()),
    )  # fmt: skip
    assert abs(upload.began - time.time()) < DAY
    with ApiClient() as other_client:
        assert make_job_transfer(scene.job, other_client).pending_uploads() == []


def test_resume_upload_keeps_type_and_metadata(scene: Scene) -> None:
    scene.interrupt(user_metadata={"run": "42"}, content_type="text/x")
    recorded_parts, counts = scene.recorded_parts(), list[int]()
    transfer = make_transfer(scene.bench.client, LIMITS, journal_dir=scene.job.journals)
    stats = transfer.resume_upload(pending_upload(scene), progress=counts.append)
    assert (stats.content_type, stats.metadata.to_dict()) == ("text/x", {"run": "42"})
    assert sum(counts) == SIZE
    assert CREATE not in scene.bench.operations
    assert not recorded_parts & scene.sent_parts()
    scene.assert_whole()


def test_resume_upload_survives_outage(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.interrupt()
    configuration = scene.bench.client.configuration
    monkeypatch.setattr(configuration, "retries", None)
    monkeypatch.setattr(retry, "_DEFAULT", RetryPolicy(5, 0, 0))
    monkeypatch.setattr(context, "PATIENCE", RetryPolicy(context.PATIENCE.attempts, 0, 0))
    transfer = make_transfer(scene.bench.client, LIMITS, journal_dir=scene.job.journals)
    scene.bench.sandbox.faults.add("upload_part", "status", status=503, times=20)
    transfer.resume_upload(pending_upload(scene))
    assert not scene.bench.sandbox.faults.pending
    scene.assert_whole()


def test_discard_upload_aborts_and_deletes_journal(scene: Scene) -> None:
    scene.interrupt()
    upload = pending_upload(scene)
    for _ in range(2):  # the second call does nothing
        scene.transfer.discard_upload(upload)
        assert not scene.uploads
        assert not list(scene.job.journals.iterdir())
    assert scene.bench.stat(PATH) is None


def test_failed_discard_can_be_retried(scene: Scene) -> None:
    scene.interrupt()
    upload, journals = pending_upload(scene), scene.journals()
    scene.bench.sandbox.faults.add(ABORT, "reset_before", times=2)
    with pytest.raises(ApiConnectionError):
        scene.transfer.discard_upload(upload)
    assert scene.journals() == journals
    scene.transfer.discard_upload(upload)
    assert not scene.uploads
    assert not list(scene.job.journals.iterdir())


def test_discard_of_expired_upload_deletes_journal(scene: Scene) -> None:
    scene.interrupt()
    scene.bench.sandbox.clock.advance(DAY + 60)
    with pytest.raises(ApiException, match="address expired"):
        scene.transfer.discard_upload(pending_upload(scene))
    assert not list(scene.job.journals.iterdir())


def test_truncated_journal_resumes_from_whole_records(scene: Scene) -> None:
    scene.interrupt()
    (path,) = scene.job.journals.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 40])
    assert len(scene.recorded_parts()) > 2
    scene.assert_resumes()


# Invalid journals


def rewrite_journal(scene: Scene, change: Callable[[list[Any]], object]) -> None:
    """Change the records of the journal, and keep their checksums right."""
    (path,) = scene.job.journals.iterdir()
    records = [json.loads(line.partition(b" ")[2]) for line in path.read_bytes().splitlines()]
    change(records)
    lines = [json.dumps(record).encode() for record in records]
    path.write_bytes(b"".join(b"%08x %s\n" % (zlib.crc32(line), line) for line in lines))


@pytest.mark.parametrize(
    "change",
    [
        lambda records: records[0].pop("upload_id"),
        lambda records: records[0].update(size="large"),
        lambda records: records[0].update(user_metadata=[1]),
        lambda records: records[0].update(began=None),
        lambda records: records[1].update(part="1"),
        lambda records: records[1].update(stored=None),
        lambda records: records[1].update(stored=[1, 2, 3, 4]),
        lambda records: records[1].update(part=-1),
        lambda records: records.__setitem__(0, [1, 2]),
        lambda records: records.__setitem__(0, None),
    ],
)
def test_journal_of_another_format_starts_a_new_upload(
    scene: Scene, change: Callable[[list[Any]], object]
) -> None:
    scene.interrupt()
    rewrite_journal(scene, change)
    assert scene.transfer.pending_uploads() == []
    scene.upload()
    assert scene.bench.operations[CREATE] == 1
    assert scene.bench.stored_bytes(PATH) == content(SIZE)


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_world_writable_journal_folder_raises(scene: Scene) -> None:
    scene.job.journals.mkdir()
    scene.job.journals.chmod(0o777)
    for call in (scene.upload, scene.transfer.pending_uploads):
        with pytest.raises(PermissionError, match="every user may write"):
            call()
    assert not scene.bench.operations
