"""Generated archives: deterministic, with expected totals that the feed's parser confirms."""

import gzip
import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bench.archives.__main__ import main
from bench.archives.generator import (
    NAMINGS,
    ExpectedTotals,
    generate_archive,
    generate_day,
    write_to_bucket,
    write_to_folder,
)
from bench.archives.responses import Plan, generate_responses
from bench.archives.template import Template
from feed import (
    DecompressionError,
    Feed,
    decompress,
    make_unreadable_outcome,
    parse_legacy_name,
    parse_object_name,
    parse_response,
)
from local.data_plane.emulators import Emulators
from tests.conftest import storage_client

pytestmark = pytest.mark.unit

AUTUMN = date(2023, 10, 29)  # 02:00 to 03:00 local happens twice
SPRING = date(2024, 3, 31)  # 02:00 to 03:00 local does not happen
ALL_REASONS = {
    *("html", "no_records", "empty", "truncated", "unreadable"),
    *("duplicate_key", "swapped_coordinates", "bad_value", "missing_key", "not_an_object"),
}


@pytest.fixture(scope="module")
def ods(feeds: dict[str, Feed]) -> Feed:
    return feeds["vlille_ods"]


def generate_plan(
    recorded: bytes, plan: Plan, names: str
) -> tuple[dict[str, bytes], dict[date, ExpectedTotals]]:
    """Return all objects of a plan by name, and the expected totals by day."""
    objects: dict[str, bytes] = {}
    template = Template(recorded)
    expected = {day[0]: generate_day(template, plan, names, day, objects.__setitem__) for day in plan.days}
    return objects, expected


def parse_objects(feed: Feed, objects: dict[str, bytes]) -> ExpectedTotals:
    """Parse objects with current names, and return their totals."""
    totals = ExpectedTotals()
    for name, data in objects.items():
        _, tick = parse_object_name(name)
        try:
            outcome = parse_response(feed, decompress(data), tick)
        except DecompressionError as error:
            outcome = make_unreadable_outcome(feed, tick, error)
        totals.objects += 1
        totals.rows += len(outcome.rows)
        totals.bikes += sum(row["nbvelosdispo"] or 0 for row in outcome.rows)
        totals.docks += sum(row["nbplacesdispo"] or 0 for row in outcome.rows)
        for each in outcome.rejections:
            if each.index is None:
                totals.quarantined[tick.isoformat()] = each.reason
            else:
                totals.rejected.append((tick.isoformat(), each.index, each.reason))
    return totals


@pytest.mark.long
@pytest.mark.parametrize("names", ["landing", "archive"])
def test_the_expected_totals_are_what_the_feed_parses(ods: Feed, names: str) -> None:
    objects, expected = generate_plan(ods.sample, Plan(date(2023, 10, 26), 200, fault_rate=0.6), names)
    [totals] = expected.values()
    assert totals == parse_objects(ods, objects)
    assert totals.count_reasons().keys() == ALL_REASONS
    assert totals.objects == len(objects) == 200


@pytest.mark.long
def test_most_responses_have_289_stations_and_some_one_more_or_fewer(ods: Feed) -> None:
    plan = Plan(date(2023, 10, 26), 400, fault_rate=0)
    responses = list(generate_responses(Template(ods.sample), plan, *plan.days[0]))
    sizes = Counter(len(json.loads(response.body)["records"]) for response in responses)
    assert sizes.keys() == {288, 289, 290}
    assert sizes[289] > 380
    assert len({response.bikes for response in responses}) > 20  # they change


def test_a_response_of_full_size_is_a_template(full_response: bytes) -> None:
    plan = Plan(date(2023, 10, 26), 1, fault_rate=0)
    [response] = generate_responses(Template(full_response), plan, *plan.days[0])
    recorded, like = json.loads(full_response), json.loads(response.body)
    assert abs(len(response.body) - len(full_response)) < 500
    assert [each["recordid"] for each in like["records"]] == [
        each["recordid"] for each in recorded["records"]
    ]


