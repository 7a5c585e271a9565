"""Downloads of files: bytes, requests, targets and verification."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bench import MIB, PART, PATH, Bench, OnBytes, Tamper, content

from lakefs_client.api.commits_api import CommitsApi
from lakefs_client.exceptions import (
    ApiException,
    ApiTypeError,
    ApiValueError,
    NotFoundException,
    TransferError,
    UnauthorizedException,
)
from lakefs_client.models import CommitCreation
from lakefs_client.transfer.checksum import composite_md5, md5_of, part_sizes
from lakefs_client.transfer.download import file as download_module
from lakefs_client.transfer.plan import PartPlan

SIZE = 2 * PART + 17


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def composite(data: bytes, part_size: int) -> str:
    """Return the checksum of an object that was uploaded in parts of this size."""
    parts = (data[at : at + part_size] for at in range(0, len(data), part_size))
    found = composite_md5([md5(part) for part in parts])
    assert found is not None
    return found


# Bytes and requests


@pytest.mark.parametrize("size", [0, 1, 9, PART - 1, PART, PART + 1, SIZE])
@pytest.mark.parametrize("verify", [True, False])
def test_download_returns_bytes_and_stats(bench: Bench, size: int, verify: bool) -> None:
    bench.upload(size, user_metadata={"run": "7"})
    bench.sandbox.requests.clear()
    counts: list[int] = []
    stats = bench.download(verify=verify, progress=counts.append)
    assert bench.target.read_bytes() == content(size)
    assert bench.download_names == ["target.bin"]
    assert sum(counts) == size
    assert all(count > 0 for count in counts)
    assert bench.operations["stat_object"] == 1
    assert bench.operations["store_get_object"] == -(-size // PART)
    assert bench.operations.total() == 1 + -(-size // PART)
    assert (stats.path, stats.size_bytes) == (PATH, size)
    assert stats.metadata.to_dict() == {"run": "7"}


@given(st.data())
def test_ranges_cover_object_of_any_size(module_bench: Bench, data: st.DataObject) -> None:
    bench = module_bench
    size = data.draw(st.integers(0, 3000))
    part_size = data.draw(st.integers(max(1, size // 20), 3001))
    bench.put(content(size))
    bench.download(part_size=part_size, max_concurrency=data.draw(st.integers(1, 4)))
    assert bench.target.read_bytes() == content(size)
    assert bench.download_names == ["target.bin"]
    firsts = range(0, size, part_size)
    expected = [f"{first}-{min(size, first + part_size) - 1}" for first in firsts]
    assert sorted(bench.ranges) == sorted(expected)


def test_max_concurrency_ranges_run_in_parallel(bench: Bench, tamper: Tamper) -> None:
    # The barrier needs three concurrent requests, and a fourth one would time out.
    bench.put(content(900))
    barrier = threading.Barrier(3, timeout=60)
    tamper(lambda response, request: barrier.wait())
    bench.download(part_size=100, max_concurrency=3)
    assert bench.target.read_bytes() == content(900)


def test_download_from_commit_branch_and_expression(bench: Bench) -> None:
    bench.put(b"committed")
    commit = CommitsApi(bench.client).commit("repo", "main", CommitCreation("message"))
    bench.put(b"and changed")
    for ref, data in ((commit.id, b"committed"), ("main", b"and changed"), ("main@", b"committed")):
        bench.download(ref=ref)
        assert bench.target.read_bytes() == data


def test_content_encoding_is_not_decoded(bench: Bench, tamper: Tamper) -> None:
    bench.put(content(99))
    tamper(lambda response, request: response.headers.update({"Content-Encoding": "gzip"}))
    bench.download()
    assert bench.target.read_bytes() == content(99)


def test_status_200_answers_range_of_whole_object(bench: Bench, tamper: Tamper) -> None:
    """A store without ranges sends the whole object."""

    def ignore(response: Any, request: Any) -> None:
        response.status = 200
        del response.headers["Content-Range"]

    bench.put(content(99))
    tamper(ignore)
    bench.download()
    assert bench.target.read_bytes() == content(99)


# Targets


@pytest.mark.parametrize("convert", [str, Path, Path.__fspath__])
def test_target_accepts_str_and_path(bench: Bench, convert: Callable[[Path], Any]) -> None:
    bench.put(b"new")
    bench.target.write_bytes(b"an existing file, which is longer")
    bench.download(target=convert(bench.target))
    assert bench.target.read_bytes() == b"new"
    assert bench.download_names == ["target.bin"]


def test_target_may_be_relative(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.put(b"new")
    monkeypatch.chdir(bench.target.parent)
    bench.download(target="target.bin")
    assert bench.target.read_bytes() == b"new"


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "𝛑" * 63])
def test_target_name_may_have_255_bytes(bench: Bench, name: str) -> None:
    bench.put(b"new")
    bench.download(target=bench.target.with_name(name))
    assert bench.download_names == [name]


@pytest.mark.parametrize("exists", [True, False])
def test_symlink_target_is_followed(bench: Bench, exists: bool) -> None:
    bench.put(b"new")
    other_file = bench.folder / "elsewhere.bin"
    if exists:
        other_file.write_bytes(b"old")
    bench.target.symlink_to(other_file)
    bench.download()
    assert bench.target.is_symlink()
    assert other_file.read_bytes() == b"new"


@contextmanager
def umask(mask: int) -> Iterator[None]:
    previous = os.umask(mask)
    try:
        yield
    finally:
        os.umask(previous)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mask", [0o022, 0o007, 0o077])
def test_new_file_has_mode_of_umask(bench: Bench, mask: int) -> None:
    bench.put(b"new")
    with umask(mask):
        bench.download()
        assert os.umask(mask) == mask
    assert mode(bench.target) == 0o666 & ~mask
    assert bench.download_names == ["target.bin"]


@pytest.mark.parametrize("previous", [0o600, 0o644, 0o755, 0o444])
def test_replaced_file_keeps_mode(bench: Bench, previous: int) -> None:
    bench.put(b"new")
    bench.target.write_bytes(b"old")
    bench.target.chmod(previous)
    bench.download()
    assert mode(bench.target) == previous
    assert bench.target.read_bytes() == b"new"


def test_partial_file_is_hidden_and_private(bench: Bench, on_bytes: OnBytes) -> None:
    bench.put(content(300))
    bench.target.write_bytes(b"old")
    seen: list[tuple[list[str], int]] = []

    def progress(count: int) -> None:
        (hidden,) = bench.target.parent.glob(".target.bin.*.part")
        seen.append((bench.download_names, mode(hidden)))
        assert bench.target.read_bytes() == b"old"

    on_bytes(progress)
    with umask(0):
        bench.download(part_size=100)
    assert len(seen) == 3
    assert all((len(names), mode) == (2, 0o600) for names, mode in seen)
    assert bench.target.read_bytes() == content(300)


def make_directory_for_name(path: Path) -> Any:
    (path / "data.bin").mkdir(parents=True)
    return path


@pytest.mark.parametrize("slash", ["", "/", "/."])
def test_folder_as_target_takes_name_of_object(bench: Bench, slash: str) -> None:
    bench.put(b"new")
    bench.target.mkdir()
    bench.download(target=f"{bench.target}{slash}")
    assert (bench.target / "data.bin").read_bytes() == b"new"


@pytest.mark.parametrize("path", ["a/", "a/..", "a/."])
def test_folder_as_target_requires_name_of_object(bench: Bench, path: str) -> None:
    with pytest.raises(ApiValueError, match="no name for a file"):
        bench.download(path, target=bench.target.parent)
    assert not bench.sandbox.requests


def make_pipe(path: Path) -> Any:
    os.mkfifo(path)
    return path


def make_path_below_file(path: Path) -> Any:
    path.write_bytes(b"")
    return path / "below"


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (make_directory_for_name, IsADirectoryError),
        (lambda path: f"{path}/", IsADirectoryError),
        (lambda path: path / "missing" / "file", FileNotFoundError),
        (make_path_below_file, NotADirectoryError),
        (make_pipe, ApiValueError),
        (lambda path: "/dev/null", ApiValueError),
        (lambda path: f"{path}\0", ApiValueError),
        (lambda path: None, ApiTypeError),
        (lambda path: 7, ApiTypeError),
        (lambda path: b"bytes", ApiTypeError),
    ],
)
@pytest.mark.parametrize("resume", [False, True])
def test_invalid_target_raises_before_any_request(
    bench: Bench, make: Callable[[Path], Any], error: type[Exception], resume: bool
) -> None:
    bench.put(b"new")
    target = make(bench.target)
    before = bench.download_names
    with pytest.raises(error):
        bench.transfer().download_file("repo", "main", PATH, target, resume=resume)
    assert not bench.sandbox.requests
    assert bench.download_names == before


@pytest.mark.parametrize(
    ("names", "error"),
    [
        (("", "main", PATH), ApiValueError),
        (("repo", "", PATH), ApiValueError),
        (("repo", "main", ""), ApiValueError),
        (("repo", "..", PATH), ApiValueError),
        ((1, "main", PATH), ApiTypeError),
        (("repo", "main", None), ApiTypeError),
    ],
)
def test_invalid_names_raise_before_any_request(
    bench: Bench, names: tuple[Any, Any, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        bench.transfer().download_file(*names, bench.target)
    assert not bench.sandbox.requests


def test_invalid_progress_raises_before_any_request(bench: Bench) -> None:
    with pytest.raises(ApiTypeError, match="progress"):
        bench.download(progress=7)  # type: ignore[arg-type]
    assert not bench.sandbox.requests


@pytest.mark.parametrize("resume", [False, True])
def test_lakefs_errors_are_raised_unchanged(bench: Bench, resume: bool) -> None:
    with pytest.raises(NotFoundException):
        bench.download(resume=resume)
    bench.client.configuration.password = "wrong"
    with pytest.raises(UnauthorizedException):
        bench.download(resume=resume)
    assert bench.download_names == []
    assert list(bench.folder.glob("journals/*")) == []


def fail(*arguments: Any, **options: Any) -> Any:
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


@pytest.mark.parametrize("exists", [False, True])
def test_failed_chmod_is_logged(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, exists: bool
) -> None:
    bench.put(b"new")
    if exists:
        bench.target.write_bytes(b"old")
    with monkeypatch.context() as patch:
        for name in ("chmod", "fchmod"):
            patch.setattr(os, name, fail)
        bench.download()
    assert bench.target.read_bytes() == b"new"
    assert bench.download_names == ["target.bin"]
    assert ("the mode stays as it is" in caplog.text) == exists


@pytest.mark.parametrize("exists", [False, True])
def test_failed_rename_falls_back_to_copy(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, exists: bool
) -> None:
    bench.put(content(SIZE))
    if exists:
        bench.target.write_bytes(b"old")
    with monkeypatch.context() as patch:
        for name in ("replace", "rename"):
            patch.setattr(os, name, fail)
        bench.download()
    assert bench.target.read_bytes() == content(SIZE)
    assert bench.download_names == ["target.bin"]
    assert "copied, since the rename failed" in caplog.text


def test_failed_copy_raises_error_of_rename(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.put(b"new")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        patch.setattr(shutil, "copyfileobj", fail)
        with pytest.raises(PermissionError):
            bench.download()


# Verification


@pytest.mark.parametrize("size", [0, 9, SIZE])
def test_checksum_mismatch_raises(bench: Bench, size: int) -> None:
    bench.put(content(size), checksum=md5(b"something else"))
    bench.target.write_bytes(b"old")
    for resume in (False, True):
        with pytest.raises(TransferError, match=r"checksum mismatch.*verify=False") as caught:
            bench.download(resume=resume)
        assert caught.value.outcome == "aborted"
        assert md5(content(size)) in str(caught.value)
        assert bench.target.read_bytes() == b"old"
        assert bench.download_names == ["target.bin"]
        assert list(bench.folder.glob("journals/*")) == []
    bench.download(verify=False)
    assert bench.target.read_bytes() == content(size)


class Passes:
    """A count of the bytes that are hashed from files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bytes = 0

        def counted(file: Any, part: Any) -> str:
            self.bytes += part.length
            return md5_of(file, part)

        monkeypatch.setattr(download_module, "md5_of", counted)


