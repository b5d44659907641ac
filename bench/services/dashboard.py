"""Benchmark of the dashboard in Chromium: its first view beside a page without content, and the cost of a frame."""

import pickle
import sys
import tempfile
from pathlib import Path

from bench.measure import Comparison, Figure, time_command

ROOT = Path(__file__).parents[2]


def run(runs: int) -> list[Comparison | Figure]:
    """Measure with the browser and the generated data of the browser tests. Raises BenchError without Chromium."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "figures"
        time_command([sys.executable, "-m", "tests.browser.performance", str(runs), str(file)], {}, ROOT)
        measured: list[Comparison | Figure] = pickle.loads(file.read_bytes())  # noqa: S301 - written by the command
    return measured
