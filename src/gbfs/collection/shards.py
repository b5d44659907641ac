"""Assign systems to shards, and compute when a file may be requested again; both deterministically."""

import hashlib
import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

MIN_MINUTES = 1
MAX_MINUTES = 24 * 60  # a longer ttl or Retry-After would stop the collection of a system for days
_BACKOFF_MINUTES = (1, 1, 2, 5, 10, 30)  # by number of consecutive failures; the last for all further ones


def assign_shard(url: str, shards: int) -> int:
    """Return the shard that requests a URL: one shard for all URLs of a host, so that it can limit the host's requests.

    Rendezvous hashing: adding a shard to n moves 1/(n+1) of the hosts to it, and no others.
    """
    host = parse_host(url)
    return max(range(shards), key=lambda shard: hashlib.sha256(f"{host} {shard}".encode()).digest())


def parse_host(url: str) -> str:
    """Return the host of a URL, with its port unless it is the default one; "" if there is no host."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    host = (parts.hostname or "").lower()
    return host if port in {None, 443, 80} else f"{host}:{port}"


def split_by_shard(urls: Mapping[str, str], shards: int) -> tuple[tuple[str, ...], ...]:
    """Return the keys of each shard, in order; `urls` maps keys, such as system IDs, to URLs."""
    parts: list[list[str]] = [[] for _ in range(shards)]
    for key, url in urls.items():
        parts[assign_shard(url, shards)].append(key)
    return tuple(tuple(part) for part in parts)


def parse_retry_after(headers: Iterable[tuple[str, str]], now: datetime) -> float:
    """Return the seconds of a Retry-After header, given in seconds or as a date; 0 if it is missing or invalid."""
    value = next((value for name, value in headers if name.lower() == "retry-after"), "").strip()
    if value.isascii() and value.isdigit() and len(value) < 10:
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return 0.0


def compute_next_tick(
    tick: datetime, *, ttl_seconds: float = 0, retry_after_seconds: float = 0, failures: int = 0
) -> datetime:
    """Return the first tick at which a file may be requested again.

    The delay is the longest of a minute, the file's ttl, the server's Retry-After and the backoff after consecutive
    failures, rounded up to minutes, at most a day. A ttl of 60 seconds means every tick.
    """
    backoff = _BACKOFF_MINUTES[min(failures, len(_BACKOFF_MINUTES)) - 1] if failures else MIN_MINUTES
    wanted = max(math.ceil(ttl_seconds / 60), math.ceil(retry_after_seconds / 60), backoff, MIN_MINUTES)
    return tick + timedelta(minutes=min(wanted, MAX_MINUTES))
