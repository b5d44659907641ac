"""`spark-submit packs_job.py ARCHIVE OUT`: the batch's work on packs in Spark, on files instead of objects.

OUT/seconds has the duration without the start of Spark, OUT/counts.json the numbers of rows.
"""

import json
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

from spark.cluster import start_spark
from spark.packs.changes import join_hourly_changes
from spark.packs.hours import read_pack_hours
from spark.packs.job import count_shards, make_day_buckets
from spark.rebuild.planning import StoredObject, plan_hours
from spark.rebuild.statistics import reconcile


def main(archive: Path, out: Path) -> None:
    """Write the rows of the archive's packs below `out`, join the changes of its day, and reconcile the counts."""

    def put(name: str, file: Path) -> str:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        return str(shutil.copyfile(file, name))

    files = sorted(archive.rglob("*.warc.gz"))
    objects = [StoredObject(each.relative_to(archive).as_posix(), each.stat().st_size) for each in files]
    day = date.fromisoformat(objects[0].name.split("/")[1].removeprefix("date="))
    hours = plan_hours(day, objects)
    buckets = count_shards({day: hours})

    def read_hours(partitions: Iterable[Any]) -> Iterator[Any]:
        for part in partitions:
            yield from read_pack_hours(
                part, lambda name: (archive / name).read_bytes(), put, str(out), buckets
            )

    def join_changes(partitions: Iterable[Any]) -> Iterator[Any]:
        for part in partitions:
            yield from (
                join_hourly_changes(each, lambda name: Path(name).read_bytes(), put, str(out))
                for each in part
            )

    run: Any = start_spark("rebuild packs")
    started = time.perf_counter()
    results = list(run(read_hours, hours))
    statistics = reconcile(hours, results)
    changes = list(run(join_changes, make_day_buckets(results, buckets, "")))
    (out / "seconds").write_text(str(time.perf_counter() - started))
    counts = {
        "station_status": statistics.rows_loaded,
        "polls": sum(each.polls_rows for each in results),
        "changes": sum(each.rows for each in changes),
        "bytes": sum(file.stat().st_size for file in out.rglob("*.parquet")),
    }
    (out / "counts.json").write_text(json.dumps(counts))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
