"""The sandbox as a server: its life, its state on disk, HTTP, who may call, what is refused."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import lakefs_client.sandbox
from lakefs_client.sandbox import Sandbox

from .conftest import MIB, Client

DOCUMENT = Path(lakefs_client.sandbox.__file__).with_name("openapi.json")
OPERATIONS = json.loads(DOCUMENT.read_text(encoding="utf-8"))["operations"]
OBJECTS = "/repositories/repo/branches/main/objects"

# What the sandbox leaves out; everything else it answers, if only as an open-source server does.
LEFT_OUT = {
    "setup_comm_prefs",
    "get_metadata_object",
    "prepare_garbage_collection_commits",
    "prepare_garbage_collection_commits_async",
    "prepare_garbage_collection_commits_status",
    "prepare_garbage_collection_uncommitted",
    "oauth_callback",
}


# Life


def test_close_may_be_repeated() -> None:
    sandbox = Sandbox()
    directory = next(iter(sandbox.blockstore.objects()), None)
    assert directory is None
    sandbox.close()
    sandbox.close()
    with pytest.raises(RuntimeError):
        sandbox.start()


def test_start_may_be_repeated(sandbox: Sandbox) -> None:
    endpoint = sandbox.endpoint
    sandbox.start()
    assert sandbox.endpoint == endpoint


def test_temporary_directory_is_removed(client: Client) -> None:
    client.upload("x", b"1")
    (stored,) = client.sandbox.blockstore.objects().values()
    assert stored.segments[0].path.exists()
    client.sandbox.close()
    assert not stored.segments[0].path.exists()


def test_restart_keeps_state_and_ports(sandbox: Sandbox, client: Client) -> None:
    endpoint, upload = sandbox.endpoint, client.create_upload("x")
    client.upload("y", b"1")
    sandbox.restart()
    assert sandbox.endpoint == endpoint
    client.http.clear()
    assert client.read("y") == b"1"
    etag = client.put(upload["presigned_urls"][0], b"2").headers["ETag"]
    assert client.complete(upload, "x", [etag]).status == 200


def test_restart_cuts_connections(sandbox: Sandbox) -> None:
    with connect(sandbox) as sock:
        sock.sendall(b"GET /api/v1/healthcheck HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.1 204")
        sandbox.restart()
        assert sock.recv(1000) == b""


def test_data_directory(tmp_path: Path) -> None:
    with Sandbox(data=tmp_path, external_principals=True) as sandbox:
        client = Client(sandbox)
        client.create_repository()
        client.upload("committed", b"1", headers={"x-lakefs-meta-k": "v"})
        commit_id = client.commit("c")
        client.ok("POST", "/repositories/repo/tags", {"id": "v1", "ref": "main"})
        client.upload("staged", b"2")
        client.ok("DELETE", OBJECTS, query={"path": "committed"})
        body = {"title": "t", "source_branch": "dev", "destination_branch": "main"}
        client.branch("dev", "v1")
        client.ok("POST", "/repositories/repo/pulls", body)
        principals = "/auth/users/admin/external/principals"
        client.call("POST", principals, query={"principalId": "p"})
        token = client.ok("POST", "/auth/login", credentials(sandbox))["token"]
        upload = client.create_upload("x", 2)
        etag = client.put(upload["presigned_urls"][0], b"z" * 5 * MIB).headers["ETag"]
        client.close()
    leftover = tmp_path / "blocks" / "00" / "leftover"
    leftover.parent.mkdir(exist_ok=True)
    leftover.write_bytes(b"of a crash")
    with Sandbox(data=tmp_path, external_principals=True) as again:
        assert credentials(again) == credentials(sandbox)
        assert not leftover.exists()
        client = Client(again)
        assert client.paths("main") == ["staged"]
        assert client.paths("v1") == ["committed"]
        query = {"path": "committed"}
        stats = client.ok("GET", "/repositories/repo/refs/v1/objects/stat", query=query)
        assert stats["metadata"] == {"k": "v"}
        assert client.ok("GET", "/repositories/repo/branches/main")["commit_id"] == commit_id
        assert len(client.ok("GET", "/repositories/repo/pulls")["results"]) == 1
        assert client.ok("GET", "/auth/external/principals", query={"principalId": "p"})
        bearer = {"Authorization": f"Bearer {token}"}
        assert client.call("GET", "/repositories", auth=False, headers=bearer).status == 200
        # The URL is of the old port, the upload is still there.
        fresh = f"/repositories/repo/branches/main/staging/pmpu/{upload['upload_id']}/parts/2"
        body = {"physical_address": upload["physical_address"]}
        url = client.ok("PUT", fresh, body, query={"path": "x"})["presigned_url"]
        tail = client.put(url, b"tail").headers["ETag"]
        assert client.complete(upload, "x", [etag, tail]).status == 200
        assert client.read("x") == b"z" * 5 * MIB + b"tail"
        client.close()


def test_state_of_another_version(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"format": 99}')
    with pytest.raises(ValueError, match="not of this version"):
        Sandbox(data=tmp_path)


def test_port_in_use_leaves_nothing_open(sandbox: Sandbox) -> None:
    with pytest.raises(OSError, match="in use"):
        Sandbox(port=urlsplit(sandbox.endpoint).port or 0)


def test_given_credentials() -> None:
    with Sandbox(access_key_id="id", secret_access_key="secret") as sandbox:
        assert credentials(sandbox) == {"access_key_id": "id", "secret_access_key": "secret"}
        client = Client(sandbox)
        assert client.ok("GET", "/user")["user"]["id"] == "admin"
        client.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "lakefs_client.sandbox", "--port", "0"]
    command += ["--data", str(tmp_path), "--access-key-id", "id", "--secret-access-key", "key"]
    with subprocess.Popen(
        [*command, "--no-presigned-multipart"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline().decode()
        assert first.startswith("lakeFS sandbox at http://127.0.0.1:")
        for line in process.stdout:
            if b"Ctrl-C" in line:
                break
        url = urlsplit(first.split()[-1])
        connection = http.client.HTTPConnection(url.netloc, timeout=30)
        connection.request("GET", "/api/v1/config", headers={"Authorization": "Basic aWQ6a2V5"})
        config = json.loads(connection.getresponse().read())
        assert config["storage_config"]["pre_sign_multipart_upload"] is False
        connection.close()
        process.send_signal(number)
        assert process.wait(timeout=30) == 0
        assert process.stderr.read() == b""
    assert (tmp_path / "state.json").exists()


def test_command_says_why_it_cannot_start(sandbox: Sandbox) -> None:
    port = str(urlsplit(sandbox.endpoint).port)
    command = [sys.executable, "-m", "lakefs_client.sandbox", "--port", port]
    done = subprocess.run(command, capture_output=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(b"The sandbox cannot start: ")


def test_plugin_is_cheap_to_import() -> None:
    program = (
        "import sys, pytest; before = set(sys.modules); import lakefs_client.sandbox.plugin; "
        "print(sorted(m for m in set(sys.modules) - before if 'lakefs' in m))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    names = ["lakefs_client", "lakefs_client.sandbox", "lakefs_client.sandbox.plugin"]
    assert done.stdout.decode().strip() == str(names)


def test_plugin_gives_each_test_its_own(tmp_path: Path) -> None:
    test = """
