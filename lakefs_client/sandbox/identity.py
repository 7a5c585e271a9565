"""Who calls: credentials, tokens, session cookies, external principals."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from .errors import ApiError, not_found

USER = "admin"
SESSION_COOKIE = "internal_auth_session"
LOGIN_SECONDS = 7 * 24 * 3600
SESSION_SECONDS = 30 * 24 * 3600


def unauthenticated() -> ApiError:
    return ApiError(401, "error authenticating request")


class Identity:
    """The one user, `admin`, and the ways to prove being it."""

    def __init__(
        self, access_key_id: str, secret_access_key: str, clock: Callable[[], float]
    ) -> None:
        self.access_key_id = access_key_id
        self.secret_access_key = secret_access_key
        self.created = int(clock())
        # Ids of external principals that stand for the user.
        self.principals: set[str] = set()
        self._clock = clock
        self._secret = secrets.token_bytes(32)

    def authenticate(self, headers: Mapping[str, str]) -> str | None:
        """Return the user of a request, None where it brings no usable credentials.

        Raises:
            ApiError: 401, it brings wrong ones.
        """
        scheme, _, value = headers.get("authorization", "").partition(" ")
        match scheme.lower():
            case "basic":
                try:
                    name, _, password = base64.b64decode(value).decode().partition(":")
                except ValueError:
                    raise unauthenticated() from None
                self.check_credentials(name, password)
                return USER
            case "bearer":
                return self._check_token(value)
        for cookie in headers.get("cookie", "").split(";"):
            name, _, value = cookie.strip().partition("=")
            # A value that is no session of ours, a bare token for example, is as good as none.
            if name == SESSION_COOKIE and (token := self._session_token(value)):
                return self._check_token(token)
        return None

    def check_credentials(self, access_key_id: str, secret_access_key: str) -> None:
        given = f"{access_key_id}:{secret_access_key}".encode()
        if not hmac.compare_digest(
            given, f"{self.access_key_id}:{self.secret_access_key}".encode()
        ):
            raise unauthenticated()

    def new_token(self, seconds: int) -> tuple[str, int]:
        """Return a token of the user, a JWT, and when it expires."""
        now = int(self._clock())
        expires = now + seconds
        header = _encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
        claims = {"aud": "login", "exp": expires, "iat": now, "sub": USER}
        payload = _encode(json.dumps({**claims, "jti": secrets.token_hex(16)}).encode())
        return f"{header}.{payload}.{self._sign(f'{header}.{payload}')}", expires

    def new_session(self, token: str) -> str:
        """Return the value of the session cookie that holds a token."""
        value = f"{int(self._clock())}|{token}"
        return base64.urlsafe_b64encode(f"{value}|{self._sign(value)}".encode()).decode()

    def attach_principal(self, principal: str) -> None:
        if principal in self.principals:
            raise ApiError(409, "Already exists")
        self.principals.add(principal)

    def check_principal(self, principal: str) -> None:
        """Raise 404 unless the external principal stands for the user."""
        if principal not in self.principals:
            raise not_found()

    def dump(self) -> dict[str, Any]:
        return {
            "access_key_id": self.access_key_id,
            "secret_access_key": self.secret_access_key,
            "created": self.created,
            "principals": sorted(self.principals),
            "secret": self._secret.hex(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        self.created = state["created"]
        self.principals = set(state["principals"])
        self._secret = bytes.fromhex(state["secret"])

    def derive_secret(self, purpose: str) -> bytes:
        """A secret of its own for each purpose, the same as long as the state lives."""
        return hmac.digest(self._secret, purpose.encode(), "sha256")

    def _session_token(self, value: str) -> str | None:
        try:
            text = base64.urlsafe_b64decode(value).decode()
        except ValueError:
            return None
        session, _, signature = text.rpartition("|")
        if not hmac.compare_digest(signature.encode(), self._sign(session).encode()):
            return None
        made, _, token = session.partition("|")
        return token if self._clock() < int(made) + SESSION_SECONDS else None

    def _check_token(self, token: str) -> str:
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(signed).encode()):
            raise unauthenticated()
        claims = json.loads(base64.urlsafe_b64decode(signed.partition(".")[2] + "=="))
        if self._clock() >= claims["exp"]:
            raise unauthenticated()
        return USER

    def _sign(self, text: str) -> str:
        return _encode(hmac.digest(self._secret, text.encode(), hashlib.sha256))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
