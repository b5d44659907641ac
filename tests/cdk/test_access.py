"""Least privilege: the stack's grants, the table in docs/access.md and the calls that need them agree."""

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cdk.access import Grant, list_findings, list_grants
from tests.cdk.conftest import Synthesis

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "access.md").read_text("utf-8")
ENVIRONMENTS = ("dev", "prod")
Calls = tuple[tuple[str, str], ...]

# A row of the table → the workload's code that needs the role.
FUNCTION_SOURCES = (
    'project, if resource.name.startsWith("projects/_/buckets/gcf-v2-sources-'
    '${data.google_project.identity_project.number}-europe-west1")'
)
WORKER = (
    "custom: dataproc.agents.create, dataproc.agents.delete, dataproc.agents.get, dataproc.agents.list, "
    "dataproc.agents.update, dataproc.tasks.lease, dataproc.tasks.listInvalidatedLeases, dataproc.tasks.reportStatus, "
    "logging.logEntries.create, monitoring.metricDescriptors.create, monitoring.metricDescriptors.get, "
    "monitoring.metricDescriptors.list, monitoring.monitoredResourceDescriptors.get, "
    "monitoring.monitoredResourceDescriptors.list, monitoring.timeSeries.create"
)
CALLS: dict[Grant, Calls] = {
    Grant("batch", "bucket archive", "roles/storage.objectViewer"): (
        ("src/spark/archive.py", "client.list_blobs"),
        ("src/spark/archive.py", "/storage/v1/b/{bucket}/o/"),
    ),
    Grant("batch", "bucket artifacts", "roles/storage.objectViewer"): (
        ("cdk/workloads/batch.py", "main_python_file_uri="),
        ("cdk/workloads/batch.py", "python_file_uris="),
    ),
    Grant("batch", "bucket staging", "roles/storage.admin"): (
        ("cdk/workloads/batch.py", "staging_bucket="),
        ("src/spark/archive.py", "blob.upload_from_filename"),
    ),
    Grant("batch", "dataset warehouse", "roles/bigquery.dataEditor"): (
        ("src/spark/rebuild/warehouse.py", "client.create_table"),
        ("src/spark/rebuild/warehouse.py", "client.delete_table"),
        ("src/spark/rebuild/warehouse.py", "INSERT INTO"),
    ),
    Grant("batch", "project", "roles/bigquery.jobUser"): (
        ("src/spark/rebuild/warehouse.py", "client.query"),
        ("src/spark/rebuild/warehouse.py", "client.load_table_from_uri"),
    ),
    Grant("batch", "project", WORKER): (
        ("cdk/workloads/batch.py", "service_account=identities.batch.email"),
    ),
    Grant("build", "bucket artifacts", "roles/storage.objectViewer"): (
        ("cdk/workloads/build_image.py", "'storageSource'"),
        ("cdk/workloads/collection.py", "Cloudfunctions2FunctionBuildConfigSourceStorageSource("),
    ),
    Grant("build", FUNCTION_SOURCES, "roles/storage.objectViewer"): (
        ("cdk/workloads/collection.py", "Cloudfunctions2FunctionBuildConfigSourceStorageSource("),
    ),
    Grant("build", "project", "roles/logging.logWriter"): (
        ("cdk/workloads/build_image.py", "'serviceAccount'"),
        ("cdk/workloads/collection.py", "service_account=identities.build.name"),
    ),
    Grant("build", "repository build", "roles/artifactregistry.writer"): (
        ("cdk/workloads/build_image.py", "'imageUri'"),
        ("cdk/workloads/collection.py", "docker_repository=build.repository.id"),
    ),
    Grant("collector", "bucket archive", "roles/storage.objectViewer"): (
        ("src/collector/landing.py", "(archive_bucket, archive_name(feed_name, tick))"),
        ("src/collector/landing.py", "download_as_bytes"),
    ),
    Grant("collector", "bucket landing", "roles/storage.objectCreator"): (
        ("src/collector/landing.py", "blob.upload_from_string"),
        ("src/collector/fetching.py", "blob.upload_from_string"),
        ("src/collector/retry_after.py", "blob.upload_from_string"),
    ),
    Grant("collector", "bucket landing", "roles/storage.objectViewer"): (
        ("src/collector/landing.py", "(landing_bucket, name)"),
        ("src/collector/landing.py", "download_as_bytes"),
        ("src/collector/station_state.py", "client.list_blobs"),
        ("src/collector/retry_after.py", "wait_marker_name(feed_name, now)"),
    ),
    Grant("collector", "project", "roles/bigquery.jobUser"): (
        ("src/collector/loading.py", "client.load_table_from_file"),
    ),
    Grant("collector", "table quarantine", "roles/bigquery.dataEditor"): (
        ("src/collector/tick.py", "settings.quarantine_table"),
        ("src/collector/loading.py", "client.load_table_from_file"),
    ),
    Grant("collector", "table vlille_gbfs", "roles/bigquery.dataEditor"): (
        ("src/collector/tick.py", "settings.station_table"),
        ("src/collector/loading.py", "client.load_table_from_file"),
    ),
    Grant("copier", "bucket archive", "roles/storage.objectCreator"): (
        ("src/copier/archiving.py", "copy.rewrite"),
        ("src/copier/archiving.py", "copy.upload_from_string"),
    ),
    Grant("copier", "bucket archive", "roles/storage.objectViewer"): (
        ("src/copier/sweep.py", "_list_pages(client, settings.archive_bucket"),
        ("src/copier/archiving.py", "existing.reload"),
    ),
    Grant("copier", "bucket landing", "roles/storage.objectUser"): (
        ("src/copier/archiving.py", "source.delete"),
        ("src/copier/sweep.py", "_list_pages(client, settings.landing_bucket"),
    ),
    Grant("dashboard", "dataset views", "roles/bigquery.dataViewer"): (
        ("src/dashboard/queries.py", "{self.views}.availability"),
    ),
    Grant("dashboard", "project", "roles/bigquery.jobUser"): (
        ("src/dashboard/warehouse.py", "self._client().query"),
    ),
    Grant("pubsub", "subscription push", "roles/pubsub.subscriber"): (
        ("cdk/workloads/collection.py", "dead_letter_policy="),
    ),
    Grant("pubsub", "topic dead_topic", "roles/pubsub.publisher"): (
        ("cdk/workloads/collection.py", "dead_letter_topic=self.dead_topic.id"),
    ),
    Grant("push", "function collection", "roles/run.invoker"): (
        ("cdk/workloads/collection.py", "push_endpoint=uri"),
    ),
    Grant("scheduler", "identity batch", "roles/iam.serviceAccountUser"): (
        ("cdk/workloads/batch.py", "service_account=identities.batch.email"),
        ("cdk/operations/scheduling.py", "uri=batch.instantiate_url"),
    ),
    Grant("scheduler", "project", "custom: dataproc.workflowTemplates.instantiate"): (
        ("cdk/operations/scheduling.py", "uri=batch.instantiate_url"),
    ),
    Grant("scheduler", "service archiving", "roles/run.invoker"): (
        ("cdk/operations/scheduling.py", "uri=f'{archiving.service.uri}/sweep'"),
    ),
    Grant("views of dataset views", "dataset warehouse", "authorized views"): (
        ("cdk/resources/views.py", "view=BigqueryTableView("),
    ),
}
# A construct that grants a role does not need it itself: grants are not calls.
GRANTING = re.compile(r"\w+Iam(?:Member|CustomRole)\(")


