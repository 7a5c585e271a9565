"""Answers that make no sense: a clear error with the status and the place, and no secret."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scripted import Answer, ScriptedServer

from lakefs_client import ApiClient, ApiException, ApiTypeError, Configuration
from lakefs_client.apis import (
    AuthApi,
    BranchesApi,
    ExperimentalApi,
    HealthCheckApi,
    ObjectsApi,
    RepositoriesApi,
)
from lakefs_client.exceptions import ApiConnectionError, InvalidAnswerError
from lakefs_client.models import (
    BranchCreation,
    LoginInformation,
    ObjectUserMetadata,
    Repository,
    UpdateObjectUserMetadata,
)

REPOSITORY = {
    "id": "r", "creation_date": 1, "default_branch": "main", "storage_namespace": "s3://b/r"
}  # fmt: skip
JSON = {"Content-Type": "application/json"}
PAGE = {"pagination": {"has_more": False, "next_offset": "", "results": 1, "max_per_page": 1000}}
OBJECT = {
    "path": "p", "path_type": "object", "physical_address": "s3://b/p", "checksum": "c", "mtime": 1
}  # fmt: skip


@pytest.mark.parametrize(
    ("body", "headers", "says"),
    [
        (b"", JSON, "an empty body"),
        (b"<html>Sign in</html>", {"Content-Type": "text/html"}, "20 bytes of text/html"),
        (b'{"id": "r"', JSON, "expected JSON, got"),
        (b'{"id": "\xff\xfe"}', JSON, "expected JSON, got"),
        (b"\x00" * 9, JSON, "expected JSON, got"),
        (b"[]", JSON, "Required value type is Repository and passed type was list"),
        (b"null", JSON, "passed type was NoneType"),
        (b"12", JSON, "passed type was int"),
        (b"[" * 100_000, JSON, "expected JSON, got"),
        (b"{}", {"Content-Type": "application/json; charset=no-such"}, "expected JSON, got"),
    ],
)
def test_no_json_where_a_model_is_due(
    server: ScriptedServer, api: ApiClient, body: bytes, headers: dict[str, str], says: str
) -> None:
    server.script(Answer(body=body, headers=headers))
    with pytest.raises(InvalidAnswerError) as caught:
        RepositoriesApi(api).get_repository("r")
    error = caught.value
    assert says in str(error)
    assert "get_repository" in str(error)
    assert "200" in str(error)
    assert error.status == 200
    assert isinstance(error, ApiException)
    assert isinstance(error, ApiTypeError)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"results": [OBJECT, {**OBJECT, "mtime": "x"}]}, "['results'][1]['mtime']"),
        ({"results": [{**OBJECT, "size_bytes": 1.5}]}, "['results'][0]['size_bytes']"),
        ({"results": [{**OBJECT, "size_bytes": True}]}, "['results'][0]['size_bytes']"),
        ({"results": [{**OBJECT, "metadata": {"k": 1}}]}, "['results'][0]['metadata']['k']"),
        ({"results": [{**OBJECT, "path": None}]}, "['results'][0]['path']"),
        ({"results": {}}, "['results']"),
        ({"pagination": []}, "['pagination']"),
    ],
)
def test_a_wrong_type_is_named_by_its_place(
    server: ScriptedServer, api: ApiClient, change: dict[str, object], place: str
) -> None:
    server.script(Answer(json={**PAGE, "results": [OBJECT], **change}))
    with pytest.raises(InvalidAnswerError) as caught:
        ObjectsApi(api).list_objects("r", "main")
    assert f"['received_data']{place}" in str(caught.value)


def test_a_missing_property_is_named(server: ScriptedServer, api: ApiClient) -> None:
    server.script(Answer(json={"id": "r"}))
    with pytest.raises(ApiException, match="lacks the required property 'creation_date'"):
        RepositoriesApi(api).get_repository("r")


def test_the_message_holds_no_value(server: ScriptedServer, api: ApiClient) -> None:
    server.script(Answer(json={"token": ["very-secret"]}))
    with pytest.raises(InvalidAnswerError) as caught:
        AuthApi(api).login(login_information=LoginInformation("a", "b"))
    assert "very-secret" not in str(caught.value) + repr(caught.value)


def test_a_truncated_answer_is_a_broken_connection(server: ScriptedServer, api: ApiClient) -> None:
    api.configuration.retries = False
    server.script(Answer(body=json.dumps(REPOSITORY).encode(), cut=20, then="close"))
    with pytest.raises(ApiConnectionError, match="broke"):
        RepositoriesApi(api).get_repository("r")


def test_no_content_is_none_if_it_is_documented_and_an_error_otherwise(
    server: ScriptedServer, api: ApiClient
) -> None:
    server.script(Answer(204), Answer(204), Answer(204))
    update = UpdateObjectUserMetadata(set=ObjectUserMetadata(a="b"))
    result = ExperimentalApi(api).update_object_user_metadata("r", "main", "p", update)
    assert result is None
    with pytest.raises(InvalidAnswerError, match=r"get_repository: .*\(status 204\)"):
        RepositoriesApi(api).get_repository("r")
    assert api.call_api("/x", "GET", response_type=(Repository,))[0] is None


def test_a_body_that_does_not_matter(server: ScriptedServer, api: ApiClient) -> None:
    server.script(Answer(200, b"<html>whatever"), Answer(204))
    assert HealthCheckApi(api).health_check() is None
    assert HealthCheckApi(api).health_check() is None


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        (b"abc123", "text/html", "abc123"),
        (b"1234", "text/plain; charset=utf-8", "1234"),
        (b'"abc"', "application/json", "abc"),
        ("é".encode("latin-1"), "text/plain; charset=ISO-8859-1", "é"),
        (b"", "text/html", ""),
    ],
)
def test_text(
    server: ScriptedServer, api: ApiClient, body: bytes, content_type: str, text: str
) -> None:
    server.script(Answer(201, body, headers={"Content-Type": content_type}))
    assert BranchesApi(api).create_branch("r", BranchCreation("b", "main")) == text


def test_a_charset_of_json(server: ScriptedServer, api: ApiClient) -> None:
    body = json.dumps({**REPOSITORY, "id": "é"}, ensure_ascii=False).encode("latin-1")
    headers = {"Content-Type": "application/json; charset=latin-1"}
    server.script(Answer(body=body, headers=headers))
    assert RepositoriesApi(api).get_repository("r").id == "é"


@given(body=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_whatever_comes_is_a_result_or_one_kind_of_error(body: bytes) -> None:
    class Given:
        status, reason, data = 200, "OK", body

    client = ApiClient(Configuration())
    try:
        client.deserialize(Given, (list,))
    except InvalidAnswerError:
        pass


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "1.0", "9" * 5000])
def test_numbers_that_are_no_int(server: ScriptedServer, api: ApiClient, number: str) -> None:
    body = json.dumps({**REPOSITORY, "creation_date": 0}).replace(": 0", f": {number}")
    server.script(Answer(body=body.encode(), headers=JSON))
    with pytest.raises(InvalidAnswerError):
        RepositoriesApi(api).get_repository("r")


def test_an_endless_depth_of_what_is_unknown(server: ScriptedServer, api: ApiClient) -> None:
    body = json.dumps({**REPOSITORY, "new": 0}).replace(": 0", ": " + "[" * 200 + "]" * 200)
    server.script(Answer(body=body.encode(), headers=JSON))
    repository = RepositoriesApi(api).get_repository("r")
    assert repr(repository).count("[") == 200
    assert ApiClient.sanitize_for_serialization(repository) == json.loads(body)
