"""The blockstore's server: S3's PUT, GET and HEAD on presigned URLs, and its XML errors."""

from __future__ import annotations

import email.utils
import re
from dataclasses import replace
from functools import partial
from urllib.parse import unquote

from lakefs_client.sandbox.blocks import MAX_PARTS, MAX_PUT, Blockstore
from lakefs_client.sandbox.errors import StoreError
from lakefs_client.sandbox.http_server import Request, Response
from lakefs_client.sandbox.ranges import MalformedRange
from lakefs_client.sandbox.request_log import Recorder
from lakefs_client.sandbox.s3_errors import error_response
from lakefs_client.sandbox.signing import UrlSigner

_PART_NUMBER = re.compile("[0-9]{1,5}")
# The headers of a PUT that a GET returns.
_STORED_HEADERS = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
)


class StoreServer:
    """The blockstore's request handler. It accepts presigned URLs only."""

    def __init__(self, store: Blockstore, urls: UrlSigner, recorder: Recorder) -> None:
        self._store = store
        self._urls = urls
        self._recorder = recorder

    def handle(self, request: Request) -> Response:
        """Answer one request."""
        key = unquote(request.path).lstrip("/")
        error = partial(error_response, key)

        def handle() -> Response:
            try:
                return self._execute(request, key)
            except StoreError as caught:
                return error(caught.status, caught.code, caught.message)

        name, part_number = _operation(request)
        return self._recorder.answer(request, name, handle, error, part_number)

    def _execute(self, request: Request, key: str) -> Response:
        parameters = self._urls.check(request.method, request.path, request.query, request.headers)
        if request.method == "PUT":
            return self._put(request, key, parameters)
        if request.method in ("GET", "HEAD"):
            return self._get(request, key, parameters)
        raise StoreError("MethodNotAllowed")

    def _put(self, request: Request, key: str, parameters: dict[str, str]) -> Response:
        body = request.body
        if body.length is None:
            raise StoreError("NotImplemented")
        if "content-length" not in request.headers:
            raise StoreError("MissingContentLength")
        if body.length > MAX_PUT:
            raise StoreError("EntityTooLarge")
        upload_id = parameters.get("uploadId")
        if upload_id is None:
            stored = self._store.write(body.windows())
            names = set(_STORED_HEADERS) & request.headers.keys()
            headers = {name: request.headers[name] for name in sorted(names)}
            content_type = headers.pop("content-type", "binary/octet-stream")
            self._store.put(key, replace(stored, content_type=content_type, headers=headers))
        else:
            # Check before reading the body, which may be gigabytes.
            self._store.upload(key, upload_id)
            number = parameters["partNumber"]
            if not _PART_NUMBER.fullmatch(number) or not 1 <= int(number) <= MAX_PARTS:
                raise StoreError("InvalidPart")
            stored = self._store.write(body.windows())
            self._store.put_part(key, upload_id, int(number), stored)
        return Response(200, headers={"ETag": f'"{stored.etag}"'})

    def _get(self, request: Request, key: str, parameters: dict[str, str]) -> Response:
        stored = self._store.get(key)
        if stored is None:
            raise StoreError("NoSuchKey")
        headers = {
            **{name.title(): value for name, value in stored.headers.items()},
            "Accept-Ranges": "bytes",
            "Content-Type": stored.content_type,
            "ETag": f'"{stored.etag}"',
            "Last-Modified": email.utils.formatdate(stored.modified, usegmt=True),
        }
        if disposition := parameters.get("response-content-disposition"):
            headers["Content-Disposition"] = disposition
        response = Response(200, headers=headers)
        try:
            response.select(stored, request.headers.get("range"))
        except MalformedRange:
            response.select(stored, None)
        except ValueError:
            raise StoreError("InvalidRange") from None
        return response


def _operation(request: Request) -> tuple[str, str]:
    """Return the request's operation name, for faults and the log, and its part number."""
    if request.method != "PUT":
        return f"store_{request.method.lower()}_object", ""
    _, found, rest = f"&{request.query}".partition("&partNumber=")
    return "store_put_part" if found else "store_put_object", rest.partition("&")[0]
