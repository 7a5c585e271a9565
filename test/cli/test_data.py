"""Commands for objects and folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from integration.support import Repo

from cli.support import Cli

KEYS = (
    "plain.txt", "with space", "a?b", "a#b", "100%", "50%25", "/leading", "double//slash", "ünï/☃",
    "quote'\"", "a+b=c&d",
)  # fmt: skip


def test_cp_uploads_and_downloads_a_file(cli: Cli, repo: Repo, uri: str) -> None:
    cli.file("model.bin", b"weights")
    cli("cp", "model.bin", f"{uri}/main/models/v1.bin")
    assert repo.read("models/v1.bin") == b"weights"
    cli("cp", f"{uri}/main/models/v1.bin", "copy.bin")
    assert (cli.folder / "copy.bin").read_bytes() == b"weights"


def test_cp_to_folder_keeps_the_name(cli: Cli, repo: Repo, uri: str) -> None:
    cli.file("a.txt", b"a")
    cli("cp", "a.txt", f"{uri}/main/folder/")
    cli("cp", "a.txt", f"{uri}/main")
    cli("cp", f"{uri}/main/a.txt", f"{uri}/main/copies/")
    assert repo.paths() == ["a.txt", "copies/a.txt", "folder/a.txt"]
    (cli.folder / "down").mkdir()
    cli("cp", f"{uri}/main/a.txt", "down")
    assert (cli.folder / "down" / "a.txt").read_bytes() == b"a"


def test_cp_reads_stdin_and_writes_stdout(cli: Cli, repo: Repo, uri: str) -> None:
    content = bytes(range(256)) * 1000
    cli("cp", "-", f"{uri}/main/stream", stdin=content)
    assert repo.read("stream") == content
    assert cli("cp", f"{uri}/main/stream", "-").out == content


def test_cp_sets_metadata_and_content_type(cli: Cli, repo: Repo, uri: str) -> None:
    cli.file("a.txt", b"a")
    cli(
        "cp", "a.txt", f"{uri}/main/a", "--content-type", "text/x-special",
        "--meta", "run=42,stage=dev", "--meta", "note=a, b",
    )  # fmt: skip
    stats = repo.stat("a")
    assert stats.content_type == "text/x-special"
    assert stats.metadata.to_dict() == {"run": "42", "stage": "dev", "note": "a, b"}


def test_cp_json_output_is_the_object(cli: Cli, uri: str) -> None:
    cli.file("a.txt", b"abc")
    stats = cli("cp", "--json", "a.txt", f"{uri}/main/a").json
    assert (stats["path"], stats["size_bytes"]) == ("a", 3)


def test_recursive_cp_filters_and_skips_files(cli: Cli, repo: Repo, uri: str) -> None:
    cli.file("set/a.txt", b"a")
    cli.file("set/sub/b.txt", b"b")
    cli.file("set/sub/c.log", b"c")
    up = cli("cp", "-r", "set", f"{uri}/main/set", "--exclude", "*.log", "--json").json
    assert (up["transferred"], up["skipped"], up["failed"]) == (2, 0, 0)
    assert repo.paths() == ["set/a.txt", "set/sub/b.txt"]
    down = cli("cp", "-r", f"{uri}/main/set/", "back", "--include", "sub/*", "--json").json
    assert down["transferred"] == 1
    assert (cli.folder / "back/sub/b.txt").read_bytes() == b"b"
    again = cli("cp", "-r", "set", f"{uri}/main/set", "--exclude", "*.log")
    assert again.err == "2 unchanged (2 B)\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.txt", "b.txt"), "both are on this machine"),
        (("-", "-"), "both are on this machine"),
        (("-", "lakefs://repo-1/main/"), "stdin has no name"),
        (("-", "lakefs://repo-1/main/a", "--resume"), "--resume is not for stdin"),
        (("lakefs://repo-1/main/", "a.txt"), "is not the address of an object"),
        (("lakefs://repo-1/main/a", "lakefs://repo-2/main/a"), "within one repository"),
        (("lakefs://repo-1/main/a", "a", "--meta", "a=b"), "are for uploads"),
        (("-r", "-", "lakefs://repo-1/main/a"), "expected two folders"),
        (("-r", "home", "lakefs://repo-1/main/a", "--content-type", "x/y"), "guessed"),
        (("home", "lakefs://repo-1/main/a"), "is a folder"),
        (("home", "lakefs://repo-1/main/a", "--include", "x"), "copies with -r"),
        (("s3://bucket/key", "a"), "expected lakefs://REPOSITORY/REF/PATH, a local path"),
        (("lakefs://repo-1", "a"), "expected lakefs://REPOSITORY/REF"),
        (("lakefs://No/main/a", "a"), "invalid repository name"),
        (("a.txt", "lakefs://repo-1/main/a", "--part-size", "5xB"), "expected a size"),
        (("a.txt", "lakefs://repo-1/main/a", "--part-size", "1KiB"), "part_size must be"),
        (("a.txt", "lakefs://repo-1/main/a", "-p", "0"), "expected a number above 0"),
        (("a.txt", "lakefs://repo-1/main/a", "--meta", "x"), "expected KEY=VALUE"),
    ],
)
def test_cp_rejects_invalid_arguments(cli: Cli, arguments: tuple[str, ...], message: str) -> None:
    assert message in cli("cp", *arguments, code=2).err


def test_special_keys_have_readable_addresses(cli: Cli, repo: Repo, uri: str) -> None:
    for number, key in enumerate(KEYS):
        repo.upload(key, str(number).encode())
    listed = [item["path"] for item in cli("ls", "-r", f"{uri}/main/", "--json").items]
    assert sorted(listed) == sorted(KEYS)
    from lakefs_client.uri import ObjectRef

    addresses = [str(ObjectRef(repo.name, "main", key)) for key in KEYS]
    assert cli("cat", *addresses).text == "".join(map(str, range(len(KEYS))))


def test_ls_shows_folders_unless_recursive(cli: Cli, repo: Repo, uri: str) -> None:
    for path in ("a.txt", "dir/b.txt", "dir/sub/c.txt"):
        repo.upload(path, b"123")
    kinds = [line.split("\t")[0::3] for line in cli("ls", f"{uri}/main/").lines]
    assert kinds == [["object", "a.txt"], ["prefix", "dir/"]]
    paths = [line.split("\t")[3] for line in cli("ls", "-r", f"{uri}/main").lines]
    assert paths == ["a.txt", "dir/b.txt", "dir/sub/c.txt"]
    assert len(cli("ls", "-r", f"{uri}/main", "--amount", 2).lines) == 2
    after = cli("ls", "-r", f"{uri}/main", "--after", "dir/b.txt").lines
    assert [line.split("\t")[3] for line in after] == ["dir/sub/c.txt"]


def test_ls_escapes_control_characters(cli: Cli, repo: Repo, uri: str) -> None:
    repo.upload("red\x1b[31m\nname", b"x")
    listed = cli("ls", f"{uri}/main/")
    assert listed.lines[0].split("\t")[3] == r"red\x1b[31m\nname"
    assert len(listed.lines) == 1
    assert cli("ls", f"{uri}/main/", "--json").json["path"] == "red\x1b[31m\nname"


def test_stat_shows_an_object(cli: Cli, repo: Repo, uri: str) -> None:
    stats = repo.upload("a.txt", b"abc")
    shown = cli("stat", f"{uri}/main/a.txt").text
    assert f"Checksum:         {stats.checksum}\n" in shown
    assert "Size:             3\n" in shown
    assert cli("stat", f"{uri}/main/a.txt", "--json").json["size_bytes"] == 3


def test_rm_deletes_an_object(cli: Cli, repo: Repo, uri: str) -> None:
    repo.upload("a.txt")
    cli("rm", f"{uri}/main/a.txt")
    assert repo.paths() == []
    assert "a.txt" in cli("rm", f"{uri}/main/a.txt", code=3).err


def test_presign_prints_a_url(cli: Cli, repo: Repo, uri: str) -> None:
    if not repo.lakefs.config_api.get_config().storage_config.pre_sign_support:
        pytest.skip("this server's store has no presigned URLs (pre_sign_support)")
    repo.upload("a.txt", b"abc")
    shown = cli("presign", f"{uri}/main/a.txt")
    (url,) = shown.lines
    assert url.startswith("http")
    assert "secret" in shown.err
    record = json.loads(cli("presign", f"{uri}/main/a.txt", "--json").text)
    assert record["url"].startswith("http")


@pytest.fixture
def folder(cli: Cli) -> Path:
    """Provide a local folder of three files."""
    for name, content in (("a.txt", b"a"), ("sub/b.txt", b"bb"), ("sub/c.log", b"ccc")):
        cli.file(f"set/{name}", content)
    return cli.folder / "set"


def test_sync_uploads_and_deletes(cli: Cli, repo: Repo, uri: str, folder: Path) -> None:
    repo.upload("set/old.txt", b"old")
    repo.upload("setting", b"another")
    target = f"{uri}/main/set"
    kept = cli("sync", "set", target, "--json").json
    assert (kept["transferred"], kept["deleted"]) == (3, 0)
    done = cli("sync", "set", target, "--delete", "--exclude", "*.log", "--json").json
    assert (done["transferred"], done["skipped"], done["deleted"]) == (0, 2, 1)
    assert repo.paths() == ["set/a.txt", "set/sub/b.txt", "set/sub/c.log", "setting"]
    (folder / "a.txt").unlink()
    done = cli("sync", "set", target, "--delete")
    assert done.out == b""
    assert done.err == "2 unchanged (5 B), 1 deleted (1 B)\n"


def test_sync_downloads_and_deletes(cli: Cli, repo: Repo, uri: str) -> None:
    for path in ("set/a.txt", "set/sub/b.txt"):
        repo.upload(path)
    cli.file("down/old.txt", b"old")
    cli("sync", f"{uri}/main/set", "down", "--delete")
    files = sorted(str(path.relative_to(cli.folder)) for path in cli.folder.glob("down/**/*.txt"))
    assert files == ["down/a.txt", "down/sub/b.txt"]


def test_sync_copies_within_a_repository(cli: Cli, repo: Repo, uri: str) -> None:
    repo.upload("set/a.txt", b"a")
    repo.upload("copy/old.txt", b"old")
    cli("sync", f"{uri}/main/set", f"{uri}/main/copy", "--delete")
    assert repo.paths() == ["copy/a.txt", "set/a.txt"]
    cli("cp", "-r", f"{uri}/main/set/", f"{uri}/main/more/")
    assert repo.read("more/a.txt") == b"a"
    cli("sync", f"{uri}/main/set", "lakefs://another-repo/main/copy", code=2)


def test_dry_run_changes_nothing(cli: Cli, repo: Repo, uri: str, folder: Path) -> None:
    cli("cp", folder / "a.txt", f"{uri}/main/set/a.txt")
    repo.upload("set/old.txt", b"old")
    sync = ("sync", "set", f"{uri}/main/set", "--delete", "--dry-run")
    shown = cli(*sync)
    lines = [line.split("\t")[:3] for line in shown.lines]
    assert sorted(lines) == [
        ["deleted", "3 B", "old.txt"],
        ["transferred", "2 B", "sub/b.txt"],
        ["transferred", "3 B", "sub/c.log"],
    ]
    assert shown.err.startswith("dry run: 2 transferred (5 B), 1 unchanged (1 B), 1 deleted (3 B)")
    entries = {entry["path"]: entry["action"] for entry in cli(*sync, "--json").items}
    assert entries["a.txt"] == "skipped"
    assert repo.paths() == ["set/a.txt", "set/old.txt"]


def test_missing_source_is_not_found(cli: Cli, repo: Repo, uri: str) -> None:
    repo.upload("set/a.txt")
    cli.file("down/a.txt", b"a")
    for command in (("cp", "-r"), ("sync", "--delete")):
        assert "no objects" in cli(*command, f"{uri}/main/se", "down", code=3).err
        cli(*command, f"{uri}/main/se", f"{uri}/main/copy", code=3)
        cli(*command, "no-folder", f"{uri}/main/set", code=3)
    cli("rm", "-r", f"{uri}/main/se", code=3)
    assert repo.paths() == ["set/a.txt"]
    assert (cli.folder / "down/a.txt").exists()


def test_recursive_rm_filters_and_needs_confirmation(cli: Cli, repo: Repo, uri: str) -> None:
    for path in ("set/a.txt", "set/sub/b.txt", "set/sub/c.log", "setting"):
        repo.upload(path, b"123")
    dry = cli("rm", "-r", f"{uri}/main/set", "--dry-run", "--include", "*.txt")
    assert len(dry.lines) == 2
    assert len(repo.paths()) == 4
    cli("rm", "-r", f"{uri}/main/set", "--include", "*.txt")
    assert repo.paths() == ["set/sub/c.log", "setting"]
    assert cli("rm", "-r", f"{uri}/main/set/", "--json").json["deleted"] == 1
    assert "no terminal" in cli("rm", "-r", f"{uri}/main", code=2).err
    assert "setting" in cli("rm", f"{uri}/main/setting", "--dry-run").text
    assert repo.paths() == ["setting"]
    cli("rm", "-r", f"{uri}/main", "--yes")
    assert repo.paths() == []
    cli("rm", f"{uri}/main", code=2)
