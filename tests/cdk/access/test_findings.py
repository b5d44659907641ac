"""Each kind of finding is reported for a stack that has it, and a correct stack has none."""

import re
from typing import Any

import pytest

from cdk.access import Finding, list_findings
from tests.cdk.access.fragments import (
    BUILD_ACCOUNT,
    WORKER,
    WORKER_MEMBER,
    custom,
    if_named,
    in_data,
    in_provider,
    on_bucket,
    on_project,
    scheduled,
    with_resources,
)
from tests.cdk.test_access import list_table_rows, read_source


@pytest.mark.unit
@pytest.mark.parametrize(
    ("stack", "kinds"),
    [
        (on_project("roles/editor"), ["basic role"]),
        (on_bucket(WORKER_MEMBER, "roles/owner"), ["basic role"]),
        (on_project("roles/storage.objectViewer"), ["project-wide data"]),
        (on_project("roles/bigquery.dataViewer"), ["project-wide data"]),
        (on_project("roles/dataproc.worker"), ["project-wide data"]),
        (on_project("roles/iam.serviceAccountUser"), ["project-wide data"]),
        (custom("dataproc.clusters.get", "storage.objects.get"), ["project-wide data"]),
        (if_named('resource.name != "x"'), ["project-wide data"]),
        (if_named('resource.name.startsWith("projects/_/buckets/x") || true'), ["project-wide data"]),
        (if_named('request.time < timestamp("2030-01-01T00:00:00Z")'), ["project-wide data"]),
        (
            with_resources(
                "google_folder_iam_member",
                "more",
                folder="folders/1",
                role="roles/storage.objectViewer",
                member=WORKER_MEMBER,
            ),
            ["project-wide data"],
        ),
        (on_bucket("allUsers"), ["public"]),
        (on_bucket("allAuthenticatedUsers"), ["public"]),
        (
            with_resources(
                "google_storage_bucket_iam_binding",
                "more",
                bucket="b",
                role="roles/storage.objectViewer",
                members=[WORKER_MEMBER, "allUsers"],
            ),
            ["public"],
        ),
        (
            with_resources(
                "google_cloud_run_v2_service",
                "archiving_service",
                template={"service_account": "somebody@p.iam.gserviceaccount.com"},
                invoker_iam_disabled=True,
            ),
            ["public"],
        ),
        (with_resources("google_service_account_key", "worker", service_account_id="x"), ["key"]),
        (with_resources("google_storage_hmac_key", "worker", service_account_email="x"), ["key"]),
        (in_data("google_service_account_key"), ["key"]),
        (in_provider(credentials="{}"), ["key"]),
        (
            with_resources(
                "google_storage_bucket_acl", "landing", bucket="b", role_entity=["READER:allUsers"]
            ),
            ["outside IAM", "public"],
        ),
        (
            with_resources(
                "google_bigquery_dataset", "warehouse_dataset", access=[{"role": "OWNER", "domain": "x.org"}]
            ),
            ["outside IAM"],
        ),
        (
            with_resources(
                "google_cloud_run_v2_service", "archiving_service", template={"service_account": WORKER}
            ),
            ["shared identity"],
        ),
        (
            with_resources(
                "google_pubsub_subscription",
                "collection_push",
                push_config=[{"push_endpoint": "x", "oidc_token": [{"service_account_email": WORKER}]}],
            ),
            ["shared identity"],
        ),
        (
            with_resources(
                "google_pubsub_subscription",
                "more_push",
                push_config={
                    "push_endpoint": "${google_cloudfunctions2_function.more_function.url}/1",
                    "oidc_token": {"service_account_email": WORKER},
                },
            ),
            ["shared identity"],
        ),
        (scheduled(http_target={"oauth_token": {"service_account_email": WORKER}}), ["shared identity"]),
        (
            with_resources(
                "google_dataproc_workflow_template",
                "batch_template",
                placement={
                    "managed_cluster": {"config": {"gce_cluster_config": {"service_account": WORKER}}}
                },
            ),
            ["shared identity"],
        ),
        (
            with_resources(
                "terraform_data", "build_image", provisioner=[{"local-exec": {"command": f"build {WORKER}"}}]
            ),
            ["shared identity"],
        ),
        (
            with_resources("google_cloud_run_v2_job", "more_job", template={"template": {"containers": []}}),
            ["no identity"],
        ),
        (scheduled(http_target={"uri": "x"}), ["no identity"]),
        (
            with_resources(
                "google_pubsub_subscription", "collection_push", push_config={"push_endpoint": "x"}
            ),
            ["no identity"],
        ),
        (
            with_resources("google_service_account", "identity_idle", account_id="vlille-idle"),
            ["identity without a grant"],
        ),
        (on_bucket("user:somebody@example.org"), ["grant without an identity"]),
        (on_bucket("${google_service_account.identity_gone.member}"), ["grant without an identity"]),
    ],
)
def test_violations_are_found(stack: dict[str, Any], kinds: list[str]) -> None:
    assert [finding.kind for finding in list_findings(stack)] == kinds


