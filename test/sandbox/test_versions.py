"""Branches, commits, refs, merges and write protection."""

from __future__ import annotations

import io
from typing import Any

import pytest

from lakefs_client.sandbox import Sandbox
from lakefs_client.sandbox.sample_data import sample_files

from .client import HttpClient

REPO = "/repositories/repo"


def log(client: HttpClient, ref: str = "main", **query: Any) -> list[str]:
    commits = client.ok("GET", f"{REPO}/refs/{ref}/commits", query=query)["results"]
    return [commit["message"] for commit in commits]


def diff(client: HttpClient, left: str, right: str, **query: Any) -> list[tuple[str, str]]:
    place = f"{REPO}/refs/{left}/diff/{right}"
    results = client.ok("GET", place, query=query)["results"]
    return [(item["type"], item["path"]) for item in results]


def history(client: HttpClient) -> list[str]:
    """Make three commits with one file each on main. Return all commit ids, latest first."""
    for number in (1, 2, 3):
        client.upload(f"f/{number}", str(number).encode())
        client.commit(f"c{number}")
    commits = client.ok("GET", f"{REPO}/refs/main/commits")["results"]
    return [commit["id"] for commit in commits]


def test_metarange_id_depends_on_content_only(client: HttpClient) -> None:
    client.branch("dev")
    for branch in ("main", "dev"):
        client.upload("b", b"2", branch)
        client.upload("a", b"1", branch)
        client.commit("same", branch)
    commits = [
        client.ok("GET", f"{REPO}/refs/{ref}/commits")["results"][0] for ref in ("main", "dev")
    ]
    assert commits[0]["meta_range_id"] == commits[1]["meta_range_id"]
    assert commits[0]["generation"] == 2


def test_ref_expressions_resolve_to_commits(client: HttpClient) -> None:
    c3, c2, c1, first = history(client)
    client.ok("POST", f"{REPO}/tags", {"id": "v2", "ref": "main~1"})
    expected = {
        "main": c3,
        "main@": c3,
        "main~1": c2,
        "main~": c2,
        "main^": c2,
        "main^1~1": c1,
        "main~3": first,
        "main^0": c3,
        "v2": c2,
        "v2~1": c1,
        c1: c1,
        c1[:12]: c1,
    }
    for ref, commit_id in expected.items():
        commits = client.ok("GET", f"{REPO}/refs/{ref}/commits", query={"amount": 1})
        assert commits["results"][0]["id"] == commit_id, ref
    invalid = "ref: ref: invalid value: validation error"
    for ref, status, message in [
        ("main~9", 404, "ref: not found"),
        ("nope", 404, "ref: not found"),
        (c1[:1] + "zz", 404, "ref: not found"),
        ("main^2", 400, invalid),
        ("~1", 400, invalid),
        ("main@1", 400, invalid),
        ("v2@", 400, invalid),
        ("main$", 400, f"{invalid}: should point to a commit"),
        ("main~~^^x", 400, f"ref: could not parse modifier ^x: {invalid[5:]}"),
        ("main~" + "9" * 5000, 400, f"ref: could not parse modifier ~{'9' * 5000}: {invalid[5:]}"),
    ]:
        assert client.error("GET", f"{REPO}/refs/{ref}/commits") == (status, message), ref


def test_branch_ref_includes_uncommitted_changes(client: HttpClient) -> None:
    history(client)
    client.upload("new", b"n")
    client.ok("DELETE", f"{REPO}/branches/main/objects", query={"path": "f/1"})
    assert client.paths("main") == ["f/2", "f/3", "new"]
    assert client.paths("main$") == ["f/2", "f/3", "new"]
    assert client.paths("main@") == ["f/1", "f/2", "f/3"]
    changes = client.ok("GET", f"{REPO}/branches/main/diff")["results"]
    assert [(item["type"], item["path"]) for item in changes] == [
        ("removed", "f/1"),
        ("added", "new"),
    ]
    place = f"{REPO}/refs/main/objects/stat"
    assert client.error("GET", place, query={"path": "f/1"}) == (404, "not found")


