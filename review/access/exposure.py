"""Report access that is not a grant: identities and keys, policies that restrict, networks and flags that open.

The meaning of each type and argument is in `exposure.json`. An argument whose name indicates access, and that neither
the table nor a renderer covers, is reported as not examined; the review then never says that nobody gains access.
"""

import json
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from review.access import firewall_policies
from review.access.arguments import access_finding, argument_findings
from review.access.ssh_keys import ssh_key_findings
from review.data.retained import is_left_in_place
from review.findings.finding import Finding, Kind, Severity
from review.findings.text import span
from review.google_cloud.resource_types import is_known, is_local
from review.plan.context import Context
from review.plan.differences import Difference, format_difference, list_differences
from review.plan.model import Change
from review.plan.values import flatten_values, get_value
from review.types import registry

TABLE = Path(__file__).with_name("exposure.json")
MOST = 3  # arguments that differ, in one sentence
# Arguments that have no effect on access.
UNRELATED_ARGUMENTS = frozenset(
    {
        "annotations",
        "comment",
        "deletion_policy",
        "description",
        "display_name",
        "effective_labels",
        "force_delete",
        "labels",
        "reason",
        "terraform_labels",
        "title",
        "user_labels",
    }
)
ACCESS_ARGUMENTS = re.compile(
    r"members?|principals?|grantees?|role_entity|roles?|users?|user_name|admin_\w+|identities|identity_type|permissions?|"
    r"authorized_\w+|allowed_\w+|permitted_\w+|exempt\w*|\w*ip_ranges?|\w*cidr_blocks?|\w*source_ranges|ingress\w*|"
    r"egress_\w+|\w*public\w*|\w*private_(?:cluster|endpoint|nodes|instance)\w*|internal_ip_only|ssl_mode|require_\w+|"
    r"\w*tls_\w+|auth_enabled|authorization\w*|authentication\w*|transit_encryption_mode|iap|\w*security_policy|"
    r"access(?:_\w+)?|acl|\w*ssh\w*|\w*abac|password\w*|consumer_\w+|producer_\w+|share_settings|\w*anonymous\w*|"
    r"visibility|issuer\w*|audiences?|policy_data|firewall\w*|restrict\w*|\w*peering\w*|external_\w*ip\w*|nat_ip|"
    r"enable_\w*access|disable_\w*access|\w*identity_federation\w*|share_type|allow|allow_(?:all\w*|credentials|external\w*|"
    r"global\w*|insecure|net_admin|open|origin\w*|password\w*|psc\w*|stale\w*|subject\w*|tenants)|allowlist\w*|\w+_allowlist|"
    r"deny|deny_\w+|denied_\w+|disallowed_\w+|administrators|security_operators|auth_(?:domain|fail_action)|authenticator_\w+|"
    r"client_auth\w*|(?:client|server)_validation_\w+|cidrs?|cors\w*|disable_auth|enable_rbac|enable_insecure_\w+|insecure_\w+|"
    r"fail_open|has_root_access|squash_mode|kerberos5\w*|nfs_export_options|internet_access|invokers|issue_client_certificate|"
    r"(?:im|ex)port_custom_routes|master_global_access_config|network_policy|no_external_ip|no_proxy_access|permission_level|"
    r"permissive_mode|privileged_access|psc_enabled|enable_private_service_connect|rbac_binding_config|required_access_levels|"
    r"service_external_ips_config|signed_(?:request_mode|token_options)|source_restriction|trust_\w+|selective_authentication|"
    r"ssl_(?:policy|settings|principal_mapping_rules)|use_ssl|validate_ssl|oauth_scopes|service_account_scopes|scopes|"
    r"(?:vpc_)?ip_subnetworks|ip_address_ranges?"
)
# Arguments with the identity that a resource runs as.
IDENTITY_ARGUMENTS = re.compile(
    r"(?:^|[._])(?:service_account(?:_email|_name|_id)?(?:\.email)?|run_as\w*|impersonated?_user)$"
)
# Attributes with the resources, not the principals, that use another one.
USERS_OF_RESOURCES = frozenset(
    f"google_compute_{each}.users" for each in ("address", "disk", "global_address", "region_disk")
)
UNRELATED_NAMES = re.compile(
    r"access_(?:mode|log\w*|time|type)|.*_version|password_wo_version|external_ip_count|.*_id|.*_time"
)


