"""The end of an upload: complete or link, and find out what happened when that fails.

The store assembles the object before lakeFS records it, so an error may come with the object
in place, and an upload that is gone may be one that succeeded.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakefs_client.exceptions import ApiConnectionError, ApiException, TransferError
from lakefs_client.models import CompletePresignMultipartUpload, UploadPart
from lakefs_client.transfer.part import CarrierError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lakefs_client.model.object_stats import ObjectStats
    from lakefs_client.retry import RetryPolicy
    from lakefs_client.transfer.part import Stored
    from lakefs_client.transfer.target import Multipart, Target

# Codes of S3 with which it refuses a list of parts; lakeFS passes them on in a 500.
_REFUSALS = ("InvalidPart", "InvalidPartOrder", "EntityTooSmall")


class NothingAssembledError(CarrierError):
    """The upload is as it was: the request to complete it did not get through."""


class PartsRefusedError(NothingAssembledError):
    """The store will make no object of these parts, however often it is asked."""


class UploadGoneError(NothingAssembledError):
    """The upload is no more, or lost a race, and is no object: only another one can succeed."""


def complete(
    target: Target,
    upload: Multipart,
    stored: list[Stored],
    size: int,
    policy: RetryPolicy,
    sleep: Callable[[float], object],
    *,
    asked: bool,
) -> ObjectStats:
    """Complete an upload of these parts and so many bytes, and hold the object against them.

    `asked` says that an earlier process asked, and may not have lived to see the answer.

    Raises:
        NothingAssembledError: The store has no object; the upload can be aborted.
        PartsRefusedError: The same, and there is no use in asking again.
        UploadGoneError: The same, and there are no parts to be aborted.
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
    checksum = composite_md5([one.md5 for one in stored])
    return _Completion(target, upload, size, checksum, asked).run(body, policy, sleep)


@dataclass
class _Completion:
    """The attempts to complete one upload."""

    target: Target
    upload: Multipart
    size: int
    checksum: str | None
    asked: bool

    def run(
        self,
        body: CompletePresignMultipartUpload,
        policy: RetryPolicy,
        sleep: Callable[[float], object],
    ) -> ObjectStats:
        """Complete. After a failure a look at the object tells what happened; where it tells
        nothing, another complete does no harm, since of several exactly one succeeds."""
        if self.asked:
            there = self.target.stat()
            if there is not None and self._is_ours(there):
                return self._held_against(there)
        failures = 0
        while True:
            try:
                return self._held_against(self.target.complete(self.upload, body))
            except TransferError:
                raise
            except ApiException as error:
                failure = error
            failures += 1
            if not self.asked:
                if isinstance(failure, ApiConnectionError) and not failure.sent:
                    raise NothingAssembledError(failure) from failure
                if _refuses_parts(failure):
                    raise PartsRefusedError(failure) from failure
            there = self._look(failure)
            if there is not None and self._is_ours(there):
                return self._held_against(there)
            if "NoSuchUpload" in (failure.body or ""):
                if not self.asked:
                    raise UploadGoneError(failure) from failure
                if self.checksum:
                    # An earlier complete spent the upload: the object is there, and unrecorded.
                    return self._linked(there, failure)
            if failure.status == 409:
                raise UploadGoneError(failure) from failure
            self.asked = True
            if failures >= policy.attempts or not _worth_another(failure):
                raise self._unknown(failure, "and no object refers to the upload") from failure
            sleep(policy.wait(failures, None, 1.0) or 0.0)

    def _look(self, failure: ApiException) -> ObjectStats | None:
        """What stands at the path now."""
        try:
            return self.target.stat()
        except ApiException as error:
            raise self._unknown(failure, "and so did the look at the object") from error

    def _is_ours(self, stats: ObjectStats) -> bool:
        return same_address(stats.physical_address, self.upload.physical_address)

    def _linked(self, former: ObjectStats | None, failure: ApiException) -> ObjectStats:
        """Link what the store assembled, and see that it is there and whole.

        lakeFS links any address, that of an aborted upload as well: only a read tells.
        """
        target, address = self.target, self.upload.physical_address
        more = "and so did linking its address"
        try:
            stats = target.link(address, self.checksum or "", self.size)
            more = "its address is linked now, and reading the object failed"
            if target.stored() == (self.size, self.checksum):
                return stats
            more = "its address is linked now, and what it refers to is not what was sent"
            target.put_back(former)
        except ApiException as error:
            raise self._unknown(failure, more) from error
        raise self._unknown(failure, "and nothing that was sent is at its address") from failure

    def _held_against(self, stats: ObjectStats) -> ObjectStats:
        return held_against(stats, self.size, self.checksum, self.target, self.upload)

    def _unknown(self, failure: ApiException, more: str) -> TransferError:
        return TransferError(
            f"{self.target}: every part is in the store, but complete failed "
            f"({reason(failure)}), {more}. {_ADVICE.get(failure.status or 0, _ADVICE[0])} "
            f"({self.size} bytes, checksum {self.checksum or 'not known'})",
            outcome="not linked" if failure.status == 403 else "unknown",
            cause=failure,
            upload_id=self.upload.upload_id,
            physical_address=self.upload.physical_address,
        )


