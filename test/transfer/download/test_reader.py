"""Readers: reads and seeks, the requests behind them, and faults."""

from __future__ import annotations

import io
import logging
import zipfile
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bench import MIB, PATH, Bench, MovableClock, content, set_throttle

from lakefs_client import RetryPolicy
from lakefs_client.exceptions import (
    ApiTypeError,
    ApiValueError,
    NotFoundException,
    TransferError,
)
from lakefs_client.rest import Timing
from lakefs_client.sandbox import FaultKind
from lakefs_client.transfer.download import reader as reader_module
from lakefs_client.transfer.download.reader import BUFFER
from lakefs_client.transfer.download.remote import ChangedError
from lakefs_client.transfer.throttle import Throttle

GET = "store_get_object"
SIZE = 3 * MIB + 17

positions = st.integers(0, 2500)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), positions),
        st.tuples(st.just("readinto"), positions),
        st.tuples(st.just("peek"), positions),
        st.tuples(st.just("read1"), positions),
        st.tuples(st.just("seek"), positions, st.just(io.SEEK_SET)),
        st.tuples(st.just("seek"), st.integers(0, 150), st.just(io.SEEK_CUR)),
        st.tuples(st.just("seek"), positions.map(lambda n: n - 1250), st.just(io.SEEK_CUR)),
        st.tuples(st.just("seek"), positions.map(lambda n: -n), st.just(io.SEEK_END)),
        st.tuples(st.just("all")),
    ),
    max_size=12,
)


def step(file: Any, name: str, *arguments: int) -> Any:
    """Return the result of a step on a reader or on a file."""
    if name == "readinto":
        target = bytearray(arguments[0])
        count = file.readinto(target)
        return bytes(target[:count])
    if name == "seek":
        try:
            return file.seek(*arguments)
        except OSError as error:
            return error.errno
    if name == "all":
        return file.read()
    return file.read(arguments[0])


@given(st.sampled_from([0, 1, 700, 2048]), STEPS)
def test_reads_and_seeks_match_local_file(
    module_bench: Bench, size: int, steps: list[tuple[Any, ...]]
) -> None:
    bench = module_bench
    with pytest.MonkeyPatch.context() as patch:
        # Small buffers make small objects behave as large ones.
        patch.setattr(reader_module, "BUFFER", 64)
        patch.setattr(reader_module, "NEAR", 100)
        bench.put(content(size))
        with bench.open() as file, bench.file(size).open("rb") as local:
            for name, *arguments in steps:
                if name == "peek":
                    ahead = file.peek(1)
                    assert content(size)[local.tell() :].startswith(ahead)
                    assert bool(ahead) == (local.tell() < size)
                elif name == "read1":
                    some = file.read1(arguments[0])
                    assert local.read(len(some)) == some
                else:
                    assert step(file, name, *arguments) == step(local, name, *arguments)
                assert file.tell() == local.tell()


@pytest.mark.parametrize("size", [0, 9, SIZE])
def test_reader_is_seekable_read_only_file(bench: Bench, size: int) -> None:
    bench.put(content(size))
    with bench.open() as file:
        assert isinstance(file, io.BufferedIOBase)
        assert file.size == size
        assert file.name == f"lakefs://repo/main/{PATH}"
        assert (file.readable(), file.seekable(), file.writable()) == (True, True, False)
        assert not file.closed
        with pytest.raises(io.UnsupportedOperation):
            file.write(b"x")
        with pytest.raises(io.UnsupportedOperation):
            file.fileno()
        with pytest.raises(ValueError, match="whence"):
            file.raw.seek(0, 7)
        assert not bench.ranges
    assert file.closed
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.read()


def test_sequential_reads_double_the_request(bench: Bench) -> None:
    bench.put(content(32 * MIB))
    with bench.open() as file:
        assert b"".join(iter(lambda: file.read(50_000), b"")) == content(32 * MIB)
    assert len(bench.ranges) <= 9
    assert sum(last + 1 - first for first, last in spans(bench)) == 32 * MIB
    assert bench.operations["stat_object"] == 1


def spans(bench: Bench) -> list[tuple[int, int]]:
    found = [item.split("-") for item in bench.ranges]
    return [(int(first), int(last)) for first, last in found]


@pytest.mark.parametrize("start", [0, 5])
def test_read_to_end_is_one_request(bench: Bench, start: int) -> None:
    bench.put(content(SIZE))
    with bench.open() as file:
        file.seek(start)
        assert file.read() == content(SIZE)[start:]
    assert bench.ranges == [f"{start}-{SIZE - 1}"]


def test_large_read_is_one_request(bench: Bench) -> None:
    bench.put(content(SIZE))
    with bench.open() as file:
        assert file.read(2 * MIB) == content(2 * MIB)
    assert len(bench.ranges) == 1


def test_small_read_requests_one_buffer(bench: Bench) -> None:
    bench.put(content(SIZE))
    with bench.open() as file:
        for at in (2 * MIB, 9, MIB):
            file.seek(at)
            assert file.read(7) == content(SIZE)[at : at + 7]
    assert spans(bench) == [(at, at + BUFFER - 1) for at in (2 * MIB, 9, MIB)]


def test_short_seek_reuses_open_response(bench: Bench) -> None:
    bench.put(content(SIZE))
    with bench.open() as file:
        file.read(2 * BUFFER + 9)  # the response has bytes beyond the buffer
        requests = len(bench.ranges)
        at = file.seek(BUFFER + 9, io.SEEK_CUR)
        assert file.read(9) == content(SIZE)[at : at + 9]
        assert len(bench.ranges) == requests
        file.seek(reader_module.NEAR + BUFFER, io.SEEK_CUR)
        file.read(9)
        assert len(bench.ranges) == requests + 1


