"""ApiClient: closing, connections, headers, call options, call_api, asynchronous calls."""

from __future__ import annotations

import io
import json
from datetime import date, datetime, timezone
from typing import Any

import pytest
import urllib3
from support.scripted import Answer, Close, ScriptedServer, Stall

import lakefs_client
from lakefs_client import (
    ApiClient,
    ApiException,
    ApiTimeoutError,
    ApiTypeError,
    ApiValueError,
    Configuration,
)
from lakefs_client.apis import BranchesApi, CommitsApi, ObjectsApi, RefsApi, RepositoriesApi
from lakefs_client.client import LakeFSClient
from lakefs_client.exceptions import NotFoundException
from lakefs_client.models import BranchCreation, CommitCreation, LoginConfig, Ref, Repository

from .conftest import REPOSITORY, REPOSITORY_ANSWER

# Closing and connections


def test_closed_client_reconnects(api: ApiClient, server: ScriptedServer) -> None:
    server.script(REPOSITORY_ANSWER, REPOSITORY_ANSWER, REPOSITORY_ANSWER)
    repositories = RepositoriesApi(api)
    repositories.get_repository("repo")
    repositories.get_repository("repo")
    assert server.connections == 1
    api.close()
    server.wait_for(lambda s: s.open_connections == 0)
    api.close()
    repositories.get_repository("repo")
    assert server.connections == 2


def test_context_manager_closes_connections(server: ScriptedServer) -> None:
    server.script(REPOSITORY_ANSWER, Answer(404))
    with ApiClient(Configuration(server.url)) as client:
        RepositoriesApi(client).get_repository("repo")
        assert server.open_connections == 1
    server.wait_for(lambda s: s.open_connections == 0)
    with (
        pytest.raises(NotFoundException),
        ApiClient(Configuration(server.url)) as client,
    ):
        RepositoriesApi(client).get_repository("repo")
    server.wait_for(lambda s: s.open_connections == 0)


def test_close_disconnects_unread_answer(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(body=b"x" * 100))
    response = ObjectsApi(api).get_object("repo", "main", "a", _preload_content=False)
    response.close()
    api.close()
    server.wait_for(lambda s: s.open_connections == 0)
    assert response.status == 200


def test_api_without_client_uses_default_configuration() -> None:
    api = RepositoriesApi()
    assert api.api_client.configuration.host == "http://localhost/api/v1"
    api.api_client.close()


def test_sequential_calls_reuse_one_connection(api: ApiClient, server: ScriptedServer) -> None:
    server.script(*[REPOSITORY_ANSWER] * 10)
    for _ in range(10):
        RepositoriesApi(api).get_repository("repo")
    assert server.connections == 1


def test_connection_closed_by_server_is_replaced(api: ApiClient, server: ScriptedServer) -> None:
    body = BranchCreation("new", "main")
    server.script(Answer(201, b"ref", {"Connection": None}, then="close"), Answer(201, b"ref"))
    BranchesApi(api).create_branch("repo", body)
    server.wait_for(lambda s: s.open_connections == 0)
    # create_branch is not retried, so it must not use the dead connection.
    BranchesApi(api).create_branch("repo", body)
    assert server.connections == 2


@pytest.mark.parametrize("through", ["the server's pool", "a proxy's"])
def test_manually_closed_pool_is_replaced(
    api: ApiClient, server: ScriptedServer, through: str
) -> None:
    if through == "a proxy's":
        api.rest_client.pool_manager = urllib3.ProxyManager(server.url)
    server.script(*[Answer(201, b"ref")] * 2)
    for _ in range(2):
        BranchesApi(api).create_branch("repo", BranchCreation("new", "main"))
        manager = api.rest_client.pool_manager
        manager.connection_from_url(f"{server.url}/").close()
    assert server.connections == 2
    assert api.rest_client.pool_manager is manager


# Headers


