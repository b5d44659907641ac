"""One shard's discovery: what its systems publish now, told as rows where something is new, each exactly once."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from collector.loading import load_lines_once
from gbfs.observing import (
    CATALOGUE_FILE,
    DISCOVERY_FILE,
    INFORMATION_FILES,
    discovery_of,
    observations_of,
    read_catalogue_of,
)
from gbfs.packs import Fetched, read_pack, write_pack
from gbfs.roster import CollectedSystem
from gbfs.states import (
    State,
    discovery_pack_name,
    known_name,
    known_prefix,
    pack_json,
    read_state,
    rows_name,
    unpack_json,
    write_state,
)
from gbfs.tables import APPEARED, STATION_INFORMATION_TABLE, SYSTEMS_TABLE, TableModel
from gbfs.validity import ValidityRows, compare
from gbfs_collector.fetching import Limits, Request, fetch_all
from gbfs_collector.stores import JSON_TYPE, PACK_TYPE, Store
from gbfs_collector.tick import Services
from telemetry import log

MOST_LINKS_AT_ONCE = 5  # how often another discovery may add the next link first


class DiscoveryError(RuntimeError):
    """What is known of the systems cannot be written; the tick is delivered again.

    What to do: nothing at first: the message is redelivered. If it goes on, look at the roles of the function in
    docs/access.md.
    """


@dataclass(frozen=True)
class Discoverer:
    """A shard's discovery: its systems, and where packs and rows go; `dataset` is project.dataset."""

    number: int
    systems: Mapping[str, CollectedSystem]  # all that the shard discovers, by system_id
    collected: frozenset[str]  # all systems of the environment, whichever shard discovers them
    requests_of: Callable[[CollectedSystem, str, str], Request]  # system, file, url
    bucket: str
    dataset: str
    catalogue_url: str  # "" where no catalogue is asked
    limits: Limits


def newest_state(store: Store, shard: int) -> State:
    """Return what a shard knows, an empty state where it has discovered nothing yet."""
    name = next(iter(store.names(known_prefix(shard), limit=1)), None)
    content = None if name is None else store.read(name)
    return State() if content is None else read_state(content)


def discover(
    shard: Discoverer, services: Services, tick: datetime, only: Iterable[str] | None, *, look: bool
) -> State:
    """Look at systems (all of the shard, or `only` some), and return what is known then.

    The pack of a tick is stored once, and the next link of the chain derives from it and the link before: a tick that
    is delivered again adds nothing. `look` says that a pack or a link may be there already.
    """
    store = Store(services.storage, shard.bucket)
    before = newest_state(store, shard.number)
    if look or before.number:
        before = _finish_earlier(shard, services, store, before, tick)
    if before.tick >= tick:
        return before
    wanted = [shard.systems[each] for each in sorted(shard.systems if only is None else set(only))]
    name = discovery_pack_name(tick, shard.number)
    pack = store.read_or_create(name, lambda: _fetch(shard, services, wanted, tick), PACK_TYPE, look=look)
    fetched = list(read_pack(pack))
    for _ in range(MOST_LINKS_AT_ONCE):
        state, rows = _next(shard, before, fetched, tick)
        if _rows(rows):
            store.create(state.rows_object, pack_json(_rows(rows)), JSON_TYPE)
        created = store.create(known_name(shard.number, state.number), write_state(state), JSON_TYPE)
        if created.is_new:
            _report(shard, rows, state)
            _load(shard, services, store, state)
            return state
        before = read_state(created.content)  # another discovery was first
        if before.tick >= tick:
            return _finish_earlier(shard, services, store, before, tick)
    raise DiscoveryError(f"shard {shard.number}: {MOST_LINKS_AT_ONCE} discoveries at once were first")


def _finish_earlier(
    shard: Discoverer, services: Services, store: Store, newest: State, tick: datetime
) -> State:
    """Load the rows of the newest link, and of those before it down to the one of the tick; return the newest."""
    state = newest
    while state.number:
        _load(shard, services, store, state)
        if state.tick <= tick or (content := store.read(known_name(shard.number, state.number - 1))) is None:
            break
        state = read_state(content)
    return newest


