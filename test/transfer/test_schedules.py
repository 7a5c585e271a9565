"""Random schedules of faults: whatever happens, the object is whole, or not there, or the error
says what is unknown.

The schedules are drawn by Hypothesis from a fixed seed. Parts are of 64 KiB here and windows of
16 KiB, for which the limits of the plan, of the settings and of the sandbox are lowered: faults at
5 MiB are in `test_part_faults.py`. Three kinds of fault are left out: `stall` and `slow`, which
only take time (see there), and the loss of the answer to create, after which nobody knows the id
of an empty upload (see `test_complete.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lakefs_client import RetryPolicy
from lakefs_client.exceptions import ApiException, TransferError
from lakefs_client.model.object_stats import ObjectStats
from lakefs_client.sandbox import Sandbox, blocks
from lakefs_client.transfer import config, part, plan

from .conftest import Bench, bench_of, content

KIB = 1 << 10
PART = 64 * KIB

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
    *STORE,
    # What the others depend on is drawn more often.
    *STORE * 3,
    COMPLETE,
    COMPLETE,
    ABORT,
)
STATUSES = (400, 401, 403, 404, 408, 409, 412, 420, 429, 500, 501, 502, 503, 504)
REFUSALS = ("NoSuchUpload", "InvalidPart", "EntityTooSmall")
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
    if operation != CREATE:
        kinds += ["lost_answer", "late_error", "truncate"]
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
        "settings": {
            "max_concurrency": draw(st.integers(1, 3)),
            "part_size": PART,
            "multipart_threshold": draw(st.sampled_from([None, None, 0, 5 * PART])),
            "verify": draw(st.sampled_from([True, True, False])),
            "retry": RetryPolicy(attempts=draw(st.integers(1, 4)), min_wait=0, max_wait=0),
        },
    }


class Runner:
    """Runs schedules on one sandbox, each at a path of its own."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._sources = {size: bench.file(size, f"source-{size}") for size in SIZES}
        self._count = 0
        self.outcomes: dict[str, int] = {}

    def run(self, orders: list[Order], size: int, before: bool, settings: dict[str, Any]) -> None:
        """Upload under these faults and check what is left behind."""
        bench = self._bench
        self._count += 1
        path = f"run-{self._count}"
        former = bench.upload(9, path, user_metadata={"run": "0"}) if before else None
        addresses = [] if former is None else [former.physical_address]
        for order in orders:
            bench.sandbox.faults.add(order.operation, order.kind, **order.options)  # type: ignore[arg-type]
        failure: ApiException | None = None
        stats: ObjectStats | None = None
        counts: list[int] = []
        try:
            stats = bench.upload(self._sources[size], path, progress=counts.append, **settings)
            assert sum(counts) == size
        except ApiException as error:
            failure = error
        bench.sandbox.faults.clear()
        outcome = self._check(path, size, stats, failure, addresses, settings["verify"])
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        for upload in bench.sandbox.blockstore.uploads().values():
            bench.sandbox.blockstore.abort(upload.key, upload.upload_id)

    def _check(
        self,
        path: str,
        size: int,
        stats: ObjectStats | None,
        failure: ApiException | None,
        former: list[str],
        verified: bool,
    ) -> str:
        bench = self._bench
        pending = bench.sandbox.blockstore.uploads()
        found = bench.stat(path)
        if stats is not None:
            assert not pending
            assert found is not None
            self._assert_whole(found, size, verified)
            return "done"
        assert failure is not None
        outcome = failure.outcome if isinstance(failure, TransferError) else "not begun"
        standing = found is not None and not any(
            found.physical_address.endswith(address.rpartition("/")[2]) for address in former
        )
        if outcome in ("aborted", "not begun", "not linked", "abort failed"):
            # What stood there stands there still.
            assert not standing
            assert (found is not None) == bool(former)
        if outcome in ("aborted", "not begun"):
            assert not pending
            return outcome
        assert isinstance(failure, TransferError)
        assert failure.physical_address is not None
        assert failure.physical_address in str(failure)
        if outcome == "abort failed":
            assert set(pending) <= {failure.upload_id}
            assert failure.upload_id is not None
            assert failure.upload_id in str(failure)
            return outcome
        if outcome == "not linked":
            assert set(pending) <= {failure.upload_id}
            return outcome
        assert outcome == "unknown"
        assert set(pending) <= {failure.upload_id}
        if standing and "is linked now" not in str(failure):
            assert found is not None
            self._assert_whole(found, size, verified)
        return outcome

    def _assert_whole(self, found: ObjectStats, size: int, verified: bool) -> None:
        assert found.size_bytes == size
        held = self._bench.at(found.physical_address)
        assert len(held) == size
        if verified:
            assert held == content(size)


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    folder = tmp_path_factory.mktemp("schedules")
    with (
        pytest.MonkeyPatch.context() as patch,
        Sandbox() as sandbox,
        bench_of(sandbox, folder) as bench,
    ):
        patch.setattr(plan, "MIN_PART_SIZE", PART)
        patch.setattr(config, "MIN_PART_SIZE", PART)
        patch.setattr(blocks, "MIN_PART", PART)
        patch.setattr(part, "WINDOW", 16 * KIB)
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
@settings(common, max_examples=1000)
@given(schedule=schedules())
def test_a_thousand_schedules(runner: Runner, schedule: dict[str, Any]) -> None:
    runner.run(**schedule)


def test_the_schedules_lead_everywhere(runner: Runner) -> None:
    """Else they would prove little: this looks at what the schedules before it ended in."""
    if not runner.outcomes:
        pytest.skip("no schedules were run")
    print(runner.outcomes)
    assert runner.outcomes.keys() >= {"done", "aborted", "not begun", "unknown"}
