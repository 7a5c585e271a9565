"""Network failures and timeouts, slow connections, and errors of upload sources."""

from __future__ import annotations

import http.client
import io
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.scripted import Answer, Close, Raw, Reset, ScriptedServer, SlowRead, Stall

from lakefs_client import (
    ApiClient,
    ApiConnectionError,
    ApiException,
    ApiTimeoutError,
    ApiTypeError,
    ApiValueError,
    Configuration,
)
from lakefs_client.apis import BranchesApi, CommitsApi, ObjectsApi, RepositoriesApi
from lakefs_client.exceptions import ServiceException
from lakefs_client.models import BranchCreation, CommitCreation

STATS = {
    "path": "p",
    "path_type": "object",
    "physical_address": "data/x",
    "checksum": "c",
    "mtime": 1,
}
MIB = 1 << 20


@pytest.fixture
def once(api: ApiClient) -> ApiClient:
    """Provide a client without retries."""
    api.configuration.retries = False
    return api


def get(api: ApiClient) -> object:
    return RepositoriesApi(api).get_repository("repo")


def create(api: ApiClient) -> object:
    return BranchesApi(api).create_branch("repo", BranchCreation("b", "main"))


# No connection


def test_failed_connection_is_an_unsent_connection_error(once: ApiClient) -> None:
    with ScriptedServer(deaf=True) as server:
        once.configuration.host = server.url
        with pytest.raises(ApiConnectionError) as caught:
            create(once)
    error = caught.value
    assert isinstance(error, ConnectionError)
    assert isinstance(error, ApiException)
    assert not isinstance(error, TimeoutError)
    assert error.status == 0
    assert error.sent is False
    assert error.body is None
    assert error.headers is None
    assert error.__cause__ is not None
    assert error.reason == (
        f"POST {server.url}/api/v1/repositories/repo/branches: no connection: Connection refused"
    )
    assert error.reason in str(error)


def test_unresolved_host_is_an_unsent_connection_error(once: ApiClient) -> None:
    once.configuration.host = "http://lakefs.invalid"
    with pytest.raises(ApiConnectionError, match=r"lakefs\.invalid") as caught:
        create(once)
    assert caught.value.status == 0
    assert caught.value.sent is False
    assert caught.value.__cause__ is not None
    assert not isinstance(caught.value, ApiTimeoutError)


