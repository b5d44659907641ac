"""The cost model of GBFS systems: its limits, its lines from the figures, and the table of the documentation."""

from pathlib import Path
from typing import Any

import pytest

from bench.gbfs.cost import COST_LINES, SIZES, compute_costs, count_storage_calls, format_costs, load_model
from gbfs_collector.instance import KNOWN_STATE_LIFETIME
from operate.health.observation import ROW_DAYS

pytestmark = pytest.mark.unit
MODEL = load_model()
MINUTES = 43_800


@pytest.mark.parametrize(("systems", "most"), [(1, 1.5), (10, 15), (100, 15), (1_000, 95)])
def test_the_monthly_cost_is_bounded(systems: int, most: float) -> None:
    lines = compute_costs(MODEL, systems)
    assert tuple(lines) == COST_LINES
    assert min(lines.values()) >= 0
    assert sum(lines.values()) <= most


@pytest.mark.parametrize(
    ("systems", "packs", "lists", "reads"),
    [
        (1, MINUTES, MINUTES / 10 + 43.8, MINUTES / 10 + MINUTES),
        # Two shards: each lists the minute, the last one reads both packs, and both read two known states.
        (1_000, 2 * MINUTES, 2.4 * MINUTES + 87.6, 2.4 * MINUTES + 2 * MINUTES),
    ],
)
def test_calls_to_cloud_storage(systems: int, packs: float, lists: float, reads: float) -> None:
    assert count_storage_calls(MODEL, systems) == pytest.approx((packs, lists, reads))


def test_compute_is_the_time_of_ticks_and_the_waits_beyond_the_free_tier() -> None:
    seconds = 21 * MINUTES * (1 + 3 / 1_440) + sum(count_storage_calls(MODEL, 1_000)) * 0.05 + 2 * 2 * MINUTES
    expected = (seconds - 180_000) * 24e-6 + (seconds / 2 - 360_000) * 2.5e-6
    assert compute_costs(MODEL, 1_000)["compute"] == pytest.approx(expected)


def test_the_nightly_batch_is_a_cluster_of_one_machine() -> None:
    cpu_minutes = 111.7 * 1_000 * 1_440 * MODEL["measured"]["batch_cpu_seconds_per_row"] * 2 / 60
    per_hour = 4 * (0.02399 + 0.01) + 16 * 0.003216 + 50 * 0.04 / 730
    expected = 30 * (4 + cpu_minutes / 4) / 60 * per_hour
    assert compute_costs(MODEL, 1_000)["nightly batch"] == pytest.approx(expected)


def test_queries_cost_only_beyond_the_free_tier() -> None:
    assert compute_costs(MODEL, 1_000)["queries"] == 0
    model: dict[str, Any] = MODEL | {"free": MODEL["free"] | {"query_tebibytes": 0}}
    assert compute_costs(model, 1)["queries"] == pytest.approx(900 / 1_024 * 6.25, rel=0.001)


def test_the_assumptions_are_those_of_the_code() -> None:
    assumed = MODEL["assumptions"]
    assert assumed["known_state_minutes"] * 60 == KNOWN_STATE_LIFETIME.total_seconds()
    assert assumed["smoke_days"] == ROW_DAYS
    assert MODEL["measured"]["shards"].keys() == {str(size) for size in SIZES}


def test_the_page_has_the_table_of_the_model() -> None:
    page = (Path(__file__).parents[3] / "docs" / "gbfs.md").read_text("utf-8")
    assert format_costs(MODEL) in page
