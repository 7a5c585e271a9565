"""Models: construction, access, unknown properties, names, copies, values, repr."""

from __future__ import annotations

import copy
import json
import linecache
import pickle
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from support.scripted import Answer, ScriptedServer

from lakefs_client import (
    ApiAttributeError,
    ApiClient,
    ApiTypeError,
    ApiValueError,
    models,
)
from lakefs_client.apis import (
    AuthApi,
    CommitsApi,
    ConfigApi,
    ExperimentalApi,
    ObjectsApi,
    RepositoriesApi,
)
from lakefs_client.model_utils import model_to_dict
from lakefs_client.models import (
    AuthenticationToken,
    CommitCreation,
    CompletePresignMultipartUpload,
    ExternalLoginInformation,
    ExternalPrincipalCreation,
    ExternalPrincipalSettings,
    LoginInformation,
    ObjectStats,
    ObjectStatsList,
    ObjectUserMetadata,
    Pagination,
    PresignMultipartUpload,
    PullRequest,
    Ref,
    RepositoryCreation,
    StagingLocation,
    StatsEvent,
    StsAuthRequest,
    UploadPart,
)

REF = {"id": "r", "commit_id": "c"}
STATS = {"path": "p", "path_type": "object", "physical_address": "data/x", "checksum": "c",
         "mtime": 1}  # fmt: skip
PAGE = {"has_more": False, "next_offset": "", "results": 1, "max_per_page": 1000}


class Response:
    """A response, as `ApiClient.deserialize` takes it."""

    def __init__(self, value: Any) -> None:
        self.data = json.dumps(value)


@pytest.fixture
def decode(api: ApiClient) -> Callable[[Any, Any], Any]:
    """Provide a function that decodes a value like an answer."""
    return lambda cls, value: api.deserialize(Response(value), (cls,))


def encode(value: Any) -> Any:
    return ApiClient.sanitize_for_serialization(value)


# Constructors


@pytest.mark.parametrize(
    "ref",
    [
        lambda: Ref("r", "c"),
        lambda: Ref("r", commit_id="c"),
        lambda: Ref(id="r", commit_id="c"),
        lambda: Ref(commit_id="c", id="r"),
    ],
)
def test_required_properties_are_positional_or_keyword(ref: Callable[[], Ref]) -> None:
    assert ref().to_dict() == REF


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Ref(), "id, commit_id"),
        (lambda: Ref("r"), "commit_id"),
        (lambda: Ref(commit_id="c"), "lacks required arguments: id"),
        (lambda: Ref("r", "c", "x"), "2 positional arguments"),
        (lambda: Ref("r", "c", id="r"), "multiple values for argument 'id'"),
        (lambda: Ref("r", 5), "'commit_id'"),
        (lambda: Ref("r", None), "'commit_id'"),
        (lambda: CommitCreation("m", date="1"), "'date'"),
        (lambda: CommitCreation("m", metadata={"a": 1}), "'metadata'"),
        (lambda: CompletePresignMultipartUpload("a", [{"part_number": 1}]), "'parts'"),
        (lambda: CompletePresignMultipartUpload("a", "parts"), "'parts'"),
        (lambda: Ref("r", "c", id="again"), "multiple values"),
    ],
)  # fmt: skip
def test_invalid_arguments_raise_type_error(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        make()
    assert isinstance(caught.value, ApiTypeError)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RepositoryCreation("a b", "s3://b"), "must match regular expression"),
        (lambda: RepositoryCreation("repo", "nowhere"), "must match regular expression"),
        (
            lambda: ObjectStats("p", "folder", "a", "c", 1),
            "(folder), must be one of ['common_prefix', 'object']",
        ),
        (lambda: Pagination(True, "", -1, 1), "greater than or equal to `0`"),
        (lambda: models.MetaRangeCreation([]), "number of items must be greater than"),
        (lambda: models.AccessKeyCredentials("", "s"), "length must be greater than"),
    ],
)
def test_invalid_values_raise_value_error(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ApiValueError) as caught:
        make()
    assert message in str(caught.value)


def test_tuple_is_accepted_as_list() -> None:
    upload = CompletePresignMultipartUpload("a", (UploadPart(1, "e"),))  # type: ignore[arg-type]
    assert encode(upload)["parts"] == [{"part_number": 1, "etag": "e"}]


