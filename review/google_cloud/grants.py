"""Grants: a member has a role on a resource, and how each part is described."""

import json
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from review.findings.text import HIDDEN, LATER, UNKNOWN, span, spans

ROLES = Path(__file__).with_name("roles.json")
EVERYONE = {"allUsers": "anyone on the internet", "allAuthenticatedUsers": "anyone with a Google account"}
PUBLIC = tuple(EVERYONE)
PREFIXES = {
    "user:": "user",
    "serviceAccount:": "service account",
    "group:": "everyone in the group",
    "domain:": "everyone in the domain",
    "principalSet://": "every identity of the workload pool in",
    "principal://": "the workload identity",
    "deleted:": "the deleted",
    "projectOwner:": "every owner of project",
    "projectEditor:": "every editor of project",
    "projectViewer:": "every viewer of project",
    "specialGroup:": "the group",
    "authorizedView:": "anyone who can query the authorized view",
    "authorizedDataset:": "anyone who can query the views of the authorized dataset",
    "authorizedRoutine:": "anyone who can call the authorized routine",
}
CONTAINERS = (
    "project",
    "folder",
    "organization",
    "billing account",
)  # a grant on one of these applies to everything below it
# Capabilities by the last word of a role that the table does not have.
BY_SUFFIX = (
    (r"owner$", {"read", "create", "change", "delete", "grant"}),
    (r"admin(istrator)?$", {"read", "create", "change", "delete", "grant"}),
    (r"(editor|developer|writer|user)$", {"read", "create", "change"}),
    (r"(publisher|creator)$", {"create"}),
    (r"(viewer|reader|accessor|subscriber)$", {"read"}),
    (r"(invoker|runner)$", {"call"}),
)


@dataclass(frozen=True)
class Role:
    """What a role permits: in words, and as capabilities that can be compared within one service."""

    phrase: str
    capabilities: frozenset[str]
    known: bool


@dataclass(frozen=True)
class Grant:
    """`member` has `role` on `resource`, under `condition` (an expression).

    Values are as in the plan. A member that is not known before the apply is described by `of`, the name of
    the resource that it comes from.
    """

    kind: str  # noun of the resource: bucket, project
    resource: str
    role: str
    member: str
    condition: str = ""
    address: str = ""
    of: str = ""
    permissions: tuple[str, ...] = field(default=(), compare=False)  # of a custom role that the plan declares

    @property
    def role_facts(self) -> Role:
        """What the grant's role permits."""
        if self.permissions:
            return Role(f"use {spans(list(self.permissions), 4)} on", frozenset(self.permissions), known=True)
        return look_up_role(self.role)


@cache
def _read_roles() -> dict[str, dict[str, Any]]:
    return dict(json.loads(ROLES.read_text("utf-8"))["roles"])


@cache
def look_up_role(name: str) -> Role:
    """Return what a role permits; for a role that the table does not have, what its name suggests."""
    row = _read_roles().get(name)
    if row:
        return Role(row["may"], frozenset(row["can"].split()), known=True)
    if UNKNOWN in name or HIDDEN in name or not name:
        return Role("use an unknown role on", frozenset({"anything"}), known=False)
    for pattern, can in BY_SUFFIX:
        if re.search(pattern, name, re.IGNORECASE):
            return Role(
                "use the role on", frozenset(f"{name.partition('.')[0]}:{each}" for each in can), known=False
            )
    return Role("use the role on", frozenset({name}), known=False)


UNNAMED_PROJECT = "(the dataset's)"  # of an access list of BigQuery, which does not name its project


def describe_member(member: str, of: str = "") -> str:
    """Return a member in words, its name as a span; `of` is the source of a member that is not known yet."""
    if not member or UNKNOWN in member or HIDDEN in member:
        shown = span(member) if member and member != UNKNOWN else LATER
        return f"service account {span(of)}" if of else f"a member {shown}"
    if member in EVERYONE:
        return EVERYONE[member]
    for prefix, words in PREFIXES.items():
        if member.startswith(prefix) and member != prefix:
            name = _short_member_name(member.removeprefix(prefix))
            if name == UNNAMED_PROJECT:
                return words.replace("of project", "of the dataset's project")
            return f"{words} {span(name)}"
    return f"member {span(member)}"


def _short_member_name(member: str) -> str:
    """Return a member's name without the path of its pool, and without the number of a deleted member."""
    return member.partition("workloadIdentityPools/")[2] or member.partition("?uid=")[0]


def rank_breadth(grant: Grant) -> int:
    """Return the rank of a grant: public first, then owner and editor, domains, groups, others."""
    if grant.member in PUBLIC:
        return 90
    basic = {"roles/owner": 80, "roles/editor": 75, "roles/viewer": 60}.get(grant.role, 0)
    if basic and grant.kind in CONTAINERS:
        return basic
    if grant.member.startswith(("domain:", "projectViewer:", "projectEditor:", "projectOwner:")):
        return 55
    if grant.member.startswith(("group:", "principalSet:")):
        return 50
    can = grant.role_facts.capabilities
    whole = 10 if grant.kind in CONTAINERS else 0
    if any(each.endswith(("grant", "impersonate", "anything")) for each in can):
        return 35 + whole
    return (25 if any(each.endswith(("delete", "change")) for each in can) else 15) + whole


def describe_resource(grant: Grant) -> str:
    """Return the resource of a grant in words."""
    return f"{grant.kind} {span(grant.resource)}"
