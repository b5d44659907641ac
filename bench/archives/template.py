"""The template of generated responses: a recorded one, split at the values that change."""

import json
import random
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any

STATIONS = 289
NEW_STATION = 9_001
_SLOTS = ("nbvelosdispo", "nbplacesdispo", "datemiseajour", "record_timestamp")
_SLOT = re.compile('"<(' + "|".join(_SLOTS) + ')>"')


class Template:
    """A recorded response, split at the values that change: bikes, docks, and two times."""

    def __init__(self, recorded: bytes) -> None:
        document = json.loads(recorded)
        samples = document["records"]
        count = len(samples) if len(samples) > STATIONS // 2 else STATIONS
        records = [
            _make_station_template(samples[i % len(samples)], i, is_own=i < len(samples))
            for i in range(count)
        ]
        self.extra = _split_at_slots(_make_station_template(samples[0], NEW_STATION, is_own=False))
        self.stations = [_split_at_slots(record) for record in records]
        self.is_live = [record["fields"].get("etat") == "EN SERVICE" for record in records]
        self.order = _SLOT.findall(format_json(records[0]))
        if sorted(self.order) != sorted(_SLOTS) or any(
            _SLOT.findall(format_json(record)) != self.order for record in records
        ):
            raise ValueError(f"expected {', '.join(_SLOTS)} once in every record, in the same order")
        prefix, suffix = format_json(document | {"nhits": count, "records": ["<records>"]}).split(
            '"<records>"'
        )
        self.prefix, self.suffix = prefix.encode(), suffix.encode()

    @cached_property
    def pieces(self) -> list[bytes]:
        """The response in pieces, with every other item empty for a value."""
        pieces: list[bytes] = [self.prefix]
        for number, (head, *rest) in enumerate(self.stations):
            pieces[-1] += (b", " if number else b"") + head
            for piece in rest:
                pieces += [b"", piece]
        pieces[-1] += self.suffix
        return pieces

    def format_record(self, station: int | None, values: Mapping[str, bytes]) -> bytes:
        """Return the JSON of a station's record; of an additional station for None."""
        cut = self.extra if station is None else self.stations[station]
        return cut[0] + b"".join(
            values[name] + piece for name, piece in zip(self.order, cut[1:], strict=True)
        )

    def format_response(self, records: list[bytes]) -> bytes:
        """Return a response with these records."""
        return self.prefix + b", ".join(records) + self.suffix


def _make_station_template(sample: dict[str, Any], number: int, *, is_own: bool) -> dict[str, Any]:
    fields = sample["fields"] | {"nbvelosdispo": "<nbvelosdispo>", "nbplacesdispo": "<nbplacesdispo>"}
    fields |= {"datemiseajour": "<datemiseajour>"}
    record = sample | {"fields": fields, "record_timestamp": "<record_timestamp>"}
    if not is_own:
        _vary_record(record, fields, number)
    return record


def _vary_record(record: dict[str, Any], fields: dict[str, Any], number: int) -> None:
    """Change a copied record as much as neighbouring stations differ, so that it does not compress better."""
    rng = random.Random(number)  # noqa: S311 - plausible, not secret
    longitude, latitude = (
        round(each + rng.uniform(-0.05, 0.05), 5) for each in record["geometry"]["coordinates"]
    )
    record["recordid"] = f"{rng.getrandbits(160):040x}"
    record["geometry"] = record["geometry"] | {"coordinates": [longitude, latitude]}
    fields |= {"libelle": number + 1_000, "nom": f"{fields['nom']} {number}"}
    fields |= {"adresse": f"{rng.randint(1, 300)} {fields['adresse']}"}
    fields |= {key: [latitude, longitude] for key in ("geo", "localisation") if key in fields}


def format_json(value: Any) -> str:
    return json.dumps(value)  # as the API formats it: ASCII, a space after each comma


def _split_at_slots(record: dict[str, Any]) -> list[bytes]:
    return [piece.encode() for piece in _SLOT.split(format_json(record))[::2]]
