"""Errors of the IAM proxy and hand-written requests of workloads, checked against Google's discovery documents."""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.parse import quote

import pytest
from google.auth.credentials import AnonymousCredentials

from feed import archive_name
from local.http import proxy
from local.iam_proxy import enforcement
from spark.archive import make_object_reader
from tests.collector.fakes import TICK
from tests.google_api.discovery import compare_call

pytestmark = pytest.mark.unit

OBJECT = "/storage/v1/b/p-landing/o/a%2Fb"
TABLE = "/bigquery/v2/projects/p/datasets/d/tables/t"


@pytest.mark.parametrize("target", [OBJECT, TABLE])
@pytest.mark.parametrize("status", sorted(enforcement.REASONS))
def test_a_denial_of_the_iam_proxy_is_a_valid_error(target: str, status: int) -> None:
    response = enforcement._error_response(status, "it is refused")
    assert compare_call("GET", target, None, response.status, json.loads(response.body)) == []


def test_the_response_for_an_unavailable_emulator_is_a_valid_error() -> None:
    response = proxy._unavailable_response()
    assert compare_call("GET", OBJECT, None, response.status, json.loads(response.body)) == []


def test_the_batch_reads_an_object_with_a_valid_request() -> None:
    targets: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            targets.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    name = archive_name("bikes", TICK)
    credentials: Any = AnonymousCredentials()  # type: ignore[no-untyped-call]
    try:
        read = make_object_reader(
            credentials, f"http://127.0.0.1:{server.server_port}", "p-archive", connections=1
        )
        assert read(name) == b"{}"
    finally:
        server.shutdown()
        server.server_close()
    assert targets == [f"/storage/v1/b/p-archive/o/{quote(name, safe='')}?alt=media"]
    assert compare_call("GET", targets[0], None, 200, None) == []
