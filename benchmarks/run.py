"""Compare the package's CPU time and memory with those of urllib3 and json alone.

    python benchmarks/run.py --peers --svg docs/speed.svg

Each figure comes from several runs in separate processes, and the variants alternate. CPU times are
those of the client process; the server's do not count.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from harness import peer_pythons, prepare, run
from measures import MEASURES
from report import HEADER, as_json, line, svg


def main() -> int:
    """Run the chosen measures. Return 1 if `--check` is given and a limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument(
        "only", nargs="*", help="run measures whose name contains one of these words"
    )
    parser.add_argument("--quick", action="store_true", help="smaller files, no long measures")
    parser.add_argument("--rounds", type=int, help="runs of each variant")
    parser.add_argument(
        "--peers", action="store_true", help="compare with lakefs_client 1.44.0 and lakefs_sdk"
    )
    parser.add_argument(
        "--venvs",
        type=Path,
        default=Path("build/bench-venvs"),
        help="folder for the peers' environments",
    )
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument("--svg", type=Path, help="file for a picture")
    parser.add_argument("--check", action="store_true", help="fail if a limit is exceeded")
    args = parser.parse_args()
    chosen = [
        measure
        for measure in MEASURES
        if not (args.quick and measure.long)
        and (not args.only or any(word in measure.name + measure.module for word in args.only))
    ]
    pythons = peer_pythons(args.venvs.absolute()) if args.peers else {}
    results = []
    print(HEADER)
    with prepare(args.quick) as resources:
        for measure in chosen:
            missing = {a for a in measure.arguments if isinstance(a, str)} - resources.keys()
            if missing:
                print(f"{measure.name}: skipped, it needs {', '.join(sorted(missing))}")
                continue
            results.append(run(measure, resources, pythons, args.rounds))
            print(line(results[-1]), flush=True)
    if args.json:
        args.json.write_text(json.dumps(as_json(results), indent=1) + "\n")
    if args.svg:
        args.svg.write_text(svg(results))
    return int(args.check and not all(result.is_met for result in results))


if __name__ == "__main__":
    sys.exit(main())