def test_default_headers_are_sent(server: ScriptedServer) -> None:
    server.script(REPOSITORY_ANSWER)
    with ApiClient(Configuration(server.url), "X-Team", "data") as client:
        client.set_default_header("X-Run", "7")
        RepositoriesApi(client).get_repository("repo")
    headers = server.requests[0].headers
    assert (headers["x-team"], headers["x-run"]) == ("data", "7")
    assert headers["accept"] == "application/json"
    assert headers["user-agent"] == f"lakefs-client-python/{lakefs_client.__version__}"


@pytest.mark.parametrize("name", ["User-Agent", "user-agent"])
def test_user_agent_is_set_by_property_or_header(
    api: ApiClient, server: ScriptedServer, name: str
) -> None:
    server.script(REPOSITORY_ANSWER, REPOSITORY_ANSWER)
    api.user_agent = "mine/1"
    RepositoriesApi(api).get_repository("repo")
    api.set_default_header(name, "mine/2")
    assert api.user_agent == "mine/2"
    RepositoriesApi(api).get_repository("repo")
    assert [r.headers["user-agent"] for r in server.requests] == ["mine/1", "mine/2"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("X-A\r\nX-B", "1"), ("X-A", "1\r\nX-B: 2"), ("X-A", "\x00"), ("X-A", "\ud800")],
)
def test_invalid_default_header_is_rejected(name: str, value: str) -> None:
    with pytest.raises(ApiValueError):
        ApiClient(Configuration("http://lakefs"), name, value)
    client = ApiClient(Configuration("http://lakefs"))
    with pytest.raises(ApiValueError):
        client.set_default_header(name, value)
    assert list(client.default_headers) == ["User-Agent"]


@pytest.mark.parametrize("make", [ApiClient, LakeFSClient])
def test_address_in_place_of_configuration_is_rejected(make: Any) -> None:
    with pytest.raises(ApiTypeError, match=r"must be a Configuration, not str: give Conf"):
        make("http://lakefs.example.com")


def test_configuration_in_place_of_client_is_rejected() -> None:
    with pytest.raises(ApiTypeError, match=r"give ApiClient\(configuration\)"):
        BranchesApi(Configuration("http://lakefs"))  # type: ignore[arg-type]


def test_last_response_is_the_answer_to_the_last_call(
    api: ApiClient, server: ScriptedServer
) -> None:
    server.script(Answer(json=REPOSITORY, headers={"X-Request-Id": "r1"}))
    assert api.last_response is None
    RepositoriesApi(api).get_repository("repo")
    response = api.last_response
    assert response is not None
    assert (response.status, response.reason) == (200, "OK")
    assert json.loads(response.data) == REPOSITORY
    assert response.getheader("x-request-id") == "r1"
    assert response.getheader("absent", "none") == "none"
    assert response.getheaders()["X-REQUEST-ID"] == "r1"


# Queries


@pytest.mark.parametrize(
    ("call", "query"),
    [
        (lambda a: RepositoriesApi(a).list_repositories(), ""),
        (lambda a: RepositoriesApi(a).list_repositories(amount=-1), "amount=-1"),
        (lambda a: RepositoriesApi(a).list_repositories(after=""), "after="),
        (
            lambda a: RepositoriesApi(a).list_repositories(prefix="a b&c=d/é+%"),
            "prefix=a+b%26c%3Dd%2F%C3%A9%2B%25",
        ),
        (
            lambda a: ObjectsApi(a).list_objects("r", "m", presign=True, user_metadata=False),
            "presign=true&user_metadata=false",
        ),
        (
            lambda a: RefsApi(a).log_commits("r", "m", objects=["a b", "c,d"], prefixes=("x/",)),
            "objects=a+b&objects=c%2Cd&prefixes=x%2F",
        ),
        (lambda a: RefsApi(a).log_commits("r", "m", objects=[]), ""),
        (
            lambda a: RefsApi(a).log_commits(
                "r", "m", since=datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone.utc)
            ),
            "since=2024-05-06T07%3A08%3A09%2B00%3A00",
        ),
        (
            # RFC 3339 requires a time zone. The client takes a naive datetime as UTC.
            lambda a: RefsApi(a).log_commits("r", "m", since=datetime(2024, 5, 6)),
            "since=2024-05-06T00%3A00%3A00%2B00%3A00",
        ),
        (lambda a: RefsApi(a).diff_refs("r", "a", "b", type="two_dot"), "type=two_dot"),
    ],
)
def test_query_is_encoded(api: ApiClient, server: ScriptedServer, call: Any, query: str) -> None:
    server.script(
        Answer(
            json={
                "pagination": {
                    "has_more": False,
                    "max_per_page": 1,
                    "next_offset": "",
                    "results": 0,
                },
                "results": [],
            }
        )
    )
    call(api)
    assert server.requests[0].query == query


