"""The bootstrap stacks: the APIs that the environment's stack needs, and the principals of CI."""

import json
from pathlib import Path
from typing import Any

import pytest

from cdk.apis import APIS, FIRST
from tests.cdk.conftest import Synthesis, check_snapshot, copy_checkout, synthesize
from tests.cdk.test_stack import one, resources

pytestmark = pytest.mark.synth

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ("dev", "prod")
# The API that the provider calls for each resource type of the environment's stack, by the type's prefix.
API_OF_TYPE = {
    "google_artifact_registry_": "artifactregistry",
    "google_bigquery_": "bigquery",
    "google_cloud_run_v2_": "run",
    "google_cloud_scheduler_": "cloudscheduler",
    "google_cloudfunctions2_": "cloudfunctions",
    "google_compute_": "compute",
    "google_dataproc_": "dataproc",
    "google_monitoring_": "monitoring",
    "google_project_iam_custom_role": "iam",
    "google_project_iam_member": "cloudresourcemanager",
    "google_pubsub_": "pubsub",
    "google_service_account": "iam",
    "google_storage_": "storage",
}
# APIs that are called although no resource type needs them.
API_BESIDE = {"cloudbuild", "iamcredentials", "logging", "serviceusage"}
BASIC = {"roles/owner", "roles/editor", "roles/viewer", "roles/reader", "roles/writer", "roles/admin"}

POOL = "projects/vlille-dev/locations/global/workloadIdentityPools/vlille-github"
ADOPT = {
    "vlille-dev-bootstrap": {
        "google_iam_workload_identity_pool.ci_pool": POOL,
        "google_iam_workload_identity_pool_provider.ci_provider": f"{POOL}/providers/github",
    },
    "vlille-dev": {"google_storage_bucket.storage_landing": "vlille-dev-landing"},
}


@pytest.fixture(scope="module")
def with_ci(tmp_path_factory: pytest.TempPathFactory) -> Synthesis:
    """The stack of dev with a repository, for which resources of an earlier bootstrap are imported."""
    folder = tmp_path_factory.mktemp("ci")
    checkout = copy_checkout(folder / "checkout", 1_000_000_000, 0o644)
    with (checkout / "environments" / "dev.toml").open("a") as file:
        file.write(
            '\n[ci]\nrepository = "bikes-lille/vlille"\nrepository_id = 1296269\nrepository_owner_id = 583231\n'
        )
    return synthesize(checkout, folder / "out", VLILLE_ENV="dev", VLILLE_ADOPT=json.dumps(ADOPT))


@pytest.fixture(scope="module")
def ci(with_ci: Synthesis) -> dict[str, Any]:
    return with_ci.stacks["dev-bootstrap"]


def roles_of(stack: dict[str, Any], account: str) -> dict[str, str | None]:
    """Return the roles on the project with the expressions of their conditions."""
    member = f"${{google_service_account.ci_{account}.member}}"
    return {
        grant["role"]: grant.get("condition", {}).get("expression")
        for _, grant in resources(stack, "google_project_iam_member")
        if grant["member"] == member
    }


@pytest.mark.parametrize("name", ["dev-bootstrap", "ci-bootstrap"])
def test_the_stack_is_the_reviewed_one(
    synthesis: Synthesis, ci: dict[str, Any], name: str, pytestconfig: pytest.Config
) -> None:
    """`pytest --update-snapshots` updates the snapshot."""
    update = pytestconfig.getoption("--update-snapshots")
    check_snapshot(ci if name == "ci-bootstrap" else synthesis.stacks[name], f"vlille-{name}", update=update)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_apis_are_those_that_the_stack_calls(synthesis: Synthesis, environment: str) -> None:
    called = set(API_BESIDE)
    for kind in synthesis.stacks[environment]["resource"]:
        if kind != "terraform_data":
            called |= {api for begin, api in API_OF_TYPE.items() if kind.startswith(begin)} or {kind}
    services = dict(resources(synthesis.stacks[f"{environment}-bootstrap"], "google_project_service"))
    assert {each["service"] for each in services.values()} == {f"{api}.googleapis.com" for api in called}
    assert {each["service"] for each in services.values()} == set(APIS)
    assert {f"{name}.googleapis.com" for name in FIRST} < set(APIS)
    for each in services.values():
        assert (each["disable_on_destroy"], each["project"]) == (False, f"vlille-{environment}")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_its_state_lies_beside_the_environments(synthesis: Synthesis, environment: str) -> None:
    backends = [
        synthesis.stacks[name]["terraform"]["backend"]["gcs"]
        for name in (environment, f"{environment}-bootstrap")
    ]
    assert backends == [
        {"bucket": f"vlille-{environment}-tfstate", "prefix": f"vlille-{environment}"},
        {"bucket": f"vlille-{environment}-tfstate", "prefix": f"vlille-{environment}-bootstrap"},
    ]


def test_without_a_repository_nobody_is_let_in(synthesis: Synthesis) -> None:
    for environment in ENVIRONMENTS:
        stack = synthesis.stacks[f"{environment}-bootstrap"]
        assert set(stack["resource"]) == {"google_project_service"}
        assert set(stack["output"]) == {"state_bucket"}
        assert "import" not in stack


def test_the_environments_stack_knows_nothing_of_ci(with_ci: Synthesis, synthesis: Synthesis) -> None:
    imported = {"import", "//"}  # the metadata also lists the imports
    stack = {key: value for key, value in with_ci.stacks["dev"].items() if key not in imported}
    assert stack == {key: value for key, value in synthesis.stacks["dev"].items() if key not in imported}


