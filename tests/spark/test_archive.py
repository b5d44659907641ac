"""Objects read beside one another; faults of the service."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from google.auth.credentials import AnonymousCredentials

from feed import Feed
from spark.archive import ArchiveError, list_day, make_object_reader, store_file

NOBODY = AnonymousCredentials()  # type: ignore[no-untyped-call]  # google-auth leaves it so


@pytest.fixture
def faulty_service() -> Iterator[tuple[str, list[int], list[str]]]:
    """A fake service that responds with the given statuses, then with 200; and the requested paths."""
    statuses: list[int] = []
    requested: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requested.append(unquote(self.path))
            status = statuses.pop(0) if statuses else 200
            self.send_response(status)
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"data")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", statuses, requested
    server.shutdown()
    server.server_close()


@pytest.mark.unit
def test_passing_faults_are_tried_again(faulty_service: tuple[str, list[int], list[str]]) -> None:
    url, statuses, requested = faulty_service
    statuses += [503, 429]
    assert make_object_reader(NOBODY, url, "archive", connections=2)("feed=x/a b.json.gz") == b"data"
    assert requested == ["/storage/v1/b/archive/o/feed=x/a b.json.gz?alt=media"] * 3


@pytest.mark.unit
@pytest.mark.parametrize("status", [403, 404])
def test_lasting_errors_name_the_object_and_the_status(
    faulty_service: tuple[str, list[int], list[str]], status: int
) -> None:
    url, statuses, requested = faulty_service
    statuses.append(status)
    with pytest.raises(
        ArchiveError, match=rf"gs://archive/x\.gz: was listed and cannot be read: status {status}"
    ):
        make_object_reader(NOBODY, url, "archive", connections=2)("x.gz")
    assert len(requested) == 1


@pytest.mark.unit
def test_an_unreachable_store_raises_archive_error() -> None:
    reader = make_object_reader(NOBODY, "http://127.0.0.1:1", "archive", connections=2, attempts=2)
    with pytest.raises(ArchiveError, match=r"gs://archive/x\.gz: cannot be read"):
        reader("x.gz")


@pytest.mark.emulator
def test_listed_read_and_put(new_project: Callable[[Feed], Any], ods: Feed, tmp_path: Path) -> None:
    project = new_project(ods)
    ticks = [datetime(2023, 10, 26, 23, 59, tzinfo=UTC), datetime(2023, 10, 27, tzinfo=UTC)]
    names = [project.archive_response(tick, ods.sample) for tick in ticks]
    listed = list_day(project.gcs, project.archive, ods.name, date(2023, 10, 26))
    assert [each.name for each in listed] == names[:1]
    read = make_object_reader(
        NOBODY, project.environment["STORAGE_EMULATOR_HOST"], project.archive, connections=2
    )
    assert len(read(names[0])) == listed[0].size
    for content in (b"first", b"second attempt"):
        (tmp_path / "file").write_bytes(content)
        assert (
            store_file(project.gcs, project.archive, "put/it", tmp_path / "file")
            == f"gs://{project.archive}/put/it"
        )
        assert read("put/it") == content
