"""Journals of transfers: one append-only file each, from which a later process resumes.

A line is a checksum and a JSON record. The first record describes the transfer, each other record
one step of it. The first incomplete line, as after a power failure, and all lines after it are
ignored. Journals contain no URLs, no headers and no credentials.
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
    """The journal of one transfer, locked while it is open.

    The folder is created if it is missing, for its owner only. The kind is that of the transfer.
    The key identifies the transfer when it is repeated.

    Attributes:
        path: The file.
        records: The records when the journal was opened, the description of the transfer first.

    Raises:
        JournalInUseError: Another transfer holds the journal.
        OSError: The file cannot be created, read or locked.
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
        """Release the lock, and delete the journal if it is empty."""
        if not self.records:
            self.path.unlink(missing_ok=True)
        self._file.close()

    def start(self, first: Mapping[str, Any]) -> None:
        """Start the journal again, with the description of the transfer.

        Raises:
            OSError: The file cannot be written.
        """
        with self._lock:
            self.clear()
            self._write(first)
            _sync_folder(self.path.parent)
            self.records = [dict(first)]

    def add(self, record: Mapping[str, Any]) -> None:
        """Add a record. If this fails, the transfer continues without its journal."""
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
        """Delete the journal, because the transfer cannot be resumed."""
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
    """Return the path of a transfer's journal, which may not exist."""
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    return folder / f"{name}.{kind}"


def _let_go() -> None:
    """Release inherited locks: a forked child inherits them and may outlive the transfer."""
    for journal in _open:
        journal._file.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


def read_all(folder: Path, kind: str) -> Iterator[list[dict[str, Any]]]:
    """Yield the records of each journal in a folder that describes its transfer."""
    for path in sorted(folder.glob(f"*.{kind}")):
        try:
            with path.open("rb") as file:
                records, _ = _read(file)
        except FileNotFoundError:
            continue  # finished in between
        if records:
            yield records


def default_folder() -> Path:
    """Return the user's folder for state, by the XDG Base Directory Specification or the system's
    custom.
    """
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "lakefs-client" / "transfers"


def _read(file: BinaryIO) -> tuple[list[dict[str, Any]], int]:
    """Return the records up to the first incomplete line, and the end of the last record."""
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