# Call options


def test_return_http_data_only_false_adds_status_and_headers(
    api: ApiClient, server: ScriptedServer
) -> None:
    server.script(Answer(201, b"branch-id", {"X-A": "1"}), Answer(204))
    body = BranchCreation("new", "main")
    data, status, headers = BranchesApi(api).create_branch(
        "repo", body, _return_http_data_only=False
    )
    assert (data, status, headers["x-a"]) == ("branch-id", 201, "1")
    nothing = BranchesApi(api).delete_branch("repo", "new", _return_http_data_only=False)
    assert nothing[:2] == (None, 204)


def test_preload_content_false_returns_raw_answer(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(body=b"0123456789"), Answer(404, json={"message": "nothing here"}))
    response = ObjectsApi(api).get_object("repo", "main", "a", _preload_content=False)
    assert response.status == 200
    assert response.read(4) == b"0123"
    assert response.read() == b"456789"
    response.release_conn()
    with pytest.raises(NotFoundException, match="nothing here") as caught:
        ObjectsApi(api).get_object("repo", "main", "a", _preload_content=False)
    assert json.loads(caught.value.body or "") == {"message": "nothing here"}
    assert server.connections == 1


@pytest.mark.parametrize("timeout", [0.2, (30, 0.2), [30, 0.2], 1 / 5])
def test_request_timeout_accepts_number_or_pair(
    api: ApiClient, server: ScriptedServer, timeout: Any
) -> None:
    api.configuration.retries = False
    server.script(Stall())
    with pytest.raises(ApiTimeoutError, match=r"within 0\.2 s") as caught:
        RepositoriesApi(api).get_repository("repo", _request_timeout=timeout)
    assert caught.value.status == 0


@pytest.mark.parametrize(
    ("timeout", "error"),
    [
        (0, ApiValueError),
        (-1, ApiValueError),
        (float("nan"), ApiValueError),
        (float("inf"), ApiValueError),
        ((1, 0), ApiValueError),
        ((0, 1), ApiValueError),
        ((1, 2, 3), ApiValueError),
        ((), ApiValueError),
        ((None, 5), ApiTypeError),
        (True, ApiTypeError),
        ("5", ApiTypeError),
        ((1, "5"), ApiTypeError),
    ],
)
def test_invalid_request_timeout_is_rejected(
    api: ApiClient, server: ScriptedServer, timeout: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match="timeout"):
        RepositoriesApi(api).get_repository("repo", _request_timeout=timeout)
    assert server.connections == 0


@pytest.mark.parametrize("name", ["connect_timeout", "read_timeout"])
def test_configured_timeouts_are_validated(
    api: ApiClient, server: ScriptedServer, name: str
) -> None:
    setattr(api.configuration, name, None)
    with pytest.raises(ApiTypeError, match=name):
        RepositoriesApi(api).get_repository("repo")
    setattr(api.configuration, name, 0)
    with pytest.raises(ApiValueError, match=name):
        RepositoriesApi(api).get_repository("repo")
    assert server.connections == 0


