"""List the grants that a synthesized stack declares: one row per principal, resource and role."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cdk.access.stack_json import Stack, iterate_resources, list_blocks

IAM = re.compile(r"google_\w+_iam_(member|binding|policy)")
REFERENCE = re.compile(r"\$\{(?:data\.)?(\w+)\.(\w+)\.[^}]*\}")
ACCOUNT = re.compile(r"\$\{google_service_account\.(\w+)\.\w+\}")
# Google's service agents: https://cloud.google.com/iam/docs/service-agents
AGENT = re.compile(r"serviceAccount:service-.+@gcp-sa-([a-z0-9-]+)\.iam\.gserviceaccount\.com")
# The argument that names the resource of a grant: the first one that is present.
TARGETS = (
    "table_id",
    "dataset_id",
    "bucket",
    "topic",
    "subscription",
    "repository",
    "service_account_id",
    "secret_id",
    "cloud_function",
    "name",
    "project",
    "folder",
    "org_id",
)
WORDS = {
    "google_bigquery_dataset": "dataset",
    "google_bigquery_table": "table",
    "google_storage_bucket": "bucket",
    "google_pubsub_topic": "topic",
    "google_pubsub_subscription": "subscription",
    "google_artifact_registry_repository": "repository",
    "google_cloudfunctions2_function": "function",
    "google_cloud_run_v2_service": "service",
    "google_service_account": "identity",
}
# A condition that limits a project's role to objects of named buckets, or to one resource.
NARROW = re.compile(r'resource\.name(?:\.startsWith\("projects/_/buckets/[^"]+"\)| == "[^"]+")')
# An entry of a dataset's access list with one of these grants a role to a principal.
PRINCIPALS = frozenset({"role", "user_by_email", "group_by_email", "domain", "special_group", "iam_member"})
AUTHORIZED = "authorized views"  # shown in place of a role where views are authorized, not principals


class AccessError(ValueError):
    """A grant cannot be parsed, so that the table of grants would be incomplete.

    What to do: write the grant as a member of one role on one resource, which can be listed.
    """


@dataclass(frozen=True, order=True)
class Grant:
    """One row: the principal, the resource and the role."""

    identity: str
    resource: str
    role: str


@dataclass(frozen=True)
class DeclaredGrant:
    """A grant with the resource that declares it."""

    address: str
    member: str
    row: Grant
    on_project: bool
    permissions: tuple[str, ...]  # of a custom role
    is_narrowed: bool


def list_grants(stack: Stack) -> list[Grant]:
    """Return the distinct grants of the stack, sorted. Raises AccessError for one that cannot be read."""
    return sorted({entry.row for entry in read_declared_grants(stack)})


def read_declared_grants(stack: Stack) -> Iterator[DeclaredGrant]:
    for kind, name, arguments in iterate_resources(stack):
        if is_authorization(kind, arguments):
            yield _read_authorization(f"{kind}.{name}", arguments)
        match = IAM.fullmatch(kind)
        if match is None:
            continue
        address = f"{kind}.{name}"
        if match[1] == "policy":
            raise AccessError(
                f"{address} sets a whole policy, whose grants cannot be listed: declare each as an iam_member"
            )
        condition = _read_condition(arguments)
        resource = _name_resource(address, arguments)
        role, permissions = _read_role(stack, arguments["role"])
        for member in [arguments["member"]] if match[1] == "member" else arguments["members"]:
            shown = f"{resource}, if {condition}" if condition else resource
            yield DeclaredGrant(
                address,
                member,
                Grant(_name_principal(member), shown, role),
                resource.partition(" ")[0] in ("project", "folder", "organization"),
                permissions,
                NARROW.fullmatch(condition) is not None,
            )


def is_authorization(kind: str, arguments: Mapping[str, Any]) -> bool:
    """Return whether a resource authorizes views to read a dataset, which gives no role to a principal."""
    named = {"dataset", "view"} & set(arguments)
    return kind == "google_bigquery_dataset_access" and bool(named) and not PRINCIPALS & set(arguments)


def _read_authorization(address: str, arguments: Mapping[str, Any]) -> DeclaredGrant:
    block = next(iter(list_blocks(arguments.get("dataset")) or list_blocks(arguments.get("view"))))
    inner = next(iter(list_blocks(block.get("dataset"))), block)
    views = _name_resource(address, {"dataset_id": inner["dataset_id"]}).partition(" ")[2]
    which = f"view {views}.{block['table_id']}" if "table_id" in block else f"views of dataset {views}"
    return DeclaredGrant(
        address, "", Grant(which, _name_resource(address, arguments), AUTHORIZED), False, (), False
    )


def _read_condition(arguments: Mapping[str, Any]) -> str:
    """Return the expression of a grant's condition; in Terraform's JSON, a block is an object or a list of one."""
    return " ".join(str(block["expression"]) for block in list_blocks(arguments.get("condition")))


def _name_principal(member: str) -> str:
    if match := ACCOUNT.search(member):
        return shorten_logical_id(match[1], "identity")
    if match := AGENT.fullmatch(member):
        return match[1]
    return member


def _name_resource(address: str, arguments: Mapping[str, Any]) -> str:
    argument = next((name for name in TARGETS if name in arguments), None)
    if argument is None:
        raise AccessError(
            f"{address} names its resource by none of {', '.join(TARGETS)}: add its argument to cdk/access/grants.py"
        )
    if argument == "project":
        return "project"
    value = str(arguments[argument])
    if match := REFERENCE.fullmatch(value):
        word = WORDS.get(match[1], match[1].removeprefix("google_"))
        return f"{word} {shorten_logical_id(match[2], word)}"
    word = {"org_id": "organization"}.get(argument, argument.removesuffix("_id"))
    return f"{word} {value}"


def shorten_logical_id(logical_id: str, word: str) -> str:
    """Return the construct's name, `storage_landing` → `landing`, or its scope if the name is that of its kind."""
    scope, _, name = logical_id.partition("_")
    return scope if name in ("", word) else name


def _read_role(stack: Stack, role: str) -> tuple[str, tuple[str, ...]]:
    """Return a role and its permissions; a custom role is shown by its permissions, which may change under its name."""
    match = REFERENCE.fullmatch(role)
    if match is None:
        return role, ()
    custom = stack.get("resource", {}).get(match[1], {}).get(match[2])
    if custom is None:
        raise AccessError(
            f"the role {role} is not declared in the stack: declare it, or name a predefined one"
        )
    permissions = tuple(sorted(custom["permissions"]))
    return f"custom: {', '.join(permissions)}", permissions
