"""Deploy, edit and destroy with the real Terraform and the real cdktf-cli, and a fake of the google provider.

`tests.operate.fake_provider.provider` describes what the fake supports; `tests.local.control_plane` replays calls of
the real provider. The tests depend on their order: deploys that are killed, edits, a destroy.
"""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from operate.deployment.terraform import CDKTF, MIRROR, Terraform, find_terraform
from operate.errors import OperateError
from tests.cdk.conftest import copy_checkout
from tests.operate.fake_provider.mirror import create_mirror
from tests.operate.fake_provider.rest_api import serve_rest_api
from tests.operate.fake_provider.site import Changes, Site

pytestmark = pytest.mark.local

ROOT = Path(__file__).parents[2]
CHECKS = ROOT / ".cache" / "checkov"  # the environment that has the package `tf`
PYTHON, TF = CHECKS / "bin" / "python", CHECKS / "lib" / "python3.13" / "site-packages" / "tf"
SYNTHESIZED = ROOT / "tests" / "cdk" / "snapshots" / "vlille-dev.json"  # has the resource types of the stack
DEPLOY = ("deploy", "ENV=dev", "YES=1")
KILLED_AT = (1, 40)  # number of documents, of 67 in all: at the start, and among the grants
UNCHANGED = "No changes. Your infrastructure matches the configuration."


