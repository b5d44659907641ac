"""Licence, changelog, versions, issue templates, hooks and the development container of the repository."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from tests.delivery.workflows.documents import run_check

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")


def read_project(folder: str) -> dict[str, object]:
    found: dict[str, object] = tomllib.loads((ROOT / folder / "pyproject.toml").read_text("utf-8"))["project"]
    return found


@pytest.mark.unit
@pytest.mark.parametrize("folder", [".", "review"])
def test_packages_have_the_licence_and_the_latest_version_of_the_changelog(folder: str) -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    headings = re.findall(r"^## \[([\w.]+)\]", changelog, re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert read_project(folder)["version"] == headings[1]
    assert read_project(folder)["license"] == "Apache-2.0"
    assert (
        "Apache License\n                           Version 2.0, January 2004"
        in (ROOT / "LICENSE").read_text()
    )


@pytest.mark.unit
def test_the_changelog_has_known_sections_only() -> None:
    sections = re.findall(r"^### (.*)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert sections
    assert set(sections) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


@pytest.mark.unit
def test_the_hooks_run_the_commands_of_make_lint() -> None:
    entries = re.findall(
        r"entry: \.venv/bin/(.*)$", (ROOT / ".pre-commit-config.yaml").read_text(), re.MULTILINE
    )
    lint = MAKEFILE.split("\nlint: ")[1].split("\n\n")[0]
    assert [entry.split()[0] for entry in entries] == ["ruff", "ruff", "mypy"]
    assert re.findall(r"\$\(BIN\)/(\w+)", lint) == ["ruff", "ruff", "mypy"]


@pytest.mark.unit
def test_the_development_container_has_the_projects_python_and_runs_the_demo() -> None:
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text("utf-8"))
    version = ".".join((ROOT / ".python-version").read_text().strip().split(".")[:2])
    assert f":{version}-" in container["image"]
    commands = [container["postCreateCommand"], container["postAttachCommand"]]
    assert [each.split()[:2] for each in commands] == [["make", "setup"], ["make", "demo"]]
    terraform = next(each for name, each in container["features"].items() if "terraform" in name)
    pinned = (ROOT / ".github" / "actions" / "setup" / "action.yml").read_text("utf-8")
    assert f"terraform_version: {terraform['version']}" in pinned


@pytest.mark.unit
def test_the_contributing_guide_lists_every_marker() -> None:
    markers = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["pytest"]["ini_options"][
        "markers"
    ]
    documented = re.findall(r"^\| `(\w+)` \|", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.MULTILINE)
    assert documented == [each.split(":")[0] for each in markers]


@pytest.mark.local
@pytest.mark.parametrize(
    ("schema", "pattern"),
    [("vendor.github-issue-forms", "[bf]*.yml"), ("vendor.github-issue-config", "config.yml")],
)
def test_issue_templates_match_githubs_schemas(schema: str, pattern: str) -> None:
    files = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob(pattern))
    assert files
    result = run_check("check-jsonschema", "--builtin-schema", schema, *files)
    assert result.returncode == 0, result.stdout
