"""A kept plan and its apply, with a fake of Terraform that records its calls."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from cdk.settings import Settings
from operate.cloud import Cloud
from operate.deployment.deployer import Deployer
from operate.errors import OperateError
from operate.state.bucket import ensure_bucket
from operate.state.locking import Locking
from operate.target import Target
from tests.operate.conftest import NUMBER, Google

pytestmark = pytest.mark.emulator

OLD = {"bucket": "{bucket}", "name": "collector/collector-1.zip", "source": "assets/upload/1/collector-1.zip"}


class Terraform:
    """Keeps a plan, returns its JSON, and ends a command with the status that a test gives."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.plan: dict[str, Any] = {"resource_changes": []}
        self.status: dict[str, int] = {}
        self.keeps_plan = True

    def synthesize(self, _stack: str, _variables: Mapping[str, str]) -> dict[str, Any]:
        self.calls.append(["synthesize"])
        return {}

    def run(self, _words: Sequence[str]) -> int:
        raise AssertionError("cdktf has no part in this")

    def terraform(self, stack: str, argv: Sequence[str], output: Path | None = None) -> int:
        assert stack == "vlille-dev"
        self.calls.append([Path(word).name if word.startswith("/") else word for word in argv])
        kept = [word.removeprefix("-out=") for word in argv if word.startswith("-out=")]
        if kept and self.keeps_plan:
            Path(kept[0]).write_bytes(b"PK")
        if output:
            with output.open("a") as file:
                file.write(json.dumps(self.plan) if argv[0] == "show" else f"{argv[0]} printed\n")
        return self.status.get(argv[0], 0)


@pytest.fixture
def terraform() -> Terraform:
    return Terraform()


@pytest.fixture
def printed() -> list[str]:
    return []


@pytest.fixture
def deployer(
    cloud: Cloud, settings: Settings, terraform: Terraform, printed: list[str], tmp_path: Path
) -> Deployer:
    ensure_bucket(cloud.storage, settings, NUMBER)
    locking = Locking(settings, cloud, Target("dev"), printed.append, lock_seconds=0)
    return Deployer(settings, cloud, terraform, locking, printed.append, plans=tmp_path)


def replaced(before: Mapping[str, Any], *actions: str) -> dict[str, Any]:
    change = {"actions": list(actions or ("create", "delete")), "before": dict(before), "after": {}}
    return {"type": "google_storage_bucket_object", "address": "o", "change": change}


@pytest.fixture
def put(google: Google, settings: Settings) -> str:
    """Put the deployed artifact into a bucket, and return the bucket's name."""
    bucket = f"{settings.project}-artifacts"
    requests.post(f"{google.emulator_url}/storage/v1/b", json={"name": bucket}, timeout=30).raise_for_status()
    url = f"{google.emulator_url}/upload/storage/v1/b/{bucket}/o"
    query = {"uploadType": "media", "name": OLD["name"]}
    requests.post(url, params=query, data=b"PK old", timeout=30).raise_for_status()
    return bucket


def test_a_plan_is_written_with_its_json_and_without_a_lock(deployer: Deployer, terraform: Terraform) -> None:
    (deployer.saved_plan.folder / "replaced").mkdir(parents=True)
    (deployer.saved_plan.folder / "review.md").write_text("of an older plan")
    assert deployer.plan() == 0
    assert terraform.calls == [
        ["synthesize"],
        ["init", "-input=false", "-reconfigure", "-no-color"],
        ["plan", "-input=false", "-lock=false", "-no-color", f"-out={deployer.saved_plan.plan}"],
        ["show", "-json", "plan"],
    ]
    assert json.loads(deployer.saved_plan.json.read_text()) == terraform.plan
    assert deployer.saved_plan.log.read_text() == "init printed\nplan printed\n"
    assert sorted(file.name for file in deployer.saved_plan.folder.iterdir()) == [
        "plan",
        "plan.json",
        "terraform.log",
    ]
    assert deployer.saved_plan.folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("command", ["init", "plan", "show"])
@pytest.mark.parametrize("keeps", [True, False])
def test_a_failed_plan_is_reported_and_an_earlier_one_deleted(
    deployer: Deployer, terraform: Terraform, printed: list[str], command: str, *, keeps: bool
) -> None:
    deployer.plan()
    terraform.status, terraform.keeps_plan = {command: 1}, keeps
    if command == "show" and not keeps:
        terraform.status = {"plan": 1}
    assert deployer.plan() == 1
    assert printed[-1].startswith("planning vlille-dev failed: the output of Terraform is in ")
    # Terraform keeps a plan that failed half-way, and its JSON says so.
    assert deployer.saved_plan.json.exists() is (keeps and command != "init")


def test_replaced_artifacts_are_downloaded_beside_the_plan(
    deployer: Deployer, terraform: Terraform, printed: list[str], put: str
) -> None:
    old = OLD | {"bucket": put}
    terraform.plan = {
        "resource_changes": [
            replaced(old),
            replaced(old | {"source": "../outside"}),
            replaced(old | {"source": "/tmp/outside"}),
            replaced(old | {"source": None}),
            replaced(old | {"name": "collector/gone.zip", "source": "assets/gone.zip"}),
            replaced(old | {"source": "assets/stays.zip"}, "update"),
            {
                "type": "google_pubsub_topic",
                "address": "t",
                "change": {"actions": ["create"], "before": None},
            },
        ]
    }
    assert deployer.plan() == 0
    files = [file for file in deployer.saved_plan.replaced_artifacts.rglob("*") if file.is_file()]
    assert [
        (str(file.relative_to(deployer.saved_plan.replaced_artifacts)), file.read_bytes()) for file in files
    ] == [(OLD["source"], b"PK old")]
    assert len(printed) == 2
    assert printed[1].startswith("the deployed collector/gone.zip cannot be compared: 404 ")


def test_a_plan_is_applied_once(deployer: Deployer, terraform: Terraform) -> None:
    deployer.plan()
    terraform.calls.clear()
    assert deployer.apply() == 0
    assert terraform.calls == [["apply", "-input=false", "-no-color", "plan"]]
    with pytest.raises(
        OperateError, match=r"^there is no plan of vlille-dev: run `make plan ENV=dev` first$"
    ):
        deployer.apply()


def test_a_plan_whose_apply_failed_is_kept(deployer: Deployer, terraform: Terraform) -> None:
    deployer.plan()
    terraform.status = {"apply": 1}
    assert deployer.apply() == 1
    assert deployer.saved_plan.plan.exists()


def test_a_locked_state_can_be_planned_and_not_applied(
    google: Google, deployer: Deployer, terraform: Terraform, settings: Settings
) -> None:
    url = f"{google.emulator_url}/upload/storage/v1/b/{settings.bucket('tfstate')}/o"
    query = {"uploadType": "media", "name": "vlille-dev/default.tflock"}
    lock = {"Operation": "OperationTypeApply", "Who": "ada@laptop", "Created": "2026-11-25T21:38:53Z"}
    requests.post(url, params=query, data=json.dumps(lock), timeout=30).raise_for_status()
    assert deployer.plan() == 0
    terraform.calls.clear()
    with pytest.raises(OperateError, match=r"is locked by ada@laptop .* run `make unlock ENV=dev`"):
        deployer.apply()
    assert terraform.calls == []


def test_the_local_target_is_named_in_the_command_to_run(deployer: Deployer) -> None:
    with pytest.raises(OperateError, match=r"run `make plan ENV=dev TO=local` first"):
        replace(deployer, local_folder=Path(".local/dev")).apply()
