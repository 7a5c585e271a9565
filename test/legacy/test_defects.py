"""Regression tests for the defects of 1.44."""

from __future__ import annotations

import copy
import gc
import io
import json
import logging
import os
import pickle
import socket
import ssl
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from support.scripted import Answer, Close, Reset, ScriptedServer, Stall

import lakefs_client
from lakefs_client import ApiClient, ApiException, Configuration, apis, models
from lakefs_client.exceptions import (
    ApiConnectionError,
    ApiTimeoutError,
    ApiTypeError,
    ApiValueError,
)
from lakefs_client.sandbox import Sandbox

from .conftest import PAGINATION, REF, REPOSITORIES, STATS, configuration

MIB = 1 << 20


# Configuration


def test_default_host_is_localhost() -> None:
    assert Configuration().host == "http://localhost/api/v1"
    assert Configuration().get_host_from_settings(0) == "http://localhost/api/v1"


@pytest.mark.parametrize("path", ["/", "/api/v1", "/api/v1/"])
def test_trailing_slash_of_host_is_not_doubled(server: ScriptedServer, path: str) -> None:
    server.script(Answer(json=REF))
    with ApiClient(Configuration(host=server.url + path)) as client:
        apis.BranchesApi(client).get_branch("repo", "main")
    assert server.requests[0].path == "/api/v1/repositories/repo/branches/main"


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[tuple[ScriptedServer, str]]:
    """Provide a TLS server, and the file of its certificate authority."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(bundle)
    with ScriptedServer(Answer(json=REF), tls=context) as server:
        yield server, str(bundle)


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
@pytest.mark.parametrize("option", ["ssl_ca_cert", "verify_ssl"])
def test_tls_options_apply_to_existing_client(tls: tuple[ScriptedServer, str], option: str) -> None:
    server, bundle = tls
    with ApiClient(configuration(server)) as client:
        api = apis.BranchesApi(client)
        with pytest.raises(ApiConnectionError, match="TLS"):
            api.get_branch("repo", "main")
        setattr(client.configuration, option, bundle if option == "ssl_ca_cert" else False)
        assert api.get_branch("repo", "main").id == "main"


def test_retries_apply_to_existing_client(wire: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(503))
    wire.configuration.retries = False
    with pytest.raises(ApiException):
        apis.BranchesApi(wire).get_branch("repo", "main")


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Provide an environment without a proxy."""
    for name in [*os.environ]:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    return monkeypatch


def test_proxy_environment_variables_are_honoured(
    server: ScriptedServer, no_proxies: pytest.MonkeyPatch
) -> None:
    server.script(Answer(json=REF))
    no_proxies.setenv("http_proxy", server.url)
    with ApiClient(Configuration(host="http://lakefs.invalid:8000")) as client:
        assert apis.BranchesApi(client).get_branch("repo", "main").id == "main"
    assert server.requests[0].target.startswith("http://lakefs.invalid:8000/api/v1/")


@pytest.mark.parametrize("where", ["environment", "configuration"])
def test_no_proxy_is_honoured(
    wire: ApiClient, server: ScriptedServer, no_proxies: pytest.MonkeyPatch, where: str
) -> None:
    server.script(Answer(json=REF))
    no_proxies.setenv("http_proxy", "http://proxy.invalid:3128")
    if where == "environment":
        no_proxies.setenv("no_proxy", "example.com,127.0.0.1")
    else:
        wire.configuration.no_proxy = "example.com,127.0.0.1"
    apis.BranchesApi(wire).get_branch("repo", "main")
    assert server.requests[0].target.startswith("/api/v1/")


def test_debug_output_hides_credentials(
    wire: ApiClient, server: ScriptedServer, capfd: pytest.CaptureFixture[str]
) -> None:
    server.script(Answer(json=REF))
    wire.configuration.access_token = "very-secret"
    wire.configuration.debug = True
    try:
        apis.BranchesApi(wire).get_branch("repo", "main")
    finally:
        wire.configuration.debug = False
    printed = capfd.readouterr()
    assert "very-secret" not in printed.out + printed.err
    assert "Authorization" not in printed.out + printed.err


