"""The SQL prompt: what ends a statement, what is printed, what a mistake does."""

import io
import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operate.data import prompt
from operate.data.prompt import (
    MOST_ROWS,
    QueryFailedError,
    QueryResult,
    render_result,
    run_prompt,
    split_statements,
)
from operate.deployed_commands import QUERY_COMMANDS

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "statements", "rest"),
    [
        ("SELECT 1", [], "SELECT 1"),
        ("SELECT 1;", ["SELECT 1"], ""),
        ("SELECT 1; SELECT 2;\nSELECT", ["SELECT 1", "SELECT 2"], "\nSELECT"),
        ("SELECT ';' AS a;", ["SELECT ';' AS a"], ""),
        ("SELECT 'it\\'s;' ;", ["SELECT 'it\\'s;'"], ""),
        ('SELECT """a;"b""";', ['SELECT """a;"b"""'], ""),
        ("SELECT `a;b` FROM t; x", ["SELECT `a;b` FROM t"], " x"),
        ("SELECT 1 -- not here; \n;", ["SELECT 1 -- not here;"], ""),
        ("SELECT 1 /* ; \n ; */;", ["SELECT 1 /* ; \n ; */"], ""),
        (";;", [], ""),
        ("SELECT 'open; ", [], "SELECT 'open; "),
    ],
)
def test_a_semicolon_ends_a_statement_but_in_texts_and_comments(
    text: str, statements: list[str], rest: str
) -> None:
    found, left = split_statements(text)
    if text.startswith("SELECT 'open"):  # a text without its end is not one yet: the next line may have it
        found, left = split_statements(text + "' x;")
        assert found == ["SELECT 'open; ' x"]
        return
    assert (found, left) == (statements, rest)


@given(st.lists(st.text(alphabet="abc 1=*\n", min_size=1).map(str.strip).filter(bool)))
def test_statements_joined_by_semicolons_are_split_again(statements: list[str]) -> None:
    assert split_statements(";".join([*statements, ""])) == (statements, "")


class Numbers:
    """Returns n rows for the statement `n`, and refuses everything else."""

    def __init__(self) -> None:
        self.requested: list[str] = []

    def run_query(self, sql: str) -> QueryResult:
        self.requested.append(sql)
        if not sql.isdigit():
            raise QueryFailedError(f"Syntax error: {sql}")
        return QueryResult(["name", "n"], ((f"row {n}", str(n)) for n in range(int(sql))), "1 MiB billed")

    def list_tables(self) -> list[str]:
        return ["d.a", "d.b"]


def lines(*texts: str) -> Callable[[str], str | None]:
    left = iter(texts)
    return lambda _shown: next(left, None)


def test_statements_run_and_a_failed_one_does_not_end_the_prompt() -> None:
    database, out = Numbers(), io.StringIO()
    assert run_prompt(database, lines(".tables", "nonsense;", "", "2", ";", "1"), out) == 1
    assert database.requested == ["nonsense", "2", "1"]
    assert out.getvalue() == (
        "d.a\nd.b\n"
        "error: Syntax error: nonsense\n"
        "name  | n\n------+--\nrow 0 | 0\nrow 1 | 1\n(2 rows; 1 MiB billed)\n"
        "name  | n\n------+--\nrow 0 | 0\n(1 row; 1 MiB billed)\n"
    )


def test_quit_ends_the_prompt_and_an_unknown_command_is_explained() -> None:
    database, out = Numbers(), io.StringIO()
    assert run_prompt(database, lines(".hlp", ".quit", "1;"), out) == 0
    assert database.requested == []
    assert ".tables  lists tables and views" in out.getvalue()


def test_ctrl_c_discards_the_input_and_the_prompt_continues() -> None:
    typed = iter(["SELECT", KeyboardInterrupt, "1;"])

    def read(_shown: str) -> str | None:
        found = next(typed, None)
        if found is KeyboardInterrupt:
            raise KeyboardInterrupt
        return str(found) if found else None

    database = Numbers()
    assert run_prompt(database, read, io.StringIO()) == 0
    assert database.requested == ["1"]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], "a | long name\n--+----------\n(0 rows)"),
        (
            [("x", "1"), (None, None)],
            "a    | long name\n-----+----------\nx    |         1\nNULL |      NULL\n(2 rows)",
        ),
        ([("é\nè", "x")], "a   | long name\n----+----------\né⏎è | x\n(1 row)"),
    ],
)
def test_a_result_is_a_table(rows: list[tuple[str | None, ...]], expected: str) -> None:
    assert render_result(QueryResult(["a", "long name"], iter(rows))) == expected


def test_a_long_result_is_truncated_with_a_note() -> None:
    found = render_result(QueryResult(["n"], ((str(n),) for n in range(MOST_ROWS + 1))))
    assert found.endswith(f"\n(the first {MOST_ROWS} rows; `make export` writes a whole day)")
    assert len(found.splitlines()) == MOST_ROWS + 3


@pytest.mark.parametrize(("interactive", "status"), [(True, 0), (False, 1)])
def test_only_a_pipe_ends_with_the_status_of_its_queries(
    interactive: bool, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: interactive))
    monkeypatch.setattr(prompt, "run_prompt", lambda *_: 1)
    settings = SimpleNamespace(environment="dev", dataset="vlille", views_dataset_id="vlille_views")
    assert QUERY_COMMANDS["sql"](None, settings, None) == status  # type: ignore[arg-type]
