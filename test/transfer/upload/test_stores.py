"""Stores without multipart uploads, without presigned URLs, and from other vendors."""

from __future__ import annotations

import hashlib
import json
import logging
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from support.bench import MIB, NO_WAIT, PART, Bench, content
from support.scripted import Answer, ScriptedServer

from lakefs_client import ApiClient, Configuration, RetryPolicy
from lakefs_client.exceptions import TransferError
from lakefs_client.transfer import Transfer, TransferConfig

CREATE = "create_presign_multipart_upload"
GIB = 1024 * MIB


@pytest.mark.parametrize("size", [0, 9, PART, 2 * PART + 1])
def test_store_without_multipart_uses_one_put(
    make_bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture, size: int
) -> None:
    bench = make_bench(presigned_multipart=False)
    counts: list[int] = []
    with caplog.at_level(logging.DEBUG, "lakefs_client.transfer"):
        stats = bench.upload(
            size, multipart_threshold=0, user_metadata={"run": "42"}, progress=counts.append
        )
    assert bench.operations == {
        CREATE: 1,
        "get_physical_address": 1,
        "store_put_object": 1,
        "link_physical_address": 1,
    }
    assert stats.checksum == hashlib.md5(content(size)).hexdigest()
    assert stats.metadata.to_dict() == {"run": "42"}
    assert sum(counts) == size
    bench.assert_whole(content(size))
    assert "no presigned multipart upload, sending one PUT" in caplog.text


