"""Upload bodies from every kind of source, and files returned by downloads."""

from __future__ import annotations

import io
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.scripted import Answer, Close, ScriptedServer

from lakefs_client import ApiClient, ApiTypeError, ApiValueError
from lakefs_client.apis import ObjectsApi

STATS = {"path": "p", "path_type": "object", "physical_address": "data/x", "checksum": "c",
         "mtime": 1}  # fmt: skip
MIB = 1 << 20


def upload(api: ApiClient, content: Any, **options: Any) -> None:
    ObjectsApi(api).upload_object("repo", "main", "p", content=content, **options)


def at(stream: Any, offset: int) -> Any:
    stream.seek(offset)
    return stream


class PathLike:
    """A custom os.PathLike."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


SOURCES: dict[str, Callable[[Path], Any]] = {
    "bytes": lambda path: b"0123456789",
    "bytearray": lambda path: bytearray(b"0123456789"),
    "memoryview": lambda path: memoryview(b"x0123456789x")[1:-1],
    "memoryview of numbers": lambda path: memoryview(b"0123456789").cast("h"),
    "path": lambda path: path,
    "path-like": PathLike,
    "BytesIO": lambda path: io.BytesIO(b"0123456789"),
    "BytesIO from its middle": lambda path: at(io.BytesIO(b"skipped0123456789"), 7),
    "BufferedReader": lambda path: io.BufferedReader(io.BytesIO(b"0123456789")),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("source", SOURCES)
def test_source_is_sent_with_its_length(
    api: ApiClient, server: ScriptedServer, tmp_path: Path, source: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    server.script(Answer(201, json=STATS))
    upload(api, SOURCES[source](path))
    (request,) = server.requests
    assert request.body == b"0123456789"
    assert request.headers["content-length"] == "10"
    assert request.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize("opened", ["rb", "r+b", "unbuffered", "temporary"])
def test_open_file_is_sent_from_its_offset(
    api: ApiClient, server: ScriptedServer, tmp_path: Path, opened: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"skip0123")
    server.script(Answer(201, json=STATS))
    if opened == "temporary":
        file: Any = tempfile.TemporaryFile()  # noqa: SIM115
        file.write(b"skip0123")
    elif opened == "unbuffered":
        file = path.open("rb", buffering=0)
    else:
        file = path.open(opened)
    with file:
        file.seek(4)
        upload(api, file)
        assert not file.closed
    assert server.requests[0].body == b"0123"


@pytest.mark.parametrize("content", [b"", io.BytesIO(), at(io.BytesIO(b"all read"), 8)])
def test_empty_content_has_length_zero(
    api: ApiClient, server: ScriptedServer, content: Any
) -> None:
    server.script(Answer(201, json=STATS))
    upload(api, content)
    (request,) = server.requests
    assert (request.body, request.headers["content-length"]) == (b"", "0")
    assert "transfer-encoding" not in request.headers


def test_empty_file_has_length_zero(api: ApiClient, server: ScriptedServer, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    server.script(Answer(201, json=STATS))
    upload(api, tmp_path / "empty")
    assert server.requests[0].headers["content-length"] == "0"


def test_pipe_is_sent_chunked(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(201, json=STATS))
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(b"through a pipe")
    with os.fdopen(reading, "rb") as pipe:
        upload(api, pipe)
    assert server.requests[0].body == b"through a pipe"
    assert server.requests[0].headers["transfer-encoding"] == "chunked"


@pytest.mark.parametrize("size", [1 << 16, (1 << 16) + 1, MIB, MIB + 1, 3 * MIB + 7])
@pytest.mark.parametrize("source", ["bytes", "path", "stream"])
def test_body_around_buffer_sizes_is_complete(
    api: ApiClient, server: ScriptedServer, tmp_path: Path, size: int, source: str
) -> None:
    data = os.urandom(1 << 10) * (size // 1024 + 1)
    data = data[:size]
    path = tmp_path / "file"
    path.write_bytes(data)
    server.script(Answer(201, json=STATS))
    upload(api, {"bytes": data, "path": path, "stream": io.BytesIO(data)}[source])
    assert server.requests[0].body == data


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("text", ApiTypeError, "pathlib.Path(content)"),
        (None, ApiTypeError, "NoneType"),
        (5, ApiTypeError, "int"),
        (["a"], ApiTypeError, "list"),
        ({}, ApiTypeError, "dict"),
        (Path("/no/such/file"), FileNotFoundError, "/no/such/file"),
        (Path("/"), IsADirectoryError, "/"),
    ],
)
def test_unsupported_content_raises_before_sending(
    api: ApiClient, server: ScriptedServer, content: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        upload(api, content)
    assert message in str(caught.value)
    assert server.connections == 0


def test_unreadable_files_raise_before_sending(
    api: ApiClient, server: ScriptedServer, tmp_path: Path
) -> None:
    with (tmp_path / "file").open("wb") as file, pytest.raises(ApiValueError, match="for reading"):
        upload(api, file)
    with pytest.raises(ApiValueError, match="closed"):
        upload(api, file)
    assert server.connections == 0


TEXT = "naïve\r\n€\n" * 9


@pytest.mark.parametrize("kind", ["file", "StringIO", "wrapper", "position"])
def test_text_stream_is_sent_as_utf_8(
    api: ApiClient, server: ScriptedServer, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "t.csv").write_bytes(TEXT.encode("utf-16"))
    server.script(Answer(503), Answer(201, json=STATS))
    with (
        (tmp_path / "t.csv").open(encoding="utf-16", newline="") as file,
        tempfile.NamedTemporaryFile("w+", encoding="utf-16", newline="") as wrapper,
    ):
        wrapper.write(TEXT)
        wrapper.seek(0)
        streams = {"file": file, "StringIO": io.StringIO(TEXT, newline=""), "wrapper": wrapper}
        stream: Any = streams.get(kind, file)
        if kind == "position":
            stream.read(3)
        upload(api, stream)
    expected = TEXT[3:] if kind == "position" else TEXT
    assert [request.body for request in server.requests] == [expected.encode()] * 2


@pytest.mark.parametrize("name", ["/proc/self/environ", "/proc/version"])
@pytest.mark.parametrize("kind", ["file", "path"])
def test_file_without_reported_size_is_sent(
    api: ApiClient, server: ScriptedServer, name: str, kind: str
) -> None:
    if not os.path.exists(name):
        pytest.skip("/proc of Linux")
    server.script(Answer(201, json=STATS))
    with open(name, "rb") as file:
        upload(api, file if kind == "file" else Path(name))
    assert server.requests[0].body == Path(name).read_bytes()


class SilentSeek:
    """A file whose `seek` returns None, like paramiko's."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)
        self.read, self.tell = self._file.read, self._file.tell

    def seek(self, offset: int, whence: int = 0) -> None:
        self._file.seek(offset, whence)


