"""The state that everything within one `Transfer` shares."""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lakefs_client import _process
from lakefs_client.retry import RetryPolicy, retry_policy
from lakefs_client.transfer.config import TransferConfig
from lakefs_client.transfer.errors import failure
from lakefs_client.transfer.plan import S3_LIMITS, StoreLimits
from lakefs_client.transfer.throttle import Throttle

if TYPE_CHECKING:
    from concurrent.futures import Future

    from lakefs_client.api_client import ApiClient


PATIENCE = RetryPolicy(attempts=24, max_wait=10.0)
"""Waits for 90 s on average: all that was transferred is at stake."""


class PreflightCache:
    """Answers to "may this branch be written to", by repository and branch.

    Attributes:
        lock: Held while an entry is looked up or made.
        answers: The reason why a branch rejects writes, or None.
    """

    def __init__(self) -> None:
        self.abandon()
        _process.register(self)

    def abandon(self) -> object:
        """Forget the questions of the parent process, which this process cannot answer."""
        former = self.__dict__.copy()
        self.lock = threading.Lock()
        self.answers: dict[tuple[str, str], Future[str | None]] = {}
        return former


@dataclass(frozen=True)
class TransferContext:
    """The client, the settings and the shared limits of one `Transfer`.

    Attributes:
        client: The client for requests to lakeFS; it has the store's connections too.
        config: The caller's settings.
        throttle: The one limit of concurrent requests to the store.
        preflight: Known answers about branches.
        limits: The store's limits.
        plain_stores: Stores that the user was warned of by `warn_if_plain`.
    """

    client: ApiClient
    config: TransferConfig
    throttle: Throttle
    preflight: PreflightCache = field(default_factory=PreflightCache)
    limits: StoreLimits = S3_LIMITS
    plain_stores: set[str] = field(default_factory=set)

    @classmethod
    def create(cls, client: ApiClient, config: TransferConfig) -> TransferContext:
        """Return the context of a new `Transfer`."""
        return cls(client, config, Throttle(config.max_concurrency, config.file_concurrency))

    @property
    def policy(self) -> RetryPolicy:
        """The retry policy of requests to the store."""
        return self.config.retry or retry_policy(self.client.configuration.retries)

    @property
    def patience(self) -> RetryPolicy:
        """The retry policy once a transfer is under way.

        Without a policy of the caller's, it rides out an outage of 60 s.
        """
        configured = self.config.retry or self.client.configuration.retries is not None
        return self.policy if configured else PATIENCE

    def warn_if_plain(self, url: str) -> None:
        """Warn once of a store that is reached over HTTP while lakeFS is reached over HTTPS."""
        if not url.startswith("http:") or not self.client.configuration.host.startswith("https:"):
            return
        store = urlsplit(url).netloc
        if store not in self.plain_stores:
            self.plain_stores.add(store)
            warnings.warn(
                f"lakeFS uses HTTPS, but its presigned URLs for {store} use HTTP: the objects' "
                "bytes are not encrypted on their way. Configure an HTTPS endpoint of the "
                "store in lakeFS.",
                stacklevel=2,
            )

    def require_server(self, subject: object) -> None:
        """Check that bytes of `subject` may pass through the lakeFS server.

        Raises:
            TransferError: `TransferConfig.fallback` is False.
        """
        if self.config.presign and not self.config.fallback:
            raise failure(
                subject,
                "this server has no presigned URLs, and TransferConfig.fallback is False",
                "aborted",
            )

    @property
    def local(self) -> TransferContext:
        """The context for bytes that an executor's workers cannot read."""
        if self.config.executor is None:
            return self
        return replace(self, config=replace(self.config, executor=None))
