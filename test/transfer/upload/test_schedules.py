"""Random schedules of faults.

The object is complete or missing, or the error says what is unknown. If a journal remains, the same
call resumes without faults.

Hypothesis draws the schedules from a fixed seed: for a file, a file with a journal, and a stream.
Parts have 64 KiB and windows 16 KiB, for which the limits of the plan, the settings and the sandbox
are lowered. Faults with parts of 5 MiB are in `test_part_faults.py`, timeouts in `test_matrix.py`.
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
    # Operations that the others depend on are drawn more often.
    *STORE * 3,
    COMPLETE,
    COMPLETE,
    ABORT,
)
STATUSES = (400, 401, 403, 404, 408, 409, 412, 420, 429, 500, 501, 502, 503, 504)
CODES = ("NoSuchUpload", "InvalidPart", "EntityTooSmall")
MODES = ("file", "journal", "stream")
SIZES = (0, 9, PART - 1, PART, 2 * PART + 9, 4 * PART)


@dataclass(frozen=True)
class Fault:
    """A fault to inject."""

    operation: str
    kind: str
    options: dict[str, Any]


@st.composite
def faults(draw: st.DrawFn) -> Fault:
    operation = draw(st.sampled_from(OPERATIONS))
    kinds = ["status", "status_late", "reset_before", "reset_during", "reset_after"]
    kinds += ["lost_answer", "truncate", "stall"]
    if operation != CREATE:
        kinds += ["late_error"]  # an upload with an unknown id is in `test_complete.py`
    if operation in STORE:
        # Expired URLs and damaged bytes are the most frequent faults of stores.
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
        options["seconds"] = 0.01  # other requests overtake this one
    if kind in ("status", "status_late", "late_error"):
        options["status"] = draw(st.sampled_from(STATUSES))
        if operation == COMPLETE:
            # These codes say that nothing was assembled, which is false in a late error.
            late = kind == "late_error"
            if late and options["status"] == 400:
                options["status"] = 500
            code = draw(st.sampled_from([None, "NoSuchUpload"] if late else [None, *CODES]))
            if options["status"] == 500 and code:
                options["body"] = {"message": f"operation error S3: api error {code}: x"}
        if operation in STORE and options["status"] == 400:
            options["code"] = draw(st.sampled_from(["RequestTimeout", "InvalidRequest"]))
    if operation == "store_put_part":
        options["part_number"] = draw(st.sampled_from([None, 1, 2, 3]))
    return Fault(operation, kind, options)


@st.composite
def schedules(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "faults": draw(st.lists(faults(), max_size=7)),
        "size": draw(st.sampled_from(SIZES)),
        "before": draw(st.booleans()),
        "mode": draw(st.sampled_from(MODES)),
        "settings": {
            "max_concurrency": draw(st.integers(1, 3)),
            "part_size": PART,
            "multipart_threshold": draw(st.sampled_from([None, None, 0, 5 * PART])),
            "verify": draw(st.sampled_from([True, True, False])),
            "retry": RetryPolicy(attempts=draw(st.integers(1, 4)), min_wait=0, max_wait=0),
        },
    }


class Stream:
    """A stream whose reads return fewer bytes than requested."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int) -> bytes:
        return self._data.read(max(1, size // 3))


class WarningCollector(logging.Handler):
    """Collects warnings, which name the uploads that may remain."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += record.getMessage() + "\n"


@dataclass
class Run:
    """One upload and its result."""

    path: str
    size: int
    mode: str
    settings: dict[str, Any]
    stats: ObjectStats | None = None
    failure: ApiException | None = None
    warnings: str = ""
    stat_denies_object: bool = False

    @property
    def outcome(self) -> str:
        if isinstance(self.failure, TransferError):
            return self.failure.outcome
        return "done" if self.failure is None else "not begun"


class Runner:
    """Runs schedules on one sandbox, each at its own path."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._sources = {size: bench.file(size, f"source-{size}") for size in SIZES}
        self._count = 0
        self.outcomes: dict[str, int] = {}

    def run(
        self,
        faults: list[Fault],
        size: int,
        before: bool,
        mode: str,
        settings: dict[str, Any],
    ) -> None:
        """Upload with these faults, and check the result."""
        bench = self._bench
        self._count += 1
        path = f"run-{self._count}"
        previous = bench.upload(9, path, user_metadata={"run": "0"}) if before else None
        run = Run(path, size, mode, {**settings, "journal_dir": bench.folder / path})
        # A false 404 for an existing object hides that the upload succeeded.
        run.stat_denies_object = any(
            (fault.operation, fault.options.get("status")) == ("stat_object", 404)
            for fault in faults
        )
        for fault in faults:
            bench.sandbox.faults.add(fault.operation, fault.kind, **fault.options)  # type: ignore[arg-type]
        try:
            self._upload(run)
        except ApiException as error:
            run.failure = error
        bench.sandbox.faults.clear()
        self._check(run, previous)
        name = f"{mode}: {run.outcome}"
        self.outcomes[name] = self.outcomes.get(name, 0) + 1
        if mode == "journal":
            self._resume(run)
        for upload in bench.sandbox.blockstore.uploads().values():
            bench.sandbox.blockstore.abort(upload.key, upload.upload_id)

    def _upload(self, run: Run) -> None:
        transfer = make_transfer(self._bench.client, LIMITS, **run.settings)
        target, counts, warnings = ("repo", "main", run.path), list[int](), WarningCollector()
        logging.getLogger("lakefs_client.transfer").addHandler(warnings)
        try:
            if run.mode == "stream":
                stream = Stream(content(run.size))
                run.stats = transfer.upload_fileobj(stream, *target, progress=counts.append)
            else:
                source, resume = self._sources[run.size], run.mode == "journal"
                run.stats = transfer.upload_file(
                    source, *target, progress=counts.append, resume=resume
                )
        finally:
            logging.getLogger("lakefs_client.transfer").removeHandler(warnings)
            run.warnings += warnings.text
        assert sum(counts) == run.size

    def _resume(self, run: Run) -> None:
        """Check that the same call succeeds without faults, if there is a journal."""
        folder: Path = run.settings["journal_dir"]
        journals = list(read_all(folder, "upload"))
        outcome = run.outcome
        if outcome in ("done", "aborted", "mismatch", "not begun"):
            assert not folder.exists() or not list(folder.iterdir())
            return
        if not journals:  # an upload in one PUT
            assert outcome in ("not linked", "unknown")
            return
        (_, *records), *others = journals
        assert not others
        assert "resume=True" in str(run.failure)
        recorded = {record["part"] for record in records if "part" in record}
        self._bench.sandbox.requests.clear()
        run.failure = None
        self._upload(run)
        assert not list(folder.iterdir())
        self._check(run, None)
        if outcome != "abort failed":  # which starts a new upload
            queries = [
                r.query for r in self._bench.sandbox.requests if r.operation == "store_put_part"
            ]
            assert not recorded & {int(dict(parse_qsl(query))["partNumber"]) for query in queries}
        name = f"{outcome}, then done"
        self.outcomes[name] = self.outcomes.get(name, 0) + 1

    def _check(self, run: Run, previous: ObjectStats | None) -> None:
        bench, failure, outcome = self._bench, run.failure, run.outcome
        pending = {
            upload_id: upload
            for upload_id, upload in bench.sandbox.blockstore.uploads().items()
            if upload_id not in run.warnings
        }
        found = bench.stat(run.path)
        if run.stats is not None:
            assert not pending
            assert found is not None
            self._assert_whole(found, run)
            return
        assert failure is not None
        is_new = found is not None and not (
            previous is not None
            and found.physical_address.endswith(previous.physical_address.rpartition("/")[2])
        )
        if outcome == "not linked" and is_new and run.stat_denies_object:
            assert found is not None
            self._assert_whole(found, run)
        elif outcome in ("aborted", "not begun", "not linked", "abort failed", "resumable"):
            # The previous object remains.
            assert not is_new
            assert (found is not None) == (previous is not None)
        if outcome == "not begun" and "AbortIncompleteMultipartUpload" in str(failure):
            # The upload has an unknown id, and no parts.
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
        if outcome == "unknown" and is_new and "is linked now" not in str(failure):
            assert found is not None
            self._assert_whole(found, run)
        assert outcome in ("abort failed", "not linked", "resumable", "unknown")

    def _assert_whole(self, found: ObjectStats, run: Run) -> None:
        assert found.size_bytes == run.size
        stored = self._bench.bytes_at(found.physical_address)
        assert len(stored) == run.size
        if run.settings["verify"]:
            assert stored == content(run.size)


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
    # Shrinking takes minutes if timing matters, and the schedules are short anyway.
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


def test_schedules_reach_every_outcome(runner: Runner) -> None:
    """Check the outcomes of the schedules in the tests above."""
    if not runner.outcomes:
        pytest.skip("no schedule has run")
    print(runner.outcomes)
    assert runner.outcomes.keys() >= {
        *(f"{mode}: {outcome}" for mode in MODES for outcome in ("done", "aborted")),
        "file: not begun", "file: unknown", "resumable, then done",
    }  # fmt: skip
