"""The rules of the blockstore, over real sockets."""

from __future__ import annotations

import hashlib
import http.client
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3

from lakefs_client.sandbox import Sandbox

from .client import MIB, HttpClient


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def put_address(client: HttpClient, path: str = "one") -> Any:
    place = "/repositories/repo/branches/main/staging/backing"
    return client.ok("GET", place, query={"path": path, "presign": "true"})


def code(response: urllib3.BaseHTTPResponse) -> str:
    assert response.headers["Content-Type"] == "application/xml"
    return response.data.decode().partition("<Code>")[2].partition("</Code>")[0]


def test_presigned_url_has_signature_version_4(client: HttpClient) -> None:
    url = client.create_upload("x")["presigned_urls"][0]
    query = urlsplit(url).query
    names = [pair.partition("=")[0] for pair in query.split("&")]
    assert names == [
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-SignedHeaders",
        "partNumber",
        "uploadId",
        "x-id",
        "X-Amz-Signature",
    ]
    assert "X-Amz-Expires=900&X-Amz-SignedHeaders=host" in query


def test_linked_put_can_be_read(client: HttpClient) -> None:
    location = put_address(client)
    response = client.put(location["presigned_url"], b"hello", Content_Type="text/x")
    assert (response.status, response.headers["ETag"]) == (200, f'"{md5(b"hello")}"')
    body = {"staging": location, "checksum": md5(b"hello"), "size_bytes": 5}
    place = "/repositories/repo/branches/main/staging/backing"
    client.ok("PUT", place, body, query={"path": "one"})
    client.ok("PUT", place, body, query={"path": "one"})  # linking is repeatable
    assert client.read("one") == b"hello"


@pytest.mark.parametrize(
    ("header", "value"), [("Content-MD5", "XUFAKrxLKna5cZ2REBfFkg=="), ("x-amz-acl", "private")]
)
def test_unsigned_header_is_rejected(client: HttpClient, header: str, value: str) -> None:
    response = client.put(put_address(client)["presigned_url"], b"hello", **{header: value})
    assert (response.status, code(response)) == (403, "AccessDenied")
    assert b"There were headers present in the request which were not signed" in response.data


def test_chunked_body_is_rejected(client: HttpClient) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"hello"

    response = client.put(put_address(client)["presigned_url"], chunks())
    assert (response.status, code(response)) == (501, "NotImplemented")


def test_missing_content_length_is_rejected(client: HttpClient) -> None:
    url = urlsplit(put_address(client)["presigned_url"])
    connection = http.client.HTTPConnection(url.netloc, timeout=30)
    connection.putrequest("PUT", f"{url.path}?{url.query}")
    connection.endheaders()
    response = connection.getresponse()
    assert response.status == 411
    assert b"MissingContentLength" in response.read()
    connection.close()


def test_expired_url_is_rejected(client: HttpClient) -> None:
    upload = client.create_upload("x")
    client.sandbox.clock.advance(901)
    response = client.put(upload["presigned_urls"][0], b"hello")
    assert (response.status, code(response)) == (403, "AccessDenied")
    assert b"Request has expired" in response.data
    place = f"/repositories/repo/branches/main/staging/pmpu/{upload['upload_id']}/parts/1"
    fresh = client.ok(
        "PUT", place, {"physical_address": upload["physical_address"]}, query={"path": "x"}
    )
    assert client.put(fresh["presigned_url"], b"hello").status == 200


def test_url_allows_only_signed_request(client: HttpClient) -> None:
    url = put_address(client)["presigned_url"]
    assert client.put(url, b"hello").status == 200
    other_path = url.replace("/data/", "/data2/")
    assert code(client.put(other_path, b"x")) == "SignatureDoesNotMatch"
    assert code(client.put(url.replace("Expires=900", "Expires=901"), b"x")) == (
        "SignatureDoesNotMatch"
    )
    assert code(client.http.request("GET", url)) == "SignatureDoesNotMatch"
    assert code(client.put(url.partition("&X-Amz-Signature")[0], b"x")) == "AccessDenied"
    assert code(client.put(url.replace("SANDBOXSTORE", "OTHER"), b"x")) == "InvalidAccessKeyId"


