"""Oversized, endless and malformed answers: the client stops at a limit and names it."""

from __future__ import annotations

import gzip
import json

import pytest
from support.scripted import Answer, Endless, Raw, ScriptedServer

from lakefs_client import ApiClient, ApiConnectionError, ApiException, ApiTimeoutError
from lakefs_client.apis import CommitsApi, ObjectsApi, RepositoriesApi
from lakefs_client.exceptions import InvalidAnswerError, NotFoundException
from lakefs_client.models import CommitCreation
from lakefs_client.retry import RetryPolicy

from .conftest import REPOSITORY, REPOSITORY_ANSWER

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\n"
MEBI = 1 << 20


@pytest.fixture
def api(api: ApiClient) -> ApiClient:
    """Provide a client without retries, with a small limit of answer size."""
    api.configuration.retries = False
    api.configuration.max_answer_size = MEBI
    return api


def chunk(size: str) -> bytes:
    return OK + b"Transfer-Encoding: chunked\r\n\r\n" + size.encode() + b"\r\n" + b"x" * 100


@pytest.mark.parametrize(
    "answer",
    [
        Endless(OK + b"\r\n"),
        Endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n"),
        Endless(OK + b"Content-Length: 1000000000000000000\r\n\r\n"),
        Raw(OK + b"Content-Length: 1048577\r\n\r\n" + b" " * 1048577),
    ],
    ids=["until the end", "chunked", "10^18 bytes", "one byte more"],
)
def test_answer_above_size_limit_names_the_limit(
    api: ApiClient, server: ScriptedServer, answer: Endless | Raw
) -> None:
    server.script(answer, REPOSITORY_ANSWER)
    with pytest.raises(InvalidAnswerError, match=r"1048576 bytes \(Configuration\.max_answer_size"):
        RepositoriesApi(api).get_repository("repo")
    server.wait_for(lambda s: s.open_connections == 0)
    assert RepositoriesApi(api).get_repository("repo").id == "repo"


def test_answer_at_size_limit_is_read(api: ApiClient, server: ScriptedServer) -> None:
    body = json.dumps(REPOSITORY).encode().ljust(MEBI)
    server.script(Answer(body=body), Raw(OK + b"\r\n" + body))
    for _ in range(2):
        assert RepositoriesApi(api).get_repository("repo").id == "repo"


def test_size_limit_applies_to_decompressed_answer(api: ApiClient, server: ScriptedServer) -> None:
    bomb = gzip.compress(b" " * (64 * MEBI))
    fits = gzip.compress(json.dumps(REPOSITORY).encode().ljust(MEBI))
    coded = {"Content-Encoding": "gzip"}
    server.script(Answer(body=bomb, headers=coded), Answer(body=fits, headers=coded))
    with pytest.raises(InvalidAnswerError, match="max_answer_size"):
        RepositoriesApi(api).get_repository("repo")
    assert RepositoriesApi(api).get_repository("repo").id == "repo"


def test_chained_content_codings_are_rejected(api: ApiClient, server: ScriptedServer) -> None:
    body = gzip.compress(gzip.compress(b"{}"))
    server.script(Answer(body=body, headers={"Content-Encoding": "gzip, gzip"}))
    with pytest.raises(ApiConnectionError, match="more than one content coding"):
        RepositoriesApi(api).get_repository("repo")


@pytest.mark.parametrize(
    "length", ["-5", "x", "1.5", "9" * 5000, "0x10"], ids=lambda length: length[:5]
)
def test_invalid_content_length_is_a_connection_error(
    api: ApiClient, server: ScriptedServer, length: str
) -> None:
    server.script(Raw(OK + f"Content-Length: {length}\r\n\r\n".encode() + b"{}"))
    with pytest.raises(ApiConnectionError, match="Content-Length"):
        RepositoriesApi(api).get_repository("repo")


@pytest.mark.parametrize("size", ["-5", "-1", "x", "", "f" * 20])
@pytest.mark.parametrize("download", [False, True])
def test_invalid_chunk_size_is_a_connection_error(
    api: ApiClient, server: ScriptedServer, size: str, download: bool
) -> None:
    server.script(Raw(chunk(size)))
    ask = ObjectsApi(api).get_object if download else RepositoriesApi(api).get_repository
    arguments = ("repo", "main", "p") if download else ("repo",)
    with pytest.raises(ApiConnectionError, match="the connection broke"):
        ask(*arguments)


