"""The additional resources of an environment with [gbfs]: tables, a subscription per shard, and grants."""

import json
from typing import Any

import pytest

from cdk.access import list_findings, list_grants
from gbfs.tables import LOADED_TABLES, TABLES
from gbfs.views import format_availability_sql, format_views
from review.cost.estimate import estimate_cost
from review.cost.price_book import load_price_book
from review.stacks.comparison import compare_stacks
from review.types.registry import create_context
from spark.settings import PACKS_FEED
from tests.cdk.conftest import Synthesis
from tests.cdk.test_access import read_documented_grants, read_source, strip_texts
from tests.cdk.test_stack import one, resources

pytestmark = pytest.mark.synth
SHARDS = 3


def test_an_environment_without_gbfs_has_nothing_of_it(synthesis: Synthesis) -> None:
    for environment in ("dev", "prod"):
        addresses = [address for address, _ in resources(synthesis.stacks[environment])]
        named = [address for address in addresses if "gbfs" in address or "polls" in address]
        # The table of a feed of its own, which reads one system's two files.
        assert named == ["google_bigquery_table.warehouse_vlille_gbfs"]


def test_the_tables_are_those_of_the_model(gbfs_stack: dict[str, Any]) -> None:
    for name, model in TABLES.items():
        table = one(gbfs_stack, f"google_bigquery_table.warehouse_{name}")
        assert json.loads(table["schema"]) == model.schema
        assert table["clustering"] == list(model.clustering)
        days = {"expiration_ms": 7 * 86_400_000} if name == "station_status" else {}
        assert table["time_partitioning"] == {"type": "DAY", "field": model.partition} | days


def test_the_minutes_of_all_systems_are_a_view(gbfs_stack: dict[str, Any]) -> None:
    view = one(gbfs_stack, "google_bigquery_table.views_gbfs_availability")
    assert view["dataset_id"] == "${google_bigquery_dataset.views_dataset.dataset_id}"
    assert view["view"]["query"] == format_availability_sql("vlille-dev.vlille", 7)
    for table in ("station_status", "station_status_changes", "station_information", "polls"):
        assert f"google_bigquery_table.warehouse_{table}" in view["depends_on"]


def test_the_systems_and_their_days_are_views_of_the_dataset(gbfs_stack: dict[str, Any]) -> None:
    for name, (description, sql) in format_views("vlille-dev.vlille", 7).items():
        view = one(gbfs_stack, f"google_bigquery_table.views_{name}")
        assert (view["table_id"], view["description"], view["view"]["query"]) == (name, description, sql)


def test_the_dashboard_serves_the_systems(gbfs_stack: dict[str, Any], synthesis: Synthesis) -> None:
    for stack, expected in ((gbfs_stack, True), (synthesis.stacks["dev"], False)):
        assert (
            "GBFS_SYSTEMS" in json.dumps(one(stack, "google_cloud_run_v2_service.dashboard_service"))
        ) is expected


def test_the_plan_review_counts_what_systems_cost(gbfs_stack: dict[str, Any], synthesis: Synthesis) -> None:
    before, after = (json.dumps(each).encode() for each in (synthesis.stacks["dev"], gbfs_stack))
    cost = estimate_cost(create_context(compare_stacks(before, after)), load_price_book())
    assert cost is not None
    months = [{line.what: line for line in side} for side in (cost.before, cost.after)]
    more = {what for what, line in months[1].items() if line.month > months[0][what].month + 0.005}
    assert more >= {"schedules", "storage operations"}
    tables = [int(each["BigQuery storage"].basis.split()[0]) for each in months]
    assert tables[1] - tables[0] == len(LOADED_TABLES)
    assert [line.what for line in cost.at_most] == ["functions and services"]
    assert cost.at_most[0].month > 100