@pytest.fixture
def full() -> Iterator[str]:
    """Provide the address of a listener whose backlog is full."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    address = listener.getsockname()
    waiting = []
    for _ in range(8):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(address)
        waiting.append(sock)
    yield f"http://127.0.0.1:{address[1]}"
    for sock in (*waiting, listener):
        sock.close()


@pytest.mark.parametrize("options", [{}, {"_request_timeout": (0.2, 60)}])
def test_connect_timeout_is_named(once: ApiClient, full: str, options: dict[str, Any]) -> None:
    once.configuration.host = full
    once.configuration.connect_timeout = 0.2 if not options else 60
    with pytest.raises(ApiTimeoutError, match=r"no connection within 0\.2 s") as caught:
        BranchesApi(once).create_branch("repo", BranchCreation("b", "main"), **options)
    assert "Configuration.connect_timeout" in str(caught.value)
    assert caught.value.sent is False
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value, ConnectionError)


# Read timeouts


@pytest.mark.parametrize(("call", "uncertain"), [(get, False), (create, True)], ids=["get", "post"])
def test_read_timeout_is_named(
    once: ApiClient,
    server: ScriptedServer,
    call: Callable[[ApiClient], object],
    uncertain: bool,
) -> None:
    once.configuration.read_timeout = 0.2
    stall = Stall()
    server.script(stall)
    with pytest.raises(ApiTimeoutError) as caught:
        call(once)
    stall.release.set()
    error = caught.value
    assert "within 0.2 s" in str(error)
    assert "Configuration.read_timeout" in str(error)
    assert ("the operation may have happened" in str(error)) == uncertain
    assert error.sent is True
    assert error.status == 0
    assert isinstance(error, TimeoutError)
    assert isinstance(error.__cause__, Exception)


def test_read_timeout_applies_within_answer(once: ApiClient, server: ScriptedServer) -> None:
    once.configuration.read_timeout = 0.2
    server.script(Answer(body=b"x" * 100, headers={"Content-Length": "200"}))
    with pytest.raises(ApiTimeoutError, match=r"Configuration\.read_timeout"):
        get(once)


def test_read_timeout_applies_within_download(once: ApiClient, server: ScriptedServer) -> None:
    once.configuration.read_timeout = 0.2
    server.script(Answer(body=b"x" * 100, headers={"Content-Length": "200"}))
    with pytest.raises(ApiTimeoutError, match=r"Configuration\.read_timeout"):
        ObjectsApi(once).get_object("repo", "main", "p")


def test_read_timeout_applies_to_sending_the_body(once: ApiClient) -> None:
    stall = Stall(after=0)
    with ScriptedServer(stall, receive_buffer=4096) as server:
        once.configuration.host = server.url
        once.configuration.read_timeout = 0.2
        with pytest.raises(ApiTimeoutError, match="may have happened") as caught:
            ObjectsApi(once).upload_object("repo", "main", "p", content=b"x" * (32 * MIB))
        stall.release.set()
    assert "Configuration.read_timeout" in str(caught.value)


@pytest.mark.parametrize("source", ["bytes", "file", "stream"])
def test_slow_upload_may_exceed_connect_timeout(
    once: ApiClient, source: str, tmp_path: Path
) -> None:
    size = 12 * MIB
    once.configuration.connect_timeout = 0.15
    path = tmp_path / "content"
    path.write_bytes(b"x" * size)
    step = SlowRead(Answer(201, json=STATS), size=256 << 10, pause=0.01)
    with ScriptedServer(step, receive_buffer=64 << 10) as server, path.open("rb") as file:
        once.configuration.host = server.url
        content: Any = {"bytes": b"x" * size, "file": path, "stream": file}[source]
        stats = ObjectsApi(once).upload_object("repo", "main", "p", content=content)
    assert stats.path == "p"
    (request,) = server.requests
    assert len(request.body) == size
    assert request.headers["content-length"] == str(size)
    assert "transfer-encoding" not in request.headers


def test_early_error_answer_to_large_body_is_raised(once: ApiClient) -> None:
    refusal = Answer(413, json={"message": "too much"}, early=True, then="close")
    with ScriptedServer(refusal, receive_buffer=64 << 10) as server:
        once.configuration.host = server.url
        with pytest.raises(ApiException, match="too much") as caught:
            ObjectsApi(once).upload_object("repo", "main", "p", content=b"x" * (32 * MIB))
    assert caught.value.status == 413


# Broken connections


@pytest.mark.parametrize(
    "step",
    [
        Reset(),
        Reset(after=0),
        Close(),
        Raw(b""),
        Raw(b"nonsense\r\n\r\n"),
        Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"),
        Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"),
        Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nabc\r\n0\r\n\r\n"),
        Raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"),
        Raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n"),
        Raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n"),
        Raw(b"HTTP/1.1 9999 Odd\r\n\r\n"),
        Raw(b"HTTP/1.1 abc Odd\r\n\r\n"),
        Raw(b"HTTP/9.9 200 OK\r\n\r\n"),
    ],
)
@pytest.mark.parametrize("call", [get, create], ids=["get", "post"])
def test_broken_answer_is_a_connection_error(
    once: ApiClient, server: ScriptedServer, call: Callable[[ApiClient], object], step: Any
) -> None:
    server.script(step)
    with pytest.raises(ApiConnectionError) as caught:
        call(once)
    error = caught.value
    assert isinstance(error, ConnectionError)
    assert not isinstance(error, TimeoutError)
    assert error.status == 0
    assert error.sent is True
    assert error.__cause__ is not None
    assert f"{server.requests[0].method} {server.url}{server.requests[0].path}" in str(error)


@pytest.mark.parametrize(
    "step",
    [
        Answer(body=b"x" * 100, cut=50, then="close"),
        Answer(body=b"x" * 100, cut=50, then="reset"),
        Answer(body=b"x" * (3 * MIB), cut=2 * MIB, then="close"),
        Answer(body=b"x" * (3 * MIB), cut=2 * MIB, then="reset"),
    ],
)
def test_truncated_download_is_a_connection_error(
    once: ApiClient, server: ScriptedServer, step: Answer
) -> None:
    server.script(step)
    with pytest.raises(ApiConnectionError) as caught:
        ObjectsApi(once).get_object("repo", "main", "p")
    assert caught.value.status == 0


def test_truncated_error_body_is_a_connection_error(
    once: ApiClient, server: ScriptedServer
) -> None:
    broken = Answer(503, b"x" * 100, cut=50, then="close")
    server.script(broken, broken)
    with pytest.raises(ApiConnectionError):
        get(once)
    with pytest.raises(ApiConnectionError):
        ObjectsApi(once).get_object("repo", "main", "p")


def test_failed_connection_is_not_reused(once: ApiClient, server: ScriptedServer) -> None:
    server.script(Reset(), Answer(500), Answer(201, b"b"), Answer(201, b"b"))
    for error in (ApiConnectionError, ServiceException):
        with pytest.raises(error):
            create(once)
    create(once)
    create(once)
    assert [request.connection for request in server.requests] == [0, 1, 1, 1]


def test_error_message_hides_the_query(once: ApiClient, server: ScriptedServer) -> None:
    server.script(Reset())
    with pytest.raises(ApiConnectionError) as caught:
        ObjectsApi(once).get_object("repo", "main", "some/private/path")
    assert "private" not in str(caught.value)
    assert "?" not in str(caught.value)


# Errors of upload sources


class BrokenStream:
    """A file whose second read fails."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.reads = 0

    def read(self, size: int) -> bytes:
        self.reads += 1
        if self.reads > 1:
            raise self.error
        return b"x" * size


