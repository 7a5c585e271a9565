"""Directory transfers: files, skips, failures, progress and cancellation."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bench import MIB, PART, OnBytes, content, interrupt_once
from support.folders import Folders, counts, failures

from lakefs_client import RetryPolicy
from lakefs_client.api.objects_api import ObjectsApi
from lakefs_client.api.repositories_api import RepositoriesApi
from lakefs_client.exceptions import (
    ApiException,
    ApiTypeError,
    ApiValueError,
    NotFoundException,
    ServiceException,
    TransferError,
)
from lakefs_client.models import BranchProtectionRule, ObjectStats
from lakefs_client.sandbox import blocks
from lakefs_client.transfer import DirectoryReport, TransferConfig
from lakefs_client.transfer import local as local_module
from lakefs_client.transfer.checksum import file_has_checksum
from lakefs_client.transfer.directory import job as job_module
from lakefs_client.transfer.directory import listing as listing_module
from lakefs_client.transfer.directory import report as report_module
from lakefs_client.transfer.directory.listing import RemoteListing
from lakefs_client.transfer.errors import Cancelled
from lakefs_client.transfer.local import LocalTree
from lakefs_client.transfer.source import FileSource
from lakefs_client.uri import ObjectRef

CREATE = "create_presign_multipart_upload"
TREE: dict[str, bytes | int] = {
    "a": 3000,
    "a-b/c": b"",
    "a.csv": b"1,2\n",
    "deep/er/still/file": 70_000,
    "large": 2 * PART + 7,
    "of one part": PART,
    "spaces and é/файл.txt": b"text",
    "z": MIB,
}


@pytest.mark.parametrize("prefix", ["", "p", "p/", "p/q r", "p//"])
def test_upload_and_download_round_trip(folders: Folders, prefix: str) -> None:
    files = folders.write(TREE)
    (folders.source / "empty").mkdir()
    size = sum(map(len, files.values()))
    sent: list[int] = []
    report = folders.upload(prefix, progress=sent.append, user_metadata={"k": "v"})
    start = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
    assert folders.remote() == {start + name: data for name, data in files.items()}
    assert report == DirectoryReport(transferred=8, transferred_bytes=size)
    assert sum(sent) == size
    report.raise_for_failures()
    folders.assert_nothing_pending()
    stats = folders.bench.stat(f"{start}a.csv")
    assert stats is not None
    assert (stats.content_type, stats.metadata.to_dict()) == ("text/csv", {"k": "v"})

    received: list[int] = []
    report = folders.download(prefix, progress=received.append)
    assert folders.downloaded() == files
    assert report == DirectoryReport(transferred=8, transferred_bytes=size)
    assert sum(received) == size


def test_each_file_needs_few_requests(folders: Folders) -> None:
    folders.write({f"small/{n}": n for n in range(30)})
    folders.upload()
    assert folders.bench.operations == {
        "list_objects": 1,
        "get_physical_address": 30,
        "store_put_object": 30,
        "link_physical_address": 30,
    }
    folders.write({f"large/{n}": 2 * PART + n for n in range(3)})
    folders.upload()
    operations = folders.bench.operations
    assert (operations[CREATE], operations["store_put_part"]) == (3, 8)
    folders.download()
    operations = folders.bench.operations
    assert (operations["list_objects"], operations["stat_object"]) == (1, 0)
    assert operations["store_get_object"] == 29 + 8  # none for the empty file


def test_server_threshold_sends_small_files_in_one_request(folders: Folders) -> None:
    files = folders.write({"empty": b"", "small": 1000, "limit": 2000, "above": 2001})
    counted: list[int] = []
    settings = {"server_threshold": 2000}
    report = folders.upload(progress=counted.append, settings=settings, user_metadata={"k": "v"})
    assert counts(report) == (4, 0, 0)
    assert folders.bench.operations == {
        "list_objects": 1,
        "upload_object": 3,
        "get_physical_address": 1,
        "store_put_object": 1,
        "link_physical_address": 1,
    }
    assert sum(counted) == 5001
    assert folders.remote() == files
    assert counts(folders.upload(settings=settings, user_metadata={"k": "v"})) == (0, 4, 0)


def test_server_threshold_precedes_multipart_threshold(folders: Folders) -> None:
    files = folders.write({"large": PART + 1})
    folders.upload(settings={"server_threshold": 2 * PART})
    assert folders.bench.operations == {"list_objects": 1, "upload_object": 1}
    assert folders.remote() == files


def test_unchanged_files_are_skipped(folders: Folders) -> None:
    files = folders.write(TREE)
    size = sum(map(len, files.values()))
    folders.upload("p")
    sent: list[int] = []
    report = folders.upload("p", progress=sent.append)
    assert report == DirectoryReport(skipped=8, skipped_bytes=size)
    assert folders.bench.operations == {"list_objects": 1}
    assert sum(sent) == size

    changed = {
        "a": content(3001)[1:],  # of the same size
        "large": content(2 * PART + 8)[1:],
        "z": content(MIB + 1),
        "new": b"new",
    }
    folders.write(dict(changed))
    assert counts(folders.upload("p")) == (4, 5, 0)
    files |= changed
    assert folders.remote() == {f"p/{name}": data for name, data in files.items()}

    assert counts(folders.download("p")) == (9, 0, 0)
    assert counts(folders.download("p")) == (0, 9, 0)
    assert folders.bench.operations == {"list_objects": 1}
    (folders.target / "a").write_bytes(b"x" * 3000)
    (folders.target / "z").unlink()
    assert counts(folders.download("p")) == (2, 7, 0)
    assert folders.downloaded() == files


def test_other_part_sizes_are_recognized(
    folders: Folders,
) -> None:
    folders.write({"large": 2 * PART + 7})
    folders.upload(settings={"part_size": 8 * MIB})
    assert counts(folders.upload()) == (0, 1, 0)
    folders.upload(settings={"part_size": 6 * MIB + 5})
    assert counts(folders.upload(settings={"part_size": 6 * MIB + 5})) == (0, 1, 0)


def test_opaque_checksum_skips_nothing(folders: Folders) -> None:
    folders.write({"a": 9})
    folders.faults.add("store_put_object", "opaque_etag")
    folders.upload(settings={"verify": False})
    stats = folders.bench.stat("a")
    assert stats is not None
    assert stats.checksum != hashlib.md5(content(9)).hexdigest()
    assert counts(folders.upload()) == (1, 0, 0)


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        ((), (), ["a.csv", "b.txt", "d/a.csv", "d/e/c.txt"]),
        ("*.csv", (), ["a.csv", "d/a.csv"]),
        (["*.csv", "b*"], (), ["a.csv", "b.txt", "d/a.csv"]),
        ((), "d/*", ["a.csv", "b.txt"]),
        ((), ["*.csv", "*/c.*"], ["b.txt"]),
        ("*.csv", "d/*", ["a.csv"]),
        ("[ab].*", (), ["a.csv", "b.txt"]),
        ("*.CSV", (), []),
        ("d", (), []),
        ("", (), []),
    ],
)
def test_include_and_exclude_patterns(
    folders: Folders, include: Any, exclude: Any, expected: list[str]
) -> None:
    names = ["a.csv", "b.txt", "d/a.csv", "d/e/c.txt"]
    folders.write(dict.fromkeys(names, 9))
    report = folders.upload("p", include=include, exclude=exclude)
    assert counts(report) == (len(expected), 0, 0)
    assert list(folders.remote()) == [f"p/{name}" for name in expected]
    folders.put({f"q/{name}": b"x" for name in names})
    report = folders.download("q", include=include, exclude=exclude)
    assert counts(report) == (len(expected), 0, 0)
    assert list(folders.downloaded()) == expected


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"include": 7}, ApiTypeError),
        ({"include": [b"*"]}, ApiTypeError),
        ({"exclude": ["*", None]}, ApiTypeError),
        ({"progress": 7}, ApiTypeError),
        ({"prefix": 7}, ApiTypeError),
        ({"prefix": None}, ApiTypeError),
        ({"branch": ""}, ApiValueError),
        ({"repository": 7}, ApiTypeError),
    ],
)
def test_invalid_arguments_raise_before_any_request(
    folders: Folders, options: dict[str, Any], error: type[Exception]
) -> None:
    folders.write({"a": 1})
    upload = {"repository": "repo", "branch": "main", "prefix": "", **options}
    with pytest.raises(error):
        folders.transfer().upload_directory(folders.source, **upload)
    upload["ref"] = upload.pop("branch")
    with pytest.raises(error):
        folders.transfer().download_directory(target=folders.target, **upload)
    assert not folders.bench.operations
    assert not folders.target.exists()


def test_invalid_metadata_raises_before_any_request(folders: Folders) -> None:
    folders.write({"a": 1})
    with pytest.raises(ApiTypeError):
        folders.upload(user_metadata={"a": 1})
    assert not folders.bench.operations


def test_symlinks_are_skipped_or_followed(folders: Folders) -> None:
    folders.write({"a": b"a", "d/b": b"b"})
    other_folder = folders.bench.folder / "elsewhere"
    other_folder.mkdir()
    (other_folder / "e").write_bytes(b"e")
    (folders.source / "file").symlink_to(other_folder / "e")
    (folders.source / "folder").symlink_to(other_folder)
    (folders.source / "d" / "loop").symlink_to("..")
    (folders.source / "broken").symlink_to("nowhere")
    (folders.source / "itself").symlink_to("itself")
    assert counts(folders.upload("p")) == (2, 0, 0)
    report = folders.upload("q", follow_symlinks=True)
    assert {path: type(error).__name__ for path, error in report.failures} == {
        "broken": "FileNotFoundError",
        "d/loop": "OSError",
        "itself": "OSError",
    }
    remote = folders.remote()
    assert [path for path in remote if path[0] == "p"] == ["p/a", "p/d/b"]
    assert {path: data for path, data in remote.items() if path[0] == "q"} == {
        "q/a": b"a",
        "q/d/b": b"b",
        "q/file": b"e",
        "q/folder/e": b"e",
    }


def test_names_outside_utf_8_are_failures(folders: Folders) -> None:
    folders.write({"a": b"a", "é": b"e"})
    folder = os.fsencode(folders.source)
    os.mkdir(folder + b"/\xfe")
    for name in (b"/\xff.csv", b"/\xfe/inside"):
        with open(folder + name, "wb") as file:
            file.write(b"x")
    report = folders.upload()
    assert report.transferred == 2
    found = failures(report)
    assert sorted(found) == ["\\udcfe/inside", "\\udcff.csv"]
    assert all(isinstance(error, ApiValueError) for error in found.values())
    assert all("UTF-8" in str(error) for error in found.values())
    # Excluded names are not reported.
    assert counts(folders.upload(exclude=["*.csv", "*/inside"])) == (0, 2, 0)
    with pytest.raises(TransferError, match=r"2 files failed, the first with: .*udcf"):
        report.raise_for_failures()


def test_pipes_and_sockets_are_failures(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    folders.write({"a": b"a", "z": b"z"})
    monkeypatch.chdir(folders.source)
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("socket")
        report = folders.upload()
    assert sorted(failures(report)) == ["pipe", "socket"]
    assert report.transferred == 2


def test_unreadable_folder_is_failure(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    folders.write({"a": b"a", "lost+found/x": b"x", "z": b"z"})
    scandir = os.scandir

    def fail(folder: str) -> Any:
        if folder.endswith("lost+found"):
            raise PermissionError(13, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", fail)
    report = folders.upload(include=["a", "z"])
    assert report.transferred == 2
    assert isinstance(failures(report)["lost+found"], PermissionError)
    assert counts(folders.upload(exclude="lost+found")) == (0, 2, 0)


def test_missing_folder_raises(folders: Folders) -> None:
    for name, error in (("missing", FileNotFoundError), ("file", NotADirectoryError)):
        (folders.bench.folder / "file").touch()
        with pytest.raises(error):
            folders.transfer().upload_directory(folders.bench.folder / name, "repo", "main")
        assert not folders.bench.operations
    with pytest.raises(FileExistsError):
        folders.transfer().download_directory("repo", "main", "", folders.bench.folder / "file")


def test_missing_branch_raises(folders: Folders) -> None:
    with pytest.raises(NotFoundException):
        folders.transfer().upload_directory(folders.source, "repo", "nope")
    with pytest.raises(NotFoundException):
        folders.transfer().download_directory("repo", "nope", "", folders.target)


def test_empty_prefix_transfers_nothing(folders: Folders) -> None:
    folders.put({"pre": b"x", "prefix": b"x"})
    assert folders.download("pre") == DirectoryReport()
    assert folders.target.is_dir()
    assert folders.upload("pre") == DirectoryReport()


def test_failed_listing_raises(folders: Folders) -> None:
    folders.write({"a": 1})
    for call in (folders.upload, folders.download):
        folders.faults.add("list_objects", "status", status=500, times=9)
        with pytest.raises(ServiceException):
            call()
        folders.faults.clear()


# Failures

SMALL_AND_LARGE = {"1": 9, "2": 9, "3": 2 * PART, "4": 9, "5": PART + 1, "6": 9}


@pytest.mark.parametrize(
    "operation", ["store_put_object", "store_put_part", CREATE, "link_physical_address"]
)
def test_failed_upload_is_reported(folders: Folders, operation: str) -> None:
    files = folders.write(dict(SMALL_AND_LARGE))
    folders.faults.add(operation, "status", status=403)
    report = folders.upload()
    ((name, error),) = failures(report).items()
    assert counts(report) == (5, 0, 1)
    assert getattr(error, "status", None) == 403
    expected = {path: data for path, data in files.items() if path != name}
    assert folders.remote() == expected
    folders.assert_nothing_pending()
    with pytest.raises(
        TransferError, match=f"^[^:]*{name}: 1 files failed, the first with: .*403"
    ) as caught:
        report.raise_for_failures()
    assert caught.value.__cause__ is error
    # The same call transfers the remaining file.
    assert counts(folders.upload()) == (1, 5, 0)
    assert folders.remote() == files


def test_failed_download_is_reported(folders: Folders) -> None:
    files = folders.write(dict(SMALL_AND_LARGE))
    folders.upload()
    folders.faults.add("store_get_object", "status", status=403)
    report = folders.download()
    ((name, error),) = failures(report).items()
    assert counts(report) == (5, 0, 1)
    assert getattr(error, "status", None) == 403
    assert folders.downloaded() == {path: data for path, data in files.items() if path != name}
    assert counts(folders.download()) == (1, 5, 0)
    assert folders.downloaded() == files


def test_object_deleted_after_listing_is_failure(folders: Folders) -> None:
    folders.put({"a": b"a", "b": b"b"})
    folders.faults.add("store_get_object", "expired")
    folders.faults.add("stat_object", "status", status=404)
    report = folders.download(settings={"max_concurrency": 1})
    assert isinstance(failures(report)["a"].__cause__, NotFoundException)
    assert folders.downloaded() == {"b": b"b"}


def test_expired_urls_of_listing_are_renewed(folders: Folders, on_bytes: OnBytes) -> None:
    files = {f"{n}": content(n) for n in range(1, 9)}
    folders.put(files)

    def progress(count: int) -> None:
        folders.bench.sandbox.clock.advance(3600 if count == 1 else 0)

    on_bytes(progress)
    report = folders.download(settings={"max_concurrency": 1})
    assert counts(report) == (8, 0, 0)
    assert folders.downloaded() == files
    assert folders.bench.operations["stat_object"] == 7


def test_object_changed_after_listing_is_downloaded_whole(
    folders: Folders, on_bytes: OnBytes
) -> None:
    folders.put({"a": content(1000), "b": content(2000)})
    changed = False

    def progress(count: int) -> None:
        nonlocal changed
        if not changed:
            changed = True
            folders.put({"b": content(3000)[::-1]})
            folders.faults.add("store_get_object", "expired")

    on_bytes(progress)
    report = folders.download(settings={"max_concurrency": 1})
    assert counts(report) == (2, 0, 0)
    assert folders.downloaded() == {"a": content(1000), "b": content(3000)[::-1]}


def test_retried_requests_do_not_fail(folders: Folders) -> None:
    files = folders.write(dict(SMALL_AND_LARGE))
    sent: list[int] = []
    folders.faults.add("store_put_object", "status_late", status=503)
    folders.faults.add("store_put_part", "reset_during", at=MIB)
    assert counts(folders.upload(progress=sent.append)) == (6, 0, 0)
    assert folders.remote() == files
    assert sum(sent) == sum(map(len, files.values()))
    assert any(count < 0 for count in sent)


@pytest.mark.parametrize("operation", ["store_put_object", "store_put_part"])
def test_stop_on_error_raises_first_failure(folders: Folders, operation: str) -> None:
    folders.write({f"{n:03}": 9 if operation == "store_put_object" else PART for n in range(30)})
    folders.faults.add(operation, "status", status=403)
    with pytest.raises(TransferError) as caught:
        folders.upload(stop_on_error=True, settings={"max_concurrency": 2})
    assert caught.value.status == 403
    assert folders.bench.operations[operation] < 20
    folders.assert_nothing_pending()


def test_waiting_files_do_not_start_after_failure(folders: Folders) -> None:
    """Two large files are sent at a time, and the others wait."""
    folders.write({f"{n}": PART for n in range(8)})
    folders.faults.add("store_put_part", "status_late", status=403)
    with pytest.raises(TransferError):
        folders.upload(stop_on_error=True, settings={"max_concurrency": 8})
    assert folders.bench.operations[CREATE] <= 4
    folders.assert_nothing_pending()


def test_stop_on_error_raises_invalid_name(folders: Folders) -> None:
    folders.write({"a": 1})
    open(os.fsencode(folders.source) + b"/\xff", "xb").close()
    with pytest.raises(ApiValueError, match="UTF-8"):
        folders.upload(stop_on_error=True)


def test_stop_on_error_raises_first_failed_download(folders: Folders) -> None:
    folders.put({f"{n:03}": b"x" for n in range(60)})
    folders.faults.add("store_get_object", "status", status=403)
    with pytest.raises(TransferError):
        folders.download(stop_on_error=True, settings={"max_concurrency": 2})
    assert folders.bench.operations["store_get_object"] < 30


def test_report_names_first_failures(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_module, "MAX_FAILURES", 3)
    folders.put({f"{n}/../x": b"x" for n in range(5)})
    report = folders.download()
    assert (report.failed, len(report.failures)) == (5, 3)


@pytest.mark.parametrize("operation", ["get_physical_address", "link_physical_address"])
def test_deleted_branch_ends_upload(folders: Folders, operation: str) -> None:
    folders.write({f"{n:03}": 9 for n in range(60)})
    folders.faults.add(operation, "status", status=404, times=60, after=2)
    with pytest.raises(ApiException) as caught:
        folders.upload(settings={"max_concurrency": 2})
    assert caught.value.status == 404
    assert folders.bench.operations[operation] < 20


def test_missing_bytes_in_store_do_not_end_upload(folders: Folders) -> None:
    folders.write({"a": 9, "b": 9})
    folders.faults.add("store_put_object", "status", status=404, code="NoSuchBucket")
    assert counts(folders.upload()) == (1, 0, 1)


def protect(folders: Folders) -> None:
    rules = [BranchProtectionRule("main")]
    RepositoriesApi(folders.bench.client).set_branch_protection_rules("repo", rules)


def test_protected_branch_is_reported_before_first_upload(folders: Folders) -> None:
    folders.write({f"{n}": 9 for n in range(9)})
    protect(folders)
    with pytest.raises(TransferError, match="the branch main is protected; nothing was sent"):
        folders.upload()
    assert set(folders.bench.operations) == {"list_objects"}


def test_branch_protected_after_check_ends_upload(folders: Folders) -> None:
    folders.write({f"{n:03}": 9 for n in range(60)})
    transfer = folders.transfer(max_concurrency=2)
    transfer.upload_directory(folders.source, "repo", "main", include="000")
    protect(folders)
    folders.bench.sandbox.requests.clear()
    with pytest.raises(TransferError, match="protected"):
        transfer.upload_directory(folders.source, "repo", "main")
    assert folders.bench.operations["link_physical_address"] < 20


# Local attackers


def exchange_when(condition: Any, exchange: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Call `exchange` once, before a file is opened whose name fulfils the condition."""
    opened = local_module.Folder.open
    done: list[int] = []

    def open_exchanged(self: Any, name: str, flags: int, mode: int = 0o600) -> int:
        if not done and condition(name):
            done.append(1)
            exchange()
        return opened(self, name, flags, mode)

    monkeypatch.setattr(local_module.Folder, "open", open_exchanged)


