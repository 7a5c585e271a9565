"""Journals of transfers, from which a later process resumes: one append-only file each.

A line is a checksum and a record in JSON. The first record describes the transfer, each other
one a finished step. A torn line, as a power cut leaves it, is ignored with all lines after it.
Journals hold no URLs, no headers and no credentials.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import stat
import sys
import threading
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakefs_client import _process
from lakefs_client.exceptions import ApiValueError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

    from typing_extensions import Self

logger = logging.getLogger("lakefs_client.transfer")


class JournalInUseError(Exception):
    """Another transfer holds the journal, in this process or another."""


class Journal:
    """The journal of one transfer, locked while it is open.

    Args:
        folder: Folder of the journal. It is made, for its owner only, if it does not exist.
        kind: Kind of the transfer: ``upload`` or ``download``.
        key: Values that identify the transfer across processes.

    Attributes:
        path: The file.
        records: Records of an earlier process; the first describes the transfer.

    Raises:
        JournalInUseError: Another transfer holds the journal.
        OSError: The journal cannot be made, read or locked, or every user may write to the folder.
    """

    def __init__(self, folder: Path, kind: str, key: Mapping[str, Any]) -> None:
        self.path = path_of(folder, kind, key)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _require_private(folder)
            self._file = _open_locked(self.path)
        except OSError as error:
            problem = f"{error.strerror} (the folder of journals: TransferConfig.journal_dir)"
            raise OSError(error.errno, problem, error.filename) from error
        self._lock = threading.RLock()
        self._failed = False
        self._shared = False  # with the parent process
        try:
            self.records, end = _read(self._file)
            self._file.truncate(end)
            self._file.seek(end)
        except BaseException:
            self._file.close()
            raise
        _process.register(self)

    def abandon(self) -> object:
        """Close the file in a forked child, which shares the lock and may outlive the transfer."""
        self._file.close()
        self._shared = True
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Release the lock, and delete the journal if it is empty."""
        if not self.records and not self._shared:
            self.path.unlink(missing_ok=True)
        self._file.close()

    def start(self, first: Mapping[str, Any]) -> None:
        """Replace all records by the one that describes the transfer.

        Raises:
            OSError: The journal cannot be written.
        """
        with self._lock:
            self.clear()
            self._write(first)
            _sync_folder(self.path.parent)
            self.records = [dict(first)]

    def add(self, record: Mapping[str, Any]) -> None:
        """Append a record. If that fails, log it and append no more: the transfer continues."""
        with self._lock:
            if self._failed:
                return
            try:
                self._write(record)
            except OSError as error:
                self._failed = True
                logger.warning(
                    "%s cannot be written (%s): a resumed transfer will repeat the steps from here "
                    "on. TransferConfig.journal_dir moves the journals", self.path, error.strerror,
                )  # fmt: skip

    def clear(self) -> None:
        """Delete all records: there is nothing to resume."""
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


def _require_private(folder: Path) -> None:
    """Raise PermissionError if every user may write to a folder, and so plant a journal there."""
    if os.name == "posix" and folder.stat().st_mode & stat.S_IWOTH:
        raise PermissionError(errno.EPERM, "every user may write to this folder", str(folder))


def path_of(folder: Path, kind: str, key: Mapping[str, Any]) -> Path:
    """Return the path of a transfer's journal."""
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    return folder / f"{name}.{kind}"


def read_all(folder: Path, kind: str) -> Iterator[list[dict[str, Any]]]:
    """Yield the records of each journal in a folder that describes a transfer."""
    if folder.is_dir():
        _require_private(folder)
    for path in sorted(folder.glob(f"*.{kind}")):
        try:
            with path.open("rb") as file:
                records, _ = _read(file)
        except FileNotFoundError:
            continue  # the transfer has finished
        if records:
            yield records


def default_folder() -> Path:
    """Return the user's folder for state, by the XDG Base Directory Specification or the custom
    of Windows and macOS.

    Raises:
        ApiValueError: The user has no home directory.
    """
    try:
        if sys.platform == "win32":
            base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Application Support"
        else:
            base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    except RuntimeError as error:
        raise ApiValueError(
            "no folder for journals: the user has no home directory. Set "
            "TransferConfig.journal_dir, or XDG_STATE_HOME"
        ) from error
    return Path(base) / "lakefs-client" / "transfers"


def _read(file: BinaryIO) -> tuple[list[dict[str, Any]], int]:
    """Return the records up to the first torn line, and the offset of their end."""
    records: list[dict[str, Any]] = []
    end = 0
    *lines, _ = file.read().split(b"\n")
    for line in lines:
        checksum, _, text = line.partition(b" ")
        if checksum != b"%08x" % zlib.crc32(text):
            break
        record = _record(text)
        if record is None:
            break
        records.append(record)
        end += len(line) + 1
    return records, end


def _record(text: bytes) -> dict[str, Any] | None:
    """Return the record of a line, or None if the line holds something else."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


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
        # The former owner may have finished and deleted it before the lock was free.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return file
        file.close()


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        # Locks of Windows block reads too, so this one is far behind the end.
        os.lseek(descriptor, 1 << 62, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)

    def _sync_folder(folder: Path) -> None:
        pass  # not needed on NTFS

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
