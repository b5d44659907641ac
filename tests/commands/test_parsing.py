"""The command lines of the packages: every usage error is one message with a suggestion, and no usage text."""

import pytest

from commands.parsing import Parser, make_option_type
from commands.values import JOBS

pytestmark = pytest.mark.unit


def make_parser() -> Parser:
    """A parser with two commands, as `python -m operate` has them."""
    parser = Parser("python -m operate")
    commands = parser.add_subparsers(dest="command", required=True)
    logs = commands.add_parser("logs")
    logs.add_argument("--job", type=make_option_type("JOB", {}))
    logs.add_argument("--lines", type=make_option_type("LINES", {}), required=True)
    commands.add_parser("orphans")
    commands.add_parser("sql").add_argument("--local", action="store_true")
    return parser


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "command: this argument is missing; `python -m operate --help` describes it"),
        (["log"], "command: found 'log' (did you mean \"logs\"?); accepted: logs, orphans, sql"),
        (["leftovers"], "command: 'leftovers' is now called 'orphans'"),
        (["logs"], "LINES: this argument is missing; `python -m operate logs --help` describes it"),
        (["logs", "--lines"], "LINES: expected one argument"),
        (["logs", "--lines=many"], "LINES: found 'many'; accepted: a whole number from 1 to 1000"),
        (
            ["logs", "--lines=3", "--job=colect"],
            f"JOB: found 'colect' (did you mean \"collect\"?); accepted: {', '.join(JOBS)}",
        ),
        (["logs", "--lines=3", "--jobs=copy"], '--jobs: unknown argument (did you mean "--job"?)'),
        (["logs", "--lines=3", "--line\n"], r'--line\n: unknown argument (did you mean "--lines"?)'),
        (["sql", "--here"], "--here: this argument is now called --local; type --local instead"),
        (["orphans", "--here"], '--here: unknown argument (did you mean "--help"?)'),
        (["orphans", "extra"], "extra: unknown argument"),
    ],
)
def test_a_usage_error_is_one_message(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        make_parser().parse_args(argv)
    assert ended.value.code == 2
    assert capsys.readouterr() == ("", f"error: {message}\n")


def test_valid_options_are_parsed() -> None:
    options = make_parser().parse_args(["logs", "--lines=3", "--job=copy"])
    assert (options.command, options.lines, options.job) == ("logs", "3", "copy")
