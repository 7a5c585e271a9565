"""Hold the package's CPU time and memory against those of urllib3 and json alone.

    python benchmarks/run.py --peers --svg docs/speed.svg

Every figure is taken in a process of its own, several times, the variants taking turns. CPU times
are those of the process; what its server needs does not count.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from harness import peer_pythons, run, setting
from measures import MEASURES
from report import HEADER, as_json, line, svg


def main() -> int:
    """Run what was asked for; 1 with `--check` where a limit was missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("only", nargs="*", help="words, of which a measure's name has one")
    parser.add_argument("--quick", action="store_true", help="smaller files, no long measures")
    parser.add_argument("--rounds", type=int, help="how often each variant runs")
    parser.add_argument(
        "--peers", action="store_true", help="compare with lakefs_client 1.44.0 and lakefs_sdk"
    )
    parser.add_argument(
        "--venvs", type=Path, default=Path("build/bench-venvs"), help="where the peers are kept"
    )
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument("--svg", type=Path, help="file for a picture")
    parser.add_argument("--check", action="store_true", help="fail where a limit is missed")
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
    with setting(args.quick) as provided:
        for measure in chosen:
            missing = {a for a in measure.arguments if isinstance(a, str)} - provided.keys()
            if missing:
                print(f"{measure.name}: skipped, there is no {', '.join(sorted(missing))}")
                continue
            results.append(run(measure, provided, pythons, args.rounds))
            print(line(results[-1]), flush=True)
    if args.json:
        args.json.write_text(json.dumps(as_json(results), indent=1) + "\n")
    if args.svg:
        args.svg.write_text(svg(results))
    return int(args.check and not all(result.within for result in results))


if __name__ == "__main__":
    sys.exit(main())
