"""Access that is not a grant: what opens, which restrictions end, and what was not examined."""

import json
from typing import Any

import pytest

from review.access.exposure import TABLE, list_unexamined_access
from review.assessment.review import Review
from review.findings.finding import Severity
from review.report.document import lay_out_review
from tests.review.conftest import build_context, change, review_changes, summarize_findings

pytestmark = pytest.mark.unit

WIDENED, NARROWED, CARE, STOPS = "access widened", "change", "needs care", "service interrupted"


def nested(path: str, value: Any) -> dict[str, Any]:
    head, _, rest = path.partition(".")
    return {head: [nested(rest, value)] if rest else value}


# Type, argument, before, after, highest severity of the findings.
ARGUMENTS: list[tuple[str, str, Any, Any, str]] = [
    ("google_container_cluster", "enable_legacy_abac", False, True, WIDENED),
    ("google_container_cluster", "enable_legacy_abac", True, False, NARROWED),
    ("google_container_cluster", "private_cluster_config.enable_private_endpoint", True, False, WIDENED),
    ("google_container_cluster", "private_cluster_config.enable_private_endpoint", False, True, NARROWED),
    ("google_redis_instance", "auth_enabled", True, False, WIDENED),
    ("google_redis_instance", "auth_enabled", False, True, NARROWED),
    ("google_redis_instance", "transit_encryption_mode", "SERVER_AUTHENTICATION", "DISABLED", WIDENED),
    ("google_redis_instance", "transit_encryption_mode", "DISABLED", "SERVER_AUTHENTICATION", NARROWED),
    ("google_sql_database_instance", "settings.ip_configuration.ssl_mode", "ENCRYPTED_ONLY", None, WIDENED),
    ("google_sql_database_instance", "settings.ip_configuration.ssl_mode", None, "ENCRYPTED_ONLY", NARROWED),
    ("google_compute_ssl_policy", "min_tls_version", "TLS_1_2", "TLS_1_0", WIDENED),
    ("google_compute_backend_service", "iap.enabled", True, False, WIDENED),
    ("google_compute_backend_service", "security_policy", "p", "", WIDENED),
    ("google_compute_backend_service", "security_policy", "", "p", NARROWED),
    ("google_apikeys_key", "restrictions", [{"api_targets": [{"service": "a"}]}], [], WIDENED),
    ("google_cloudbuild_trigger", "approval_config.approval_required", True, False, WIDENED),
    ("google_compute_subnetwork", "private_ip_google_access", False, True, WIDENED),
    ("google_storage_hmac_key", "state", "INACTIVE", "ACTIVE", WIDENED),
    ("google_storage_hmac_key", "state", "ACTIVE", "INACTIVE", STOPS),
    ("google_compute_project_metadata", "metadata", {}, {"ssh-keys": "a:ssh-ed25519 AAAA a"}, WIDENED),
    ("google_compute_project_metadata", "metadata", {"ssh-keys": "a:ssh-ed25519 AAAA a"}, {}, NARROWED),
    ("google_compute_project_metadata", "metadata", {"enable-oslogin": "TRUE"}, {}, WIDENED),
    ("google_dns_record_set", "rrdatas", ["192.0.2.1"], ["198.51.100.9"], CARE),
    ("google_org_policy_policy", "spec.rules.enforce", "TRUE", "FALSE", WIDENED),
    ("google_iam_deny_policy", "rules.deny_rule.denied_permissions", ["a", "b"], ["a"], WIDENED),
]


@pytest.mark.parametrize(("type_", "path", "old", "new", "expected"), ARGUMENTS)
def test_an_argument_widens_or_narrows(type_: str, path: str, old: Any, new: Any, expected: str) -> None:
    found = summarize_findings(change(f"{type_}.x", nested(path, old), nested(path, new)))
    assert found[0][0] == expected, found


SINK = {"name": "s", "destination": "storage.googleapis.com/ours"}
ROWS = {"policy_id": "p", "dataset_id": "d", "table_id": "t"}
SENTENCES = {
    "another destination": (
        change(
            "google_logging_project_sink.s", SINK, SINK | {"destination": "storage.googleapis.com/theirs"}
        ),
        "logs are copied to storage.googleapis.com/theirs: anyone who can read there reads them; changed: ",
    ),
    "access ends": (
        change("google_logging_project_sink.s", SINK, None),
        "is deleted, which ends this access: until now, logs are copied to storage.googleapis.com/ours",
    ),
    "a restriction begins": (
        change("google_bigquery_row_access_policy.p", None, ROWS),
        "from now on, row access policy p decides who sees which rows of table d.t",
    ),
    "a restriction ends": (
        change("google_bigquery_row_access_policy.p", ROWS, None),
        "is deleted, which ends this restriction: until now, row access policy p decides who sees",
    ),
}