@pytest.mark.parametrize(
    "error",
    [
        OSError(5, "Input/output error"),
        BrokenPipeError(32, "of the source"),
        ConnectionResetError("of the source"),
        TimeoutError("of the source"),
        ValueError("of the source"),
        KeyError("of the source"),
    ],
)
def test_source_error_is_raised_unchanged(api: ApiClient, error: Exception) -> None:
    with ScriptedServer(Close()) as server:
        api.configuration.host = server.url
        with pytest.raises(type(error)) as caught:
            ObjectsApi(api).upload_object("r", "main", "p", content=BrokenStream(error))  # type: ignore[arg-type]
        assert caught.value is error
        assert not isinstance(caught.value, ApiException)
        server.wait_for(lambda s: len(s.requests) == 1 and s.open_connections == 0)


def test_source_truncated_during_upload_is_an_error(
    api: ApiClient, server: ScriptedServer, tmp_path: Path
) -> None:
    path = tmp_path / "content"
    path.write_bytes(b"x" * (3 * MIB))
    server.script(Close())
    with path.open("rb") as file:
        reads = 0
        original = file.read

        class Shrinking:
            """A file that is truncated after its size was read."""

            def tell(self) -> int:
                return file.tell()

            def seek(self, *where: int) -> int:
                return file.seek(*where)

            def read(self, size: int) -> bytes:
                nonlocal reads
                reads += 1
                if reads == 2:
                    path.write_bytes(b"")
                return original(size)

        with pytest.raises(ApiValueError, match="truncated"):
            ObjectsApi(api).upload_object("r", "main", "p", content=Shrinking())  # type: ignore[arg-type]
    server.wait_for(lambda s: len(s.requests) == 1 and s.open_connections == 0)


