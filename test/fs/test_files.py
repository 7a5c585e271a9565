"""Files: exclusive creation, presigned URLs, moves, callbacks, and errors on the way."""

from __future__ import annotations

import gc
import gzip
import io
import pickle
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest
from support.file_systems import arguments, create_repository

from lakefs_client.api.repositories_api import RepositoriesApi
from lakefs_client.exceptions import TransferError
from lakefs_client.fs import LakeFSFileSystem
from lakefs_client.models import BranchProtectionRule
from lakefs_client.sandbox import Sandbox

from .conftest import Make
from .test_filesystem import MIB, operations


def store_requests(sandbox: Sandbox) -> list[str]:
    return [name for name in operations(sandbox) if name.startswith("store")]


class TestExclusiveCreation:
    @pytest.mark.parametrize("pre_sign", [None, False])
    def test_object_made_during_the_write_stays(
        self, fs: LakeFSFileSystem, pre_sign: bool | None
    ) -> None:
        file = fs.open("repo/main/a", "xb", pre_sign=pre_sign)
        file.write(b"second")
        fs.pipe_file("repo/main/a", b"first")
        with pytest.raises(FileExistsError, match="'repo/main/a'"):
            file.close()
        assert fs.cat_file("repo/main/a") == b"first"

    @pytest.mark.parametrize("method", ["open", "pipe", "put"])
    def test_concurrent_writers_have_a_single_winner(
        self, fs: LakeFSFileSystem, tmp_path: Path, method: str
    ) -> None:
        together = threading.Barrier(4)

        def write(number: int) -> bool:
            data = b"%d" % number
            (tmp_path / str(number)).write_bytes(data)
            together.wait(30)
            try:
                if method == "put":
                    fs.put_file(tmp_path / str(number), "repo/main/a", mode="create")
                elif method == "pipe":
                    fs.pipe_file("repo/main/a", data, mode="create")
                else:
                    with fs.open("repo/main/a", "xb") as file:
                        file.write(data)
            except FileExistsError:
                return False
            return True

        with ThreadPoolExecutor(4) as pool:
            won = list(pool.map(write, range(4)))
        assert won.count(True) == 1
        assert fs.cat_file("repo/main/a") == b"%d" % won.index(True)

    def test_other_modes_of_pipe_are_rejected(self, fs: LakeFSFileSystem) -> None:
        with pytest.raises(ValueError, match="'overwrite' or 'create'"):
            fs.pipe_file("repo/main/a", b"1", mode="append")


class TestWrittenFile:
    def test_position_counts_written_bytes(self, fs: LakeFSFileSystem) -> None:
        with fs.open("repo/main/a", "wb") as file:
            assert file.writable()
            assert repr(file) == "<WriteFile lakefs://repo/main/a>"
            file.write(b"123")
            assert file.tell() == file.loc == 3
            file.commit()
            assert not fs.exists("repo/main/a")
        file.close()
        with pytest.raises(ValueError, match="closed"):
            file.write(b"4")
        assert fs.cat_file("repo/main/a") == b"123"

    def test_compressed_file_can_be_flushed(self, fs: LakeFSFileSystem) -> None:
        with fs.open("repo/main/a", "wb", compression="gzip") as file:
            assert file.writable()
            file.write(b"1")
            file.flush()
            file.write(b"2")
        file.close()
        assert gzip.decompress(fs.cat_file("repo/main/a")) == b"12"

    @pytest.mark.parametrize("mode", ["wb", "w"])
    @pytest.mark.parametrize("compression", [None, "gzip"])
    def test_unclosed_file_makes_no_object(
        self, fs: LakeFSFileSystem, mode: str, compression: str | None
    ) -> None:
        file = fs.open("repo/main/a", mode, compression=compression)
        file.write(b"1" if "b" in mode else "1")
        held = [file]
        del file
        with pytest.warns(ResourceWarning, match="was not closed"):
            held.clear()
        gc.collect()
        assert not fs.exists("repo/main/a")

    def test_touch_empties_a_file(self, fs: LakeFSFileSystem) -> None:
        fs.pipe_file("repo/main/a", b"1")
        with pytest.raises(NotImplementedError):
            fs.touch("repo/main/a", truncate=False)
        fs.touch("repo/main/a")
        fs.touch("repo/main/b", truncate=False)
        assert fs.cat_file("repo/main/a") == fs.cat_file("repo/main/b") == b""

    def test_failed_upload_is_an_os_error(self, fs: LakeFSFileSystem, sandbox: Sandbox) -> None:
        sandbox.faults.add("store_put_object", "status", status=403)
        file = fs.open("repo/main/a", "wb")
        file.write(b"1")
        with pytest.raises(PermissionError, match="no object was made") as caught:
            file.close()
        assert isinstance(caught.value.__cause__, TransferError)
        assert file.closed

    def test_written_file_cannot_be_pickled(self, fs: LakeFSFileSystem) -> None:
        with fs.open("repo/main/a", "wb") as file, pytest.raises(TypeError):
            pickle.dumps(file)


