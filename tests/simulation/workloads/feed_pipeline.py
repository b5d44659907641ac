"""The pipeline of a feed in the simulated world: Scheduler, Pub/Sub, the API, and the workloads as processes."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import collector.settings
import copier.settings
import spark.settings
from collector.api import ApiError, Response
from collector.envelope import read_delivery
from collector.loading import ATTEMPTS, QuotaError
from collector.retry_after import WaitError
from collector.tick import Services, collect_tick
from copier.sweep import sweep_landing_bucket
from feed import (
    convert_rows_to_json,
    landing_name,
    load_feed,
    make_empty_response_rows,
    make_rejection_rows,
    wait_marker_name,
)
from spark.rebuild.job import rebuild_days
from spark.rebuild.planning import ArchiveHour
from spark.rebuild.statistics import HourResult, RunStatistics
from spark.responses.hours import ArchivedResponse, _parse_tick, count_outcome, read_archived_response
from spark.worker import ReadHours
from telemetry import LOGGER
from tests.simulation.fakes import big_query, cloud_storage
from tests.simulation.workloads.pubsub import ACK_DEADLINE, FUNCTION_TIMEOUT, Message, Subscription
from tests.simulation.world import Process, World

FEED = load_feed(Path(__file__).parents[1] / "sources" / "bikes")
LANDING, ARCHIVE, STAGING = "landing", "archive", "staging"
STATIONS, QUARANTINE, EMPTY_RESPONSES, RUNS = (
    f"p.d.{table}" for table in ("bikes", "quarantine", "empty_responses", "batch_runs")
)

# As environments/dev.toml has it.
REDELIVERY_WINDOW = timedelta(minutes=67)
MAX_SKEW_S = 150.0  # per clock, so that two clocks differ by at most 5 minutes

COLLECTOR = collector.settings.Settings(
    project="p",
    location="europe-west1",
    source_folder="sources/bikes",
    api_url=FEED.url,
    api_timeout_s=30.0,
    api_max_bytes=2**20,
    landing_bucket=LANDING,
    archive_bucket=ARCHIVE,
    station_table=STATIONS,
    quarantine_table=QUARANTINE,
    empty_responses_table=EMPTY_RESPONSES,
)
COPIER = copier.settings.Settings(
    LANDING, ARCHIVE, deadline_s=270.0, threads=1, redelivery_window_s=REDELIVERY_WINDOW.total_seconds()
)


@dataclass
class Fetch:
    """A response of the API: its tick, and whether its request was redundant or early."""

    tick: datetime
    number: int
    is_redundant: bool  # whether a redelivery requested it although it was stored
    is_early: bool  # whether its delivery started before the time in Retry-After


class Pipeline:
    """The services and workloads of one history."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.storage = cloud_storage.CloudStorage(world)
        self.storage.buckets = {LANDING: {}, ARCHIVE: {}, STAGING: {}}
        self.bigquery = big_query.BigQuery(world, self.storage)
        self.bigquery.tables = {STATIONS: [], QUARANTINE: [], EMPTY_RESPONSES: [], RUNS: []}
        self.messages: list[Message] = []
        self.fetches: list[Fetch] = []
        self.api_is_down: Callable[[], bool] = lambda: False
        self.get_retry_after_s: Callable[[], float] = lambda: 0.0  # seconds
        self.page_rate = 0.0  # share of responses that are a proxy's HTML page
        self.empty_rate = 0.0  # share of responses without records
        self.has_bad_record = False
        self.subscription = Subscription(world, self._push, has_late_duplicates=True)
        self.runs: list[Any] = []  # run statistics of the batch
        self.seen_ticks: set[datetime] = set()  # ticks whose rows a reader has seen
        self.archived_generations: dict[str, int] = {}
        self._fetching: dict[str, tuple[Message, bool, frozenset[str]]] = {}

    # --- Scheduler and Pub/Sub ----------------------------------------------------------------------

    def publish(self, when: datetime) -> None:
        """Schedule the publishing of a tick's message."""

        def publish_now() -> None:
            message = Message(self.world.now)
            self.messages.append(message)
            self.world.log("Pub/Sub", f"published the tick {message.tick:%H:%M}")
            self.subscription.deliver(message)

        self.world.at(when, publish_now)

    def _push(self, message: Message, attempt: int, is_duplicate: bool) -> None:
        """Start a delivery; the end of a duplicate does not decide about the message."""
        name = self.world.make_name(f"collector {message.tick:%H:%M}")
        envelope = {
            "message": {"publishTime": message.published.isoformat().replace("+00:00", "Z")},
            "deliveryAttempt": attempt,
        }
        stored = (landing_name(FEED.name, message.tick), LANDING)
        landed = self.storage.buckets[LANDING]
        waits = frozenset(each for each in landed if each.startswith("waits/"))
        if wait_marker_name(FEED.name, self.world.now) not in waits:
            waits = frozenset()
        self._fetching[name] = message, attempt > 1 and stored[0] in landed, waits
        failure_count = self.world.failure_count
        caller: Any = SimpleNamespace(name=name)
        storage: Any = cloud_storage.Client(self.storage)
        bigquery: Any = big_query.Client(self.bigquery, name)
        services = Services(
            api=caller,
            storage=storage,
            bigquery=bigquery,
            now=lambda: self.world.now,
        )
        is_over = False

        def end(error: BaseException | None) -> None:
            nonlocal is_over
            if is_over:
                return
            is_over = True
            words = "acknowledged" if error is None else f"failed: {type(error).__name__}: {str(error)[:100]}"
            if error is None and self.subscription.loses_acknowledgement():
                words = "acknowledged, and the acknowledgement is lost"
                error = ConnectionError("lost")
            elif not (
                error is None
                or self.world.failure_count > failure_count
                or self._is_excused(message.tick, error)
            ):
                message.unexcused.append(f"attempt {attempt}: {error}")
            self.world.log(name, words)
            if error is None:
                message.state = "acknowledged"
            elif not is_duplicate:
                self.subscription.retry(message)

        def run() -> None:
            collect_tick(COLLECTOR, FEED, services, read_delivery(envelope))

        process = self.world.start_process(name, run, end)
        self.world.after(FUNCTION_TIMEOUT.total_seconds(), lambda: self._time_out(process, lambda: is_over))
        if not is_duplicate:

            def at_deadline() -> None:
                if not is_over:
                    process.is_dead = True
                    self.subscription.retry(message)

            self.world.after(ACK_DEADLINE.total_seconds(), at_deadline)

    def _time_out(self, process: Process, is_over: Any) -> None:
        if not is_over():
            self.world.kill(process, "by the function's timeout")

    def _is_excused(self, tick: datetime, error: BaseException) -> bool:
        """Return whether a failure is expected: a quota, a Retry-After, or too many failed load jobs of the tick."""
        if isinstance(error, QuotaError | WaitError):
            return True
        prefix = f"vlille-{landing_name(FEED.name, tick).split('.')[0].replace('/', '-')}-"
        failed = [
            job for job in self.bigquery.jobs.values() if job.error_result and job.job_id.startswith(prefix)
        ]
        return len(failed) >= ATTEMPTS

    # --- the API ------------------------------------------------------------------------------------

    def respond(self, name: str) -> Response:
        """Return a unique response, one without records, or a proxy's HTML page. Raises ApiError during an outage."""
        message, is_redundant, waits = self._fetching[name]

        def get() -> Response:
            if self.api_is_down():
                self.world.failure_count += 1
                raise ApiError("the API is down")
            number = len(self.fetches) + 1
            is_early = wait_marker_name(FEED.name, self.world.now) in waits
            self.fetches.append(Fetch(message.tick, number, is_redundant, is_early))
            if (wait_s := self.get_retry_after_s()) > 0:
                self.world.failure_count += 1
                raise ApiError("too many requests", status=429, retry_after_s=wait_s)
            if self.world.rng.random() < self.page_rate:
                return Response(b"<html>wait</html>")
            if self.world.rng.random() < self.empty_rate:
                return Response(b'{"records": []}')
            records: list[dict[str, int]] = [{"id": 1, "bikes": number}, {"id": 2, "bikes": 1000 + number}]
            if self.has_bad_record:
                records.append({"bikes": number})
            return Response(json.dumps({"records": records}).encode())

        return self.world.call("API get", get)

    # --- copier and batch ---------------------------------------------------------------------------

    def sweep_at(self, when: datetime) -> None:
        """Schedule a sweep of the copier, on an instance with its own clock."""
        skew = timedelta(seconds=self.world.rng.uniform(-MAX_SKEW_S, MAX_SKEW_S))

        def run() -> None:
            client: Any = cloud_storage.Client(self.storage)
            sweep_landing_bucket(client, COPIER, [], self._seconds, now=lambda: self.world.now + skew)

        self._start(when, "copier", run)

    def _seconds(self) -> float:
        return self.world.now.timestamp()

    def rebuild_at(self, when: datetime, day: date) -> None:
        """Schedule a rebuild of a day by the batch."""

        def run() -> None:
            settings = spark.settings.Settings(
                *("p", "d", "europe-west1", ARCHIVE, STAGING, FEED.name, day, day),
                redelivery_window_s=int(REDELIVERY_WINDOW.total_seconds()),
            )
            gcs: Any = cloud_storage.Client(self.storage)
            bq: Any = big_query.Client(self.bigquery, "batch")
            done = rebuild_days(
                settings, FEED, gcs=gcs, bq=bq, run_hours=self._run_hours, clock=lambda: self.world.now
            )
            self.runs.append(done)
            self.world.log("batch", f"run ended: {done.status}, {done.message or 'without a message'}")

        self._start(when, "batch", run)

    def _start(self, when: datetime, kind: str, run: Any) -> None:
        def start() -> None:
            name = self.world.make_name(kind)
            self.world.start_process(
                name,
                run,
                lambda error: self.world.log(name, f"ended{f' with {error!r}'[:120] if error else ''}"),
            )

        self.world.at(when, start)

    def _run_hours(self, work: ReadHours, hours: Sequence[ArchiveHour]) -> Iterable[HourResult]:
        """Do the work of Spark's workers without Spark: the product reads each object, and the files are JSON."""
        client = cloud_storage.Client(self.storage)
        for hour in hours:
            rows: list[dict[str, Any]] = []
            rejected: list[dict[str, Any]] = []
            empty: list[dict[str, Any]] = []
            statistics = RunStatistics()
            for stored in hour.objects:
                data = client.bucket(ARCHIVE).blob(stored.name).download_as_bytes()
                tick = _parse_tick(work.feed, stored.name)
                outcome: Any = read_archived_response(
                    work.feed, None, hour, ArchivedResponse(stored, tick, data)
                )
                rows += convert_rows_to_json(work.feed, outcome)
                if tick:
                    rejected += make_rejection_rows(outcome, landing_name(work.feed.name, tick))
                    empty += make_empty_response_rows(outcome, landing_name(work.feed.name, tick))
                statistics += count_outcome(outcome)
            uris = []
            for kind, lines in (("rows", rows), ("quarantine", rejected), ("empty", empty)):
                name = f"{work.folder}/{kind}/{hour.label}.json"
                if lines:
                    client.bucket(STAGING).blob(name).upload_from_string(
                        json.dumps(lines), if_generation_match=None
                    )
                uris.append(f"gs://{STAGING}/{name}" if lines else None)
            yield HourResult(hour.label, statistics, uris[0], uris[1], len(rejected), {}, uris[2], len(empty))


