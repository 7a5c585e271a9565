"""The decision about a failed upload, as a table."""

from __future__ import annotations

from typing import Any

import pytest

from lakefs_client.exceptions import ApiException, TransferError
from lakefs_client.transfer.errors import (
    CallbackError,
    PartError,
    SourceChangedError,
    SourceError,
)
from lakefs_client.transfer.presigned import RenewalUnsupportedError
from lakefs_client.transfer.store import ADDRESS_EXPIRED
from lakefs_client.transfer.upload.complete import (
    NotAssembledError,
    PartsRejectedError,
    UploadGoneError,
)
from lakefs_client.transfer.upload.outcome import UploadState, WriteRefusedError, decide


def http(status: int, body: str = "") -> ApiException:
    error = ApiException(status, "words")
    error.body = body
    return error


NO_SUCH_UPLOAD = http(404, "<Code>NoSuchUpload</Code>")
EXPIRED = http(400, "link address expired")
REFUSED = http(403)
NO_RENEWAL = RenewalUnsupportedError(404, "no upload_part")
SENDING = UploadState(begun=True, stored=True, journaled=False, resumed=False)
JOURNALED = SENDING._replace(journaled=True)
RESUMED = JOURNALED._replace(resumed=True)
FRESH = SENDING._replace(stored=False)
UNBEGUN = UploadState(begun=False, stored=False, journaled=False, resumed=False)


def transfer_error(outcome: Any) -> TransferError:
    return TransferError("words", outcome=outcome, cause=http(500))


@pytest.mark.parametrize(
    ("error", "state", "action", "report", "restart"),
    [
        # No upload exists: the error itself is raised.
        (REFUSED, UNBEGUN, "nothing", False, None),
        # A part failed: only a later process can use the stored parts.
        (PartError(3, REFUSED), SENDING, "abort", True, None),
        (PartError(3, REFUSED), JOURNALED, "keep", True, None),
        (PartError(3, SourceError("disk")), JOURNALED, "keep", True, None),
        (PartError(3, SourceChangedError("grown")), JOURNALED, "abort", True, None),
        (PartError(3, KeyError("bug")), SENDING, "abort", True, None),
        # The branch rejects writes, also the next time.
        (WriteRefusedError(403, "protected"), JOURNALED, "abort", True, None),
        # The upload does not exist or cannot continue: only a new one can succeed.
        (PartError(3, NO_SUCH_UPLOAD), JOURNALED, "abort", True, "404 words"),
        (UploadGoneError(http(409)), JOURNALED, "abort", True, "409 words"),
        (PartError(3, NO_RENEWAL), FRESH, "abort", True, "404 no upload_part"),
        (PartError(3, NO_RENEWAL), SENDING, "abort", True, None),
        (PartError(3, NO_RENEWAL), RESUMED, "abort", True, "404 no upload_part"),
        (PartError(3, EXPIRED), RESUMED, "keep", True, ADDRESS_EXPIRED),
        (PartError(3, EXPIRED), JOURNALED, "keep", True, None),
        # The complete request was not executed, or the store rejects the parts.
        (NotAssembledError(http(0)), SENDING, "abort", True, None),
        (NotAssembledError(http(0)), JOURNALED, "keep", True, None),
        (PartsRejectedError(http(500)), JOURNALED, "abort", True, None),
        # The store may have assembled the object: nothing is aborted.
        (transfer_error("unknown"), SENDING, "nothing", False, None),
        (transfer_error("unknown"), JOURNALED, "nothing", False, None),
        (transfer_error("mismatch"), JOURNALED, "forget", False, None),
        (transfer_error("not linked"), JOURNALED, "forget", False, None),
        # The caller's exceptions and interrupts are raised unchanged.
        (CallbackError(ValueError("mine")), SENDING, "abort", False, None),
        (CallbackError(http(503)), SENDING, "abort", False, None),
        (PartError(3, CallbackError(ValueError("mine"))), SENDING, "abort", False, None),
        (KeyboardInterrupt(), JOURNALED, "keep", False, None),
        (OSError("temporary files"), SENDING, "abort", False, None),
    ],
)
def test_decide(
    error: BaseException, state: UploadState, action: str, report: bool, restart: str | None
) -> None:
    outcome = decide(error, state)
    assert (outcome.action, outcome.report, outcome.restart) == (action, report, restart)
    assert outcome.part_number == (3 if isinstance(error, PartError) and state.begun else None)
