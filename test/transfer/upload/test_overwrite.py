"""Uploads that never replace an object, whoever else writes to the path."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import Any

import pytest
from support.bench import PART, PATH, Bench, content

from lakefs_client.api.objects_api import ObjectsApi
from lakefs_client.api.staging_api import StagingApi
from lakefs_client.exceptions import PreconditionFailedException, TransferError
from lakefs_client.models import StagingLocation, StagingMetadata
from lakefs_client.transfer import ObjectExistsError
from lakefs_client.transfer.plan import StoreLimits

FIRST = b"first"
STORE = ("store_put_object", "store_put_part")


class Unseekable(io.RawIOBase):
    """A stream that can be read once, and that calls `before` with its first read."""

    def __init__(self, data: bytes, before: Callable[[], object] = lambda: None) -> None:
        self._data = io.BytesIO(data)
        self._before = before

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        self._before()
        return self._data.read(size)


def create(bench: Bench, way: str, data: bytes, **settings: Any) -> Any:
    """Create the object in one of the ways that the tests name."""
    transfer = bench.transfer(**settings)
    target = "repo", "main", PATH
    if way == "file":
        source = bench.folder / "source"
        source.write_bytes(data)
        return transfer.upload_file(source, *target, overwrite=False)
    if way == "bytes":
        return transfer.upload_fileobj(io.BytesIO(data), *target, overwrite=False)
    if way == "stream":
        return transfer.upload_fileobj(Unseekable(data), *target, overwrite=False)
    with transfer.open(*target, "xb") as file:
        file.write(data)
    return file.stats


ways = pytest.mark.parametrize("way", ["file", "bytes", "stream", "open"])


@ways
@pytest.mark.parametrize("size", [0, 1, 3 * PART + 7])
def test_new_object_is_sent_in_one_put(bench: Bench, way: str, size: int) -> None:
    stats = create(bench, way, content(size))
    assert stats.size_bytes == size
    bench.assert_whole(content(size))
    assert bench.operations == {
        "stat_object": 2, "get_physical_address": 1, "store_put_object": 1,
        "link_physical_address": 1,
    }  # fmt: skip


@ways
def test_existing_object_is_rejected_before_any_byte(bench: Bench, way: str) -> None:
    bench.put(FIRST)
    with pytest.raises(ObjectExistsError) as caught:
        create(bench, way, b"second")
    error = caught.value
    assert isinstance(error, PreconditionFailedException)
    assert (error.status, error.outcome) == (412, "aborted")
    assert str(error) == f"lakefs://repo/main/{PATH}: an object exists [aborted]"
    assert bench.operations == {"stat_object": 1}
    assert bench.stored_bytes() == FIRST


@pytest.mark.parametrize("mode", ["x", "xt"])
def test_text_modes(bench: Bench, mode: Any) -> None:
    transfer = bench.transfer()
    with transfer.open("repo", "main", PATH, mode, encoding="utf-16", newline="\r\n") as file:
        file.write("ö\n")
    assert bench.stored_bytes().decode("utf-16") == "ö\r\n"
    with pytest.raises(ObjectExistsError):
        transfer.open("repo", "main", PATH, mode)


def test_object_made_during_upload_stays(bench: Bench) -> None:
    file = bench.transfer().open("repo", "main", PATH, "xb")
    file.write(b"second")
    bench.put(FIRST)
    with pytest.raises(ObjectExistsError) as caught:
        file.close()
    error = caught.value
    assert (error.status, error.outcome) == (412, "not linked")
    assert error.physical_address is not None
    assert bench.bytes_at(error.physical_address) == b"second"
    assert bench.stored_bytes() == FIRST
    # As the message says, the bytes can be linked once the path is free.
    assert "Once no object is at the path, link_physical_address" in str(error)
    ObjectsApi(bench.client).delete_object("repo", "main", PATH)
    location = StagingLocation(physical_address=error.physical_address)
    body = StagingMetadata(location, "checksum", 6)
    StagingApi(bench.client).link_physical_address("repo", "main", PATH, body, if_none_match="*")
    assert bench.stored_bytes() == b"second"


@pytest.mark.parametrize("settings", [{"presign": False}, {"server_threshold": 100}])
def test_object_made_during_upload_through_server_stays(
    bench: Bench, settings: dict[str, Any]
) -> None:
    source = Unseekable(b"second", lambda: bench.put(FIRST))
    with pytest.raises(ObjectExistsError) as caught:
        bench.transfer(**settings).upload_fileobj(source, "repo", "main", PATH, overwrite=False)
    assert caught.value.outcome == "aborted"
    assert bench.stored_bytes() == FIRST
    assert not bench.operations.keys() & set(STORE)


def test_concurrent_writers_have_a_single_winner(bench: Bench) -> None:
    together = threading.Barrier(6)
    results: dict[int, object] = {}

    def write(number: int) -> None:
        try:
            with bench.transfer().open("repo", "main", PATH, "xb") as file:
                file.write(b"%d" % number)
                together.wait(30)
            results[number] = True
        except ObjectExistsError:
            results[number] = False

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = (number for number, won in results.items() if won)
    assert len(results) == 6
    assert bench.stored_bytes() == b"%d" % winner


def test_resume_keeps_no_journal(bench: Bench) -> None:
    transfer = bench.transfer()
    source = bench.file(3 * PART)
    transfer.upload_file(source, "repo", "main", PATH, overwrite=False, resume=True)
    assert bench.operations["create_presign_multipart_upload"] == 0
    assert not (bench.folder / "journals").exists()


@ways
def test_more_than_one_put_holds_is_rejected(bench: Bench, way: str) -> None:
    limits = StoreLimits(max_single_put=2 * PART)
    create(bench, way, content(2 * PART), limits=limits)
    ObjectsApi(bench.client).delete_object("repo", "main", PATH)
    bench.sandbox.requests.clear()
    with pytest.raises(TransferError, match="completes multipart uploads only if") as caught:
        create(bench, way, content(2 * PART + 1), limits=limits)
    assert caught.value.outcome == "aborted"
    assert not bench.operations.keys() & set(STORE)
    bench.assert_nothing_left()


def test_lost_response_to_link_is_not_a_conflict(bench: Bench) -> None:
    bench.sandbox.faults.add("link_physical_address", "lost_answer")
    create(bench, "bytes", FIRST)
    bench.assert_whole(FIRST)


def test_without_read_permission_link_detects_the_object(bench: Bench) -> None:
    bench.put(FIRST)
    bench.sandbox.faults.add("stat_object", "status", status=403)
    with pytest.raises(ObjectExistsError) as caught:
        create(bench, "bytes", b"second")
    assert caught.value.outcome == "not linked"
    assert bench.stored_bytes() == FIRST


def test_missing_branch_is_not_found(bench: Bench) -> None:
    with pytest.raises(TransferError) as caught:
        bench.transfer().upload_fileobj(io.BytesIO(b"1"), "repo", "missing", PATH, overwrite=False)
    assert caught.value.status == 404
