import io
import json
import logging
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from local.environment.clock import SimulatedClock
from local.errors import AlreadyRunningError, LocalError
from local.runs.local_run import log_to_file, start_run
from local.runs.options import Options
from local.runs.run_folder import find_kept_data, open_run_folder, read_state, write_state
from local.runs.terminal import Terminal
from tests.conftest import ENVIRONMENTS, ROOT

pytestmark = pytest.mark.unit


def make_terminal() -> tuple[Terminal, io.StringIO]:
    output = io.StringIO()
    return Terminal(Console(file=output, width=200, soft_wrap=True)), output


def fill_folder(base: Path, mode: str | None) -> Path:
    folder = base / "dev"
    (folder / "storage").mkdir(parents=True)
    (folder / "storage" / "object").write_text("data")
    (folder / "control_plane").mkdir()
    if mode:
        write_state(folder, mode=mode)
    return folder


@pytest.mark.parametrize(
    ("before", "mode", "kept"),
    [
        (None, "demo", False),
        (None, "up", False),  # left by a demo that was killed before it could say so
        ("demo", "demo", False),
        ("demo", "up", False),
        ("up", "up", True),
    ],
)
def test_the_data_of_up_is_kept_and_that_of_a_demo_is_deleted(
    tmp_path: Path, before: str | None, mode: str, kept: bool
) -> None:
    folder = fill_folder(tmp_path, before)
    terminal, _ = make_terminal()
    with open_run_folder(Options(mode, "dev", base=tmp_path), terminal):
        assert (folder / "storage" / "object").exists() is kept
        assert not (folder / "control_plane").exists()
        assert read_state(folder)["mode"] == mode
    assert list(tmp_path.iterdir()) == [folder]


def test_resources_that_an_earlier_version_stored_are_found(tmp_path: Path) -> None:
    folder = fill_folder(tmp_path, "cloud")
    (folder / "control_plane").rename(folder / "control")
    with open_run_folder(Options("cloud", "dev", base=tmp_path), make_terminal()[0]):
        assert (folder / "control_plane").is_dir()
    assert not (folder / "control").exists()


ASIDES = {"20260101T000000Z": "up", "20260102T000000Z": "up", "20260103T000000Z": "cloud", "old": "up"}


@pytest.mark.parametrize(
    ("before", "mode", "back"),
    [
        ("demo", "up", "20260102T000000Z"),
        ("demo", "cloud", "20260103T000000Z"),
        ("demo", "demo", None),
        ("up", "up", None),
        (None, "up", None),  # removed by the user, to begin anew
    ],
)
def test_data_that_a_demo_moved_aside_is_moved_back(
    tmp_path: Path, before: str | None, mode: str, back: str | None
) -> None:
    for stamp, owner in ASIDES.items():
        (tmp_path / f"dev.{stamp}").mkdir()
        write_state(tmp_path / f"dev.{stamp}", mode=owner, stamp=stamp)
    if before:
        fill_folder(tmp_path, before)
    options = Options(mode, "dev", base=tmp_path)
    expected = {"stamp": back} if back else {}
    found = find_kept_data(options)
    assert (read_state(found).get("stamp") if found else None) == back
    terminal, output = make_terminal()
    with open_run_folder(options, terminal):
        assert read_state(tmp_path / "dev") == {"mode": mode} | expected
    assert len(list(tmp_path.iterdir())) == 1 + len(ASIDES) - bool(back)
    assert ("which is in" in output.getvalue()) is bool(back)


def test_a_running_environment_is_not_touched(tmp_path: Path) -> None:
    folder = fill_folder(tmp_path, "up")
    terminal, _ = make_terminal()
    up, demo = (Options(mode, "dev", base=tmp_path) for mode in ("up", "demo"))
    with (
        open_run_folder(up, terminal),
        pytest.raises(AlreadyRunningError, match="make down"),
        open_run_folder(demo, terminal),
    ):
        pytest.fail("two at once")
    assert (folder / "storage" / "object").exists()


def test_a_damaged_state_file_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{damaged")
    assert read_state(tmp_path) == {}
    write_state(tmp_path, mode="up")
    write_state(tmp_path, time="now")
    assert json.loads((tmp_path / "state.json").read_text()) == {"mode": "up", "time": "now"}


def test_concurrent_writes_of_the_state_lose_nothing(tmp_path: Path) -> None:
    numbers = range(200)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: write_state(tmp_path, **{f"n{number}": number}), numbers))
    assert read_state(tmp_path) == {f"n{number}": number for number in numbers}


def test_stages_are_printed_and_their_seconds_summed() -> None:
    terminal, output = make_terminal()
    with terminal.stage("check", "counting"):
        pass
    first = terminal.seconds["check"]
    with terminal.stage("check", "counting [again]"):
        terminal.print_line("a line [not markup]")
    assert terminal.seconds["check"] > first > 0
    assert [line.split(" s  ")[1] for line in output.getvalue().splitlines()] == [
        "counting …",
        "counting [again] …",
        "a line [not markup]",
    ]


def test_on_a_terminal_a_spinner_shows_all_running_stages() -> None:
    output = io.StringIO()
    terminal = Terminal(Console(file=output, width=100, force_terminal=True))
    with terminal.stage("a", "making bread"), terminal.stage("b", "making butter"):
        pass
    assert "making bread, making butter" in output.getvalue()


@pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="needs a device that is always full, as Linux has one"
)
def test_a_log_on_a_full_disk_loses_lines_and_prints_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with log_to_file(Path("/dev/full")):
        logging.getLogger("local.services").warning("a message of a service")
    assert capsys.readouterr().err == ""


def test_a_mistake_in_the_settings_keeps_the_previous_demos_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environments, kept = tmp_path / "environments", fill_folder(tmp_path, "demo") / "storage" / "object"
    shutil.copytree(ENVIRONMENTS, environments)
    dev = environments / "dev.toml"
    dev.write_text(dev.read_text().replace("landing_days = 7", "landing_days = -7"))
    monkeypatch.setenv("VLILLE_ENVIRONMENTS", str(environments))
    options = Options("demo", "dev", base=tmp_path)
    with (
        pytest.raises(LocalError, match=r"dev\.toml: retention\.landing_days: found -7"),
        start_run(options, make_terminal()[0], SimulatedClock(datetime(2026, 11, 24, tzinfo=UTC))),
    ):
        pass
    assert kept.exists()


def test_lines_logged_after_the_end_are_not_printed(tmp_path: Path) -> None:
    """A delivery that the end interrupts logs its failure after the file is closed."""
    script = (
        "import logging, sys; from pathlib import Path; from local.runs.local_run import log_to_file\n"
        "with log_to_file(Path(sys.argv[1])): logging.getLogger('local.services').warning('kept')\n"
        "logging.getLogger('local.services').warning('late')"
    )
    log = tmp_path / "log"
    words = [sys.executable, "-c", script, str(log)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    assert log.read_text().endswith("WARNING local.services kept\n")
