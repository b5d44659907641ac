"""`make sql`: an interactive prompt for GoogleSQL, for BigQuery or a local warehouse. Also reads from a pipe."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TextIO

PROMPT, CONTINUED = "sql> ", "...> "
MOST_ROWS = 200  # printed of one result
WIDEST = 60  # of a column
HELP = "End a query with ;\n.tables  lists tables and views\n.quit    ends this, as Ctrl-D does"
# A semicolon inside of these does not end a statement: strings, names in backticks, comments.
PIECES = re.compile(
    r"""'''.*?'''|\"\"\".*?\"\"\"|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`[^`]*`|--[^\n]*|\#[^\n]*|/\*.*?\*/|;|.""",
    re.DOTALL,
)


class QueryFailedError(Exception):
    """A query failed; the message says why.

    What to do: correct the statement, or filter by time so that it reads less.
    """


@dataclass(frozen=True)
class QueryResult:
    """Columns and rows of a query as texts (None is NULL), and a note to print with them."""

    columns: Sequence[str]
    rows: Iterator[Sequence[str | None]]
    note: str = ""


class Database(Protocol):
    """A database that runs queries."""

    def run_query(self, sql: str) -> QueryResult:
        """Run a query. Raises QueryFailedError."""
        ...

    def list_tables(self) -> list[str]:
        """Return the names of tables and views that can be queried."""
        ...


def split_statements(text: str) -> tuple[list[str], str]:
    """Return the statements of a text that a semicolon ends, without it, and what follows the last one."""
    done: list[str] = []
    current: list[str] = []
    for piece in PIECES.findall(text):
        if piece == ";":
            done.append("".join(current).strip())
            current = []
        else:
            current.append(piece)
    return [each for each in done if each], "".join(current)


def run_prompt(database: Database, read: Callable[[str], str | None], out: TextIO) -> int:
    """Run statements until `read` returns None; return how many failed.

    `read` is given what to show before the line. What is left without a semicolon in the end is a statement too.
    """
    pending, failed = "", 0
    while True:
        try:
            line = read(CONTINUED if pending.strip() else PROMPT)
        except KeyboardInterrupt:  # leaves out what was typed so far
            print(file=out)
            pending = ""
            continue
        if line is None or (not pending.strip() and line.strip() in (".quit", ".exit")):
            break
        if not pending.strip() and line.strip().startswith("."):
            print("\n".join(database.list_tables()) if line.strip() == ".tables" else HELP, file=out)
            continue
        statements, pending = split_statements(pending + line + "\n")
        failed += sum(not _execute_statement(database, each, out) for each in statements)
    if pending.strip():
        failed += not _execute_statement(database, pending.strip(), out)
    return failed


def render_result(result: QueryResult) -> str:
    """Return a result as a table of at most MOST_ROWS rows, numbers to the right, with how many rows there are."""
    rows = [[_format_cell(value) for value in row] for row in islice(result.rows, MOST_ROWS)]
    more = next(result.rows, None) is not None
    widths = [max(len(name), *(len(row[n]) for row in rows), 0) for n, name in enumerate(result.columns)]
    numeric = [bool(rows) and all(_is_number(row[n]) for row in rows) for n in range(len(widths))]

    def line(cells: Sequence[str]) -> str:
        aligned = zip(cells, widths, numeric, strict=True)
        return " | ".join(
            cell.rjust(wide) if right else cell.ljust(wide) for cell, wide, right in aligned
        ).rstrip()

    table = [line(result.columns), "-+-".join("-" * wide for wide in widths), *map(line, rows)]
    count = f"{len(rows)} row{'' if len(rows) == 1 else 's'}"
    if more:
        count = f"the first {count}; `make export` writes a whole day"
    beside = f"; {result.note}" if result.note else ""
    return "\n".join([*table, f"({count}{beside})"])


def _execute_statement(database: Database, sql: str, out: TextIO) -> bool:
    try:
        print(render_result(database.run_query(sql)), file=out, flush=True)
    except QueryFailedError as error:
        print(f"error: {error}", file=out, flush=True)
        return False
    except KeyboardInterrupt:
        print("interrupted", file=out, flush=True)
        return False
    return True


def _format_cell(value: str | None) -> str:
    if value is None:
        return "NULL"
    line = value.replace("\n", "⏎")
    return line if len(line) <= WIDEST else f"{line[: WIDEST - 1]}…"


def _is_number(text: str) -> bool:
    return text == "NULL" or re.fullmatch(r"-?\d+(\.\d+)?(e[+-]?\d+)?", text) is not None
