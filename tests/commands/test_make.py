"""The real make with the real check: options reach the program unchanged, or are refused with one message."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ENVIRONMENTS

pytestmark = pytest.mark.local
ROOT = Path(__file__).parents[2]
# A stub of the project's Python: it runs the check of options, and records every other call.
STUB = """#!/bin/sh
if [ "$1 $2" = "-m commands" ] || [ "$1" = -c ]; then exec "{python}" "$@"; fi
exec "{python}" -c 'import json, sys; open(sys.argv[1], "a").write(json.dumps(sys.argv[2:]) + "\\n")' "{ran}" "$@"
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of a checkout that make needs, and the stub as its Python."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    for name in ("commands", "sources"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ENVIRONMENTS, folder / "environments")
    stub = folder / ".venv" / "bin" / "python"
    stub.parent.mkdir(parents=True)
    stub.write_text(STUB.format(python=sys.executable, ran=folder / "ran"))
    stub.chmod(0o755)
    (folder / ".venv" / ".ready").touch()
    return folder


def make(
    checkout: Path, *typed: str, **variables: str
) -> tuple[subprocess.CompletedProcess[str], list[list[str]]]:
    """Run make; what it ran, word by word."""
    (checkout / "ran").unlink(missing_ok=True)
    left_out = ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "GITHUB_ACTIONS", "VLILLE_ENVIRONMENTS")
    environ = {name: value for name, value in os.environ.items() if name not in left_out}
    done = subprocess.run(
        ["make", *typed],
        cwd=checkout,
        env=environ | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    ran = (checkout / "ran").read_text().splitlines() if (checkout / "ran").exists() else []
    return done, [json.loads(line) for line in ran]


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        (["destroy", "ENV=dev", "TO=Local"], "TO: found 'Local' (did you mean \"local\"?); accepted: local"),
        (["destroy", "ENV=dev", "TO=here"], "TO: 'here' is now called 'local'; type TO=local"),
        (["leftovers", "ENV=dev"], "make leftovers: this target is now called orphans; run `make orphans`"),
        (["deploy", "ENV=dev", "TO=there"], "TO: found 'there'"),
        (["deploy", "ENV=dev", "TO="], "TO: the value is empty"),
        (["destroy"], "make destroy changes what is in Google Cloud: name the environment (dev, prod)"),
        (["destroy", "EVN=prod"], 'EVN: unknown option (did you mean "ENV"?)'),
        (["demo", "TOWN=lille"], "TOWN: unknown option"),
        (["demo", "CITY="], "CITY: the value is empty"),
        (["demo", "CITY=?!"], "CITY: found '?!'; accepted: id, name or city of a GBFS system, such as lille"),
        (
            ["demo", "CITY=lille", "FEED=vlille_ods"],
            "CITY and FEED both select what is collected: type one of them",
        ),
        (["deploy", "ENV=dev", "CITY=lille"], "CITY: make deploy does not accept this option"),
        (["demo", "YES=1"], "YES: make demo does not accept this option"),
        (["review", "ENV=../../zzz"], "ENV: found '../../zzz'"),
        (["plan", "ENV=dev zzz"], "ENV: found 'dev zzz'"),
        (["compare", "ENV=dev"], "make compare needs two folders of stacks"),
        (["deploy", "ENV=prod", "YES=yes"], "YES: found 'yes'"),
        (["run", "ENV=dev", "JOB=colect"], "JOB: found 'colect' (did you mean \"collect\"?)"),
        (["logs", "LINES=many"], "LINES: found 'many'; accepted: a whole number from 1 to 1000"),
        (["demo", "TICKS=0"], "TICKS: found '0'"),
        (["demo", "REPLAY=no/such/file"], "REPLAY: found 'no/such/file'"),
        (["smoke", "SPEED=60"], "SPEED: applies to the local environment only; add TO=local"),
        (["unlock", "ENV=dev", "YES=1"], "YES: make unlock does not accept this option"),
        (["deploy", "ENV=$(shell touch made)"], "ENV: found '$(shell touch made)'"),
        (["deploy", "ENV=`touch made`"], "ENV: found '`touch made`'"),
        (["deploy", "ENV=dev;touch made"], "ENV: found 'dev;touch made'"),
        (["deploy", "ENV=dev\ntouch made"], r"ENV: found 'dev\ntouch made'"),
        (["deploy", "ENV:=dev"], "type an option as NAME=value"),
        (["deploy", "FEED=$(touch made)", "ENV=dev"], "FEED: found '$(touch made)'"),
        (["soak", "SECONDS=1h"], "SECONDS: found '1h'"),
        (["export"], "make export needs DAY, such as 2026-11-24"),
        (["export", "DAY=generated"], "DAY: found 'generated'; make export accepts a day such as 2026-11-24"),
        (["demo", "DAY=made"], "DAY: 'made' is now called 'generated'; type DAY=generated"),
        (
            ["export", "DAY=2026-02-30"],
            "DAY: found '2026-02-30'; accepted: generated, or a day such as 2026-11-24",
        ),
        (["export", "DAY=2026-11-24", "FORMAT=xlsx"], "FORMAT: found 'xlsx'; accepted: parquet, csv"),
        (
            ["export", "DAY=2026-11-24", "SYSTEM=?!"],
            "SYSTEM: found '?!'; accepted: the ID of a GBFS system that the environment collects, such as Paris",
        ),
        (["sql", "SYSTEM=Paris"], "SYSTEM: make sql does not accept this option"),
        (["demo", "DAY=2026-11-24"], "DAY: found '2026-11-24'; make demo accepts generated"),
    ],
)
def test_a_usage_error_runs_nothing(checkout: Path, typed: list[str], sentence: str) -> None:
    done, ran = make(checkout, *typed)
    assert done.returncode == 2
    assert ran == []
    assert not (checkout / "made").exists()
    printed = done.stderr.splitlines()
    assert printed[0].startswith("error: ")
    assert sentence in printed[0]
    assert [line for line in printed[1:] if not line.startswith("make: ")] == []
    assert done.stdout == ""


