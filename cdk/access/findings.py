"""Find what no stack may have: basic roles, public access, keys, shared service accounts and the like."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cdk.access.grants import (
    ACCOUNT,
    AGENT,
    IAM,
    WORDS,
    DeclaredGrant,
    is_authorization,
    read_declared_grants,
    shorten_logical_id,
)
from cdk.access.stack_json import Stack, iterate_resources, iterate_texts, list_blocks

PUBLIC = frozenset({"allUsers", "allAuthenticatedUsers"})
# https://cloud.google.com/iam/docs/roles-overview#basic
BASIC = frozenset(f"roles/{name}" for name in ("owner", "editor", "viewer", "admin", "writer", "reader"))
KEYS = frozenset({"google_service_account_key", "google_storage_hmac_key", "google_apikeys_key"})
# Granted on a project, these give no access to data: they start jobs, whose data needs other roles, and write logs.
WITHOUT_DATA = frozenset({"roles/bigquery.jobUser", "roles/logging.logWriter"})
DATA_SERVICES = frozenset(
    {"storage", "bigquery", "pubsub", "artifactregistry", "run", "secretmanager", "iam"}
)
# Grants outside of IAM, which the list of grants would lack.
OUTSIDE_IAM = re.compile(r"google_(?:storage_\w*(?:acl|access_control)|bigquery_dataset_access)")
# Resources that run as a service account, and the arguments of which one names it. Without it, Google uses a default
# account, which is shared and may be an editor of the project; a push or a call without a token has no identity.
RUNS_AS = (
    ("google_cloudfunctions2_function", ("service_config.service_account_email",)),
    ("google_cloudfunctions2_function", ("build_config.service_account",)),
    ("google_cloud_run_v2_service", ("template.service_account",)),
    ("google_cloud_run_v2_job", ("template.template.service_account",)),
    (
        "google_dataproc_workflow_template",
        ("placement.managed_cluster.config.gce_cluster_config.service_account",),
    ),
    ("google_pubsub_subscription", ("push_config.oidc_token.service_account_email",)),
    (
        "google_cloud_scheduler_job",
        (
            "http_target.oidc_token.service_account_email",
            "http_target.oauth_token.service_account_email",
        ),
    ),
)
# Without this block, these resources call nothing.
CALLERS = {"google_pubsub_subscription": "push_config", "google_cloud_scheduler_job": "http_target"}
CALLED = re.compile(r"\$\{(\w+)\.(\w+)\.[^}]*\}")  # what an endpoint begins with


@dataclass(frozen=True, order=True)
class Finding:
    """A violation of the access rules; `kind` is its name in docs/access.md."""

    kind: str
    message: str


def list_findings(stack: Stack) -> list[Finding]:
    """Return the violations of the access rules, sorted. Raises AccessError as `list_grants` does."""
    entries = list(read_declared_grants(stack))
    found = [
        *_find_wide_roles(entries),
        *_find_public_access(stack),
        *_find_keys(stack),
        *_find_grants_outside_iam(stack),
        *_find_shared_identities(stack),
        *_find_missing_identities(stack),
        *_find_unmatched_grants(stack, entries),
    ]
    return sorted(set(found))


def _find_wide_roles(entries: list[DeclaredGrant]) -> Iterator[Finding]:
    for entry in entries:
        row = entry.row
        if row.role in BASIC:
            yield Finding(
                "basic role",
                f"{row.identity} has {row.role} on {row.resource}: grant a role with the permissions that it needs",
            )
        elif entry.on_project and not entry.is_narrowed and _reaches_data(entry):
            yield Finding(
                "project-wide data",
                f"{row.identity} has {row.role} on the whole {row.resource}: grant it on the resource it is for",
            )


def _reaches_data(entry: DeclaredGrant) -> bool:
    if not entry.permissions:
        return entry.row.role not in WITHOUT_DATA
    return any(
        permission.partition(".")[0] in DATA_SERVICES and permission != "bigquery.jobs.create"
        for permission in entry.permissions
    )


def _find_public_access(stack: Stack) -> Iterator[Finding]:
    for kind, name, arguments in iterate_resources(stack):
        for _, text in iterate_texts(arguments):
            if (who := text.rpartition(":")[2]) in PUBLIC:
                yield Finding(
                    "public", f"{kind}.{name} grants access to {who}: grant it to specific principals"
                )
        if arguments.get("invoker_iam_disabled") is True:
            yield Finding(
                "public", f"{kind}.{name} accepts calls without authentication: remove invoker_iam_disabled"
            )


def _find_keys(stack: Stack) -> Iterator[Finding]:
    for part in ("resource", "data", "ephemeral"):
        for kind in sorted(KEYS & set(stack.get(part, {}))):
            for name in stack[part][kind]:
                yield Finding(
                    "key",
                    f"{kind}.{name} creates a long-lived credential: attach a service account to the workload instead",
                )
    for provider in list_blocks(stack.get("provider", {}).get("google")):
        for argument in ("credentials", "access_token"):
            if argument in provider:
                yield Finding(
                    "key",
                    f"the provider's {argument} is written in the stack: set GOOGLE_CREDENTIALS or "
                    "GOOGLE_OAUTH_ACCESS_TOKEN where Terraform runs",
                )


def _find_grants_outside_iam(stack: Stack) -> Iterator[Finding]:
    for kind, name, arguments in iterate_resources(stack):
        if is_authorization(kind, arguments):
            continue
        if OUTSIDE_IAM.fullmatch(kind) or (kind == "google_bigquery_dataset" and "access" in arguments):
            yield Finding(
                "outside IAM",
                f"{kind}.{name} grants access by an ACL or access list: declare a google_…_iam_member instead",
            )


def _find_shared_identities(stack: Stack) -> Iterator[Finding]:
    users: defaultdict[str, set[str]] = defaultdict(set)
    for kind, name, arguments in iterate_resources(stack):
        if IAM.fullmatch(kind):
            continue
        for path, text in iterate_texts(arguments):
            for match in ACCOUNT.finditer(text):
                users[match[1]].add(_name_workload(kind, name, path, arguments))
    for account, workloads in users.items():
        if len(workloads) > 1:
            yield Finding(
                "shared identity",
                f"{' and '.join(sorted(workloads))} share the service account "
                f"{shorten_logical_id(account, 'identity')}: give each its own",
            )


def _name_workload(kind: str, name: str, path: str, arguments: Mapping[str, Any]) -> str:
    """Return the name of the workload that a resource belongs to.

    All Cloud Scheduler jobs are one workload, and so are all builds, and push subscriptions to the same function.
    """
    if kind == "google_pubsub_subscription":
        [push] = list_blocks(arguments.get("push_config"))
        if match := CALLED.match(str(push.get("push_endpoint", ""))):
            return f"push to {WORDS.get(match[1], match[1])} {shorten_logical_id(match[2], WORDS.get(match[1], ''))}"
    if kind == "google_cloud_scheduler_job":
        return "scheduler"
    if kind == "terraform_data" or (kind == "google_cloudfunctions2_function" and path.startswith("build")):
        return "build"
    words = {"google_pubsub_subscription": "push", "google_dataproc_workflow_template": "cluster"}
    word = words.get(kind) or WORDS.get(kind) or kind.removeprefix("google_")
    return f"{word} {shorten_logical_id(name, word)}"


def _find_missing_identities(stack: Stack) -> Iterator[Finding]:
    for kind, name, arguments in iterate_resources(stack):
        if kind in CALLERS and CALLERS[kind] not in arguments:
            continue
        set_paths = {path for path, _ in iterate_texts(arguments)}
        for _, choice in (each for each in RUNS_AS if each[0] == kind):
            if set_paths.isdisjoint(choice):
                yield Finding(
                    "no identity",
                    f"{kind}.{name} has no {' or '.join(choice)}: set the service account of this workload",
                )


def _find_unmatched_grants(stack: Stack, entries: list[DeclaredGrant]) -> Iterator[Finding]:
    accounts = set(stack.get("resource", {}).get("google_service_account", {}))
    granted = {match[1] for entry in entries if (match := ACCOUNT.search(entry.member))}
    for account in accounts - granted:
        yield Finding(
            "identity without a grant",
            f"{shorten_logical_id(account, 'identity')} has no role: grant what it needs, or remove it",
        )
    for entry in entries:
        match = ACCOUNT.search(entry.member)
        is_known = match[1] in accounts if match else AGENT.fullmatch(entry.member)
        if entry.member and not is_known and entry.member not in PUBLIC:
            yield Finding(
                "grant without an identity",
                f"{entry.address} is for {entry.member}, which the stack does not declare: declare it here",
            )
