"""Read an object as a file, without a copy of it on this machine."""

from __future__ import annotations

import errno
import io
import os
from typing import TYPE_CHECKING, Any

from lakefs_client.exceptions import ApiException, TransferError
from lakefs_client.transfer.complete import reason
from lakefs_client.transfer.ranges import Body, RemoteObject
from lakefs_client.transfer.target import require_names

if TYPE_CHECKING:
    from lakefs_client.transfer.transfer import Transfer

BUFFER = 1 << 18
"""Bytes that are asked for at the least, and taken from an answer at a time: pieces of a MiB
beside a caller's own buffers take three times the CPU, since their memory is mapped anew."""
NEAR = 1 << 20
"""How far ahead the next byte is read up to rather than asked for."""


class ObjectReader(io.BufferedReader):
    """An object as a binary file to read and seek in, for pandas, pyarrow, zipfile and the like.

    The bytes come from the store as they are asked for. Whoever reads on gets them from fewer and
    larger requests, in answers that stay open between reads. They are not held against the
    object's checksum, which is of the whole.

    Attributes:
        size: Bytes of the object.
        name: ``lakefs://repository/ref/path``.

    Reading raises TransferError where bytes cannot be had, or where another object stands at
    the path by the time that they are asked for.
    """

    def __init__(self, transfer: Transfer, repository: str, ref: str, path: str) -> None:
        require_names(repository=repository, ref=ref, path=path)
        remote = RemoteObject(transfer, (repository, ref, path))
        self.size = remote.size
        super().__init__(_RangeReader(remote), BUFFER)


class _RangeReader(io.RawIOBase):
    """Reads as much as it is asked to, and where that goes on, from an answer with more."""

    def __init__(self, remote: RemoteObject) -> None:
        self._remote = remote
        self._position = 0
        self._body: Body | None = None
        self._reach = 0  # bytes of the last request
        self.name = str(remote)
        self.size = remote.size

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
        if bases[whence] + offset < 0:  # as of a file on disk: zipfile counts on it
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
        try:
            data = self._remote.repeat(lambda: self._read(wanted))
        except ApiException as error:
            text = f"{self.name}: at offset {self._position}: {reason(error)}"
            raise TransferError(text, outcome="aborted", cause=error) from error
        self._position += len(data)
        return data

    def _read(self, wanted: int) -> bytes:
        try:
            body = self._at_position(wanted)
            return body.read(min(wanted, BUFFER))
        except BaseException:
            self._drop()
            raise

    def _at_position(self, wanted: int) -> Body:
        """An answer of which the next byte is that at the position."""
        body = self._body
        if body and body.offset <= self._position < min(body.stop, body.offset + NEAR):
            while body.offset < self._position:
                body.read(self._position - body.offset)
            return body
        goes_on = body is not None and body.offset == self._position
        self._drop()
        # Twice as much each time: few requests, and little that is sent for nothing.
        self._reach = max(wanted, 2 * self._reach if goes_on else 0)
        stop = min(self._position + self._reach, self.size)
        self._body = self._remote.open(self._position, stop)
        return self._body

    def _drop(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.close()
