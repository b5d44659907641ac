"""Plausible answers, minute after minute, with the accidents that the feed has had, and what is right of each.

Nothing of `src` is used here: what is right is known from what was made, not from how it is read. The same
template, plan and seed give the same bytes, whichever days are made in whichever order.
"""

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

PARIS = ZoneInfo("Europe/Paris")
STATIONS = 289
CAPACITIES = range(12, 41)
MOVES = 40  # stations that a bike is taken from or brought to, each minute
REPORT_MINUTES = 10  # within which each station reports, moved or not
DAY_MINUTES = 24 * 60
ODD_STATIONS = 0.02  # share of moments with one station more or one less
NEW_STATION = 9_001
STALE_MINUTES = (60, 180)
STALE_RARITY = 100  # it begins so much more rarely than other accidents, for it lasts
_SLOTS = ("nbvelosdispo", "nbplacesdispo", "datemiseajour", "record_timestamp")
_SLOT = re.compile('"<(' + "|".join(_SLOTS) + ')>"')
HTML = b"<!DOCTYPE html>\n<html><head><title>503</title></head><body>Maintenance en cours</body></html>\n"
ERROR = b'{"errorcode": 10002, "error": "Too many requests for dataset vlille-realtime"}'


@dataclass(frozen=True)
class Plan:
    """What is made: `minutes` answers from `first` on, none during the days of `pause` (both included)."""

    first: date
    minutes: int
    seed: int = 1
    accidents: float = 0.02  # share of the answers
    step: int = 1  # minutes between answers
    pause: tuple[date, date] | None = None

    @property
    def days(self) -> list[tuple[date, int]]:
        """Each UTC day with answers, and how many it has."""
        per_day, days, left, day = DAY_MINUTES // self.step, [], self.minutes, self.first
        while left > 0:
            if self.pause is None or not self.pause[0] <= day <= self.pause[1]:
                days.append((day, min(left, per_day)))
                left -= per_day
            day += timedelta(1)
        return days


@dataclass(frozen=True)
class Answer:
    """One answer as it was served, and what is right about it."""

    tick: datetime
    body: bytes
    rows: int = 0
    bikes: int = 0
    docks: int = 0
    reason: str | None = None  # why the whole of it cannot be used
    rejected: tuple[tuple[int, str], ...] = ()
    is_damaged: bool = False  # its gzip file is cut


class Template:
    """A recorded answer cut at the values that move: bikes, docks, and two times."""

    def __init__(self, recorded: bytes) -> None:
        document = json.loads(recorded)
        samples = document["records"]
        count = len(samples) if len(samples) > STATIONS // 2 else STATIONS
        records = [_station(samples[i % len(samples)], i, is_own=i < len(samples)) for i in range(count)]
        self.extra = _cut(_station(samples[0], NEW_STATION, is_own=False))
        self.stations = [_cut(record) for record in records]
        self.is_live = [record["fields"].get("etat") == "EN SERVICE" for record in records]
        self.order = _SLOT.findall(_text(records[0]))
        if sorted(self.order) != sorted(_SLOTS) or any(
            _SLOT.findall(_text(record)) != self.order for record in records
        ):
            raise ValueError(f"expected {', '.join(_SLOTS)} once in every record, in one order")
        before, after = _text(document | {"nhits": count, "records": ["<records>"]}).split('"<records>"')
        self.before, self.after = before.encode(), after.encode()

    @cached_property
    def pieces(self) -> list[bytes]:
        """The whole answer, a place between any two pieces left free for a value."""
        pieces: list[bytes] = [self.before]
        for number, (head, *rest) in enumerate(self.stations):
            pieces[-1] += (b", " if number else b"") + head
            for piece in rest:
                pieces += [b"", piece]
        pieces[-1] += self.after
        return pieces

    def record(self, station: int | None, values: Mapping[str, bytes]) -> bytes:
        """One record's text; the station that the template has not for None."""
        cut = self.extra if station is None else self.stations[station]
        return cut[0] + b"".join(
            values[name] + piece for name, piece in zip(self.order, cut[1:], strict=True)
        )

    def whole(self, records: list[bytes]) -> bytes:
        """An answer of these records."""
        return self.before + b", ".join(records) + self.after


def _station(sample: dict[str, Any], number: int, *, is_own: bool) -> dict[str, Any]:
    fields = sample["fields"] | {"nbvelosdispo": "<nbvelosdispo>", "nbplacesdispo": "<nbplacesdispo>"}
    fields |= {"datemiseajour": "<datemiseajour>"}
    record = sample | {"fields": fields, "record_timestamp": "<record_timestamp>"}
    if not is_own:
        _be_another(record, fields, number)
    return record


