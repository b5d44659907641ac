"""One shard's tick from the systems to the tables, each exactly once. Whatever fails is raised and redelivered."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud import bigquery
from google.cloud.storage import Client as StorageClient

from collector.envelope import Delivery
from collector.loading import load_once
from feed import quarantine_schema
from gbfs.packs import pack_name, read_pack, write_pack
from gbfs.rows import TableRows, rows_of
from gbfs.tables import POLLS_TABLE, STATION_STATUS_TABLE
from gbfs_collector.fetching import Limits, Request, fetch_all
from gbfs_collector.memory import Memory

CONTENT_TYPE = "application/warc"
CALL_SECONDS = 30.0


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


@dataclass(frozen=True)
class Services:
    """What a shard calls; made once per instance."""

    storage: StorageClient
    bigquery: bigquery.Client
    now: Callable[[], datetime]


def collect_shard(shard: Shard, services: Services, memory: Memory, delivery: Delivery) -> TableRows:
    """Keep the tick's pack, load its rows, and return them.

    The create-only upload decides whose responses are the tick's: all deliveries go on with the pack that is stored.
    The ID of each load job derives from the pack's name, so that no rows are loaded twice.
    """
    name = pack_name(delivery.tick, shard.number)
    fetched = tuple(read_pack(_stored_pack(shard, services, memory, delivery, name)))
    rows = rows_of(fetched, delivery.tick, name)
    memory.remember(fetched, rows.polls, delivery.tick)
    tables: tuple[tuple[str, str, list[dict[str, Any]], list[dict[str, Any]]], ...] = (
        ("status", shard.station_status_table, rows.station_status, STATION_STATUS_TABLE.schema),
        ("polls", shard.polls_table, rows.polls, POLLS_TABLE.schema),
        ("quarantine", shard.quarantine_table, rows.quarantine, quarantine_schema()),
    )
    stem = name.rpartition("/")[2].split(".")[0]
    for kind, table, lines, schema in tables:
        if lines:
            digest = hashlib.sha256(table.encode()).hexdigest()[:8]
            load_once(services.bigquery, table, lines, schema, f"vlille-gbfs-{stem}-{kind}-{digest}")
    return rows


def _stored_pack(shard: Shard, services: Services, memory: Memory, delivery: Delivery, name: str) -> bytes:
    """Return the tick's pack; the systems are requested only where a first look, or a first delivery, finds none."""
    blob = services.storage.bucket(shard.bucket).blob(name)
    if not delivery.is_first:
        try:
            stored: bytes = blob.download_as_bytes(timeout=CALL_SECONDS)
        except NotFound:
            pass
        else:
            return stored
    wanted = memory.select_due(shard.requests, delivery.tick)
    pack = write_pack(delivery.tick, shard.number, fetch_all(wanted, services.now, shard.limits))
    try:
        blob.upload_from_string(
            pack, content_type=CONTENT_TYPE, if_generation_match=0, checksum="crc32c", timeout=CALL_SECONDS
        )
    except PreconditionFailed:
        winner: bytes = blob.download_as_bytes(timeout=CALL_SECONDS)
        return winner
    return pack
