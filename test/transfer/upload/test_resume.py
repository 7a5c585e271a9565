"""Uploads that were interrupted and resumed.

Processes are killed by SIGKILL: at random, at each request of the protocol before and after the
server has carried it out, and at each write of the journal, before it, in its middle and after it.
Parts are of 64 KiB here, as in `test_schedules.py`.
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

from lakefs_client import ApiClient
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
from lakefs_client.transfer import PendingUpload, Transfer
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
        job: What is uploaded.
        kills: How many processes were killed so far.
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
        """Uploads that are pending in the store."""
        return dict(self.bench.sandbox.blockstore.uploads())

    def journals(self) -> list[list[dict[str, Any]]]:
        """Return the records of each journal."""
        return list(read_all(self.job.journals, "upload"))

    def arrived(self) -> set[int]:
        """Return the parts that the journal says to be in the store."""
        records = [record for journal in self.journals() for record in journal]
        return {record["part"] for record in records if "part" in record}

    def sent(self) -> set[int]:
        """Return the parts that the sandbox was sent."""
        queries = [r.query for r in self.bench.sandbox.requests if r.operation == PUT_PART]
        return {int(dict(parse_qsl(query))["partNumber"]) for query in queries}

    def upload(self, **options: Any) -> Any:
        """Make the call, in this process."""
        return uploader.upload(self.job, self.transfer, **options)

    def interrupt(self, number: int = PARTS // 2, **options: Any) -> TransferError:
        """End the upload early, with parts in the store."""
        fault = {"status": 403, "part_number": number}
        self.bench.sandbox.faults.add(PUT_PART, "status", **fault)
        with pytest.raises(TransferError) as caught:
            self.upload(**options)
        assert not self.bench.sandbox.faults.pending
        assert caught.value.outcome == "resumable"
        self.bench.sandbox.requests.clear()
        return caught.value

    def kill(self, process: Any) -> bool:
        """Kill a process, unless it has ended; tells which."""
        process.kill()
        process.join()
        killed = bool(process.exitcode)
        assert process.exitcode in (0, -signal.SIGKILL)
        process.close()
        self.kills += killed
        return killed

    def kill_at(self, operation: str, after: int, *, carried_out: bool) -> None:
        """Run a process, and kill it when the sandbox has received a request, or carried it out
        and not answered yet."""
        faults, requests, process = self.bench.sandbox.faults, self.bench.sandbox.requests, None
        take, append = faults.take, requests.append
        lock, left, started, over = threading.Lock(), [after], threading.Event(), threading.Event()

        def pass_by(passing: str) -> None:
            with lock:
                left[0] -= passing == operation
                if left[0] < 0 and not over.is_set():
                    started.wait()
                    assert process is not None
                    self.kill(process)
                    over.set()

        def taken(arrived: str, part_number: int | None = None) -> Any:
            if not carried_out:
                pass_by(arrived)
            if over.is_set():
                raise Reset  # nothing more of what was under way gets through
            return take(arrived, part_number)

        def recorded(request: RecordedRequest) -> None:
            append(request)
            if carried_out:
                pass_by(request.operation)

        with self.patch.context() as patch:
            patch.setattr(faults, "take", taken)
            patch.setattr(requests, "append", recorded)
            process = start(self.job)
            started.set()
            assert over.wait(60)

    def assert_whole(self) -> None:
        """Check that the object is there, byte for byte, without parts or a journal.

        The answer to the beginning may have been lost, so that nobody knows that upload; it has
        no parts.
        """
        assert self.bench.stored_bytes(PATH) == content(SIZE)
        assert not any(upload.parts for upload in self.uploads.values())
        assert not self.transfer.pending_uploads()
        assert not list(self.job.journals.iterdir())

    def assert_goes_on(self) -> None:
        """Check that the same call succeeds, and sends no stored part again."""
        arrived = self.arrived()
        self.bench.sandbox.requests.clear()
        counts: list[int] = []
        assert self.upload(progress=counts.append).size_bytes == SIZE == sum(counts)
        assert not arrived & self.sent()
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


def pending(scene: Scene) -> PendingUpload:
    """Return the one upload that is pending."""
    (one,) = scene.transfer.pending_uploads()
    return one


# Kills


def kill_at_random(scene: Scene, kills: int, seed: int) -> None:
    """Kill process after process. Each resumes the upload of the one before."""
    chance, requests = random.Random(seed), scene.bench.sandbox.requests
    while scene.kills < kills:
        arrived, before = scene.arrived(), scene.journals()
        requests.clear()
        process = start(scene.job)
        # By requests, since a busy machine may take any time for them, and then by time.
        many = chance.randrange(2 * PARTS)
        while len(requests) < many and process.is_alive():
            process.join(0.001)
        process.join(chance.uniform(0, 0.01))
        killed = scene.kill(process)
        assert not arrived & scene.sent()
        after = scene.journals()
        if not killed:
            # It was quicker than we.
            scene.assert_whole()
            delete(scene.bench)
        elif before and after:
            assert after[0][: len(before[0])] == before[0]
    scene.assert_goes_on()


def test_kills_at_random(scene: Scene) -> None:
    kill_at_random(scene, KILLS, 1)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(2, 5))
def test_many_kills_at_random(scene: Scene, seed: int) -> None:
    kill_at_random(scene, ALL_KILLS // 3, seed)


@pytest.mark.parametrize("carried_out", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("operation", "after"),
    [(CREATE, 0), (PUT_PART, 0), (PUT_PART, 1), (PUT_PART, PARTS - 1), (COMPLETE, 0)],
)
def test_a_kill_at_a_request(scene: Scene, operation: str, after: int, carried_out: bool) -> None:
    scene.kill_at(operation, after, carried_out=carried_out)
    assert scene.kills == 1
    assert (scene.bench.stat(PATH) is not None) == (operation == COMPLETE and carried_out)
    assert bool(scene.journals()) == (operation != CREATE)
    scene.assert_goes_on()
    assert (COMPLETE in scene.bench.operations) == (operation != COMPLETE or not carried_out)


@pytest.mark.parametrize("carried_out", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("operation", ["upload_part", PUT_PART, COMPLETE])
def test_a_kill_of_what_goes_on(scene: Scene, operation: str, carried_out: bool) -> None:
    scene.interrupt()
    scene.kill_at(operation, 0, carried_out=carried_out)
    assert scene.kills == 1
    assert scene.journals()
    scene.assert_goes_on()


@pytest.mark.parametrize("written", [0, 0.5, 1], ids=["before", "within", "after"])
@pytest.mark.parametrize("number", [1, 2, PARTS + 1, PARTS + 2])
def test_a_kill_at_a_write_of_the_journal(scene: Scene, number: int, written: float) -> None:
    """The writes are that it was begun, its parts, and that it is about to be completed."""
    process = start(scene.job._replace(fatal_write=number, written=written))
    process.join()
    scene.kill(process)
    assert scene.kills == 1
    assert len(scene.arrived()) == max(0, min(number - 1 + int(written), PARTS + 1) - 1)
    scene.assert_goes_on()


def test_what_was_completed_unseen_is_not_sent_again(scene: Scene) -> None:
    scene.kill_at(COMPLETE, 0, carried_out=True)
    scene.bench.sandbox.requests.clear()
    scene.upload()
    assert scene.bench.operations == {"stat_object": 1}
    scene.assert_whole()


# Resumed uploads


def test_it_goes_on_with_the_same_upload(scene: Scene) -> None:
    error = scene.interrupt()
    assert error.upload_id in scene.uploads
    scene.assert_goes_on()
    assert CREATE not in scene.bench.operations


def test_without_resume_nothing_is_kept_and_nothing_taken_up(scene: Scene) -> None:
    scene.interrupt()
    journals = scene.journals()
    scene.transfer.upload_file(scene.job.source, "repo", "main", PATH)
    assert scene.sent() == set(range(1, PARTS + 1))
    assert scene.journals() == journals


def test_resume_without_verify_compares_parts_with_the_file(scene: Scene) -> None:
    scene.settings = {"verify": False}
    scene.interrupt()
    scene.assert_goes_on()
    scene.interrupt()
    change_bytes(scene.job.source, 0)
    scene.upload()
    assert CREATE in scene.bench.operations


def test_journal_records_parts_of_an_executor(scene: Scene) -> None:
    with ThreadPoolExecutor(2) as executor:
        scene.settings = {"executor": executor}
        scene.interrupt()
        assert scene.arrived()
        scene.assert_goes_on()


def test_an_interrupt_by_the_caller_can_go_on(scene: Scene) -> None:
    class Enough(Exception):
        pass

    def progress(count: int) -> None:
        if len(scene.arrived()) > 2:
            raise Enough

    with pytest.raises(Enough):
        scene.upload(progress=progress)
    assert len(scene.arrived()) > 2
    scene.assert_goes_on()


def test_one_process_at_a_time(scene: Scene) -> None:
    errors: list[str] = []

    def progress(count: int) -> None:
        if not errors:
            for attempt in (scene.upload, lambda: scene.transfer.discard_upload(pending(scene))):
                with pytest.raises(TransferError, match="in progress") as caught:
                    attempt()
                errors.append(caught.value.outcome)

    scene.upload(progress=progress)
    assert errors == ["aborted", "aborted"]
    scene.assert_whole()


def test_a_small_file_has_no_journal(scene: Scene) -> None:
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
def test_a_file_that_became_small_starts_afresh_and_says_so(
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


def test_what_was_begun_in_parts_goes_on_in_parts(scene: Scene) -> None:
    scene.interrupt()
    scene.settings = {"multipart_threshold": 2 * SIZE}
    scene.upload()
    assert scene.bench.operations[COMPLETE] == 1
    scene.assert_whole()


# What makes it the same


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
def test_another_upload_has_another_journal(scene: Scene, change: dict[str, Any]) -> None:
    furnish(scene.bench)
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


def furnish(bench: Bench) -> None:
    """Another repository, and another branch."""
    with contextlib.suppress(ConflictException):
        RepositoriesApi(bench.client).create_repository(
            RepositoryCreation("other", f"{bench.sandbox.storage_namespace}other")
        )
        BranchesApi(bench.client).create_branch("repo", BranchCreation("dev", "main"))


def test_the_same_upload_by_other_words(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path; the type that would be guessed; metadata in another order."""
    scene.interrupt(user_metadata={"a": "1", "b": "2"})
    monkeypatch.chdir(scene.job.source.parent)
    job = scene.job._replace(source=Path(scene.job.source.name))
    uploader.upload(
        job, scene.transfer, user_metadata={"b": "2", "a": "1"},
        content_type="application/octet-stream",
    )  # fmt: skip
    assert CREATE not in scene.bench.operations
    scene.assert_whole()