def test_reset_discards_uncommitted_changes(client: HttpClient) -> None:
    history(client)
    for path in ("a/1", "a/2", "b"):
        client.upload(path, b"x")
    place = f"{REPO}/branches/main"
    client.ok("PUT", place, {"type": "object", "path": "a/1"})
    assert client.paths("main") == ["a/2", "b", "f/1", "f/2", "f/3"]
    client.ok("PUT", place, {"type": "common_prefix", "path": "a/"})
    assert client.paths("main") == ["b", "f/1", "f/2", "f/3"]
    client.ok("PUT", place, {"type": "reset"})
    assert client.paths("main") == ["f/1", "f/2", "f/3"]
    client.ok("PUT", place, {"type": "object", "path": "unchanged"})
    missing_path = "argument path: missing path: required value: validation error"
    assert client.error("PUT", place, {"type": "object"}) == (400, missing_path)


def test_hard_reset_moves_branch_back(client: HttpClient) -> None:
    history(client)
    client.upload("dirty", b"d")
    place = f"{REPO}/branches/main/hard_reset"
    for remaining in (2, 1):
        client.ok("PUT", place, query={"ref": "main~1"})
        # Uncommitted changes stay.
        assert client.paths("main") == ["dirty", *(f"f/{n}" for n in range(1, remaining + 1))]


def test_log_filters_commits(client: HttpClient) -> None:
    c3, c2, c1, _ = history(client)
    assert log(client) == ["c3", "c2", "c1", "Repository created"]
    page = client.ok("GET", f"{REPO}/refs/main/commits", query={"amount": 2})
    assert page["pagination"] == {
        "has_more": True,
        "max_per_page": 1000,
        "next_offset": c2,
        "results": 2,
    }
    assert log(client, after=c2) == ["c1", "Repository created"]
    assert log(client, stop_at=c2) == ["c3", "c2"]
    assert log(client, objects=["f/2"]) == ["c2"]
    assert log(client, prefixes=["f/"]) == ["c3", "c2", "c1"]
    assert log(client, since="2001-01-01T00:00:00Z") == log(client)
    assert log(client, since="2999-01-01T00:00:00Z") == []
    assert client.error("GET", f"{REPO}/refs/main/commits", query={"since": "x"})[0] == 400
    client.branch("dev", "main~1")
    client.upload("d", b"d", "dev")
    client.commit("d1", "dev")
    client.ok("POST", f"{REPO}/refs/dev/merge/main", {"message": "merged"})
    assert set(log(client)) == {"merged", "c3", "d1", "c2", "c1", "Repository created"}
    assert log(client, first_parent="true") == ["merged", "c3", "c2", "c1", "Repository created"]
    assert c1 != c3


def test_diff_refs_lists_changes(client: HttpClient) -> None:
    history(client)
    client.branch("dev", "main~1")
    client.upload("g/new", b"n", "dev")
    client.upload("f/1", b"changed", "dev")
    client.commit("d", "dev")
    assert diff(client, "main", "dev") == [("changed", "f/1"), ("added", "g/new")]
    two_dot = [("changed", "f/1"), ("removed", "f/3"), ("added", "g/new")]
    assert diff(client, "main", "dev", type="two_dot") == two_dot
    assert diff(client, "main", "dev", prefix="g/") == [("added", "g/new")]
    folded = [("prefix_changed", "f/"), ("prefix_changed", "g/")]
    assert diff(client, "main", "dev", delimiter="/") == folded
    assert diff(client, "main", "dev", after="f/1") == [("added", "g/new")]
    place = f"{REPO}/refs/main/diff/dev"
    results = client.ok("GET", place, query={"include_right_stats": "true"})["results"]
    assert set(results[0]["right"]) == {"checksum", "content_type", "metadata", "mtime"}


def create_conflict(client: HttpClient) -> None:
    client.upload("both", b"base")
    client.upload("mine", b"base")
    client.commit("base")
    client.branch("dev")
    for branch, data in (("main", b"main"), ("dev", b"dev")):
        client.upload("both", data, branch)
        client.upload(f"only-{branch}", data, branch)
        client.commit(branch, branch)


def test_merge_combines_both_branches(client: HttpClient) -> None:
    client.upload("gone", b"x")
    client.commit("base")
    client.branch("dev")
    client.ok("DELETE", f"{REPO}/branches/dev/objects", query={"path": "gone"})
    client.upload("same", b"s", "dev")
    client.upload("same", b"s", "main")
    client.upload("new", b"n", "dev")
    client.commit("d", "dev")
    client.commit("m")
    client.ok("POST", f"{REPO}/refs/dev/merge/main")
    assert client.paths("main") == ["new", "same"]
    commit = client.ok("GET", f"{REPO}/refs/main/commits")["results"][0]
    assert commit["message"] == "Merge 'dev' into 'main'"
    assert commit["metadata"] == {".lakefs.merge.strategy": "default"}
    assert len(commit["parents"]) == 2