def test_legacy_constructor_options_are_ignored() -> None:
    ref = Ref("r", "c", _check_type=True, _path_to_item=(), _configuration=None)  # type: ignore[call-arg]
    assert ref.to_dict() == REF


# Reading


def test_property_is_attribute_item_and_get() -> None:
    ref = Ref("r", "c")
    assert ref.id == ref["id"] == ref.get("id") == "r"
    assert "id" in ref
    assert "ID" not in ref


@pytest.mark.parametrize("name", ["metadata", "size_bytes", "nothing_of_ours"])
def test_unset_property_raises_attribute_error(name: str) -> None:
    stats = ObjectStats(**STATS)
    with pytest.raises(ApiAttributeError, match=f"ObjectStats has no attribute '{name}'"):
        getattr(stats, name)
    with pytest.raises(ApiAttributeError):
        stats[name]
    assert not hasattr(stats, name)
    assert name not in stats
    assert stats.get(name) is None
    assert stats.get(name, "default") == "default"
    assert name not in stats.to_dict()


# Writing


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("mtime", "1", ApiTypeError),
        ("mtime", True, ApiTypeError),
        ("mtime", 1.5, ApiTypeError),
        ("mtime", None, ApiTypeError),
        ("path_type", "folder", ApiValueError),
        ("metadata", {"a": "b"}, ApiTypeError),
    ],
)
def test_rejected_assignment_changes_nothing(name: str, value: Any, error: type[Exception]) -> None:
    stats = ObjectStats(**STATS)
    before = stats.to_dict()
    with pytest.raises(error, match=name):
        setattr(stats, name, value)
    with pytest.raises(error, match=name):
        stats[name] = value
    assert stats.to_dict() == before


def test_assignment_sets_the_property() -> None:
    stats = ObjectStats(**STATS)
    stats.mtime = 2
    stats["path"] = "other"
    stats.metadata = ObjectUserMetadata(a="b")
    stats.size_bytes = 0
    assert encode(stats) == {
        **STATS, "mtime": 2, "path": "other", "metadata": {"a": "b"}, "size_bytes": 0
    }  # fmt: skip


def test_models_are_unhashable() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(Ref("r", "c"))


# Unknown properties and values


def test_unknown_properties_are_kept_and_sent(api: ApiClient, server: ScriptedServer) -> None:
    commit = {**REF, "parents": [], "committer": "me", "message": "m", "creation_date": 1,
              "meta_range_id": "", "of_tomorrow": {"deep": [1]}}  # fmt: skip
    server.script(Answer(201, json=commit))
    body: Any = CommitCreation("m", brand_new=[1, {"a": None}])  # type: ignore[call-arg]
    body.newer_still = "x"
    body["newest"] = 5
    result: Any = CommitsApi(api).commit("repo", "main", body)
    assert json.loads(server.requests[0].body) == {
        "message": "m", "brand_new": [1, {"a": None}], "newer_still": "x", "newest": 5
    }  # fmt: skip
    assert result.of_tomorrow == result["of_tomorrow"] == {"deep": [1]}
    assert "of_tomorrow" in result
    assert encode(result) == commit


def test_unknown_enum_values_are_kept_but_not_assignable(decode: Callable[..., Any]) -> None:
    stats = decode(ObjectStats, {**STATS, "path_type": "symlink"})
    assert stats.path_type == "symlink"
    assert encode(stats)["path_type"] == "symlink"
    with pytest.raises(ApiValueError):
        stats.path_type = "symlink"
    assert copy.deepcopy(stats) == pickle.loads(pickle.dumps(stats)) == stats


def test_decoding_accepts_values_outside_limits(decode: Callable[..., Any]) -> None:
    assert decode(Pagination, {**PAGE, "results": -5}).results == -5


def test_discard_unknown_keys_applies_at_every_depth(
    api: ApiClient, server: ScriptedServer
) -> None:
    page = {"pagination": {**PAGE, "new": 1}, "new": 2,
            "results": [{**STATS, "new": 3, "metadata": {"key": "kept"}}]}  # fmt: skip
    server.script(Answer(json=page), Answer(json={**page, "results": [{"new": 3}]}))
    api.configuration.discard_unknown_keys = True
    listing = ObjectsApi(api).list_objects("repo", "main")
    assert listing.to_dict() == {
        "pagination": PAGE, "results": [{**STATS, "metadata": {"key": "kept"}}]
    }  # fmt: skip
    with pytest.raises(ApiTypeError, match="path"):  # types are still checked
        ObjectsApi(api).list_objects("repo", "main")