def test_undeclared_text_stream_is_a_type_error(api: ApiClient, server: ScriptedServer) -> None:
    class Text:
        """A text stream that is not an io.TextIOBase."""

        def read(self, size: int) -> str:
            return "text"

        def seek(self, offset: int, whence: int = 0) -> int:
            return 4

        def tell(self) -> int:
            self.seen = not getattr(self, "seen", False)
            return 0 if self.seen else 4

    with pytest.raises(ApiTypeError, match="'rb'"):
        ObjectsApi(api).upload_object("r", "main", "p", content=Text())  # type: ignore[arg-type]
    server.wait_for(lambda s: s.connections == 1 and s.open_connections == 0)
    assert server.requests == []


@pytest.mark.parametrize("content", [b"small", io.BytesIO(b"small")], ids=["bytes", "stream"])
def test_small_body_is_sent_with_its_headers(once: ApiClient, content: Any) -> None:
    sent: list[int] = []

    def send(sock: socket.socket, data: bytes) -> None:
        sent.append(len(data))
        sock.sendall(data)

    with pytest.MonkeyPatch.context() as patch, ScriptedServer(Answer(201)) as server:
        once.configuration.host = server.url
        patch.setattr(http.client.HTTPConnection, "send", lambda self, data: send(self.sock, data))
        with pytest.raises(ApiTypeError):
            ObjectsApi(once).upload_object("r", "main", "p", content=content)
    assert server.requests[0].body == b"small"
    assert len(sent) == 1


def test_source_of_unknown_size_is_sent_chunked(api: ApiClient, server: ScriptedServer) -> None:
    class Pipe:
        """A source of unknown size."""

        left = 5

        def read(self, size: int) -> bytes:
            self.left -= 1
            return b"window" if self.left >= 0 else b""

    server.script(Answer(201, json=STATS))
    ObjectsApi(api).upload_object("r", "main", "p", content=Pipe())  # type: ignore[arg-type]
    (request,) = server.requests
    assert request.body == b"window" * 5
    assert request.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in request.headers


def test_keyboard_interrupt_of_source_is_raised_unchanged(
    api: ApiClient, server: ScriptedServer
) -> None:
    server.script(Close(after=0))
    with pytest.raises(KeyboardInterrupt):
        ObjectsApi(api).upload_object(
            "r",
            "main",
            "p",
            content=BrokenStream(KeyboardInterrupt()),  # type: ignore[arg-type]
        )
    api.close()
    server.wait_for(lambda s: len(s.requests) == 1 and s.open_connections == 0)


def test_client_reconnects_after_failed_upload(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Close(), Answer(201, json={"id": "c", "parents": [], "committer": "m",
                  "message": "m", "creation_date": 1, "meta_range_id": ""}))  # fmt: skip
    with pytest.raises(ValueError, match="of the source"):
        ObjectsApi(api).upload_object(
            "r",
            "main",
            "p",
            content=BrokenStream(ValueError("of the source")),  # type: ignore[arg-type]
        )
    server.wait_for(lambda s: len(s.requests) == 1)
    assert CommitsApi(api).commit("repo", "main", CommitCreation("m")).id == "c"
    assert [request.connection for request in server.requests] == [0, 1]


def test_invalid_scheme_or_method_is_rejected(api: ApiClient) -> None:
    with pytest.raises(ApiValueError):
        api.call_api("/x", "GET", _host="gopher://lakefs")
    with pytest.raises(ApiValueError):
        api.call_api("/x", "GE T", _host="http://127.0.0.1:9")


def test_default_timeouts_are_finite() -> None:
    configuration = Configuration()
    assert 0 < configuration.connect_timeout <= 60
    assert 0 < configuration.read_timeout <= 3600
