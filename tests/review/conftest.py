"""Plans built by hand, in the shape of Terraform's JSON."""

import json
from collections.abc import Mapping
from typing import Any

from review.assessment.review import Review, review_plan
from review.cost.price_book import load_price_book
from review.findings.text import strip_markup
from review.plan.context import Context
from review.plan.model import Plan
from review.plan.reading import read_plan
from review.types.registry import create_context

FORMAT = {"format_version": "1.2", "terraform_version": "1.11.4"}


def change(
    address: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    *actions: str,
    unknown: Any = None,
    sensitive: tuple[Any, Any] = (False, False),
    **more: Any,
) -> dict[str, Any]:
    """Return one of a plan's `resource_changes`; its actions are derived from `before` and `after`."""
    bare = address.rpartition("]")[0].partition("[")[0] or address
    type_, _, name = ".".join(bare.split(".")[-2:]).partition(".")
    derived = ["create"] if before is None else ["delete"] if after is None else ["update"]
    inside = {key: more.pop(key) for key in ("replace_paths", "importing") if key in more}
    return {
        "address": address,
        "mode": "managed",
        "type": type_,
        "name": name,
        "provider_name": "registry.terraform.io/hashicorp/google",
        "change": {
            "actions": list(actions) or (["no-op"] if before == after else derived),
            "before": before,
            "after": after,
            "after_unknown": {} if unknown is None else unknown,
            "before_sensitive": sensitive[0],
            "after_sensitive": sensitive[1],
            **inside,
        },
        **more,
    }


def plan_document(*changes: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return a plan's JSON document."""
    return {**FORMAT, "resource_changes": list(changes), **more}


def build_plan(*changes: Mapping[str, Any], **more: Any) -> Plan:
    """Return the plan of these changes."""
    return read_plan(json.dumps(plan_document(*changes, **more)).encode())


def build_context(*changes: Mapping[str, Any], **more: Any) -> Context:
    """Return a context with these changes and without artifacts."""
    found = build_plan(*changes, **more)
    return create_context(found)


def review_changes(*changes: Mapping[str, Any], **more: Any) -> Review:
    """Return the review of these changes."""
    return review_plan(build_context(*changes, **more), load_price_book())


def summarize_findings(*changes: Mapping[str, Any], **more: Any) -> list[tuple[str, str]]:
    """Return severity and sentence of every finding, without markup, in the table's order."""
    found = review_changes(*changes, **more).findings
    return [(each.severity.label, strip_markup(each.sentence)) for each in found]
