"""The command lines of the packages: `python -m operate|local|delivery`, by the same rules as those of `make`."""

import argparse
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from commands.errors import UsageError
from commands.options import check_option
from commands.values import Project
from commands.variables import check_variables

ROOT = Path(__file__).resolve().parents[1]


class Parser(argparse.ArgumentParser):
    """Ends with one sentence and status 2; an option has to be written in full."""

    def __init__(self, *arguments: object, **more: object) -> None:
        super().__init__(*arguments, **{"allow_abbrev": False, **more})  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """End the program; options are called as `make` calls them, which most users type: TICKS for --ticks."""
        sentence = re.sub(r"argument --([a-z-]+):", _option, message)
        self.exit(
            2, f"error: {''.join(each if each.isprintable() else repr(each)[1:-1] for each in sentence)}\n"
        )


def _option(match: re.Match[str]) -> str:
    return f"{match[1].upper().replace('-', '_')}:"


def option(name: str, environ: Mapping[str, str], root: Path = ROOT) -> Callable[[str], str]:
    """Return what argparse takes as `type` for an option of `make`: its value, once it is checked."""
    project = Project(root, environ)

    def check(value: str) -> str:
        try:
            check_option(name, value, project)
        except UsageError as error:
            raise argparse.ArgumentTypeError(str(error).removeprefix(f"{name}: ")) from None
        return value

    return check


def check_environ(environ: Mapping[str, str], root: Path = ROOT) -> None:
    """Raise UsageError for a variable of the environment that the project cannot use."""
    check_variables(Project(root, environ))
