"""The result of a directory transfer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from lakefs_client.transfer.errors import describe, failure

MAX_FAILURES = 1000
"""Number of failures that a report names."""


class Failure(NamedTuple):
    """A file that was not transferred.

    Attributes:
        path: Path relative to the directory.
        error: The reason.
    """

    path: str
    error: Exception


@dataclass
class DirectoryReport:
    """The result of a directory transfer.

    Attributes:
        transferred: Number of files transferred.
        transferred_bytes: Their size in bytes.
        skipped: Number of files that were already there, with the same size and checksum.
        skipped_bytes: Their size in bytes.
        failed: Number of files that were not transferred.
        failures: The first 1,000 of them, with the reasons.
    """

    transferred: int = 0
    transferred_bytes: int = 0
    skipped: int = 0
    skipped_bytes: int = 0
    failed: int = 0
    failures: list[Failure] = field(default_factory=list)

    def raise_for_failures(self) -> None:
        """Raise an error if a file failed.

        Raises:
            TransferError: It names the first failed file.
        """
        if self.failed:
            path, error = self.failures[0]
            problem = f"{self.failed} files failed, the first with: {describe(error)}"
            raise failure(path, problem, "aborted", error) from error
