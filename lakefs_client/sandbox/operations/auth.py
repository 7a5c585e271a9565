"""Login, the current user, external principals."""

from __future__ import annotations

import base64
import email.utils

from ..errors import ApiError, bad_request, not_found
from ..identity import SESSION_COOKIE, USER
from ..wire import Response
from .call import Call, Json, reply

_LOGIN_SECONDS = 7 * 24 * 3600
_SESSION_SECONDS = 30 * 24 * 3600
_TOKEN_SECONDS = 3600


class Auth(Call):
    """Who calls. All else below `/auth` is not for open-source servers."""

    def get_current_user(self) -> Json:
        return {"user": self._user() if self.authenticated else {"creation_date": 0, "id": ""}}

    def list_users(self) -> Json:
        return self._page({USER: self._user()})

    def get_user(self) -> Json:
        self._check_user()
        return self._user()

    def create_user(self) -> Json:
        # There is one user, whatever the id.
        raise ApiError(409, "Already exists")

    def get_credentials(self) -> Json:
        identity = self.backend.identity
        if (self["userId"], self["accessKeyId"]) != (USER, identity.access_key_id):
            raise not_found("credentials")
        return {"access_key_id": identity.access_key_id, "creation_date": identity.created}

    def create_credentials(self) -> Json:
        self._check_user()
        raise bad_request("exceeded number of allowed credentials: invalid request")

    def get_auth_capabilities(self) -> Json:
        return {"invite_user": False}

    def login(self) -> Response:
        identity, body = self.backend.identity, self.body
        identity.check_credentials(body.get("access_key_id", ""), body.get("secret_access_key", ""))
        response = reply(self._token(_LOGIN_SECONDS))
        token, _ = identity.new_token(_LOGIN_SECONDS)
        session = base64.urlsafe_b64encode(token.encode()).decode()
        expires = email.utils.formatdate(self.backend.clock() + _SESSION_SECONDS, usegmt=True)
        response.headers["Set-Cookie"] = (
            f"{SESSION_COOKIE}={session}; Path=/; Expires={expires}; "
            f"Max-Age={_SESSION_SECONDS}; HttpOnly; SameSite=Lax"
        )
        return response

    def sts_login(self) -> Json:
        self._check_external()
        if self.body["code"] == "bad":
            raise ApiError(401, "Unauthorized")
        return self._token(self.body.get("ttl_seconds") or _TOKEN_SECONDS)

    def external_principal_login(self) -> Json:
        self._check_external()
        principal = self.body.get("identityRequest", {}).get("principal")
        if principal not in self.backend.identity.principals:
            raise ApiError(403, "session expired")
        return self._token(self.body.get("token_expiration_duration") or _TOKEN_SECONDS)

    def create_user_external_principal(self) -> Response:
        self._check_external()
        self._check_user()
        if self["principalId"] in self.backend.identity.principals:
            raise ApiError(409, "Already exists")
        self.backend.identity.principals.add(self["principalId"])
        return Response(201)

    def delete_user_external_principal(self) -> None:
        self._check_external()
        self._check_user()
        self.backend.identity.principals.remove(self._known_principal())

    def get_external_principal(self) -> Json:
        self._check_external()
        return _principal(self._known_principal())

    def list_user_external_principals(self) -> Json:
        self._check_external()
        self._check_user()
        principals = self.backend.identity.principals
        return self._page({name: _principal(name) for name in principals})

    def _page(self, shown: dict[str, Json]) -> Json:
        page = self.listing(sorted(shown.items()), lambda _, item: item)
        # What the authentication service lists tells no maximum.
        page["pagination"]["max_per_page"] = 0
        return page

    def _user(self) -> Json:
        created = self.backend.identity.created
        return {"creation_date": created, "email": "", "friendly_name": "", "id": USER}

    def _token(self, seconds: int) -> Json:
        token, expires = self.backend.identity.new_token(seconds)
        return {"token": token, "token_expiration": expires}

    def _known_principal(self) -> str:
        name: str = self["principalId"]
        if name not in self.backend.identity.principals:
            raise not_found()
        return name

    def _check_user(self) -> None:
        if self["userId"] != USER:
            raise not_found()

    def _check_external(self) -> None:
        if not self.backend.external_principals:
            raise ApiError(501, "Not Implemented")


def _principal(name: str) -> Json:
    # Settings that were given are not told again.
    return {"id": name, "user_id": USER}
