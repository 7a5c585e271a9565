"""The upload of a stream that can be read only once: temporary files hold its parts."""

from __future__ import annotations

import io
import logging
import os
import stat
import tempfile
from typing import TYPE_CHECKING, Any

from lakefs_client._body import require_readable
from lakefs_client.exceptions import ApiTypeError, ApiValueError
from lakefs_client.transfer.plan import Part, stream_part_size
from lakefs_client.transfer.source import BytesSource, FileSource
from lakefs_client.transfer.upload.multipart import MultipartUpload
from lakefs_client.transfer.upload.single import (
    NoMultipartError,
    require_single_put,
    upload_single,
)

if TYPE_CHECKING:
    from lakefs_client._operation import Readable
    from lakefs_client.model.object_stats import ObjectStats
    from lakefs_client.rest import Cancellation
    from lakefs_client.transfer.context import TransferContext
    from lakefs_client.transfer.progress import Progress
    from lakefs_client.transfer.upload.destination import Destination

logger = logging.getLogger("lakefs_client.transfer")

FIRST_URLS = 100
"""Number of URLs that an upload of unknown length begins with; later ones come one by one."""
_NOT_REPEATABLE = ". Only a new upload can succeed, and a stream cannot be read again"


def source_of(stream: Any) -> FileSource | BytesSource | None:
    """Return a random-access source that starts at the stream's position, or None if the stream
    can only be read sequentially.

    Raises:
        ApiTypeError: The argument is not a binary stream.
        ApiValueError: The stream is closed, or open for writing only.
    """
    if isinstance(stream, (str, bytes, bytearray, memoryview, os.PathLike)):
        raise ApiTypeError(
            f"fileobj must be an open binary file or stream, not {type(stream).__name__}: "
            "upload_file takes paths, io.BytesIO wraps bytes"
        )
    if isinstance(stream, io.TextIOBase):
        raise ApiTypeError("fileobj must be opened in binary mode ('rb')")
    if not callable(getattr(stream, "read", None)):
        raise ApiTypeError(f"fileobj must have a method read: got {type(stream).__name__}")
    require_readable(stream, "fileobj")
    # A subclass or a wrapper, one that decompresses for example, may define its own `read`.
    if type(stream) is io.BytesIO:
        return BytesSource(stream)
    raw = stream.raw if type(stream) in (io.BufferedReader, io.BufferedRandom) else stream
    if type(raw) is not io.FileIO:
        return None
    if raw.writable():
        stream.flush()
    status = os.fstat(raw.fileno())
    # Files of Linux's /proc have bytes, but report size 0.
    return FileSource.of(stream) if stat.S_ISREG(status.st_mode) and status.st_size else None


class Spool(FileSource):
    """Bytes of a stream in a temporary file without a name.

    Args:
        folder: Folder of the file, or None for the system's default.
        offset: Offset of the first byte within the stream.
    """

    def __init__(self, folder: str | None, offset: int) -> None:
        file: Any = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        self._open(file, "the stream", 0)
        self._start = -offset

    def write(self, data: memoryview) -> None:
        """Append bytes."""
        while data:
            count = self._file.write(data)
            self.size += count
            data = data[count:]

    def check_unchanged(self) -> None:
        """Do nothing: no other process can open the file."""


