"""One client in many threads and in a forked process, and its garbage collection."""

from __future__ import annotations

import gc
import json
import ssl
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support.scripted import Answer, Received, ScriptedServer, Step

from lakefs_client import ApiClient, Configuration
from lakefs_client.apis import BranchesApi, RepositoriesApi
from lakefs_client.models import BranchCreation

from .conftest import Certificates


def echo(request: Received) -> Step:
    """Answer with the last part of the path, as the id of a branch."""
    name = request.path.rpartition("/")[2]
    if request.method == "POST":
        return Answer(201, json.loads(request.body)["name"].encode())
    return Answer(json={"id": name, "commit_id": f"commit of {name}"})


def test_each_thread_gets_its_own_answer() -> None:
    with (
        ScriptedServer(otherwise=echo) as server,
        ApiClient(Configuration(server.url)) as client,
        ThreadPoolExecutor(16) as threads,
    ):
        names = [f"branch-{number}" for number in range(400)]
        branches = threads.map(lambda name: BranchesApi(client).get_branch("repo", name), names)
        assert [branch.commit_id for branch in branches] == [f"commit of {n}" for n in names]
        assert len(server.requests) == 400


@pytest.mark.parametrize("change", ["close", "options"])
def test_concurrent_close_or_change_loses_no_request(
    configuration: Configuration, change: str
) -> None:
    ended = threading.Event()
    # Without retries: a closed pool must not lose a request.
    with ScriptedServer(otherwise=echo) as server:
        configuration.host = server.url
        configuration.retries = False
        with ApiClient(configuration) as client, ThreadPoolExecutor(9) as threads:

            def create(name: str) -> str:
                return BranchesApi(client).create_branch("repo", BranchCreation(name, "main"))

            def change_repeatedly() -> int:
                rounds = 0
                while not ended.is_set():
                    rounds += 1
                    if change == "close":
                        client.rest_client.close()
                    else:
                        configuration.connection_pool_maxsize = 4 + rounds % 2
                        assert client.rest_client.pool_manager is not None
                    ended.wait(0.005)  # let the requests run in between
                return rounds

            changing = threads.submit(change_repeatedly)
            try:
                names = [f"branch-{number}" for number in range(200)]
                assert list(threads.map(create, names)) == names
            finally:
                ended.set()
            assert changing.result() > 0
    assert sorted(json.loads(r.body)["name"] for r in server.requests) == sorted(names)


def test_connections_of_threads_return_to_the_pool() -> None:
    with (
        ScriptedServer(otherwise=echo) as server,
        ApiClient(Configuration(server.url)) as client,
        ThreadPoolExecutor(5) as threads,
    ):
        names = [str(number) for number in range(100)]
        assert (
            len(list(threads.map(lambda n: BranchesApi(client).get_branch("r", n), names))) == 100
        )
        assert server.connections <= 5


FORK = """
import json, os, sys
from lakefs_client import ApiClient, Configuration
from lakefs_client.apis import BranchesApi

url, authority = sys.argv[1:]
configuration = Configuration(url)
configuration.ssl_ca_cert = authority or None
configuration.retries = False
client = ApiClient(configuration)
branches = BranchesApi(client)

def ask(name, **options):
    return branches.get_branch("repo", name, **options)

def check(name):
    assert ask(name).id == name
    assert ask(name, async_req=True).get(60).id == name

check("parent-1")
child = os.fork()
if child == 0:
    status = 1
    try:
        check("child-1")
        check("child-2")
        client.close()
        check("child-3")
        client.close()
        status = 0
    finally:
        os._exit(status)
check("parent-2")
assert os.waitpid(child, 0)[1] == 0, "the child failed"
check("parent-3")
client.close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.parametrize("secure", [False, True])
def test_forked_child_uses_its_own_connections(certificates: Certificates, secure: bool) -> None:
    tls: ssl.SSLContext | None = certificates.server if secure else None
    with ScriptedServer(otherwise=echo, tls=tls) as server:
        result = subprocess.run(
            [sys.executable, "-c", FORK, server.url, certificates.authority if secure else ""],
            capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
    by_name: dict[str, set[int]] = {}
    for request in server.requests:
        by_name.setdefault(request.path.rpartition("/")[2], set()).add(request.connection)
    assert len(server.requests) == 12
    # The parent keeps its connection, and the child never uses that.
    parent = by_name["parent-1"] | by_name["parent-2"] | by_name["parent-3"]
    child = by_name["child-1"] | by_name["child-2"] | by_name["child-3"]
    assert len(parent) == 1
    assert parent.isdisjoint(child)


def test_garbage_collected_client_ends_threads_and_connections() -> None:
    with ScriptedServer(otherwise=echo) as server:
        before = set(threading.enumerate())
        client: Any = ApiClient(Configuration(server.url), pool_threads=3)
        assert RepositoriesApi(client).delete_repository("r") is None
        call = BranchesApi(client).get_branch("repo", "a", async_req=True)
        assert call.get(60).id == "a"
        threads = [
            thread for thread in threading.enumerate()
            if thread not in before and "_serve" not in thread.name
        ]  # fmt: skip
        assert len(threads) >= 3
        reference = weakref.ref(client)
        del client, call
        gc.collect()
        assert reference() is None
        server.wait_for(lambda s: s.open_connections == 0)
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
