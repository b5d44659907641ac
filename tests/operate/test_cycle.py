"""The commands as they are called, with cdktf replaced by a note of what it was asked."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from cdk.settings import Ci, Settings, load_environments
from operate.__main__ import main
from operate.cloud import Cloud
from operate.cycle import Cycle
from operate.errors import OperateError
from operate.holders import own_identity
from operate.locking import Locking
from operate.place import Place
from operate.state import make_bucket
from tests.conftest import ENVIRONMENTS
from tests.operate.conftest import NUMBER, Google, empty_project, refusal, state_of

pytestmark = pytest.mark.emulator

TABLE = ("google_bigquery_table", "stations", {"deletion_protection": True})
TOPIC = ("google_pubsub_topic", "topic", {"name": "collect"})
POOL = "projects/{}/locations/global/workloadIdentityPools/vlille-github"
CI_RESOURCES = {
    "google_iam_workload_identity_pool": {"ci_pool": {"workload_identity_pool_id": "vlille-github"}},
    "google_iam_workload_identity_pool_provider": {
        "ci_provider": {
            "workload_identity_pool_id": "${google_iam_workload_identity_pool.ci_pool.workload_identity_pool_id}",
            "workload_identity_pool_provider_id": "github",
        }
    },
}
LOCK = {
    "ID": "1795642733529456",
    "Operation": "OperationTypeApply",
    "Who": "ada@laptop",
    "Created": "2026-11-25T21:38:53.523431863Z",
}


class Cdktf:
    """Notes words and variables, has a test do something in cdktf's place, and synthesizes what a test gives."""

    def __init__(self) -> None:
        self.runs: list[list[str]] = []
        self.environ: Mapping[str, str] = {}
        self.variables: list[Mapping[str, str]] = []
        self.stack: dict[str, Any] = {}
        self.status = 0
        self.does: Callable[[], None] = lambda: None

    def given(self, environ: Mapping[str, str]) -> "Cdktf":
        self.environ = environ
        return self

    def synthesize(self, _stack: str, variables: Mapping[str, str]) -> dict[str, Any]:
        self.variables.append(variables)
        return self.stack

    def run(self, words: Sequence[str]) -> int:
        self.runs.append(list(words))
        self.does()
        return self.status

    def terraform(self, _stack: str, words: Sequence[str], _output: Path | None = None) -> int:
        self.runs.append(list(words))
        return self.status


@pytest.fixture
def cdktf() -> Cdktf:
    return Cdktf()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def cycle(cloud: Cloud, settings: Settings, cdktf: Cdktf, said: list[str]) -> Cycle:
    locking = Locking(settings, cloud, Place("dev"), said.append, lock_seconds=0)
    return Cycle(settings, cloud, cdktf, locking, said.append)


def test_a_bootstrap_makes_the_bucket_before_terraform_needs_it(
    google: Google, cycle: Cycle, cdktf: Cdktf, said: list[str], settings: Settings
) -> None:
    there: list[list[str]] = []
    cdktf.does = lambda: there.append(list(google.buckets))
    for _ in range(2):
        assert cycle.bootstrap() == 0
    assert there == [[f"{settings.project}-tfstate"]] * 2
    assert cdktf.runs == [["deploy", "vlille-dev-bootstrap"]] * 2
    assert [line.rpartition("tfstate ")[2] for line in said] == [
        "is made, in europe-west1",
        "is as it should be",
    ]
    # Without [ci] nobody asks for a pool.
    assert not [call for call in google.calls if "workloadIdentityPools" in call]


