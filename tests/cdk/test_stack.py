"""The resources of the stacks that `python stacks.py` synthesizes, read from their Terraform JSON."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from feed import Feed, availability_sql, batch_runs_schema, data_views, quarantine_schema, station_schema
from tests.cdk.conftest import Synthesis, check_snapshot
from tests.conftest import ENVIRONMENTS as ENVIRONMENTS_FOLDER

pytestmark = [pytest.mark.synth, pytest.mark.stack]

ENVIRONMENTS = ("dev", "prod")
FEEDS = ("vlille_gbfs", "vlille_ods", "vlille_ogc", "vlille_wfs")


def resources(stack: dict[str, Any], kind: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Return all resources by address, or those of one type."""
    for type_, by_name in stack["resource"].items():
        for name, arguments in by_name.items():
            if kind in ("", type_):
                yield f"{type_}.{name}", arguments


def one(stack: dict[str, Any], address: str) -> dict[str, Any]:
    kind, _, name = address.partition(".")
    found: dict[str, Any] = stack["resource"][kind][name]
    return found


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def stack(synthesis: Synthesis, request: pytest.FixtureRequest) -> dict[str, Any]:
    """The stack of each environment."""
    return synthesis.stacks[request.param]


def test_the_stacks_are_those_of_the_environments_there_are(synthesis: Synthesis) -> None:
    environments = {file.stem for file in ENVIRONMENTS_FOLDER.glob("*.toml")}
    assert set(synthesis.stacks) == environments | {f"{name}-bootstrap" for name in environments}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_stack_is_the_reviewed_one(
    synthesis: Synthesis, environment: str, pytestconfig: pytest.Config
) -> None:
    """`pytest --update-snapshots` updates the snapshot."""
    update = pytestconfig.getoption("--update-snapshots")
    check_snapshot(synthesis.stacks[environment], f"vlille-{environment}", update=update)


def test_each_feed_has_a_table_with_the_schema_of_its_sample(
    stack: dict[str, Any], feeds: dict[str, Feed]
) -> None:
    for name, feed in feeds.items():
        table = one(stack, f"google_bigquery_table.warehouse_{name}")
        assert json.loads(table["schema"]) == station_schema(feed)
        assert table["time_partitioning"] == {"type": "DAY", "field": "collected_at"}
        assert table["clustering"] == [feed.key]
    assert set(feeds) == set(FEEDS)


def test_the_tables_of_every_environment(stack: dict[str, Any], feeds: dict[str, Feed]) -> None:
    held = [arguments for _, arguments in resources(stack, "google_bigquery_table")]
    in_views = "${google_bigquery_dataset.views_dataset.dataset_id}"
    assert {each["table_id"] for each in held if each["dataset_id"] == in_views} == {
        view.name for view in data_views(feeds["vlille_gbfs"], "p.d", "UTC")
    }
    tables = {each["table_id"]: each for each in held if each["dataset_id"] != in_views}
    assert set(tables) == {
        *FEEDS,
        "quarantine",
        "empty_responses",
        "batch_runs",
        "availability",
        "minutes_present",
    }
    assert json.loads(tables["quarantine"]["schema"]) == quarantine_schema()
    assert json.loads(tables["batch_runs"]["schema"]) == batch_runs_schema()
    project = stack["provider"]["google"][0]["project"]
    assert tables["availability"]["view"] == {
        "query": availability_sql(feeds.values(), f"{project}.vlille"),
        "use_legacy_sql": False,
    }


def test_nothing_is_open_and_nobody_has_a_key(stack: dict[str, Any]) -> None:
    text = json.dumps(stack)
    for word in ("allUsers", "allAuthenticatedUsers", "service_account_key", "0.0.0.0/0", "::/0"):
        assert word not in text
    roles = {arguments["role"] for _, arguments in resources(stack) if "role" in arguments}
    assert roles == {
        "${google_project_iam_custom_role.batch_starter_role.name}",
        "${google_project_iam_custom_role.batch_worker_role.name}",
        "roles/artifactregistry.writer",
        "roles/bigquery.dataEditor",
        "roles/bigquery.dataViewer",
        "roles/bigquery.jobUser",
        "roles/iam.serviceAccountUser",
        "roles/logging.logWriter",
        "roles/pubsub.publisher",
        "roles/pubsub.subscriber",
        "roles/run.invoker",
        "roles/storage.admin",
        "roles/storage.objectCreator",
        "roles/storage.objectUser",
        "roles/storage.objectViewer",
    }
    owned = [
        (arguments["bucket"], arguments["member"])
        for _, arguments in resources(stack, "google_storage_bucket_iam_member")
        if arguments["role"] == "roles/storage.admin"
    ]
    assert owned == [
        ("${google_storage_bucket.storage_staging.name}", "${google_service_account.identity_batch.member}")
    ]


