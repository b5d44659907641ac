"""Count how often everything runs in a month, from schedules along topics and subscriptions to what they call."""

import functools
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from review.plan.context import REFERENCE, Context
from review.plan.model import Change
from review.plan.values import Values, get_flag, get_text, get_value, is_known

YEAR = [date(2025, 1, 1) + timedelta(days=day) for day in range(365)]
TARGET_TYPES = (
    "google_cloudfunctions2_function",
    "google_cloudfunctions_function",
    "google_cloud_run_v2_service",
    "google_cloud_run_service",
    "google_cloud_run_v2_job",
    "google_dataproc_workflow_template",
    "google_pubsub_topic",
)
TEMPLATE = re.compile(r"/workflowTemplates/([^/:]+):")
Resources = Mapping[str, Values]  # address → values


@dataclass(frozen=True)
class Inventory:
    """The resources that exist before or after the apply; `changes` has the same resources, for their references."""

    context: Context
    resources: Resources
    changes: Mapping[str, Change]

    @functools.cached_property
    def called(self) -> dict[str, list[str]]:
        """Resources that can be called: address in the configuration → addresses."""
        found: dict[str, list[str]] = {}
        for address, _ in self.of_type(*TARGET_TYPES):
            found.setdefault(self.changes[address].configured_address, []).append(address)
        return found

    @functools.cached_property
    def by_name(self) -> dict[str, list[str]]:
        """Resources that can be called, by name."""
        found: dict[str, list[str]] = {}
        for address, values in self.of_type(*TARGET_TYPES):
            if name := get_text(values, "name").rpartition("/")[2]:
                found.setdefault(name, []).append(address)
        return found

    @functools.cached_property
    def uris(self) -> list[tuple[str, str]]:
        """URI and address of resources that are called by URI."""
        paths = ("uri", "service_config.uri", "https_trigger_url")
        return [
            (uri, address)
            for address, values in self.of_type(*TARGET_TYPES)
            for uri in (get_text(values, path) for path in paths)
            if uri
        ]

    def of_type(self, *types: str) -> Iterator[tuple[str, Values]]:
        """Yield address and values of every resource of these types."""
        for address, values in self.resources.items():
            if self.changes[address].type in types:
                yield address, values


def build_inventory(context: Context, *, new: bool) -> Inventory:
    """Return the resources that exist before or after the apply."""
    resources, changes = {}, {}
    for change in context.plan.changes:
        values = change.after if new or change.action == "no-op" else change.before
        if new and change.forgets and not values:
            values = change.before
        if change.mode == "managed" and values is not None and not change.deposed:
            resources[change.address], changes[change.address] = values, change
    return Inventory(context, resources, changes)


def count_monthly_runs(schedule: str) -> float | None:
    """Return how often a cron expression fires in an average month; None if it is invalid."""
    from cronsim import CronSim, CronSimError  # noqa: PLC0415 (only where there is a schedule)

    if len(schedule) > 200 or len(schedule.split()) != 5:
        return None
    try:
        cron = CronSim(schedule, datetime(2025, 1, 1, tzinfo=UTC))
    except (CronSimError, ValueError, RecursionError):
        return None
    weekdays = {each[0] if isinstance(each, tuple) else each % 7 for each in cron.weekdays}
    days = 0
    for day in YEAR:
        in_month = day.day in cron.days or bool(
            {CronSim.LAST, CronSim.LAST_WEEKDAY} & cron.days and _is_last_day(day)
        )
        in_week = day.isoweekday() % 7 in weekdays
        fits = (in_month and in_week) if cron.day_and else (in_month or in_week)
        days += day.month in cron.months and fits
    return days * len(cron.hours) * len(cron.minutes) / 12


def _is_last_day(day: date) -> bool:
    return (day + timedelta(days=1)).day == 1


def count_calls(inventory: Inventory) -> tuple[dict[str, float], list[str]]:
    """Return calls a month by address, topics included, and the addresses of schedules that are not known."""
    found: defaultdict[str, float] = defaultdict(float)
    unknown = []
    for address, job in inventory.of_type("google_cloud_scheduler_job"):
        if get_flag(job, "paused"):
            continue
        schedule = get_value(job, "schedule")
        often = count_monthly_runs(str(schedule)) if is_known(schedule) else None
        if often is None:
            unknown.append(address)
            continue
        for target in _find_targets(inventory, address, job, ("pubsub_target.topic_name", "http_target.uri")):
            found[target] += often
    for address, subscription in inventory.of_type("google_pubsub_subscription"):
        topics = _find_targets(inventory, address, subscription, ("topic",))
        for target in _find_targets(inventory, address, subscription, ("push_config.push_endpoint",)):
            found[target] += sum(found[topic] for topic in topics)
    for address, function in inventory.of_type("google_cloudfunctions2_function"):
        for topic in _find_targets(inventory, address, function, ("event_trigger.pubsub_topic",)):
            found[address] += found[topic]
    return dict(found), unknown


def _find_targets(inventory: Inventory, address: str, values: Values, paths: tuple[str, ...]) -> list[str]:
    """Return the addresses that the arguments of a resource call, by reference, else by value."""
    found: list[str] = []
    references = inventory.context.plan.references.get(inventory.changes[address].configured_address, {})
    for path in paths:
        value = get_text(values, path)
        if not value and get_value(values, path) is None:
            continue
        referred = {
            each[1] for each in map(REFERENCE.fullmatch, references.get(path.split(".")[0], ())) if each
        }
        addresses = [each for target in sorted(referred) for each in inventory.called.get(target, ())]
        found += addresses or (_find_by_value(inventory, value) if is_known(value) else [])
    return list(dict.fromkeys(found))


def _find_by_value(inventory: Inventory, value: str) -> list[str]:
    """Return the addresses that a URL or an ID calls."""
    template = TEMPLATE.search(value)
    name = template[1] if template else value.rpartition("/")[2]
    return [
        *inventory.by_name.get(name, ()),
        *(each for uri, each in inventory.uris if value.startswith(uri)),
    ]
