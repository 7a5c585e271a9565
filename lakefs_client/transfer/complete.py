"""The end of a multipart upload: complete, and find out what happened when it fails.

The store assembles the object before lakeFS records it, so an error may come with the object
in place, and an upload that is gone may be one that succeeded.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from lakefs_client.exceptions import ApiConnectionError, ApiException, TransferError
from lakefs_client.models import CompletePresignMultipartUpload, UploadPart

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakefs_client.model.object_stats import ObjectStats
    from lakefs_client.retry import RetryPolicy
    from lakefs_client.transfer.part import Stored
    from lakefs_client.transfer.target import Multipart, Target

# Codes of S3 with which it refuses a list of parts; lakeFS passes them on in a 500.
_REFUSALS = ("InvalidPart", "InvalidPartOrder", "EntityTooSmall")


class NothingAssembledError(Exception):
    """The upload is as it was: the store was not asked, or refused the parts."""

    def __init__(self, cause: ApiException) -> None:
        self.cause = cause
        super().__init__(cause)


def complete(
    target: Target,
    upload: Multipart,
    stored: list[Stored],
    size: int,
    policy: RetryPolicy,
    sleep: Callable[[float], object],
) -> ObjectStats:
    """Complete an upload, and hold the object against what was sent.

    Args:
        target: The object.
        upload: The upload.
        stored: What the store said of each part, in order.
        size: Bytes that were sent.
        policy: How often to ask.
        sleep: Waits between.

    Raises:
        NothingAssembledError: The store has no object; the upload can be aborted.
        TransferError: What happened is not known, or the object is not what was sent.
    """
    body = CompletePresignMultipartUpload(
        physical_address=upload.physical_address,
        parts=[
            UploadPart(part_number=number, etag=one.etag or one.content_md5 or "")
            for number, one in enumerate(stored, 1)
        ],
        user_metadata=target.user_metadata,
        content_type=target.content_type,
    )
    stats = _completed(target, upload, body, policy, sleep)
    _hold_against(target, upload, stats, size, composite_md5([one.md5 for one in stored]))
    return stats


def _completed(
    target: Target,
    upload: Multipart,
    body: CompletePresignMultipartUpload,
    policy: RetryPolicy,
    sleep: Callable[[float], object],
) -> ObjectStats:
    """A look after a failure tells what happened; another complete after it does no harm, since
    of several exactly one succeeds."""
    failures = 0
    while True:
        try:
            return target.complete(upload, body)
        except ApiException as error:
            failure = error
        failures += 1
        if failures == 1 and _nothing_assembled(failure):
            raise NothingAssembledError(failure) from failure
        try:
            there = target.stat()
        except ApiException as error:
            raise _unknown(target, upload, failure, "and so did the look at the object") from error
        if there is not None and same_address(there.physical_address, upload.physical_address):
            return there
        if failures >= policy.attempts or not _worth_another(failure):
            raise _unknown(
                target, upload, failure, "and no object refers to the upload"
            ) from failure
        sleep(policy.wait(failures, None, 1.0) or 0.0)


def _unknown(target: Target, upload: Multipart, failure: ApiException, more: str) -> TransferError:
    return TransferError(
        f"{target}: every part is in the store, but complete failed ({failure.status} "
        f"{failure.reason}), {more}. Whether the parts were assembled is not known: the object is "
        "there and whole if stat_object shows this physical address; if not, "
        "link_physical_address with it makes the object of assembled parts, and "
        "complete_presign_multipart_upload with the upload id assembles those that are not",
        outcome="unknown",
        cause=failure,
        upload_id=upload.upload_id,
        physical_address=upload.physical_address,
    )


def _nothing_assembled(error: ApiException) -> bool:
    if isinstance(error, ApiConnectionError):
        return not error.sent
    body = error.body or ""
    return error.status == 400 or (
        error.status == 500 and any(f"api error {code}" in body for code in _REFUSALS)
    )


def _worth_another(error: ApiException) -> bool:
    """Whether completing again may help. It does not where the store has done its part."""
    if isinstance(error, ApiConnectionError):
        return True
    status = error.status or 0
    return status in (409, 420, 429) or (status >= 500 and "NoSuchUpload" not in (error.body or ""))


def _hold_against(
    target: Target, upload: Multipart, stats: ObjectStats, size: int, checksum: str | None
) -> None:
    found = stats.get("size_bytes", size)
    if found != size:
        wrong = f"it has {found} bytes, {size} were sent"
    elif checksum is not None and stats.checksum.strip('"') != checksum:
        wrong = f"its checksum is {stats.checksum}, that of what was sent {checksum}"
    else:
        return
    raise TransferError(
        f"{target} is there and is not what was sent: {wrong}",
        outcome="mismatch",
        upload_id=upload.upload_id,
        physical_address=upload.physical_address,
    )


def same_address(one: str, other: str) -> bool:
    """Whether two physical addresses are of the same bytes; one may lack the namespace."""
    return one == other or one.endswith(f"/{other}") or other.endswith(f"/{one}")


def composite_md5(parts: list[str | None]) -> str | None:
    """The ETag of an object that was assembled from parts; None where an MD5 is not known.

    It is the MD5 of the parts' binary MD5s, and their number:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
    """
    digest = hashlib.md5(usedforsecurity=False)
    for md5 in parts:
        if md5 is None:
            return None
        digest.update(bytes.fromhex(md5))
    return f"{digest.hexdigest()}-{len(parts)}"
