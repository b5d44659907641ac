"""Rows that the collector streams equal those of a rebuild by Spark, for every shape and fault of a response."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collector.api import make_session
from feed import load_feeds
from tests.feed.examples import EXAMPLES, NAMES, write_example, write_folder
from tests.spark.faults import (
    NESTED,
    STRICT,
    TOML,
    Producer,
    body_faults,
    nested_faults,
    shape_faults,
    strict_faults,
)
from tests.spark.pipeline import Collected, Tick, check, run_ticks
from tests.spark.shapes import shape_ticks

# Of a test, not of what all of them wait for: a hundred responses and a Spark job.
pytestmark = [pytest.mark.spark, pytest.mark.timeout(func_only=True)]

KEY = "k3y/with +signs"
PLAIN_PRODUCER, NESTED_PRODUCER = Producer({}), Producer(NESTED)
FAULTS = {
    "plain": shape_faults(PLAIN_PRODUCER) | body_faults(PLAIN_PRODUCER),
    "nested": shape_faults(NESTED_PRODUCER) | body_faults(NESTED_PRODUCER) | nested_faults(NESTED_PRODUCER),
    "strict": strict_faults(PLAIN_PRODUCER),
}
SAMPLES = {NAMES[title]: sample.encode() for title, (_, sample, _) in EXAMPLES.items()}
TICKS: list[Tick] = [
    *(fault.tick(feed, what) for feed, faults in FAULTS.items() for what, fault in faults.items()),
    *shape_ticks(SAMPLES),
]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of the feeds: the invented ones, and the examples of docs/feeds.md."""
    folder = tmp_path_factory.mktemp("sources")
    invented = (
        ("plain", PLAIN_PRODUCER, TOML),
        ("nested", NESTED_PRODUCER, TOML),
        ("strict", PLAIN_PRODUCER, STRICT),
    )
    for name, producer, toml in invented:
        write_folder(folder / name, "json", producer.text(), toml)
    for title in EXAMPLES:
        write_example(title, folder / NAMES[title])
    return folder


@pytest.fixture(scope="module")
def done(
    sources: Path, new_project: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Collected:
    """Every tick collected, archived and rebuilt."""
    feeds = load_feeds(sources)
    with make_session() as session:
        return run_ticks(
            TICKS,
            feeds,
            sources,
            project=new_project(*feeds.values()),
            session=session,
            secrets={"jcdecaux-key": KEY},
            folder=tmp_path_factory.mktemp("driver"),
        )


@pytest.mark.parametrize("tick", TICKS, ids=str)
def test_the_rebuilt_rows_equal_the_streamed_rows(tick: Tick, done: Collected) -> None:
    check(tick, done)


def test_every_record_is_reconciled(done: Collected) -> None:
    for run in done.runs:
        ticks = [tick for tick in TICKS if tick.feed == run["feed"]]
        quarantine = [row for tick in ticks for row in done.streamed[str(tick)].quarantine]
        of = {
            scope: sum(row["occurrences"] for row in quarantine if row["scope"] == scope)
            for scope in ("record", "response", "value")
        }
        assert (run["status"], run["message"]) == ("succeeded", None)
        assert run["objects_listed"] == len(ticks) == run["objects_read"] + of["response"]
        assert run["rows_loaded"] == sum(len(tick.rows) for tick in ticks)
        assert run["rows_rejected"] == of["record"]
        assert run["values_rejected"] + run["values_implausible"] == of["value"]
    assert sorted(run["feed"] for run in done.runs) == sorted({tick.feed for tick in TICKS})


def test_every_page_is_requested(done: Collected) -> None:
    assert done.paths["pages: three pages"] == [f"/?limit=100&offset={n}" for n in (0, 100, 200)]


def test_the_key_went_to_the_api_and_nowhere_else(done: Collected) -> None:
    assert (
        "/?contract=toulouse&apiKey=k3y%2Fwith+%2Bsigns" in done.paths["api_key: the documentation's sample"]
    )
    kept = json.dumps([done.metadata, done.log, done.runs], default=str)
    tables = json.dumps(
        [content.__dict__ for content in itertools.chain(done.streamed.values(), done.rebuilt.values())],
        default=str,
    )
    assert "k3y" not in kept + tables
