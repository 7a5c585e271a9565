"""Settings of transfers: one immutable value."""

from __future__ import annotations

from dataclasses import dataclass

from lakefs_client.exceptions import ApiTypeError, ApiValueError
from lakefs_client.retry import RetryPolicy
from lakefs_client.transfer.plan import MAX_PART_SIZE, MAX_SINGLE_PUT, MIB, MIN_PART_SIZE

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

    Raises:
        ApiTypeError: A value has the wrong type.
        ApiValueError: A value is outside its limits.
    """

    part_size: int = 16 * MIB
    multipart_threshold: int | None = None
    max_concurrency: int = 8
    verify: bool = True
    retry: RetryPolicy | None = None

    def __post_init__(self) -> None:
        _whole("part_size", self.part_size, MIN_PART_SIZE, MAX_PART_SIZE)
        if self.multipart_threshold is not None:
            _whole("multipart_threshold", self.multipart_threshold, 0, MAX_SINGLE_PUT)
        _whole("max_concurrency", self.max_concurrency, 1, MAX_CONCURRENCY)
        if not isinstance(self.verify, bool):
            raise ApiTypeError("verify must be a bool")
        if self.retry is not None and not isinstance(self.retry, RetryPolicy):
            raise ApiTypeError("retry must be a RetryPolicy")

    @property
    def threshold(self) -> int:
        """From how many bytes on a file goes up in parts."""
        return self.part_size if self.multipart_threshold is None else self.multipart_threshold


def _whole(name: str, value: object, low: int, high: int) -> None:
    if type(value) is not int:
        raise ApiTypeError(f"{name} must be an int, not {type(value).__name__}")
    if not low <= value <= high:
        raise ApiValueError(f"{name} must be from {low} to {high}, not {value}")
