"""Interim answers (1xx) are skipped; surplus bytes close the connection."""

from __future__ import annotations

import pytest
from support.scripted import Answer, Endless, Raw, ScriptedServer

from lakefs_client import ApiClient, ApiConnectionError
from lakefs_client.apis import BranchesApi, ObjectsApi
from lakefs_client.rest import Message

from .conftest import Certificates

HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
PROCESSING = b"HTTP/1.1 102 Processing\r\nA: b\r\nC: d\r\n\r\n"


def branch(name: str) -> bytes:
    body = b'{"id":"%s","commit_id":"c"}' % name.encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


@pytest.fixture
def api(api: ApiClient) -> ApiClient:
    """Provide a client without retries."""
    api.configuration.retries = False
    return api


@pytest.mark.parametrize(
    "interim", [HINTS, CONTINUE, PROCESSING, CONTINUE + PROCESSING + HINTS, HINTS * 10]
)
def test_interim_answers_are_skipped(
    api: ApiClient, server: ScriptedServer, interim: bytes
) -> None:
    server.script(*(Raw(interim + branch(name), "keep") for name in ("a", "b", "c")))
    for name in ("a", "b", "c"):
        assert BranchesApi(api).get_branch("repo", name).id == name
    assert server.connections == 1


def test_interim_answers_are_skipped_with_tls(api: ApiClient, certificates: Certificates) -> None:
    with ScriptedServer(
        *(Raw(HINTS + branch(name), "keep") for name in "ab"), tls=certificates.server
    ) as secure:
        api.configuration.host = secure.url
        for name in "ab":
            assert BranchesApi(api).get_branch("repo", name).id == name
        assert secure.connections == 1


def test_interim_answers_of_the_store_are_skipped(api: ApiClient, server: ScriptedServer) -> None:
    server.script(*(Raw(HINTS + branch(name), "keep") for name in "ab"))
    for name in "ab":
        message = Message("PUT", f"{server.url}/{name}", {"Content-Length": "1"}, b"x")
        response = api.store_client.exchange(message)
        assert (response.status, f'"{name}"' in response.data.decode()) == (200, True)
    assert server.connections == 1


@pytest.mark.parametrize("interim", [HINTS, CONTINUE])
def test_endless_interim_answers_are_a_connection_error(
    api: ApiClient, server: ScriptedServer, interim: bytes
) -> None:
    server.script(Endless(b"", interim), Raw(branch("b")))
    with pytest.raises(ApiConnectionError, match="more than 10 interim answers"):
        BranchesApi(api).get_branch("repo", "a")
    assert BranchesApi(api).get_branch("repo", "b").id == "b"
    assert server.connections == 2


def test_endless_interim_headers_are_a_connection_error(
    api: ApiClient, server: ScriptedServer
) -> None:
    server.script(Endless(b"HTTP/1.1 103 Early Hints\r\n", b"A: b\r\n" * 100))
    with pytest.raises(ApiConnectionError, match="more than 100 header lines"):
        BranchesApi(api).get_branch("repo", "a")


@pytest.mark.parametrize(
    "surplus",
    [b"x", branch("evil"), b"x" * 100_000, HINTS],
    ids=["a byte", "another answer", "many bytes", "an interim answer"],
)
def test_connection_with_surplus_bytes_is_closed(
    api: ApiClient, server: ScriptedServer, surplus: bytes
) -> None:
    server.script(Raw(branch("a") + surplus, "keep"), Raw(branch("b"), "keep"))
    assert BranchesApi(api).get_branch("repo", "a").id == "a"
    assert BranchesApi(api).get_branch("repo", "b").id == "b"
    assert server.connections == 2


def test_connection_with_body_after_head_is_closed(api: ApiClient, server: ScriptedServer) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    server.script(Raw(head + b"HELLO", "keep"), Raw(branch("b"), "keep"))
    ObjectsApi(api).head_object("repo", "main", "p")
    assert BranchesApi(api).get_branch("repo", "b").id == "b"
    assert server.connections == 2


def test_connection_with_exact_answer_is_reused(api: ApiClient, server: ScriptedServer) -> None:
    server.script(
        Raw(branch("a"), "keep"),
        Answer(204),
        Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "keep"),
        Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", "keep"),
        Raw(branch("b"), "keep"),
    )
    BranchesApi(api).get_branch("repo", "a")
    BranchesApi(api).delete_branch("repo", "a")
    for stored in (b"", b"a"):
        with ObjectsApi(api).get_object("repo", "main", "p") as file:
            assert file.read() == stored
    BranchesApi(api).get_branch("repo", "b")
    assert server.connections == 1
