"""The collection of GBFS systems in the simulated world, with redelivered and killed shards.

The product's instances run unchanged. A seed determines the responses of the systems, every delay and every fault.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

from collector.loading import ATTEMPTS
from gbfs.collection.packs import FetchResult, minute_prefix, pack_name, read_pack
from gbfs.collection.rows import make_rows
from gbfs.collection.systems import CollectedSystem
from gbfs_collector.fetching import Limits, Request
from gbfs_collector.instance import Instance, read_task
from gbfs_collector.settings import Settings
from gbfs_collector.tick import CLOSED_AFTER, CLOSING_AGES, Services
from telemetry import LOGGER
from tests.simulation.fakes import big_query, cloud_storage
from tests.simulation.violation import ViolationError, require
from tests.simulation.workloads.pubsub import ACK_DEADLINE, FUNCTION_TIMEOUT, Message, Subscription
from tests.simulation.world import World

START = datetime(2026, 9, 14, 23, 50, tzinfo=UTC)  # the ticks of a history may span midnight
PACKS = "packs"
STATUS, POLLS, QUARANTINE = "p.d.station_status", "p.d.polls", "p.d.quarantine"
FAULTS_AFTER = 5  # minutes with faults after the last tick
STATES = 3  # of a system; they recur, and so do their ETags


@dataclass
class Collection:
    """The systems, services and instances of one history."""

    world: World
    systems: int
    shards: int
    silent_rate: float = 0.0
    messages: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.subscription = Subscription(self.world, self._push)
        self.storage = cloud_storage.CloudStorage(self.world)
        self.storage.buckets = {PACKS: {}}
        self.storage.on_change = self._check_packs
        self.bigquery = big_query.BigQuery(self.world, self.storage)
        self.bigquery.tables = {STATUS: [], POLLS: [], QUARANTINE: []}
        self.bigquery.on_change = self._check_table
        self._generations: dict[str, int] = {}
        self._checked: dict[str, int] = Counter()
        self._jobs_of: dict[tuple[str, datetime], str] = {}
        self._instances: dict[int, Instance] = {}
        self.faults_end = self.world.faults_end or START
        self.states = [0] * self.systems  # the current state of each system
        self.urls = {f"s{n}": f"https://h{n}.example.org/{n}" for n in range(self.systems)}

    # --- the systems ----------------------------------------------------------------------------

    def fetch_all(self, wanted: Iterable[Request], _now: Any, _limits: Limits) -> list[FetchResult]:
        """Return the results of a shard's requests, as one call."""
        requests = list(wanted)

        def respond() -> list[FetchResult]:
            return [self._respond(each) for each in requests]

        return self.world.call(f"fetch {len(requests)} files", respond)

    def _respond(self, request: Request) -> FetchResult:
        number, rng = int(request.system_id[1:]), self.world.rng
        if rng.random() < 0.4:
            self.states[number] = rng.randrange(STATES)
        etag = f'"{self.states[number]}"'
        made = FetchResult(request.system_id, request.file, request.url, self.world.now)
        if rng.random() < 0.05:
            return FetchResult(
                *(request.system_id, request.file, request.url, self.world.now), error="no response"
            )
        headers = (("ETag", etag),)
        if dict(request.headers).get("If-None-Match") == etag:
            return FetchResult(
                *(made.system_id, made.file, made.url, made.fetched_at, 304, headers),
                unchanged_since=request.unchanged_since,
            )
        station = {
            "station_id": "1",
            "num_bikes_available": self.states[number],
            "is_installed": True,
            "is_renting": True,
            "is_returning": True,
            "last_reported": 1_714_557_600,
        }
        stations = [station, {"station_id": "2"}] if number % 7 == 3 else [station]
        content = {"last_updated": 1_714_557_600, "ttl": 0, "version": "2.3", "data": {"stations": stations}}
        body = json.dumps(content).encode()
        return FetchResult(*(made.system_id, made.file, made.url, made.fetched_at, 200, headers, body))

    # --- Scheduler and Pub/Sub ------------------------------------------------------------------

    def publish(self, when: datetime) -> None:
        """Schedule the publishing of a tick's message, which every shard's subscription delivers."""

        def publish_now() -> None:
            for shard in range(self.shards):
                message = Message(self.world.now, shard)
                self.messages.append(message)
                if self.world.rng.random() < self.silent_rate and self.world.now < self.faults_end:
                    message.state = "expired"  # no delivery succeeds during the message's retention
                self.subscription.deliver(message)

        self.world.at(when, publish_now)

    def _push(self, message: Message, _attempt: int, is_duplicate: bool) -> None:
        name = self.world.make_name(f"{message.tick:%H:%M}/{message.shard}")
        instance = self._get_instance(name)
        published = message.published.isoformat().replace("+00:00", "Z")
        envelope = {
            "message": {"publishTime": published, "attributes": {"task": "collect"}},
            "deliveryAttempt": message.attempts,
        }
        task = read_task(f"/shards/{message.shard}", envelope, self.shards)
        is_over = False

        def end(error: BaseException | None) -> None:
            nonlocal is_over
            if is_over:
                return
            is_over = True
            if error is None and self.subscription.loses_acknowledgement():
                error = ConnectionError("the acknowledgement is lost")
            self.world.log(name, "acknowledged" if error is None else f"failed: {str(error)[:100]}")
            if error is None:
                message.state = "acknowledged"
            elif not is_duplicate:
                self.subscription.retry(message)

        process = self.world.start_process(name, lambda: instance.run_task(task), end)

        def at(seconds: float, *, is_deadline: bool) -> None:
            def over() -> None:
                if not is_over:
                    self.world.kill(process, "by the function's timeout")
                if process.is_dead:
                    self._instances.pop(id(instance), None)
                if not is_over and is_deadline and not is_duplicate:
                    self.subscription.retry(message)

            self.world.after(seconds, over)

        at(FUNCTION_TIMEOUT.total_seconds(), is_deadline=False)
        at(ACK_DEADLINE.total_seconds(), is_deadline=True)

    def _get_instance(self, name: str) -> Instance:
        """Return one of the running instances, or a new one without request state."""
        if self._instances and self.world.rng.random() < 0.8:
            return self.world.rng.choice(list(self._instances.values()))
        storage: Any = cloud_storage.Client(self.storage)
        bigquery: Any = big_query.Client(self.bigquery, name)
        systems = {
            system_id: CollectedSystem(system_id, system_id, "FR", "", url)
            for system_id, url in self.urls.items()
        }
        instance = Instance(
            Settings("p", "europe-west1", PACKS, "p.d", self.shards, 45, 5, ""),
            systems,
            Services(storage, bigquery, lambda: self.world.now),
        )
        instance._file_urls = {system_id: {"station_status": url} for system_id, url in self.urls.items()}
        instance._file_urls_read_at = datetime.max.replace(tzinfo=UTC)  # discovery is not simulated
        self._instances[id(instance)] = instance
        return instance

    # --- invariants -----------------------------------------------------------------------------

    def _check_packs(self, _bucket: str) -> None:
        packs = self.storage.buckets[PACKS]
        for name, generation in self._generations.items():
            found = packs.get(name)
            require(found is not None and found.generation == generation, f"{name} was replaced or deleted")
        self._generations = {name: stored.generation for name, stored in packs.items()}

    def _check_table(self, table: str) -> None:
        """Check that the rows of a minute and table come from one job."""
        rows = self.bigquery.tables[table]
        for row in rows[self._checked[table] :]:
            job = self._jobs_of.setdefault((table, row.tick), row.job)
            require(
                job == row.job, f"rows of {row.tick:%H:%M} in {table} come from two jobs: {job}, {row.job}"
            )
        self._checked[table] = len(rows)

    def check_final_state(self) -> None:
        """Check that the tables equal the rows of the packs, and that each 304 refers to a stored body."""
        by_tick: dict[str, dict[datetime, list[Any]]] = {}
        for table, rows in self.bigquery.tables.items():
            by_tick[table] = defaultdict(list)
            for row in rows:
                by_tick[table][row.tick].append(row.values)
        etags: dict[tuple[datetime, str], str] = {}
        for tick in sorted({message.tick for message in self.messages}):
            names = [pack_name(tick, shard) for shard in range(self.shards)]
            stored = [name for name in names if name in self.storage.buckets[PACKS]]
            if not stored:
                messages = [message for message in self.messages if message.tick == tick]
                require(
                    all(message.state != "acknowledged" for message in messages),
                    f"{tick:%H:%M} was acknowledged and has no pack",
                )
                continue
            packs = {name: list(read_pack(self.storage.buckets[PACKS][name].content)) for name in stored}
            self._check_unchanged(tick, [each for pack in packs.values() for each in pack], etags)
            if self._is_load_lost(tick):
                continue
            require(stored == names, f"{tick:%H:%M} was not closed: {', '.join(stored)}")
            expected: dict[str, list[Any]] = {STATUS: [], POLLS: [], QUARANTINE: []}
            for name, fetched in packs.items():
                made = make_rows(fetched, tick, name)
                expected[STATUS] += made.station_status
                expected[POLLS] += made.polls
                expected[QUARANTINE] += made.quarantine
            for table, lines in expected.items():
                found = by_tick[table][tick]
                require(
                    _format_sorted(found) == _format_sorted(lines),
                    f"{table}: {len(found)} rows of {tick:%H:%M}, not {len(lines)}",
                )

    def _check_unchanged(
        self, tick: datetime, fetched: Sequence[FetchResult], etags: dict[tuple[datetime, str], str]
    ) -> None:
        for each in fetched:
            etag = dict(each.headers).get("ETag", "")
            if each.status == 200:
                etags[tick, each.system_id] = etag
            elif each.status == 304:
                since = each.unchanged_since
                kept = None if since is None else etags.get((since, each.system_id))
                require(
                    kept == etag,
                    f"{each.system_id} at {tick:%H:%M} is unchanged since {since}: {kept}, not {etag}",
                )
                require(
                    since is not None and since.date() == tick.date(),
                    f"{tick:%H:%M} is unchanged since {since}",
                )

    def _is_load_lost(self, tick: datetime) -> bool:
        """Return whether the minute is left to the nightly batch: as many jobs have failed as the collector starts."""
        stem = minute_prefix(tick).rpartition("/")[2].rstrip("_")
        failed = [
            job for job in self.bigquery.jobs.values() if job.error_result and f"-{stem}-" in job.job_id
        ]
        return len(failed) >= ATTEMPTS