def _next(
    shard: Discoverer, before: State, fetched: Sequence[Fetched], tick: datetime
) -> tuple[State, ValidityRows]:
    seen = observations_of(fetched, shard.systems)
    mine = {system_id: known for system_id, known in before.known.items() if not _is_others(shard, system_id)}
    known, rows = compare(mine, seen, frozenset(shard.systems), tick)
    digest = hashlib.sha256(json.dumps(_rows(rows), sort_keys=True).encode()).hexdigest()
    name = rows_name(shard.number, digest) if _rows(rows) else ""
    return State(before.number + 1, tick, known, name), rows


def _is_others(shard: Discoverer, system_id: str) -> bool:
    """Whether another shard discovers the system now, as the number of shards or its URL has changed."""
    return system_id in shard.collected and system_id not in shard.systems


def _rows(rows: ValidityRows) -> dict[str, list[dict[str, Any]]]:
    """Return the tables that get rows."""
    by_table = {SYSTEMS_TABLE.name: rows.systems, STATION_INFORMATION_TABLE.name: rows.station_information}
    return {table: lines for table, lines in by_table.items() if lines}


def _load(shard: Discoverer, services: Services, store: Store, state: State) -> None:
    """Load the rows of a link; the ID of each job derives from its number."""
    if not state.rows_object:
        return
    content = store.read(state.rows_object)
    if content is None:
        raise DiscoveryError(f"{state.rows_object} is not in {shard.bucket}: its rows cannot be loaded")
    by_table: dict[str, list[dict[str, Any]]] = unpack_json(content)
    models: dict[str, TableModel] = {each.name: each for each in (SYSTEMS_TABLE, STATION_INFORMATION_TABLE)}
    for table, rows in by_table.items():
        target = f"{shard.dataset}.{table}"
        digest = hashlib.sha256(f"{shard.bucket} {target}".encode()).hexdigest()[:8]
        job_id = f"vlille-gbfs-known-{shard.number:04d}-{state.number:08d}-{table}-{digest}"
        lines = b"\n".join(json.dumps(row, ensure_ascii=False).encode() for row in rows)
        load_lines_once(services.bigquery, target, lines, models[table].schema, job_id)


def _report(shard: Discoverer, rows: ValidityRows, state: State) -> None:
    """Log what happened to systems: an alert is made from it."""
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


def _fetch(shard: Discoverer, services: Services, wanted: Sequence[CollectedSystem], tick: datetime) -> bytes:
    """Return the pack of the catalogue, each gbfs.json, and the information files that they list."""

    def fetch(requests: list[Request]) -> list[Fetched]:
        return fetch_all(requests, services.now, shard.limits)

    catalogue = [Request("", CATALOGUE_FILE, shard.catalogue_url)] if shard.catalogue_url else []
    first = fetch(
        [
            *catalogue,
            *(shard.requests_of(system, DISCOVERY_FILE, system.discovery_url) for system in wanted),
        ]
    )
    moved = fetch(_elsewhere(shard, wanted, first))
    files = []
    for system in wanted:
        own = [each for each in (*first, *moved) if each.system_id == system.system_id]
        if not isinstance(found := discovery_of(own), str):
            urls = found[1].files()
            files += [
                shard.requests_of(system, file, urls[file]) for file in INFORMATION_FILES if file in urls
            ]
    return write_pack(tick, shard.number, [*first, *moved, *fetch(files)])


def _elsewhere(
    shard: Discoverer, wanted: Sequence[CollectedSystem], fetched: Sequence[Fetched]
) -> list[Request]:
    """Return requests of the gbfs.json that cannot be read, where the catalogue has another URL of the system."""
    catalogue = next((read_catalogue_of(each) for each in fetched if not each.system_id), None)
    urls = {} if catalogue is None else {each.system_id: each.discovery_url for each in catalogue.systems}
    return [
        shard.requests_of(system, DISCOVERY_FILE, urls[system.system_id])
        for system in wanted
        if urls.get(system.system_id, system.discovery_url) != system.discovery_url
        and isinstance(discovery_of([e for e in fetched if e.system_id == system.system_id]), str)
    ]
