"""Benchmark of the review of a plan with 500 changed resources, against parsing its JSON."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.measure import Comparison, compare, time_command

ROOT = Path(__file__).parent.parent
RESOURCES = 500
READ_PLAN = "import json, sys; json.load(open(sys.argv[1]))"


def run(runs: int) -> list[Comparison]:
    """Compare `python -m review` with a process that only parses the plan."""
    with tempfile.TemporaryDirectory() as folder:
        plan = Path(folder, "plan.json")
        plan.write_text(json.dumps(make_large_plan()))
        warm = {"PYTHONPYCACHEPREFIX": f"{folder}/bytecode", "PYTHONDONTWRITEBYTECODE": ""}
        return [
            compare(
                "review",
                (
                    f"`python -m review` of {RESOURCES} changed resources, Markdown",
                    lambda: time_command([sys.executable, "-m", "review", str(plan)], warm, ROOT),
                ),
                (
                    "`json.load` of the same plan only",
                    lambda: time_command([sys.executable, "-c", READ_PLAN, str(plan)], warm, ROOT),
                ),
                runs=runs,
                note=f"The plan has {plan.stat().st_size / 1e6:.1f} MB.",
            )
        ]


def make_large_plan() -> dict[str, Any]:
    """Return a plan with tables that lose a column, wider grants, functions and secrets."""
    columns = [{"name": f"column_{n}", "type": "STRING", "description": f"what {n} is"} for n in range(40)]
    makers = (
        lambda n: ("google_bigquery_table", _make_table(n, columns), _make_table(n, columns[:-1])),
        lambda n: ("google_storage_bucket_iam_member", _make_grant(n, "Viewer"), _make_grant(n, "Admin")),
        lambda n: ("google_cloudfunctions2_function", _make_function(n, "old"), _make_function(n, "new")),
        lambda n: ("google_secret_manager_secret_version", _make_secret(n, "old"), _make_secret(n, "new")),
        lambda n: (
            "google_storage_bucket",
            {"name": f"b{n}", "location": "EU"},
            {"name": f"b{n}", "location": "US"},
        ),
    )
    changes = []
    for index in range(RESOURCES):
        type_, before, after = makers[index % len(makers)](index)
        marks = {"secret_data": True} if "secret_data" in before else {}
        changes.append(
            {
                "address": f"{type_}.r{index}",
                "mode": "managed",
                "type": type_,
                "name": f"r{index}",
                "change": {
                    "actions": ["delete", "create"] if "bucket" in type_ else ["update"],
                    "before": before,
                    "after": after,
                    "after_unknown": {},
                    "before_sensitive": marks,
                    "after_sensitive": marks,
                },
            }
        )
    return {"format_version": "1.2", "terraform_version": "1.11.4", "resource_changes": changes}


def _make_table(index: int, columns: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "dataset_id": "d",
        "table_id": f"t{index}",
        "schema": json.dumps(columns),
        "deletion_protection": False,
    }


def _make_grant(index: int, role: str) -> dict[str, Any]:
    member = f"serviceAccount:a{index}@p.iam.gserviceaccount.com"
    return {"bucket": f"b{index}", "role": f"roles/storage.object{role}", "member": member}


def _make_function(index: int, value: str) -> dict[str, Any]:
    variables = {f"NAME_{n}": f"{value} {n}" for n in range(10)}
    return {"name": f"f{index}", "service_config": [{"environment_variables": variables}]}


def _make_secret(index: int, value: str) -> dict[str, Any]:
    return {"secret": f"s{index}", "secret_data": f"{value}-secret-value-of-{index}"}
