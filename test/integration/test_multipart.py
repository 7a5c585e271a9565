"""Presigned multipart uploads, call by call."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import urllib3
from support.waiting import eventually

from lakefs_client import ApiValueError, BranchProtectedError
from lakefs_client.client import LakeFSClient
from lakefs_client.exceptions import ForbiddenException
from lakefs_client.models import (
    AbortPresignMultipartUpload,
    BranchProtectionRule,
    CompletePresignMultipartUpload,
    CopyPartSource,
    ObjectStats,
    StagingLocation,
    StagingMetadata,
    StorageConfig,
    UploadPart,
    UploadPartCopyFrom,
    UploadPartFrom,
)

from .support import MIB, Repo, Repositories, expect_error

FIRST = bytes(range(256)) * (5 * MIB // 256)
LAST = b"the last part may be small"
WRONG_ETAG = '"00000000000000000000000000000000"'

needs_multipart = pytest.mark.usefixtures("multipart")


def digest(content: bytes) -> bytes:
    return hashlib.md5(content, usedforsecurity=False).digest()


class Upload:
    """A presigned multipart upload to a path."""

    def __init__(
        self,
        repo: Repo,
        store: urllib3.PoolManager,
        path: str = "mp.bin",
        branch: str = "main",
        **options: Any,
    ) -> None:
        self.api = repo.lakefs.experimental_api
        self.store = store
        self.path = path
        self.place = (repo.name, branch)
        created = self.api.create_presign_multipart_upload(*self.place, path, **options)
        self.id = created.upload_id
        self.address = created.physical_address
        self.urls = created.get("presigned_urls") or []

    def new_url(self, number: int, **other: str) -> str:
        """Return a URL from upload_part; `other` replaces arguments of this upload."""
        given = {"id": self.id, "path": self.path, "address": self.address, **other}
        return self.api.upload_part(
            *self.place, given["id"], given["path"], number, UploadPartFrom(given["address"])
        ).presigned_url

    def send(self, url: str, content: bytes) -> urllib3.BaseHTTPResponse:
        # The store accepts a Content-Type, although the URL does not sign the header.
        headers = {"Content-Type": "application/octet-stream"}
        return self.store.request("PUT", url, body=content, headers=headers)

    def put(self, number: int, content: bytes) -> UploadPart:
        """Send a part to its first URL."""
        answer = self.send(self.urls[number - 1], content)
        assert answer.status == 200, answer.data
        return UploadPart(number, answer.headers["ETag"])

    def complete(
        self, parts: list[UploadPart], path: str = "", address: str | None = None, **rest: Any
    ) -> ObjectStats:
        body = CompletePresignMultipartUpload(
            self.address if address is None else address, parts, **rest
        )
        return self.api.complete_presign_multipart_upload(
            *self.place, self.id, path or self.path, complete_presign_multipart_upload=body
        )

    def abort(self) -> None:
        answer = self.api.abort_presign_multipart_upload(
            *self.place,
            self.id,
            self.path,
            abort_presign_multipart_upload=AbortPresignMultipartUpload(self.address),
        )
        assert answer is None


def link(repo: Repo, upload: Upload, content: bytes) -> ObjectStats:
    """Link the upload's address to its path, even if the upload failed."""
    metadata = StagingMetadata(
        StagingLocation(physical_address=upload.address), digest(content).hex(), len(content)
    )
    return repo.lakefs.staging_api.link_physical_address(*upload.place, upload.path, metadata)


# Create


@needs_multipart
@pytest.mark.parametrize("options", [{}, {"parts": 0}], ids=["absent", "0"])
def test_create_without_parts_returns_no_urls(
    repo: Repo, store: urllib3.PoolManager, options: dict[str, int]
) -> None:
    upload = Upload(repo, store, **options)
    assert upload.id
    assert repo.owns(upload.address)
    assert upload.urls == []
    upload.abort()


@needs_multipart
@pytest.mark.parametrize("count", [1, 3, 10_000])
def test_create_returns_one_url_per_part(
    repo: Repo, store: urllib3.PoolManager, count: int
) -> None:
    upload = Upload(repo, store, parts=count)
    assert len(set(upload.urls)) == len(upload.urls) == count
    upload.abort()


