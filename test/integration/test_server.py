"""The server: setup, configuration, login, users."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from lakefs_client import ApiClient, Configuration
from lakefs_client.client import LakeFSClient
from lakefs_client.models import LoginInformation, Setup, StorageConfig

from .support import Server, expect_error, walk

SESSION_COOKIE = "internal_auth_session"


def anonymous(server: Server) -> Configuration:
    """Return a configuration without credentials."""
    return Configuration(server.endpoint)


def current_user(configuration: Configuration) -> str:
    with LakeFSClient(configuration) as client:
        return client.auth_api.get_current_user().user.id


def log_in(lakefs: LakeFSClient, server: Server) -> tuple[str, str]:
    """Log in; return the token and the session cookie."""
    answer, status, headers = lakefs.auth_api.login(
        login_information=LoginInformation(server.access_key_id, server.secret_access_key),
        _return_http_data_only=False,
    )
    assert status == 200
    assert isinstance(answer.token_expiration, int)
    cookie = re.search(rf"{SESSION_COOKIE}=([^;,]+)", headers["Set-Cookie"])
    assert cookie is not None
    return answer.token, cookie.group(1)


def test_health_check_succeeds(lakefs: LakeFSClient) -> None:
    assert lakefs.health_check_api.health_check() is None


def test_setup_state_needs_no_credentials(lakefs_server: Server) -> None:
    with LakeFSClient(anonymous(lakefs_server)) as client:
        state = client.internal_api.get_setup_state()
    assert state.state == "initialized"
    assert SESSION_COOKIE in state.login_config.login_cookie_names


def test_second_setup_is_a_conflict(lakefs: LakeFSClient) -> None:
    # An uninitialised server would run the setup.
    assert lakefs.internal_api.get_setup_state().state == "initialized"
    with expect_error(409, "lakeFS already initialized"):
        lakefs.internal_api.setup(Setup(username="somebody"))


def test_configuration_describes_the_store(lakefs: LakeFSClient, lakefs_server: Server) -> None:
    config = lakefs.config_api.get_config()
    storage = config.storage_config
    assert config.version_config.version
    assert storage.blockstore_type
    namespace = lakefs_server.storage_namespace
    assert re.search(storage.blockstore_namespace_validity_regex, namespace)
    # Multipart uploads need presigned URLs.
    assert storage.pre_sign_support or not storage.get("pre_sign_multipart_upload")


def test_legacy_configuration_calls_agree(lakefs: LakeFSClient, storage: StorageConfig) -> None:
    assert lakefs.internal_api.get_storage_config() == storage
    version = lakefs.config_api.get_config().version_config.version
    assert lakefs.internal_api.get_lake_fs_version().version == version
    assert isinstance(lakefs.internal_api.get_garbage_collection_config().grace_period, int)


def test_users_include_current_user(lakefs: LakeFSClient) -> None:
    user = lakefs.auth_api.get_current_user().user
    assert user.id
    assert user.id in [one.id for one in walk(lakefs.auth_api.list_users, amount=100)]


def test_auth_capabilities_are_returned(lakefs: LakeFSClient) -> None:
    assert isinstance(lakefs.internal_api.get_auth_capabilities().invite_user, bool)


def test_login_token_authenticates_the_user(lakefs: LakeFSClient, lakefs_server: Server) -> None:
    token, _ = log_in(lakefs, lakefs_server)
    configuration = anonymous(lakefs_server)
    configuration.access_token = token
    assert current_user(configuration) == lakefs.auth_api.get_current_user().user.id


def test_token_authorises_a_protected_call(lakefs: LakeFSClient, lakefs_server: Server) -> None:
    configuration = anonymous(lakefs_server)
    with LakeFSClient(configuration) as client:
        with expect_error(401):
            client.repositories_api.list_repositories(amount=1)
        configuration.access_token = log_in(lakefs, lakefs_server)[0]
        client.repositories_api.list_repositories(amount=1)


@pytest.mark.parametrize("form", ["{}", SESSION_COOKIE + "={}"])
def test_login_cookie_authenticates_the_user(
    lakefs: LakeFSClient, lakefs_server: Server, form: str
) -> None:
    _, cookie = log_in(lakefs, lakefs_server)
    configuration = anonymous(lakefs_server)
    configuration.api_key["cookie_auth"] = form.format(cookie)
    assert current_user(configuration) == lakefs.auth_api.get_current_user().user.id


def test_token_is_not_accepted_as_session_cookie(
    lakefs: LakeFSClient, lakefs_server: Server
) -> None:
    token, cookie = log_in(lakefs, lakefs_server)
    assert token != cookie
    configuration = anonymous(lakefs_server)
    configuration.api_key["cookie_auth"] = token
    assert current_user(configuration) == ""


def test_login_rejects_wrong_secret(lakefs: LakeFSClient, lakefs_server: Server) -> None:
    with expect_error(401, "error authenticating request"):
        lakefs.auth_api.login(
            login_information=LoginInformation(lakefs_server.access_key_id, "not the secret")
        )


def test_credentials_are_returned_without_secret(
    lakefs: LakeFSClient, lakefs_server: Server
) -> None:
    user = lakefs.auth_api.get_current_user().user.id
    found = lakefs.auth_api.get_credentials(user, lakefs_server.access_key_id)
    assert found.access_key_id == lakefs_server.access_key_id
    assert "secret_access_key" not in found
    with expect_error(404, "credentials not found"):
        lakefs.auth_api.get_credentials(user, "none")


def _no_credentials(configuration: Configuration) -> None:
    configuration.username = configuration.password = None


def _wrong_secret(configuration: Configuration) -> None:
    configuration.password = "not the secret"


def _unknown_key(configuration: Configuration) -> None:
    configuration.username = "nobody"


def _wrong_token(configuration: Configuration) -> None:
    configuration.access_token = "x.y.z"


@pytest.mark.parametrize("change", [_no_credentials, _wrong_secret, _unknown_key, _wrong_token])
def test_wrong_credentials_are_unauthorized(
    lakefs_server: Server, change: Callable[[Configuration], None]
) -> None:
    configuration = lakefs_server.configuration()
    change(configuration)
    with (
        LakeFSClient(configuration) as client,
        expect_error(401, "error authenticating request"),
    ):
        client.repositories_api.list_repositories(amount=1)


def test_unknown_endpoint_is_not_found(api_client: ApiClient) -> None:
    with expect_error(404, "invalid API endpoint"):
        api_client.call_api("/no-such-operation", "GET", auth_settings=["basic_auth"])
