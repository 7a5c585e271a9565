"""TLS: trusted authorities, client certificates, and errors."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from support.scripted import Answer, Reset, ScriptedServer
from urllib3.exceptions import InsecureRequestWarning

from lakefs_client import (
    ApiClient,
    ApiConnectionError,
    ApiException,
    ApiTimeoutError,
    ApiValueError,
    Configuration,
)
from lakefs_client.apis import HealthCheckApi
from lakefs_client.rest import Message

from .conftest import Certificates

OK = Answer(204)


def ask(client: ApiClient) -> None:
    assert HealthCheckApi(client).health_check() is None


@pytest.fixture
def secure(certificates: Certificates) -> Iterator[ScriptedServer]:
    """Provide a server with a certificate for 127.0.0.1 and localhost."""
    with ScriptedServer(tls=certificates.server) as server:
        yield server


@pytest.fixture
def client(secure: ScriptedServer, certificates: Certificates) -> Iterator[ApiClient]:
    """Provide a client that trusts the server, with retries that do not sleep."""
    configuration = Configuration(secure.url)
    configuration.ssl_ca_cert = certificates.authority
    with ApiClient(configuration) as client:
        client.rest_client.timing = client.rest_client.timing._replace(sleep=lambda _: None)
        yield client


@pytest.mark.parametrize("retries", [False, 0, None])
def test_unknown_authority_error_is_not_retried(
    client: ApiClient, secure: ScriptedServer, retries: Any
) -> None:
    client.configuration.ssl_ca_cert = None
    client.configuration.retries = retries
    with pytest.raises(ApiConnectionError, match="CERTIFICATE_VERIFY_FAILED") as caught:
        ask(client)
    error = caught.value
    assert f"GET {secure.url}/api/v1/healthcheck: TLS failed" in str(error)
    assert error.status == 0
    assert error.sent is False
    assert error.__cause__ is not None
    secure.wait_for(lambda s: s.open_connections == 0)
    assert secure.connections == 1
    assert secure.requests == []


def test_ssl_ca_cert_authority_is_trusted(client: ApiClient, secure: ScriptedServer) -> None:
    secure.script(OK)
    ask(client)
    assert secure.requests[0].path == "/api/v1/healthcheck"


def test_ssl_ca_cert_replaces_certifi(client: ApiClient) -> None:
    context = client.rest_client.pool_manager.connection_pool_kw["ssl_context"]
    assert len(context.get_ca_certs()) == 1
    client.configuration.ssl_ca_cert = None
    context = client.rest_client.pool_manager.connection_pool_kw["ssl_context"]
    assert len(context.get_ca_certs()) > 50


def test_store_client_trusts_certifi_and_ssl_ca_cert(client: ApiClient) -> None:
    context = client.rest_client.pool_manager.connection_pool_kw["ssl_context"]
    (configured,) = context.get_ca_certs()
    context = client.store_client.pool_manager.connection_pool_kw["ssl_context"]
    assert configured in context.get_ca_certs()
    assert len(context.get_ca_certs()) > 50


def test_verify_ssl_false_disables_verification(client: ApiClient, secure: ScriptedServer) -> None:
    secure.script(OK)
    client.configuration.ssl_ca_cert = None
    client.configuration.verify_ssl = False
    with pytest.warns(InsecureRequestWarning):
        ask(client)


def test_certificate_of_other_host_is_rejected(
    client: ApiClient, certificates: Certificates, tmp_path: Path
) -> None:
    other = trustme.CA()
    other.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    other.issue_cert("lakefs.example.com").configure_cert(context)
    client.configuration.ssl_ca_cert = str(tmp_path / "ca.pem")
    with ScriptedServer(OK, OK, tls=context) as server:
        client.configuration.host = server.url
        with pytest.raises(ApiConnectionError, match=r"127\.0\.0\.1"):
            ask(client)
        client.configuration.assert_hostname = "lakefs.example.com"
        ask(client)
        client.configuration.assert_hostname = False
        ask(client)
        client.configuration.assert_hostname = "another.example.com"
        with pytest.raises(ApiConnectionError, match="TLS failed") as caught:
            ask(client)
    assert caught.value.sent is False
    assert len(server.requests) == 2


def test_expired_certificate_is_rejected(client: ApiClient, tmp_path: Path) -> None:
    from datetime import datetime, timezone

    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(
        "127.0.0.1", not_after=datetime(2020, 1, 1, tzinfo=timezone.utc)
    ).configure_cert(context)
    client.configuration.ssl_ca_cert = str(tmp_path / "ca.pem")
    with ScriptedServer(tls=context) as server:
        client.configuration.host = server.url
        with pytest.raises(ApiConnectionError, match="expired"):
            ask(client)
    assert server.requests == []


@pytest.mark.parametrize("files", ["both in one", "two"])
def test_client_certificate_is_presented(
    client: ApiClient, certificates: Certificates, files: str
) -> None:
    configuration = client.configuration
    with ScriptedServer(OK, tls=certificates.mutual) as server:
        configuration.host = server.url
        with pytest.raises(ApiConnectionError):
            ask(client)
        configuration.cert_file = certificates.client
        configuration.key_file = certificates.client_key if files == "two" else None
        ask(client)
    assert len(server.requests) == 1


def test_store_gets_no_client_certificate(
    client: ApiClient, certificates: Certificates, secure: ScriptedServer
) -> None:
    client.configuration.cert_file = certificates.client
    client.configuration.assert_hostname = "127.0.0.1"
    client.configuration.retries = False
    with ScriptedServer(tls=certificates.mutual) as store:
        secure.script(Answer(302, headers={"Location": f"https://localhost:{store.port}/x"}))
        with pytest.raises(ApiException) as caught:
            client.call_api("/x", "GET")
    assert caught.value.status == 0
    assert store.requests == []
    assert store.connections == 1


@pytest.mark.parametrize("option", ["ssl_ca_cert", "cert_file", "key_file"])
@pytest.mark.parametrize("content", [None, "", "nonsense"])
def test_invalid_certificate_file_is_named(
    client: ApiClient, certificates: Certificates, tmp_path: Path, option: str, content: str | None
) -> None:
    path = tmp_path / "file.pem"
    usable = certificates.authority if option == "ssl_ca_cert" else None
    if content is not None:
        path.write_text(content)
    if option == "key_file":
        client.configuration.cert_file = certificates.client
    setattr(client.configuration, option, str(path))
    with pytest.raises(ApiValueError, match=rf"Configuration\..*{option} cannot be used") as caught:
        ask(client)
    assert str(path) in str(caught.value)
    setattr(client.configuration, option, usable)
    with ScriptedServer(OK, tls=certificates.server) as server:
        client.configuration.host = server.url
        ask(client)


def test_certificates_are_loaded_for_the_first_secure_address(client: ApiClient) -> None:
    client.configuration.ssl_ca_cert = "missing.pem"
    with ScriptedServer(OK, OK) as plain:
        secure, client.configuration.host = client.configuration.host, plain.url
        ask(client)
        client.configuration.host = secure
        with pytest.raises(ApiValueError, match="ssl_ca_cert cannot be used"):
            ask(client)
        client.configuration.host = plain.url
        ask(client)
        assert plain.connections == 1


def test_server_without_tls_is_an_unsent_error(client: ApiClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                with suppress(ConnectionResetError):  # the client does not read the answer
                    connection.recv(1)

        client.configuration.host = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with ThreadPoolExecutor(1) as thread:
            answered = thread.submit(answer)
            with pytest.raises(ApiConnectionError, match="TLS failed") as caught:
                client.call_api("/x", "POST")
            assert answered.result(60) is None
    assert caught.value.status == 0
    assert caught.value.sent is False


def test_handshake_timeout_is_an_unsent_error(client: ApiClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client.configuration.retries = False
        client.configuration.connect_timeout = 0.2
        client.configuration.host = f"https://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ApiTimeoutError, match="connect_timeout") as caught:
            client.call_api("/x", "POST")
    assert caught.value.sent is False


def test_reset_with_tls_is_retried(client: ApiClient, secure: ScriptedServer) -> None:
    secure.script(Reset(), OK)
    ask(client)
    assert len(secure.requests) == 2


def test_early_error_answer_with_tls_is_raised(
    client: ApiClient, certificates: Certificates
) -> None:
    from lakefs_client.apis import ObjectsApi

    refusal = Answer(403, json={"message": "not here"}, early=True, then="close")
    with ScriptedServer(refusal, tls=certificates.server, receive_buffer=64 << 10) as server:
        client.configuration.host = server.url
        client.configuration.retries = False
        with pytest.raises(ApiException, match="not here") as caught:
            ObjectsApi(client).upload_object("r", "main", "p", content=b"x" * (16 << 20))
    assert caught.value.status == 403


# Authorities from the environment


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_environment_authority_is_trusted(
    client: ApiClient,
    certificates: Certificates,
    secure: ScriptedServer,
    variable: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secure.script(OK, OK)
    client.configuration.ssl_ca_cert = None
    path = certificates.authority
    if variable == "SSL_CERT_DIR":
        path = f"{tmp_path / 'none'}{os.pathsep}{hashed_folder(path, tmp_path)}"
    monkeypatch.setenv(variable, path)
    ask(client)
    message = Message("GET", client.configuration.host, {})
    assert client.store_client.exchange(message).status == 204


def hashed_folder(authority: str, folder: Path) -> Path:
    """Return a folder with a certificate under its OpenSSL hash."""
    command = ["openssl", "x509", "-hash", "-noout", "-in", authority]
    name = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    target = folder / "certs"
    target.mkdir()
    (target / f"{name}.0").write_bytes(Path(authority).read_bytes())
    return target


def test_configured_authority_precedes_environment(
    client: ApiClient, secure: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    secure.script(OK)
    monkeypatch.setenv("SSL_CERT_FILE", "/does/not/exist")
    ask(client)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_invalid_certificate_variable_is_named(
    client: ApiClient, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.configuration.ssl_ca_cert = None
    monkeypatch.setenv(variable, "/does/not/exist")
    with pytest.raises(ApiValueError, match=rf"{variable} cannot be used \('/does/not/exist'\)"):
        ask(client)


def test_empty_certificate_variable_is_ignored(
    client: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.configuration.ssl_ca_cert = None
    monkeypatch.setenv("SSL_CERT_FILE", "")
    with pytest.raises(ApiException, match="certificate verify failed"):
        ask(client)
