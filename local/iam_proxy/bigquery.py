"""BigQuery's REST API: the permissions of each method, of what jobs load and copy, and of what queries name.

https://cloud.google.com/bigquery/docs/access-control#bq-permissions,
https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-parquet#required_permissions
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import unquote

from local.http.request import InvalidCallError, Request
from local.iam_proxy.access import Need
from local.iam_proxy.permissions import Asked, UnansweredError
from local.iam_proxy.storage import bucket_name, object_name

HERE = "local/iam_proxy/bigquery.py"
Places = dict[str, str]
Json = dict[str, Any]
Answer = Callable[[Request, Places], Iterable[Need]]


def asked(request: Request, owner_of: Callable[[str, str], str | None], identity: str) -> Asked:
    """Return what a call needs. Raises UnansweredError for one that is not known, InvalidCallError.

    `owner_of` tells who began a job (project, id): its owner may see and cancel it without a role, and who asks
    for one that nobody began hears that it is not there.
    """
    for methods, pattern, answer in METHODS:
        if request.method in methods and (match := pattern.fullmatch(request.path)):
            places = {name: unquote(value) for name, value in match.groupdict().items()}
            if "job" in places and owner_of(places["project"], places["job"]) in (identity, None):
                return Asked()
            return Asked(tuple(dict.fromkeys(answer(request, places))))
    raise UnansweredError(
        f"{HERE} does not know which permission {request.method} {request.path} needs: add it there"
    )


def job_needs(project: str, configuration: Json) -> Iterator[Need]:
    """Yield what a job needs, beginning with that it may be begun at all."""
    yield Need("bigquery.jobs.create", f"projects/{project}")
    kinds = [kind for kind in JOBS if kind in configuration]
    if len(kinds) != 1:
        raise InvalidCallError(f"a job of one kind of {', '.join(JOBS)} is expected, found {sorted(kinds)}")
    try:
        yield from JOBS[kinds[0]](project, configuration[kinds[0]])
    except (AttributeError, KeyError, TypeError) as error:
        raise InvalidCallError(f"a {kinds[0]} job that cannot be read: {error!r}") from error


def query_needs(project: str, sql: str, dataset: str = "") -> Iterator[Need]:
    """Yield what the statements of a GoogleSQL script need on the tables that they name.

    `dataset` (`project.dataset`) is that of names without one. A view needs a role on itself; what it reads is not
    asked for. Raises UnansweredError for a kind of statement that is not known, InvalidCallError for what is no SQL.
    """
    import sqlglot  # noqa: PLC0415 - a tenth of a second, which a run without a query need not pay
    from sqlglot.errors import SqlglotError  # noqa: PLC0415

    try:
        statements = sqlglot.parse(sql, dialect="bigquery")
    except SqlglotError as error:
        raise InvalidCallError(f"Syntax error: {error}") from error
    for statement in statements:
        if statement is not None:
            yield from _statement(project, dataset, statement)


def _statement(project: str, dataset: str, statement: Any) -> Iterator[Need]:
    from sqlglot import exp  # noqa: PLC0415

    kind = type(statement).__name__
    if kind in ("Transaction", "Commit", "Rollback"):
        return
    target = statement.find(exp.Table) if kind in WRITES else None
    if kind in WRITES:
        of_schema = str(statement.args.get("kind") or "").upper() == "SCHEMA"
        name = _full(project, dataset, target)
        permissions = WRITES[kind](statement)
        for permission in permissions:
            yield _on(permission, name, of_schema=of_schema)
    elif not isinstance(statement, exp.Query):
        raise UnansweredError(f"{HERE} does not know what a statement {kind.upper()} needs: add it there")
    own = {each.alias_or_name for each in statement.find_all(exp.CTE)}
    for table in statement.find_all(exp.Table):
        is_own = len(table.parts) == 1 and table.name in own
        if table is not target and not is_own and not _is_column(table):
            yield _on("bigquery.tables.getData", _full(project, dataset, table))


def _is_column(table: Any) -> bool:
    """Whether it is a list to unnest, as in FROM t, t.list: it begins with a table of its FROM, or of one around it."""
    from sqlglot import exp  # noqa: PLC0415

    first = table.parts[0].name
    select = table.find_ancestor(exp.Select)
    while len(table.parts) > 1 and select is not None:
        sources = [select.args.get("from_"), *(select.args.get("joins") or ())]
        named = (each.this for each in sources if each is not None)
        if any(each is not table and each.alias_or_name == first for each in named):
            return True
        select = select.find_ancestor(exp.Select)
    return False


# Statement → what it needs on its target; what it reads is asked for beside that.
WRITES: dict[str, Callable[[Any], tuple[str, ...]]] = {
    "Insert": lambda _: ("bigquery.tables.updateData",),
    "Delete": lambda _: ("bigquery.tables.getData", "bigquery.tables.updateData"),
    "Update": lambda _: ("bigquery.tables.getData", "bigquery.tables.updateData"),
    "Merge": lambda _: ("bigquery.tables.getData", "bigquery.tables.updateData"),
    "TruncateTable": lambda _: ("bigquery.tables.updateData",),
    "Create": lambda statement: (
        ("bigquery.tables.create", "bigquery.tables.update", "bigquery.tables.updateData")
        if statement.args.get("replace")
        else ("bigquery.tables.create",)
    ),
    "Drop": lambda _: ("bigquery.tables.delete",),
    "Alter": lambda _: ("bigquery.tables.get", "bigquery.tables.update"),
}


def _on(permission: str, name: tuple[str, str, str], *, of_schema: bool = False) -> Need:
    """A permission on a table; tables are created in their dataset, datasets in their project."""
    project, dataset, table = name
    if of_schema:
        # CREATE SCHEMA names the dataset where a table has its table.
        permission = permission.replace("bigquery.tables.", "bigquery.datasets.")
        resource = f"projects/{dataset or project}"
        return Need(
            permission, resource if permission.endswith(".create") else f"{resource}/datasets/{table}"
        )
    resource = f"projects/{project}/datasets/{dataset}"
    if table.upper() == "INFORMATION_SCHEMA":
        return Need("bigquery.tables.list", resource)
    return Need(permission, resource if permission.endswith(".create") else f"{resource}/tables/{table}")


def _full(project: str, dataset: str, table: Any) -> tuple[str, str, str]:
    """Project, dataset and table of a name in SQL."""
    parts = [part for each in table.parts for part in each.name.split(".")]
    upper = [part.upper() for part in parts]
    if "INFORMATION_SCHEMA" in upper:
        parts = parts[: upper.index("INFORMATION_SCHEMA") + 1]
    default_project, _, default_dataset = dataset.rpartition(".")
    defaults = [default_project or project, default_dataset]
    full = [*defaults[: max(0, 3 - len(parts))], *parts][-3:]
    return full[0], full[1], full[2]


def _load(project: str, load: Json) -> Iterator[Need]:
    yield from _into(project, load["destinationTable"], load)
    for uri in load.get("sourceUris", ()):
        bucket, _, name = str(uri).removeprefix("gs://").partition("/")
        yield Need("storage.buckets.get", bucket_name(bucket))
        if "*" in name:
            yield Need("storage.objects.list", bucket_name(bucket))
        yield Need("storage.objects.get", object_name(bucket, name))


def _query(project: str, query: Json) -> Iterator[Need]:
    if query.get("useLegacySql", False) is True:
        raise UnansweredError(f"{HERE} understands GoogleSQL only: set useLegacySql to false")
    default = query.get("defaultDataset") or {}
    dataset = f"{default.get('projectId', project)}.{default['datasetId']}" if default else ""
    if query.get("destinationTable"):
        yield from _into(project, query["destinationTable"], query)
    yield from query_needs(project, str(query.get("query", "")), dataset)


def _copy(project: str, copy: Json) -> Iterator[Need]:
    for source in copy.get("sourceTables") or [copy["sourceTable"]]:
        yield Need("bigquery.tables.getData", _table(project, source))
    yield from _into(project, copy["destinationTable"], copy)


def _extract(project: str, extract: Json) -> Iterator[Need]:
    for permission in ("bigquery.tables.export", "bigquery.tables.getData"):
        yield Need(permission, _table(project, extract["sourceTable"]))
    for uri in extract.get("destinationUris") or [extract["destinationUri"]]:
        bucket, _, name = str(uri).removeprefix("gs://").partition("/")
        yield Need("storage.objects.create", object_name(bucket, name))
        yield Need("storage.objects.delete", object_name(bucket, name))


JOBS: dict[str, Callable[[str, Json], Iterator[Need]]] = {
    "load": _load,
    "query": _query,
    "copy": _copy,
    "extract": _extract,
}


def _into(project: str, table: Json, job: Json) -> Iterator[Need]:
    """What a job needs that writes a table; one that must not make the table does not need to be allowed to."""
    name = _table(project, table)
    if job.get("createDisposition", "CREATE_IF_NEEDED") != "CREATE_NEVER":
        yield Need("bigquery.tables.create", name.partition("/tables/")[0])
    yield Need("bigquery.tables.updateData", name)
    yield Need("bigquery.tables.update", name)


def _table(project: str, reference: Json) -> str:
    dataset, table = reference["datasetId"], reference["tableId"]
    return f"projects/{reference.get('projectId', project)}/datasets/{dataset}/tables/{table}"


def _job(request: Request, places: Places) -> Iterator[Need]:
    if "upload_id" in request.query:
        return iter(())  # the session was begun with the job's configuration
    configuration = request.resource.get("configuration")
    if not isinstance(configuration, dict):
        raise InvalidCallError("a job without its configuration")
    return job_needs(places["project"], configuration)


def _run_query(request: Request, places: Places) -> Iterator[Need]:
    return job_needs(places["project"], {"query": request.resource})


def _needing(permission: str, on: str) -> Answer:
    return lambda _request, places: (Need(permission, on.format_map(places)),)


_PROJECT = "projects/{project}"
_DATASET = _PROJECT + "/datasets/{dataset}"
_TABLE = _DATASET + "/tables/{table}"
_JOB = _PROJECT + "/jobs/{job}"


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile("/bigquery/v2/" + re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))


METHODS: tuple[tuple[tuple[str, ...], re.Pattern[str], Answer], ...] = (
    (
        ("POST", "PUT"),
        re.compile(r"(?:/resumable)?/upload/bigquery/v2/projects/(?P<project>[^/]+)/jobs"),
        _job,
    ),
    *(
        (tuple(methods.split()), _pattern(path), answer)
        for methods, path, answer in (
            ("POST", _PROJECT + "/jobs", _job),
            ("POST", _PROJECT + "/queries", _run_query),
            ("GET", _JOB, _needing("bigquery.jobs.get", _PROJECT)),
            ("GET", _PROJECT + "/queries/{job}", _needing("bigquery.jobs.get", _PROJECT)),
            ("POST", _JOB + "/cancel", _needing("bigquery.jobs.update", _PROJECT)),
            ("DELETE", _JOB + "/delete", _needing("bigquery.jobs.delete", _PROJECT)),
            ("GET", _PROJECT + "/jobs", _needing("bigquery.jobs.list", _PROJECT)),
            ("GET", _TABLE, _needing("bigquery.tables.get", _TABLE)),
            ("POST", _DATASET + "/tables", _needing("bigquery.tables.create", _DATASET)),
            ("PATCH PUT", _TABLE, _needing("bigquery.tables.update", _TABLE)),
            ("DELETE", _TABLE, _needing("bigquery.tables.delete", _TABLE)),
            ("GET", _TABLE + "/data", _needing("bigquery.tables.getData", _TABLE)),
            ("POST", _TABLE + "/insertAll", _needing("bigquery.tables.updateData", _TABLE)),
            ("GET", _DATASET + "/tables", _needing("bigquery.tables.list", _DATASET)),
            ("GET", _DATASET, _needing("bigquery.datasets.get", _DATASET)),
            ("PATCH PUT", _DATASET, _needing("bigquery.datasets.update", _DATASET)),
            ("DELETE", _DATASET, _needing("bigquery.datasets.delete", _DATASET)),
            ("GET", _PROJECT + "/datasets", _needing("bigquery.datasets.get", _PROJECT)),
            ("POST", _PROJECT + "/datasets", _needing("bigquery.datasets.create", _PROJECT)),
        )
    ),
)
