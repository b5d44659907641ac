"""Odd values of every option, variable and setting: one sentence, no traceback, nothing touched.

`make fuzz` tries 5,000 values for each; the tests try some.
"""

import os
import random
import string
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from cdk import settings
from cdk.settings import SettingsError, load_environment
from commands.errors import UsageError
from commands.options import OPTIONS, TARGETS, check_option, select_options
from commands.typed import parse_typed_options
from commands.values import Project
from commands.variables import VARIABLES, check_variables
from tests.conftest import ENVIRONMENTS

pytestmark = [pytest.mark.unit, pytest.mark.long]

ROOT = Path(__file__).parents[2]
VALUES = int(os.environ.get("FUZZ_VALUES", "25"))
PROJECT = Project(ROOT, {})
ODD = (
    *(
        "",
        " ",
        "\n",
        "\0",
        "..",
        "../../zzz",
        "/",
        "~",
        "-",
        "--help",
        "dev zzz",
        "dev/../prod",
        "DEV",
        "dev\n",
    ),
    *("$(shell touch made)", "`touch made`", "$HOME", "; rm -rf x", "' or 1", '"', "\\", "$$", "%s", "{0}"),
    *(
        "0",
        "-1",
        "1e9",
        "1_0",
        "١",
        "9" * 5_000,
        "0x1",
        "nan",
        "inf",
        "true",
        "None",
        "é",
        "\ud800",
        "😀",
        "x" * 9_000,
    ),
    *(
        "gs://",
        "gs://a/b",
        "http://x",
        "file:///etc/passwd",
        "503@(",
        "drop@[",
        "503x999999999999",
        "(?P<a>" * 99,
    ),
)


OPTIONAL_SECTIONS = (
    *("[gbfs]", 'systems = ["v_lille"]'),
    *("[ci]", 'repository = "acme/vlille"', "repository_id = 1", "repository_owner_id = 2"),
    *("[budget]", 'billing_account = "01AB23-4CD567-89EF01"', "monthly_amount = 5"),
)


def values(rng: random.Random) -> Iterator[str]:
    yield from ODD[: max(VALUES, len(ODD))]
    for _ in range(VALUES - len(ODD)):
        kind = rng.randrange(3)
        if kind == 0:
            yield "".join(rng.choice(string.printable) for _ in range(rng.randrange(1, 40)))
        elif kind == 1:
            yield "".join(chr(rng.randrange(1, 0x2FF)) for _ in range(rng.randrange(1, 20)))
        else:
            odd_word = rng.choice(ODD)
            at = rng.randrange(len(odd_word) + 1)
            yield odd_word[:at] + rng.choice(ODD) + odd_word[at:]


def check_sentence(error: UsageError | SettingsError, name: str) -> None:
    sentence = str(error)
    assert "\n" not in sentence
    assert len(sentence) < 1_500
    assert name.rpartition(".")[2].split("[")[0] in sentence


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_is_accepted_or_refused_in_one_sentence(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for value in values(random.Random(name)):  # noqa: S311 - not for secrets
        try:
            check_option(name, value, PROJECT)
        except UsageError as error:
            check_sentence(error, name)
        else:
            assert name not in ("ENV", "FEED", "TO", "JOB") or value.isidentifier()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_is_accepted_or_refused_in_one_sentence(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for value in values(random.Random(name)):  # noqa: S311 - not for secrets
        try:
            check_variables(Project(ROOT, {name: value}))
        except UsageError as error:
            check_sentence(error, name)
    assert list(tmp_path.iterdir()) == []


def test_any_typed_text_is_parsed_or_refused() -> None:
    rng = random.Random(1)  # noqa: S311 - not for secrets
    for value in values(rng):
        target = rng.choice(list(TARGETS))
        try:
            select_options([target], parse_typed_options(value), PROJECT)
            select_options([target], [(value[:20], value)], PROJECT)
        except UsageError as error:
            check_sentence(error, "")


def keys_of(section: type[msgspec.Struct], prefix: str = "") -> Iterator[str]:
    for field in msgspec.structs.fields(section):
        inner = settings.section_type(field.type)
        yield from keys_of(inner, f"{prefix}{field.name}.") if inner else (f"{prefix}{field.name}",)


def literal(value: str, rng: random.Random) -> str:
    """A TOML literal of some type for a value."""
    text = msgspec.json.encode(value.encode("utf-8", "replace").decode()).decode()
    return rng.choice(
        (text, text, value, "7", "-1", "true", "[]", "{}", "1.5", "1979-05-27", f"[{text}]", "9" * 400)
    )


def write_value(lines: list[str], key: str, value: str) -> str:
    """Return the lines of an environment's file with this literal as the value of a dotted key."""
    section, _, name = key.rpartition(".")
    begin = lines.index(f"[{section}]") + 1 if section else 0
    end = next((n for n in range(begin, len(lines)) if lines[n].startswith("[")), len(lines))
    others = [line for line in lines[begin:end] if not line.startswith(f"{name} =")]
    return "\n".join([*lines[:begin], f"{name} = {value}", *others, *lines[end:]])


@pytest.mark.parametrize("key", list(keys_of(settings.EnvironmentFile)))
def test_a_setting_is_accepted_or_refused_in_one_sentence(key: str, tmp_path: Path) -> None:
    rng = random.Random(key)  # noqa: S311 - not for secrets
    lines = [*(ENVIRONMENTS / "dev.toml").read_text().splitlines(), *OPTIONAL_SECTIONS]
    file = tmp_path / "dev.toml"
    for value in values(rng):
        file.write_text(write_value(lines, key, literal(value, rng)), "utf-8", errors="replace")
        try:
            load_environment(file, ["vlille_gbfs"])
        except SettingsError as error:
            check_sentence(error, "")
