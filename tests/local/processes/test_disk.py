"""A write on a full disk is retried until there is space; SQLite itself reports a full database."""

import errno
import sqlite3
from pathlib import Path

import pytest

from local.processes import disk
from local.processes.disk import connect_sqlite, retry_while_disk_full

pytestmark = pytest.mark.unit


class Notes:
    """A table whose database is limited to `pages` pages of 4 KiB."""

    def __init__(self, file: Path, pages: int) -> None:
        self.database = connect_sqlite(file, synchronous="OFF")
        self.database.execute("CREATE TABLE notes (text TEXT)")
        self.limit(pages)
        self.attempts = 0

    def limit(self, pages: int) -> None:
        self.database.execute(f"PRAGMA max_page_count={pages}")

    @retry_while_disk_full
    def add(self, text: str) -> int:
        self.attempts += 1
        if self.attempts == 3:
            self.limit(1000)
        return self.database.execute("INSERT INTO notes VALUES (?)", [text]).rowcount

    def count(self) -> int:
        return int(self.database.execute("SELECT count(*) FROM notes").fetchone()[0])


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _seconds: None)


def test_a_database_write_is_retried_until_there_is_space(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "notes.sqlite", pages=2)
    assert notes.add("x" * 9000) == 1
    assert (notes.attempts, notes.count()) == (3, 1)


def test_a_disk_that_stays_full_raises_enospc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "RETRY_FOR_S", 0.0)
    database = connect_sqlite(tmp_path / "full.sqlite", synchronous="OFF")
    database.execute("CREATE TABLE notes (text TEXT)")
    database.execute("PRAGMA max_page_count=2")

    @retry_while_disk_full
    def add() -> None:
        database.execute("INSERT INTO notes VALUES (?)", ["x" * 9000])

    with pytest.raises(OSError, match="No space left on device") as error:
        add()
    assert error.value.errno == errno.ENOSPC
    assert isinstance(error.value.__cause__, sqlite3.OperationalError)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_file_write_is_retried_until_there_is_space(tmp_path: Path, number: int) -> None:
    failures = [OSError(number, "full"), OSError(number, "full")]

    @retry_while_disk_full
    def write() -> int:
        if failures:
            raise failures.pop()
        return (tmp_path / "file").write_text("content")

    assert write() == 7
    assert (tmp_path / "file").read_text() == "content"


def test_any_other_error_is_raised_at_once(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "notes.sqlite", pages=2)
    notes.database.execute("DROP TABLE notes")
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        notes.add("x")
    assert notes.attempts == 1


@pytest.mark.parametrize(("synchronous", "expected"), [("FULL", 2), ("OFF", 0)])
def test_connect_creates_the_folder_and_sets_durability(
    tmp_path: Path, synchronous: str, expected: int
) -> None:
    database = connect_sqlite(tmp_path / "new" / "notes.sqlite", synchronous)
    assert database.execute("PRAGMA synchronous").fetchone() == (expected,)
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
