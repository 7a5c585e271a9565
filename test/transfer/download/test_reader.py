"""Objects as files: any sequence of reads and seeks, what is asked for, and what goes wrong."""

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
from support.bench import MIB, PATH, Bench, MovableClock, content

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
from lakefs_client.transfer.download.reader import BUFFER, ObjectReader
from lakefs_client.transfer.download.remote import ChangedError
from lakefs_client.transfer.throttle import Throttle

GET = "store_get_object"
SIZE = 3 * MIB + 17

places = st.integers(0, 2500)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), places),
        st.tuples(st.just("readinto"), places),
        st.tuples(st.just("peek"), places),
        st.tuples(st.just("read1"), places),
        st.tuples(st.just("seek"), places, st.just(io.SEEK_SET)),
        st.tuples(st.just("seek"), st.integers(0, 150), st.just(io.SEEK_CUR)),
        st.tuples(st.just("seek"), places.map(lambda n: n - 1250), st.just(io.SEEK_CUR)),
        st.tuples(st.just("seek"), places.map(lambda n: -n), st.just(io.SEEK_END)),
        st.tuples(st.just("all")),
    ),
    max_size=12,
)


def step(file: Any, name: str, *arguments: int) -> Any:
    """What a step gives, of the reader and of a file on disk alike."""
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
def test_any_sequence_of_reads_and_seeks(
    law_bench: Bench, size: int, steps: list[tuple[Any, ...]]
) -> None:
    bench = law_bench
    with pytest.MonkeyPatch.context() as patch:
        # As with a large object: the buffer, and what is near, are a few bytes.
        patch.setattr(reader_module, "BUFFER", 64)
        patch.setattr(reader_module, "NEAR", 100)
        bench.put(content(size))
        with bench.open() as file, bench.file(size).open("rb") as same:
            for name, *arguments in steps:
                if name == "peek":
                    ahead = file.peek(1)
                    assert content(size)[same.tell() :].startswith(ahead)
                    assert bool(ahead) == (same.tell() < size)
                elif name == "read1":
                    some = file.read1(arguments[0])
                    assert same.read(len(some)) == some
                else:
                    assert step(file, name, *arguments) == step(same, name, *arguments)
                assert file.tell() == same.tell()


@pytest.mark.parametrize("size", [0, 9, SIZE])
def test_what_it_says_of_itself(bench: Bench, size: int) -> None:
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


def test_reading_on_asks_for_ever_more(bench: Bench) -> None:
    bench.put(content(32 * MIB))
    with bench.open() as file:
        assert b"".join(iter(lambda: file.read(50_000), b"")) == content(32 * MIB)
    assert len(bench.ranges) <= 9
    assert sum(last + 1 - first for first, last in spans(bench)) == 32 * MIB
    assert bench.operations["stat_object"] == 1


def spans(bench: Bench) -> list[tuple[int, int]]:
    found = [one.split("-") for one in bench.ranges]
    return [(int(first), int(last)) for first, last in found]


@pytest.mark.parametrize("start", [0, 5])
def test_all_that_is_left_is_one_request(bench: Bench, start: int) -> None:
    bench.put(content(SIZE))
    with bench.open() as file:
        file.seek(start)
        assert file.read() == content(SIZE)[start:]
    assert bench.ranges == [f"{start}-{SIZE - 1}"]


def test_a_large_read_is_one_request(bench: Bench) -> None:
    bench.put(content(SIZE))
    with bench.open() as file:
        assert file.read(2 * MIB) == content(2 * MIB)
    assert len(bench.ranges) == 1


def test_a_small_read_asks_for_a_buffer(bench: Bench) -> None:
    bench.put(content(SIZE))
    with bench.open() as file:
        for at in (2 * MIB, 9, MIB):
            file.seek(at)
            assert file.read(7) == content(SIZE)[at : at + 7]
    assert spans(bench) == [(at, at + BUFFER - 1) for at in (2 * MIB, 9, MIB)]


