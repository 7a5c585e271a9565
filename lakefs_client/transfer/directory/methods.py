"""The methods of `Transfer` for directories."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lakefs_client import _encode
from lakefs_client.transfer.arguments import require_names
from lakefs_client.transfer.directory.copy import DirectoryCopy, require_apart
from lakefs_client.transfer.directory.delete import delete_directory
from lakefs_client.transfer.directory.download import DirectoryDownload
from lakefs_client.transfer.directory.job import DirectoryJob
from lakefs_client.transfer.directory.paths import Filter, folder_prefix
from lakefs_client.transfer.directory.upload import DirectoryUpload
from lakefs_client.uri import ObjectRef

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lakefs_client.transfer.context import TransferContext
    from lakefs_client.transfer.directory.report import DirectoryReport
    from lakefs_client.transfer.progress import ProgressCallback


class DirectoryMethods:
    """The methods of `Transfer` for directories."""

    _context: TransferContext

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
        delete: bool = False,
        dry_run: bool = False,
    ) -> DirectoryReport:
        """Upload a directory recursively, skipping unchanged files.

        A file is skipped if the object at its path has its size, content type and checksum: an
        MD5, or the composite of parts of `TransferConfig.part_size`. So a repeated call continues
        an earlier one that stopped. Memory does not grow with the number of files.

        Args:
            source: Path of the directory.
            repository: Name of the repository.
            branch: Name of the branch.
            prefix: Prefix of the objects' paths; a slash is added. By default the whole branch.
            include: `fnmatch` patterns of the files to upload, relative to the directory; ``*``
                matches slashes too. By default all files.
            exclude: Patterns of files to leave out.
            follow_symlinks: Follow symbolic links; by default they are left out.
            user_metadata: Key-value pairs of every object. A file whose object has others is
                uploaded again. By default unchanged files keep the pairs of their objects.
            progress: As for `upload_file`, for the bytes of all files together. Skipped files
                count too, and the total grows as files are found.
            resume: As for `upload_file`, for files that are sent in parts.
            stop_on_error: Stop at the first failure, and raise it.
            delete: Afterwards delete the objects below the prefix that the directory lacks, unless
                a file failed. Objects of excluded files, and of symbolic links, are kept.
            dry_run: Report what the call would do, and change nothing.

        Returns:
            The report. Check it, or call its `raise_for_failures`. It iterates over all files.

        Raises:
            ApiTypeError, ApiValueError: An argument is invalid.
            OSError: The directory cannot be read.
            TransferError: The branch rejects writes.
            ApiException: lakeFS has no such branch, or the request failed.
        """
        require_names(repository=repository, branch=branch)
        target = ObjectRef(repository, branch, folder_prefix(prefix))
        metadata = (
            None
            if user_metadata is None
            else _encode.checked_user_metadata("user_metadata", user_metadata)
        )
        folder, wanted = os.fspath(source), Filter(include, exclude)
        job = DirectoryJob(self._context, progress, stop_on_error=stop_on_error, dry_run=dry_run)
        upload = DirectoryUpload(
            job, folder, target, wanted, metadata, follow_symlinks, resume, delete
        )
        return job.call.run(f"upload of {folder} to {target}", upload.run)

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
        delete: bool = False,
        dry_run: bool = False,
    ) -> DirectoryReport:
        """Download the objects below a prefix, skipping unchanged files.

        No file is written outside the directory. An object whose path leads out of it, or is not
        possible in this machine's file system, is a failure.

        Args:
            repository: Name of the repository.
            ref: Branch, tag, commit id or expression.
            prefix: Prefix of the objects' paths; a slash is added. All objects if it is empty.
            target: Path of the directory, which is made if it does not exist.
            include: As for `upload_directory`.
            exclude: As for `upload_directory`.
            progress: As for `upload_directory`, for the bytes of all objects together.
            resume: As for `download_file`, for objects larger than `TransferConfig.part_size`.
            stop_on_error: Stop at the first failure, and raise it.
            delete: Afterwards delete the files of the directory that lakeFS lacks, and folders that
                this empties, unless a file failed. Excluded files and symbolic links are kept.
            dry_run: Report what the call would do, and change nothing.

        Returns:
            The report. Check it, or call its `raise_for_failures`. It iterates over all files.

        Raises:
            ApiTypeError, ApiValueError: An argument is invalid.
            OSError: The directory cannot be made.
            ApiException: lakeFS has no such ref, or the request failed.
        """
        require_names(repository=repository, ref=ref)
        source, folder = ObjectRef(repository, ref, folder_prefix(prefix)), os.fspath(target)
        job = DirectoryJob(self._context, progress, stop_on_error=stop_on_error, dry_run=dry_run)
        download = DirectoryDownload(job, source, folder, Filter(include, exclude), resume, delete)
        return job.call.run(f"download of {source} to {folder}", download.run)

    def copy_directory(
        self,
        repository: str,
        ref: str,
        prefix: str,
        branch: str,
        target_prefix: str,
        *,
        include: str | Sequence[str] = (),
        exclude: str | Sequence[str] = (),
        progress: ProgressCallback | None = None,
        stop_on_error: bool = False,
        delete: bool = False,
        dry_run: bool = False,
    ) -> DirectoryReport:
        """Copy the objects below a prefix within a repository, skipping unchanged objects.

        The server copies the bytes. Content types and user metadata are copied too.

        Args:
            repository: Name of the repository.
            ref: Branch, tag, commit id or expression to copy from.
            prefix: Prefix of the objects' paths; a slash is added. All objects if it is empty.
            branch: Branch to copy to.
            target_prefix: Prefix of the copies' paths; a slash is added. On the branch `ref`,
                neither prefix may contain the other.
            include: As for `upload_directory`.
            exclude: As for `upload_directory`.
            progress: As for `upload_directory`, for the bytes of all objects together.
            stop_on_error: Stop at the first failure, and raise it.
            delete: Afterwards delete the objects below `target_prefix` that the source lacks,
                unless a copy failed. Objects with excluded paths are kept.
            dry_run: Report what the call would do, and change nothing.

        Returns:
            The report. Check it, or call its `raise_for_failures`. It iterates over all objects.

        Raises:
            ApiTypeError, ApiValueError: An argument is invalid.
            ApiException: lakeFS has no such ref or branch, or the request failed.
        """
        require_names(repository=repository, ref=ref, branch=branch)
        source = ObjectRef(repository, ref, folder_prefix(prefix))
        target = ObjectRef(repository, branch, folder_prefix(target_prefix))
        require_apart(source, target)
        job = DirectoryJob(self._context, progress, stop_on_error=stop_on_error, dry_run=dry_run)
        copy = DirectoryCopy(job, source, target, Filter(include, exclude), delete)
        return job.call.run(f"copy of {source} to {target}", copy.run)

    def delete_directory(
        self,
        repository: str,
        branch: str,
        prefix: str,
        *,
        include: str | Sequence[str] = (),
        exclude: str | Sequence[str] = (),
        stop_on_error: bool = False,
        dry_run: bool = False,
    ) -> DirectoryReport:
        """Delete the objects below a prefix, 1,000 per request. Earlier commits keep them.

        Args:
            repository: Name of the repository.
            branch: Name of the branch.
            prefix: Prefix of the objects' paths; a slash is added. All objects if it is empty.
            include: As for `upload_directory`.
            exclude: As for `upload_directory`.
            stop_on_error: Stop at the first failure, and raise it.
            dry_run: Report what the call would delete, and change nothing.

        Returns:
            The report. Check it, or call its `raise_for_failures`. It iterates over all objects.

        Raises:
            ApiTypeError, ApiValueError: An argument is invalid.
            ApiException: lakeFS has no such branch, or the request failed.
        """
        require_names(repository=repository, branch=branch)
        target = ObjectRef(repository, branch, folder_prefix(prefix))
        job = DirectoryJob(self._context, None, stop_on_error=stop_on_error, dry_run=dry_run)
        wanted = Filter(include, exclude)
        return job.call.run(f"deletion of {target}", lambda: delete_directory(job, target, wanted))
