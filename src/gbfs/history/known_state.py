"""The known state of a shard's systems, one object per discovery, from which the next discovery finds changes.

A state is derived from the previous one, and its object is never replaced. The object's name contains its number, so
that only one of two concurrent discoveries can create the next state; the newest one is listed first.
"""

import gzip
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from gbfs.collection.packs import SUFFIX
from gbfs.errors import GbfsError
from gbfs.history.validity import KnownSystem

BEFORE_FIRST_TICK = datetime.min.replace(tzinfo=UTC)
_LAST_NUMBER = 10**8 - 1


@dataclass(frozen=True)
class KnownState:
    """The known state after the discovery at `tick`; `number` counts from 1, 0 means no discovery yet."""

    number: int = 0
    tick: datetime = BEFORE_FIRST_TICK
    known: Mapping[str, KnownSystem] = field(default_factory=dict)
    rows_object: str = ""  # object with the rows that it adds; "" if there are none


def state_prefix(shard: int) -> str:
    """Return the prefix of the object names of a shard's states."""
    return f"gbfs/known/{shard:04d}/"


def state_name(shard: int, number: int) -> str:
    """Return the object name of a state: the number counts down, since listings are in ascending order."""
    return f"{state_prefix(shard)}{_LAST_NUMBER - number:08d}.json.gz"


def rows_object_name(shard: int, digest: str) -> str:
    """Return the object name of the rows that a state adds, with the digest of their content."""
    return f"gbfs/rows/{shard:04d}/{digest}.json.gz"


def discovery_pack_name(tick: datetime, shard: int) -> str:
    """Return the object name of a discovery's pack: `gbfs/discovery/date=2026-05-01/20260501T0217Z_0003.warc.gz`."""
    moment = tick.astimezone(UTC)
    return f"gbfs/discovery/date={moment:%Y-%m-%d}/{moment:%Y%m%dT%H%MZ}_{shard:04d}{SUFFIX}"


def encode_state(state: KnownState) -> bytes:
    """Encode a state, deterministically."""
    content = {
        "number": state.number,
        "tick": state.tick.isoformat(),
        "rows": state.rows_object,
        "systems": {system_id: asdict(known) for system_id, known in sorted(state.known.items())},
    }
    return compress_json(content)


def decode_state(data: bytes) -> KnownState:
    """Decode a state. Raises GbfsError (damaged)."""
    try:
        content = json.loads(gzip.decompress(data))
        known = {system_id: KnownSystem(**each) for system_id, each in content["systems"].items()}
        tick = datetime.fromisoformat(content["tick"])
        return KnownState(content["number"], tick, known, content["rows"])
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise GbfsError("damaged", f"the known state of a shard cannot be read: {error}") from error


def compress_json(content: object) -> bytes:
    """Encode content as gzip-compressed JSON, deterministically."""
    return gzip.compress(json.dumps(content, ensure_ascii=False).encode(), mtime=0)


def decompress_json(data: bytes) -> Any:
    """Decode gzip-compressed JSON. Raises GbfsError (damaged)."""
    try:
        return json.loads(gzip.decompress(data))
    except (OSError, EOFError, ValueError) as error:
        raise GbfsError("damaged", f"the rows of a discovery cannot be read: {error}") from error
