"""Who may do what: the grants of a synthesized stack as rows to review, and what no stack may have.

Read from the Terraform JSON alone, so that it tells of what is deployed, whoever declared it.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Stack = Mapping[str, Any]

IAM = re.compile(r"google_\w+_iam_(member|binding|policy)")
REFERENCE = re.compile(r"\$\{(?:data\.)?(\w+)\.(\w+)\.[^}]*\}")
CALLED = re.compile(r"\$\{(\w+)\.(\w+)\.[^}]*\}")  # what an endpoint begins with
ACCOUNT = re.compile(r"\$\{google_service_account\.(\w+)\.\w+\}")
# Google's own agents: https://cloud.google.com/iam/docs/service-agents
AGENT = re.compile(r"serviceAccount:service-.+@gcp-sa-([a-z0-9-]+)\.iam\.gserviceaccount\.com")
# The argument that names what is granted on: the first of these that a resource has.
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

PUBLIC = frozenset({"allUsers", "allAuthenticatedUsers"})
# https://cloud.google.com/iam/docs/roles-overview#basic
BASIC = frozenset(f"roles/{name}" for name in ("owner", "editor", "viewer", "admin", "writer", "reader"))
KEYS = frozenset({"google_service_account_key", "google_storage_hmac_key", "google_apikeys_key"})
# Granted on a project, these reach no data: they start jobs, whose data needs roles of its own, and write logs.
WITHOUT_DATA = frozenset({"roles/bigquery.jobUser", "roles/logging.logWriter"})
DATA_SERVICES = frozenset(
    {"storage", "bigquery", "pubsub", "artifactregistry", "run", "secretmanager", "iam"}
)
# A condition that keeps a project's role to objects of named buckets, or to one resource.
NARROW = re.compile(r'resource\.name(?:\.startsWith\("projects/_/buckets/[^"]+"\)| == "[^"]+")')
# Other ways to grant than IAM, whose rows would be missing here.
BESIDE_IAM = re.compile(r"google_(?:storage_\w*(?:acl|access_control)|bigquery_dataset_access)")
# What runs as an account, and the arguments of which one names it: without it, Google takes a default account,
# which is shared and may be the project's editor; a push or a call without a token has no identity at all.
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
# Where these have no such block, they call nobody.
# An entry of a dataset's access list that names one of these grants to somebody.
PRINCIPALS = frozenset({"role", "user_by_email", "group_by_email", "domain", "special_group", "iam_member"})
AUTHORIZED = "authorized views"  # what stands for a role where views, and no principal, may read
CALLERS = {"google_pubsub_subscription": "push_config", "google_cloud_scheduler_job": "http_target"}


class AccessError(ValueError):
    """A grant that cannot be read, so that no table would be whole.

    What to do: write the grant as a member of one role on one resource, which can be listed.
    """


@dataclass(frozen=True, order=True)
class Grant:
    """One row: the workload's account, what it may act on, and the role that says how."""

    identity: str
    resource: str
    role: str


@dataclass(frozen=True, order=True)
class Finding:
    """Something that a reviewed stack does not have; `kind` is its name in docs/access.md."""

    kind: str
    message: str


@dataclass(frozen=True)
class _Entry:
    """A grant as it is declared."""

    address: str
    member: str
    row: Grant
    on_project: bool
    permissions: tuple[str, ...]  # of a custom role
    is_narrowed: bool


def grants(stack: Stack) -> list[Grant]:
    """Every grant of the stack, sorted, each once. Raises AccessError for one that cannot be read."""
    return sorted({entry.row for entry in _entries(stack)})


def findings(stack: Stack) -> list[Finding]:
    """What breaks the rules, sorted. Raises AccessError as `grants` does."""
    entries = list(_entries(stack))
    found = [
        *_of_roles(entries),
        *_public(stack),
        *_keys(stack),
        *_beside_iam(stack),
        *_shared(stack),
        *_without_identity(stack),
        *_unmatched(stack, entries),
    ]
    return sorted(set(found))


def _resources(stack: Stack) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for kind, by_name in stack.get("resource", {}).items():
        for name, arguments in by_name.items():
            yield kind, name, arguments


