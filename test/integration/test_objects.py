"""Objects: upload, read, list, copy, delete."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from lakefs_client.client import LakeFSClient
from lakefs_client.models import (
    ObjectCopyCreation,
    ObjectStats,
    ObjectUserMetadata,
    PathList,
    UpdateObjectUserMetadata,
)

from .support import Repo, expect_error, walk

SPECIAL = "sp ace/ünïcode+&?#%.txt"


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "hello.txt"
    path.write_bytes(b"hello world")
    return path


@pytest.fixture(
    params=[lambda _: b"hello world", lambda _: io.BytesIO(b"hello world"), lambda p: p.open("rb")],
    ids=["bytes", "BytesIO", "file"],
)
def content(request: pytest.FixtureRequest, file: Path) -> Iterator[Any]:
    """Provide the same content from different sources."""
    make: Callable[[Path], Any] = request.param
    source = make(file)
    yield source
    if not isinstance(source, bytes):
        source.close()


# Upload


def test_uploaded_content_is_read_back(repo: Repo, content: Any) -> None:
    stats = repo.upload("a/one.txt", content)
    assert stats.path == "a/one.txt"
    assert stats.path_type == "object"
    assert stats.size_bytes == 11
    assert stats.checksum == md5(b"hello world")
    assert stats.content_type == "text/plain"
    assert stats.mtime > 0
    assert repo.owns(stats.physical_address)
    assert repo.read("a/one.txt") == b"hello world"
    assert repo.stat("a/one.txt") == stats


def test_upload_stores_content_type_and_metadata(repo: Repo) -> None:
    stats = repo.upload("a.csv", b"a,b\n", content_type="text/csv", user_metadata={"color": "red"})
    assert stats.content_type == "text/csv"
    assert stats.metadata.to_dict() == {"color": "red"}
    assert repo.stat("a.csv") == stats


def test_path_with_special_characters_is_preserved(repo: Repo) -> None:
    stats = repo.upload(SPECIAL, b"u")
    assert stats.path == SPECIAL
    assert repo.stat(SPECIAL) == stats
    assert repo.read(SPECIAL) == b"u"
    assert repo.paths() == [SPECIAL]


def test_empty_object_is_stored(repo: Repo) -> None:
    stats = repo.upload("empty", b"")
    assert stats.size_bytes == 0
    assert stats.checksum == md5(b"")
    assert repo.read("empty") == b""


def test_upload_replaces_object_and_metadata(repo: Repo) -> None:
    repo.upload("a.txt", b"one", user_metadata={"old": "1"})
    repo.upload("a.txt", b"two", user_metadata={"new": "2"})
    assert repo.read("a.txt") == b"two"
    assert repo.stat("a.txt").metadata.to_dict() == {"new": "2"}


def test_conditional_upload_does_not_replace(repo: Repo) -> None:
    repo.upload("a.txt", b"one", if_none_match="*")
    with expect_error(412, "path already exists"):
        repo.upload("a.txt", b"two", if_none_match="*")
    assert repo.read("a.txt") == b"one"


def test_upload_to_empty_path_is_rejected(repo: Repo) -> None:
    with expect_error(400, 'parameter "path" in query has an error: empty value is not allowed'):
        repo.upload("", b"x")


def test_upload_to_missing_branch_is_not_found(repo: Repo) -> None:
    with expect_error(404):
        repo.upload("a.txt", b"x", branch="nope")


# Stat


def test_stat_of_missing_object_is_not_found(repo: Repo) -> None:
    with expect_error(404, "not found"):
        repo.stat("zz")


@pytest.mark.usefixtures("presign")
def test_presigned_stat_returns_a_readable_url(repo: Repo, store: urllib3.PoolManager) -> None:
    repo.upload("b/three.txt", b"3", user_metadata={"color": "red"})
    plain, presigned = repo.stat("b/three.txt"), repo.stat("b/three.txt", presign=True)
    assert presigned.physical_address.startswith(("http://", "https://"))
    assert presigned.checksum == plain.checksum
    assert presigned.metadata == plain.metadata
    answer = store.request("GET", presigned.physical_address)
    assert (answer.status, answer.data) == (200, b"3")


def test_underlying_properties_have_a_storage_class(lakefs: LakeFSClient, repo: Repo) -> None:
    repo.upload("a.txt")
    properties = lakefs.objects_api.get_underlying_properties(repo.name, "main", "a.txt")
    # Stores on a local disk have no storage classes.
    assert isinstance(properties.storage_class, str | None)


# User metadata


def test_update_replaces_all_user_metadata(lakefs: LakeFSClient, repo: Repo) -> None:
    before = repo.upload("a.txt", b"x", user_metadata={"color": "red"})
    answer = lakefs.experimental_api.update_object_user_metadata(
        repo.name, "main", "a.txt", UpdateObjectUserMetadata(ObjectUserMetadata(a="b"))
    )
    # The API document declares a body. Servers send none.
    assert answer is None
    after = repo.stat("a.txt")
    assert after.metadata.to_dict() == {"a": "b"}
    assert after.physical_address == before.physical_address
    assert repo.read("a.txt") == b"x"


def test_metadata_update_of_missing_object_is_not_found(lakefs: LakeFSClient, repo: Repo) -> None:
    with expect_error(404, f"update user metadata on {repo.name}/main/zz: not found"):
        lakefs.objects_api.update_object_user_metadata(
            repo.name, "main", "zz", UpdateObjectUserMetadata(ObjectUserMetadata(a="b"))
        )


# Read


def test_get_has_object_headers(lakefs: LakeFSClient, repo: Repo) -> None:
    stats = repo.upload("a.txt", b"hello world", content_type="text/plain")
    content, status, headers = lakefs.objects_api.get_object(
        repo.name, "main", "a.txt", _return_http_data_only=False
    )
    with content:
        assert content.read() == b"hello world"
    assert status == 200
    assert headers["ETag"] == f'"{stats.checksum}"'
    assert headers["Content-Type"] == "text/plain"
    assert headers["Content-Length"] == "11"
    assert headers["Last-Modified"]


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ("bytes=0-3", b"hell"),
        ("bytes=6-6", b"w"),
        ("bytes=6-", b"world"),
        ("bytes=-3", b"rld"),
        ("bytes=6-100", b"world"),
    ],
)
def test_range_returns_part_of_the_object(
    lakefs: LakeFSClient, repo: Repo, span: str, expected: bytes
) -> None:
    repo.upload("a.txt", b"hello world")
    content, status, headers = lakefs.objects_api.get_object(
        repo.name, "main", "a.txt", range=span, _return_http_data_only=False
    )
    with content:
        assert content.read() == expected
    assert status == 206
    assert headers["Content-Range"].endswith("/11")


def test_range_beyond_the_end_is_rejected(repo: Repo) -> None:
    repo.upload("a.txt", b"hello world")
    with expect_error(416, "Requested Range Not Satisfiable") as caught:
        repo.read("a.txt", range="bytes=100-200")
    assert caught.value.headers["Content-Range"] == "bytes */11"


def test_get_of_missing_object_is_not_found(repo: Repo) -> None:
    with expect_error(404, "not found"):
        repo.read("zz")


@pytest.mark.usefixtures("presign")
def test_presigned_get_reads_from_the_store(repo: Repo) -> None:
    repo.upload("a.txt", b"hello world")
    assert repo.read("a.txt", presign=True) == b"hello world"


def test_head_has_object_headers(lakefs: LakeFSClient, repo: Repo) -> None:
    stats = repo.upload("a.txt", b"hello world")
    answer, status, headers = lakefs.objects_api.head_object(
        repo.name, "main", "a.txt", _return_http_data_only=False
    )
    assert (answer, status) == (None, 200)
    assert headers["Content-Length"] == "11"
    assert headers["ETag"] == f'"{stats.checksum}"'
    assert headers["Accept-Ranges"] == "bytes"


def test_head_of_missing_object_has_no_body(lakefs: LakeFSClient, repo: Repo) -> None:
    with expect_error(404) as caught:
        lakefs.objects_api.head_object(repo.name, "main", "zz")
    assert not caught.value.body


# List


PATHS = ["a/1", "a/2", "a/b/3", "b/4", "c"]


@pytest.fixture
def filled(repo: Repo) -> Repo:
    """Provide a repository with objects, uploaded in reverse order of their paths."""
    for path in reversed(PATHS):
        repo.upload(path, path.encode())
    return repo


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, PATHS),
        ({"prefix": "a/"}, ["a/1", "a/2", "a/b/3"]),
        ({"prefix": "none"}, []),
        ({"delimiter": "/"}, ["a/", "b/", "c"]),
        ({"delimiter": "/", "prefix": "a/"}, ["a/1", "a/2", "a/b/"]),
        ({"after": "a/2"}, ["a/b/3", "b/4", "c"]),
    ],
)
def test_objects_are_listed_by_path(
    filled: Repo, options: dict[str, str], expected: list[str]
) -> None:
    assert filled.paths(**options) == expected


@pytest.mark.parametrize("amount", [1, 2, 5])
def test_objects_are_listed_in_pages(lakefs: LakeFSClient, filled: Repo, amount: int) -> None:
    listing = lakefs.objects_api.list_objects
    found = walk(listing, filled.name, "main", amount=amount)
    assert [item.path for item in found] == PATHS
    folded = walk(listing, filled.name, "main", amount=amount, delimiter="/")
    assert [item.path for item in folded] == ["a/", "b/", "c"]


def test_listed_objects_have_their_stats(lakefs: LakeFSClient, repo: Repo) -> None:
    stats = repo.upload("a.txt", b"hello world", user_metadata={"color": "red"})
    listing = lakefs.objects_api.list_objects(repo.name, "main")
    assert listing.results == [stats]
    assert isinstance(listing.results[0], ObjectStats)


def test_common_prefix_has_no_size_or_checksum(lakefs: LakeFSClient, repo: Repo) -> None:
    repo.upload("a/1")
    (prefix,) = lakefs.objects_api.list_objects(repo.name, "main", delimiter="/").results
    assert (prefix.path, prefix.path_type, prefix.checksum) == ("a/", "common_prefix", "")
    assert prefix.get("size_bytes") is None


@pytest.mark.usefixtures("presign")
def test_presigned_listing_returns_readable_urls(
    lakefs: LakeFSClient, filled: Repo, store: urllib3.PoolManager
) -> None:
    listing = lakefs.objects_api.list_objects(filled.name, "main", presign=True)
    for item in listing.results:
        assert store.request("GET", item.physical_address).data == item.path.encode()


# Copy and delete


def test_copy_has_its_own_address(lakefs: LakeFSClient, repo: Repo) -> None:
    source = repo.upload("a.txt", b"hello world", content_type="text/plain")
    copied = lakefs.objects_api.copy_object(
        repo.name, "main", "copy.txt", ObjectCopyCreation("a.txt")
    )
    assert copied.path == "copy.txt"
    assert copied.checksum == source.checksum
    assert copied.size_bytes == source.size_bytes
    assert copied.physical_address != source.physical_address
    assert repo.read("copy.txt") == b"hello world"
    assert repo.paths() == ["a.txt", "copy.txt"]


def test_copy_source_may_be_any_reference(lakefs: LakeFSClient, repo: Repo) -> None:
    old = repo.change("a.txt", b"old")
    repo.upload("a.txt", b"new")
    creation = ObjectCopyCreation("a.txt", src_ref=old)
    lakefs.objects_api.copy_object(repo.name, "main", "copy.txt", creation)
    assert repo.read("copy.txt") == b"old"


def test_copy_of_missing_object_is_not_found(lakefs: LakeFSClient, repo: Repo) -> None:
    with expect_error(404):
        lakefs.objects_api.copy_object(repo.name, "main", "copy", ObjectCopyCreation("zz"))


def test_deletion_is_repeatable(lakefs: LakeFSClient, repo: Repo) -> None:
    repo.upload("a.txt")
    for _ in range(2):
        assert lakefs.objects_api.delete_object(repo.name, "main", "a.txt") is None
    assert repo.paths() == []
    with expect_error(404, "not found"):
        repo.stat("a.txt")


def test_delete_objects_deletes_several_paths(lakefs: LakeFSClient, filled: Repo) -> None:
    answer = lakefs.objects_api.delete_objects(
        filled.name, "main", PathList(["a/1", "a/b/3", "c", "none"])
    )
    assert answer.errors == []
    assert filled.paths() == ["a/2", "b/4"]


def test_deletion_of_committed_object_is_a_change(lakefs: LakeFSClient, repo: Repo) -> None:
    before = repo.change("a.txt")
    lakefs.objects_api.delete_object(repo.name, "main", "a.txt")
    assert repo.uncommitted() == [("removed", "a.txt")]
    repo.commit("delete")
    assert repo.paths() == []
    assert repo.paths(before) == ["a.txt"]
