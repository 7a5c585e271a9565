"""Faults of directory transfers: every file is complete or reported, and others are kept.

The policy `NO_WAIT` allows two attempts per request.
"""

from __future__ import annotations

import errno
import os
import threading
from typing import Any

import pytest
from support.bench import MIB, PART, Row, content, interrupt_once, set_throttle, status
from support.folders import Files, Folders, failures

from lakefs_client import RetryPolicy
from lakefs_client.exceptions import ApiConnectionError, TransferError
from lakefs_client.transfer import DirectoryReport
from lakefs_client.transfer.directory import job as job_module
from lakefs_client.transfer.download.partial import PartialFile

FILES: dict[str, bytes | int] = {
    **{f"small/{n:02}": 100 + n for n in range(20)},
    "empty": b"",
    "medium": MIB + 1,
    "large": 2 * PART + 7,
}
UPLOAD = ("get_physical_address", "store_put_object", "link_physical_address", "store_put_part")
FAULTS = [
    status(503, "SlowDown"),
    status(500),
    status(403),
    Row("reset_before", {}, ApiConnectionError),
    Row("lost_answer", {}, ApiConnectionError),
]


def assert_complete_or_reported(report: DirectoryReport, found: Files, files: Files) -> None:
    """Check that no file is missing without a failure, and that none has other bytes."""
    failed = failures(report)
    assert {path: data for path, data in found.items() if path in files} == {
        path: data for path, data in files.items() if path in found
    }
    assert {*files} - {*found} <= {*failed}
    assert report.transferred + report.skipped + report.failed == len(files)


@pytest.mark.parametrize("times", [1, 5])
@pytest.mark.parametrize("row", FAULTS, ids=lambda row: row.id)
@pytest.mark.parametrize("operation", UPLOAD)
def test_upload_faults_are_retried_or_reported(
    folders: Folders, operation: str, row: Row, times: int
) -> None:
    files = folders.write(dict(FILES))
    folders.put({"old": b"old"})
    folders.faults.add(operation, row.kind, times=times, **row.details)
    report = folders.upload(delete=True)
    remote = folders.remote()
    assert_complete_or_reported(report, remote, files)
    assert ("old" in remote) == bool(report.failed)
    folders.faults.clear()
    assert folders.upload(delete=True).failed == 0
    assert folders.remote() == files


@pytest.mark.parametrize("times", [1, 5])
@pytest.mark.parametrize(
    "row",
    [*FAULTS, Row("truncate", {}), Row("expired", {}), Row("wrong_etag", {})],
    ids=lambda row: row.id,
)
def test_download_faults_are_retried_or_reported(folders: Folders, row: Row, times: int) -> None:
    files = folders.write(dict(FILES))
    folders.upload()
    folders.target.mkdir()
    (folders.target / "old").write_bytes(b"old")
    folders.faults.add("store_get_object", row.kind, times=times, **row.details)
    report = folders.download(delete=True)
    found = folders.downloaded()
    assert_complete_or_reported(report, found, files)
    assert ("old" in found) == bool(report.failed)
    folders.faults.clear()
    assert folders.download(delete=True).failed == 0
    assert folders.downloaded() == files


@pytest.mark.parametrize("direction", ["upload", "download"])
def test_throttled_requests_are_retried_at_concurrency_64(folders: Folders, direction: str) -> None:
    files = folders.write({f"{n:03}": 50 for n in range(300)})
    folders.upload()
    if direction == "upload":
        files = folders.write({name: content(51)[1:] for name in files})
    operation = "store_put_object" if direction == "upload" else "store_get_object"
    folders.faults.add(operation, "status", times=100, status=503, code="SlowDown")
    transfer = folders.transfer(max_concurrency=64, retry=RetryPolicy(200, 0, 0))
    throttle = transfer._context.throttle
    if direction == "upload":
        report = transfer.upload_directory(folders.source, "repo", "main")
    else:
        report = transfer.download_directory("repo", "main", "", folders.target)
    assert (report.transferred, report.failed) == (300, 0)
    assert (folders.remote() if direction == "upload" else folders.downloaded()) == files
    assert throttle.epoch > 0
    assert throttle.active == 0


@pytest.mark.parametrize("large", [False, True])
def test_full_disk_is_reported(
    folders: Folders, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    files = folders.write(dict(FILES))
    folders.upload()
    folders.target.mkdir()
    (folders.target / "old").write_bytes(b"old")
    write_at = PartialFile._write_at

    def raise_no_space(self: Any, descriptor: int, data: memoryview, offset: int) -> int:
        if (".large." in self.path) == large:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write_at(self, descriptor, data, offset)

    with monkeypatch.context() as patch:
        patch.setattr(PartialFile, "_write_at", raise_no_space)
        report = folders.download(delete=True)
    found = folders.downloaded()
    assert_complete_or_reported(report, found, files)
    assert sorted(failures(report)) == sorted(
        path for path, data in files.items() if data and (path == "large") == large
    )
    assert all("receives a download" in str(error) for error in failures(report).values())
    assert "old" in found
    assert not [*folders.target.rglob("*.part")]


def test_interrupted_deletions_keep_other_objects(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "MAX_DELETIONS", 10)
    monkeypatch.setattr(job_module, "CANCEL_WAIT", 0.01)
    files = folders.write({f"{n:02}": 1 for n in range(20)})
    folders.upload("p")
    folders.put({f"p/old{n:02}": b"" for n in range(40)})
    folders.put({"q": b"q"})
    folders.faults.add("delete_objects", "stall", seconds=1000, after=2)
    with (
        pytest.raises(KeyboardInterrupt),
        interrupt_once(lambda: not folders.faults.pending),
    ):
        folders.upload("p", delete=True, settings={"max_concurrency": 1})
    folders.bench.sandbox.restart()  # ends the stall
    for thread in threading.enumerate():
        if thread.name.startswith("lakefs-client-directory"):
            thread.join(60)
    remote = folders.remote()
    assert {path for path in remote if "old" not in path} == {f"p/{name}" for name in files} | {"q"}
    assert folders.upload("p", delete=True).failed == 0
    assert len(folders.remote()) == 21


def test_throttled_small_files_share_limit_with_parts(folders: Folders) -> None:
    transfer = folders.transfer(max_concurrency=8)
    throttle = transfer._context.throttle
    assert (throttle.limit, throttle.light.limit) == (8, 64)
    token = throttle.light.acquire(lambda: False)
    assert token is not None
    throttle.light.release(token, slow_down=True)
    assert (throttle.limit, throttle.light.limit) == (4, 32)
    single = set_throttle(transfer, type(throttle)(3))
    assert (single.limit, single.light.limit) == (3, 3)


def test_stop_on_error_prevents_deletions(folders: Folders) -> None:
    folders.write(dict(FILES))
    folders.put({"old": b"old"})
    folders.faults.add("store_put_object", "status", status=403)
    with pytest.raises(TransferError):
        folders.upload(delete=True, stop_on_error=True)
    assert folders.remote()["old"] == b"old"
