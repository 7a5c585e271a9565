"""Proxies from the configuration and the environment, and hosts without proxy."""

from __future__ import annotations

import sys
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st
from support.fake_time import FakeTime
from support.scripted import Answer, Close, Raw, Reset, ScriptedServer, Stall, Step, Tunnel

from lakefs_client import (
    ApiClient,
    ApiConnectionError,
    ApiException,
    ApiTimeoutError,
    ApiValueError,
    Configuration,
)
from lakefs_client._proxy import is_exempt
from lakefs_client.apis import BranchesApi, HealthCheckApi
from lakefs_client.models import BranchCreation
from lakefs_client.rest import Message

from .conftest import Certificates

OK = Answer(204)
FAR = "http://lakefs.invalid"


def ask(client: ApiClient) -> None:
    assert HealthCheckApi(client).health_check() is None


@pytest.fixture
def proxy() -> Iterator[ScriptedServer]:
    with ScriptedServer() as proxy:
        yield proxy


@pytest.fixture
def far(api: ApiClient) -> ApiClient:
    """Provide a client of a server that only a proxy can reach."""
    api.configuration.host = FAR
    return api


# From the configuration


@pytest.mark.parametrize("scheme", ["http://", ""])
def test_proxied_request_has_absolute_url(
    far: ApiClient, proxy: ScriptedServer, scheme: str
) -> None:
    proxy.script(OK, OK)
    far.configuration.proxy = f"{scheme}127.0.0.1:{proxy.port}"
    ask(far)
    BranchesApi(far).delete_branch("a/b", "..c")
    first, second = proxy.requests
    assert (first.method, first.target) == ("GET", f"{FAR}/api/v1/healthcheck")
    assert first.headers["host"] == "lakefs.invalid"
    assert second.target == f"{FAR}/api/v1/repositories/a%2Fb/branches/..c"
    assert second.headers["authorization"].startswith("Basic ")
    assert "proxy-authorization" not in second.headers
    assert proxy.connections == 1


@pytest.mark.parametrize(
    ("userinfo", "pair"),
    [("me:word", "me:word"), ("me:w%40rd%3A", "me:w@rd:"), ("me", "me:"), ("me:", "me:")],
)
def test_proxy_credentials_are_sent_as_header(
    far: ApiClient, proxy: ScriptedServer, userinfo: str, pair: str
) -> None:
    proxy.script(OK)
    far.configuration.proxy = f"http://{userinfo}@127.0.0.1:{proxy.port}"
    ask(far)
    header = proxy.requests[0].headers["proxy-authorization"]
    assert header == "Basic " + b64encode(pair.encode()).decode()


def test_proxy_headers_override_url_credentials(far: ApiClient, proxy: ScriptedServer) -> None:
    proxy.script(OK)
    far.configuration.proxy = f"http://me:ignored@127.0.0.1:{proxy.port}"
    far.configuration.proxy_headers = urllib3.make_headers(proxy_basic_auth="you:word")
    ask(far)
    header = proxy.requests[0].headers["proxy-authorization"]
    assert header == "Basic " + b64encode(b"you:word").decode()


def test_https_request_is_tunnelled(proxy: ScriptedServer, certificates: Certificates) -> None:
    with ScriptedServer(OK, tls=certificates.server) as server:
        proxy.script(Tunnel((server.host, server.port)))
        configuration = Configuration(f"https://localhost:{server.port}", access_token="token")
        configuration.ssl_ca_cert = certificates.authority
        configuration.proxy = f"http://me:word@127.0.0.1:{proxy.port}"
        with ApiClient(configuration) as client:
            BranchesApi(client).delete_branch("r", "b")
    (connect,) = proxy.requests
    assert (connect.method, connect.target) == ("CONNECT", f"localhost:{server.port}")
    assert connect.headers["proxy-authorization"].startswith("Basic ")
    assert "authorization" not in connect.headers
    (request,) = server.requests
    assert request.headers["authorization"] == "Bearer token"
    assert "proxy-authorization" not in request.headers


