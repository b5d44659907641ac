"""Sets of addresses and ports: narrowing and widening, however they are written."""

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review.google_cloud.networks import Addresses, Ports
from tests.review.conftest import change, summarize_findings

pytestmark = pytest.mark.unit

WIDENED, NARROWED = "access widened", "change"


def rule(
    *sources: str, ports: tuple[str, ...] = ("22",), action: str = "allow", **more: Any
) -> dict[str, Any]:
    return {
        "name": "f",
        "network": "n",
        "direction": "INGRESS",
        "source_ranges": list(sources),
        action: [{"protocol": "tcp", "ports": list(ports)}],
        **more,
    }


CASES = {
    "narrowed": (rule("0.0.0.0/0"), rule("10.0.0.0/8"), NARROWED),
    "widened": (rule("10.0.0.0/8"), rule("0.0.0.0/0"), WIDENED),
    "the same in two halves": (rule("10.0.0.0/8"), rule("10.0.0.0/9", "10.128.0.0/9"), "nothing"),
    "the internet in two halves": (rule("10.0.0.0/8"), rule("0.0.0.0/1", "128.0.0.0/1"), WIDENED),
    "a neighbour": (rule("10.0.0.0/24"), rule("10.0.1.0/24"), WIDENED),
    "fewer ports": (rule("10.0.0.0/8", ports=("1-100",)), rule("10.0.0.0/8", ports=("22",)), NARROWED),
    "more ports": (rule("10.0.0.0/8", ports=("22",)), rule("10.0.0.0/8", ports=("20-25",)), WIDENED),
    "adjacent ports": (
        rule("10.0.0.0/8", ports=("20-25",)),
        rule("10.0.0.0/8", ports=("20-22", "23-25")),
        "nothing",
    ),
    "every port": (rule("10.0.0.0/8"), rule("10.0.0.0/8", ports=()), WIDENED),
    "fewer targets": (rule("10.0.0.0/8"), rule("10.0.0.0/8", target_tags=["a"]), NARROWED),
    "every target": (rule("10.0.0.0/8", target_tags=["a"]), rule("10.0.0.0/8"), WIDENED),
    "denied less": (rule("0.0.0.0/0", action="deny"), rule("192.0.2.0/24", action="deny"), WIDENED),
    "denied more": (rule("192.0.2.0/24", action="deny"), rule("0.0.0.0/0", action="deny"), NARROWED),
    "denied later": (
        rule("0.0.0.0/0", action="deny", priority=10),
        rule("0.0.0.0/0", action="deny", priority=20),
        WIDENED,
    ),
    "allowed before denials": (rule("10.0.0.0/8", priority=20), rule("10.0.0.0/8", priority=10), WIDENED),
    "switched off": (rule("10.0.0.0/8"), rule("10.0.0.0/8", disabled=True), NARROWED),
    "a denial switched off": (
        rule("10.0.0.0/8", action="deny"),
        rule("10.0.0.0/8", action="deny", disabled=True),
        WIDENED,
    ),
    "no range at all": (rule("10.0.0.0/8"), rule(), WIDENED),
    "IPv6": (rule("fd00::/8"), rule("::/0"), WIDENED),
    "a tag": (rule("10.0.0.0/8"), rule("10.0.0.0/8", source_tags=["bastion"]), WIDENED),
}


@pytest.mark.parametrize("case", CASES)
def test_a_firewall_is_compared_as_sets(case: str) -> None:
    old, new, expected = CASES[case]
    found = [
        severity
        for severity, sentence in summarize_findings(change("google_compute_firewall.f", old, new))
        if "firewall" in sentence
    ]
    assert (found or ["nothing"]) == [expected]


def armor(*rules: tuple[str, int, str]) -> dict[str, Any]:
    made = [
        {
            "action": action,
            "priority": priority,
            "match": [{"versioned_expr": "SRC_IPS_V1", "config": [{"src_ip_ranges": [source]}]}],
        }
        for action, priority, source in rules
    ]
    return {"name": "edge", "rule": made}


POLICIES: dict[str, tuple[str, dict[str, Any] | None, dict[str, Any] | None, str]] = {
    "Cloud Armor deleted": (
        "google_compute_security_policy.p",
        armor(("deny(403)", 1, "192.0.2.0/24")),
        None,
        WIDENED,
    ),
    "a denial removed": (
        "google_compute_security_policy.p",
        armor(("deny(403)", 1, "192.0.2.0/24"), ("allow", 9, "*")),
        armor(("allow", 9, "*")),
        WIDENED,
    ),
    "the default allows": (
        "google_compute_security_policy.p",
        armor(("deny(403)", 2_147_483_647, "*")),
        armor(("allow", 2_147_483_647, "*")),
        WIDENED,
    ),
    "a denial added": (
        "google_compute_security_policy.p",
        armor(("allow", 9, "*")),
        armor(("allow", 9, "*"), ("deny(403)", 1, "192.0.2.0/24")),
        NARROWED,
    ),
    "a policy's rule": (
        "google_compute_network_firewall_policy_rule.r",
        None,
        {
            "action": "allow",
            "direction": "INGRESS",
            "priority": 1,
            "match": [{"src_ip_ranges": ["0.0.0.0/0"], "layer4_configs": [{"ip_protocol": "all"}]}],
        },
        WIDENED,
    ),
    "a rule of App Engine": (
        "google_app_engine_firewall_rule.r",
        {"priority": 1, "action": "DENY", "source_range": "*"},
        {"priority": 1, "action": "ALLOW", "source_range": "*"},
        WIDENED,
    ),
}


@pytest.mark.parametrize("case", POLICIES)
def test_a_policy_of_rules_is_compared_as_sets(case: str) -> None:
    address, old, new, expected = POLICIES[case]
    found = [severity for severity, _ in summarize_findings(change(address, old, new))]
    assert found[0] == expected, found
    assert (WIDENED in found) is (expected == WIDENED)


networks = st.builds(
    lambda address, bits: str(ipaddress.ip_network((address, bits), strict=False)),
    st.integers(0, 2**32 - 1),
    st.integers(0, 32),
)
samples = st.integers(0, 2**32 - 1).map(lambda number: str(ipaddress.IPv4Address(number)))


@given(st.lists(networks, max_size=5), st.lists(networks, max_size=5), samples)
@pytest.mark.long
def test_a_subset_has_no_address_of_its_own(one: list[str], other: list[str], sample: str) -> None:
    address = ipaddress.ip_address(sample)
    if Addresses.parse(one).is_within(Addresses.parse(other)) and any(
        address in ipaddress.ip_network(each) for each in one
    ):
        assert any(address in ipaddress.ip_network(each) for each in other)
    assert Addresses.parse(one).is_within(Addresses.parse(one) | Addresses.parse(other))


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)).map(sorted), min_size=1, max_size=4),
    st.integers(0, 50),
)
def test_ports_within_others_are_among_them(ranges: list[list[int]], port: int) -> None:
    many = Ports.parse("tcp", [f"{first}-{last}" for first, last in ranges])
    assert many.is_within(Ports.parse("all"))
    is_among = any(first <= port <= last for first, last in ranges)
    assert Ports.parse("6", [str(port)]).is_within(many) is is_among