@pytest.mark.parametrize(
    ("uploaded_mib", "download_mib"),
    [(5, 5), (5, 16), (8, 5), (8, 16), (10, 5), (10, 16), (16, 5), (7, 5), (7, 16)],
)
def test_composite_checksum_is_verified(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    uploaded_mib: int,
    download_mib: int,
) -> None:
    """7 MiB is the smallest part size that gives three parts, and not a common default."""
    size = 21 * MIB
    bench.put(content(size), checksum=composite(content(size), uploaded_mib * MIB))
    passes = Passes(monkeypatch)
    bench.download(part_size=download_mib * MIB)
    assert bench.target.read_bytes() == content(size)
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
    # Ranges that equal the parts are hashed as they arrive.
    likely = part_sizes(f"{'0' * 32}-{-(-size // (uploaded_mib * MIB))}", size, download_mib * MIB)
    tried = likely.index(uploaded_mib * MIB)
    assert passes.bytes == size * (tried + (likely[0] > download_mib * MIB))


@pytest.mark.parametrize(
    ("checksum", "is_logged"),
    [
        (f"{'0' * 32}-3", True),
        (f"{'0' * 32}-1", True),
        (f"{'0' * 32}-9999", True),
        ("0x8DC5A0B1C2D3E4F", False),
        ("", False),
        (f"{'0' * 32}-0", False),
    ],
)
def test_unusable_checksum_logs_warning(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    checksum: str,
    is_logged: bool,
) -> None:
    bench.put(content(SIZE), checksum=checksum)
    passes = Passes(monkeypatch)
    bench.download()
    assert bench.target.read_bytes() == content(SIZE)
    warnings = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert [r.name for r in warnings] == ["lakefs_client.transfer"] * is_logged
    assert all("not verified" in r.getMessage() for r in warnings)
    assert passes.bytes <= 3 * SIZE


