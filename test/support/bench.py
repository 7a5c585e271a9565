"""A sandbox with a repository, a client that does not wait between attempts, and test files."""

from __future__ import annotations

import gc
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from lakefs_client import ApiClient, RetryPolicy
from lakefs_client.api.internal_api import InternalApi
from lakefs_client.api.objects_api import ObjectsApi
from lakefs_client.api.repositories_api import RepositoriesApi
from lakefs_client.exceptions import ApiException, NotFoundException
from lakefs_client.model.object_stats import ObjectStats
from lakefs_client.models import ObjectStageCreation, RepositoryCreation
from lakefs_client.sandbox import FaultKind, Sandbox
from lakefs_client.sandbox.http_server import Request, Response
from lakefs_client.transfer import Transfer, TransferConfig
from lakefs_client.transfer.download.reader import ObjectReader
from lakefs_client.transfer.plan import S3_LIMITS, StoreLimits
from lakefs_client.transfer.throttle import Throttle
from lakefs_client.uri import ObjectRef

MIB = 1 << 20
PART = 5 * MIB
"""The smallest part that stores accept."""
PATH = "some/where/data.bin"
NO_WAIT = RetryPolicy(attempts=2, min_wait=0, max_wait=0)


@cache
def _noise() -> bytes:
    return random.Random(20).randbytes(32 * MIB + 64)


def content(size: int) -> bytes:
    """Return `size` bytes that do not repeat."""
    assert size <= len(_noise())
    return _noise()[:size]


PREFLIGHT = ("get_repository", "get_branch_protection_rules")
"""The operations that check whether a branch accepts writes."""


class Bench:
    """A sandbox with the repository `repo`, a client of it, and a folder.

    Attributes:
        sandbox: The server.
        client: A client that retries once, without a wait.
        folder: The folder of the test files.
    """

    def __init__(self, sandbox: Sandbox, client: ApiClient, folder: Path) -> None:
        self.sandbox = sandbox
        self.client = client
        self.folder = folder
        client.configuration.retries = NO_WAIT
        # The sandbox has no TLS, and loading the root certificates takes longer than most uploads.
        client.configuration.verify_ssl = False
        RepositoriesApi(client).create_repository(
            RepositoryCreation(name="repo", storage_namespace=f"{sandbox.storage_namespace}repo")
        )
        sandbox.requests.clear()

    def file(self, size: int, name: str = "source.dat") -> Path:
        """Return a file of `content(size)`."""
        path = self.folder / name
        path.write_bytes(content(size))
        return path

    def sparse(self, size: int, name: str = "sparse.dat") -> Path:
        """Return a file of zeros that takes no space."""
        path = self.folder / name
        with path.open("wb") as file:
            file.truncate(size)
        return path

    def upload(
        self,
        source: str | Path | int,
        path: str = PATH,
        *,
        branch: str = "main",
        user_metadata: Mapping[str, str] | None = None,
        content_type: str | None = None,
        progress: Callable[[int], object] | None = None,
        resume: bool = False,
        **settings: Any,
    ) -> ObjectStats:
        """Upload a file, or `content` of a size, in parts of 5 MiB or of `settings`."""
        config = TransferConfig(**{"part_size": PART, **settings})
        return Transfer(self.client, config).upload_file(
            self.file(source) if isinstance(source, int) else source,
            "repo",
            branch,
            path,
            content_type=content_type,
            user_metadata=user_metadata,
            progress=progress,
            resume=resume,
        )

    def transfer(self, limits: StoreLimits = S3_LIMITS, **settings: Any) -> Transfer:
        """Return a transfer with parts of 5 MiB, unless `settings` have another size.

        The size may be smaller than the settings allow if `limits` are smaller too.
        """
        settings.setdefault("journal_dir", self.folder / "journals")
        return make_transfer(self.client, limits, **settings)

    @property
    def target(self) -> Path:
        """The target of a download: a file in its own folder."""
        folder = self.folder / "downloads"
        folder.mkdir(exist_ok=True)
        return folder / "target.bin"

    @property
    def download_names(self) -> list[str]:
        """The names of the files in the folder of `target`."""
        return sorted(path.name for path in self.target.parent.iterdir())

    def download(
        self,
        path: str = PATH,
        target: Any = None,
        *,
        ref: str = "main",
        progress: Callable[[int], object] | None = None,
        resume: bool = False,
        **settings: Any,
    ) -> ObjectStats:
        """Download to `target`, with the settings of `transfer`."""
        to = self.target if target is None else target
        return self.transfer(**settings).download_file(
            "repo", ref, path, to, progress=progress, resume=resume
        )

    def open(self, path: str = PATH, *, ref: str = "main", **settings: Any) -> ObjectReader:
        """Return a reader of an object."""
        return ObjectReader(self.transfer(**settings)._context, ObjectRef("repo", ref, path))

    def put(self, data: bytes, path: str = PATH, checksum: str | None = None) -> None:
        """Create an object with the given bytes and checksum."""
        stats = ObjectsApi(self.client).upload_object("repo", "main", path, content=data)
        if checksum is not None:
            creation = ObjectStageCreation(stats.physical_address, checksum, len(data))
            InternalApi(self.client).stage_object("repo", "main", path, creation)
        self.sandbox.requests.clear()

    @property
    def ranges(self) -> list[str]:
        """The ranges that the store was asked for, in order."""
        return [
            request.headers["range"].removeprefix("bytes=")
            for request in self.sandbox.requests
            if request.operation == "store_get_object"
        ]

    def stat(self, path: str = PATH, branch: str = "main") -> ObjectStats | None:
        """Return the object at a path, if there is one."""
        try:
            return ObjectsApi(self.client).stat_object("repo", branch, path)
        except NotFoundException:
            return None

    def stored_bytes(self, path: str = PATH, branch: str = "main") -> bytes:
        """Return the stored bytes of the object at a path."""
        stats = self.stat(path, branch)
        assert stats is not None
        return self.bytes_at(stats.physical_address)

    def bytes_at(self, physical_address: str) -> bytes:
        """Return the stored bytes at an address."""
        stored = self.sandbox.blockstore.get(physical_address.partition("://")[2])
        assert stored is not None
        return stored.read()

    @property
    def operations(self) -> Counter[str]:
        """The number of requests per operation, without those of the preflight check."""
        operations = (request.operation for request in list(self.sandbox.requests))
        return Counter(operation for operation in operations if operation not in PREFLIGHT)

    def assert_whole(self, data: bytes, path: str = PATH) -> None:
        """Check that the object has these bytes, and that no upload is pending."""
        assert self.stored_bytes(path) == data
        assert not self.sandbox.blockstore.uploads()

    def assert_nothing_left(self, path: str = PATH) -> None:
        """Check that there is neither an object nor a pending upload."""
        assert not self.sandbox.blockstore.uploads()
        assert self.stat(path) is None


