"""Evaluate expressions of a synthesized stack without Terraform: constants, instances, policies.

Variables by their defaults, locals, arguments of other resources, `count` and `for_each` over constants. Whatever else
an expression holds stays as it is written.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from review.plan.values import get_blocks, get_text, get_texts, get_value, unwrap_block

REFERENCE = re.compile(r"\$\{((?:data\.)?[a-z][a-z0-9_]*\.[\w-]+)\.([\w.\[\]]+)\}")
NAMED = re.compile(r"\$\{(var|local)\.([\w-]+)((?:\.[\w-]+|\[[\"\d\w-]+\])*)\}")
EACH = re.compile(r"\$\{(each\.key|each\.value|count\.index)((?:\.[\w-]+)*)\}")
SET = re.compile(r"\$\{toset\((\[.*\])\)\}", re.DOTALL)
MOST_STEPS = 8  # chained references that are followed
MOST_INSTANCES = 2000
POLICY = "data.google_iam_policy."


class Constants:
    """The constants of one stack, by the expressions that name them."""

    def __init__(self, document: Mapping[str, Any], raw: Mapping[str, Mapping[str, Any]]) -> None:
        self._document, self._raw = document, raw
        self._project = get_text(get_value(document, "provider.google"), "project")

    def resolved(self, value: Any, steps: int = MOST_STEPS) -> Any:
        """Return a value with each reference to a constant replaced by the constant."""
        if isinstance(value, dict):
            return {key: self.resolved(each, steps) for key, each in value.items()}
        if isinstance(value, list):
            return [self.resolved(each, steps) for each in value]
        if not isinstance(value, str) or "${" not in value or steps == 0:
            return value
        for pattern, lookup in ((NAMED, self._named), (REFERENCE, self._referred)):
            if whole := pattern.fullmatch(value):
                found = lookup(whole)
                return value if found is None else self.resolved(found, steps - 1)

        def put(match: re.Match[str], lookup: Any) -> str:
            found = lookup(match)
            if not isinstance(found, str | int | float):
                return match[0]
            shown = str(found).lower() if isinstance(found, bool) else str(found)
            return str(self.resolved(shown, steps - 1))

        value = NAMED.sub(lambda match: put(match, self._named), value)
        return REFERENCE.sub(lambda match: put(match, self._referred), value)

    def _named(self, match: re.Match[str]) -> Any:
        kind, name, path = match[1], match[2], match[3]
        if kind == "var":
            found = get_value(self._document, f"variable.{name}.default")
        else:
            found = next((each[name] for each in get_blocks(self._document, "locals") if name in each), None)
        for step in re.findall(r"[\w-]+", path):
            if isinstance(found, list) and step.isdecimal() and int(step) < len(found):
                found = found[int(step)]
            else:
                found = found.get(step) if isinstance(found, Mapping) else None
        return found

    def _referred(self, match: re.Match[str]) -> Any:
        """Return the referenced value if it is declared or can be computed; None otherwise."""
        address, argument = match[1], match[2]
        if address.startswith(POLICY) and argument == "policy_data":
            return self._policy(address.removeprefix(POLICY))
        values = self._raw.get(address)
        if values is None:
            return None
        found = get_value(values, re.sub(r"\[0\]", "", argument))
        if isinstance(found, str | int | float | bool):
            return found
        if address.startswith("google_service_account.") and get_text(values, "account_id"):
            project = get_text(values, "project") or self._project
            email = f"{get_text(values, 'account_id')}@{project}.iam.gserviceaccount.com"
            name = f"projects/{project}/serviceAccounts/{email}"
            return {"email": email, "member": f"serviceAccount:{email}", "name": name, "id": name}.get(
                argument
            )
        return None

    def _policy(self, name: str) -> str | None:
        """Return the document that the provider makes of a `google_iam_policy`; it is known without any request."""
        declared = unwrap_block(get_value(self._document, f"data.google_iam_policy.{name}"))
        if not isinstance(declared, Mapping):
            return None
        bindings = []
        for each in get_blocks(declared, "binding"):
            members = self.resolved(get_value(each, "members"))
            binding: dict[str, Any] = {
                "role": self.resolved(get_text(each, "role")),
                "members": sorted(get_texts({"members": members}, "members")),
            }
            for condition in get_blocks(each, "condition"):
                binding["condition"] = {key: self.resolved(value) for key, value in condition.items()}
            bindings.append(binding)
        return json.dumps({"bindings": bindings}, sort_keys=True)


def expand_instances(
    arguments: Mapping[str, Any], constants: Constants
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield index and arguments of each instance of a resource; one without an index if they are not known."""
    count, each = constants.resolved(arguments.get("count")), constants.resolved(arguments.get("for_each"))
    if isinstance(each, str) and (listed := SET.fullmatch(each)):
        try:
            each = json.loads(listed[1])
        except ValueError:
            each = None
    if isinstance(count, str) and count.isdecimal():
        count = int(count)
    if isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= MOST_INSTANCES:
        for number in range(count):
            yield f"[{number}]", _substitute(arguments, {"count.index": number})
    elif isinstance(each, Mapping) and len(each) <= MOST_INSTANCES:
        for key, value in each.items():
            yield f"[{json.dumps(key)}]", _substitute(arguments, {"each.key": key, "each.value": value})
    elif isinstance(each, list) and all(isinstance(key, str) for key in each) and len(each) <= MOST_INSTANCES:
        for key in dict.fromkeys(each):
            yield f"[{json.dumps(key)}]", _substitute(arguments, {"each.key": key, "each.value": key})
    else:
        yield "", arguments


def has_known_instances(arguments: Mapping[str, Any], constants: Constants) -> bool:
    """Return whether the instances of a resource are known."""
    if "count" not in arguments and "for_each" not in arguments:
        return True
    found = list(expand_instances(arguments, constants))
    return not found or bool(found[0][0])


def _substitute(value: Any, names: Mapping[str, Any]) -> Any:
    if isinstance(value, Mapping):
        return {key: _substitute(each, names) for key, each in value.items()}
    if isinstance(value, list):
        return [_substitute(each, names) for each in value]
    if not isinstance(value, str) or "${" not in value:
        return value

    def found(match: re.Match[str]) -> Any:
        result = names.get(match[1])
        for step in match[2].split(".")[1:]:
            result = result.get(step) if isinstance(result, Mapping) else None
        return result

    if whole := EACH.fullmatch(value):
        result = found(whole)
        return value if result is None else result

    def put(match: re.Match[str]) -> str:
        result = found(match)
        return match[0] if not isinstance(result, str | int | float) else str(result)

    return EACH.sub(put, value)