def test_part_size_guesses_are_limited(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    size = 16 * MIB + 17
    checksum = f"{'0' * 32}-2"
    assert len(part_sizes(checksum, size, PART)) == 4
    bench.put(content(size), checksum=checksum)
    passes = Passes(monkeypatch)
    bench.download()
    assert passes.bytes == 3 * size
    assert "not verified" in caplog.text


def test_encrypted_object_is_not_verified(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.put(content(9), checksum=md5(b"an ETag of SSE-KMS"))
    bench.sandbox.faults.add("store_get_object", "opaque_etag")
    bench.download()
    assert bench.target.read_bytes() == content(9)
    assert "not verified" in caplog.text


def test_verify_false_hashes_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench.put(content(SIZE), checksum=f"{'0' * 32}-2")
    passes = Passes(monkeypatch)
    bench.download(verify=False)
    assert bench.target.read_bytes() == content(SIZE)
    assert passes.bytes == 0
    assert caplog.records == []


@given(
    st.integers(0, 60_000 * MIB),
    st.sampled_from([5, 8, 16, 50, 64, 100, 512, 17, 33]),
    st.sampled_from([5, 16, 1024]),
)
def test_part_sizes_include_actual_size(size: int, uploaded_mib: int, likely: int) -> None:
    count = PartPlan(size, uploaded_mib * MIB).count
    guesses = part_sizes(f"{'0' * 32}-{count}", size, likely * MIB)
    assert len(set(guesses)) == len(guesses)
    assert all(PartPlan(size, guess).count == count for guess in guesses)
    if PartPlan(size, likely * MIB).count == count:
        assert guesses[0] == max(1, min(likely * MIB, size))
    if uploaded_mib not in (17, 33):
        assert max(1, min(uploaded_mib * MIB, size)) in guesses
    if size > 33 * 33 * MIB:  # no larger part in whole MiB gives this count
        assert guesses


# Through the server


@pytest.mark.parametrize("size", [0, 9, SIZE])
@pytest.mark.parametrize("unsupported", [False, True])
def test_download_through_server_without_presigned_urls(
    make_bench: Callable[..., Bench], size: int, unsupported: bool
) -> None:
    bench = make_bench(presign=False)
    bench.put(content(size))
    if unsupported:
        bench.sandbox.faults.add("stat_object", "status", status=501)
    counts: list[int] = []
    stats = bench.download(progress=counts.append)
    assert bench.sandbox.faults.pending == []
    assert bench.target.read_bytes() == content(size)
    assert sum(counts) == size
    assert stats.physical_address.startswith("s3://")
    assert bench.operations["get_object"] == -(-size // PART)
    assert bench.operations["store_get_object"] == 0


# Secrets


def test_store_request_has_no_lakefs_headers(bench: Bench) -> None:
    bench.put(content(SIZE))
    bench.client.configuration.api_key["cookie_auth"] = "SECRET"
    bench.client.cookie = "session=SECRET"
    bench.client.set_default_header("X-Default", "SECRET")
    bench.client.set_default_header("x-amz-something", "SECRET")
    bench.download()
    found = [r for r in bench.sandbox.requests if r.operation == "store_get_object"]
    assert len(found) == 3
    for request in found:
        assert set(request.headers) == {"host", "user-agent", "accept-encoding", "range"}
        assert request.headers["accept-encoding"] == "identity"
        assert request.headers["user-agent"] == bench.client.user_agent
        assert "SECRET" not in f"{request.path}{request.query}{request.headers}"


@pytest.mark.parametrize("fails", [False, True])
def test_signature_is_not_disclosed(
    bench: Bench, caplog: pytest.LogCaptureFixture, fails: bool
) -> None:
    bench.put(content(SIZE))
    text = ""
    with caplog.at_level(logging.DEBUG):
        if fails:
            bench.sandbox.faults.add("store_get_object", "truncate", times=9)
            with pytest.raises(TransferError) as caught:
                bench.download()
            text = f"{caught.value!s}{caught.value!r}{caught.value.__cause__!s}"
        else:
            stats = bench.download()
            text = str(stats)
            assert stats.physical_address.startswith("http://")
            assert "physical_address_expiry" not in stats
    assert f"lakefs://repo/main/{PATH}" in caplog.text
    for request in bench.sandbox.requests:
        if request.operation == "store_get_object":
            signature = dict(parse_qsl(request.query))["X-Amz-Signature"]
            assert signature not in text + caplog.text


# Progress


class CallbackFailure(Exception):
    pass


@pytest.mark.parametrize(
    "error", [CallbackFailure(), KeyboardInterrupt(), ApiException(503), OSError(28, "")]
)
@pytest.mark.parametrize("part_size", [100, 1000])
def test_progress_exception_is_raised_unchanged(
    bench: Bench, error: BaseException, part_size: int
) -> None:
    bench.put(content(1000))
    calls: list[int] = []

    def progress(count: int) -> None:
        calls.append(count)
        if len(calls) == min(2, 1000 // part_size):
            raise error

    with pytest.raises(type(error)) as caught:
        bench.download(part_size=part_size, progress=progress)
    assert caught.value is error
    assert len(calls) == min(2, 1000 // part_size)
    assert bench.download_names == []


def test_fallback_false_forbids_server(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(presign=False)
    bench.upload(9)
    with pytest.raises(TransferError, match="fallback is False") as caught:
        bench.download(fallback=False)
    assert caught.value.outcome == "aborted"
    assert bench.operations["get_object"] == 0
    assert bench.download_names == []
