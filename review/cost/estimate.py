"""Estimate a month before and after from schedules, VMs, sizes and retention, with assumptions."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from review.cost import registry
from review.cost.calls import Inventory, build_inventory, count_calls
from review.cost.price_book import PriceBook
from review.cost.usage import CostLine, Usage
from review.findings.finding import Detail
from review.findings.text import render_sentence, span
from review.google_cloud.resource_types import look_up_type
from review.plan.context import Context

SEEN = 0.005  # dollars; smaller amounts are not shown
MOST = 6  # names of what is not counted, in the answer


@dataclass(frozen=True)
class Cost:
    """A month before and after, line by line.

    `unknown` lists what is counted but has no price, with the reason; `not_counted` the types, or the parts of their
    cost, that are not counted, of which the plan changes `not_counted_changed`; `regions_without_prices` are counted at
    the prices of another region; `at_most` has the highest amounts, after the apply, of lines that rest on an
    assumption.
    """

    before: tuple[CostLine, ...]
    after: tuple[CostLine, ...]
    currency: str
    as_of: str
    region: str
    not_counted: tuple[str, ...] = ()
    not_counted_changed: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    regions_without_prices: tuple[str, ...] = ()
    at_most: tuple[CostLine, ...] = ()

    @property
    def totals(self) -> tuple[float, float]:
        """A month before and after."""
        return sum(each.month for each in self.before), sum(each.month for each in self.after)

    @property
    def headline(self) -> str:
        """The totals in a few words; no amount if nothing could be counted."""
        old, new = self.totals
        if max(old, new) < SEEN and (self.unknown or self.not_counted_changed):
            return "cost not known" if self.unknown else "cost not counted"
        about = "at least" if self.unknown else "about"
        if self.is_unchanged:
            return f"{about} {self._money(new)} a month, before and after"
        return f"{about} {self._money(old)} → {self._money(new)} a month"

    @property
    def is_unchanged(self) -> bool:
        """Return whether both totals are equal to the cent."""
        return abs(self.totals[1] - self.totals[0]) < SEEN

    @property
    def answer(self) -> str:
        """The totals, the three largest lines, and what the totals leave out."""
        old, new = self.totals
        parts = []
        if max(old, new) >= SEEN or not (self.unknown or self.not_counted_changed):
            sentence = f"{self.headline[:1].upper()}{self.headline[1:]}"
            if not self.is_unchanged:
                sentence = f"{sentence} ({'+' if new > old else '−'}{self._money(abs(new - old))})"
            lines = sorted(self._lines(), key=lambda each: -max(each[1], each[2]))[:3]
            shown = "; ".join(
                f"{what} {self._pair(was, is_)}" for what, was, is_ in lines if max(was, is_) >= SEEN
            )
            parts.append(f"{sentence}{f': {shown}' if shown else ''}")
        parts += self._gaps(self.not_counted_changed)
        return "; ".join(parts)

    def _gaps(self, uncounted: tuple[str, ...]) -> list[str]:
        """Return what the totals leave out, one phrase for each kind."""
        kinds = {
            "not known": self.unknown,
            "not counted": uncounted,
            f"counted at the prices of {self.region}": self.regions_without_prices,
        }
        return [
            f"{kind}: {', '.join(each[:MOST])}{f' and {len(each) - MOST} more' if len(each) > MOST else ''}"
            for kind, each in kinds.items()
            if each
        ]

    @property
    def details(self) -> tuple[Detail, ...]:
        """Every line with the basis of its amount, and what is not counted."""
        basis = {each.what: each.basis for each in (*self.before, *self.after)}
        lines = [
            f"{what}: {self._pair(was, is_)} ({basis[what]})"
            for what, was, is_ in sorted(self._lines(), key=lambda each: (-max(each[1], each[2]), each[0]))
        ]
        lines += [f"{each.what}: at most {self._money(each.month)} {each.basis}" for each in self.at_most]
        lines.append(f"list prices of {self.region} as of {self.as_of}; `--prices` overrides them")
        lines += [f"not known, and not in the total: {each}" for each in self.unknown]
        if self.not_counted:
            lines.append(f"not counted: {', '.join(self.not_counted)}")
        if self.regions_without_prices:
            lines.append(
                f"no price list of their own, counted at the prices of {self.region}: "
                f"{', '.join(self.regions_without_prices)}"
            )
        return (Detail("monthly cost, line by line", tuple(lines)),)

    def _lines(self) -> Iterator[tuple[str, float, float]]:
        old, new = ({each.what: each.month for each in side} for side in (self.before, self.after))
        for what in sorted({*old, *new}):
            yield what, old.get(what, 0.0), new.get(what, 0.0)

    def _money(self, amount: float) -> str:
        return f"{self.currency}{amount:,.2f}"

    def _pair(self, was: float, is_: float) -> str:
        return self._money(is_) if abs(was - is_) < SEEN else f"{self._money(was)} → {self._money(is_)}"

    def as_json(self, mask: Callable[[str], str]) -> dict[str, Any]:
        """Return the figures as JSON."""
        basis = {each.what: each.basis for each in (*self.before, *self.after)}
        return {
            "before": round(self.totals[0], 2),
            "after": round(self.totals[1], 2),
            "currency": self.currency,
            "as_of": self.as_of,
            "region": self.region,
            "lines": [
                {
                    "what": render_sentence(what, mask),
                    "before": round(was, 4),
                    "after": round(is_, 4),
                    "counted_from": render_sentence(basis[what], mask),
                }
                for what, was, is_ in self._lines()
            ],
            "not_counted": [render_sentence(each, mask) for each in self.not_counted],
            "not_known": [render_sentence(each, mask) for each in self.unknown],
        }


def estimate_cost(context: Context, book: PriceBook) -> Cost | None:
    """Return the cost of a month before and after; None if no resource of the plan has a cost of its own."""
    usages = [_measure_usage(build_inventory(context, new=new), book) for new in (False, True)]
    lines = [
        tuple(line for module in registry.MODULES for line in module.price_resources(usage))
        for usage in usages
    ]
    unknown = {address: why for usage in usages for address, why in usage.unknown.items()}
    changes = {address: each for usage in usages for address, each in usage.inventory.changes.items()}
    uncounted = {address: span(each.type) for address, each in changes.items() if not _is_counted(each.type)}
    uncounted |= {address: what for usage in usages for address, what in usage.not_counted.items()}
    changing = {
        what
        for address, what in uncounted.items()
        if changes[address].action not in ("no-op", "read", "forget")
    }
    if not any(lines) and not unknown and not uncounted:
        return None
    return Cost(
        lines[0],
        lines[1],
        str(book.table["currency"]),
        str(book.table["as_of"]),
        book.region,
        tuple(sorted(set(uncounted.values()))),
        tuple(sorted(changing)),
        tuple(
            f"{context.where(context.by_address[address])} ({why})"
            for address, why in sorted(unknown.items())
        ),
        tuple(
            span(each) for each in sorted({each for usage in usages for each in usage.regions_without_prices})
        ),
        at_most=tuple(usages[1].at_most),
    )


def _measure_usage(inventory: Inventory, book: PriceBook) -> Usage:
    often, schedules = count_calls(inventory)
    unknown = dict.fromkeys(schedules, "how often it runs")
    return Usage(inventory, book, often, unknown)


def _is_counted(type_: str) -> bool:
    found = look_up_type(type_)
    return type_ in registry.COUNTED or (found is not None and "costs" not in found.kinds)
