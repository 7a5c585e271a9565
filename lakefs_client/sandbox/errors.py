"""Errors of API operations and of blockstore requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class ApiError(Exception):
    """An error response: a status and a message. `body` is the JSON to send."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.body: object = {"message": message}


def not_found(noun: str = "") -> ApiError:
    """Return a 404 error about `noun`."""
    return ApiError(404, f"{noun} not found".lstrip())


def find(items: Mapping[str, T], name: str, noun: str = "") -> T:
    """Return the item called `name`. Raise a 404 error about `noun` if there is none."""
    if name not in items:
        raise not_found(noun)
    return items[name]


def bad_request(message: str) -> ApiError:
    """Return a 400 error."""
    return ApiError(400, message)


def not_implemented() -> ApiError:
    """Return the 501 error of an open-source server."""
    return ApiError(501, "Not Implemented")


def conflict(message: str) -> ApiError:
    """Return a 409 error."""
    return ApiError(409, message)


@contextmanager
def error_prefix(text: str) -> Iterator[None]:
    """Prefix the messages of ApiErrors, as Go's wrapped errors do."""
    try:
        yield
    except ApiError as error:
        raise ApiError(error.status, text + error.message) from None


# S3's status and message for each error code.
_S3_ERRORS = {
    "AccessDenied": "403 Access Denied",
    "EntityTooLarge": "400 Your proposed upload exceeds the maximum allowed object size.",
    "EntityTooSmall": "400 Your proposed upload is smaller than the minimum allowed object size.",
    "InvalidAccessKeyId": "403 The Access Key Id you provided does not exist in our records.",
    "InvalidPart": (
        "400 One or more of the specified parts could not be found.  The part may not have been "
        "uploaded, or the specified entity tag may not match the part's entity tag."
    ),
    "InvalidPartOrder": (
        "400 The list of parts was not in ascending order. The parts list must be specified in "
        "order by part number."
    ),
    "InvalidRange": "416 The requested range is not satisfiable",
    "MethodNotAllowed": "405 The specified method is not allowed against this resource.",
    "MissingContentLength": "411 You must provide the Content-Length HTTP header.",
    "NoSuchBucket": "404 The specified bucket does not exist",
    "NoSuchKey": "404 The specified key does not exist.",
    "NoSuchUpload": (
        "404 The specified multipart upload does not exist. The upload ID may be invalid, or the "
        "upload may have been aborted or completed."
    ),
    "NotImplemented": "501 A header you provided implies functionality that is not implemented",
    "SignatureDoesNotMatch": (
        "403 The request signature we calculated does not match the signature you provided. Check "
        "your key and signing method."
    ),
}


class StoreError(Exception):
    """An S3 error of the blockstore. By default it has S3's message and status for `code`."""

    def __init__(self, code: str, message: str | None = None, status: int | None = None) -> None:
        default_status, _, default = _S3_ERRORS.get(code, "500 ").partition(" ")
        self.code = code
        self.status = status or int(default_status)
        self.message = message or default
        super().__init__(self.message)
