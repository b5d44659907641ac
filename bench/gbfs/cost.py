"""Compute the monthly cost of GBFS systems, from measured figures (bench/gbfs/cost.json) and the review's prices.

`python -m bench.gbfs.cost` prints the table. A nightly rebuild from packs is not included.
"""

import json
from pathlib import Path
from typing import Any

MODEL_FILE = Path(__file__).with_suffix(".json")
PRICES = Path(__file__).parents[2] / "review" / "cost" / "prices" / "europe-west1.json"
SIZES = (1, 10, 100, 1_000)
COST_LINES = (
    "compute",
    "requests",
    "pack writes",
    "packs of a month",
    "newest minutes",
    "changes of a month",
    "scheduler",
)


def load_model() -> dict[str, Any]:
    """Return the measured figures, assumptions and prices."""
    model: dict[str, Any] = json.loads(MODEL_FILE.read_text())
    return model | {"prices": json.loads(PRICES.read_text("utf-8"))["prices"]}


def compute_costs(model: dict[str, Any], systems: int) -> dict[str, float]:
    """Return the USD per month of each of COST_LINES for one of SIZES; storage is that added in one month."""
    measured, assumed, prices, free = (model[key] for key in ("measured", "assumptions", "prices", "free"))
    minutes = model["minutes_a_month"]
    seconds = measured["seconds_a_minute"][str(systems)] * minutes
    invocations = measured["shards"][str(systems)] * minutes
    changed = 1 - assumed["unchanged_share"]
    row_gibibytes = measured["row_bytes_a_system"] * systems * minutes * changed / 2**30
    pack_gibibytes = measured["pack_bytes_a_system"] * systems * minutes * changed / 2**30
    vcpu_seconds = max(0.0, seconds * assumed["vcpu"] - free["vcpu_seconds"])
    gibibyte_seconds = max(0.0, seconds * assumed["gibibytes"] - free["gibibyte_seconds"])
    kept_share = assumed["days_of_minutes"] * 1_440 / minutes
    return {
        "compute": vcpu_seconds * prices["run_vcpu_second"] + gibibyte_seconds * prices["run_gib_second"],
        "requests": max(0, invocations - free["requests"]) / 1e6 * prices["run_million_requests"],
        "pack writes": invocations / 1_000 * prices["storage_thousand_writes"],
        "packs of a month": pack_gibibytes * prices["storage_gib_month"]["STANDARD"],
        "newest minutes": row_gibibytes * kept_share * prices["bigquery_gib_month"],
        "changes of a month": row_gibibytes / measured["rows_a_change"] * prices["bigquery_gib_month"],
        "scheduler": prices["scheduler_job_month"],
    }


def format_costs(model: dict[str, Any]) -> str:
    """Return the table of costs as Markdown."""
    columns = [compute_costs(model, systems) for systems in SIZES]
    rows = [
        ["USD per month", *(f"{systems:,} system{'s' * (systems > 1)}" for systems in SIZES)],
        ["---", *("---:" for _ in SIZES)],
    ]
    rows += [[line, *(f"{column[line]:.2f}" for column in columns)] for line in COST_LINES]
    rows.append(["**all**", *(f"**{sum(column.values()):.2f}**" for column in columns)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


if __name__ == "__main__":
    print(format_costs(load_model()))
