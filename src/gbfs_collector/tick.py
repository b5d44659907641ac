"""Collect a shard's tick into a pack, and load the rows of a minute, exactly once.

Errors are raised, so that Pub/Sub redelivers the message. docs/gbfs.md describes the protocol.
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
from gbfs.collection.packs import minute_prefix, pack_name, read_pack, write_pack
from gbfs.collection.rows import TableRows, make_rows
from gbfs.tables import POLLS_TABLE, STATION_STATUS_TABLE
from gbfs_collector.fetching import Limits, Request, fetch_all
from gbfs_collector.request_state import RequestState
from gbfs_collector.storage import PACK_TYPE, ObjectStore
from telemetry import log

# The ages at which a shard checks whether a minute is loaded, a different shard each time: one may be down, or its
# message dead-lettered.
CLOSING_AGES = tuple(timedelta(minutes=minutes) for minutes in (20, 21, 23, 28, 38, 50))
CLOSED_AFTER = CLOSING_AGES[0]
# Made once: `json.dumps` with other than its default options makes an encoder for each row.
_encode_row = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
# A later redelivery closes nothing: the batch job may have rebuilt the day from its packs by then.
CLOSED_WITHIN = timedelta(minutes=60)


@dataclass(frozen=True)
class Shard:
    """The requests of a shard, and its bucket and tables (project.dataset.table)."""

    number: int
    requests: Sequence[Request]
    bucket: str  # of packs, which are never deleted or replaced
    station_status_table: str
    polls_table: str
    quarantine_table: str
    limits: Limits = field(default_factory=Limits)
    shards: int = 1  # number of all shards


@dataclass(frozen=True)
class Services:
    """The clients and the clock of a shard, made once per instance."""

    storage: StorageClient
    bigquery: bigquery.Client
    now: Callable[[], datetime]


def collect_shard(shard: Shard, services: Services, request_state: RequestState, delivery: Delivery) -> None:
    """Store the tick's pack, and load the minute if this is its last pack.

    The create-only upload decides which delivery's responses are kept: all deliveries continue with the stored pack.
    """
    store = ObjectStore(services.storage, shard.bucket)

    def fetch() -> bytes:
        wanted = request_state.select_due(shard.requests, delivery.tick)
        return write_pack(delivery.tick, shard.number, fetch_all(wanted, services.now, shard.limits))

    name = pack_name(delivery.tick, shard.number)
    pack = store.read_or_create(name, fetch, PACK_TYPE, may_exist=not delivery.is_first)
    request_state.record(read_pack(pack), delivery.tick)
    if shard.shards == 1:
        load_minute(shard, services, delivery.tick, [(name, pack)])
        return
    names = list(store.list_names(minute_prefix(delivery.tick)))
    if _find_missing_packs(shard, delivery.tick, names):
        return  # the shard that stores the last pack will load the minute
    load_minute(shard, services, delivery.tick, _read_packs(store, names))


def close_minutes(shard: Shard, services: Services, tick: datetime, closed: set[datetime]) -> None:
    """Close the minutes that are this shard's turn at a tick. `closed` are the minutes that are known to be loaded.

    A minute that cannot be loaded is left to the next check, and after the last one to the nightly batch.
    """
    closed.difference_update([minute for minute in tuple(closed) if minute < tick - CLOSING_AGES[-1]])
    for check, age in enumerate(CLOSING_AGES):
        minute = tick - age
        is_turn = (int(minute.timestamp()) // 60 + check) % shard.shards == shard.number
        if not is_turn or minute in closed or services.now() - minute > CLOSED_WITHIN:
            continue
        try:
            if close_minute(shard, services, minute):
                closed.add(minute)
        except LoadError as error:
            log(
                logging.ERROR,
                f"the rows of {minute:%Y-%m-%d %H:%M} were not loaded; a later tick or the nightly batch loads them: "
                f"{error}",
                event="load_job_failed",
            )


def close_minute(shard: Shard, services: Services, tick: datetime) -> bool:
    """Load a minute unless it is loaded, with empty packs for missing shards; return whether it is loaded.

    A later delivery of a missing shard finds the empty pack and continues with it. A minute without any pack is left
    alone, since nothing was collected. Complete packs do not imply loaded rows, since the delivery that had to load
    them may have been killed; therefore the job that is started last is looked up.
    """
    if is_loaded(services.bigquery, _make_job_id(tick, "polls", shard.polls_table)):
        return True
    store = ObjectStore(services.storage, shard.bucket)
    names = list(store.list_names(minute_prefix(tick)))
    if not names:
        return False
    missing = _find_missing_packs(shard, tick, names)
    for name, number in missing.items():
        store.create(name, write_pack(tick, number, []), PACK_TYPE)
        words = f"{name}: stored an empty pack, since no delivery stored one within {CLOSED_AFTER}"
        log(logging.ERROR, words, event="shard_missing", object=name, shard=number)
    load_minute(shard, services, tick, _read_packs(store, sorted({*names, *missing})))
    return True


def load_minute(shard: Shard, services: Services, tick: datetime, packs: Iterable[tuple[str, bytes]]) -> None:
    """Load the rows of a minute's packs, with one job per table.

    The ID of each job is derived from the minute, so that no rows are loaded twice, whichever shard starts it. The job
    of polls is last: it implies that all rows of the minute are loaded, since every minute with rows has polls.
    """
    lines = {table: bytearray() for table in ("station_status", "polls", "quarantine")}
    outcomes: Counter[str] = Counter()
    for rows in _make_minute_rows(tick, packs):
        outcomes.update(str(poll["outcome"]) for poll in rows.polls)
        for table, content in lines.items():
            for row in getattr(rows, table):
                content.extend(_encode_row(row).encode() + b"\n")
    tables: tuple[tuple[str, str, str, list[dict[str, Any]]], ...] = (
        ("station_status", "status", shard.station_status_table, STATION_STATUS_TABLE.schema),
        ("quarantine", "quarantine", shard.quarantine_table, quarantine_schema()),
        ("polls", "polls", shard.polls_table, POLLS_TABLE.schema),
    )
    for table, kind, target, schema in tables:
        if loaded := bytes(lines.pop(table)):
            load_lines_once(services.bigquery, target, loaded, schema, _make_job_id(tick, kind, target))
    words = f"collected {_format_minute(tick)}: " + ", ".join(
        f"{count} {what}" for what, count in sorted(outcomes.items())
    )
    log(logging.INFO, words, event="gbfs_collected", tick=tick.isoformat(), outcomes=dict(outcomes))


def _make_minute_rows(tick: datetime, packs: Iterable[tuple[str, bytes]]) -> Iterator[TableRows]:
    """Yield the rows of each result. If two packs have the same file, the first one is used.

    That happens in the minute of a deploy that changes the number of shards.
    """
    seen: set[tuple[str, str]] = set()
    for name, pack in packs:
        for each in read_pack(pack):
            if (each.system_id, each.file) not in seen:
                seen.add((each.system_id, each.file))
                yield make_rows([each], tick, name)


def _find_missing_packs(shard: Shard, tick: datetime, names: Iterable[str]) -> dict[str, int]:
    """Return the shards without a pack, by the object name of the missing pack."""
    expected = {pack_name(tick, number): number for number in range(shard.shards)}
    return {name: expected[name] for name in sorted(expected.keys() - set(names))}


def _read_packs(store: ObjectStore, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    for name in names:
        pack = store.read(name)
        if pack is not None:
            yield name, pack


def _make_job_id(tick: datetime, kind: str, table: str) -> str:
    """Return the ID of a load job. A table with another name needs other jobs, since its rows were not loaded yet."""
    return f"vlille-gbfs-{_format_minute(tick)}-{kind}-{hashlib.sha256(table.encode()).hexdigest()[:8]}"


def _format_minute(tick: datetime) -> str:
    return minute_prefix(tick).rpartition("/")[2].rstrip("_")
