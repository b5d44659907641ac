"""The pipeline in the simulated world: Scheduler, Pub/Sub, the API, and the product's workloads as processes."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
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
from feed import Feed, convert_rows_to_json, landing_name, load_feed, make_rejection_rows, wait_name
from spark.rebuild.job import rebuild_days
from spark.rebuild.planning import ArchiveHour
from spark.rebuild.statistics import HourResult, RunStatistics
from spark.responses.hours import ArchivedResponse, _parse_tick, count_outcome, read_archived_response
from spark.worker import ReadHours
from telemetry import LOGGER
from tests.simulation.fakes import big_query, cloud_storage
from tests.simulation.world import Process, World

FEED = load_feed(Path(__file__).parents[1] / "sources" / "bikes")
LANDING, ARCHIVE, STAGING = "landing", "archive", "staging"
STATIONS, QUARANTINE, RUNS = "p.d.bikes", "p.d.quarantine", "p.d.batch_runs"

# As environments/dev.toml has them.
RETENTION = timedelta(minutes=60)
ACK_DEADLINE = timedelta(seconds=120)
FUNCTION_TIMEOUT = timedelta(seconds=100)
BACKOFF_S = 10.0, 300.0
MAX_ATTEMPTS = 10
REDELIVERY_WINDOW = timedelta(minutes=67)
MAX_SKEW_S = 150.0  # of one clock, so that two differ by at most 5 minutes

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
)
COPIER = copier.settings.Settings(
    LANDING, ARCHIVE, deadline_s=270.0, threads=1, redelivery_window_s=REDELIVERY_WINDOW.total_seconds()
)


@dataclass
class Message:
    """A tick's message, and what became of it."""

    published: datetime
    attempts: int = 0
    state: str = "waiting"  # acknowledged, dead-lettered, expired
    unexcused: list[str] = field(default_factory=list)  # attempts that failed although nothing went wrong

    @property
    def tick(self) -> datetime:
        """The minute that it means."""
        return self.published.replace(second=0, microsecond=0)


@dataclass
class Fetch:
    """One response of the API: for which tick, and whether a redelivery asked for what was stored already."""

    tick: datetime
    number: int
    is_needless: bool
    is_early: bool  # although the API had asked to wait before its delivery began


