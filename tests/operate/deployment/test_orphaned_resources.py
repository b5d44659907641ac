"""Orphaned resources of a project: found service by service, reported with the command that deletes them."""

import json
from pathlib import Path

import pytest

from cdk.settings import Settings
from operate.cloud import Cloud
from operate.deployment.adoption import AUTHORIZATION, LISTED, LOOKUPS
from operate.deployment.orphaned_resources import (
    KINDS,
    OrphanedResource,
    find_orphaned_resources,
    format_orphaned_resources,
)
from operate.errors import OperateError
from operate.target import Target
from tests.cdk.conftest import SNAPSHOTS
from tests.operate.conftest import Google, Response, refusal

pytestmark = pytest.mark.emulator


@pytest.fixture
def empty(google: Google, settings: Settings) -> dict[str, list[Response]]:
    """The responses of an empty project, which a test replaces."""
    parent, target = f"projects/{settings.project}", f"locations/{settings.region}"
    google.queues = {
        f"GET /dataproc/{parent}/regions/{settings.region}/clusters": [(200, {})],
        f"GET /compute/{parent}/aggregated/disks": [(200, {"items": {}})],
        f"GET /artifact_registry/{parent}/{target}/repositories": [(200, {})],
        "GET /storage/b": [(200, {"kind": "storage#buckets"})],
        f"POST /v1/{parent}:getIamPolicy": [(200, {})],
        f"GET /iam/{parent}/serviceAccounts": [(200, {})],
    }
    return google.queues


STACK = {
    "resource": {
        "google_pubsub_topic": {"topic": {"name": "collect"}, "gone": {"name": "gone"}},
        "google_cloud_scheduler_job": {"copy": {"name": "copy", "region": "europe-west1"}},
        "google_bigquery_dataset": {"set": {"dataset_id": "vlille"}},
        "google_bigquery_table": {
            "inside": {"dataset_id": "${google_bigquery_dataset.set.dataset_id}", "table_id": "stations"},
            "alone": {"dataset_id": "other", "table_id": "view"},
        },
        "google_monitoring_alert_policy": {"silent": {"display_name": "silent"}},
        "google_service_account": {"copier": {"account_id": "vlille-copier"}},
        "google_cloudfunctions2_function": {"f": {"name": "collector", "location": "europe-west1"}},
        "google_cloud_run_v2_service": {"d": {"name": "dashboard", "location": "europe-west1"}},
        "google_artifact_registry_repository": {"r": {"repository_id": "vlille", "location": "europe-west1"}},
    }
}


def test_an_empty_project_has_no_orphaned_resources(
    google: Google, empty: dict[str, list[Response]], cloud: Cloud, settings: Settings
) -> None:
    assert find_orphaned_resources(cloud, settings, STACK) == []
    assert all(not left for left in empty.values())
    assert {"project": [settings.project]} in [query for query, _ in google.received]