def test_zipfile_reads_object(bench: Bench) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(20):
            archive.writestr(f"{number}.bin", content(number * 10_000))
    bench.put(packed.getvalue())
    with bench.open() as file, zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert archive.read("17.bin") == content(170_000)
    bench.put(b"no archive")
    with bench.open() as file, pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(file)


def test_iteration_yields_lines(bench: Bench) -> None:
    lines = [b"%d\n" % number for number in range(100_000)]
    bench.put(b"".join(lines))
    with bench.open() as file:
        assert list(file) == lines


def test_reads_through_server_without_presigned_urls(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(presign=False)
    bench.put(content(SIZE))
    with bench.open() as file:
        assert file.read(9) == content(9)
        file.seek(-9, io.SEEK_END)
        assert file.read() == content(SIZE)[-9:]
    assert bench.operations["get_object"] == 2


# Faults


def test_invalid_object_raises_on_open(bench: Bench) -> None:
    with pytest.raises(NotFoundException):
        bench.open()
    with pytest.raises(ApiValueError, match="ref"):
        bench.open(ref="")
    with pytest.raises(ApiTypeError, match="path"):
        bench.open(7)  # type: ignore[arg-type]


FAULTS: list[tuple[FaultKind, dict[str, Any]]] = [
    ("status", {"status": 503}),
    ("status", {"status": 500}),
    ("reset_before", {}),
    ("truncate", {}),
    ("expired", {}),
    ("expired_token", {}),
]


@pytest.mark.parametrize(("kind", "details"), FAULTS)
@pytest.mark.parametrize("piece", [-1, 50_000, 2 * MIB])
def test_repeated_faults_are_retried(
    bench: Bench, kind: FaultKind, details: Any, piece: int
) -> None:
    bench.put(content(SIZE))
    bench.sandbox.faults.add(GET, kind, times=2, **details)
    with bench.open(retry=RetryPolicy(3, 0, 0)) as file:
        assert b"".join(iter(lambda: file.read(piece), b"")) == content(SIZE)
    assert not bench.sandbox.faults.pending


def test_attempts_are_counted_per_read(bench: Bench) -> None:
    bench.put(content(SIZE))
    bench.sandbox.faults.add(GET, "truncate", times=5)
    with bench.open(retry=RetryPolicy(2, 0, 0)) as file:
        assert file.read() == content(SIZE)[:]
    assert not bench.sandbox.faults.pending


@pytest.mark.parametrize(("status", "times"), [(403, 1), (404, 1), (503, 2)])
def test_read_succeeds_after_failed_read(bench: Bench, status: int, times: int) -> None:
    bench.put(content(SIZE))
    with bench.open() as file:
        file.seek(9)
        bench.sandbox.faults.add(GET, "status", status=status, times=times)
        with pytest.raises(TransferError, match=f"at offset 9: {status}") as caught:
            file.read(9)
        assert not bench.sandbox.faults.pending
        assert (caught.value.status, caught.value.outcome) == (status, "aborted")
        assert f"lakefs://repo/main/{PATH}" in str(caught.value)
        assert file.read(9) == content(18)[9:]


@pytest.mark.parametrize("kind", ["expired", "expired_token"])
@pytest.mark.parametrize("has_read", [False, True])
def test_changed_object_raises(bench: Bench, kind: FaultKind, has_read: bool) -> None:
    bench.put(content(SIZE))
    with bench.open() as file:
        if has_read:
            file.read(9)
        bench.put(content(SIZE)[::-1])
        bench.sandbox.faults.add(GET, kind)
        file.seek(2 * MIB)
        with pytest.raises(TransferError, match="another object") as caught:
            file.read(9)
        assert isinstance(caught.value.__cause__, ChangedError)


def test_url_is_renewed_before_expiry(bench: Bench) -> None:
    bench.put(content(SIZE))
    clock = MovableClock()
    bench.client.store_client.timing = Timing(clock=clock)
    with bench.open() as file:
        for number in range(3):
            file.seek(number * MIB)
            file.read(1)
            clock.now += 890
            bench.sandbox.clock.advance(890)
    assert bench.operations["stat_object"] == 3
    assert len(bench.ranges) == 3


def test_idle_reader_holds_no_throttle_slot(bench: Bench) -> None:
    bench.put(content(SIZE))
    transfer = bench.transfer(max_concurrency=1)
    throttle = set_throttle(transfer, Throttle(1))
    with (
        transfer.open("repo", "main", PATH) as first,
        transfer.open("repo", "main", PATH) as second,
    ):
        for _ in range(3):
            assert first.read(BUFFER + 1) == second.read(BUFFER + 1)
    assert throttle.active == 0


def test_signature_is_not_disclosed(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.put(content(SIZE))
    bench.sandbox.faults.add(GET, "lost_answer", times=2)
    with caplog.at_level(logging.DEBUG), bench.open() as file:
        with pytest.raises(TransferError) as caught:
            file.read(1)
        text = f"{caught.value!s}{caught.value.__cause__!s}{file!r}{file.raw!r}{caplog.text}"
    for request in bench.sandbox.requests:
        if request.operation == GET:
            assert dict(parse_qsl(request.query))["X-Amz-Signature"] not in text
