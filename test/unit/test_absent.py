"""None and null for optional values, and misuse of arguments and properties."""

from __future__ import annotations

import enum
import warnings
from typing import Any

import pytest
from support.scripted import Answer, ScriptedServer

from lakefs_client import ApiAttributeError, ApiClient, ApiTypeError, Configuration
from lakefs_client.apis import BranchesApi, CommitsApi, ObjectsApi, RepositoriesApi
from lakefs_client.client import LakeFSClient
from lakefs_client.models import CommitCreation

PAGE = {"has_more": False, "next_offset": "", "results": 0, "max_per_page": 1000}
COMMIT = {
    "id": "a", "parents": ["b"], "committer": "c", "message": "m", "creation_date": 1,
    "meta_range_id": "x", "metadata": {},
}  # fmt: skip
STATS = {
    "path": "p", "path_type": "object", "physical_address": "s3://a/b", "checksum": "c", "mtime": 1,
}  # fmt: skip


def test_optional_argument_none_is_not_sent(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(json={"pagination": PAGE, "results": []}))
    options: Any = {"prefix": None, "after": None, "amount": 5}
    RepositoriesApi(api).list_repositories(**options)
    assert server.requests[0].query == "amount=5"


def test_optional_property_none_is_not_sent() -> None:
    options: Any = {"metadata": None}
    commit = CommitCreation("m", **options)
    assert commit.to_dict() == {"message": "m"}
    commit.metadata = {"a": "b"}
    setattr(commit, "metadata", None)  # noqa: B010 (type checkers reject the assignment)
    assert "metadata" not in commit


@pytest.mark.parametrize("value", [None, 5])
def test_required_argument_rejects_none(value: Any, api: ApiClient) -> None:
    with pytest.raises(ApiTypeError):
        BranchesApi(api).get_branch("repo", value)
    with pytest.raises(ApiTypeError):
        CommitCreation(value)


@pytest.mark.parametrize(
    ("body", "absent", "empty"),
    [
        ({**COMMIT, "metadata": None}, "metadata", None),
        ({**COMMIT, "parents": None}, None, "parents"),
    ],
)
def test_null_is_decoded_as_absent_or_empty(
    api: ApiClient, server: ScriptedServer, body: Any, absent: str | None, empty: str | None
) -> None:
    server.script(Answer(json=body))
    commit = CommitsApi(api).get_commit("repo", "a")
    assert absent is None or absent not in commit
    assert empty is None or commit[empty] == []


@pytest.mark.parametrize("name", ["metadata", "content_type", "size_bytes"])
def test_optional_property_null_is_absent(
    api: ApiClient, server: ScriptedServer, name: str
) -> None:
    server.script(Answer(json={**STATS, name: None}))
    assert name not in ObjectsApi(api).stat_object("repo", "main", "p")


class Name(str, enum.Enum):
    MAIN = "main"
    PATH = "a/b c"
    TEAM = "team"


def test_str_enum_member_is_sent_as_its_value(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(json=STATS))
    ObjectsApi(api).stat_object("repo", Name.MAIN, Name.PATH)
    assert server.requests[0].path.endswith("/refs/main/objects/stat")
    assert server.requests[0].query == "path=a%2Fb+c"


def test_str_enum_member_is_sent_as_header_value(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(201, json=STATS))
    api.set_default_header(Name.TEAM, Name.PATH)
    metadata = {Name.TEAM: Name.MAIN}
    ObjectsApi(api).upload_object("repo", "main", "p", content=b"x", user_metadata=metadata)
    headers = server.requests[0].headers
    assert headers["team"] == "a/b c"
    assert headers["x-lakefs-meta-team"] == "main"


def test_misspelt_property_warns() -> None:
    options: Any = {"metdata": {}}
    with pytest.warns(UserWarning, match=r"no property 'metdata'. Did you mean 'metadata'"):
        CommitCreation("m", **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CommitCreation("m", something_else=1)
    commit: Any = CommitCreation("m")
    with pytest.raises(ApiAttributeError, match="Did you mean 'message'"):
        _ = commit.mesage
    with pytest.raises(ApiAttributeError, match="has no attribute 'metadata' at"):
        _ = commit.metadata


def test_iterating_a_page_raises_and_names_results(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(json={"pagination": PAGE, "results": []}))
    page: Any = BranchesApi(api).list_branches("repo")
    with pytest.raises(ApiTypeError, match="use its results"):
        for _ in page:
            pass


def test_legacy_constructor_options_work() -> None:
    options: Any = {"_check_type": False, "metadata": 5}
    assert CommitCreation("m", **options).metadata == 5
    options = {"_spec_property_naming": True, "message": "m", "metadata": {"a": "b"}}
    assert CommitCreation(**options).metadata == {"a": "b"}


def test_positional_access_keys_raise_type_error() -> None:
    keys: Any = ("AKIA", "secret")
    with pytest.raises(ApiTypeError, match="username= and password="):
        Configuration("http://lakefs", *keys)


def test_call_api_rejects_unknown_method(api: ApiClient, server: ScriptedServer) -> None:
    with pytest.raises(ValueError, match="method must be one of"):
        api.call_api("/config", "FETCH")
    assert server.connections == 0


def test_api_groups_are_client_attributes() -> None:
    client = LakeFSClient(Configuration("http://lakefs"))
    assert "branches_api" in vars(client)
    assert len([name for name in vars(client) if name.endswith("_api")]) == 18
    with pytest.warns(DeprecationWarning, match="use branches_api"):
        assert client.branches is client.branches_api  # type: ignore[deprecated]
