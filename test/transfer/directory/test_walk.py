"""The walk through a folder: order, symbolic links, and unreadable folders."""

from __future__ import annotations

import errno
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakefs_client.transfer.directory.walk import walk

# Characters around the slash, and some whose order in UTF-16 differs from that in UTF-8.
NAMES = st.text(st.sampled_from(" !-.0Aaé\uffee\U0001f600\udcff\n"), min_size=1, max_size=3).filter(
    lambda name: name not in (".", "..")
)
Tree = dict[str, Any]
TREES: st.SearchStrategy[Tree] = st.recursive(
    st.just({}) | st.none(), lambda below: st.dictionaries(NAMES, below, max_size=5), max_leaves=25
).map(lambda tree: tree or {})


def make_tree(tree: Tree, folder: str) -> Iterator[str]:
    """Make a tree's folders and empty files, and yield the paths of the files."""
    for name, below in tree.items():
        place = os.path.join(folder, name)
        if below is None:
            open(place, "xb").close()
            yield name
        else:
            os.mkdir(place)
            for path in make_tree(below, place):
                yield f"{name}/{path}"


def paths(folder: object, *, follow: bool = False) -> list[str]:
    """Return the paths of the files, and fail on any error."""
    entries = [*walk(str(folder), follow_symlinks=follow)]
    assert [entry.error for entry in entries] == [None] * len(entries)
    return [entry.path for entry in entries]


def errors(folder: object, *, follow: bool = False) -> dict[str, OSError | None]:
    """Return the errors of all entries by path."""
    entries = [*walk(str(folder), follow_symlinks=follow)]
    by_path = {entry.path: entry.error for entry in entries}
    assert len(by_path) == len(entries)
    return by_path


def touch_files(folder: Path, *names: str) -> None:
    for name in names:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()


@given(tree=TREES)
def test_paths_are_sorted_by_bytes(tree: Tree) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made = [*make_tree(tree, folder)]
        entries = [*walk(folder, follow_symlinks=False)]
        assert [entry.path for entry in entries] == sorted(made, key=os.fsencode)
        for entry in entries:
            assert entry.location == os.path.join(folder, entry.path)
            assert entry.error is None


def test_names_below_slash_precede_folder(tmp_path: Path) -> None:
    touch_files(tmp_path, "a/b", "a-b", "a b", "a0", "a.b", "ab", "A")
    assert paths(tmp_path) == ["A", "a b", "a-b", "a.b", "a/b", "a0", "ab"]


def test_empty_folders_yield_nothing(tmp_path: Path) -> None:
    assert paths(tmp_path) == []
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert paths(tmp_path) == []


def test_missing_folder_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        [*walk(str(tmp_path / "missing"), follow_symlinks=False)]
    touch_files(tmp_path, "file")
    with pytest.raises(NotADirectoryError):
        [*walk(str(tmp_path / "file"), follow_symlinks=False)]


def test_trailing_slash_is_ignored(tmp_path: Path) -> None:
    touch_files(tmp_path, "a/b", "c")
    assert paths(f"{tmp_path}/") == paths(tmp_path) == ["a/b", "c"]


def test_symlinks_are_skipped_or_followed(tmp_path: Path) -> None:
    touch_files(tmp_path / "elsewhere", "one", "sub/two")
    top = tmp_path / "here"
    touch_files(top, "own")
    (top / "file").symlink_to(tmp_path / "elsewhere" / "one")
    (top / "folder").symlink_to(tmp_path / "elsewhere")
    (top / "broken").symlink_to(tmp_path / "nowhere")
    assert paths(top) == ["own"]
    # A broken link is reported when it is opened.
    assert paths(top, follow=True) == ["broken", "file", "folder/one", "folder/sub/two", "own"]


def test_folder_may_be_symlink(tmp_path: Path) -> None:
    touch_files(tmp_path / "real", "a")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert paths(tmp_path / "link") == ["a"]


@pytest.mark.parametrize("to", [".", "..", "../.."])
def test_symlink_loop_is_reported(tmp_path: Path, to: str) -> None:
    top = tmp_path / "top"
    touch_files(top, "a", "b/c/d", "z")
    (top / "b" / "c" / "loop").symlink_to(to, target_is_directory=True)
    assert paths(top) == ["a", "b/c/d", "z"]
    by_path = errors(top, follow=True)
    assert list(by_path) == ["a", "b/c/d", "b/c/loop", "z"]
    assert "symbolic link loop" in str(by_path["b/c/loop"])


def test_folder_may_have_two_symlinks(tmp_path: Path) -> None:
    touch_files(tmp_path, "b/file")
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "c").symlink_to("b")
    assert paths(tmp_path, follow=True) == ["a/file", "b/file", "c/file"]


def test_symlink_to_itself_is_yielded_as_file(tmp_path: Path) -> None:
    touch_files(tmp_path, "a", "z")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "one").symlink_to("other")
    (tmp_path / "other").symlink_to("one")
    assert paths(tmp_path) == ["a", "z"]
    assert paths(tmp_path, follow=True) == ["a", "loop", "one", "other", "z"]


def test_sockets_and_pipes_are_yielded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("socket")
        assert paths(tmp_path) == ["pipe", "socket"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads everything")
def test_forbidden_folder_is_reported(tmp_path: Path) -> None:
    touch_files(tmp_path, "a", "b/c", "z")
    (tmp_path / "b").chmod(0)
    try:
        by_path = errors(tmp_path)
    finally:
        (tmp_path / "b").chmod(0o700)
    assert list(by_path) == ["a", "b", "z"]
    assert isinstance(by_path["b"], PermissionError)


def test_unreadable_folder_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch_files(tmp_path, "a", "b/c", "z")
    scandir = os.scandir

    def fail(folder: str) -> Any:
        if folder.endswith("/b"):
            raise OSError(errno.EIO, os.strerror(errno.EIO), folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", fail)
    by_path = errors(tmp_path)
    assert list(by_path) == ["a", "b", "z"]
    assert getattr(by_path["b"], "errno", None) == errno.EIO


@contextmanager
def deep(folder: Path, step: str, depth: int) -> Iterator[None]:
    """Make folders that are nested too deeply for one path, with a file in the last."""
    home = os.getcwd()
    os.chdir(folder)
    try:
        for _ in range(depth):
            os.mkdir(step)
            os.chdir(step)
        open("file", "xb").close()
        try:
            yield
        finally:
            os.unlink("file")
            # pytest removes folders with shutil.rmtree, which recurses.
            for _ in range(depth):
                os.chdir("..")
                os.rmdir(step)
    finally:
        os.chdir(home)


def test_depth_may_exceed_recursion_limit(tmp_path: Path) -> None:
    with deep(tmp_path, "d", sys.getrecursionlimit() + 10):
        (path,) = paths(tmp_path)
    assert path == "d/" * (sys.getrecursionlimit() + 10) + "file"


def test_too_long_path_is_reported(tmp_path: Path) -> None:
    touch_files(tmp_path, "a", "z")
    with deep(tmp_path, "d" * 255, 17):
        by_path = errors(tmp_path)
    first, too_long, last = by_path
    assert (first, last) == ("a", "z")
    assert getattr(by_path[too_long], "errno", None) == errno.ENAMETOOLONG
