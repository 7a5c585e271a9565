"""Configuration: defaults, hosts, copies, logging, and changes while a client exists."""

from __future__ import annotations

import copy
import logging
import pickle
import socket
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.scripted import Answer, ScriptedServer
from urllib3.exceptions import InsecureRequestWarning

from lakefs_client import ApiClient, ApiTypeError, ApiValueError, Configuration, __version__
from lakefs_client.api.health_check_api import HealthCheckApi
from lakefs_client.api.repositories_api import RepositoriesApi

from .conftest import PASSWORD, REPOSITORY_ANSWER, USER, Certificates


def ask(client: ApiClient) -> None:
    assert RepositoriesApi(client).get_repository("repo").id == "repo"


# Defaults and constructor


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("host", "http://localhost/api/v1"),
        ("api_key", {}),
        ("api_key_prefix", {}),
        ("access_token", None),
        ("username", None),
        ("password", None),
        ("discard_unknown_keys", False),
        ("disabled_client_side_validations", ""),
        ("server_index", 0),
        ("server_variables", {}),
        ("server_operation_index", {}),
        ("server_operation_variables", {}),
        ("ssl_ca_cert", None),
        ("verify_ssl", True),
        ("cert_file", None),
        ("key_file", None),
        ("assert_hostname", None),
        ("proxy", None),
        ("proxy_headers", None),
        ("no_proxy", None),
        ("retries", None),
        ("connection_pool_maxsize", None),
        ("socket_options", None),
        ("safe_chars_for_path_param", ""),
        ("temp_folder_path", None),
        ("refresh_api_key_hook", None),
        ("connect_timeout", 10.0),
        ("read_timeout", 300.0),
        ("debug", False),
        ("logger_file", None),
    ],
)
def test_attribute_has_its_default(name: str, value: object) -> None:
    assert getattr(Configuration(), name) == value


def test_positional_arguments_keep_the_legacy_order() -> None:
    key, prefix, variables = {"cookie_auth": "k"}, {"cookie_auth": "p"}, {"v": "1"}
    operation_index, operation_variables = {"o": 0}, {"o": {"v": "1"}}
    configuration = Configuration(
        "http://lakefs", key, prefix, "token", "user", "password", True, "pattern",
        3, variables, operation_index, operation_variables, "ca.pem",
    )  # fmt: skip
    assert configuration.host == "http://lakefs/api/v1"
    assert configuration.api_key is key
    assert configuration.api_key_prefix is prefix
    assert configuration.access_token == "token"
    assert (configuration.username, configuration.password) == ("user", "password")
    assert configuration.discard_unknown_keys is True
    assert configuration.disabled_client_side_validations == "pattern"
    assert configuration.server_index == 3
    assert configuration.server_variables is variables
    assert configuration.server_operation_index is operation_index
    assert configuration.server_operation_variables is operation_variables
    assert configuration.ssl_ca_cert == "ca.pem"


def test_unknown_keyword_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="hots"):
        Configuration(hots="http://lakefs")  # type: ignore[call-arg]


def test_deepcopy_includes_custom_attributes() -> None:
    configuration: Any = Configuration()
    configuration.custom = {"a": [1]}
    assert copy.deepcopy(configuration).custom == {"a": [1]}


def test_disabled_validations_accept_known_names_only() -> None:
    configuration = Configuration(disabled_client_side_validations="maximum, pattern")
    assert configuration.disabled_client_side_validations == "maximum,pattern"
    with pytest.raises(ApiValueError, match="no such check: nonsense"):
        configuration.disabled_client_side_validations = "nonsense"
    assert configuration.disabled_client_side_validations == "maximum,pattern"


def test_disabled_validation_sends_the_value(server: ScriptedServer) -> None:
    server.script(Answer(400, json={"message": "too many"}))
    configuration = Configuration(server.url, disabled_client_side_validations="maximum")
    with ApiClient(configuration) as client, pytest.raises(Exception, match="too many"):
        RepositoriesApi(client).list_repositories(amount=5000)
    assert server.requests[0].query == "amount=5000"


