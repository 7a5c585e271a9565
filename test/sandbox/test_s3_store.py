"""A sandbox over an S3 store: objects, presigned URLs and multipart uploads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from lakefs_client import ApiClient
from lakefs_client.sandbox import Sandbox
from lakefs_client.transfer import Transfer, TransferConfig

from .client import MIB, HttpClient

boto3 = pytest.importorskip("boto3", reason="needs boto3 (extra [s3])")
moto_server = pytest.importorskip("moto.server", reason="needs moto[server]")

REPO = "/repositories/repo"


@pytest.fixture(scope="module")
def store_endpoint() -> Iterator[str]:
    """Provide an S3 store with the bucket `lake`."""
    server = moto_server.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
            patch.setenv(f"AWS_{name}", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket="lake")
        yield endpoint
    server.stop()


@pytest.fixture
def store(store_endpoint: str) -> Any:
    client = boto3.client("s3", endpoint_url=store_endpoint)
    yield client
    for item in client.list_objects_v2(Bucket="lake").get("Contents", ()):
        client.delete_object(Bucket="lake", Key=item["Key"])
    client.close()


@pytest.fixture
def client(store_endpoint: str, store: Any) -> Iterator[HttpClient]:
    with Sandbox(s3_endpoint=store_endpoint, namespace="s3://lake/prefix") as sandbox:
        client = HttpClient(sandbox)
        client.create_repository()
        yield client
        client.close()


def test_objects_are_in_store(client: HttpClient, store: Any, store_endpoint: str) -> None:
    stats = client.upload("a/b", b"0123456789", headers={"Content-Type": "text/x"})
    assert stats["physical_address"].startswith("s3://lake/prefix/repo/data/")
    (item,) = store.list_objects_v2(Bucket="lake")["Contents"]
    assert stats["physical_address"] == f"s3://lake/{item['Key']}"
    assert client.read("a/b") == b"0123456789"
    headers = {"Range": "bytes=2-4"}
    part = client.call("GET", f"{REPO}/refs/main/objects", query={"path": "a/b"}, headers=headers)
    assert (part.status, part.data) == (206, b"234")
    body = {"src_path": "a/b"}
    client.ok("POST", f"{REPO}/branches/main/objects/copy", body, query={"dest_path": "c"})
    assert client.read("c") == b"0123456789"
    assert client.sandbox.store_endpoint == store_endpoint


def test_presigned_urls_address_store(client: HttpClient, store_endpoint: str) -> None:
    place = f"{REPO}/branches/main/staging/backing"
    location = client.ok("GET", place, query={"path": "x", "presign": "true"})
    assert location["presigned_url"].startswith(f"{store_endpoint}/lake/prefix/repo/")
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in location["presigned_url"]
    etag = client.put(location["presigned_url"], b"hello").headers["ETag"]
    body = {"staging": location, "checksum": etag, "size_bytes": 5}
    client.ok("PUT", place, body, query={"path": "x"})
    query = {"path": "x", "presign": "true"}
    url = client.call("GET", f"{REPO}/refs/main/objects", query=query).headers["Location"]
    response = urllib3.request("GET", url)
    assert response.data == b"hello"
    assert response.headers["Content-Disposition"] == "attachment; filename=x"


def test_multipart_upload_joins_parts(client: HttpClient) -> None:
    parts = [b"a" * 5 * MIB, b"tail"]
    upload = client.create_upload("mp", 2)
    assert list(client.sandbox.blockstore.uploads()) == [upload["upload_id"]]
    etags = [
        client.put(url, data).headers["ETag"] for url, data in zip(upload["presigned_urls"], parts)
    ]
    assert client.complete(upload, "mp", [etags[1], etags[0]]).status == 500
    completed = client.complete(upload, "mp", etags).json()
    assert (completed["size_bytes"], completed["checksum"][-2:]) == (5 * MIB + 4, "-2")
    assert client.read("mp") == b"".join(parts)
    upload = client.create_upload("mp", 1)
    client.abort(upload, "mp")
    client.abort(upload, "mp")
    assert not client.sandbox.blockstore.uploads()


def test_part_copy_copies_range(client: HttpClient) -> None:
    client.upload("source", b"0123456789" * MIB)
    upload = client.create_upload("copy")
    place = f"{REPO}/branches/main/staging/pmpu/{upload['upload_id']}/parts/1/copy"
    source = {"repository": "repo", "ref": "main", "path": "source", "range": "bytes=1-3"}
    body = {"physical_address": upload["physical_address"], "copy_source": source}
    etag = client.call("PUT", place, body, query={"path": "copy"}).headers["Etag"]
    assert client.complete(upload, "copy", [etag]).status == 200
    assert client.read("copy") == b"123"


def test_transfer_round_trip(client: HttpClient, tmp_path: Path) -> None:
    data = bytes(range(256)) * 50_000
    (tmp_path / "source").write_bytes(data)
    with ApiClient(client.sandbox.configuration()) as api_client:
        transfer = Transfer(api_client, TransferConfig(part_size=5 * MIB))
        transfer.upload_file(tmp_path / "source", "repo", "main", "x")
        transfer.download_file("repo", "main", "x", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == data


def test_import_reads_store(client: HttpClient, store: Any) -> None:
    store.put_object(Bucket="lake", Key="prefix/raw/one", Body=b"1")
    source = {"type": "common_prefix", "path": "s3://lake/prefix/raw/", "destination": "in/"}
    body = {"paths": [source], "commit": {"message": "imported"}}
    client.ok("POST", f"{REPO}/branches/main/import", body)
    assert client.read("in/one") == b"1"
    store.delete_object(Bucket="lake", Key="prefix/raw/one")
    error = client.error("GET", f"{REPO}/refs/main/objects", query={"path": "in/one"})
    assert error == (410, "No data")


def test_data_directory_keeps_metadata_only(
    store_endpoint: str, store: Any, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"s3_endpoint": store_endpoint, "namespace": "s3://lake/p"}
    with Sandbox(data=tmp_path, **options) as sandbox:
        client = HttpClient(sandbox)
        client.create_repository()
        client.upload("x", b"1")
        client.close()
    with Sandbox(data=tmp_path, **options) as sandbox:
        client = HttpClient(sandbox)
        assert client.read("x") == b"1"
        client.close()
    assert [path for path in (tmp_path / "blocks").rglob("*") if path.is_file()] == []


def test_unreachable_store_answers_500(store: Any) -> None:
    with Sandbox(s3_endpoint="http://127.0.0.1:9", namespace="s3://lake/p") as sandbox:
        client = HttpClient(sandbox)
        client.create_repository()
        place = f"{REPO}/branches/main/objects"
        status, message = client.error("POST", place, query={"path": "x"}, raw=b"1")
        assert (status, message[:42]) == (500, "operation error S3: ServiceUnavailable: Co")
        client.close()


def test_s3_endpoint_requires_presigned_urls() -> None:
    with pytest.raises(ValueError, match="s3_endpoint requires presign=True"):
        Sandbox(s3_endpoint="http://127.0.0.1:9", presign=False)
