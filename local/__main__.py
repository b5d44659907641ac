"""`python -m local demo|up|cloud|down`: run the stack in a local environment."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import requests

from commands.errors import UsageError
from commands.interrupts import run_interruptible
from commands.options import DEFAULT_ENVIRONMENT
from commands.parsing import Parser, check_environ, make_option_type
from commands.values import Project
from local.errors import HOST_FAULTS, LocalError, describe_host_fault
from local.feeds.city import prepare_city, split_cities, write_environment
from local.http.faults import Fault
from local.runs.cloud import run_cloud, start_cloud
from local.runs.demo import run_demo
from local.runs.options import Options
from local.runs.report import FILE, Report, render_report
from local.runs.terminal import Terminal
from local.runs.up import interrupt_on_first_signal, run_down, run_up
from local.stack.synthesis import ROOT, check_environment


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, run the command and return its exit status."""
    options, city = parse(arguments)
    terminal = Terminal()
    try:
        check_environ(os.environ)
        options = options if city is None else _find_cities(city, options)
        report = _run(options, terminal)
    except (UsageError, LocalError, OSError, KeyboardInterrupt) as error:
        status, sentence = _explain(error)
        print(sentence, file=sys.stderr)
        return status
    return _end(report, options, terminal) if report else 0


def _find_cities(names: str, options: Options) -> Options:
    """Return the options with the first GBFS system and its feed; later syntheses of this process find that feed.

    Of several systems, all are in [gbfs] of a copy of the environment, which later syntheses use.
    """
    folder, cache = Path(".local") / "gbfs", ROOT / ".cache" / "gbfs"
    cities = [prepare_city(name, folder, cache) for name in split_cities(names, cache)]
    city = cities[0]
    os.environ |= city.variables
    if len(cities) > 1:
        check_environment(options.environment, city.feed)
        file = Project(ROOT, os.environ).environments_folder / f"{options.environment}.toml"
        os.environ["VLILLE_ENVIRONMENTS"] = str(write_environment(cities, file, folder, cache))
    return replace(options, feed=city.feed, city=city)


def _run(options: Options, terminal: Terminal) -> Report | None:
    match options.mode:
        case "down":
            run_down(options, terminal)
            return None
        case "cloud":
            (start_cloud if options.detached else run_cloud)(options, terminal)
            return None
        case "demo":
            # A demo's data is disposable, so SIGTERM stops it as Ctrl-C does: child processes first.
            interrupt = interrupt_on_first_signal()
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, interrupt)
            return run_demo(options, terminal)
        case _:
            return run_up(options, terminal)


def _explain(error: BaseException) -> tuple[int, str]:
    """Return the exit status and the message for an error; raise an unexpected error again, with its traceback."""
    match error:
        case UsageError():
            return 2, f"error: {error}"
        case LocalError():
            return 1, f"\n{error}"
        case OSError() if error.errno in HOST_FAULTS:
            return 1, f"\n{describe_host_fault(error)}"
        case requests.ConnectionError():
            return (
                1,
                f"\nan emulator does not respond, so all processes were stopped: {error}; run the command again, or "
                "see its log in the folder logs of the environment",
            )
        case KeyboardInterrupt():
            return 130, "\ninterrupted: all processes were stopped"
        case _:
            raise error


def parse(arguments: list[str] | None) -> tuple[Options, str | None]:
    """Parse the command line into options and the name of a city. An invalid one exits with status 2 and a message."""
    parser = Parser("python -m local", description=__doc__)
    modes = parser.add_subparsers(dest="mode", required=True)
    demo = modes.add_parser(
        "demo", help="collect some ticks in simulated time, then archive, rebuild and report"
    )
    up = modes.add_parser("up", help="run in real time until Ctrl-C")
    cloud = modes.add_parser(
        "cloud", help="serve an empty project for Terraform to deploy into, until `down`"
    )
    down = modes.add_parser("down", help="stop what `up` or `cloud` left running")
    for each in (demo, up, cloud, down):
        each.add_argument(
            "--env",
            type=make_option_type("ENV", os.environ),
            default=DEFAULT_ENVIRONMENT,
            metavar="NAME",
            help=f"a file of environments/ ({DEFAULT_ENVIRONMENT})",
        )
    demo.add_argument("--open", action="store_true", help="serve the dashboard at the end, until Ctrl-C")
    for each in (demo, up, cloud):
        source = each.add_mutually_exclusive_group()
        source.add_argument(
            "--feed",
            type=make_option_type("FEED", os.environ),
            metavar="NAME",
            help="a folder of sources/ instead of the environment's feed",
        )
        if each is not cloud:
            source.add_argument(
                "--city",
                type=make_option_type("CITY", os.environ),
                metavar="NAME",
                help="a public GBFS system instead of the environment's feed: its ID, name or city, or several",
            )
        each.add_argument(
            "--replay",
            type=_replay,
            metavar="PATH",
            help="a recorded response or a folder of them, instead of the API",
        )
        each.add_argument(
            "--day",
            type=make_option_type("DAY", os.environ),
            help="generated: a day of 289 generated stations, instead of the API",
        )
    demo.add_argument("--ticks", type=_ticks, default=5, metavar="N", help="number of minutes to collect (5)")
    up.add_argument("--ticks", type=_ticks, metavar="N", help="stop after N ticks, then archive and rebuild")
    cloud.add_argument(
        "--detached",
        action="store_true",
        help="run in the background; print the environment variables that reach it",
    )
    cloud.add_argument(
        "--record", type=Path, metavar="FILE", help="write each request of a deploy to this file"
    )
    cloud.add_argument(
        "--fault",
        type=_fault,
        metavar="WHAT[@KINDS][xTIMES]",
        help="inject failures into the next command's requests",
    )
    for each in (demo, up):
        each.add_argument(
            "--fault",
            type=_fault,
            metavar="WHAT[@KINDS][xTIMES]",
            help="inject failures into the workloads' first requests of each kind to Cloud Storage and BigQuery",
        )
    for each in (up, cloud):
        each.add_argument(
            "--speed", type=_speed, default=1.0, metavar="N", help="run N times as fast as real time (1)"
        )
    given = vars(parser.parse_args(arguments))
    city = given.pop("city", None)
    return Options(given.pop("mode"), given.pop("env"), **given), city


def _replay(text: str) -> Path:
    return Path(make_option_type("REPLAY", os.environ)(text))


def _ticks(text: str) -> int:
    return int(make_option_type("TICKS", os.environ)(text))


def _fault(text: str) -> Fault:
    return Fault.parse(make_option_type("FAULT", os.environ)(text))


def _speed(text: str) -> float:
    return float(make_option_type("SPEED", os.environ)(text))


def _end(report: Report, options: Options, terminal: Terminal) -> int:
    terminal.show(render_report(report))
    print(f"\nData and logs: {options.folder}/, figures: {options.folder / FILE}")
    if report.page:
        print(f"Dashboard page with this data, to open from disk: {report.page}")
    if report.problem:
        print(f"\n{report.problem}\nlogs: {options.folder / 'logs'}/", file=sys.stderr)
    return 1 if report.problem else 0


if __name__ == "__main__":
    sys.exit(run_interruptible(main))