def test_small_file_does_not_request_multipart(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(presigned_multipart=False)
    bench.upload(9)
    assert bench.operations[CREATE] == 0
    bench.assert_whole(content(9))


def test_store_without_multipart_rejects_large_file(
    make_bench: Callable[..., Bench],
) -> None:
    bench = make_bench(presigned_multipart=False)
    size = 5 * GIB + 1
    with pytest.raises(
        TransferError, match=rf"one PUT holds at most 5368709120 bytes: got {size}"
    ) as caught:
        bench.upload(bench.sparse(size))
    assert (caught.value.outcome, caught.value.status) == ("aborted", 501)
    assert bench.operations == {CREATE: 1, "get_physical_address": 1}
    bench.assert_nothing_left()


def test_fallback_false_forbids_one_put(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(presigned_multipart=False)
    with pytest.raises(TransferError, match=r"and TransferConfig\.fallback is False") as caught:
        bench.upload(PART, fallback=False)
    assert (caught.value.outcome, caught.value.status) == ("aborted", 501)
    bench.assert_nothing_left()
    bench.upload(PART - 1, fallback=False)  # a size below the threshold needs no fallback
    bench.assert_whole(content(PART - 1))


@pytest.mark.parametrize("size", [0, 9, PART + 1, 3 * MIB])
def test_store_without_presigning_uploads_through_server(
    make_bench: Callable[..., Bench], size: int
) -> None:
    bench = make_bench(presign=False)
    counts: list[int] = []
    stats = bench.upload(
        size, progress=counts.append, content_type="text/x", user_metadata={"run": "42"}
    )
    assert (stats.content_type, stats.metadata.to_dict()) == ("text/x", {"run": "42"})
    assert sum(counts) == size
    assert bench.operations["upload_object"] == 1
    assert not any(operation.startswith("store_") for operation in bench.operations)
    bench.assert_whole(content(size))


@pytest.mark.parametrize("size", [9, PART + 1])
def test_fallback_false_forbids_server(make_bench: Callable[..., Bench], size: int) -> None:
    bench = make_bench(presign=False)
    with pytest.raises(TransferError, match=r"and TransferConfig\.fallback is False") as caught:
        bench.upload(size, fallback=False)
    assert caught.value.outcome == "aborted"
    assert bench.operations["upload_object"] == 0
    bench.assert_nothing_left()


@pytest.mark.parametrize(
    ("kind", "details", "outcome"),
    [
        ("status", {"status": 403}, "aborted"),
        ("status", {"status": 500}, "unknown"),
        ("lost_answer", {"times": 2}, "unknown"),
    ],
)
def test_failed_upload_through_server_reports_outcome(
    make_bench: Callable[..., Bench], kind: Any, details: dict[str, Any], outcome: str
) -> None:
    bench = make_bench(presign=False)
    bench.sandbox.faults.add("upload_object", kind, **details)
    with pytest.raises(TransferError) as caught:
        bench.upload(9)
    assert (caught.value.outcome, caught.value.status) == (outcome, details.get("status", 0))
    assert (bench.stat() is not None) == (kind == "lost_answer")


# Stores that the sandbox does not simulate. One script answers for lakeFS and the store.


def no_rejection(*ignored: object) -> Future[str | None]:
    """Answer the check of the branch without requests, which the script does not expect."""
    future: Future[str | None] = Future()
    future.set_result(None)
    return future


class Scripted:
    """A scripted server, and uploads to it."""

    def __init__(self, server: ScriptedServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        configuration = Configuration(host=server.url, username="id", password="secret")
        configuration.retries = NO_WAIT
        self.client = ApiClient(configuration)

    def address(self, query: str) -> Answer:
        """Return an answer to get_physical_address, with this query in the URL."""
        url = f"{self.server.url}/container/key%2Cx?{query}"
        return Answer(json={"physical_address": "https://c/key,x", "presigned_url": url})

    def created(self, *queries: str) -> Answer:
        """Return an answer to create, with one URL per query."""
        urls = [f"{self.server.url}/bucket/key?{query}" for query in queries]
        upload = {"upload_id": "U1", "physical_address": "s3://b/key", "presigned_urls": urls}
        return Answer(201, json=upload)

    def stats(self, size: int, checksum: str) -> Answer:
        """Return an answer to link or complete."""
        return Answer(
            json={
                "path": "a/b",
                "path_type": "object",
                "physical_address": "key",
                "checksum": checksum,
                "size_bytes": size,
                "mtime": 1,
                "content_type": "application/octet-stream",
            }
        )

    def upload(self, size: int, **settings: Any) -> str:
        """Upload a file, and return the object's checksum."""
        source = self.folder / "source"
        source.write_bytes(content(size))
        transfer = Transfer(self.client, TransferConfig(**{"part_size": PART, **settings}))
        transfer._context.preflight.answers["repo", "main"] = no_rejection()
        return transfer.upload_file(source, "repo", "main", "a/b").checksum


@pytest.fixture
def scripted(server: ScriptedServer, tmp_path: Path) -> Iterator[Scripted]:
    scripted = Scripted(server, tmp_path)
    with scripted.client:
        yield scripted


SHARED_ACCESS = "sv=2024-11-04&st=2026-03-04T05:06:07Z&se=2036-03-04T05:06:07Z&sr=b&sp=cw&sig=abc"


def test_azure_put_has_blob_type_and_md5_checksum(scripted: Scripted) -> None:
    digest = hashlib.md5(content(9))
    headers = {"ETag": '"0x8DC5A0B1C2D3E4F"', "Content-MD5": b64encode(digest.digest()).decode()}
    scripted.server.script(
        scripted.address(SHARED_ACCESS),
        Answer(201, headers=headers),
        scripted.stats(9, digest.hexdigest()),
    )
    assert scripted.upload(9) == digest.hexdigest()
    _, put, link = scripted.server.requests
    assert put.headers["x-ms-blob-type"] == "BlockBlob"
    assert put.headers["content-length"] == "9"
    assert put.target == f"/container/key%2Cx?{SHARED_ACCESS}"
    assert put.body == content(9)
    assert json.loads(link.body)["checksum"] == digest.hexdigest()


def test_google_put_has_no_blob_type(scripted: Scripted) -> None:
    scripted.server.script(
        scripted.address("X-Goog-Date=20260304T050607Z&X-Goog-Expires=900&X-Goog-Signature=x"),
        Answer(headers={"ETag": f'"{hashlib.md5(content(9)).hexdigest()}"'}),
        scripted.stats(9, "c"),
    )
    scripted.upload(9)
    assert "x-ms-blob-type" not in scripted.server.requests[1].headers


@pytest.mark.parametrize(
    "headers",
    [
        {"ETag": '"0x8DC5A0B1C2D3E4F"', "Content-MD5": b64encode(bytes(16)).decode()},
        {"Content-MD5": b64encode(bytes(16)).decode()},
        {"ETag": f'"{"0" * 32}"'},
        {"ETag": f'"{"0" * 32}"', "x-amz-server-side-encryption": "AES256"},
        {"ETag": f'"{"0" * 32}"', "Content-MD5": "not base64"},
    ],
    ids=str,
)
def test_different_md5_in_answer_aborts_upload(scripted: Scripted, headers: dict[str, str]) -> None:
    scripted.server.script(scripted.address(""), Answer(headers=headers), Answer(headers=headers))
    with pytest.raises(TransferError, match="checksum mismatch: the store received") as caught:
        scripted.upload(9)
    assert caught.value.outcome == "aborted"


@pytest.mark.parametrize(
    "headers",
    [
        {"ETag": f'"{"0" * 32}"', "x-amz-server-side-encryption": "aws:kms"},
        {"ETag": f'"{"0" * 32}"', "x-amz-server-side-encryption": "aws:kms:dsse"},
        {"ETag": f'"{"0" * 32}"', "x-amz-server-side-encryption-customer-algorithm": "AES256"},
        {"ETag": '"CJ+1gbDE5JIDEAE="'},
        {"ETag": 'W/"whatever"'},
        {"ETag": "unquoted"},
    ],
    ids=str,
)
def test_opaque_etag_becomes_checksum(scripted: Scripted, headers: dict[str, str]) -> None:
    scripted.server.script(
        scripted.address(""), Answer(headers=headers), scripted.stats(9, "whatever")
    )
    scripted.upload(9)
    sent = json.loads(scripted.server.requests[2].body)
    assert sent["checksum"] == headers["ETag"].removeprefix("W/").strip('"')


def test_complete_sends_unquoted_etags(scripted: Scripted) -> None:
    # The MD5 in the answer replaces a missing ETag, and is always compared.
    md5s = [hashlib.md5(content(2 * PART + 9)[i * PART : (i + 1) * PART]) for i in range(3)]
    encoded = [b64encode(md5.digest()).decode() for md5 in md5s]
    scripted.server.script(
        scripted.created("1", "2", "3"),
        Answer(headers={"ETag": f'"{md5s[0].hexdigest().upper()}"'}),
        Answer(headers={"ETag": '"opaque"', "Content-MD5": encoded[1]}),
        Answer(headers={"Content-MD5": encoded[2]}),
        scripted.stats(2 * PART + 9, "of some other kind"),
    )
    scripted.upload(2 * PART + 9, max_concurrency=1)
    sent = json.loads(scripted.server.requests[-1].body)
    assert sent["physical_address"] == "s3://b/key"
    assert sent["parts"] == [
        {"part_number": 1, "etag": md5s[0].hexdigest().upper()},
        {"part_number": 2, "etag": "opaque"},
        {"part_number": 3, "etag": md5s[2].hexdigest()},
    ]


def test_create_without_urls_requests_one_per_part(scripted: Scripted) -> None:
    etags = [hashlib.md5(part).hexdigest() for part in (content(PART), content(PART + 9)[PART:])]
    url = f"{scripted.server.url}/bucket/key?n="
    scripted.server.script(
        scripted.created(),
        Answer(json={"presigned_url": f"{url}1"}),
        Answer(headers={"ETag": f'"{etags[0]}"'}),
        Answer(json={"presigned_url": f"{url}2"}),
        Answer(headers={"ETag": f'"{etags[1]}"'}),
        scripted.stats(PART + 9, hashlib.md5(bytes.fromhex("".join(etags))).hexdigest() + "-2"),
    )
    scripted.upload(PART + 9, max_concurrency=1)
    numbers = [request.path.rpartition("/parts/")[2] for request in scripted.server.requests[1::2]]
    assert numbers[:2] == ["1", "2"]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirect_of_store_is_not_followed(scripted: Scripted, status: int) -> None:
    # The location of a redirect is not signed.
    scripted.server.script(
        scripted.address(""), Answer(status, headers={"Location": f"{scripted.server.url}/other"})
    )
    with pytest.raises(TransferError, match=str(status)) as caught:
        scripted.upload(9)
    assert (caught.value.status, caught.value.outcome) == (status, "aborted")


def test_unreachable_store_aborts_upload(bench: Bench, scripted: Scripted) -> None:
    with ScriptedServer() as closed:
        pass
    url = f"{closed.url}/key?signature"
    scripted.server.script(Answer(json={"physical_address": "s3://b/k", "presigned_url": url}))
    with pytest.raises(TransferError, match="no connection") as caught:
        scripted.upload(9, retry=RetryPolicy(attempts=3, min_wait=0))
    assert (caught.value.status, caught.value.outcome) == (0, "aborted")
    assert "signature" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "not a URL", "s3://bucket/key", "http://[/", "file:///x"])
def test_invalid_presigned_url_aborts_upload(scripted: Scripted, url: str) -> None:
    scripted.server.script(
        Answer(
            201, json={"upload_id": "U", "physical_address": "s3://b/k", "presigned_urls": [url]}
        ),
        Answer(204),
    )
    with pytest.raises((TransferError, ValueError)):
        scripted.upload(9, multipart_threshold=0)
    assert scripted.server.requests[-1].method == "DELETE"
