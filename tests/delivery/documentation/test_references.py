"""The generated pages: current, complete, and derived from the code alone."""

import ast
import json
import re
from pathlib import Path

import pytest

from commands.options import DESCRIPTIONS, OPTIONS, TARGETS, describe_accepted
from commands.values import Project
from commands.variables import VARIABLE_DESCRIPTIONS, VARIABLES
from delivery.documentation.pages import ROOT
from delivery.documentation.references import (
    COMMANDS,
    FOLDER,
    MONITORING,
    WORKLOADS,
    list_modules,
    render_all,
    render_commands,
)
from delivery.documentation.source_reading import (
    ErrorClass,
    find_alerts,
    find_errors,
    find_events,
    find_handled_errors,
)
from telemetry.events import EVENTS

pytestmark = pytest.mark.unit

ENTRY_POINTS = ("stacks.py", "*/__main__.py", "src/*/__main__.py", "src/*/main.py", "src/*/app.py")


@pytest.mark.long
def test_pages_are_current() -> None:
    pages = render_all()
    assert sorted(pages) == sorted(file.name for file in (ROOT / FOLDER).iterdir())
    for name, text in pages.items():
        written = (ROOT / FOLDER / name).read_text("utf-8")
        assert written == text, f"{FOLDER / name} differs from the code: run `make references`"


def test_environments_and_feeds_that_users_add_change_no_page(tmp_path: Path) -> None:
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "staging.toml").touch()
    (tmp_path / "sources" / "docks").mkdir(parents=True)
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert render_commands(makefile, Project(tmp_path, {})) == render_commands(makefile, Project(ROOT, {}))


def test_every_option_variable_and_event_is_described() -> None:
    assert set(DESCRIPTIONS) == set(OPTIONS)
    assert set(VARIABLE_DESCRIPTIONS) == set(VARIABLES)
    assert set(EVENTS) == set(find_events(list_modules(WORKLOADS)))


def test_every_target_is_on_the_page_with_its_options() -> None:
    page = render_commands((ROOT / "Makefile").read_text("utf-8"), Project(ROOT, {}))
    rows = {row.split("`")[1]: row for row in page.splitlines() if row.startswith("| `make ")}
    assert set(rows) == {f"make {target}" for target in TARGETS} - {"make help"}
    assert rows["make run"].endswith("| **`ENV`**, `TO`, `FEED`, **`JOB`** |")
    assert rows["make up"].endswith("`TICKS`, `SPEED`, `FAULT` |")


@pytest.mark.parametrize(
    ("option", "expected"),
    [("TICKS", "a whole number from 1 to 527040"), ("FORMAT", "parquet, csv"), ("NAME", "any text")],
)
def test_the_accepted_values_of_an_option_are_those_of_its_check(option: str, expected: str) -> None:
    assert describe_accepted(option, Project(ROOT, {})) == expected


def test_every_alert_of_a_stack_is_on_the_page() -> None:
    stack = json.loads((ROOT / "tests" / "cdk" / "snapshots" / "vlille-prod.json").read_text("utf-8"))
    policies = stack["resource"]["google_monitoring_alert_policy"].values()
    titles = [alert.title for alert in find_alerts(ROOT / MONITORING)]
    patterns = [re.escape(title).replace("…", ".+") for title in titles]
    declared = [policy["display_name"].removeprefix("vlille: ") for policy in policies]
    assert [name for name in declared if not any(re.fullmatch(each, name) for each in patterns)] == []
    assert {event for alert in find_alerts(ROOT / MONITORING) for event in alert.events} <= set(EVENTS)


@pytest.mark.long
def test_every_error_that_an_entry_point_handles_has_advice() -> None:
    files = [file for pattern in ENTRY_POINTS for file in sorted(ROOT.glob(pattern))]
    handled = set().union(*map(find_handled_errors, files))
    ours = {error.name for error in find_errors(list_modules((*COMMANDS, *WORKLOADS)))}
    page = (ROOT / FOLDER / "errors.md").read_text("utf-8")
    missing = [name for name in sorted(handled & ours) if f"| `{name}` |" not in page]
    assert missing == [], "add a paragraph `What to do: …` to the docstrings of these classes"


