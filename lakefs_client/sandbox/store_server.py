"""The blockstore's port: presigned URLs, S3's PUT and GET on them, and its XML errors."""

from __future__ import annotations

import calendar
import email.utils
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from urllib.parse import parse_qsl, quote, unquote, urlencode
from xml.sax.saxutils import escape

from .blocks import MAX_PUT, Blockstore
from .errors import StoreError
from .faults import Recorder
from .wire import Request, Response

_ALGORITHM = "AWS4-HMAC-SHA256"
_REGION = "us-east-1"
_ACCESS_KEY_ID = "SANDBOXSTORE"
_DATE = "%Y%m%dT%H%M%SZ"
# The longest life of a signed URL that S3 accepts.
_MAX_EXPIRES = 7 * 24 * 3600
_HOST_ID = secrets.token_hex(32)


class UrlSigner:
    """Signs and checks URLs in the query form of Signature Version 4, for the header `host`."""

    def __init__(self, secret: str, clock: Callable[[], float], lifetime: int) -> None:
        self._secret = secret
        self._clock = clock
        self._lifetime = lifetime
        # The last scope asked for, which is that of a day, and its signing key.
        self._key = ("", b"")

    def expiry(self) -> int:
        """When a URL that is made now expires."""
        return int(self._clock()) + self._lifetime

    def sign(self, method: str, host: str, key: str, query: Mapping[str, str]) -> str:
        """Return the URL of `key` at `host` that allows `method`, for the signer's lifetime."""
        date = time.strftime(_DATE, time.gmtime(self._clock()))
        scope = f"{date[:8]}/{_REGION}/s3/aws4_request"
        parameters = {
            "X-Amz-Algorithm": _ALGORITHM,
            "X-Amz-Credential": f"{_ACCESS_KEY_ID}/{scope}",
            "X-Amz-Date": date,
            "X-Amz-Expires": str(self._lifetime),
            "X-Amz-SignedHeaders": "host",
            **query,
        }
        path = "/" + quote(key, safe="/~")
        encoded = _encode_query(parameters.items())
        signature = self._signature(date, scope, method, path, encoded, f"host:{host}\n", "host")
        return f"http://{host}{path}?{encoded}&X-Amz-Signature={signature}"

    def check(
        self, method: str, path: str, query: str, headers: Mapping[str, str]
    ) -> dict[str, str]:
        """The query's parameters, if the request is what was signed, and in time."""
        pairs = parse_qsl(query, keep_blank_values=True)
        parameters = dict(pairs)
        try:
            signature = parameters.pop("X-Amz-Signature")
            date = parameters["X-Amz-Date"]
            expires = int(parameters["X-Amz-Expires"])
            access_key_id, scope = parameters["X-Amz-Credential"].split("/", 1)
            signed = parameters["X-Amz-SignedHeaders"]
            signed_at = calendar.timegm(time.strptime(date, _DATE))
        except (KeyError, ValueError):
            raise StoreError("AccessDenied") from None
        if access_key_id != _ACCESS_KEY_ID:
            raise StoreError("InvalidAccessKeyId")
        if not 0 < expires <= _MAX_EXPIRES or self._clock() > signed_at + expires:
            raise StoreError("AccessDenied", "Request has expired")
        names = signed.split(";")
        lines = "".join(f"{name}:{headers.get(name, '')}\n" for name in names)
        encoded = _encode_query(pair for pair in pairs if pair[0] != "X-Amz-Signature")
        path = quote(unquote(path), safe="/~")
        expected = self._signature(date, scope, method, path, encoded, lines, signed)
        if not hmac.compare_digest(signature.encode(), expected.encode()):
            raise StoreError("SignatureDoesNotMatch")
        for name in headers:
            if (name == "content-md5" or name.startswith("x-amz-")) and name not in names:
                raise StoreError(
                    "AccessDenied",
                    "There were headers present in the request which were not signed",
                )
        return parameters

    def _signature(self, date: str, scope: str, *request: str) -> str:
        """Sign a request: method, path, query, the lines of its headers, the names of these."""
        canonical = "\n".join((*request, "UNSIGNED-PAYLOAD"))
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        scope_of_key, key = self._key
        if scope_of_key != scope:
            key = f"AWS4{self._secret}".encode()
            for step in scope.split("/"):
                key = _hmac(key, step)
            self._key = (scope, key)
        return _hmac(key, f"{_ALGORITHM}\n{date}\n{scope}\n{digest}").hex()


class StoreServer:
    """Answers the requests to the blockstore's port. It knows no lakeFS credentials."""

    def __init__(self, store: Blockstore, urls: UrlSigner, recorder: Recorder) -> None:
        self._store = store
        self._urls = urls
        self._recorder = recorder

    def handle(self, request: Request) -> Response:
        """Answer one request."""
        key = unquote(request.path).lstrip("/")
        refuse = partial(_refuse, key)

        def handle() -> Response:
            try:
                return self._carry_out(request, key)
            except StoreError as error:
                return refuse(error.status, error.code, error.message)

        name, part_number = _operation(request)
        return self._recorder.answer(request, name, handle, refuse, part_number)

    def _carry_out(self, request: Request, key: str) -> Response:
        # HEAD is what GET is, without the bytes, but is signed as itself.
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
            content_type = request.headers.get("content-type", "binary/octet-stream")
            stored = self._store.write(body.windows(), content_type)
            self._store.put(key, stored)
        else:
            # Before the body, so that a client does not send gigabytes for nothing.
            self._store.upload(key, upload_id)
            stored = self._store.write(body.windows())
            self._store.put_part(key, upload_id, int(parameters["partNumber"]), stored)
        return Response(200, headers={"ETag": f'"{stored.etag}"'})

    def _get(self, request: Request, key: str, parameters: dict[str, str]) -> Response:
        stored = self._store.get(key)
        if stored is None:
            raise StoreError("NoSuchKey")
        headers = {
            "Accept-Ranges": "bytes",
            "Content-Type": stored.content_type,
            "ETag": f'"{stored.etag}"',
            "Last-Modified": email.utils.formatdate(stored.modified, usegmt=True),
        }
        if disposition := parameters.get("response-content-disposition"):
            headers["Content-Disposition"] = disposition
        response = Response(200, headers=headers)
        wanted = response.select_range(request.headers.get("range"), stored.size)
        if wanted is None:
            raise StoreError("InvalidRange")
        response.content = stored.slice(*wanted)
        return response


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


def _encode_query(pairs: Iterable[tuple[str, str]]) -> str:
    return urlencode(sorted(pairs), quote_via=quote, safe="")


def _operation(request: Request) -> tuple[str, str]:
    """The name of a request for faults and records, and the number of the part it is about."""
    if request.method != "PUT":
        return f"store_{request.method.lower()}_object", ""
    _, found, rest = f"&{request.query}".partition("&partNumber=")
    return "store_put_part" if found else "store_put_object", rest.partition("&")[0]


def _refuse(key: str, status: int, code: str, message: str) -> Response:
    bucket, _, path = key.partition("/")
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{escape(message)}</Message>"
        f"<Key>{escape(path)}</Key><BucketName>{escape(bucket)}</BucketName>"
        f"<Resource>/{escape(key)}</Resource>"
        f"<RequestId>{secrets.token_hex(8).upper()}</RequestId><HostId>{_HOST_ID}</HostId></Error>"
    )
    return Response(status, text.encode(), {"Content-Type": "application/xml"})
