"""Archives that are made: the same bytes each time, and an account that the feed's own reader agrees with."""

import gzip
import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bench.archives.__main__ import main as generate_archive
from bench.archives.generator import NAMES, Account, into_bucket, into_folder, make_archive, make_day
from bench.archives.responses import Plan, Template, answers_of
from feed import Feed, RawError, legacy_ticks, parse, tick_of, unpack, unreadable
from local.data_plane.emulators import Emulators
from tests.conftest import storage_client

pytestmark = pytest.mark.unit

AUTUMN = date(2023, 10, 29)  # 02:00 to 03:00 local happens twice
SPRING = date(2024, 3, 31)  # 02:00 to 03:00 local does not happen
ALL_KINDS = {
    *("html", "no_records", "empty", "truncated", "unreadable"),
    *("duplicate_key", "swapped_coordinates", "bad_value", "missing_key", "not_an_object"),
}


@pytest.fixture(scope="module")
def ods(feeds: dict[str, Feed]) -> Feed:
    return feeds["vlille_ods"]


def made(recorded: bytes, plan: Plan, names: str) -> tuple[dict[str, bytes], dict[date, Account]]:
    """All objects of a plan by name, and the account of each day."""
    objects: dict[str, bytes] = {}
    template = Template(recorded)
    accounts = {day[0]: make_day(template, plan, names, day, objects.__setitem__) for day in plan.days}
    return objects, accounts


def read(feed: Feed, objects: dict[str, bytes]) -> Account:
    """What the feed's own reader makes of objects under today's names."""
    account = Account()
    for name, data in objects.items():
        _, tick = tick_of(name)
        try:
            outcome = parse(feed, unpack(data), tick)
        except RawError as error:
            outcome = unreadable(feed, tick, error)
        account.objects += 1
        account.rows += len(outcome.rows)
        account.bikes += sum(row["nbvelosdispo"] or 0 for row in outcome.rows)
        account.docks += sum(row["nbplacesdispo"] or 0 for row in outcome.rows)
        for each in outcome.rejections:
            if each.index is None:
                account.quarantined[tick.isoformat()] = each.reason
            else:
                account.rejected.append((tick.isoformat(), each.index, each.reason))
    return account


@pytest.mark.parametrize("names", ["landing", "archive"])
def test_the_account_is_what_the_feed_reads(ods: Feed, names: str) -> None:
    objects, accounts = made(ods.sample, Plan(date(2023, 10, 26), 200, accidents=0.6), names)
    [account] = accounts.values()
    assert account == read(ods, objects)
    assert account.reasons().keys() == ALL_KINDS
    assert account.objects == len(objects) == 200


def test_most_moments_have_289_stations_and_some_one_more_or_less(ods: Feed) -> None:
    plan = Plan(date(2023, 10, 26), 400, accidents=0)
    answers = list(answers_of(Template(ods.sample), plan, *plan.days[0]))
    sizes = Counter(len(json.loads(answer.body)["records"]) for answer in answers)
    assert sizes.keys() == {288, 289, 290}
    assert sizes[289] > 380
    assert len({answer.bikes for answer in answers}) > 20  # they move


def test_a_response_of_full_size_is_a_template(full_response: bytes) -> None:
    plan = Plan(date(2023, 10, 26), 1, accidents=0)
    [answer] = answers_of(Template(full_response), plan, *plan.days[0])
    recorded, like = json.loads(full_response), json.loads(answer.body)
    assert abs(len(answer.body) - len(full_response)) < 500
    assert [each["recordid"] for each in like["records"]] == [
        each["recordid"] for each in recorded["records"]
    ]


def test_a_stale_answer_is_served_for_hours(ods: Feed) -> None:
    plan = Plan(date(2023, 10, 26), 1_000, accidents=0.5)
    bodies = [answer.body for answer in answers_of(Template(ods.sample), plan, *plan.days[0])]
    same = Counter(body for body in bodies if len(body) > 50_000)
    assert max(same.values()) > 60


def test_the_same_seed_gives_the_same_bytes(ods: Feed, tmp_path: Path) -> None:
    """Also in other processes, which are given other days."""
    plan = Plan(date(2023, 10, 26), 96, seed=5, step=30)
    objects, accounts = made(ods.sample, plan, "archive")
    by_processes = make_archive(ods.sample, plan, "archive", partial(into_folder, tmp_path), processes=2)
    files = {path.relative_to(tmp_path).as_posix(): path for path in tmp_path.rglob("*.gz")}
    assert {name: path.read_bytes() for name, path in files.items()} == objects
    assert by_processes == {day.isoformat(): account for day, account in accounts.items()}
    assert made(ods.sample, Plan(date(2023, 10, 26), 96, seed=6, step=30), "archive")[0] != objects


def test_original_names_over_both_changes_of_the_clock(ods: Feed) -> None:
    pause = (AUTUMN + timedelta(1), SPRING - timedelta(1))
    objects, accounts = made(ods.sample, Plan(AUTUMN, 96, step=30, pause=pause), "original")
    assert list(accounts) == [AUTUMN, SPRING]
    assert sum(account.objects for account in accounts.values()) == len(objects) == 94
    assert not any("2024-03-31_02" in name for name in objects)
    candidates = {name: legacy_ticks(ods, name) for name in objects}
    assert [name for name, ticks in candidates.items() if len(ticks) == 2] == [
        "data___2023-10-29_02:00:00.json",
        "data___2023-10-29_02:30:00.json",
    ]
    # The second answer of the repeated hour is the one that is left.
    twice = json.loads(objects["data___2023-10-29_02:30:00.json"])
    assert twice["records"][0]["record_timestamp"] == "2023-10-29T02:29:02.34+01:00"


def test_names_are_those_of_the_feed(ods: Feed) -> None:
    tick = datetime(2023, 10, 26, 20, 50, tzinfo=UTC)
    assert NAMES["original"](tick) == "data___2023-10-26_22:50:00.json"
    assert tick_of(NAMES["landing"](tick)) == tick_of(NAMES["archive"](tick)) == (ods.name, tick)


@pytest.mark.emulator
def test_into_a_bucket(ods: Feed, emulators: Emulators, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulators.gcs_url)
    client = storage_client(emulators, "archives")
    client.create_bucket("archives-original")
    plan = Plan(AUTUMN, 40, step=10)
    with into_bucket("archives-original") as put:
        make_day(Template(ods.sample), plan, "original", plan.days[0], put)
    held = {blob.name: blob.download_as_bytes() for blob in client.list_blobs("archives-original")}
    assert held == made(ods.sample, plan, "original")[0]


def test_the_command_writes_objects_and_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        str(tmp_path / "a"),
        "--minutes",
        "30",
        "--names",
        "landing",
        "--account",
        str(tmp_path / "a.json"),
    ]
    monkeypatch.setattr("sys.argv", ["archives", *words])
    assert generate_archive() == 0
    [account] = json.loads((tmp_path / "a.json").read_text()).values()
    files: list[Any] = list((tmp_path / "a").rglob("*.gz"))
    assert account["objects"] == len(files) == 30
    assert capsys.readouterr().out.startswith("30 objects of 1 days, ")
    assert len(json.loads(gzip.decompress(sorted(files)[0].read_bytes()))["records"]) == 289
