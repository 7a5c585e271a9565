"""Commands for repositories, branches, tags, commits and merges."""

from __future__ import annotations

import json

from integration.support import Repo, Repositories, Server
from support.waiting import eventually

from cli.support import Cli


def test_repo_is_created_listed_and_deleted(
    cli: Cli, repositories: Repositories, lakefs_server: Server
) -> None:
    name = repositories.new_name("cli-test-")
    namespace = lakefs_server.namespace(name)
    created = cli("repo", "create", f"lakefs://{name}", namespace, "-d", "trunk", "--json").json
    assert (created["id"], created["default_branch"]) == (name, "trunk")
    assert cli("repo", "show", f"lakefs://{name}").lines[0].split("\t")[2:] == ["trunk", namespace]
    listed = cli("repo", "list", "--prefix", name, "--json").items
    assert [repository["id"] for repository in listed] == [name]
    assert "no terminal" in cli("repo", "delete", f"lakefs://{name}", code=2).err
    assert cli("repo", "delete", f"lakefs://{name}", "--yes", "--json").json == {"deleted": name}
    eventually(lambda: cli.run("repo", "show", f"lakefs://{name}").code == 3)


def test_existing_repository_is_a_conflict(
    cli: Cli, repo: Repo, uri: str, lakefs_server: Server
) -> None:
    failed = cli("repo", "create", uri, lakefs_server.namespace(f"{repo.name}/b"), code=4)
    assert "409" in failed.err
    existing = cli("repo", "create", uri, repo.storage_namespace, "--exist-ok", "--json").json
    assert existing["id"] == repo.name
    other = lakefs_server.namespace(f"{repo.name}/b")
    cli("repo", "create", uri, other, "--exist-ok", code=4)


def test_branch_is_created_listed_and_deleted(cli: Cli, repo: Repo, uri: str) -> None:
    head = repo.head()
    created = cli("branch", "create", f"{uri}/dev", "-s", f"{uri}/main")
    assert created.lines == [f"dev\t{head}"]
    cli("branch", "create", f"{uri}/dev", "-s", f"{uri}/main", code=4)
    cli("branch", "create", f"{uri}/dev", "-s", f"{uri}/main", "--exist-ok")
    listed = cli("branch", "list", uri, "--json").items
    assert [branch["id"] for branch in listed] == ["dev", "main"]
    assert cli("branch", "show", f"{uri}/dev", "--json").json == {"id": "dev", "commit_id": head}
    assert "no terminal" in cli("branch", "delete", f"{uri}/dev", code=2).err
    cli("branch", "delete", f"{uri}/dev", "-y")
    cli("branch", "show", f"{uri}/dev", code=3)


def test_reset_discards_uncommitted_changes(cli: Cli, repo: Repo, uri: str) -> None:
    for path in ("a", "dir/b", "c"):
        repo.upload(path)
    cli("branch", "reset", f"{uri}/main", "--object", "a", "--yes")
    cli("branch", "reset", f"{uri}/main", "--prefix", "dir/", "--yes")
    assert repo.paths() == ["c"]
    assert "no terminal" in cli("branch", "reset", f"{uri}/main", code=2).err
    cli("branch", "reset", f"{uri}/main", "--yes")
    assert repo.paths() == []


def test_branch_protection_is_added_listed_and_deleted(cli: Cli, uri: str) -> None:
    cli("branch", "protect", "add", uri, "main")
    cli("branch", "protect", "add", uri, "release-*")
    cli("branch", "protect", "add", uri, "main", code=4)
    assert sorted(cli("branch", "protect", "list", uri).lines) == ["main", "release-*"]
    cli.file("a", b"a")
    cli("cp", "a", f"{uri}/main/a", code=5)
    cli("branch", "protect", "delete", uri, "main")
    cli("branch", "protect", "delete", uri, "main", code=3)
    assert cli("branch", "protect", "list", uri, "--json").json == {"pattern": "release-*"}


def test_tag_is_created_moved_and_deleted(cli: Cli, repo: Repo, uri: str) -> None:
    first = repo.head()
    assert cli("tag", "create", f"{uri}/v1", f"{uri}/main").lines == [f"v1\t{first}"]
    second = repo.change("a")
    cli("tag", "create", f"{uri}/v1", f"{uri}/main", code=4)
    cli("tag", "create", f"{uri}/v1", f"{uri}/main", "--exist-ok", code=4)
    cli("tag", "create", f"{uri}/v1", f"{uri}/main~1", "--exist-ok")
    cli("tag", "create", f"{uri}/v1", f"{uri}/main", "--force")
    cli("tag", "create", f"{uri}/v1", f"{uri}/missing", "--force", code=3)
    assert cli("tag", "show", f"{uri}/v1", "--json").json["commit_id"] == second
    assert cli("tag", "list", uri).lines == [f"v1\t{second}"]
    cli("tag", "delete", f"{uri}/v1", code=2)
    cli("tag", "delete", f"{uri}/v1", "--yes")
    cli("tag", "show", f"{uri}/v1", code=3)


