"""Deploy and destroy: locks, adoption, protection, what a destroy left, damaged states."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cdk.settings import Settings
from operate.cloud import Cloud
from operate.deployment.deployer import Deployer
from operate.errors import OperateError
from operate.state.bucket import ensure_bucket
from operate.state.lock_holders import get_lock_identity
from tests.operate.conftest import NUMBER, Google, empty_project, refusal, state_of
from tests.operate.deployment.deployer.fakes import LOCK, TABLE, TOPIC, FakeCdktf

pytestmark = pytest.mark.emulator


def test_protected_resources_are_not_destroyed_half_way(
    deployer: Deployer, cloud: Cloud, settings: Settings, cdktf: FakeCdktf, put_state: Callable[..., None]
) -> None:
    ensure_bucket(cloud.storage, settings, NUMBER)
    put_state("vlille-dev/default.tfstate", state_of(TOPIC, TABLE))
    with pytest.raises(OperateError) as caught:
        deployer.destroy()
    assert str(caught.value) == (
        "the deployed resources of dev are still protected (1 resources, such as google_bigquery_table.stations), "
        "although environments/dev.toml sets protected = false: run `make deploy ENV=dev` to remove the protection, "
        "then `make destroy ENV=dev`"
    )
    assert cdktf.runs == []
    put_state("vlille-dev/default.tfstate", state_of(TOPIC))
    assert deployer.destroy() == 0
    assert cdktf.runs == [["destroy", "vlille-dev"]]


@pytest.mark.parametrize("command", ["deploy", "destroy"])
def test_a_locked_state_is_reported_with_its_holder(
    deployer: Deployer, cdktf: FakeCdktf, put_state: Callable[..., None], command: str
) -> None:
    deployer.bootstrap()
    put_state("vlille-dev/default.tflock", LOCK)
    before = len(cdktf.runs)
    with pytest.raises(
        OperateError,
        match=r"^the state of vlille-dev is locked by ada@laptop at 2026-11-25 21:38 UTC, for apply: wait until that "
        r"command ends; if it was killed, run `make unlock ENV=dev`, then run this again$",
    ):
        deployer.destroy() if command == "destroy" else deployer.run_cdktf(command)
    assert len(cdktf.runs) == before
    assert deployer.run_cdktf("diff") == 0  # who reads may have no right to write a lock


@pytest.mark.parametrize("status", [0, 1])
def test_a_lock_that_remains_after_a_deploy_is_reported(
    deployer: Deployer, cdktf: FakeCdktf, put_state: Callable[..., None], status: int
) -> None:
    deployer.bootstrap()
    left = LOCK | {"Who": get_lock_identity()}
    cdktf.does, cdktf.status = lambda: put_state("vlille-dev/default.tflock", left), status
    with pytest.raises(OperateError, match=r"^Terraform ended before deploy was complete"):
        deployer.run_cdktf("deploy")


def test_resources_in_no_state_are_imported_by_plans_only(
    google: Google,
    deployer: Deployer,
    cdktf: FakeCdktf,
    *,
    messages: list[str],
    put_state: Callable[..., None],
    settings: Settings,
) -> None:
    """A killed deploy created two topics, and only one is in the state."""
    deployer.bootstrap()
    put_state("vlille-dev/default.tfstate", state_of(TOPIC))
    cdktf.stack = {
        "resource": {"google_pubsub_topic": {"topic": {"name": "collect"}, "dead": {"name": "collect-dead"}}}
    }
    name = f"projects/{settings.project}/topics/collect-dead"
    google.responses[f"GET /pubsub/{name}"] = 200, {"name": name}
    cdktf.variables.clear()
    assert deployer.run_cdktf("deploy") == 0
    lost = {"VLILLE_ADOPT": json.dumps({"vlille-dev": {"google_pubsub_topic.dead": name}})}
    assert cdktf.variables == [{}, lost]
    assert messages[-1].startswith(
        f"1 resources exist in {settings.project} and are not in the state of vlille-dev, as after a deploy that was"
    )
    # A destroy would leave what no state holds.
    cdktf.variables.clear()
    runs = len(cdktf.runs)
    with pytest.raises(OperateError) as caught:
        deployer.destroy()
    assert str(caught.value) == (
        f"1 resources of vlille-dev exist in {settings.project} and are not in its state, such as "
        "google_pubsub_topic.dead: `make destroy ENV=dev` would leave them. Nothing was changed. Run `make deploy "
        "ENV=dev`, which imports them, then `make destroy ENV=dev`; `make orphans ENV=dev` lists commands that need no "
        "state"
    )
    assert (cdktf.variables, len(cdktf.runs)) == ([{}], runs)


def test_a_destroy_reports_what_still_exists(
    google: Google,
    deployer: Deployer,
    cdktf: FakeCdktf,
    *,
    messages: list[str],
    put_state: Callable[..., None],
    settings: Settings,
) -> None:
    """Terraform's own word is not enough: what the stack declares is looked up once more."""
    deployer.bootstrap()
    put_state("vlille-dev/default.tfstate", state_of(TOPIC))
    cdktf.stack = {"resource": {"google_pubsub_topic": {"topic": {"name": "collect"}}}}
    topic = f"projects/{settings.project}/topics/collect"
    google.responses[f"GET /pubsub/{topic}"] = 200, {"name": topic}
    google.responses |= empty_project(settings.project, settings.region)
    cdktf.does = lambda: put_state("vlille-dev/default.tfstate", state_of())
    with pytest.raises(
        OperateError, match=r"still has 1 resources of vlille:\n  topic collect: `gcloud pubsub topics del"
    ):
        deployer.destroy()
    # Resources that Google Cloud created itself are reported, and are no failure.
    put_state("vlille-dev/default.tfstate", state_of(TOPIC))
    google.responses[f"GET /pubsub/{topic}"] = refusal(404, "gone")
    google.responses["GET /storage/b"] = 200, {"items": [{"name": "gcf-v2-sources-1-europe-west1"}]}
    assert deployer.destroy() == 0
    assert messages[-1].startswith(
        "bucket gcf-v2-sources-1-europe-west1, which Google Cloud created and the stack does not declare"
    )
    # After a "no" the state is kept, and nothing is reported.
    put_state("vlille-dev/default.tfstate", state_of(TOPIC))
    cdktf.does = lambda: None
    google.responses[f"GET /pubsub/{topic}"] = 200, {"name": topic}
    assert deployer.destroy() == 0


