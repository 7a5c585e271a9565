"""The fault matrix: every fault at every step of an upload, and the result of the upload.

A cell has six results: for a fault that happens once and one that happens in every attempt, each
for an upload in parts, in parts with a journal, and in one PUT.

    W   the object exists, complete and verified
    E   an error; no object, no pending upload, no journal
    R   an error; with the journal, the same call resumes and ends in W
    U   an error that names the unknown or pending state, and the call that settles it
    -   the upload has no such step, or the fault cannot happen in every attempt

Each test compares the blockstore's bytes. `IMPOSSIBLE` lists the cells that cannot occur, with the
reason. Parts have 64 KiB, as in `test_schedules.py`.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from support.bench import NO_WAIT, Bench, bench_of, content, make_transfer

from lakefs_client import ApiClient, RetryPolicy
from lakefs_client.api.experimental_api import ExperimentalApi
from lakefs_client.api.repositories_api import RepositoriesApi
from lakefs_client.api.staging_api import StagingApi
from lakefs_client.exceptions import ApiException, TransferError
from lakefs_client.models import (
    AbortPresignMultipartUpload,
    BranchProtectionRule,
    CompletePresignMultipartUpload,
    StagingLocation,
    StagingMetadata,
    StsAuthRequest,
    UploadPart,
)
from lakefs_client.rest import Message, Timing
from lakefs_client.sandbox import FaultKind, Sandbox, blocks
from lakefs_client.sandbox.http_server import Reset
from lakefs_client.transfer.journal import read_all
from lakefs_client.transfer.plan import StoreLimits
from lakefs_client.transfer.upload import destination
from lakefs_client.transfer.upload.resume import KIND

ROOT = Path(__file__).resolve().parents[3]
KIB = 1 << 10
PART = 64 * KIB
LIMITS = StoreLimits(min_part=PART, window=16 * KIB)
SIZE = 2 * PART + 9
PARTS = 3
ALWAYS = 99
"""A number of faults that covers every attempt at a step."""

CREATE = "create_presign_multipart_upload"
COMPLETE = "complete_presign_multipart_upload"
ABORT = "abort_presign_multipart_upload"
STAGE = "get_physical_address"
LINK = "link_physical_address"
STAT = "stat_object"
PUT_PART = "store_put_part"
PUT = "store_put_object"

METHODS = ("parts", "parts with a journal", "one PUT")

STEPS: dict[str, tuple[str | None, str | None]] = {
    "create": (CREATE, STAGE),
    "part": (PUT_PART, PUT),
    "renewal": ("upload_part", STAGE),
    "complete": (COMPLETE, None),
    "abort": (ABORT, None),
    "stat": (STAT, STAT),
    "link": (None, LINK),
}
"""The request of each step: in an upload in parts, and in one PUT.

`stat` follows a complete or a link that reported an error although it succeeded.
"""

_TABLE = """
                          create   part     renewal  complete abort    stat     link
