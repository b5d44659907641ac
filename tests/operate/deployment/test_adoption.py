"""Existing resources that no state has: how each type is looked up, and which ID its import takes."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from cdk.settings import Settings
from operate.cloud import Cloud, CredentialsError
from operate.deployment.adoption import AUTHORIZATION, LISTED, LOOKUPS, find_adoptable, format_adopt_variable
from operate.errors import OperateError
from tests.cdk.conftest import SNAPSHOTS
from tests.operate.conftest import Google, refusal

pytestmark = pytest.mark.emulator

WHERE = {"location": "r", "region": "r"}
# Type, arguments, the path of the lookup, and the ID that the provider's import takes, both below the project's name.
CASES: list[tuple[str, dict[str, str], str, str]] = [
    ("google_storage_bucket", {"name": "b1"}, "/storage/b/b1", "b1"),
    (
        "google_monitoring_custom_service",
        {"service_id": "s"},
        "/monitoring/v3/projects/PROJECT/services/s",
        "projects/PROJECT/services/s",
    ),
    (
        "google_monitoring_slo",
        {"service": "s", "slo_id": "o"},
        "/monitoring/v3/projects/PROJECT/services/s/serviceLevelObjectives/o",
        "projects/PROJECT/services/s/serviceLevelObjectives/o",
    ),
    (
        "google_bigquery_dataset",
        {"dataset_id": "d"},
        "/big_query/projects/PROJECT/datasets/d",
        "projects/PROJECT/datasets/d",
    ),
    (
        "google_bigquery_table",
        {"dataset_id": "d", "table_id": "t"},
        "/big_query/projects/PROJECT/datasets/d/tables/t",
        "projects/PROJECT/datasets/d/tables/t",
    ),
    ("google_pubsub_topic", {"name": "t"}, "/pubsub/projects/PROJECT/topics/t", "projects/PROJECT/topics/t"),
    (
        "google_pubsub_subscription",
        {"name": "s"},
        "/pubsub/projects/PROJECT/subscriptions/s",
        "projects/PROJECT/subscriptions/s",
    ),
    (
        "google_service_account",
        {"account_id": "a"},
        "/iam/projects/PROJECT/serviceAccounts/a@PROJECT.iam.gserviceaccount.com",
        "projects/PROJECT/serviceAccounts/a@PROJECT.iam.gserviceaccount.com",
    ),
    (
        "google_project_iam_custom_role",
        {"role_id": "r"},
        "/iam/projects/PROJECT/roles/r",
        "projects/PROJECT/roles/r",
    ),
    (
        "google_artifact_registry_repository",
        {"repository_id": "x"},
        "/artifact_registry/projects/PROJECT/locations/r/repositories/x",
        "projects/PROJECT/locations/r/repositories/x",
    ),
    (
        "google_cloud_scheduler_job",
        {"name": "j"},
        "/cloud_scheduler/projects/PROJECT/locations/r/jobs/j",
        "projects/PROJECT/locations/r/jobs/j",
    ),
    (
        "google_cloudfunctions2_function",
        {"name": "f"},
        "/cloudfunctions2/projects/PROJECT/locations/r/functions/f",
        "projects/PROJECT/locations/r/functions/f",
    ),
    (
        "google_cloud_run_v2_service",
        {"name": "s"},
        "/cloud_run_v2/projects/PROJECT/locations/r/services/s",
        "projects/PROJECT/locations/r/services/s",
    ),
    (
        "google_compute_network",
        {"name": "n"},
        "/compute/projects/PROJECT/global/networks/n",
        "projects/PROJECT/global/networks/n",
    ),
    (
        "google_compute_subnetwork",
        {"name": "n"},
        "/compute/projects/PROJECT/regions/r/subnetworks/n",
        "projects/PROJECT/regions/r/subnetworks/n",
    ),
    (
        "google_compute_firewall",
        {"name": "n"},
        "/compute/projects/PROJECT/global/firewalls/n",
        "projects/PROJECT/global/firewalls/n",
    ),
    (
        "google_dataproc_workflow_template",
        {"name": "w"},
        "/dataproc/projects/PROJECT/regions/r/workflowTemplates/w",
        "projects/PROJECT/locations/r/workflowTemplates/w",
    ),
    (
        "google_iam_workload_identity_pool",
        {"workload_identity_pool_id": "p"},
        "/v1/projects/PROJECT/locations/global/workloadIdentityPools/p",
        "projects/PROJECT/locations/global/workloadIdentityPools/p",
    ),
    (
        "google_iam_workload_identity_pool_provider",
        {"workload_identity_pool_id": "p", "workload_identity_pool_provider_id": "q"},
        "/v1/projects/PROJECT/locations/global/workloadIdentityPools/p/providers/q",
        "projects/PROJECT/locations/global/workloadIdentityPools/p/providers/q",
    ),
]


def stack_of(kind: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"resource": {kind: {"it": dict(arguments)}}}


@pytest.mark.parametrize(("kind", "arguments", "lookup", "imported"), CASES, ids=[case[0] for case in CASES])
def test_existing_resources_are_imported(
    google: Google,
    cloud: Cloud,
    settings: Settings,
    *,
    kind: str,
    arguments: dict[str, str],
    lookup: str,
    imported: str,
) -> None:
    project = settings.project
    google.responses[f"GET {lookup.replace('PROJECT', project)}"] = 200, {}
    stack = stack_of(kind, WHERE | arguments)
    assert find_adoptable(cloud, project, stack, ()) == {f"{kind}.it": imported.replace("PROJECT", project)}
    assert find_adoptable(cloud, project, stack, {f"{kind}.it"}) == {}  # a state knows it
    google.responses[f"GET {lookup.replace('PROJECT', project)}"] = refusal(404, "not there")
    assert find_adoptable(cloud, project, stack, ()) == {}


def test_every_type_has_its_case() -> None:
    assert {kind for kind, *_ in CASES} == LOOKUPS.keys()


@pytest.mark.unit
def test_every_type_of_the_stacks_has_a_lookup_or_needs_none() -> None:
    """Every other type can be created again without harm, or exists only in the state."""
    stacks = [json.loads(file.read_text()) for file in SNAPSHOTS.glob("*.json")]
    kinds = {kind for stack in stacks for kind in stack["resource"]}
    left_out = {kind for kind in kinds - LOOKUPS.keys() - LISTED.keys() if "_iam_" not in kind}
    made_again = {"google_project_service", "google_storage_bucket_object", "terraform_data"}
    assert left_out == {*made_again, AUTHORIZATION}, (
        "a new resource type: add to operate/deployment/adoption.py how an existing one is found"
    )


@pytest.mark.parametrize(
    ("authorized", "is_known", "is_refused"),
    [("views", False, True), ("views", True, False), ("other", False, False), (None, False, False)],
)
def test_an_authorization_in_no_state_is_refused(
    google: Google,
    cloud: Cloud,
    settings: Settings,
    *,
    authorized: str | None,
    is_known: bool,
    is_refused: bool,
) -> None:
    """The provider creates no second one and imports none, so the deploy would fail with its error each time."""
    reference = {
        "dataset": {"project_id": settings.project, "dataset_id": "${google_bigquery_dataset.v.dataset_id}"}
    }
    stack = stack_of(AUTHORIZATION, {"dataset_id": "tables", "dataset": reference})
    stack["resource"]["google_bigquery_dataset"] = {"v": {"dataset_id": "views"}}
    entries: list[dict[str, Any]] = [{"role": "OWNER", "specialGroup": "projectOwners"}]
    if authorized:
        entries.append({"dataset": {"dataset": {"projectId": settings.project, "datasetId": authorized}}})
    google.responses[f"GET /big_query/projects/{settings.project}/datasets/tables"] = 200, {"access": entries}
    google.responses[f"GET /big_query/projects/{settings.project}/datasets/views"] = refusal(404, "not there")
    known = {f"{AUTHORIZATION}.it"} if is_known else set[str]()
    if is_refused:
        with pytest.raises(OperateError, match=r"dataset tables authorizes views already, .* remove it"):
            find_adoptable(cloud, settings.project, stack, known)
    else:
        assert find_adoptable(cloud, settings.project, stack, known) == {}


@pytest.mark.parametrize(("kind", "collection"), LISTED.items())
def test_resources_named_by_the_server_are_found_by_display_name(
    google: Google, cloud: Cloud, settings: Settings, *, kind: str, collection: str
) -> None:
    """Made twice it would be there twice: nothing refuses a second one."""
    parent = f"projects/{settings.project}/{collection}"
    listed = [
        {"name": f"{parent}/1", "displayName": "other"},
        {"name": f"{parent}/2", "displayName": "vlille: silent"},
    ]
    google.responses[f"GET /monitoring/v3/{parent}"] = 200, {collection: listed}
    found = find_adoptable(cloud, settings.project, stack_of(kind, {"display_name": "vlille: silent"}), ())
    assert found == {f"{kind}.it": f"{parent}/2"}
    assert find_adoptable(cloud, settings.project, stack_of(kind, {"display_name": "vlille: none"}), ()) == {}


@pytest.mark.parametrize("there", [{"deleted": True}, {"state": "DELETED"}])
def test_deleted_resources_are_not_imported(
    google: Google, cloud: Cloud, settings: Settings, there: dict[str, Any]
) -> None:
    google.responses[f"GET /iam/projects/{settings.project}/roles/r"] = 200, there
    assert (
        find_adoptable(
            cloud, settings.project, stack_of("google_project_iam_custom_role", {"role_id": "r"}), ()
        )
        == {}
    )


def test_a_resource_whose_creation_failed_is_reported(
    google: Google, cloud: Cloud, settings: Settings
) -> None:
    path = f"projects/{settings.project}/locations/r/functions/f"
    google.responses[f"GET /cloudfunctions2/{path}"] = 200, {"state": "FAILED"}
    stack = stack_of("google_cloudfunctions2_function", {"name": "f", "location": "r"})
    with pytest.raises(OperateError, match=f"^{path} exists, but its creation failed.*delete it"):
        find_adoptable(cloud, settings.project, stack, ())


@pytest.mark.parametrize(
    ("status", "error", "text"),
    [
        (500, OperateError, "google_pubsub_topic t cannot be looked up"),
        (401, CredentialsError, "credentials"),
    ],
)
def test_a_failed_lookup_ends_the_command(
    google: Google, cloud: Cloud, settings: Settings, *, status: int, error: type[Exception], text: str
) -> None:
    google.responses[f"GET /pubsub/projects/{settings.project}/topics/t"] = refusal(status, "no")
    with pytest.raises(error, match=text):
        find_adoptable(cloud, settings.project, stack_of("google_pubsub_topic", {"name": "t"}), ())


def test_references_to_other_resources_are_resolved(google: Google, cloud: Cloud, settings: Settings) -> None:
    dataset, table = "${google_bigquery_dataset.set.dataset_id}", "projects/PROJECT/datasets/vlille/tables/t"
    stack = {
        "resource": {
            "google_bigquery_dataset": {"set": {"dataset_id": "vlille"}},
            "google_bigquery_table": {"it": {"dataset_id": dataset, "table_id": "t"}},
        }
    }
    table = table.replace("PROJECT", settings.project)
    google.responses[f"GET /big_query/{table}"] = 200, {}
    assert find_adoptable(cloud, settings.project, stack, ()) == {"google_bigquery_table.it": table}


def test_the_synthesis_gets_import_ids_by_stack_and_address() -> None:
    assert format_adopt_variable("vlille-dev", {}) == {}
    assert json.loads(format_adopt_variable("vlille-dev", {"a.b": "id"})["VLILLE_ADOPT"]) == {
        "vlille-dev": {"a.b": "id"}
    }
