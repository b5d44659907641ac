"""The version of a file, and records upgraded to the terms of version 3."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gbfs import UPGRADES, VERSIONS, current_file_name, recognize_version
from gbfs.files.versions import upgrade_from_1, upgrade_from_2, upgrade_from_3

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("declared", "version"),
    [
        (None, "1.0"),
        ("1.0", "1.0"),
        ("1.1", "1.1"),
        ("2.3", "2.3"),
        ("v2.3", "2.3"),
        (2.2, "2.2"),
        (3, "3.0"),
        ("3.1-RC3", "3.1"),
        ("2.1-RC", "2.1"),
        ("2.9", "2.3"),
        ("3.7", "3.1"),
        ("4.0", None),
        ("0.9", None),
        ("newest", None),
        ("", None),
        (True, None),
    ],
)
def test_a_version_is_recognized(declared: Any, version: str | None) -> None:
    assert recognize_version(declared) == version


@pytest.mark.parametrize(
    ("upgrade", "file", "record", "newer"),
    [
        (
            upgrade_from_1,
            "station_status",
            {"num_bikes_available": 3, "is_renting": 1, "is_installed": 0, "num_docks_available": 1},
            {
                "num_vehicles_available": 3,
                "is_renting": True,
                "is_installed": False,
                "num_docks_available": 1,
            },
        ),
        (upgrade_from_1, "station_status", {"is_renting": True}, {"is_renting": True}),
        (upgrade_from_1, "station_status", {"is_renting": 7}, {"is_renting": 7}),
        (upgrade_from_1, "vehicle_status", {"bike_id": "a"}, {"vehicle_id": "a"}),
        (
            upgrade_from_2,
            "station_information",
            {"name": "Gare", "short_name": "1"},
            {
                "name": [{"text": "Gare", "language": "fr"}],
                "short_name": [{"text": "1", "language": "fr"}],
            },
        ),
        (
            upgrade_from_2,
            "station_information",
            {"vehicle_capacity": {"bike": 4}, "vehicle_type_capacity": {"bike": 5, "car": 1}},
            {
                "vehicle_types_capacity": [{"vehicle_type_ids": ["bike"], "count": 4}],
                "vehicle_docks_capacity": [
                    {"vehicle_type_ids": ["bike"], "count": 5},
                    {"vehicle_type_ids": ["car"], "count": 1},
                ],
            },
        ),
        (upgrade_from_2, "system_information", {"language": "fr"}, {"languages": ["fr"]}),
        (upgrade_from_2, "station_status", {"num_vehicles_available": 2}, {"num_vehicles_available": 2}),
        (
            upgrade_from_2,
            "station_status",
            {"num_bikes_available": 9, "num_vehicles_available": 2},
            {"num_vehicles_available": 2},
        ),
        (upgrade_from_3, "station_status", {"num_vehicles_available": 2}, {"num_vehicles_available": 2}),
        (upgrade_from_3, "station_status", {"num_bikes_available": 2}, {"num_vehicles_available": 2}),
        (
            upgrade_from_3,
            "station_information",
            {"name": "Gare"},
            {"name": [{"text": "Gare", "language": "fr"}]},
        ),
    ],
)
def test_a_record_is_upgraded_to_the_terms_of_version_3(
    upgrade: Any, file: str, record: dict[str, Any], newer: dict[str, Any]
) -> None:
    assert upgrade(file, record, "fr") == newer


def test_every_version_has_an_upgrade() -> None:
    assert tuple(UPGRADES) == VERSIONS


def test_a_renamed_file_has_its_current_name() -> None:
    assert current_file_name("free_bike_status") == "vehicle_status"
    assert current_file_name("station_status") == "station_status"


RECORDS = st.dictionaries(
    st.sampled_from(
        ["num_bikes_available", "num_vehicles_available", "name", "is_renting", "vehicle_capacity", "x"]
    ),
    st.none()
    | st.integers(-2, 2)
    | st.text(max_size=3)
    | st.dictionaries(st.text(max_size=2), st.integers()),
)


@given(RECORDS, st.sampled_from(VERSIONS), st.sampled_from(["station_status", "station_information"]))
def test_an_upgrade_is_idempotent_and_does_not_modify_its_argument(
    record: dict[str, Any], version: str, file: str
) -> None:
    before = repr(record)
    newer = UPGRADES[version](file, record, "fr")
    assert repr(record) == before
    assert UPGRADES[version](file, newer, "en") == newer
