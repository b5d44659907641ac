"""A generated day of V'Lille: 289 invented stations, whose bikes are ridden to work in the morning and home in the
evening.

No data was recorded: names, places and numbers are derived from a seed, in the size and format of the feeds' APIs. So
a demo, a test or a benchmark needs no recording.

`python -m local.feeds.generated_day vlille_ods` prints one response.
"""

import argparse
import json
import math
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from local.errors import LocalError

STATIONS = 289
SEED = 1
LILLE = ZoneInfo("Europe/Paris")
# The minute of docs/examples/vlille_ods.json.
EXAMPLE_MINUTE = datetime(2026, 10, 6, 6, 35, tzinfo=UTC)
FIRST_NUMBER = 501
REPORT_MINUTES = 10  # each station reports once within this time
KINDS_OF_STREET = (
    *("ALLÉE", "AVENUE", "BOULEVARD", "CHEMIN", "COUR", "ESPLANADE"),
    *("PARVIS", "PLACE", "QUAI", "RUE", "SQUARE", "VENELLE"),
)
NAMES_OF_STREETS = (
    *("DE L'ÉCUREUIL", "DE L'ORGE", "DE LA BROUETTE", "DE LA CHICORÉE", "DE LA DENTELLE", "DE LA LANTERNE"),
    *("DE LA TONNELLE", "DES AUBÉPINES", "DES BRASSEURS", "DES CIGOGNES", "DES FILEURS", "DES HOUBLONS"),
    *("DES JONQUILLES", "DES MÉSANGES", "DES ORMES", "DES PAVÉS", "DES TISSERANDS", "DU BEFFROI"),
    *(
        "DU CARILLON",
        "DU CERF-VOLANT",
        "DU GENÊT",
        "DU LIN",
        "DU MARTIN-PÊCHEUR",
        "DU MOULIN BLEU",
        "DU TILLEUL",
    ),
)
# Municipality, latitude and longitude near its centre, and its share of the stations.
COMMUNES = (
    ("LILLE", 50.632, 3.058, 50),
    ("VILLENEUVE D'ASCQ", 50.632, 3.138, 12),
    ("ROUBAIX", 50.690, 3.174, 11),
    ("TOURCOING", 50.722, 3.158, 8),
    ("MARCQ-EN-BARŒUL", 50.668, 3.092, 6),
    ("MONS-EN-BARŒUL", 50.642, 3.110, 5),
    ("LA MADELEINE", 50.655, 3.072, 5),
    ("LAMBERSART", 50.650, 3.025, 3),
)
POST_CODES = {
    "LILLE": "59000",
    "VILLENEUVE D'ASCQ": "59650",
    "ROUBAIX": "59100",
    "TOURCOING": "59200",
    "MARCQ-EN-BARŒUL": "59700",
    "MONS-EN-BARŒUL": "59370",
    "LA MADELEINE": "59110",
    "LAMBERSART": "59130",
}


@dataclass(frozen=True)
class Station:
    """An invented station. `rest` is its share of bikes at night, `swing` the change of that share during working
    hours.
    """

    number: int
    name: str
    address: str
    commune: str
    latitude: float
    longitude: float
    has_terminal: bool
    state: str
    capacity: int
    rest: float
    swing: float
    phase: float
    period: int

    @property
    def is_connected(self) -> bool:
        """Whether the station reports."""
        return self.state != "RÉFORMÉ"

    def bikes(self, minute: datetime) -> int:
        """Return the number of bikes at a minute: 0 ≤ result ≤ capacity."""
        if not self.is_connected:
            return 0
        passed = int(minute.timestamp()) // 60
        wave = 0.08 * math.sin(2 * math.pi * passed / self.period + self.phase)
        share = self.rest + self.swing * work_presence(minute.astimezone(LILLE)) + wave
        return max(0, min(self.capacity, round(share * self.capacity)))

    def reported(self, minute: datetime) -> datetime:
        """Return the time of the last report, at or before the minute."""
        if not self.is_connected:
            return datetime(2026, 3, 3, 9, 40, 5, tzinfo=UTC) + timedelta(hours=self.number)
        passed = int(minute.timestamp()) // 60
        ago = (passed + self.number) % REPORT_MINUTES * 60 + self.number * 7 % 60
        return minute - timedelta(seconds=ago)


