"""What a later process needs to go on with a transfer: one append-only file each.

A line is a checksum and a record in JSON. The first record says what is transferred, each other
one what was done since. A torn line, as a power cut leaves it, and what comes after it, count for
nothing. Journals hold no URLs, no headers and no credentials.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import threading
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

    from typing_extensions import Self

logger = logging.getLogger("lakefs_client.transfer")

_open: WeakSet[Journal] = WeakSet()


class JournalInUseError(Exception):
    """Another transfer, of this process or another, holds the journal."""


class Journal:
    """The journal of one transfer, locked as long as it is open.

    It is in a folder, which is made where it is missing, for its owner alone. Its kind is what is
    transferred, its key what makes it the same transfer when it is tried again.

    Attributes:
        path: The file.
        records: What it held when it was opened, the one that says what is transferred first.

    Raises:
        JournalInUseError: It is in use.
        OSError: It cannot be made, read or locked.
    """

    def __init__(self, folder: Path, kind: str, key: Mapping[str, Any]) -> None:
        self.path = path_of(folder, kind, key)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = _open_locked(self.path)
        self._lock = threading.RLock()
        self._failed = False
        try:
            self.records, end = _read(self._file)
            self._file.truncate(end)
            self._file.seek(end)
        except BaseException:
            self._file.close()
            raise
        _open.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Let others have it; an empty one is removed."""
        if not self.records:
            self.path.unlink(missing_ok=True)
        self._file.close()

    def start(self, first: Mapping[str, Any]) -> None:
        """Begin anew, with the record that says what is transferred.

        Raises:
            OSError: It cannot be written.
        """
        with self._lock:
            self.clear()
            self._write(first)
            _sync_folder(self.path.parent)
            self.records = [dict(first)]

    def add(self, record: Mapping[str, Any]) -> None:
        """Add what was done. Where that fails, the transfer goes on, and this is the last that
        a later process will know of it."""
        with self._lock:
            if self._failed:
                return
            try:
                self._write(record)
            except OSError as error:
                self._failed = True
                logger.warning(
                    "%s cannot be written (%s): if the transfer is interrupted, what it does "
                    "from now on will be done again", self.path, error.strerror,
                )  # fmt: skip

    def clear(self) -> None:
        """Forget everything: there is nothing to go on with."""
        with self._lock:
            self.records = []
            self._file.seek(0)
            self._file.truncate()

    def _write(self, record: Mapping[str, Any]) -> None:
        text = json.dumps(record, separators=(",", ":")).encode()
        line = b"%08x %s\n" % (zlib.crc32(text), text)
        while line:
            line = line[self._file.write(line) :]
        os.fsync(self._file.fileno())


def path_of(folder: Path, kind: str, key: Mapping[str, Any]) -> Path:
    """Where the journal of a transfer is, if there is one."""
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    return folder / f"{name}.{kind}"


def _let_go() -> None:
    """A forked process has the lock as well, and may survive the transfer that it is of."""
    for journal in _open:
        journal._file.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


def read_all(folder: Path, kind: str) -> Iterator[list[dict[str, Any]]]:
    """The records of each journal in a folder that says what it is of."""
    for path in sorted(folder.glob(f"*.{kind}")):
        try:
            with path.open("rb") as file:
                records, _ = _read(file)
        except FileNotFoundError:
            continue  # finished meanwhile
        if records:
            yield records


def default_folder() -> Path:
    """Where a user's programs keep their state: by the XDG Base Directory Specification, or as
    is the custom on Windows and macOS."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "lakefs-client" / "transfers"


def _read(file: BinaryIO) -> tuple[list[dict[str, Any]], int]:
    """The records up to the first torn line, and where they end."""
    records: list[dict[str, Any]] = []
    end = 0
    *lines, _ = file.read().split(b"\n")
    for line in lines:
        checksum, _, text = line.partition(b" ")
        if checksum != b"%08x" % zlib.crc32(text):
            break
        records.append(json.loads(text))
        end += len(line) + 1
    return records, end


def _open_locked(path: Path) -> Any:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
        file = os.fdopen(descriptor, "r+b", buffering=0)
        try:
            _lock(descriptor)
        except OSError as error:
            file.close()
            if isinstance(error, (BlockingIOError, PermissionError)):
                raise JournalInUseError(str(path)) from error
            raise
        # Its former owner may have finished, and removed it, before the lock was free.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return file
        file.close()


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        # Locks there keep others from reading the bytes as well: one far behind the end.
        os.lseek(descriptor, 1 << 62, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)

    def _sync_folder(folder: Path) -> None:
        pass  # NTFS needs none

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _sync_folder(folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
