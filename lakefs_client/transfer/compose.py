"""A new object from ranges of existing objects, copied within the store.

Every part of a multipart upload except the last has at least 5 MiB. A smaller range is downloaded
together with bytes of the next one, and uploaded. The store copies everything else.
"""

from __future__ import annotations

import io
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from lakefs_client.exceptions import ApiTypeError, ApiValueError
from lakefs_client.transfer.arguments import require_names
from lakefs_client.transfer.download.remote import RemoteObject
from lakefs_client.transfer.errors import PartError
from lakefs_client.transfer.plan import MIB, S3_LIMITS, Part, StoreLimits
from lakefs_client.transfer.pool import CANCEL_WAIT, WorkerPool, first_failure
from lakefs_client.transfer.source import BytesSource
from lakefs_client.transfer.upload.multipart import MultipartUpload
from lakefs_client.transfer.upload.part import StoredPart
from lakefs_client.transfer.upload.single import upload_single
from lakefs_client.transfer.upload.stream import Spool
from lakefs_client.uri import ObjectRef

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lakefs_client.model.object_stats import ObjectStats
    from lakefs_client.rest import Cancellation
    from lakefs_client.transfer.context import TransferContext
    from lakefs_client.transfer.progress import Progress
    from lakefs_client.transfer.upload.destination import Destination

COPY_SIZE = 256 * MIB
"""Bytes per copy, unless there would be too many parts. A copy is one request, which the server
must answer in time."""


@dataclass(frozen=True)
class ObjectRange:
    """A range of an object's bytes.

    Attributes:
        path: Path of the object.
        ref: Branch, tag or commit; by default the new object's branch.
        repository: Name of the repository; by default the new object's.
        start: Offset of the first byte.
        end: Offset behind the last byte; by default the object's size.
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
    """Bytes of an object, from offset `start` to `end`, exclusive."""

    origin: RemoteObject
    start: int
    end: int

    @property
    def length(self) -> int:
        """The number of bytes."""
        return self.end - self.start


def divide(
    segments: Iterable[Segment], copy_size: int, limits: StoreLimits = S3_LIMITS
) -> Iterator[list[Segment]]:
    """Divide non-empty segments into parts of at least `limits.min_part` bytes, except the last.

    A part is one segment of about `copy_size` bytes, or several small ones together.
    """
    small: list[Segment] = []
    for segment in segments:
        if small:
            missing = limits.min_part - sum(piece.length for piece in small)
            middle = min(segment.start + missing, segment.end)
            small.append(segment._replace(end=middle))
            segment = segment._replace(start=middle)
            if small[-1].length < missing:
                continue
            yield small
            small = []
        if segment.length < limits.min_part:
            small = [segment] if segment.length else []  # the part above may have used it up
            continue
        # Pieces of equal size, except a slightly smaller last one: some stores require that.
        count = max(1, segment.length // copy_size, -(-segment.length // limits.max_part))
        size = -(-segment.length // count)
        for start in range(segment.start, segment.end, size):
            yield [segment._replace(start=start, end=min(start + size, segment.end))]
    if small:
        yield small


def compose(
    context: TransferContext,
    destination: Destination,
    ranges: Sequence[ObjectRange],
    progress: Progress,
    cancellation: Cancellation,
) -> ObjectStats:
    """Make an object from ranges of existing objects.

    Raises:
        ApiValueError: A range is not within its object, or there are too many parts.
        ApiException: lakeFS has no such object, or refused to begin.
        TransferError: The upload failed; `outcome` says what is left of it.
    """
    limits = context.limits
    segments = [segment for segment in _segments(context, destination, ranges) if segment.length]
    size = sum(segment.length for segment in segments)
    progress.set_size(size)
    if not size:
        return upload_single(
            context, BytesSource(io.BytesIO()), destination, progress, cancellation=cancellation
        )
    # Each segment may need two parts more than its share.
    least = -(-size // max(1, limits.max_parts - 2 * len(segments)))
    parts = list(divide(segments, max(COPY_SIZE, least), limits))
    if len(parts) > limits.max_parts:
        raise ApiValueError(
            f"{len(segments)} ranges with {size} bytes need {len(parts)} parts: an object has at "
            f"most {limits.max_parts}"
        )
    return _Composition(context, destination, progress, cancellation, segments).run(parts, size)


def _segments(
    context: TransferContext, destination: Destination, ranges: Sequence[ObjectRange]
) -> Iterator[Segment]:
    """Yield the segments of the ranges, with one RemoteObject per object."""
    objects: dict[ObjectRef, RemoteObject] = {}
    for item in ranges:
        ref = ObjectRef(
            item.repository or destination.ref.repository,
            item.ref or destination.ref.ref,
            item.path,
        )
        if ref not in objects:
            objects[ref] = RemoteObject(context, ref)
        remote = objects[ref]
        end = remote.size if item.end is None else item.end
        if not item.start <= end <= remote.size:
            raise ApiValueError(
                f"{remote}: the range {item.start} to {end} is outside its {remote.size} bytes"
            )
        yield Segment(remote, item.start, end)


class _Composition:
    """The upload of one composed object."""

    def __init__(
        self,
        context: TransferContext,
        destination: Destination,
        progress: Progress,
        cancellation: Cancellation,
        segments: list[Segment],
    ) -> None:
        self._origins = {segment.origin for segment in segments}
        self._cancellation = cancellation
        self._context = context
        self._upload = MultipartUpload(
            context, destination, progress, cancellation=self._cancellation
        )

    def run(self, parts: list[list[Segment]], size: int) -> ObjectStats:
        """Make every part, and assemble them. The first failure cancels the others."""
        futures: list[Future[None]] = []
        pool = WorkerPool(self._context.config.max_concurrency, "lakefs-client-compose")
        try:
            self._upload.begin(len(parts))
            offset = 0
            for number, segments in enumerate(parts, 1):
                part = Part(number, offset, sum(segment.length for segment in segments))
                futures.append(pool.submit(self._make, part, segments))
                offset += part.length
            first_failure(futures)
            return self._upload.complete(size, self._check)
        except BaseException as error:
            self._stop(pool, futures)
            raise self._upload.fail(error)
        finally:
            pool.close()

    def _stop(self, pool: WorkerPool, futures: list[Future[None]]) -> None:
        """Cancel the work in progress. A copy cannot be cancelled, so the wait has a limit."""
        self._cancellation.set()
        for origin in self._origins:
            origin.cancel()
        pool.close()
        wait(futures, timeout=CANCEL_WAIT)

    def _make(self, part: Part, segments: list[Segment]) -> None:
        upload = self._upload
        if upload.cancelled:
            return  # `complete` raises the reason
        try:
            # AWS cannot copy a range of a small object, not even as the last part:
            # https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html
            if len(segments) == 1 and part.length >= self._context.limits.min_part:
                (origin, start, end) = segments[0]
                etag = upload.destination.copy_part(
                    upload.identity, part.number, origin.ref, start, end
                )
                upload.stored[part.number] = StoredPart(etag, None, None)
                upload.progress.add(part.length)
                return
            spool = self._fetch(part, segments)
        except Exception as error:
            raise PartError(part.number, error) from error
        upload.submit(part, spool, spool.close)

    def _fetch(self, part: Part, segments: list[Segment]) -> Spool:
        """Download the segments of one part; each has little more than 5 MiB."""
        spool = Spool(self._context.client.configuration.temp_folder_path, part.offset)
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
        """Raise ChangedError if an object changed: the parts would be of two versions."""
        for origin in self._origins:
            origin.check_unchanged()
