"""Invalid arguments raise before the first request."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.bench import MIB, PART, Bench

from lakefs_client import RetryPolicy
from lakefs_client.exceptions import (
    ApiTypeError,
    ApiValueError,
    NotFoundException,
    TransferError,
)
from lakefs_client.transfer import Transfer, TransferConfig
from lakefs_client.transfer.plan import S3_LIMITS

GIB = 1024 * MIB


def upload(bench: Bench, **changed: Any) -> None:
    arguments = {
        "source": bench.folder / "source.dat",
        "repository": "repo",
        "branch": "main",
        "path": "a/b",
        **changed,
    }
    Transfer(bench.client).upload_file(**arguments)


@pytest.mark.parametrize("name", ["repository", "branch", "path"])
@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        ("", ApiValueError, "must not be empty"),
        (None, ApiTypeError, "must be a str, not NoneType"),
        (7, ApiTypeError, "must be a str, not int"),
        (b"x", ApiTypeError, "must be a str, not bytes"),
        (["x"], ApiTypeError, "must be a str, not list"),
        (Path("x"), ApiTypeError, "must be a str, not "),
        ("\ud800", ApiValueError, "must be encodable as UTF-8"),
    ],
)
def test_invalid_names_raise(
    bench: Bench, name: str, value: Any, error: type[Exception], text: str
) -> None:
    bench.file(1)
    with pytest.raises(error, match=rf"\b{name}\b.*{text}"):
        upload(bench, **{name: value})
    assert not bench.sandbox.requests


@pytest.mark.parametrize("name", ["repository", "branch"])
@pytest.mark.parametrize("value", [".", ".."])
def test_dot_names_raise(bench: Bench, name: str, value: str) -> None:
    bench.file(1)
    with pytest.raises(ApiValueError, match=rf"\b{name}\b"):
        upload(bench, **{name: value})
    assert not bench.sandbox.requests


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"content_type": ""}, ApiValueError, "content_type must not be empty"),
        ({"content_type": 7}, ApiTypeError, "content_type must be a str, not int"),
        ({"content_type": b"a/b"}, ApiTypeError, "content_type must be a str, not bytes"),
        ({"content_type": "a/b\r\nX: y"}, ApiValueError, "content_type .*control characters"),
        ({"content_type": "a/b\x00"}, ApiValueError, "content_type .*control characters"),
        ({"content_type": "a/\ud800"}, ApiValueError, "content_type must be encodable"),
        ({"user_metadata": {"": "x"}}, ApiValueError, "user_metadata .*empty keys"),
        ({"user_metadata": {"a\nb": "x"}}, ApiValueError, "user_metadata .*control characters"),
        ({"user_metadata": {"a": "x\x7f"}}, ApiValueError, "user_metadata .*control characters"),
        ({"user_metadata": {"a": "\ud800"}}, ApiValueError, "user_metadata.*UTF-8"),
        ({"user_metadata": {"a": 1}}, ApiTypeError, "user_metadata must be a dict of str.*'a'"),
        ({"user_metadata": {1: "a"}}, ApiTypeError, "user_metadata must be a dict of str.*1"),
        ({"user_metadata": {"a": None}}, ApiTypeError, "user_metadata must be a dict of str"),
        ({"user_metadata": "abc"}, ApiTypeError, "user_metadata must be a dict of str, not str"),
        ({"user_metadata": 0}, ApiTypeError, "user_metadata must be a dict of str, not int"),
        ({"user_metadata": 7}, ApiTypeError, "user_metadata must be a dict of str, not int"),
        ({"progress": 7}, ApiTypeError, "progress must be callable"),
        ({"progress": 0}, ApiTypeError, "progress must be callable"),
        ({"progress": "print"}, ApiTypeError, "progress must be callable"),
    ],
)
def test_invalid_options_raise(
    bench: Bench, options: dict[str, Any], error: type[Exception], text: str
) -> None:
    bench.file(1)
    with pytest.raises(error, match=text):
        upload(bench, **options)
    assert not bench.sandbox.requests


def missing(folder: Path) -> Any:
    return folder / "missing"


def dangling(folder: Path) -> Any:
    (folder / "link").symlink_to(folder / "missing")
    return folder / "link"


def fifo(folder: Path) -> Any:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def unix_socket(folder: Path) -> Any:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(folder / "socket"))
    return folder / "socket"


def unreadable(folder: Path) -> Any:
    path = folder / "secret"
    path.write_bytes(b"x")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("root reads everything")
    return path


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (missing, FileNotFoundError, "missing"),
        (dangling, FileNotFoundError, "link"),
        (lambda folder: "", FileNotFoundError, "No such file"),
        (lambda folder: folder, IsADirectoryError, "Is a directory"),
        (lambda folder: "/dev/null", ApiValueError, "source must be a regular file"),
        (fifo, ApiValueError, "source must be a regular file"),
        (unix_socket, ApiValueError, "source must be a regular file"),
        (unreadable, PermissionError, "secret"),
        (lambda folder: None, ApiTypeError, "source must be a path, not NoneType"),
        (lambda folder: 0, ApiTypeError, "source must be a path, not int"),
        (lambda folder: b"x", ApiTypeError, "source must be a path, not bytes"),
        (lambda folder: ["x"], ApiTypeError, "source must be a path, not list"),
        (lambda folder: "a\0b", ApiValueError, "source cannot be the path"),
        (lambda folder: "\ud800", ApiValueError, "source cannot be the path"),
    ],
)
def test_invalid_sources_raise(
    bench: Bench, make: Callable[[Path], Any], error: type[Exception], text: str
) -> None:
    source = make(bench.folder)
    with pytest.raises(error, match=text):
        upload(bench, source=source)
    assert not bench.sandbox.requests


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="needs Linux's /proc")
@pytest.mark.parametrize(
    ("source", "error", "text"),
    [
        # An empty object would be a silent loss.
        ("/proc/self/status", ApiValueError, "source must be a regular file.*reports size 0"),
        ("/proc/self/mem", OSError, "Input/output error"),
    ],
)
def test_files_without_size_raise(
    bench: Bench, source: str, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        upload(bench, source=source)
    assert not bench.sandbox.requests


def test_file_above_object_limit_raises(bench: Bench) -> None:
    # Most disks reject a file of that size. A file system in memory takes a sparse one.
    folder = "/dev/shm" if os.path.isdir("/dev/shm") else bench.folder
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        try:
            file.truncate(S3_LIMITS.max_object + 1)
        except OSError:
            pytest.skip("no file system here accepts files of 48.8 TiB")
        with pytest.raises(ApiValueError, match=r"48\.8 TiB"):
            upload(bench, source=file.name)
    assert not bench.sandbox.requests


def test_open_file_as_source_raises(bench: Bench) -> None:
    with bench.file(1).open("rb") as file, pytest.raises(ApiTypeError, match="source must be"):
        upload(bench, source=file)
    assert not bench.sandbox.requests


@pytest.mark.parametrize("config", [{}, {"part_size": PART}, "x", 0, TransferConfig])
def test_config_of_other_type_raises(bench: Bench, config: Any) -> None:
    with pytest.raises(ApiTypeError, match="config must be a TransferConfig"):
        Transfer(bench.client, config)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"part_size": PART - 1}, ApiValueError, "part_size must be from 5242880 to 5368709120"),
        ({"part_size": 5 * GIB + 1}, ApiValueError, "part_size must be from"),
        ({"part_size": 0}, ApiValueError, "part_size must be from"),
        ({"part_size": -PART}, ApiValueError, "part_size must be from"),
        ({"part_size": 1e7}, ApiTypeError, "part_size must be an int, not float"),
        ({"part_size": "16MiB"}, ApiTypeError, "part_size must be an int, not str"),
        ({"part_size": None}, ApiTypeError, "part_size must be an int, not NoneType"),
        ({"part_size": True}, ApiTypeError, "part_size must be an int, not bool"),
        ({"multipart_threshold": -1}, ApiValueError, "multipart_threshold must be from 0 to"),
        ({"multipart_threshold": 5 * GIB + 1}, ApiValueError, "multipart_threshold must be"),
        ({"multipart_threshold": 1.0}, ApiTypeError, "multipart_threshold must be an int"),
        ({"multipart_threshold": False}, ApiTypeError, "multipart_threshold must be an int"),
        ({"max_concurrency": 0}, ApiValueError, "max_concurrency must be from 1 to 256: got 0"),
        ({"max_concurrency": 257}, ApiValueError, "max_concurrency must be from 1 to 256"),
        ({"max_concurrency": True}, ApiTypeError, "max_concurrency must be an int, not bool"),
        ({"max_concurrency": None}, ApiTypeError, "max_concurrency must be an int"),
        ({"verify": 1}, ApiTypeError, "verify must be a bool"),
        ({"verify": None}, ApiTypeError, "verify must be a bool"),
        ({"verify": "yes"}, ApiTypeError, "verify must be a bool"),
        ({"retry": 5}, ApiTypeError, "retry must be a RetryPolicy"),
        ({"retry": False}, ApiTypeError, "retry must be a RetryPolicy"),
    ],
)
def test_invalid_settings_raise(options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        TransferConfig(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"part_size": PART},
        {"part_size": 5 * GIB},
        {"multipart_threshold": 0},
        {"multipart_threshold": 5 * GIB},
        {"max_concurrency": 1},
        {"max_concurrency": 256},
        {"verify": False},
        {"retry": RetryPolicy(attempts=1)},
    ],
)
def test_settings_accept_their_limits(options: dict[str, Any]) -> None:
    config = TransferConfig(**options)
    assert {name: getattr(config, name) for name in options} == options


def test_config_is_immutable_and_compares_by_value() -> None:
    config = TransferConfig()
    with pytest.raises(AttributeError):
        config.part_size = PART  # type: ignore[misc]
    assert config == TransferConfig(part_size=16 * MIB)
    assert hash(config) == hash(TransferConfig())


def test_threshold_defaults_to_part_size() -> None:
    assert TransferConfig().threshold == 16 * MIB
    assert TransferConfig(part_size=PART).threshold == PART
    assert TransferConfig(multipart_threshold=0).threshold == 0


def test_missing_repository_or_branch_raises_not_found(bench: Bench) -> None:
    for size in (1, 16 * MIB):
        bench.file(size)
        with pytest.raises(NotFoundException, match="repository not found"):
            upload(bench, repository="no-such-repository")
    with pytest.raises(NotFoundException, match=r"branch.* not found"):
        upload(bench, branch="no-such-branch")
    assert not bench.sandbox.blockstore.uploads()
    assert not any(operation.startswith("store_") for operation in bench.operations)


def test_missing_branch_fails_link_of_small_file(bench: Bench) -> None:
    bench.file(1)
    with pytest.raises(TransferError, match="branch not found") as caught:
        upload(bench, branch="no-such-branch")
    assert (caught.value.status, caught.value.outcome) == (404, "not linked")
    assert isinstance(caught.value.__cause__, NotFoundException)