def test_redirect_to_store_uses_the_proxy(far: ApiClient, proxy: ScriptedServer) -> None:
    far.configuration.proxy = proxy.url
    proxy.script(Answer(302, headers={"Location": "http://store.invalid/key"}), OK)
    far.call_api("/x", "GET", auth_settings=["basic_auth"])
    assert [r.target for r in proxy.requests] == [f"{FAR}/api/v1/x", "http://store.invalid/key"]
    assert "authorization" in proxy.requests[0].headers
    assert "authorization" not in proxy.requests[1].headers


# Failures


def test_unreachable_proxy_is_a_connection_error(far: ApiClient, time: FakeTime) -> None:
    with ScriptedServer(deaf=True) as unreachable:
        far.configuration.proxy = f"http://me:hunter2@127.0.0.1:{unreachable.port}"
        with pytest.raises(ApiConnectionError, match="through the proxy") as caught:
            BranchesApi(far).create_branch("r", BranchCreation("b", "main"))
    assert "refused" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.sent is False
    assert len(time.sleeps) == 4  # retried as an unreachable server is


@pytest.mark.parametrize("status", [403, 407, 502])
def test_rejected_tunnel_is_an_unsent_connection_error(
    far: ApiClient, proxy: ScriptedServer, time: FakeTime, status: int
) -> None:
    proxy.script(Answer(status, then="close"))
    far.configuration.host = "https://lakefs.invalid"
    far.configuration.proxy = f"http://me:hunter2@127.0.0.1:{proxy.port}"
    with pytest.raises(ApiConnectionError, match=str(status)) as caught:
        ask(far)
    assert "through the proxy" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert b64encode(b"me:hunter2").decode() not in str(caught.value)
    assert caught.value.status == 0
    assert caught.value.sent is False
    assert time.sleeps == []


def test_proxy_error_status_is_an_api_exception(far: ApiClient, proxy: ScriptedServer) -> None:
    proxy.script(Answer(407, b"who are you?"))
    far.configuration.proxy = proxy.url
    with pytest.raises(ApiException, match="who are you") as caught:
        ask(far)
    assert caught.value.status == 407


@pytest.mark.parametrize("step", [Close(), Reset(), Raw(b"nonsense\r\n\r\n")])
def test_proxy_failure_after_request_counts_as_sent(
    far: ApiClient, proxy: ScriptedServer, step: Step
) -> None:
    far.configuration.proxy = proxy.url
    proxy.script(step, OK, step)
    ask(far)
    with pytest.raises(ApiConnectionError, match="the connection broke") as caught:
        BranchesApi(far).create_branch("r", BranchCreation("b", "main"))
    assert caught.value.sent is True


@pytest.mark.parametrize("step", [Close(), Reset(), Raw(b"nonsense\r\n\r\n")])
def test_failed_tunnel_counts_as_unsent(far: ApiClient, proxy: ScriptedServer, step: Step) -> None:
    far.configuration.host = "https://lakefs.invalid"
    far.configuration.proxy = proxy.url
    far.configuration.retries = False
    proxy.script(step)
    with pytest.raises(ApiConnectionError) as caught:
        BranchesApi(far).create_branch("r", BranchCreation("b", "main"))
    assert caught.value.sent is False


def test_tunnel_timeout_counts_as_unsent(far: ApiClient, proxy: ScriptedServer) -> None:
    stall = Stall()
    proxy.script(stall)
    far.configuration.host = "https://lakefs.invalid"
    far.configuration.proxy = proxy.url
    far.configuration.connect_timeout = 0.2
    far.configuration.retries = False
    with pytest.raises(ApiTimeoutError, match="connect_timeout") as caught:
        BranchesApi(far).create_branch("r", BranchCreation("b", "main"))
    stall.release.set()
    assert caught.value.sent is False


@pytest.mark.parametrize("step", [Close(), Reset()])
def test_failure_within_tunnel_counts_as_sent(
    proxy: ScriptedServer, certificates: Certificates, step: Step
) -> None:
    with ScriptedServer(step, tls=certificates.server) as server:
        proxy.script(Tunnel((server.host, server.port)))
        configuration = Configuration(f"https://localhost:{server.port}")
        configuration.ssl_ca_cert = certificates.authority
        configuration.proxy = proxy.url
        with ApiClient(configuration) as client, pytest.raises(ApiConnectionError) as caught:
            BranchesApi(client).create_branch("r", BranchCreation("b", "main"))
    assert caught.value.sent is True
    assert len(server.requests) == 1


