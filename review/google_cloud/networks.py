"""Addresses and ports of firewall rules as sets, and whether one set contains another.

Ranges cannot be compared as texts: 10.0.0.0/8 is narrower than 0.0.0.0/0, and 0.0.0.0/1 with 128.0.0.0/1 equals it.
"""

import functools
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from review.findings.text import spans

# The size from which a set of public addresses is called "much of the internet": a /4, and a /6 of IPv6.
MUCH_V4, MUCH_V6 = 2**28, 2**122
PROTOCOLS = {
    "1": "icmp",
    "6": "tcp",
    "17": "udp",
    "50": "esp",
    "51": "ah",
    "58": "ipv6-icmp",
    "94": "ipip",
    "132": "sctp",
}
EVERY_PORT = (0, 65_535)
ALL = "all"


@dataclass(frozen=True)
class Addresses:
    """A set of addresses; `names` are members without a range: tags, service accounts, address groups."""

    v4: tuple[ipaddress.IPv4Network, ...] = ()
    v6: tuple[ipaddress.IPv6Network, ...] = ()
    names: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, texts: Iterable[str], names: Iterable[str] = ()) -> "Addresses":
        """Return the set of ranges and addresses; any other text is a name."""
        v4: list[ipaddress.IPv4Network] = []
        v6: list[ipaddress.IPv6Network] = []
        others = set(names)
        for text in texts:
            if text == "*":
                v4.append(ipaddress.IPv4Network("0.0.0.0/0"))
                v6.append(ipaddress.IPv6Network("::/0"))
                continue
            try:
                network = ipaddress.ip_network(text.strip(), strict=False)
            except ValueError:
                others.add(text)
                continue
            if isinstance(network, ipaddress.IPv4Network):
                v4.append(network)
            else:
                v6.append(network)
        return cls(
            tuple(ipaddress.collapse_addresses(v4)),
            tuple(ipaddress.collapse_addresses(v6)),
            frozenset(others),
        )

    def __bool__(self) -> bool:
        return bool(self.v4 or self.v6 or self.names)

    def __or__(self, other: "Addresses") -> "Addresses":
        return Addresses(
            tuple(ipaddress.collapse_addresses([*self.v4, *other.v4])),
            tuple(ipaddress.collapse_addresses([*self.v6, *other.v6])),
            self.names | other.names,
        )

    def is_within(self, other: "Addresses") -> bool:
        """Return whether every member is one of `other`."""
        return (
            all(any(each.subnet_of(wider) for wider in other.v4) for each in self.v4)
            and all(any(each.subnet_of(wider) for wider in other.v6) for each in self.v6)
            and self.names <= other.names
        )

    @functools.cached_property
    def is_everything(self) -> bool:
        """Whether every IPv4 or every IPv6 address is in it."""
        return any(each.prefixlen == 0 for each in self.v4) or any(each.prefixlen == 0 for each in self.v6)

    @functools.cached_property
    def is_public(self) -> bool:
        """Whether a large part of the internet is in it."""
        v4 = sum(each.num_addresses for each in self.v4 if not each.is_private)
        v6 = sum(each.num_addresses for each in self.v6 if not each.is_private)
        return self.is_everything or v4 >= MUCH_V4 or v6 >= MUCH_V6

    @property
    def description(self) -> str:
        """The set in words."""
        if self.is_everything:
            return "the whole internet"
        named = [*map(str, (*self.v4, *self.v6)), *sorted(self.names)]
        shown = spans(named, 5) or "nobody"
        return f"much of the internet ({shown})" if self.is_public else shown


@dataclass(frozen=True)
class Ports:
    """Ranges of ports by protocol; a protocol without ranges has all ports."""

    ranges: tuple[tuple[str, int, int], ...] = ()

    @classmethod
    def parse(cls, protocol: str, ports: Iterable[str] = ()) -> "Ports":
        """Return the ports of one protocol, such as `22` and `8000-8100`; all ports if none is given."""
        name = PROTOCOLS.get(protocol, protocol.lower()) or ALL
        found = []
        for port in ports:
            match = re.fullmatch(r"\s*(\d{1,5})\s*(?:-\s*(\d{1,5})\s*)?", port)
            found.append(
                (name, int(match[1]), int(match[2] or match[1])) if match else (f"{name} {port}", *EVERY_PORT)
            )
        return cls(_merge_ranges(found) or ((name, *EVERY_PORT),))

    def __or__(self, other: "Ports") -> "Ports":
        return Ports(_merge_ranges([*self.ranges, *other.ranges]))

    def is_within(self, other: "Ports") -> bool:
        """Return whether every port is one of `other`."""
        return all(other._covers(*each) for each in self.ranges)

    def _covers(self, protocol: str, first: int, last: int) -> bool:
        if any(each[0] == ALL for each in self.ranges):
            return True
        at = first
        for name, start, end in self.ranges:  # sorted, so that adjacent ranges count together
            if name == protocol and start <= at <= end:
                at = end + 1
        return at > last

    @property
    def description(self) -> str:
        """The ports in words."""
        shown = []
        for protocol, first, last in self.ranges:
            if (first, last) != EVERY_PORT:
                shown.append(f"{protocol} {first}" if first == last else f"{protocol} {first}-{last}")
            elif protocol == ALL:
                shown.append("every protocol")
            else:
                shown.append(f"{protocol}, every port" if protocol in ("tcp", "udp", "sctp") else protocol)
        return spans(shown, 6) or "nothing"


def _merge_ranges(ranges: Iterable[tuple[str, int, int]]) -> tuple[tuple[str, int, int], ...]:
    """Return the ranges sorted, adjacent ones merged."""
    found: list[tuple[str, int, int]] = []
    for name, first, last in sorted(ranges):
        if found and found[-1][0] == name and first <= found[-1][2] + 1:
            found[-1] = (name, found[-1][1], max(last, found[-1][2]))
        else:
            found.append((name, first, last))
    return tuple(found)


@dataclass(frozen=True)
class Rule:
    """One firewall rule: peers, ports and targets. `other` is a condition that is compared as a text."""

    allows: bool
    peers: Addresses
    ports: Ports = field(default_factory=lambda: Ports.parse(ALL))
    targets: frozenset[str] = frozenset()  # empty: every VM
    priority: int = 1000  # a lower number wins
    other: str = ""

    def is_within(self, other: "Rule") -> bool:
        """Return whether `other` matches everything that this rule matches."""
        return (
            self.peers.is_within(other.peers)
            and self.ports.is_within(other.ports)
            and (not other.targets or (bool(self.targets) and self.targets <= other.targets))
            and self.other == other.other
        )


def compare_rules(old: Iterable[Rule], new: Iterable[Rule]) -> tuple[list[Rule], list[Rule]]:
    """Return the new rules that allow more than before, and the old denying rules that no longer deny as much.

    A changed priority counts too: a lower number of an allowing rule, a higher one of a denying rule.
    """
    before, after = list(old), list(new)
    allowing = [
        each
        for each in after
        if each.allows
        and not any(was.allows and each.is_within(was) and each.priority >= was.priority for was in before)
    ]
    denying = [
        was
        for was in before
        if not was.allows
        and not any(
            not each.allows and was.is_within(each) and each.priority <= was.priority for each in after
        )
    ]
    return allowing, denying