# Hosts


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("lakefs.example.com", "http://lakefs.example.com/api/v1"),
        ("localhost:8000", "http://localhost:8000/api/v1"),
        ("http://localhost:8000", "http://localhost:8000/api/v1"),
        ("https://lakefs.example.com", "https://lakefs.example.com/api/v1"),
        ("https://lakefs.example.com/", "https://lakefs.example.com/api/v1"),
        ("https://lakefs.example.com///", "https://lakefs.example.com/api/v1"),
        ("https://lakefs.example.com/api/v1", "https://lakefs.example.com/api/v1"),
        ("https://lakefs.example.com/api/v1/", "https://lakefs.example.com/api/v1"),
        ("lakefs.example.com/api/v1", "http://lakefs.example.com/api/v1"),
        ("https://example.com/lakefs/api/v1", "https://example.com/lakefs/api/v1"),
        ("https://example.com/gateway", "https://example.com/gateway"),
        ("HTTPS://Example.com", "HTTPS://Example.com/api/v1"),
        ("  http://lakefs\n", "http://lakefs/api/v1"),
        ("127.0.0.1", "http://127.0.0.1/api/v1"),
        ("http://[::1]", "http://[::1]/api/v1"),
        ("http://[::1]:8000/", "http://[::1]:8000/api/v1"),
        ("[::1]:8000", "http://[::1]:8000/api/v1"),
        ("/api/v1", "http://localhost/api/v1"),
    ],
)
def test_host_gets_scheme_and_base_path(given: str, host: str) -> None:
    assert Configuration(given).host == host
    assigned = Configuration()
    assigned.host = given
    assert assigned.host == host


@pytest.mark.parametrize(
    "given",
    [
        "",
        "   ",
        "/",
        "http://",
        "http:///api/v1",
        "https://:8000",
        "http:/lakefs",
        "http:lakefs",
        "http://lakefs:",
        "ftp://lakefs",
        "file:///etc/passwd",
        "lakefs://repo/main",
        "http://lakefs:0",
        "http://lakefs:65536",
        "http://lakefs:port",
        "http://::1",
        "http://[::1",
        "::1",
        "http://lakefs?x=1",
        "http://lakefs/api/v1?x=1",
        "http://lakefs#top",
        "http://la kefs",
        "http://lakefs\nHost: evil",
        "http://lakefs\x00",
        "http://lakefs\x7f",
        "http://lakefs\t/api/v1",
        "http://lakefs\\evil",
    ],
)
def test_invalid_host_is_rejected(given: str) -> None:
    with pytest.raises(ApiValueError, match=r"Configuration\.host"):
        Configuration(given)
    configuration = Configuration("http://before")
    with pytest.raises(ApiValueError, match=r"Configuration\.host"):
        configuration.host = given
    assert configuration.host == "http://before/api/v1"


@pytest.mark.parametrize(
    "given", ["http://user:hunter2@lakefs", "user:hunter2@lakefs", "hunter2@x"]
)
def test_host_with_credentials_is_rejected_without_quoting(given: str) -> None:
    with pytest.raises(ApiValueError, match="username and password") as caught:
        Configuration(given)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("given", [b"http://lakefs", 80, ["http://lakefs"]])
def test_host_must_be_a_str(given: Any) -> None:
    with pytest.raises(ApiTypeError, match=r"Configuration\.host must be a str"):
        Configuration(given)


def test_ipv6_host_is_reachable(certificates: Certificates) -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with listener:
        port = listener.getsockname()[1]
        listener.settimeout(60)
        configuration = Configuration(f"http://[::1]:{port}")
        with ApiClient(configuration, pool_threads=1) as client:
            call = HealthCheckApi(client).health_check(async_req=True)
            connection, _ = listener.accept()
            with connection:
                head = connection.recv(65536)
                connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
                assert call.get(60) is None
    assert f"Host: [::1]:{port}".encode() in head


def test_host_from_settings_selects_server_and_variables() -> None:
    servers = [
        {"url": "https://one.example.com/api/v1"},
        {
            "url": "https://{region}.example.com:{port}/api/v1",
            "variables": {
                "region": {"default_value": "eu", "enum_values": ["eu", "us"]},
                "port": {"default_value": "443"},
            },
        },
    ]
    configuration = Configuration("http://mine", server_variables={"port": "8443"})
    host = configuration.get_host_from_settings
    assert host(None) == "http://mine/api/v1"
    assert host(None, {}, servers) == "http://mine/api/v1"
    assert host(0, None, servers) == "https://one.example.com/api/v1"
    assert host(1, {}, servers) == "https://eu.example.com:443/api/v1"
    assert host(1, {"region": "us"}, servers) == "https://us.example.com:443/api/v1"
    assert host(1, None, servers) == "https://eu.example.com:8443/api/v1"
    with pytest.raises(ValueError, match="`region` in the host URL has invalid value mars"):
        host(1, {"region": "mars"}, servers)
    for index in (2, -1):
        with pytest.raises(ValueError, match=f"Invalid index {index}"):
            host(index, None, servers)


def test_default_host_settings_have_one_server() -> None:
    configuration = Configuration("http://mine")
    (setting,) = configuration.get_host_settings()
    assert setting["url"] == "/api/v1"
    assert configuration.get_host_from_settings(0) == "http://localhost/api/v1"


