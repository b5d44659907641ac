"""All files of environments/: they can be loaded and synthesized, and fulfil the rules for every environment."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cdk.settings import Settings, load_environments
from commands.values import Project
from feed import Feed
from tests.cdk.conftest import Synthesis, synthesize

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "environments"
NAMES = Project(ROOT, {}).environments


@pytest.fixture(scope="module")
def environments(feeds: dict[str, Feed]) -> dict[str, Settings]:
    """The settings of all environments."""
    return load_environments(FOLDER, feeds)


@pytest.fixture(scope="module")
def synthesized(tmp_path_factory: pytest.TempPathFactory) -> Synthesis:
    """The stacks of all environments, as `make synth` writes them."""
    return synthesize(ROOT, tmp_path_factory.mktemp("yours"), VLILLE_ENVIRONMENTS=str(FOLDER))


@pytest.mark.unit
def test_every_file_is_an_environment_in_a_project_of_its_own(environments: dict[str, Settings]) -> None:
    assert sorted(environments) == sorted(file.stem for file in FOLDER.glob("*.toml")) == NAMES
    assert len({each.project for each in environments.values()}) == len(environments)
    assert {name: each.stack for name, each in environments.items()} == {
        name: f"vlille-{name}" for name in environments
    }


@pytest.mark.unit
def test_every_environment_has_its_own_variables_on_github() -> None:
    """GitHub's variable names are case-insensitive, so no two environments may have the same name in capitals."""
    assert len({name.upper() for name in NAMES}) == len(NAMES) > 0


@pytest.mark.synth
def test_each_has_its_stack_and_its_bootstrap(synthesized: Synthesis) -> None:
    assert sorted(synthesized.stacks) == sorted([*NAMES, *(f"{name}-bootstrap" for name in NAMES)])


@pytest.mark.synth
@pytest.mark.parametrize("name", NAMES)
def test_a_stack_has_the_settings_of_its_file(
    name: str, synthesized: Synthesis, environments: dict[str, Settings]
) -> None:
    stack, settings = synthesized.stacks[name], environments[name]
    provider = stack["provider"]["google"][0]
    assert (provider["project"], provider["region"]) == (settings.project, settings.region)
    backend = stack["terraform"]["backend"]["gcs"]
    assert (backend["bucket"], backend["prefix"]) == (settings.bucket("tfstate"), settings.stack)
    mail = stack["resource"]["google_monitoring_notification_channel"]["monitoring_email"]
    assert mail["labels"] == {"email_address": settings.alerts.email}
    assert bool(held(stack)) is settings.protected
    assert "google_iam_workload_identity_pool" not in stack["resource"]
    bootstrap = synthesized.stacks[f"{name}-bootstrap"]
    assert ("google_iam_workload_identity_pool" in bootstrap["resource"]) is (settings.ci is not None)


@pytest.mark.synth
@pytest.mark.parametrize("name", NAMES)
def test_no_stack_names_another_ones_project(
    name: str, synthesized: Synthesis, environments: dict[str, Settings]
) -> None:
    text = json.dumps(synthesized.stacks[name])
    for other in environments.values():
        if other.environment != name and other.project not in environments[name].project:
            assert f'"{other.project}"' not in text
            assert f"projects/{other.project}/" not in text


def held(stack: dict[str, Any]) -> list[str]:
    """Return the addresses of resources with deletion protection."""
    return [
        f"{kind}.{name}"
        for kind, named in stack["resource"].items()
        for name, arguments in named.items()
        if arguments.get("lifecycle", {}).get("prevent_destroy")
    ]


@pytest.mark.unit
def test_the_tests_of_the_code_have_environments_of_their_own() -> None:
    assert Path(os.environ["VLILLE_ENVIRONMENTS"]) == ROOT / "tests" / "environments"
