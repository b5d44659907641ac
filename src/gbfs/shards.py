"""Which shard requests a system, and when a file may be requested again: polite, and the same on every machine."""

import hashlib
import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

LEAST_MINUTES = 1
MOST_MINUTES = 24 * 60  # a ttl or a Retry-After of more would lose a system for days
_BACKOFF_MINUTES = (1, 1, 2, 5, 10, 30)  # after so many failures in a row, the last for all that follow


def shard_of(url: str, shards: int) -> int:
    """Return the shard that requests a URL: all URLs of a host have the same, so that one place counts its requests.

    By rendezvous hashing: of n shards, one more takes 1/(n+1) of the hosts over and leaves the others where they are.
    """
    host = host_of(url)
    return max(range(shards), key=lambda shard: hashlib.sha256(f"{host} {shard}".encode()).digest())


def host_of(url: str) -> str:
    """Return the host of a URL with its port, without that of the scheme; "" where the URL has none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    host = (parts.hostname or "").lower()
    return host if port in {None, 443, 80} else f"{host}:{port}"


def split_by_shard(urls: Mapping[str, str], shards: int) -> tuple[tuple[str, ...], ...]:
    """Return the keys of each shard, in their order; `urls` has a URL for each key, such as a system id."""
    parts: list[list[str]] = [[] for _ in range(shards)]
    for key, url in urls.items():
        parts[shard_of(url, shards)].append(key)
    return tuple(tuple(part) for part in parts)


def retry_after_seconds(headers: Iterable[tuple[str, str]], now: datetime) -> float:
    """Return the seconds of a Retry-After header, which has seconds or a date; 0 where there is none to be read."""
    value = next((value for name, value in headers if name.lower() == "retry-after"), "").strip()
    if value.isascii() and value.isdigit() and len(value) < 10:
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return 0.0


def next_tick(
    tick: datetime, *, ttl_seconds: float = 0, retry_after_seconds: float = 0, failures: int = 0
) -> datetime:
    """Return the first tick at which a file may be requested again.

    The longest of a minute, the file's ttl, the server's Retry-After and the backoff after failures in a row, in whole
    minutes, so that a ttl of 60 seconds means each tick; at most a day.
    """
    backoff = _BACKOFF_MINUTES[min(failures, len(_BACKOFF_MINUTES)) - 1] if failures else LEAST_MINUTES
    wanted = max(math.ceil(ttl_seconds / 60), math.ceil(retry_after_seconds / 60), backoff, LEAST_MINUTES)
    return tick + timedelta(minutes=min(wanted, MOST_MINUTES))
