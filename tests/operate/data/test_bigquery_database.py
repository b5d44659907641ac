"""`make sql` in the cloud: what it requests of BigQuery, and what it prints."""

import io
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest

from cdk.settings import Settings, load_environments
from commands.errors import UsageError
from gbfs.catalogue.built_in import BUILT_IN_SYSTEMS
from gbfs.collection.systems import make_collected_system
from operate.cloud import connect
from operate.command_line import parse
from operate.data.prompt import run_prompt
from operate.data.querying import MOST_BYTES, BigQueryDatabase
from operate.deployed_commands import QUERY_COMMANDS
from tests.conftest import ENVIRONMENTS

pytestmark = pytest.mark.unit

DEV = load_environments(ENVIRONMENTS, ["vlille_gbfs"], only="dev")["dev"]


class FakeBigQueryApi:
    """BigQuery's REST API, with one result for all queries, or an error; `requests` has the jobs."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []  # authorization and configuration of each
        self.error: dict[str, Any] | None = None
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                api.requests.append((self.headers["Authorization"], job["configuration"]))
                if api.error is not None:
                    self.send(400, {"error": api.error})
                    return
                finished = {
                    "status": {"state": "DONE"},
                    "statistics": {"query": {"totalBytesBilled": "10485760"}},
                }
                self.send(200, {**job, **finished})

            def do_GET(self) -> None:
                path = urlsplit(self.path).path
                if path.endswith("/tables"):
                    dataset = path.split("/")[-2]
                    reference = {"projectId": "vlille-dev", "datasetId": dataset, "tableId": "t"}
                    self.send(200, {"tables": [{"tableReference": reference}]})
                    return
                fields = [{"name": "name", "type": "STRING"}, {"name": "bikes", "type": "INTEGER"}]
                rows = [{"f": [{"v": "GARE"}, {"v": "3"}]}, {"f": [{"v": "PARC"}, {"v": None}]}]
                reference = {
                    "projectId": "vlille-dev",
                    "jobId": path.split("/")[-1],
                    "location": "europe-west9",
                }
                self.send(
                    200,
                    {
                        "jobComplete": True,
                        "jobReference": reference,
                        "schema": {"fields": fields},
                        "totalRows": "2",
                        "rows": rows,
                    },
                )

            def send(self, status: int, content: dict[str, Any]) -> None:
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def api() -> Iterator[FakeBigQueryApi]:
    fake = FakeBigQueryApi()
    yield fake
    fake.server.shutdown()
    fake.server.server_close()


@pytest.fixture
def in_cloud(api: FakeBigQueryApi) -> BigQueryDatabase:
    """The database of `make sql ENV=dev`."""
    return make_database(api, DEV)


def make_database(api: FakeBigQueryApi, settings: Settings) -> BigQueryDatabase:
    """Return the database of an environment in the fake."""
    url = f"http://127.0.0.1:{api.server.server_port}/bigquery/v2/"
    variables = {"GOOGLE_OAUTH_ACCESS_TOKEN": "of-ada", "GOOGLE_BIG_QUERY_CUSTOM_ENDPOINT": url}
    return BigQueryDatabase(connect("vlille-dev", variables), settings)


def test_a_query_in_the_cloud_is_bounded_labelled_and_priced(
    api: FakeBigQueryApi, in_cloud: BigQueryDatabase
) -> None:
    out, lines = io.StringIO(), iter(["SELECT name, bikes", "FROM availability_now;", ".tables"])
    assert run_prompt(in_cloud, lambda _shown: next(lines, None), out) == 0
    [(authorization, configuration)] = api.requests
    assert authorization == "Bearer of-ada"
    query = configuration["query"]
    assert query["query"] == "SELECT name, bikes\nFROM availability_now"
    assert query["useLegacySql"] is False
    assert query["maximumBytesBilled"] == str(MOST_BYTES)
    assert query["defaultDataset"] == {"projectId": "vlille-dev", "datasetId": "vlille_views"}
    assert configuration["labels"] == {"app": "vlille", "workload": "sql"}
    assert out.getvalue() == (
        "name | bikes\n-----+------\nGARE |     3\nPARC |  NULL\n"
        "(2 rows; 10 MiB billed: $0.0001 once the month's free TiB is used up)\nvlille_views.t\nvlille-dev.vlille.t\n"
    )


def test_an_error_of_bigquery_is_one_sentence_and_the_prompt_goes_on(
    api: FakeBigQueryApi, in_cloud: BigQueryDatabase
) -> None:
    api.error = {
        "code": 400,
        "message": "Query exceeded limit for bytes billed",
        "status": "INVALID_ARGUMENT",
    }
    out, lines = io.StringIO(), iter(["SELECT 1; SELECT 2;"])
    assert run_prompt(in_cloud, lambda _shown: next(lines, None), out) == 2
    assert out.getvalue().count("error: ") == 2
    assert "Query exceeded limit for bytes billed" in out.getvalue()


def test_an_export_of_a_system_that_the_environment_does_not_collect_queries_nothing(
    api: FakeBigQueryApi, in_cloud: BigQueryDatabase
) -> None:
    argv = parse(["export", "--day=2026-11-24", "--system=v_lile"], {})
    with pytest.raises(UsageError, match=r"found 'v_lile', and the environment dev has no GBFS systems"):
        QUERY_COMMANDS["export"](in_cloud, DEV, argv)
    lille = next(each for each in BUILT_IN_SYSTEMS if each.system_id == "v_lille")
    settings = replace(DEV, gbfs_systems=(make_collected_system(lille),))
    with pytest.raises(
        UsageError, match=r'did you mean "v_lille".*\(the GBFS systems of the environment dev'
    ):
        QUERY_COMMANDS["export"](make_database(api, settings), settings, argv)
    assert api.requests == []
