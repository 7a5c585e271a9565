"""Upload a file: in parts, or in one PUT. And give up cleanly."""

from __future__ import annotations

import logging
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from lakefs_client import _encode, auth
from lakefs_client.exceptions import ApiException, ApiTypeError, ApiValueError, TransferError
from lakefs_client.rest import Interrupt
from lakefs_client.retry import retry_policy
from lakefs_client.transfer.complete import NothingAssembledError, complete, link, reason
from lakefs_client.transfer.config import TransferConfig
from lakefs_client.transfer.part import CallbackError, PartSender, Progress, Stored
from lakefs_client.transfer.plan import MAX_SINGLE_PUT, Part, PartPlan, plan_parts
from lakefs_client.transfer.source import FileSource, SourceError, guess_content_type
from lakefs_client.transfer.target import Multipart, Target, require_names
from lakefs_client.transfer.url import ExpiringUrl, SignedUrl, is_azure

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from lakefs_client.api_client import ApiClient
    from lakefs_client.model.object_stats import ObjectStats

logger = logging.getLogger("lakefs_client.transfer")

ABORT_WAIT = 10.0
"""Seconds to wait for parts in flight before an abort."""


class Transfer:
    """Moves files between this machine and lakeFS, past the server, straight to the store.

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

    def upload_file(
        self,
        source: str | os.PathLike[str],
        repository: str,
        branch: str,
        path: str,
        *,
        content_type: str | None = None,
        user_metadata: Mapping[str, str] | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> ObjectStats:
        """Upload a file as an uncommitted change of a branch.

        Files from `TransferConfig.multipart_threshold` bytes on go up in parts, smaller ones in
        one PUT. So do files up to 5 GiB where the store cannot do presigned multipart uploads,
        which is learned from the server's answer (501).

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
                file's size in the end. An exception in it stops the upload.

        Returns:
            The object's stats.

        Raises:
            ApiTypeError: An argument has the wrong type.
            ApiValueError: An argument cannot be sent. Nothing was.
            OSError: The file cannot be opened: FileNotFoundError, IsADirectoryError …
            TransferError: The upload failed; it says what became of it.
            ApiException: lakeFS refused to begin: NotFoundException, UnauthorizedException …
        """
        require_names(repository=repository, branch=branch, path=path)
        if content_type is not None:
            _require_content_type(content_type)
        if progress is not None and not callable(progress):
            raise ApiTypeError("progress must be callable")
        metadata = _encode.checked_user_metadata(
            "user_metadata", {} if user_metadata is None else user_metadata
        )
        with FileSource(source) as file:
            plan = plan_parts(file.size, self.config.part_size)
            content_type = content_type or guess_content_type(path, file.name)
            target = Target(self.api_client, repository, branch, path, content_type, metadata)
            upload = _Upload(self, file, target, progress)
            started = time.monotonic()
            logger.info("upload of %s to %s: %d bytes", file.name, target, file.size)
            in_parts = file.size >= self.config.threshold or file.size > MAX_SINGLE_PUT
            try:
                stats = upload.in_parts(plan) if in_parts else upload.in_one()
                logger.info("upload to %s: done in %.1f s", target, time.monotonic() - started)
                return stats
            except CallbackError as error:
                raised = error.raised
        raise raised  # out here it keeps the context that it has


def _require_content_type(value: object) -> None:
    if not isinstance(value, str):
        raise ApiTypeError(f"content_type must be a str, not {type(value).__name__}")
    if not value:
        raise ApiValueError("content_type must not be empty")
    auth.require_header_safe("content_type", value)


class _PartError(Exception):
    """Carries which part failed to where the upload is given up."""

    def __init__(self, number: int, cause: BaseException) -> None:
        self.number = number
        self.cause = cause
        super().__init__(number)


class _Upload:
    """One upload of a file."""

    def __init__(
        self,
        transfer: Transfer,
        source: FileSource,
        target: Target,
        progress: Callable[[int], object] | None,
    ) -> None:
        client = transfer.api_client
        self._config = transfer.config
        self._source = source
        self._target = target
        self._timing = client.store_client.timing
        self._interrupt = Interrupt()
        self._policy = self._config.retry or retry_policy(client.configuration.retries)
        self._sender = PartSender(
            client.store_client, source, self._policy,
            user_agent=client.user_agent, verify=self._config.verify,
            progress=Progress(progress), interrupt=self._interrupt,
        )  # fmt: skip

    def in_one(self) -> ObjectStats:
        """Upload by one presigned PUT, and link the address."""
        target, size = self._target, self._source.size
        address, first = self._stage()

        def renew() -> SignedUrl:
            # A new address: nothing has arrived at the old one, and only get makes URLs.
            nonlocal address
            address, signed = self._stage()
            return signed

        headers = {"Content-Type": target.content_type}
        if is_azure(first.url):
            headers["x-ms-blob-type"] = "BlockBlob"
        url = ExpiringUrl(renew, self._timing.clock, first, self._timing.clock())
        try:
            stored = self._sender.send(Part(1, 0, size), url, headers)
            self._source.check_unchanged()
        except (ApiException, SourceError) as error:
            raise TransferError(
                f"{target}: {reason(error)}; no object was made", outcome="aborted", cause=error
            ) from error
        return link(target, address, stored.content_md5 or stored.etag or "", size)

    def _stage(self) -> tuple[str, SignedUrl]:
        address, signed = self._target.stage()
        if signed is None:
            raise TransferError(
                f"{self._target}: this server's store offers no presigned URLs; "
                "ObjectsApi.upload_object goes through the server",
                outcome="aborted",
            )
        return address, signed

    def in_parts(self, plan: PartPlan) -> ObjectStats:
        """Upload in parts; in one PUT where the store knows no parts."""
        target = self._target
        received = self._timing.clock()
        try:
            upload, urls = target.create(plan.count)
        except ApiException as error:
            if error.status != 501:
                raise
            if plan.size > MAX_SINGLE_PUT:
                raise TransferError(
                    f"{target}: the store cannot do presigned multipart uploads, and one PUT "
                    f"takes 5 GiB at the most, not {plan.size} bytes",
                    outcome="aborted",
                    cause=error,
                ) from error
            logger.info("%s: no presigned multipart upload here, sending one PUT", target)
            return self.in_one()
        logger.debug("%s: upload id %s, %d parts", target, upload.upload_id, plan.count)
        try:
            stored = self._send(plan, upload, urls, received)
            self._source.check_unchanged()
            return complete(target, upload, stored, plan.size, self._policy, self._timing.sleep)
        except TransferError:
            raise  # after the store may have assembled it, nothing is aborted
        except NothingAssembledError as error:
            raise self._given_up(upload, error.cause) from error.cause
        except _PartError as error:
            failure = self._given_up(upload, error.cause, error.number)
            raise failure from failure.__cause__
        except BaseException as error:
            failure = self._given_up(upload, error)
            raise failure from failure.__cause__

    def _send(
        self, plan: PartPlan, upload: Multipart, urls: list[SignedUrl], received: float
    ) -> list[Stored]:
        """Send every part, `max_concurrency` at a time. The first failure ends the rest."""
        clock = self._timing.clock

        def url_of(number: int) -> ExpiringUrl:
            return ExpiringUrl(
                lambda: self._target.fresh_url(upload, number),
                clock,
                urls[number - 1] if number <= len(urls) else None,
                received,
            )

        stored: list[Stored | None] = [None] * plan.count
        parts = iter(plan)
        pending: dict[Future[Stored], int] = {}
        workers = ThreadPoolExecutor(
            min(self._config.max_concurrency, plan.count), "lakefs-client-upload"
        )
        try:
            while True:
                for part in parts:
                    future = workers.submit(self._sender.send, part, url_of(part.number), {})
                    pending[future] = part.number
                    if len(pending) >= self._config.max_concurrency:
                        break
                if not pending:
                    return [one for one in stored if one is not None]
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    number = pending.pop(future)
                    try:
                        stored[number - 1] = future.result()
                    except Exception as error:
                        raise _PartError(number, error) from error
        finally:
            if pending:
                self._interrupt.set()
                wait(pending, timeout=ABORT_WAIT)
            workers.shutdown(wait=False, cancel_futures=True)

    def _given_up(
        self, upload: Multipart, error: BaseException, number: int | None = None
    ) -> BaseException:
        """Abort the upload, and return what to raise: the first error, never the abort's."""
        self._interrupt.set()
        outcome = "aborted"
        try:
            self._target.abort(upload)
        except ApiException as failure:
            outcome = "abort failed"
            logger.warning(
                "%s: the abort failed as well (%s); parts may be left in the store under the "
                "upload id %s", self._target, reason(failure), upload.upload_id,
            )  # fmt: skip
        logger.info("upload to %s: failed, %s", self._target, outcome)
        if not isinstance(error, (ApiException, SourceError)):
            return error  # an interrupt, or the caller's own from the progress callback
        part = "" if number is None else f"part {number}: "
        return TransferError(
            f"{self._target}: {part}{reason(error)}",
            outcome=outcome,
            cause=error,
            part_number=number,
            upload_id=upload.upload_id,
            physical_address=upload.physical_address,
        )
