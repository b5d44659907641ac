"""Types that hold something which a deletion loses, and types known to hold nothing; of the rest that is not known."""

from fnmatch import fnmatchcase

# Type → what is lost, and how much that is beside other losses. BigQuery, buckets, topics and the like have renderers.
HOLDS: dict[str, tuple[str, int]] = {
    "google_project": ("everything in it is lost after 30 days", 100),
    "google_sql_database_instance": (
        "every database in it is lost; its name cannot be used again for a week",
        88,
    ),
    "google_sql_database": ("all its tables are lost", 75),
    "google_sql_user": ("who logs in by it can no longer do so", 20),
    "google_alloydb_cluster": ("every database in it is lost", 88),
    "google_alloydb_instance": ("what reads and writes through it stops", 40),
    "google_spanner_instance": ("every database in it is lost", 88),
    "google_spanner_database": ("all its tables are lost", 80),
    "google_bigtable_instance": ("every table in it is lost", 88),
    "google_bigtable_table": ("all its rows are lost", 70),
    "google_firestore_database": ("every document in it is lost", 88),
    "google_firestore_document": ("the document is lost", 40),
    "google_filestore_instance": ("every file on it is lost", 85),
    "google_redis_instance": ("what it holds in memory is lost", 55),
    "google_redis_cluster": ("what it holds in memory is lost", 55),
    "google_memcache_instance": ("what it holds in memory is lost", 30),
    "google_compute_disk": ("what is on it is lost", 70),
    "google_compute_region_disk": ("what is on it is lost", 70),
    "google_compute_attached_disk": ("the machine loses the disk, which stays", 30),
    "google_compute_snapshot": ("the snapshot is lost", 60),
    "google_compute_image": ("the image is lost", 40),
    "google_compute_instance": ("its boot disk goes with it, unless auto_delete is off", 60),
    "google_container_cluster": ("its workloads and their volumes are lost", 80),
    "google_container_node_pool": ("its workloads move or stop, what is on local disks is lost", 40),
    "google_composer_environment": ("its DAG runs and their history are lost", 60),
    "google_dataproc_cluster": ("what is on its disks (HDFS) is lost and its jobs stop", 50),
    "google_dataproc_metastore_service": ("every table definition in it is lost", 75),
    "google_data_fusion_instance": ("its pipelines are lost", 60),
    "google_datastream_stream": ("the stream stops where it is", 40),
    "google_secret_manager_secret": ("every version of the secret is lost at once", 65),
    "google_secret_manager_secret_version": ("this value of the secret is destroyed", 55),
    "google_kms_crypto_key": (
        "what is encrypted with its versions can no longer be read once they are destroyed",
        92,
    ),
    "google_kms_crypto_key_version": (
        "what is encrypted with it can no longer be read once it is destroyed",
        90,
    ),
    "google_kms_key_ring": ("Terraform only forgets it: a key ring cannot be deleted", 10),
    "google_logging_project_bucket_config": ("the logs in it are lost", 55),
    "google_logging_folder_bucket_config": ("the logs in it are lost", 55),
    "google_logging_organization_bucket_config": ("the logs in it are lost", 55),
    "google_artifact_registry_repository": ("every image and package in it is lost", 65),
    "google_container_registry": ("every image in it is lost", 65),
    "google_sourcerepo_repository": ("every commit in it is lost", 80),
    "google_pubsub_snapshot": ("the snapshot is lost", 45),
    "google_pubsub_lite_topic": ("every message in it is lost", 55),
    "google_pubsub_lite_subscription": ("its place in the topic is lost", 40),
    "google_dns_managed_zone": ("its names no longer resolve", 60),
    "google_healthcare_dataset": ("every record in it is lost", 88),
    "google_healthcare_dicom_store": ("every image in it is lost", 80),
    "google_healthcare_fhir_store": ("every record in it is lost", 80),
    "google_vertex_ai_dataset": ("the dataset is lost", 60),
    "google_vertex_ai_featurestore": ("every feature value in it is lost", 70),
    "google_notebooks_instance": ("what is on its disk is lost", 60),
    "google_workbench_instance": ("what is on its disk is lost", 60),
    "google_backup_dr_backup_vault": ("the backups in it are lost", 88),
    "google_bigquery_data_transfer_config": ("its schedule and the history of its runs are lost", 25),
    "google_service_account_key": ("who uses the key can no longer log in", 30),
    "google_storage_hmac_key": ("who uses the key can no longer log in", 30),
}
# Providers that keep nothing but what their arguments say.
EMPTY = (
    "google_*",
    "null_*",
    "random_*",
    "time_*",
    "tls_*",
    "local_*",
    "template_*",
    "http*",
    "external*",
    "archive_*",
    "terraform_data",
)


def holds(type_: str) -> tuple[str, int] | None:
    """Return what is lost with a resource of this type, and how much; None where nothing is."""
    known = HOLDS.get(type_.replace("google-beta", "google"))
    if known or any(fnmatchcase(type_, pattern) for pattern in EMPTY):
        return known
    return "whether it holds data is not known here", 30


def is_known(type_: str) -> bool:
    """Tell whether it is known what a resource of this type holds."""
    return type_ in HOLDS or any(fnmatchcase(type_, pattern) for pattern in EMPTY)