def test_host_index_selects_the_server(api: ApiClient, server: ScriptedServer) -> None:
    api.configuration.get_host_settings = lambda: [{"url": f"{server.url}/other"}]  # type: ignore[method-assign]
    server.script(REPOSITORY_ANSWER)
    RepositoriesApi(api).get_repository("repo", _host_index=0)
    assert server.requests[0].path == "/other/repositories/repo"
    with pytest.raises(ValueError, match="Invalid index 5"):
        RepositoriesApi(api).get_repository("repo", _host_index=5)


@pytest.mark.parametrize(
    "call",
    [
        lambda a: RepositoriesApi(a).get_repository(),
        lambda a: RepositoriesApi(a).get_repository("a", "b"),
        lambda a: RepositoriesApi(a).get_repository("a", repository="a"),
        lambda a: RepositoriesApi(a).get_repository(7),
        lambda a: RepositoriesApi(a).get_repository(None),
        lambda a: RepositoriesApi(a).get_repository(repository=b"a"),
        lambda a: RepositoriesApi(a).get_repository("a", nonsense=1),
        lambda a: RepositoriesApi(a).list_repositories(amount=True),
        lambda a: RepositoriesApi(a).list_repositories(amount="5"),
        lambda a: RepositoriesApi(a).list_repositories("prefix"),
        lambda a: RefsApi(a).log_commits("r", "m", objects="abc"),
        lambda a: RefsApi(a).log_commits("r", "m", objects=["a", 1]),
        lambda a: RefsApi(a).log_commits("r", "m", since="2024-05-06"),
        lambda a: CommitsApi(a).commit("r", "m", "a message"),
        lambda a: CommitsApi(a).commit("r", "m", {"message": 1}),
        lambda a: CommitsApi(a).commit("r", "m", {}),
        lambda a: CommitsApi(a).commit("r", "m", BranchCreation("a", "b")),
    ],
)
def test_invalid_arguments_raise_type_error_before_sending(
    api: ApiClient, server: ScriptedServer, call: Any
) -> None:
    with pytest.raises(TypeError) as caught:
        call(api)
    assert isinstance(caught.value, ApiTypeError)
    assert server.connections == 0


def test_argument_type_error_names_type_and_path(api: ApiClient) -> None:
    with pytest.raises(ApiTypeError) as caught:
        RepositoriesApi(api).list_repositories(amount=True)
    assert str(caught.value) == (
        "Invalid type for variable 'amount'. Required value type is int and passed type was bool "
        "at ['amount']"
    )
    assert caught.value.path_to_item == ["amount"]
    assert caught.value.valid_classes == (int,)
    assert caught.value.key_type is False


def test_unknown_keyword_argument_is_named(api: ApiClient) -> None:
    with pytest.raises(ApiTypeError) as caught:
        RepositoriesApi(api).list_repositories(foo=1)  # type: ignore[call-arg]
    assert str(caught.value) == "Got an unexpected parameter 'foo' to method `list_repositories`"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda a: RepositoriesApi(a).list_repositories(amount=-2),
            "Invalid value for `amount`, must be a value greater than or equal to `-1`",
        ),
        (
            lambda a: RepositoriesApi(a).list_repositories(amount=1001),
            "Invalid value for `amount`, must be a value less than or equal to `1000`",
        ),
        (
            lambda a: RefsApi(a).diff_refs("r", "a", "b", type="four_dot"),
            "Invalid value for `type` (four_dot), must be one of ['two_dot', 'three_dot']",
        ),
        (
            lambda a: ObjectsApi(a).get_object("r", "m", "p", range="1-2"),
            r"Invalid value for `range`, must match regular expression `^bytes=((\d*-\d*,? ?)+)$`",
        ),
        (
            lambda a: ObjectsApi(a).get_object("r", "m", "p", if_none_match='"a"\r\nX: y'),
            "if_none_match must not hold control characters",
        ),
    ],
)
def test_out_of_range_arguments_raise_before_sending(
    api: ApiClient, server: ScriptedServer, call: Any, message: str
) -> None:
    with pytest.raises(ApiValueError) as caught:
        call(api)
    assert str(caught.value) == message
    assert server.connections == 0


