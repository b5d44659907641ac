"""Each grant of a stack is one row: principal, resource and role."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdk.access import AccessError, Grant, list_findings, list_grants
from tests.cdk.access.fragments import (
    CLEAN,
    WORKER_MEMBER,
    custom,
    if_named,
    on_bucket,
    on_project,
    with_resources,
)


@pytest.mark.unit
def test_the_small_stack_is_clean() -> None:
    assert list_findings(CLEAN) == []
    assert list_grants(CLEAN) == [
        Grant("build", "project", "roles/logging.logWriter"),
        Grant("worker", "bucket landing", "roles/storage.objectViewer"),
    ]


@pytest.mark.unit
@pytest.mark.parametrize(
    ("stack", "row"),
    [
        (
            with_resources(
                "google_bigquery_table_iam_member",
                "more",
                dataset_id="${google_bigquery_dataset.warehouse_dataset.dataset_id}",
                table_id="${google_bigquery_table.warehouse_vlille_gbfs.table_id}",
                role="roles/bigquery.dataEditor",
                member=WORKER_MEMBER,
            ),
            Grant("worker", "table vlille_gbfs", "roles/bigquery.dataEditor"),
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
def test_a_grant_has_principal_resource_and_role(stack: dict[str, Any], row: Grant) -> None:
    assert set(list_grants(stack)) - set(list_grants(CLEAN)) == {row}


@pytest.mark.unit
@pytest.mark.parametrize(
    ("stack", "words"),
    [
        (
            with_resources("google_project_iam_policy", "all", project="p", policy_data="{}"),
            "google_project_iam_policy.all sets a whole policy, whose grants cannot be listed: "
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
def test_an_unreadable_grant_is_an_error(stack: dict[str, Any], words: str) -> None:
    for function in (list_grants, list_findings):
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
        assert list_grants({"resource": resources}) == expected
        unknown = {f.kind for f in list_findings({"resource": resources})}
        assert unknown == ({"grant without an identity"} if rows else set())


@pytest.mark.unit
def test_a_secret_is_a_resource_and_no_project() -> None:
    grant = {
        "project": "city",
        "secret_id": "key-of-lille",
        "role": "roles/secretmanager.secretAccessor",
        "member": "${google_service_account.identity_gbfs.member}",
    }
    stack = {"resource": {"google_secret_manager_secret_iam_member": {"gbfs_reads": grant}}}
    assert [each.resource for each in list_grants(stack)] == ["secret key-of-lille"]
    assert "project-wide data" not in {each.kind for each in list_findings(stack)}