import pytest

seen = []

@pytest.mark.parametrize("number", [1, 2])
def test_it(lakefs_sandbox, number):
    assert lakefs_sandbox.endpoint.startswith("http://127.0.0.1:")
    assert lakefs_sandbox not in seen
    seen.append(lakefs_sandbox)
"""
    (tmp_path / "test_it.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    command += ["-p", "lakefs_client.sandbox.plugin", "--rootdir", str(tmp_path), str(tmp_path)]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert b"2 passed" in done.stdout, done.stdout


def test_public_names() -> None:
    for name in lakefs_client.sandbox.__all__:
        assert getattr(lakefs_client.sandbox, name) is not None
    assert "Sandbox" in dir(lakefs_client.sandbox)
    with pytest.raises(AttributeError):
        _ = lakefs_client.sandbox.nothing


# HTTP


def connect(sandbox: Sandbox) -> socket.socket:
    host, _, port = urlsplit(sandbox.endpoint).netloc.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def exchange(sandbox: Sandbox, data: bytes) -> bytes:
    """Send raw bytes and return the answer, up to the end of the connection."""
    with connect(sandbox) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        received = b""
        while more := sock.recv(65536):
            received += more
    return received


def test_pipelined_requests(sandbox: Sandbox) -> None:
    request = b"GET /api/v1/healthcheck HTTP/1.1\r\nHost: x\r\n\r\n"
    assert exchange(sandbox, request * 3).count(b"HTTP/1.1 204 No Content") == 3


def test_connection_close(sandbox: Sandbox) -> None:
    request = b"GET /api/v1/healthcheck HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = exchange(sandbox, request * 2)
    assert answer.count(b"HTTP/1.1 204") == 1
    assert b"Connection: close\r\n" in answer
    assert b"\r\nDate: " in answer


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 600_000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_http(sandbox: Sandbox, data: bytes) -> None:
    try:
        assert exchange(sandbox, data).startswith(b"HTTP/1.1 400 Bad Request\r\n")
    except OSError:
        pass  # the server did not read the rest, and the connection was reset


def test_head_of_a_missing_object(client: Client) -> None:
    response = client.call("HEAD", "/repositories/repo/refs/main/objects", query={"path": "x"})
    assert (response.status, response.data) == (404, b"")


def test_clock_moves_the_date(sandbox: Sandbox, client: Client) -> None:
    sandbox.clock.advance(10 * 365 * 24 * 3600)
    first = client.call("GET", "/healthcheck").headers["Date"]
    sandbox.clock.advance(-20 * 365 * 24 * 3600)
    second = client.call("GET", "/healthcheck").headers["Date"]
    assert int(first.split()[3]) - int(second.split()[3]) == 20


def test_type_of_an_object_cannot_end_its_header(client: Client) -> None:
    upload = client.create_upload("x")
    etag = client.put(upload["presigned_urls"][0], b"1").headers["ETag"]
    content_type = "a/b\r\nSet-Cookie: c=d"
    assert client.complete(upload, "x", [etag], content_type=content_type).status == 200
    response = client.call("GET", "/repositories/repo/refs/main/objects", query={"path": "x"})
    assert response.headers["Content-Type"] == "a/bSet-Cookie: c=d"
    assert "Set-Cookie" not in response.headers


def test_urls_have_the_host_that_the_client_knows(client: Client) -> None:
    place = "/repositories/repo/branches/main/staging/backing"
    query = {"path": "x", "presign": "true"}
    for host, expected in {"localhost:1": "localhost", "lake": "lake", "[::1]:1": "[::1]"}.items():
        url = client.ok("GET", place, query=query, headers={"Host": host})["presigned_url"]
        assert urlsplit(url).netloc.rpartition(":")[0] == expected


def test_configuration(sandbox: Sandbox) -> None:
    configuration = sandbox.configuration()
    assert configuration.host == f"{sandbox.endpoint}/api/v1"
    assert configuration.username == sandbox.access_key_id
    assert configuration.password == sandbox.secret_access_key


def test_what_fails_is_answered_and_logged(
    client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client.sandbox.blockstore._directory = tmp_path / "not" / "there"
    status, message = client.refused("POST", OBJECTS, query={"path": "x"}, raw=b"1")
    assert (status, message) == (500, "the sandbox failed, see its log")
    assert "FileNotFoundError" in caplog.text


# Bodies


def test_upload_in_chunks(client: Client) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"hello "
        yield b"world" * MIB

    client.upload("x", chunks())  # type: ignore[arg-type]
    assert client.read("x") == b"hello " + b"world" * MIB


@pytest.mark.parametrize("size", [0, 1, 100_000, MIB - 60, MIB, 3 * MIB + 7])
def test_upload_as_a_form(client: Client, size: int) -> None:
    data = (b"\r\n--XX" + bytes(range(256))) * (size // 260 + 1)
    data = data[:size].replace(b"--XXY", b"-")
    form = (
        b'preamble\r\n--XXY\r\nContent-Disposition: form-data; name="other"\r\n\r\nignored'
        b'\r\n--XXY\r\nContent-Disposition: form-data; name="content"; filename="f"\r\n'
        b"Content-Type: text/csv\r\n\r\n" + data + b"\r\n--XXY--\r\nepilogue"
    )
    headers = {"Content-Type": 'multipart/form-data; boundary="XXY"'}
    assert client.upload("x", form, headers=headers)["content_type"] == "text/csv"
    assert client.read("x") == data


@pytest.mark.parametrize(
    ("content_type", "form", "message"),
    [
        ("multipart/form-data", b"", "no multipart boundary param in Content-Type"),
        ("multipart/form-data; boundary=X", b"--X--\r\n", "missing key 'content'"),
        (
            "multipart/form-data; boundary=X",
            b'--X\r\nContent-Disposition: form-data; name="content"\r\n\r\ncut',
            "EOF",
        ),
    ],
)
def test_forms_that_are_none(client: Client, content_type: str, form: bytes, message: str) -> None:
    headers = {"Content-Type": content_type}
    status, said = client.refused("POST", OBJECTS, query={"path": "x"}, raw=form, headers=headers)
    assert status == 400
    assert message in said
    assert not client.sandbox.blockstore.objects()


# Who calls


def credentials(sandbox: Sandbox) -> dict[str, str]:
    return {
        "access_key_id": sandbox.access_key_id,
        "secret_access_key": sandbox.secret_access_key,
    }


def test_session_cookie(client: Client) -> None:
    login = client.call("POST", "/auth/login", credentials(client.sandbox), auth=False)
    cookie = login.headers["Set-Cookie"].partition(";")[0]
    headers = {"Cookie": f"other=x; {cookie}"}
    assert client.call("GET", "/repositories", auth=False, headers=headers).status == 200
    for broken in ("internal_auth_session=", cookie[:-8] + "AAAAAAA=", "oidc_auth_session=x"):
        headers = {"Cookie": broken}
        refused = client.refused("GET", "/repositories", auth=False, headers=headers)
        assert refused == (401, "error authenticating request")


def test_token_expires(client: Client) -> None:
    token = client.ok("POST", "/auth/login", credentials(client.sandbox))["token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert client.call("GET", "/repositories", auth=False, headers=headers).status == 200
    client.sandbox.clock.advance(7 * 24 * 3600)
    assert client.call("GET", "/repositories", auth=False, headers=headers).status == 401


@pytest.mark.parametrize("value", ["Basic x", "Basic eHg=", "Bearer x", "Bearer é"])
def test_wrong_credentials(client: Client, value: str) -> None:
    headers = {"Authorization": value}
    refused = client.refused("GET", "/user", auth=False, headers=headers)
    assert refused == (401, "error authenticating request")


def test_current_user_of_nobody(client: Client) -> None:
    nobody = {"user": {"creation_date": 0, "id": ""}}
    assert client.ok("GET", "/user", auth=False) == nobody


def test_validation_comes_before_authentication(client: Client) -> None:
    assert client.refused("GET", "/repositories?amount=x", auth=False)[0] == 400


def test_external_login() -> None:
    with Sandbox(external_principals=True) as sandbox:
        client = Client(sandbox)
        principals = "/auth/users/admin/external/principals"
        client.call("POST", principals, query={"principalId": "arn:me"})
        body = {"identityRequest": {"principal": "arn:me"}, "token_expiration_duration": 60}
        token = client.ok("POST", "/auth/external/principal/login", body, auth=False)["token"]
        headers = {"Authorization": f"Bearer {token}"}
        assert client.ok("GET", "/user", auth=False, headers=headers)["user"]["id"] == "admin"
        refused = client.refused("POST", "/auth/users/x/external/principals?principalId=p")
        assert refused == (404, "not found")
        client.close()


# What does not fit the document


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("GET", "/repositories?amount=1001", None, "number must be at most 1000"),
        ("GET", "/repositories?amount=x", None, "value x: an invalid integer: invalid syntax"),
        ("GET", "/repositories?amount=", None, "empty value is not allowed"),
        ("POST", "/repositories?bare=yes", {}, "value yes: an invalid boolean: invalid syntax"),
        ("POST", "/repositories", None, "request body has an error: value is required but missing"),
        ("POST", "/repositories", {"name": 1}, 'Error at "/name": value must be a string'),
        ("POST", "/repositories", [], "value must be an object"),
        ("POST", "/repositories/repo/tags", {"id": None}, 'Error at "/id": Value is not nullable'),
        (
            "POST",
            "/repositories/repo/metadata",
            {"metadata": {"k": 1}},
            'Error at "/metadata/k": value must be a string',
        ),
        (
            "PUT",
            "/repositories/repo/settings/branch_protection",
            [{"pattern": "x"}, {"pattern": ""}],
            'Error at "/1/pattern": minimum string length is 1',
        ),
        (
            "PUT",
            "/repositories/repo/branches/main/staging/pmpu/u/parts/1/copy?path=x",
            {"physical_address": "x"},
            'Error at "/copy_source": property "copy_source" is missing',
        ),
        (
            "POST",
            "/repositories/repo/commits",
            {"version": True},
            'Error at "/version": value must be an integer',
        ),
        (
            "GET",
            "/repositories/repo/pulls?status=x",
            None,
            'allowed values ["open","closed","all"]',
        ),
    ],
)
def test_refused(client: Client, method: str, path: str, body: Any, message: str) -> None:
    status, said = client.refused(method, path, body)
    assert status == 400
    assert message in said.partition("\nSchema:")[0]


def test_refused_bodies(client: Client) -> None:
    place = "/repositories"
    status, message = client.refused(
        "POST", place, raw=b"{", headers={"Content-Type": "application/json"}
    )
    assert (status, message[:56]) == (
        400,
        "request body has an error: failed to decode request body",
    )
    status, message = client.refused("POST", place, raw=b"{}", headers={"Content-Type": "text/x"})
    assert message.endswith('header Content-Type has unexpected value "text/x"')
    range_header = {"Range": "lines=1"}
    path = "/repositories/repo/refs/main/objects?path=x"
    status, message = client.refused("GET", path, headers=range_header)
    assert message.startswith('parameter "Range" in header has an error: string doesn\'t match')


def test_schema_and_value_are_told(client: Client) -> None:
    _, message = client.refused("GET", "/repositories?amount=-5")
    assert message == (
        'parameter "amount" in query has an error: number must be at least -1\n'
        'Schema:\n  {\n    "default": 100,\n    "maximum": 1000,\n    "minimum": -1,\n'
        '    "type": "integer"\n  }\n\nValue:\n  -5\n'
    )


def test_body_of_an_operation_without_one_is_ignored(client: Client) -> None:
    client.ok("PUT", "/repositories/repo/refs/dump", {"any": "thing"})


def test_unknown_properties_are_welcome(client: Client) -> None:
    client.ok("POST", "/repositories/repo/tags", {"id": "v1", "ref": "main", "new": [1]})


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation["id"])
def test_every_operation_answers(sandbox: Sandbox, operation: dict[str, Any]) -> None:
    """With nonsense for arguments there is an answer for all, and 501 for what is left out."""
    client = Client(sandbox)
    path = operation["path"].replace("{partNumber}", "1").replace("{type}", "range")
    for name in ("{repository}", "{branch}", "{ref}"):
        path = path.replace(name, "none")
    path = path.replace("{", "").replace("}", "")
    query = {
        parameter["name"]: "x"
        for parameter in operation["parameters"]
        if parameter["in"] == "query" and parameter["required"]
    }
    body = example(operation.get("body", {}).get("content", {}).get("application/json"))
    response = client.call(operation["method"], path, body, query=query)
    said = response.json()["message"] if response.status >= 400 and response.data else ""
    left_out = said == f"{operation['id']} is not implemented by the sandbox"
    assert left_out == (operation["id"] in LEFT_OUT), (response.status, said)
    assert response.status != 500, said
    assert sandbox.requests[-1].operation == operation["id"]
    client.close()


def example(schema: dict[str, Any] | None) -> Any:
    """The least value that fits a schema."""
    if schema is None:
        return None
    if "$ref" in schema:
        schemas = json.loads(DOCUMENT.read_text(encoding="utf-8"))["schemas"]
        return example(schemas[schema["$ref"].rpartition("/")[2]])
    if "allOf" in schema:
        return {key: value for part in schema["allOf"] for key, value in example(part).items()}
    if "enum" in schema:
        return schema["enum"][0]
    if schema["type"] == "object":
        properties = schema.get("properties", {})
        return {name: example(properties[name]) for name in schema.get("required", ())}
    if schema["type"] == "array":
        return [example(schema["items"])] * schema.get("minItems", 0)
    if schema.get("pattern", "").startswith("^(s3"):
        return "s3://sandbox/x"
    return {"string": "abc", "integer": 1, "boolean": False}[schema["type"]]
