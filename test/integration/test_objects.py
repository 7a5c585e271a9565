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

from .support import Repo, refused, walk

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
    """Provide the same bytes from different sources."""
    make: Callable[[Path], Any] = request.param
    source = make(file)
    yield source
    if not isinstance(source, bytes):
        source.close()


# Upload


def test_uploaded_content_is_what_is_read(repo: Repo, content: Any) -> None:
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


def test_upload_keeps_media_type_and_metadata(repo: Repo) -> None:
    stats = repo.upload("a.csv", b"a,b\n", content_type="text/csv", user_metadata={"color": "red"})
    assert stats.content_type == "text/csv"
    assert stats.metadata.to_dict() == {"color": "red"}
    assert repo.stat("a.csv") == stats


def test_path_may_have_special_characters(repo: Repo) -> None:
    stats = repo.upload(SPECIAL, b"u")
    assert stats.path == SPECIAL
    assert repo.stat(SPECIAL) == stats
    assert repo.read(SPECIAL) == b"u"
    assert repo.paths() == [SPECIAL]


def test_empty_object(repo: Repo) -> None:
    stats = repo.upload("empty", b"")
    assert stats.size_bytes == 0
    assert stats.checksum == md5(b"")
    assert repo.read("empty") == b""


def test_upload_replaces_an_object_and_its_metadata(repo: Repo) -> None:
    repo.upload("a.txt", b"one", user_metadata={"old": "1"})
    repo.upload("a.txt", b"two", user_metadata={"new": "2"})
    assert repo.read("a.txt") == b"two"
    assert repo.stat("a.txt").metadata.to_dict() == {"new": "2"}


def test_conditional_upload_does_not_replace(repo: Repo) -> None:
    repo.upload("a.txt", b"one", if_none_match="*")
    with refused(412, "path already exists"):
        repo.upload("a.txt", b"two", if_none_match="*")
    assert repo.read("a.txt") == b"one"


def test_refuses_an_empty_path(repo: Repo) -> None:
    with refused(400, 'parameter "path" in query has an error: empty value is not allowed'):
        repo.upload("", b"x")


def test_refuses_an_upload_to_a_missing_branch(repo: Repo) -> None:
    with refused(404):
        repo.upload("a.txt", b"x", branch="nope")


# Stat


def test_refuses_to_stat_a_missing_object(repo: Repo) -> None:
    with refused(404, "not found"):
        repo.stat("zz")


@pytest.mark.usefixtures("presign")
def test_presigned_stat_gives_a_url_to_read_from(repo: Repo, store: urllib3.PoolManager) -> None:
    repo.upload("b/three.txt", b"3", user_metadata={"color": "red"})
    plain, presigned = repo.stat("b/three.txt"), repo.stat("b/three.txt", presign=True)
    assert presigned.physical_address.startswith(("http://", "https://"))
    assert presigned.checksum == plain.checksum
    assert presigned.metadata == plain.metadata
    answer = store.request("GET", presigned.physical_address)
    assert (answer.status, answer.data) == (200, b"3")


def test_underlying_properties_tell_the_storage_class(lakefs: LakeFSClient, repo: Repo) -> None:
    repo.upload("a.txt")
    properties = lakefs.objects_api.get_underlying_properties(repo.name, "main", "a.txt")
    # Stores on a disk have no classes.
    assert isinstance(properties.storage_class, str | None)


# User metadata


def test_user_metadata_is_replaced_as_a_whole(lakefs: LakeFSClient, repo: Repo) -> None:
    before = repo.upload("a.txt", b"x", user_metadata={"color": "red"})
    answer = lakefs.experimental_api.update_object_user_metadata(
        repo.name, "main", "a.txt", UpdateObjectUserMetadata(ObjectUserMetadata(a="b"))
    )
    # The API document says that it returns something. Servers do not.
    assert answer is None
    after = repo.stat("a.txt")
    assert after.metadata.to_dict() == {"a": "b"}
    assert after.physical_address == before.physical_address
    assert repo.read("a.txt") == b"x"


def test_refuses_metadata_of_a_missing_object(lakefs: LakeFSClient, repo: Repo) -> None:
    with refused(404, f"update user metadata on {repo.name}/main/zz: not found"):
        lakefs.objects_api.update_object_user_metadata(
            repo.name, "main", "zz", UpdateObjectUserMetadata(ObjectUserMetadata(a="b"))
        )


# Read


