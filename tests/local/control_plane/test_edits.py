"""The recorded plans for an edit of each setting of a deployed environment."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cdk import settings
from tests.local.control_plane.edits import (
    EDITS,
    FILE,
    GBFS,
    GBFS_EDITS,
    NOT_PLANNED,
    SECTION,
    edited,
    edits_of,
)

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
PLANNED: dict[str, dict[str, dict[str, str]]] = json.loads(FILE.read_text("utf-8"))
REMEDY = (
    "plan it with the real provider (tests/local/control_plane/edits.py says how), or without one add it to "
    "NOT_PLANNED there; the table of docs/deploy.md says what a deploy does after an edit"
)
# What holds data that a replacement deletes.
DATA = ("google_bigquery_dataset.", "google_bigquery_table.", "google_storage_bucket.")
GBFS_TABLES = ("station_status", "polls", "station_status_changes", "systems", "station_information")
REFUSED = "region"  # by operate/deployment/changes.py, before a plan


def keys_of(section: type[Any], prefix: str = "") -> Iterator[str]:
    for field in msgspec.structs.fields(section):
        inner = settings.section_type(field.type)
        yield from keys_of(inner, f"{prefix}{field.name}.") if inner else (f"{prefix}{field.name}",)


def replaced(planned: dict[str, str]) -> set[str]:
    return {address for address, actions in planned.items() if "delete" in actions}


def test_every_setting_has_a_recorded_plan() -> None:
    keys = set(keys_of(settings.EnvironmentFile))
    assert keys == EDITS.keys() | GBFS_EDITS.keys() | NOT_PLANNED, REMEDY
    for environment, planned in PLANNED.items():
        assert planned.keys() == edits_of(environment).keys(), f"{environment}: {REMEDY}"
        assert all(planned.values()), environment


@pytest.mark.parametrize("environment", PLANNED)
def test_no_other_edit_deletes_data(environment: str) -> None:
    for key, planned in PLANNED[environment].items():
        deleted = {address for address in replaced(planned) if address.startswith(DATA)}
        if key == REFUSED and environment == "dev":
            assert len(deleted) > 5
        elif (environment, key) == ("gbfs", SECTION):
            assert deleted == {f"google_bigquery_table.warehouse_{name}" for name in GBFS_TABLES}
        else:
            assert not deleted, f"{key}: refuse it in operate/deployment/changes.py"
    assert "error" not in PLANNED["dev"]
    assert [key for key, planned in PLANNED["prod"].items() if "error" in planned] == [REFUSED]


def test_the_section_of_gbfs_systems_is_added_and_removed() -> None:
    assert edited("feed\n", SECTION) == f"feed\n{GBFS}"
    assert edited(f"feed\n{GBFS}", SECTION) == "feed\n"
    added, removed = PLANNED["dev"][SECTION], PLANNED["gbfs"][SECTION]
    assert added.keys() == removed.keys()
    assert {address for address, actions in added.items() if actions != "create"} == replaced(added)
    first_cells = {cells[0]: cells[1] for cells in read_rows()}
    assert first_cells["`[gbfs]` added"].endswith("replaces the workflow template")
    assert "five tables" in first_cells["`[gbfs]` removed"]


def read_rows() -> list[list[str]]:
    """Return the cells of each row of the table of edits."""
    text = (ROOT / "docs" / "deploy.md").read_text("utf-8").split("## Editing the settings")[1]
    return [
        [cell.strip() for cell in row.split("|")[1:-1]] for row in text.splitlines() if row.startswith("| `")
    ]


def test_every_setting_has_a_row_in_the_table_of_edits() -> None:
    patterns = [
        re.escape(key).replace(r"\*", ".*")
        for cells in read_rows()
        for key in re.findall(r"`([\w.*]+)`", cells[0])
    ]
    missing = [
        key
        for key in keys_of(settings.EnvironmentFile)
        if not any(re.fullmatch(pattern, key) for pattern in patterns)
    ]
    assert missing == [], (
        "docs/deploy.md, Editing the settings: add what a deploy does after an edit of these"
    )


@pytest.mark.parametrize("environment", PLANNED)
def test_the_table_of_edits_agrees_with_the_recorded_plans(environment: str) -> None:
    """Rows of docs/deploy.md that say "in place" replace nothing; the others replace what they name."""
    rows = read_rows()
    in_place = {
        key
        for cells in rows
        if cells[1] == "in place"
        for pattern in re.findall(r"`([\w.*]+)`", cells[0])
        for key in EDITS | GBFS_EDITS
        if re.fullmatch(pattern.replace(".", r"\.").replace("*", r"\w+"), key)
    }
    template = "google_dataproc_workflow_template.batch_template"
    for key, planned in PLANNED[environment].items():
        if "error" in planned:
            continue
        if key in in_place:
            assert set(planned.values()) == {"update"}, key
        elif set(planned.values()) <= {"create", "delete"}:
            assert any(f"`{key}`" in row[0] and row[1].startswith("creates or deletes") for row in rows), key
        elif environment == "gbfs" and key != SECTION:
            assert planned["google_cloudfunctions2_function.gbfs_function"] == "update", key
            assert any(f"`{key}`" in row[0] and "updates the function" in row[1] for row in rows), key
        else:
            assert template in replaced(planned), key
    assert in_place >= {"protected", "schedule.copy", "retention.soft_delete_days", "alerts.email"}
