"""Redaction of secrets by name and by value, in linear time; escaping; nesting limits."""

from __future__ import annotations

import json
import logging
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scripted import Answer, Raw, Received, ScriptedServer, Step

from lakefs_client import ApiClient, ApiException, ApiValueError, Configuration
from lakefs_client._redact import HIDDEN, hide, is_secret_name, printable, redact, secrets_of, shown
from lakefs_client._request import PreparedCall
from lakefs_client.apis import AuthApi, ExperimentalApi, RepositoriesApi
from lakefs_client.exceptions import InvalidAnswerError
from lakefs_client.models import (
    Commit,
    ExternalLoginInformation,
    LoginInformation,
    Ref,
    StsAuthRequest,
)
from lakefs_client.rest import Message

from .conftest import PASSWORD

SIGNED = "https://s3.example.com/b/k?X-Amz-Credential=AKIA%2Fx&X-Amz-Signature=0badcafe"

HOSTILE = [
    "\\", '"', "'", '\\"', "Cookie:", 'Cookie:"', "Cookie ", "cookie,'", '"token', '"token"', '"a',
    "a-", '"token":"', "&Signature=", "authorization: '", '"secret', "'token\\", " ", "\n", "\x00",
    '"secret_access_key": "', "?sig", "\\u0026sig=", "Set-", "token", '{"', "-", "_",
]  # fmt: skip


# Time: a quadratic scan of these texts would exceed the time limit of the tests.


