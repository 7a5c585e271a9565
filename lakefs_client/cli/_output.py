"""Results on stdout, everything else on stderr."""

from __future__ import annotations

import io
import os
import re
import sys

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, TextIO

    Record = Mapping[str, Any]
    Columns = Mapping[str, int]
    """Keys of a record, with the least width of each column on a terminal."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_COLORS = {"red": "31", "green": "32", "yellow": "33", "bold": "1"}


class Output:
    """Writes what a command has to say.

    Args:
        as_json: Write each result as one line of JSON.
        quiet: Write errors alone to stderr.
        color: Allow colors on a terminal.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False, color: bool = True) -> None:
        self.as_json = as_json
        self.quiet = quiet
        if isinstance(sys.stdout, io.TextIOWrapper):
            # A name that the terminal's encoding lacks must not end a listing.
            sys.stdout.reconfigure(errors="backslashreplace")
        self._color = color and not os.environ.get("NO_COLOR")

    def one(self, record: Record, columns: Columns) -> None:
        """Write a result: as JSON, or the named columns as a line."""
        if self.as_json:
            self.json(record)
        else:
            self._row(record, columns)

    def many(self, records: Iterable[Record], columns: Columns) -> None:
        """Write results, a line each, as they come."""
        for record in records:
            self.one(record, columns)

    def fields(self, record: Record, names: Mapping[str, str]) -> None:
        """Write a result: as JSON, or a line for each field that it has, under a name."""
        if self.as_json:
            self.json(record)
            return
        width = max(map(len, names.values())) + 2
        for key, name in names.items():
            if key in record:
                self.text(f"{name + ':':<{width}}{as_text(record[key])}")

    def changed(self, record: Record) -> None:
        """Write what was changed where that is a result for programs only."""
        if self.as_json:
            self.json(record)

    def json(self, record: Any) -> None:
        """Write one line of JSON, in ASCII, since a pipe on Windows may not take all of Unicode."""
        import json

        sys.stdout.write(json.dumps(record, separators=(",", ":")) + "\n")

    def text(self, line: str) -> None:
        """Write a line to stdout."""
        sys.stdout.write(line + "\n")

    def data(self, window: bytes | memoryview) -> None:
        """Write bytes to stdout as they are."""
        sys.stdout.buffer.write(window)

    def flush(self) -> None:
        """Hand over what was written to stdout."""
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """Write a line for people to stderr, unless --quiet was given."""
        if not self.quiet:
            say(text)

    def paint(self, text: str, color: str, stream: TextIO | None = None) -> str:
        """Return text in a color if the stream, by default stdout, is a terminal."""
        if not self._color or not is_terminal(stream or sys.stdout):
            return text
        return f"\x1b[{_COLORS[color]}m{text}\x1b[0m"

    def _row(self, record: Record, columns: Columns) -> None:
        cells = [as_text(record.get(key, "")) for key in columns]
        if not is_terminal(sys.stdout):
            self.text("\t".join(cells))
            return
        padded = [cell.ljust(width) for cell, width in zip(cells, columns.values())]
        self.text("  ".join(padded).rstrip())


def say(text: str) -> None:
    """Write a line to stderr, if stderr is open."""
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        pass


def is_terminal(stream: TextIO | None) -> bool:
    """Return True if a stream is open and a terminal."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def as_text(value: Any) -> str:
    """Return a value on one line, without characters that a terminal would obey."""
    if isinstance(value, dict):
        value = ", ".join(f"{key}={item}" for key, item in value.items())
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), str(value))


def as_time(seconds: float) -> str:
    """Return a Unix time as RFC 3339 in UTC, to the second."""
    import time

    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def as_size(count: float) -> str:
    """Return a number of bytes for people, as lakectl writes it: 1 kB has 1000."""
    units = ["B", "kB", "MB", "GB", "TB"]
    while count >= 999.95 and len(units) > 1:
        count /= 1000
        del units[0]
    return f"{count:.0f} B" if units[0] == "B" else f"{count:.1f} {units[0]}"
