"""Forked processes, pickled clients, and calls while the interpreter exits."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
import urllib3
from support.scripted import Answer, ScriptedServer, Stall

from lakefs_client import ApiClient, ApiTypeError, Configuration, _process
from lakefs_client._connection import _ClientConnection
from lakefs_client.apis import ObjectsApi, RepositoriesApi
from lakefs_client.client import LakeFSClient
from lakefs_client.rest import Cancellation, Message

from .conftest import PASSWORD, REPOSITORY_ANSWER, Certificates

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")


def in_child(work: Callable[[], object]) -> str:
    """Run a function in a forked child and return the text of its result or error."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # a hang ends the child
        try:
            text = str(work())
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        os.write(send, text.encode()[:4000])
        os._exit(0)
    os.close(send)
    with open(receive, encoding="utf-8") as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    assert status == 0
    return text


@pytest.fixture(params=["plain", "tls"])
def any_server(
    request: pytest.FixtureRequest, certificates: Certificates, configuration: Configuration
) -> Any:
    """Provide a server over HTTP or TLS that answers every request."""
    tls = certificates.server if request.param == "tls" else None
    with ScriptedServer(otherwise=REPOSITORY_ANSWER, tls=tls) as server:
        configuration.host = server.url
        yield server


@forks
def test_child_opens_its_own_connections(api: ApiClient, any_server: ScriptedServer) -> None:
    repositories = RepositoriesApi(api)
    repositories.get_repository("repo")
    assert in_child(lambda: repositories.get_repository("repo").id) == "repo"
    assert repositories.get_repository("repo").id == "repo"
    assert [request.connection for request in any_server.requests] == [0, 1, 0]


@forks
def test_child_cannot_read_the_parents_answer(api: ApiClient, server: ScriptedServer) -> None:
    body = os.urandom(3 << 20)
    server.script(Answer(body=body), REPOSITORY_ANSWER)
    response = ObjectsApi(api).get_object("repo", "main", "p", _preload_content=False)
    start = response.read(100)
    assert "ProtocolError" in in_child(lambda: response.read(1 << 20))
    assert "parent process" in in_child(lambda: response.read(1 << 20))
    in_child(response.close)
    in_child(api.close)
    assert start + response.read() == body
    assert RepositoriesApi(api).get_repository("repo").id == "repo"
    assert server.connections == 1


@forks
def test_child_cannot_cancel_the_parents_exchange(api: ApiClient, server: ScriptedServer) -> None:
    body = os.urandom(3 << 20)
    server.script(Answer(body=body))
    cancellation = Cancellation()
    message = Message("GET", f"{server.url}/x", {})
    response = api.store_client.exchange(message, preload=False, cancellation=cancellation)
    in_child(cancellation.set)
    assert not cancellation.is_set()
    assert response.read() == body


@forks
def test_child_can_use_a_client_locked_before_fork(
    api: ApiClient, any_server: ScriptedServer
) -> None:
    RepositoriesApi(api).get_repository("repo")
    cancellation = Cancellation()
    locked = threading.Event()
    done = threading.Event()

    def hold_locks() -> None:
        with api.rest_client._lock, api._lock, cancellation._lock, cancellation._cond:
            locked.set()
            done.wait(60)

    thread = threading.Thread(target=hold_locks)
    thread.start()
    locked.wait(60)

    def work() -> str:
        api.configuration.connection_pool_maxsize = 7  # recreates the pools, under the lock
        cancellation.set()
        answer = RepositoriesApi(api).get_repository("repo", async_req=True)
        return str(answer.get(20).id)

    try:
        assert in_child(work) == "repo"
    finally:
        done.set()
        thread.join()


@forks
def test_child_forked_during_upload_sends_nothing(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(201, json={"path": "p"}))
    texts: list[str] = []

    def send_in_child() -> None:
        connections = (c for c in [*_process._owners] if isinstance(c, _ClientConnection))
        next(connection for connection in connections if connection.sock).send(b"of the child")

    class ForkingStream:
        """A stream whose `read` forks; the child writes to the parent's connection."""

        def read(self, size: int = -1) -> bytes:
            if texts:
                return b""
            texts.append(in_child(send_in_child))
            return b"of the parent"

    with pytest.raises(ApiTypeError):  # the answer is not a complete ObjectStats
        ObjectsApi(api).upload_object("repo", "main", "p", content=ForkingStream())
    assert texts == ["ConnectionError: opened before a fork, by the parent process"]
    assert server.requests[0].body == b"of the parent"


