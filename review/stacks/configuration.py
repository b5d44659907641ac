"""Compare everything in two synthesized stacks except the arguments of resources: providers, modules, variables."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from review.findings.finding import NO, YES, Detail, Finding, Kind, Severity
from review.findings.text import plural, span, spans
from review.plan.differences import diff_lines
from review.plan.values import Values, get_text, unwrap_block
from review.secrets.masking import Secrets

MOST = 4
COMPARED = frozenset({"//", "resource", "output"})  # sections that are compared elsewhere, or only comments
# Sections that are compared by blocks of one level (`variable.NAME`) and of two (`data.TYPE.NAME`).
NAMED = {"variable": "variable", "locals": "local value", "check": "check", "module": "module"}
TYPED = {"data": "data source", "ephemeral": "ephemeral resource", "action": "action"}
MOVES = ("moved", "import", "removed")
PROJECTS = ("project", "region", "zone")


def configuration_findings(
    base: Mapping[str, Any], head: Mapping[str, Any], secrets: Secrets
) -> Iterator[Finding]:
    """Yield a finding for each added, removed or changed block, except resources and outputs."""
    sides = (base, head)
    if base.get("terraform") != head.get("terraform"):
        settings = [_as_mapping(unwrap_block(side.get("terraform"))) for side in sides]
        yield from _terraform_findings(settings[0], settings[1], secrets)
    if base.get("provider") != head.get("provider"):
        yield from _provider_findings(base, head, secrets)
    for section in NAMED:
        old, new = (_index_blocks(side.get(section)) for side in sides)
        for name in _list_differing_names(old, new):
            yield _block_finding(section, name, (old.get(name), new.get(name)), head, secrets)
    for section in TYPED:
        old, new = (_index_typed_blocks(side.get(section)) for side in sides)
        for name in _list_differing_names(old, new):
            yield _block_finding(section, name, (old.get(name), new.get(name)), head, secrets)
    for section in sorted({*base, *head} - COMPARED - {"terraform", "provider", *NAMED, *TYPED}):
        # Moves of resources are reported with the resources.
        read = _list_module_blocks if section in MOVES else _strip_comments
        if read(base.get(section)) != read(head.get(section)):
            verb = (
                "changes"
                if section in base and section in head
                else "is added"
                if section in head
                else "is removed"
            )
            what = (
                f"{verb}: its effect on the resources of modules is not examined"
                if section in MOVES
                else verb
            )
            details = _diff_details(base.get(section), head.get(section), secrets)
            opaque = section if section in MOVES else ""
            yield _finding(f"section {span(section)}", Severity.CARE, what, details, opaque=opaque)


def _list_module_blocks(section: Any) -> list[Any]:
    """Return the blocks that name a module, or more than one address."""
    found = section if isinstance(section, list) else [section]
    return [each for each in found if "module." in json.dumps(each) or "for_each" in _as_mapping(each)]


def meta_argument_findings(
    address: str, where: str, old: Values, new: Values, secrets: Secrets
) -> Iterator[Finding]:
    """Yield changes of a resource's meta-arguments, except provisioners and instances."""
    if old.get("provider") != new.get("provider"):
        sentence = (
            f"is managed by provider {span(new.get('provider') or 'google')} instead of "
            f"{span(old.get('provider') or 'google')}: it may be created again in another project or region"
        )
        yield _finding(
            where, Severity.POSSIBLE_LOSS, sentence, (), address=address, undo="not known", opaque=address
        )
    before, after = (_as_mapping(unwrap_block(each.get("lifecycle"))) for each in (old, new))
    if before.get("prevent_destroy") is True and after.get("prevent_destroy") is not True:
        sentence = "prevent_destroy is removed: it can be destroyed from now on"
        yield _finding(where, Severity.CARE, sentence, (), address=address)
    for key in sorted({*before, *after}):
        if key == "prevent_destroy" and before.get(key) is True:
            continue
        if before.get(key) != after.get(key):
            sentence = (
                f"lifecycle {span(key)}: {_format_hidden(before.get(key), secrets)} → "
                f"{_format_hidden(after.get(key), secrets)}"
            )
            yield _finding(where, Severity.CHANGE, sentence, (), address=address)
    for key in ("depends_on", "connection"):
        if old.get(key) != new.get(key):
            severity = Severity.CODE if key == "connection" else Severity.NOTE
            details = _diff_details(old.get(key), new.get(key), secrets)
            yield _finding(where, severity, f"{span(key)} changes", details, address=address)