@pytest.mark.unit
def test_every_kind_of_finding_is_on_the_page_and_has_a_fragment() -> None:
    described = {kind.strip("`| ") for kind, _ in list_table_rows("What a stack must not have")}
    source = read_source("cdk/access/findings.py")
    declared = set(re.findall(r'Finding\(\s*"([\w -]+)"', source, re.IGNORECASE))
    marks = test_violations_are_found.pytestmark
    [cases] = [mark.args[1] for mark in marks if mark.name == "parametrize"]
    assert described == declared == {kind for _, kinds in cases for kind in kinds}


@pytest.mark.unit
@pytest.mark.parametrize(
    "stack",
    [
        on_project("roles/bigquery.jobUser"),
        custom("dataproc.workflowTemplates.instantiate"),
        if_named(
            'resource.name.startsWith("projects/_/buckets/gcf-v2-sources-${data.google_project.it.number}-")'
        ),
        scheduled(pubsub_target={"topic_name": "x"}),
        # All jobs of Cloud Scheduler count as one workload, and so do the builds of the function and of the image.
        scheduled(http_target={"oidc_token": {"service_account_email": "someone@p.iam.gserviceaccount.com"}}),
        with_resources(
            "terraform_data", "build_image", provisioner=[{"local-exec": {"command": BUILD_ACCOUNT}}]
        ),
        with_resources("google_pubsub_subscription", "collection_dead_letters", topic="x"),
        on_bucket(
            "serviceAccount:service-${data.google_project.identity_project.number}"
            "@gcp-sa-pubsub.iam.gserviceaccount.com"
        ),
        with_resources("google_kms_crypto_key", "more", name="k"),
    ],
)
def test_permitted_configurations_have_no_findings(stack: dict[str, Any]) -> None:
    assert list_findings(stack) == []


@pytest.mark.unit
def test_findings_are_distinct_and_sorted() -> None:
    stack = on_bucket("allUsers", "roles/viewer")
    stack["resource"]["google_service_account"]["identity_idle"] = {}
    assert list_findings(stack) == [
        Finding(
            "basic role",
            "allUsers has roles/viewer on bucket landing: grant a role with the permissions that it needs",
        ),
        Finding("identity without a grant", "idle has no role: grant what it needs, or remove it"),
        Finding(
            "public",
            "google_storage_bucket_iam_member.more grants access to allUsers: grant it to specific principals",
        ),
    ]


@pytest.mark.unit
def test_subscriptions_that_call_one_function_may_share_an_identity() -> None:
    account = "${google_service_account.identity_push.email}"

    def push(shard: int, function: str) -> dict[str, Any]:
        endpoint = f"${{google_cloudfunctions2_function.{function}.url}}/shards/{shard}"
        token = {"service_account_email": account}
        return {"name": f"p{shard}", "push_config": {"push_endpoint": endpoint, "oidc_token": token}}

    def kinds(*functions: str) -> set[str]:
        pushes = {f"push_{shard}": push(shard, function) for shard, function in enumerate(functions)}
        return {each.kind for each in list_findings({"resource": {"google_pubsub_subscription": pushes}})}

    assert "shared identity" not in kinds("gbfs_function", "gbfs_function")
    assert "shared identity" in kinds("gbfs_function", "collection_function")
