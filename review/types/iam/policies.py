"""IAM members, bindings and policies of every resource: `google_*_iam_member`, `_binding` and `_policy`."""

import functools
import json
import re
from collections.abc import Iterator
from typing import Any

from review.findings.text import HIDDEN, UNKNOWN
from review.google_cloud.grants import Grant
from review.plan.context import Context
from review.plan.model import Change
from review.plan.naming import type_noun
from review.plan.values import Values, get_blocks, get_text, get_texts, get_value, is_known

TYPES = ("google_*_iam_member", "google_*_iam_binding", "google_*_iam_policy")
PARTS = re.compile(r"(google_.+)_iam_(member|binding|policy)")
NOT_A_NAME = frozenset(
    {"role", "member", "members", "condition", "policy_data", "etag", "id", "timeouts", "location", "region"}
)
ABOVE = ("project", "zone", "project_id")  # arguments of the parent, which also name the resource
KINDS = {
    "google_cloud_run": "service",
    "google_organization": "organization",
    "google_bigquery_dataset": "dataset",
    "google_bigquery_table": "table",
    "google_secret_manager_secret": "secret",
    "google_kms_crypto_key": "key",
    "google_kms_key_ring": "key ring",
}


def authority(type_: str) -> str:
    """Return `binding` or `policy` for an authoritative type; empty for a member."""
    parts = PARTS.fullmatch(type_)
    return parts[2] if parts and parts[2] != "member" else ""


def grants(change: Change, values: Values, context: Context) -> Iterator[Grant]:
    """Yield each grant of a member, a binding or a policy."""
    parts = PARTS.fullmatch(change.type)
    if not parts or not values:
        return
    kind = KINDS.get(parts[1]) or type_noun(parts[1])
    resource = _find_resource(change, values, context, kind)
    of = context.referenced_address(change, "member") or context.referenced_address(change, "members")
    grant = functools.partial(Grant, kind=kind, resource=resource, address=change.address)
    if parts[2] == "policy":
        for role, member, condition in _policy_grants(get_value(values, "policy_data")):
            yield grant(role=role, member=member, condition=condition)
        return
    role = get_text(values, "role")
    permissions = _list_permissions(change, role, context)
    for member in _list_members(values, parts[2]):
        yield grant(
            role=context.name_of_expression(role) or role,
            member=member,
            condition=get_text(values, "condition.expression"),
            of=context.names.of(of) if of and not is_known(member) else "",
            permissions=permissions,
        )


def _list_permissions(change: Change, role: str, context: Context) -> tuple[str, ...]:
    """Return the permissions of a custom role of the same plan."""
    address = context.address_of_expression(role) or (
        "" if is_known(role) and role else context.referenced_address(change, "role")
    )
    declared = context.by_address.get(address)
    if declared is None and "/roles/" in role:
        declared = context.custom_roles.get(role.rpartition("/")[2])
    if declared is None or not declared.type.endswith("_iam_custom_role"):
        return ()
    return tuple(sorted(get_texts(declared.values, "permissions")))


def _list_members(values: Values, form: str) -> list[str]:
    if form == "member":
        return [get_text(values, "member") or UNKNOWN]
    return get_texts(values, "members") or ([UNKNOWN] if get_value(values, "members") == UNKNOWN else [])


def _find_resource(change: Change, values: Values, context: Context, kind: str) -> str:
    """Return the name of the resource of a grant, from one argument or several."""
    names = [key for key in sorted(values) if key not in NOT_A_NAME and key not in ABOVE]
    names = names or [key for key in ABOVE if key in values]
    if kind == "table":
        names = [key for key in ("dataset_id", "table_id") if key in values]
    parts = [_resource_name(change, values, context, name) for name in names]
    return ".".join(each for each in parts if each) or "(unknown)"


def _resource_name(change: Change, values: Values, context: Context, argument: str) -> str:
    """Return the name in an argument (`b/NAME` of buckets, paths of others), or that of the referenced resource."""
    value = get_text(values, argument)
    if referred := context.name_of_expression(value):
        return referred
    if not is_known(value) or not value:
        refers = context.referenced_address(change, argument)
        return context.names.of(refers) if refers else value
    return value.removeprefix("b/").rpartition("/")[2]


def _policy_grants(data: Any) -> Iterator[tuple[str, str, str]]:
    """Yield role, member and condition of each binding of a policy document."""
    if not isinstance(data, str) or UNKNOWN in data or data.startswith(HIDDEN):
        yield UNKNOWN, UNKNOWN, ""
        return
    try:
        policy = json.loads(data)
    except (ValueError, RecursionError):
        yield UNKNOWN, UNKNOWN, ""
        return
    for binding in get_blocks(policy, "bindings"):
        for member in get_texts(binding, "members"):
            yield get_text(binding, "role"), member, get_text(binding, "condition.expression")
