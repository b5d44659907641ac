"""What the change of one argument means: how severe it is, and whether a revert brings back what there was.

Each row is a fact of Google Cloud's or the provider's documentation.
"""

from typing import Any

import pytest

from review.code.arguments import TABLE as CODE
from review.findings.text import strip_markup
from review.google_cloud.resource_types import is_kind, list_unknown_arguments, look_up_type, read_types
from review.plan.raw_json import read_json
from review.report.answers import answer_questions
from review.types.registry import find_renderers
from tests.review.conftest import change, review_changes

pytestmark = pytest.mark.unit

LOSS, POSSIBLE, WIDENED, STOPS, CARE, CODE_, CHANGE = (
    "data loss", "data loss possible", "access widened", "service interrupted", "needs care", "code", "change"
)  # fmt: skip
ANY: list[tuple[str, str, Any, Any, str]] = [
    # Access that opens.
    ("cloud_run_v2_service", "ingress", "INGRESS_TRAFFIC_INTERNAL_ONLY", "INGRESS_TRAFFIC_ALL", WIDENED),
    ("cloud_run_v2_service", "invoker_iam_disabled", False, True, WIDENED),
    ("sql_database_instance", "settings.ip_configuration.ipv4_enabled", False, True, WIDENED),
    ("container_cluster", "private_cluster_config.enable_private_endpoint", True, False, WIDENED),
    ("container_cluster", "control_plane_endpoints_config.dns_endpoint_config.allow_external_traffic", False, True,
     WIDENED),
    ("alloydb_instance", "network_config.enable_public_ip", False, True, WIDENED),
    ("memorystore_instance", "authorization_mode", "IAM_AUTH", "AUTH_DISABLED", WIDENED),
    ("compute_instance", "metadata", {"enable-oslogin": "TRUE"}, {}, WIDENED),
    ("org_policy_policy", "spec.rules.enforce", "TRUE", "FALSE", WIDENED),
    ("storage_bucket", "public_access_prevention", "enforced", "inherited", WIDENED),
    # Data that goes in place.
    ("bigquery_table", "time_partitioning.expiration_ms", None, 86_400_000, LOSS),
    ("logging_project_bucket_config", "retention_days", 400, 30, LOSS),
    ("secret_manager_secret", "expire_time", None, "2027-01-01T00:00:00Z", LOSS),
    ("sql_database_instance", "settings.backup_configuration.backup_retention_settings.retained_backups", 30, 1, LOSS),
    ("spanner_database", "ddl", ["CREATE TABLE t"], ["CREATE TABLE t", "ALTER TABLE t DROP COLUMN c"], LOSS),
    ("spanner_database", "ddl", ["CREATE TABLE t"],
     ["CREATE TABLE t", "ALTER TABLE t ADD ROW DELETION POLICY (OLDER_THAN(at, INTERVAL 1 DAY))"], LOSS),
    ("spanner_database", "ddl", ["CREATE TABLE t"],
     ["CREATE TABLE t", "ALTER TABLE t DROP ROW DELETION POLICY"], CHANGE),
    ("spanner_database", "ddl", ["CREATE TABLE t"], ["CREATE TABLE t", "DROP INDEX i"], CHANGE),
    ("memcache_instance", "node_count", 4, 1, POSSIBLE),
    ("redis_instance", "replica_count", 2, 1, CHANGE),
    ("bigtable_instance", "cluster", [{"cluster_id": "a"}, {"cluster_id": "b"}], [{"cluster_id": "a"}], CARE),
    ("firestore_database", "point_in_time_recovery_enablement", "POINT_IN_TIME_RECOVERY_ENABLED",
     "POINT_IN_TIME_RECOVERY_DISABLED", CARE),
    # Services that stop.
    ("app_engine_application", "serving_status", "SERVING", "USER_DISABLED", STOPS),
    ("compute_instance_group_manager", "target_size", 5, 1, STOPS),
    ("dataproc_cluster", "cluster_config.worker_config.num_instances", 10, 2, STOPS),
    ("alloydb_instance", "activation_policy", "ALWAYS", "NEVER", STOPS),
    ("compute_backend_service", "iap.enabled", True, False, WIDENED),
    ("data_pipeline_pipeline", "state", "STATE_ACTIVE", "STATE_PAUSED", STOPS),
    ("compute_autoscaler", "autoscaling_policy.min_replicas", 3, 1, CHANGE),
]  # fmt: skip
# Changes that a revert does not take back, with the reason in the sentence.
ONE_WAY: list[tuple[str, str, Any, Any, str]] = [
    ("alloydb_cluster", "database_version", "POSTGRES_15", "POSTGRES_16", "an earlier version cannot be installed"),
    ("redis_instance", "redis_version", "REDIS_6_X", "REDIS_7_2", "an earlier version cannot be installed again"),
    ("memorystore_instance", "engine_version", "VALKEY_7_2", "VALKEY_8_0", "an earlier version cannot be installed"),
    ("container_cluster", "min_master_version", "1.30", "1.33", "cannot go back to an earlier minor version"),
    ("composer_environment", "config.software_config.image_version", "composer-3-airflow-2.9.3",
     "composer-3-airflow-2.10.2", "an earlier version cannot be installed again"),
    ("compute_disk", "size", 10, 20, "it cannot shrink again"),
    ("sql_database_instance", "settings.disk_size", 10, 20, "it cannot shrink again"),
    ("filestore_instance", "file_shares.capacity_gb", 1024, 2048, "a basic tier cannot shrink again"),
    ("compute_subnetwork", "ip_cidr_range", "10.0.0.0/24", "10.0.0.0/20", "a range can only be expanded"),
    ("managed_kafka_topic", "partition_count", 3, 6, "partitions cannot be removed"),
    ("logging_project_bucket_config", "enable_analytics", False, True, "it cannot be turned off again"),
    ("netapp_storage_pool", "allow_auto_tiering", False, True, "it cannot be turned off again"),
    ("backup_dr_backup_vault", "effective_time", None, "2027-01-01T00:00:00Z", "cannot be shortened"),
    ("sql_database_instance", "master_instance_name", "primary", None, "cannot become a replica again"),
]  # fmt: skip
# Arguments with code: the answer names the new one.
WITH_CODE: list[tuple[str, str, Any, Any]] = [
    ("composer_environment", "config.software_config.pypi_packages", {"a": "==1"}, {"a": "==2"}),
    ("dataplex_task", "spark.python_script_file", "gs://a/1.py", "gs://a/2.py"),
    ("os_config_v2_policy_orchestrator", "orchestrated_resource.id", "a", "b"),
    ("pubsub_topic", "message_transforms.javascript_udf.code", "a()", "b()"),
    ("eventarc_pipeline", "mediations.transformation.transformation_template", "a", "b"),
    ("gke_hub_feature_membership", "configmanagement.config_sync.git.sync_rev", "v1", "v2"),
    ("compute_region_instance_group_manager", "version.instance_template", "t1", "t2"),
    ("clouddeploy_custom_target_type", "custom_actions.deploy_action", "a", "b"),
    ("apigee_sharedflow_deployment", "revision", "1", "2"),
    (
        "vertex_ai_endpoint_with_model_garden_deployment",
        "model_config.container_spec.image_uri",
        "i:1",
        "i:2",
    ),
]


