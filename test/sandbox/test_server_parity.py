"""Answers of lakeFS 1.84 from which the sandbox once differed."""

from __future__ import annotations

from typing import Any

import pytest

from .client import HttpClient

REPO = "/repositories/repo"
INVALID = "invalid value: validation error"


@pytest.mark.parametrize(
    "name",
    ["release/1.0", "a..b", "@", "trail.", "x.lock", "a@{b", "sp ace", "a:b", "a*", "a\x01"],
)
def test_invalid_tag_id_is_rejected(client: HttpClient, name: str) -> None:
    body = {"id": name, "ref": "main"}
    message = f"argument tagID: tag id: {INVALID}"
    assert client.error("POST", f"{REPO}/tags", body) == (400, message)


@pytest.mark.parametrize("name", ["v1.0", "a~1", "é", "-x"])
def test_valid_tag_id_is_accepted(client: HttpClient, name: str) -> None:
    assert client.ok("POST", f"{REPO}/tags", {"id": name, "ref": "main"})["id"] == name


@pytest.mark.parametrize("name", ["a%2Fb", "main~1", "x.y", "-x", "%C3%A9"])
def test_invalid_branch_id_is_rejected(client: HttpClient, name: str) -> None:
    message = f"argument branch: branch id: {INVALID}"
    assert client.error("GET", f"{REPO}/branches/{name}") == (400, message)


@pytest.mark.parametrize(
    ("path", "auth", "has_id"),
    [
        ("/healthcheck", False, True),
        (REPO, True, True),
        ("/repositories/none", True, True),
        (REPO, False, True),
        ("/no-such-endpoint", True, False),
    ],
)
def test_operations_answer_with_request_id(
    client: HttpClient, path: str, auth: bool, has_id: bool
) -> None:
    ids = [client.call("GET", path, auth=auth).headers.get("X-Request-Id") for _ in range(2)]
    assert [found is not None for found in ids] == [has_id, has_id]
    assert not has_id or ids[0] != ids[1]


def test_upload_to_ref_expression_is_rejected(client: HttpClient) -> None:
    place = f"{REPO}/branches/main~1/objects"
    error = client.error("POST", place, query={"path": "x"}, raw=b"1")
    assert error == (400, f"argument name: branch id: {INVALID}")


@pytest.mark.parametrize(
    ("method", "place", "body"),
    [
        ("POST", "branches/main/objects", None),
        ("DELETE", "branches/main/objects", None),
        ("GET", "refs/main/objects", None),
        ("GET", "refs/main/objects/stat", None),
    ],
)
def test_path_above_1024_bytes_is_rejected(
    client: HttpClient, method: str, place: str, body: Any
) -> None:
    error = client.error(method, f"{REPO}/{place}", query={"path": "é" * 513})
    message = f"argument path: {INVALID}: 1026 is above maximum length (1024)"
    assert error == (400, message)


def test_long_path_is_rejected_after_assembly(client: HttpClient) -> None:
    path = "x" * 1025
    upload = client.create_upload(path)
    etag = client.put(upload["presigned_urls"][0], b"1").headers["ETag"]
    response = client.complete(upload, path, [etag])
    assert (response.status, "1025 is above maximum length" in response.json()["message"]) == (
        400,
        True,
    )
    assert not client.sandbox.blockstore.uploads()


def test_delete_of_more_than_1000_paths_is_rejected(client: HttpClient) -> None:
    place = f"{REPO}/branches/main/objects/delete"
    error = client.error("POST", place, {"paths": ["x"] * 1001})
    assert error == (400, "request size exceeded, max paths is set to 1000")


def test_batch_delete_reports_errors_in_answer(client: HttpClient) -> None:
    def delete(branch: str, *paths: str) -> Any:
        place = f"{REPO}/branches/{branch}/objects/delete"
        return client.ok("POST", place, {"paths": list(paths)})["errors"]

    client.upload("x", b"1")
    assert delete("nope", "x") == []
    assert delete("main", "x", "") == []
    assert client.paths("main") == ["x"]
    (error,) = delete("main~1", "x")
    assert (error["path"], error["status_code"]) == ("x", 500)
    client.ok("PUT", f"{REPO}/settings/branch_protection", [{"pattern": "main"}])
    (error,) = delete("main", "x")
    assert (error["status_code"], error["message"]) == (403, "cannot write to protected branch")


