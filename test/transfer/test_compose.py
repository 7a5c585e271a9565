"""Objects composed of ranges of others: the division into parts, copies, downloads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bench import MIB, PART, PATH, Bench, content, interrupt_once

from lakefs_client.api.commits_api import CommitsApi
from lakefs_client.api.objects_api import ObjectsApi
from lakefs_client.api.repositories_api import RepositoriesApi
from lakefs_client.exceptions import (
    ApiException,
    ApiTypeError,
    ApiValueError,
    NotFoundException,
    TransferError,
)
from lakefs_client.models import CommitCreation, RepositoryCreation
from lakefs_client.rest import Cancellation
from lakefs_client.transfer import ObjectRange, Transfer, TransferConfig
from lakefs_client.transfer import compose as compose_module
from lakefs_client.transfer.compose import COPY_SIZE, Segment, divide
from lakefs_client.transfer.context import TransferContext
from lakefs_client.transfer.download.remote import RemoteObject
from lakefs_client.transfer.plan import GIB, S3_LIMITS
from lakefs_client.transfer.progress import Progress
from lakefs_client.transfer.upload import multipart as multipart_module
from lakefs_client.uri import ObjectRef

CREATE = "create_presign_multipart_upload"
COPY = "upload_part_copy"
NEW = "new/object.bin"
MIN_PART, MAX_PART, MAX_PARTS = S3_LIMITS.min_part, S3_LIMITS.max_part, S3_LIMITS.max_parts


def remote(size: int) -> Any:
    """Return an object that has nothing but a size and a name."""
    result = object.__new__(RemoteObject)
    result.size = size
    result.ref = ObjectRef("repo", "main", f"object-of-{size}")
    return result


LENGTHS = st.one_of(
    st.integers(1, 3 * PART),
    st.sampled_from([PART - 1, PART, PART + 1, COPY_SIZE, 2 * COPY_SIZE - 1, MAX_PART + 1]),
    st.integers(1, 9 * GIB),
)


@st.composite
def segments(draw: st.DrawFn) -> list[Segment]:
    found = []
    for length in draw(st.lists(LENGTHS, max_size=12)):
        start = draw(st.sampled_from([0, 1, 7 * GIB]))
        found.append(Segment(remote(start + length), start, start + length))
    return found


def join_adjacent(pieces: Sequence[Segment]) -> list[Segment]:
    """Return the same bytes in the smallest number of segments."""
    whole: list[Segment] = []
    for piece in pieces:
        if whole and whole[-1].origin is piece.origin and whole[-1].end == piece.start:
            whole[-1] = whole[-1]._replace(end=piece.end)
        else:
            whole.append(piece)
    return whole


COPY_SIZES = st.sampled_from([COPY_SIZE, MAX_PART, 6 * MIB])


@given(segments(), COPY_SIZES)
def test_parts_cover_segments_within_limits(whole: list[Segment], copy_size: int) -> None:
    parts = [*divide(whole, copy_size)]
    assert join_adjacent([piece for part in parts for piece in part]) == join_adjacent(whole)
    lengths = [sum(piece.length for piece in part) for part in parts]
    assert all(MIN_PART <= length <= MAX_PART for length in lengths[:-1])
    assert all(0 < length <= MAX_PART for length in lengths[-1:])
    assert all(piece.length for part in parts for piece in part)


@given(segments(), COPY_SIZES)
def test_only_small_pieces_share_part(whole: list[Segment], copy_size: int) -> None:
    for part in divide(whole, copy_size):
        if len(part) > 1:
            # Every piece except the last is a whole small segment.
            assert sum(piece.length for piece in part[:-1]) < MIN_PART
            assert sum(piece.length for piece in part) <= MIN_PART
        elif part[0].length < MIN_PART:
            assert part[0].end == whole[-1].end  # the last part may be small


@given(
    st.lists(st.one_of(LENGTHS, st.integers(1, 5 << 40)), min_size=1, max_size=20),
    st.sampled_from([1, 1, 1, 7, 249, 800]),
)
def test_composition_never_exceeds_max_parts(lengths: list[int], times: int) -> None:
    whole = [Segment(remote(length), 0, length) for length in lengths * times]
    counts: list[int] = []

    class Composition:
        def __init__(self, *ignored: object) -> None:
            pass

        def run(self, parts: list[list[Segment]], size: int) -> None:
            counts.append(len(parts))
            assert sum(piece.length for part in parts for piece in part) == size

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compose_module, "_Composition", Composition)
        patch.setattr(compose_module, "_segments", lambda *ignored: whole)
        context: Any = TransferContext.create(None, TransferConfig())  # type: ignore[arg-type]
        try:
            compose_module.compose(context, None, [], Progress.to(None), Cancellation())  # type: ignore[arg-type]
        except ApiValueError:
            # Not even the largest parts suffice.
            parts = [-(-segment.length // MAX_PART) for segment in whole]
            assert sum(parts) + len(whole) > MAX_PARTS
        else:
            assert 1 <= counts[0] <= MAX_PARTS


class Composing:
    """A bench with objects, and compositions of them."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.objects = ObjectsApi(bench.client)

    def put(
        self, path: str, data: bytes, branch: str = "main", repository: str = "repo"
    ) -> ObjectRange:
        self.objects.upload_object(repository, branch, path, content=data)
        return ObjectRange(path)

    def transfer(self, **settings: Any) -> Transfer:
        return Transfer(self.bench.client, TransferConfig(**{"part_size": PART, **settings}))

    def compose(self, *ranges: ObjectRange, path: str = NEW, **options: Any) -> Any:
        names = ("progress", "content_type", "user_metadata")
        arguments = {name: options.pop(name) for name in names if name in options}
        self.bench.sandbox.requests.clear()
        transfer = self.transfer(**options)
        return transfer.compose(ranges, "repo", "main", path, **arguments)