HOSTILE = [
    "get", "to_dict", "to_str", "cls", "self", "_self", "args", "kwargs", "name", "value", "model",
    "", " ", "\x00", "__class__", "__dict__", "__init__", "__eq__", "__hash__", "__reduce__",
    "__reduce_ex__", "__getattr__", "__setattr__", "__getitem__", "__contains__", "__copy__",
    "__deepcopy__", "__getstate__", "__setstate__", "__doc__", "__len__", "__iter__", "__slots__",
    "_schema", "_adopt", "_load", "_items", "_as_wire", "_set_undeclared", "_undeclared", "_wire",
    "_compiled", "_optional", "_entries", "_secret", "_limits", "attribute_map", "openapi_types",
    "allowed_values", "validations", "additional_properties_type", "read_only_vars",
    "discriminator", "_from_openapi_data", "_check_type", "_configuration", "items", "keys",
    "values", "update", "pop", "def", "None", "a.b", "é",
]  # fmt: skip


@pytest.mark.parametrize("key", HOSTILE)
@pytest.mark.parametrize("kind", ["unknown in a model", "entry of a map", "nested"])
def test_decoded_key_does_not_shadow_methods(
    decode: Callable[..., Any], key: str, kind: str
) -> None:
    if kind == "unknown in a model":
        data: Any = {**REF, key: "text"}
        model = holder = decode(Ref, data)
    elif kind == "entry of a map":
        data = {key: "text", "other": "x"}
        model = holder = decode(ObjectUserMetadata, data)
    else:
        data = {"pagination": PAGE, "results": [{**STATS, "metadata": {key: "text"}, key: "text"}]}
        model = decode(ObjectStatsList, data)
        holder = model.results[0]
        assert holder.metadata[key] == "text"
    assert holder[key] == "text"
    assert holder.get(key) == "text"
    assert key in holder
    assert type(model) is type(holder) or kind == "nested"
    assert model.to_dict() == data
    assert encode(model) == data
    assert repr(model) == model.to_str() == str(model)
    for again in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert again == model
        assert encode(again) == data
    assert isinstance(holder.to_dict, Callable)  # type: ignore[arg-type]


# Without the legacy options of constructors.
@pytest.mark.parametrize("key", [k for k in HOSTILE if k not in ("_check_type", "_configuration")])
def test_assigned_key_does_not_shadow_methods(key: str) -> None:
    entries = ObjectUserMetadata(**{"first": "1", key: "text"})
    unknown: Any = Ref("r", "c")
    unknown[key] = "text"
    for model, data in ((entries, {"first": "1", key: "text"}), (unknown, {**REF, key: "text"})):
        assert model[key] == "text"
        assert encode(model) == data == model.to_dict()
        assert copy.deepcopy(model) == model


# Map models


def test_map_model_accepts_any_name(decode: Callable[..., Any]) -> None:
    metadata: Any = ObjectUserMetadata(a="1")
    metadata.b = "2"
    metadata["c d"] = "3"
    assert metadata.to_dict() == {"a": "1", "b": "2", "c d": "3"}
    assert (metadata.a, metadata["c d"], metadata.get("z", "no")) == ("1", "3", "no")
    assert metadata == decode(ObjectUserMetadata, {"c d": "3", "a": "1", "b": "2"})
    assert ObjectUserMetadata().to_dict() == {}


@pytest.mark.parametrize("value", [1, None, b"x", ["x"], True])
def test_map_model_rejects_other_than_text(decode: Callable[..., Any], value: Any) -> None:
    with pytest.raises(ApiTypeError, match="'a'"):
        ObjectUserMetadata(a=value)
    metadata: Any = ObjectUserMetadata()
    with pytest.raises(ApiTypeError):
        metadata.a = value
    with pytest.raises(ApiTypeError):
        metadata["a"] = value
    assert metadata.to_dict() == {}
    if not isinstance(value, bytes):
        with pytest.raises(ApiTypeError, match="'a'"):
            decode(ObjectUserMetadata, {"a": value})


