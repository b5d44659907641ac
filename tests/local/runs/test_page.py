from datetime import date

import pytest

from local.runs.page import days_of

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
