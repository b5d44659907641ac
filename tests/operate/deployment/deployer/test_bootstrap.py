"""Bootstrap and unbootstrap: the state bucket, the bootstrap stack and the identity pool of CI."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from cdk.settings import Ci, Settings
from operate.deployment.deployer import Deployer
from operate.errors import OperateError
from tests.operate.conftest import Google, state_of
from tests.operate.deployment.deployer.fakes import CI_RESOURCES, POOL, TOPIC, FakeCdktf

pytestmark = pytest.mark.emulator


def test_a_bootstrap_creates_the_bucket_before_terraform_needs_it(
    google: Google, deployer: Deployer, cdktf: FakeCdktf, messages: list[str], settings: Settings
) -> None:
    there: list[list[str]] = []
    cdktf.does = lambda: there.append(list(google.buckets))
    for _ in range(2):
        assert deployer.bootstrap() == 0
    assert there == [[f"{settings.project}-tfstate"]] * 2
    assert cdktf.runs == [["deploy", "vlille-dev-bootstrap"]] * 2
    assert [line.rpartition("tfstate ")[2] for line in messages] == [
        "was created in europe-west1",
        "is configured correctly",
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
def test_a_deleted_identity_pool_is_undeleted_and_imported(
    google: Google,
    deployer: Deployer,
    cdktf: FakeCdktf,
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
        deployer,
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
    adoptions = [json.loads(each["VLILLE_ADOPT"]) for each in cdktf.variables if each]
    assert adoptions == ([{settings.bootstrap_stack: adopted}] if adopted else [])
    assert [call for call in google.calls if call.startswith("POST /v1")] == [
        f"POST /v1/{path}{rest}:undelete" for rest in undeleted
    ]
    assert set(google.pools.values()) <= {"ACTIVE"}


def test_unbootstrap_destroys_the_stack_and_then_the_bucket(
    google: Google,
    deployer: Deployer,
    cdktf: FakeCdktf,
    *,
    messages: list[str],
    settings: Settings,
    put_state: Callable[..., None],
) -> None:
    deployer.bootstrap()
    put_state("vlille-dev-bootstrap/default.tfstate", state_of(TOPIC))
    put_state("vlille-dev/default.tfstate", state_of())  # as a destroy leaves it
    there: list[list[str]] = []

    def destroy() -> None:
        there.append(list(google.buckets))
        put_state("vlille-dev-bootstrap/default.tfstate", state_of())

    cdktf.does = destroy
    assert deployer.unbootstrap() == 0
    assert cdktf.runs[1:] == [["destroy", "vlille-dev-bootstrap"]]
    assert (there, google.buckets) == ([[f"{settings.project}-tfstate"]], {})
    # Once more: there is nothing to remove, and that is no error.
    assert deployer.unbootstrap() == 0
    assert len(cdktf.runs) == 2
    assert messages[-1] == f"the state bucket {settings.project}-tfstate does not exist: nothing to remove"


def test_unbootstrap_is_refused_while_the_environment_is_deployed(
    google: Google, deployer: Deployer, cdktf: FakeCdktf, put_state: Callable[..., None]
) -> None:
    deployer.bootstrap()
    put_state("vlille-dev/default.tfstate", state_of(TOPIC))
    with pytest.raises(
        OperateError,
        match=r"are still deployed: vlille-dev; run `make destroy` for the environment of each, then this again$",
    ):
        deployer.unbootstrap()
    assert (len(cdktf.runs), len(google.buckets)) == (1, 1)


def test_unbootstrap_is_refused_for_a_bucket_of_another_project(
    google: Google, deployer: Deployer, cdktf: FakeCdktf, settings: Settings
) -> None:
    deployer.bootstrap()
    google.buckets[f"{settings.project}-tfstate"]["projectNumber"] = "99"
    with pytest.raises(OperateError, match="is in the project with the number 99"):
        deployer.unbootstrap()
    assert (len(cdktf.runs), len(google.buckets)) == (1, 1)


@pytest.mark.parametrize("status", [0, 1])
def test_the_bucket_is_kept_while_the_bootstrap_stack_exists(
    google: Google, deployer: Deployer, cdktf: FakeCdktf, put_state: Callable[..., None], status: int
) -> None:
    """After a "no" at Terraform's prompt, or an error, the user keeps the state of what is still there."""
    deployer.bootstrap()
    put_state("vlille-dev-bootstrap/default.tfstate", state_of(TOPIC))
    cdktf.status = status
    if status:
        assert deployer.unbootstrap() == status
    else:
        with pytest.raises(OperateError, match=r"was not deleted.*vlille-dev-bootstrap \(1\)"):
            deployer.unbootstrap()
    assert len(google.buckets) == 1


def test_unbootstrap_without_a_state_is_refused(
    google: Google, deployer: Deployer, cdktf: FakeCdktf, settings: Settings
) -> None:
    """CI's identity would stay, with its roles, and nobody would know of it."""
    deployer.bootstrap()
    google.pools = {POOL.format(settings.project): "ACTIVE"}
    cdktf.stack = {"resource": CI_RESOURCES}
    with pytest.raises(
        OperateError,
        match=r"1 resources of vlille-dev-bootstrap .*Run `make bootstrap ENV=dev`.*then `make unbootstrap ENV=dev`$",
    ):
        deployer.unbootstrap()
    assert (len(cdktf.runs), len(google.buckets)) == (1, 1)
