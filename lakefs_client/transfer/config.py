"""Settings of transfers: one immutable value."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lakefs_client.exceptions import ApiTypeError, ApiValueError
from lakefs_client.retry import RetryPolicy
from lakefs_client.transfer.journal import default_folder
from lakefs_client.transfer.plan import MAX_PART_SIZE, MAX_SINGLE_PUT, MIB, MIN_PART_SIZE

if TYPE_CHECKING:
    from concurrent.futures import Executor

MAX_CONCURRENCY = 256


@dataclass(frozen=True)
class TransferConfig:
    """How files are transferred.

    Attributes:
        part_size: Bytes of a part, 5 MiB to 5 GiB. It grows where a file would need more than
            10,000 parts. Default 16 MiB.
        multipart_threshold: Files of fewer bytes go up in one presigned PUT. Default
            `part_size`; at most 5 GiB.
        max_concurrency: Parts that are sent at a time, 1 to 256. Default 8.
        verify: Whether the MD5 of each part is computed and held against what the store
            received, at the cost of one pass of MD5 over the bytes.
        retry: How often a part is sent; by default as `Configuration.retries` says.
        allow_single_put: Whether a file of `multipart_threshold` bytes or more may go up in one
            presigned PUT, 5 GiB at the most, where the store cannot do presigned multipart
            uploads.
        allow_server: Whether bytes may pass through the lakeFS server where it has no presigned
            URLs.
        journal_dir: Folder for what a later process needs to go on with an interrupted transfer;
            by default ``lakefs-client/transfers`` in the user's folder for state
            (``$XDG_STATE_HOME``, on most systems ``~/.local/state``).
        executor: Where parts of files are sent from: an executor of ``concurrent.futures``, of
            Dask's ``distributed`` for instance, whose workers can read the file under its path.
            By default threads of this process. It is not shut down.

    Raises:
        ApiTypeError: A value has the wrong type.
        ApiValueError: A value is outside its limits.
    """

    part_size: int = 16 * MIB
    multipart_threshold: int | None = None
    max_concurrency: int = 8
    verify: bool = True
    retry: RetryPolicy | None = None
    allow_single_put: bool = True
    allow_server: bool = True
    journal_dir: str | os.PathLike[str] | None = None
    executor: Executor | None = None

    def __post_init__(self) -> None:
        _whole("part_size", self.part_size, MIN_PART_SIZE, MAX_PART_SIZE)
        if self.multipart_threshold is not None:
            _whole("multipart_threshold", self.multipart_threshold, 0, MAX_SINGLE_PUT)
        _whole("max_concurrency", self.max_concurrency, 1, MAX_CONCURRENCY)
        for name in ("verify", "allow_single_put", "allow_server"):
            if not isinstance(getattr(self, name), bool):
                raise ApiTypeError(f"{name} must be a bool")
        if self.retry is not None and not isinstance(self.retry, RetryPolicy):
            raise ApiTypeError("retry must be a RetryPolicy")
        if self.journal_dir is not None and not isinstance(self.journal_dir, (str, os.PathLike)):
            raise ApiTypeError("journal_dir must be a path")
        if self.executor is not None and not hasattr(self.executor, "submit"):
            raise ApiTypeError("executor must be an executor of concurrent.futures")

    @property
    def journals(self) -> Path:
        """Where journals are."""
        return default_folder() if self.journal_dir is None else Path(self.journal_dir)

    @property
    def threshold(self) -> int:
        """From how many bytes on a file goes up in parts."""
        return self.part_size if self.multipart_threshold is None else self.multipart_threshold


def _whole(name: str, value: object, low: int, high: int) -> None:
    if type(value) is not int:
        raise ApiTypeError(f"{name} must be an int, not {type(value).__name__}")
    if not low <= value <= high:
        raise ApiValueError(f"{name} must be from {low} to {high}, not {value}")
