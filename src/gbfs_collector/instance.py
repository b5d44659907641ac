"""Run the tasks of pushed messages: a shard's tick or its discovery."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from threading import Lock

from collector.envelope import Delivery, EnvelopeError, read_delivery
from gbfs.collection.packs import pack_name, read_pack
from gbfs.collection.shards import assign_shard
from gbfs.collection.systems import CollectedSystem
from gbfs.files.model import STATION_STATUS
from gbfs.history.known_state import BEFORE_FIRST_TICK, KnownState
from gbfs.tables import POLLS_TABLE, STATION_STATUS_TABLE
from gbfs_collector.discovery import DiscoveryShard, discover_systems, read_newest_state
from gbfs_collector.fetching import Limits, Request
from gbfs_collector.request_state import RequestState
from gbfs_collector.settings import Settings
from gbfs_collector.storage import ObjectStore
from gbfs_collector.tick import Services, Shard, close_minutes, collect_shard

_SHARD_PATH = re.compile(r"/shards/(\d{1,4})")
TASKS = ("collect", "discover")
CATCH_UP_MINUTES = 5  # how far back an instance reads packs of other instances
KNOWN_STATE_LIFETIME = timedelta(minutes=10)  # how long an instance uses the known state that it has read
RETRY_MINUTE = 17  # minute of each hour in which unreachable systems are discovered again


@dataclass(frozen=True)
class Task:
    """The task of a message: a shard's tick or discovery."""

    shard: int
    kind: str  # one of TASKS
    delivery: Delivery


def read_task(path: str, envelope: object, shards: int) -> Task:
    """Parse a message that Pub/Sub pushed to /shards/N, with its attribute `task`. Raises EnvelopeError."""
    match = _SHARD_PATH.fullmatch(path)
    if match is None or int(match[1]) >= shards:
        raise EnvelopeError(f"path: found {path[:100]!r}, expected /shards/N with N below {shards}")
    delivery = read_delivery(envelope)
    message = envelope["message"] if isinstance(envelope, dict) else {}
    attributes = message.get("attributes")
    kind = attributes.get("task") if isinstance(attributes, dict) else None
    if kind not in TASKS:
        raise EnvelopeError(f"message.attributes.task: found {kind!r}, expected one of {', '.join(TASKS)}")
    return Task(int(match[1]), kind, delivery)


@dataclass
class Instance:
    """One instance of the function: its settings, systems and services, and its state between requests."""

    settings: Settings
    systems: Mapping[str, CollectedSystem]
    services: Services
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)  # name → value
    request_state: RequestState = field(default_factory=RequestState)
    _file_urls: dict[str, dict[str, str]] = field(default_factory=dict)
    _file_urls_read_at: datetime = BEFORE_FIRST_TICK
    _newest_ticks: dict[int, datetime] = field(default_factory=dict)  # by shard
    _closed: set[datetime] = field(default_factory=set)  # minutes whose rows are all loaded
    _lock: Lock = field(default_factory=Lock)

    def run_task(self, task: Task) -> None:
        """Run a task. Errors are raised, so that Pub/Sub redelivers the message."""
        tick, is_first = task.delivery.tick, task.delivery.is_first
        if task.kind == "discover":
            discover_systems(
                self._make_discovery_shard(task.shard), self.services, tick, None, may_exist=not is_first
            )
            return
        files = self._get_file_urls(task)
        requests = [
            self.make_request(self.systems[system_id], STATION_STATUS.name, urls[STATION_STATUS.name])
            for system_id, urls in sorted(files.items())
            if self._is_due(system_id, urls, task)
        ]
        shard = self._make_shard(task.shard, requests)
        self._restore_request_state(task.shard, tick)
        collect_shard(shard, self.services, self.request_state, task.delivery)
        close_minutes(shard, self.services, tick, self._closed)

    def _restore_request_state(self, shard: int, tick: datetime) -> None:
        """Record the latest packs of the shard that other instances stored."""
        minutes = range(CATCH_UP_MINUTES, 0, -1)
        earlier = [tick - timedelta(minutes=minute) for minute in minutes]
        since = self._newest_ticks.get(shard, BEFORE_FIRST_TICK)
        store = ObjectStore(self.services.storage, self.settings.packs_bucket)
        for each in earlier:
            if each > since and (pack := store.read(pack_name(each, shard))) is not None:
                self.request_state.record(read_pack(pack), each)
        self._newest_ticks[shard] = max(since, tick)

    def make_request(self, system: CollectedSystem, file: str, url: str) -> Request:
        """Return the request for a system's file, with the values of its secrets."""
        secrets = tuple((name, self.secrets[secret]) for name, secret in system.headers.items())
        return Request(system.system_id, file, url, secrets=secrets)

    def _is_due(self, system_id: str, urls: Mapping[str, str], task: Task) -> bool:
        url = urls.get(STATION_STATUS.name)
        minute = int(task.delivery.tick.timestamp()) // 60
        every = self.systems[system_id].interval_minutes
        return url is not None and minute % every == 0 and self._assign_shard(url) == task.shard

    def _get_file_urls(self, task: Task) -> dict[str, dict[str, str]]:
        """Return the file URLs of each system; discovers systems of this shard that are not known yet."""
        with self._lock:
            now = self.services.now()
            store = ObjectStore(self.services.storage, self.settings.packs_bucket)
            if now - self._file_urls_read_at > KNOWN_STATE_LIFETIME:
                states = [read_newest_state(store, number) for number in range(self.settings.shards)]
                self._file_urls = self._merge_states(states)
                self._file_urls_read_at = now
            shard = self._make_discovery_shard(task.shard)
            is_retry = task.delivery.tick.minute == RETRY_MINUTE
            new = [
                system_id
                for system_id in shard.systems
                if system_id not in self._file_urls or (is_retry and not self._file_urls[system_id])
            ]
            if new:
                may_exist = not task.delivery.is_first
                state = discover_systems(shard, self.services, task.delivery.tick, new, may_exist=may_exist)
                self._file_urls |= self._merge_states([state])
            return dict(self._file_urls)

    def _merge_states(self, states: list[KnownState]) -> dict[str, dict[str, str]]:
        """Return the file URLs by system; of a system that has moved to another shard, the newest state is used."""
        ordered = sorted(states, key=lambda state: state.tick)
        return {
            system_id: known.files
            for state in ordered
            for system_id, known in state.known.items()
            if system_id in self.systems
        }

    def _make_discovery_shard(self, number: int) -> DiscoveryShard:
        mine = {
            system_id: system
            for system_id, system in self.systems.items()
            if self._assign_shard(system.discovery_url) == number
        }
        return DiscoveryShard(
            number=number,
            systems=mine,
            collected=frozenset(self.systems),
            make_request=self.make_request,
            bucket=self.settings.packs_bucket,
            dataset=self.settings.dataset,
            catalogue_url=self.settings.catalogue_url,
            limits=self._make_limits(),
        )

    def _make_shard(self, number: int, requests: list[Request]) -> Shard:
        dataset = self.settings.dataset
        return Shard(
            number=number,
            requests=requests,
            bucket=self.settings.packs_bucket,
            station_status_table=f"{dataset}.{STATION_STATUS_TABLE.name}",
            polls_table=f"{dataset}.{POLLS_TABLE.name}",
            quarantine_table=f"{dataset}.quarantine",
            limits=self._make_limits(),
            shards=self.settings.shards,
        )

    def _make_limits(self) -> Limits:
        return replace(Limits(), deadline_s=self.settings.deadline_s, request_s=self.settings.request_s)

    def _assign_shard(self, url: str) -> int:
        return assign_shard(url, self.settings.shards)