@pytest.mark.parametrize(
    ("pool", "provider", "undeleted"),
    [
        (None, None, []),
        ("ACTIVE", None, []),
        ("ACTIVE", "ACTIVE", []),
        ("DELETED", "DELETED", ["", "/providers/github"]),
        ("DELETED", None, [""]),
    ],
)
def test_what_is_left_of_an_earlier_pool_is_revived_and_adopted(
    google: Google,
    cycle: Cycle,
    cdktf: Cdktf,
    settings: Settings,
    *,
    pool: str | None,
    provider: str | None,
    undeleted: list[str],
) -> None:
    path = POOL.format(settings.project)
    found = {path: pool, f"{path}/providers/github": provider}
    google.pools = {name: state for name, state in found.items() if state}
    cdktf.stack = {"resource": CI_RESOURCES}
    with_ci = replace(
        cycle,
        settings=replace(
            settings,
            ci=Ci(repository="bikes-lille/vlille", repository_id=1296269, repository_owner_id=583231),
        ),
    )
    assert with_ci.bootstrap() == 0
    addresses = {
        f"{kind}.{name}": p for (kind, n), p in zip(CI_RESOURCES.items(), found, strict=True) for name in n
    }
    adopted = {address: name for address, name in addresses.items() if found[name]}
    told = [json.loads(each["VLILLE_ADOPT"]) for each in cdktf.variables if each]
    assert told == ([{settings.bootstrap_stack: adopted}] if adopted else [])
    assert [call for call in google.calls if call.startswith("POST /v1")] == [
        f"POST /v1/{path}{rest}:undelete" for rest in undeleted
    ]
    assert set(google.pools.values()) <= {"ACTIVE"}


def test_the_undo_destroys_the_stack_and_then_the_bucket(
    google: Google,
    cycle: Cycle,
    cdktf: Cdktf,
    *,
    said: list[str],
    settings: Settings,
    put_state: Callable[..., None],
) -> None:
    cycle.bootstrap()
    put_state("vlille-dev-bootstrap/default.tfstate", state_of(TOPIC))
    put_state("vlille-dev/default.tfstate", state_of())  # as a destroy leaves it
    there: list[list[str]] = []

    def destroy() -> None:
        there.append(list(google.buckets))
        put_state("vlille-dev-bootstrap/default.tfstate", state_of())

    cdktf.does = destroy
    assert cycle.unbootstrap() == 0
    assert cdktf.runs[1:] == [["destroy", "vlille-dev-bootstrap"]]
    assert (there, google.buckets) == ([[f"{settings.project}-tfstate"]], {})
    # Once more: there is nothing to undo, and that is no error.
    assert cycle.unbootstrap() == 0
    assert len(cdktf.runs) == 2
    assert said[-1] == f"the state bucket {settings.project}-tfstate is not there: nothing to undo"


def test_the_undo_touches_nothing_while_the_environment_is_deployed(
    google: Google, cycle: Cycle, cdktf: Cdktf, put_state: Callable[..., None]
) -> None:
    cycle.bootstrap()
    put_state("vlille-dev/default.tfstate", state_of(TOPIC))
    with pytest.raises(
        OperateError, match=r"^vlille-dev is still deployed.*run `make destroy ENV=dev` first$"
    ):
        cycle.unbootstrap()
    assert (len(cdktf.runs), len(google.buckets)) == (1, 1)


def test_the_undo_touches_nothing_of_another_project(
    google: Google, cycle: Cycle, cdktf: Cdktf, settings: Settings
) -> None:
    cycle.bootstrap()
    google.buckets[f"{settings.project}-tfstate"]["projectNumber"] = "99"
    with pytest.raises(OperateError, match="lies in the project with the number 99"):
        cycle.unbootstrap()
    assert (len(cdktf.runs), len(google.buckets)) == (1, 1)


@pytest.mark.parametrize("status", [0, 1])
def test_the_bucket_stays_while_the_bootstrap_stack_does(
    google: Google, cycle: Cycle, cdktf: Cdktf, put_state: Callable[..., None], status: int
) -> None:
    """Whoever answers "no" to Terraform, or meets an error, keeps the state of what is still there."""
    cycle.bootstrap()
    put_state("vlille-dev-bootstrap/default.tfstate", state_of(TOPIC))
    cdktf.status = status
    if status:
        assert cycle.unbootstrap() == status
    else:
        with pytest.raises(OperateError, match=r"is kept.*vlille-dev-bootstrap \(1\)"):
            cycle.unbootstrap()
    assert len(google.buckets) == 1


