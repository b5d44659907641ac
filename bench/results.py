"""The table of a benchmark run, as Markdown that reads well in a terminal."""

import os
import platform
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from bench.measure import Comparison

HEADER = ("what", "per", "ours", "baseline", "wall", "CPU", "runs")


def render(comparisons: Sequence[Comparison], machine: str, measured_at: datetime) -> str:
    """Return the results page: one row a comparison (medians), then what was compared with what."""
    rows = [HEADER, tuple("---" for _ in HEADER)]
    rows += [
        (
            comparison.what,
            comparison.unit,
            seconds(comparison.ours_wall),
            seconds(comparison.baseline_wall),
            f"{comparison.wall_ratio:.2f} ×",
            f"{comparison.cpu_ratio:.2f} ×",
            str(len(comparison.timings)),
        )
        for comparison in comparisons
    ]
    legend = [
        f"- **{comparison.what}**: {comparison.ours}; baseline: {comparison.baseline}."
        + (f" {comparison.note}" if comparison.note else "")
        for comparison in comparisons
    ]
    return "\n".join(
        [
            "# Measured",
            "",
            f"Written by `make bench` on {measured_at:%Y-%m-%d}, {machine}.",
            "Medians; ours and its baseline ran in turn in the same run. Below 1 ×, ours takes less.",
            "",
            *("| " + " | ".join(row) + " |" for row in rows),
            "",
            *legend,
            "",
        ]
    )


def seconds(value: float) -> str:
    """Return a duration with three figures and the unit that suits it: `2.31 s`, `41.2 ms`, `870 µs`."""
    for limit, factor, unit in ((1.0, 1, "s"), (1e-3, 1e3, "ms")):
        if value >= limit:
            return f"{value * factor:.3g} {unit}"
    return f"{value * 1e6:.3g} µs"


def machine_name() -> str:
    """Return what matters of this machine: cores, memory, system, Python. Holds no host name."""
    gibibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores ({_processor()}), {gibibytes:.0f} GiB, {platform.system()}, "
        f"Python {platform.python_version()}"
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = info.read_text().splitlines() if info.exists() else []
    return next(
        (line.split(":", 1)[1].strip() for line in names if line.startswith("model name")), platform.machine()
    )
