"""Format the results as Markdown that is readable in a terminal."""

import os
import platform
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from bench.measure import Comparison, Figure

HEADER = ("what", "per", "ours", "baseline", "wall", "CPU", "runs")
FIGURES = ("what", "result", "reference", "relation")


def format_results(
    measured: Sequence[Comparison | Figure], host: str, measured_at: Sequence[datetime]
) -> str:
    """Return the results page: a row for each comparison (medians) and figure, then a legend."""
    comparisons = [each for each in measured if isinstance(each, Comparison)]
    figures = [each for each in measured if isinstance(each, Figure)]
    rows = [HEADER, tuple("---" for _ in HEADER)]
    rows += [
        (
            comparison.what,
            comparison.unit,
            format_seconds(comparison.ours_wall),
            format_seconds(comparison.baseline_wall),
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
    table = [FIGURES, tuple("---" for _ in FIGURES)]
    table += [(each.what, each.ours, each.reference, each.relation) for each in figures]
    legend += [f"- **{each.what}**: {each.note}" for each in figures if each.note]
    return "\n".join(
        [
            "# Benchmark results",
            "",
            f"Written by `make bench`{_format_days(measured_at)}, {host}.",
            "Medians; ours and the baseline ran alternately. Below 1 ×, ours takes less.",
            "",
            *("| " + " | ".join(row) + " |" for row in rows),
            "",
            *(("| " + " | ".join(row) + " |" for row in table) if figures else ()),
            *([""] if figures else []),
            *legend,
            "",
        ]
    )


def _format_days(moments: Sequence[datetime]) -> str:
    days = sorted({f"{each:%Y-%m-%d}" for each in moments})
    return f", {days[0]} to {days[-1]}" if len(days) > 1 else f" on {days[0]}" if days else ""


def format_seconds(value: float) -> str:
    """Return a duration with three digits and a suitable unit: `2.31 s`, `41.2 ms`, `870 µs`."""
    for limit, factor, unit in ((1.0, 1, "s"), (1e-3, 1e3, "ms")):
        if value >= limit:
            return f"{value * factor:.3g} {unit}"
    return f"{value * 1e6:.3g} µs"


def describe_host() -> str:
    """Describe the host: cores, memory, system, Python; without the host name."""
    gibibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores ({_read_processor_name()}), {gibibytes:.0f} GiB, {platform.system()}, "
        f"Python {platform.python_version()}"
    )


def _read_processor_name() -> str:
    info = Path("/proc/cpuinfo")
    names = info.read_text().splitlines() if info.exists() else []
    return next(
        (line.split(":", 1)[1].strip() for line in names if line.startswith("model name")), platform.machine()
    )
