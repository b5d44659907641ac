"""The settings of one run, read from the command line and the environment."""

import argparse
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from feed import Feed, load_feed

STORAGE_URL = "https://storage.googleapis.com"
# The variables that set another endpoint for the storage client, in its order; our own requests use them too.
ENDPOINTS = ("STORAGE_EMULATOR_HOST", "API_ENDPOINT_OVERRIDE")
# One statement may change 4,000 partitions: https://cloud.google.com/bigquery/quotas#partitioned_tables
MAX_DAYS = 4_000
# 31 days of V'Lille are 13 million rows, read in half a minute on four CPUs. BigQuery takes about as long to load and
# replace them, while the next days are read.
DAYS_AT_ONCE = 31
PACKS_FEED = "gbfs"  # all GBFS systems, whose responses are in packs
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")


class SettingsError(ValueError):
    """A command-line argument is invalid; the message says what was found and what is accepted.

    What to do: correct the argument; `FROM` and `TO` are settled UTC days such as 2026-11-24.
    """


@dataclass(frozen=True)
class Settings:
    """One run: the archive, the feed, the days (first and last included, UTC) and the dataset."""

    project: str
    dataset: str
    location: str  # of the dataset; BigQuery finds a job outside of US and EU only with its location
    archive_bucket: str
    staging_bucket: str
    feed: str
    first_day: date
    last_day: date
    storage_url: str = STORAGE_URL
    days_at_once: int = DAYS_AT_ONCE
    code: str = ""  # the version of the code that runs
    redelivery_window_s: int | None = (
        None  # how long after its tick a delivery may load rows; None: no deliveries
    )

    @property
    def has_packs(self) -> bool:
        """Whether packs of GBFS systems are rebuilt instead of a feed's responses."""
        return self.feed == PACKS_FEED

    @property
    def days(self) -> list[date]:
        """All days of the run, in order."""
        return [self.first_day + timedelta(n) for n in range((self.last_day - self.first_day).days + 1)]

    def table(self, name: str) -> str:
        """Return the full ID of a table of the dataset."""
        return f"{self.project}.{self.dataset}.{name}"


def read_settings(
    arguments: Sequence[str], environment: Mapping[str, str], today: date, code: str = ""
) -> Settings:
    """Return the settings; `today` is the current UTC date, `code` the version of the code (the name of its zip).

    Raises SettingsError. For missing or unknown arguments argparse ends the process with status 2.
    """
    parsed = _make_parser().parse_args(arguments)
    first, last = _parse_day("--from", parsed.first, today), _parse_day("--to", parsed.last, today)
    if last < first:
        raise SettingsError(f"--to: found {last}, expected {first} (the day of --from) or later")
    if (last - first).days >= MAX_DAYS:
        raise SettingsError(
            f"--from {first} --to {last}: found {(last - first).days + 1} days, expected at most {MAX_DAYS}"
        )
    if not 1 <= parsed.days_at_once <= MAX_DAYS:
        raise SettingsError(f"--days-at-once: found {parsed.days_at_once}, expected 1 to {MAX_DAYS}")
    if parsed.redelivery_window_s is not None and parsed.redelivery_window_s < 0:
        raise SettingsError(f"--redelivery-window-s: found {parsed.redelivery_window_s}, expected 0 or more")
    for option in ("project", "dataset", "location", "archive_bucket", "staging_bucket", "feed"):
        value = getattr(parsed, option)
        if not _NAME.fullmatch(value):
            raise SettingsError(
                f"--{option.replace('_', '-')}: found {value!r}, expected letters, digits and "
                "'._:-', the first of them a letter or a digit"
            )
    host = next((environment[name] for name in ENDPOINTS if environment.get(name)), STORAGE_URL).rstrip("/")
    return Settings(
        project=parsed.project,
        dataset=parsed.dataset,
        location=parsed.location,
        archive_bucket=parsed.archive_bucket,
        staging_bucket=parsed.staging_bucket,
        feed=parsed.feed,
        first_day=first,
        last_day=last,
        days_at_once=parsed.days_at_once,
        code=code,
        redelivery_window_s=parsed.redelivery_window_s,
        storage_url=host if "://" in host else f"http://{host}",
    )


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="main.py",
        description="Rebuild whole UTC days of a feed's table from the archive.",
        allow_abbrev=False,
    )
    parser.add_argument("--project", required=True, help="Google Cloud project")
    parser.add_argument("--dataset", required=True, help="dataset of the tables, such as vlille")
    parser.add_argument("--location", required=True, help="location of the dataset, such as europe-west1")
    parser.add_argument("--archive-bucket", required=True, help="bucket of the raw responses")
    parser.add_argument("--staging-bucket", required=True, help="bucket for the Parquet files of this run")
    parser.add_argument(
        "--feed",
        required=True,
        help=f"a folder of sources/, such as vlille_ods; {PACKS_FEED}: all GBFS systems, from packs",
    )
    parser.add_argument(
        "--from", dest="first", required=True, metavar="DAY", help="YYYY-MM-DD or yesterday (UTC)"
    )
    parser.add_argument("--to", dest="last", required=True, metavar="DAY", help="the last day, included")
    parser.add_argument(
        "--days-at-once",
        type=int,
        default=DAYS_AT_ONCE,
        metavar="N",
        help="how many days are read and replaced at once; a killed run repeats at most this many "
        f"(default: {DAYS_AT_ONCE})",
    )
    parser.add_argument(
        "--redelivery-window-s",
        type=int,
        metavar="SECONDS",
        help="how long after its tick a delivery may still load rows; a day is rebuilt only after this time "
        "(default: no deliveries are expected, and the day in progress is rebuilt too)",
    )
    return parser


def _parse_day(option: str, text: str, today: date) -> date:
    if text == "yesterday":
        return today - timedelta(1)
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text:
        raise SettingsError(f"{option}: found {text!r}, expected a UTC day as YYYY-MM-DD, or yesterday")
    if day > today:
        raise SettingsError(f"{option}: found {text}, expected {today} (today in UTC) or earlier")
    return day


def read_feed(name: str, code: Path, scratch: Path) -> Feed:
    """Return the feed from the `sources/` that are shipped with the code.

    `code` is the folder or zip that this package was imported from; the sources of a zip are unpacked into `scratch`.
    Raises SettingsError for an unknown feed, FeedError for an invalid one.
    """
    if zipfile.is_zipfile(code):
        with zipfile.ZipFile(code) as archive:
            archive.extractall(scratch, [n for n in archive.namelist() if n.startswith("sources/")])
        sources = scratch / "sources"
    else:
        sources = code.parent / "sources"
    known = sorted(file.parent.name for file in sources.glob("*/source.toml"))
    if name not in known:
        raise SettingsError(f"--feed: found {name!r}, expected {', '.join([PACKS_FEED, *known])}")
    return load_feed(sources / name)