@pytest.mark.parametrize("what", SENTENCES)
def test_a_sentence_names_the_values_after_the_apply(what: str) -> None:
    made, words = SENTENCES[what]
    assert any(sentence.startswith(words) for _, sentence in summarize_findings(made)), summarize_findings(
        made
    )


def clusters(*ranges: str) -> dict[str, Any]:
    return {"master_authorized_networks_config": [{"cidr_blocks": [{"cidr_block": each} for each in ranges]}]}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (clusters("10.0.0.0/8"), clusters("0.0.0.0/0"), WIDENED),
        (clusters("10.0.0.0/8"), clusters("0.0.0.0/1", "128.0.0.0/1"), WIDENED),
        (clusters("0.0.0.0/0"), clusters("10.0.0.0/8"), NARROWED),
        (clusters("10.0.0.0/8"), {}, WIDENED),
        ({}, clusters("10.0.0.0/8"), NARROWED),
    ],
)
def test_the_networks_of_a_control_plane_are_a_set(old: Any, new: Any, expected: str) -> None:
    found = summarize_findings(
        change("google_container_cluster.x", {"name": "c", **old}, {"name": "c", **new})
    )
    assert found[0][0] == expected, found


@pytest.mark.parametrize(
    ("type_", "values", "created", "removed"),
    [
        ("google_iam_deny_policy", {"name": "d"}, NARROWED, WIDENED),
        ("google_access_context_manager_service_perimeter", {"name": "p"}, NARROWED, WIDENED),
        ("google_org_policy_policy", {"name": "projects/p/policies/c"}, NARROWED, WIDENED),
        ("google_data_catalog_policy_tag", {"display_name": "pii"}, NARROWED, WIDENED),
        ("google_cloud_identity_group_membership", {"group": "groups/g"}, WIDENED, NARROWED),
        ("google_compute_network_peering", {"network": "a", "peer_network": "b"}, WIDENED, STOPS),
        ("google_sql_user", {"name": "u", "instance": "i"}, WIDENED, "data loss"),
        ("google_resource_manager_lien", {"parent": "projects/1"}, "note", CARE),
    ],
)
def test_deleting_a_restriction_and_creating_a_grant_widen_access(
    type_: str, values: dict[str, Any], created: str, removed: str
) -> None:
    assert summarize_findings(change(f"{type_}.x", None, values))[0][0] == created
    severities = [severity for severity, _ in summarize_findings(change(f"{type_}.x", values, None))]
    assert (WIDENED in severities) is (removed == WIDENED), severities


def answer_about_access(review: Review) -> str:
    return dict(lay_out_review(review).answers)["Who gains access?"]


@pytest.mark.parametrize(
    ("type_", "old", "new"),
    [
        ("aws_security_group_rule", None, {"cidr_blocks": ["0.0.0.0/0"]}),
        ("google_vertex_ai_feature_online_store", {"name": "x"}, {"name": "x", "allowed_networks": ["a"]}),
        ("google_gke_backup_restore_channel", {"id": "x"}, {"id": "x", "members": ["a"]}),
    ],
)
def test_unexamined_access_is_never_answered_with_nobody(type_: str, old: Any, new: Any) -> None:
    answer = answer_about_access(review_changes(change(f"{type_}.x", old, new)))
    assert answer.startswith("not known; not examined for access:")
    assert type_ in answer


def test_a_type_that_gives_nobody_access_is_examined() -> None:
    for type_ in ("random_id", "null_resource", "google_pubsub_topic", "google_storage_bucket_object"):
        (one,) = build_context(change(f"{type_}.x", None, {"name": "x"})).plan.changes
        assert list_unexamined_access(one) == ()


@pytest.mark.long
def test_every_sentence_of_the_table_can_be_filled() -> None:
    table = json.loads(TABLE.read_text("utf-8"))
    for section in ("grants", "restricts", "watches", "hides", "redirects"):
        for type_ in table[section]:
            name = type_.replace("*", "x")
            for old, new in ((None, {"name": "a"}), ({"name": "a"}, None), ({"x": "a"}, {"x": "b"})):
                for _, sentence in summarize_findings(change(f"{name}.x", old, new)):
                    assert "{" not in sentence.replace("{}", ""), (type_, sentence)


