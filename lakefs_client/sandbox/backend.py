"""What the operations work on: the sandbox's whole state."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from .blocks import Blockstore
from .clock import Clock
from .errors import not_found
from .identity import Identity
from .repository import Repository
from .signing import AddressSigner, UrlSigner

NAMESPACE = "s3://sandbox/"


@dataclass
class Backend:
    """The sandbox's state, and what kind of server it is. Operations hold `lock` meanwhile."""

    clock: Clock
    store: Blockstore
    identity: Identity
    urls: UrlSigner
    addresses: AddressSigner
    external_principals: bool
    presign: bool
    presigned_multipart: bool
    repositories: dict[str, Repository] = field(default_factory=dict)
    store_port: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)

    def repository(self, name: str) -> Repository:
        """The repository of this name, or 404."""
        if repository := self.repositories.get(name):
            return repository
        raise not_found("repository")
