"""Read a plan as written by `terraform show -json` or `tofu show -json`, in formats 0.1, 0.2 and 1.x.

Values are hidden by `Secrets` as they are read, so no code behind this one ever sees a secret. What Terraform only
knows after the apply stands as UNKNOWN in `after`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from review.errors import PlanError
from review.findings.text import UNKNOWN
from review.plan.configuration import read_provisioners, read_references
from review.plan.model import Change, Check, Invocation, Output, Plan
from review.plan.raw_json import AGAIN, as_mapping, get_string, read_json
from review.plan.secret_marks import collect_plan_secrets
from review.plan.values import Values
from review.secrets.masking import Secrets
from review.secrets.names import list_identities

FORMAT = re.compile(r"0\.[12]|1\.\d{1,4}")
PARTS = (
    "resource_changes",
    "planned_values",
    "output_changes",
    "configuration",
    "resource_drift",
    "action_invocations",
    "deferred_action_invocations",
)


def read_plan(content: bytes, what: str = "the plan") -> Plan:
    """Read the JSON of a plan. Raises PlanError if it is not a plan, or of an unknown format."""
    document = read_json(content, what)
    version = document.get("format_version")
    if not isinstance(version, str) or not FORMAT.fullmatch(version):
        found = (
            f"format_version {version[:12]!r}"
            if isinstance(version, str) and re.fullmatch(r"[\d.]+", version)
            else "no format_version"
        )
        raise PlanError(
            f"{what} has {found}; 0.1, 0.2 and 1.x are supported (Terraform 0.12 and later, OpenTofu)"
        )
    if not any(part in document for part in PARTS):
        if "values" in document:
            raise PlanError(f"{what} is a state; give the output of `terraform show -json PLANFILE`")
        raise PlanError(f"{what} is not a plan; give the output of `terraform show -json PLANFILE`")
    secrets = collect_plan_secrets(document)
    secrets.allow_names(_list_resource_names(document))
    return Plan(
        changes=_read_changes(document, "resource_changes", secrets),
        drift=_read_changes(document, "resource_drift", secrets),
        deferred_changes=_read_deferred(document, secrets),
        outputs=_read_outputs(document, secrets),
        checks=tuple(_read_checks(document, secrets)),
        invocations=(
            *(_read_invocation(each, secrets) for each in _list_objects(document, "action_invocations")),
            *(
                _read_invocation(
                    as_mapping(each.get("action_invocation")),
                    secrets,
                    get_string(each, "reason") or "unknown",
                )
                for each in _list_objects(document, "deferred_action_invocations")
            ),
        ),
        errored=document.get("errored") is True,
        complete=document.get("complete") if isinstance(document.get("complete"), bool) else None,
        format=version,
        applyable=document.get("applyable") if isinstance(document.get("applyable"), bool) else None,
        references=read_references(document),
        provisioners=read_provisioners(document, secrets),
        secrets=secrets,
    )


def _list_resource_names(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what names a resource: its name in the configuration, its modules, its key, and its arguments' names."""
    for raw in _list_objects(document, "resource_changes"):
        address = get_string(raw, "address")
        yield from re.split(r'[.\[\]"]+', address)
        change = as_mapping(raw.get("change"))
        for side in ("before", "after"):
            yield from list_identities(change.get(side))


# --- the parts ----------------------------------------------------------------------------------------


def _list_objects(document: Mapping[str, Any], part: str) -> list[Mapping[str, Any]]:
    found = document.get(part)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise PlanError(f"the plan's {part} is not a list of objects; {AGAIN}")
    return found


def _read_changes(document: Mapping[str, Any], part: str, secrets: Secrets) -> tuple[Change, ...]:
    found = [
        _read_change(each, f"{part}[{index}]", secrets)
        for index, each in enumerate(_list_objects(document, part))
    ]
    return tuple(sorted(found, key=lambda change: (change.address, change.deposed)))


def _read_deferred(document: Mapping[str, Any], secrets: Secrets) -> tuple[Change, ...]:
    found = []
    for index, each in enumerate(_list_objects(document, "deferred_changes")):
        where = f"deferred_changes[{index}]"
        if not isinstance(each.get("resource_change"), dict):
            raise PlanError(f"{where}.resource_change is not an object; {AGAIN}")
        found.append(
            _read_change(
                each["resource_change"], where, secrets, deferred=get_string(each, "reason") or "unknown"
            )
        )
    return tuple(sorted(found, key=lambda change: change.address))


def _read_change(raw: Mapping[str, Any], where: str, secrets: Secrets, deferred: str = "") -> Change:
    change = raw.get("change")
    address, type_ = raw.get("address") or _derive_address(raw), raw.get("type")
    if not isinstance(address, str) or not isinstance(type_, str) or not isinstance(change, dict):
        raise PlanError(f"{where} lacks an address, a type or a change; {AGAIN}")
    actions = change.get("actions")
    if not isinstance(actions, list) or not actions or not all(isinstance(each, str) for each in actions):
        raise PlanError(f"{where}.change.actions is not a list of actions; {AGAIN}")
    values = {}
    for side in ("before", "after"):
        if not isinstance(change.get(side), dict | None):
            raise PlanError(f"{where}.change.{side} is not an object; {AGAIN}")
        marks = (change.get("before_sensitive"), change.get("after_sensitive"))
        values[side] = (
            None if change.get(side) is None else _as_values(secrets.hide_arguments(change[side], *marks))
        )
    after = values["after"]
    unknown = change.get("after_unknown")
    if isinstance(unknown, dict) and (after is not None or "create" in actions or "update" in actions):
        after = _mark_unknown(after or {}, unknown)
    elif unknown is True:
        after = {} if after is None else after
    importing = change.get("importing")
    return Change(
        address=address,
        type=type_,
        actions=tuple(actions),
        before=values["before"],
        after=after,
        mode=get_string(raw, "mode") or "managed",
        name=get_string(raw, "name"),
        module=get_string(raw, "module_address"),
        index="" if raw.get("index") is None else str(raw["index"]),
        reason=get_string(raw, "action_reason"),
        replace_paths=tuple(_join_paths(change.get("replace_paths"))),
        previous_address=get_string(raw, "previous_address"),
        import_id=_read_import(importing),
        deposed=get_string(raw, "deposed"),
        deferred_reason=deferred,
    )