def work_presence(local: datetime) -> float:
    """Return the share of people who are at work at a local time: 0 at night, 1 by day, less on weekends."""
    hour = local.hour + local.minute / 60
    there = min(_smooth_rise(hour, 6.5, 9.25), 1 - _smooth_rise(hour, 16.5, 19.5))
    return there * (0.25 if local.weekday() > 4 else 1.0)


def _smooth_rise(hour: float, begin: float, end: float) -> float:
    part = max(0.0, min(1.0, (hour - begin) / (end - begin)))
    return part * part * (3 - 2 * part)


def make_stations(seed: int = SEED) -> list[Station]:
    """Return the stations of a seed; their positions are within the bounds of the feeds."""
    rng = random.Random(seed)  # noqa: S311 - not for secrets
    names = [f"{kind} {name}" for kind in KINDS_OF_STREET for name in NAMES_OF_STREETS]
    rng.shuffle(names)
    communes = rng.choices(COMMUNES, weights=[share for *_, share in COMMUNES], k=STATIONS)
    stations = []
    for number, (name, (commune, latitude, longitude, _)) in enumerate(zip(names, communes, strict=False)):
        # Some stations are retired or in maintenance, so that such records are exercised too.
        state = {7: "RÉFORMÉ", 19: "IN_MAINTENANCE"}.get(number % 31, "EN SERVICE")
        home = rng.random() < 0.5
        stations.append(
            Station(
                number=FIRST_NUMBER + number,
                name=name,
                address=f"{rng.randint(1, 180)}, {name}" if rng.random() < 0.7 else name,
                commune=commune,
                latitude=round(latitude + rng.gauss(0, 0.008), 6),
                longitude=round(longitude + rng.gauss(0, 0.012), 6),
                has_terminal=rng.random() < 0.3,
                state=state,
                capacity=rng.randrange(12, 41, 2),
                rest=rng.uniform(0.55, 0.9) if home else rng.uniform(0.1, 0.4),
                swing=-rng.uniform(0.3, 0.6) if home else rng.uniform(0.3, 0.6),
                phase=rng.uniform(0, 2 * math.pi),
                period=rng.randint(30, 60),
            )
        )
    return stations


class GeneratedDay:
    """The responses of a feed's API if it had these stations.

    Raises LocalError for a feed whose format is not generated.
    """

    def __init__(self, feed: str, seed: int = SEED) -> None:
        if feed not in SHAPES:
            raise LocalError(
                f"DAY=generated: days are generated for {', '.join(SHAPES)}, not for {feed}: "
                f"add FEED={next(iter(SHAPES))}, or leave DAY out"
            )
        self._shape = SHAPES[feed]
        self._stations = make_stations(seed)
        self.description = f"a generated day of {feed}, {STATIONS} stations"

    def response_at(self, minute: datetime) -> bytes:
        """Return the response of a minute."""
        return self._shape(self._stations, minute)


def _as_ods(stations: list[Station], minute: datetime) -> bytes:
    """Format the response as Opendatasoft v1 did: ASCII only, with local times."""
    before = minute - timedelta(minutes=1)  # reports that the platform had received by then
    taken = (minute - timedelta(seconds=57.66)).astimezone(LILLE).isoformat(timespec="milliseconds")
    records = [
        {
            "datasetid": "vlille-realtime",
            "recordid": f"{random.Random(each.number).getrandbits(160):040x}",  # noqa: S311
            "fields": {
                "nbvelosdispo": each.bikes(minute),
                "nbplacesdispo": each.capacity - each.bikes(minute) if each.is_connected else 0,
                "libelle": each.number,
                "adresse": each.address,
                "nom": each.name,
                "etat": each.state,
                "commune": each.commune,
                "etatconnexion": "CONNECTÉ" if each.is_connected else "DÉCONNECTÉ",
                "type": "AVEC TPE" if each.has_terminal else "SANS TPE",
                "geo": [each.latitude, each.longitude],
                "localisation": [each.latitude, each.longitude],
                "datemiseajour": each.reported(before).astimezone(LILLE).isoformat(timespec="seconds"),
            },
            "geometry": {"type": "Point", "coordinates": [each.longitude, each.latitude]},
            "record_timestamp": taken.replace("340+", "34+"),
        }
        for each in stations
    ]
    parameters = {
        "dataset": "vlille-realtime",
        "rows": 300,
        "start": 0,
        "format": "json",
        "timezone": "Europe/Paris",
    }
    return json.dumps({"nhits": len(records), "parameters": parameters, "records": records}).encode()


