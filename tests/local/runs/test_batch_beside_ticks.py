"""The Spark batch while ticks are collected: the rebuilt day must equal the streamed day."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local.environment.clock import RealClock
from local.runs.local_run import LocalRun, start_run
from local.runs.options import Options
from local.runs.pipeline import LandedTicks, wait_for_deliveries
from local.runs.report import count_rows, query
from local.runs.terminal import Terminal

pytestmark = pytest.mark.local
BATCHES = int(os.environ.get("BATCHES", "2"))
STATIONS = 289
TICKS_OF_THE_DAY = 6


def rows_of(run: LocalRun, day: str) -> list[str]:
    table = run.names.station_table
    sql = f"SELECT TO_JSON_STRING(t) AS line FROM `{table}` AS t WHERE DATE(collected_at) = '{day}'"  # noqa: S608
    return sorted(row["line"] for row in query(run.environment, sql))


def test_the_batch_and_the_ticks_leave_each_others_rows_alone(tmp_path: Path) -> None:
    """Ticks of the last minutes of a day, and ticks after midnight that are streamed during the rebuild."""
    options = Options("up", "dev", feed="vlille_ods", day="generated", speed=60.0, base=tmp_path / ".local")
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
    clock = RealClock(options.speed, midnight - timedelta(minutes=TICKS_OF_THE_DAY, seconds=30))
    day = f"{midnight - timedelta(days=1):%Y-%m-%d}"
    with start_run(options, Terminal(), clock) as run:
        landed, swept = LandedTicks(run), []
        run.scheduler.on_finished.append(
            lambda execution: swept.append(execution.fired) if execution.job == run.names.copy_job else None
        )
        run.pubsub.resume()
        clock._began = time.monotonic()  # only now: bringing all up took a part of the day
        run.scheduler.start()
        clock.run(lambda: any(fired > midnight for fired in swept))  # all of the day is archived
        streamed = rows_of(run, day)
        assert len(streamed) >= (TICKS_OF_THE_DAY - 1) * STATIONS
        for _ in range(BATCHES):
            ticks = run.scheduler.fired[run.names.collect_job]
            workflow = run.dataproc.instantiate(run.names.workflow_template, {"FROM": day, "TO": day})
            clock.run(workflow.finished.is_set)
            assert (workflow.state, workflow.error) == ("DONE", "")
            assert run.scheduler.fired[run.names.collect_job] > ticks
            assert rows_of(run, day) == streamed
        run.scheduler.pause(run.names.collect_job)
        wait_for_deliveries(run)
        assert count_rows(run.environment, run.names.station_table) == landed.update() * STATIONS
