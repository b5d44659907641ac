"""Firewall rules of networks, firewall policies, Cloud Armor and App Engine, compared as sets."""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from review.findings.finding import Finding, Kind, Severity
from review.findings.text import UNKNOWN, format_value, span
from review.google_cloud.networks import ALL, Addresses, Ports, Rule, compare_rules
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import Values, get_blocks, get_flag, get_number, get_text, get_texts, get_value

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
# What a rule of a policy matches besides ranges: each is a set of names.
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
    """Yield which connections are newly allowed, and which are no longer denied."""
    old, new = list(list_rules(change.type, change.old)), list(list_rules(change.type, change.new))
    allowing, denying = compare_rules(old, new)
    for each in allowing:
        yield _finding(
            change, context, _describe_allowed(change, each, old), size=70 if each.peers.is_public else 28
        )
    for each in denying:
        yield _finding(
            change,
            context,
            _describe_no_longer_denied(change, each, new),
            size=60 if each.peers.is_public else 26,
        )
    if not allowing and not denying and (set(old) != set(new) or change.after is None):
        sentence = f"{_rule_noun(change)} {span(_rule_name(change))} {_describe_narrowing(old, new)}"
        yield Finding(Kind.ACCESS, Severity.CHANGE, context.where(change), sentence, address=change.address)


def list_rules(type_: str, values: Values) -> Iterator[Rule]:
    """Yield the rules of a resource with these values; none if it is disabled."""
    if not values or get_flag(values, "disabled"):
        return
    if type_ == "google_compute_firewall":
        yield from _list_network_rules(values)
    elif type_ == "google_app_engine_firewall_rule":
        peers = Addresses.parse([get_text(values, "source_range") or "*"])
        yield Rule(get_text(values, "action") == "ALLOW", peers, priority=_read_priority(values))
    elif "security_policy" in type_:
        for each in get_blocks(values, "rule") or get_blocks(values, "rules") or [values]:
            yield from _list_cloud_armor_rules(each)
    else:
        for each in get_blocks(values, "rule") if type_.endswith("_with_rules") else [values]:
            if not get_flag(each, "disabled"):
                yield from _list_policy_rules(each)


def _list_network_rules(values: Values) -> Iterator[Rule]:
    egress = get_text(values, "direction") == "EGRESS"
    ranges = get_texts(values, "destination_ranges" if egress else "source_ranges")
    names = (
        [] if egress else [*get_texts(values, "source_tags"), *get_texts(values, "source_service_accounts")]
    )
    waits = any(
        get_value(values, key) == UNKNOWN for key in ("source_ranges", "source_tags", "destination_ranges")
    )
    peers = Addresses.parse(
        ranges or ([] if names or waits else EVERYWHERE), [*names, *([UNKNOWN] if waits else [])]
    )
    targets = frozenset((*get_texts(values, "target_tags"), *get_texts(values, "target_service_accounts")))
    for allows, block in ((True, "allow"), (False, "deny")):
        ports = [
            Ports.parse(get_text(each, "protocol"), get_texts(each, "ports"))
            for each in get_blocks(values, block)
        ]
        if ports:
            yield Rule(
                allows, peers, _join_ports(ports), targets, _read_priority(values), "egress" if egress else ""
            )


def _list_policy_rules(values: Values) -> Iterator[Rule]:
    action = get_text(values, "action")
    if action == "goto_next":
        return
    egress = get_text(values, "direction") == "EGRESS"
    side = "dest" if egress else "src"
    ranges = get_texts(values, f"match.{side}_ip_ranges")
    names = [
        *(name for key in MATCHED for name in _list_strings(get_value(values, f"match.{side}_{key}"))),
        *(get_text(each, "name") for each in get_blocks(values, f"match.{side}_secure_tags")),
    ]
    ports = [
        Ports.parse(get_text(each, "ip_protocol") or ALL, get_texts(each, "ports"))
        for each in get_blocks(values, "match.layer4_configs") or get_blocks(values, "match.layer4_config")
    ]
    targets = frozenset(
        (
            *get_texts(values, "target_service_accounts"),
            *get_texts(values, "target_resources"),
            *(get_text(each, "name") for each in get_blocks(values, "target_secure_tags")),
        )
    )
    yield Rule(
        action in ("allow", "apply_security_profile_group"),
        Addresses.parse(ranges or ([] if names else EVERYWHERE), names),
        _join_ports(ports) if ports else Ports.parse(ALL),
        targets,
        _read_priority(values),
        "egress" if egress else "",
    )


