"""The environments as GitHub's jobs get them."""

import json
from pathlib import Path

import pytest

from commands.environments import build_matrix, main
from commands.values import Project

pytestmark = pytest.mark.unit


def folder_of(tmp_path: Path, **files: str) -> Path:
    """A checkout with these files of environments."""
    (tmp_path / "environments").mkdir()
    for name, text in files.items():
        (tmp_path / "environments" / f"{name}.toml").write_text(text)
    return tmp_path


def test_protected_environments_come_last(tmp_path: Path) -> None:
    loose, held = "protected = false\n", "protected = true\n"
    root = folder_of(tmp_path, prod=held, staging=loose, archive=held, dev=loose, unsaid="")
    assert [each["name"] for each in build_matrix(Project(root, {}))] == [
        *("dev", "staging"),
        *("archive", "prod", "unsaid"),
    ]
    assert build_matrix(Project(root, {}))[0] == {"name": "dev", "prefix": "DEV"}


@pytest.mark.parametrize("only", ["", "staging"])
def test_the_matrix_is_an_output_of_the_step(
    tmp_path: Path, only: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder_of(tmp_path, staging="protected = false", dev="protected = false")
    output = tmp_path / "output"
    output.write_text("before=1\n")
    assert main({"GITHUB_OUTPUT": str(output), "ENV": only}, root) == 0
    before, line = output.read_text().splitlines()
    name, _, value = line.partition("=")
    assert (before, name, capsys.readouterr().out) == ("before=1", "all", f"{line}\n")
    assert [each["name"] for each in json.loads(value)] == ([only] if only else ["dev", "staging"])


@pytest.mark.parametrize(
    ("files", "only", "sentence"),
    [
        (
            {},
            "",
            "error: {root}/environments has no environment: add a file such as {root}/environments/dev.toml\n",
        ),
        ({"dev": "protected ="}, "", "error: dev.toml: Invalid value (at end of document)\n"),
        (
            {"dev": ""},
            "de",
            "error: ENV: found 'de' (did you mean \"dev\"?); accepted: dev (the names of the files in environments/)\n",
        ),
    ],
)
def test_an_unreadable_environment_is_reported_in_one_message(
    tmp_path: Path, files: dict[str, str], only: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder_of(tmp_path, **files)
    assert main({"ENV": only}, root) != 0
    assert capsys.readouterr() == ("", sentence.format(root=root))