@pytest.mark.parametrize(("strategy", "wins"), [("source-wins", b"dev"), ("dest-wins", b"main")])
def test_merge_strategy_resolves_conflict(client: HttpClient, strategy: str, wins: bytes) -> None:
    create_conflict(client)
    response = client.call("POST", f"{REPO}/refs/dev/merge/main", {})
    assert (response.status, response.json()) == (409, {"reference": ""})
    merged = client.ok("POST", f"{REPO}/refs/dev/merge/main", {"strategy": strategy})
    assert client.read("both") == wins
    assert client.paths("main") == ["both", "mine", "only-dev", "only-main"]
    assert client.ok("GET", f"{REPO}/branches/main")["commit_id"] == merged["reference"]


def test_invalid_merge_is_rejected(client: HttpClient) -> None:
    create_conflict(client)
    place = f"{REPO}/refs/dev/merge/main"
    invalid = (400, "argument strategy: invalid value: validation error")
    assert client.error("POST", place, {"strategy": "x"}) == invalid
    client.upload("dirty", b"d")
    dirty = (400, "uncommitted changes (dirty branch)")
    assert client.error("POST", place, {"strategy": "source-wins"}) == dirty
    client.ok("PUT", f"{REPO}/branches/main", {"type": "reset"})
    missing = (404, "update branch main: get commit by ref nope: not found")
    assert client.error("POST", f"{REPO}/refs/nope/merge/main", {}) == missing
    assert client.error("POST", f"{REPO}/refs/dev/merge/nope", {}) == (404, "branch not found")


def test_squash_merge_has_one_parent(client: HttpClient) -> None:
    create_conflict(client)
    body = {"strategy": "source-wins", "squash_merge": True, "metadata": {"k": "v"}}
    client.ok("POST", f"{REPO}/refs/dev/merge/main", body)
    commit = client.ok("GET", f"{REPO}/refs/main/commits")["results"][0]
    assert len(commit["parents"]) == 1
    assert commit["metadata"]["k"] == "v"


def test_revert_undoes_commit(client: HttpClient) -> None:
    c3, _, c1, _ = history(client)
    place = f"{REPO}/branches/main/revert"
    client.ok("POST", place, {"ref": c1, "parent_number": 0})
    assert client.paths("main") == ["f/2", "f/3"]
    assert log(client)[0] == f"Revert {c1}"
    again = client.error("POST", place, {"ref": c1, "parent_number": 0})
    assert again == (400, "update branch: no changes")
    out_of_range = client.error("POST", place, {"ref": c3, "parent_number": 2})
    assert out_of_range == (400, "given commit does not have the given parent number: parent 2")


def test_revert_of_merge_requires_parent_number(client: HttpClient) -> None:
    create_conflict(client)
    client.ok("POST", f"{REPO}/refs/dev/merge/main", {"strategy": "source-wins"})
    place = f"{REPO}/branches/main/revert"
    assert client.error("POST", place, {"ref": "main", "parent_number": 0})[0] == 409
    client.ok("POST", place, {"ref": "main", "parent_number": 1})
    assert client.read("both") == b"main"


def test_cherry_pick_applies_commit(client: HttpClient) -> None:
    _, c2, _, first = history(client)
    client.branch("dev", first)
    overrides = {"message": "picked", "metadata": {"x": "y"}}
    body = {"ref": c2, "commit_overrides": overrides}
    picked = client.ok("POST", f"{REPO}/branches/dev/cherry-pick", body)
    assert client.paths("dev") == ["f/2"]
    assert picked["message"] == "picked"
    assert picked["metadata"] == {
        "x": "y",
        "cherry-pick-origin": c2,
        "cherry-pick-committer": "admin",
    }