def values_of(rule: str) -> tuple[Any, Any]:
    """A strict and an open value of an argument with this rule."""
    if rule in ("true", "false"):
        return (False, True) if rule == "true" else (True, False)
    if "<" in rule:
        order = [each.strip() for each in rule.split("<")]
        return tuple(None if each == "(unset)" else each for each in (order[0], order[-1]))  # type: ignore[return-value]
    if rule.startswith("networks"):
        return ["10.0.0.0/8"], ["0.0.0.0/0"]
    return (["a"], []) if rule == "limits" else (["a"], ["a", "b"])


def test_every_argument_of_the_table_widens_access_with_its_open_value() -> None:
    table = json.loads(TABLE.read_text("utf-8"))["arguments"]
    for type_, rules in table.items():
        for path, rule in rules.items():
            old, new = (nested(path, each) for each in values_of(rule))
            found = review_changes(change(f"{type_}.x", old, new))
            assert found.severity >= Severity.WIDENED, (type_, path, rule)
            assert not answer_about_access(found).startswith("nobody"), (type_, path)


def test_a_changed_identity_of_a_type_without_a_renderer_widens_access() -> None:
    old, new = ({"name": "w", "service_account": f"{each}@p.iam.gserviceaccount.com"} for each in "ab")
    found = summarize_findings(change("google_workflows_workflow.w", old, new))
    assert found[0][0] == WIDENED
    assert "runs as b@p.iam.gserviceaccount.com instead of a@p" in found[0][1]


def member(role: str, member_: str, **on: str) -> dict[str, Any]:
    return {"role": role, "member": member_, **on}


EDITOR = "roles/bigquery.dataEditor"
A, B = "serviceAccount:a@p.iam.gserviceaccount.com", "serviceAccount:b@p.iam.gserviceaccount.com"


def test_an_authoritative_binding_names_the_members_of_the_plan_that_lose_the_role() -> None:
    held = [
        change(f"google_project_iam_member.{name}", values, values)
        for name, values in (("a", member(EDITOR, A, project="p")), ("b", member(EDITOR, B, project="p")))
    ]
    binding = {"project": "p", "role": EDITOR, "members": [A]}
    found = review_changes(*held, change("google_project_iam_binding.x", None, binding)).findings
    (ending,) = [each for each in found if "authoritative" in each.sentence]
    assert ending.severity.label == STOPS
    assert ending.recovery == "no"
    assert "b@p.iam" in ending.sentence
    assert "a@p.iam" not in ending.sentence


def test_deleting_a_projects_policy_takes_access_from_everyone() -> None:
    policy = {"project": "p", "policy_data": json.dumps({"bindings": [{"role": EDITOR, "members": [A]}]})}
    found = summarize_findings(change("google_project_iam_policy.x", policy, None))
    assert (
        STOPS,
        "the entire policy of project p is deleted: everyone loses access, owners "
        "included, and only a member with a role on a parent resource can grant access again",
    ) in found


def test_a_binding_moved_to_another_role_takes_away_both_roles() -> None:
    old = {"project": "p", "role": EDITOR, "members": [A]}
    new = {**old, "role": "roles/bigquery.dataViewer"}
    found = [
        sentence
        for _, sentence in summarize_findings(
            change("google_project_iam_binding.x", old, new, "delete", "create")
        )
    ]
    assert any("before: read, change and delete the data" in each for each in found)
    assert any("every other member with roles/bigquery.dataViewer" in each for each in found)


def test_a_workload_that_loses_its_only_grant_is_interrupted() -> None:
    run = {"name": "r", "template": [{"service_account": "a@p.iam.gserviceaccount.com"}]}
    service = change("google_cloud_run_v2_service.r", run, run)
    removed = change("google_bigquery_dataset_iam_member.m", member(EDITOR, A, dataset_id="d"), None)
    assert summarize_findings(service, removed)[0][0] == STOPS
    other = member(EDITOR, A, dataset_id="e")
    kept = change("google_bigquery_dataset_iam_member.k", other, other)
    assert summarize_findings(service, removed, kept)[0][0] == NARROWED


@pytest.mark.parametrize(
    ("role", "expected"), [("roles/storage.objectViewer", NARROWED), ("roles/storage.admin", WIDENED)]
)
def test_a_role_that_moves_from_the_project_to_a_bucket_narrows(role: str, expected: str) -> None:
    removed = change(
        "google_project_iam_member.m", member("roles/storage.objectViewer", A, project="p"), None
    )
    added = change("google_storage_bucket_iam_member.m", None, member(role, A, bucket="b"))
    assert summarize_findings(removed, added)[0][0] == expected
