"""How a file is cut into parts: pure arithmetic.

The limits are those of S3's multipart upload, which other stores that lakeFS presigns for
keep to as well:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from lakefs_client.exceptions import ApiValueError

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
MIN_PART_SIZE = 5 * MIB
MAX_PART_SIZE = 5 * GIB
MAX_PARTS = 10_000
MAX_SINGLE_PUT = 5 * GIB
MAX_OBJECT_SIZE = MAX_PARTS * MAX_PART_SIZE
_GROWTH = 96


class Part(NamedTuple):
    """One part: its number, from 1, and which bytes it holds."""

    number: int
    offset: int
    length: int


@dataclass(frozen=True)
class PartPlan:
    """The parts of so many bytes in all, of one size but for the last."""

    size: int
    part_size: int

    @property
    def count(self) -> int:
        """How many parts there are; an empty file has one, which is empty."""
        return max(1, -(-self.size // self.part_size))

    def part(self, number: int) -> Part:
        """The part of that number, from 1."""
        offset = (number - 1) * self.part_size
        return Part(number, offset, min(self.part_size, self.size - offset))

    def __iter__(self) -> Iterator[Part]:
        return (self.part(number) for number in range(1, self.count + 1))


def plan_parts(size: int, part_size: int) -> PartPlan:
    """Cut `size` bytes into parts of `part_size`, or of more where 10,000 would not suffice.

    A grown part size is a whole number of MiB.

    Raises:
        ApiValueError: The size is negative or above 48.8 TiB, or the part size is outside
            5 MiB to 5 GiB.
    """
    if not MIN_PART_SIZE <= part_size <= MAX_PART_SIZE:
        raise ApiValueError(f"part_size must be from 5 MiB to 5 GiB, not {part_size} bytes")
    if not 0 <= size <= MAX_OBJECT_SIZE:
        raise ApiValueError(f"size must be from 0 to {MAX_OBJECT_SIZE} (48.8 TiB), not {size}")
    needed = -(-size // MAX_PARTS)
    if needed > part_size:
        part_size = -(-needed // MIB) * MIB
    return PartPlan(size, part_size)


def growing_part_size(offset: int, part_size: int) -> int:
    """Bytes of the part at an offset of a stream whose end is not known.

    Parts have `part_size`, later the 96th of what went before them, in whole MiB, 5 GiB at the
    most: that way 10,000 parts hold 50 TB (45.5 TiB) from whatever size on, which S3 names as an
    object's limit, and no part holds more than a small share of the stream.
    """
    grown = -(-offset // (_GROWTH * MIB)) * MIB
    return min(max(part_size, grown), MAX_PART_SIZE)