# Names


def test_properties_are_sent_with_json_names(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(json={"token": "t"}))
    login = ExternalLoginInformation({"a": [1, None]}, token_expiration_duration=60)
    assert login.to_dict() == {"identity_request": {"a": [1, None]},
                               "token_expiration_duration": 60}  # fmt: skip
    wire = {"identityRequest": {"a": [1, None]}, "token_expiration_duration": 60}
    assert model_to_dict(login) == wire
    assert model_to_dict(login, serialize=False) == login.to_dict()
    AuthApi(api).external_principal_login(external_login_information=login)
    assert json.loads(server.requests[0].body) == wire


@pytest.mark.parametrize(
    ("model", "name", "wire"),
    [
        ("ExternalLoginInformation", "identity_request", "identityRequest"),
        ("CommPrefsInput", "feature_updates", "featureUpdates"),
        ("CommPrefsInput", "security_updates", "securityUpdates"),
        ("LoginConfig", "rbac", "RBAC"),
        ("StatsEvent", "_class", "class"),
        ("StorageConfig", "blockstore_namespace_validity_regex",
         "blockstore_namespace_ValidityRegex"),
    ],
)  # fmt: skip
def test_attribute_map_contains_differing_names(model: str, name: str, wire: str) -> None:
    assert getattr(models, model).attribute_map[name] == wire


def test_dict_body_has_python_names(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(json={"token": "t"}))
    AuthApi(api).external_principal_login(
        external_login_information={"identity_request": {"x": 1}, "extra": [1]}
    )
    assert json.loads(server.requests[0].body) == {"identityRequest": {"x": 1}, "extra": [1]}


def test_class_property_is_positional() -> None:
    event = StatsEvent("storage", "put", 5)
    assert event._class == event["_class"] == "storage"
    assert encode(event) == {"class": "storage", "name": "put", "count": 5}


# Equality, copies, pickles


def test_models_are_equal_by_class_and_data(decode: Callable[..., Any]) -> None:
    assert Ref("r", "c") == Ref("r", "c") == decode(Ref, REF)
    assert Ref("r", "c") != Ref("r", "x")
    assert Ref("r", "c") != Ref("r", "c", extra=1)  # type: ignore[call-arg]
    assert Ref("r", "c") != REF
    assert ObjectUserMetadata(a="1") != ExternalPrincipalSettings(a="1")
    listing = decode(ObjectStatsList, {"pagination": PAGE, "results": [STATS]})
    assert listing == ObjectStatsList(Pagination(**PAGE), [ObjectStats(**STATS)])
    listing.results[0].mtime = 9
    assert listing != ObjectStatsList(Pagination(**PAGE), [ObjectStats(**STATS)])


@pytest.fixture
def listing(decode: Callable[..., Any]) -> ObjectStatsList:
    """Provide a decoded page with nested and unknown properties."""
    stats = {**STATS, "metadata": {"a": "1"}, "new": {"deep": [1]}}
    result: ObjectStatsList = decode(
        ObjectStatsList, {"pagination": PAGE, "results": [stats, STATS], "more": [1]}
    )
    return result


def test_copy_is_shallow_and_deepcopy_is_deep(listing: Any) -> None:
    shallow, deep = copy.copy(listing), copy.deepcopy(listing)
    assert shallow == deep == listing
    shallow.extra = 1
    assert "extra" not in listing
    listing.results[0].metadata.a = "2"
    listing.results[0]["new"]["deep"].append(2)
    assert shallow.results[0].metadata.a == "2"
    assert deep.results[0].metadata.a == "1"
    assert deep.results[0]["new"] == {"deep": [1]}


def test_deepcopy_preserves_shared_references() -> None:
    part = UploadPart(1, "e")
    upload = CompletePresignMultipartUpload("a", [part, part])
    again = copy.deepcopy(upload)
    assert again.parts[0] is again.parts[1]
    assert again.parts[0] is not part


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_restores_nested_models(listing: Any, protocol: int) -> None:
    again = pickle.loads(pickle.dumps(listing, protocol))
    assert again == listing
    assert type(again.results[0].metadata) is ObjectUserMetadata
    assert b"Configuration" not in pickle.dumps(listing, protocol)