def _entries(stack: Stack) -> Iterator[_Entry]:
    for kind, name, arguments in _resources(stack):
        if _is_authorization(kind, arguments):
            yield _authorized(f"{kind}.{name}", arguments)
        match = IAM.fullmatch(kind)
        if match is None:
            continue
        address = f"{kind}.{name}"
        if match[1] == "policy":
            raise AccessError(
                f"{address} sets a whole policy, whose grants cannot be read here: declare each as an iam_member"
            )
        condition = _condition(arguments)
        resource = _resource(address, arguments)
        role, permissions = _role(stack, arguments["role"])
        for member in [arguments["member"]] if match[1] == "member" else arguments["members"]:
            shown = f"{resource}, if {condition}" if condition else resource
            yield _Entry(
                address,
                member,
                Grant(_identity(member), shown, role),
                resource.partition(" ")[0] in ("project", "folder", "organization"),
                permissions,
                NARROW.fullmatch(condition) is not None,
            )


def _is_authorization(kind: str, arguments: Mapping[str, Any]) -> bool:
    """Whether it lets views read a dataset: no principal gets a role by it."""
    named = {"dataset", "view"} & set(arguments)
    return kind == "google_bigquery_dataset_access" and bool(named) and not PRINCIPALS & set(arguments)


def _authorized(address: str, arguments: Mapping[str, Any]) -> _Entry:
    block = next(iter(_blocks(arguments.get("dataset")) or _blocks(arguments.get("view"))))
    inner = next(iter(_blocks(block.get("dataset"))), block)
    views = _resource(address, {"dataset_id": inner["dataset_id"]}).partition(" ")[2]
    which = f"view {views}.{block['table_id']}" if "table_id" in block else f"views of dataset {views}"
    return _Entry(address, "", Grant(which, _resource(address, arguments), AUTHORIZED), False, (), False)


def _condition(arguments: Mapping[str, Any]) -> str:
    """The expression of a grant's condition; Terraform's JSON has a block as an object or a list of one."""
    return " ".join(str(block["expression"]) for block in _blocks(arguments.get("condition")))


def _identity(member: str) -> str:
    if match := ACCOUNT.search(member):
        return _short(match[1], "identity")
    if match := AGENT.fullmatch(member):
        return match[1]
    return member


def _resource(address: str, arguments: Mapping[str, Any]) -> str:
    argument = next((name for name in TARGETS if name in arguments), None)
    if argument is None:
        raise AccessError(
            f"{address} names its resource by none of {', '.join(TARGETS)}: add its argument to cdk/access.py"
        )
    if argument == "project":
        return "project"
    value = str(arguments[argument])
    if match := REFERENCE.fullmatch(value):
        word = WORDS.get(match[1], match[1].removeprefix("google_"))
        return f"{word} {_short(match[2], word)}"
    word = {"org_id": "organization"}.get(argument, argument.removesuffix("_id"))
    return f"{word} {value}"


def _short(logical_id: str, word: str) -> str:
    """The construct's own name, `storage_landing` → `landing`; what it is in, where it is named as its kind."""
    scope, _, name = logical_id.partition("_")
    return scope if name in ("", word) else name


def _role(stack: Stack, role: str) -> tuple[str, tuple[str, ...]]:
    """A custom role is shown by what it permits: its name would not tell that it grew."""
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


def _of_roles(entries: list[_Entry]) -> Iterator[Finding]:
    for entry in entries:
        row = entry.row
        if row.role in BASIC:
            yield Finding(
                "basic role",
                f"{row.identity} has {row.role} on {row.resource}: name a role for what it does",
            )
        elif entry.on_project and not entry.is_narrowed and _reaches_data(entry):
            yield Finding(
                "project-wide data",
                f"{row.identity} has {row.role} on the whole {row.resource}: grant it on the resource it is for",
            )


def _reaches_data(entry: _Entry) -> bool:
    if not entry.permissions:
        return entry.row.role not in WITHOUT_DATA
    return any(
        permission.partition(".")[0] in DATA_SERVICES and permission != "bigquery.jobs.create"
        for permission in entry.permissions
    )