def test_what_is_deployed_protected_is_not_destroyed_half_way(
    cycle: Cycle, cloud: Cloud, settings: Settings, cdktf: Cdktf, put_state: Callable[..., None]
) -> None:
    make_bucket(cloud.storage, settings, NUMBER)
    put_state("vlille-dev/default.tfstate", state_of(TOPIC, TABLE))
    with pytest.raises(OperateError) as caught:
        cycle.destroy()
    assert str(caught.value) == (
        "what is deployed of dev is still protected (1 resources, such as google_bigquery_table.stations), though "
        "environments/dev.toml is not: run `make deploy ENV=dev` to take the protection off, then `make destroy "
        "ENV=dev`"
    )
    assert cdktf.runs == []
    put_state("vlille-dev/default.tfstate", state_of(TOPIC))
    assert cycle.destroy() == 0
    assert cdktf.runs == [["destroy", "vlille-dev"]]


# --- the command line -----------------------------------------------------------------------------


@pytest.fixture
def settings() -> Settings:
    """The environment as its file has it: the command line reads no other."""
    return load_environments(ENVIRONMENTS, ["vlille_ogc"], only="dev")["dev"]


@pytest.fixture(autouse=True)
def clean(google: Google, settings: Settings) -> None:
    """One project for all tests of this file: what the last one left in the emulator goes first."""
    root = f"{google.emulator_url}/storage/v1/b/{settings.project}-tfstate"
    for each in requests.get(f"{root}/o", timeout=30).json().get("items", []):
        requests.delete(f"{root}/o/{each['name'].replace('/', '%2F')}", timeout=30)
    requests.delete(root, timeout=30)


@pytest.mark.parametrize(
    ("words", "ran"),
    [
        (["bootstrap", "--env", "dev"], ["deploy", "vlille-dev-bootstrap"]),
        (
            ["bootstrap", "--env", "dev", "--auto-approve"],
            ["deploy", "vlille-dev-bootstrap", "--auto-approve"],
        ),
        (
            ["bootstrap", "--env", "dev", "--undo", "--auto-approve"],
            ["destroy", "vlille-dev-bootstrap", "--auto-approve"],
        ),
        (["deploy", "--env", "dev"], ["deploy", "vlille-dev"]),
        (["deploy", "--env", "dev", "--auto-approve"], ["deploy", "vlille-dev", "--auto-approve"]),
        (["diff"], ["diff", "vlille-dev"]),
        (["outputs"], ["output", "vlille-dev"]),
        (["destroy", "--env", "dev", "--auto-approve"], ["destroy", "vlille-dev", "--auto-approve"]),
    ],
)
def test_a_command_is_cdktfs(
    google: Google,
    cloud: Cloud,
    settings: Settings,
    cdktf: Cdktf,
    program: Callable[..., Path],
    *,
    words: list[str],
    ran: list[str],
) -> None:
    make_bucket(cloud.storage, settings, NUMBER)
    folder = program("tofu")
    cdktf.status = 0 if "--undo" in words else 3
    assert main(words, google.variables | {"PATH": str(folder)}, cdktf.given) == cdktf.status
    assert cdktf.runs == [ran]
    given = {
        name: cdktf.environ[name] for name in ("TERRAFORM_BINARY_NAME", "VLILLE_ENV", "CHECKPOINT_DISABLE")
    }
    assert given == {
        "TERRAFORM_BINARY_NAME": str(folder / "tofu"),
        "VLILLE_ENV": "dev",
        "CHECKPOINT_DISABLE": "1",
    }
    assert cdktf.environ["GOOGLE_OAUTH_ACCESS_TOKEN"] == "fake"  # noqa: S105


