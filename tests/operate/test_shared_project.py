"""Commands for an environment that shares its project find its own resources, and leave those of others alone."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from cdk.settings import Settings, load_environments
from operate.cloud import Cloud, Endpoints
from operate.dashboard_proxy import fetch_service_url
from operate.deployment.orphaned_resources import is_of_cluster, is_own_account
from operate.jobs import format_job_url
from operate.logs import fetch_log_lines
from operate.target import Target
from tests.conftest import ENVIRONMENTS

pytestmark = pytest.mark.unit

DEV = load_environments(ENVIRONMENTS, ["vlille_gbfs"], only="dev")["dev"]
LYON = replace(DEV, environment="lyon", shared_project=True)
MAIL = "@vlille-dev.iam.gserviceaccount.com"


@pytest.mark.parametrize(
    ("account", "dev", "lyon"),
    [
        ("vlille-copier", True, False),
        ("vlille-gbfs-push", True, False),
        ("vlille-former", True, False),
        ("vlille-copier-lyon", False, True),
        ("vlille-gbfs-push-lyon", False, True),
        ("vlille-copier-paris", False, False),
        ("vlille-ci-reader", False, False),
        ("vlille-ci-reader-lyon", False, False),
        ("mine", False, False),
    ],
)
def test_service_accounts_of_other_environments_are_not_orphans(
    account: str, *, dev: bool, lyon: bool
) -> None:
    assert (is_own_account(account + MAIL, DEV), is_own_account(account + MAIL, LYON)) == (dev, lyon)
    assert not is_own_account(f"{account}@other.iam.gserviceaccount.com", DEV)


@pytest.mark.parametrize(
    ("name", "dev", "lyon"),
    [
        ("vlille-batch-7pf3kqx2r4a6e", True, False),
        ("vlille-batch-7pf3kqx2r4a6e-m", True, False),
        ("vlille-batch-7pf3kqx2r4a6e-w-1", True, False),
        ("vlille-batch-lyon-7pf3kqx2r4a6e", False, True),
        ("vlille-batch-lyon-7pf3kqx2r4a6e-m", False, True),
        ("vlille-batch-paris-7pf3kqx2r4a6e-w-0", False, False),
        ("vlille-batches", False, False),
    ],
)
def test_clusters_and_disks_of_other_environments_are_not_orphans(
    name: str, *, dev: bool, lyon: bool
) -> None:
    assert (is_of_cluster(name, DEV), is_of_cluster(name, LYON)) == (dev, lyon)


class RecordedCloud:
    """A cloud that keeps the requests, and responds to all of them in the same way."""

    endpoints = Endpoints()

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def call(self, _method: str, url: str, **more: Any) -> dict[str, Any]:
        self.calls.append((url, more))
        return {"uri": "https://d.example", "entries": [{"textPayload": "one"}]}


@pytest.mark.parametrize(("settings", "end"), [(DEV, ""), (LYON, "-lyon")], ids=["plain", "shared"])
def test_jobs_services_and_logs_have_the_names_of_the_environment(settings: Settings, end: str) -> None:
    cloud = RecordedCloud()
    typed = cast("Cloud", cloud)
    assert format_job_url(typed, settings, "copy").endswith(f"/jobs/copy{end}")
    fetch_service_url(typed, settings)
    assert cloud.calls[-1][0].endswith(f"/services/dashboard{end}")
    fetch_log_lines(typed, settings, Target("lyon", None), "copy", 1, now=datetime(2026, 11, 24, tzinfo=UTC))
    assert f'service_name="copier{end}"' in cloud.calls[-1][1]["json"]["filter"]
