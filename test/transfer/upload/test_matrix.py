"""The fault matrix: every fault at every step of an upload, and the end of the upload.

A cell has the end if the fault happens once, and if it happens at every attempt at the step: for
an upload in parts, in parts with a journal, and in one PUT.

    W   the object exists, whole and verified
    E   an error; no object, no pending upload, no journal
    R   an error; with the journal, the same call resumes and ends in W
    U   an error that names what is unknown or left, and the call that settles it; the call works
    -   the upload has no such step, or the fault cannot happen at every attempt

Each test compares the blockstore's bytes. `IMPOSSIBLE` has the cells that cannot occur, with the
reason. Parts have 64 KiB here, as in `test_schedules.py`.
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
"""Number of faults that covers every attempt at a step."""

CREATE = "create_presign_multipart_upload"
COMPLETE = "complete_presign_multipart_upload"
ABORT = "abort_presign_multipart_upload"
STAGE = "get_physical_address"
LINK = "link_physical_address"
STAT = "stat_object"
PUT_PART = "store_put_part"
PUT = "store_put_object"

WAYS = ("parts", "parts with a journal", "one PUT")

STEPS: dict[str, tuple[str | None, str | None]] = {
    "create": (CREATE, STAGE),
    "part": (PUT_PART, PUT),
    "renewal": ("upload_part", STAGE),
    "complete": (COMPLETE, None),
    "abort": (ABORT, None),
    "stat": (STAT, STAT),
    "link": (None, LINK),
}
"""The requests of a step: in an upload in parts, and in one PUT.

`stat` comes after a complete or a link that failed although it succeeded.
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

_NO_BODY = "The request has no body: a reset is one before the body"
_OF_THE_STORE = "The store's word about a presigned URL; lakeFS's own failures have other rows"
_OF_A_PART = "No bytes of the object pass, and no ETag comes back"
_NOTHING_READ = "No byte of the source is read at this step"
_NOTHING_WRITTEN = "Nothing is written into the journal at this step"
_NO_UPLOAD = "The request names no upload"
_REST = ("create", "renewal", "complete", "abort", "stat", "link")

IMPOSSIBLE: dict[tuple[str, str], str] = {
    **{(f"reset {when} the body", step): _NO_BODY
       for when in ("during", "after") for step in ("create", "stat")},
    **{(fault, step): _OF_THE_STORE for fault in ("400 ExpiredToken", "403 expired")
       for step in _REST},
    **{("404 NoSuchUpload", step): _NO_UPLOAD for step in ("create", "stat", "link")},
    ("404 NoSuchUpload", "renewal"):
        "lakeFS signs URLs of uploads that are gone: the part meets the 404",
    ("404 NoSuchUpload", "abort"): "lakeFS answers 204 where there is nothing to abort",
    **{(fault, step): _OF_A_PART
       for fault in ("wrong ETag", "missing ETag", "opaque ETag", "corrupted body")
       for step in _REST},
    **{("disk read error", step): _NOTHING_READ for step in _REST},
    **{("no space for the journal", step): _NOTHING_WRITTEN
       for step in ("renewal", "abort", "stat", "link")},
    ("token expired", "part"): "Stores know no tokens of lakeFS",
}  # fmt: skip


