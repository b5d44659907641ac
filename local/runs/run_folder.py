"""The folder of an environment: its lock, the mode its data belongs to, and the state between runs."""

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local.environment.resources import Json
from local.processes.supervisor import Supervisor
from local.runs.options import Options
from local.runs.terminal import Terminal
from local.stack.synthesis import synthesize

RECORD = "processes.json"
STATE = "state.json"
PERSISTENT_MODES = {"up": "`make up`", "cloud": "`make deploy TO=local`"}  # modes whose data is kept


@contextmanager
def open_run_folder(options: Options, terminal: Terminal) -> Iterator[Supervisor]:
    """Lock the environment's folder and prepare it for the mode; stop all child processes at the end.

    The data of a demo is deleted. That of another mode is moved aside, after a check that the stack can be
    synthesized, and moved back when that mode runs again. Raises AlreadyRunningError, and LocalError with a mistake
    in the stack.
    """
    folder = options.folder
    supervisor = Supervisor(folder / RECORD)
    before, own = read_state(folder).get("mode"), find_kept_data(options)
    try:
        if before in PERSISTENT_MODES and before != options.mode:
            synthesize(supervisor, options.environment, options.feed, folder)
            supervisor.stop_all()
            aside = folder.with_name(f"{folder.name}.{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
            folder.rename(aside)
            terminal.print_line(f"{folder} had data of {PERSISTENT_MODES[before]}, which is now in {aside}")
            supervisor = Supervisor(folder / RECORD)
        elif before not in PERSISTENT_MODES:
            _clear_folder(folder)
        if own is not None and own != folder:
            supervisor.stop_all()
            shutil.rmtree(folder)
            own.rename(folder)
            terminal.print_line(
                f"{own} had data of {PERSISTENT_MODES[options.mode]}, which is in {folder} again"
            )
            supervisor = Supervisor(folder / RECORD)
        if (former := folder / "control").is_dir():  # of an earlier version
            former.rename(folder / "control_plane")
        if options.mode != "cloud":
            # Unless Terraform created them, resources are always created from the stack again.
            shutil.rmtree(folder / "control_plane", ignore_errors=True)
        write_state(folder, mode=options.mode)
        supervisor.on_restart.append(terminal.print_line)
        yield supervisor
    finally:
        supervisor.stop_all()


def find_kept_data(options: Options) -> Path | None:
    """Return the folder with the data of an earlier run of this mode, possibly moved aside, or None.

    None is also returned where the environment's folder was removed, which means to start anew.
    """
    folder = options.folder
    before = read_state(folder).get("mode")
    if options.mode not in PERSISTENT_MODES or before is None:
        return None
    if before == options.mode:
        return folder
    asides = folder.parent.glob(f"{folder.name}.{'[0-9]' * 8}T{'[0-9]' * 6}Z")
    own = [each for each in asides if read_state(each).get("mode") == options.mode]
    return max(own, default=None)


def read_state(folder: Path) -> Json:
    """Return the state that an earlier run left, or nothing."""
    try:
        found = json.loads((folder / STATE).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


_state_lock = threading.Lock()


def write_state(folder: Path, **changes: Any) -> None:
    """Save state for the next run; safe to use from any thread."""
    temporary = folder / f"{STATE}.tmp"
    with _state_lock:
        temporary.write_text(json.dumps(read_state(folder) | changes, indent=1))
        temporary.replace(folder / STATE)


def _clear_folder(folder: Path) -> None:
    for each in folder.iterdir():
        if each.name.startswith("processes."):
            continue
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        else:
            each.unlink()