def test_pickle_is_read_by_a_fresh_process(listing: Any) -> None:
    code = (
        "import pickle, sys; listing = pickle.load(sys.stdin.buffer); "
        "assert listing.results[0].metadata.a == '1'; assert listing.more == [1]; "
        "listing.results[0].mtime = 5; sys.stdout.buffer.write(pickle.dumps(listing))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], input=pickle.dumps(listing),
        capture_output=True, check=True, timeout=100,
    )  # fmt: skip
    again = pickle.loads(done.stdout)
    assert again.results[0].mtime == 5
    listing.results[0].mtime = 5
    assert again == listing


# Values


def test_free_form_values_are_not_converted(api: ApiClient, server: ScriptedServer) -> None:
    value = {
        "whole": 1, "text of a date": "2024-05-06T07:08:09Z", "float": 1.0, "none": None,
        "big": 2**80, "nested": [{"a": [True, {}]}, []], "": "", "é": "\u2028",
    }  # fmt: skip
    server.script(Answer(json={"token": "t", "unknown": value}))
    login = ExternalLoginInformation(value)
    result: Any = AuthApi(api).external_principal_login(external_login_information=login)
    sent = json.loads(server.requests[0].body)["identityRequest"]
    for arrived in (sent, result.unknown):
        assert arrived == value
        assert type(arrived["whole"]) is int
        assert type(arrived["float"]) is float
        assert type(arrived["text of a date"]) is str


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-05-06T07:08:09Z", datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone.utc)),
        ("2024-05-06T07:08:09.123456Z",
         datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=timezone.utc)),
        ("2024-05-06T07:08:09.123456789Z",
         datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=timezone.utc)),
        ("2024-05-06T09:08:09+02:00", datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone.utc)),
    ],
)  # fmt: skip
def test_datetime_is_decoded(decode: Callable[..., Any], text: str, moment: datetime) -> None:
    run = {"run_id": "1", "branch": "b", "start_time": text, "commit_id": "c",
           "event_type": "e", "status": "completed"}  # fmt: skip
    result = decode(models.ActionRun, run)
    assert result.start_time == moment
    assert encode(result)["start_time"].startswith("2024-05-06T0")


@pytest.mark.parametrize("text", ["soon", "", "2024-99-99", "9" * 400, "2024-05-06T07:08:09+99:99"])
def test_invalid_datetime_is_rejected(decode: Callable[..., Any], text: str) -> None:
    run = {"run_id": "1", "branch": "b", "start_time": text, "commit_id": "c",
           "event_type": "e", "status": "completed"}  # fmt: skip
    with pytest.raises(ApiTypeError, match="start_time"):
        decode(models.ActionRun, run)


def test_constructor_does_not_convert_types() -> None:
    with pytest.raises(ApiTypeError, match="start_time"):
        models.ActionRun("1", "b", "2024-05-06T07:08:09Z", "e", "completed", "c")  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [None, "url"])
def test_nullable_property_keeps_null(decode: Callable[..., Any], value: Any) -> None:
    location = decode(StagingLocation, {"presigned_url": value})
    assert location.presigned_url == value
    assert encode(location) == {"presigned_url": value}
    assert location == StagingLocation(presigned_url=value)


def test_composed_model_has_all_properties(decode: Callable[..., Any]) -> None:
    data = {"id": "1", "status": "open", "author": "a", "creation_date": "2024-05-06T07:08:09Z",
            "source_branch": "s", "destination_branch": "d", "title": "t",
            "description": "x"}  # fmt: skip
    pull: PullRequest = decode(PullRequest, data)
    assert (pull.id, pull.title, pull.description) == ("1", "t", "x")
    assert set(data) <= set(PullRequest.attribute_map)


def test_lists_of_strings_and_models_are_decoded(
    api: ApiClient, server: ScriptedServer, decode: Callable[..., Any]
) -> None:
    upload = decode(
        PresignMultipartUpload,
        {"upload_id": "i", "physical_address": "a", "presigned_urls": ["x", "y"]},
    )
    assert upload.presigned_urls == ["x", "y"]
    server.script(Answer(json=[{"pattern": "a*"}, {"pattern": "b"}]))
    rules = RepositoriesApi(api).get_branch_protection_rules("repo")
    assert [rule.pattern for rule in rules] == ["a*", "b"]


# Settings of an external principal


