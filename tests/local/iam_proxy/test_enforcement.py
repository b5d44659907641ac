"""Google's own clients, as given accounts, through the guard to the emulators."""

import io
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from google.api_core.exceptions import Conflict, Forbidden, NotFound, PreconditionFailed
from google.cloud import bigquery
from google.cloud.storage import Client as StorageClient
from google.oauth2.credentials import Credentials

from local.data_plane.emulators import Emulators
from local.environment.environment import LocalEnvironment
from local.environment.metadata_server import access_token
from local.iam_proxy.access import AccessControl
from local.iam_proxy.enforcement import IamProxy, JobOwnerStore
from local.processes.supervisor import Supervisor
from local.services.bigquery import BigQuery
from local.services.iam import Policies
from local.services.storage import Storage
from tests.local.conftest import account, allow, environment_factory

pytestmark = pytest.mark.emulator
SCHEMA = [bigquery.SchemaField("a", "INTEGER")]


@dataclass(frozen=True)
class Guarded:
    """A machine with a bucket, a dataset and a table of its own, behind a guard."""

    environment: LocalEnvironment
    guard: IamProxy

    @property
    def bucket(self) -> str:
        return f"{self.environment.project}-data"

    @property
    def table(self) -> str:
        return f"{self.environment.project}.d.t"

    def storage(self, email: str) -> StorageClient:
        """Cloud Storage's client as an account."""
        return StorageClient(
            project=self.environment.project,
            credentials=credentials(email),
            client_options={"api_endpoint": self.guard.workload_endpoints.gcs_url},
        )

    def bigquery(self, email: str) -> bigquery.Client:
        """BigQuery's client as an account."""
        return bigquery.Client(
            project=self.environment.project,
            credentials=credentials(email),
            client_options={"api_endpoint": self.guard.workload_endpoints.bigquery_url},
        )

    def grant(self, email: str, resource: str, role: str) -> None:
        self.environment.service(Policies).grant(resource, role, [f"serviceAccount:{email}"])