def test_new_configuration_does_not_change_loggers() -> None:
    names = ("lakefs_client", "urllib3")
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger.level, list(logger.handlers)) for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        Configuration()
        Configuration(username="key")
        assert [logger.level for logger in loggers] == [logging.CRITICAL] * 2
        assert [list(logger.handlers) for logger in loggers] == [h for _, h in before]
    finally:
        for logger, (level, _) in zip(loggers, before):
            logger.setLevel(level)


def test_cookies_are_joined_with_their_names(wire: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(json=REF))
    wire.cookie = "own=1"
    wire.configuration.api_key = {"cookie_auth": "a", "oidc_auth": "b", "saml_auth": "c"}
    apis.BranchesApi(wire).get_branch("repo", "main")
    assert {*server.requests[0].headers["cookie"].split("; ")} == {
        "own=1", "internal_auth_session=a", "oidc_auth_session=b", "saml_auth_session=c",
    }  # fmt: skip


# Requests


@pytest.mark.parametrize("argument", ["..", ".", ""])
def test_dot_segment_path_argument_is_rejected(
    wire: ApiClient, server: ScriptedServer, argument: str
) -> None:
    with pytest.raises(ApiValueError):
        apis.BranchesApi(wire).delete_branch("repo", argument)
    assert server.requests == []


def test_dots_within_path_argument_are_kept(wire: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(json=REF))
    apis.BranchesApi(wire).get_branch("repo", "../x")
    assert server.requests[0].path.endswith("/branches/..%2Fx")


@pytest.mark.parametrize(
    "settings",
    [
        [models.ExternalPrincipalSettings(key="v")],
        models.ExternalPrincipalSettings(key="v"),
        {"key": "v"},
    ],
    ids=["documented list", "model", "dict"],
)
def test_external_principal_settings_are_sent_as_one_object(settings: Any) -> None:
    with Sandbox(external_principals=True) as sandbox, ApiClient(sandbox.configuration()) as client:
        user = apis.AuthApi(client).get_current_user().user.id
        apis.ExperimentalApi(client).create_user_external_principal(
            user,
            "arn:aws:sts::1:assumed-role/r",
            external_principal_creation=models.ExternalPrincipalCreation(settings=settings),
        )
        found = apis.ExperimentalApi(client).get_external_principal("arn:aws:sts::1:assumed-role/r")
        assert found.user_id == user
        sent = client.sanitize_for_serialization(
            models.ExternalPrincipalCreation(settings=settings)
        )
    assert sent == {"settings": {"key": "v"}}


@pytest.mark.parametrize("check", [True, False])
def test_check_input_type_accepts_true_and_false(
    wire: ApiClient, server: ScriptedServer, check: bool
) -> None:
    server.script(Answer(json={"pagination": PAGINATION, "results": []}))
    found = apis.BranchesApi(wire).list_branches("repo", amount=3, _check_input_type=check)
    assert found.results == []


def test_check_input_type_false_skips_argument_checks(
    wire: ApiClient, server: ScriptedServer
) -> None:
    server.script(Answer(json={"pagination": PAGINATION, "results": []}))
    amount: Any = "3"
    apis.BranchesApi(wire).list_branches("repo", prefix=amount, _check_input_type=False)
    assert server.requests[0].query == "prefix=3"


def test_caller_arguments_are_not_modified(wire: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(json={"pagination": PAGINATION, "results": []}), Answer(json=STATS))
    objects = ["a", "b"]
    body: dict[str, Any] = {
        "staging": {"physical_address": "s3://x"},
        "checksum": "c",
        "size_bytes": 3,
        "user_metadata": {"k": "v"},
    }
    before = copy.deepcopy(body)
    apis.RefsApi(wire).log_commits("repo", "main", objects=objects)
    apis.StagingApi(wire).link_physical_address("repo", "main", "a", body)
    assert objects == ["a", "b"]
    assert body == before
    assert type(body["staging"]) is dict


# Answers


def test_free_form_values_are_not_converted(wire: ApiClient, server: ScriptedServer) -> None:
    data = {"n": 1, "date": "2024-02-29", "x": [1, {"y": "2024-02-29T01:02:03Z"}]}
    server.script(Answer(json={**REF, "newer": data}), Answer(json=data))
    found: Any = apis.BranchesApi(wire).get_branch("repo", "main")
    assert found.newer == data
    assert type(found.newer["n"]) is int
    free = wire.call_api("/x", "GET", response_type=(dict,), _return_http_data_only=True)
    assert free == data


