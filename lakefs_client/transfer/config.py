"""Settings of transfers: one immutable value."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lakefs_client.exceptions import ApiTypeError, ApiValueError
from lakefs_client.retry import RetryPolicy
from lakefs_client.transfer.journal import default_folder
from lakefs_client.transfer.plan import MIB, S3_LIMITS

if TYPE_CHECKING:
    from concurrent.futures import Executor

MAX_CONCURRENCY = 256
MAX_FILES = 64
"""Small files that a directory transfer sends at a time by default."""
_OPEN_PER_FILE = 4  # a file, two connections, and room for the rest of the program


@dataclass(frozen=True)
class TransferConfig:
    """Settings of transfers.

    Attributes:
        part_size: Size of a part in bytes, from 5 MiB to 5 GiB. It grows if a file would need
            more than 10,000 parts. Default 16 MiB.
        multipart_threshold: Size in bytes from which a file is uploaded in parts. A smaller file
            is sent in one presigned PUT. Default `part_size`, at most 5 GiB.
        max_concurrency: Number of parts that are sent at the same time, from 1 to 256.
            Default 8. A directory transfer sends up to 64 small files at the same time, or
            `max_concurrency` files if `max_concurrency` is above 64 or below 8. It sends fewer if
            the process may have few files open.
        verify: Compare the MD5 of each part with the MD5 that the store reports. This costs one
            pass of MD5 over the bytes.
        retry: Retry policy for requests to the store. Default `Configuration.retries`.
        fallback: Allow a slower way if the server lacks presigned multipart uploads or
            presigned URLs: one presigned PUT of at most 5 GiB, or an upload or download through
            the lakeFS server. If False, such a transfer fails instead.
        presign: Use presigned URLs. If False, all bytes pass through the lakeFS server, for
            machines that cannot reach the store. Uploads are then sent in one request and cannot
            resume, and `Transfer.compose` is not possible.
        journal_dir: Folder for the journals from which a later process resumes a transfer.
            Default ``lakefs-client/transfers`` in the user's folder for state
            (``$XDG_STATE_HOME``, on most systems ``~/.local/state``).
        executor: Executor of ``concurrent.futures`` that sends the parts of files, for example
            of Dask's ``distributed``. Its workers must be able to read the file under its path.
            By default threads of this process send the parts. The executor is not shut down.
        server_threshold: Size in bytes up to which a file is uploaded through the lakeFS server, in
            one request in place of three. This is faster for many small files, but their bytes
            pass through the server, which sends them to the store. Default 0: no file.

    Raises:
        ApiTypeError: A value has the wrong type.
        ApiValueError: A value is outside its limits.
    """

    part_size: int = 16 * MIB
    multipart_threshold: int | None = None
    max_concurrency: int = 8
    verify: bool = True
    retry: RetryPolicy | None = None
    fallback: bool = True
    presign: bool = True
    journal_dir: str | os.PathLike[str] | None = None
    executor: Executor | None = None
    server_threshold: int = 0

    def __post_init__(self) -> None:
        _check_int("part_size", self.part_size, S3_LIMITS.min_part, S3_LIMITS.max_part)
        if self.multipart_threshold is not None:
            _check_int("multipart_threshold", self.multipart_threshold, 0, S3_LIMITS.max_single_put)
        _check_int("server_threshold", self.server_threshold, 0, S3_LIMITS.max_single_put)
        _check_int("max_concurrency", self.max_concurrency, 1, MAX_CONCURRENCY)
        for name in ("verify", "fallback", "presign"):
            if not isinstance(getattr(self, name), bool):
                raise ApiTypeError(f"{name} must be a bool")
        if self.retry is not None and not isinstance(self.retry, RetryPolicy):
            raise ApiTypeError("retry must be a RetryPolicy")
        if self.journal_dir is not None and not isinstance(self.journal_dir, (str, os.PathLike)):
            raise ApiTypeError("journal_dir must be a path")
        if self.executor is not None and not hasattr(self.executor, "submit"):
            raise ApiTypeError("executor must be an executor of concurrent.futures")

    @property
    def file_concurrency(self) -> int:
        """The number of small files that are sent at the same time."""
        lowered = self.max_concurrency < type(self).max_concurrency
        usual = min(MAX_FILES, _open_files_limit() // _OPEN_PER_FILE)
        return self.max_concurrency if lowered else max(usual, self.max_concurrency)

    def is_for_server(self, size: int) -> bool:
        """Return True if a file of `size` bytes is uploaded through the lakeFS server."""
        return not self.presign or 0 < self.server_threshold >= size

    @property
    def journals(self) -> Path:
        """The folder of journals."""
        return default_folder() if self.journal_dir is None else Path(self.journal_dir)

    @property
    def threshold(self) -> int:
        """The size in bytes from which a file is uploaded in parts."""
        return self.part_size if self.multipart_threshold is None else self.multipart_threshold


def _open_files_limit() -> int:
    """Return the number of files that this process may have open: 256 by default on macOS."""
    if sys.platform == "win32":
        return 512  # the limit of its C library, which sockets do not count for
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit


def _check_int(name: str, value: object, low: int, high: int) -> None:
    if type(value) is not int:
        raise ApiTypeError(f"{name} must be an int, not {type(value).__name__}")
    if not low <= value <= high:
        raise ApiValueError(f"{name} must be from {low} to {high}: got {value}")