def test_each_shard_has_a_subscription_to_the_one_tick(gbfs_stack: dict[str, Any]) -> None:
    uri = "${google_cloudfunctions2_function.gbfs_function.service_config[0].uri}"
    for shard in range(SHARDS):
        push = one(gbfs_stack, f"google_pubsub_subscription.gbfs_push_{shard}")
        assert push["push_config"]["push_endpoint"] == f"{uri}/shards/{shard}"
        assert push["push_config"]["oidc_token"]["audience"] == uri
        assert push["topic"] == "${google_pubsub_topic.gbfs_topic.id}"
        assert push["dead_letter_policy"]["dead_letter_topic"] == "${google_pubsub_topic.gbfs_dead_topic.id}"
    pushes = [
        address
        for address, _ in resources(gbfs_stack, "google_pubsub_subscription")
        if "gbfs_push" in address
    ]
    assert len(pushes) == SHARDS
    jobs = {
        task: one(gbfs_stack, f"google_cloud_scheduler_job.gbfs_{task}") for task in ("collect", "discover")
    }
    assert {task: job["pubsub_target"]["attributes"] for task, job in jobs.items()} == {
        task: {"task": task} for task in jobs
    }
    assert jobs["discover"]["schedule"] == "23 2 * * *"


def test_the_function_reads_secrets_by_name_and_its_packs_are_in_the_archive(
    gbfs_stack: dict[str, Any],
) -> None:
    service = one(gbfs_stack, "google_cloudfunctions2_function.gbfs_function")["service_config"]
    assert service["environment_variables"]["SHARDS"] == str(SHARDS)
    assert service["environment_variables"]["PACKS_BUCKET"] == "${google_storage_bucket.storage_archive.name}"
    assert service["max_instance_request_concurrency"] == 1
    [secret] = service["secret_environment_variables"]
    assert (secret["secret"], secret["version"]) == ("velib-key", "latest")
    assert service["service_account_email"] == "${google_service_account.identity_gbfs.email}"


def test_its_roles_are_those_of_the_page(gbfs_stack: dict[str, Any], synthesis: Synthesis) -> None:
    more = set(list_grants(gbfs_stack)) - set(list_grants(synthesis.stacks["dev"]))
    others = {f"subscription push_{shard}" for shard in range(1, SHARDS)}
    assert {grant.resource for grant in more} >= others
    assert {grant for grant in more if grant.resource not in others} == set(
        read_documented_grants("GBFS systems")
    )
    assert list_findings(gbfs_stack) == []


def test_each_role_of_the_page_has_its_calls() -> None:
    for grant, calls in read_documented_grants("GBFS systems").items():
        assert calls, grant
        for path, call in calls:
            assert call in strip_texts(read_source(path)), (grant, call)


def test_alerts_watch_the_function_of_gbfs_systems(gbfs_stack: dict[str, Any]) -> None:
    policies = {
        address.rpartition("monitoring_")[2]: policy
        for address, policy in resources(gbfs_stack, "google_monitoring_alert_policy")
    }
    assert {"gbfs_silent", "gbfs_errors", "gbfs_dead_letters", "gbfs_systems"} <= policies.keys()
    # tests/gbfs_collector/test_discovery.py has the entries with this event.
    assert '\\"system_changed\\"' in json.dumps(policies["gbfs_systems"])


def test_the_nightly_batch_rebuilds_the_packs_after_the_feed(gbfs_stack: dict[str, Any]) -> None:
    template = one(gbfs_stack, "google_dataproc_workflow_template.batch_template")
    feed, packs = template["jobs"]
    assert (packs["step_id"], packs["prerequisite_step_ids"]) == ("rebuild-gbfs", [feed["step_id"]])
    assert packs["pyspark_job"]["args"][packs["pyspark_job"]["args"].index("--feed") + 1] == PACKS_FEED
    for parameter in template["parameters"]:
        assert parameter["fields"] == [
            field.replace("'rebuild'", f"'{step}'")
            for field in parameter["fields"][:1]
            for step in ("rebuild", "rebuild-gbfs")
        ]
