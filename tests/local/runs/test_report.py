import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from local.environment.environment import LocalEnvironment
from local.runs.report import (
    Report,
    TableSnapshot,
    count_rows,
    find_inconsistency,
    list_ticks,
    query,
    render_report,
)
from local.services.bigquery import BigQuery
from local.services.storage import Storage

GOOD = Report(
    environment="dev",
    feed="vlille_ods",
    source="replay of x.json",
    started="2023-10-27T09:00:00+00:00",
    folder=".local/dev",
    ticks=5,
    messages_published=5,
    messages_delivered=5,
    sweeps=1,
    objects_landed=5,
    objects_archived=5,
    rows_streamed=1445,
    rows_rebuilt=1445,
    mismatches=0,
    first_row_seconds=8.0,
    total_seconds=22.0,
    seconds={"collect": 1.5, "rebuild": 12.0, "check": 0.6},
    batch={"rows_loaded": 1445},
    newest_tick="2023-10-27T08:05:00Z",
    stations=[
        {
            "name": "MÉTROPOLE",
            "num_bikes_available": "3",
            "num_docks_available": None,
            "longitude": "3.1",
            "latitude": "50.6",
        }
    ],
    differences=["google_x.y: not here"],
)


@pytest.mark.unit
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, None),
        ({"rows_rebuilt": None, "mismatches": None, "batch": None}, None),
        ({"quarantined": 3}, None),
        ({"delivery_attempts_failed": 2}, None),
        ({"messages_published": 4}, "5 ticks, but 4 messages published"),
        ({"dead_letters": 1}, "1 messages were dead-lettered"),
        ({"messages_expired": 1, "objects_landed": 4}, "1 messages expired undelivered"),
        ({"objects_landed": 4}, "5 ticks, but 4 objects landed"),
        ({"objects_archived": 4}, "5 objects landed, but 4 are in the archive"),
        ({"rows_streamed": 0}, "no row was loaded"),
        ({"rows_rebuilt": 289}, "1445 rows were streamed, but 289 rebuilt"),
        ({"batch": {"rows_loaded": 1}}, "the batch reports 1 rows, but the table has 1445"),
        ({"mismatches": 2}, "2 rows differ"),
    ],
)
def test_the_first_inconsistent_figure_is_named(change: dict[str, Any], expected: str | None) -> None:
    inconsistency = find_inconsistency(replace(GOOD, **change))
    assert (
        inconsistency is None
        if expected is None
        else inconsistency is not None and inconsistency.startswith(expected)
    )


@pytest.mark.unit
def test_a_report_is_written_whole(tmp_path: Path) -> None:
    file = GOOD.write(tmp_path)
    written = json.loads(file.read_text())
    assert written["rows_rebuilt"] == 1445
    assert written["stations"][0]["name"] == "MÉTROPOLE"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["differences.txt", "report.json"]
    assert (tmp_path / "differences.txt").read_text() == "google_x.y: not here\n"


@pytest.mark.unit
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, ["5 objects landed, 1,445 rows streamed, 0 quarantined", "1,445 rows rebuilt, 0 mismatches"]),
        ({}, ["2023-10-27T08:05:00Z", "MÉTROPOLE", "first row after 8.0 s", "12.0 + 0.6"]),
        ({}, ["Differences from Google Cloud: 1, listed in .local/dev/differences.txt"]),
        ({"first_row_seconds": None}, ["no row loaded"]),
        ({"delivery_attempts_failed": 2}, ["2 attempts failed and were retried"]),
        ({"ticks_skipped": 3, "messages_expired": 2}, ["5 ticks, 3 skipped", "0 dead-lettered, 2 expired"]),
        ({"rows_rebuilt": None, "mismatches": None}, ["│ not run "]),
        ({"rows_rebuilt": None, "batch_runs": ["", ""]}, ["runs: 2, all succeeded"]),
        (
            {"mismatches": None, "batch_runs": ["a quota", "", "no space"]},
            ["runs: 3, failed: 2; the last: no space"],
        ),
    ],
)
def test_the_user_sees_each_stage(change: dict[str, Any], expected: list[str]) -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(render_report(replace(GOOD, **change)))
    text = console.export_text()
    for each in expected:
        assert each in text


def make_table(environment: LocalEnvironment) -> str:
    service = environment.service(BigQuery)
    service.put_dataset(
        environment.project, {"datasetReference": {"projectId": environment.project, "datasetId": "d"}}
    )
    fields = [
        {"name": "n", "type": "INTEGER"},
        {"name": "x", "type": "FLOAT"},
        {"name": "tags", "type": "STRING", "mode": "REPEATED"},
    ]
    reference = {"projectId": environment.project, "datasetId": "d", "tableId": "t"}
    service.put_table(environment.project, "d", {"tableReference": reference, "schema": {"fields": fields}})
    table = f"{environment.project}.d.t"
    query(environment, f"INSERT INTO `{table}` VALUES (1, 0.1, ['a']), (1, 0.1, ['a']), (2, NULL, [])")  # noqa: S608
    return table


@pytest.mark.emulator
@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT 1", 0),
        ("DELETE FROM `{}` WHERE n = 2", 1),
        ("INSERT INTO `{}` VALUES (1, 0.1, ['a'])", 1),  # one more of the same
        ("UPDATE `{}` SET x = 0.1000001 WHERE n = 1", 4),  # two gone, two new
        ("INSERT INTO `{}` VALUES (2, NULL, ['b'])", 1),
    ],
)
def test_mismatches_count_each_row_on_all_columns(
    environment_with_emulators: LocalEnvironment, statement: str, expected: int
) -> None:
    table = make_table(environment_with_emulators)
    assert count_rows(environment_with_emulators, table) == 3
    comparison = TableSnapshot(environment_with_emulators, table)
    query(environment_with_emulators, statement.format(table))
    assert comparison.count_mismatches() == expected
    found = environment_with_emulators.service(BigQuery).find(
        f"/bigquery/v2/projects/{environment_with_emulators.project}/datasets/d_before"
    )
    assert found is None


@pytest.mark.emulator
def test_ticks_are_counted_once_whatever_their_objects_name(
    environment_with_emulators: LocalEnvironment,
) -> None:
    storage, bucket = (
        environment_with_emulators.service(Storage),
        f"{environment_with_emulators.project}-landing",
    )
    storage.put_bucket({"name": bucket, "location": "EU", "storageClass": "STANDARD"})
    for name in (
        "vlille_ods/20231026T205000Z.json.gz",
        "vlille_ods/20231026T205100Z.json.gz",
        "feed=vlille_ods/date=2023-10-26/hour=20/20231026T205100Z.json.gz",
        "other/20231026T205000Z.json.gz",
        "notes.txt",
    ):
        storage.put_object(bucket, name, b"x", "application/gzip", {})
    assert len(list_ticks(environment_with_emulators, bucket, "vlille_ods")) == 2
