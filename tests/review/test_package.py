"""The plan review installed in a clean environment, and its GitHub Action."""

import ast
import json
import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

from tests.delivery.workflows.documents import run_check
from tests.review.conftest import change, plan_document

pytestmark = pytest.mark.local

ROOT = Path(__file__).parents[2]
REVIEW = ROOT / "review"
UV = Path(sys.executable).with_name("uv")
TIMEOUT_S = 120
LOSS = plan_document(
    change("google_storage_bucket.b", {"name": "b", "location": "EU", "force_destroy": True}, None)
)
NIGHTLY = {"name": "n", "schedule": "0 3 * * *", "pubsub_target": [{"topic_name": "t", "data": "e30="}]}
SCHEDULED = plan_document(
    change("google_cloud_scheduler_job.n", NIGHTLY, NIGHTLY | {"schedule": "* * * * *"})
)


def run(*words: str | Path, cwd: Path = Path("/"), **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program outside of the checkout, so that Python does not find its packages in the working folder."""
    return subprocess.run(
        words,
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"} | variables,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel, built from a copy of the folder with the installed setuptools."""
    folder = tmp_path_factory.mktemp("package")
    shutil.copytree(REVIEW, folder / "review", ignore=shutil.ignore_patterns("__pycache__"))
    options = ["--wheel", "--no-build-isolation", "--offline", "--python", sys.executable]
    done = run(UV, "build", *options, "--out-dir", folder, folder / "review", HOME=str(folder))
    assert done.returncode == 0, done.stderr
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the command in a new environment that has only the wheel and its dependency."""
    environment = tmp_path_factory.mktemp("clean") / "environment"
    assert run(sys.executable, "-m", "venv", "--without-pip", environment).returncode == 0
    python = environment / "bin" / "python"
    done = run(
        UV, "pip", "install", "--offline", "--no-deps", "--python", python, wheel, HOME=str(environment)
    )
    assert done.returncode == 0, done.stderr
    dependency = distribution("cronsim")
    site = environment / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    for each in dependency.files or ():
        if each.suffix != ".pyc":
            (site / each).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(each.locate()), site / each)
    return environment / "bin" / "plan-review"


def test_the_wheel_holds_every_module_and_data_file(wheel: Path) -> None:
    kept = {
        f"review/{each.relative_to(REVIEW)}"
        for each in REVIEW.rglob("*")
        if each.suffix in (".py", ".json") and "__pycache__" not in each.parts
    }
    assert kept == {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}


def test_each_module_is_python_3_11() -> None:
    for module in REVIEW.rglob("*.py"):
        ast.parse(module.read_text("utf-8"), str(module), feature_version=(3, 11))


def test_the_command_reviews_a_plan_with_nothing_else_installed(program: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps(LOSS))
    done = run(program, plan, "--gate", "--name", "elsewhere")
    needed = "needs acknowledgement: data loss; once acknowledged, add --acknowledged data-loss\n"
    assert (done.returncode, done.stderr) == (2, needed)
    assert "elsewhere" in done.stdout
    assert "google_storage_bucket.b" in done.stdout
    plan.write_text(json.dumps(SCHEDULED))
    found = json.loads(run(program, plan, "--json").stdout)
    assert "google_cloud_scheduler_job.n" in json.dumps(found["findings"])


def test_usage_texts_name_the_installed_command(program: Path) -> None:
    assert run(program, "--help").stdout.startswith("usage: plan-review [-h]")
    done = run(program, "--gates", "plan.json")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        1,
        "plan-review: unrecognized arguments: --gates",
    )
    as_module = run(program.with_name("python"), "-m", "review", "--help").stdout
    assert as_module.startswith("usage: python -m review [-h]")


def test_it_shows_nothing_of_this_checkout(program: Path) -> None:
    done = run(
        program.with_name("python"), "-c", "import review, sys; print(review.__file__, *sys.path, sep='\\n')"
    )
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stdout.splitlines() if Path(line).is_relative_to(ROOT)]


# --- the action -------------------------------------------------------------------------------------


def test_the_action_is_what_github_takes() -> None:
    done = run_check("check-jsonschema", "--builtin-schema", "vendor.github-actions", REVIEW / "action.yml")
    assert done.returncode == 0, done.stdout


@pytest.fixture
def action(program: Path, tmp_path: Path) -> dict[str, str]:
    """Return the variables of a step. A fake `python3` creates an environment, a fake `gh` records its arguments."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    scripts = {
        "python3": 'if [ "$1" = -c ]; then exit "${TOO_OLD:-0}"; fi; mkdir -p "$3/bin"; '
        f'ln -sf {bin_}/pip "$3/bin/python"; ln -sf {program} "$3/bin/plan-review"',
        "pip": f'echo "$@" > {tmp_path}/installed',
        "gh": f'printf "%s\\n" "$@" > {tmp_path}/gh',
    }
    for name, script in scripts.items():
        (bin_ / name).write_text(f"#!/bin/sh\n{script}\n")
        (bin_ / name).chmod(0o755)
    given = {"PLAN": str(tmp_path / "plan.json"), "NAME": "", "GATE": "true", "ACKNOWLEDGED": "", "RULES": ""}
    return given | {
        "UNEXAMINED": "acknowledge",
        "PULL_REQUEST": "",
        "PATH": f"{bin_}:{os.environ['PATH']}",
        "RUNNER_TEMP": str(tmp_path),
        "GITHUB_ACTION_PATH": str(REVIEW),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_REPOSITORY": "o/r",
    }


@pytest.mark.parametrize(
    ("inputs", "status"),
    [
        ({}, 2),
        ({"GATE": "false"}, 0),
        ({"ACKNOWLEDGED": "data-loss"}, 0),
        ({"ACKNOWLEDGED": "access-widened"}, 2),
        ({"NAME": "$(touch hacked); -x"}, 2),
        ({"PLAN": "missing.json"}, 1),
        ({"UNEXAMINED": "perhaps"}, 1),
    ],
)
def test_the_action_ends_as_the_gate_does(
    action: dict[str, str], tmp_path: Path, inputs: dict[str, str], status: int
) -> None:
    (tmp_path / "plan.json").write_text(json.dumps(LOSS))
    done = run("bash", REVIEW / "action.sh", cwd=tmp_path, **action | inputs)
    assert done.returncode == status, done.stderr
    assert not (tmp_path / "hacked").exists()
    markdown = tmp_path / "plan-review.md"
    assert (tmp_path / "output").read_text() == f"markdown={markdown}\nstatus={status}\n"
    assert (tmp_path / "summary").read_text() == markdown.read_text()
    assert (tmp_path / "installed").read_text().split()[-1] == str(REVIEW)
    assert not (tmp_path / "gh").exists()


def test_the_action_updates_its_comment(action: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(json.dumps(LOSS))
    assert run("bash", REVIEW / "action.sh", cwd=tmp_path, **action | {"PULL_REQUEST": "7"}).returncode == 2
    comment = ["--edit-last", "--create-if-none", "--body-file", str(tmp_path / "plan-review.md")]
    assert (tmp_path / "gh").read_text().splitlines() == ["pr", "comment", "7", "--repo", "o/r", *comment]


def test_the_action_refuses_an_older_python(action: dict[str, str], tmp_path: Path) -> None:
    done = run("bash", REVIEW / "action.sh", cwd=tmp_path, **action | {"TOO_OLD": "1"})
    assert done.returncode == 1
    assert "::error::The plan review needs Python 3.11 or newer" in done.stderr
    assert not (tmp_path / "installed").exists()