def _derive_address(raw: Mapping[str, Any]) -> str | None:
    """Return the address of an entry without one, as in drift of format 0.2; None if nothing names it."""
    type_, name, index = raw.get("type"), raw.get("name"), raw.get("index")
    if not isinstance(type_, str) or not isinstance(name, str):
        return None
    module = f"{get_string(raw, 'module_address')}." if raw.get("module_address") else ""
    data = "data." if raw.get("mode") == "data" else ""
    return f"{module}{data}{type_}.{name}{'' if index is None else f'[{json.dumps(index)}]'}"


def _as_values(hidden: Any) -> Values:
    """Return the values of a resource; none if all of it is secret."""
    return hidden if isinstance(hidden, Mapping) else {}


def _read_import(importing: Any) -> str:
    if not isinstance(importing, dict):
        return ""
    if isinstance(importing.get("id"), str) and importing["id"]:
        return str(importing["id"])
    return json.dumps(importing.get("identity", "an unknown id"), sort_keys=True)


def _mark_unknown(value: Any, unknown: Any) -> Any:
    """Return `value` with UNKNOWN where the mark of the same shape says so."""
    if unknown is True:
        return UNKNOWN
    if isinstance(unknown, dict) and (value is None or isinstance(value, Mapping)):
        result = dict(value or {})
        for key, mark in unknown.items():
            if _has_mark(mark):
                result[key] = _mark_unknown(result.get(key), mark)
        return result
    if isinstance(unknown, list) and (value is None or isinstance(value, list)):
        items = list(value or [])
        items += [None] * (len(unknown) - len(items))
        return [
            _mark_unknown(each, mark)
            for each, mark in zip(items, [*unknown, *[None] * len(items)], strict=False)
        ]
    return value


def _has_mark(mark: Any) -> bool:
    if isinstance(mark, dict):
        return any(_has_mark(each) for each in mark.values())
    return any(_has_mark(each) for each in mark) if isinstance(mark, list) else mark is True


def _join_paths(paths: Any) -> Iterator[str]:
    for path in paths if isinstance(paths, list) else []:
        if isinstance(path, list):
            yield ".".join(str(step) for step in path if not isinstance(step, int))


def _read_outputs(document: Mapping[str, Any], secrets: Secrets) -> tuple[Output, ...]:
    changes = document.get("output_changes") or {}
    if not isinstance(changes, dict) or not all(isinstance(each, dict) for each in changes.values()):
        raise PlanError(f"the plan's output_changes is not an object of objects; {AGAIN}")
    found = []
    for name in sorted(changes):
        change = changes[name]
        actions = change.get("actions")
        if not isinstance(actions, list) or not actions or not all(isinstance(each, str) for each in actions):
            raise PlanError(f"an output's actions are not a list of actions; {AGAIN}")
        disclosed = bool(_has_mark(change.get("before_sensitive"))) and not _has_mark(
            change.get("after_sensitive")
        )
        disclosed = disclosed and actions != ["delete"]
        if actions == ["no-op"] and not disclosed:
            continue
        marks = (change.get("before_sensitive"), change.get("after_sensitive"))
        after = _mark_unknown(secrets.hide(change.get("after"), *marks), change.get("after_unknown"))
        action = "replace" if len(actions) > 1 else actions[0]
        found.append(Output(name, action, secrets.hide(change.get("before"), *marks), after, disclosed))
    return tuple(found)


def _read_checks(document: Mapping[str, Any], secrets: Secrets) -> Iterator[Check]:
    for each in _list_objects(document, "checks"):
        instances = each.get("instances")
        problems = [
            secrets.mask(problem["message"])
            for instance in (instances if isinstance(instances, list) else [])
            if isinstance(instance, dict) and isinstance(instance.get("problems"), list)
            for problem in instance["problems"]
            if isinstance(problem, dict) and isinstance(problem.get("message"), str)
        ]
        address = each.get("address")
        name = address.get("to_display") if isinstance(address, dict) else ""
        yield Check(
            name if isinstance(name, str) else "", get_string(each, "status") or "unknown", tuple(problems)
        )


def _read_invocation(raw: Mapping[str, Any], secrets: Secrets, deferred: str = "") -> Invocation:
    values = _as_values(secrets.hide(raw.get("config_values") or {}, raw.get("config_sensitive")))
    trigger = as_mapping(raw.get("lifecycle_action_trigger"))
    return Invocation(
        address=get_string(raw, "address"),
        type=get_string(raw, "type"),
        values=_as_values(_mark_unknown(values, raw.get("config_unknown"))),
        trigger=get_string(trigger, "triggering_resource_address"),
        event=get_string(trigger, "action_trigger_event"),
        deferred_reason=deferred,
    )
