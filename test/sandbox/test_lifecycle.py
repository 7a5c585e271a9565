"""Start, stop and restart of a sandbox, and its data directory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import lakefs_client.sandbox
from lakefs_client.sandbox import Sandbox, state_file

from .client import MIB, HttpClient, connect, credentials

OBJECTS = "/repositories/repo/branches/main/objects"


def test_second_close_does_nothing() -> None:
    sandbox = Sandbox()
    sandbox.close()
    sandbox.close()
    with pytest.raises(RuntimeError, match="closed"):
        sandbox.start()


def test_second_start_keeps_port(sandbox: Sandbox) -> None:
    endpoint = sandbox.endpoint
    sandbox.start()
    assert sandbox.endpoint == endpoint


def test_close_removes_temporary_directory(client: HttpClient) -> None:
    client.upload("x", b"1")
    (stored,) = client.sandbox.blockstore.objects().values()
    assert stored.segments[0].path.exists()
    client.sandbox.close()
    assert not stored.segments[0].path.exists()


def test_restart_keeps_state_and_ports(sandbox: Sandbox, client: HttpClient) -> None:
    endpoint, upload = sandbox.endpoint, client.create_upload("x")
    client.upload("y", b"1")
    sandbox.restart()
    assert sandbox.endpoint == endpoint
    client.http.clear()
    assert client.read("y") == b"1"
    etag = client.put(upload["presigned_urls"][0], b"2").headers["ETag"]
    assert client.complete(upload, "x", [etag]).status == 200


def test_restart_closes_connections(sandbox: Sandbox) -> None:
    with connect(sandbox) as sock:
        sock.sendall(b"GET /api/v1/healthcheck HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.1 204")
        sandbox.restart()
        assert sock.recv(1000) == b""


def test_data_directory_keeps_state(tmp_path: Path) -> None:
    with Sandbox(data=tmp_path, external_principals=True) as sandbox:
        client = HttpClient(sandbox)
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
    stale_file = tmp_path / "blocks" / "00" / "leftover"
    stale_file.parent.mkdir(exist_ok=True)
    stale_file.write_bytes(b"of a crash")
    with Sandbox(data=tmp_path, external_principals=True) as restarted:
        assert credentials(restarted) == credentials(sandbox)
        assert not stale_file.exists()
        client = HttpClient(restarted)
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
        # The first URL has the old port. The upload still exists.
        part_path = f"/repositories/repo/branches/main/staging/pmpu/{upload['upload_id']}/parts/2"
        body = {"physical_address": upload["physical_address"]}
        url = client.ok("PUT", part_path, body, query={"path": "x"})["presigned_url"]
        tail = client.put(url, b"tail").headers["ETag"]
        assert client.complete(upload, "x", [etag, tail]).status == 200
        assert client.read("x") == b"z" * 5 * MIB + b"tail"
        client.close()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("state.json", "{}", "written by another version"),
        ("state.jsonl", '{"format": 99}\n', "written by another version"),
        ("state.jsonl", "nonsense\n", "line 1 is damaged"),
        ("state.jsonl", "[]\n", "line 1 is damaged"),
        ("state.jsonl", '{"format": 3}\n{"x": 1}\n', "line 2 is damaged"),
        ("state.jsonl", '{"format": 3}\n[["a"], 1, 2]\n', "line 2 is damaged"),
        ("state.jsonl", '{"format": 3}\n[["branch", "r", "b"], ["c", false]]\n', "is damaged"),
        ("state.jsonl", '{"format": 3}\n[["object", "k"], {"segments": 1}]\n', "is damaged"),
        ("state.jsonl", '{"format": 3}\n' + "[" * 5000 + "\n", "line 2 is damaged"),
    ],
)
def test_damaged_state_raises(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    for _ in range(2):  # the lock is released
        with pytest.raises(ValueError, match=message):
            Sandbox(data=tmp_path)


def test_missing_object_file_raises(tmp_path: Path) -> None:
    with Sandbox(data=tmp_path) as sandbox:
        client = HttpClient(sandbox)
        client.create_repository()
        client.upload("x", b"1")
        client.close()
        (stored,) = sandbox.blockstore.objects().values()
    stored.segments[0].path.unlink()
    with pytest.raises(ValueError, match="is missing"):
        Sandbox(data=tmp_path)


def test_data_directory_is_locked(tmp_path: Path) -> None:
    with Sandbox(data=tmp_path), pytest.raises(ValueError, match="in use by another sandbox"):
        Sandbox(data=tmp_path)
    Sandbox(data=tmp_path).close()


def test_killed_sandbox_loses_nothing(tmp_path: Path) -> None:
    program = """
