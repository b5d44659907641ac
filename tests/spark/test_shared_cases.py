"""Shared cases of responses and samples: each produces the expected rows, streamed and after a rebuild."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from collector.api import make_session
from feed import load_feeds
from tests.collector.fakes import Reply
from tests.conftest import CASES, ROOT
from tests.feed.examples import write_folder
from tests.spark.pipeline import Collected, Tick, check, run_ticks

# The timeout is that of a test, without the shared fixture: a hundred responses and a Spark job.
pytestmark = [pytest.mark.spark, pytest.mark.timeout(func_only=True)]

NIGHT = datetime(2026, 10, 25, 0, 31, tzinfo=UTC)  # of the responses
SEEN = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
NAMES = {"900": 5, "901": 6, "902": 7}  # id → bikes


def _response(case: str) -> tuple[Reply, ...]:
    return (Reply((CASES / case / "response.json").read_bytes()),)


def _rows(**changes: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the three stations, with changed values by column and station."""
    return [
        {"id": name, "nb_velos_dispo": bikes, "date_modification": SEEN}
        | {column: values[name] for column, values in changes.items() if name in values}
        for name, bikes in NAMES.items()
    ]


NOTHING = dict.fromkeys(NAMES)
TYPE_MISMATCHES: list[tuple[str, ...]] = [("value", "bad_value", "date_modification")] * 3
OGC = "vlille_ogc"
# Table → source.toml, and the rows of the sample.
SHAPES: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "keyed": (
        'records = "stations"\nkeyed = "id"\nkey = "id"',
        [{"id": "s12", "bikes": 3, "lat": 50.61}, {"id": "s13", "bikes": 4, "lat": 50.62}],
    ),
    "columnar": (
        'records = "hourly"\ncolumnar = true\ntimezone = "UTC"\nkey = "time"',
        [
            {"time": datetime(2026, 1, 1, 0, tzinfo=UTC), "temperature": 1.5, "rain": 0.0},
            {"time": datetime(2026, 1, 1, 1, tzinfo=UTC), "temperature": 2.0, "rain": None},
        ],
    ),
    "keyvalue": (
        'records = ""\nkey = "id"\nignore = ["additionalProperties"]\n'
        'types = { bikes = "INTEGER", docks = "INTEGER", locked = "BOOLEAN" }\n[columns]\n'
        'bikes = "additionalProperties[key=NbBikes].value"\n'
        'docks = "additionalProperties[key=NbEmptyDocks].value"\n'
        'locked = "additionalProperties[key=Locked].value"',
        [
            {"id": "D_1", "bikes": 4, "docks": 19, "locked": False},
            {"id": "D_2", "bikes": 7, "docks": 20, "locked": True},
        ],
    ),
    "localized": (
        'records = "data.stations"\nkey = "station_id"\nignore = ["name"]\n'
        'columns = { name = "name[language=en|fr].text" }',
        [{"station_id": "1", "name": "Station", "capacity": 20}],
    ),
    "paged": (
        'records = "results"\ntotal = "total_count"\nkey = "stationcode"\nlift = ["coordonnees_geo"]\n'
        'paging = { offset = "offset", limit = "limit", size = 100, max_requests = 20 }',
        [
            {"stationcode": code, "capacity": 35, "lon": 2.27}
            for code in sorted(str(9_001 + n) for n in range(1_500))
        ],
    ),
}


def _pages(sample: dict[str, Any]) -> list[Reply]:
    """Return pages of 100 records, 1,500 in all, like the sample's; the last page is repeated."""
    [station] = sample["results"]
    return [
        Reply(
            json.dumps(
                sample
                | {"results": [station | {"stationcode": str(9_001 + n)} for n in range(start, start + 100)]}
            ).encode()
        )
        for start in range(0, sample["total_count"], 100)
    ]


def _ticks() -> list[Tick]:
    sample = (CASES / "shape-paged" / "sample.json").read_bytes()
    replies = {name: [Reply((CASES / f"shape-{name}" / "sample.json").read_bytes())] for name in SHAPES}
    replies["paged"] = _pages(json.loads(sample))
    return [
        Tick(
            OGC,
            "optional value",
            _response("feed-optional-value"),
            _rows(date_modification=NOTHING),
            TYPE_MISMATCHES,
            ("schema_drift",),
        ),
        Tick(
            OGC,
            "epoch changed",
            _response("feed-epoch-changed"),
            _rows(date_modification=NOTHING),
            TYPE_MISMATCHES,
            ("schema_drift",),
        ),
        Tick(
            OGC,
            "common missing",
            _response("feed-common-missing"),
            _rows(nb_velos_dispo=NOTHING),
            [],
            ("schema_drift",),
        ),
        Tick(
            OGC,
            "implausible",
            _response("feed-implausible"),
            _rows(
                nb_velos_dispo={"900": -3, "901": 1_000_000_000},
                date_modification={
                    "901": datetime(2099, 1, 1, tzinfo=UTC),
                    "902": datetime(1, 1, 1, tzinfo=UTC),
                },
            ),
            [
                ("value", "implausible", name)
                for name in ("date_modification", "nb_velos_dispo")
                for _ in "12"
            ],
        ),
        Tick(OGC, "gzip unannounced", _response("feed-gzip-unannounced"), _rows()),
        Tick(
            OGC,
            "trailing",
            _response("feed-trailing"),
            [],
            [("response", "trailing_data", "")],
            ("unusable_response",),
        ),
        *(Tick(name, "sample", tuple(replies[name]), rows) for name, (_, rows) in SHAPES.items()),
        Tick(
            "paged",
            "one page of fifteen",
            (Reply(sample),),
            [{"stationcode": "9001", "numbikesavailable": 5}],
            [],
            ("incomplete_response",),
        ),
    ]


TICKS = _ticks()


@pytest.fixture(scope="module")
def done(new_project: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Collected:
    """The results of all cases: collected, archived and rebuilt."""
    sources = tmp_path_factory.mktemp("sources")
    shutil.copytree(ROOT / "sources" / OGC, sources / OGC)
    for name, (toml, _) in SHAPES.items():
        sample = (CASES / f"shape-{name}" / "sample.json").read_text("utf-8")
        write_folder(sources / name, "json", sample, f'url = "https://city.example/"\n{toml}')
    feeds = load_feeds(sources)
    with make_session() as session:
        return run_ticks(
            TICKS,
            feeds,
            sources,
            project=new_project(*feeds.values()),
            session=session,
            secrets={},
            folder=tmp_path_factory.mktemp("driver"),
            evening=NIGHT,
        )


@pytest.mark.parametrize("tick", TICKS, ids=str)
def test_a_shared_case_gives_the_expected_rows(tick: Tick, done: Collected) -> None:
    check(tick, done)


@pytest.mark.parametrize(
    "message",
    [
        "type_changed date_modification: found an integer in 3 of 3 records; expected TIMESTAMP",
        "type_changed date_modification: found a text in 3 of 3 records; expected TIMESTAMP",
        "missing_field nb_velos_dispo: found it in no record",
    ],
)
def test_the_log_has_the_schema_drift(message: str, done: Collected) -> None:
    assert any(message in line for line in done.log)
