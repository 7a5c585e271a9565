"""Models and exceptions that code written for 1.44 relies on."""

from __future__ import annotations

import operator
import pickle
from collections.abc import Callable
from datetime import datetime, timezone
from pprint import pformat
from typing import Any

import pytest
from support.scripted import Answer, ScriptedServer

from lakefs_client import (
    ApiAttributeError,
    ApiClient,
    ApiException,
    ApiKeyError,
    ApiTypeError,
    ApiValueError,
    OpenApiException,
    apis,
    models,
)
from lakefs_client.exceptions import (
    ForbiddenException,
    NotFoundException,
    ServiceException,
    UnauthorizedException,
)
from lakefs_client.model_utils import model_to_dict

from .conftest import PAGINATION, REF, STATS

TIME = datetime(2024, 2, 29, 1, 2, 3, tzinfo=timezone.utc)


def stats(**more: Any) -> models.ObjectStats:
    return models.ObjectStats("a", "object", "s3://lake/a", "d41d8", 1, **more)


# Models


def test_required_properties_are_positional_or_keyword() -> None:
    assert (
        models.Ref("a", "b") == models.Ref(id="a", commit_id="b") == models.Ref("a", commit_id="b")
    )


def test_only_required_properties_are_positional() -> None:
    instance = stats(size_bytes=3, content_type="text/csv")
    assert [*instance.to_dict()][:5] == [
        "path", "path_type", "physical_address", "checksum", "mtime"
    ]  # fmt: skip
    surplus: Any = 3
    with pytest.raises(TypeError):
        models.ObjectStats("a", "object", "s3://lake/a", "d41d8", 1, surplus)


@pytest.mark.parametrize("given", [{}, {"id": "a"}, {"commit_id": "b"}])
def test_missing_required_property_raises_type_error(given: dict[str, str]) -> None:
    with pytest.raises(TypeError):
        models.Ref(**given)


def test_property_is_attribute_item_and_get() -> None:
    ref = models.Ref("a", "b")
    assert ref.id == ref["id"] == ref.get("id") == "a"


def test_in_operator_tests_set_properties() -> None:
    instance = stats(size_bytes=3)
    assert "path" in instance
    assert "size_bytes" in instance
    assert "content_type" not in instance
    assert "unknown" not in instance


def test_unset_property_raises_attribute_error() -> None:
    instance: Any = stats()
    with pytest.raises(ApiAttributeError):
        _ = instance.size_bytes
    with pytest.raises(ApiAttributeError):
        _ = instance["size_bytes"]
    assert not hasattr(instance, "size_bytes")
    assert not hasattr(instance, "metadata")
    assert instance.get("size_bytes") is None
    assert instance.get("size_bytes", 7) == 7


def test_models_are_unhashable() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(models.Ref("a", "b"))


@pytest.mark.parametrize("assign", [setattr, operator.setitem])
@pytest.mark.parametrize(
    ("model", "name", "value", "error"),
    [
        (models.Ref("a", "b"), "id", 7, ApiTypeError),
        (models.ResetCreation("reset"), "type", "everything", ApiValueError),
        (models.RepositoryCreation("repo", "s3://x"), "name", "Bad Name", ApiValueError),
        (models.CommitCreation("m"), "metadata", {"a": 1}, ApiTypeError),
    ],
    ids=["type", "enum", "pattern", "type within"],
)
def test_assignment_validates_type_enum_and_pattern(
    assign: Callable[[Any, str, object], None],
    model: Any,
    name: str,
    value: object,
    error: type[Exception],
) -> None:
    before = model.get(name)
    with pytest.raises(error):
        assign(model, name, value)
    assert model.get(name) == before


def test_assignment_sets_the_property() -> None:
    instance = stats()
    instance.size_bytes = 4
    instance["content_type"] = "text/csv"
    assert (instance["size_bytes"], instance.content_type) == (4, "text/csv")


