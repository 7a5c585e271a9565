"""Random sequences of calls to one repository."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple


class Call(NamedTuple):
    """One call: the API group, the method and its arguments after the repository."""

    group: str
    method: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Reference:
    """A reference to an identifier that an earlier call returned.

    Attributes:
        kind: Name of the property.
        index: Selects a value, from 0 for the latest.
        format: Template that makes an argument from the value.
        default: The argument if no call returned a value.
    """

    kind: str
    index: int = 0
    format: str = "{}"
    default: str | None = "0" * 20


PREFIX = 12
"""Length of abbreviated commit ids."""

BRANCHES = ("main", "dev", "feature", "b-1")
ODD_BRANCHES = ("nope", "main~1", "x.y", "-x", "main@", "é", "a b", "v1")
TAGS = ("v1", "v2.0", "t~1", "release-1")
ODD_TAGS = ("nope", "a..b", "@", "x.lock", "trail.", "a@{b", "sp ace", "a:b", "é", "r/1", "main")
PATHS = ("a", "b/1", "b/2", "c/d/e", "é x", "b/", "a//b", "/lead")
ODD_PATHS = ("nope", "é" * 600, "x" * 1024, "x" * 1025)
MODIFIERS = ("~", "~1", "~2", "^", "^1", "^2", "^0", "@", "$", "~0", "~1^1", "~~")
ODD_MODIFIERS = ("~99", "~~^^x", "^x", "@1", "$1", "@@", "@~", "~9999999999999999999999", "~-1")
AMOUNTS = (1, 2, 3, 1000, -1)


class Generator:
    """Generates calls with a seeded random source. Most of them are valid."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.kinds: list[tuple[int, Callable[[], Call]]] = [
            (12, self.upload),
            (4, self.read),
            (3, self.stat),
            (3, self.list_objects),
            (3, self.delete),
            (2, self.delete_many),
            (2, self.copy),
            (2, self.update_metadata),
            (2, self.stage),
            (2, self.staging_address),
            (3, self.link),
            (6, self.create_branch),
            (3, self.branch),
            (2, self.list_branches),
            (2, self.diff_branch),
            (4, self.reset),
            (3, self.hard_reset),
            (3, self.revert),
            (3, self.cherry_pick),
            (10, self.commit),
            (3, self.get_commit),
            (4, self.log),
            (6, self.diff_refs),
            (2, self.merge_base),
            (7, self.merge),
            (5, self.create_tag),
            (2, self.tag),
            (1, self.list_tags),
            (4, self.multipart),
            (4, self.part),
            (4, self.complete),
            (1, self.abort),
            (3, self.pull),
            (2, self.change_pull),
            (1, self.settings),
            (1, self.metadata),
            (1, self.internal),
            (1, self.imports),
            (1, self.maintenance),
            (1, self.repository),
        ]

    def sequence(self, length: int) -> list[Call]:
        """Return `length` calls."""
        weights = [weight for weight, _ in self.kinds]
        makers = self.random.choices([make for _, make in self.kinds], weights, k=length)
        return [make() for make in makers]

    # Arguments

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def choose(
        self, common: tuple[str, ...], odd: tuple[str, ...], probability: float = 0.1
    ) -> str:
        return self.random.choice(odd if self.chance(probability) else common)

    def branch_name(self) -> str:
        return self.choose(BRANCHES, ODD_BRANCHES)

    def path(self) -> str:
        return self.choose(PATHS, ODD_PATHS)

    def commit_id(self) -> Reference:
        return Reference(
            "commit", self.random.randrange(4), self.random.choice(("{}", f"{{:.{PREFIX}}}"))
        )

    def ref(self) -> Any:
        base = self.random.choice(
            (
                self.branch_name(),
                self.choose(BRANCHES, TAGS),
                self.choose(TAGS, ODD_TAGS),
                self.commit_id(),
            )
        )
        if self.chance(0.4):
            modifier = self.choose(MODIFIERS, ODD_MODIFIERS, 0.3)
            if isinstance(base, Reference):
                return Reference(base.kind, base.index, base.format + modifier)
            return base + modifier
        return base

    def optional(self, **choices: Any) -> dict[str, Any]:
        """Return each optional argument with a probability of 1 in 4."""
        return {name: make() for name, make in choices.items() if self.chance(0.25)}

    def paging(self) -> dict[str, Any]:
        return self.optional(
            amount=lambda: self.random.choice(AMOUNTS),
            after=lambda: self.random.choice(("b", "b/1", "dev", "v1", "")),
            prefix=lambda: self.random.choice(("b", "b/", "c/d", "d", "")),
        )

    def text(self) -> str:
        return self.random.choice(("one", "two", "three", "ünï", "x" * 300))

    def pairs(self) -> dict[str, str]:
        return {self.random.choice(("k", "K2", "é")): self.text()}

    # Objects

    def upload(self) -> Call:
        options = self.optional(
            content_type=lambda: self.random.choice(("text/plain", "image/png", "Odd/Type; x=1")),
            user_metadata=lambda: {self.random.choice(("k", "k-2")): self.random.choice("ab")},
            if_none_match=lambda: "*",
            if_match=lambda: Reference("checksum", self.random.randrange(3), '"{}"'),
            force=lambda: True,
        )
        if self.chance(0.5):
            options.pop("if_none_match", None)
            options.pop("if_match", None)
        content = self.random.choice((b"", b"1", b"22", b"333", b"a" * 5000))
        return Call(
            "ObjectsApi",
            "upload_object",
            {"branch": self.branch_name(), "path": self.path(), "content": content, **options},
        )

    def read(self) -> Call:
        method = self.random.choice(("get_object", "head_object", "get_object"))
        options = self.optional(
            range=lambda: self.random.choice(("bytes=0-1", "bytes=-2", "bytes=9-"))
        )
        if method == "get_object":
            options |= self.optional(presign=lambda: self.chance(0.5))
            options |= self.optional(
                if_none_match=lambda: Reference("checksum", self.random.randrange(3), '"{}"')
            )
            if options.get("presign"):
                options.pop("range", None)
        return Call("ObjectsApi", method, {"ref": self.ref(), "path": self.path(), **options})

    def stat(self) -> Call:
        method = "stat_object" if self.chance(0.8) else "get_underlying_properties"
        options = self.optional(user_metadata=lambda: False) if method == "stat_object" else {}
        return Call("ObjectsApi", method, {"ref": self.ref(), "path": self.path(), **options})

    def list_objects(self) -> Call:
        options = self.optional(
            delimiter=lambda: self.random.choice(("/", "b", "//")), user_metadata=lambda: False
        )
        arguments = {"ref": self.ref(), **self.paging(), **options}
        return Call("ObjectsApi", "list_objects", arguments)

    def delete(self) -> Call:
        return Call(
            "ObjectsApi",
            "delete_object",
            {
                "branch": self.branch_name(),
                "path": self.path(),
                **self.optional(force=lambda: True, no_tombstone=lambda: True),
            },
        )

    def delete_many(self) -> Call:
        paths = [self.path() for _ in range(self.random.randrange(4))]
        if self.chance(0.05):
            paths = [f"p{number}" for number in range(1001)]
        return Call(
            "ObjectsApi",
            "delete_objects",
            {"branch": self.branch_name(), "path_list": {"paths": paths}},
        )

    def copy(self) -> Call:
        body = {"src_path": self.path(), **self.optional(src_ref=self.ref, force=lambda: True)}
        arguments = {"branch": self.branch_name(), "dest_path": self.path()}
        return Call("ObjectsApi", "copy_object", {**arguments, "object_copy_creation": body})

    def update_metadata(self) -> Call:
        return Call(
            "ExperimentalApi",
            "update_object_user_metadata",
            {
                "branch": self.branch_name(),
                "path": self.path(),
                "update_object_user_metadata": {"set": self.pairs()},
            },
        )

    def stage(self) -> Call:
        address = self.random.choice(("s3://elsewhere/x", "not-a-uri", "http://x/y"))
        body = {"physical_address": address, "checksum": "c" * 32, "size_bytes": 3}
        body |= self.optional(mtime=lambda: 1_000_000_000, content_type=lambda: "a/b")
        arguments = {"branch": self.branch_name(), "path": self.path()}
        return Call("InternalApi", "stage_object", {**arguments, "object_stage_creation": body})

    # Staging and multipart uploads

    def staging_address(self) -> Call:
        return Call(
            "StagingApi",
            "get_physical_address",
            {"branch": self.branch_name(), "path": self.path(), "presign": self.chance(0.5)},
        )

    def link(self) -> Call:
        address = self.random.choice(
            (
                Reference("address"),
                Reference("address"),
                "s3://elsewhere/x",
                "odd",
                Reference("namespace_data"),
            )
        )
        body = {
            "staging": {"physical_address": address},
            "checksum": self.random.choice(('"abc"', "d" * 32, "", '""')),
            "size_bytes": 5,
            **self.optional(
                user_metadata=self.pairs, content_type=lambda: "a/b", force=lambda: True
            ),
        }
        return Call(
            "StagingApi",
            "link_physical_address",
            {
                "branch": Reference("address_branch", default=self.branch_name()),
                "path": Reference("address_path", default=self.path()),
                "staging_metadata": body,
                **self.optional(if_none_match=lambda: "*"),
            },
        )

    def multipart(self) -> Call:
        parts = self.random.choice((0, 1, 1, 2, 10001, -1))
        arguments = {"branch": self.branch_name(), "path": self.path(), "parts": parts}
        return Call("ExperimentalApi", "create_presign_multipart_upload", arguments)

    def part(self) -> Call:
        """Send a part to the store, or request its URL."""
        if self.chance(0.6):
            data = self.random.choice((b"", b"1", b"22"))
            return Call("", "put", {"url": Reference("part_url", default="none"), "data": data})
        body = {"physical_address": Reference("upload_address")}
        arguments = {**self.upload_place(), "part_number": self.random.choice((1, 2, 10000))}
        return Call("ExperimentalApi", "upload_part", {**arguments, "upload_part_from": body})

    def complete(self) -> Call:
        etag = self.random.choice(("0" * 32, Reference("part_etag"), Reference("part_etag")))
        parts = [{"part_number": 1, "etag": etag}, {"part_number": 2, "etag": etag}]
        count = self.random.choice((0, 1, 1, 1, 2))
        body = {
            "physical_address": Reference("upload_address"),
            "parts": parts[:count],
            **self.optional(content_type=lambda: "a/b", user_metadata=self.pairs),
        }
        return Call(
            "ExperimentalApi",
            "complete_presign_multipart_upload",
            {**self.upload_place(), "complete_presign_multipart_upload": body},
        )

    def abort(self) -> Call:
        body = {"physical_address": Reference("upload_address")}
        return Call(
            "ExperimentalApi",
            "abort_presign_multipart_upload",
            {**self.upload_place(), "abort_presign_multipart_upload": body},
        )

    def upload_place(self) -> dict[str, Any]:
        path = "other" if self.chance(0.2) else Reference("upload_path", default="x")
        return {
            "branch": Reference("upload_branch", default="main"),
            "upload_id": Reference("upload_id"),
            "path": path,
        }

    # Branches and commits

    def create_branch(self) -> Call:
        name = self.random.choice((*BRANCHES, *BRANCHES, *ODD_BRANCHES))
        body = {"name": name, "source": self.ref(), **self.optional(hidden=lambda: True)}
        return Call("BranchesApi", "create_branch", {"branch_creation": body})

    def branch(self) -> Call:
        method = "get_branch" if self.chance(0.8) else "delete_branch"
        return Call("BranchesApi", method, {"branch": self.branch_name()})

    def list_branches(self) -> Call:
        options = self.optional(show_hidden=lambda: True)
        return Call("BranchesApi", "list_branches", {**self.paging(), **options})

    def diff_branch(self) -> Call:
        options = self.optional(delimiter=lambda: "/")
        arguments = {"branch": self.branch_name(), **self.paging(), **options}
        return Call("BranchesApi", "diff_branch", arguments)

    def reset(self) -> Call:
        kind = self.random.choice(("object", "common_prefix", "reset"))
        body = {"type": kind, **self.optional(path=self.path)}
        if kind != "reset":
            body.setdefault("path", self.random.choice(("a", "b/", "b/1", "b")))
        return Call(
            "BranchesApi", "reset_branch", {"branch": self.branch_name(), "reset_creation": body}
        )

    def hard_reset(self) -> Call:
        arguments = {"branch": self.branch_name(), "ref": self.ref()}
        return Call("ExperimentalApi", "hard_reset_branch", arguments)

    def overrides(self) -> dict[str, Any]:
        return self.optional(message=self.text, metadata=self.pairs)

    def revert(self) -> Call:
        body = {
            "ref": self.ref(),
            "parent_number": self.random.choice((0, 1, 2, 1)),
            **self.optional(allow_empty=lambda: True, commit_overrides=self.overrides),
        }
        return Call(
            "BranchesApi", "revert_branch", {"branch": self.branch_name(), "revert_creation": body}
        )

    def cherry_pick(self) -> Call:
        body = {
            "ref": self.ref(),
            **self.optional(
                parent_number=lambda: self.random.choice((0, 1, 2)),
                commit_overrides=self.overrides,
            ),
        }
        return Call(
            "BranchesApi",
            "cherry_pick",
            {"branch": self.branch_name(), "cherry_pick_creation": body},
        )

    def commit(self) -> Call:
        body = {
            "message": self.text(),
            **self.optional(
                metadata=self.pairs, allow_empty=lambda: True, date=lambda: 1_000_000_000
            ),
        }
        # A server accepts an unknown metarange, which breaks the commit.
        options = (
            {"source_metarange": Reference("meta_range_id", default=None)}
            if self.chance(0.1)
            else {}
        )
        return Call(
            "CommitsApi",
            "commit",
            {"branch": self.branch_name(), "commit_creation": body, **options},
        )

    def get_commit(self) -> Call:
        return Call("CommitsApi", "get_commit", {"commit_id": self.ref()})

    def log(self) -> Call:
        options = self.optional(
            amount=lambda: self.random.choice(AMOUNTS),
            after=self.ref,
            objects=lambda: [self.path()],
            prefixes=lambda: ["b/"],
            limit=lambda: True,
            first_parent=lambda: True,
            stop_at=self.ref,
        )
        return Call("RefsApi", "log_commits", {"ref": self.ref(), **options})

    def diff_refs(self) -> Call:
        options = self.optional(
            delimiter=lambda: "/",
            type=lambda: self.random.choice(("two_dot", "three_dot")),
            include_right_stats=lambda: True,
        )
        arguments = {"left_ref": self.ref(), "right_ref": self.ref()}
        return Call("RefsApi", "diff_refs", {**arguments, **self.paging(), **options})

    def merge_base(self) -> Call:
        arguments = {"source_ref": self.ref(), "destination_branch": self.ref()}
        return Call("RefsApi", "find_merge_base", arguments)

    def merge(self) -> Call:
        body = self.optional(
            message=self.text,
            metadata=self.pairs,
            strategy=lambda: self.random.choice(("source-wins", "dest-wins", "odd")),
            squash_merge=lambda: True,
            allow_empty=lambda: True,
        )
        arguments = {"source_ref": self.ref(), "destination_branch": self.branch_name()}
        return Call("RefsApi", "merge_into_branch", {**arguments, "merge": body})

    def create_tag(self) -> Call:
        body = {"id": self.choose(TAGS, ODD_TAGS, 0.4), "ref": self.ref()}
        return Call("TagsApi", "create_tag", {"tag_creation": body})

    def tag(self) -> Call:
        method = "get_tag" if self.chance(0.7) else "delete_tag"
        return Call("TagsApi", method, {"tag": self.choose(TAGS, ODD_TAGS, 0.3)})

    def list_tags(self) -> Call:
        return Call("TagsApi", "list_tags", self.paging())

    # Pull requests

    def pull(self) -> Call:
        if self.chance(0.3):
            options = self.optional(status=lambda: self.random.choice(("open", "closed", "all")))
            return Call("PullsApi", "list_pull_requests", options)
        body = {
            "title": self.text(),
            "source_branch": self.branch_name(),
            "destination_branch": self.branch_name(),
            **self.optional(description=self.text),
        }
        return Call("PullsApi", "create_pull_request", {"pull_request_creation": body})

    def change_pull(self) -> Call:
        pull = Reference("pull") if self.chance(0.9) else "odd"
        method = self.random.choice(
            ("get_pull_request", "update_pull_request", "merge_pull_request")
        )
        arguments: dict[str, Any] = {"pull_request": pull}
        if method == "update_pull_request":
            arguments["pull_request_basic"] = self.optional(
                title=self.text,
                description=self.text,
                status=lambda: self.random.choice(("open", "closed", "merged")),
            )
        return Call("PullsApi", method, arguments)

    # Settings

    def settings(self) -> Call:
        kind = self.random.randrange(4)
        if kind == 0:
            return Call("RepositoriesApi", "get_branch_protection_rules", {})
        if kind == 1:
            patterns = self.random.choice(([], [], ["b-*"], ["*ev", "mai?"], ["[a-f]*"]))
            rules = [{"pattern": pattern} for pattern in patterns]
            return Call(
                "RepositoriesApi", "set_branch_protection_rules", {"branch_protection_rule": rules}
            )
        if kind == 2:
            return Call("RepositoriesApi", "get_gc_rules", {})
        rules = {"default_retention_days": 7, "branches": []}
        if self.chance(0.5):
            rules["branches"] = [{"branch_id": "main", "retention_days": 3}]
        return Call("RepositoriesApi", "set_gc_rules", {"garbage_collection_rules": rules})

    def metadata(self) -> Call:
        kind = self.random.randrange(3)
        if kind == 0:
            return Call("RepositoriesApi", "get_repository_metadata", {})
        if kind == 1:
            body = {"metadata": self.pairs()}
            return Call("InternalApi", "set_repository_metadata", {"repository_metadata_set": body})
        body = {"keys": [self.random.choice(("k", "K2", "nope"))]}
        return Call("InternalApi", "delete_repository_metadata", {"repository_metadata_keys": body})

    def internal(self) -> Call:
        kind = self.random.randrange(4)
        if kind == 0:
            return Call(
                "InternalApi",
                "upload_object_preflight",
                {"branch": self.branch_name(), "path": self.path()},
            )
        if kind == 1:
            return Call("MetadataApi", "get_meta_range", {"meta_range": Reference("meta_range_id")})
        if kind == 2:
            return Call("ActionsApi", "list_repository_runs", {})
        return Call("ActionsApi", "get_run", {"run_id": self.random.choice(("nope", "x1"))})

    def imports(self) -> Call:
        if self.chance(0.5):
            method = self.random.choice(("import_status", "import_cancel"))
            return Call("ImportApi", method, {"branch": self.branch_name(), "id": "nope"})
        source = {"type": "object", "path": Reference("namespace_data"), "destination": "z"}
        body = {"paths": [source], "commit": {"message": "imported"}}
        return Call(
            "ImportApi", "import_start", {"branch": self.branch_name(), "import_creation": body}
        )

    def maintenance(self) -> Call:
        method = self.random.choice(
            (
                "prepare_garbage_collection_commits",
                "prepare_garbage_collection_uncommitted",
                "get_lake_fs_version",
                "get_garbage_collection_config",
                "internal_get_branch_protection_rules",
                "set_garbage_collection_rules_preflight",
            )
        )
        return Call("InternalApi", method, {})

    def repository(self) -> Call:
        if self.chance(0.3):
            return Call("RepositoriesApi", "get_repository", {})
        body = {
            "name": self.random.choice(("UP", "x", "a" * 64, Reference("repository"))),
            "storage_namespace": self.random.choice(("http://x", "s3://nobucket/x", "mem://x")),
        }
        return Call("RepositoriesApi", "create_repository", {"repository_creation": body})
