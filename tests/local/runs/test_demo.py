"""Whole runs of the command line: their output, buckets, tables and report."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from feed import decompress
from local.__main__ import main
from local.errors import LocalError, MissingToolError
from local.feeds.generated_day import LILLE
from local.runs.demo import day_to_simulate, run_demo, simulation_start
from local.runs.options import Options
from local.runs.run_folder import open_run_folder
from local.runs.terminal import Terminal
from tests.browser.chromium import open_browser
from tests.conftest import EXAMPLE
from tests.local.finished_run import DEADLINE_S, FinishedRun, environment, run

ROOT = Path(__file__).parents[3]
NOON = datetime(2023, 10, 26, 12, tzinfo=UTC)
DAY = datetime(2023, 10, 26, tzinfo=UTC)

SOURCE = """
title = "Bikes of Nowhere"
url = "http://127.0.0.1:9/stations"
records = "data.stations"
key = "code"

[common]
station_id = "code"
name = "label"
latitude = "lat"
longitude = "lon"
num_bikes_available = "bikes"
num_docks_available = "free"
last_reported = "seen"
"""
SAMPLE = {
    "data": {
        "stations": [
            {
                "code": 1,
                "label": "Quay",
                "lat": 1.5,
                "lon": 2.5,
                "bikes": 4,
                "free": 16,
                "seen": "2023-01-01T00:00:00Z",
            },
            {
                "code": 2,
                "label": "Mill",
                "lat": 1.6,
                "lon": 2.6,
                "bikes": 9,
                "free": 3,
                "seen": "2023-01-01T00:01:00Z",
            },
            {"code": 3, "label": "Mole", "lat": 1.7, "lon": 2.7, "bikes": 0, "free": 8, "seen": None},
        ]
    }
}


@pytest.mark.unit
@pytest.mark.parametrize(
    ("now", "ticks", "expected"),
    [
        ("2023-10-27T09:00", 5, "2023-10-26"),
        ("2023-10-27T00:00", 1440, "2023-10-26"),
        ("2023-10-26T23:57:30", 5, "2023-10-25"),
        ("2023-10-26T23:58:30", 5, "2023-10-26"),  # midnight would pass before the batch
        ("2023-10-26T23:50", 1440, "2023-10-26"),
    ],
)
def test_the_simulated_day_is_the_batchs_yesterday(now: str, ticks: int, expected: str) -> None:
    found = day_to_simulate(datetime.fromisoformat(now).replace(tzinfo=UTC), ticks)
    assert found.isoformat() == f"{expected}T00:00:00+00:00"


@pytest.mark.unit
@pytest.mark.parametrize(
    ("every", "ticks", "expected"),
    [(1, 5, NOON), (1, 719, NOON), (1, 720, DAY + timedelta(hours=11, minutes=59, seconds=59)),
     (1, 1440, DAY - timedelta(seconds=1)), (10, 71, NOON), (10, 144, DAY - timedelta(seconds=1))],
)  # fmt: skip
def test_time_begins_at_noon_or_as_much_earlier_as_the_ticks_need(
    every: int, ticks: int, expected: datetime
) -> None:
    fires = [DAY + timedelta(minutes=minute) for minute in range(0, 1440, every)]
    start = simulation_start(fires, DAY, ticks)
    assert start == expected
    assert len([fire for fire in fires if fire > start]) >= ticks


@pytest.mark.unit
def test_too_many_ticks_for_a_day_are_refused() -> None:
    with pytest.raises(
        LocalError, match="TICKS=3 is too many: the job that collects runs 2 times on that day"
    ):
        simulation_start([DAY, NOON], DAY, 3)


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """Five ticks of a full-size response."""
    words = ["--ticks", "5", "--feed", "vlille_ods", "--replay", str(EXAMPLE)]
    return run(tmp_path_factory.mktemp("replayed"), "demo", *words)


@pytest.fixture(scope="module")
def invented(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """Twelve ticks of an invented feed with an evolving sample; a sweep runs in between."""
    sources = tmp_path_factory.mktemp("sources") / "sources"
    shutil.copytree(ROOT / "sources", sources)
    (sources / "nowhere").mkdir()
    (sources / "nowhere" / "source.toml").write_text(SOURCE)
    (sources / "nowhere" / "sample.json").write_text(json.dumps(SAMPLE))
    words = ["--ticks", "12", "--feed", "nowhere"]
    return run(tmp_path_factory.mktemp("invented"), "demo", *words, VLILLE_SOURCES=str(sources))


@pytest.mark.local
def test_a_full_size_response_passes_the_whole_pipeline(replayed: FinishedRun) -> None:
    assert replayed.code == 0, replayed.output
    report = replayed.report
    expected = {
        "environment": "dev",
        "feed": "vlille_ods",
        "ticks": 5,
        "messages_published": 5,
        "messages_delivered": 5,
        "dead_letters": 0,
        "objects_landed": 5,
        "objects_archived": 5,
        "rows_streamed": 5 * 289,
        "rows_rebuilt": 5 * 289,
        "quarantined": 0,
        "mismatches": 0,
        "problem": None,
    }
    assert {key: report[key] for key in expected} == expected
    assert report["source"] == f"replay of {EXAMPLE}"
    assert {"synth", "emulators", "apply", "start", "collect", "archive", "rebuild"} <= set(report["seconds"])
    assert 0 < report["first_row_seconds"] < report["total_seconds"]


@pytest.mark.local
def test_stations_lie_in_lille_and_the_user_sees_some(replayed: FinishedRun) -> None:
    assert len(replayed.report["stations"]) == 5
    for station in replayed.report["stations"]:
        assert 3.0 < float(station["longitude"]) < 3.3
        assert 50.5 < float(station["latitude"]) < 50.8
        assert station["name"] in replayed.output


@pytest.mark.local
def test_the_archive_has_each_raw_response(replayed: FinishedRun) -> None:
    objects = sorted((replayed.folder / "storage").glob("*-archive/feed=vlille_ods/**/*.json.gz"))
    assert len(objects) == 5
    assert {decompress(each.read_bytes()) for each in objects} == {EXAMPLE.read_bytes()}


@pytest.mark.local
def test_a_city_with_an_unreachable_system_is_simulated(tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    done = run(tmp_path, "demo", "--city=paris", "--ticks=2", HTTPS_PROXY=nowhere, https_proxy=nowhere)
    assert done.code == 0, done.output
    expected = {
        "feed": "gbfs_paris",
        "source": "a simulated GBFS 1.0 system with 60 stations",
        "rows_streamed": 120,
        "rows_rebuilt": 120,
        "quarantined": 0,
        "mismatches": 0,
    }
    assert {key: done.report[key] for key in expected} == expected
    assert "GBFS system Paris (Vélib' Metropole, Paris, FR)" in done.output
    assert "the real API is not used: it cannot be reached" in done.output


@pytest.mark.local
@pytest.mark.browser
def test_the_page_of_a_demo_shows_the_tick_that_the_report_names(replayed: FinishedRun) -> None:
    """The copy on disk, in a real browser: its clock, raw object and table."""
    tick = datetime.fromisoformat(replayed.report["newest_tick"])
    assert tick == max(
        datetime.strptime(each.name, "%Y%m%dT%H%M%SZ.json.gz").replace(tzinfo=UTC)
        for each in (replayed.folder / "storage").glob("*-archive/feed=vlille_ods/**/*.json.gz")
    )
    assert replayed.report["newest_tick"] in replayed.output
    with open_browser() as browser:
        page = browser.new_page(locale="en-GB")
        page.goto((replayed.folder.parents[1] / replayed.report["page"]).as_uri())
        page.wait_for_selector("html[data-ready]")
        assert page.locator("#clock").text_content() == f"{tick.astimezone(LILLE):%H:%M}"
        assert page.locator("#day").input_value() == f"{tick.astimezone(LILLE):%Y-%m-%d}"
        object_name = f"feed=vlille_ods/date={tick:%Y-%m-%d}/hour={tick:%H}/{tick:%Y%m%dT%H%M%SZ}.json.gz"
        assert object_name in (page.locator("#source").text_content() or "")
        rows = page.evaluate(
            "[...document.querySelectorAll('#table tbody tr')].map(r => [...r.cells].map(c => c.textContent))"
        )
    shown = {name: (bikes, docks) for name, _, bikes, docks, _ in rows}
    assert len(shown) == 289
    for station in replayed.report["stations"]:
        expected = station["num_bikes_available"], station["num_docks_available"]
        assert shown[station["name"]] == expected


def page_session() -> tuple[str, str]:
    """Return the input at the SQL prompt in the documentation, and the output it shows."""
    block = (
        (ROOT / "docs" / "getting-started.md")
        .read_text("utf-8")
        .split("<!-- sql: begin -->\n```\n")[1]
        .split("```")[0]
    )
    lines = block.split("$ make sql TO=local\n")[1].splitlines(keepends=True)
    typed = [
        line.removeprefix("sql> ").removeprefix("...> ") for line in lines if line[:5] in ("sql> ", "...> ")
    ]
    return "".join(typed), "".join(line for line in lines if line[:5] not in ("sql> ", "...> "))


@pytest.mark.local
def test_the_queries_of_getting_started_give_what_it_shows(replayed: FinishedRun) -> None:
    typed, shown = page_session()
    command = [sys.executable, "-m", "operate", "sql", "--env=dev", "--local"]
    done = subprocess.run(
        command,
        cwd=replayed.folder.parents[1],
        env=environment(),
        input=typed,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert typed.count(";") == 3
    assert (done.returncode, done.stdout) == (0, shown), done.stderr


@pytest.mark.local
@pytest.mark.parametrize(("kind", "begins"), [("csv", b'"'), ("parquet", b"PAR1")])
def test_a_day_of_a_demo_is_exported(replayed: FinishedRun, kind: str, begins: bytes) -> None:
    (folder,) = (replayed.folder / "storage").glob("*-archive/feed=vlille_ods/date=*")
    day = folder.name.removeprefix("date=")
    command = [sys.executable, "-m", "operate", "export", "--env=dev", "--local", f"--format={kind}"]
    done = subprocess.run(
        [*command, f"--day={day}"],
        cwd=replayed.folder.parents[1],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    file = Path(".local") / "exports" / "dev" / f"availability_{day}.{kind}"
    assert done.returncode == 0, done.stderr
    assert f"{file}: 1,445 rows, " in done.stdout
    assert (replayed.folder.parents[1] / file).read_bytes().startswith(begins)


@pytest.mark.local
def test_a_recording_with_gaps_is_replayed_at_its_own_minutes(
    unusual_demo: FinishedRun, recording: Path
) -> None:
    assert unusual_demo.code == 0, unusual_demo.output
    assert (unusual_demo.report["ticks"], unusual_demo.report["ticks_skipped"]) == (3, 3)
    source = f"replay of {recording}, 4 responses, each at its own minute (Europe/Paris)"
    assert unusual_demo.report["source"] == source
    replayed = {}
    for file in (unusual_demo.folder / "storage").glob("*-archive/feed=vlille_ods/**/*.json.gz"):
        at = datetime.fromisoformat(file.name.removesuffix(".json.gz")).astimezone(LILLE)
        replayed[f"2026-07-07T{at:%H%M}.json"] = decompress(file.read_bytes(), 2**20)
    expected = [f"2026-07-07T08{minute}.json" for minute in (28, 30, 33)]
    assert replayed == {name: (recording / name).read_bytes() for name in expected}


@pytest.mark.local
def test_a_demo_runs_in_any_folder_and_terminal(unusual_demo: FinishedRun) -> None:
    assert unusual_demo.code == 0, unusual_demo.output
    assert (unusual_demo.report["rows_rebuilt"], unusual_demo.report["mismatches"]) == (3 * 289 - 1, 0)
    assert "\x1b" not in unusual_demo.output
    assert "ALLÉE DE L'ORGE" in unusual_demo.output


@pytest.mark.local
def test_differences_from_google_cloud_are_listed(replayed: FinishedRun) -> None:
    differences = " ".join(replayed.report["differences"])
    for expected in (
        "API_URL is http://127.0.0.1:",
        "tokens name the caller",
        "image build skipped",
        "there is no cluster",
    ):
        assert expected in differences
    assert "differences.txt" in replayed.output


@pytest.mark.local
def test_an_invented_feed_is_collected_with_no_python_changed(invented: FinishedRun) -> None:
    assert invented.code == 0, invented.output
    report = invented.report
    expected = {
        "feed": "nowhere",
        "source": "the evolving sample of nowhere",
        "ticks": 12,
        "sweeps": 2,  # at 12:10 between the ticks, at 12:20 after them
        "objects_landed": 12,
        "objects_archived": 12,
        "rows_streamed": 36,
        "rows_rebuilt": 36,
        "mismatches": 0,
    }
    assert {key: report[key] for key in expected} == expected
    assert [station["name"] for station in report["stations"]] == ["Mill", "Mole", "Quay"]
    assert "the real API is not used: it cannot be reached" in invented.output


@pytest.mark.local
def test_the_sample_evolves(invented: FinishedRun) -> None:
    objects = sorted((invented.folder / "storage").glob("*-archive/feed=nowhere/**/*.json.gz"))
    responses = [json.loads(decompress(each.read_bytes()))["data"]["stations"] for each in objects]
    assert len({response[1]["bikes"] for response in responses}) > 1
    assert {response[1]["bikes"] + response[1]["free"] for response in responses} == {12}
    assert len({response[0]["seen"] for response in responses}) == 12


@pytest.mark.local
def test_responses_of_another_feed_are_reported_with_the_first_reason(tmp_path: Path) -> None:
    recording = tmp_path / "my responses.json"
    recording.write_text(json.dumps(SAMPLE))
    done = run(tmp_path, "demo", "--ticks", "2", "--feed", "vlille_ods", "--replay", str(recording))
    assert done.code == 1, done.output
    problem = done.report["problem"]
    assert problem.startswith("no row was loaded: vlille_ods: unusable response (no_records)")
    assert problem.endswith(
        "if REPLAY has responses of another feed than vlille_ods, name that feed with FEED="
    )
    assert (done.report["objects_archived"], done.report["quarantined"]) == (2, 2)
    assert "with Spark" not in done.output
    assert "first row" not in done.output


class Up:
    """A running `make up` with SPEED=60."""

    def __init__(self, cwd: Path, *words: str) -> None:
        command = [sys.executable, "-m", "local", "up", "--speed", "60", *words]
        self.folder = cwd / ".local" / "dev"
        self._log = cwd / "up.log"
        self._file = self._log.open("w")
        self.process = subprocess.Popen(
            command, cwd=cwd, env=environment(), stdout=self._file, stderr=subprocess.STDOUT
        )
        self.groups: set[int] = set()

    @property
    def output(self) -> str:
        return self._log.read_text()

    def await_line(self, pattern: str, times: int = 1) -> None:
        end = time.monotonic() + DEADLINE_S
        while len(re.findall(pattern, self.output)) < times:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < end, self.output
            time.sleep(0.05)

    def kill(self, name: str) -> None:
        """Kill a workload with SIGKILL, and remember all child processes."""
        children = json.loads((self.folder / "processes.json").read_text())["children"]
        self.groups |= {child["pid"] for child in children}
        os.kill(next(child["pid"] for child in children if child["name"] == name), signal.SIGKILL)

    def end(self) -> FinishedRun:
        code = self.process.wait(DEADLINE_S)
        self._file.close()
        return FinishedRun.of(code, self.output, self.folder)


@pytest.fixture(scope="module")
def kept_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Up, FinishedRun, FinishedRun]]:
    """Two runs of `up` in one folder; the function is killed in the first, the copier in the second.

    Between them another feed is collected.
    """
    cwd = tmp_path_factory.mktemp("kept_up")
    source = ["--feed", "vlille_ods", "--replay", str(EXAMPLE)]
    first = Up(cwd, *source)
    other = second = None
    try:
        first.await_line(r"tick \d")
        first.kill("function collector")
        first.await_line(r"tick \d", 3)
        first.process.send_signal(signal.SIGTERM)
        stopped = first.end()
        other = Up(cwd, "--feed", "vlille_ogc")
        other.await_line(r"tick \d")
        other.process.send_signal(signal.SIGTERM)
        assert 1 <= other.end().report["ticks"] < stopped.report["ticks"]
        second = Up(cwd, *source, "--ticks", "3")
        second.await_line(r"tick \d")
        second.kill("service copier")
        yield first, stopped, second.end()
    finally:
        for each in (first, other, second):
            if each is not None and each.process.poll() is None:
                each.process.send_signal(signal.SIGTERM)
                each.process.wait(60)


@pytest.mark.local
def test_a_killed_function_and_a_killed_copier_change_no_number(
    kept_up: tuple[Up, FinishedRun, FinishedRun],
) -> None:
    _, stopped, ended = kept_up
    assert stopped.code == 0, stopped.output
    assert ended.code == 0, ended.output
    report = ended.report
    for ended_run, name in ((stopped, "function collector"), (ended, "service copier")):
        message = f"{name} ended with signal SIGKILL and was restarted"
        assert message in ended_run.output
        assert message in (ended_run.folder / "logs" / "local.log").read_text()
    assert "ahead of the host's clock" not in stopped.output
    ticks = stopped.report["ticks"] + 3
    assert report["ticks"] == report["messages_published"] == report["messages_delivered"] == ticks
    assert report["objects_landed"] == report["objects_archived"] == ticks
    assert report["rows_streamed"] == report["rows_rebuilt"] == ticks * 289
    assert (report["mismatches"], report["quarantined"], report["dead_letters"]) == (0, 0, 0)


@pytest.mark.local
def test_make_up_stops_all_its_processes(kept_up: tuple[Up, FinishedRun, FinishedRun]) -> None:
    first, stopped, _ = kept_up
    assert len(first.groups) >= 4
    for group in first.groups:
        with pytest.raises(ProcessLookupError):
            os.killpg(group, 0)
    assert not (stopped.folder / "processes.json").exists()


@pytest.mark.local
def test_a_demo_keeps_the_data_of_make_up(kept_up: tuple[Up, FinishedRun, FinishedRun]) -> None:
    """A demo that cannot start leaves the data in place; another one moves it aside, and `up` finds it again."""
    _, _, ended = kept_up
    cwd = ended.folder.parents[1]
    assert run(cwd, "demo", "--feed", "nobody").code == 2
    (cwd / "sources" / "nowhere").mkdir(parents=True)
    (cwd / "sources" / "nowhere" / "source.toml").write_text(SOURCE.replace("http:", "ftp:"))
    (cwd / "sources" / "nowhere" / "sample.json").write_text(json.dumps(SAMPLE))
    refused = run(cwd, "demo", "--feed", "nowhere", VLILLE_SOURCES=str(cwd / "sources"))
    assert refused.code == 1
    assert "\nnowhere/source.toml, key url: found 'ftp://" in refused.output
    assert refused.report == ended.report
    terminal = Terminal(Console(file=io.StringIO(), soft_wrap=True))
    with open_run_folder(Options("demo", "dev", base=cwd / ".local"), terminal):
        assert not (ended.folder / "report.json").exists()
        (aside,) = cwd.glob(".local/dev.*Z")
        assert json.loads((aside / "report.json").read_text()) == ended.report
    with open_run_folder(Options("up", "dev", base=cwd / ".local"), terminal):
        assert json.loads((ended.folder / "report.json").read_text()) == ended.report
        assert not aside.exists()


@pytest.mark.local
def test_too_many_ticks_for_a_recording_start_nothing(recording: Path, tmp_path: Path) -> None:
    done = run(tmp_path, "demo", "--ticks", "5", "--feed", "vlille_ods", "--replay", str(recording))
    error = "TICKS=5 is too many: the job that collects runs 4 times on that day; set TICKS to that or less"
    assert done.output == f"\n{error}\n"
    assert (done.code, list(tmp_path.iterdir())) == (1, [])


@pytest.fixture
def in_new_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.local
@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["demo", "--ticks", "1441"], 1, "TICKS=1441 is too many"),
        (["demo", "--ticks", "none"], 2, "TICKS: found 'none'; accepted: a whole number from 1 to 527040\n"),
        (
            ["demo", "--replay", "nothing"],
            2,
            "REPLAY: found 'nothing'; accepted: a file or a folder that exists",
        ),
        (["demo", "--env", "devv"], 2, "ENV: found 'devv' (did you mean \"dev\"?); accepted: dev, prod"),
        (["up", "--speed", "0"], 2, "SPEED: found '0'; accepted: a number from 0.1 to 3600\n"),
        (["down", "--env", "dve"], 2, "ENV: found 'dve' (did you mean \"dev\"?); accepted: dev, prod"),
        (["down"], 0, "dev was not running"),
    ],
)
def test_command_line_errors_are_one_sentence(
    in_new_folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, expected: str
) -> None:
    try:
        found: object = main(words)
    except SystemExit as refused:
        found = refused.code
    printed = "".join(capsys.readouterr())
    assert (found, expected in printed) == (code, True), printed
    assert list(in_new_folder.iterdir()) == []


@pytest.mark.unit
def test_without_java_a_demo_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its batch could not run; the data of the previous demo stays."""

    def missing() -> None:
        raise MissingToolError("Spark needs Java 17 or 21, found none")

    monkeypatch.setattr("local.runs.demo.local_spark", missing)
    with pytest.raises(MissingToolError, match="Spark needs Java"):
        run_demo(Options("demo", "dev", base=tmp_path / ".local"), Terminal())
    assert list(tmp_path.iterdir()) == []