@pytest.fixture
def composing(bench: Bench) -> Composing:
    return Composing(bench)


A, B, C = content(2 * PART + 7), content(3 * PART)[PART:], content(3000)


@pytest.mark.parametrize(
    ("ranges", "copies", "puts", "gets"),
    [
        # The store copies each range that is large enough for a part.
        ([("a", 0, None)], 1, 0, 0),
        ([("a", 0, None), ("b", 0, None)], 2, 0, 0),
        ([("a", 0, None), ("b", 0, None), ("c", 0, None)], 2, 1, 1),
        ([("a", PART, 2 * PART)], 1, 0, 0),
        ([("a", 5, PART + 5), ("a", 0, PART), ("a", PART, None)], 3, 0, 0),
        ([("c", 0, None)], 0, 1, 1),
        ([("c", 10, 11)], 0, 1, 1),
        # A small range is downloaded, with bytes of the next one.
        ([("c", 0, None), ("a", 0, None)], 1, 1, 2),
        ([("c", 0, None), ("c", 0, None), ("c", 1, 2)], 0, 1, 3),
        ([("a", 0, PART), ("c", 0, None), ("b", 0, None)], 2, 1, 2),
        ([("a", 0, PART + 1), ("c", 0, None), ("b", 0, PART)], 1, 2, 3),
        # An empty range is ignored.
        ([("empty", 0, None), ("a", 3, 3), ("a", 0, None), ("empty", 0, 0)], 1, 0, 0),
        ([("c", 0, None), ("empty", 0, None), ("c", 5, 5), ("c", 0, 9)], 0, 1, 2),
        ([("c", 0, None), ("empty", 0, None)], 0, 1, 1),
    ],
)
def test_composition_concatenates_ranges(
    composing: Composing,
    ranges: list[tuple[str, int, int | None]],
    copies: int,
    puts: int,
    gets: int,
) -> None:
    stored = {"a": A, "b": B, "c": C, "empty": b""}
    for name, data in stored.items():
        composing.put(name, data)
    expected = b"".join(stored[name][start:end] for name, start, end in ranges)
    counts: list[int] = []
    stats = composing.compose(
        *(ObjectRange(name, start=start, end=end) for name, start, end in ranges),
        progress=counts.append,
    )
    bench, operations = composing.bench, composing.bench.operations
    assert operations[COPY] == copies
    assert operations["store_put_part"] == puts
    assert operations["store_get_object"] == gets
    assert operations["get_object"] == 0
    bench.assert_whole(expected, NEW)
    assert sum(counts) == stats.size_bytes == len(expected)
    # One stat per object before, and one after if the composition uses it.
    used = {name for name, start, end in ranges if stored[name][start:end]}
    assert operations["stat_object"] == len({name for name, *_ in ranges}) + len(used)


