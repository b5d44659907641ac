"""The service level objective of the collection: the share of minutes with an object, with burn-rate alerts.

https://cloud.google.com/stackdriver/docs/solutions/slo-monitoring/alerting-on-budget-burn-rate
"""

from cdktf_cdktf_provider_google.monitoring_alert_policy import (
    MonitoringAlertPolicyConditionsConditionThreshold,
)
from cdktf_cdktf_provider_google.monitoring_custom_service import MonitoringCustomService
from cdktf_cdktf_provider_google.monitoring_slo import (
    MonitoringSlo,
    MonitoringSloWindowsBasedSli,
    MonitoringSloWindowsBasedSliMetricSumInRange,
    MonitoringSloWindowsBasedSliMetricSumInRangeRange,
)
from constructs import Construct

from cdk.settings import Settings

GOAL = 0.99  # 14 minutes of a day may be missing
ROLLING_DAYS = 28
# (id, hours of the window, burn rate of the error budget)
BURN_RATES = (("burns_fast", 1, 14.4), ("burns_slowly", 24, 3.0))


class ServiceLevel(Construct):
    """A service `collection` and its objective; `burn_rates` are the conditions of its alerts, by id.

    A minute is good if an object was created in the landing bucket. The view `minutes_present` counts a day's minutes
    from the rows of the table, which no metric has.
    """

    def __init__(self, scope: Construct, settings: Settings, *, written_objects: str) -> None:
        super().__init__(scope, "service_level")
        service = MonitoringCustomService(
            self,
            "collection",
            service_id=settings.name("vlille-collection"),
            display_name=f"{settings.title}: collection",
        )
        self.objective = MonitoringSlo(
            self,
            "minutes_present",
            service=service.service_id,
            slo_id="minutes-present",
            display_name=f"{GOAL:.0%} of the minutes of {ROLLING_DAYS} days have an object",
            goal=GOAL,
            rolling_period_days=ROLLING_DAYS,
            windows_based_sli=MonitoringSloWindowsBasedSli(
                window_period="60s",
                metric_sum_in_range=MonitoringSloWindowsBasedSliMetricSumInRange(
                    time_series=written_objects,
                    range=MonitoringSloWindowsBasedSliMetricSumInRangeRange(min=1),
                ),
            ),
        )
        self.burn_rates = {
            id_: MonitoringAlertPolicyConditionsConditionThreshold(
                filter=f'select_slo_burn_rate("{self.objective.name}", "{hours * 3600}s")',
                comparison="COMPARISON_GT",
                threshold_value=rate,
                duration="0s",
            )
            for id_, hours, rate in BURN_RATES
        }
