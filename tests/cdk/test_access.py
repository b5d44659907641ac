"""Least privilege: the stack's grants, the page that was reviewed, and the calls that need them, are the same."""

import ast
import copy
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdk.access import AccessError, Finding, Grant, findings, grants
from tests.cdk.conftest import Synthesis

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "access.md").read_text("utf-8")
ENVIRONMENTS = ("dev", "prod")
Calls = tuple[tuple[str, str], ...]

# A row of the table → where the workload's code does what needs the role.
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
        ("cdk/batch.py", "main_python_file_uri="),
        ("cdk/batch.py", "python_file_uris="),
    ),
    Grant("batch", "bucket staging", "roles/storage.admin"): (
        ("cdk/batch.py", "staging_bucket="),
        ("src/spark/archive.py", "blob.upload_from_filename"),
    ),
    Grant("batch", "dataset warehouse", "roles/bigquery.dataEditor"): (
        ("src/spark/warehouse.py", "client.create_table"),
        ("src/spark/warehouse.py", "client.delete_table"),
        ("src/spark/warehouse.py", "INSERT INTO"),
    ),
    Grant("batch", "project", "roles/bigquery.jobUser"): (
        ("src/spark/warehouse.py", "client.query"),
        ("src/spark/warehouse.py", "client.load_table_from_uri"),
    ),
    Grant("batch", "project", WORKER): (("cdk/batch.py", "service_account=identities.batch.email"),),
    Grant("build", "bucket artifacts", "roles/storage.objectViewer"): (
        ("cdk/build_image.py", "'storageSource'"),
        ("cdk/collection.py", "Cloudfunctions2FunctionBuildConfigSourceStorageSource("),
    ),
    Grant("build", FUNCTION_SOURCES, "roles/storage.objectViewer"): (
        ("cdk/collection.py", "Cloudfunctions2FunctionBuildConfigSourceStorageSource("),
    ),
    Grant("build", "project", "roles/logging.logWriter"): (
        ("cdk/build_image.py", "'serviceAccount'"),
        ("cdk/collection.py", "service_account=identities.build.name"),
    ),
    Grant("build", "repository build", "roles/artifactregistry.writer"): (
        ("cdk/build_image.py", "'imageUri'"),
        ("cdk/collection.py", "docker_repository=build.repository.id"),
    ),
    Grant("collector", "bucket archive", "roles/storage.objectViewer"): (
        ("src/collector/landing.py", "(archive_bucket, archive_name(feed_name, tick))"),
        ("src/collector/landing.py", "download_as_bytes"),
    ),
    Grant("collector", "bucket landing", "roles/storage.objectCreator"): (
        ("src/collector/landing.py", "blob.upload_from_string"),
        ("src/collector/asking.py", "blob.upload_from_string"),
        ("src/collector/waiting.py", "blob.upload_from_string"),
    ),
    Grant("collector", "bucket landing", "roles/storage.objectViewer"): (
        ("src/collector/landing.py", "(landing_bucket, name)"),
        ("src/collector/landing.py", "download_as_bytes"),
        ("src/collector/unchanged.py", "client.list_blobs"),
        ("src/collector/waiting.py", "wait_name(feed_name, now)"),
    ),
    Grant("collector", "project", "roles/bigquery.jobUser"): (
        ("src/collector/loading.py", "client.load_table_from_file"),
    ),
    Grant("collector", "table quarantine", "roles/bigquery.dataEditor"): (
        ("src/collector/tick.py", "settings.quarantine_table"),
        ("src/collector/loading.py", "client.load_table_from_file"),
    ),
    Grant("collector", "table vlille_ogc", "roles/bigquery.dataEditor"): (
        ("src/collector/tick.py", "settings.station_table"),
        ("src/collector/loading.py", "client.load_table_from_file"),
    ),
    Grant("copier", "bucket archive", "roles/storage.objectCreator"): (
        ("src/copier/moving.py", "copy.rewrite"),
        ("src/copier/moving.py", "copy.upload_from_string"),
    ),
    Grant("copier", "bucket archive", "roles/storage.objectViewer"): (
        ("src/copier/sweep.py", "_pages(client, settings.archive_bucket"),
        ("src/copier/moving.py", "existing.reload"),
    ),
    Grant("copier", "bucket landing", "roles/storage.objectUser"): (
        ("src/copier/moving.py", "source.delete"),
        ("src/copier/sweep.py", "_pages(client, settings.landing_bucket"),
    ),
    Grant("dashboard", "dataset views", "roles/bigquery.dataViewer"): (
        ("src/dashboard/queries.py", "{self.views}.availability"),
    ),
    Grant("dashboard", "project", "roles/bigquery.jobUser"): (
        ("src/dashboard/warehouse.py", "self._client().query"),
    ),
    Grant("pubsub", "subscription push", "roles/pubsub.subscriber"): (
        ("cdk/collection.py", "dead_letter_policy="),
    ),
    Grant("pubsub", "topic dead_topic", "roles/pubsub.publisher"): (
        ("cdk/collection.py", "dead_letter_topic=self.dead_topic.id"),
    ),
    Grant("push", "function collection", "roles/run.invoker"): (("cdk/collection.py", "push_endpoint=uri"),),
    Grant("scheduler", "identity batch", "roles/iam.serviceAccountUser"): (
        ("cdk/batch.py", "service_account=identities.batch.email"),
        ("cdk/scheduling.py", "uri=batch.instantiate_url"),
    ),
    Grant("scheduler", "project", "custom: dataproc.workflowTemplates.instantiate"): (
        ("cdk/scheduling.py", "uri=batch.instantiate_url"),
    ),
    Grant("scheduler", "service archiving", "roles/run.invoker"): (
        ("cdk/scheduling.py", "uri=f'{archiving.service.uri}/sweep'"),
    ),
    Grant("views of dataset views", "dataset warehouse", "authorized views"): (
        ("cdk/views.py", "view=BigqueryTableView("),
    ),
}
# A construct that declares a role does not need it: its grants are no calls.
GRANTING = re.compile(r"\w+Iam(?:Member|CustomRole)\(")