def test_each_kind_is_found_and_foreign_resources_are_not(
    google: Google, empty: dict[str, list[Response]], cloud: Cloud, settings: Settings
) -> None:
    """Resources that the stack declares or that Google Cloud created for them, without those of the bootstrap."""
    project, region = settings.project, settings.region
    parent, target = f"projects/{project}", f"projects/{project}/locations/{region}"
    mail = f"{project}.iam.gserviceaccount.com"
    alert = f"{parent}/alertPolicies/7"
    google.responses = {
        f"GET /pubsub/{parent}/topics/collect": (200, {}),
        f"GET /cloud_scheduler/{target}/jobs/copy": (200, {}),
        f"GET /big_query/{parent}/datasets/vlille": (200, {}),
        f"GET /big_query/{parent}/datasets/vlille/tables/stations": (200, {}),
        f"GET /big_query/{parent}/datasets/other/tables/view": (200, {}),
        f"GET /monitoring/v3/{parent}/alertPolicies": (
            200,
            {"alertPolicies": [{"name": alert, "displayName": "silent"}]},
        ),
        f"GET /iam/{parent}/serviceAccounts/vlille-copier@{mail}": (200, {}),
        f"GET /cloudfunctions2/{target}/functions/collector": (200, {"state": "FAILED"}),
        f"GET /cloud_run_v2/{target}/services/dashboard": (200, {}),
        f"GET /artifact_registry/{target}/repositories/vlille": (200, {}),
    }
    empty |= {
        f"GET /dataproc/{parent}/regions/{region}/clusters": [
            (200, {"clusters": [{"clusterName": "vlille-batch-x1"}, {"clusterName": "mine"}]})
        ],
        f"GET /compute/{parent}/aggregated/disks": [
            (200, {"items": {"zones/a": {"warning": {"code": "NO_RESULTS_ON_PAGE"}}}, "nextPageToken": "2"}),
            (
                200,
                {
                    "items": {
                        f"zones/{region}-b": {
                            "disks": [{"name": "vlille-batch-x1-m", "sizeGb": "50"}, {"name": "mine"}]
                        }
                    }
                },
            ),
        ],
        f"GET /artifact_registry/{target}/repositories": [
            (200, {"repositories": [{"name": "x/repositories/vlille"}, {"name": "x/repositories/mine"}]})
        ],
        f"GET /artifact_registry/{target}/repositories/vlille/dockerImages": [
            (200, {"dockerImages": [{"uri": "a"}, {"uri": "b"}]})
        ],
        "GET /storage/b": [
            (
                200,
                {
                    "items": [
                        {"name": f"{project}-tfstate"},
                        {"name": f"gcf-v2-sources-4711-{region}"},
                        {"name": "mine"},
                    ]
                },
            )
        ],
        f"POST /v1/{parent}:getIamPolicy": [
            (
                200,
                {
                    "bindings": [
                        {
                            "role": "roles/bigquery.jobUser",
                            "members": [
                                f"deleted:serviceAccount:vlille-batch@{mail}?uid=1",
                                f"serviceAccount:vlille-ci-reader@{mail}",
                                "user:ada@example.org",
                                "serviceAccount:vlille-batch@other.iam.gserviceaccount.com",
                            ],
                        }
                    ]
                },
            )
        ],
        f"GET /iam/{parent}/serviceAccounts": [
            (
                200,
                {
                    "accounts": [
                        {"email": f"{name}@{mail}"}
                        for name in ("vlille-copier", "vlille-former", "vlille-ci-reader", "mine")
                    ],
                },
            )
        ],
    }
    found = find_orphaned_resources(cloud, settings, STACK)
    end = f"--project={project}`"
    assert format_orphaned_resources(found, settings, Target("dev")) == [
        f"{project} still has 14 resources of vlille:",
        f"  scheduler job copy: `gcloud scheduler jobs delete copy --location={region} {end}",
        f"  cluster vlille-batch-x1: `gcloud dataproc clusters delete vlille-batch-x1 --region={region} {end}",
        "  disk vlille-batch-x1-m (50 GB): "
        f"`gcloud compute disks delete vlille-batch-x1-m --zone={region}-b {end}",
        f"  topic collect: `gcloud pubsub topics delete collect {end}",
        "  function collector (it failed to be created): "
        f"`gcloud functions delete collector --gen2 --region={region} {end}",
        f"  service dashboard: `gcloud run services delete dashboard --region={region} {end}",
        f"  repository vlille (2 images): `gcloud artifacts repositories delete vlille --location={region} {end}",
        f"  alert policy {alert}: `gcloud monitoring policies delete {alert} {end}",
        f"  dataset vlille: `bq rm --recursive --force --dataset {project}:vlille`",
        f"  table other.view: `bq rm --force --table {project}:other.view`",
        f"  bucket gcf-v2-sources-4711-{region}: "
        f"`gcloud storage rm --recursive gs://gcf-v2-sources-4711-{region} {end}",
        f"  grant --role=roles/bigquery.jobUser --member='deleted:serviceAccount:vlille-batch@{mail}?uid=1': "
        f"`gcloud projects remove-iam-policy-binding {project} --role=roles/bigquery.jobUser "
        f"--member='deleted:serviceAccount:vlille-batch@{mail}?uid=1' --all`",
        f"  service account vlille-copier@{mail}: `gcloud iam service-accounts delete vlille-copier@{mail} {end}",
        f"  service account vlille-former@{mail}: `gcloud iam service-accounts delete vlille-former@{mail} {end}",
        "`make deploy ENV=dev` imports the resources that no state holds; then run `make destroy ENV=dev`",
    ]
    assert {held.kind for held in found if not held.is_declared} == {"cluster", "disk", "bucket"}


# Removed with their holder, or never outside of a state.
WITHOUT_A_COMMAND = {"google_storage_bucket_object", "terraform_data"}
# Of the bootstrap alone, which `make unbootstrap` undoes; an enabled API costs nothing and stays.
OF_BOOTSTRAP = {
    "google_project_service",
    "google_iam_workload_identity_pool",
    "google_iam_workload_identity_pool_provider",
}


@pytest.mark.unit
def test_every_type_of_the_stacks_has_a_command_that_deletes_it() -> None:
    """A type more is a command more, in KINDS, and a way to look for it, in operate/deployment/adoption.py."""
    stacks = [json.loads(file.read_text()) for file in SNAPSHOTS.glob("*.json")]
    kinds = {kind for stack in stacks for kind in stack["resource"]}
    # A grant on a resource goes with it; one on the project has no other end.
    on_holders = {kind for kind in kinds if kind.endswith("_iam_member")} - {"google_project_iam_member"}
    for kind in on_holders:
        holder = kind.removesuffix("_iam_member")
        assert {holder, f"{holder}_v2"} & kinds, f"{kind}: on what, and is that looked for?"
    on_holders |= {AUTHORIZATION} & kinds  # a dataset's, as grants are
    wanted = kinds - on_holders - WITHOUT_A_COMMAND - OF_BOOTSTRAP
    assert wanted == KINDS.keys() - {"cluster", "disk"}, (
        "a new resource type: add its command to KINDS in operate/deployment/orphaned_resources.py"
    )
    assert wanted - {"google_project_iam_member"} <= LOOKUPS.keys() | LISTED.keys()


def test_no_gcloud_command_is_advised_for_the_local_environment(settings: Settings) -> None:
    local_target = Target("dev", Path(".local/dev"))
    assert format_orphaned_resources([OrphanedResource("topic", "collect")], settings, local_target)[1:] == [
        "  topic collect",
        "`make deploy ENV=dev TO=local` imports the resources that no state holds; then run "
        "`make destroy ENV=dev TO=local`",
        "or, with all its data: `make down ENV=dev && rm -r .local/dev`",
    ]
    assert format_orphaned_resources([], settings, local_target) == [
        f"{settings.project} has no orphaned resources of vlille"
    ]


def test_a_disabled_api_is_skipped_and_a_failed_list_is_reported(
    empty: dict[str, list[Response]], cloud: Cloud, settings: Settings
) -> None:
    disks = f"GET /compute/projects/{settings.project}/aggregated/disks"
    buckets = "GET /storage/b"
    empty[disks] = [refusal(403, "Compute is off", "SERVICE_DISABLED")]
    empty[buckets] = [refusal(403, "not for you")]
    with pytest.raises(OperateError, match=r"the buckets of .* cannot be listed \(403 not for you\)"):
        find_orphaned_resources(cloud, settings, {})
