"""The command lines of `python -m operate|local|delivery`, with the same checks as those of `make`."""

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from commands.errors import UsageError, format_suggestion, quote_value
from commands.options import RENAMED_ARGUMENTS, RENAMED_TARGETS, check_option
from commands.values import Project
from commands.variables import check_variables

ROOT = Path(__file__).resolve().parents[1]


class Parser(argparse.ArgumentParser):
    """Ends the program with one sentence and status 2, never with a usage text; options are written in full."""

    def __init__(self, *arguments: object, **more: object) -> None:
        super().__init__(*arguments, **{"allow_abbrev": False, **more})  # type: ignore[arg-type]

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """Parse as argparse does; an unknown word is named together with the option that it resembles."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            word = unknown[0].partition("=")[0]
            known = self._chosen_parser(found)._option_string_actions
            if (new := RENAMED_ARGUMENTS.get(word)) in known:
                self.error(f"{word}: this argument is now called {new}; type {new} instead")
            self.error(f"{quote_value(word)[1:-1]}: unknown argument{format_suggestion(word, known)}")
        return found

    def error(self, message: str) -> NoReturn:
        """End the program; an option is named as `make` calls it, which is what most users type: TICKS for --ticks."""
        sentence = message
        if match := re.fullmatch(
            r"argument (\S+): invalid choice: '(.*)' \(choose from (.*)\)", message, re.DOTALL
        ):
            sentence = _refuse_choice(match[1], match[2], re.findall(r"'([^']*)'", match[3]))
        elif match := re.fullmatch(r"the following arguments are required: (.*)", message):
            sentence = f"argument {match[1]}: this argument is missing; `{self.prog} --help` describes it"
        sentence = re.sub(r"^argument (?:--([a-z-]+)|(\w+)):", _name_as_make_does, sentence)
        self.exit(
            2, f"error: {''.join(each if each.isprintable() else repr(each)[1:-1] for each in sentence)}\n"
        )

    def _chosen_parser(self, found: argparse.Namespace) -> argparse.ArgumentParser:
        """Return the parser of the command that was given, this one where there are no commands."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                parser: argparse.ArgumentParser = action.choices[getattr(found, action.dest)]
                return parser
        return self


def _refuse_choice(argument: str, value: str, accepted: Sequence[str]) -> str:
    if (new := RENAMED_TARGETS.get(value)) in accepted:
        return f"argument {argument}: {quote_value(value)} is now called {quote_value(str(new))}"
    found = f"found {quote_value(value)}{format_suggestion(value, accepted)}"
    return f"argument {argument}: {found}; accepted: {', '.join(accepted)}"


def _name_as_make_does(match: re.Match[str]) -> str:
    return f"{match[1].upper().replace('-', '_')}:" if match[1] else f"{match[2]}:"


def make_option_type(name: str, environ: Mapping[str, str], root: Path = ROOT) -> Callable[[str], str]:
    """Return a `type` for argparse that checks a value as the option of `make` is checked."""
    project = Project(root, environ)

    def check(value: str) -> str:
        try:
            check_option(name, value, project)
        except UsageError as error:
            raise argparse.ArgumentTypeError(str(error).removeprefix(f"{name}: ")) from None
        return value

    return check


def check_environ(environ: Mapping[str, str], root: Path = ROOT) -> None:
    """Raise UsageError for an environment variable of the project that is unknown or invalid."""
    check_variables(Project(root, environ))
