"""Authentication: tokens, session cookies and external principals."""

from __future__ import annotations

import pytest

from lakefs_client.sandbox import Sandbox

from .client import HttpClient, credentials


def test_session_cookie_authenticates(client: HttpClient) -> None:
    login = client.call("POST", "/auth/login", credentials(client.sandbox), auth=False)
    cookie = login.headers["Set-Cookie"].partition(";")[0]
    headers = {"Cookie": f"other=x; {cookie}"}
    assert client.call("GET", "/repositories", auth=False, headers=headers).status == 200
    for broken in ("internal_auth_session=", cookie[:-8] + "AAAAAAA=", "oidc_auth_session=x"):
        headers = {"Cookie": broken}
        error = client.error("GET", "/repositories", auth=False, headers=headers)
        assert error == (401, "error authenticating request")


def test_token_expires_after_seven_days(client: HttpClient) -> None:
    token = client.ok("POST", "/auth/login", credentials(client.sandbox))["token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert client.call("GET", "/repositories", auth=False, headers=headers).status == 200
    client.sandbox.clock.advance(7 * 24 * 3600)
    assert client.call("GET", "/repositories", auth=False, headers=headers).status == 401


@pytest.mark.parametrize("value", ["Basic x", "Basic eHg=", "Bearer x", "Bearer é"])
def test_wrong_credentials_are_rejected(client: HttpClient, value: str) -> None:
    headers = {"Authorization": value}
    error = client.error("GET", "/user", auth=False, headers=headers)
    assert error == (401, "error authenticating request")


def test_current_user_without_credentials_is_empty(client: HttpClient) -> None:
    empty_user = {"user": {"creation_date": 0, "id": ""}}
    assert client.ok("GET", "/user", auth=False) == empty_user


def test_validation_precedes_authentication(client: HttpClient) -> None:
    assert client.error("GET", "/repositories?amount=x", auth=False)[0] == 400


def test_external_principal_can_log_in() -> None:
    with Sandbox(external_principals=True) as sandbox:
        client = HttpClient(sandbox)
        principals = "/auth/users/admin/external/principals"
        client.call("POST", principals, query={"principalId": "arn:me"})
        body = {"identityRequest": {"principal": "arn:me"}, "token_expiration_duration": 60}
        token = client.ok("POST", "/auth/external/principal/login", body, auth=False)["token"]
        headers = {"Authorization": f"Bearer {token}"}
        assert client.ok("GET", "/user", auth=False, headers=headers)["user"]["id"] == "admin"
        error = client.error("POST", "/auth/users/x/external/principals?principalId=p")
        assert error == (404, "not found")
        client.close()