def require_terraform() -> Terraform:
    """Return Terraform; fail with one message if a program that these tests run is missing."""
    lacking = [
        f"{path.relative_to(ROOT)} is not found: run `{command}` once"
        for path, command in ((CDKTF, "make node_modules/.ready"), (TF, "make checkov"))
        if not path.exists()
    ]
    try:
        found = find_terraform(os.environ)
    except OperateError as error:
        lacking.append(f"these tests run Terraform itself: {error}")
    if lacking:
        pytest.fail("; ".join(lacking), pytrace=False)
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A copy of the checkout, and an empty project in the local environment."""
    terraform = require_terraform()
    folder = tmp_path_factory.mktemp("fake-provider")
    checkout = copy_checkout(folder / "checkout", 1_000_000_000, 0o644)
    for name in (".venv", "node_modules"):
        (checkout / name).symlink_to(ROOT / name)
    mirror, configuration = create_mirror(folder, PYTHON, SYNTHESIZED), folder / "terraformrc"
    configuration.write_text(
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n'
    )
    own = {
        "TERRAFORM_BINARY_NAME": str(terraform.program),
        "TF_CLI_CONFIG_FILE": str(configuration),
        "CHECKPOINT_DISABLE": "1",
        "PYTHONPATH": str(checkout / "src"),  # the copy's own packages, not the installed ones
        "VLILLE_ENVIRONMENTS": str(checkout / "environments"),
        "VLILLE_ENV": "dev",
        MIRROR: str(mirror),
    }
    of_make = ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS")
    variables = {name: value for name, value in os.environ.items() if name not in of_make} | own
    with ExitStack() as closing:
        closing.callback(Site(folder, variables).make, "down", "ENV=dev")
        begun = subprocess.run(
            [checkout / ".venv/bin/python", "-m", "local", "cloud", "--detached", "--env", "dev"],
            cwd=checkout,
            env=variables,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=240,
        )
        exports = dict(shlex.split(line)[1].split("=", 1) for line in begun.stdout.splitlines())
        endpoints = closing.enter_context(serve_rest_api(folder / "documents"))
        yield Site(folder, variables | exports | endpoints)


def unlock(site: Site) -> None:
    """Release the lock by typing its ID at the prompt; no option replaces that."""
    refused = site.make("unlock", "ENV=dev", typed="no")
    assert refused.returncode != 0
    [lock_id] = re.findall(r"the lock was kept: the ID (\d+) was not typed", refused.stdout)
    assert site.make("unlock", "ENV=dev", typed=lock_id).returncode == 0


@pytest.fixture(scope="module")
def killed(site: Site) -> list[str]:
    """The output of a killed deploy, of one that found its lock, and of one that was killed later."""
    printed = [site.make_killed(KILLED_AT[0], *DEPLOY), site.make(*DEPLOY).stdout]
    unlock(site)
    printed.append(site.make_killed(KILLED_AT[1], *DEPLOY))
    unlock(site)
    return printed


@pytest.fixture(scope="module")
def deployed(site: Site, killed: list[str]) -> str:
    """The output of the first deploy that succeeds."""
    done = site.make(*DEPLOY)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_first_plan_creates_every_resource(site: Site) -> None:
    """Before anything is deployed; `terraform validate` finds nothing in the configuration."""
    site.synthesize()
    site.terraform("init", "-input=false")
    assert json.loads(site.terraform("validate", "-json"))["diagnostics"] == []
    assert site.plan() == {address: ["create"] for address in site.declared}
    assert site.held == []


def test_a_killed_deploy_is_reported_with_what_to_do(killed: list[str]) -> None:
    first, refused, later = killed
    ended = "Terraform ended before deploy was complete and left the state of vlille-dev locked by "
    assert ended in first
    assert ended in later
    assert "the state of vlille-dev is locked by " in refused
    assert all("run `make unlock ENV=dev TO=local`, then run this again" in printed for printed in killed)


def test_a_deploy_after_killed_ones_imports_what_they_created(site: Site, deployed: str) -> None:
    assert "resources exist in vlille-dev and are not in the state of vlille-dev" in deployed
    assert " 0 changed, 0 destroyed." in deployed
    assert len(site.held) == len([each for each in site.declared if each.startswith("google_")]) > 60


@pytest.mark.usefixtures("deployed")
def test_after_a_deploy_there_is_no_drift(site: Site) -> None:
    done = site.make("diff", "ENV=dev")
    assert done.returncode == 0, done.stdout
    assert UNCHANGED in done.stdout


# An object is named by its content: the new one is created before the old one is deleted.
RENEWED = ["create", "delete"]
FUNCTION = "google_cloudfunctions2_function.collection_function"
COLLECTOR_ZIP = "google_storage_bucket_object.upload_collector"
EDITS: dict[str, tuple[tuple[str, str, str], Changes]] = {
    "code of the function": (
        ("src/collector/tick.py", "import hashlib", "import hashlib  # edited"),
        {COLLECTOR_ZIP: RENEWED, FUNCTION: ["update"]},
    ),
    # The sample is packaged with the function and the batch; a workflow template cannot be updated in place.
    "one more column": (
        (
            "sources/vlille_gbfs/sample.json",
            '"num_bikes_available": 6,',
            '"num_bikes_available": 6, "num_ebikes_available": 3,',
        ),
        {
            "google_bigquery_table.warehouse_vlille_gbfs": ["update"],
            COLLECTOR_ZIP: RENEWED,
            FUNCTION: ["update"],
            "google_storage_bucket_object.upload_batch_code": RENEWED,
            "google_dataproc_workflow_template.batch_template": ["delete", "create"],
        },
    ),
    "one environment variable": (
        ("environments/dev.toml", "api_timeout_seconds = 30", "api_timeout_seconds = 29"),
        {FUNCTION: ["update"]},
    ),
    "a schedule": (
        ("environments/dev.toml", 'copy = "*/10 * * * *"', 'copy = "*/5 * * * *"'),
        {"google_cloud_scheduler_job.schedule_copy": ["update"]},
    ),
}


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize(("edit", "expected"), EDITS.values(), ids=EDITS)
def test_an_edit_changes_only_the_expected_resources(
    site: Site, edit: tuple[str, str, str], expected: Changes
) -> None:
    file, old, new = edit
    site.edit(*edit)
    assert site.plan() == expected
    site.replace(file, new, old)


@pytest.mark.usefixtures("deployed")
def test_all_edits_at_once_are_applied(site: Site) -> None:
    for edit, _ in EDITS.values():
        site.replace(*edit)
    site.synthesize()
    assert site.plan().keys() == {address for _, expected in EDITS.values() for address in expected}
    site.terraform("apply", "-input=false", "plan")
    assert UNCHANGED in site.terraform("plan", "-input=false", "-no-color")


@pytest.mark.usefixtures("deployed")
def test_the_outputs_are_shown(site: Site) -> None:
    done = site.make("outputs", "ENV=dev")
    assert done.returncode == 0, done.stdout
    output = " ".join(done.stdout.split())
    assert "station_table = vlille-dev.vlille.vlille_gbfs" in output
    # A value that only Google Cloud knows is a placeholder.
    assert "landing_bucket_url = url of vlille-dev-landing" in output


@pytest.mark.usefixtures("deployed")
def test_a_destroy_deletes_every_resource(site: Site) -> None:
    done = site.make("destroy", "ENV=dev", "TO=local")
    assert done.returncode == 0, done.stdout
    state = json.loads(
        (site.local_folder / "storage" / "vlille-dev-tfstate" / "vlille-dev" / "default.tfstate").read_text()
    )
    assert state["resources"] == []
    assert site.held == []
    assert sorted(file.name for file in (site.local_folder / "storage").rglob("*.tf*")) == ["default.tfstate"]
    assert not (site.local_folder / "endpoints.json").exists()  # the local control plane has ended