@cache
def _read_table() -> dict[str, Any]:
    return dict(json.loads(TABLE.read_text("utf-8")))


@cache
def _find_sentence(section: str, type_: str) -> str:
    table: Mapping[str, str] = _read_table()[section]
    bare = type_.replace("google-beta_", "google_")
    return table.get(bare) or next(
        (words for key, words in table.items() if "*" in key and fnmatchcase(bare, key)), ""
    )


def _list_rules(type_: str) -> Mapping[str, str]:
    found: Mapping[str, str] = _read_table()["arguments"].get(type_, {})
    return found


@cache
def _list_not_evaluated(type_: str) -> tuple[str, ...]:
    """Return the arguments about access that the renderer of a type does not evaluate."""
    table: Mapping[str, list[str]] = _read_table()["not_evaluated"]
    return tuple(path for key, paths in table.items() if fnmatchcase(type_, key) for path in paths)


def exposure_findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield what a change of one resource opens or closes, apart from its grants."""
    if is_left_in_place(change):
        return
    if change.type in ("google_compute_project_metadata", "google_compute_project_metadata_item") or (
        "metadata" in change.old or "metadata" in change.new
    ):
        yield from ssh_key_findings(change, context)
    if words := _find_sentence("grants", change.type):
        yield from _grant_findings(change, context, words)
    if words := _find_sentence("restricts", change.type):
        yield from _restriction_findings(change, context, words)
    if (
        change.after is not None
        and (words := _find_sentence("hides", change.type))
        and _describe_differences(change)
    ):
        yield access_finding(
            change, context, Severity.CARE, _fill_sentence(words, change, context), kind=Kind.SERVICE
        )
    if change.destroys and (words := _find_sentence("watches", change.type)):
        yield access_finding(
            change,
            context,
            Severity.CARE,
            f"{_describe_end(change)}: {_fill_sentence(words, change, context)}",
        )
    if (
        (change.action == "update" or (change.before is None and change.type == "google_compute_route"))
        and (words := _find_sentence("redirects", change.type))
        and (found := _describe_differences(change))
    ):
        yield access_finding(
            change,
            context,
            Severity.CARE,
            f"{_fill_sentence(words, change, context)}: {found}",
            kind=Kind.SERVICE,
        )
    yield from _identity_findings(change, context)
    if change.after is not None:
        yield from _argument_findings(change, context)


def _argument_findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield what arguments with a rule open or close; of a block only if none of its arguments has a finding."""
    reported: set[str] = set()
    for path, rule in sorted(_list_rules(change.type).items(), key=lambda each: -each[0].count(".")):
        if rule in ("limits", "any") and any(each.startswith(f"{path}.") for each in reported):
            continue
        for found in argument_findings(change, context, path, rule):
            reported.add(path)
            yield found


