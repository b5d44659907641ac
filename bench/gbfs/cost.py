"""Compute the monthly cost of GBFS systems, from measured figures (bench/gbfs/cost.json) and the review's prices.

`python -m bench.gbfs.cost` prints the table. Storage is what a month adds. The free tiers of compute and queries are
subtracted; those of jobs and of storage in BigQuery are not, since the environment's feed uses them too.
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
    "lists",
    "reads",
    "packs of a month",
    "newest minutes",
    "changes of a month",
    "polls of a month",
    "nightly batch",
    "queries",
    "scheduler",
)
_MINUTES_PER_DAY = 1_440


def load_model() -> dict[str, Any]:
    """Return the measured figures, assumptions and prices."""
    model: dict[str, Any] = json.loads(MODEL_FILE.read_text())
    listed = json.loads(PRICES.read_text("utf-8"))["prices"]
    return model | {"prices": listed | model["prices"]}


def compute_costs(model: dict[str, Any], systems: int) -> dict[str, float]:
    """Return the monthly cost in USD by line, for one of SIZES; storage is what one month adds."""
    measured, assumed, prices = (model[key] for key in ("measured", "assumptions", "prices"))
    minutes = model["minutes_per_month"]
    changed = 1 - assumed["unchanged_share"]
    row_gibibytes = measured["row_bytes_per_system"] * systems * minutes * changed / 2**30
    pack_gibibytes = measured["pack_bytes_per_system"] * systems * minutes * changed / 2**30
    poll_gibibytes = measured["poll_bytes_per_system"] * systems * minutes / 2**30
    kept_share = assumed["days_of_minutes"] * _MINUTES_PER_DAY / minutes
    packs, lists, reads = count_storage_calls(model, systems)
    compute, requests = _compute_function(model, systems)
    return {
        "compute": compute,
        "requests": requests,
        "pack writes": packs / 1_000 * prices["storage_thousand_writes"],
        "lists": lists / 1_000 * prices["storage_thousand_writes"],
        "reads": reads / 1_000 * prices["storage_thousand_reads"],
        "packs of a month": pack_gibibytes * prices["storage_gib_month"]["STANDARD"],
        "newest minutes": row_gibibytes * kept_share * prices["bigquery_gib_month"],
        "changes of a month": row_gibibytes / measured["rows_per_change"] * prices["bigquery_gib_month"],
        "polls of a month": poll_gibibytes * prices["bigquery_gib_month"],
        "nightly batch": model["days_per_month"] * _compute_batch_run(model, systems),
        "queries": _compute_queries(model, poll_gibibytes),
        "scheduler": 2 * prices["scheduler_job_month"],
    }


def count_storage_calls(model: dict[str, Any], systems: int) -> tuple[float, float, float]:
    """Return the packs, the lists and the reads of a month.

    With several shards, each one lists the minute's packs, and the last one reads them. An instance reads the known
    states of all shards every few minutes. The batch lists and reads the packs of each day.
    """
    shards = model["measured"]["shards"][str(systems)]
    minutes, assumed = model["minutes_per_month"], model["assumptions"]
    packs = shards * minutes
    of_tick = packs if shards > 1 else 0
    states = shards * shards * minutes / assumed["known_state_minutes"]
    return packs, of_tick + states + packs / 1_000, of_tick + states + packs


def _compute_function(model: dict[str, Any], systems: int) -> tuple[float, float]:
    """Return the USD of the function: its time, and its requests.

    A tick's time is what was measured, and the wait for Cloud Storage and for the minute's load jobs. A discovery
    takes as long as a tick for each of its files.
    """
    measured, assumed, prices, free = (model[key] for key in ("measured", "assumptions", "prices", "free"))
    minutes, shards = model["minutes_per_month"], measured["shards"][str(systems)]
    seconds = measured["seconds_per_minute"][str(systems)] * minutes
    seconds *= 1 + assumed["discoveries_per_day"] * assumed["files_per_discovery"] / _MINUTES_PER_DAY
    seconds += sum(count_storage_calls(model, systems)) * assumed["storage_call_seconds"]
    seconds += measured["load_jobs_per_minute"] * assumed["load_job_seconds"] * minutes
    vcpu_seconds = max(0.0, seconds * assumed["vcpu"] - free["vcpu_seconds"])
    gibibyte_seconds = max(0.0, seconds * assumed["gibibytes"] - free["gibibyte_seconds"])
    requests = max(0, shards * minutes - free["requests"])
    return (
        vcpu_seconds * prices["run_vcpu_second"] + gibibyte_seconds * prices["run_gib_second"],
        requests / 1e6 * prices["run_million_requests"],
    )


def _compute_batch_run(model: dict[str, Any], systems: int) -> float:
    """Return the USD of one day's rebuild on a cluster of one machine."""
    measured, assumed, prices, batch = (model[key] for key in ("measured", "assumptions", "prices", "batch"))
    rows = measured["rows_per_system"] * systems * _MINUTES_PER_DAY * (1 - assumed["unchanged_share"])
    cpu = rows * measured["batch_cpu_seconds_per_row"] * assumed["batch_cpu_factor"]
    hours = (assumed["cluster_startup_minutes"] + cpu / batch["vcpus"] / 60) / 60
    per_hour = (
        batch["vcpus"] * (prices["vcpu_hour"][batch["series"]] + prices["dataproc_vcpu_hour"])
        + batch["gibibytes"] * prices["gib_hour"][batch["series"]]
        + batch["disk_gibibytes"] * prices["disk_gib_month"]["pd-standard"] / 730
    )
    return float(hours * per_hour)


def _compute_queries(model: dict[str, Any], poll_gibibytes: float) -> float:
    """Return the USD of queries: the smoke test reads `smoke_days` of polls, the dashboard its daily limit."""
    assumed, prices, free = (model[key] for key in ("assumptions", "prices", "free"))
    smoke = assumed["smoke_runs_per_month"] * assumed["smoke_days"] * poll_gibibytes / model["days_per_month"]
    dashboard = assumed["dashboard_gibibytes_per_day"] * model["days_per_month"]
    return float(max(0.0, (smoke + dashboard) / 1_024 - free["query_tebibytes"]) * prices["query_tebibyte"])


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
