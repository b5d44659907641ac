"""Generate plausible responses, minute by minute, with the faults that the feed has had, and their expected rows.

This module uses nothing of `src`: the expected rows follow from the generation, not from parsing. The same template,
plan and seed give the same bytes, in whichever order the days are generated.
"""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bench.archives.template import Template, format_json

PARIS = ZoneInfo("Europe/Paris")
CAPACITIES = range(12, 41)
MOVES_PER_MINUTE = 40  # bikes taken or returned per minute
REPORT_MINUTES = 10  # every station reports at least this often
DAY_MINUTES = 24 * 60
STATION_COUNT_CHANGE_RATE = 0.02  # share of responses with one station more or fewer
STALE_MINUTES = (60, 180)
STALE_RARITY = 100  # how much rarer than other faults it starts, since it lasts
HTML = b"<!DOCTYPE html>\n<html><head><title>503</title></head><body>Maintenance en cours</body></html>\n"
ERROR = b'{"errorcode": 10002, "error": "Too many requests for dataset vlille-realtime"}'


@dataclass(frozen=True)
class Plan:
    """The plan of an archive: `minutes` responses from `first` on, none on the days of `pause` (inclusive)."""

    first: date
    minutes: int
    seed: int = 1
    fault_rate: float = 0.02  # share of faulty responses
    step: int = 1  # minutes between responses
    pause: tuple[date, date] | None = None

    @property
    def days(self) -> list[tuple[date, int]]:
        """Each UTC day with responses, and their number."""
        per_day, days, left, day = DAY_MINUTES // self.step, [], self.minutes, self.first
        while left > 0:
            if self.pause is None or not self.pause[0] <= day <= self.pause[1]:
                days.append((day, min(left, per_day)))
                left -= per_day
            day += timedelta(1)
        return days


@dataclass(frozen=True)
class GeneratedResponse:
    """One response, and the rows and rejections that it must produce."""

    tick: datetime
    body: bytes
    rows: int = 0
    bikes: int = 0
    docks: int = 0
    reason: str | None = None  # why the whole response is rejected
    rejected: tuple[tuple[int, str], ...] = ()
    is_damaged: bool = False  # its gzip file is truncated


@dataclass
class _State:
    """The availability at one time, as numbers and as JSON texts."""

    bikes: list[int]
    docks: list[int]
    texts: dict[str, list[bytes]]

    def values(self, station: int) -> dict[str, bytes]:
        return {name: texts[station] for name, texts in self.texts.items()}


_NUMBERS = [str(number).encode() for number in range(CAPACITIES.stop + 1)]


def generate_responses(template: Template, plan: Plan, day: date, count: int) -> Iterator[GeneratedResponse]:
    """Yield the first `count` responses of one UTC day, in order of time."""
    rng = random.Random(f"{plan.seed}/{day}")  # noqa: S311 - plausible, not secret
    state = _make_initial_state(template, rng)
    midnight = datetime.combine(day, time(), UTC)
    stale: GeneratedResponse | None = None
    stale_until = midnight
    for minute in range(0, count * plan.step, plan.step):
        tick = midnight + timedelta(minutes=minute)
        _advance_state(template, state, rng, tick, minute)
        if stale is not None and tick < stale_until:
            yield GeneratedResponse(tick, stale.body, stale.rows, stale.bikes, stale.docks)
            continue
        if rng.random() < plan.fault_rate:
            make_faulty = rng.choice(_FAULT_MAKERS)
            yield make_faulty(template, state, rng, tick)
        elif rng.random() < STATION_COUNT_CHANGE_RATE:
            yield (make_with_one_station_fewer if rng.random() < 0.5 else make_with_one_station_more)(
                template, state, rng, tick
            )
        else:
            response = _make_valid(template, state, tick)
            if rng.random() < plan.fault_rate / STALE_RARITY:
                stale, stale_until = response, tick + timedelta(minutes=rng.randint(*STALE_MINUTES))
            yield response


