"""Credentials: the headers that a request carries, and validation of their values."""

from __future__ import annotations

import traceback
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from support.scripted import Answer, ScriptedServer

from lakefs_client import ApiClient, ApiTypeError, ApiValueError, Configuration, apis
from lakefs_client.models import (
    CommPrefsInput,
    ExternalLoginInformation,
    LoginInformation,
    Setup,
    StsAuthRequest,
)

BASIC = "Basic " + b64encode(b"user:pass").decode()


def configured(**credentials: Any) -> Configuration:
    return Configuration("http://lakefs", **credentials)


# Configuration.auth_settings


BASIC_SETTING = {"type": "basic", "in": "header", "key": "Authorization", "value": BASIC}
TOKEN_SETTING = {
    "type": "bearer",
    "in": "header",
    "format": "JWT",
    "key": "Authorization",
    "value": "Bearer t",
}


def cookie_setting(name: str, value: str) -> dict[str, str]:
    return {"type": "api_key", "in": "cookie", "key": name, "value": value}


@pytest.mark.parametrize(
    ("credentials", "settings"),
    [
        ({}, {}),
        ({"username": "user"}, {}),
        ({"password": "pass"}, {}),
        ({"username": "user", "password": "pass"}, {"basic_auth": BASIC_SETTING}),
        ({"access_token": "t"}, {"jwt_token": TOKEN_SETTING}),
        (
            {"api_key": {"cookie_auth": "c"}},
            {"cookie_auth": cookie_setting("internal_auth_session", "c")},
        ),
        (
            {"api_key": {"oidc_auth": "o"}},
            {"oidc_auth": cookie_setting("oidc_auth_session", "o")},
        ),
        (
            {"api_key": {"saml_auth": "s"}, "api_key_prefix": {"saml_auth": "P"}},
            {"saml_auth": cookie_setting("saml_auth_session", "P s")},
        ),
        ({"api_key": {"unheard_of": "x"}}, {}),
        (
            {"username": "user", "password": "pass", "access_token": "t"},
            {"basic_auth": BASIC_SETTING, "jwt_token": TOKEN_SETTING},
        ),
    ],
)
def test_auth_settings_contain_configured_credentials(
    credentials: dict[str, Any], settings: dict[str, Any]
) -> None:
    assert configured(**credentials).auth_settings() == settings


def test_basic_auth_token_is_encoded_as_utf_8() -> None:
    token = configured(username="jürgen", password="pä:ss").get_basic_auth_token()
    assert token == "Basic " + b64encode("jürgen:pä:ss".encode()).decode()


def test_api_key_has_prefix_and_alias() -> None:
    configuration = configured(api_key={"a": "1"}, api_key_prefix={"b": "Word"})
    assert configuration.get_api_key_with_prefix("a") == "1"
    assert configuration.get_api_key_with_prefix("b") is None
    assert configuration.get_api_key_with_prefix("b", "a") == "Word 1"


# Headers of a request


@pytest.fixture
def sent(server: ScriptedServer) -> Callable[..., dict[str, str]]:
    """Provide a function that makes a call and returns the received headers."""

    def call(cookie: str | None = None, **credentials: Any) -> dict[str, str]:
        server.script(Answer(json={"user": {"id": "u", "creation_date": 1}}))
        configuration = Configuration(server.url, **credentials)
        with ApiClient(configuration, cookie=cookie) as client:
            apis.AuthApi(client).get_current_user()
        return server.requests[-1].headers

    return call


