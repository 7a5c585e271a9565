"""What an object's checksum says of bytes, where it is an MD5 or made of the parts' MD5s."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from lakefs_client._body import WINDOW
from lakefs_client.transfer.complete import composite_md5
from lakefs_client.transfer.part import Stopped
from lakefs_client.transfer.plan import MIB, Part, PartPlan
from lakefs_client.transfer.source import buffer

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakefs_client.transfer.source import FileSource

# MiB of a part, as the common uploaders have it: lakectl, rclone and the Go SDK 5; boto3 and the
# AWS CLI 8; pyarrow 10; s3cmd 15; this package 16; Google 32; s3fs 50; Hadoop 64 and 100.
_USUAL = (5, 8, 10, 15, 16, 32, 50, 64, 100, 128, 256, 512, 1024)
GUESSES = 3
"""How many part sizes are tried at the most: each may cost a pass over the file."""
_OF_MD5S = re.compile(r"[0-9a-f]{32}(?:-([1-9][0-9]{0,4}))?")


def is_of_md5s(checksum: str) -> bool:
    """Whether it looks like an MD5, or like the composite of the MD5s of parts."""
    return _OF_MD5S.fullmatch(checksum) is not None


def part_sizes(checksum: str, size: int, likely: int) -> list[int]:
    """The sizes of the parts that an object with such a checksum may have been made of.

    A composite checksum tells how many they were, not how large: `likely` comes first. The last
    is the smallest that suffices in whole MiB, as uploaders grow their parts to.
    """
    count = int(checksum.partition("-")[2] or 1)
    grown = -(-size // (count * MIB)) * MIB
    candidates = (likely, *(number * MIB for number in _USUAL), grown)
    sizes = dict.fromkeys(max(1, min(one, size)) for one in candidates)
    return [one for one in sizes if PartPlan(size, one).count == count]


def matches(checksum: str, md5s: list[str]) -> bool:
    """Whether it is the checksum of an object whose parts have these MD5s, in order."""
    return checksum == (composite_md5(md5s) if "-" in checksum else md5s[0])


def holds(
    file: FileSource, checksum: str, likely: int, given_up: Callable[[], bool] = bool
) -> bool:
    """Whether a checksum, of an object of the same size, is known to be that of a file. Raises as
    `md5_of`."""
    if not is_of_md5s(checksum):
        return False
    return any(
        matches(checksum, [md5_of(file, part, given_up) for part in PartPlan(file.size, size)])
        for size in part_sizes(checksum, file.size, likely)[:GUESSES]
    )


def md5_of(file: FileSource, part: Part, given_up: Callable[[], bool] = bool) -> str:
    """The MD5 of a part of a file, in hex.

    Raises:
        SourceError: The file ends within the part, or cannot be read.
        Stopped: It was given up.
    """
    digest = hashlib.md5(usedforsecurity=False)
    for done in range(0, part.length, WINDOW):
        if given_up():
            raise Stopped
        window = buffer.view[: min(WINDOW, part.length - done)]
        file.read_into(window, part.offset + done)
        digest.update(window)
    return digest.hexdigest()
