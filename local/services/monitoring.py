"""Cloud Monitoring: alert policies, notification channels and dashboards are stored only."""

from local.stack.applying import Handler
from local.stack.arguments import storing_handler

UNSUPPORTED = "google_monitoring_…: stored only; alerts are not evaluated and nobody is notified"

HANDLERS: dict[str, Handler] = {
    "google_monitoring_alert_policy": storing_handler(
        "monitoring",
        "alertPolicies",
        name="projects/{project}/alertPolicies/{number}",
        more={"name": "{id}"},
        unsupported=UNSUPPORTED,
    ),
    "google_monitoring_notification_channel": storing_handler(
        "monitoring",
        "notificationChannels",
        name="projects/{project}/notificationChannels/{number}",
        more={"name": "{id}"},
        unsupported=UNSUPPORTED,
    ),
    "google_monitoring_custom_service": storing_handler(
        "monitoring",
        "services",
        name="projects/{project}/services/{service_id}",
        more={"name": "{id}"},
        unsupported=UNSUPPORTED,
    ),
    "google_monitoring_slo": storing_handler(
        "monitoring",
        "serviceLevelObjectives",
        name="projects/{project}/services/{service}/serviceLevelObjectives/{slo_id}",
        more={"name": "{id}"},
        unsupported=UNSUPPORTED,
    ),
    "google_billing_budget": storing_handler(
        "billing",
        "budgets",
        name="billingAccounts/{billing_account}/budgets/{number}",
        unsupported="google_billing_budget: stored only; nothing is billed",
    ),
    "google_monitoring_dashboard": storing_handler(
        "monitoring",
        "dashboards",
        name="projects/{number}/dashboards/{number}",
        unsupported="google_monitoring_dashboard: stored only; dashboards are not rendered",
    ),
}
