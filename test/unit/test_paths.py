"""Escaping of path and query arguments; invalid arguments are not sent."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scripted import Answer, ScriptedServer

from lakefs_client import ApiClient, ApiValueError, Configuration
from lakefs_client.apis import BranchesApi, ExperimentalApi, ObjectsApi, RefsApi, RepositoriesApi
from lakefs_client.exceptions import InvalidAnswerError
from lakefs_client.models import AbortPresignMultipartUpload

RESERVED = ":/?#[]@!$&'()*+,;= \"<>%\\^`{|}"


@pytest.fixture(scope="module", params=["direct", "through a proxy"])
def any_server(request: pytest.FixtureRequest) -> Iterator[tuple[ScriptedServer, ApiClient]]:
    """Provide a server that answers every request, and a client of that server."""
    with ScriptedServer(otherwise=Answer(204)) as server:
        configuration = Configuration(server.url)
        if request.param != "direct":
            configuration.host, configuration.proxy = "http://lakefs.invalid", server.url
        with ApiClient(configuration) as client:
            yield server, client


def path_of(server: ScriptedServer) -> list[str]:
    target = server.requests[-1].path
    if target.startswith("http://"):
        target = target.removeprefix("http://lakefs.invalid")
    return [unquote(segment, errors="strict") for segment in target.split("/")]


@pytest.mark.parametrize("value", ["", ".", ".."])
@pytest.mark.parametrize(
    "call",
    [
        lambda a, v: RepositoriesApi(a).get_repository(v),
        lambda a, v: BranchesApi(a).get_branch("repo", v),
        lambda a, v: BranchesApi(a).delete_branch(v, "main"),
        lambda a, v: RefsApi(a).diff_refs("repo", "main", v),
        lambda a, v: ExperimentalApi(a).abort_presign_multipart_upload(
            "repo", "main", v, "path", abort_presign_multipart_upload=BODY
        ),
    ],
)
def test_dot_segments_are_rejected(
    api: ApiClient, server: ScriptedServer, call: Any, value: str
) -> None:
    with pytest.raises(ApiValueError, match=r"must not be empty, '\.' or '\.\.'"):
        call(api, value)
    assert server.connections == 0


BODY = AbortPresignMultipartUpload("mem://x")


def test_reserved_characters_are_escaped(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(204))
    RepositoriesApi(api).delete_repository(RESERVED)
    escaped = "".join(f"%{ord(c):02X}" for c in RESERVED)
    assert server.requests[0].target == f"/api/v1/repositories/{escaped}"


@pytest.mark.parametrize("name", ["a-b_c.d~e", "...", ".a", "a.", "é", "日本", "a%2Fb", "a/../b"])
def test_name_arrives_unchanged(any_server: tuple[ScriptedServer, ApiClient], name: str) -> None:
    server, client = any_server
    BranchesApi(client).delete_branch("repo", name)
    assert path_of(server) == ["", "api", "v1", "repositories", "repo", "branches", name]


def test_safe_chars_for_path_param_keeps_slashes(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(204))
    api.configuration.safe_chars_for_path_param = "/"
    BranchesApi(api).delete_branch("repo", "a/b c")
    assert server.requests[0].path == "/api/v1/repositories/repo/branches/a/b%20c"
    for value in ("a/../b", "a//b", "/a", "a/."):
        with pytest.raises(ApiValueError):
            BranchesApi(api).delete_branch("repo", value)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda a: BranchesApi(a).delete_branch("repo", "a\udc80"),
        lambda a: ObjectsApi(a).delete_object("repo", "main", "a\udc80"),
        lambda a: ObjectsApi(a).get_object("repo", "main", "a", if_none_match="a\udc80"),
    ],
)
def test_lone_surrogates_are_rejected(api: ApiClient, server: ScriptedServer, call: Any) -> None:
    with pytest.raises(ApiValueError):
        call(api)
    assert server.connections == 0


text = st.text(st.characters(exclude_categories=["Cs"]))
segments = text.filter(lambda value: value not in ("", ".", ".."))


def test_arbitrary_path_arguments_arrive_unchanged(
    any_server: tuple[ScriptedServer, ApiClient],
) -> None:
    server, client = any_server

    @given(segments, segments)
    def arrives(repository: str, branch: str) -> None:
        BranchesApi(client).delete_branch(repository, branch)
        assert path_of(server)[3:] == ["repositories", repository, "branches", branch]

    arrives()


def test_arbitrary_query_arguments_arrive_unchanged(
    any_server: tuple[ScriptedServer, ApiClient],
) -> None:
    server, client = any_server

    @given(text, st.lists(text))
    def arrives(after: str, prefixes: list[str]) -> None:
        with contextlib.suppress(InvalidAnswerError):  # the answer is empty
            RefsApi(client).log_commits("repo", "main", after=after, prefixes=prefixes)
        arrived = parse_qsl(server.requests[-1].query, keep_blank_values=True, strict_parsing=True)
        assert arrived == [("after", after), *(("prefixes", prefix) for prefix in prefixes)]

    arrives()
