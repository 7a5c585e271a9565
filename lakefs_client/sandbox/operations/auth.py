"""Login, the current user, external principals; the rest of auth is not for open-source servers."""

from __future__ import annotations

import email.utils
from typing import Any

from ..backend import Backend, Call, no_content, page, reply
from ..errors import ApiError, bad_request, not_found
from ..identity import LOGIN_SECONDS, SESSION_COOKIE, SESSION_SECONDS, USER
from ..wire import Response
from .registry import HANDLERS, operation

_TOKEN_SECONDS = 3600
# Pages of what the authentication service lists tell no maximum.
_NO_MAXIMUM = 0

_NOT_IN_OPEN_SOURCE = (
    "create_user",
    "delete_user",
    "list_groups",
    "create_group",
    "get_group",
    "delete_group",
    "list_policies",
    "create_policy",
    "get_policy",
    "update_policy",
    "delete_policy",
    "list_group_members",
    "add_group_membership",
    "delete_group_membership",
    "list_user_credentials",
    "delete_credentials",
    "get_credentials",
    "list_user_groups",
    "list_user_policies",
    "attach_policy_to_user",
    "detach_policy_from_user",
    "list_group_policies",
    "attach_policy_to_group",
    "detach_policy_from_group",
    "set_group_acl",
    "get_group_acl",
)


def _not_implemented(backend: Backend, call: Call) -> Response:
    raise ApiError(501, "Not Implemented")


HANDLERS.update(dict.fromkeys(_NOT_IN_OPEN_SOURCE, _not_implemented))


def _user(backend: Backend) -> dict[str, Any]:
    created = backend.identity.created
    return {"creation_date": created, "email": "", "friendly_name": "", "id": USER}


@operation
def get_current_user(backend: Backend, call: Call) -> Response:
    return reply({"user": _user(backend) if call.user else {"creation_date": 0, "id": ""}})


@operation
def list_users(backend: Backend, call: Call) -> Response:
    names = [
        name
        for name in (USER,)
        if name.startswith(call["prefix"] or "") and name > (call["after"] or "")
    ]
    return page(names, call, str, lambda _: _user(backend), max_per_page=_NO_MAXIMUM)


@operation
def get_user(backend: Backend, call: Call) -> Response:
    _check_user(call)
    return reply(_user(backend))


@operation
def create_credentials(backend: Backend, call: Call) -> Response:
    _check_user(call)
    raise bad_request("exceeded number of allowed credentials: invalid request")


@operation
def get_auth_capabilities(backend: Backend, call: Call) -> Response:
    return reply({"invite_user": False})


@operation
def login(backend: Backend, call: Call) -> Response:
    body = call.body or {}
    backend.identity.check_credentials(
        body.get("access_key_id", ""), body.get("secret_access_key", "")
    )
    response = _token(backend, LOGIN_SECONDS)
    token, _ = backend.identity.new_token(LOGIN_SECONDS)
    expires = email.utils.formatdate(backend.clock() + SESSION_SECONDS, usegmt=True)
    response.headers["Set-Cookie"] = (
        f"{SESSION_COOKIE}={backend.identity.new_session(token)}; Path=/; Expires={expires}; "
        f"Max-Age={SESSION_SECONDS}; HttpOnly; SameSite=Lax"
    )
    return response


@operation
def sts_login(backend: Backend, call: Call) -> Response:
    _check_external(backend)
    if call.body["code"] == "bad":
        raise ApiError(401, "Unauthorized")
    return _token(backend, call.body.get("ttl_seconds") or _TOKEN_SECONDS)


@operation
def external_principal_login(backend: Backend, call: Call) -> Response:
    _check_external(backend)
    body = call.body or {}
    principal = body.get("identityRequest", {}).get("principal")
    if principal not in backend.identity.principals:
        raise ApiError(403, "session expired")
    return _token(backend, body.get("token_expiration_duration") or _TOKEN_SECONDS)


def _token(backend: Backend, seconds: int) -> Response:
    token, expires = backend.identity.new_token(seconds)
    return reply({"token": token, "token_expiration": expires})


@operation
def create_user_external_principal(backend: Backend, call: Call) -> Response:
    _check_external(backend)
    _check_user(call)
    backend.identity.attach_principal(call["principalId"])
    return Response(201)


@operation
def delete_user_external_principal(backend: Backend, call: Call) -> Response:
    _check_external(backend)
    _check_user(call)
    backend.identity.check_principal(call["principalId"])
    backend.identity.principals.remove(call["principalId"])
    return no_content()


@operation
def get_external_principal(backend: Backend, call: Call) -> Response:
    _check_external(backend)
    backend.identity.check_principal(call["principalId"])
    return reply(_principal(call["principalId"]))


@operation
def list_user_external_principals(backend: Backend, call: Call) -> Response:
    _check_external(backend)
    _check_user(call)
    names = [
        name
        for name in sorted(backend.identity.principals)
        if name.startswith(call["prefix"] or "") and name > (call["after"] or "")
    ]
    return page(names, call, str, _principal, max_per_page=_NO_MAXIMUM)


def _principal(name: str) -> dict[str, str]:
    # Settings that were given are not told again.
    return {"id": name, "user_id": USER}


def _check_user(call: Call) -> None:
    if call["userId"] != USER:
        raise not_found()


def _check_external(backend: Backend) -> None:
    if not backend.options.external_principals:
        raise ApiError(501, "Not Implemented")
