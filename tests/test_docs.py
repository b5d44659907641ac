"""The commands, files, settings, outputs and tests that the documentation names exist."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec
import pytest

from cdk.operations.output_descriptions import BOOTSTRAP_OUTPUTS, OUTPUTS
from cdk.settings import EnvironmentFile, SettingsError, load_environment
from cdk.settings.gbfs import Gbfs
from commands.options import RENAMED_TARGETS
from tests.conftest import ENVIRONMENTS

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[1]
DOCUMENTS = (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")))
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
ROW = re.compile(r"^\| (.*) \|$", re.MULTILINE)


def keys_of(document: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        if isinstance(value, dict):
            yield from keys_of(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def documented_settings(keys: str = r"`([a-z_.]+)`") -> dict[str, tuple[str, str]]:
    """Dotted key → what the page says that dev.toml and prod.toml have as they are shipped."""
    text = (ROOT / "docs" / "settings.md").read_text("utf-8").split("## Variables")[0]
    found: dict[str, tuple[str, str]] = {}
    for part in text.split("\n## ")[1:]:
        section = re.match(r"`\[(\w+)\]`", part)
        for row in ROW.findall(part):
            cells = [cell.strip() for cell in row.split(" | ")]
            if key := re.fullmatch(keys, cells[0]):
                found[f"{section[1]}.{key[1]}" if section else key[1]] = (cells[-2], cells[-1])
    return found


def test_every_setting_is_described_with_its_values() -> None:
    documented = documented_settings()
    words = {"* * * * *": "each minute", "*/10 * * * *": "each 10 minutes", "30 3 * * *": "3:30"}
    for index, environment in enumerate(("dev", "prod")):
        values = dict(keys_of(tomllib.loads((ENVIRONMENTS / f"{environment}.toml").read_text("utf-8"))))
        assert set(values) == set(documented) - {
            "labels",
            "shared_project",
            "ci.repository",
            "ci.repository_id",
            "ci.repository_owner_id",
            "budget.billing_account",
            "budget.monthly_amount",
            *(f"gbfs.{key}" for key in Gbfs.__struct_fields__),
        }
        for key, value in values.items():
            shown = str(value).lower() if isinstance(value, bool) else words.get(str(value), str(value))
            assert documented[key][index].strip("`") == shown, f"{environment}: {key}"


def keys_of_class(section: type[msgspec.Struct], prefix: str = "") -> Iterator[str]:
    """Yield the dotted keys of a settings class; a table whose keys are the user's own has `ID` in their place."""
    for field in msgspec.structs.fields(section):
        types = (field.type, *get_args(field.type))
        inner = next(
            (each for each in types if isinstance(each, type) and issubclass(each, msgspec.Struct)), None
        )
        own = f"{field.name}.ID" if get_origin(field.type) is dict else field.name
        if inner is None:
            yield f"{prefix}{field.name}"
        else:
            yield from keys_of_class(inner, f"{prefix}{own}.")


def test_every_key_of_the_settings_classes_is_described() -> None:
    assert sorted(documented_settings(r"`([A-Za-z_.]+)`")) == sorted(keys_of_class(EnvironmentFile))


def documented_ranges() -> dict[str, tuple[int, int]]:
    """Dotted key → the whole numbers that the page says are accepted, of keys that dev.toml has."""
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    present = dict(keys_of(tomllib.loads((ENVIRONMENTS / "dev.toml").read_text("utf-8"))))
    found = {}
    for part in page.split("\n## ")[1:]:
        section = re.match(r"`\[(\w+)\]`", part)
        for key, low, high in re.findall(
            r"^\| `([\w.]+)` \| [^|]* \| (\d+) to (\d+)\b(?! below| less)", part, re.MULTILINE
        ):
            if (name := f"{section[1]}.{key}" if section else key) in present:
                found[name] = int(low), int(high)
    return found


@pytest.mark.parametrize(("key", "bounds"), documented_ranges().items(), ids=documented_ranges())
def test_numbers_beyond_the_described_range_are_refused(
    key: str, bounds: tuple[int, int], tmp_path: Path
) -> None:
    text = (ENVIRONMENTS / "dev.toml").read_text("utf-8")
    section, _, name = key.rpartition(".")
    before, head, after = text.partition(f"[{section}]\n")
    assert head
    for value in (bounds[0] - 1, bounds[1] + 1):
        file = tmp_path / "dev.toml"
        changed, count = re.subn(rf"^{name} = \S+", f"{name} = {value}", after, count=1, flags=re.MULTILINE)
        assert count == 1
        file.write_text(before + head + changed, "utf-8")
        with pytest.raises(SettingsError) as refused:
            load_environment(file, ["vlille_gbfs"])
        assert key in str(refused.value)  # also where another key is compared with it


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_have_a_target(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text("utf-8")):
        assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documented_make_targets_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    documented = set(re.findall(r"(?:^|`)make ([a-z]+)", document.read_text("utf-8"), re.MULTILINE))
    assert documented <= targets