def test_unknown_properties_are_kept_and_sent(wire: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(json={**REF, "newer": {"deep": [1]}}))
    found: Any = apis.BranchesApi(wire).get_branch("repo", "main")
    found.added = "later"
    keyword: dict[str, Any] = {"keyword": 1}
    instance: Any = models.Ref("a", "b", **keyword)
    assert found.newer == found["newer"] == {"deep": [1]}
    assert wire.sanitize_for_serialization(found) == {
        **REF, "newer": {"deep": [1]}, "added": "later",
    }  # fmt: skip
    assert instance.keyword == instance.to_dict()["keyword"] == 1


@pytest.mark.parametrize(
    "model",
    [models.ObjectUserMetadata, models.ExternalPrincipalSettings, models.RepositoryMetadata],
)
def test_map_model_accepts_str_values_only(model: Any) -> None:
    instance = model(owner="me")
    instance["purpose"] = "test"
    assert instance.to_dict() == {"owner": "me", "purpose": "test"}
    assert instance["owner"] == instance.owner == "me"
    with pytest.raises(ApiTypeError):
        model(owner=1)
    with pytest.raises(ApiTypeError):
        instance["owner"] = None


def test_dict_conversions_differ_in_names() -> None:
    preferences = models.CommPrefsInput(True, False, email="a@b.c")
    assert preferences.to_dict() == {
        "feature_updates": True, "security_updates": False, "email": "a@b.c",
    }  # fmt: skip
    assert model_to_dict(preferences) == {
        "featureUpdates": True, "securityUpdates": False, "email": "a@b.c",
    }  # fmt: skip


def test_to_dict_converts_nested_models() -> None:
    page = models.ObjectStatsList(
        models.Pagination(False, "", 1, 1000),
        [stats(metadata=models.ObjectUserMetadata(owner="me"))],
    )
    found = page.to_dict()
    assert found["pagination"]["max_per_page"] == 1000
    assert found["results"][0]["metadata"] == {"owner": "me"}


def test_repr_str_and_to_str_are_the_formatted_dict() -> None:
    instance = stats(metadata=models.ObjectUserMetadata(owner="me"))
    assert repr(instance) == str(instance) == instance.to_str() == pformat(instance.to_dict())


def test_models_are_equal_by_class_and_data() -> None:
    assert models.Ref("a", "b") == models.Ref("a", "b")
    assert models.Ref("a", "b") != models.Ref("a", "c")
    assert models.TaskInfo("a") != models.TaskCreation("a")
    assert models.TaskInfo("a") != {"id": "a"}


def test_class_attributes_describe_the_model() -> None:
    kind: Any = models.ObjectStats
    assert kind.attribute_map["size_bytes"] == "size_bytes"
    assert models.CommPrefsInput.attribute_map["feature_updates"] == "featureUpdates"
    assert kind.openapi_types["path"] == (str,)
    assert kind.openapi_types["metadata"] == (models.ObjectUserMetadata,)
    assert models.CommitList.openapi_types["results"] == ([models.Commit],)
    assert kind.allowed_values == {
        ("path_type",): {"COMMON_PREFIX": "common_prefix", "OBJECT": "object"}
    }
    assert "regex" in models.RepositoryCreation.validations[("name",)]
    assert bool in kind.additional_properties_type
    assert models.ObjectUserMetadata.additional_properties_type == (str,)
    assert kind.read_only_vars == frozenset()
    assert kind.discriminator is None


def test_from_openapi_data_constructs_a_model() -> None:
    instance = models.Ref._from_openapi_data("a", commit_id="b", _check_type=False)
    assert instance == models.Ref("a", "b")


LOGIN_CONFIG = {"login_url": "u", "login_cookie_names": ["c"], "logout_url": "o", "RBAC": "none"}
STORAGE = {
    "blockstore_type": "s3",
    "blockstore_namespace_example": "s3://example",
    "blockstore_namespace_ValidityRegex": "^s3://",
    "pre_sign_support": True,
    "pre_sign_support_ui": True,
    "import_support": True,
    "import_validity_regex": "^s3://",
}