import os, signal, sys
from lakefs_client.sandbox import Sandbox
from lakefs_client import ApiClient, apis
with Sandbox(data=sys.argv[1]) as sandbox, ApiClient(sandbox.configuration()) as api_client:
    namespace = sandbox.storage_namespace + "repo"
    body = {"name": "repo", "storage_namespace": namespace}
    apis.RepositoriesApi(api_client).create_repository(body)
    objects = apis.ObjectsApi(api_client)
    objects.upload_object("repo", "main", "committed", content=b"1")
    apis.CommitsApi(api_client).commit("repo", "main", {"message": "m"})
    objects.upload_object("repo", "main", "staged", content=b"2")
    objects.delete_object("repo", "main", "committed")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, timeout=60)
    with (tmp_path / "state.jsonl").open("ab") as file:
        file.write(b'[["object", "cut o')
    with Sandbox(data=tmp_path) as sandbox:
        client = HttpClient(sandbox)
        assert client.paths("main") == ["staged"]
        assert client.paths("main@") == ["committed"]
        assert client.read("staged") == b"2"
        client.close()


def test_state_file_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_file, "_MIN_SIZE", 10_000)
    with Sandbox(data=tmp_path) as sandbox:
        client = HttpClient(sandbox)
        client.create_repository()
        place = "/repositories/repo/metadata"
        for number in range(200):
            client.ok("POST", place, {"metadata": {"k": str(number)}})
        client.close()
        assert (tmp_path / "state.jsonl").stat().st_size < 20_000
    with Sandbox(data=tmp_path) as sandbox:
        client = HttpClient(sandbox)
        assert client.ok("GET", place) == {"k": "199"}
        client.close()


def test_port_in_use_leaves_store_port_free(sandbox: Sandbox) -> None:
    with Sandbox() as other:
        store_port = urlsplit(other.store_endpoint).port
    assert store_port is not None
    with pytest.raises(OSError, match="in use"):
        Sandbox(port=urlsplit(sandbox.endpoint).port or 0, store_port=store_port)
    Sandbox(store_port=store_port).close()


def test_credentials_can_be_chosen() -> None:
    with Sandbox(access_key_id="id", secret_access_key="secret") as sandbox:
        assert credentials(sandbox) == {"access_key_id": "id", "secret_access_key": "secret"}
        client = HttpClient(sandbox)
        assert client.ok("GET", "/user")["user"]["id"] == "admin"
        client.close()


def test_package_exports_public_names() -> None:
    for name in lakefs_client.sandbox.__all__:
        assert getattr(lakefs_client.sandbox, name) is not None
    assert "Sandbox" in dir(lakefs_client.sandbox)
    with pytest.raises(AttributeError):
        _ = lakefs_client.sandbox.nothing


def test_namespace_can_be_chosen() -> None:
    with Sandbox(namespace="s3://lake/team") as sandbox:
        client = HttpClient(sandbox)
        client.create_repository()
        assert client.upload("x", b"1")["physical_address"].startswith("s3://lake/team/repo/")
        client.close()
    with pytest.raises(ValueError, match="must begin with s3://"):
        Sandbox(namespace="lake")