@pytest.mark.parametrize("disposition", ["attachment", 'attachment; filename="../../evil"'])
@pytest.mark.parametrize("size", [3, 3 * MIB], ids=["small", "large"])
def test_download_ignores_content_disposition(
    wire: ApiClient, server: ScriptedServer, tmp_path: Path, disposition: str, size: int
) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    wire.configuration.temp_folder_path = str(folder)
    server.script(Answer(body=bytes(size), headers={"Content-Disposition": disposition}))
    with apis.ObjectsApi(wire).get_object("repo", "main", "a") as file:
        assert len(file.read()) == size
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_status_204_is_none_only_if_documented(wire: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(204), Answer(204))
    objects: Any = apis.ObjectsApi(wire)
    found = objects.update_object_user_metadata("repo", "main", "a", {"set": {"k": "v"}})
    assert found is None
    with pytest.raises(ApiTypeError, match=r"stat_object: .* an empty body"):
        objects.stat_object("repo", "main", "a")


@pytest.mark.parametrize("key", ["cls", "self", "_self", "__class__", "get", "to_dict", "args"])
@pytest.mark.parametrize("model", [models.Ref, models.ObjectUserMetadata])
def test_answer_key_does_not_shadow_methods(wire: ApiClient, key: str, model: Any) -> None:
    data = {**(REF if model is models.Ref else {}), key: "value"}
    answer = type("Answer", (), {"data": json.dumps(data), "status": 200, "headers": {}})()
    found = wire.deserialize(answer, (model,))
    assert found[key] == "value"
    assert found.to_dict() == data
    assert found.get(key) == "value"


def test_undecodable_answer_is_an_api_exception(wire: ApiClient, server: ScriptedServer) -> None:
    server.script(
        Answer(body=b'{"id": "\xff\xfe"}', headers={"Content-Type": "application/json"}),
        Answer(404, b"\xff\xfe not found"),
    )
    with pytest.raises(ApiTypeError) as wrong:
        apis.BranchesApi(wire).get_branch("repo", "main")
    assert isinstance(wrong.value, ApiException)
    with pytest.raises(ApiException) as missing:
        apis.BranchesApi(wire).get_branch("repo", "main")
    assert (missing.value.body or "").endswith(" not found")


def test_discard_unknown_keys_still_checks_types(wire: ApiClient, server: ScriptedServer) -> None:
    wire.configuration.discard_unknown_keys = True
    server.script(Answer(json={**REF, "newer": 1}), Answer(json={**REF, "id": 7}))
    found = apis.BranchesApi(wire).get_branch("repo", "main")
    assert found.to_dict() == REF
    with pytest.raises(ApiTypeError):
        apis.BranchesApi(wire).get_branch("repo", "main")


def test_unknown_enum_value_is_kept(wire: ApiClient, server: ScriptedServer) -> None:
    server.script(
        Answer(
            json={
                "pagination": PAGINATION,
                "results": [{**STATS, "path_type": "symlink"}, STATS],
            }
        )
    )
    found = apis.ObjectsApi(wire).list_objects("repo", "main")
    assert [str(item.path_type) for item in found.results] == ["symlink", "object"]


# Models


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_decoded_models_can_be_copied_and_pickled(
    wire: ApiClient, server: ScriptedServer, duplicate: Any
) -> None:
    page = {
        "pagination": PAGINATION,
        "results": [{**STATS, "metadata": {"owner": "me"}, "newer": 1}],
    }
    server.script(Answer(json=page))
    found = apis.ObjectsApi(wire).list_objects("repo", "main")
    twin = duplicate(found)
    assert twin == found
    assert twin is not found
    assert twin.results[0].metadata.owner == "me"
    assert wire.sanitize_for_serialization(twin) == page


def test_decoded_models_do_not_reference_the_configuration(
    wire: ApiClient, server: ScriptedServer
) -> None:
    wire.configuration.password = "very-secret"
    server.script(Answer(json={"pagination": PAGINATION, "results": [STATS]}))
    found = apis.ObjectsApi(wire).list_objects("repo", "main")
    assert b"very-secret" not in pickle.dumps(found)
    seen, pending = set(), [found, found.results[0]]
    while pending:
        value = pending.pop()
        if id(value) in seen or isinstance(value, type):
            continue
        seen.add(id(value))
        assert not isinstance(value, (Configuration, ApiClient))
        pending += gc.get_referents(value)


