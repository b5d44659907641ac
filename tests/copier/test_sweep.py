"""Sweeps on the emulator: twice, two at once, killed at each step, in the hour that happens twice."""

import gc
import io
import json
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.api_core.exceptions import ServiceUnavailable
from google.api_core.retry import Retry
from google.auth.exceptions import RefreshError, TransportError
from google.cloud.storage import Blob
from google.cloud.storage.exceptions import DataCorruption

import copier.archiving
import copier.sweep
from copier.deadline import FINISH_SECONDS
from copier.planning import MAX_LEGACY_BYTES
from copier.sweep import sweep_landing_bucket
from feed import Feed, archive_name, compress, decompress, landing_name
from telemetry import LOGGER, log_as_json
from tests.copier.conftest import Buckets

pytestmark = pytest.mark.emulator

TICK = datetime(2023, 10, 26, 20, 50, tzinfo=UTC)
STILL = lambda: 0.0  # noqa: E731 - a clock that stands still


def test_what_landed_is_archived_as_it_was(buckets: Buckets) -> None:
    ticks = [TICK + timedelta(minutes=17 * i) for i in range(20)]
    content = {tick: compress(f'{{"tick": "{tick}"}}'.encode()) for tick in ticks}
    for tick in ticks:
        buckets.put(landing_name("trams", tick), content[tick])
    done = sweep_landing_bucket(buckets.client, buckets.settings, [], STILL)
    assert (done.moved, done.skipped, done.refused, done.failed, done.complete) == (20, 0, 0, 0, True)
    assert buckets.archived == {archive_name("trams", tick): content[tick] for tick in ticks}
    assert buckets.landed == {}
    again = sweep_landing_bucket(buckets.client, buckets.settings, [], STILL)
    assert (again.moved, again.skipped, again.refused) == (0, 0, 0)


def test_two_sweeps_at_once_lose_nothing(buckets: Buckets) -> None:
    names = [landing_name("trams", TICK + timedelta(minutes=i)) for i in range(60)]
    for name in names:
        buckets.put(name, compress(name.encode()))
    with ThreadPoolExecutor(2) as pool:
        both = list(
            pool.map(lambda _: sweep_landing_bucket(buckets.client, buckets.settings, [], STILL), range(2))
        )
    assert buckets.landed == {}
    assert sorted(decompress(content).decode() for content in buckets.archived.values()) == names
    assert [(done.refused, done.failed) for done in both] == [(0, 0), (0, 0)]


