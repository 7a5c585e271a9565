"""`Transfer`: what people call."""

from __future__ import annotations

import logging
import os
import time
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, overload

from lakefs_client import _encode, auth
from lakefs_client.exceptions import ApiTypeError, ApiValueError
from lakefs_client.retry import retry_policy
from lakefs_client.transfer.compose import ObjectRange, Segment, compose, join
from lakefs_client.transfer.config import TransferConfig
from lakefs_client.transfer.directory import (
    Filter,
    download_directory,
    folder_prefix,
    upload_directory,
)
from lakefs_client.transfer.download import download
from lakefs_client.transfer.gate import Gate
from lakefs_client.transfer.many import DirectoryReport, Run
from lakefs_client.transfer.part import CallbackError, Progress
from lakefs_client.transfer.partial import resolved
from lakefs_client.transfer.permission import Permissions
from lakefs_client.transfer.plan import plan_parts
from lakefs_client.transfer.ranges import RemoteObject
from lakefs_client.transfer.reader import ObjectReader
from lakefs_client.transfer.resume import PendingUpload, discard, pending_uploads
from lakefs_client.transfer.source import FileSource, guess_content_type
from lakefs_client.transfer.stream import StreamUpload, source_of
from lakefs_client.transfer.target import Target, require_names
from lakefs_client.transfer.upload import Upload
from lakefs_client.transfer.writer import ObjectWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Literal, TypeVar

    from lakefs_client._operation import Readable
    from lakefs_client.api_client import ApiClient
    from lakefs_client.model.object_stats import ObjectStats
    from lakefs_client.retry import RetryPolicy
    from lakefs_client.transfer.part import ProgressCallback

    T = TypeVar("T")

logger = logging.getLogger("lakefs_client.transfer")


