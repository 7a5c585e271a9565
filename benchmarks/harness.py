"""Runner of measures: each figure comes from a separate process, and the variants alternate."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from measures import Measure

HERE = Path(__file__).parent
# On a busy machine a measure takes more rounds, up to this factor.
_MAX_FACTOR = 3
PEERS = {"legacy": "lakefs_client==1.44.0", "sdk": "lakefs_sdk"}


class Result(NamedTuple):
    """The figures of a measure, the best of each variant.

    Attributes:
        measure: The measure.
        ours: This package's figure.
        floor: The floor's figure, including the allowance, or None without a floor.
        limit: Upper limit of the ratio, or of the figure if there is no floor.
        peers: Figures of other packages by their key in `PEERS`.
        figures: All figures by variant.
    """

    measure: Measure
    ours: float
    floor: float | None
    limit: float | None
    peers: dict[str, float]
    figures: dict[str, list[float]]

    @property
    def value(self) -> float:
        """The quantity that the limit applies to: the ratio to the floor, or the figure."""
        return self.ours if self.floor is None else self.ours / self.floor

    @property
    def is_met(self) -> bool:
        """True if the limit is met, or there is no limit."""
        return self.limit is None or self.value <= self.limit


@contextmanager
def prepare(quick: bool) -> Iterator[dict[str, str]]:
    """Yield the resources of the measures by name: server addresses, files, numbers of calls.

    ``https`` needs trustme, ``lakefs`` needs a server in the environment, and ``lakectl`` an
    installed lakectl.
    """
    with tempfile.TemporaryDirectory(prefix="lakefs-client-bench-") as folder:
        base = Path(folder)
        resources = {
            "no_ca": "",
            "calls": "500" if quick else "2000",
            "pages": "40" if quick else "100",
            "file": str(base / "file"),
            "folder": str(base / "small"),
        }
        with open(resources["file"], "wb") as file:
            block = os.urandom(1 << 20)
            for _ in range(64 if quick else 256):
                file.write(block)
        Path(resources["folder"]).mkdir()
        for number in range(1000):
            (base / "small" / f"{number:04d}.bin").write_bytes(os.urandom(10 << 10))
        if "LAKEFS_TEST_ENDPOINT" in os.environ:
            resources["lakefs"] = os.environ["LAKEFS_TEST_ENDPOINT"]
            resources["namespace"] = os.environ["LAKEFS_TEST_STORAGE_NAMESPACE"]
            if lakectl := shutil.which("lakectl"):
                resources["lakectl"] = lakectl
        certificate = _certificate(base)
        if certificate:
            resources["ca"] = str(base / "ca.pem")
        server = subprocess.Popen(
            [sys.executable, HERE / "server.py", *certificate],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        with server:  # closes its stdin, which ends the process
            assert server.stdout is not None
            resources.update(zip(("http", "https"), server.stdout.readline().split()))
            yield resources


def _certificate(base: Path) -> list[str]:
    try:
        import trustme
    except ImportError:
        return []
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(base / "ca.pem"))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        str(base / "server.pem")
    )
    return [str(base / "server.pem")]


def peer_pythons(venvs: Path) -> dict[str, str]:
    """Return the interpreters of the peers, and create missing ones."""
    pythons = {}
    for key, requirement in PEERS.items():
        folder = venvs / key
        python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        installed = folder / "installed"
        try:
            if not installed.exists():
                subprocess.run([sys.executable, "-m", "venv", folder], check=True)
                subprocess.run([python, "-m", "pip", "install", "-q", requirement], check=True)
                installed.touch()
            pythons[key] = str(python)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"{requirement}: skipped, installing it failed ({error})")
    return pythons


def run(
    measure: Measure, resources: dict[str, str], pythons: dict[str, str], rounds: int | None
) -> Result:
    """Run a measure and return its figures."""
    arguments = [
        resources[argument] if isinstance(argument, str) else str(argument)
        for argument in measure.arguments
    ]
    names = filter(None, (measure.floor, measure.allowance, measure.subject))
    variants = {variant: (sys.executable, variant) for variant in names}
    if measure.peers:
        variants |= {key: (python, key) for key, python in pythons.items()}
    figures: dict[str, list[float]] = {key: [] for key in variants}
    # The lowest CPU time, as other processes only add to it; the highest memory.
    pick = max if measure.unit == "MiB" else min
    minimum = rounds or measure.rounds
    for number in range(rounds or _MAX_FACTOR * minimum):
        if number >= minimum and _settled(figures.values(), pick):
            break
        # Alternate the order, so that no variant always follows the same one.
        for key in [*variants][:: -1 if number % 2 else 1]:
            figures[key].append(_figure(measure, *variants[key], arguments))
    best = {key: pick(values) for key, values in figures.items()}
    floor, limit = best.get(measure.floor or ""), measure.limit
    if measure.allowance and floor is not None and limit is not None:
        allowance = best[measure.allowance]
        floor, limit = (
            floor + allowance,
            (limit * floor + allowance) / (floor + allowance),
        )
    peers = {key: best[key] for key in PEERS if key in best}
    return Result(measure, best[measure.subject], floor, limit, peers, figures)


def _settled(figures: Iterable[list[float]], pick: Callable[[list[float]], float]) -> bool:
    """Return True if the last two rounds changed each result by at most 1 %."""
    return all(
        len(values) < 3 or abs(pick(values[:-2]) - pick(values)) <= 0.01 * pick(values)
        for values in figures
    )


def _figure(measure: Measure, python: str, variant: str, arguments: Iterable[str]) -> float:
    function = f"{measure.function}_{variant}"
    if measure.floor is None:
        function = measure.function
    elif variant == "legacy" and f"def {function}" not in _source(measure.module):
        function = f"{measure.function}_client"  # a script of 1.44 runs unchanged
    return float(output_of(python, measure.module, function, arguments))


def output_of(python: str, module: str, function: str, arguments: Iterable[str]) -> str:
    """Run a function of a module in a separate process; return the repr of its result."""
    child = subprocess.run(
        [python, HERE / "child.py", module, function, *arguments],
        check=True, stdout=subprocess.PIPE, text=True, env=_environment(),
    )  # fmt: skip
    return child.stdout


def _source(module: str) -> str:
    return (HERE / f"{module}.py").read_text()


def _environment() -> dict[str, str]:
    """Return this process's environment without proxies, and with bytecode caching."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and name != "PYTHONDONTWRITEBYTECODE"
    }
