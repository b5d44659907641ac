"""`spark-submit rebuild_batch.py ARCHIVE OUT [DELAY]`: the work of the batch in Spark, on files instead of objects.

Each read is delayed by DELAY seconds, as by network latency. OUT/seconds has the duration without the start of Spark.
"""

import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

from spark.cluster import start_spark
from spark.rebuild.planning import ArchiveHour, StoredObject, plan_hours, split_into_batches
from spark.rebuild.statistics import HourResult, reconcile
from spark.responses.hours import read_hours
from spark.settings import DAYS_AT_ONCE, read_feed

FEED = "vlille_ods"


def main(archive: Path, out: Path, delay_s: float) -> None:
    """Write the archive's rows below `out`, one file per hour, and reconcile the counts."""
    feed = read_feed(FEED, Path(__file__).parents[3] / "src", out)

    def read(name: str) -> bytes:
        if delay_s:
            time.sleep(delay_s)
        return (archive / name).read_bytes()

    def put(name: str, file: Path) -> str:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        return str(shutil.copyfile(file, name))

    def work(parts: Iterable[list[ArchiveHour]]) -> Iterator[HourResult]:
        for part in parts:
            yield from read_hours(feed, part, read, put, str(out))

    with ThreadPoolExecutor(1) as beside:
        listing = beside.submit(list_files, archive)
        run_hours = start_spark("rebuild hours")
        by_day = listing.result()
    started = time.perf_counter()
    for days in split_into_batches(sorted(by_day), DAYS_AT_ONCE):
        hours = [hour for day in days for hour in plan_hours(day, by_day[day])]
        reconcile(hours, list(run_hours(work, hours)))  # type: ignore[arg-type]  # as Work, without buckets
    (out / "seconds").write_text(str(time.perf_counter() - started))


def list_files(archive: Path) -> dict[date, list[StoredObject]]:
    """Return the archive's files by day."""
    by_day = defaultdict(list)
    for file in archive.rglob("*.json.gz"):
        name = file.relative_to(archive).as_posix()
        day = date.fromisoformat(name.split("/")[1].removeprefix("date="))
        by_day[day].append(StoredObject(name, file.stat().st_size))
    return by_day


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]) if len(sys.argv) > 3 else 0.0)
