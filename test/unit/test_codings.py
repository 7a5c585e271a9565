"""Content codings of objects and answers, and sizes of connection pools."""

from __future__ import annotations

import gzip
import logging
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from support.scripted import Answer, Received, ScriptedServer, Step

from lakefs_client import ApiClient, Configuration
from lakefs_client.apis import ObjectsApi, RepositoriesApi
from lakefs_client.rest import Message

PLAIN = b"the quick brown fox " * 5000
PACKED = gzip.compress(PLAIN, mtime=0)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "aws-chunked"])
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("presign", [True, False])
def test_object_coding_is_not_decoded(
    api: ApiClient, server: ScriptedServer, coding: str, whole: bool, presign: bool
) -> None:
    stored = PACKED if whole else PACKED[100:200]
    headers = {"Content-Encoding": coding, "Content-Type": "application/json"}
    answer = Answer(200 if whole else 206, stored, headers)
    options = {} if whole else {"range": "bytes=100-199"}
    with ScriptedServer() as store:
        if presign:
            server.script(Answer(302, headers={"Location": f"{store.url}/bucket/key"}))
            store.script(answer)
        else:
            server.script(answer)
        with ObjectsApi(api).get_object("repo", "main", "p", presign=presign, **options) as file:
            assert file.read() == stored


@pytest.mark.parametrize("size", [None, 1000])
def test_streamed_answer_is_not_decoded(
    api: ApiClient, server: ScriptedServer, size: int | None
) -> None:
    server.script(Answer(body=PACKED, headers={"Content-Encoding": "gzip"}))
    response = ObjectsApi(api).get_object("repo", "main", "p", _preload_content=False)
    found = response.read() if size is None else b"".join(response.stream(size))
    assert found == PACKED


def test_json_answer_is_decompressed(api: ApiClient, server: ScriptedServer) -> None:
    body = gzip.compress(b'{"id":"repo","creation_date":1,"default_branch":"m",'
                         b'"storage_namespace":"mem://r"}')  # fmt: skip
    coded = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    server.script(Answer(body=body, headers=coded))
    assert RepositoriesApi(api).get_repository("repo").id == "repo"


@pytest.mark.parametrize("for_store", [True, False])
@pytest.mark.parametrize("threads", [12, 40])
def test_pool_keeps_concurrently_used_connections(
    configuration: Configuration,
    for_store: bool,
    threads: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    barrier = Barrier(threads)

    def wait_for_all(_: Received) -> Step:
        barrier.wait(60)
        return Answer(204)

    with (
        ScriptedServer(otherwise=wait_for_all) as server,
        ApiClient(configuration) as client,
        ThreadPoolExecutor(threads) as pool,
    ):
        sender = client.store_client if for_store else client.rest_client
        for _ in range(3):
            message = Message("GET", f"{server.url}/x", {})
            assert [*pool.map(lambda _, m=message: sender.exchange(m).status, range(threads))]
        assert server.connections == threads
    assert "pool is full" not in caplog.text


def test_connection_pool_maxsize_limits_idle_connections(
    configuration: Configuration, caplog: pytest.LogCaptureFixture
) -> None:
    configuration.connection_pool_maxsize = 2
    barrier = Barrier(4)

    def wait_for_all(_: Received) -> Step:
        barrier.wait(60)
        return Answer(204)

    with (
        ScriptedServer(otherwise=wait_for_all) as server,
        ApiClient(configuration) as client,
        ThreadPoolExecutor(4) as pool,
    ):
        message = Message("GET", f"{server.url}/x", {})
        assert [*pool.map(lambda _: client.rest_client.exchange(message).status, range(4))]
        server.wait_for(lambda s: s.open_connections == 2)
