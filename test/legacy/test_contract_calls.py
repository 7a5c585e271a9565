"""Arguments, bodies, answers and call options that code written for 1.44 relies on."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from support.scripted import Answer, Received, ScriptedServer

from lakefs_client import ApiClient, ApiTypeError, ApiValueError, Configuration, apis, models
from lakefs_client.exceptions import NotFoundException
from lakefs_client.sandbox import Sandbox

from .conftest import PAGINATION, REF, REPOSITORIES, STATS

COMMIT = {
    "id": "c1",
    "parents": [],
    "committer": "me",
    "message": "m",
    "creation_date": 1,
    "meta_range_id": "r",
}


# Requests


@pytest.mark.parametrize(
    ("argument", "segment"),
    [
        ("a/b", "a%2Fb"),
        ("a b", "a%20b"),
        ("a?b#c", "a%3Fb%23c"),
        ("50%", "50%25"),
        ("a+b&c=d;e:f@g", "a%2Bb%26c%3Dd%3Be%3Af%40g"),
        ("main~1", "main~1"),
        ("ä", "%C3%A4"),
    ],
)
def test_path_argument_is_percent_encoded(
    wire: ApiClient, server: ScriptedServer, argument: str, segment: str
) -> None:
    server.script(Answer(json=REF))
    apis.BranchesApi(wire).get_branch("repo", argument)
    assert server.requests[0].path == f"/api/v1/repositories/repo/branches/{segment}"


@pytest.mark.parametrize(
    ("call", "query"),
    [
        (lambda c: apis.ObjectsApi(c).list_objects("r", "m", presign=True), "presign=true"),
        (lambda c: apis.ObjectsApi(c).list_objects("r", "m", presign=False), "presign=false"),
        (lambda c: apis.ObjectsApi(c).list_objects("r", "m", prefix="a b"), "prefix=a+b"),
        (lambda c: apis.ObjectsApi(c).list_objects("r", "m", delimiter=""), "delimiter="),
        (lambda c: apis.ObjectsApi(c).list_objects("r", "m", delimiter="/"), "delimiter=%2F"),
        (lambda c: apis.ObjectsApi(c).list_objects("r", "m", amount=7), "amount=7"),
        (lambda c: apis.ObjectsApi(c).list_objects("r", "m"), ""),
        (
            lambda c: apis.RefsApi(c).log_commits("r", "m", objects=["a", "b"], prefixes=["c/"]),
            "objects=a&objects=b&prefixes=c%2F",
        ),
    ],
)
def test_query_encodes_booleans_spaces_and_lists(
    wire: ApiClient, server: ScriptedServer, call: Callable[[ApiClient], object], query: str
) -> None:
    server.script(Answer(json={"pagination": PAGINATION, "results": []}))
    call(wire)
    assert server.requests[0].query == query


def test_call_api_returns_data_status_and_headers(wire: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(json=REF, headers={"X-Request-Id": "7"}))
    data, status, headers = wire.call_api(
        "/repositories/{repository}/branches/{branch}",
        "GET",
        {"repository": "repo", "branch": "a/b"},
        [("x", "1"), ("x", "2")],
        {"X-Own": "yes"},
        response_type=(models.Ref,),
        auth_settings=["basic_auth"],
    )
    assert data == models.Ref("main", "c1")
    assert status == 200
    assert headers["x-request-id"] == "7"
    request = server.requests[0]
    assert request.target == "/api/v1/repositories/repo/branches/a%2Fb?x=1&x=2"
    assert request.headers["x-own"] == "yes"
    assert request.headers["authorization"].startswith("Basic ")


def test_call_api_returns_data_only_on_request(wire: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(201, json=REF))
    body = models.BranchCreation("dev", "main")
    found = wire.call_api(
        "/x", "POST", body=body, response_type=(models.Ref,), _return_http_data_only=True
    )
    assert found == models.Ref("main", "c1")
    assert json.loads(server.requests[0].body) == {"name": "dev", "source": "main"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (1.5, 1.5),
        ("a", "a"),
        (date(2024, 2, 29), "2024-02-29"),
        (datetime(2024, 2, 29, 1, 2, 3, tzinfo=timezone.utc), "2024-02-29T01:02:03+00:00"),
        ((1, "a"), [1, "a"]),
        ({"a": (date(2024, 2, 29),)}, {"a": ["2024-02-29"]}),
        (models.LoginConfig("u", ["c"], "o", rbac="none"), {
            "login_url": "u", "login_cookie_names": ["c"], "logout_url": "o", "RBAC": "none",
        }),
        ([models.Ref("main", "c1")], [REF]),
    ],
)  # fmt: skip
def test_sanitize_serialises_primitives_dates_and_models(value: Any, expected: Any) -> None:
    assert ApiClient.sanitize_for_serialization(value) == expected


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, object()], ids=["bytes", "set", "object"])
def test_sanitize_rejects_values_without_json_form(value: object) -> None:
    with pytest.raises(ApiValueError):
        ApiClient.sanitize_for_serialization({"a": [value]})


# Answers


class Response:
    """A response, as `deserialize` takes it."""

    def __init__(self, value: object) -> None:
        self.data = json.dumps(value)
        self.status = 200
        self.reason = "OK"
        self.headers = {"Content-Type": "application/json"}


def test_int_is_accepted_as_float(wire: ApiClient) -> None:
    assert wire.deserialize(Response(1), (float,)) == 1


@pytest.mark.parametrize(
    ("found", "wanted"),
    [(1.5, int), (True, int), ("1", int), (1, bool), (None, int), ([], models.Ref), ({}, list)],
)
def test_deserialize_rejects_other_types(wire: ApiClient, found: object, wanted: type) -> None:
    with pytest.raises(ApiTypeError):
        wire.deserialize(Response(found), (wanted,))


def test_answer_type_error_has_path_to_item(wire: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(json={"pagination": PAGINATION, "results": [REF, {**REF, "id": 7}]}))
    with pytest.raises(ApiTypeError) as caught:
        apis.BranchesApi(wire).list_branches("repo")
    assert caught.value.path_to_item is not None
    assert [*caught.value.path_to_item][-3:] == ["results", 1, "id"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-02-29T01:02:03Z", datetime(2024, 2, 29, 1, 2, 3, tzinfo=timezone.utc)),
        (
            "2024-02-29T01:02:03.5+02:00",
            datetime(2024, 2, 29, 1, 2, 3, 500_000, timezone(timedelta(hours=2))),
        ),
        ("2024-02-29 01:02:03", datetime(2024, 2, 29, 1, 2, 3)),
    ],
)
def test_datetime_is_parsed_by_dateutil(wire: ApiClient, text: str, expected: datetime) -> None:
    assert wire.deserialize(Response(text), (datetime,)) == expected


@pytest.mark.parametrize("status", [200, 201, 202, 206, 299])
def test_return_type_applies_to_every_2xx_status(
    wire: ApiClient, server: ScriptedServer, status: int
) -> None:
    server.script(Answer(status, json=REF))
    assert apis.BranchesApi(wire).get_branch("repo", "main") == models.Ref("main", "c1")


def test_json_is_decoded_by_its_charset(wire: ApiClient, server: ScriptedServer) -> None:
    body = json.dumps({"id": "grün", "commit_id": "c"}, ensure_ascii=False).encode("latin-1")
    server.script(Answer(body=body, headers={"Content-Type": "application/json; charset=latin-1"}))
    assert apis.BranchesApi(wire).get_branch("repo", "x").id == "grün"


@pytest.mark.parametrize("content_type", ["text/html", "text/plain; charset=utf-8", None])
def test_string_answer_accepts_any_content_type(
    wire: ApiClient, server: ScriptedServer, content_type: str | None
) -> None:
    server.script(Answer(201, b"c1", {"Content-Type": content_type}))
    created = apis.BranchesApi(wire).create_branch("repo", models.BranchCreation("dev", "main"))
    assert created == "c1"


def test_get_follows_redirect(wire: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(302, headers={"Location": "/elsewhere"}), Answer(json=REF))
    assert apis.BranchesApi(wire).get_branch("repo", "main").commit_id == "c1"
    assert [r.path for r in server.requests][1] == "/elsewhere"


def test_download_returns_open_seekable_binary_file(
    wire: ApiClient, server: ScriptedServer
) -> None:
    server.script(Answer(body=b"one\ntwo\nthree"))
    file = apis.ObjectsApi(wire).get_object("repo", "main", "a")
    assert file.read(3) == b"one"
    file.seek(0)
    assert [*file] == [b"one\n", b"two\n", b"three"]
    assert file.seekable()
    assert not file.closed
    file.close()


class NamedBytesIO(io.BytesIO):
    """A BytesIO with a name, as earlier releases required."""

    name = "data.bin"


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: (folder / "data.bin").open("wb+"),
        lambda folder: io.BytesIO(),
        lambda folder: NamedBytesIO(),
        lambda folder: tempfile.NamedTemporaryFile(),  # noqa: SIM115
        lambda folder: tempfile.SpooledTemporaryFile(),  # noqa: SIM115
    ],
    ids=["open file", "nameless BytesIO", "named BytesIO", "temporary file", "spooled file"],
)
@pytest.mark.parametrize("offset", [0, 4])
def test_upload_reads_open_file_from_its_offset(
    client: ApiClient,
    sandbox: Sandbox,
    tmp_path: Path,
    make: Callable[[Path], Any],
    offset: int,
) -> None:
    apis.RepositoriesApi(client).create_repository(
        models.RepositoryCreation("repo", f"{sandbox.storage_namespace}repo")
    )
    api = apis.ObjectsApi(client)
    with make(tmp_path) as content:
        content.write(b"0123456789")
        content.seek(offset)
        stats = api.upload_object("repo", "main", "a", content=content)
        assert not content.closed
    assert stats.size_bytes == 10 - offset
    with api.get_object("repo", "main", "a") as file:
        assert file.read() == b"0123456789"[offset:]


def test_upload_rejects_str(wire: ApiClient, server: ScriptedServer) -> None:
    content: Any = "text"
    with pytest.raises(ApiTypeError, match="content"):
        apis.ObjectsApi(wire).upload_object("repo", "main", "a", content=content)
    assert server.requests == []


# Method arguments


def branch_of(request: Received) -> str:
    return request.path.rpartition("/")[2]


def test_required_arguments_are_positional_or_keyword(
    wire: ApiClient, server: ScriptedServer
) -> None:
    server.script(*[Answer(json=REF)] * 3)
    api = apis.BranchesApi(wire)
    api.get_branch("repo", "a")
    api.get_branch("repo", branch="b")
    api.get_branch(branch="c", repository="repo")
    assert [branch_of(request) for request in server.requests] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("async_req", False),
        ("_return_http_data_only", True),
        ("_preload_content", True),
        ("_request_timeout", 60),
        ("_request_timeout", (60, 60.5)),
        ("_request_timeout", None),
        ("_check_input_type", True),
        ("_check_return_type", True),
        ("_host_index", None),
    ],
)
def test_method_accepts_call_option(
    wire: ApiClient, server: ScriptedServer, option: str, value: object
) -> None:
    server.script(Answer(json=REF))
    given: dict[str, Any] = {option: value}
    assert apis.BranchesApi(wire).get_branch("repo", "main", **given).id == "main"


def test_return_http_data_only_false_adds_status_and_headers(
    wire: ApiClient, server: ScriptedServer
) -> None:
    server.script(Answer(201, json=REF, headers={"X-Request-Id": "7"}))
    api: Any = apis.BranchesApi(wire)
    data, status, headers = api.get_branch("repo", "main", _return_http_data_only=False)
    assert (data.id, status, headers["x-request-id"]) == ("main", 201, "7")


def test_check_return_type_false_skips_answer_checks(
    wire: ApiClient, server: ScriptedServer
) -> None:
    server.script(Answer(json={**REF, "id": 7}))
    found: Any = apis.BranchesApi(wire).get_branch("repo", "main", _check_return_type=False)
    assert found.id == 7


def test_unknown_host_index_is_rejected() -> None:
    with ApiClient(Configuration(host="http://elsewhere.invalid")) as client:
        client.configuration.retries = False
        api = apis.BranchesApi(client)
        with pytest.raises(ApiValueError, match="index"):
            api.get_branch("repo", "main", _host_index=7)


def test_method_has_an_endpoint(wire: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(json=REF))
    api: Any = apis.BranchesApi(wire)
    endpoint = api.get_branch_endpoint
    assert endpoint.settings["endpoint_path"] == "/repositories/{repository}/branches/{branch}"
    assert endpoint.settings["http_method"] == "GET"
    assert endpoint.settings["response_type"] == (models.Ref,)
    assert endpoint.params_map["required"] == ["repository", "branch"]
    assert endpoint.location_map == {"repository": "path", "branch": "path"}
    assert endpoint.call_with_http_info(repository="repo", branch="main").id == "main"


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        (("repo",), {}),
        ((), {"branch": "main"}),
        (("repo", "main", "more"), {}),
        (("repo", "main"), {"branch": "main"}),
    ],
    ids=["missing", "missing the first", "extra", "twice"],
)
def test_missing_or_surplus_arguments_raise_type_error(
    wire: ApiClient, args: tuple[str, ...], kwargs: dict[str, Any]
) -> None:
    with pytest.raises(TypeError):
        apis.BranchesApi(wire).get_branch(*args, **kwargs)


def test_unknown_keyword_argument_is_named(wire: ApiClient) -> None:
    unknown: dict[str, Any] = {"foo": 1}
    with pytest.raises(ApiTypeError) as caught:
        apis.RepositoriesApi(wire).list_repositories(**unknown)
    assert "Got an unexpected parameter 'foo' to method `list_repositories`" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "name"),
    [(True, "bool"), ("10", "str"), (1.5, "float"), ([], "list")],
)
def test_argument_type_error_names_type_and_path(wire: ApiClient, value: Any, name: str) -> None:
    with pytest.raises(ApiTypeError) as caught:
        apis.RepositoriesApi(wire).list_repositories(amount=value)
    assert str(caught.value) == (
        "Invalid type for variable 'amount'. Required value type is int and passed type was "
        f"{name} at ['amount']"
    )
    assert caught.value.path_to_item == ["amount"]
    assert caught.value.valid_classes == (int,)
    assert caught.value.key_type is False


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-2, "Invalid value for `amount`, must be a value greater than or equal to `-1`"),
        (1001, "Invalid value for `amount`, must be a value less than or equal to `1000`"),
    ],
)
def test_amount_outside_its_limits_is_rejected(wire: ApiClient, value: int, message: str) -> None:
    with pytest.raises(ApiValueError) as caught:
        apis.RepositoriesApi(wire).list_repositories(amount=value)
    assert str(caught.value) == message


@pytest.mark.parametrize("value", [-1, 0, 1000])
def test_amount_at_its_limits_is_sent(wire: ApiClient, server: ScriptedServer, value: int) -> None:
    server.script(Answer(json=REPOSITORIES))
    apis.RepositoriesApi(wire).list_repositories(amount=value)
    assert server.requests[0].query == f"amount={value}"


def test_value_outside_enum_is_rejected(wire: ApiClient) -> None:
    status: Any = "bad"
    with pytest.raises(ApiValueError) as caught:
        apis.PullsApi(wire).list_pull_requests("repo", status=status)
    assert str(caught.value) == (
        "Invalid value for `status` (bad), must be one of ['open', 'closed', 'all']"
    )


@pytest.mark.parametrize("form", ["model", "dict"])
def test_value_violating_pattern_is_rejected(wire: ApiClient, form: str) -> None:
    def body() -> Any:
        values = {"name": "Bad Name", "storage_namespace": "s3://lake/x"}
        return models.RepositoryCreation(**values) if form == "model" else values

    with pytest.raises(
        ApiValueError, match=r"Invalid value for `name`, must match regular expression"
    ):
        apis.RepositoriesApi(wire).create_repository(body())


def test_invalid_arguments_raise_before_sending(wire: ApiClient, server: ScriptedServer) -> None:
    wrong: list[dict[str, Any]] = [{"amount": "1"}, {"amount": -2}, {"foo": 1}]
    for arguments in wrong:
        with pytest.raises((ApiTypeError, ApiValueError)):
            apis.RepositoriesApi(wire).list_repositories(**arguments)
    assert server.requests == []
    assert server.connections == 0


def test_preload_content_false_returns_raw_response(
    wire: ApiClient, server: ScriptedServer
) -> None:
    import urllib3

    server.script(Answer(json=REF), Answer(body=b"0123456789"))
    branches: Any = apis.BranchesApi(wire)
    response = branches.get_branch("repo", "main", _preload_content=False)
    assert isinstance(response, urllib3.BaseHTTPResponse)
    assert response.status == 200
    assert json.loads(response.data) == REF
    objects: Any = apis.ObjectsApi(wire)
    response = objects.get_object("repo", "main", "a", _preload_content=False)
    assert [*response.stream(4)] == [b"0123", b"4567", b"89"]
    response.release_conn()


def test_preload_content_false_raises_errors(wire: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(404, json={"message": "branch not found"}))
    with pytest.raises(NotFoundException) as caught:
        apis.BranchesApi(wire).get_branch("repo", "none", _preload_content=False)
    assert json.loads(caught.value.body or "") == {"message": "branch not found"}


@pytest.mark.parametrize(
    ("call", "answer", "sent"),
    [
        (
            lambda c: apis.CommitsApi(c).commit(
                "r", "m", {"message": "m", "metadata": {"run": "7"}, "allow_empty": True}
            ),
            COMMIT,
            {"message": "m", "metadata": {"run": "7"}, "allow_empty": True},
        ),
        (
            lambda c: apis.StagingApi(c).link_physical_address(
                "r",
                "m",
                "a",
                {"staging": {"physical_address": "s3://x"}, "checksum": "c", "size_bytes": 3},
            ),
            STATS,
            {"staging": {"physical_address": "s3://x"}, "checksum": "c", "size_bytes": 3},
        ),
        (
            lambda c: apis.InternalApi(c).setup_comm_prefs(
                {"feature_updates": True, "security_updates": False}
            ),
            None,
            {"featureUpdates": True, "securityUpdates": False},
        ),
    ],
    ids=["flat", "nested", "renamed"],
)
def test_dict_body_with_python_names_is_accepted(
    wire: ApiClient,
    server: ScriptedServer,
    call: Callable[[ApiClient], object],
    answer: Any,
    sent: object,
) -> None:
    server.script(Answer(json=answer))
    call(wire)
    assert json.loads(server.requests[0].body) == sent