def test_check_input_type_false_skips_argument_checks(
    api: ApiClient, server: ScriptedServer
) -> None:
    server.script(REPOSITORY_ANSWER, Answer(201, json={"id": "x"}, then="close"))
    RepositoriesApi(api).get_repository(7, _check_input_type=False)
    with pytest.raises(ApiTypeError):  # the answer is still checked
        CommitsApi(api).commit("r", "m", {"message": 5}, _check_input_type=False)
    assert server.requests[0].path == "/api/v1/repositories/7"
    assert json.loads(server.requests[1].body) == {"message": 5}


def test_check_return_type_false_skips_answer_checks(
    api: ApiClient, server: ScriptedServer
) -> None:
    server.script(Answer(json={**REPOSITORY, "creation_date": "yesterday"}), Answer(json={}))
    repository = RepositoriesApi(api).get_repository("repo", _check_return_type=False)
    assert isinstance(repository, Repository)
    assert repository.creation_date == "yesterday"
    empty = RepositoriesApi(api).get_repository("repo", _check_return_type=False)
    assert isinstance(empty, Repository)
    assert "id" not in empty


# The caller's arguments


def test_caller_arguments_are_not_modified(api: ApiClient, server: ScriptedServer) -> None:
    page = {
        "pagination": {"has_more": False, "max_per_page": 1, "next_offset": "", "results": 0},
        "results": [],
    }
    commit = {"id": "c", "parents": [], "committer": "me", "message": "m", "creation_date": 1,
              "meta_range_id": ""}  # fmt: skip
    server.script(Answer(json=page), Answer(201, json=commit))
    objects = ["a", "b"]
    RefsApi(api).log_commits("r", "m", objects=objects)
    body: dict[str, Any] = {"message": "m", "metadata": {"a": "1"}, "unknown": [1, {"x": None}]}
    before = json.dumps(body)
    CommitsApi(api).commit("r", "m", body)
    assert objects == ["a", "b"]
    assert json.dumps(body) == before
    assert json.loads(server.requests[1].body) == body


# call_api


def test_call_api_returns_data_status_and_headers(api: ApiClient, server: ScriptedServer) -> None:
    server.script(*[Answer(json=REPOSITORY, headers={"X-A": "1"})] * 2, Answer(204))
    data, status, headers = api.call_api(
        "/repositories/{repository}",
        "GET",
        {"repository": "a/b c"},
        [("x", True), ("y", ["1", "2"])],
        {"X-Mine": "yes"},
        response_type=(Repository,),
        auth_settings=["basic_auth"],
    )
    assert isinstance(data, Repository)
    assert (status, headers["x-a"]) == (200, "1")
    request = server.requests[0]
    assert request.target == "/api/v1/repositories/a%2Fb%20c?x=true&y=1&y=2"
    assert request.headers["x-mine"] == "yes"
    assert request.headers["authorization"].startswith("Basic ")
    only = api.call_api(
        "/x", "GET", query_params={"q": ""}, response_type=(dict,), _return_http_data_only=True
    )
    assert only == REPOSITORY
    assert server.requests[1].target == "/api/v1/x?q="
    assert "authorization" not in server.requests[1].headers
    assert api.call_api("/x", "DELETE")[0:2] == (None, 204)


@pytest.mark.parametrize(
    ("arguments", "body", "content_type"),
    [
        ({"body": {"a": [1, None]}}, b'{"a":[1,null]}', "application/json"),
        ({"body": Ref("a", "b")}, b'{"commit_id":"b","id":"a"}', "application/json"),
        ({"body": b"\x00\xff"}, b"\x00\xff", "application/octet-stream"),
        ({"body": io.BytesIO(b"stream")}, b"stream", "application/octet-stream"),
        ({"body": "text"}, b'"text"', "application/json"),
        ({"body": {}, "header_params": {"content-type": "text/x"}}, b"{}", "text/x"),
        ({}, b"", None),
    ],
)
def test_call_api_encodes_body_by_type(
    api: ApiClient,
    server: ScriptedServer,
    arguments: dict[str, Any],
    body: bytes,
    content_type: str | None,
) -> None:
    server.script(Answer(204))
    api.call_api("/x", "post", **arguments)
    request = server.requests[0]
    assert request.method == "POST"
    if content_type == "application/json":
        assert json.loads(request.body) == json.loads(body)
    else:
        assert request.body == body
    assert request.headers.get("content-type") == content_type


