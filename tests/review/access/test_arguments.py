"""Arguments that open access, send data elsewhere or interrupt a service, also of types with a renderer."""

from typing import Any

import pytest

from review.report.answers import answer_questions
from tests.review.conftest import change, review_changes, summarize_findings

pytestmark = pytest.mark.unit

Values = dict[str, Any] | None
OPENED: dict[str, tuple[str, Values, Values]] = {
    "a network tag that firewall rules may target": (
        "google_compute_instance", {"name": "i", "tags": ["a"]}, {"name": "i", "tags": ["a", "ssh"]},
    ),
    "an external load balancer": (
        "google_compute_global_forwarding_rule", None, {"name": "f", "load_balancing_scheme": "EXTERNAL_MANAGED"},
    ),
    "an internal one that becomes external": (
        "google_compute_forwarding_rule",
        {"name": "f", "load_balancing_scheme": "INTERNAL"},
        {"name": "f", "load_balancing_scheme": "EXTERNAL"},
    ),
    "messages that are written to another bucket": (
        "google_pubsub_subscription", None, {"name": "s", "cloud_storage_config": [{"bucket": "b"}]},
    ),
    "messages that are written to another table": (
        "google_pubsub_subscription",
        {"name": "s", "bigquery_config": [{"table": "p.d.t"}]},
        {"name": "s", "bigquery_config": [{"table": "q.d.t"}]},
    ),
    "a project under other policies": (
        "google_project", {"project_id": "p", "folder_id": "1"}, {"project_id": "p", "folder_id": "2"},
    ),
    "images that are no longer attested": (
        "google_cloud_run_v2_service", {"name": "s", "binary_authorization": [{"use_default": True}]}, {"name": "s"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", OPENED)
def test_a_change_that_opens_widens_access(case: str) -> None:
    type_, old, new = OPENED[case]
    assert review_changes(change(f"{type_}.x", old, new)).severity.label == "access widened"


def test_an_internal_load_balancer_opens_nothing() -> None:
    made = change(
        "google_compute_forwarding_rule.x", None, {"name": "f", "load_balancing_scheme": "INTERNAL"}
    )
    assert "access widened" not in [severity for severity, _ in summarize_findings(made)]


def test_database_flags_are_not_evaluated() -> None:
    old, new = (
        {"name": "d", "settings": [{"database_flags": flags}]} for flags in ([], [{"name": "local_infile"}])
    )
    review = review_changes(change("google_sql_database_instance.x", old, new))
    found = {each.question: each for each in answer_questions(review)}
    assert found["Who gains access?"].unexamined == ("google_sql_database_instance.settings.database_flags",)


@pytest.mark.parametrize(
    ("type_", "old", "new", "severity", "sentence"),
    [
        (
            "google_project",
            {"billing_account": "A"},
            {"billing_account": ""},
            "data loss possible",
            "its services stop",
        ),
        (
            "google_monitoring_alert_policy",
            {"display_name": "a"},
            None,
            "needs care",
            "alert a no longer fires",
        ),
        (
            "google_billing_budget",
            {"display_name": "b"},
            None,
            "needs care",
            "budget b is no longer reported",
        ),
        (
            "google_compute_route",
            None,
            {"dest_range": "0.0.0.0/0", "network": "n"},
            "needs care",
            "routed differently",
        ),
        (
            "google_redis_instance",
            {"persistence_config": [{"persistence_mode": "RDB"}]},
            {"persistence_config": [{"persistence_mode": "DISABLED"}]},
            "needs care",
            "no longer persists its data",
        ),
    ],
)
def test_interruptions_are_reported(
    type_: str, old: Values, new: Values, severity: str, sentence: str
) -> None:
    assert any(
        found == severity and sentence in words
        for found, words in summarize_findings(change(f"{type_}.x", old, new))
    )


def test_a_block_is_not_reported_again_where_its_argument_was() -> None:
    old, new = (
        {"ip_filter": [{"mode": "Enabled", "public_network_source": [{"allowed_ip_cidr_ranges": [each]}]}]}
        for each in ("192.0.2.1/32", "0.0.0.0/0")
    )
    assert len(summarize_findings(change("google_storage_bucket.x", old, new))) == 1
