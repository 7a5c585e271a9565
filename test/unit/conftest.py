"""Fixtures: a client of a scripted server with a fake clock, and TLS certificates."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme
from support.fake_time import FakeTime
from support.scripted import Answer, ScriptedServer

from lakefs_client import ApiClient, Configuration

USER, PASSWORD = "AKIATESTUSER", "test-secret-access-key"
REPOSITORY = {
    "id": "repo",
    "creation_date": 1,
    "default_branch": "main",
    "storage_namespace": "mem://repo",
}
REPOSITORY_ANSWER = Answer(json=REPOSITORY)


@pytest.fixture
def time() -> FakeTime:
    """Provide the clock of `api`."""
    return FakeTime()


@pytest.fixture
def configuration(server: ScriptedServer, certificates: Certificates) -> Configuration:
    """Provide the settings for the scripted server, with user name and password."""
    configuration = Configuration(server.url, username=USER, password=PASSWORD)
    # Reading certifi's many certificates takes longer than most tests.
    configuration.ssl_ca_cert = certificates.authority
    return configuration


@pytest.fixture
def api(configuration: Configuration, time: FakeTime) -> Iterator[ApiClient]:
    """Provide a client of the scripted server, on a fake clock."""
    with ApiClient(configuration) as client:
        client.rest_client.timing = time.timing
        yield client


class Certificates(NamedTuple):
    """Certificates of a test authority.

    Attributes:
        authority: Path of the authority's certificate.
        server: Context of a TLS server at 127.0.0.1 and localhost.
        mutual: The same context, requiring a client certificate.
        client: Path of a client certificate with its key.
        client_key: Path of the client's key.
    """

    authority: str
    server: ssl.SSLContext
    mutual: ssl.SSLContext
    client: str
    client_key: str


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Provide the certificates, created once per run."""
    folder: Path = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    host = authority.issue_cert("127.0.0.1", "localhost")
    contexts = []
    for verify in (ssl.CERT_NONE, ssl.CERT_REQUIRED):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        host.configure_cert(context)
        authority.configure_trust(context)
        context.verify_mode = verify
        contexts.append(context)
    person = authority.issue_cert("person@example.com")
    person.private_key_and_cert_chain_pem.write_to_path(folder / "client.pem")
    person.private_key_pem.write_to_path(folder / "client.key")
    return Certificates(
        str(folder / "ca.pem"), *contexts, str(folder / "client.pem"), str(folder / "client.key")
    )
