"""A small stack with correct grants, and copies of it in which one resource is wrong."""

import copy
from typing import Any

BUILD_ACCOUNT = "${google_service_account.identity_build.email}"
WORKER = "${google_service_account.identity_worker.email}"
WORKER_MEMBER = "${google_service_account.identity_worker.member}"
CLEAN: dict[str, Any] = {
    "provider": {"google": [{"project": "p"}]},
    "resource": {
        "google_service_account": {
            "identity_worker": {"account_id": "vlille-worker"},
            "identity_build": {"account_id": "vlille-build"},
        },
        "google_storage_bucket": {"storage_landing": {"name": "p-landing"}},
        "google_cloudfunctions2_function": {
            "collection_function": {
                "name": "collector",
                "build_config": {"service_account": "${google_service_account.identity_build.name}"},
                "service_config": {"service_account_email": WORKER},
            }
        },
        "google_storage_bucket_iam_member": {
            "reads": {
                "bucket": "${google_storage_bucket.storage_landing.name}",
                "role": "roles/storage.objectViewer",
                "member": WORKER_MEMBER,
            }
        },
        "google_project_iam_member": {
            "logs": {
                "project": "p",
                "role": "roles/logging.logWriter",
                "member": f"serviceAccount:{BUILD_ACCOUNT}",
            }
        },
    },
}


def with_resources(kind: str, logical_id: str, /, **arguments: object) -> dict[str, Any]:
    """Return the small stack with one resource added or replaced."""
    stack = copy.deepcopy(CLEAN)
    stack["resource"].setdefault(kind, {})[logical_id] = arguments
    return stack


def on_project(role: str, **arguments: object) -> dict[str, Any]:
    return with_resources(
        "google_project_iam_member", "more", project="p", role=role, member=WORKER_MEMBER, **arguments
    )


def on_bucket(member: str, role: str = "roles/storage.objectViewer") -> dict[str, Any]:
    bucket = "${google_storage_bucket.storage_landing.name}"
    return with_resources("google_storage_bucket_iam_member", "more", bucket=bucket, role=role, member=member)


def custom(*permissions: str) -> dict[str, Any]:
    stack = on_project("${google_project_iam_custom_role.batch_starter.name}")
    stack["resource"]["google_project_iam_custom_role"] = {
        "batch_starter": {"role_id": "starter", "permissions": list(permissions)}
    }
    return stack


def if_named(expression: str) -> dict[str, Any]:
    return on_project("roles/storage.objectViewer", condition={"title": "one", "expression": expression})


def in_provider(**arguments: str) -> dict[str, Any]:
    stack = copy.deepcopy(CLEAN)
    stack["provider"]["google"][0] |= arguments
    return stack


def in_data(kind: str) -> dict[str, Any]:
    return copy.deepcopy(CLEAN) | {"data": {kind: {"worker": {"name": "k"}}}}


def scheduled(**target: object) -> dict[str, Any]:
    return with_resources("google_cloud_scheduler_job", "schedule_copy", name="copy", **target)
