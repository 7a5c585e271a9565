"""Exceptions that travel inside a transfer, and the one place that builds a TransferError."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefs_client._redact import printable
from lakefs_client.exceptions import (
    ApiException,
    ObjectExistsError,
    PreconditionFailedException,
    TransferError,
)

if TYPE_CHECKING:
    from lakefs_client.exceptions import TransferOutcome


class Cancelled(Exception):
    """The transfer was cancelled: the part that raises this is not to blame."""

    def __str__(self) -> str:
        return "the transfer was cancelled"


class DamagedError(ApiException):
    """The bytes that arrived differ from the bytes that were sent."""


class SourceError(OSError):
    """The source file could not be read."""


class SourceChangedError(SourceError):
    """The source file changed during the transfer."""


class WrappedError(Exception):
    """Wraps an exception so that intermediate handlers let it pass."""

    def __init__(self, cause: BaseException) -> None:
        self.cause = cause
        super().__init__(cause)


class CallbackError(WrappedError):
    """Wraps an exception that the caller's callback raised."""


class PartError(WrappedError):
    """Wraps the exception that a part failed with, with the part's number."""

    def __init__(self, number: int, cause: BaseException) -> None:
        self.number = number
        super().__init__(cause)


def unwrap(error: BaseException) -> BaseException:
    """Return the exception inside any number of wrappers."""
    while isinstance(error, WrappedError):
        error = error.cause
    return error


def describe(error: BaseException) -> str:
    """Return a short description: an HTTP status with its reason, or the error's text."""
    if not isinstance(error, ApiException):
        return printable(str(error))
    if isinstance(error, TransferError) or not error.status:
        return printable(str(error.reason))  # which has the status that a transfer failed with
    return printable(f"{error.status} {error.reason}")


def failure(
    subject: object,
    problem: str,
    outcome: TransferOutcome,
    cause: BaseException | None = None,
    *,
    part_number: int | None = None,
    upload_id: str | None = None,
    physical_address: str | None = None,
) -> TransferError:
    """Build the TransferError of `subject`, an object's URI for example."""
    exists = isinstance(cause, PreconditionFailedException)
    return (ObjectExistsError if exists else TransferError)(
        f"{subject}: {problem}",
        outcome=outcome,
        cause=cause,
        part_number=part_number,
        upload_id=upload_id,
        physical_address=physical_address,
    )