def nest(path: str, value: Any) -> dict[str, Any]:
    """Return arguments with a value at a dotted path, in one block for each step."""
    first, _, rest = path.partition(".")
    return {first: [nest(rest, value)] if rest else value}


def update(type_: str, path: str, before: Any, after: Any) -> dict[str, Any]:
    name = {"name": "x", "boot_disk": []}
    return change(f"google_{type_}.x", {**name, **nest(path, before)}, {**name, **nest(path, after)})


@pytest.mark.parametrize(("type_", "path", "before", "after", "severity"), ANY)
def test_the_change_of_an_argument_has_a_severity(
    type_: str, path: str, before: Any, after: Any, severity: str
) -> None:
    found = review_changes(update(type_, path, before, after))
    assert found.severity.label == severity, [each.sentence for each in found.findings]


@pytest.mark.parametrize(("type_", "path", "before", "after", "reason"), ONE_WAY)
def test_a_change_in_one_direction_cannot_be_reverted(
    type_: str, path: str, before: Any, after: Any, reason: str
) -> None:
    found = review_changes(update(type_, path, before, after))
    assert any(reason in each.sentence and each.recovery == "no" for each in found.findings), found.findings
    assert {each.question: each.text for each in answer_questions(found)}["Can it be reverted?"].startswith(
        "**no**"
    )
    back = review_changes(update(type_, path, after, before))
    if isinstance(before, int):
        assert not any(reason in each.sentence for each in back.findings)


@pytest.mark.parametrize(("type_", "path", "before", "after"), WITH_CODE)
def test_code_in_an_argument_goes_live(type_: str, path: str, before: Any, after: Any) -> None:
    assert not list_unknown_arguments(f"google_{type_}", [path])
    found = {
        each.question: each for each in answer_questions(review_changes(update(type_, path, before, after)))
    }
    assert found["What code goes live?"].verdict.value == "yes", found["What code goes live?"].text


def test_every_type_that_runs_code_has_arguments_with_code() -> None:
    listed = read_json(CODE.read_bytes(), "the table")["arguments"]
    patterns = {each.rstrip("*") for each in listed if "*" in each}
    for type_ in read_types():
        if is_kind(type_, "code") and type_ != "google_compute_project_metadata_item":
            is_listed = type_ in listed or any(type_.startswith(each.partition("*")[0]) for each in patterns)
            assert is_listed or find_renderers(type_), type_
    for type_, paths in listed.items():
        if (
            look_up_type(type_) and type_ != "google_dataflow_flex_template_job"
        ):  # of google-beta, without a schema
            assert not list_unknown_arguments(type_, paths), type_


def test_an_entry_of_a_map_is_shown_even_if_it_is_empty() -> None:
    key = "cloudidentity.googleapis.com/groups.security"
    labelled = change("google_cloud_identity_group.g", {"labels": {"a": ""}}, {"labels": {"a": "", key: ""}})
    assert key in strip_markup(review_changes(labelled).findings[0].sentence)


def test_a_vm_whose_disks_stay_loses_no_data() -> None:
    vm = {"name": "v", "boot_disk": [{"auto_delete": False}]}
    assert review_changes(change("google_compute_instance.v", vm, None)).severity.label == STOPS
    scratch = {**vm, "scratch_disk": [{"interface": "NVME"}]}
    assert review_changes(change("google_compute_instance.v", scratch, None)).severity.label == LOSS
