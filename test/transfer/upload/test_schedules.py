"""Random schedules of faults: whatever happens, the object is whole, or not there, or the error
says what is unknown; and where there is a journal, the same call resumes without faults.

The schedules are drawn by Hypothesis from a fixed seed: of a file, of a file with a journal, and of
a stream that can be read once. Parts are of 64 KiB here and windows of 16 KiB, for which the limits
of the plan, of the settings and of the sandbox are lowered: faults at 5 MiB are in
`test_part_faults.py`. Servers and stores that stall for longer than the client waits, which takes
time, are in `test_matrix.py`.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.bench import Bench, bench_of, content, make_transfer

from lakefs_client import RetryPolicy
from lakefs_client.exceptions import ApiException, TransferError
from lakefs_client.model.object_stats import ObjectStats
from lakefs_client.sandbox import Sandbox, blocks
from lakefs_client.transfer.journal import read_all
from lakefs_client.transfer.plan import StoreLimits

KIB = 1 << 10
PART = 64 * KIB
LIMITS = StoreLimits(min_part=PART, window=16 * KIB)

CREATE = "create_presign_multipart_upload"
COMPLETE = "complete_presign_multipart_upload"
ABORT = "abort_presign_multipart_upload"
STORE = ("store_put_part", "store_put_object")
OPERATIONS = (
    CREATE,
    COMPLETE,
    ABORT,
    "upload_part",
    "stat_object",
    "get_physical_address",
    "link_physical_address",
    "store_get_object",
    "delete_object",
    "stage_object",
    "get_repository",
    "get_branch_protection_rules",
    *STORE,
    # What the others depend on is drawn more often.
    *STORE * 3,
    COMPLETE,
    COMPLETE,
    ABORT,
)
STATUSES = (400, 401, 403, 404, 408, 409, 412, 420, 429, 500, 501, 502, 503, 504)
REFUSALS = ("NoSuchUpload", "InvalidPart", "EntityTooSmall")
WAYS = ("file", "journal", "stream")
SIZES = (0, 9, PART - 1, PART, 2 * PART + 9, 4 * PART)


@dataclass(frozen=True)
class Order:
    """A fault on order."""

    operation: str
    kind: str
    options: dict[str, Any]


@st.composite
def orders(draw: st.DrawFn) -> Order:
    operation = draw(st.sampled_from(OPERATIONS))
    kinds = ["status", "status_late", "reset_before", "reset_during", "reset_after"]
    kinds += ["lost_answer", "truncate", "stall"]
    if operation != CREATE:
        kinds += ["late_error"]  # of an upload that nobody knows of: see `test_complete.py`
    if operation in STORE:
        # A URL that expires and bytes that are damaged are what stores do most.
        kinds += ["corrupt", "wrong_etag", "missing_etag", "opaque_etag"]
        kinds += ["expired", "expired", "expired_token"]
    kind = draw(st.sampled_from(kinds))
    options: dict[str, Any] = {
        "times": draw(st.integers(1, 3)),
        "after": draw(st.sampled_from([0, 0, 0, 1, 2])),
    }
    if kind == "reset_during":
        options["at"] = draw(st.sampled_from([0, 1, 8, PART - 1]))
    if kind == "stall":
        options["seconds"] = 0.01  # others overtake it
    if kind in ("status", "status_late", "late_error"):
        options["status"] = draw(st.sampled_from(STATUSES))
        if operation == COMPLETE:
            # By these a server says that nothing was assembled; after the fact it would be a lie.
            late = kind == "late_error"
            if late and options["status"] == 400:
                options["status"] = 500
            code = draw(st.sampled_from([None, "NoSuchUpload"] if late else [None, *REFUSALS]))
            if options["status"] == 500 and code:
                options["body"] = {"message": f"operation error S3: api error {code}: x"}
        if operation in STORE and options["status"] == 400:
            options["code"] = draw(st.sampled_from(["RequestTimeout", "InvalidRequest"]))
    if operation == "store_put_part":
        options["part_number"] = draw(st.sampled_from([None, 1, 2, 3]))
    return Order(operation, kind, options)


@st.composite
def schedules(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "orders": draw(st.lists(orders(), max_size=7)),
        "size": draw(st.sampled_from(SIZES)),
        "before": draw(st.booleans()),
        "way": draw(st.sampled_from(WAYS)),
        "settings": {
            "max_concurrency": draw(st.integers(1, 3)),
            "part_size": PART,
            "multipart_threshold": draw(st.sampled_from([None, None, 0, 5 * PART])),
            "verify": draw(st.sampled_from([True, True, False])),
            "retry": RetryPolicy(attempts=draw(st.integers(1, 4)), min_wait=0, max_wait=0),
        },
    }


class Stream:
    """Bytes that can be read once, and come as they like."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int) -> bytes:
        return self._data.read(max(1, size // 3))


class Named(logging.Handler):
    """Keeps what is warned of: which uploads may be left."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += record.getMessage() + "\n"


@dataclass
class Run:
    """One upload: where to, of what and how, and what there is of it in the end."""

    path: str
    size: int
    way: str
    settings: dict[str, Any]
    stats: ObjectStats | None = None
    failure: ApiException | None = None
    told: str = ""
    denied: bool = False

    @property
    def outcome(self) -> str:
        if isinstance(self.failure, TransferError):
            return self.failure.outcome
        return "done" if self.failure is None else "not begun"


class Runner:
    """Runs schedules on one sandbox, each at a path of its own."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._sources = {size: bench.file(size, f"source-{size}") for size in SIZES}
        self._count = 0
        self.outcomes: dict[str, int] = {}

    def run(
        self, orders: list[Order], size: int, before: bool, way: str, settings: dict[str, Any]
    ) -> None:
        """Upload under these faults and check what is left behind."""
        bench = self._bench
        self._count += 1
        path = f"run-{self._count}"
        former = bench.upload(9, path, user_metadata={"run": "0"}) if before else None
        run = Run(path, size, way, {**settings, "journal_dir": bench.folder / path})
        # As a server that says 404 of an object that is there: then that is all that is known.
        run.denied = any(
            (order.operation, order.options.get("status")) == ("stat_object", 404)
            for order in orders
        )
        for order in orders:
            bench.sandbox.faults.add(order.operation, order.kind, **order.options)  # type: ignore[arg-type]
        try:
            self._upload(run)
        except ApiException as error:
            run.failure = error
        bench.sandbox.faults.clear()
        self._check(run, former)
        name = f"{way}: {run.outcome}"
        self.outcomes[name] = self.outcomes.get(name, 0) + 1
        if way == "journal":
            self._go_on(run)
        for upload in bench.sandbox.blockstore.uploads().values():
            bench.sandbox.blockstore.abort(upload.key, upload.upload_id)

    def _upload(self, run: Run) -> None:
        transfer = make_transfer(self._bench.client, LIMITS, **run.settings)
        target, counts, named = ("repo", "main", run.path), list[int](), Named()
        logging.getLogger("lakefs_client.transfer").addHandler(named)
        try:
            if run.way == "stream":
                stream = Stream(content(run.size))
                run.stats = transfer.upload_fileobj(stream, *target, progress=counts.append)
            else:
                source, resume = self._sources[run.size], run.way == "journal"
                run.stats = transfer.upload_file(
                    source, *target, progress=counts.append, resume=resume
                )
        finally:
            logging.getLogger("lakefs_client.transfer").removeHandler(named)
            run.told += named.text
        assert sum(counts) == run.size

    def _go_on(self, run: Run) -> None:
        """If there is a journal, the same call succeeds without faults."""
        folder: Path = run.settings["journal_dir"]
        journals = list(read_all(folder, "upload"))
        outcome = run.outcome
        if outcome in ("done", "aborted", "mismatch", "not begun"):
            assert not folder.exists() or not list(folder.iterdir())
            return
        if not journals:  # it went up in one PUT
            assert outcome in ("not linked", "unknown")
            return
        (_, *records), *others = journals
        assert not others
        assert "resume=True" in str(run.failure)
        arrived = {record["part"] for record in records if "part" in record}
        self._bench.sandbox.requests.clear()
        run.failure = None
        self._upload(run)
        assert not list(folder.iterdir())
        self._check(run, None)
        if outcome != "abort failed":  # where it begins anew
            queries = [
                r.query for r in self._bench.sandbox.requests if r.operation == "store_put_part"
            ]
            assert not arrived & {int(dict(parse_qsl(query))["partNumber"]) for query in queries}
        name = f"{outcome}, then done"
        self.outcomes[name] = self.outcomes.get(name, 0) + 1

    def _check(self, run: Run, former: ObjectStats | None) -> None:
        bench, failure, outcome = self._bench, run.failure, run.outcome
        pending = {
            upload_id: upload
            for upload_id, upload in bench.sandbox.blockstore.uploads().items()
            if upload_id not in run.told
        }
        found = bench.stat(run.path)
        if run.stats is not None:
            assert not pending
            assert found is not None
            self._assert_whole(found, run)
            return
        assert failure is not None
        standing = found is not None and not (
            former is not None
            and found.physical_address.endswith(former.physical_address.rpartition("/")[2])
        )
        if outcome == "not linked" and standing and run.denied:
            assert found is not None
            self._assert_whole(found, run)
        elif outcome in ("aborted", "not begun", "not linked", "abort failed", "resumable"):
            # The former object is still there.
            assert not standing
            assert (found is not None) == (former is not None)
        if outcome == "not begun" and "AbortIncompleteMultipartUpload" in str(failure):
            # Nobody knows its id, and it has no parts.
            assert not any(upload.parts for upload in pending.values())
            return
        if outcome in ("aborted", "not begun"):
            assert not pending
            return
        assert isinstance(failure, TransferError)
        assert failure.physical_address is not None
        assert failure.physical_address in str(failure)
        assert set(pending) <= {failure.upload_id}
        if outcome in ("abort failed", "resumable"):
            assert failure.upload_id is not None
            assert failure.upload_id in str(failure)
        if outcome == "resumable":
            assert set(pending) == {failure.upload_id}
        if outcome == "unknown" and standing and "is linked now" not in str(failure):
            assert found is not None
            self._assert_whole(found, run)
        assert outcome in ("abort failed", "not linked", "resumable", "unknown")

    def _assert_whole(self, found: ObjectStats, run: Run) -> None:
        assert found.size_bytes == run.size
        held = self._bench.bytes_at(found.physical_address)
        assert len(held) == run.size
        if run.settings["verify"]:
            assert held == content(run.size)


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    folder = tmp_path_factory.mktemp("schedules")
    with (
        pytest.MonkeyPatch.context() as patch,
        Sandbox() as sandbox,
        bench_of(sandbox, folder) as bench,
    ):
        patch.setattr(blocks, "MIN_PART", PART)
        yield Runner(bench)


common = settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    # Shrinking runs for minutes where timing matters, and the schedules are short as they are.
    phases=[Phase.explicit, Phase.generate],
)


@settings(common, max_examples=300)
@given(schedule=schedules())
def test_schedules(runner: Runner, schedule: dict[str, Any]) -> None:
    runner.run(**schedule)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(common, max_examples=1500)
@given(schedule=schedules())
def test_many_schedules(runner: Runner, schedule: dict[str, Any]) -> None:
    runner.run(**schedule)


def test_the_schedules_lead_everywhere(runner: Runner) -> None:
    """Else they would prove little: this looks at what the schedules before it ended in."""
    if not runner.outcomes:
        pytest.skip("no schedules were run")
    print(runner.outcomes)
    assert runner.outcomes.keys() >= {
        *(f"{way}: {outcome}" for way in WAYS for outcome in ("done", "aborted")),
        "file: not begun", "file: unknown", "resumable, then done",
    }  # fmt: skip
