"""Garbage collection, metadata objects and communication preferences."""

from __future__ import annotations

import io
from typing import Any

import pytest

from lakefs_client.sandbox import Sandbox

from .client import HttpClient

REPO = "/repositories/repo"
DAY = 24 * 3600


def expired_commits(client: HttpClient, answer: Any) -> dict[str, bool]:
    """Return the commits of a prepared garbage collection, by message."""
    text = client.http.request("GET", answer["gc_commits_presigned_url"]).data.decode()
    header, *lines = text.splitlines()
    assert header == "commit_id,expired,metarange_id"
    commits = {}
    for line in lines:
        commit_id, is_expired, meta_range_id = line.split(",")
        commit = client.ok("GET", f"{REPO}/commits/{commit_id}")
        assert commit["meta_range_id"] == meta_range_id
        commits[commit["message"]] = is_expired == "true"
    return commits


def test_prepared_commits_follow_rules(sandbox: Sandbox, client: HttpClient) -> None:
    place = f"{REPO}/gc/prepare_commits"
    assert client.error("POST", place) == (404, "get gc rules: not found")
    rules = {"default_retention_days": 10, "branches": [{"branch_id": "dev", "retention_days": 1}]}
    client.ok("POST", f"{REPO}/gc/rules", rules)
    client.branch("dev")
    for number in range(3):
        sandbox.clock.advance(4 * DAY)
        for branch in ("main", "dev"):
            client.upload("x", f"{branch}{number}".encode(), branch)
            client.commit(f"{branch}{number}", branch)
    answer = client.ok("POST", place)
    assert answer["gc_commits_location"].endswith(f"run_id={answer['run_id']}/commits.csv")
    assert expired_commits(client, answer) == {
        "Repository created": False,
        "main0": False,
        "main1": False,
        "main2": False,
        "dev0": True,
        "dev1": False,
        "dev2": False,
    }


def test_task_prepares_commits(client: HttpClient) -> None:
    place = f"{REPO}/gc/prepare_commits"
    task = client.ok("POST", f"{place}/async")["id"]
    status = client.ok("GET", f"{place}/status", query={"id": task})
    assert (status["completed"], status["error"]) == (True, {"message": "get gc rules: not found"})
    client.ok("POST", f"{REPO}/gc/rules", {"default_retention_days": 1, "branches": []})
    task = client.ok("POST", f"{place}/async")["id"]
    status = client.ok("GET", f"{place}/status", query={"id": task})
    assert expired_commits(client, status["result"]) == {"Repository created": False}
    assert client.error("GET", f"{place}/status", query={"id": "x"}) == (404, "not found")


def test_uncommitted_objects_are_in_parquet_file(sandbox: Sandbox, client: HttpClient) -> None:
    place = f"{REPO}/gc/prepare_uncommited"
    assert client.ok("POST", place, {})["gc_uncommitted_location"] == ""
    error = client.error("POST", place, {"continuation_token": "x"})
    assert error == (400, "invalid continuation token")
    address = client.upload("x", b"1")["physical_address"]
    location = client.ok("POST", place)["gc_uncommitted_location"]
    key = f"{location.removeprefix('s3://')}part-1.parquet"
    data = sandbox.blockstore.objects()[key].read()
    assert (data[:4], data[-4:]) == (b"PAR1", b"PAR1")
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
    (row,) = parquet.read_table(io.BytesIO(data)).to_pylist()
    assert address.endswith(row["physical_address"])


def test_metadata_object_can_be_downloaded(client: HttpClient) -> None:
    client.upload("x", b"1")
    meta_range = client.ok("GET", f"{REPO}/commits/{client.commit('m')}")["meta_range_id"]
    place = f"{REPO}/metadata/object/meta_range"
    assert client.ok("GET", f"{place}/{meta_range}") is None
    response = client.call("GET", f"{place}/{meta_range}", query={"presign": "true"})
    assert response.status == 302
    assert client.http.request("GET", response.headers["Location"]).status == 200
    assert client.error("GET", f"{place}/none") == (410, "No data")


def test_communication_preferences_are_stored(client: HttpClient) -> None:
    body = {"featureUpdates": True, "securityUpdates": False}
    assert client.ok("GET", "/setup_lakefs")["comm_prefs_missing"] is True
    place = "/setup_comm_prefs"
    assert client.error("POST", place, body) == (400, "email is required")
    error = client.error("POST", place, {**body, "email": "nobody"})
    assert error == (400, "invalid email address")
    client.ok("POST", place, {**body, "email": "someone@example.com"})
    assert client.ok("GET", "/setup_lakefs")["comm_prefs_missing"] is False
