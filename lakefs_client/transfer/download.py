"""Download a file: ranges in parallel into a private file, which is verified and renamed."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakefs_client._body import WINDOW
from lakefs_client.exceptions import ApiException, TransferError
from lakefs_client.transfer.checksum import GUESSES, is_of_md5s, matches, md5_of, part_sizes
from lakefs_client.transfer.complete import reason
from lakefs_client.transfer.journal import Journal, JournalInUseError
from lakefs_client.transfer.multipart import ABORT_WAIT
from lakefs_client.transfer.part import DamagedError, Progress, Stopped, tells_md5
from lakefs_client.transfer.partial import PartialFile, resolved
from lakefs_client.transfer.plan import Part, PartPlan
from lakefs_client.transfer.ranges import ChangedError, RemoteObject
from lakefs_client.transfer.source import FileSource, SourceError

if TYPE_CHECKING:
    from lakefs_client.model.object_stats import ObjectStats
    from lakefs_client.rest import Cancellation
    from lakefs_client.transfer.transfer import Transfer

logger = logging.getLogger("lakefs_client.transfer")

RESTARTS = 2
"""How often a download starts afresh because the object changed meanwhile."""


def download(
    transfer: Transfer,
    place: tuple[str, str, str],
    target: str,
    progress: Progress,
    *,
    resume: bool,
    within: Cancellation | None = None,
) -> ObjectStats:
    """Download what stands at a place (repository, ref and path) into a file, and what stands
    there then if it changes meanwhile. With `resume` it keeps a journal, and goes on with what an
    earlier one tells; `within` ends it from outside.

    Raises:
        OSError: The file cannot be written: FileNotFoundError, IsADirectoryError …
        TransferError: The download failed.
        ApiException: lakeFS knows no such object: NotFoundException, UnauthorizedException …
    """
    file = resolved(target)
    with _journal(transfer, place, file) if resume else nullcontext() as journal:
        remote = RemoteObject(transfer, place, within)
        progress.set_size(remote.size)
        restarts = 0
        while True:
            one = _Download(transfer, remote, file, progress, journal)
            try:
                return one.run()
            except ChangedError as error:
                change = error
            restarts += 1
            try:
                if restarts > RESTARTS:
                    raise change
                remote = RemoteObject(transfer, place, within)
            except ApiException as error:
                text = f"{remote}: changed during the download (try {restarts}): {reason(error)}"
                raise TransferError(text, outcome="aborted", cause=error) from error
            logger.warning("%s: %s; the download starts afresh", remote, reason(change))
            progress.add(-sum(one.received))


def _journal(transfer: Transfer, place: tuple[str, str, str], file: str) -> Journal:
    host, (repository, ref, path) = transfer.api_client.configuration.host, place
    key = {"host": host, "repository": repository, "ref": ref, "path": path, "target": file}
    try:
        return Journal(transfer.config.journals, "download", key)
    except JournalInUseError as error:
        raise TransferError(
            f"lakefs://{'/'.join(place)}: another download to {file} is under way, which holds "
            f"the journal {error}",
            outcome="aborted",
        ) from None


@dataclass
class _Download:
    """The download of one object, as it was found."""

    transfer: Transfer
    remote: RemoteObject
    target: str
    progress: Progress
    journal: Journal | None

    def __post_init__(self) -> None:
        config, remote = self.transfer.config, self.remote
        self._verifiable = config.verify and is_of_md5s(remote.checksum)
        self._sizes: list[int] = []
        if self._verifiable:
            self._sizes = part_sizes(remote.checksum, remote.size, config.part_size)[:GUESSES]
        # Ranges that are the object's parts are hashed as they arrive, and not from the file.
        likely = self._sizes[0] if self._sizes else config.part_size
        self._plan = PartPlan(remote.size, min(likely, config.part_size))
        self._known: dict[int, str] = {}
        self._partial = self._opened()
        self._hashed = self.journal is not None or self._plan.part_size in self._sizes
        self.received = [0] * self._plan.count  # what `progress` was told of each range
        self._md5s = [""] * self._plan.count

    def _opened(self) -> PartialFile:
        """The file to write to, and with a journal what is known to be in it."""
        if self.journal is None:
            return PartialFile(self.target)
        held, *ranges = self.journal.records or [{}]
        if held:
            try:
                partial = PartialFile(self.target, held["file"])
                if self.remote.identity.items() <= held.items():
                    self._plan = PartPlan(self.remote.size, held["range_size"])
                    self._known = {one["range"]: one["md5"] for one in ranges}
                    return partial
                logger.warning("%s has changed: its download starts afresh", self.remote)
                partial.remove()
            except FileNotFoundError:
                logger.warning("%s: what was there is gone; starting afresh", self.remote)
        partial = PartialFile(self.target)
        size, name = self._plan.part_size, os.path.basename(partial.path)
        try:
            self.journal.start({**self.remote.identity, "range_size": size, "file": name})
        except BaseException:
            partial.remove()
            raise
        return partial

    def run(self) -> ObjectStats:
        """Receive, verify, publish."""
        try:
            self._receive()
            if self._verifiable:
                self._verify()
            self._partial.publish()
        except BaseException as error:
            if self.journal is None or isinstance(error, (ChangedError, DamagedError)):
                self._partial.remove()
                self._forget()
            else:
                self._partial.close()
            if isinstance(error, DamagedError):
                text = f"{self.remote}: {reason(error)}"
                raise TransferError(text, outcome="aborted", cause=error) from error
            raise
        self._forget()
        return self.remote.stats

    def _forget(self) -> None:
        """Have no later call go on with this one."""
        if self.journal is not None:
            self.journal.clear()

    def _receive(self) -> None:
        """Receive every range, `max_concurrency` at a time. The first failure ends the rest."""
        ranges, lock = iter(self._plan), threading.Lock()

        def work() -> None:
            while True:
                with lock:
                    one = next(ranges, None)
                if one is None:
                    return
                self._receive_range(one)

        count = min(self.transfer.config.max_concurrency, self._plan.count)
        if count == 1:
            work()
            return
        workers = ThreadPoolExecutor(count, "lakefs-client-download")
        futures: list[Future[None]] = []
        try:
            futures += [workers.submit(work) for _ in range(count)]
            for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                future.result()
        finally:
            self.remote.stop()
            wait(futures, timeout=ABORT_WAIT)
            workers.shutdown(wait=False, cancel_futures=True)

    def _receive_range(self, part: Part) -> None:
        """Receive a range, unless the file holds it already."""
        index, known = part.number - 1, self._known.get(part.number)
        if known is not None and self._holds(part, known):
            self.received[index], self._md5s[index] = part.length, known
            self.progress.add(part.length)
            return
        digest = hashlib.md5(usedforsecurity=False)
        end = part.offset + part.length

        def attempt() -> None:
            """Go on where the last attempt stopped."""
            start = part.offset + self.received[index]
            with closing(self.remote.open(start, end)) as body:
                while window := body.read(WINDOW):
                    if self.remote.stopped:
                        raise Stopped
                    write(window, part.offset + self.received[index])
                    if self._hashed:
                        digest.update(window)
                    self.received[index] += len(window)
                    self.progress.add(len(window))

        with self._partial.writer() as write:
            try:
                if part.length:
                    self.remote.repeat(attempt)
            except ChangedError:
                raise
            except ApiException as error:
                kept = self.journal is not None
                raise TransferError(
                    f"{self.remote}: range {part.number}: {reason(error)}"
                    + ("; the same call with resume=True goes on" if kept else ""),
                    outcome="resumable" if kept else "aborted",
                    cause=error,
                    part_number=part.number,
                ) from error
        self._md5s[index] = digest.hexdigest()
        if self.journal is not None:
            # The bytes need not be on the disk by now: a later process takes its word for
            # nothing, and holds them against their MD5.
            self.journal.add({"range": part.number, "md5": self._md5s[index]})

    def _holds(self, part: Part, md5: str) -> bool:
        """Whether the file holds the bytes of a range."""
        try:
            with FileSource(self._partial.path) as file:
                return md5_of(file, part) == md5
        except SourceError:
            return False

    def _verify(self) -> None:
        """Hold the file against the object's checksum. Raises DamagedError if it differs."""
        remote, md5s = self.remote, self._md5s
        for size in self._sizes:
            plan = PartPlan(remote.size, size)
            if plan != self._plan:
                with FileSource(self._partial.path) as file:
                    md5s = [md5_of(file, part) for part in plan]
            if matches(remote.checksum, md5s):
                return
        if tells_md5(remote.checksum, remote.headers):
            raise DamagedError(
                200,
                f"other bytes arrived than the object has (MD5 {md5s[0]}, not {remote.checksum}). "
                "Where checksums are no MD5s, set TransferConfig(verify=False)",
            )
        logger.warning(
            "%s: not verified: the checksum %s is of parts of an unknown size, or no MD5",
            remote, remote.checksum,
        )  # fmt: skip