class StreamUpload:
    """An upload of bytes as they arrive."""

    def __init__(
        self,
        context: TransferContext,
        destination: Destination,
        progress: Progress,
        cancellation: Cancellation,
    ) -> None:
        self._context = context
        self._destination = destination
        self._progress = progress
        self._cancellation = cancellation
        self._folder = context.client.configuration.temp_folder_path
        self._upload: MultipartUpload | None = None
        self._no_multipart: NoMultipartError | None = None
        self._last = Part(0, 0, 0)
        self._spool: Spool | None = None
        # A stream that fits is sent in one PUT.
        self._capacity = max(self._next_size(), context.config.threshold)
        self._only_single = not (context.config.presign and destination.overwrite)
        if self._only_single:
            limits = context.limits
            self._capacity = limits.max_single_put if context.config.presign else limits.max_object

    def read(self, stream: Readable) -> ObjectStats:
        """Upload a stream to its end. Raises as `fail` returns, or the stream's own exception."""
        try:
            self._destination.check_vacant()
            while data := _as_bytes(stream.read(self._context.limits.window)):
                self.write(data)
            return self.finish()
        except BaseException as error:
            raise self.fail(error)

    def write(self, data: memoryview) -> None:
        """Take bytes, and send a part when the next one begins.

        Raises:
            PartError: A part failed.
            ApiException: lakeFS refused to begin.
            OSError: The disk is full.
        """
        if self._upload is not None:
            self._upload.raise_failure()  # the stream may take long to fill the next part
        while data:
            spool = self._current_spool()
            if spool.size == self._capacity:
                self._flush(spool)
                continue
            free = self._capacity - spool.size
            spool.write(data[:free])
            data = data[free:]

    def finish(self) -> ObjectStats:
        """Send the last part, and make the object.

        Raises as `write`, as `MultipartUpload.complete` or as `upload_single`.
        """
        spool = self._current_spool()
        size = self._offset + spool.size
        self._progress.set_size(size)
        small = self._upload is None and (
            self._only_single or spool.size < self._context.config.threshold
        )
        has_part = spool.size or self._last.number == 0  # an object has at least one part
        if has_part and not small and self._no_multipart is None:
            self._flush(spool)
        if self._upload is not None:
            return self._upload.complete(size)
        stats = upload_single(
            self._context,
            spool,
            self._destination,
            self._progress,
            cancellation=self._cancellation,
            instead=self._no_multipart,
        )
        spool.close()
        return stats

    def fail(self, error: BaseException) -> BaseException:
        """Abort the upload, and return the exception to raise."""
        if self._spool is not None:
            self._spool.close()
        if self._upload is None:
            return error
        restart = self._upload.restart_reason(error) is not None
        return self._upload.fail(error, _NOT_REPEATABLE if restart else "")

    def _current_spool(self) -> Spool:
        if self._spool is None:
            self._spool = Spool(self._folder, self._offset)
        return self._spool

    def _flush(self, spool: Spool) -> None:
        """Send the current part."""
        limits = self._context.limits
        if self._last.number == limits.max_parts:
            raise ApiValueError(f"the stream has more bytes than {limits.max_parts} parts hold")
        if self._no_multipart is not None or self._only_single:
            # The spool holds as much as one PUT does, and there is more.
            require_single_put(self._context, self._destination, spool.size + 1, self._no_multipart)
        if self._upload is None:
            upload = MultipartUpload(
                self._context,
                self._destination,
                self._progress,
                cancellation=self._cancellation,
            )
            try:
                upload.begin(FIRST_URLS)
            except NoMultipartError as error:
                self._spool_everything(spool, error)
                return
            self._upload = upload
        part = Part(self._last.number + 1, self._offset, spool.size)
        self._upload.submit(part, spool, spool.close)
        self._last, self._spool = part, None
        self._capacity = self._next_size()
        if part.number == limits.growth_after:
            logger.warning(
                "%s: the stream fills %d of at most %d parts: further parts grow, which stores "
                "that require equal parts reject. Set a larger TransferConfig.part_size",
                self._destination, part.number, limits.max_parts,
            )  # fmt: skip

    def _spool_everything(self, spool: Spool, error: NoMultipartError) -> None:
        """Keep the whole stream for one PUT, or for the server, which takes any size."""
        limits = self._context.limits
        self._no_multipart = error
        _, url = self._destination.stage()
        if url is None:
            self._context.require_server(self._destination)
            self._capacity = limits.max_object
            return
        self._capacity = limits.max_single_put
        require_single_put(self._context, self._destination, spool.size, error)

    def _next_size(self) -> int:
        return stream_part_size(self._last, self._context.config.part_size, self._context.limits)

    @property
    def _offset(self) -> int:
        """Offset of the current part within the stream."""
        return self._last.offset + self._last.length


def _as_bytes(data: Any) -> memoryview:
    """Return the result of a stream's `read` as bytes.

    Raises:
        ApiTypeError: It has another type.
        ApiValueError: It is None: a stream that does not block has no bytes yet.
    """
    if data is None:
        raise ApiValueError("fileobj must block until it has bytes: read returned None")
    try:
        return memoryview(data).cast("B")
    except TypeError:
        raise ApiTypeError(
            f"fileobj's read must return bytes, not {type(data).__name__}: open it in binary mode "
            "('rb')"
        ) from None
