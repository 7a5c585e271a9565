"""The result of a directory transfer."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from lakefs_client.transfer.errors import describe, failure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    Action = Literal["transferred", "skipped", "deleted", "failed"]

MAX_FAILURES = 1000
"""Number of failures that a report has with their exceptions."""
_CHUNK = 1 << 16


class Failure(NamedTuple):
    """A file that was not transferred.

    Attributes:
        path: Path relative to the directory.
        error: The reason.
    """

    path: str
    error: Exception


class DirectoryEntry(NamedTuple):
    """One file or object of a directory transfer.

    Attributes:
        path: Path relative to the directory.
        action: ``transferred``, ``skipped``, ``deleted`` or ``failed``.
        size: Size in bytes; 0 for a failure.
        reason: The reason for the action, such as ``new`` or ``unchanged``, or the error's text.
    """

    path: str
    action: Action
    size: int
    reason: str


class EntryLog:
    """A list of entries that is compressed in memory: 200,000 take about 2 MB."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._lines: list[str] = []
        self._length = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, entry: DirectoryEntry) -> None:
        """Add an entry."""
        line = json.dumps(entry)
        self._lines.append(line)
        self._count += 1
        self._length += len(line)
        if self._length >= _CHUNK:
            self._chunks.append(zlib.compress("\n".join(self._lines).encode(), 1))
            self._lines, self._length = [], 0

    def __iter__(self) -> Iterator[DirectoryEntry]:
        for chunk in [*self._chunks]:
            for line in zlib.decompress(chunk).decode().split("\n"):
                yield DirectoryEntry(*json.loads(line))
        for line in [*self._lines]:
            yield DirectoryEntry(*json.loads(line))


@dataclass
class DirectoryReport:
    """The result of a directory transfer. With ``dry_run=True``, what the transfer would do.

    Iterating over the report yields every file and object as a `DirectoryEntry`.

    Attributes:
        transferred: Number of files transferred.
        transferred_bytes: Their size in bytes.
        skipped: Number of files that were already there, unchanged.
        skipped_bytes: Their size in bytes.
        failed: Number of files that were not transferred or not deleted.
        failures: The first 1,000 of them, with the reasons.
        deleted: Number of files or objects deleted.
        deleted_bytes: Their size in bytes.
        kept: Number of files or objects that ``delete=True`` did not delete, since others failed.
    """

    transferred: int = 0
    transferred_bytes: int = 0
    skipped: int = 0
    skipped_bytes: int = 0
    failed: int = 0
    failures: list[Failure] = field(default_factory=list)
    deleted: int = 0
    deleted_bytes: int = 0
    kept: int = 0
    _entries: EntryLog = field(default_factory=EntryLog, repr=False, compare=False)

    def __iter__(self) -> Iterator[DirectoryEntry]:
        return iter(self._entries)

    def _repr_html_(self) -> str:
        """Return tables for notebooks: the counts, and the failures."""
        from lakefs_client._html import listing_table, properties_table

        counts = {name: value for name, value in vars(self).items() if isinstance(value, int)}
        html = properties_table("DirectoryReport", counts)
        failures = [{"path": path, "error": error} for path, error in self.failures]
        return html + (listing_table("Failures", failures) if failures else "")

    def raise_for_failures(self) -> None:
        """Raise an error if a file failed.

        Raises:
            TransferError: It names the first failed file.
        """
        if self.failed:
            path, error = self.failures[0]
            problem = f"{self.failed} files failed, the first with: {describe(error)}"
            raise failure(path, problem, "aborted", error) from error

    def _add(self, entry: DirectoryEntry) -> None:
        """Count and record an entry that did not fail."""
        count = getattr(self, entry.action) + 1
        size = getattr(self, f"{entry.action}_bytes") + entry.size
        setattr(self, entry.action, count)
        setattr(self, f"{entry.action}_bytes", size)
        self._entries.append(entry)

    def _add_failure(self, path: str, error: Exception) -> None:
        """Count and record a failure."""
        self.failed += 1
        if len(self.failures) < MAX_FAILURES:
            self.failures.append(Failure(path, error))
        self._entries.append(DirectoryEntry(path, "failed", 0, describe(error)))