@pytest.mark.parametrize("piece", HOSTILE)
def test_redaction_takes_linear_time(piece: str) -> None:
    assert redact(piece * (1_000_000 // len(piece)))


@pytest.mark.parametrize("piece", ["\\", '"token', "x" * 80, "\x1b", " \\'"])
def test_large_body_is_truncated(piece: str) -> None:
    error = ApiException(500, "Internal Server Error")
    error.body = piece * (1_000_000 // len(piece))
    assert len(str(error)) < 500_000
    assert "more characters)" in str(error)


@pytest.mark.parametrize("piece", ["\\", "\\\\=", '="token', "= 'a"])
def test_commit_repr_takes_linear_time(piece: str) -> None:
    text = piece * (400_000 // len(piece))
    commit = Commit(
        id="c", parents=[], committer="me", message=text, creation_date=1, meta_range_id="m",
        metadata={text[:1000]: text},
    )  # fmt: skip
    assert "committer" in repr(commit)


# By name


@pytest.mark.parametrize(
    "text",
    [
        SIGNED,
        '{"token": "0badcafe"}',
        '{"refresh_token":"0badcafe"}',
        '{"accessToken" : "0badcafe"}',
        "{'password': '0badcafe'}",
        '{\\"secret_access_key\\": \\"0badcafe\\"}',
        '{\\\\\\"client_secret\\\\\\": \\\\\\"0badcafe\\\\\\"}',
        '{"token": "x\\/0badcafe"}',
        "Authorization: Bearer 0badcafe",
        "'Authorization': 'Bearer 0badcafe'",
        "Proxy-Authorization: Basic 0badcafe",
        "Set-Cookie: internal_auth_session=0badcafe; Path=/",
    ],
)
def test_secret_is_redacted_by_its_name(text: str) -> None:
    assert "0badcafe" not in redact(text)
    assert HIDDEN in redact(text)


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("token", True), ("refresh_token", True), ("accessToken", True), ("api-key", True),
        ("secret_access_key", True), ("secretAccessKey", True), ("client_secret", True),
        ("tokenizer", False), ("access_key_id", False), ("path", False), ("tokens_used", False),
    ],
)  # fmt: skip
def test_is_secret_name_recognises_secrets(name: str, secret: bool) -> None:
    assert is_secret_name(name) is secret


def test_repr_hides_unknown_property_with_secret_name() -> None:
    ref = Ref("main", "c", refresh_token="0badcafe", note="plain")
    assert "0badcafe" not in repr(ref) + str(ref)
    assert "plain" in repr(ref)
    assert ref.to_dict()["refresh_token"] == "0badcafe"


# By value


@given(st.text(min_size=4), st.text(), st.text())
def test_secret_is_redacted_by_its_value(secret: str, before: str, after: str) -> None:
    assert secret not in hide(before + secret + after, [secret]).replace(HIDDEN, "")
    quoted = json.dumps({"text": secret})
    assert hide(quoted, [secret]) != quoted


def test_secrets_of_finds_credentials_and_signatures() -> None:
    headers = {
        "Authorization": "Basic dXNlcjpwYXNz",
        "Cookie": "a=first; b=second",
        "X-Api-Key": "own-key",
        "User-Agent": "agent",
        "Accept": "application/json",
    }
    found = secrets_of(SIGNED, headers)
    assert {"dXNlcjpwYXNz", "pass", "first", "second", "own-key", "0badcafe"} <= {*found}
    assert "AKIA/x" in found
    assert not {"agent", "application/json", "user"} & {*found}
    assert found == sorted(found, key=len, reverse=True)


def quote_request(received: Received) -> Step:
    """Answer with an error that quotes the request, like a debug page."""
    lines = [f"{name}: {value}" for name, value in received.headers.items()]
    lines += [f"the header {name!r} is {value}" for name, value in received.headers.items()]
    text = "\n".join([received.target, *lines, received.body.decode("utf-8", "replace")])
    body = json.dumps({"message": text}).encode() + text.encode()
    return Answer(400, body, {"X-Quoted": received.headers.get("authorization", "none")})


KEY = "0badcafe"  # a constant, as tracebacks quote the lines below
IDENTITY = {"deep": [{"x": KEY}]}
BODIES: list[tuple[Callable[[ApiClient], object], str]] = [
    (lambda c: AuthApi(c).login(login_information=LoginInformation("id", KEY)), KEY),
    (lambda c: ExperimentalApi(c).sts_login(StsAuthRequest(KEY, "state", "uri")), KEY),
    (
        lambda c: AuthApi(c).external_principal_login(
            external_login_information=ExternalLoginInformation(IDENTITY)
        ),
        KEY,
    ),
    (lambda c: c.call_api("/x", "POST", body={"private_key": KEY}), KEY),
    (lambda c: c.call_api("/x", "POST", post_params=[("api_key", KEY)]), KEY),
    (lambda c: RepositoriesApi(c).get_repository("repo"), PASSWORD),
]


@pytest.mark.parametrize(("call", "secret"), BODIES)
def test_error_quoting_the_request_hides_secrets(
    configuration: Configuration,
    call: Callable[[ApiClient], object],
    secret: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    configuration.api_key = {"cookie_auth": "value-of-a-cookie"}
    configuration.retries = 1
    with ScriptedServer(otherwise=quote_request) as server:
        configuration.host = server.url
        client = ApiClient(configuration, "X-Vendor", "key-of-a-vendor", cookie="mine=cookie-value")
        with client, pytest.raises(ApiException) as caught:
            call(client)
    error = caught.value
    texts = [str(error), repr(error), str(vars(error)), caplog.text, str(error.headers)]
    texts += traceback.format_exception(error)
    texts += [str(vars(pickle.loads(pickle.dumps(error))))]
    for text in texts:
        for value in (
            secret, "value-of-a-cookie", "key-of-a-vendor", "cookie-value",
            configuration.get_basic_auth_token()[6:],
        ):  # fmt: skip
            assert value not in text
    assert HIDDEN in str(error.body)


def test_store_error_quoting_the_signature_hides_it(api: ApiClient) -> None:
    def refuse(received: Received) -> Step:
        return Answer(403, b"<SignatureProvided>0badcafe</SignatureProvided>")

    with ScriptedServer(otherwise=refuse) as store:
        message = Message("PUT", f"{store.url}/k?X-Amz-Signature=0badcafe", {}, b"x")
        response = api.store_client.exchange(message)
    assert response.data == b"<SignatureProvided>***</SignatureProvided>"


def test_proxy_error_hides_the_proxy_password(api: ApiClient) -> None:
    api.configuration.retries = False
    api.configuration.host = "http://lakefs.invalid"
    api.configuration.proxy = "http://me:0badcafe@127.0.0.1:9"
    with pytest.raises(ApiException, match=r"through the proxy http://127\.0\.0\.1:9") as caught:
        RepositoriesApi(api).get_repository("repo")
    assert "0badcafe" not in "".join(traceback.format_exception(caught.value))


def test_internal_reprs_hide_secrets() -> None:
    message = Message("PUT", SIGNED, {"Authorization": "Bearer 0badcafe"})
    assert repr(message) == "<PUT https://s3.example.com/b/k>"
    call = PreparedCall("login", "POST", "/auth/login?token=0badcafe", {}, None, (), None,
                        "unsent", {}, value=LoginInformation("id", "0badcafe"))  # fmt: skip
    assert repr(call) == "<login: POST /auth/login>"


def test_traceback_variables_hide_credentials(
    configuration: Configuration, server: ScriptedServer
) -> None:
    """Error trackers such as Sentry report the repr of each frame's variables."""
    server.script(Answer(500))
    configuration.retries = False
    configuration.api_key = {"cookie_auth": "value-of-a-cookie"}
    encoded = configuration.get_basic_auth_token()[6:]
    with ApiClient(configuration) as client, pytest.raises(ApiException) as caught:
        RepositoriesApi(client).get_repository("repo")
    frames = traceback.walk_tb(caught.value.__traceback__)
    own = [frame for frame, _ in frames if "lakefs_client" in frame.f_code.co_filename]
    assert len(own) > 4
    for frame in own:
        for value in frame.f_locals.values():
            assert encoded not in repr(value)
            assert PASSWORD not in repr(value)
            assert "value-of-a-cookie" not in repr(value)


def test_pickled_error_hides_signature_and_cookie() -> None:
    error = ApiException(403, f"refused: {SIGNED}")
    error.body = f"refused: {SIGNED}"
    error.headers = {"Set-Cookie": "internal_auth_session=0badcafe", "Date": "today"}
    again = pickle.loads(pickle.dumps(error))
    assert b"0badcafe" not in pickle.dumps(error)
    assert again.status == 403
    assert again.headers == {"Set-Cookie": HIDDEN, "Date": "today"}
    assert "0badcafe" not in repr(error)


# Control characters

FORGED = "a\r\nERROR root: forged\x1b[2J\x9b\u2028\u202e"


def test_printable_escapes_line_forging_characters() -> None:
    assert printable(FORGED) == r"a\r\nERROR root: forged\x1b[2J\x9b\u2028\u202e"
    assert printable("plain é ключ \xa0") == "plain é ключ \xa0"
    assert printable("a\n\tb\x1b", lines=True) == "a\n    \tb\\x1b"


@given(st.text())
def test_printable_escapes_every_control_character(text: str) -> None:
    assert all(c.isprintable() or c.isspace() or ord(c) > 159 for c in printable(text))
    assert not {*"\r\n\x1b\x00\x7f\x85\u2028"} & {*printable(text)}


def test_error_indents_body_lines(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(400, f"first\n{FORGED}".encode()))
    with pytest.raises(ApiException) as caught:
        RepositoriesApi(api).get_repository("repo")
    lines = str(caught.value).splitlines()
    assert not any(line.startswith("ERROR") for line in lines)
    assert "\x1b" not in str(caught.value)


def test_retry_log_message_is_one_line(
    api: ApiClient, server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "lakefs_client")
    server.script(
        Raw(b"HTTP/1.1 503 Busy\x1b[2J\x0bERROR\r\nContent-Length: 0\r\n\r\n"),
        Answer(json={"id": "x", "commit_id": "y"}),
    )
    with pytest.raises(InvalidAnswerError):
        RepositoriesApi(api).get_repository("repo")
    (record,) = (r for r in caplog.records if "attempt 1" in r.getMessage())
    assert record.getMessage().isprintable()
    assert record.levelno == logging.INFO
    assert "Busy" in record.getMessage()


# Headers changed after construction


@pytest.mark.parametrize(
    ("name", "value"),
    [("a\r\nX-Evil: 1", "b"), ("X-Mine", "b\r\nX-Evil: 1"), ("X-Mine", "b\n"), ("X-\x00", "b")],
)
def test_default_headers_are_validated_when_sent(
    api: ApiClient, server: ScriptedServer, name: str, value: str
) -> None:
    api.default_headers[name] = value
    with pytest.raises(ApiValueError, match="default_headers"):
        RepositoriesApi(api).get_repository("repo")
    assert server.connections == 0


def test_cookie_is_validated_when_sent(api: ApiClient, server: ScriptedServer) -> None:
    api.cookie = "a=b\r\nX-Evil: 1"
    with pytest.raises(ApiValueError, match="cookie"):
        RepositoriesApi(api).get_repository("repo")
    assert server.connections == 0


def test_proxy_headers_are_validated_when_sent(api: ApiClient) -> None:
    api.configuration.proxy = "http://127.0.0.1:9"
    api.configuration.proxy_headers = {"X": "b\r\nX-Evil: 1"}
    with pytest.raises(ApiValueError, match="proxy_headers"):
        RepositoriesApi(api).get_repository("repo")


# Nesting


def nested(depth: int) -> Any:
    value: Any = "x"
    for level in range(depth):
        value = {"deeper": value} if level % 2 else [value]
    return value


@pytest.mark.parametrize("depth", [201, 400, 900])
def test_json_above_nesting_limit_is_rejected(
    api: ApiClient, server: ScriptedServer, depth: int
) -> None:
    server.script(Answer(json={"id": "a", "commit_id": "b", "extra": nested(depth)}))
    with pytest.raises(InvalidAnswerError, match="nested deeper than 200 levels"):
        api.call_api("/x", "GET", response_type=(Ref,))


def test_json_at_nesting_limit_is_supported(api: ApiClient, server: ScriptedServer) -> None:
    data = {"id": "a", "commit_id": "b", "extra": nested(199)}
    server.script(Answer(json=data))
    ref, _, _ = api.call_api("/x", "GET", response_type=(Ref,))
    assert ref.to_dict() == pickle.loads(pickle.dumps(ref)).to_dict() == data
    assert "deeper" in repr(ref)
    assert shown(ref)
