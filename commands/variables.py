"""The environment variables of the project, checked as options are."""

import json
from collections.abc import Mapping
from pathlib import Path

from commands import values
from commands.errors import UsageError, format_suggestion, quote_value
from commands.options import DEFAULT_ENVIRONMENT, TARGETS
from commands.values import Check, Project, make_value_error

PREFIX = "VLILLE_"


def _json_object(name: str, value: str, _project: Project) -> None:
    try:
        right = isinstance(json.loads(value), dict)
    except (ValueError, RecursionError):
        right = False
    if not right:
        raise make_value_error(name, value, "a JSON object, as a deploy sets it")


def _output_folder(name: str, value: str, project: Project) -> None:
    """Accept a folder that exists or can be created, but not the checkout or a parent of it."""
    try:
        path = Path(value).resolve()
        wrong = path == project.root or path in project.root.parents or (path.exists() and not path.is_dir())
    except (OSError, ValueError):
        wrong = True
    if wrong:
        raise make_value_error(name, value, "a folder of its own for what a synth writes, such as cdktf.out")


# Former names of variables.
RENAMED = {"VLILLE_HERE": "VLILLE_LOCAL"}
VARIABLES: dict[str, Check] = {
    "VLILLE_ENV": values.environment,
    "VLILLE_FEED": values.feed,
    "VLILLE_ENVIRONMENTS": values.folder,
    "VLILLE_SOURCES": values.folder,
    "VLILLE_CDK": values.one_of("cdktf", "cdktn"),
    "VLILLE_PROVIDER_MIRROR": values.folder,
    "VLILLE_ADOPT": _json_object,
    "VLILLE_LOCAL": values.switch,
    "VLILLE_FAULTS": values.url,
    "VLILLE_PYTHON": values.file,
    "VLILLE_RECORDED": values.text,
    "VLILLE_RUN_ENDPOINT": values.url,
    "VLILLE_BUILD_ENDPOINT": values.url,
    "VLILLE_REGISTRY_ENDPOINT": values.url,
    "VLILLE_LOGGING_ENDPOINT": values.url,
    "CDKTF_OUTDIR": _output_folder,
}
# What each variable does, for docs/reference/commands.md; from VLILLE_ADOPT on, commands set them for other programs.
VARIABLE_DESCRIPTIONS: dict[str, str] = {
    "VLILLE_ENV": "synthesizes this environment only",
    "VLILLE_FEED": "collects this feed instead of the environment's",
    "VLILLE_ENVIRONMENTS": "the folder whose files are the environments, instead of `environments/`",
    "VLILLE_SOURCES": "the folder of feeds, instead of `sources/`",
    "VLILLE_CDK": "`cdktn` runs the stacks on the maintained fork; the default is `cdktf`",
    "VLILLE_PROVIDER_MIRROR": "a folder made by `terraform providers mirror`, from which the provider is installed",
    "VLILLE_PYTHON": "the Python that runs the build script of the images, instead of the one in `.venv`",
    "VLILLE_RECORDED": "the recorded response that generated archives of a benchmark are made from",
    "CDKTF_OUTDIR": "the folder that `make synth` writes to, instead of `cdktf.out`",
    "VLILLE_ADOPT": "JSON, by stack and address: IDs of resources to import, which exist and are in no state",
    "VLILLE_LOCAL": "`1` directs a command to the local environment",
    "VLILLE_FAULTS": "the address to which a local deploy sends the calls that shall fail",
    "VLILLE_RUN_ENDPOINT": "the address of the local environment's Cloud Run API",
    "VLILLE_BUILD_ENDPOINT": "the address of the local environment's Cloud Build API",
    "VLILLE_REGISTRY_ENDPOINT": "the address of the local environment's Artifact Registry API",
    "VLILLE_LOGGING_ENDPOINT": "the address of the local environment's Cloud Logging API",
}


def check_variables(project: Project) -> None:
    """Raise UsageError for a variable of the project that is invalid, and for an unknown one with its prefix."""
    for name, value in project.environ.items():
        if name not in VARIABLES:
            if new := RENAMED.get(name):
                raise UsageError(f"{name}: this variable is now called {new}; run `unset {name}`")
            if name.startswith(PREFIX):
                raise UsageError(
                    f"{quote_value(name)[1:-1]}: unknown variable{format_suggestion(name, VARIABLES)}; run "
                    f"`unset {name}`, or see docs/reference/commands.md for what there is"
                )
        elif not value:
            raise UsageError(f"{name}: the value is empty; give one, or run `unset {name}`")
        else:
            VARIABLES[name](name, value, project)


def check_agreement(target: str, options: Mapping[str, str], project: Project) -> None:
    """Raise UsageError if an option contradicts an exported variable of the same meaning."""
    accepted = TARGETS[target].options
    for option, variable in (("ENV", "VLILLE_ENV"), ("FEED", "VLILLE_FEED")):
        exported = project.environ.get(variable)
        # Without ENV, a synth is of VLILLE_ENV, or of every environment.
        default = DEFAULT_ENVIRONMENT if option == "ENV" and target != "synth" else exported
        meant = options.get(option, default)
        if option in accepted and exported and meant != exported:
            raise UsageError(
                f"make {target} means {option}={meant} and {variable} is {exported}: type {option}={exported}, or run "
                f"`unset {variable}`"
            )
