"""Commands for objects and folders."""

from __future__ import annotations

import json

import pytest
from integration.support import Repo

from cli.support import Cli

KEYS = (
    "plain.txt", "with space", "a?b", "a#b", "100%", "50%25", "/leading", "double//slash", "ünï/☃",
    "quote'\"", "a+b=c&d",
)  # fmt: skip


def test_upload_and_download_of_a_file(cli: Cli, repo: Repo, uri: str) -> None:
    cli.file("model.bin", b"weights")
    cli("cp", "model.bin", f"{uri}/main/models/v1.bin")
    assert repo.read("models/v1.bin") == b"weights"
    cli("cp", f"{uri}/main/models/v1.bin", "copy.bin")
    assert (cli.folder / "copy.bin").read_bytes() == b"weights"


def test_copy_to_a_folder_keeps_the_name(cli: Cli, repo: Repo, uri: str) -> None:
    cli.file("a.txt", b"a")
    cli("cp", "a.txt", f"{uri}/main/folder/")
    cli("cp", "a.txt", f"{uri}/main")
    cli("cp", f"{uri}/main/a.txt", f"{uri}/main/copies/")
    assert repo.paths() == ["a.txt", "copies/a.txt", "folder/a.txt"]
    (cli.folder / "down").mkdir()
    cli("cp", f"{uri}/main/a.txt", "down")
    assert (cli.folder / "down" / "a.txt").read_bytes() == b"a"


def test_copy_from_stdin_to_stdout(cli: Cli, repo: Repo, uri: str) -> None:
    content = bytes(range(256)) * 1000
    cli("cp", "-", f"{uri}/main/stream", stdin=content)
    assert repo.read("stream") == content
    assert cli("cp", f"{uri}/main/stream", "-").out == content


def test_metadata_and_content_type_of_an_upload(cli: Cli, repo: Repo, uri: str) -> None:
    cli.file("a.txt", b"a")
    cli(
        "cp", "a.txt", f"{uri}/main/a", "--content-type", "text/x-special",
        "--meta", "run=42,stage=dev", "--meta", "note=a, b",
    )  # fmt: skip
    stats = repo.stat("a")
    assert stats.content_type == "text/x-special"
    assert stats.metadata.to_dict() == {"run": "42", "stage": "dev", "note": "a, b"}


def test_json_of_a_copy_is_the_object(cli: Cli, uri: str) -> None:
    cli.file("a.txt", b"abc")
    stats = cli("cp", "--json", "a.txt", f"{uri}/main/a").json
    assert (stats["path"], stats["size_bytes"]) == ("a", 3)


def test_folders_there_and_back(cli: Cli, repo: Repo, uri: str) -> None:
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
    assert "0 transferred (0 B), 2 unchanged (2 B), 0 failed" in again.err


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
        (("-r", "-", "lakefs://repo-1/main/a"), "expected a folder"),
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
def test_copies_that_make_no_sense_are_refused(
    cli: Cli, arguments: tuple[str, ...], message: str
) -> None:
    assert message in cli("cp", *arguments, code=2).err


def test_every_key_has_an_address_that_is_listed_and_copied(cli: Cli, repo: Repo, uri: str) -> None:
    for number, key in enumerate(KEYS):
        repo.upload(key, str(number).encode())
    listed = [item["path"] for item in cli("ls", "-r", f"{uri}/main/", "--json").items]
    assert sorted(listed) == sorted(KEYS)
    from lakefs_client.uri import ObjectRef

    addresses = [str(ObjectRef(repo.name, "main", key)) for key in KEYS]
    assert cli("cat", *addresses).text == "".join(map(str, range(len(KEYS))))


def test_list_shows_folders_unless_recursive(cli: Cli, repo: Repo, uri: str) -> None:
    for path in ("a.txt", "dir/b.txt", "dir/sub/c.txt"):
        repo.upload(path, b"123")
    kinds = [line.split("\t")[0::3] for line in cli("ls", f"{uri}/main/").lines]
    assert kinds == [["object", "a.txt"], ["prefix", "dir/"]]
    paths = [line.split("\t")[3] for line in cli("ls", "-r", f"{uri}/main").lines]
    assert paths == ["a.txt", "dir/b.txt", "dir/sub/c.txt"]
    assert len(cli("ls", "-r", f"{uri}/main", "--amount", 2).lines) == 2
    after = cli("ls", "-r", f"{uri}/main", "--after", "dir/b.txt").lines
    assert [line.split("\t")[3] for line in after] == ["dir/sub/c.txt"]


def test_names_cannot_command_the_terminal(cli: Cli, repo: Repo, uri: str) -> None:
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


def test_removal_of_an_object(cli: Cli, repo: Repo, uri: str) -> None:
    repo.upload("a.txt")
    cli("rm", f"{uri}/main/a.txt")
    assert repo.paths() == []
    assert "a.txt" in cli("rm", f"{uri}/main/a.txt", code=3).err


def test_presigned_url(cli: Cli, repo: Repo, uri: str) -> None:
    if not repo.lakefs.config_api.get_config().storage_config.pre_sign_support:
        pytest.skip("this server's store has no presigned URLs (pre_sign_support)")
    repo.upload("a.txt", b"abc")
    shown = cli("presign", f"{uri}/main/a.txt")
    (url,) = shown.lines
    assert url.startswith("http")
    assert "secret" in shown.err
    record = json.loads(cli("presign", f"{uri}/main/a.txt", "--json").text)
    assert record["url"].startswith("http")
