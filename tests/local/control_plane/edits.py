"""Record what the google provider plans for an edit of each setting of a deployed environment.

`python -m tests.local.control_plane.edits dev prod` updates these environments in edits-6.50.0.json: each must be
deployed with `make deploy TO=local` and the real provider, which VLILLE_PROVIDER_MIRROR names. Nothing is applied, and
each file is restored. `gbfs` has the edits of [gbfs]: gbfs.toml is dev.toml with another project, and GBFS at its end.
The whole section is added in dev, and removed in gbfs.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.conftest import ENVIRONMENTS

ROOT = Path(__file__).parents[3]
FILE = Path(__file__).with_name("edits-6.50.0.json")
LABELS = '\n[labels]\nteam = "bikes"\n'
# By dotted key, another value than an environment has: the first of these that it has not.
EDITS: dict[str, tuple[str, ...]] = {
    "region": ('"europe-west4"',),
    "feed": ('"vlille_wfs"',),
    "protected": ("false", "true"),
    "labels": (LABELS,),
    "schedule.time_zone": ('"Europe/Brussels"',),
    "schedule.collect": ('"*/2 * * * *"',),
    "schedule.copy": ('"*/15 * * * *"',),
    "schedule.batch": ('"30 4 * * *"',),
    "collector.runtime": ('"python312"',),
    "collector.memory": ('"1Gi"',),
    "collector.timeout_seconds": ("90",),
    "collector.max_instances": ("3",),
    "collector.api_timeout_seconds": ("20",),
    "collector.api_max_mebibytes": ("8",),
    "copier.cpu": ('"2"',),
    "copier.memory": ('"2Gi"',),
    "copier.timeout_seconds": ("400",),
    "copier.max_instances": ("3",),
    "copier.threads": ("8",),
    "dashboard.memory": ('"2Gi"',),
    "dashboard.public": ("true",),
    "dashboard.cache_mebibytes": ("32",),
    "dashboard.max_query_mebibytes": ("4096",),
    "dashboard.daily_gibibytes": ("10",),
    "messages.ack_deadline_seconds": ("150",),
    "messages.retention_minutes": ("30",),
    "messages.minimum_backoff_seconds": ("20",),
    "messages.maximum_backoff_seconds": ("200",),
    "messages.max_delivery_attempts": ("20",),
    "messages.dead_letter_days": ("5",),
    "batch.image": ('"2.3-ubuntu22"',),
    "batch.timeout_minutes": ("90",),
    "batch.subnet": ('"10.21.0.0/24"',),
    "batch.master.machine_type": ('"e2-standard-8"',),
    "batch.master.disk_gigabytes": ("60",),
    "batch.workers.count": ("2",),
    "retention.landing_days": ("9",),
    "retention.archive_days": ("400",),
    "retention.staging_days": ("3",),
    "retention.soft_delete_days": ("7", "0"),
    "alerts.email": ('"other@example.org"',),
    "alerts.silent_minutes": ("20",),
}
GBFS = """
[gbfs]
systems = ["v_lille", "Paris"]
countries = ["NO"]
discover = "23 2 * * *"
shards = 1
memory = "512Mi"
timeout_seconds = 110
deadline_seconds = 45
request_seconds = 10
minutes_days = 7
"""
OVERRIDES = '\n[gbfs.overrides.Paris]\nheaders = { "X-Api-Key" = "velib-key" }\ninterval_minutes = 5\n'
GBFS_EDITS: dict[str, tuple[str, ...]] = {
    "gbfs.systems": ('["v_lille"]',),
    "gbfs.countries": ('["NO", "CA"]',),
    "gbfs.discover": ('"23 4 * * *"',),
    "gbfs.shards": ("2",),
    "gbfs.memory": ('"1Gi"',),
    "gbfs.timeout_seconds": ("100",),
    "gbfs.deadline_seconds": ("40",),
    "gbfs.request_seconds": ("8",),
    "gbfs.minutes_days": ("14",),
    "gbfs.overrides": (OVERRIDES,),
}
SECTION = "gbfs"
# Keys whose edit is a table at the end of the file.
TABLES = {"labels": LABELS, SECTION: GBFS, "gbfs.overrides": OVERRIDES}
# Not planned: another project is another state; a cluster without workers has no shape of them; [ci] is of the
# bootstrap stack alone; [budget] adds one resource, whose amount changes in place.
NOT_PLANNED = frozenset(
    {
        "project",
        "shared_project",
        "batch.workers.machine_type",
        "batch.workers.disk_gigabytes",
        "ci.repository",
        "ci.repository_id",
        "ci.repository_owner_id",
        "budget.billing_account",
        "budget.monthly_amount",
    }
)


def edits_of(environment: str) -> dict[str, tuple[str, ...]]:
    """Return the edits that are planned for an environment."""
    if environment == "gbfs":
        return GBFS_EDITS | {SECTION: ("",)}
    return EDITS | ({SECTION: (GBFS,)} if environment == "dev" else {})


def edited(text: str, key: str) -> str:
    """Return an environment's file with one key changed. Raises ValueError where it does not have the key."""
    if key == SECTION and GBFS in text:
        return text.replace(GBFS, "")
    if key in TABLES:
        return text + TABLES[key]
    section, _, name = key.rpartition(".")
    head, found, rest = ("", "", text) if not section else text.partition(f"[{section}]\n")
    match = re.search(rf"(?m)^{name} = (.*)$", rest)
    if match is None:
        raise ValueError(f"{key} is not there")
    value = next(each for each in (EDITS | GBFS_EDITS)[key] if each != match[1])
    return head + found + rest[: match.start(1)] + value + rest[match.end(1) :]


