from datetime import date

import pytest

from local.runs.page import days_of, name_system_folder

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("present", "collected_at", "expected"),
    [
        ([], None, []),
        (["2026-11-24"], "2026-11-24T12:05:00Z", ["2026-11-23", "2026-11-24"]),
        (["2026-11-24"], "2026-11-24T23:59:00Z", ["2026-11-23", "2026-11-24", "2026-11-25"]),
    ],
)
def test_the_page_has_the_local_days_that_utc_days_overlap(
    present: list[str], collected_at: str | None, expected: list[str]
) -> None:
    stations = {"time_zone": "Europe/Paris", "days": [[day, 5] for day in present]}
    found = days_of(stations, {"collected_at": collected_at})
    assert found == [date.fromisoformat(day) for day in expected]


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ("Paris", "systems/Paris/"),
        ("dott-bodø", "systems/dott-bod%C3%B8/"),
        ("a b/c?#%", "systems/a%20b%2Fc%3F%23%25/"),
        ("it's (1)!*~", "systems/it's%20(1)!*~/"),
    ],
)
def test_the_folder_of_a_system_is_named_as_the_script_does(system: str, expected: str) -> None:
    assert name_system_folder(system) == expected
