"""Catalogs of the BigQuery emulator: a copy of an empty one is what local-bigquery makes."""

from pathlib import Path

import pytest

from local.data_plane.emulators import duckdb_home
from tests.local.data_plane.comparison import run_comparison

ROOT = Path(__file__).parents[3]


@pytest.mark.emulator
@pytest.mark.parametrize("has_empty", [False, True])
def test_a_copied_catalog_is_the_one_that_local_bigquery_makes(tmp_path: Path, has_empty: bool) -> None:
    home = tmp_path / "l'été"
    home.mkdir()
    (home / ".duckdb").symlink_to(duckdb_home(ROOT / ".cache") / ".duckdb")
    for data in ["earlier", "data"] if has_empty else ["data"]:
        found = run_comparison("compare_catalogs", tmp_path / data, home)
    assert found["copied"] == found["own"]
    assert len(found["own"]) > 20
    assert found["rows"] == [[3]]
    assert found["schemas"] == [[2]]
    assert found["files"] == ["copied"]
    assert found["left"] == []
    assert (home / "empty.ducklake").exists()
