"""Interrupted uploads: their journals, and the check that an upload can be resumed."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from lakefs_client.exceptions import ApiException
from lakefs_client.transfer.checksum import md5_of
from lakefs_client.transfer.errors import describe, failure
from lakefs_client.transfer.journal import Journal, JournalInUseError, read_all
from lakefs_client.transfer.pool import WorkerPool
from lakefs_client.transfer.store import (
    ADDRESS_EXPIRED,
    ADDRESS_LIFE,
    LIFECYCLE_RULE,
    is_address_expired,
)
from lakefs_client.transfer.upload.destination import Destination, MultipartId
from lakefs_client.transfer.upload.part import StoredPart
from lakefs_client.uri import ObjectRef

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
_STRINGS = (
    "host", "repository", "branch", "path", "source", "content_type", "upload_id",
    "physical_address",
)  # fmt: skip
_NUMBERS = ("size", "part_size", "changed", "began")


class ResumeState(NamedTuple):
    """The state in which an earlier process left an upload.

    Attributes:
        upload: The upload's identity.
        stored: The parts that the store has, by number.
        completing: The earlier process asked lakeFS to complete the upload.
        age: Seconds since the upload began.
    """

    upload: MultipartId
    stored: dict[int, StoredPart]
    completing: bool
    age: float


class PendingUpload(NamedTuple):
    """An interrupted upload that can be resumed.

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
        upload_id: Id of the multipart upload.
        physical_address: Address of the object in the store.
        began: Start of the upload, in seconds since the epoch.
        parts: Number of parts that the store has.
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
    """The journal of an upload, under its `upload_key`.

    Raises:
        TransferError: Another transfer holds the journal.
        OSError: The journal cannot be made or read.
    """

    def __init__(self, folder: Path, key: dict[str, Any], destination: Destination) -> None:
        self._key = key
        self._destination = destination
        try:
            super().__init__(folder, KIND, key)
        except JournalInUseError as error:
            raise failure(
                destination,
                f"another transfer of {key['source']} to it is in progress and holds the journal "
                f"{error}",
                "aborted",
            ) from error

    def begin(self, upload: MultipartId, source: FileSource) -> None:
        """Record that an upload of a file began. Raises as `start`."""
        size, changed = source.stamp
        since = {"size": size, "changed": changed, "began": time.time()}
        self.start({**self._key, **since, **upload._asdict()})

    def add_part(self, number: int, stored: StoredPart) -> None:
        """Record that the store has a part."""
        self.add({"part": number, "stored": stored[:4]})

    def completing(self) -> None:
        """Record that lakeFS is about to be asked to complete the upload."""
        self.add({"completing": True})

    def abort(self, upload: MultipartId) -> bool:
        """Abort the upload and delete its journal. Return False, and keep the journal, if the
        abort failed."""
        aborted = abort_quietly(self._destination, upload)
        if aborted:
            self.clear()
        return aborted

    def resume_state(self, source: FileSource, plan: PartPlan, workers: int) -> ResumeState | None:
        """Return the state to resume from, or None if there is none that fits the file.

        The file's parts are compared with the MD5s of the parts in the store.
        """
        if not self.records:
            return None
        state, first = _state(self.records), self.records[0]
        if state is None:
            logger.warning(
                "%s: ignoring a journal of another format: %s", self._destination, self.path
            )
            self.clear()
            return None
        if [first["size"], first["changed"]] != [*source.stamp]:
            reason = "the file changed since"
        elif state.age >= ADDRESS_LIFE:
            reason = ADDRESS_EXPIRED
        elif not _has_parts(source, plan, state.stored, workers):
            reason = "the file has different bytes now"
        else:
            logger.debug(
                "%s: resuming upload id %s, %d of %d parts are in the store",
                self._destination, state.upload.upload_id, len(state.stored), plan.count,
            )  # fmt: skip
            return state
        logger.warning(
            "%s: cannot resume the upload %s, starting a new one: %s",
            self._destination, state.upload.upload_id, reason,
        )  # fmt: skip
        self.abort(state.upload)
        return None


def _has_parts(
    source: FileSource, plan: PartPlan, stored: dict[int, StoredPart], workers: int
) -> bool:
    """Return True if a file still has the bytes that the store received."""

    def has(number: int) -> bool:
        return md5_of(source, plan.part(number)) == stored[number].sent_md5

    pool = WorkerPool(workers, "lakefs-client-check")
    try:
        return all(future.result() for future in [pool.submit(has, number) for number in stored])
    finally:
        pool.close()


def upload_key(
    host: str, destination: Destination, source: FileSource, plan: PartPlan
) -> dict[str, Any]:
    """Return the values that identify an upload across processes."""
    ref = destination.ref
    values = (
        host, ref.repository, ref.ref, ref.path, os.path.abspath(source.name), plan.part_size,
        destination.content_type, destination.user_metadata,
    )  # fmt: skip
    return dict(zip(_KEY, values))


def abort_quietly(destination: Destination, upload: MultipartId) -> bool:
    """Abort an upload. Log a failure, and return False."""
    try:
        destination.abort(upload)
    except ApiException as error:
        left = "parts may be left in the store"
        if is_address_expired(error):
            left = f"only {LIFECYCLE_RULE} can remove its parts"
        logger.warning(
            "%s: the abort of the upload id %s failed (%s): %s",
            destination, upload.upload_id, describe(error), left,
        )  # fmt: skip
        return False
    return True


def discard(folder: Path, client: ApiClient, pending: PendingUpload) -> None:
    """Abort a pending upload, and delete its journal.

    Raises:
        TransferError: Another process has resumed it.
        ApiException: The abort failed. If the address expired, the journal is deleted anyway.
    """
    ref = ObjectRef(pending.repository, pending.branch, pending.path)
    destination = Destination(client, ref, pending.content_type, pending.user_metadata)
    key = {name: getattr(pending, name) for name in _KEY}
    with UploadJournal(folder, key, destination) as journal:
        try:
            destination.abort(MultipartId(pending.upload_id, pending.physical_address))
        except ApiException as error:
            if is_address_expired(error):
                journal.clear()
            raise
        journal.clear()


def pending_uploads(folder: Path, host: str) -> Iterator[PendingUpload]:
    """Yield the interrupted uploads to a server that can be resumed."""
    for records in read_all(folder, KIND):
        state, first = _state(records), records[0]
        if state is not None and first["host"] == host:
            fields = {name: first[name] for name in PendingUpload._fields if name in first}
            yield PendingUpload(**fields, parts=len(state.stored))


def _state(records: list[dict[str, Any]]) -> ResumeState | None:
    """Return the state that a journal's records describe, or None if they have another shape.

    A release with another format, or a damaged disk, may have written them.
    """
    first, *steps = records
    if not (
        all(isinstance(first.get(name), str) for name in _STRINGS)
        and all(type(first.get(name)) in (int, float) for name in _NUMBERS)
        and isinstance(first.get("user_metadata"), dict)
        and all(isinstance(value, str) for value in first["user_metadata"].values())
    ):
        return None
    stored: dict[int, StoredPart] = {}
    for step in steps:
        if "part" not in step:
            continue
        match step:
            case {"part": int(number), "stored": [_, _, _, _] as fields} if number > 0 and all(
                isinstance(field, str | None) for field in fields
            ):
                stored[number] = StoredPart(*fields)
            case _:
                return None
    return ResumeState(
        MultipartId(first["upload_id"], first["physical_address"]),
        stored,
        any("completing" in step for step in steps),
        max(0.0, time.time() - first["began"]),
    )
