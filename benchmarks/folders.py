"""Compare the wall time of folder transfers with that of other tools, with and without a delay.

    python benchmarks/folders.py
    python benchmarks/folders.py --scale 200000

The folder has 1,000 files of 10 KiB. The peers are urllib3 in threads and, if available, lakectl
and boto3. A stand-in server answers unless the environment names a real one:

- ``LAKEFS_TEST_ENDPOINT`` and the other variables of the integration suite name a lakeFS server.
  lakectl is a peer if it is on the path.
- ``AWS_ENDPOINT_URL``, ``AWS_ACCESS_KEY_ID`` … name the server's store, which makes boto3 a peer.
- ``LAKEFS_BENCH_DELAYED_ENDPOINT`` names a second lakeFS server over the same store, for the rows
  with a delay. Presigned URLs name the store's host, so a delay needs a server whose presigned URLs
  lead to a proxy. Set its ``blockstore.s3.pre_signed_endpoint`` to a free address of this machine,
  for example http://127.0.0.1:19001. The benchmark reads the address from a presigned URL and
  starts a delaying proxy there, and another proxy before the server.

All peers, boto3 included, use the same proxies, which also count the requests. Each run is a
separate process, the peers alternate, and the fastest run of each peer counts.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from delay import DelayProxy
from folder_peers import THREADS, Site, delete_boto3, transfer_of, upload_boto3
from harness import output_of, prepare

DELAY = 0.010
FILES, SIZE = 1000, 10 << 10

SUBJECTS = {
    "client": ("bare", "lakectl", "boto3", "boto3_loop"),
    "threshold": ("bare_server", "lakectl"),
}  # by subject: the peers to compare it with
NAMES = {
    "client": "lakefs_client",
    "threshold": "… with server_threshold",
    "bare": f"urllib3, {THREADS} threads",
    "bare_server": "… through the server",
    "lakectl": "lakectl",
    "boto3": f"boto3, {THREADS} threads",
    "boto3_loop": "boto3, one by one",
}
# Much slower peers run fewer rounds.
SLOW, SLOW_ROUNDS = ("boto3_loop",), 1
# Upper limits of wall time ratios by subject, peer, direction and delay.
LIMITS = {
    ("client", "lakectl", "upload", False): 1.8,
    ("client", "lakectl", "upload", True): 1.0,
    ("client", "lakectl", "download", False): 1.1,
    ("client", "lakectl", "download", True): 0.6,
    ("threshold", "lakectl", "upload", False): 1.0,
    ("threshold", "lakectl", "upload", True): 0.6,
    ("client", "boto3_loop", "upload", False): 0.5,
    ("client", "boto3_loop", "upload", True): 0.5,
    ("client", "boto3_loop", "download", False): 0.5,
    ("client", "boto3_loop", "download", True): 0.5,
}


class Setup(NamedTuple):
    """The sites of some rows, and the proxy if these rows have a delay."""

    upload: Site
    download: Site
    proxy: DelayProxy | None


class Figure(NamedTuple):
    """Seconds of wall time and CPU of a run, and the traffic through the proxy, if any."""

    wall: float
    cpu: float
    requests: int | None = None
    connections: int | None = None


class Row(NamedTuple):
    """A direction, with or without a delay, and the figures of each peer."""

    direction: str
    delayed: bool
    figures: dict[str, list[Figure]]

    def best(self, peer: str) -> Figure:
        """Return the fastest run of a peer."""
        return min(self.figures[peer])

    def ratios(self, peer: str) -> Iterator[tuple[str, float, float | None]]:
        """Yield the subjects, their wall time as a multiple of a peer's, and its limit."""
        for subject, peers in SUBJECTS.items():
            if subject in self.figures and peer in peers:
                ratio = self.best(subject).wall / self.best(peer).wall
                yield subject, ratio, LIMITS.get((subject, peer, self.direction, self.delayed))


