"""Google's client libraries, as given accounts, through the IAM proxy to the emulators."""

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
class IamProxySetup:
    """An environment with a bucket, a dataset and a table, behind the IAM proxy."""

    environment: LocalEnvironment
    iam_proxy: IamProxy

    @property
    def bucket(self) -> str:
        return f"{self.environment.project}-data"

    @property
    def table(self) -> str:
        return f"{self.environment.project}.d.t"

    def storage(self, email: str) -> StorageClient:
        """Return a Cloud Storage client that authenticates as an account."""
        return StorageClient(
            project=self.environment.project,
            credentials=credentials(email),
            client_options={"api_endpoint": self.iam_proxy.workload_endpoints.gcs_url},
        )

    def bigquery(self, email: str) -> bigquery.Client:
        """Return a BigQuery client that authenticates as an account."""
        return bigquery.Client(
            project=self.environment.project,
            credentials=credentials(email),
            client_options={"api_endpoint": self.iam_proxy.workload_endpoints.bigquery_url},
        )

    def grant(self, email: str, resource: str, role: str) -> None:
        self.environment.service(Policies).grant(resource, role, [f"serviceAccount:{email}"])


def credentials(email: str) -> Any:
    return Credentials(token=access_token(email)["access_token"])  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def iam_setup(emulators: Emulators, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IamProxySetup]:
    """One setup for all tests; each test has accounts and objects of its own."""
    folder = tmp_path_factory.mktemp("iam_proxy")
    with (
        pytest.MonkeyPatch.context() as patch,
        Supervisor(folder / "processes.json") as supervisor,
        environment_factory(folder, supervisor) as make,
    ):
        patch.setenv("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
        yield from start_iam_proxy(make(emulators))


def start_iam_proxy(environment: LocalEnvironment) -> Iterator[IamProxySetup]:
    iam_proxy = IamProxy(environment)
    setup = IamProxySetup(environment, iam_proxy)
    environment.service(Storage).put_bucket(
        {"name": setup.bucket, "location": "L", "storageClass": "STANDARD"}
    )
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
    yield setup
    iam_proxy.close()


def test_an_object_creator_can_neither_read_nor_overwrite(iam_setup: IamProxySetup) -> None:
    creator = account(iam_setup.environment, "creator")
    iam_setup.grant(creator, f"b/{iam_setup.bucket}", "roles/storage.objectCreator")
    blob = iam_setup.storage(creator).bucket(iam_setup.bucket).blob("feed/one.json")
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
    iam_setup.storage(creator).bucket(iam_setup.bucket).blob("feed/two.json").upload_from_string(
        b"2"
    )  # nothing is there
    assert iam_setup.environment.service(Storage).find_object(iam_setup.bucket, "feed/one.json") is not None


def test_an_object_user_can_create_read_overwrite_and_delete(iam_setup: IamProxySetup) -> None:
    user = account(iam_setup.environment, "user")
    iam_setup.grant(user, f"b/{iam_setup.bucket}", "roles/storage.objectUser")
    bucket = iam_setup.storage(user).bucket(iam_setup.bucket)
    content = bytes(range(256)) * 40_000  # 10 MB
    large = bucket.blob("a b/large", chunk_size=2**20 * 5)  # a resumable upload in parts
    large.upload_from_file(io.BytesIO(content))
    bucket.blob("a b/large").upload_from_string(content[:-1])  # replaces
    assert [each.name for each in iam_setup.storage(user).list_blobs(iam_setup.bucket, prefix="a b/")] == [
        "a b/large"
    ]
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
        iam_setup.storage(user).get_bucket(iam_setup.bucket)


def test_a_missing_object_is_403_without_permission_to_list(iam_setup: IamProxySetup) -> None:
    reader = account(iam_setup.environment, "getter")
    allow(iam_setup.environment, reader, f"b/{iam_setup.bucket}", "storage.objects.get")
    blob = iam_setup.storage(reader).bucket(iam_setup.bucket).blob("nothing")
    for look in (blob.download_as_bytes, blob.reload):
        with pytest.raises(
            Forbidden, match=r"storage\.objects\.get' denied on resource \(or it may not exist\)"
        ):
            look()
    allow(iam_setup.environment, reader, f"b/{iam_setup.bucket}", "storage.objects.list")
    for look in (blob.download_as_bytes, blob.reload):
        with pytest.raises(NotFound):
            look()


def test_a_denial_names_principal_permission_and_resource(iam_setup: IamProxySetup) -> None:
    stranger = account(iam_setup.environment, "stranger")
    with pytest.raises(Forbidden) as refused:
        iam_setup.bigquery(stranger).get_table(iam_setup.table)
    project = iam_setup.environment.project
    assert (
        f"Access Denied: Table {project}:d.t: Permission bigquery.tables.get denied on table {project}:d.t "
        "(or it may not exist)." in str(refused.value)
    )
    assert refused.value.reason == "IAM_PERMISSION_DENIED"
    message = str(refused.value)
    for expected in (stranger, "bigquery.tables.get", f"projects/{project}/datasets/d/tables/t"):
        assert expected in message
    assert f"403: {stranger} lacks bigquery.tables.get on projects/{project}/datasets/d/tables/t" in (
        iam_setup.environment.service(AccessControl).denial_messages()
    )


def load(client: bigquery.Client, table: str, **more: Any) -> Any:
    config = bigquery.LoadJobConfig(
        source_format=bigquery.SourceFormat.NEWLINE_DELIMITED_JSON,
        schema=SCHEMA,
        create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
    )
    return client.load_table_from_file(io.BytesIO(b'{"a": 1}\n'), table, job_config=config, **more).result()


@pytest.mark.parametrize("size", [9, None])  # in one request, or as a resumable upload
def test_a_load_job_needs_its_project_and_its_table(iam_setup: IamProxySetup, size: int | None) -> None:
    project, writer = iam_setup.environment.project, account(iam_setup.environment, f"writer-{size}")
    client, name = iam_setup.bigquery(writer), f"projects/{iam_setup.environment.project}/datasets/d/tables/t"
    with pytest.raises(
        Forbidden, match=f"User does not have bigquery.jobs.create permission in project {project}"
    ):
        load(client, iam_setup.table, size=size)
    iam_setup.grant(writer, f"projects/{project}", "roles/bigquery.jobUser")
    with pytest.raises(Forbidden, match=r"Permission bigquery\.tables\.updateData denied on table"):
        load(client, iam_setup.table, size=size)
    iam_setup.grant(writer, name, "roles/bigquery.dataEditor")
    job = load(client, iam_setup.table, size=size, job_id=f"once-{size}")
    assert job.output_rows == 1
    with pytest.raises(Conflict):
        load(client, iam_setup.table, size=size, job_id=f"once-{size}")
    assert client.get_job(f"once-{size}").state == "DONE"  # one's own job needs no role
    other = iam_setup.bigquery(account(iam_setup.environment, "other"))
    with pytest.raises(Forbidden, match=r"bigquery\.jobs\.get permission"):
        other.get_job(f"once-{size}")
    with pytest.raises(NotFound):
        other.get_job("never")


def test_a_job_reads_the_objects_that_its_caller_may_read(iam_setup: IamProxySetup) -> None:
    project, loader = iam_setup.environment.project, account(iam_setup.environment, "loader")
    iam_setup.environment.service(Storage).put_object(
        iam_setup.bucket, "x.json", b'{"a": 7}\n', "application/json", {}
    )
    iam_setup.grant(loader, f"projects/{project}", "roles/bigquery.jobUser")
    iam_setup.grant(loader, f"projects/{project}/datasets/d", "roles/bigquery.dataEditor")
    iam_setup.grant(loader, f"b/{iam_setup.bucket}", "roles/storage.objectViewer")
    config = bigquery.LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON", schema=SCHEMA)
    client, uri = iam_setup.bigquery(loader), f"gs://{iam_setup.bucket}/x.json"
    with pytest.raises(Forbidden, match=r"storage\.buckets\.get access to the Google Cloud Storage bucket"):
        client.load_table_from_uri(uri, iam_setup.table, job_config=config)
    allow(iam_setup.environment, loader, f"b/{iam_setup.bucket}", "storage.buckets.get")
    client.load_table_from_uri(uri, iam_setup.table, job_config=config).result()
    assert [row.a for row in client.query(f"SELECT a FROM `{iam_setup.table}` WHERE a = 7").result()] == [7]  # noqa: S608


def test_a_query_needs_what_it_reads_and_what_it_writes(iam_setup: IamProxySetup) -> None:
    project, reader = iam_setup.environment.project, account(iam_setup.environment, "querier")
    iam_setup.grant(reader, f"projects/{project}", "roles/bigquery.jobUser")
    iam_setup.grant(reader, f"projects/{project}/datasets/d", "READER")  # as a dataset's access list has it
    client = iam_setup.bigquery(reader)
    assert list(client.query(f"SELECT a FROM `{iam_setup.table}` LIMIT 1").result()) is not None  # noqa: S608
    with pytest.raises(Forbidden, match=r"Permission bigquery\.tables\.updateData denied"):
        client.query(f"INSERT INTO `{iam_setup.table}` (a) VALUES (1)").result()  # noqa: S608
    with pytest.raises(Forbidden, match=r"Permission bigquery\.tables\.create denied on dataset"):
        client.create_table(bigquery.Table(f"{project}.d.new", SCHEMA))


@pytest.mark.parametrize(
    ("authorization", "message"),
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
def test_requests_without_a_known_token_are_refused(
    iam_setup: IamProxySetup, authorization: str | None, message: tuple[str, str]
) -> None:
    """By plain requests, because Google's clients try to get another token after a 401."""
    headers = {"Authorization": authorization} if authorization else {}
    workload_endpoints, project = iam_setup.iam_proxy.workload_endpoints, iam_setup.environment.project
    for url, expected in zip(
        (
            f"{workload_endpoints.gcs_url}/storage/v1/b/{iam_setup.bucket}/o",
            f"{workload_endpoints.bigquery_url}/bigquery/v2/projects/{project}/datasets/d/tables/t",
        ),
        message,
        strict=True,
    ):
        response = requests.get(url, headers=headers, timeout=10)
        assert (response.status_code, response.json()["error"]["status"]) == (401, "UNAUTHENTICATED")
        assert response.json()["error"]["message"].startswith(expected)


@pytest.mark.parametrize(
    ("emulator", "method", "path", "body", "status", "message"),
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
def test_an_undecidable_request_is_501(  # noqa: PLR0917 - a row of the table
    iam_setup: IamProxySetup, emulator: str, method: str, path: str, body: bytes, status: int, message: str
) -> None:
    headers = {"Authorization": f"Bearer {access_token(account(iam_setup.environment, 'x'))['access_token']}"}
    response = requests.request(
        method,
        getattr(iam_setup.iam_proxy.workload_endpoints, emulator) + path,
        data=body,
        headers=headers,
        timeout=10,
    )
    assert (response.status_code, message in response.json()["error"]["message"]) == (status, True), (
        response.text
    )


def test_the_error_of_an_unknown_role_says_where_to_add_it(iam_setup: IamProxySetup) -> None:
    worker = account(iam_setup.environment, "administrator")
    iam_setup.grant(worker, f"b/{iam_setup.bucket}", "roles/storage.objectAdmin")
    headers = {"Authorization": f"Bearer {access_token(worker)['access_token']}"}
    url = f"{iam_setup.iam_proxy.workload_endpoints.gcs_url}/storage/v1/b/{iam_setup.bucket}/o"
    response = requests.get(url, headers=headers, timeout=10)
    assert response.status_code == 501
    assert "roles/storage.objectAdmin" in response.text
    assert "not in local/iam_proxy/roles.toml: add it there" in response.text


def test_the_deployers_requests_are_allowed(iam_setup: IamProxySetup) -> None:
    owner = iam_setup.environment.service(AccessControl).deployer
    assert iam_setup.storage(owner).get_bucket(iam_setup.bucket).name == iam_setup.bucket


def test_owners_of_jobs_survive_a_restart(tmp_path: Path) -> None:
    for _ in range(2):
        JobOwnerStore(tmp_path / "jobs.sqlite").put("p", "j", "first")
    owners = JobOwnerStore(tmp_path / "jobs.sqlite")
    owners.put("p", "j", "second")  # a job has one owner for ever
    assert (owners.find("p", "j"), owners.find("q", "j")) == ("first", None)
    with sqlite3.connect(tmp_path / "jobs.sqlite") as database:
        assert database.execute("SELECT count(*) FROM owners").fetchone() == (1,)
