"""A file-like object that reads an object without a local copy."""

from __future__ import annotations

import errno
import io
import os
import threading
from typing import TYPE_CHECKING, Any

from lakefs_client import _process
from lakefs_client.exceptions import ApiException
from lakefs_client.transfer.download.remote import RangeBody, RemoteObject
from lakefs_client.transfer.errors import describe, failure

if TYPE_CHECKING:
    from lakefs_client.transfer.context import TransferContext
    from lakefs_client.uri import ObjectRef

BUFFER = 1 << 18
"""Smallest request, and the bytes taken from a response at a time. Pieces of 1 MiB beside the
caller's own buffers take three times the CPU, since their memory is mapped anew."""
NEAR = 1 << 20
"""Largest gap that is read and skipped, rather than requested around."""


class ObjectReader(io.BufferedReader):
    """An object as a seekable binary file, for pandas, pyarrow, zipfile and the like.

    Bytes are requested from the store on demand. Sequential reads use fewer and larger requests,
    whose responses stay open between reads. The bytes are not verified: the object's checksum
    covers the whole object.

    Attributes:
        size: Size of the object in bytes.
        name: ``lakefs://repository/ref/path``.

    Reading raises TransferError if the bytes cannot be read, or if the object at the path
    changed.
    """

    def __init__(self, context: TransferContext, ref: ObjectRef) -> None:
        remote = RemoteObject(context, ref)
        self.size = remote.size
        self._ranges = _RangeReader(remote)
        super().__init__(self._ranges, BUFFER)
        _process.register(self)

    def abandon(self) -> None:
        """Renew the buffer and its lock if a thread of the parent process was reading."""
        thread, self._ranges.thread = self._ranges.thread, None
        if thread not in (None, threading.get_ident()):
            super().__init__(self._ranges, BUFFER)


class _RangeReader(io.RawIOBase):
    """The requests behind an ObjectReader: larger ones for sequential reads."""

    def __init__(self, remote: RemoteObject) -> None:
        self._remote = remote
        self._position = 0
        self._body: RangeBody | None = None
        self._reach = 0  # bytes of the last request
        self.thread: int | None = None  # which reads now
        self.name = str(remote)
        self.size = remote.size
        _process.register(self)

    def abandon(self) -> object:
        """Leave the open response to the parent process; the next read requests its own."""
        body, self._body = self._body, None
        return body

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        bases = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}
        if whence not in bases:
            raise ValueError(f"whence must be 0, 1 or 2, not {whence}")
        if bases[whence] + offset < 0:  # as for a file on disk: zipfile relies on it
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._position = bases[whence] + offset
        return self._position

    def readinto(self, target: Any) -> int:
        view = memoryview(target).cast("B")
        data = self._next(min(len(view), self.size - self._position))
        view[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return b"".join(iter(lambda: self._next(self.size - self._position), b""))

    def close(self) -> None:
        self._drop()
        super().close()

    def _next(self, wanted: int) -> bytes:
        if wanted <= 0:
            return b""
        self.thread = threading.get_ident()
        try:
            data = self._remote.repeat(lambda: self._read(wanted))
        except ApiException as error:
            problem = f"at offset {self._position}: {describe(error)}"
            raise failure(self.name, problem, "aborted", error) from error
        finally:
            self.thread = None
        self._position += len(data)
        return data

    def _read(self, wanted: int) -> bytes:
        try:
            body = self._at_position(wanted)
            return body.read(min(wanted, BUFFER))
        except BaseException:
            self._drop()
            raise

    def _at_position(self, wanted: int) -> RangeBody:
        """Return a response whose next byte is at the current position."""
        body = self._body
        if body and body.offset <= self._position < min(body.stop, body.offset + NEAR):
            while body.offset < self._position:
                body.read(self._position - body.offset)
            return body
        sequential = body is not None and body.offset == self._position
        self._drop()
        # Doubling keeps both the number of requests and the unused bytes low.
        self._reach = max(wanted, 2 * self._reach if sequential else 0)
        stop = min(self._position + self._reach, self.size)
        self._body = self._remote.open(self._position, stop)
        return self._body

    def _drop(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.close()