# Copies


@pytest.fixture
def _default_unset() -> Iterator[None]:
    yield
    Configuration.set_default(None)


@pytest.mark.usefixtures("_default_unset")
def test_default_configuration_is_copied_on_set_and_get() -> None:
    mine = Configuration("http://mine", api_key={"cookie_auth": "one"})
    Configuration.set_default(mine)
    mine.host = "http://changed"
    mine.api_key["cookie_auth"] = "two"
    first = Configuration.get_default_copy()
    assert first.host == "http://mine/api/v1"
    assert first.api_key == {"cookie_auth": "one"}
    first.api_key["cookie_auth"] = "three"
    assert Configuration.get_default_copy().api_key == {"cookie_auth": "one"}
    with ApiClient() as client:
        assert client.configuration.host == "http://mine/api/v1"
    Configuration.set_default(None)
    assert Configuration.get_default_copy().host == "http://localhost/api/v1"


def test_deepcopy_is_independent_but_shares_the_hook() -> None:
    sockets = socket.socketpair()  # a hook may refer to objects that cannot be copied

    def hook(_: Configuration) -> None:
        sockets[0].fileno()

    configuration = Configuration("http://one", api_key={"cookie_auth": "k"}, password="p")
    configuration.refresh_api_key_hook = hook
    clone = copy.deepcopy(configuration)
    clone.host, clone.password = "http://two", "q"
    clone.api_key["cookie_auth"] = "other"
    assert (configuration.host, configuration.password) == ("http://one/api/v1", "p")
    assert configuration.api_key == {"cookie_auth": "k"}
    assert clone.refresh_api_key_hook is hook
    for end in sockets:
        end.close()


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_keeps_every_setting(protocol: int) -> None:
    configuration = Configuration("http://one", username="u", password="p", access_token="t")
    configuration.verify_ssl = False
    configuration.retries = 3
    configuration.disabled_client_side_validations = "maximum"
    restored = pickle.loads(pickle.dumps(configuration, protocol))
    assert restored.host == "http://one/api/v1"
    assert (restored.username, restored.password, restored.access_token) == ("u", "p", "t")
    assert restored.verify_ssl is False
    assert restored.retries == 3
    assert restored.disabled_client_side_validations == "maximum"
    assert restored.debug is False


# Changes apply from the next call


def test_changed_host_applies_to_next_call(api: ApiClient, server: ScriptedServer) -> None:
    server.script(REPOSITORY_ANSWER)
    ask(api)
    with ScriptedServer(REPOSITORY_ANSWER) as other:
        api.configuration.host = other.url
        ask(api)
    assert (len(server.requests), len(other.requests)) == (1, 1)


def test_changed_credentials_apply_to_next_call(api: ApiClient, server: ScriptedServer) -> None:
    server.script(*[REPOSITORY_ANSWER] * 4)
    ask(api)
    api.configuration.password = "other"
    ask(api)
    api.configuration.access_token = "token"
    ask(api)
    api.configuration.access_token = api.configuration.username = None
    ask(api)
    sent = [request.headers.get("authorization") for request in server.requests]
    basic = [b64encode(f"{USER}:{word}".encode()).decode() for word in (PASSWORD, "other")]
    assert sent == [f"Basic {basic[0]}", f"Basic {basic[1]}", "Bearer token", None]


def test_changed_verify_ssl_applies_to_next_call(certificates: Certificates) -> None:
    with ScriptedServer(REPOSITORY_ANSWER, tls=certificates.server) as server:
        configuration = Configuration(server.url)
        with ApiClient(configuration) as client:
            with pytest.raises(ConnectionError, match="certificate"):
                ask(client)
            configuration.verify_ssl = False
            with pytest.warns(InsecureRequestWarning):
                ask(client)
            configuration.verify_ssl = True
            with pytest.raises(ConnectionError, match="certificate"):
                ask(client)


def test_changed_ssl_ca_cert_applies_to_next_call(certificates: Certificates) -> None:
    with ScriptedServer(REPOSITORY_ANSWER, tls=certificates.server) as server:
        configuration = Configuration(server.url)
        with ApiClient(configuration) as client:
            with pytest.raises(ConnectionError, match="certificate"):
                ask(client)
            configuration.ssl_ca_cert = certificates.authority
            ask(client)


def test_changed_proxy_applies_to_next_call(api: ApiClient, server: ScriptedServer) -> None:
    server.script(REPOSITORY_ANSWER, REPOSITORY_ANSWER)
    ask(api)
    with ScriptedServer(REPOSITORY_ANSWER) as proxy:
        api.configuration.proxy = proxy.url
        ask(api)
    api.configuration.proxy = None
    ask(api)
    assert proxy.requests[0].target == f"{server.url}/api/v1/repositories/repo"
    assert len(server.requests) == 2