@pytest.mark.parametrize(
    ("model", "data", "name", "value"),
    [
        (
            models.ExternalLoginInformation,
            {"identityRequest": {"a": 1}},
            "identity_request",
            {"a": 1},
        ),
        (models.CommPrefsInput, {"featureUpdates": True, "securityUpdates": False},
         "security_updates", False),
        (models.LoginConfig, LOGIN_CONFIG, "rbac", "none"),
        (models.StatsEvent, {"class": "c", "name": "n", "count": 1}, "_class", "c"),
        (models.StorageConfig, STORAGE, "blockstore_namespace_validity_regex", "^s3://"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)  # fmt: skip
def test_differing_json_names_are_read_and_sent(
    wire: ApiClient, server: ScriptedServer, model: type[Any], data: dict[str, Any], name: str,
    value: object,
) -> None:  # fmt: skip
    server.script(Answer(json=data))
    found = wire.call_api("/x", "GET", response_type=(model,), _return_http_data_only=True)
    assert found[name] == getattr(found, name) == value
    assert wire.sanitize_for_serialization(found) == data


def test_namespace_regex_is_read_in_both_spellings(wire: ApiClient, server: ScriptedServer) -> None:
    renamed = {k.replace("ValidityRegex", "validity_regex"): v for k, v in STORAGE.items()}
    server.script(Answer(json={"storage_config": renamed}))
    found = apis.ConfigApi(wire).get_config()
    assert found.storage_config.blockstore_namespace_validity_regex == "^s3://"


@pytest.mark.parametrize("value", [str(TIME), TIME.timestamp()])
def test_constructor_does_not_convert_types(value: Any) -> None:
    with pytest.raises(ApiTypeError, match="datetime"):
        models.ImportStatus(True, value)
    assert models.ImportStatus(True, TIME).update_time == TIME


def test_answer_datetime_is_converted(wire: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(json={"completed": True, "update_time": "2024-02-29T01:02:03Z"}))
    found = apis.ImportApi(wire).import_status("repo", "main", "id")
    assert found == models.ImportStatus(True, TIME)


def test_pull_request_has_properties_of_basic_schema(
    wire: ApiClient, server: ScriptedServer
) -> None:
    data = {
        "id": "7",
        "creation_date": "2024-02-29T01:02:03Z",
        "author": "me",
        "source_branch": "dev",
        "destination_branch": "main",
        "status": "open",
        "title": "t",
        "description": "d",
    }
    server.script(Answer(json=data))
    found = apis.PullsApi(wire).get_pull_request("repo", "7")
    assert found.to_dict() == {**data, "creation_date": TIME}
    basic = models.PullRequestBasic.attribute_map
    assert {*basic} <= {*models.PullRequest.attribute_map}


# Exceptions


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (ApiTypeError, TypeError),
        (ApiValueError, ValueError),
        (ApiKeyError, KeyError),
        (ApiAttributeError, AttributeError),
        (ApiException, Exception),
    ],
)
def test_exception_has_common_and_builtin_base(
    error: type[Exception], builtin: type[Exception]
) -> None:
    assert issubclass(error, OpenApiException)
    assert issubclass(error, builtin)
    assert issubclass(OpenApiException, Exception)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, UnauthorizedException),
        (403, ForbiddenException),
        (404, NotFoundException),
        (500, ServiceException),
        (501, ServiceException),
        (503, ServiceException),
        (300, ApiException),
        (400, ApiException),
        (409, ApiException),
        (412, ApiException),
        (420, ApiException),
        (429, ApiException),
    ],
)
def test_status_selects_the_exception_class(
    wire: ApiClient, server: ScriptedServer, status: int, kind: type[ApiException]
) -> None:
    wire.configuration.retries = False
    server.script(Answer(status, json={"message": "no"}))
    with pytest.raises(kind) as caught:
        apis.BranchesApi(wire).get_branch("repo", "main")
    others = {
        UnauthorizedException, ForbiddenException, NotFoundException, ServiceException,
    } - {kind}  # fmt: skip
    assert not isinstance(caught.value, tuple(others))
    assert caught.value.status == status


