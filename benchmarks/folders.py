"""Compare the transfer of 1,000 files of 10 KiB with other ways, without delay and with a delay.

    python benchmarks/folders.py
    python benchmarks/folders.py --scale 200000

A stand-in server answers, and the peer is urllib3 in threads, unless the environment names a
server: ``LAKEFS_TEST_ENDPOINT`` and its companions as for the integration suite. Then lakectl is a
peer if it is on the path, and boto3 if ``AWS_ENDPOINT_URL``, ``AWS_ACCESS_KEY_ID`` … name the
store of that server.

A delay needs a second lakeFS server over the same store, since presigned URLs name the store's
host: one with ``blockstore.s3.pre_signed_endpoint`` set to an address of this machine on which
nothing listens, such as http://127.0.0.1:19001. ``LAKEFS_BENCH_DELAYED_ENDPOINT`` names that
server. The benchmark asks for a presigned URL, puts a delaying proxy at the address in the URL, and
another proxy before the server. All peers, boto3 included, then go through these proxies, which
also count the requests.

Wall times are compared, the best of each peer. Each run is a process of its own, and the peers take
turns.
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
from folder_peers import THREADS, Site, transfer_of, upload_boto3
from harness import output_of, setting

DELAY = 0.010
FILES, SIZE = 1000, 10 << 10

SUBJECTS = {
    "client": ("bare", "lakectl", "boto3"),
    "threshold": ("bare_server", "lakectl"),
}  # and what they are compared with
NAMES = {
    "client": "lakefs_client",
    "threshold": "… with server_threshold",
    "bare": f"urllib3, {THREADS} threads",
    "bare_server": "… through the server",
    "lakectl": "lakectl",
    "boto3": "boto3, past lakeFS",
}
# Ratios of wall time that are allowed: subject, peer, direction, whether there is a delay.
GOALS = {
    ("client", "lakectl", "upload", False): 1.8,
    ("client", "lakectl", "upload", True): 1.0,
    ("client", "lakectl", "download", False): 1.1,
    ("client", "lakectl", "download", True): 0.6,
    ("threshold", "lakectl", "upload", False): 1.0,
    ("threshold", "lakectl", "upload", True): 0.6,
    ("client", "boto3", "upload", False): 0.5,
    ("client", "boto3", "upload", True): 0.5,
    ("client", "boto3", "download", False): 0.5,
    ("client", "boto3", "download", True): 0.5,
}


class Setup(NamedTuple):
    """The servers of some rows, and the proxy before them if these rows have a delay."""

    upload: Site
    download: Site
    proxy: DelayProxy | None


class Figure(NamedTuple):
    """One run: seconds of wall time and CPU; requests and connections if a proxy counted them."""

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
                yield subject, ratio, GOALS.get((subject, peer, self.direction, self.delayed))


@contextmanager
def setups(provided: dict[str, str]) -> Iterator[list[Setup]]:
    """The setup without a delay, and with one if the environment allows it."""
    with ExitStack() as stack:
        if "lakefs" not in provided:
            # Presigned URLs of the stand-in name whatever address was asked.
            address = provided["http"]
            proxy = stack.enter_context(_proxy({"127.0.0.1:0": address}))
            yield [
                _stand_in(provided, address, None),
                _stand_in(provided, f"http://{proxy.addresses[0]}", proxy),
            ]
            return
        store = os.environ.get("AWS_ENDPOINT_URL", "")
        found = [stack.enter_context(_real(provided, provided["lakefs"], store, None))]
        delayed = os.environ.get("LAKEFS_BENCH_DELAYED_ENDPOINT", "")
        if delayed and store:
            routes = {"127.0.0.1:0": delayed, _presigned_address(delayed): store}
            proxy = stack.enter_context(_proxy(routes))
            lakefs, behind = (f"http://{address}" for address in proxy.addresses)
            found.append(stack.enter_context(_real(provided, lakefs, behind, proxy)))
        else:
            print("delay: skipped, LAKEFS_BENCH_DELAYED_ENDPOINT or AWS_ENDPOINT_URL is not set")
        yield found


def _proxy(routes: dict[str, str]) -> DelayProxy:
    return DelayProxy(DELAY, {listen: urlsplit(to).netloc for listen, to in routes.items()})


def _stand_in(provided: dict[str, str], address: str, proxy: DelayProxy | None) -> Setup:
    upload = Site(address, "", "", "hashed", "up/", provided["folder"], str(FILES))
    return Setup(upload, upload._replace(repository=f"folder-{FILES}-{SIZE}"), proxy)


@contextmanager
def _real(
    provided: dict[str, str], lakefs: str, store: str, proxy: DelayProxy | None
) -> Iterator[Setup]:
    """A new repository with the files to download, which is deleted in the end."""
    name, folder = f"bench-{secrets.token_hex(8)}", provided["folder"]
    namespace = f"{provided['namespace'].rstrip('/')}/{name}"
    with _repository(lakefs, name, namespace):
        site = Site(lakefs, store, namespace, name, "down/", folder, str(FILES))
        transfer_of(lakefs).upload_directory(folder, name, "main", site.prefix)
        if store:
            upload_boto3(*site, keep=True)
        yield Setup(site, site, proxy)


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
    """Return HOST:PORT of the store as a server's presigned URLs name it."""
    from lakefs_client.apis import StagingApi

    name = f"bench-{secrets.token_hex(8)}"
    namespace = f"{os.environ['LAKEFS_TEST_STORAGE_NAMESPACE'].rstrip('/')}/{name}"
    with _repository(lakefs, name, namespace) as client:
        location = StagingApi(client).get_physical_address(name, "main", "path", presign=True)
    return urlsplit(location.presigned_url).netloc