def credentials(email: str) -> Any:
    return Credentials(token=access_token(email)["access_token"])  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def here(emulators: Emulators, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """One for all tests: each has accounts and objects of its own."""
    folder = tmp_path_factory.mktemp("guard")
    with (
        pytest.MonkeyPatch.context() as patch,
        Supervisor(folder / "processes.json") as supervisor,
        environment_factory(folder, supervisor) as make,
    ):
        patch.setenv("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
        yield from guarded(make(emulators))


def guarded(environment: LocalEnvironment) -> Iterator[Guarded]:
    guard = IamProxy(environment)
    one = Guarded(environment, guard)
    environment.service(Storage).put_bucket({"name": one.bucket, "location": "L", "storageClass": "STANDARD"})
    environment.service(BigQuery).put_dataset(
        environment.project, {"datasetReference": {"projectId": environment.project, "datasetId": "d"}}
    )
    environment.service(BigQuery).put_table(
        environment.project,
        "d",
        {
            "tableReference": {"projectId": environment.project, "datasetId": "d", "tableId": "t"},
            "schema": {"fields": [{"name": "a", "type": "INTEGER"}]},
        },
    )
    yield one
    guard.close()


def test_a_creator_creates_and_neither_reads_nor_replaces(here: Guarded) -> None:
    creator = account(here.environment, "creator")
    here.grant(creator, f"b/{here.bucket}", "roles/storage.objectCreator")
    blob = here.storage(creator).bucket(here.bucket).blob("feed/one.json")
    blob.upload_from_string(b"1", if_generation_match=0)
    with pytest.raises(PreconditionFailed):  # as in the cloud: 412, not 403
        blob.upload_from_string(b"2", if_generation_match=0)
    with pytest.raises(
        Forbidden, match=f"{creator} does not have storage.objects.delete access to the Google Cloud"
    ):
        blob.upload_from_string(b"2")
    with pytest.raises(
        Forbidden, match=r"Permission 'storage\.objects\.get' denied on resource \(or it may not exist\)"
    ):
        blob.download_as_bytes()
    here.storage(creator).bucket(here.bucket).blob("feed/two.json").upload_from_string(
        b"2"
    )  # nothing is there
    assert here.environment.service(Storage).find_object(here.bucket, "feed/one.json") is not None


def test_a_user_does_it_all_with_objects(here: Guarded) -> None:
    user = account(here.environment, "user")
    here.grant(user, f"b/{here.bucket}", "roles/storage.objectUser")
    bucket = here.storage(user).bucket(here.bucket)
    content = bytes(range(256)) * 40_000  # 10 MB
    large = bucket.blob("a b/large", chunk_size=2**20 * 5)  # a resumable upload in parts
    large.upload_from_file(io.BytesIO(content))
    bucket.blob("a b/large").upload_from_string(content[:-1])  # replaces
    assert [each.name for each in here.storage(user).list_blobs(here.bucket, prefix="a b/")] == ["a b/large"]
    found = bucket.get_blob("a b/large")
    assert found is not None
    assert found.download_as_bytes() == content[:-1]  # by the link that the emulator gave
    copy = bucket.blob("copy")
    assert copy.rewrite(found)[1] == len(content) - 1
    copy.metadata = {"k": "v"}
    copy.patch()
    found.delete()
    with pytest.raises(NotFound):
        found.reload()
    with pytest.raises(Forbidden, match=r"storage\.buckets\.get access to the Google Cloud Storage bucket"):
        here.storage(user).get_bucket(here.bucket)


def test_what_is_not_there_is_forbidden_to_whom_may_not_list(here: Guarded) -> None:
    reader = account(here.environment, "getter")
    allow(here.environment, reader, f"b/{here.bucket}", "storage.objects.get")
    blob = here.storage(reader).bucket(here.bucket).blob("nothing")
    for look in (blob.download_as_bytes, blob.reload):
        with pytest.raises(
            Forbidden, match=r"storage\.objects\.get' denied on resource \(or it may not exist\)"
        ):
            look()
    allow(here.environment, reader, f"b/{here.bucket}", "storage.objects.list")
    for look in (blob.download_as_bytes, blob.reload):
        with pytest.raises(NotFound):
            look()


def test_a_refusal_names_identity_permission_and_resource(here: Guarded) -> None:
    stranger = account(here.environment, "stranger")
    with pytest.raises(Forbidden) as refused:
        here.bigquery(stranger).get_table(here.table)
    project = here.environment.project
    assert (
        f"Access Denied: Table {project}:d.t: Permission bigquery.tables.get denied on table {project}:d.t "
        "(or it may not exist)." in str(refused.value)
    )
    assert refused.value.reason == "IAM_PERMISSION_DENIED"
    told = str(refused.value)
    for expected in (stranger, "bigquery.tables.get", f"projects/{project}/datasets/d/tables/t"):
        assert expected in told
    assert f"403: {stranger} lacks bigquery.tables.get on projects/{project}/datasets/d/tables/t" in (
        here.environment.service(AccessControl).denial_messages()
    )


def load(client: bigquery.Client, table: str, **more: Any) -> Any:
    config = bigquery.LoadJobConfig(
        source_format=bigquery.SourceFormat.NEWLINE_DELIMITED_JSON,
        schema=SCHEMA,
        create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
    )
    return client.load_table_from_file(io.BytesIO(b'{"a": 1}\n'), table, job_config=config, **more).result()


@pytest.mark.parametrize("size", [9, None])  # in one request, or as a resumable upload
def test_a_load_job_needs_its_project_and_its_table(here: Guarded, size: int | None) -> None:
    project, writer = here.environment.project, account(here.environment, f"writer-{size}")
    client, name = here.bigquery(writer), f"projects/{here.environment.project}/datasets/d/tables/t"
    with pytest.raises(
        Forbidden, match=f"User does not have bigquery.jobs.create permission in project {project}"
    ):
        load(client, here.table, size=size)
    here.grant(writer, f"projects/{project}", "roles/bigquery.jobUser")
    with pytest.raises(Forbidden, match=r"Permission bigquery\.tables\.updateData denied on table"):
        load(client, here.table, size=size)
    here.grant(writer, name, "roles/bigquery.dataEditor")
    job = load(client, here.table, size=size, job_id=f"once-{size}")
    assert job.output_rows == 1
    with pytest.raises(Conflict):
        load(client, here.table, size=size, job_id=f"once-{size}")
    assert client.get_job(f"once-{size}").state == "DONE"  # one's own job needs no role
    other = here.bigquery(account(here.environment, "other"))
    with pytest.raises(Forbidden, match=r"bigquery\.jobs\.get permission"):
        other.get_job(f"once-{size}")
    with pytest.raises(NotFound):
        other.get_job("never")


def test_a_job_reads_the_objects_that_its_caller_may_read(here: Guarded) -> None:
    project, loader = here.environment.project, account(here.environment, "loader")
    here.environment.service(Storage).put_object(here.bucket, "x.json", b'{"a": 7}\n', "application/json", {})
    here.grant(loader, f"projects/{project}", "roles/bigquery.jobUser")
    here.grant(loader, f"projects/{project}/datasets/d", "roles/bigquery.dataEditor")
    here.grant(loader, f"b/{here.bucket}", "roles/storage.objectViewer")
    config = bigquery.LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON", schema=SCHEMA)
    client, uri = here.bigquery(loader), f"gs://{here.bucket}/x.json"
    with pytest.raises(Forbidden, match=r"storage\.buckets\.get access to the Google Cloud Storage bucket"):
        client.load_table_from_uri(uri, here.table, job_config=config)
    allow(here.environment, loader, f"b/{here.bucket}", "storage.buckets.get")
    client.load_table_from_uri(uri, here.table, job_config=config).result()
    assert [row.a for row in client.query(f"SELECT a FROM `{here.table}` WHERE a = 7").result()] == [7]  # noqa: S608


def test_a_query_needs_what_it_reads_and_what_it_writes(here: Guarded) -> None:
    project, reader = here.environment.project, account(here.environment, "querier")
    here.grant(reader, f"projects/{project}", "roles/bigquery.jobUser")
    here.grant(reader, f"projects/{project}/datasets/d", "READER")  # as a dataset's access list has it
    client = here.bigquery(reader)
    assert list(client.query(f"SELECT a FROM `{here.table}` LIMIT 1").result()) is not None  # noqa: S608
    with pytest.raises(Forbidden, match=r"Permission bigquery\.tables\.updateData denied"):
        client.query(f"INSERT INTO `{here.table}` (a) VALUES (1)").result()  # noqa: S608
    with pytest.raises(Forbidden, match=r"Permission bigquery\.tables\.create denied on dataset"):
        client.create_table(bigquery.Table(f"{project}.d.new", SCHEMA))


@pytest.mark.parametrize(
    ("authorization", "told"),
    [
        (
            None,
            ("Anonymous caller does not have storage access", "Request is missing required authentication"),
        ),
        ("Bearer local:nobody@elsewhere.iam.gserviceaccount.com", ("Invalid Credentials",) * 2),
        ("Bearer ya29.of-the-real-cloud", ("Invalid Credentials",) * 2),
        ("Basic bG9jYWw6", ("Invalid Credentials",) * 2),
    ],
)
def test_without_a_token_that_is_known_nobody_gets_through(
    here: Guarded, authorization: str | None, told: tuple[str, str]
) -> None:
    """By plain requests: Google's clients try to get another token when they hear 401."""
    headers = {"Authorization": authorization} if authorization else {}
    workload_endpoints, project = here.guard.workload_endpoints, here.environment.project
    for url, expected in zip(
        (
            f"{workload_endpoints.gcs_url}/storage/v1/b/{here.bucket}/o",
            f"{workload_endpoints.bigquery_url}/bigquery/v2/projects/{project}/datasets/d/tables/t",
        ),
        told,
        strict=True,
    ):
        answer = requests.get(url, headers=headers, timeout=10)
        assert (answer.status_code, answer.json()["error"]["status"]) == (401, "UNAUTHENTICATED")
        assert answer.json()["error"]["message"].startswith(expected)


@pytest.mark.parametrize(
    ("door", "method", "path", "body", "status", "told"),
    [
        (
            "gcs_url",
            "GET",
            "/storage/v1/b/x/notificationConfigs",
            b"",
            501,
            "local/iam_proxy/storage.py does not know",
        ),
        (
            "bigquery_url",
            "GET",
            "/bigquery/v2/projects/p/datasets/d/models",
            b"",
            501,
            "local/iam_proxy/bigquery.py",
        ),
        ("bigquery_url", "POST", "/bigquery/v2/projects/p/jobs", b"{", 400, "Invalid JSON payload"),
        (
            "bigquery_url",
            "POST",
            "/bigquery/v2/projects/p/jobs",
            b"{}",
            400,
            "the job has no configuration",
        ),
    ],
)
def test_what_cannot_be_judged_is_told_so(  # noqa: PLR0917 - a row of the table
    here: Guarded, door: str, method: str, path: str, body: bytes, status: int, told: str
) -> None:
    headers = {"Authorization": f"Bearer {access_token(account(here.environment, 'x'))['access_token']}"}
    answer = requests.request(
        method, getattr(here.guard.workload_endpoints, door) + path, data=body, headers=headers, timeout=10
    )
    assert (answer.status_code, told in answer.json()["error"]["message"]) == (status, True), answer.text


def test_an_unknown_role_is_an_error_that_says_where_to_add_it(here: Guarded) -> None:
    worker = account(here.environment, "administrator")
    here.grant(worker, f"b/{here.bucket}", "roles/storage.objectAdmin")
    headers = {"Authorization": f"Bearer {access_token(worker)['access_token']}"}
    url = f"{here.guard.workload_endpoints.gcs_url}/storage/v1/b/{here.bucket}/o"
    answer = requests.get(url, headers=headers, timeout=10)
    assert answer.status_code == 501
    assert "roles/storage.objectAdmin" in answer.text
    assert "not in local/iam_proxy/roles.toml: add it there" in answer.text


def test_who_deploys_gets_through(here: Guarded) -> None:
    owner = here.environment.service(AccessControl).deployer
    assert here.storage(owner).get_bucket(here.bucket).name == here.bucket


def test_owners_of_jobs_outlive_a_restart(tmp_path: Path) -> None:
    for _ in range(2):
        JobOwnerStore(tmp_path / "jobs.sqlite").put("p", "j", "first")
    owners = JobOwnerStore(tmp_path / "jobs.sqlite")
    owners.put("p", "j", "second")  # a job has one owner for ever
    assert (owners.find("p", "j"), owners.find("q", "j")) == ("first", None)
    with sqlite3.connect(tmp_path / "jobs.sqlite") as database:
        assert database.execute("SELECT count(*) FROM owners").fetchone() == (1,)