def not_found(wire: ApiClient, server: ScriptedServer) -> NotFoundException:
    server.script(Answer(404, json={"message": "branch not found"}, headers={"X-Request-Id": "7"}))
    with pytest.raises(NotFoundException) as caught:
        apis.BranchesApi(wire).get_branch("repo", "none")
    return caught.value


def test_exception_has_status_reason_body_and_headers(
    wire: ApiClient, server: ScriptedServer
) -> None:
    error = not_found(wire, server)
    assert (error.status, error.reason) == (404, "Not Found")
    assert error.body == '{"message": "branch not found"}'
    assert error.headers is not None
    assert error.headers["x-request-id"] == error.headers["X-Request-ID"] == "7"


def test_exception_can_be_built_manually() -> None:
    error = ApiException(status=404, reason="Not Found")
    assert (error.status, error.reason, error.body, error.headers) == (404, "Not Found", None, None)
    assert str(error) == "(404)\nReason: Not Found\n"
    assert str(NotFoundException(404, "gone")) == "(404)\nReason: gone\n"


def test_str_shows_status_reason_headers_and_body(wire: ApiClient, server: ScriptedServer) -> None:
    lines = str(not_found(wire, server)).split("\n")
    assert lines[:2] == ["(404) get_branch: branch not found", "Reason: Not Found"]
    assert lines[2].startswith("HTTP response headers: ")
    assert "X-Request-Id" in lines[2]
    assert lines[3] == 'HTTP response body: {"message": "branch not found"}'
    assert lines[4].startswith("GET http://")
    assert lines[4].endswith(", request id 7")
    assert lines[5:] == [""]


def test_exceptions_can_be_pickled(wire: ApiClient, server: ScriptedServer) -> None:
    error = not_found(wire, server)
    twin = pickle.loads(pickle.dumps(error))
    assert type(twin) is NotFoundException
    assert str(twin) == str(error)
    assert twin.headers["x-request-id"] == "7"
    for other in (ApiTypeError("m", ["a", 0], (str,), False), ApiValueError("m"), ApiKeyError("k")):
        again = pickle.loads(pickle.dumps(other))
        assert (type(again), str(again)) == (type(other), str(other))


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"<html>login</html>", "text/html"),
        (b"", "application/json"),
        (b'{"id": "main", ', "application/json"),
        (b"[]", "application/json"),
        (b"null", "application/json"),
    ],
    ids=["html", "empty", "malformed", "a list", "null"],
)
def test_answer_other_than_model_raises_type_error(
    wire: ApiClient, server: ScriptedServer, body: bytes, content_type: str
) -> None:
    server.script(Answer(200, body, {"Content-Type": content_type}))
    with pytest.raises(ApiTypeError):
        apis.BranchesApi(wire).get_branch("repo", "main")


@pytest.mark.parametrize("body", [b"", b"<html></html>", b"{", b'{"id": 7}'])
def test_method_without_result_ignores_the_body(
    wire: ApiClient, server: ScriptedServer, body: bytes
) -> None:
    server.script(Answer(200, body, {"Content-Type": "application/json"}))
    api: Any = apis.BranchesApi(wire)
    assert api.delete_branch("repo", "dev") is None


def test_page_results_are_models(wire: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(json={"pagination": PAGINATION, "results": [STATS, STATS]}))
    found = apis.ObjectsApi(wire).list_objects("repo", "main")
    assert [item.path for item in found.results] == ["a", "a"]
    assert found["results"][0]["size_bytes"] == 3
    assert found.pagination["has_more"] is False