@pytest.mark.long
def test_a_stale_response_is_repeated_for_hours(ods: Feed) -> None:
    plan = Plan(date(2023, 10, 26), 1_000, fault_rate=0.5)
    bodies = [response.body for response in generate_responses(Template(ods.sample), plan, *plan.days[0])]
    same = Counter(body for body in bodies if len(body) > 50_000)
    assert max(same.values()) > 60


@pytest.mark.long
def test_the_same_seed_gives_the_same_bytes(ods: Feed, tmp_path: Path) -> None:
    """Also if the days are generated in other processes."""
    plan = Plan(date(2023, 10, 26), 96, seed=5, step=30)
    objects, expected = generate_plan(ods.sample, plan, "archive")
    by_processes = generate_archive(
        ods.sample, plan, "archive", partial(write_to_folder, tmp_path), processes=2
    )
    files = {path.relative_to(tmp_path).as_posix(): path for path in tmp_path.rglob("*.gz")}
    assert {name: path.read_bytes() for name, path in files.items()} == objects
    assert by_processes == {day.isoformat(): totals for day, totals in expected.items()}
    assert generate_plan(ods.sample, Plan(date(2023, 10, 26), 96, seed=6, step=30), "archive")[0] != objects


def test_names_of_the_original_tutorial_across_both_clock_changes(ods: Feed) -> None:
    pause = (AUTUMN + timedelta(1), SPRING - timedelta(1))
    objects, expected = generate_plan(ods.sample, Plan(AUTUMN, 96, step=30, pause=pause), "tutorial")
    assert list(expected) == [AUTUMN, SPRING]
    assert sum(totals.objects for totals in expected.values()) == len(objects) == 94
    assert not any("2024-03-31_02" in name for name in objects)
    candidates = {name: parse_legacy_name(ods, name) for name in objects}
    assert [name for name, ticks in candidates.items() if len(ticks) == 2] == [
        "data___2023-10-29_02:00:00.json",
        "data___2023-10-29_02:30:00.json",
    ]
    # Of the repeated hour the second response remains.
    repeated = json.loads(objects["data___2023-10-29_02:30:00.json"])
    assert repeated["records"][0]["record_timestamp"] == "2023-10-29T02:29:02.34+01:00"


def test_names_are_valid_for_the_feed(ods: Feed) -> None:
    tick = datetime(2023, 10, 26, 20, 50, tzinfo=UTC)
    assert NAMINGS["tutorial"](tick) == "data___2023-10-26_22:50:00.json"
    assert (
        parse_object_name(NAMINGS["landing"](tick))
        == parse_object_name(NAMINGS["archive"](tick))
        == (ods.name, tick)
    )


@pytest.mark.emulator
@pytest.mark.long
def test_an_archive_is_written_to_a_bucket(
    ods: Feed, emulators: Emulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulators.gcs_url)
    client = storage_client(emulators, "archives")
    client.create_bucket("archives-tutorial")
    plan = Plan(AUTUMN, 40, step=10)
    with write_to_bucket("archives-tutorial") as put:
        generate_day(Template(ods.sample), plan, "tutorial", plan.days[0], put)
    stored = {blob.name: blob.download_as_bytes() for blob in client.list_blobs("archives-tutorial")}
    assert stored == generate_plan(ods.sample, plan, "tutorial")[0]


@pytest.mark.long
def test_the_command_writes_objects_and_totals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        str(tmp_path / "a"),
        "--minutes",
        "30",
        "--names",
        "landing",
        "--totals",
        str(tmp_path / "a.json"),
    ]
    monkeypatch.setattr("sys.argv", ["archives", *words])
    assert main() == 0
    [totals] = json.loads((tmp_path / "a.json").read_text()).values()
    files: list[Any] = list((tmp_path / "a").rglob("*.gz"))
    assert totals["objects"] == len(files) == 30
    assert capsys.readouterr().out.startswith("30 objects of 1 days, ")
    assert len(json.loads(gzip.decompress(sorted(files)[0].read_bytes()))["records"]) == 289