def planned(environment: str) -> Iterator[tuple[str, Any]]:
    """Yield each key with the planned changes of its edit: actions by address, or the plan's error."""
    exports = subprocess.run(
        [sys.executable, "-m", "local", "cloud", "--detached", "--env", environment],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    file = ENVIRONMENTS / f"{environment}.toml"
    outdir = ROOT / ".cache" / "edits"
    configuration = outdir / "terraformrc"
    outdir.mkdir(parents=True, exist_ok=True)
    mirror = json.dumps(os.environ["VLILLE_PROVIDER_MIRROR"])
    configuration.write_text(
        f"provider_installation {{\n  filesystem_mirror {{\n    path = {mirror}\n  }}\n}}\n"
    )
    environ = os.environ | dict(shlex.split(line)[1].split("=", 1) for line in exports.splitlines())
    environ |= {
        "TF_CLI_CONFIG_FILE": str(configuration),
        "VLILLE_ENV": environment,
        "CDKTF_OUTDIR": str(outdir),
        "CHECKPOINT_DISABLE": "1",
    }
    stack = outdir / "stacks" / f"vlille-{environment}"
    text = file.read_text("utf-8")
    try:
        for key in edits_of(environment):
            file.write_text(edited(text, key), "utf-8")
            _run(ROOT, environ, sys.executable, "stacks.py").check_returncode()
            _run(stack, environ, "terraform", "init", "-input=false").check_returncode()
            done = _run(
                stack, environ, "terraform", "plan", "-input=false", "-lock=false", "-no-color", "-out=plan"
            )
            if done.returncode:
                yield key, {"error": _first_error(done.stderr)}
                continue
            shown = _run(stack, environ, "terraform", "show", "-json", "plan")
            yield key, changes(json.loads(shown.stdout))
    finally:
        file.write_text(text, "utf-8")


def changes(plan: Mapping[str, Any]) -> dict[str, str]:
    """Return a plan's changes: actions by address."""
    found = {each["address"]: each["change"]["actions"] for each in plan.get("resource_changes", [])}
    return {
        address: "/".join(actions)
        for address, actions in found.items()
        if actions not in (["no-op"], ["read"])
    }


def _first_error(text: str) -> str:
    return next(line for line in text.splitlines() if line.startswith("Error: ")).removeprefix("Error: ")


def _run(folder: Path, environ: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=folder, env=dict(environ), capture_output=True, text=True, check=False)


def main(environments: list[str]) -> None:
    """Write the planned changes of each key of these environments; those of the others are kept."""
    found = json.loads(FILE.read_text("utf-8")) | {
        environment: dict(planned(environment)) for environment in environments
    }
    FILE.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