@pytest.mark.parametrize("ranges", [[], [ObjectRange("c", start=4, end=4)]])
def test_composition_of_empty_ranges_is_empty_object(
    composing: Composing, ranges: list[Any]
) -> None:
    composing.put("c", C)
    stats = composing.compose(*ranges)
    assert stats.size_bytes == 0
    composing.bench.assert_whole(b"", NEW)


def test_large_objects_are_copied_in_pieces(
    composing: Composing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compose_module, "COPY_SIZE", 6 * MIB)
    data = content(25 * MIB + 3)
    composing.put("large", data)
    composing.compose(ObjectRange("large"), max_concurrency=2)
    assert composing.bench.operations[COPY] == 4
    composing.bench.assert_whole(data, NEW)


def test_composition_reads_other_refs_and_repositories(composing: Composing) -> None:
    client = composing.bench.client
    namespace = f"{composing.bench.sandbox.storage_namespace}other"
    RepositoriesApi(client).create_repository(
        RepositoryCreation(name="other", storage_namespace=namespace)
    )
    composing.put("x", A, repository="other")
    composing.put("x", B)
    commit = CommitsApi(client).commit("repo", "main", CommitCreation(message="b")).id
    composing.put("x", C)
    composing.compose(
        ObjectRange("x", repository="other", ref="main"),
        ObjectRange("x", ref=commit, start=PART),
        ObjectRange("x"),
    )
    composing.bench.assert_whole(A + B[PART:] + C, NEW)


def test_composition_may_replace_own_source(composing: Composing) -> None:
    composing.put(NEW, A)
    composing.compose(ObjectRange(NEW, start=PART), ObjectRange(NEW, end=PART))
    composing.bench.assert_whole(A[PART:] + A[:PART], NEW)


def test_composition_has_media_type_and_metadata(composing: Composing) -> None:
    composing.put("a.bin", A)
    stats = composing.compose(ObjectRange("a.bin"), path="table.csv", user_metadata={"k": "v"})
    assert (stats.content_type, stats.metadata.to_dict()) == ("text/csv", {"k": "v"})
    stats = composing.compose(ObjectRange("a.bin"), path="table.csv", content_type="x/y")
    assert stats.content_type == "x/y"


