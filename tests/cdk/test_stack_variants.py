"""Stacks of other settings and feeds than those of tests/environments."""

import json
import shutil
from pathlib import Path

import pytest

from cdk.access import list_findings
from cdk.apis import APIS, SECRET_APIS
from tests.cdk.conftest import synthesize
from tests.cdk.test_stack import cluster, one, resources, shape

pytestmark = pytest.mark.synth


def test_or_it_has_workers_and_a_budget(checkouts: tuple[Path, Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(checkouts[0], tmp_path / "copy", symlinks=True))
    prod = copy / "environments" / "prod.toml"
    [before, after] = prod.read_text().split('count = 0\nmachine_type = "e2-standard-4"')
    budget = '\n[budget]\nbilling_account = "01AB23-4CD567-89EF01"\nmonthly_amount = 5\n'
    prod.write_text(f'{before}count = 7\nmachine_type = "n1-standard-2"{after}{budget}')
    stack = synthesize(copy, tmp_path / "out", VLILLE_ENV="prod").stacks["prod"]
    config = cluster(stack)
    assert shape(config["master_config"]) == ("e2-standard-4", 1, 50)
    assert shape(config["worker_config"]) == ("n1-standard-2", 7, 50)
    assert "dataproc:dataproc.allow.zero.workers" not in config["software_config"]["properties"]
    spent = one(stack, "google_billing_budget.budget_month")
    assert spent["amount"] == {"specified_amount": {"units": "5"}}
    assert [rule["threshold_percent"] for rule in spent["threshold_rules"]] == [0.5, 0.9, 1.0, 1.0]
    assert spent["all_updates_rule"]["monitoring_notification_channels"] == [
        "${google_monitoring_notification_channel.monitoring_email.id}"
    ]


def test_only_a_public_dashboard_is_open_and_the_access_checks_say_so(
    checkouts: tuple[Path, Path], tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(checkouts[0], tmp_path / "copy", symlinks=True))
    for environments in ("environments", "tests/environments"):
        dev = copy / environments / "dev.toml"
        dev.write_text(dev.read_text().replace("public = false", "public = true"))
    stack = synthesize(copy, tmp_path / "out", VLILLE_ENV="dev").stacks["dev"]
    grant = one(stack, "google_cloud_run_v2_service_iam_member.dashboard_everybody_opens_dashboard")
    assert (grant["member"], grant["role"]) == ("allUsers", "roles/run.invoker")
    assert grant["name"] == "${google_cloud_run_v2_service.dashboard_service.name}"
    assert [finding.kind for finding in list_findings(stack)] == ["public"]


def test_a_folder_more_is_a_table_more(checkouts: tuple[Path, Path], tmp_path: Path) -> None:
    """A new JSON API needs a sample and source.toml, and no line of Python."""
    sources = tmp_path / "sources"
    folder = sources / "docks"
    folder.mkdir(parents=True)
    (folder / "source.toml").write_text(
        'title = "Docks"\ndescription = "An invented API"\nurl = "https://example.com/docks.json"\n'
        'licence = "none"\nrecords = "data.docks"\nkey = "code"\n'
        'query = { apiKey = { secret = "docks-key" } }\nempty = "ok"\n'
        '[common]\nstation_id = "code"\nnum_bikes_available = "bikes"\n'
    )
    (folder / "sample.json").write_text(
        '{"data": {"docks": [{"code": "a", "bikes": 3, "open": true, "seen": "2026-11-24T12:00:00Z"}]}}'
    )
    made = synthesize(
        checkouts[0], tmp_path / "out", VLILLE_SOURCES=str(sources), VLILLE_FEED="docks", VLILLE_ENV="dev"
    )
    table = one(made.stacks["dev"], "google_bigquery_table.warehouse_docks")
    columns = [(column["name"], column["type"]) for column in json.loads(table["schema"])]
    assert columns == [
        ("collected_at", "TIMESTAMP"),
        ("code", "STRING"),
        ("bikes", "INTEGER"),
        ("open", "BOOLEAN"),
        ("seen", "TIMESTAMP"),
    ]
    function = one(made.stacks["dev"], "google_cloudfunctions2_function.collection_function")
    environment = function["service_config"]["environment_variables"]
    assert environment["API_URL"] == "https://example.com/docks.json"
    assert environment["STATION_TABLE"].endswith("${google_bigquery_table.warehouse_docks.table_id}")
    [secret] = function["service_config"]["secret_environment_variables"]
    assert (secret["key"], secret["secret"]) == ("SECRET_DOCKS_KEY", "docks-key")
    [(_, grant)] = resources(made.stacks["dev"], "google_secret_manager_secret_iam_member")
    assert (grant["secret_id"], grant["role"]) == ("docks-key", "roles/secretmanager.secretAccessor")
    # Only a feed that accepts responses without records writes them.
    loads_empty = one(
        made.stacks["dev"], "google_bigquery_table_iam_member.collection_collector_loads_empty_responses"
    )
    assert loads_empty["table_id"] == "${google_bigquery_table.warehouse_empty_responses.table_id}"
    services = {
        each["service"] for _, each in resources(made.stacks["dev-bootstrap"], "google_project_service")
    }
    assert services == {*APIS, *SECRET_APIS}
