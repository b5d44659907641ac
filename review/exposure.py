"""Access beside grants: identities and keys, policies that restrict, networks and switches that let somebody in.

What each type and argument means is data, `exposure.json`. An argument whose name speaks of access, and that neither
the table nor a renderer knows, is not examined: the review says so instead of saying that nobody gains access.
"""

import json
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from review import types
from review.context import Context
from review.differences import Difference, differences, told
from review.findings import YES, Finding, Kind, Weight
from review.networks import Addresses
from review.plan import Change
from review.text import HIDDEN, UNKNOWN, span, spans
from review.values import Values, blocks, first, get, known, leaves, text, written_of

TABLE = Path(__file__).with_name("exposure.json")
UNSET = "(unset)"
MOST = 3  # arguments that differ, in one sentence
STAYS = "yes; what was read or done meanwhile stays"
# Arguments that say nothing about who may do what.
HARMLESS = frozenset(
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
# Providers whose resources give nobody access to anything.
LOCAL = (
    "null_*",
    "random_*",
    "time_*",
    "tls_*",
    "local_*",
    "archive_*",
    "template_*",
    "http",
    "external",
    "terraform_data",
)
SPEAKS_OF_ACCESS = re.compile(
    r"members?|principals?|grantees?|role_entity|roles?|users?|user_name|admin_\w+|identities|identity_type|permissions?|"
    r"authorized_\w+|allowed_\w+|permitted_\w+|exempt\w*|\w*ip_ranges?|\w*cidr_blocks?|\w*source_ranges|ingress\w*|"
    r"egress_\w+|\w*public\w*|\w*private_(?:cluster|endpoint|nodes|instance)\w*|internal_ip_only|ssl_mode|require_\w+|"
    r"\w*tls_\w+|auth_enabled|authorization\w*|authentication\w*|transit_encryption_mode|iap|\w*security_policy|"
    r"access(?:_\w+)?|acl|\w*ssh\w*|\w*abac|password\w*|consumer_\w+|producer_\w+|share_settings|\w*anonymous\w*|"
    r"visibility|issuer\w*|audiences?|policy_data|firewall\w*|restrict\w*|\w*peering\w*|external_\w*ip\w*|nat_ip|"
    r"enable_\w*access|disable_\w*access|\w*identity_federation\w*|share_type"
)
# Arguments that hold the identity which something runs as.
RUNS_AS = re.compile(
    r"(?:^|[._])(?:service_account(?:_email|_name|_id)?(?:\.email)?|run_as\w*|impersonated?_user)$"
)
NOT_ACCESS = re.compile(
    r"access_(?:mode|log\w*|time|type)|.*_version|password_wo_version|external_ip_count|.*_id|.*_time"
)


@cache
def _table() -> dict[str, Any]:
    return dict(json.loads(TABLE.read_text("utf-8")))


@cache
def _words(section: str, type_: str) -> str:
    table: Mapping[str, str] = _table()[section]
    bare = type_.replace("google-beta_", "google_")
    return table.get(bare) or next(
        (words for key, words in table.items() if "*" in key and fnmatchcase(bare, key)), ""
    )


def _rules(type_: str) -> Mapping[str, str]:
    found: Mapping[str, str] = _table()["arguments"].get(type_, {})
    return found


def exposure_findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield what a change of one resource opens or closes, beside the grants that it holds."""
    if change.type in ("google_compute_project_metadata", "google_compute_project_metadata_item") or (
        "metadata" in change.old or "metadata" in change.new
    ):
        yield from _ssh_keys(change, context)
    if words := _words("grants", change.type):
        yield from _of_grant(change, context, words)
    if words := _words("restricts", change.type):
        yield from _of_restriction(change, context, words)
    if change.after is not None and (words := _words("hides", change.type)) and _shown(change):
        yield _finding(change, context, Weight.CARE, _filled(words, change, context), kind=Kind.SERVICE)
    if change.destroys and (words := _words("watches", change.type)):
        yield _finding(change, context, Weight.CARE, _filled(words, change, context))
    if (
        change.action == "update"
        and (words := _words("redirects", change.type))
        and (found := _shown(change))
    ):
        yield _finding(
            change, context, Weight.CARE, f"{_filled(words, change, context)}: {found}", kind=Kind.SERVICE
        )
    yield from _identity(change, context)
    if change.after is not None:
        for path, rule in _rules(change.type).items():
            yield from _of_argument(change, context, path, rule)


def _identity(change: Change, context: Context) -> Iterator[Finding]:
    """Say as whom something runs from now on, where no renderer says what that identity may do."""
    if change.before is None or change.after is None or types.renderers(change.type):
        return
    for each in differences(change):
        for path, value in leaves(each.after, each.path) if each.after else ():
            if RUNS_AS.search(re.sub(r"\[[^\]]*\]", "", path)) and value not in (None, ""):
                before = (
                    f"before as {span(each.before)}"
                    if isinstance(each.before, str) and each.before
                    else "before not"
                )
                sentence = f"runs as {span(value)} from now on, {before} ({span(path)}): what it may do is not compared"
                yield _finding(change, context, Weight.WIDENED, sentence, size=33)


def unexamined(change: Change) -> tuple[str, ...]:
    """Return what of a change was not examined for access, as `type` or `type.argument`; empty where all was."""
    if change.mode != "managed" or change.action in ("no-op", "read", "forget"):
        return ()
    if any(fnmatchcase(change.type, pattern) for pattern in LOCAL):
        return ()
    if any(
        _words(section, change.type) for section in ("grants", "restricts", "watches", "hides", "redirects")
    ):
        return ()
    if not change.type.startswith(("google_", "google-beta_")):
        return (change.type,)
    if types.renderers(change.type):
        return ()
    rules = _rules(change.type)
    found = {
        path
        for each in differences(change)
        for path in _access_paths(each)
        if not any(
            path == rule or path.startswith(f"{rule}.") or rule.startswith(f"{path}.") for rule in rules
        )
    }
    return tuple(sorted(f"{change.type}.{path}" for path in found)) if change.after is not None else ()


def _access_paths(difference: Difference) -> Iterator[str]:
    """Yield each path that differs, up to the part of it that speaks of access."""
    for side in (difference.before, difference.after):
        for leaf, value in leaves(side, difference.path):
            if value in (None, "", False, [], {}):
                continue
            steps = re.sub(r"\[[^\]]*\]", "", leaf).split(".")
            for index, step in enumerate(steps):
                if SPEAKS_OF_ACCESS.fullmatch(step) and not NOT_ACCESS.fullmatch(step):
                    yield ".".join(steps[: index + 1])
                    break


def _of_grant(change: Change, context: Context, words: str) -> Iterator[Finding]:
    sentence = _filled(words, change, context)
    if change.after is None and not _words("restricts", change.type):
        yield _finding(change, context, Weight.CHANGE, f"no longer holds: {sentence}")
    elif change.after is None:
        return
    elif change.before is None:
        yield _finding(change, context, Weight.WIDENED, sentence, size=40)
    elif found := _shown(change, _rules(change.type)):
        yield _finding(change, context, Weight.WIDENED, f"{sentence}; this changes: {found}", size=38)


def _of_restriction(change: Change, context: Context, words: str) -> Iterator[Finding]:
    sentence = _filled(words, change, context)
    if change.after is None:
        yield _finding(
            change, context, Weight.WIDENED, f"{sentence}; it is deleted, and no longer does", size=46
        )
    elif change.before is None:
        yield _finding(change, context, Weight.CHANGE, f"{sentence} from now on")
    elif found := _shown(change):
        told_ = f"{sentence}; it may let more through, as it changes: {found}"
        yield _finding(change, context, Weight.WIDENED, told_, size=44)


def _shown(change: Change, told_already: Mapping[str, str] | None = None) -> str:
    """Return what differs in more than names, descriptions and arguments with a rule; empty where nothing does."""
    found = [
        each for each in differences(change) if each.path.partition(".")[0].partition("[")[0] not in HARMLESS
    ]
    more = f"; and {len(found) - MOST} more" if len(found) > MOST else ""
    return "; ".join(told(each) for each in found[:MOST]) + more


def _filled(words: str, change: Change, context: Context) -> str:
    """Return a sentence of the table with the resource's values in it; what it has none of is left out."""

    def value(match: re.Match[str]) -> str:
        found = get(change.present, match[1])
        if found in (None, "", []) and not context.refers(change, match[1].partition(".")[0]):
            return ""
        return context.told(change, change.present, match[1])

    filled = re.sub(r"\{([\w.]+)\}", value, words)
    return re.sub(r" {2,}", " ", re.sub(r" \(\)", "", filled)).strip()


def _finding(
    change: Change,
    context: Context,
    weight: Weight,
    sentence: str,
    *,
    size: int = 0,
    kind: Kind = Kind.ACCESS,
) -> Finding:
    undo = STAYS if weight is Weight.WIDENED else YES
    return Finding(
        kind, weight, context.where(change), sentence, undo=undo, size=size, address=change.address
    )


# --- single arguments ---------------------------------------------------------------------------------


def _of_argument(change: Change, context: Context, path: str, rule: str) -> Iterator[Finding]:
    old, new = _collected(change.old, path), _collected(change.new, path)
    if old == new:
        return
    if change.before is None:
        if not _is_open_from_the_start(rule, new):
            return
        yield _finding(
            change, context, Weight.WIDENED, f"{span(path)} is {_listed(new)}: {_opens(rule, new)}", size=30
        )
        return
    widened = any(UNKNOWN in each or HIDDEN in each for each in new) or _widens(rule, old, new, change, path)
    before = f"; before: {_listed(old)}"
    sentence = f"{span(path)} is {_listed(new)}{before}"
    if widened:
        yield _finding(change, context, Weight.WIDENED, f"{sentence}: {_opens(rule, new)}", size=42)
    else:
        yield _finding(change, context, Weight.CHANGE, f"{sentence}: this narrows access")


def _collected(values: Values, path: str) -> list[str]:
    """Return every value at a path, through all blocks of a list, sorted; a block as its leaves that say something."""
    found: list[Any] = [values]
    for step in path.split("."):
        found = [
            inside.get(step)
            for each in found
            for inside in (each if isinstance(each, list) else [each])
            if isinstance(inside, Mapping)
        ]
    texts = []
    for each in found:
        for leaf, value in leaves(each):
            if value not in (None, "", [], {}):
                at = re.sub(r"\[\d+\]", "", leaf)
                texts.append(f"{at} {written_of(value)}".strip())
    return sorted(texts)


def _listed(values: list[str]) -> str:
    return spans(values, 4) if values else "unset"


def _is_open_from_the_start(rule: str, new: list[str]) -> bool:
    if rule == "true":
        return "true" in new
    if rule.startswith("networks"):
        return Addresses.of(new).is_public
    return False


def _widens(rule: str, old: list[str], new: list[str], change: Change, path: str) -> bool:
    if rule in ("true", "false"):
        return _flag(new, rule) and not _flag(old, rule)
    if "<" in rule:
        before, after = _place(rule, old), _place(rule, new)
        return before is None or after is None or after > before
    if rule.startswith(("networks", "members")):
        if _is_everything(rule, old, change.old, path) or _is_everything(rule, new, change.new, path):
            return not _is_everything(rule, old, change.old, path)
        if rule.startswith("members"):
            return not set(new) <= set(old)
        return not Addresses.of(new).within(Addresses.of(old))
    return bool(old) or rule != "limits"


def _place(rule: str, values: list[str]) -> int | None:
    """Return how open a value is in the rule's order; None where the order does not have it."""
    order = [each.strip() for each in rule.split("<")]
    known_values = values or [UNSET]
    return max(map(order.index, known_values)) if all(each in order for each in known_values) else None


def _flag(values: list[str], rule: str) -> bool:
    """Tell whether a flag has its open value; an absent flag is false."""
    return (values == ["true"]) is (rule == "true")


def _is_everything(rule: str, values: list[str], all_values: Values, path: str) -> bool:
    if rule.endswith("(all)"):
        return not values
    if rule.endswith("(block)"):
        return not blocks(all_values, path.rpartition(".")[0].rpartition(".")[0])
    return False


def _opens(rule: str, new: list[str]) -> str:
    if rule.startswith("networks") and new:
        return f"{Addresses.of(new).words} may connect"
    if rule == "limits":
        return "what it kept out may get in"
    if rule == "any":
        return "whether this widens access is not compared"
    return "this widens access"


# --- keys in metadata ---------------------------------------------------------------------------------


def _ssh_keys(change: Change, context: Context) -> Iterator[Finding]:
    """Say which SSH keys a project's or a machine's metadata lets in."""
    old, new = _keys(change.old), _keys(change.new)
    whole = change.type.startswith("google_compute_project_metadata")
    to = "every machine of the project that does not block project keys" if whole else "it"
    if come := sorted(new - old):
        told_ = f"whoever has the private key of {spans(come, 5)} can log in to {to} (ssh-keys)"
        yield _finding(change, context, Weight.WIDENED, told_, size=58 if whole else 41)
    elif gone := sorted(old - new):
        yield _finding(
            change, context, Weight.CHANGE, f"{spans(gone, 5)} can no longer log in by SSH key to {to}"
        )
    for name, is_open in (
        ("enable-oslogin", "false"),
        ("block-project-ssh-keys", "false"),
        ("serial-port-enable", "true"),
    ):
        before, after = (_metadata(side).get(name, "").lower() for side in (change.old, change.new))
        opens = (
            after in ("1", "true")
            if is_open == "true"
            else before in ("1", "true") and after not in ("1", "true")
        )
        if before != after and opens and (before or after):
            told_ = f"metadata {span(name)} is {span(after or 'unset')}; before: {span(before or 'unset')}"
            yield _finding(change, context, Weight.WIDENED, f"{told_}: this widens who can log in", size=36)


def _metadata(values: Values) -> dict[str, str]:
    if text(values, "key"):
        return {text(values, "key"): text(values, "value")}
    found = first(get(values, "metadata"))
    return (
        {key: value for key, value in found.items() if isinstance(value, str)}
        if isinstance(found, Mapping)
        else {}
    )


def _keys(values: Values) -> set[str]:
    """Return `user (comment)` of each key; a key that cannot be seen counts as one."""
    found = set()
    for name in ("ssh-keys", "sshKeys"):
        value = _metadata(values).get(name, "")
        for line in value.splitlines():
            user, _, key = line.partition(":")
            found.add(f"{user}: {key[-60:]}" if known(line) else line)
    return {each for each in found if each.strip(": ")}
