"""Run measures: every figure from a process of its own, the variants taking turns."""

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
_PATIENCE = 3
PEERS = {"legacy": "lakefs_client==1.44.0", "sdk": "lakefs_sdk"}


class Result(NamedTuple):
    """The figures of a measure, the best of each variant.

    Attributes:
        measure: What was measured.
        ours: This package's figure.
        floor: That of the floor, with what is granted on top of it; None where there is none.
        limit: The ratio that is allowed, or the figure where there is no floor.
        peers: Figures of other packages by their key in `PEERS`.
        figures: All of them, by variant.
    """

    measure: Measure
    ours: float
    floor: float | None
    limit: float | None
    peers: dict[str, float]
    figures: dict[str, list[float]]

    @property
    def value(self) -> float:
        """The figure that the limit applies to: the ratio to the baseline, or the value."""
        return self.ours if self.floor is None else self.ours / self.floor

    @property
    def within(self) -> bool:
        """True if the limit is met, or if there is none."""
        return self.limit is None or self.value <= self.limit


@contextmanager
def setting(quick: bool) -> Iterator[dict[str, str]]:
    """Resources of the measures by name: addresses of the server, files, numbers of calls.

    Without trustme there is no ``https``, no ``lakefs`` unless the environment names one, and no
    ``lakectl`` unless it is installed.
    """
    with tempfile.TemporaryDirectory(prefix="lakefs-client-bench-") as folder:
        place = Path(folder)
        provided = {
            "no_ca": "",
            "calls": "500" if quick else "2000",
            "pages": "40" if quick else "100",
            "file": str(place / "file"),
            "folder": str(place / "small"),
        }
        with open(provided["file"], "wb") as file:
            block = os.urandom(1 << 20)
            for _ in range(64 if quick else 256):
                file.write(block)
        Path(provided["folder"]).mkdir()
        for number in range(1000):
            (place / "small" / f"{number:04d}.bin").write_bytes(os.urandom(10 << 10))
        if "LAKEFS_TEST_ENDPOINT" in os.environ:
            provided["lakefs"] = os.environ["LAKEFS_TEST_ENDPOINT"]
            provided["namespace"] = os.environ["LAKEFS_TEST_STORAGE_NAMESPACE"]
            if lakectl := shutil.which("lakectl"):
                provided["lakectl"] = lakectl
        certificate = _certificate(place)
        if certificate:
            provided["ca"] = str(place / "ca.pem")
        server = subprocess.Popen(
            [sys.executable, HERE / "server.py", *certificate],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        with server:  # closes its stdin, upon which it ends
            assert server.stdout is not None
            provided.update(zip(("http", "https"), server.stdout.readline().split()))
            yield provided


def _certificate(place: Path) -> list[str]:
    try:
        import trustme
    except ImportError:
        return []
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(place / "ca.pem"))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        str(place / "server.pem")
    )
    return [str(place / "server.pem")]


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
            print(f"without {requirement}: it cannot be installed here ({error})")
    return pythons


def run(
    measure: Measure, provided: dict[str, str], pythons: dict[str, str], rounds: int | None
) -> Result:
    """Take the figures of a measure."""
    arguments = [
        provided[argument] if isinstance(argument, str) else str(argument)
        for argument in measure.arguments
    ]
    wanted = filter(None, (measure.floor, measure.plus, measure.subject))
    variants = {variant: (sys.executable, variant) for variant in wanted}
    if measure.peers:
        variants |= {key: (python, key) for key, python in pythons.items()}
    figures: dict[str, list[float]] = {key: [] for key in variants}
    # Of CPU time the best, since others' work only adds to it; of memory the worst.
    pick = max if measure.unit == "MiB" else min
    least = rounds or measure.rounds
    for number in range(rounds or _PATIENCE * least):
        if number >= least and _settled(figures.values(), pick):
            break
        # There and back, so that no variant always follows the same one.
        for key in [*variants][:: -1 if number % 2 else 1]:
            figures[key].append(_figure(measure, *variants[key], arguments))
    best = {key: pick(all_) for key, all_ in figures.items()}
    floor, limit = best.get(measure.floor or ""), measure.limit
    if measure.plus and floor is not None and limit is not None:
        plus = best[measure.plus]
        floor, limit = floor + plus, (limit * floor + plus) / (floor + plus)
    peers = {key: best[key] for key in PEERS if key in best}
    return Result(measure, best[measure.subject], floor, limit, peers, figures)


def _settled(figures: Iterable[list[float]], pick: Callable[[list[float]], float]) -> bool:
    """Return True if the last two rounds changed each result by at most 1 %."""
    return all(
        len(all_) < 3 or abs(pick(all_[:-2]) - pick(all_)) <= 0.01 * pick(all_) for all_ in figures
    )


def _figure(measure: Measure, python: str, variant: str, arguments: Iterable[str]) -> float:
    function = f"{measure.function}_{variant}"
    if measure.floor is None:
        function = measure.function
    elif variant == "legacy" and f"def {function}" not in _source(measure.module):
        function = f"{measure.function}_client"  # a script of 1.44 runs unchanged
    return float(output_of(python, measure.module, function, arguments))


def output_of(python: str, module: str, function: str, arguments: Iterable[str]) -> str:
    """Return what a function of a module returns, in a process of its own, as its repr."""
    child = subprocess.run(
        [python, HERE / "child.py", module, function, *arguments],
        check=True, stdout=subprocess.PIPE, text=True, env=_environment(),
    )  # fmt: skip
    return child.stdout


def _source(module: str) -> str:
    return (HERE / f"{module}.py").read_text()


def _environment() -> dict[str, str]:
    """Return this process's environment without proxies. Compiled modules are
    kept, as they are wherever a package is installed."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and name != "PYTHONDONTWRITEBYTECODE"
    }
