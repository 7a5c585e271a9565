"""Upload what can be read once: parts are kept in temporary files until the store has them."""

from __future__ import annotations

import io
import logging
import os
import stat
import tempfile
from typing import TYPE_CHECKING, Any

from lakefs_client._body import WINDOW
from lakefs_client.exceptions import ApiTypeError, ApiValueError
from lakefs_client.transfer.multipart import MultipartUpload, NoMultipartError
from lakefs_client.transfer.plan import (
    MAX_OBJECT_SIZE,
    MAX_PARTS,
    MAX_SINGLE_PUT,
    Part,
    growing_part_size,
)
from lakefs_client.transfer.source import BytesSource, FileSource
from lakefs_client.transfer.upload import Upload, require_server, require_single_put

if TYPE_CHECKING:
    from lakefs_client._operation import Readable
    from lakefs_client.model.object_stats import ObjectStats
    from lakefs_client.transfer.part import Progress
    from lakefs_client.transfer.target import Target
    from lakefs_client.transfer.transfer import Transfer

logger = logging.getLogger("lakefs_client.transfer")

FIRST_URLS = 100
"""How many URLs an upload of unknown length is begun with; more are asked for one by one."""


def source_of(stream: Any) -> FileSource | BytesSource | None:
    """What reads an open file at any offset, from where it stands on; None where only its own
    `read` can be relied on.

    Raises:
        ApiTypeError: It is no binary stream.
        ApiValueError: It is closed, or open for writing alone.
    """
    if isinstance(stream, (str, bytes, bytearray, memoryview, os.PathLike)):
        raise ApiTypeError(
            f"fileobj must be an open binary file or stream, not {type(stream).__name__}: "
            "upload_file takes paths, io.BytesIO wraps bytes"
        )
    if isinstance(stream, io.TextIOBase):
        raise ApiTypeError("fileobj must be opened in binary mode ('rb')")
    if not callable(getattr(stream, "read", None)):
        raise ApiTypeError(f"fileobj must have a method read; {type(stream).__name__} has none")
    if getattr(stream, "closed", False):
        raise ApiValueError("fileobj is closed")
    # Of subclasses and wrappers, such as those that decompress, nobody knows what `read` does.
    if type(stream) is io.BytesIO:
        return BytesSource(stream)
    raw = stream.raw if type(stream) in (io.BufferedReader, io.BufferedRandom) else stream
    if type(raw) is not io.FileIO:
        return None
    if not raw.readable():
        raise ApiValueError("fileobj is not open for reading")
    if raw.writable():
        stream.flush()
    status = os.fstat(raw.fileno())
    # The files of Linux's /proc have bytes, and no size.
    return FileSource.of(stream) if stat.S_ISREG(status.st_mode) and status.st_size else None


class Spool(FileSource):
    """Bytes that came from a stream, in a temporary file without a name, in a folder or the
    system's place. The first of them stands at an offset of the whole."""

    def __init__(self, folder: str | None, offset: int) -> None:
        file: Any = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        self._open(file, "the stream", 0)
        self._start = -offset

    def write(self, data: memoryview) -> None:
        """Add bytes."""
        while data:
            count = self._file.write(data)
            self.size += count
            data = data[count:]

    def check_unchanged(self) -> None:
        """Nothing: nobody else has the file."""


class StreamUpload:
    """An upload of bytes as they come."""

    def __init__(self, transfer: Transfer, target: Target, progress: Progress) -> None:
        self._transfer = transfer
        self._target = target
        self._progress = progress
        self._folder = transfer.api_client.configuration.temp_folder_path
        self._upload: MultipartUpload | None = None
        self._without_parts: NoMultipartError | None = None
        self._number = 0
        self._offset = 0
        self._spool: Spool | None = None
        # Less than this goes up in one PUT.
        self._room = max(self._next_size(), transfer.config.threshold)

    def read(self, stream: Readable) -> ObjectStats:
        """Upload all that comes from a stream. Raises as `give_up` says, or what the stream did."""
        try:
            while data := _bytes(stream.read(WINDOW)):
                self.write(data)
            return self.finish()
        except BaseException as error:
            failure = self.give_up(error)
            raise failure from failure.__cause__

    def write(self, data: memoryview) -> None:
        """Take bytes, and have a part sent whenever there is one, and more to come.

        Raises:
            PartError: A part failed.
            ApiException: lakeFS refused to begin.
            OSError: The disk is full.
        """
        if self._upload is not None:
            self._upload.check()  # the next part may be long in coming
        while data:
            spool = self._at_hand()
            if spool.size == self._room:
                self._flush(spool)
                continue
            free = self._room - spool.size
            spool.write(data[:free])
            data = data[free:]

    def finish(self) -> ObjectStats:
        """Send what is left, and make the object. Raises as `write`, as `MultipartUpload.finish`
        or as `Upload.in_one`."""
        spool = self._at_hand()
        size = self._offset + spool.size
        self._progress.set_size(size)
        small = self._upload is None and spool.size < self._transfer.config.threshold
        left = spool.size or self._number == 0  # an object has one part at the least
        if left and not small and self._without_parts is None:
            self._flush(spool)
        if self._upload is not None:
            return self._upload.finish(size)
        upload = Upload(self._transfer, spool, self._target, self._progress)
        stats = upload.in_one(self._without_parts)
        spool.close()
        return stats

    def give_up(self, error: BaseException) -> BaseException:
        """Abort what was begun, and return what to raise."""
        if self._spool is not None:
            self._spool.close()
        if self._upload is None:
            return error
        return self._upload.give_up(error, _ONCE if self._upload.why_gone(error) else "")

    def _at_hand(self) -> Spool:
        """Where what comes next is kept."""
        if self._spool is None:
            self._spool = Spool(self._folder, self._offset)
        return self._spool

    def _flush(self, spool: Spool) -> None:
        """Have the part that is there sent."""
        if self._number == MAX_PARTS:
            raise ApiValueError(f"the stream has more bytes than {MAX_PARTS} parts hold")
        if self._without_parts is not None:
            # There is more than was kept, which was as much as one PUT takes.
            require_single_put(
                self._transfer.config, self._target, spool.size + 1, self._without_parts
            )
        if self._upload is None:
            upload = MultipartUpload(self._transfer, self._target, self._progress)
            try:
                upload.begin(FIRST_URLS)
            except NoMultipartError as error:
                self._keep_whole(spool, error)
                return
            self._upload = upload
        self._upload.submit(Part(self._number + 1, self._offset, spool.size), spool, spool.close)
        self._number += 1
        self._spool = None
        self._offset += spool.size
        self._room = self._next_size()

    def _keep_whole(self, spool: Spool, error: NoMultipartError) -> None:
        """Keep all that comes for one PUT, or for the server, which takes any size."""
        self._without_parts = error
        _, url = self._target.stage()
        if url is None:
            require_server(self._transfer.config, self._target)
            self._room = MAX_OBJECT_SIZE
            return
        self._room = MAX_SINGLE_PUT
        require_single_put(self._transfer.config, self._target, spool.size, error)

    def _next_size(self) -> int:
        return growing_part_size(self._offset, self._transfer.config.part_size)


_ONCE = ". Only another upload can succeed, and what came from a stream cannot be read again"


def _bytes(data: Any) -> memoryview:
    """What a stream's `read` returned, as bytes.

    Raises:
        ApiTypeError: It is something else.
        ApiValueError: It is None, by which streams that do not block say that there is nothing yet.
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
