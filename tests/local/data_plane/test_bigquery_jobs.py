"""Small load jobs of the BigQuery emulator: where jobs are stored, what is cached, how an upload is split."""

import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest, Conflict, NotFound
from google.cloud import bigquery
from hypothesis import given
from hypothesis import strategies as st
from local_bigquery.api import uploads
from local_bigquery.models import Job

from local.data_plane.bigquery_jobs import CatalogCache, JobStore, split_upload
from local.data_plane.emulators import start_emulators
from local.processes.supervisor import Supervisor
from tests.conftest import bigquery_client

ROOT = Path(__file__).parents[3]
SCHEMA = [bigquery.SchemaField("name", "STRING"), bigquery.SchemaField("n", "INT64")]


def job(number: int, state: str = "DONE", parent: str | None = None) -> Job:
    return Job.model_validate(
        {
            "jobReference": {"projectId": "p", "jobId": f"j{number}", "location": "US"},
            "configuration": {},
            "status": {"state": state},
            "statistics": {"creationTime": str(1000 + number), "parentJobId": parent},
        }
    )


def names(jobs: list[Job]) -> list[str]:
    return [each.jobReference.jobId for each in jobs]


@pytest.mark.emulator
def test_jobs_are_found_as_in_the_emulators_original_store(tmp_path: Path) -> None:
    kept = JobStore(tmp_path / "new" / "jobs.sqlite", list)
    for each in (job(1), job(2, "RUNNING"), job(3, "DONE"), job(4, "DONE", parent="j3")):
        kept.save(each)
    kept.save(job(2, "DONE"))
    found = kept.load("p", "j2")
    assert found is not None
    assert found.status.state == "DONE"
    assert kept.load("p", "j9") is None
    assert kept.load("other", "j2") is None
    assert names(kept.list_("p")) == ["j3", "j2", "j1"]
    assert names(kept.list_("p", parent_job_id="j3")) == ["j4"]
    assert names(kept.list_("p", states=["RUNNING"])) == []
    assert names(kept.list_("p", None, None, 1002, 1002)) == ["j2"]
    kept.delete("p", "j3")
    assert names(kept.list_("p")) == ["j2", "j1"]
    assert kept.list_("p", parent_job_id="j3") == []


@pytest.mark.emulator
def test_a_new_store_imports_earlier_jobs_once(tmp_path: Path) -> None:
    row = ("p", "j1", None, "DONE", 1001, job(1).model_dump_json(exclude_none=True))
    for earlier in ([row], []):
        kept = JobStore(tmp_path / "jobs.sqlite", lambda rows=earlier: rows)  # type: ignore[misc]
        assert names(kept.list_("p")) == ["j1"]


@pytest.mark.emulator
def test_cached_entries_serve_load_jobs_until_another_change() -> None:
    catalog, calls = CatalogCache(), []

    def look(name: str) -> str:
        calls.append(name)
        return "" if name == "absent" else name.upper()

    known = catalog.cached(look, lambda name: name != "passing")
    assert [known("a"), known("a")] == ["A", "A"]
    assert calls == ["a", "a"], "only load jobs use it"
    calls.clear()
    with catalog.use():
        assert [known("a"), known("a"), known("b")] == ["A", "A", "B"]
        assert [known("absent"), known("absent"), known("passing"), known("passing")] == [
            "",
            "",
            "PASSING",
            "PASSING",
        ]
    assert calls == ["a", "b", "absent", "absent", "passing", "passing"]
    catalog.invalidate()
    with catalog.use():
        assert known("a") == "A"
    assert calls[-1] == "a"


@pytest.mark.emulator
def test_an_entry_read_before_a_change_is_not_cached_after_it() -> None:
    catalog = CatalogCache()
    held, found = threading.Event(), threading.Event()

    def look() -> str:
        found.set()
        held.wait()
        return "old"

    known = catalog.cached(look, lambda: True)

    def load() -> None:
        with catalog.use():
            known()

    thread = threading.Thread(target=load)
    thread.start()
    found.wait()
    catalog.invalidate()
    held.set()
    thread.join()
    assert catalog._known == {}


def body(boundary: bytes, data: bytes) -> bytes:
    """Format an upload as the client library does: google/resumable_media/_upload.py, construct_multipart_request."""
    metadata = b'{"jobReference": {"projectId": "p", "jobId": "j"}}'
    return (
        b"--" + boundary + b"\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n" + metadata + b"\r\n"
        b"--" + boundary + b"\r\ncontent-type: */*\r\n\r\n" + data + b"\r\n--" + boundary + b"--"
    )