class Pipeline:
    """All services and workloads of one history."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.storage = cloud_storage.CloudStorage(world)
        self.storage.buckets = {LANDING: {}, ARCHIVE: {}, STAGING: {}}
        self.bigquery = big_query.BigQuery(world, self.storage)
        self.bigquery.tables = {STATIONS: [], QUARANTINE: [], RUNS: []}
        self.messages: list[Message] = []
        self.fetches: list[Fetch] = []
        self.api_is_down: Callable[[], bool] = lambda: False
        self.asks_to_wait: Callable[[], float] = lambda: 0.0  # seconds
        self.page_rate = 0.0  # of responses that are a proxy's page
        self.has_bad_record = False
        self.duplicate_rate = 0.0
        self.lost_ack_rate = 0.0
        self.runs: list[Any] = []  # of the batch
        self.seen_ticks: set[datetime] = set()  # whose rows a reader has seen
        self.archived_generations: dict[str, int] = {}
        self._fetching: dict[str, tuple[Message, bool, frozenset[str]]] = {}
        self._names = 0

    # --- Scheduler and Pub/Sub ----------------------------------------------------------------------

    def publish(self, when: datetime) -> None:
        """Let the Scheduler publish a tick's message at a time."""

        def deliver() -> None:
            message = Message(self.world.now)
            self.messages.append(message)
            self.world.log("Pub/Sub", f"published the tick {message.tick:%H:%M}")
            self._deliver(message)

        self.world.at(when, deliver)

    def _deliver(self, message: Message) -> None:
        if message.state != "waiting":
            return
        if self.world.now > message.published + RETENTION:
            message.state = "expired"
            return
        message.attempts += 1
        self._push(message, message.attempts)
        if self.world.dice.random() < self.duplicate_rate:
            attempt = message.attempts + self.world.dice.randrange(2)
            self.world.after(
                self.world.dice.uniform(0, 30), lambda: self._push(message, attempt, is_extra=True)
            )

    def _push(self, message: Message, attempt: int, *, is_extra: bool = False) -> None:
        """Deliver once; `is_extra` beside another delivery, whose end decides."""
        name = self._name(f"collector {message.tick:%H:%M}")
        envelope = {
            "message": {"publishTime": message.published.isoformat().replace("+00:00", "Z")},
            "deliveryAttempt": attempt,
        }
        stored = (landing_name(FEED.name, message.tick), LANDING)
        landed = self.storage.buckets[LANDING]
        waits = frozenset(each for each in landed if each.startswith("waits/"))
        if wait_name(FEED.name, self.world.now) not in waits:
            waits = frozenset()
        self._fetching[name] = message, attempt > 1 and stored[0] in landed, waits
        troubles = self.world.troubles
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
            if error is None and self.world.dice.random() < self.lost_ack_rate:
                words = "acknowledged, and the acknowledgement is lost"
                error = ConnectionError("lost")
            elif not (
                error is None or self.world.troubles > troubles or self._is_excused(message.tick, error)
            ):
                message.unexcused.append(f"attempt {attempt}: {error}")
            self.world.log(name, words)
            if error is None:
                message.state = "acknowledged"
            elif not is_extra:
                self._again(message)

        def run() -> None:
            collect_tick(COLLECTOR, FEED, services, read_delivery(envelope))

        process = self.world.start_process(name, run, end)
        self.world.after(FUNCTION_TIMEOUT.total_seconds(), lambda: self._time_out(process, lambda: is_over))
        if not is_extra:

            def at_deadline() -> None:
                if not is_over:
                    process.is_dead = True
                    self._again(message)

            self.world.after(ACK_DEADLINE.total_seconds(), at_deadline)

    def _time_out(self, process: Process, is_over: Any) -> None:
        if not is_over():
            self.world.kill(process, "by the function's timeout")

    def _again(self, message: Message) -> None:
        if message.state != "waiting":
            return
        if message.attempts >= MAX_ATTEMPTS:
            message.state = "dead-lettered"
            self.world.log("Pub/Sub", f"dead-lettered the tick {message.tick:%H:%M}")
            return
        low, high = BACKOFF_S
        self.world.after(min(low * 2 ** (message.attempts - 1), high), lambda: self._deliver(message))

    def _is_excused(self, tick: datetime, error: BaseException) -> bool:
        """Whether a quota was used up, the API had asked to wait, or a tick's load jobs have failed often enough."""
        if isinstance(error, QuotaError | WaitError):
            return True
        prefix = f"vlille-{landing_name(FEED.name, tick).split('.')[0].replace('/', '-')}-"
        failed = [
            job for job in self.bigquery.jobs.values() if job.error_result and job.job_id.startswith(prefix)
        ]
        return len(failed) >= ATTEMPTS

    # --- the API ------------------------------------------------------------------------------------

    def respond(self, name: str) -> Response:
        """A response that no other equals, or a proxy's page; raises ApiError during an outage."""
        message, is_needless, waits = self._fetching[name]

        def get() -> Response:
            if self.api_is_down():
                self.world.troubles += 1
                raise ApiError("the API is down")
            number = len(self.fetches) + 1
            is_early = wait_name(FEED.name, self.world.now) in waits
            self.fetches.append(Fetch(message.tick, number, is_needless, is_early))
            if (wait_s := self.asks_to_wait()) > 0:
                self.world.troubles += 1
                raise ApiError("too many requests", status=429, retry_after_s=wait_s)
            if self.world.dice.random() < self.page_rate:
                return Response(b"<html>wait</html>")
            records: list[dict[str, int]] = [{"id": 1, "bikes": number}, {"id": 2, "bikes": 1000 + number}]
            if self.has_bad_record:
                records.append({"bikes": number})
            return Response(json.dumps({"records": records}).encode())

        return self.world.call("API get", get)

    # --- copier and batch ---------------------------------------------------------------------------

    def sweep_at(self, when: datetime) -> None:
        """Let the copier sweep at a time, on an instance with a clock of its own."""
        skew = timedelta(seconds=self.world.dice.uniform(-MAX_SKEW_S, MAX_SKEW_S))

        def run() -> None:
            client: Any = cloud_storage.Client(self.storage)
            sweep_landing_bucket(client, COPIER, [], self._seconds, now=lambda: self.world.now + skew)

        self._start(when, "copier", run)

    def _seconds(self) -> float:
        return self.world.now.timestamp()

    def rebuild_at(self, when: datetime, day: date) -> None:
        """Let the batch rebuild a day."""

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
            name = self._name(kind)
            self.world.start_process(
                name,
                run,
                lambda error: self.world.log(name, f"ended{f' with {error!r}'[:120] if error else ''}"),
            )

        self.world.at(when, start)

    def _name(self, kind: str) -> str:
        self._names += 1
        return f"{kind} #{self._names}"

    def _run_hours(self, work: ReadHours, hours: Sequence[ArchiveHour]) -> Iterable[HourResult]:
        """What Spark's workers do, without Spark: the product reads each object, and the files are JSON."""
        client = cloud_storage.Client(self.storage)
        for hour in hours:
            rows: list[dict[str, Any]] = []
            rejected: list[dict[str, Any]] = []
            statistics = RunStatistics()
            for stored in hour.objects:
                data = client.bucket(ARCHIVE).blob(stored.name).download_as_bytes()
                tick = _parse_tick(work.feed, stored.name)
                outcome: Any = read_archived_response(
                    work.feed, None, hour, ArchivedResponse(stored, tick, data)
                )
                rows += convert_rows_to_json(work.feed, outcome)
                rejected += make_rejection_rows(outcome, landing_name(work.feed.name, tick)) if tick else []
                statistics += count_outcome(outcome)
            uris = []
            for kind, lines in (("rows", rows), ("quarantine", rejected)):
                name = f"{work.folder}/{kind}/{hour.label}.json"
                if lines:
                    client.bucket(STAGING).blob(name).upload_from_string(
                        json.dumps(lines), if_generation_match=None
                    )
                uris.append(f"gs://{STAGING}/{name}" if lines else None)
            yield HourResult(hour.label, statistics, uris[0], uris[1], len(rejected), {})


# --- what of the product runs in threads, sleeps or rolls dice, made deterministic --------------------


class _Executor:
    """Runs what is submitted at once, in the process that submits it."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __enter__(self) -> "_Executor":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, function: Any, *arguments: Any) -> Any:
        try:
            value = function(*arguments)
        except Exception as error:  # noqa: BLE001 - it belongs to whoever asks for the result
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
    return f"{now:%Y%m%dT%H%M%S}_{pipeline._name('run').rpartition('#')[2]}"


@contextmanager
def product_of(pipeline: Pipeline) -> Iterator[None]:
    """While a history runs: threads, time and dice of the product are the world's."""
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


def rows_of(feed: Feed, tick: datetime, body: bytes) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What a response gives, by the product: its rows, and what it puts into quarantine."""
    from feed import parse_response

    outcome = parse_response(feed, body, tick.astimezone(UTC))
    return convert_rows_to_json(feed, outcome), make_rejection_rows(outcome, landing_name(feed.name, tick))
