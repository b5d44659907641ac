"""List recommended settings that new resources do not have, such as backups or deletion protection.

They are a collapsed section without a severity: what a plan opens or loses has findings of its own.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from review.findings.text import UNKNOWN, span
from review.google_cloud import resource_types
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import Values, format_literal, get_value

TABLE = Path(resource_types.__file__).with_name("hardening.json")
MOST_NAMES = 8
DEFAULT_ACCOUNT = (
    "-compute@developer.gserviceaccount.com"  # of Compute Engine, an editor of its project by default
)


@cache
def _read_settings() -> dict[str, list[dict[str, str]]]:
    """Return the settings by type."""
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    for setting in json.loads(TABLE.read_text("utf-8"))["settings"]:
        for type_ in setting["types"].split():
            found[type_].append(setting)
    return found


def describe_missing_settings(context: Context) -> Iterator[str]:
    """Yield one line for each recommended setting that a created or replaced resource lacks, with the resources."""
    lacking: dict[str, list[str]] = {}
    for change in context.plan.changes:
        if change.action not in ("create", "replace") or change.mode != "managed":
            continue
        for sentence in _list_missing(change):
            lacking.setdefault(sentence, []).append(context.where(change))
    for sentence, names in sorted(lacking.items()):
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        yield f"{sentence}: {', '.join(names[:MOST_NAMES])}{more}"


def _list_missing(change: Change) -> Iterator[str]:
    known = resource_types.look_up_type(change.type)
    for setting in _read_settings().get(change.type, ()):
        default = known.defaults.get(setting["path"]) if known else None
        if not _is_exempt(change.new, setting.get("unless", "")) and not _fits(change.new, setting, default):
            default_decides = (
                ", unless Google Cloud's default differs" if _is_unknown(change.new, setting["path"]) else ""
            )
            yield f"{setting['words']} ({span(setting['path'])}){default_decides}"
    account = get_value(change.new, "service_account.email")
    if isinstance(account, str) and account.endswith(DEFAULT_ACCOUNT):
        scopes = get_value(change.new, "service_account.scopes")
        whole = " with the scope of every API" if "cloud-platform" in str(scopes) else ""
        yield f"runs as the default service account{whole} ({span('service_account.email')})"


def _is_exempt(values: Values, unless: str) -> bool:
    path, _, value = unless.partition("=")
    return bool(path) and get_value(values, path) == value


def _is_unknown(values: Values, path: str) -> bool:
    """Return whether a value, or a block around it, is known only after the apply."""
    steps = path.split(".")
    return any(get_value(values, ".".join(steps[: index + 1])) == UNKNOWN for index in range(len(steps)))


def _fits(values: Values, setting: dict[str, str], default: object) -> bool:
    """Return whether a setting has a recommended value.

    A value that is known only after the apply passes if the setting is "set" or "unset"; if a certain value is
    recommended, it does not, because Google Cloud then chooses it.
    """
    path, want = setting["path"], setting["want"]
    if _is_unknown(values, path):
        return want in ("set", "unset")
    found = get_value(values, path)
    found = default if found is None else found
    is_set = found not in (None, "", [], {})
    if want in ("set", "unset"):
        return is_set is (want == "set")
    return is_set and format_literal(found) in want.split("|")
