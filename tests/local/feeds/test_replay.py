import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.errors import LocalError
from local.feeds.replay import Replay

pytestmark = pytest.mark.unit
NOON = datetime(2023, 10, 26, 12, tzinfo=UTC)
LILLE = ZoneInfo("Europe/Paris")


def minute(number: int) -> datetime:
    return NOON + timedelta(minutes=number)


def record(folder: Path, *names: str) -> Path:
    """Write files whose content is their name."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def test_a_single_recorded_response_serves_each_minute(tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    file.write_text('{"n": 1}')
    replay = Replay(file)
    assert [replay.response_at(minute(n)) for n in range(3)] == [b'{"n": 1}'] * 3


def test_a_folder_is_played_in_the_order_of_names_and_starts_over(tmp_path: Path) -> None:
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(b"second"))
    (tmp_path / "a.json").write_bytes(b"first")
    (tmp_path / "notes.txt").write_bytes(b"ignored")
    replay = Replay(tmp_path)
    assert [replay.response_at(minute(n)) for n in range(3)] == [b"first", b"second", b"first"]
    assert replay.description == f"replay of {tmp_path}, 2 responses in the order of their paths"


def test_an_archive_is_played_in_the_order_of_its_paths(tmp_path: Path) -> None:
    for name in ("date=2023-10-27/hour=00/a.json", "date=2023-10-26/hour=23/b.json", "date=2023-10-26/notes"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name[5:15])
    replay = Replay(tmp_path)
    assert [replay.response_at(minute(n)) for n in range(2)] == [b"2023-10-26", b"2023-10-27"]


def test_a_repeated_minute_has_the_same_response(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.json").write_text(name)
    replay = Replay(tmp_path)
    assert [replay.response_at(minute(n)) for n in (0, 0, 1, 0, 2)] == [b"a", b"a", b"b", b"a", b"c"]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, " does not exist: name a recorded response"),
        (
            {"responses/readme.md": b"x"},
            r"and its subfolders have no file whose name ends in \.json or \.json\.gz",
        ),
        ({"responses/a.json.gz": b"\x1f\x8bdamaged"}, "cannot be read: damaged gzip"),
    ],
)
def test_an_unusable_recording_is_refused_at_the_start(
    tmp_path: Path, files: dict[str, bytes], expected: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    with pytest.raises(LocalError, match=expected):
        Replay(tmp_path / "responses")


def test_a_response_too_large_for_the_function_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"[1]")
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(b"[1000]"))
    Replay(tmp_path).check_sizes(6)
    with pytest.raises(
        LocalError, match=r"^REPLAY: .*b\.json\.gz has 6 bytes, and the function accepts 5: raise "
    ):
        Replay(tmp_path).check_sizes(5)


@pytest.mark.parametrize(
    ("names", "when", "expected"),
    [
        # A local time, recorded in summer and replayed in winter: the page's slider shows the recording's time.
        (("2023-09-27T0829", "2023-09-27T0830", "2023-09-27T0833"), "2026-11-28T07:30", "2023-09-27T0830"),
        (("2023-09-27T0829", "2023-09-27T0830", "2023-09-27T0833"), "2026-11-28T07:31", None),
        (("2023-09-27T0829", "2023-09-27T0830", "2023-09-27T0833"), "2026-11-28T07:33", "2023-09-27T0833"),
        # The names of an archive are in UTC.
        (("20230927T083000Z", "20230927T083300Z"), "2026-11-28T08:30", "20230927T083000Z"),
        (("20230927T083000Z", "20230927T083300Z"), "2026-11-28T07:30", None),
        (("a/20230927T083000Z", "b/20230927T083100Z"), "2026-11-28T08:31", "b/20230927T083100Z"),
        # Of several in a minute the first.
        (("v_2023-09-27_08-30-05", "v_2023-09-27_08-30-35"), "2026-11-28T07:30", "v_2023-09-27_08-30-05"),
        # The hour after midnight, local time, of a UTC day.
        (("2023-09-27T0005", "2023-09-27T2359"), "2026-11-28T23:05", "2023-09-27T0005"),
    ],
)  # fmt: skip
def test_a_response_is_replayed_at_the_minute_of_its_name(
    tmp_path: Path, names: tuple[str, ...], when: str, expected: str | None
) -> None:
    replay = Replay(record(tmp_path, *(f"{name}.json" for name in names)), LILLE)
    requested_minute = datetime.fromisoformat(when).replace(tzinfo=UTC)
    assert replay.is_timed
    assert replay.has_minute(requested_minute) is (expected is not None)
    if expected is None:
        with pytest.raises(LocalError, match=r" UTC: the recording has no response of that minute"):
            replay.response_at(requested_minute)
    else:
        assert replay.response_at(requested_minute) == f"{expected}.json".encode()


@pytest.mark.parametrize(
    "names",
    [
        ("first.json", "20230927T083000Z.json"),
        ("20230927T083000Z.json", "2023-09-27T0831.json"),  # UTC or local?
        ("20230231T083000Z.json", "20230927T083100Z.json"),
        ("123456789012345.json", "123456789012346.json"),
    ],
)
def test_without_times_in_names_files_are_replayed_by_path(tmp_path: Path, names: tuple[str, ...]) -> None:
    replay = Replay(record(tmp_path, *names), LILLE)
    assert not replay.is_timed
    assert [replay.response_at(minute(n)).decode() for n in range(3)] == [*sorted(names), min(names)]
    assert replay.has_minute(minute(7))


def test_a_single_file_serves_each_minute_whatever_its_name(tmp_path: Path) -> None:
    replay = Replay(record(tmp_path, "20230927T083000Z.json") / "20230927T083000Z.json")
    assert replay.has_minute(NOON)
    assert replay.response_at(NOON) == b"20230927T083000Z.json"


def test_days_follow_each_other_and_start_over(tmp_path: Path) -> None:
    names = [f"2023092{day}T120000Z.json" for day in (6, 7, 9)]
    replay = Replay(record(tmp_path, *names), LILLE)
    assert [replay.response_at(NOON + timedelta(days=n)).decode() for n in range(4)] == [*names, names[0]]
    assert replay.description == f"replay of {tmp_path}, 3 responses, each at its own minute (UTC)"


@given(st.integers(0, 1439), st.integers(0, 1439))
@pytest.mark.long
def test_a_minute_has_a_response_only_if_it_was_recorded(
    tmp_path_factory: pytest.TempPathFactory, recorded_minute: int, requested_minute: int
) -> None:
    name = f"20230927T{recorded_minute // 60:02}{recorded_minute % 60:02}00Z.json"
    replay = Replay(record(tmp_path_factory.mktemp("day"), name))
    day = datetime(2026, 11, 28, tzinfo=UTC)
    assert replay.has_minute(day + timedelta(minutes=requested_minute)) is (
        requested_minute == recorded_minute
    )
