"""A file-like object whose bytes become an object of a branch."""

from __future__ import annotations

import atexit
import io
import logging
import sys
import warnings
from typing import TYPE_CHECKING
from weakref import WeakSet

from lakefs_client import _process
from lakefs_client.rest import Cancellation
from lakefs_client.transfer.errors import Cancelled
from lakefs_client.transfer.progress import Progress
from lakefs_client.transfer.upload.stream import StreamUpload

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from lakefs_client.model.object_stats import ObjectStats
    from lakefs_client.transfer.context import TransferContext
    from lakefs_client.transfer.upload.destination import Destination

logger = logging.getLogger("lakefs_client.transfer")


class _OpenWriters:
    """The writers that are open in this process."""

    def __init__(self) -> None:
        self.writers: WeakSet[ObjectWriter] = WeakSet()
        _process.register(self)

    def abandon(self) -> object:
        """Leave the uploads to the parent process, which has the same writers."""
        former = [(writer, writer._upload) for writer in self.writers]
        for writer, _ in former:
            writer._upload = None
        self.writers = WeakSet()
        return former

    def abort(self) -> None:
        """Abort the uploads of writers that are open when the interpreter exits."""
        for writer in [*self.writers]:
            if writer._upload is not None:
                logger.warning("%s was not closed: its upload is aborted", writer.name)
                writer.abort()


_open = _OpenWriters()
atexit.register(_open.abort)


class AbortOnError:
    """Context manager of a written file: close it, or abort it if the block raised."""

    if TYPE_CHECKING:

        def close(self) -> None: ...
        def abort(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


class ObjectWriter(AbortOnError, io.BufferedIOBase):
    """A binary file whose bytes become an object when it is closed.

    No object is made if the ``with`` block raises, a write fails, or the file is never closed; an
    existing object then stays at the path. `io.TextIOWrapper` closes this file even after an
    exception: call `abort` before that. If the program ends while the file is open, or a process
    forks, only the process that opened the file finishes or aborts the upload.

    Attributes:
        name: ``lakefs://repository/branch/path``.
        stats: The object's stats once the file is closed; None before, and if no object is made.
    """

    def __init__(self, context: TransferContext, destination: Destination) -> None:
        self._upload: StreamUpload | None = StreamUpload(
            context, destination, Progress.to(None), Cancellation()
        )
        _open.writers.add(self)
        self._position = 0
        self.name = str(destination)
        self.stats: ObjectStats | None = None

    def writable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the number of bytes written."""
        return self._position

    def write(self, data: Any, /) -> int:
        """Write bytes; a part is sent as soon as there are enough bytes for it.

        Raises:
            ValueError: The file is closed, or an earlier write failed.
            TransferError: A part failed. The upload is aborted.
            ApiException: lakeFS refused to begin.
            OSError: The temporary files cannot be written.
        """
        if self._upload is None:
            raise ValueError(f"{self.name} is closed, aborted, or of a parent process")
        with memoryview(data) as view, view.cast("B") as octets:
            try:
                self._upload.write(octets)
            except BaseException as error:
                raise self._fail(error)
            self._position += len(octets)
            return len(octets)

    def close(self) -> None:
        """Send the last part and make the object, unless the file was aborted.

        Raises:
            TransferError: The upload failed; `outcome` says what is left of it.
            ApiException: lakeFS refused to begin.
        """
        if self._upload is not None:
            try:
                self.stats = self._upload.finish()
            except BaseException as error:
                raise self._fail(error)
            finally:
                self._upload = None
                super().close()
        super().close()

    def abort(self) -> None:
        """Close the file without making an object."""
        if self._upload is not None:
            self._fail(Cancelled())
        super().close()

    def __del__(self) -> None:
        # The base class would close the file, which makes an object of half the bytes.
        if getattr(self, "_upload", None) is None:
            return
        if sys.is_finalizing():  # opened in an exit handler; no thread can abort the upload
            self._upload = None
            print(f"{self.name} was not closed: parts of it may be left", file=sys.stderr)
        else:
            try:
                text = f"{self.name} was not closed: no object is made"
                warnings.warn(text, ResourceWarning, 2, source=self)
            finally:
                self.abort()  # also if warnings are errors

    def _fail(self, error: BaseException) -> BaseException:
        upload, self._upload = self._upload, None
        assert upload is not None
        return upload.fail(error)


class TextWriter(AbortOnError, io.TextIOWrapper):
    """A text file whose text becomes an object when it is closed, on top of an ObjectWriter.

    No object is made if the ``with`` block raises, or the file is never closed.
    """

    def __init__(self, writer: ObjectWriter, encoding: str, newline: str | None) -> None:
        self._writer = writer
        super().__init__(writer, encoding, newline=newline)

    @property
    def stats(self) -> ObjectStats | None:
        """The object's stats once the file is closed; None before, and if no object is made."""
        return self._writer.stats

    def abort(self) -> None:
        """Close the file without making an object."""
        self._writer.abort()

    def __del__(self) -> None:
        # The base class would close the file, which makes an object of half the text.
        writer = getattr(self, "_writer", None)
        if writer is not None and not writer.closed:
            writer.__del__()
