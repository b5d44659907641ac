"""The emulators, their clients, a response of full size, and a server for it, for several benchmarks."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.storage import Client as StorageClient

from feed import Feed, load_feed, station_schema
from local.data_plane.emulators import Emulators, start_emulators
from local.processes.supervisor import Supervisor

ROOT = Path(__file__).parent.parent
STATIONS = 289
PROJECT = "bench"


def load_tutorial_feed() -> Feed:
    """Return the feed that the original tutorial collected."""
    return load_feed(ROOT / "sources" / "vlille_ods")


def make_full_response(feed: Feed, minute: int = 0) -> bytes:
    """Return a response of realistic size: STATIONS records of the sample, about 150 KB."""
    document = json.loads(feed.sample)
    samples = document["records"]
    document["records"] = [_make_station(samples[i % len(samples)], i, minute) for i in range(STATIONS)]
    document["nhits"] = STATIONS
    return json.dumps(document, ensure_ascii=False).encode()


def _make_station(sample: dict[str, Any], number: int, minute: int) -> dict[str, Any]:
    fields = sample["fields"] | {"libelle": number + 1, "nbvelosdispo": (number * 7 + minute) % 30}
    return sample | {"recordid": f"{number:040x}", "fields": fields}


@contextmanager
def start_emulation(folder: Path) -> Iterator[Emulators]:
    """Start both emulators, with their data below `folder`."""
    with Supervisor(folder / "processes.json") as supervisor:
        yield start_emulators(supervisor, folder, extensions=ROOT / ".cache")


def make_storage_client(emulators: Emulators) -> StorageClient:
    """Return a client that sends no credentials."""
    return StorageClient(
        project=PROJECT,
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": emulators.gcs_url},
    )


def make_bigquery_client(emulators: Emulators) -> bigquery.Client:
    """Return a client that sends no credentials."""
    return bigquery.Client(
        project=PROJECT,
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": emulators.bigquery_url},
    )


def make_table(client: bigquery.Client, table_id: str, feed: Feed) -> None:
    """Create a station table as the stack declares it."""
    columns = [bigquery.SchemaField.from_api_repr(column) for column in station_schema(feed)]
    table = bigquery.Table(table_id, schema=columns)
    table.time_partitioning = bigquery.TimePartitioning(field="collected_at")
    client.create_table(table)


@contextmanager
def serve_response(body: bytes) -> Iterator[str]:
    """Serve one response on the loopback interface; yields the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
