"""Find acknowledgements: labels that a person set while the same plan was shown."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

LABELS = {
    "data loss": "acknowledged-data-loss",
    "access widened": "acknowledged-access-widened",
}


def find_acknowledgements(
    labels: Iterable[str], events: Iterable[Mapping[str, Any]], since: datetime
) -> dict[str, str]:
    """Return the login of the person who acknowledged each kind of change.

    `labels` are the current ones, `events` the issue's events in GitHub's order. A label does not count if it was set
    before `since`, when the plan was first shown, or by a bot.
    """
    present = set(labels)
    found: dict[str, str] = {}
    for each in events:
        name = (each.get("label") or {}).get("name")
        actor = each.get("actor") or {}
        for what, label in LABELS.items():
            if name != label or each.get("event") not in ("labeled", "unlabeled"):
                continue
            found.pop(what, None)
            valid = each["event"] == "labeled" and datetime.fromisoformat(each["created_at"]) > since
            if valid and label in present and actor.get("type") != "Bot" and actor.get("login"):
                found[what] = str(actor["login"])
    return found


def is_stale(what: str, labels: Iterable[str], found: Mapping[str, str]) -> bool:
    """Return whether the label is set but does not count."""
    return what not in found and LABELS[what] in set(labels)