SETTINGS: list[Any] = [
    {"a": "1", "b": "2"},
    ExternalPrincipalSettings(a="1", b="2"),
    [ExternalPrincipalSettings(a="1", b="2")],
    [ExternalPrincipalSettings(a="1"), ExternalPrincipalSettings(b="2")],
    [ExternalPrincipalSettings(a="1", b="2"), ExternalPrincipalSettings(b="2")],
    [{"a": "1"}, ExternalPrincipalSettings(b="2")],
    (ExternalPrincipalSettings(a="1"), {"b": "2"}),
]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("as_dict", [False, True])
def test_principal_settings_are_sent_as_one_object(
    api: ApiClient, server: ScriptedServer, settings: Any, as_dict: bool
) -> None:
    server.script(Answer(201))
    body: Any = {"settings": settings} if as_dict else ExternalPrincipalCreation(settings=settings)
    ExperimentalApi(api).create_user_external_principal(
        "user", "principal", external_principal_creation=body
    )
    assert json.loads(server.requests[0].body) == {"settings": {"a": "1", "b": "2"}}


@pytest.mark.parametrize("settings", [[], {}, ExternalPrincipalSettings()])
def test_empty_principal_settings_are_an_empty_object(settings: Any) -> None:
    assert encode(ExternalPrincipalCreation(settings=settings)) == {"settings": {}}


@pytest.mark.parametrize(
    "settings",
    [
        [ExternalPrincipalSettings(a="1"), ExternalPrincipalSettings(a="2")],
        [{"a": "1"}, {"b": "1"}, {"a": "2"}],
    ],
)
@pytest.mark.parametrize("as_dict", [False, True])
def test_conflicting_principal_settings_are_named(
    api: ApiClient, server: ScriptedServer, settings: Any, as_dict: bool
) -> None:
    def call() -> None:
        body: Any = (
            {"settings": settings} if as_dict else ExternalPrincipalCreation(settings=settings)
        )
        ExperimentalApi(api).create_user_external_principal(
            "user", "principal", external_principal_creation=body
        )

    with pytest.raises(ApiValueError, match=r"'a' .* at \['settings'\]"):
        call()
    assert server.connections == 0


@pytest.mark.parametrize("settings", ["a=1", 5, [["a", "1"]], {"a": 1}, [{"a": None}], {1: "a"}])
def test_invalid_principal_settings_raise_type_error(settings: Any) -> None:
    with pytest.raises(ApiTypeError, match="settings"):
        ExternalPrincipalCreation(settings=settings)


# Repr


@pytest.mark.parametrize(
    ("model", "secret"),
    [
        (LoginInformation("id", "hunter2"), "secret_access_key"),
        (AuthenticationToken("hunter2"), "token"),
        (StsAuthRequest("hunter2", "state", "uri"), "code"),
        (models.CredentialsWithSecret("id", "hunter2", 1), "secret_access_key"),
        (models.AccessKeyCredentials("id", "hunter2"), "secret_access_key"),
    ],
)
def test_repr_hides_secrets_but_properties_do_not(model: Any, secret: str) -> None:
    assert "hunter2" not in repr(model) + str(model) + f"{model!s:>200}" + model.to_str()
    assert "hunter2" not in repr([model]) + repr({"x": model})
    assert model.to_dict()[secret] == model[secret] == encode(model)[secret] == "hunter2"


def test_repr_hides_secrets_of_nested_models() -> None:
    setup = models.Setup("admin", key=models.AccessKeyCredentials("id", "hunter2"))
    assert "hunter2" not in repr(setup)
    assert "admin" in repr(setup)
    assert setup.to_dict()["key"]["secret_access_key"] == "hunter2"


def test_repr_hides_url_signatures() -> None:
    url = "https://store/key?X-Amz-Credential=AKIA&X-Amz-Signature=hunter2&partNumber=1"
    upload = PresignMultipartUpload("id", "address", presigned_urls=[url])
    assert "hunter2" not in repr(upload)
    assert "https://store/key" in repr(upload)
    assert upload.presigned_urls == [url]


def test_repr_is_the_sorted_dict() -> None:
    assert repr(Ref("r", "c")) == str(Ref("r", "c")) == "{'commit_id': 'c', 'id': 'r'}"


# Class attributes