def test_a_first_deploy_or_a_lost_state_is_reported(
    deployer: Deployer, messages: list[str], put_state: Callable[..., None], settings: Settings
) -> None:
    deployer.bootstrap()
    assert deployer.run_cdktf("deploy") == 0
    assert messages[-1] == (
        f"vlille-dev has no state in {settings.project}: this is its first deploy, or its state was lost; what an "
        "environment left in another project stays there"
    )
    put_state("vlille-dev/default.tfstate", state_of(TOPIC))
    messages.clear()
    assert deployer.run_cdktf("deploy") == 0
    assert messages == []


@pytest.mark.parametrize("command", ["deploy", "destroy", "diff"])
def test_a_damaged_state_is_reported_in_one_message(
    deployer: Deployer, cdktf: FakeCdktf, put_state: Callable[..., None], settings: Settings, command: str
) -> None:
    deployer.bootstrap()
    put_state("vlille-dev/default.tfstate", ["no state"])
    runs = len(cdktf.runs)
    uri = f"gs://{settings.bucket('tfstate')}/vlille-dev/default.tfstate"
    with pytest.raises(
        OperateError, match=f"^the state of vlille-dev is damaged: {uri} is not a state of Terraform"
    ):
        deployer.destroy() if command == "destroy" else deployer.run_cdktf(command)
    local_deployer = replace(deployer, local_folder=Path(".local/dev"))
    with pytest.raises(
        OperateError, match=r"run `make down ENV=dev`, delete the file below \.local/dev/storage/"
    ):
        local_deployer.destroy() if command == "destroy" else local_deployer.run_cdktf(command)
    assert len(cdktf.runs) == runs