class TestPreSign:
    def test_false_sends_all_bytes_through_the_server(
        self, make_fs: Make, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        fs = make_fs(pre_sign=False)
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "file").write_bytes(bytes(20 * MIB))
        fs.put(str(tmp_path / "a"), "repo/main/a", recursive=True)
        fs.put_file(tmp_path / "a" / "file", "repo/main/b")
        fs.get("repo/main/a", str(tmp_path / "b"), recursive=True)
        fs.pipe_file("repo/main/c", b"0123")
        with fs.open("repo/main/d", "wb") as file:
            file.write(bytes(20 * MIB))
        with fs.open("repo/main/c") as file:
            assert file.read() == b"0123"
        assert fs.cat_ranges(["repo/main/c"] * 2, [0, 2], [1, 3]) == [b"0", b"2"]
        assert (tmp_path / "b" / "file").stat().st_size == 20 * MIB
        assert operations(sandbox)["upload_object"] == 4
        assert not store_requests(sandbox)

    def test_false_applies_to_one_file(self, fs: LakeFSFileSystem, sandbox: Sandbox) -> None:
        fs.pipe_file("repo/main/a", b"0123", pre_sign=False)
        with fs.open("repo/main/b", "wb", pre_sign=False) as file:
            file.write(b"0123")
        with fs.open("repo/main/a", pre_sign=False) as file:
            assert file.read(2) == b"01"
            with pickle.loads(pickle.dumps(file)) as copy:
                assert copy.read() == b"23"
        assert not store_requests(sandbox)

    def test_true_applies_to_one_file(self, make_fs: Make, sandbox: Sandbox) -> None:
        make_fs(pre_sign=False).pipe_file("repo/main/a", b"0123", pre_sign=True)
        assert store_requests(sandbox) == ["store_put_object"]

    def test_sign_returns_a_url_of_the_object(self, fs: LakeFSFileSystem) -> None:
        fs.pipe_file("repo/main/a", b"0123")
        with urllib.request.urlopen(fs.sign("lakefs://repo/main/a")) as answer:
            assert answer.read() == b"0123"
        with pytest.raises(FileNotFoundError):
            fs.sign("repo/main/missing")

    def test_sign_needs_a_store_with_urls(self) -> None:
        with Sandbox(presign=False) as sandbox:
            create_repository(sandbox, "repo")
            fs = LakeFSFileSystem(**arguments(sandbox), skip_instance_cache=True)
            fs.pipe_file("repo/main/a", b"0123")
            with pytest.raises(NotImplementedError, match="no presigned URLs"):
                fs.sign("repo/main/a")


class TestMove:
    def test_move_to_the_same_path_keeps_the_object(self, fs: LakeFSFileSystem) -> None:
        fs.pipe({"repo/main/a/b": b"1", "repo/main/a/c": b"2"})
        fs.mv("repo/main/a/b", "repo/main/a/b")
        fs.mv("lakefs://repo/main/a/b", "repo/main/a/b")
        fs.mv("repo/main/a/b", "repo/main/a/")
        fs.mv("repo/main/a/*", "repo/main/a/")
        fs.mv("repo/main/a", "repo/main/", recursive=True)
        fs.cp_file("lakefs://repo/main/a/b", "repo/main/a/b")
        assert fs.cat("repo/main/a/*") == {"repo/main/a/b": b"1", "repo/main/a/c": b"2"}

    def test_move_treats_names_as_names(self, fs: LakeFSFileSystem) -> None:
        fs.pipe({"repo/main/a/b[1]": b"1", "repo/main/a/b1": b"2"})
        fs.mv("repo/main/a/b?1?", "repo/main/x/")
        assert fs.find("repo/main") == ["repo/main/a/b1", "repo/main/x/b[1]"]

    def test_move_of_lists_and_into_folders(self, fs: LakeFSFileSystem) -> None:
        fs.pipe({f"repo/main/a/{name}": b"1" for name in "bcd"})
        fs.mv(["repo/main/a/b", "repo/main/a/c"], ["repo/main/b", "repo/main/c"])
        fs.mv("repo/main/a/d", "repo/main/e/")
        assert fs.find("repo/main") == ["repo/main/b", "repo/main/c", "repo/main/e/d"]
        with pytest.raises(FileNotFoundError):
            fs.mv("repo/main/missing", "repo/main/x")


