"""Cloud Monitoring: alert policies and where they are sent are kept, and never evaluated."""

from local.stack.arguments import recorded
from local.stack.loading import Handler

SAID = "google_monitoring_…: kept, but alerts are not evaluated here and nobody is notified"

HANDLERS: dict[str, Handler] = {
    "google_monitoring_alert_policy": recorded(
        "monitoring",
        "alertPolicies",
        name="projects/{project}/alertPolicies/{number}",
        more={"name": "{id}"},
        said=SAID,
    ),
    "google_monitoring_notification_channel": recorded(
        "monitoring",
        "notificationChannels",
        name="projects/{project}/notificationChannels/{number}",
        more={"name": "{id}"},
        said=SAID,
    ),
    "google_monitoring_custom_service": recorded(
        "monitoring",
        "services",
        name="projects/{project}/services/{service_id}",
        more={"name": "{id}"},
        said=SAID,
    ),
    "google_monitoring_slo": recorded(
        "monitoring",
        "serviceLevelObjectives",
        name="projects/{project}/services/{service}/serviceLevelObjectives/{slo_id}",
        more={"name": "{id}"},
        said=SAID,
    ),
    "google_billing_budget": recorded(
        "billing",
        "budgets",
        name="billingAccounts/{billing_account}/budgets/{number}",
        said="google_billing_budget: kept, but nothing costs anything here",
    ),
    "google_monitoring_dashboard": recorded(
        "monitoring",
        "dashboards",
        name="projects/{number}/dashboards/{number}",
        said="google_monitoring_dashboard: kept, but no dashboard is drawn here",
    ),
}