def test_proxy_read_timeout_counts_as_sent(far: ApiClient, proxy: ScriptedServer) -> None:
    stall = Stall()
    proxy.script(stall)
    far.configuration.proxy = proxy.url
    far.configuration.read_timeout = 0.2
    with pytest.raises(ApiTimeoutError, match="read_timeout") as caught:
        BranchesApi(far).create_branch("r", BranchCreation("b", "main"))
    stall.release.set()
    assert caught.value.sent is True


@pytest.mark.parametrize(
    "address",
    ["http://me:hunter2@", "http://me:hunter2@[::1", "ftp://me:hunter2@proxy", "http://p:port",
     "http://me:hunter2@proxy:99999", "http://"],
)  # fmt: skip
def test_invalid_proxy_is_rejected_without_quoting(far: ApiClient, address: str) -> None:
    far.configuration.proxy = address
    with pytest.raises(ApiValueError, match="proxy") as caught:
        ask(far)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in str(caught.value.__cause__)


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.DependencyWarning")
def test_missing_pysocks_is_named(far: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "socks", None)
    monkeypatch.delitem(sys.modules, "urllib3.contrib.socks", raising=False)
    far.configuration.proxy = "socks5://127.0.0.1:1080"
    with pytest.raises(ApiValueError, match="PySocks"):
        ask(far)


# From the environment


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_environment_selects_the_proxy(
    far: ApiClient, proxy: ScriptedServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, proxy.url)
    proxy.script(OK)
    ask(far)
    assert proxy.requests[0].target == f"{FAR}/api/v1/healthcheck"


