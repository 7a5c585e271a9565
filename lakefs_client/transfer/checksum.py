"""Checksums of objects: an MD5, or the composite of the MD5s of an object's parts."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from lakefs_client.transfer.errors import Cancelled
from lakefs_client.transfer.plan import MIB, Part, PartPlan
from lakefs_client.transfer.source import buffer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lakefs_client.transfer.source import FileSource

# Part sizes of common uploaders in MiB: lakectl, rclone and the Go SDK 5; boto3 and the AWS CLI 8;
# pyarrow 10; s3cmd 15; this package 16; Google 32; s3fs 50; Hadoop 64 and 100.
_COMMON_SIZES = (5, 8, 10, 15, 16, 32, 50, 64, 100, 128, 256, 512, 1024)
MAX_GUESSES = 3
"""Largest number of part sizes to try; each may cost a pass over the file."""
_WINDOW = 1 << 18  # a directory transfer hashes in many threads, each with a buffer
_MD5_OR_COMPOSITE = re.compile(r"[0-9a-f]{32}(?:-([1-9][0-9]{0,4}))?")


def never() -> bool:
    """Return False: the `cancelled` of work that nobody cancels."""
    return False


def is_md5_or_composite(checksum: str) -> bool:
    """Return True if a checksum has the form of an MD5 or of a composite of MD5s."""
    return _MD5_OR_COMPOSITE.fullmatch(checksum) is not None


def part_sizes(checksum: str, size: int, likely: int) -> list[int]:
    """Return the part sizes that an object with this checksum may have, the likely one first.

    A composite checksum gives the number of parts, not their size. The last candidate is the
    smallest sufficient multiple of 1 MiB, to which uploaders grow their parts.
    """
    if "-" not in checksum:
        return [max(1, size)]
    count = int(checksum.partition("-")[2])
    grown = -(-size // (count * MIB)) * MIB
    candidates = (likely, *(number * MIB for number in _COMMON_SIZES), grown)
    sizes = dict.fromkeys(max(1, min(candidate, size)) for candidate in candidates)
    return [part_size for part_size in sizes if PartPlan(size, part_size).count == count]


def composite_md5(parts: Sequence[str | None]) -> str | None:
    """Return the ETag of an object assembled from parts, or None if a part's MD5 is not known.

    The ETag is the MD5 of the parts' binary MD5s, and their number:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
    """
    known = [md5 for md5 in parts if md5 is not None]
    if len(known) < len(parts):
        return None
    digest = hashlib.md5(b"".join(map(bytes.fromhex, known)), usedforsecurity=False)
    return f"{digest.hexdigest()}-{len(parts)}"


def checksum_matches(checksum: str, md5s: list[str]) -> bool:
    """Return True if an object whose parts have these MD5s, in order, has this checksum."""
    return checksum == (composite_md5(md5s) if "-" in checksum else md5s[0])


def file_has_checksum(
    file: FileSource, checksum: str, likely: int, cancelled: Callable[[], bool] = never
) -> bool:
    """Return True if a file is known to have the checksum of an object of the same size.

    `likely` is the part size to try first. Raises as `md5_of`.
    """
    if not is_md5_or_composite(checksum):
        return False
    return any(
        checksum_matches(
            checksum, [md5_of(file, part, cancelled) for part in PartPlan(file.size, part_size)]
        )
        for part_size in part_sizes(checksum, file.size, likely)[:MAX_GUESSES]
    )


def md5_of(file: FileSource, part: Part, cancelled: Callable[[], bool] = never) -> str:
    """Return the MD5 of a part of a file, in hex.

    Raises:
        SourceError: The file ends within the part, or cannot be read.
        Cancelled: `cancelled` returned True.
    """
    digest = hashlib.md5(usedforsecurity=False)
    for offset in range(0, part.length, _WINDOW):
        if cancelled():
            raise Cancelled
        window = buffer.view[: min(_WINDOW, part.length - offset)]
        file.read_into(window, part.offset + offset)
        digest.update(window)
    return digest.hexdigest()