def _format_sorted(rows: Iterable[Any]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


@dataclass(frozen=True)
class ShardResult:
    """The result of a history."""

    seed: int
    violation: str | None
    history: list[str]
    packs: int
    rows: int
    kills: int
    redeliveries: int

    def __str__(self) -> str:
        return "\n".join([f"seed {self.seed}: {self.violation or 'all invariants hold'}", *self.history])


def run_shards(seed: int, *, systems: int = 6, shards: int = 2, ticks: int = 3) -> ShardResult:
    """Run the history of a seed: its ticks, then ticks without faults until every minute is closed."""
    world = World(seed, START)
    rng = world.rng
    rates = ((0.0, 0.1), (0.05, 0.05), (0.15, 0.1), (0.25, 0.1))
    world.fault_rate, world.slow_rate = rng.choice(rates)
    world.start = world.now = START + timedelta(minutes=rng.randrange(12))
    last = world.now + timedelta(minutes=ticks - 1)
    world.faults_end = last + timedelta(minutes=FAULTS_AFTER)
    collection = Collection(
        world,
        systems,
        shards,
        silent_rate=rng.choice((0.0, 0.0, 0.3)),
    )
    collection.subscription.lost_ack_rate = rng.choice((0.0, 0.2))
    collection.subscription.duplicate_rate = rng.choice((0.0, 0.3, 1.0))
    collection.bigquery.job_failure_rate = rng.choice((0.0, 0.0, 0.2))
    minutes = [world.now + timedelta(minutes=number) for number in range(ticks)]
    for tick in minutes:
        collection.publish(tick + timedelta(seconds=rng.uniform(0, 2)))
    # Minutes that check others while faults occur are themselves checked by later ones.
    under_faults = minutes + [last + timedelta(minutes=number) for number in range(1, FAULTS_AFTER)]
    ages = CLOSING_AGES if ticks + FAULTS_AFTER > CLOSED_AFTER // timedelta(minutes=1) else (CLOSED_AFTER,)
    checked = minutes if ages == (CLOSED_AFTER,) else under_faults
    for tick in sorted({minute + age for minute in checked for age in ages}):
        if tick > last:
            collection.publish(tick)
    violation = None
    disabled, LOGGER.disabled = LOGGER.disabled, True
    try:
        with (
            patch("gbfs_collector.tick.fetch_all", collection.fetch_all),
            patch("collector.loading.get_utc_now", lambda: world.now),
        ):
            world.run()
            collection.check_final_state()
    except ViolationError as error:
        violation = str(error)
    finally:
        LOGGER.disabled = disabled
    lines = [str(entry) for entry in world.history]
    return ShardResult(
        seed,
        violation,
        lines,
        packs=len(collection.storage.buckets[PACKS]),
        rows=len(collection.bigquery.tables[STATUS]),
        kills=sum(" KILLED " in line for line in lines),
        redeliveries=sum(message.attempts - 1 for message in collection.messages),
    )
