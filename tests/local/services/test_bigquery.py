"""Datasets, tables and views of a stack in the emulator: new columns are added, and rows stay."""

import json
from typing import Any

import pytest

from local.environment.environment import LocalEnvironment
from local.errors import LocalError
from local.services.bigquery import HANDLERS, BigQuery, TableChangedError, grow_schema, table_as_rest
from local.stack.loading import Resource

COLUMNS: list[dict[str, Any]] = [
    {"name": "collected_at", "type": "TIMESTAMP", "mode": "NULLABLE", "description": "the tick"},
    {"name": "nom", "type": "STRING", "mode": "NULLABLE"},
    {
        "name": "place",
        "type": "RECORD",
        "mode": "REPEATED",
        "fields": [{"name": "x", "type": "FLOAT", "mode": "NULLABLE"}],
    },
]


def make(environment: LocalEnvironment, kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return HANDLERS[kind](Resource(f"{kind}.r", kind, "r", {}), arguments, environment)


def make_table(
    environment: LocalEnvironment, parse_columns: list[dict[str, Any]], **more: Any
) -> dict[str, Any]:
    arguments = {
        "dataset_id": "vlille",
        "table_id": "stations",
        "schema": json.dumps(parse_columns),
        "time_partitioning": {"type": "DAY", "field": "collected_at"},
        "clustering": ["nom"],
        "deletion_protection": False,
    }
    return make(environment, "google_bigquery_table", arguments | more)


def query(environment: LocalEnvironment, sql: str) -> list[list[Any]]:
    return environment.service(BigQuery).query(environment.project, sql)


def held(environment: LocalEnvironment) -> dict[str, Any]:
    path = f"/bigquery/v2/projects/{environment.project}/datasets/vlille/tables/stations"
    return environment.service(BigQuery).find(path) or {}


@pytest.fixture
def warehouse(environment_with_emulators: LocalEnvironment) -> LocalEnvironment:
    """An environment with the dataset `vlille`."""
    make(
        environment_with_emulators,
        "google_bigquery_dataset",
        {"dataset_id": "vlille", "location": "europe-west1"},
    )
    return environment_with_emulators


@pytest.mark.emulator
def test_dataset_and_its_update(warehouse: LocalEnvironment) -> None:
    arguments = {
        "dataset_id": "vlille",
        "location": "europe-west1",
        "description": "stations",
        "labels": {"environment": "dev"},
        "delete_contents_on_destroy": True,
    }
    attributes = make(warehouse, "google_bigquery_dataset", arguments)
    name = f"projects/{warehouse.project}/datasets/vlille"
    assert (
        attributes.items() >= {"id": name, "project": warehouse.project, "location": "europe-west1"}.items()
    )
    found = warehouse.service(BigQuery).find(f"/bigquery/v2/{name}") or {}
    assert (found["description"], found["labels"]) == ("stations", {"environment": "dev"})
    assert warehouse.unsupported == []


@pytest.mark.emulator
def test_table_is_partitioned_and_clustered(warehouse: LocalEnvironment) -> None:
    attributes = make_table(warehouse, COLUMNS)
    assert attributes["id"] == f"projects/{warehouse.project}/datasets/vlille/tables/stations"
    assert attributes["type"] == "TABLE"
    assert held(warehouse)["timePartitioning"] == {"type": "DAY", "field": "collected_at"}
    assert held(warehouse)["clustering"] == {"fields": ["nom"]}
    assert [field["name"] for field in held(warehouse)["schema"]["fields"]] == [
        "collected_at",
        "nom",
        "place",
    ]


@pytest.mark.emulator
def test_new_columns_are_added_and_rows_stay(warehouse: LocalEnvironment) -> None:
    make_table(warehouse, COLUMNS)
    query(
        warehouse,
        "INSERT INTO vlille.stations (collected_at, nom, place) "
        "VALUES (TIMESTAMP '2023-10-26 20:50:00', 'A', [STRUCT(1.5 AS x)])",
    )
    place = COLUMNS[2] | {
        "fields": [*COLUMNS[2]["fields"], {"name": "y", "type": "FLOAT", "mode": "NULLABLE"}]
    }
    added = {"name": "etat", "type": "STRING", "mode": "NULLABLE", "description": "new"}
    make_table(warehouse, [COLUMNS[0], added, place])
    fields = held(warehouse)["schema"]["fields"]
    assert [field["name"] for field in fields] == ["collected_at", "nom", "place", "etat"]
    assert [field["name"] for field in fields[2]["fields"]] == ["x", "y"]
    sql = "SELECT nom, etat, place[0].x, place[0].y FROM vlille.stations"
    assert query(warehouse, sql) == [["A", None, "1.5", None]]
    assert held(warehouse)["timePartitioning"] == {"type": "DAY", "field": "collected_at"}
    assert held(warehouse)["clustering"] == {"fields": ["nom"]}
    assert query(warehouse, "SELECT table_name FROM vlille.INFORMATION_SCHEMA.TABLES") == [["stations"]]


@pytest.mark.emulator
def test_a_change_that_requires_a_new_table_is_refused(warehouse: LocalEnvironment) -> None:
    make_table(warehouse, COLUMNS)
    with pytest.raises(TableChangedError, match=r"vlille\.stations\.nom exists with type STRING"):
        make_table(warehouse, [COLUMNS[0], COLUMNS[1] | {"type": "INTEGER"}, COLUMNS[2]])
    with pytest.raises(TableChangedError, match="with partitioning"):
        make_table(warehouse, COLUMNS, time_partitioning={"type": "MONTH", "field": "collected_at"})
    assert [field["type"] for field in held(warehouse)["schema"]["fields"]] == [
        "TIMESTAMP",
        "STRING",
        "RECORD",
    ]


@pytest.mark.emulator
def test_view_and_its_change(warehouse: LocalEnvironment) -> None:
    make_table(warehouse, COLUMNS)
    query(warehouse, "INSERT INTO vlille.stations (nom) VALUES ('A')")
    view = {"dataset_id": "vlille", "table_id": "availability", "deletion_protection": False}
    for sql, expected in (("SELECT nom FROM vlille.stations", "A"), ("SELECT 'B' AS nom", "B")):
        attributes = make(
            warehouse, "google_bigquery_table", view | {"view": {"query": sql, "use_legacy_sql": False}}
        )
        assert attributes["type"] == "VIEW"
        assert query(warehouse, "SELECT nom FROM vlille.availability") == [[expected]]


@pytest.mark.emulator
def test_unsupported_arguments_are_reported(warehouse: LocalEnvironment) -> None:
    partitioning = {"type": "DAY", "field": "collected_at", "expiration_ms": 1000}
    make_table(
        warehouse, COLUMNS, time_partitioning=[partitioning], expiration_time=5, biglake_configuration={}
    )
    assert warehouse.unsupported == [
        "google_bigquery_table.expiration_time: tables do not expire",
        "google_bigquery_table.biglake_configuration: unknown to the local run, so it has no effect",
        "google_bigquery_table.time_partitioning.expiration_ms: partitions do not expire",
    ]


@pytest.mark.unit
@pytest.mark.parametrize(
    ("existing", "wanted", "expected"),
    [
        ([], [("a", "STRING")], [("a", "STRING")]),
        ([("a", "STRING")], [], [("a", "STRING")]),
        ([("a", "STRING"), ("b", "STRING")], [("b", "STRING"), ("c", "DATE")], ["a", "b", "c"]),
        ([("A", "STRING")], [("a", "STRING")], ["A"]),
        ([("a", "INTEGER")], [("a", "INT64")], ["a"]),
    ],
)
def test_grown(existing: list[Any], wanted: list[Any], expected: list[Any]) -> None:
    def fields(pairs: list[Any]) -> list[dict[str, Any]]:
        return [{"name": name, "type": kind} for name, kind in pairs]

    names = [pair if isinstance(pair, str) else pair[0] for pair in expected]
    assert [field["name"] for field in grow_schema("t", fields(existing), fields(wanted))] == names


@pytest.mark.unit
@pytest.mark.parametrize(
    ("found", "wanted", "allowed"),
    [
        (None, "NULLABLE", True),
        ("REQUIRED", "NULLABLE", True),
        ("NULLABLE", "REQUIRED", False),
        ("NULLABLE", "REPEATED", False),
        ("REPEATED", "REPEATED", True),
    ],
)
def test_modes(found: str | None, wanted: str, *, allowed: bool) -> None:
    old, new = [
        {"name": "a", "type": "STRING"} | ({"mode": mode} if mode else {}) for mode in (found, wanted)
    ]
    if allowed:
        assert grow_schema("t", [old], [new]) == [new]
        return
    with pytest.raises(TableChangedError) as error:
        grow_schema("t", [old], [new])
    assert (error.value.table, error.value.what) == ("t.a", "mode")


@pytest.mark.unit
def test_view_as_rest_has_no_schema() -> None:
    view = {"query": "SELECT 1"}
    resource = table_as_rest("p", {"dataset_id": "d", "table_id": "v", "view": [view], "schema": "[]"})
    assert resource == {
        "tableReference": {"projectId": "p", "datasetId": "d", "tableId": "v"},
        "view": {"query": "SELECT 1", "useLegacySql": False},
    }


@pytest.mark.unit
def test_an_authorized_dataset_is_accepted_and_an_access_entry_refused(
    environment: LocalEnvironment,
) -> None:
    kind = "google_bigquery_dataset_access"
    authorized = {
        "dataset": {"dataset": {"project_id": "p", "dataset_id": "views"}, "target_types": ["VIEWS"]}
    }
    made = make(environment, kind, {"dataset_id": "vlille"} | authorized)
    assert made["id"] == f"projects/{environment.project}/datasets/vlille"
    with pytest.raises(LocalError, match="google_bigquery_dataset_iam_member"):
        make(environment, kind, {"dataset_id": "vlille", "role": "READER", "user_by_email": "a@example.org"})
