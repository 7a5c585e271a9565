"""Who calls: credentials, tokens, session cookies, external principals; and what we have signed."""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import ApiError

USER = "admin"
SESSION_COOKIE = "internal_auth_session"


def unauthenticated() -> ApiError:
    return ApiError(401, "error authenticating request")


@dataclass(repr=False)
class Identity:
    """The one user, `admin`, and the ways to prove being it. What is not given is made up."""

    created: int
    access_key_id: str = field(default_factory=lambda: f"AKIA{secrets.token_hex(8).upper()}")
    secret_access_key: str = field(default_factory=lambda: secrets.token_urlsafe(30))
    secret: str = field(default_factory=secrets.token_hex)
    # Ids of external principals that stand for the user.
    principals: list[str] = field(default_factory=list)

    def sign(self, text: str) -> str:
        """A signature that lasts as long as the state."""
        return _encode(hmac.digest(bytes.fromhex(self.secret), text.encode(), "sha256"))

    def is_signed(self, text: str, signature: str) -> bool:
        return _equal(signature, self.sign(text))

    def authenticate(self, headers: Mapping[str, str], now: float) -> bool:
        """Whether a request brings usable credentials; 401 where it brings wrong ones."""
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
        given = f"{access_key_id}:{secret_access_key}"
        if not _equal(given, f"{self.access_key_id}:{self.secret_access_key}"):
            raise unauthenticated()

    def new_token(self, now: int, seconds: int) -> tuple[str, int]:
        """Return a token of the user, a JWT, and when it expires."""
        expires = now + seconds
        header = _encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
        claims = {"aud": "login", "exp": expires, "iat": now, "sub": USER}
        payload = _encode(json.dumps({**claims, "jti": secrets.token_hex(16)}).encode())
        return f"{header}.{payload}.{self.sign(f'{header}.{payload}')}", expires

    def _session(self, cookies: str) -> dict[str, Any] | None:
        """The claims of the token in the session cookie."""
        for cookie in cookies.split(";"):
            name, _, value = cookie.strip().partition("=")
            if name == SESSION_COOKIE:
                # What is no session of ours, a bare token for example, is as good as none.
                with contextlib.suppress(ValueError):
                    if claims := self._claims(base64.urlsafe_b64decode(value).decode()):
                        return claims
        return None

    def _claims(self, token: str) -> dict[str, Any] | None:
        """What a token says, if it is ours."""
        signed, _, signature = token.rpartition(".")
        if not self.is_signed(signed, signature):
            return None
        claims: dict[str, Any] = json.loads(
            base64.urlsafe_b64decode(signed.partition(".")[2] + "==")
        )
        return claims


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _equal(one: str, other: str) -> bool:
    # As bytes, because text must be ASCII, which what comes from outside need not be.
    return hmac.compare_digest(one.encode(), other.encode())
