"""Checks of arguments that every kind of transfer takes."""

from __future__ import annotations

from lakefs_client import _encode
from lakefs_client.exceptions import ApiTypeError, ApiValueError

MAX_PATH = 1024
"""Bytes of the longest path that lakeFS accepts for a new object."""


def require_names(**names: object) -> None:
    """Check the names of a repository, a branch or ref, and a path.

    Raises:
        ApiTypeError: A name is not a str.
        ApiValueError: A name is empty, or cannot be sent.
    """
    for name, value in names.items():
        if not isinstance(value, str):
            raise ApiTypeError(f"{name} must be a str, not {type(value).__name__}")
        if not value:
            raise ApiValueError(f"{name} must not be empty")
        if name != "path":
            _encode.path_segment(name, value)
        size = len(_encode.encoded(name, value))
        if name == "path" and size > MAX_PATH:
            raise ApiValueError(f"path must have at most {MAX_PATH} bytes: got {size}")
