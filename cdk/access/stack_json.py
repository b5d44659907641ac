"""Walk the Terraform JSON of a synthesized stack: resources, blocks, texts."""

from collections.abc import Iterator, Mapping
from typing import Any

Stack = Mapping[str, Any]


def iterate_resources(stack: Stack) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for kind, by_name in stack.get("resource", {}).items():
        for name, arguments in by_name.items():
            yield kind, name, arguments


def list_blocks(value: Any) -> list[Mapping[str, Any]]:
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


def iterate_texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text of a value with its dotted path; lists, which Terraform uses for blocks, add nothing to it."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from iterate_texts(each, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list):
        for each in value:
            yield from iterate_texts(each, path)
