"""An object that is written like a file."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

from lakefs_client.transfer.part import Progress, Stopped
from lakefs_client.transfer.stream import StreamUpload

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from lakefs_client.model.object_stats import ObjectStats
    from lakefs_client.transfer.target import Target
    from lakefs_client.transfer.transfer import Transfer


class ObjectWriter(io.BufferedIOBase):
    """A binary file whose bytes become an object when it is closed.

    What stands at the path stays there until then. When the block that it is used in as a context
    manager ends with an exception, when a write fails, or when nobody closes it, it stays for good.
    `io.TextIOWrapper` closes what it wraps whatever happened: call `abort` before that.

    Attributes:
        name: ``lakefs://repository/branch/path``.
        stats: The object's stats, once it is closed; None before, and where there is none.
    """

    def __init__(self, transfer: Transfer, target: Target) -> None:
        self._upload: StreamUpload | None = StreamUpload(transfer, target, Progress(None))
        self._at = 0
        self.name = str(target)
        self.stats: ObjectStats | None = None

    def writable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """How many bytes were written."""
        return self._at

    def write(self, data: Any, /) -> int:
        """Write bytes; they are sent when there are enough of them for a part.

        Raises:
            ValueError: It is closed, or an earlier write failed.
            TransferError: A part failed. The upload is aborted.
            ApiException: lakeFS refused to begin.
            OSError: The temporary files cannot be written.
        """
        if self._upload is None:
            raise ValueError(f"{self.name} is closed, or was given up")
        with memoryview(data) as view, view.cast("B") as octets:
            try:
                self._upload.write(octets)
            except BaseException as error:
                failure = self._give_up(error)
                raise failure from failure.__cause__
            self._at += len(octets)
            return len(octets)

    def close(self) -> None:
        """Send what is left, and make the object, unless it was given up.

        Raises:
            TransferError: The upload failed; it says what became of it.
            ApiException: lakeFS refused to begin.
        """
        if self._upload is not None:
            try:
                self.stats = self._upload.finish()
            except BaseException as error:
                failure = self._give_up(error)
                raise failure from failure.__cause__
            finally:
                self._upload = None
                super().close()
        super().close()

    def abort(self) -> None:
        """Close it and make no object."""
        if self._upload is not None:
            self._give_up(Stopped())
        super().close()

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

    def __del__(self) -> None:
        # The base class would close it, which makes an object of half the bytes.
        if getattr(self, "_upload", None) is not None:
            try:
                text = f"{self.name} was not closed: no object is made"
                warnings.warn(text, ResourceWarning, 2, source=self)
            finally:
                self.abort()  # where warnings are errors as well

    def _give_up(self, error: BaseException) -> BaseException:
        upload, self._upload = self._upload, None
        assert upload is not None
        return upload.give_up(error)
