"""One seed, one history: which ticks, sweeps, rebuilds and faults; run, checked, and shrunk where it fails."""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta

from tests.simulation.invariants import (
    ViolationError,
    check_after_the_rebuild,
    check_archive,
    check_at_the_end,
    check_load_jobs,
    check_while_running,
)
from tests.simulation.workloads.feed_pipeline import REDELIVERY_WINDOW, RETENTION, Pipeline, product_of
from tests.simulation.world import Entry, World

# Midnights between the ticks of a history: an ordinary one, one after each change of clocks, and a year's end.
MIDNIGHTS = (
    datetime(2026, 9, 15, tzinfo=UTC),
    datetime(2026, 10, 25, 1, tzinfo=UTC),  # Paris: 02:59 is followed by 02:00
    datetime(2027, 3, 28, 1, tzinfo=UTC),
    datetime(2027, 1, 1, tzinfo=UTC),
)
SETTLED = REDELIVERY_WINDOW + timedelta(minutes=10)
CALM = timedelta(minutes=45)  # after the first tick: then no call fails any more


@dataclass(frozen=True)
class Result:
    """How a history ended."""

    seed: int
    violation: str | None
    entries: list[Entry]
    faults: int
    suppressed: frozenset[int] = field(default_factory=frozenset)

    @property
    def history(self) -> list[str]:
        """A line for each entry."""
        return [str(entry) for entry in self.entries]

    @property
    def digest(self) -> str:
        """The same for the same history, on every machine."""
        return hashlib.sha256("\n".join(self.history).encode()).hexdigest()[:16]

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: {self.violation or 'all invariants hold'}"]
        if self.suppressed:
            lines.append(
                f"shrunk: {len(self.suppressed)} of {self.faults} faults are not needed and left out"
            )
        return "\n".join([*lines, *(f"  {line}" for line in self.history)])


def run_history(seed: int, suppressed: frozenset[int] = frozenset()) -> Result:
    """Run the history of a seed, without the faults whose numbers are suppressed."""
    world = World(seed, MIDNIGHTS[0], suppressed=suppressed)
    dice = world.dice
    middle = dice.choice(MIDNIGHTS)
    first = middle - timedelta(minutes=dice.randrange(1, 12))
    world.start = world.now = first
    world.faults_end = first + CALM
    world.fault_rate, world.slow_rate = dice.choice(
        ((0.0, 0.0), (0.0, 0.2), (0.03, 0.05), (0.1, 0.1), (0.25, 0.1))
    )
    pipeline = Pipeline(world)
    pipeline.duplicate_rate = dice.choice((0.0, 0.3, 1.0))
    pipeline.lost_ack_rate = dice.choice((0.0, 0.2))
    pipeline.has_bad_record = dice.random() < 0.3
    _plan_outages(pipeline, first)
    ticks = [first + timedelta(minutes=minute) for minute in range(dice.randrange(1, 5))]
    for tick in ticks:
        pipeline.publish(tick + timedelta(seconds=dice.uniform(0, 2)))
    for sweep in range(dice.randrange(0, 5)):
        when = (
            first
            + timedelta(minutes=dice.choice((0, 0, 1, 2, 10, 20)))
            + timedelta(seconds=dice.uniform(0, 8))
        )
        pipeline.sweep_at(when)
        if sweep and dice.random() < 0.3:
            pipeline.sweep_at(when)
    midnight = datetime(middle.year, middle.month, middle.day, tzinfo=UTC)
    yesterday = midnight.date() - timedelta(days=1)
    night = max(midnight, first) + REDELIVERY_WINDOW + timedelta(seconds=dice.uniform(60, 600))
    if dice.random() < 0.5:
        pipeline.sweep_at(night - timedelta(minutes=1))
    for _ in range(dice.randrange(0, 3)):
        pipeline.rebuild_at(night + timedelta(seconds=dice.uniform(0, 30)), yesterday)
    if dice.random() < 0.25:  # somebody rebuilds the day while its ticks are being collected
        when = first + timedelta(seconds=dice.uniform(0, dice.choice((20, 120, 600))))
        pipeline.rebuild_at(when, first.date())
        if dice.random() < 0.5:  # again and again, with all that has landed
            for again in range(20, 200, 20):
                pipeline.sweep_at(when + timedelta(seconds=again - 5))
                pipeline.rebuild_at(when + timedelta(seconds=again), first.date())
    violation = None
    try:
        with product_of(pipeline):
            pipeline.bigquery.on_change = lambda table: check_while_running(pipeline, table)
            pipeline.storage.on_change = lambda bucket: check_archive(pipeline, bucket)
            world.run()
            _calm(pipeline)
            settled = max(world.now, ticks[-1] + RETENTION) + SETTLED
            for minute in (0, 10):
                pipeline.sweep_at(settled + timedelta(minutes=minute))
            world.run()
            check_at_the_end(pipeline)
            check_load_jobs(pipeline)
            days = sorted({message.tick.date() for message in pipeline.messages})
            over = datetime.combine(days[-1] + timedelta(days=1), time(), UTC) + SETTLED
            for number, day in enumerate(days):
                pipeline.rebuild_at(over + timedelta(minutes=10 * number), day)
            world.run()
            check_after_the_rebuild(pipeline)
    except ViolationError as error:
        violation = str(error)
    return Result(seed, violation, world.history, world.faults, suppressed)


def _plan_outages(pipeline: Pipeline, first: datetime) -> None:
    """Windows in which the API answers nothing or asks to wait, and in which BigQuery's quota is used up."""
    world, dice = pipeline.world, pipeline.world.dice

    def window(probability: float) -> tuple[datetime, datetime]:
        begin = first + timedelta(seconds=dice.uniform(-60, 120))
        length = timedelta(seconds=dice.uniform(30, 900) if dice.random() < probability else 0)
        return begin, begin + length

    down, used_up, limited = window(0.2), window(0.2), window(0.2)
    pipeline.api_is_down = lambda: down[0] <= world.now < down[1]
    pipeline.asks_to_wait = lambda: (
        (limited[1] - world.now).total_seconds() if limited[0] <= world.now < limited[1] else 0.0
    )
    pipeline.page_rate = dice.choice((0.0, 0.0, 0.2, 0.6))
    pipeline.bigquery.quota_exceeded = lambda: used_up[0] <= world.now < used_up[1]
    pipeline.bigquery.job_failure_rate = dice.choice((0.0, 0.0, 0.15, 0.4))


def _calm(pipeline: Pipeline) -> None:
    pipeline.world.faults_end = pipeline.world.now
    pipeline.bigquery.job_failure_rate = 0.0


def shrink(result: Result) -> Result:
    """The history of the same seed with as few faults as still break the same kind of promise."""
    best = result
    for number in range(1, result.faults + 1):
        tried = run_history(result.seed, best.suppressed | {number})
        if tried.violation:
            best = tried
    return best