@pytest.mark.parametrize(
    ("credentials", "authorization", "cookie"),
    [
        ({}, None, None),
        ({"username": "user"}, None, None),
        ({"password": "pass"}, None, None),
        ({"username": "user", "password": "pass"}, BASIC, None),
        ({"username": "", "password": ""}, "Basic Og==", None),
        ({"access_token": "t"}, "Bearer t", None),
        ({"access_token": "t", "username": "user", "password": "pass"}, "Bearer t", None),
        ({"api_key": {"cookie_auth": "c"}}, None, "internal_auth_session=c"),
        ({"api_key": {"oidc_auth": "o"}}, None, "oidc_auth_session=o"),
        ({"api_key": {"saml_auth": "s"}}, None, "saml_auth_session=s"),
        (
            {"api_key": {"saml_auth": "s", "cookie_auth": "c", "oidc_auth": "o"}},
            None,
            "internal_auth_session=c; oidc_auth_session=o; saml_auth_session=s",
        ),
        (
            {"api_key": {"cookie_auth": "internal_auth_session=c", "saml_auth": "s"}},
            None,
            "internal_auth_session=c; saml_auth_session=s",
        ),
        (
            # Another cookie's name is part of the value, as encoded sessions may hold "=".
            {"api_key": {"cookie_auth": "oidc_auth_session=c"}},
            None,
            "internal_auth_session=oidc_auth_session=c",
        ),
        (
            {"api_key": {"cookie_auth": "c"}, "api_key_prefix": {"cookie_auth": "Word"}},
            None,
            "internal_auth_session=Word c",
        ),
        (
            {"api_key": {"cookie_auth": "c"}, "username": "user", "password": "pass"},
            BASIC,
            "internal_auth_session=c",
        ),
        ({"api_key": {"unheard_of": "x"}}, None, None),
    ],
)
def test_credentials_select_authorization_and_cookie(
    sent: Callable[..., dict[str, str]],
    credentials: dict[str, Any],
    authorization: str | None,
    cookie: str | None,
) -> None:
    headers = sent(**credentials)
    assert headers.get("authorization") == authorization
    assert headers.get("cookie") == cookie


def test_client_cookie_is_joined_with_session_cookies(
    sent: Callable[..., dict[str, str]],
) -> None:
    headers = sent(cookie="mine=1", api_key={"cookie_auth": "c"})
    assert headers["cookie"] == "mine=1; internal_auth_session=c"
    assert sent(cookie="mine=1")["cookie"] == "mine=1"


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
def test_credentials_override_default_header(
    api: ApiClient, server: ScriptedServer, name: str
) -> None:
    server.script(Answer(json={"user": {"id": "u", "creation_date": 1}}))
    api.set_default_header(name, "Bearer from-the-header")
    api.configuration.access_token = "from-the-configuration"
    apis.AuthApi(api).get_current_user()
    assert server.requests[0].headers["authorization"] == "Bearer from-the-configuration"


def test_default_authorization_is_sent_without_credentials(server: ScriptedServer) -> None:
    server.script(Answer(json={"user": {"id": "u", "creation_date": 1}}))
    with ApiClient(Configuration(server.url), "Authorization", "Bearer mine") as client:
        apis.AuthApi(client).get_current_user()
    assert server.requests[0].headers["authorization"] == "Bearer mine"


def test_refresh_api_key_hook_runs_per_request(api: ApiClient, server: ScriptedServer) -> None:
    server.script(*[Answer(json={"user": {"id": "u", "creation_date": 1}})] * 2)
    calls = []

    def refresh(configuration: Configuration) -> None:
        calls.append(configuration)
        configuration.api_key["cookie_auth"] = f"key-{len(calls)}"

    api.configuration.api_key["cookie_auth"] = "stale"
    api.configuration.refresh_api_key_hook = refresh
    apis.AuthApi(api).get_current_user()
    apis.AuthApi(api).get_current_user()
    assert [request.headers["cookie"] for request in server.requests] == [
        "internal_auth_session=key-1",
        "internal_auth_session=key-2",
    ]
    assert calls == [api.configuration] * 2


def test_each_attempt_refreshes_credentials(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(503), Answer(json={"user": {"id": "u", "creation_date": 1}}))
    keys = iter(["first", "second"])
    api.configuration.api_key["cookie_auth"] = "stale"
    api.configuration.refresh_api_key_hook = lambda c: c.api_key.update(cookie_auth=next(keys))
    apis.AuthApi(api).get_current_user()
    cookies = [request.headers["cookie"] for request in server.requests]
    assert cookies == ["internal_auth_session=first", "internal_auth_session=second"]