def test_only_this_repositorys_tokens_are_taken(ci: dict[str, Any]) -> None:
    provider = one(ci, "google_iam_workload_identity_pool_provider.ci_provider")
    assert provider["oidc"] == {"issuer_uri": "https://token.actions.githubusercontent.com"}
    # IDs, because a released name can be taken over by somebody else, whose IDs differ.
    assert "bikes-lille/vlille" in provider["description"]
    assert provider["attribute_condition"] == (
        "assertion.repository_id == '1296269' && assertion.repository_owner_id == '583231' && "
        "assertion.event_name in ['pull_request', 'push', 'schedule', 'workflow_dispatch']"
    )


def test_all_who_are_let_in_read_and_main_deploys(ci: dict[str, Any]) -> None:
    pool = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.ci_pool.name}"
    grants = {
        grant["service_account_id"]: (grant["role"], grant["member"])
        for _, grant in resources(ci, "google_service_account_iam_member")
    }
    assert grants == {
        "${google_service_account.ci_reader.name}": (
            "roles/iam.workloadIdentityUser",
            f"{pool}/*",
        ),
        "${google_service_account.ci_deployer.name}": (
            "roles/iam.workloadIdentityUser",
            f"{pool}/attribute.ref/refs/heads/main",
        ),
    }
    mapping = one(ci, "google_iam_workload_identity_pool_provider.ci_provider")["attribute_mapping"]
    assert mapping == {
        "google.subject": "assertion.sub",
        "attribute.ref": "assertion.event_name == 'pull_request' ? 'none' : assertion.ref",
    }


def test_nobody_has_a_key_or_a_basic_role(ci: dict[str, Any]) -> None:
    text = json.dumps(ci)
    for word in ("service_account_key", "allUsers", "allAuthenticatedUsers"):
        assert word not in text
    roles = {grant["role"] for _, grant in resources(ci) if "role" in grant}
    assert not roles & BASIC
    assert {role for role in roles if not role.startswith("roles/")} == set()


def test_the_reader_reads_and_reads_no_data(ci: dict[str, Any]) -> None:
    roles = roles_of(ci, "reader")
    words = ("viewer", "Viewer", "reader", "Reviewer", "browser")
    assert all(role.endswith(words) for role in roles), roles
    # The only role that reads objects is limited to the artifacts bucket, which CI itself writes.
    assert {role: condition for role, condition in roles.items() if condition} == {
        "roles/storage.objectViewer": (
            "resource.name.startsWith('projects/_/buckets/vlille-dev-artifacts/objects/')"
        )
    }
    assert not {"roles/bigquery.dataViewer", "roles/iam.serviceAccountUser"} & set(roles)
    assert dict(resources(ci, "google_storage_bucket_iam_member")).keys() == {
        "google_storage_bucket_iam_member.ci_reader_reads_state"
    }
    state = one(ci, "google_storage_bucket_iam_member.ci_reader_reads_state")
    assert (state["bucket"], state["role"]) == ("vlille-dev-tfstate", "roles/storage.objectViewer")


def test_the_deployer_reads_the_log_of_a_build_that_failed(ci: dict[str, Any]) -> None:
    """Everybody who opens a pull request can act as the reader, so it cannot read logs."""
    called = (ROOT / "cdk" / "workloads" / "build_image.py").read_text("utf-8")
    assert "/v2/entries:list" in called
    assert "roles/logging.viewer" in roles_of(ci, "deployer")
    assert not any(role.startswith("roles/logging.") for role in roles_of(ci, "reader"))


def test_the_deployer_grants_on_the_project_what_the_stack_grants(
    ci: dict[str, Any], synthesis: Synthesis
) -> None:
    stack = synthesis.stacks["dev"]
    custom = stack["resource"]["google_project_iam_custom_role"]
    named = {
        f"${{google_project_iam_custom_role.{name}.name}}": f"projects/vlille-dev/roles/{role['role_id']}"
        for name, role in custom.items()
    }
    granted = {grant["role"] for _, grant in resources(stack, "google_project_iam_member")}
    conditions = {role: condition for role, condition in roles_of(ci, "deployer").items() if condition}
    assert list(conditions) == ["roles/resourcemanager.projectIamAdmin"]
    attribute, _, listed = conditions["roles/resourcemanager.projectIamAdmin"].partition(".hasOnly(")
    assert attribute == "api.getAttribute('iam.googleapis.com/modifiedGrantsByRole', [])"
    assert set(json.loads(listed.removesuffix(")").replace("'", '"'))) == {
        named.get(role, role) for role in granted
    }


def test_everything_comes_after_the_apis(ci: dict[str, Any]) -> None:
    apis = {address for address, _ in resources(ci, "google_project_service")}
    for address, arguments in resources(ci):
        if address not in apis and not json.dumps(arguments).count("${google_iam_workload_identity_pool."):
            assert apis <= set(arguments["depends_on"]), address
    assert apis <= set(one(ci, "google_iam_workload_identity_pool.ci_pool")["depends_on"])


def test_what_an_earlier_bootstrap_left_is_imported(ci: dict[str, Any]) -> None:
    assert ci["import"] == [
        {"to": "google_iam_workload_identity_pool.ci_pool", "id": POOL},
        {"to": "google_iam_workload_identity_pool_provider.ci_provider", "id": f"{POOL}/providers/github"},
    ]


def test_each_stack_imports_what_is_its_own(with_ci: Synthesis) -> None:
    assert with_ci.stacks["dev"]["import"] == [
        {"to": "google_storage_bucket.storage_landing", "id": "vlille-dev-landing"}
    ]


def test_no_path_of_the_machine_is_in_it(with_ci: Synthesis) -> None:
    assert str(Path.home()) not in json.dumps(dict(with_ci.stacks))
