"""What an upload talks to lakeFS about: one path on one branch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from lakefs_client import _encode
from lakefs_client.api.experimental_api import ExperimentalApi
from lakefs_client.api.internal_api import InternalApi
from lakefs_client.api.objects_api import ObjectsApi
from lakefs_client.api.staging_api import StagingApi
from lakefs_client.exceptions import (
    ApiConnectionError,
    ApiException,
    ApiTypeError,
    ApiValueError,
    NotFoundException,
    error_for,
)
from lakefs_client.models import (
    AbortPresignMultipartUpload,
    CopyPartSource,
    ObjectStageCreation,
    StagingLocation,
    StagingMetadata,
    UploadPartCopyFrom,
    UploadPartFrom,
)
from lakefs_client.rest import Message
from lakefs_client.transfer.url import RenewalUnsupportedError, SignedUrl, lacks_presigning

if TYPE_CHECKING:
    from lakefs_client.api_client import ApiClient
    from lakefs_client.model.complete_presign_multipart_upload import CompletePresignMultipartUpload
    from lakefs_client.model.object_stats import ObjectStats

LIFECYCLE_RULE = "a lifecycle rule of the bucket (AbortIncompleteMultipartUpload)"
ABORT_TIMEOUT = (10.0, 30.0)
ADDRESS_LIFE = 24 * 3600.0
"""Seconds for which lakeFS accepts the address of an upload; 6 hours before 1.80."""
OVER = "lakeFS no longer accepts its address"


class Multipart(NamedTuple):
    """What identifies a multipart upload."""

    upload_id: str
    physical_address: str


@dataclass(eq=False)
class Target:
    """A path on a branch, what the object there is to have, and the calls that an upload takes.

    Attributes:
        place: Repository, branch and path.
    """

    client: ApiClient
    repository: str
    branch: str
    path: str
    content_type: str
    user_metadata: dict[str, str]

    def __post_init__(self) -> None:
        self.place = (self.repository, self.branch, self.path)
        self._experimental = ExperimentalApi(self.client)
        self._objects = ObjectsApi(self.client)
        self._staging = StagingApi(self.client)

    def __str__(self) -> str:
        return "lakefs://{}/{}/{}".format(*self.place)

    def _place_of(self, upload: Multipart) -> tuple[str, str, str, str]:
        return self.repository, self.branch, upload.upload_id, self.path

    def create(self, parts: int) -> tuple[Multipart, list[SignedUrl]]:
        """Begin a multipart upload; its URLs come along."""
        try:
            answer: Any = self._experimental.create_presign_multipart_upload(
                *self.place, parts=parts, _return_http_data_only=False
            )
        except ApiConnectionError as error:
            if error.sent:  # its id was in the answer
                error.reason = (
                    f"{error.reason}; if lakeFS has begun the upload all the same, it holds no "
                    f"bytes, and only {LIFECYCLE_RULE} can remove it"
                )
            raise
        created, _, headers = answer
        date = headers.get("Date")
        urls = [SignedUrl(url, date) for url in created.get("presigned_urls") or ()]
        return Multipart(created.upload_id, created.physical_address), urls

    def fresh_url(self, upload: Multipart, number: int) -> SignedUrl:
        """A new URL for a part."""
        body = UploadPartFrom(physical_address=upload.physical_address)
        try:
            answer: Any = self._experimental.upload_part(
                *self._place_of(upload), number, body, _return_http_data_only=False
            )
        except ApiException as error:
            # The servers that it is about say it with 500, newer ones with 404.
            if "invalid API endpoint" in (error.body or ""):
                raise RenewalUnsupportedError(
                    404,
                    "a presigned URL expired, and this server cannot make another: upload_part "
                    "came with lakeFS 1.55",
                ) from error
            raise
        fresh, _, headers = answer
        return SignedUrl(fresh.presigned_url, headers.get("Date"))

    def copy_part(
        self, upload: Multipart, number: int, place: tuple[str, str, str], start: int, end: int
    ) -> str:
        """Have the store copy bytes of an object as a part. Returns the part's ETag."""
        source = CopyPartSource(*place, range=f"bytes={start}-{end - 1}")
        body = UploadPartCopyFrom(upload.physical_address, source)
        answer: Any = self._experimental.upload_part_copy(
            *self._place_of(upload), number, body, _return_http_data_only=False
        )
        etag: str | None = answer[2].get("ETag")
        if etag is None:
            raise ApiException(answer[1], "upload_part_copy was answered without an ETag")
        return etag.strip('"')

    def complete(self, upload: Multipart, body: CompletePresignMultipartUpload) -> ObjectStats:
        """Have the parts put together and the object recorded."""
        return self._experimental.complete_presign_multipart_upload(
            *self._place_of(upload), complete_presign_multipart_upload=body
        )

    def abort(self, upload: Multipart) -> None:
        """Have the parts thrown away."""
        body = AbortPresignMultipartUpload(physical_address=upload.physical_address)
        self._experimental.abort_presign_multipart_upload(
            *self._place_of(upload),
            abort_presign_multipart_upload=body,
            _request_timeout=ABORT_TIMEOUT,
        )

    def stat(self) -> ObjectStats | None:
        """The object that stands at the path, if there is one."""
        try:
            return self._objects.stat_object(*self.place)
        except NotFoundException:
            return None

    def stored(self) -> tuple[int, str] | None:
        """Size and ETag of what the store holds for the object; None where there is nothing."""
        stats = self._objects.stat_object(*self.place, presign=True)
        first = {"Range": "bytes=0-0"} if stats.get("size_bytes") else {}
        response = self.client.store_client.exchange(
            Message("GET", stats.physical_address, first), preload=False
        )
        response.close()  # one byte is enough
        if response.status in (404, 410):
            return None
        if response.status not in (200, 206):
            raise error_for(response)
        size = response.headers.get("Content-Range", "").rpartition("/")[2]
        length = size or response.headers.get("Content-Length", "")
        return int(length or -1), (response.headers.get("ETag") or "").strip('"')

    def put_back(self, former: ObjectStats | None) -> None:
        """Let what stood at the path before stand there again."""
        if former is None:
            self._objects.delete_object(*self.place)
            return
        known = ("metadata", "content_type", "mtime")
        body = ObjectStageCreation(
            physical_address=former.physical_address,
            checksum=former.checksum,
            size_bytes=former.get("size_bytes", 0),
            **{name: former[name] for name in known if name in former},
        )
        InternalApi(self.client).stage_object(*self.place, body)

    def stage(self) -> tuple[str, SignedUrl | None]:
        """A physical address, and the URL to PUT to it; None where the store has no such URLs."""
        try:
            answer: Any = self._staging.get_physical_address(
                *self.place, presign=True, _return_http_data_only=False
            )
        except ApiException as error:
            if not lacks_presigning(error):
                raise
            return "", None
        location, _, headers = answer
        url = location.get("presigned_url")
        return location.physical_address, url and SignedUrl(url, headers.get("Date"))

    def upload(self, content: Any) -> ObjectStats:
        """Upload a stream through the server."""
        return self._objects.upload_object(
            *self.place,
            content=content,
            content_type=self.content_type,
            user_metadata=self.user_metadata,
        )

    def link(self, physical_address: str, checksum: str, size: int) -> ObjectStats:
        """Make what is at a physical address the object."""
        body = StagingMetadata(
            staging=StagingLocation(physical_address=physical_address),
            checksum=checksum,
            size_bytes=size,
            user_metadata=self.user_metadata,
            content_type=self.content_type,
        )
        return self._staging.link_physical_address(*self.place, body)


def is_over(error: BaseException) -> bool:
    """Whether lakeFS refuses an address because its time is over."""
    return (
        isinstance(error, ApiException)
        and error.status == 400
        and "address expired" in (error.body or "")
    )


def require_names(**names: object) -> None:
    """Refuse what cannot name a repository, a branch or a path.

    Raises:
        ApiTypeError: A name is no str.
        ApiValueError: A name is empty, or cannot be sent.
    """
    for name, value in names.items():
        if not isinstance(value, str):
            raise ApiTypeError(f"{name} must be a str, not {type(value).__name__}")
        if not value:
            raise ApiValueError(f"{name} must not be empty")
        if name != "path":
            _encode.path_segment(name, value)
        _encode.encoded(name, value)
