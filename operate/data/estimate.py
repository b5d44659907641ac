"""Estimate a backfill before it begins: operations, bytes, cluster minutes, dollars. Pure functions.

Prices and assumptions are those of the plan review, `review/cost/prices`; so are the figures of docs/costs.md.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from math import ceil

from cdk.settings import Batch
from copier.planning import Landed, Legacy, Refused, plan_object
from feed import Feed, parse_object_name
from review.cost.estimate import Cost
from review.cost.machines import Machines, price_dataproc_hour
from review.cost.price_book import PriceBook, load_price_book
from review.findings.text import strip_markup

SHOWN = 5
RESOURCE = re.compile(r"google_\w+\.")
NOT_COUNTED = "queries beyond 1 TiB a month, logs and alerts are not counted"


@dataclass
class Survey:
    """The objects of a bucket, counted by what a backfill does with them."""

    old: int = 0  # under a feed's old names: downloaded, gzipped, uploaded
    old_bytes: int = 0
    landed: int = 0  # under today's landing names: copied inside of Cloud Storage
    landed_bytes: int = 0
    refused: int = 0
    refusals: list[str] = field(default_factory=list)  # the first few, with their reasons
    days: dict[str, set[date]] = field(default_factory=dict)  # feed → UTC days

    def add(self, name: str, size: int, feeds: Iterable[Feed]) -> None:
        """Count one object."""
        match plan_object(name, size, feeds):
            case Refused(reason):
                self.refused += 1
                if len(self.refusals) < SHOWN:
                    self.refusals.append(f"{name}: {reason}")
            case Landed(destination):
                self.landed += 1
                self.landed_bytes += size
                feed_name, tick = parse_object_name(destination)
                self.days.setdefault(feed_name, set()).add(tick.date())
            case Legacy(feed, candidates):
                self.old += 1
                self.old_bytes += size
                self.days.setdefault(feed.name, set()).update(tick.date() for tick in candidates)

    @property
    def objects(self) -> int:
        """Number of objects to archive."""
        return self.old + self.landed

    @property
    def files(self) -> str:
        """A key that differs between surveys of different files."""
        return f"{self.old} {self.old_bytes} {self.landed} {self.landed_bytes}"


@dataclass(frozen=True)
class Estimate:
    """Counts, hours and dollars of one backfill."""

    class_a: int
    class_b: int
    gib_through: float  # to this host
    gib_kept: float
    cluster_minutes: float
    cluster_hour: float | None  # dollars; None where a machine type has no price
    book: PriceBook

    @property
    def operations(self) -> float:
        """Dollars for operations on objects."""
        writes, reads = (self.book.price(f"storage_thousand_{each}") / 1000 for each in ("writes", "reads"))
        return self.class_a * writes + self.class_b * reads

    @property
    def kept_month(self) -> float:
        """Dollars a month for storing the archived objects."""
        return self.gib_kept * (self.book.find_price("storage_gib_month", "STANDARD") or 0.0)

    @property
    def traffic(self) -> float:
        """Dollars for traffic that leaves Google's network; none if the command runs in the buckets' region."""
        return self.gib_through * self.book.price("egress_gib")

    @property
    def cluster(self) -> float:
        """Dollars for the cluster; 0 if the machine types have no price."""
        return self.cluster_minutes / 60 * (self.cluster_hour or 0.0)


def estimate(
    survey: Survey, batch: Batch, days_at_once: int, *, keep: bool = True, book: PriceBook | None = None
) -> Estimate:
    """Estimate archiving every object, then rebuilding every day on the environment's cluster.

    If the source objects are deleted, they and their copies are read once more and compared.
    """
    book = book or load_price_book()
    packed = book.assumption("gzip_share")
    listings = ceil((survey.objects + survey.refused) / book.assumption("objects_a_listing"))
    days = sum(len(each) for each in survey.days.values())
    listed = (
        2 * listings + 24 * days + days
    )  # the survey and the sweep, hours of the archive, the batch's days
    kept = survey.landed_bytes + survey.old_bytes * packed
    minutes = sum(
        estimate_cluster_minutes(survey.objects * len(each) / days, len(each), batch, days_at_once, book)
        for each in survey.days.values()
    )
    compared = 0 if keep else survey.old
    return Estimate(
        class_a=survey.objects + listed + compared,
        class_b=survey.old + survey.objects + 3 * compared,  # once by the sweep, once by the batch
        gib_through=survey.old_bytes * (1 if keep else 2 + packed) / 2**30,
        gib_kept=kept / 2**30,
        cluster_minutes=minutes,
        cluster_hour=cluster_hour(batch, book),
        book=book,
    )


def estimate_cluster_minutes(
    responses: float, days: int, batch: Batch, days_at_once: int, book: PriceBook | None = None
) -> float:
    """Return the lifetime of a cluster that rebuilds so many days: BigQuery loads one batch while the next is read.

    Reading is measured by `python -m bench batch`: 0.6 ms of a processor for a response of 289 rows and 0.5 ms for its
    GET, taken twice for encryption and a slower processor. Start, end and BigQuery's minutes are not measured.
    """
    book = book or load_price_book()
    cpu_seconds = responses * book.assumption("cpu_seconds_a_response")
    return _estimate_minutes(cpu_seconds, ceil(days / days_at_once), batch, book)


def estimate_gbfs_minutes(systems: int, batch: Batch, book: PriceBook | None = None) -> float:
    """Return the lifetime of a cluster that rebuilds a day of so many GBFS systems, each with 112 stations.

    Reading is measured by `python -m bench gbfs_batch`: 12 µs of a processor for a row, taken twice.
    """
    book = book or load_price_book()
    rows = systems * GBFS_STATIONS_PER_SYSTEM * RESPONSES_PER_DAY
    return _estimate_minutes(rows * book.assumption("cpu_seconds_a_gbfs_row"), 1, batch, book)


def _estimate_minutes(cpu_seconds: float, batches: int, batch: Batch, book: PriceBook) -> float:
    reading = cpu_seconds / count_cluster_cpus(batch) / 60
    loading = book.assumption("cluster_load_minutes") * batches
    return book.assumption("cluster_start_minutes") + max(reading, loading) + min(reading, loading) / batches


def count_cluster_cpus(batch: Batch) -> int:
    """Return the number of vCPUs that run tasks: those of the workers, or of the master if there are none."""
    if batch.workers.count:
        return batch.workers.count * _parse_cpus(batch.workers.machine_type)
    return _parse_cpus(batch.master.machine_type)


def cluster_hour(batch: Batch, book: PriceBook | None = None) -> float | None:
    """Return dollars per hour for machines, disks and Dataproc's fee; None if a machine type has no price."""
    parts = [Machines(1, batch.master.machine_type, batch.master.disk_gigabytes)]
    if batch.workers.count:
        workers = batch.workers
        parts.append(Machines(workers.count, workers.machine_type, workers.disk_gigabytes))
    return price_dataproc_hour(book or load_price_book(), parts)


