"""Transfers without presigned URLs, on request: all bytes pass through the lakeFS server."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from support.bench import PART, PATH, Bench, content

from lakefs_client.exceptions import ApiTypeError, ApiValueError
from lakefs_client.transfer import ObjectRange, Transfer, TransferConfig


@pytest.fixture
def transfer(bench: Bench) -> Iterator[Transfer]:
    """Provide a transfer, and check that it neither asked for a URL nor used one."""
    yield bench.transfer(presign=False, fallback=False)
    requests = [*bench.sandbox.requests]
    assert not [request for request in requests if request.operation.startswith("store_")]
    assert not [request for request in requests if "presign=true" in request.query.lower()]


@pytest.mark.parametrize("size", [0, 1, 3 * PART + 7])
def test_file_goes_there_and_back(bench: Bench, transfer: Transfer, size: int) -> None:
    transfer.upload_file(bench.file(size), "repo", "main", PATH, resume=True)
    assert bench.operations == {"upload_object": 1}
    bench.assert_whole(content(size))
    transfer.download_file("repo", "main", PATH, bench.target)
    assert bench.target.read_bytes() == content(size)


def test_streams_and_open_files(bench: Bench, transfer: Transfer) -> None:
    data = content(2 * PART)
    transfer.upload_fileobj(io.BufferedReader(io.BytesIO(data)), "repo", "main", PATH)  # type: ignore[type-var]
    assert transfer.open("repo", "main", PATH).read() == data
    with transfer.open("repo", "main", "written", "wb") as file:
        file.write(data)
    with transfer.open("repo", "main", "written") as reader:
        reader.seek(-10, io.SEEK_END)
        assert reader.read() == data[-10:]
    assert bench.operations["upload_object"] == 2


def test_directory_goes_there_and_back(bench: Bench, transfer: Transfer) -> None:
    source = bench.folder / "source"
    (source / "sub").mkdir(parents=True)
    (source / "a").write_bytes(content(10))
    (source / "sub" / "b").write_bytes(content(PART + 1))
    assert transfer.upload_directory(source, "repo", "main", "p").transferred == 2
    target = bench.folder / "target"
    assert transfer.download_directory("repo", "main", "p", target).transferred == 2
    assert (target / "sub" / "b").read_bytes() == content(PART + 1)


def test_interrupted_upload_in_parts_is_not_resumed(bench: Bench) -> None:
    source = bench.file(2 * PART)
    bench.sandbox.faults.add("store_put_part", "status", status=403, times=2)
    with pytest.raises(Exception, match="403"):
        bench.transfer().upload_file(source, "repo", "main", PATH, resume=True)
    transfer = bench.transfer(presign=False)
    (pending,) = transfer.pending_uploads()
    bench.sandbox.requests.clear()
    transfer.upload_file(source, "repo", "main", PATH, resume=True)
    assert bench.operations == {"upload_object": 1}
    transfer.discard_upload(pending)
    bench.assert_whole(content(2 * PART))


def test_compose_is_rejected(bench: Bench, transfer: Transfer) -> None:
    with pytest.raises(ApiValueError, match="presign is False"):
        transfer.compose([ObjectRange("a")], "repo", "main", "b")


def test_other_values_are_rejected() -> None:
    value: object = None
    with pytest.raises(ApiTypeError, match="presign must be a bool"):
        TransferConfig(presign=value)  # type: ignore[arg-type]