# What it is bound to


def change_bytes(source: Path, offset: int) -> None:
    """Change a byte and leave size and time as they are."""
    status = source.stat()
    with source.open("r+b") as file:
        file.seek(offset)
        (byte,) = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ 1]))
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))


def touch(source: Path) -> None:
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
    ("change", "why"),
    [
        (touch, "the file changed since"),
        (grow, "the file changed since"),
        (shrink, "the file changed since"),
        (lambda source: change_bytes(source, PART + 1), "the file has different bytes now"),
    ],
    ids=["time", "longer", "shorter", "bytes"],
)
def test_a_changed_source_starts_afresh_and_says_so(
    scene: Scene, caplog: pytest.LogCaptureFixture, change: Callable[[Path], None], why: str
) -> None:
    error = scene.interrupt()
    assert 2 in scene.arrived()
    change(scene.job.source)
    with caplog.at_level(logging.WARNING, "lakefs_client.transfer"):
        scene.upload()
    (record,) = caplog.records
    assert error.upload_id in record.getMessage()
    assert "starting a new one" in record.getMessage()
    assert why in record.getMessage()
    assert scene.bench.operations[ABORT] == scene.bench.operations[CREATE] == 1
    assert scene.sent() == set(range(1, PARTS + 1))
    assert scene.bench.stored_bytes(PATH) == scene.job.source.read_bytes()
    assert not scene.uploads
    assert not scene.journals()


