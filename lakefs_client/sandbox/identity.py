"""Authentication: credentials, tokens, session cookies and external principals."""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lakefs_client.sandbox.errors import ApiError

USER = "admin"
SESSION_COOKIE = "internal_auth_session"


def unauthenticated() -> ApiError:
    """Return the 401 error of real servers."""
    return ApiError(401, "error authenticating request")


@dataclass(repr=False)
class Identity:
    """The only user, `admin`, and the user's credentials. Defaults are random."""

    created: int
    access_key_id: str = field(default_factory=lambda: f"AKIA{secrets.token_hex(8).upper()}")
    secret_access_key: str = field(default_factory=lambda: secrets.token_urlsafe(30))
    secret: str = field(default_factory=secrets.token_hex)
    # Ids of the user's external principals.
    principals: list[str] = field(default_factory=list)

    def sign(self, text: str) -> str:
        """Return a signature that is valid as long as the state exists."""
        return _encode(
            hmac.digest(
                bytes.fromhex(self.secret), text.encode("utf-8", "surrogateescape"), "sha256"
            )
        )

    def is_signed(self, text: str, signature: str) -> bool:
        """Return True if `signature` is our signature of `text`."""
        return _equal(signature, self.sign(text))

    def authenticate(self, headers: Mapping[str, str], now: float) -> bool:
        """Return True for valid credentials, False for none. Raise a 401 error for wrong ones."""
        scheme, _, value = headers.get("authorization", "").partition(" ")
        match scheme.lower():
            case "basic":
                try:
                    name, _, password = base64.b64decode(value).decode().partition(":")
                except ValueError:
                    raise unauthenticated() from None
                self.check_credentials(name, password)
                return True
            case "bearer":
                claims = self._claims(value)
            case _:
                claims = self._session(headers.get("cookie", ""))
                if claims is None:
                    return False
        if claims is None or now >= claims["exp"]:
            raise unauthenticated()
        return True

    def check_credentials(self, access_key_id: str, secret_access_key: str) -> None:
        """Raise a 401 error unless the credentials are the user's."""
        credentials = f"{access_key_id}:{secret_access_key}"
        if not _equal(credentials, f"{self.access_key_id}:{self.secret_access_key}"):
            raise unauthenticated()

    def new_token(self, now: int, seconds: int) -> tuple[str, int]:
        """Return a JWT for the user and its expiry in Unix time."""
        expires = now + seconds
        header = _encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
        claims = {"aud": "login", "exp": expires, "iat": now, "sub": USER}
        payload = _encode(json.dumps({**claims, "jti": secrets.token_hex(16)}).encode())
        return f"{header}.{payload}.{self.sign(f'{header}.{payload}')}", expires

    def _session(self, cookies: str) -> dict[str, Any] | None:
        """Return the claims of the session cookie's token, or None."""
        for cookie in cookies.split(";"):
            name, _, value = cookie.strip().partition("=")
            if name == SESSION_COOKIE:
                # Ignore cookies that are not our sessions, such as a bare token.
                with contextlib.suppress(ValueError):
                    if claims := self._claims(base64.urlsafe_b64decode(value).decode()):
                        return claims
        return None

    def _claims(self, token: str) -> dict[str, Any] | None:
        """Return the claims of a token, or None unless it has our signature."""
        signed, _, signature = token.rpartition(".")
        if not self.is_signed(signed, signature):
            return None
        claims: dict[str, Any] = json.loads(
            base64.urlsafe_b64decode(signed.partition(".")[2] + "==")
        )
        return claims


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _equal(left: str, right: str) -> bool:
    # `compare_digest` takes only ASCII strings; client input may be anything.
    encoded = (text.encode("utf-8", "surrogateescape") for text in (left, right))
    return hmac.compare_digest(*encoded)
