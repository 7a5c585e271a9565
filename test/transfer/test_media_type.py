"""The media type of an object."""

from __future__ import annotations

import pytest
from support.bench import PART, Bench

from lakefs_client._media_type import guess_content_type

OCTET_STREAM = "application/octet-stream"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("a.csv",), "text/csv"),
        (("dir.csv/a.json",), "application/json"),
        (("A.CSV",), "text/csv"),
        (("a.csv.gz",), "application/gzip"),
        (("a.tgz",), "application/gzip"),
        (("a.json.bz2",), "application/x-bzip2"),
        (("a.xz",), "application/x-xz"),
        (("a",), OCTET_STREAM),
        (("a.",), OCTET_STREAM),
        (("a.no-such-type",), OCTET_STREAM),
        ((".csv",), OCTET_STREAM),
        (("csv",), OCTET_STREAM),
        (("dir.csv/a",), OCTET_STREAM),
        (("",), OCTET_STREAM),
        # The first name with a known extension counts.
        (("a.csv", "b.json"), "text/csv"),
        (("a", "b.json"), "application/json"),
        (("a.no-such-type", "b.json.gz"), "application/gzip"),
        (("a", "b"), OCTET_STREAM),
        # Names that look like URLs.
        (("data:x.bin", "b.json"), "application/json"),
        (("dir/a#1?b.csv",), "text/csv"),
        (("run:1.csv",), "text/csv"),
    ],
)
def test_guess_from_names(names: tuple[str, ...], expected: str) -> None:
    assert guess_content_type(*names) == expected


@pytest.mark.parametrize("size", [3, PART + 1], ids=["one PUT", "parts"])
@pytest.mark.parametrize(
    ("path", "source", "given", "expected"),
    [
        ("a.csv", "b.json", None, "text/csv"),
        ("a", "b.json", None, "application/json"),
        ("a.csv.gz", "b", None, "application/gzip"),
        ("a", "b", None, OCTET_STREAM),
        ("a.csv", "b.json", "text/x; charset=é", "text/x; charset=é"),
    ],
)
def test_upload_sets_content_type(
    bench: Bench, size: int, path: str, source: str, given: str | None, expected: str
) -> None:
    stats = bench.upload(bench.file(size, source), path, content_type=given)
    assert stats.content_type == expected
    found = bench.stat(path)
    assert found is not None
    assert found.content_type == expected
