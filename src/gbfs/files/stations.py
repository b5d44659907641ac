"""Join station_status with station_information."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class JoinedStations:
    """Each status with its station's information, and the stations that only one of the files has."""

    pairs: tuple[tuple[Row, Row | None], ...]  # every status, in order
    without_information: tuple[str, ...]  # station_ids
    without_status: tuple[str, ...]


def join_stations(statuses: Iterable[Row], information: Iterable[Row]) -> JoinedStations:
    """Left join: every status with its station's information, or None."""
    by_id = {row["station_id"]: row for row in information}
    pairs = tuple((row, by_id.get(row["station_id"])) for row in statuses)
    reported = {row["station_id"] for row, _ in pairs}
    return JoinedStations(
        pairs,
        without_information=tuple(row["station_id"] for row, found in pairs if found is None),
        without_status=tuple(station for station in by_id if station not in reported),
    )


def select_text(localized: list[dict[str, str]], language: str = "en") -> str | None:
    """Return the text in a language, or the first text, or None if there is none."""
    wanted = language.partition("-")[0].lower()
    for each in localized:
        if str(each.get("language") or "").partition("-")[0].lower() == wanted:
            return each["text"]
    return localized[0]["text"] if localized else None
