"""Formatting of text and sizes, parsing of options and addresses, progress lines."""

from __future__ import annotations

import time

import pytest

from lakefs_client.cli import _options, _parser
from lakefs_client.cli._errors import UsageError
from lakefs_client.cli._output import as_size, as_text, as_time
from lakefs_client.cli._progress import Lines
from lakefs_client.cli._uri import Local, Ref, Stream, object_path, place, prefix, ref, repository
from lakefs_client.uri import ObjectRef


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_949, "999.9 kB"),
        (999_950, "1.0 MB"), (5 * 10**12, "5.0 TB"), (10**16, "10000.0 TB"),
    ],
)  # fmt: skip
def test_as_size_formats_bytes(count: int, text: str) -> None:
    assert as_size(count) == text


@pytest.mark.parametrize(
    ("text", "count"), [("1", 1), ("64MiB", 64 << 20), ("5 gib", 5 << 30), ("16kib", 16 << 10)]
)
def test_size_option_is_parsed(text: str, count: int) -> None:
    assert _options.size(text) == count


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5MiB", "5MB", "MiB", "²"])
def test_invalid_size_option_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size"):
        _options.size(text)


def test_as_text_escapes_control_characters() -> None:
    assert as_text("a\x1b[0m\r\n\u2028\x9bü☃") == r"a\x1b[0m\r\n\u2028\x9bü☃"
    assert as_text({"a": "1", "b": "2"}) == "a=1, b=2"


def test_as_time_formats_utc() -> None:
    assert as_time(0) == "1970-01-01T00:00:00Z"


@pytest.mark.parametrize(
    "text",
    [
        "C:\\data\\x.csv", "C:/data/x.csv", "c:x", "\\\\host\\share\\x", "./lakefs:/x", "x", "/x",
        "a b", "lakefs:x", "~/x", "./-",
    ],
)  # fmt: skip
def test_place_recognises_local_paths(text: str) -> None:
    assert place(text) == Local(text)


def test_place_recognises_streams_and_addresses() -> None:
    assert place("-") == Stream()
    assert str(Stream()) == "-"
    assert place("lakefs://repo-1/main/a/b") == ObjectRef("repo-1", "main", "a/b")
    assert place("LakeFS://repo-1/main/") == ObjectRef("repo-1", "main", "")
    assert repository("lakefs://repo-1") == repository("lakefs://repo-1/") == "repo-1"
    assert ref("lakefs://repo-1/main~2") == ref("lakefs://repo-1/main~2/") == ("repo-1", "main~2")
    assert str(Ref("repo-1", "main")) == "lakefs://repo-1/main"
    assert prefix("lakefs://repo-1/main") == ObjectRef("repo-1", "main", "")
    assert object_path("lakefs://repo-1/main//a") == ObjectRef("repo-1", "main", "/a")


@pytest.mark.parametrize("text", ["s3://bucket/key", "file:///tmp/x", "", "https://x/y"])
def test_place_rejects_other_schemes(text: str) -> None:
    with pytest.raises(UsageError, match="expected lakefs://"):
        place(text)


def test_base_uri_completes_refs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKECTL_BASE_URI", "lakefs://repo-1/")
    assert ref("main") == ("repo-1", "main")
    assert ref("lakefs://repo-2/dev") == ("repo-2", "dev")
    assert place("main") == Local("main")


def test_meta_option_is_parsed() -> None:
    pairs = [_parser._pairs("a=1,b=2"), _parser._pairs("c=x, y"), _parser._pairs("d=e=f,a=3")]
    assert _parser.meta(pairs) == {"a": "3", "b": "2", "c": "x, y", "d": "e=f"}
    for text in ("a", "=b", ""):
        with pytest.raises(ValueError, match="KEY=VALUE"):
            _parser._pairs(text)


def test_progress_without_terminal_prints_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Lines("upload of x", interval=0.01) as lines:
        lines.set_size(2_000_000)
        lines.relative_update(500_000)
        end = time.monotonic() + 30
        shown = ""
        while "500.0 kB of 2.0 MB" not in shown and time.monotonic() < end:
            time.sleep(0.01)
            shown += capsys.readouterr().err
    assert "upload of x: 500.0 kB of 2.0 MB, " in shown
