"""A digest of everything that a plan applies, and of nothing else: equal for two plans with the same effect.

It covers the changed values and what the apply runs: the configuration of each changed resource with its provisioners,
the providers' configuration, output values, and actions with their configuration and trigger.

After the merge the same change is planned again, so volatile values do not count: the number of rows of a table, the
time of the last write, values that are known only after the apply. Sensitive values do not count either: a short one
could be guessed by trying values against the public digest.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from delivery.errors import DeliveryError
from delivery.plan.configuration import extract_configuration

IDLE = (["no-op"], ["read"])
UNKNOWN, SENSITIVE, ABSENT = "(known after apply)", "(sensitive)", "(absent)"
PARTS = ("resource_changes", "planned_values")


class PlanDigest(NamedTuple):
    """The SHA-256 of what a plan applies, and whether the plan is empty."""

    digest: str
    idle: bool


def compute_plan_digest(content: bytes) -> PlanDigest:
    """Return the digest of a plan, from its `terraform show -json`. Raises DeliveryError if that cannot be parsed."""
    try:
        plan = json.loads(content)
        if not isinstance(plan, dict) or not any(part in plan for part in PARTS):
            raise DeliveryError(
                "the plan's JSON cannot be parsed: pass the output of `terraform show -json PLAN`"
            )
        done: dict[str, Any] = {
            "resources": sorted(_list_resources(plan), key=_to_canonical_json),
            "outputs": sorted(
                [name, change["actions"], _describe_output(change)]
                for name, change in (plan.get("output_changes") or {}).items()
                if change["actions"] not in IDLE or _is_disclosed(change)
            ),
            "invoked": sorted(
                map(_describe_invocation, plan.get("action_invocations") or []), key=_to_canonical_json
            ),
            "deferred": sorted(
                [
                    *(
                        _describe_deferred(each, "resource_change")
                        for each in plan.get("deferred_changes") or []
                    ),
                    *(
                        _describe_deferred(each, "action_invocation")
                        for each in plan.get("deferred_action_invocations") or []
                    ),
                ],
                key=_to_canonical_json,
            ),
        }
        idle = not any(done.values())
        if not idle:
            done["configuration"] = extract_configuration(plan)  # what an apply uses besides the values
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DeliveryError(
            f"the plan's JSON is damaged ({type(error).__name__}): run `make plan` again"
        ) from None
    return PlanDigest(compute_text_digest(_to_canonical_json(done)), idle)


def compute_text_digest(text: str) -> str:
    """Return the SHA-256 of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _list_resources(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        _describe_resource(each)
        for each in plan.get("resource_changes") or []
        if each["change"]["actions"] not in IDLE
        or each["change"].get("importing")
        or each.get("previous_address")
    ]


def _describe_resource(raw: Mapping[str, Any]) -> dict[str, Any]:
    change = raw["change"]
    about = {
        "address": raw["address"],
        "actions": change["actions"],
        "reason": raw.get("action_reason"),
        "from": raw.get("previous_address"),
        "deposed": raw.get("deposed"),
        "imported": change.get("importing"),
        "replaced for": change.get("replace_paths"),
    }
    before, after = change.get("before") or {}, change.get("after")
    if after is None and not _has_true(change.get("after_unknown")):
        # A deletion removes the resource whatever its values are, so its identity suffices.
        return about | {"id": before.get("id")}
    return about | {"changes": _list_differences(change, before, after or {})}


def _describe_output(change: Mapping[str, Any]) -> Any:
    unknown = change.get("after_unknown")
    value = _mark_unknown(change.get("after"), unknown) if _has_true(unknown) else change.get("after")
    # The new value suffices; the previous one may be a count or a time, which changes between two plans.
    return _mask_sensitive(value, change.get("after_sensitive"))


def _is_disclosed(change: Mapping[str, Any]) -> bool:
    """Return whether an output is no longer sensitive."""
    return _has_true(change.get("before_sensitive")) and not _has_true(change.get("after_sensitive"))


def _describe_invocation(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return an action with its configuration and its trigger."""
    values = _mask_sensitive(raw.get("config_values") or {}, raw.get("config_sensitive"))
    unknown = raw.get("config_unknown")
    about = {
        key: value
        for key, value in raw.items()
        if key not in ("config_values", "config_sensitive", "config_unknown", "provider_name")
    }
    return {
        **about,
        "address": raw["address"],
        "config": _mark_unknown(values, unknown) if _has_true(unknown) else values,
    }


def _describe_deferred(raw: Mapping[str, Any], part: str) -> list[Any]:
    return [raw.get("reason"), (raw.get(part) or {}).get("address")]


def _list_differences(
    change: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[Any]:
    """Return name, previous and new value of each changed argument."""
    unknown, found = change.get("after_unknown") or {}, []
    marks = [change.get("before_sensitive") or {}, change.get("after_sensitive") or {}]
    for name in sorted({*before, *after, *(unknown if isinstance(unknown, dict) else ())}):
        old, new = before.get(name, ABSENT), after.get(name, ABSENT)
        is_unknown = unknown is True or _has_true(unknown.get(name))
        if old == new and not is_unknown:
            continue
        hidden = [mark is True or _get_mark(mark, name) for mark in marks]
        if is_unknown:
            # The previous value is often a time or a count, which changes between two plans.
            old, new = ABSENT, _mark_unknown(None if new == ABSENT else new, unknown is True or unknown[name])
        found.append([name, _mask_sensitive(old, hidden[0]), _mask_sensitive(new, hidden[1])])
    return found


def _get_mark(mark: Any, name: str) -> Any:
    return mark.get(name) if isinstance(mark, dict) else None


def _mask_sensitive(value: Any, mark: Any) -> Any:
    """Return `value` with a placeholder for every part that the mark of the same shape covers."""
    if mark is True:
        return SENSITIVE
    if isinstance(mark, dict) and isinstance(value, dict):
        return {key: _mask_sensitive(inside, mark.get(key)) for key, inside in value.items()}
    if isinstance(mark, list) and isinstance(value, list) and len(mark) <= len(value):
        rest = [None] * (len(value) - len(mark))
        return [_mask_sensitive(inside, each) for inside, each in zip(value, [*mark, *rest], strict=True)]
    return SENSITIVE if _has_true(mark) else value


def _mark_unknown(value: Any, unknown: Any) -> Any:
    if unknown is True:
        return UNKNOWN
    if isinstance(unknown, dict) and (value is None or isinstance(value, dict)):
        known = value or {}
        return {key: _mark_unknown(known.get(key), unknown.get(key)) for key in sorted({*known, *unknown})}
    if isinstance(unknown, list) and isinstance(value, list) and len(unknown) == len(value):
        return [_mark_unknown(inside, each) for inside, each in zip(value, unknown, strict=True)]
    return UNKNOWN if _has_true(unknown) else value


def _has_true(mark: Any) -> bool:
    if isinstance(mark, dict):
        return any(map(_has_true, mark.values()))
    return any(map(_has_true, mark)) if isinstance(mark, list) else mark is True


def _to_canonical_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