def test_scheme_variable_precedes_all_proxy(
    far: ApiClient, proxy: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:9")
    proxy.script(OK)
    ask(far)


def test_configured_proxy_precedes_environment(
    far: ApiClient, proxy: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    far.configuration.proxy = proxy.url
    proxy.script(OK)
    ask(far)


# Hosts without proxy


@pytest.mark.parametrize("from_environment", [True, False])
@pytest.mark.parametrize(
    ("exempt", "direct"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1:PORT", True),
        ("*", True),
        ("other, 127.0.0.1", True),
        ("example.com,127.0.0.1:PORT", True),
        ("", False),
        ("example.com", False),
        ("127.0.0.1:1", False),
        ("7.0.0.1", False),
    ],
)
def test_no_proxy_exempts_address(
    api: ApiClient,
    server: ScriptedServer,
    proxy: ScriptedServer,
    monkeypatch: pytest.MonkeyPatch,
    from_environment: bool,
    exempt: str,
    direct: bool,
) -> None:
    exempt = exempt.replace("PORT", str(server.port))
    api.configuration.proxy = proxy.url
    if from_environment:
        monkeypatch.setenv("no_proxy", exempt)
    else:
        monkeypatch.setenv("no_proxy", "*" if not direct else "nothing")
        api.configuration.no_proxy = exempt
    (server if direct else proxy).script(OK)
    ask(api)


@pytest.mark.parametrize(
    ("exempt", "direct"),
    [("localhost", True), ("LOCALHOST", True), (".localhost", True), ("host", False)],
)
def test_no_proxy_exempts_host_name(
    api: ApiClient, server: ScriptedServer, proxy: ScriptedServer, exempt: str, direct: bool
) -> None:
    api.configuration.host = f"http://localhost:{server.port}"
    api.configuration.proxy, api.configuration.no_proxy = proxy.url, exempt
    (server if direct else proxy).script(OK)
    ask(api)


def test_custom_proxy_manager_is_used(server: ScriptedServer, proxy: ScriptedServer) -> None:
    proxy.script(OK)
    with (
        ApiClient(Configuration(server.url)) as client,
        urllib3.ProxyManager(proxy.url) as manager,
    ):
        client.rest_client.pool_manager = manager
        ask(client)
        assert client.rest_client.pool_manager is manager
    assert proxy.requests[0].target == f"{server.url}/api/v1/healthcheck"


def test_repr_hides_proxy_credentials(far: ApiClient) -> None:
    value: Any = far.configuration
    value.proxy = "http://me:hunter2@proxy"
    assert "hunter2" not in repr(value)
    assert "hunter2" not in value.to_debug_report()


# NO_PROXY


@pytest.mark.parametrize(
    ("host", "exempt"),
    [
        ("lakefs.corp", "*"),
        ("lakefs.corp", "lakefs.corp"),
        ("lakefs.corp", "LAKEFS.Corp"),
        ("lakefs.corp", "corp"),
        ("lakefs.corp", ".corp"),
        ("lakefs.corp", "*.corp"),
        ("a.lakefs.corp", "*.corp"),
        ("lakefs.corp.", "lakefs.corp"),
        ("lakefs.corp", "lakefs.corp."),
        ("lakefs.corp", ".corp."),
        ("lakefs.corp", "other, lakefs.corp"),
        ("lakefs.corp", "other lakefs.corp"),
        ("lakefs.corp", "lakefs.corp:8000"),
        ("10.1.2.3", "10.1.2.3"),
        ("10.1.2.3", "10.0.0.0/8"),
        ("10.1.2.3", "10.1.2.0/24"),
        ("10.1.2.3", "10.1.2.9/24"),
        ("10.1.2.3", "localhost,.svc,10.0.0.0/8"),
        ("10.1.2.3", "10.1.2.3:8000"),
        ("::1", "::1"),
        ("::1", "[::1]"),
        ("::1", "[::1]:8000"),
        ("::1", "::/96"),
        ("fd00::7", "fd00::/8"),
        ("fd00::7", "[fd00::]/8"),
        ("fd00::7", "FD00:0::7"),
    ],
)
def test_no_proxy_entry_matches_host(host: str, exempt: str) -> None:
    assert is_exempt(host, 8000, exempt)


@pytest.mark.parametrize(
    ("host", "exempt"),
    [
        ("lakefs.corp", ""),
        ("lakefs.corp", " , ,"),
        ("lakefs.corp", "."),
        ("lakefs.corp", "fs.corp"),
        ("lakefs.corp", "lakefs"),
        ("lakefs.corp", "a.lakefs.corp"),
        ("lakefs.corp", "lakefs.corp:9000"),
        ("lakefs.corp", "10.0.0.0/8"),
        ("lakefs.corp", "corp/8"),
        ("10.1.2.3", "10.1.2"),
        ("10.1.2.3", "1.2.3"),
        ("10.1.2.3", "11.0.0.0/8"),
        ("10.1.2.3", "10.0.0.0/99"),
        ("10.1.2.3", "10.1.2.3:9000"),
        ("10.1.2.3", "::/0"),
        ("::1", "[::2]"),
        ("::1", "[::1]:9000"),
    ],
)
def test_no_proxy_entry_does_not_match_host(host: str, exempt: str) -> None:
    assert not is_exempt(host, 8000, exempt)


@given(st.text(), st.text())
def test_arbitrary_no_proxy_is_accepted(host: str, exempt: str) -> None:
    assert is_exempt(host, 80, exempt) in (True, False)


# Proxies over TLS


@pytest.mark.parametrize("for_store", [False, True])
@pytest.mark.parametrize("secure", [False, True])
def test_tls_proxy_is_verified_by_configured_authority(
    api: ApiClient, certificates: Certificates, secure: bool, for_store: bool
) -> None:
    with ScriptedServer(*[OK] * secure, tls=certificates.server) as server:
        step: Step = Tunnel((server.host, server.port)) if secure else OK
        with ScriptedServer(step, tls=certificates.server) as proxy:
            api.configuration.proxy = proxy.url
            client = api.store_client if for_store else api.rest_client
            url = server.url if secure else FAR
            assert client.exchange(Message("GET", url, {})).status == 204
            api.close()


def test_tls_proxy_of_unknown_authority_is_rejected(
    api: ApiClient, certificates: Certificates
) -> None:
    with ScriptedServer(tls=certificates.server) as proxy:
        api.configuration.proxy = proxy.url
        api.configuration.ssl_ca_cert = None
        api.configuration.host = "https://lakefs.invalid"
        with pytest.raises(ApiConnectionError, match="through the proxy https://127") as caught:
            ask(api)
        assert not caught.value.sent