def test_commit_prints_its_id(cli: Cli, repo: Repo, uri: str) -> None:
    repo.upload("a")
    committed = cli("commit", f"{uri}/main", "-m", "add a", "--meta", "run=1")
    assert committed.lines == [repo.head()]
    commit = repo.lakefs.commits_api.get_commit(repo.name, repo.head())
    assert (commit.message, commit.metadata) == ("add a", {"run": "1"})


def test_commit_without_changes_needs_if_changed(cli: Cli, repo: Repo, uri: str) -> None:
    head = repo.head()
    failed = cli("commit", f"{uri}/main", "-m", "none", code=4)
    assert "no changes" in failed.err
    assert "--if-changed" in failed.err
    skipped = cli("commit", f"{uri}/main", "-m", "none", "--if-changed")
    assert skipped.out == b""
    assert "nothing to commit" in skipped.err
    record = cli("commit", f"{uri}/main", "-m", "none", "--if-changed", "--json").json
    assert record == {"id": None}
    assert repo.head() == head
    cli("commit", f"{uri}/main", "-m", "empty", "--allow-empty-commit")
    assert repo.head() != head


def test_commit_needs_a_message(cli: Cli, repo: Repo, uri: str) -> None:
    repo.upload("a")
    assert "needs a message" in cli("commit", f"{uri}/main", code=2).err
    cli("commit", f"{uri}/main", "--allow-empty-message")


def test_log_lists_the_newest_commit_first(cli: Cli, repo: Repo, uri: str) -> None:
    first, second = repo.change("a"), repo.change("b")
    lines = cli("log", f"{uri}/main").lines
    assert [line.split("\t")[0] for line in lines[:2]] == [second[:16], first[:16]]
    assert lines[0].split("\t")[3] == "change b"
    only = cli("log", f"{uri}/main", "--objects", "a", "--json").json
    assert only["id"] == first
    assert len(cli("log", f"{uri}/main", "--amount", 1).lines) == 1
    newer = cli("log", f"{uri}/main", "--since", "2999-01-01T00:00:00Z")
    assert newer.lines == []


def test_log_no_merges_excludes_merge_commits(cli: Cli, repo: Repo, uri: str) -> None:
    repo.branch("dev")
    change = repo.change("a", branch="dev")
    merged = cli("merge", f"{uri}/dev", f"{uri}/main").lines
    assert merged == [repo.head()]
    listed = cli("log", f"{uri}/main", "--no-merges", "--amount", 1, "--json").json
    assert listed["id"] == change


def test_diff_compares_branch_or_refs(cli: Cli, repo: Repo, uri: str) -> None:
    repo.change("old")
    repo.branch("dev")
    repo.upload("new", branch="dev")
    repo.lakefs.objects_api.delete_object(repo.name, "dev", "old")
    expected = ["+ added new", "- removed old"]
    assert cli("diff", f"{uri}/dev").lines == expected
    repo.commit(branch="dev")
    assert cli("diff", f"{uri}/dev").lines == []
    assert cli("diff", f"{uri}/main", f"{uri}/dev").lines == expected
    two_way = cli("diff", "--two-way", f"{uri}/dev", f"{uri}/main", "--json").items
    assert {item["path"]: item["type"] for item in two_way} == {"new": "removed", "old": "added"}


def test_merge_without_changes_needs_if_changed(cli: Cli, repo: Repo, uri: str) -> None:
    repo.branch("dev")
    cli("merge", f"{uri}/dev", f"{uri}/main", code=4)
    assert cli("merge", f"{uri}/dev", f"{uri}/main", "--if-changed").out == b""


def test_merge_into_uncommitted_changes_has_a_hint(cli: Cli, repo: Repo, uri: str) -> None:
    repo.branch("dev")
    repo.change("a", b"dev", branch="dev")
    repo.upload("b")
    refused = cli("merge", f"{uri}/dev", f"{uri}/main", code=1).err
    assert "dirty branch" in refused
    assert "'branch reset' discards them" in refused


def test_merge_strategy_resolves_a_conflict(cli: Cli, repo: Repo, uri: str) -> None:
    repo.branch("dev")
    repo.change("a", b"main")
    repo.change("a", b"dev", branch="dev")
    refused = cli("merge", f"{uri}/dev", f"{uri}/main", code=4).err
    assert refused.startswith("conflict: a\n")
    assert "hint: --strategy" in refused
    record = json.loads(cli("merge", f"{uri}/dev", f"{uri}/main", "--json", code=4).err)
    assert record["paths"] == ["a"]
    assert repo.read("a") == b"main"
    cli("merge", f"{uri}/dev", f"{uri}/main", "--strategy", "source-wins", "-m", "theirs")
    assert repo.read("a") == b"dev"


def test_commands_reject_refs_of_two_repositories(cli: Cli) -> None:
    one, two = "lakefs://repo-1/main", "lakefs://repo-2/main"
    cli("merge", one, two, code=2)
    cli("diff", one, two, code=2)
    cli("branch", "create", one, "-s", two, code=2)
    cli("tag", "create", one, two, code=2)
