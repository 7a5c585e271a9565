"""A blockstore in an S3 store, through boto3 (extra `[s3]`).

Presigned URLs lead to that store and have its signatures. The sandbox serves no blockstore itself,
so faults of the blockstore do not apply.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakefs_client.sandbox.blocks import WINDOW, Blockstore, StoredObject, Upload
from lakefs_client.sandbox.errors import StoreError

if TYPE_CHECKING:
    import socket


def connect(endpoint: str) -> Any:
    """Return a boto3 client of the store. Credentials and region come from boto3's usual places.

    Raise ValueError if boto3 is not installed.
    """
    try:
        from boto3.session import Session
        from botocore.config import Config
    except ImportError:
        raise ValueError("s3_endpoint requires boto3: pip install 'lakefs_client[s3]'") from None
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        # Stores other than AWS's do not know boto3's newer checksums.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return Session().client("s3", endpoint_url=endpoint, config=config)


@dataclass(frozen=True)
class S3Segment:
    """A range of an object in the store."""

    client: Any
    key: str
    offset: int
    size: int

    def windows(self) -> Iterator[bytes]:
        """Yield the bytes, at most 1 MiB at a time."""
        if self.size:
            text = f"bytes={self.offset}-{self.offset + self.size - 1}"
            with _errors():
                answer = self.client.get_object(**_location(self.key), Range=text)
            yield from answer["Body"].iter_chunks(WINDOW)

    def send(self, sock: socket.socket, size: int) -> None:
        """Send the first `size` bytes to a socket."""
        for window in S3Segment(self.client, self.key, self.offset, size).windows():
            sock.sendall(window)


@dataclass(frozen=True)
class S3Object(StoredObject):
    """An object in the store."""

    client: Any = None
    key: str = ""

    def slice(self, start: int, stop: int) -> tuple[Any, ...]:
        """Return the segment of the bytes from `start` up to `stop`, exclusive."""
        return (S3Segment(self.client, self.key, start, stop - start),)

    def windows(self) -> Iterator[bytes]:
        """Yield the object's bytes, at most 1 MiB at a time."""
        yield from S3Segment(self.client, self.key, 0, self.size).windows()


