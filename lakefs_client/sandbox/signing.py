"""Presigned URLs: Signature Version 4 in its query form."""

from __future__ import annotations

import calendar
import hashlib
import hmac
import time
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import parse_qsl, quote, unquote, urlencode

from lakefs_client.sandbox.errors import StoreError

_ALGORITHM = "AWS4-HMAC-SHA256"
_REGION = "us-east-1"
_ACCESS_KEY_ID = "SANDBOXSTORE"
_DATE_FORMAT = "%Y%m%dT%H%M%SZ"
# S3's maximum lifetime of a presigned URL.
_MAX_DIGITS = 9
_MAX_EXPIRES = 7 * 24 * 3600


class UrlSigner:
    """A signer and verifier of presigned URLs, which sign the header `host` only."""

    def __init__(self, secret: str, clock: Callable[[], float], lifetime: int) -> None:
        self._secret = secret
        self._clock = clock
        self._lifetime = lifetime
        # The latest scope and its signing key. The scope changes daily.
        self._key = ("", b"")

    def expiry(self) -> int:
        """Return the expiry of a URL signed now, in Unix time."""
        return int(self._clock()) + self._lifetime

    def sign(self, method: str, host: str, key: str, query: Mapping[str, str]) -> str:
        """Return a URL at `host` that allows `method` on `key` for the signer's lifetime."""
        date = time.strftime(_DATE_FORMAT, time.gmtime(self._clock()))
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
        """Return the query's parameters. Raise StoreError if the URL is invalid or expired."""
        pairs = parse_qsl(query, keep_blank_values=True)
        parameters = dict(pairs)
        try:
            signature = parameters.pop("X-Amz-Signature")
            date = parameters["X-Amz-Date"]
            expires = int(parameters["X-Amz-Expires"][:_MAX_DIGITS])
            access_key_id, scope = parameters["X-Amz-Credential"].split("/", 1)
            signed = parameters["X-Amz-SignedHeaders"]
            signed_at = calendar.timegm(time.strptime(date, _DATE_FORMAT))
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
        if not hmac.compare_digest(signature.encode("utf-8", "replace"), expected.encode()):
            raise StoreError("SignatureDoesNotMatch")
        for name in headers:
            if (name == "content-md5" or name.startswith("x-amz-")) and name not in names:
                raise StoreError(
                    "AccessDenied",
                    "There were headers present in the request which were not signed",
                )
        return parameters

    def _signature(self, date: str, scope: str, *request: str) -> str:
        """Return the signature of method, path, query, header lines and header names."""
        canonical = "\n".join((*request, "UNSIGNED-PAYLOAD"))
        digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
        scope_of_key, key = self._key
        if scope_of_key != scope:
            key = f"AWS4{self._secret}".encode()
            for step in scope.split("/"):
                key = _hmac(key, step)
            self._key = (scope, key)
        return _hmac(key, f"{_ALGORITHM}\n{date}\n{scope}\n{digest}").hex()


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode("utf-8", "replace"), "sha256")


def _encode_query(pairs: Iterable[tuple[str, str]]) -> str:
    return urlencode(sorted(pairs), quote_via=quote, safe="")
