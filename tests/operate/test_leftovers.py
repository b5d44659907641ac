"""What is left of vlille in a project: found service by service, told with what removes it."""

from pathlib import Path

import pytest

from cdk.settings import Settings
from operate.cloud import Cloud
from operate.errors import OperateError
from operate.leftovers import Held, find, told
from operate.place import Place
from tests.operate.conftest import Answer, Google, refusal

pytestmark = pytest.mark.emulator


@pytest.fixture
def empty(google: Google, settings: Settings) -> dict[str, list[Answer]]:
    """A project with nothing in it; a test puts other answers in place."""
    parent, place = f"projects/{settings.project}", f"locations/{settings.region}"
    google.queues = {
        f"GET /dataproc/{parent}/regions/{settings.region}/clusters": [(200, {})],
        f"GET /compute/{parent}/aggregated/disks": [(200, {"items": {}})],
        f"GET /pubsub/{parent}/subscriptions": [(200, {})],
        f"GET /pubsub/{parent}/topics": [(200, {})],
        f"GET /artifact_registry/{parent}/{place}/repositories": [(200, {})],
        "GET /storage/b": [(200, {"kind": "storage#buckets"})],
        f"GET /iam/{parent}/serviceAccounts": [(200, {})],
    }
    return google.queues


def test_an_empty_project_holds_nothing(
    google: Google, empty: dict[str, list[Answer]], cloud: Cloud, settings: Settings
) -> None:
    assert find(cloud, settings) == []
    assert all(not left for left in empty.values())
    assert {"project": [settings.project]} in [query for query, _ in google.asked]


def test_each_kind_is_found_and_what_is_another_s_is_not(
    empty: dict[str, list[Answer]], cloud: Cloud, settings: Settings
) -> None:
    """Also on the second page, and not what the bootstrap made."""
    project, region = settings.project, settings.region
    parent = f"projects/{project}"
    there: dict[str, list[Answer]] = {
        f"GET /dataproc/{parent}/regions/{region}/clusters": [
            (200, {"clusters": [{"clusterName": "vlille-batch-x1"}, {"clusterName": "mine"}]})
        ],
        f"GET /compute/{parent}/aggregated/disks": [
            (
                200,
                {"items": {"zones/a": {"warning": {"code": "NO_RESULTS_ON_PAGE"}}}, "nextPageToken": "2"},
            ),
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
        f"GET /pubsub/{parent}/subscriptions": [
            (200, {"subscriptions": [{"name": f"{parent}/subscriptions/mine"}], "nextPageToken": "2"}),
            (200, {"subscriptions": [{"name": f"{parent}/subscriptions/collect-push"}]}),
        ],
        f"GET /pubsub/{parent}/topics": [
            (200, {"topics": [{"name": f"{parent}/topics/collect"}, {"name": f"{parent}/topics/mine"}]})
        ],
        f"GET /artifact_registry/{parent}/locations/{region}/repositories": [
            (200, {"repositories": [{"name": "x/repositories/vlille"}, {"name": "x/repositories/mine"}]})
        ],
        f"GET /artifact_registry/{parent}/locations/{region}/repositories/vlille/dockerImages": [
            (200, {"dockerImages": [{"uri": "a"}, {"uri": "b"}]})
        ],
        "GET /storage/b": [
            (
                200,
                {
                    "items": [
                        {"name": f"{project}-landing"},
                        {"name": f"{project}-tfstate"},
                        {"name": f"gcf-v2-sources-4711-{region}"},
                        {"name": "mine"},
                    ]
                },
            )
        ],
        f"GET /iam/{parent}/serviceAccounts": [
            (
                200,
                {
                    "accounts": [
                        {"email": f"{name}@{project}.iam.gserviceaccount.com"}
                        for name in ("vlille-copier", "vlille-ci-reader", "mine")
                    ]
                },
            )
        ],
    }
    empty.update(there)
    found = find(cloud, settings)
    assert [(held.kind, held.name, held.location, held.more) for held in found] == [
        ("cluster", "vlille-batch-x1", region, ""),
        ("disk", "vlille-batch-x1-m", f"{region}-b", "50 GB"),
        ("subscription", "collect-push", "", ""),
        ("topic", "collect", "", ""),
        ("repository", "vlille", region, "2 images"),
        ("bucket", f"{project}-landing", "", ""),
        ("bucket", f"gcf-v2-sources-4711-{region}", "", ""),
        ("service account", f"vlille-copier@{project}.iam.gserviceaccount.com", "", ""),
    ]
    end = f"--project={project}`"
    assert told(found, settings, Place("dev")) == [
        f"{project} still holds 8 of vlille:",
        f"  cluster vlille-batch-x1: `gcloud dataproc clusters delete vlille-batch-x1 --region={region} {end}",
        "  disk vlille-batch-x1-m (50 GB): "
        f"`gcloud compute disks delete vlille-batch-x1-m --zone={region}-b {end}",
        f"  subscription collect-push: `gcloud pubsub subscriptions delete collect-push {end}",
        f"  topic collect: `gcloud pubsub topics delete collect {end}",
        f"  repository vlille (2 images): `gcloud artifacts repositories delete vlille --location={region} {end}",
        f"  bucket {project}-landing: `gcloud storage rm --recursive gs://{project}-landing {end}",
        f"  bucket gcf-v2-sources-4711-{region}: "
        f"`gcloud storage rm --recursive gs://gcf-v2-sources-4711-{region} {end}",
        f"  service account vlille-copier@{project}.iam.gserviceaccount.com: "
        f"`gcloud iam service-accounts delete vlille-copier@{project}.iam.gserviceaccount.com {end}",
    ]


def test_on_this_machine_no_gcloud_is_advised(settings: Settings) -> None:
    here = Place("dev", Path(".local/dev"))
    assert told([Held("topic", "collect")], settings, here)[1:] == [
        "  topic collect",
        "`make destroy ENV=dev TO=here` removes them; else `make down ENV=dev && rm -r .local/dev`",
    ]
    assert told([], settings, here) == [f"{settings.project} holds nothing of vlille"]


def test_a_service_that_is_off_holds_nothing_and_one_that_refuses_is_told(
    empty: dict[str, list[Answer]], cloud: Cloud, settings: Settings
) -> None:
    disks = f"GET /compute/projects/{settings.project}/aggregated/disks"
    topics = f"GET /pubsub/projects/{settings.project}/topics"
    empty[disks] = [refusal(403, "Compute is off", "SERVICE_DISABLED")]
    empty[topics] = [refusal(403, "not for you")]
    with pytest.raises(OperateError, match=r"does not tell its topics \(403 not for you\)"):
        find(cloud, settings)
