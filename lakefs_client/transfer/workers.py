"""Who sends the parts of an upload: threads of this process, or an executor of the caller's."""

from __future__ import annotations

import os
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from lakefs_client.configuration import Configuration
from lakefs_client.rest import Cancellation, RESTClientObject
from lakefs_client.transfer.gate import Gate
from lakefs_client.transfer.part import PartSender, Progress, SendOptions, Stored
from lakefs_client.transfer.source import FileSource, SourceChangedError
from lakefs_client.transfer.url import ExpiringUrl, RenewalUnsupportedError, SignedUrl

if TYPE_CHECKING:
    from lakefs_client.transfer.plan import Part
    from lakefs_client.transfer.source import Source


class Expired(NamedTuple):
    """A worker's answer where the part's URL was over before the part was sent."""


class Threads:
    """So many threads of this process, which report every window and stop between two."""

    counts_windows = True

    def __init__(self, sender: PartSender, count: int) -> None:
        self._sender = sender
        self._pool = ThreadPoolExecutor(count, "lakefs-client-upload")

    def submit(self, part: Part, source: Source, url: ExpiringUrl) -> Future[Stored | Expired]:
        """Have a part sent."""
        return self._pool.submit(self._sender.send, part, source, url, {})

    def close(self) -> None:
        """Let go of the threads, which end with what they are at."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class ExecutorWorkers:
    """An executor of the caller's: a process pool, or a cluster. It is left open.

    What goes to it are tasks that can be pickled: the part, the file's path, and the presigned
    URL. Nothing of lakeFS's is among them.
    """

    counts_windows = False

    def __init__(
        self, executor: Executor, configuration: Configuration, options: SendOptions
    ) -> None:
        self._executor = executor
        self._common = _Common(StoreSettings.of(configuration), options)

    def submit(self, part: Part, source: Source, url: ExpiringUrl) -> Future[Stored | Expired]:
        """Have a part sent. It is the caller's to have the URL renewed, and submit it again."""
        assert isinstance(source, FileSource)
        signed = url.get()
        path = os.path.abspath(source.name)
        task = PartTask(part, path, source.stamp, signed, url.life(), self._common)
        return self._executor.submit(send_part, task)

    def close(self) -> None:
        """Nothing: the executor is the caller's, and some call tasks cancelled that still run."""


class StoreSettings(NamedTuple):
    """How a store is reached: what a `Configuration` says of connections that are not lakeFS's."""

    verify_ssl: bool
    ssl_ca_cert: str | None
    proxy: str | None
    proxy_headers: tuple[tuple[str, str], ...]
    no_proxy: str | None
    connect_timeout: float
    read_timeout: float
    socket_options: tuple[Any, ...] | None

    @classmethod
    def of(cls, configuration: Configuration) -> StoreSettings:
        """Those of a configuration."""
        settings = {name: getattr(configuration, name) for name in cls._fields}
        settings["proxy_headers"] = tuple((configuration.proxy_headers or {}).items())
        if configuration.socket_options is not None:
            settings["socket_options"] = tuple(configuration.socket_options)
        return cls(**settings)


@lru_cache(maxsize=8)
def _client(settings: StoreSettings) -> RESTClientObject:
    """A worker's connections, which serve every part that it is given."""
    configuration = Configuration()
    for name, value in settings._asdict().items():
        setattr(configuration, name, value)
    configuration.proxy_headers = dict(settings.proxy_headers)
    return RESTClientObject(configuration, for_store=True)


@dataclass(frozen=True)
class _Common:
    """What the parts of an upload have in common."""

    settings: StoreSettings = field(repr=False)  # proxies have passwords
    options: SendOptions


@dataclass(frozen=True)
class PartTask:
    """A part to be sent by a process that can read the file. It knows no more than it needs."""

    part: Part
    path: str
    stamp: tuple[int, int]
    url: str = field(repr=False)
    life: float | None
    common: _Common
    made: float = field(default_factory=time.time)


def send_part(task: PartTask) -> Stored | Expired:
    """Send a part, on a worker.

    Raises:
        ApiException: The store refused it, or could not be reached often enough.
        OSError: The file could not be read, or is another one here.
    """
    # Clocks of machines differ: where this one is wrong, the store has the last word.
    if task.life is not None and time.time() >= task.made + task.life:
        return Expired()
    client, gate = _client(task.common.settings), Gate(1)
    sender = PartSender(client, task.common.options, Progress(None), gate, Cancellation())
    with FileSource(task.path) as source:
        # Network file systems agree on seconds, not on fractions.
        if [source.stamp[0], source.stamp[1] // 10**9] != [task.stamp[0], task.stamp[1] // 10**9]:
            raise SourceChangedError(f"{task.path} is not the same file on this worker")
        url = ExpiringUrl(_no_renewal, client.timing.clock, SignedUrl(task.url, None))
        try:
            stored = sender.send(task.part, source, url, {})
        except RenewalUnsupportedError:
            return Expired()
    return stored._replace(slowed=gate.halvings > 0)


def _no_renewal() -> SignedUrl:
    raise RenewalUnsupportedError(0, "workers cannot have URLs renewed")