@needs_multipart
@pytest.mark.parametrize(
    ("changed", "status", "message"),
    [
        ({"parts": -1}, 400, "parts can be between 0 and 10000"),
        ({"parts": 10_001}, 400, "parts can be between 0 and 10000"),
        ({"path": ""}, 400, 'parameter "path" in query has an error: empty value is not allowed'),
        ({"branch": "none"}, 404, "branch 'none' not found"),
    ],
    ids=["too few parts", "too many parts", "no path", "missing branch"],
)
def test_create_rejects_invalid_arguments(
    repo: Repo, store: urllib3.PoolManager, changed: dict[str, Any], status: int, message: str
) -> None:
    with expect_error(status, message):
        Upload(repo, store, **{"parts": 1, **changed})


@needs_multipart
def test_create_in_missing_repository_is_not_found(
    lakefs: LakeFSClient, repositories: Repositories
) -> None:
    with expect_error(404, "repository not found"):
        lakefs.experimental_api.create_presign_multipart_upload(
            repositories.new_name(), "main", "x", parts=1
        )


def test_create_without_multipart_support_is_not_implemented(
    lakefs: LakeFSClient, repo: Repo, storage: StorageConfig
) -> None:
    if storage.get("pre_sign_multipart_upload"):
        pytest.skip("this server has presigned multipart uploads")
    with expect_error(501):
        lakefs.experimental_api.create_presign_multipart_upload(repo.name, "main", "x", parts=1)


# Parts and complete


@needs_multipart
def test_completed_parts_are_one_object(repo: Repo, store: urllib3.PoolManager) -> None:
    upload = Upload(repo, store, parts=2)
    # The parts are sent in reverse order.
    parts = [upload.put(2, LAST), upload.put(1, FIRST)][::-1]
    stats = upload.complete(parts, user_metadata={"k": "v"}, content_type="text/x-y")
    assert (stats.path, stats.path_type) == ("mp.bin", "object")
    assert stats.size_bytes == len(FIRST) + len(LAST)
    assert stats.checksum == f"{digest(digest(FIRST) + digest(LAST)).hex()}-2"
    assert stats.content_type == "text/x-y"
    assert stats.metadata.to_dict() == {"k": "v"}
    # This address may lack the namespace.
    assert upload.address.endswith(stats.physical_address)
    assert repo.uncommitted() == [("added", "mp.bin")]

    later = repo.stat("mp.bin")
    assert later.physical_address == upload.address
    assert later.checksum == stats.checksum
    assert later.metadata == stats.metadata
    assert repo.read("mp.bin") == FIRST + LAST
    assert repo.read("mp.bin", presign=True) == FIRST + LAST


@needs_multipart
def test_etag_is_md5_and_accepted_without_quotes(repo: Repo, store: urllib3.PoolManager) -> None:
    upload = Upload(repo, store, parts=1)
    etag = upload.put(1, LAST).etag.strip('"')
    assert etag == digest(LAST).hex()
    upload.complete([UploadPart(1, etag)])
    assert repo.read("mp.bin") == LAST


@needs_multipart
def test_complete_replaces_object_and_metadata(repo: Repo, store: urllib3.PoolManager) -> None:
    repo.upload("mp.bin", b"old", user_metadata={"old": "1"})
    upload = Upload(repo, store, parts=1)
    stats = upload.complete([upload.put(1, LAST)])
    assert stats.content_type == "application/octet-stream"
    assert repo.read("mp.bin") == LAST
    assert not repo.stat("mp.bin").metadata.to_dict()


@needs_multipart
def test_object_does_not_exist_before_complete(repo: Repo, store: urllib3.PoolManager) -> None:
    upload = Upload(repo, store, parts=1)
    upload.put(1, LAST)
    assert repo.paths() == []
    upload.abort()
    assert repo.paths() == []


@needs_multipart
@pytest.mark.parametrize(
    ("pick", "code"),
    [
        (lambda one, two: [UploadPart(1, WRONG_ETAG), two], "InvalidPart"),
        (lambda one, two: [two, one], "InvalidPartOrder"),
    ],
    ids=["wrong etag", "wrong order"],
)
def test_upload_survives_complete_with_invalid_parts(
    repo: Repo, store: urllib3.PoolManager, pick: Any, code: str
) -> None:
    upload = Upload(repo, store, parts=2)
    one, two = upload.put(1, FIRST), upload.put(2, LAST)
    with expect_error(500, f"api error {code}:"):
        upload.complete(pick(one, two))
    assert repo.paths() == []
    assert upload.complete([one, two]).size_bytes == len(FIRST) + len(LAST)


@needs_multipart
def test_small_part_before_the_last_is_rejected(repo: Repo, store: urllib3.PoolManager) -> None:
    upload = Upload(repo, store, parts=2)
    with expect_error(500, "api error EntityTooSmall:"):
        upload.complete([upload.put(1, LAST), upload.put(2, LAST)])
    upload.abort()


