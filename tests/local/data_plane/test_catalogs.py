"""Catalogs of the BigQuery emulator: a copy of an empty one is what local-bigquery makes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.data_plane.emulators import duckdb_home

ROOT = Path(__file__).parents[3]


@pytest.mark.emulator
@pytest.mark.parametrize("has_empty", [False, True])
def test_a_copied_catalog_is_the_one_that_local_bigquery_makes(tmp_path: Path, has_empty: bool) -> None:
    home = tmp_path / "l'été"
    home.mkdir()
    (home / ".duckdb").symlink_to(duckdb_home(ROOT / ".cache") / ".duckdb")
    for data in ["earlier", "data"] if has_empty else ["data"]:
        done = subprocess.run(
            [sys.executable, "-m", "tests.local.data_plane.compare_catalogs", str(tmp_path / data)],
            env=os.environ | {"HOME": str(home)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    found = json.loads(done.stdout)
    assert found["copied"] == found["own"]
    assert len(found["own"]) > 20
    assert found["rows"] == [[3]]
    assert found["schemas"] == [[2]]
    assert found["files"] == ["copied"]
    assert found["left"] == []
    assert (home / "empty.ducklake").exists()
