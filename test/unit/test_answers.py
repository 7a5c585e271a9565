"""Invalid answers: errors name the status and the location, and hide secrets."""

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
    ("body", "headers", "message"),
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
def test_answer_other_than_expected_model_is_rejected(
    server: ScriptedServer, api: ApiClient, body: bytes, headers: dict[str, str], message: str
) -> None:
    server.script(Answer(body=body, headers=headers))
    with pytest.raises(InvalidAnswerError) as caught:
        RepositoriesApi(api).get_repository("r")
    error = caught.value
    assert message in str(error)
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
def test_type_error_names_the_path(
    server: ScriptedServer, api: ApiClient, change: dict[str, object], place: str
) -> None:
    server.script(Answer(json={**PAGE, "results": [OBJECT], **change}))
    with pytest.raises(InvalidAnswerError) as caught:
        ObjectsApi(api).list_objects("r", "main")
    assert f"['received_data']{place}" in str(caught.value)


def test_missing_property_is_named(server: ScriptedServer, api: ApiClient) -> None:
    server.script(Answer(json={"id": "r"}))
    with pytest.raises(ApiException, match="lacks the required property 'creation_date'"):
        RepositoriesApi(api).get_repository("r")


def test_error_message_hides_values(server: ScriptedServer, api: ApiClient) -> None:
    server.script(Answer(json={"token": ["very-secret"]}))
    with pytest.raises(InvalidAnswerError) as caught:
        AuthApi(api).login(login_information=LoginInformation("a", "b"))
    assert "very-secret" not in str(caught.value) + repr(caught.value)


def test_truncated_answer_is_a_connection_error(server: ScriptedServer, api: ApiClient) -> None:
    api.configuration.retries = False
    server.script(Answer(body=json.dumps(REPOSITORY).encode(), cut=20, then="close"))
    with pytest.raises(ApiConnectionError, match="broke"):
        RepositoriesApi(api).get_repository("r")


def test_status_204_is_none_only_if_documented(server: ScriptedServer, api: ApiClient) -> None:
    server.script(Answer(204), Answer(204), Answer(204))
    update = UpdateObjectUserMetadata(set=ObjectUserMetadata(a="b"))
    result = ExperimentalApi(api).update_object_user_metadata("r", "main", "p", update)
    assert result is None
    with pytest.raises(InvalidAnswerError, match=r"get_repository: .*\(status 204\)"):
        RepositoriesApi(api).get_repository("r")
    assert api.call_api("/x", "GET", response_type=(Repository,))[0] is None


def test_health_check_ignores_the_body(server: ScriptedServer, api: ApiClient) -> None:
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
def test_string_answer_is_decoded(
    server: ScriptedServer, api: ApiClient, body: bytes, content_type: str, text: str
) -> None:
    server.script(Answer(201, body, headers={"Content-Type": content_type}))
    assert BranchesApi(api).create_branch("r", BranchCreation("b", "main")) == text


def test_json_is_decoded_by_its_charset(server: ScriptedServer, api: ApiClient) -> None:
    body = json.dumps({**REPOSITORY, "id": "é"}, ensure_ascii=False).encode("latin-1")
    headers = {"Content-Type": "application/json; charset=latin-1"}
    server.script(Answer(body=body, headers=headers))
    assert RepositoriesApi(api).get_repository("r").id == "é"


@given(body=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_arbitrary_bytes_raise_only_invalid_answer_error(body: bytes) -> None:
    class Response:
        status, reason, data = 200, "OK", body

    client = ApiClient(Configuration())
    try:
        client.deserialize(Response, (list,))
    except InvalidAnswerError:
        pass


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "1.0", "9" * 5000])
def test_number_other_than_int_is_rejected(
    server: ScriptedServer, api: ApiClient, number: str
) -> None:
    body = json.dumps({**REPOSITORY, "creation_date": 0}).replace(": 0", f": {number}")
    server.script(Answer(body=body.encode(), headers=JSON))
    with pytest.raises(InvalidAnswerError):
        RepositoriesApi(api).get_repository("r")


def test_deeply_nested_unknown_property_round_trips(server: ScriptedServer, api: ApiClient) -> None:
    body = json.dumps({**REPOSITORY, "new": 0}).replace(": 0", ": " + "[" * 200 + "]" * 200)
    server.script(Answer(body=body.encode(), headers=JSON))
    repository = RepositoriesApi(api).get_repository("r")
    assert repr(repository).count("[") == 200
    assert ApiClient.sanitize_for_serialization(repository) == json.loads(body)