@pytest.mark.parametrize(
    ("ranges", "error", "text"),
    [
        (["a"], ApiTypeError, "ObjectRange"),
        (
            [ObjectRange("a", start=3001)],
            ApiValueError,
            "the range 3001 to 3000 is outside its",
        ),
        ([ObjectRange("a"), ObjectRange("a", end=3001)], ApiValueError, "outside its 3000 bytes"),
        ([ObjectRange("b"), *[ObjectRange("a")] * 3] * 10_000, ApiValueError, "20000 parts"),
        ([ObjectRange("a"), ObjectRange("missing")], NotFoundException, "404"),
        ([ObjectRange("a", ref="nope")], NotFoundException, "404"),
        ([ObjectRange("a", repository="nope")], NotFoundException, "404"),
    ],
)
def test_bad_range_raises_before_upload(
    composing: Composing, ranges: list[Any], error: Any, text: str
) -> None:
    composing.put("a", C)
    composing.put("b", B)
    with pytest.raises(error, match=text):
        composing.compose(*ranges)
    assert composing.bench.operations.keys() <= {"stat_object"}
    composing.bench.assert_nothing_left(NEW)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"path": ""}, ApiValueError),
        ({"path": 1}, ApiTypeError),
        ({"path": "a", "ref": ""}, ApiValueError),
        ({"path": "a", "repository": 7}, ApiTypeError),
        ({"path": "a", "start": -1}, ApiValueError),
        ({"path": "a", "start": 2, "end": 1}, ApiValueError),
        ({"path": "a", "start": 1.0}, ApiTypeError),
        ({"path": "a", "start": None}, ApiTypeError),
        ({"path": "a", "end": True}, ApiTypeError),
    ],
)
def test_invalid_range_raises(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        ObjectRange(**arguments)


def test_composition_ignores_executor(composing: Composing) -> None:
    class Refusing:
        def submit(self, *ignored: object) -> None:
            raise AssertionError("its workers cannot copy")

    composing.put(PATH, A)
    composing.compose(ObjectRange(PATH), executor=Refusing())
    composing.bench.assert_whole(A, NEW)


def test_changed_source_aborts_composition(composing: Composing) -> None:
    composing.put(PATH, A)

    def replace(count: int) -> None:
        if composing.objects.stat_object("repo", "main", PATH).size_bytes != 3:
            composing.put(PATH, b"new")

    with pytest.raises(TransferError, match="another object is at the path") as caught:
        composing.compose(ObjectRange(PATH), progress=replace)
    assert caught.value.outcome == "aborted"
    composing.bench.assert_nothing_left(NEW)


@pytest.mark.parametrize(
    ("kind", "details"),
    [
        ("status", {"status": 503}),
        ("reset_before", {}),
        ("lost_answer", {}),
        ("late_error", {"status": 503}),
    ],
)
def test_copy_is_retried(composing: Composing, kind: Any, details: dict[str, Any]) -> None:
    composing.put("a", A)
    composing.bench.sandbox.faults.add(COPY, kind, **details)
    composing.compose(ObjectRange("a"))
    composing.bench.assert_whole(A, NEW)
    assert composing.bench.operations[COPY] == 2
    assert not composing.bench.sandbox.faults.pending


def test_copy_is_not_retried_after_status_500(composing: Composing) -> None:
    composing.put("a", A)
    composing.bench.sandbox.faults.add(COPY, "status_late", status=500)
    with pytest.raises(TransferError):
        composing.compose(ObjectRange("a"))
    assert composing.bench.operations[COPY] == 1
    composing.bench.assert_nothing_left(NEW)
    assert not composing.bench.sandbox.faults.pending


@pytest.mark.parametrize("operation", [COPY, "store_put_part", "store_get_object"])
def test_failed_composition_leaves_nothing(composing: Composing, operation: str) -> None:
    composing.put("a", A)
    composing.put("c", C)
    composing.bench.sandbox.faults.add(operation, "status", status=403, times=9)
    ranges = [ObjectRange("a"), ObjectRange("c"), ObjectRange("a")]
    with pytest.raises(TransferError) as caught:
        composing.compose(*ranges)
    error = caught.value
    assert (error.status, error.outcome) == (403, "aborted")
    assert error.part_number in ((1, 3) if operation == COPY else (2,))
    assert isinstance(error.__cause__, ApiException)
    assert not isinstance(error.__cause__, TransferError)
    composing.bench.assert_nothing_left(NEW)


@pytest.mark.parametrize("operation", [COPY, "store_put_part", "store_get_object"])
def test_first_failure_cancels_other_parts(composing: Composing, operation: str) -> None:
    composing.put("a", A)
    composing.put("c", C)
    composing.bench.sandbox.faults.add(operation, "status", status=403)
    small = [ObjectRange("c"), ObjectRange("a")]
    with pytest.raises(TransferError):
        composing.compose(*small, *[ObjectRange("a")] * 60, max_concurrency=1)
    # The parts that wait for a thread are cancelled too.
    assert composing.bench.operations[COPY] < 30
    composing.bench.assert_nothing_left(NEW)


def test_failure_does_not_wait_for_stalled_copy(
    composing: Composing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multipart_module, "CANCEL_WAIT", 0.01)
    monkeypatch.setattr(compose_module, "CANCEL_WAIT", 0.01)
    composing.put("a", A)
    faults = composing.bench.sandbox.faults
    faults.add(COPY, "stall", seconds=1000, part_number=1)
    faults.add(COPY, "status", status=403, part_number=2)
    composing.bench.client.configuration.read_timeout = 5
    counts: list[int] = []
    with pytest.raises(TransferError) as caught:
        composing.compose(
            ObjectRange("a"), ObjectRange("a"), max_concurrency=2, progress=counts.append
        )
    assert caught.value.part_number == 2
    assert counts == []  # not even after a second attempt at part 1
    composing.bench.sandbox.restart()  # ends the stalled request
    composing.bench.assert_nothing_left(NEW)


def test_store_without_multipart_uploads_raises(make_bench: Callable[..., Bench]) -> None:
    composing = Composing(make_bench(presigned_multipart=False))
    composing.put(PATH, A)
    with pytest.raises(ApiException) as caught:
        composing.compose(ObjectRange(PATH))
    assert caught.value.status == 501
    composing.bench.assert_whole(A)


def test_callback_exception_is_raised_unchanged(composing: Composing) -> None:
    composing.put("a", A)
    error = RuntimeError("mine")

    def progress(count: int) -> None:
        raise error

    with pytest.raises(RuntimeError) as caught:
        composing.compose(ObjectRange("a"), ObjectRange("a"), progress=progress)
    assert caught.value is error
    composing.bench.assert_nothing_left(NEW)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test time out if work is not cancelled."""
    monkeypatch.setattr(compose_module, "CANCEL_WAIT", 1000)
    monkeypatch.setattr(multipart_module, "CANCEL_WAIT", 1000)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("operation", ["store_put_part", "store_get_object"])
def test_interrupt_aborts_composition(composing: Composing, operation: str) -> None:
    composing.put("a", A)
    composing.put("c", C)
    faults = composing.bench.sandbox.faults
    faults.add(operation, "stall", seconds=1000)
    with pytest.raises(KeyboardInterrupt), interrupt_once(lambda: not faults.pending):
        composing.compose(ObjectRange("c"), ObjectRange("a"))
    composing.bench.assert_nothing_left(NEW)


@pytest.mark.usefixtures("patient")
def test_interrupt_cancels_parts_waiting_for_slot(composing: Composing) -> None:
    composing.put("c", C)
    faults = composing.bench.sandbox.faults
    faults.add("store_put_part", "stall", seconds=1000)
    ranges = [ObjectRange("c", end=1000)] * 3
    with pytest.raises(KeyboardInterrupt), interrupt_once(lambda: not faults.pending):
        composing.compose(*ranges, max_concurrency=1)
    composing.bench.assert_nothing_left(NEW)


def test_interrupt_cancels_running_copy(
    composing: Composing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compose_module, "CANCEL_WAIT", 0.01)
    composing.put("a", A)
    faults = composing.bench.sandbox.faults
    faults.add(COPY, "stall", seconds=1000)
    with pytest.raises(KeyboardInterrupt), interrupt_once(lambda: not faults.pending):
        composing.compose(ObjectRange("a"), *[ObjectRange("a")] * 20, max_concurrency=1)
    assert composing.bench.operations[COPY] == 0  # the sandbox records a request with its response
    composing.bench.sandbox.restart()
    composing.bench.assert_nothing_left(NEW)
