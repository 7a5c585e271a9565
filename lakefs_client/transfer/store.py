"""Answers of stores and of lakeFS, as far as a transfer must recognise them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lakefs_client.exceptions import ApiException

if TYPE_CHECKING:
    from collections.abc import Mapping

THROTTLED = (429, 503)
"""Statuses with which stores ask for fewer requests; S3 calls its 503 SlowDown."""
ADDRESS_LIFE = 24 * 3600.0
"""Seconds for which lakeFS accepts the address of an upload; 6 hours before 1.80."""
ADDRESS_EXPIRED = "lakeFS no longer accepts its address"
LIFECYCLE_RULE = "a lifecycle rule of the bucket (AbortIncompleteMultipartUpload)"

_EXPIRED = {
    # S3 and MinIO; Google; Azure.
    403: re.compile("has expired|<Code>ExpiredToken</Code>|Signature not valid in the"),
    400: re.compile("<Code>(ExpiredToken|ExpiredTokenException)</Code>"),
}
_MD5 = re.compile(r"[0-9a-fA-F]{32}")


def is_url_expired(error: ApiException) -> bool:
    """Return True if a store refused a URL because the URL or its credentials expired."""
    pattern = _EXPIRED.get(error.status or 0)
    return pattern is not None and pattern.search(error.body or "") is not None


def is_of_store(error: ApiException) -> bool:
    """Return True if a response came from a store, whose errors are XML, and not from lakeFS."""
    return "<Code>" in (error.body or "")


def is_upload_gone(error: BaseException) -> bool:
    """Return True if a store does not know the multipart upload, or no longer does."""
    return (
        isinstance(error, ApiException)
        and error.status == 404
        and "<Code>NoSuchUpload</Code>" in (error.body or "")
    )


def is_address_expired(error: BaseException) -> bool:
    """Return True if lakeFS refused an upload's address because the address expired."""
    return (
        isinstance(error, ApiException)
        and error.status == 400
        and "address expired" in (error.body or "")
    )


def lacks_presigning(error: ApiException) -> bool:
    """Return True if lakeFS refused a request because its store has no presigned URLs.

    Status 501 means that. Servers of 1.84 answer 400 for an object and 500 for a new address;
    both statuses have other causes too, so the body's words decide.
    """
    words = "operation not supported"
    return error.status == 501 or (error.status in (400, 500) and words in (error.body or ""))


def is_md5(checksum: str) -> bool:
    """Return True if a checksum has the form of an MD5."""
    return _MD5.fullmatch(checksum) is not None


def etag_is_md5(etag: str | None, headers: Mapping[str, str]) -> bool:
    """Return True if an ETag is the MD5 of the bytes.

    Under SSE-KMS, DSSE and SSE-C an ETag has the same form and is not an MD5:
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
    """
    if etag is None or not is_md5(etag):
        return False
    if headers.get("x-amz-server-side-encryption-customer-algorithm"):
        return False
    return (headers.get("x-amz-server-side-encryption") or "AES256") == "AES256"


def same_address(one: str, other: str) -> bool:
    """Return True if two physical addresses name the same bytes; one may lack the namespace."""
    return one == other or one.endswith(f"/{other}") or other.endswith(f"/{one}")
