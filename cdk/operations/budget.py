"""A budget for the project, if a billing account is set: e-mails before the month costs more than expected."""

from cdktf_cdktf_provider_google.billing_budget import (
    BillingBudget,
    BillingBudgetAllUpdatesRule,
    BillingBudgetAmount,
    BillingBudgetAmountSpecifiedAmount,
    BillingBudgetBudgetFilter,
    BillingBudgetThresholdRules,
)
from cdktf_cdktf_provider_google.data_google_project import DataGoogleProject
from cdktf_cdktf_provider_google.monitoring_notification_channel import MonitoringNotificationChannel
from constructs import Construct

from cdk.settings import Budget

# Fractions of the amount at which an e-mail is sent: of the current spend, and of the forecast for the month.
SPENT = (0.5, 0.9, 1.0)
FORECAST = 1.0


class ProjectBudget(Construct):
    """A budget only notifies; the settings of functions, services and batch limit the cost."""

    def __init__(
        self,
        scope: Construct,
        budget: Budget,
        *,
        title: str,
        project: DataGoogleProject,
        channel: MonitoringNotificationChannel,
    ) -> None:
        super().__init__(scope, "budget")
        BillingBudget(
            self,
            "month",
            billing_account=budget.billing_account,
            display_name=f"{title}: {project.project_id_input}",
            amount=BillingBudgetAmount(
                # The default currency is the billing account's.
                specified_amount=BillingBudgetAmountSpecifiedAmount(units=str(budget.monthly_amount))
            ),
            budget_filter=BillingBudgetBudgetFilter(projects=[f"projects/{project.number}"]),
            threshold_rules=[
                *(BillingBudgetThresholdRules(threshold_percent=part) for part in SPENT),
                BillingBudgetThresholdRules(threshold_percent=FORECAST, spend_basis="FORECASTED_SPEND"),
            ],
            all_updates_rule=BillingBudgetAllUpdatesRule(
                monitoring_notification_channels=[channel.id], disable_default_iam_recipients=True
            ),
        )
