"""Synthesize an environment as `make synth` does, into its folder of the local run."""

import os
import sys
from pathlib import Path

from cdk.settings import Settings, SettingsError, load_environments
from commands.values import Project
from feed import FeedError, load_feeds
from local.errors import LocalError, ProcessError
from local.processes.supervisor import Supervisor
from local.stack.loading import FILE

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 600.0  # the first synthesis downloads packages for the cluster


def check_environment(environment: str, feed: str | None = None) -> Settings:
    """Return an environment's settings. Raises LocalError if it does not exist, or its file is invalid.

    A synthesis would find that too, but only after the data of the previous demo is gone.
    """
    project = Project(ROOT, os.environ)
    if environment not in (known := project.environments):
        folder = project.environments_folder.name
        raise LocalError(
            f"environment {environment!r} does not exist: {folder}/ has {', '.join(known) or 'none'}"
        )
    try:
        feeds = load_feeds(Path(os.environ.get("VLILLE_SOURCES", ROOT / "sources")))
        return load_environments(project.environments_folder, feeds, feed=feed, only=environment)[environment]
    except (SettingsError, FeedError) as error:
        raise LocalError(str(error)) from error


def synthesize(supervisor: Supervisor, environment: str, feed: str | None, folder: Path) -> Path:
    """Run `stacks.py` for one environment and return the folder of its `cdk.tf.json`.

    `feed` replaces the environment's feed. Raises LocalError with the error of `stacks.py`.
    """
    output, log = (folder / "synth").resolve(), folder / "logs" / "synth.log"
    wanted = {"VLILLE_ENV": environment, "CDKTF_OUTDIR": str(output)} | (
        {"VLILLE_FEED": feed} if feed else {}
    )
    begin = log.stat().st_size if log.exists() else 0
    try:
        supervisor.run(
            "synth",
            [sys.executable, str(ROOT / "stacks.py")],
            env=os.environ | wanted,
            cwd=ROOT,
            log=log,
            timeout_s=TIMEOUT_S,
        )
    except ProcessError as error:
        message = log.read_text(errors="replace")[begin:].strip()
        # A mistake in the settings or a feed is one line; anything longer is an internal error.
        raise LocalError(message) if message and "\n" not in message else error from None
    # The bootstrap stack is not used: the local run needs no project to be prepared.
    stack = output / "stacks" / f"vlille-{environment}"
    if not (stack / FILE).is_file():
        raise LocalError(f"{output} has no stack vlille-{environment} after the synthesis: see {log}")
    return stack
