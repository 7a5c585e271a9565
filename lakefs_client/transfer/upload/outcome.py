"""The decision about a failed multipart upload: one pure function."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lakefs_client.exceptions import ApiException, TransferError
from lakefs_client.transfer.errors import (
    CallbackError,
    PartError,
    SourceChangedError,
    SourceError,
    WrappedError,
    describe,
)
from lakefs_client.transfer.presigned import RenewalUnsupportedError
from lakefs_client.transfer.store import ADDRESS_EXPIRED, is_address_expired, is_upload_gone
from lakefs_client.transfer.upload.complete import PartsRejectedError, UploadGoneError

if TYPE_CHECKING:
    from typing import Literal

    Action = Literal["nothing", "forget", "keep", "abort"]


class WriteRefusedError(ApiException):
    """The branch rejects writes, which lakeFS itself reports only after the last part."""


TERMINAL = (
    PartsRejectedError, UploadGoneError, SourceChangedError, WriteRefusedError,
    RenewalUnsupportedError,
)  # fmt: skip
"""Errors after which the parts in the store are of no use."""


class UploadState(NamedTuple):
    """The state of an upload when it failed.

    Attributes:
        begun: The upload exists in the store.
        stored: The store has at least one part.
        journaled: A later process can find the upload in its journal.
        resumed: An earlier process began the upload.
    """

    begun: bool
    stored: bool
    journaled: bool
    resumed: bool


class Outcome(NamedTuple):
    """The decision about a failed upload.

    Attributes:
        cause: The error without its wrappers.
        part_number: The part that failed, if it was a part.
        action: ``nothing``, ``forget`` the journal, ``keep`` the parts for a later process, or
            ``abort`` the upload.
        report: The caller gets a TransferError, rather than the cause itself.
        restart: The reason why only a new upload can succeed, or None.
    """

    cause: BaseException
    part_number: int | None
    action: Action
    report: bool
    restart: str | None = None


def decide(error: BaseException, state: UploadState) -> Outcome:
    """Return the decision about an upload that failed with this error."""
    cause, number = error, None
    if isinstance(error, WrappedError) and not isinstance(error, CallbackError):
        cause, number = error.cause, error.number if isinstance(error, PartError) else None
    if not state.begun:
        return Outcome(cause, number, "nothing", False)
    if isinstance(error, TransferError):
        # The store may have assembled the object, so nothing is aborted. A later process finds
        # out what happened, unless that is known already.
        forget = state.journaled and error.outcome in ("mismatch", "not linked")
        action: Action = "forget" if forget else "nothing"
        return Outcome(error, None, action, False, _restart_reason(error, error, state))
    terminal = isinstance(error, TERMINAL) or isinstance(cause, TERMINAL) or is_upload_gone(cause)
    return Outcome(
        cause,
        number,
        "keep" if state.journaled and not terminal else "abort",
        _is_reported(cause, number),
        _restart_reason(error, cause, state),
    )


def _is_reported(cause: BaseException, number: int | None) -> bool:
    """Return False for the caller's own exceptions, and for interrupts of any process."""
    if isinstance(cause, CallbackError) or not isinstance(cause, Exception):
        return False
    return number is not None or isinstance(cause, (ApiException, SourceError))


def _restart_reason(error: BaseException, cause: BaseException, state: UploadState) -> str | None:
    if state.resumed and is_address_expired(cause):
        return ADDRESS_EXPIRED
    unrenewable = isinstance(cause, RenewalUnsupportedError)
    if (
        isinstance(error, UploadGoneError)
        or is_upload_gone(cause)
        or (unrenewable and (state.resumed or not state.stored))
    ):
        return describe(cause)
    return None
