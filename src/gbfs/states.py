"""What is known of a shard's systems, as an object: the chain from which validity is told, one link per discovery.

A link is created and never replaced, and derives from the one before it. Its name has its number, so that of two
discoveries at once only one adds the next link; the newest one comes first in a listing.
"""

import gzip
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from gbfs.errors import GbfsError
from gbfs.packs import SUFFIX
from gbfs.validity import KnownSystem

BEFORE = datetime.min.replace(tzinfo=UTC)
_LAST = 10**8 - 1


@dataclass(frozen=True)
class State:
    """What a shard knows after its discovery at `tick`; `number` counts from 1, 0 is before the first one."""

    number: int = 0
    tick: datetime = BEFORE
    known: Mapping[str, KnownSystem] = field(default_factory=dict)
    rows_object: str = ""  # its rows to add; "" where there are none


def known_prefix(shard: int) -> str:
    """Return what the names of a shard's links begin with."""
    return f"gbfs/known/{shard:04d}/"


def known_name(shard: int, number: int) -> str:
    """Return the name of a link: numbers count down, since a listing begins with the least name."""
    return f"{known_prefix(shard)}{_LAST - number:08d}.json.gz"


def rows_name(shard: int, digest: str) -> str:
    """Return the name of the rows that a link adds, which has the digest of their content."""
    return f"gbfs/rows/{shard:04d}/{digest}.json.gz"


def discovery_pack_name(tick: datetime, shard: int) -> str:
    """Return the name of a discovery's pack: `gbfs/discovery/date=2026-05-01/20260501T0217Z_0003.warc.gz`."""
    moment = tick.astimezone(UTC)
    return f"gbfs/discovery/date={moment:%Y-%m-%d}/{moment:%Y%m%dT%H%MZ}_{shard:04d}{SUFFIX}"


def write_state(state: State) -> bytes:
    """Return a link's content; the same state gives the same bytes."""
    content = {
        "number": state.number,
        "tick": state.tick.isoformat(),
        "rows": state.rows_object,
        "systems": {system_id: asdict(known) for system_id, known in sorted(state.known.items())},
    }
    return pack_json(content)


def read_state(data: bytes) -> State:
    """Return what `write_state` was given. Raises GbfsError: damaged."""
    try:
        content = json.loads(gzip.decompress(data))
        known = {system_id: KnownSystem(**each) for system_id, each in content["systems"].items()}
        tick = datetime.fromisoformat(content["tick"])
        return State(content["number"], tick, known, content["rows"])
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise GbfsError("damaged", f"what is known of a shard's systems cannot be read: {error}") from error


def pack_json(content: object) -> bytes:
    """Return content as JSON in gzip, always the same bytes."""
    return gzip.compress(json.dumps(content, ensure_ascii=False).encode(), mtime=0)


def unpack_json(data: bytes) -> Any:
    """Return what `pack_json` was given. Raises GbfsError: damaged."""
    try:
        return json.loads(gzip.decompress(data))
    except (OSError, EOFError, ValueError) as error:
        raise GbfsError("damaged", f"rows of a discovery cannot be read: {error}") from error
