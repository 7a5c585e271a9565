"""The data directory's file: an append-only log of changes, and a lock against a second sandbox.

The first line names the format. Every other line is `[key, value]`, or `[key]` for a deletion. A
line is written before the sandbox sends the response, so a killed process loses nothing.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

FORMAT = 3
# Rewrite the file when it has grown by this factor and exceeds this size.
_GROWTH = 4
_MIN_SIZE = 1024 * 1024

Key = tuple[str, ...]
Item = tuple[Key, object]


class StateFile:
    """The file of one data directory. `encode` returns the JSON of a value."""

    def __init__(self, directory: Path, encode: Callable[[object], str]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / "state.jsonl"
        self._encode = encode
        self._written: dict[Key, object] = {}
        self._file: IO[bytes] | None = None
        self._compact_size = 0
        if (directory / "state.json").exists():
            raise ValueError(f"{directory} was written by another version of the sandbox")
        self._lock = _lock(directory / "lock")

    def read(self) -> dict[Key, Any]:
        """Return the saved values by key. Raise ValueError if the file is damaged."""
        if not self._path.exists():
            return {}
        lines = self._path.read_bytes().split(b"\n")
        # A killed process may leave an incomplete last line.
        del lines[-1]
        version = None
        values: dict[Key, Any] = {}
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
                if number == 1:
                    version = record["format"]
                    continue
                key, *value = record
                if value:
                    (values[tuple(key)],) = value
                else:
                    del values[tuple(key)]
            except (KeyError, TypeError, ValueError, RecursionError) as error:
                raise damaged(self._path, f"line {number}") from error
        if lines and version != FORMAT:
            raise ValueError(f"{self._path} was written by another version of the sandbox")
        return values

    def write(self, items: Iterable[Item]) -> None:
        """Append the items that changed since the last call, and the deletions."""
        current = dict(items)
        lines = []
        for key, value in current.items():
            previous = self._written.get(key)
            # Values are immutable, or a str of JSON.
            if previous is not value and not (isinstance(value, str) and previous == value):
                lines.append(self._line(key, value))
        lines += [json.dumps([key]) + "\n" for key in self._written.keys() - current.keys()]
        self._written = current
        if lines and self._file is not None:
            self._file.write("".join(lines).encode())
            self._file.flush()
            if self._file.tell() > max(_MIN_SIZE, _GROWTH * self._compact_size):
                self.compact(current.items())

    def compact(self, items: Iterable[Item]) -> None:
        """Replace the file by one that holds only `items`."""
        current = dict(items)
        draft = self._path.with_suffix(".tmp")
        with draft.open("wb") as file:
            file.write(json.dumps({"format": FORMAT}).encode() + b"\n")
            for key, value in current.items():
                file.write(self._line(key, value).encode())
            self._compact_size = file.tell()
        if self._file is not None:
            self._file.close()
        os.replace(draft, self._path)
        self._file = self._path.open("ab")
        self._written = current

    def close(self) -> None:
        """Close the file and release the directory."""
        if self._file is not None:
            self._file.close()
        self._lock.close()

    def _line(self, key: Key, value: object) -> str:
        text = value if isinstance(value, str) else self._encode(value)
        return f"[{json.dumps(key)},{text}]\n"


def damaged(path: Path, detail: str) -> ValueError:
    """Return the error for a data directory that cannot be loaded."""
    return ValueError(
        f"cannot load {path}: {detail} is damaged. Restore the data directory, or delete it."
    )


def _lock(path: Path) -> IO[bytes]:
    """Lock a file until it is closed. Raise ValueError if another process holds the lock."""
    file = path.open("ab")
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise ValueError(f"{path.parent} is in use by another sandbox") from None
    return file
