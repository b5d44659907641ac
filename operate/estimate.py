"""What a backfill costs before it begins: operations, bytes, cluster minutes, dollars. Pure.

List prices of europe-west1 in US dollars, 2026-11: https://cloud.google.com/storage/pricing,
https://cloud.google.com/compute/all-pricing, https://cloud.google.com/dataproc/pricing.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from math import ceil

from cdk.settings import Batch
from copier.planning import Landed, Legacy, Refused, plan
from feed import Feed, tick_of

CLASS_A, CLASS_B = 0.05 / 10_000, 0.004 / 10_000  # of a call that writes or lists, and of one that reads
GIB_MONTH = 0.020
GIB_OUT = 0.12  # that leaves Google's network; nothing, where this runs on a machine of its own region
LISTED_PER_CALL = 1_000
PACKED = 0.16  # gzip leaves so much of an answer

CPU_HOUR = {
    "e2": 0.0369,
    "n1": 0.0523,
    "n2": 0.0534,
    "n2d": 0.0465,
    "t2d": 0.0465,
}  # standard, memory included
DATAPROC_CPU_HOUR = 0.010
# Measured by `python -m bench batch`: 0.6 ms of a processor for an answer of 289 rows, 0.5 ms for its GET; with the
# real service's encryption and a slower processor taken for once more as much.
CPU_SECONDS_PER_ANSWER = 0.0022
# Not measured: how long a cluster takes to start and end, and BigQuery for one stretch of days.
START_MINUTES, STRETCH_MINUTES = 3.0, 1.0
SHOWN = 5


@dataclass
class Survey:
    """What lies in a bucket, and what a backfill would do with it."""

    old: int = 0  # under a feed's old names: downloaded, gzipped, uploaded
    old_bytes: int = 0
    landed: int = 0  # under today's landing names: copied inside of Cloud Storage
    landed_bytes: int = 0
    refused: int = 0
    refusals: list[str] = field(default_factory=list)  # the first few, with their reasons
    days: dict[str, set[date]] = field(default_factory=dict)  # feed → UTC days

    def add(self, name: str, size: int, feeds: Iterable[Feed]) -> None:
        """Look at one object."""
        match plan(name, size, feeds):
            case Refused(reason):
                self.refused += 1
                if len(self.refusals) < SHOWN:
                    self.refusals.append(f"{name}: {reason}")
            case Landed(destination):
                self.landed += 1
                self.landed_bytes += size
                feed_name, tick = tick_of(destination)
                self.days.setdefault(feed_name, set()).add(tick.date())
            case Legacy(feed, candidates):
                self.old += 1
                self.old_bytes += size
                self.days.setdefault(feed.name, set()).update(tick.date() for tick in candidates)

    @property
    def objects(self) -> int:
        """How many are to be archived."""
        return self.old + self.landed

    @property
    def files(self) -> str:
        """What tells one survey from that of other files."""
        return f"{self.old} {self.old_bytes} {self.landed} {self.landed_bytes}"


@dataclass(frozen=True)
class Estimate:
    """Counts, hours and dollars of one backfill."""

    class_a: int
    class_b: int
    gib_through: float  # this machine
    gib_kept: float
    cluster_minutes: float
    cluster_hour: float  # dollars

    @property
    def operations(self) -> float:
        """Dollars."""
        return self.class_a * CLASS_A + self.class_b * CLASS_B

    @property
    def cluster(self) -> float:
        """Dollars."""
        return self.cluster_minutes / 60 * self.cluster_hour


def estimate(survey: Survey, batch: Batch, days_at_once: int, *, keep: bool = True) -> Estimate:
    """Of archiving everything, then rebuilding every day from it on the environment's cluster.

    Where originals are not to be kept, old ones and their copies are read once more and compared.
    """
    listings = ceil((survey.objects + survey.refused) / LISTED_PER_CALL)
    days = sum(len(each) for each in survey.days.values())
    listed = (
        2 * listings + 24 * days + days
    )  # the survey and the sweep, hours of the archive, the batch's days
    kept = survey.landed_bytes + survey.old_bytes * PACKED
    minutes = sum(
        cluster_minutes(survey.objects * len(each) / days, len(each), batch, days_at_once)
        for each in survey.days.values()
    )
    compared = 0 if keep else survey.old
    return Estimate(
        class_a=survey.objects + listed + compared,
        class_b=survey.old + survey.objects + 3 * compared,  # once by the sweep, once by the batch
        gib_through=survey.old_bytes * (1 if keep else 2 + PACKED) / 2**30,
        gib_kept=kept / 2**30,
        cluster_minutes=minutes,
        cluster_hour=cluster_hour(batch),
    )


def cluster_minutes(answers: float, days: int, batch: Batch, days_at_once: int) -> float:
    """How long a cluster lives that rebuilds so many days: while BigQuery loads a stretch the next is read."""
    stretches = ceil(days / days_at_once)
    reading = answers * CPU_SECONDS_PER_ANSWER / cluster_cpus(batch) / 60
    loading = STRETCH_MINUTES * stretches
    return START_MINUTES + max(reading, loading) + min(reading, loading) / stretches


def cluster_cpus(batch: Batch) -> int:
    """Processors that tasks run on: the workers', or the master's where there are none."""
    if batch.workers.count:
        return batch.workers.count * _cpus(batch.workers.machine_type)
    return _cpus(batch.master.machine_type)


def cluster_hour(batch: Batch) -> float:
    """Dollars an hour, the master included, Dataproc's fee too."""
    workers = batch.workers.count * _machine_hour(batch.workers.machine_type)
    return _machine_hour(batch.master.machine_type) + workers


