"""Types that are stored without effect: they have Terraform's names, and are reported to the user."""

from functools import partial
from typing import Any

import pytest

from local.environment.environment import LocalEnvironment
from local.errors import AlreadyExistsError, LocalError, NotFoundError
from local.services import HANDLERS
from local.stack.loading import Resource

pytestmark = pytest.mark.unit


def make(environment: LocalEnvironment, kind: str, arguments: dict[str, Any], **meta: Any) -> dict[str, Any]:
    return HANDLERS[kind](Resource(f"{kind}.r", kind, "r", {}, (), meta), arguments, environment)


@pytest.mark.parametrize(
    ("kind", "arguments", "expected"),
    [
        (
            "google_artifact_registry_repository",
            {"repository_id": "vlille", "location": "europe-west1", "format": "DOCKER"},
            {
                "id": "projects/{0}/locations/europe-west1/repositories/vlille",
                "name": "vlille",
                "registry_uri": "europe-west1-docker.pkg.dev/{0}/vlille",
            },
        ),
        (
            "google_compute_network",
            {"name": "batch", "auto_create_subnetworks": False},
            {
                "id": "projects/{0}/global/networks/batch",
                "name": "batch",
                "self_link": "https://www.googleapis.com/compute/v1/projects/{0}/global/networks/batch",
            },
        ),
        (
            "google_compute_subnetwork",
            {"name": "batch", "region": "europe-west9", "ip_cidr_range": "10.0.0.0/24"},
            {"id": "projects/{0}/regions/europe-west9/subnetworks/batch", "ip_cidr_range": "10.0.0.0/24"},
        ),
        ("google_compute_firewall", {"name": "inside"}, {"id": "projects/{0}/global/firewalls/inside"}),
        (
            "google_logging_metric",
            {"name": "failures", "filter": "x"},
            {"id": "failures", "name": "failures"},
        ),
        (
            "google_monitoring_custom_service",
            {"service_id": "collection", "display_name": "collection"},
            {"id": "projects/{0}/services/collection", "name": "projects/{0}/services/collection"},
        ),
        (
            "google_monitoring_slo",
            {"service": "collection", "slo_id": "minutes", "goal": 0.99},
            {"name": "projects/{0}/services/collection/serviceLevelObjectives/minutes"},
        ),
        ("google_project_service", {"service": "run.googleapis.com"}, {"id": "{0}/run.googleapis.com"}),
        ("data.google_client_config", {}, {"project": "{0}", "region": "europe-west1"}),
    ],
)
def test_attributes(
    environment: LocalEnvironment, kind: str, arguments: dict[str, Any], expected: dict[str, str]
) -> None:
    attributes = make(environment, kind, arguments)
    wanted = {key: value.format(environment.project) for key, value in expected.items()}
    assert attributes.items() >= wanted.items()
    assert attributes.items() >= arguments.items()


def test_a_stored_only_type_is_reported_once(environment: LocalEnvironment) -> None:
    for name in ("a", "b"):
        make(environment, "google_monitoring_alert_policy", {"display_name": name})
    assert environment.unsupported == [
        "google_monitoring_…: stored only; alerts are not evaluated and nobody is notified"
    ]


def test_channel_has_a_name_that_policies_can_refer_to(environment: LocalEnvironment) -> None:
    channel = make(
        environment,
        "google_monitoring_notification_channel",
        {"type": "email", "labels": {"email_address": "a@b"}},
    )
    again = make(environment, "google_monitoring_notification_channel", {"type": "email"})
    assert channel["name"] == channel["id"] == again["id"]
    assert channel["name"].startswith(f"projects/{environment.project}/notificationChannels/")
    kept = environment.collection("monitoring", "notificationChannels").get(channel["name"])
    assert kept["type"] == "email"


def test_project_data_source(environment: LocalEnvironment) -> None:
    attributes = make(environment, "data.google_project", {})
    assert attributes["project_id"] == environment.project
    assert attributes["number"] == environment.project_number
    other = make(environment, "data.google_project", {"project_id": "another"})
    assert (other["project_id"], other["id"]) == ("another", "projects/another")
    assert other["number"] != attributes["number"]


def test_terraform_data_returns_its_input_and_reports_a_skipped_command(
    environment: LocalEnvironment,
) -> None:
    plain = make(environment, "terraform_data", {"input": {"image": "x"}})
    assert plain["output"] == {"image": "x"}
    assert environment.unsupported == []
    built = make(
        environment, "terraform_data", {"triggers_replace": {"a": "b"}}, provisioner=[{"local-exec": {}}]
    )
    assert built["id"] == plain["id"]
    assert "output" not in built
    assert "image build skipped" in environment.unsupported[0]


def test_a_collection_is_loaded_by_the_next_environment(new_environment: Any) -> None:
    first = new_environment().collection("pubsub", "topics")
    first.create("t", {"name": "t", "labels": {"a": "b"}, "old": 1})
    with pytest.raises(AlreadyExistsError, match="pubsub topics: 't' exists already"):
        first.create("t", {})
    first.update("t", {"labels": {"a": "c"}, "old": None})
    second = new_environment().collection("pubsub", "topics")
    assert second.list() == [{"name": "t", "labels": {"a": "c"}}]
    second.delete("t")
    assert (second.names(), second.find("t")) == ([], None)
    for act in (second.get, second.delete, partial(second.update, changes={})):
        with pytest.raises(NotFoundError, match="pubsub topics: 't' does not exist"):
            act("t")


def test_a_collection_returns_copies(environment: LocalEnvironment) -> None:
    topics, given = environment.collection("pubsub", "topics"), {"labels": {"a": "b"}}
    topics.put("t", given)["labels"]["a"] = "changed"
    given["labels"]["a"] = "changed"
    topics.get("t")["labels"]["a"] = "changed"
    topics.list()[0]["labels"]["a"] = "changed"
    assert topics.get("t") == {"labels": {"a": "b"}}


def test_the_error_of_a_damaged_collection_says_what_to_do(environment: LocalEnvironment) -> None:
    file = environment.folder / "control_plane" / "pubsub" / "topics.json"
    file.parent.mkdir(parents=True)
    file.write_text("{")
    with pytest.raises(
        LocalError, match=r"topics\.json cannot be read .*: delete it, then run the command again"
    ):
        environment.collection("pubsub", "topics")