def test_make_help_lists_every_target() -> None:
    phony = {name for line in re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE) for name in line.split()}
    phony -= {"options", *RENAMED_TARGETS}  # nobody types the check; former names are refused by it
    assert phony == set(re.findall(r"^([a-z]+):.*## ", MAKEFILE, re.MULTILINE))


@pytest.mark.parametrize(
    ("stack", "described"),
    [("vlille-dev", OUTPUTS), ("vlille-prod", OUTPUTS), ("vlille-ci-bootstrap", BOOTSTRAP_OUTPUTS)],
)
def test_every_output_of_a_stack_is_described(stack: str, described: dict[str, str]) -> None:
    snapshot = json.loads((ROOT / "tests" / "cdk" / "snapshots" / f"{stack}.json").read_text("utf-8"))
    assert set(snapshot["output"]) == set(described)
    page = (ROOT / "docs" / "reference" / "outputs.md").read_text("utf-8")
    assert set(described) <= set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))


# Statuses of GitHub, and a placeholder.
NO_FILES = {"review/dev", "review/prod", "review/cost/prices/REGION.json"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_a_page_names_is_there(document: Path) -> None:
    folders = "src|cdk|local|operate|review|delivery|commands|checks|bench|tests|docs|environments"
    named = set(re.findall(rf"`((?:{folders})/[\w./-]*)`", document.read_text("utf-8")))
    assert sorted(name for name in named - NO_FILES if not (ROOT / name).exists()) == []


def test_the_readme_is_one_screen_or_two() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


def test_the_queries_of_the_readme_are_those_of_getting_started() -> None:
    """The latter are compared with the output of a demo."""
    readme, tutorial = ((ROOT / name).read_text("utf-8") for name in ("README.md", "docs/getting-started.md"))
    sessions = re.findall(r"```\n\$ make demo [^`]*\nsql> [^`]*```", readme)
    assert len(sessions) == 1
    assert sessions[0].count("sql> ") == 3
    assert sessions[0] in tutorial


def test_links_to_headings_lead_to_one() -> None:
    for document in DOCUMENTS:
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", document.read_text("utf-8")):
            page = document.parent / target if target else document
            titles = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in titles}
            assert anchor in anchors, f"{document.name}: {target}#{anchor}"


def count_resources(stack: str) -> int:
    """Return how many resources a stack's snapshot has."""
    snapshot = json.loads((ROOT / "tests" / "cdk" / "snapshots" / f"{stack}.json").read_text("utf-8"))
    return sum(len(resources) for resources in snapshot["resource"].values())


@pytest.mark.parametrize(
    ("document", "pattern", "stack"),
    [
        ("deploy.md", r"\$ make bootstrap .*\n.*\n.*Resources: (\d+) added", "vlille-dev-bootstrap"),
        ("deploy.md", r"\$ make deploy .*\n.*Resources: (\d+) added", "vlille-dev"),
        ("deploy.md", r"\| `make deploy` \| .* for (\d+) resources", "vlille-dev"),
        ("deploy.md", r"make deploy ENV=dev TO=local .* (\d+) resources", "vlille-dev"),
        ("getting-started.md", r"creating the (\d+) resources of vlille-dev", "vlille-dev"),
    ],
)
def test_counts_of_resources_are_those_of_the_stack(document: str, pattern: str, stack: str) -> None:
    found = re.findall(pattern, (ROOT / "docs" / document).read_text("utf-8"))
    assert found == [str(count_resources(stack))], (
        f"docs/{document}: found {', '.join(found)} resources, the snapshot of {stack} has {count_resources(stack)}: "
        "correct the page"
    )


def test_every_decision_is_listed_with_its_title() -> None:
    folder = ROOT / "docs" / "decisions"
    titles = [file.read_text("utf-8").partition("\n")[0] for file in sorted(folder.glob("0*.md"))]
    rows = re.findall(
        r"^\| (\d+) \| \[(.+)\]\((.+)\) \|$", (folder / "README.md").read_text("utf-8"), re.MULTILINE
    )
    assert [f"# {number}. {title}" for number, title, _ in rows] == titles
    assert [name for _, _, name in rows] == [file.name for file in sorted(folder.glob("0*.md"))]
