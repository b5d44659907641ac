"""Values that Google Cloud or GitHub would refuse, and values that they accept."""

import json
from pathlib import Path

import pytest

from tests.cdk.settings.toml_edits import DEV, edited, load, refusal

pytestmark = pytest.mark.unit

LABEL = "lower-case letters, digits, _ and -, at most 63, a letter first in the key"
MACHINE = "a machine type of the series e2, n1, n2, n2d, t2d, such as n1-standard-4"
SUBNET = "a private IPv4 range of at least 8 addresses, such as 10.20.0.0/24"
CRON = 'five fields of Unix cron, such as "*/10 * * * *"'
PROJECT = "a project ID: 6 to 30 of a-z, 0-9 and -, a letter first, no - last"
REGION = "a Google Cloud region, such as europe-west1"
REPOSITORY = "a GitHub repository as owner/name, at most 90 characters"
MEMORY = "256Mi to 8192Mi, written as 512Mi or 1Gi"

VALUES = [
    ("project", '"vlille"', None),
    ("project", '"vlil"', PROJECT),
    ("project", '"Vlille-dev"', PROJECT),
    ("project", '"vlille_dev"', PROJECT),
    ("project", '"vlille-"', PROJECT),
    ("project", '"1vlille"', PROJECT),
    ("project", f'"{"v" * 31}"', PROJECT),
    ("project", '"my-google-bikes"', "a name without 'google', which no bucket may hold"),
    ("region", '"europe-west9"', None),
    ("region", '"EU"', REGION),
    ("region", '"europe-west1-b"', REGION),
    ("region", '"Europe-West1"', REGION),
    ("feed", '"vlille_ods"', None),
    ("feed", '"velib"', "vlille_gbfs, vlille_ods, vlille_ogc, vlille_wfs"),
    ("feed", '"vlille_og"', "vlille_gbfs, vlille_ods, vlille_ogc, vlille_wfs; did you mean vlille_ogc?"),
    ("schedule.time_zone", '"UTC"', None),
    ("schedule.time_zone", '"Europe/Lille"', "did you mean "),
    ("schedule.time_zone", '"europe/paris"', "did you mean Europe/Paris?"),
    ("schedule.time_zone", '"localtime"', " names, such as "),
    ("schedule.time_zone", '"../../etc/passwd"', " names, such as "),
    ("schedule.collect", '"*/2 6-23 * * mon-fri"', None),
    ("schedule.collect", '"* * * *"', CRON),
    ("schedule.collect", '"* * * * * *"', CRON),
    ("schedule.collect", '"60 * * * *"', f"{CRON} (Bad minute)"),
    ("schedule.collect", '"every minute"', CRON),
    ("schedule.collect", '"@daily"', CRON),
    ("schedule.copy", '"*/0 * * * *"', f"{CRON} (Bad minute)"),
    ("schedule.copy", '"0 4 L * *"', CRON),
    ("schedule.copy", '"0 4 l * *"', CRON),
    ("schedule.copy", '"0 4 * * 5#2"', CRON),
    ("schedule.copy", '"0 0 30 2 *"', f"{CRON} (Bad day-of-month)"),
    ("schedule.copy", '""', CRON),
    ("schedule.batch", '"7 3 * * *"', None),
    ("schedule.batch", '"6 3 * * *"', "it fires at 01:06 UTC on 2024-03-31"),  # in summer only
    ("schedule.batch", '"0 3 * * *"', "at least 67 minutes after midnight UTC"),  # a delivery can still be running
    ("schedule.batch", '"0 1 * * *"', "it fires at 00:00 UTC on 2024-01-01"),
    ("schedule.batch", '"*/5 2-23 * * *"', "it fires at 01:00 UTC on 2024-01-01"),
    ("schedule.batch", '"* * * * *"', "it fires at 00:00 UTC on 2024-01-01"),
    ("schedule.batch", '"30 2 1 8 *"', "it fires at 00:30 UTC on 2024-08-01"),
    ("schedule.batch", '"30 2 1 12 *"', None),
    ("collector.runtime", '"python314"', None),
    ("collector.runtime", '"python311"', "did you mean python314?"),
    ("collector.runtime", '"nodejs22"', "python312, python313, python314"),
    ("collector.memory", '"1Gi"', None),
    ("collector.memory", '"128Mi"', MEMORY),
    ("collector.memory", '"16Gi"', MEMORY),
    ("collector.memory", '"512M"', MEMORY),
    ("collector.memory", '"0512Mi"', MEMORY),
    ("collector.memory", f'"{"9" * 5000}Mi"', MEMORY),
    ("collector.timeout_seconds", "120", None),
    ("collector.timeout_seconds", "121", "at most messages.ack_deadline_seconds (120)"),
    ("collector.timeout_seconds", "9", "a whole number from 10 to 540"),
    ("collector.max_instances", "0", "a whole number from 1 to 100"),
    ("collector.api_timeout_seconds", "95", None),
    ("collector.api_timeout_seconds", "96", "a whole number from 1 to 95"),
    ("collector.api_timeout_seconds", "0", "a whole number from 1 to 95"),
    ("collector.api_max_mebibytes", "65", "a whole number from 1 to 64"),
    ("copier.cpu", '"3"', "1, 2, 4"),
    ("copier.cpu", '"1000m"', "1, 2, 4"),
    ("copier.memory", '"4Gi"', None),
    ("copier.memory", '"4097Mi"', "512Mi to 4096Mi, written as 512Mi or 1Gi"),
    ("copier.memory", '"256Mi"', "512Mi to 4096Mi, written as 512Mi or 1Gi"),
    ("copier.timeout_seconds", "60", None),
    ("copier.timeout_seconds", "59", "a whole number from 60 to 1800"),
    ("copier.timeout_seconds", "1801", "a whole number from 60 to 1800"),
    ("copier.max_instances", "101", "a whole number from 1 to 100"),
    ("copier.threads", "0", "a whole number from 1 to 128"),
    ("messages.ack_deadline_seconds", "601", "a whole number from 10 to 600"),
    ("messages.retention_minutes", "9", "a whole number from 10 to 44640"),
    ("messages.retention_minutes", "-1063994401", "a whole number from 10 to 44640"),
    ("messages.minimum_backoff_seconds", "-1", "a whole number from 0 to 600"),
    ("messages.maximum_backoff_seconds", "9", "a whole number from 10 to 600"),
    ("messages.maximum_backoff_seconds", "601", "a whole number from 10 to 600"),
    ("messages.max_delivery_attempts", "5", None),
    ("messages.max_delivery_attempts", "4", "a whole number from 5 to 100"),
    ("messages.dead_letter_days", "32", "a whole number from 1 to 31"),
    ("batch.image", '"2.3-ubuntu22"', None),
    ("batch.image", '"2.3"', "2.3-debian12, 2.3-ubuntu22, 3.0-debian12, 3.0-ubuntu24"),
    ("batch.image", '"2.2-debian12"', "did you mean 2.3-debian12?"),
    ("batch.timeout_minutes", "9", "a whole number from 10 to 1440"),
    ("batch.subnet", '"192.168.7.0/29"', None),
    ("batch.subnet", '"10.20.0.1/24"', SUBNET),
    ("batch.subnet", '"10.20.0.0/30"', SUBNET),
    ("batch.subnet", '"8.8.8.0/24"', SUBNET),
    ("batch.subnet", '"127.0.0.0/8"', SUBNET),
    ("batch.subnet", '"169.254.0.0/16"', SUBNET),
    ("batch.subnet", '"fd00::/64"', SUBNET),
    ("batch.subnet", '"default"', SUBNET),
    ("batch.master.machine_type", '"n2-highmem-8"', None),
    ("batch.master.machine_type", '"n1-standard-3"', MACHINE),
    ("batch.master.machine_type", '"n1-standard4"', MACHINE),
    ("batch.master.machine_type", '"c4-standard-4"', MACHINE),  # boots from Hyperdisk only
    ("batch.workers.machine_type", '"n1-standard-²"', MACHINE),
    ("batch.workers.machine_type", '"large"', MACHINE),
    ("batch.master.disk_gigabytes", "29", "a whole number from 30 to 64000"),
    ("batch.workers.disk_gigabytes", "64001", "a whole number from 30 to 64000"),
    ("batch.workers.count", "2", None),
    ("batch.workers.count", "1", "0 (a single node) or a whole number from 2 to 100"),
    ("batch.workers.count", "-1", "0 (a single node) or a whole number from 2 to 100"),
    ("retention.landing_days", "0", "a whole number from 1 to 3650"),
    ("retention.archive_days", "365", None),
    ("retention.archive_days", "-1", "a whole number from 0 to 36500"),
    ("retention.staging_days", "31", "a whole number from 1 to 30"),
    ("retention.soft_delete_days", "7", None),
    ("retention.soft_delete_days", "3", "0 (none) or a whole number from 7 to 90"),
    ("retention.soft_delete_days", "91", "0 (none) or a whole number from 7 to 90"),
    ("alerts.email", '"bikes+prod@team.example.org"', None),
    ("alerts.email", '"vlille"', "an e-mail address"),
    ("alerts.email", '"a@b"', "an e-mail address"),
    ("alerts.email", '"a b@example.org"', "an e-mail address"),
    ("alerts.silent_minutes", "4", "a whole number from 5 to 1380"),
    ("alerts.silent_minutes", str(10**30), "a whole number from 5 to 1380"),
    ("ci.repository", '"bikes-lille/vlille"', None),
    ("ci.repository", '"B/.github"', None),
    ("ci.repository_id", "0", "a whole number from 1 to 1000000000000000"),
    ("ci.repository_id", "1000000000000000", None),
    ("ci.repository_owner_id", "-7", "a whole number from 1 to 1000000000000000"),
    ("ci.repository", f'"{"o" * 39}/{"n" * 50}"', None),
    ("ci.repository", f'"{"o" * 39}/{"n" * 51}"', REPOSITORY),
    ("ci.repository", f'"{"o" * 40}/n"', REPOSITORY),
    ("ci.repository", '"vlille"', REPOSITORY),
    ("ci.repository", '"https://github.com/bikes-lille/vlille"', REPOSITORY),
    ("ci.repository", '"bikes-/vlille"', REPOSITORY),
    ("ci.repository", '"bikes--lille/vlille"', REPOSITORY),
    ("ci.repository", '"bikes_lille/vlille"', REPOSITORY),
    ("ci.repository", '"bikes/.."', REPOSITORY),
    ("ci.repository", '"bikes/vlille\\n"', REPOSITORY),
    ("ci.repository", """"bikes/' || true || '\"""", REPOSITORY),
    ("labels.team", '"bikes"', None),
    ("labels.team", '""', None),
    ("labels.Team", '"bikes"', LABEL),
    ("labels.team", '"Bikes"', LABEL),
    ("labels.team", f'"{"b" * 64}"', LABEL),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value", "accepted"), [case for case in VALUES if case[2] is not None])
def test_a_value_that_is_impossible(tmp_path: Path, key: str, value: str, accepted: str) -> None:
    error = refusal(tmp_path, edited(key, value))
    assert (error.key, error.found) == (key, json.loads(value))
    assert accepted in error.accepted


@pytest.mark.parametrize(("key", "value"), [case[:2] for case in VALUES if case[2] is None])
def test_a_value_that_is_possible(tmp_path: Path, key: str, value: str) -> None:
    loaded: object = load(tmp_path, edited(key, value))
    for name in key.split("."):
        loaded = loaded[name] if isinstance(loaded, dict) else getattr(loaded, name)
    assert loaded == json.loads(value)


@pytest.mark.parametrize("name", ["Dev.toml", "1dev.toml", "my-dev.toml", f"{'d' * 21}.toml"])
def test_a_file_name_that_is_no_environment(tmp_path: Path, name: str) -> None:
    error = refusal(tmp_path, DEV, name)
    assert (error.key, error.found) == ("file name", name)


def test_the_midnight_that_counts_moves_with_what_may_be_delivered_late(tmp_path: Path) -> None:
    text = edited("schedule.time_zone", '"UTC"', edited("schedule.batch", '"30 1 * * *"'))
    load(tmp_path, edited("messages.retention_minutes", "83", text))
    error = refusal(tmp_path, edited("messages.retention_minutes", "84", text))
    assert error.key == "schedule.batch"


def with_budget(account: str, amount: str) -> str:
    return f'{DEV}\n[budget]\nbilling_account = "{account}"\nmonthly_amount = {amount}\n'


def test_a_budget_is_read(tmp_path: Path) -> None:
    budget = load(tmp_path, with_budget("01AB23-4CD567-89EF01", "5")).budget
    assert budget is not None
    assert (budget.billing_account, budget.monthly_amount) == ("01AB23-4CD567-89EF01", 5)
    assert load(tmp_path, DEV).budget is None


@pytest.mark.parametrize(
    ("account", "amount", "key"),
    [
        ("billingAccounts/01AB23-4CD567-89EF01", "5", "budget.billing_account"),
        ("01ab23-4cd567-89ef01", "5", "budget.billing_account"),
        ("", "5", "budget.billing_account"),
        ("01AB23-4CD567-89EF01", "0", "budget.monthly_amount"),
        ("01AB23-4CD567-89EF01", "1000001", "budget.monthly_amount"),
    ],
)
def test_a_budget_that_cannot_be(tmp_path: Path, account: str, amount: str, key: str) -> None:
    assert refusal(tmp_path, with_budget(account, amount)).key == key
