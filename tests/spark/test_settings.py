"""Arguments and environment → settings; where a feed's folder comes from."""

import shutil
import zipfile
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed import load_feed
from spark.settings import DAYS_AT_ONCE, MAX_DAYS, SettingsError, read_feed, read_settings

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
TODAY = date(2023, 10, 29)


def arguments(**changed: str) -> list[str]:
    options = {
        "--project": "demo-project",
        "--dataset": "vlille",
        "--location": "europe-west1",
        "--archive-bucket": "demo-project-archive",
        "--staging-bucket": "demo-project-staging",
        "--feed": "vlille_ods",
        "--from": "yesterday",
        "--to": "yesterday",
        "--redelivery-window-s": "4020",
    }
    options |= {f"--{name.replace('_', '-').strip('-')}": value for name, value in changed.items()}
    return [word for pair in options.items() for word in pair]


def test_all_settings() -> None:
    settings = read_settings(arguments(from_="2023-10-27", to="2023-10-29"), {}, TODAY)
    assert settings.days == [date(2023, 10, 27), date(2023, 10, 28), date(2023, 10, 29)]
    assert settings.location == "europe-west1"
    assert settings.table("quarantine") == "demo-project.vlille.quarantine"
    assert settings.storage_url == "https://storage.googleapis.com"


def test_days_at_once_and_the_code() -> None:
    settings = read_settings(arguments(days_at_once="3"), {}, TODAY, code="batch-0123.zip")
    assert (settings.days_at_once, settings.code) == (3, "batch-0123.zip")
    assert read_settings(arguments(), {}, TODAY).days_at_once == DAYS_AT_ONCE


def test_yesterday_counts_from_the_utc_date() -> None:
    assert read_settings(arguments(), {}, date(2024, 3, 1)).days == [date(2024, 2, 29)]


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("http://127.0.0.1:4443", "http://127.0.0.1:4443"),
        ("http://127.0.0.1:4443/", "http://127.0.0.1:4443"),
        ("127.0.0.1:4443", "http://127.0.0.1:4443"),
    ],
)
def test_storage_emulator(host: str, url: str) -> None:
    assert read_settings(arguments(), {"STORAGE_EMULATOR_HOST": host}, TODAY).storage_url == url


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (
            {"from_": "2023-10-28", "to": "2023-10-27"},
            ["--to: found 2023-10-27", "expected 2023-10-28 (the day of --from) or later"],
        ),
        ({"from_": "28/10/2023"}, ["--from", "'28/10/2023'", "YYYY-MM-DD"]),
        ({"from_": "20231028"}, ["--from", "'20231028'", "YYYY-MM-DD"]),
        ({"to": "2023-02-29"}, ["--to", "'2023-02-29'"]),
        ({"to": "2023-10-30"}, ["--to", "found 2023-10-30", "expected 2023-10-29 (today in UTC)"]),
        ({"from_": "0001-01-01"}, ["days, expected at most 4000"]),
        ({"feed": ""}, ["--feed", "''"]),
        ({"dataset": "vlille; DROP TABLE x"}, ["--dataset", "expected letters, digits"]),
        ({"location": ""}, ["--location", "''"]),
        ({"archive_bucket": "gs://archive"}, ["--archive-bucket", "gs://archive"]),
        ({"redelivery_window_s": "-1"}, ["--redelivery-window-s", "found -1"]),
        ({"days_at_once": "0"}, ["--days-at-once", "found 0, expected 1 to 4000"]),
    ],
)
def test_refusals_name_option_found_and_expected(changed: dict[str, str], says: list[str]) -> None:
    with pytest.raises(SettingsError) as refusal:
        read_settings(arguments(**changed), {}, TODAY)
    assert all(each in str(refusal.value) for each in says), refusal.value


@pytest.mark.parametrize("words", [arguments()[2:], [*arguments(), "--force"], [*arguments(), "--proj", "x"]])
def test_missing_unknown_and_abbreviated_options_end_the_process(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        read_settings(words, {}, TODAY)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


@given(st.dates(date(2020, 1, 1), TODAY), st.integers(0, MAX_DAYS - 1))
def test_every_day_once_in_order(last: date, more: int) -> None:
    first = date.fromordinal(last.toordinal() - more)
    days = read_settings(arguments(from_=first.isoformat(), to=last.isoformat()), {}, TODAY).days
    assert days == sorted(set(days))
    assert (days[0], days[-1], len(days)) == (first, last, more + 1)


def test_feed_from_the_repository() -> None:
    assert read_feed("vlille_ods", ROOT / "src", Path("unused")) == load_feed(ROOT / "sources" / "vlille_ods")


def test_feed_from_the_code_zip(tmp_path: Path) -> None:
    code = tmp_path / "batch.zip"
    with zipfile.ZipFile(code, "w") as archive:
        for file in (ROOT / "sources" / "vlille_ods").iterdir():
            archive.write(file, f"sources/vlille_ods/{file.name}")
    assert read_feed("vlille_ods", code, tmp_path / "scratch") == load_feed(ROOT / "sources" / "vlille_ods")


def test_unknown_feed_lists_those_there_are(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "sources", tmp_path / "sources")
    (tmp_path / "src").mkdir()
    with pytest.raises(
        SettingsError, match=r"--feed: found 'vlile_ods', expected gbfs, vlille_gbfs, vlille_ods, vlille_ogc"
    ):
        read_feed("vlile_ods", tmp_path / "src", tmp_path)
