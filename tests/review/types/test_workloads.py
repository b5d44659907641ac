"""Workloads, their identities and who can reach them: functions, services, schedules, networks."""

import base64
from typing import Any

import pytest

from tests.review.conftest import change, summarize_findings

pytestmark = pytest.mark.unit

F, S, J = "google_cloudfunctions2_function.f", "google_cloud_run_v2_service.s", "google_cloud_scheduler_job.j"
W, N, C = "google_compute_firewall.w", "google_compute_network.n", "google_project_iam_custom_role.c"
REPLACE = ("delete", "create")
OLD, NEW = "old@p.iam.gserviceaccount.com", "new@p.iam.gserviceaccount.com"


def function(**service: Any) -> dict[str, Any]:
    build = {key: service.pop(key) for key in ("runtime", "source") if key in service}
    return {"name": "f", "location": "eu", "build_config": [build], "service_config": [service]}


def service(image: str = "eu-docker.pkg.dev/p/r/i:aaaaaaaa", env: Any = (), **more: Any) -> dict[str, Any]:
    template = {
        "containers": [{"image": image, "env": list(env)}],
        "service_account": more.pop("account", OLD),
    }
    return {"name": "s", "template": [template], **more}


def rule(*sources: str, ports: tuple[str, ...] = ("22",), **more: Any) -> dict[str, Any]:
    return {
        "name": "w",
        "allow": [{"protocol": "tcp", "ports": list(ports)}],
        "source_ranges": list(sources),
        **more,
    }


def grant(member: str) -> dict[str, Any]:
    return {"bucket": "b", "role": "roles/storage.objectViewer", "member": f"serviceAccount:{member}"}


def granted(member: str) -> dict[str, Any]:
    return change(f"google_storage_bucket_iam_member.{member[:3]}", grant(member), grant(member))


