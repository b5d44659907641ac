"""Read the objects of an hour into files and statistics, whatever the objects contain."""

import json
import shutil
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed import archive_name, compress, load_feed, parse_response
from spark.prefetch import PrefetchWindow
from spark.rebuild.planning import StoredObject, plan_hours
from spark.rebuild.statistics import RunStatistics, reconcile
from spark.responses import hours as hours_module
from spark.responses.hours import MAX_STORED_BYTES, read_hours

pytestmark = pytest.mark.unit

DAY = date(2023, 10, 26)
TICK = datetime(2023, 10, 26, 20, 58, tzinfo=UTC)
ODS = load_feed(Path(__file__).parents[3] / "sources" / "vlille_ods")
SAMPLE = json.loads(ODS.sample)
RECORDS = len(SAMPLE["records"])


def changed(**fields: Any) -> bytes:
    """The sample, with fields of its second record changed."""
    records = [json.loads(json.dumps(each)) for each in SAMPLE["records"]]
    records[1]["fields"] |= fields
    return json.dumps(SAMPLE | {"records": records}).encode()


def doubled() -> bytes:
    return json.dumps(SAMPLE | {"records": [*SAMPLE["records"], SAMPLE["records"][0]]}).encode()


def named(minute: int) -> str:
    return archive_name(ODS.name, TICK + timedelta(minutes=minute))


