"""The Sandbox class: a lakeFS server and its blockstore in this process."""

from __future__ import annotations

import tempfile
import threading
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from lakefs_client.sandbox import defaults, openapi
from lakefs_client.sandbox.api import Api
from lakefs_client.sandbox.blocks import Blockstore
from lakefs_client.sandbox.clock import Clock
from lakefs_client.sandbox.faults import Faults
from lakefs_client.sandbox.http_server import Server
from lakefs_client.sandbox.identity import Identity
from lakefs_client.sandbox.persistence import Persistence
from lakefs_client.sandbox.request_log import Recorder, RequestLog
from lakefs_client.sandbox.s3_store import S3Blockstore, S3UrlSigner, connect
from lakefs_client.sandbox.signing import UrlSigner
from lakefs_client.sandbox.state import Backend
from lakefs_client.sandbox.store_server import StoreServer

if TYPE_CHECKING:
    from lakefs_client.configuration import Configuration

_LOG_LENGTH = 10_000


class Sandbox:
    """A simulated lakeFS server over an S3 store, for tests.

    The sandbox listens on two ports: one for the API, one for the blockstore behind presigned URLs.
    It starts when the object is created.

        with Sandbox() as sandbox:
            configuration = sandbox.configuration()

    Args:
        host: The address to listen on. On an address other than this machine's own, anybody with
            the credentials can fill the disk.
        port: The API's port. 0 selects a free port.
        store_port: The blockstore's port, to which presigned URLs lead. 0 selects a free port. By
            default it is the port after `port`, or a free port if `port` is 0.
        data: A directory that keeps the state for the next sandbox. Only one sandbox at a time may
            use it. The sandbox writes each change before it answers. By default the sandbox uses a
            temporary directory and removes it.
        url_lifetime: The lifetime of presigned URLs, in seconds.
        external_principals: Simulate a server with an external authentication service: external
            principals, their login, and the login by STS.
        presigned_multipart: Simulate a store with presigned multipart uploads.
        presign: Simulate a store with presigned URLs.
        access_key_id, secret_access_key: The user's credentials. By default the sandbox takes the
            credentials in `data`, or random ones.
        version: The server version to report.
        s3_endpoint: The URL of an S3 store to use as the blockstore, through boto3 (extra `[s3]`).
            Presigned URLs lead to that store. Credentials come from boto3's usual places.
        namespace: The prefix for the storage namespaces of repositories. With `s3_endpoint`, its
            bucket must exist.

    Raises:
        OSError: A port is in use, or the data directory cannot be written.
        ValueError: Another sandbox uses the data directory, or its state is damaged.

    Attributes:
        endpoint: The URL of the server, without `/api/v1`.
        store_endpoint: The URL of the blockstore.
        access_key_id, secret_access_key: The user's credentials.
        storage_namespace: The prefix for the storage namespaces of repositories.
        faults: The pending faults.
        requests: The last 10,000 requests to both ports, oldest first, without bodies.
        blockstore: The stored objects.
        clock: The sandbox's clock. `clock.advance(seconds)` moves it.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        store_port: int | None = None,
        data: str | PathLike[str] | None = None,
        url_lifetime: int = 900,
        external_principals: bool = False,
        presigned_multipart: bool = True,
        presign: bool = True,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
        version: str = defaults.VERSION,
        s3_endpoint: str | None = None,
        namespace: str = defaults.NAMESPACE,
    ) -> None:
        if not namespace.startswith("s3://"):
            raise ValueError(f"namespace must begin with s3://: got {namespace!r}")
        if s3_endpoint is not None and not presign:
            raise ValueError("s3_endpoint requires presign=True")
        if store_port is None:
            store_port = port + 1 if port else 0
        self._s3_endpoint = s3_endpoint
        # Before the data directory, which would have to be released after an error.
        self._s3_client = None if s3_endpoint is None else connect(s3_endpoint)
        self.storage_namespace = f"{namespace.rstrip('/')}/"
        self.clock = Clock()
        self.faults = Faults(openapi.load().operations)
        self.requests = RequestLog(maxlen=_LOG_LENGTH)
        self._host = host
        self._port = port
        self._servers: list[Server] = []
        self._lock = threading.Lock()
        self._closed = False
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._persistence: Persistence | None = None
        directory = self._open_directory(data)
        identity = self._identity(access_key_id, secret_access_key)
        self.blockstore, urls = self._open_store(directory, url_lifetime, identity.sign("urls"))
        self.access_key_id = identity.access_key_id
        self.secret_access_key = identity.secret_access_key
        self._backend = Backend(
            clock=self.clock,
            store=self.blockstore,
            identity=identity,
            urls=urls,
            namespace=self.storage_namespace,
            external_principals=external_principals,
            presign=presign,
            presigned_multipart=presign and presigned_multipart,
            version=version,
            store_port=store_port,
        )
        recorder = Recorder(self.requests, self.faults, self._on_change)
        self._api = Api(self._backend, recorder)
        self._store: StoreServer | None = None
        if isinstance(urls, UrlSigner):
            self._store = StoreServer(self.blockstore, urls, recorder)
        try:
            if self._persistence is not None:
                self._persistence.restore(self._backend)
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def endpoint(self) -> str:
        """The URL of the server, without `/api/v1`."""
        return self._url(self._port)

    @property
    def store_endpoint(self) -> str:
        """The URL of the blockstore, to which presigned URLs lead."""
        return self._s3_endpoint or self._url(self._backend.store_port)

    def configuration(self) -> Configuration:
        """Return a `lakefs_client.Configuration` with this server's address and credentials."""
        from lakefs_client.configuration import Configuration

        return Configuration(
            host=self.endpoint, username=self.access_key_id, password=self.secret_access_key
        )

    def start(self) -> None:
        """Listen, unless the sandbox already does."""
        with self._lock:
            if self._servers:
                return
            if self._closed:
                raise RuntimeError("cannot start the sandbox: it is closed")
            servers: list[Server] = []
            try:
                if self._store is not None:
                    port = self._backend.store_port
                    servers.append(Server(self._host, port, self._store.handle, self.clock))
                    self._backend.store_port = servers[0].port
                servers.append(Server(self._host, self._port, self._api.handle, self.clock))
            except OSError:
                for server in servers:
                    server.close()
                raise
            self._servers = servers
            self._port = servers[-1].port

    def restart(self) -> None:
        """Close all connections and listen again on the same ports, with the same state."""
        self._stop()
        self.start()

    def close(self) -> None:
        """Stop the sandbox, and remove its data unless it has a data directory. May be repeated."""
        self._stop()
        self._closed = True
        if self._temporary is not None:
            self._temporary.cleanup()
        if self._persistence is not None:
            self._persistence.close()
        if self._s3_client is not None:
            self._s3_client.close()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _stop(self) -> None:
        with self._lock:
            servers, self._servers = self._servers, []
        for server in servers:
            server.close()

    def _on_change(self) -> None:
        if self._persistence is not None:
            self._persistence.save(self._backend)

    def _open_directory(self, data: str | PathLike[str] | None) -> Path:
        if data is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="lakefs-sandbox-")
            return Path(self._temporary.name)
        self._persistence = Persistence(Path(data))
        return Path(data)

    def _open_store(
        self, directory: Path, url_lifetime: int, secret: str
    ) -> tuple[Blockstore, UrlSigner | S3UrlSigner]:
        blocks = directory / "blocks"
        if self._s3_client is None:
            return Blockstore(blocks, self.clock), UrlSigner(secret, self.clock, url_lifetime)
        prefix = self.storage_namespace.removeprefix("s3://")
        store = S3Blockstore(blocks, self.clock, self._s3_client, prefix)
        return store, S3UrlSigner(self._s3_client, self.clock, url_lifetime)

    def _identity(self, access_key_id: str | None, secret_access_key: str | None) -> Identity:
        saved = self._persistence.identity() if self._persistence else {}
        given = {"access_key_id": access_key_id, "secret_access_key": secret_access_key}
        given = {name: value for name, value in given.items() if value}
        return Identity(**{"created": int(self.clock()), **saved, **given})

    def _url(self, port: int) -> str:
        # A wildcard address is not an address to connect to.
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
