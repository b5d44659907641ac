"""Whether the schedules of an environment are cron expressions, and the batch fires late enough in the UTC day."""

import functools
import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from cdk.settings.checks import is_outside
from cdk.settings.errors import Problem, format_choices
from cdk.settings.sections import CLOCK_SKEW_MINUTES, EnvironmentFile

RETENTION_MINUTES = 10, 44_640  # of messages, at least and at most
ACK_DEADLINE_SECONDS = 10, 600
LEAP_YEAR = datetime(2024, 1, 1, tzinfo=UTC)


def find_schedule_problems(values: EnvironmentFile) -> Iterable[Problem]:
    schedule = values.schedule
    if schedule.time_zone not in _time_zones():
        yield "schedule.time_zone", schedule.time_zone, format_choices(schedule.time_zone, _time_zones())
        return
    for key in ("collect", "copy", "batch"):
        if problem := describe_cron_problem(getattr(schedule, key)):
            yield f"schedule.{key}", getattr(schedule, key), problem
            return
    messages = values.messages
    if is_outside(messages.retention_minutes, RETENTION_MINUTES) or is_outside(
        messages.ack_deadline_seconds, ACK_DEADLINE_SECONDS
    ):
        return  # reported as a problem of its own
    margin = timedelta(seconds=messages.redelivery_window_seconds)
    if fire := _find_fire_after_midnight(schedule.batch, ZoneInfo(schedule.time_zone), margin):
        yield (
            "schedule.batch",
            schedule.batch,
            f"a time at least {math.ceil(margin / timedelta(minutes=1))} minutes after midnight UTC, when no tick "
            "of the day before can be delivered again (messages.retention_minutes, the ack deadline and "
            f"{CLOCK_SKEW_MINUTES} minutes for clock skew); it fires at {fire:%H:%M} UTC on {fire:%Y-%m-%d}",
        )


@functools.cache
def _time_zones() -> frozenset[str]:
    """Names of the IANA database, without the two entries of its folder that are no zones of it."""
    return frozenset(available_timezones()) - {"Factory", "localtime"}


@functools.lru_cache(maxsize=64)
def _find_fire_after_midnight(expression: str, zone: ZoneInfo, margin: timedelta) -> datetime | None:
    """Return when the schedule fires within `margin` after a midnight UTC, in a leap year; None if never.

    Each midnight is checked once: an expression may fire each minute, and differ in summer from what it is in winter.
    """
    for day in range(366):
        midnight = LEAP_YEAR + timedelta(days=day)
        # The previous minute, since CronSim returns the next time after it.
        fires = CronSim(expression, (midnight - timedelta(minutes=1)).astimezone(zone))
        fire = next(fires).astimezone(UTC)
        if fire < midnight + margin:
            return fire
    return None


def describe_cron_problem(expression: str) -> str | None:
    accepted = 'five fields of Unix cron, such as "*/10 * * * *"'
    if len(expression.split()) != 5 or any(letter in expression.upper() for letter in "LW#?"):
        return accepted
    try:
        next(CronSim(expression, LEAP_YEAR))
    except StopIteration:
        return f"{accepted} (this one never fires)"
    except CronSimError as error:
        return f"{accepted} ({error})"
    return None