# Network


def closed_port() -> int:
    """Return a port without a listener."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_failed_connection_is_an_api_exception() -> None:
    given = Configuration(host=f"http://127.0.0.1:{closed_port()}")
    given.retries = False
    with ApiClient(given) as client, pytest.raises(ApiException) as caught:
        apis.BranchesApi(client).get_branch("repo", "main")
    assert isinstance(caught.value, ConnectionError)
    assert caught.value.status == 0
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    "step",
    [Close(), Reset(), Answer(json=REF, cut=5, then="close")],
    ids=["closed", "reset", "truncated"],
)
def test_broken_connection_is_an_api_exception(
    wire: ApiClient, server: ScriptedServer, step: Any
) -> None:
    wire.configuration.retries = False
    server.script(step)
    with pytest.raises(ApiException) as caught:
        apis.BranchesApi(wire).get_branch("repo", "main")
    assert isinstance(caught.value, ApiConnectionError)


def test_truncated_download_is_an_api_exception(wire: ApiClient, server: ScriptedServer) -> None:
    wire.configuration.retries = False
    server.script(Answer(body=bytes(1000), cut=10, then="close"))
    with pytest.raises(ApiException):
        apis.ObjectsApi(wire).get_object("repo", "main", "a")


def test_failed_handshake_is_an_api_exception() -> None:
    with ScriptedServer() as plain:
        given = Configuration(host=f"https://127.0.0.1:{plain.port}")
        given.retries = False
        given.read_timeout = 60
        # A server without TLS closes the connection during the handshake.
        with ApiClient(given) as client:
            call: Any = apis.BranchesApi(client)
            waiting = call.get_branch("repo", "main", async_req=True)
            plain.wait_for(lambda s: s.connections == 1)
            plain.close()
            with pytest.raises(ApiConnectionError):
                waiting.get(60)


def test_untrusted_certificate_is_an_api_exception(
    tls: tuple[ScriptedServer, str],
) -> None:
    server, bundle = tls
    given = configuration(server)
    given.retries = False
    with ApiClient(given) as client:
        with pytest.raises(ApiConnectionError, match="TLS") as caught:
            apis.BranchesApi(client).get_branch("repo", "main")
        assert "AttributeError" not in repr(caught.value.__cause__)
        given.ssl_ca_cert = bundle
        apis.BranchesApi(client).get_branch("repo", "main")


def test_default_timeouts_are_finite() -> None:
    given = Configuration()
    assert 0 < given.connect_timeout <= 60
    assert 0 < given.read_timeout <= 600


def test_stalled_server_raises_timeout(wire: ApiClient, server: ScriptedServer) -> None:
    server.script(Stall())
    wire.configuration.retries = False
    wire.configuration.read_timeout = 0.2
    with pytest.raises(ApiTimeoutError) as caught:
        apis.BranchesApi(wire).get_branch("repo", "main")
    assert isinstance(caught.value, TimeoutError)
    assert "read_timeout" in str(caught.value)


@pytest.mark.parametrize("failure", [Answer(503), Close(), Reset()], ids=["503", "closed", "reset"])
@pytest.mark.parametrize("retries", [None, 3], ids=["default", "asked for"])
def test_sent_hard_reset_is_not_retried(
    wire: ApiClient, server: ScriptedServer, failure: Any, retries: int | None
) -> None:
    wire.configuration.retries = retries
    server.script(failure)
    with pytest.raises(ApiException):
        apis.ExperimentalApi(wire).hard_reset_branch("repo", "main", "main~1")
    assert len(server.requests) == 1


def test_post_is_retried_after_status_429(wire: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(429), Answer(429, headers={"Retry-After": "0"}), Answer(201, b"c1"))
    created = apis.BranchesApi(wire).create_branch("repo", models.BranchCreation("dev", "main"))
    assert created == "c1"
    assert len({(r.method, r.target, r.body) for r in server.requests}) == 1


# Resources


def test_garbage_collected_client_ends_its_threads(server: ScriptedServer) -> None:
    server.script(*[Answer(json=REF)] * 2)
    client = ApiClient(configuration(server), pool_threads=3)
    api: Any = apis.BranchesApi(client)
    api.get_branch("repo", "main")  # the server's thread for this connection starts here
    before = {*threading.enumerate()}
    assert api.get_branch("repo", "main", async_req=True).get(60).id == "main"
    threads = {*threading.enumerate()} - before
    assert len(threads) >= 3
    client.rest_client.close()  # this test is about threads, not sockets
    del client, api
    gc.collect()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


def test_close_closes_the_sockets(wire: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(json=REF))
    apis.BranchesApi(wire).get_branch("repo", "main")
    assert server.open_connections == 1
    wire.close()
    server.wait_for(lambda s: s.open_connections == 0)
    assert server.open_connections == 0


@pytest.mark.parametrize("kind", ["file", "stream"])
def test_upload_memory_is_bounded(
    client: ApiClient, sandbox: Sandbox, tmp_path: Path, kind: str
) -> None:
    class Stream(io.RawIOBase):
        """An unseekable stream without a file."""

        def __init__(self) -> None:
            self.left = 48 * MIB

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            count = min(len(buffer), self.left)
            self.left -= count
            return count

    path = tmp_path / "large"
    with path.open("wb") as sparse:
        sparse.truncate(48 * MIB)
    apis.RepositoriesApi(client).create_repository(
        models.RepositoryCreation("repo", f"{sandbox.storage_namespace}repo")
    )
    with path.open("rb") if kind == "file" else Stream() as content:
        tracemalloc.start()
        try:
            stats = apis.ObjectsApi(client).upload_object("repo", "main", "a", content=content)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert stats.size_bytes == 48 * MIB
    assert peak < 16 * MIB, peak


def test_import_loads_no_heavy_module() -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(Path(lakefs_client.__file__).parents[1])!r})\n"
        "before = set(sys.modules)\n"
        "import lakefs_client\n"
        "from lakefs_client.api import experimental_api\n"
        "from lakefs_client.models import CompletePresignMultipartUpload, UploadPart\n"
        "heavy = {'urllib3', 'dateutil', 'dataclasses', 'json', 'logging', 'email', 'typing'}\n"
        "print(sorted(heavy & (set(sys.modules) - before)))\n"
    )
    # -I -S: no site-packages hook imports a module first, which would hide an import.
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_page_results_are_decoded_lazily(wire: ApiClient, server: ScriptedServer) -> None:
    def instances() -> int:
        gc.collect()
        return sum(type(o) is models.ObjectUserMetadata for o in gc.get_objects())

    results = [{**STATS, "path": str(n), "metadata": {"n": str(n)}} for n in range(1000)]
    server.script(Answer(json={"pagination": PAGINATION, "results": results}))
    before = instances()
    page = apis.ObjectsApi(wire).list_objects("repo", "main")
    assert instances() == before
    assert page.results[999].metadata["n"] == "999"


# Secrets


SECRETS = [
    models.LoginInformation("key", "very-secret"),
    models.AuthenticationToken("very-secret"),
    models.AccessKeyCredentials("key", "very-secret"),
    models.CredentialsWithSecret("key", "very-secret", 1),
    models.Setup("admin", key=models.AccessKeyCredentials("key", "very-secret")),
]


@pytest.mark.parametrize("model", SECRETS, ids=lambda model: type(model).__name__)
def test_model_text_hides_secrets(model: Any) -> None:
    for text in (repr(model), str(model), model.to_str(), repr([model]), f"{model}"):
        assert "very-secret" not in text
    assert "very-secret" in json.dumps(model.to_dict())


def test_debug_log_hides_tokens_of_answers(
    wire: ApiClient, server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.script(Answer(json={"token": "very-secret"}), Answer(json=REPOSITORIES))
    with caplog.at_level(logging.DEBUG):
        token = apis.AuthApi(wire).login(
            login_information=models.LoginInformation("key", "also-secret")
        )
        wire.configuration.access_token = token.token
        apis.RepositoriesApi(wire).list_repositories()
    assert "very-secret" not in caplog.text
    assert "also-secret" not in caplog.text