def test_what_is_near_is_read_up_to(bench: Bench) -> None:
    bench.put(content(SIZE))
    with bench.open() as file:
        file.read(2 * BUFFER + 9)  # the answer goes on behind what is buffered
        asked = len(bench.ranges)
        at = file.seek(BUFFER + 9, io.SEEK_CUR)
        assert file.read(9) == content(SIZE)[at : at + 9]
        assert len(bench.ranges) == asked
        file.seek(reader_module.NEAR + BUFFER, io.SEEK_CUR)
        file.read(9)
        assert len(bench.ranges) == asked + 1


def test_it_is_a_file_to_zipfile(bench: Bench) -> None:
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


def test_lines(bench: Bench) -> None:
    lines = [b"%d\n" % number for number in range(100_000)]
    bench.put(b"".join(lines))
    with bench.open() as file:
        assert list(file) == lines


def test_through_the_server(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(presign=False)
    bench.put(content(SIZE))
    with bench.open() as file:
        assert file.read(9) == content(9)
        file.seek(-9, io.SEEK_END)
        assert file.read() == content(SIZE)[-9:]
    assert bench.operations["get_object"] == 2


# What goes wrong


def test_what_cannot_be_opened(bench: Bench) -> None:
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
def test_twice_is_mended(bench: Bench, kind: FaultKind, details: Any, piece: int) -> None:
    bench.put(content(SIZE))
    bench.sandbox.faults.add(GET, kind, times=2, **details)
    with bench.open(retry=RetryPolicy(3, 0, 0)) as file:
        assert b"".join(iter(lambda: file.read(piece), b"")) == content(SIZE)
    assert not bench.sandbox.faults.pending


def test_attempts_are_counted_for_each_read(bench: Bench) -> None:
    """A long read must not fail because of as many mishaps as a short one may have."""
    bench.put(content(SIZE))
    bench.sandbox.faults.add(GET, "truncate", times=5)
    with bench.open(retry=RetryPolicy(2, 0, 0)) as file:
        assert file.read() == content(SIZE)[:]
    assert not bench.sandbox.faults.pending


@pytest.mark.parametrize(("status", "times"), [(403, 1), (404, 1), (503, 2)])
def test_a_read_fails_and_the_next_goes_on(bench: Bench, status: int, times: int) -> None:
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
@pytest.mark.parametrize("begun", [False, True])
def test_an_object_that_changed_is_an_error(bench: Bench, kind: FaultKind, begun: bool) -> None:
    bench.put(content(SIZE))
    with bench.open() as file:
        if begun:
            file.read(9)
        bench.put(content(SIZE)[::-1])
        bench.sandbox.faults.add(GET, kind)
        file.seek(2 * MIB)
        with pytest.raises(TransferError, match="another object") as caught:
            file.read(9)
        assert isinstance(caught.value.__cause__, ChangedError)


def test_the_url_is_renewed_before_it_expires(bench: Bench) -> None:
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


def test_an_idle_reader_has_no_place_at_the_gate(bench: Bench) -> None:
    bench.put(content(SIZE))
    transfer: Any = bench.transfer(max_concurrency=1)
    transfer.gate = Throttle(1)
    with (
        ObjectReader(transfer, "repo", "main", PATH) as one,
        ObjectReader(transfer, "repo", "main", PATH) as other,
    ):
        for _ in range(3):
            assert one.read(BUFFER + 1) == other.read(BUFFER + 1)
    assert transfer.gate._inside == 0


def test_no_signed_url_is_told(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.put(content(SIZE))
    bench.sandbox.faults.add(GET, "lost_answer", times=2)
    with caplog.at_level(logging.DEBUG), bench.open() as file:
        with pytest.raises(TransferError) as caught:
            file.read(1)
        text = f"{caught.value!s}{caught.value.__cause__!s}{file!r}{file.raw!r}{caplog.text}"
    for request in bench.sandbox.requests:
        if request.operation == GET:
            assert dict(parse_qsl(request.query))["X-Amz-Signature"] not in text
