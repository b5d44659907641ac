"""Firewalls of every kind: rules of a network, of firewall policies, of Cloud Armor and of App Engine, as sets."""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from review.findings.finding import Finding, Kind, Severity
from review.findings.text import UNKNOWN, span, written
from review.google_cloud.networks import ALL, Addresses, Ports, Rule, opened
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import Values, blocks, flag, get, number, text, texts

TYPES = (
    "google_compute_firewall",
    "google_compute_firewall_policy_rule",
    "google_compute_firewall_policy_with_rules",
    "google_compute_network_firewall_policy_rule",
    "google_compute_network_firewall_policy_with_rules",
    "google_compute_region_network_firewall_policy_rule",
    "google_compute_region_network_firewall_policy_with_rules",
    "google_compute_security_policy",
    "google_compute_security_policy_rule",
    "google_compute_region_security_policy",
    "google_compute_region_security_policy_rule",
    "google_app_engine_firewall_rule",
)
EVERYWHERE = ("0.0.0.0/0", "::/0")
NAMES = ("name", "rule_name", "policy_name", "short_name", "priority")
# What a rule of a policy matches beside ranges: each is a set of names.
MATCHED = (
    "address_groups",
    "fqdns",
    "region_codes",
    "threat_intelligences",
    "networks",
    "network_scope",
    "network_type",
    "network_context",
)


def findings(change: Change, context: Context) -> Iterator[Finding]:
    """Say who gets through that did not before, and what is no longer kept out."""
    old, new = list(rules(change.type, change.old)), list(rules(change.type, change.new))
    allowing, denying = opened(old, new)
    for each in allowing:
        yield _finding(change, context, _allows(change, each, old), size=70 if each.peers.is_public else 28)
    for each in denying:
        yield _finding(change, context, _denied(change, each, new), size=60 if each.peers.is_public else 26)
    if not allowing and not denying and (set(old) != set(new) or change.after is None):
        sentence = f"{_noun(change)} {span(_name(change))} {_narrows(old, new)}"
        yield Finding(Kind.ACCESS, Severity.CHANGE, context.where(change), sentence, address=change.address)


def rules(type_: str, values: Values) -> Iterator[Rule]:
    """Yield the rules that a resource of one of these types holds with these values; none where it is disabled."""
    if not values or flag(values, "disabled"):
        return
    if type_ == "google_compute_firewall":
        yield from _of_network(values)
    elif type_ == "google_app_engine_firewall_rule":
        peers = Addresses.of([text(values, "source_range") or "*"])
        yield Rule(text(values, "action") == "ALLOW", peers, priority=_priority(values))
    elif "security_policy" in type_:
        for each in blocks(values, "rule") or blocks(values, "rules") or [values]:
            yield from _of_cloud_armor(each)
    else:
        for each in blocks(values, "rule") if type_.endswith("_with_rules") else [values]:
            if not flag(each, "disabled"):
                yield from _of_policy(each)


def _of_network(values: Values) -> Iterator[Rule]:
    egress = text(values, "direction") == "EGRESS"
    ranges = texts(values, "destination_ranges" if egress else "source_ranges")
    names = [] if egress else [*texts(values, "source_tags"), *texts(values, "source_service_accounts")]
    waits = any(get(values, key) == UNKNOWN for key in ("source_ranges", "source_tags", "destination_ranges"))
    peers = Addresses.of(
        ranges or ([] if names or waits else EVERYWHERE), [*names, *([UNKNOWN] if waits else [])]
    )
    targets = frozenset((*texts(values, "target_tags"), *texts(values, "target_service_accounts")))
    for allows, block in ((True, "allow"), (False, "deny")):
        ports = [Ports.of(text(each, "protocol"), texts(each, "ports")) for each in blocks(values, block)]
        if ports:
            yield Rule(allows, peers, _joined(ports), targets, _priority(values), "egress" if egress else "")


