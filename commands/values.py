"""Checks of option values: each raises UsageError that says what was found and what is accepted."""

import os
import re
import shlex
import shutil
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from commands.errors import UsageError, format_suggestion, quote_value

ENVIRONMENT_NAME = re.compile(r"[a-z][a-z0-9]{0,19}")
BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
HTTP_STATUSES = (400, 401, 403, 404, 409, 412, 429, 500, 503)
FAULT = re.compile(r"(?P<what>\w+?)(?:@(?P<kinds>.+?))?(?:x(?P<times>[0-9]{1,6}))?", re.ASCII)
MOST_TICKS = 527_040  # minutes of a leap year
MOST_SECONDS = 604_800  # a week
MOST_CITY_CHARACTERS = 100
MOST_SYSTEM_CHARACTERS = 100
MOST_LINES = 1000  # that Cloud Logging gives in one page
GENERATED_DAY = "generated"
JOBS = ("collect", "copy", "batch", "gbfs-collect", "gbfs-discover")


@dataclass(frozen=True)
class Project:
    """The checkout whose folders name the environments and the feeds."""

    root: Path
    environ: Mapping[str, str]

    @property
    def environments_folder(self) -> Path:
        """environments/, or the folder that VLILLE_ENVIRONMENTS names: one TOML file per environment."""
        return Path(self.environ.get("VLILLE_ENVIRONMENTS") or self.root / "environments")

    @property
    def environments(self) -> list[str]:
        """Names of the files of environments, sorted."""
        stems = (file.stem for file in self.environments_folder.glob("*.toml"))
        return sorted(stem for stem in stems if ENVIRONMENT_NAME.fullmatch(stem))

    @property
    def feeds(self) -> list[str]:
        """Names of the folders in sources/, or in the folder that VLILLE_SOURCES names, sorted."""
        sources = Path(self.environ.get("VLILLE_SOURCES") or self.root / "sources")
        return sorted(file.parent.name for file in sources.glob("*/source.toml"))


# Takes the option's name, its value and the project.
Check = Callable[[str, str, Project], None]


def make_value_error(name: str, value: str, accepted: str, known: Iterable[str] = ()) -> UsageError:
    """Return the error for an invalid value."""
    return UsageError(
        f"{name}: found {quote_value(value)}{format_suggestion(value, known)}; accepted: {accepted}"
    )


def environment(name: str, value: str, project: Project) -> None:
    """Accept the name of a file in environments/."""
    known = project.environments
    if value not in known:
        raise make_value_error(
            name, value, f"{', '.join(known) or 'none yet'} (the names of the files in environments/)", known
        )


def feed(name: str, value: str, project: Project) -> None:
    """Accept the name of a folder in sources/."""
    known = project.feeds
    if value not in known:
        raise make_value_error(
            name, value, f"{', '.join(known) or 'none yet'} (the names of the folders in sources/)", known
        )


def city(name: str, value: str, _project: Project) -> None:
    """Accept a possible ID, name or city of a GBFS system; the run looks it up in the catalogue."""
    if len(value) > MOST_CITY_CHARACTERS or not value.isprintable() or not any(map(str.isalnum, value)):
        raise make_value_error(
            name,
            value,
            "id, name or city of a GBFS system, such as lille; `python -m gbfs systems` lists them",
        )


def system(name: str, value: str, _project: Project) -> None:
    """Accept a possible ID of a GBFS system; the export compares it with the systems of the environment."""
    if len(value) > MOST_SYSTEM_CHARACTERS or not value.isprintable() or not any(map(str.isalnum, value)):
        raise make_value_error(
            name, value, "the ID of a GBFS system that the environment collects, such as Paris"
        )


def one_of(*accepted: str, renamed: Mapping[str, str] | None = None) -> Check:
    """Accept only these words; the error for a former name in `renamed` names the new one."""

    def check(name: str, value: str, _project: Project) -> None:
        if new := (renamed or {}).get(value):
            raise UsageError(
                f"{name}: {quote_value(value)} is now called {quote_value(new)}; type {name}={new}"
            )
        if value not in accepted:
            raise make_value_error(name, value, ", ".join(accepted), accepted)

    return check