def test_each_workload_is_somebody_else(stack: dict[str, Any]) -> None:
    cluster = one(stack, "google_dataproc_workflow_template.batch_template")["placement"]["managed_cluster"]
    function = one(stack, "google_cloudfunctions2_function.collection_function")
    service = one(stack, "google_cloud_run_v2_service.archiving_service")
    push = one(stack, "google_pubsub_subscription.collection_push")["push_config"]["oidc_token"]
    found = {
        "batch": cluster["config"]["gce_cluster_config"]["service_account"],
        "collector": function["service_config"]["service_account_email"],
        "copier": service["template"]["service_account"],
        "push": push["service_account_email"],
    }
    assert found == {name: f"${{google_service_account.identity_{name}.email}}" for name in found}
    assert function["build_config"]["service_account"] == "${google_service_account.identity_build.name}"


def test_buckets_are_private_and_say_what_they_keep(stack: dict[str, Any]) -> None:
    for address, bucket in resources(stack, "google_storage_bucket"):
        assert bucket["uniform_bucket_level_access"] is True, address
        assert bucket["public_access_prevention"] == "enforced", address
        assert "soft_delete_policy" in bucket, address
    ages = {
        address.rpartition("_")[2]: [rule["condition"]["age"] for rule in bucket.get("lifecycle_rule", [])]
        for address, bucket in resources(stack, "google_storage_bucket")
    }
    landing_days = {"vlille-dev": 7, "vlille-prod": 30}[stack["provider"]["google"][0]["project"]]
    assert ages == {"landing": [landing_days], "archive": [], "artifacts": [], "staging": [2]}, (
        "a new bucket: add after how many days its objects are deleted"
    )


def test_what_holds_data_cannot_go_by_accident_in_prod(synthesis: Synthesis) -> None:
    def protected(environment: str) -> set[str]:
        return {
            address
            for address, arguments in resources(synthesis.stacks[environment])
            if arguments.get("lifecycle", {}).get("prevent_destroy")
        }

    tables = {
        f"google_bigquery_table.warehouse_{name}"
        for name in (*FEEDS, "quarantine", "empty_responses", "batch_runs")
    }
    buckets = {f"google_storage_bucket.storage_{name}" for name in ("landing", "archive")}
    assert protected("prod") == {"google_bigquery_dataset.warehouse_dataset", *tables, *buckets}
    assert protected("dev") == set()
    for environment, is_protected in (("dev", False), ("prod", True)):
        stack = synthesis.stacks[environment]
        assert {one(stack, table)["deletion_protection"] for table in tables} == {is_protected}
        assert {one(stack, bucket)["force_destroy"] for bucket in buckets} == {not is_protected}
        dataset = one(stack, "google_bigquery_dataset.warehouse_dataset")
        assert dataset["delete_contents_on_destroy"] is not is_protected


def test_a_tick_is_pushed_retried_and_dead_lettered(stack: dict[str, Any]) -> None:
    push = one(stack, "google_pubsub_subscription.collection_push")
    uri = "${google_cloudfunctions2_function.collection_function.service_config[0].uri}"
    assert push["push_config"]["push_endpoint"] == uri == push["push_config"]["oidc_token"]["audience"]
    assert push["retry_policy"] == {"minimum_backoff": "10s", "maximum_backoff": "300s"}
    assert push["dead_letter_policy"] == {
        "dead_letter_topic": "${google_pubsub_topic.collection_dead_topic.id}",
        "max_delivery_attempts": 10,
    }
    assert push["topic"] != push["dead_letter_policy"]["dead_letter_topic"]
    assert {arguments["expiration_policy"]["ttl"] for _, arguments in subscriptions(stack)} == {""}