def test_get_tells_about_the_object_in_headers(lakefs: LakeFSClient, repo: Repo) -> None:
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
def test_range_is_a_part_of_the_object(
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


def test_refuses_a_range_behind_the_end(repo: Repo) -> None:
    repo.upload("a.txt", b"hello world")
    with refused(416, "Requested Range Not Satisfiable") as caught:
        repo.read("a.txt", range="bytes=100-200")
    assert caught.value.headers["Content-Range"] == "bytes */11"


def test_refuses_to_get_a_missing_object(repo: Repo) -> None:
    with refused(404, "not found"):
        repo.read("zz")


@pytest.mark.usefixtures("presign")
def test_presigned_get_reads_from_the_store(repo: Repo) -> None:
    repo.upload("a.txt", b"hello world")
    assert repo.read("a.txt", presign=True) == b"hello world"


def test_head_tells_about_the_object_without_it(lakefs: LakeFSClient, repo: Repo) -> None:
    stats = repo.upload("a.txt", b"hello world")
    answer, status, headers = lakefs.objects_api.head_object(
        repo.name, "main", "a.txt", _return_http_data_only=False
    )
    assert (answer, status) == (None, 200)
    assert headers["Content-Length"] == "11"
    assert headers["ETag"] == f'"{stats.checksum}"'
    assert headers["Accept-Ranges"] == "bytes"


def test_head_of_a_missing_object_has_no_message(lakefs: LakeFSClient, repo: Repo) -> None:
    with refused(404) as caught:
        lakefs.objects_api.head_object(repo.name, "main", "zz")
    assert not caught.value.body


# List


PATHS = ["a/1", "a/2", "a/b/3", "b/4", "c"]


@pytest.fixture
def filled(repo: Repo) -> Repo:
    """Provide a repository with some objects in it, not uploaded in the order of their names."""
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


def test_common_prefix_is_no_object(lakefs: LakeFSClient, repo: Repo) -> None:
    repo.upload("a/1")
    (prefix,) = lakefs.objects_api.list_objects(repo.name, "main", delimiter="/").results
    assert (prefix.path, prefix.path_type, prefix.checksum) == ("a/", "common_prefix", "")
    assert prefix.get("size_bytes") is None


@pytest.mark.usefixtures("presign")
def test_presigned_listing_gives_urls_to_read_from(
    lakefs: LakeFSClient, filled: Repo, store: urllib3.PoolManager
) -> None:
    listing = lakefs.objects_api.list_objects(filled.name, "main", presign=True)
    for item in listing.results:
        assert store.request("GET", item.physical_address).data == item.path.encode()


# Copy and delete


def test_copy_is_an_object_of_its_own(lakefs: LakeFSClient, repo: Repo) -> None:
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


def test_copy_comes_from_any_reference(lakefs: LakeFSClient, repo: Repo) -> None:
    old = repo.change("a.txt", b"old")
    repo.upload("a.txt", b"new")
    creation = ObjectCopyCreation("a.txt", src_ref=old)
    lakefs.objects_api.copy_object(repo.name, "main", "copy.txt", creation)
    assert repo.read("copy.txt") == b"old"


def test_refuses_to_copy_a_missing_object(lakefs: LakeFSClient, repo: Repo) -> None:
    with refused(404):
        lakefs.objects_api.copy_object(repo.name, "main", "copy", ObjectCopyCreation("zz"))


def test_deleted_object_is_gone_and_may_be_deleted_again(lakefs: LakeFSClient, repo: Repo) -> None:
    repo.upload("a.txt")
    for _ in range(2):
        assert lakefs.objects_api.delete_object(repo.name, "main", "a.txt") is None
    assert repo.paths() == []
    with refused(404, "not found"):
        repo.stat("a.txt")


def test_many_objects_are_deleted_at_once(lakefs: LakeFSClient, filled: Repo) -> None:
    answer = lakefs.objects_api.delete_objects(
        filled.name, "main", PathList(["a/1", "a/b/3", "c", "none"])
    )
    assert answer.errors == []
    assert filled.paths() == ["a/2", "b/4"]


def test_deletion_of_a_committed_object_is_a_change(lakefs: LakeFSClient, repo: Repo) -> None:
    before = repo.change("a.txt")
    lakefs.objects_api.delete_object(repo.name, "main", "a.txt")
    assert repo.uncommitted() == [("removed", "a.txt")]
    repo.commit("delete")
    assert repo.paths() == []
    assert repo.paths(before) == ["a.txt"]