def _list_cloud_armor_rules(values: Values) -> Iterator[Rule]:
    """Yield the rule of a Cloud Armor policy; its expression is compared as a text."""
    action = get_text(values, "action")
    if not action or get_flag(values, "preview"):
        return
    ranges = get_texts(values, "match.config.src_ip_ranges") or get_texts(values, "match.src_ip_ranges")
    expression = format_value(
        get_value(values, "match.expr.expression") or get_value(values, "network_match") or ""
    )
    if expression in ("unset", ""):
        expression = ""
    peers = Addresses.parse(ranges or EVERYWHERE)
    yield Rule(action in ("allow", "redirect"), peers, priority=_read_priority(values), other=expression)


def _join_ports(ports: list[Ports]) -> Ports:
    found = ports[0]
    for each in ports[1:]:
        found |= each
    return found


def _list_strings(value: object) -> list[str]:
    if isinstance(value, str) and value:
        return [value]
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _read_priority(values: Values) -> int:
    found = get_number(values, "priority")
    return 1000 if found is None else int(found)


def _rule_name(change: Change) -> str:
    return next(
        (get_text(change.present, key) for key in NAMES if get_text(change.present, key)), change.address
    )


def _rule_noun(change: Change) -> str:
    if "security_policy" in change.type:
        return "Cloud Armor policy"
    return "firewall rule" if fnmatchcase(change.type, "*_firewall*") else "rule"


def _describe_targets(rule: Rule) -> str:
    named = ", ".join(span(each) for each in sorted(rule.targets)[:4])
    return f"VMs tagged {named}" if named else "every VM of the network"


def _describe_allowed(change: Change, rule: Rule, old: list[Rule]) -> str:
    where = f"{_rule_noun(change)} {span(_rule_name(change))}"
    only = f" where {span(rule.other)}" if rule.other and rule.other != "egress" else ""
    if "security_policy" in change.type or change.type.startswith("google_app_engine"):
        sentence = f"{where}: {rule.peers.description} can now pass{only}"
    elif rule.other == "egress":
        sentence = (
            f"{where}: {_describe_targets(rule)} can now connect to {rule.peers.description} on "
            f"{rule.ports.description}"
        )
    else:
        sentence = (
            f"{where}: {rule.peers.description} can now reach {_describe_targets(rule)} on "
            f"{rule.ports.description}"
        )
    was = next((each for each in old if each.allows), None)
    if was and was.is_within(rule) and rule.is_within(was):
        return f"{sentence}; its priority changes from {was.priority} to {rule.priority}, overriding more deny rules"
    return f"{sentence}; before: {was.peers.description} on {was.ports.description}" if was else sentence


def _describe_no_longer_denied(change: Change, rule: Rule, new: list[Rule]) -> str:
    name = span(_rule_name(change))
    only = f" where {span(rule.other)}" if rule.other and rule.other != "egress" else ""
    sentence = (
        f"{_rule_noun(change)} {name} no longer denies {rule.peers.description} on "
        f"{rule.ports.description}{only}"
    )
    now = next((each for each in new if not each.allows), None)
    if now is None:
        return sentence
    if rule.is_within(now):
        return f"{sentence} before other rules: its priority changes from {rule.priority} to {now.priority}"
    return f"{sentence}; now only {now.peers.description} on {now.ports.description}"


def _describe_narrowing(old: list[Rule], new: list[Rule]) -> str:
    allowing = [each for each in new if each.allows]
    if any(each.allows for each in old):
        sentence = "; ".join(f"{each.peers.description} on {each.ports.description}" for each in allowing[:3])
        return f"now allows only {sentence}" if allowing else "no longer allows anything"
    return "denies more than before" if new else "is deleted; it allowed nothing"


def _finding(change: Change, context: Context, sentence: str, size: int) -> Finding:
    return Finding(
        Kind.ACCESS, Severity.WIDENED, context.where(change), sentence, size=size, address=change.address
    )
