"""`Transfer`: the public methods, their documentation, and their dispatch."""

from __future__ import annotations

import io
import logging
import os
from contextlib import nullcontext
from typing import TYPE_CHECKING, overload

from lakefs_client import _encode, auth
from lakefs_client._media_type import guess_content_type
from lakefs_client.exceptions import ApiTypeError, ApiValueError
from lakefs_client.transfer.arguments import require_names
from lakefs_client.transfer.call import Call
from lakefs_client.transfer.compose import ObjectRange, compose
from lakefs_client.transfer.config import TransferConfig
from lakefs_client.transfer.context import TransferContext
from lakefs_client.transfer.directory.methods import DirectoryMethods
from lakefs_client.transfer.download.file import download
from lakefs_client.transfer.download.partial import Target, resolved
from lakefs_client.transfer.download.reader import ObjectReader
from lakefs_client.transfer.plan import plan_parts
from lakefs_client.transfer.source import FileSource
from lakefs_client.transfer.upload.destination import Destination
from lakefs_client.transfer.upload.file import FileUpload
from lakefs_client.transfer.upload.resume import PendingUpload, discard, pending_uploads
from lakefs_client.transfer.upload.stream import StreamUpload, source_of
from lakefs_client.transfer.upload.writer import ObjectWriter, TextWriter
from lakefs_client.uri import ObjectRef

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal, TypeVar

    from lakefs_client._operation import Readable
    from lakefs_client.api_client import ApiClient
    from lakefs_client.model.object_stats import ObjectStats
    from lakefs_client.transfer.progress import ProgressCallback

    T = TypeVar("T")

logger = logging.getLogger("lakefs_client.transfer")


