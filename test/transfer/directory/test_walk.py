"""The walk through a folder: its order, what it takes, what it cannot read."""

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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakefs_client.transfer.directory import walk as walk_module
from lakefs_client.transfer.directory.walk import sorted_in_runs, walk

# What sorts around the slash, and in another order as UTF-16 and as code points of surrogates.
NAMES = st.text(st.sampled_from(" !-.0Aaé\uffee\U0001f600\udcff\n"), min_size=1, max_size=3).filter(
    lambda name: name not in (".", "..")
)
Tree = dict[str, Any]
TREES: st.SearchStrategy[Tree] = st.recursive(
    st.just({}) | st.none(), lambda below: st.dictionaries(NAMES, below, max_size=5), max_leaves=25
).map(lambda tree: tree or {})


@pytest.fixture
def small_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if few names filled the memory."""
    monkeypatch.setattr(walk_module, "RUN", 2)


def plant(tree: Tree, folder: str) -> Iterator[str]:
    """Make a tree's folders and empty files. Yields the paths of the files."""
    for name, below in tree.items():
        place = os.path.join(folder, name)
        if below is None:
            open(place, "xb").close()
            yield name
        else:
            os.mkdir(place)
            for path in plant(below, place):
                yield f"{name}/{path}"


def paths(folder: object, *, follow: bool = False) -> list[str]:
    """The paths of the files; there is nothing else."""
    entries = [*walk(str(folder), follow_symlinks=follow)]
    assert [entry.error for entry in entries] == [None] * len(entries)
    return [entry.path for entry in entries]


def told(folder: object, *, follow: bool = False) -> dict[str, OSError | None]:
    """Everything that the walk tells, by path."""
    entries = [*walk(str(folder), follow_symlinks=follow)]
    by_path = {entry.path: entry.error for entry in entries}
    assert len(by_path) == len(entries)
    return by_path


def files(folder: Path, *names: str) -> None:
    for name in names:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=TREES)
@pytest.mark.parametrize("run", [1, 2, 50_000])
def test_the_order_is_that_of_the_bytes_of_whole_paths(
    monkeypatch: pytest.MonkeyPatch, run: int, tree: Tree
) -> None:
    monkeypatch.setattr(walk_module, "RUN", run)
    with tempfile.TemporaryDirectory() as folder:
        planted = [*plant(tree, folder)]
        entries = [*walk(folder, follow_symlinks=False)]
        assert [entry.path for entry in entries] == sorted(planted, key=os.fsencode)
        for entry in entries:
            assert entry.location == os.path.join(folder, entry.path)
            assert entry.error is None


def test_what_sorts_before_a_slash_comes_before_the_folder(tmp_path: Path) -> None:
    files(tmp_path, "a/b", "a-b", "a b", "a0", "a.b", "ab", "A")
    assert paths(tmp_path) == ["A", "a b", "a-b", "a.b", "a/b", "a0", "ab"]