def make_transfer(client: ApiClient, limits: StoreLimits = S3_LIMITS, **settings: Any) -> Transfer:
    """Return a transfer with parts of 5 MiB, unless `settings` have another size.

    With smaller `limits`, parts may be smaller than a TransferConfig allows.
    """
    part_size = settings.pop("part_size", PART)
    config = TransferConfig(**settings)
    object.__setattr__(config, "part_size", part_size)
    transfer = Transfer(client, config)
    transfer._context = replace(transfer._context, limits=limits)
    return transfer


def set_throttle(transfer: Transfer, throttle: Throttle) -> Throttle:
    """Give a transfer a throttle, and return the throttle."""
    transfer._context = replace(transfer._context, throttle=throttle)
    return throttle


@contextmanager
def bench_of(sandbox: Sandbox, folder: Path) -> Iterator[Bench]:
    """Yield a bench on a sandbox."""
    with ApiClient(sandbox.configuration()) as client:
        yield Bench(sandbox, client, folder)


OnBytes = Callable[[Callable[[int], object]], None]
Tamper = Callable[[Callable[[Response, Request], object]], None]


class Stall:
    """A segment of an answer that never arrives.

    Attributes:
        started: Set when the server reaches the segment.
        released: Ends the stall, and the connection.
    """

    offset = 0

    def __init__(self, size: int) -> None:
        self.size = size
        self.path = self
        self.started = threading.Event()
        self.released = threading.Event()

    def __iter__(self) -> Iterator[Any]:
        return iter((self.path, self.offset, self.size))

    def open(self, mode: str) -> Any:
        self.started.set()
        self.released.wait()
        raise OSError("the stall has ended")

    def send(self, sock: object, size: int) -> None:
        """Stall, in place of sending the bytes."""
        self.open("rb")


class Row(NamedTuple):
    """A fault, and the error that it causes when the attempts are used up."""

    kind: FaultKind
    details: dict[str, Any]
    error: type[ApiException] = ApiException
    status: int = 0

    @property
    def id(self) -> str:
        return "-".join([self.kind, *map(str, self.details.values())])


def status(code: int, error: str | None = None) -> Row:
    details: dict[str, Any] = {"status": code}
    if error:
        details["code"] = error
    return Row("status", details, status=code)


@contextmanager
def interrupt_once(condition: Callable[[], bool]) -> Iterator[None]:
    """Interrupt the main thread, as Ctrl-C does, when a condition becomes true."""
    main = threading.get_ident()
    done = threading.Event()

    def interrupt() -> None:
        while not condition():
            if done.wait(0.01):
                return
        signal.pthread_kill(main, signal.SIGINT)

    # Python ignores the signal if it was started in the background.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt)
    # An exception in a callback of the garbage collector, such as Hypothesis's, is lost.
    gc.disable()
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        gc.enable()
        signal.signal(signal.SIGINT, previous)


class MovableClock:
    """A monotonic clock that only the test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
