"""Validation of identifiers and paths, with the messages of lakeFS 1.84."""

from __future__ import annotations

import re

from lakefs_client.sandbox.errors import ApiError, bad_request

MAX_PATH_BYTES = 1024

_REPOSITORY_ID = re.compile(r"[a-z0-9][a-z0-9-]{2,62}")
_BRANCH_ID = re.compile(r"\w[-\w]*", re.ASCII)
_REF = re.compile(r"[^\s]+", re.ASCII)
# The rules of git check-ref-format, except that lakeFS allows "~".
_TAG_ID = re.compile(r"[^\x00-\x20^:?*\[\\]+")
_TAG_EXCLUDED = ("..", "/", "@{")
_TAG_ENDINGS = (".", ".lock")
_INVALID = "invalid value: validation error"


def check_repository_id(name: str, argument: str = "repository") -> None:
    """Raise a 400 error unless `name` is a valid repository id."""
    _check(_REPOSITORY_ID, name, argument, "repository id")


def check_branch_id(name: str, argument: str = "branch") -> None:
    """Raise a 400 error unless `name` is a valid branch id."""
    _check(_BRANCH_ID, name, argument, "branch id")


def check_ref(ref: str, argument: str = "ref") -> None:
    """Raise a 400 error if `ref` contains white space."""
    _check(_REF, ref, argument, "ref")


def check_tag_id(name: str) -> None:
    """Raise a 400 error unless `name` is a valid tag id."""
    _check(_TAG_ID, name, "tagID", "tag id")
    excluded = any(part in name for part in _TAG_EXCLUDED)
    if name == "@" or excluded or name.endswith(_TAG_ENDINGS):
        raise bad_request(f"argument tagID: tag id: {_INVALID}")


def check_path(path: str, argument: str = "path") -> None:
    """Raise a 400 error if `path` is empty or too long."""
    if not path:
        raise bad_request(f"argument {argument}: missing path: required value: validation error")
    check_prefix(path, argument)


def check_prefix(prefix: str, argument: str = "prefix") -> None:
    """Raise a 400 error if `prefix` is too long."""
    if (size := len(prefix.encode())) > MAX_PATH_BYTES:
        raise bad_request(
            f"argument {argument}: {_INVALID}: {size} is above maximum length ({MAX_PATH_BYTES})"
        )


def _check(pattern: re.Pattern[str], name: str, argument: str, noun: str) -> None:
    if not name:
        # The server has no status for this error.
        raise ApiError(500, f"argument {argument}: required value: validation error")
    if not pattern.fullmatch(name):
        raise bad_request(f"argument {argument}: {noun}: {_INVALID}")
