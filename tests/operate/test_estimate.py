"""What is found in a bucket, and what archiving and rebuilding it costs."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cdk.settings import Batch, Machine, Workers, load_environments
from feed import Feed
from operate.estimate import Survey, cluster_cpus, cluster_hour, cluster_minutes, estimate, sizing_table, told
from spark.settings import DAYS_AT_ONCE

pytestmark = pytest.mark.unit

ENVIRONMENTS = load_environments(Path(__file__).parents[2] / "environments", ["vlille_ogc"])
DEV, PROD = ENVIRONMENTS["dev"].batch, ENVIRONMENTS["prod"].batch
ONE = replace(DEV, master=Machine("e2-standard-4", 50), workers=Workers(0, "e2-standard-4", 50))
ORIGINAL = replace(DEV, master=Machine("n1-standard-4", 50), workers=Workers(7, "n1-standard-2", 50))


def test_a_bucket_is_surveyed_by_what_the_copier_does(feeds: dict[str, Feed]) -> None:
    survey = Survey()
    for name, size in {
        "data___2023-10-26_22:50:00.json": 160_000,
        "old/data___2023-10-29_02:30:00.json": 160_000,  # two times on one day
        "vlille_ogc/20240102T205000Z.json.gz": 25_000,
        "notes.txt": 3,
        "data___2023-03-26_02:30:00.json": 160_000,
    }.items():
        survey.add(name, size, [feed for feed in feeds.values() if feed.legacy])
    assert (survey.old, survey.landed, survey.refused, survey.objects) == (2, 1, 2, 3)
    assert (survey.old_bytes, survey.landed_bytes) == (320_000, 25_000)
    assert survey.days == {
        "vlille_ods": {date(2023, 10, 26), date(2023, 10, 29)},
        "vlille_ogc": {date(2024, 1, 2)},
    }
    assert survey.refusals[0].startswith("notes.txt: not a name that is known here")


@pytest.mark.parametrize(("batch", "cpus", "hour"), [(ONE, 4, 0.19), (ORIGINAL, 14, 1.12)])
def test_clusters(batch: Batch, cpus: int, hour: float) -> None:
    assert cluster_cpus(batch) == cpus
    assert round(cluster_hour(batch), 2) == hour


@pytest.mark.parametrize(
    ("answers", "days", "batch", "minutes"),
    [
        (1_440, 1, ONE, 4),  # all but nothing is reading
        (43_800, 31, ONE, 4),
        (525_600, 365, ONE, 15),
        (5_256_000, 3_650, ONE, 121),
        (5_256_000, 3_650, replace(ONE, master=Machine("e2-standard-16", 50)), 121),
    ],
)
def test_how_long_a_cluster_lives(answers: int, days: int, batch: Batch, minutes: int) -> None:
    assert round(cluster_minutes(answers, days, batch, days_at_once=31)) == minutes


def test_the_original_archive() -> None:
    first = date(2023, 10, 1)
    survey = Survey(
        old=91_549, old_bytes=14_600_000_000, days={"vlille_ods": {first + timedelta(n) for n in range(64)}}
    )
    costs = estimate(survey, ONE, 31)
    assert (costs.class_a, costs.class_b) == (91_549 + 2 * 92 + 25 * 64, 2 * 91_549)
    lines = list(told(survey, costs))
    assert lines[0] == "to archive   91,549 objects, 13.60 GiB: 91,549 under old names, 0 under today's"
    assert lines[1] == "             vlille_ods: 64 UTC days, 2023-10-01 to 2023-12-03"
    assert "$0.54; then $0.044 a month for 2.18 GiB" in lines[2]
    assert lines[-1].startswith("cluster      6 minutes at $0.19 an hour: $0.02")


@given(st.integers(1, 10**7), st.integers(1, 4000), st.integers(1, 4000))
def test_more_answers_take_no_less_time(answers: int, days: int, at_once: int) -> None:
    assert (
        0 < cluster_minutes(answers, days, ONE, at_once) <= cluster_minutes(answers * 2, days, ONE, at_once)
    )


def test_the_table_in_the_readme() -> None:
    """Where the figures change: replace the table between the marks by what this compares it with."""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    table = readme.split("<!-- sizing: begin -->\n")[1].split("\n<!-- sizing: end -->")[0]
    clusters = {
        "1 × e2-standard-4 (dev, prod)": ONE,
        "1 × e2-standard-16": replace(ONE, master=Machine("e2-standard-16", 50)),
        "n1-standard-4 and 7 × n1-standard-2, the original's": ORIGINAL,
    }
    assert table == sizing_table(clusters, DAYS_AT_ONCE)
    assert DEV.master.machine_type == PROD.master.machine_type == "e2-standard-4"
    assert DEV.workers.count == PROD.workers.count == 0