class S3Blockstore(Blockstore):
    """Objects and pending uploads below a prefix of an S3 store.

    `write` spools bytes in a directory, and `put` moves them to the store.
    """

    def __init__(
        self, directory: Path, clock: Callable[[], float], client: Any, prefix: str
    ) -> None:
        super().__init__(directory, clock)
        self._client = client
        self._bucket, _, self._prefix = prefix.partition("/")

    def objects(self) -> Mapping[str, StoredObject]:
        """Return all objects below the prefix by key."""
        pages = self._client.get_paginator("list_objects_v2")
        with _errors():
            return {
                f"{self._bucket}/{item['Key']}": self._object(
                    f"{self._bucket}/{item['Key']}",
                    item["Size"],
                    item["ETag"],
                    item["LastModified"],
                )
                for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix)
                for item in page.get("Contents", ())
            }

    def uploads(self) -> Mapping[str, Upload]:
        """Return the pending multipart uploads below the prefix by upload id."""
        pages = self._client.get_paginator("list_multipart_uploads")
        with _errors():
            return {
                item["UploadId"]: Upload(f"{self._bucket}/{item['Key']}", item["UploadId"])
                for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix)
                for item in page.get("Uploads", ())
            }

    def get(self, key: str) -> StoredObject | None:
        """Return the object at `key`, or None."""
        try:
            with _errors():
                head = self._client.head_object(**_location(key))
        except StoreError as error:
            if error.status == 404:
                return None
            raise
        size, etag = head["ContentLength"], head["ETag"]
        return self._object(key, size, etag, head["LastModified"], head["ContentType"])

    def put(self, key: str, stored: StoredObject) -> None:
        """Store `stored` at `key`."""
        with _errors():
            if isinstance(stored, S3Object):
                source = _location(stored.key)
                self._client.copy(source, **_location(key))
                return
            for segment in stored.segments:
                with segment.path.open("rb") as file:
                    self._client.put_object(
                        **_location(key), Body=file, ContentType=stored.content_type
                    )
                segment.path.unlink()

    def delete(self, key: str) -> None:
        """Delete the object at `key`, if any."""
        with _errors():
            self._client.delete_object(**_location(key))

    def create_upload(self, key: str) -> str:
        """Create a multipart upload to `key` and return its id."""
        with _errors():
            answer = self._client.create_multipart_upload(**_location(key))
        upload_id: str = answer["UploadId"]
        return upload_id

    def copy_part(
        self, key: str, upload_id: str, number: int, source: StoredObject, start: int, stop: int
    ) -> StoredObject:
        """Add the bytes of `source` from `start` up to `stop`, exclusive, as a part."""
        assert isinstance(source, S3Object)
        with _errors():
            answer = self._client.upload_part_copy(
                **_location(key),
                UploadId=upload_id,
                PartNumber=number,
                CopySource=_location(source.key),
                CopySourceRange=f"bytes={start}-{stop - 1}",
            )
        etag = answer["CopyPartResult"]["ETag"].strip('"')
        return StoredObject((), stop - start, etag, self._clock())

    def complete(self, key: str, upload_id: str, parts: list[tuple[int, str]]) -> StoredObject:
        """Assemble an object from `parts`, pairs of number and ETag, and end the upload."""
        listed = [{"PartNumber": number, "ETag": f'"{etag}"'} for number, etag in parts]
        with _errors():
            self._client.complete_multipart_upload(
                **_location(key), UploadId=upload_id, MultipartUpload={"Parts": listed}
            )
        stored = self.get(key)
        if stored is None:
            raise StoreError("NoSuchKey")
        return stored

    def abort(self, key: str, upload_id: str) -> None:
        """Discard the upload and its parts."""
        with _errors():
            self._client.abort_multipart_upload(**_location(key), UploadId=upload_id)

    def saved_objects(self) -> Mapping[str, StoredObject]:
        """Return nothing: the store keeps its objects itself."""
        return {}

    def saved_uploads(self) -> Mapping[str, Upload]:
        """Return nothing: the store keeps its uploads itself."""
        return {}

    def _object(
        self, key: str, size: int, etag: str, modified: Any, content_type: str = ""
    ) -> S3Object:
        return S3Object(
            segments=(),
            size=size,
            etag=etag.strip('"'),
            modified=modified.timestamp(),
            content_type=content_type or "application/octet-stream",
            client=self._client,
            key=key,
        )


class S3UrlSigner:
    """A signer of URLs to the store."""

    def __init__(self, client: Any, clock: Callable[[], float], lifetime: int) -> None:
        self._client = client
        self._clock = clock
        self._lifetime = lifetime

    def expiry(self) -> int:
        """Return the expiry of a URL signed now, in Unix time."""
        return int(self._clock()) + self._lifetime

    def sign(self, method: str, host: str, key: str, query: Mapping[str, str]) -> str:
        """Return a URL that allows `method` on `key`. The store's endpoint replaces `host`."""
        parameters: dict[str, Any] = _location(key)
        operation = "put_object" if method == "PUT" else "get_object"
        if "uploadId" in query:
            operation = "upload_part"
            parameters |= {"UploadId": query["uploadId"], "PartNumber": int(query["partNumber"])}
        if disposition := query.get("response-content-disposition"):
            parameters["ResponseContentDisposition"] = disposition
        url: str = self._client.generate_presigned_url(
            operation, Params=parameters, ExpiresIn=self._lifetime
        )
        return url


def _location(key: str) -> dict[str, Any]:
    bucket, _, path = key.partition("/")
    return {"Bucket": bucket, "Key": path}


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    """Translate botocore's errors to the blockstore's."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        details = error.response["Error"]
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        raise StoreError(details["Code"], details["Message"], status) from error
    except BotoCoreError as error:
        raise StoreError("ServiceUnavailable", str(error), 503) from error