@contextmanager
def setups(resources: dict[str, str]) -> Iterator[list[Setup]]:
    """Yield the setup without a delay and, if the environment allows it, the one with a delay."""
    with ExitStack() as stack:
        if "lakefs" not in resources:
            # The stand-in's presigned URLs contain the address that the client used.
            address = resources["http"]
            proxy = stack.enter_context(_proxy({"127.0.0.1:0": address}))
            yield [
                _stand_in(resources, address, None),
                _stand_in(resources, f"http://{proxy.addresses[0]}", proxy),
            ]
            return
        store = os.environ.get("AWS_ENDPOINT_URL", "")
        result = [stack.enter_context(_real(resources, resources["lakefs"], store, None))]
        delayed = os.environ.get("LAKEFS_BENCH_DELAYED_ENDPOINT", "")
        if delayed and store:
            routes = {"127.0.0.1:0": delayed, _presigned_address(delayed): store}
            proxy = stack.enter_context(_proxy(routes))
            lakefs, behind = (f"http://{address}" for address in proxy.addresses)
            result.append(stack.enter_context(_real(resources, lakefs, behind, proxy)))
        else:
            print("delay: skipped, LAKEFS_BENCH_DELAYED_ENDPOINT or AWS_ENDPOINT_URL is not set")
        yield result


def _proxy(routes: dict[str, str]) -> DelayProxy:
    return DelayProxy(DELAY, {listen: urlsplit(to).netloc for listen, to in routes.items()})


def _stand_in(resources: dict[str, str], address: str, proxy: DelayProxy | None) -> Setup:
    upload = Site(address, "", "", "hashed", "up/", resources["folder"], str(FILES))
    return Setup(upload, upload._replace(repository=f"folder-{FILES}-{SIZE}"), proxy)


@contextmanager
def _real(
    resources: dict[str, str], lakefs: str, store: str, proxy: DelayProxy | None
) -> Iterator[Setup]:
    """Yield a setup with a new repository of files to download; delete it at the end."""
    name, folder = f"bench-{secrets.token_hex(8)}", resources["folder"]
    namespace = f"{resources['namespace'].rstrip('/')}/{name}"
    with _repository(lakefs, name, namespace):
        site = Site(lakefs, store, namespace, name, "down/", folder, str(FILES))
        transfer_of(lakefs).upload_directory(folder, name, "main", site.prefix)
        if store:
            upload_boto3(*site, keep=True)
        try:
            yield Setup(site, site, proxy)
        finally:
            if store:
                delete_boto3(*site)


@contextmanager
def _repository(lakefs: str, name: str, namespace: str) -> Iterator[Any]:
    from lakefs_client.apis import RepositoriesApi

    client = transfer_of(lakefs).api_client
    repositories = RepositoriesApi(client)
    repositories.create_repository({"name": name, "storage_namespace": namespace})
    try:
        yield client
    finally:
        repositories.delete_repository(name)


def _presigned_address(lakefs: str) -> str:
    """Return HOST:PORT of the store in the server's presigned URLs."""
    from lakefs_client.apis import StagingApi

    name = f"bench-{secrets.token_hex(8)}"
    namespace = f"{os.environ['LAKEFS_TEST_STORAGE_NAMESPACE'].rstrip('/')}/{name}"
    with _repository(lakefs, name, namespace) as client:
        location = StagingApi(client).get_physical_address(name, "main", "path", presign=True)
    return urlsplit(location.presigned_url).netloc


def peers_of(resources: dict[str, str], site: Site) -> dict[str, list[str]]:
    """Return the available peers by direction; print the others."""
    from lakefs_client.transfer import TransferConfig

    missing = {}
    if "server_threshold" not in TransferConfig.__dataclass_fields__:
        missing["threshold"] = "TransferConfig has no server_threshold"
    if "lakectl" not in resources:
        missing["lakectl"] = "it needs a named server and lakectl on the path"
    if not site.store or importlib.util.find_spec("boto3") is None:
        for peer in ("boto3", "boto3_loop"):
            missing[peer] = "it needs a named server, AWS_ENDPOINT_URL and boto3"
    for peer, reason in missing.items():
        print(f"{NAMES[peer]}: skipped, {reason}")
    uploads = [peer for peer in NAMES if peer not in missing]
    downloads = [peer for peer in uploads if peer not in ("threshold", "bare_server")]
    return {"upload": uploads, "download": downloads}


