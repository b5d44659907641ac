"""The survey of a bucket, and the estimated costs of archiving it, of rebuilding its days and of a month."""

import json
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cdk.settings import Batch, Machine, Workers, load_environments
from feed import Feed
from operate.data.estimate import (
    Survey,
    cluster_hour,
    count_cluster_cpus,
    estimate,
    estimate_cluster_minutes,
    format_estimate,
    render_month_table,
    render_sizing_table,
)
from review.cost.estimate import Cost, estimate_cost
from review.cost.price_book import load_price_book
from review.stacks.comparison import compare_stacks
from review.types.registry import create_context
from spark.settings import DAYS_AT_ONCE
from tests.conftest import ENVIRONMENTS

pytestmark = pytest.mark.unit

LOADED = load_environments(ENVIRONMENTS, ["vlille_gbfs"])
DEV, PROD = LOADED["dev"].batch, LOADED["prod"].batch
ONE = replace(DEV, master=Machine("e2-standard-4", 50), workers=Workers(0, "e2-standard-4", 50))
ORIGINAL = replace(DEV, master=Machine("n1-standard-4", 50), workers=Workers(7, "n1-standard-2", 50))


def test_a_survey_counts_objects_as_the_copier_plans_them(feeds: dict[str, Feed]) -> None:
    survey = Survey()
    for name, size in {
        "data___2023-10-26_22:50:00.json": 160_000,
        "old/data___2023-10-29_02:30:00.json": 160_000,  # two times on one day
        "vlille_gbfs/20240102T205000Z.json.gz": 25_000,
        "notes.txt": 3,
        "data___2023-03-26_02:30:00.json": 160_000,
    }.items():
        survey.add(name, size, [feed for feed in feeds.values() if feed.legacy])
    assert (survey.old, survey.landed, survey.refused, survey.objects) == (2, 1, 2, 3)
    assert (survey.old_bytes, survey.landed_bytes) == (320_000, 25_000)
    assert survey.days == {
        "vlille_ods": {date(2023, 10, 26), date(2023, 10, 29)},
        "vlille_gbfs": {date(2024, 1, 2)},
    }
    assert survey.refusals[0].startswith("notes.txt: unknown name")


@pytest.mark.parametrize(("batch", "cpus", "hour"), [(ONE, 4, 0.19), (ORIGINAL, 14, 1.14)])
def test_clusters(batch: Batch, cpus: int, hour: float) -> None:
    assert count_cluster_cpus(batch) == cpus
    assert cluster_hour(batch) == pytest.approx(hour, abs=0.005)


def test_a_machine_type_without_a_price_has_no_cost() -> None:
    batch = replace(ONE, master=Machine("x9-standard-4", 50))
    assert cluster_hour(batch) is None
    lines = list(format_estimate(Survey(), estimate(Survey(), batch, 31)))
    assert lines[-1].endswith("review/cost/prices has no price of its machine types")


@pytest.mark.parametrize(
    ("responses", "days", "batch", "minutes"),
    [
        (1_440, 1, ONE, 4),  # all but nothing is reading
        (43_800, 31, ONE, 4),
        (525_600, 365, ONE, 15),
        (5_256_000, 3_650, ONE, 121),
        (5_256_000, 3_650, replace(ONE, master=Machine("e2-standard-16", 50)), 121),
    ],
)
def test_the_lifetime_of_a_cluster(responses: int, days: int, batch: Batch, minutes: int) -> None:
    assert round(estimate_cluster_minutes(responses, days, batch, days_at_once=31)) == minutes