def test_whatever_is_missing_ends_a_command_before_it_begins(
    google: Google, cdktf: Cdktf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    google.enabled.discard("run.googleapis.com")
    assert main(["deploy", "--env", "dev"], google.variables | {"PATH": str(tmp_path)}, cdktf.given) == 1
    out, err = capsys.readouterr()
    assert (out, cdktf.runs) == ("", [])
    assert [line.split(":")[0] for line in err.splitlines()] == [
        "terraform or tofu is not on PATH",
        "the state bucket vlille-dev-tfstate is not there",
        "not enabled in vlille-dev",
    ]


def test_a_protected_environment_is_refused_before_anything_is_touched(
    google: Google, cdktf: Cdktf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(
            ["destroy", "--env", "prod", "--auto-approve"],
            google.variables | {"PATH": str(tmp_path)},
            cdktf.given,
        )
        == 1
    )
    assert capsys.readouterr().err == (
        "prod is protected and nothing was touched; to destroy it with all its data, set `protected = false` in "
        "environments/prod.toml, take the protection off with `make deploy ENV=prod`, then run `make destroy ENV=prod` "
        "again\n"
    )
    assert (google.calls, cdktf.runs) == ([], [])


def test_an_environment_that_is_not_there_is_one_sentence(
    google: Google, cdktf: Cdktf, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["deploy", "--env", "prd"], google.variables, cdktf.given)
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "error: ENV: found 'prd' (did you mean \"prod\"?); accepted: dev, prod "
        "(the names of the files in environments/)\n"
    )
    assert (google.calls, cdktf.runs) == ([], [])


@pytest.mark.parametrize("command", ["deploy", "destroy"])
def test_a_state_that_is_locked_is_told_with_who_holds_it(
    cycle: Cycle, cdktf: Cdktf, put_state: Callable[..., None], command: str
) -> None:
    cycle.bootstrap()
    put_state("vlille-dev/default.tflock", LOCK)
    before = len(cdktf.runs)
    with pytest.raises(
        OperateError,
        match=r"^the state of vlille-dev is locked by ada@laptop at 2026-11-25 21:38 UTC, for apply: wait until that "
        r"is done; if it was killed, run `make unlock ENV=dev`, then this again$",
    ):
        cycle.destroy() if command == "destroy" else cycle.through(command)
    assert len(cdktf.runs) == before
    assert cycle.through("diff") == 0  # who reads may have no right to write a lock


@pytest.mark.parametrize("status", [0, 1])
def test_a_lock_that_a_deploy_leaves_is_told(
    cycle: Cycle, cdktf: Cdktf, put_state: Callable[..., None], status: int
) -> None:
    cycle.bootstrap()
    left = LOCK | {"Who": own_identity()}
    cdktf.does, cdktf.status = lambda: put_state("vlille-dev/default.tflock", left), status
    with pytest.raises(OperateError, match=r"^Terraform was ended before deploy was done"):
        cycle.through("deploy")


def test_what_no_state_knows_is_adopted_in_plans_only(
    google: Google,
    cycle: Cycle,
    cdktf: Cdktf,
    *,
    said: list[str],
    put_state: Callable[..., None],
    settings: Settings,
) -> None:
    """A deploy that was killed made two topics, and wrote down one."""
    cycle.bootstrap()
    put_state("vlille-dev/default.tfstate", state_of(TOPIC))
    cdktf.stack = {
        "resource": {"google_pubsub_topic": {"topic": {"name": "collect"}, "dead": {"name": "collect-dead"}}}
    }
    name = f"projects/{settings.project}/topics/collect-dead"
    google.answers[f"GET /pubsub/{name}"] = 200, {"name": name}
    cdktf.variables.clear()
    assert cycle.through("deploy") == 0
    lost = {"VLILLE_ADOPT": json.dumps({"vlille-dev": {"google_pubsub_topic.dead": name}})}
    assert cdktf.variables == [{}, lost]
    assert said[-1].startswith(
        f"1 resources exist in {settings.project} and are not in the state of vlille-dev, as after a deploy that was"
    )
    # A destroy would leave what no state holds.
    cdktf.variables.clear()
    runs = len(cdktf.runs)
    with pytest.raises(OperateError) as caught:
        cycle.destroy()
    assert str(caught.value) == (
        f"1 resources of vlille-dev exist in {settings.project} and are not in its state, such as "
        "google_pubsub_topic.dead: `make destroy ENV=dev` would leave them. Nothing was touched. Run `make deploy "
        "ENV=dev`, which imports them, then this again; `make leftovers ENV=dev` lists commands that need no state"
    )
    assert (cdktf.variables, len(cdktf.runs)) == ([{}], runs)


