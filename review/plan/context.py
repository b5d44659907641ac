"""What a renderer may read beside its own change: the rest of the plan, names, files."""

import functools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from review.findings.text import span
from review.google_cloud.grants import Grant
from review.plan.archives import Archive
from review.plan.model import Change, Plan, strip_indexes
from review.plan.naming import Names
from review.plan.values import Values, get_text, get_value, is_known
from review.secrets.forms import find_secrets_by_form

EXPRESSION = re.compile(r"\$\{((?:data\.)?[a-z][a-z0-9_]*\.[\w-]+)\.[\w.\[\]]+\}")
ListGrants = Callable[[Change, Values, "Context"], Iterable[Grant]]
Lookup = Callable[[str, str], Archive | None]  # a path as the plan names it, and `before` or `after`
REFERENCE = re.compile(r"((?:module\.[\w-]+\.)*(?:data\.)?[a-z][\w-]*\.[\w-]+)(?:[.\[].*)?")


def no_files(_path: str, _side: str) -> None:
    """Return no file: the lookup of a context without artifacts."""
    return


@dataclass(frozen=True, eq=False)
class Context:
    """What a renderer may read: the whole plan, the names of its resources, and the files of its artifacts.

    `list_grants` returns the grants of one resource with given values; `review.types.registry` has the one that knows
    every type.
    """

    plan: Plan
    list_grants: ListGrants
    names: Names = field(default_factory=lambda: Names(()))
    lookup: Lookup = no_files

    def __post_init__(self) -> None:
        """Exempt the addresses and names of resources from masking, except those that look like secrets."""
        names = {
            each
            for change in self.plan.changes
            for each in (
                change.configured_address,
                strip_indexes(change.previous_address),
                self.names.of(change.address),
            )
            # A single word can also be the value of a secret; an address cannot.
            if ("." in each or "/" in each) and "[" not in each
        }
        found = set(find_secrets_by_form(list(names)))
        self.plan.secrets.exempt(each for each in names if not any(secret in each for secret in found))

    @functools.cached_property
    def by_type(self) -> dict[str, tuple[Change, ...]]:
        """Every resource of the plan, unchanged ones included, by type."""
        found: dict[str, list[Change]] = {}
        for change in self.plan.changes:
            if change.mode == "managed" and not change.deposed:
                found.setdefault(change.type, []).append(change)
        return {type_: tuple(changes) for type_, changes in found.items()}

    @functools.cached_property
    def by_address(self) -> dict[str, Change]:
        """Every resource of the plan by its address."""
        return {change.address: change for change in self.plan.changes if not change.deposed}

    @functools.cached_property
    def all_grants(self) -> tuple[tuple[Change, Grant], ...]:
        """Every grant of the plan after the apply; of deleted resources those before it."""
        return tuple(
            (each, grant) for each in self.plan.changes for grant in self.list_grants(each, each.values, self)
        )

    @functools.cached_property
    def grants_by_member(self) -> dict[tuple[str, bool], tuple[Grant, ...]]:
        """Grants by member, before (False) and after (True)."""
        found: dict[tuple[str, bool], tuple[Grant, ...]] = {}
        for change in self.plan.changes:
            for new, side in ((False, change.old), (True, change.new)):
                for grant in self.list_grants(change, side, self):
                    found[grant.member, new] = (*found.get((grant.member, new), ()), grant)
        return found

    def of_type(self, *types: str) -> Iterator[Change]:
        """Yield every resource of these types, unchanged ones included."""
        for type_ in types:
            yield from self.by_type.get(type_, ())

    def where(self, change: Change) -> str:
        """Return the noun and the name of a change's resource."""
        return self.names.where(change)

    def referenced_address(self, change: Change, argument: str) -> str:
        """Return the address of the resource that an argument of a change refers to; empty if there is none."""
        for reference in self.plan.references.get(change.configured_address, {}).get(argument, ()):
            found = REFERENCE.fullmatch(reference)
            if found and not found[1].startswith(("var.", "local.", "each.", "count.", "path.")):
                return found[1]
        return ""

    @functools.cached_property
    def custom_roles(self) -> dict[str, Change]:
        """Custom roles that the plan declares, by their id."""
        declared = self.of_type("google_project_iam_custom_role", "google_organization_iam_custom_role")
        return {get_text(each.values, "role_id"): each for each in declared}

    def address_of_expression(self, value: object) -> str:
        """Return the address that an expression of a synthesized stack refers to; empty for none."""
        found = EXPRESSION.fullmatch(value) if isinstance(value, str) else None
        return found[1] if found else ""

    def name_of_expression(self, value: object) -> str:
        """Return the name of the resource that an expression of a synthesized stack refers to; empty for none."""
        address = self.address_of_expression(value)
        return self.names.of(address) if address else ""

    def format_argument(self, change: Change, values: object, argument: str) -> str:
        """Return an argument's value as a span; a value that is not known yet by the resource that it comes from."""
        value = get_value(values, argument)
        if name := self.name_of_expression(value):
            return f"that of {span(name)}"
        if is_known(value):
            return span(get_text(values, argument))
        refers = self.referenced_address(change, argument.split(".", maxsplit=1)[0])
        return f"that of {span(self.names.of(refers))}" if refers else span(value)
