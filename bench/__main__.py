"""`python -m bench [name …]`: run the benchmarks, or those named, and write bench/RESULTS.md."""

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench import batch, copier, exactness, guard, images, original, review, synth, tick
from bench.measure import BenchError, Comparison, Figure
from bench.results import machine_name, render

BENCHMARKS: dict[str, Callable[[int], Sequence[Comparison | Figure]]] = {
    "synth": synth.run,
    "tick": tick.run,
    "copier": copier.run,
    "batch": batch.run,
    "guard": guard.run,
    "review": review.run,
    "original": original.run,
    "exactness": exactness.run,
    "images": images.run,
}
RESULTS = Path(__file__).with_name("RESULTS.md")


def main() -> int:
    """Print each figure as it is measured; write the page only when all of them were."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each side (default: 5)")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.names) - set(BENCHMARKS)):
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    measured: list[Comparison | Figure] = []
    try:
        for name in arguments.names or BENCHMARKS:
            print(f"{name}: measuring", file=sys.stderr, flush=True)
            measured += BENCHMARKS[name](arguments.runs)
    except BenchError as error:
        print(f"not measured: {error}", file=sys.stderr)
        return 1
    page = render(measured, machine_name(), datetime.now(UTC))
    print(page)
    if not arguments.names:
        RESULTS.write_text(page)
        print(
            f"written to {RESULTS.relative_to(Path.cwd()) if RESULTS.is_relative_to(Path.cwd()) else RESULTS}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
