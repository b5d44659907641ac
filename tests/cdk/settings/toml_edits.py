"""Edit the TOML file of an environment, and load it."""

import re
from pathlib import Path

import pytest

from cdk.settings import Settings, SettingsError, load_environment
from tests.conftest import ENVIRONMENTS

ROOT = Path(__file__).parents[3]
DEV = (ENVIRONMENTS / "dev.toml").read_text("utf-8")
CI = '\n[ci]\nrepository = "bikes-lille/vlille"\nrepository_id = 1296269\nrepository_owner_id = 583231\n'
FEEDS = ("vlille_gbfs", "vlille_ods", "vlille_ogc", "vlille_wfs")


def with_line(text: str, key: str, line: str | None) -> str:
    """Return TOML with the line of the dotted `key` replaced, added to its section, or, for None, removed."""
    section, _, name = key.rpartition(".")
    lines = text.splitlines()
    header = lines.index(f"[{section}]") if section and f"[{section}]" in lines else -1
    if section and header < 0:
        return f"{text}\n[{section}]\n{line}\n"
    end = next((i for i in range(header + 1, len(lines)) if lines[i].startswith("[")), len(lines))
    at = next((i for i in range(header + 1, end) if re.match(rf"{re.escape(name)} *=", lines[i])), None)
    new = [] if line is None else [line]
    lines[header + 1 if at is None else at : header + 1 if at is None else at + 1] = new
    return "\n".join(lines) + "\n"


def edited(key: str, value: str | None, text: str = DEV) -> str:
    """Return dev.toml with a TOML literal as a key's value, or without the key; [ci] has all its other keys."""
    if key.startswith("ci.") and "[ci]" not in text:
        text += CI
    return with_line(text, key, None if value is None else f"{key.rpartition('.')[2]} = {value}")


def load(folder: Path, text: str, name: str = "dev.toml") -> Settings:
    file = folder / name
    file.write_text(text, "utf-8")
    return load_environment(file, FEEDS)


def refusal(folder: Path, text: str, name: str = "dev.toml") -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load(folder, text, name)
    error = caught.value
    assert (error.file, str(error).count("\n")) == (str(folder / name), 0)
    assert str(error).startswith(f"{folder / name}: {error.key}: found ")
    assert str(error).endswith(f", accepted: {error.accepted}")
    return error
