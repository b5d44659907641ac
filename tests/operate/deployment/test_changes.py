"""Edits that a deployed environment does not support: refused with the remedy, before anything is planned."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cdk.settings import Settings, load_environments
from operate.deployment.changes import check_changes
from operate.errors import OperateError
from operate.state.state_files import State
from operate.target import Target
from tests.conftest import ENVIRONMENTS

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
DATASET, ARTIFACTS = "google_bigquery_dataset.set", "google_storage_bucket.artifacts"
DEPLOYED = {DATASET: "europe-west1", ARTIFACTS: "europe-west1", "google_pubsub_topic.gone": "us-east1"}


@pytest.fixture
def settings() -> Settings:
    return load_environments(ENVIRONMENTS, ["vlille_gbfs"], only="dev")["dev"]


def stack_in(region: str) -> dict[str, Any]:
    stays = {"location": region.upper(), "lifecycle": {"ignore_changes": ["location"]}}
    return {
        "resource": {
            "google_bigquery_dataset": {"set": {"location": region}},
            "google_storage_bucket": {"artifacts": stays, "more": {"location": region.upper()}},
            "google_pubsub_topic": {"topic": {"name": "collect"}},
        }
    }


def check(settings: Settings, *deployed: State, local_folder: Path | None = None) -> None:
    check_changes(settings, Target(settings.environment, local_folder), stack_in(settings.region), deployed)


def test_resources_in_the_right_region_are_no_change(settings: Settings) -> None:
    check(settings)
    check(
        settings,
        State("vlille-dev", (DATASET,), (), DEPLOYED),
        State("vlille-dev-bootstrap", ("a.b",), (), {}),
    )
    # Left behind by a move, and harmless: it is read from there.
    check(settings, State("vlille-dev", (ARTIFACTS,), (), {ARTIFACTS: "us-east1"}))


@pytest.mark.parametrize(
    ("protected", "local_folder", "steps"),
    [
        (
            False,
            None,
            "`make destroy ENV=dev`, then `make unbootstrap ENV=dev`, then `make bootstrap ENV=dev`, then ",
        ),
        (False, Path(".local/dev"), "`make destroy ENV=dev TO=local`, then `make deploy ENV=dev TO=local`"),
        (True, None, "set `protected = false` and deploy that first; `make destroy ENV=dev`, then "),
    ],
)
def test_another_region_is_refused_with_the_steps_to_take(
    settings: Settings, *, protected: bool, local_folder: Path | None, steps: str
) -> None:
    moved = replace(settings, region="europe-west4", protected=protected)
    with pytest.raises(OperateError) as caught:
        check(moved, State("vlille-dev", (DATASET,), (), DEPLOYED), local_folder=local_folder)
    message = str(caught.value)
    assert message.startswith(
        "environments/dev.toml: region: dev is deployed in europe-west1 and cannot move to europe-west4: "
    )
    assert "Nothing was touched" in message
    assert 'set region = "europe-west1" again' in message
    assert f"To begin anew without the data: {steps}" in message


@pytest.mark.parametrize("other", ["vlille-test", "vlille-test-bootstrap"])
def test_a_renamed_environment_is_refused(settings: Settings, other: str) -> None:
    """A renamed environment would import its resources into a second state."""
    with pytest.raises(
        OperateError, match=rf"^vlille-dev already holds {other}, whose state is gs://vlille-dev-tfs"
    ):
        check(settings, State(other, ("a.b",), (), {}))
    check(settings, State(other, (), (), {}))  # it was destroyed