class Transfer:
    """Moves files between this machine and lakeFS, past the server, straight to the store.

    One object serves many threads; what they transfer at a time keeps to one limit of
    concurrency. Both arguments are attributes as well.

    Args:
        api_client: The client to ask lakeFS through.
        config: Part size, concurrency and the like.

    Raises:
        ApiTypeError: `config` is something else.
    """

    def __init__(self, api_client: ApiClient, config: TransferConfig | None = None) -> None:
        if config is not None and not isinstance(config, TransferConfig):
            raise ApiTypeError(f"config must be a TransferConfig, not {type(config).__name__}")
        self.api_client = api_client
        self.config = config or TransferConfig()
        self.gate = Gate(self.config.max_concurrency)
        self.permissions = Permissions(api_client)

    @property
    def policy(self) -> RetryPolicy:
        """How often a request to the store is repeated."""
        return self.config.retry or retry_policy(self.api_client.configuration.retries)

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
        resume: bool = False,
    ) -> ObjectStats:
        """Upload a file as an uncommitted change of a branch.

        Files from `TransferConfig.multipart_threshold` bytes on go up in parts; smaller ones in
        one PUT, as do files up to 5 GiB where the store cannot do presigned multipart uploads
        (lakeFS answers 501). Where there are no presigned URLs, bytes pass through the server.

        Args:
            source: Path of a regular file.
            repository: Name of the repository.
            branch: Name of the branch.
            path: Path of the object in the repository. What stands there is replaced.
            content_type: Media type; by default guessed from the path's extension, then from
                the source's. Of a compressed file it is that of the compression.
            user_metadata: Key-value pairs to keep with the object.
            progress: Called with the number of bytes sent since the last call, by one thread
                at a time. The number is negative when a part starts again; the sum is the
                file's size in the end. An exception in it stops the upload. ``bar.update`` of
                tqdm fits, and so does a callback of fsspec, which is told the size before.
            resume: Whether to keep a journal of an upload in parts, from which the same call,
                in another process too, goes on after an interruption without sending again
                what has arrived; see `TransferConfig.journal_dir`.

        Raises:
            ApiTypeError, ApiValueError: An argument cannot be used. Nothing was sent.
            OSError: The file cannot be opened, or the journal not be written.
            TransferError: The upload failed; it says what became of it.
            ApiException: lakeFS refused to begin: NotFoundException, UnauthorizedException …
        """
        with FileSource(source) as file:
            target = self._target(repository, branch, path, content_type, user_metadata, file.name)
            told = Progress(progress)
            plan_parts(file.size, self.config.part_size)
            return _carried_out(
                f"upload of {file.name} to {target}, {file.size} bytes",
                lambda: Upload(self, file, target, told).run(resume=resume),
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
    ) -> ObjectStats:
        """Upload what an open binary file or stream holds, from where it stands to its end.

        Regular files and `io.BytesIO` are read in place, by many threads. Of everything else
        (pipes, sockets, what decompresses) each part is kept in a temporary file without a
        name, in `Configuration.temp_folder_path`, until the store has it: at most
        `max_concurrency` + 1 parts, or all of them where the store cannot do presigned
        multipart uploads. Parts have `part_size`, and grow with the stream to a 96th of what
        went before, so that 50 TB (45.5 TiB), S3's limit of an object, fit into 10,000 parts.

        Args:
            fileobj: Has a method ``read(size)`` that returns bytes. It is left open, at its end.
            repository: Name of the repository.
            branch: Name of the branch.
            path: Path of the object in the repository. What stands there is replaced.
            content_type: Media type; by default guessed from the path's extension.
            user_metadata: Key-value pairs to keep with the object.
            progress: As for `upload_file`. The size of a stream is told once it has ended.

        Raises:
            ApiTypeError, ApiValueError: An argument cannot be used. Nothing was sent.
            OSError: The temporary files cannot be written.
            TransferError: The upload failed; it says what became of it.
            ApiException: lakeFS refused to begin.
            Exception: What `fileobj` raised, after the upload was aborted.
        """
        if self.config.executor is not None:
            raise ApiValueError("upload_fileobj: the workers of an executor can only read files")
        source = source_of(fileobj)
        with source or nullcontext():
            name = source.name if isinstance(source, FileSource) else ""
            target = self._target(repository, branch, path, content_type, user_metadata, name)
            told = Progress(progress)
            if source is None:
                stream = StreamUpload(self, target, told)
                return _carried_out(f"upload of a stream to {target}", lambda: stream.read(fileobj))
            stats = _carried_out(
                f"upload of an open file to {target}, {source.size} bytes",
                lambda: Upload(self, source, target, told).run(resume=False),
            )
            fileobj.seek(0, os.SEEK_END)  # type: ignore[attr-defined]
            return stats

    def append_file(
        self,
        source: str | os.PathLike[str],
        repository: str,
        branch: str,
        path: str,
        *,
        progress: ProgressCallback | None = None,
    ) -> ObjectStats:
        """Append a file to an object, which keeps its content type and user metadata.

        The store copies what is there, so nothing of it is downloaded, unless it has less than
        5 MiB, the least that a part has. Where somebody else writes to the path meanwhile the
        append fails, up to the last moment before the object is replaced.

        Args:
            source: Path of a regular file.
            repository: Name of the repository.
            branch: Name of the branch.
            path: Path of the object, which must be there.
            progress: As for `upload_file`; the sum is the size of the new object.

        Raises:
            ApiTypeError, ApiValueError: An argument cannot be used.
            OSError: The file cannot be opened.
            TransferError: It failed; it says what became of it.
            ApiException: lakeFS knows no such object, or the store cannot do it (501).
        """
        require_names(repository=repository, branch=branch, path=path)
        with FileSource(source) as file:
            former = RemoteObject(local := self._local(), (repository, branch, path))
            metadata = former.stats.get("metadata")
            target = self._target(
                repository, branch, path, former.stats.get("content_type"),
                None if metadata is None else metadata.to_dict(),
            )  # fmt: skip
            told = Progress(progress)
            segments = [Segment(former, 0, former.size), Segment(file, 0, file.size)]
            return _carried_out(
                f"append of {file.name} to {target}, {file.size} bytes",
                lambda: join(local, target, segments, told),
            )

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
        """Make an object of ranges of existing ones, one behind the other.

        The store copies them. Only what has less than 5 MiB, the least that a part has, passes
        through this machine, with as much of what follows as it lacks. An object that changes
        meanwhile is an error, since its ranges would be of two ages.

        Args:
            ranges: What to join. Each that has 5 MiB or more takes a part at the least, and an
                object has 10,000 parts at the most.
            repository: Name of the repository.
            branch: Name of the branch.
            path: Path of the new object. What stands there is replaced, and may be among what
                is joined.
            content_type: Media type; by default guessed from the path's extension.
            user_metadata: Key-value pairs to keep with the object.
            progress: As for `upload_file`.

        Raises:
            ApiTypeError, ApiValueError: An argument, or a range of it, cannot be used.
            TransferError: It failed; it says what became of it.
            ApiException: lakeFS knows no such object, or the store cannot do it (501).
        """
        target = self._target(repository, branch, path, content_type, user_metadata)
        ranges, told = list(ranges), Progress(progress)
        if not all(isinstance(one, ObjectRange) for one in ranges):
            raise ApiTypeError("ranges must be a list of ObjectRange")
        return _carried_out(
            f"composition of {target} from {len(ranges)} ranges",
            lambda: compose(self._local(), target, ranges, told),
        )

    def upload_directory(
        self,
        source: str | os.PathLike[str],
        repository: str,
        branch: str,
        prefix: str = "",
        *,
        include: str | Sequence[str] = (),
        exclude: str | Sequence[str] = (),
        follow_symlinks: bool = False,
        user_metadata: Mapping[str, str] | None = None,
        progress: ProgressCallback | None = None,
        resume: bool = False,
        stop_on_error: bool = False,
    ) -> DirectoryReport:
        """Upload the files of a folder and of those in it, but for what is there already.

        A file is passed over where an object of its size and checksum stands at its path: an
        MD5, or the composite of parts of `TransferConfig.part_size`. So a repeated call goes on
        where an earlier one stopped. Memory does not grow with the number of files.

        Args:
            source: Path of the folder.
            repository: Name of the repository.
            branch: Name of the branch.
            prefix: Where the files go; a slash is added to it. The whole branch by default.
            include: Patterns as of `fnmatch`, in which ``*`` stands for slashes as well: files
                whose path below the folder matches one are uploaded; by default all.
            exclude: Patterns of those that are not.
            follow_symlinks: Whether symbolic links are followed, or passed over.
            user_metadata: Key-value pairs to keep with every object.
            progress: As for `upload_file`: the bytes that go out, of all files together.
            resume: As for `upload_file`, for files that go up in parts.
            stop_on_error: Whether the first failure ends it, and is raised.

        Returns:
            What became of the files. Look at it, or call its `raise_for_failures`.

        Raises:
            ApiTypeError, ApiValueError: An argument cannot be used.
            OSError: The folder cannot be read.
            ApiException: lakeFS knows no such branch, or could not be asked.
        """
        require_names(repository=repository, branch=branch)
        # What holds for every object is checked with the first, a name that can be.
        target = self._target(repository, branch, folder_prefix(prefix) + "x", None, user_metadata)
        folder, place = os.fspath(source), (repository, branch, target.path[:-1])
        wanted, run = Filter(include, exclude), Run(self, progress, stop_on_error)
        return _carried_out(
            f"upload of {folder} to {str(target)[:-1]}",
            lambda: upload_directory(
                run, folder, place, wanted, target.user_metadata,
                follow_symlinks=follow_symlinks, resume=resume,
            ),
        )  # fmt: skip

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

        Ranges of the object come in parallel, straight from the store, into a hidden file beside
        the target, ``.{name}.….part``, which takes the target's name when it is whole and its
        checksum was found right, where that is an MD5 or a composite of MD5s.

        Args:
            repository: Name of the repository.
            ref: Branch, tag, commit id or expression.
            path: Path of the object in the repository.
            target: Path of the file. A file that is there is replaced.
            progress: As for `upload_file`, with the number of bytes received, which is negative
                when the download starts afresh.
            resume: Whether to keep what is there when the download is interrupted, and to go on
                with what an earlier, interrupted call with `resume` left.

        Returns:
            The object's stats. A presigned `physical_address` lacks its signature.

        Raises:
            ApiTypeError, ApiValueError: An argument cannot be used. Nothing was sent.
            OSError: The file cannot be written: FileNotFoundError, IsADirectoryError …
            TransferError: The download failed.
            ApiException: lakeFS knows no such object: NotFoundException, UnauthorizedException …
        """
        require_names(repository=repository, ref=ref, path=path)
        file, told = resolved(target), Progress(progress)
        return _carried_out(
            f"download of lakefs://{repository}/{ref}/{path} to {file}",
            lambda: download(self, (repository, ref, path), file, told, resume=resume),
        )

    def download_directory(
        self,
        repository: str,
        ref: str,
        prefix: str,
        target: str | os.PathLike[str],
        *,
        include: str | Sequence[str] = (),
        exclude: str | Sequence[str] = (),
        progress: ProgressCallback | None = None,
        resume: bool = False,
        stop_on_error: bool = False,
    ) -> DirectoryReport:
        """Download the objects below a prefix, but for those that are there already.

        No object's path can leave the folder: one that would is a failure, as is one that has no
        place in this machine's file system.

        Args:
            repository: Name of the repository.
            ref: Branch, tag, commit id or expression.
            prefix: What the paths begin with; a slash is added to it. All objects where it is "".
            target: Path of the folder, which is made where it is missing.
            include: As for `upload_directory`.
            exclude: As for `upload_directory`.
            progress: As for `download_file`: the bytes that come, of all objects together.
            resume: As for `download_file`.
            stop_on_error: Whether the first failure ends it, and is raised.

        Returns:
            What became of the objects. Look at it, or call its `raise_for_failures`.

        Raises:
            ApiTypeError, ApiValueError: An argument cannot be used.
            OSError: The folder cannot be made.
            ApiException: lakeFS knows no such ref, or could not be asked.
        """
        require_names(repository=repository, ref=ref)
        wanted, run = Filter(include, exclude), Run(self, progress, stop_on_error)
        place, folder = (repository, ref, folder_prefix(prefix)), os.fspath(target)
        return _carried_out(
            f"download of lakefs://{'/'.join(place)} to {folder}",
            lambda: download_directory(run, place, folder, wanted, resume=resume),
        )

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
        mode: Literal["wb"],
        *,
        content_type: str | None = None,
        user_metadata: Mapping[str, str] | None = None,
    ) -> ObjectWriter: ...

    def open(
        self,
        repository: str,
        ref: str,
        path: str,
        mode: str = "rb",
        *,
        content_type: str | None = None,
        user_metadata: Mapping[str, str] | None = None,
    ) -> ObjectReader | ObjectWriter:
        """Open an object as a binary file.

        Args:
            repository: Name of the repository.
            ref: Branch; for reading also tag, commit id or expression.
            path: Path of the object in the repository.
            mode: ``"rb"`` to read and seek in it, ``"wb"`` to write another in its place, which
                is made when the file is closed.
            content_type: Media type of what is written; by default guessed from the path.
            user_metadata: Key-value pairs to keep with what is written.

        Raises:
            ApiTypeError, ApiValueError: An argument cannot be used.
            ApiException: There is no such object to read.
        """
        if mode == "wb":
            target = self._target(repository, ref, path, content_type, user_metadata)
            return ObjectWriter(self._local(), target)
        if mode != "rb":
            raise ApiValueError(f"mode must be 'rb' or 'wb', not {mode!r}")
        if content_type is not None or user_metadata is not None:
            raise ApiValueError("content_type and user_metadata are for mode 'wb'")
        return ObjectReader(self, repository, ref, path)

    def pending_uploads(self) -> list[PendingUpload]:
        """The uploads to this server that were interrupted, and whose journals are here.

        `upload_file` with ``resume=True`` and the same arguments goes on with one, `resume_upload`
        with what the journal says; `discard_upload` gives it up.

        Raises:
            OSError: The folder of journals cannot be read.
        """
        return [*pending_uploads(self.config.journals, self.api_client.configuration.host)]

    def resume_upload(
        self, pending: PendingUpload, *, progress: ProgressCallback | None = None
    ) -> ObjectStats:
        """Go on with an upload that was interrupted.

        Args:
            pending: One of `pending_uploads`.
            progress: As for `upload_file`; what is in the store already counts at once.

        Raises:
            Exception: As `upload_file`.
        """
        config = replace(self.config, part_size=pending.part_size, multipart_threshold=0)
        transfer = Transfer(self.api_client, config)
        return transfer.upload_file(
            pending.source, pending.repository, pending.branch, pending.path,
            content_type=pending.content_type, user_metadata=pending.user_metadata,
            progress=progress, resume=True,
        )  # fmt: skip

    def discard_upload(self, pending: PendingUpload) -> None:
        """Give up an upload that was interrupted: have its parts thrown away.

        Raises:
            TransferError: It is under way in another process.
            ApiException: lakeFS could not be asked, or refuses an address that is over. The
                journal is removed in the latter case alone, for which a lifecycle rule of the
                bucket (AbortIncompleteMultipartUpload) is all that helps.
        """
        discard(self.config.journals, self.api_client, pending)

    def _local(self) -> Transfer:
        """The same, with threads for what workers elsewhere cannot do."""
        if self.config.executor is None:
            return self
        return Transfer(self.api_client, replace(self.config, executor=None))

    def _target(
        self,
        repository: str,
        branch: str,
        path: str,
        content_type: str | None,
        user_metadata: Mapping[str, str] | None,
        name: str = "",
    ) -> Target:
        """The object to be, once all that is said of it was checked."""
        require_names(repository=repository, branch=branch, path=path)
        if content_type is None:
            content_type = guess_content_type(path, name)
        elif not isinstance(content_type, str):
            raise ApiTypeError(f"content_type must be a str, not {type(content_type).__name__}")
        elif not content_type:
            raise ApiValueError("content_type must not be empty")
        auth.require_header_safe("content_type", content_type)
        metadata = _encode.checked_user_metadata(
            "user_metadata", {} if user_metadata is None else user_metadata
        )
        return Target(self.api_client, repository, branch, path, content_type, metadata)


def _carried_out(what: str, work: Callable[[], T]) -> T:
    """Do it, between two lines of the log."""
    started = time.monotonic()
    logger.info("%s", what)
    try:
        result = work()
        logger.info("%s: done in %.1f s", what, time.monotonic() - started)
        return result
    except CallbackError as error:
        raised = error.cause
    except BaseException as error:
        logger.info("%s: failed, %s", what, getattr(error, "outcome", type(error).__name__))
        raise
    logger.info("%s: stopped by its progress callback", what)
    while isinstance(raised, CallbackError):
        raised = raised.cause  # of one file of many
    raise raised  # out here it keeps the context that it has
