"""Read values of a plan, whatever their shape: a damaged value reads as absent, and nothing raises.

A block is a list of one mapping in a plan and a mapping in a synthesized stack; both read alike.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from review.findings.text import HIDDEN, UNKNOWN

Values = Mapping[str, Any]
CONTAINERS = (dict, list)
SCALARS = (str, int, float)


def unwrap_block(value: Any) -> Any:
    """Return the only block of a list of blocks, or the value itself."""
    return value[0] if isinstance(value, list) and value and isinstance(value[0], Mapping) else value


def get_value(values: Any, path: str) -> Any:
    """Return the value at a dotted path, through single blocks; None if there is none."""
    found = values
    for step in path.split("."):
        if isinstance(found, list):
            found = unwrap_block(found)
        if not isinstance(found, Mapping):
            return None
        found = found.get(step)
    return found


def get_text(values: Any, path: str, default: str = "") -> str:
    """Return a text, a number as one; `default` for anything else."""
    found = get_value(values, path)
    if isinstance(found, bool) or not isinstance(found, SCALARS):
        return default
    return str(found)


def get_number(values: Any, path: str) -> float | None:
    """Return a number, also one that is written as text; None for anything else."""
    found = get_value(values, path)
    if isinstance(found, bool) or not isinstance(found, SCALARS):
        return None
    try:
        result = float(found)
    except (ValueError, OverflowError):
        return None
    return result if abs(result) < 1e18 else None


def get_flag(values: Any, path: str, *, default: bool = False) -> bool:
    """Return a boolean, also one that is written as text."""
    found = get_value(values, path)
    if isinstance(found, str):
        return found == "true" if found in ("true", "false") else default
    return found if isinstance(found, bool) else default


def get_blocks(values: Any, path: str) -> list[Values]:
    """Return every block at a path."""
    found = get_value(values, path)
    if isinstance(found, Mapping):
        return [found]
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def get_texts(values: Any, path: str) -> list[str]:
    """Return the texts of a list."""
    found = get_value(values, path)
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def is_known(value: Any) -> bool:
    """Return whether a value is set and can be read: neither unknown until the apply nor secret."""
    return value is not None and not (isinstance(value, str) and (UNKNOWN in value or HIDDEN in value))


def parse_duration(duration: Any) -> float | None:
    """Return the seconds of a duration such as `3600s`, `30d`, `1.5h`, `10m` or a bare number."""
    if not isinstance(duration, str) or not duration:
        return None
    units = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
    amount, unit = (duration[:-1], units[duration[-1]]) if duration[-1] in units else (duration, 1)
    try:
        return float(amount) * unit
    except (ValueError, OverflowError):
        return None


def format_duration(length: float | None) -> str:
    """Return seconds in words, in the largest unit that divides them."""
    if length is None:
        return "an unknown time"
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if length >= size and length % size == 0:
            count = int(length // size)
            return f"{count:,} {unit}{'' if count == 1 else 's'}"
    return f"{length:,g} second{'' if length == 1 else 's'}"


def is_nested_deeper(value: Any, levels: int) -> bool:
    """Return whether a value is nested deeper than `levels`, without recursion."""
    level = [value] if isinstance(value, CONTAINERS) else []
    for _ in range(levels):
        level = [
            inside
            for each in level
            for inside in (each.values() if isinstance(each, dict) else each)
            if isinstance(inside, CONTAINERS)
        ]
        if not level:
            return False
    return True


def flatten_values(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every scalar, empty list and empty mapping, with its dotted path."""
    if isinstance(value, Mapping) and value:
        for key, inside in value.items():
            yield from flatten_values(inside, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for index, inside in enumerate(value):
            yield from flatten_values(inside, f"{path}[{index}]")
    else:
        yield path, value


def format_literal(value: Any) -> str:
    """Return a scalar as Terraform's configuration writes it: `true`, `1.2`, a text unchanged."""
    return str(value).lower() if isinstance(value, bool) else str(value)