# Object → (stored bytes, its statistics, reason in the quarantine)
ACCIDENTS: dict[str, tuple[bytes, RunStatistics, str | None]] = {
    named(0): (compress(ODS.sample), RunStatistics(1, 0, RECORDS, RECORDS, 0), None),
    named(1): (compress(ODS.sample)[:-20], RunStatistics(0, 1), "unreadable"),
    named(2): (b"\x1f\x8bgarbage", RunStatistics(0, 1), "unreadable"),
    named(3): (compress(b"<!DOCTYPE html><html>Maintenance</html>"), RunStatistics(0, 1), "html"),
    named(4): (compress(b""), RunStatistics(0, 1), "empty"),
    named(5): (b"", RunStatistics(0, 1), "empty"),
    named(6): (compress(ODS.sample[: len(ODS.sample) // 2]), RunStatistics(0, 1), "truncated"),
    named(7): (compress(b'{"error": "limit reached"}'), RunStatistics(0, 1), "no_records"),
    named(8): (compress(b'{"records": []}'), RunStatistics(0, 1), "empty"),
    named(9): (
        compress(changed(nbvelosdispo="many")),
        RunStatistics(1, 0, RECORDS, RECORDS, 0, 1),
        "bad_value",
    ),
    named(12): (compress(changed(libelle="many")), RunStatistics(1, 0, RECORDS, RECORDS - 1, 1), "bad_value"),
    named(13): (
        compress(changed(nbvelosdispo=-1)),
        RunStatistics(1, 0, RECORDS, RECORDS, 0, 0, 1),
        "implausible",
    ),
    named(10): (compress(doubled()), RunStatistics(1, 0, RECORDS + 1, RECORDS, 1), "duplicate_key"),
    named(11): (
        ODS.sample,
        RunStatistics(1, 0, RECORDS, RECORDS, 0),
        None,
    ),  # plain, as an old archive may have it
    f"feed={ODS.name}/date=2023-10-26/hour=21/notes.txt": (b"notes", RunStatistics(0, 1), "bad_name"),
    f"feed={ODS.name}/date=2023-10-26/hour=20/20231026T215800Z.json.gz": (
        b"",
        RunStatistics(0, 1),
        "bad_name",
    ),
    f"feed={ODS.name}/date=2023-10-26/_SUCCESS": (b"", RunStatistics(0, 1), "bad_name"),
    f"feed={ODS.name}/date=2023-10-26/hour=20/": (b"", RunStatistics(0, 1), "bad_name"),
}


def run(
    objects: dict[str, bytes], into: Path, parts: Iterable[slice] = (slice(None),)
) -> tuple[RunStatistics, list[Path]]:
    """Read the objects of the day partition by partition; return the statistics and the stored files."""
    hours = plan_hours(DAY, [StoredObject(name, len(data)) for name, data in objects.items()])

    def put(name: str, file: Path) -> str:
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        return str(target)

    results = [
        result
        for part in parts
        for result in read_hours(ODS, hours[part], objects.__getitem__, put, "batch/run")
    ]
    uris = [uri for result in results for uri in (result.rows_uri, result.quarantine_uri) if uri]
    return reconcile(hours, results), [Path(uri) for uri in uris]


def rows_of(files: Iterable[Path], kind: str) -> list[dict[str, Any]]:
    return [row for file in files if file.parent.name == kind for row in pq.read_table(file).to_pylist()]


@pytest.mark.parametrize("name", ACCIDENTS)
def test_each_object_alone(name: str, tmp_path: Path) -> None:
    data, expected, reason = ACCIDENTS[name]
    statistics, files = run({name: data}, tmp_path)
    assert statistics == expected
    assert [row["reason"] for row in rows_of(files, "quarantine")] == ([reason] if reason else [])
    assert len(rows_of(files, "rows")) == expected.rows_loaded


def test_all_objects_together(tmp_path: Path) -> None:
    statistics, files = run({name: data for name, (data, _, _) in ACCIDENTS.items()}, tmp_path)
    expected = RunStatistics()
    for _, each, _ in ACCIDENTS.values():
        expected += each
    assert statistics == expected
    assert statistics.objects_read + statistics.objects_quarantined == len(ACCIDENTS)
    quarantine = rows_of(files, "quarantine")
    assert sorted(row["reason"] for row in quarantine) == sorted(
        each[2] for each in ACCIDENTS.values() if each[2]
    )
    assert {row["collected_at"].date() for row in quarantine} == {DAY}
    assert len(rows_of(files, "rows")) == statistics.rows_loaded


def test_the_quarantine_names_the_object_as_the_collector_landed_it(tmp_path: Path) -> None:
    bad = f"feed={ODS.name}/date=2023-10-26/_SUCCESS"
    _, files = run({named(3): ACCIDENTS[named(3)][0], bad: b""}, tmp_path)
    assert {row["object"] for row in rows_of(files, "quarantine")} == {
        bad,
        "vlille_ods/20231026T210100Z.json.gz",
    }


def test_an_object_too_large_is_not_even_read() -> None:
    nothing: dict[str, bytes] = {}
    hours = plan_hours(DAY, [StoredObject(named(0), MAX_STORED_BYTES + 1)])
    (result,) = read_hours(ODS, hours, nothing.__getitem__, lambda name, _: name, "x")
    assert result.statistics == RunStatistics(0, 1)
    assert result.quarantine_rows == 1


def test_rows_equal_those_of_parse_response(tmp_path: Path) -> None:
    _, files = run({named(0): compress(ODS.sample)}, tmp_path)
    assert rows_of(files, "rows") == parse_response(ODS, ODS.sample, TICK).rows


@pytest.mark.long
def test_attempts_and_parts_store_the_same_bytes(tmp_path: Path) -> None:
    objects = {name: data for name, (data, _, _) in ACCIDENTS.items()}
    objects |= {archive_name(ODS.name, TICK - timedelta(hours=h)): compress(ODS.sample) for h in range(1, 15)}
    splits = [(slice(None),), (slice(0, 3), slice(3, None)), (slice(4, None), slice(0, 4))]
    stored = []
    for number, parts in enumerate(splits):
        folder = tmp_path / str(number)
        run(objects, folder, parts)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        stored.append({str(file.relative_to(folder)): file.read_bytes() for file in files})
    assert stored[0] == stored[1] == stored[2]
    assert len(stored[0]) > 15


def test_no_file_stays_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    run({name: data for name, (data, _, _) in ACCIDENTS.items()}, tmp_path / "out")
    assert list((tmp_path / "tmp").iterdir()) == []


def test_drifts_are_counted_by_response() -> None:
    hours = plan_hours(DAY, [StoredObject(named(minute), 1) for minute in (0, 1)])
    (result,) = read_hours(ODS, hours, lambda _: compress(changed(electric=3)), lambda name, _: name, "x")
    (message,) = result.drifts
    assert "electric" in message
    assert result.drifts[message] == 2


def test_a_failing_read_ends_the_part_without_waiting_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hours_module, "get_prefetch_window", lambda: PrefetchWindow(4, 4))
    requested: list[str] = []

    def read(name: str) -> bytes:
        requested.append(name)
        raise OSError("gone")

    hours = plan_hours(
        DAY, [StoredObject(archive_name(ODS.name, TICK + timedelta(seconds=s)), 1) for s in range(100)]
    )
    with pytest.raises(OSError, match="gone"):
        list(read_hours(ODS, hours, read, lambda name, _: name, "x"))
    assert len(requested) <= 8


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.just("2023-10-26T22:58:00Z")
)
KEYS = st.sampled_from([*SAMPLE["records"][0]["fields"], "invented"])
BODIES = st.builds(
    lambda changes, cut: changed(**changes)[: cut or None],
    st.dictionaries(KEYS, SCALARS | st.lists(SCALARS, max_size=2), max_size=4),
    st.sampled_from([0, 0, 0, -1, -40, 300]),
)


@given(BODIES | st.binary(max_size=40))
def test_both_decoders_give_the_same_outcome(body: bytes) -> None:
    """The collector decodes with the standard library, the batch with msgspec: a rebuild changes nothing."""
    assert parse_response(ODS, body, TICK, decode=msgspec.json.decode) == parse_response(ODS, body, TICK)
