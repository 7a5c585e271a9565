"""Redirects: GET and HEAD follow them, and other servers get no credentials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.scripted import Answer, Endless, ScriptedServer

from lakefs_client import ApiClient, ApiException, Configuration
from lakefs_client._redirect import keeps_credentials
from lakefs_client.apis import BranchesApi, ExperimentalApi, ObjectsApi, RepositoriesApi
from lakefs_client.exceptions import NotFoundException, StoreError
from lakefs_client.models import BranchCreation

from .conftest import REPOSITORY_ANSWER, Certificates

CREDENTIALS: dict[str, Any] = {
    "username": "user",
    "password": "pass",
    "api_key": {"cookie_auth": "c"},
}


def to(url: str, status: int = 302) -> Answer:
    return Answer(status, headers={"Location": url})


def secret_headers(headers: dict[str, str]) -> set[str]:
    return headers.keys() & {"authorization", "cookie", "x-mine"}


ALL_SECRETS = {"authorization", "cookie", "x-mine"}


@pytest.fixture
def client(configuration: Configuration) -> Any:
    """Provide a client with every kind of credential and a default header."""
    for name, value in CREDENTIALS.items():
        setattr(configuration, name, value)
    with ApiClient(configuration, "X-Mine", "secret", cookie="mine=1") as client:
        client.user_agent = "agent"
        yield client


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_within_server_keeps_credentials(
    client: ApiClient, server: ScriptedServer, status: int
) -> None:
    server.script(to("/elsewhere?x=1", status), REPOSITORY_ANSWER)
    assert RepositoriesApi(client).get_repository("repo").id == "repo"
    assert [request.method for request in server.requests] == ["GET", "GET"]
    assert server.requests[1].target == "/elsewhere?x=1"
    assert secret_headers(server.requests[1].headers) == ALL_SECRETS
    assert server.requests[0].headers == server.requests[1].headers
    assert server.connections == 1


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("next", "/api/v1/repositories/next"),
        ("../next", "/api/v1/next"),
        ("?page=2", "/api/v1/repositories/repo?page=2"),
        ("/a b/é", "/a%20b/%C3%A9"),
        ("/a%2Fb", "/a%2Fb"),
        ("/x#fragment", "/x"),
    ],
)
def test_relative_location_is_resolved(
    client: ApiClient, server: ScriptedServer, location: str, target: str
) -> None:
    server.script(to(location.encode().decode("latin-1")), REPOSITORY_ANSWER)
    RepositoriesApi(client).get_repository("repo")
    assert server.requests[1].target == target


def test_redirected_head_stays_head(client: ApiClient, server: ScriptedServer) -> None:
    server.script(to("/elsewhere"), Answer(200, b"not sent"))
    ObjectsApi(client).head_object("repo", "main", "p")
    assert [request.method for request in server.requests] == ["HEAD", "HEAD"]


def test_other_server_gets_conditions_but_no_credentials(
    client: ApiClient, server: ScriptedServer
) -> None:
    with ScriptedServer(Answer(206, b"bytes")) as store:
        server.script(to(f"{store.url}/bucket/key?X-Amz-Signature=abc"))
        with ObjectsApi(client).get_object(
            "repo", "main", "p", range="bytes=0-4", if_none_match='"tag"', presign=True
        ) as file:
            assert file.read() == b"bytes"
    (request,) = store.requests
    assert request.target == "/bucket/key?X-Amz-Signature=abc"
    assert secret_headers(request.headers) == set()
    assert request.headers["range"] == "bytes=0-4"
    assert request.headers["if-none-match"] == '"tag"'
    assert request.headers["user-agent"] == "agent"
    assert request.headers["host"] == f"127.0.0.1:{store.port}"


def test_redirect_back_does_not_restore_credentials(
    client: ApiClient, server: ScriptedServer
) -> None:
    with ScriptedServer() as other:
        server.script(to(f"{other.url}/there"), REPOSITORY_ANSWER)
        other.script(to(f"{server.url}/and/back"))
        RepositoriesApi(client).get_repository("repo")
    assert [secret_headers(request.headers) for request in server.requests] == [ALL_SECRETS, set()]
    assert secret_headers(other.requests[0].headers) == set()


def test_other_host_name_gets_no_credentials(client: ApiClient, server: ScriptedServer) -> None:
    server.script(to(f"http://localhost:{server.port}/x"), REPOSITORY_ANSWER)
    RepositoriesApi(client).get_repository("repo")
    assert secret_headers(server.requests[1].headers) == set()


def test_https_on_other_port_gets_no_credentials(
    client: ApiClient, server: ScriptedServer, certificates: Certificates
) -> None:
    client.configuration.ssl_ca_cert = certificates.authority
    with ScriptedServer(REPOSITORY_ANSWER, tls=certificates.server) as secure:
        server.script(to(f"{secure.url}/x"))
        RepositoriesApi(client).get_repository("repo")
    assert secret_headers(secure.requests[0].headers) == set()


@pytest.mark.parametrize(
    ("source", "target", "kept"),
    [
        ("http://lakefs/a", "https://lakefs/b", True),
        ("http://lakefs:80/a", "https://lakefs:443/b", True),
        ("http://lakefs/a", "http://lakefs:80/b", True),
        ("http://lakefs:8000/a", "http://lakefs:8000/b", True),
        ("http://lakefs/a", "https://lakefs:8443/b", False),
        ("http://lakefs:8000/a", "https://lakefs/b", False),
        ("http://lakefs:8000/a", "https://lakefs:8443/b", False),
        ("http://lakefs/a", "https://store/b", False),
        ("https://lakefs/a", "http://lakefs/b", False),
        ("https://lakefs/a", "https://lakefs.evil/b", False),
    ],
)
def test_keeps_credentials_for_origin_and_https_upgrade(
    source: str, target: str, kept: bool
) -> None:
    assert keeps_credentials(urlsplit(source), urlsplit(target)) is kept


def test_error_hides_user_information_of_location(
    client: ApiClient, server: ScriptedServer
) -> None:
    with ScriptedServer(Answer(500, b"broken")) as store:
        server.script(to(f"http://evil:hunter2@127.0.0.1:{store.port}/x"))
        client.configuration.retries = False
        with pytest.raises(ApiException) as caught:
            RepositoriesApi(client).get_repository("repo")
    assert secret_headers(store.requests[0].headers) == set()
    assert "hunter2" not in str(caught.value)


def test_redirect_body_is_not_read(client: ApiClient, server: ScriptedServer) -> None:
    server.script(Endless(b"HTTP/1.1 302 Found\r\nLocation: /next\r\n\r\n"), REPOSITORY_ANSWER)
    assert RepositoriesApi(client).get_repository("repo").id == "repo"
    assert server.connections == 2


@pytest.mark.parametrize("status", [404, 403, 401, 503])
def test_store_error_is_distinct_from_lakefs_errors(
    client: ApiClient, server: ScriptedServer, status: int
) -> None:
    client.configuration.retries = False
    with ScriptedServer(Answer(status, b"<Error><Code>NoSuchKey</Code></Error>")) as store:
        server.script(to(f"{store.url}/bucket/key"))
        with pytest.raises(ApiException) as caught:
            ObjectsApi(client).get_object("repo", "main", "p", presign=True)
    assert type(caught.value) is StoreError
    assert caught.value.status == (410 if status == 404 else status)
    assert "NoSuchKey" in str(caught.value)


def test_lakefs_error_after_redirect_keeps_its_class(
    client: ApiClient, server: ScriptedServer
) -> None:
    server.script(to("/elsewhere"), Answer(404, json={"message": "not found"}))
    with pytest.raises(NotFoundException):
        RepositoriesApi(client).get_repository("repo")


def test_https_on_other_host_gets_no_credentials(
    client: ApiClient, server: ScriptedServer, certificates: Certificates
) -> None:
    client.configuration.ssl_ca_cert = certificates.authority
    with ScriptedServer(REPOSITORY_ANSWER, tls=certificates.server) as secure:
        server.script(to(f"https://localhost:{secure.port}/x"))
        RepositoriesApi(client).get_repository("repo")
    assert secret_headers(secure.requests[0].headers) == set()


def test_redirect_from_https_to_http_is_an_error(
    client: ApiClient, server: ScriptedServer, certificates: Certificates
) -> None:
    with ScriptedServer(to(f"{server.url}/x"), tls=certificates.server) as secure:
        client.configuration.host = secure.url
        client.configuration.ssl_ca_cert = certificates.authority
        with pytest.raises(ApiException, match="from https to http") as caught:
            RepositoriesApi(client).get_repository("repo")
    assert caught.value.status == 302
    assert server.connections == 0


def test_redirects_are_limited_to_five(client: ApiClient, server: ScriptedServer) -> None:
    server.script(*[to(f"/{number}") for number in range(5)], REPOSITORY_ANSWER)
    RepositoriesApi(client).get_repository("repo")
    assert [request.target for request in server.requests[1:]] == [f"/{n}" for n in range(5)]
    server.script(*[to("/again", 301)] * 6)
    with pytest.raises(ApiException, match="more than 5 redirects") as caught:
        RepositoriesApi(client).get_repository("repo")
    assert caught.value.status == 301


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "call",
    [
        lambda a: BranchesApi(a).create_branch("repo", BranchCreation("b", "main")),
        lambda a: BranchesApi(a).delete_branch("repo", "b"),
        lambda a: ExperimentalApi(a).hard_reset_branch("repo", "b", "main"),
    ],
)
def test_other_methods_do_not_follow_redirects(
    client: ApiClient, server: ScriptedServer, call: Callable[[ApiClient], object], status: int
) -> None:
    server.script(to("/elsewhere", status))
    with pytest.raises(ApiException) as caught:
        call(client)
    assert caught.value.status == status
    assert caught.value.headers is not None
    assert caught.value.headers["location"] == "/elsewhere"


@pytest.mark.parametrize(
    "answer", [Answer(302), Answer(300, headers={"Location": "/x"}), Answer(304), Answer(399)]
)
def test_invalid_redirect_status_raises(
    client: ApiClient, server: ScriptedServer, answer: Answer
) -> None:
    server.script(answer)
    with pytest.raises(ApiException) as caught:
        RepositoriesApi(client).get_repository("repo")
    assert caught.value.status == answer.status


@pytest.mark.parametrize(
    "location",
    [
        "http://[::1",
        "http://lakefs:port/",
        "http://lakefs:99999/",
        "ftp://lakefs/x",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://lakefs:0/",
    ],
)
def test_invalid_location_is_an_api_exception(
    client: ApiClient, server: ScriptedServer, location: str
) -> None:
    client.configuration.retries = False
    server.script(to(location))
    with pytest.raises(ApiException) as caught:
        RepositoriesApi(client).get_repository("repo")
    assert caught.value.status == 302


def test_user_information_of_location_is_not_sent(
    client: ApiClient, server: ScriptedServer
) -> None:
    with ScriptedServer(REPOSITORY_ANSWER) as other:
        server.script(to(f"http://someone:word@127.0.0.1:{other.port}/x"))
        RepositoriesApi(client).get_repository("repo")
    assert secret_headers(other.requests[0].headers) == set()
    assert "someone" not in other.requests[0].headers["host"]


def test_error_after_redirect_describes_last_answer(
    client: ApiClient, server: ScriptedServer
) -> None:
    with ScriptedServer(Answer(403, b"<Error>expired</Error>")) as store:
        server.script(to(f"{store.url}/x"))
        with pytest.raises(ApiException, match="expired") as caught:
            ObjectsApi(client).get_object("repo", "main", "p", presign=True)
    assert caught.value.status == 403


def test_retry_after_redirect_starts_at_original_url(
    client: ApiClient, server: ScriptedServer
) -> None:
    client.rest_client.timing = client.rest_client.timing._replace(sleep=lambda _: None)
    with ScriptedServer(Answer(503), Answer(body=b"bytes")) as store:
        server.script(to(f"{store.url}/one"), to(f"{store.url}/two"))
        ObjectsApi(client).get_object("repo", "main", "p", presign=True)
    assert [request.target for request in store.requests] == ["/one", "/two"]


def test_raw_answer_follows_redirects(client: ApiClient, server: ScriptedServer) -> None:
    server.script(to("/x"), Answer(body=b"bytes"))
    response = ObjectsApi(client).get_object("repo", "main", "p", _preload_content=False)
    assert response.read() == b"bytes"
    assert server.connections == 1