def table(heading: str) -> list[list[str]]:
    """The rows of the first table below a heading of the page."""
    part = PAGE.split(f" {heading}\n", 1)[1]
    rows = re.search(r"^\|[-|]+\|\n((?:\|.*\|\n)+)", part, re.MULTILINE)
    assert rows, heading
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in rows[1].splitlines()]


def documented(heading: str = "The table") -> dict[Grant, Calls]:
    found = {}
    for identity, resource, role, why in table(heading):
        row = Grant(identity.strip("| "), resource, role)
        assert row not in found, row
        found[row] = tuple(re.findall(r"`([\w/]+\.py): ([^`]+)`", why))
    return found


def code_of(source: str) -> str:
    """What runs: no comments, no docstrings, and every expression on one line with single quotes."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            kept = [each for each in node.body if not is_text(each)]
            node.body = kept or [ast.Pass()]
    return ast.unparse(tree)


def is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def uncalled(read: Callable[[str], str]) -> set[Grant]:
    """The rows with a call that the code has no longer."""
    code = {path: code_of(read(path)) for path in {path for calls in CALLS.values() for path, _ in calls}}
    return {row for row, calls in CALLS.items() if any(call not in code[path] for path, call in calls)}


def read_source(path: str) -> str:
    return (ROOT / path).read_text("utf-8")


@pytest.mark.synth
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_stack_grants_what_the_page_says(synthesis: Synthesis, environment: str) -> None:
    assert grants(synthesis.stacks[environment]) == sorted(documented())


@pytest.mark.synth
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_nothing_is_found_in_the_stack(synthesis: Synthesis, environment: str) -> None:
    assert findings(synthesis.stacks[environment]) == []


@pytest.mark.unit
def test_every_role_of_the_page_has_its_calls() -> None:
    assert documented() == CALLS
    assert uncalled(read_source) == set()


@pytest.mark.unit
def test_what_is_called_wider_is_in_the_table() -> None:
    rows = {
        Grant(who.strip("| "), resource, role)
        for who, resource, role, _ in table("Wider than the calls need")
    }
    assert rows < set(CALLS)


@pytest.mark.unit
@pytest.mark.parametrize(
    ("path", "old", "new", "rows"),
    [
        (
            "src/copier/moving.py",
            "source.delete(",
            "source.update(",
            {Grant("copier", "bucket landing", "roles/storage.objectUser")},
        ),
        (
            "src/copier/moving.py",
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
            "cdk/scheduling.py",
            "uri=batch.instantiate_url",
            'uri=""',
            {
                Grant("scheduler", "identity batch", "roles/iam.serviceAccountUser"),
                Grant("scheduler", "project", "custom: dataproc.workflowTemplates.instantiate"),
            },
        ),
    ],
)
def test_a_role_whose_call_is_removed_is_told(path: str, old: str, new: str, rows: set[Grant]) -> None:
    def read(name: str) -> str:
        return read_source(name).replace(old, new) if name == path else read_source(name)

    assert read(path) != read_source(path)
    assert uncalled(read) == rows


@pytest.mark.unit
def test_a_grant_is_not_a_call() -> None:
    """Where a file both grants and calls, no call that is counted stands within a grant."""
    for path in sorted({path for calls in CALLS.values() for path, _ in calls if path.startswith("cdk/")}):
        within = [
            ast.unparse(node)
            for node in ast.walk(ast.parse(read_source(path)))
            if isinstance(node, ast.Call) and GRANTING.match(ast.unparse(node))
        ]
        calls = {call for each in CALLS.values() for where, call in each if where == path}
        assert not [(call, text) for call in calls for text in within if call in text]


# --- one small stack, and what can be wrong with it -------------------------------------------------

BUILD_ACCOUNT = "${google_service_account.identity_build.email}"
WORKER = "${google_service_account.identity_worker.email}"
WORKER_MEMBER = "${google_service_account.identity_worker.member}"
CLEAN: dict[str, Any] = {
    "provider": {"google": [{"project": "p"}]},
    "resource": {
        "google_service_account": {
            "identity_worker": {"account_id": "vlille-worker"},
            "identity_build": {"account_id": "vlille-build"},
        },
        "google_storage_bucket": {"storage_landing": {"name": "p-landing"}},
        "google_cloudfunctions2_function": {
            "collection_function": {
                "name": "collector",
                "build_config": {"service_account": "${google_service_account.identity_build.name}"},
                "service_config": {"service_account_email": WORKER},
            }
        },
        "google_storage_bucket_iam_member": {
            "reads": {
                "bucket": "${google_storage_bucket.storage_landing.name}",
                "role": "roles/storage.objectViewer",
                "member": WORKER_MEMBER,
            }
        },
        "google_project_iam_member": {
            "logs": {
                "project": "p",
                "role": "roles/logging.logWriter",
                "member": f"serviceAccount:{BUILD_ACCOUNT}",
            }
        },
    },
}


def with_resources(kind: str, logical_id: str, /, **arguments: object) -> dict[str, Any]:
    """The small stack with one resource more, or with one replaced."""
    stack = copy.deepcopy(CLEAN)
    stack["resource"].setdefault(kind, {})[logical_id] = arguments
    return stack


def on_project(role: str, **arguments: object) -> dict[str, Any]:
    return with_resources(
        "google_project_iam_member", "more", project="p", role=role, member=WORKER_MEMBER, **arguments
    )


def on_bucket(member: str, role: str = "roles/storage.objectViewer") -> dict[str, Any]:
    bucket = "${google_storage_bucket.storage_landing.name}"
    return with_resources("google_storage_bucket_iam_member", "more", bucket=bucket, role=role, member=member)


def custom(*permissions: str) -> dict[str, Any]:
    stack = on_project("${google_project_iam_custom_role.batch_starter.name}")
    stack["resource"]["google_project_iam_custom_role"] = {
        "batch_starter": {"role_id": "starter", "permissions": list(permissions)}
    }
    return stack


def if_named(expression: str) -> dict[str, Any]:
    return on_project("roles/storage.objectViewer", condition={"title": "one", "expression": expression})


def in_provider(**arguments: str) -> dict[str, Any]:
    stack = copy.deepcopy(CLEAN)
    stack["provider"]["google"][0] |= arguments
    return stack


def in_data(kind: str) -> dict[str, Any]:
    return copy.deepcopy(CLEAN) | {"data": {kind: {"worker": {"name": "k"}}}}


def scheduled(**target: object) -> dict[str, Any]:
    return with_resources("google_cloud_scheduler_job", "schedule_copy", name="copy", **target)


@pytest.mark.unit
def test_the_small_stack_is_clean() -> None:
    assert findings(CLEAN) == []
    assert grants(CLEAN) == [
        Grant("build", "project", "roles/logging.logWriter"),
        Grant("worker", "bucket landing", "roles/storage.objectViewer"),
    ]


@pytest.mark.unit
@pytest.mark.parametrize(
    ("stack", "kinds"),
    [
        (on_project("roles/editor"), ["basic role"]),
        (on_bucket(WORKER_MEMBER, "roles/owner"), ["basic role"]),
        (on_project("roles/storage.objectViewer"), ["project-wide data"]),
        (on_project("roles/bigquery.dataViewer"), ["project-wide data"]),
        (on_project("roles/dataproc.worker"), ["project-wide data"]),
        (on_project("roles/iam.serviceAccountUser"), ["project-wide data"]),
        (custom("dataproc.clusters.get", "storage.objects.get"), ["project-wide data"]),
        (if_named('resource.name != "x"'), ["project-wide data"]),
        (if_named('resource.name.startsWith("projects/_/buckets/x") || true'), ["project-wide data"]),
        (if_named('request.time < timestamp("2030-01-01T00:00:00Z")'), ["project-wide data"]),
        (
            with_resources(
                "google_folder_iam_member",
                "more",
                folder="folders/1",
                role="roles/storage.objectViewer",
                member=WORKER_MEMBER,
            ),
            ["project-wide data"],
        ),
        (on_bucket("allUsers"), ["public"]),
        (on_bucket("allAuthenticatedUsers"), ["public"]),
        (
            with_resources(
                "google_storage_bucket_iam_binding",
                "more",
                bucket="b",
                role="roles/storage.objectViewer",
                members=[WORKER_MEMBER, "allUsers"],
            ),
            ["public"],
        ),
        (
            with_resources(
                "google_cloud_run_v2_service",
                "archiving_service",
                template={"service_account": "somebody@p.iam.gserviceaccount.com"},
                invoker_iam_disabled=True,
            ),
            ["public"],
        ),
        (with_resources("google_service_account_key", "worker", service_account_id="x"), ["key"]),
        (with_resources("google_storage_hmac_key", "worker", service_account_email="x"), ["key"]),
        (in_data("google_service_account_key"), ["key"]),
        (in_provider(credentials="{}"), ["key"]),
        (
            with_resources(
                "google_storage_bucket_acl", "landing", bucket="b", role_entity=["READER:allUsers"]
            ),
            ["beside IAM", "public"],
        ),
        (
            with_resources(
                "google_bigquery_dataset", "warehouse_dataset", access=[{"role": "OWNER", "domain": "x.org"}]
            ),
            ["beside IAM"],
        ),
        (
            with_resources(
                "google_cloud_run_v2_service", "archiving_service", template={"service_account": WORKER}
            ),
            ["shared identity"],
        ),
        (
            with_resources(
                "google_pubsub_subscription",
                "collection_push",
                push_config=[{"push_endpoint": "x", "oidc_token": [{"service_account_email": WORKER}]}],
            ),
            ["shared identity"],
        ),
        (
            with_resources(
                "google_pubsub_subscription",
                "more_push",
                push_config={
                    "push_endpoint": "${google_cloudfunctions2_function.more_function.url}/1",
                    "oidc_token": {"service_account_email": WORKER},
                },
            ),
            ["shared identity"],
        ),
        (scheduled(http_target={"oauth_token": {"service_account_email": WORKER}}), ["shared identity"]),
        (
            with_resources(
                "google_dataproc_workflow_template",
                "batch_template",
                placement={
                    "managed_cluster": {"config": {"gce_cluster_config": {"service_account": WORKER}}}
                },
            ),
            ["shared identity"],
        ),
        (
            with_resources(
                "terraform_data", "build_image", provisioner=[{"local-exec": {"command": f"build {WORKER}"}}]
            ),
            ["shared identity"],
        ),
        (
            with_resources("google_cloud_run_v2_job", "more_job", template={"template": {"containers": []}}),
            ["no identity"],
        ),
        (scheduled(http_target={"uri": "x"}), ["no identity"]),
        (
            with_resources(
                "google_pubsub_subscription", "collection_push", push_config={"push_endpoint": "x"}
            ),
            ["no identity"],
        ),
        (
            with_resources("google_service_account", "identity_idle", account_id="vlille-idle"),
            ["identity without a grant"],
        ),
        (on_bucket("user:somebody@example.org"), ["grant without an identity"]),
        (on_bucket("${google_service_account.identity_gone.member}"), ["grant without an identity"]),
    ],
)
def test_what_no_stack_may_have_is_found(stack: dict[str, Any], kinds: list[str]) -> None:
    assert [finding.kind for finding in findings(stack)] == kinds


@pytest.mark.unit
def test_every_kind_of_finding_is_on_the_page_and_has_a_fragment() -> None:
    described = {kind.strip("`| ") for kind, _ in table("What a stack must not have")}
    source = read_source("cdk/access.py")
    declared = set(re.findall(r'Finding\(\s*"([\w -]+)"', source, re.IGNORECASE))
    marks = test_what_no_stack_may_have_is_found.pytestmark
    [cases] = [mark.args[1] for mark in marks if mark.name == "parametrize"]
    assert described == declared == {kind for _, kinds in cases for kind in kinds}


@pytest.mark.unit
@pytest.mark.parametrize(
    "stack",
    [
        on_project("roles/bigquery.jobUser"),
        custom("dataproc.workflowTemplates.instantiate"),
        if_named(
            'resource.name.startsWith("projects/_/buckets/gcf-v2-sources-${data.google_project.it.number}-")'
        ),
        scheduled(pubsub_target={"topic_name": "x"}),
        # All jobs of the Scheduler are one workload, and so are the builds of the function and of the image.
        scheduled(http_target={"oidc_token": {"service_account_email": "someone@p.iam.gserviceaccount.com"}}),
        with_resources(
            "terraform_data", "build_image", provisioner=[{"local-exec": {"command": BUILD_ACCOUNT}}]
        ),
        with_resources("google_pubsub_subscription", "collection_dead_letters", topic="x"),
        on_bucket(
            "serviceAccount:service-${data.google_project.identity_project.number}"
            "@gcp-sa-pubsub.iam.gserviceaccount.com"
        ),
        with_resources("google_kms_crypto_key", "more", name="k"),
    ],
)
def test_what_a_stack_may_have_is_not_found(stack: dict[str, Any]) -> None:
    assert findings(stack) == []


@pytest.mark.unit
@pytest.mark.parametrize(
    ("stack", "row"),
    [
        (
            with_resources(
                "google_bigquery_table_iam_member",
                "more",
                dataset_id="${google_bigquery_dataset.warehouse_dataset.dataset_id}",
                table_id="${google_bigquery_table.warehouse_vlille_ogc.table_id}",
                role="roles/bigquery.dataEditor",
                member=WORKER_MEMBER,
            ),
            Grant("worker", "table vlille_ogc", "roles/bigquery.dataEditor"),
        ),
        (
            with_resources(
                "google_cloud_run_v2_service_iam_member",
                "more",
                name="${google_cloudfunctions2_function.collection_function.name}",
                location="here",
                project="p",
                role="roles/run.invoker",
                member=WORKER_MEMBER,
            ),
            Grant("worker", "function collection", "roles/run.invoker"),
        ),
        (
            custom("storage.objects.get", "dataproc.clusters.get"),
            Grant("worker", "project", "custom: dataproc.clusters.get, storage.objects.get"),
        ),
        (
            if_named('resource.name == "x"'),
            Grant("worker", 'project, if resource.name == "x"', "roles/storage.objectViewer"),
        ),
        (
            on_bucket("serviceAccount:service-7@gcp-sa-pubsub.iam.gserviceaccount.com"),
            Grant("pubsub", "bucket landing", "roles/storage.objectViewer"),
        ),
        (
            on_bucket("user:somebody@example.org"),
            Grant("user:somebody@example.org", "bucket landing", "roles/storage.objectViewer"),
        ),
        (
            with_resources(
                "google_storage_bucket_iam_member",
                "more",
                bucket="somewhere-else",
                role="roles/storage.objectViewer",
                member=WORKER_MEMBER,
            ),
            Grant("worker", "bucket somewhere-else", "roles/storage.objectViewer"),
        ),
    ],
)
def test_a_row_says_who_where_and_what(stack: dict[str, Any], row: Grant) -> None:
    assert set(grants(stack)) - set(grants(CLEAN)) == {row}


@pytest.mark.unit
@pytest.mark.parametrize(
    ("stack", "words"),
    [
        (
            with_resources("google_project_iam_policy", "all", project="p", policy_data="{}"),
            "google_project_iam_policy.all sets a whole policy, whose grants cannot be read here: "
            "declare each as an iam_member",
        ),
        (
            on_project("${google_project_iam_custom_role.gone.name}"),
            "the role ${google_project_iam_custom_role.gone.name} is not declared in the stack: "
            "declare it, or name a predefined one",
        ),
        (
            with_resources("google_secret_iam_member", "more", secret="s", role="r", member="m"),  # noqa: S106
            "google_secret_iam_member.more names its resource by none of ",
        ),
    ],
)
def test_a_grant_that_cannot_be_read_is_an_error(stack: dict[str, Any], words: str) -> None:
    for function in (grants, findings):
        with pytest.raises(AccessError) as caught:
            function(stack)
        assert str(caught.value).startswith(words)


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["worker", "build"]),
        st.sampled_from(["landing", "archive", "staging"]),
        st.sampled_from(["roles/storage.objectViewer", "roles/storage.objectCreator", "roles/storage.admin"]),
    ),
    max_size=12,
)


@pytest.mark.unit
@given(rows=ROWS, is_reversed=st.booleans())
def test_a_grant_is_the_same_row_however_it_is_declared(
    rows: list[tuple[str, str, str]], is_reversed: bool
) -> None:
    def bucket(name: str) -> str:
        return f"${{google_storage_bucket.storage_{name}.name}}"

    def member(name: str) -> str:
        return f"${{google_service_account.identity_{name}.member}}"

    ordered = rows[::-1] if is_reversed else rows
    single = {
        f"m{index}": {"bucket": bucket(where), "role": role, "member": member(who)}
        for index, (who, where, role) in enumerate(ordered)
    }
    grouped: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for who, where, role in rows:
        grouped[where, role].append(member(who))
    bound = {
        f"b{index}": {"bucket": bucket(where), "role": role, "members": members}
        for index, ((where, role), members) in enumerate(grouped.items())
    }
    expected = sorted({Grant(who, f"bucket {where}", role) for who, where, role in rows})
    declared: list[Mapping[str, Any]] = [
        {"google_storage_bucket_iam_member": single},
        {"google_storage_bucket_iam_binding": bound},
    ]
    for resources in declared:
        assert grants({"resource": resources}) == expected
        unknown = {f.kind for f in findings({"resource": resources})}
        assert unknown == ({"grant without an identity"} if rows else set())


@pytest.mark.unit
def test_findings_are_told_once_and_in_order() -> None:
    stack = on_bucket("allUsers", "roles/viewer")
    stack["resource"]["google_service_account"]["identity_idle"] = {}
    assert findings(stack) == [
        Finding("basic role", "allUsers has roles/viewer on bucket landing: name a role for what it does"),
        Finding("identity without a grant", "idle may do nothing: grant what it is for, or remove it"),
        Finding("public", "google_storage_bucket_iam_member.more is open to allUsers: name who may"),
    ]


@pytest.mark.unit
def test_subscriptions_that_call_one_function_may_share_an_identity() -> None:
    account = "${google_service_account.identity_push.email}"

    def push(shard: int, function: str) -> dict[str, Any]:
        endpoint = f"${{google_cloudfunctions2_function.{function}.url}}/shards/{shard}"
        token = {"service_account_email": account}
        return {"name": f"p{shard}", "push_config": {"push_endpoint": endpoint, "oidc_token": token}}

    def kinds(*functions: str) -> set[str]:
        pushes = {f"push_{shard}": push(shard, function) for shard, function in enumerate(functions)}
        return {each.kind for each in findings({"resource": {"google_pubsub_subscription": pushes}})}

    assert "shared identity" not in kinds("gbfs_function", "gbfs_function")
    assert "shared identity" in kinds("gbfs_function", "collection_function")


@pytest.mark.unit
def test_a_secret_is_a_resource_and_no_project() -> None:
    grant = {
        "project": "city",
        "secret_id": "key-of-lille",
        "role": "roles/secretmanager.secretAccessor",
        "member": "${google_service_account.identity_gbfs.member}",
    }
    stack = {"resource": {"google_secret_manager_secret_iam_member": {"gbfs_reads": grant}}}
    assert [each.resource for each in grants(stack)] == ["secret key-of-lille"]
    assert "project-wide data" not in {each.kind for each in findings(stack)}