def test_protected_branch_rejects_writes(client: HttpClient) -> None:
    rules = f"{REPO}/settings/branch_protection"
    client.upload("x", b"x")
    client.ok("PUT", rules, [{"pattern": "m?in"}])
    write = (403, "cannot write to protected branch")
    objects = f"{REPO}/branches/main/objects"
    assert client.error("POST", objects, query={"path": "y"}, raw=b"y") == write
    assert client.error("DELETE", objects, query={"path": "x"}) == write
    assert client.error("PUT", f"{REPO}/branches/main", {"type": "reset"}) == write
    commit = client.error("POST", f"{REPO}/branches/main/commits", {"message": "m"})
    assert commit == (403, "cannot commit to protected branch")
    client.branch("other")
    client.upload("y", b"y", "other")


def test_protection_rules_check_if_match(client: HttpClient) -> None:
    rules = f"{REPO}/settings/branch_protection"
    client.ok("PUT", rules, [{"pattern": "a"}], headers={"If-Match": ""})
    etag = client.call("GET", rules).headers["Etag"]
    stale = client.error("PUT", rules, [], headers={"If-Match": "other"})
    assert stale == (412, "Precondition failed")
    client.ok("PUT", rules, [{"pattern": "b"}], headers={"If-Match": etag})
    assert client.ok("GET", rules) == [{"pattern": "b"}]


def test_read_only_repository_rejects_writes(sandbox: Sandbox, client: HttpClient) -> None:
    namespace = sandbox.storage_namespace + "ro"
    body = {"name": "read-only", "storage_namespace": namespace, "read_only": True}
    client.ok("POST", "/repositories", body)
    place = "/repositories/read-only/branches/main"
    rejection = (403, "read-only repository")
    assert client.error("POST", f"{place}/objects", query={"path": "x"}, raw=b"") == rejection
    assert client.error("POST", f"{place}/commits", {"message": "m"}) == rejection
    assert client.call("POST", f"{place}/staging/pmpu", query={"path": "x"}).status == 201
    query = {"path": "x", "force": "true"}
    assert client.call("POST", f"{place}/objects", query=query, raw=b"").status == 201


def test_listing_supports_prefix_delimiter_and_paging(client: HttpClient) -> None:
    for path in ("a", "a/1", "a/2/x", "b", "c/1", "c/2", "d é"):
        client.upload(path, b"x")
    assert client.paths("main", delimiter="/") == ["a", "a/", "b", "c/", "d é"]
    assert client.paths("main", delimiter="/", prefix="a/") == ["a/1", "a/2/"]
    assert client.paths("main", delimiter="/", after="a/") == ["b", "c/", "d é"]
    assert client.paths("main", after="b") == ["c/1", "c/2", "d é"]
    seen: list[str] = []
    after = ""
    for _ in range(10):
        query = {"amount": 1, "delimiter": "/", "after": after}
        page = client.ok("GET", f"{REPO}/refs/main/objects/ls", query=query)
        seen += [item["path"] for item in page["results"]]
        after = page["pagination"]["next_offset"]
        if not page["pagination"]["has_more"]:
            break
    assert seen == ["a", "a/", "b", "c/", "d é"]


def test_preconditions_are_checked(client: HttpClient) -> None:
    checksum = client.upload("x", b"1")["checksum"]
    objects = f"{REPO}/branches/main/objects"
    query = {"path": "x"}
    # Open-source servers do not support If-Match.
    for headers, status in [
        ({"If-None-Match": "*"}, 412),
        ({"If-None-Match": '"other"'}, 501),
        ({"If-Match": f'"{checksum}"'}, 501),
    ]:
        assert client.call("POST", objects, query=query, headers=headers, raw=b"2").status == status
    headers = {"If-None-Match": "*"}
    assert client.call("POST", objects, query={"path": "y"}, headers=headers, raw=b"").status == 201
    etag = client.call("GET", f"{REPO}/refs/main/objects", query=query).headers["Etag"]
    fresh = client.call(
        "GET", f"{REPO}/refs/main/objects", query=query, headers={"If-None-Match": etag}
    )
    assert fresh.status == 304


