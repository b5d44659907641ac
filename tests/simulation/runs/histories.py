"""Run the history of a seed: its ticks, sweeps, rebuilds and faults; check the invariants, and shrink a violation."""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta

from tests.simulation.invariants import (
    check_after_rebuild,
    check_archive,
    check_final_state,
    check_load_jobs,
    check_while_running,
)
from tests.simulation.violation import ViolationError
from tests.simulation.workloads.feed_pipeline import REDELIVERY_WINDOW, Pipeline, replace_nondeterminism
from tests.simulation.workloads.pubsub import RETENTION
from tests.simulation.world import Entry, World

# Midnights between the ticks of a history: an ordinary one, one at each clock change, and the end of a year.
MIDNIGHTS = (
    datetime(2026, 9, 15, tzinfo=UTC),
    datetime(2026, 10, 25, 1, tzinfo=UTC),  # Paris: 02:59 is followed by 02:00
    datetime(2027, 3, 28, 1, tzinfo=UTC),
    datetime(2027, 1, 1, tzinfo=UTC),
)
SETTLED = REDELIVERY_WINDOW + timedelta(minutes=10)
CALM = timedelta(minutes=45)  # after the first tick; from then on no call fails


@dataclass(frozen=True)
class HistoryResult:
    """The result of a history."""

    seed: int
    violation: str | None
    entries: list[Entry]
    faults: int
    suppressed: frozenset[int] = field(default_factory=frozenset)

    @property
    def history(self) -> list[str]:
        """The lines of the history."""
        return [str(entry) for entry in self.entries]

    @property
    def digest(self) -> str:
        """The digest of the history, the same on every host."""
        return hashlib.sha256("\n".join(self.history).encode()).hexdigest()[:16]

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: {self.violation or 'all invariants hold'}"]
        if self.suppressed:
            lines.append(
                f"shrunk: {len(self.suppressed)} of {self.faults} faults are not needed and left out"
            )
        return "\n".join([*lines, *(f"  {line}" for line in self.history)])


def run_history(seed: int, suppressed: frozenset[int] = frozenset()) -> HistoryResult:
    """Run the history of a seed, without the faults whose numbers are suppressed."""
    world = World(seed, MIDNIGHTS[0], suppressed=suppressed)
    rng = world.rng
    middle = rng.choice(MIDNIGHTS)
    first = middle - timedelta(minutes=rng.randrange(1, 12))
    world.start = world.now = first
    world.faults_end = first + CALM
    world.fault_rate, world.slow_rate = rng.choice(
        ((0.0, 0.0), (0.0, 0.2), (0.03, 0.05), (0.1, 0.1), (0.25, 0.1))
    )
    pipeline = Pipeline(world)
    pipeline.subscription.duplicate_rate = rng.choice((0.0, 0.3, 1.0))
    pipeline.subscription.lost_ack_rate = rng.choice((0.0, 0.2))
    pipeline.has_bad_record = rng.random() < 0.3
    _plan_outages(pipeline, first)
    ticks = [first + timedelta(minutes=minute) for minute in range(rng.randrange(1, 5))]
    for tick in ticks:
        pipeline.publish(tick + timedelta(seconds=rng.uniform(0, 2)))
    for sweep in range(rng.randrange(0, 5)):
        when = (
            first + timedelta(minutes=rng.choice((0, 0, 1, 2, 10, 20))) + timedelta(seconds=rng.uniform(0, 8))
        )
        pipeline.sweep_at(when)
        if sweep and rng.random() < 0.3:
            pipeline.sweep_at(when)
    midnight = datetime(middle.year, middle.month, middle.day, tzinfo=UTC)
    yesterday = midnight.date() - timedelta(days=1)
    night = max(midnight, first) + REDELIVERY_WINDOW + timedelta(seconds=rng.uniform(60, 600))
    if rng.random() < 0.5:
        pipeline.sweep_at(night - timedelta(minutes=1))
    for _ in range(rng.randrange(0, 3)):
        pipeline.rebuild_at(night + timedelta(seconds=rng.uniform(0, 30)), yesterday)
    if rng.random() < 0.25:  # a rebuild of the day while its ticks are being collected
        when = first + timedelta(seconds=rng.uniform(0, rng.choice((20, 120, 600))))
        pipeline.rebuild_at(when, first.date())
        if rng.random() < 0.5:  # repeatedly, with all landed objects
            for again in range(20, 200, 20):
                pipeline.sweep_at(when + timedelta(seconds=again - 5))
                pipeline.rebuild_at(when + timedelta(seconds=again), first.date())
    violation = None
    try:
        with replace_nondeterminism(pipeline):
            pipeline.bigquery.on_change = lambda table: check_while_running(pipeline, table)
            pipeline.storage.on_change = lambda bucket: check_archive(pipeline, bucket)
            world.run()
            _end_faults(pipeline)
            settled = max(world.now, ticks[-1] + RETENTION) + SETTLED
            for minute in (0, 10):
                pipeline.sweep_at(settled + timedelta(minutes=minute))
            world.run()
            check_final_state(pipeline)
            check_load_jobs(pipeline)
            days = sorted({message.tick.date() for message in pipeline.messages})
            over = datetime.combine(days[-1] + timedelta(days=1), time(), UTC) + SETTLED
            for number, day in enumerate(days):
                pipeline.rebuild_at(over + timedelta(minutes=10 * number), day)
            world.run()
            check_after_rebuild(pipeline)
    except ViolationError as error:
        violation = str(error)
    return HistoryResult(seed, violation, world.history, world.faults, suppressed)


def _plan_outages(pipeline: Pipeline, first: datetime) -> None:
    """Choose the rate of responses without records, and periods of outages, Retry-After and exceeded quotas."""
    world, rng = pipeline.world, pipeline.world.rng

    def window(probability: float) -> tuple[datetime, datetime]:
        begin = first + timedelta(seconds=rng.uniform(-60, 120))
        length = timedelta(seconds=rng.uniform(30, 900) if rng.random() < probability else 0)
        return begin, begin + length

    down, over_quota, limited = window(0.2), window(0.2), window(0.2)
    pipeline.api_is_down = lambda: down[0] <= world.now < down[1]
    pipeline.get_retry_after_s = lambda: (
        (limited[1] - world.now).total_seconds() if limited[0] <= world.now < limited[1] else 0.0
    )
    pipeline.page_rate = rng.choice((0.0, 0.0, 0.2, 0.6))
    pipeline.empty_rate = rng.choice((0.0, 0.0, 0.3))
    pipeline.bigquery.quota_exceeded = lambda: over_quota[0] <= world.now < over_quota[1]
    pipeline.bigquery.job_failure_rate = rng.choice((0.0, 0.0, 0.15, 0.4))


def _end_faults(pipeline: Pipeline) -> None:
    pipeline.world.faults_end = pipeline.world.now
    pipeline.bigquery.job_failure_rate = 0.0


def shrink(result: HistoryResult) -> HistoryResult:
    """Return the history of the same seed with as few faults as still violate an invariant."""
    best = result
    for number in range(1, result.faults + 1):
        tried = run_history(result.seed, best.suppressed | {number})
        if tried.violation:
            best = tried
    return best