def switch(name: str, value: str, _project: Project) -> None:
    """Accept 1, which enables the option."""
    if value != "1":
        raise make_value_error(name, value, f"{name}=1; leave {name} out to switch it off")


def whole_number(least: int, most: int) -> Check:
    """Accept a whole number within these bounds."""

    def check(name: str, value: str, _project: Project) -> None:
        # A few ASCII digits: int() accepts underscores and digits of any script, and fails for thousands of digits.
        if not re.fullmatch(r"[0-9]{1,9}", value) or not least <= int(value) <= most:
            raise make_value_error(name, value, f"a whole number from {least} to {most}")

    return check


def decimal_number(least: float, most: float) -> Check:
    """Accept a decimal number within these bounds."""

    def check(name: str, value: str, _project: Project) -> None:
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value) or not least <= float(value) <= most:
            raise make_value_error(name, value, f"a number from {least:g} to {most:g}")

    return check


def path_of(what: str, is_right: Callable[[Path], bool]) -> Check:
    """Accept the path of an existing file or folder."""

    def check(name: str, value: str, _project: Project) -> None:
        try:
            right = is_right(Path(value))
        except (OSError, ValueError):  # a path that is too long, or contains NUL
            right = False
        if not right:
            raise make_value_error(name, value, what)

    return check


readable_path = path_of(
    "a file or a folder that exists and can be read", lambda path: path.exists() and os.access(path, os.R_OK)
)
folder = path_of("a folder that exists", Path.is_dir)
file = path_of("a file that exists", Path.is_file)


def bucket(name: str, value: str, _project: Project) -> None:
    """Accept a bucket without an object path, with or without `gs://` and a slash at the end."""
    if not BUCKET_NAME.fullmatch(value.removeprefix("gs://").removesuffix("/")):
        raise make_value_error(name, value, "a bucket without an object path, such as gs://old-files")


def fault(name: str, value: str, _project: Project) -> None:
    """Accept WHAT[@KINDS][xTIMES], such as 503 or drop@POST /pubsub."""
    match = FAULT.fullmatch(value)
    words = (*map(str, HTTP_STATUSES), "drop", "cut", "slow")
    if match is None or match["what"] not in words:
        raise make_value_error(name, value, f"WHAT[@KINDS][xTIMES] with WHAT one of {', '.join(words)}")
    try:
        with warnings.catch_warnings(action="ignore"):
            re.compile(match["kinds"] or "")
    except (re.error, OverflowError, RecursionError):
        raise make_value_error(
            name, value, "KINDS as a regular expression, such as drop@POST /pubsub"
        ) from None


def day(name: str, value: str, _project: Project) -> None:
    """Accept a date, or `generated` for a generated day."""
    if value == "made":
        raise UsageError(f"{name}: 'made' is now called '{GENERATED_DAY}'; type {name}={GENERATED_DAY}")
    try:
        found = value if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value) else ""
        if value != GENERATED_DAY:
            date.fromisoformat(found)
    except ValueError:
        raise make_value_error(
            name, value, f"{GENERATED_DAY}, or a day such as 2026-11-24", (GENERATED_DAY,)
        ) from None


def interpreter(name: str, value: str, _project: Project) -> None:
    """Accept the name of a Python on PATH, or its path."""
    try:
        found = Path(value).name.startswith("python") and shutil.which(value) is not None
    except (OSError, ValueError):
        found = False
    if not found:
        raise make_value_error(
            name, value, "Python 3.13 by its name on PATH or by its path, such as /usr/bin/python3.13"
        )


def words(name: str, value: str, _project: Project) -> None:
    """Accept words that are separated and quoted as in a shell, with every quotation mark closed."""
    try:
        shlex.split(value)
    except ValueError:
        raise make_value_error(name, value, "options of pytest, each quotation mark closed") from None


def text(_name: str, _value: str, _project: Project) -> None:
    """Accept any text: the step that reads it checks it."""


def url(name: str, value: str, _project: Project) -> None:
    """Accept the URL of an API."""
    if not re.match(r"https?://[^/\s]+", value):
        raise make_value_error(name, value, "a URL that begins with http:// or https://")