def test_get_and_head_support_ranges(client: HttpClient) -> None:
    client.upload("a b.txt", b"0123456789")
    place = "/repositories/repo/refs/main/objects"
    query = {"path": "a b.txt", "presign": "true"}
    url = client.call("GET", place, query=query).headers["Location"]
    whole = client.http.request("GET", url)
    assert (whole.status, whole.data) == (200, b"0123456789")
    assert whole.headers["Content-Disposition"] == "attachment; filename=a b.txt"
    for text, expected in {"2-4": b"234", "8-": b"89", "-3": b"789", "5-99": b"56789"}.items():
        part = client.http.request("GET", url, headers={"Range": f"bytes={text}"})
        assert (part.status, part.data) == (206, expected)
        headers = {"Range": f"bytes={text}"}
        part = client.call("GET", place, query={"path": "a b.txt"}, headers=headers)
        assert (part.status, part.data) == (206, expected)
    response = client.http.request("GET", url, headers={"Range": "bytes=10-"})
    assert (response.status, code(response)) == (416, "InvalidRange")
    head = client.http.request("HEAD", url)
    assert head.status == 403  # the URL is signed for GET
    head = client.call("HEAD", place, query={"path": "a b.txt"}, headers={"Range": "bytes=0-3"})
    assert (head.status, head.headers["Content-Length"]) == (206, "4")


def test_part_after_abort_is_rejected(client: HttpClient) -> None:
    upload = client.create_upload("x")
    url = upload["presigned_urls"][0]
    assert client.put(url, b"hello").status == 200
    client.abort(upload, "x")
    client.abort(upload, "x")
    response = client.put(url, b"hello")
    assert (response.status, code(response)) == (404, "NoSuchUpload")
    assert not client.sandbox.blockstore.uploads()


def test_large_part_after_abort_breaks_connection(client: HttpClient) -> None:
    upload = client.create_upload("x")
    client.abort(upload, "x")
    try:
        response = client.put(upload["presigned_urls"][0], bytes(64 * MIB))
    except urllib3.exceptions.ProtocolError:
        return
    assert response.status == 404


def test_put_above_five_gib_is_rejected(client: HttpClient) -> None:
    url = urlsplit(put_address(client)["presigned_url"])
    connection = http.client.HTTPConnection(url.netloc, timeout=30)
    connection.putrequest("PUT", f"{url.path}?{url.query}")
    connection.putheader("Content-Length", str(5 * 1024**3 + 1))
    connection.endheaders()
    response = connection.getresponse()
    assert response.status == 400
    assert b"EntityTooLarge" in response.read()
    connection.close()


def test_interrupted_put_stores_nothing(client: HttpClient) -> None:
    upload = client.create_upload("x")
    url = urlsplit(upload["presigned_urls"][0])
    with socket.create_connection((url.hostname, url.port), timeout=30) as sock:
        head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\n"
        sock.sendall(head.encode() + b"Content-Length: 1000\r\n\r\nhello")
    # Another thread logs the request when it ends.
    deadline = time.monotonic() + 30
    while client.sandbox.requests[-1].operation != "store_put_part":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    pending = client.sandbox.blockstore.uploads()[upload["upload_id"]]
    assert not pending.parts


def test_expect_header_gets_100_continue(client: HttpClient) -> None:
    url = urlsplit(put_address(client)["presigned_url"])
    with socket.create_connection((url.hostname, url.port), timeout=30) as sock:
        head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: close\r\n"
        sock.sendall(head.encode() + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"hello")
        assert sock.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")


def test_multipart_upload_joins_parts(client: HttpClient) -> None:
    parts = [b"a" * 5 * MIB, bytes(5 * MIB), b"tail"]
    upload = client.create_upload("mp", 3)
    urls = upload["presigned_urls"]
    etags = [client.put(url, data).headers["ETag"] for url, data in zip(urls, parts)]
    assert etags == [f'"{md5(part)}"' for part in parts]
    completed = client.complete(upload, "mp", etags, content_type="a/b", user_metadata={"k": "v"})
    stats = completed.json()
    expected = md5(b"".join(bytes.fromhex(md5(part)) for part in parts)) + "-3"
    assert (stats["checksum"], stats["size_bytes"]) == (expected, 10 * MIB + 4)
    assert upload["physical_address"].endswith("/" + stats["physical_address"])
    assert client.read("mp") == b"".join(parts)
    headers = {"Range": f"bytes={10 * MIB - 2}-{10 * MIB + 1}"}
    place = "/repositories/repo/refs/main/objects"
    across = client.call("GET", place, query={"path": "mp"}, headers=headers)
    assert across.data == b"\0\0ta"
    (stored,) = client.sandbox.blockstore.objects().values()
    assert stored.read() == b"".join(parts)
    assert not client.sandbox.blockstore.uploads()


def test_repeated_part_replaces_first(client: HttpClient) -> None:
    upload = client.create_upload("mp")
    url = upload["presigned_urls"][0]
    first = client.put(url, b"first").headers["ETag"]
    second = client.put(url, b"second").headers["ETag"]
    status, message = 500, "api error InvalidPart:"
    response = client.complete(upload, "mp", [first])
    assert response.status == status
    assert message in response.json()["message"]
    assert client.complete(upload, "mp", [second]).status == 200
    assert client.read("mp") == b"second"


