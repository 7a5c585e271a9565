"""HTTP: connections, malformed requests, headers and forms."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import urllib3

from lakefs_client.sandbox import Sandbox

from .client import MIB, HttpClient, connect

OBJECTS = "/repositories/repo/branches/main/objects"


def exchange(sandbox: Sandbox, data: bytes) -> bytes:
    """Send raw bytes and return the answer, up to the end of the connection."""
    with connect(sandbox) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        received = b""
        while more := sock.recv(65536):
            received += more
    return received


def test_pipelined_requests_are_answered_in_order(sandbox: Sandbox) -> None:
    request = b"GET /api/v1/healthcheck HTTP/1.1\r\nHost: x\r\n\r\n"
    assert exchange(sandbox, request * 3).count(b"HTTP/1.1 204 No Content") == 3


def test_connection_close_ends_connection(sandbox: Sandbox) -> None:
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
        b"GET / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 600_000 + b"\r\n\r\n",
    ],
)
def test_malformed_request_is_rejected(sandbox: Sandbox, data: bytes) -> None:
    try:
        assert exchange(sandbox, data).startswith(b"HTTP/1.1 400 Bad Request\r\n")
    except OSError:
        pass  # the server closed the connection with unread bytes


def test_head_of_missing_object_has_no_body(client: HttpClient) -> None:
    response = client.call("HEAD", "/repositories/repo/refs/main/objects", query={"path": "x"})
    assert (response.status, response.data) == (404, b"")


def test_date_header_follows_clock(sandbox: Sandbox, client: HttpClient) -> None:
    sandbox.clock.advance(10 * 365 * 24 * 3600)
    first = client.call("GET", "/healthcheck").headers["Date"]
    sandbox.clock.advance(-20 * 365 * 24 * 3600)
    second = client.call("GET", "/healthcheck").headers["Date"]
    assert int(first.split()[3]) - int(second.split()[3]) == 20


def test_content_type_cannot_inject_header(client: HttpClient) -> None:
    upload = client.create_upload("x")
    etag = client.put(upload["presigned_urls"][0], b"1").headers["ETag"]
    content_type = "a/b\r\nSet-Cookie: c=d"
    assert client.complete(upload, "x", [etag], content_type=content_type).status == 200
    response = client.call("GET", "/repositories/repo/refs/main/objects", query={"path": "x"})
    assert response.headers["Content-Type"] == "a/bSet-Cookie: c=d"
    assert "Set-Cookie" not in response.headers


def test_presigned_url_has_host_of_request(client: HttpClient) -> None:
    place = "/repositories/repo/branches/main/staging/backing"
    query = {"path": "x", "presign": "true"}
    for host, expected in {"localhost:1": "localhost", "lake": "lake", "[::1]:1": "[::1]"}.items():
        url = client.ok("GET", place, query=query, headers={"Host": host})["presigned_url"]
        assert urlsplit(url).netloc.rpartition(":")[0] == expected


def test_configuration_has_endpoint_and_credentials(sandbox: Sandbox) -> None:
    configuration = sandbox.configuration()
    assert configuration.host == f"{sandbox.endpoint}/api/v1"
    assert configuration.username == sandbox.access_key_id
    assert configuration.password == sandbox.secret_access_key


def test_internal_error_is_reported_and_logged(
    client: HttpClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client.sandbox.blockstore._directory = tmp_path / "not" / "there"
    status, message = client.error("POST", OBJECTS, query={"path": "x"}, raw=b"1")
    assert (status, message) == (500, "the sandbox failed, see its log")
    assert "FileNotFoundError" in caplog.text


def test_chunked_upload_stores_bytes(client: HttpClient) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"hello "
        yield b"world" * MIB

    client.upload("x", chunks())  # type: ignore[arg-type]
    assert client.read("x") == b"hello " + b"world" * MIB


@pytest.mark.parametrize("size", [0, 1, 100_000, MIB - 60, MIB, 3 * MIB + 7])
def test_form_upload_stores_bytes(client: HttpClient, size: int) -> None:
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
def test_malformed_form_is_rejected(
    client: HttpClient, content_type: str, form: bytes, message: str
) -> None:
    headers = {"Content-Type": content_type}
    status, text = client.error("POST", OBJECTS, query={"path": "x"}, raw=form, headers=headers)
    assert status == 500
    assert message in text
    assert not client.sandbox.blockstore.objects()


@pytest.mark.parametrize("size", [b"-5", b"5" * 5000, b"0x5", b""])
def test_malformed_chunk_size_is_rejected(client: HttpClient, size: bytes) -> None:
    head = b"POST /api/v1/auth/login HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = exchange(client.sandbox, head + size + b"\r\nhello\r\n0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_large_json_body_is_rejected(client: HttpClient) -> None:
    chunk = b"[" + b"1," * MIB
    body = itertools.chain(itertools.repeat(chunk, 20))
    headers = {"Content-Type": "application/json"}
    try:
        response = client.call("POST", "/auth/login", raw=body, headers=headers, auth=False)
    except urllib3.exceptions.ProtocolError:
        return  # the server stopped reading
    assert response.status == 413


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[" * 100_000, "exceeded max depth"),
        (b'{"message": NaN}', "invalid character 'N'"),
        (b'{"message": "m", "date": ' + b"9" * 5000 + b"}", "value out of range"),
    ],
)
def test_extreme_json_is_rejected(client: HttpClient, body: bytes, message: str) -> None:
    headers = {"Content-Type": "application/json"}
    place = "/repositories/repo/branches/main/commits"
    status, text = client.error("POST", place, raw=body, headers=headers)
    assert (status, message in text) == (400, True), text


def test_lone_surrogate_is_replaced(client: HttpClient) -> None:
    headers = {"Content-Type": "application/json"}
    place = "/repositories/repo/branches/main/commits"
    body = b'{"message": "\\ud800 \\ud83d\\ude00 \xff", "allow_empty": true} trailing'
    assert client.ok("POST", place, raw=body, headers=headers)["message"] == "� 😀 �"
    assert client.call("GET", "/repositories/repo/refs/main/commits").status == 200


@pytest.mark.parametrize("digits", [30, 5000])
def test_number_out_of_range_is_rejected(client: HttpClient, digits: int) -> None:
    number = "9" * digits
    status, text = client.error("GET", f"/repositories?amount={number}")
    assert (status, text.endswith("an invalid integer: value out of range")) == (400, True)
    url = client.create_upload("x")["presigned_urls"][0]
    malformed = url.replace("partNumber=1", f"partNumber={number}")
    assert client.put(malformed, b"1").status == 403
    malformed = url.replace("X-Amz-Expires=900", f"X-Amz-Expires={number}")
    assert client.put(malformed, b"1").status == 403


def test_user_metadata_is_utf_8(client: HttpClient) -> None:
    headers = {"x-lakefs-meta-author": "José".encode().decode("latin-1")}
    assert client.upload("x", b"1", headers=headers)["metadata"] == {"author": "José"}
    headers = {"x-lakefs-meta-author": "José"}
    error = client.error("POST", OBJECTS, query={"path": "x"}, raw=b"1", headers=headers)
    assert error == (500, "string field contains invalid UTF-8")


@pytest.mark.parametrize(
    ("content_type", "message"),
    [
        ("a/b; x", "mime: invalid media parameter"),
        ("a/", "mime: expected token after slash"),
        ("a/b c", "mime: unexpected content after media subtype"),
        ("; x=1", "mime: no media type"),
        ("nonsense", None),
        ('a/b; x="y; z"; w=1', None),
    ],
)
def test_content_type_is_validated(
    client: HttpClient, content_type: str, message: str | None
) -> None:
    headers = {"Content-Type": content_type}
    response = client.call("POST", OBJECTS, query={"path": "x"}, raw=b"1", headers=headers)
    expected = (201, None) if message is None else (500, message)
    assert (response.status, response.json().get("message")) == expected


@pytest.mark.parametrize(
    ("text", "status", "content_range"),
    [
        ("bytes=0-", 206, "bytes 0-9/10"),
        ("bytes=-99", 206, "bytes 0-9/10"),
        ("bytes=0-99", 206, "bytes 0-9/10"),
        ("bytes=10-", 416, "bytes */10"),
        ("bytes=-0", 416, "bytes */10"),
        ("bytes=5-2", 416, None),
        ("bytes=0-1,3-4", 416, None),
        ("bytes=" + "9" * 5000 + "-", 416, None),
        ("bytes=", 400, None),
        ("lines=1", 400, None),
    ],
)
def test_range_header_selects_bytes(
    client: HttpClient, text: str, status: int, content_range: str
) -> None:
    client.upload("x", b"0123456789")
    place = "/repositories/repo/refs/main/objects"
    for method in ("GET", "HEAD"):
        response = client.call(method, place, query={"path": "x"}, headers={"Range": text})
        assert response.status == status
    response = client.call("GET", place, query={"path": "x"}, headers={"Range": text})
    assert response.headers.get("Content-Range") == content_range


def test_log_escapes_control_characters(
    client: HttpClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client.sandbox.blockstore._directory = tmp_path / "missing"
    credentials = client.headers["authorization"].encode()
    request = (
        b"POST /api/v1/repositories/repo/branches/main/objects?path=\x1b HTTP/1.1\r\n"
        b"Host: x\r\nAuthorization: " + credentials + b"\r\nContent-Length: 1\r\n\r\n1"
    )
    assert b" 500 " in exchange(client.sandbox, request)
    assert "\x1b" not in caplog.text


def test_s3_gateway_is_not_supported(sandbox: Sandbox) -> None:
    headers = {"Authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request"}
    response = urllib3.request("GET", f"{sandbox.endpoint}/repo/main/x", headers=headers)
    assert response.status == 501
    assert b"<Message>The sandbox has no S3 gateway.</Message>" in response.data
