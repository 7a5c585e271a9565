"""Sample data for new repositories: the file names of lakeFS's quickstart, with our own content.

The content is generated on demand and is the same each time.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from functools import cache

from lakefs_client.sandbox.parquet import Column, write_parquet

_IMAGES = (
    *("commit-change-02.png", "commit-change.png", "create-lakefs-branch.png"),
    *(f"duckdb-editor-0{number}.png" for number in range(2, 7)),
    *(f"duckdb-main-0{number}.png" for number in range(1, 4)),
    *(f"hooks-0{number}.png" for number in range(9)),
    *("merge01.png", "merge02.png", "quickstart-step-01-query.png"),
    *("quickstart-step-02-branch.png", "quickstart-step-03-merge.png"),
    *("quickstart-step-04-rollback.png", "quickstart-step-05-actions.png"),
    *("repo-contents.png", "waving-axolotl-transparent-w90.gif"),
)
_COUNTRIES = ("Canada", "Finland", "Germany", "Kenya", "New Zealand", "Peru", "Sweden", "Uganda")
_LAKES = 25_000
_README = """\
# A sample repository

The files in this repository are made by the sandbox of lakefs_client.

- `lakes.parquet` has 25,000 invented lakes.
- `data/lakes.source.md` describes its columns.
- `images/` has small pictures.
"""
_SOURCE = """\
# Lakes

Every lake is invented. The columns are:

- `Hylak_id`: a number
- `Lake_name`: a name
- `Country`: a country
- `Depth_m`: the depth in meters
"""
# A transparent GIF of one pixel.
_GIF = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)


def sample_files() -> Iterator[tuple[str, bytes]]:
    """Yield the path and the content of each sample file."""
    yield "README.md", _README.encode()
    yield "data/lakes.source.md", _SOURCE.encode()
    for number, name in enumerate(_IMAGES):
        yield f"images/{name}", _GIF if name.endswith(".gif") else _png(number)
    yield "lakes.parquet", _lakes()


@cache
def _lakes() -> bytes:
    numbers = range(1, _LAKES + 1)
    return write_parquet(
        _LAKES,
        [
            Column("Hylak_id", "int64", list(numbers)),
            Column("Lake_name", "string", [f"Lake {number:05}" for number in numbers]),
            Column("Country", "string", [_COUNTRIES[number * 7 % 8] for number in numbers]),
            Column("Depth_m", "double", [number * 37 % 5000 / 10 for number in numbers]),
        ],
    )


def _png(number: int) -> bytes:
    """Return a picture of 16 by 16 pixels in one color."""
    color = bytes((number * 53 % 256, number * 97 % 256, number * 31 % 256))
    rows = (b"\0" + color * 16) * 16
    header = struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
