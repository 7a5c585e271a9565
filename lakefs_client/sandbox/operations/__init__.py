"""The API's operations, a module a group; a handler bears its operation's id."""

from __future__ import annotations

from . import (
    auth,
    branches,
    commits,
    dumps,
    housekeeping,
    imports,
    objects,
    pulls,
    repositories,
    staging,
)
from .registry import HANDLERS, STREAMING, UNAUTHENTICATED_TOO

__all__ = [
    "HANDLERS",
    "STREAMING",
    "UNAUTHENTICATED_TOO",
    "auth",
    "branches",
    "commits",
    "dumps",
    "housekeeping",
    "imports",
    "objects",
    "pulls",
    "repositories",
    "staging",
]
