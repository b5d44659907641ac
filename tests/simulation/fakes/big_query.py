"""A fake of BigQuery for the product's calls: unique job IDs, atomic loads, transactions with snapshot isolation.

Statements are recognized by their form. An unknown statement raises an error, so that a new statement of the product is
noticed.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from types import SimpleNamespace
from typing import Any, BinaryIO

from google.api_core.exceptions import BadRequest, Conflict, Forbidden, GoogleAPICallError, NotFound

from tests.simulation.fakes.cloud_storage import CloudStorage
from tests.simulation.world import World

_ANY_ROW = re.compile(r"SELECT 1 FROM `(?P<table>[^`]+)` WHERE (?P<where>.+) LIMIT 1")
_MINUTES = re.compile(
    r"SELECT DISTINCT collected_at FROM `(?P<table>[^`]+)` WHERE (?P<days>DATE\(collected_at\) IN \([^)]+\))"
    r"(?P<only>.*) ORDER BY collected_at"
)
_CHECK = re.compile(
    r"SELECT IF\(\(SELECT COUNT\(DISTINCT collected_at\) FROM `(?P<table>[^`]+)` WHERE (?P<days>.+)\) = (?P<n>\d+), "
    r"NULL, ERROR\('(?P<words>.+)'\)\)"
)
_DELETE = re.compile(
    r"DELETE FROM `(?P<table>[^`]+)` WHERE (?P<days>DATE\(collected_at\) IN \([^)]+\))(?P<only>.*)"
)
_ONLY = re.compile(r" AND `(?P<column>[^`]+)` = '(?P<text>[^']*)'")
_INSERT = re.compile(
    r"INSERT INTO `(?P<table>[^`]+)` \((?P<columns>.+)\) SELECT (.+) FROM `(?P<staging>[^`]+)`"
)
_DATE = re.compile(r"DATE '([0-9-]+)'")
RETRIED = 2


@dataclass(eq=False)
class Row:
    """A row, compared by identity: a transaction deletes the rows of its snapshot."""

    values: dict[str, Any]
    job: str

    @property
    def tick(self) -> datetime:
        """The tick of a row of stations or quarantine."""
        moment = datetime.fromisoformat(self.values["collected_at"])
        return moment.astimezone(UTC)


@dataclass
class Job:
    """A job as the client returns it."""

    service: "BigQuery"
    job_id: str
    table: str
    state: str = "RUNNING"
    error_result: dict[str, str] | None = None
    began: datetime | None = None
    ended: datetime | None = None
    output_rows: int | None = None
    rows: list[Any] = field(default_factory=list)  # of a query

    def result(self, **_: Any) -> Any:
        """Wait for the end. Raises the error of the job."""
        while self.state != "DONE":
            self.service.world.sleep(0.5)
        self.service.world.call(f"result of {self.job_id}", lambda: None, retries=RETRIED)
        if self.error_result:
            raise _error(self.error_result["reason"], self.error_result["message"])
        return iter(self.rows)


def _error(reason: str, message: str) -> GoogleAPICallError:
    kind = Forbidden if reason in ("quotaExceeded", "rateLimitExceeded") else BadRequest
    return kind(f"{reason}: {message}", errors=[{"reason": reason, "message": message}])


class BigQuery:
    """The service: its tables, its jobs, and its failures."""

    def __init__(self, world: World, storage: CloudStorage) -> None:
        self.world, self.storage = world, storage
        self.tables: dict[str, list[Row]] = {}
        self.jobs: dict[str, Job] = {}
        self.versions: dict[str, int] = {}  # by table: number of committed transactions
        self.job_failure_rate = 0.0
        self.quota_exceeded: Callable[[], bool] = lambda: False
        self.on_change: Callable[[str], None] = lambda _: None
        self.jobs_by_table: dict[str, int] = {}

    def rows(self, table: str) -> list[Row]:
        """Return the rows of a table. Raises NotFound."""
        if table not in self.tables:
            raise NotFound(f"table {table}")  # type: ignore[no-untyped-call]
        return self.tables[table]

    def begin(
        self, job_id: str, table: str, work: Callable[[Job], None], *, seconds: tuple[float, float]
    ) -> Job:
        """Insert a job. Raises Conflict for a used ID, Forbidden if the quota is exceeded."""
        if job_id in self.jobs:
            raise Conflict(f"job {job_id}")  # type: ignore[no-untyped-call]
        if self.quota_exceeded() and self.world.rng.random() < 0.5:
            self.world.failure_count += 1
            raise _error("quotaExceeded", "Exceeded rate limits")
        self.rows(table)
        job = self.jobs[job_id] = Job(self, job_id, table, began=self.world.now)
        self.jobs_by_table[table] = self.jobs_by_table.get(table, 0) + 1
        fails = self.world.rng.random() < self.job_failure_rate and not self._have_faults_ended()

        def end() -> None:
            if self.quota_exceeded():
                job.error_result = {"reason": "quotaExceeded", "message": "Exceeded rate limits"}
            elif fails:
                job.error_result = {"reason": "backendError", "message": "simulated"}
            else:
                work(job)
            job.state, job.ended = "DONE", self.world.now
            self.world.failure_count += job.error_result is not None
            text = f"failed: {job.error_result['reason']}" if job.error_result else "done"
            self.world.log("BigQuery", f"job {job_id} {text}")
            self.on_change(table)

        self.world.after(self.world.rng.uniform(*seconds), end)
        return job

    def _have_faults_ended(self) -> bool:
        return self.world.faults_end is not None and self.world.now >= self.world.faults_end

    def append(self, table: str, rows: Iterable[Mapping[str, Any]], job: Job) -> None:
        """Append rows, as a load job does at its end."""
        added = [Row(dict(row), job.job_id) for row in rows]
        self.tables[table] = [*self.rows(table), *added]
        job.output_rows = len(added)


class Client:
    """A fake of google.cloud.bigquery.Client."""

    def __init__(self, service: BigQuery, name: str) -> None:
        self.service, self._name, self._queries = service, name, 0

    # --- load jobs ----------------------------------------------------------------------------------

    def load_table_from_file(self, file: BinaryIO, table: str, *, job_id: str, **_: Any) -> Job:
        """Start a load job; the client retries the upload if its response is lost."""
        rows = [json.loads(line) for line in file.read().splitlines()]
        return self._load(table, job_id, lambda: rows)

    def load_table_from_json(
        self, rows: Sequence[Mapping[str, Any]], table: str, *, job_id: str, **_: Any
    ) -> Job:
        """Start a load job, as load_table_from_file."""
        return self._load(table, job_id, lambda: rows)

    def load_table_from_uri(self, uris: Sequence[str], table: str, *, job_id: str, **_: Any) -> Job:
        """Start a load job of files; those of the simulated batch are JSON."""

        def read() -> list[Any]:
            parts = [uri.removeprefix("gs://").split("/", 1) for uri in uris]
            return [
                row
                for bucket, name in parts
                for row in json.loads(self.service.storage.get(bucket, name).content)
            ]

        return self._load(table, job_id, read)

    def _load(self, table: str, job_id: str, read: Callable[[], Iterable[Mapping[str, Any]]]) -> Job:
        service = self.service

        def begin() -> Job:
            return service.begin(
                job_id, table, lambda job: service.append(table, read(), job), seconds=(0.5, 6.0)
            )

        return service.world.call(f"load {job_id} into {table}", begin, retries=RETRIED)

    def get_job(self, job_id: str, **_: Any) -> Job:
        """Raises NotFound."""

        def find_job() -> Job:
            if job_id not in self.service.jobs:
                raise NotFound(f"job {job_id}")  # type: ignore[no-untyped-call]
            return self.service.jobs[job_id]

        return self.service.world.call(f"get job {job_id}", find_job, retries=RETRIED)

    # --- tables -------------------------------------------------------------------------------------

    def get_table(self, table: str) -> object:
        """Raises NotFound."""
        return self.service.world.call(
            f"get {table}", lambda: bool(self.service.rows(table)) or True, retries=RETRIED
        )

    def create_table(self, table: Any, exists_ok: bool = False) -> None:
        """Raises Conflict."""
        name = f"{table.project}.{table.dataset_id}.{table.table_id}"

        def create() -> None:
            if name in self.service.tables and not exists_ok:
                raise Conflict(f"table {name}")  # type: ignore[no-untyped-call]
            self.service.tables.setdefault(name, [])

        self.service.world.call(f"create {name}", create, retries=RETRIED)

    def delete_table(self, table: str, *, not_found_ok: bool = False) -> None:
        """Raises NotFound."""

        def delete() -> None:
            if self.service.tables.pop(table, None) is None and not not_found_ok:
                raise NotFound(f"table {table}")  # type: ignore[no-untyped-call]

        self.service.world.call(f"drop {table}", delete, retries=RETRIED)

    # --- queries ------------------------------------------------------------------------------------

    def query(self, sql: str, *, job_id: str | None = None, job_config: Any = None, **_: Any) -> Job:
        """A query job; a transaction reads one snapshot and commits some seconds later."""
        self._queries += 1
        name = job_id or f"{self._name}-query-{self._queries}"
        if "BEGIN TRANSACTION" in sql or sql.startswith(("DELETE", "INSERT", "SELECT IF(")):
            return self.service.world.call(
                f"run script {name}", lambda: self._script(name, sql), retries=RETRIED
            )
        if match := _ANY_ROW.fullmatch(sql):
            parameters = {each.name: each.value for each in job_config.query_parameters}
            read = partial(self._matching, match["table"], parameters)
        elif match := _MINUTES.fullmatch(sql):
            only = dict(_ONLY.findall(match["only"]))
            read = partial(self._minutes, match["table"], _days(match["days"]), only)
        else:
            raise AssertionError(f"the simulation does not know this statement: {sql}")
        found = self.service.world.call(f"query {match['table']}", read, retries=RETRIED)
        return Job(self.service, name, match["table"], "DONE", rows=found)

    def _matching(self, table: str, parameters: Mapping[str, Any]) -> list[Any]:
        """Return one row if the table has one with these values."""
        rows = self.service.rows(table)
        is_there = any(all(_value(row, name) == value for name, value in parameters.items()) for row in rows)
        return [SimpleNamespace()] if is_there else []

    def _minutes(self, table: str, days: set[date], only: Mapping[str, str]) -> list[Any]:
        ticks = {
            row.tick
            for row in self.service.rows(table)
            if row.tick.date() in days and all(row.values[name] == text for name, text in only.items())
        }
        return [SimpleNamespace(collected_at=tick) for tick in sorted(ticks)]

    def _script(self, job_id: str, sql: str) -> Job:
        service = self.service
        if job_id in service.jobs:
            raise Conflict(f"job {job_id}")  # type: ignore[no-untyped-call]
        job = service.jobs[job_id] = Job(service, job_id, "")
        statements = [each.strip().rstrip(";") for each in sql.split(";\n") if each.strip()]
        if statements[0] == "BEGIN TRANSACTION" and statements[-1] == "COMMIT TRANSACTION":
            _Transaction(service, job, statements[1:-1]).begin()
        else:
            for number, statement in enumerate(statements):
                is_last = number == len(statements) - 1
                service.world.after(2.0 * (number + 1), _Step(service, job, statement, is_last=is_last))
        return job


@dataclass
class _Step:
    """A statement outside of a transaction, visible immediately."""

    service: BigQuery
    job: Job
    statement: str
    is_last: bool

    def __call__(self) -> None:
        """Run the statement, unless a previous one failed."""
        if self.job.state == "DONE":
            return
        transaction = _Transaction(self.service, self.job, [self.statement])
        transaction.snapshot()
        transaction.commit()
        if not self.is_last and self.job.error_result is None:
            self.job.state = "RUNNING"


class _Transaction:
    """A transaction with snapshot isolation: concurrent appends remain, concurrent transactions on a table abort it."""

    def __init__(self, service: BigQuery, job: Job, statements: Sequence[str]) -> None:
        self._service, self._job, self._statements = service, job, statements
        self._deleted: dict[str, set[int]] = {}
        self._inserted: dict[str, list[Row]] = {}
        self._versions: dict[str, int] = {}

    def begin(self) -> None:
        rng = self._service.world.rng
        self._service.world.after(rng.uniform(0.2, 2), self._run)

    def _run(self) -> None:
        self.snapshot()
        self._service.world.after(self._service.world.rng.uniform(0.5, 8), self.commit)

    def snapshot(self) -> None:
        """Evaluate every statement on a snapshot of the tables."""
        try:
            for statement in self._statements:
                self._evaluate(statement)
        except GoogleAPICallError as error:
            self._fail(str(error))

    def _evaluate(self, statement: str) -> None:
        service = self._service
        if match := _CHECK.fullmatch(statement):
            days = _days(match["days"])
            ticks = {row.tick for row in service.rows(match["table"]) if row.tick.date() in days}
            if len(ticks) != int(match["n"]):
                raise _error("invalidQuery", match["words"])
        elif match := _DELETE.fullmatch(statement):
            days, only = _days(match["days"]), dict(_ONLY.findall(match["only"]))
            self._versions[match["table"]] = service.versions.get(match["table"], 0)
            self._deleted.setdefault(match["table"], set()).update(
                id(row)
                for row in service.rows(match["table"])
                if row.tick.date() in days and all(row.values[name] == text for name, text in only.items())
            )
        elif match := _INSERT.fullmatch(statement):
            columns = [name.strip(" `") for name in match["columns"].split(",")]
            self._inserted.setdefault(match["table"], []).extend(
                Row({name: row.values.get(name) for name in columns}, self._job.job_id)
                for row in service.rows(match["staging"])
            )
        else:
            raise AssertionError(f"the simulation does not know this statement: {statement}")

    def commit(self) -> None:
        """Commit, unless another transaction has changed one of the tables since the snapshot."""
        service = self._service
        if self._job.state == "DONE":
            return
        for table, version in self._versions.items():
            if service.versions.get(table, 0) != version:
                self._fail(f"Transaction is aborted due to concurrent update against table {table}")
                return
        for table in self._deleted.keys() | self._inserted.keys():
            deleted = self._deleted.get(table, set())
            kept = [row for row in service.rows(table) if id(row) not in deleted]
            service.tables[table] = [*kept, *self._inserted.get(table, [])]
            service.versions[table] = service.versions.get(table, 0) + 1
        self._job.state = "DONE"
        service.world.log("BigQuery", f"job {self._job.job_id} committed")
        for table in self._deleted.keys() | self._inserted.keys():
            service.on_change(table)

    def _fail(self, message: str) -> None:
        self._job.state, self._job.error_result = "DONE", {"reason": "invalidQuery", "message": message}
        self._service.world.log("BigQuery", f"job {self._job.job_id} failed: {message[:120]}")


def _value(row: Row, column: str) -> Any:
    return row.tick if column == "collected_at" else row.values.get(column)


def _days(condition: str) -> set[date]:
    return {date.fromisoformat(day) for day in _DATE.findall(condition)}