def test_the_original_archive() -> None:
    first = date(2023, 10, 1)
    survey = Survey(
        old=91_549, old_bytes=14_600_000_000, days={"vlille_ods": {first + timedelta(n) for n in range(64)}}
    )
    costs = estimate(survey, ONE, 31)
    assert (costs.class_a, costs.class_b) == (91_549 + 2 * 92 + 25 * 64, 2 * 91_549)
    lines = list(format_estimate(survey, costs))
    assert lines[0] == "to archive   91,549 objects, 13.60 GiB: 91,549 under old names, 0 under today's"
    assert lines[1] == "             vlille_ods: 64 UTC days, 2023-10-01 to 2023-12-03"
    assert "$0.54; then $0.044 a month for 2.18 GiB" in lines[2]
    assert lines[-1].startswith("cluster      6 minutes at $0.19 an hour: $0.02")


@given(st.integers(1, 10**7), st.integers(1, 4000), st.integers(1, 4000))
def test_more_responses_take_no_less_time(responses: int, days: int, at_once: int) -> None:
    assert (
        0
        < estimate_cluster_minutes(responses, days, ONE, at_once)
        <= estimate_cluster_minutes(responses * 2, days, ONE, at_once)
    )


def test_the_cost_table_of_the_page_is_current() -> None:
    """If the figures change, replace the table between the marks with the expected text."""
    page = (Path(__file__).parents[3] / "docs" / "costs.md").read_text()
    table = page.split("<!-- sizing: begin -->\n")[1].split("\n<!-- sizing: end -->")[0]
    clusters = {
        "1 × e2-standard-4 (dev, prod)": ONE,
        "1 × e2-standard-16": replace(ONE, master=Machine("e2-standard-16", 50)),
        "n1-standard-4 and 7 × n1-standard-2, the original tutorial's": ORIGINAL,
    }
    assert table == render_sizing_table(clusters, DAYS_AT_ONCE)
    assert DEV.master.machine_type == PROD.master.machine_type == "e2-standard-4"
    assert DEV.workers.count == PROD.workers.count == 0


def month_of(environment: str) -> Cost:
    """Return the review's estimate of a month of an environment's stack, from its snapshot."""
    stack = Path(__file__).parents[2] / "cdk" / "snapshots" / f"vlille-{environment}.json"
    plan = compare_stacks(b'{"resource": {}}', stack.read_bytes())
    found = estimate_cost(create_context(plan), load_price_book())
    assert found is not None
    return found


def test_the_monthly_costs_of_the_page_are_those_of_the_review() -> None:
    """If the figures change, replace the table between the marks with the expected text."""
    page = (Path(__file__).parents[3] / "docs" / "costs.md").read_text()
    table = page.split("<!-- month: begin -->\n")[1].split("\n<!-- month: end -->")[0]
    assert table == render_month_table({"dev": month_of("dev"), "prod": month_of("prod")})


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_the_review_and_the_estimate_agree_on_a_night_to_the_cent(environment: str) -> None:
    """The review assumes the minutes that the estimate counts for one day, on a cluster at the same price."""
    book, batch = load_price_book(), LOADED[environment].batch
    minutes = estimate_cluster_minutes(24 * 60, 1, batch, DAYS_AT_ONCE)
    assert book.assumption("dataproc_minutes_a_run") == round(minutes)
    line = next(each for each in month_of(environment).after if each.what.startswith("batch"))
    nights = 365 / 12
    hour = cluster_hour(batch)
    assert hour is not None
    assert line.month == pytest.approx(nights * book.assumption("dataproc_minutes_a_run") / 60 * hour)


def test_the_estimate_follows_the_prices() -> None:
    """The review and the backfill use one price table: another price changes the backfill's estimate."""
    dearer = load_price_book(
        json.dumps({"prices": {"storage_thousand_writes": 5, "egress_gib": 12}}).encode()
    )
    survey = Survey(old=1000, old_bytes=2**30, days={"vlille_ods": {date(2023, 10, 1)}})
    costs, much = estimate(survey, ONE, 31), estimate(survey, ONE, 31, book=dearer)
    assert much.operations > 100 * costs.operations
    assert costs.traffic == pytest.approx(0.12)
    assert much.traffic == pytest.approx(12)
