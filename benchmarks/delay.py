"""A TCP proxy on the loopback that delays each direction, in a separate process.

``python delay.py SECONDS LISTEN=TARGET…`` (addresses as HOST:PORT, port 0 for any free one) prints
the addresses to connect to. For each line on its stdin, it prints the numbers of HTTP requests
and connections since the last line. It exits when its stdin closes.

The delay is a latency: the order of the bytes and their rate stay the same. Connections are
accepted without delay.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

# The end of a request line. The random content of files does not contain it.
_REQUEST = b" HTTP/1.1\r\n"


class Traffic(NamedTuple):
    """Numbers of HTTP requests and of their connections."""

    requests: int
    connections: int


class DelayProxy:
    """A running proxy, which ends with the `with` block.

    Args:
        seconds: Delay of each direction.
        routes: Target addresses by the address to listen on (HOST:PORT).

    Attributes:
        addresses: The addresses that the proxy listens on, in the order of `routes`.
    """

    def __init__(self, seconds: float, routes: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(seconds), *map("=".join, routes.items())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent,
        )  # fmt: skip
        self.addresses = self._answer().split()
        if len(self.addresses) != len(routes):
            raise OSError(f"the delay proxy cannot listen on {', '.join(routes)}")

    def __enter__(self) -> DelayProxy:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.__exit__(None, None, None)  # closes its stdin, which ends the process

    def take_traffic(self) -> Traffic:
        """Return the traffic since the last call."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return Traffic(*map(int, self._answer().split()))

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


class _Counter:
    """Counts of requests and connections."""

    requests = 0
    connections = 0


class _Endpoint(asyncio.Protocol):
    """One of two paired connections. The other one sends the received bytes after the delay."""

    def __init__(self, delay: float, counter: _Counter) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: _Endpoint | None = None
        self._delay = delay
        self._counter = counter
        self._counts_requests = False
        self._tail = b""
        self._queue: deque[bytes | None] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Forward bytes after the delay."""
        if self._counts_requests:
            seen = self._tail + data
            self._counter.requests += seen.count(_REQUEST)
            self._tail = seen[1 - len(_REQUEST) :]
        self.forward(data)

    def eof_received(self) -> bool:
        """Forward the end of the stream after the delay. The other direction stays open."""
        self.forward(None)
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """Close the other connection after the delay."""
        self.forward(None, close=True)

    def forward(self, data: bytes | None, close: bool = False) -> None:
        self._queue.append(data)
        asyncio.get_running_loop().call_later(self._delay, self._deliver, close)

    def _deliver(self, close: bool) -> None:
        data = self._queue.popleft()
        transport = self.other and self.other.transport
        if transport is None or transport.is_closing():
            return
        with suppress(OSError):  # the peer has disconnected
            if data is not None:
                transport.write(data)
            elif close:
                transport.close()
            else:
                transport.write_eof()


class _Client(_Endpoint):
    """The connection of a client, which opens a connection to the target."""

    def __init__(self, delay: float, counter: _Counter, target: str) -> None:
        super().__init__(delay, counter)
        self._counts_requests = True
        self._target = target
        self._opening: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open the connection to the target, and pause reading until then."""
        super().connection_made(transport)
        self._counter.connections += 1
        assert self.transport is not None
        self.transport.pause_reading()
        self._opening = asyncio.ensure_future(self._open())

    async def _open(self) -> None:
        assert self.transport is not None
        host, _, port = self._target.rpartition(":")
        self.other = _Endpoint(self._delay, self._counter)
        self.other.other = self
        try:
            await asyncio.get_running_loop().create_connection(lambda: self.other, host, int(port))
        except OSError:
            self.transport.abort()
        else:
            self.transport.resume_reading()


async def _serve(seconds: float, routes: list[tuple[str, str]]) -> None:
    loop = asyncio.get_running_loop()
    counter = _Counter()
    servers = []
    for listen, target in routes:
        host, _, port = listen.rpartition(":")
        servers.append(
            await loop.create_server(
                lambda target=target: _Client(seconds, counter, target), host, int(port),
                backlog=1024,
            )
        )  # fmt: skip
    names = (server.sockets[0].getsockname() for server in servers)
    print(*(f"{host}:{port}" for host, port in names), flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(counter.requests, counter.connections, flush=True)
        counter.requests = counter.connections = 0


if __name__ == "__main__":
    pairs = (route.partition("=") for route in sys.argv[2:])
    asyncio.run(_serve(float(sys.argv[1]), [(listen, target) for listen, _, target in pairs]))
