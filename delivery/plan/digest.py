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
            "resources": sorted(_resources(plan), key=_canonical),
            "outputs": sorted(
                [name, change["actions"], _output(change)]
                for name, change in (plan.get("output_changes") or {}).items()
                if change["actions"] not in IDLE
            ),
            "invoked": sorted(map(_invocation, plan.get("action_invocations") or []), key=_canonical),
            "deferred": sorted(
                [
                    *(_deferred(each, "resource_change") for each in plan.get("deferred_changes") or []),
                    *(
                        _deferred(each, "action_invocation")
                        for each in plan.get("deferred_action_invocations") or []
                    ),
                ],
                key=_canonical,
            ),
        }
        idle = not any(done.values())
        if not idle:
            done["configuration"] = extract_configuration(plan)  # what is applied beside values
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DeliveryError(f"the plan's JSON is damaged ({type(error).__name__}): plan again") from None
    return PlanDigest(compute_text_digest(_canonical(done)), idle)


def compute_text_digest(text: str) -> str:
    """Return the SHA-256 of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _resources(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        _resource(each)
        for each in plan.get("resource_changes") or []
        if each["change"]["actions"] not in IDLE
        or each["change"].get("importing")
        or each.get("previous_address")
    ]


def _resource(raw: Mapping[str, Any]) -> dict[str, Any]:
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
    if after is None and not _any_true(change.get("after_unknown")):
        # All of it goes, whatever it holds by now; which one it is counts.
        return about | {"id": before.get("id")}
    return about | {"changes": _differences(change, before, after or {})}


def _output(change: Mapping[str, Any]) -> Any:
    unknown = change.get("after_unknown")
    value = _with_unknown(change.get("after"), unknown) if _any_true(unknown) else change.get("after")
    # A value that goes, or was another one before, is said by what comes: what it was may be a count or a time.
    return _masked(value, change.get("after_sensitive"))


def _invocation(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return an action with its configuration and its trigger."""
    values = _masked(raw.get("config_values") or {}, raw.get("config_sensitive"))
    unknown = raw.get("config_unknown")
    about = {
        key: value
        for key, value in raw.items()
        if key not in ("config_values", "config_sensitive", "config_unknown", "provider_name")
    }
    return {
        **about,
        "address": raw["address"],
        "config": _with_unknown(values, unknown) if _any_true(unknown) else values,
    }


def _deferred(raw: Mapping[str, Any], part: str) -> list[Any]:
    return [raw.get("reason"), (raw.get(part) or {}).get("address")]


def _differences(change: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Any]:
    """Return name, previous and new value of each changed argument."""
    unknown, found = change.get("after_unknown") or {}, []
    marks = [change.get("before_sensitive") or {}, change.get("after_sensitive") or {}]
    for name in sorted({*before, *after, *(unknown if isinstance(unknown, dict) else ())}):
        old, new = before.get(name, ABSENT), after.get(name, ABSENT)
        waiting = unknown is True or _any_true(unknown.get(name))
        if old == new and not waiting:
            continue
        hidden = [mark is True or _mark(mark, name) for mark in marks]
        if waiting:
            # What it was is often a time or a count, and is replaced by another one whatever is planned.
            old, new = ABSENT, _with_unknown(None if new == ABSENT else new, unknown is True or unknown[name])
        found.append([name, _masked(old, hidden[0]), _masked(new, hidden[1])])
    return found


def _mark(mark: Any, name: str) -> Any:
    return mark.get(name) if isinstance(mark, dict) else None


def _masked(value: Any, mark: Any) -> Any:
    """Return `value` with a placeholder for every part that the mark of the same shape covers."""
    if mark is True:
        return SENSITIVE
    if isinstance(mark, dict) and isinstance(value, dict):
        return {key: _masked(inside, mark.get(key)) for key, inside in value.items()}
    if isinstance(mark, list) and isinstance(value, list) and len(mark) <= len(value):
        rest = [None] * (len(value) - len(mark))
        return [_masked(inside, each) for inside, each in zip(value, [*mark, *rest], strict=True)]
    return SENSITIVE if _any_true(mark) else value


def _with_unknown(value: Any, unknown: Any) -> Any:
    if unknown is True:
        return UNKNOWN
    if isinstance(unknown, dict) and (value is None or isinstance(value, dict)):
        known = value or {}
        return {key: _with_unknown(known.get(key), unknown.get(key)) for key in sorted({*known, *unknown})}
    if isinstance(unknown, list) and isinstance(value, list) and len(unknown) == len(value):
        return [_with_unknown(inside, each) for inside, each in zip(value, unknown, strict=True)]
    return UNKNOWN if _any_true(unknown) else value


def _any_true(mark: Any) -> bool:
    if isinstance(mark, dict):
        return any(map(_any_true, mark.values()))
    return any(map(_any_true, mark)) if isinstance(mark, list) else mark is True


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