def test_branches_and_tags_are_listed_and_validated(client: HttpClient) -> None:
    for name in ("a1", "a2", "b"):
        client.branch(name)
    client.ok("POST", f"{REPO}/branches", {"name": "hide", "source": "main", "hidden": True})

    def names(**query: Any) -> list[str]:
        results = client.ok("GET", f"{REPO}/branches", query=query)["results"]
        return [item["id"] for item in results]

    assert names() == ["a1", "a2", "b", "main"]
    assert names(prefix="a") == ["a1", "a2"]
    assert names(after="a2", show_hidden="true") == ["b", "hide", "main"]
    client.ok("POST", f"{REPO}/tags", {"id": "v1", "ref": "a1"})
    assert client.error("POST", f"{REPO}/branches", {"name": "v1", "source": "b"})[0] == 409
    assert client.error("POST", f"{REPO}/tags", {"id": "b", "ref": "b"})[0] == 409
    assert client.error("POST", f"{REPO}/tags", {"id": "x y", "ref": "b"})[0] == 400
    assert client.error("POST", f"{REPO}/tags", {"id": "v2", "ref": "no"}) == (404, "not found")
    client.ok("DELETE", f"{REPO}/tags/v1")
    assert client.error("DELETE", f"{REPO}/tags/v1") == (404, "tag not found")


def test_copy_keeps_metadata_across_branches(client: HttpClient) -> None:
    client.branch("dev")
    client.upload("x", b"1", "dev", headers={"x-lakefs-meta-k": "v", "Content-Type": "a/b"})
    body = {"src_path": "x", "src_ref": "dev"}
    copy = client.ok("POST", f"{REPO}/branches/main/objects/copy", body, query={"dest_path": "y"})
    assert (copy["metadata"], copy["content_type"]) == ({"k": "v"}, "a/b")
    assert client.read("y") == b"1"
    body = {"src_path": "none"}
    place = f"{REPO}/branches/main/objects/copy"
    assert client.error("POST", place, body, query={"dest_path": "z"}) == (404, "not found")


def test_pull_request_life_cycle(client: HttpClient) -> None:
    create_conflict(client)
    body = {"title": "t", "source_branch": "dev", "destination_branch": "main"}
    identifier = client.ok("POST", f"{REPO}/pulls", body)["id"]
    place = f"{REPO}/pulls/{identifier}"
    response = client.call("PUT", f"{place}/merge")
    conflict = {"message": "update branch main: conflict found"}
    assert (response.status, response.json()) == (409, conflict)
    client.ok("PATCH", place, {"status": "closed", "description": "d"})
    closed = client.ok("GET", place)
    assert (closed["status"], closed["description"]) == ("closed", "d")
    assert "closed_date" in closed
    assert client.error("PUT", f"{place}/merge") == (400, "bad pull request status")
    assert client.ok("GET", f"{REPO}/pulls", query={"status": "open"})["results"] == []
    assert len(client.ok("GET", f"{REPO}/pulls", query={"status": "closed"})["results"]) == 1
    same = {**body, "source_branch": "main"}
    assert client.error("POST", f"{REPO}/pulls", same)[0] == 400
    assert client.error("POST", f"{REPO}/pulls", {**body, "source_branch": "no"})[0] == 404


def test_import_commits_objects(sandbox: Sandbox, client: HttpClient) -> None:
    store = sandbox.blockstore
    for name in ("lake/a.csv", "lake/b.csv", "other"):
        store.put(f"sandbox/raw/{name}", store.write([name.encode()]))
    body = {
        "paths": [
            {"type": "common_prefix", "path": "s3://sandbox/raw/lake/", "destination": "in/"},
            {"type": "object", "path": "s3://sandbox/raw/other", "destination": "one"},
        ],
        "commit": {"message": "imported", "metadata": {"k": "v"}},
    }
    place = f"{REPO}/branches/main/import"
    identifier = client.ok("POST", place, body)["id"]
    status = client.ok("GET", place, query={"id": identifier})
    assert (status["completed"], status["ingested_objects"]) == (True, 3)
    assert status["commit"]["message"] == "imported"
    assert client.paths("main@") == ["in/a.csv", "in/b.csv", "one"]
    assert client.read("in/a.csv") == b"lake/a.csv"
    cancel = client.error("DELETE", place, query={"id": identifier})
    assert cancel == (409, "conflict found")

    for source, reason in [
        ("s3://elsewhere/x", "NoSuchBucket"),
        ("http://x/y", "expected storage type s3: invalid address"),
    ]:
        body["paths"] = [{"type": "object", "path": source, "destination": "x"}]
        identifier = client.ok("POST", place, body)["id"]
        status = client.ok("GET", place, query={"id": identifier})
        assert status["completed"] is False
        assert reason in status["error"]["message"]


