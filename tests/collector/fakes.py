"""A fake API, and the resources and clients of a collector on the emulators."""

import gzip
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from google.cloud import bigquery
from google.cloud.storage import Client as StorageClient
from requests.adapters import HTTPAdapter

from collector.settings import Settings
from collector.tick import Services
from feed import Feed

LOCATION = "europe-west1"
TICK = datetime(2023, 10, 26, 20, 50, tzinfo=UTC)


@dataclass
class Reply:
    """One response of the fake API; the last one is repeated."""

    body: bytes = b"{}"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    compressed: bool = False
    cut_at: int | None = None
    pause_s: float = 0.0
    silent_s: float = 0.0
    step: int = 4096
    has_length: bool = True
    header_pause_s: float = 0.0


class FakeApi:
    """An HTTP server on the local host that returns its replies in order."""

    def __init__(self) -> None:
        self.replies: list[Reply] = [Reply()]
        self.requests: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.clients: list[tuple[str, int]] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                api.requests.append(dict(self.headers))
                api.paths.append(self.path)
                api.clients.append(self.client_address)
                reply = api.replies[min(len(api.requests), len(api.replies)) - 1]
                body = gzip.compress(reply.body) if reply.compressed else reply.body
                time.sleep(reply.silent_s)
                self.close_connection = reply.cut_at is not None or not reply.has_length
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                if reply.compressed:
                    self.send_header("Content-Encoding", "gzip")
                if reply.has_length:
                    self.send_header("Content-Length", str(len(body)))
                try:
                    while reply.header_pause_s:  # until the collector closes the connection
                        self.send_header("X-Drip", "1")
                        self.flush_headers()
                        time.sleep(reply.header_pause_s)
                    self.end_headers()
                    for start in range(0, len(body[: reply.cut_at]), reply.step):
                        self.wfile.write(body[start : min(start + reply.step, reply.cut_at or len(body))])
                        self.wfile.flush()
                        time.sleep(reply.pause_s)
                except OSError:
                    pass  # the collector has closed the connection, as some tests expect

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def set_replies(self, *replies: Reply) -> None:
        self.replies, self.requests, self.paths = list(replies), [], []

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class JobLocationAdapter(HTTPAdapter):
    """An adapter that, like BigQuery, finds a job outside of US and EU only if the request has its location."""

    def __init__(self) -> None:
        super().__init__()
        self.job_paths: list[str] = []

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        address = urlsplit(request.url or "")
        if request.method == "GET" and "/jobs/" in address.path:
            self.job_paths.append(address.path)
            if parse_qs(address.query).get("location") != [LOCATION]:
                response = requests.Response()
                response.status_code, response.request = 404, request
                response._content = b'{"error": {"message": "Not found: Job"}}'
                response.headers["Content-Type"] = "application/json"
                return response
        return super().send(request, *args, **kwargs)


@dataclass(frozen=True)
class CollectorEnvironment:
    """The settings, feed and clients of a collector on the emulators."""

    settings: Settings
    feed: Feed
    services: Services
    gcs: StorageClient
    bq: bigquery.Client

    def names(self, bucket: str) -> list[str]:
        return [blob.name for blob in self.gcs.list_blobs(bucket)]

    def rows(self, table: str) -> list[dict[str, Any]]:
        return [dict(row) for row in self.bq.query(f"SELECT * FROM `{table}`").result()]  # noqa: S608

    def with_(self, **changes: Any) -> "CollectorEnvironment":
        return replace(self, settings=replace(self.settings, **changes))


MakeEnvironment = Callable[..., CollectorEnvironment]


def without_first_record(body: bytes) -> bytes:
    """Return the response without its first station."""
    document = json.loads(body)
    document["records"] = document["records"][1:]
    return json.dumps(document).encode()