@pytest.mark.parametrize(
    "answer",
    [
        Endless(NOT_FOUND + b"\r\n"),
        Endless(NOT_FOUND + b"Content-Length: 1000000000000000000\r\n\r\n"),
        Answer(404, gzip.compress(b"x" * 64 * MEBI), {"Content-Encoding": "gzip"}),
    ],
    ids=["until the end", "10^18 bytes", "compressed"],
)
@pytest.mark.parametrize("preload", [False, True])
def test_error_body_is_truncated_at_its_limit(
    api: ApiClient, server: ScriptedServer, answer: Endless | Answer, preload: bool
) -> None:
    api.configuration.max_error_size = 1000
    server.script(answer)
    with pytest.raises(NotFoundException) as caught:
        ObjectsApi(api).get_object("repo", "main", "p", _preload_content=preload)
    note = " (cut off after 1000 bytes: Configuration.max_error_size)"
    assert caught.value.body == "x" * 1000 + note
    if isinstance(answer, Endless):
        server.wait_for(lambda s: s.open_connections == 0)


def test_endless_trailers_are_a_connection_error(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Endless(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n" * 100))
    with pytest.raises(ApiConnectionError, match="more than 100 header lines"):
        RepositoriesApi(api).get_repository("repo")


def test_endless_headers_are_a_connection_error(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Endless(OK, b"A: b\r\n" * 100))
    with pytest.raises(ApiConnectionError, match="got more than 100 headers"):
        RepositoriesApi(api).get_repository("repo")


# Deadlines


SLOW = {
    "status line": Endless(b"", b"H", 0.05),
    "headers": Endless(OK + b"A: ", b"x", 0.05),
    "body": Endless(OK + b"Content-Length: 1000\r\n\r\n", b" ", 0.05),
    "chunks": Endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", 0.05),
    "interim answers": Endless(b"", b"HTTP/1.1 102 Processing\r\n\r\n", 0.3),
}


@pytest.mark.parametrize("part", SLOW)
def test_total_timeout_aborts_slow_answer(
    api: ApiClient, server: ScriptedServer, part: str
) -> None:
    server.script(SLOW[part])
    with pytest.raises(ApiTimeoutError, match=r"not finished within 0\.5 s \(_request_timeout\)"):
        RepositoriesApi(api).get_repository("repo", _request_timeout=0.5)


def test_total_timeout_aborts_slow_download(api: ApiClient, server: ScriptedServer) -> None:
    server.script(SLOW["body"])
    with pytest.raises(ApiTimeoutError, match=r"not finished within 0\.5 s"):
        ObjectsApi(api).get_object("repo", "main", "p", _request_timeout=0.5)


def test_retry_policy_deadline_aborts_an_attempt(api: ApiClient, server: ScriptedServer) -> None:
    api.configuration.retries = RetryPolicy(attempts=5, deadline=0.5)
    server.script(SLOW["body"])
    with pytest.raises(ApiTimeoutError, match=r"0\.5 s \(RetryPolicy\.deadline\)") as caught:
        CommitsApi(api).commit("repo", "main", CommitCreation("m"))
    assert "the operation may have happened" in str(caught.value)
    assert caught.value.sent


def test_deadline_excludes_body_of_streamed_answer(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Endless(OK + b"Content-Length: 12\r\n\r\n", b"x", 0.1))
    response = ObjectsApi(api).get_object(
        "repo", "main", "p", _request_timeout=0.5, _preload_content=False
    )
    assert response.read() == b"x" * 12


def test_timeout_pair_has_no_total_limit(api: ApiClient, server: ScriptedServer) -> None:
    body = json.dumps(REPOSITORY).encode()
    slow = Endless(OK + b"Content-Length: %d\r\n\r\n" % (len(body) + 20) + body, b" ", 0.05)
    server.script(slow)
    found = RepositoriesApi(api).get_repository("repo", _request_timeout=(0.5, 0.5))
    assert found.id == "repo"


def test_protocol_switch_is_an_api_exception(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"))
    with pytest.raises(ApiException, match="switches to another protocol"):
        RepositoriesApi(api).get_repository("repo")
