"""Generated hours of packs, read as the batch reads them: the expected rows and changes, exactly."""

import random
import shutil
from datetime import date
from pathlib import Path

import pytest

import bench.gbfs.packs
from bench.gbfs.packs import generate_packs
from bench.gbfs.systems import generate_systems
from spark.packs.changes import join_hourly_changes
from spark.packs.hours import read_pack_hours
from spark.packs.job import make_day_buckets
from spark.rebuild.planning import StoredObject, plan_hours

pytestmark = pytest.mark.unit
SHARDS = 2


@pytest.mark.long
def test_a_batch_finds_the_expected_rows_and_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.gbfs.packs, "MINUTES", 6)
    systems = [each for each in generate_systems(random.Random(0)) if each.system.stations < 20]  # noqa: S311
    archive, out = tmp_path / "archive", tmp_path / "out"
    expected = generate_packs(archive, systems, SHARDS, hours=2)

    def put(name: str, file: Path) -> str:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        return str(shutil.copyfile(file, out / name))

    stored = [
        StoredObject(file.relative_to(archive).as_posix(), file.stat().st_size)
        for file in archive.rglob("*.warc.gz")
    ]
    assert len(stored) == 2 * 6 * SHARDS
    assert sum(each.size for each in stored) == expected.pack_bytes
    hours = plan_hours(date(2026, 5, 1), stored)
    results = list(read_pack_hours(hours, lambda name: (archive / name).read_bytes(), put, "rows", SHARDS))
    buckets = make_day_buckets(results, SHARDS, "")
    changes = [
        join_hourly_changes(each, lambda name: Path(name).read_bytes(), put, "day") for each in buckets
    ]
    assert {each.system.version for each in systems if each.outcome == "ok"} >= {"2.2", "2.3", "3.0"}
    assert sum(each.statistics.rows_loaded for each in results) == expected.station_status
    assert sum(each.quarantine_rows for each in results) == 0
    assert sum(each.polls_rows for each in results) == expected.polls == 12 * len(systems)
    assert sum(each.rows for each in changes) == expected.changes < expected.station_status / 5
