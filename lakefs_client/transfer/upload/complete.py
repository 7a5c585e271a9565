"""The end of a multipart upload: complete it, and find out what happened if that fails.

The store assembles the object before lakeFS records it. So an error may come with the object in
place, and an upload that no longer exists may be one that succeeded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakefs_client.exceptions import ApiConnectionError, ApiException, TransferError
from lakefs_client.models import CompletePresignMultipartUpload, UploadPart
from lakefs_client.transfer.checksum import composite_md5
from lakefs_client.transfer.errors import WrappedError, describe, failure
from lakefs_client.transfer.store import same_address

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakefs_client.model.object_stats import ObjectStats
    from lakefs_client.retry import RetryPolicy
    from lakefs_client.transfer.upload.destination import Destination, MultipartId
    from lakefs_client.transfer.upload.part import StoredPart

# S3's codes for a list of parts that it rejects; lakeFS passes them on in a 500.
_REJECTIONS = ("InvalidPart", "InvalidPartOrder", "EntityTooSmall")
_SETTLE = (
    "The object is there and whole if stat_object shows this physical address. If not, "
    "complete_presign_multipart_upload with the upload id assembles the parts, and "
    "link_physical_address with this address records an object that the store has assembled"
)
_NOT_LINKED = (
    "The store assembled the object before lakeFS refused to record it. Once the branch accepts "
    "writes, link_physical_address with this address records it"
)


class NotAssembledError(WrappedError):
    """The request to complete the upload did not get through: the upload is unchanged."""


class PartsRejectedError(NotAssembledError):
    """The store rejects this list of parts, and would do so again."""


class UploadGoneError(NotAssembledError):
    """The upload no longer exists and is not an object: only a new upload can succeed."""


@dataclass
class Completion:
    """The attempts to complete one upload.

    Attributes:
        destination: The object's place.
        upload: The upload's identity.
        parts: The stored parts, in order.
        size: Size of the object in bytes.
        requested: An earlier request to complete this upload may have succeeded.
    """

    destination: Destination
    upload: MultipartId
    parts: list[StoredPart]
    size: int
    requested: bool

    def run(self, policy: RetryPolicy, sleep: Callable[[float], object]) -> ObjectStats:
        """Complete the upload, and verify the object's size and checksum.

        After a failure, the object at the path tells what happened. If it does not, another
        request does no harm, since exactly one of several succeeds.

        Raises:
            NotAssembledError: The store has no object; the upload can be aborted.
            PartsRejectedError: The same, and another request would fail too.
            UploadGoneError: The same, and there are no parts to abort.
            TransferError: The outcome is not known, or the object is not what was sent.
        """
        if self.requested and (stats := self._own_object(self.destination.stat())):
            return stats
        body = self._body()
        failures = 0
        while True:
            try:
                return self._verified(self.destination.complete(self.upload, body))
            except TransferError:
                raise
            except ApiException as error:
                cause = error
            failures += 1
            if not self.requested:
                self._raise_if_not_assembled(cause)
            if stats := self._own_object(self._look(cause)):
                return stats
            gone = "NoSuchUpload" in (cause.body or "")
            if cause.status == 409 or (gone and not self.requested):
                raise UploadGoneError(cause) from cause
            self.requested = True
            if failures >= policy.attempts or not _may_succeed(cause):
                raise self._unknown(cause, "and no object refers to the upload") from cause
            sleep(policy.wait(failures, None, 1.0) or 0.0)

    def _body(self) -> CompletePresignMultipartUpload:
        return CompletePresignMultipartUpload(
            physical_address=self.upload.physical_address,
            parts=[
                UploadPart(part_number=number, etag=part.etag or part.content_md5 or "")
                for number, part in enumerate(self.parts, 1)
            ],
            user_metadata=self.destination.user_metadata,
            content_type=self.destination.content_type,
        )

    @property
    def _checksum(self) -> str | None:
        return composite_md5([part.md5 for part in self.parts])

    @staticmethod
    def _raise_if_not_assembled(cause: ApiException) -> None:
        if isinstance(cause, ApiConnectionError) and not cause.sent:
            raise NotAssembledError(cause) from cause
        if _rejects_parts(cause):
            raise PartsRejectedError(cause) from cause

    def _look(self, cause: ApiException) -> ObjectStats | None:
        """Return the object that is at the path now."""
        try:
            return self.destination.stat()
        except ApiException as error:
            raise self._unknown(cause, "and so did the look at the object") from error

    def _own_object(self, stats: ObjectStats | None) -> ObjectStats | None:
        """Return the stats, verified, if they are those of this upload's object."""
        if stats is None or not same_address(stats.physical_address, self.upload.physical_address):
            return None
        return self._verified(stats)

    def _verified(self, stats: ObjectStats) -> ObjectStats:
        return verify_stats(stats, self.size, self._checksum, self.destination, self.upload)

    def _unknown(self, cause: ApiException, problem: str) -> TransferError:
        forbidden = cause.status == 403
        return failure(
            self.destination,
            f"every part is in the store, but complete failed ({describe(cause)}), {problem}. "
            f"{_NOT_LINKED if forbidden else _SETTLE} ({self.size} bytes, checksum "
            f"{self._checksum or 'not known'})",
            "not linked" if forbidden else "unknown",
            cause,
            **self.upload._asdict(),
        )


def verify_stats(
    stats: ObjectStats,
    size: int,
    checksum: str | None,
    destination: Destination,
    upload: MultipartId | None = None,
) -> ObjectStats:
    """Return the stats if they have this size and, if it is known, this checksum.

    Raises:
        TransferError: The size or the checksum differs.
    """
    actual_size, actual = stats.get("size_bytes", size), stats.checksum.strip('"')
    if actual_size != size:
        difference = f"got {actual_size} bytes, expected {size}"
    elif checksum not in (None, actual):
        difference = f"got checksum {actual}, expected {checksum}"
    else:
        return stats
    raise failure(
        destination,
        f"the object differs from what was sent: {difference}",
        "mismatch",
        upload_id=upload and upload.upload_id,
        physical_address=upload.physical_address if upload else stats.physical_address,
    )


def _rejects_parts(error: ApiException) -> bool:
    body = error.body or ""
    return error.status == 400 or (
        error.status == 500 and any(f"api error {code}" in body for code in _REJECTIONS)
    )


def _may_succeed(error: ApiException) -> bool:
    """Return True if another request to complete may succeed.

    It cannot if the store has assembled the object already.
    """
    if isinstance(error, ApiConnectionError):
        return True
    status = error.status or 0
    return status in (420, 429) or (status >= 500 and "NoSuchUpload" not in (error.body or ""))