class Transfer(DirectoryMethods):
    """Transfers between this machine and lakeFS, straight to and from the object store.

    Threads may share one object. One limit of concurrency holds for everything that it does.
    Both arguments are attributes too.

    Args:
        api_client: Client for the requests to lakeFS.
        config: Part size, concurrency and other settings.

    Raises:
        ApiTypeError: `config` is not a TransferConfig.
    """

    def __init__(self, api_client: ApiClient, config: TransferConfig | None = None) -> None:
        if config is not None and not isinstance(config, TransferConfig):
            raise ApiTypeError(f"config must be a TransferConfig, not {type(config).__name__}")
        if not hasattr(api_client, "store_client"):
            raise ApiTypeError(f"api_client must be an ApiClient, not {type(api_client).__name__}")
        self._context = TransferContext.create(api_client, config or TransferConfig())

    def __repr__(self) -> str:
        return f"<Transfer of {self.api_client!r}>"

    def __reduce__(self) -> tuple[type[Transfer], tuple[ApiClient, TransferConfig]]:
        return type(self), (self.api_client, self.config)

    @property
    def api_client(self) -> ApiClient:
        """The client for the requests to lakeFS."""
        return self._context.client

    @property
    def config(self) -> TransferConfig:
        """The settings."""
        return self._context.config

    def upload_file(
        self,
        source: str | os.PathLike[str],
        repository: str,
        branch: str,
        path: str,
        *,
        content_type: str | None = None,
        user_metadata: Mapping[str, str] | None = None,
        progress: ProgressCallback | None = None,
        overwrite: bool = True,
        resume: bool = False,
    ) -> ObjectStats:
        """Upload a file as an uncommitted change of a branch.

        A file of `TransferConfig.multipart_threshold` bytes or more is sent in parts, a smaller
        one in one PUT. If the store does not support presigned multipart uploads, a file of up to
        5 GiB is sent in one PUT. If there are no presigned URLs, the bytes pass through the server.

        Args:
            source: Path of a regular file.
            repository: Name of the repository.
            branch: Name of the branch.
            path: Path of the object in the repository. An existing object is replaced, unless
                `overwrite` is False.
            content_type: Media type. By default guessed from the extension of the path, then of
                the source; a compressed file gets the type of its compression.
            user_metadata: Key-value pairs of the object.
            progress: Called with the number of bytes sent since the last call, by one thread
                at a time. The number is negative when a part is sent again; the sum at the end
                is the file's size. An exception in the callback stops the upload. tqdm's
                ``bar.update`` fits, as does an fsspec callback, which also gets the size.
                True shows a bar of tqdm (extra ``[progress]``).
            overwrite: If False, an existing object stays, whoever writes to the path at the same
                time. The upload is then sent in one PUT of at most 5 GiB, which cannot resume.
            resume: Keep a journal of an upload in parts. After an interruption, the same call
                resumes the upload, even in another process, and sends only the missing parts.
                See `TransferConfig.journal_dir`.

        Raises:
            ApiTypeError, ApiValueError: An argument is invalid. Nothing was sent.
            OSError: The file cannot be opened, or the journal cannot be written.
            ObjectExistsError: `overwrite` is False, and there is an object.
            TransferError: The upload failed; `outcome` says what is left of it.
            ApiException: lakeFS refused to begin: NotFoundException, UnauthorizedException …
        """
        with FileSource(source) as file:
            destination = self._destination(
                repository, branch, path, content_type, user_metadata, file.name,
                overwrite=overwrite,
            )  # fmt: skip
            plan_parts(file.size, self.config.part_size, self._context.limits)
            call = Call(progress)
            upload = FileUpload(self._context, file, destination, call.progress, call.cancellation)
            return call.run(
                f"upload of {file.name} to {destination}, {file.size} bytes",
                lambda: upload.run(resume=resume),
            )

    def upload_fileobj(
        self,
        fileobj: Readable,
        repository: str,
        branch: str,
        path: str,
        *,
        content_type: str | None = None,
        user_metadata: Mapping[str, str] | None = None,
        progress: ProgressCallback | None = None,
        overwrite: bool = True,
    ) -> ObjectStats:
        """Upload an open binary file or stream, from its position to its end.

        Regular files and `io.BytesIO` are read in place, by several threads. For all other
        streams (pipes, sockets, decompressors), temporary files without a name, in
        `Configuration.temp_folder_path`, hold the parts until the store has them: at most
        `max_concurrency` + 1 parts, or all of them if the store does not support presigned
        multipart uploads. The first 8,000 parts have `part_size`; later ones grow with the stream,
        so that 10,000 parts hold at least 8 TiB.

        Args:
            fileobj: An object with a method ``read(size)`` that returns bytes. It stays open, at
                its end.
            repository: Name of the repository.
            branch: Name of the branch.
            path: Path of the object in the repository. An existing object is replaced, unless
                `overwrite` is False.
            content_type: Media type; by default guessed from the path's extension.
            user_metadata: Key-value pairs of the object.
            progress: As for `upload_file`. The size of a stream is reported at its end.
            overwrite: As for `upload_file`. The temporary files then hold the whole stream.

        Raises:
            ApiTypeError, ApiValueError: An argument is invalid. Nothing was sent.
            OSError: The temporary files cannot be written.
            ObjectExistsError: `overwrite` is False, and there is an object.
            TransferError: The upload failed; `outcome` says what is left of it.
            ApiException: lakeFS refused to begin.
            Exception: An exception of `fileobj`, after the upload was aborted.
        """
        if self.config.executor is not None:
            raise ApiValueError("upload_fileobj: the workers of an executor can only read files")
        source = source_of(fileobj)
        with source or nullcontext():
            name = source.name if isinstance(source, FileSource) else ""
            destination = self._destination(
                repository, branch, path, content_type, user_metadata, name, overwrite=overwrite
            )
            call = Call(progress)
            if source is None:
                stream = StreamUpload(self._context, destination, call.progress, call.cancellation)
                return call.run(
                    f"upload of a stream to {destination}", lambda: stream.read(fileobj)
                )
            upload = FileUpload(
                self._context, source, destination, call.progress, call.cancellation
            )
            stats = call.run(
                f"upload of an open file to {destination}, {source.size} bytes",
                lambda: upload.run(resume=False),
            )
            fileobj.seek(0, os.SEEK_END)  # type: ignore[attr-defined]
            return stats

    def compose(
        self,
        ranges: Sequence[ObjectRange],
        repository: str,
        branch: str,
        path: str,
        *,
        content_type: str | None = None,
        user_metadata: Mapping[str, str] | None = None,
        progress: ProgressCallback | None = None,
    ) -> ObjectStats:
        """Concatenate ranges of existing objects into a new object.

        The store copies the ranges. Only a range of less than 5 MiB, the minimum of a part,
        passes through this machine, with the next bytes that it needs. If an object changes
        during the call, the call fails.

        Args:
            ranges: The ranges in order. Each of 5 MiB or more takes at least one part, and an
                object has at most 10,000 parts.
            repository: Name of the repository.
            branch: Name of the branch.
            path: Path of the new object. An existing object is replaced; `ranges` may name it.
            content_type: Media type; by default guessed from the path's extension.
            user_metadata: Key-value pairs of the object.
            progress: As for `upload_file`.

        Raises:
            ApiTypeError, ApiValueError: An argument or a range is invalid, or
                `TransferConfig.presign` is False.
            TransferError: The call failed; `outcome` says what is left of it.
            ApiException: lakeFS has no such object, or the store does not support it (501).
        """
        if not self.config.presign:
            raise ApiValueError("compose needs presigned URLs, and TransferConfig.presign is False")
        destination = self._destination(repository, branch, path, content_type, user_metadata)
        ranges, call = list(ranges), Call(progress)
        if not all(isinstance(item, ObjectRange) for item in ranges):
            raise ApiTypeError("ranges must be a list of ObjectRange")
        return call.run(
            f"composition of {destination} from {len(ranges)} ranges",
            lambda: compose(
                self._context.local, destination, ranges, call.progress, call.cancellation
            ),
        )

    def download_file(
        self,
        repository: str,
        ref: str,
        path: str,
        target: str | os.PathLike[str],
        *,
        progress: ProgressCallback | None = None,
        resume: bool = False,
    ) -> ObjectStats:
        """Download an object into a file.

        Parallel requests to the store fill a hidden file beside the target,
        ``.{name}.….part``. It is renamed to the target once it is whole and, if the object's
        checksum is an MD5 or a composite of MD5s, verified.

        Args:
            repository: Name of the repository.
            ref: Branch, tag, commit id or expression.
            path: Path of the object in the repository.
            target: Path of the file, or of a folder, in which the file takes the object's name.
                An existing file is replaced.
            progress: As for `upload_file`, with the number of bytes received. The number is
                negative when the download restarts.
            resume: Keep the partial file of an interrupted download, and resume from that of an
                earlier call with `resume`.

        Returns:
            The object's stats. A presigned `physical_address` lacks its signature.

        Raises:
            ApiTypeError, ApiValueError: An argument is invalid. Nothing was sent.
            OSError: The file cannot be written: FileNotFoundError, IsADirectoryError …
            TransferError: The download failed; `outcome` says what is left of it.
            ApiException: lakeFS has no such object: NotFoundException, UnauthorizedException …
        """
        require_names(repository=repository, ref=ref, path=path)
        source = ObjectRef(repository, ref, path)
        file, call = Target.of(resolved(target, path)), Call(progress)
        return call.run(
            f"download of {source} to {file}",
            lambda: download(
                self._context, source, file, call.progress,
                resume=resume, cancellation=call.cancellation,
            ),
        )  # fmt: skip

    @overload
    def open(
        self, repository: str, ref: str, path: str, mode: Literal["rb"] = "rb"
    ) -> ObjectReader: ...

    @overload
    def open(
        self,
        repository: str,
        ref: str,
        path: str,
        mode: Literal["wb", "xb"],
        *,
        content_type: str | None = None,
        user_metadata: Mapping[str, str] | None = None,
    ) -> ObjectWriter: ...

    @overload
    def open(
        self,
        repository: str,
        ref: str,
        path: str,
        mode: Literal["r", "rt"],
        *,
        encoding: str = "utf-8",
        newline: str | None = None,
    ) -> io.TextIOWrapper: ...

    @overload
    def open(
        self,
        repository: str,
        ref: str,
        path: str,
        mode: Literal["w", "wt", "x", "xt"],
        *,
        content_type: str | None = None,
        user_metadata: Mapping[str, str] | None = None,
        encoding: str = "utf-8",
        newline: str | None = None,
    ) -> TextWriter: ...

    def open(
        self,
        repository: str,
        ref: str,
        path: str,
        mode: str = "rb",
        *,
        content_type: str | None = None,
        user_metadata: Mapping[str, str] | None = None,
        encoding: str | None = None,
        newline: str | None = None,
    ) -> ObjectReader | ObjectWriter | io.TextIOWrapper:
        """Open an object as a binary file or, without ``b`` in the mode, as a text file.

        Args:
            repository: Name of the repository.
            ref: Branch; for reading also tag, commit id or expression.
            path: Path of the object in the repository.
            mode: ``"rb"`` or ``"r"`` to read and seek, ``"wb"`` or ``"w"`` to write a new object,
                which is made when the file is closed. After an exception in the ``with`` block
                no object is made. ``"xb"`` or ``"x"`` never replaces an object, as `upload_file`
                with ``overwrite=False``.
            content_type: Media type of the new object; by default guessed from the path.
            user_metadata: Key-value pairs of the new object.
            encoding: Encoding of text. Default UTF-8.
            newline: Treatment of line ends in text, as for the built-in ``open``.

        Raises:
            ApiTypeError, ApiValueError: An argument is invalid.
            ObjectExistsError: The mode has ``x``, and there is an object.
            ApiException: lakeFS has no such object to read.
        """
        modes = ("rb", "wb", "xb", "r", "rt", "w", "wt", "x", "xt")
        if mode not in modes:
            raise ApiValueError(f"mode must be one of {', '.join(modes)}: got {mode!r}")
        text = "b" not in mode
        if not text and (encoding is not None or newline is not None):
            raise ApiValueError("encoding and newline are for text modes")
        if "r" not in mode:
            destination = self._destination(
                repository, ref, path, content_type, user_metadata, overwrite="w" in mode
            )
            destination.check_vacant()
            writer = ObjectWriter(self._context.local, destination)
            return TextWriter(writer, encoding or "utf-8", newline) if text else writer
        if content_type is not None or user_metadata is not None:
            raise ApiValueError("content_type and user_metadata are for writing")
        require_names(repository=repository, ref=ref, path=path)
        reader = ObjectReader(self._context, ObjectRef(repository, ref, path))
        return io.TextIOWrapper(reader, encoding or "utf-8", newline=newline) if text else reader

    def pending_uploads(self) -> list[PendingUpload]:
        """Return the interrupted uploads to this server that have a journal here.

        `upload_file` with ``resume=True`` and the same arguments resumes one, as does
        `resume_upload`; `discard_upload` aborts it.

        Raises:
            OSError: The folder of journals cannot be read.
        """
        return [*pending_uploads(self.config.journals, self.api_client.configuration.host)]

    def resume_upload(
        self, pending: PendingUpload, *, progress: ProgressCallback | None = None
    ) -> ObjectStats:
        """Resume an interrupted upload.

        Args:
            pending: One of `pending_uploads`.
            progress: As for `upload_file`; the bytes in the store are reported at once.

        Raises:
            Exception: As `upload_file`.
        """
        destination = self._destination(
            pending.repository, pending.branch, pending.path,
            pending.content_type, pending.user_metadata,
        )  # fmt: skip
        with FileSource(pending.source) as file:
            call = Call(progress)
            upload = FileUpload(
                self._context, file, destination, call.progress, call.cancellation,
                part_size=pending.part_size,
            )  # fmt: skip
            return call.run(
                f"resumption of {file.name} to {destination}, {file.size} bytes",
                lambda: upload.run(resume=True),
            )

    def discard_upload(self, pending: PendingUpload) -> None:
        """Abort an interrupted upload: the store deletes its parts.

        Raises:
            TransferError: Another process has resumed it.
            ApiException: The request failed, or the upload's address expired. Only in the latter
                case the journal is deleted, since only a lifecycle rule of the bucket
                (AbortIncompleteMultipartUpload) can then delete the parts.
        """
        discard(self.config.journals, self.api_client, pending)

    def _destination(
        self,
        repository: str,
        branch: str,
        path: str,
        content_type: str | None,
        user_metadata: Mapping[str, str] | None,
        name: str = "",
        *,
        overwrite: bool = True,
    ) -> Destination:
        """Return the destination of an upload, after a check of the arguments."""
        require_names(repository=repository, branch=branch, path=path)
        if content_type is None:
            content_type = guess_content_type(path, name)
        elif not isinstance(content_type, str):
            raise ApiTypeError(f"content_type must be a str, not {type(content_type).__name__}")
        elif not content_type:
            raise ApiValueError("content_type must not be empty")
        auth.require_header_safe("content_type", content_type)
        ref, metadata = ObjectRef(repository, branch, path), _checked_metadata(user_metadata)
        return Destination(
            self.api_client, ref, content_type, metadata, self._context.patience, overwrite
        )


def _checked_metadata(user_metadata: Mapping[str, str] | None) -> dict[str, str]:
    return _encode.checked_user_metadata(
        "user_metadata", {} if user_metadata is None else user_metadata
    )
