"""What the generated references take from the source text of the packages, which is parsed and not imported."""

import ast
import builtins
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

BUILTIN_ERRORS = frozenset(
    name for name, each in vars(builtins).items() if isinstance(each, type) and issubclass(each, Exception)
)
WHAT_TO_DO = "What to do: "
SEVERITIES = frozenset({"WARNING", "ERROR", "CRITICAL"})
EVENT_CONDITION = re.compile(r"jsonPayload\.event=\(([^)]*)\)")


@dataclass(frozen=True)
class ErrorClass:
    """An exception of the project; `base` is the one that it derives from, `what_to_do` empty where it has none."""

    package: str
    name: str
    base: str
    meaning: str
    what_to_do: str


@dataclass(frozen=True)
class Alert:
    """An alert policy: its title, its text, and the events that its filter selects."""

    title: str
    text: str
    events: tuple[str, ...]


def find_errors(files: Mapping[str, Path]) -> list[ErrorClass]:
    """Return the public exceptions of modules, given by their dotted names, in the order of the modules."""
    classes = [
        (get_package(module), node)
        for module, file in files.items()
        for node in _parse(file).body
        if isinstance(node, ast.ClassDef)
    ]
    # A name may be used in several packages: a base is looked up in the same one first.
    errors: dict[tuple[str, str], ErrorClass] = {}
    while found := {
        (package, node.name): _make_error_class(package, node, base)
        for package, node in classes
        if (package, node.name) not in errors
        for base in map(_get_last_name, node.bases)
        if base in BUILTIN_ERRORS or any(name == base for _, name in errors)
    }:
        errors |= found
    ordered = (
        errors[key]
        for key in dict.fromkeys((package, node.name) for package, node in classes)
        if key in errors
    )
    return [each for each in ordered if not each.name.startswith("_")]


def _make_error_class(package: str, node: ast.ClassDef, base: str) -> ErrorClass:
    paragraphs = [" ".join(each.split()) for each in (ast.get_docstring(node) or "").split("\n\n")]
    advice = [each.removeprefix(WHAT_TO_DO) for each in paragraphs if each.startswith(WHAT_TO_DO)]
    return ErrorClass(package, node.name, base, paragraphs[0], " ".join(advice))


def find_handled_errors(file: Path) -> set[str]:
    """Return the names of the project's exceptions that a module's `except` clauses name."""
    names = {
        _get_last_name(each)
        for handler in ast.walk(_parse(file))
        if isinstance(handler, ast.ExceptHandler) and handler.type is not None
        for each in (handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type])
    }
    return {name for name in names if name}


def find_events(files: Mapping[str, Path]) -> dict[str, set[str]]:
    """Return the names of the events that modules log at WARNING or above, each with the packages that log it."""
    found: dict[str, set[str]] = {}
    for module, file in files.items():
        for function in ast.walk(_parse(file)):
            if isinstance(function, ast.FunctionDef):
                for name in _iterate_events(function):
                    found.setdefault(name, set()).add(get_package(module))
    return found


def _iterate_events(function: ast.FunctionDef) -> Iterator[str]:
    assigned = {
        target.id: node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(function):
        match node:
            case ast.Call(func=ast.Name("log"), args=[level, *_], keywords=keywords):
                level = assigned.get(level.id, level) if isinstance(level, ast.Name) else level
                if any(
                    isinstance(each, ast.Attribute) and each.attr in SEVERITIES for each in ast.walk(level)
                ):
                    for each in keywords:
                        if each.arg == "event":
                            yield from _list_literals(each.value, {})
            # collector.reporting yields the event and the message of each problem, and logs all of them as errors.
            case ast.Yield(value=ast.Tuple(elts=[event, ast.JoinedStr()])):
                yield from _list_literals(event, assigned)


def _list_literals(node: ast.expr, assigned: Mapping[str, ast.expr]) -> list[str]:
    """Return the texts that an expression may have; variables have what was assigned to them."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.IfExp(body=body, orelse=orelse):
            return [*_list_literals(body, assigned), *_list_literals(orelse, assigned)]
        case ast.Name(id=name) if name in assigned:
            return _list_literals(assigned[name], {})
    return []


def find_alerts(file: Path) -> list[Alert]:
    """Return the alert policies that a module declares, in its order.

    They are calls of its own methods with an ID, a title, a text and a condition.
    """
    alerts = []
    for node in ast.walk(_parse(file)):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name("self")),
                args=[ast.Constant() | ast.Name(), title, ast.Constant(value=str(text)), condition],
            ):
                events = EVENT_CONDITION.findall(render_text(condition))
                names = tuple(re.findall(r'"(\w+)"', events[0])) if events else ()
                alerts.append((node.lineno, Alert(render_text(title), text, names)))
    return [alert for _, alert in sorted(alerts, key=lambda each: each[0])]


def render_text(node: ast.expr) -> str:
    """Return the text of a literal or an f-string, with `…` for every value; of anything else only `…`."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return re.sub("…+", "…", "".join(render_text(each) for each in values))
    return "…"


def get_package(module: str) -> str:
    """Return the first name of a dotted one."""
    return module.partition(".")[0]


def _get_last_name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _parse(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))