class BrokenSeek:
    """A file whose `tell` raises an unusual exception."""

    def __init__(self, data: bytes) -> None:
        self.read = io.BytesIO(data).read

    def tell(self) -> int:
        raise RuntimeError("not here")


@pytest.mark.parametrize("stream", [SilentSeek, BrokenSeek, io.BytesIO])
def test_stream_with_unusual_seek_is_sent(
    api: ApiClient, server: ScriptedServer, stream: Any
) -> None:
    server.script(Answer(201, json=STATS))
    upload(api, stream(b"some bytes"))
    assert server.requests[0].body == b"some bytes"


class NoPosition(SilentSeek):
    """A file that can seek, but whose `tell` returns None."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.tell: Any = lambda: None


def test_stream_without_position_is_sent(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(201, json=STATS))
    upload(api, NoPosition(b"some bytes"))
    assert server.requests[0].body == b"some bytes"


class ForwardOnly(SilentSeek):
    """A file that seeks to its end and not back, like decompressors."""

    def seek(self, offset: int, whence: int = 0) -> None:
        if whence != os.SEEK_END:
            raise OSError("cannot seek backwards")
        super().seek(offset, whence)


def test_stream_that_cannot_seek_back_raises_before_sending(
    api: ApiClient, server: ScriptedServer
) -> None:
    with pytest.raises(ApiValueError, match="seek back"):
        upload(api, ForwardOnly(b"some bytes"))
    assert server.connections == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes of POSIX")
def test_path_of_pipe_is_opened_once(
    api: ApiClient, server: ScriptedServer, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"some bytes",))
    writer.start()
    server.script(Answer(201, json=STATS))
    upload(api, pipe)
    writer.join()
    assert server.requests[0].body == b"some bytes"


def test_non_blocking_stream_is_an_error(api: ApiClient, server: ScriptedServer) -> None:
    class Empty:
        def read(self, size: int) -> None:
            return None

    server.script(Close())
    with pytest.raises(ApiValueError, match="read returned None"):
        upload(api, Empty())


@pytest.mark.parametrize(
    ("name", "path", "expected"),
    [
        ("t.csv", "a", "text/csv"),
        ("t.csv", "a.json", "text/csv"),
        ("t", "a.json", "application/json"),
        ("t", "a", "application/octet-stream"),
        ("t.csv.gz", "a", "application/gzip"),
    ],
)
def test_content_type_is_guessed_from_name_or_path(
    api: ApiClient, server: ScriptedServer, tmp_path: Path, name: str, path: str, expected: str
) -> None:
    (tmp_path / name).write_bytes(b"x")
    server.script(Answer(201, json=STATS), Answer(201, json=STATS))
    with (tmp_path / name).open("rb") as file:
        ObjectsApi(api).upload_object("r", "main", path, content=file)
    ObjectsApi(api).upload_object("r", "main", path, content=tmp_path / name)
    assert [r.headers["content-type"] for r in server.requests] == [expected] * 2


def test_content_type_and_metadata_are_headers(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(201, json=STATS))
    upload(api, b"x", content_type="text/csv", user_metadata={"Team": "data", "run": "7 é"})
    headers = server.requests[0].headers
    assert headers["content-type"] == "text/csv"
    assert headers["x-lakefs-meta-team"] == "data"
    assert headers["x-lakefs-meta-run"].encode("latin-1").decode() == "7 é"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"content_type": "a\r\nX: y"}, ApiValueError, "content_type"),
        ({"content_type": 5}, ApiTypeError, "content_type"),
        ({"user_metadata": "a=b"}, ApiTypeError, "user_metadata"),
        ({"user_metadata": {"a": 1}}, ApiTypeError, "'a'"),
        ({"user_metadata": {1: "a"}}, ApiTypeError, "1"),
        ({"user_metadata": {"": "a"}}, ApiValueError, "''"),
        ({"user_metadata": {"a": "b\r\nX: y"}}, ApiValueError, "'a'"),
        ({"user_metadata": {"a\nb": "c"}}, ApiValueError, "user_metadata"),
        ({"user_metadata": {"a: b": "c"}}, ApiValueError, "user_metadata"),
        ({"user_metadata": {"a b": "c"}}, ApiValueError, "user_metadata"),
        ({"user_metadata": {"é": "c"}}, ApiValueError, "user_metadata"),
        ({"user_metadata": {"a": "\ud800"}}, ApiValueError, "user_metadata"),
    ],
)
def test_invalid_upload_headers_raise_before_sending(
    api: ApiClient,
    server: ScriptedServer,
    options: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error) as caught:
        upload(api, b"x", **options)
    assert message in str(caught.value)
    assert server.connections == 0


# Downloads


@pytest.mark.parametrize("size", [0, 10, MIB, MIB + 1, 3 * MIB])
@pytest.mark.parametrize("framing", ["length", "until the end"])
def test_download_returns_open_seekable_file(
    api: ApiClient, server: ScriptedServer, size: int, framing: str
) -> None:
    data = (b"line of text\n" * (size // 13 + 1))[:size]
    answer = (
        Answer(body=data)
        if framing == "length"
        else Answer(body=data, headers={"Content-Length": None}, then="close")
    )
    server.script(answer)
    with ObjectsApi(api).get_object("repo", "main", "p") as file:
        assert file.tell() == 0
        assert file.read() == data
        file.seek(0)
        assert b"".join(file) == data
        file.seek(5)
        assert file.read(3) == data[5:8]
    assert file.closed


def test_download_ignores_content_disposition(
    api: ApiClient, server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "temporary"
    folder.mkdir()
    api.configuration.temp_folder_path = str(folder)
    names = ["../../evil", "/tmp/evil", "name", "", "evil\x00"]
    for name in names:
        disposition = f'attachment; filename="{name}"' if name else "attachment"
        headers = {"Content-Disposition": disposition}
        server.script(Answer(body=b"x" * (MIB + 1), headers=headers))
    for _ in names:
        with ObjectsApi(api).get_object("repo", "main", "p") as file:
            assert len(file.read()) == MIB + 1
    assert list(folder.iterdir()) == []
    assert list(tmp_path.iterdir()) == [folder]


def test_missing_temporary_folder_is_an_error(
    api: ApiClient, server: ScriptedServer, tmp_path: Path
) -> None:
    api.configuration.temp_folder_path = str(tmp_path / "missing")
    server.script(Answer(body=b"x" * (MIB + 1), then="close"))
    with pytest.raises(FileNotFoundError, match="missing"):
        ObjectsApi(api).get_object("repo", "main", "p")
    api.close()


def test_client_downloads_after_a_failed_download(api: ApiClient, server: ScriptedServer) -> None:
    api.configuration.retries = False
    server.script(Answer(body=b"x" * (3 * MIB), cut=2 * MIB, then="close"), Answer(body=b"ok"))
    with pytest.raises(ConnectionError):
        ObjectsApi(api).get_object("repo", "main", "p")
    with ObjectsApi(api).get_object("repo", "main", "p") as file:
        assert file.read() == b"ok"


def test_range_header_is_sent(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(206, b"345"), Answer(416))
    with ObjectsApi(api).get_object("repo", "main", "p", range="bytes=3-5") as file:
        assert file.read() == b"345"
    assert server.requests[0].headers["range"] == "bytes=3-5"
    with pytest.raises(Exception, match="416"):
        ObjectsApi(api).get_object("repo", "main", "p", range="bytes=9-")