reset before the body     EEW/EEE  WWW/ERE  WWW/ERE  WW-/UR-  EE-/UR-  WWW/URU  --W/--U
reset during the body     .        WWW/ERE  WW-/ER-  WW-/UR-  EE-/UR-  .        --W/--U
reset after the body      .        WWW/ERE  WW-/ER-  WW-/UR-  EE-/UR-  .        --W/--U
lost answer               UUW/UUE  WWW/ERE  WWW/ERE  WW-/WW-  EE-/UR-  WWW/URU  --W/--W
truncated answer          UUW/UUE  WWW/ERE  WWW/ERE  WW-/WW-  EE-/UR-  WWW/URU  --W/--W
stall                     EEW/EEE  WWW/ERE  WWW/ERE  WW-/UR-  EE-/UR-  WWW/URU  --W/--U
400                       EEE/EEE  ERE/ERE  ERE/ERE  EE-/EE-  UR-/UR-  URU/URU  --U/--U
400 ExpiredToken          .        WWW/ERE  .        .        .        .        .
403 expired               .        WWW/ERE  .        .        .        .        .
403 other                 EEE/EEE  ERE/ERE  ERE/ERE  UU-/UU-  UR-/UR-  URU/URU  --U/--U
404 NoSuchUpload          .        WW-/EE-  .        WW-/EE-  .        .        .
408                       EEE/EEE  WWW/ERE  WWW/ERE  UR-/UR-  UR-/UR-  URU/URU  --U/--U
429                       WWW/EEE  WWW/ERE  WWW/ERE  WW-/UR-  EE-/UR-  WWW/URU  --W/--U
500                       EEE/EEE  WWW/ERE  WWW/ERE  WW-/UR-  UR-/UR-  URU/URU  --U/--U
503 SlowDown              EEW/EEE  WWW/ERE  WWW/ERE  WW-/UR-  EE-/UR-  WWW/URU  --W/--U
wrong ETag                .        WWW/ERE  .        .        .        .        .
missing ETag              .        ERE/ERE  .        .        .        .        .
opaque ETag               .        WWW/WWW  .        .        .        .        .
corrupted body            .        WWW/ERE  .        .        .        .        .
DNS                       WWW/EEE  WWW/ERE  WWW/ERE  WW-/ER-  EE-/UR-  WWW/URU  --W/--U
connection refused        WWW/EEE  WWW/ERE  WWW/URE  WW-/UR-  EE-/UR-  WWW/URU  --W/--U
disk read error           .        ERE/ERE  .        .        .        .        .
source truncated          EEE/---  EEE/---  EEE/---  WW-/---  EE-/---  WWW/---  --W/---
source grown              EEE/---  EEE/---  EEE/---  WW-/---  EE-/---  WWW/---  --W/---
no space for the journal  -E-/---  -W-/---  .        -W-/---  .        .        .
server restart            EEW/---  WWW/---  WWW/---  WW-/---  EE-/---  WWW/---  --W/---
token expired             EEE/---  .        URE/---  UR-/---  UR-/---  URU/---  --U/---
"""

CELLS: dict[str, tuple[str, ...]] = {
    line[:26].strip(): tuple(cell.strip(".") for cell in line[26:].split())
    for line in _TABLE.strip("\n").split("\n")[1:]
}

_NO_BODY = "The request has no body, so every reset is a reset before the body"
_OF_THE_STORE = "Only stores reject presigned URLs. Other rows have lakeFS's own failures"
_OF_A_PART = "The request has no bytes of the object, and the response has no ETag"
_NOTHING_READ = "No byte of the source is read at this step"
_NOTHING_WRITTEN = "Nothing is written to the journal at this step"
_NO_UPLOAD = "The request names no upload"
_REST = ("create", "renewal", "complete", "abort", "stat", "link")

IMPOSSIBLE: dict[tuple[str, str], str] = {
    **{(f"reset {when} the body", step): _NO_BODY
       for when in ("during", "after") for step in ("create", "stat")},
    **{(fault, step): _OF_THE_STORE for fault in ("400 ExpiredToken", "403 expired")
       for step in _REST},
    **{("404 NoSuchUpload", step): _NO_UPLOAD for step in ("create", "stat", "link")},
    ("404 NoSuchUpload", "renewal"):
        "lakeFS signs URLs of missing uploads, so the part gets the 404",
    ("404 NoSuchUpload", "abort"): "lakeFS answers 204 if there is nothing to abort",
    **{(fault, step): _OF_A_PART
       for fault in ("wrong ETag", "missing ETag", "opaque ETag", "corrupted body")
       for step in _REST},
    **{("disk read error", step): _NOTHING_READ for step in _REST},
    **{("no space for the journal", step): _NOTHING_WRITTEN
       for step in ("renewal", "abort", "stat", "link")},
    ("token expired", "part"): "Stores do not receive lakeFS's tokens",
}  # fmt: skip


@dataclass
class Stage:
    """One upload, and the fault that is injected into it.

    Attributes:
        bench: The sandbox, and a client without faults.
        patch: Patches that end with the upload.
        step: The step of the fault.
        method: Index into `METHODS`.
        times: Number of times that the fault happens.
        client: The client that uploads.
        path: Path of the object.
        folder: Folder of the source and of the journals.
        pending: Remaining number of times, for faults that the sandbox does not inject.
        threads: Threads to join after the upload.
        undo: Calls that restore the server's settings.
        policy: The retry policy of the transfer.
    """

    bench: Bench
    patch: pytest.MonkeyPatch
    step: str
    method: int
    times: int
    client: ApiClient
    path: str
    folder: Path
    pending: dict[str, int] = field(default_factory=dict)
    threads: list[threading.Thread] = field(default_factory=list)
    undo: list[Callable[[], object]] = field(default_factory=list)
    policy: RetryPolicy = NO_WAIT

    @property
    def single_put(self) -> bool:
        return METHODS[self.method] == "one PUT"

    @property
    def journal(self) -> bool:
        return METHODS[self.method] == "parts with a journal"

    @property
    def size(self) -> int:
        return PART - 1 if self.single_put else SIZE

    @property
    def source(self) -> Path:
        return self.folder / "source.dat"

    @property
    def journals(self) -> Path:
        return self.folder / "journals"

    @property
    def operation(self) -> str:
        operation = STEPS[self.step][self.single_put]
        assert operation is not None
        return operation

    def add_fault(self, kind: FaultKind, operation: str | None = None, **details: Any) -> None:
        """Inject a fault of the sandbox, at this step unless another operation is given."""
        operation = operation or self.operation
        if operation == PUT_PART:
            details["part_number"] = 2
        if (self.step, operation) == ("renewal", STAGE):
            details["after"] = 1
        self.bench.sandbox.faults.add(operation, kind, **{"times": self.times, **details})

    def on_request(self, operation: str, action: Callable[[], object], skip: int = 0) -> None:
        """Run an action once, when a request arrives at the sandbox."""
        faults = self.bench.sandbox.faults
        take, lock, remaining = faults.take, threading.Lock(), [skip]
        self.pending[operation] = 1

        def take_and_run(recorded: str, part_number: int | None = None) -> Any:
            with lock:
                matches = recorded == operation and bool(self.pending[operation])
                if matches and remaining[0]:
                    remaining[0] -= 1
                    matches = False
                if matches:
                    self.pending[operation] -= 1
            if matches:
                action()
            return take(recorded, part_number)

        self.patch.setattr(faults, "take", take_and_run)

    def on_step(self, action: Callable[[], object]) -> None:
        """Run an action once, when the request of this step arrives."""
        self.on_request(
            self.operation, action, skip=(self.step, self.single_put) == ("renewal", True)
        )

    def redirect(self, origin: str, *, down: bool) -> None:
        """Send the requests of this step to another scheme, host and port.

        If `down` is true and the fault happens in every attempt, all later requests to the same
        server follow.
        """
        self.pending["origin"] = self.times
        skip = [(self.step, self.single_put) == ("renewal", True)]
        servers: set[str] = set()
        lock = threading.Lock()
        for client in (self.client.rest_client, self.client.store_client):
            exchange = client.exchange

            def redirected_exchange(
                request: Message, exchange: Callable[..., Any] = exchange, **options: Any
            ) -> Any:
                server, path = re.match(r"(\w+://[^/]+)(.*)", request.url).groups()  # type: ignore[union-attr]
                with lock:
                    redirected = server in servers
                    if self.pending["origin"] and _operation(request) == self.operation:
                        redirected = not skip[0]
                        skip[0] = False
                        self.pending["origin"] -= redirected
                        if redirected and down and self.times == ALWAYS:
                            servers.add(server)
                if redirected:
                    request = request._replace(url=origin + path)
                return exchange(request, **options)

            self.patch.setattr(client, "exchange", redirected_exchange)

    def upload(self, client: ApiClient, progress: Callable[[int], object] | None = None) -> Any:
        transfer = make_transfer(
            client, LIMITS, part_size=PART, max_concurrency=2, retry=self.policy,
            journal_dir=self.journals,
        )  # fmt: skip
        return transfer.upload_file(
            self.source, "repo", "main", self.path, resume=self.journal, progress=progress
        )

    def pending_uploads(self) -> Any:
        transfer = make_transfer(self.bench.client, LIMITS, journal_dir=self.journals)
        return transfer.pending_uploads()

    def change_source(self) -> None:
        """Change the source's time, but not its bytes."""
        status = self.source.stat()
        os.utime(self.source, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def _operation(request: Message) -> str:
    """Return the operation of a request."""
    if "/api/v1/" not in request.url:
        return PUT_PART if "partNumber=2" in request.url else PUT
    path = request.url.partition("?")[0]
    last = r"/staging/pmpu(/[^/]+)?(/parts/\d+)?$"
    if found := re.search(last, path):
        if found[2]:
            return "upload_part"
        return {"POST": CREATE, "PUT": COMPLETE, "DELETE": ABORT}[request.method]
    if path.endswith("/staging/backing"):
        return {"GET": STAGE, "PUT": LINK}[request.method]
    return STAT if path.endswith("/objects/stat") else ""


# Preparations for the steps that an upload without faults does not reach


def _to_renewal(stage: Stage) -> None:
    # A failed renewal fails the attempt at the part, and the next attempt uses the old URL.
    times = ALWAYS if stage.times == ALWAYS else 1
    stage.add_fault("expired", PUT if stage.single_put else PUT_PART, times=times)


def _to_stat(stage: Stage) -> None:
    stage.add_fault("late_error", LINK if stage.single_put else COMPLETE, status=500, times=1)


PREPARATIONS = {"renewal": _to_renewal, "stat": _to_stat}


# Faults


def sandbox_fault(kind: FaultKind, **details: Any) -> Callable[[Stage], None]:
    return lambda stage: stage.add_fault(kind, **details)


def _stall(stage: Stage) -> None:
    # The timeout leaves a busy machine enough time for the other answers.
    stage.client.configuration.read_timeout = 1
    stage.patch.setattr(destination, "ABORT_TIMEOUT", (10, 1))
    times = 1
    if stage.times == ALWAYS:
        stage.policy = stage.client.configuration.retries = RetryPolicy(attempts=1)
    stage.add_fault("stall", seconds=600, times=times)


def _forbidden(stage: Stage) -> None:
    if stage.step != "complete":
        stage.add_fault("status", status=403)
        return
    # lakeFS rejects the write after the store assembled the object. Only users who may not read
    # the protection rules get there.
    protect = RepositoriesApi(stage.bench.client).set_branch_protection_rules
    protect("repo", [BranchProtectionRule(pattern="main")])
    stage.undo.append(lambda: protect("repo", []))
    stage.add_fault("status", "get_branch_protection_rules", status=403, times=1)


def _gone(stage: Stage) -> None:
    if stage.step == "part":
        stage.add_fault("status", status=404, code="NoSuchUpload")
    else:
        message = "operation error S3: CompleteMultipartUpload, api error NoSuchUpload: x"
        stage.add_fault("status", status=500, body={"message": message})


def _no_such_name(stage: Stage) -> None:
    stage.redirect("http://nonexistent.invalid:80", down=False)


def _refused(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    stage.redirect(f"http://127.0.0.1:{port}", down=True)


def _read_error(stage: Stage) -> None:
    preadv = os.preadv
    stage.pending["preadv"] = 1

    def fail(descriptor: int, buffers: Any, offset: int, *flags: int) -> int:
        if offset >= (0 if stage.single_put else PART):
            stage.pending["preadv"] = 0
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return preadv(descriptor, buffers, offset, *flags)

    stage.patch.setattr(os, "preadv", fail)


def _truncated(stage: Stage) -> None:
    stage.on_step(lambda: os.truncate(stage.source, 9))


def _grown(stage: Stage) -> None:
    def grow() -> None:
        with stage.source.open("ab") as file:
            file.write(b"more")

    stage.on_step(grow)


def _no_space(stage: Stage) -> None:
    # The journal has a first record, one record per part, and one for the completion.
    first = {"create": 1, "part": 2, "complete": 2 + PARTS}[stage.step]
    fsync, lock, count = os.fsync, threading.Lock(), [0]
    stage.pending["fsync"] = 1

    def fail(descriptor: int) -> None:
        status = os.fstat(descriptor)
        is_journal = stat.S_ISREG(status.st_mode) and any(
            os.path.samestat(status, path.stat()) for path in stage.journals.iterdir()
        )
        with lock:
            count[0] += is_journal
            if is_journal and count[0] >= first:
                stage.pending["fsync"] = 0
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    stage.patch.setattr(os, "fsync", fail)


def _restart(stage: Stage) -> None:
    # The duration of a restart varies. These retries wait up to 10 s.
    stage.policy = RetryPolicy(attempts=10, min_wait=0.02, max_wait=2)
    stage.client.configuration.retries = stage.policy
    for client in (stage.client.rest_client, stage.client.store_client):
        client.timing = Timing(random=lambda: 1.0)

    def restart() -> None:
        thread = threading.Thread(target=stage.bench.sandbox.restart)
        stage.threads.append(thread)
        thread.start()
        raise Reset

    stage.on_step(restart)


def _token_expired(stage: Stage) -> None:
    request = StsAuthRequest(code="c", state="s", redirect_uri="r", ttl_seconds=60)
    token = ExperimentalApi(stage.bench.client).sts_login(request).token
    configuration = stage.client.configuration
    configuration.username = configuration.password = None
    configuration.access_token = token
    stage.on_step(lambda: stage.bench.sandbox.clock.advance(61))


FAULTS: dict[str, Callable[[Stage], None]] = {
    "reset before the body": sandbox_fault("reset_before"),
    "reset during the body": sandbox_fault("reset_during", at=8),
    "reset after the body": sandbox_fault("reset_after"),
    "lost answer": sandbox_fault("lost_answer"),
    "truncated answer": sandbox_fault("truncate"),
    "stall": _stall,
    "400": sandbox_fault("status", status=400),
    "400 ExpiredToken": sandbox_fault("expired_token"),
    "403 expired": sandbox_fault("expired"),
    "403 other": _forbidden,
    "404 NoSuchUpload": _gone,
    "408": sandbox_fault("status", status=408),
    "429": sandbox_fault("status", status=429),
    "500": sandbox_fault("status", status=500),
    "503 SlowDown": sandbox_fault("status", status=503),
    "wrong ETag": sandbox_fault("wrong_etag"),
    "missing ETag": sandbox_fault("missing_etag"),
    "opaque ETag": sandbox_fault("opaque_etag"),
    "corrupted body": sandbox_fault("corrupt"),
    "DNS": _no_such_name,
    "connection refused": _refused,
    "disk read error": _read_error,
    "source truncated": _truncated,
    "source grown": _grown,
    "no space for the journal": _no_space,
    "server restart": _restart,
    "token expired": _token_expired,
}


class Case:
    """One upload of the matrix. Its text is the test's id."""

    def __init__(self, fault: str, step: str, frequency: str, method: int, result: str) -> None:
        self.fault = fault
        self.step = step
        self.frequency = frequency
        self.method = method
        self.result = result

    def __str__(self) -> str:
        method = METHODS[self.method]
        return f"{self.fault} at {self.step}, {self.frequency}, {method}: {self.result}"


def cases() -> Iterator[Case]:
    for fault, row in CELLS.items():
        for step, cell in zip(STEPS, row, strict=True):
            for frequency, results in zip(("once", "always"), cell.split("/") if cell else ()):
                for method, result in enumerate(results):
                    if result != "-":
                        yield Case(fault, step, frequency, method, result)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Provide one bench for all cells. Each cell has its own path."""
    with (
        pytest.MonkeyPatch.context() as patch,
        Sandbox(external_principals=True) as sandbox,
        bench_of(sandbox, tmp_path_factory.mktemp("matrix")) as bench,
    ):
        patch.setattr(blocks, "MIN_PART", PART)
        yield bench


@pytest.fixture
def make_stage(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Callable[[Case], Stage]]:
    with ApiClient(bench.sandbox.configuration()) as client:
        client.configuration.retries = NO_WAIT
        client.configuration.verify_ssl = False

        def make(case: Case) -> Stage:
            times = ALWAYS if case.frequency == "always" else 1
            path = re.sub(r"\W+", "-", str(case))
            return Stage(bench, monkeypatch, case.step, case.method, times, client, path, tmp_path)

        bench.sandbox.requests.clear()
        yield make
        bench.sandbox.faults.clear()
        for upload in bench.sandbox.blockstore.uploads().values():
            bench.sandbox.blockstore.abort(upload.key, upload.upload_id)


@pytest.mark.parametrize("case", list(cases()), ids=str)
def test_fault_gives_result(make_stage: Callable[[Case], Stage], bench: Bench, case: Case) -> None:
    stage = make_stage(case)
    stage.source.write_bytes(content(stage.size))
    before = set(bench.sandbox.blockstore.objects())
    with stage.patch.context() as patch:
        stage.patch = patch
        PREPARATIONS.get(case.step, lambda stage: None)(stage)
        FAULTS[case.fault](stage)
        result = _run(stage)
    for thread in stage.threads:
        thread.join()
    assert_consumed(stage)
    bench.sandbox.faults.clear()
    for undo in stage.undo:
        undo()
    CHECKS[case.result](stage, *result)
    if not stage.single_put:
        # An object that is not at the path does not exist in the blockstore.
        assert len(set(bench.sandbox.blockstore.objects()) - before) == (case.result != "E")


def _run(stage: Stage) -> tuple[Any, int]:
    """Return the object's stats or the error, and the sum of the progress callback's arguments."""
    counts: list[int] = []

    def progress(count: int) -> None:
        counts.append(count)
        if stage.step == "abort" and len(counts) == 1:
            stage.change_source()

    try:
        return stage.upload(stage.client, progress), sum(counts)
    except (ApiException, OSError) as error:
        return error, sum(counts)


def assert_consumed(stage: Stage) -> None:
    """Check that the fault happened: as often as requested, or at least once for `ALWAYS`."""
    for name, remaining in stage.pending.items():
        assert remaining == 0 or (stage.times == ALWAYS and remaining < ALWAYS), name
    for fault in stage.bench.sandbox.faults.pending:
        assert stage.times == ALWAYS, fault
        assert fault.times < ALWAYS, fault
        assert not fault.after, fault


# Results


def assert_success(stage: Stage, stats: Any, sent: int | None = None) -> None:
    """Check that the object has the file's bytes, without a pending upload or a journal."""
    if isinstance(stats, BaseException):
        raise stats
    assert stats.size_bytes == stage.size
    assert sent in (None, stage.size)
    stage.bench.assert_whole(content(stage.size), stage.path)
    assert_no_journal(stage)


def assert_no_journal(stage: Stage) -> None:
    assert not stage.pending_uploads()
    assert not stage.journals.exists() or not list(stage.journals.iterdir())


def assert_clean_failure(stage: Stage, error: Any, sent: int) -> None:
    """Check that there is no object, no pending upload, and no journal."""
    assert isinstance(error, BaseException)
    if isinstance(error, TransferError):
        assert error.outcome == "aborted"
    stage.bench.assert_nothing_left(stage.path)
    assert_no_journal(stage)


def assert_resumable(stage: Stage, error: Any, sent: int) -> None:
    """Check that the same call resumes, and sends no part that the journal lists."""
    assert isinstance(error, TransferError)
    assert "resume=True" in str(error)
    (pending,) = stage.pending_uploads()
    assert pending.upload_id == error.upload_id
    ((_, *records),) = read_all(stage.journals, KIND)
    recorded = {record["part"] for record in records if "part" in record}
    assert len(recorded) == pending.parts
    stage.bench.sandbox.requests.clear()
    assert_success(stage, stage.upload(stage.bench.client))
    if stage.step != "abort":  # a changed source is sent again completely
        assert not recorded & sent_parts(stage.bench)


def sent_parts(bench: Bench) -> set[int]:
    """Return the numbers of the parts that the store received."""
    queries = [r.query for r in bench.sandbox.requests if r.operation == PUT_PART]
    return {int(dict(parse_qsl(query))["partNumber"]) for query in queries}


def assert_settled(stage: Stage, error: Any, sent: int) -> None:
    """Check that the call that the error names settles the upload."""
    bench, text = stage.bench, str(error)
    if stage.step == "create":
        assert "AbortIncompleteMultipartUpload" in text
        assert not any(upload.parts for upload in bench.sandbox.blockstore.uploads().values())
        assert bench.stat(stage.path) is None
        assert_no_journal(stage)
        assert_retry_succeeds(stage)
        return
    assert isinstance(error, TransferError)
    assert error.physical_address is not None
    assert error.physical_address in text
    if error.outcome == "abort failed":
        assert error.upload_id is not None
        assert error.upload_id in text
        ExperimentalApi(bench.client).abort_presign_multipart_upload(
            "repo", "main", error.upload_id, stage.path,
            abort_presign_multipart_upload=AbortPresignMultipartUpload(
                physical_address=error.physical_address
            ),
        )  # fmt: skip
        bench.assert_nothing_left(stage.path)
        assert_retry_succeeds(stage)
        return
    assert error.outcome in ("unknown", "not linked")
    stats = bench.stat(stage.path)
    if stats is None or stats.physical_address != error.physical_address:
        _complete_or_link(stage, error, text)
    bench.assert_whole(content(stage.size), stage.path)


def assert_retry_succeeds(stage: Stage) -> None:
    """Check that the same upload succeeds afterwards."""
    known = set(stage.bench.sandbox.blockstore.uploads())
    stage.source.write_bytes(content(stage.size))
    assert stage.upload(stage.bench.client).size_bytes == stage.size
    assert stage.bench.stored_bytes(stage.path) == content(stage.size)
    assert set(stage.bench.sandbox.blockstore.uploads()) == known


def _complete_or_link(stage: Stage, error: TransferError, text: str) -> None:
    """Complete the upload, or link the assembled object."""
    assert error.physical_address is not None
    upload = stage.bench.sandbox.blockstore.uploads().get(error.upload_id or "")
    if upload is None:
        assert "link_physical_address" in text
        StagingApi(stage.bench.client).link_physical_address(
            "repo",
            "main",
            stage.path,
            StagingMetadata(
                staging=StagingLocation(physical_address=error.physical_address),
                checksum="checksum",
                size_bytes=stage.size,
            ),
        )
        return
    assert "complete_presign_multipart_upload" in text
    ExperimentalApi(stage.bench.client).complete_presign_multipart_upload(
        "repo",
        "main",
        upload.upload_id,
        stage.path,
        complete_presign_multipart_upload=CompletePresignMultipartUpload(
            physical_address=error.physical_address,
            parts=[
                UploadPart(part_number=number, etag=part.etag)
                for number, part in sorted(upload.parts.items())
            ],
        ),
    )


CHECKS: dict[str, Callable[..., None]] = {
    "W": assert_success,
    "E": assert_clean_failure,
    "R": assert_resumable,
    "U": assert_settled,
}


# Matrix


def test_matrix_covers_each_fault_at_each_step() -> None:
    assert CELLS.keys() == FAULTS.keys()
    for fault, row in CELLS.items():
        assert len(row) == len(STEPS)
        for step, cell in zip(STEPS, row):
            assert bool(cell) != ((fault, step) in IMPOSSIBLE), (fault, step)
            assert re.fullmatch("|[WERU-]{3}/[WERU-]{3}", cell), (fault, step)
            for method, operation in zip((0, 2), STEPS[step]):
                if operation is None:
                    assert cell[method : method + 1] + cell[method + 4 : method + 5] in ("", "--")
    assert len(CELLS) * len(STEPS) == sum(map(bool, sum(CELLS.values(), ()))) + len(IMPOSSIBLE)


def page() -> str:
    """Return the matrix as the guide shows it."""
    reasons = list(dict.fromkeys(IMPOSSIBLE.values()))
    lines = ["| | " + " | ".join(STEPS) + " |", "|---" * (len(STEPS) + 1) + "|"]
    for fault, row in CELLS.items():
        row_cells = [
            _shown(cell) if cell else f"{reasons.index(IMPOSSIBLE[fault, step]) + 1})"
            for step, cell in zip(STEPS, row)
        ]
        lines.append(f"| {fault} | " + " | ".join(row_cells) + " |")
    notes = [f"{number}. {reason}." for number, reason in
             enumerate(reasons, 1)]  # fmt: skip
    count = sum(map(bool, sum(CELLS.values(), ())))
    total = (
        f"{len(CELLS)} faults at {len(STEPS)} steps are {len(CELLS) * len(STEPS)} cells: {count} "
        f"occur, in {len(list(cases()))} uploads, and {len(IMPOSSIBLE)} cannot:"
    )
    return "\n".join([*lines, "", total, "", *notes, ""])


def _shown(cell: str) -> str:
    """Return the results after one fault and, if they differ, after faults in every attempt."""
    shown = [result.replace("-", "") for result in cell.split("/")]
    shown = [end[0] if len(set(end)) == 1 else end for end in shown if end]
    return " → ".join(dict.fromkeys(shown))


def test_guide_shows_matrix() -> None:
    """A failure prints the expected text."""
    guide = (ROOT / "docs/guides/guarantees.md").read_text("utf-8")
    assert page() in guide, page()