@pytest.mark.parametrize("name", ["ENV", "YES", "TO"])
def test_an_exported_option_is_refused_instead_of_ignored(checkout: Path, name: str) -> None:
    value = {"ENV": "prod", "YES": "1", "TO": "local"}[name]
    done, ran = make(checkout, "destroy", **{name: value})
    assert (done.returncode, ran) == (2, [])
    assert "is set in your shell, where it has no effect" in done.stderr


@pytest.mark.parametrize(
    "variables", [{"VLILLE_FED": "x"}, {"VLILLE_HERE": "1"}, {"VLILLE_FEED": ""}, {"VLILLE_CDK": "pulumi"}]
)
def test_a_variable_that_the_project_cannot_use_is_refused(checkout: Path, variables: dict[str, str]) -> None:
    done, ran = make(checkout, "demo", **variables)
    assert (done.returncode, ran) == (2, [])
    assert done.stderr.startswith(f"error: {next(iter(variables))}: ")


@pytest.mark.parametrize(
    ("typed", "ran"),
    [
        (["demo"], ["-m", "local", "demo", "--env=dev"]),
        (
            ["demo", "TICKS=3", "FAULT=503@/ox2"],
            ["-m", "local", "demo", "--env=dev", "--ticks=3", "--fault=503@/ox2"],
        ),
        (["demo", "CITY=V'Lille ø"], ["-m", "local", "demo", "--env=dev", "--city=V'Lille ø"]),
        (["up", "SPEED=60", "ENV=prod"], ["-m", "local", "up", "--env=prod", "--speed=60"]),
        (["deploy", "ENV=prod"], ["-m", "operate", "deploy", "--env=prod"]),
        (["deploy", "ENV=prod", "YES=1"], ["-m", "operate", "deploy", "--env=prod", "--auto-approve"]),
        (["smoke"], ["-m", "operate", "smoke", "--env=dev"]),
        (["orphans"], ["-m", "operate", "orphans", "--env=dev"]),
        (["run", "ENV=dev", "JOB=copy"], ["-m", "operate", "run", "--env=dev", "--job=copy"]),
        (["unbootstrap", "ENV=dev"], ["-m", "operate", "bootstrap", "--destroy", "--env=dev"]),
        (["soak", "SECONDS=5", "REAL=1"], ["-m", "tests.simulation", "--real", "--seconds=5"]),
        (["sql", "TO=local"], ["-m", "operate", "sql", "--env=dev", "--local"]),
        (["export", "DAY=2026-11-24"], ["-m", "operate", "export", "--env=dev", "--day=2026-11-24"]),
        (
            ["export", "ENV=prod", "DAY=2026-11-24", "FORMAT=csv"],
            ["-m", "operate", "export", "--env=prod", "--day=2026-11-24", "--format=csv"],
        ),
        (
            ["export", "DAY=2026-11-24", "SYSTEM=dott bodø/1", "TO=local"],
            ["-m", "operate", "export", "--env=dev", "--day=2026-11-24", "--system=dott bodø/1", "--local"],
        ),
    ],
)
def test_a_valid_command_runs_its_program(checkout: Path, typed: list[str], ran: list[str]) -> None:
    done, argv = make(checkout, *typed)
    assert done.returncode == 0, done.stderr
    assert argv == [ran]


@pytest.mark.parametrize(
    "name", ["recorded.json", "my dir/a.json", 'it\'s (1) & "two" $HOME `x`.json', "é.json"]
)
@pytest.mark.parametrize("command", ["demo", "up"])
def test_a_replay_may_have_any_file_name(checkout: Path, command: str, name: str) -> None:
    path = checkout / "replays" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    done, ran = make(checkout, command, "FEED=vlille_ods", f"REPLAY={path}")
    assert done.returncode == 0, done.stderr
    assert f"--replay={path}" in ran[0]
    assert "--feed=vlille_ods" in ran[0]


def test_a_local_deploy_needs_no_environment(checkout: Path) -> None:
    done, ran = make(checkout, "destroy", "TO=local")
    assert done.returncode == 0, done.stderr
    assert [argv[:3] for argv in ran] == [
        ["-m", "local", "cloud"],
        ["-m", "operate", "destroy"],
        ["-m", "local", "down"],
    ]


def test_paths_of_the_checkout_are_quoted_for_the_shell() -> None:
    recipes = re.sub(r"(?m)^override .*$", "", (ROOT / "Makefile").read_text("utf-8"))
    assert re.findall(r'(?<!")\$\((?:NODE|CURDIR)\)', recipes) == []
