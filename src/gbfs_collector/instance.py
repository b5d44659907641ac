"""What an instance does with a pushed message: a shard's tick, or its discovery."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from threading import Lock

from collector.envelope import Delivery, EnvelopeError, read_delivery
from gbfs.model import STATION_STATUS
from gbfs.packs import pack_name, read_pack
from gbfs.roster import CollectedSystem
from gbfs.shards import shard_of
from gbfs.states import BEFORE, State
from gbfs.tables import POLLS_TABLE, STATION_STATUS_TABLE
from gbfs_collector.discovering import Discoverer, discover, newest_state
from gbfs_collector.fetching import Limits, Request
from gbfs_collector.memory import Memory
from gbfs_collector.settings import Settings
from gbfs_collector.stores import Store
from gbfs_collector.tick import Services, Shard, close_minutes, collect_shard

_PATH = re.compile(r"/shards/(\d{1,4})")
TASKS = ("collect", "discover")
CATCH_UP_MINUTES = 5  # of the packs that an instance reads where it has not made them
KNOWN_FOR = timedelta(minutes=10)  # how long an instance goes on with what was known
RETRIED_AT = 17  # the minute of each hour in which systems that could not be reached are looked at again


@dataclass(frozen=True)
class Task:
    """What a message asks for: a shard's tick or discovery."""

    shard: int
    kind: str  # of TASKS
    delivery: Delivery


def read_task(path: str, envelope: object, shards: int) -> Task:
    """Return the task of a message that Pub/Sub pushed to /shards/N; its attribute `task` says which. EnvelopeError."""
    match = _PATH.fullmatch(path)
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
    """One instance of the function: its settings and systems, what it calls, and what it remembers."""

    settings: Settings
    systems: Mapping[str, CollectedSystem]
    services: Services
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)  # name → value
    memory: Memory = field(default_factory=Memory)
    _known: dict[str, dict[str, str]] = field(default_factory=dict)
    _known_at: datetime = BEFORE
    _remembered: dict[int, datetime] = field(default_factory=dict)  # by shard: its newest tick
    _closed: set[datetime] = field(default_factory=set)  # minutes of which all rows are loaded
    _lock: Lock = field(default_factory=Lock)

    def run(self, task: Task) -> None:
        """Do a task. Whatever fails is raised, and delivered again."""
        tick, is_first = task.delivery.tick, task.delivery.is_first
        if task.kind == "discover":
            discover(self._discoverer(task.shard), self.services, tick, None, look=not is_first)
            return
        files = self._files(task)
        requests = [
            self.request(self.systems[system_id], STATION_STATUS.name, urls[STATION_STATUS.name])
            for system_id, urls in sorted(files.items())
            if self._is_due(system_id, urls, task)
        ]
        shard = self._shard(task.shard, requests)
        self._catch_up(task.shard, tick)
        collect_shard(shard, self.services, self.memory, task.delivery)
        close_minutes(shard, self.services, tick, self._closed)

    def _catch_up(self, shard: int, tick: datetime) -> None:
        """Remember the shard's last packs where other instances have made them: who may be requested, and how."""
        minutes = range(CATCH_UP_MINUTES, 0, -1)
        earlier = [tick - timedelta(minutes=minute) for minute in minutes]
        since = self._remembered.get(shard, BEFORE)
        store = Store(self.services.storage, self.settings.packs_bucket)
        for each in earlier:
            if each > since and (pack := store.read(pack_name(each, shard))) is not None:
                self.memory.remember(read_pack(pack), each)
        self._remembered[shard] = max(since, tick)

    def request(self, system: CollectedSystem, file: str, url: str) -> Request:
        """Return the request of a system's file, with the values of its secrets."""
        secrets = tuple((name, self.secrets[secret]) for name, secret in system.headers.items())
        return Request(system.system_id, file, url, secrets=secrets)

    def _is_due(self, system_id: str, urls: Mapping[str, str], task: Task) -> bool:
        url = urls.get(STATION_STATUS.name)
        minute = int(task.delivery.tick.timestamp()) // 60
        every = self.systems[system_id].interval_minutes
        return url is not None and minute % every == 0 and self._shard_of(url) == task.shard

    def _files(self, task: Task) -> dict[str, dict[str, str]]:
        """Return the URLs of each system's files, after a discovery of those of this shard that are not known yet."""
        with self._lock:
            now = self.services.now()
            store = Store(self.services.storage, self.settings.packs_bucket)
            if now - self._known_at > KNOWN_FOR:
                states = [newest_state(store, number) for number in range(self.settings.shards)]
                self._known = self._merge(states)
                self._known_at = now
            shard = self._discoverer(task.shard)
            is_retry = task.delivery.tick.minute == RETRIED_AT
            new = [
                system_id
                for system_id in shard.systems
                if system_id not in self._known or (is_retry and not self._known[system_id])
            ]
            if new:
                look = not task.delivery.is_first
                state = discover(shard, self.services, task.delivery.tick, new, look=look)
                self._known |= self._merge([state])
            return dict(self._known)

    def _merge(self, states: list[State]) -> dict[str, dict[str, str]]:
        """Return the URLs by system: a system that has moved to another shard is known to both, the newest counts."""
        ordered = sorted(states, key=lambda state: state.tick)
        return {
            system_id: known.files
            for state in ordered
            for system_id, known in state.known.items()
            if system_id in self.systems
        }

    def _discoverer(self, number: int) -> Discoverer:
        mine = {
            system_id: system
            for system_id, system in self.systems.items()
            if self._shard_of(system.discovery_url) == number
        }
        return Discoverer(
            number=number,
            systems=mine,
            collected=frozenset(self.systems),
            requests_of=self.request,
            bucket=self.settings.packs_bucket,
            dataset=self.settings.dataset,
            catalogue_url=self.settings.catalogue_url,
            limits=self._limits(),
        )

    def _shard(self, number: int, requests: list[Request]) -> Shard:
        dataset = self.settings.dataset
        return Shard(
            number=number,
            requests=requests,
            bucket=self.settings.packs_bucket,
            station_status_table=f"{dataset}.{STATION_STATUS_TABLE.name}",
            polls_table=f"{dataset}.{POLLS_TABLE.name}",
            quarantine_table=f"{dataset}.quarantine",
            limits=self._limits(),
            shards=self.settings.shards,
        )

    def _limits(self) -> Limits:
        return replace(Limits(), deadline_s=self.settings.deadline_s, request_s=self.settings.request_s)

    def _shard_of(self, url: str) -> int:
        return shard_of(url, self.settings.shards)
