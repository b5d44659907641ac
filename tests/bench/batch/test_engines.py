"""The query of an engine that the benchmark compares the batch with: the rows of recorded responses."""

import gzip
import json
import runpy
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bench.archives.generator import ExpectedTotals, read_recorded_response
from bench.batch.engines import check_rows
from bench.batch.throughput import JOBS
from bench.measure import BenchError

pytestmark = pytest.mark.unit


def test_duckdb_gives_the_rows_of_all_responses(tmp_path: Path) -> None:
    recorded = read_recorded_response()
    records = json.loads(recorded)["records"]
    archive, out = tmp_path / "archive", tmp_path / "out"
    for minute in (0, 1):
        file = archive / f"hour=10/20231001T100{minute}00Z.json.gz"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(gzip.compress(json.dumps(json.loads(recorded)).encode()))
    main: Callable[[Path, Path, int], None] = runpy.run_path(str(JOBS / "duckdb_batch.py"))["main"]
    main(archive, out, 1)
    bikes, docks = (
        2 * sum(record["fields"][name] for record in records) for name in ("nbvelosdispo", "nbplacesdispo")
    )
    check_rows(out, ExpectedTotals(rows=2 * len(records), bikes=bikes, docks=docks))
    with pytest.raises(BenchError, match="expected"):
        check_rows(out, ExpectedTotals(rows=2 * len(records), bikes=bikes + 1, docks=docks))
    rows = pq.read_table(out / "rows").to_pylist()
    assert {f"{row['collected_at']:%H:%M}" for row in rows} == {"10:00", "10:01"}
    assert {len(row) for row in rows} == {15}