CASES: dict[str, tuple[list[dict[str, Any]], list[tuple[str, str]]]] = {
    "environment": (
        [
            change(
                F,
                function(environment_variables={"A": "1", "B": "2"}),
                function(environment_variables={"A": "3", "C": "4"}),
            )
        ],
        [("code", "environment variables: A: 1 → 3; B is no longer set (it was 2); C is set to 4")],
    ),
    "runtime": (
        [change(F, function(runtime="python312"), function(runtime="python313"))],
        [("code", "runtime python312 → python313")],
    ),
    "memory": (
        [change(F, function(available_memory="256M"), function(available_memory="512M"))],
        [("change", "memory 256M → 512M")],
    ),
    "reach": (
        [change(F, function(ingress_settings="ALLOW_INTERNAL_ONLY"), function(ingress_settings="ALLOW_ALL"))],
        [
            (
                "access widened",
                "can be reached from the whole internet instead of from inside the project",
            )
        ],
    ),
    "reach, narrower": (
        [change(S, service(ingress="INGRESS_TRAFFIC_ALL"), service(ingress="INGRESS_TRAFFIC_INTERNAL_ONLY"))],
        [("change", "can be reached from inside the project and its network only instead")],
    ),
    "nobody is asked who calls": (
        [change(S, service(invoker_iam_disabled=False), service(invoker_iam_disabled=True))],
        [("access widened", "anyone who can reach it can call it")],
    ),
    "identity that may do more": (
        [change(S, service(), service(account=NEW)), granted(NEW)],
        [
            (
                "access widened",
                f"runs as {NEW} instead of {OLD}: it can now read and list the objects of bucket b",
            )
        ],
    ),
    "identity that may do the same": (
        [change(S, service(), service(account=NEW)), granted(NEW), granted(OLD)],
        [("change", f"runs as {NEW} instead of {OLD}")],
    ),
    "identity of which nothing is known": (
        [change(S, service(), service(account=NEW))],
        [("access widened", "the permissions of that account are not in this plan")],
    ),
    "default identity": (
        [change(S, service(), service(account=""))],
        [("access widened", "runs as the project's default account")],
    ),
    "image from elsewhere": (
        [change(S, service(), service(image="eu-docker.pkg.dev/p/r/i:bbbbbbbb"))],
        [
            (
                "code",
                "image eu-docker.pkg.dev/p/r/i:aaaaaaaa → eu-docker.pkg.dev/p/r/i:bbbbbbbb; its "
                "source is not in this plan",
            )
        ],
    ),
    "secret in the environment": (
        [
            change(
                S,
                service(env=[{"name": "K", "value": "1"}]),
                service(
                    env=[
                        {
                            "name": "K",
                            "value_source": [{"secret_key_ref": [{"secret": "key", "version": "2"}]}],
                        }
                    ]
                ),
            )
        ],
        [("code", "environment variables: K: 1 → version 2 of the secret key")],
    ),
    "service replaced": (
        [change(S, service(), service(location="us"), *REPLACE, replace_paths=[["location"]])],
        [("service interrupted", "is replaced (the old one is deleted first)")],
    ),
    "service deleted": ([change(S, service(), None)], [("service interrupted", "is deleted")]),
    "schedule": (
        [
            change(
                J,
                {"schedule": "* * * * *", "time_zone": "Etc/UTC"},
                {"schedule": "0 3 * * *", "time_zone": "Etc/UTC"},
            )
        ],
        [("change", "runs at 0 3 * * * Etc/UTC instead of * * * * * Etc/UTC")],
    ),
    "paused": (
        [change(J, {"paused": False}, {"paused": True})],
        [("service interrupted", "is paused and no longer runs")],
    ),
    "message": (
        [
            change(
                J,
                {"pubsub_target": [{"data": base64.b64encode(b"old").decode()}]},
                {"pubsub_target": [{"data": base64.b64encode(b"new").decode()}]},
            )
        ],
        [("change", "sends new instead of old")],
    ),
    "template": (
        [
            change(
                "google_dataproc_workflow_template.t",
                {"dag_timeout": "60s"},
                {"dag_timeout": "90s"},
                *REPLACE,
            )
        ],
        [
            (
                "change",
                "is deleted and created again, which does not affect running jobs: dag_timeout: 60s → 90s",
            )
        ],
    ),
    "open to the internet": (
        [change(W, None, rule("0.0.0.0/0"))],
        [
            (
                "access widened",
                "firewall rule w: the whole internet can now reach every VM of the network on tcp 22",
            ),
            ("note", "is created"),
        ],
    ),
    "opened inside": (
        [change(W, None, rule("10.0.0.0/8"))],
        [
            ("access widened", "firewall rule w: 10.0.0.0/8 can now reach every VM"),
            ("note", "is created"),
        ],
    ),
    "more ports": (
        [change(W, rule("10.0.0.0/8"), rule("10.0.0.0/8", ports=("22", "80")))],
        [
            (
                "access widened",
                "on tcp 22 and tcp 80; before: 10.0.0.0/8 on tcp 22",
            )
        ],
    ),
    "fewer sources": (
        [change(W, rule("0.0.0.0/0"), rule("10.0.0.0/8", disabled=True))],
        [("change", "firewall rule w no longer allows anything")],
    ),
    "rule deleted": (
        [change(W, rule("10.0.0.0/8"), None)],
        [("change", "firewall rule w no longer allows anything"), ("change", "is deleted")],
    ),
    "network replaced": (
        [change(N, {"name": "n"}, {"name": "m"}, *REPLACE), change(W, rule(network="n"), rule(network="n"))],
        [
            ("service interrupted", "network n is replaced: resources in it lose connectivity"),
            ("change", "is replaced (the old one is deleted first)"),
        ],
    ),
    "account deleted": (
        [change("google_service_account.a", {"account_id": "a", "email": OLD}, None)],
        [
            (
                "service interrupted",
                f"service account {OLD} is deleted: workloads that run as it fail, and its grants are lost",
            )
        ],
    ),
    "key made": (
        [change("google_service_account_key.k", None, {"service_account_id": OLD})],
        [
            (
                "access widened",
                f"a key of service account {OLD} is created: anyone with the key can act as the account",
            ),
            ("note", "is created"),
        ],
    ),
    "custom role widened": (
        [
            change(
                C,
                {"role_id": "c", "permissions": ["a.b.get"]},
                {"role_id": "c", "permissions": ["a.b.get", "a.b.delete"]},
            )
        ],
        [("access widened", "members with custom role c can now also use a.b.delete")],
    ),
    "custom role narrowed": (
        [
            change(
                C,
                {"role_id": "c", "permissions": ["a.b.get", "a.b.delete"]},
                {"role_id": "c", "permissions": ["a.b.get"]},
            )
        ],
        [("change", "members with custom role c can no longer use a.b.delete")],
    ),
    "identities from outside": (
        [
            change(
                "google_iam_workload_identity_pool_provider.p",
                {"attribute_condition": "assertion.repository == 'a/b'"},
                {"attribute_condition": ""},
            )
        ],
        [
            (
                "access widened",
                "external identities can authenticate through google_iam_workload_identity_pool_provider.p: "
                "every identity of its issuer; before: only if assertion.repository == 'a/b'",
            )
        ],
    ),
    "dataset's own list": (
        [
            change(
                "google_bigquery_dataset.d",
                {"dataset_id": "d", "access": []},
                {"dataset_id": "d", "access": [{"role": "READER", "special_group": "allAuthenticatedUsers"}]},
            )
        ],
        [
            (
                "access widened",
                "anyone with a Google account can now read the data of dataset d (roles/bigquery.dataViewer): "
                "this is public",
            ),
            ("change", "is updated in place: access: unset → "),
        ],
    ),
    "public by an access list": (
        [
            change(
                "google_storage_bucket_acl.a",
                None,
                {"bucket": "b", "role_entity": ["READER:allUsers", "OWNER:project-owners-1"]},
            )
        ],
        [("access widened", "anyone on the internet can now list the objects of bucket b")],
    ),
    "database restarts": (
        [
            change(
                "google_sql_database_instance.i",
                {"settings": [{"tier": "db-f1-micro", "backup_configuration": [{"enabled": True}]}]},
                {"settings": [{"tier": "db-g1-small", "backup_configuration": [{"enabled": False}]}]},
            )
        ],
        [
            (
                "service interrupted",
                "restarts and is unavailable meanwhile: tier db-f1-micro → db-g1-small",
            ),
            ("needs care", "is no longer backed up"),
            ("change", "changes: about $9.37 → $27.25"),
        ],
    ),
    "database for everyone": (
        [
            change(
                "google_sql_database_instance.i",
                None,
                {"settings": [{"ip_configuration": [{"authorized_networks": [{"value": "0.0.0.0/0"}]}]}]},
            )
        ],
        [("access widened", "the whole internet can connect to it from now on"), ("note", "is created")],
    ),
    "VM made public": (
        [
            change(
                "google_compute_instance.i",
                {"machine_type": "e2-small", "network_interface": [{"access_config": []}]},
                {"machine_type": "e2-medium", "network_interface": [{"access_config": [{}]}]},
            )
        ],
        [
            ("access widened", "gets a public address"),
            (
                "service interrupted",
                "must be stopped to change its machine type e2-small → e2-medium: the apply fails part-way",
            ),
            ("change", "changes: about $13.85 → $30.95"),
        ],
    ),
    "VM of another machine type": (
        [
            change(
                "google_compute_instance.i",
                {"machine_type": "e2-small", "allow_stopping_for_update": True},
                {"machine_type": "e2-medium", "allow_stopping_for_update": True},
            )
        ],
        [
            ("service interrupted", "is stopped and started again: machine type e2-small → e2-medium"),
            ("change", "changes: about $13.85 → $27.30"),
        ],
    ),
    "logs kept for less": (
        [change("google_logging_project_bucket_config.b", {"retention_days": 90}, {"retention_days": 30})],
        [("data loss", "logs in it are kept for 30 days instead of 90 days: older ones are deleted")],
    ),
    "unprotected": (
        [change(S, service(deletion_protection=True), service(deletion_protection=False))],
        [
            ("needs care", "deletion protection is turned off"),
            ("change", "is updated in place: deletion_protection"),
        ],
    ),
    "binding made": (
        [
            change(
                "google_project_iam_binding.b",
                None,
                {"project": "p", "role": "roles/viewer", "members": ["user:u@example.org"]},
            )
        ],
        [
            (
                "access widened",
                "a basic role, which reaches every service",
            ),
            ("needs care", "every other member with roles/viewer on project p loses it"),
        ],
    ),
    "API off": (
        [
            change(
                "google_project_service.s",
                {"service": "run.googleapis.com", "disable_on_destroy": True},
                None,
            )
        ],
        [
            ("service interrupted", "API run.googleapis.com is disabled"),
            ("change", "is deleted"),
        ],
    ),
    "metric renamed": (
        [change("google_logging_metric.m", {"name": "a"}, {"name": "b"})],
        [
            (
                "needs care",
                "metric a is not renamed: b is created, and the old one stays, no longer managed by Terraform",
            )
        ],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_happens_to_a_workload_is_reported(case: str) -> None:
    changes, expected = CASES[case]
    found = summarize_findings(*changes)
    assert [severity for severity, _ in found] == [severity for severity, _ in expected], found
    for (_, sentence), (_, words) in zip(found, expected, strict=True):
        assert words in sentence
