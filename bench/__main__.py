"""`python -m bench [name …]`: run the benchmarks, or those named, and write bench/RESULTS.md.

The figures of each are kept in .cache/bench, so that one can be measured anew without the others.
"""

import argparse
import pickle
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench import review, synth
from bench.batch import exactness, images, throughput, tutorial
from bench.gbfs import tick as gbfs_tick
from bench.measure import BenchError, Comparison, Figure
from bench.results import machine_name, render
from bench.services import copier, iam_proxy, tick

BENCHMARKS: dict[str, Callable[[int], Sequence[Comparison | Figure]]] = {
    "synth": synth.run,
    "tick": tick.run,
    "copier": copier.run,
    "batch": throughput.run,
    "iam_proxy": iam_proxy.run,
    "review": review.run,
    "tutorial": tutorial.run,
    "exactness": exactness.run,
    "images": images.run,
    "gbfs": gbfs_tick.run,
}
RENAMED = {"guard": "iam_proxy", "original": "tutorial"}
RESULTS = Path(__file__).with_name("RESULTS.md")
KEPT = Path(__file__).parents[1] / ".cache" / "bench"


def main() -> int:
    """Print each figure as it is measured; write the page once there is one of each benchmark on this machine."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each side (default: 5)")
    arguments = parser.parse_args()
    for name in arguments.names:
        if name in RENAMED:
            parser.error(f"benchmark {name!r} was renamed to {RENAMED[name]!r}")
        if name not in BENCHMARKS:
            parser.error(f"unknown benchmark {name!r}; choose from {', '.join(BENCHMARKS)}")
    names = arguments.names or list(BENCHMARKS)
    failed = [name for name in names if not measure(name, arguments.runs)]
    print(page(name for name in names if name not in failed))
    if missing := [name for name in BENCHMARKS if not kept(name).exists()]:
        print(f"{RESULTS.name} is as it was: not measured here yet: {', '.join(missing)}", file=sys.stderr)
    else:
        RESULTS.write_text(page(BENCHMARKS))
        print(f"written to {RESULTS.parent.name}/{RESULTS.name}")
    return 1 if failed else 0


def measure(name: str, runs: int) -> bool:
    """Run one benchmark and keep its figures; whether it has any."""
    print(f"{name}: measuring", file=sys.stderr, flush=True)
    kept(name).unlink(missing_ok=True)
    try:
        measured = BENCHMARKS[name](runs)
    except BenchError as error:
        print(f"{name}: not measured: {error}", file=sys.stderr, flush=True)
        return False
    KEPT.mkdir(parents=True, exist_ok=True)
    kept(name).write_bytes(pickle.dumps((datetime.now(UTC), list(measured))))
    return True


def kept(name: str) -> Path:
    """Where the last figures of a benchmark lie on this machine."""
    return KEPT / f"{name}.pickle"


def page(names: Iterable[str]) -> str:
    """The figures that are kept of these benchmarks, as Markdown."""
    found = [pickle.loads(kept(name).read_bytes()) for name in names]  # noqa: S301 - written above
    measured = [figure for _, figures in found for figure in figures]
    return render(measured, machine_name(), [when for when, _ in found])


if __name__ == "__main__":
    sys.exit(main())