def test_bytes_that_were_not_sent_yet_are_not_held_against_anything(scene: Scene) -> None:
    scene.interrupt(1)
    missing = min(set(range(1, PARTS + 1)) - scene.arrived())
    change_bytes(scene.job.source, (missing - 1) * PART)
    scene.upload()
    assert CREATE not in scene.bench.operations
    assert scene.bench.stored_bytes(PATH) == scene.job.source.read_bytes()


def test_a_source_that_cannot_be_read_keeps_the_upload(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.interrupt()
    journals = scene.journals()

    def failing(*arguments: Any) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "preadv", failing)
        with pytest.raises(OSError, match="cannot be read at offset"):
            scene.upload()
    assert scene.journals() == journals
    scene.assert_goes_on()


def test_an_address_that_is_over_by_our_reckoning(
    scene: Scene, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = scene.interrupt()
    scene.bench.sandbox.clock.advance(DAY)
    now = time.time()
    monkeypatch.setattr(resume.time, "time", lambda: now + DAY)
    with caplog.at_level(logging.WARNING, "lakefs_client.transfer"):
        scene.upload()
    assert_said_to_be_over(scene, caplog.text, error.upload_id)
    assert not scene.sent() - set(range(1, PARTS + 1))


@pytest.mark.parametrize("number", [PARTS // 2, None], ids=["at a part", "at complete"])
def test_an_address_that_is_over_by_the_servers_word(
    scene: Scene, caplog: pytest.LogCaptureFixture, number: int | None
) -> None:
    """Servers before 1.80 gave it six hours, and clocks differ."""
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
    assert_said_to_be_over(scene, caplog.text, upload_id)


def assert_said_to_be_over(scene: Scene, text: str, upload_id: str | None) -> None:
    """Check that a new upload was made; the old one's parts are still there, as the log says."""
    assert upload_id is not None
    assert "starting a new one" in text
    assert upload_id in text
    assert "only a lifecycle rule of the bucket (AbortIncompleteMultipartUpload)" in text
    assert scene.bench.operations[CREATE] == 1
    assert scene.bench.stored_bytes(PATH) == content(SIZE)
    assert not list(scene.job.journals.iterdir())
    assert set(scene.uploads) == {upload_id}


def test_an_upload_that_was_ended_meanwhile_starts_afresh(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.interrupt()
    for upload in scene.uploads.values():
        scene.bench.sandbox.blockstore.abort(upload.key, upload.upload_id)
    with caplog.at_level(logging.WARNING, "lakefs_client.transfer"):
        scene.upload()
    assert "starting a new one" in caplog.text
    scene.assert_whole()


def test_a_server_that_cannot_renew_urls_starts_afresh(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """Before 1.55 the URLs that came with an upload were all that there were."""
    scene.interrupt()
    scene.bench.sandbox.faults.add(
        "upload_part", "status", status=404, body={"message": "invalid API endpoint"}, times=99
    )
    with caplog.at_level(logging.WARNING, "lakefs_client.transfer"):
        scene.upload()
    assert "starting a new one" in caplog.text
    assert "1.55" in caplog.text
    scene.assert_whole()


def test_what_such_a_server_cannot_go_on_with_is_aborted(scene: Scene) -> None:
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


def test_of_an_abort_that_failed_the_error_says_how_to_repeat_it(scene: Scene) -> None:
    faults = scene.bench.sandbox.faults
    faults.add(PUT_PART, "expired", part_number=PARTS)
    faults.add("upload_part", "status", status=404, body={"message": "invalid API endpoint"})
    faults.add(ABORT, "status", status=500)
    with pytest.raises(TransferError, match=r"abort failed too.*discard_upload") as caught:
        scene.upload()
    assert caught.value.outcome == "abort failed"
    assert "is kept" not in str(caught.value)
    (pending,) = scene.transfer.pending_uploads()
    scene.transfer.discard_upload(pending)
    assert not scene.uploads
    assert not list(scene.job.journals.iterdir())


# What leaves no journal


def test_a_wrong_object_is_not_gone_on_with(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    store = scene.bench.sandbox.blockstore
    with monkeypatch.context() as patch:
        assemble = store.complete
        patch.setattr(store, "complete", lambda *arguments: replace(assemble(*arguments), size=1))
        with pytest.raises(TransferError, match="got 1 bytes, expected") as caught:
            scene.upload()
    assert caught.value.outcome == "mismatch"
    assert not list(scene.job.journals.iterdir())
    scene.assert_goes_on()


def test_an_upload_in_the_place_of_another_that_cannot_begin(scene: Scene) -> None:
    """The former one is gone, and its journal with it."""
    scene.interrupt()
    faults = scene.bench.sandbox.faults
    faults.add(PUT_PART, "status", status=404, code="NoSuchUpload", times=2)
    faults.add(CREATE, "status", status=500)
    with pytest.raises(ApiException) as caught:
        scene.upload()
    assert caught.value.status == 500
    assert not scene.uploads
    assert not list(scene.job.journals.iterdir())


def test_a_changed_source_whose_new_upload_cannot_begin(scene: Scene) -> None:
    scene.interrupt()
    touch(scene.job.source)
    scene.bench.sandbox.faults.add(CREATE, "status", status=500)
    with pytest.raises(ApiException):
        scene.upload()
    assert not scene.uploads
    assert not list(scene.job.journals.iterdir())


# Those that are pending


def test_pending_uploads_are_listed(scene: Scene) -> None:
    assert scene.transfer.pending_uploads() == []
    error = scene.interrupt(user_metadata={"run": "42"})
    one = pending(scene)
    ((first, *_),) = scene.journals()
    assert one == PendingUpload(
        host=scene.bench.client.configuration.host, repository="repo", branch="main", path=PATH,
        source=str(scene.job.source), size=SIZE, part_size=PART,
        content_type="application/octet-stream", user_metadata={"run": "42"},
        upload_id=error.upload_id or "", physical_address=error.physical_address or "",
        began=first["began"], parts=len(scene.arrived()),
    )  # fmt: skip
    assert abs(one.began - time.time()) < DAY
    with ApiClient() as elsewhere:
        assert make_job_transfer(scene.job, elsewhere).pending_uploads() == []


def test_a_pending_upload_is_resumed(scene: Scene) -> None:
    scene.interrupt(user_metadata={"run": "42"}, content_type="text/x")
    arrived, counts = scene.arrived(), list[int]()
    transfer = make_transfer(scene.bench.client, LIMITS, journal_dir=scene.job.journals)
    stats = transfer.resume_upload(pending(scene), progress=counts.append)
    assert (stats.content_type, stats.metadata.to_dict()) == ("text/x", {"run": "42"})
    assert sum(counts) == SIZE
    assert CREATE not in scene.bench.operations
    assert not arrived & scene.sent()
    scene.assert_whole()


def test_a_pending_upload_is_discarded(scene: Scene) -> None:
    scene.interrupt()
    one = pending(scene)
    for _ in range(2):  # which is as good as once
        scene.transfer.discard_upload(one)
        assert not scene.uploads
        assert not list(scene.job.journals.iterdir())
    assert scene.bench.stat(PATH) is None


def test_a_discard_that_does_not_reach_the_server_can_be_repeated(scene: Scene) -> None:
    scene.interrupt()
    one, journals = pending(scene), scene.journals()
    scene.bench.sandbox.faults.add(ABORT, "reset_before", times=2)
    with pytest.raises(ApiConnectionError):
        scene.transfer.discard_upload(one)
    assert scene.journals() == journals
    scene.transfer.discard_upload(one)
    assert not scene.uploads
    assert not list(scene.job.journals.iterdir())


def test_a_discard_of_what_is_over_forgets_it(scene: Scene) -> None:
    scene.interrupt()
    scene.bench.sandbox.clock.advance(DAY + 60)
    with pytest.raises(ApiException, match="address expired"):
        scene.transfer.discard_upload(pending(scene))
    assert not list(scene.job.journals.iterdir())


def test_a_torn_journal_goes_on_from_what_is_whole(scene: Scene) -> None:
    scene.interrupt()
    (path,) = scene.job.journals.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 40])
    assert len(scene.arrived()) > 2
    scene.assert_goes_on()


# Journals that something else wrote


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
def test_journal_folder_that_every_user_may_write_to_is_refused(scene: Scene) -> None:
    scene.job.journals.mkdir()
    scene.job.journals.chmod(0o777)
    for call in (scene.upload, scene.transfer.pending_uploads):
        with pytest.raises(PermissionError, match="every user may write"):
            call()
    assert not scene.bench.operations