def _be_another(record: dict[str, Any], fields: dict[str, Any], number: int) -> None:
    """As different from the station it was made from as neighbours are, so that it is no easier to pack."""
    rng = random.Random(number)  # noqa: S311 - plausible, not secret
    longitude, latitude = (
        round(each + rng.uniform(-0.05, 0.05), 5) for each in record["geometry"]["coordinates"]
    )
    record["recordid"] = f"{rng.getrandbits(160):040x}"
    record["geometry"] = record["geometry"] | {"coordinates": [longitude, latitude]}
    fields |= {"libelle": number + 1_000, "nom": f"{fields['nom']} {number}"}
    fields |= {"adresse": f"{rng.randint(1, 300)} {fields['adresse']}"}
    fields |= {place: [latitude, longitude] for place in ("geo", "localisation") if place in fields}


def _text(value: Any) -> str:
    return json.dumps(value)  # the original's own way: ASCII, a blank after each comma


def _cut(record: dict[str, Any]) -> list[bytes]:
    return [piece.encode() for piece in _SLOT.split(_text(record))[::2]]


@dataclass
class _State:
    """The availability of one moment, as numbers and as the texts that go into an answer."""

    bikes: list[int]
    docks: list[int]
    texts: dict[str, list[bytes]]

    def values(self, station: int) -> dict[str, bytes]:
        return {name: texts[station] for name, texts in self.texts.items()}


_NUMBERS = [str(number).encode() for number in range(CAPACITIES.stop + 1)]


def answers_of(template: Template, plan: Plan, day: date, count: int) -> Iterator[Answer]:
    """The first `count` answers of one UTC day, in order of time."""
    rng = random.Random(f"{plan.seed}/{day}")  # noqa: S311 - plausible, not secret
    state = _dawn(template, rng)
    midnight = datetime.combine(day, time(), UTC)
    stale: Answer | None = None
    stale_until = midnight
    for minute in range(0, count * plan.step, plan.step):
        tick = midnight + timedelta(minutes=minute)
        _move(template, state, rng, tick, minute)
        if stale is not None and tick < stale_until:
            yield Answer(tick, stale.body, stale.rows, stale.bikes, stale.docks)
            continue
        if rng.random() < plan.accidents:
            kind = rng.choice(_KINDS)
            yield kind(template, state, rng, tick)
        elif rng.random() < ODD_STATIONS:
            yield (one_fewer if rng.random() < 0.5 else one_more)(template, state, rng, tick)
        else:
            answer = _plain(template, state, tick)
            if rng.random() < plan.accidents / STALE_RARITY:
                stale, stale_until = answer, tick + timedelta(minutes=rng.randint(*STALE_MINUTES))
            yield answer


def _dawn(template: Template, rng: random.Random) -> _State:
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


def _move(template: Template, state: _State, rng: random.Random, tick: datetime, minute: int) -> None:
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
    for station in rng.choices(range(count), k=MOVES):
        step = 1 if rng.random() < 0.5 else -1
        if bikes[station] + step >= 0 and docks[station] - step >= 0:
            bikes[station] += step
            docks[station] -= step
            bike_texts[station], dock_texts[station] = _NUMBERS[bikes[station]], _NUMBERS[docks[station]]
            reported[station] = now
    stamp = f'"{(local - timedelta(seconds=58)).isoformat()[:19]}.34{local.isoformat()[19:]}"'.encode()
    state.texts["record_timestamp"] = [stamp] * count


def _plain(template: Template, state: _State, tick: datetime) -> Answer:
    pieces = template.pieces
    for place, name in enumerate(template.order):
        pieces[1 + 2 * place :: 2 * len(template.order)] = state.texts[name]
    return Answer(tick, b"".join(pieces), len(state.bikes), sum(state.bikes), sum(state.docks))


# --- accidents, each with what is right about it --------------------------------------------------

Kind = Callable[[Template, _State, random.Random, datetime], Answer]


def _records(template: Template, state: _State) -> list[bytes]:
    return [template.record(station, state.values(station)) for station in range(len(state.bikes))]


def _without(state: _State, station: int, **changed: Any) -> dict[str, Any]:
    """What is right where one station's row is not loaded."""
    return {
        "rows": len(state.bikes) - 1,
        "bikes": sum(state.bikes) - state.bikes[station],
        "docks": sum(state.docks) - state.docks[station],
    } | changed


def one_fewer(template: Template, state: _State, rng: random.Random, tick: datetime) -> Answer:
    """288 stations."""
    station = rng.randrange(len(state.bikes))
    records = _records(template, state)
    del records[station]
    return Answer(tick, template.whole(records), **_without(state, station))


