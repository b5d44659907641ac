"""Responses on their whole way: collector, copier and Spark job, on the emulators.

What the collector has streamed is compared with what a rebuild makes of the archive.
"""

import json
import logging
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

import copier.settings
from cdk.artifacts.workloads import build_batch_artifact
from collector.envelope import Delivery
from collector.settings import Settings
from collector.tick import Services, TickMemory, collect_tick
from copier.sweep import sweep_landing_bucket
from feed import Feed
from local.workloads.spark import local_spark
from telemetry import LOGGER
from tests.collector.fakes import FakeApi, Reply
from tests.spark.conftest import JOB_TIMEOUT_S, LOCATION, MASTER, Project, usable

DRIVER = Path(__file__).with_name("rebuild_feeds.py")
EVENING = datetime(2025, 10, 26, 18, tzinfo=UTC)
DAY = EVENING.date().isoformat()


@dataclass(frozen=True)
class Tick:
    """One minute of a feed: what the API replies, one reply for each page, and what is right."""

    feed: str
    what: str
    replies: tuple[Reply, ...]
    rows: list[dict[str, Any]]  # of some columns, sorted by the first of them
    quarantine: list[tuple[str, ...]] = field(default_factory=list)  # scope, reason, field; sorted
    events: tuple[str, ...] = ()  # at ERROR

    def __str__(self) -> str:
        return f"{self.feed}: {self.what}"


@dataclass(frozen=True)
class Content:
    """The rows of a feed's table and of the quarantine, of one minute."""

    rows: list[dict[str, Any]]
    quarantine: list[dict[str, Any]]


@dataclass
class Collected:
    """The results of the ticks: the log, the streamed tables, and the tables after the rebuild."""

    minutes: dict[str, datetime] = field(default_factory=dict)
    events: dict[str, tuple[str, ...]] = field(default_factory=dict)
    paths: dict[str, list[str]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    streamed: dict[str, Content] = field(default_factory=dict)
    rebuilt: dict[str, Content] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)
    metadata: list[Any] = field(default_factory=list)


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[int, str, dict[str, Any]]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((record.levelno, record.getMessage(), getattr(record, "fields", {})))


def run_ticks(
    ticks: Iterable[Tick],
    feeds: Mapping[str, Feed],
    sources: Path,
    *,
    project: Project,
    session: requests.Session,
    secrets: Mapping[str, str],
    folder: Path,
    evening: datetime = EVENING,
) -> Collected:
    """Collect each tick in a minute of its own, archive what landed, and rebuild the day of every feed."""
    done = Collected()
    api = FakeApi()
    ticks = list(ticks)
    try:
        for number, tick in enumerate(ticks):
            done.minutes[str(tick)] = minute = evening + timedelta(minutes=number)
            api.set_replies(*tick.replies)
            # As an instance that has just begun, and asks once more for nothing.
            memory = TickMemory(was_unusable=True)
            services = Services(session, project.gcs, project.bq, secrets, memory=memory)
            lines = _Lines()
            LOGGER.addHandler(lines)
            try:
                collect_tick(
                    _settings(project, tick.feed, api.url),
                    feeds[tick.feed],
                    services,
                    Delivery(minute, is_first=True),
                )
            finally:
                LOGGER.removeHandler(lines)
            done.paths[str(tick)] = list(api.paths)
            done.events[str(tick)] = tuple(
                fields["event"] for level, _, fields in lines.lines if level >= logging.ERROR
            )
            done.log += [f"{message} {fields}" for _, message, fields in lines.lines]
    finally:
        api.close()
    done.streamed = _contents(project, ticks, done.minutes)
    swept = sweep_landing_bucket(
        project.gcs, copier.settings.Settings(project.landing, project.archive, 120, 8), [], time.monotonic
    )
    assert (swept.moved, swept.refused, swept.failed) == (len(ticks), 0, 0)
    done.metadata = [blob.metadata for blob in project.gcs.list_blobs(project.archive)]
    done.runs = rebuild(project, feeds, sources, folder, evening.date().isoformat())
    done.rebuilt = _contents(project, ticks, done.minutes)
    return done


def rebuild(
    project: Project, feeds: Mapping[str, Feed], sources: Path, folder: Path, day: str
) -> list[dict[str, Any]]:
    """Rebuild the day of every feed by the job that the stack packages, in one JVM; its run statistics."""
    artifact = build_batch_artifact(feeds.values(), sources)
    code = folder / artifact.file_name
    code.write_bytes(artifact.content)
    words = [
        *("spark-submit", *local_spark().options, "--master", MASTER),
        *("--py-files", str(usable(code, folder)), str(usable(DRIVER, folder)), ",".join(feeds)),
    ]
    done = subprocess.run(
        [*words, *project.arguments(day)],
        env=dict(project.environment),
        cwd=project.environment["HOME"],
        capture_output=True,
        text=True,
        timeout=JOB_TIMEOUT_S + 5 * len(feeds),
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("event") == "batch_finished"]


def _settings(project: Project, feed: str, url: str) -> Settings:
    return Settings(
        project=project.name,
        location=LOCATION,
        source_folder=f"sources/{feed}",
        api_url=url,
        api_timeout_s=20,
        api_max_bytes=2**22,
        landing_bucket=project.landing,
        archive_bucket=project.archive,
        station_table=f"{project.name}.vlille.{feed}",
        quarantine_table=f"{project.name}.vlille.quarantine",
        empty_responses_table=f"{project.name}.vlille.empty_responses",
    )


def _contents(project: Project, ticks: Iterable[Tick], minutes: Mapping[str, datetime]) -> dict[str, Content]:
    tables = {name: project.table(name) for name in {"quarantine", *(tick.feed for tick in ticks)}}

    def rows(table: str, minute: datetime) -> list[dict[str, Any]]:
        return [row for row in tables[table] if row["collected_at"] == minute]

    return {
        str(tick): Content(
            rows(tick.feed, minutes[str(tick)]),
            [row for row in rows("quarantine", minutes[str(tick)]) if row["feed"] == tick.feed],
        )
        for tick in ticks
    }


def exact(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The rows as texts: `==` sees no difference between 1, 1.0 and true, nor the sign of a zero."""
    return [json.dumps(row, default=repr) for row in rows]


def check(tick: Tick, done: Collected) -> None:
    """Assert that a tick gave what is right, and that the rebuild gives the same, column by column."""
    streamed, rebuilt = done.streamed[str(tick)], done.rebuilt[str(tick)]
    names = list(tick.rows[0]) if tick.rows else []
    found = [{name: row[name] for name in names} for row in streamed.rows]
    assert sorted(found, key=_first) == tick.rows
    assert sorted(_reason(row) for row in streamed.quarantine) == tick.quarantine
    assert done.events[str(tick)] == tick.events
    assert exact(rebuilt.rows) == exact(streamed.rows)
    assert exact(rebuilt.quarantine) == exact(streamed.quarantine)


def _first(row: Mapping[str, Any]) -> str:
    return str(next(iter(row.values())))


def _reason(row: Mapping[str, Any]) -> tuple[str, ...]:
    return row["scope"], row["reason"], row["field"]