def list_table_rows(heading: str) -> list[list[str]]:
    """Return the rows of the first table below a heading of the page."""
    part = PAGE.split(f" {heading}\n", 1)[1]
    rows = re.search(r"^\|[-|]+\|\n((?:\|.*\|\n)+)", part, re.MULTILINE)
    assert rows, heading
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in rows[1].splitlines()]


def read_documented_grants(heading: str = "The table") -> dict[Grant, Calls]:
    found = {}
    for identity, resource, role, why in list_table_rows(heading):
        row = Grant(identity.strip("| "), resource, role)
        assert row not in found, row
        found[row] = tuple(re.findall(r"`([\w/]+\.py): ([^`]+)`", why))
    return found


def strip_texts(source: str) -> str:
    """Return code without comments and docstrings, each expression on one line with single quotes."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            kept = [each for each in node.body if not is_docstring(each)]
            node.body = kept or [ast.Pass()]
    return ast.unparse(tree)


def is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def list_uncalled_grants(read: Callable[[str], str]) -> set[Grant]:
    """Return the rows whose call is no longer in the code."""
    code = {path: strip_texts(read(path)) for path in {path for calls in CALLS.values() for path, _ in calls}}
    return {row for row, calls in CALLS.items() if any(call not in code[path] for path, call in calls)}


def read_source(path: str) -> str:
    return (ROOT / path).read_text("utf-8")


@pytest.mark.synth
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_grants_of_the_stack_are_those_of_the_page(synthesis: Synthesis, environment: str) -> None:
    assert list_grants(synthesis.stacks[environment]) == sorted(read_documented_grants())


@pytest.mark.synth
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_stacks_have_no_findings(synthesis: Synthesis, environment: str) -> None:
    assert list_findings(synthesis.stacks[environment]) == []


@pytest.mark.unit
def test_every_role_of_the_page_has_its_calls() -> None:
    assert read_documented_grants() == CALLS
    assert list_uncalled_grants(read_source) == set()


@pytest.mark.unit
def test_every_wider_role_is_in_the_table() -> None:
    rows = {
        Grant(who.strip("| "), resource, role)
        for who, resource, role, _ in list_table_rows("Wider than the calls need")
    }
    assert rows < set(CALLS)


@pytest.mark.unit
@pytest.mark.parametrize(
    ("path", "old", "new", "rows"),
    [
        (
            "src/copier/archiving.py",
            "source.delete(",
            "source.update(",
            {Grant("copier", "bucket landing", "roles/storage.objectUser")},
        ),
        (
            "src/copier/archiving.py",
            "        source.delete(",
            "        # source.delete(\n        source.update(",
            {Grant("copier", "bucket landing", "roles/storage.objectUser")},
        ),
        (
            "src/collector/landing.py",
            "(archive_bucket, archive_name(feed_name, tick))",
            "",
            {Grant("collector", "bucket archive", "roles/storage.objectViewer")},
        ),
        (
            "src/collector/landing.py",
            "blob.upload_from_string(",
            "print(",
            {Grant("collector", "bucket landing", "roles/storage.objectCreator")},
        ),
        (
            "cdk/operations/scheduling.py",
            "uri=batch.instantiate_url",
            'uri=""',
            {
                Grant("scheduler", "identity batch", "roles/iam.serviceAccountUser"),
                Grant("scheduler", "project", "custom: dataproc.workflowTemplates.instantiate"),
            },
        ),
    ],
)
def test_a_role_without_a_call_is_reported(path: str, old: str, new: str, rows: set[Grant]) -> None:
    def read(name: str) -> str:
        return read_source(name).replace(old, new) if name == path else read_source(name)

    assert read(path) != read_source(path)
    assert list_uncalled_grants(read) == rows


@pytest.mark.unit
def test_a_grant_is_not_a_call() -> None:
    """In a file with grants and calls, no counted call is inside a grant."""
    for path in sorted({path for calls in CALLS.values() for path, _ in calls if path.startswith("cdk/")}):
        within = [
            ast.unparse(node)
            for node in ast.walk(ast.parse(read_source(path)))
            if isinstance(node, ast.Call) and GRANTING.match(ast.unparse(node))
        ]
        calls = {call for each in CALLS.values() for where, call in each if where == path}
        assert not [(call, text) for call in calls for text in within if call in text]
