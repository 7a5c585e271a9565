"""Uploads and downloads of a folder by this package and its peers.

Each function takes the fields of a `Site` and returns seconds of wall time and of CPU. The clock
starts after the imports; for lakectl, it covers the whole command.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import documents

THREADS = 32
_SERVER_THRESHOLD = 1 << 20


class Site(NamedTuple):
    """The endpoints of a directory transfer.

    Attributes:
        lakefs: Address of the lakeFS server.
        store: Address of its store; empty if boto3 is not measured.
        namespace: Storage namespace of the repository; boto3 uses its bucket.
        repository: Name of the repository.
        prefix: Prefix of the paths, with its slash.
        folder: The local folder to upload; downloads go to temporary folders beside it.
        files: Number of files.
    """

    lakefs: str
    store: str
    namespace: str
    repository: str
    prefix: str
    folder: str
    files: str


def key() -> tuple[str, str]:
    """Return the access key of the environment, or a placeholder for the stand-in server."""
    return (
        os.environ.get("LAKEFS_TEST_ACCESS_KEY_ID", "key"),
        os.environ.get("LAKEFS_TEST_SECRET_ACCESS_KEY", "secret"),
    )


def _timed(work: Callable[[], Any]) -> tuple[float, float]:
    start, spent = perf_counter(), sum(os.times()[:4])
    work()
    return perf_counter() - start, sum(os.times()[:4]) - spent


@contextmanager
def _target(site: Site) -> Iterator[str]:
    """Yield a new folder for a download; check afterwards that all files exist."""
    with TemporaryDirectory(dir=os.path.dirname(site.folder)) as folder:
        yield folder
        found = sum(len(files) for _, _, files in os.walk(folder))
        assert found == int(site.files), f"{found} files of {site.files} arrived"


def transfer_of(lakefs: str, **settings: Any) -> Any:
    """Return a `Transfer` with the given settings."""
    import lakefs_client
    from lakefs_client.transfer import Transfer, TransferConfig

    username, password = key()
    configuration = lakefs_client.Configuration(
        host=f"{lakefs}/api/v1", username=username, password=password
    )
    return Transfer(lakefs_client.ApiClient(configuration), TransferConfig(**settings))


def upload_client(*fields: str) -> tuple[float, float]:
    """Upload with `Transfer.upload_directory` and default settings."""
    return _upload(Site(*fields))


def upload_threshold(*fields: str) -> tuple[float, float]:
    """Upload with `Transfer.upload_directory` through the server, by `server_threshold`."""
    return _upload(Site(*fields), server_threshold=_SERVER_THRESHOLD)


def _upload(site: Site, **settings: Any) -> tuple[float, float]:
    transfer = transfer_of(site.lakefs, **settings)

    def upload() -> None:
        report = transfer.upload_directory(site.folder, site.repository, "main", site.prefix)
        assert report.transferred == int(site.files), report

    return _timed(upload)


def download_client(*fields: str) -> tuple[float, float]:
    """Download with `Transfer.download_directory` and default settings."""
    site = Site(*fields)
    transfer = transfer_of(site.lakefs)
    with _target(site) as folder:
        return _timed(
            lambda: transfer.download_directory(site.repository, "main", site.prefix, folder)
        )


class _Bare:
    """A client of urllib3 and json in threads, with this package's checksums."""

    def __init__(self, site: Site) -> None:
        import urllib3

        self.pool = urllib3.PoolManager(maxsize=THREADS, retries=False)
        self.store = urllib3.PoolManager(maxsize=THREADS, retries=False)
        self.headers = {
            **urllib3.make_headers(basic_auth=":".join(key()), user_agent="bare"),
            "Accept": "application/json",
        }
        self.api = f"{site.lakefs}/api/v1/repositories/{site.repository}"

    def call(self, method: str, url: str, expected: int = 200, **options: Any) -> Any:
        answer = self.pool.request(method, url, headers=self.headers, **options)
        assert answer.status == expected, (answer.status, answer.data)
        return json.loads(answer.data)

    def each(self, work: Callable[[Any], Any], items: Any) -> None:
        with ThreadPoolExecutor(THREADS) as threads:
            for _ in threads.map(work, items):
                pass


def upload_bare(*fields: str) -> tuple[float, float]:
    """Upload with three requests per file: address, PUT, link."""
    site = Site(*fields)
    bare = _Bare(site)

    def upload(name: str) -> None:
        path = urlencode({"path": site.prefix + name})
        place = f"{bare.api}/branches/main/staging/backing?{path}"
        location = bare.call("GET", f"{place}&presign=true")
        data = _read(site, name)
        headers = {"Content-Type": documents.MEDIA_TYPE, "User-Agent": "bare"}
        put = bare.store.request("PUT", location["presigned_url"], body=data, headers=headers)
        checksum = put.headers["ETag"].strip('"')
        assert checksum == hashlib.md5(data, usedforsecurity=False).hexdigest()
        body = documents.link(location["physical_address"], checksum, len(data))
        assert bare.call("PUT", place, json=body)["checksum"] == checksum

    return _timed(lambda: bare.each(upload, sorted(os.listdir(site.folder))))


def upload_bare_server(*fields: str) -> tuple[float, float]:
    """Upload with one request per file, through the lakeFS server."""
    site = Site(*fields)
    bare = _Bare(site)
    bare.headers["Content-Type"] = documents.MEDIA_TYPE

    def upload(name: str) -> None:
        path = urlencode({"path": site.prefix + name})
        data = _read(site, name)
        stats = bare.call("POST", f"{bare.api}/branches/main/objects?{path}", 201, body=data)
        assert stats["checksum"] == hashlib.md5(data, usedforsecurity=False).hexdigest()

    return _timed(lambda: bare.each(upload, sorted(os.listdir(site.folder))))


