"""A new object from ranges of existing ones, and what a file adds to them, by the store alone.

Every part of a multipart upload but the last has 5 MiB at the least. What is smaller is fetched,
together with so much of what follows it, and uploaded; all the rest is copied in the store.
"""

from __future__ import annotations

import io
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from lakefs_client.exceptions import ApiTypeError, ApiValueError
from lakefs_client.rest import Cancellation
from lakefs_client.transfer.multipart import ABORT_WAIT, MultipartUpload, PartError
from lakefs_client.transfer.part import Stored
from lakefs_client.transfer.plan import MAX_PART_SIZE, MAX_PARTS, MIB, MIN_PART_SIZE, Part
from lakefs_client.transfer.ranges import RemoteObject
from lakefs_client.transfer.source import BytesSource, FileSource
from lakefs_client.transfer.stream import Spool
from lakefs_client.transfer.target import require_names
from lakefs_client.transfer.upload import Upload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lakefs_client.model.object_stats import ObjectStats
    from lakefs_client.transfer.part import Progress
    from lakefs_client.transfer.target import Target
    from lakefs_client.transfer.transfer import Transfer

COPY_SIZE = 256 * MIB
"""Bytes that are copied at a time, unless there would be too many parts: a copy is one request,
which a server has to answer in time."""


@dataclass(frozen=True)
class ObjectRange:
    """Bytes of an object.

    Attributes:
        path: Path of the object.
        ref: Branch, tag or commit; by default the branch that the new object is on.
        repository: Name of the repository; by default that of the new object.
        start: Offset of the first byte.
        end: Offset behind the last byte; by default that of the object's end.
    """

    path: str
    ref: str | None = None
    repository: str | None = None
    start: int = 0
    end: int | None = None

    def __post_init__(self) -> None:
        for name in ("path", "ref", "repository"):
            value = getattr(self, name)
            if value is not None or name == "path":
                require_names(**{name: value})
        for name in ("start", "end"):
            value = getattr(self, name)
            if type(value) is not int and not (name == "end" and value is None):
                raise ApiTypeError(f"{name} must be an int, not {type(value).__name__}")
        if not 0 <= self.start <= (self.start if self.end is None else self.end):
            raise ApiValueError(f"{self.path}: start and end must be 0 <= start <= end")


class Segment(NamedTuple):
    """Bytes of an object, or of a file: from an offset up to another."""

    origin: RemoteObject | FileSource
    start: int
    end: int

    @property
    def length(self) -> int:
        """How many bytes."""
        return self.end - self.start