class TestCopyAndDelete:
    def test_copy_raises_or_ignores_missing_objects(self, fs: LakeFSFileSystem) -> None:
        fs.pipe_file("repo/main/a", b"1")
        pairs = ["repo/main/a", "repo/main/b"], ["repo/main/x", "repo/main/y"]
        with pytest.raises(FileNotFoundError):
            fs.copy(*pairs)
        fs.copy(*pairs, on_error="ignore")
        assert fs.find("repo/main") == ["repo/main/a", "repo/main/x"]

    def test_copy_of_a_folder_needs_recursive(self, fs: LakeFSFileSystem) -> None:
        fs.pipe_file("repo/main/a/b", b"1")
        fs.copy("repo/main/a", "repo/main/x")
        assert fs.find("repo/main") == ["repo/main/a/b"]

    def test_rm_file_deletes_one_object(self, fs: LakeFSFileSystem) -> None:
        fs.pipe({"repo/main/a": b"", "repo/main/b": b""})
        fs.rm_file("repo/main/a")
        assert fs.find("repo/main") == ["repo/main/b"]
        with pytest.raises(FileNotFoundError):
            fs.rm_file("repo/main/a")

    def test_rm_descends_to_maxdepth(self, fs: LakeFSFileSystem) -> None:
        fs.pipe({"repo/main/a/b": b"", "repo/main/a/c/d": b"", "repo/main/a/c/e/f": b""})
        fs.rm("repo/main/a", recursive=True, maxdepth=2)
        assert fs.find("repo/main") == ["repo/main/a/c/e/f"]
        with pytest.raises(ValueError, match="maxdepth"):
            fs.rm("repo/main/a", recursive=True, maxdepth=0)

    @pytest.mark.parametrize("recursive", [True, False])
    def test_rm_on_protected_branch_is_a_permission_error(
        self, fs: LakeFSFileSystem, recursive: bool
    ) -> None:
        fs.pipe({"repo/main/a/b": b"", "repo/main/a/c": b""})
        rules = [BranchProtectionRule(pattern="main")]
        RepositoriesApi(fs.client).set_branch_protection_rules("repo", rules)
        with pytest.raises(PermissionError, match=r"'repo/main/a/[bc]'"):
            fs.rm("repo/main/a" if recursive else ["repo/main/a/b"], recursive=recursive)
        assert len(fs.find("repo/main")) == 2


