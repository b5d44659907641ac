"""Service accounts, roles and grants: derived attributes, and stored resources."""

from typing import Any

import pytest

from local.environment.environment import LocalEnvironment
from local.services.iam import ENFORCED, HANDLERS, Policies
from local.stack.loading import Resource

pytestmark = pytest.mark.unit

MEMBER = "serviceAccount:vlille-collector@p.iam.gserviceaccount.com"


def make(environment: LocalEnvironment, kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return HANDLERS[kind](Resource(f"{kind}.r", kind, "r", {}), arguments, environment)


def test_service_account(environment: LocalEnvironment) -> None:
    attributes = make(
        environment, "google_service_account", {"account_id": "vlille-copier", "display_name": "Copier"}
    )
    email = f"vlille-copier@{environment.project}.iam.gserviceaccount.com"
    assert attributes["email"] == email
    assert attributes["member"] == f"serviceAccount:{email}"
    assert attributes["name"] == attributes["id"] == f"projects/{environment.project}/serviceAccounts/{email}"
    assert attributes["unique_id"].isdigit()
    assert len(attributes["unique_id"]) == 21
    kept = environment.collection("iam", "serviceAccounts").get(attributes["name"])
    assert (kept["email"], kept["displayName"]) == (email, "Copier")
    assert environment.unsupported == []


def test_custom_role(environment: LocalEnvironment) -> None:
    arguments = {
        "role_id": "starter",
        "title": "Starter",
        "permissions": ["dataproc.workflowTemplates.instantiate"],
    }
    attributes = make(environment, "google_project_iam_custom_role", arguments)
    assert attributes["id"] == attributes["name"] == f"projects/{environment.project}/roles/starter"
    kept = environment.collection("iam", "roles").get(attributes["id"])
    assert kept["includedPermissions"] == ["dataproc.workflowTemplates.instantiate"]


@pytest.mark.parametrize(
    ("kind", "arguments", "resource", "identity"),
    [
        ("google_project", {"project": "p"}, "projects/p", f"p roles/r {MEMBER}"),
        ("google_storage_bucket", {"bucket": "b1"}, "b/b1", f"b/b1/roles/r/{MEMBER}"),
        ("google_bigquery_dataset", {"dataset_id": "d"}, "projects/{}/datasets/d", None),
        (
            "google_bigquery_table",
            {"dataset_id": "d", "table_id": "t"},
            "projects/{}/datasets/d/tables/t",
            None,
        ),
        ("google_pubsub_topic", {"topic": "collect"}, "projects/{}/topics/collect", None),
        ("google_pubsub_topic", {"topic": "projects/p/topics/collect"}, "projects/p/topics/collect", None),
        ("google_pubsub_subscription", {"subscription": "s"}, "projects/{}/subscriptions/s", None),
        (
            "google_cloud_run_v2_service",
            {"name": "copier", "location": "europe-west9"},
            "projects/{}/locations/europe-west9/services/copier",
            None,
        ),
        (
            "google_cloud_run_service",
            {"service": "collector"},
            "projects/{}/locations/europe-west1/services/collector",
            None,
        ),
        (
            "google_cloudfunctions2_function",
            {"cloud_function": "f"},
            "projects/{}/locations/europe-west1/functions/f",
            None,
        ),
        (
            "google_service_account",
            {"service_account_id": "projects/p/serviceAccounts/a@p"},
            "projects/p/serviceAccounts/a@p",
            None,
        ),
        (
            "google_artifact_registry_repository",
            {"repository": "vlille", "location": "europe-west1"},
            "projects/{}/locations/europe-west1/repositories/vlille",
            None,
        ),
    ],
)
def test_grant(
    environment: LocalEnvironment, kind: str, arguments: dict[str, str], resource: str, identity: str | None
) -> None:
    attributes = make(environment, f"{kind}_iam_member", arguments | {"role": "roles/r", "member": MEMBER})
    name = resource.format(environment.project)
    assert environment.service(Policies).get(name) == {"bindings": [{"role": "roles/r", "members": [MEMBER]}]}
    assert attributes["id"] == (identity or f"{name}/roles/r/{MEMBER}")
    assert environment.unsupported == [ENFORCED]


def test_a_role_with_another_condition_is_another_binding(environment: LocalEnvironment) -> None:
    condition = {"title": "only-some", "expression": "resource.name.startsWith('x')"}
    base = {"bucket": "b1", "role": "roles/r"}
    for member in ("user:b", "user:a", "user:b"):
        make(environment, "google_storage_bucket_iam_member", base | {"member": member})
    conditional = make(
        environment, "google_storage_bucket_iam_member", base | {"member": "user:c", "condition": [condition]}
    )
    make(environment, "google_storage_bucket_iam_binding", base | {"members": ["user:d"]})
    assert conditional["id"] == "b/b1/roles/r/user:c/only-some"
    assert environment.service(Policies).get("b/b1") == {
        "bindings": [
            {"role": "roles/r", "members": ["user:a", "user:b", "user:d"]},
            {"role": "roles/r", "members": ["user:c"], "condition": condition},
        ]
    }


def test_nothing_granted_is_an_empty_policy(environment: LocalEnvironment) -> None:
    assert environment.service(Policies).get("b/none") == {"bindings": []}