def _terraform_findings(old: Values, new: Values, secrets: Secrets) -> Iterator[Finding]:
    for key in sorted({*old, *new} - {"required_providers"}):
        if _strip_comments(old.get(key)) == _strip_comments(new.get(key)):
            continue
        details = _diff_details(old.get(key), new.get(key), secrets)
        if key in ("backend", "cloud"):
            sentence = (
                "the state moves elsewhere: unless the existing state is migrated, the apply creates every resource "
                "again, or fails because it exists"
            )
            name = _backend_name(new) or _backend_name(old)
            yield _finding(
                f"backend {span(name)}", Severity.CARE, sentence, details, undo=NO, opaque=f"backend.{name}"
            )
        else:
            yield _finding(f"Terraform setting {span(key)}", Severity.CARE, "changes", details)
    sides = [_index_blocks(each.get("required_providers")) for each in (old, new)]
    for name in _list_differing_names(*sides):
        before, after = (_as_mapping(unwrap_block(side.get(name))) for side in sides)
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
        yield Finding(Kind.CODE, Severity.CODE, where, sentence, undo=YES, size=25, opaque=opaque)


def _provider_source(required: Values) -> str:
    """Return a provider's source as its registry names it: `google` is `hashicorp/google`."""
    parts = get_text(required, "source").lower().removeprefix("registry.terraform.io/").split("/")
    return "/".join(parts if len(parts) > 1 else ["hashicorp", *parts])


def _backend_name(terraform: Values) -> str:
    return next(
        iter(_as_mapping(unwrap_block(terraform.get("backend")))), "cloud" if "cloud" in terraform else ""
    )


def _describe_provider(required: Values) -> str:
    if not required:
        return "none"
    return (
        f"{span(get_text(required, 'source') or '(no source)')} "
        f"{span(get_text(required, 'version') or '(any version)')}"
    )