def _make_initial_state(template: Template, rng: random.Random) -> _State:
    count = len(template.stations)
    capacities = [rng.choice(CAPACITIES) if live else 0 for live in template.is_live]
    bikes = [rng.randint(0, capacity) for capacity in capacities]
    docks = [capacity - bike for capacity, bike in zip(capacities, bikes, strict=True)]
    texts = {
        "nbvelosdispo": [_NUMBERS[number] for number in bikes],
        "nbplacesdispo": [_NUMBERS[number] for number in docks],
        "datemiseajour": [b'"2022-11-29T10:47:16+01:00"'] * count,
        "record_timestamp": [b""] * count,
    }
    return _State(bikes, docks, texts)


def _advance_state(
    template: Template, state: _State, rng: random.Random, tick: datetime, minute: int
) -> None:
    local = tick.astimezone(PARIS)
    bikes, docks = state.bikes, state.docks
    bike_texts, dock_texts = state.texts["nbvelosdispo"], state.texts["nbplacesdispo"]
    reported = state.texts["datemiseajour"]
    now = f'"{(local - timedelta(seconds=21)).isoformat()}"'.encode()
    count = len(bikes)
    is_first = not state.texts["record_timestamp"][0]
    for station in range(
        0 if is_first else minute % REPORT_MINUTES, count, 1 if is_first else REPORT_MINUTES
    ):
        if template.is_live[station]:
            reported[station] = now
    for station in rng.choices(range(count), k=MOVES_PER_MINUTE):
        step = 1 if rng.random() < 0.5 else -1
        if bikes[station] + step >= 0 and docks[station] - step >= 0:
            bikes[station] += step
            docks[station] -= step
            bike_texts[station], dock_texts[station] = _NUMBERS[bikes[station]], _NUMBERS[docks[station]]
            reported[station] = now
    stamp = f'"{(local - timedelta(seconds=58)).isoformat()[:19]}.34{local.isoformat()[19:]}"'.encode()
    state.texts["record_timestamp"] = [stamp] * count


def _make_valid(template: Template, state: _State, tick: datetime) -> GeneratedResponse:
    pieces = template.pieces
    for position, name in enumerate(template.order):
        pieces[1 + 2 * position :: 2 * len(template.order)] = state.texts[name]
    return GeneratedResponse(tick, b"".join(pieces), len(state.bikes), sum(state.bikes), sum(state.docks))


# --- faults, each with its expected rows and rejections --------------------------------------------

ResponseMaker = Callable[[Template, _State, random.Random, datetime], GeneratedResponse]


def _format_records(template: Template, state: _State) -> list[bytes]:
    return [template.format_record(station, state.values(station)) for station in range(len(state.bikes))]


def _expect_without(state: _State, station: int, **changed: Any) -> dict[str, Any]:
    """Return the expected totals without the row of one station."""
    return {
        "rows": len(state.bikes) - 1,
        "bikes": sum(state.bikes) - state.bikes[station],
        "docks": sum(state.docks) - state.docks[station],
    } | changed


def make_with_one_station_fewer(
    template: Template, state: _State, rng: random.Random, tick: datetime
) -> GeneratedResponse:
    """Return a response with 288 stations."""
    station = rng.randrange(len(state.bikes))
    records = _format_records(template, state)
    del records[station]
    return GeneratedResponse(tick, template.format_response(records), **_expect_without(state, station))


def make_with_one_station_more(
    template: Template, state: _State, rng: random.Random, tick: datetime
) -> GeneratedResponse:
    """Return a response with 290 stations."""
    bikes = rng.choice(CAPACITIES)
    values = state.values(0) | {"nbvelosdispo": _NUMBERS[bikes], "nbplacesdispo": b"0"}
    body = template.format_response([*_format_records(template, state), template.format_record(None, values)])
    return GeneratedResponse(tick, body, len(state.bikes) + 1, sum(state.bikes) + bikes, sum(state.docks))


def _make_html(_template: Template, _state: _State, _rng: random.Random, tick: datetime) -> GeneratedResponse:
    return GeneratedResponse(tick, HTML, reason="html")


def _make_error(
    _template: Template, _state: _State, _rng: random.Random, tick: datetime
) -> GeneratedResponse:
    return GeneratedResponse(tick, ERROR, reason="no_records")


def _make_empty(template: Template, _state: _State, _rng: random.Random, tick: datetime) -> GeneratedResponse:
    return GeneratedResponse(tick, template.format_response([]), reason="empty")