def _parse_cpus(machine_type: str) -> int:
    found = re.search(r"[0-9]+$", machine_type)
    if found is None:
        raise ValueError(f"{machine_type}: expected a machine type such as e2-standard-4")
    return int(found[0])


def format_estimate(survey: Survey, costs: Estimate) -> Iterator[str]:
    """Yield the lines of the estimate."""
    yield (
        f"to archive   {survey.objects:,} objects, {(survey.old_bytes + survey.landed_bytes) / 2**30:.2f} GiB: "
        f"{survey.old:,} under old names, {survey.landed:,} under today's"
    )
    for feed_name, days in survey.days.items():
        yield f"             {feed_name}: {len(days):,} UTC days, {min(days)} to {max(days)}"
    if survey.refused:
        yield f"skipped       {survey.refused:,} objects, such as {'; '.join(survey.refusals)}"
    yield (
        f"operations   {costs.class_a:,} class A and {costs.class_b:,} class B: ${costs.operations:.2f}; "
        f"then ${costs.kept_month:.3f} a month for {costs.gib_kept:.2f} GiB"
    )
    yield (
        f"traffic      {costs.gib_through:.2f} GiB come to this host, gzipped or compared: up to "
        f"${costs.traffic:.2f}, nothing on a host in the buckets' region"
    )
    if costs.cluster_hour is None:
        yield f"cluster      {costs.cluster_minutes:.0f} minutes; review/cost/prices has no price of its machine types"
    else:
        yield (
            f"cluster      {costs.cluster_minutes:.0f} minutes at ${costs.cluster_hour:.2f} an hour: "
            f"${costs.cluster:.2f}"
        )


RESPONSES_PER_DAY = 24 * 60
GBFS_STATIONS_PER_SYSTEM = 112  # 130,000 stations in 1,000 systems, of which 82 % respond
GBFS_SIZES = {"a day of 100 GBFS systems": 100, "a day of 1,000 GBFS systems": 1_000}
SIZES = {
    "a day, each night": (1, 1),
    "a month": (31, 1),
    "the original tutorial's archive, 91,549 responses": (64, 1),
    "a year": (365, 1),
    "ten cities, a year each, one after the other": (365, 10),
}


def render_sizing_table(clusters: Mapping[str, Batch], days_at_once: int) -> str:
    """Return a Markdown table of minutes and dollars for rebuilds of several sizes on several clusters."""
    lines = ["| | " + " | ".join(clusters) + " |", "|---|" + "---|" * len(clusters)]
    for what, (days, feeds) in SIZES.items():
        cells = []
        for batch in clusters.values():
            minutes = feeds * estimate_cluster_minutes(days * RESPONSES_PER_DAY, days, batch, days_at_once)
            cells.append(_format_cluster(minutes, batch))
        lines.append(f"| {what} | " + " | ".join(cells) + " |")
    for what, systems in GBFS_SIZES.items():
        cells = [_format_cluster(estimate_gbfs_minutes(systems, batch), batch) for batch in clusters.values()]
        lines.append(f"| {what} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _format_cluster(minutes: float, batch: Batch) -> str:
    return f"{minutes:.0f} min, ${minutes / 60 * (cluster_hour(batch) or 0.0):.2f}"


def render_month_table(months: Mapping[str, Cost]) -> str:
    """Return a Markdown table of each stack's monthly cost by line, as the plan review estimates it."""
    lines = ["| | " + " | ".join(months) + " | counted from |", "|---|" + "---|" * (len(months) + 1)]
    after = {name: {each.what: each for each in month.after} for name, month in months.items()}
    whats = list(dict.fromkeys(what for each in after.values() for what in each))
    for what in sorted(
        whats, key=lambda what: -max(each[what].month for each in after.values() if what in each)
    ):
        found = {name: each[what] for name, each in after.items() if what in each}
        cells = [f"{found[name].month:.2f}" if name in found else "–" for name in months]
        counted = {name: strip_markup(each.basis) for name, each in found.items()}
        bases = [f"{name}: {each}" for name, each in counted.items()]
        same = len(set(counted.values())) == 1
        lines.append(
            f"| {RESOURCE.sub('', strip_markup(what))} | {' | '.join(cells)} | "
            f"{next(iter(counted.values())) if same else '; '.join(bases)} |"
        )
    totals = [f"**{month.totals[1]:.2f}**" for month in months.values()]
    lines.append(f"| **together** | {' | '.join(totals)} | {NOT_COUNTED} |")
    return "\n".join(lines)