def held_against(
    stats: ObjectStats,
    size: int,
    checksum: str | None,
    target: Target,
    upload: Multipart | None = None,
) -> ObjectStats:
    """Hold an object's size and checksum, where it is known, against what was sent. Raises
    TransferError where they differ."""
    there, fingerprint = stats.get("size_bytes", size), stats.checksum.strip('"')
    if there != size:
        wrong = f"it has {there} bytes, {size} were sent"
    elif checksum not in (None, fingerprint):
        wrong = f"its checksum is {fingerprint}, that of what was sent {checksum}"
    else:
        return stats
    raise TransferError(
        f"{target} is there and is not what was sent: {wrong}",
        outcome="mismatch",
        upload_id=upload and upload.upload_id,
        physical_address=upload.physical_address if upload else stats.physical_address,
    )


_ADVICE = {
    0: "The object is there and whole if stat_object shows this physical address; if not, "
    "link_physical_address with it makes the object of assembled parts, and "
    "complete_presign_multipart_upload with the upload id assembles those that are not",
    403: "The store assembled the object before lakeFS refused to record it: once the branch may "
    "be written to, link_physical_address with this address makes the object",
}


def link(target: Target, physical_address: str, checksum: str, size: int) -> ObjectStats:
    """Link bytes that went up in one PUT. After a failure a look at the object tells whether
    the answer was all that was lost.

    Raises:
        TransferError: They are not linked, or it is not known whether they are.
    """
    try:
        return target.link(physical_address, checksum, size)
    except ApiException as error:
        failure = error
    outcome, more = "not linked", "no object refers to them"
    try:
        there = target.stat()
        if there is not None and same_address(there.physical_address, physical_address):
            return there
    except ApiException:
        outcome, more = "unknown", "the look at the object failed as well"
    raise TransferError(
        f"{target}: the bytes are in the store, but linking them failed ({reason(failure)}), and "
        f"{more}; link_physical_address with this address makes the object",
        outcome=outcome,
        cause=failure,
        physical_address=physical_address,
    )


def reason(error: BaseException) -> str:
    """What went wrong, in few words: the status, or what happened on the network or the disk."""
    if isinstance(error, ApiException):
        return f"{error.status} {error.reason}" if error.status else str(error.reason)
    return str(error)


def _refuses_parts(error: ApiException) -> bool:
    body = error.body or ""
    return error.status == 400 or (
        error.status == 500 and any(f"api error {code}" in body for code in _REFUSALS)
    )


def _worth_another(error: ApiException) -> bool:
    """Whether completing again may help. It does not where the store has done its part."""
    if isinstance(error, ApiConnectionError):
        return True
    status = error.status or 0
    return status in (420, 429) or (status >= 500 and "NoSuchUpload" not in (error.body or ""))


def same_address(one: str, other: str) -> bool:
    """Whether two physical addresses are of the same bytes; one may lack the namespace."""
    return one == other or one.endswith(f"/{other}") or other.endswith(f"/{one}")


def composite_md5(parts: Sequence[str | None]) -> str | None:
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
