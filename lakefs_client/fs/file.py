"""Open files of the file system."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

from lakefs_client.fs._fsspec import AbstractBufferedFile, BaseCache, OpenFile, register_cache
from lakefs_client.fs.errors import os_errors
from lakefs_client.fs.location import parse
from lakefs_client.transfer.upload.writer import AbortOnError

if TYPE_CHECKING:
    from lakefs_client.fs.tree import Tree
    from lakefs_client.transfer import ObjectReader, ObjectWriter

READ_AHEAD = 1 << 16
"""Bytes that a small read fetches. 300 random reads of 1 KiB took 1.2 s with 64 KiB and 1.6 s with
1 MiB, fetching 20 and 308 MB. 4 KiB doubled the CPU of sequential reads of 8 KiB."""


class ReadAhead(BaseCache):
    """The bytes around the last small read.

    Large reads fetch exactly their range. A read that continues the last one comes from an answer
    that stays open, and that the reader makes larger each time.
    """

    name = "lakefs"

    def __init__(self, blocksize: int, fetcher: Any, size: int) -> None:
        super().__init__(blocksize, fetcher, size)
        self._start = 0
        self._data = b""

    def _fetch(self, first: int | None, last: int | None) -> bytes:
        start: int = first or 0
        stop: int = self.size if last is None else min(last, self.size)
        if start >= stop:
            return b""
        offset = start - self._start
        held = self._data[offset : offset + stop - start] if offset >= 0 else b""
        begin, end = start + len(held), stop
        if begin == stop:
            self.hit_count += 1
            return held
        self.miss_count += 1
        if stop - begin < READ_AHEAD:
            end = min(begin + READ_AHEAD, self.size)
            if not held:  # formats with a footer read its length first
                begin = max(0, min(begin, self.size - READ_AHEAD))
        fetched: bytes = self.fetcher(begin, end)
        self.total_requested_bytes += len(fetched)
        self._start, self._data = begin, fetched if len(fetched) <= READ_AHEAD else b""
        return held + fetched[start + len(held) - begin : stop - begin]


register_cache(ReadAhead, clobber=True)


def _read_ahead(reader: ObjectReader, start: int, stop: int) -> bytes:
    """Return the bytes of an object from `start` up to `stop`, past the reader's own buffer."""
    buffer = bytearray(stop - start)
    raw: Any = reader.raw
    raw.seek(start)
    done = 0
    with memoryview(buffer) as view:
        while done < len(view):
            done += raw.readinto(view[done:])
    return bytes(buffer)


class ReadFile(AbstractBufferedFile):
    """An object that is read as a file.

    `cache_type` selects one of fsspec's caches; by default small reads fetch 64 KiB, and large
    ones what they ask for.
    """

    def __init__(
        self,
        fs: Tree,
        path: str,
        *,
        block_size: int | None = None,
        autocommit: bool = True,
        cache_type: str | None = None,
        cache_options: dict[str, Any] | None = None,
        size: int | None = None,
        pre_sign: bool | None = None,
        **options: Any,
    ) -> None:
        place = parse(path)
        self._closed = True  # until there is something to close
        with os_errors(path):
            self._reader = fs.reader(place, pre_sign)
        super().__init__(
            fs, path, "rb", block_size, autocommit, cache_type or ReadAhead.name, cache_options,
            self._reader.size, pre_sign=pre_sign, **options,
        )  # fmt: skip

    def _fetch_range(self, start: int, end: int) -> bytes:
        with os_errors(self.path):
            return _read_ahead(self._reader, start, min(end, self.size))

    def close(self) -> None:
        """Close the file and its connection."""
        if not self.closed:
            self._reader.close()
        super().close()


class _NotClosedByCollector(AbortOnError):
    """A written file that no object is made of when the garbage collector finds it open."""

    def __del__(self) -> None:
        # The base class would close the file, which makes an object. The writer warns and aborts.
        pass


class WriteFile(_NotClosedByCollector, io.BufferedIOBase):
    """An object that is written as a file, in verified parts, and appears when it is closed.

    If the block that uses the file as a context manager raises, nothing is written: with
    ``fs.open`` and with ``fsspec.open``, in text mode and with compression too.
    """

    def __init__(
        self, fs: Tree, path: str, mode: str, writer: ObjectWriter, autocommit: bool
    ) -> None:
        self.fs = fs
        self.path = path
        self.mode = mode
        self.autocommit = autocommit
        self._writer = writer
        self._discarded = False

    def __repr__(self) -> str:
        return f"<WriteFile lakefs://{self.path}>"

    def writable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the number of bytes written."""
        return self._writer.tell()

    @property
    def loc(self) -> int:
        """The number of bytes written, by fsspec's name."""
        return self.tell()

    def write(self, data: Any, /) -> int:
        """Write bytes, and upload them if a part is full.

        Raises:
            OSError: A part failed, and the upload was aborted.
            ValueError: The file is closed.
        """
        if self._discarded:  # a wrapper flushes what it holds
            return memoryview(data).nbytes
        with os_errors(self.path):
            return self._writer.write(data)

    def close(self) -> None:
        """Upload the rest, and make the object.

        Raises:
            FileExistsError: The mode is ``"xb"``, and the object exists by now.
            OSError: The upload failed.
        """
        if self.closed:
            return
        if _block_raised():
            self.abort()
            return
        try:
            with os_errors(self.path):
                self._writer.close()
        except BaseException:
            self._writer.abort()
            raise
        finally:
            super().close()
            self.fs.invalidate_cache(self.path)

    def commit(self) -> None:
        """Do nothing: a transaction commits its branch."""

    def abort(self) -> None:
        """Close the file without making an object."""
        self._discarded = True
        self._writer.abort()
        super().close()

    discard = abort  # fsspec's name

    def collected(self) -> None:
        """Warn and abort if the file is open, and ignore what a wrapper still writes."""
        self._discarded = True
        self._writer.__del__()


def _block_raised() -> bool:
    """Return True if `fsspec.open` closes the file because its block raised.

    OpenFile tells the files that it opened nothing of the exception, only its own frame does.
    """
    frame = sys._getframe(1)
    for _ in range(4):
        if frame.f_back is None:
            return False
        frame = frame.f_back
        if frame.f_code is OpenFile.__exit__.__code__:
            return any(frame.f_locals["args"])
    return False


class WrappedFile(_NotClosedByCollector, io.BufferedIOBase):
    """A file that is compressed as it is written."""

    def __init__(self, file: WriteFile, compressor: Any) -> None:
        self._file = file
        self._compressor = compressor

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any, /) -> int:
        """Compress and write bytes."""
        written: int = self._compressor.write(data)
        return written

    def flush(self) -> None:
        """Flush the compressor."""
        if not self._compressor.closed:
            self._compressor.flush()

    def close(self) -> None:
        """Finish the compressed stream, and make the object."""
        if not self.closed:
            try:
                self._compressor.close()
                self._file.close()
            finally:
                super().close()

    def abort(self) -> None:
        """Close the file without making an object."""
        self._file.abort()
        self.close()

    def __del__(self) -> None:
        # The compressor may be collected later, and writes its end then.
        if hasattr(self, "_file"):
            self._file.collected()


class TextFile(_NotClosedByCollector, io.TextIOWrapper):
    """A text file that makes no object if its block raises."""

    def abort(self) -> None:
        """Close the file without making an object."""
        self.buffer.abort()  # type: ignore[attr-defined]
        self.close()
