"""Modules, names, configuration and credentials that code written for 1.44 relies on."""

from __future__ import annotations

import copy
import pickle
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from support.scripted import Answer, ScriptedServer

import lakefs_client
from lakefs_client import ApiClient, Configuration, apis, model_utils, models
from lakefs_client.client import LakeFSClient
from lakefs_client.exceptions import ApiException, ApiTypeError, OpenApiException

from .conftest import PAGINATION, REF, REPOSITORIES, configuration

GROUPS = (
    "Actions", "Auth", "Branches", "Commits", "Config", "Experimental", "External", "HealthCheck",
    "Import", "Internal", "Metadata", "Objects", "Pulls", "Refs", "Repositories", "Staging", "Tags",
)  # fmt: skip


def snake(name: str) -> str:
    """Return a name in snake case: HealthCheck as health_check."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


# Modules and names


@pytest.mark.parametrize(
    "name",
    [
        "ApiClient", "Configuration", "OpenApiException", "ApiException", "ApiTypeError",
        "ApiValueError", "ApiKeyError", "ApiAttributeError",
    ],
)  # fmt: skip
def test_package_exposes_client_configuration_and_exceptions(name: str) -> None:
    assert isinstance(getattr(lakefs_client, name), type)


def test_package_exposes_its_version() -> None:
    assert lakefs_client.__version__.count(".") == 2


@pytest.mark.parametrize("group", GROUPS)
def test_api_class_is_in_apis_and_its_module(group: str) -> None:
    module = import_module(f"lakefs_client.api.{snake(group)}_api")
    assert getattr(apis, f"{group}Api") is getattr(module, f"{group}Api")


def test_model_class_is_in_models_and_its_module() -> None:
    names = [name for name in dir(models) if isinstance(getattr(models, name), type)]
    assert len(names) >= 110
    for name in names:
        model = getattr(models, name)
        assert model.__module__.startswith("lakefs_client.model."), name
        assert getattr(import_module(model.__module__), name) is model


def test_lakefs_client_keeps_order_of_arguments(
    server: ScriptedServer,
) -> None:
    server.script(Answer(json=REF))
    with LakeFSClient(configuration(server), "X-Team", "data", "a=b", 2) as client:
        client.branches_api.get_branch("repo", "main")
    assert server.requests[0].headers["x-team"] == "data"
    assert server.requests[0].headers["cookie"] == "a=b"


@pytest.mark.parametrize("group", GROUPS)
def test_lakefs_client_has_api_group_attribute(group: str) -> None:
    with LakeFSClient(Configuration()) as client:
        api = getattr(client, f"{snake(group)}_api")
        assert isinstance(api, getattr(apis, f"{group}Api"))
        assert getattr(client, f"{snake(group)}_api") is api


@pytest.mark.parametrize("group", ["Objects", "Branches", "Auth", "Commits", "Repositories"])
def test_lakefs_client_deprecates_old_group_names(group: str) -> None:
    with LakeFSClient(Configuration()) as client:
        with pytest.warns(DeprecationWarning, match=f"{snake(group)}_api"):
            api = getattr(client, snake(group))
        assert api is getattr(client, f"{snake(group)}_api")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost:8000", "http://localhost:8000/api/v1"),
        ("http://localhost:8000", "http://localhost:8000/api/v1"),
        ("https://lakefs.example.com/", "https://lakefs.example.com/api/v1"),
        ("https://lakefs.example.com/api/v1", "https://lakefs.example.com/api/v1"),
        ("https://example.com/lake/api/v1", "https://example.com/lake/api/v1"),
    ],
)
def test_lakefs_client_completes_the_host(host: str, expected: str) -> None:
    given = Configuration(host=host)
    with LakeFSClient(given):
        assert given.host == expected


@pytest.mark.parametrize(
    "name",
    [
        "NotFoundException", "UnauthorizedException", "ForbiddenException", "ServiceException",
        "OpenApiException", "ApiTypeError", "ApiValueError", "ApiKeyError", "ApiAttributeError",
    ],
)  # fmt: skip
def test_exceptions_module_has_exception(name: str) -> None:
    assert issubclass(getattr(lakefs_client.exceptions, name), OpenApiException)


def test_exceptions_module_has_render_path() -> None:
    from lakefs_client.exceptions import render_path

    assert render_path(["results", 0, "path"]) == "['results'][0]['path']"


def test_rest_module_has_client_and_response_classes(
    wire: ApiClient, server: ScriptedServer
) -> None:
    from lakefs_client.rest import RESTClientObject, RESTResponse

    server.script(Answer(json=REF, headers={"X-Request-Id": "7"}))
    apis.BranchesApi(wire).get_branch("repo", "main")
    answer = wire.last_response
    assert isinstance(wire.rest_client, RESTClientObject)
    assert isinstance(answer, RESTResponse)
    assert (answer.status, answer.reason) == (200, "OK")
    assert answer.getheader("x-request-id") == "7"
    assert answer.getheaders()["X-Request-Id"] == "7"


def test_pool_manager_is_reachable_and_replaceable(wire: ApiClient, server: ScriptedServer) -> None:
    import urllib3

    assert isinstance(wire.rest_client.pool_manager, urllib3.PoolManager)
    wire.rest_client.pool_manager.connection_pool_kw["headers"] = {}
    server.script(Answer(json=REF))
    with urllib3.PoolManager(headers={"X-Own": "yes"}) as own:
        wire.rest_client.pool_manager = own
        apis.BranchesApi(wire).get_branch("repo", "main")
        assert wire.rest_client.pool_manager is own
        assert len(own.pools) == 1


@pytest.mark.parametrize(
    "name",
    [
        "OpenApiModel", "ModelNormal", "ModelComposed", "ModelSimple", "file_type", "none_type",
        "date", "datetime", "cached_property",
    ],
)  # fmt: skip
def test_model_utils_has_class(name: str) -> None:
    assert isinstance(getattr(model_utils, name), type)


def test_models_derive_from_model_utils_classes() -> None:
    assert isinstance(models.Ref("main", "1"), model_utils.OpenApiModel)
    assert isinstance(models.Ref("main", "1"), model_utils.ModelNormal)


def test_model_to_dict_uses_json_names() -> None:
    preferences = models.CommPrefsInput(True, False)
    assert model_utils.model_to_dict(preferences) == {
        "featureUpdates": True,
        "securityUpdates": False,
    }
    assert model_utils.model_to_dict(preferences, serialize=False) == preferences.to_dict()


def test_validate_and_convert_types_builds_models() -> None:
    found = model_utils.validate_and_convert_types(
        [REF], ([models.Ref],), ["received_data"], True, True, configuration=Configuration()
    )
    assert found == [models.Ref("main", "c1")]
    with pytest.raises(ApiTypeError) as caught:
        model_utils.validate_and_convert_types(
            [{**REF, "id": 1}], ([models.Ref],), ["received_data"], True, True, Configuration()
        )
    assert caught.value.path_to_item == ["received_data", 0, "id"]


def test_check_functions_accept_model_tables() -> None:
    with pytest.raises(lakefs_client.ApiValueError, match="must be one of"):
        model_utils.check_allowed_values(
            models.ResetCreation.allowed_values, ("type",), "everything"
        )
    model_utils.check_allowed_values(models.ResetCreation.allowed_values, ("type",), "reset")
    with pytest.raises(lakefs_client.ApiValueError, match="greater than or equal to"):
        model_utils.check_validations(
            {("amount",): {"inclusive_minimum": -1}}, ("amount",), -2, Configuration()
        )


# Configuration


def test_configuration_keeps_order_of_arguments() -> None:
    given = Configuration(
        "http://h/api/v1", {"cookie_auth": "k"}, {"cookie_auth": "p"}, "token", "user", "pass",
        True, "pattern", None, {"v": "1"}, {"op": 0}, {"op": {"v": "2"}}, "ca.pem",
    )  # fmt: skip
    assert given.host == "http://h/api/v1"
    assert given.api_key == {"cookie_auth": "k"}
    assert given.api_key_prefix == {"cookie_auth": "p"}
    assert (given.access_token, given.username, given.password) == ("token", "user", "pass")
    assert given.discard_unknown_keys is True
    assert given.disabled_client_side_validations == "pattern"
    assert given.server_index is None
    assert given.server_variables == {"v": "1"}
    assert given.server_operation_index == {"op": 0}
    assert given.server_operation_variables == {"op": {"v": "2"}}
    assert given.ssl_ca_cert == "ca.pem"


def test_configuration_rejects_unknown_keyword() -> None:
    unknown: dict[str, Any] = {"hostname": "localhost"}
    with pytest.raises(TypeError, match="hostname"):
        Configuration(**unknown)


def test_configuration_copies_custom_attributes() -> None:
    given: Any = Configuration()
    given.team = "data"
    assert given.team == "data"
    assert copy.deepcopy(given).team == "data"


def test_configuration_keeps_api_key_dicts_by_reference() -> None:
    keys, prefixes = {"cookie_auth": "k"}, {"cookie_auth": "p"}
    given = Configuration(api_key=keys, api_key_prefix=prefixes)
    assert given.api_key is keys
    assert given.api_key_prefix is prefixes
    assert Configuration().api_key == Configuration().api_key_prefix == {}


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("verify_ssl", True),
        ("ssl_ca_cert", None),
        ("cert_file", None),
        ("key_file", None),
        ("assert_hostname", None),
        ("retries", None),
        ("socket_options", None),
        ("proxy", None),
        ("proxy_headers", None),
        ("safe_chars_for_path_param", ""),
        ("temp_folder_path", None),
        ("debug", False),
        ("logger_file", None),
    ],
)
def test_configuration_attribute_has_its_default(name: str, default: object) -> None:
    assert getattr(Configuration(), name) == default


def test_safe_chars_for_path_param_applies_to_next_call(
    wire: ApiClient, server: ScriptedServer
) -> None:
    server.script(*[Answer(json=REF)] * 2)
    api = apis.BranchesApi(wire)
    api.get_branch("repo", "a@b")
    wire.configuration.safe_chars_for_path_param = "@"
    api.get_branch("repo", "a@b")
    assert [r.path.rpartition("/")[2] for r in server.requests] == ["a%40b", "a@b"]


def test_large_downloads_use_temp_folder_path(
    wire: ApiClient, server: ScriptedServer, tmp_path: Path
) -> None:
    large = bytes(3 << 20)
    server.script(*[Answer(body=large)] * 2)
    api = apis.ObjectsApi(wire)
    wire.configuration.temp_folder_path = str(tmp_path)
    with api.get_object("repo", "main", "a") as file:
        assert file.read() == large
    wire.configuration.temp_folder_path = str(tmp_path / "missing")
    with pytest.raises(FileNotFoundError, match="missing"):
        api.get_object("repo", "main", "a")


def test_changed_host_and_credentials_apply_to_next_call(
    wire: ApiClient, server: ScriptedServer
) -> None:
    server.script(*[Answer(json=REF)] * 4)
    api = apis.BranchesApi(wire)
    api.get_branch("repo", "main")
    wire.configuration.password = "changed"
    api.get_branch("repo", "main")
    wire.configuration.host = f"{server.url}/behind/api/v1"
    api.get_branch("repo", "main")
    wire.configuration.username = wire.configuration.password = None
    wire.configuration.api_key["cookie_auth"] = "session"
    api.get_branch("repo", "main")
    first, second, third, fourth = server.requests
    assert first.headers["authorization"] != second.headers["authorization"]
    assert third.path == "/behind/api/v1/repositories/repo/branches/main"
    assert "authorization" not in fourth.headers
    assert "session" in fourth.headers["cookie"]


def test_client_without_configuration_uses_copied_default() -> None:
    given = Configuration(host="http://default:8000", api_key={"cookie_auth": "k"})
    Configuration.set_default(given)
    try:
        given.host = "http://changed:8000"
        given.api_key["cookie_auth"] = "changed"
        copies = Configuration.get_default_copy(), Configuration.get_default_copy()
        with ApiClient() as client:
            for found in (*copies, client.configuration):
                assert found.host == "http://default:8000/api/v1"
                assert found.api_key == {"cookie_auth": "k"}
        assert copies[0] is not copies[1]
    finally:
        Configuration.set_default(None)
    assert Configuration.get_default_copy().host == Configuration().host


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))], ids=["copy", "pickle"]
)
def test_configuration_can_be_copied_and_pickled(duplicate: Any) -> None:
    given = Configuration("http://h:1", {"cookie_auth": "k"}, username="u", password="p")
    given.verify_ssl = False
    twin = duplicate(given)
    assert (twin.host, twin.username, twin.password) == ("http://h:1/api/v1", "u", "p")
    assert twin.verify_ssl is False
    assert twin.api_key == given.api_key
    assert twin.api_key is not given.api_key


def test_configuration_has_token_report_and_host_settings() -> None:
    given = Configuration(username="key", password="secret")
    assert given.get_basic_auth_token() == "Basic a2V5OnNlY3JldA=="
    report = given.to_debug_report()
    assert lakefs_client.__version__ in report
    assert "secret" not in report
    assert given.get_host_settings()[0]["url"] == "/api/v1"


def test_get_host_from_settings_fills_in_variables() -> None:
    given = Configuration(host="http://h:8000")
    servers = [
        {
            "url": "https://{region}.example.com:{port}/api/v1",
            "variables": {
                "region": {"default_value": "eu", "enum_values": ["eu", "us"]},
                "port": {"default_value": "443"},
            },
        }
    ]
    fill = given.get_host_from_settings
    assert fill(None) == "http://h:8000/api/v1"
    assert fill(0, servers=servers) == "https://eu.example.com:443/api/v1"
    assert (
        fill(0, {"region": "us", "port": "8443"}, servers) == "https://us.example.com:8443/api/v1"
    )
    with pytest.raises(ValueError, match="invalid value asia"):
        fill(0, {"region": "asia"}, servers)
    with pytest.raises(ValueError, match="index 1"):
        fill(1, servers=servers)


# Credentials

COOKIES = {
    "cookie_auth": "internal_auth_session",
    "oidc_auth": "oidc_auth_session",
    "saml_auth": "saml_auth_session",
}


def test_auth_settings_have_basic_auth_for_complete_pair() -> None:
    assert Configuration(username="key").auth_settings() == {}
    assert Configuration(password="secret").auth_settings() == {}
    entry = Configuration(username="key", password="secret").auth_settings()["basic_auth"]
    assert (entry["type"], entry["in"], entry["key"]) == ("basic", "header", "Authorization")
    assert entry["value"] == "Basic a2V5OnNlY3JldA=="


def test_auth_settings_have_jwt_token_for_access_token() -> None:
    entry = Configuration(access_token="t").auth_settings()["jwt_token"]
    assert (entry["type"], entry["in"], entry["key"]) == ("bearer", "header", "Authorization")
    assert entry["value"] == "Bearer t"


@pytest.mark.parametrize(("name", "cookie"), COOKIES.items())
@pytest.mark.parametrize(("prefixes", "value"), [({}, "k"), ({"prefix": True}, "p k")])
def test_auth_settings_have_cookie_for_api_key(
    name: str, cookie: str, prefixes: dict[str, Any], value: str
) -> None:
    given = Configuration(api_key={name: "k"}, api_key_prefix={name: "p"} if prefixes else {})
    assert [*given.auth_settings()] == [name]
    entry = given.auth_settings()[name]
    assert (entry["in"], entry["key"], entry["value"]) == ("cookie", cookie, value)


def test_access_token_precedes_basic_auth(wire: ApiClient, server: ScriptedServer) -> None:
    server.script(*[Answer(json=REF)] * 2)
    apis.BranchesApi(wire).get_branch("repo", "main")
    wire.configuration.access_token = "t"
    apis.BranchesApi(wire).get_branch("repo", "main")
    basic, bearer = (request.headers["authorization"] for request in server.requests)
    assert basic == "Basic a2V5OnNlY3JldA=="
    assert bearer == "Bearer t"


def test_credentials_override_default_header(wire: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(json=REF))
    wire.set_default_header("Authorization", "Mine")
    apis.BranchesApi(wire).get_branch("repo", "main")
    assert server.requests[0].headers["authorization"] == "Basic a2V5OnNlY3JldA=="


@pytest.mark.parametrize(("name", "cookie"), COOKIES.items())
def test_api_key_may_include_the_cookie_name(
    wire: ApiClient, server: ScriptedServer, name: str, cookie: str
) -> None:
    server.script(Answer(json=REF))
    wire.configuration.api_key[name] = f"{cookie}=VALUE"
    apis.BranchesApi(wire).get_branch("repo", "main")
    assert server.requests[0].headers["cookie"] == f"{cookie}=VALUE"


def test_refresh_api_key_hook_updates_the_key(wire: ApiClient, server: ScriptedServer) -> None:
    def refresh(given: Configuration) -> None:
        given.api_key["cookie_auth"] = "fresh"

    server.script(Answer(json=REF))
    wire.configuration.api_key["cookie_auth"] = "stale"
    wire.configuration.refresh_api_key_hook = refresh
    apis.BranchesApi(wire).get_branch("repo", "main")
    assert server.requests[0].headers["cookie"] == "internal_auth_session=fresh"


TOKEN = {"token": "t"}
SETUP = {"access_key_id": "a", "secret_access_key": "b", "creation_date": 1}


@pytest.mark.parametrize(
    ("group", "method", "arguments", "answer"),
    [
        ("External", "external_principal_login", {}, TOKEN),
        (
            "Experimental",
            "sts_login",
            {"sts_auth_request": {"code": "c", "state": "s", "redirect_uri": "r"}},
            TOKEN,
        ),
        ("Auth", "login", {}, TOKEN),
        ("HealthCheck", "health_check", {}, None),
        ("Internal", "setup", {"setup": {"username": "u"}}, SETUP),
        ("Internal", "get_setup_state", {}, {}),
        (
            "Internal",
            "setup_comm_prefs",
            {"comm_prefs_input": {"feature_updates": True, "security_updates": True}},
            None,
        ),
        ("Internal", "get_auth_capabilities", {}, {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_unauthenticated_method_sends_no_credentials(
    wire: ApiClient,
    server: ScriptedServer,
    group: str,
    method: str,
    arguments: dict[str, Any],
    answer: Any,
) -> None:
    server.script(Answer(204) if answer is None else Answer(json=answer))
    wire.configuration.access_token = "t"
    wire.configuration.api_key.update(dict.fromkeys(COOKIES, "k"))
    wire.cookie = "a=b"
    getattr(getattr(apis, f"{group}Api")(wire), method)(**arguments)
    assert not {"authorization", "cookie"} & {*server.requests[0].headers}


# Clients


def test_api_client_keeps_order_of_arguments(server: ScriptedServer) -> None:
    server.script(Answer(json=REPOSITORIES))
    with ApiClient(configuration(server), "X-Team", "data", "a=b", 3) as client:
        client.user_agent = "mine/1"
        client.set_default_header("X-Run", "7")
        apis.RepositoriesApi(client).list_repositories()
        assert client.default_headers["X-Team"] == "data"
        assert client.user_agent == "mine/1"
        assert client.cookie == "a=b"
        assert client.pool_threads == 3
        assert client.last_response is not None
        assert client.last_response.status == 200
    headers = server.requests[0].headers
    assert headers["x-team"] == "data"
    assert headers["x-run"] == "7"
    assert headers["user-agent"] == "mine/1"
    assert headers["cookie"] == "a=b"


def test_closed_client_reconnects(wire: ApiClient, server: ScriptedServer) -> None:
    server.script(*[Answer(json=REF)] * 2)
    api = apis.BranchesApi(wire)
    api.get_branch("repo", "main")
    wire.close()
    wire.close()
    assert api.get_branch("repo", "main").id == "main"


def test_api_without_client_uses_default_configuration() -> None:
    api = apis.BranchesApi()
    assert api.api_client.configuration.host == "http://localhost/api/v1"
    api.api_client.close()


def test_async_req_returns_an_async_result(wire: ApiClient, server: ScriptedServer) -> None:
    api: Any = apis.BranchesApi(wire)
    server.script(Answer(json=REF), Answer(404, json={"message": "branch not found"}))
    call = api.get_branch("repo", "main", async_req=True)
    call.wait(60)
    assert call.ready()
    assert call.get(60) == models.Ref("main", "c1")
    failing = api.get_branch("repo", "none", async_req=True)
    with pytest.raises(lakefs_client.exceptions.NotFoundException):
        failing.get(timeout=60)


def test_async_req_raises_argument_errors_immediately(wire: ApiClient) -> None:
    api: Any = apis.BranchesApi(wire)
    with pytest.raises(ApiTypeError):
        api.get_branch("repo", 7, async_req=True)
    with pytest.raises(TypeError):
        api.get_branch("repo", async_req=True)


def test_async_calls_share_the_thread_pool(server: ScriptedServer) -> None:
    server.script(*[Answer(json=REF)] * 6)
    with ApiClient(configuration(server), pool_threads=3) as client:
        api: Any = apis.BranchesApi(client)
        calls = [api.get_branch("repo", f"b{n}", async_req=True) for n in range(6)]
        assert [call.get(60).id for call in calls] == ["main"] * 6
    assert {r.path.rpartition("/")[2] for r in server.requests} == {f"b{n}" for n in range(6)}


def test_api_call_emits_no_warnings(wire: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(json={"pagination": PAGINATION, "results": [REF]}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert apis.BranchesApi(wire).list_branches("repo").results[0].id == "main"


def test_unusual_status_is_an_api_exception(wire: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(418, body=b"teapot"))
    with pytest.raises(ApiException) as caught:
        apis.BranchesApi(wire).get_branch("repo", "main")
    assert caught.value.status == 418
    assert caught.value.body == "teapot"
