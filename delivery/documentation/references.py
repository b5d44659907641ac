"""The pages of docs/reference, generated from the code: `make references` writes them, a test compares them."""

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from cdk.operations.output_descriptions import BOOTSTRAP_OUTPUTS, OUTPUTS
from commands.interrupts import INTERRUPTED
from commands.options import (
    DEFAULT_ENVIRONMENT,
    DESCRIPTIONS,
    LOCAL_TARGET,
    ONLY_LOCAL,
    TARGETS,
    describe_accepted,
)
from commands.values import Project
from commands.variables import VARIABLE_DESCRIPTIONS
from delivery.documentation.pages import ROOT
from delivery.documentation.source_reading import ErrorClass, find_alerts, find_errors
from telemetry.events import EVENTS

FOLDER = Path("docs") / "reference"
MONITORING = Path("cdk") / "operations" / "monitoring.py"
COMMANDS = ("commands", "cdk", "operate", "delivery", "review", "local", "feed", "gbfs")
WORKLOADS = ("collector", "gbfs_collector", "copier", "spark", "dashboard")
ESCAPED_BAR = r"\|"  # in a cell of a table
GENERATED = "<!-- Generated from the code: run `make references` instead of editing this page. -->"

# Users add environments and feeds: the page must not differ from the code for them.
NAMED_BY_USERS = {
    "ENV": "the name of a file in `environments/`, without `.toml`",
    "FEED": "the name of a folder in `sources/`",
}


def render_all(root: Path = ROOT) -> dict[str, str]:
    """Return the text of each page by the name of its file below docs/reference."""
    return {
        "commands.md": render_commands((root / "Makefile").read_text("utf-8"), Project(root, {})),
        "errors.md": render_errors(root),
        "outputs.md": render_outputs(),
    }


def write_references(root: Path = ROOT) -> None:
    """Write every page."""
    (root / FOLDER).mkdir(exist_ok=True)
    for name, text in render_all(root).items():
        (root / FOLDER / name).write_text(text, "utf-8")


def render_outputs() -> str:
    """Return the page of the stacks' outputs."""
    return _render_page(
        "Stack outputs",
        _wrap_text(
            f"`make outputs ENV=dev` prints the outputs of a deployed environment, with `TO={LOCAL_TARGET}` those of "
            "the local environment. [Operate an environment](../operate.md) shows how to use them."
        ),
        _render_table(("output", "what it is"), ((f"`{name}`", text) for name, text in OUTPUTS.items())),
        "## Outputs of the bootstrap",
        "`make bootstrap ENV=dev` prints these. [CI on GitHub](../ci.md#set-it-up) says where they go.",
        _render_table(
            ("output", "what it is"), ((f"`{name}`", text) for name, text in BOOTSTRAP_OUTPUTS.items())
        ),
    )


# --- commands -------------------------------------------------------------------------------------


def render_commands(makefile: str, project: Project) -> str:
    """Return the page of make targets and options, of the Makefile's sections and the tables of `commands`."""
    sections = []
    for title, targets in _iterate_sections(makefile):
        rows = ((f"`make {target}`", text, _render_options(target)) for target, text in targets)
        sections += [
            f"## {title[0].upper()}{title[1:]}",
            _render_table(("command", "what it does", "options"), rows),
        ]
    options = (
        (f"`{name}`", text, NAMED_BY_USERS.get(name) or describe_accepted(name, project))
        for name, text in DESCRIPTIONS.items()
    )
    return _render_page(
        "Commands",
        _wrap_text(
            "Every command is a make target. Options are typed behind the target, as in `make deploy ENV=dev`. All "
            "options are checked before anything else happens; an option that the target does not accept is an error."
        ),
        _wrap_text(
            "**Bold** options are required. `ENV` is required where a command changes something in Google Cloud; "
            f"everywhere else, and with `TO={LOCAL_TARGET}`, the default is `{DEFAULT_ENVIRONMENT}`. With "
            f"`TO={LOCAL_TARGET}`, all commands but `make sql` and `make export` also accept "
            f"{', '.join(f'`{name}`' for name in ONLY_LOCAL)}."
        ),
        "[Errors](errors.md) has the exit statuses, [settings](../settings.md) the files of environments.",
        *sections,
        "## Options",
        "Every target accepts `PYTHON`, which matters to the first one that runs: it creates `.venv`.",
        _render_table(("option", "meaning", "accepted"), options),
        "## Environment variables",
        _wrap_text(
            "The project reads these and no other variable that begins with `VLILLE_`. Commands set the last group for "
            "the programs that they start."
        ),
        _render_table(
            ("variable", "effect"), ((f"`{name}`", text) for name, text in VARIABLE_DESCRIPTIONS.items())
        ),
    )