def _machine_hour(name: str) -> float:
    return _cpus(name) * (CPU_HOUR[name.partition("-")[0]] + DATAPROC_CPU_HOUR)


def _cpus(machine_type: str) -> int:
    found = re.search(r"[0-9]+$", machine_type)
    if found is None:
        raise ValueError(f"{machine_type}: expected a machine type such as e2-standard-4")
    return int(found[0])


def told(survey: Survey, costs: Estimate) -> Iterator[str]:
    """The estimate, line by line."""
    yield (
        f"to archive   {survey.objects:,} objects, {(survey.old_bytes + survey.landed_bytes) / 2**30:.2f} GiB: "
        f"{survey.old:,} under old names, {survey.landed:,} under today's"
    )
    for feed_name, days in survey.days.items():
        yield f"             {feed_name}: {len(days):,} UTC days, {min(days)} to {max(days)}"
    if survey.refused:
        yield f"left alone   {survey.refused:,} objects, such as {'; '.join(survey.refusals)}"
    yield (
        f"operations   {costs.class_a:,} class A and {costs.class_b:,} class B: ${costs.operations:.2f}; "
        f"then ${costs.gib_kept * GIB_MONTH:.3f} a month for {costs.gib_kept:.2f} GiB"
    )
    yield (
        f"traffic      {costs.gib_through:.2f} GiB come to this machine, gzipped or compared: up to "
        f"${costs.gib_through * GIB_OUT:.2f}, nothing on a machine in the buckets' region"
    )
    yield f"cluster      {costs.cluster_minutes:.0f} minutes at ${costs.cluster_hour:.2f} an hour: ${costs.cluster:.2f}"


ANSWERS_PER_DAY = 24 * 60
SIZES = {
    "a day, each night": (1, 1),
    "a month": (31, 1),
    "the original archive, 91,549 answers": (64, 1),
    "a year": (365, 1),
    "ten cities, a year each, one after the other": (365, 10),
}


def sizing_table(clusters: Mapping[str, Batch], days_at_once: int) -> str:
    """Minutes and dollars of rebuilds of several sizes on several clusters, as Markdown."""
    lines = ["| | " + " | ".join(clusters) + " |", "|---|" + "---|" * len(clusters)]
    for what, (days, feeds) in SIZES.items():
        cells = []
        for batch in clusters.values():
            minutes = feeds * cluster_minutes(days * ANSWERS_PER_DAY, days, batch, days_at_once)
            cells.append(f"{minutes:.0f} min, ${minutes / 60 * cluster_hour(batch):.2f}")
        lines.append(f"| {what} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
