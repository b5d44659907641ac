"""`spark-submit rebuild_hours.py ARCHIVE OUT`: what the batch does inside Spark, on files instead of objects."""

import shutil
import sys
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path

from bench.surroundings import original_feed
from spark.accounting import HourResult, reconcile
from spark.cluster import spark_hours
from spark.hours import read_hours
from spark.planning import Hour, Stored, plan_hours


def main(archive: Path, out: Path) -> None:
    """Write the archive's rows below `out`, one file an hour; the account must come out."""
    files = sorted(file for file in archive.rglob("*") if file.is_file())
    objects = [Stored(file.relative_to(archive).as_posix(), file.stat().st_size) for file in files]
    days = sorted({each.name.split("/")[1].removeprefix("date=") for each in objects})
    hours = [
        hour
        for day in days
        for hour in plan_hours(date.fromisoformat(day), [o for o in objects if f"date={day}" in o.name])
    ]
    feed = original_feed()

    def work(parts: Iterable[list[Hour]]) -> Iterator[HourResult]:
        for part in parts:
            yield from read_hours(feed, part, lambda name: (archive / name).read_bytes(), put, str(out))

    def put(name: str, file: Path) -> str:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        return str(shutil.copyfile(file, name))

    with spark_hours("rebuild hours") as run_hours:
        reconcile(hours, list(run_hours(work, hours)))  # type: ignore[arg-type]  # as Work, without buckets


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
