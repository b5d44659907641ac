"""Roles, the resource hierarchy and conditions; decisions, and the messages of denials."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.environment.environment import LocalEnvironment
from local.iam_proxy.access import (
    AccessControl,
    evaluate_condition,
    load_predefined_roles,
    resource_hierarchy,
)
from local.iam_proxy.denials import DeniedError, RequiredPermission, UndecidableError, format_denial
from local.services.iam import Policies
from tests.local.conftest import account, allow

pytestmark = pytest.mark.unit

OBJECT = "projects/_/buckets/b/objects/o/p"
TABLE = "projects/p/datasets/d/tables/t"


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (OBJECT, ["b/b", "projects/p"]),
        ("projects/_/buckets/b", ["b/b", "projects/p"]),
        ("projects/_/buckets/b/objects/two\nlines", ["b/b", "projects/p"]),
        (TABLE, [TABLE, "projects/p/datasets/d", "projects/p"]),
        ("projects/p/datasets/d", ["projects/p/datasets/d", "projects/p"]),
        ("projects/p/topics/t", ["projects/p/topics/t", "projects/p"]),
        ("projects/p/locations/l/services/s", ["projects/p/locations/l/services/s", "projects/p"]),
        ("projects/p", ["projects/p"]),
        ("projects/other/datasets/d", ["projects/other/datasets/d", "projects/other"]),
    ],
)
def test_a_grant_applies_to_child_resources(resource: str, expected: list[str]) -> None:
    assert list(resource_hierarchy(resource, "p")) == expected


BUCKET = 'resource.name.startsWith("projects/_/buckets/b")'


@pytest.mark.parametrize(
    ("expression", "resource", "expected"),
    [
        ("", OBJECT, True),
        (BUCKET, OBJECT, True),
        (BUCKET, "projects/_/buckets/c/objects/o", False),
        (f'resource.name == "{OBJECT}"', OBJECT, True),
        (f"resource.name == '{OBJECT}'", OBJECT, True),
        (f'resource.name == "{OBJECT}"', OBJECT + "x", False),
        ('resource.type == "storage.googleapis.com/Bucket"', OBJECT, None),
        (f"!{BUCKET}", OBJECT, None),
        (f"{BUCKET} || true", OBJECT, None),
        ('request.time < timestamp("2027-01-01T00:00:00Z")', OBJECT, None),
    ],
)
def test_conditions(expression: str, resource: str, expected: bool | None) -> None:
    assert evaluate_condition(expression, resource) is expected


def test_a_role_on_a_bucket_applies_to_its_objects_only(environment: LocalEnvironment) -> None:
    access, email = environment.service(AccessControl), account(environment, "reader")
    environment.service(Policies).grant("b/b", "roles/storage.objectViewer", [f"serviceAccount:{email}"])
    for need, expected in (
        (RequiredPermission("storage.objects.get", OBJECT), True),
        (RequiredPermission("storage.objects.list", "projects/_/buckets/b"), True),
        (RequiredPermission("storage.objects.create", OBJECT), False),
        (RequiredPermission("storage.objects.get", OBJECT.replace("/b/", "/bb/")), False),
    ):
        assert access.is_allowed(email, need) is expected, need
    assert not access.is_allowed(
        account(environment, "other"), RequiredPermission("storage.objects.get", OBJECT)
    )
    environment.service(Policies).delete("b/b")
    assert not access.is_allowed(email, RequiredPermission("storage.objects.get", OBJECT))


@pytest.mark.parametrize("held_by", [TABLE, "projects/p/datasets/d", "projects/p"])
def test_a_custom_role_has_its_current_permissions(environment: LocalEnvironment, held_by: str) -> None:
    access, email = environment.service(AccessControl), account(environment, "writer")
    allow(environment, email, held_by, "bigquery.tables.get")
    assert access.is_allowed(email, RequiredPermission("bigquery.tables.get", TABLE))
    assert not access.is_allowed(email, RequiredPermission("bigquery.tables.updateData", TABLE))
    (role,) = environment.collection("iam", "roles").names()
    environment.collection("iam", "roles").update(
        role, {"includedPermissions": ["bigquery.tables.updateData"]}
    )
    assert not access.is_allowed(email, RequiredPermission("bigquery.tables.get", TABLE))
    assert access.is_allowed(email, RequiredPermission("bigquery.tables.updateData", TABLE))


def test_a_condition_narrows_a_grant(environment: LocalEnvironment) -> None:
    access, email = environment.service(AccessControl), account(environment, "build")
    condition = {"title": "some", "expression": BUCKET}
    project = f"projects/{environment.project}"
    environment.service(Policies).grant(
        project, "roles/storage.objectViewer", [f"serviceAccount:{email}"], condition
    )
    assert access.is_allowed(email, RequiredPermission("storage.objects.get", OBJECT))
    assert not access.is_allowed(
        email, RequiredPermission("storage.objects.get", "projects/_/buckets/c/objects/o")
    )


@pytest.mark.parametrize("everybody", ["allUsers", "allAuthenticatedUsers"])
def test_a_grant_to_all_users_admits_everybody(environment: LocalEnvironment, everybody: str) -> None:
    environment.service(Policies).grant("b/b", "roles/storage.objectViewer", [everybody])
    assert environment.service(AccessControl).is_allowed(
        "anybody@p", RequiredPermission("storage.objects.get", OBJECT)
    )


def test_the_deployer_may_do_everything(environment: LocalEnvironment) -> None:
    access = environment.service(AccessControl)
    assert access.is_known(access.deployer)
    access.check(access.deployer, [RequiredPermission("storage.buckets.delete", "projects/_/buckets/b")])


@pytest.mark.parametrize(
    ("role", "condition", "message"),
    [
        (
            "roles/storage.objectAdmin",
            None,
            "it depends on the role roles/storage.objectAdmin on b/b, "
            "which is not in local/iam_proxy/roles.toml: add it there",
        ),
        (
            "roles/storage.objectUser",
            {"title": "x", "expression": "request.time < now"},
            "it depends on the condition 'request.time < now', "
            "which is not supported: evaluate it in local/iam_proxy/access.py",
        ),
    ],
)
def test_an_unknown_role_or_condition_is_undecidable(
    environment: LocalEnvironment, role: str, condition: dict[str, str] | None, message: str
) -> None:
    access, email = environment.service(AccessControl), account(environment, "worker")
    environment.service(Policies).grant("b/b", role, [f"serviceAccount:{email}"], condition)
    with pytest.raises(UndecidableError, match=re.escape(message)):
        access.check(email, [RequiredPermission("storage.objects.create", OBJECT)])
    environment.service(Policies).grant("b/b", "roles/storage.objectCreator", [f"serviceAccount:{email}"])
    access.check(email, [RequiredPermission("storage.objects.create", OBJECT)])  # another role decides
    (difference,) = environment.unsupported
    assert message in difference
    assert not access.is_allowed(
        account(environment, "other"), RequiredPermission("storage.objects.create", OBJECT)
    )


@pytest.mark.parametrize(
    ("permission", "resource", "expected"),
    [
        (
            "storage.objects.create",
            OBJECT,
            "a@p does not have storage.objects.create access to the Google Cloud Storage object. "
            "Permission 'storage.objects.create' denied on resource (or it may not exist).",
        ),
        (
            "storage.objects.list",
            "projects/_/buckets/b",
            "a@p does not have storage.objects.list access to the Google Cloud Storage bucket. "
            "Permission 'storage.objects.list' denied on resource (or it may not exist).",
        ),
        (
            "storage.buckets.create",
            "projects/p",
            "a@p does not have storage.buckets.create access to the Google Cloud Storage project. "
            "Permission 'storage.buckets.create' denied on resource (or it may not exist).",
        ),
        (
            "bigquery.tables.updateData",
            TABLE,
            "Access Denied: Table p:d.t: Permission bigquery.tables.updateData denied on table p:d.t "
            "(or it may not exist).",
        ),
        (
            "bigquery.tables.create",
            "projects/p/datasets/d",
            "Access Denied: Dataset p:d: Permission bigquery.tables.create denied on dataset p:d "
            "(or it may not exist).",
        ),
        (
            "bigquery.jobs.create",
            "projects/p",
            "Access Denied: Project p: User does not have bigquery.jobs.create permission in project p.",
        ),
        (
            "pubsub.topics.publish",
            "projects/p/topics/t",
            "Permission 'pubsub.topics.publish' denied on resource '//pubsub.googleapis.com/projects/p/topics/t' "
            "(or it may not exist).",
        ),
    ],
)
def test_a_denial_has_googles_message_and_details(permission: str, resource: str, expected: str) -> None:
    need = RequiredPermission(permission, resource)
    assert format_denial("a@p", need) == expected
    error = DeniedError("a@p", need)
    assert str(error) == expected
    assert error.summary == f"403: a@p lacks {permission} on {resource}"
    assert error.details[0]["metadata"] == {
        "principal": "a@p",
        "permission": permission,
        "resource": resource,
    }


def test_usages_are_counted_per_parent_resource(environment: LocalEnvironment, tmp_path: Path) -> None:
    access, email = environment.service(AccessControl), account(environment, "reader")
    allow(environment, email, "b/b", "storage.objects.get")
    for number in range(3):
        access.check(
            email, [RequiredPermission("storage.objects.get", f"projects/_/buckets/b/objects/{number}")]
        )
        with pytest.raises(DeniedError):
            access.check(
                email,
                [RequiredPermission("storage.objects.delete", f"projects/_/buckets/b/objects/{number}")],
            )
    access.write(tmp_path)
    kept: list[dict[str, Any]] = json.loads((tmp_path / "access.json").read_text())
    assert [(each["permission"], each["resource"], each["allowed"], each["denied"]) for each in kept] == [
        ("storage.objects.delete", "projects/_/buckets/b/objects/0", 0, 3),
        ("storage.objects.get", "projects/_/buckets/b/objects/0", 3, 0),
    ]
    access.write(tmp_path)  # twice is as once
    assert json.loads((tmp_path / "access.json").read_text()) == kept
    later = AccessControl(environment)
    later.check(email, [RequiredPermission("storage.objects.get", f"{OBJECT}/later")])
    later.write(tmp_path)
    assert [each["allowed"] for each in json.loads((tmp_path / "access.json").read_text())] == [0, 4]
    assert later.denial_messages() == []
    assert access.denial_messages() == [
        f"403: {email} lacks storage.objects.delete on projects/_/buckets/b/objects/0 (3 times)"
    ]


PERMISSIONS = st.sampled_from(sorted({p for role in load_predefined_roles().values() for p in role}))
RESOURCES = st.sampled_from([OBJECT, TABLE, "projects/_/buckets/c", "projects/p/datasets/d", "projects/p"])
ROLES = st.sampled_from(sorted(load_predefined_roles()))


@given(grants=st.lists(st.tuples(ROLES, RESOURCES), max_size=4), permission=PERMISSIONS, resource=RESOURCES)
def test_a_permission_comes_from_a_grant_on_the_resource_or_a_parent(
    grants: list[tuple[str, str]], permission: str, resource: str
) -> None:
    """Nothing else allows anything, and another grant never takes a permission away."""
    environment = _InMemoryEnvironment()
    access, policies = AccessControl(environment), Policies(environment)  # type: ignore[arg-type]  # all that they need
    expected = False
    for role, held in grants:
        name = next(resource_hierarchy(held, "p"))
        policies.grant(name, role, ["serviceAccount:a@p"])
        expected = expected or (
            permission in load_predefined_roles()[role] and name in resource_hierarchy(resource, "p")
        )
        assert access.is_allowed("a@p", RequiredPermission(permission, resource)) is expected
    assert not access.is_allowed("b@p", RequiredPermission(permission, resource))


class _InMemoryEnvironment:
    """The part of an environment that has policies, in memory."""

    project = "p"

    def __init__(self) -> None:
        self._collections: dict[str, Any] = {}

    def collection(self, _service: str, name: str) -> "_InMemoryCollection":
        return self._collections.setdefault(name, _InMemoryCollection())  # type: ignore[no-any-return]


class _InMemoryCollection:
    """A collection without a file."""

    def __init__(self) -> None:
        self.version, self._held = 0, dict[str, Any]()

    def find(self, name: str) -> Any:
        return json.loads(json.dumps(self._held.get(name)))

    def put(self, name: str, value: Any) -> None:
        self.version += 1
        self._held[name] = value
