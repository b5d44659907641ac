"""Every target of the Makefile with the options that it accepts, and every option with its values.

An option is a variable that the user types behind `make`, such as `make deploy ENV=dev`. To add one, name it in
OPTIONS and in the targets that accept it; `make help` shows both.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from commands import values
from commands.errors import UsageError, format_suggestion, quote_value
from commands.values import Check, Project

LOCAL_TARGET = "local"  # the value of TO for the local environment
DEFAULT_ENVIRONMENT = "dev"

OPTIONS: dict[str, Check] = {
    "ENV": values.environment,
    "TO": values.one_of(LOCAL_TARGET, renamed={"here": LOCAL_TARGET}),
    "FEED": values.feed,
    "CITY": values.city,
    "REPLAY": values.readable_path,
    "DAY": values.day,
    "FORMAT": values.one_of("parquet", "csv"),
    "SYSTEM": values.system,
    "TICKS": values.whole_number(1, values.MOST_TICKS),
    "SPEED": values.decimal_number(0.1, 3600),
    "FAULT": values.fault,
    "JOB": values.one_of(*values.JOBS),
    "LINES": values.whole_number(1, values.MOST_LINES),
    "SOURCE": values.bucket,
    "DRY_RUN": values.switch,
    "MOVE": values.switch,
    "YES": values.switch,
    "OPEN": values.switch,
    "SECONDS": values.whole_number(1, values.MOST_SECONDS),
    "FIRST_SEED": values.whole_number(0, 999_999_999),
    "REAL": values.switch,
    "BEFORE": values.folder,
    "AFTER": values.folder,
    "NAME": values.text,
    "REVIEWED": values.text,
    "PYTEST_OPTIONS": values.words,
    "PYTHON": values.interpreter,
}
# What each option decides, for docs/reference/commands.md. PYTHON is the last one, since every target accepts it.
DESCRIPTIONS: dict[str, str] = {
    "ENV": "the environment",
    "TO": "the target: the local environment instead of Google Cloud",
    "FEED": "the feed to collect, instead of the environment's",
    "CITY": "the GBFS system to collect, instead of a feed; several with commas, such as lille,paris",
    "REPLAY": "recorded responses that replace the API",
    "DAY": "for `make export` the day to write; for a local run `generated`, which replaces the API by a generated day",
    "FORMAT": "the file format of an export",
    "SYSTEM": "the GBFS system of `[gbfs]` to export, instead of the environment's feed",
    "TICKS": "how many minutes to collect",
    "SPEED": "how many times as fast as real time the simulated time passes",
    "FAULT": "calls that fail on demand: what happens, `@` and a regular expression of the calls, `x` and how often",
    "JOB": "the job of the environment",
    "LINES": "how many log lines to print",
    "SOURCE": "the bucket of old files to archive",
    "DRY_RUN": "prints what the command would do and cost, and does nothing",
    "MOVE": "deletes each old file once its days are rebuilt",
    "YES": "skips the confirmation",
    "OPEN": "keeps the dashboard open at the end, until Ctrl-C",
    "SECONDS": "how long to simulate",
    "FIRST_SEED": "the seed of the first simulated history",
    "REAL": "runs real processes instead of the simulation",
    "BEFORE": "the folder of the older stacks",
    "AFTER": "the folder of the newer stacks",
    "NAME": "the environment's name once more, which a person types on GitHub",
    "REVIEWED": "the digest of a plan that a person has read on GitHub",
    "PYTEST_OPTIONS": "more options for pytest",
    "PYTHON": "the interpreter that creates `.venv`",
}
# Former names of targets. The Makefile has a rule for each, so that the check can name the new one.
RENAMED_TARGETS = {"leftovers": "orphans"}
# Former names of options of `python -m operate`.
RENAMED_ARGUMENTS = {"--here": "--local"}
EXAMPLES = {"SOURCE": ", such as gs://old-files", "DAY": ", such as 2026-11-24"}
# Options of the process that TO=local starts.
ONLY_LOCAL = ("REPLAY", "DAY", "SPEED", "FAULT")


@dataclass(frozen=True)
class MakeTarget:
    """The options of a make target. One that changes something requires ENV, unless TO=local is given."""

    options: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    changes: str = ""

    @property
    def accepted(self) -> tuple[str, ...]:
        """All its options; each target accepts PYTHON, since each may be the first one, which installs `.venv`."""
        return (*self.options, "PYTHON")


def _cloud_target(*more: str, changes: bool = False, required: tuple[str, ...] = ()) -> MakeTarget:
    changed = "changes what is in Google Cloud" if changes else ""
    return MakeTarget(("ENV", "TO", "FEED", *ONLY_LOCAL, *more), required, changed)


def _workflow_target(*more: str) -> MakeTarget:
    return MakeTarget(("ENV", *more), changes="writes or decides in the name of an environment")


TARGETS: dict[str, MakeTarget] = {
    "help": MakeTarget(),
    "demo": MakeTarget(("ENV", "FEED", "CITY", "REPLAY", "DAY", "TICKS", "FAULT", "OPEN")),
    "up": MakeTarget(("ENV", "FEED", "CITY", "REPLAY", "DAY", "TICKS", "SPEED", "FAULT")),
    "down": MakeTarget(("ENV",)),
    "synth": MakeTarget(("ENV", "FEED")),
    "bootstrap": _cloud_target("YES", changes=True),
    "unbootstrap": _cloud_target("YES", changes=True),
    "diff": _cloud_target(),
    "deploy": _cloud_target("YES", changes=True),
    "outputs": _cloud_target(),
    "destroy": _cloud_target("YES", changes=True),
    "unlock": _cloud_target(changes=True),
    "review": _cloud_target(),
    "plan": _cloud_target(),
    "apply": _cloud_target(changes=True),
    "compare": MakeTarget(("ENV", "BEFORE", "AFTER")),
    "publish": _workflow_target(),
    "approve": _workflow_target("REVIEWED"),
    "drift": _workflow_target(),
    "confirm": _workflow_target("NAME"),
    "signin": _workflow_target(),
    "smoke": _cloud_target(),
    "open": _cloud_target(),
    "run": _cloud_target("JOB", changes=True, required=("JOB",)),
    "pause": _cloud_target("JOB", changes=True),
    "resume": _cloud_target("JOB", changes=True),
    "logs": _cloud_target("JOB", "LINES"),
    "orphans": _cloud_target(),
    "backfill": _cloud_target("SOURCE", "DRY_RUN", "MOVE", "YES", changes=True, required=("SOURCE",)),
    "sql": MakeTarget(("ENV", "TO")),
    "export": MakeTarget(("ENV", "TO", "DAY", "FORMAT", "SYSTEM"), required=("DAY",)),
    "setup": MakeTarget(),
    "test": MakeTarget(("PYTEST_OPTIONS",)),
    "unit": MakeTarget(("PYTEST_OPTIONS",)),
    "fuzz": MakeTarget(),
    "soak": MakeTarget(("SECONDS", "FIRST_SEED", "REAL")),
    "lint": MakeTarget(),
    "format": MakeTarget(),
    "checkov": MakeTarget(),
    "screenshots": MakeTarget(),
    "bench": MakeTarget(),
    "docs": MakeTarget(),
    "references": MakeTarget(),
    "lock": MakeTarget(),
    "pin": MakeTarget(),
    "audit": MakeTarget(),
    "clean": MakeTarget(),
}


def select_options(
    goals: Sequence[str], typed: Sequence[tuple[str, str]], project: Project
) -> dict[str, dict[str, str]]:
    """Return the checked options of each goal that is a target of the Makefile.

    `typed` are the names and values behind `make`. In GitHub's workflows, whose steps give options by `env:`, the
    variables of `project.environ` count as well. Raises UsageError for the first thing that is wrong.
    """
    for goal in goals:
        if goal in RENAMED_TARGETS:
            new = RENAMED_TARGETS[goal]
            raise UsageError(f"make {goal}: this target is now called {new}; run `make {new}` instead")
    targets = [goal for goal in goals or ("help",) if goal in TARGETS]
    accepted = list(dict.fromkeys(name for target in targets for name in TARGETS[target].accepted)) or [
        "PYTHON"
    ]
    given: dict[str, str] = {}
    for name, value in typed:
        _check_name(name, accepted, targets)
        if given.setdefault(name, value) != value:
            raise UsageError(
                f"{name}: found two values, {quote_value(value)} and {quote_value(given[name])}; type it once"
            )
    given = _read_workflow_options(accepted, project.environ) | given
    for name, value in given.items():
        check_option(name, value, project)
    selected = {target: _filter_by_target(given, target) for target in targets}
    for target, own in selected.items():
        _check_target(target, own, project)
    return selected


def check_option(name: str, value: str, project: Project) -> None:
    """Raise UsageError for a value that the option does not accept."""
    if not value:
        raise UsageError(
            f"{name}: the value is empty; give one, or leave {name} out{_format_accepted(name, project)}"
        )
    OPTIONS[name](name, value, project)


def needs_environment(target: str, *, local: bool) -> bool:
    """Return whether ENV is required: for a target that changes something outside this host."""
    return bool(TARGETS[target].changes) and not local


def _check_name(name: str, accepted: Iterable[str], targets: Sequence[str]) -> None:
    known = tuple(accepted)
    if name in known:
        return
    command = f"make {' '.join(targets)}".strip()
    takes = f"{command} accepts {', '.join(known)}"
    if name in OPTIONS:
        raise UsageError(f"{name}: {command} does not accept this option; {takes}")
    raise UsageError(f"{quote_value(name)[1:-1]}: unknown option{format_suggestion(name, known)}; {takes}")


def _filter_by_target(given: Mapping[str, str], target: str) -> dict[str, str]:
    return {name: value for name, value in given.items() if name in TARGETS[target].accepted}


def _check_target(target: str, given: Mapping[str, str], project: Project) -> None:
    local = "TO" in given
    _check_exported(target, given, project)
    if needs_environment(target, local=local) and "ENV" not in given:
        examples = project.environments
        raise UsageError(
            f"make {target} {TARGETS[target].changes}: name the environment "
            f"({', '.join(examples) or 'a file in environments/'}), such as "
            f"`make {target} ENV={next(iter(examples), 'NAME')}`"
        )
    for name in TARGETS[target].required:
        if name not in given:
            raise UsageError(
                f"make {target} needs {name}{EXAMPLES.get(name) or _format_accepted(name, project)}"
            )
    if "DAY" in given and (target == "export") == (given["DAY"] == values.GENERATED_DAY):
        wanted = "a day such as 2026-11-24" if target == "export" else values.GENERATED_DAY
        raise UsageError(f"DAY: found {quote_value(given['DAY'])}; make {target} accepts {wanted}")
    for name in ONLY_LOCAL:
        if target == "export":  # its DAY is a day of the data, local or in Google Cloud
            break
        if "TO" in TARGETS[target].options and name in given and not local:
            raise UsageError(
                f"{name}: applies to the local environment only; add TO={LOCAL_TARGET}, or leave {name} out"
            )
    if "REPLAY" in given and "DAY" in given:
        raise UsageError("REPLAY and DAY both replace the API: type one of them")
    for other in ("FEED", "DAY"):
        if "CITY" in given and other in given:
            raise UsageError(f"CITY and {other} both select what is collected: type one of them")
    if target == "compare":
        _check_compared(given, project)


def _check_compared(given: Mapping[str, str], project: Project) -> None:
    """Raise UsageError if a folder is compared with itself."""
    default = project.root / "cdktf.out" / "stacks"
    before, after = (Path(given[name]) if name in given else default for name in ("BEFORE", "AFTER"))
    if before.resolve() == after.resolve():
        raise UsageError(
            "make compare needs two folders of stacks: name the older one by BEFORE, the newer one by AFTER; "
            "the default of each is cdktf.out/stacks, which `make synth` writes"
        )


def _check_exported(target: str, given: Mapping[str, str], project: Project) -> None:
    """Reject an exported option: only options behind `make` have an effect, and it must not be ignored silently."""
    environ = project.environ
    if is_workflow(environ):
        return
    for name in TARGETS[target].options:
        if name in given or not (value := environ.get(name)):
            continue
        try:
            OPTIONS[name](name, value, project)
        except UsageError:
            if name != "TO":  # a variable of another program, such as ENV of a shell
                continue
        raise UsageError(
            f"{name}={quote_value(value)} is set in your shell, where it has no effect: type it behind "
            f"make {target}, or run `unset {name}`"
        )


def _read_workflow_options(accepted: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    if not is_workflow(environ):
        return {}
    # Actions set PYTHON for their own purposes; their step checks NAME and REVIEWED.
    left_out = ("PYTHON", "NAME", "REVIEWED")
    return {name: environ[name] for name in accepted if name not in left_out and environ.get(name)}


def is_workflow(environ: Mapping[str, str]) -> bool:
    """Return whether this runs in a job of GitHub's workflows."""
    return environ.get("GITHUB_ACTIONS") == "true"


def _format_accepted(name: str, project: Project) -> str:
    """Return `; accepted: dev, prod` if the values can be listed, else ""."""
    try:
        OPTIONS[name](name, "", project)
    except UsageError as error:
        return f"; accepted: {str(error).rpartition('; accepted: ')[2]}"
    return ""


def describe_accepted(name: str, project: Project) -> str:
    """Return what an option accepts, as the error for a value that cannot be used says it."""
    for value in ("", '"'):
        try:
            OPTIONS[name](name, value, project)
        except UsageError as error:
            return str(error).rpartition("; accepted: ")[2]
    return "any text"
