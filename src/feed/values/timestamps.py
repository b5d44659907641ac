"""Make converters of times that are no ISO 8601 timestamps with an offset."""

import math
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from feed.values.detection import ISO_TIMESTAMP
from feed.values.errors import ConversionError
from feed.values.scalars import CACHED_TIMES, CANONICAL_INTEGER, Converter, parse_datetime, parse_timestamp

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def make_format_converter(pattern: str, zone: str | None) -> Converter:
    """Return a converter of times in the strptime format `pattern`; times without an offset are in `zone`."""
    local = make_local_time_converter(zone or "UTC")

    def convert(value: Any) -> datetime:
        if type(value) is str:
            with suppress(ValueError, OverflowError):
                moment = datetime.strptime(value, pattern)  # noqa: DTZ007 - the zone is added below, where it has no offset
                if moment.tzinfo is not None:
                    return moment.astimezone(UTC)
                utc: datetime = local(moment.isoformat())
                return utc
        raise ConversionError(value, f"a TIMESTAMP written as {pattern}")

    return convert


def make_epoch_converter(microseconds: int, unit: str) -> Converter:
    def convert(value: Any) -> datetime:
        number = int(value) if type(value) is str and CANONICAL_INTEGER.fullmatch(value) else value
        if type(number) is str:  # GBFS 3 has RFC 3339 where earlier versions had seconds
            with suppress(ValueError, OverflowError):
                return parse_timestamp(number)
        if type(number) is int or (type(number) is float and math.isfinite(number)):
            try:
                return EPOCH + timedelta(microseconds=round(number * microseconds))
            except OverflowError:
                pass
        raise ConversionError(value, f"a TIMESTAMP as {unit} since 1970, within the years 1 to 9999")

    return convert


def make_local_time_converter(zone: str) -> Converter:
    """Return a converter of times without an offset, in `zone`; of a repeated hour, the first one is used.

    Such a time has `fold` 1 as a mark for `resolve_repeated_hour`, which knows the tick.
    """
    local = ZoneInfo(zone)

    @lru_cache(maxsize=CACHED_TIMES)
    def utc(text: str) -> datetime:
        if ISO_TIMESTAMP.fullmatch(text):
            return parse_timestamp(text)
        naive = parse_datetime(text)
        moment = naive.replace(tzinfo=local).astimezone(UTC)
        if moment.astimezone(local).replace(tzinfo=None) != naive:
            raise ValueError("does not exist, because summer time begins")
        is_twice = naive.replace(tzinfo=local, fold=1).astimezone(UTC) > moment
        return moment.replace(fold=int(is_twice))

    def convert(value: Any) -> datetime:
        if type(value) is str:
            try:
                return utc(value)
            except (ValueError, OverflowError):
                pass
        raise ConversionError(
            value, f"a TIMESTAMP (ISO 8601; without an offset: a local time that exists in {zone})"
        )

    return convert


def resolve_repeated_hour(moment: Any, zone: str, latest: datetime) -> Any:
    """Return the second time of a repeated hour unless it is after `latest`; any other value unchanged."""
    if moment is None or not moment.fold:
        return moment
    second = moment.astimezone(ZoneInfo(zone)).replace(fold=1).astimezone(UTC)
    return second if second <= latest else moment.replace(fold=0)
