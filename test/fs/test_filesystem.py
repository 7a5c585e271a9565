"""Behaviour of the file system beyond fsspec's test suite."""

from __future__ import annotations

import errno
import gzip
import pickle
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.registry import _registry
from support.file_systems import arguments

from lakefs_client.api.branches_api import BranchesApi
from lakefs_client.api.objects_api import ObjectsApi
from lakefs_client.exceptions import ApiConnectionError, NotFoundException
from lakefs_client.fs import LakeFSFileSystem
from lakefs_client.sandbox import Sandbox

from .conftest import Make

MIB = 1 << 20


def operations(sandbox: Sandbox) -> Counter[str]:
    return Counter(request.operation for request in list(sandbox.requests))


def write_and_fail(file: Any, data: Any) -> None:
    """Write to a file in a with block, then raise RuntimeError."""
    with file as opened:
        opened.write(data)
        raise RuntimeError


class TestListing:
    def test_file_info_has_the_keys_of_lakefs_spec(self, fs: LakeFSFileSystem) -> None:
        fs.pipe_file("repo/main/a/b.txt", b"text", metadata={"run": "7"})
        info = fs.info("lakefs://repo/main/a/b.txt")
        assert set(info) == {
            "name", "type", "size", "mtime", "checksum", "content-type", "metadata",
        }  # fmt: skip
        assert info["name"] == "repo/main/a/b.txt"
        assert (info["type"], info["size"]) == ("file", 4)
        assert info["content-type"] == "text/plain"
        assert info["metadata"] == {"run": "7"}
        assert fs.checksum("repo/main/a/b.txt") == info["checksum"]
        assert fs.created("repo/main/a/b.txt").timestamp() == info["mtime"]

    def test_folder_info_has_total_size(self, fs: LakeFSFileSystem) -> None:
        fs.pipe({"repo/main/a/b": b"12", "repo/main/a/c": b"345", "repo/main/a/d/e": b"6"})
        assert fs.info("repo/main/a/") == {
            "name": "repo/main/a", "type": "directory", "size": 5,
        }  # fmt: skip
        assert fs.info("repo/main")["type"] == "directory"
        assert fs.checksum("repo/main/a") is None

    def test_listing_excludes_siblings_with_same_prefix(self, fs: LakeFSFileSystem) -> None:
        fs.pipe({"repo/main/foo/bar/x": b"", "repo/main/foo/bar_baz.txt": b""})
        assert fs.ls("repo/main/foo/bar", detail=False) == ["repo/main/foo/bar/x"]
        assert fs.find("repo/main/foo/bar") == ["repo/main/foo/bar/x"]
        assert fs.glob("repo/main/foo/bar*") == ["repo/main/foo/bar", "repo/main/foo/bar_baz.txt"]

    def test_names_have_no_trailing_slash(self, fs: LakeFSFileSystem) -> None:
        fs.pipe({"repo/main/a/b/c": b"", "repo/main/a/d": b""})
        names = fs.ls("repo/main", detail=False) + fs.find("repo/main", withdirs=True)
        names += [name for root, folders, _ in fs.walk("repo/main") for name in (root, *folders)]
        names += [entry["name"] for entry in fs.ls("repo/main", recursive=True)]
        assert not [name for name in names if name.endswith("/")]

    def test_folder_markers_are_folders(self, fs: LakeFSFileSystem) -> None:
        ObjectsApi(fs.client).upload_object("repo", "main", "empty/", content=b"")
        assert fs.ls("repo/main") == [{"name": "repo/main/empty", "type": "directory", "size": 0}]
        assert fs.find("repo/main") == []
        fs.rm("repo/main/empty", recursive=True)
        assert fs.ls("repo/main") == []

    def test_find_needs_one_request(self, fs: LakeFSFileSystem, sandbox: Sandbox) -> None:
        fs.pipe({f"repo/main/{folder}/{name}": b"x" for folder in "abc" for name in "de"})
        sandbox.requests.clear()
        assert len(fs.find("repo/main")) == 6
        assert fs.du("repo/main") == 6
        assert operations(sandbox) == {"list_objects": 2}

    def test_missing_path_is_not_found(self, fs: LakeFSFileSystem) -> None:
        for path in ("repo/main/nothing", "repo/nothing/x", "nowhere/main/x"):
            assert not fs.exists(path)
            assert not fs.isfile(path)
            assert not fs.isdir(path)
            for method in (fs.info, fs.ls, fs.cat_file, fs.open, fs.rm, fs.modified):
                with pytest.raises(FileNotFoundError):
                    method(path)
        assert fs.exists("repo/main")
        assert not fs.exists("repo/nothing")
        assert fs.glob("repo/main/*.csv") == []

    @pytest.mark.parametrize("path", ["", "repo", "r/main/x", "repo/a b/x", "REPO/main/x"])
    def test_path_without_repository_and_ref_is_rejected(
        self, fs: LakeFSFileSystem, path: str
    ) -> None:
        with pytest.raises(ValueError, match="not a path in lakeFS"):
            fs.info(path)

    def test_refs_may_be_expressions(self, fs: LakeFSFileSystem) -> None:
        fs.pipe_file("repo/main/a", b"staged")
        assert fs.exists("repo/main~0/a") is False
        assert fs.ls("repo/main@") == []


