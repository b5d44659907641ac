"""Grants: who can now do what, widening before narrowing, the widest first."""

import json
from typing import Any

import pytest

from tests.review.conftest import change, summarize_findings

pytestmark = pytest.mark.unit

BUCKET = "google_storage_bucket_iam_member"
SA = "serviceAccount:c@p.iam.gserviceaccount.com"
C = "service account c@p.iam.gserviceaccount.com"


def member(role: str, member: str = SA, bucket: str = "data", **more: Any) -> dict[str, Any]:
    return {"bucket": bucket, "role": role, "member": member, **more}


CASES: list[tuple[str, list[dict[str, Any]], list[tuple[str, str]]]] = [
    (
        "granted",
        [change(f"{BUCKET}.m", None, member("roles/storage.objectViewer"))],
        [
            (
                "access widened",
                f"{C} can now read and list the objects of bucket data (roles/storage.objectViewer)",
            )
        ],
    ),
    (
        "taken away",
        [change(f"{BUCKET}.m", member("roles/storage.objectViewer"), None)],
        [
            (
                "change",
                f"{C} can no longer read and list the objects of bucket data (roles/storage.objectViewer)",
            )
        ],
    ),
    (
        "widened",
        [
            change(
                f"{BUCKET}.m",
                member("roles/storage.objectViewer"),
                member("roles/storage.objectUser"),
                "delete",
                "create",
            )
        ],
        [
            (
                "access widened",
                f"{C} can now read, create, replace and delete the objects "
                "of bucket data (roles/storage.objectUser); before: read and list the objects of bucket data "
                "(roles/storage.objectViewer)",
            )
        ],
    ),
    (
        "narrowed",
        [
            change(
                f"{BUCKET}.m",
                member("roles/storage.objectAdmin"),
                member("roles/storage.objectViewer"),
                "delete",
                "create",
            )
        ],
        [
            (
                "change",
                f"{C} can now only read and list the objects of bucket data "
                "(roles/storage.objectViewer); before: read, create, replace and delete the objects of, and grant "
                "access to single ones in, bucket data (roles/storage.objectAdmin)",
            )
        ],
    ),
    (
        "public",
        [change(f"{BUCKET}.m", None, member("roles/storage.objectViewer", "allUsers"))],
        [
            (
                "access widened",
                "anyone on the internet can now read and list the objects of bucket data "
                "(roles/storage.objectViewer): this is public",
            )
        ],
    ),
    (
        "nearly public",
        [change(f"{BUCKET}.m", None, member("roles/storage.objectViewer", "allAuthenticatedUsers"))],
        [
            (
                "access widened",
                "anyone with a Google account can now read and list the objects of bucket data "
                "(roles/storage.objectViewer): this is public",
            )
        ],
    ),
    (
        "group",
        [change(f"{BUCKET}.m", None, member("roles/storage.objectViewer", "group:g@example.org"))],
        [
            (
                "access widened",
                "everyone in the group g@example.org can now read and list the objects of bucket data "
                "(roles/storage.objectViewer)",
            )
        ],
    ),
    (
        "domain",
        [change(f"{BUCKET}.m", None, member("roles/storage.objectViewer", "domain:example.org"))],
        [
            (
                "access widened",
                "everyone in the domain example.org can now read and list the objects of bucket data "
                "(roles/storage.objectViewer)",
            )
        ],
    ),
    (
        "basic role",
        [change("google_project_iam_member.m", None, {"project": "p", "role": "roles/editor", "member": SA})],
        [
            (
                "access widened",
                f"{C} can now change and delete nearly everything on "
                "project p (roles/editor): a basic role, which reaches every service",
            )
        ],
    ),
    (
        "basic role, narrowed",
        [
            change(
                "google_project_iam_member.m",
                {"project": "p", "role": "roles/editor", "member": SA},
                {"project": "p", "role": "roles/bigquery.jobUser", "member": SA},
                "delete",
                "create",
            )
        ],
        [
            (
                "change",
                f"{C} can now only run query and load jobs in project p "
                "(roles/bigquery.jobUser); before: change and delete nearly everything on project p (roles/editor)",
            )
        ],
    ),
    (
        "role that is not known",
        [
            change(
                "google_project_iam_member.m",
                None,
                {"project": "p", "role": "projects/p/roles/own", "member": SA},
            )
        ],
        [
            (
                "access widened",
                f"{C} can now use the role on project p (projects/p/roles/own)",
            )
        ],
    ),
    (
        "condition, taken away",
        [
            change(
                f"{BUCKET}.m",
                member(
                    "roles/storage.objectUser", condition=[{"title": "t", "expression": "request.time < x"}]
                ),
                member("roles/storage.objectUser", condition=[]),
                "delete",
                "create",
            )
        ],
        [
            (
                "access widened",
                f"{C} can still read, create, replace and delete the "
                "objects of bucket data (roles/storage.objectUser); before: only if request.time < x",
            )
        ],
    ),
    (
        "condition, added",
        [
            change(
                f"{BUCKET}.m",
                member("roles/storage.objectUser"),
                member(
                    "roles/storage.objectUser", condition=[{"title": "t", "expression": "request.time < x"}]
                ),
                "delete",
                "create",
            )
        ],
        [
            (
                "change",
                f"{C} can still read, create, replace and delete the "
                "objects of bucket data (roles/storage.objectUser), but only if request.time < x; before: without "
                "a condition",
            )
        ],
    ),
    (
        "binding becomes members",
        [
            change(
                "google_storage_bucket_iam_binding.b",
                {"bucket": "b/data", "role": "roles/storage.objectViewer", "members": [SA]},
                None,
            ),
            change(f"{BUCKET}.m", None, member("roles/storage.objectViewer")),
        ],
        [],
    ),
    (
        "binding",
        [
            change(
                "google_storage_bucket_iam_binding.b",
                {"bucket": "data", "role": "roles/storage.objectViewer", "members": [SA]},
                {"bucket": "data", "role": "roles/storage.objectViewer", "members": ["user:u@example.org"]},
            )
        ],
        [
            (
                "access widened",
                "user u@example.org can now read and list the objects of bucket data "
                "(roles/storage.objectViewer)",
            ),
            (
                "change",
                f"{C} can no longer read and list the objects of bucket data (roles/storage.objectViewer)",
            ),
        ],
    ),
    (
        "policy",
        [
            change(
                "google_storage_bucket_iam_policy.p",
                None,
                {
                    "bucket": "data",
                    "policy_data": json.dumps(
                        {"bindings": [{"role": "roles/storage.admin", "members": ["user:u@example.org"]}]}
                    ),
                },
            )
        ],
        [
            (
                "access widened",
                "user u@example.org can now do everything, including granting access, on bucket data "
                "(roles/storage.admin)",
            ),
            (
                "service interrupted",
                "this policy is authoritative: every other member with any role on bucket data loses it; "
                "the plan cannot list members that were granted it elsewhere, so reverting does not restore them",
            ),
        ],
    ),
    (
        "nobody knows yet whom",
        [
            change(
                f"{BUCKET}.m",
                None,
                {"bucket": "data", "role": "roles/storage.objectViewer"},
                unknown={"member": True},
            )
        ],
        [
            (
                "access widened",
                "a member (known after apply) can now read and list the objects of bucket data "
                "(roles/storage.objectViewer)",
            )
        ],
    ),
    (
        "table",
        [
            change(
                "google_bigquery_table_iam_member.m",
                None,
                {
                    "dataset_id": "d",
                    "table_id": "t",
                    "project": "p",
                    "role": "roles/bigquery.dataEditor",
                    "member": SA,
                },
            )
        ],
        [
            (
                "access widened",
                f"{C} can now read, change and delete the data of table d.t (roles/bigquery.dataEditor)",
            )
        ],
    ),
    (
        "act as",
        [
            change(
                "google_service_account_iam_member.m",
                None,
                {
                    "service_account_id": "projects/p/serviceAccounts/b@p.iam.gserviceaccount.com",
                    "role": "roles/iam.serviceAccountTokenCreator",
                    "member": "user:u@example.org",
                },
            )
        ],
        [
            (
                "access widened",
                "user u@example.org can now act as, and create tokens for, service account "
                "b@p.iam.gserviceaccount.com (roles/iam.serviceAccountTokenCreator)",
            )
        ],
    ),
]