@pytest.mark.parametrize(
    ("credentials", "named"),
    [
        ({"access_token": "secret\r\nX: y"}, "Configuration.access_token"),
        ({"access_token": "sec\nret\n"}, "Configuration.access_token"),
        ({"access_token": "secret\x00"}, "Configuration.access_token"),
        ({"access_token": "secret\x7f"}, "Configuration.access_token"),
        ({"access_token": "secret\ud800"}, "Configuration.access_token"),
        ({"api_key": {"cookie_auth": "\r\nsecret"}}, "Configuration.api_key['cookie_auth']"),
        ({"api_key": {"saml_auth": "secret\x1b"}}, "Configuration.api_key['saml_auth']"),
        (
            {"api_key": {"oidc_auth": "secret"}, "api_key_prefix": {"oidc_auth": "a\nb"}},
            "Configuration.api_key['oidc_auth']",
        ),
    ],
)
def test_invalid_header_credentials_are_rejected_without_quoting(
    api: ApiClient, server: ScriptedServer, credentials: dict[str, Any], named: str
) -> None:
    for name, value in credentials.items():
        setattr(api.configuration, name, value)
    with pytest.raises(ApiValueError) as caught:
        apis.AuthApi(api).get_current_user()
    assert named in str(caught.value)
    assert "secret" not in str(caught.value)
    assert server.connections == 0


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_trailing_line_feed_of_secret_is_stripped(
    sent: Callable[..., dict[str, str]], end: str
) -> None:
    headers = sent(username=f"user{end}", password=f"pass{end}")
    assert headers["authorization"] == "Basic " + b64encode(b"user:pass").decode()
    headers = sent(access_token=f"token{end}", api_key={"cookie_auth": f"key{end}"})
    assert headers["authorization"] == "Bearer token"
    assert headers["cookie"] == "internal_auth_session=key"


def test_unencodable_password_is_rejected_without_quoting(api: ApiClient) -> None:
    api.configuration.username, api.configuration.password = "user", "secret\udcff"
    with pytest.raises(ApiValueError, match="must be encodable as UTF-8") as caught:
        apis.AuthApi(api).get_current_user()
    assert "secret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("token", [b"token", 7])
def test_access_token_must_be_a_str(api: ApiClient, token: Any) -> None:
    api.configuration.access_token = token
    with pytest.raises(ApiTypeError, match=r"Configuration\.access_token must be a str"):
        apis.AuthApi(api).get_current_user()


def test_basic_auth_encodes_control_characters(
    sent: Callable[..., dict[str, str]],
) -> None:
    headers = sent(username="a\r\nb", password="c\x00")
    assert headers["authorization"] == "Basic " + b64encode(b"a\r\nb:c\x00").decode()


@pytest.mark.parametrize("cookie", ["a=1\r\nX: y", "a=\x00"])
def test_client_cookie_rejects_control_characters(cookie: str) -> None:
    with pytest.raises(ApiValueError, match="cookie must not hold control characters"):
        ApiClient(Configuration("http://lakefs"), cookie=cookie)


# Operations without authentication

TOKEN = {"token": "t"}
STATE = {"state": "initialized"}
LOGIN = LoginInformation("id", "secret")

WITHOUT_AUTH: dict[str, tuple[Callable[[ApiClient], object], object]] = {
    "external_principal_login": (
        lambda c: apis.AuthApi(c).external_principal_login(
            external_login_information=ExternalLoginInformation({})
        ),
        TOKEN,
    ),
    "sts_login": (
        lambda c: apis.ExperimentalApi(c).sts_login(StsAuthRequest("code", "state", "http://x")),
        TOKEN,
    ),
    "login": (lambda c: apis.AuthApi(c).login(login_information=LOGIN), TOKEN),
    "health_check": (lambda c: apis.HealthCheckApi(c).health_check(), ...),
    "setup": (
        lambda c: apis.InternalApi(c).setup(Setup("admin")),
        {"access_key_id": "a", "secret_access_key": "s", "creation_date": 1},
    ),
    "get_setup_state": (lambda c: apis.InternalApi(c).get_setup_state(), STATE),
    "setup_comm_prefs": (
        lambda c: apis.InternalApi(c).setup_comm_prefs(CommPrefsInput(False, False)),
        ...,
    ),
    "get_auth_capabilities": (lambda c: apis.InternalApi(c).get_auth_capabilities(), {}),
}


@pytest.mark.parametrize("name", WITHOUT_AUTH)
def test_unauthenticated_operation_sends_no_credentials(server: ScriptedServer, name: str) -> None:
    call, answer = WITHOUT_AUTH[name]
    server.script(Answer(json=answer) if answer is not ... else Answer(204))
    configuration = Configuration(
        server.url,
        api_key={"cookie_auth": "c", "oidc_auth": "o", "saml_auth": "s"},
        access_token="t",
        username="user",
        password="pass",
    )
    with ApiClient(configuration, cookie="mine=1") as client:
        call(client)
    headers = server.requests[0].headers
    assert "authorization" not in headers
    assert "cookie" not in headers
