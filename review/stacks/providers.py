"""Compare the backend, the required providers and the provider configurations of two stacks."""

from collections.abc import Iterator, Mapping
from typing import Any

from review.findings.finding import NO, YES, Finding, Kind, Severity
from review.findings.text import plural, span, spans
from review.plan.values import Values, get_text, unwrap_block
from review.secrets.masking import Secrets
from review.stacks.blocks import (
    as_mapping,
    configuration_finding,
    diff_details,
    format_hidden,
    index_blocks,
    list_differing_names,
    list_resource_values,
    strip_comments,
)

MOST = 4
PROJECTS = ("project", "region", "zone")


def terraform_findings(old: Values, new: Values, secrets: Secrets) -> Iterator[Finding]:
    """Yield changes of the `terraform` block: the backend, required providers, other settings."""
    for key in sorted({*old, *new} - {"required_providers"}):
        if strip_comments(old.get(key)) == strip_comments(new.get(key)):
            continue
        details = diff_details(old.get(key), new.get(key), secrets)
        if key in ("backend", "cloud"):
            sentence = (
                "the state moves elsewhere: unless the existing state is migrated, the apply creates every resource "
                "again, or fails because it exists"
            )
            name = _backend_name(new) or _backend_name(old)
            yield configuration_finding(
                f"backend {span(name)}",
                Severity.CARE,
                sentence,
                details,
                recovery=NO,
                opaque=f"backend.{name}",
            )
        else:
            yield configuration_finding(f"Terraform setting {span(key)}", Severity.CARE, "changes", details)
    sides = [index_blocks(each.get("required_providers")) for each in (old, new)]
    for name in list_differing_names(*sides):
        before, after = (as_mapping(unwrap_block(side.get(name))) for side in sides)
        sentence = (
            f"changes to {_describe_provider(after)}, which runs with the credentials of the apply; "
            f"before: {_describe_provider(before)}"
            if after
            else "is no longer required"
        )
        opaque = (
            f"provider.{name}"
            if before and after and _provider_source(before) != _provider_source(after)
            else ""
        )
        where = f"provider {span(name)}"
        yield Finding(
            Kind.CODE,
            Severity.CODE,
            where,
            sentence,
            recovery="not known" if opaque else YES,
            size=25,
            opaque=opaque,
        )


def _provider_source(required: Values) -> str:
    """Return a provider's source as its registry names it: `google` is `hashicorp/google`."""
    parts = get_text(required, "source").lower().removeprefix("registry.terraform.io/").split("/")
    return "/".join(parts if len(parts) > 1 else ["hashicorp", *parts])


def _backend_name(terraform: Values) -> str:
    return next(
        iter(as_mapping(unwrap_block(terraform.get("backend")))), "cloud" if "cloud" in terraform else ""
    )


def _describe_provider(required: Values) -> str:
    if not required:
        return "none"
    return (
        f"{span(get_text(required, 'source') or '(no source)')} "
        f"{span(get_text(required, 'version') or '(any version)')}"
    )


def provider_findings(
    base: Mapping[str, Any], head: Mapping[str, Any], secrets: Secrets
) -> Iterator[Finding]:
    """Yield changes of provider configurations, and which resources a new project or region moves."""
    sides = [_index_providers(side.get("provider")) for side in (base, head)]
    for name in list_differing_names(*sides):
        old, new = (as_mapping(side.get(name)) for side in sides)
        where = f"provider {span(name)}"
        details = diff_details(old, new, secrets)
        moved = [key for key in PROJECTS if old.get(key) != new.get(key)]
        if old and new and moved:
            follow = [
                address
                for address, values in list_resource_values(head)
                if not any(key in values for key in moved)
            ]
            names = "; ".join(
                f"{key} {format_hidden(old.get(key), secrets)} → {format_hidden(new.get(key), secrets)}"
                for key in moved
            )
            sentence = (
                f"{names}: {plural(len(follow), 'resource')} without {' or '.join(moved)} of their own "
                f"({spans(follow, MOST)}) may be deleted, and created again there"
                if follow
                else names
            )
            severity = Severity.POSSIBLE_LOSS if follow else Severity.CARE
            yield configuration_finding(
                where,
                severity,
                sentence,
                details,
                recovery="not known" if follow else YES,
                opaque=f"provider.{name}" if follow else "",
            )
        else:
            verb = (
                "its configuration changes"
                if old and new
                else "is configured"
                if new
                else "is no longer configured"
            )
            opaque = f"provider.{name}" if old and new else ""
            yield configuration_finding(where, Severity.CARE, verb, details, opaque=opaque)


def _index_providers(section: Any) -> dict[str, Any]:
    """Return each configuration of each provider, by name or `name.alias`."""
    found = {}
    for name, configured in as_mapping(section).items():
        for each in configured if isinstance(configured, list) else [configured]:
            alias = get_text(each, "alias")
            found[f"{name}.{alias}" if alias else name] = strip_comments(each)
    return found