def reasons_of_code(package: str) -> set[str]:
    """Return the texts that a package gives as argument `reason`, to whichever function, exception or dataclass."""
    trees = [ast.parse(file.read_text("utf-8")) for file in list_modules([package]).values()]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    places: dict[str, int] = {}
    for node in nodes:
        if isinstance(node, ast.FunctionDef) and "reason" in (names := [each.arg for each in node.args.args]):
            places[node.name] = names.index("reason") - ("self" in names)
        if isinstance(node, ast.ClassDef):
            fields = [
                each.target.id
                for each in node.body
                if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
            ]
            starts = [
                each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"
            ]
            names = [each.arg for start in starts for each in start.args.args[1:]] or fields
            if "reason" in names:
                places[node.name] = names.index("reason")
    given = [
        node.args[places[node.func.id]]
        for node in nodes
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in places
        if len(node.args) > places[node.func.id]
    ]
    return {each.value for each in given if isinstance(each, ast.Constant) and isinstance(each.value, str)}


def test_every_reason_of_the_quarantine_is_described() -> None:
    page = (ROOT / "docs" / "feeds.md").read_text("utf-8")
    table = page.split("| Reason | Scope | Meaning |")[1].split("\n\n")[0]
    described = {name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split(" | ")[0])}
    code = "".join(file.read_text("utf-8") for file in list_modules(["feed"]).values())
    assert reasons_of_code("feed") <= described
    assert [name for name in sorted(described) if f'"{name}"' not in code] == []


def write(folder: Path, text: str) -> dict[str, Path]:
    file = folder / "module.py"
    file.write_text(text, "utf-8")
    return {"copier.module": file}


def test_errors_are_read_with_their_base_meaning_and_advice(tmp_path: Path) -> None:
    files = write(
        tmp_path,
        'class LostError(CopyError):\n    """The object is gone."""\n'
        'class CopyError(Exception):\n    """A copy failed; the\n    message says why.\n\n'
        '    What to do: wait for\n    the next sweep.\n    """\n'
        'class _PrivateError(CopyError):\n    """Internal."""\n'
        "class Other: pass\n",
    )
    assert find_errors(files) == [
        ErrorClass("copier", "LostError", "CopyError", "The object is gone.", ""),
        ErrorClass(
            "copier",
            "CopyError",
            "Exception",
            "A copy failed; the message says why.",
            "wait for the next sweep.",
        ),
    ]


def test_events_are_those_of_warnings_and_errors(tmp_path: Path) -> None:
    files = write(
        tmp_path,
        "def run(odd):\n"
        "    severity = logging.WARNING if odd else logging.INFO\n"
        '    log(severity, "swept", event="swept")\n'
        '    log(logging.INFO, "fine", event="fine")\n'
        '    log(logging.ERROR, "no event")\n'
        "def problems(kind):\n"
        '    event = "first" if kind == "x" else "second"\n'
        '    yield event, f"{kind}"\n'
        '    yield "third", f"{kind}"\n',
    )
    assert find_events(files) == {name: {"copier"} for name in ("swept", "first", "second", "third")}


def test_alerts_are_read_with_their_events(tmp_path: Path) -> None:
    (file,) = write(
        tmp_path,
        "self._policy('silent', f'No object for {minutes} minutes', 'Look at ' 'the log.', Condition())\n"
        "self._on_logs('odd', 'Odd', 'Read it.', f'a={b}' ' AND jsonPayload.event=(\"one\" OR \"two\")')\n",
    ).values()
    assert [(each.title, each.text, each.events) for each in find_alerts(file)] == [
        ("No object for … minutes", "Look at the log.", ()),
        ("Odd", "Read it.", ("one", "two")),
    ]
