"""Arguments whose changes a resource's lifecycle ignores (`ignore_changes`)."""

import re
from collections.abc import Mapping
from typing import Any

from review.plan.values import Values, get_texts, get_value


def list_ignored_arguments(meta: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the arguments whose changes a resource ignores; `all` for every one."""
    found = get_value(meta, "lifecycle.ignore_changes")
    return (found,) if isinstance(found, str) else tuple(get_texts(meta.get("lifecycle"), "ignore_changes"))


def is_ignored(path: str, ignored: tuple[str, ...]) -> bool:
    """Return whether changes at a dotted path are ignored."""
    bare = re.sub(r"\[[^\]]*\]", "", path)
    paths = [re.sub(r"\[[^\]]*\]", "", each.removeprefix("${").removesuffix("}")) for each in ignored]
    return any(each in ("all", bare) or bare.startswith(f"{each}.") for each in paths)


def restore_ignored(values: Values, old: Values, ignored: tuple[str, ...]) -> Values:
    """Return the new values with ignored arguments as they were."""
    if "all" in ignored:
        return old
    result = dict(values)
    for path in ignored:
        head, _, rest = re.sub(r"\[[^\]]*\]", "", path.removeprefix("${").removesuffix("}")).partition(".")
        inside, was = result.get(head), old.get(head)
        if not rest:
            result[head] = was
            if head not in old:
                del result[head]
        elif isinstance(inside, Mapping):
            result[head] = restore_ignored(inside, was if isinstance(was, Mapping) else {}, (rest,))
        elif isinstance(inside, list) and isinstance(was, list) and len(inside) == len(was):
            result[head] = [
                restore_ignored(each, before, (rest,))
                if isinstance(each, Mapping) and isinstance(before, Mapping)
                else each
                for each, before in zip(inside, was, strict=True)
            ]
    return result