def create_conflict(client: HttpClient) -> None:
    client.upload("both", b"base")
    client.upload("gone", b"base")
    client.commit("base")
    client.branch("dev")
    for branch in ("main", "dev"):
        client.upload("both", branch.encode(), branch)
    client.ok("DELETE", f"{REPO}/branches/dev/objects", query={"path": "gone"})
    for branch in ("main", "dev"):
        client.commit(branch, branch)


def test_diff_of_conflicting_branches_reports_conflicts(client: HttpClient) -> None:
    create_conflict(client)
    results = client.ok("GET", f"{REPO}/refs/main/diff/dev")["results"]
    assert [(item["type"], item["path"], item["size_bytes"]) for item in results] == [
        ("conflict", "both", 3),
        ("removed", "gone", 0),
    ]


def test_diff_to_staging_area_includes_uncommitted_changes(client: HttpClient) -> None:
    client.upload("x", b"1")
    query = {"type": "two_dot"}
    results = client.ok("GET", f"{REPO}/refs/main/diff/main$", query=query)["results"]
    assert [item["path"] for item in results] == ["x"]
    assert client.ok("GET", f"{REPO}/refs/main/diff/main", query=query)["results"] == []
    message = "reference 'main$': reference to staging area with $ is not a commit"
    error = client.error("GET", f"{REPO}/refs/main$/diff/main", query=query)
    assert error == (400, message)


def test_missing_ref_is_named(client: HttpClient) -> None:
    revert = {"ref": "main~99", "parent_number": 1}
    client.upload("dirty", b"1")
    for method, place, body, message in [
        ("GET", "refs/nope/commits", None, "ref: not found"),
        ("GET", "refs/nope/diff/main", None, "get commit by branch nope: not found"),
        ("GET", "refs/main/diff/nope", None, "get commit by ref nope: not found"),
        ("GET", "refs/nope/merge/main", None, "get commit by branch nope: not found"),
        ("POST", "branches/main/revert", revert, "get commit from ref main~99: not found"),
        (
            "POST",
            "branches",
            {"name": "b", "source": "nope"},
            "source reference 'nope': not found",
        ),
    ]:
        assert client.error(method, f"{REPO}/{place}", body) == (404, message)


def test_link_of_foreign_address_is_accepted(client: HttpClient) -> None:
    place = f"{REPO}/branches/main/staging/backing"
    staging = {"physical_address": "s3://elsewhere/x"}
    body = {"staging": staging, "checksum": '"abc"', "size_bytes": 1}
    stats = client.ok("PUT", place, body, query={"path": "x"})
    assert (stats["physical_address"], stats["checksum"]) == ("s3://elsewhere/x", "abc")
    status, message = client.error("GET", f"{REPO}/refs/main/objects", query={"path": "x"})
    assert (status, "NoSuchBucket" in message) == (500, True)
    body["checksum"] = '""'
    error = client.error("PUT", place, body, query={"path": "x"})
    assert error == (400, "checksum is required")


def test_commit_without_changes_creates_metarange(client: HttpClient) -> None:
    first = client.commit("empty", allow_empty=True)
    assert client.ok("GET", f"{REPO}/commits/{first}")["meta_range_id"]
    client.branch("dev", "main~1")
    merged = client.ok("POST", f"{REPO}/refs/main/merge/dev", {})
    assert client.ok("GET", f"{REPO}/commits/{merged['reference']}")["generation"] == 3


def test_get_commit_with_invalid_ref_fails(client: HttpClient) -> None:
    status, _ = client.error("GET", f"{REPO}/commits/main$")
    assert status == 500


def test_squash_merge_counts_source_generation(client: HttpClient) -> None:
    client.branch("dev")
    for number in range(3):
        client.upload("x", str(number).encode(), "dev")
        client.commit(f"c{number}", "dev")
    body = {"squash_merge": True}
    merged = client.ok("POST", f"{REPO}/refs/dev/merge/main", body)["reference"]
    assert client.ok("GET", f"{REPO}/commits/{merged}")["generation"] == 5


def test_text_is_displayed_inline(client: HttpClient) -> None:
    for content_type, disposition in {"text/plain": "inline", "text/csv": "attachment"}.items():
        client.upload("x", b"1", headers={"Content-Type": content_type})
        response = client.call("GET", f"{REPO}/refs/main/objects", query={"path": "x"})
        assert response.headers["Content-Disposition"] == disposition


def test_user_metadata_update_of_missing_repository_succeeds(client: HttpClient) -> None:
    place = "/repositories/missing/branches/main/objects/stat/user_metadata"
    client.ok("PUT", place, {"set": {"k": "v"}}, query={"path": "x"})