def _provider_findings(
    base: Mapping[str, Any], head: Mapping[str, Any], secrets: Secrets
) -> Iterator[Finding]:
    sides = [_index_providers(side.get("provider")) for side in (base, head)]
    for name in _list_differing_names(*sides):
        old, new = (_as_mapping(side.get(name)) for side in sides)
        where = f"provider {span(name)}"
        details = _diff_details(old, new, secrets)
        moved = [key for key in PROJECTS if old.get(key) != new.get(key)]
        if old and new and moved:
            follow = [
                address
                for address, values in _list_resources(head)
                if not any(key in values for key in moved)
            ]
            places = "; ".join(
                f"{key} {_format_hidden(old.get(key), secrets)} → {_format_hidden(new.get(key), secrets)}"
                for key in moved
            )
            sentence = (
                f"{places}: {plural(len(follow), 'resource')} that set none of their own "
                f"({spans(follow, MOST)}) may be deleted and created again there"
                if follow
                else places
            )
            severity = Severity.POSSIBLE_LOSS if follow else Severity.CARE
            yield _finding(
                where,
                severity,
                sentence,
                details,
                undo="not known" if follow else YES,
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
            yield _finding(where, Severity.CARE, verb, details, opaque=opaque)


def _block_finding(
    section: str, name: str, sides: tuple[Any, Any], head: Mapping[str, Any], secrets: Secrets
) -> Finding:
    old, new = sides
    noun = {**NAMED, **TYPED}[section]
    verb = "is added" if old is None else "is removed" if new is None else "changes"
    details = _diff_details(old, new, secrets)
    where = f"{noun} {span(name)}"
    prefix = {"variable": "var", "locals": "local"}.get(section, section)
    users = [address for address, values in _list_resources(head) if f"{prefix}.{name}" in json.dumps(values)]
    used = f"; {spans(users, MOST)} {'uses' if len(users) == 1 else 'use'} it" if users else ""
    if section == "module":
        return _module_finding(name, verb, old, new, details)
    if section in ("data", "ephemeral") and new is not None:
        sentence = f"{verb}: only a plan can show what it reads{used}"
        # The provider's result for a policy document is computed (`review.stacks.expansion`).
        opaque = f"{section}.{name}" if users and not name.startswith("google_iam_policy.") else ""
        return _finding(where, Severity.CARE if users else Severity.CHANGE, sentence, details, opaque=opaque)
    if section == "action":
        sentence = f"{verb}: its effect is not known"
        return _finding(where, Severity.CARE, sentence, details, undo=NO, opaque=f"action.{name}")
    if section == "check":
        return _finding(where, Severity.CARE if new is None else Severity.NOTE, verb, details)
    has_value = section == "locals" or "default" in _as_mapping(old) or "default" in _as_mapping(new)
    if section == "variable" and not has_value and old is not None and new is not None:
        return _finding(where, Severity.NOTE, f"its declaration changes{used}", details)
    return _finding(where, Severity.CHANGE if users else Severity.NOTE, f"{verb}{used}", details)


def _module_finding(name: str, verb: str, old: Any, new: Any, details: tuple[Detail, ...]) -> Finding:
    """Return the finding of a module: its resources are not in the stack, so that its effect is not examined."""
    sides = _as_mapping(unwrap_block(old)), _as_mapping(unwrap_block(new))
    keys = sorted(key for key in {*sides[0], *sides[1]} if sides[0].get(key) != sides[1].get(key))
    what = f" in {spans(keys, MOST)}" if old is not None and new is not None else ""
    sentence = f"{verb}{what}: the effect on its resources is not examined"
    severity = Severity.CARE if old is None else Severity.POSSIBLE_LOSS
    where = f"module {span(name)}"
    return _finding(where, severity, sentence, details, undo="not known", opaque=f"module.{name}")


def _finding(
    where: str,
    severity: Severity,
    sentence: str,
    details: tuple[Detail, ...],
    *,
    address: str = "",
    undo: str = YES,
    opaque: str = "",
) -> Finding:
    return Finding(
        Kind.SERVICE,
        severity,
        where,
        sentence,
        undo=undo,
        size=15,
        details=details,
        address=address,
        opaque=opaque,
    )


def _diff_details(old: Any, new: Any, secrets: Secrets) -> tuple[Detail, ...]:
    lines = diff_lines(
        _format_json(_strip_comments(old), secrets), _format_json(_strip_comments(new), secrets)
    )
    return (Detail("configuration", lines, "diff"),) if lines else ()


def _format_json(value: Any, secrets: Secrets) -> str:
    return (
        "" if value is None else json.dumps(secrets.hide(value), indent=2, sort_keys=True, ensure_ascii=False)
    )


def _format_hidden(value: Any, secrets: Secrets) -> str:
    return span(secrets.hide(value))


def _list_resources(document: Mapping[str, Any]) -> Iterator[tuple[str, Values]]:
    for type_, named in _as_mapping(document.get("resource")).items():
        for name, values in _as_mapping(named).items():
            yield f"{type_}.{name}", _as_mapping(unwrap_block(values))


def _index_blocks(section: Any) -> dict[str, Any]:
    """Return the blocks of a section, which can be a list, by name."""
    found: dict[str, Any] = {}
    for each in section if isinstance(section, list) else [section]:
        found |= {name: _strip_comments(value) for name, value in _as_mapping(each).items() if name != "//"}
    return found


def _index_typed_blocks(section: Any) -> dict[str, Any]:
    return {
        f"{type_}.{name}": value
        for type_, named in _index_blocks(section).items()
        for name, value in _index_blocks(named).items()
    }


def _index_providers(section: Any) -> dict[str, Any]:
    """Return each configuration of each provider, by name or `name.alias`."""
    found = {}
    for name, configured in _as_mapping(section).items():
        for each in configured if isinstance(configured, list) else [configured]:
            alias = get_text(each, "alias")
            found[f"{name}.{alias}" if alias else name] = _strip_comments(each)
    return found


def _list_differing_names(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))


def _strip_comments(value: Any) -> Any:
    """Return a value without the comments (`//`) of a synthesized stack."""
    if isinstance(value, Mapping):
        return {key: _strip_comments(each) for key, each in value.items() if key != "//"}
    return [_strip_comments(each) for each in value] if isinstance(value, list) else value


def _as_mapping(value: Any) -> Values:
    return value if isinstance(value, Mapping) else {}
