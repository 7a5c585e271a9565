"""The division of bytes into parts: pure arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from lakefs_client._body import WINDOW
from lakefs_client.exceptions import ApiValueError

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
_GROWTH = 96


@dataclass(frozen=True)
class StoreLimits:
    """Limits of a store's multipart uploads, in bytes. The defaults are S3's.

    Other stores that lakeFS presigns for accept them as well:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html

    Attributes:
        min_part: Smallest size of a part that is not the last.
        max_part: Largest size of a part.
        max_parts: Largest number of parts in one upload.
        max_single_put: Largest size of an object that is sent in one request.
        window: Bytes that are read, hashed and sent at a time. At most 1 MiB, the size of a
            worker's buffer.
        unit: Sizes of grown parts are multiples of this number.
    """

    min_part: int = 5 * MIB
    max_part: int = 5 * GIB
    max_parts: int = 10_000
    max_single_put: int = 5 * GIB
    window: int = WINDOW
    unit: int = MIB

    @property
    def growth_after(self) -> int:
        """Number of equal parts of a stream, before further ones grow."""
        return self.max_parts * 4 // 5

    @property
    def max_object(self) -> int:
        """Largest size of an object."""
        return self.max_parts * self.max_part


S3_LIMITS = StoreLimits()


class Part(NamedTuple):
    """One part: its number, from 1, its offset and its length in bytes."""

    number: int
    offset: int
    length: int


@dataclass(frozen=True)
class PartPlan:
    """The parts of `size` bytes: all of `part_size`, except the last."""

    size: int
    part_size: int

    @property
    def count(self) -> int:
        """The number of parts; an empty file has one empty part."""
        return max(1, -(-self.size // self.part_size))

    def part(self, number: int) -> Part:
        """Return the part with this number, from 1."""
        offset = (number - 1) * self.part_size
        return Part(number, offset, min(self.part_size, self.size - offset))

    def __iter__(self) -> Iterator[Part]:
        return (self.part(number) for number in range(1, self.count + 1))


def plan_parts(size: int, part_size: int, limits: StoreLimits = S3_LIMITS) -> PartPlan:
    """Divide `size` bytes into parts of `part_size`, or of more if there would be too many parts.

    A grown part size is a multiple of `limits.unit`.

    Raises:
        ApiValueError: The size is negative or above 48.8 TiB, or the part size is outside
            5 MiB to 5 GiB.
    """
    if not limits.min_part <= part_size <= limits.max_part:
        raise ApiValueError(f"part_size must be from 5 MiB to 5 GiB: got {part_size} bytes")
    if not 0 <= size <= limits.max_object:
        raise ApiValueError(f"size must be from 0 to {limits.max_object} (48.8 TiB): got {size}")
    needed = -(-size // limits.max_parts)
    if needed > part_size:
        part_size = -(-needed // limits.unit) * limits.unit
    return PartPlan(size, part_size)


def stream_part_size(part: Part, part_size: int, limits: StoreLimits = S3_LIMITS) -> int:
    """Return the size of the part after `part` of a stream of unknown length.

    The first 8,000 parts have `part_size`, since some stores, R2 for example, require equal
    parts. Later ones have a 96th of the bytes before them, rounded up to `limits.unit`, at most
    `limits.max_part`. That way 10,000 parts hold at least 8 TiB.
    """
    if part.number < limits.growth_after:
        return part_size
    offset = part.offset + part.length
    grown = -(-offset // (_GROWTH * limits.unit)) * limits.unit
    return min(max(part_size, grown), limits.max_part)