def cut(segments: Iterable[Segment], sizes: dict[type, int]) -> Iterator[list[Segment]]:
    """Cut what is to be joined, none of it empty, into parts of 5 MiB at the least, but for the
    last. A part is one segment, or several that complete each other.

    `sizes` has the least bytes of a part of what comes from an object, and from a file.
    """
    small: list[Segment] = []
    for segment in segments:
        if small:
            lacking = MIN_PART_SIZE - sum(one.length for one in small)
            middle = min(segment.start + lacking, segment.end)
            small.append(segment._replace(end=middle))
            segment = segment._replace(start=middle)
            if small[-1].length < lacking:
                continue
            yield small
            small = []
        if segment.length < MIN_PART_SIZE:
            small = [segment] if segment.length else []  # it may have been used up above
            continue
        # Evenly, so that no piece falls below the least.
        count = max(
            1, segment.length // sizes[type(segment.origin)], -(-segment.length // MAX_PART_SIZE)
        )
        edges = [segment.start + segment.length * n // count for n in range(count + 1)]
        for start, end in pairwise(edges):
            yield [segment._replace(start=start, end=end)]
    if small:
        yield small


def compose(
    transfer: Transfer, target: Target, ranges: Sequence[ObjectRange], progress: Progress
) -> ObjectStats:
    """Make an object of ranges of others, by `join`.

    Raises:
        ApiValueError: A range is not in its object.
        ApiException: lakeFS knows no such object.
    """
    objects: dict[tuple[str, str, str], RemoteObject] = {}
    segments = []
    for one in ranges:
        place = (one.repository or target.repository, one.ref or target.branch, one.path)
        if place not in objects:
            objects[place] = RemoteObject(transfer, place)
        remote = objects[place]
        end = remote.size if one.end is None else one.end
        if not one.start <= end <= remote.size:
            raise ApiValueError(
                f"{remote} has {remote.size} bytes: there are none from {one.start} to {end}"
            )
        segments.append(Segment(remote, one.start, end))
    return join(transfer, target, segments, progress)


def join(
    transfer: Transfer, target: Target, segments: Sequence[Segment], progress: Progress
) -> ObjectStats:
    """Make an object of bytes of others, and of files.

    Raises:
        ApiValueError: It takes more than 10,000 parts.
        ApiException: lakeFS refused to begin.
        TransferError: It failed; it says what became of it.
    """
    segments = [one for one in segments if one.length]
    size = sum(one.length for one in segments)
    progress.set_size(size)
    if not size:
        return Upload(transfer, BytesSource(io.BytesIO()), target, progress).in_one()
    # Each segment may need two parts more than its share.
    least = -(-size // max(1, MAX_PARTS - 2 * len(segments)))
    of_file = max(transfer.config.part_size, least)
    sizes = {RemoteObject: max(COPY_SIZE, least), FileSource: of_file}
    parts = list(cut(segments, sizes))
    if len(parts) > MAX_PARTS:
        raise ApiValueError(
            f"{len(segments)} ranges with {size} bytes take {len(parts)} parts; an object has "
            f"{MAX_PARTS} at the most"
        )
    return _Composition(transfer, target, progress, segments).run(parts, size)


class _Composition:
    """One object that is made of others."""

    def __init__(
        self, transfer: Transfer, target: Target, progress: Progress, segments: list[Segment]
    ) -> None:
        self._origins = {one.origin for one in segments}
        self._interrupt = Cancellation()
        self._upload = MultipartUpload(transfer, target, progress, within=self._interrupt)

    def run(self, parts: list[list[Segment]], size: int) -> ObjectStats:
        """Have every part made, and put together. The first failure ends the rest."""
        upload, futures = self._upload, []
        count = upload.transfer.config.max_concurrency
        workers = ThreadPoolExecutor(count, "lakefs-client-compose")
        try:
            upload.begin(len(parts))
            offset = 0
            for number, segments in enumerate(parts, 1):
                part = Part(number, offset, sum(one.length for one in segments))
                futures.append(workers.submit(self._make, part, segments))
                offset += part.length
            for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                future.result()
            return upload.finish(size, self._check)
        except BaseException as error:
            self._stop(workers, futures)
            failure = upload.give_up(error)
            raise failure from failure.__cause__
        finally:
            workers.shutdown(wait=False)

    def _stop(self, workers: ThreadPoolExecutor, futures: list[Future[None]]) -> None:
        """End what is under way. A copy cannot be ended; it is waited for, but not for ever."""
        self._interrupt.set()
        for origin in self._origins:
            if isinstance(origin, RemoteObject):
                origin.stop()
        workers.shutdown(wait=False, cancel_futures=True)
        wait([one for one in futures if not one.cancelled()], timeout=ABORT_WAIT)

    def _make(self, part: Part, segments: list[Segment]) -> None:
        upload = self._upload
        if upload.stopped:
            return  # `finish` tells why
        origin, start, end = segments[0]
        alone = len(segments) == 1
        if alone and isinstance(origin, FileSource):
            upload.submit(part, origin.shifted(part.offset - start))
            return
        try:
            # A small last one could be copied, but of small objects AWS copies no range:
            # https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html
            if alone and isinstance(origin, RemoteObject) and part.length >= MIN_PART_SIZE:
                etag = upload.target.copy_part(
                    upload.identity, part.number, origin.place, start, end
                )
                upload.stored[part.number] = Stored(etag, None, None)
                upload.progress.add(part.length)
                return
            spool = self._fetched(part, segments)
        except Exception as error:
            raise PartError(part.number, error) from error
        upload.submit(part, spool, spool.close)

    def _fetched(self, part: Part, segments: list[Segment]) -> Spool:
        """Bytes of several segments, as one part; none of them has much more than 5 MiB."""
        configuration = self._upload.transfer.api_client.configuration
        spool = Spool(configuration.temp_folder_path, part.offset)
        try:
            for origin, start, end in segments:
                data = memoryview(bytearray(end - start))
                origin.read_into(data, start)
                spool.write(data)
        except BaseException:
            spool.close()
            raise
        return spool

    def _check(self) -> None:
        """Refuse a mixture: an object that changed meanwhile is of two ages."""
        for origin in self._origins:
            origin.check_unchanged()
