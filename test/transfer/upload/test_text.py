"""Objects that are read and written as text files."""

from __future__ import annotations

import gc
import warnings
from typing import Any

import pytest
from support.bench import PATH, Bench

from lakefs_client.exceptions import ApiValueError

TEXT = "naïve\r\n€\nend"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "latin-1"])
def test_text_round_trip(bench: Bench, encoding: str) -> None:
    text = TEXT.replace("€", "E") if encoding == "latin-1" else TEXT
    transfer = bench.transfer()
    with transfer.open("repo", "main", PATH, "w", encoding=encoding, newline="") as file:
        file.write(text)
    assert file.stats is not None
    assert bench.stored_bytes() == text.encode(encoding)
    with transfer.open("repo", "main", PATH, "r", encoding=encoding, newline="") as reader:
        assert reader.read() == text
    with transfer.open("repo", "main", PATH, "rt", encoding=encoding) as reader:
        assert [*reader] == text.replace("\r\n", "\n").splitlines(keepends=True)


def test_exception_creates_no_object(bench: Bench) -> None:
    def write() -> None:
        with bench.transfer().open("repo", "main", PATH, "w") as file:
            file.write("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write()
    bench.assert_nothing_left()


def test_unclosed_text_file_creates_no_object(bench: Bench) -> None:
    file: Any = bench.transfer().open("repo", "main", PATH, "w")
    file.write("half")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del file
        gc.collect()
    assert "was not closed: no object is made" in str(caught[0].message)
    bench.assert_nothing_left()


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("r+", {}),
        ("a", {}),
        ("rb", {"encoding": "utf-8"}),
        ("wb", {"newline": ""}),
        ("r", {"content_type": "text/plain"}),
    ],
)
def test_invalid_modes_and_options_raise(bench: Bench, mode: Any, options: Any) -> None:
    with pytest.raises(ApiValueError, match=r"mode|text modes|for writing"):
        bench.transfer().open("repo", "main", PATH, mode, **options)
    assert not bench.operations