@pytest.mark.emulator
@given(st.binary(max_size=200))
def test_an_upload_is_split_into_its_two_parts_whatever_the_data(data: bytes) -> None:
    def fail(_type: str, _payload: bytes) -> tuple[Job, bytes]:
        raise AssertionError("left to the parser")

    cut = split_upload(fail)
    found, rest = cut('multipart/related; boundary="===123=="', body(b"===123==", data))
    assert found.jobReference.jobId == "j"
    assert rest == data


@pytest.mark.emulator
@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("multipart/related", body(b"b", b"x")),
        ("multipart/related; boundary=other", body(b"b", b"x")),
        ("multipart/related; boundary=b", body(b"b", b"x\r\n--b\r\n\r\nthird")),
        (
            "multipart/related; boundary=b",
            body(b"b", b"x").replace(b"*/*", b"*/*\r\ncontent-transfer-encoding: base64"),
        ),
    ],
)
def test_an_upload_in_another_format_is_left_to_the_parser(kind: str, payload: bytes) -> None:
    parsed: list[bytes] = []

    def parse(_type: str, given: bytes) -> tuple[Any, bytes]:
        parsed.append(given)
        return None, b""

    split_upload(parse)(kind, payload)
    assert parsed == [payload]
    assert uploads._parts is not None


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("jobs")
    with Supervisor(folder / "processes.json") as supervisor:
        urls = start_emulators(supervisor, folder, extensions=ROOT / ".cache")
        yield bigquery_client(urls, "cheap-loads")


@pytest.fixture
def load(client: bigquery.Client) -> Callable[..., str]:
    dataset = f"d{uuid.uuid4().hex[:8]}"
    client.create_dataset(dataset)
    client.create_table(bigquery.Table(f"cheap-loads.{dataset}.t", schema=SCHEMA))

    def append(
        rows: list[dict[str, Any]], schema: list[bigquery.SchemaField] = SCHEMA, job_id: str = ""
    ) -> str:
        config = bigquery.LoadJobConfig(
            schema=schema,
            write_disposition="WRITE_APPEND",
            create_disposition="CREATE_NEVER",
        )
        name = job_id or uuid.uuid4().hex
        client.load_table_from_json(
            rows, f"{dataset}.t", job_config=config, job_id=name, num_retries=0
        ).result()
        return dataset

    return append


@pytest.mark.emulator
def test_later_load_jobs_see_changes_of_the_table_between_them(
    client: bigquery.Client, load: Callable[..., str]
) -> None:
    wide = [*SCHEMA, bigquery.SchemaField("new", "STRING")]
    dataset = load([{"name": "é", "n": 1}])
    load([{"name": "b", "n": 2}])
    with pytest.raises(BadRequest, match="Cannot add fields"):
        load([{"name": "c", "n": 3, "new": "x"}], wide)
    table = client.get_table(f"{dataset}.t")
    table.schema = wide
    client.update_table(table, ["schema"])
    load([{"name": "c", "n": 3, "new": "x"}], wide)
    client.query(f"ALTER TABLE {dataset}.t DROP COLUMN new").result()
    with pytest.raises(BadRequest, match="Cannot add fields"):
        load([{"name": "d", "n": 4, "new": "x"}], wide)
    rows = client.query(f"SELECT name, n FROM {dataset}.t ORDER BY n").result()  # noqa: S608
    assert [tuple(row) for row in rows] == [("é", 1), ("b", 2), ("c", 3)]
    client.delete_table(f"{dataset}.t")
    with pytest.raises(NotFound):
        load([{"name": "e", "n": 5}])
    client.query(f"CREATE TABLE {dataset}.t (name STRING, n INT64)").result()
    load([{"name": "f", "n": 6}])
    client.query(f"DROP TABLE {dataset}.t").result()
    with pytest.raises(NotFound):
        load([{"name": "g", "n": 7}])


@pytest.mark.emulator
def test_a_repeated_job_id_is_refused_and_the_job_is_found(
    client: bigquery.Client, load: Callable[..., str]
) -> None:
    name = uuid.uuid4().hex
    dataset = load([{"name": "a", "n": 1}], job_id=name)
    with pytest.raises(Conflict):
        load([{"name": "a", "n": 1}], job_id=name)
    found = client.get_job(name)
    assert isinstance(found, bigquery.LoadJob)
    assert found.output_rows == 1
    assert name in {each.job_id for each in client.list_jobs(state_filter="done")}
    assert client.get_table(f"{dataset}.t").num_rows == 1