class TestPutFile:
    def test_callback_counts_bytes(self, fs: LakeFSFileSystem, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(bytes(1000))
        for _ in range(2):  # the second time nothing is sent
            callback = fsspec.Callback()
            fs.put_file(tmp_path / "a", "repo/main/a", callback)
            assert (callback.size, callback.value) == (1000, 1000)

    def test_folder_is_ignored(self, fs: LakeFSFileSystem, tmp_path: Path) -> None:
        fs.put_file(tmp_path, "repo/main/folder")
        assert fs.find("repo/main") == []

    def test_precheck_skips_equal_files(
        self, fs: LakeFSFileSystem, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        (tmp_path / "a").write_bytes(b"1")
        fs.put_file(tmp_path / "a", "repo/main/a")
        fs.put_file(tmp_path / "a", "repo/main/a")
        assert operations(sandbox)["store_put_object"] == 1
        fs.put_file(tmp_path / "a", "repo/main/a", precheck=False)
        assert operations(sandbox)["store_put_object"] == 2

    def test_precheck_compares_bytes(self, fs: LakeFSFileSystem, tmp_path: Path) -> None:
        for data in (b"1", b"2"):
            (tmp_path / "a").write_bytes(data)
            fs.put_file(tmp_path / "a", "repo/main/a", content_type="a/b", metadata={"k": "v"})
        assert fs.cat_file("repo/main/a") == b"2"
        info = fs.info("repo/main/a")
        assert (info["content-type"], info["metadata"]) == ("a/b", {"k": "v"})


class TestGetFile:
    def test_callback_counts_bytes(
        self, fs: LakeFSFileSystem, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        fs.pipe_file("repo/main/a", bytes(1000))
        target = tmp_path / "new" / "a"
        for _ in range(2):  # the second time nothing is read
            callback = fsspec.Callback()
            fs.get_file("repo/main/a", target, callback)
            assert (callback.size, callback.value) == (1000, 1000)
        assert target.read_bytes() == bytes(1000)
        assert operations(sandbox)["store_get_object"] == 1
        fs.get_file("repo/main/a", target, precheck=False)
        assert operations(sandbox)["store_get_object"] == 2

    @pytest.mark.parametrize("argument", ["lpath", "outfile"])
    def test_open_file_is_written_to(self, fs: LakeFSFileSystem, argument: str) -> None:
        fs.pipe_file("repo/main/a", bytes(1000))
        target, callback = io.BytesIO(), fsspec.Callback()
        fs.get_file("repo/main/a", callback=callback, **{argument: target})
        assert target.getvalue() == bytes(1000)
        assert (callback.size, callback.value) == (1000, 1000)

    def test_folder_becomes_a_folder(self, fs: LakeFSFileSystem, tmp_path: Path) -> None:
        fs.pipe_file("repo/main/a/b", b"1")
        fs.get_file("repo/main/a", tmp_path / "a")
        assert list((tmp_path / "a").iterdir()) == []
        with pytest.raises(FileNotFoundError):
            fs.get_file("repo/main/missing", tmp_path / "b")
        assert not (tmp_path / "b").exists()


class TestPutAndGet:
    def test_lists_of_sources_and_targets(self, fs: LakeFSFileSystem, tmp_path: Path) -> None:
        fs.pipe({"repo/main/a": b"1", "repo/main/b": b"2"})
        names = ["repo/main/a", "repo/main/b"]
        local = [str(tmp_path / "x"), str(tmp_path / "y")]
        fs.get(names, local)
        assert [Path(path).read_bytes() for path in local] == [b"1", b"2"]
        fs.put(local, ["repo/main/c", "repo/main/d"])
        assert fs.cat_file("repo/main/d") == b"2"
        fs.get(names, tmp_path / "folder")
        assert (tmp_path / "folder" / "b").read_bytes() == b"2"
        fs.put(str(tmp_path / "[xy]"), "repo/main/e/")
        assert fs.find("repo/main/e") == ["repo/main/e/x", "repo/main/e/y"]

    def test_get_of_a_folder_needs_recursive(self, fs: LakeFSFileSystem, tmp_path: Path) -> None:
        fs.pipe_file("repo/main/a/b", b"1")
        fs.get("repo/main/a", str(tmp_path / "a"))
        assert not (tmp_path / "a" / "b").exists()
        with pytest.raises(FileNotFoundError):
            fs.get("repo/main/missing", str(tmp_path / "b"))

    def test_failed_file_of_a_folder_is_an_os_error(
        self, fs: LakeFSFileSystem, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        fs.pipe({"repo/main/a/b": b"1"})
        sandbox.faults.add("store_get_object", "status", status=403)
        with pytest.raises(PermissionError, match="'repo/main/a/b'"):
            fs.get("repo/main/a", str(tmp_path / "a"), recursive=True)


class TestCatRanges:
    def test_failed_range_is_returned_or_raised(
        self, fs: LakeFSFileSystem, sandbox: Sandbox
    ) -> None:
        fs.pipe_file("repo/main/a", b"0123")
        sandbox.faults.add("store_get_object", "status", status=403)
        (error,) = fs.cat_ranges(["repo/main/a"], 1, 2)
        assert isinstance(error, PermissionError)
        sandbox.faults.add("store_get_object", "status", status=403)
        with pytest.raises(PermissionError):
            fs.cat_ranges(["repo/main/a"], 1, 2, on_error="raise")
        assert fs.cat_ranges(["repo/main/a"], None, None) == [b"0123"]

    def test_paths_must_be_a_list(self, fs: LakeFSFileSystem) -> None:
        with pytest.raises(TypeError, match="list"):
            fs.cat_ranges("repo/main/a", 1, 2)