def _make_blank(
    _template: Template, _state: _State, _rng: random.Random, tick: datetime
) -> GeneratedResponse:
    return GeneratedResponse(tick, b"\n", reason="empty")


def _make_truncated(
    template: Template, state: _State, rng: random.Random, tick: datetime
) -> GeneratedResponse:
    body = _make_valid(template, state, tick).body
    return GeneratedResponse(tick, body[: rng.randrange(len(body) // 4, len(body) - 1)], reason="truncated")


def _make_damaged(
    template: Template, state: _State, _rng: random.Random, tick: datetime
) -> GeneratedResponse:
    return GeneratedResponse(
        tick, _make_valid(template, state, tick).body, reason="unreadable", is_damaged=True
    )


def _make_indented(
    template: Template, state: _State, _rng: random.Random, tick: datetime
) -> GeneratedResponse:
    response = _make_valid(template, state, tick)
    body = json.dumps(json.loads(response.body), indent=2, ensure_ascii=False).encode()
    return GeneratedResponse(tick, body, response.rows, response.bikes, response.docks)


def _make_duplicate(
    template: Template, state: _State, rng: random.Random, tick: datetime
) -> GeneratedResponse:
    response, records = _make_valid(template, state, tick), _format_records(template, state)
    records.append(rng.choice(records))
    rejected = ((len(records) - 1, "duplicate_key"),)
    return GeneratedResponse(
        tick,
        template.format_response(records),
        response.rows,
        response.bikes,
        response.docks,
        rejected=rejected,
    )


def _make_renamed(
    template: Template, state: _State, _rng: random.Random, tick: datetime
) -> GeneratedResponse:
    """Rename the field of the bikes: rows without them, and schema drift."""
    response = _make_valid(template, state, tick)
    body = response.body.replace(b'"nbvelosdispo":', b'"nb_velos_dispo":')
    return GeneratedResponse(tick, body, response.rows, 0, response.docks)


def _make_far_time(
    template: Template, state: _State, rng: random.Random, tick: datetime
) -> GeneratedResponse:
    response, records = _make_valid(template, state, tick), _format_records(template, state)
    station, year = rng.randrange(len(records)), rng.choice(("1970-01-01", "2099-12-31"))
    values = state.values(station) | {"datemiseajour": f'"{year}T00:00:00+00:00"'.encode()}
    records[station] = template.format_record(station, values)
    return GeneratedResponse(
        tick, template.format_response(records), response.rows, response.bikes, response.docks
    )


def _make_invalid_record(
    reason: str, invalidate: Callable[[dict[str, Any]], object], lost: str = "row"
) -> ResponseMaker:
    """Return a maker of responses with one invalid record: modified in place, or replaced by `invalidate`.

    `lost` is what the fault costs: the row, the number of bikes, or nothing.
    """

    def kind(template: Template, state: _State, rng: random.Random, tick: datetime) -> GeneratedResponse:
        records = _format_records(template, state)
        station = rng.randrange(len(records))
        record = json.loads(records[station])
        invalid = invalidate(record)
        records[station] = format_json(record if invalid is None else invalid).encode()
        right = _expect_without(state, station, rejected=((station, reason),))
        if lost != "row":
            bikes = sum(state.bikes) - (state.bikes[station] if lost == "bikes" else 0)
            right |= {"rows": len(state.bikes), "bikes": bikes, "docks": sum(state.docks)}
        return GeneratedResponse(tick, template.format_response(records), **right)

    return kind


_FAULT_MAKERS: tuple[ResponseMaker, ...] = (
    _make_html,
    _make_error,
    _make_empty,
    _make_blank,
    _make_truncated,
    _make_damaged,
    _make_indented,
    _make_duplicate,
    _make_renamed,
    _make_far_time,
    _make_invalid_record(
        "swapped_coordinates",
        lambda record: record["geometry"]["coordinates"].reverse(),
        "nothing",
    ),
    _make_invalid_record(
        "bad_value", lambda record: record["fields"].update(nbvelosdispo="beaucoup"), "bikes"
    ),
    _make_invalid_record("missing_key", lambda record: record["fields"].update(libelle=None)),
    _make_invalid_record("not_an_object", lambda record: [record["recordid"]]),
)
