"""`python -m bench.gbfs.shard URLS SHARD SHARDS RESULT`: collect one minute of a shard: requests, pack and rows."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from bench.gbfs.server import MINUTE
from gbfs.collection.packs import pack_name, read_pack, write_pack
from gbfs.collection.rows import make_rows
from gbfs.collection.shards import split_by_shard
from gbfs_collector.fetching import Limits, Request, fetch_all


def main(urls_file: str, number: str, of: str, result: str) -> None:
    """Collect the minute and write its counts as JSON."""
    urls: dict[str, str] = json.loads(Path(urls_file).read_text())
    shard = int(number)
    mine = split_by_shard(urls, int(of))[shard]
    wanted = [Request(system, "station_status", urls[system]) for system in mine]
    fetched = fetch_all(wanted, lambda: datetime.now(UTC), Limits())
    name = pack_name(MINUTE, shard)
    pack = write_pack(MINUTE, shard, fetched)
    del fetched
    rows = make_rows(read_pack(pack), MINUTE, name)
    lines = [json.dumps(row) for table in (rows.station_status, rows.polls, rows.quarantine) for row in table]
    outcomes = [str(poll["outcome"]) for poll in rows.polls]
    counts = {
        "systems": len(mine),
        "received": outcomes.count("received"),
        "failed": outcomes.count("failed"),
        "station_rows": len(rows.station_status),
        "pack_bytes": len(pack),
        "load_bytes": sum(map(len, lines)),
    }
    Path(result).write_text(json.dumps(counts))


if __name__ == "__main__":
    main(*sys.argv[1:])
