"""A recorded day of V'Lille; tests/conftest.py leaves this file out where there is no recording."""

import csv
import gzip
from datetime import datetime

import pytest

from gbfs.history.changes import expand_changes, find_changes
from tests.conftest import RECORDED_DAY
from tests.gbfs.history.test_changes import NOON

pytestmark = pytest.mark.unit


@pytest.mark.long
def test_a_real_day_is_restored_from_a_thirtieth_of_the_rows() -> None:
    day: dict[datetime, dict[str, dict[str, int]]] = {}
    with gzip.open(RECORDED_DAY, "rt") as lines:
        for row in csv.DictReader(lines):
            tick = NOON.replace(hour=int(row["minute"][:2]), minute=int(row["minute"][2:]))
            values = {"bikes": int(row["nb_velos_dispo"]), "docks": int(row["nb_places_dispo"])}
            day.setdefault(tick, {})[row["station_id"]] = values
    known = sorted(day.items())
    changes = list(find_changes(known))
    assert list(expand_changes(changes, [tick for tick, _ in known])) == known
    rows = sum(len(stations) for _, stations in known)
    assert (rows, len(changes)) == (386_997, 13_055)
