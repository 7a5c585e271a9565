"""Workers that send the parts of an upload: threads of this process, or the caller's executor."""

from __future__ import annotations

import os
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from lakefs_client.configuration import Configuration
from lakefs_client.exceptions import ApiException
from lakefs_client.rest import Cancellation, RESTClientObject
from lakefs_client.transfer.errors import Cancelled, SourceChangedError
from lakefs_client.transfer.pool import WorkerPool
from lakefs_client.transfer.presigned import (
    MAX_RENEWALS,
    ExpiringUrl,
    RenewalUnsupportedError,
    SignedUrl,
)
from lakefs_client.transfer.progress import Progress
from lakefs_client.transfer.source import FileSource
from lakefs_client.transfer.throttle import Throttle
from lakefs_client.transfer.upload.part import PartSender, SendOptions, StoredPart

if TYPE_CHECKING:
    from typing import Protocol

    from lakefs_client.transfer.context import TransferContext
    from lakefs_client.transfer.plan import Part
    from lakefs_client.transfer.source import Source

    class Workers(Protocol):
        """Sends parts; each `submit` returns the part's future."""

        def submit(self, part: Part, source: Source, url: ExpiringUrl) -> Future[StoredPart]: ...
        def close(self) -> None: ...


def make_workers(
    context: TransferContext, progress: Progress, cancellation: Cancellation, *, digest: bool
) -> Workers:
    """Return the workers that the settings ask for. `digest` computes MD5s without `verify`."""
    options = SendOptions.of(context, digest=digest)
    if context.config.executor is not None:
        return ExecutorWorkers(context, context.config.executor, options, progress, cancellation)
    return ThreadWorkers(context, options, progress, cancellation)


class ThreadWorkers:
    """Threads of this process. They report every window, and stop between two windows."""

    def __init__(
        self,
        context: TransferContext,
        options: SendOptions,
        progress: Progress,
        cancellation: Cancellation,
    ) -> None:
        client, throttle = context.client.store_client, context.throttle
        self._sender = PartSender(client, options, progress, throttle, cancellation)
        self._pool = WorkerPool(context.config.max_concurrency, "lakefs-client-upload")

    def submit(self, part: Part, source: Source, url: ExpiringUrl) -> Future[StoredPart]:
        """Send a part as soon as a thread is free."""
        return self._pool.submit(self._sender.send, part, source, url, {})

    def close(self) -> None:
        """Let the threads end with their current part."""
        self._pool.close()


class ExecutorWorkers:
    """The caller's executor: a process pool or a cluster. It stays open.

    Tasks are picklable: the part, the file's path and the presigned URL. They hold no credentials
    of lakeFS. A worker cannot renew a URL; an expired one comes back and is renewed here.
    """

    def __init__(
        self,
        context: TransferContext,
        executor: Executor,
        options: SendOptions,
        progress: Progress,
        cancellation: Cancellation,
    ) -> None:
        self._executor = executor
        self._throttle = context.throttle
        self._progress = progress
        self._cancellation = cancellation
        self._common = _Common(StoreSettings.of(context.client.configuration), options)
        self._renewals = WorkerPool(1, "lakefs-client-renew")
        self._reached = False  # the store has received a part

    def submit(self, part: Part, source: Source, url: ExpiringUrl) -> Future[StoredPart]:
        """Send a part as soon as the throttle admits it."""
        assert isinstance(source, FileSource)
        job = _Job(part, source, url)
        self._dispatch(job)
        return job.result

    def close(self) -> None:
        """Leave the executor alone: some report a running task as cancelled."""
        self._renewals.finish()

    def _dispatch(self, job: _Job) -> None:
        """Submit a job's task. A failure here is the part's failure."""
        token = None
        try:
            # Workers elsewhere cannot wait for the throttle, so their tasks take a slot here.
            token = self._throttle.acquire(self._cancellation.is_set)
            if token is None:
                raise Cancelled
            path = os.path.abspath(job.source.name)
            task = PartTask(
                job.part, path, job.source.stamp, job.url.get(), self._common, self._reached
            )
            future = self._executor.submit(send_part, task)
        except BaseException as error:
            if token is not None:
                self._throttle.release(token)
            job.result.set_exception(error)
            if not isinstance(error, Exception):
                raise
        else:
            future.add_done_callback(partial(self._finished, job, token))

    def _finished(self, job: _Job, token: int, future: Future[StoredPart | Expired]) -> None:
        throttled = False
        try:
            answer = future.result()
            if isinstance(answer, Expired):
                self._renew_later(job)
                return
            throttled, self._reached = answer.throttled, True
            if not self._cancellation.is_set():
                self._progress.add(job.part.length)
        except BaseException as error:
            job.result.set_exception(error)
        else:
            job.result.set_result(answer)
        finally:
            self._throttle.release(token, slow_down=throttled)

    def _renew_later(self, job: _Job) -> None:
        """Renew a job's URL in a thread of its own: this one belongs to the executor."""
        if self._cancellation.is_set():
            raise Cancelled
        job.renewals += 1
        if job.renewals > MAX_RENEWALS:
            raise ApiException(403, "a presigned URL expired right after it was renewed")
        self._renewals.submit(self._renew, job)

    def _renew(self, job: _Job) -> None:
        try:
            job.url.renew()
        except BaseException as error:
            job.result.set_exception(error)
        else:
            self._dispatch(job)


