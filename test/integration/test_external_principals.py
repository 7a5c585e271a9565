"""External principals and their logins, if the server has them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lakefs_client import ApiException, ApiValueError
from lakefs_client.client import LakeFSClient
from lakefs_client.exceptions import NotFoundException
from lakefs_client.models import (
    ExternalLoginInformation,
    ExternalPrincipalCreation,
    ExternalPrincipalSettings,
    StsAuthRequest,
)

from .support import expect_error, walk


def has_external_principals(lakefs: LakeFSClient, user: str) -> bool:
    """Return True if the server has an external authentication service."""
    try:
        lakefs.experimental_api.list_user_external_principals(user, amount=1)
    except ApiException as error:
        if error.status == 501:
            return False
        raise
    return True


@pytest.fixture
def user(lakefs: LakeFSClient) -> str:
    """Provide the id of the current user."""
    return lakefs.auth_api.get_current_user().user.id


@pytest.fixture
def external(lakefs: LakeFSClient, user: str) -> None:
    """Skip the test if the server has no external principals."""
    if not has_external_principals(lakefs, user):
        pytest.skip("this server has no external principals (501)")


@pytest.fixture
def new_name(lakefs: LakeFSClient, user: str, external: None) -> Iterator[Callable[[], str]]:
    """Provide a function that generates principal ids; delete the principals after the test."""
    names: list[str] = []

    def generate() -> str:
        names.append(f"arn:aws:sts::1:assumed-role/client-test/{uuid.uuid4().hex}")
        return names[-1]

    yield generate
    for name in names:
        try:
            lakefs.experimental_api.delete_user_external_principal(user, name)
        except NotFoundException:
            pass  # never attached, or deleted by the test


@pytest.fixture
def principal(lakefs: LakeFSClient, user: str, new_name: Callable[[], str]) -> str:
    """Provide the id of a principal attached to the user."""
    name = new_name()
    assert lakefs.experimental_api.create_user_external_principal(user, name) is None
    return name


def test_attached_principal_belongs_to_the_user(
    lakefs: LakeFSClient, user: str, principal: str
) -> None:
    found = lakefs.experimental_api.get_external_principal(principal)
    assert (found.id, found.user_id) == (principal, user)


def test_attached_principal_is_a_conflict(lakefs: LakeFSClient, user: str, principal: str) -> None:
    with expect_error(409, "Already exists"):
        lakefs.experimental_api.create_user_external_principal(user, principal)


@pytest.mark.parametrize(
    "creation",
    [
        ExternalPrincipalCreation(settings=[ExternalPrincipalSettings(team="data")]),
        ExternalPrincipalCreation(settings={"team": "data"}),
        {"settings": {"team": "data"}},
    ],
    ids=["list of models", "dict", "plain body"],
)
def test_principal_accepts_settings(
    lakefs: LakeFSClient, user: str, new_name: Callable[[], str], creation: Any
) -> None:
    name = new_name()
    lakefs.experimental_api.create_user_external_principal(
        user, name, external_principal_creation=creation
    )
    assert lakefs.external_api.get_external_principal(name).id == name


def test_principals_are_listed_in_pages(
    lakefs: LakeFSClient, user: str, principal: str, new_name: Callable[[], str]
) -> None:
    other = new_name()
    lakefs.auth_api.create_user_external_principal(user, other)
    listed = walk(lakefs.experimental_api.list_user_external_principals, user, amount=1)
    assert {principal, other} <= {one.id for one in listed}
    assert {one.user_id for one in listed} == {user}


@pytest.mark.usefixtures("external")
def test_page_size_is_validated_by_client_and_server(
    lakefs: LakeFSClient, unchecked: LakeFSClient, user: str
) -> None:
    with pytest.raises(ApiValueError):
        lakefs.experimental_api.list_user_external_principals(user, amount=-5)
    with expect_error(400, "number must be at least -1"):
        unchecked.experimental_api.list_user_external_principals(user, amount=-5)


def test_deleted_principal_is_not_found(lakefs: LakeFSClient, user: str, principal: str) -> None:
    api = lakefs.experimental_api
    assert api.delete_user_external_principal(user, principal) is None
    with expect_error(404, "not found"):
        api.get_external_principal(principal)
    with expect_error(404, "not found"):
        api.delete_user_external_principal(user, principal)


def test_principal_login_returns_a_token(lakefs: LakeFSClient, principal: str) -> None:
    proof = ExternalLoginInformation({"principal": principal}, token_expiration_duration=60)
    answer = lakefs.experimental_api.external_principal_login(external_login_information=proof)
    assert answer.token
    assert isinstance(answer.token_expiration, int)


@pytest.mark.usefixtures("external")
def test_login_of_unknown_principal_is_forbidden(lakefs: LakeFSClient) -> None:
    with expect_error(403):
        lakefs.experimental_api.external_principal_login(
            external_login_information=ExternalLoginInformation({"x": 1})
        )


@pytest.mark.usefixtures("external")
def test_login_without_identity_is_rejected(lakefs: LakeFSClient) -> None:
    with expect_error(400, 'property "identityRequest" is missing'):
        lakefs.experimental_api.external_principal_login(
            external_login_information={}, _check_input_type=False
        )


@pytest.mark.usefixtures("external")
def test_sts_login_returns_a_token(lakefs: LakeFSClient) -> None:
    answer = lakefs.experimental_api.sts_login(StsAuthRequest("good", "s", "r", ttl_seconds=60))
    assert answer.token
    assert isinstance(answer.token_expiration, int)


@pytest.mark.usefixtures("external")
def test_sts_login_rejects_invalid_code(lakefs: LakeFSClient) -> None:
    with expect_error(401):
        lakefs.experimental_api.sts_login(StsAuthRequest("bad", "s", "r"))


@pytest.mark.usefixtures("external")
def test_sts_login_requires_all_fields(lakefs: LakeFSClient) -> None:
    with expect_error(400, 'property "state" is missing'):
        lakefs.experimental_api.sts_login({"code": "bad"}, _check_input_type=False)


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("create_user_external_principal", ("{user}", "p1")),
        ("get_external_principal", ("p1",)),
        ("list_user_external_principals", ("{user}",)),
        ("delete_user_external_principal", ("{user}", "p1")),
        ("sts_login", (StsAuthRequest("c", "s", "r"),)),
    ],
)
def test_external_principals_are_not_implemented_without_service(
    lakefs: LakeFSClient, user: str, operation: str, arguments: tuple[Any, ...]
) -> None:
    if has_external_principals(lakefs, user):
        pytest.skip("this server has external principals")
    given = [user if argument == "{user}" else argument for argument in arguments]
    with expect_error(501, "Not Implemented"):
        getattr(lakefs.experimental_api, operation)(*given)


def test_external_login_is_not_implemented_without_service(lakefs: LakeFSClient, user: str) -> None:
    if has_external_principals(lakefs, user):
        pytest.skip("this server has external principals")
    with expect_error(501, "Not Implemented"):
        lakefs.experimental_api.external_principal_login(
            external_login_information=ExternalLoginInformation({"a": 1})
        )
