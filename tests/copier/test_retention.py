"""A landed object is archived at once and deleted only when no delivery of its tick can come any more."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from copier.sweep import Sweep, sweep_landing_bucket
from feed import archive_name, compress, landing_name, rejected_archive_name, rejected_name, wait_marker_name
from tests.copier.conftest import Buckets
from tests.copier.test_sweep import STILL

pytestmark = pytest.mark.emulator

TICK = datetime(2023, 10, 26, 20, 50, tzinfo=UTC)
WINDOW = timedelta(minutes=67)
LANDED, ARCHIVED = landing_name("trams", TICK), archive_name("trams", TICK)


def sweep_at(buckets: Buckets, age: timedelta, *, keep: bool = False) -> Sweep:
    """Sweep when the tick is `age` old."""
    settings = replace(buckets.settings, redelivery_window_s=WINDOW.total_seconds(), keep=keep)
    return sweep_landing_bucket(buckets.client, settings, [], STILL, now=lambda: TICK + age)


def counts(done: Sweep) -> tuple[int, int, int, int]:
    return done.moved, done.retained, done.skipped, done.refused + done.failed


def test_an_object_is_archived_at_once_and_deleted_after_the_window(buckets: Buckets) -> None:
    buckets.put(LANDED, compress(b"{}"))
    assert counts(sweep_at(buckets, timedelta())) == (1, 0, 0, 0)
    assert (list(buckets.landed), list(buckets.archived)) == ([LANDED], [ARCHIVED])
    assert counts(sweep_at(buckets, WINDOW - timedelta(seconds=1))) == (0, 1, 0, 0)
    assert list(buckets.landed) == [LANDED]
    assert counts(sweep_at(buckets, WINDOW)) == (0, 0, 1, 0)
    assert (buckets.landed, list(buckets.archived)) == ({}, [ARCHIVED])


def test_an_object_older_than_the_window_is_moved_by_one_sweep(buckets: Buckets) -> None:
    buckets.put(LANDED, compress(b"{}"))
    assert counts(sweep_at(buckets, WINDOW)) == (1, 0, 0, 0)
    assert (buckets.landed, list(buckets.archived)) == ({}, [ARCHIVED])


def test_a_tick_ahead_of_the_copiers_clock_is_retained(buckets: Buckets) -> None:
    buckets.put(LANDED, compress(b"{}"))
    sweep_at(buckets, -timedelta(minutes=3))
    assert counts(sweep_at(buckets, -timedelta(minutes=2))) == (0, 1, 0, 0)
    assert list(buckets.landed) == [LANDED]


def test_old_files_of_a_backfill_stay_however_old_they_are(buckets: Buckets) -> None:
    buckets.put(LANDED, compress(b"{}"))
    assert counts(sweep_at(buckets, timedelta(days=400), keep=True)) == (1, 0, 0, 0)
    assert counts(sweep_at(buckets, timedelta(days=400), keep=True)) == (0, 1, 0, 0)
    assert (list(buckets.landed), list(buckets.archived)) == ([LANDED], [ARCHIVED])


def test_a_retained_object_that_differs_from_the_archives_is_refused(buckets: Buckets) -> None:
    buckets.put(LANDED, compress(b"landed"))
    buckets.archive(ARCHIVED, compress(b"archived"))
    assert counts(sweep_at(buckets, timedelta())) == (0, 0, 0, 1)
    assert list(buckets.landed) == [LANDED]


def test_a_note_of_waiting_goes_when_its_minute_is_long_over(buckets: Buckets) -> None:
    note = wait_marker_name("trams", TICK)
    buckets.put(note, b"no request of trams before 20:52 UTC")
    assert counts(sweep_at(buckets, WINDOW - timedelta(seconds=1))) == (0, 1, 0, 0)
    assert list(buckets.landed) == [note]
    assert counts(sweep_at(buckets, WINDOW)) == (0, 0, 1, 0)
    assert (buckets.landed, buckets.archived) == ({}, {})


def test_rejected_responses_are_archived_too(buckets: Buckets) -> None:
    buckets.put(rejected_name("trams", TICK), compress(b"<html>"))
    assert counts(sweep_at(buckets, timedelta())) == (1, 0, 0, 0)
    assert counts(sweep_at(buckets, WINDOW)) == (0, 0, 1, 0)
    assert (buckets.landed, list(buckets.archived)) == ({}, [rejected_archive_name("trams", TICK)])
