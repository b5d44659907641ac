"""Parse the options that the user typed behind `make`, in the format of GNU make."""

import re

from commands.errors import UsageError, quote_value

# GNU make's assignment operators. With all but `=`, make evaluates the value itself.
ASSIGNMENT = re.compile(r"(?P<name>[^=:?+!]*)(?P<operator>:{0,3}=|[?+!]=)(?P<value>.*)", re.DOTALL)


def parse_typed_options(text: str) -> list[tuple[str, str]]:
    """Return name and value of each variable, with the value as it was typed.

    GNU make separates them by blanks, puts a backslash before each blank and backslash of a value, and doubles `$`.
    Raises UsageError for an assignment that is not `NAME=value`.
    """
    found = []
    for word in re.findall(r"(?:\\.|[^\\ ])+", text, re.DOTALL):
        unescaped = re.sub(r"\\(.)|\$\$", lambda match: match[1] or "$", word, flags=re.DOTALL)
        match = ASSIGNMENT.fullmatch(unescaped)
        if match is None or match["operator"] != "=":
            raise UsageError(f"{quote_value(unescaped)}: type an option as NAME=value, such as ENV=dev")
        found.append((match["name"], match["value"]))
    return found
