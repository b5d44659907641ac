"""The whole Spark batch while ticks go on: the day that it rebuilds is, each time, the day as it was streamed."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local.environment.clock import RealClock
from local.runs.pipeline import Landed, drain
from local.runs.report import count_rows, query
from local.runs.running_stack import Options, System, running
from local.runs.terminal import Terminal

pytestmark = pytest.mark.local
BATCHES = int(os.environ.get("BATCHES", "2"))
STATIONS = 289
TICKS_OF_THE_DAY = 6


def rows_of(system: System, day: str) -> list[str]:
    table = system.parts.station_table
    sql = f"SELECT TO_JSON_STRING(t) AS line FROM `{table}` AS t WHERE DATE(collected_at) = '{day}'"  # noqa: S608
    return sorted(row["line"] for row in query(system.environment, sql))


def test_the_batch_and_the_ticks_leave_each_others_rows_alone(tmp_path: Path) -> None:
    """Ticks of the last minutes of a day, and from midnight on those that are streamed while it is rebuilt."""
    options = Options("up", "dev", feed="vlille_ods", day="made", speed=60.0, base=tmp_path / ".local")
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
    clock = RealClock(options.speed, midnight - timedelta(minutes=TICKS_OF_THE_DAY, seconds=30))
    day = f"{midnight - timedelta(days=1):%Y-%m-%d}"
    with running(options, Terminal(), clock) as system:
        landed, swept = Landed(system), []
        system.scheduler.on_finished.append(
            lambda run: swept.append(run.fired) if run.job == system.parts.copy else None
        )
        system.broker.resume()
        clock._began = time.monotonic()  # only now: bringing all up took a part of the day
        system.scheduler.start()
        clock.run(lambda: any(fired > midnight for fired in swept))  # all of the day is archived
        streamed = rows_of(system, day)
        assert len(streamed) >= (TICKS_OF_THE_DAY - 1) * STATIONS
        for _ in range(BATCHES):
            ticks = system.scheduler.fired[system.parts.collect]
            workflow = system.dataproc.instantiate(system.parts.template, {"FROM": day, "TO": day})
            clock.run(workflow.finished.is_set)
            assert (workflow.state, workflow.error) == ("DONE", "")
            assert system.scheduler.fired[system.parts.collect] > ticks
            assert rows_of(system, day) == streamed
        system.scheduler.pause(system.parts.collect)
        drain(system)
        assert count_rows(system.environment, system.parts.station_table) == landed.look() * STATIONS