def peers_of(provided: dict[str, str], site: Site) -> dict[str, list[str]]:
    """Return by direction who can be measured here, and print who cannot."""
    from lakefs_client.transfer import TransferConfig

    missing = {}
    if "server_threshold" not in TransferConfig.__dataclass_fields__:
        missing["threshold"] = "TransferConfig has no server_threshold"
    if "lakectl" not in provided:
        missing["lakectl"] = "there is no server, or no lakectl on the path"
    if not site.store or importlib.util.find_spec("boto3") is None:
        missing["boto3"] = "there is no server, no AWS_ENDPOINT_URL, or no boto3"
    for peer, reason in missing.items():
        print(f"{NAMES[peer]}: skipped, {reason}")
    uploads = [peer for peer in NAMES if peer not in missing]
    downloads = [peer for peer in uploads if peer not in ("threshold", "bare_server")]
    return {"upload": uploads, "download": downloads}


def measure(setup: Setup, direction: str, peers: list[str], rounds: int) -> Row:
    """Run each peer in each round, in an order that changes direction every time."""
    figures: dict[str, list[Figure]] = {peer: [] for peer in peers}
    for number in range(rounds):
        for peer in peers[:: -1 if number % 2 else 1]:
            site = setup.download
            if direction == "upload":
                site = setup.upload._replace(prefix=f"up-{secrets.token_hex(4)}/")
            if setup.proxy:
                setup.proxy.take_traffic()
            output = output_of(sys.executable, "folder_peers", f"{direction}_{peer}", site)
            traffic = setup.proxy.take_traffic() if setup.proxy else ()
            figures[peer].append(Figure(*ast.literal_eval(output), *traffic))
    return Row(direction, setup.proxy is not None, figures)


_SCALE = "{:<18}{:>8}{:>12}{:>9}{:>12}{:>7}"
_LINE = "{:<26}{:>9}{:>9}{:>10}{:>13}{:>14}{:>18}"


def report(row: Row) -> None:
    """Print a row as a table: a line a peer, with the ratios of this package to it."""
    delay = f"round trip {2000 * DELAY:.0f} ms" if row.delayed else "no delay"
    print(f"\n{row.direction}, {delay}, {FILES:,} files of {SIZE >> 10} KiB")
    print(_LINE.format("", "wall", "CPU", "requests", "connections", "ratio", "threshold"))
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


def scale(provided: dict[str, str], files: int) -> None:
    """Print what folders of many files take, of the stand-in server."""
    print(f"\n{files:,} files, from and to the stand-in server")
    print(_SCALE.format("", "wall", "memory", "threads", "open files", "pages"))
    with TemporaryDirectory() as folder:
        arguments = (provided["http"], folder, str(files))
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
    """Run what was asked for; 1 with `--check` if a limit was missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("only", nargs="*", help="upload, download; both by default")
    parser.add_argument("--rounds", type=int, default=5, help="how often each peer runs")
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument("--check", action="store_true", help="fail if a limit is missed")
    parser.add_argument("--scale", type=int, help="measure folders of so many files instead")
    args = parser.parse_args()
    if args.scale:
        with setting(quick=True) as provided:
            scale(provided, args.scale)
        return 0
    rows = []
    with setting(quick=True) as provided, setups(provided) as found:
        peers = peers_of(provided, found[0].upload)
        for setup in found:
            for direction in args.only or peers:
                rows.append(measure(setup, direction, peers[direction], args.rounds))
                report(rows[-1])
    if args.json:
        args.json.write_text(json.dumps([as_json(row) for row in rows], indent=1) + "\n")
    missed = [
        ratio
        for row in rows
        for peer in row.figures
        for _, ratio, limit in row.ratios(peer)
        if limit is not None and ratio > limit
    ]
    return int(args.check and bool(missed))


if __name__ == "__main__":
    sys.exit(main())