@pytest.mark.parametrize(
    ("changes", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_grant_is_described(changes: list[dict[str, Any]], expected: list[tuple[str, str]]) -> None:
    assert summarize_findings(*changes) == expected


def test_public_comes_first_then_basic_roles_domains_groups_and_narrowing_last() -> None:
    order = [
        change(f"{BUCKET}.a", member("roles/storage.objectViewer", "user:gone@example.org"), None),
        change(f"{BUCKET}.b", None, member("roles/storage.objectViewer", "group:g@example.org")),
        change(f"{BUCKET}.c", None, member("roles/storage.objectViewer", "domain:example.org")),
        change("google_project_iam_member.d", None, {"project": "p", "role": "roles/owner", "member": SA}),
        change(f"{BUCKET}.e", None, member("roles/storage.objectViewer", "allUsers")),
        change(f"{BUCKET}.f", None, member("roles/storage.objectViewer")),
    ]
    starts = [sentence.split(" can ")[0] for _, sentence in summarize_findings(*order)]
    assert starts == [
        "anyone on the internet",
        "service account c@p.iam.gserviceaccount.com",
        "everyone in the domain example.org",
        "everyone in the group g@example.org",
        "service account c@p.iam.gserviceaccount.com",
        "user gone@example.org",
    ]


def test_an_unknown_member_is_named_by_the_account_that_is_made_with_it() -> None:
    configuration = {
        "root_module": {
            "resources": [
                {
                    "address": f"{BUCKET}.m",
                    "expressions": {
                        "member": {
                            "references": ["google_service_account.new.member", "google_service_account.new"]
                        }
                    },
                }
            ]
        }
    }
    granted = change(
        f"{BUCKET}.m",
        None,
        {"bucket": "data", "role": "roles/storage.objectViewer"},
        unknown={"member": True},
    )
    assert summarize_findings(granted, configuration=configuration)[0][1].startswith(
        "service account google_service_account.new can now read"
    )


def test_a_custom_role_of_the_same_plan_is_reported_by_its_permissions() -> None:
    role = {"role_id": "own", "permissions": ["a.b.get", "a.b.list"]}
    granted = {"project": "p", "role": "projects/p/roles/own", "member": SA}
    found = summarize_findings(
        change("google_project_iam_custom_role.r", role, role),
        change("google_project_iam_member.m", None, granted),
    )
    assert found == [
        ("access widened", f"{C} can now use a.b.get and a.b.list on project p (projects/p/roles/own)"),
    ]
