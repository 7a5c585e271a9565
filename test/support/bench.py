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
"""The smallest part that stores take."""
PATH = "some/where/data.bin"
NO_WAIT = RetryPolicy(attempts=2, min_wait=0, max_wait=0)


@cache
def _noise() -> bytes:
    return random.Random(20).randbytes(32 * MIB + 64)


def content(size: int) -> bytes:
    """Bytes of which no two windows are the same."""
    assert size <= len(_noise())
    return _noise()[:size]


PERMISSION = ("get_repository", "get_branch_protection_rules")


class Bench:
    """A sandbox with the repository `repo`, a client of it, and a folder.

    Attributes:
        sandbox: The server.
        client: Repeats once, and does not wait before it.
        folder: Where files are made.
    """

    def __init__(self, sandbox: Sandbox, client: ApiClient, folder: Path) -> None:
        self.sandbox = sandbox
        self.client = client
        self.folder = folder
        client.configuration.retries = NO_WAIT
        # There is no TLS here, and to read the roots of trust takes longer than most uploads.
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
        """Return a file of zeros that takes no room."""
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
        """Upload a file, or `content` of a size, in parts of 5 MiB unless `settings` say other."""
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
        """Return the target of a download: a file in its own folder."""
        folder = self.folder / "downloads"
        folder.mkdir(exist_ok=True)
        return folder / "target.bin"

    @property
    def beside(self) -> list[str]:
        """Names of the files where downloads go."""
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
        """Return the requests to the store, in order."""
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

    def held(self, path: str = PATH, branch: str = "main") -> bytes:
        """Return the stored bytes of the object at a path."""
        stats = self.stat(path, branch)
        assert stats is not None
        return self.at(stats.physical_address)

    def at(self, physical_address: str) -> bytes:
        """Return the stored bytes at an address."""
        stored = self.sandbox.blockstore.get(physical_address.partition("://")[2])
        assert stored is not None
        return stored.read()

    @property
    def operations(self) -> Counter[str]:
        """Count the requests per operation, except those for the permission to write,
        which is asked beside the upload."""
        asked = (request.operation for request in list(self.sandbox.requests))
        return Counter(operation for operation in asked if operation not in PERMISSION)

    def assert_whole(self, data: bytes, path: str = PATH) -> None:
        """Check that the object is there, byte for byte, and nothing is pending."""
        assert self.held(path) == data
        assert not self.sandbox.blockstore.uploads()

    def assert_nothing_left(self, path: str = PATH) -> None:
        """No object, and no upload that is neither completed nor aborted."""
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
    """Return a bench around a sandbox of one's own."""
    with ApiClient(sandbox.configuration()) as client:
        yield Bench(sandbox, client, folder)


Tamper = Callable[[Callable[[Response, Request], object]], None]


class Stall:
    """A piece of an answer that never comes.

    Attributes:
        begun: Set once the server is at it.
        over: Ends it, and the connection.
    """

    offset = 0

    def __init__(self, size: int) -> None:
        self.size = size
        self.path = self
        self.begun = threading.Event()
        self.over = threading.Event()

    def __iter__(self) -> Iterator[Any]:
        return iter((self.path, self.offset, self.size))

    def open(self, mode: str) -> Any:
        self.begun.set()
        self.over.wait()
        raise OSError("the stall is over")

    def send(self, sock: object, size: int) -> None:
        """Take the part of a segment of the blockstore, which sends its bytes."""
        self.open("rb")


class Row(NamedTuple):
    """A fault, and the error that it ends in where it is one too many."""

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
    """Interrupt the main thread, as Ctrl-C does, once a condition is true."""
    main = threading.get_ident()
    over = threading.Event()

    def interrupt() -> None:
        while not condition():
            if over.wait(0.01):
                return
        signal.pthread_kill(main, signal.SIGINT)

    # Python leaves the signal ignored where it is started in the background.
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt)
    # In a callback of the collector, such as Hypothesis has, an exception is lost.
    gc.disable()
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        gc.enable()
        signal.signal(signal.SIGINT, former)


class MovableClock:
    """Monotonic seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