@pytest.mark.parametrize("step", ["rewrite", "delete"])
def test_a_sweep_that_dies_at_a_step_is_finished_by_the_next(
    buckets: Buckets, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [landing_name("trams", TICK + timedelta(minutes=i)) for i in range(3)]
    for name in names:
        buckets.put(name, compress(name.encode()))

    def die(*_: object, **__: object) -> None:
        raise ServiceUnavailable("killed here")  # type: ignore[no-untyped-call]

    with monkeypatch.context() as patch:
        patch.setattr(Blob, step, die)
        done = sweep_landing_bucket(buckets.client, buckets.settings, [], STILL)
    assert (done.failed, done.moved) == (3, 0)
    assert "killed here" in done.failures[0]["reason"]
    assert sorted(buckets.landed) == names
    again = sweep_landing_bucket(buckets.client, buckets.settings, [], STILL)
    assert (again.moved, again.skipped) == ((3, 0) if step == "rewrite" else (0, 3))
    assert buckets.landed == {}
    assert sorted(decompress(content).decode() for content in buckets.archived.values()) == names


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (DataCorruption(None, "checksum mismatch"), "checksum mismatch"),
        (TransportError("no metadata server"), "no metadata server"),  # type: ignore[no-untyped-call]
        (RefreshError("token not renewed"), "token not renewed"),  # type: ignore[no-untyped-call]
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_an_exception_for_one_object_does_not_stop_the_others(
    buckets: Buckets, error: Exception, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [landing_name("trams", TICK + timedelta(minutes=i)) for i in range(3)]
    for name in names:
        buckets.put(name, compress(name.encode()))
    move = copier.archiving.move_landed

    def break_one(source: Blob, *rest: Any, **options: Any) -> Any:
        if source.name == names[1]:
            raise error
        return move(source, *rest, **options)

    monkeypatch.setattr("copier.sweep.move_landed", break_one)
    monkeypatch.setattr(LOGGER, "handlers", [])  # put back afterwards, with the next line's
    log_as_json(lines := io.StringIO())
    done = sweep_landing_bucket(buckets.client, buckets.settings, [], STILL)
    assert (done.moved, done.failed, done.complete) == (2, 1, True)
    assert done.failures == [{"object": names[1], "reason": reason}]
    assert list(buckets.landed) == [names[1]]
    [line] = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert (line["severity"], line["object"]) == ("ERROR", names[1])
    assert "in break_one" in line["stack_trace"]


def test_a_differing_copy_leaves_its_source(buckets: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    buckets.put(landing_name("trams", TICK), compress(b"whole"))

    def rewrite_badly(self: Blob, _source: Blob, **_: object) -> tuple[None, int, int]:
        self.upload_from_string(b"half")
        return None, 4, 4

    monkeypatch.setattr(Blob, "rewrite", rewrite_badly)
    done = sweep_landing_bucket(buckets.client, buckets.settings, [], STILL)
    assert (done.failed, done.moved) == (1, 0)
    assert list(buckets.landed) == [landing_name("trams", TICK)]


def test_another_response_in_the_archive_is_never_replaced(buckets: Buckets) -> None:
    buckets.put(landing_name("trams", TICK), compress(b"newer"))
    buckets.archive(archive_name("trams", TICK), compress(b"older"))
    done = sweep_landing_bucket(buckets.client, buckets.settings, [], STILL)
    assert (done.refused, done.moved) == (1, 0)
    assert "another response" in done.refusals[0]["reason"]
    assert decompress(buckets.archived[archive_name("trams", TICK)]) == b"older"
    assert decompress(buckets.landed[landing_name("trams", TICK)]) == b"newer"


def test_a_sweep_respects_its_deadline_and_the_next_one_continues(
    buckets: Buckets, stepping_clock: Callable[[float], Any]
) -> None:
    names = [landing_name("trams", TICK + timedelta(minutes=i)) for i in range(30)]
    for name in names:
        buckets.put(name, compress(name.encode()))
    settings = replace(buckets.settings, deadline_s=10.0, threads=2)
    first = sweep_landing_bucket(buckets.client, settings, [], stepping_clock(1.0))
    assert 0 < first.moved < 30
    assert first.complete is False
    assert len(buckets.landed) == 30 - first.moved
    rest = sweep_landing_bucket(buckets.client, settings, [], STILL)
    # An object whose copy was made in time and whose deletion was not is there already.
    assert (first.moved + rest.moved + rest.skipped, rest.complete, buckets.landed) == (30, True, {})


@dataclass
class Hand:
    """A clock that advances when a test sets it."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("name", ["trams/20231026T205000Z.json.gz", "data___2023-10-26_22:50:00.json"])
@pytest.mark.parametrize("calls", [1, 2, 3, 4, 5])
def test_a_sweep_ends_in_time_however_long_its_calls_take(
    buckets: Buckets, old_feeds: list[Feed], name: str, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many calls take all that they may, from just before the deadline on; the others take no time."""
    settings, clock, slow = replace(buckets.settings, deadline_s=30.0, threads=1), Hand(), iter(range(calls))
    buckets.put(name, b"{}")
    # There already, so that an old object takes all of its calls: the responses are compared.
    buckets.archive(archive_name("vlille_ods", TICK), b"{}")

    def slowly(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, timeout: float, retry: Retry, **options: Any) -> Any:
            if next(slow, None) is not None:
                clock.now = max(clock.now, 29.9) + timeout + (retry.timeout or 0.0)
            return call(*args, timeout=timeout, retry=retry, **options)

        return called

    with monkeypatch.context() as patch:
        for step in ("rewrite", "reload", "download_as_bytes", "upload_from_string", "delete"):
            patch.setattr(Blob, step, slowly(getattr(Blob, step)))
        done = sweep_landing_bucket(buckets.client, settings, old_feeds, clock)
    assert 30 <= clock.now <= 30 + FINISH_SECONDS
    assert (done.refused, done.failed, done.complete) == (0, 0, False)
    again = sweep_landing_bucket(buckets.client, settings, old_feeds, STILL)
    assert done.moved + done.skipped + again.moved + again.skipped == 1
    assert (again.complete, buckets.landed) == (True, {})


def test_looking_into_the_archive_takes_half_of_the_time_at_most(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = [TICK + timedelta(hours=i) for i in range(30)]
    for tick in ticks:
        buckets.put(landing_name("trams", tick), compress(b"{}"))
    clock, hours, list_blobs = Hand(), list[str](), buckets.client.list_blobs

    def listing(bucket: str, **options: Any) -> Any:
        if bucket == buckets.settings.archive_bucket:
            hours.append(options["prefix"])
            clock.now += 1.0
        return list_blobs(bucket, **options)

    with monkeypatch.context() as patch:
        patch.setattr(buckets.client, "list_blobs", listing)
        done = sweep_landing_bucket(buckets.client, replace(buckets.settings, deadline_s=10.0), [], clock)
    assert hours == [archive_name("trams", tick).rpartition("/")[0] + "/" for tick in ticks[:5]]
    assert (done.moved, done.skipped, done.refused, done.failed, done.complete) == (30, 0, 0, 0, True)


def make_body(feed: Feed, moment: str) -> bytes:
    """The sample, as if made at a moment."""
    document = json.loads(feed.sample)
    for record in document["records"]:
        record["record_timestamp"] = moment
        record["fields"]["datemiseajour"] = moment
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("made", "hour"),
    [("2023-10-29T02:29:40+02:00", "00"), ("2023-10-29T02:29:40+01:00", "01")],
)
def test_in_a_repeated_hour_the_response_decides(
    buckets: Buckets, old_feeds: list[Feed], made: str, hour: str
) -> None:
    [feed] = old_feeds
    body = make_body(feed, made)
    buckets.put("data___2023-10-29_02:30:00.json", body)
    done = sweep_landing_bucket(buckets.client, buckets.settings, old_feeds, STILL)
    assert (done.moved, done.refused) == (1, 0)
    name = f"feed=vlille_ods/date=2023-10-29/hour={hour}/20231029T{hour}3000Z.json.gz"
    assert {key: decompress(content) for key, content in buckets.archived.items()} == {name: body}
    assert buckets.landed == {}


def test_without_evidence_it_is_the_second_occurrence(buckets: Buckets, old_feeds: list[Feed]) -> None:
    buckets.put("data___2023-10-29_02:30:00.json", b"<html>")
    sweep_landing_bucket(buckets.client, buckets.settings, old_feeds, STILL)
    assert list(buckets.archived) == ["feed=vlille_ods/date=2023-10-29/hour=01/20231029T013000Z.json.gz"]


def test_old_objects_are_archived_once_and_the_rest_refused(
    buckets: Buckets, old_feeds: list[Feed], full_response: bytes
) -> None:
    buckets.put("data___2023-10-26_22:50:00.json", full_response)
    buckets.put("data___2023-03-26_02:30:00.json", full_response)
    buckets.put("notes.txt", b"keep me")
    done = sweep_landing_bucket(buckets.client, buckets.settings, old_feeds, STILL)
    assert (done.moved, done.refused) == (1, 2)
    assert sorted(refusal["object"] for refusal in done.refusals) == sorted(buckets.landed)
    [name] = buckets.archived
    assert name == "feed=vlille_ods/date=2023-10-26/hour=20/20231026T205000Z.json.gz"
    assert decompress(buckets.archived[name]) == full_response
    buckets.put("data___2023-10-26_22:50:00.json", full_response)
    again = sweep_landing_bucket(buckets.client, buckets.settings, old_feeds, STILL)
    assert (again.skipped, again.moved, again.refused) == (1, 0, 2)


def test_a_legacy_object_stays_if_another_response_has_its_name(
    buckets: Buckets, old_feeds: list[Feed]
) -> None:
    buckets.archive("feed=vlille_ods/date=2023-10-26/hour=20/20231026T205000Z.json.gz", compress(b"{}"))
    buckets.put("data___2023-10-26_22:50:00.json", b'{"other": 1}')
    done = sweep_landing_bucket(buckets.client, buckets.settings, old_feeds, STILL)
    assert (done.refused, done.moved) == (1, 0)
    assert list(buckets.landed) == ["data___2023-10-26_22:50:00.json"]


def test_an_old_object_that_is_large_once_unpacked_stays(buckets: Buckets, old_feeds: list[Feed]) -> None:
    name = "data___2023-10-26_22:50:00.json"
    buckets.put(name, compress(bytes(MAX_LEGACY_BYTES + 1)))
    done = sweep_landing_bucket(buckets.client, buckets.settings, old_feeds, STILL)
    assert (done.refused, done.moved) == (1, 0)
    assert f"more than {MAX_LEGACY_BYTES} bytes decompressed" in done.refusals[0]["reason"]
    assert (list(buckets.landed), buckets.archived) == ([name], {})


def test_a_large_object_of_the_archive_is_not_read_to_compare(
    buckets: Buckets, old_feeds: list[Feed], monkeypatch: pytest.MonkeyPatch
) -> None:
    archived = "feed=vlille_ods/date=2023-10-26/hour=20/20231026T205000Z.json.gz"
    buckets.archive(archived, bytes(MAX_LEGACY_BYTES + 1))
    buckets.put("data___2023-10-26_22:50:00.json", b"{}")
    read: list[str] = []
    download = Blob.download_as_bytes

    def watched(self: Blob, *args: Any, **options: Any) -> bytes:
        read.append(self.name)
        content: bytes = download(self, *args, **options)
        return content

    with monkeypatch.context() as patch:
        patch.setattr(Blob, "download_as_bytes", watched)
        done = sweep_landing_bucket(buckets.client, buckets.settings, old_feeds, STILL)
    assert (done.refused, read) == (1, ["data___2023-10-26_22:50:00.json"])
    assert "another response" in done.refusals[0]["reason"]


def test_an_object_moved_by_another_sweep_is_no_failure(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = landing_name("trams", TICK)
    buckets.put(name, compress(b"{}"))
    move = copier.archiving.move_landed

    def late(source: Blob, *rest: Any, **options: Any) -> Any:
        source.bucket.blob(name).delete()
        return move(source, *rest, **options)

    monkeypatch.setattr("copier.sweep.move_landed", late)
    done = sweep_landing_bucket(buckets.client, buckets.settings, [], STILL)
    assert (done.skipped, done.failed, done.moved) == (1, 0, 0)


def test_two_pages_are_held_however_many_there_are(buckets: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    """And while one of them is moved, the next is listed."""
    names = [landing_name("trams", TICK + timedelta(minutes=i)) for i in range(60)]
    for name in names:
        buckets.put(name, compress(name.encode()))
    held: list[weakref.ref[Blob]] = []
    most, seen, listing = 0, list[str](), copier.sweep._list_pages

    def pages(*arguments: Any) -> Iterator[list[Blob]]:
        nonlocal most
        for page in listing(*arguments):
            if arguments[1] == buckets.settings.landing_bucket:
                held.extend(map(weakref.ref, page))
                gc.collect()
                most = max(most, sum(blob() is not None for blob in held))
            yield page
            del page

    monkeypatch.setattr("copier.sweep.PAGE_SIZE", 10)
    monkeypatch.setattr("copier.sweep._list_pages", pages)
    done = sweep_landing_bucket(buckets.client, buckets.settings, [], STILL, seen.append)
    assert (done.moved, done.complete) == (60, True)
    assert seen == names
    assert 10 < most <= 30  # the third is what has just been moved


def test_kept_source_files_are_archived_once(
    buckets: Buckets, old_feeds: list[Feed], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second run reads none of them again: not even one of the hour that happens twice."""
    [feed] = old_feeds
    old_files = {
        "data___2023-10-26_22:50:00.json": b'{"records": []}',
        "data___2023-10-29_02:30:00.json": make_body(feed, "2023-10-29T02:29:40+02:00"),
        landing_name("trams", TICK): compress(b"{}"),
    }
    for name, content in old_files.items():
        buckets.put(name, content)
    settings = replace(buckets.settings, keep=True)
    done = sweep_landing_bucket(buckets.client, settings, old_feeds, STILL)
    assert (done.moved, done.skipped, buckets.landed) == (3, 0, old_files)
    archived = buckets.archived
    assert len(archived) == 3

    def read(*_: object, **__: object) -> None:
        raise AssertionError("nothing is to be read")

    with monkeypatch.context() as patch:
        for step in ("download_as_bytes", "rewrite"):
            patch.setattr(Blob, step, read)
        again = sweep_landing_bucket(buckets.client, settings, old_feeds, STILL)
    assert (again.moved, again.skipped + again.retained, again.failed) == (0, 3, 0)
    assert (buckets.landed, buckets.archived) == (old_files, archived)