def test_a_destroy_that_left_something_says_so(
    google: Google,
    cycle: Cycle,
    cdktf: Cdktf,
    *,
    said: list[str],
    put_state: Callable[..., None],
    settings: Settings,
) -> None:
    """Terraform's own word is not enough: what the stack declares is looked up once more."""
    cycle.bootstrap()
    put_state("vlille-dev/default.tfstate", state_of(TOPIC))
    cdktf.stack = {"resource": {"google_pubsub_topic": {"topic": {"name": "collect"}}}}
    topic = f"projects/{settings.project}/topics/collect"
    google.answers[f"GET /pubsub/{topic}"] = 200, {"name": topic}
    google.answers |= empty_project(settings.project, settings.region)
    cdktf.does = lambda: put_state("vlille-dev/default.tfstate", state_of())
    with pytest.raises(
        OperateError, match=r"still holds 1 of vlille:\n  topic collect: `gcloud pubsub topics del"
    ):
        cycle.destroy()
    # What Google Cloud created beside it is told, and is no failure.
    put_state("vlille-dev/default.tfstate", state_of(TOPIC))
    google.answers[f"GET /pubsub/{topic}"] = refusal(404, "gone")
    google.answers["GET /storage/b"] = 200, {"items": [{"name": "gcf-v2-sources-1-europe-west1"}]}
    assert cycle.destroy() == 0
    assert said[-1].startswith(
        "bucket gcf-v2-sources-1-europe-west1, which Google Cloud created beside the stack"
    )
    # Whoever answers "no" keeps the state, and is told nothing.
    put_state("vlille-dev/default.tfstate", state_of(TOPIC))
    cdktf.does = lambda: None
    google.answers[f"GET /pubsub/{topic}"] = 200, {"name": topic}
    assert cycle.destroy() == 0


def test_the_undo_of_a_bootstrap_without_a_state_is_refused(
    google: Google, cycle: Cycle, cdktf: Cdktf, settings: Settings
) -> None:
    """CI's identity would stay, with its roles, and nobody would know of it."""
    cycle.bootstrap()
    google.pools = {POOL.format(settings.project): "ACTIVE"}
    cdktf.stack = {"resource": CI_RESOURCES}
    with pytest.raises(
        OperateError,
        match=r"1 resources of vlille-dev-bootstrap exist .*Run `make bootstrap ENV=dev`.*this again$",
    ):
        cycle.unbootstrap()
    assert (len(cdktf.runs), len(google.buckets)) == (1, 1)


def test_a_first_deploy_and_a_lost_state_are_told(
    cycle: Cycle, said: list[str], put_state: Callable[..., None], settings: Settings
) -> None:
    cycle.bootstrap()
    assert cycle.through("deploy") == 0
    assert said[-1] == (
        f"vlille-dev has no state in {settings.project}: this is its first deploy, or its state was lost; what an "
        "environment left in another project stays there"
    )
    put_state("vlille-dev/default.tfstate", state_of(TOPIC))
    said.clear()
    assert cycle.through("deploy") == 0
    assert said == []


@pytest.mark.parametrize("command", ["deploy", "destroy", "diff"])
def test_a_damaged_state_is_one_sentence(
    cycle: Cycle, cdktf: Cdktf, put_state: Callable[..., None], settings: Settings, command: str
) -> None:
    cycle.bootstrap()
    put_state("vlille-dev/default.tfstate", ["no state"])
    runs = len(cdktf.runs)
    uri = f"gs://{settings.bucket('tfstate')}/vlille-dev/default.tfstate"
    with pytest.raises(
        OperateError, match=f"^the state of vlille-dev is damaged: {uri} is not a state of Terraform"
    ):
        cycle.destroy() if command == "destroy" else cycle.through(command)
    here = replace(cycle, here=Path(".local/dev"))
    with pytest.raises(
        OperateError, match=r"run `make down ENV=dev`, delete the file below \.local/dev/storage/"
    ):
        here.destroy() if command == "destroy" else here.through(command)
    assert len(cdktf.runs) == runs
