"""How files are cut: laws that hold for every size and every part size."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lakefs_client.exceptions import ApiValueError
from lakefs_client.transfer.plan import (
    GIB,
    MAX_OBJECT_SIZE,
    MAX_PART_SIZE,
    MAX_PARTS,
    MIB,
    MIN_PART_SIZE,
    Part,
    growing_part_size,
    plan_parts,
)

part_sizes = st.integers(MIN_PART_SIZE, MAX_PART_SIZE) | st.sampled_from(
    [MIN_PART_SIZE, 16 * MIB, 64 * MIB + 1, MAX_PART_SIZE]
)
# Sizes of all magnitudes, and those around a whole number of parts.
sizes = st.integers(0, 47).flatmap(lambda bits: st.integers(0, min(2**bits, MAX_OBJECT_SIZE)))


@st.composite
def files(draw: st.DrawFn) -> tuple[int, int]:
    part_size = draw(part_sizes)
    count = draw(st.sampled_from([0, 1, 2, MAX_PARTS - 1, MAX_PARTS, MAX_PARTS + 1]))
    near = st.integers(-2, 2).map(lambda d: min(max(0, count * part_size + d), MAX_OBJECT_SIZE))
    return draw(sizes | near), part_size


def test_limits_are_those_of_s3() -> None:
    assert (MIN_PART_SIZE, MAX_PART_SIZE, MAX_PARTS) == (5 * 1024**2, 5 * 1024**3, 10_000)
    assert MAX_OBJECT_SIZE == 53_687_091_200_000  # 48.8 TiB
    assert round(MAX_OBJECT_SIZE / 1024**4, 1) == 48.8


@given(files())
@example((MAX_OBJECT_SIZE, MIN_PART_SIZE))
@example((MAX_OBJECT_SIZE, MAX_PART_SIZE))
@example((MAX_OBJECT_SIZE - 1, MAX_PART_SIZE - 1))
@example((MAX_PARTS * MIN_PART_SIZE + 1, MIN_PART_SIZE))
def test_parts_cover_the_file_once_and_within_the_limits(file: tuple[int, int]) -> None:
    size, asked = file
    plan = plan_parts(size, asked)
    parts = list(plan)
    assert 1 <= len(parts) == plan.count <= MAX_PARTS
    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    position = 0
    for part in parts:
        assert part.offset == position
        position += part.length
    assert position == size == plan.size
    assert all(part.length == plan.part_size for part in parts[:-1])
    assert MIN_PART_SIZE <= plan.part_size <= MAX_PART_SIZE
    assert 0 <= parts[-1].length <= plan.part_size
    assert parts[-1].length > 0 or size == 0


@given(files())
def test_part_size_grows_only_where_it_must_and_by_whole_mib(file: tuple[int, int]) -> None:
    size, asked = file
    grown = plan_parts(size, asked).part_size
    if size <= asked * MAX_PARTS:
        assert grown == asked
    else:
        assert grown > asked
        assert grown % MIB == 0
        # One MiB less would not do.
        assert (grown - MIB) * MAX_PARTS < size


@given(files(), st.data())
def test_a_part_is_the_same_alone_and_in_order(file: tuple[int, int], data: st.DataObject) -> None:
    plan = plan_parts(*file)
    number = data.draw(st.integers(1, plan.count))
    assert plan.part(number) == list(plan)[number - 1]


def test_an_empty_file_is_one_empty_part() -> None:
    assert list(plan_parts(0, 16 * MIB)) == [Part(1, 0, 0)]


def test_a_file_that_fills_its_parts_has_no_empty_one_at_the_end() -> None:
    assert list(plan_parts(10 * MIB, 5 * MIB)) == [
        Part(1, 0, 5 * MIB),
        Part(2, 5 * MIB, 5 * MIB),
    ]


@pytest.mark.parametrize("size", [-1, MAX_OBJECT_SIZE + 1, 1 << 60])
def test_sizes_outside_the_limits_are_refused(size: int) -> None:
    with pytest.raises(ApiValueError, match=r"size must be from 0 to .*48\.8 TiB.*not"):
        plan_parts(size, 16 * MIB)


@pytest.mark.parametrize("part_size", [-1, 0, MIN_PART_SIZE - 1, MAX_PART_SIZE + 1, 6 * GIB])
def test_part_sizes_outside_the_limits_are_refused(part_size: int) -> None:
    with pytest.raises(ApiValueError, match="part_size must be from 5 MiB to 5 GiB"):
        plan_parts(1, part_size)


@settings(max_examples=15)
@given(base=part_sizes)
def test_parts_grow_to_hold_fifty_terabytes_whatever_they_begin_with(base: int) -> None:
    offset, former = 0, base
    for _ in range(MAX_PARTS):
        size = growing_part_size(offset, base)
        assert MIN_PART_SIZE <= size <= MAX_PART_SIZE
        assert size >= former
        # A 96th of what went before, in whole MiB, where that is more than the base.
        assert size == base or (size % MIB == 0 and size - MIB < offset / 96)
        offset, former = offset + size, size
    assert offset >= 50 * 10**12


@pytest.mark.parametrize("base", [MIN_PART_SIZE, 16 * MIB])
def test_a_short_stream_has_parts_of_the_size_that_was_asked_for(base: int) -> None:
    assert growing_part_size(96 * base, base) == base
    assert growing_part_size(96 * base + 1, base) == base + MIB
