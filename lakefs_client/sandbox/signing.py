"""What the sandbox signs: presigned URLs as S3 does (Signature Version 4), staging addresses."""

from __future__ import annotations

import base64
import calendar
import hashlib
import hmac
import time
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, unquote

from .blocks import StoreError

_ALGORITHM = "AWS4-HMAC-SHA256"
_REGION = "us-east-1"
# The longest life of a signed URL that S3 accepts.
_MAX_EXPIRES = 7 * 24 * 3600


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


def _encode_query(pairs: list[tuple[str, str]]) -> str:
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)


class UrlSigner:
    """Signs and checks URLs in the query form of Signature Version 4, for the header `host`."""

    def __init__(self, access_key_id: str, secret_access_key: str) -> None:
        self.access_key_id = access_key_id
        self._secret = secret_access_key
        # The last scope asked for, which is that of a day, and its signing key.
        self._key = ("", b"")

    def sign(
        self,
        method: str,
        host: str,
        key: str,
        *,
        now: float,
        expires: int,
        query: Mapping[str, str],
    ) -> str:
        """Return the URL of `key` at `host` that allows `method` for `expires` seconds."""
        date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        scope = f"{date[:8]}/{_REGION}/s3/aws4_request"
        pairs = sorted(
            {
                "X-Amz-Algorithm": _ALGORITHM,
                "X-Amz-Credential": f"{self.access_key_id}/{scope}",
                "X-Amz-Date": date,
                "X-Amz-Expires": str(expires),
                "X-Amz-SignedHeaders": "host",
                **query,
            }.items()
        )
        path = "/" + quote(key, safe="/~")
        encoded = _encode_query(pairs)
        signature = self._signature(method, path, encoded, f"host:{host}\n", "host", date, scope)
        return f"http://{host}{path}?{encoded}&X-Amz-Signature={signature}"

    def check(
        self, method: str, path: str, query: str, headers: Mapping[str, str], now: float
    ) -> dict[str, str]:
        """Return the query's parameters when the request is what was signed, and in time.

        Raises:
            StoreError: It is not, in the words of S3.
        """
        pairs = parse_qsl(query, keep_blank_values=True)
        parameters = dict(pairs)
        try:
            signature = parameters.pop("X-Amz-Signature")
            date = parameters["X-Amz-Date"]
            expires = int(parameters["X-Amz-Expires"])
            access_key_id, scope = parameters["X-Amz-Credential"].split("/", 1)
            signed = parameters["X-Amz-SignedHeaders"]
            signed_at = _parse_date(date)
        except (KeyError, ValueError):
            raise StoreError(403, "AccessDenied", "Access Denied") from None
        if access_key_id != self.access_key_id:
            raise StoreError(
                403,
                "InvalidAccessKeyId",
                "The Access Key Id you provided does not exist in our records.",
            )
        if not 0 < expires <= _MAX_EXPIRES or now > signed_at + expires:
            raise StoreError(403, "AccessDenied", "Request has expired")
        names = signed.split(";")
        lines = "".join(f"{name}:{headers.get(name, '')}\n" for name in names)
        encoded = _encode_query(sorted(pair for pair in pairs if pair[0] != "X-Amz-Signature"))
        path = quote(unquote(path), safe="/~")
        expected = self._signature(method, path, encoded, lines, signed, date, scope)
        if not hmac.compare_digest(signature.encode(), expected.encode()):
            raise StoreError(
                403,
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. "
                "Check your key and signing method.",
            )
        for name in headers:
            if (name == "content-md5" or name.startswith("x-amz-")) and name not in names:
                raise StoreError(
                    403,
                    "AccessDenied",
                    "There were headers present in the request which were not signed",
                )
        return parameters

    def _signature(
        self, method: str, path: str, query: str, headers: str, signed: str, date: str, scope: str
    ) -> str:
        canonical = f"{method}\n{path}\n{query}\n{headers}\n{signed}\nUNSIGNED-PAYLOAD"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        scope_of_key, key = self._key
        if scope_of_key != scope:
            key = f"AWS4{self._secret}".encode()
            for step in scope.split("/"):
                key = _hmac(key, step)
            self._key = (scope, key)
        return _hmac(key, f"{_ALGORITHM}\n{date}\n{scope}\n{digest}").hex()


def _parse_date(date: str) -> float:
    """Unix time of an X-Amz-Date."""
    return calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))


class AddressSigner:
    """Signs staging addresses, `data/…/id,signature`, for one repository, branch and path."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, address: str, repository: str, branch: str, path: str) -> str:
        """Return `address` with its signature."""
        return f"{address},{self._signature(address, repository, branch, path)}"

    def is_signed(self, signed: str, repository: str, branch: str, path: str) -> bool:
        """Whether `signed` was signed for just this place."""
        address, _, signature = signed.rpartition(",")
        expected = self._signature(address, repository, branch, path)
        return hmac.compare_digest(signature.encode(), expected.encode())

    def _signature(self, *values: str) -> str:
        digest = _hmac(self._secret, "\0".join(values))
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")
