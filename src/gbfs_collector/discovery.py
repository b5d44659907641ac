"""Discover what a shard's systems publish, and load a row for each change, exactly once."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from collector.loading import load_lines_once
from gbfs.collection.packs import FetchResult, read_pack, write_pack
from gbfs.collection.systems import CollectedSystem
from gbfs.history.known_state import (
    KnownState,
    compress_json,
    decode_state,
    decompress_json,
    discovery_pack_name,
    encode_state,
    rows_object_name,
    state_name,
    state_prefix,
)
from gbfs.history.observations import (
    CATALOGUE_FILE,
    DISCOVERY_FILE,
    INFORMATION_FILES,
    find_discovery,
    make_observations,
    read_fetched_catalogue,
)
from gbfs.history.validity import ValidityRows, compare_observations
from gbfs.tables import APPEARED, STATION_INFORMATION_TABLE, SYSTEMS_TABLE, TableModel
from gbfs_collector.fetching import Limits, Request, fetch_all
from gbfs_collector.storage import JSON_TYPE, PACK_TYPE, ObjectStore
from gbfs_collector.tick import Services
from telemetry import log

MAX_CONCURRENT_DISCOVERIES = 5  # how often another discovery may create the next state first


class DiscoveryError(RuntimeError):
    """A discovery cannot be completed; Pub/Sub will redeliver the message.

    What to do: nothing at first: the message is redelivered. If the error persists, check the roles of the function in
    docs/access.md.
    """


@dataclass(frozen=True)
class DiscoveryShard:
    """A shard to discover: its systems, its bucket and its dataset (project.dataset)."""

    number: int
    systems: Mapping[str, CollectedSystem]  # those that the shard discovers, by system_id
    collected: frozenset[str]  # all systems of the environment, of any shard
    make_request: Callable[[CollectedSystem, str, str], Request]  # system, file, url
    bucket: str
    dataset: str
    catalogue_url: str  # "" if no catalogue is requested
    limits: Limits


def read_newest_state(store: ObjectStore, shard: int) -> KnownState:
    """Return the newest known state of a shard, an empty one before its first discovery."""
    name = next(iter(store.list_names(state_prefix(shard), limit=1)), None)
    content = None if name is None else store.read(name)
    return KnownState() if content is None else decode_state(content)


def discover_systems(
    shard: DiscoveryShard, services: Services, tick: datetime, only: Iterable[str] | None, *, may_exist: bool
) -> KnownState:
    """Discover all systems of the shard, or `only` some, and return the known state afterwards.

    The pack of a tick is stored once, and the next state is derived from it and the previous state, so that a
    redelivery adds nothing. `may_exist` means that the pack or the state may already be stored.
    """
    store = ObjectStore(services.storage, shard.bucket)
    before = read_newest_state(store, shard.number)
    if may_exist or before.number:
        before = _load_pending_rows(shard, services, store, before, tick)
    if before.tick >= tick:
        return before
    wanted = [shard.systems[each] for each in sorted(shard.systems if only is None else set(only))]
    name = discovery_pack_name(tick, shard.number)
    pack = store.read_or_create(
        name, lambda: _fetch_pack(shard, services, wanted, tick), PACK_TYPE, may_exist=may_exist
    )
    fetched = list(read_pack(pack))
    for _ in range(MAX_CONCURRENT_DISCOVERIES):
        state, rows = _make_next_state(shard, before, fetched, tick)
        if _group_rows(rows):
            store.create(state.rows_object, compress_json(_group_rows(rows)), JSON_TYPE)
        created = store.create(state_name(shard.number, state.number), encode_state(state), JSON_TYPE)
        if created.is_new:
            _log_changes(shard, rows, state)
            _load_rows(shard, services, store, state)
            return state
        before = decode_state(created.content)  # another discovery created it first
        if before.tick >= tick:
            return _load_pending_rows(shard, services, store, before, tick)
    raise DiscoveryError(
        f"shard {shard.number}: {MAX_CONCURRENT_DISCOVERIES} concurrent discoveries created the next state first"
    )


def _load_pending_rows(
    shard: DiscoveryShard, services: Services, store: ObjectStore, newest: KnownState, tick: datetime
) -> KnownState:
    """Load the rows of all states from the newest one down to that of the tick; return the newest."""
    state = newest
    while state.number:
        _load_rows(shard, services, store, state)
        if state.tick <= tick or (content := store.read(state_name(shard.number, state.number - 1))) is None:
            break
        state = decode_state(content)
    return newest


def _make_next_state(
    shard: DiscoveryShard, before: KnownState, fetched: Sequence[FetchResult], tick: datetime
) -> tuple[KnownState, ValidityRows]:
    seen = make_observations(fetched, shard.systems)
    mine = {system_id: known for system_id, known in before.known.items() if not _has_moved(shard, system_id)}
    known, rows = compare_observations(mine, seen, frozenset(shard.systems), tick)
    digest = hashlib.sha256(json.dumps(_group_rows(rows), sort_keys=True).encode()).hexdigest()
    name = rows_object_name(shard.number, digest) if _group_rows(rows) else ""
    return KnownState(before.number + 1, tick, known, name), rows


def _has_moved(shard: DiscoveryShard, system_id: str) -> bool:
    """Return whether another shard discovers the system now, since its URL or the number of shards has changed."""
    return system_id in shard.collected and system_id not in shard.systems


def _group_rows(rows: ValidityRows) -> dict[str, list[dict[str, Any]]]:
    """Return the rows by table, without empty tables."""
    by_table = {SYSTEMS_TABLE.name: rows.systems, STATION_INFORMATION_TABLE.name: rows.station_information}
    return {table: lines for table, lines in by_table.items() if lines}


def _load_rows(shard: DiscoveryShard, services: Services, store: ObjectStore, state: KnownState) -> None:
    """Load the rows of a state; the ID of each load job is derived from its number."""
    if not state.rows_object:
        return
    content = store.read(state.rows_object)
    if content is None:
        raise DiscoveryError(
            f"{state.rows_object} is missing in the bucket {shard.bucket}: the rows of a discovery cannot be loaded"
        )
    by_table: dict[str, list[dict[str, Any]]] = decompress_json(content)
    models: dict[str, TableModel] = {each.name: each for each in (SYSTEMS_TABLE, STATION_INFORMATION_TABLE)}
    for table, rows in by_table.items():
        target = f"{shard.dataset}.{table}"
        digest = hashlib.sha256(f"{shard.bucket} {target}".encode()).hexdigest()[:8]
        job_id = f"vlille-gbfs-known-{shard.number:04d}-{state.number:08d}-{table}-{digest}"
        lines = b"\n".join(json.dumps(row, ensure_ascii=False).encode() for row in rows)
        load_lines_once(services.bigquery, target, lines, models[table].schema, job_id)


def _log_changes(shard: DiscoveryShard, rows: ValidityRows, state: KnownState) -> None:
    """Log the changes of systems; an alert matches these entries."""
    for row in rows.systems:
        about = {"system": row["system_id"], "shard": shard.number, "number": state.number}
        if row["event"] == APPEARED and row["is_reachable"]:
            log(logging.INFO, f"{row['system_id']} is collected from now on", event="system_added", **about)
            continue
        changed = f": {', '.join(row['changed_columns'])}" if row["changed_columns"] else ""
        why = f"; it cannot be reached: {row['error']}" if row["error"] else ""
        words = f"GBFS system {row['system_id']} {row['event']}{changed}{why}"
        log(logging.WARNING, words, event="system_changed", error=row["error"], **about)


# --- requests -------------------------------------------------------------------------------------


def _fetch_pack(
    shard: DiscoveryShard, services: Services, wanted: Sequence[CollectedSystem], tick: datetime
) -> bytes:
    """Request the catalogue, each gbfs.json and the information files that it lists; return their pack."""

    def fetch(requests: list[Request]) -> list[FetchResult]:
        return fetch_all(requests, services.now, shard.limits)

    catalogue = [Request("", CATALOGUE_FILE, shard.catalogue_url)] if shard.catalogue_url else []
    first = fetch(
        [
            *catalogue,
            *(shard.make_request(system, DISCOVERY_FILE, system.discovery_url) for system in wanted),
        ]
    )
    moved = fetch(_make_relocation_requests(shard, wanted, first))
    files = []
    for system in wanted:
        own = [each for each in (*first, *moved) if each.system_id == system.system_id]
        if not isinstance(found := find_discovery(own), str):
            urls = found[1].files()
            files += [
                shard.make_request(system, file, urls[file]) for file in INFORMATION_FILES if file in urls
            ]
    return write_pack(tick, shard.number, [*first, *moved, *fetch(files)])


def _make_relocation_requests(
    shard: DiscoveryShard, wanted: Sequence[CollectedSystem], fetched: Sequence[FetchResult]
) -> list[Request]:
    """Return requests for the unreadable gbfs.json of systems for which the catalogue has another URL."""
    catalogue = next((read_fetched_catalogue(each) for each in fetched if not each.system_id), None)
    urls = {} if catalogue is None else {each.system_id: each.discovery_url for each in catalogue.systems}
    return [
        shard.make_request(system, DISCOVERY_FILE, urls[system.system_id])
        for system in wanted
        if urls.get(system.system_id, system.discovery_url) != system.discovery_url
        and isinstance(find_discovery([e for e in fetched if e.system_id == system.system_id]), str)
    ]