def _identity_findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield the new identity of a resource whose type has no renderer to compare permissions."""
    if change.before is None or change.after is None or registry.find_renderers(change.type):
        return
    for each in list_differences(change):
        for path, value in flatten_values(each.after, each.path) if each.after else ():
            if IDENTITY_ARGUMENTS.search(re.sub(r"\[[^\]]*\]", "", path)) and value not in (None, ""):
                before = span(each.before) if isinstance(each.before, str) and each.before else "no identity"
                sentence = (
                    f"runs as {span(value)} instead of {before} ({span(path)}): permissions are not compared"
                )
                yield access_finding(change, context, Severity.WIDENED, sentence, size=33)


def list_unexamined_access(change: Change) -> tuple[str, ...]:
    """Return the type or arguments of a change that were not examined for access, as `type` or `type.argument`."""
    if change.mode != "managed" or change.action in ("no-op", "read", "forget"):
        return ()
    if is_local(change.type):
        return ()
    if any(
        _find_sentence(section, change.type)
        for section in ("grants", "restricts", "watches", "hides", "redirects")
    ):
        return ()
    if not is_known(change.type):
        return (change.type,)
    if registry.find_renderers(change.type):
        return tuple(
            f"{change.type}.{path}"
            for path in _list_not_evaluated(change.type)
            if any(re.sub(r"\[[^\]]*\]", "", each.path).startswith(path) for each in list_differences(change))
        )
    rules = _list_rules(change.type)
    found = {
        path
        for each in list_differences(change)
        for path in _list_access_paths(each)
        if f"{change.type}.{path}" not in USERS_OF_RESOURCES
        if not any(
            path == rule or path.startswith(f"{rule}.") or rule.startswith(f"{path}.") for rule in rules
        )
    }
    return tuple(sorted(f"{change.type}.{path}" for path in found)) if change.after is not None else ()


def _list_access_paths(difference: Difference) -> Iterator[str]:
    """Yield each path that differs, up to the step whose name indicates access."""
    for side in (difference.before, difference.after):
        for leaf, value in flatten_values(side, difference.path):
            if value in (None, "", False, [], {}):
                continue
            steps = re.sub(r"\[[^\]]*\]", "", leaf).split(".")
            for index, step in enumerate(steps):
                if step in UNRELATED_ARGUMENTS:
                    break  # keys of labels can be any word
                if ACCESS_ARGUMENTS.fullmatch(step) and not UNRELATED_NAMES.fullmatch(step):
                    yield ".".join(steps[: index + 1])
                    break


def _grant_findings(change: Change, context: Context, words: str) -> Iterator[Finding]:
    sentence = _fill_sentence(words, change, context)
    if change.after is None and not _find_sentence("restricts", change.type):
        yield access_finding(
            change, context, Severity.CHANGE, f"is deleted, which ends this access: until now, {sentence}"
        )
    elif change.after is None:
        return
    elif change.before is None:
        yield access_finding(change, context, Severity.WIDENED, sentence, size=40)
    elif found := _describe_differences(change):
        yield access_finding(change, context, Severity.WIDENED, f"{sentence}; changed: {found}", size=38)


def _restriction_findings(change: Change, context: Context, words: str) -> Iterator[Finding]:
    sentence = _fill_sentence(words, change, context)
    if change.after is None and change.type in firewall_policies.TYPES:
        yield firewall_policies.policy_deletion_finding(change, context)
    elif change.after is None:
        yield access_finding(
            change,
            context,
            Severity.WIDENED,
            f"is deleted, which ends this restriction: until now, {sentence}",
            size=46,
        )
    elif change.before is None:
        yield access_finding(change, context, Severity.CHANGE, f"from now on, {sentence}")
    elif found := _describe_differences(change):
        changed = f"{sentence}; it changes and may allow more: {found}"
        yield access_finding(change, context, Severity.WIDENED, changed, size=44)


def _describe_end(change: Change) -> str:
    return "is deleted" if change.after is None else "is replaced"


def _describe_differences(change: Change) -> str:
    """Return the differences except names, labels and descriptions; an empty text if there are none."""
    found = [
        each
        for each in list_differences(change)
        if each.path.partition(".")[0].partition("[")[0] not in UNRELATED_ARGUMENTS
    ]
    more = f"; and {len(found) - MOST} more" if len(found) > MOST else ""
    return "; ".join(format_difference(each) for each in found[:MOST]) + more


def _fill_sentence(words: str, change: Change, context: Context) -> str:
    """Return a sentence of the table with the values after the apply, or before a deletion.

    A placeholder without a value is removed.
    """

    def value(match: re.Match[str]) -> str:
        found = get_value(change.values, match[1])
        if found in (None, "", []) and not context.referenced_address(change, match[1].partition(".")[0]):
            return ""
        return context.format_argument(change, change.values, match[1])

    filled = re.sub(r"\{([\w.]+)\}", value, words)
    return re.sub(r" {2,}", " ", re.sub(r" \(\)", "", filled)).strip()