def _read(site: Site, name: str) -> bytes:
    with open(os.path.join(site.folder, name), "rb") as file:
        return file.read()


def download_bare(*fields: str) -> tuple[float, float]:
    """Download with one request per file, from the presigned URLs of a listing."""
    site = Site(*fields)
    bare = _Bare(site)

    def listing() -> Iterator[Any]:
        query = {"prefix": site.prefix, "amount": 1000, "presign": "true", "after": ""}
        while True:
            page = bare.call("GET", f"{bare.api}/refs/main/objects/ls?{urlencode(query)}")
            yield from page["results"]
            if not page["pagination"]["has_more"]:
                return
            query["after"] = page["pagination"]["next_offset"]

    with _target(site) as folder:

        def download(stats: Any) -> None:
            answer = bare.store.request("GET", stats["physical_address"])
            data = answer.data
            assert stats["checksum"] == hashlib.md5(data, usedforsecurity=False).hexdigest()
            file = os.path.join(folder, stats["path"].removeprefix(site.prefix))
            os.makedirs(os.path.dirname(file), exist_ok=True)
            with open(file, "wb") as sink:
                sink.write(data)

        return _timed(lambda: bare.each(download, listing()))


def upload_lakectl(*fields: str) -> tuple[float, float]:
    """Upload with `lakectl fs upload -r` and its defaults."""
    site = Site(*fields)
    return _lakectl(site, "upload", "--source", site.folder, _uri(site))


def download_lakectl(*fields: str) -> tuple[float, float]:
    """Download with `lakectl fs download -r` and its defaults."""
    site = Site(*fields)
    with _target(site) as folder:
        return _lakectl(site, "download", _uri(site), folder)


def _uri(site: Site) -> str:
    return f"lakefs://{site.repository}/main/{site.prefix}"


def _lakectl(site: Site, command: str, *arguments: str) -> tuple[float, float]:
    program = shutil.which("lakectl")
    assert program is not None
    username, password = key()
    environment = {
        "LAKECTL_SERVER_ENDPOINT_URL": site.lakefs,
        "LAKECTL_CREDENTIALS_ACCESS_KEY_ID": username,
        "LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY": password,
    }
    with TemporaryDirectory() as home:
        environment["HOME"] = home  # ignore the user's configuration
        return _timed(
            lambda: subprocess.run(
                [program, "fs", command, "--recursive", "--no-progress", *arguments],
                check=True, stdout=subprocess.DEVNULL, env=os.environ | environment,
            )
        )  # fmt: skip


class _Boto3:
    """The transfer methods of boto3, directly to the bucket, in several threads."""

    def __init__(self, site: Site, threads: int) -> None:
        import boto3
        from boto3.s3.transfer import TransferConfig
        from botocore.config import Config

        settings = Config(max_pool_connections=threads)
        self.client = boto3.client("s3", endpoint_url=site.store, config=settings)
        # The files are too small for several threads each.
        self.config = TransferConfig(use_threads=False)
        self.threads = threads
        address = urlsplit(site.namespace)
        self.bucket = address.netloc
        self.prefix = f"{address.path.strip('/')}/boto3/{site.prefix}"
        self.client.head_bucket(Bucket=self.bucket)  # the first call loads botocore's data

    def each(self, work: Callable[[str], Any], names: Iterable[str]) -> None:
        with ThreadPoolExecutor(self.threads) as threads:
            for _ in threads.map(work, names):
                pass

    def keys(self) -> Iterator[str]:
        pages = self.client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.bucket, Prefix=self.prefix):
            yield from (entry["Key"] for entry in page.get("Contents", ()))

    def delete(self) -> None:
        keys = iter([*self.keys()])
        while objects := [{"Key": key} for key in islice(keys, 1000)]:
            self.client.delete_objects(Bucket=self.bucket, Delete={"Objects": objects})


def upload_boto3(*fields: str, threads: int = THREADS, keep: bool = False) -> tuple[float, float]:
    """Upload with `upload_file` to the bucket of the storage namespace."""
    site = Site(*fields)
    boto3 = _Boto3(site, threads)

    def upload(name: str) -> None:
        file, key = os.path.join(site.folder, name), boto3.prefix + name
        boto3.client.upload_file(file, boto3.bucket, key, Config=boto3.config)

    try:
        return _timed(lambda: boto3.each(upload, sorted(os.listdir(site.folder))))
    finally:
        if not keep:
            boto3.delete()


def upload_boto3_loop(*fields: str) -> tuple[float, float]:
    """Upload like `upload_boto3`, one file after another."""
    return upload_boto3(*fields, threads=1)


def download_boto3(*fields: str, threads: int = THREADS) -> tuple[float, float]:
    """Download the objects of `upload_boto3` with `download_file`."""
    site = Site(*fields)
    boto3 = _Boto3(site, threads)
    with _target(site) as folder:

        def download(key: str) -> None:
            file = os.path.join(folder, os.path.basename(key))
            boto3.client.download_file(boto3.bucket, key, file, Config=boto3.config)

        return _timed(lambda: boto3.each(download, boto3.keys()))


def download_boto3_loop(*fields: str) -> tuple[float, float]:
    """Download like `download_boto3`, one object after another."""
    return download_boto3(*fields, threads=1)


def delete_boto3(*fields: str) -> None:
    """Delete the objects of `upload_boto3`."""
    _Boto3(Site(*fields), 1).delete()
