"""Changes in place that cannot be taken back: versions that are upgraded, sizes that only grow, settings that stay on.

A revert of the configuration then fails, or changes nothing. Facts are those of the provider's and the services'
documentation.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from review.findings.finding import NO, Finding, Kind, Severity
from review.findings.text import span
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import get_blocks, get_number, get_text, get_value, is_known

UPGRADE = "an earlier version cannot be installed again"
GROWTH = "it cannot shrink again"
STAYS_ON = "it cannot be turned off again"
UNSET = "unset"


@dataclass(frozen=True)
class OneWay:
    """An argument that changes in one direction only.

    `when`: changes it gets another value, larger it increases, true it becomes true, set it gets its first value, unset
    it loses its value.
    """

    types: tuple[str, ...]
    path: str
    when: str
    reason: str
    severity: Severity = Severity.CHANGE


ARGUMENTS = (
    OneWay(("google_alloydb_cluster",), "database_version", "changes", UPGRADE, Severity.CARE),
    OneWay(("google_redis_instance",), "redis_version", "changes", UPGRADE, Severity.CARE),
    OneWay(("google_memcache_instance",), "memcache_version", "changes", UPGRADE, Severity.CARE),
    OneWay(("google_memorystore_instance",), "engine_version", "changes", UPGRADE, Severity.CARE),
    OneWay(("google_container_cluster",), "min_master_version", "changes",
           "a control plane cannot go back to an earlier minor version", Severity.CARE),
    OneWay(("google_container_aws_cluster", "google_container_azure_cluster"), "control_plane.version", "changes",
           UPGRADE, Severity.CARE),
    OneWay(("google_container_attached_cluster",), "platform_version", "changes", UPGRADE, Severity.CARE),
    OneWay(("google_gkeonprem_vmware_*cluster",), "on_prem_version", "changes", UPGRADE, Severity.CARE),
    OneWay(("google_gkeonprem_bare_metal_*cluster",), "bare_metal_version", "changes", UPGRADE, Severity.CARE),
    OneWay(("google_composer_environment",), "config.software_config.image_version", "changes", UPGRADE, Severity.CARE),
    OneWay(("google_data_fusion_instance",), "version", "changes", UPGRADE, Severity.CARE),
    OneWay(("google_sql_database_instance",), "master_instance_name", UNSET,
           "a promoted replica cannot become a replica again", Severity.CARE),
    OneWay(("google_alloydb_cluster",), "cluster_type", "changes",
           "a promoted cluster cannot become a secondary cluster again", Severity.CARE),
    OneWay(("google_compute_disk", "google_compute_region_disk"), "size", "larger", GROWTH),
    OneWay(("google_sql_database_instance",), "settings.disk_size", "larger", GROWTH),
    OneWay(("google_filestore_instance",), "file_shares.capacity_gb", "larger", "a basic tier cannot shrink again"),
    OneWay(("google_netapp_storage_pool",), "hot_tier_size_gib", "larger", GROWTH),
    OneWay(("google_managed_kafka_topic",), "partition_count", "larger", "partitions cannot be removed"),
    OneWay(("google_pubsub_lite_topic",), "partition_config.count", "larger", "partitions cannot be removed"),
    OneWay(("google_compute_subnetwork",), "ip_cidr_range", "changes", "a range can only be expanded"),
    OneWay(("google_logging_*_bucket_config",), "enable_analytics", "true", STAYS_ON),
    OneWay(("google_logging_*_bucket_config",), "cmek_settings", "set", STAYS_ON),
    OneWay(("google_bigquery_analytics_hub_data_exchange", "google_bigquery_analytics_hub_listing"),
           "log_linked_dataset_query_user_email", "true", STAYS_ON),
    OneWay(("google_netapp_storage_pool",), "allow_auto_tiering", "true", STAYS_ON),
    OneWay(("google_container_cluster",), "enable_l4_ilb_subsetting", "true", STAYS_ON),
    OneWay(("google_container_cluster",), "enable_k8s_beta_apis", "set", "beta APIs cannot be turned off again"),
    OneWay(("google_sql_database_instance",), "settings.ip_configuration.private_network", "set",
           "the network can be changed, not removed"),
    OneWay(("google_backup_dr_backup_vault",), "effective_time", "set",
           "from then on its enforced retention cannot be shortened", Severity.CARE),
    OneWay(("google_bigquery_dataset",), "storage_billing_model", "changes", "it can change again after 14 days only"),
)  # fmt: skip


def one_way_findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield each argument of a change in place that a revert does not bring back."""
    if change.action != "update":
        return
    for rule in ARGUMENTS:
        if not any(fnmatchcase(change.type, each) for each in rule.types) or not _applies(rule, change):
            continue
        old, new = (span(_format(rule, side)) for side in (change.old, change.new))
        yield Finding(
            Kind.SERVICE,
            rule.severity,
            context.where(change),
            f"{span(rule.path)} changes from {old} to {new}, which cannot be reverted: {rule.reason}",
            NO,
            4,
            address=change.address,
        )


def _format(rule: OneWay, values: object) -> str:
    return get_text(values, rule.path) or ("set" if get_value(values, rule.path) else UNSET)


def _applies(rule: OneWay, change: Change) -> bool:
    old, new = get_value(change.old, rule.path), get_value(change.new, rule.path)
    if rule.when == UNSET:
        return bool(old) and not new
    if rule.when == "set":
        return not old and bool(new)
    if rule.when == "true":
        return new is True and old is not True
    if rule.when == "larger":
        sides = [_add_up(side, rule.path) for side in (change.old, change.new)]
        return sides[0] is not None and sides[1] is not None and sides[1] > sides[0]
    return is_known(old) and is_known(new) and bool(old) and bool(new) and old != new


def _add_up(values: object, path: str) -> float | None:
    """Return a number, of a block that is repeated the sum; None if there is none."""
    block, _, name = path.rpartition(".")
    numbers = (
        [get_number(each, name) for each in get_blocks(values, block)]
        if block
        else [get_number(values, name)]
    )
    known = [each for each in numbers if each is not None]
    return sum(known) if known else None