def measure(setup: Setup, direction: str, peers: list[str], rounds: int) -> Row:
    """Run each peer in each round, in alternating order."""
    figures: dict[str, list[Figure]] = {peer: [] for peer in peers}
    for number in range(rounds):
        for peer in peers[:: -1 if number % 2 else 1]:
            if peer in SLOW and number >= SLOW_ROUNDS:
                continue
            site = setup.download
            if direction == "upload":
                site = setup.upload._replace(prefix=f"up-{secrets.token_hex(4)}/")
            if setup.proxy:
                setup.proxy.take_traffic()
            output = output_of(sys.executable, "folder_peers", f"{direction}_{peer}", site)
            traffic = setup.proxy.take_traffic() if setup.proxy else ()
            figures[peer].append(Figure(*ast.literal_eval(output), *traffic))
    return Row(direction, setup.proxy is not None, figures)


TITLES = ("lakefs_client", "server_threshold")  # columns of ratios
_SCALE = "{:<18}{:>8}{:>12}{:>9}{:>12}{:>7}"
_LINE = "{:<26}{:>9}{:>9}{:>10}{:>13}  {:<16}{:<16}"


def report(row: Row) -> None:
    """Print a row as a table with a line per peer, and this package's ratios to the peer."""
    delay = f"round trip {2000 * DELAY:.0f} ms" if row.delayed else "no delay"
    print(f"\n{row.direction}, {delay}, {FILES:,} files of {SIZE >> 10} KiB")
    print(_LINE.format("", "wall", "CPU", "requests", "connections", *TITLES))
    for peer in row.figures:
        best = row.best(peer)
        requests = "" if best.requests is None else f"{best.requests / FILES:.2f}"
        connections = "" if best.connections is None else best.connections
        ratios = {subject: _ratio(*rest) for subject, *rest in row.ratios(peer)}
        cells = (ratios.get(subject, "") for subject in SUBJECTS)
        print(
            _LINE.format(
                NAMES[peer],
                f"{best.wall:.2f} s",
                f"{best.cpu:.2f} s",
                requests,
                connections,
                *cells,
            ),
            flush=True,
        )


def _ratio(ratio: float, limit: float | None) -> str:
    if limit is None:
        return f"{ratio:.2f}"
    return f"{ratio:.2f} {'ok' if ratio <= limit else 'OVER'} {limit:.2f}"


def scale(resources: dict[str, str], files: int) -> None:
    """Print memory, threads, open files and pages of transfers of many files."""
    print(f"{files:,} files, from and to the stand-in server")
    print(_SCALE.format("", "wall", "memory", "threads", "open files", "pages"))
    with TemporaryDirectory() as folder:
        arguments = (resources["http"], folder, str(files))
        for name, function in (
            ("upload", "upload"),
            ("download", "download"),
            ("… unchanged", "download"),
            ("upload, unchanged", "compare"),
        ):
            output = output_of(sys.executable, "folder_scale", function, arguments)
            seconds, memory, *counts = ast.literal_eval(output).values()
            print(_SCALE.format(name, f"{seconds:.0f} s", f"{memory:.1f} MiB", *counts), flush=True)


def as_json(row: Row) -> dict[str, Any]:
    """Return a row as plain values."""
    figures = {
        peer: [figure._asdict() for figure in figures] for peer, figures in row.figures.items()
    }
    return {"direction": row.direction, "delayed": row.delayed, "figures": figures}


def main() -> int:
    """Run the chosen measures. Return 1 if `--check` is given and a limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("only", nargs="*", help="upload, download; both by default")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each peer")
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument("--check", action="store_true", help="fail if a limit is exceeded")
    parser.add_argument("--scale", type=int, help="measure memory of folders with this many files")
    args = parser.parse_args()
    if args.scale:
        with prepare(quick=True) as resources:
            scale(resources, args.scale)
        return 0
    rows = []
    with prepare(quick=True) as resources, setups(resources) as available:
        peers = peers_of(resources, available[0].upload)
        for setup in available:
            for direction in args.only or peers:
                rows.append(measure(setup, direction, peers[direction], args.rounds))
                report(rows[-1])
    if args.json:
        args.json.write_text(json.dumps([as_json(row) for row in rows], indent=1) + "\n")
    exceeded = [
        ratio
        for row in rows
        for peer in row.figures
        for _, ratio, limit in row.ratios(peer)
        if limit is not None and ratio > limit
    ]
    return int(args.check and bool(exceeded))


if __name__ == "__main__":
    sys.exit(main())
