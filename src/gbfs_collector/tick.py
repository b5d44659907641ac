"""One shard's tick from the systems to its pack, and the minute's rows into the tables, each exactly once.

Whatever fails is raised and redelivered. The protocol is in docs/gbfs.md.
"""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from google.cloud import bigquery
from google.cloud.storage import Client as StorageClient

from collector.envelope import Delivery
from collector.loading import LoadError, is_loaded, load_lines_once
from feed import quarantine_schema
from gbfs.packs import minute_prefix, pack_name, read_pack, write_pack
from gbfs.rows import TableRows, rows_of
from gbfs.tables import POLLS_TABLE, STATION_STATUS_TABLE
from gbfs_collector.fetching import Limits, Request, fetch_all
from gbfs_collector.memory import Memory
from gbfs_collector.stores import PACK_TYPE, Store
from telemetry import log

# The ages at which it is looked whether a minute is loaded, each time by the next shard in turn: one may be silent, or
# its delivery given up.
LOOKED_AT = tuple(timedelta(minutes=minutes) for minutes in (20, 21, 23, 28, 38, 50))
CLOSED_AFTER = LOOKED_AT[0]
# Not by a later redelivery of the look: the batch job may have rebuilt the day from its packs by then.
CLOSED_WITHIN = timedelta(minutes=60)


@dataclass(frozen=True)
class Shard:
    """What a shard collects, and where to; tables are project.dataset.table."""

    number: int
    requests: Sequence[Request]
    bucket: str  # of the packs: nothing is deleted or replaced there
    station_status_table: str
    polls_table: str
    quarantine_table: str
    limits: Limits = field(default_factory=Limits)
    shards: int = 1  # how many share a minute


@dataclass(frozen=True)
class Services:
    """What a shard calls; made once per instance."""

    storage: StorageClient
    bigquery: bigquery.Client
    now: Callable[[], datetime]


def collect_shard(shard: Shard, services: Services, memory: Memory, delivery: Delivery) -> None:
    """Keep the tick's pack, and load the minute where it is the last one of its minute.

    The create-only upload decides whose responses are the tick's: all deliveries go on with the pack that is stored.
    """
    store = Store(services.storage, shard.bucket)

    def fetch() -> bytes:
        wanted = memory.select_due(shard.requests, delivery.tick)
        return write_pack(delivery.tick, shard.number, fetch_all(wanted, services.now, shard.limits))

    name = pack_name(delivery.tick, shard.number)
    pack = store.read_or_create(name, fetch, PACK_TYPE, look=not delivery.is_first)
    memory.remember(read_pack(pack), delivery.tick)
    if shard.shards == 1:
        load_minute(shard, services, delivery.tick, [(name, pack)])
        return
    names = list(store.names(minute_prefix(delivery.tick)))
    if _missing(shard, delivery.tick, names):
        return  # the shard that stores the last pack loads the minute
    load_minute(shard, services, delivery.tick, _packs(store, names))


def close_minutes(shard: Shard, services: Services, tick: datetime, closed: set[datetime]) -> None:
    """Close the minutes that are this shard's turn at a tick. `closed` are those that need no further look.

    What cannot be loaded is left to the next look, and after the last one to the nightly batch.
    """
    closed.difference_update([minute for minute in tuple(closed) if minute < tick - LOOKED_AT[-1]])
    for look, age in enumerate(LOOKED_AT):
        minute = tick - age
        is_turn = (int(minute.timestamp()) // 60 + look) % shard.shards == shard.number
        if not is_turn or minute in closed or services.now() - minute > CLOSED_WITHIN:
            continue
        try:
            if close_minute(shard, services, minute):
                closed.add(minute)
        except LoadError as error:
            log(logging.ERROR, f"{minute:%Y-%m-%d %H:%M}: not closed: {error}", event="load_job_failed")


def close_minute(shard: Shard, services: Services, tick: datetime) -> bool:
    """Load a minute unless it is loaded, with empty packs for the shards that are missing; return whether it is.

    An empty pack is a pack: a delivery that comes later finds it stored, and goes on with it. A minute without any
    pack is left alone, since nothing was collected then. That all packs are there says nothing of their rows: the
    delivery that had to load them may have been killed, so the job that is made last is looked for.
    """
    if is_loaded(services.bigquery, _job_id(tick, "polls", shard.polls_table)):
        return True
    store = Store(services.storage, shard.bucket)
    names = list(store.names(minute_prefix(tick)))
    if not names:
        return False
    missing = _missing(shard, tick, names)
    for name, number in missing.items():
        store.create(name, write_pack(tick, number, []), PACK_TYPE)
        words = f"{name}: closed without responses, as no delivery has stored it within {CLOSED_AFTER}"
        log(logging.ERROR, words, event="shard_missing", object=name, shard=number)
    load_minute(shard, services, tick, _packs(store, sorted({*names, *missing})))
    return True


def load_minute(shard: Shard, services: Services, tick: datetime, packs: Iterable[tuple[str, bytes]]) -> None:
    """Load the rows of a minute's packs by one job per table.

    The ID of each job derives from the minute, so that no rows are loaded twice, whoever begins it. Polls come last:
    their job means that all rows of the minute are loaded, since no other table has rows where polls has none.
    """
    lines = {table: bytearray() for table in ("station_status", "polls", "quarantine")}
    outcomes: Counter[str] = Counter()
    for rows in _rows_of_minute(tick, packs):
        outcomes.update(str(poll["outcome"]) for poll in rows.polls)
        for table, content in lines.items():
            for row in getattr(rows, table):
                content.extend(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    tables: tuple[tuple[str, str, str, list[dict[str, Any]]], ...] = (
        ("station_status", "status", shard.station_status_table, STATION_STATUS_TABLE.schema),
        ("quarantine", "quarantine", shard.quarantine_table, quarantine_schema()),
        ("polls", "polls", shard.polls_table, POLLS_TABLE.schema),
    )
    for table, kind, target, schema in tables:
        if loaded := bytes(lines.pop(table)):
            load_lines_once(services.bigquery, target, loaded, schema, _job_id(tick, kind, target))
    words = f"collected {_stem(tick)}: " + ", ".join(
        f"{count} {what}" for what, count in sorted(outcomes.items())
    )
    log(logging.INFO, words, event="gbfs_collected", tick=tick.isoformat(), outcomes=dict(outcomes))


def _rows_of_minute(tick: datetime, packs: Iterable[tuple[str, bytes]]) -> Iterator[TableRows]:
    """Yield the rows of one response after another: of two packs with the same file the first one counts.

    That happens in the minute of a deploy that changes the number of shards.
    """
    seen: set[tuple[str, str]] = set()
    for name, pack in packs:
        for each in read_pack(pack):
            if (each.system_id, each.file) not in seen:
                seen.add((each.system_id, each.file))
                yield rows_of([each], tick, name)


def _missing(shard: Shard, tick: datetime, names: Iterable[str]) -> dict[str, int]:
    """Return the shards without a pack, by the name that it would have."""
    expected = {pack_name(tick, number): number for number in range(shard.shards)}
    return {name: expected[name] for name in sorted(expected.keys() - set(names))}


def _packs(store: Store, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    for name in names:
        pack = store.read(name)
        if pack is not None:
            yield name, pack


def _job_id(tick: datetime, kind: str, table: str) -> str:
    """A table made anew under another name is another target, whose rows were not loaded yet."""
    return f"vlille-gbfs-{_stem(tick)}-{kind}-{hashlib.sha256(table.encode()).hexdigest()[:8]}"


def _stem(tick: datetime) -> str:
    return minute_prefix(tick).rpartition("/")[2].rstrip("_")
