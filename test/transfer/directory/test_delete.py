"""Deletions of directory transfers: `delete=True`, `dry_run=True` and `delete_directory`."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bench import Bench
from support.folders import Folders, counts, failures

from lakefs_client.exceptions import ApiException, NotFoundException, TransferError
from lakefs_client.transfer import DirectoryReport
from lakefs_client.transfer.directory import download as download_module
from lakefs_client.transfer.directory import listing as listing_module
from lakefs_client.transfer.directory.report import DirectoryEntry, EntryLog

DELETE = "delete_objects"


def entries(report: DirectoryReport) -> dict[str, tuple[str, str]]:
    """Return the actions and reasons of a report by path."""
    return {entry.path: (entry.action, entry.reason) for entry in report}


def paths(report: DirectoryReport, action: str) -> list[str]:
    return sorted(entry.path for entry in report if entry.action == action)


# Uploads


def test_log_distinguishes_deletions_from_transfers(
    folders: Folders, caplog: pytest.LogCaptureFixture
) -> None:
    folders.write({"a": b"a"})
    folders.put({"p/old": b"o"})
    folders.faults.add(DELETE, "status", status=403)
    folders.upload("p", delete=True)
    folders.faults.add("store_put_object", "status", status=403, times=9)
    folders.write({"b": b"b"})
    folders.upload("p", delete=True)
    texts = [record.getMessage() for record in caplog.records if record.module == "job"]
    deletion, upload, others = texts
    assert deletion == "'old' failed: 403 Forbidden"
    assert upload.startswith("'b' failed: lakefs://")
    assert others == "1 not deleted, since others failed"


def test_upload_deletes_objects_that_folder_lacks(folders: Folders) -> None:
    folders.write({"a": b"a", "d/new": b"n"})
    outside = {"p": b"x", "p-q": b"x", "pq/x": b"x", "o/x": b"x"}
    folders.put({"p/a": b"a", "p/0": b"12", "p/a/b": b"3", "p/d/old": b"4", "p/z": b"", **outside})
    report = folders.upload("p", delete=True)
    assert folders.remote() == {"p/a": b"a", "p/d/new": b"n", **outside}
    assert (report.deleted, report.deleted_bytes, report.kept) == (4, 4, 0)
    assert paths(report, "deleted") == ["0", "a/b", "d/old", "z"]
    assert counts(report) == (1, 1, 0)
    assert folders.bench.operations[DELETE] == 1


def test_upload_of_empty_folder_deletes_whole_prefix(folders: Folders) -> None:
    folders.put({"p/a": b"a", "q": b"q"})
    assert folders.upload("p", delete=True).deleted == 1
    assert folders.remote() == {"q": b"q"}


def test_objects_are_deleted_after_uploads(folders: Folders) -> None:
    folders.write({"b": b"b"})
    folders.put({"a": b"a"})
    folders.upload(delete=True)
    operations = [request.operation for request in folders.bench.sandbox.requests]
    assert operations.index(DELETE) > operations.index("link_physical_address")


def test_objects_of_excluded_files_are_kept(folders: Folders) -> None:
    folders.write({"a.csv": b"a"})
    folders.put({"b.csv": b"b", "b.txt": b"b", "c.csv": b"c"})
    folders.upload(delete=True, include="*.csv", exclude="c*")
    assert sorted(folders.remote()) == ["a.csv", "b.txt", "c.csv"]


def test_objects_of_symlinks_are_kept(folders: Folders) -> None:
    folders.write({"a": b"a"})
    other_folder = folders.bench.folder / "elsewhere"
    other_folder.mkdir()
    (folders.source / "file").symlink_to(folders.source / "a")
    (folders.source / "link").symlink_to(other_folder)
    folders.put({"file": b"f", "link/x": b"x", "link/y/z": b"z", "link-2": b"", "linked": b""})
    report = folders.upload(delete=True)
    assert paths(report, "deleted") == ["link-2", "linked"]
    assert sorted(folders.remote()) == ["a", "file", "link/x", "link/y/z"]


@pytest.mark.parametrize("operation", ["store_put_object", "link_physical_address"])
def test_failed_upload_prevents_deletions(folders: Folders, operation: str) -> None:
    folders.write({"a": b"a", "b": b"b"})
    folders.put({"old": b"old"})
    folders.faults.add(operation, "status", status=403)
    report = folders.upload(delete=True)
    assert (report.failed, report.deleted, report.kept) == (1, 0, 1)
    assert folders.remote()["old"] == b"old"
    assert folders.bench.operations[DELETE] == 0


def test_unreadable_folder_prevents_deletions(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders.write({"a": b"a", "d/x": b"x"})
    folders.put({"d/x": b"x", "old": b"old"})
    scandir = os.scandir

    def fail(folder: Any) -> Any:
        if str(folder).endswith("/d"):
            raise PermissionError(13, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", fail)
    report = folders.upload(delete=True)
    assert list(failures(report)) == ["d"]
    assert report.kept == 2
    assert sorted(folders.remote()) == ["a", "d/x", "old"]


def test_name_outside_utf_8_prevents_deletions(folders: Folders) -> None:
    open(os.fsencode(folders.source) + b"/\xff", "xb").close()
    folders.put({"old": b"old"})
    assert (folders.upload(delete=True).kept, [*folders.remote()]) == (1, ["old"])


def test_interrupt_prevents_deletions(folders: Folders) -> None:
    folders.write({"a": b"a"})
    folders.put({"old": b"old"})

    def progress(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folders.upload(delete=True, progress=progress)
    assert "old" in folders.remote()


def test_deletions_are_sent_in_batches(folders: Folders) -> None:
    folders.put({f"{n:04}": b"" for n in range(2100)})
    folders.faults.add(DELETE, "reset_before")
    folders.faults.add(DELETE, "lost_answer", after=2)
    report = folders.upload(delete=True, settings={"max_concurrency": 1})
    assert report.deleted == 2100
    assert folders.bench.operations[DELETE] == 5
    assert folders.remote() == {}


def test_failed_batch_is_reported_by_path(folders: Folders) -> None:
    folders.put({"a": b"a", "b": b"b"})
    folders.faults.add(DELETE, "status", status=403)
    report = folders.upload(delete=True)
    assert sorted(failures(report)) == ["a", "b"]
    assert report.deleted == 0
    assert len(folders.remote()) == 2
    with pytest.raises(TransferError, match="2 files failed"):
        report.raise_for_failures()


@pytest.mark.parametrize("defect", ["unordered", "outside", "empty page"])
def test_invalid_listing_prevents_deletions(
    folders: Folders, monkeypatch: pytest.MonkeyPatch, defect: str
) -> None:
    """A listing out of order could make existing files look missing."""
    folders.put({"p/a": b"a", "p/b": b"b"})
    folders.write({"a": b"a", "b": b"b"})
    request = listing_module._Pages._request

    def invalid_request(self: Any, *arguments: Any) -> Any:
        page, date = request(self, *arguments)
        if defect == "unordered":
            page.results.reverse()
        elif defect == "outside":
            page.results[0].path = "o/a"
        else:
            del page.results[:]
            page.pagination.has_more = True
        return page, date

    monkeypatch.setattr(listing_module._Pages, "_request", invalid_request)
    with pytest.raises(ApiException, match="invalid response to list_objects"):
        folders.upload("p", delete=True)
    folders.target.mkdir()
    (folders.target / "precious").write_bytes(b"x")
    with pytest.raises(ApiException, match="invalid response to list_objects"):
        folders.download("p", delete=True)
    assert "precious" in folders.downloaded()
    assert len(folders.remote()) == 2


# Downloads


def write_target(folders: Folders, files: dict[str, bytes]) -> None:
    """Create files in the folder `target`."""
    for name, data in files.items():
        place = folders.target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)


def test_download_deletes_files_that_lakefs_lacks(folders: Folders) -> None:
    folders.put({"p/a": b"a", "p/d/new": b"n", "q": b"q"})
    write_target(folders, {"a": b"a", "a-b": b"1", "d/old": b"22", "e/f/g": b"3", "z": b""})
    report = folders.download("p", delete=True)
    assert folders.downloaded() == {"a": b"a", "d/new": b"n"}
    assert (report.deleted, report.deleted_bytes) == (4, 4)
    assert paths(report, "deleted") == ["a-b", "d/old", "e/f/g", "z"]
    # Folders that the deletions emptied are deleted too.
    assert sorted(path.name for path in folders.target.iterdir()) == ["a", "d"]


def test_folders_of_markers_are_kept(folders: Folders) -> None:
    folders.put({"d/": b"", "e/": b""})
    write_target(folders, {"d/old": b"1", "f/old": b"1"})
    (folders.target / "empty").mkdir()
    assert folders.download(delete=True).deleted == 2
    assert sorted(path.name for path in folders.target.iterdir()) == ["d", "e", "empty"]


def test_files_of_excluded_objects_are_kept(folders: Folders) -> None:
    folders.put({"a.csv": b"a"})
    write_target(folders, {"b.csv": b"b", "b.txt": b"b", "c.csv": b"c"})
    folders.download(delete=True, include="*.csv", exclude="c*")
    assert sorted(folders.downloaded()) == ["a.csv", "b.txt", "c.csv"]


def test_symlinks_and_their_targets_are_kept(folders: Folders) -> None:
    outside = folders.bench.folder / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"x")
    folders.put({"a": b"a"})
    write_target(folders, {"b": b"b"})
    (folders.target / "link").symlink_to(outside)
    (folders.target / "file").symlink_to(outside / "precious")
    report = folders.download(delete=True)
    assert paths(report, "deleted") == ["b"]
    assert (outside / "precious").read_bytes() == b"x"
    assert (folders.target / "link").is_symlink()
    assert (folders.target / "file").is_symlink()


def test_folder_exchanged_for_symlink_is_not_deleted_from(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = folders.bench.folder / "outside"
    outside.mkdir()
    (outside / "x").write_bytes(b"precious")
    folders.put({"a": b"a"})
    write_target(folders, {"d/x": b"x"})
    delete = download_module._LocalListing.delete

    def exchange_first(self: Any, path: str) -> None:
        (folders.target / "d").rename(folders.target / "e")
        (folders.target / "d").symlink_to(outside)
        delete(self, path)

    monkeypatch.setattr(download_module._LocalListing, "delete", exchange_first)
    report = folders.download(delete=True)
    assert list(failures(report)) == ["d/x"]
    assert (outside / "x").read_bytes() == b"precious"


def test_partial_files_of_other_downloads_are_kept(folders: Folders) -> None:
    folders.put({"a": b"a"})
    write_target(folders, {".b.0123abcd.part": b"1", ".b.part": b"2"})
    folders.download(delete=True)
    assert sorted(folders.downloaded()) == [".b.0123abcd.part", "a"]


def test_failed_download_prevents_deletions(folders: Folders) -> None:
    folders.put({"a": b"a", "b": b"b"})
    write_target(folders, {"old": b"old"})
    folders.faults.add("store_get_object", "status", status=403)
    report = folders.download(delete=True)
    assert (report.failed, report.deleted, report.kept) == (1, 0, 1)
    assert "old" in folders.downloaded()


def test_failed_listing_prevents_deletions(folders: Folders) -> None:
    write_target(folders, {"old": b"old"})
    with pytest.raises(NotFoundException):
        folders.transfer().download_directory("repo", "nope", "", folders.target, delete=True)
    assert folders.downloaded() == {"old": b"old"}


def test_file_system_that_ignores_case_keeps_downloaded_file(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download_module, "_ignores_case", lambda root: True)
    folders.put({"A": b"a"})
    write_target(folders, {"a": b"a", "old": b"old"})
    report = folders.download(delete=True)
    assert list(failures(report)) == ["a"]
    assert sorted(folders.downloaded()) == ["A", "a"]


NAMES = st.lists(
    st.sampled_from(["a", "b", "a/x", "a-b", "b/y/z", "c", "é", "d/e", "d/f", "0"]), unique=True
).filter(lambda names: not any(other.startswith(f"{name}/") for name in names for other in names))


@given(names=NAMES, existing=NAMES)
def test_sync_makes_target_equal(
    tmp_path_factory: pytest.TempPathFactory,
    module_bench: Bench,
    names: list[str],
    existing: list[str],
) -> None:
    module_bench.folder = tmp_path_factory.mktemp("sync")
    folders = Folders(module_bench)
    folders.transfer().delete_directory("repo", "main", "")
    files = folders.write(dict.fromkeys(names, b"x"))
    folders.put(dict.fromkeys(existing, b"x"))
    report = folders.upload(delete=True)
    assert folders.remote() == files
    assert report.deleted == len({*existing} - {*names})
    write_target(folders, dict.fromkeys(existing, b"x"))
    report = folders.download(delete=True)
    if not report.failed:  # a file may be in the place of a folder
        assert folders.downloaded() == files


# Dry runs


def test_dry_run_of_upload_changes_nothing(folders: Folders) -> None:
    folders.write({"new": b"12", "same": b"s", "size": b"123", "sum": b"abc", "d/e": b""})
    folders.put({"same": b"s", "size": b"1", "sum": b"cba", "old": b"1234"})
    folders.upload(include="same")
    before = folders.remote()
    report = folders.upload(delete=True, dry_run=True)
    assert folders.remote() == before
    assert set(folders.bench.operations) == {"list_objects"}
    assert entries(report) == {
        "new": ("transferred", "new"),
        "d/e": ("transferred", "new"),
        "same": ("skipped", "unchanged"),
        "size": ("transferred", "other size"),
        "sum": ("transferred", "other checksum"),
        "old": ("deleted", "not in the source"),
    }
    assert (report.transferred, report.transferred_bytes) == (4, 8)
    assert (report.deleted, report.deleted_bytes) == (1, 4)
    assert folders.upload(delete=True) == report


@pytest.mark.parametrize("exists", [False, True])
def test_dry_run_of_download_changes_nothing(folders: Folders, exists: bool) -> None:
    folders.put({"a": b"a", "d/e": b"2", "m/": b"", "sum": b"abc"})
    if exists:
        write_target(folders, {"old/x": b"12", "sum": b"cba"})
    before = {*folders.bench.folder.rglob("*")}
    report = folders.download(delete=True, dry_run=True)
    assert {*folders.bench.folder.rglob("*")} == before
    assert entries(report) == {
        "a": ("transferred", "new"),
        "d/e": ("transferred", "new"),
        "m/": ("transferred", "new"),
        "sum": ("transferred", "other checksum" if exists else "new"),
        **({"old/x": ("deleted", "not in the source")} if exists else {}),
    }
    assert set(folders.bench.operations) == {"list_objects"}
    assert folders.download(delete=True) == report


def test_other_metadata_and_content_type_are_uploaded_again(folders: Folders) -> None:
    folders.write({"a.csv": b"a"})
    folders.upload(user_metadata={"run": "1"})
    assert counts(folders.upload()) == (0, 1, 0)
    assert counts(folders.upload(user_metadata={"run": "1"})) == (0, 1, 0)
    report = folders.upload(user_metadata={"run": "2"})
    assert entries(report) == {"a.csv": ("transferred", "other user metadata")}
    assert counts(folders.upload(user_metadata={})) == (1, 0, 0)
    folders.bench.upload(folders.source / "a.csv", "a.csv", content_type="text/plain")
    report = folders.upload()
    assert entries(report) == {"a.csv": ("transferred", "other content type")}
    stats = folders.bench.stat("a.csv")
    assert stats is not None
    assert stats.content_type == "text/csv"


# Prefixes


def test_delete_directory(folders: Folders) -> None:
    folders.put({"p/a": b"1", "p/d/b": b"22", "p": b"x", "pq": b"x", "p-/x": b"x"})
    report = folders.transfer().delete_directory("repo", "main", "p", dry_run=True)
    assert (report.deleted, report.deleted_bytes) == (2, 3)
    assert len(folders.remote()) == 5
    assert folders.transfer().delete_directory("repo", "main", "p") == report
    assert sorted(folders.remote()) == ["p", "p-/x", "pq"]
    assert folders.transfer().delete_directory("repo", "main", "p") == DirectoryReport()


def test_delete_directory_with_patterns(folders: Folders) -> None:
    folders.put({"p/a.csv": b"1", "p/d/b.csv": b"1", "p/c.txt": b"1"})
    transfer = folders.transfer()
    assert (
        transfer.delete_directory("repo", "main", "p", include="*.csv", exclude="d/*").deleted == 1
    )
    assert sorted(folders.remote()) == ["p/c.txt", "p/d/b.csv"]


def test_delete_directory_of_missing_branch_raises(folders: Folders) -> None:
    with pytest.raises(NotFoundException):
        folders.transfer().delete_directory("repo", "nope", "p")


# Reports


@given(st.lists(st.tuples(st.text(), st.integers(0), st.text())))
def test_entry_log_returns_entries(items: list[tuple[str, int, str]]) -> None:
    log = EntryLog()
    added = [DirectoryEntry(path, "skipped", size, reason) for path, size, reason in items]
    for entry in added:
        log.append(entry)
    assert ([*log], len(log)) == (added, len(added))


def test_entry_log_is_small() -> None:
    log = EntryLog()
    for n in range(50_000):
        log.append(DirectoryEntry(f"some/folder/file-{n:06}.parquet", "transferred", 10_240, "new"))
    assert sum(map(len, log._chunks)) < 1_000_000
    assert sum(1 for _ in log) == 50_000


def test_report_names_every_file(folders: Folders) -> None:
    folders.write({f"{n}": b"x" * n for n in range(20)})
    folders.faults.add("store_put_object", "status", status=403)
    report = folders.upload()
    assert len([*report]) == 20
    ((failed, error),) = failures(report).items()
    (entry,) = (entry for entry in report if entry.action == "failed")
    assert (entry.path, "403" in entry.reason) == (failed, True)
    assert sum(entry.size for entry in report) == report.transferred_bytes
    assert str(error)