def _iterate_sections(makefile: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    for part in re.split(r"^# --- ", makefile, flags=re.MULTILINE)[1:]:
        title = part.partition("\n")[0].rstrip(" -")
        targets = re.findall(r"^([a-z]+):.*?## (.*)$", part, re.MULTILINE)
        if targets:
            yield title, targets


def _render_options(target: str) -> str:
    required = {*TARGETS[target].required, *(["ENV"] if TARGETS[target].changes else [])}
    accepted = TARGETS[target].options
    shown = (
        [name for name in accepted if name not in ONLY_LOCAL]
        if {"TO", *ONLY_LOCAL} <= {*accepted}
        else accepted
    )
    return ", ".join(f"**`{name}`**" if name in required else f"`{name}`" for name in shown)


# --- errors ---------------------------------------------------------------------------------------


def render_errors(root: Path = ROOT) -> str:
    """Return the page of errors: of commands, of workloads, log events and alerts."""
    alerts = find_alerts(root / MONITORING)
    by_event = {event: alert.title for alert in reversed(alerts) for event in alert.events}
    events = (
        (f"`{name}`", meaning, advice, by_event.get(name, "")) for name, (meaning, advice) in EVENTS.items()
    )
    return _render_page(
        "Errors",
        "A message says what failed, why, and what to do next. This page adds what holds for all messages of a kind.",
        "## Exit statuses",
        _render_table(
            ("status", "meaning"),
            (
                ("0", "success"),
                ("1", "the command failed; the message says what to do"),
                ("2", "an option, a variable or a target cannot be used: nothing was done"),
                (f"{INTERRUPTED}", "Ctrl-C ended the command"),
            ),
        ),
        "GNU make itself reports status 2 for every target that fails, and prints the status of the command before it.",
        "## Errors of commands",
        *_render_error_tables(find_errors(list_modules(COMMANDS, root))),
        "## Errors of workloads",
        "They are in the logs: `make logs`, or `.local/dev/logs` of a local run.",
        *_render_error_tables(find_errors(list_modules(WORKLOADS, root))),
        "## Log events",
        _wrap_text(
            'In Cloud Logging, `jsonPayload.event="schema_drift"` finds the lines of an event. An event with an alert '
            "sends an e-mail."
        ),
        _render_table(("event", "meaning", "what to do", "alert"), events),
        "## Alerts",
        "Policies of Cloud Monitoring, with the text that the e-mail has; `…` stands for a value of the settings.",
        _render_table(("alert", "text"), ((alert.title, alert.text) for alert in alerts)),
        "## Reasons in the quarantine",
        _wrap_text(
            "[Feeds](../feeds.md#when-a-response-is-not-like-the-sample) lists the reasons of rejected records, values "
            "and responses, [GBFS systems](../gbfs.md#rejected-records-and-values) those of GBFS files."
        ),
    )


def list_modules(packages: Iterable[str], root: Path = ROOT) -> dict[str, Path]:
    """Return the file of each module of the packages, by its dotted name, sorted within each package."""
    modules = {}
    for package in packages:
        base = root / "src" if (root / "src" / package).exists() else root
        for file in sorted((base / package).rglob("*.py")):
            modules[".".join(file.relative_to(base).with_suffix("").parts)] = file
    return modules


def _render_error_tables(errors: Iterable[ErrorClass]) -> Iterator[str]:
    packages: dict[str, dict[str, ErrorClass]] = {}
    for error in errors:
        packages.setdefault(error.package, {})[error.name] = error
    for package, known in packages.items():
        rows = [
            (f"`{error.name}`", error.meaning, advice)
            for error in known.values()
            if (advice := _find_advice(error, known))
        ]
        if rows:
            yield f"### `{package}`"
            yield _render_table(("error", "meaning", "what to do"), rows)


def _find_advice(error: ErrorClass, known: Mapping[str, ErrorClass]) -> str:
    """Return what to do about an error, or of which error it is a kind; nothing for one that no user meets."""
    if error.what_to_do:
        return f"{error.what_to_do[0].upper()}{error.what_to_do[1:]}"
    base = known.get(error.base)
    while base is not None and not base.what_to_do:
        base = known.get(base.base)
    return f"As for `{base.name}`." if base else ""


def _render_page(title: str, *parts: str) -> str:
    return "\n\n".join((f"# {title}", GENERATED, *parts)) + "\n"


def _wrap_text(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def _render_table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(header)
    lines = [head, ["---"] * len(head), *(list(row) for row in rows)]
    return "\n".join(f"| {' | '.join(cell.replace('|', ESCAPED_BAR) for cell in line)} |" for line in lines)