# --- replacements of threads, time and random numbers of the product ----------------------------------


class _Executor:
    """An executor that runs each call immediately, in the process that submits it."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __enter__(self) -> "_Executor":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, function: Any, *arguments: Any) -> Any:
        try:
            value = function(*arguments)
        except Exception as error:  # noqa: BLE001 - raised by result()
            return _Failed(error)
        return SimpleNamespace(result=lambda: value)

    def map(self, function: Any, *arguments: Iterable[Any]) -> Iterator[Any]:
        return map(function, *arguments)


@dataclass(frozen=True)
class _Failed:
    error: Exception

    def result(self) -> None:
        raise self.error


_pipeline: list[Pipeline] = []


def _new_run(now: datetime) -> str:
    [pipeline] = _pipeline
    return f"{now:%Y%m%dT%H%M%S}_{pipeline.world.make_name('run').rpartition('#')[2]}"


@contextmanager
def replace_nondeterminism(pipeline: Pipeline) -> Iterator[None]:
    """Replace threads, time and random numbers of the product by those of the world."""
    sleeping = SimpleNamespace(sleep=pipeline.world.sleep)
    waking = SimpleNamespace(sleep=pipeline.world.sleep, monotonic=pipeline._seconds)
    _pipeline[:] = [pipeline]
    LOGGER.disabled, was_disabled = True, LOGGER.disabled
    try:
        with (
            patch("copier.sweep.ThreadPoolExecutor", _Executor),
            patch("spark.rebuild.day_batches.ThreadPoolExecutor", _Executor),
            patch("spark.rebuild.job.make_run_id", _new_run),
            patch("spark.rebuild.warehouse.time", sleeping),
            patch("spark.rebuild.warehouse.RETRY_NOT_FOUND", lambda call: call),
            patch("collector.loading.get_utc_now", lambda: pipeline.world.now),
            patch("collector.fetching.time", waking),
            patch("collector.tick.fetch", lambda api, *_, **__: pipeline.respond(api.name)),
        ):
            yield
    finally:
        LOGGER.disabled = was_disabled