@needs_multipart
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"parts": []}, "parts are required"),
        ({"path": "other.bin"}, "invalid address signature: invalid address"),
        ({"address": ""}, "physical_address is required"),
    ],
    ids=["no parts", "other path", "no address"],
)
def test_upload_survives_complete_with_invalid_arguments(
    repo: Repo, store: urllib3.PoolManager, changed: dict[str, Any], message: str
) -> None:
    upload = Upload(repo, store, parts=1)
    parts = [upload.put(1, LAST)]
    with expect_error(400, message):
        upload.complete(**{"parts": parts, **changed})
    upload.complete(parts)
    assert repo.paths() == ["mp.bin"]


@needs_multipart
def test_complete_and_abort_require_a_body(repo: Repo, store: urllib3.PoolManager) -> None:
    upload = Upload(repo, store, parts=1)
    for operation in (
        upload.api.complete_presign_multipart_upload,
        upload.api.abort_presign_multipart_upload,
    ):
        with expect_error(400, "physical_address is required"):
            operation(*upload.place, upload.id, upload.path)
    upload.abort()


@needs_multipart
def test_second_complete_fails_and_keeps_the_object(repo: Repo, store: urllib3.PoolManager) -> None:
    upload = Upload(repo, store, parts=1)
    parts = [upload.put(1, LAST)]
    upload.complete(parts)
    with expect_error(500, "api error NoSuchUpload:"):
        upload.complete(parts)
    assert repo.read("mp.bin") == LAST


# New URLs


@needs_multipart
def test_upload_part_returns_a_url(repo: Repo, store: urllib3.PoolManager) -> None:
    upload = Upload(repo, store)
    parts = []
    for number, content in ((1, FIRST), (2, LAST)):
        answer = upload.send(upload.new_url(number), content)
        assert answer.status == 200, answer.data
        parts.append(UploadPart(number, answer.headers["ETag"]))
    upload.complete(parts)
    assert repo.read("mp.bin") == FIRST + LAST


@needs_multipart
@pytest.mark.parametrize(
    ("number", "message"), [(0, "number must be at least 1"), (10_001, "number must be at most")]
)
def test_part_number_is_validated_by_client_and_server(
    unchecked: LakeFSClient, repo: Repo, store: urllib3.PoolManager, number: int, message: str
) -> None:
    upload = Upload(repo, store)
    with pytest.raises(ApiValueError, match="part_number"):
        upload.new_url(number)
    with expect_error(400, message):
        unchecked.experimental_api.upload_part(
            *upload.place, upload.id, upload.path, number, UploadPartFrom(upload.address)
        )
    upload.abort()


@needs_multipart
@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"path": "other.bin"}, "invalid address signature: invalid address"),
        ({"address": "s3://x/y"}, "physical address must be relative to the storage namespace"),
    ],
    ids=["path", "address"],
)
def test_upload_part_rejects_other_path_or_address(
    repo: Repo, store: urllib3.PoolManager, other: dict[str, str], message: str
) -> None:
    upload = Upload(repo, store)
    with expect_error(400, message):
        upload.new_url(1, **other)
    upload.abort()


@needs_multipart
def test_url_for_unknown_upload_id_is_not_found(repo: Repo, store: urllib3.PoolManager) -> None:
    upload = Upload(repo, store)
    other = Upload(repo, store, "other.bin")
    # The id of an upload to another address.
    url = upload.new_url(1, id=other.id)
    answer = upload.send(url, LAST)
    assert answer.status == 404
    assert b"<Code>NoSuchUpload</Code>" in answer.data
    upload.abort()
    other.abort()


@needs_multipart
def test_url_with_invalid_signature_is_forbidden(repo: Repo, store: urllib3.PoolManager) -> None:
    upload = Upload(repo, store, parts=1)
    (url,) = upload.urls
    answer = upload.send(url[:-4] + ("0000" if url[-4:] != "0000" else "1111"), LAST)
    assert answer.status == 403
    assert b"<Code>SignatureDoesNotMatch</Code>" in answer.data
    upload.abort()


# Copies