def _fields(each: Station, minute: datetime) -> dict[str, Any]:
    return {
        "nom": each.name,
        "adresse": each.address,
        "code_insee": None,
        "commune": each.commune,
        "etat": each.state,
        "type": "AVEC TPE" if each.has_terminal else "SANS TPE",
        "nb_places_dispo": each.capacity - each.bikes(minute) if each.is_connected else 0,
        "nb_velos_dispo": each.bikes(minute),
        "etat_connexion": "CONNECTÉ" if each.is_connected else "DÉCONNECTÉ",
        "x": each.longitude,
        "y": each.latitude,
        "date_modification": each.reported(minute).isoformat(timespec="milliseconds"),
    }


def _as_ogc(stations: list[Station], minute: datetime) -> bytes:
    records = [{"@id": str(each.number), **_fields(each, minute)} for each in stations]
    return json.dumps({"records": records}, ensure_ascii=False).encode()


def _as_wfs(stations: list[Station], minute: datetime) -> bytes:
    features = []
    for each in stations:
        properties = {"objectid": each.number, **_fields(each, minute)}
        properties["date_modification"] = properties["date_modification"].replace("+00:00", "Z")
        features.append(
            {
                "type": "Feature",
                "id": f"vlille_temps_reel.{each.number}",
                "geometry": {"type": "Point", "coordinates": [each.longitude, each.latitude]},
                "geometry_name": "geom",
                "properties": properties,
            }
        )
    count = len(features)
    document = {
        "type": "FeatureCollection",
        "features": features,
        **dict.fromkeys(("totalFeatures", "numberMatched", "numberReturned"), count),
        "timeStamp": minute.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::4326"}},
    }
    return json.dumps(document, ensure_ascii=False).encode()


def _as_gbfs(stations: list[Station], minute: datetime) -> bytes:
    """Return both files as the collector stores them; as in the official feed, some stations have no status."""
    document = {"last_updated": int(minute.timestamp()), "ttl": 60, "version": "2.3"}
    status = [
        {
            "station_id": str(each.number),
            "num_bikes_available": each.bikes(minute),
            "num_docks_available": each.capacity - each.bikes(minute) if each.is_connected else 0,
            "is_installed": each.is_connected,
            "is_renting": each.state == "EN SERVICE",
            "is_returning": each.state == "EN SERVICE",
            "last_reported": int(each.reported(minute).timestamp()),
            "vehicle_types_available": [{"vehicle_type_id": "bike", "count": each.bikes(minute)}],
        }
        for each in stations
    ]
    information = [
        {
            "station_id": str(each.number),
            "name": each.name,
            "post_code": POST_CODES[each.commune],
            "lat": each.latitude,
            "lon": each.longitude,
            "capacity": each.capacity,
        }
        for each in stations
    ]
    information.append(information[0] | {"station_id": "1", "name": "ATELIER"})
    joined = {
        "response": document | {"data": {"stations": status}},
        "joined": document | {"data": {"stations": information}},
    }
    return json.dumps(joined, ensure_ascii=False).encode()


SHAPES: dict[str, Callable[[list[Station], datetime], bytes]] = {
    "vlille_ods": _as_ods,
    "vlille_gbfs": _as_gbfs,
    "vlille_ogc": _as_ogc,
    "vlille_wfs": _as_wfs,
}


def main(arguments: list[str] | None = None) -> int:
    """Print one response of a feed, by default the one in docs/examples."""
    parser = argparse.ArgumentParser("python -m local.feeds.generated_day", description=main.__doc__)
    parser.add_argument("feed", choices=SHAPES)
    parser.add_argument("--at", type=datetime.fromisoformat, default=EXAMPLE_MINUTE, metavar="TIME")
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args(arguments)
    minute = given.at if given.at.tzinfo else given.at.replace(tzinfo=UTC)
    sys.stdout.write(GeneratedDay(given.feed, given.seed).response_at(minute.astimezone(UTC)).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