@given(st.lists(st.binary(max_size=4).map(lambda name: name.replace(b"\0", b"\n")), max_size=30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.usefixtures("small_runs")
def test_runs_are_merged(names: list[bytes]) -> None:
    assert [*sorted_in_runs(names)] == sorted(names)


def test_a_run_longer_than_what_is_read_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk_module, "RUN", 3000)
    names = [b"%06d" % (n * 7919 % 10_007) + b"x" * 60 for n in range(10_007)]
    assert [*sorted_in_runs(names)] == sorted(names)


@pytest.mark.usefixtures("small_runs")
def test_files_of_runs_are_closed_with_the_walk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    temporary = tempfile.TemporaryFile

    def keep(*args: Any, **options: Any) -> Any:
        made.append(temporary(*args, **options))
        return made[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", keep)
    files(tmp_path, *"abcdef")
    entries = walk(str(tmp_path), follow_symlinks=False)
    assert next(entries).path == "a"
    assert [file.closed for file in made] == [False] * 3
    entries.close()  # type: ignore[attr-defined]
    assert [file.closed for file in made] == [True] * 3


def test_an_empty_folder_and_folders_of_nothing(tmp_path: Path) -> None:
    assert paths(tmp_path) == []
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert paths(tmp_path) == []


def test_the_folder_itself_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        [*walk(str(tmp_path / "missing"), follow_symlinks=False)]
    files(tmp_path, "file")
    with pytest.raises(NotADirectoryError):
        [*walk(str(tmp_path / "file"), follow_symlinks=False)]


def test_a_slash_at_the_end_changes_nothing(tmp_path: Path) -> None:
    files(tmp_path, "a/b", "c")
    assert paths(f"{tmp_path}/") == paths(tmp_path) == ["a/b", "c"]


def test_links_are_passed_over_or_followed(tmp_path: Path) -> None:
    files(tmp_path / "elsewhere", "one", "sub/two")
    here = tmp_path / "here"
    files(here, "own")
    (here / "file").symlink_to(tmp_path / "elsewhere" / "one")
    (here / "folder").symlink_to(tmp_path / "elsewhere")
    (here / "broken").symlink_to(tmp_path / "nowhere")
    assert paths(here) == ["own"]
    # What is broken is found out when it is opened.
    assert paths(here, follow=True) == ["broken", "file", "folder/one", "folder/sub/two", "own"]


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    files(tmp_path / "real", "a")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert paths(tmp_path / "link") == ["a"]


@pytest.mark.parametrize("to", [".", "..", "../.."])
def test_a_link_to_a_folder_above_is_an_error(tmp_path: Path, to: str) -> None:
    top = tmp_path / "top"
    files(top, "a", "b/c/d", "z")
    (top / "b" / "c" / "loop").symlink_to(to, target_is_directory=True)
    assert paths(top) == ["a", "b/c/d", "z"]
    by_path = told(top, follow=True)
    assert list(by_path) == ["a", "b/c/d", "b/c/loop", "z"]
    assert "leads back" in str(by_path["b/c/loop"])


def test_a_folder_may_be_met_twice_where_it_is_not_in_itself(tmp_path: Path) -> None:
    files(tmp_path, "b/file")
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "c").symlink_to("b")
    assert paths(tmp_path, follow=True) == ["a/file", "b/file", "c/file"]


def test_a_link_to_itself_costs_nobody_else(tmp_path: Path) -> None:
    files(tmp_path, "a", "z")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "one").symlink_to("other")
    (tmp_path / "other").symlink_to("one")
    assert paths(tmp_path) == ["a", "z"]
    assert paths(tmp_path, follow=True) == ["a", "loop", "one", "other", "z"]


def test_sockets_and_pipes_are_left_to_who_opens_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("socket")
        assert paths(tmp_path) == ["pipe", "socket"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_may_not_be_read_costs_nobody_else(tmp_path: Path) -> None:
    files(tmp_path, "a", "b/c", "z")
    (tmp_path / "b").chmod(0)
    try:
        by_path = told(tmp_path)
    finally:
        (tmp_path / "b").chmod(0o700)
    assert list(by_path) == ["a", "b", "z"]
    assert isinstance(by_path["b"], PermissionError)


@pytest.mark.usefixtures("small_runs")
def test_a_folder_that_breaks_off_costs_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files(tmp_path, "a", "b/c", "z")
    scandir = os.scandir

    def refuse(folder: str) -> Any:
        if folder.endswith("/b"):
            raise OSError(errno.EIO, os.strerror(errno.EIO), folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    by_path = told(tmp_path)
    assert list(by_path) == ["a", "b", "z"]
    assert getattr(by_path["b"], "errno", None) == errno.EIO


@contextmanager
def deep(folder: Path, step: str, depth: int) -> Iterator[None]:
    """Folders within folders, deeper than a path can tell, with a file in the last."""
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
            # shutil.rmtree, which pytest removes folders with, recurses.
            for _ in range(depth):
                os.chdir("..")
                os.rmdir(step)
    finally:
        os.chdir(home)


def test_there_may_be_more_steps_than_python_has_frames(tmp_path: Path) -> None:
    with deep(tmp_path, "d", sys.getrecursionlimit() + 10):
        (path,) = paths(tmp_path)
    assert path == "d/" * (sys.getrecursionlimit() + 10) + "file"


def test_what_is_too_deep_for_a_path_costs_nobody_else(tmp_path: Path) -> None:
    files(tmp_path, "a", "z")
    with deep(tmp_path, "d" * 255, 17):
        by_path = told(tmp_path)
    first, refused, last = by_path
    assert (first, last) == ("a", "z")
    assert getattr(by_path[refused], "errno", None) == errno.ENAMETOOLONG
