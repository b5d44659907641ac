"""`python -m bench.gbfs.shard URLS SHARD SHARDS FOLDER RESULT`: collect one minute of a shard, as the function does.

A folder takes the place of the bucket, and load jobs only count their bytes.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

from bench.gbfs.systems import MINUTE
from collector.envelope import Delivery
from gbfs.collection.packs import pack_name, read_pack
from gbfs.collection.rows import summarize_result
from gbfs.collection.shards import split_by_shard
from gbfs_collector.fetching import Limits, Request
from gbfs_collector.request_state import RequestState
from gbfs_collector.storage import ObjectStore, StoredObject
from gbfs_collector.tick import Services, Shard, collect_shard

TABLES = ("station_status", "polls", "quarantine")


@dataclass(frozen=True)
class FolderStore(ObjectStore):
    """A folder instead of a bucket; `bucket` is its path. Counts its calls."""

    calls: ClassVar[Counter[str]] = Counter()

    def read(self, name: str) -> bytes | None:
        """Return an object's content, or None if it does not exist."""
        self.calls["reads"] += 1
        path = Path(self.bucket, name)
        return path.read_bytes() if path.exists() else None

    def create(self, name: str, content: bytes, content_type: str) -> StoredObject:
        """Create an object."""
        self.calls["creates"] += 1
        path = Path(self.bucket, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return StoredObject(content, is_new=True)

    def list_names(self, prefix: str, limit: int | None = None) -> Iterator[str]:
        """Yield object names with a prefix, in order."""
        self.calls["lists"] += 1
        files = (path for path in Path(self.bucket).rglob("*") if path.is_file())
        names = sorted(path.relative_to(self.bucket).as_posix() for path in files)
        yield from (name for name in names if name.startswith(prefix))


@dataclass
class LoadJobs:
    """Counts the jobs, bytes and rows by table."""

    counts: Counter[str] = field(default_factory=Counter)

    def load(self, _client: Any, table: str, lines: bytes, *_: object) -> bool:
        """Take the place of `load_lines_once`."""
        counted = {"load_jobs": 1, "load_bytes": len(lines), f"{table}_bytes": len(lines)}
        self.counts.update(counted | {f"{table}_rows": lines.count(b"\n")})
        return True


def main(urls_file: str, number: str, count: str, folder: str, result: str) -> None:
    """Collect the minute and write its counts as JSON; `seconds` excludes the start of Python."""
    urls: dict[str, str] = json.loads(Path(urls_file).read_text())
    shards, jobs = int(count), LoadJobs()
    mine = split_by_shard(urls, shards)[int(number)]
    requests = [Request(system_id, "station_status", urls[system_id]) for system_id in mine]
    shard = Shard(int(number), requests, folder, *TABLES, limits=Limits(), shards=shards)
    services = Services(None, None, lambda: datetime.now(UTC))  # type: ignore[arg-type]  # no clients are needed
    started = time.perf_counter()
    with (
        patch("gbfs_collector.tick.ObjectStore", FolderStore),
        patch("gbfs_collector.tick.load_lines_once", jobs.load),
    ):
        collect_shard(shard, services, RequestState(), Delivery(MINUTE, is_first=True))
    seconds = time.perf_counter() - started
    pack = Path(folder, pack_name(MINUTE, shard.number))
    outcomes = Counter(summarize_result(each).outcome for each in read_pack(pack.read_bytes()))
    counts = {
        "systems": len(mine),
        "received": outcomes["received"],
        "failed": outcomes["failed"],
        "pack_bytes": pack.stat().st_size,
        "seconds": seconds,
    }
    Path(result).write_text(json.dumps(counts | dict(jobs.counts) | dict(FolderStore.calls)))


if __name__ == "__main__":
    main(*sys.argv[1:])
