"""The sandbox: a lakeFS server and its blockstore in this process."""

from __future__ import annotations

import tempfile
import threading
import time
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from . import document
from .api import Api
from .blocks import Blockstore
from .clock import Clock
from .faults import Faults, Recorder, RequestLog
from .identity import Identity
from .state import NAMESPACE, Backend, read
from .store_server import StoreServer, UrlSigner
from .wire import Server

if TYPE_CHECKING:
    from lakefs_client.configuration import Configuration

_REMEMBERED_REQUESTS = 10_000
_SAVE_SECONDS = 1.0


class Sandbox:
    """A stand-in for a lakeFS server over an S3 store, for tests.

    It answers as a server does, statuses and messages included, on two ports: the API, and the
    blockstore behind presigned URLs. It begins to listen when it is made.

        with Sandbox() as sandbox:
            configuration = sandbox.configuration()

    Args:
        host: The address to listen at. Whoever reaches it and knows the credentials can fill the
            disk; leave it at this machine's own, unless you mean it.
        port: The API's port; 0 takes a free one.
        data: A directory that keeps everything for the next sandbox; one at a time may use it. It
            is written once a second at most, and by `close`. Without one a temporary directory is
            used, and removed.
        url_lifetime: How many seconds presigned URLs are good for.
        external_principals: Be a server with an external authentication service: external
            principals, their login, and the login by STS.
        presigned_multipart: Be a server whose store takes presigned multipart uploads.
        presign: Be a server whose store has presigned URLs.
        access_key_id, secret_access_key: The user's credentials. By default those that are in
            `data`, else new ones.

    Attributes:
        endpoint: Where the API is, without `/api/v1`.
        access_key_id, secret_access_key: The user's credentials.
        storage_namespace: The prefix below which repositories may be created.
        faults: What is ordered to go wrong.
        requests: The last 10,000 requests to both ports, the oldest first, without their bodies.
        blockstore: The stored bytes.
        clock: The sandbox's time, which `clock.advance(seconds)` moves.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        data: str | PathLike[str] | None = None,
        url_lifetime: int = 900,
        external_principals: bool = False,
        presigned_multipart: bool = True,
        presign: bool = True,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
    ) -> None:
        self.storage_namespace = NAMESPACE
        self.clock = Clock()
        self.faults = Faults(document.load().operations)
        self.requests = RequestLog(maxlen=_REMEMBERED_REQUESTS)
        self._host = host
        self._port = port
        self._servers: list[Server] = []
        self._lock = threading.Lock()
        self._saved_at = 0.0
        self._temporary = None
        if data is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="lakefs-sandbox-")
            data = self._temporary.name
        self._state_file = Path(data) / "state.json"
        saved = read(self._state_file)
        self.blockstore = Blockstore(Path(data) / "blocks", self.clock)
        given = {"access_key_id": access_key_id, "secret_access_key": secret_access_key}
        known = saved.get("identity", {"created": int(self.clock())})
        identity = Identity(**known | {name: value for name, value in given.items() if value})
        self.access_key_id = identity.access_key_id
        self.secret_access_key = identity.secret_access_key
        self._backend = Backend(
            clock=self.clock,
            store=self.blockstore,
            identity=identity,
            urls=UrlSigner(identity.sign("urls"), self.clock, url_lifetime),
            external_principals=external_principals,
            presign=presign,
            presigned_multipart=presign and presigned_multipart,
        )
        if saved:
            self._backend.load(saved)
        recorder = Recorder(self.requests, self.faults, self._changed)
        self._api = Api(self._backend, recorder)
        self._store = StoreServer(self.blockstore, self._backend.urls, recorder)
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def endpoint(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    def configuration(self) -> Configuration:
        """A configuration of `lakefs_client` for this server, with its credentials."""
        from lakefs_client.configuration import Configuration

        return Configuration(
            host=self.endpoint, username=self.access_key_id, password=self.secret_access_key
        )

    def start(self) -> None:
        """Listen, unless it does already. After `close`, only where there is a data directory."""
        with self._lock:
            if self._servers:
                return
            if self._temporary is not None and not Path(self._temporary.name).exists():
                raise RuntimeError("this sandbox is closed, and its temporary directory removed")
            store_port = self._backend.store_port
            store = Server(self._host, store_port, self._store.handle, self.clock)
            try:
                api = Server(self._host, self._port, self._api.handle, self.clock)
            except OSError:
                store.close()
                raise
            self._servers = [api, store]
            self._port, self._backend.store_port = api.port, store.port

    def restart(self) -> None:
        """Cut all connections and listen again at the same ports, with the same state."""
        self._stop()
        self.start()

    def close(self) -> None:
        """Stop, keep the state if there is a data directory, else forget it. May be repeated."""
        self._stop()
        if self._temporary is not None:
            self._temporary.cleanup()
        else:
            self._save()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _stop(self) -> None:
        with self._lock:
            servers, self._servers = self._servers, []
        for server in servers:
            server.close()

    def _changed(self) -> None:
        if self._temporary is None and time.monotonic() >= self._saved_at + _SAVE_SECONDS:
            self._save()

    def _save(self) -> None:
        self._saved_at = time.monotonic()
        self._backend.save(self._state_file)