@pytest.mark.parametrize("sizes", [[0], [5 * MIB, 0]])
def test_last_part_may_be_empty(client: HttpClient, sizes: list[int]) -> None:
    upload = client.create_upload("empty", len(sizes))
    urls = upload["presigned_urls"]
    etags = [client.put(url, bytes(size)).headers["ETag"] for url, size in zip(urls, sizes)]
    assert client.complete(upload, "empty", etags).json()["size_bytes"] == sum(sizes)
    assert client.read("empty") == bytes(sum(sizes))


def test_only_one_of_concurrent_completes_succeeds(client: HttpClient) -> None:
    upload = client.create_upload("mp")
    etag = client.put(upload["presigned_urls"][0], b"hello").headers["ETag"]
    clients = [HttpClient(client.sandbox) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda one: one.complete(upload, "mp", [etag]).status, clients))
    for one in clients:
        one.close()
    assert sorted(answers) == [200, 500, 500, 500]


def test_complete_on_protected_branch_keeps_bytes(client: HttpClient) -> None:
    rules = "/repositories/repo/settings/branch_protection"
    client.ok("PUT", rules, [{"pattern": "ma*"}])
    upload = client.create_upload("mp")
    etag = client.put(upload["presigned_urls"][0], b"hello").headers["ETag"]
    response = client.complete(upload, "mp", [etag])
    assert (response.status, response.json()["message"]) == (
        403,
        "cannot write to protected branch",
    )
    assert client.complete(upload, "mp", [etag]).status == 500
    client.ok("PUT", rules, [])
    assert client.complete(upload, "mp", [etag]).status == 500
    link(client, upload, "mp", etag.strip('"'), 5)
    assert client.read("mp") == b"hello"


def test_complete_on_deleted_branch_keeps_bytes(client: HttpClient) -> None:
    client.branch("dev")
    upload = client.create_upload("mp", branch="dev")
    etag = client.put(upload["presigned_urls"][0], b"hello").headers["ETag"]
    client.ok("DELETE", "/repositories/repo/branches/dev")
    response = client.complete(upload, "mp", [etag], branch="dev")
    assert (response.status, response.json()["message"]) == (404, "branch not found")
    client.branch("dev")
    assert client.complete(upload, "mp", [etag], branch="dev").status == 500
    link(client, upload, "mp", etag.strip('"'), 5, branch="dev")
    assert client.read("mp", ref="dev") == b"hello"


def test_linked_address_without_object_answers_410(client: HttpClient) -> None:
    upload = client.create_upload("mp")
    client.abort(upload, "mp")
    link(client, upload, "mp", "0" * 32, 5)
    query = {"path": "mp"}
    assert client.ok("GET", "/repositories/repo/refs/main/objects/stat", query=query)
    error = client.error("GET", "/repositories/repo/refs/main/objects", query=query)
    assert error == (410, "No data")


def test_address_expires_after_one_day(client: HttpClient) -> None:
    upload = client.create_upload("mp")
    client.sandbox.clock.advance(24 * 3600 + 1)
    response = client.complete(upload, "mp", ["0" * 32])
    assert (response.status, response.json()["message"]) == (400, "link address expired")


@pytest.mark.parametrize(
    ("branch", "path"), [("dev", "mp"), ("main", "other")], ids=["branch", "path"]
)
def test_address_is_bound_to_branch_and_path(client: HttpClient, branch: str, path: str) -> None:
    client.branch("dev")
    upload = client.create_upload("mp")
    response = client.complete(upload, path, ["0" * 32], branch=branch)
    assert response.json()["message"] == "invalid address signature: invalid address"


def test_part_copy_copies_ranges(client: HttpClient) -> None:
    client.upload("source", b"0123456789" * MIB)
    upload = client.create_upload("copy")
    place = f"/repositories/repo/branches/main/staging/pmpu/{upload['upload_id']}/parts"
    source = {"repository": "repo", "ref": "main", "path": "source"}
    etags = []
    for number, text in enumerate([f"bytes=1-{6 * MIB}", None, "bytes=0-0"], 1):
        copied = {**source, **({"range": text} if text else {})}
        body = {"physical_address": upload["physical_address"], "copy_source": copied}
        answer = client.call("PUT", f"{place}/{number}/copy", body, query={"path": "copy"})
        assert answer.status == 204
        etags.append(answer.headers["Etag"])
    assert client.complete(upload, "copy", etags).status == 200
    data = b"0123456789" * MIB
    assert client.read("copy") == data[1 : 6 * MIB + 1] + data + b"0"
    client.sandbox.blockstore.delete(
        client.ok("GET", "/repositories/repo/refs/main/objects/stat", query={"path": "source"})[
            "physical_address"
        ].removeprefix("s3://")
    )
    assert client.read("copy") == data[1 : 6 * MIB + 1] + data + b"0"