def test_call_api_sends_multipart_form(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(204))
    api.call_api(
        "/x", "POST", post_params=[("field", "value")], files={"content": io.BytesIO(b"bytes")}
    )
    request = server.requests[0]
    assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="field"\r\n\r\nvalue\r\n' in request.body
    assert b'name="content"' in request.body
    assert b"\r\n\r\nbytes\r\n" in request.body
    with pytest.raises(ApiValueError, match="either body or"):
        api.call_api("/x", "POST", body={}, post_params=[("a", "b")])


def test_call_api_sends_to_other_host(api: ApiClient, server: ScriptedServer) -> None:
    with ScriptedServer(Answer(body=b"elsewhere"), Answer(404)) as other:
        response = api.call_api("/x", "GET", _host=f"{other.url}/base", _preload_content=False)
        assert response.read() == b"elsewhere"
        with pytest.raises(NotFoundException):
            api.call_api("/x", "GET", _host=other.url)
    assert other.requests[0].target == "/base/x"
    assert server.connections == 0


def test_call_api_runs_asynchronously(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(204))
    assert api.call_api("/x", "PUT", async_req=True).get(60)[1] == 204


@pytest.mark.parametrize("value", ["", ".", ".."])
def test_call_api_rejects_dot_segments(api: ApiClient, server: ScriptedServer, value: str) -> None:
    with pytest.raises(ApiValueError, match="`name`"):
        api.call_api("/x/{name}", "GET", {"name": value})
    assert server.connections == 0


def test_response_type_may_be_a_model_name(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(json={"id": "main", "commit_id": "c1"}))
    found = api.call_api("/x", "GET", response_type="Ref", _return_http_data_only=True)
    assert found == Ref("main", "c1")


@pytest.mark.parametrize("name", ["Nothing", "list[Ref]", "__import__('os').getpid()", "Ref.get"])
def test_response_type_is_never_evaluated(
    api: ApiClient, server: ScriptedServer, name: str
) -> None:
    with pytest.raises(ApiValueError, match="no type of the API has the name"):
        api.call_api("/x", "GET", response_type=name)
    assert server.connections == 0


def test_call_api_check_type_false_skips_checks(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(json={"id": 1}), Answer(json={"id": 1}))
    with pytest.raises(ApiTypeError, match="id"):
        api.call_api("/x", "GET", response_type=(Ref,))
    data = api.call_api(
        "/x", "GET", response_type=(Ref,), _check_type=False, _return_http_data_only=True
    )
    assert data.id == 1


# Manual serialisation


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (1.5, 1.5),
        ("text", "text"),
        ((1, "a"), [1, "a"]),
        ({"a": (1,)}, {"a": [1]}),
        (date(2024, 5, 6), "2024-05-06"),
        (datetime(2024, 5, 6, 7, tzinfo=timezone.utc), "2024-05-06T07:00:00+00:00"),
        (
            LoginConfig("/login", ["c"], "/logout", rbac="simplified"),
            {
                "RBAC": "simplified",
                "login_url": "/login",
                "login_cookie_names": ["c"],
                "logout_url": "/logout",
            },
        ),
        ([CommitCreation("m")], [{"message": "m"}]),
    ],
)
def test_sanitize_for_serialization_returns_plain_json(value: object, plain: object) -> None:
    assert ApiClient.sanitize_for_serialization(value) == plain


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, object(), {"a": {"b": b"x"}}, float("nan")])
def test_sanitize_rejects_values_without_json_form(value: object) -> None:
    with pytest.raises(ApiValueError):
        ApiClient.sanitize_for_serialization(value)