def test_import_replaces_destination(sandbox: Sandbox, client: HttpClient) -> None:
    client.upload("in/old", b"1")
    client.upload("out", b"2")
    client.commit("base")
    store = sandbox.blockstore
    store.put("sandbox/raw/new", store.write([b"3"]))
    source = {"type": "common_prefix", "path": "s3://sandbox/raw/", "destination": "in/"}
    body = {"paths": [source], "commit": {"message": "imported"}}
    client.ok("POST", f"{REPO}/branches/main/import", body)
    assert client.paths("main") == ["in/new", "out"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("s3://sandbox/repo/x", "import path (s3://sandbox/repo/x) in repository namespace"),
        ("s3://sand", "prefix (s3://sand) contains repository namespace"),
    ],
)
def test_import_from_repository_namespace_is_rejected(
    client: HttpClient, source: str, message: str
) -> None:
    paths = [{"type": "common_prefix", "path": source, "destination": "x"}]
    body = {"paths": paths, "commit": {"message": "imported"}}
    status, text = client.error("POST", f"{REPO}/branches/main/import", body)
    assert (status, text[: len(message)]) == (400, message)


def test_restore_recreates_refs_of_dump(sandbox: Sandbox, client: HttpClient) -> None:
    history(client)
    client.ok("POST", f"{REPO}/tags", {"id": "v1", "ref": "main~1"})
    dump = client.ok("PUT", f"{REPO}/refs/dump")
    error = client.error("PUT", f"{REPO}/refs/restore", dump)
    assert error[0] == 400
    client.ok("DELETE", REPO)
    body = {"name": "repo", "storage_namespace": f"{sandbox.storage_namespace}repo"}
    client.ok("POST", "/repositories", body, query={"bare": "true"})
    client.ok("PUT", f"{REPO}/refs/restore", dump)
    assert client.paths("v1") == ["f/1", "f/2"]
    assert log(client) == ["c3", "c2", "c1", "Repository created"]


def test_dump_and_restore_run_as_tasks(sandbox: Sandbox, client: HttpClient) -> None:
    history(client)
    task = client.ok("POST", f"{REPO}/dump")["id"]
    status = client.ok("GET", f"{REPO}/dump", query={"task_id": task})
    assert (status["id"], status["done"]) == (task, True)
    client.ok("DELETE", REPO)
    body = {"name": "repo", "storage_namespace": f"{sandbox.storage_namespace}repo"}
    client.ok("POST", "/repositories", body, query={"bare": "true"})
    task = client.ok("POST", f"{REPO}/restore", status["refs"])["id"]
    assert client.ok("GET", f"{REPO}/restore", query={"task_id": task})["done"] is True
    assert client.paths("main") == ["f/1", "f/2", "f/3"]
    assert client.error("GET", f"{REPO}/restore", query={"task_id": "x"}) == (404, "not found")


def test_symlink_file_has_addresses(sandbox: Sandbox, client: HttpClient) -> None:
    address = client.upload("d/x", b"1")["physical_address"]
    location = client.ok("POST", f"{REPO}/refs/main/symlink")["location"]
    key = location.removeprefix("s3://") + "/d/symlink.txt"
    assert sandbox.blockstore.objects()[key].read() == address.encode()


def test_commit_accepts_date_and_metarange(client: HttpClient) -> None:
    client.commit("empty", allow_empty=True, date=1_000_000_000)
    commit = client.ok("GET", f"{REPO}/refs/main/commits")["results"][0]
    assert commit["creation_date"] == 1_000_000_000
    client.upload("x", b"x")
    made = client.ok("GET", f"{REPO}/commits/{client.commit('one')}")
    client.branch("dev", "main~1")
    place = f"{REPO}/branches/dev/commits"
    query = {"source_metarange": made["meta_range_id"]}
    client.ok("POST", place, {"message": "from metarange"}, query=query)
    assert client.paths("dev") == ["x"]
    query = {"source_metarange": "none"}
    error = client.error("POST", place, {"message": "m"}, query=query)
    assert error == (404, "metarange not found")


def test_commit_record_is_created(client: HttpClient) -> None:
    c3, c2, _, _ = history(client)
    commit = client.ok("GET", f"{REPO}/commits/{c3}")
    body = {
        "commit_id": "a" * 64,
        "version": 1,
        "committer": "somebody",
        "message": "recorded",
        "metarange_id": commit["meta_range_id"],
        "creation_date": 1,
        "parents": [c2],
        "generation": 4,
    }
    client.ok("POST", f"{REPO}/commits", body)
    assert log(client, "aaaa")[:2] == ["recorded", "c2"]
    assert client.error("POST", f"{REPO}/commits", body)[0] == 409
    body |= {"commit_id": "b" * 64, "parents": ["none"]}
    assert client.error("POST", f"{REPO}/commits", body) == (404, "parent commit none not found")