def test_part_copy_of_missing_source_fails(client: HttpClient) -> None:
    client.upload("source", b"0123")
    upload = client.create_upload("copy")
    place = f"/repositories/repo/branches/main/staging/pmpu/{upload['upload_id']}/parts/1/copy"
    source = {"repository": "repo", "ref": "main", "path": "source", "range": "bytes=9-10"}
    body = {"physical_address": upload["physical_address"], "copy_source": source}
    status, message = client.error("PUT", place, body, query={"path": "copy"})
    assert status == 500
    assert "api error InvalidRange" in message
    source["path"] = "none"
    assert client.error("PUT", place, body, query={"path": "copy"}) == (404, "not found")


def test_zeros_use_no_disk_space(client: HttpClient) -> None:
    client.upload("zeros", bytes(32 * MIB))
    (stored,) = client.sandbox.blockstore.objects().values()
    (segment,) = stored.segments
    assert segment.size == segment.path.stat().st_size == 32 * MIB
    assert segment.path.stat().st_blocks * 512 < MIB
    assert client.read("zeros") == bytes(32 * MIB)


def test_multipart_uploads_can_be_disabled() -> None:
    with Sandbox(presigned_multipart=False) as sandbox:
        client = HttpClient(sandbox)
        client.create_repository()
        place = "/repositories/repo/branches/main/staging/pmpu"
        assert client.call("POST", place, query={"path": "x"}).status == 501
        config = client.ok("GET", "/config")["storage_config"]
        assert (config["pre_sign_multipart_upload"], config["pre_sign_support"]) == (False, True)
        assert put_address(client)["presigned_url"]
        client.close()


def test_presigned_urls_can_be_disabled() -> None:
    with Sandbox(presign=False) as sandbox:
        client = HttpClient(sandbox)
        client.create_repository()
        client.upload("one", b"1")
        assert client.ok("GET", "/config")["storage_config"]["pre_sign_support"] is False
        staging = "/repositories/repo/branches/main/staging/backing"
        objects = "/repositories/repo/refs/main/objects"
        query = {"path": "one", "presign": "true"}
        for place, status in ((staging, 500), (objects, 400), (f"{objects}/stat", 400)):
            response = client.call("GET", place, query=query)
            assert (response.status, response.json()) == (
                status,
                {"message": "operation not supported"},
            )
        assert client.ok("GET", staging, query={"path": "one"})["presigned_url"] is None
        assert client.call("GET", objects, query={"path": "one"}).data == b"1"
        client.close()


def link(
    client: HttpClient, upload: Any, path: str, checksum: str, size: int, branch: str = "main"
) -> None:
    staging = {"physical_address": upload["physical_address"]}
    body = {"staging": staging, "checksum": checksum, "size_bytes": size}
    place = f"/repositories/repo/branches/{branch}/staging/backing"
    client.ok("PUT", place, body, query={"path": path})


def test_get_returns_headers_of_put(client: HttpClient) -> None:
    location = put_address(client)
    sent = {"Content_Encoding": "gzip", "Content_Language": "de", "Cache_Control": "no-cache"}
    etag = client.put(location["presigned_url"], b"packed", **sent).headers["ETag"]
    body = {"staging": location, "checksum": etag, "size_bytes": 6}
    place = "/repositories/repo/branches/main/staging/backing"
    client.ok("PUT", place, body, query={"path": "one"})
    query = {"path": "one", "presign": "true"}
    url = client.call("GET", "/repositories/repo/refs/main/objects", query=query).headers
    response = client.http.request("GET", url["Location"], decode_content=False)
    for name, value in sent.items():
        assert response.headers[name.replace("_", "-")] == value
    assert response.data == b"packed"


@pytest.mark.parametrize(
    ("text", "status"), [("bytes=5-2", 416), ("bytes=0-1,3-4", 200), ("lines=1", 200)]
)
def test_store_ignores_malformed_ranges(client: HttpClient, text: str, status: int) -> None:
    client.upload("x", b"0123456789")
    query = {"path": "x", "presign": "true"}
    place = "/repositories/repo/refs/main/objects"
    url = client.call("GET", place, query=query).headers["Location"]
    assert client.http.request("GET", url, headers={"Range": text}).status == status