@dataclass
class Stage:
    """One upload, and what is to happen to it.

    Attributes:
        bench: The sandbox, and a client of it to which nothing happens.
        patch: Undone after the upload.
        step: Where the fault happens.
        way: Index into `WAYS`.
        often: How often the fault happens.
        client: Who uploads.
        path: Where the object is to be.
        journals: The folder of journals.
        pending: Of what was arranged apart from the sandbox's faults: how often it is still due.
    """

    bench: Bench
    patch: pytest.MonkeyPatch
    step: str
    way: int
    often: int
    client: ApiClient
    path: str
    folder: Path
    pending: dict[str, int] = field(default_factory=dict)
    threads: list[threading.Thread] = field(default_factory=list)
    undo: list[Callable[[], object]] = field(default_factory=list)
    policy: RetryPolicy = NO_WAIT

    @property
    def one(self) -> bool:
        return WAYS[self.way] == "one PUT"

    @property
    def journal(self) -> bool:
        return WAYS[self.way] == "parts with a journal"

    @property
    def size(self) -> int:
        return PART - 1 if self.one else SIZE

    @property
    def source(self) -> Path:
        return self.folder / "source.dat"

    @property
    def journals(self) -> Path:
        return self.folder / "journals"

    @property
    def operation(self) -> str:
        operation = STEPS[self.step][self.one]
        assert operation is not None
        return operation

    def order(self, kind: FaultKind, operation: str | None = None, **details: Any) -> None:
        """Order a fault of the sandbox, at this step unless another operation is named."""
        operation = operation or self.operation
        if operation == PUT_PART:
            details["part_number"] = 2
        if (self.step, operation) == ("renewal", STAGE):
            details["after"] = 1
        self.bench.sandbox.faults.add(operation, kind, **{"times": self.often, **details})

    def when(self, operation: str, action: Callable[[], object], skip: int = 0) -> None:
        """Do something as soon as a request has arrived at the sandbox, once."""
        faults = self.bench.sandbox.faults
        take, lock, left = faults.take, threading.Lock(), [skip]
        self.pending[operation] = 1

        def taken(arrived: str, part_number: int | None = None) -> Any:
            with lock:
                due = arrived == operation and bool(self.pending[operation])
                if due and left[0]:
                    left[0] -= 1
                    due = False
                if due:
                    self.pending[operation] -= 1
            if due:
                action()
            return take(arrived, part_number)

        self.patch.setattr(faults, "take", taken)

    def at_step(self, action: Callable[[], object]) -> None:
        """Do something as soon as the request of this step has arrived, once."""
        self.when(self.operation, action, skip=(self.step, self.one) == ("renewal", True))

    def lead(self, origin: str, *, down: bool) -> None:
        """Redirect requests of this step to another scheme, host and port; where `down` is true
        and it happens as often as it is tried, all later ones to the same server as well."""
        self.pending["origin"] = self.often
        skip = [(self.step, self.one) == ("renewal", True)]
        servers: set[str] = set()
        lock = threading.Lock()
        for client in (self.client.rest_client, self.client.store_client):
            exchange = client.exchange

            def exchanged(
                request: Message, exchange: Callable[..., Any] = exchange, **options: Any
            ) -> Any:
                server, path = re.match(r"(\w+://[^/]+)(.*)", request.url).groups()  # type: ignore[union-attr]
                with lock:
                    due = server in servers
                    if self.pending["origin"] and _operation(request) == self.operation:
                        due = not skip[0]
                        skip[0] = False
                        self.pending["origin"] -= due
                        if due and down and self.often == ALWAYS:
                            servers.add(server)
                return exchange(request._replace(url=origin + path) if due else request, **options)

            self.patch.setattr(client, "exchange", exchanged)

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
        """As another program does that writes to it; what it writes is the same."""
        status = self.source.stat()
        os.utime(self.source, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def _operation(request: Message) -> str:
    """Which operation a request of the client's is."""
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


# What leads to each step, where an upload does not come to it by itself.


def _to_renewal(stage: Stage) -> None:
    # A failed renewal counts as a failure of its part, which is sent to the old URL again.
    times = ALWAYS if stage.often == ALWAYS else 1
    stage.order("expired", PUT if stage.one else PUT_PART, times=times)


def _to_stat(stage: Stage) -> None:
    stage.order("late_error", LINK if stage.one else COMPLETE, status=500, times=1)


LEADING = {"renewal": _to_renewal, "stat": _to_stat}


# The faults.


def ordered(kind: FaultKind, **details: Any) -> Callable[[Stage], None]:
    return lambda stage: stage.order(kind, **details)


def _stall(stage: Stage) -> None:
    # Long enough for a busy machine to answer whatever does not stall.
    stage.client.configuration.read_timeout = 1
    stage.patch.setattr(destination, "ABORT_TIMEOUT", (10, 1))
    times = 1
    if stage.often == ALWAYS:
        stage.policy = stage.client.configuration.retries = RetryPolicy(attempts=1)
    stage.order("stall", seconds=600, times=times)


def _forbidden(stage: Stage) -> None:
    if stage.step != "complete":
        stage.order("status", status=403)
        return
    # lakeFS says so when the store has assembled the object. Only who may not ask for the rules
    # gets that far.
    protect = RepositoriesApi(stage.bench.client).set_branch_protection_rules
    protect("repo", [BranchProtectionRule(pattern="main")])
    stage.undo.append(lambda: protect("repo", []))
    stage.order("status", "get_branch_protection_rules", status=403, times=1)


def _gone(stage: Stage) -> None:
    if stage.step == "part":
        stage.order("status", status=404, code="NoSuchUpload")
    else:
        message = "operation error S3: CompleteMultipartUpload, api error NoSuchUpload: x"
        stage.order("status", status=500, body={"message": message})


def _no_such_name(stage: Stage) -> None:
    stage.lead("http://nonexistent.invalid:80", down=False)


def _refused(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    stage.lead(f"http://127.0.0.1:{port}", down=True)


def _read_error(stage: Stage) -> None:
    preadv = os.preadv
    stage.pending["preadv"] = 1

    def failing(descriptor: int, buffers: Any, offset: int, *flags: int) -> int:
        if offset >= (0 if stage.one else PART):
            stage.pending["preadv"] = 0
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return preadv(descriptor, buffers, offset, *flags)

    stage.patch.setattr(os, "preadv", failing)


def _truncated(stage: Stage) -> None:
    stage.at_step(lambda: os.truncate(stage.source, 9))


def _grown(stage: Stage) -> None:
    def grow() -> None:
        with stage.source.open("ab") as file:
            file.write(b"more")

    stage.at_step(grow)


def _no_space(stage: Stage) -> None:
    # The records are written one by one: the first, the parts, that it is being completed.
    first = {"create": 1, "part": 2, "complete": 2 + PARTS}[stage.step]
    fsync, lock, count = os.fsync, threading.Lock(), [0]
    stage.pending["fsync"] = 1

    def failing(descriptor: int) -> None:
        status = os.fstat(descriptor)
        ours = stat.S_ISREG(status.st_mode) and any(
            os.path.samestat(status, path.stat()) for path in stage.journals.iterdir()
        )
        with lock:
            count[0] += ours
            if ours and count[0] >= first:
                stage.pending["fsync"] = 0
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    stage.patch.setattr(os, "fsync", failing)


def _restart(stage: Stage) -> None:
    # How long that takes nobody knows: these waits last for 10 s, were they needed.
    stage.policy = RetryPolicy(attempts=10, min_wait=0.02, max_wait=2)
    stage.client.configuration.retries = stage.policy
    for client in (stage.client.rest_client, stage.client.store_client):
        client.timing = Timing(random=lambda: 1.0)

    def restart() -> None:
        thread = threading.Thread(target=stage.bench.sandbox.restart)
        stage.threads.append(thread)
        thread.start()
        raise Reset

    stage.at_step(restart)


def _token_expired(stage: Stage) -> None:
    request = StsAuthRequest(code="c", state="s", redirect_uri="r", ttl_seconds=60)
    token = ExperimentalApi(stage.bench.client).sts_login(request).token
    configuration = stage.client.configuration
    configuration.username = configuration.password = None
    configuration.access_token = token
    stage.at_step(lambda: stage.bench.sandbox.clock.advance(61))


FAULTS: dict[str, Callable[[Stage], None]] = {
    "reset before the body": ordered("reset_before"),
    "reset during the body": ordered("reset_during", at=8),
    "reset after the body": ordered("reset_after"),
    "lost answer": ordered("lost_answer"),
    "truncated answer": ordered("truncate"),
    "stall": _stall,
    "400": ordered("status", status=400),
    "400 ExpiredToken": ordered("expired_token"),
    "403 expired": ordered("expired"),
    "403 other": _forbidden,
    "404 NoSuchUpload": _gone,
    "408": ordered("status", status=408),
    "429": ordered("status", status=429),
    "500": ordered("status", status=500),
    "503 SlowDown": ordered("status", status=503),
    "wrong ETag": ordered("wrong_etag"),
    "missing ETag": ordered("missing_etag"),
    "opaque ETag": ordered("opaque_etag"),
    "corrupted body": ordered("corrupt"),
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
    """One upload of the matrix, named for the test's id."""

    def __init__(self, fault: str, step: str, often: str, way: int, ending: str) -> None:
        self.fault, self.step, self.often, self.way, self.ending = fault, step, often, way, ending

    def __str__(self) -> str:
        return f"{self.fault} at {self.step}, {self.often}, {WAYS[self.way]}: {self.ending}"


def cases() -> Iterator[Case]:
    for fault, row in CELLS.items():
        for step, cell in zip(STEPS, row, strict=True):
            for often, endings in zip(("once", "always"), cell.split("/") if cell else ()):
                for way, ending in enumerate(endings):
                    if ending != "-":
                        yield Case(fault, step, often, way, ending)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One for all cells: each has a path of its own."""
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
            often = ALWAYS if case.often == "always" else 1
            path = re.sub(r"\W+", "-", str(case))
            return Stage(bench, monkeypatch, case.step, case.way, often, client, path, tmp_path)

        bench.sandbox.requests.clear()
        yield make
        bench.sandbox.faults.clear()
        for upload in bench.sandbox.blockstore.uploads().values():
            bench.sandbox.blockstore.abort(upload.key, upload.upload_id)


@pytest.mark.parametrize("case", list(cases()), ids=str)
def test_cell(make_stage: Callable[[Case], Stage], bench: Bench, case: Case) -> None:
    stage = make_stage(case)
    stage.source.write_bytes(content(stage.size))
    before = set(bench.sandbox.blockstore.objects())
    with stage.patch.context() as patch:
        stage.patch = patch
        LEADING.get(case.step, lambda stage: None)(stage)
        FAULTS[case.fault](stage)
        result = _run(stage)
    for thread in stage.threads:
        thread.join()
    assert_consumed(stage)
    bench.sandbox.faults.clear()
    for undo in stage.undo:
        undo()
    ENDINGS[case.ending](stage, *result)
    if not stage.one:
        # What is not at the path is nowhere.
        assert len(set(bench.sandbox.blockstore.objects()) - before) == (case.ending != "E")


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
    """Everything that was arranged has happened; what happens always has at least once."""
    assert all(
        left in (0, stage.often - 1) or left < stage.often for left in stage.pending.values()
    )
    for name, left in stage.pending.items():
        assert left == 0 or (stage.often == ALWAYS and left < ALWAYS), name
    for fault in stage.bench.sandbox.faults.pending:
        assert stage.often == ALWAYS, fault
        assert fault.times < ALWAYS, fault
        assert not fault.after, fault


# The endings.


def whole(stage: Stage, stats: Any, sent: int | None = None) -> None:
    """Check that the object is there, byte for byte, and nothing else."""
    if isinstance(stats, BaseException):
        raise stats
    assert stats.size_bytes == stage.size
    assert sent in (None, stage.size)
    stage.bench.assert_whole(content(stage.size), stage.path)
    assert_no_journal(stage)


def assert_no_journal(stage: Stage) -> None:
    assert not stage.pending_uploads()
    assert not stage.journals.exists() or not list(stage.journals.iterdir())


def nothing_left(stage: Stage, error: Any, sent: int) -> None:
    """There is no object, no pending upload, and no journal."""
    assert isinstance(error, BaseException)
    if isinstance(error, TransferError):
        assert error.outcome == "aborted"
    stage.bench.assert_nothing_left(stage.path)
    assert_no_journal(stage)


def resumable(stage: Stage, error: Any, sent: int) -> None:
    """Check that the same call resumes, and sends no part that the journal lists."""
    assert isinstance(error, TransferError)
    assert "resume=True" in str(error)
    (pending,) = stage.pending_uploads()
    assert pending.upload_id == error.upload_id
    ((_, *records),) = read_all(stage.journals, KIND)
    arrived = {record["part"] for record in records if "part" in record}
    assert len(arrived) == pending.parts
    stage.bench.sandbox.requests.clear()
    whole(stage, stage.upload(stage.bench.client))
    if stage.step != "abort":  # a changed source is sent as a whole
        assert not arrived & parts_sent(stage.bench)


def parts_sent(bench: Bench) -> set[int]:
    """Return the parts that the sandbox received."""
    queries = [r.query for r in bench.sandbox.requests if r.operation == PUT_PART]
    return {int(dict(parse_qsl(query))["partNumber"]) for query in queries}


def settled(stage: Stage, error: Any, sent: int) -> None:
    """Check that the call that the error names settles the upload."""
    bench, text = stage.bench, str(error)
    if stage.step == "create":
        assert "AbortIncompleteMultipartUpload" in text
        assert not any(upload.parts for upload in bench.sandbox.blockstore.uploads().values())
        assert bench.stat(stage.path) is None
        assert_no_journal(stage)
        whole_afterwards(stage)
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
        whole_afterwards(stage)
        return
    assert error.outcome in ("unknown", "not linked")
    there = bench.stat(stage.path)
    if there is None or there.physical_address != error.physical_address:
        _make_object(stage, error, text)
    bench.assert_whole(content(stage.size), stage.path)


def whole_afterwards(stage: Stage) -> None:
    """Check that the same upload succeeds afterwards."""
    known = set(stage.bench.sandbox.blockstore.uploads())
    stage.source.write_bytes(content(stage.size))
    assert stage.upload(stage.bench.client).size_bytes == stage.size
    assert stage.bench.stored_bytes(stage.path) == content(stage.size)
    assert set(stage.bench.sandbox.blockstore.uploads()) == known


def _make_object(stage: Stage, error: TransferError, text: str) -> None:
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


ENDINGS: dict[str, Callable[..., None]] = {
    "W": whole,
    "E": nothing_left,
    "R": resumable,
    "U": settled,
}


# The matrix itself.


def test_each_fault_meets_each_step() -> None:
    assert CELLS.keys() == FAULTS.keys()
    for fault, row in CELLS.items():
        assert len(row) == len(STEPS)
        for step, cell in zip(STEPS, row):
            assert bool(cell) != ((fault, step) in IMPOSSIBLE), (fault, step)
            assert re.fullmatch("|[WERU-]{3}/[WERU-]{3}", cell), (fault, step)
            for way, operation in zip((0, 2), STEPS[step]):
                if operation is None:
                    assert cell[way : way + 1] + cell[way + 4 : way + 5] in ("", "--")
    assert len(CELLS) * len(STEPS) == sum(map(bool, sum(CELLS.values(), ()))) + len(IMPOSSIBLE)


def page() -> str:
    """Return the matrix in the guide's form."""
    reasons = list(dict.fromkeys(IMPOSSIBLE.values()))
    lines = ["| | " + " | ".join(STEPS) + " |", "|---" * (len(STEPS) + 1) + "|"]
    for fault, row in CELLS.items():
        shown = [
            _shown(cell) if cell else f"{reasons.index(IMPOSSIBLE[fault, step]) + 1})"
            for step, cell in zip(STEPS, row)
        ]
        lines.append(f"| {fault} | " + " | ".join(shown) + " |")
    notes = [f"{number}. {reason}." for number, reason in
             enumerate(reasons, 1)]  # fmt: skip
    count = sum(map(bool, sum(CELLS.values(), ())))
    total = (
        f"{len(CELLS)} faults at {len(STEPS)} steps are {len(CELLS) * len(STEPS)} cells: {count} "
        f"occur, in {len(list(cases()))} uploads, and {len(IMPOSSIBLE)} cannot:"
    )
    return "\n".join([*lines, "", total, "", *notes, ""])


def _shown(cell: str) -> str:
    """Return the end after one fault, then after faults at every attempt, if it differs."""
    ends = [ending.replace("-", "") for ending in cell.split("/")]
    ends = [end[0] if len(set(end)) == 1 else end for end in ends if end]
    return " → ".join(dict.fromkeys(ends))


def test_guide_shows_the_matrix() -> None:
    """If this fails, pytest prints the page."""
    guide = (ROOT / "docs/guides/guarantees.md").read_text("utf-8")
    assert page() in guide, page()
