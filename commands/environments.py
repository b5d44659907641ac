"""`python -m commands.environments`: the environments as a matrix of GitHub's jobs, for .github/workflows.

It needs Python alone, so that the job that runs it installs nothing.
"""

import json
import os
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

from commands.errors import UsageError
from commands.values import Project, environment

ROOT = Path(__file__).resolve().parents[1]


def build_matrix(project: Project) -> list[dict[str, str]]:
    """Return each environment's name, and how its repository variables begin, in the order of deployment.

    Environments that protect their data come last; within each kind names are sorted. Raises ValueError for a
    file that is not TOML.
    """

    def key(name: str) -> tuple[bool, str]:
        file = project.environments_folder / f"{name}.toml"
        try:
            return tomllib.loads(file.read_text("utf-8")).get("protected") is not False, name
        except ValueError as error:
            raise ValueError(f"{file.name}: {error}") from None

    return [{"name": name, "prefix": name.upper()} for name in sorted(project.environments, key=key)]


def main(environ: Mapping[str, str] = os.environ, root: Path = ROOT) -> int:
    """Print `all=` and the matrix as JSON, for the file that GITHUB_OUTPUT names; return the exit status.

    ENV leaves the environment of that name alone.
    """
    project = Project(root, environ)
    try:
        found = build_matrix(project)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if not found:
        folder = project.environments_folder
        print(f"error: {folder} has no environment: add a file such as {folder}/dev.toml", file=sys.stderr)
        return 1
    if only := environ.get("ENV"):
        try:
            environment("ENV", only, project)
        except UsageError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        found = [each for each in found if each["name"] == only]
    line = f"all={json.dumps(found)}\n"
    if "GITHUB_OUTPUT" in environ:
        with Path(environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as file:
            file.write(line)
    print(line, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