class Response:
    """A response as legacy code passes it to `deserialize`."""

    def __init__(self, data: Any) -> None:
        self.data = data


@pytest.mark.parametrize(
    ("data", "kind", "value"),
    [
        (b'{"id":"a","commit_id":"b"}', (Ref,), Ref("a", "b")),
        ('{"id":"a","commit_id":"b"}', (Ref,), Ref("a", "b")),
        ('[{"id":"a","commit_id":"b"}]', ([Ref],), [Ref("a", "b")]),
        ('{"x":1}', ({str: (int,)},), {"x": 1}),
        ("[1.5, 2]", ([float],), [1.5, 2]),
        ("null", (str, type(None)), "null"),
        ('"2024-05-06T07:00:00Z"', (datetime,), datetime(2024, 5, 6, 7, tzinfo=timezone.utc)),
        ("true", (bool,), True),
    ],
)
def test_deserialize_builds_the_requested_type(
    api: ApiClient, data: Any, kind: Any, value: object
) -> None:
    if kind == (str, type(None)):
        value = None
    result = api.deserialize(Response(data), kind)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("data", "kind"), [("1.0", (int,)), ("true", (int,)), ('"1"', (int,)), ("1", (bool,))]
)
def test_deserialize_rejects_similar_types(api: ApiClient, data: str, kind: Any) -> None:
    with pytest.raises(ApiTypeError):
        api.deserialize(Response(data), kind)
    assert api.deserialize(Response(data), kind, _check_type=False) is not None


# Asynchronous calls


def test_async_call_reports_completion(api: ApiClient, server: ScriptedServer) -> None:
    stall = Stall(then=REPOSITORY_ANSWER)
    server.script(stall)
    call = RepositoriesApi(api).get_repository("repo", async_req=True)
    assert stall.reached.wait(60)
    assert not call.ready()
    stall.release.set()
    call.wait(60)
    assert call.ready()
    assert call.successful()
    assert call.get(60).id == "repo"


def test_async_call_raises_argument_errors_immediately(
    api: ApiClient, server: ScriptedServer
) -> None:
    with pytest.raises(ApiTypeError):
        RepositoriesApi(api).get_repository(7, async_req=True)
    with pytest.raises(ApiValueError):
        RepositoriesApi(api).get_repository("..", async_req=True)
    assert server.connections == 0
    server.script(Answer(404), Close())
    api.configuration.retries = 0
    missing = RepositoriesApi(api).get_repository("repo", async_req=True)
    with pytest.raises(NotFoundException):
        missing.get(60)
    broken = RepositoriesApi(api).get_repository("repo", async_req=True)
    with pytest.raises(ApiException) as caught:
        broken.get(60)
    assert caught.value.status == 0


def test_pool_threads_async_calls_run_concurrently(
    configuration: Configuration, server: ScriptedServer
) -> None:
    stalls = [Stall(then=REPOSITORY_ANSWER) for _ in range(3)]
    server.script(*stalls)
    with ApiClient(configuration, pool_threads=3) as client:
        calls = [RepositoriesApi(client).get_repository("r", async_req=True) for _ in range(3)]
        for stall in stalls:
            assert stall.reached.wait(60)
        for stall in stalls:
            stall.release.set()
        assert [call.get(60).id for call in calls] == ["repo"] * 3


def test_close_waits_for_async_calls(configuration: Configuration, server: ScriptedServer) -> None:
    stall = Stall(then=REPOSITORY_ANSWER)
    server.script(stall)
    with ApiClient(configuration) as client:
        call = RepositoriesApi(client).get_repository("repo", async_req=True)
        assert stall.reached.wait(60)
        stall.release.set()
    assert call.ready()
    assert call.get(0).id == "repo"