@dataclass(eq=False)
class _Job:
    """A part that an executor sends, and its future. `renewals` counts consecutive renewals."""

    part: Part
    source: FileSource
    url: ExpiringUrl
    renewals: int = 0
    result: Future[StoredPart] = field(default_factory=Future)


class Expired(NamedTuple):
    """A worker's answer if the URL expired before the part was sent."""


class StoreSettings(NamedTuple):
    """The settings of a `Configuration` for connections to a store."""

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
        """Return the settings of a configuration."""
        settings = {name: getattr(configuration, name) for name in cls._fields}
        settings["proxy_headers"] = tuple((configuration.proxy_headers or {}).items())
        if configuration.socket_options is not None:
            settings["socket_options"] = tuple(configuration.socket_options)
        return cls(**settings)


@lru_cache(maxsize=8)
def _client(settings: StoreSettings) -> RESTClientObject:
    """Return a worker's connections, which serve all its parts."""
    configuration = Configuration()
    for name, value in settings._asdict().items():
        setattr(configuration, name, value)
    configuration.proxy_headers = dict(settings.proxy_headers)
    return RESTClientObject(configuration, for_store=True)


@dataclass(frozen=True)
class _Common:
    """The settings that all parts of an upload share."""

    settings: StoreSettings = field(repr=False)  # a proxy may have a password
    options: SendOptions


@dataclass(frozen=True)
class PartTask:
    """A part that another process sends, if it can read the file under its path.

    Attributes:
        part: The part.
        path: Absolute path of the file.
        stamp: Size and modification time that the file must have.
        url: Presigned URL. The store decides if it has expired: the clocks of machines differ.
        common: Settings that all parts share.
        reached: The store has received a part of this upload.
    """

    part: Part
    path: str
    stamp: tuple[int, int]
    url: str = field(repr=False)
    common: _Common
    reached: bool = False


def send_part(task: PartTask) -> StoredPart | Expired:
    """Send a part, on a worker.

    Raises:
        ApiException: The store rejected the part, or every attempt failed.
        OSError: The file could not be read, or differs on this worker.
    """
    client, throttle = _client(task.common.settings), Throttle(1)
    sender = PartSender(
        client, task.common.options, Progress.to(None), throttle, Cancellation(), task.reached
    )
    with FileSource(task.path) as source:
        # Network file systems agree on seconds, not on fractions.
        if [source.stamp[0], source.stamp[1] // 10**9] != [task.stamp[0], task.stamp[1] // 10**9]:
            raise SourceChangedError(f"{task.path} is not the same file on this worker")
        url = ExpiringUrl(_refuse_renewal, client.timing.clock, SignedUrl(task.url, None))
        try:
            stored = sender.send(task.part, source, url, {})
        except RenewalUnsupportedError:
            return Expired()
    return stored._replace(throttled=throttle.epoch > 0)


def _refuse_renewal() -> SignedUrl:
    raise RenewalUnsupportedError(0, "a worker cannot renew a URL")
