"""`python -m bench [name …]`: run all benchmarks, or those named, and write bench/RESULTS.md.

The figures of each benchmark are stored in .cache/bench/figures, so that one can be measured again without the others.
"""

import argparse
import pickle
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench import review, synth
from bench.batch import engines, exactness, images, throughput, tutorial
from bench.gbfs import nightly
from bench.gbfs import tick as gbfs_tick
from bench.measure import BenchError, Comparison, Figure
from bench.results import describe_host, format_results
from bench.services import copier, dashboard, iam_proxy, tick

BENCHMARKS: dict[str, Callable[[int], Sequence[Comparison | Figure]]] = {
    "synth": synth.run,
    "tick": tick.run,
    "copier": copier.run,
    "batch": throughput.run,
    "engines": engines.run,
    "iam_proxy": iam_proxy.run,
    "review": review.run,
    "tutorial": tutorial.run,
    "exactness": exactness.run,
    "images": images.run,
    "gbfs": gbfs_tick.run,
    "gbfs_batch": nightly.run,
    "dashboard": dashboard.run,
}
RENAMED = {"guard": "iam_proxy", "original": "tutorial"}
RESULTS = Path(__file__).with_name("RESULTS.md")
FIGURES_FOLDER = Path(__file__).parents[1] / ".cache" / "bench" / "figures"


def main() -> int:
    """Run the benchmarks and print their figures; write the page if figures of all benchmarks are stored."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"one of {', '.join(BENCHMARKS)} (default: all)"
    )
    parser.add_argument(
        "--runs", type=int, default=5, help="number of measured runs of each side (default: 5)"
    )
    arguments = parser.parse_args()
    for name in arguments.names:
        if name in RENAMED:
            parser.error(f"benchmark {name!r} was renamed to {RENAMED[name]!r}")
        if name not in BENCHMARKS:
            parser.error(f"unknown benchmark {name!r}; choose from {', '.join(BENCHMARKS)}")
    names = arguments.names or list(BENCHMARKS)
    failed = [name for name in names if not run_benchmark(name, arguments.runs)]
    print(format_page(name for name in names if name not in failed))
    if missing := [name for name in BENCHMARKS if not get_figures_path(name).exists()]:
        print(f"{RESULTS.name} was not written: no figures yet of {', '.join(missing)}", file=sys.stderr)
    else:
        RESULTS.write_text(format_page(BENCHMARKS))
        print(f"wrote {RESULTS.parent.name}/{RESULTS.name}")
    return 1 if failed else 0


def run_benchmark(name: str, runs: int) -> bool:
    """Run one benchmark and store its figures; return whether it succeeded."""
    print(f"{name}: measuring", file=sys.stderr, flush=True)
    get_figures_path(name).unlink(missing_ok=True)
    try:
        measured = BENCHMARKS[name](runs)
    except BenchError as error:
        print(f"{name}: measurement failed: {error}", file=sys.stderr, flush=True)
        return False
    FIGURES_FOLDER.mkdir(parents=True, exist_ok=True)
    get_figures_path(name).write_bytes(pickle.dumps((datetime.now(UTC), list(measured))))
    return True


def get_figures_path(name: str) -> Path:
    """Return the path of the stored figures of a benchmark."""
    return FIGURES_FOLDER / f"{name}.pickle"


def format_page(names: Iterable[str]) -> str:
    """Return the stored figures of these benchmarks as Markdown."""
    found = [pickle.loads(get_figures_path(name).read_bytes()) for name in names]  # noqa: S301 - written by run_benchmark
    measured = [figure for _, figures in found for figure in figures]
    return format_results(measured, describe_host(), [when for when, _ in found])


if __name__ == "__main__":
    sys.exit(main())