@forks
def test_custom_pool_manager_works_in_the_child(
    api: ApiClient, any_server: ScriptedServer, certificates: Certificates
) -> None:
    api.rest_client.pool_manager = urllib3.PoolManager(ca_certs=certificates.authority)
    RepositoriesApi(api).get_repository("repo")
    manager = api.rest_client.pool_manager
    assert in_child(lambda: RepositoriesApi(api).get_repository("repo").id) == "repo"
    assert in_child(lambda: api.rest_client.pool_manager is manager) == "True"
    RepositoriesApi(api).get_repository("repo")
    assert [request.connection for request in any_server.requests] == [0, 1, 0]


# Pickles


def ask(api: RepositoriesApi) -> str:
    """Make a call and close the client; runs in another process."""
    with api.api_client:
        return str(api.get_repository("repo").id)


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_api_works_in_another_process(
    api: ApiClient, any_server: ScriptedServer, method: str
) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"the system does not {method}")
    repositories = RepositoriesApi(api)
    repositories.get_repository("repo")
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(ask, (repositories,)) == "repo"
    assert any_server.connections == 2


def test_pickled_client_keeps_its_settings(configuration: Configuration) -> None:
    configuration.connect_timeout = 3
    client = ApiClient(configuration, "X-Mine", "yes", cookie="a=b", pool_threads=3)
    client.user_agent = "agent"
    for again in (pickle.loads(pickle.dumps(client)), copy.deepcopy(client)):
        assert again.configuration.password == PASSWORD
        assert again.configuration.connect_timeout == 3
        assert again.rest_client.configuration is again.configuration
        assert again.store_client.configuration is again.configuration
        assert again.default_headers == client.default_headers
        assert (again.cookie, again.pool_threads) == ("a=b", 3)


def test_lakefs_client_can_be_pickled(configuration: Configuration) -> None:
    client = LakeFSClient(configuration)
    again = pickle.loads(pickle.dumps(client))
    assert again.repositories_api.api_client.configuration.host == configuration.host


def test_client_with_custom_pool_manager_rejects_pickling(api: ApiClient) -> None:
    api.rest_client.pool_manager = urllib3.PoolManager()
    with pytest.raises(ApiTypeError, match="pool_manager"):
        pickle.dumps(api)


# Asynchronous calls


def test_async_result_keeps_its_client_alive(
    configuration: Configuration, server: ScriptedServer
) -> None:
    server.script(*[REPOSITORY_ANSWER] * 20)

    def start() -> Any:
        return RepositoriesApi(ApiClient(configuration)).get_repository("repo", async_req=True)

    for _ in range(20):
        assert start().get(30).id == "repo"


def run(program: str, server: ScriptedServer) -> str:
    """Return the output of a program that calls the server."""
    code = f"""
import atexit, threading, time, lakefs_client
from lakefs_client.apis import RepositoriesApi
client = lakefs_client.ApiClient(lakefs_client.Configuration({server.url!r}))
client.configuration.retries = False
def ask():
    time.sleep(0.2)
    return RepositoriesApi(client).get_repository("repo", async_req=True).get(30).id
{program}
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize(
    "program",
    [
        "threading.Thread(target=lambda: print(ask())).start()",
        "atexit.register(lambda: print(ask()))",
        "ask(); atexit.register(lambda: print(ask()))",
    ],
    ids=["thread that outlives main", "exit handler", "exit handler after a call"],
)
def test_async_call_completes_during_interpreter_exit(program: str) -> None:
    with ScriptedServer(otherwise=REPOSITORY_ANSWER) as server:
        assert run(program, server) == "repo\n"


def test_interpreter_exit_does_not_wait_for_pending_call() -> None:
    with ScriptedServer(otherwise=Stall()) as server:
        program = """
result = RepositoriesApi(client).get_repository("repo", async_req=True)
time.sleep(0.5)
"""
        assert run(program, server) == ""