def _of_policy(values: Values) -> Iterator[Rule]:
    action = text(values, "action")
    if action == "goto_next":
        return
    egress = text(values, "direction") == "EGRESS"
    side = "dest" if egress else "src"
    ranges = texts(values, f"match.{side}_ip_ranges")
    names = [
        *(name for key in MATCHED for name in _strings(get(values, f"match.{side}_{key}"))),
        *(text(each, "name") for each in blocks(values, f"match.{side}_secure_tags")),
    ]
    ports = [
        Ports.of(text(each, "ip_protocol") or ALL, texts(each, "ports"))
        for each in blocks(values, "match.layer4_configs") or blocks(values, "match.layer4_config")
    ]
    targets = frozenset(
        (
            *texts(values, "target_service_accounts"),
            *texts(values, "target_resources"),
            *(text(each, "name") for each in blocks(values, "target_secure_tags")),
        )
    )
    yield Rule(
        action in ("allow", "apply_security_profile_group"),
        Addresses.of(ranges or ([] if names else EVERYWHERE), names),
        _joined(ports) if ports else Ports.of(ALL),
        targets,
        _priority(values),
        "egress" if egress else "",
    )


def _of_cloud_armor(values: Values) -> Iterator[Rule]:
    """A rule by expression is compared as a text: what it matches is not known."""
    action = text(values, "action")
    if not action or flag(values, "preview"):
        return
    ranges = texts(values, "match.config.src_ip_ranges") or texts(values, "match.src_ip_ranges")
    expression = written(get(values, "match.expr.expression") or get(values, "network_match") or "")
    if expression in ("unset", ""):
        expression = ""
    peers = Addresses.of(ranges or EVERYWHERE)
    yield Rule(action in ("allow", "redirect"), peers, priority=_priority(values), other=expression)


def _joined(ports: list[Ports]) -> Ports:
    found = ports[0]
    for each in ports[1:]:
        found |= each
    return found


def _strings(value: object) -> list[str]:
    if isinstance(value, str) and value:
        return [value]
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _priority(values: Values) -> int:
    found = number(values, "priority")
    return 1000 if found is None else int(found)


def _name(change: Change) -> str:
    return next((text(change.present, key) for key in NAMES if text(change.present, key)), change.address)


def _noun(change: Change) -> str:
    if "security_policy" in change.type:
        return "Cloud Armor policy"
    return "firewall rule" if fnmatchcase(change.type, "*_firewall*") else "rule"


def _to(rule: Rule) -> str:
    named = ", ".join(span(each) for each in sorted(rule.targets)[:4])
    return f"machines tagged {named}" if named else "every machine of the network"


def _allows(change: Change, rule: Rule, old: list[Rule]) -> str:
    where = f"{_noun(change)} {span(_name(change))}"
    only = f" where {span(rule.other)}" if rule.other and rule.other != "egress" else ""
    if "security_policy" in change.type or change.type.startswith("google_app_engine"):
        sentence = f"{where}: {rule.peers.words} can now pass{only}"
    elif rule.other == "egress":
        sentence = f"{where}: {_to(rule)} can now connect to {rule.peers.words} by {rule.ports.words}"
    else:
        sentence = f"{where}: {rule.peers.words} can now reach {_to(rule)} by {rule.ports.words}"
    was = next((each for each in old if each.allows), None)
    if was and was.within(rule) and rule.within(was):
        return f"{sentence}; its priority changes from {was.priority} to {rule.priority}, overriding more deny rules"
    return f"{sentence}; before: {was.peers.words} by {was.ports.words}" if was else sentence


def _denied(change: Change, rule: Rule, new: list[Rule]) -> str:
    name = span(_name(change))
    only = f" where {span(rule.other)}" if rule.other and rule.other != "egress" else ""
    sentence = f"{_noun(change)} {name} no longer denies {rule.peers.words} by {rule.ports.words}{only}"
    now = next((each for each in new if not each.allows), None)
    if now is None:
        return sentence
    if rule.within(now):
        return f"{sentence} before other rules: its priority changes from {rule.priority} to {now.priority}"
    return f"{sentence}; now only {now.peers.words} by {now.ports.words}"


def _narrows(old: list[Rule], new: list[Rule]) -> str:
    allowing = [each for each in new if each.allows]
    if any(each.allows for each in old):
        sentence = "; ".join(f"{each.peers.words} by {each.ports.words}" for each in allowing[:3])
        return f"allows less: {sentence or 'nothing'}"
    return "denies more than before" if new else "is deleted; it allowed nothing"


def _finding(change: Change, context: Context, sentence: str, size: int) -> Finding:
    return Finding(
        Kind.ACCESS, Severity.WIDENED, context.where(change), sentence, size=size, address=change.address
    )