class TestListingsCache:
    def test_listing_is_cached(self, fs: LakeFSFileSystem, sandbox: Sandbox) -> None:
        fs.pipe_file("repo/main/a/b", b"")
        sandbox.requests.clear()
        for _ in range(3):
            fs.ls("repo/main/a")
        assert operations(sandbox) == {"list_objects": 1}
        fs.ls("repo/main/a", refresh=True)
        assert operations(sandbox) == {"list_objects": 2}

    def test_changes_invalidate_the_listing(self, fs: LakeFSFileSystem, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"1")

        def names() -> list[str]:
            listed = [name.split("/")[3] for name in fs.ls("repo/main/a", detail=False)]
            assert {name.split("/")[3] for name in fs.find("repo/main/a")} == {*listed}
            return listed

        fs.pipe_file("repo/main/a/pipe", b"")
        assert names() == ["pipe"]
        with fs.open("repo/main/a/open", "wb") as file:
            file.write(b"1")
        assert names() == ["open", "pipe"]
        fs.put(str(tmp_path / "file"), "repo/main/a/put")
        assert names() == ["open", "pipe", "put"]
        fs.copy("repo/main/a/put", "repo/main/a/copy")
        assert names() == ["copy", "open", "pipe", "put"]
        fs.mv("repo/main/a/copy", "repo/main/a/d/moved")
        assert names() == ["d", "open", "pipe", "put"]
        fs.rm(["repo/main/a/open", "repo/main/a/d/moved"])
        assert names() == ["pipe", "put"]
        fs.touch("repo/main/a/touch")
        assert names() == ["pipe", "put", "touch"]

    def test_listing_during_a_write_is_not_cached(
        self, fs: LakeFSFileSystem, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fs.pipe_file("repo/main/a", b"")
        listed = fs.listings._listed

        def write_during_listing(*args: Any, **options: Any) -> Iterator[Any]:
            yield from listed(*args, **options)
            monkeypatch.undo()
            fs.pipe_file("repo/main/b", b"")

        monkeypatch.setattr(fs.listings, "_listed", write_during_listing)
        fs.ls("repo/main")
        assert fs.ls("repo/main", detail=False) == ["repo/main/a", "repo/main/b"]

    def test_threads_share_an_instance(self, sandbox: Sandbox, fs: LakeFSFileSystem) -> None:
        found = []
        thread = threading.Thread(
            target=lambda: found.append(LakeFSFileSystem(**arguments(sandbox)))
        )
        thread.start()
        thread.join()
        assert found == [LakeFSFileSystem(**arguments(sandbox))]
        assert found[0] is LakeFSFileSystem(**arguments(sandbox))
        LakeFSFileSystem.clear_instance_cache()


class TestReading:
    def test_cat_file_reads_ranges(self, fs: LakeFSFileSystem) -> None:
        fs.pipe_file("repo/main/a", b"0123456789")
        path = "repo/main/a"
        assert fs.cat_file(path) == b"0123456789"
        assert fs.cat_file(path, 2, 4) == b"23"
        assert fs.cat_file(path, -3) == b"789"
        assert fs.cat_file(path, None, -8) == b"01"
        assert fs.cat_file(path, 4, 4) == fs.cat_file(path, 20, 30) == b""
        assert fs.head(path, 2) == b"01"
        assert fs.tail(path, 2) == b"89"
        assert fs.read_block(path, 1, 3) == b"123"

    def test_cat_ranges_reads_several_objects(self, fs: LakeFSFileSystem) -> None:
        fs.pipe({"repo/main/a": b"0123456789", "repo/main/b": b"abcdef"})
        paths = ["repo/main/a", "repo/main/b", "repo/main/a", "repo/main/missing"]
        *data, error = fs.cat_ranges(paths, [1, 2, -2, 0], [3, 4, None, 1])
        assert data == [b"12", b"cd", b"89"]
        assert isinstance(error, FileNotFoundError)
        with pytest.raises(FileNotFoundError):
            fs.cat_ranges(paths, 0, 1, on_error="raise")
        with pytest.raises(ValueError, match="one length"):
            fs.cat_ranges(paths, [1], 1)

    def test_cat_ranges_stats_each_object_once(
        self, fs: LakeFSFileSystem, sandbox: Sandbox
    ) -> None:
        fs.pipe_file("repo/main/a", bytes(1000))
        sandbox.requests.clear()
        fs.cat_ranges(["repo/main/a"] * 50, list(range(0, 500, 10)), list(range(10, 510, 10)))
        assert operations(sandbox) == {"stat_object": 1, "store_get_object": 50}

    def test_cat_ranges_merges_adjacent_ranges(
        self, fs: LakeFSFileSystem, sandbox: Sandbox
    ) -> None:
        fs.pipe_file("repo/main/a", bytes(range(200)))
        sandbox.requests.clear()
        starts = [0, 12, 150, 20]
        ends = [10, 20, 160, None]
        data = fs.cat_ranges(["repo/main/a"] * 4, starts, ends, max_gap=5)
        assert data == [bytes(range(200))[first:last] for first, last in zip(starts, ends)]
        data = fs.cat_ranges(["repo/main/a"] * 3, starts[:3], ends[:3], max_gap=5)
        assert data == [bytes(range(200))[first:last] for first, last in zip(starts, ends)][:3]
        assert operations(sandbox)["store_get_object"] == 1 + 2

    def test_cat_expands_patterns(self, fs: LakeFSFileSystem) -> None:
        fs.pipe({"repo/main/a/1": b"1", "repo/main/a/2": b"2", "repo/main/a/b/3": b"3"})
        assert fs.cat("repo/main/a/*") == {"repo/main/a/1": b"1", "repo/main/a/2": b"2"}
        assert set(fs.cat("repo/main/a", recursive=True).values()) == {b"1", b"2", b"3"}
        assert fs.cat(["repo/main/a/1", "repo/main/x"], on_error="omit") == {"repo/main/a/1": b"1"}

    def test_small_reads_share_a_request(self, fs: LakeFSFileSystem, sandbox: Sandbox) -> None:
        data = bytes(range(256)) * 4096
        fs.pipe_file("repo/main/a", data)
        sandbox.requests.clear()
        with fs.open("repo/main/a") as file:
            assert file.read(10) == data[:10]
            assert file.read(100) == data[10:110]
            file.seek(-8, 2)
            assert file.read() == data[-8:]
            file.seek(-1000, 2)
            assert file.read(992) == data[-1000:-8]
        assert operations(sandbox) == {"stat_object": 1, "store_get_object": 2}

    def test_large_read_requests_its_exact_range(
        self, fs: LakeFSFileSystem, sandbox: Sandbox
    ) -> None:
        fs.pipe_file("repo/main/a", bytes(3 * MIB))
        sandbox.requests.clear()
        with fs.open("repo/main/a") as file:
            file.seek(MIB)
            assert len(file.read(MIB // 2)) == MIB // 2
        ranges = [r.headers["range"] for r in sandbox.requests if r.operation == "store_get_object"]
        assert ranges == [f"bytes={MIB}-{MIB + MIB // 2 - 1}"]

    @pytest.mark.parametrize("cache", ["readahead", "bytes", "all", "none", "blockcache"])
    def test_open_supports_fsspec_caches(self, fs: LakeFSFileSystem, cache: str) -> None:
        data = bytes(range(256)) * 40
        fs.pipe_file("repo/main/a", data)
        with fs.open("repo/main/a", block_size=1000, cache_type=cache) as file:
            file.seek(5000)
            assert file.read(3000) == data[5000:8000]
            copy = pickle.loads(pickle.dumps(file))
            assert copy.read(10) == data[8000:8010]
            copy.close()

    def test_open_file_can_be_pickled(self, fs: LakeFSFileSystem) -> None:
        fs.pipe_file("repo/main/a", b"0123456789")
        with fs.open("repo/main/a") as file:
            file.read(3)
            with pickle.loads(pickle.dumps(file)) as copy:
                assert copy.read() == b"3456789"

    def test_text_mode_uses_utf_8(self, fs: LakeFSFileSystem) -> None:
        with fs.open("repo/main/a", "w") as file:
            file.write("Größe\n")
        assert fs.cat_file("repo/main/a") == "Größe\n".encode()
        assert fs.read_text("repo/main/a") == "Größe\n"
        with fs.open("repo/main/a", "rt", encoding="latin-1") as file:
            assert file.mode == "r"
            assert file.read() == "GrÃ¶Ã\x9fe\n"


class TestWriting:
    @pytest.mark.parametrize("mode", ["wb", "xb", "w", "xt"])
    @pytest.mark.parametrize("compression", [None, "gzip"])
    def test_failed_block_writes_nothing(
        self, fs: LakeFSFileSystem, mode: str, compression: str | None
    ) -> None:
        data: Any = b"half" if "b" in mode else "half"
        with pytest.raises(RuntimeError):
            write_and_fail(fs.open("repo/main/a", mode, compression=compression), data)
        assert not fs.exists("repo/main/a")

    @pytest.mark.parametrize("mode", ["wb", "w"])
    @pytest.mark.parametrize("compression", [None, "gzip"])
    def test_failed_fsspec_open_block_writes_nothing(
        self,
        fs: LakeFSFileSystem,
        sandbox: Sandbox,
        mode: str,
        compression: str | None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        data: Any = b"half" if "b" in mode else "half"
        monkeypatch.setitem(_registry, "lakefs", LakeFSFileSystem)
        file = fsspec.open(
            "lakefs://repo/main/a", mode, compression=compression, **arguments(sandbox)
        )
        with pytest.raises(RuntimeError):
            write_and_fail(file, data)
        assert not fs.exists("repo/main/a")
        try:
            raise RuntimeError
        except RuntimeError:
            with file as f:
                f.write(data)
        assert fs.exists("repo/main/a")
        LakeFSFileSystem.clear_instance_cache()

    def test_compressed_file_is_complete(self, fs: LakeFSFileSystem) -> None:
        with fs.open("repo/main/a.gz", "wt", compression="infer") as file:
            file.write("text")
        assert gzip.decompress(fs.cat_file("repo/main/a.gz")) == b"text"
        with fs.open("repo/main/a.gz", "rt", compression="infer") as file:
            assert file.read() == "text"

    def test_aborted_write_leaves_no_parts(self, fs: LakeFSFileSystem, sandbox: Sandbox) -> None:
        with pytest.raises(RuntimeError):
            write_and_fail(fs.open("repo/main/a", "wb"), bytes(40 * MIB))
        assert not sandbox.blockstore.uploads()
        assert operations(sandbox)["store_put_part"] >= 1

    def test_exclusive_mode_rejects_existing_object(self, fs: LakeFSFileSystem) -> None:
        fs.pipe_file("repo/main/a", b"first")
        for mode in ("xb", "x", "xt"):
            with pytest.raises(FileExistsError):
                fs.open("repo/main/a", mode)
        with pytest.raises(FileExistsError):
            fs.put_file(__file__, "repo/main/a", mode="create")

    @pytest.mark.parametrize("mode", ["ab", "a", "r+b", "w+", ""])
    def test_other_modes_are_not_implemented(self, fs: LakeFSFileSystem, mode: str) -> None:
        with pytest.raises(NotImplementedError):
            fs.open("repo/main/a", mode)

    def test_open_sets_content_type_and_metadata(self, fs: LakeFSFileSystem) -> None:
        with fs.open("repo/main/a", "wb", content_type="a/b", metadata={"k": "v"}) as file:
            file.write(b"1")
        info = fs.info("repo/main/a")
        assert (info["content-type"], info["metadata"]) == ("a/b", {"k": "v"})


class TestBranches:
    def test_write_to_missing_branch_is_an_error(
        self, fs: LakeFSFileSystem, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_bytes(b"1")
        with pytest.raises(FileNotFoundError):
            fs.pipe_file("repo/new/a", b"1")
        with pytest.raises(FileNotFoundError):
            fs.put_file(tmp_path / "file", "repo/new/a")
        with pytest.raises(FileNotFoundError), fs.open("repo/new/a", "wb") as file:
            file.write(b"1")
        with pytest.raises(NotFoundException):
            BranchesApi(fs.client).get_branch("repo", "new")

    def test_create_branch_ok_creates_the_branch(self, make_fs: Make) -> None:
        fs = make_fs(create_branch_ok=True)
        fs.pipe_file("repo/new/a", b"1")
        fs.pipe_file("repo/new/b", b"1")
        fs.pipe_file("repo/main/c", b"1")
        assert fs.find("repo/new") == ["repo/new/a", "repo/new/b"]


class TestManyFiles:
    def test_rm_deletes_a_thousand_paths_per_request(
        self, fs: LakeFSFileSystem, sandbox: Sandbox
    ) -> None:
        fs.pipe({f"repo/main/{i}": b"" for i in range(3)})
        sandbox.requests.clear()
        fs.rm([f"repo/main/{i}" for i in range(2500)])
        assert operations(sandbox) == {"delete_objects": 3}
        assert fs.ls("repo/main") == []

    def test_rm_of_folder_needs_recursive(self, fs: LakeFSFileSystem) -> None:
        fs.pipe({"repo/main/a/b": b"", "repo/main/ab": b""})
        with pytest.warns(UserWarning, match="recursive=True"):
            fs.rm("repo/main/a")
        assert fs.exists("repo/main/a/b")
        fs.rm("repo/main/a", recursive=True)
        assert fs.find("repo/main") == ["repo/main/ab"]

    def test_recursive_move_keeps_file_named_like_folder(self, fs: LakeFSFileSystem) -> None:
        fs.pipe({"repo/main/a": b"file", "repo/main/a/b": b"below", "repo/main/c/d": b""})
        fs.mv("repo/main/a", "repo/main/x", recursive=True)
        assert fs.find("repo/main") == [
            "repo/main/a", "repo/main/c/d", "repo/main/x/b",
        ]  # fmt: skip

    def test_copy_between_repositories_is_rejected(self, fs: LakeFSFileSystem) -> None:
        fs.pipe_file("repo/main/a", b"")
        with pytest.raises(ValueError, match="within a repository"):
            fs.cp_file("repo/main/a", "other/main/a")

    def test_copy_transfers_no_bytes(self, fs: LakeFSFileSystem, sandbox: Sandbox) -> None:
        fs.pipe({"repo/main/a/b": b"1", "repo/main/a/c": b"2"})
        sandbox.requests.clear()
        fs.copy("repo/main/a", "repo/main/x", recursive=True)
        assert operations(sandbox)["copy_object"] == 2
        assert not [name for name in operations(sandbox) if name.startswith("store")]

    def test_put_and_get_skip_equal_files(
        self, fs: LakeFSFileSystem, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "b").write_bytes(b"1")
        fs.put(str(tmp_path / "a"), "repo/main/a", recursive=True)
        sandbox.requests.clear()
        fs.put(str(tmp_path / "a"), "repo/main/", recursive=True)
        fs.get("repo/main/a", str(tmp_path), recursive=True)
        assert not [name for name in operations(sandbox) if name.startswith("store")]

    def test_callback_counts_files_and_bytes(self, fs: LakeFSFileSystem, tmp_path: Path) -> None:
        children: dict[str, Any] = {}

        class Callback(fsspec.Callback):
            def branched(self, path_1: str, path_2: str, **_: Any) -> Any:
                children[Path(path_1).name] = fsspec.Callback()
                return children[Path(path_1).name]

        (tmp_path / "a").mkdir()
        for size in (0, 10, 1000):
            (tmp_path / "a" / str(size)).write_bytes(bytes(size))
        callback = Callback()
        fs.put(str(tmp_path / "a"), "repo/main/a", recursive=True, callback=callback)
        assert (callback.size, callback.value) == (3, 3)
        assert {name: child.value for name, child in children.items()} == {
            "0": 0, "10": 10, "1000": 1000,
        }  # fmt: skip
        callback, target = Callback(), tmp_path / "target"
        fs.get("repo/main/a", str(target), recursive=True, callback=callback)
        assert (callback.size, callback.value) == (3, 3)
        assert {path.name: path.stat().st_size for path in target.iterdir()} == {
            "0": 0, "10": 10, "1000": 1000,
        }  # fmt: skip

    def test_first_failure_is_raised(self, fs: LakeFSFileSystem, tmp_path: Path) -> None:
        fs.pipe({f"repo/main/{i}": bytes(i) for i in range(40)})
        sources = [f"repo/main/{i}" for i in range(40)]
        sources[20] = "repo/main/missing"
        with pytest.raises(FileNotFoundError, match="missing"):
            fs.get(sources, [str(tmp_path / str(i)) for i in range(40)])

    def test_get_rejects_names_outside_the_target(
        self, fs: LakeFSFileSystem, tmp_path: Path
    ) -> None:
        fs.pipe_file("repo/main/a/../../b", b"evil")
        target = str(tmp_path / "one" / "two")
        with pytest.raises(ValueError, match="not possible"):
            fs.get("repo/main/a", target, recursive=True)
        with pytest.raises(ValueError, match="outside"):
            fs.get("repo/main/a", target, recursive=True, callback=fsspec.Callback())
        assert not (tmp_path / "b").exists()

    def test_put_of_folder_does_not_stat_each_file(
        self, fs: LakeFSFileSystem, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        fs.pipe({f"repo/main/a/{i}": b"1" for i in range(5)})
        fs.get("repo/main/a", str(tmp_path / "a"), recursive=True)
        sandbox.requests.clear()
        fs.put(str(tmp_path / "a") + "/", "repo/main/a", recursive=True)
        assert operations(sandbox)["stat_object"] == 0
        assert operations(sandbox)["list_objects"] <= 2

    def test_first_failure_in_a_folder_is_raised(
        self, fs: LakeFSFileSystem, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        fs.pipe({"repo/main/a/b": b"1", "repo/main/a/c": b"2"})
        (tmp_path / "a" / "b").mkdir(parents=True)
        with pytest.raises(IsADirectoryError):
            fs.get("repo/main/a/", str(tmp_path / "a"), recursive=True)
        assert (tmp_path / "a" / "c").read_bytes() == b"2"


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "kind", "number"),
        [
            (400, OSError, errno.EINVAL),
            (401, PermissionError, errno.EACCES),
            (403, PermissionError, errno.EACCES),
            (404, FileNotFoundError, errno.ENOENT),
            (410, FileNotFoundError, errno.ENOENT),
            (420, OSError, errno.EBUSY),
            (500, OSError, errno.EIO),
        ],
    )
    def test_status_selects_the_error(
        self, make_fs: Make, sandbox: Sandbox, status: int, kind: type[OSError], number: int
    ) -> None:
        fs = make_fs()
        fs.client.configuration.retries = False
        sandbox.faults.add("list_objects", "status", status=status)
        with pytest.raises(kind) as caught:
            fs.ls("repo/main/a")
        assert type(caught.value) is kind
        assert caught.value.errno == number
        assert f"{status} " in str(caught.value)
        assert "'repo/main/a'" in str(caught.value)
        assert getattr(caught.value.__cause__, "status", None) == status

    def test_exists_raises_without_permission(self, make_fs: Make) -> None:
        fs = make_fs(password="wrong")
        with pytest.raises(PermissionError):
            fs.exists("repo/main/a")

    def test_network_error_is_an_os_error(self) -> None:
        fs = LakeFSFileSystem("http://127.0.0.1:9", "user", "password", skip_instance_cache=True)
        fs.client.configuration.retries = False
        with pytest.raises(ApiConnectionError) as caught:
            fs.ls("repo/main")
        assert isinstance(caught.value, OSError)