def subscriptions(stack: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    return resources(stack, "google_pubsub_subscription")


def test_the_schedule(stack: dict[str, Any]) -> None:
    jobs = {arguments["name"]: arguments for _, arguments in resources(stack, "google_cloud_scheduler_job")}
    assert {name: (job["schedule"], job["time_zone"]) for name, job in jobs.items()} == {
        "collect": ("* * * * *", "Europe/Paris"),
        "copy": ("*/10 * * * *", "Europe/Paris"),
        "batch": ("30 3 * * *", "Europe/Paris"),
    }
    assert json.loads(base64.b64decode(jobs["batch"]["http_target"]["body"])) == {
        "parameters": {"FROM": "yesterday", "TO": "yesterday"}
    }
    assert json.loads(base64.b64decode(jobs["collect"]["pubsub_target"]["data"])) == {"feed": "vlille_gbfs"}


def test_the_parameters_of_the_batch_stand_where_its_arguments_do(stack: dict[str, Any]) -> None:
    template = one(stack, "google_dataproc_workflow_template.batch_template")
    [job] = template["jobs"]
    words = job["pyspark_job"]["args"]
    for parameter, option in zip(template["parameters"], ("--from", "--to"), strict=True):
        [field] = parameter["fields"]
        index = int(re.fullmatch(r"jobs\['rebuild'\]\.pysparkJob\.args\[(\d+)\]", field)[1])  # type: ignore[index]
        assert (parameter["name"], words[index - 1]) == (option.removeprefix("--").upper(), option)
        [regex] = parameter["validation"]["regex"]["regexes"]
        assert re.fullmatch(regex, words[index])


def shape(part: dict[str, Any] | None) -> tuple[Any, ...] | None:
    """Return machine type, number and disk size of one part of a cluster."""
    if part is None:
        return None
    return part["machine_type"], part["num_instances"], part["disk_config"]["boot_disk_size_gb"]


def cluster(stack: dict[str, Any]) -> dict[str, Any]:
    template = one(stack, "google_dataproc_workflow_template.batch_template")
    config: dict[str, Any] = template["placement"]["managed_cluster"]["config"]
    return config


@pytest.mark.parametrize("environment", ["prod", "dev"])
def test_the_cluster_is_one_machine(synthesis: Synthesis, environment: str) -> None:
    config = cluster(synthesis.stacks[environment])
    assert shape(config["master_config"]) == ("e2-standard-4", 1, 50)
    assert config.get("worker_config") is None
    assert config["software_config"]["properties"]["dataproc:dataproc.allow.zero.workers"] == "true"


def test_the_cluster_has_no_way_to_the_internet(stack: dict[str, Any]) -> None:
    template = one(stack, "google_dataproc_workflow_template.batch_template")
    machines = template["placement"]["managed_cluster"]["config"]["gce_cluster_config"]
    assert machines["internal_ip_only"] is True
    assert one(stack, "google_compute_subnetwork.batch_subnetwork")["private_ip_google_access"] is True
    firewall = one(stack, "google_compute_firewall.batch_firewall")
    assert firewall["source_tags"] == firewall["target_tags"] == machines["tags"]
    assert not {"google_compute_router", "google_compute_router_nat"} & set(stack["resource"])


def test_no_clean_up_can_take_the_running_image(stack: dict[str, Any]) -> None:
    repository = one(stack, "google_artifact_registry_repository.build_repository")
    policies = {policy["action"]: policy for policy in repository["cleanup_policies"]}
    assert policies["KEEP"]["most_recent_versions"]["keep_count"] >= 2
    # The tag of an image is the digest of its source.
    assert policies["DELETE"]["condition"]["tag_state"] == "UNTAGGED"
    service = one(stack, "google_cloud_run_v2_service.archiving_service")
    [container] = service["template"]["containers"]
    assert re.search(r"/vlille/copier:[0-9a-f]{16}$", container["image"])
    assert one(stack, "terraform_data.build_copier_image")["input"] == {"image": container["image"]}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_artifacts_are_there_and_named_by_what_they_hold(synthesis: Synthesis, environment: str) -> None:
    objects = dict(resources(synthesis.stacks[environment], "google_storage_bucket_object"))
    assert len(objects) == 6
    for address, arguments in objects.items():
        file = synthesis.folder(environment) / arguments["source"]
        assert not Path(arguments["source"]).is_absolute()
        assert hashlib.sha256(file.read_bytes()).hexdigest()[:16] in arguments["name"], address
        # The new object is created before a resource that refers to the old one is updated.
        assert arguments["lifecycle"]["create_before_destroy"] is True


def test_no_path_of_the_machine_is_in_it(synthesis: Synthesis, checkouts: tuple[Path, Path]) -> None:
    text = json.dumps(dict(synthesis.stacks))
    assert str(checkouts[0].parent) not in text
    assert str(Path.home()) not in text


@pytest.mark.parametrize(
    ("workload", "needs"),
    [
        (
            "google_cloudfunctions2_function.collection_function",
            {
                "google_storage_bucket_iam_member.collection_collector_creates_landing",
                "google_storage_bucket_iam_member.collection_collector_reads_landing",
                "google_bigquery_table_iam_member.collection_collector_loads_stations",
                "google_bigquery_table_iam_member.collection_collector_loads_quarantine",
                "google_project_iam_member.collection_collector_runs_jobs",
                "google_artifact_registry_repository_iam_member.build_build_writes_images",
            },
        ),
        (
            "google_cloud_run_v2_service.archiving_service",
            {
                "terraform_data.build_copier_image",
                "google_storage_bucket_iam_member.archiving_copier_empties_landing",
                "google_storage_bucket_iam_member.archiving_copier_creates_archive",
                "google_storage_bucket_iam_member.archiving_copier_reads_archive",
            },
        ),
        (
            "google_pubsub_subscription.collection_push",
            {
                "google_cloud_run_v2_service_iam_member.collection_push_invokes_function",
                "google_pubsub_topic_iam_member.collection_pubsub_publishes_dead_letters",
            },
        ),
        ("google_cloud_scheduler_job.schedule_collect", {"google_pubsub_subscription.collection_push"}),
        (
            "google_cloud_scheduler_job.schedule_copy",
            {"google_cloud_run_v2_service_iam_member.archiving_scheduler_invokes_copier"},
        ),
    ],
)
def test_a_workload_comes_after_what_it_needs(stack: dict[str, Any], workload: str, needs: set[str]) -> None:
    assert needs <= set(one(stack, workload)["depends_on"])


def test_alerts_say_what_to_do(stack: dict[str, Any]) -> None:
    policies = dict(resources(stack, "google_monitoring_alert_policy"))
    assert {address.partition(".monitoring_")[2] for address in policies} == {
        "silent",
        "errors",
        "dead_letters",
        "load_jobs",
        "responses",
        "burns_fast",
        "burns_slowly",
        "batch_failed",
    }, "a new alert: add its name; docs/faq.md says what else it needs"
    for policy in policies.values():
        assert policy["notification_channels"] == [
            "${google_monitoring_notification_channel.monitoring_email.id}"
        ]
        text = policy["documentation"]["content"]
        assert len(text) > 80, f"{text!r}: say in more than 80 characters what happened and what to do"


def test_outputs_tell_where_to_look(stack: dict[str, Any]) -> None:
    assert set(stack["output"]) == {
        "copier_url",
        "dashboard_url",
        "function_url",
        *(f"{purpose}_bucket_url" for purpose in ("landing", "archive", "artifacts", "staging")),
        "station_table",
        "quarantine_table",
        "empty_responses_table",
        "batch_runs_table",
        "availability_view",
        "views_dataset",
        "console_links",
    }
    links = stack["output"]["console_links"]["value"]
    assert all(link.startswith("https://console.cloud.google.com/") for link in links.values())


def test_every_reference_names_something_declared(stack: dict[str, Any]) -> None:
    declared = {address for address, _ in resources(stack)} | {"data.google_project.identity_project"}
    text = json.dumps(stack)
    named = set(re.findall(r"\$\{((?:data\.)?[a-z0-9_]+\.[a-z0-9_]+)[.\[]", text))
    named |= {each for _, arguments in resources(stack) for each in arguments.get("depends_on", [])}
    assert named <= declared
    assert len(named) > 30
