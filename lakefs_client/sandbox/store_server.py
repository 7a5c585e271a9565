"""The blockstore's port: S3's PUT and GET on presigned URLs, and its XML errors."""

from __future__ import annotations

import email.utils
import secrets
from collections.abc import Callable
from urllib.parse import unquote
from xml.sax.saxutils import escape

from .blocks import MAX_PUT, Blockstore, StoreError
from .clock import Clock
from .recorder import Recorder
from .signing import UrlSigner
from .wire import Request, Response, parse_range

_HOST_ID = secrets.token_hex(32)


class StoreServer:
    """Answers the requests to the blockstore's port. It knows no lakeFS credentials."""

    def __init__(
        self,
        store: Blockstore,
        urls: UrlSigner,
        clock: Clock,
        recorder: Recorder,
        changed: Callable[[], None],
    ) -> None:
        self._store = store
        self._urls = urls
        self._clock = clock
        self._recorder = recorder
        self._changed = changed

    def handle(self, request: Request) -> Response:
        """Answer one request."""
        key = unquote(request.path).lstrip("/")

        def refuse(status: int, code: str, message: str) -> Response:
            return _error(StoreError(status, code, message), key)

        def handle() -> Response:
            try:
                return self._carry_out(request, key)
            except StoreError as error:
                return _error(error, key)

        name, number = _operation(request)
        return self._recorder.answer(request, name, handle, refuse, number)

    def _carry_out(self, request: Request, key: str) -> Response:
        # HEAD is what GET is, without the bytes, but is signed as itself.
        parameters = self._urls.check(
            request.method, request.path, request.query, request.headers, self._clock()
        )
        if request.method == "PUT":
            return self._put(request, key, parameters)
        if request.method in ("GET", "HEAD"):
            return self._get(request, key, parameters)
        raise StoreError(
            405,
            "MethodNotAllowed",
            "The specified method is not allowed against this resource.",
        )

    def _put(self, request: Request, key: str, parameters: dict[str, str]) -> Response:
        body = request.body
        if body.length is None:
            raise StoreError(
                501,
                "NotImplemented",
                "A header you provided implies functionality that is not implemented",
            )
        if "content-length" not in request.headers:
            raise StoreError(
                411, "MissingContentLength", "You must provide the Content-Length HTTP header."
            )
        if body.length > MAX_PUT:
            raise StoreError(
                400,
                "EntityTooLarge",
                "Your proposed upload exceeds the maximum allowed object size.",
            )
        upload_id = parameters.get("uploadId")
        if upload_id is None:
            content_type = request.headers.get("content-type", "binary/octet-stream")
            stored = self._store.write(body.windows(), content_type)
            self._store.put(key, stored)
        else:
            # Before the body, so that a client does not send gigabytes for nothing.
            self._store.check_upload(key, upload_id)
            stored = self._store.write(body.windows())
            self._store.put_part(key, upload_id, int(parameters["partNumber"]), stored)
        self._changed()
        return Response(200, headers={"ETag": f'"{stored.etag}"'})

    def _get(self, request: Request, key: str, parameters: dict[str, str]) -> Response:
        stored = self._store.get(key)
        if stored is None:
            raise StoreError(404, "NoSuchKey", "The specified key does not exist.")
        headers = {
            "Accept-Ranges": "bytes",
            "Content-Type": stored.content_type,
            "ETag": f'"{stored.etag}"',
            "Last-Modified": email.utils.formatdate(stored.modified, usegmt=True),
        }
        if disposition := parameters.get("response-content-disposition"):
            headers["Content-Disposition"] = disposition
        status, start, stop = 200, 0, stored.size
        if text := request.headers.get("range"):
            wanted = parse_range(text, stored.size)
            if wanted is None:
                raise StoreError(416, "InvalidRange", "The requested range is not satisfiable")
            start, stop = wanted
            status = 206
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{stored.size}"
        return Response(status, headers=headers, content=stored.slice(start, stop))


def _operation(request: Request) -> tuple[str, int | None]:
    """The name of a request for faults and records, and the part it is about."""
    if request.method != "PUT":
        return f"store_{request.method.lower()}_object", None
    _, found, rest = f"&{request.query}".partition("&partNumber=")
    if not found:
        return "store_put_object", None
    number = rest.partition("&")[0]
    return "store_put_part", int(number) if number.isdecimal() else None


def _error(error: StoreError, key: str) -> Response:
    bucket, _, path = key.partition("/")
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{error.code}</Code><Message>{escape(error.message)}</Message>"
        f"<Key>{escape(path)}</Key><BucketName>{escape(bucket)}</BucketName>"
        f"<Resource>/{escape(key)}</Resource>"
        f"<RequestId>{secrets.token_hex(8).upper()}</RequestId><HostId>{_HOST_ID}</HostId></Error>"
    )
    return Response(error.status, text.encode(), {"Content-Type": "application/xml"})