def test_changed_retries_apply_to_next_call(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(503), Answer(503), REPOSITORY_ANSWER, Answer(503))
    api.configuration.retries = 2
    ask(api)
    api.configuration.retries = False
    with pytest.raises(Exception, match="503"):
        ask(api)


@pytest.mark.parametrize(
    ("option", "value", "pool_option"),
    [
        ("connection_pool_maxsize", 3, ("maxsize", 3)),
        ("assert_hostname", "lakefs", ("assert_hostname", "lakefs")),
        ("verify_ssl", False, ("assert_hostname", False)),
    ],
)
def test_changed_pool_option_recreates_the_pools(
    api: ApiClient,
    server: ScriptedServer,
    option: str,
    value: object,
    pool_option: tuple[str, object],
) -> None:
    server.script(REPOSITORY_ANSWER, REPOSITORY_ANSWER, REPOSITORY_ANSWER)
    ask(api)
    ask(api)
    before = api.rest_client.pool_manager
    assert server.connections == 1
    setattr(api.configuration, option, value)
    ask(api)
    assert api.rest_client.pool_manager is not before
    assert api.rest_client.pool_manager.connection_pool_kw[pool_option[0]] == pool_option[1]
    assert server.connections == 2
    server.wait_for(lambda s: s.open_connections == 1)  # the old connection was closed


def test_socket_options_reach_the_socket(api: ApiClient, server: ScriptedServer) -> None:
    server.script(REPOSITORY_ANSWER, REPOSITORY_ANSWER)
    ask(api)
    api.configuration.socket_options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    ask(api)
    pool = api.rest_client.pool_manager.connection_from_host(server.host, server.port)
    connection = pool._get_conn()
    assert connection.sock is not None
    assert connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    connection.close()


def test_mutated_proxy_headers_apply_to_next_call(api: ApiClient, server: ScriptedServer) -> None:
    with ScriptedServer(REPOSITORY_ANSWER, REPOSITORY_ANSWER) as proxy:
        headers = {"X-Pass": "one"}
        api.configuration.proxy, api.configuration.proxy_headers = proxy.url, headers
        ask(api)
        headers["X-Pass"] = "two"
        ask(api)
    assert [request.headers["x-pass"] for request in proxy.requests] == ["one", "two"]


# Logging


def test_new_configuration_keeps_logger_level() -> None:
    logger = logging.getLogger("lakefs_client")
    logger.setLevel(logging.ERROR)
    try:
        Configuration()
        assert logger.level == logging.ERROR
    finally:
        logger.setLevel(logging.NOTSET)


def test_debug_output_hides_credentials(
    api: ApiClient, server: ScriptedServer, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    server.script(Answer(503), REPOSITORY_ANSWER)
    api.configuration.api_key["cookie_auth"] = "cookie-value"
    api.configuration.logger_file = str(tmp_path / "log")
    api.configuration.debug = True
    try:
        ask(api)
        assert logging.getLogger("lakefs_client").level == logging.DEBUG
    finally:
        api.configuration.debug = False
        api.configuration.logger_file = None
    out, err = capfd.readouterr()
    log = (tmp_path / "log").read_text("utf-8")
    assert "attempt 1 of 5 failed" in log
    for text in (out, err, log):
        assert "Authorization" not in text
        assert PASSWORD not in text
        assert b64encode(f"{USER}:{PASSWORD}".encode()).decode() not in text
        assert "cookie-value" not in text
    assert logging.getLogger("lakefs_client").handlers == []


def test_logger_format_applies_to_the_log_file(tmp_path: Path) -> None:
    configuration = Configuration()
    configuration.logger_file = str(tmp_path / "log")
    configuration.logger_format = "<%(message)s>"
    configuration.debug = True
    configuration.logger["package_logger"].debug("hello")
    configuration.debug = False
    configuration.logger_file = None
    assert (tmp_path / "log").read_text("utf-8") == "<hello>\n"


def test_debug_report_shows_version_and_hides_credentials() -> None:
    report = Configuration(username="u-name", password="p-word").to_debug_report()
    assert __version__ in report
    assert "u-name" not in report
    assert "p-word" not in report


def test_repr_hides_credentials() -> None:
    configuration = Configuration(
        "http://x", {"cookie_auth": "c-key"}, None, "t-ken", "u", "p-word"
    )
    for secret in ("c-key", "t-ken", "p-word"):
        assert secret not in repr(configuration)
