"""Ownership across forks: what is open before a fork belongs to the parent.

A child inherits sockets that it must not read, and locks that a thread of the parent may hold. In
the child each owner lets go of both. Nothing is closed there: closing could wait for such a lock,
or end a connection of the parent.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    from typing import Protocol

    class Owner(Protocol):
        """An object with sockets, locks or threads of its own."""

        def abandon(self) -> object:
            """Replace what belongs to the parent, and return it."""


_owners: WeakSet[Owner] = WeakSet()
_abandoned: list[object] = []  # never freed, since freeing closes


def register(owner: Owner) -> None:
    """Call the owner's `abandon` in every child that is forked while the owner lives."""
    _owners.add(owner)


def _after_fork_in_child() -> None:
    _abandoned.extend([owner.abandon() for owner in [*_owners]])


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_after_fork_in_child)


class ForeignSocket:
    """A stand-in, in a forked child, for a socket or stream of the parent."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        raise ConnectionError("opened before a fork, by the parent process")

    def close(self) -> None:
        """Leave the parent's socket open."""

    flush = close
