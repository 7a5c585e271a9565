"""The division of files into parts, as properties of every size and part size."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lakefs_client.exceptions import ApiValueError
from lakefs_client.transfer.plan import (
    GIB,
    MIB,
    S3_LIMITS,
    Part,
    plan_parts,
    stream_part_size,
)

MIN_PART, MAX_PART, MAX_PARTS = S3_LIMITS.min_part, S3_LIMITS.max_part, S3_LIMITS.max_parts
MAX_OBJECT = S3_LIMITS.max_object

part_sizes = st.integers(MIN_PART, MAX_PART) | st.sampled_from(
    [MIN_PART, 16 * MIB, 64 * MIB + 1, MAX_PART]
)
# Sizes of all magnitudes, and sizes near a whole number of parts.
sizes = st.integers(0, 47).flatmap(lambda bits: st.integers(0, min(2**bits, MAX_OBJECT)))


@st.composite
def files(draw: st.DrawFn) -> tuple[int, int]:
    part_size = draw(part_sizes)
    count = draw(st.sampled_from([0, 1, 2, MAX_PARTS - 1, MAX_PARTS, MAX_PARTS + 1]))
    near = st.integers(-2, 2).map(lambda d: min(max(0, count * part_size + d), MAX_OBJECT))
    return draw(sizes | near), part_size


def test_limits_equal_s3_limits() -> None:
    assert (MIN_PART, MAX_PART, MAX_PARTS) == (5 * 1024**2, 5 * 1024**3, 10_000)
    assert MAX_OBJECT == 53_687_091_200_000  # 48.8 TiB
    assert round(MAX_OBJECT / 1024**4, 1) == 48.8


@given(files())
@example((MAX_OBJECT, MIN_PART))
@example((MAX_OBJECT, MAX_PART))
@example((MAX_OBJECT - 1, MAX_PART - 1))
@example((MAX_PARTS * MIN_PART + 1, MIN_PART))
def test_parts_cover_file_once_within_limits(file: tuple[int, int]) -> None:
    size, requested = file
    plan = plan_parts(size, requested)
    parts = list(plan)
    assert 1 <= len(parts) == plan.count <= MAX_PARTS
    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    position = 0
    for part in parts:
        assert part.offset == position
        position += part.length
    assert position == size == plan.size
    assert all(part.length == plan.part_size for part in parts[:-1])
    assert MIN_PART <= plan.part_size <= MAX_PART
    assert 0 <= parts[-1].length <= plan.part_size
    assert parts[-1].length > 0 or size == 0


@given(files())
def test_part_size_grows_by_whole_mib_if_needed(file: tuple[int, int]) -> None:
    size, requested = file
    grown = plan_parts(size, requested).part_size
    if size <= requested * MAX_PARTS:
        assert grown == requested
    else:
        assert grown > requested
        assert grown % MIB == 0
        # One MiB less would be too small.
        assert (grown - MIB) * MAX_PARTS < size


@given(files(), st.data())
def test_part_by_number_equals_iterated_part(file: tuple[int, int], data: st.DataObject) -> None:
    plan = plan_parts(*file)
    number = data.draw(st.integers(1, plan.count))
    assert plan.part(number) == list(plan)[number - 1]


def test_empty_file_has_one_empty_part() -> None:
    assert list(plan_parts(0, 16 * MIB)) == [Part(1, 0, 0)]


def test_full_last_part_has_no_empty_successor() -> None:
    assert list(plan_parts(10 * MIB, 5 * MIB)) == [
        Part(1, 0, 5 * MIB),
        Part(2, 5 * MIB, 5 * MIB),
    ]


@pytest.mark.parametrize("size", [-1, MAX_OBJECT + 1, 1 << 60])
def test_size_outside_limits_raises(size: int) -> None:
    with pytest.raises(ApiValueError, match=r"size must be from 0 to .*48\.8 TiB.*got"):
        plan_parts(size, 16 * MIB)


@pytest.mark.parametrize("part_size", [-1, 0, MIN_PART - 1, MAX_PART + 1, 6 * GIB])
def test_part_size_outside_limits_raises(part_size: int) -> None:
    with pytest.raises(ApiValueError, match="part_size must be from 5 MiB to 5 GiB"):
        plan_parts(1, part_size)


@settings(max_examples=15)
@given(base=part_sizes)
def test_stream_parts_hold_eight_tebibytes(base: int) -> None:
    part = Part(0, 0, 0)
    for number in range(1, MAX_PARTS + 1):
        size = stream_part_size(part, base)
        if number <= S3_LIMITS.growth_after:
            assert size == base
        else:
            assert MIN_PART <= part.length <= size <= MAX_PART
            # A 96th of the bytes so far, in whole MiB, if larger than the base.
            offset = part.offset + part.length
            assert size == base or (size % MIB == 0 and size - MIB < offset / 96)
        part = Part(number, part.offset + part.length, size)
    assert part.offset + part.length >= 8 << 40
