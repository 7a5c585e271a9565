"""Uploads that a later process can go on with: what their journals say, and if it still holds."""

from __future__ import annotations

import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from lakefs_client.exceptions import ApiException, TransferError
from lakefs_client.transfer.checksum import md5_of
from lakefs_client.transfer.journal import Journal, JournalInUseError, read_all
from lakefs_client.transfer.part import Stored
from lakefs_client.transfer.target import (
    ADDRESS_LIFE,
    LIFECYCLE_RULE,
    OVER,
    Multipart,
    Target,
    is_over,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lakefs_client.api_client import ApiClient
    from lakefs_client.transfer.plan import PartPlan
    from lakefs_client.transfer.source import FileSource

logger = logging.getLogger("lakefs_client.transfer")

KIND = "upload"
_KEY = (
    "host", "repository", "branch", "path", "source", "part_size", "content_type",
    "user_metadata",
)  # fmt: skip


class Earlier(NamedTuple):
    """What an earlier process did of an upload."""

    upload: Multipart
    stored: dict[int, Stored]  # the parts that the store has, by number
    asked: bool  # whether it asked to complete
    age: float  # seconds since it was begun


class PendingUpload(NamedTuple):
    """An upload that was interrupted and can go on.

    Attributes:
        host: The server's address.
        repository: Name of the repository.
        branch: Name of the branch.
        path: Path of the object.
        source: Absolute path of the file.
        size: Bytes of the file.
        part_size: Bytes of a part.
        content_type: Media type of the object.
        user_metadata: Key-value pairs of the object.
        upload_id: Of the multipart upload.
        physical_address: Where in the store the object is to be.
        began: When it was begun, in seconds since the epoch.
        parts: How many parts the store has.
    """

    host: str
    repository: str
    branch: str
    path: str
    source: str
    size: int
    part_size: int
    content_type: str
    user_metadata: dict[str, str]
    upload_id: str
    physical_address: str
    began: float
    parts: int


class UploadJournal(Journal):
    """The journal of an upload to a target, whose `upload_key` it has.

    Raises:
        TransferError: Another process is at this upload.
        OSError: The journal cannot be made or read.
    """

    def __init__(self, folder: Path, key: dict[str, Any], target: Target) -> None:
        self._key = key
        self._target = target
        try:
            super().__init__(folder, KIND, key)
        except JournalInUseError as error:
            raise TransferError(
                f"{target}: another transfer of {key['source']} to it is under way, which holds "
                f"the journal {error}",
                outcome="aborted",
            ) from error

    def begin(self, upload: Multipart, source: FileSource) -> None:
        """Note that an upload of a file was begun. Raises as `start`."""
        size, changed = source.stamp
        since = {"size": size, "changed": changed, "began": time.time()}
        self.start({**self._key, **since, **upload._asdict()})

    def add_part(self, number: int, stored: Stored) -> None:
        """Note that the store has a part."""
        self.add({"part": number, "stored": stored[:4]})

    def completing(self) -> None:
        """Note that the parts are about to be put together."""
        self.add({"completing": True})

    def abort(self, upload: Multipart) -> bool:
        """Have an upload's parts thrown away, and forget it; tells whether it worked. Where it
        did not, the journal is left to try it again."""
        aborted = abort_quietly(self._target, upload)
        if aborted:
            self.clear()
        return aborted

    def earlier(self, source: FileSource, plan: PartPlan, workers: int) -> Earlier | None:
        """What there is to go on with; None where there is nothing, or where it no longer holds.

        The parts that the store has are held against the file.
        """
        if not self.records:
            return None
        first, *rest = self.records
        earlier = _earlier(first, rest)
        if [first["size"], first["changed"]] != [*source.stamp]:
            why = "the file was changed since"
        elif earlier.age >= ADDRESS_LIFE:
            why = OVER
        elif not _has_still(source, plan, earlier.stored, workers):
            why = "the file has other bytes now"
        else:
            logger.debug(
                "%s: going on with upload id %s, %d of %d parts are in the store",
                self._target, earlier.upload.upload_id, len(earlier.stored), plan.count,
            )  # fmt: skip
            return earlier
        logger.warning(
            "%s: the upload %s cannot go on, a new one begins: %s",
            self._target, earlier.upload.upload_id, why,
        )  # fmt: skip
        self.abort(earlier.upload)
        return None


def _has_still(source: FileSource, plan: PartPlan, stored: dict[int, Stored], workers: int) -> bool:
    """Whether a file has the bytes that the store received."""

    def has(number: int) -> bool:
        return md5_of(source, plan.part(number)) == stored[number].sent_md5

    with ThreadPoolExecutor(workers, "lakefs-client-check") as pool:
        return all(pool.map(has, stored))


def upload_key(host: str, target: Target, source: FileSource, plan: PartPlan) -> dict[str, Any]:
    """What makes it the same upload when it is tried again."""
    values = (
        host, *target.place, os.path.abspath(source.name), plan.part_size,
        target.content_type, target.user_metadata,
    )  # fmt: skip
    return dict(zip(_KEY, values))


def abort_quietly(target: Target, upload: Multipart) -> bool:
    """Have an upload's parts thrown away; a failure is logged. Tells whether it worked."""
    try:
        target.abort(upload)
    except ApiException as error:
        left = "parts may be left in the store"
        if is_over(error):
            left = f"only {LIFECYCLE_RULE} can remove its parts"
        logger.warning(
            "%s: the abort of the upload id %s failed (%s %s): %s",
            target, upload.upload_id, error.status, error.reason, left,
        )  # fmt: skip
        return False
    return True


def discard(folder: Path, client: ApiClient, pending: PendingUpload) -> None:
    """Abort a pending upload, and remove its journal.

    Raises:
        TransferError: It is under way in another process.
        ApiException: lakeFS could not be asked, or refuses an address that is over.
    """
    target = Target(
        client, pending.repository, pending.branch, pending.path, pending.content_type,
        pending.user_metadata,
    )  # fmt: skip
    key = {name: getattr(pending, name) for name in _KEY}
    with UploadJournal(folder, key, target) as journal:
        try:
            target.abort(Multipart(pending.upload_id, pending.physical_address))
        except ApiException as error:
            if is_over(error):
                journal.clear()
            raise
        journal.clear()


def pending_uploads(folder: Path, host: str) -> Iterator[PendingUpload]:
    """The uploads to a server that were interrupted and can go on."""
    for first, *rest in read_all(folder, KIND):
        if first["host"] == host:
            fields = {name: first[name] for name in PendingUpload._fields if name in first}
            yield PendingUpload(**fields, parts=len(_earlier(first, rest).stored))


def _earlier(first: dict[str, Any], rest: list[dict[str, Any]]) -> Earlier:
    return Earlier(
        Multipart(first["upload_id"], first["physical_address"]),
        {record["part"]: Stored(*record["stored"]) for record in rest if "part" in record},
        any("completing" in record for record in rest),
        max(0.0, time.time() - first["began"]),
    )