@needs_multipart
def test_part_is_copied_from_an_object(
    lakefs: LakeFSClient, repo: Repo, store: urllib3.PoolManager
) -> None:
    source = Upload(repo, store, "source.bin", parts=2)
    source.complete([source.put(1, FIRST), source.put(2, LAST)])

    upload = Upload(repo, store, "copied.bin", parts=2)
    origin = CopyPartSource(repo.name, "main", "source.bin", range=f"bytes=0-{len(FIRST) - 1}")
    answer, status, headers = lakefs.experimental_api.upload_part_copy(
        *upload.place,
        upload.id,
        upload.path,
        1,
        UploadPartCopyFrom(upload.address, origin),
        _return_http_data_only=False,
    )
    assert (answer, status) == (None, 204)
    assert headers["ETag"].strip('"') == digest(FIRST).hex()
    stats = upload.complete([UploadPart(1, headers["ETag"]), upload.put(2, b"another end")])
    assert stats.size_bytes == len(FIRST) + len(b"another end")
    assert repo.read("copied.bin") == FIRST + b"another end"


# Abort


@needs_multipart
def test_abort_is_repeatable(repo: Repo, store: urllib3.PoolManager) -> None:
    upload = Upload(repo, store, parts=1)
    parts = [upload.put(1, LAST)]
    upload.abort()
    upload.abort()
    with expect_error(500, "api error NoSuchUpload:"):
        upload.complete(parts)
    assert repo.paths() == []


@needs_multipart
def test_abort_after_complete_keeps_the_object(repo: Repo, store: urllib3.PoolManager) -> None:
    upload = Upload(repo, store, parts=1)
    upload.complete([upload.put(1, LAST)])
    upload.abort()
    assert repo.read("mp.bin") == LAST


@needs_multipart
def test_abort_requires_the_address(repo: Repo, store: urllib3.PoolManager) -> None:
    upload = Upload(repo, store)
    address, upload.address = upload.address, ""
    with expect_error(400, "physical_address is required"):
        upload.abort()
    upload.address = address
    upload.abort()


@needs_multipart
def test_part_after_abort_is_not_found(repo: Repo, store: urllib3.PoolManager) -> None:
    upload = Upload(repo, store, parts=1)
    upload.abort()
    answer = upload.send(upload.urls[0], LAST)
    assert answer.status == 404
    assert b"<Code>NoSuchUpload</Code>" in answer.data


@needs_multipart
def test_linked_address_of_an_aborted_upload_has_no_data(
    repo: Repo, store: urllib3.PoolManager
) -> None:
    upload = Upload(repo, store, parts=1)
    upload.put(1, LAST)
    upload.abort()
    link(repo, upload, LAST)
    assert repo.stat("mp.bin").size_bytes == len(LAST)
    with expect_error(410, "No data"):
        repo.read("mp.bin")


# Failures after the store completed the object


@needs_multipart
def test_deleted_branch_fails_complete_and_ends_the_upload(
    lakefs: LakeFSClient, repo: Repo, store: urllib3.PoolManager
) -> None:
    repo.branch("dev")
    upload = Upload(repo, store, branch="dev", parts=1)
    parts = [upload.put(1, LAST)]
    lakefs.branches_api.delete_branch(repo.name, "dev")
    with expect_error(404):
        upload.complete(parts)
    repo.branch("dev")
    with expect_error(500, "api error NoSuchUpload:"):
        upload.complete(parts)
    link(repo, upload, LAST)
    assert repo.read("mp.bin", "dev") == LAST


def protect(repo: Repo, *patterns: str) -> None:
    """Set protection rules, and wait until they apply to the branch `prot`."""
    repo.lakefs.repositories_api.set_branch_protection_rules(
        repo.name, [BranchProtectionRule(pattern) for pattern in patterns]
    )

    def in_force() -> bool:
        try:
            repo.upload("probe", branch="prot")
        except ForbiddenException:
            return bool(patterns)
        return not patterns

    eventually(in_force)


@needs_multipart
def test_protected_branch_fails_complete_and_ends_the_upload(
    repo: Repo, store: urllib3.PoolManager
) -> None:
    repo.branch("prot")
    protect(repo, "prot*")
    upload = Upload(repo, store, branch="prot", parts=1)
    parts = [upload.put(1, LAST)]
    with expect_error(403, cls=BranchProtectedError):
        upload.complete(parts)
    protect(repo)
    with expect_error(500, "api error NoSuchUpload:"):
        upload.complete(parts)
    link(repo, upload, LAST)
    assert repo.read("mp.bin", "prot") == LAST


@needs_multipart
def test_read_only_repository_fails_complete(
    repositories: Repositories, store: urllib3.PoolManager
) -> None:
    repo = repositories.create(read_only=True)
    upload = Upload(repo, store, parts=1)
    parts = [upload.put(1, LAST)]
    with expect_error(403):
        upload.complete(parts)
    assert repo.paths() == []
