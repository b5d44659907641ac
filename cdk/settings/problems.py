"""Every value of an environment's file that Google Cloud or GitHub would refuse."""

import re
from collections.abc import Iterable

from cdk.settings.checks import check_choice, check_memory, check_range
from cdk.settings.cluster import find_cluster_problems
from cdk.settings.errors import Problem
from cdk.settings.gbfs import find_gbfs_problems
from cdk.settings.schedules import (
    ACK_DEADLINE_SECONDS,
    RETENTION_MINUTES,
    describe_cron_problem,
    find_schedule_problems,
)
from cdk.settings.sections import Copier, Dashboard, EnvironmentFile

GITHUB_ID_LIMIT = 10**15  # of a repository or an owner; they count up, and are ten digits long by now
FUNCTION_RUNTIMES = ("python312", "python313", "python314")
REPOSITORY = "a GitHub repository as owner/name, at most 90 characters"
_BILLING_ACCOUNT = re.compile(r"[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}")
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")
# GitHub's limits for each name, and Google's for both: a token's subject holds them and ends at 127 bytes.
_REPOSITORY = re.compile(
    r"(?=.{3,90}$)[A-Za-z0-9](-?[A-Za-z0-9]){0,38}/(?!\.{1,2}$)[A-Za-z0-9._-]+", re.ASCII
)
_REGION = re.compile(r"(africa|asia|australia|europe|me|northamerica|southamerica|us)-[a-z]+[1-9][0-9]?")
_COPIER_CPUS = {"1": 4096, "2": 8192, "4": 16384}  # most memory in MiB that Cloud Run gives to that many


def find_problems(values: EnvironmentFile, feeds: tuple[str, ...]) -> Iterable[Problem]:
    yield from check_choice(values.feed, "feed", feeds)
    if not _REGION.fullmatch(values.region):
        yield "region", values.region, "a Google Cloud region, such as europe-west1"
    for label, value in values.labels.items():
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", label) or not re.fullmatch(r"[a-z0-9_-]{0,63}", value):
            yield (
                f"labels.{label}",
                value,
                "lower-case letters, digits, _ and -, at most 63, a letter first in the key",
            )
    yield from find_schedule_problems(values)
    yield from _find_collector_problems(values)
    yield from _find_copier_problems(values.copier)
    yield from find_cluster_problems(values.batch)
    yield from _find_range_problems(values)
    if not _EMAIL.fullmatch(values.alerts.email):
        yield "alerts.email", values.alerts.email, "an e-mail address"
    if values.budget is not None:
        if not _BILLING_ACCOUNT.fullmatch(values.budget.billing_account):
            yield (
                "budget.billing_account",
                values.budget.billing_account,
                "an ID such as 01AB23-4CD567-89EF01: `gcloud billing accounts list` prints it",
            )
        yield from check_range("budget.monthly_amount", values.budget.monthly_amount, 1, 1_000_000)
    if values.dashboard is not None:
        yield from _find_dashboard_problems(values.dashboard)
    if values.gbfs is not None:
        yield from find_gbfs_problems(
            values.gbfs, values.messages.ack_deadline_seconds, values.messages.retention_minutes
        )
        yield from check_memory("gbfs.memory", values.gbfs.memory, 512, 8192)
        if problem := describe_cron_problem(values.gbfs.discover):
            yield "gbfs.discover", values.gbfs.discover, problem
    if values.ci is not None:
        if not _REPOSITORY.fullmatch(values.ci.repository):
            yield "ci.repository", values.ci.repository, REPOSITORY
        yield from check_range("ci.repository_id", values.ci.repository_id, 1, GITHUB_ID_LIMIT)
        yield from check_range("ci.repository_owner_id", values.ci.repository_owner_id, 1, GITHUB_ID_LIMIT)


def _find_collector_problems(values: EnvironmentFile) -> Iterable[Problem]:
    collector = values.collector
    yield from check_choice(collector.runtime, "collector.runtime", FUNCTION_RUNTIMES)
    yield from check_memory("collector.memory", collector.memory, 256, 8192)
    yield from check_range("collector.timeout_seconds", collector.timeout_seconds, 10, 540)
    if collector.timeout_seconds > values.messages.ack_deadline_seconds:
        yield (
            "collector.timeout_seconds",
            collector.timeout_seconds,
            f"at most messages.ack_deadline_seconds ({values.messages.ack_deadline_seconds}): a tick that is still "
            "at work would be delivered again",
        )
    yield from check_range("collector.max_instances", collector.max_instances, 1, 100)
    yield from check_range(
        "collector.api_timeout_seconds", collector.api_timeout_seconds, 1, collector.timeout_seconds - 5
    )
    yield from check_range("collector.api_max_mebibytes", collector.api_max_mebibytes, 1, 64)


def _find_copier_problems(copier: Copier) -> Iterable[Problem]:
    yield from check_choice(copier.cpu, "copier.cpu", tuple(_COPIER_CPUS))
    yield from check_memory("copier.memory", copier.memory, 512, _COPIER_CPUS.get(copier.cpu, 4096))
    yield from check_range("copier.timeout_seconds", copier.timeout_seconds, 60, 1800)
    yield from check_range("copier.max_instances", copier.max_instances, 1, 100)
    yield from check_range("copier.threads", copier.threads, 1, 128)


def _find_dashboard_problems(dashboard: Dashboard) -> Iterable[Problem]:
    yield from check_memory("dashboard.memory", dashboard.memory, 512, 4096)
    # The smallest is a day of all columns, as the map's stations need.
    yield from check_range("dashboard.max_query_mebibytes", dashboard.max_query_mebibytes, 100, 1_048_576)
    yield from check_range("dashboard.daily_gibibytes", dashboard.daily_gibibytes, 1, 1024)
    yield from check_range("dashboard.cache_mebibytes", dashboard.cache_mebibytes, 8, 1024)


def _find_range_problems(values: EnvironmentFile) -> Iterable[Problem]:
    messages, retention = values.messages, values.retention
    yield from check_range(
        "messages.ack_deadline_seconds", messages.ack_deadline_seconds, *ACK_DEADLINE_SECONDS
    )
    yield from check_range("messages.retention_minutes", messages.retention_minutes, *RETENTION_MINUTES)
    yield from check_range("messages.minimum_backoff_seconds", messages.minimum_backoff_seconds, 0, 600)
    low = messages.minimum_backoff_seconds
    yield from check_range("messages.maximum_backoff_seconds", messages.maximum_backoff_seconds, low, 600)
    yield from check_range("messages.max_delivery_attempts", messages.max_delivery_attempts, 5, 100)
    yield from check_range("messages.dead_letter_days", messages.dead_letter_days, 1, 31)
    yield from check_range("retention.landing_days", retention.landing_days, 1, 3650)
    yield from check_range("retention.archive_days", retention.archive_days, 0, 36_500)
    yield from check_range("retention.staging_days", retention.staging_days, 1, 30)
    if retention.soft_delete_days != 0:
        yield from check_range(
            "retention.soft_delete_days", retention.soft_delete_days, 7, 90, or_else="0 (none) or "
        )
    yield from check_range("alerts.silent_minutes", values.alerts.silent_minutes, 5, 1380)