def _public(stack: Stack) -> Iterator[Finding]:
    for kind, name, arguments in _resources(stack):
        for _, text in _texts(arguments):
            if (who := text.rpartition(":")[2]) in PUBLIC:
                yield Finding("public", f"{kind}.{name} is open to {who}: name who may")
        if arguments.get("invoker_iam_disabled") is True:
            yield Finding("public", f"{kind}.{name} asks nobody who calls: leave out invoker_iam_disabled")


def _keys(stack: Stack) -> Iterator[Finding]:
    for part in ("resource", "data", "ephemeral"):
        for kind in sorted(KEYS & set(stack.get(part, {}))):
            for name in stack[part][kind]:
                yield Finding("key", f"{kind}.{name} is a key that can be copied: use the account's identity")
    for provider in _blocks(stack.get("provider", {}).get("google")):
        for argument in ("credentials", "access_token"):
            if argument in provider:
                yield Finding("key", f"the provider's {argument} is in the stack: give it by the environment")


def _beside_iam(stack: Stack) -> Iterator[Finding]:
    for kind, name, arguments in _resources(stack):
        if _is_authorization(kind, arguments):
            continue
        if BESIDE_IAM.fullmatch(kind) or (kind == "google_bigquery_dataset" and "access" in arguments):
            yield Finding("beside IAM", f"{kind}.{name} grants by a list of its own: declare an iam_member")


def _shared(stack: Stack) -> Iterator[Finding]:
    users: defaultdict[str, set[str]] = defaultdict(set)
    for kind, name, arguments in _resources(stack):
        if IAM.fullmatch(kind):
            continue
        for path, text in _texts(arguments):
            for match in ACCOUNT.finditer(text):
                users[match[1]].add(_workload(kind, name, path, arguments))
    for account, workloads in users.items():
        if len(workloads) > 1:
            yield Finding(
                "shared identity",
                f"{_short(account, 'identity')} is who {' and '.join(sorted(workloads))} run as: "
                "give each an account of its own",
            )


def _workload(kind: str, name: str, path: str, arguments: Mapping[str, Any]) -> str:
    """All jobs of the Scheduler are one workload, and so are all builds: each is one service of Google's.

    Push subscriptions that call the same function are one too: what one of them may do, the others may.
    """
    if kind == "google_pubsub_subscription":
        [push] = _blocks(arguments.get("push_config"))
        if match := CALLED.match(str(push.get("push_endpoint", ""))):
            return f"push to {WORDS.get(match[1], match[1])} {_short(match[2], WORDS.get(match[1], ''))}"
    if kind == "google_cloud_scheduler_job":
        return "scheduler"
    if kind == "terraform_data" or (kind == "google_cloudfunctions2_function" and path.startswith("build")):
        return "build"
    words = {"google_pubsub_subscription": "push", "google_dataproc_workflow_template": "cluster"}
    word = words.get(kind) or WORDS.get(kind) or kind.removeprefix("google_")
    return f"{word} {_short(name, word)}"


def _without_identity(stack: Stack) -> Iterator[Finding]:
    for kind, name, arguments in _resources(stack):
        if kind in CALLERS and CALLERS[kind] not in arguments:
            continue
        told = {path for path, _ in _texts(arguments)}
        for _, choice in (each for each in RUNS_AS if each[0] == kind):
            if told.isdisjoint(choice):
                yield Finding(
                    "no identity",
                    f"{kind}.{name} has no {' or '.join(choice)}: name the account of this workload",
                )


def _unmatched(stack: Stack, entries: list[_Entry]) -> Iterator[Finding]:
    accounts = set(stack.get("resource", {}).get("google_service_account", {}))
    granted = {match[1] for entry in entries if (match := ACCOUNT.search(entry.member))}
    for account in accounts - granted:
        yield Finding(
            "identity without a grant",
            f"{_short(account, 'identity')} may do nothing: grant what it is for, or remove it",
        )
    for entry in entries:
        match = ACCOUNT.search(entry.member)
        is_known = match[1] in accounts if match else AGENT.fullmatch(entry.member)
        if entry.member and not is_known and entry.member not in PUBLIC:
            yield Finding(
                "grant without an identity",
                f"{entry.address} is for {entry.member}, which the stack does not declare: declare it here",
            )


def _blocks(value: Any) -> list[Mapping[str, Any]]:
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


def _texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text below a value with its dotted path; lists, which Terraform has for blocks, add nothing to it."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _texts(each, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each, path)
