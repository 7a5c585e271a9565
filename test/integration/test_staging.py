"""Direct uploads to the store: a physical address, one PUT, and a link."""

from __future__ import annotations

import hashlib

import pytest
import urllib3

from lakefs_client.client import LakeFSClient
from lakefs_client.models import ObjectStats, StagingLocation, StagingMetadata

from .support import Repo, Repositories, expect_error

CONTENT = b"linked content"
CHECKSUM = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


def stage(
    repo: Repo, store: urllib3.PoolManager, path: str, content: bytes = CONTENT
) -> StagingLocation:
    """Upload content to the store, without a link to it."""
    location = repo.lakefs.staging_api.get_physical_address(repo.name, "main", path, presign=True)
    headers = {"Content-Type": "application/octet-stream"}
    answer = store.request("PUT", location.presigned_url, body=content, headers=headers)
    assert answer.status == 200, answer.data
    return location


def link(
    repo: Repo, path: str, location: StagingLocation, if_none_match: str = "", **metadata: object
) -> ObjectStats:
    staging_metadata = StagingMetadata(location, CHECKSUM, len(CONTENT), **metadata)
    condition = {"if_none_match": if_none_match} if if_none_match else {}
    return repo.lakefs.staging_api.link_physical_address(
        repo.name, "main", path, staging_metadata, **condition
    )


def test_physical_address_is_in_the_namespace(lakefs: LakeFSClient, repo: Repo) -> None:
    location = lakefs.staging_api.get_physical_address(repo.name, "main", "linked.bin")
    assert repo.owns(location.physical_address)
    assert not location.get("presigned_url")


def test_physical_addresses_are_unique(lakefs: LakeFSClient, repo: Repo) -> None:
    get = lakefs.staging_api.get_physical_address
    addresses = {get(repo.name, "main", "linked.bin").physical_address for _ in range(3)}
    assert len(addresses) == 3


@pytest.mark.usefixtures("presign")
def test_linked_address_is_an_object(repo: Repo, store: urllib3.PoolManager) -> None:
    location = stage(repo, store, "linked.bin")
    assert repo.paths() == []
    stats = link(repo, "linked.bin", location, content_type="text/x", user_metadata={"u": "v"})
    assert (stats.checksum, stats.size_bytes) == (CHECKSUM, len(CONTENT))
    assert stats.content_type == "text/x"
    assert stats.metadata.to_dict() == {"u": "v"}
    assert stats.physical_address == location.physical_address
    assert repo.stat("linked.bin") == stats
    assert repo.read("linked.bin") == CONTENT
    assert repo.read("linked.bin", presign=True) == CONTENT


@pytest.mark.usefixtures("presign")
def test_link_is_repeatable(repo: Repo, store: urllib3.PoolManager) -> None:
    location = stage(repo, store, "linked.bin")
    for _ in range(2):
        link(repo, "linked.bin", location)
        assert repo.read("linked.bin") == CONTENT


@pytest.mark.usefixtures("presign")
def test_link_replaces_object_and_metadata(repo: Repo, store: urllib3.PoolManager) -> None:
    repo.upload("linked.bin", b"old", user_metadata={"old": "1"})
    link(repo, "linked.bin", stage(repo, store, "linked.bin"))
    assert repo.read("linked.bin") == CONTENT
    assert not repo.stat("linked.bin").metadata.to_dict()


@pytest.mark.usefixtures("presign")
def test_conditional_link_does_not_replace(repo: Repo, store: urllib3.PoolManager) -> None:
    repo.upload("linked.bin", b"old")
    location = stage(repo, store, "linked.bin")
    with expect_error(412):
        link(repo, "linked.bin", location, if_none_match="*")
    assert repo.read("linked.bin") == b"old"


def test_link_of_unsigned_address_is_rejected(repo: Repo) -> None:
    invented = StagingLocation(physical_address=f"{repo.storage_namespace}/data/none")
    with expect_error(400, "address is not signed: link address invalid"):
        link(repo, "linked.bin", invented)
    assert repo.paths() == []


def test_address_in_missing_repository_is_not_found(
    lakefs: LakeFSClient, repositories: Repositories
) -> None:
    with expect_error(404):
        lakefs.staging_api.get_physical_address(repositories.new_name(), "main", "linked.bin")
