"""Cloud Monitoring: alert policies, notification channels and dashboards are stored only."""

from local.stack.applying import Handler
from local.stack.arguments import make_store_only_handler

UNSUPPORTED = "google_monitoring_…: stored only; alerts are not evaluated and nobody is notified"

HANDLERS: dict[str, Handler] = {
    "google_monitoring_alert_policy": make_store_only_handler(
        "monitoring",
        "alertPolicies",
        name="projects/{project}/alertPolicies/{number}",
        computed_attributes={"name": "{id}"},
        unsupported=UNSUPPORTED,
    ),
    "google_monitoring_notification_channel": make_store_only_handler(
        "monitoring",
        "notificationChannels",
        name="projects/{project}/notificationChannels/{number}",
        computed_attributes={"name": "{id}"},
        unsupported=UNSUPPORTED,
    ),
    "google_monitoring_custom_service": make_store_only_handler(
        "monitoring",
        "services",
        name="projects/{project}/services/{service_id}",
        computed_attributes={"name": "{id}"},
        unsupported=UNSUPPORTED,
    ),
    "google_monitoring_slo": make_store_only_handler(
        "monitoring",
        "serviceLevelObjectives",
        name="projects/{project}/services/{service}/serviceLevelObjectives/{slo_id}",
        computed_attributes={"name": "{id}"},
        unsupported=UNSUPPORTED,
    ),
    "google_billing_budget": make_store_only_handler(
        "billing",
        "budgets",
        name="billingAccounts/{billing_account}/budgets/{number}",
        unsupported="google_billing_budget: stored only; nothing is billed",
    ),
    "google_monitoring_dashboard": make_store_only_handler(
        "monitoring",
        "dashboards",
        name="projects/{number}/dashboards/{number}",
        unsupported="google_monitoring_dashboard: stored only; dashboards are not rendered",
    ),
}
