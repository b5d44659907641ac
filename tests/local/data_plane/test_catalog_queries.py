"""Catalog lookups of the BigQuery emulator: what they find is what local-bigquery's own find."""

import ast
from pathlib import Path

import local_bigquery
import pytest

from local.data_plane.catalog_queries import COLUMN, DATASET, REQUIRED_COLUMNS, TEMPORARY_TABLES
from local.data_plane.emulators import duckdb_home
from tests.local.data_plane.comparison import run_comparison

ROOT = Path(__file__).parents[3]


@pytest.mark.unit
@pytest.mark.parametrize("statement", [DATASET, REQUIRED_COLUMNS, COLUMN, TEMPORARY_TABLES])
@pytest.mark.long
def test_a_replaced_statement_is_one_of_the_pinned_version(statement: str) -> None:
    modules = Path(local_bigquery.__file__).parent.rglob("*.py")
    nodes = (node for module in modules for node in ast.walk(ast.parse(module.read_text("utf-8"))))
    assert statement in {node.value for node in nodes if isinstance(node, ast.Constant)}


@pytest.mark.emulator
def test_lookups_find_what_local_bigquery_finds(tmp_path: Path) -> None:
    found = run_comparison("compare_catalog_queries", tmp_path / "data", duckdb_home(ROOT / ".cache"))
    assert found["replaced"] == found["own"]
    assert found["own"][0] == [["t", "TABLE", 100], ["u", "TABLE", 0], ["v", "VIEW", 0]]