def test_staged_object_can_be_read(sandbox: Sandbox, client: HttpClient) -> None:
    store = sandbox.blockstore
    store.put("sandbox/raw/x", store.write([b"raw"]))
    body = {"physical_address": "s3://sandbox/raw/x", "checksum": "c", "size_bytes": 3}
    client.ok("PUT", f"{REPO}/branches/main/objects", body, query={"path": "x"})
    assert client.read("x") == b"raw"


def test_repository_settings_are_stored(client: HttpClient) -> None:
    client.ok("POST", f"{REPO}/metadata", {"metadata": {"a": "1", "b": "2"}})
    client.ok("DELETE", f"{REPO}/metadata", {"keys": ["a"]})
    assert client.ok("GET", f"{REPO}/metadata") == {"b": "2"}
    rules = {"default_retention_days": 1, "branches": []}
    client.ok("POST", f"{REPO}/gc/rules", rules)
    assert client.ok("GET", f"{REPO}/settings/gc_rules") == rules
    client.ok("DELETE", f"{REPO}/settings/gc_rules")
    assert client.error("GET", f"{REPO}/gc/rules") == (404, "not found")
    client.ok("POST", f"{REPO}/branch_protection", {"pattern": "p*"})
    assert client.ok("GET", f"{REPO}/branch_protection") == [{"pattern": "p*"}]
    client.ok("DELETE", f"{REPO}/branch_protection", {"pattern": "p*"})
    assert client.error("DELETE", f"{REPO}/branch_protection", {"pattern": "p*"})[0] == 404


def test_storage_namespace_cannot_be_reused(sandbox: Sandbox, client: HttpClient) -> None:
    namespace = f"{sandbox.storage_namespace}repo"
    body = {"name": "other", "storage_namespace": namespace}
    client.ok("DELETE", REPO)
    error = client.error("POST", "/repositories", body)
    message = (
        "failed to create repository: found lakeFS objects in the storage "
        f"(:{namespace}) key(_lakefs/dummy): storage namespace already in use"
    )
    assert error == (400, message)
    client.ok("POST", "/repositories", {**body, "storage_namespace": f"{namespace}/below"})


@pytest.mark.parametrize(
    ("namespace", "message"),
    [
        ("http://x", "failed to match required regex ^s3://: invalid namespace"),
        ("s3://other/x", "failed to create repository: failed to access storage"),
    ],
)
def test_unusable_namespace_is_rejected(client: HttpClient, namespace: str, message: str) -> None:
    body = {"name": "other", "storage_namespace": namespace}
    assert client.error("POST", "/repositories", body) == (400, message)


def test_sample_data_has_files_and_commit(sandbox: Sandbox, client: HttpClient) -> None:
    namespace = f"{sandbox.storage_namespace}sample"
    body = {"name": "sample", "storage_namespace": namespace, "sample_data": True}
    client.ok("POST", "/repositories", body)
    place = "/repositories/sample"
    listing = client.ok("GET", f"{place}/refs/main/objects/ls", query={"amount": 1000})["results"]
    sizes = {item["path"]: item["size_bytes"] for item in listing}
    images = [path for path in sizes if path.startswith("images/")]
    assert len(images) == 29
    assert sizes.keys() - images == {"README.md", "data/lakes.source.md", "lakes.parquet"}
    assert sizes["lakes.parquet"] > 512 * 1024
    log = client.ok("GET", f"{place}/refs/main/commits")["results"]
    assert [commit["message"] for commit in log] == ["Add sample data", "Repository created"]
    assert client.ok("GET", f"{place}/settings/branch_protection") == [{"pattern": "main"}]


def test_sample_parquet_file_is_readable() -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
    data = dict(sample_files())["lakes.parquet"]
    table = parquet.read_table(io.BytesIO(data))
    assert table.column_names == ["Hylak_id", "Lake_name", "Country", "Depth_m"]
    assert table.slice(0, 1).to_pylist() == [
        {"Hylak_id": 1, "Lake_name": "Lake 00001", "Country": "Uganda", "Depth_m": 3.7}
    ]
