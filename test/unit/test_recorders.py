"""Recorders and test doubles that patch urllib3 or http.client."""

from __future__ import annotations

import http.client
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import urllib3
from support.scripted import Answer, ScriptedServer

from lakefs_client import ApiClient
from lakefs_client.apis import BranchesApi

BRANCH = Answer(json={"id": "main", "commit_id": "abc"})


def ask(client: ApiClient) -> str:
    return str(BranchesApi(client).get_branch("repo", "main").commit_id)


def test_patched_connection_class_is_used(
    api: ApiClient, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.script(BRANCH, BRANCH, BRANCH)
    methods: list[str] = []

    class Recorder(urllib3.connection.HTTPConnection):
        def request(self, method: str, *args: Any, **options: Any) -> None:
            methods.append(method)
            super().request(method, *args, **options)

    ask(api)
    with monkeypatch.context() as patch:
        patch.setattr(urllib3.HTTPConnectionPool, "ConnectionCls", Recorder)
        api.close()
        assert ask(api) == "abc"
    assert methods == ["GET"]
    api.close()
    assert ask(api) == "abc"
    assert methods == ["GET"]


@pytest.mark.parametrize("method", ["urlopen", "_make_request"])
def test_patched_pool_method_is_used(
    api: ApiClient, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    server.script(BRANCH)
    calls: list[Any] = []
    real = getattr(urllib3.HTTPConnectionPool, method)

    def spy(*args: Any, **options: Any) -> Any:
        calls.append(args)
        return real(*args, **options)

    monkeypatch.setattr(urllib3.HTTPConnectionPool, method, spy)
    assert ask(api) == "abc"
    assert calls


@pytest.mark.parametrize("method", ["send", "getresponse", "putheader", "endheaders"])
def test_patched_http_client_method_is_used(
    api: ApiClient, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    server.script(BRANCH)
    calls: list[Any] = []
    real = getattr(http.client.HTTPConnection, method)

    def spy(*args: Any, **options: Any) -> Any:
        calls.append(args)
        return real(*args, **options)

    monkeypatch.setattr(http.client.HTTPConnection, method, spy)
    assert ask(api) == "abc"
    assert calls


VCR = """
import sys, vcr, lakefs_client
from lakefs_client.apis import BranchesApi, ObjectsApi

host, cassette, first = sys.argv[1:]
configuration = lakefs_client.Configuration(host, username="user", password="pass")

def ask(**options):
    with lakefs_client.ApiClient(configuration) as client:
        answer = BranchesApi(client).get_branch("repo", "main").commit_id
        with ObjectsApi(client).get_object("repo", "main", "p") as file:
            return answer, file.read()

if first == "before":
    ask()
with vcr.use_cassette(cassette):
    recorded = ask()
with vcr.use_cassette(cassette, record_mode="none") as tape:
    assert ask() == recorded == ("abc", b"stored")
    assert tape.play_count == 2
if first == "after":
    ask()
"""


@pytest.mark.parametrize("real", ["before", "after"])
def test_vcrpy_records_and_replays(real: str, tmp_path: Path) -> None:
    pytest.importorskip("vcr")
    stored = Answer(body=b"stored")
    with ScriptedServer(BRANCH, stored, BRANCH, stored) as server:
        command = [sys.executable, "-c", VCR, server.url, str(tmp_path / "tape.yaml"), real]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
