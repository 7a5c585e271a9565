"""The sandbox's state in memory."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from lakefs_client.sandbox.blocks import Blockstore
from lakefs_client.sandbox.clock import Clock
from lakefs_client.sandbox.errors import find
from lakefs_client.sandbox.identity import Identity
from lakefs_client.sandbox.repository import Repository
from lakefs_client.sandbox.s3_store import S3UrlSigner
from lakefs_client.sandbox.signing import UrlSigner


@dataclass
class Backend:
    """The state that operations work on, guarded by `lock`."""

    clock: Clock
    store: Blockstore
    identity: Identity
    urls: UrlSigner | S3UrlSigner
    # The prefix for storage namespaces.
    namespace: str
    external_principals: bool
    presign: bool
    presigned_multipart: bool
    version: str
    repositories: dict[str, Repository] = field(default_factory=dict)
    # The storage namespaces of all repositories, deleted ones included.
    namespaces: set[str] = field(default_factory=set)
    # True after setup_comm_prefs.
    comm_prefs: bool = False
    store_port: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)

    def repository(self, name: str) -> Repository:
        """Return the repository called `name`. Raise a 404 error if there is none."""
        return find(self.repositories, name, "repository")