def test_folder_exchanged_for_symlink_keeps_download_inside(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders.put({f"d/{n}": b"evil" for n in range(18)})
    outside = folders.bench.folder / "outside"
    outside.mkdir()

    def exchange() -> None:
        (folders.target / "d").rename(folders.target / "e")
        (folders.target / "d").symlink_to(outside)

    exchange_when(lambda name: name.startswith(".5."), exchange, monkeypatch)
    folders.download(settings={"max_concurrency": 1})
    assert [*outside.iterdir()] == []


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_exchanged_file_is_not_uploaded(
    folders: Folders, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    folders.write({"a": b"a", "d/b": b"b", "z": b"z"})
    secret = folders.bench.folder / "secret"
    secret.mkdir()
    (secret / "b").write_bytes(b"secret")

    def exchange() -> None:
        if kind == "folder":
            (folders.source / "d").rename(folders.source / "moved")
            (folders.source / "d").symlink_to(secret)
            return
        (folders.source / "d" / "b").unlink()
        if kind == "link":
            (folders.source / "d" / "b").symlink_to(secret / "b")
        else:
            os.mkfifo(folders.source / "d" / "b")

    exchange_when(lambda name: name == "a", exchange, monkeypatch)
    report = folders.upload(settings={"max_concurrency": 1})
    # The walk reads the folder before the exchange, or finds a link or a pipe, which it leaves out.
    after_exchange: list[list[str]] = {"folder": [["d"]], "link": [[]], "pipe": [[]]}[kind]
    assert list(failures(report)) in [["d/b"], *after_exchange]
    assert folders.remote() == {"a": b"a", "z": b"z"}


def test_deep_paths_and_long_names(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = "/".join(["d"] * 400)
    long_name, long_path = "n" * 300, "/".join(["p" * 200] * 5)
    folders.put({f"{deep}/file": b"deep", "n" * 255: b"n"})
    put_entries(folders, monkeypatch, [long_name, "/".join(["q" * 250] * 20), long_path])
    report = folders.download()
    assert sorted(failures(report)) == sorted([long_name, "/".join(["q" * 250] * 20)])
    assert all("too long" in str(error) for error in failures(report).values())
    assert not (folders.target / ("q" * 250)).exists()
    assert folders.bench.operations["store_get_object"] == 3
    shutil.rmtree(folders.target / "d", ignore_errors=True)


def put_entries(folders: Folders, monkeypatch: pytest.MonkeyPatch, paths: list[str]) -> None:
    """Make objects whose paths may be longer than lakeFS accepts today."""
    source = ObjectsApi(folders.bench.client).upload_object("repo", "main", "x", content=b"1")
    listed = listing_module._Pages._request

    def request(self: Any, *arguments: Any) -> Any:
        page, date = listed(self, *arguments)
        template = next(stats for stats in page.results if stats.path == "x")
        page.results = [stats for stats in page.results if stats.path != "x"]
        for path in paths:
            values = {**template.to_dict(), "path": path}
            page.results.append(ObjectStats(**values))
        page.results.sort(key=lambda stats: stats.path.encode())
        return page, date

    assert source.size_bytes == 1
    monkeypatch.setattr(listing_module._Pages, "_request", request)


# Progress and cancellation


class Bar:
    """A progress bar with the interface of tqdm."""

    def __init__(self, total: int | None = None) -> None:
        self.total = total
        self.count = 0
        self.totals: list[int | None] = []

    def update(self, count: int) -> None:
        self.totals.append(self.total)
        self.count += count


@pytest.mark.parametrize("direction", ["upload", "download"])
def test_total_grows_as_files_are_found(folders: Folders, direction: str) -> None:
    files = folders.write({f"{n}": 1000 + n for n in range(9)})
    size = sum(map(len, files.values()))
    folders.put({f"remote/{name}": data for name, data in files.items()})
    for dry_run in (True, False, False):  # the last time every file is skipped
        bar = Bar()
        prefix = "remote" if direction == "download" else "up"
        getattr(folders, direction)(prefix, progress=bar, dry_run=dry_run)
        assert (bar.count, bar.total) == (size, size)
    fixed = Bar(total=7)
    getattr(folders, direction)("remote" if direction == "download" else "up", progress=fixed)
    assert fixed.total == 7


def test_progress_true_shows_bar(folders: Folders, capsys: pytest.CaptureFixture[str]) -> None:
    folders.write({f"{n}": 1000 for n in range(9)})
    folders.upload(progress=True)
    output = capsys.readouterr().err
    assert "9 files" in output
    assert "9.00k/9.00k" in output
    folders.upload(progress=False)
    assert capsys.readouterr().err == ""


def test_progress_true_requires_tqdm(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ApiValueError, match=r"requires tqdm. Install lakefs_client\[progress\]"):
        folders.upload(progress=True)
    assert not folders.bench.operations


DIRECTIONS = pytest.mark.parametrize("direction", ["upload", "download"])


@DIRECTIONS
def test_progress_is_called_by_one_thread_at_a_time(folders: Folders, direction: str) -> None:
    files = folders.write({**{f"{n}": 3000 + n for n in range(30)}, "large": 4 * PART})
    size = sum(map(len, files.values()))
    folders.put({f"remote/{name}": data for name, data in files.items()})
    busy = threading.Lock()
    threads, counted = set(), []

    def progress(count: int) -> None:
        assert busy.acquire(blocking=False), "two threads at a time"
        threads.add(threading.get_ident())
        counted.append(count)
        busy.release()

    getattr(folders, direction)("remote" if direction == "download" else "", progress=progress)
    assert sum(counted) == size
    assert len(threads) == 1


@DIRECTIONS
@pytest.mark.parametrize("large", [False, True])
def test_progress_exception_is_raised_unchanged(
    folders: Folders, large: bool, direction: str
) -> None:
    files = folders.write({f"{n:02}": PART + 1 if large else 9 for n in range(12)})
    folders.put({f"remote/{name}": data for name, data in files.items()})
    error = RuntimeError("mine")
    calls = []

    def progress(count: int) -> None:
        calls.append(count)
        raise error

    with pytest.raises(RuntimeError) as caught:
        getattr(folders, direction)(
            "remote" if direction == "download" else "",
            progress=progress,
            settings={"max_concurrency": 2},
        )
    assert caught.value is error
    assert len(calls) == 1
    folders.assert_nothing_pending()
    assert not [*folders.target.rglob("*.part")]


@pytest.mark.parametrize("operation", ["store_put_object", "store_put_part"])
def test_interrupted_upload_leaves_nothing_pending(folders: Folders, operation: str) -> None:
    large = operation == "store_put_part"
    files = folders.write({f"{n:02}": 2 * PART if large else 9 for n in range(9 if large else 60)})
    folders.faults.add(operation, "stall", seconds=1000, times=2, after=3)
    with (
        pytest.raises(KeyboardInterrupt),
        interrupt_once(lambda: not folders.faults.pending),
    ):
        folders.upload(settings={"max_concurrency": 2})
    folders.assert_nothing_pending()
    began = folders.bench.operations[CREATE if large else "get_physical_address"]
    assert began < len(files)
    report = folders.upload()
    assert report.transferred + report.skipped == len(files)
    assert folders.remote() == files


@pytest.mark.parametrize("cause", ["interrupt", "failure"])
def test_end_does_not_wait_for_stalled_request(
    folders: Folders, monkeypatch: pytest.MonkeyPatch, cause: str
) -> None:
    monkeypatch.setattr(job_module, "CANCEL_WAIT", 0.01)
    folders.write({f"{n}": 9 for n in range(9)})
    folders.faults.add("get_physical_address", "stall", seconds=1000)
    if cause == "interrupt":
        with pytest.raises(KeyboardInterrupt), interrupt_once(lambda: not folders.faults.pending):
            folders.upload()
    else:
        folders.faults.add("link_physical_address", "status", status=403)
        with pytest.raises(TransferError):
            folders.upload(stop_on_error=True)
    folders.bench.sandbox.restart()  # ends the stall
    for thread in threading.enumerate():
        if thread.name.startswith("lakefs-client-directory"):
            thread.join(60)
            assert not thread.is_alive()
    # An abandoned request does not continue when its answer arrives.
    assert len(folders.remote()) < 9


def test_interrupted_download_leaves_no_partial_files(folders: Folders) -> None:
    files = folders.write({"large": 3 * PART, **{f"{n:02}": 9 for n in range(40)}})
    folders.upload()
    folders.faults.add("store_get_object", "stall", seconds=1000, times=2, after=3)
    with (
        pytest.raises(KeyboardInterrupt),
        interrupt_once(lambda: not folders.faults.pending),
    ):
        folders.download(settings={"max_concurrency": 2})
    complete = folders.downloaded()
    assert complete.items() < files.items()
    report = folders.download()
    assert (report.skipped, report.transferred) == (len(complete), len(files) - len(complete))
    assert folders.downloaded() == files


def test_cancellation_stops_hashing(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_bytes(content(3 * MIB))
    answers = iter([False, False, True])
    with FileSource(place) as file, pytest.raises(Cancelled):
        file_has_checksum(
            file, hashlib.md5(content(3 * MIB)).hexdigest(), PART, lambda: next(answers)
        )


def test_resume_continues_large_files(folders: Folders, tmp_path: Path) -> None:
    files = folders.write({"large": 4 * PART, "small": 9})
    settings = {"journal_dir": tmp_path / "journals", "max_concurrency": 1}
    folders.faults.add("store_put_part", "status", status=403, after=2)
    report = folders.upload(resume=True, settings=settings)
    assert getattr(failures(report)["large"], "outcome", None) == "resumable"
    assert folders.bench.sandbox.blockstore.uploads()
    assert counts(folders.upload(resume=True, settings=settings)) == (1, 1, 0)
    assert folders.bench.operations["store_put_part"] == 2
    assert folders.remote() == files
    folders.assert_nothing_pending()

    folders.faults.add("store_get_object", "status", status=403, after=2)
    report = folders.download(include="large", resume=True, settings=settings)
    assert getattr(failures(report)["large"], "outcome", None) == "resumable"
    assert counts(folders.download(include="large", resume=True, settings=settings)) == (1, 0, 0)
    assert folders.bench.operations["store_get_object"] == 2
    assert folders.downloaded() == {"large": files["large"]}


# Concurrency


@contextmanager
def count_concurrent_calls(
    monkeypatch: pytest.MonkeyPatch, name: str, expected: int
) -> Iterator[Any]:
    """Yield a function that returns the largest number of simultaneous blockstore calls.

    Each call waits until `expected` calls have started.
    """
    busy, most, lock = 0, 0, threading.Condition()
    original = getattr(blocks.Blockstore, name)

    def counting(*args: Any, **options: Any) -> Any:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
            lock.notify_all()
            lock.wait_for(lambda: most >= expected, 30)
        try:
            return original(*args, **options)
        finally:
            with lock:
                busy -= 1

    monkeypatch.setattr(blocks.Blockstore, name, counting)
    yield lambda: most


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
@pytest.mark.parametrize(
    ("limit", "settings", "expected"),
    [
        (1024, {}, 64),
        (-1, {}, 64),  # RLIM_INFINITY
        (100, {}, 25),
        (10, {}, 8),
        (1024, {"max_concurrency": 2}, 2),
        (1024, {"max_concurrency": 100}, 100),
    ],
)
def test_file_concurrency_follows_limit_of_open_files(
    monkeypatch: pytest.MonkeyPatch, limit: int, settings: dict[str, Any], expected: int
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (limit, limit))
    assert TransferConfig(**settings).file_concurrency == expected


def test_files_and_parts_share_throttle(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    folders.write({**{f"{n}": 9 for n in range(8)}, "3l": 3 * PART, "5l": 3 * PART})
    transfer = folders.transfer(max_concurrency=3)
    with count_concurrent_calls(monkeypatch, "write", 3) as most:
        transfer.upload_directory(folders.source, "repo", "main")
    assert most() == 3
    with count_concurrent_calls(monkeypatch, "get", 3) as most:
        transfer.download_directory("repo", "main", "", folders.target)
    assert most() == 3
    client = folders.bench.client
    for pools in (client.store_client.pool_manager.pools, client.rest_client.pool_manager.pools):
        (pool,) = (pools[key] for key in pools.keys())  # noqa: SIM118 (no dict)
        assert pool.num_connections <= 5  # type: ignore[attr-defined]


# Listing

PATHS = st.lists(
    st.text(st.sampled_from("ab/-.0\uffee\U0001f600"), min_size=1, max_size=4), unique=True
)


class ListingServer:
    """A server that lists the objects of a branch in pages of two."""

    def __init__(self, paths: list[str]) -> None:
        self.paths = sorted(paths, key=str.encode)
        self.requests: list[str] = []

    def call(
        self, client: Any, method: Any, key: Any, policy: RetryPolicy | None, **arguments: Any
    ) -> Any:
        return getattr(self, method.__name__)(*key, **arguments)

    def list_objects(
        self, repository: str, ref: str, *, prefix: str, after: str, amount: int
    ) -> Any:
        self.requests.append("list")
        found = [path for path in self.paths if path.startswith(prefix)]
        found = [path for path in found if path.encode() > after.encode()]
        return SimpleNamespace(
            results=[SimpleNamespace(path=path) for path in found[:2]],
            pagination=SimpleNamespace(has_more=len(found) > 2),
        )

    def stat_object(self, repository: str, ref: str, path: str) -> Any:
        self.requests.append("stat")
        if path not in self.paths:
            raise NotFoundException(404, "Not Found")
        return SimpleNamespace(path=path)


@contextmanager
def listing_of(server: ListingServer, prefix: str) -> Iterator[RemoteListing]:
    context: Any = SimpleNamespace(client=None, patience=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing_module, "call", server.call)
        yield RemoteListing(context, ObjectRef("repo", "main", prefix))


@given(existing=PATHS, searched=PATHS, prefix=st.sampled_from(["", "a/"]))
def test_listing_finds_objects(existing: list[str], searched: list[str], prefix: str) -> None:
    server = ListingServer(existing)
    with listing_of(server, prefix) as listing:
        for path in sorted((prefix + path for path in searched), key=str.encode):
            found = listing.find(path)
            assert (found and found.path) == (path if path in existing else None)
    # At most one stat and one page per file.
    assert server.requests.count("stat") <= len(searched)
    assert server.requests.count("list") <= 1 + len(searched)


@given(existing=PATHS)
def test_listing_requests_pages_only(
    existing: list[str],
) -> None:
    server = ListingServer(existing)
    with listing_of(server, "") as listing:
        for path in server.paths:
            found = listing.find(path)
            assert found is not None
            assert found.path == path
    assert server.requests == ["list"] * max(1, -(-len(existing) // 2))


def test_pages_with_urls_are_small(folders: Folders) -> None:
    """The signatures of a page take time before it arrives."""
    objects = {f"{number:03}": b"" for number in range(listing_module.SIGNED_PAGE + 1)}
    folders.put(objects)
    assert counts(folders.download()) == (len(objects), 0, 0)
    requests = [r for r in folders.bench.sandbox.requests if r.operation == "list_objects"]
    amounts = [dict(parse_qsl(request.query))["amount"] for request in requests]
    assert amounts == [str(listing_module.SIGNED_PAGE)] * 2


# Paths outside the folder

HOSTILE = [
    "../x", "..", "a/..", "a/../../b", "/etc/x", "//x", "a//b", "a/./b", ".", "./a", "nul\0here",
    "a/", "../", "a//", "/",
]  # fmt: skip


def test_paths_outside_folder_are_failures(folders: Folders) -> None:
    good = {"p/good": b"good", "p/back\\slash": b"x", "p/..dots": b"x", "p/~": b"x", "p/-": b"x"}
    bad = [f"p/{path}" for path in HOSTILE]
    folders.put(good)
    folders.put(dict.fromkeys(bad, b"evil"))
    before = set(folders.bench.folder.rglob("*"))
    report = folders.download("p")
    assert sorted(failures(report)) == sorted(HOSTILE)
    assert all(isinstance(error, ApiValueError) for error in failures(report).values())
    assert folders.downloaded() == {path.removeprefix("p/"): x for path, x in good.items()}
    made = set(folders.bench.folder.rglob("*")) - before
    assert all(place.is_relative_to(folders.target) for place in made)


@given(st.text(st.sampled_from("a./\\\0:é"), max_size=8))
def test_checked_paths_stay_in_folder(path: str) -> None:
    with tempfile.TemporaryDirectory() as folder, LocalTree(folder) as tree:
        try:
            tree.check(path)
        except ApiValueError:
            assert {"", ".", ".."} & {*path.split("/")} or "\0" in path
        else:
            place = f"{folder}/{path}"
            assert os.path.normpath(place) == place


def test_symlinks_leaving_folder_are_failures(folders: Folders) -> None:
    folders.put({"out/x": b"evil", "file": b"evil", "in/x": b"good", "itself/x": b"", "own": b"o"})
    outside = folders.bench.folder / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"precious")
    folders.target.mkdir()
    (folders.target / "real").mkdir()
    (folders.target / "out").symlink_to(outside)
    (folders.target / "file").symlink_to(outside / "file")
    (folders.target / "in").symlink_to("real")
    (folders.target / "itself").symlink_to("itself")
    report = folders.download()
    assert sorted(failures(report)) == ["file", "itself/x", "out/x"]
    assert [*outside.iterdir()] == [outside / "file"]
    assert (outside / "file").read_bytes() == b"precious"
    assert (folders.target / "real" / "x").read_bytes() == b"good"


def test_folder_may_be_symlink(folders: Folders) -> None:
    folders.put({"a/b": b"x"})
    (folders.bench.folder / "real").mkdir()
    folders.target.symlink_to(folders.bench.folder / "real")
    assert counts(folders.download()) == (1, 0, 0)
    assert (folders.bench.folder / "real" / "a" / "b").read_bytes() == b"x"


def test_object_at_path_of_folder_is_failure(folders: Folders) -> None:
    """The second of the two fails."""
    folders.put({"a": b"file", "a/b": b"below", "c": b"c"})
    report = folders.download(settings={"max_concurrency": 1})
    assert list(failures(report)) == ["a/b"]
    assert folders.downloaded() == {"a": b"file", "c": b"c"}
    (folders.target / "a").unlink()
    (folders.target / "a").mkdir()
    report = folders.download(settings={"max_concurrency": 1})
    assert list(failures(report)) == ["a"]
    assert folders.downloaded() == {"a/b": b"below", "c": b"c"}


def test_folder_markers_create_folders(folders: Folders) -> None:
    folders.put({"p/": b"", "p/d/": b"", "p/d/e/": b"", "p/d/x": b"x", "p/full/": b"bytes"})
    report = folders.download("p")
    assert list(failures(report)) == ["full/"]
    # A file below the folder may create the folder first.
    assert report.transferred + report.skipped == 3
    assert (folders.target / "d" / "e").is_dir()
    assert folders.downloaded() == {"d/x": b"x"}
    assert counts(folders.download("p", exclude="full/")) == (0, 3, 0)


def test_pipe_at_target_is_failure(folders: Folders) -> None:
    folders.put({"a": b"x", "b": b"x"})
    folders.target.mkdir()
    os.mkfifo(folders.target / "a")
    report = folders.download()
    assert list(failures(report)) == ["a"]
    assert report.transferred == 1