def one_more(template: Template, state: _State, rng: random.Random, tick: datetime) -> Answer:
    """290 stations."""
    bikes = rng.choice(CAPACITIES)
    values = state.values(0) | {"nbvelosdispo": _NUMBERS[bikes], "nbplacesdispo": b"0"}
    body = template.whole([*_records(template, state), template.record(None, values)])
    return Answer(tick, body, len(state.bikes) + 1, sum(state.bikes) + bikes, sum(state.docks))


def _html(_template: Template, _state: _State, _rng: random.Random, tick: datetime) -> Answer:
    return Answer(tick, HTML, reason="html")


def _error(_template: Template, _state: _State, _rng: random.Random, tick: datetime) -> Answer:
    return Answer(tick, ERROR, reason="no_records")


def _empty(template: Template, _state: _State, _rng: random.Random, tick: datetime) -> Answer:
    return Answer(tick, template.whole([]), reason="empty")


def _blank(_template: Template, _state: _State, _rng: random.Random, tick: datetime) -> Answer:
    return Answer(tick, b"\n", reason="empty")


def _truncated(template: Template, state: _State, rng: random.Random, tick: datetime) -> Answer:
    body = _plain(template, state, tick).body
    return Answer(tick, body[: rng.randrange(len(body) // 4, len(body) - 1)], reason="truncated")


def _damaged(template: Template, state: _State, _rng: random.Random, tick: datetime) -> Answer:
    return Answer(tick, _plain(template, state, tick).body, reason="unreadable", is_damaged=True)


def _pretty(template: Template, state: _State, _rng: random.Random, tick: datetime) -> Answer:
    answer = _plain(template, state, tick)
    body = json.dumps(json.loads(answer.body), indent=2, ensure_ascii=False).encode()
    return Answer(tick, body, answer.rows, answer.bikes, answer.docks)


def _duplicate(template: Template, state: _State, rng: random.Random, tick: datetime) -> Answer:
    answer, records = _plain(template, state, tick), _records(template, state)
    records.append(rng.choice(records))
    rejected = ((len(records) - 1, "duplicate_key"),)
    return Answer(tick, template.whole(records), answer.rows, answer.bikes, answer.docks, rejected=rejected)


def _renamed(template: Template, state: _State, _rng: random.Random, tick: datetime) -> Answer:
    """The bikes are under another name: rows without them, and a drift."""
    answer = _plain(template, state, tick)
    body = answer.body.replace(b'"nbvelosdispo":', b'"nb_velos_dispo":')
    return Answer(tick, body, answer.rows, 0, answer.docks)


def _far_time(template: Template, state: _State, rng: random.Random, tick: datetime) -> Answer:
    answer, records = _plain(template, state, tick), _records(template, state)
    station, year = rng.randrange(len(records)), rng.choice(("1970-01-01", "2099-12-31"))
    values = state.values(station) | {"datemiseajour": f'"{year}T00:00:00+00:00"'.encode()}
    records[station] = template.record(station, values)
    return Answer(tick, template.whole(records), answer.rows, answer.bikes, answer.docks)


def _spoilt(reason: str, spoil: Callable[[dict[str, Any]], object], lost: str = "row") -> Kind:
    """One record changed for the worse in place, or replaced by what `spoil` gives for it.

    `lost` is what its fault costs: the row, the number of bikes, or nothing.
    """

    def kind(template: Template, state: _State, rng: random.Random, tick: datetime) -> Answer:
        records = _records(template, state)
        station = rng.randrange(len(records))
        record = json.loads(records[station])
        spoilt = spoil(record)
        records[station] = _text(record if spoilt is None else spoilt).encode()
        right = _without(state, station, rejected=((station, reason),))
        if lost != "row":
            bikes = sum(state.bikes) - (state.bikes[station] if lost == "bikes" else 0)
            right |= {"rows": len(state.bikes), "bikes": bikes, "docks": sum(state.docks)}
        return Answer(tick, template.whole(records), **right)

    return kind


_KINDS: tuple[Kind, ...] = (
    _html,
    _error,
    _empty,
    _blank,
    _truncated,
    _damaged,
    _pretty,
    _duplicate,
    _renamed,
    _far_time,
    _spoilt("swapped_coordinates", lambda record: record["geometry"]["coordinates"].reverse(), "nothing"),
    _spoilt("bad_value", lambda record: record["fields"].update(nbvelosdispo="beaucoup"), "bikes"),
    _spoilt("missing_key", lambda record: record["fields"].update(libelle=None)),
    _spoilt("not_an_object", lambda record: [record["recordid"]]),
)