def test_class_attributes_describe_the_schema() -> None:
    assert ObjectStats.attribute_map["path"] == "path"
    assert ObjectStats.openapi_types["mtime"] == (int,)
    assert ObjectStats.openapi_types["metadata"] == (ObjectUserMetadata,)
    assert ObjectStatsList.openapi_types["results"] == ([ObjectStats],)
    assert StagingLocation.openapi_types["presigned_url"] == (str, type(None))
    assert ObjectStats.allowed_values == {
        ("path_type",): {"COMMON_PREFIX": "common_prefix", "OBJECT": "object"}
    }
    assert Pagination.validations == {
        ("results",): {"inclusive_minimum": 0},
        ("max_per_page",): {"inclusive_minimum": 0},
    }
    assert set(RepositoryCreation.validations) == {("name",), ("storage_namespace",)}
    assert "pattern" in RepositoryCreation.validations[("name",)]["regex"]
    assert ObjectUserMetadata.additional_properties_type == (str,)
    assert dict in Ref.additional_properties_type
    assert Ref.read_only_vars == frozenset()
    assert Ref.discriminator is None
    assert Ref("r", "c").attribute_map == {"id": "id", "commit_id": "commit_id"}


def test_from_openapi_data_constructs_a_model() -> None:
    assert Ref._from_openapi_data("r", commit_id="c", _check_type=True) == Ref("r", "c")


# The caller's arguments; other types


def test_constructor_arguments_are_not_modified() -> None:
    parts = [UploadPart(1, "e")]
    metadata = {"a": "1"}
    upload = CompletePresignMultipartUpload("a", parts)
    commit = CommitCreation("m", metadata=metadata)
    encode(upload)
    encode(commit)
    upload.to_dict()["parts"].append("x")
    commit.to_dict()["metadata"]["b"] = "2"
    assert parts == [UploadPart(1, "e")]
    assert metadata == {"a": "1"}
    assert upload.parts is parts


def test_check_return_type_false_skips_container_checks(
    api: ApiClient, server: ScriptedServer
) -> None:
    server.script(
        Answer(json={"results": "none", "pagination": [1]}),
        Answer(json={"results": {"path": "p"}, "pagination": PAGE}),
        Answer(json=[1]),
    )
    listing: Any = ObjectsApi(api).list_objects("r", "main", _check_return_type=False)
    assert (listing.results, listing.pagination) == ("none", [1])
    listing = ObjectsApi(api).list_objects("r", "main", _check_return_type=False)
    assert (listing.results, listing.pagination.results) == ({"path": "p"}, 1)
    assert ObjectsApi(api).list_objects("r", "main", _check_return_type=False) == [1]


def test_property_rejects_another_model() -> None:
    with pytest.raises(ApiTypeError, match="pagination"):
        ObjectStatsList(Ref("r", "c"), [])  # type: ignore[arg-type]


def test_model_can_be_subclassed() -> None:
    class MyRef(Ref):
        """A subclass with a method."""

        def short(self) -> str:
            return self.commit_id[:1]

    mine = MyRef("r", "commit")
    assert mine.short() == "c"
    assert encode(mine) == {"id": "r", "commit_id": "commit"}
    assert mine != Ref("r", "commit")
    assert CommitCreation("m", metadata={}).metadata == {}


def test_server_configuration_is_decoded(api: ApiClient, server: ScriptedServer) -> None:
    storage = {
        "blockstore_type": "s3", "blockstore_namespace_example": "s3://x",
        "blockstore_namespace_ValidityRegex": "^s3://", "pre_sign_support": True,
        "pre_sign_support_ui": False, "import_support": True, "import_validity_regex": "^s3://",
    }  # fmt: skip
    server.script(Answer(json={"storage_config": storage, "version_config": {"version": "1.84"}}))
    config = ConfigApi(api).get_config()
    assert config.storage_config.blockstore_namespace_validity_regex == "^s3://"
    assert config["version_config"]["version"] == "1.84"
    assert encode(config)["storage_config"] == storage


def test_traceback_of_a_compiled_check_shows_its_source() -> None:
    fits = Ref._schema().fits
    file = fits.__code__.co_filename
    assert "".join(linecache.getlines(file)).startswith("def fits(v):\n try:\n")
    assert linecache.getline(file, fits.__code__.co_firstlineno).strip() == "def fits(v):"
