"""Cloud Monitoring: alert policies and where they are sent are kept, and never evaluated."""

from local.stack.applying import Handler
from local.stack.arguments import storing_handler

UNSUPPORTED = "google_monitoring_…: kept, but alerts are not evaluated here and nobody is notified"

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
        unsupported="google_billing_budget: kept, but nothing costs anything here",
    ),
    "google_monitoring_dashboard": storing_handler(
        "monitoring",
        "dashboards",
        name="projects/{number}/dashboards/{number}",
        unsupported="google_monitoring_dashboard: kept, but no dashboard is drawn here",
    ),
}
