"""Check whether the dashboard opens, for whom, and how old its newest data is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

import requests

from cdk.settings import Settings
from operate.cloud import ApiError, Cloud, describe_connection
from operate.dashboard_proxy import SERVICE, TIMEOUT_S, fetch_service_url
from operate.errors import OperateError
from operate.health.observation import Unavailable
from operate.health.smoke import CheckResult
from operate.target import Target, explain_error

NEWEST = "/data/now.json"


@dataclass(frozen=True)
class DashboardFacts:
    """HTTP statuses of a request without and with an identity token, and the tick of the newest data.

    `status` is None if no token could be obtained; `refused` says why.
    """

    anonymous: int
    status: int | None
    newest: datetime | None = None
    refused: str = ""


def observe_dashboard(
    cloud: Cloud, settings: Settings, target: Target, token: Callable[[str], str]
) -> DashboardFacts | Unavailable:
    """Request the newest data twice; `token` gives the identity token for a URL. Raises CredentialsError."""
    try:
        url = fetch_service_url(cloud, settings)
    except ApiError as error:
        return Unavailable(explain_error(error, target))
    try:
        anonymous = requests.get(f"{url}{NEWEST}", timeout=TIMEOUT_S, allow_redirects=False)
        if anonymous.status_code == HTTPStatus.OK:  # a public one, or one that should not be
            return DashboardFacts(anonymous.status_code, anonymous.status_code, _parse_newest_tick(anonymous))
        try:
            headers = {"Authorization": f"Bearer {token(url)}"}
        except OperateError as error:
            return DashboardFacts(anonymous.status_code, None, refused=str(error))
        found = requests.get(f"{url}{NEWEST}", headers=headers, timeout=TIMEOUT_S, allow_redirects=False)
    except requests.RequestException as error:
        return Unavailable(f"{url} does not respond: {describe_connection(error)}")
    newest = _parse_newest_tick(found) if found.status_code == HTTPStatus.OK else None
    return DashboardFacts(anonymous.status_code, found.status_code, newest)


def judge_dashboard(
    facts: DashboardFacts | Unavailable, settings: Settings, target: Target, now: datetime
) -> Iterator[CheckResult]:
    """Yield one result; none for an environment without a dashboard."""
    if settings.dashboard is None:
        return
    if isinstance(facts, Unavailable):
        yield CheckResult(SERVICE, facts.reason, wrong=True)
        return
    is_public = settings.dashboard.public
    if facts.anonymous != (HTTPStatus.OK if is_public else HTTPStatus.FORBIDDEN):
        yield CheckResult(
            SERVICE,
            _explain_unexpected_access(facts.anonymous, settings, target, is_public=is_public),
            wrong=True,
        )
    elif facts.status is None:
        yield CheckResult(SERVICE, f"403 without an identity; not opened with one: {facts.refused}")
    elif facts.status == HTTPStatus.FORBIDDEN:
        remedy = f"grant yourself roles/run.invoker on the service {SERVICE} (docs/dashboard.md)"
        yield CheckResult(SERVICE, f"403 with your identity: {remedy}", wrong=True)
    elif facts.status != HTTPStatus.OK:
        yield CheckResult(SERVICE, f"{facts.status} with your identity: {_point_to_log(target)}", wrong=True)
    else:
        summary = "opens for everybody" if is_public else "opens with your identity, 403 without"
        yield _judge_age(summary, facts.newest, settings, target, now=now)


def _explain_unexpected_access(status: int, settings: Settings, target: Target, *, is_public: bool) -> str:
    if status == HTTPStatus.OK:
        file = f"environments/{settings.environment}.toml"
        return (
            f"opens without an identity, but is not public by {file}: {target.format_command('diff')} shows drift; "
            f"remove allUsers from roles/run.invoker of the service {SERVICE}"
        )
    if is_public and status == HTTPStatus.FORBIDDEN:
        return f"403 without an identity, but public: {target.format_command('deploy')} grants it to allUsers"
    return f"{status} without an identity: {_point_to_log(target)}"


def _judge_age(
    summary: str, newest: datetime | None, settings: Settings, target: Target, *, now: datetime
) -> CheckResult:
    if newest is None:
        return CheckResult(
            SERVICE, f"{summary}; it has no data: see rows above, and {_point_to_log(target)}", wrong=True
        )
    minutes = max(0, (now - newest) // timedelta(minutes=1))
    summary = f"{summary}; newest data of {newest:%Y-%m-%d %H:%M} UTC, {minutes} min ago"
    limit = settings.alerts.silent_minutes
    if minutes < limit:
        return CheckResult(SERVICE, summary)
    return CheckResult(
        SERVICE,
        f"{summary}, the limit is {limit}: see rows above; where they are, {_point_to_log(target)}",
        wrong=True,
    )


def _point_to_log(target: Target) -> str:
    return f"the service's log says why ({target.format_command('outputs')} has console_links)"


def _parse_newest_tick(response: requests.Response) -> datetime | None:
    """Return the tick of now.json; None if it has none, or cannot be parsed."""
    try:
        return datetime.fromisoformat(response.json()["collected_at"])
    except (ValueError, KeyError, TypeError):
        return None
