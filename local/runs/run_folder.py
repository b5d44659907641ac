"""The folder of an environment: who holds it, which mode its data belongs to, and its state between runs."""

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
PERSISTENT_MODES = {"up": "`make up`", "cloud": "`make deploy TO=local`"}  # modes whose data is never wiped


@contextmanager
def open_run_folder(options: Options, terminal: Terminal) -> Iterator[Supervisor]:
    """Hold the environment's folder for this process, made ready for the mode; end all children at the end.

    A demo's data is disposable, that of the other modes is not: it is moved aside for another mode, once it is
    known that the stack can be synthesized, and back for its own. Raises AlreadyRunningError, and LocalError
    with what is wrong with the stack.
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
            terminal.print_line(f"{folder} held data of {PERSISTENT_MODES[before]}: it is now {aside}")
            supervisor = Supervisor(folder / RECORD)
        elif before not in PERSISTENT_MODES:
            _clear_folder(folder)
        if own is not None and own != folder:
            supervisor.stop_all()
            shutil.rmtree(folder)
            own.rename(folder)
            terminal.print_line(
                f"{own} held data of {PERSISTENT_MODES[options.mode]}: it is {folder} again, and goes on"
            )
            supervisor = Supervisor(folder / RECORD)
        if options.mode != "cloud":
            # Where no Terraform made it, the control plane is always made anew, from the stack.
            shutil.rmtree(folder / "control", ignore_errors=True)
        write_state(folder, mode=options.mode)
        supervisor.on_restart.append(terminal.print_line)
        yield supervisor
    finally:
        supervisor.stop_all()


def find_kept_data(options: Options) -> Path | None:
    """Return the folder with the data that this mode goes on with, perhaps moved aside; None where it begins anew.

    A folder that is not there was removed to begin anew.
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
    """Return what an earlier run left about itself; nothing where there was none."""
    try:
        found = json.loads((folder / STATE).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


_state_lock = threading.Lock()


def write_state(folder: Path, **changes: Any) -> None:
    """Keep something about this run for the next one; safe to use from any thread."""
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
