"""The destination of an upload, and the lakeFS calls that it needs."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from lakefs_client.api.experimental_api import ExperimentalApi
from lakefs_client.api.objects_api import ObjectsApi
from lakefs_client.api.staging_api import StagingApi
from lakefs_client.exceptions import (
    ApiConnectionError,
    ApiException,
    ForbiddenException,
    NotFoundException,
    ObjectExistsError,
)
from lakefs_client.models import (
    AbortPresignMultipartUpload,
    CopyPartSource,
    StagingLocation,
    StagingMetadata,
    UploadPartCopyFrom,
    UploadPartFrom,
)
from lakefs_client.transfer.api_call import call
from lakefs_client.transfer.presigned import RenewalUnsupportedError, SignedUrl
from lakefs_client.transfer.store import LIFECYCLE_RULE, lacks_presigning
from lakefs_client.uri import ObjectRef

if TYPE_CHECKING:
    from lakefs_client.api_client import ApiClient
    from lakefs_client.model.complete_presign_multipart_upload import CompletePresignMultipartUpload
    from lakefs_client.model.object_stats import ObjectStats
    from lakefs_client.retry import RetryPolicy

ABORT_TIMEOUT = (10.0, 30.0)
"""Seconds to connect, and to wait for the answer to an abort."""


class MultipartId(NamedTuple):
    """The identity of a multipart upload."""

    upload_id: str
    physical_address: str


@dataclass(eq=False)
class Destination:
    """A path on a branch, the properties of the object, and the lakeFS calls of an upload.

    Attributes:
        client: Client for the calls.
        ref: Repository, branch and path.
        content_type: Media type of the object.
        user_metadata: Key-value pairs of the object.
        patience: Retry policy of the calls after the first; None for the configured one.
        overwrite: Replace an existing object. If False, lakeFS checks that there is none when it
            records the object, which it does not offer for multipart uploads.
    """

    client: ApiClient
    ref: ObjectRef
    content_type: str
    user_metadata: dict[str, str]
    patience: RetryPolicy | None = None
    overwrite: bool = True

    def __post_init__(self) -> None:
        self._key = (self.ref.repository, self.ref.ref, self.ref.path)
        self._condition: Any = {} if self.overwrite else {"if_none_match": "*"}

    def __str__(self) -> str:
        return str(self.ref)

    def _path_arguments(self, upload: MultipartId) -> tuple[str, str, str, str]:
        return self.ref.repository, self.ref.ref, upload.upload_id, self.ref.path

    def _call(self, method: Any, *arguments: Any, **options: Any) -> Any:
        """Call a method of an API under the patience of a transfer that is under way."""
        return call(self.client, method, arguments, self.patience, **options)

    def create(self, parts: int) -> tuple[MultipartId, list[SignedUrl]]:
        """Create a multipart upload. Return its identity, and the URLs of its first parts."""
        try:
            answer: Any = ExperimentalApi(self.client).create_presign_multipart_upload(
                *self._key, parts=parts, _return_http_data_only=False
            )
        except ApiConnectionError as error:
            if error.sent:  # the lost response had the upload id
                error.reason = (
                    f"{error.reason}; if lakeFS created the upload, it holds no bytes, and only "
                    f"{LIFECYCLE_RULE} can remove it"
                )
            raise
        created, _, headers = answer
        date = headers.get("Date")
        urls = [SignedUrl(url, date) for url in created.get("presigned_urls") or ()]
        return MultipartId(created.upload_id, created.physical_address), urls

    def fresh_url(self, upload: MultipartId, number: int) -> SignedUrl:
        """Request a new URL for a part."""
        body = UploadPartFrom(physical_address=upload.physical_address)
        try:
            answer: Any = self._call(
                ExperimentalApi.upload_part,
                *self._path_arguments(upload), number, body, _return_http_data_only=False,
            )  # fmt: skip
        except ApiException as error:
            # Servers before 1.55 say this with status 500, newer ones with 404.
            if "invalid API endpoint" in (error.body or ""):
                raise RenewalUnsupportedError(
                    404,
                    "a presigned URL expired, and this server cannot make another one: upload_part "
                    "requires lakeFS 1.55",
                ) from error
            raise
        fresh, _, headers = answer
        return SignedUrl(fresh.presigned_url, headers.get("Date"))

    def copy_part(
        self, upload: MultipartId, number: int, origin: ObjectRef, start: int, end: int
    ) -> str:
        """Copy bytes of an object as a part, within the store. Return the part's ETag."""
        source = CopyPartSource(
            origin.repository, origin.ref, origin.path, range=f"bytes={start}-{end - 1}"
        )
        body = UploadPartCopyFrom(upload.physical_address, source)
        answer: Any = self._call(
            ExperimentalApi.upload_part_copy,
            *self._path_arguments(upload), number, body, _return_http_data_only=False,
        )  # fmt: skip
        etag: str | None = answer[2].get("ETag")
        if etag is None:
            raise ApiException(answer[1], "the response to upload_part_copy has no ETag")
        return etag.strip('"')

    def complete(self, upload: MultipartId, body: CompletePresignMultipartUpload) -> ObjectStats:
        """Assemble the parts and record the object."""
        return ExperimentalApi(self.client).complete_presign_multipart_upload(
            *self._path_arguments(upload), complete_presign_multipart_upload=body
        )

    def abort(self, upload: MultipartId) -> None:
        """Abort the upload: the store deletes its parts."""
        body = AbortPresignMultipartUpload(physical_address=upload.physical_address)
        self._call(
            ExperimentalApi.abort_presign_multipart_upload,
            *self._path_arguments(upload),
            abort_presign_multipart_upload=body,
            _request_timeout=ABORT_TIMEOUT,
        )

    def stat(self) -> ObjectStats | None:
        """Return the object at the path, or None."""
        try:
            stats: ObjectStats = self._call(ObjectsApi.stat_object, *self._key)
            return stats
        except NotFoundException:
            return None

    def check_vacant(self) -> None:
        """Spare the bytes of an upload that lakeFS would reject at its end.

        Raises:
            ObjectExistsError: There is an object that must not be replaced.
        """
        if self.overwrite:
            return
        # Who may write but not read learns it at the end.
        with contextlib.suppress(ForbiddenException):
            if self.stat() is not None:
                raise ObjectExistsError(f"{self}: an object exists", outcome="aborted")

    def stage(self) -> tuple[str, SignedUrl | None]:
        """Return a physical address and its URL, or None if the store has no presigned URLs."""
        try:
            answer: Any = call(
                self.client, StagingApi.get_physical_address, self._key, None,
                presign=True, _return_http_data_only=False,
            )  # fmt: skip
        except ApiException as error:
            if not lacks_presigning(error):
                raise
            return "", None
        location, _, headers = answer
        address, url = location.get("physical_address"), location.get("presigned_url")
        if not address:
            raise ApiException(200, "get_physical_address: the answer has no physical_address")
        return address, SignedUrl(url, headers.get("Date")) if url else None

    def upload(self, content: Any) -> ObjectStats:
        """Upload a stream through the lakeFS server."""
        return ObjectsApi(self.client).upload_object(
            *self._key,
            content=content,
            content_type=self.content_type,
            user_metadata=self.user_metadata,
            **self._condition,
        )

    def link(self, physical_address: str, checksum: str, size: int) -> ObjectStats:
        """Link the bytes at a physical address as the object."""
        body = StagingMetadata(
            staging=StagingLocation(physical_address=physical_address),
            checksum=checksum,
            size_bytes=size,
            user_metadata=self.user_metadata,
            content_type=self.content_type,
        )
        stats: ObjectStats = self._call(
            StagingApi.link_physical_address, *self._key, body, **self._condition
        )
        return stats
